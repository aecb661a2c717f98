r"""Damage to a hive: base block, bins, and every cell on the way to ImageState.

Layout after M. Suhanov, "Windows registry file format specification". The known readers verify next
to nothing of it: a freed cell, a hive of another version or with a wrong checksum reads as any other.
"""

from __future__ import annotations

import io
import random
import re
import struct
import subprocess
import time
from collections.abc import Callable, Iterator
from functools import reduce
from operator import xor
from pathlib import Path
from typing import Any

import pytest

from tests import mft
from tests.hostile import (
    Bytes,
    Damage,
    MiB,
    Outcome,
    Row,
    expect,
    expect_deployable,
    harmless,
    need,
    refuses,
    rows,
    small_disk,
)
from tests.images import STATE_KEY, FixedVhd, Windows, build, copy_of, damage, generalized, regf
from tests.images import Hive as HiveDescription
from validator.evidence import Layer
from validator.windows.hive import Hive, base_block_checksum
from validator.windows.witness import RegfWitness

BINS = regf.BINS
SOFTWARE = r"Windows\System32\config\SOFTWARE"
SETUP = STATE_KEY.rpartition("\\")[0]
SIBLING = rf"{SETUP}\Statf"
"""A key beside `State` whose name is as long."""
TWIN = "ImageStatf"
"""A value beside ImageState whose name is as long."""

Change = Callable[[bytearray], object]

BASE_BLOCK = {
    "signature": 0,
    "primary-sequence": 4,
    "secondary-sequence": 8,
    "time": 12,
    "major-version": 20,
    "minor-version": 24,
    "type": 28,
    "format": 32,
    "root-cell": 36,
    "length": 41,
    "clustering": 44,
    "file-name": 48,
    "flags": 144,
    "reserved": 507,
    "checksum": 508,
    "checksum-end": 511,
}


def windows() -> Windows:
    """A healthy Windows with a neighbour for the key and for the value that are looked for."""
    return generalized().software(SIBLING).software(STATE_KEY, {TWIN: "something else that is longer"})


@pytest.fixture(scope="session")
def master() -> Path:
    """Its disk."""
    return build(small_disk(windows()), FixedVhd())


@pytest.fixture(scope="session")
def hive() -> bytes:
    """Its SOFTWARE hive."""
    return windows().hive_bytes("SOFTWARE")


# --- finding cells; all offsets count from the start of the file, behind the cell's size field -----


def u32(hive: bytes | bytearray, at: int) -> int:
    """A double word."""
    return int(struct.unpack_from("<I", hive, at)[0])


def cell_of(hive: bytearray, at: int) -> int:
    """The cell that the double word at an offset refers to."""
    return BINS + u32(hive, at) + 4


def value_of(hive: bytearray, name: str, key: str = STATE_KEY) -> int:
    """The value of a key."""
    node = regf.find_key(hive, key)
    for index in range(u32(hive, node + 36)):
        at = cell_of(hive, cell_of(hive, node + 40) + 4 * index)
        if hive[at + 20 : at + 20 + len(name)].decode("latin-1").lower() == name.lower():
            return at
    raise LookupError(name)


def path_cells() -> dict[str, Callable[[bytearray], int]]:
    """Every cell on the way to ImageState."""
    cells: dict[str, Callable[[bytearray], int]] = {}
    parts = STATE_KEY.split("\\")
    for depth in range(len(parts) + 1):
        path = "\\".join(parts[:depth])
        cells[f"key-{path or 'root'}"] = lambda hive, path=path: regf.find_key(hive, path)
        if depth < len(parts):
            cells[f"list-of-{path or 'root'}"] = lambda hive, path=path: cell_of(
                hive, regf.find_key(hive, path) + 28
            )
    cells["value-list"] = lambda hive: cell_of(hive, regf.find_key(hive, STATE_KEY) + 40)
    cells["value"] = lambda hive: value_of(hive, "ImageState")
    cells["data"] = lambda hive: cell_of(hive, value_of(hive, "ImageState") + 8)
    return cells


PATH_CELLS = path_cells()

# --- changing it ---------------------------------------------------------------------------------


def in_hive(*changes: Change) -> Damage:
    """Apply changes to the SOFTWARE hive of an image, where it lies."""

    def apply(path: Path) -> None:
        volume = mft.Volume(path, MiB)
        at = volume.content_offset(SOFTWARE)
        size = BINS + u32(damage.read(path, at, 64), 40)
        before = damage.read(path, at, size)
        data = bytearray(before)
        for change in changes:
            change(data)
        assert len(data) == size
        assert data != before, "this changes nothing"
        damage.overwrite(path, at, bytes(data))

    return apply


def sealed(data: bytearray) -> None:
    """Put the checksum right."""
    struct.pack_into("<I", data, 508, regf.checksum(bytes(data[:508])))


def base(field: int, layout: str, value: int) -> Damage:
    """Change a field of the base block and put its checksum right."""
    return in_hive(lambda data: struct.pack_into(layout, data, field, value), sealed)


def at(cell: str, field: int, layout: str, value: object) -> Damage:
    """Change a field of a cell on the way; -4 is its size."""
    return in_hive(lambda data: struct.pack_into(layout, data, PATH_CELLS[cell](data) + field, value))


def flipped(offset: int, mask: int = 0x10) -> Damage:
    """Flip bits of one byte of the hive."""

    def change(data: bytearray) -> None:
        data[offset] ^= mask

    return in_hive(change)


def every_bin(field: int, layout: str, value: object) -> Damage:
    """Change a field of the header of every bin."""

    def change(data: bytearray) -> None:
        start = BINS
        while start < len(data):
            size = u32(data, start + 8)
            struct.pack_into(layout, data, start + field, value)
            start += size

    return in_hive(change)


