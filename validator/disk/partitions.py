"""Partition tables: GPT with its checksums, MBR with logical partitions.

Sources: UEFI Specification 2.10, chapter 5 (GPT disk layout); for the MBR, the same chapter's section
5.2.1 and the layout that DOS gave extended partitions.
"""

import uuid
import zlib
from typing import NamedTuple

from validator.disk.container import Disk, unpack_at
from validator.evidence import Evidence, Layer, Location, Unreadable, damaged, made_good

MAX_GPT_ENTRIES = 1024
MAX_LOGICAL_PARTITIONS = 64
_EXTENDED = (0x05, 0x0F, 0x85)
_PROTECTIVE = 0xEE
_LDM = 0x42

GPT_TYPES = {
    "c12a7328-f81f-11d2-ba4b-00a0c93ec93b": "EFI system partition",
    "e3c9e316-0b5c-4db8-817d-f92df00215ae": "Microsoft reserved",
    "ebd0a0a2-b9e5-4433-87c0-68b6b72699c7": "basic data",
    "de94bba4-06d1-4d40-a16a-bfd50179d6ac": "Windows recovery",
    "5808c8aa-7e8f-42e0-85d2-e1e90434cfb3": "LDM metadata (dynamic disk)",
    "af9b60a0-1431-4f62-bc68-3311714a69ad": "LDM data (dynamic disk)",
    "e75caf8f-f680-4cee-afa3-b001e56efc2d": "Storage Spaces",
}
"""Source: Microsoft, PARTITION_INFORMATION_GPT structure."""
MBR_TYPES = {
    0x01: "FAT12",
    0x04: "FAT16",
    0x06: "FAT16",
    0x07: "NTFS",
    0x0B: "FAT32",
    0x0C: "FAT32",
    0x0E: "FAT16",
    0x27: "Windows recovery",
    0x42: "LDM data (dynamic disk)",
    0xEF: "EFI system partition",
}


class Partition(NamedTuple):
    """One partition. `offset` and `size` in bytes of the disk."""

    number: int
    """From 1, in the order of the table; logical partitions from 5."""
    offset: int
    size: int
    type: str
    """GUID in lower case, or two hexadecimal digits."""
    type_name: str
    active: bool
    """The MBR's boot indicator; always false in a GPT."""
    guid: str | None
    name: str | None


class PartitionTable(NamedTuple):
    """A verified partition table."""

    scheme: str
    """`gpt` or `mbr`."""
    disk_id: str
    """The GPT's disk GUID, or the MBR's signature as eight hexadecimal digits."""
    sector_size: int
    partitions: tuple[Partition, ...]
    recovered: tuple[Evidence, ...] = ()
    """What was damaged and read from the other copy instead."""


def _damage(offset: int, expected: str, found: str, spec: str = "UEFI 2.10, 5.3 GPT") -> Unreadable:
    return damaged(Location(Layer.PARTITION_TABLE, offset), expected=expected, found=found, spec=spec)


def read_partition_table(disk: Disk) -> PartitionTable:
    """The disk's partition table.

    The sector size is the container's; where the container knows none (raw), both are tried.

    Raises:
        Unreadable: where there is none, or it does not verify.
    """
    if disk.size < 512:
        raise _damage(0, "a partition table", f"a disk of {disk.size} bytes")
    boot_record = disk.read_at(0, 512)
    if boot_record[510:] != b"\x55\xaa":
        if _find_gpt(disk) is None:
            raise _damage(510, "a partition table", f"{boot_record[510:].hex(' ')} for the signature 55 aa")
        raise _damage(510, "the protective MBR's signature 55 aa", boot_record[510:].hex(" "))
    kinds = {boot_record[446 + 16 * index + 4] for index in range(4)}
    if _PROTECTIVE in kinds:
        if others := kinds - {0, _PROTECTIVE}:
            found = f"partitions of type {', '.join(f'{kind:02x}' for kind in sorted(others))} beside it"
            raise _damage(446, "a protective MBR alone", f"{found}: Windows reads a hybrid MBR as an MBR")
        sector_size = _find_gpt(disk)
        if sector_size is None:
            raise _damage(disk.container.logical_sector_size or 512, "a GPT", "neither it nor its backup")
        return _read_gpt(disk, sector_size)
    if boot_record[3:7] == b"NTFS" or boot_record[3:11] == b"-FVE-FS-" or boot_record[0x36:0x39] == b"FAT":
        raise _damage(0, "a partition table", "a volume's boot sector: a volume without a disk cannot boot")
    return _read_mbr(disk, boot_record, disk.container.logical_sector_size or 512)


