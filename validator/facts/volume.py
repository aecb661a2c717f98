"""Facts about the state in which volumes were left: hibernation, the dirty flag, the log."""

from typing import NamedTuple

from validator.disk.container import Disk
from validator.disk.ntfs import NtfsVolume
from validator.disk.ntfs_state import (
    DirtyFlag,
    HibernationFile,
    LogState,
    read_dirty_flag,
    read_hibernation_file,
    read_log_state,
)
from validator.disk.volumes import Volume, VolumeKind, window
from validator.evidence import Evidence
from validator.facts.image import FoundInstallation, Installation


class VolumeState(NamedTuple):
    """How one NTFS volume was left."""

    partition: int
    dirty: DirtyFlag
    log: LogState
    hibernation: HibernationFile | None

    @property
    def log_clean(self) -> bool:
        """Whether the volume was let go of in order."""
        return self.log.clean

    @property
    def hibernated(self) -> bool:
        """Whether Windows would resume from the volume, so that nothing on it is the whole truth."""
        return self.hibernation is not None and self.hibernation.suspended

    @property
    def faults(self) -> tuple[Evidence, ...]:
        """Evidence that it was not let go of in order; empty for a clean volume."""
        faults = []
        if self.dirty.dirty:
            found = f"flags {self.dirty.flags:#06x}: the volume is marked as dirty"
            faults.append(Evidence(self.dirty.where, found, "a clear dirty flag"))
        if not self.log.clean:
            faults.append(Evidence(self.log.where, self.log.found, "a log that was closed"))
        return tuple(faults)


def ntfs_volumes(
    disk: Disk, volumes: tuple[Volume, ...], found_installations: tuple[FoundInstallation, ...]
) -> tuple[NtfsVolume, ...]:
    """Every NTFS volume of the disk, in the order of the partitions."""
    known = {each.installation.partition: each.file_system for each in found_installations}
    return tuple(
        known.get(volume.partition.number)
        or NtfsVolume(window(disk, volume.partition), volume.partition.number)
        for volume in volumes
        if volume.kind is VolumeKind.NTFS
    )


def hibernation(
    installations: tuple[Installation, ...],
    found_installations: tuple[FoundInstallation, ...],
    chosen: int,
) -> HibernationFile | None:
    """The hibernation file beside the Windows that is judged, or None."""
    return read_hibernation_file(found_installations[chosen].file_system)


def hibernation_files(ntfs_volumes: tuple[NtfsVolume, ...]) -> tuple[HibernationFile, ...]:
    """The hibernation files on all volumes, resumable or not."""
    return tuple(file for volume in ntfs_volumes if (file := read_hibernation_file(volume)) is not None)


def volume_states(ntfs_volumes: tuple[NtfsVolume, ...]) -> tuple[VolumeState, ...]:
    """How every NTFS volume was left."""
    return tuple(
        VolumeState(
            volume.partition,
            read_dirty_flag(volume),
            read_log_state(volume),
            read_hibernation_file(volume),
        )
        for volume in ntfs_volumes
    )


def volume_state(volume_states: tuple[VolumeState, ...], installation: Installation) -> VolumeState:
    """How the volume of the Windows that is judged was left."""
    return next(state for state in volume_states if state.partition == installation.partition)
