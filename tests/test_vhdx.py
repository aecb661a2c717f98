"""Damage to VHDX containers: headers, region tables, metadata, block allocation table, log.

What is written here about a field is Microsoft's [MS-VHDX]; all numbers are little-endian. Headers
and region tables carry a CRC-32C and come in two copies; metadata and the BAT carry none, so that
bounds and overlap are their only defence.
"""

from __future__ import annotations

import random
import struct
import uuid
from pathlib import Path

import pytest

from tests.hostile import (
    Bytes,
    Damage,
    Mend,
    MiB,
    Row,
    append,
    cut,
    every,
    expect,
    expect_deployable,
    expect_refused,
    flip,
    harmless,
    put,
    refuses,
    rows,
    small_disk,
)
from tests.images import Layout, Vhdx, build, copy_of, damage, generalized, undeployable, vhdx
from tests.images.disk import Disk
from tests.images.volumes import Ntfs
from validator.disk.vhdx import crc32c, open_vhdx
from validator.evidence import Layer

HEADERS = vhdx.HEADER_OFFSETS
TABLES = vhdx.REGION_TABLE_OFFSETS
METADATA = vhdx.METADATA_OFFSET
BAT = vhdx.BAT_OFFSET
CURRENT = 1
"""The header with the higher sequence number in an image of the factory."""
BAT_ENTRY, METADATA_ENTRY, THIRD_ENTRY = 16, 48, 80
"""Entries of the region table, the last one unused."""
GUID, OFFSET, LENGTH, REQUIRED = 0, 16, 24, 28
"""Fields of an entry of the region table."""
SOME_GUID = uuid.UUID("0badc0de-0000-4000-8000-00000badc0de")
LOG_GUID = uuid.UUID("1090d000-0000-4000-8000-000000000001").bytes_le
ABSENT_BLOCK = 12
"""A block behind the volume, which the BAT calls not present."""

HEADER_FIELDS = {
    "signature": 0,
    "checksum": 4,
    "checksum-end": 7,
    "sequence-number": 8,
    "sequence-number-end": 15,
    "file-write-guid": 16,
    "data-write-guid": 32,
    "log-guid": 48,
    "log-version": 64,
    "version": 66,
    "log-length": 70,
    "log-offset": 74,
    "reserved": 80,
    "reserved-end": 4095,
}
TABLE_FIELDS = {
    "signature": 3,
    "checksum": 4,
    "entry-count": 8,
    "entry-count-end": 11,
    "reserved": 12,
    "guid": 16,
    "offset": 34,
    "length": 42,
    "required": 44,
    "second-guid": 63,
    "unused-entry": 80,
    "end": 65535,
}


@pytest.fixture(scope="session")
def image() -> Path:
    """A healthy VHDX of sixteen blocks of 1 MiB; the upper half of the disk is empty."""
    return build(small_disk(size=16 * MiB), Vhdx())


@pytest.fixture(scope="session")
def twin() -> Path:
    """An undeployable VHDX of the same layout."""
    return build(small_disk(undeployable(), size=16 * MiB), Vhdx())


def header(field: int, data: bytes, *indexes: int) -> Damage:
    """Change a field of the current header, or of those named, and give each its checksum."""

    def change(path: Path) -> None:
        for index in indexes or (CURRENT,):
            put(HEADERS[index] + field, data)(path)
            damage.fix_vhdx_header(path, index)

    return change


def table(field: int, data: bytes, *indexes: int) -> Damage:
    """Change a field of both region tables, or of those named, and give each its checksum."""

    def change(path: Path) -> None:
        for index in indexes or (0, 1):
            put(TABLES[index] + field, data)(path)
            damage.fix_vhdx_region_table(path, index)

    return change


def third_region(guid: uuid.UUID, offset: int, length: int, required: int) -> Damage:
    """Add a region to both tables."""
    entry = struct.pack("<16sQII", guid.bytes_le, offset, length, required)
    return every(table(THIRD_ENTRY, entry), table(8, b"\x03"))


def metadata(field: int, layout: str, value: int) -> Damage:
    """Change a field of the metadata table."""
    return put(METADATA + field, struct.pack(layout, value))


def item(guid: uuid.UUID, layout: str, *values: int) -> Damage:
    """Change a metadata item."""
    return lambda path: put(at_item(path, guid), struct.pack(layout, *values))(path)


