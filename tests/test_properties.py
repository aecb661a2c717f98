"""Properties that hold for all bytes: hypothesis looks for those for which they do not.

Derandomised, so that a run is the same everywhere; a failure prints the bytes that brought it.
"""

from __future__ import annotations

import codecs
import contextlib
import random
import struct
import time
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tests import mft
from tests.hostile import Bytes, MiB, open_image, small_disk
from tests.images import (
    DynamicVhd,
    FixedVhd,
    Vhdx,
    build,
    copy_of,
    damage,
    generalized,
    regf,
    undeployable,
    vhd,
    vhdx,
)
from tests.images.containers import Container
from tests.images.partitions import GPT_HEADER, seal_gpt_header
from validator import redaction
from validator.disk.container import RawDisk
from validator.disk.ntfs import NtfsVolume
from validator.disk.partitions import read_partition_table
from validator.disk.vhd import open_vhd
from validator.disk.vhdx import open_vhdx
from validator.evidence import Layer, Unreadable
from validator.judging import Verdict
from validator.redaction import redact
from validator.report.printable import printable
from validator.validation import validate
from validator.windows import text
from validator.windows.hive import Hive, Value
from validator.windows.sysprep_log import read_log
from validator.windows.text import LineReader, decode, ini_value

bounded = settings(
    max_examples=200,
    derandomize=True,
    deadline=None,
    database=None,
    suppress_health_check=[
        HealthCheck.function_scoped_fixture,
        HealthCheck.too_slow,
        HealthCheck.data_too_large,
    ],
)
SECONDS = 10
"""Promise 5."""


# --- whole images --------------------------------------------------------------------------------


class Target:
    """An image that is not deployable, and where its metadata lies."""

    def __init__(self, path: Path, spans: list[tuple[int, int]]) -> None:
        """Take the image and the spans of its file that are worth a mutation."""
        self.path = path
        self.spans = spans
        self.size = sum(end - start for start, end in spans)

    def offset(self, index: int) -> int:
        """Where in the file the metadata's byte of this number lies."""
        index %= self.size
        for start, end in self.spans:
            if index < end - start:
                return start + index
            index -= end - start
        raise AssertionError


CONTAINERS: dict[str, Container] = {"vhd-fixed": FixedVhd(), "vhd-dynamic": DynamicVhd(), "vhdx": Vhdx()}


