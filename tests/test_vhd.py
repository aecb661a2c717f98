"""Damage to VHD containers: footer, dynamic header, block allocation table, sector bitmaps.

None of the known readers verifies any of this, and each sees something else in the same damaged
file. What is written here about a field is Microsoft's Virtual Hard Disk Image Format Specification
1.0; all numbers are big-endian.
"""

from __future__ import annotations

import random
import struct
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
from tests.images import DynamicVhd, FixedVhd, build, copy_of, damage, undeployable, vhd
from validator.disk.vhd import checksum, open_vhd
from validator.evidence import Layer

TAIL = -vhd.FOOTER_SIZE
HEADER = vhd.DYNAMIC_HEADER_OFFSET
BAT = vhd.BAT_OFFSET
BLOCK = 2 * MiB
FIRST_BLOCK = 2048
"""Where the file keeps the bitmap of block 0; its data lies one sector behind."""
BITMAP = 512

FOOTER_FIELDS = {
    "cookie": 0,
    "features": 11,
    "version": 13,
    "data-offset": 23,
    "time-stamp": 27,
    "creator": 28,
    "creator-version": 33,
    "creator-host": 36,
    "original-size": 44,
    "current-size": 52,
    "geometry": 57,
    "disk-type": 63,
    "checksum": 64,
    "checksum-end": 67,
    "identifier": 68,
    "identifier-end": 83,
    "saved-state": 84,
    "reserved": 85,
    "reserved-end": 511,
}
HEADER_FIELDS = {
    "cookie": 0,
    "data-offset": 15,
    "table-offset": 22,
    "version": 25,
    "max-table-entries": 31,
    "block-size": 33,
    "checksum": 36,
    "checksum-end": 39,
    "parent-identifier": 40,
    "parent-time-stamp": 59,
    "reserved": 60,
    "parent-name": 64,
    "parent-locator": 576,
    "reserved-end": 1023,
}


@pytest.fixture(scope="session")
def fixed() -> Path:
    """A healthy fixed VHD."""
    return build(small_disk(), FixedVhd())


@pytest.fixture(scope="session")
def dynamic() -> Path:
    """A healthy dynamic VHD of eight blocks of 2 MiB; the upper four hold nothing and are absent."""
    return build(small_disk(size=16 * MiB), DynamicVhd())


@pytest.fixture(scope="session")
def twin() -> Path:
    """An undeployable dynamic VHD of the same layout."""
    return build(small_disk(undeployable(), size=16 * MiB), DynamicVhd())


def footer(field: int, data: bytes, *, front: bool = False) -> Damage:
    """Change a field of the footer and give it its checksum; `front` changes the copy as well."""

    def change(path: Path) -> None:
        for at in (TAIL, 0) if front else (TAIL,):
            put(at + field, data)(path)
            damage.fix_vhd_footer(path, at)

    return change


def header(field: int, layout: str, value: int) -> Damage:
    """Change a field of the dynamic header and give it its checksum."""
    return every(put(HEADER + field, struct.pack(layout, value)), damage.fix_vhd_dynamic_header)


def entry(block: int, sector: int) -> Damage:
    """Change an entry of the block allocation table, which no checksum protects."""
    return put(BAT + 4 * block, struct.pack(">I", sector))


def entry_of(path: Path, block: int) -> int:
    """The sector number that the table has for a block."""
    return int(struct.unpack(">I", damage.read(path, BAT + 4 * block, 4))[0])


def moved(block: int, other: int, by: int) -> Damage:
    """Let a block begin `by` sectors behind the beginning of another one."""
    return lambda path: entry(block, entry_of(path, other) + by)(path)