def balanced(total: int, stored: int) -> Damage:
    """Let the XOR of the base block come to `total`, and store a checksum."""

    def change(data: bytearray) -> None:
        struct.pack_into("<I", data, 500, 0)
        rest = reduce(xor, struct.unpack_from("<127I", data))
        struct.pack_into("<I", data, 500, rest ^ total)
        struct.pack_into("<I", data, 508, stored)

    return in_hive(change)


def checksum(value: int) -> Damage:
    """Store this checksum."""
    return in_hive(lambda data: struct.pack_into("<I", data, 508, value))


def listed(change: Callable[[bytearray, int, int], object], key: str = SETUP) -> Damage:
    """Change the list of the sub-keys of a key: gets the offset of the list and its count."""

    def apply(data: bytearray) -> None:
        where = cell_of(data, regf.find_key(data, key) + 28)
        assert data[where : where + 2] in (b"lh", b"lf")
        change(data, where, struct.unpack_from("<H", data, where + 2)[0])

    return in_hive(apply)


def as_li(data: bytearray, where: int, count: int) -> None:
    """Turn a list into one without hints."""
    cells = [u32(data, where + 4 + 8 * index) for index in range(count)]
    struct.pack_into(f"<2sH{count}I", data, where, b"li", count, *cells)


def as_lf(hints: Callable[[str], bytes]) -> Callable[[bytearray, int, int], object]:
    """Turn a list into one with the first letters of each name."""

    def change(data: bytearray, where: int, count: int) -> None:
        data[where : where + 2] = b"lf"
        for index in range(count):
            node = BINS + u32(data, where + 4 + 8 * index) + 4
            length = struct.unpack_from("<H", data, node + 72)[0]
            hint = hints(data[node + 76 : node + 76 + length].decode("latin-1"))
            data[where + 8 + 8 * index : where + 12 + 8 * index] = hint.ljust(4, b"\0")

    return change


def wrong_hashes(data: bytearray, where: int, count: int) -> None:
    """Flip a bit of every hash in a list."""
    for index in range(count):
        data[where + 8 + 8 * index] ^= 1


def one_less(data: bytearray, where: int, count: int) -> None:
    """Let a list say that it is shorter."""
    struct.pack_into("<H", data, where + 2, count - 1)


def nowhere(data: bytearray, where: int, count: int) -> None:
    """Let all entries of a list refer to nothing."""
    for index in range(count):
        struct.pack_into("<I", data, where + 4 + 8 * index, regf.NONE)


def the_same(data: bytearray, where: int, count: int) -> None:
    """Let all entries of a list refer to one key."""
    entry = regf.find_key(data, STATE_KEY) - 4 - BINS, regf._name_hash("State")
    for index in range(count):
        struct.pack_into("<II", data, where + 4 + 8 * index, *entry)


def itself(data: bytearray, where: int, count: int) -> None:
    """Turn a list into an index root whose entries are the index root."""
    own = where - 4 - BINS
    struct.pack_into("<2sHII", data, where, b"ri", 2, own, own)


def renamed_key(data: bytearray) -> None:
    """Give the neighbour of `State` its name, in the node and in the list's hash."""
    node = regf.find_key(data, SIBLING)
    data[node + 76 : node + 81] = b"State"
    where = cell_of(data, regf.find_key(data, SETUP) + 28)
    for index in range(struct.unpack_from("<H", data, where + 2)[0]):
        if BINS + u32(data, where + 4 + 8 * index) + 4 == node:
            struct.pack_into("<I", data, where + 8 + 8 * index, regf._name_hash("State"))


def renamed_value(data: bytearray) -> None:
    """Give the neighbour of ImageState its name."""
    where = value_of(data, TWIN)
    data[where + 20 : where + 30] = b"IMAGEstate"


def text(new: bytes, kind: int = 1) -> Damage:
    """Store other bytes as ImageState, no longer than those that are there."""

    def change(data: bytearray) -> None:
        value = value_of(data, "ImageState")
        struct.pack_into("<I", data, value + 4, len(new))
        struct.pack_into("<I", data, value + 12, kind)
        where = cell_of(data, value + 8)
        assert 4 + len(new) <= -struct.unpack_from("<i", data, where - 4)[0]
        data[where : where + len(new)] = new

    return in_hive(change)


def refused(name: str, change: Damage, expected: str = "", found: str = "", offset: int | None = None) -> Row:
    """A row about the hive."""
    return Row(name, change, Layer.HIVE, expected, found, offset)


def not_the_state(name: str, change: Damage) -> Row:
    """A row whose hive is good and says something else: undeployable, not unknown."""
    return Row(name, change, outcome=Outcome.UNDEPLOYABLE)


# --- what is healthy -----------------------------------------------------------------------------


def test_it_is_deployable(master: Path, tmp_path: Path) -> None:
    """Otherwise no row below would prove anything."""
    expect_deployable(copy_of(master, tmp_path))


def test_transactions_are_named_and_change_nothing(tmp_path: Path) -> None:
    """What Windows leaves behind in every system: a flag, and files in `config\\TxR`."""
    folder = r"Windows\System32\config\TxR"
    name = "{53b39e3d-18c4-11ea-a811-000d3aa4692b}.TM"
    left = windows().file(rf"{folder}\{name}.blf", b"\x15\0\1\0" * 16384)
    left = left.file(rf"{folder}\{name}Container00000000000000000001.regtrans-ms", bytes(524288))
    path = copy_of(build(small_disk(left), FixedVhd()), tmp_path)
    base(BASE_BLOCK["flags"], "<I", 1)(path)
    layers = {layer.kind: layer for layer in expect_deployable(path).layers}
    assert layers["hive SOFTWARE"].state == "intact"
    assert "TxR" in layers["hive SOFTWARE"].detail
    assert "TxR" not in layers["hive SYSTEM"].detail


