"""Hives that were not closed cleanly: their transaction logs are applied in memory as Windows would.

The format is M. Suhanov's "Windows registry file format specification". A clean hive's logs are ignored;
a dirty one without an applicable log is not read. Where it is installed, python-registry 1.3.1 (by other
people, after the same specification) says the same about every log in the new format.
"""

from __future__ import annotations

import hashlib
import io
import struct
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from tests.command import Command, Judged
from tests.conftest import Corpus
from tests.hostile import Bytes, content, refuses
from tests.images import (
    GENERALIZED_OOBE,
    SETUP_KEY,
    SPECIALIZED_OOBE,
    STATE_KEY,
    UNDEPLOYABLE,
    Windows,
    generalized,
    hive_log,
    regf,
)
from tests.images.hive_log import DIRT, Entry, changed_pages, dirty, entry, marvin32, new_log, old_log
from tests.images.times import SHUT_DOWN, filetime
from tests.images.windows import hive_path
from validator.evidence import Effect, Layer, Unreadable
from validator.windows.hive import Hive
from validator.windows.hive_log import MAX_LOG, Recovery, recover
from validator.windows.hive_log import marvin32 as validators_marvin32

Image = Callable[..., Path]

SOFTWARE = "\\" + hive_path("SOFTWARE")
VERDICTS = {"good": ("deployable", 0), "bad": ("undeployable", 1)}
PAIRS = {"good": (UNDEPLOYABLE, GENERALIZED_OOBE), "bad": (GENERALIZED_OOBE, UNDEPLOYABLE)}


def in_state(state: str) -> Windows:
    """A generalized Windows in all but what its SOFTWARE hive says."""
    return generalized().software(STATE_KEY, ImageState=state)


@cache
def hive_of(state: str, keys: int = 0, size: int = 128) -> bytes:
    """The SOFTWARE hive of that Windows, with more keys."""
    windows = in_state(state)
    return (windows.bulk("SOFTWARE", "Classes", keys, size) if keys else windows).hive_bytes("SOFTWARE")


A, B, C = UNDEPLOYABLE, SPECIALIZED_OOBE, GENERALIZED_OOBE
"""The states of three hives: the primary file's, one in between, and the last; only C is deployable."""


def layer_of(judged: Judged, hive: str = "SOFTWARE") -> dict[str, Any]:
    """The layer of a hive."""
    (layer,) = [layer for layer in judged["layers"] if layer["kind"] == f"hive {hive}"]
    return dict(layer)


def state_of(judged: Judged) -> str:
    """ImageState as the report has it."""
    return str(judged["facts"]["setup_state"]["image_state"])


def with_files(files: hive_log.Dirty, hive: str = "SOFTWARE") -> Windows:
    """A generalized Windows with these files in place of a hive and its logs."""
    return generalized().with_hive_files(hive, files)


def apply(files: Mapping[str, bytes]) -> Recovery | None:
    """What the validator makes of a hive and its logs."""
    logs = [(name, Bytes(files[name])) for name in ("LOG", "LOG1", "LOG2") if name in files]
    return recover(Bytes(files[""]), logs)


def bins(hive: bytes) -> bytes:
    """The hive bins, as long as the base block says."""
    return hive[regf.BINS : regf.BINS + hive_log.bins_size(hive)]


# --- the fixture is what the specification says --------------------------------------------------


def test_marvin32() -> None:
    """The published vector, and two implementations that agree on every length of tail."""
    text = "Abcdefg".encode("utf-16-le")
    for hashed in (marvin32, validators_marvin32):
        value = hashed(text, 0x5D70D359C498B3F8)
        assert (value >> 32) ^ (value & 0xFFFFFFFF) == 0xBA627C81
    for length in range(70):
        data = bytes(at * 37 % 256 for at in range(length))
        assert marvin32(data) == validators_marvin32(data), length


def test_marvin32_of_windows(corpus: Corpus) -> None:
    """The hashes in a log that Windows 10 wrote."""
    log = corpus["hives/yarp/NewDirtyHive1/NewDirtyHive.LOG2"]
    size, _, sequence, _, _, hash_1, hash_2 = struct.unpack_from("<IIIIIQQ", log, 516)
    assert sequence == 3
    assert hash_1 == marvin32(log[512 + 40 : 512 + size])
    assert hash_2 == marvin32(log[512 : 512 + 32])


# --- by the whole command ------------------------------------------------------------------------


