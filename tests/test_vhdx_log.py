"""The log of a VHDX that was not closed cleanly: replayed in memory, byte for byte, or refused.

[MS-VHDX] 2.3: entries that follow each other with sequence numbers that go up by one are a sequence;
of those whose last entry's tail lies inside, the one with the highest number is active. Every image
here is judged twice: where its log makes a bad Windows good, and where it makes a good one bad.
"""

from __future__ import annotations

import hashlib
import shutil
import struct
import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.command import Command
from tests.conftest import Corpus
from tests.hostile import MiB, expect_refused, need, open_image, open_source, refuses, small_disk
from tests.images import (
    COMPLETE,
    GENERALIZED_OOBE,
    Layout,
    Vhdx,
    build,
    copy_of,
    damage,
    generalized,
    tools,
    undeployable,
    vhdx,
    with_state,
)
from tests.images.vhdx_log import (
    CHECKSUM,
    COUNT,
    GUID,
    LENGTH,
    SECTOR,
    SEQUENCE,
    TAIL,
    Change,
    Entry,
    Placed,
    Write,
    Zeros,
    differences,
    pend,
    put_log,
    run,
)
from validator.disk.vhdx import open_vhdx
from validator.disk.vhdx_log import MAX_LOG
from validator.evidence import Effect, Layer
from validator.source import Budget
from validator.validation import validate

LOG, LOG_LENGTH = vhdx.LOG_OFFSET, vhdx.LOG_LENGTH
OTHER_GUID = uuid.UUID("7c1a4a52-0c4f-4c5e-9d1b-000000000022")
SIZE = 16 * MiB


class Pair(NamedTuple):
    """Two images of one plan: what the file holds, and what it becomes when its log is replayed."""

    old: Path
    new: Path

    @property
    def changes(self) -> tuple[Change, ...]:
        """What the log has to say."""
        return differences(*self)

    @property
    def spoil(self) -> tuple[Change, ...]:
        """The same places with other bytes: what must never be replayed, or not be the last word."""
        return tuple(Write(change.offset, b"\xee" * SECTOR) for change in self.changes)

    @property
    def size(self) -> int:
        """Of the file."""
        return self.old.stat().st_size


def image_of(state: str) -> Path:
    """A small image, generalized in all but the state that it says it is in."""
    return build(small_disk(with_state(generalized(), state), size=SIZE), Vhdx())


PAIRS = {"good": (COMPLETE, GENERALIZED_OOBE), "bad": (GENERALIZED_OOBE, COMPLETE)}
VERDICTS = {"good": ("deployable", 0), "bad": ("undeployable", 1)}


@pytest.fixture(params=PAIRS)
def becomes(request: pytest.FixtureRequest) -> str:
    """What the image becomes: good or bad."""
    return str(request.param)


@pytest.fixture
def pair(becomes: str) -> Pair:
    """The two images."""
    old, new = PAIRS[becomes]
    return Pair(image_of(old), image_of(new))


@pytest.fixture(scope="session")
def wide() -> Pair:
    """A pair that differs in some thirty sectors."""
    return Pair(build(small_disk(undeployable(), size=SIZE), Vhdx()), image_of(GENERALIZED_OOBE))


def expect_disk(image: Path, like: Path, how: str = "recovered") -> None:
    """Both readers give, over the recovered view, the disk that another image has."""
    with open_image(image) as one, open_image(like) as other:
        assert one.size == other.size
        for at in range(0, one.size, MiB):
            assert one.read_at(at, MiB) == other.read_at(at, MiB), f"the disk differs behind {at:#x}"
        assert {evidence.effect for evidence in one.recovered} == (
            {Effect.RECOVERED} if how == "recovered" else set()
        )


def expect_replayed(command: Command, image: Path, pair: Pair, becomes: str, counts: str = "") -> None:
    """The whole command answers for the new disk, says that it was recovered, and reads its bytes."""
    judged = command.judge(image)
    assert judged.answer == VERDICTS[becomes], judged["summary"]
    (container,) = [layer for layer in judged["layers"] if layer["kind"] == "container"]
    assert container["state"] == "recovered"
    assert "expected an empty log, found one that was pending" in container["detail"]
    assert counts in container["detail"], container["detail"]
    assert "were replayed in memory" in " ".join(command("inspect", image).stdout.split())
    expect_disk(image, pair.new)