# --- base block ----------------------------------------------------------------------------------


@pytest.mark.parametrize("field", BASE_BLOCK)
def test_every_byte_of_the_base_block_counts(field: str, master: Path, tmp_path: Path) -> None:
    """The checksum covers it up to itself."""
    where = 0 if field == "signature" else 508
    expected = "signature" if field == "signature" else "checksum"
    expect(refused(field, flipped(BASE_BLOCK[field]), expected, offset=where), master, tmp_path)


BASE_ROWS = (
    *(
        refused(f"checksum-{value:08x}", checksum(value), "checksum", f"{value:#x}|{value:#010x}", 508)
        for value in (0, 1, 0xFFFFFFFE, 0xFFFFFFFF, 0x5AFEC0DE)
    ),
    harmless("xor-0-stored-as-1", balanced(0, 1)),
    harmless("xor-all-ones-stored-as-all-but-one", balanced(0xFFFFFFFF, 0xFFFFFFFE)),
    refused("xor-0-stored-as-0", balanced(0, 0), "checksum", offset=508),
    refused("xor-all-ones-stored-as-it-is", balanced(0xFFFFFFFF, 0xFFFFFFFF), "checksum", offset=508),
    refused("sequence-numbers-differ", base(4, "<I", 77), "sequence", "77", 4),
    refused("secondary-ahead", base(8, "<I", 0x7FFFFFFF), "sequence", "", 4),
    refused("major-2", base(20, "<I", 2), "version", "2", 20),
    refused("major-0", base(20, "<I", 0), "version", "0", 20),
    refused("minor-2", base(24, "<I", 2), "version", "2", 20),
    refused("minor-9", base(24, "<I", 9), "version", "9", 20),
    refused("a-log", base(28, "<I", 1), "primary file", "1", 28),
    refused("a-new-log", base(28, "<I", 6), "primary file", "6", 28),
    refused("format-0", base(32, "<I", 0), "primary file", "0", 28),
    refused("root-at-0", base(36, "<I", 0)),
    refused("root-between-cells", base(36, "<I", 0x24)),
    refused("root-outside", base(36, "<I", 0x7FFFFFF8), "cell|root"),
    refused("root-nowhere", base(36, "<I", 0xFFFFFFFF), "cell|root"),
    refused("length-0", base(40, "<I", 0), "bins", "0", 40),
    refused("length-odd", base(40, "<I", 4097), "bins", "4097", 40),
    refused("longer-than-the-file", base(40, "<I", 0x10000000), "bins", "", 40),
    refused("length-all-ones", base(40, "<I", 0xFFFFF000), "bins", "", 40),
    refused("shorter-than-its-cells", base(40, "<I", 4096)),
    *(harmless(f"minor-{minor}", base(24, "<I", minor)) for minor in (3, 4, 6)),
    harmless("time", base(12, "<Q", 0)),
    harmless("file-name", base(48, "<Q", 0)),
)


@rows(*BASE_ROWS)
def test_base_block(row: Row, master: Path, tmp_path: Path) -> None:
    """A clean primary file of a known version; all of these carry a right checksum but the first."""
    expect(row, master, tmp_path)


@pytest.mark.parametrize(("plain", "stored"), [(0, 1), (0xFFFFFFFF, 0xFFFFFFFE), (1, 1), (0x1234, 0x1234)])
def test_two_sums_are_never_stored(plain: int, stored: int) -> None:
    """0 and all ones stand for "none": 1 and all ones but one are stored instead."""
    block = bytearray(512)
    struct.pack_into("<I", block, 100, plain)
    assert base_block_checksum(bytes(block)) == stored


# --- bins and cells ------------------------------------------------------------------------------

BIN_ROWS = (
    refused("signature", every_bin(0, "4s", b"nibh")),
    refused("zeroed", every_bin(0, "32s", bytes(32))),
    refused("offset", every_bin(4, "<I", 0x7000000)),
    refused("size-0", every_bin(8, "<I", 0)),
    refused("size-odd", every_bin(8, "<I", 4097)),
    refused("size-huge", every_bin(8, "<I", 0xFFFFF000)),
)


@rows(*BIN_ROWS)
def test_bins(row: Row, master: Path, tmp_path: Path) -> None:
    """A cell is believed only inside a bin whose header holds."""
    expect(row, master, tmp_path)


CELL_ROWS = [
    refused(f"{cell}-{name}", at(cell, -4, "<i", size))
    for cell in PATH_CELLS
    for name, size in (
        ("freed", 64),
        ("size-0", 0),
        ("size-2", -2),
        ("huge", -0x7FFFFFF8),
        ("unaligned", -84),
    )
]


@rows(*CELL_ROWS)
def test_cells_on_the_way(row: Row, master: Path, tmp_path: Path) -> None:
    """Allocated, a multiple of eight bytes, large enough and inside its bin: each of them."""
    expect(row, master, tmp_path)


SIGNATURE_ROWS = [
    refused(f"{cell}-{name}", at(cell, 0, "2s", signature))
    for cell in PATH_CELLS
    if cell not in ("value-list", "data")
    for name, signature in (("zeroed", b"\0\0"), ("of-security", b"sk"), ("upper-case", b"NK"))
]


@rows(*SIGNATURE_ROWS)
def test_every_cell_says_what_it_is(row: Row, master: Path, tmp_path: Path) -> None:
    """A reference that leads to a cell of another kind is damage."""
    expect(row, master, tmp_path)


# --- keys and lists ------------------------------------------------------------------------------

