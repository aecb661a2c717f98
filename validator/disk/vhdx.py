"""VHDX: headers, region tables, metadata, block allocation table.

Source: Microsoft, [MS-VHDX] Virtual Hard Disk v2 (VHDX) File Format. All numbers are little-endian.
Headers and region tables carry a CRC-32C; metadata and BAT carry none, so that bounds and overlap
are their only defence and every entry is held to them.
"""

import re
import sys
import uuid
from array import array
from collections.abc import Iterator
from typing import NamedTuple

from validator.disk.container import BlockDisk, Container, ParentLink, unpack_at
from validator.disk.crc32c import crc32c
from validator.disk.vhdx_log import replay
from validator.evidence import Evidence, Layer, Location, Unreadable, damaged, made_good
from validator.source import ByteSource, Overlay

KIB, MIB = 2**10, 2**20
HEADER_OFFSETS = (64 * KIB, 128 * KIB)
HEADER_SIZE = 4 * KIB
REGION_TABLE_OFFSETS = (192 * KIB, 256 * KIB)
TABLE_SIZE = 64 * KIB
MAX_TABLE_ENTRIES = 2047
MAX_BAT_SIZE = 64 * MIB
"""A BAT above this is not looked at: 8 Mi entries, 8 TiB in blocks of 1 MiB."""
MAX_VIRTUAL_SIZE = 64 * 2**40
MAX_FILE_SIZE = 65 * 2**40
"""The format's largest disk with all that describes it."""

_BAT = uuid.UUID("2dc27766-f623-4200-9d64-115e9bfd4a08")
_METADATA = uuid.UUID("8b7ca206-4790-4b9a-b8fe-575f050f886e")
_FILE_PARAMETERS = uuid.UUID("caa16737-fa36-4d43-b3b6-33f0aa44e76b")
_VIRTUAL_DISK_SIZE = uuid.UUID("2fa54224-cd1b-4876-b211-5dbed83bf4b8")
_VIRTUAL_DISK_ID = uuid.UUID("beca12ab-b2e6-4523-93ef-c309e000c746")
_LOGICAL_SECTOR_SIZE = uuid.UUID("8141bf1d-a96f-4709-ba47-f233a8faab5f")
_PHYSICAL_SECTOR_SIZE = uuid.UUID("cda348c7-445d-4471-9cc9-e9885251c556")
_PARENT_LOCATOR = uuid.UUID("a8d35f2d-b30b-454d-abf7-d3d84834ab0c")
_VHDX_LOCATOR = uuid.UUID("b04aefb7-d19e-4a81-b789-25b8e9445913")
_GUID = re.compile(r"\{?[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\}?")
MAX_LOCATOR = 64 * KIB
_ITEM_SIZES = {
    _FILE_PARAMETERS: 8,
    _VIRTUAL_DISK_SIZE: 8,
    _VIRTUAL_DISK_ID: 16,
    _LOGICAL_SECTOR_SIZE: 4,
    _PHYSICAL_SECTOR_SIZE: 4,
}
_NOT_PRESENT, _UNDEFINED, _ZERO, _UNMAPPED, _FULLY_PRESENT, _PARTIALLY_PRESENT = 0, 1, 2, 3, 6, 7
_ZERO_STATES = (_NOT_PRESENT, _ZERO)
_UNCERTAIN_STATES = {_UNDEFINED: "undefined", _UNMAPPED: "unmapped"}


def _damage(offset: int, expected: str, found: str, section: str) -> Unreadable:
    where = Location(Layer.CONTAINER, offset)
    return damaged(where, expected=expected, found=found, spec=f"[MS-VHDX] {section}")


def _verify_crc(structure: bytes, offset: int, what: str, section: str) -> None:
    (stored,) = unpack_at("<I", structure, 4)
    computed = crc32c(structure[:4] + bytes(4) + structure[8:])
    if stored != computed:
        raise _damage(offset + 4, f"the {what}'s checksum {computed:#010x}", f"{stored:#010x}", section)


