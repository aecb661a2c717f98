"""VHDX: headers, region tables, metadata, block allocation table.

Source: Microsoft, [MS-VHDX] Virtual Hard Disk v2 (VHDX) File Format. All numbers are little-endian.
Headers and region tables carry a CRC-32C; metadata and BAT carry none, so that bounds and overlap
are their only defence and every entry is held to them.
"""

import sys
import uuid
from array import array
from typing import NamedTuple

from validator.disk.container import BlockDisk, Container, unpack_at
from validator.disk.crc32c import crc32c
from validator.evidence import Layer, Location, Unreadable, damaged
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

_BAT = uuid.UUID("2dc27766-f623-4200-9d64-115e9bfd4a08")
_METADATA = uuid.UUID("8b7ca206-4790-4b9a-b8fe-575f050f886e")
_FILE_PARAMETERS = uuid.UUID("caa16737-fa36-4d43-b3b6-33f0aa44e76b")
_VIRTUAL_DISK_SIZE = uuid.UUID("2fa54224-cd1b-4876-b211-5dbed83bf4b8")
_VIRTUAL_DISK_ID = uuid.UUID("beca12ab-b2e6-4523-93ef-c309e000c746")
_LOGICAL_SECTOR_SIZE = uuid.UUID("8141bf1d-a96f-4709-ba47-f233a8faab5f")
_PHYSICAL_SECTOR_SIZE = uuid.UUID("cda348c7-445d-4471-9cc9-e9885251c556")
_PARENT_LOCATOR = uuid.UUID("a8d35f2d-b30b-454d-abf7-d3d84834ab0c")
_ITEM_SIZES = {
    _FILE_PARAMETERS: 8,
    _VIRTUAL_DISK_SIZE: 8,
    _VIRTUAL_DISK_ID: 16,
    _LOGICAL_SECTOR_SIZE: 4,
    _PHYSICAL_SECTOR_SIZE: 4,
}
_NOT_PRESENT, _UNDEFINED, _ZERO, _UNMAPPED, _FULLY_PRESENT = 0, 1, 2, 3, 6
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
    """The disk in a fixed or dynamic VHDX, all of its structures verified.

    Raises:
        Unreadable: for damage, a log that was not replayed, and a differencing disk.
    """
    if source.size < REGION_TABLE_OFFSETS[1] + TABLE_SIZE:
        raise _damage(
            0, "a header section of 1 MiB", f"a file of {source.size} bytes: it is cut", "2.2 Header Section"
        )
    if (signature := source.read_at(0, 8)) != b"vhdxfile":
        raise _damage(0, "the signature “vhdxfile”", signature.hex(" "), "2.2.1 File Type Identifier")
    creator = source.read_at(8, 512).decode("utf-16-le", "replace").partition("\0")[0]
    log = _read_headers(source)
    regions = _read_region_tables(source, log)
    metadata, table = _read_metadata(source, regions[_METADATA])
    sound: ByteSource = source
    if table is not None:
        sound = Overlay(source)
        sound.lay(metadata.region.offset, table)
    return VhdxDisk(source, sound, creator, log, regions[_BAT], metadata)


