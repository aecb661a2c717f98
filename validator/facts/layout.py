"""Facts about the disk as a whole: its file, what its container needed, what it starts by."""

from validator.disk.container import Disk
from validator.disk.partitions import PartitionTable
from validator.evidence import Evidence
from validator.source import FileSource

ESP_TYPES = ("c12a7328-f81f-11d2-ba4b-00a0c93ec93b", "ef")
"""The EFI system partition, in a GPT and in an MBR. Source: UEFI 2.10, 5.2.2 and 5.3.3."""


def file_length(source: FileSource) -> int:
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