@pytest.mark.parametrize("plan", [None, DIRT], ids=["HvLE", "DIRT"])
@pytest.mark.parametrize("becomes", VERDICTS)
def test_a_log_changes_the_verdict(command: Command, image: Image, becomes: str, plan: str | None) -> None:
    """What waits in the log is what Windows will find: good or bad, and the report says it was recovered."""
    old, new = PAIRS[becomes]
    path = image(in_state(old).dirty_hive("SOFTWARE", in_state(new), plan=plan))
    judged = command.judge(path)
    assert judged.answer == VERDICTS[becomes], judged["summary"]
    assert state_of(judged) == new
    layer = layer_of(judged)
    assert layer["state"] == "recovered"
    assert f"{SOFTWARE}, offset 0x4: expected equal sequence numbers, found 11 and 10" in layer["detail"]
    assert "from SOFTWARE.LOG1 were applied in memory, up to sequence number 1" in layer["detail"]
    assert layer_of(judged, "SYSTEM")["state"] == "intact"
    for verb in ("inspect", "check"):
        text = " ".join(command(verb, path).stdout.split())
        assert "were applied in memory" in text
    assert f"ImageState {new}" in " ".join(command("inspect", path).stdout.split())
    assert f"hive SOFTWARE recovered: {SOFTWARE}" in " ".join(command("inspect", path).stdout.split())


@pytest.mark.parametrize("becomes", VERDICTS)
def test_a_log_of_the_system_hive(command: Command, image: Image, becomes: str) -> None:
    """The other hive that a verdict rests on."""
    armed, idle = generalized(), generalized().system(SETUP_KEY, SetupType=0, CmdLine="")
    old, new = (idle, armed) if becomes == "good" else (armed, idle)
    judged = command.judge(image(old.dirty_hive("SYSTEM", new)))
    assert judged.finding("setup-pending")["status"] == {"good": "passed", "bad": "failed"}[becomes]
    assert judged["verdict"] == VERDICTS[becomes][0]
    assert layer_of(judged, "SYSTEM")["state"] == "recovered"


NO_LOG: dict[str, Callable[[hive_log.Dirty], hive_log.Dirty]] = {
    "none": lambda files: {"": files[""]},
    "empty ones": lambda files: {"": files[""], "LOG": b"", "LOG1": b"", "LOG2": b""},
    "of zeros": lambda files: {"": files[""], "LOG1": bytes(8192)},
    "a base block only": lambda files: {"": files[""], "LOG1": files["LOG1"][:512]},
    "cut inside its entry": lambda files: {**files, "LOG1": files["LOG1"][:1536]},
    "a torn base block": lambda files: {**files, "LOG1": flipped(files["LOG1"], 40)},
    "a torn entry": lambda files: {**files, "LOG1": flipped(files["LOG1"], 600)},
    "under another name": lambda files: {"": files[""], "LOG3": files["LOG1"], "SAV": files["LOG1"]},
    "a primary file": lambda files: {"": files[""], "LOG1": files[""]},
    "of sequence numbers that differ": lambda files: {
        **files,
        "LOG1": hive_log.base_block(files["LOG1"], 10, 9, kind=6) + files["LOG1"][512:],
    },
    "of a file type that is none": lambda files: {
        **files,
        "LOG1": hive_log.base_block(files["LOG1"], 10, kind=5) + files["LOG1"][512:],
    },
}


def flipped(data: bytes, at: int) -> bytes:
    """The same with one bit turned."""
    return data[:at] + bytes([data[at] ^ 0x10]) + data[at + 1 :]


@pytest.mark.parametrize("plan", [None, DIRT], ids=["HvLE", "DIRT"])
@pytest.mark.parametrize("name", NO_LOG)
def test_a_dirty_hive_without_an_applicable_log_is_not_read(name: str, plan: str | None) -> None:
    """Neither what the primary file holds nor what may be in a log is believed."""
    files = dirty(hive_of(C), hive_of(A), plan=plan)
    if plan == DIRT and name == "a torn entry":
        files["LOG1"] = flipped(files["LOG1"], 512)
    else:
        files = NO_LOG[name](files)
    assert apply(files) is None
    logs = [
        Bytes(data, f"{SOFTWARE}.{ending}")
        for ending, data in files.items()
        if ending in ("LOG", "LOG1", "LOG2")
    ]
    evidence = refuses(lambda: Hive(Bytes(files[""]), logs), Layer.HIVE)  # type: ignore[arg-type]
    assert (evidence.effect, evidence.expected) == (Effect.LOST, "equal sequence numbers")


@pytest.mark.parametrize("name", ["none", "empty ones", "a torn entry"])
def test_a_dirty_hive_without_a_log_is_indeterminate(command: Command, image: Image, name: str) -> None:
    """By the whole command: exit code 3, and why."""
    files = NO_LOG[name](dirty(hive_of(C), hive_of(A)))
    judged = command.judge(image(with_files(files)))
    assert judged.answer == ("indeterminate", 3)
    assert layer_of(judged)["state"] == "damaged"
    assert "11 and 10: Windows was not shut down cleanly" in judged["summary"]


# --- the table of engine-hazards.md, section F3 --------------------------------------------------


def step(old: str, new: str, sequence: int) -> Entry:
    """The entry from one state to another."""
    return entry(hive_of(old), hive_of(new), sequence)


