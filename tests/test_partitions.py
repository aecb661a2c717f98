"""Partition tables: GPT with its checksums, MBR with logical partitions, and all that is wrong (H6).

The known reader checks no checksum, makes every partition one sector too short, and does not return
from a table with enough entries.
"""

from __future__ import annotations

import re
import struct
import subprocess
import time
import zlib
from dataclasses import replace
from pathlib import Path

import pytest

from tests.hostile import (
    Bytes,
    Damage,
    Mend,
    MiB,
    Row,
    every,
    expect,
    expect_deployable,
    expect_refused,
    flip,
    harmless,
    need,
    open_image,
    put,
    refuses,
    rows,
)
from tests.images import (
    Blob,
    Disk,
    Esp,
    Fat,
    FixedVhd,
    Msr,
    Ntfs,
    Vhdx,
    build,
    copy_of,
    damage,
    disk_of,
    edited,
    generalized,
)
from tests.images.partitions import GPT_HEADER, seal_gpt_header
from validator.disk.container import RawDisk
from validator.disk.partitions import PartitionTable, read_partition_table
from validator.evidence import Layer
from validator.judging import Verdict
from validator.validation import validate

TABLE = Layer.PARTITION_TABLE
HEADER, ENTRIES = 512, 1024
"""Where a GPT begins on a disk of 512-byte sectors."""
SECOND_ENTRY = ENTRIES + 128
TYPE, GUID, FIRST, LAST, ATTRIBUTES, NAME = 0, 16, 32, 40, 48, 56
"""Fields of an entry."""
EXTENDED_ENTRY = 446 + 3 * 16
"""The fourth entry of an MBR with logical partitions."""

GPT_FIELDS = {
    "signature": 0,
    "revision": 10,
    "header-size": 12,
    "checksum": 16,
    "checksum-end": 19,
    "reserved": 20,
    "my-lba": 24,
    "alternate-lba": 32,
    "first-usable": 40,
    "last-usable": 48,
    "disk-guid": 56,
    "entries-lba": 72,
    "entry-count": 80,
    "entry-size": 84,
    "entries-checksum": 88,
}


@pytest.fixture(scope="session")
def gpt() -> Path:
    """A healthy GPT disk: Windows, and one more partition without content."""
    return build(Disk((Ntfs(generalized()), Blob(size=2 * MiB)), "gpt"), FixedVhd())


@pytest.fixture(scope="session")
def logical() -> Path:
    """Windows in a logical partition: three primary ones, an extended one, two logical ones in it."""
    volumes = (*(Blob(size=MiB) for _ in range(3)), Blob(size=MiB), Ntfs(generalized()))
    return build(Disk(volumes, "mbr"), FixedVhd())


def header(field: int, layout: str, value: int) -> Damage:
    """Change a field of the primary header and put both checksums right."""

    def change(path: Path) -> None:
        put(HEADER + field, struct.pack(layout, value))(path)
        fields = GPT_HEADER.unpack(damage.read(path, HEADER, GPT_HEADER.size))
        lba, count, size = fields[10:13]
        if lba * 512 + count * size <= 64 * MiB:
            array = zlib.crc32(damage.read(path, lba * 512, count * size))
            damage.overwrite(path, HEADER + 88, struct.pack("<I", array))
        damage.overwrite(path, HEADER, seal_gpt_header(damage.read(path, HEADER, GPT_HEADER.size)))

    return change


def entry(field: int, data: bytes, at: int = ENTRIES) -> Damage:
    """Change a field of an entry and put both checksums right."""
    return every(put(at + field, data), damage.fix_gpt)


def lba(number: int) -> bytes:
    """A sector number as it is stored."""
    return struct.pack("<Q", number)


def of(path: Path, field: int, at: int = ENTRIES) -> int:
    """A sector number of an entry."""
    return int(struct.unpack("<Q", damage.read(path, at + field, 8))[0])


def backup(path: Path) -> int:
    """Where the backup header of a GPT in a fixed VHD lies."""
    return int(struct.unpack("<Q", damage.read(path, HEADER + 32, 8))[0]) * 512


def without_primary(path: Path) -> None:
    """Zero the primary header and its entries; the backup stays."""
    put(HEADER, bytes(34 * 512 - HEADER))(path)


def without_backup(path: Path) -> None:
    """Zero the backup header and its entries; the primary stays."""
    at = backup(path)
    put(at - 32 * 512, bytes(33 * 512))(path)


def other_backup(path: Path) -> None:
    """Let the backup, valid in itself, name another place for the first partition."""
    at = backup(path)
    put(at - 32 * 512 + FIRST, lba(of(path, FIRST) + 8))(path)
    damage.fix_gpt(path, header=at)