@pytest.fixture(scope="module", params=CONTAINERS)
def target(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Target:
    """An undeployable image in each container; every structure on the way to the hive's values counts."""
    container = CONTAINERS[request.param]
    image = build(small_disk(undeployable()), container)
    path = copy_of(image, tmp_path_factory.mktemp("mutants"), f"disk{image.suffix}")
    size = path.stat().st_size
    if request.param == "vhd-fixed":
        volume = mft.Volume(path, MiB)
        spans = [(0, 512), (MiB, MiB + 512), (size - 512, size)]
        for name in ("$mft", "", "windows", r"windows\system32", r"windows\system32\config"):
            at = volume.offset_of(volume.numbers[name])
            spans.append((at, at + 512))
            if name != "$mft":
                spans += [(node, node + 600) for node in volume.index_buffers(name)]
        for name in ("SOFTWARE", "SYSTEM"):
            record = rf"windows\system32\config\{name}".lower()
            at, hive = volume.offset_of(volume.numbers[record]), volume.content_offset(record)
            spans += [(at, at + 400), (hive, hive + 512), (hive + 4096, hive + 12288)]
    elif request.param == "vhd-dynamic":
        spans = [
            (0, 512),
            (512, 576),
            (vhd.BAT_OFFSET, vhd.BAT_OFFSET + 16),
            (2048, 2560),
            (size - 512, size),
        ]
    else:
        spans = [(at, at + 96) for at in vhdx.HEADER_OFFSETS]
        spans += [(at, at + 96) for at in vhdx.REGION_TABLE_OFFSETS]
        spans += [(vhdx.METADATA_OFFSET, vhdx.METADATA_OFFSET + 200)]
        spans += [(vhdx.METADATA_OFFSET + 65536, vhdx.METADATA_OFFSET + 65536 + 48)]
        spans += [(vhdx.BAT_OFFSET, vhdx.BAT_OFFSET + 80), (0, 16)]
    return Target(path, spans)


flips = st.lists(st.tuples(st.integers(0, 2**20), st.integers(1, 255)), min_size=1, max_size=4)


@settings(bounded, max_examples=70)
@given(flips)
def test_no_mutation_makes_an_undeployable_image_deployable(
    target: Target, mutations: list[tuple[int, int]]
) -> None:
    """Nor is there another end than a verdict, nor one that takes long, nor a failure of our own."""
    places = [(target.offset(index), mask) for index, mask in mutations]
    for offset, mask in places:
        damage.flip(target.path, offset, mask)
    try:
        began = time.process_time()
        report = validate(target.path, "generalized")
        assert time.process_time() - began < SECONDS
        assert report.verdict is not Verdict.DEPLOYABLE
        for finding in report.findings:
            for evidence in finding.evidence:
                assert evidence.where.layer is not Layer.TOOL, str(evidence)
    finally:
        for offset, mask in reversed(places):
            damage.flip(target.path, offset, mask)


@bounded
@given(flips)
def test_a_mutated_container_gives_the_same_bytes_or_none(
    healthy: tuple[Path, bytes, list[int]], mutations: list[tuple[int, int]]
) -> None:
    """Wherever a checksum covers a structure, damage to it changes no byte of the disk."""
    image, expected, covered = healthy
    places = [(covered[index % len(covered)], mask) for index, mask in mutations]
    for offset, mask in places:
        damage.flip(image, offset, mask)
    try:
        with open_image(image) as disk:
            assert disk.size == len(expected)
            for at in range(0, disk.size, MiB // 2):
                assert disk.read_at(at, 4096) == expected[at : at + 4096]
    except Unreadable:
        pass
    finally:
        for offset, mask in reversed(places):
            damage.flip(image, offset, mask)


@pytest.fixture(scope="module", params=CONTAINERS)
def healthy(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, bytes, list[int]]:
    """A healthy image, its disk, and the offsets of bytes that a checksum covers."""
    disk = small_disk(generalized())
    image = build(disk, CONTAINERS[request.param])
    path = copy_of(image, tmp_path_factory.mktemp("covered"), f"disk{image.suffix}")
    size = path.stat().st_size
    covered: list[int] = list(range(size - 512, size))
    if request.param == "vhd-dynamic":
        covered += range(1536)
    elif request.param == "vhdx":
        covered = [at + n for at in (*vhdx.HEADER_OFFSETS, *vhdx.REGION_TABLE_OFFSETS) for n in range(128)]
    return path, build(disk, "raw").read_bytes(), covered


# --- readers on any bytes ------------------------------------------------------------------------


def seeded(data: bytes, pieces: list[tuple[int, bytes]]) -> bytes:
    """Some bytes with pieces laid over them, so that signatures are where they are looked for."""
    result = bytearray(data)
    for offset, piece in pieces:
        result[offset : offset + len(piece)] = piece
    return bytes(result)


def sector_of(pieces: list[tuple[int, bytes]], size: int) -> st.SearchStrategy[bytes]:
    """Random bytes of a size with pieces laid over them."""
    return st.integers(0, 2**64).map(lambda seed: seeded(random.Random(seed).randbytes(size), pieces))


def only_unreadable(call: Callable[[], object]) -> None:
    """Whatever it raises is `Unreadable`."""
    with contextlib.suppress(Unreadable):
        call()


@bounded
@given(st.one_of(st.binary(max_size=4096), sector_of([(510, b"\x55\xaa")], 4096)))
@example(b"")
def test_partition_tables_of_any_bytes(data: bytes) -> None:
    """MBR or not."""
    only_unreadable(lambda: read_partition_table(RawDisk(Bytes(data))))


@bounded
@given(st.data())
def test_gpts_with_right_checksums_and_any_fields(data: st.DataObject) -> None:
    """Fields at their borders, both checksums right."""
    numbers = st.sampled_from((0, 1, 2, 3, 33, 34, 127, 128, 129, 2**31, 2**32 - 1, 2**63, 2**64 - 1))
    small = st.sampled_from((0, 1, 2, 4, 64, 127, 128, 129, 256, 1024, 4096, 2**31, 2**32 - 1))
    entries = bytearray(128 * 128)
    for index in range(data.draw(st.integers(0, 3))):
        struct.pack_into(
            "<16s16sQQ", entries, 128 * index, b"type", b"guid", data.draw(numbers), data.draw(numbers)
        )
    fields = [data.draw(numbers) for _ in range(4)]
    array, count, size = data.draw(numbers), data.draw(small), data.draw(small)
    header = GPT_HEADER.pack(
        b"EFI PART", 0x10000, 92, 0, 0, *fields, b"disk", array, count, size,
        zlib.crc32(entries[: min(count * size, len(entries))]),
    )  # fmt: skip
    disk = bytearray(200 * 512)
    struct.pack_into("<B3xB3xII", disk, 446, 0, 0xEE, 1, 199)
    disk[510:512] = b"\x55\xaa"
    disk[512:604] = seal_gpt_header(header)
    disk[1024 : 1024 + len(entries)] = entries
    began = time.process_time()
    only_unreadable(lambda: read_partition_table(RawDisk(Bytes(bytes(disk)))))
    assert time.process_time() - began < 1


@bounded
@given(sector_of([(0, b"conectix")], 512), st.booleans(), st.integers(0, 6), st.integers(0, 2**64 - 1))
def test_vhd_footers_of_any_bytes(footer: bytes, right: bool, kind: int, size: int) -> None:
    """With a right checksum too, any type and any size."""
    if right:
        fields = [
            (8, b"\0\0\0\2\0\1\0\0"),
            (48, size.to_bytes(8, "big")),
            (60, bytes([0, 0, 0, kind])),
            (84, b"\0"),
        ]
        footer = vhd.sealed(seeded(footer, fields), vhd.FOOTER_CHECKSUM)
    only_unreadable(lambda: open_vhd(Bytes(footer)))
    only_unreadable(lambda: open_vhd(Bytes(footer + bytes(4096) + footer)))


@bounded
@given(sector_of([(0, b"head")], 4096), sector_of([(0, b"regi")], 65536), st.booleans(), st.booleans())
def test_vhdx_headers_and_tables_of_any_bytes(header: bytes, table: bytes, right: bool, plain: bool) -> None:
    """With right checksums too, and with fields that let the reader go on."""
    if plain:
        header = seeded(header, [(48, bytes(18) + b"\1\0"), (68, b"\0\0\x10\0\0\0\x10\0\0\0\0\0")])
        table = seeded(table, [(8, b"\3\0\0\0")])
    if right:
        header, table = vhdx.sealed(header), vhdx.sealed(table)
    data = bytearray(3 * MiB)
    data[:8] = b"vhdxfile"
    for at in vhdx.HEADER_OFFSETS:
        data[at : at + 4096] = header
    for at in vhdx.REGION_TABLE_OFFSETS:
        data[at : at + 65536] = table
    only_unreadable(lambda: open_vhdx(Bytes(bytes(data))))


@bounded
@given(sector_of([(3, b"NTFS    "), (510, b"\x55\xaa")], 512), st.integers(0, 2**64))
def test_ntfs_boot_sectors_of_any_bytes(boot: bytes, seed: int) -> None:
    """With a plausible geometry as well, over records of noise."""
    plausible = seeded(
        boot, [(11, b"\0\2\x08"), (40, (64).to_bytes(8, "little")), (48, b"\2" + bytes(7)), (64, b"\xf6")]
    )
    noise = random.Random(seed).randbytes(64 * 512)
    for sector in (boot, plausible):
        data = seeded(noise, [(0, sector), (8192, b"FILE\x30\0\3\0")])
        only_unreadable(lambda data=data: NtfsVolume(Bytes(data), 1).open("Windows"))


@bounded
@given(sector_of([(0, b"regf")], 8192), st.booleans(), st.integers(0, 2**32 - 1))
def test_hives_of_any_bytes(data: bytes, right: bool, root: int) -> None:
    """With a base block that holds as well."""
    if right:
        data = seeded(data, [(4, b"\7\0\0\0\7\0\0\0"), (20, b"\1\0\0\0\5\0\0\0\0\0\0\0\1\0\0\0")])
        data = seeded(
            data, [(36, root.to_bytes(4, "little") + b"\0\x10\0\0"), (4096, b"hbin\0\0\0\0\0\x10\0\0")]
        )
        data = data[:508] + regf.checksum(data).to_bytes(4, "little") + data[512:]
    only_unreadable(lambda: Hive(Bytes(data)).value(r"Setup\State", "ImageState"))


@pytest.fixture(scope="module")
def hive() -> bytes:
    """A healthy SOFTWARE hive."""
    return generalized().hive_bytes("SOFTWARE")


@bounded
@given(st.data())
def test_mutated_hives_give_the_value_or_none(hive: bytes, data: st.DataObject) -> None:
    """No flip of up to three bytes of the cells makes a reader raise anything but `Unreadable`."""
    key = r"Microsoft\Windows\CurrentVersion\Setup\State"
    mutated = bytearray(hive)
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(4096, len(hive) - 1))
        mutated[at] ^= data.draw(st.integers(1, 255))

    def read() -> None:
        value = Hive(Bytes(bytes(mutated))).value(key, "ImageState")
        assert value is None or isinstance(value, Value)
        assert value is None or str(value) is not None

    only_unreadable(read)


# --- text ----------------------------------------------------------------------------------------

texts = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\r\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029")
)
"""Lines end in LF or CRLF; what else Python takes for a line's end is text to Windows."""
encodings = pytest.mark.parametrize(
    ("encoding", "mark"),
    [
        ("utf-8", codecs.BOM_UTF8),
        ("utf-16-le", codecs.BOM_UTF16_LE),
        ("utf-8", b""),
        ("cp1252", b""),
    ],
    ids=["utf-8-bom", "utf-16-bom", "utf-8", "cp1252"],
)