def _find_gpt(disk: Disk) -> int | None:
    """The sector size with which a GPT header stands in the second or in the last sector, or None."""
    known = disk.container.logical_sector_size
    found = []
    for size in (known,) if known else (512, 4096):
        for at in (size, (disk.size // size - 1) * size):
            if at >= size and at + 8 <= disk.size and disk.read_at(at, 8) == b"EFI PART":
                found.append(size)
                break
    if len(found) > 1:
        raise _damage(512, "a GPT for sectors of one size", "one for 512 and one for 4096 bytes")
    return found[0] if found else None


class _Copy(NamedTuple):
    """One of the two copies of a GPT, whole: header and entries verify."""

    header: bytes
    entries: bytes
    entries_at: int

    @property
    def meaning(self) -> tuple[bytes, bytes]:
        """What both copies must have in common: disk GUID, usable sectors, entries."""
        return self.header[40:72] + self.header[80:88], self.entries


def _read_gpt(disk: Disk, sector_size: int) -> PartitionTable:
    """The partitions of a GPT. A copy counts only whole, header and entries together.

    The backup stands in for a damaged primary. Two whole copies that differ are damage.
    """
    sectors = disk.size // sector_size
    recovered: list[Evidence] = []
    primary = _try_copy(disk, sector_size, 1)
    named = sectors - 1 if isinstance(primary, Unreadable) else unpack_at("<Q", primary.header, 32)[0]
    if not 1 < named < sectors:
        named = sectors - 1
    backup = _try_copy(disk, sector_size, named)
    if isinstance(primary, Unreadable):
        if isinstance(backup, Unreadable):
            raise primary
        recovered.append(made_good(primary, "the backup GPT at the end of the disk was used"))
        copy = backup
    else:
        copy = primary
        if isinstance(backup, Unreadable):
            recovered.append(made_good(backup, "the primary GPT was used"))
        elif backup.meaning != primary.meaning:
            where = named * sector_size
            raise _damage(where, "a backup GPT that says what the primary says", "another partition table")
    first_usable, last_usable = unpack_at("<QQ", copy.header, 40)
    count, entry_size = unpack_at("<II", copy.header, 80)
    partitions = []
    for index in range(count):
        entry = copy.entries[index * entry_size : (index + 1) * entry_size]
        if not any(entry[:16]):
            continue
        first, last, _attributes = unpack_at("<QQQ", entry, 32)
        where = copy.entries_at + index * entry_size + 32
        if not first_usable <= first <= last <= last_usable:
            raise _damage(where, "a partition within the usable sectors", f"sectors {first} to {last}")
        kind = str(uuid.UUID(bytes_le=entry[:16]))
        partitions.append(
            Partition(
                index + 1,
                first * sector_size,
                (last - first + 1) * sector_size,
                kind,
                GPT_TYPES.get(kind, "unknown"),
                False,
                str(uuid.UUID(bytes_le=entry[16:32])),
                entry[56:128].decode("utf-16-le", "replace").partition("\0")[0],
            )
        )
    _refuse_overlap(partitions)
    disk_id = str(uuid.UUID(bytes_le=copy.header[56:72]))
    return PartitionTable("gpt", disk_id, sector_size, tuple(partitions), tuple(recovered))


def _try_copy(disk: Disk, sector_size: int, lba: int) -> _Copy | Unreadable:
    try:
        return _read_copy(disk, sector_size, lba)
    except Unreadable as error:
        if error.evidence.where.layer is not Layer.PARTITION_TABLE:
            raise
        return error


def _read_copy(disk: Disk, sector_size: int, lba: int) -> _Copy:
    at = lba * sector_size
    header = disk.read_at(at, sector_size)
    if header[:8] != b"EFI PART":
        raise _damage(at, "a GPT header's signature “EFI PART”", header[:8].hex(" "))
    revision, header_size, stored = unpack_at("<III", header, 8)
    if revision >> 16 != 1:
        raise _damage(at + 8, "GPT revision 1", f"{revision:#010x}")
    if not 92 <= header_size <= sector_size:
        raise _damage(at + 12, f"a header of 92 to {sector_size} bytes", str(header_size))
    computed = zlib.crc32(header[:16] + bytes(4) + header[20:header_size])
    if stored != computed:
        raise _damage(at + 16, f"the GPT header's checksum {computed:#010x}", f"{stored:#010x}")
    own_lba, _other, first_usable, last_usable = unpack_at("<QQQQ", header, 24)
    entries_lba, count, entry_size, entries_crc = unpack_at("<QIII", header, 72)
    sectors = disk.size // sector_size
    if own_lba != lba:
        raise _damage(at + 24, f"the header of sector {lba}", f"that of sector {own_lba}")
    if not 2 <= first_usable <= last_usable < sectors:
        raise _damage(at + 40, f"usable sectors within {sectors}", f"{first_usable} to {last_usable}")
    if entry_size < 128 or entry_size & (entry_size - 1) or entry_size > 4096:
        raise _damage(at + 84, "entries of 128 bytes or a power of two above", str(entry_size))
    if count > MAX_GPT_ENTRIES:
        raise _damage(at + 80, f"at most {MAX_GPT_ENTRIES} entries", str(count))
    end_lba = entries_lba - (-count * entry_size // sector_size)
    before, behind = (
        entries_lba >= 2 and end_lba <= first_usable,
        entries_lba > last_usable and end_lba <= sectors,
    )
    if not before and not behind:
        raise _damage(
            at + 72, "entries outside the usable sectors", f"sectors {entries_lba} to {end_lba - 1}"
        )
    entries = disk.read_at(entries_lba * sector_size, count * entry_size)
    if (computed := zlib.crc32(entries)) != entries_crc:
        raise _damage(at + 88, f"the entries' checksum {computed:#010x}", f"{entries_crc:#010x}")
    return _Copy(header, entries, entries_lba * sector_size)


def _read_mbr(disk: Disk, boot_record: bytes, sector_size: int) -> PartitionTable:
    partitions = []
    logical: list[Partition] = []
    for index in range(4):
        at = 446 + 16 * index
        active, kind, first, count = _mbr_entry(boot_record, at)
        if not kind or not count:
            continue
        if active not in (0, 0x80):
            raise _damage(at, "a boot indicator of 00 or 80", f"{active:02x}", "UEFI 2.10, 5.2 MBR")
        partition = _mbr_partition(disk, index + 1, kind, first, count, sector_size, bool(active), at)
        if kind in _EXTENDED:
            logical += _read_logical(disk, partition, sector_size)
        else:
            partitions.append(partition)
    partitions += logical
    if not partitions:
        raise _damage(446, "a partition", "a partition table without any", "UEFI 2.10, 5.2 MBR")
    _refuse_overlap(partitions)
    return PartitionTable(
        "mbr", f"{unpack_at('<I', boot_record, 440)[0]:08x}", sector_size, tuple(partitions)
    )


def _mbr_entry(record: bytes, at: int) -> tuple[int, int, int, int]:
    active, kind, first, count = unpack_at("<B3xB3xII", record, at)
    return active, kind, first, count


def _mbr_partition(
    disk: Disk, number: int, kind: int, first: int, count: int, sector_size: int, active: bool, at: int
) -> Partition:
    offset, size = first * sector_size, count * sector_size
    if not first or not count or offset + size > disk.size:
        raise _damage(
            at + 8, "a partition inside the disk", f"{count} sectors from {first}", "UEFI 2.10, 5.2 MBR"
        )
    return Partition(number, offset, size, f"{kind:02x}", MBR_TYPES.get(kind, "unknown"), active, None, None)


def _read_logical(disk: Disk, extended: Partition, sector_size: int) -> list[Partition]:
    """Logical partitions: a chain of boot records, each naming one partition and the next record."""
    found: list[Partition] = []
    record_at, seen = extended.offset, set[int]()
    while True:
        if record_at in seen or len(seen) >= MAX_LOGICAL_PARTITIONS:
            raise _damage(
                record_at, f"a chain of at most {MAX_LOGICAL_PARTITIONS} boot records", "a chain without end"
            )
        seen.add(record_at)
        record = disk.read_at(record_at, 512)
        if record[510:] != b"\x55\xaa":
            raise _damage(record_at + 510, "an extended boot record's signature 55 aa", record[510:].hex(" "))
        _active, kind, first, count = _mbr_entry(record, 446)
        if kind:
            partition = _mbr_partition(
                disk,
                5 + len(found),
                kind,
                record_at // sector_size + first,
                count,
                sector_size,
                False,
                record_at + 446,
            )
            if partition.offset + partition.size > extended.offset + extended.size:
                raise _damage(record_at + 446, "a logical partition inside the extended one", "one outside")
            found.append(partition)
        _active, kind, first, _count = _mbr_entry(record, 462)
        if kind not in _EXTENDED:
            return found
        record_at = extended.offset + first * sector_size
        if record_at + 512 > extended.offset + extended.size:
            raise _damage(record_at, "a boot record inside the extended partition", "one outside")


def _refuse_overlap(partitions: list[Partition]) -> None:
    ordered = sorted(partitions, key=lambda partition: partition.offset)
    for left, right in zip(ordered, ordered[1:]):
        if left.offset + left.size > right.offset:
            raise _damage(
                right.offset, "partitions that do not overlap", f"partitions {left.number} and {right.number}"
            )