def _read_headers(source: ByteSource) -> Span:
    """The log's place as the current header has it. Both headers must hold."""
    section = "2.2.2 Headers"
    sequences: dict[int, bytes] = {}
    for offset in HEADER_OFFSETS:
        header = source.read_at(offset, HEADER_SIZE)
        if header[:4] != b"head":
            raise _damage(offset, "the header's signature “head”", header[:4].hex(" "), section)
        _verify_crc(header, offset, "header", section)
        (sequence,) = unpack_at("<Q", header, 8)
        if sequences.get(sequence, header) != header:
            raise _damage(offset + 8, "headers of different sequence numbers", f"{sequence} twice", section)
        sequences[sequence] = header
    current = sequences[max(sequences)]
    at = HEADER_OFFSETS[0] if current == source.read_at(HEADER_OFFSETS[0], HEADER_SIZE) else HEADER_OFFSETS[1]
    log_version, version, log_length, log_offset = unpack_at("<HHIQ", current, 64)
    if version != 1:
        raise _damage(at + 66, "format version 1", str(version), section)
    if any(current[48:64]):
        found = "a log that is still to be replayed: the image was not closed cleanly"
        raise _damage(at + 48, "an empty log", found, "2.3 Log")
    if log_version:
        raise _damage(at + 64, "log version 0", str(log_version), section)
    log = Span("the log", log_offset, log_length)
    if log_offset % MIB or log_length % MIB or log_offset < MIB or log.end > source.size:
        raise _damage(at + 68, "a log inside the file", f"{log_length:#x} bytes at {log_offset:#x}", section)
    return log


def _read_region_tables(source: ByteSource, log: Span) -> dict[uuid.UUID, Span]:
    """BAT and metadata region. Both copies of the table must hold, and say the same."""
    section = "2.2.3 Region Table"
    first: bytes | None = None
    for at in REGION_TABLE_OFFSETS:
        table = source.read_at(at, TABLE_SIZE)
        if table == first:
            continue
        if table[:4] != b"regi":
            raise _damage(at, "the region table's signature “regi”", table[:4].hex(" "), section)
        _verify_crc(table, at, "region table", section)
        if first is not None:
            raise _damage(at, "a copy of the first region table", "another table", section)
        first = table
    assert first is not None
    (count,) = unpack_at("<I", first, 8)
    if count > MAX_TABLE_ENTRIES:
        raise _damage(
            REGION_TABLE_OFFSETS[0] + 8, f"at most {MAX_TABLE_ENTRIES} regions", str(count), section
        )
    spans = [Span("the header section", 0, MIB), log]
    regions: dict[uuid.UUID, Span] = {}
    for index in range(count):
        at = 16 + 32 * index
        guid = uuid.UUID(bytes_le=first[at : at + 16])
        offset, length, required = unpack_at("<QII", first, at + 16)
        where = REGION_TABLE_OFFSETS[0] + at
        name = {_BAT: "the BAT", _METADATA: "the metadata region"}.get(guid, f"region {guid}")
        region = Span(name, offset, length)
        if guid in regions:
            raise _damage(where, "one entry a region", f"{name} twice", section)
        if name.startswith("region") and required & 1:
            raise _damage(where, "regions that are known", f"{guid}, which is marked as required", section)
        if offset % MIB or length % MIB or not length or region.end > source.size:
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
            raise _damage(REGION_TABLE_OFFSETS[0], name, "a region table without it", section)
    return regions


class Metadata(NamedTuple):
    """The known metadata items, each within what the specification allows."""

    region: Span
    block_size: int
    leave_allocated: bool
    virtual_size: int
    disk_id: str
    logical_sector_size: int


def _read_metadata(source: ByteSource, region: Span) -> tuple[Metadata, bytes | None]:
    """The metadata, and where the table holds more than the known items, a table of these alone.

    The format allows items of the user and optional ones; libvhdi refuses some of them.
    """
    section = "2.6 Metadata Region"
    table = source.read_at(region.offset, TABLE_SIZE)
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
        if guid == _PARENT_LOCATOR:
            continue
        if guid not in _ITEM_SIZES or user:
            if flags & 4 and not user:
                raise _damage(where, "metadata items that are known", f"{guid}, marked as required", section)
            continue
        span = Span(f"item {guid}", offset, length)
        if guid in items:
            raise _damage(where, "one entry an item", f"{guid} twice", section)
        if length != _ITEM_SIZES[guid] or offset < TABLE_SIZE or span.end > region.length:
            raise _damage(where, f"an item of {_ITEM_SIZES[guid]} bytes", f"{length} at {offset:#x}", section)
        if any(span.overlaps(other) for other in spans):
            raise _damage(where, "an item of its own", f"{guid} over another", section)
        spans.append(span)
        known += table[at : at + 32]
        items[guid] = region.offset + offset, source.read_at(region.offset + offset, length)
    for guid in _ITEM_SIZES:
        if guid not in items:
            raise _damage(region.offset, f"metadata item {guid}", "none", section)
    plain = table[:10] + len(items).to_bytes(2, "little") + table[12:32] + known
    return _verify_metadata(region, items), None if count == len(items) else plain.ljust(TABLE_SIZE, b"\0")


