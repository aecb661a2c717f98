"""VHDX files, structure by structure ([MS-VHDX] 2.1 to 2.6; all little-endian).

qemu-img writes VHDX too, but only of 512-byte sectors, in one order, and without saying where
things lie. A file written here has the same plan each time::

    0        file type identifier       1 MiB   log
    64 KiB   header 1                   2 MiB   metadata
    128 KiB  header 2                   3 MiB   block allocation table
    192 KiB  region table 1             then    payload blocks, in the order asked for
    256 KiB  region table 2
"""

from __future__ import annotations

import struct
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from tests.images.blocks import Order, blocks_with_data, in_order, read_block, write_block
from tests.images.crc32c import crc32c

KiB = 1 << 10
MiB = 1 << 20

HEADER_OFFSETS = (64 * KiB, 128 * KiB)
HEADER_SIZE = 4 * KiB
REGION_TABLE_OFFSETS = (192 * KiB, 256 * KiB)
REGION_TABLE_SIZE = 64 * KiB
LOG_OFFSET = 1 * MiB
LOG_LENGTH = 1 * MiB
METADATA_OFFSET = 2 * MiB
METADATA_LENGTH = 1 * MiB
METADATA_TABLE_SIZE = 64 * KiB
BAT_OFFSET = 3 * MiB
CHECKSUM_OFFSET = 4
"""Where headers, region tables and log entries keep their CRC-32C."""

BAT_REGION = uuid.UUID("2dc27766-f623-4200-9d64-115e9bfd4a08")
METADATA_REGION = uuid.UUID("8b7ca206-4790-4b9a-b8fe-575f050f886e")

FILE_PARAMETERS = uuid.UUID("caa16737-fa36-4d43-b3b6-33f0aa44e76b")
VIRTUAL_DISK_SIZE = uuid.UUID("2fa54224-cd1b-4876-b211-5dbed83bf4b8")
VIRTUAL_DISK_ID = uuid.UUID("beca12ab-b2e6-4523-93ef-c309e000c746")
LOGICAL_SECTOR_SIZE = uuid.UUID("8141bf1d-a96f-4709-ba47-f233a8faab5f")
PHYSICAL_SECTOR_SIZE = uuid.UUID("cda348c7-445d-4471-9cc9-e9885251c556")
PARENT_LOCATOR = uuid.UUID("a8d35f2d-b30b-454d-abf7-d3d84834ab0c")

IS_VIRTUAL_DISK = 2
IS_REQUIRED = 4
LEAVE_BLOCKS_ALLOCATED = 1
HAS_PARENT = 2

NOT_PRESENT, UNDEFINED, ZERO, UNMAPPED = 0, 1, 2, 3
FULLY_PRESENT, PARTIALLY_PRESENT = 6, 7
"""States of a payload block (2.5.1.1); the last one of a differencing disk only."""

VHDX_LOCATOR = uuid.UUID("b04aefb7-d19e-4a81-b789-25b8e9445913")

NO_GUID = uuid.UUID(int=0)
_FILE_WRITE_GUID = uuid.UUID("7c1a4a52-0c4f-4c5e-9d1b-000000000001")
_DATA_WRITE_GUID = uuid.UUID("7c1a4a52-0c4f-4c5e-9d1b-000000000002")
_DISK_ID = uuid.UUID("7c1a4a52-0c4f-4c5e-9d1b-000000000003")


