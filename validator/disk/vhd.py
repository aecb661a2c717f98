"""VHD: footer, dynamic disk header, block allocation table, sector bitmaps.

Source: Microsoft, Virtual Hard Disk Image Format Specification, version 1.0 (2006). All numbers are
big-endian. Everything here is verified before a byte of the disk is believed: the format's two
checksums, and for the table that none protects, bounds and overlap.
"""

import sys
import uuid
from array import array

from validator.disk.container import BlockDisk, Container, unpack_at
from validator.evidence import Layer, Location, Unreadable, damaged
from validator.source import ByteSource, Overlay

SECTOR = 512
FOOTER_SIZE = 512
HEADER_SIZE = 1024
ABSENT = 0xFFFFFFFF
MAX_ENTRIES = 2**22
"""Entries of the BAT that are looked at; 8 TiB in blocks of 2 MiB, four times the format's limit."""
_CHUNK = 2**20
_FIXED, _DYNAMIC, _DIFFERENCING = 2, 3, 4
_SPEC = "VHD 1.0"


def checksum(structure: bytes, field: int) -> int:
    """Ones' complement of the sum of all bytes, the four at `field` taken as zero."""
    return ~(sum(structure) - sum(structure[field : field + 4])) & 0xFFFFFFFF


def open_vhd(source: ByteSource) -> "FixedVhd | DynamicVhd":
    """The disk in a fixed or dynamic VHD, all of its structures verified.

    Raises:
        Unreadable: for damage, a saved state, and a differencing disk.
    """
    offset = source.size - FOOTER_SIZE
    if offset < 0:
        raise _damage(0, "a footer of 512 bytes", f"a file of {source.size} bytes", "Hard Disk Footer")
    footer = source.read_at(offset, FOOTER_SIZE)
    kind, size = _verify_footer(footer, offset)
    if kind == _FIXED:
        if offset < size:
            raise _damage(
                offset + 48, f"a current size within the {offset} bytes before the footer", str(size)
            )
        return FixedVhd(source, footer, _with_one_size(source, footer, (offset,)))
    front = source.read_at(0, FOOTER_SIZE)
    if front != footer:
        raise _damage(0, "a copy of the footer", "something else", "Dynamic Hard Disk Image")
    return DynamicVhd(source, footer, size, _with_one_size(source, footer, (0, offset)))


def _with_one_size(source: ByteSource, footer: bytes, offsets: tuple[int, ...]) -> ByteSource:
    """The file with footers whose original size is the current one.

    The original size is informational ("Hard Disk Footer"): a resized disk keeps it. libvhdi takes it
    for the size of the disk.
    """
    if footer[40:48] == footer[48:56]:
        return source
    footer = footer[:40] + footer[48:56] + footer[48:64] + bytes(4) + footer[68:]
    footer = footer[:64] + checksum(footer, 64).to_bytes(4, "big") + footer[68:]
    view = Overlay(source)
    for offset in offsets:
        view.lay(offset, footer)
    return view


def _damage(offset: int, expected: str, found: str, section: str = "Hard Disk Footer") -> Unreadable:
    where = Location(Layer.CONTAINER, offset)
    return damaged(where, expected=expected, found=found, spec=f"{_SPEC}, {section}")


def _verify_footer(footer: bytes, offset: int) -> tuple[int, int]:
    """Disk type and current size of a footer that verifies."""
    if footer[:8] != b"conectix":
        raise _damage(offset, "the footer's cookie “conectix”", footer[:8].hex(" "))
    (stored,) = unpack_at(">I", footer, 64)
    if stored != (computed := checksum(footer, 64)):
        raise _damage(offset + 64, f"the footer's checksum {computed:#010x}", f"{stored:#010x}")
    features, version = unpack_at(">II", footer, 8)
    if not features & 2:
        raise _damage(offset + 8, "the feature bit that is always set", f"{features:#x}")
    if version != 0x00010000:
        raise _damage(offset + 12, "format version 1.0", f"{version:#010x}")
    size, _geometry, kind = unpack_at(">QII", footer, 48)
    if kind == _DIFFERENCING:
        raise _damage(offset + 60, "a fixed or dynamic disk", "a differencing disk: merge it into its parent")
    if kind not in (_FIXED, _DYNAMIC):
        raise _damage(offset + 60, "disk type 2, 3 or 4", str(kind))
    if size == 0 or size % SECTOR:
        raise _damage(offset + 48, "a current size in whole sectors", str(size))
    if footer[84]:
        raise _damage(
            offset + 84, "no saved state", "the flag of a suspended machine: its disk is not its whole state"
        )
    return kind, size


def _container(source: ByteSource, footer: bytes, subformat: str, block_size: int | None) -> Container:
    creator = footer[28:32].rstrip(b"\0 ").decode("ascii", "replace")
    return Container(
        "vhd",
        subformat,
        source.size,
        unpack_at(">Q", footer, 48)[0],
        SECTOR,
        block_size,
        str(uuid.UUID(bytes=footer[68:84])),
        creator or None,
        checksums=True,
    )