class Span(NamedTuple):
    """A named range of the file."""

    name: str
    offset: int
    length: int

    @property
    def end(self) -> int:
        """First offset behind it."""
        return self.offset + self.length

    def overlaps(self, other: "Span") -> bool:
        """Whether the two share a byte."""
        return self.offset < other.end and other.offset < self.end


def open_vhdx(source: ByteSource) -> "VhdxDisk":
    """The disk in a VHDX, all of its structures verified, recovered in memory where the format allows.

    Raises:
        Unreadable: for damage that no copy makes good, a log that cannot be replayed.
    """
    if source.size < REGION_TABLE_OFFSETS[1] + TABLE_SIZE:
        raise _damage(
            0, "a header section of 1 MiB", f"a file of {source.size} bytes: it is cut", "2.2 Header Section"
        )
    if source.size > MAX_FILE_SIZE:
        raise _damage(0, "a file of at most 65 TiB", f"one of {source.size} bytes", "2.2 Header Section")
    if (signature := source.read_at(0, 8)) != b"vhdxfile":
        raise _damage(0, "the signature “vhdxfile”", signature.hex(" "), "2.2.1 File Type Identifier")
    view, recovered = Overlay(source), list[Evidence]()
    header, at = _read_headers(view, recovered)
    log = _read_log(view, header, at, recovered)
    regions = _read_region_tables(view, log, recovered)
    metadata = _read_metadata(view, regions[_METADATA])
    return VhdxDisk(view, tuple(recovered), header, log, regions[_BAT], metadata)


def _read_headers(view: Overlay, recovered: list[Evidence]) -> tuple[bytes, int]:
    """The current header and its offset: of the valid ones that with the higher sequence number.

    A header that does not hold is laid over with the other, as [MS-VHDX] 2.2.2 has it on opening.
    """
    section = "2.2.2 Headers"
    valid: list[tuple[int, bytes, int]] = []
    faults: list[Unreadable] = []
    for offset in HEADER_OFFSETS:
        header = view.read_at(offset, HEADER_SIZE)
        try:
            if header[:4] != b"head":
                raise _damage(offset, "the header's signature “head”", header[:4].hex(" "), section)
            _verify_crc(header, offset, "header", section)
        except Unreadable as error:
            faults.append(error)
            continue
        valid.append((unpack_at("<Q", header, 8)[0], header, offset))
    if not valid:
        raise faults[0]
    if len(valid) == 2 and valid[0][0] == valid[1][0] and valid[0][1] != valid[1][1]:
        found = f"{valid[0][0]} in both"
        raise _damage(HEADER_OFFSETS[1] + 8, "headers of different sequence numbers", found, section)
    _sequence, current, at = max(valid, key=lambda each: each[0])
    if faults:
        view.lay(sum(HEADER_OFFSETS) - at, current)
        recovered.append(made_good(faults[0], "the other header was used"))
    return current, at


def _read_log(view: Overlay, header: bytes, at: int, recovered: list[Evidence]) -> Span:
    """The log's place, after what is pending in it was replayed."""
    section = "2.2.2 Headers"
    log_version, version, log_length, log_offset = unpack_at("<HHIQ", header, 64)
    if version != 1:
        raise _damage(at + 66, "format version 1", str(version), section)
    log = Span("the log", log_offset, log_length)
    if log_offset % MIB or log_length % MIB or log_offset < MIB or log.end > view.size:
        raise _damage(at + 68, "a log inside the file", f"{log_length:#x} bytes at {log_offset:#x}", section)
    if any(header[48:64]):
        if log_version:
            raise _damage(at + 64, "log version 0", str(log_version), section)
        entries, sectors = replay(view, log_offset, log_length, header[48:64])
        fault = _damage(at + 48, "an empty log", "one that was pending", "2.3 Log")
        how = f"{entries} entries with {sectors} sectors of 4 KiB were replayed in memory"
        recovered.append(made_good(fault, how))
    return log