def logs(primary: bytes, **entries: list[Entry | bytes]) -> hive_log.Dirty:
    """A dirty primary file (11 and 10) and logs of these entries."""
    return {
        "": hive_log.with_sequence(primary, 11, 10),
        **{name: new_log(primary, steps) for name, steps in entries.items()},
    }


def clean_hive_and_newer_entries() -> hive_log.Dirty:
    return {**logs(hive_of(A), LOG1=[step(A, C, 10)]), "": hive_log.with_sequence(hive_of(A), 9)}


def one_entry() -> hive_log.Dirty:
    return logs(hive_of(A), LOG1=[step(A, B, 10)])


def stale_entry_behind_the_valid_one() -> hive_log.Dirty:
    return logs(hive_of(A), LOG1=[step(A, B, 10), step(B, C, 7)])


def same_number_twice() -> hive_log.Dirty:
    return logs(hive_of(A), LOG1=[step(A, B, 10), step(B, C, 10)])


def second_entry_with_a_wrong_hash_1() -> hive_log.Dirty:
    return logs(hive_of(A), LOG1=[step(A, B, 10), replace(step(B, C, 11), wrong_hash=1)])


def second_entry_with_a_wrong_hash_2() -> hive_log.Dirty:
    return logs(hive_of(A), LOG1=[step(A, B, 10), replace(step(B, C, 11), wrong_hash=2)])


def second_entry_torn_and_a_third() -> hive_log.Dirty:
    torn = flipped(step(B, C, 11).build(), 300)
    return logs(hive_of(A), LOG1=[step(A, B, 10), torn, step(B, C, 12)])


def second_entry_without_pages() -> hive_log.Dirty:
    return logs(hive_of(A), LOG1=[step(A, B, 10), replace(step(B, C, 11), pages=()), step(B, C, 12)])


def second_entry_of_an_odd_length_of_bins() -> hive_log.Dirty:
    odd = replace(step(B, C, 11), bins_size=hive_log.bins_size(hive_of(C)) + 512)
    return logs(hive_of(A), LOG1=[step(A, B, 10), odd])


def garbage_behind_the_entries() -> hive_log.Dirty:
    return logs(hive_of(A), LOG1=[step(A, B, 10), b"remn" * 256])


def only_stale_entries() -> hive_log.Dirty:
    return logs(hive_of(A), LOG1=[step(A, C, 8), step(C, C, 9)])


def first_entry_not_the_base_blocks() -> hive_log.Dirty:
    return {**logs(hive_of(A)), "LOG1": new_log(hive_of(A), [step(A, C, 11)], sequence=10)}


def log1_then_log2() -> hive_log.Dirty:
    return logs(hive_of(A), LOG1=[step(A, B, 10)], LOG2=[step(B, C, 11)])


def log2_then_log1() -> hive_log.Dirty:
    return logs(hive_of(A), LOG1=[step(B, C, 11)], LOG2=[step(A, B, 10)])


def gap_between_the_logs() -> hive_log.Dirty:
    return logs(hive_of(A), LOG1=[step(A, B, 10)], LOG2=[step(B, C, 13)])


def gap_before_the_first() -> hive_log.Dirty:
    """Normal after a partial reconciliation, as SYSTEM_B of the corpus has it."""
    return logs(hive_of(A), LOG1=[step(A, B, 300)], LOG2=[step(B, C, 301)])


def an_older_log_beside() -> hive_log.Dirty:
    return logs(hive_of(A), LOG1=[step(A, B, 10), step(B, C, 11)], LOG2=[step(A, A, 5), step(C, B, 6)])


def several_entries_in_both() -> hive_log.Dirty:
    steps = [step(A, B, 10), step(B, A, 11), step(A, B, 12), step(B, C, 13), step(C, B, 14), step(B, C, 15)]
    return logs(hive_of(A), LOG2=steps[:2], LOG1=steps[2:])


def one_log_of_windows_xp_name() -> hive_log.Dirty:
    return logs(hive_of(A), LOG=[step(A, B, 10), step(B, C, 11)])


def an_empty_log_beside_two() -> hive_log.Dirty:
    return {**log2_then_log1(), "LOG": b""}


def a_stale_log_beside_two() -> hive_log.Dirty:
    """LOG is there for old programs and holds what it held once; LOG1 and LOG2 are used."""
    return {**log2_then_log1(), "LOG": new_log(hive_of(A), [step(A, B, 3)])}


def numbers_that_wrap() -> hive_log.Dirty:
    files = logs(hive_of(A), LOG1=[step(A, B, 0xFFFFFFFF)], LOG2=[step(B, C, 0)])
    return {**files, "": hive_log.with_sequence(hive_of(A), 0, 0xFFFFFFFF)}


def numbers_that_wrap_inside_a_log() -> hive_log.Dirty:
    files = logs(hive_of(A), LOG1=[step(A, B, 0xFFFFFFFF), step(B, C, 0)])
    return {**files, "": hive_log.with_sequence(hive_of(A), 0, 0xFFFFFFFF)}