def at_item(path: Path, guid: uuid.UUID) -> int:
    """Where in the file a metadata item lies."""
    return Layout.read(path).metadata_item_offset(path, guid)


def sixth_item(guid: uuid.UUID, flags: int, offset: int = 0x10100, length: int = 8) -> Damage:
    """Add an item to the metadata table."""
    entry = struct.pack("<16sIIII", guid.bytes_le, offset, length, flags, 0)
    return every(put(METADATA + 32 + 5 * 32, entry), put(METADATA + 10, b"\x06"))


def state(block: int, number: int) -> Damage:
    """Change the state of a payload block and leave its place."""

    def change(path: Path) -> None:
        (entry,) = struct.unpack("<Q", damage.read(path, BAT + 8 * block, 8))
        put(BAT + 8 * block, struct.pack("<Q", entry & ~7 | number))(path)

    return change


def place(block: int, offset: int) -> Damage:
    """Let a payload block, fully present, lie elsewhere in the file."""
    return put(BAT + 8 * block, vhdx.bat_entry(vhdx.FULLY_PRESENT, offset))


def place_of(path: Path, block: int) -> int:
    """Where in the file a payload block lies."""
    return int(struct.unpack("<Q", damage.read(path, BAT + 8 * block, 8))[0]) >> 20 << 20


def same_place(block: int, other: int, on: int = 0) -> Damage:
    """Let a block lie where another one does, or so many bytes behind."""
    return lambda path: place(block, place_of(path, other) + on)(path)


# --- what is healthy -----------------------------------------------------------------------------


def test_it_is_deployable(image: Path, tmp_path: Path) -> None:
    """Otherwise no row below would prove anything."""
    expect_deployable(copy_of(image, tmp_path))


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (bytes(32), 0x8A9136AA),
        (b"\xff" * 32, 0x62A8AB43),
        (bytes(range(32)), 0x46DD794E),
        (bytes(range(31, -1, -1)), 0x113FDB5C),
        (b"123456789", 0xE3069283),
        (b"", 0),
    ],
)
def test_crc32c_is_castagnoli(data: bytes, expected: int) -> None:
    """The vectors of RFC 3720, appendix B.4, and the check value of the catalogues."""
    assert crc32c(data) == expected


# --- headers and region tables -------------------------------------------------------------------


@pytest.mark.parametrize("field", HEADER_FIELDS)
@pytest.mark.parametrize("index", [0, 1])
def test_every_byte_of_both_headers_counts(
    field: str, index: int, image: Path, twin: Path, tmp_path: Path
) -> None:
    """The checksum covers the whole of 4 KiB."""
    at = HEADERS[index]
    row = Row(
        field,
        flip(at + HEADER_FIELDS[field], 0x20),
        expected="signature" if field == "signature" else "checksum",
        offset=at if field == "signature" else at + 4,
        mend=Mend.VHDX_COPY,
    )
    expect(row, image, tmp_path, twin=twin)


@pytest.mark.parametrize("field", TABLE_FIELDS)
@pytest.mark.parametrize("index", [0, 1])
def test_every_byte_of_both_region_tables_counts(
    field: str, index: int, image: Path, twin: Path, tmp_path: Path
) -> None:
    """The checksum covers the whole of 64 KiB."""
    at = TABLES[index]
    row = Row(
        field,
        flip(at + TABLE_FIELDS[field], 0x20),
        expected="signature" if field == "signature" else "checksum",
        offset=at if field == "signature" else at + 4,
        mend=Mend.VHDX_COPY,
    )
    expect(row, image, tmp_path, twin=twin)