@encodings
@bounded
@given(content=texts, chunk=st.sampled_from((2, 4, 6, 8, 64)), ending=st.sampled_from(("\n", "\r\n")))
@example(content="first\n\n\nlast", chunk=4, ending="\n")
@example(content="é\nü", chunk=2, ending="\r\n")
def test_lines_backwards_are_the_lines(
    encoding: str, mark: bytes, content: str, chunk: int, ending: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever the chunk's border cuts: a character, a line's end, the mark at the start."""
    monkeypatch.setattr(text, "CHUNK", chunk)
    content = content.encode(encoding, "ignore").decode(encoding).replace("\0", "")
    if encoding == "cp1252":
        content = "".join(each for each in content if each.isascii()) + "ÿ"
    data = mark + content.replace("\n", ending).encode(encoding)
    reader = LineReader(Bytes(data))
    found = [line.text for line in reader]
    expected = content.split("\n")[::-1]
    while expected and not expected[0]:
        expected.pop(0)
    while found and not found[0]:
        found.pop(0)
    assert found == expected
    assert reader.complete


@bounded
@given(st.binary(max_size=600), st.sampled_from((2, 4, 16, 128)))
def test_line_reader_never_fails(data: bytes, chunk: int) -> None:
    """On any bytes; nor do the readers of logs that rest on it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(text, "CHUNK", chunk)
        for line in LineReader(Bytes(data)):
            assert isinstance(line.text, str)
            assert line.time is None or line.time.year
        read_log(Bytes(b"Beginning of a new sysprep run\n" + data))
        read_log(Bytes(data))


@bounded
@given(st.binary(max_size=4000), st.integers(0, 300))
def test_a_search_that_is_cut_short_says_so(data: bytes, limit: int) -> None:
    """And gives only lines of the log's end."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(text, "CHUNK", 64)
        whole = [line.text for line in LineReader(Bytes(b"head\n" + data))]
        reader = LineReader(Bytes(b"head\n" + data), limit=limit)
        some = [line.text for line in reader]
        assert some == whole[: len(some)]
        assert reader.complete == (len(some) == len(whole))


@bounded
@given(st.binary(max_size=300))
def test_decode_never_fails(data: bytes) -> None:
    """Any bytes are some text."""
    assert isinstance(decode(data), str)


@bounded
@given(st.text(max_size=300), st.text(max_size=10), st.text(max_size=10))
@example("[State]\nImageState=x", "State", "ImageState")
def test_ini_value_never_fails(content: str, section: str, name: str) -> None:
    """It gives a text, or None."""
    assert isinstance(ini_value(content, section, name), (str, type(None)))


names = st.text("abcXYZ019_ ", min_size=1, max_size=12).map(str.strip).filter(bool)


@bounded
@given(names, names, st.text("abc=[;]\\ 0", max_size=20), st.booleans())
def test_ini_value_finds_the_first_entry(section: str, name: str, value: str, upper: bool) -> None:
    """Case of section and name does not matter, blanks around the value go."""
    content = f"[other{section}]\n{name}=wrong\n[{section}]\n; {name}=wrong\n{name}={value}\n{name}=second\n"
    asked = name.upper() if upper else name.lower()
    assert ini_value(content, section.swapcase(), asked) == value.strip()


@bounded
@given(st.text(max_size=400))
def test_redact_never_fails_and_is_done_once(content: str) -> None:
    """What is redacted stays as it is when it is redacted again."""
    once = redact(content)
    assert redact(once) == once


SHAPES = (
    "password={}", "Password: {}", "/password:{}", "-p {}", "net user joe {}", "PWD='{}'",
    'AdministratorPassword="{}"', "token={}", "https://user:{}@host/", "?sig={}&x=1",
    "Authorization: Bearer {}", "sas={}", "signature={}", "storage-key: {}", "credentials={}", "secret={}",
    "ConvertTo-SecureString {}", "<Password><Value>{}</Value></Password>", "curl -u joe:{}",
    "schtasks /rp {}", "passphrase={}", "pw={}", "&code={}", "basic {}", "net use x: {}",
)  # fmt: skip


@bounded
@given(st.text(max_size=60), st.text("abcdefXYZ0189!$%", min_size=8, max_size=20), st.sampled_from(SHAPES))
def test_redact_hides_the_secret(before: str, secret: str, shape: str) -> None:
    """Behind whatever stands before it."""
    assert secret not in redact(f"{before} {shape.format(secret)}").replace(before, "")


@pytest.mark.parametrize("shape", SHAPES)
def test_redact_knows_a_shape_by_itself(shape: str) -> None:
    """Without words around it that would let it be looked at."""
    assert "Q7xY4z9B" not in redact(shape.format("Q7xY4z9B"))


@bounded
@given(st.sampled_from((*redaction._PATTERNS, redaction._NET)).flatmap(st.from_regex))
def test_what_a_pattern_finds_has_a_sign(content: str) -> None:
    """By which it is decided whether the patterns are tried at all."""
    assert redaction._SIGN.search(content)


@bounded
@given(st.text(st.characters(), max_size=200))
@example("\x1b[31mred\x1b[0m")
@example("\u202egnp.exe")
@example("\udcff\ud800")
def test_printable_prints(content: str) -> None:
    """One line, nothing but what prints, and always something that UTF-8 can carry."""
    shown = printable(content)
    assert shown.isprintable() or all(each.isprintable() or each.isspace() for each in shown)
    assert "\n" not in shown
    assert "\x1b" not in shown
    shown.encode("utf-8")
    assert printable(shown) == shown
