"""Facts about the disk as a whole: its file, what its container needed, what it starts by."""

from validator.disk.container import Disk
from validator.disk.partitions import PartitionTable
from validator.disk.volumes import Volume, VolumeKind
from validator.evidence import Evidence
from validator.facts.image import FoundInstallation
from validator.facts.model import Attempt
from validator.source import ImageFile

ESP_TYPES = ("c12a7328-f81f-11d2-ba4b-00a0c93ec93b", "ef")
"""The EFI system partition, in a GPT and in an MBR. Source: UEFI 2.10, 5.2.2 and 5.3.3."""
_DATA = (VolumeKind.NTFS, VolumeKind.FAT, VolumeKind.EXFAT)
_TABLES = 64 * 1024
"""Partition tables lie within so many bytes of a disk's start and end, whatever its sectors."""
_ALIGNED = 2**20
"""Windows lets partitions begin at multiples of this."""
_SAMPLES = 1024


def file_length(source: ImageFile) -> int:
    """How long the image file is; the container's own figure counts what was recovered as well."""
    return source.size


def container_recoveries(disk: Disk) -> tuple[Evidence, ...]:
    """What was damaged or pending in the container, its parents included, and made good in memory."""
    return disk.recovered


def has_esp(table: PartitionTable) -> bool:
    """Whether there is an EFI system partition."""
    return any(partition.type in ESP_TYPES for partition in table.partitions)


def generation(partition_table: PartitionTable) -> int | None:
    """The generation of the machine that this disk is made for: 1 (BIOS), 2 (UEFI), or None.

    A GPT is for UEFI, an MBR for BIOS. None for an MBR that is made like a disk for UEFI: with an EFI
    system partition, and none that BIOS could start from.
    """
    if partition_table.scheme == "gpt":
        return 2
    active = any(partition.active for partition in partition_table.partitions)
    return None if has_esp(partition_table) and not active else 1


def data_disk(
    disk: Disk,
    partition_table: Attempt[PartitionTable],
    volumes: Attempt[tuple[Volume, ...]],
    found_installations: Attempt[tuple[FoundInstallation, ...]],
) -> bool:
    """Whether it is certain that neither Windows nor anything to start it lies on the disk.

    All its volumes were read, or it was never initialised. A volume that is not read (BitLocker, ReFS,
    another system's, one that does not verify) may hold a Windows, and so may a disk whose partition
    table was wiped.
    """
    if partition_table.unknown is not None:
        return _holds_zeros(disk) if disk.never_written is None else disk.never_written
    table, found = partition_table.value, found_installations.value
    if table is None or found is None or found or has_esp(table):
        return False
    return all(
        volume.kind in _DATA or volume.partition.type_name == "Microsoft reserved"
        for volume in volumes.value or ()
    ) and not any(partition.active for partition in table.partitions)


def _holds_zeros(disk: Disk) -> bool:
    """Whether there are zeros at both ends, where the first partitions would begin, and all over the disk."""
    edge = min(_TABLES, disk.size)
    spread = max(_ALIGNED, disk.size // _SAMPLES // _ALIGNED * _ALIGNED)
    starts = {*range(0, min(disk.size, _SAMPLES * _ALIGNED), _ALIGNED), *range(0, disk.size, spread)}
    spans = [(0, edge), (disk.size - edge, edge)]
    spans += [(start, min(4096, disk.size - start)) for start in sorted(starts)]
    return not any(any(disk.read_at(start, length)) for start, length in spans)