def the_hive_grows() -> hive_log.Dirty:
    return logs(hive_of(A), LOG1=[entry(hive_of(A), hive_of(C, 600), 10)])


def the_hive_grows_twice() -> hive_log.Dirty:
    first = entry(hive_of(A), hive_of(B, 300), 10)
    return logs(hive_of(A), LOG1=[first], LOG2=[entry(hive_of(B, 300), hive_of(C, 600), 11)])


def the_hive_grows_and_no_page_is_at_its_end() -> hive_log.Dirty:
    """The new bins are longer than the file; what no entry wrote is zero there."""
    more = replace(step(A, C, 10), bins_size=hive_log.bins_size(hive_of(C)) + 0x4000)
    return logs(hive_of(A), LOG1=[more])


def pages_of_512_bytes() -> hive_log.Dirty:
    pages = changed_pages(hive_of(A), hive_of(C), 512)
    return logs(hive_of(A), LOG1=[replace(step(A, C, 10), pages=pages)])


def bad_checksum(hive: bytes) -> bytes:
    """A base block that does not verify: its length of bins is another, and the checksum not."""
    return hive[:40] + struct.pack("<I", 4096) + hive[44:]


def bad_base_block_and_one_log() -> hive_log.Dirty:
    files = logs(hive_of(A), LOG1=[step(A, B, 10), step(B, C, 11)])
    return {**files, "": bad_checksum(files[""])}


def bad_base_block_and_two_logs() -> hive_log.Dirty:
    """Windows takes the newer log alone, whatever the older one holds."""
    primary = hive_of(A, 600)
    size = hive_log.bins_size(primary)
    older = Entry(10, size, ((size - 4096, b"\xee" * 4096),))
    files = logs(primary, LOG1=[older], LOG2=[entry(primary, hive_of(C, 600), 11)])
    return {**files, "": bad_checksum(files[""])}


def bad_base_block_and_two_logs_swapped() -> hive_log.Dirty:
    files = bad_base_block_and_two_logs()
    return {"": files[""], "LOG1": files["LOG2"], "LOG2": files["LOG1"]}


def no_signature_and_one_log() -> hive_log.Dirty:
    files = bad_base_block_and_one_log()
    return {**files, "": bytes(512) + files[""][512:]}


def dirt() -> hive_log.Dirty:
    return dirty(hive_of(A), hive_of(C), plan=DIRT)


def dirt_in_log() -> hive_log.Dirty:
    files = dirt()
    return {"": files[""], "LOG": files["LOG1"]}


def dirt_of_type_2() -> hive_log.Dirty:
    files = dirt()
    return {"": files[""], "LOG1": hive_log.base_block(files["LOG1"], 11, kind=2) + files["LOG1"][512:]}


def dirt_of_a_large_hive() -> hive_log.Dirty:
    """A vector of more than one sector: the pages do not begin at 1024."""
    large, larger = hive_of(A, 7000), hive_of(C, 7000)
    assert hive_log.bins_size(large) > 2_200_000
    return dirty(large, larger, plan=DIRT)


def dirt_that_grows() -> hive_log.Dirty:
    return dirty(hive_of(A), hive_of(C, 600), plan=DIRT)


def dirt_in_the_second_log() -> hive_log.Dirty:
    """LOG1 is of another time; the log that is used has the hive's."""
    files = dirt()
    then = filetime(SHUT_DOWN - timedelta(days=1))
    old = hive_log.base_block(old_log(hive_of(A), hive_of(B)), 9, kind=1, time=then)
    other = old + old_log(hive_of(A), hive_of(B))[512:]
    return {"": files[""], "LOG1": other, "LOG2": files["LOG1"]}


def dirt_and_a_bad_base_block() -> hive_log.Dirty:
    files = dirt()
    return {**files, "": bad_checksum(files[""])}


def dirt_and_no_base_block() -> hive_log.Dirty:
    """Nothing is left of it: the first bin has the time stamp."""
    files = dirt()
    hive = bytearray(bytes(512) + files[""][512:])
    struct.pack_into("<Q", hive, regf.BINS + 20, filetime(SHUT_DOWN))
    return {**files, "": bytes(hive)}


def dirt_of_another_time() -> hive_log.Dirty:
    files = dirt()
    then = filetime(SHUT_DOWN + timedelta(seconds=1))
    return {**files, "LOG1": hive_log.base_block(files["LOG1"], 11, kind=1, time=then) + files["LOG1"][512:]}


def dirt_of_another_time_and_a_bad_base_block() -> hive_log.Dirty:
    files = dirt_of_another_time()
    return {**files, "": bad_checksum(files[""])}


def dirt_with_a_page_too_few() -> hive_log.Dirty:
    files = dirt()
    return {**files, "LOG1": files["LOG1"][:-512]}


def dirt_without_a_page() -> hive_log.Dirty:
    files = dirt()
    return {**files, "LOG1": files["LOG1"][:516] + bytes(508)}


