r"""Damage to NTFS on the way to the hive: boot sector, file records, run lists, index nodes.

NTFS has no checksum over data, and the known reader accepts deleted records, stale references and
runs outside the volume. Each row patches one field of a volume made by mkntfs and wimlib.
"""

from __future__ import annotations

import contextlib
import io
import random
import struct
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests import mft
from tests.conftest import Corpus
from tests.hostile import (
    Bytes,
    Damage,
    Mend,
    MiB,
    Row,
    content,
    expect,
    expect_deployable,
    expect_refused,
    flip,
    harmless,
    need,
    open_source,
    put,
    refuses,
    rows,
    small_disk,
)
from tests.images import Disk, FixedVhd, Ntfs, build, copy_of, damage, generalized
from tests.test_conformance import check_decoder
from validator.disk.ntfs import NtfsVolume
from validator.disk.upcase import upcase
from validator.evidence import Layer, Unreadable
from validator.source import Window

START = MiB
CONFIG = r"Windows\System32\config"
SOFTWARE = rf"{CONFIG}\SOFTWARE"
SYSTEM = rf"{CONFIG}\SYSTEM"
STATE_INI = r"Windows\Setup\State\State.ini"
FILE_SYSTEM = Layer.FILE_SYSTEM

SEQUENCE, FLAGS, BASE = 16, 22, 32
"""Fields of a file record."""
ATTRIBUTE_FLAGS, LOWEST_VCN, RUNS, ALLOCATED, SIZE, VALID = 12, 16, 32, 40, 48, 56
"""Fields of a non-resident attribute."""
SECTOR_SIZE, PER_CLUSTER, SECTORS, MFT_AT, RECORD_SIZE, SIGNATURE = 11, 13, 40, 48, 64, 510
"""Fields of the boot sector."""


@pytest.fixture(scope="session")
def image() -> Path:
    """A healthy disk whose folder of hives is large enough for a tree of index nodes."""
    windows = generalized()
    for index in range(60):
        windows = windows.file(rf"{CONFIG}\Journal entry number {index:03}.txt", b"x" * 20 * index)
    return build(small_disk(windows), FixedVhd())


@pytest.fixture
def files(image: Path) -> Iterator[NtfsVolume]:
    """The volume as our reader opens it."""
    with open_source(image) as source:
        yield volume_in(source)


def volume_in(source: object) -> NtfsVolume:
    """The volume in a fixed VHD."""
    size = source.size - START - 512  # type: ignore[attr-defined]
    return NtfsVolume(Window(source, START, size, Layer.VOLUME), 1)  # type: ignore[arg-type]


def printed_by_ntfscat(image: Path, path: str, folder: Path) -> bytes:
    """The content of a file as the Linux NTFS programs read it."""
    tool = need("ntfscat")
    volume = folder / "volume"
    volume.write_bytes(image.read_bytes()[START:-512])
    command = [tool, "-f", volume, path.replace("\\", "/")]
    return subprocess.run(command, capture_output=True, check=True).stdout


def printed_by_dissect(image: Path, path: str) -> bytes:
    """The content of a file as dissect.ntfs reads it."""
    from dissect.ntfs import NTFS

    volume = NTFS(io.BytesIO(image.read_bytes()[START:-512]))
    return bytes(volume.mft.get(path.replace("\\", "/")).open().read())


def boot(field: int, layout: str, value: int) -> Damage:
    """Change a field of the boot sector."""
    return put(START + field, struct.pack(layout, value))


def record(path: str, field: int, layout: str, value: int) -> Damage:
    """Change a field of a file's record."""
    return edited(path, lambda data: struct.pack_into(layout, data, field, value))


def edited(path: str, change: Callable[[bytearray], object]) -> Damage:
    """Change a file's record in any way."""
    return lambda file: mft.Volume(file, START).edit(path, change)


def attribute(path: str, field: int, layout: str, value: int, kind: int = mft.DATA) -> Damage:
    """Change a field of an attribute of a file."""
    return edited(path, lambda data: struct.pack_into(layout, data, mft.find(data, kind).at + field, value))


def runs(path: str, encoded: bytes, kind: int = mft.DATA) -> Damage:
    """Change the run list of an attribute."""

    def change(data: bytearray) -> None:
        at = mft.find(data, kind).at
        at += struct.unpack_from("<H", data, at + RUNS)[0]
        data[at : at + len(encoded)] = encoded

    return edited(path, change)


def torn(path: str, sector: int = 1) -> Damage:
    """Change the last bytes of a sector of a record, where the update sequence number stands."""

    def change(file: Path) -> None:
        volume = mft.Volume(file, START)
        damage.flip(file, volume.offset_of(volume.numbers[path.lower()]) + sector * 512 - 2)

    return change


def reparse_point(path: str) -> Damage:
    """Make a file or folder a junction, by an attribute before the end of its record."""

    def change(data: bytearray) -> None:
        used = struct.unpack_from("<I", data, 24)[0]
        end = used - 8
        body = struct.pack("<IHH", 0xA0000003, 8, 0) + bytes(8)
        header = struct.pack("<IIBBHHHIHH", 0xC0, 24 + len(body), 0, 0, 24, 0, 99, len(body), 24, 0)
        new = header + body
        data[end : end + len(new) + 8] = new + data[end:used]
        struct.pack_into("<I", data, 24, used + len(new))

    return edited(path, change)


def node(entry: Callable[[bytearray, int], object], index: int = 0, path: str = CONFIG) -> Damage:
    """Change the first entry of an index buffer of a folder."""

    def change(file: Path) -> None:
        volume = mft.Volume(file, START)
        at = volume.index_buffers(path)[index]
        volume.edit_at(at, 4096, lambda data: entry(data, 24 + struct.unpack_from("<I", data, 24)[0]))

    return change


def field(offset: int, layout: str, value: int) -> Callable[[bytearray, int], object]:
    """Set a field of an index entry."""
    return lambda data, at: struct.pack_into(layout, data, at + offset, value)


def every_node(change: Callable[[bytearray, int], object]) -> Damage:
    """Change the first entry of all index buffers of the folder of hives."""

    def apply(file: Path) -> None:
        volume = mft.Volume(file, START)
        for at in volume.index_buffers(CONFIG):
            if damage.read(file, at, 4) == b"INDX":
                volume.edit_at(
                    at, 4096, lambda data: change(data, 24 + struct.unpack_from("<I", data, 24)[0])
                )

    return apply