@dataclass(frozen=True)
class Vhdx:
    """A VHDX container: block size, fixed or dynamic, and how its payload blocks lie."""

    block_size: int = MiB
    fixed: bool = False
    order: Order = "ascending"
    physical_sector_size: int = 4096
    disk_id: uuid.UUID = _DISK_ID
    data_write_guid: uuid.UUID = _DATA_WRITE_GUID
    suffix: str = ".vhdx"

    def write(self, raw: Path, target: Path, sector_size: int) -> Layout:
        """Write the disk in ``raw``; a dynamic file leaves out blocks of zeros."""
        size = raw.stat().st_size
        layout = Layout(self.block_size, size, sector_size)
        count = layout.block_count
        present = list(range(count)) if self.fixed else blocks_with_data(raw, self.block_size)
        offsets = {
            block: layout.payload_offset + place * self.block_size
            for place, block in enumerate(in_order(present, self.order))
        }
        with target.open("wb") as file, raw.open("rb") as disk:

            def put(offset: int, data: bytes) -> None:
                file.seek(offset)
                file.write(data)

            put(0, file_identifier())
            for number, offset in enumerate(HEADER_OFFSETS):
                put(offset, header(number + 1, self.data_write_guid))
            for offset in REGION_TABLE_OFFSETS:
                put(offset, region_table(layout.regions))
            put(layout.metadata_offset, metadata_region(self.metadata(size, sector_size)))
            for block, offset in offsets.items():
                put(layout.bat_entry_offset(block), bat_entry(FULLY_PRESENT, offset))
                write_block(file, offset, read_block(disk, block, self.block_size))
            file.truncate(layout.payload_offset + len(offsets) * self.block_size)
        return layout

    def metadata(self, size: int, sector_size: int) -> dict[uuid.UUID, tuple[bytes, int]]:
        """The metadata items with their flags (2.6.2)."""
        flags = LEAVE_BLOCKS_ALLOCATED if self.fixed else 0
        of_disk = IS_VIRTUAL_DISK | IS_REQUIRED
        return {
            FILE_PARAMETERS: (struct.pack("<II", self.block_size, flags), IS_REQUIRED),
            VIRTUAL_DISK_SIZE: (struct.pack("<Q", size), of_disk),
            VIRTUAL_DISK_ID: (self.disk_id.bytes_le, of_disk),
            LOGICAL_SECTOR_SIZE: (struct.pack("<I", sector_size), of_disk),
            PHYSICAL_SECTOR_SIZE: (struct.pack("<I", self.physical_sector_size), of_disk),
        }