def _read_region_tables(view: Overlay, log: Span, recovered: list[Evidence]) -> dict[uuid.UUID, Span]:
    """BAT and metadata region, by the first table that holds; one that does not is laid over with it."""
    section = "2.2.3 Region Table"
    valid: list[tuple[bytes, int]] = []
    faults: list[tuple[Unreadable, int]] = []
    for at in REGION_TABLE_OFFSETS:
        table = view.read_at(at, TABLE_SIZE)
        if valid and table == valid[0][0]:
            continue
        try:
            if table[:4] != b"regi":
                raise _damage(at, "the region table's signature “regi”", table[:4].hex(" "), section)
            _verify_crc(table, at, "region table", section)
        except Unreadable as error:
            faults.append((error, at))
            continue
        valid.append((table, at))
    if not valid:
        raise faults[0][0]
    if len(valid) == 2:
        raise _damage(REGION_TABLE_OFFSETS[1], "a copy of the first region table", "another table", section)
    table, at = valid[0]
    for fault, offset in faults:
        view.lay(offset, table)
        recovered.append(made_good(fault, "the other region table was used"))
    return _regions(table, at, log, view.size)


def _regions(table: bytes, at: int, log: Span, file_size: int) -> dict[uuid.UUID, Span]:
    section = "2.2.3 Region Table"
    (count,) = unpack_at("<I", table, 8)
    if count > MAX_TABLE_ENTRIES:
        raise _damage(at + 8, f"at most {MAX_TABLE_ENTRIES} regions", str(count), section)
    spans = [Span("the header section", 0, MIB), log]
    regions: dict[uuid.UUID, Span] = {}
    for index in range(count):
        entry = 16 + 32 * index
        guid = uuid.UUID(bytes_le=table[entry : entry + 16])
        offset, length, required = unpack_at("<QII", table, entry + 16)
        where = at + entry
        name = {_BAT: "the BAT", _METADATA: "the metadata region"}.get(guid, f"region {guid}")
        region = Span(name, offset, length)
        if guid in regions:
            raise _damage(where, "one entry a region", f"{name} twice", section)
        if name.startswith("region") and required & 1:
            raise _damage(where, "regions that are known", f"{guid}, which is marked as required", section)
        if offset % MIB or length % MIB or not length or region.end > file_size:
            raise _damage(
                where, "a region inside the file", f"{name}: {length:#x} bytes at {offset:#x}", section
            )
        for other in spans:
            if region.overlaps(other):
                raise _damage(where, "a region of its own", f"{name} over {other.name}", section)
        spans.append(region)
        regions[guid] = region
    for guid, name in ((_BAT, "the BAT"), (_METADATA, "the metadata region")):
        if guid not in regions:
            raise _damage(at, name, "a region table without it", section)
    return regions


class Metadata(NamedTuple):
    """The known metadata items, each within what the specification allows."""

    region: Span
    block_size: int
    leave_allocated: bool
    virtual_size: int
    disk_id: str
    logical_sector_size: int
    parent: ParentLink | None
    """Of a differencing disk."""
    parameters_at: int
    """Offset of the file parameters in the file."""


