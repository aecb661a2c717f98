r"""How a volume was left (dirty, log, hibernation), $MFTMirr, and hives in every form that NTFS has.

Each image is judged by the whole command, and as its twin with an undeployable Windows: what is mended
or unpacked must give the answer that lies in the image.
"""

from __future__ import annotations

import struct
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests import mft
from tests.command import ROOT, Command, Judged
from tests.conftest import Corpus
from tests.hostile import (
    Bytes,
    Damage,
    MiB,
    content,
    every,
    expect_deployable,
    expect_refused,
    flip,
    need,
    open_source,
    put,
    refuses,
    small_disk,
)
from tests.images import (
    Disk,
    FixedVhd,
    Ntfs,
    Vhdx,
    Windows,
    build,
    copy_of,
    damage,
    generalized,
    installed,
    undeployable,
    wim_applied,
)
from tests.test_conformance import check_decoder
from tests.test_ntfs import (
    CONFIG,
    SIZE,
    SOFTWARE,
    START,
    STATE_INI,
    edited,
    every_node,
    fragmented_master,
    printed_by_dissect,
    printed_by_ntfscat,
    torn,
    volume_in,
)
from validator import validate
from validator.checks.model import Status
from validator.disk.ntfs import MAX_EXTENSIONS, MAX_RUNS, NtfsVolume
from validator.disk.ntfs_state import read_dirty_flag, read_hibernation_file, read_log_state
from validator.evidence import Effect, Layer
from validator.judging import Verdict

LOG, VOLUME = "$logfile", "$volume"
FILE_SYSTEM = Layer.FILE_SYSTEM
HIBERNATION_FILE = "hiberfil.sys"
CHECKS = ("hibernated", "volume-dirty")
GOOD, BAD = ("deployable", 0), ("undeployable", 1)
UNDECIDED = ("indeterminate", 3)
TWINS: dict[str, tuple[Callable[[], Windows], tuple[str, int]]] = {
    "good": (generalized, GOOD),
    "bad": (undeployable, BAD),
}
twins = pytest.mark.parametrize("twin", TWINS)


def made(directory: Path, windows: Windows, *changes: Damage, size: int | None = None) -> Path:
    """A changed copy of a disk with one NTFS volume; with `size` it has free clusters."""
    disk = Disk((Ntfs(windows, active=True, size=size),), "mbr") if size else small_disk(windows)
    target = copy_of(build(disk, FixedVhd()), directory)
    every(*changes)(target)
    return target


def told(judged: Judged) -> tuple[str, str]:
    """What the two checks say."""
    one, other = (judged.finding(check)["status"] for check in CHECKS)
    return one, other


def layer(judged: Judged, kind: str = "file system") -> dict[str, Any]:
    """One layer of a report."""
    (found,) = [each for each in judged["layers"] if each["kind"] == kind]
    return dict(found)


# --- clean ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("container", ["vhd-fixed", "vhdx-dynamic"])
@pytest.mark.parametrize("scheme", ["mbr", "gpt"])
@pytest.mark.parametrize("windows", [generalized, installed, undeployable, wim_applied])
def test_what_the_factory_makes_is_clean(
    windows: Callable[[], Windows],
    scheme: str,
    container: str,
    image: Callable[..., Path],
    command: Command,
) -> None:
    """Neither check says a word about a healthy volume."""
    judged = command.judge(image(windows(), container, scheme=scheme))
    assert told(judged) == ("passed", "passed")
    assert layer(judged)["state"] == "intact"


@pytest.mark.parametrize(
    ("name", "start", "found"),
    [
        ("raw/ntfs-charlie.dd.bz2", 0, "version 1.1, flags 0x0002"),
        ("containers/vhdx/gpt-ntfs-5M.vhdx.xz", 65536, "version 1.1, flags 0x0002"),
        ("containers/qcow2/windows_volume.qcow2.xz", 0, "empty"),
    ],
)
def test_volumes_that_windows_left_are_clean(
    name: str, start: int, found: str, corpus: Corpus, tmp_path: Path
) -> None:
    """A client is still in use there: it is the flag that says that the volume was let go of."""
    image, raw = tmp_path / "image", tmp_path / "raw"
    image.write_bytes(corpus[name])
    subprocess.run([need("qemu-img"), "convert", "-O", "raw", image, raw], check=True)
    volume = NtfsVolume(Bytes(raw.read_bytes()[start:]), 1)
    assert volume.recovered == ()
    assert not read_dirty_flag(volume).dirty
    assert read_hibernation_file(volume) is None
    state = read_log_state(volume)
    assert state.clean
    assert found in state.found


# --- the dirty flag ------------------------------------------------------------------------------


def information(flags: int) -> Damage:
    """Set the flags of $VOLUME_INFORMATION, in the record only: its copy is written later."""
    return edited(VOLUME, lambda data: struct.pack_into("<H", data, mft.find(data, 0x70).at + 24 + 10, flags))


@twins
def test_a_dirty_volume_is_a_warning(twin: str, tmp_path: Path, command: Command) -> None:
    """The verdict stands, since every record that it rests on verifies."""
    windows, answer = TWINS[twin]
    image = made(tmp_path, windows(), information(0x0001))
    judged = command.judge(image)
    assert judged.answer == answer
    assert told(judged) == ("passed", "failed")
    finding = judged.finding("volume-dirty")
    assert finding["severity"] == "warning"
    assert "dirty" in finding["evidence"][0]["found"]
    assert finding["evidence"][0]["path"] == "$Volume"
    assert "chkdsk C: /f" in finding["remedy"]["commands"]
    assert layer(judged)["state"] == "intact"
    assert command.judge(image, "--fail-on", "warning").code == 1


@pytest.mark.parametrize("flags", [0x0080, 0x8000, 0x4002])
def test_other_flags_are_not_the_dirty_flag(flags: int, tmp_path: Path, command: Command) -> None:
    """Windows 10 sets 0x80 on every volume."""
    assert told(command.judge(made(tmp_path, generalized(), information(flags)))) == ("passed", "passed")


def test_a_dirty_volume_beside_windows_is_named(tmp_path: Path, command: Command) -> None:
    """By its partition; it is checked at the next start all the same."""
    image = copy_of(build(generalized(), "vhd-fixed", scheme="mbr"), tmp_path)
    information(1)(image)  # the first volume, from which the machine starts
    judged = command.judge(image)
    assert judged.answer == GOOD
    assert "(partition 1)" in judged.finding("volume-dirty")["message"]