def bitmap(sectors: range) -> Damage:
    """Clear the bits of some sectors in the bitmap of block 0."""

    def change(path: Path) -> None:
        bits = bytearray(damage.read(path, FIRST_BLOCK, BITMAP))
        for sector in sectors:
            assert bits[sector // 8] & 0x80 >> sector % 8
            bits[sector // 8] ^= 0x80 >> sector % 8
        put(FIRST_BLOCK, bytes(bits))(path)

    return change


def without_bytes_before_the_footer(count: int) -> Damage:
    """Cut the disk's data and put the footer behind what is left."""

    def change(path: Path) -> None:
        end = damage.read(path, TAIL, vhd.FOOTER_SIZE)
        damage.truncate(path, TAIL - count)
        append(end)(path)

    return change


def only_a_footer(size: int = vhd.FOOTER_SIZE) -> Damage:
    """Leave nothing but the first bytes of the footer."""

    def change(path: Path) -> None:
        end = damage.read(path, TAIL, size)
        damage.truncate(path, 0)
        append(end)(path)

    return change


def suspended() -> Damage:
    """Say in the footer that the machine was suspended."""
    return footer(84, b"\x01", front=True)


# --- what is healthy -----------------------------------------------------------------------------


def test_both_kinds_are_deployable(fixed: Path, dynamic: Path, tmp_path: Path) -> None:
    """Otherwise no row below would prove anything."""
    for image in (fixed, dynamic):
        expect_deployable(copy_of(image, tmp_path))


def test_the_checksum_is_the_ones_complement_of_the_sum() -> None:
    """As the specification's own example computes it; the field itself counts as zero."""
    assert checksum(bytes(64) + b"\xff\xff\xff\xff" + bytes(444), 64) == 0xFFFFFFFF
    assert checksum(b"\x01\x02" + bytes(62) + b"\xff" * 4 + bytes(444), 64) == 0xFFFFFFFC


# --- footer --------------------------------------------------------------------------------------


@pytest.mark.parametrize("field", FOOTER_FIELDS)
def test_every_byte_of_a_fixed_disk_s_footer_counts(field: str, fixed: Path, tmp_path: Path) -> None:
    """A footer whose checksum fails says nothing, and a fixed disk has no other one."""
    target = copy_of(fixed, tmp_path)
    damage.flip(target, TAIL + FOOTER_FIELDS[field], 0x40)
    if field == "cookie":
        expect_refused(target, Layer.CONTAINER, "VHD container", "neither its signature", 0)
    else:
        expect_refused(target, Layer.CONTAINER, "checksum", "0x", target.stat().st_size + TAIL + 64)


@pytest.mark.parametrize("field", FOOTER_FIELDS)
@pytest.mark.parametrize("copy", ["front", "tail"])
def test_every_byte_of_a_dynamic_disk_s_footers_counts(
    field: str, copy: str, dynamic: Path, twin: Path, tmp_path: Path
) -> None:
    """A copy whose checksum fails says nothing; what the other one says is all that counts."""
    at = (TAIL if copy == "tail" else 0) + FOOTER_FIELDS[field]
    expect(Row(field, flip(at, 0x40), mend=Mend.VHD_FOOTER), dynamic, tmp_path, twin=twin)


FOOTER_ROWS = (
    Row("cut-off", cut(TAIL), found="neither its signature"),
    Row("zeroed", put(TAIL, bytes(512)), found="neither its signature"),
    Row("512-bytes-appended", append(bytes(512)), found="neither its signature"),
    Row("footer-twice-half", append(b"conectix" + bytes(504)), expected="checksum", offset=-448),
    harmless("of-511-bytes", cut(-1)),
    Row("of-511-bytes-and-one-lost", every(footer(511, b"\x01"), cut(-1))),
    Row("reserved-feature-bit-clear", footer(11, b"\x00"), expected="feature bit", offset=-504),
    Row("version-2", footer(12, b"\0\2\0\0"), expected="version 1.0", offset=-500),
    Row("size-of-zero", footer(48, bytes(8)), expected="whole sectors", found="0", offset=-464),
    Row("size-of-half-a-sector", footer(55, b"\x01"), expected="whole sectors", offset=-464),
    Row("size-beyond-the-file", footer(49, b"\x01"), expected="within", offset=-464),
    Row("size-of-all-ones", footer(48, b"\xff" * 6), expected="within", offset=-464),
    Row("disk-type-0", footer(63, b"\x00"), expected="disk type", found="0", offset=-452),
    Row("disk-type-1", footer(63, b"\x01"), expected="disk type", found="1", offset=-452),
    Row("disk-type-5", footer(63, b"\x05"), expected="disk type", found="5", offset=-452),
    Row("disk-type-huge", footer(60, b"\xff"), expected="disk type", offset=-452),
    Row("differencing", footer(63, b"\x04")),
    Row("dynamic-in-name-only", footer(63, b"\x03")),
    Row("saved-state", footer(84, b"\x01"), expected="saved state", offset=-428),
    Row("payload-cut", without_bytes_before_the_footer(4096), expected="within", offset=-464),
    Row("payload-gone", only_a_footer(), expected="within", offset=-464),
    Row("empty", cut(0), found="empty", offset=0),
    Row("half-a-footer", only_a_footer(256)),
)


@rows(*FOOTER_ROWS)
def test_a_fixed_disk_that_cannot_be_trusted(row: Row, fixed: Path, tmp_path: Path) -> None:
    """Whatever is wrong is in the only footer there is, or between it and the file."""
    expect(row, fixed, tmp_path, "image.vhd")


def test_a_smaller_current_size_moves_the_end_of_the_disk(fixed: Path, tmp_path: Path) -> None:
    """Altered with its checksum, a footer is believed; then the partition leaves the disk."""
    row = Row("", footer(40, struct.pack(">QQ", 4 * MiB, 4 * MiB)), Layer.PARTITION_TABLE, "inside the disk")
    expect(row, fixed, tmp_path)


def test_an_original_size_of_another_time_is_no_damage(fixed: Path, dynamic: Path, tmp_path: Path) -> None:
    """A disk that was resized keeps its original size; the specification calls it informational."""
    for image in (fixed, dynamic):
        row = harmless("", footer(40, struct.pack(">Q", 4 * MiB), front=image is dynamic))
        expect(row, image, tmp_path, f"{image.stem}-resized.vhd")


def test_a_name_refuses_a_lost_footer(fixed: Path, tmp_path: Path) -> None:
    """Under `.vhd` it is a damaged VHD; nothing but a name tells it from a raw disk.

    Under another name the same bytes are a raw disk with a valid partition table and 512 bytes more.
    """
    gone = put(TAIL, bytes(512))
    for name in ("disk.vhd", "disk.VHD", "disk.avhd", "disk.vhdx"):
        expect(Row("", gone, found="neither its signature", offset=0), fixed, tmp_path, name)
    expect(harmless("", gone), fixed, tmp_path, "disk.img")


# --- dynamic -------------------------------------------------------------------------------------

DYNAMIC_ROWS = (
    Row("tail-cut", cut(TAIL), expected="cookie", mend=Mend.VHD_FOOTER),
    Row("tail-zeroed", put(TAIL, bytes(512)), expected="cookie", mend=Mend.VHD_FOOTER),
    Row("512-bytes-appended", append(bytes(512)), expected="cookie", mend=Mend.VHD_FOOTER),
    Row("one-byte-appended", append(b"\0"), expected="cookie", mend=Mend.VHD_FOOTER),
    Row("front-zeroed", put(0, bytes(512)), expected="copy", mend=Mend.VHD_FOOTER),
    Row(
        "front-says-something-else",
        every(put(24, b"\1\2\3\4"), lambda path: damage.fix_vhd_footer(path, 0)),
        expected="copy of the footer",
        offset=0,
    ),
    Row("differencing", footer(63, b"\x04", front=True), expected="parent|dynamic"),
    Row("saved-state", suspended(), expected="saved state", offset=-428),
    Row("fixed-in-name-only", footer(63, b"\x02", front=True)),
    Row("header-nowhere", footer(16, b"\xff" * 8, front=True), expected="data offset", offset=16),
    Row("header-behind-the-end", footer(20, b"\x7f", front=True), expected="data offset", offset=16),
    Row("header-between-sectors", footer(23, b"\x01", front=True), expected="data offset", offset=16),
    Row("header-over-the-footer", footer(22, b"\x00", front=True), expected="data offset", offset=16),
    Row("header-in-a-block", footer(21, b"\x10", front=True), expected="cxsparse"),
    Row("header-version-2", header(24, ">I", 0x20000), expected="version 1.0", offset=HEADER + 24),
    Row("too-few-entries", header(28, ">I", 7), expected="at least 8", found="7", offset=HEADER + 28),
    Row("no-entries", header(28, ">I", 0), expected="at least 8", offset=HEADER + 28),
    Row("all-ones-entries", header(28, ">I", 0xFFFFFFFF), expected="table offset", offset=HEADER + 16),
    Row("block-size-0", header(32, ">I", 0), expected="power of two", offset=HEADER + 32),
    Row("block-size-12288", header(32, ">I", 12288), expected="power of two", offset=HEADER + 32),
    Row("block-size-256", header(32, ">I", 256), expected="power of two", offset=HEADER + 32),
    Row("block-size-2-GiB", header(32, ">I", 1 << 31), expected="power of two", offset=HEADER + 32),
    Row("block-size-doubled", header(32, ">I", 4 * MiB)),
    Row("block-size-halved", header(32, ">I", MiB), expected="at least 16", offset=HEADER + 28),
    Row("table-behind-the-end", header(16, ">Q", 1 << 40), expected="table offset", offset=HEADER + 16),
    Row("table-nowhere", header(16, ">Q", 2**64 - 1), expected="table offset", offset=HEADER + 16),
    Row("table-between-sectors", header(16, ">Q", BAT + 4), expected="table offset", offset=HEADER + 16),
    Row("table-over-the-header", header(16, ">Q", HEADER), expected="apart from", offset=HEADER + 16),
    Row("table-over-the-footer", header(16, ">Q", 0), expected="table offset", offset=HEADER + 16),
    Row("table-in-a-bitmap", header(16, ">Q", FIRST_BLOCK), Layer.PARTITION_TABLE),
    Row("table-in-a-block", header(16, ">Q", FIRST_BLOCK + BITMAP), expected="of its own"),
    Row("entry-0", entry(0, 0), found="over the container's metadata", offset=BAT),
    Row("entry-1", entry(1, 1), found="over the container's metadata", offset=BAT + 4),
    Row("entry-of-the-table", entry(2, BAT // 512), found="over the container's metadata", offset=BAT + 8),
    Row("entry-0x7fffffff", entry(0, 0x7FFFFFFF), found="leaves the file", offset=BAT),
    Row("entry-0xfffffffe", entry(7, 0xFFFFFFFE), found="leaves the file", offset=BAT + 28),
    Row("entry-twice", moved(1, 0, 0), found="over another block"),
    Row("entry-twice-of-an-absent-block", moved(6, 2, 0), found="over another block"),
    Row("entry-one-sector-on", moved(1, 0, 1), found="over another block", offset=BAT + 4),
    Row("last-block-runs-into-the-footer", moved(3, 3, 1), found="leaves the file", offset=BAT + 12),
    Row("last-block-cut", without_bytes_before_the_footer(512), found="leaves the file"),
    Row("needed-block-absent", entry(0, 0xFFFFFFFF), Layer.PARTITION_TABLE),
    Row("bitmap-clear-over-data", bitmap(range(1)), expected="bit set", offset=FIRST_BLOCK),
    Row("bitmap-all-clear", put(FIRST_BLOCK, bytes(512)), expected="bit set", offset=FIRST_BLOCK),
    harmless("bitmap-clear-over-zeros", bitmap(range(1, 2048))),
    harmless("entry-of-no-block-of-the-disk", header(28, ">I", 64)),
)


@rows(*DYNAMIC_ROWS)
def test_a_dynamic_disk_that_is_damaged(row: Row, dynamic: Path, twin: Path, tmp_path: Path) -> None:
    """Its footer has a copy. Its table has no checksum: bounds and overlap are the only defence."""
    expect(row, dynamic, tmp_path, "image.vhd", twin)


@pytest.mark.parametrize("field", HEADER_FIELDS)
def test_every_byte_of_the_dynamic_header_counts(field: str, dynamic: Path, tmp_path: Path) -> None:
    """There is one header, and no copy of it."""
    at = HEADER + (0 if field == "cookie" else 36)
    expected = "cxsparse" if field == "cookie" else "checksum"
    row = Row(field, flip(HEADER + HEADER_FIELDS[field], 0x40), expected=expected, offset=at)
    expect(row, dynamic, tmp_path)


def test_a_lost_tail_footer_makes_no_raw_disk(dynamic: Path, twin: Path, tmp_path: Path) -> None:
    """A file that still shows one half of a format is that format, under any name."""
    for name in ("disk.vhd", "disk.img", "disk"):
        row = Row("", cut(TAIL), expected="cookie", mend=Mend.VHD_FOOTER)
        report = expect(row, dynamic, tmp_path, name, twin)
        assert getattr(report.facts.container, "format", "vhd") == "vhd"


def test_a_cut_file_never_passes(fixed: Path, dynamic: Path, tmp_path: Path) -> None:
    """Wherever it was cut, with its footer or without."""
    dice = random.Random("cut")
    for image in (fixed, dynamic):
        for _ in range(10):
            size = dice.randrange(image.stat().st_size)
            target = copy_of(image, tmp_path, "image.vhd")
            damage.truncate(target, size)
            expect_refused(target, Layer.CONTAINER)


def test_a_cut_block_shifts_nothing(tmp_path: Path) -> None:
    """The physically last block is logical block 1; cut into it and close with the footer.

    One known reader joins what is left of a block with the next one, 2 MiB too early.
    """
    image = build(small_disk(), DynamicVhd(order=(0, 2, 3, 1)))
    row = Row("", without_bytes_before_the_footer(BLOCK - 4096), found="leaves the file", offset=BAT + 4)
    expect(row, image, tmp_path)


def test_entries_behind_the_disk_s_last_block_are_not_read(tmp_path: Path) -> None:
    """A table may be longer than the disk needs; what it says there is nobody's."""
    image = build(small_disk(), DynamicVhd())
    target = copy_of(image, tmp_path)
    every(header(28, ">I", 5), entry(4, 3))(target)
    expect_deployable(target)


def test_a_bitmap_says_which_sector_is_doubtful(dynamic: Path) -> None:
    """The evidence points at the byte with the clear bit; the sectors around it can be read."""
    data = bytearray(dynamic.read_bytes())
    sector = 2048  # the boot sector of the volume at 1 MiB
    data[FIRST_BLOCK + sector // 8] ^= 0x80 >> sector % 8
    disk = open_vhd(Bytes(bytes(data)))
    assert disk.read_at(512 * sector - 512, 512) == bytes(512)
    assert len(disk.read_at(512 * sector + 512, 512)) == 512
    evidence = refuses(lambda: disk.read_at(512 * sector + 510, 3), Layer.CONTAINER)
    assert evidence.where.offset == FIRST_BLOCK + sector // 8