def _read_metadata(view: Overlay, region: Span) -> Metadata:
    """The metadata; a table that holds more than the known items is laid over with one of these alone.

    The format allows items of the user and optional ones; libvhdi refuses some of them.
    """
    section = "2.6 Metadata Region"
    table = view.read_at(region.offset, TABLE_SIZE)
    if table[:8] != b"metadata":
        raise _damage(region.offset, "the signature “metadata”", table[:8].hex(" "), section)
    (count,) = unpack_at("<H", table, 10)
    if count > MAX_TABLE_ENTRIES:
        raise _damage(region.offset + 10, f"at most {MAX_TABLE_ENTRIES} items", str(count), section)
    items: dict[uuid.UUID, tuple[int, bytes]] = {}
    spans: list[Span] = []
    known = b""
    for index in range(count):
        at = 32 + 32 * index
        where = region.offset + at
        guid = uuid.UUID(bytes_le=table[at : at + 16])
        offset, length, flags = unpack_at("<III", table, at + 16)
        user = flags & 1
        if (guid not in _ITEM_SIZES and guid != _PARENT_LOCATOR) or user:
            if flags & 4 and not user:
                raise _damage(where, "metadata items that are known", f"{guid}, marked as required", section)
            continue
        span = Span(f"item {guid}", offset, length)
        if guid in items:
            raise _damage(where, "one entry an item", f"{guid} twice", section)
        size = _ITEM_SIZES.get(guid, min(length, MAX_LOCATOR))
        if length != size or offset < TABLE_SIZE or span.end > region.length:
            raise _damage(where, f"an item of {size} bytes", f"{length} at {offset:#x}", section)
        if any(span.overlaps(other) for other in spans):
            raise _damage(where, "an item of its own", f"{guid} over another", section)
        spans.append(span)
        known += table[at : at + 32]
        items[guid] = region.offset + offset, view.read_at(region.offset + offset, length)
    for guid in _ITEM_SIZES:
        if guid not in items:
            raise _damage(region.offset, f"metadata item {guid}", "none", section)
    if count != len(items):
        plain = table[:10] + len(items).to_bytes(2, "little") + table[12:32] + known
        view.lay(region.offset, plain.ljust(TABLE_SIZE, b"\0"))
    return _verify_metadata(region, items)


def _verify_metadata(region: Span, items: dict[uuid.UUID, tuple[int, bytes]]) -> Metadata:
    section = "2.6.2 Known Metadata Items"
    where, data = items[_FILE_PARAMETERS]
    block_size, flags = unpack_at("<II", data)
    if not MIB <= block_size <= 256 * MIB or block_size & (block_size - 1):
        raise _damage(where, "a block size from 1 to 256 MiB, a power of two", str(block_size), section)
    parent = None
    if flags & 2:
        if _PARENT_LOCATOR not in items:
            raise _damage(where + 4, "a parent locator in a differencing disk", "none", section)
        parent = _parent_link(*items[_PARENT_LOCATOR])
    where, data = items[_LOGICAL_SECTOR_SIZE]
    (logical,) = unpack_at("<I", data)
    if logical not in (512, 4096):
        raise _damage(where, "a logical sector size of 512 or 4096", str(logical), section)
    where, data = items[_PHYSICAL_SECTOR_SIZE]
    (physical,) = unpack_at("<I", data)
    if physical not in (512, 4096):
        raise _damage(where, "a physical sector size of 512 or 4096", str(physical), section)
    where, data = items[_VIRTUAL_DISK_SIZE]
    (virtual_size,) = unpack_at("<Q", data)
    if not 0 < virtual_size <= MAX_VIRTUAL_SIZE or virtual_size % logical:
        raise _damage(where, "a disk size in whole sectors, at most 64 TiB", str(virtual_size), section)
    return Metadata(
        region,
        block_size,
        bool(flags & 1),
        virtual_size,
        str(uuid.UUID(bytes_le=items[_VIRTUAL_DISK_ID][1])),
        logical,
        parent,
        items[_FILE_PARAMETERS][0],
    )


def _parent_link(where: int, data: bytes) -> ParentLink:
    """The identifiers and the names that a parent locator gives for the parent."""
    section = "2.6.2.6 Parent Locator"
    if len(data) < 20 or uuid.UUID(bytes_le=data[:16]) != _VHDX_LOCATOR:
        raise _damage(where, "a parent locator of type VHDX", data[:16].hex(" "), section)
    (count,) = unpack_at("<H", data, 18)
    entries: dict[str, str] = {}
    for index in range(count):
        at = 20 + 12 * index
        if at + 12 > len(data):
            raise _damage(where + 18, "entries inside the locator", f"{count} of them", section)
        key_at, value_at, key_length, value_length = unpack_at("<IIHH", data, at)
        if key_at + key_length > len(data) or value_at + value_length > len(data):
            raise _damage(where + at, "an entry inside the locator", f"{value_length} bytes", section)
        key = data[key_at : key_at + key_length].decode("utf-16-le", "replace").rstrip("\0")
        entries[key] = data[value_at : value_at + value_length].decode("utf-16-le", "replace").rstrip("\0")
    linkages = (entries.get(key, "") for key in ("parent_linkage", "parent_linkage2"))
    identifiers = [linkage.strip("{}").lower() for linkage in linkages if _GUID.fullmatch(linkage.lower())]
    if not identifiers:
        raise _damage(where, "the parent's identifier (parent_linkage)", "none", section)
    names = (entries.get(key, "") for key in ("relative_path", "absolute_win32_path", "volume_path"))
    return ParentLink("vhdx", tuple(identifiers), tuple(name for name in names if name), None)