TABLE: dict[Callable[[], hive_log.Dirty], str | None] = {
    clean_hive_and_newer_entries: A,
    one_entry: B,
    stale_entry_behind_the_valid_one: B,
    same_number_twice: B,
    second_entry_with_a_wrong_hash_1: B,
    second_entry_with_a_wrong_hash_2: B,
    second_entry_torn_and_a_third: B,
    second_entry_without_pages: B,
    second_entry_of_an_odd_length_of_bins: B,
    garbage_behind_the_entries: B,
    only_stale_entries: None,
    first_entry_not_the_base_blocks: None,
    log1_then_log2: C,
    log2_then_log1: C,
    gap_between_the_logs: B,
    gap_before_the_first: C,
    an_older_log_beside: C,
    several_entries_in_both: C,
    one_log_of_windows_xp_name: C,
    an_empty_log_beside_two: C,
    a_stale_log_beside_two: C,
    numbers_that_wrap: C,
    numbers_that_wrap_inside_a_log: C,
    the_hive_grows: C,
    the_hive_grows_twice: C,
    the_hive_grows_and_no_page_is_at_its_end: C,
    pages_of_512_bytes: C,
    bad_base_block_and_one_log: C,
    bad_base_block_and_two_logs: C,
    bad_base_block_and_two_logs_swapped: C,
    no_signature_and_one_log: C,
    dirt: C,
    dirt_in_log: C,
    dirt_of_type_2: C,
    dirt_of_a_large_hive: C,
    dirt_that_grows: C,
    dirt_in_the_second_log: C,
    dirt_and_a_bad_base_block: C,
    dirt_and_no_base_block: C,
    dirt_of_another_time: None,
    dirt_of_another_time_and_a_bad_base_block: None,
    dirt_with_a_page_too_few: None,
    dirt_without_a_page: None,
}
"""What Windows makes of each, as the state that the hive has then; None where no log applies."""


def rows() -> pytest.MarkDecorator:
    """Every row of the table."""
    names = [make.__name__.replace("_", "-") for make in TABLE]
    return pytest.mark.parametrize(("make", "state"), TABLE.items(), ids=names)


@rows()
def test_the_table_by_the_whole_command(
    command: Command, image: Image, make: Callable[[], hive_log.Dirty], state: str | None
) -> None:
    """A good Windows but for this hive: deployable only where the last state is good and applies."""
    judged = command.judge(image(with_files(make())))
    layer = layer_of(judged)
    if state is None:
        assert judged.answer == ("indeterminate", 3)
        assert layer["state"] == "damaged"
        return
    assert state_of(judged) == state, layer["detail"]
    assert judged.answer == (("deployable", 0) if state == C else ("undeployable", 1))
    assert layer["state"] == ("intact" if make is clean_hive_and_newer_entries else "recovered")


@rows()
def test_the_table_by_its_bytes(make: Callable[[], hive_log.Dirty], state: str | None) -> None:
    """The recovered bins are those of the hive in that state, byte for byte, and the base block is clean."""
    if make is clean_hive_and_newer_entries:
        return
    files = make()
    recovery = apply(files)
    if state is None:
        assert recovery is None
        return
    assert recovery is not None
    hive = content(recovery.view)
    keys = {
        the_hive_grows: 600,
        the_hive_grows_twice: 600,
        bad_base_block_and_two_logs: 600,
        bad_base_block_and_two_logs_swapped: 600,
        dirt_that_grows: 600,
        dirt_of_a_large_hive: 7000,
    }
    wanted = hive_of(state, keys.get(make, 0))
    if make is the_hive_grows_and_no_page_is_at_its_end:
        wanted = (
            wanted[:40] + struct.pack("<I", hive_log.bins_size(wanted) + 0x4000) + wanted[44:] + bytes(0x4000)
        )
    assert bins(hive) == bins(wanted)
    assert len(hive) >= regf.BINS + len(bins(hive))
    primary, secondary = struct.unpack_from("<II", hive, 4)
    assert primary == secondary == recovery.sequence
    assert hive_log.base_block(hive, primary) == hive[:512]
    assert (
        hive[44 + 4 : 508] == files[""][48:508] or make is no_signature_and_one_log or "dirt" in make.__name__
    )


def test_the_flags_of_the_last_entry_are_the_hives() -> None:
    """Bit 0 of the flags at 144 is taken over."""
    entries: list[Entry | bytes] = [replace(step(A, B, 10), flags=0), replace(step(B, C, 11), flags=1)]
    recovery = apply(logs(hive_of(A), LOG1=entries))
    assert recovery is not None
    assert recovery.view.read_at(144, 4) == b"\1\0\0\0"


def test_what_is_told_of_a_recovery() -> None:
    """Entries, pages, logs in the order in which they were applied, the last number."""
    recovery = apply(several_entries_in_both())
    assert recovery is not None
    pages = sum(len(step(*pair, 0).pages) for pair in ((A, B), (B, A), (A, B), (B, C), (C, B), (B, C)))
    assert recovery[1:] == (6, pages, 15, ("LOG2", "LOG1"))