STATE, SETUP_NODE, SETUP_LIST = f"key-{STATE_KEY}", f"key-{SETUP}", f"list-of-{SETUP}"

KEY_ROWS = (
    refused("wrong-parent", at(STATE, 16, "<I", 0x20), "parent"),
    refused("name-longer-than-its-cell", at(STATE, 72, "<H", 0xFFFF), "name"),
    refused("one-sub-key-more", at(SETUP_NODE, 20, "<I", 5), "sub-?keys"),
    refused("sub-keys-all-ones", at(SETUP_NODE, 20, "<I", 0xFFFFFFFF), "sub-?keys"),
    Row("no-sub-keys", at(SETUP_NODE, 20, "<I", 0), outcome=Outcome.NOT_GREEN),
    refused("list-nowhere", at(SETUP_NODE, 28, "<I", 0xFFFFFFFF)),
    refused("list-outside", at(SETUP_NODE, 28, "<I", 0x7FFFFFF8)),
    refused("list-between-cells", at(SETUP_NODE, 28, "<I", 0x24)),
    refused("list-is-the-key", in_hive(
        lambda data: struct.pack_into(
            "<I", data, regf.find_key(data, SETUP) + 28, regf.find_key(data, SETUP) - 4 - BINS
        )
    )),
    refused("list-longer-than-its-cell", at(SETUP_LIST, 2, "<H", 0xFFFF)),
    refused("list-of-one-less", listed(one_less)),
    refused("list-of-none", at(SETUP_LIST, 2, "<H", 0)),
    refused("entries-nowhere", listed(nowhere)),
    refused("entry-twice", listed(the_same)),
    refused("wrong-hashes", listed(wrong_hashes), "hint|hash"),
    refused("wrong-letters", listed(as_lf(lambda _: b"Xxxx")), "hint|hash"),
    harmless("list-without-hints", listed(as_li)),
    harmless("list-of-letters", listed(as_lf(lambda name: name[:4].encode()))),
    harmless("list-of-letters-beside-odd-ones", listed(
        as_lf(lambda name: b"Stat" if name == "State" else b"\xe9\xe8\xff\x01")
    )),
    refused("key-is-a-link", at(STATE, 2, "<H", 0x30)),
    refused("key-is-an-exit", at(SETUP_NODE, 2, "<H", 0x22)),
    refused("index-root-of-itself", listed(itself)),
    refused("key-twice", in_hive(renamed_key), "one key|name", "two|twice|2"),
)  # fmt: skip


@rows(*KEY_ROWS)
def test_keys_and_their_lists(row: Row, master: Path, tmp_path: Path) -> None:
    """A list is as long as its key says; a wrong hint is damage, and never the absence of a key."""
    began = time.process_time()
    expect(row, master, tmp_path)
    assert time.process_time() - began < 3


def test_a_key_that_is_not_there_is_absent(hive: bytes) -> None:
    """After all names were compared."""
    reader = Hive(Bytes(hive))
    for path in ("Nothing", STATE_KEY + "x", STATE_KEY + r"\x", "Microsoft\\", ""):
        assert reader.key(path) is None or not path
    assert reader.value(STATE_KEY, "ImageStat") is None
    assert reader.value("Nothing", "ImageState") is None


def test_a_name_that_only_looks_alike_is_another() -> None:
    """Windows upcases character by character: the long s is no S, the dotless i no I, ß not SS."""
    hive = HiveDescription("SOFTWARE").set("ſtate", x=1).set("Straße", y=1).set("Key", {"ımageState": "z"})
    reader = Hive(Bytes(hive.build()))
    assert reader.key("State") is None
    assert reader.key("Strasse") is None
    assert reader.value("Key", "ImageState") is None


# --- values --------------------------------------------------------------------------------------

VALUE_ROWS = (
    refused("count-0x7fffffff", at(STATE, 36, "<I", 0x7FFFFFFF)),
    refused("count-all-ones", at(STATE, 36, "<I", 0xFFFFFFFF)),
    refused("count-100", at(STATE, 36, "<I", 100)),
    Row("count-0", at(STATE, 36, "<I", 0), outcome=Outcome.NOT_GREEN),
    refused("list-nowhere", at(STATE, 40, "<I", 0xFFFFFFFF)),
    refused("list-outside", at(STATE, 40, "<I", 0x7FFFFFF8)),
    refused("entry-nowhere", at("value-list", 0, "<I", 0xFFFFFFFF)),
    refused("entry-0", at("value-list", 0, "<I", 0)),
    refused("entry-is-a-key", at("value-list", 0, "<I", 0x20)),
    refused("name-longer-than-its-cell", at("value", 2, "<H", 0xFFFF), "name"),
    refused("data-longer-than-its-cell", at("value", 4, "<I", 0x3000)),
    refused("data-of-4-KiB", at("value", 4, "<I", 0x1000)),
    refused("data-of-2-GiB", at("value", 4, "<I", 0x7FFFFFFF)),
    refused("data-in-the-value-of-16-bytes", at("value", 4, "<I", 0x80000010)),
    refused("data-in-the-value-of-all", at("value", 4, "<I", 0xFFFFFFFF)),
    refused("data-nowhere", at("value", 8, "<I", 0xFFFFFFFF)),
    refused("data-outside", at("value", 8, "<I", 0x7FFFFFF8)),
    refused("data-between-cells", at("value", 8, "<I", 0x21)),
    refused("twice", in_hive(renamed_value), "one value", "2|two"),
    not_the_state("length-0", at("value", 4, "<I", 0)),
    not_the_state("length-10", at("value", 4, "<I", 10)),
    not_the_state("length-odd", at("value", 4, "<I", 75)),
    not_the_state("in-the-value", at("value", 4, "<I", 0x80000004)),
    not_the_state("binary", at("value", 12, "<I", 3)),
    not_the_state("expandable", at("value", 12, "<I", 2)),
    not_the_state("multiple", at("value", 12, "<I", 7)),
    not_the_state("of-no-type", at("value", 12, "<I", 0)),
    not_the_state("of-type-all-ones", at("value", 12, "<I", 0xFFFFFFFF)),
    not_the_state("ascii", text(b"IMAGE_STATE_GENERALIZE_RESEAL_TO_OOBE\0")),
    not_the_state("lower-case", text("image_state_generalize_reseal_to_oobe".encode("utf-16-le"))),
    not_the_state("big-endian", text("IMAGE_STATE_GENERALIZE_RESEAL_TO_OOBE".encode("utf-16-be"))),
    not_the_state("text-behind-a-nul", text("IMAGE_STATE\0GENERALIZE_RESEAL_TO_OOBE".encode("utf-16-le"))),
    not_the_state("lone-surrogate", text(b"\x00\xd8" * 4)),
    harmless("without-nul", text("IMAGE_STATE_GENERALIZE_RESEAL_TO_OOBE".encode("utf-16-le"))),
)


