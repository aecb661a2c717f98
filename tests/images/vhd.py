"""VHD files, fixed and dynamic (Virtual Hard Disk Image Format Specification 1.0; big-endian).

qemu-img writes them too, but stamps the clock and a random identifier, and chooses the order.
"""

from __future__ import annotations

import struct
import uuid
from dataclasses import dataclass
from pathlib import Path

from tests.images.blocks import Order, blocks_with_data, in_order, read_block, write_block
from tests.images.cache import copy_of
from tests.images.times import SHUT_DOWN, vhd_time

MiB = 1 << 20
SECTOR = 512

FOOTER_SIZE = 512
FOOTER_CHECKSUM = 64
DYNAMIC_HEADER_OFFSET = 512
DYNAMIC_HEADER_SIZE = 1024
DYNAMIC_HEADER_CHECKSUM = 36
BAT_OFFSET = 1536

FIXED, DYNAMIC, DIFFERENCING = 2, 3, 4
"""Disk types of the footer."""

NOWHERE = 0xFFFFFFFFFFFFFFFF
ABSENT_BLOCK = 0xFFFFFFFF
_IDENTIFIER = uuid.UUID("7c1a4a52-0c4f-4c5e-9d1b-000000000011")


@dataclass(frozen=True)
class FixedVhd:
    """The disk, and behind it a footer."""

    identifier: uuid.UUID = _IDENTIFIER
    suffix: str = ".vhd"

    def write(self, raw: Path, target: Path, sector_size: int) -> None:
        """Write the disk in ``raw``."""
        _need_512(sector_size)
        copy_of(raw, target.parent, target.name)
        with target.open("ab") as file:
            file.write(footer(raw.stat().st_size, FIXED, identifier=self.identifier))


@dataclass(frozen=True)
class DynamicVhd:
    """Only blocks that hold data, each behind a bitmap of its sectors."""

    block_size: int = 2 * MiB
    order: Order = "ascending"
    identifier: uuid.UUID = _IDENTIFIER
    suffix: str = ".vhd"

    def write(self, raw: Path, target: Path, sector_size: int) -> None:
        """Write the disk in ``raw``."""
        _need_512(sector_size)
        size = raw.stat().st_size
        count = -(-size // self.block_size)
        bitmap = block_bitmap(self.block_size)
        at = BAT_OFFSET + _whole_sectors(4 * count)
        table = [ABSENT_BLOCK] * count
        end = footer(size, DYNAMIC, DYNAMIC_HEADER_OFFSET, self.identifier)
        with target.open("wb") as file, raw.open("rb") as disk:
            for block in in_order(blocks_with_data(raw, self.block_size), self.order):
                table[block] = at // SECTOR
                write_block(file, at, bitmap + read_block(disk, block, self.block_size))
                at += len(bitmap) + self.block_size
            file.seek(at)
            file.write(end)
            file.seek(0)
            file.write(end + dynamic_header(count, self.block_size))
            entries = struct.pack(f">{count}I", *table)
            file.write(entries.ljust(_whole_sectors(4 * count), b"\xff"))


def footer(
    size: int,
    disk_type: int,
    data_offset: int = NOWHERE,
    identifier: uuid.UUID = _IDENTIFIER,
    saved_state: bool = False,
) -> bytes:
    """The footer ("Hard Disk Footer Format")."""
    fields = struct.pack(
        ">8sIIQI4sI4sQQHBBII16sB", b"conectix", 2, 0x10000, data_offset, vhd_time(SHUT_DOWN),
        b"win ", 0x000A0000, b"Wi2k", size, size, *geometry(size), disk_type, 0,
        identifier.bytes, saved_state,
    )  # fmt: skip
    return sealed(fields.ljust(FOOTER_SIZE, b"\0"), FOOTER_CHECKSUM)


def dynamic_header(entries: int, block_size: int) -> bytes:
    """The dynamic disk header of a disk without parent."""
    fields = struct.pack(">8sQQIIII", b"cxsparse", NOWHERE, BAT_OFFSET, 0x10000, entries, block_size, 0)
    return sealed(fields.ljust(DYNAMIC_HEADER_SIZE, b"\0"), DYNAMIC_HEADER_CHECKSUM)


def block_bitmap(block_size: int) -> bytes:
    """The bitmap before a block, all of whose sectors are here, in whole sectors."""
    return (b"\xff" * (block_size // SECTOR // 8)).ljust(_whole_sectors(block_size // 4096), b"\0")


def sealed(structure: bytes, at: int) -> bytes:
    """``structure`` with its checksum: ones' complement of the sum of all other bytes."""
    total = sum(structure[:at]) + sum(structure[at + 4 :])
    return structure[:at] + struct.pack(">I", ~total & 0xFFFFFFFF) + structure[at + 4 :]


def geometry(size: int) -> tuple[int, int, int]:
    """Cylinders, heads and sectors per track ("CHS Calculation")."""
    total = min(size // SECTOR, 65535 * 16 * 255)
    if total >= 65535 * 16 * 63:
        heads, per_track = 16, 255
    else:
        per_track = 17
        heads = max(4, (total // per_track + 1023) // 1024)
        if total // per_track >= heads * 1024 or heads > 16:
            heads, per_track = 16, 31
        if total // per_track >= heads * 1024:
            heads, per_track = 16, 63
    return total // per_track // heads, heads, per_track


def _whole_sectors(size: int) -> int:
    return -(-size // SECTOR) * SECTOR


def _need_512(sector_size: int) -> None:
    if sector_size != SECTOR:
        raise ValueError("a VHD has sectors of 512 bytes")