PAGES: dict[str, tuple[tuple[int, bytes], ...]] = {
    "behind the bins": ((1 << 30, bytes(4096)),),
    "over their end": ((-4096, bytes(8192)),),
    "between sectors": ((100, bytes(512)),),
    "of an odd length": ((0, bytes(100)),),
    "of no length": ((0, b""),),
}


@pytest.mark.parametrize("name", PAGES)
def test_pages_that_cannot_be(name: str) -> None:
    """With right hashes: the entry is none, and recovery stops before it."""
    size = hive_log.bins_size(hive_of(C))
    pages = tuple((at if at >= 0 else size + at, data) for at, data in PAGES[name])
    wrong = replace(step(B, C, 11), pages=(*step(B, C, 11).pages, *pages))
    recovery = apply(logs(hive_of(A), LOG1=[step(A, B, 10), wrong]))
    assert recovery is not None
    assert (recovery.entries, recovery.sequence) == (1, 10)
    assert bins(content(recovery.view)) == bins(hive_of(B))


def test_every_byte_of_an_entry_counts() -> None:
    """One bit turned anywhere in the second entry, its padding too: only the first is applied."""
    first, second = step(A, B, 10), step(B, C, 11)
    log = new_log(hive_of(A), [first, second])
    start, end = 512 + len(first.build()), len(log)
    for at in [*range(start, start + 60), *range(start + 60, end, 97), end - 1]:
        files = {"": hive_log.with_sequence(hive_of(A), 11, 10), "LOG1": flipped(log, at)}
        recovery = apply(files)
        assert recovery is not None, at
        assert (recovery.entries, recovery.sequence) == (1, 10), at


def test_the_files_are_only_read(command: Command, image: Image) -> None:
    """`Command` proves it after every run; here once more, for the hive in the image."""
    path = image(in_state(A).dirty_hive("SOFTWARE", in_state(C)))
    before = path.read_bytes()
    command.judge(path)
    assert path.read_bytes() == before


def test_recovery_is_bounded(command: Command, image: Image) -> None:
    """A log that is too long is not looked at, so that the hive is not read."""
    files = logs(hive_of(A), LOG1=[step(A, C, 10)])
    huge = Bytes(files["LOG1"])

    class Long:
        size = MAX_LOG + 512

        def read_at(self, offset: int, length: int) -> bytes:
            raise AssertionError("it was looked at")

    assert recover(Bytes(files[""]), [("LOG1", Long())]) is None
    assert recover(Bytes(files[""]), [("LOG1", huge), ("LOG2", Long())]) is not None


def test_a_log_that_cannot_be_read_is_damage() -> None:
    """A fault below the log is told, not taken for a log that is not there."""
    files = logs(hive_of(A), LOG1=[step(A, C, 10)])

    class Torn(Bytes):
        def read_at(self, offset: int, length: int) -> bytes:
            if offset + length > 1024:
                raise Unreadable(refuses(lambda: Bytes(b"").read_at(1, 1)))
            return super().read_at(offset, length)

    refuses(lambda: recover(Bytes(files[""]), [("LOG1", Torn(files["LOG1"]))]))


def test_only_logs_beside_the_hive_count(command: Command, image: Image) -> None:
    """Those of RegBack, of another hive or of another folder are not its logs."""
    files = logs(hive_of(A), LOG1=[step(A, C, 10)])
    windows = with_files({"": files[""]})
    for folder in (
        "Windows\\System32\\config\\RegBack",
        "Windows\\System32",
        "Windows\\System32\\config\\TxR",
    ):
        windows = windows.file(f"{folder}\\SOFTWARE.LOG1", files["LOG1"])
    windows = windows.file("Windows\\System32\\config\\SYSTEM.LOG1", files["LOG1"])
    assert command.judge(image(windows)).answer == ("indeterminate", 3)


def test_case_of_the_logs_names(command: Command, image: Image) -> None:
    """Names in NTFS have no case."""
    files = logs(hive_of(A), LOG1=[step(A, C, 10)])
    windows = with_files({"": files[""]}).file("Windows\\System32\\config\\software.log1", files["LOG1"])
    assert command.judge(image(windows)).answer == ("deployable", 0)


# --- an independent oracle -----------------------------------------------------------------------


@pytest.fixture(scope="session")
def oracle() -> Any:
    """python-registry 1.3.1, an optional dependency of the tests."""
    reason = "python-registry is not installed: pip install python-registry==1.3.1"
    return pytest.importorskip("Registry.RegistryLog", reason=reason)


