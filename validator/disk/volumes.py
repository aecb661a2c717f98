"""What lies in a partition, by its first sector."""

from enum import Enum
from typing import NamedTuple

from validator.disk.container import Disk
from validator.disk.partitions import Partition, PartitionTable
from validator.evidence import Layer
from validator.source import Window

_BITLOCKER_TO_GO = bytes.fromhex("3bd66749292ed84a8399f6a339e3d001")


class VolumeKind(str, Enum):
    """The formats that are told apart."""

    NTFS = "NTFS"
    FAT = "FAT"
    EXFAT = "exFAT"
    REFS = "ReFS"
    BITLOCKER = "BitLocker"
    DYNAMIC_DISK = "dynamic disk"
    STORAGE_SPACES = "Storage Spaces"
    EMPTY = "nothing"
    UNKNOWN = "unknown"


UNSUPPORTED = (VolumeKind.REFS, VolumeKind.DYNAMIC_DISK, VolumeKind.STORAGE_SPACES)
"""Windows may lie on these, and they are not read."""


class Volume(NamedTuple):
    """A partition and what it holds."""

    partition: Partition
    kind: VolumeKind


def read_volumes(disk: Disk, table: PartitionTable) -> tuple[Volume, ...]:
    """What each partition holds.

    Raises:
        Unreadable: where a partition's first sector cannot be read.
    """
    return tuple(Volume(partition, _kind_of(disk, partition)) for partition in table.partitions)


def window(disk: Disk, partition: Partition) -> Window:
    """The partition's bytes."""
    return Window(disk, partition.offset, partition.size, Layer.VOLUME)


def _kind_of(disk: Disk, partition: Partition) -> VolumeKind:
    if "LDM" in partition.type_name:
        return VolumeKind.DYNAMIC_DISK
    if partition.type_name == "Storage Spaces":
        return VolumeKind.STORAGE_SPACES
    if partition.type_name == "Microsoft reserved":
        return VolumeKind.EMPTY
    sector = window(disk, partition).read_at(0, 512)
    name = sector[3:11]
    if name == b"-FVE-FS-" or (name == b"MSWIN4.1" and sector[424:440] == _BITLOCKER_TO_GO):
        return VolumeKind.BITLOCKER
    if name == b"NTFS    ":
        return VolumeKind.NTFS
    if name == b"EXFAT   ":
        return VolumeKind.EXFAT
    if name[:4] == b"ReFS":
        return VolumeKind.REFS
    if sector[510:] == b"\x55\xaa" and (sector[0x36:0x39] == b"FAT" or sector[0x52:0x57] == b"FAT32"):
        return VolumeKind.FAT
    return VolumeKind.UNKNOWN if any(sector) else VolumeKind.EMPTY