def child(vcn: int | None) -> Damage:
    """Let every entry of the root of the folder's index lead to one node."""

    def change(data: bytearray) -> None:
        root = mft.find(data, mft.INDEX_ROOT)
        at = root.at + struct.unpack_from("<H", data, root.at + 20)[0] + 16
        at += struct.unpack_from("<I", data, at)[0]
        while True:
            length, _, flags = struct.unpack_from("<HHH", data, at + 8)
            struct.pack_into("<Q", data, at + length - 8, vcn)
            if flags & 2:
                return
            at += length

    return edited(CONFIG, change)


def nodes_of_themselves(file: Path) -> None:
    """Let every index buffer of the folder of hives name itself as the child of all its entries."""
    volume = mft.Volume(file, START)
    for vcn, offset in enumerate(volume.index_buffers(CONFIG)):
        if damage.read(file, offset, 4) != b"INDX":
            continue

        def change(data: bytearray, vcn: int = vcn) -> None:
            (first, total) = struct.unpack_from("<II", data, 24)
            data[24 + 12] |= 1
            entry = 24 + first
            end = struct.pack("<QHHHHQ", 0, 24, 0, 3, 0, vcn)
            data[entry : entry + 24] = end
            struct.pack_into("<I", data, 28, first + 24)
            assert total

        volume.edit_at(offset, 4096, change)


def torn_nodes(file: Path) -> None:
    """Break the last fixup of every index buffer of the folder of hives."""
    for at in mft.Volume(file, START).index_buffers(CONFIG):
        if damage.read(file, at, 4) == b"INDX":
            damage.flip(file, at + 8 * 512 - 1)


# --- what is healthy -----------------------------------------------------------------------------


def test_it_is_deployable(image: Path, tmp_path: Path) -> None:
    """Otherwise no row below would prove anything."""
    expect_deployable(copy_of(image, tmp_path))


def test_the_helper_changes_nothing_by_itself(image: Path, tmp_path: Path) -> None:
    """Undoing and redoing the fixups of every record gives the same bytes."""
    volume = mft.Volume(copy_of(image, tmp_path), START)
    assert volume.numbers[SOFTWARE.lower()] > 23
    for number in volume.numbers.values():
        data = damage.read(volume.path, volume.offset_of(number), volume.record_size)
        assert mft.fixed(mft.unfixed(data)) == data


@pytest.mark.parametrize(
    "path",
    [
        SOFTWARE,
        SYSTEM,
        STATE_INI,
        rf"{CONFIG}\Journal entry number 000.txt",
        rf"{CONFIG}\Journal entry number 007.txt",
        rf"{CONFIG}\Journal entry number 059.txt",
        r"Windows\System32\Sysprep\Panther\setupact.log",
        r"Windows\System32\drivers\ntfs.sys",
        r"Users\Public\desktop.ini",
    ],
)
def test_files_have_the_content_that_ntfscat_prints(
    path: str, image: Path, files: NtfsVolume, tmp_path: Path
) -> None:
    """Resident, empty and in runs, as the Linux NTFS programs read them."""
    expected = printed_by_ntfscat(image, path, tmp_path)
    file = files.open(path)
    assert file is not None
    assert content(file) == expected
    dice = random.Random(path)
    for _ in range(20):
        start = dice.randrange(file.size + 1)
        length = dice.randrange(file.size - start + 1)
        assert file.read_at(start, length) == expected[start : start + length]
    for offset, length in ((-1, 1), (0, -1), (file.size, 1), (0, file.size + 1), (file.size + 1, 0)):
        refuses(lambda offset=offset, length=length: file.read_at(offset, length), FILE_SYSTEM)


@pytest.mark.parametrize("path", ["nothing", r"Windows\nothing", rf"{CONFIG}\SOFTWAR", rf"{SOFTWARE}\x"])
def test_what_is_not_there_is_absent(path: str, files: NtfsVolume) -> None:
    """Absence is a value; a file has no children."""
    assert files.open(path) is None
    assert not files.is_folder(path)


@pytest.mark.parametrize("path", [SOFTWARE.lower(), SOFTWARE.upper(), SOFTWARE])
def test_case_does_not_matter(path: str, files: NtfsVolume) -> None:
    """As Windows looks files up."""
    file = files.open(path)
    assert file is not None
    assert file.read_at(0, 4) == b"regf"


# --- boot sector ---------------------------------------------------------------------------------

BOOT_ROWS = (
    Row("signature", flip(START + SIGNATURE), FILE_SYSTEM, "boot sector", "missing", 0),
    Row("name", flip(START + 3), FILE_SYSTEM, "config", "none on the partitions"),
    Row("sector-size-0", boot(SECTOR_SIZE, "<H", 0), FILE_SYSTEM, "clusters", "0 bytes", 11),
    Row("sector-size-513", boot(SECTOR_SIZE, "<H", 513), FILE_SYSTEM, "clusters", "513", 11),
    Row("sector-size-8192", boot(SECTOR_SIZE, "<H", 8192), FILE_SYSTEM, "clusters", "8192", 11),
    Row("clusters-of-0", boot(PER_CLUSTER, "<B", 0), FILE_SYSTEM, "clusters", "", 11),
    Row("clusters-of-3", boot(PER_CLUSTER, "<B", 3), FILE_SYSTEM, "clusters", "3 sectors", 11),
    Row("clusters-of-16", boot(PER_CLUSTER, "<B", 16), FILE_SYSTEM),
    Row("clusters-of-2-GiB", boot(PER_CLUSTER, "<B", 0xEA), FILE_SYSTEM),
    Row("clusters-of-129", boot(PER_CLUSTER, "<B", 129), FILE_SYSTEM),
    Row("no-sectors", boot(SECTORS, "<Q", 0), FILE_SYSTEM, "within the volume", "0 sectors", 40),
    Row("more-than-the-volume", boot(SECTORS, "<Q", 1 << 30), FILE_SYSTEM, "within the volume", "", 40),
    Row("sectors-all-ones", boot(SECTORS, "<Q", 2**64 - 1), FILE_SYSTEM, "within the volume", "", 40),
    Row("too-few-sectors", boot(SECTORS, "<Q", 2048), FILE_SYSTEM, "runs within"),
    Row("mft-nowhere", boot(MFT_AT, "<Q", 0), FILE_SYSTEM, "MFT", "cluster 0", 48),
    Row("mft-outside", boot(MFT_AT, "<Q", 1 << 40), FILE_SYSTEM, "MFT", "", 48),
    Row("mft-all-ones", boot(MFT_AT, "<Q", 2**64 - 1), FILE_SYSTEM, "MFT", "", 48),
    Row("mft-elsewhere", boot(MFT_AT, "<Q", 5), FILE_SYSTEM),
    Row("record-size-0", boot(RECORD_SIZE, "<b", 0), FILE_SYSTEM, "file record", "", 64),
    Row("record-size-512", boot(RECORD_SIZE, "<b", -9), FILE_SYSTEM),
    Row("record-size-64-KiB", boot(RECORD_SIZE, "<b", -16), FILE_SYSTEM, "file record", "", 64),
    Row("record-size-127-clusters", boot(RECORD_SIZE, "<b", 127), FILE_SYSTEM, "file record", "", 64),
    harmless("boot-code", flip(START + 0x60)),
    harmless("serial-number", flip(START + 72)),
)