def by_oracle(library: Any, files: Mapping[str, bytes]) -> bytes | None:
    """What python-registry makes of a dirty hive; the caller orders the logs and chooses eligible ones."""
    from Registry.RegistryParse import NotSupportedException, ParseException, RegistryException

    primary = io.BytesIO(files[""])
    eligible = []
    for name in ("LOG", "LOG1", "LOG2"):
        if len(files.get(name, b"")) > 512:
            primary.seek(0)
            try:
                log = library.RegistryLog(primary, io.BytesIO(files[name]))
            except (NotSupportedException, ParseException, RegistryException):
                continue
            if log.is_eligible_log():
                eligible.append(log)
    if len(eligible) == 2 and not eligible[0].is_starting_log(eligible[1]):
        eligible.reverse()
    if not eligible:
        return None
    intact = hive_log.base_block(files[""], *struct.unpack_from("<II", files[""], 4)) == files[""][:512]
    if not intact:
        eligible = eligible[-1:]
    last = None
    for log in eligible:
        primary.seek(0)
        log.reload_primary_regf()
        try:
            last = log.recover_hive() if last is None else log.recover_hive_continue((last + 1) % (1 << 32))
        except UnboundLocalError:  # no valid entry
            last = None
        if last is None:
            break
    return primary.getvalue()


ASKED = [
    make
    for make, state in TABLE.items()
    if state is not None and "dirt" not in make.__name__ and make is not clean_hive_and_newer_entries
]
NOT_ASKED = {
    no_signature_and_one_log: "it refuses a file without signature",
    numbers_that_wrap: "it compares sequence numbers as they are to find eligible logs",
    second_entry_without_pages: "it goes on behind an entry without pages, where yarp stops",
}


@pytest.mark.parametrize(
    "make", [make for make in ASKED if make not in NOT_ASKED], ids=lambda make: make.__name__
)
def test_python_registry_says_the_same(oracle: Any, make: Callable[[], hive_log.Dirty]) -> None:
    """Byte for byte over the hive bins, for every row in the new format."""
    files = make()
    recovery = apply(files)
    theirs = by_oracle(oracle, files)
    assert recovery is not None
    assert theirs is not None
    ours = content(recovery.view)
    assert hive_log.bins_size(ours) == hive_log.bins_size(theirs)
    assert bins(ours)[: len(bins(theirs))] == bins(theirs)
    assert struct.unpack_from("<II", ours, 4) == struct.unpack_from("<II", theirs, 4)


# --- the corpus ----------------------------------------------------------------------------------

CORPUS: dict[str, tuple[str, tuple[str, ...], int, int, int, str]] = {
    "OldDirtyHive": (
        "hives/yarp/OldDirtyHive/OldDirtyHive", ("LOG1",), 1, 5003, 1,
        "23c97d7cc7947d32b5b7dc7a3761bc1191e6d5b84797a53dea08084d4cb2b56f",
    ),
    "BadBaseBlockHive": (
        "hives/yarp/BadBaseBlockHive/BadBaseBlockHive", ("LOG1",), 1, 5003, 1,
        "23c97d7cc7947d32b5b7dc7a3761bc1191e6d5b84797a53dea08084d4cb2b56f",
    ),
    "NewDirtyHive1": (
        "hives/yarp/NewDirtyHive1/NewDirtyHive", ("LOG1", "LOG2"), 4, 5, 1,
        "d762fa532cd95f274afb9277ca269d9a4f711b34a3734898b060382d5bea9237",
    ),
    "SYSTEM_B": (
        "hives/windows/SYSTEM_B.xz", ("LOG1", "LOG2"), 24, 35595, 78901,
        "b6e091176b3d00b7b97efdeaeef519b1adfbaa5f6d8118d5c44fa2dcfeb5029a",
    ),
    "Amcache-win10": (
        "hives/amcache/win10/Amcache.hve.xz", ("LOG1", "LOG2"), 4, 471, 10961,
        "dbccb73773e3270a452b05729eae11ee9db6ee7ab0896ea53249ce05cb112ad2",
    ),
}  # fmt: skip
"""Hive, the logs that are applied in their order, entries, keys, values, SHA-256 of the bins after it."""


def corpus_files(corpus: Corpus, path: str) -> hive_log.Dirty:
    """A hive of the corpus with the logs beside it."""
    name, packed = path.removesuffix(".xz"), ".xz" if path.endswith(".xz") else ""
    return {"": corpus[path], **{ending: corpus[f"{name}.{ending}{packed}"] for ending in ("LOG1", "LOG2")}}


def tree(hive: bytes) -> Iterator[tuple[str, Any, tuple[tuple[str, int, bytes], ...]]]:
    """Path, time and values of every key, as dissect.regf reads them."""
    from dissect.regf.regf import RegistryHive

    def walk(key: Any, path: str) -> Iterator[Any]:
        values = tuple(sorted((value.name, int(value.type), bytes(value.data)) for value in key.values()))
        yield path, key.timestamp, values
        for child in key.subkeys():
            yield from walk(child, f"{path}\\{child.name}")

    yield from walk(RegistryHive(io.BytesIO(hive)).root(), "")