def table_of(path: Path) -> PartitionTable:
    """The partition table that our reader sees."""
    with open_image(path) as disk:
        return read_partition_table(disk)


# --- good tables ---------------------------------------------------------------------------------

GOOD = {
    "gpt": Disk((Esp(), Msr(), Ntfs(generalized())), "gpt"),
    "gpt-of-five": Disk(tuple(Blob(size=(n + 1) * MiB) for n in range(5)), "gpt"),
    "mbr": disk_of(generalized(), "mbr"),
    "mbr-of-four": Disk(tuple(Blob(size=(n + 1) * MiB) for n in range(4)), "mbr"),
    "logical": Disk(tuple(Blob(size=(n + 1) * MiB) for n in range(7)), "mbr"),
    "fat": Disk((Fat({"a.txt": b"x"}),), "gpt"),
}


@pytest.mark.parametrize("name", GOOD)
def test_good_tables_are_what_sgdisk_prints(name: str) -> None:
    """Number, first and last sector of every partition; a size is not one sector short."""
    tool = need("sgdisk")
    raw = build(GOOD[name], "raw")
    printed = subprocess.run([tool, "-p", raw], capture_output=True, text=True, check=True).stdout
    theirs = [
        tuple(map(int, match.groups()))
        for match in re.finditer(r"^ +(\d+) +(\d+) +(\d+) +[\d.]+ [KMG]iB", printed, re.MULTILINE)
    ]
    table = table_of(raw)
    ours = [
        (each.number, each.offset // 512, (each.offset + each.size) // 512 - 1) for each in table.partitions
    ]
    assert ours == theirs
    assert theirs
    if table.scheme == "gpt":
        assert f"Disk identifier (GUID): {table.disk_id.upper()}" in printed


@pytest.mark.parametrize("name", ["gpt", "mbr"])
def test_a_disk_of_4096_byte_sectors(name: str) -> None:
    """The container says how large a sector is; a raw disk is tried both ways."""
    disk = disk_of(generalized(), name, 4096)
    for container in (Vhdx(), "raw") if name == "gpt" else (Vhdx(),):
        table = table_of(build(disk, container))
        assert table.sector_size == 4096
        assert [each.offset % MiB for each in table.partitions] == [0] * len(disk.volumes)
        assert table.partitions[-1].size == 8 * MiB or table.partitions[-1].size % MiB == 0


def test_names_and_identifiers_of_gpt_partitions(gpt: Path) -> None:
    """As they stand in the entries."""
    table = table_of(gpt)
    assert table.scheme == "gpt"
    assert [each.name for each in table.partitions] == ["Basic data partition"] * 2
    assert [each.type_name for each in table.partitions] == ["basic data"] * 2
    assert len({each.guid for each in table.partitions}) == 2


# --- GPT -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("field", GPT_FIELDS)
def test_every_byte_of_the_header_counts(field: str, gpt: Path, tmp_path: Path) -> None:
    """Without its backup, for recovery is another matter."""
    row = Row(field, every(without_backup, flip(HEADER + GPT_FIELDS[field], 0x20)), TABLE)
    expect(row, gpt, tmp_path)


@pytest.mark.parametrize("place", ["first", "second", "unused", "last"])
def test_every_byte_of_the_entries_counts(place: str, gpt: Path, tmp_path: Path) -> None:
    """Used or not."""
    at = {"first": FIRST, "second": 128 + NAME, "unused": 128 * 5, "last": 128 * 128 - 1}[place]
    row = Row(place, every(without_backup, flip(ENTRIES + at)), TABLE, "checksum", "0x", HEADER + 88)
    expect(row, gpt, tmp_path)


GPT_ROWS = (
    Row("revision-2", header(8, "<I", 0x20000), TABLE, "revision", "0x00020000", HEADER + 8),
    Row("header-size-0", put(HEADER + 12, bytes(4)), TABLE, "header", "0", HEADER + 12),
    Row("header-size-91", put(HEADER + 12, b"\x5b"), TABLE, "header", "91", HEADER + 12),
    Row("header-size-huge", put(HEADER + 12, b"\xff" * 4), TABLE, "header", "", HEADER + 12),
    Row("somewhere-else", header(24, "<Q", 7), TABLE, "sector 1", "7", HEADER + 24),
    Row("usable-from-0", header(40, "<Q", 0), TABLE, "usable", "", HEADER + 40),
    Row("usable-beyond-the-disk", header(48, "<Q", 1 << 40), TABLE, "usable", "", HEADER + 40),
    Row("usable-backwards", header(48, "<Q", 3), TABLE, "usable", "", HEADER + 40),
    Row("usable-from-behind-a-partition", header(40, "<Q", 4096), TABLE),
    Row("entries-in-the-header", header(72, "<Q", 1), TABLE, "entries", "", HEADER + 72),
    Row("entries-nowhere", header(72, "<Q", 1 << 62), TABLE, "entries", "", HEADER + 72),
    Row("entries-in-a-partition", header(72, "<Q", 2048), TABLE, "entries", "", HEADER + 72),
    Row("count-all-ones", header(80, "<I", 0xFFFFFFFF), TABLE, "entries", "4294967295", HEADER + 80),
    Row("count-300000", header(80, "<I", 300_000), TABLE, "entries", "300000", HEADER + 80),
    Row("count-0", header(80, "<I", 0), None),
    Row("entry-size-0", header(84, "<I", 0), TABLE, "entries", "0", HEADER + 84),
    Row("entry-size-64", header(84, "<I", 64), TABLE, "entries", "64", HEADER + 84),
    Row("entry-size-129", header(84, "<I", 129), TABLE, "entries", "129", HEADER + 84),
    Row("entry-size-all-ones", header(84, "<I", 0xFFFFFFFF), TABLE, "entries", "", HEADER + 84),
    Row("entry-size-256", header(84, "<I", 256), None),
    Row(
        "size-0-times-300000",
        every(header(84, "<I", 0), header(80, "<I", 300_000)),
        TABLE,
        "entries",
    ),
    Row("entry-moved", put(ENTRIES + FIRST, lba(4096)), TABLE, "checksum", "", HEADER + 88),
    Row("partition-backwards", entry(LAST, lba(2047)), TABLE, "partition within", "", ENTRIES + FIRST),
    Row(
        "partition-beyond-the-disk", entry(LAST, lba(1 << 40)), TABLE, "partition within", "", ENTRIES + FIRST
    ),
    Row("partition-over-the-backup", entry(LAST, b"\xff" * 8), TABLE, "partition within"),
    Row("partition-over-the-table", entry(FIRST, lba(2)), TABLE, "partition within", "", ENTRIES + FIRST),
    Row("partitions-overlap", entry(FIRST, lba(2050), SECOND_ENTRY), TABLE, "overlap"),
    Row(
        "partitions-share-a-sector",
        lambda path: entry(LAST, lba(of(path, FIRST, SECOND_ENTRY)))(path),
        TABLE,
        "overlap",
    ),
    Row(
        "same-partition-twice",
        lambda path: entry(0, damage.read(path, ENTRIES, 128), SECOND_ENTRY)(path),
        TABLE,
    ),
    Row("windows-unused", entry(TYPE, bytes(16)), Layer.FILE_SYSTEM, "", "none on the partitions"),
    Row("windows-moved", entry(FIRST, lba(2056)), None),
    Row("protective-record-gone", put(446, bytes(66)), TABLE),
    Row("protective-signature-gone", put(510, b"\0\0"), TABLE, "", "", 510),
    Row("nothing-but-the-protective-record", without_primary, TABLE, "GPT"),
    harmless("unused-with-sectors", entry(TYPE, bytes(16), SECOND_ENTRY)),
    harmless("attributes", entry(ATTRIBUTES, b"\x01")),
    harmless("name-of-junk", entry(NAME, b"\x00\xd8\xff\xff\x0a\x00\x1b\x00")),
)


@rows(*GPT_ROWS)
def test_gpt(row: Row, gpt: Path, tmp_path: Path) -> None:
    """Where no word is said of them, both checksums are right; there is no backup that could help."""
    began = time.process_time()
    expect(replace(row, damage=every(without_backup, row.damage)), gpt, tmp_path)
    assert time.process_time() - began < 3


COPY_ROWS = (
    Row("primary-gone", without_primary, TABLE, mend=Mend.GPT_COPY),
    Row("primary-signature", flip(HEADER), TABLE, "GPT", mend=Mend.GPT_COPY),
    Row("primary-checksum", flip(HEADER + 16), TABLE, "checksum", mend=Mend.GPT_COPY),
    Row("primary-entries", flip(ENTRIES + 128 * 7), TABLE, "checksum", mend=Mend.GPT_COPY),
    Row("backup-says-something-else", other_backup, TABLE),
    Row("halves-of-both", every(flip(HEADER + 16), lambda path: flip(backup(path) - 512)(path)), TABLE),
    Row("both-headers", every(flip(HEADER + 16), lambda path: flip(backup(path) + 16)(path)), TABLE),
    harmless("backup-gone", without_backup),
    harmless("backup-header", lambda path: flip(backup(path) + 16)(path)),
    harmless("backup-entries", lambda path: flip(backup(path) - 512)(path)),
)


@rows(*COPY_ROWS)
def test_the_two_copies_of_a_gpt(row: Row, gpt: Path, tmp_path: Path) -> None:
    """A copy counts only whole; Windows starts by the primary, so that its backup alone is no damage."""
    expect(row, gpt, tmp_path)


def test_an_unused_entry_is_no_partition(gpt: Path, tmp_path: Path) -> None:
    """What makes an entry unused is its type, not its first sector."""
    target = copy_of(gpt, tmp_path)
    entry(TYPE, bytes(16), SECOND_ENTRY)(target)
    without_backup(target)
    assert [each.number for each in table_of(target).partitions] == [1]


def test_a_hybrid_record_is_refused(gpt: Path, tmp_path: Path) -> None:
    """A GPT whose protective record lists a partition as well: Windows and firmware read two disks."""
    target = copy_of(gpt, tmp_path)
    first = of(target, FIRST)
    put(446 + 16, struct.pack("<B3sB3sII", 0x80, b"\0\0\0", 7, b"\0\0\0", first, 2048))(target)
    expect_refused(target, TABLE, "protective MBR", "type 07")


# --- MBR -----------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def mbr() -> Path:
    """A healthy MBR disk: Windows, active, and a partition behind it."""
    return build(Disk((Ntfs(generalized(), active=True), Blob(size=2 * MiB)), "mbr"), FixedVhd())


def slot(index: int, field: int, layout: str, value: int) -> Damage:
    """Change a field of an entry of the MBR."""
    return put(446 + 16 * index + field, struct.pack(layout, value))


MBR_ROWS = (
    Row("signature", flip(510), TABLE, "partition table", "", 510),
    Row("no-partition", put(446, bytes(64)), TABLE, "partition", "", 446),
    Row("boot-indicator-1", slot(0, 0, "<B", 1), TABLE, "boot indicator", "01", 446),
    Row("boot-indicator-ff", slot(1, 0, "<B", 0xFF), TABLE, "boot indicator", "ff", 462),
    Row("beyond-the-disk", slot(1, 12, "<I", 0xFFFFFFFF), TABLE, "inside the disk", "", 446 + 16 + 8),
    Row("far-beyond-the-disk", slot(1, 8, "<I", 0xFFFFFFFF), TABLE, "inside the disk", "", 446 + 16 + 8),
    Row("from-0", slot(0, 8, "<I", 0), TABLE, "inside the disk", "", 446 + 8),
    Row("of-no-sectors", slot(0, 12, "<I", 0), Layer.FILE_SYSTEM, "", "none on the partitions"),
    Row("overlap", slot(1, 8, "<I", 4096), TABLE, "overlap"),
    Row("windows-in-a-wrong-place", slot(0, 8, "<I", 2056), None),
    Row("protective-beside-windows", slot(1, 4, "<B", 0xEE), TABLE, "protective MBR"),
    Row("windows-unused", slot(0, 4, "<B", 0), Layer.FILE_SYSTEM, "", "none on the partitions"),
    Row("volume-instead-of-a-disk", lambda path: put(0, damage.read(path, MiB, 512))(path), TABLE),
    Row("dynamic-disk", slot(0, 4, "<B", 0x42), None, "", "dynamic disk"),
    Row("extended-of-itself", slot(1, 4, "<B", 5), TABLE),
    harmless("boot-code", put(0, b"\xeb\xfe")),
    harmless("another-signature-of-the-disk", flip(440)),
    harmless("not-active", slot(0, 0, "<B", 0)),
)


@rows(*MBR_ROWS)
def test_mbr(row: Row, mbr: Path, tmp_path: Path) -> None:
    """It has no checksum: bounds and overlap are the only defence."""
    expect(row, mbr, tmp_path)


def test_windows_in_a_logical_partition(logical: Path, tmp_path: Path) -> None:
    """Partitions 1 to 3 are primary, logical ones begin with 5."""
    target = copy_of(logical, tmp_path)
    report = expect_deployable(target)
    assert [each.number for each in table_of(target).partitions] == [1, 2, 3, 5, 6]
    assert report.facts.installation.partition == 6  # type: ignore[union-attr]


def record(path: Path, index: int) -> int:
    """Where the boot record of a logical partition lies."""
    first = int(struct.unpack("<I", damage.read(path, EXTENDED_ENTRY + 8, 4))[0])
    at = first * 512
    for _ in range(index):
        at = (first + int(struct.unpack("<I", damage.read(path, at + 462 + 8, 4))[0])) * 512
    return at


def in_record(index: int, field: int, layout: str, value: int) -> Damage:
    """Change a field of the boot record of a logical partition."""
    return lambda path: put(record(path, index) + field, struct.pack(layout, value))(path)


LINK = 462
LOGICAL_ROWS = (
    Row("loop-to-the-first", in_record(1, LINK + 4, "<B", 5), TABLE),
    Row("loop-to-itself", every(
        in_record(1, LINK + 4, "<B", 5),
        lambda path: put(record(path, 1) + LINK + 8, damage.read(path, record(path, 0) + LINK + 8, 4))(path),
    ), TABLE, "", "end|loop|twice"),
    Row("link-to-sector-0-of-the-disk", in_record(0, LINK + 8, "<I", 2**32 - 8192), TABLE),
    Row("link-outside", in_record(0, LINK + 8, "<I", 0x7FFFFFFF), TABLE),
    Row("record-without-signature", lambda path: flip(record(path, 1) + 510)(path), TABLE, "55 aa"),
    Row("first-record-without-signature", lambda path: flip(record(path, 0) + 511)(path), TABLE, "55 aa"),
    Row("partition-outside", in_record(1, 446 + 12, "<I", 1 << 20), TABLE, "inside"),
    Row("partition-far-outside", in_record(1, 446 + 8, "<I", 0xFFFFFFFF), TABLE, "inside"),
    Row("partition-of-nothing", in_record(1, 446 + 12, "<I", 0), TABLE, "inside"),
    Row("partition-over-its-record", in_record(1, 446 + 8, "<I", 0), None),
    Row("extended-beyond-the-disk", put(EXTENDED_ENTRY + 12, b"\xff" * 4), TABLE, "inside the disk"),
    Row("extended-at-0", put(EXTENDED_ENTRY + 8, bytes(4)), TABLE),
    Row("extended-over-a-primary", put(EXTENDED_ENTRY + 8, struct.pack("<I", 2048)), TABLE),
)  # fmt: skip


@rows(*LOGICAL_ROWS)
def test_logical_partitions(row: Row, logical: Path, tmp_path: Path) -> None:
    """A chain of records inside the extended partition, which ends."""
    began = time.process_time()
    expect(row, logical, tmp_path)
    assert time.process_time() - began < 3


def test_a_long_chain_is_refused_at_once() -> None:
    """A thousand records, each naming the next and nothing else."""
    data = bytearray(1100 * 512)
    data[510:512] = b"\x55\xaa"
    struct.pack_into("<B3xB3xII", data, 446, 0, 5, 1, 1099)
    for index in range(1, 1090):
        at = index * 512
        data[at + 510 : at + 512] = b"\x55\xaa"
        struct.pack_into("<B3xB3xII", data, at + LINK, 0, 5, index, 1)
    began = time.process_time()
    refuses(lambda: read_partition_table(RawDisk(Bytes(bytes(data)))), TABLE)
    assert time.process_time() - began < 1


# --- which Windows -------------------------------------------------------------------------------


@pytest.mark.parametrize("scheme", ["gpt", "mbr"])
def test_windows_on_the_second_ntfs_volume(scheme: str, tmp_path: Path) -> None:
    """The first holds data only; what counts is where the hives are."""
    disk = Disk((Ntfs(files={"data.txt": b"x"}), Ntfs(generalized(), active=True)), scheme)
    report = expect_deployable(copy_of(build(disk, FixedVhd()), tmp_path))
    assert report.facts.installation.partition == 2  # type: ignore[union-attr]


def test_two_windows_that_differ_are_no_green(tmp_path: Path) -> None:
    """Nothing says which one starts, and only one of them is generalized."""
    disk = Disk((Ntfs(generalized()), Ntfs(edited())), "gpt")
    report = validate(copy_of(build(disk, FixedVhd()), tmp_path), "generalized")
    assert report.verdict is Verdict.INDETERMINATE


def test_a_second_volume_that_cannot_be_read_may_hold_another_windows(tmp_path: Path) -> None:
    """So its damage leaves the answer open."""
    disk = Disk((Ntfs(generalized()), Ntfs(files={"data.txt": b"x"})), "gpt")
    target = copy_of(build(disk, FixedVhd()), tmp_path)
    at = of(target, FIRST, SECOND_ENTRY) * 512
    damage.flip(target, at + 48, 0x40)
    expect_refused(target, Layer.FILE_SYSTEM)