@rows(*BOOT_ROWS)
def test_boot_sector(row: Row, image: Path, tmp_path: Path) -> None:
    """Geometry within the volume, and a master file table where it says."""
    expect(row, image, tmp_path)


# --- file records --------------------------------------------------------------------------------

PARENTS = {"config": CONFIG, "System32": r"Windows\System32", "Windows": "Windows"}

RECORD_ROWS = (
    *(
        Row(f"{name}-deleted", record(path, FLAGS, "<H", flags), FILE_SYSTEM, "in use", "deleted")
        for name, path, flags in (
            ("hive", SOFTWARE, 0),
            ("system-hive", SYSTEM, 0),
            *((name, path, mft.FOLDER) for name, path in {**PARENTS, "root": ""}.items()),
        )
    ),
    *(
        Row(f"{name}-stale", record(path, SEQUENCE, "<H", 77), FILE_SYSTEM, "sequence number", "77")
        for name, path in {"hive": SOFTWARE, **PARENTS}.items()
    ),
    *(
        Row(
            f"{name}-of-another", record(path, BASE, "<Q", 5 | 5 << 48), FILE_SYSTEM, "[Bb]ase (file )?record"
        )
        for name, path in {"hive": SOFTWARE, **PARENTS, "root": ""}.items()
    ),
    *(
        Row(f"{name}-torn-{sector}", torn(path, sector), FILE_SYSTEM)
        for name, path in {"hive": SOFTWARE, "config": CONFIG, "root": ""}.items()
        for sector in (1, 2)
    ),
    *(
        Row(f"{name}-reparse-point", reparse_point(path), FILE_SYSTEM, "", "reparse point")
        for name, path in {"hive": SOFTWARE, **PARENTS}.items()
    ),
    Row("hive-is-a-folder", record(SOFTWARE, FLAGS, "<H", 3), FILE_SYSTEM, "a file", "a folder"),
    Row("config-is-a-file", record(CONFIG, FLAGS, "<H", 1), FILE_SYSTEM, "config", "none on the part"),
    Row("hive-without-signature", record(SOFTWARE, 0, "4s", b"EELF"), FILE_SYSTEM),
    Row("hive-marked-bad", record(SOFTWARE, 0, "4s", b"BAAD"), FILE_SYSTEM),
    Row("hive-without-attributes", record(SOFTWARE, 20, "<H", 1016), FILE_SYSTEM),
    Row("hive-with-attributes-at-0", record(SOFTWARE, 20, "<H", 0), FILE_SYSTEM),
    Row("hive-with-attributes-outside", record(SOFTWARE, 20, "<H", 0xFFF0), FILE_SYSTEM),
)


@rows(*RECORD_ROWS)
def test_file_records(row: Row, image: Path, tmp_path: Path) -> None:
    """In use, no other's extension, referred to by its present number, and whole."""
    expect(row, image, tmp_path)


@pytest.mark.parametrize("count", [0, 1, 2, 4, 0xFFFF])
@pytest.mark.parametrize("path", [SOFTWARE, CONFIG])
def test_fixups_cover_the_whole_record(path: str, count: int, image: Path, tmp_path: Path) -> None:
    """An update sequence array for fewer sectors leaves some unverified; Windows refuses it."""
    target = copy_of(image, tmp_path)
    volume = mft.Volume(target, START)
    at = volume.offset_of(volume.numbers[path.lower()])
    put(at + 6, struct.pack("<H", count))(target)
    expect_refused(target, FILE_SYSTEM)


# --- $DATA of the hive ---------------------------------------------------------------------------

DATA_ROWS = (
    Row("run-outside", runs(SOFTWARE, b"\x21\x03\xff\x7f"), FILE_SYSTEM, "within the volume"),
    Row("run-across-the-end", runs(SOFTWARE, b"\x22\xff\x7f\x10\x01"), FILE_SYSTEM, "within the volume"),
    Row("run-negative", runs(SOFTWARE, b"\x21\x03\x00\x80"), FILE_SYSTEM, "within the volume"),
    Row("run-of-nothing", runs(SOFTWARE, b"\x21\x00"), FILE_SYSTEM),
    Row("run-too-short", runs(SOFTWARE, b"\x21\x01"), FILE_SYSTEM, "runs for"),
    Row("no-runs", runs(SOFTWARE, b"\x00"), FILE_SYSTEM),
    Row("run-of-15-bytes", runs(SOFTWARE, b"\xff"), FILE_SYSTEM),
    Row("run-into-another-place", runs(SOFTWARE, b"\x21\x04\x05\x00"), Layer.HIVE, "regf"),
    Row("hole", runs(SOFTWARE, b"\x01\x04\x00"), FILE_SYSTEM, "without holes"),
    Row("run-list-outside", attribute(SOFTWARE, RUNS, "<H", 0xFFF0), FILE_SYSTEM),
    Row("not-from-the-beginning", attribute(SOFTWARE, LOWEST_VCN, "<Q", 1), FILE_SYSTEM),
    Row("longer-than-its-runs", attribute(SOFTWARE, SIZE, "<Q", 10 * MiB), FILE_SYSTEM, "runs for"),
    Row("length-all-ones", attribute(SOFTWARE, SIZE, "<Q", 2**64 - 1), FILE_SYSTEM),
    Row("length-0", attribute(SOFTWARE, SIZE, "<Q", 0), None),
    Row("length-of-half", attribute(SOFTWARE, SIZE, "<Q", 5000), None),
    Row("longer-than-allocated", attribute(SOFTWARE, ALLOCATED, "<Q", 4096), FILE_SYSTEM, "valid length"),
    Row("valid-beyond-its-length", attribute(SOFTWARE, VALID, "<Q", 1 << 40), FILE_SYSTEM, "valid length"),
    Row("valid-negative", attribute(SOFTWARE, VALID, "<q", -1), FILE_SYSTEM, "valid length"),
    Row("valid-for-the-base-block", attribute(SOFTWARE, VALID, "<Q", 4096), Layer.HIVE),
    Row("valid-for-nothing", attribute(SOFTWARE, VALID, "<Q", 0), Layer.HIVE),
    Row("encrypted", attribute(SOFTWARE, ATTRIBUTE_FLAGS, "<H", 0x4000), FILE_SYSTEM, "", "encrypted"),
    Row("encrypted-sparse", attribute(SOFTWARE, ATTRIBUTE_FLAGS, "<H", 0xC000), FILE_SYSTEM, "", "encrypted"),
    Row("compressed-in-name-only", attribute(SOFTWARE, ATTRIBUTE_FLAGS, "<H", 1), FILE_SYSTEM),
    Row("of-another-type", attribute(SOFTWARE, 0, "<I", 0x100), FILE_SYSTEM, "data attribute"),
    Row("of-length-0", attribute(SOFTWARE, 4, "<I", 0), FILE_SYSTEM),
    Row("of-length-huge", attribute(SOFTWARE, 4, "<I", 0x7FFFFFF0), None),
    harmless("sparse-without-holes", attribute(SOFTWARE, ATTRIBUTE_FLAGS, "<H", 0x8000)),
    Row("system-hive-outside", runs(SYSTEM, b"\x21\x03\xff\x7f"), FILE_SYSTEM, "within the volume"),
)