HEADER_ROWS = (
    Row("both-checksums", every(flip(HEADERS[0] + 4), flip(HEADERS[1] + 4)), expected="checksum"),
    Row(
        "newer-one-torn",
        every(put(HEADERS[0] + 8, b"\x07"), lambda path: damage.overwrite(path, HEADERS[0] + 100, b"torn")),
        expected="checksum",
        offset=HEADERS[0] + 4,
        mend=Mend.VHDX_COPY,
    ),
    Row(
        "second-zeroed",
        put(HEADERS[1], bytes(4096)),
        expected="signature",
        offset=HEADERS[1],
        mend=Mend.VHDX_COPY,
    ),
    Row(
        "first-zeroed",
        put(HEADERS[0], bytes(4096)),
        expected="signature",
        offset=HEADERS[0],
        mend=Mend.VHDX_COPY,
    ),
    Row(
        "second-without-signature-and-newer",
        every(header(8, b"\x09"), put(HEADERS[1], b"daeh")),
        expected="signature",
        offset=HEADERS[1],
        mend=Mend.VHDX_COPY,
    ),
    Row(
        "alike-in-number-only",
        every(header(8, b"\x01"), header(16, b"?")),
        expected="different sequence numbers",
    ),
    Row("version-0", header(66, b"\0"), expected="version 1", offset=HEADERS[1] + 66),
    Row("version-2", header(66, b"\2"), expected="version 1", offset=HEADERS[1] + 66),
    harmless("log-version-1-without-a-log", header(64, b"\1")),
    Row("log-version-1", every(header(64, b"\1"), header(48, LOG_GUID)), expected="log"),
    Row("log-at-0", header(72, bytes(8)), expected="log"),
    Row("log-between-MiB", header(72, b"\x00\x10"), expected="log inside", offset=HEADERS[1] + 68),
    Row("log-behind-the-end", header(76, b"\1"), expected="log inside", offset=HEADERS[1] + 68),
    Row("log-longer-than-the-file", header(71, b"\x7f"), expected="log inside", offset=HEADERS[1] + 68),
    Row("log-over-the-metadata", header(74, b"\x20"), expected="of its own", found="metadata"),
    Row("log-over-the-bat", header(74, b"\x30"), expected="of its own", found="BAT"),
    Row("log-over-a-block", header(74, b"\x40"), expected="of its own", found="over"),
    Row("log-named-and-empty", header(48, LOG_GUID), expected="log"),
    Row("log-named-by-both", header(48, LOG_GUID, 0, 1), expected="log"),
    harmless("log-named-by-the-older-one", header(48, LOG_GUID, 0)),
    harmless("numbers-far-apart", header(14, b"\xff")),
    Row("identifier", flip(7), expected="as the name says", offset=0),
)


@rows(*HEADER_ROWS)
def test_headers(row: Row, image: Path, twin: Path, tmp_path: Path) -> None:
    """The current header is the valid one with the higher sequence number."""
    expect(row, image, tmp_path, "image.vhdx", twin)


def test_two_headers_of_the_same_content_are_one(image: Path, tmp_path: Path) -> None:
    """Only equal numbers over different content contradict each other."""
    twin = vhdx.header(5)
    expect(harmless("", every(*(put(at, twin) for at in HEADERS))), image, tmp_path)


TABLE_ROWS = (
    Row("count-0", table(8, b"\0"), found="without"),
    Row("count-1", table(8, b"\1"), expected="metadata region", found="without"),
    Row("count-2048", table(8, b"\x00\x08"), expected="at most 2047", offset=TABLES[0] + 8),
    Row("count-all-ones", table(8, b"\xff" * 4), expected="at most 2047", offset=TABLES[0] + 8),
    Row("count-all-ones-in-the-second", table(8, b"\xff" * 4, 1), expected="a copy", offset=TABLES[1]),
    Row("second-says-something-else", table(12, b"\1", 1), expected="a copy", offset=TABLES[1]),
    Row(
        "first-moves-the-bat",
        put(TABLES[0] + BAT_ENTRY + OFFSET, b"\0\0\x50"),
        expected="checksum",
        mend=Mend.VHDX_COPY,
    ),
    Row("bat-unknown", table(BAT_ENTRY, b"\0"), found="required", offset=TABLES[0] + BAT_ENTRY),
    Row("bat-twice", table(METADATA_ENTRY, vhdx.BAT_REGION.bytes_le), found="twice"),
    Row("bat-over-the-metadata", table(BAT_ENTRY + OFFSET + 2, b"\x20"), expected="of its own"),
    Row("bat-over-the-log", table(BAT_ENTRY + OFFSET + 2, b"\x10"), found="over the log"),
    Row("bat-over-the-headers", table(BAT_ENTRY + OFFSET + 2, b"\x00"), found="header section"),
    Row("bat-over-a-block", table(BAT_ENTRY + OFFSET + 2, b"\x40")),
    Row("bat-behind-the-end", table(BAT_ENTRY + OFFSET + 4, b"\1"), expected="inside the file"),
    Row("bat-far-behind-the-end", table(BAT_ENTRY + OFFSET + 7, b"\x7f"), expected="inside the file"),
    Row("bat-between-MiB", table(BAT_ENTRY + OFFSET + 1, b"\x10"), expected="inside the file"),
    Row("bat-of-length-0", table(BAT_ENTRY + LENGTH, bytes(4)), expected="inside the file"),
    Row("bat-of-length-4-GiB", table(BAT_ENTRY + LENGTH, b"\0\0\xf0\xff"), expected="inside the file"),
    Row("bat-longer-than-its-room", table(BAT_ENTRY + LENGTH + 2, b"\x20")),
    Row("metadata-behind-the-end", table(METADATA_ENTRY + OFFSET + 4, b"\1"), expected="inside the file"),
    Row("metadata-elsewhere", table(METADATA_ENTRY + OFFSET + 2, b"\x50"), expected="metadata"),
    Row("unknown-and-required", third_region(SOME_GUID, 11 * MiB, MiB, 1), found="required"),
    Row("unknown-over-the-bat", third_region(SOME_GUID, BAT, MiB, 0), expected="of its own"),
    Row("unknown-behind-the-end", third_region(SOME_GUID, 1 << 40, MiB, 0), expected="inside the file"),
    harmless(
        "unknown-and-optional",
        every(
            append(bytes(MiB)), lambda path: third_region(SOME_GUID, path.stat().st_size - MiB, MiB, 0)(path)
        ),
    ),
)


