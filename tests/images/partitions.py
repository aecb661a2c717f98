"""Partition tables as bytes: GPT (UEFI specification 5.3) and MBR."""

from __future__ import annotations

import struct
import uuid
import zlib
from dataclasses import dataclass

ENTRY_SIZE = 128
ENTRIES = 128
PRIMARY = 4
"""Entries of an MBR."""
EXTENDED, EXTENDED_CHS = 0x0F, 0x05
"""Types of the partition that holds logical ones, and of the link from one to the next."""
LOGICAL_GAP = 1 << 20
GPT_HEADER = struct.Struct("<8sIIIIQQQQ16sQIII")
_CRC_IN_HEADER = 16
_LINEAR = b"\xfe\xff\xff"
"""A cylinder-head-sector address that says: use the linear one."""

BOOTSTRAP = bytes.fromhex("33c0 8ed0 bc007c fb cd18 ebfe")
"""xor ax,ax; mov ss,ax; mov sp,7c00h; sti; int 18h; hang: boot code that finds no system."""


@dataclass(frozen=True)
class Partition:
    """One entry of a table; addresses in sectors."""

    start: int
    count: int
    gpt_type: str
    mbr_type: int
    guid: str
    name: str
    active: bool


def gpt(partitions: list[Partition], disk_guid: str, sectors: int, sector_size: int) -> dict[int, bytes]:
    """Protective MBR, primary and backup GPT, each by the byte offset where it lies."""
    entries = b"".join(map(_gpt_entry, partitions)).ljust(ENTRIES * ENTRY_SIZE, b"\0")
    array_sectors = -(-len(entries) // sector_size)
    first_usable, last = 2 + array_sectors, sectors - 1

    def header(own: int, other: int, array: int) -> bytes:
        fields = (
            own, other, first_usable, last - array_sectors - 1, uuid.UUID(disk_guid).bytes_le,
            array, ENTRIES, ENTRY_SIZE, zlib.crc32(entries),
        )  # fmt: skip
        return seal_gpt_header(GPT_HEADER.pack(b"EFI PART", 0x10000, 92, 0, 0, *fields))

    backup_array = last - array_sectors
    return {
        0: _protective_mbr(sectors),
        sector_size: header(1, last, 2),
        2 * sector_size: entries,
        backup_array * sector_size: entries,
        last * sector_size: header(last, 1, backup_array),
    }


def seal_gpt_header(header: bytes) -> bytes:
    """The first 92 bytes of a GPT header with their CRC-32 (UEFI 5.3.2)."""
    sealed = bytearray(header[: GPT_HEADER.size])
    struct.pack_into("<I", sealed, _CRC_IN_HEADER, 0)
    struct.pack_into("<I", sealed, _CRC_IN_HEADER, zlib.crc32(sealed))
    return bytes(sealed)


def mbr(partitions: list[Partition], signature: int, sector_size: int) -> dict[int, bytes]:
    """A master boot record, and extended ones if there are more than four partitions.

    The first three partitions stay primary then; the others are logical, each behind a record of
    its own that lies `LOGICAL_GAP` bytes before it and names the next record.
    """
    primary = partitions if len(partitions) <= PRIMARY else partitions[: PRIMARY - 1]
    logical = partitions[len(primary) :]
    entries = [_mbr_entry(entry.active, entry.mbr_type, entry.start, entry.count) for entry in primary]
    gap = LOGICAL_GAP // sector_size
    records = [entry.start - gap for entry in logical]
    tables = {}
    if logical:
        end = logical[-1].start + logical[-1].count
        entries.append(_mbr_entry(False, EXTENDED, records[0], end - records[0]))
    for index, entry in enumerate(logical):
        links = [_mbr_entry(entry.active, entry.mbr_type, gap, entry.count)]
        if index + 1 < len(logical):
            following = records[index + 1] - records[0]
            links.append(_mbr_entry(False, EXTENDED_CHS, following, logical[index + 1].count + gap))
        tables[records[index] * sector_size] = _boot_record(b"", 0, b"".join(links))
    return {0: _boot_record(BOOTSTRAP, signature, b"".join(entries)), **tables}


def _gpt_entry(partition: Partition) -> bytes:
    return struct.pack(
        "<16s16sQQQ72s",
        uuid.UUID(partition.gpt_type).bytes_le,
        uuid.UUID(partition.guid).bytes_le,
        partition.start,
        partition.start + partition.count - 1,
        0,
        partition.name.encode("utf-16-le"),
    )


def _protective_mbr(sectors: int) -> bytes:
    """One entry of type EEh over the whole disk, so that old tools keep off (UEFI 5.2.3)."""
    entry = b"\x00\x00\x02\x00\xee\xff\xff\xff" + struct.pack("<II", 1, min(sectors - 1, 2**32 - 1))
    return _boot_record(b"", 0, entry)


def _mbr_entry(active: bool, kind: int, start: int, count: int) -> bytes:
    return struct.pack("<B3sB3sII", active << 7, _LINEAR, kind, _LINEAR, start, count)


def _boot_record(code: bytes, signature: int, entries: bytes) -> bytes:
    head = code.ljust(440, b"\0") + struct.pack("<IH", signature, 0)
    return head + entries.ljust(64, b"\0") + b"\x55\xaa"