@rows(*VALUE_ROWS)
def test_values(row: Row, master: Path, tmp_path: Path) -> None:
    """Damage is unknown; another text, type or encoding in a good hive is not the state."""
    expect(row, master, tmp_path)


def test_cut_hives_never_read(hive: bytes) -> None:
    """Wherever the file ends before its bins do."""
    dice = random.Random(3)
    for size in (0, 1, 511, 512, 4095, 4096, 8191, *(dice.randrange(len(hive)) for _ in range(20))):
        evidence = refuses(lambda size=size: Hive(Bytes(hive[:size])), Layer.HIVE)
        assert evidence.expected


# --- large lists ---------------------------------------------------------------------------------


def with_bins(hive: bytes, extra: bytes) -> bytearray:
    """A hive with one more bin of whole pages, whose cells are `extra`."""
    size = -(-(32 + len(extra)) // 4096) * 4096
    start = len(hive) - BINS
    header = struct.pack("<4sII20x", b"hbin", start, size)
    grown = bytearray(hive + (header + extra).ljust(size, b"\0"))
    struct.pack_into("<I", grown, 40, start + size)
    sealed(grown)
    return grown


def list_cell(kind: bytes, entries: list[int]) -> bytes:
    """A list of sub-keys as a cell."""
    body = struct.pack(f"<2sH{len(entries)}I", kind, len(entries), *entries)
    size = -(-(4 + len(body)) // 8) * 8
    return struct.pack("<i", -size) + body.ljust(size - 4, b"\0")


@pytest.mark.parametrize(("levels", "width"), [(6, 900), (2, 900), (510, 2), (3, 16000)])
def test_a_bomb_of_lists_is_refused_at_once(levels: int, width: int, hive: bytes) -> None:
    """Each level leads `width` times to the next: 900 to the power of 6 entries in 37 KB."""
    start = len(hive) - BINS + 32
    cells, leaf = b"", u32(hive, regf.find_key(hive, SETUP) + 28)
    inner = leaf
    for _ in range(levels):
        at_cell = start + len(cells)
        cells += list_cell(b"ri", [inner] * width)
        inner = at_cell
    bomb = with_bins(hive, cells)
    struct.pack_into("<I", bomb, regf.find_key(hive, SETUP) + 28, inner)
    began = time.process_time()
    reader = Hive(Bytes(bytes(bomb)))
    refuses(lambda: reader.value(STATE_KEY, "ImageState"), Layer.HIVE)
    assert time.process_time() - began < 3


def test_index_roots_that_lead_to_each_other_end(hive: bytes) -> None:
    """A leads to B, B to A."""
    start = len(hive) - BINS + 32
    first = list_cell(b"ri", [0])
    second = start + len(first)
    loop = with_bins(hive, list_cell(b"ri", [second]) + list_cell(b"ri", [start]))
    struct.pack_into("<I", loop, regf.find_key(hive, SETUP) + 28, start)
    refuses(lambda: Hive(Bytes(bytes(loop))).key(STATE_KEY), Layer.HIVE)


def test_keys_below_an_index_root_are_found() -> None:
    """Windows makes one when a list outgrows a page."""
    data = HiveDescription("SOFTWARE").bulk("Classes", 5000).build()
    reader = Hive(Bytes(data))
    for index in (0, 1, 1011, 1012, 2500, 4999):
        value = reader.value(rf"Classes\Class{index:06}", "")
        assert value is not None
        assert value.text == f"Class number {index}"
    assert reader.key(r"Classes\Class005000") is None


def test_a_wrong_hash_far_away_is_damage_not_absence() -> None:
    """Also in a list of thousands, of which only one has the wrong hash."""
    data = bytearray(HiveDescription("SOFTWARE").bulk("Classes", 3000).build())
    wanted = struct.pack("<I", regf._name_hash("Class002222"))
    found = data.index(wanted)
    data[found] ^= 1
    reader = Hive(Bytes(bytes(data)))
    refuses(lambda: reader.key(r"Classes\Class002222"), Layer.HIVE)
    assert reader.key(r"Classes\Class002223") is not None


# --- real hives ----------------------------------------------------------------------------------

CLEAN = (
    "hives/windows/SYSTEM_win7.xz",
    "hives/windows/SYSTEM_win10_2004.gz",
    "hives/windows/SOFTWARE_nt4.xz",
    "hives/bcd/BCD_efi_regipy.xz",
    "hives/bcd/BCD_install_media.xz",
    "hives/bcd/BCD_efi_locate",
    "hives/amcache/win2012r2-stale-logs/Amcache.hve.xz",
    "hives/yarp/BigDataHive",
    "hives/yarp/UnicodeHive",
    "hives/yarp/ExtendedASCIIHive",
    "hives/yarp/MultiSzHive",
    "hives/yarp/EmptyHive",
    "hives/yarp/StringValuesHive",
    "hives/yarp/CompHive",
    "hives/yarp/NewFlagsHive",
    "hives/yarp/DeletedTreeHive",
    "hives/hivex/minimal",
    "hives/hivex/special",
    "hives/hivex/rlenvalue_test_hive",
    "hives/plaso/100_sub_keys.hiv",
)
DAMAGED = {
    "hives/yarp/TruncatedHive": "bins",
    "hives/yarp/TruncatedDirtyHive": "sequence|bins",
    "hives/yarp/GarbageHive": "checksum",
    "hives/yarp/EffectiveSizeHive": "checksum",
    "hives/yarp/BadBaseBlockHive/BadBaseBlockHive": "checksum",
    "hives/yarp/OldLogWithRemnantData": "",
}
DIRTY = (
    "hives/yarp/OldDirtyHive/OldDirtyHive",
    "hives/yarp/NewDirtyHive1/NewDirtyHive",
    "hives/yarp/BadLogHive1/BadLogHive",
    "hives/windows/SYSTEM_B.xz",
    "hives/amcache/win10/Amcache.hve.xz",
)
SAMPLE = 150
"""Keys of each hive that are compared, values of each key included."""


def sampled(data: bytes, name: str) -> Iterator[tuple[str, object]]:
    """Paths of keys in a hive with the keys of dissect.regf, chosen by dice at every level."""
    from dissect.regf import RegistryHive

    dice = random.Random(name)
    queue: list[tuple[str, object]] = [("", RegistryHive(io.BytesIO(data)).root())]
    given = 0
    while queue and given < SAMPLE:
        path, key = queue.pop(dice.randrange(len(queue)))
        yield path, key
        given += 1
        children = list(key.subkeys())  # type: ignore[attr-defined]
        queue += [
            (f"{path}\\{child.name}".lstrip("\\"), child)
            for child in dice.sample(children, min(12, len(children)))
            if "\\" not in child.name
        ]


@pytest.mark.parametrize("name", CLEAN)
def test_real_hives_read_as_dissect_reads_them(name: str, corpus: object) -> None:
    """Walked by dissect.regf; every sampled key and value is then looked up by name by our reader."""
    from validator.windows.hive import MAX_DATA

    data: bytes = corpus[name]  # type: ignore[index]
    reader = Hive(Bytes(data))
    for path, key in sampled(data, name):
        if path:
            ours = reader.key(path)
            assert ours is not None, path
            assert ours.name == key.name  # type: ignore[attr-defined]
        seen = set()
        for value in key.values():  # type: ignore[attr-defined]
            shown = "" if value.name == "(Default)" else value.name
            if shown.upper() in seen:
                continue
            seen.add(shown.upper())
            stored = value.data
            if len(stored) > MAX_DATA:
                continue
            mine = reader.value(path, shown)
            assert mine is not None, (path, shown)
            assert (mine.type, mine.data) == (value.type, stored), (path, shown)


@pytest.mark.parametrize("name", ["hives/windows/SYSTEM_win10_2004.gz", "hives/windows/SOFTWARE_nt4.xz"])
def test_real_hives_read_as_hivexsh_reads_them(name: str, corpus: object, tmp_path: Path) -> None:
    """A third reader, in C, that shares no code with the others."""
    tool = need("hivexsh")
    data: bytes = corpus[name]  # type: ignore[index]
    file = tmp_path / "hive"
    file.write_bytes(data)
    reader = Hive(Bytes(data))
    asked = [
        (path, value.name)
        for path, key in sampled(data, name)
        for value in key.values()  # type: ignore[attr-defined]
        if value.type in (1, 4) and value.name.isascii() and "(" not in value.name and path.isascii()
    ][:60]
    assert asked
    script = "".join(f"cd \\{path}\nlsval {name}\n" for path, name in asked)
    printed = subprocess.run(
        [tool, str(file)], input=script.encode(), capture_output=True, check=True
    ).stdout.decode()
    lines = printed.splitlines()
    assert len(lines) == len(asked)
    for (path, name), line in zip(asked, lines):
        mine = reader.value(path, name)
        assert mine is not None
        expected = (
            f"dword:{mine.number:08x}" if mine.number is not None else str(mine.text).partition("\0")[0]
        )
        assert line in (expected, str(mine.number), f'"{expected}"'), (path, name)


@pytest.mark.parametrize("name", DAMAGED)
def test_real_damaged_hives_are_refused(name: str, corpus: object) -> None:
    """As INDEX.md tells of each."""
    evidence = refuses(lambda: Hive(Bytes(corpus[name])), Layer.HIVE)  # type: ignore[index]
    assert re.search(DAMAGED[name], evidence.expected)


@pytest.mark.parametrize("name", DIRTY)
def test_real_dirty_hives_are_refused_alone(name: str, corpus: object) -> None:
    """Without their logs nobody knows their newest values."""
    evidence = refuses(lambda: Hive(Bytes(corpus[name])), Layer.HIVE)  # type: ignore[index]
    assert "sequence" in evidence.expected


# --- listing -------------------------------------------------------------------------------------


def names_by_dissect(key: object) -> list[str]:
    """Names of the sub-keys of a key as dissect.regf lists them."""
    return [child.name for child in key.subkeys()]  # type: ignore[attr-defined]


def values_by_dissect(key: object) -> list[tuple[str, int, bytes]]:
    """Names, types and data of the values of a key as dissect.regf lists them."""
    return [
        (value.name if value.cell.NameLength else "", int(value.type), bytes(value.data))
        for value in key.values()  # type: ignore[attr-defined]
    ]


def values_of(reader: Hive, path: str) -> list[tuple[str, int, bytes]]:
    """The same by our reader."""
    return [(value.name, value.type, value.data) for value in reader.values(path)]


@pytest.mark.parametrize("name", CLEAN)
def test_real_hives_list_as_dissect_lists_them(name: str, corpus: object) -> None:
    """Sub-keys and values of every sampled key, in order."""
    from validator.windows.hive import MAX_DATA

    data: bytes = corpus[name]  # type: ignore[index]
    reader = Hive(Bytes(data))
    for path, key in sampled(data, name):
        assert list(reader.subkeys(path)) == names_by_dissect(key), path
        expected = values_by_dissect(key)
        if all(len(stored) <= MAX_DATA for _, _, stored in expected):
            assert values_of(reader, path) == expected, path


@pytest.mark.parametrize(
    ("name", "least"), [("hives/windows/SYSTEM_win7.xz", 400), ("hives/windows/SYSTEM_win10_2004.gz", 600)]
)
def test_services_are_listed_with_all_that_they_have(name: str, least: int, corpus: object) -> None:
    """Hundreds of them, as dissect.regf lists them; each can be opened."""
    from dissect.regf import RegistryHive

    data: bytes = corpus[name]  # type: ignore[index]
    services = r"ControlSet001\Services"
    reader = Hive(Bytes(data))
    theirs = RegistryHive(io.BytesIO(data)).open(services)
    names = reader.subkeys(services)
    assert list(names) == names_by_dissect(theirs)
    assert len(names) >= least
    for child in list(theirs.subkeys())[::25]:
        path = rf"{services}\{child.name}"
        assert values_of(reader, path) == values_by_dissect(child), path
        assert list(reader.subkeys(path)) == names_by_dissect(child), path
        assert [reader.value(path, value.name) for value in reader.values(path)] == list(reader.values(path))


def test_what_is_not_there_lists_as_nothing(hive: bytes) -> None:
    """No such key, or a key without any; the root is a key as well."""
    reader = Hive(Bytes(hive))
    assert reader.subkeys("Nothing") == reader.values("Nothing") == ()
    assert reader.subkeys(STATE_KEY) == reader.values("Microsoft") == ()
    assert "Microsoft" in reader.subkeys("")
    assert {"State", "Statf"} < set(reader.subkeys(SETUP))
    assert [value.name for value in reader.values(STATE_KEY)] == ["ImageState", TWIN]


def test_lists_of_lists_are_listed_in_order() -> None:
    """Windows makes an index root when a list outgrows a page."""
    reader = Hive(Bytes(HiveDescription("SOFTWARE").bulk("Classes", 5000).build()))
    assert reader.subkeys("Classes") == tuple(f"Class{index:06}" for index in range(5000))


def mutated(hive: bytes, change: Change) -> Hive:
    """A reader of the hive after a change."""
    data = bytearray(hive)
    change(data)
    assert data != hive, "this changes nothing"
    return Hive(Bytes(bytes(data)))


def in_list(change: Callable[[bytearray, int, int], object]) -> Change:
    """Change the list of the sub-keys of Setup: gets the offset of the list and its count."""

    def apply(data: bytearray) -> None:
        where = cell_of(data, regf.find_key(data, SETUP) + 28)
        change(data, where, struct.unpack_from("<H", data, where + 2)[0])

    return apply


def exchanged(data: bytearray, where: int, count: int) -> None:
    """Exchange the first two entries of a list."""
    data[where + 4 : where + 20] = data[where + 12 : where + 20] + data[where + 4 : where + 12]


def in_cell(cell: str, field: int, layout: str, value: object) -> Change:
    """Change a field of a cell on the way."""
    return lambda data: struct.pack_into(layout, data, PATH_CELLS[cell](data) + field, value)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (in_list(exchanged), "order"),
        (in_list(the_same), "sub-keys"),
        (in_list(one_less), "sub-keys"),
        (in_list(nowhere), "sub-keys"),
        (in_list(itself), "index root"),
        (renamed_key, "order"),
        (in_cell(STATE, 16, "<I", 0x20), "parent"),
        (in_cell(STATE, -4, "<i", 64), "cell"),
        (in_cell(SETUP_NODE, 20, "<I", 1), "sub-keys"),
    ],
)
def test_a_damaged_list_of_keys_is_never_a_shorter_one(change: Change, expected: str, hive: bytes) -> None:
    """In order, each once, as many as the key says, and all of them its own."""
    reader = mutated(hive, change)
    assert expected in refuses(lambda: reader.subkeys(SETUP), Layer.HIVE).expected


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (renamed_value, "different names"),
        (in_cell(STATE, 36, "<I", 100), "cell"),
        (in_cell(STATE, 36, "<I", 0x7FFFFFFF), "at most"),
        (in_cell("value", 0, "2s", b"nk"), "a value"),
        (in_cell("value", 2, "<H", 0xFFFF), "name"),
        (in_cell("value", 4, "<I", 0x7FFFFFFF), "at most"),
        (in_cell("value", 4, "<I", 0x80000010), "at most 4 bytes"),
        (in_cell("data", -4, "<i", 64), "cell"),
    ],
)
def test_a_damaged_value_is_never_left_out(change: Change, expected: str, hive: bytes) -> None:
    """Whichever of a key's values it is."""
    reader = mutated(hive, change)
    assert expected in refuses(lambda: reader.values(STATE_KEY), Layer.HIVE).expected