@pytest.mark.parametrize("name", CORPUS)
def test_dirty_hives_of_windows(name: str, corpus: Corpus) -> None:
    """What two other readers found after replay: entries, logs, the bins' SHA-256."""
    path, names, entries, _, _, digest = CORPUS[name]
    recovery = apply(corpus_files(corpus, path))
    assert recovery is not None
    assert (recovery.entries, recovery.logs) == (entries, names)
    hive = content(recovery.view)
    assert hashlib.sha256(bins(hive)).hexdigest() == digest
    Hive(Bytes(hive))  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["OldDirtyHive", "BadBaseBlockHive", "NewDirtyHive1", "Amcache-win10"])
def test_keys_and_values_after_replay(name: str, corpus: Corpus) -> None:
    """Counted by another reader over our recovered view."""
    path, _, _, keys, values, _ = CORPUS[name]
    recovery = apply(corpus_files(corpus, path))
    assert recovery is not None
    found = list(tree(content(recovery.view)))
    assert (len(found), sum(len(each[2]) for each in found)) == (keys, values)


@pytest.mark.parametrize(
    ("name", "by_windows"),
    [("OldDirtyHive", "RecoveredHive_Windows7"), ("NewDirtyHive1", "RecoveredHive_Windows10")],
)
def test_windows_recovered_the_same(name: str, by_windows: str, corpus: Corpus) -> None:
    """Key by key, value by value, time by time: our view and the hive that Windows itself recovered."""
    recovery = apply(corpus_files(corpus, CORPUS[name][0]))
    assert recovery is not None
    ours, theirs = list(tree(content(recovery.view))), list(tree(corpus[f"hives/yarp/{name}/{by_windows}"]))
    assert [each[::2] for each in ours] == [each[::2] for each in theirs]
    assert [each[:2] for each in ours] == [each[:2] for each in theirs]


def test_what_the_log_holds_is_found(corpus: Corpus) -> None:
    """By our own walk too: a key that is gone, a key and a value that only the log has."""
    files = corpus_files(corpus, CORPUS["OldDirtyHive"][0])
    hive = Hive(Bytes(files[""]), [Bytes(files["LOG1"], "x\\OldDirtyHive.LOG1")])  # type: ignore[arg-type]
    assert hive.recovered[0].effect is Effect.RECOVERED
    assert hive.key(r"key_with_many_subkeys\1") is None
    assert hive.key(r"key_with_many_subkeys\5000\find_me_in_log") is not None
    value = hive.value(r"key_with_many_subkeys\4500", "v")
    assert value is not None
    assert value.type_name == "REG_MULTI_SZ"


@pytest.mark.parametrize("name", ["BadLogHive1/BadLogHive"])
def test_a_bad_log_of_the_corpus_is_not_applied(name: str, corpus: Corpus) -> None:
    """Its base block fails its checksum."""
    assert apply(corpus_files(corpus, f"hives/yarp/{name}")) is None


def test_a_clean_hive_of_the_corpus_keeps_its_bins(corpus: Corpus) -> None:
    """Its logs are older, and it is clean: nothing is applied."""
    files = corpus_files(corpus, "hives/amcache/win2012r2-stale-logs/Amcache.hve.xz")
    hive = Hive(Bytes(files[""]), [Bytes(files[name], f"x\\{name}") for name in ("LOG1", "LOG2")])  # type: ignore[arg-type]
    assert hive.recovered == ()
    assert hashlib.sha256(bins(files[""])).hexdigest() == (
        "c989fc83b9bf017e0212316ba6b3835ca5426b2096da77fc47f06507b32ee5e0"
    )
    assert len(list(tree(files[""]))) == 492


def test_the_largest_hive_of_the_corpus_in_an_image(command: Command, image: Image, corpus: Corpus) -> None:
    """SYSTEM_B with 6 MB of logs as the SYSTEM hive: read as Windows would, within the time."""
    files = corpus_files(corpus, CORPUS["SYSTEM_B"][0])
    judged = command.judge(image(with_files(files, "SYSTEM")))
    layer = layer_of(judged, "SYSTEM")
    assert layer["state"] == "recovered"
    assert "24 entries" in layer["detail"]
    assert "from SYSTEM.LOG1, SYSTEM.LOG2" in layer["detail"]
    assert "up to sequence number 2130" in layer["detail"]
    state = judged["facts"]["setup_state"]
    assert (state["setup_type"], state["command_line"], state["generalization_state"]) == (0, "", 7)
    assert judged.answer == ("undeployable", 1)
    assert judged["duration_ms"] < 5_000


def test_python_registry_on_the_corpus(oracle: Any, corpus: Corpus) -> None:
    """The oracle agrees on hives of Windows as well."""
    files = corpus_files(corpus, CORPUS["NewDirtyHive1"][0])
    theirs = by_oracle(oracle, files)
    assert theirs is not None
    assert hashlib.sha256(bins(theirs)).hexdigest() == CORPUS["NewDirtyHive1"][-1]