@rows(*TABLE_ROWS)
def test_region_tables(row: Row, image: Path, twin: Path, tmp_path: Path) -> None:
    """Regions lie in the file, each alone; who does not know a required one must not read on."""
    expect(row, image, tmp_path, twin=twin)


# --- metadata ------------------------------------------------------------------------------------

FIRST, SECOND = 32, 64
"""Entries of the metadata table: file parameters, virtual disk size."""

METADATA_ROWS = (
    Row("signature", flip(METADATA + 7), expected="“metadata”", offset=METADATA),
    Row("count-0", metadata(10, "<H", 0), expected="metadata item", found="none", offset=METADATA),
    Row("count-4", metadata(10, "<H", 4), expected="metadata item", found="none", offset=METADATA),
    Row("count-2048", metadata(10, "<H", 2048), expected="at most 2047", offset=METADATA + 10),
    Row("count-all-ones", metadata(10, "<H", 0xFFFF), expected="at most 2047", offset=METADATA + 10),
    Row("item-in-the-table", metadata(FIRST + 16, "<I", 32), expected="an item of 8 bytes"),
    Row("item-behind-the-region", metadata(FIRST + 16, "<I", MiB), expected="an item of 8 bytes"),
    Row("item-over-the-region-s-end", metadata(FIRST + 16, "<I", MiB - 4), expected="an item of 8"),
    Row("item-nowhere", metadata(FIRST + 16, "<I", 0xFFFFFFF8), expected="an item of 8 bytes"),
    Row("item-too-short", metadata(FIRST + 20, "<I", 4), expected="an item of 8 bytes"),
    Row("item-too-long", metadata(FIRST + 20, "<I", 0xFFFFFFFF), expected="an item of 8 bytes"),
    Row("item-of-length-0", metadata(FIRST + 20, "<I", 0), expected="an item of 8 bytes"),
    Row("item-over-another", metadata(FIRST + 16, "<I", 0x10008), expected="an item of its own"),
    Row("item-twice", sixth_item(vhdx.VIRTUAL_DISK_SIZE, 6), found="twice"),
    Row("item-unknown", put(METADATA + FIRST, b"\0"), found="required"),
    Row("unknown-and-required", sixth_item(SOME_GUID, vhdx.IS_REQUIRED), found="required"),
    Row("unknown-of-disk-and-required", sixth_item(SOME_GUID, 6), found="required"),
    harmless("unknown-and-optional", sixth_item(SOME_GUID, 0)),
    harmless("unknown-of-the-disk", sixth_item(SOME_GUID, vhdx.IS_VIRTUAL_DISK)),
    harmless("unknown-of-the-user", sixth_item(SOME_GUID, 1)),
    harmless("known-number-of-the-user", sixth_item(vhdx.VIRTUAL_DISK_SIZE, 1)),
    Row("block-size-0", item(vhdx.FILE_PARAMETERS, "<I", 0), expected="block size"),
    Row("block-size-512-KiB", item(vhdx.FILE_PARAMETERS, "<I", MiB // 2), expected="block size"),
    Row("block-size-3-MiB", item(vhdx.FILE_PARAMETERS, "<I", 3 * MiB), expected="block size"),
    Row("block-size-512-MiB", item(vhdx.FILE_PARAMETERS, "<I", 512 * MiB), expected="block size"),
    Row("block-size-all-ones", item(vhdx.FILE_PARAMETERS, "<I", 0xFFFFFFFF), expected="block size"),
    Row("block-size-doubled", item(vhdx.FILE_PARAMETERS, "<I", 2 * MiB), expected="of its own"),
    Row("has-parent", item(vhdx.FILE_PARAMETERS, "<II", MiB, vhdx.HAS_PARENT), expected="parent|dynamic"),
    Row("size-0", item(vhdx.VIRTUAL_DISK_SIZE, "<Q", 0), expected="disk size"),
    Row("size-of-half-a-sector", item(vhdx.VIRTUAL_DISK_SIZE, "<Q", 16 * MiB + 256), expected="disk size"),
    Row("size-above-64-TiB", item(vhdx.VIRTUAL_DISK_SIZE, "<Q", (64 << 40) + 512), expected="disk size"),
    Row("size-all-ones", item(vhdx.VIRTUAL_DISK_SIZE, "<Q", 2**64 - 512), expected="disk size"),
    Row("size-above-the-bat", item(vhdx.VIRTUAL_DISK_SIZE, "<Q", 1 << 40), expected="a BAT of", offset=BAT),
    Row(
        "size-halved",
        item(vhdx.VIRTUAL_DISK_SIZE, "<Q", 4 * MiB),
        Layer.PARTITION_TABLE,
        "inside the disk",
    ),
    Row("sector-of-0", item(vhdx.LOGICAL_SECTOR_SIZE, "<I", 0), expected="sector size"),
    Row("sector-of-1024", item(vhdx.LOGICAL_SECTOR_SIZE, "<I", 1024), expected="sector size"),
    Row("sector-all-ones", item(vhdx.LOGICAL_SECTOR_SIZE, "<I", 0xFFFFFFFF), expected="sector size"),
    Row("sector-of-4096", item(vhdx.LOGICAL_SECTOR_SIZE, "<I", 4096), Layer.PARTITION_TABLE),
    Row("physical-sector-of-0", item(vhdx.PHYSICAL_SECTOR_SIZE, "<I", 0), expected="sector size"),
    Row("physical-sector-of-513", item(vhdx.PHYSICAL_SECTOR_SIZE, "<I", 513), expected="sector size"),
)


@rows(*METADATA_ROWS)
def test_metadata(row: Row, image: Path, tmp_path: Path) -> None:
    """Items lie in the region, each alone and as long as it must be, and say what is possible."""
    expect(row, image, tmp_path)


# --- block allocation table ----------------------------------------------------------------------

BAT_ROWS = (
    *(
        Row(f"state-{number}-{where}", state(block, number), expected="state", offset=BAT + 8 * block)
        for number in (4, 5, 7)
        for block, where in ((0, "needed"), (ABSENT_BLOCK, "elsewhere"))
    ),
    *(
        Row(f"state-{number}-needed", state(0, number), found="may hold anything", offset=BAT)
        for number in (1, 3)
    ),
    *(Row(f"state-{number}-needed", state(0, number), Layer.PARTITION_TABLE) for number in (0, 2)),
    *(harmless(f"state-{number}-elsewhere", state(ABSENT_BLOCK, number)) for number in (1, 2, 3)),
    harmless("not-present-with-a-place", put(BAT + 8 * ABSENT_BLOCK, vhdx.bat_entry(0, 1 << 40))),
    Row("behind-the-end", place(0, 1 << 40), expected="inside the file", offset=BAT),
    Row("farthest", place(0, (1 << 64) - MiB), expected="inside the file", offset=BAT),
    Row("farthest-elsewhere", place(ABSENT_BLOCK, 1 << 63), expected="inside the file"),
    Row("at-0", place(0, 0), expected="of its own", offset=BAT),
    Row("on-the-log", place(0, vhdx.LOG_OFFSET), expected="of its own", offset=BAT),
    Row("on-the-metadata", place(0, METADATA), expected="of its own", offset=BAT),
    Row("on-the-bat", place(0, BAT), expected="of its own", offset=BAT),
    Row("on-another-block", same_place(1, 0), expected="of its own"),
    Row("absent-block-on-another", same_place(ABSENT_BLOCK, 1), expected="of its own"),
    Row("last-block-cut", cut(-4096), expected="inside the file"),
    Row("last-block-gone", cut(-MiB), expected="inside the file"),
    Row("all-blocks-gone", cut(4 * MiB), expected="inside the file"),
    Row("cut-in-the-bat", cut(BAT + 4096), expected="inside the file"),
    Row("cut-in-the-metadata", cut(METADATA + 4096), expected="inside the file"),
    Row("cut-in-the-headers", cut(100_000), expected="header section"),
    Row("only-a-signature", cut(8), expected="header section"),
    harmless("bytes-appended", append(b"garbage" * 100)),
    harmless("a-MiB-appended", append(bytes(MiB))),
)


@rows(*BAT_ROWS)
def test_block_allocation_table(row: Row, image: Path, tmp_path: Path) -> None:
    """Every block that is there lies in the file and alone; what is uncertain is never read."""
    expect(row, image, tmp_path, "image.vhdx")


def test_a_block_may_not_begin_inside_another(tmp_path: Path) -> None:
    """Blocks larger than the unit of the table can overlap in part."""
    image = build(small_disk(size=16 * MiB), Vhdx(2 * MiB))
    row = Row("", same_place(1, 0, on=MiB), expected="of its own")
    expect(row, image, tmp_path)
    expect(Row("", same_place(0, 1, on=MiB), expected="of its own"), image, tmp_path)


def test_a_cut_file_never_passes(image: Path, tmp_path: Path) -> None:
    """Wherever it was cut."""
    dice = random.Random("cut")
    for _ in range(20):
        target = copy_of(image, tmp_path, "image.vhdx")
        damage.truncate(target, dice.randrange(image.stat().st_size))
        expect_refused(target, Layer.CONTAINER)


@pytest.fixture(scope="session")
def large() -> Path:
    """More than 4 GiB in blocks of 32 MiB: the table has an entry for a sector bitmap."""
    disk = Disk((Ntfs(generalized()),), "gpt", size=(4 << 30) + 100 * MiB)
    return build(disk, Vhdx(32 * MiB))


BITMAP_ENTRY = BAT + 8 * 128

BITMAP_ROWS = (
    *(
        Row(f"state-{number}", flip(BITMAP_ENTRY, number), expected="sector bitmap", offset=BITMAP_ENTRY)
        for number in (1, 2, 4, 6, 7)
    ),
    Row(
        "block-behind-it-on-the-first-one",
        lambda path: put(BITMAP_ENTRY + 8 * 4, damage.read(path, BAT, 8))(path),
        expected="of its own",
        offset=BITMAP_ENTRY + 8 * 4,
    ),
)


@rows(*BITMAP_ROWS)
def test_sector_bitmaps_are_for_differencing_disks(row: Row, large: Path, tmp_path: Path) -> None:
    """After every 2^23 sectors of blocks comes an entry that is no payload block's."""
    expect(row, large, tmp_path)


def test_blocks_behind_a_sector_bitmap_are_found(large: Path, tmp_path: Path) -> None:
    """The backup GPT lies behind 4 GiB, so that its block comes after the sector bitmap's entry."""
    target = copy_of(large, tmp_path)
    expect_deployable(target)
    with target.open("rb") as file:
        disk = open_vhdx(Bytes(file.read()))
    assert disk.read_at(disk.size - 512, 8) == b"EFI PART"


def test_uncertain_blocks_do_not_hide_behind_certain_ones(image: Path) -> None:
    """A read across a block of unknown content fails as a whole, at the entry of that block."""
    data = bytearray(image.read_bytes())
    data[BAT + 8 * ABSENT_BLOCK] |= 1
    disk = open_vhdx(Bytes(bytes(data)))
    assert disk.read_at((ABSENT_BLOCK - 1) * MiB, MiB) == bytes(MiB)
    evidence = refuses(lambda: disk.read_at(ABSENT_BLOCK * MiB - 1, 2), Layer.CONTAINER)
    assert evidence.where.offset == BAT + 8 * ABSENT_BLOCK
