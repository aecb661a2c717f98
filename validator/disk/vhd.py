"""VHD: footer, dynamic disk header, block allocation table, sector bitmaps.

Source: Microsoft, Virtual Hard Disk Image Format Specification, version 1.0 (2006). All numbers are
big-endian. Everything here is verified before a byte of the disk is believed: the format's two
checksums, and for the table that none protects, bounds and overlap.
"""

import sys
import uuid
from array import array
from collections.abc import Iterator

from validator.disk.container import BlockDisk, Container, ParentLink, unpack_at
from validator.evidence import Evidence, Layer, Location, Unreadable, damaged, made_good
from validator.source import ByteSource, Overlay

SECTOR = 512
FOOTER_SIZE = 512
HEADER_SIZE = 1024
ABSENT = 0xFFFFFFFF
MAX_ENTRIES = 2**21
"""Entries of the BAT that are looked at; 4 TiB in blocks of 2 MiB, twice the format's limit."""
_CHUNK = 2**20
_FIXED, _DYNAMIC, _DIFFERENCING = 2, 3, 4
MAX_LOCATOR = 64 * 2**10
_LOCATORS = (b"W2ru", b"W2ku", b"Wi2r", b"Wi2k")
"""Platform codes whose data is a path in UTF-16."""
_SPEC = "VHD 1.0"


def checksum(structure: bytes, field: int) -> int:
    """Ones' complement of the sum of all bytes, the four at `field` taken as zero."""
    return ~(sum(structure) - sum(structure[field : field + 4])) & 0xFFFFFFFF


def open_vhd(source: ByteSource) -> "FixedVhd | DynamicVhd":
    """The disk in a VHD, all of its structures verified, recovered in memory where the format allows.

    A dynamic or differencing disk has a copy of its footer at the front, which stands in for a damaged
    one and the other way round. Footers of 511 bytes, as written before 2004, are understood.

    Raises:
        Unreadable: for damage that no copy makes good, and a saved state.
    """
    view, recovered = Overlay(source), list[Evidence]()
    front = _read_footer(view, 0)
    footer, at = _read_last_footer(view)
    if isinstance(footer, Unreadable):
        # A fixed disk has no copy: what stands at its front is the disk's.
        if isinstance(front, Unreadable) or _kind(front) == _FIXED:
            raise footer
        recovered.append(made_good(footer, "its copy at the front was used"))
        at = _place_of_footer(view, front)
        view.grow(at + FOOTER_SIZE)
        view.lay(at, front)
        footer = front
    elif _kind(footer) != _FIXED and isinstance(front, Unreadable):
        recovered.append(made_good(front, "the footer was used"))
        view.lay(0, footer)
    elif _kind(footer) != _FIXED and front != footer:
        raise _damage(0, "a copy of the footer", "another footer", "Dynamic Hard Disk Image")
    size = _verify_meaning(footer, at)
    _show_one_size(view, footer, at)
    if _kind(footer) != _FIXED:
        return DynamicVhd(view.sound, tuple(recovered), footer, at)
    if at < size:
        raise _damage(at + 48, f"a current size within the {at} bytes before the footer", str(size))
    return FixedVhd(view.sound, tuple(recovered), footer)


def _read_footer(view: Overlay, offset: int) -> bytes | Unreadable:
    """A footer whose cookie, checksum and version hold, or why there is none."""
    if offset < 0 or offset + FOOTER_SIZE > view.size:
        return _damage(0, "a footer of 512 bytes", f"a file of {view.size} bytes")
    footer = view.read_at(offset, FOOTER_SIZE)
    if footer[:8] != b"conectix":
        return _damage(offset, "the footer's cookie “conectix”", footer[:8].hex(" "))
    (stored,) = unpack_at(">I", footer, 64)
    if stored != (computed := checksum(footer, 64)):
        return _damage(offset + 64, f"the footer's checksum {computed:#010x}", f"{stored:#010x}")
    features, version = unpack_at(">II", footer, 8)
    if not features & 2:
        return _damage(offset + 8, "the feature bit that is always set", f"{features:#x}")
    if version != 0x00010000:
        return _damage(offset + 12, "format version 1.0", f"{version:#010x}")
    return footer