def test_a_volume_record_that_is_lost_twice_leaves_it_open(tmp_path: Path, command: Command) -> None:
    """The flag is unknown; the verdict does not rest on it."""
    judged = command.judge(made(tmp_path, generalized(), torn(VOLUME), torn_mirror(3)))
    assert judged.answer == GOOD
    assert told(judged) == ("passed", "unknown")


# --- the log -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Restart:
    """A restart page of $LogFile."""

    flags: int = 0x0002
    client: int = 0
    number: int = 1_590_293
    version: tuple[int, int] = (1, 1)
    size: int = 4096
    signature: bytes = b"RSTR"
    torn: bool = False

    def page(self) -> bytes:
        """As Windows writes it."""
        page = bytearray(self.size)
        count = self.size // 512 + 1
        area = -(-(30 + 2 * count) // 8) * 8
        chkdsk = self.number if self.signature == b"CHKD" else 0
        struct.pack_into("<4sHHQIIHhh", page, 0, self.signature, 30, count, chkdsk, self.size, 4096, area,
                         self.version[1], self.version[0])  # fmt: skip
        number = 0 if self.signature == b"CHKD" else self.number
        struct.pack_into("<QHHHHIHHQ", page, area, number, 1, 0xFFFF, self.client, self.flags, 45, 224, 64,
                         2 * MiB)  # fmt: skip
        page[30:32] = b"\x07\0"
        fixed = bytearray(mft.fixed(page))
        fixed[-1] ^= self.torn
        return bytes(fixed)


def log(*pages: Restart | bytes, fill: bytes = b"\xff") -> Damage:
    """Put restart pages into $LogFile, and something behind them."""

    def change(path: Path) -> None:
        data = b"".join(page if isinstance(page, bytes) else page.page() for page in pages)
        damage.overwrite(path, mft.Volume(path, START).content_offset(LOG), data.ljust(2 * MiB, fill))

    return change


CLEAN, OPEN = Restart(), Restart(flags=0)
NEWER = 1_600_000
LOGS: dict[str, tuple[Damage, bool]] = {
    "of-windows": (log(CLEAN, CLEAN), True),
    "no-client": (log(Restart(flags=0, client=0xFFFF), Restart(flags=0, client=0xFFFF)), True),
    "version-1.0": (log(Restart(version=(1, 0)), Restart(version=(1, 0))), True),
    "of-chkdsk": (log(Restart(signature=b"CHKD", client=0xFFFF, flags=0)), True),
    "pages-of-8-KiB": (log(Restart(size=8192), Restart(size=8192)), True),
    "pages-of-64-KiB": (log(Restart(size=65536), Restart(size=65536)), True),
    "one-page": (log(CLEAN), True),
    "first-torn": (log(Restart(torn=True, flags=0), CLEAN), True),
    "first-lost": (log(bytes(4096), CLEAN), True),
    "second-torn": (log(CLEAN, Restart(torn=True, flags=0, number=NEWER)), True),
    "second-newer-and-clean": (log(OPEN, Restart(number=NEWER)), True),
    "second-older-and-open": (log(Restart(number=NEWER), OPEN), True),
    "open": (log(OPEN, OPEN), False),
    "open-pages-of-64-KiB": (log(bytes(65536), Restart(size=65536, flags=0)), False),
    "other-flags": (log(Restart(flags=0x0001), Restart(flags=0x0001)), False),
    "second-newer-and-open": (log(CLEAN, Restart(flags=0, number=NEWER)), False),
    "second-older-and-clean": (log(Restart(flags=0, number=NEWER), CLEAN), False),
    "in-windows-cache": (log(Restart(version=(2, 0)), Restart(version=(2, 0))), False),
    "unknown-version": (log(Restart(version=(3, 0)), Restart(version=(3, 0))), False),
    "both-torn": (log(Restart(torn=True), Restart(torn=True)), False),
    "zeros": (log(b"", fill=b"\0"), False),
    "restart-pages-emptied": (log(b"\xff" * 8192, b"RCRD", fill=b"\0"), False),
    "garbage": (log(b"RSTR" * 4096), False),
    "page-of-another-place": (log(b"\xff" * 4096, Restart(size=8192)), False),
}


@pytest.mark.parametrize("name", LOGS)
@twins
def test_logs(twin: str, name: str, tmp_path: Path, command: Command) -> None:
    """The newer page that verifies decides; a log that was not closed is a warning and no more."""
    windows, answer = TWINS[twin]
    change, clean = LOGS[name]
    judged = command.judge(made(tmp_path, windows(), change))
    assert judged.answer == answer
    assert told(judged) == ("passed", "passed" if clean else "failed")
    if not clean:
        (evidence,) = judged.finding("volume-dirty")["evidence"]
        assert (evidence["path"], evidence["expected"]) == ("$LogFile", "a log that was closed")


def test_both_faults_are_told(tmp_path: Path, command: Command) -> None:
    """The flag and the log, as after a power failure."""
    judged = command.judge(made(tmp_path, generalized(), information(1), log(OPEN, OPEN)))
    paths = [evidence["path"] for evidence in judged.finding("volume-dirty")["evidence"]]
    assert paths == ["$Volume", "$LogFile"]
    state = judged["facts"]["volume_state"]
    assert state == {"partition": 1, "dirty": True, "log_clean": False, "hibernated": False}


def test_a_log_record_that_is_lost_twice_leaves_it_open(tmp_path: Path, command: Command) -> None:
    """Unknown, and the verdict does not rest on it."""
    judged = command.judge(made(tmp_path, generalized(), torn(LOG), torn_mirror(2)))
    assert judged.answer == GOOD
    assert told(judged) == ("passed", "unknown")


# --- hibernation ---------------------------------------------------------------------------------


def with_hibernation(windows: Windows, data: bytes, name: str = HIBERNATION_FILE) -> Windows:
    """A Windows with a hibernation file at the root of its volume."""
    return windows.file(name, data)


@pytest.mark.parametrize("size", [4, 300, 20_000])
@pytest.mark.parametrize("signature", [b"HIBR", b"hibr"])
@twins
def test_a_suspended_machine_is_undecided(
    twin: str, signature: bytes, size: int, tmp_path: Path, command: Command
) -> None:
    """Whatever its disk says: all of it is unknown. The warning says what to do."""
    windows = with_hibernation(TWINS[twin][0](), signature.ljust(size, b"\0"))
    judged = command.judge(made(tmp_path, windows))
    assert judged.answer == UNDECIDED
    assert told(judged) == ("failed", "unknown")
    finding = judged.finding("hibernated")
    assert finding["severity"] == "warning"
    assert "powercfg /h off" in finding["remedy"]["commands"]
    (evidence,) = finding["evidence"]
    assert (evidence["path"], evidence["partition"]) == (rf"\{HIBERNATION_FILE}", 1)
    assert evidence["found"].startswith(f"{signature.decode()}: the machine is suspended")
    assert "its disk is not its whole state" in judged["summary"]
    state = judged["facts"]["volume_state"]
    assert state == {"partition": 1, "dirty": False, "log_clean": True, "hibernated": True}
    unknown = {each["check"] for each in judged["findings"] if each["status"] == "unknown"}
    assert {"image-state", "evidence-agrees", "setup-pending", "sysprep-tag", "volume-dirty"} <= unknown
    assert layer(judged)["state"] == "damaged"
    assert [each for each in judged["layers"] if each["kind"].startswith("hive")] == []


USED_UP = {
    "WAKE": b"WAKE",
    "wake": b"wake",
    "RSTR": b"RSTR",
    "rstr": b"rstr",
    "zeros": bytes(8192),
    "another-case": b"Hibr",
    "later-in-the-file": b"\0\0\0\0HIBR",
    "three-letters": b"HIB",
    "one-byte": b"H",
    "empty": b"",
    "control-characters": b"\x1b[2J" * 2000,
}


@pytest.mark.parametrize("name", USED_UP)
@twins
def test_a_hibernation_file_that_was_used_up_means_nothing(
    twin: str, name: str, tmp_path: Path, command: Command
) -> None:
    """It stays on the disk of every machine that may hibernate."""
    windows, answer = TWINS[twin]
    judged = command.judge(made(tmp_path, with_hibernation(windows(), USED_UP[name])))
    assert judged.answer == answer
    assert told(judged) == ("passed", "passed")
    assert len(judged.finding("hibernated")["evidence"]) == 1


def test_the_case_of_its_name_does_not_matter(tmp_path: Path, command: Command) -> None:
    """NTFS looks names up without it."""
    windows = with_hibernation(generalized(), b"HIBR", "HiberFil.SYS")
    assert command.judge(made(tmp_path, windows)).answer == UNDECIDED


@pytest.mark.parametrize("path", [r"Windows\hiberfil.sys", r"Windows.old\hiberfil.sys", "hiberfil.sys.bak"])
def test_only_the_one_at_the_root_counts(path: str, tmp_path: Path, command: Command) -> None:
    """Windows looks nowhere else."""
    judged = command.judge(made(tmp_path, with_hibernation(generalized(), b"HIBR", path)))
    assert judged.answer == GOOD
    assert told(judged) == ("passed", "passed")


def test_a_folder_of_its_name_is_none(tmp_path: Path, command: Command) -> None:
    """Some make one to keep Windows from hibernating."""
    windows = with_hibernation(generalized(), b"HIBR", rf"{HIBERNATION_FILE}\file")
    assert command.judge(made(tmp_path, windows)).answer == GOOD


@pytest.mark.parametrize("change", [torn(HIBERNATION_FILE), torn("")], ids=["record", "root"])
def test_a_hibernation_file_that_cannot_be_read_is_doubt(change: Damage, tmp_path: Path) -> None:
    """It may be one to resume from."""
    image = made(tmp_path, with_hibernation(generalized(), b"WAKE" * 2000), change)
    expect_refused(image, FILE_SYSTEM, "update sequence")


def test_one_on_a_volume_beside_windows_is_a_warning(tmp_path: Path, command: Command) -> None:
    """Windows keeps its own beside itself: this one is of another system."""
    data = Ntfs(files={HIBERNATION_FILE: b"HIBR" * 2000}, label="Data")
    for index, volumes in enumerate(((data, Ntfs(generalized())), (Ntfs(generalized()), data))):
        judged = command.judge(copy_of(build(Disk(volumes), FixedVhd()), tmp_path, f"{index}.vhd"))
        assert judged.answer == GOOD
        assert told(judged) == ("failed", "unknown")
        assert f"(partition {index + 1 if not index else 2})" in judged.finding("hibernated")["message"]
        assert "beside Windows" in judged.finding("hibernated")["message"]


def test_one_of_two_installations_is_suspended(tmp_path: Path, command: Command) -> None:
    """Nothing says which one starts."""
    suspended = with_hibernation(generalized(), b"HIBR")
    disk = Disk((Ntfs(generalized()), Ntfs(suspended)))
    assert command.judge(copy_of(build(disk, FixedVhd()), tmp_path)).answer == UNDECIDED


def test_a_suspended_installation_does_not_hide_a_bad_one(tmp_path: Path, command: Command) -> None:
    """Which would not make the disk good either."""
    suspended = with_hibernation(generalized(), b"HIBR")
    disk = Disk((Ntfs(undeployable()), Ntfs(suspended)))
    assert command.judge(copy_of(build(disk, FixedVhd()), tmp_path)).answer == UNDECIDED


def test_a_dirty_volume_beside_a_suspended_one_is_told(tmp_path: Path, command: Command) -> None:
    """What is known is said."""
    data = Ntfs(files={HIBERNATION_FILE: b"HIBR"}, label="Data")
    image = copy_of(build(Disk((Ntfs(generalized()), data)), FixedVhd()), tmp_path)
    information(1)(image)
    judged = command.judge(image)
    assert told(judged) == ("failed", "failed")
    assert "(partition 1)" in judged.finding("volume-dirty")["message"]


# --- $MFTMirr ------------------------------------------------------------------------------------

RECORDS = ("$mft", "$mftmirr", LOG, VOLUME)


def at_record(number: int, *, mirror: bool, offset: int = 0, data: bytes | None = None) -> Damage:
    """Change bytes of one of the first records, or of its copy; by default a bit."""

    def change(path: Path) -> None:
        (master, copy) = struct.unpack("<QQ", damage.read(path, START + 48, 16))
        at = START + (copy if mirror else master) * 4096 + number * 1024 + offset
        (flip(at) if data is None else put(at, data))(path)

    return change


def torn_mirror(number: int) -> Damage:
    """Tear a copy of a record."""
    return at_record(number, mirror=True, offset=510)


LOST: dict[str, Callable[[int], Damage]] = {
    "signature": lambda number: at_record(number, mirror=False),
    "marked-bad": lambda number: at_record(number, mirror=False, data=b"BAAD"),
    "torn": lambda number: at_record(number, mirror=False, offset=510),
    "torn-at-its-end": lambda number: at_record(number, mirror=False, offset=1022),
    "zeros": lambda number: at_record(number, mirror=False, data=bytes(1024)),
    "ones": lambda number: at_record(number, mirror=False, data=b"\xff" * 1024),
    "of-another": lambda number: at_record(number, mirror=False, offset=44, data=b"\x2a"),
}


@pytest.mark.parametrize("name", LOST)
@pytest.mark.parametrize("number", range(4))
@twins
def test_a_record_is_taken_from_the_mirror(
    twin: str, number: int, name: str, tmp_path: Path, command: Command
) -> None:
    """One of the four that have a copy, and the report says so."""
    windows, answer = TWINS[twin]
    judged = command.judge(made(tmp_path, windows(), LOST[name](number)))
    assert judged.answer == answer
    assert told(judged) == ("passed", "passed")
    found = layer(judged)
    assert found["state"] == "recovered"
    assert "its copy in $MFTMirr at offset" in found["detail"]
    assert RECORDS[number] in found["detail"].lower()


@twins
def test_all_four_at_once(twin: str, tmp_path: Path, command: Command) -> None:
    """As when the first cluster of $MFT is lost; the record of the root lies in the next."""
    windows, answer = TWINS[twin]
    judged = command.judge(made(tmp_path, windows(), at_record(0, mirror=False, data=bytes(4096))))
    assert judged.answer == answer
    assert layer(judged)["detail"].count("its copy in $MFTMirr") == 4


@pytest.mark.parametrize("listed", [False, True])
def test_a_fragmented_master_file_table_from_its_mirror(listed: bool, tmp_path: Path) -> None:
    """Also where the run list goes on in another record."""
    windows = generalized()
    for index in range(60):
        windows = windows.file(rf"{CONFIG}\Journal entry number {index:03}.txt", b"x" * 20 * index)
    image = made(tmp_path, windows, lambda path: fragmented_master(path, listed=listed), LOST["zeros"](0))
    assert "recovered" in {each.state for each in expect_deployable(image).layers}


def test_the_flag_of_a_copy_counts_where_the_record_is_torn(tmp_path: Path, command: Command) -> None:
    """What is taken is taken as it stands."""
    at = 24 + 10

    def dirty_copy(path: Path) -> None:
        (copy,) = struct.unpack("<Q", damage.read(path, START + 56, 8))
        volume = mft.Volume(path, START)

        def mark(data: bytearray) -> None:
            struct.pack_into("<H", data, mft.find(data, 0x70).at + at, 1)

        volume.edit_at(START + copy * 4096 + 3 * 1024, 1024, mark)

    image = made(tmp_path, generalized(), dirty_copy)
    assert told(command.judge(image)) == ("passed", "passed")
    LOST["torn"](3)(image)
    assert told(command.judge(image)) == ("passed", "failed")


@pytest.mark.parametrize("name", ["signature", "torn", "zeros"])
def test_both_copies_of_the_first_record_lost(name: str, tmp_path: Path) -> None:
    """Then nothing is known."""
    image = made(tmp_path, generalized(), LOST[name](0), torn_mirror(0))
    expect_refused(image, FILE_SYSTEM, "signature|update sequence")


def test_both_copies_of_a_record_that_nothing_rests_on(tmp_path: Path, command: Command) -> None:
    """That of $MFTMirr itself: its place is in the boot sector."""
    judged = command.judge(made(tmp_path, generalized(), LOST["zeros"](1), torn_mirror(1)))
    assert judged.answer == GOOD


@pytest.mark.parametrize("number", range(4))
@twins
def test_a_damaged_mirror_is_told(twin: str, number: int, tmp_path: Path, command: Command) -> None:
    """The record counts, and the next fault would find no copy."""
    windows, answer = TWINS[twin]
    judged = command.judge(made(tmp_path, windows(), torn_mirror(number)))
    assert judged.answer == answer
    assert layer(judged)["state"] == "recovered"
    assert "$MFT was used" in layer(judged)["detail"]


@pytest.mark.parametrize("cluster", [0, 7, 2**40, 2**64 - 1])
def test_a_mirror_that_is_not_where_the_boot_sector_says(
    cluster: int, tmp_path: Path, command: Command
) -> None:
    """No copy, wherever it may lie; and none where the record is needed."""
    image = made(tmp_path, generalized(), put(START + 56, struct.pack("<Q", cluster)))
    assert command.judge(image).answer == GOOD
    (cluster,) = struct.unpack("<Q", damage.read(image, START + 48, 8))
    flip(START + cluster * 4096)(image)
    expect_refused(image, FILE_SYSTEM, "signature")


def test_a_mirror_in_the_place_of_the_records(tmp_path: Path) -> None:
    """Is the same bytes, and no help."""
    image = made(tmp_path, generalized(), LOST["torn"](0))
    damage.overwrite(image, START + 56, damage.read(image, START + 48, 8))
    expect_refused(image, FILE_SYSTEM, "update sequence")


def contradiction(number: int, change: Callable[[bytearray], object]) -> Damage:
    """Change the copy of a record, its fixups right."""

    def apply(path: Path) -> None:
        (copy,) = struct.unpack("<Q", damage.read(path, START + 56, 8))
        mft.Volume(path, START).edit_at(START + copy * 4096 + number * 1024, 1024, change)

    return apply


def first_run(data: bytearray) -> int:
    """Where the cluster number of the first run of the data stands."""
    at = mft.find(data, mft.DATA).at
    at += struct.unpack_from("<H", data, at + 32)[0]
    return at + 1 + (data[at] & 15)


CONTRADICTIONS: dict[str, Damage] = {
    f"{name}-of-{number}": contradiction(number, change)
    for number, name, change in (
        (0, "another-place", lambda data: struct.pack_into("<B", data, first_run(data), 9)),
        (1, "another-place", lambda data: struct.pack_into("<B", data, first_run(data), 9)),
        (2, "another-place", lambda data: struct.pack_into("<B", data, first_run(data), 9)),
        (0, "another-sequence-number", lambda data: struct.pack_into("<H", data, 16, 7)),
        (3, "another-sequence-number", lambda data: struct.pack_into("<H", data, 16, 7)),
    )
}


@pytest.mark.parametrize("name", CONTRADICTIONS)
@twins
def test_two_good_copies_that_contradict_each_other(twin: str, name: str, tmp_path: Path) -> None:
    """Nothing says which one Windows would go by after the next fault."""
    image = made(tmp_path, TWINS[twin][0](), CONTRADICTIONS[name])
    expect_refused(image, FILE_SYSTEM, "a copy of", "another sequence number or run list")


def test_a_mirror_that_is_behind_is_none(tmp_path: Path, command: Command) -> None:
    """$MFT grew, or the flags changed, and the copy was not written yet: they agree as far as both go."""

    def shorter(data: bytearray) -> None:
        at = mft.find(data, mft.DATA).at
        runs = at + struct.unpack_from("<H", data, at + 32)[0]
        assert data[runs] & 15 == 1
        data[runs + 1] -= 1
        struct.pack_into("<Q", data, at + 24, struct.unpack_from("<Q", data, at + 24)[0] - 1)

    judged = command.judge(made(tmp_path, generalized(), contradiction(0, shorter), information(0x0080)))
    assert judged.answer == GOOD
    assert layer(judged)["state"] == "intact"


def test_a_mirror_for_another_master_file_table(tmp_path: Path) -> None:
    """The boot sector says where $MFT begins; a run list that begins elsewhere is of another volume."""
    image = made(tmp_path, generalized(), put(START + 48, struct.pack("<Q", 5)))
    expect_refused(image, FILE_SYSTEM, "run list from cluster 5")


def test_recovered_is_said_with_place_and_reason(tmp_path: Path) -> None:
    """As every layer does."""
    image = made(tmp_path, generalized(), LOST["torn"](0), torn_mirror(2))
    with open_source(image) as source:
        one, other = volume_in(source).recovered
        assert one.effect is other.effect is Effect.RECOVERED
        assert one.where.offset == struct.unpack("<Q", damage.read(image, START + 48, 8))[0] * 4096 + 510
        assert (one.where.path, other.where.path) == ("$MFT", "$LogFile")


@pytest.mark.parametrize("sector_size", [512, 4096])
@pytest.mark.parametrize("cluster_size", [512, 4096, 65536])
def test_the_mirror_with_other_sizes(sector_size: int, cluster_size: int, tmp_path: Path) -> None:
    """Clusters smaller and larger than four records, records of 1 and 4 KiB."""
    cluster_size = max(cluster_size, sector_size)
    disk = Disk((Ntfs(generalized(), cluster_size=cluster_size, active=True),), "mbr", sector_size)
    image = copy_of(build(disk, Vhdx(fixed=True) if sector_size == 4096 else FixedVhd()), tmp_path)
    start = min(damage.locate_all(image, b"\xebR\x90NTFS    "))
    record = max(1024, sector_size)
    (master,) = struct.unpack("<Q", damage.read(image, start + 48, 8))
    for number in range(4):
        damage.overwrite(image, start + master * cluster_size + number * record, bytes(record))
    (layer,) = [each for each in expect_deployable(image).layers if each.state == "recovered"]
    assert layer.detail.count("its copy in $MFTMirr") == 4


# --- bombs ---------------------------------------------------------------------------------------


class Builder:
    """Lays streams of a volume out anew; clusters come from the free space at its end."""

    def __init__(self, path: Path) -> None:
        """Find what is free behind the last cluster in use."""
        self.path = path
        self.volume = mft.Volume(path, START)
        (sectors,) = struct.unpack("<Q", damage.read(path, START + 40, 8))
        used = damage.read(path, START, sectors * 512).rstrip(b"\0")
        self.next = len(used) // 4096 + 1
        self.left = sectors // 8 - self.next

    def store(self, data: bytes) -> int:
        """Write data to clusters nobody has; the number of the first."""
        count = -(-len(data) // 4096)
        assert count <= self.left
        damage.overwrite(self.path, START + self.next * 4096, data)
        self.next += count
        self.left -= count
        return self.next - count

    def skip(self) -> None:
        """Leave a cluster out, so that runs do not meet."""
        self.next += 1
        self.left -= 1

    def destroy(self, name: str) -> None:
        """Write over the clusters that a file has now."""
        for cluster, count in self.volume.runs(
            self.volume.record(self.volume.numbers[name.lower()]), mft.DATA
        ):
            damage.overwrite(self.path, START + cluster * 4096, b"\xcc" * count * 4096)

    def replace(self, name: str, *data: bytes, listing: bytes = b"") -> None:
        """Give a file other data attributes (none where others hold them), and an attribute list."""

        def change(record: bytearray) -> None:
            parts = []
            for each in mft.attributes(record):
                if each.type == mft.DATA:
                    parts += data
                else:
                    parts.append(bytes(record[each.at : each.at + each.length]))
            mft.with_attributes(record, [parts[0], listing, *parts[1:]])

        self.volume.edit(name, change)

    def extension(self, spare: int, base: int, *parts: bytes) -> int:
        """Make a record an extension of another; the reference to it."""
        offset = self.volume.offset_of(spare)
        record = self.volume.record(spare)
        (sequence,) = struct.unpack_from("<H", record, 16)
        struct.pack_into("<HHHHIIQ", record, 16, sequence, 0, 56, mft.IN_USE, 0, len(record), base)
        struct.pack_into("<I", record, 44, spare)
        mft.with_attributes(record, list(parts))
        damage.overwrite(self.path, offset, mft.fixed(record))
        return spare | sequence << 48

    def scatter(
        self, name: str, parts: list[list[tuple[int | None, int]]], size: int, flags: int = 0
    ) -> None:
        """Put the run list of a file into extension records, which the spare files give."""
        number = self.volume.numbers[name.lower()]
        own = number | struct.unpack_from("<H", self.volume.record(number), 16)[0] << 48
        spares = [self.volume.numbers[f"spare\\{index:05}"] for index in range(len(parts))]
        entries = [mft.list_entry(0x10, 0, own), mft.list_entry(mft.FILE_NAME, 0, own)]
        lowest = 0
        for spare, runs in zip(spares, parts):
            part = bytearray(short_runs(runs, size, lowest))
            struct.pack_into("<H", part, 12, flags)
            entries.append(mft.list_entry(mft.DATA, lowest, self.extension(spare, own, bytes(part))))
            lowest += sum(count for _, count in runs)
        listing = b"".join(entries)
        cluster, count = self.store(listing), -(-len(listing) // 4096)
        self.replace(name, listing=mft.in_runs(0x20, [(cluster, count)], len(listing), number=9))


def short_runs(runs: list[tuple[int | None, int]], size: int, lowest: int = 0) -> bytes:
    """A non-resident data attribute whose run list is as short as can be: two bytes for a hole."""
    pairs, last = bytearray(), 0
    for cluster, count in runs:
        if cluster is None:
            pairs += bytes([1, count])
        elif -128 <= cluster - last < 128:
            pairs += struct.pack("<BBb", 0x11, count, cluster - last)
        else:
            pairs += b"\x31" + bytes([count]) + (cluster - last).to_bytes(3, "little", signed=True)
        last = last if cluster is None else cluster
    clusters = sum(count for _, count in runs)
    allocated = -(-size // 4096) * 4096
    sizes = (0, 0, 0) if lowest else (allocated, size, size)
    length = -(-(64 + len(pairs) + 1) // 8) * 8
    header = struct.pack("<IIBBHHHQQHB5xQQQ", mft.DATA, length, 1, 0, 64, 0, 0, lowest, lowest + clusters - 1,
                         64, 0, *sizes)  # fmt: skip
    return (header + pairs).ljust(length, b"\0")


def spares(windows: Windows, count: int) -> Windows:
    """With files whose records can be had."""
    for index in range(count):
        windows = windows.file(f"spare\\{index:05}", b"")
    return windows


HOLES: list[tuple[int | None, int]] = [(None, 1)] * 400
SPARSE = 0x8000


def bomb(parts: list[list[tuple[int | None, int]]]) -> Damage:
    """Scatter SOFTWARE."""

    def change(path: Path) -> None:
        size = sum(count for part in parts for _, count in part) * 4096
        Builder(path).scatter(SOFTWARE, parts, size, SPARSE)

    return change


def cost(image: Path) -> tuple[str, float, int]:
    """Verdict, seconds of the processor and peak memory in MiB of judging an image in its own process."""
    script = (
        "import sys, time; from validator import validate; "
        "print(validate(sys.argv[1], 'generalized').verdict.value, time.process_time()); "
        "print(next(line.split()[1] for line in open('/proc/self/status') if line.startswith('VmHWM')))"
    )
    if not Path("/proc/self/status").exists():
        pytest.skip("needs /proc: getrusage counts the memory of the parent")
    done = subprocess.run(
        [sys.executable, "-c", script, str(image)], capture_output=True, text=True, check=True, cwd=ROOT
    )
    verdict, seconds, memory = done.stdout.split()
    return verdict, float(seconds), int(memory) // 1024


BOMBS: dict[str, tuple[int, list[list[tuple[int | None, int]]], str]] = {
    "runs": (400, [HOLES] * 400, f"at most {MAX_RUNS} runs"),
    "records": (MAX_EXTENSIONS + 5, [[(None, 1)]] * (MAX_EXTENSIONS + 5), f"at most {MAX_EXTENSIONS} ext"),
}


@pytest.mark.parametrize("name", BOMBS)
def test_attribute_lists_without_end_are_refused(name: str, tmp_path: Path) -> None:
    """Soon, in little memory, and with a word for it."""
    count, parts, expected = BOMBS[name]
    image = made(tmp_path, spares(generalized(), count), bomb(parts), size=32 * MiB)
    expect_refused(image, FILE_SYSTEM, expected)
    verdict, seconds, memory = cost(image)
    assert verdict == "indeterminate"
    assert seconds < 5
    assert memory < 128


def test_a_file_at_the_bounds_is_cheap(tmp_path: Path) -> None:
    """As many records and nearly as many runs as there may be."""
    parts = [HOLES[:126]] * MAX_EXTENSIONS
    image = made(tmp_path, spares(generalized(), MAX_EXTENSIONS), bomb(parts), size=32 * MiB)
    expect_refused(image, Layer.HIVE, "regf")  # zeros
    _, seconds, memory = cost(image)
    assert seconds < 5
    assert memory < 128


def test_a_master_file_table_at_the_bounds_is_cheap(tmp_path: Path) -> None:
    """Its own run list is put together part by part, each read through what was there before."""
    count = MAX_EXTENSIONS - 1

    def change(path: Path) -> None:
        builder = Builder(path)
        record = builder.volume.record(0)
        ((first, clusters),) = builder.volume.runs(record, mft.DATA)
        size = struct.unpack_from("<Q", record, mft.find(record, mft.DATA).at + SIZE)[0]
        own = 1 << 48
        # Behind what is there, the same cluster again and again.
        again: list[tuple[int | None, int]] = [(first, 1), (first + 1, 1)] * 60
        entries, lowest = [], clusters
        for index in range(count):
            part = short_runs(again, size, lowest)
            spare = builder.volume.numbers[f"spare\\{index:05}"]
            entries.append(mft.list_entry(mft.DATA, lowest, builder.extension(spare, own, part)))
            lowest += len(again)
        listing = b"".join([mft.list_entry(0x10, 0, own), mft.list_entry(mft.DATA, 0, own), *entries])
        cluster, length = builder.store(listing), -(-len(listing) // 4096)
        data = bytes(mft.in_runs(mft.DATA, [(first, clusters)], size))
        builder.replace("$mft", data, listing=mft.in_runs(0x20, [(cluster, length)], len(listing), number=9))
        (mirror,) = struct.unpack("<Q", damage.read(path, START + 56, 8))
        damage.overwrite(path, START + mirror * 4096, damage.read(path, START + first * 4096, 1024))

    image = made(tmp_path, spares(generalized(), count), change, size=32 * MiB)
    expect_deployable(image)
    _, seconds, memory = cost(image)
    assert seconds < 5
    assert memory < 128


# --- hives in every form -------------------------------------------------------------------------


def large(windows: Windows) -> Windows:
    """With a SOFTWARE hive of some hundred clusters, which compresses well."""
    return spares(windows.bulk("SOFTWARE", r"Classes\Bulk", 1500), 30)


def hive_bytes(image: Path, name: str = SOFTWARE) -> bytes:
    """The content of a file as dissect.ntfs reads it."""
    return printed_by_dissect(image, name)


def pieces(count: int) -> list[int]:
    """Clusters in an order in which hardly two follow each other."""
    return sorted(range(count), key=lambda index: (index * 7919) % 1009)


def in_pieces(path: Path, name: str, builder: Builder, data: bytes) -> list[tuple[int | None, int]]:
    """Store every cluster of a file by itself; its runs."""
    clusters = [data[at : at + 4096] for at in range(0, len(data), 4096)]
    places: dict[int, int] = {}
    for index in pieces(len(clusters)):
        places[index] = builder.store(clusters[index])
        if index % 5 == 0:
            builder.skip()
    builder.destroy(name)
    return [(places[index], 1) for index in range(len(clusters))]


def fragmented(path: Path) -> None:
    """SOFTWARE in as many runs as it has clusters, in extension records."""
    data = hive_bytes(path)
    builder = Builder(path)
    runs = in_pieces(path, SOFTWARE, builder, data)
    assert len(runs) > 100
    builder.scatter(SOFTWARE, [runs[at : at + 50] for at in range(0, len(runs), 50)], len(data))


def sparse(path: Path) -> None:
    """SOFTWARE with the clusters that hold nothing but zeros, half of them behind its bins, as holes."""
    data = hive_bytes(path)
    builder = Builder(path)
    padded = data + bytes(-len(data) % 4096) + bytes(8 * 4096)
    runs: list[tuple[int | None, int]] = []
    for at in range(0, len(padded), 4096):
        piece = padded[at : at + 4096]
        if not any(piece):
            runs.append((None, 1))
        elif runs and (last := runs[-1])[0] is not None and last[1] < 200:
            runs[-1] = last[0], last[1] + 1
            builder.store(piece)
        else:
            runs.append((builder.store(piece), 1))
    assert any(cluster is None for cluster, _ in runs)
    builder.destroy(SOFTWARE)
    attribute = bytearray(mft.in_runs(mft.DATA, runs, len(padded), compressed=True))
    struct.pack_into("<H", attribute, 12, SPARSE)
    builder.replace(SOFTWARE, bytes(attribute))
    # ntfs-3g wants the file's attributes to say so as well.
    standard = 24 + 32
    builder.volume.edit(
        SOFTWARE, lambda data: struct.pack_into("<I", data, mft.find(data, 0x10).at + standard, 0x200)
    )


def lznt1(data: bytes) -> bytes:
    """Compress as NTFS does, in chunks of 4 KiB ([MS-XCA] 2.5): stored where it is no gain."""
    packed = bytearray()
    for start in range(0, len(data), 4096):
        chunk = data[start : start + 4096]
        body = _chunk(chunk)
        if len(body) < len(chunk):
            packed += struct.pack("<H", 0xB000 | len(body) - 1) + body
        else:
            packed += struct.pack("<H", 0x3000 | len(chunk) - 1) + chunk
    return bytes(packed)


def _chunk(chunk: bytes) -> bytes:
    seen: dict[bytes, int] = {}
    body, group, flags, at = bytearray(), bytearray(), [], 0
    while at < len(chunk):
        bits = max(4, (at - 1).bit_length()) if at else 4
        longest = (0xFFFF >> bits) + 3
        found = seen.get(chunk[at : at + 3], -1) if at + 3 <= len(chunk) else -1
        length = 0
        if found >= 0:
            length = 3
            while (
                length < longest and at + length < len(chunk) and chunk[found + length] == chunk[at + length]
            ):
                length += 1
        flags.append(bool(length))
        if length:
            group += struct.pack("<H", (at - found - 1) << (16 - bits) | length - 3)
        else:
            group += chunk[at : at + 1]
        for each in range(at, at + max(1, length)):
            seen[chunk[each : each + 3]] = each
        at += max(1, length)
        if len(flags) == 8 or at == len(chunk):
            body += bytes([sum(flag << index for index, flag in enumerate(flags))]) + group
            group, flags = bytearray(), []
    return bytes(body)


def stored_chunks(data: bytes) -> bytes:
    """LZNT1 that compresses nothing: every chunk as it is."""
    chunks = (data[at : at + 4096] for at in range(0, len(data), 4096))
    return b"".join(struct.pack("<H", 0x3000 | len(chunk) - 1) + chunk for chunk in chunks)


def compressed(path: Path, pack: Callable[[bytes], bytes] = lznt1) -> None:
    """SOFTWARE in compression units, some of which did not shrink or hold nothing."""
    data = hive_bytes(path)
    builder = Builder(path)
    runs: list[tuple[int | None, int]] = []
    kinds = set()
    for index, at in enumerate(range(0, len(data), 65536)):
        unit = data[at : at + 65536].ljust(65536, b"\0")
        packed = b"" if not any(unit) else pack(data[at : at + 65536])
        if packed and index % 5 != 3 and len(packed) <= 15 * 4096:
            count = -(-len(packed) // 4096)
            runs += [(builder.store(packed), count), (None, 16 - count)]
            kinds.add("packed")
        elif packed:
            runs.append((builder.store(unit), 16))
            kinds.add("whole")
        else:
            runs.append((None, 16))
        builder.skip()
    assert kinds == {"packed", "whole"}
    builder.destroy(SOFTWARE)
    builder.replace(SOFTWARE, mft.in_runs(mft.DATA, runs, len(data), compressed=True))


def compressed_in_pieces(path: Path) -> None:
    """The units of SOFTWARE compressed, and in every third each cluster a run of its own."""
    data = hive_bytes(path)
    builder = Builder(path)
    runs: list[tuple[int | None, int]] = []
    for index, at in enumerate(range(0, len(data), 65536)):
        packed = lznt1(data[at : at + 65536])
        count = -(-len(packed) // 4096)
        assert count < 16
        if index % 3:
            runs.append((builder.store(packed), count))
        else:
            for piece in range(0, len(packed), 4096):
                runs.append((builder.store(packed[piece : piece + 4096]), 1))
                builder.skip()
        runs.append((None, 16 - count))
    builder.destroy(SOFTWARE)
    builder.replace(SOFTWARE, mft.in_runs(mft.DATA, runs, len(data), compressed=True))


FORMS: dict[str, Damage] = {
    "fragmented": fragmented,
    "sparse": sparse,
    "compressed": compressed,
    "compressed-in-pieces": compressed_in_pieces,
}


@pytest.mark.parametrize("name", FORMS)
@twins
def test_hives_in_every_form(twin: str, name: str, tmp_path: Path, command: Command) -> None:
    """Read right: as dissect.ntfs and ntfscat read them, and judged by what they say."""
    windows, answer = TWINS[twin]
    image = made(tmp_path, large(windows()), size=48 * MiB)
    before = hive_bytes(image)
    FORMS[name](image)
    # dissect.ntfs 3.14 takes a last unit for stored whose clusters, packed, are as long as its content.
    if "compressed" not in name:
        assert hive_bytes(image).rstrip(b"\0") == before.rstrip(b"\0")
    assert printed_by_ntfscat(image, SOFTWARE, tmp_path).rstrip(b"\0") == before.rstrip(b"\0")
    with open_source(image) as source:
        file = volume_in(source).open(SOFTWARE)
        assert file is not None
        assert content(file).startswith(before)
        check_decoder(file, content(file), 65536)
    judged = command.judge(image)
    assert judged.answer == answer
    assert layer(judged)["state"] == "intact"


def test_a_compression_unit_of_stored_chunks(tmp_path: Path) -> None:
    """The chunks' headers cost a cluster, so that only a short last unit can be kept so."""
    image = made(tmp_path, large(generalized()), size=48 * MiB)
    before = hive_bytes(image)
    tail = before[-8192:]
    assert stored_chunks(tail) != lznt1(tail)
    builder = Builder(image)
    whole = before[: len(before) // 65536 * 65536]
    rest = before[len(whole) :]
    assert 0 < len(rest) < 15 * 4096
    runs: list[tuple[int | None, int]] = [
        (builder.store(whole[at : at + 65536]), 16) for at in range(0, len(whole), 65536)
    ]
    packed = stored_chunks(rest)
    count = -(-len(packed) // 4096)
    runs += [(builder.store(packed), count), (None, 16 - count)]
    builder.destroy(SOFTWARE)
    builder.replace(SOFTWARE, mft.in_runs(mft.DATA, runs, len(before), compressed=True))
    assert printed_by_ntfscat(image, SOFTWARE, tmp_path) == before
    expect_deployable(image)


def test_a_compressed_hive_with_a_flipped_bit_is_never_believed(tmp_path: Path) -> None:
    """It does not unpack, or not to the same: the hive's own checks find what NTFS has no sum for."""
    image = made(tmp_path, large(generalized()), size=48 * MiB)
    compressed(image)
    volume = mft.Volume(image, START)
    at = START + volume.runs(volume.record(volume.numbers[SOFTWARE.lower()]), mft.DATA)[0][0] * 4096
    damage.overwrite(image, at, b"\xff" * 64)
    assert validate(image, "generalized").verdict is Verdict.INDETERMINATE


@twins
def test_a_resident_state_ini(twin: str, tmp_path: Path, command: Command) -> None:
    """It lies in its record; a hive cannot, since its smallest is larger than any record."""
    windows, answer = TWINS[twin]
    image = made(tmp_path, windows())
    volume = mft.Volume(image, START)
    assert mft.find(volume.record(volume.numbers[STATE_INI.lower()]), mft.DATA).resident
    assert command.judge(image).answer == answer


def test_a_hive_that_lies_in_its_record_is_none(tmp_path: Path) -> None:
    """A base block alone is 4 KiB."""
    image = made(tmp_path, generalized())
    head = hive_bytes(image)[:300]

    def change(record: bytearray) -> None:
        parts = [
            mft.resident(mft.DATA, head, 3)
            if each.type == mft.DATA
            else bytes(record[each.at :][: each.length])
            for each in mft.attributes(record)
        ]
        mft.with_attributes(record, parts)

    edited(SOFTWARE, change)(image)
    assert hive_bytes(image) == head
    expect_refused(image, Layer.HIVE)


def test_the_folder_of_the_root_is_searched_once(tmp_path: Path) -> None:
    """Every state is read from what is known: few reads, wherever the hibernation file lies."""
    windows = with_hibernation(generalized(), b"WAKE" * 5000)
    plain, more = made(tmp_path, generalized()), made(tmp_path, windows)
    assert validate(more, "generalized").io.reads - validate(plain, "generalized").io.reads <= 3


def test_states_of_a_volume_that_refuses(tmp_path: Path) -> None:
    """Each reader says what it could not read."""
    lost = every(*(LOST["torn"](number) for number in (2, 3)), torn_mirror(2), torn_mirror(3))
    image = made(tmp_path, generalized(), lost)
    with open_source(image) as source:
        volume = volume_in(source)
        assert refuses(lambda: read_dirty_flag(volume), FILE_SYSTEM).where.path == "$Volume"
        assert refuses(lambda: read_log_state(volume), FILE_SYSTEM).where.path == "$LogFile"


def test_a_damaged_folder_of_hives_does_not_hide_the_state(tmp_path: Path) -> None:
    """What is known of the volume is said beside what is not."""
    windows = generalized()
    for index in range(60):
        windows = windows.file(rf"{CONFIG}\Journal entry number {index:03}.txt", b"")
    lost = every_node(lambda data, _: struct.pack_into("4s", data, 0, b"XDNI"))
    report = validate(made(tmp_path, windows, information(1), lost), "generalized")
    assert report.verdict is Verdict.INDETERMINATE
    (finding,) = [each for each in report.findings if each.check.id == "volume-dirty"]
    assert finding.status is Status.FAILED