@dataclass(frozen=True)
class Layout:
    """Where the structures of a VHDX file lie."""

    block_size: int
    disk_size: int
    sector_size: int
    metadata_offset: int = METADATA_OFFSET
    metadata_length: int = METADATA_LENGTH
    bat_offset: int = BAT_OFFSET
    differencing: bool = False

    @classmethod
    def read(cls, path: Path) -> Layout:
        """The layout of any VHDX file, whoever wrote it; its first region table is believed."""
        with path.open("rb") as file:

            def at(offset: int, size: int) -> bytes:
                file.seek(offset)
                return file.read(size)

            table = at(REGION_TABLE_OFFSETS[0], REGION_TABLE_SIZE)
            regions = {
                uuid.UUID(bytes_le=guid): (offset, length)
                for guid, offset, length, _ in struct.iter_unpack(
                    "<16sQII", table[16 : 16 + 32 * struct.unpack_from("<I", table, 8)[0]]
                )
            }
            metadata, length = regions[METADATA_REGION]
            found = _items(at(metadata, METADATA_TABLE_SIZE))

            def number(item: uuid.UUID, form: str) -> int:
                (value,) = struct.unpack(form, at(metadata + found[item], struct.calcsize(form)))
                return int(value)

            return cls(
                block_size=number(FILE_PARAMETERS, "<I"),
                disk_size=number(VIRTUAL_DISK_SIZE, "<Q"),
                sector_size=number(LOGICAL_SECTOR_SIZE, "<I"),
                metadata_offset=metadata,
                metadata_length=length,
                bat_offset=regions[BAT_REGION][0],
            )

    @property
    def block_count(self) -> int:
        """Payload blocks of the disk."""
        return -(-self.disk_size // self.block_size)

    @property
    def chunk_ratio(self) -> int:
        """Payload blocks for each sector bitmap block (2.5)."""
        return (1 << 23) * self.sector_size // self.block_size

    @property
    def bat_entries(self) -> int:
        """Entries of the table, those of the sector bitmaps included (2.5)."""
        if self.differencing:
            return -(-self.block_count // self.chunk_ratio) * (self.chunk_ratio + 1)
        return self.block_count + (self.block_count - 1) // self.chunk_ratio

    @property
    def bat_length(self) -> int:
        """Length of the region, in whole MiB."""
        return -(-8 * self.bat_entries // MiB) * MiB

    @property
    def payload_offset(self) -> int:
        """Where the writer of this module puts the first payload block."""
        return self.bat_offset + self.bat_length

    @property
    def regions(self) -> dict[uuid.UUID, tuple[int, int]]:
        """Offset and length of each region."""
        return {
            BAT_REGION: (self.bat_offset, self.bat_length),
            METADATA_REGION: (self.metadata_offset, self.metadata_length),
        }

    def bat_entry_offset(self, block: int) -> int:
        """Where in the file the entry of a payload block lies."""
        return self.bat_offset + 8 * (block + block // self.chunk_ratio)

    def metadata_item_offset(self, path: Path, item: uuid.UUID) -> int:
        """Where in the file a metadata item lies."""
        with path.open("rb") as file:
            file.seek(self.metadata_offset)
            return self.metadata_offset + _items(file.read(METADATA_TABLE_SIZE))[item]


@dataclass(frozen=True)
class Parent:
    """What a differencing disk says of its parent; None is what the parent itself says."""

    path: Path
    linkage: str | None = None
    names: Mapping[str, str] | None = None
    """Keys and paths of the locator, such as ``relative_path``."""

    def locator(self) -> bytes:
        """The parent locator (2.6.2.6)."""
        linkage = f"{{{data_write_guid(self.path)}}}" if self.linkage is None else self.linkage
        names = self.names
        if names is None:
            name = self.path.name
            names = {
                "relative_path": rf".\{name}",
                "volume_path": rf"\\?\Volume{{7c1a4a52-0c4f-4c5e-9d1b-0000000000aa}}\Images\{name}",
                "absolute_win32_path": rf"C:\Images\{name}",
            }
        return parent_locator({"parent_linkage": linkage, **names})


def parent_locator(entries: Mapping[str, str], kind: uuid.UUID = VHDX_LOCATOR) -> bytes:
    """A parent locator of these keys and values."""
    head = struct.pack("<16sHH", kind.bytes_le, 0, len(entries))
    texts = b""
    for key, value in entries.items():
        pair = key.encode("utf-16-le"), value.encode("utf-16-le")
        at = 20 + 12 * len(entries) + len(texts)
        head += struct.pack("<IIHH", at, at + len(pair[0]), *map(len, pair))
        texts += b"".join(pair)
    return head + texts


def data_write_guid(path: Path) -> uuid.UUID:
    """The data write GUID in the second header, by which a child knows its parent."""
    with path.open("rb") as file:
        file.seek(HEADER_OFFSETS[1] + 32)
        return uuid.UUID(bytes_le=file.read(16))


def child_of(
    parent: Path | Parent,
    target: Path,
    changes: Mapping[int, bytes],
    *,
    whole: Mapping[int, bytes] | None = None,
    states: Mapping[int, int] | None = None,
    size: int | None = None,
    sector_size: int | None = None,
    guid: uuid.UUID | None = None,
    block_size: int | None = None,
) -> Path:
    """Write a differencing disk that has these sectors of its own (by their offsets); return ``target``.

    Their blocks are partially present, those that are given ``whole`` (by number) fully; ``states``
    are those of other blocks. What is not said is as in the parent; the GUID follows from the name.
    """
    link = parent if isinstance(parent, Parent) else Parent(parent)
    above = Layout.read(link.path)
    layout = Layout(
        block_size or above.block_size, size or above.disk_size, sector_size or above.sector_size,
        differencing=True,
    )  # fmt: skip
    guid = guid or uuid.uuid5(_DATA_WRITE_GUID, target.name)
    unit, sectors_in_block = layout.sector_size, layout.block_size // layout.sector_size
    entries = {layout.bat_entry_offset(block): bat_entry(state) for block, state in (states or {}).items()}
    pieces: dict[int, bytes] = {}
    places: dict[int, int] = {}
    bitmaps: dict[int, tuple[int, bytearray]] = {}
    at = layout.payload_offset
    for block, data in (whole or {}).items():
        entries[layout.bat_entry_offset(block)] = bat_entry(FULLY_PRESENT, at)
        pieces[at] = data.ljust(layout.block_size, b"\0")
        at += layout.block_size
    for offset, data in changes.items():
        for start in range(0, len(data), unit):
            block, within = divmod(offset + start, layout.block_size)
            chunk, number = divmod(block, layout.chunk_ratio)
            if chunk not in bitmaps:
                bitmaps[chunk] = at, bytearray(MiB)
                entry = layout.bat_offset + 8 * ((chunk + 1) * (layout.chunk_ratio + 1) - 1)
                entries[entry] = bat_entry(FULLY_PRESENT, at)
                at += MiB
            if block not in places:
                places[block] = at
                entries[layout.bat_entry_offset(block)] = bat_entry(PARTIALLY_PRESENT, at)
                at += layout.block_size
            sector = number * sectors_in_block + within // unit
            bitmaps[chunk][1][sector // 8] |= 1 << sector % 8
            pieces[places[block] + within] = data[start : start + unit]
    container = Vhdx(layout.block_size, disk_id=_DISK_ID)
    items = container.metadata(layout.disk_size, unit)
    items[FILE_PARAMETERS] = struct.pack("<II", layout.block_size, HAS_PARENT), IS_REQUIRED
    items[PARENT_LOCATOR] = link.locator(), IS_REQUIRED
    pieces.update({place: bytes(bits).rstrip(b"\0") for place, bits in bitmaps.values()})
    pieces[0] = file_identifier()
    for number, offset in enumerate(HEADER_OFFSETS):
        pieces[offset] = header(number + 1, guid)
    for offset in REGION_TABLE_OFFSETS:
        pieces[offset] = _table_of(layout)
    pieces[layout.metadata_offset] = metadata_region(items)
    pieces.update(entries)
    with target.open("wb") as file:
        for offset, data in pieces.items():
            write_block(file, offset, data)
        file.truncate(at)
    return target


def file_identifier(creator: str = "image-validator tests") -> bytes:
    """The file type identifier (2.2.1)."""
    return b"vhdxfile" + creator.encode("utf-16-le").ljust(512, b"\0")


def header(
    sequence: int,
    data_write_guid: uuid.UUID = _DATA_WRITE_GUID,
    log_guid: uuid.UUID = NO_GUID,
    log: tuple[int, int] = (LOG_OFFSET, LOG_LENGTH),
) -> bytes:
    """A header (2.2.2); ``log`` is offset and length, a log GUID of zero says it is empty."""
    offset, length = log
    fields = struct.pack(
        "<4sIQ16s16s16sHHIQ", b"head", 0, sequence, _FILE_WRITE_GUID.bytes_le,
        data_write_guid.bytes_le, log_guid.bytes_le, 0, 1, length, offset,
    )  # fmt: skip
    return sealed(fields.ljust(HEADER_SIZE, b"\0"))


def region_table(regions: Mapping[uuid.UUID, tuple[int, int]]) -> bytes:
    """A region table (2.2.3); every region in it is required."""
    entries = b"".join(
        struct.pack("<16sQII", guid.bytes_le, offset, length, 1) for guid, (offset, length) in regions.items()
    )
    table = struct.pack("<4sIII", b"regi", 0, len(regions), 0) + entries
    return sealed(table.ljust(REGION_TABLE_SIZE, b"\0"))


def metadata_region(items: Mapping[uuid.UUID, tuple[bytes, int]]) -> bytes:
    """The metadata table and behind it the items (2.6)."""
    table = struct.pack("<8sHH20x", b"metadata", 0, len(items))
    values = b""
    for guid, (value, flags) in items.items():
        offset = METADATA_TABLE_SIZE + len(values)
        table += struct.pack("<16sIIII", guid.bytes_le, offset, len(value), flags, 0)
        values += value.ljust(-(-len(value) // 8) * 8, b"\0")
    return table.ljust(METADATA_TABLE_SIZE, b"\0") + values


@cache
def _table_of(layout: Layout) -> bytes:
    """The region table of a layout; its checksum takes a while."""
    return region_table(layout.regions)


def bat_entry(state: int, offset: int = 0) -> bytes:
    """An entry of the block allocation table: state, and the offset in MiB (2.5.1)."""
    return struct.pack("<Q", state | offset // MiB << 20)


def sealed(structure: bytes) -> bytes:
    """``structure`` with its CRC-32C, computed with the field taken as zero."""
    blank = structure[:CHECKSUM_OFFSET] + bytes(4) + structure[CHECKSUM_OFFSET + 4 :]
    return blank[:CHECKSUM_OFFSET] + struct.pack("<I", crc32c(blank)) + blank[CHECKSUM_OFFSET + 4 :]


def _items(table: bytes) -> dict[uuid.UUID, int]:
    """Offset of each metadata item from the start of the region."""
    (count,) = struct.unpack_from("<H", table, 10)
    entries = struct.iter_unpack("<16sIII4x", table[32 : 32 + 32 * count])
    return {uuid.UUID(bytes_le=guid): offset for guid, offset, _, _ in entries}