def test_a_link_is_named_and_not_opened(hive: bytes) -> None:
    """Nor in the way of its neighbour: `Wow6432Node\\Classes` is one in every SOFTWARE hive."""
    reader = mutated(hive, in_cell(STATE, 2, "<H", 0x30))
    assert {"State", "Statf"} < set(reader.subkeys(SETUP))
    assert reader.key(SIBLING) is not None
    for ask in (reader.key, reader.subkeys, reader.values):
        assert "a key of its own" in refuses(lambda ask=ask: ask(STATE_KEY), Layer.HIVE).expected


@pytest.mark.parametrize("limit", ["MAX_NAMES", "MAX_VALUES", "MAX_LISTED"])
def test_lists_are_bounded(limit: str, hive: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """In keys, in values, and in bytes of all values together."""
    reader = Hive(Bytes(hive))
    monkeypatch.setattr(f"validator.windows.hive.{limit}", 1)
    ask = reader.subkeys if limit == "MAX_NAMES" else reader.values
    path = SETUP if limit == "MAX_NAMES" else STATE_KEY
    assert "at most 1 " in refuses(lambda: ask(path), Layer.HIVE).expected.replace("of at", "at")


def test_a_name_out_of_order_anywhere_in_a_long_list_is_refused() -> None:
    """Two entries exchanged, wherever they are: halving may go past them, listing does not."""
    healthy = HiveDescription("SOFTWARE").bulk("Classes", 500).build()
    dice = random.Random(5)
    for _ in range(20):
        data = bytearray(healthy)
        where = cell_of(data, regf.find_key(data, "Classes") + 28)
        one, other = (where + 4 + 8 * index for index in dice.sample(range(500), 2))
        data[one : one + 8], data[other : other + 8] = data[other : other + 8], data[one : one + 8]
        refuses(lambda data=data: Hive(Bytes(bytes(data))).subkeys("Classes"), Layer.HIVE)


# --- the second reader of values ------------------------------------------------------------------


def test_the_second_reader_says_what_it_has_instead(hive: bytes) -> None:
    """It reads by itself: another value, none, or one that only we lack is told."""
    reader = Hive(Bytes(hive))
    key, value = reader.key(STATE_KEY), reader.value(STATE_KEY, "ImageState")
    assert key
    assert value
    stored = value.type, value.data
    witness = RegfWitness(Bytes(hive))
    assert witness.agrees(key.cell, STATE_KEY.upper(), "IMAGESTATE", stored) is None
    assert witness.agrees(key.cell, STATE_KEY, "Nothing", None) is None
    assert witness.agrees(key.cell, STATE_KEY, "Nothing", stored) == "no such value"
    theirs = f"type 1, {value.data[:64].hex(' ')}"
    for ours in (None, (2, value.data), (1, value.data[:-2]), (1, b"")):
        assert witness.agrees(key.cell, STATE_KEY, "ImageState", ours) == theirs
    assert witness.agrees(key.cell, SIBLING, "ImageState", stored) == f"the key “{STATE_KEY.upper()}”"


@pytest.mark.parametrize("shortcut", [lambda node: iter(()), lambda node: node.gone])
def test_the_second_reader_rests_on_no_shortcut(
    shortcut: Callable[[Any], Any], hive: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where another version of dissect.regf is made otherwise, it is asked as it is."""
    reader = Hive(Bytes(hive))
    key, value = reader.key(STATE_KEY), reader.value(STATE_KEY, "ImageState")
    assert key
    assert value
    monkeypatch.setattr("validator.windows.witness._values", shortcut)
    witness = RegfWitness(Bytes(hive))
    assert witness.agrees(key.cell, STATE_KEY, "ImageState", (value.type, value.data)) is None
    assert witness.agrees(key.cell, STATE_KEY, "ImageState", None) is not None


def test_a_second_reader_that_broke_off_is_none(hive: bytes) -> None:
    """What it could not go through is not the end of a key's values, however often it is asked."""
    data = bytearray(hive)
    cell = regf.find_key(data, STATE_KEY) - BINS - 4
    data[value_of(data, TWIN)] ^= 1  # its signature; it is the second of the two
    witness = RegfWitness(Bytes(bytes(data)))
    for _ in range(2):
        assert str(witness.agrees(cell, STATE_KEY, "ImageState", None)).startswith("type 1")
        assert witness.agrees(cell, STATE_KEY, TWIN, (1, b"")) is None
        assert witness.agrees(cell, STATE_KEY, "Nothing", (1, b"")) is None


def test_the_second_reader_finds_all_values_of_a_real_hive(corpus: object) -> None:
    """It goes through a key's list as dissect.regf does, of whose reader it is made."""
    name = "hives/windows/SYSTEM_win7.xz"
    data: bytes = corpus[name]  # type: ignore[index]
    witness = RegfWitness(Bytes(data))
    reader = Hive(Bytes(data))
    asked = 0
    for path, node in sampled(data, name):
        key = reader.key(path) if path else reader.root
        assert key is not None, path
        for value in node.values():  # type: ignore[attr-defined]
            called = value.name if value.cell.NameLength else ""
            assert witness.agrees(key.cell, path, called, (int(value.type), bytes(value.data))) is None, path
            assert witness.agrees(key.cell, path, called, None) is not None, path
            asked += 1
    assert asked > SAMPLE


def test_cells_are_found_in_any_order() -> None:
    """Keys that are asked for forwards, backwards and by dice, each with one that is not there."""
    names = [f"Class{index:06}" for index in range(300)]
    data = HiveDescription("SOFTWARE").bulk("Classes", 300).build()
    for order in (names, names[::-1], random.Random(14).sample(names, 300)):
        reader = Hive(Bytes(data))
        for name in order:
            assert reader.key(rf"Classes\{name}x") is None
            key = reader.key(rf"Classes\{name}")
            assert key
            assert key.name == name