@rows(*DATA_ROWS)
def test_data_of_the_hive(row: Row, image: Path, tmp_path: Path) -> None:
    """Runs that cover it, in the volume, without holes, readable as they stand."""
    expect(row, image, tmp_path)


def test_a_sparse_hole_reads_as_zeros(image: Path, tmp_path: Path) -> None:
    """Where the attribute says that it is sparse, and nowhere else."""
    target = copy_of(image, tmp_path)
    attribute(SOFTWARE, ATTRIBUTE_FLAGS, "<H", 0x8000)(target)
    runs(SOFTWARE, b"\x01\x04\x00")(target)
    with open_source(target) as source:
        file = volume_in(source).open(SOFTWARE)
        assert file is not None
        assert content(file) == bytes(file.size)
    expect_refused(target, Layer.HIVE, "regf")


def test_bytes_behind_the_valid_length_read_as_zeros(image: Path, tmp_path: Path) -> None:
    """As in Windows; what the disk holds there is another file's past."""
    target = copy_of(image, tmp_path)
    attribute(SOFTWARE, VALID, "<Q", 5000)(target)
    with open_source(image) as before, open_source(target) as after:
        healthy, short = volume_in(before).open(SOFTWARE), volume_in(after).open(SOFTWARE)
        assert healthy is not None
        assert short is not None
        assert content(short) == content(healthy)[:5000] + bytes(healthy.size - 5000)
        assert short.read_at(4999, 2) == content(healthy)[4999:5000] + b"\0"


def test_a_resident_value_stays_in_its_record(image: Path, tmp_path: Path) -> None:
    """State.ini is small enough to lie in its record; a length beyond it is damage."""
    target = copy_of(image, tmp_path)
    edited(STATE_INI, lambda data: struct.pack_into("<I", data, mft.find(data, mft.DATA).at + 16, 5000))(
        target
    )
    with open_source(target) as source:
        volume = volume_in(source)
        refuses(lambda: volume.open(STATE_INI), FILE_SYSTEM)


# --- hives in several records --------------------------------------------------------------------


@dataclass
class Scattered:
    """A hive whose run list is in two records of its own, with something wrong where a test says so."""

    flags: int = mft.IN_USE
    base: int | None = None
    listed_sequence: int = 1
    lowest: tuple[int, ...] = (0, 1)
    listed: tuple[int, ...] = (0, 1)
    kind: int = mft.DATA
    entry_size: int = 32
    itself: bool = False

    def __call__(self, path: Path) -> None:
        """Move the runs of SOFTWARE into the records of two files that nobody needs, and list them."""
        volume = mft.Volume(path, START)
        number = volume.numbers[SOFTWARE.lower()]
        record = volume.record(number)
        own = number | struct.unpack_from("<H", record, SEQUENCE)[0] << 48
        ((cluster, count),) = volume.runs(record, mft.DATA)
        size = struct.unpack_from("<Q", record, mft.find(record, mft.DATA).at + SIZE)[0]
        spare = [volume.numbers[rf"{CONFIG}\Journal entry number {each:03}.txt".lower()] for each in (57, 58)]
        runs = [[(cluster, 1)], [(cluster + 1, count - 1)]]
        for index, extension in enumerate(spare):
            data = bytearray(record)
            struct.pack_into("<HHHHIIQ", data, SEQUENCE, 1, 0, 56, self.flags, 0, 1024, self.base or own)
            struct.pack_into("<I", data, 44, extension)
            part = mft.in_runs(mft.DATA, list(runs[index]), size, lowest=self.lowest[index])
            mft.with_attributes(data, [part])
            damage.overwrite(path, volume.offset_of(extension), mft.fixed(data))
        references = [own if self.itself else each | self.listed_sequence << 48 for each in spare]
        entries = [mft.list_entry(0x10, 0, own), mft.list_entry(mft.FILE_NAME, 0, own)]
        entries += [mft.list_entry(self.kind, self.lowest[each], references[each]) for each in self.listed]
        listing = bytearray(b"".join(entries))
        struct.pack_into("<H", listing, 4, self.entry_size)
        parts = [
            bytes(record[each.at : each.at + each.length])
            for each in mft.attributes(record)
            if each.type != mft.DATA
        ]
        mft.with_attributes(record, [parts[0], mft.resident(0x20, bytes(listing), 9), *parts[1:]])
        damage.overwrite(path, volume.offset_of(number), mft.fixed(record))


SCATTERED_ROWS = (
    harmless("well", Scattered()),
    Row("extension-deleted", Scattered(flags=0), FILE_SYSTEM, "in use"),
    Row("extension-of-another", Scattered(base=5 | 5 << 48), FILE_SYSTEM),
    Row("extension-of-itself", Scattered(itself=True), FILE_SYSTEM),
    Row("extension-stale", Scattered(listed_sequence=2), FILE_SYSTEM, "sequence number"),
    Row("second-part-missing", Scattered(listed=(0,)), FILE_SYSTEM, "runs for"),
    Row("first-part-missing", Scattered(listed=(1,)), FILE_SYSTEM),
    Row("first-part-twice", Scattered(listed=(0, 0)), FILE_SYSTEM),
    Row("gap-between-the-parts", Scattered(lowest=(0, 2)), FILE_SYSTEM),
    Row("both-parts-from-the-beginning", Scattered(lowest=(0, 0)), FILE_SYSTEM),
    Row("listed-as-something-else", Scattered(kind=0x100), FILE_SYSTEM),
    Row("entry-of-length-0", Scattered(entry_size=0), FILE_SYSTEM),
    Row("entry-of-length-8", Scattered(entry_size=8), FILE_SYSTEM),
    Row("entry-of-length-huge", Scattered(entry_size=0xFFF8), FILE_SYSTEM),
)


