"""VHD files, fixed and dynamic (Virtual Hard Disk Image Format Specification 1.0; big-endian).

qemu-img writes them too, but stamps the clock and a random identifier, and chooses the order.
"""

from __future__ import annotations

import struct
import uuid
from collections.abc import Mapping
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


@dataclass(frozen=True)
class Parent:
    """What a differencing disk says of its parent; None is what the parent's own footer says."""

    path: Path
    identifier: uuid.UUID | None = None
    time: int | None = None
    name: str | None = None
    """The Unicode name in the header."""
    relative: str | None = None
    absolute: str | None = None
    """Paths of the locators W2ru and W2ku; an empty one leaves the locator out."""

    def locators(self) -> dict[bytes, bytes]:
        """Platform code and data of each locator."""
        relative = rf".\{self.path.name}" if self.relative is None else self.relative
        absolute = rf"C:\Images\{self.path.name}" if self.absolute is None else self.absolute
        paths = {b"W2ru": relative, b"W2ku": absolute}
        return {code: path.encode("utf-16-le") for code, path in paths.items() if path}


def child_of(
    parent: Path | Parent,
    target: Path,
    changes: Mapping[int, bytes],
    *,
    size: int | None = None,
    identifier: uuid.UUID | None = None,
    block_size: int = 2 * MiB,
) -> Path:
    """Write a differencing disk that has these sectors of its own (by their offsets); return ``target``.

    By default it is as large as its parent, and its identifier follows from its name.
    """
    link = parent if isinstance(parent, Parent) else Parent(parent)
    with link.path.open("rb") as file:
        file.seek(-FOOTER_SIZE, 2)
        above = file.read(FOOTER_SIZE)
    (stamp,) = struct.unpack_from(">I", above, 24)
    size = size or int(struct.unpack_from(">Q", above, 48)[0])
    identifier = identifier or uuid.uuid5(_IDENTIFIER, target.name)
    blocks: dict[int, dict[int, bytes]] = {}
    for offset, data in changes.items():
        for at in range(0, len(data), SECTOR):
            block, within = divmod(offset + at, block_size)
            blocks.setdefault(block, {})[within] = data[at : at + SECTOR]
    count = -(-size // block_size)
    table = [ABSENT_BLOCK] * count
    locators, pieces = [], {}
    at = BAT_OFFSET + _whole_sectors(4 * count)
    for code, data in link.locators().items():
        space = _whole_sectors(len(data))
        locators.append(struct.pack(">4sIIIQ", code, space // SECTOR, len(data), 0, at))
        pieces[at] = data
        at += space
    bitmap_size = len(block_bitmap(block_size))
    for block, sectors in blocks.items():
        table[block] = at // SECTOR
        bitmap = bytearray(bitmap_size)
        for within, data in sectors.items():
            bitmap[within // SECTOR // 8] |= 0x80 >> within // SECTOR % 8
            pieces[at + bitmap_size + within] = data
        pieces[at] = bytes(bitmap)
        at += bitmap_size + block_size
    fields = struct.pack(
        ">8sQQIIII16sII512s", b"cxsparse", NOWHERE, BAT_OFFSET, 0x10000, count, block_size, 0,
        link.identifier.bytes if link.identifier else above[68:84],
        stamp if link.time is None else link.time, 0,
        (link.path.name if link.name is None else link.name).encode("utf-16-be"),
    )  # fmt: skip
    header = (fields + b"".join(locators)).ljust(DYNAMIC_HEADER_SIZE, b"\0")
    end = footer(size, DIFFERENCING, DYNAMIC_HEADER_OFFSET, identifier)
    pieces.update({
        0: end,
        DYNAMIC_HEADER_OFFSET: sealed(header, DYNAMIC_HEADER_CHECKSUM),
        BAT_OFFSET: struct.pack(f">{count}I", *table).ljust(_whole_sectors(4 * count), b"\xff"),
        at: end,
    })  # fmt: skip
    with target.open("wb") as file:
        for offset, data in pieces.items():
            file.seek(offset)
            file.write(data)
    return target


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