def expect_qemu(image: Path, new: Path, folder: Path) -> None:
    """`qemu-img` repairs a copy to the same disk: the fixture is what the format says."""
    need("qemu-img")
    copy = copy_of(image, folder, "by-qemu.vhdx")
    tools.run("qemu-img", "check", "-q", "-f", "vhdx", "-r", "all", copy)
    tools.run("qemu-img", "compare", "-q", "-f", "vhdx", "-F", "vhdx", copy, new)


# --- sequences that are replayed -----------------------------------------------------------------


def placed_behind(entries: Sequence[Placed], gap: int = 0) -> int:
    """Where the log goes on behind the last of these entries."""
    at, entry = entries[-1]
    assert isinstance(entry, Entry)
    return at + entry.length + gap


def one_entry(pair: Pair) -> list[Placed]:
    return run(pair.changes, size=pair.size)


def an_entry_a_sector(pair: Pair) -> list[Placed]:
    return run(pair.changes, len(pair.changes), size=pair.size)


def wrapped_inside_an_entry(pair: Pair) -> list[Placed]:
    return run(pair.changes, at=LOG_LENGTH - 2 * SECTOR, size=pair.size)


def wrapped_between_entries(pair: Pair) -> list[Placed]:
    _, entry = an_entry_a_sector(pair)[0]
    assert isinstance(entry, Entry)
    return run(pair.changes, len(pair.changes), at=LOG_LENGTH - entry.length, size=pair.size)


def high_sequence_numbers(pair: Pair) -> list[Placed]:
    return run(pair.changes, len(pair.changes), first=(1 << 32) - 1, size=pair.size)


def at_the_end_of_the_log(pair: Pair) -> list[Placed]:
    ((_, entry),) = one_entry(pair)
    assert isinstance(entry, Entry)
    return run(pair.changes, at=LOG_LENGTH - entry.length, size=pair.size)


def the_later_entry_wins(pair: Pair) -> list[Placed]:
    both = (*pair.spoil, *pair.changes)
    return run(both, 2, size=pair.size)


def the_later_write_of_an_entry_wins(pair: Pair) -> list[Placed]:
    return run((*pair.spoil, *pair.changes), size=pair.size)


def entries_before_the_tail(pair: Pair) -> list[Placed]:
    """What lies before the tail was written to its place long ago."""
    entries = run((*pair.spoil, *pair.changes), 2, size=pair.size)
    (first, old), (second, entry) = entries
    assert isinstance(entry, Entry)
    return [(first, old), (second, replace(entry, tail=second))]


def a_torn_last_entry(pair: Pair) -> list[Placed]:
    whole = run(pair.changes, size=pair.size)
    return [
        *whole,
        (at := placed_behind(whole), Entry(pair.spoil, 8, 0, pair.size, pair.size, torn=True)),
        (at + 64 * SECTOR, Entry(pair.spoil, 9, 0, pair.size, pair.size, torn=True)),
    ]


def older_entries_behind(pair: Pair) -> list[Placed]:
    """The ring's last round: whole and valid, with lower numbers."""
    whole = run(pair.changes, first=70, size=pair.size)
    return [*whole, *run(pair.spoil, 2, first=20, at=placed_behind(whole), size=pair.size)]


def older_entries_before(pair: Pair) -> list[Placed]:
    stale = run(pair.spoil, 2, first=20, size=pair.size)
    return [*stale, *run(pair.changes, first=70, at=placed_behind(stale), size=pair.size)]


def a_newer_sequence_whose_tail_is_gone(pair: Pair) -> list[Placed]:
    """Its tail lies in what was overwritten, so that it cannot be replayed whole."""
    whole = run(pair.changes, size=pair.size)
    at = placed_behind(whole, SECTOR)
    return [*whole, (at, Entry(pair.spoil, 900, at + 100 * SECTOR, pair.size, pair.size))]


def newer_entries_of_another_log(pair: Pair) -> list[Placed]:
    whole = run(pair.changes, size=pair.size)
    at = placed_behind(whole)
    return [*whole, (at, Entry(pair.spoil, 8, 0, pair.size, pair.size, guid=OTHER_GUID))]


def an_entry_without_descriptors(pair: Pair) -> list[Placed]:
    whole = run(pair.changes, size=pair.size)
    return [*whole, (placed_behind(whole), Entry((), 8, 0, pair.size, pair.size))]