@rows(*SCATTERED_ROWS)
def test_a_hive_whose_runs_are_in_other_records(row: Row, image: Path, tmp_path: Path) -> None:
    """As a fragmented hive's are: every part must be there, once, in order, and belong to it."""
    expect(row, image, tmp_path)


def test_scattered_runs_are_what_ntfscat_reads(image: Path, tmp_path: Path) -> None:
    """So the helper's volume is one that others take for good."""
    target = copy_of(image, tmp_path)
    Scattered()(target)
    with open_source(target) as source:
        file = volume_in(source).open(SOFTWARE)
        assert file is not None
        assert content(file) == printed_by_ntfscat(target, SOFTWARE, tmp_path)


# --- runs in pieces ------------------------------------------------------------------------------


def relocated(path: Path, name: str, pieces: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Copy the clusters of a file to free places, piece by piece, and destroy the old ones.

    `pieces` are counts of clusters and where in the free space at the volume's end each begins.
    """
    volume = mft.Volume(path, START)
    record = volume.record(volume.numbers[name.lower()])
    ((cluster, count),) = volume.runs(record, mft.DATA)
    assert sum(size for size, _ in pieces) == count
    (sectors,) = struct.unpack("<Q", damage.read(path, START + SECTORS, 8))
    free = sectors * 512 // 4096 - 128
    runs = []
    for size, place in pieces:
        old, new = START + cluster * 4096, START + (free + place) * 4096
        assert damage.read(path, new, size * 4096) == bytes(size * 4096), "not free"
        damage.overwrite(path, new, damage.read(path, old, size * 4096))
        damage.overwrite(path, old, b"\xcc" * size * 4096)
        runs.append((free + place, size))
        cluster += size
    return runs


def replaced_data(record: bytearray, data: bytes, listing: bytes = b"") -> None:
    """Give a record another data attribute, and an attribute list."""
    parts = [
        data if each.type == mft.DATA else bytes(record[each.at : each.at + each.length])
        for each in mft.attributes(record)
    ]
    mft.with_attributes(record, [parts[0], listing, *parts[1:]])


def fragmented_hive(path: Path) -> None:
    """Lay the clusters of SOFTWARE apart and in another order: a run list with steps back."""
    runs = relocated(path, SOFTWARE, [(1, 90), (1, 5), (2, 60)])

    def change(record: bytearray) -> None:
        size = struct.unpack_from("<Q", record, mft.find(record, mft.DATA).at + SIZE)[0]
        replaced_data(record, mft.in_runs(mft.DATA, list(runs), size))

    mft.Volume(path, START).edit(SOFTWARE, change)


def fragmented_master(path: Path, *, listed: bool) -> None:
    """Lay the clusters of $MFT behind its first ten apart; with an attribute list if `listed`.

    Then the second part of the run list is in a record of its own, which lies in the first part.
    """
    volume = mft.Volume(path, START)
    record = volume.record(0)
    size = struct.unpack_from("<Q", record, mft.find(record, mft.DATA).at + SIZE)[0]
    ((first, count),) = volume.runs(record, mft.DATA)
    head, tail = 10, count - 10
    old, new = START + (first + head) * 4096, (volume_clusters(path) - 128) * 4096 + START
    damage.overwrite(path, new, damage.read(path, old, tail * 4096))
    damage.overwrite(path, old, b"\xcc" * tail * 4096)
    parts: list[tuple[int | None, int]] = [(first, head), ((new - START) // 4096, tail)]
    extension = 15  # the last of the records that are kept for this
    if listed:
        own = 1 << 48
        reference = extension | 15 << 48
        data = bytearray(record)
        struct.pack_into("<HHHHIIQ", data, SEQUENCE, 15, 0, 56, mft.IN_USE, 0, 1024, own)
        struct.pack_into("<I", data, 44, extension)
        mft.with_attributes(data, [mft.in_runs(mft.DATA, parts[1:], size, lowest=head)])
        damage.overwrite(path, START + first * 4096 + extension * 1024, mft.fixed(data))
        entries = []
        for each in mft.attributes(record):
            number = 0 if each.type == mft.DATA else struct.unpack_from("<H", record, each.at + 14)[0]
            entries.append(mft.list_entry(each.type, 0, own, number))
            if each.type == mft.DATA:
                entries.append(mft.list_entry(mft.DATA, head, reference))
        listing = mft.resident(0x20, b"".join(entries), 9)
        attribute = bytearray(mft.in_runs(mft.DATA, parts[:1], size))
        struct.pack_into("<Q", attribute, ALLOCATED, count * 4096)
        replaced_data(record, bytes(attribute), listing)
    else:
        replaced_data(record, mft.in_runs(mft.DATA, parts, size))
    (mirror,) = struct.unpack("<Q", damage.read(path, START + 56, 8))
    for at in (first, mirror):
        damage.overwrite(path, START + at * 4096, mft.fixed(record))


def volume_clusters(path: Path) -> int:
    """How many clusters the volume has."""
    return int(struct.unpack("<Q", damage.read(path, START + SECTORS, 8))[0]) // 8


FRAGMENTED: dict[str, Damage] = {
    "hive": fragmented_hive,
    "mft": lambda path: fragmented_master(path, listed=False),
    "mft-with-attribute-list": lambda path: fragmented_master(path, listed=True),
}


@pytest.mark.parametrize("name", FRAGMENTED)
def test_fragmented_volumes_read_as_before(name: str, image: Path, tmp_path: Path) -> None:
    """As others read them, and deployable."""
    target = copy_of(image, tmp_path)
    FRAGMENTED[name](target)
    with open_source(image) as before, open_source(target) as after:
        healthy, file = volume_in(before).open(SOFTWARE), volume_in(after).open(SOFTWARE)
        assert healthy is not None
        assert file is not None
        assert content(file) == content(healthy)
        check_decoder(file, content(healthy), 4096)
        assert printed_by_dissect(target, SOFTWARE) == content(healthy)
        if name != "mft-with-attribute-list":  # which ntfs-3g refuses to mount
            assert printed_by_ntfscat(target, SOFTWARE, tmp_path) == content(healthy)
    expect_deployable(target)


# --- compared with dissect.ntfs ------------------------------------------------------------------


def tree(volume: bytes) -> dict[str, bytes | None]:
    """Every path that dissect.ntfs finds in a volume, with the content of files; None for folders."""
    from dissect.ntfs import NTFS

    found: dict[str, bytes | None] = {}
    ntfs = NTFS(io.BytesIO(volume))
    for record in ntfs.mft.segments(24):
        if not record.header.Flags & mft.IN_USE or record.header.BaseFileRecordSegment.SegmentNumberLowPart:
            continue
        for path in record.full_paths(ignore_dos=True):
            if path and not path.startswith(("\\$", "$")) and not record.is_reparse_point():
                found[path.lstrip("\\")] = None if record.is_dir() else record.open().read()
    return found


def compare(volume: bytes) -> None:
    """Look up by name whatever dissect.ntfs finds by walking the records, and what is not there."""
    expected = tree(volume)
    assert expected
    ours = NtfsVolume(Bytes(volume), 1)
    upper = {path.upper() for path in expected}
    for path, data in expected.items():
        assert ours.is_folder(path) == (data is None), path
        if data is not None:
            file = ours.open(path)
            assert file is not None, path
            assert content(file) == data, path
        for other in (path[:-1], path + "x", path[:-1] + "\x7f", path + "\\nothing"):
            if other.upper() not in upper and other.isascii() and not other.endswith(("\\", " ", ".")):
                assert ours.open(other) is None, other


VOLUMES = {
    "windows": lambda: Ntfs(generalized()),
    "small-clusters": lambda: Ntfs(generalized(), cluster_size=512),
    "large-clusters": lambda: Ntfs(generalized(), cluster_size=65536),
    "many-files": lambda: Ntfs(files={f"folder\\{name:x}.txt": b"%d" % name for name in range(0, 9999, 7)}),
    "long-names": lambda: Ntfs(files={f"{n:03}" + "n" * (n % 200) + ".t": b"x" * n for n in range(300)}),
    "letters": lambda: Ntfs(files={f"Ä{c}ß{c}.txt": c.encode() for c in "abcXYZ0129_-éÿπ"}),
}


@pytest.mark.parametrize("name", VOLUMES)
def test_every_path_is_what_dissect_finds(name: str) -> None:
    """In trees of index nodes of any depth, resident and not."""
    data = build(Disk((VOLUMES[name](),), "mbr"), FixedVhd()).read_bytes()
    compare(data[START:-512])


def test_volumes_written_by_windows_are_what_dissect_finds(corpus: Corpus) -> None:
    """One of them has alternate streams, another has compressed or sparse system files."""
    compare(corpus["raw/ntfs-charlie.dd.bz2"])


# --- compressed files ----------------------------------------------------------------------------

COMPRESSED = rf"{CONFIG}\compressed.bin"
UNIT = 16 * 4096
MIDDLE = random.Random("middle").randbytes(UNIT)
CONTENT = b"".join(bytes([letter]) * 4096 for letter in b"ABCDEFGHIJKLMNOP") + MIDDLE + b"Z" * 100


@pytest.fixture(scope="session")
def plain() -> Path:
    """A disk with a file of two compression units and a bit, in one run."""
    windows = generalized().file(COMPRESSED, bytes(UNIT) + MIDDLE + b"Z" * 100)
    return build(small_disk(windows), FixedVhd())


def compress(first: bytes = b"", last: bytes = b"") -> Damage:
    """Store that file as NTFS does: packed units before a hole, and one that did not shrink as it is."""

    def change(path: Path) -> None:
        volume = mft.Volume(path, START)
        number = volume.numbers[COMPRESSED.lower()]
        record = volume.record(number)
        ((cluster, _count),) = volume.runs(record, mft.DATA)
        at = volume.content_offset(COMPRESSED)
        packed = first or b"".join(mft.repeated(letter, 4096) for letter in b"ABCDEFGHIJKLMNOP")
        damage.overwrite(path, at, packed.ljust(4096, b"\0"))
        damage.overwrite(path, at + 2 * UNIT, (last or mft.repeated(ord("Z"), 100)).ljust(4096, b"\0"))
        runs = [(cluster, 1), (None, 15), (cluster + 16, 16), (cluster + 32, 1), (None, 15)]
        parts = [
            mft.in_runs(mft.DATA, runs, len(CONTENT), compressed=True)
            if each.type == mft.DATA
            else bytes(record[each.at : each.at + each.length])
            for each in mft.attributes(record)
        ]
        mft.with_attributes(record, parts)
        damage.overwrite(path, volume.offset_of(number), mft.fixed(record))

    return change


def test_compressed_files_unpack(plain: Path, tmp_path: Path) -> None:
    """Unit by unit, across their borders, and as ntfscat prints them."""
    target = copy_of(plain, tmp_path)
    compress()(target)
    with open_source(target) as source:
        file = volume_in(source).open(COMPRESSED)
        assert file is not None
        check_decoder(file, CONTENT, UNIT)
    assert printed_by_ntfscat(target, COMPRESSED, tmp_path) == CONTENT


@pytest.mark.parametrize(
    ("name", "first"),
    [
        ("not-packed", b"\x5a" * 4096),
        ("cut-in-a-chunk", mft.repeated(65, 4096)[:3] + b"\xff" * 4093),
        ("copies-from-before-its-start", struct.pack("<HBBH", 0xB003, 0b10, 65, 0xF000)),
        ("chunk-beyond-its-clusters", b"\xff\xbf" + bytes(4094)),
    ],
)
def test_compressed_units_that_do_not_unpack(name: str, first: bytes, plain: Path, tmp_path: Path) -> None:
    """Refused, or zeros behind what was packed; never bytes of another unit and never another exception."""
    target = copy_of(plain, tmp_path)
    compress(first)(target)
    with open_source(target) as source:
        file = volume_in(source).open(COMPRESSED)
        assert file is not None
        with contextlib.suppress(Unreadable):
            assert len(file.read_at(0, UNIT)) == UNIT
        assert file.read_at(UNIT, UNIT + 100) == CONTENT[UNIT:]


# --- master file table ---------------------------------------------------------------------------


def master(offset: int, layout: str, value: object) -> Damage:
    """Change a field of the record of $MFT itself."""

    def change(file: Path) -> None:
        volume = mft.Volume(file, START)
        volume.edit_at(volume.offset_of(0), 1024, lambda data: struct.pack_into(layout, data, offset, value))

    return change


def master_data(change: Callable[[bytearray, int], object]) -> Damage:
    """Change the data attribute of $MFT."""

    def apply(file: Path) -> None:
        volume = mft.Volume(file, START)
        volume.edit_at(volume.offset_of(0), 1024, lambda data: change(data, mft.find(data, mft.DATA).at))

    return apply


def master_runs(encoded: bytes) -> Damage:
    """Change the run list of $MFT."""

    def change(data: bytearray, at: int) -> None:
        at += struct.unpack_from("<H", data, at + RUNS)[0]
        data[at : at + len(encoded)] = encoded

    return master_data(change)


MFT_ROWS = (
    Row("signature", master(0, "4s", b"BAAD"), FILE_SYSTEM, mend=Mend.MFT_MIRROR),
    Row("deleted", master(FLAGS, "<H", 0), FILE_SYSTEM, "in use"),
    Row("extension", master(BASE, "<Q", 9), FILE_SYSTEM, "[Bb]ase (file )?record"),
    Row("torn", torn("$mft", 1), FILE_SYSTEM, mend=Mend.MFT_MIRROR),
    Row("torn-at-its-end", torn("$mft", 2), FILE_SYSTEM, mend=Mend.MFT_MIRROR),
    Row("run-outside", master_runs(b"\x21\x2f\xff\x7f"), FILE_SYSTEM, "within the volume"),
    Row("run-negative", master_runs(b"\x11\x2f\x84"), FILE_SYSTEM, "within the volume"),
    Row("run-too-short", master_runs(b"\x11\x01"), FILE_SYSTEM),
    Row("hole", master_runs(b"\x01\x2f\x00"), FILE_SYSTEM),
    Row("elsewhere", master_runs(b"\x11\x2f\x60"), FILE_SYSTEM),
    Row(
        "too-small", master_data(lambda data, at: struct.pack_into("<Q", data, at + SIZE, 16384)), FILE_SYSTEM
    ),
    Row("without-data", master_data(lambda data, at: struct.pack_into("<I", data, at, 0x100)), FILE_SYSTEM),
)


@rows(*MFT_ROWS)
def test_master_file_table(row: Row, image: Path, tmp_path: Path) -> None:
    """Its own record is held to the same rules; its mirror mends what is torn."""
    expect(row, image, tmp_path)


# --- index nodes ---------------------------------------------------------------------------------

INDEX_ROWS = (
    Row("nodes-of-themselves", nodes_of_themselves, FILE_SYSTEM, "levels|deeper"),
    Row("child-outside", child(1 << 40), FILE_SYSTEM),
    Row("child-all-ones", child(2**64 - 1), FILE_SYSTEM),
    Row("child-behind-the-last", child(5), FILE_SYSTEM),
    Row("entry-of-length-0", every_node(field(8, "<H", 0)), FILE_SYSTEM),
    Row("entry-of-length-8", every_node(field(8, "<H", 8)), FILE_SYSTEM),
    Row("entry-without-name", every_node(field(8, "<H", 24)), FILE_SYSTEM),
    Row("entry-of-length-huge", every_node(field(8, "<H", 0xFFF8)), FILE_SYSTEM),
    Row("key-of-length-0", every_node(field(10, "<H", 0)), FILE_SYSTEM),
    Row("name-longer-than-its-entry", every_node(field(16 + 64, "<B", 255)), FILE_SYSTEM),
    Row("signature", every_node(lambda data, _: struct.pack_into("4s", data, 0, b"XDNI")), FILE_SYSTEM),
    Row(
        "entries-outside", every_node(lambda data, _: struct.pack_into("<I", data, 24, 1 << 20)), FILE_SYSTEM
    ),
    Row("nothing-used", every_node(lambda data, _: struct.pack_into("<I", data, 28, 0)), FILE_SYSTEM),
    Row(
        "run-outside",
        runs(CONFIG, b"\x21\x05\xff\x7f", mft.INDEX_ALLOCATION),
        FILE_SYSTEM,
    ),
    Row("node-torn", torn_nodes, FILE_SYSTEM),
    Row("root-of-another-type", attribute(CONFIG, 0, "<I", 0x40, mft.INDEX_ROOT), FILE_SYSTEM),
)


@rows(*INDEX_ROWS)
def test_index_of_the_folder_of_hives(row: Row, image: Path, tmp_path: Path) -> None:
    """A tree of nodes that ends, in buffers that are whole; nothing else says that a file is absent."""
    began = time.process_time()
    expect(row, image, tmp_path)
    assert time.process_time() - began < 3


def test_a_renamed_entry_is_absence_and_no_answer(image: Path, tmp_path: Path) -> None:
    """A hive that the index does not name is missing, and an older one is never taken for it."""
    target = copy_of(image, tmp_path)
    name = "SOFTWARE".encode("utf-16-le")
    for at in mft.Volume(target, START).index_buffers(CONFIG):
        buffer = damage.read(target, at, 4096)
        if name in buffer:
            damage.overwrite(target, at + buffer.index(name) + 14, b"F")
    expect_refused(target, Layer.HIVE, "the SOFTWARE hive", "no such file")


def test_random_bytes_in_the_records_on_the_way_are_never_taken(image: Path, tmp_path: Path) -> None:
    """Whatever is flipped, a file has the bytes that it had, or the reader refuses, or it is absent."""
    with open_source(image) as source:
        healthy = content(volume_in(source).open(SOFTWARE))  # type: ignore[arg-type]
    target = copy_of(image, tmp_path)
    volume = mft.Volume(target, START)
    offsets = [volume.offset_of(volume.numbers[path.lower()]) for path in (SOFTWARE, CONFIG, "Windows")]
    dice = random.Random(7)
    for _ in range(400):
        at = dice.choice(offsets) + dice.randrange(400)
        damage.flip(target, at, mask := 1 << dice.randrange(8))
        try:
            with open_source(target) as source:
                file = volume_in(source).open(SOFTWARE)
                found = content(file) if file else healthy
                # A length, a place or a flag may change to another that is possible as well.
                assert len(found) <= len(healthy) or found.startswith(healthy)
        except Unreadable:
            pass
        finally:
            damage.flip(target, at, mask)


# --- listing folders -----------------------------------------------------------------------------

FOLDER = "many"
"""A folder of the image below whose index has several levels."""


@pytest.fixture(scope="session")
def crowded() -> Path:
    """A disk with a folder of 2000 files, a small one and an empty one."""
    files = {rf"{FOLDER}\Entry {name * 7919 % 2000:04} of the folder.txt": b"x" for name in range(2000)}
    files |= {rf"few\{name}": b"x" for name in ("b.txt", "A.txt", "É.txt", "_", "c", "$d")}
    return build(Disk((Ntfs(files=files),), "mbr"), FixedVhd())


def names_by_dissect(volume: bytes, path: str) -> list[str]:
    """Names in a folder as dissect.ntfs finds them node by node, without aliases, in collation order."""
    from dissect.ntfs import NTFS

    entries = NTFS(io.BytesIO(volume)).mft.get(path.replace("\\", "/")).iterdir(ignore_dos=True)
    names = [entry.attribute.file_name for entry in entries]
    names = names if path else [name for name in names if name != "." and not name.startswith("$")]
    return sorted(names, key=upcase)


def listed(image: Path, path: str) -> tuple[str, ...] | None:
    """Names in a folder as our reader lists them."""
    with open_source(image) as source:
        return volume_in(source).names(path)


def names_of(image: Path, path: str) -> tuple[str, ...]:
    """Names in a folder that is there."""
    names = listed(image, path)
    assert names is not None
    return names


@pytest.mark.parametrize(("path", "count"), [(FOLDER, 2000), (FOLDER.upper(), 2000), ("few", 6), ("", 2)])
def test_folders_have_the_names_that_dissect_lists(path: str, count: int, crowded: Path) -> None:
    """All of them, in the order of the index."""
    names = names_of(crowded, path)
    assert len(names) == count
    assert list(names) == names_by_dissect(crowded.read_bytes()[START:-512], path)
    assert len(mft.Volume(crowded, START).index_buffers(FOLDER)) > 20


@pytest.mark.parametrize("name", VOLUMES)
def test_every_folder_has_the_names_that_dissect_lists(name: str) -> None:
    """Resident or not, of any depth; and each name can be opened."""
    data = build(Disk((VOLUMES[name](),), "mbr"), FixedVhd()).read_bytes()[START:-512]
    ours = NtfsVolume(Bytes(data), 1)
    for path in ("", *(path for path, stored in tree(data).items() if stored is None)):
        names = ours.names(path)
        assert names is not None, path
        assert list(names) == names_by_dissect(data, path), path
        assert all(ours._find(f"{path}\\{each}".lstrip("\\")) is not None for each in names), path


def test_a_folder_written_by_windows_has_the_names_that_dissect_lists(corpus: Corpus) -> None:
    """With aliases, which are left out."""
    data = corpus["raw/ntfs-charlie.dd.bz2"]
    ours = NtfsVolume(Bytes(data), 1)
    folders = [path for path, stored in tree(data).items() if stored is None]
    assert folders
    for path in ("", *folders):
        assert list(ours.names(path) or ()) == names_by_dissect(data, path), path


@pytest.mark.parametrize("path", ["nothing", r"nothing\at all", SOFTWARE, rf"{SOFTWARE}\x"])
def test_what_is_no_folder_has_no_names(path: str, files: NtfsVolume) -> None:
    """None, unlike a folder without files."""
    assert files.names(path) is None


def entry_at(data: bytes | bytearray, index: int) -> int:
    """Where an entry of an index buffer begins."""
    at = 24 + int(struct.unpack_from("<I", data, 24)[0])
    for _ in range(index):
        at += int(struct.unpack_from("<H", data, at + 8)[0])
    return at


def torn_node(file: Path) -> None:
    """Break the last fixup of one index buffer."""
    damage.flip(file, mft.Volume(file, START).index_buffers(FOLDER)[3] + 8 * 512 - 1)


def exchanged(data: bytearray, at: int) -> None:
    """Exchange the first two entries of an index buffer, which are as long."""
    second, third = entry_at(data, 1), entry_at(data, 2)
    assert third - second == second - at
    data[at:third] = data[second:third] + data[at:second]


def first_again(data: bytearray, at: int) -> None:
    """Put the first entry of an index buffer in place of the second."""
    second = entry_at(data, 1)
    data[second : 2 * second - at] = data[at:second]


def child_again(data: bytearray, at: int) -> None:
    """Let the second entry of an inner node lead where the first does."""
    second, third = entry_at(data, 1), entry_at(data, 2)
    data[third - 8 : third] = data[second - 8 : second]


def child_itself(data: bytearray, at: int) -> None:
    """Let the first entry of an inner node lead to the node."""
    struct.pack_into("<Q", data, entry_at(data, 1) - 8, INNER)


INNER = 4
"""An index buffer of the folder that leads to others."""

LISTING_ROWS = (
    ("torn", torn_node, "update sequence"),
    ("another-node", node(lambda data, _: struct.pack_into("<Q", data, 16, 77), 3, FOLDER), "index node"),
    ("of-another-folder", node(field(16, "<Q", 5 | 5 << 48), 3, FOLDER), "entries of folder"),
    ("out-of-order", node(exchanged, 3, FOLDER), "order"),
    ("name-twice", node(first_again, 3, FOLDER), "order"),
    ("name-out-of-its-place", node(field(16 + 66, "<H", ord("Z")), 3, FOLDER), "order"),
    ("alias-of-nothing", node(field(16 + 65, "<B", 2), 3, FOLDER), "alias"),
    ("entry-of-length-0", node(field(8, "<H", 0), 3, FOLDER), "entry inside its node"),
    ("without-name", node(field(10, "<H", 8), 3, FOLDER), "file name"),
    ("signature", node(lambda data, _: struct.pack_into("4s", data, 0, b"XDNI"), 3, FOLDER), "signature"),
    ("child-twice", node(child_again, INNER, FOLDER), "each index node once"),
    ("child-of-itself", node(child_itself, INNER, FOLDER), "each index node once"),
    ("reparse-point", reparse_point(FOLDER), "a folder"),
)


@pytest.mark.parametrize(
    ("change", "expected"), [row[1:] for row in LISTING_ROWS], ids=[row[0] for row in LISTING_ROWS]
)
def test_a_damaged_index_is_never_a_shorter_list(
    change: Damage, expected: str, crowded: Path, tmp_path: Path
) -> None:
    """One node of a hundred is enough; what is not damaged lists as before."""
    target = copy_of(crowded, tmp_path)
    change(target)
    assert expected in refuses(lambda: listed(target, FOLDER), FILE_SYSTEM).expected
    assert names_of(target, "few") == names_of(crowded, "few")


@pytest.mark.parametrize(("limit", "value"), [("MAX_NAMES", 1999), ("MAX_NAMES", 99), ("MAX_INDEX_DEPTH", 3)])
def test_a_list_is_bounded(limit: str, value: int, crowded: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In names, in nodes and in levels."""
    monkeypatch.setattr(f"validator.disk.ntfs.{limit}", value + 1)
    assert (limit == "MAX_NAMES" and value < 1999) or len(names_of(crowded, FOLDER)) == 2000
    monkeypatch.setattr(f"validator.disk.ntfs.{limit}", value)
    assert "at most" in refuses(lambda: listed(crowded, FOLDER), FILE_SYSTEM).expected


def test_random_bytes_in_an_index_never_make_another_exception(crowded: Path, tmp_path: Path) -> None:
    """Names, or a refusal."""
    target = copy_of(crowded, tmp_path)
    buffers = mft.Volume(target, START).index_buffers(FOLDER)
    dice = random.Random(11)
    for _ in range(300):
        at = dice.choice(buffers[:6]) + dice.randrange(400)
        damage.flip(target, at, mask := 1 << dice.randrange(8))
        with contextlib.suppress(Unreadable):
            assert len(names_of(target, FOLDER)) <= 2000
        damage.flip(target, at, mask)
