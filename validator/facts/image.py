"""Facts about the disk and what lies on it, from the file up to the installations of Windows."""

from typing import NamedTuple

from validator.disk.container import Container, Disk
from validator.disk.formats import open_disk
from validator.disk.ntfs import NtfsVolume
from validator.disk.ntfs_state import HibernationFile
from validator.disk.partitions import PartitionTable, read_partition_table
from validator.disk.volumes import UNSUPPORTED, Volume, VolumeKind, read_volumes, window
from validator.evidence import Evidence, Layer, Location, Unreadable, damaged
from validator.source import Files, ImageFile

SYSTEM_FOLDER = "Windows"
CONFIG_FOLDER = rf"{SYSTEM_FOLDER}\System32\config"


class Installation(NamedTuple):
    """One Windows on one volume."""

    partition: int
    path: str
    """The system folder with backslashes, from the volume's root."""


class FoundInstallation(NamedTuple):
    """An installation and the volume to read it from."""

    installation: Installation
    file_system: NtfsVolume


def disk(source: ImageFile, files: Files, input_format: str | None, parents: tuple[str, ...]) -> Disk:
    """The virtual disk, its container verified and recovered where the format allows."""
    return open_disk(source, files, input_format, parents)


def parent_differs(disk: Disk) -> Evidence | None:
    """Evidence that a parent is not as it was when its child was made, or None."""
    return disk.parent_differs


def container(disk: Disk) -> Container:
    """What the container says of itself."""
    return disk.container


def partition_table(disk: Disk) -> PartitionTable:
    """The verified partition table."""
    return read_partition_table(disk)


def volumes(disk: Disk, partition_table: PartitionTable) -> tuple[Volume, ...]:
    """What each partition holds."""
    return read_volumes(disk, partition_table)


def found_installations(disk: Disk, volumes: tuple[Volume, ...]) -> tuple[FoundInstallation, ...]:
    """Every Windows on an NTFS volume, in the order of the partitions.

    An NTFS volume that does not verify fails this fact: it may hold another Windows.
    """
    found = []
    for volume in volumes:
        if volume.kind is VolumeKind.DYNAMIC_DISK:
            where = Location(Layer.VOLUME, 0, volume.partition.number)
            words = "a dynamic disk, whose volumes only its own database (LDM) knows"
            raise damaged(where, expected="a basic disk", found=words)
        if volume.kind is not VolumeKind.NTFS:
            continue
        number = volume.partition.number
        file_system = NtfsVolume(window(disk, volume.partition), number)
        if file_system.is_folder(CONFIG_FOLDER):
            found.append(FoundInstallation(Installation(number, f"\\{SYSTEM_FOLDER}"), file_system))
    return tuple(found)


def installations(
    found_installations: tuple[FoundInstallation, ...], volumes: tuple[Volume, ...]
) -> tuple[Installation, ...]:
    """Every Windows on the disk; fails where there is none that can be read."""
    if found_installations:
        return tuple(each.installation for each in found_installations)
    where = Location(Layer.FILE_SYSTEM)
    contents = ", ".join(f"{volume.partition.number}: {volume.kind.value}" for volume in volumes)
    contents = f"none on the partitions ({contents})" if volumes else "no partitions"
    expected = f"a volume with \\{CONFIG_FOLDER}"
    if any(volume.kind is VolumeKind.BITLOCKER for volume in volumes):
        contents += "; a volume encrypted by BitLocker cannot be read"
    elif any(volume.kind in UNSUPPORTED for volume in volumes):
        contents += "; that format is not read"
    raise damaged(where, expected=expected, found=contents)


def file_system(
    installations: tuple[Installation, ...],
    found_installations: tuple[FoundInstallation, ...],
    chosen: int,
    hibernation: HibernationFile | None,
) -> NtfsVolume:
    """The volume of the installation that is judged; `chosen` counts from 0.

    That of a suspended machine fails this fact, and with it all that is read from there: memory holds
    what the disk does not, and would be written over it.
    """
    if hibernation is not None and hibernation.suspended:
        raise Unreadable(hibernation.evidence)
    return found_installations[chosen].file_system


def installation(installations: tuple[Installation, ...], chosen: int) -> Installation:
    """The installation that is judged."""
    return installations[chosen]