def a_gap_behind_the_tail(pair: Pair) -> list[Placed]:
    """5 and 7: each is a sequence of its own; 7's tail is itself, so that it is the active one."""
    whole = run(pair.changes, size=pair.size)
    at = placed_behind(whole)
    return [
        *run(pair.spoil, first=5, at=at, size=pair.size),
        *whole,
    ]


REPLAYED: dict[str, Callable[[Pair], list[Placed]]] = {
    function.__name__.replace("_", "-"): function
    for function in (
        one_entry,
        an_entry_a_sector,
        wrapped_inside_an_entry,
        wrapped_between_entries,
        high_sequence_numbers,
        at_the_end_of_the_log,
        the_later_entry_wins,
        the_later_write_of_an_entry_wins,
        entries_before_the_tail,
        a_torn_last_entry,
        older_entries_behind,
        older_entries_before,
        a_newer_sequence_whose_tail_is_gone,
        newer_entries_of_another_log,
        an_entry_without_descriptors,
        a_gap_behind_the_tail,
    )
}
QEMU_READS_OTHERWISE = {
    "wrapped-between-entries",
    "older-entries-behind",
    "older-entries-before",
    "a-gap-behind-the-tail",
    "entries-before-the-tail",
    "a-newer-sequence-whose-tail-is-gone",
}
"""qemu 7.2 (block/vhdx-log.c) compares first entries instead of last ones, takes any number for the
second, ends its search where the ring wraps and never looks at tails; it writes one entry at a time."""


@pytest.mark.parametrize("name", REPLAYED)
def test_the_active_sequence_is_replayed(
    command: Command, name: str, pair: Pair, becomes: str, tmp_path: Path
) -> None:
    """The verdict is that of the disk after replay, and so is every byte."""
    image = copy_of(pair.old, tmp_path)
    put_log(image, REPLAYED[name](pair))
    expect_replayed(command, image, pair, becomes)
    if name not in QEMU_READS_OTHERWISE:
        expect_qemu(image, pair.new, tmp_path)


def test_what_the_file_holds_is_not_what_counts(pair: Pair, becomes: str, tmp_path: Path) -> None:
    """The pair proves something: without its log the file has the other verdict, and is intact."""
    other = {"good": "bad", "bad": "good"}[becomes]
    report = validate(copy_of(pair.old, tmp_path), "generalized")
    assert report.verdict.value == VERDICTS[other][0]
    assert {layer.state for layer in report.layers} == {"intact"}