def _verify_metadata(region: Span, items: dict[uuid.UUID, tuple[int, bytes]]) -> Metadata:
    section = "2.6.2 Known Metadata Items"
    where, data = items[_FILE_PARAMETERS]
    block_size, flags = unpack_at("<II", data)
    if not MIB <= block_size <= 256 * MIB or block_size & (block_size - 1):
        raise _damage(where, "a block size from 1 to 256 MiB, a power of two", str(block_size), section)
    if flags & 2:
        raise _damage(
            where + 4, "a fixed or dynamic disk", "a differencing disk: merge it into its parent", section
        )
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
    )


class VhdxDisk(BlockDisk):
    """Payload blocks where the BAT says."""

    def __init__(
        self, source: ByteSource, sound: ByteSource, creator: str, log: Span, bat: Span, metadata: Metadata
    ) -> None:
        self._source = source
        self.sound = sound
        self._bat_region = bat
        self._chunk_ratio = 2**23 * metadata.logical_sector_size // metadata.block_size
        self.container = Container(
            "vhdx",
            "fixed" if metadata.leave_allocated else "dynamic",
            source.size,
            metadata.virtual_size,
            metadata.logical_sector_size,
            metadata.block_size,
            metadata.disk_id,
            creator or None,
            checksums=True,
        )
        self._bat = self._read_bat(metadata)
        self._verify_bat((log, bat, metadata.region))

    def _read_bat(self, metadata: Metadata) -> "array[int]":
        section = "2.5 BAT"
        blocks = -(-metadata.virtual_size // metadata.block_size)
        entries = blocks + (blocks - 1) // self._chunk_ratio
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
        block_size = self.container.block_size or 0
        units = block_size // MIB
        used = bytearray(-(-self._source.size // MIB))
        free = bytes(units)
        for span in (Span("the header section", 0, MIB), *reserved):
            used[span.offset // MIB : span.end // MIB] = b"\1" * (span.length // MIB)
        for index, entry in enumerate(self._bat):
            state, unit = entry & 7, entry >> 20
            if index % (self._chunk_ratio + 1) == self._chunk_ratio:
                if state:
                    raise self._bat_damage(index, "no sector bitmap in this disk", f"state {state}")
                continue
            if state == _FULLY_PRESENT:
                if unit * MIB + block_size > self._source.size:
                    raise self._bat_damage(index, "a block inside the file", f"a block at {unit * MIB:#x}")
                if used[unit : unit + units] != free:
                    raise self._bat_damage(
                        index, "a block of its own", f"one at {unit * MIB:#x} over something else"
                    )
                used[unit : unit + units] = b"\1" * units
            elif state > _UNMAPPED:
                raise self._bat_damage(index, "a payload block state of this disk", f"state {state}")

    def _bat_damage(self, index: int, expected: str, found: str) -> Unreadable:
        return _damage(self._bat_region.offset + 8 * index, expected, found, "2.5.1 BAT Entry")

    def _read_block(self, block: int, within: int, length: int) -> bytes:
        index = block + block // self._chunk_ratio
        entry = self._bat[index]
        state = entry & 7
        if state == _FULLY_PRESENT:
            return self._source.read_at((entry >> 20) * MIB + within, length)
        if state in _ZERO_STATES:
            return bytes(length)
        raise self._bat_damage(
            index,
            "a block with content",
            f"one that is {_UNCERTAIN_STATES[state]}, so that it may hold anything",
        )