def _read_last_footer(view: Overlay) -> tuple[bytes | Unreadable, int]:
    """The footer at the end of the file, or why there is none, and its offset.

    One of 511 bytes gets its last byte, which is reserved and zero, in the view.
    """
    length = view.size
    footer = _read_footer(view, length - FOOTER_SIZE)
    if isinstance(footer, Unreadable) and length > FOOTER_SIZE:
        longer = Overlay(view, length + 1)
        if not isinstance(short := _read_footer(longer, length + 1 - FOOTER_SIZE), Unreadable):
            view.grow(length + 1)
            return short, length + 1 - FOOTER_SIZE
    return footer, length - FOOTER_SIZE


def _place_of_footer(view: Overlay, footer: bytes) -> int:
    """Where the lost footer of a disk with blocks has to be laid.

    In the last sector of the file if all blocks end before it, else (the file was cut there) behind it.
    """
    end = -(-view.size // SECTOR) * SECTOR
    (header_at,) = unpack_at(">Q", footer, 16)
    header = view.read_at(header_at, HEADER_SIZE)
    table_at, _version, entries, block_size = unpack_at(">QIII", header, 16)
    bat = _read_bat(view, table_at, min(entries, MAX_ENTRIES))
    used = max((sector for sector in bat if sector != ABSENT), default=0)
    last = used * SECTOR + _bitmap_size(block_size) + block_size if used else 0
    if last > view.size:
        raise _damage(view.size, f"{last} bytes of blocks", "the end of the file: it is cut", "Data Blocks")
    return end - FOOTER_SIZE if last <= end - FOOTER_SIZE else end


def _read_bat(source: ByteSource, offset: int, entries: int) -> "array[int]":
    bat: array[int] = array("I")
    for start in range(0, 4 * entries, _CHUNK):
        bat.frombytes(source.read_at(offset + start, min(_CHUNK, 4 * entries - start)))
    if sys.byteorder == "little":
        bat.byteswap()
    return bat


def _kind(footer: bytes) -> int:
    return unpack_at(">I", footer, 60)[0]


def _bitmap_size(block_size: int) -> int:
    return -(-block_size // SECTOR // 8 // SECTOR) * SECTOR


def _show_one_size(view: Overlay, footer: bytes, at: int) -> None:
    """Lay footers whose original size is the current one.

    The original size is informational ("Hard Disk Footer"): a resized disk keeps it. libvhdi takes it
    for the size of the disk.
    """
    if footer[40:48] == footer[48:56]:
        return
    plain = footer[:40] + footer[48:56] + footer[48:64] + bytes(4) + footer[68:]
    plain = plain[:64] + checksum(plain, 64).to_bytes(4, "big") + plain[68:]
    view.lay(at, plain)
    if _kind(footer) != _FIXED:
        view.lay(0, plain)


def _damage(offset: int, expected: str, found: str, section: str = "Hard Disk Footer") -> Unreadable:
    where = Location(Layer.CONTAINER, offset)
    return damaged(where, expected=expected, found=found, spec=f"{_SPEC}, {section}")


def _verify_meaning(footer: bytes, at: int) -> int:
    """The current size in a footer that holds, if its disk can be judged."""
    size, _geometry, kind = unpack_at(">QII", footer, 48)
    if kind not in (_FIXED, _DYNAMIC, _DIFFERENCING):
        raise _damage(at + 60, "disk type 2, 3 or 4", str(kind))
    if size == 0 or size % SECTOR:
        raise _damage(at + 48, "a current size in whole sectors", str(size))
    if footer[84]:
        found = "the flag of a suspended machine: its disk is not its whole state"
        raise _damage(at + 84, "no saved state", found)
    return size


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

    def __init__(self, sound: ByteSource, recovered: tuple[Evidence, ...], footer: bytes) -> None:
        self.alone = sound
        self.recovered = recovered
        self.container = _container(sound, footer, "fixed", None)
        self.identifier = str(uuid.UUID(bytes=footer[68:84]))
        self.time: int | None = unpack_at(">I", footer, 24)[0]

    def _read_block(self, block: int, within: int, length: int) -> bytes:
        return self.alone.read_at(within, length)


class DynamicVhd(BlockDisk):
    """Blocks where the BAT says, each behind a bitmap of its sectors.

    In a dynamic disk the bitmap says which sectors were ever written, in a differencing disk which are
    its own; the others are the parent's.
    """

    def __init__(
        self, sound: ByteSource, recovered: tuple[Evidence, ...], footer: bytes, footer_at: int
    ) -> None:
        self._sound = sound
        self.recovered = recovered
        self.identifier = str(uuid.UUID(bytes=footer[68:84]))
        self.time: int | None = unpack_at(">I", footer, 24)[0]
        self._end = footer_at
        (self._header_at,) = unpack_at(">Q", footer, 16)
        self._table_at, entries, block_size = self._verify_header(unpack_at(">Q", footer, 48)[0])
        self._bitmap_size = _bitmap_size(block_size)
        differencing = _kind(footer) == _DIFFERENCING
        self.container = _container(sound, footer, "differencing" if differencing else "dynamic", block_size)
        if differencing:
            self.parent_link = self._read_parent_link()
        self._bat = _read_bat(sound, self._table_at, entries)
        self._verify_bat()
        self.never_written = all(sector == ABSENT for sector in self._bat)
        self._bitmap: tuple[int, bytes] = -1, b""

    def _read_parent_link(self) -> ParentLink:
        header = self._sound.read_at(self._header_at, HEADER_SIZE)
        names = []
        for index in range(8):
            at = 576 + 24 * index
            length, _reserved, offset = unpack_at(">IIQ", header, at + 8)
            if (
                header[at : at + 4] in _LOCATORS
                and 0 < length <= MAX_LOCATOR
                and offset + length <= self._end
            ):
                names.append(self._sound.read_at(offset, length).decode("utf-16-le", "replace").rstrip("\0"))
        names.append(header[64:576].decode("utf-16-be", "replace").partition("\0")[0])
        identifier = str(uuid.UUID(bytes=header[40:56]))
        return ParentLink("vhd", (identifier,), tuple(filter(None, names)), unpack_at(">I", header, 56)[0])

    def _verify_header(self, size: int) -> tuple[int, int, int]:
        section = "Dynamic Disk Header"
        at = self._header_at
        if at < FOOTER_SIZE or at % SECTOR or at + HEADER_SIZE > self._end:
            raise _damage(16, "a data offset inside the file", f"{at:#x}")
        header = self._sound.read_at(at, HEADER_SIZE)
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

    @property
    def alone(self) -> ByteSource:
        """See `MappedDisk`: a differencing disk as a dynamic one."""
        if self.parent_link is None:
            return self._sound
        view = Overlay(self._sound)
        footer = view.read_at(self._end, FOOTER_SIZE)
        footer = footer[:60] + _DYNAMIC.to_bytes(4, "big") + bytes(4) + footer[68:]
        footer = footer[:64] + checksum(footer, 64).to_bytes(4, "big") + footer[68:]
        view.lay(0, footer)
        view.lay(self._end, footer)
        return view

    def _bits(self, block: int) -> bytes:
        if block != self._bitmap[0]:
            self._bitmap = block, self._sound.read_at(self._bat[block] * SECTOR, self._bitmap_size)
        return self._bitmap[1]

    def _pieces(self, block: int, within: int, length: int) -> Iterator[tuple[int, int, bool]]:
        if self._bat[block] == ABSENT:
            yield within, within + length, False
            return
        bits = self._bits(block)
        first, end = within // SECTOR, -(-(within + length) // SECTOR)
        while first < end:
            last, own = first, _is_set(bits, first)
            while last < end and _is_set(bits, last) == own:
                last += 1
            yield max(within, first * SECTOR), min(within + length, last * SECTOR), own
            first = last

    def _read_block(self, block: int, within: int, length: int) -> bytes:
        sector = self._bat[block]
        pieces = []
        for begin, end, own in self._pieces(block, within, length):
            if not own and self.parent_link is not None:
                in_disk = block * (self.container.block_size or 0)
                pieces.append(self._read_parent(in_disk + begin, end - begin))
            elif sector == ABSENT:
                pieces.append(bytes(end - begin))
            else:
                data = self._sound.read_at(sector * SECTOR + self._bitmap_size + begin, end - begin)
                if not own and any(data):
                    raise _damage(
                        sector * SECTOR + begin // SECTOR // 8,
                        "a bit set in the block bitmap for a sector that holds data",
                        "a clear bit: readers would disagree about this sector",
                        "Data Blocks",
                    )
                pieces.append(data)
        return b"".join(pieces)


def _is_set(bitmap: bytes, sector: int) -> bool:
    return bool(bitmap[sector // 8] & (0x80 >> sector % 8))