@pytest.mark.parametrize("entries", [1, 2, 7, 29])
def test_many_sectors_in_any_number_of_entries(
    command: Command, wide: Pair, entries: int, tmp_path: Path
) -> None:
    """The report counts entries and sectors."""
    image = copy_of(wide.old, tmp_path)
    changes = pend(image, wide.new, entries, at=0 if entries % 2 else LOG_LENGTH - 10 * SECTOR)
    sectors = sum(change.length // SECTOR if isinstance(change, Zeros) else 1 for change in changes)
    expect_replayed(command, image, wide, "good", f"{entries} entries with {sectors} sectors of 4 KiB")
    if entries % 2:
        expect_qemu(image, wide.new, tmp_path)


def test_a_log_that_is_full_to_the_last_sector(wide: Pair, tmp_path: Path) -> None:
    """One ring of entries without beginning: the last ends where the first begins."""
    image = copy_of(wide.old, tmp_path)
    entries = run(wide.changes, 5, at=3 * SECTOR, size=wide.size)
    at, number = placed_behind(entries), 12
    while at < LOG_LENGTH + 3 * SECTOR:
        entries.append((at % LOG_LENGTH, Entry((), number, 3 * SECTOR, wide.size, wide.size)))
        at, number = at + SECTOR, number + 1
    put_log(image, entries)
    expect_disk(image, wide.new)


# --- what the log may change ---------------------------------------------------------------------


def test_an_update_of_the_bat(command: Command, pair: Pair, becomes: str, tmp_path: Path) -> None:
    """Blocks were written, their places in the table wait: a reader without the log sees zeros."""
    image = copy_of(pair.new, tmp_path)
    damage.overwrite(image, vhdx.BAT_OFFSET, bytes(SECTOR))
    (change,) = pend(image, pair.new)
    assert change.offset == vhdx.BAT_OFFSET
    with open_image(pair.new) as disk:
        assert any(disk.read_at(0, MiB))
    expect_replayed(command, image, pair, becomes, "1 entries with 1 sectors")
    expect_qemu(image, pair.new, tmp_path)


def test_an_update_of_the_metadata(command: Command, pair: Pair, becomes: str, tmp_path: Path) -> None:
    """Table and items of the metadata region may wait too, here all of them."""
    image = copy_of(pair.old, tmp_path)
    damage.overwrite(image, vhdx.METADATA_OFFSET, bytes(vhdx.METADATA_LENGTH))
    changes = pend(image, pair.new)
    assert len([change for change in changes if change.offset < vhdx.BAT_OFFSET]) == 2
    expect_replayed(command, image, pair, becomes)


def test_an_update_of_the_region_tables(command: Command, pair: Pair, becomes: str, tmp_path: Path) -> None:
    """They lie in the header section, behind the headers: [MS-VHDX] 2.2.3 has them written by the log."""
    image = copy_of(pair.old, tmp_path)
    tables = []
    for at in vhdx.REGION_TABLE_OFFSETS:
        tables.append(Write(at, damage.read(image, at, SECTOR)))
        damage.overwrite(image, at, b"\xee" * SECTOR)
    put_log(image, run((*tables, *pair.changes), 2, size=pair.size))
    expect_replayed(command, image, pair, becomes)


def zeros_in(path: Path, sectors: int) -> int:
    """Where in the payload of an image so many sectors of zeros lie."""
    data = path.read_bytes()
    at = Layout.read(path).payload_offset
    while any(data[at : at + sectors * SECTOR]):
        at += SECTOR
    assert at + sectors * SECTOR <= len(data)
    return at


@pytest.mark.parametrize("order", ["one", "each", "over data", "under data"])
def test_zero_descriptors(command: Command, order: str, pair: Pair, becomes: str, tmp_path: Path) -> None:
    """Ranges of any number of sectors become zero, in the order of the entries."""
    count = 40
    at = zeros_in(pair.new, count)
    image = copy_of(pair.old, tmp_path)
    damage.overwrite(image, at, b"\xaa" * count * SECTOR)
    whole, changes = Zeros(at, count * SECTOR), pair.changes
    dirt = tuple(Write(at + number * SECTOR, b"\xbb" * SECTOR) for number in (0, 7, count - 1))
    ((_, first),) = run(changes, size=pair.size)
    assert isinstance(first, Entry)
    steps: dict[str, list[tuple[Change, ...]]] = {
        "one": [(whole, *changes)],
        "each": [(*(Zeros(at + number * SECTOR, SECTOR) for number in range(count)), *changes)],
        "over data": [dirt, (whole,), changes],
        "under data": [tuple(Zeros(change.offset, SECTOR) for change in changes), (whole,), changes],
    }
    entries: list[Placed] = []
    place = 0
    for number, step in enumerate(steps[order]):
        entry = Entry(step, 7 + number, 0, pair.size, pair.size)
        entries.append((place, entry))
        place += entry.length
    put_log(image, entries)
    expect_replayed(command, image, pair, becomes)
    expect_qemu(image, pair.new, tmp_path)


def test_a_file_that_is_to_grow(command: Command, pair: Pair, becomes: str, tmp_path: Path) -> None:
    """The last file offset lies behind the end: what is there is zero, but for what the log writes."""
    grown = copy_of(pair.new, tmp_path, "grown.vhdx")
    end = grown.stat().st_size
    block = SIZE // MiB - 2
    damage.overwrite(
        grown, Layout.read(grown).bat_entry_offset(block), vhdx.bat_entry(vhdx.FULLY_PRESENT, end)
    )
    with grown.open("ab") as file:
        file.write(b"\x11" * SECTOR + bytes(MiB - 2 * SECTOR) + b"\x22" * SECTOR)
    image = copy_of(pair.old, tmp_path, "disk.vhdx")
    pend(image, grown)
    assert image.stat().st_size == end < grown.stat().st_size
    expect_replayed(command, image, Pair(pair.old, grown), becomes)
    with open_image(image) as disk:
        assert disk.read_at(block * MiB, SECTOR + 1) == b"\x11" * SECTOR + b"\0"
    expect_qemu(image, grown, tmp_path)


def test_other_sector_sizes_and_orders(command: Command, tmp_path: Path) -> None:
    """The log has sectors of 4 KiB whatever the disk's are; blocks may lie in any order."""
    from tests.images import Disk, Ntfs

    def disk(state: str) -> Path:
        volumes = (Ntfs(with_state(generalized(), state), active=True),)
        return build(Disk(volumes, "mbr", sector_size=4096), Vhdx(2 * MiB, order="descending"))

    pair = Pair(disk(COMPLETE), disk(GENERALIZED_OOBE))
    image = copy_of(pair.old, tmp_path)
    pend(image, pair.new, 2, at=LOG_LENGTH - SECTOR)
    expect_replayed(command, image, pair, "good")


def test_a_log_elsewhere_and_longer(command: Command, pair: Pair, becomes: str, tmp_path: Path) -> None:
    """The header says where the log lies: here behind all blocks, 2 MiB of it."""
    image = copy_of(pair.old, tmp_path)
    log = pair.size, 2 * MiB
    with image.open("ab") as file:
        file.truncate(sum(log))
    entries = run(pair.changes, 2, at=log[1] - SECTOR, size=sum(log), log_length=log[1])
    put_log(image, entries, log=log)
    expect_replayed(command, image, pair, becomes)


# --- which log there is --------------------------------------------------------------------------


@pytest.mark.parametrize("current", [True, False], ids=["current", "older"])
def test_the_current_header_names_the_log(
    command: Command, current: bool, pair: Pair, becomes: str, tmp_path: Path
) -> None:
    """A GUID in the older header is that of a log that was emptied since."""
    image = copy_of(pair.old, tmp_path)
    put_log(image, run(pair.changes, size=pair.size), headers=[1 if current else 0])
    if current:
        expect_replayed(command, image, pair, becomes)
        return
    other = {"good": "bad", "bad": "good"}[becomes]
    judged = command.judge(image)
    assert judged.answer == VERDICTS[other]
    assert {layer["state"] for layer in judged["layers"]} == {"intact"}
    expect_disk(image, pair.old, "intact")


def test_a_log_without_a_name_is_empty(command: Command, pair: Pair, becomes: str, tmp_path: Path) -> None:
    """With a log GUID of zero the entries are of some other time, even those that bear zero too."""
    image = copy_of(pair.old, tmp_path)
    entries = run(pair.changes, size=pair.size)
    put_log(image, entries, guid=vhdx.NO_GUID)
    zero = [(at + 64 * SECTOR, replace(entry, guid=vhdx.NO_GUID)) for at, entry in entries]  # type: ignore[type-var]
    put_log(image, zero, guid=vhdx.NO_GUID)
    other = {"good": "bad", "bad": "good"}[becomes]
    assert command.judge(image).answer == VERDICTS[other]
    expect_disk(image, pair.old, "intact")


def test_header_and_log_are_recovered_together(
    command: Command, pair: Pair, becomes: str, tmp_path: Path
) -> None:
    """A torn header beside a pending log: both are made good, and both are told."""
    image = copy_of(pair.old, tmp_path)
    pend(image, pair.new)
    damage.flip(image, vhdx.HEADER_OFFSETS[0] + 100)
    damage.flip(image, vhdx.REGION_TABLE_OFFSETS[0] + 100)
    expect_replayed(command, image, pair, becomes)
    (container,) = [layer for layer in command.judge(image)["layers"] if layer["kind"] == "container"]
    assert "the other header was used" in container["detail"]
    assert "the other region table was used" in container["detail"]


# --- logs that cannot be replayed ----------------------------------------------------------------


def resealed(entry: Entry, *fields: tuple[int, bytes]) -> bytes:
    """An entry with other bytes at some places, its checksum right."""
    data = bytearray(entry.build())
    for at, field in fields:
        assert data[at : at + len(field)] != field, "this changes nothing"
        data[at : at + len(field)] = field
    return vhdx.sealed(bytes(data))


def u32(value: int) -> bytes:
    """As the format has numbers of 32 bits."""
    return struct.pack("<I", value)


def u64(value: int) -> bytes:
    """As the format has numbers of 64 bits."""
    return struct.pack("<Q", value)


DATA_SECTOR = SECTOR
"""Where in an entry of few descriptors its first data sector lies."""
INVALID: dict[str, tuple[tuple[int, bytes], ...]] = {
    "signature": ((0, b"LOGE"),),
    "length-0": ((LENGTH, u32(0)),),
    "length-of-the-header-only": ((LENGTH, u32(SECTOR)),),
    "length-one-sector-more": ((LENGTH, u32(9 * SECTOR)),),
    "length-uneven": ((LENGTH, u32(4 * SECTOR + 512)),),
    "length-beyond-the-log": ((LENGTH, u32(2 * MiB)),),
    "tail-uneven": ((TAIL, u32(512)),),
    "tail-elsewhere": ((TAIL, u32(17 * SECTOR)),),
    "tail-behind-the-log": ((TAIL, u32(LOG_LENGTH)),),
    "sequence-0": ((SEQUENCE, u64(0)), (64 + 24, u64(0)), (64 + 32 + 24, u64(0)), (64 + 64 + 24, u64(0))),
    "sequence-of-the-entry": ((SEQUENCE, u64(8)),),
    "count-one-more": ((COUNT, u32(4)),),
    "count-huge": ((COUNT, u32(0xFFFFFFFF)),),
    "guid": ((GUID, OTHER_GUID.bytes_le),),
    "guid-of-zero": ((GUID, bytes(16)),),
    "descriptor-signature": ((64, b"desk"),),
    "descriptor-sequence": ((64 + 24, u64(8)),),
    "descriptor-offset-uneven": ((64 + 16, u64(0x400200)),),
    "last-descriptor-sequence": ((64 + 64 + 24, u64(8)),),
    "data-signature": ((DATA_SECTOR, b"dat4"),),
    "data-sequence-high": ((DATA_SECTOR + 4, u32(1)),),
    "data-sequence-low": ((DATA_SECTOR + SECTOR - 4, u32(8)),),
    "last-data-sequence-low": ((DATA_SECTOR + 3 * SECTOR - 4, u32(6)),),
    "zero-length-uneven": ((64, b"zero"), (64 + 8, u64(512))),
    "a-data-sector-too-many": ((64, b"zero"), (64 + 8, u64(SECTOR))),
}


@pytest.mark.parametrize("name", INVALID)
def test_an_entry_that_is_not_valid_is_none(name: str, tmp_path: Path) -> None:
    """With its checksum right: the log that the header names has no sequence, so that writes are lost."""
    pair = Pair(image_of(COMPLETE), image_of(GENERALIZED_OOBE))
    image = copy_of(pair.old, tmp_path)
    ((at, entry),) = run(pair.changes, size=pair.size)
    assert isinstance(entry, Entry)
    assert len(entry.changes) == 3
    put_log(image, [(at, resealed(entry, *INVALID[name]))])
    expect_refused(image, Layer.CONTAINER, "valid sequence", "what was being written is lost", LOG)


@pytest.mark.parametrize(
    "at", [0, CHECKSUM, CHECKSUM + 3, 28, 63, 64, 200, SECTOR - 1, SECTOR, 4 * SECTOR - 1]
)
def test_every_byte_of_an_entry_counts(at: int, tmp_path: Path) -> None:
    """The checksum covers header, descriptors, padding and data."""
    image = copy_of(image_of(COMPLETE), tmp_path)
    pend(image, image_of(GENERALIZED_OOBE))
    damage.flip(image, LOG + at)
    expect_refused(image, Layer.CONTAINER, "valid sequence", "lost", LOG)


def none(pair: Pair) -> list[Placed]:
    return []


def all_torn(pair: Pair) -> list[Placed]:
    return [(0, Entry(pair.changes, 7, 0, pair.size, pair.size, torn=True))]


def all_of_another_log(pair: Pair) -> list[Placed]:
    return [(0, Entry(pair.changes, 7, 0, pair.size, pair.size, guid=OTHER_GUID))]


def the_first_one_torn(pair: Pair) -> list[Placed]:
    """The last entry is whole, but its tail lies in the torn one."""
    (first, entry), *others = an_entry_a_sector(pair)
    assert isinstance(entry, Entry)
    return [(first, replace(entry, torn=True)), *others]


def the_middle_one_torn_and_the_tail_before(pair: Pair) -> list[Placed]:
    _, (second, entry), last = an_entry_a_sector(pair)
    assert isinstance(entry, Entry)
    return [(second, replace(entry, torn=True)), last]


def without_place_between(pair: Pair) -> list[Placed]:
    """In sequence by their numbers, but a sector apart: no sequence."""
    _, (second, two), _ = an_entry_a_sector(pair)
    return [(second + SECTOR, two)]


UNUSABLE: dict[str, Callable[[Pair], list[Placed]]] = {
    function.__name__.replace("_", "-"): function
    for function in (
        none,
        all_torn,
        all_of_another_log,
        the_first_one_torn,
        the_middle_one_torn_and_the_tail_before,
        without_place_between,
    )
}


@pytest.mark.parametrize("name", UNUSABLE)
def test_a_named_log_without_a_sequence_is_damage(name: str, pair: Pair, tmp_path: Path) -> None:
    """Whatever the file holds beside it: what was being written is lost."""
    image = copy_of(pair.old, tmp_path)
    put_log(image, UNUSABLE[name](pair))
    expect_refused(image, Layer.CONTAINER, "valid sequence", "lost", LOG)


def test_a_file_that_was_cut(pair: Pair, tmp_path: Path) -> None:
    """Shorter than it was when the last entry was flushed; whole, it is replayed."""
    image = copy_of(pair.old, tmp_path)
    with image.open("ab") as file:
        file.truncate(pair.size + MiB)
    put_log(image, run(pair.changes, size=pair.size + MiB))
    expect_disk(image, pair.new)
    damage.truncate(image, pair.size + MiB - 1)
    expect_refused(image, Layer.CONTAINER, f"a file of at least {pair.size + MiB} bytes", "", LOG)


FORBIDDEN: dict[str, Change] = {
    "the file identifier": Write(0, b"vhdxfile".ljust(SECTOR, b"!")),
    "the first header": Write(vhdx.HEADER_OFFSETS[0], bytes(SECTOR)),
    "the second header": Write(vhdx.HEADER_OFFSETS[1], b"\x01" * SECTOR),
    "the log": Write(LOG + LOG_LENGTH - SECTOR, bytes(SECTOR)),
    "zeros over the headers": Zeros(0, 192 * 1024),
    "zeros into the log": Zeros(LOG - SECTOR, 2 * SECTOR),
    "zeros out of the log": Zeros(LOG + LOG_LENGTH - SECTOR, 2 * SECTOR),
    "zeros over everything": Zeros(192 * 1024, 8 * MiB),
    "behind the end": Write(64 * MiB, bytes(SECTOR)),
    "zeros over the end": Zeros(10 * MiB, 4 * MiB),
    "far away": Write((1 << 63) // SECTOR * SECTOR, b"\x01" * SECTOR),
    "zeros without end": Zeros(4 * MiB, (1 << 64) - SECTOR),
}


@pytest.mark.parametrize("name", FORBIDDEN)
def test_what_no_log_may_write(name: str, tmp_path: Path) -> None:
    """Headers and log are not written through the log, and nothing behind the end of the file is."""
    old, new = image_of(COMPLETE), image_of(GENERALIZED_OOBE)
    image = copy_of(old, tmp_path)
    put_log(image, run((*differences(old, new), FORBIDDEN[name]), size=old.stat().st_size))
    expect_refused(image, Layer.CONTAINER, "writes to regions and blocks", " at 0x", LOG)


@pytest.mark.parametrize("last", [1 << 40, 65 << 40, (65 << 40) + 1, (1 << 64) - 1])
def test_a_file_that_is_to_grow_without_end(last: int, tmp_path: Path) -> None:
    """A last file offset costs no time, whatever it says; above 65 TiB it cannot be one."""
    old, new = image_of(COMPLETE), image_of(GENERALIZED_OOBE)
    image = copy_of(old, tmp_path)
    put_log(image, run(differences(old, new), size=old.stat().st_size, last=last))
    began = time.process_time()
    if last > 65 << 40:
        expect_refused(image, Layer.CONTAINER, "a file of at most 65 TiB", str(last), LOG)
    else:
        assert validate(image, "generalized").verdict.value == "deployable"
    assert time.process_time() - began < 2


def test_logs_that_are_not_looked_at(tmp_path: Path) -> None:
    """A log that is too long is refused before it is read; Hyper-V makes them of 1 MiB."""
    image = copy_of(image_of(GENERALIZED_OOBE), tmp_path)
    base, length = image.stat().st_size, MAX_LOG + MiB
    with image.open("ab") as file:
        file.truncate(base + length)
    put_log(image, [], log=(base, length))
    report = expect_refused(image, Layer.CONTAINER, f"a log of at most {MAX_LOG} bytes", str(length))
    assert report.io.bytes_read < MiB


def full_of_work(base: int, length: int) -> list[Placed]:
    """A log half of sectors to write, half of ranges that are to be zero, sector by sector."""
    room = length // SECTOR // 2
    writes = tuple(Write(base + number * SECTOR, b"\x55".ljust(SECTOR, b"\0")) for number in range(room - 20))
    first = Entry(writes, 7, 0, base, base)
    left = (length - first.length) // SECTOR * 128 - 2
    zeros = tuple(Zeros(base + number % 64 * SECTOR, SECTOR) for number in range(left))
    return [(0, first), (first.length, Entry(zeros, 8, 0, base, base))]


def test_a_log_full_of_work_ends_soon(tmp_path: Path) -> None:
    """Ranges of zeros by the ten thousand over sectors by the hundred: time grows with the log only.

    A log may be sixteen times as long, and judging it must end within 10 seconds all the same.
    """
    image = copy_of(image_of(GENERALIZED_OOBE), tmp_path)
    base, length = image.stat().st_size, 2 * MiB
    with image.open("ab") as file:
        file.truncate(base + 2 * length)
    put_log(image, full_of_work(base, length), log=(base + length, length))
    began = time.process_time()
    report = validate(image, "generalized")
    assert report.verdict.value == "deployable", report.summary
    assert time.process_time() - began < 1.2


def test_a_replay_is_charged_to_the_budget(tmp_path: Path) -> None:
    """The log is read through the same counted source as all else, once."""
    image = copy_of(image_of(COMPLETE), tmp_path)
    pend(image, image_of(GENERALIZED_OOBE))
    with open_source(image) as source:
        disk = open_vhdx(source)
        assert len(disk.recovered) == 1
        assert LOG_LENGTH < source.budget.count.bytes_read < LOG_LENGTH + 512 * 1024
    assert Budget().count.bytes_read == 0


# --- the corpus ----------------------------------------------------------------------------------

DIRTY = "containers/vhdx/iotest-dirtylog-10G-4M.vhdx.bz2"
DIRTY_REPLAYED = "179cefe8b0587f123393eedf2aa7aa8d25798591178e6bc3950a09762f38f96f"
DIRTY_SIZE = 10 << 30


def test_a_log_of_hyper_v(command: Command, corpus: Corpus, tmp_path: Path) -> None:
    """The disk after replay has the SHA-256 of what qemu-img made of it; it holds no Windows."""
    image = tmp_path / "iotest-dirtylog-10G-4M.vhdx"
    image.write_bytes(corpus[DIRTY])
    judged = command.judge(image)
    assert judged.answer == ("indeterminate", 3)
    (container,) = [layer for layer in judged["layers"] if layer["kind"] == "container"]
    assert container["state"] == "recovered"
    block, state = MiB, hashlib.sha256()
    with open_source(image) as source:
        disk = open_vhdx(source)
        assert (disk.size, disk.container.block_size) == (DIRTY_SIZE, block)
        for at in range(0, disk.size, block):
            state.update(disk.read_at(at, block))
    assert state.hexdigest() == DIRTY_REPLAYED


def test_a_log_of_hyper_v_as_qemu_replays_it(corpus: Corpus, tmp_path: Path) -> None:
    """The file itself, as our overlay shows it to another reader, is the one that qemu-img repairs."""
    need("qemu-img")
    image = tmp_path / "dirty.vhdx"
    image.write_bytes(corpus[DIRTY])
    repaired = Path(shutil.copy(image, tmp_path / "repaired.vhdx"))
    tools.run("qemu-img", "check", "-q", "-f", "vhdx", "-r", "all", repaired)
    with open_source(image) as source:
        sound = open_vhdx(source).alone
        assert sound.size == repaired.stat().st_size
        for at in range(2 * MiB, sound.size, MiB):  # headers and log differ: qemu-img emptied it
            assert sound.read_at(at, MiB) == damage.read(repaired, at, MiB), hex(at)
        refuses(lambda: sound.read_at(sound.size, 1))