class FixedVhd(BlockDisk):
    """The disk's bytes as they are, then the footer."""

    def __init__(self, source: ByteSource, footer: bytes, sound: ByteSource) -> None:
        self._source = source
        self.sound = sound
        self.container = _container(source, footer, "fixed", None)

    def _read_block(self, block: int, within: int, length: int) -> bytes:
        return self._source.read_at(within, length)


class DynamicVhd(BlockDisk):
    """Blocks where the BAT says, each behind a bitmap of the sectors that were ever written."""

    def __init__(self, source: ByteSource, footer: bytes, size: int, sound: ByteSource) -> None:
        self._source = source
        self.sound = sound
        self._end = source.size - FOOTER_SIZE
        (self._header_at,) = unpack_at(">Q", footer, 16)
        self._table_at, entries, block_size = self._verify_header(size)
        self._bitmap_size = -(-block_size // SECTOR // 8 // SECTOR) * SECTOR
        self.container = _container(source, footer, "dynamic", block_size)
        self._bat = self._read_bat(entries)
        self._verify_bat()
        self._bitmap: tuple[int, bytes] = -1, b""

    def _verify_header(self, size: int) -> tuple[int, int, int]:
        section = "Dynamic Disk Header"
        at = self._header_at
        if at < FOOTER_SIZE or at % SECTOR or at + HEADER_SIZE > self._end:
            raise _damage(16, "a data offset inside the file", f"{at:#x}")
        header = self._source.read_at(at, HEADER_SIZE)
        if header[:8] != b"cxsparse":
            raise _damage(at, "the header's cookie “cxsparse”", header[:8].hex(" "), section)
        (stored,) = unpack_at(">I", header, 36)
        if stored != (computed := checksum(header, 36)):
            raise _damage(at + 36, f"the header's checksum {computed:#010x}", f"{stored:#010x}", section)
        table, version, entries, block_size = unpack_at(">QIII", header, 16)
        if version != 0x00010000:
            raise _damage(at + 24, "header version 1.0", f"{version:#010x}", section)
        if block_size < SECTOR or block_size & (block_size - 1) or block_size > 2**28:
            raise _damage(at + 32, "a block size that is a power of two", str(block_size), section)
        needed = -(-size // block_size)
        if entries < needed:
            raise _damage(
                at + 28, f"at least {needed} table entries for the disk's size", str(entries), section
            )
        if needed > MAX_ENTRIES:
            raise _damage(at + 28, f"at most {MAX_ENTRIES} blocks", str(needed), section)
        if table < FOOTER_SIZE or table % SECTOR or table + 4 * entries > self._end:
            raise _damage(at + 16, "a table offset inside the file", f"{table:#x}", section)
        if table < at + HEADER_SIZE and at < table + 4 * entries:
            raise _damage(at + 16, "a table apart from the header", f"{table:#x}", section)
        self._table_size = 4 * entries
        return table, needed, block_size

    def _read_bat(self, entries: int) -> "array[int]":
        bat: array[int] = array("I")
        for start in range(0, 4 * entries, _CHUNK):
            bat.frombytes(self._source.read_at(self._table_at + start, min(_CHUNK, 4 * entries - start)))
        if sys.byteorder == "little":
            bat.byteswap()
        return bat

    def _verify_bat(self) -> None:
        """Every block inside the file, apart from the metadata and from every other block."""
        section = "Block Allocation Table and Data Blocks"
        length = self._bitmap_size + (self.container.block_size or 0)
        table_end = self._table_at + self._table_size
        reserved = (
            (0, FOOTER_SIZE),
            (self._header_at, self._header_at + HEADER_SIZE),
            (self._table_at, table_end),
        )
        previous = -length
        for sector in sorted(sector for sector in self._bat if sector != ABSENT):
            start = sector * SECTOR
            found = None
            if start + length > self._end:
                found = "a block that leaves the file"
            elif any(start < end and begin < start + length for begin, end in reserved):
                found = "a block over the container's metadata"
            elif start < previous + length:
                found = "a block over another block"
            if found:
                entry = self._bat.index(sector)
                raise _damage(
                    self._table_at + 4 * entry, "a block of its own", f"sector {sector:#x}: {found}", section
                )
            previous = start

    def _read_block(self, block: int, within: int, length: int) -> bytes:
        sector = self._bat[block]
        if sector == ABSENT:
            return bytes(length)
        start = sector * SECTOR
        data = self._source.read_at(start + self._bitmap_size + within, length)
        if block != self._bitmap[0]:
            self._bitmap = block, self._source.read_at(start, self._bitmap_size)
        bits = self._bitmap[1]
        first, last = within // SECTOR, (within + length - 1) // SECTOR
        for number in range(first, last + 1):
            if bits[number // 8] & (0x80 >> number % 8):
                continue
            begin = max(0, number * SECTOR - within)
            if any(data[begin : (number + 1) * SECTOR - within]):
                raise _damage(
                    start + number // 8,
                    "a bit set in the block bitmap for a sector that holds data",
                    "a clear bit: readers would disagree about this sector",
                    "Data Blocks",
                )
        return data