class VhdxDisk(BlockDisk):
    """Payload blocks where the BAT says; what a differencing disk does not hold is its parent's."""

    def __init__(
        self,
        view: Overlay,
        recovered: tuple[Evidence, ...],
        header: bytes,
        log: Span,
        bat: Span,
        metadata: Metadata,
    ) -> None:
        self._source = view.sound
        self._parameters_at = metadata.parameters_at
        self._bat_region = bat
        self._chunk_ratio = 2**23 * metadata.logical_sector_size // metadata.block_size
        self._sector_size = metadata.logical_sector_size
        self.recovered = recovered
        self.parent_link = metadata.parent
        subformat = "fixed" if metadata.leave_allocated else "dynamic"
        self.container = Container(
            "vhdx",
            "differencing" if metadata.parent else subformat,
            self._source.size,
            metadata.virtual_size,
            metadata.logical_sector_size,
            metadata.block_size,
            metadata.disk_id,
            self._source.read_at(8, 512).decode("utf-16-le", "replace").partition("\0")[0] or None,
            checksums=True,
        )
        self.identifier = str(uuid.UUID(bytes_le=header[32:48]))
        self._bat = self._read_bat(metadata)
        self._verify_bat((log, bat, metadata.region))
        if not metadata.leave_allocated:
            self.never_written = all(entry & 7 in (_NOT_PRESENT, _ZERO) for entry in self._bat)

    def _read_bat(self, metadata: Metadata) -> "array[int]":
        section = "2.5 BAT"
        blocks = -(-metadata.virtual_size // metadata.block_size)
        entries = blocks + (blocks - 1) // self._chunk_ratio
        if metadata.parent:
            entries = -(-blocks // self._chunk_ratio) * (self._chunk_ratio + 1)
        at = self._bat_region.offset
        if 8 * entries > self._bat_region.length:
            raise _damage(at, f"a BAT of {entries} entries", f"{self._bat_region.length} bytes", section)
        if 8 * entries > MAX_BAT_SIZE:
            raise _damage(at, f"a BAT of at most {MAX_BAT_SIZE} bytes", str(8 * entries), section)
        bat: array[int] = array("Q")
        for start in range(0, 8 * entries, MIB):
            bat.frombytes(self._source.read_at(at + start, min(MIB, 8 * entries - start)))
        if sys.byteorder == "big":
            bat.byteswap()
        return bat

    def _verify_bat(self, reserved: tuple[Span, ...]) -> None:
        """Every block inside the file, apart from the regions, the log and every other block."""
        block = b"\1" * ((self.container.block_size or 0) // MIB)
        units = len(block)
        # A byte for each unit of 1 MiB of the file: whether something is there.
        used = bytearray(-(-self._source.size // MIB))
        whole = self._source.size // MIB
        for span in (Span("the header section", 0, MIB), *reserved):
            used[span.offset // MIB : span.end // MIB] = b"\1" * (span.length // MIB)
        differencing = self.parent_link is not None
        present = (_FULLY_PRESENT, _PARTIALLY_PRESENT) if differencing else (_FULLY_PRESENT,)
        stride = self._chunk_ratio + 1
        for start in range(0, len(self._bat), stride):
            # The last entry of a chunk is its sector bitmap's.
            for index, entry in enumerate(self._bat[start : start + self._chunk_ratio], start):
                state = entry & 7
                if state in present:
                    unit = entry >> 20
                    end = unit + units
                    if end > whole or used.find(1, unit, end) >= 0:
                        raise self._misplaced(index, unit, inside=end <= whole)
                    used[unit:end] = block
                elif state > _UNMAPPED:
                    raise self._bat_damage(index, "a payload block state of this disk", f"state {state}")
            index = start + self._chunk_ratio
            if index < len(self._bat) and (state := self._bat[index] & 7):
                if state != _FULLY_PRESENT or not differencing:
                    raise self._bat_damage(index, "no sector bitmap in this disk", f"state {state}")
                unit = self._bat[index] >> 20
                if unit >= whole or used[unit]:
                    raise self._misplaced(index, unit, inside=unit < whole)
                used[unit] = 1

    def _misplaced(self, index: int, unit: int, *, inside: bool) -> Unreadable:
        if inside:
            return self._bat_damage(
                index, "a block of its own", f"one at {unit * MIB:#x} over something else"
            )
        return self._bat_damage(index, "a block inside the file", f"a block at {unit * MIB:#x}")

    def _bat_damage(self, index: int, expected: str, found: str) -> Unreadable:
        return _damage(self._bat_region.offset + 8 * index, expected, found, "2.5.1 BAT Entry")

    @property
    def alone(self) -> ByteSource:
        """See `MappedDisk`: a differencing disk as a dynamic one, all of whose blocks are whole."""
        if self.parent_link is None:
            return self._source
        view = Overlay(self._source)
        (flags,) = unpack_at("<I", view.read_at(self._parameters_at + 4, 4))
        view.lay(self._parameters_at + 4, (flags & ~2).to_bytes(4, "little"))
        for index, entry in enumerate(self._bat):
            if entry & 7 == _PARTIALLY_PRESENT:
                whole = (entry & ~7 | _FULLY_PRESENT).to_bytes(8, "little")
                view.lay(self._bat_region.offset + 8 * index, whole)
        return view

    def _entry(self, block: int) -> tuple[int, int, int]:
        """Index in the BAT, state and file offset of a payload block."""
        index = block + block // self._chunk_ratio
        return index, self._bat[index] & 7, (self._bat[index] >> 20) * MIB

    def _read_block(self, block: int, within: int, length: int) -> bytes:
        index, state, offset = self._entry(block)
        pieces = []
        for begin, end, own in self._pieces(block, within, length):
            if own:
                pieces.append(self._source.read_at(offset + begin, end - begin))
            elif self.parent_link is not None and state in (_NOT_PRESENT, _PARTIALLY_PRESENT):
                in_disk = block * (self.container.block_size or 0)
                pieces.append(self._read_parent(in_disk + begin, end - begin))
            elif state in _ZERO_STATES:
                pieces.append(bytes(end - begin))
            else:
                found = f"one that is {_UNCERTAIN_STATES[state]}, so that it may hold anything"
                raise self._bat_damage(index, "a block with content", found)
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def _pieces(self, block: int, within: int, length: int) -> Iterator[tuple[int, int, bool]]:
        """By the sector bitmap, where the block is partially present."""
        _index, state, _offset = self._entry(block)
        if state != _PARTIALLY_PRESENT:
            yield within, within + length, state == _FULLY_PRESENT
            return
        chunk, number = divmod(block, self._chunk_ratio)
        index = (chunk + 1) * (self._chunk_ratio + 1) - 1
        if self._bat[index] & 7 != _FULLY_PRESENT:
            raise self._bat_damage(index, "the sector bitmap of a partially present block", "none")
        before = number * ((self.container.block_size or 0) // self._sector_size)
        first = before + within // self._sector_size
        end = before + -(-(within + length) // self._sector_size)
        skipped = first // 8
        bitmap_at = (self._bat[index] >> 20) * MIB + skipped
        bitmap = self._source.read_at(bitmap_at, -(-end // 8) - skipped)
        while first < end:
            last, own = first, bitmap[first // 8 - skipped] >> first % 8 & 1
            while last < end and bitmap[last // 8 - skipped] >> last % 8 & 1 == own:
                last += 1
            begin, stop = (first - before) * self._sector_size, (last - before) * self._sector_size
            yield max(within, begin), min(within + length, stop), bool(own)
            first = last
