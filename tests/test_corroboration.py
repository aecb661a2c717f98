"""What else on the disk speaks for or against ImageState, and what it weighs.

The rows are those of the decision: SetupType, CmdLine and GeneralizationState are what Windows acts
on, so one of them against ImageState is fatal (2); copies, tag and logs tell history (1); what is
absent says nothing. Every row changes one thing in an image that is healthy otherwise.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from tests.command import Command, Judged
from tests.conftest import Corpus
from tests.images import (
    ABSENT,
    CHILDREN_KEY,
    COMPLETE,
    GENERALIZED_AUDIT,
    GENERALIZED_OOBE,
    SERVICING_KEY,
    SETUP_KEY,
    SETUP_LOG,
    SPECIALIZED_OOBE,
    STATE_INI,
    STATE_KEY,
    STATUS_KEY,
    SYSPREP_LOG,
    SYSPREP_STATUS_KEY,
    TAG,
    UNDEPLOYABLE,
    Raw,
    Run,
    Windows,
    damage,
    encode_log,
    generalized,
    installed,
    setup_log,
    state_ini,
    sysprep_log,
    wim_applied,
    with_state,
    with_sysprep_run,
)
from tests.images.hive import Absent, Data
from tests.images.times import INSTALLED, SHUT_DOWN, SYSPREPPED
from tests.mft import Volume
from validator.checks.corroboration import corroborators
from validator.facts import IMAGE_FACTS, INSTALLATION_FACTS
from validator.facts.model import Facts
from validator.source import Files

Image = Callable[..., Path]
Change = Callable[[Windows], Windows]

AGREES, NEUTRAL = "passed", "not applicable"
DAY = timedelta(days=1)
SYSTEM_FILE = r"Windows\System32\config\SYSTEM"
OOBE_LOG = r"Windows\Panther\UnattendGC\setupact.log"
FOREIGN = "cmd.exe /c start /wait tool.cmd"


# --- the words in which rows are written ---------------------------------------------------------


def setup(**values: Data) -> Change:
    """Set values of SYSTEM\\Setup."""
    return lambda windows: windows.system(SETUP_KEY, values)


def state(**values: Data) -> Change:
    """Set values of SysprepStatus."""
    return lambda windows: windows.system(SYSPREP_STATUS_KEY, values)


def setup_child(number: Data) -> Change:
    """Set the completion state of setup.exe."""
    return lambda windows: windows.system(CHILDREN_KEY, {"setup.exe": number})


def ini(content: bytes | Absent) -> Change:
    """Replace State.ini."""
    return lambda windows: windows.file(STATE_INI, content)


def servicing(stored: Data) -> Change:
    """Replace the copy in ImageServicingData."""
    return lambda windows: windows.software(SERVICING_KEY, ImageState=stored)


def tag(content: bytes | Absent) -> Change:
    """Put or remove the tag."""
    return lambda windows: windows.file(TAG, content)


def runs(*described: Run) -> Change:
    """Replace sysprep's log by one with these runs."""
    return lambda windows: with_sysprep_run(windows, *described)


def log(content: bytes | Absent) -> Change:
    """Replace sysprep's log."""
    return lambda windows: windows.file(SYSPREP_LOG, content)


def panther(*logs: bytes, path: str = SETUP_LOG) -> Change:
    """Replace a log of Windows Setup by these, one after the other."""
    return lambda windows: windows.file(path, b"".join(logs) if logs else ABSENT)


def both(*changes: Change) -> Change:
    """Make several changes."""

    def change(windows: Windows) -> Windows:
        for each in changes:
            windows = each(windows)
        return windows

    return change


def ends_with(code: int, layout: str = "[0x{:06x}]") -> Change:
    """A run whose last line has a code."""
    line = f"2024-05-14 16:21:00, Error      {layout.format(code)} SYSPRP WinMain:It ended so; hr = 0x1f"
    return log(sysprep_log(Run(ending="interrupted")) + encode_log([line]))


def noise(length: int, time: datetime = SYSPREPPED) -> list[str]:
    """Lines that say nothing, about so many bytes of them."""
    return [f"{time:%Y-%m-%d %H:%M:%S}, Info                  SYSPRP SPPNP: Removing a device."] * (
        length // 80
    )


def with_noise(length: int, *, before_the_end: bool) -> Change:
    """A successful run with so many bytes of noise inside it or behind it."""
    lines = sysprep_log().decode().splitlines()
    at = len(lines) - 4 if before_the_end else len(lines)
    return log(encode_log([*lines[:at], *noise(length), *lines[at:]]))


def dialog(*words: str) -> list[str]:
    """The lines of a run that a person drove by the dialog."""
    head = sysprep_log(Run(options=(), ending="interrupted")).decode().splitlines()[:9]
    shown = (
        "2024-05-14 16:20:01, Info       [0x0f003d] SYSPRP WinMain:Displaying dialog box for user to choose"
    )
    return [*head, shown, *words]


CREATED = "2024-05-14 16:22:00, Info                  SYSPRP FCreateTagFile:Successfully created tag file C:"
CANCELLED = "2024-05-14 16:20:30, Info       [0x0f0043] SYSPRP WinMain:The sysprep dialog box returned FALSE"
FATAL = "2024-05-14 16:20:30, Error      [0x0f00a8] SYSPRP WinMain:Hit failure while processing; hr = 0x1f"

AGAIN = Run(start=SYSPREPPED + timedelta(minutes=10), ending="recorded-state", old_tag=True)
"""A second run in the session of a successful one: it deletes the tag and is refused."""
LATER = setup_log(start=SHUT_DOWN + DAY)
"""Setup's log of a start after sysprep."""

# --- one thing changed ---------------------------------------------------------------------------

ROWS: dict[str, dict[str, tuple[str | int, Change]]] = {
    "setup-pending": {
        "SetupType 1": (AGREES, setup(SetupType=1)),
        "SetupType 2": (AGREES, setup(SetupType=2)),
        "windeploy by its full path": (AGREES, setup(CmdLine=r"C:\Windows\System32\OOBE\WinDeploy.EXE")),
        "SetupType 0": (2, setup(SetupType=0)),
        "no SetupType": (2, setup(SetupType=ABSENT)),
        "CmdLine empty": (2, setup(CmdLine="")),
        "CmdLine without data": (2, setup(CmdLine=Raw(1, b""))),
        "CmdLine blank": (2, setup(CmdLine="  ")),
        "no CmdLine": (2, setup(CmdLine=ABSENT)),
        "neither": (2, setup(SetupType=ABSENT, CmdLine=ABSENT)),
        "foreign CmdLine": (1, setup(CmdLine=FOREIGN)),
        "SetupType 4": (1, setup(SetupType=4)),
        "not read from SystemSetupInProgress": (AGREES, setup(SystemSetupInProgress=0, OOBEInProgress=0)),
        "not read from SetupPhase": (AGREES, setup(SetupPhase=ABSENT, CloneTag=ABSENT)),
    },
    "generalization-state": {
        "4": (AGREES, state(GeneralizationState=4)),
        "4, setup.exe absent": (AGREES, setup_child(ABSENT)),
        "4, no children": (AGREES, lambda windows: windows.without_key("SYSTEM", CHILDREN_KEY)),
        "4, AuditBoot absent": (AGREES, lambda windows: windows.system(STATUS_KEY, AuditBoot=ABSENT)),
        "4, CleanupState absent": (AGREES, state(CleanupState=ABSENT)),
        "absent": (NEUTRAL, state(GeneralizationState=ABSENT)),
        "no SysprepStatus": (NEUTRAL, lambda windows: windows.without_key("SYSTEM", SYSPREP_STATUS_KEY)),
        "no Status": (NEUTRAL, lambda windows: windows.without_key("SYSTEM", STATUS_KEY)),
        "3": (2, state(GeneralizationState=3)),
        "7": (2, state(GeneralizationState=7)),
        "setup.exe 1": (2, setup_child(1)),
        "setup.exe 2": (2, setup_child(2)),
        "AuditBoot 1": (2, lambda windows: windows.system(STATUS_KEY, AuditBoot=1)),
        "setup.exe 3": (1, setup_child(3)),
        "0": (1, state(GeneralizationState=0)),
        "5": (1, state(GeneralizationState=5)),
        "text": (1, state(GeneralizationState="4")),
    },
    "state-ini-agrees": {
        "both the same": (AGREES, ini(state_ini(GENERALIZED_OOBE))),
        "only State.ini": (AGREES, servicing(ABSENT)),
        "only ImageServicingData": (AGREES, ini(ABSENT)),
        "UTF-16": (AGREES, ini(b"\xff\xfe" + state_ini(GENERALIZED_OOBE).decode().encode("utf-16-le"))),
        "UTF-8 with mark": (AGREES, ini(b"\xef\xbb\xbf" + state_ini(GENERALIZED_OOBE))),
        "other layout": (AGREES, ini(f"; x\n[A]\nB=1\n[STATE]\n imagestate = {GENERALIZED_OOBE}".encode())),
        "both absent": (NEUTRAL, both(ini(ABSENT), servicing(ABSENT))),
        "both empty": (NEUTRAL, both(ini(b""), servicing(""))),
        "entry empty": (NEUTRAL, both(ini(state_ini("")), servicing(ABSENT))),
        "State.ini differs": (1, ini(state_ini(COMPLETE))),
        "ImageServicingData differs": (1, servicing(COMPLETE)),
        "both differ": (1, both(ini(state_ini(COMPLETE)), servicing(UNDEPLOYABLE))),
        "State.ini differs, the other absent": (1, both(ini(state_ini(UNDEPLOYABLE)), servicing(ABSENT))),
    },
    "sysprep-tag": {
        "present": (AGREES, tag(b"")),
        "present without log": (AGREES, log(ABSENT)),
        "absent after a generalize run": (1, tag(ABSENT)),
        "absent without log": (NEUTRAL, both(tag(ABSENT), log(ABSENT))),
        "absent after a run by dialog": (NEUTRAL, both(tag(ABSENT), log(encode_log(dialog(CREATED))))),
        "absent after another run followed": (
            1,
            both(tag(ABSENT), log(sysprep_log() + encode_log(dialog(CANCELLED)))),
        ),
    },
    "sysprep-log": {
        "success": (AGREES, runs(Run())),
        "success without benign errors": (AGREES, runs(Run(benign_errors=False))),
        "success with /quit": (AGREES, runs(Run(options=("QUIET", "GENERALIZE", "OOBE", "QUIT")))),
        "success after a failure": (AGREES, runs(Run(start=INSTALLED, ending="appx"), Run())),
        "success after an interruption": (AGREES, runs(Run(start=INSTALLED, ending="interrupted"), Run())),
        "success after one of another kind": (AGREES, runs(Run(start=INSTALLED, options=("OOBE",)), Run())),
        "long": (AGREES, with_noise(300_000, before_the_end=True)),
        "no log": (NEUTRAL, log(ABSENT)),
        "empty log": (NEUTRAL, log(b"")),
        "by dialog": (NEUTRAL, log(encode_log(dialog(CREATED)))),
        "dialog cancelled": (NEUTRAL, log(encode_log(dialog(CANCELLED)))),
        "log deleted while it ran": (NEUTRAL, log(encode_log([CREATED]))),
        "too long to search": (NEUTRAL, with_noise(700_000, before_the_end=False)),
        "package refused": (1, runs(Run(ending="appx"))),
        "validation failed": (1, runs(Run(ending="validation"))),
        "state refused": (1, runs(Run(ending="recorded-state"))),
        "code 0x0f0070": (1, ends_with(0xF0070)),
        "code 0x0f0073": (1, ends_with(0xF0073)),
        "code 0x0f00a8": (1, ends_with(0xF00A8)),
        "code 0x0f00ae": (1, ends_with(0xF00AE)),
        "code 0x0f00d8": (1, ends_with(0xF00D8)),
        "code as ConfigMgr has it": (1, ends_with(0xF0070, "983152 ({:#07x})")),
        "by dialog, failed": (1, log(encode_log(dialog(FATAL)))),
        "interrupted": (1, runs(Run(ending="interrupted"))),
        "interrupted after a success": (1, runs(Run(start=INSTALLED), Run(ending="interrupted"))),
        "without generalize": (1, runs(Run(options=("OOBE", "SHUTDOWN")))),
        "audit, without generalize": (1, runs(Run(start=INSTALLED), Run(options=("AUDIT", "REBOOT")))),
        "respecialize behind it": (1, runs(Run(), Run(SHUT_DOWN + DAY, ("RESPECIALIZE", "QUIET")))),
    },
    "booted-after-sysprep": {
        "installed before": (AGREES, panther(setup_log())),
        "another transition later": (AGREES, panther(setup_log(SHUT_DOWN + DAY, SPECIALIZED_OOBE, COMPLETE))),
        "no Panther": (NEUTRAL, panther()),
        "no sysprep log": (NEUTRAL, both(log(ABSENT), panther(LATER))),
        "started later": (1, panther(LATER)),
        "started a second later": (1, panther(setup_log(start=SHUT_DOWN))),
        "installed before and started later": (1, panther(setup_log(), LATER)),
        "started later, UTF-8 with mark": (1, panther(setup_log(SHUT_DOWN + DAY, encoding="utf-8-sig"))),
        "started later, UTF-16": (1, panther(setup_log(SHUT_DOWN + DAY, encoding="utf-16-le"))),
        "started later, by the other log": (1, panther(LATER, path=OOBE_LOG)),
        "started later, much behind": (1, panther(LATER, encode_log(noise(300_000, SHUT_DOWN + DAY)))),
    },
}  # fmt: skip
CASES = [
    pytest.param(check, expected, change, id=f"{check}: {name}")
    for check, rows in ROWS.items()
    for name, (expected, change) in rows.items()
]


@pytest.mark.parametrize(("check", "expected", "change"), CASES)
def test_one_kind_of_evidence(
    command: Command, image: Image, check: str, expected: str | int, change: Change
) -> None:
    """Agreement and absence cost nothing, weight 1 is a warning, weight 2 makes it undeployable."""
    judged = command.judge(image(change(generalized())))
    weight = expected if isinstance(expected, int) else 0
    assert judged.finding(check)["status"] == ("failed" if weight else expected), judged.finding(check)
    if weight and not other_contradictions(judged, check):
        assert score(judged) == weight
    assert judged.answer == (("undeployable", 1) if score(judged) >= 2 else ("deployable", 0))


def other_contradictions(judged: Judged, check: str) -> list[str]:
    """What else in the table failed."""
    return [other for other in ROWS if other != check and judged.finding(other)["status"] == "failed"]


def score(judged: Judged) -> int:
    """The sum of weights; `evidence-agrees` gives it as a pass, a warning for 1, an error from 2."""
    with Files() as files:
        given = {
            "source": files.open(judged["path"]),
            "files": files,
            "input_format": None,
            "parents": (),
            "chosen": 0,
        }
        facts = Facts({}, {}).about({**IMAGE_FACTS, **INSTALLATION_FACTS}, **given)
        readings = [each.reading for each in facts.call(corroborators)]
    weight = sum(reading.weight for reading in readings if reading)
    finding = judged.finding("evidence-agrees")
    said = finding["status"] if finding["status"] != "failed" else finding["severity"]
    assert said == ("passed", "warning", "error")[min(weight, 2)]
    return weight


# --- the verdict ---------------------------------------------------------------------------------


def test_one_contradiction_is_a_warning(command: Command, image: Image) -> None:
    """Deployable, the contradiction named; `--fail-on warning` makes the command fail and no more."""
    path = image(tag(ABSENT)(generalized()))
    judged = command.judge(path)
    assert judged.answer == ("deployable", 0)
    assert judged["summary"] == "Generalization completed, with 2 warnings."
    assert "sysprep-tag" in judged.finding("evidence-agrees")["message"]
    assert command.judge(path, "--fail-on", "warning").answer == ("deployable", 1)


def test_two_contradictions_of_weight_one_are_undeployable(command: Command, image: Image) -> None:
    """Two that are small alone are not small together."""
    judged = command.judge(image(both(setup(CmdLine=FOREIGN), ini(state_ini(COMPLETE)))(generalized())))
    assert judged.answer == ("undeployable", 1)
    assert score(judged) == 2
    assert "ImageState contradicts the setup state" in judged["summary"]
    found = [each["found"] for each in judged.finding("evidence-agrees")["evidence"]]
    assert any(FOREIGN in each for each in found)
    assert COMPLETE in found


@pytest.mark.parametrize("state", [COMPLETE, UNDEPLOYABLE, GENERALIZED_AUDIT, SPECIALIZED_OOBE])
def test_good_evidence_never_outweighs_another_state(command: Command, image: Image, state: str) -> None:
    """Where ImageState is not the good one, everything else only explains."""
    judged = command.judge(image(generalized().software(STATE_KEY, ImageState=state)))
    assert judged.answer == ("undeployable", 1)
    assert {judged.finding(check)["status"] for check in [*ROWS, "evidence-agrees"]} == {NEUTRAL}


def test_an_armed_system_hive_alone_corroborates(command: Command, image: Image) -> None:
    """Everything that may be absent is absent: the armed Setup key is evidence enough."""
    bare = both(ini(ABSENT), servicing(ABSENT), tag(ABSENT), log(ABSENT), panther())(generalized())
    judged = command.judge(image(bare.without_key("SYSTEM", STATUS_KEY)))
    assert judged.answer == ("deployable", 0)
    assert "1 of 6 kinds of evidence agree" in judged.finding("evidence-agrees")["message"]


RUNNING = both(setup(SetupType=0, CmdLine=""), state(GeneralizationState=7), setup_child(3))


def BROKEN(windows: Windows) -> Windows:  # noqa: N802 - stands among the changes
    """Write the state that a phase leaves which did not complete."""
    return with_state(windows, UNDEPLOYABLE)


WORKED_CASES: dict[str, tuple[int | None, Windows]] = {
    "healthy sysprep": (0, generalized()),
    "DISM-applied install.wim": (0, wim_applied()),
    "DISM-applied install.wim, SetupType 2": (0, setup(SetupType=2)(wim_applied())),
    "from an Azure VM, sysprepped again": (
        0,
        runs(Run(start=INSTALLED), Run(old_tag=True))(generalized())
        .file(r"Windows\Panther\WaSetup.log", b"Azure\r\n")
        .file(r"Windows\OEM\SetupComplete.cmd", b"rem\r\n")
        .system(r"Setup\AzureProvisioning", Done=1),
    ),
    "OOBE-bypass script on an applied WIM": (4, RUNNING(wim_applied())),
    "debloated WIM applied": (1, setup_child(3)(wim_applied())),
    "Panther and tag deleted by builder": (
        0,
        both(log(ABSENT), tag(ABSENT), panther())(generalized()),
    ),
    "value edited on an installed disk": (5, installed().software(STATE_KEY, ImageState=GENERALIZED_OOBE)),
    "value and copies edited, old tag and log": (
        4,
        both(runs(Run(INSTALLED + DAY / 24)), tag(b""))(with_state(installed(), GENERALIZED_OOBE)),
    ),
    "arming lost": (4, both(setup(SetupType=0, CmdLine=""), state(GeneralizationState=3))(generalized())),
    "power-off during generalize": (
        None,
        both(BROKEN, state(GeneralizationState=3), runs(Run(ending="interrupted")))(installed()),
    ),
    "booted once, then powered off": (None, both(BROKEN, panther(LATER), setup_child(1))(generalized())),
    "booted, specialized": (
        None,
        both(state(GeneralizationState=7), panther(LATER))(with_state(generalized(), SPECIALIZED_OOBE)),
    ),
    "booted, finished": (None, both(RUNNING, panther(LATER))(with_state(generalized(), COMPLETE))),
    "folklore fix after a failed sysprep": (
        None,
        both(BROKEN, state(GeneralizationState=7), runs(Run(ending="appx")))(installed()),
    ),
    "password tool left CmdLine": (1, setup(CmdLine=FOREIGN)(generalized())),
    "second run after a success with /quit": (2, both(runs(Run(), AGAIN), tag(ABSENT))(generalized())),
}  # fmt: skip
"""The cases of the decision with their scores; None where ImageState alone decides."""


@pytest.mark.parametrize(("expected", "windows"), WORKED_CASES.values(), ids=WORKED_CASES)
def test_worked_cases(command: Command, image: Image, expected: int | None, windows: Windows) -> None:
    """Each case that the decision works through gets the score and the verdict that it has there."""
    judged = command.judge(image(windows))
    if expected is None:
        assert judged.answer == ("undeployable", 1)
        assert judged.finding("image-state")["status"] == "failed"
    else:
        assert score(judged) == expected
        assert judged.answer == (("deployable", 0) if expected < 2 else ("undeployable", 1))


def test_a_second_run_is_told_by_its_log(command: Command, image: Image) -> None:
    """Tag and log fall together when sysprep is run twice; the evidence then quotes the log."""
    judged = command.judge(image(both(runs(Run(), AGAIN), tag(ABSENT))(generalized())))
    found = " ".join(each["found"] for each in judged.finding("evidence-agrees")["evidence"])
    assert "0x0f0073" in found


def test_a_broken_generalization_is_told_by_its_log(command: Command, image: Image) -> None:
    """Where ImageState is bad, its finding quotes what sysprep tripped over."""
    judged = command.judge(image(runs(Run(ending="appx"))(with_state(installed(), UNDEPLOYABLE))))
    found = " ".join(each["found"] for each in judged.finding("image-state")["evidence"])
    assert "WindowsCalculator" in found
    assert "0x0f00a8" in found


REPEATED: dict[str, Change] = {
    "the second without generalize failed": both(
        runs(Run(), Run(SHUT_DOWN + DAY, ("OOBE", "QUIT"), "recorded-state")), tag(ABSENT)
    ),
    "started, then the second failed": both(
        runs(Run(), Run(start=SHUT_DOWN + 2 * DAY, ending="validation")), panther(LATER)
    ),
    "started, then the second broke off": both(
        runs(Run(), Run(start=SHUT_DOWN + 2 * DAY, ending="interrupted")), panther(LATER)
    ),
}  # fmt: skip


@pytest.mark.parametrize("change", REPEATED.values(), ids=REPEATED)
def test_an_earlier_run_is_not_forgotten(command: Command, image: Image, change: Change) -> None:
    """The tag that the first run left, and the start after it, count besides the second run's end."""
    judged = command.judge(image(change(generalized())))
    assert score(judged) == 2
    assert judged.answer == ("undeployable", 1)


# --- logs as they occur --------------------------------------------------------------------------


@pytest.mark.parametrize("ending", ["success", "appx", "validation", "recorded-state", "interrupted"])
@pytest.mark.parametrize("empty_first_line", [False, True], ids=["plain", "empty first line"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16-le"])
def test_encodings_of_the_log(
    command: Command, image: Image, encoding: str, empty_first_line: bool, ending: str
) -> None:
    """A mark in front, an empty first line, UTF-16: what the log says stays the same."""
    content = sysprep_log(
        Run(start=INSTALLED), Run(ending=ending), encoding=encoding, empty_first_line=empty_first_line
    )
    judged = command.judge(image(log(content)(generalized())))
    run = judged["facts"]["setup_state"]["last_sysprep_run"]
    assert run["started"] == "2024-05-14T16:20:00"
    assert run["options"] == ["GENERALIZE", "OOBE", "SHUTDOWN"]
    assert run["ending"] == {"success": "succeeded", "interrupted": "broke off"}.get(ending, "failed")


def test_a_log_line_is_named_by_its_number(command: Command, image: Image) -> None:
    """Evidence from a log can be found again in an editor."""
    content = sysprep_log(Run(ending="appx"))
    judged = command.judge(image(log(content)(generalized())))
    lines = content.decode().splitlines()
    for evidence in judged.finding("sysprep-log")["evidence"]:
        assert evidence["path"] == "\\" + SYSPREP_LOG
        assert evidence["found"] == lines[evidence["line"] - 1]


@pytest.mark.parametrize(
    "name",
    ["sysprep-appx-not-provisioned.log", "sysprep-reserved-storage.log", "setupact-generalize-options.log"],
)
def test_logs_of_others(command: Command, image: Image, corpus: Corpus, name: str) -> None:
    """Excerpts that Microsoft printed, one in ConfigMgr's layout: failed, failed, without an end."""
    judged = command.judge(image(log(corpus[f"logs/{name}"])(generalized())))
    assert judged.finding("sysprep-log")["status"] == "failed"
    assert judged.answer == ("deployable", 0)


# --- what cannot be read -------------------------------------------------------------------------


def hide(path: Path, *files: str) -> None:
    """Damage the file records of these files in the second volume of an image that is a raw disk."""
    (start,) = struct.unpack("<I", damage.read(path, 446 + 16 + 8, 4))  # the MBR's second entry
    volume = Volume(path, start * 512)
    for file in files:
        damage.flip(path, volume.offset_of(volume.numbers[file.lower()]) + 510, 0xFF)


def judged_without(command: Command, path: Path, *files: str) -> Judged:
    """The judgement on an image whose records of these files are damaged."""
    hide(path, *files)
    return command.judge(path)


def on_one_disk(image: Image, windows: Windows) -> Path:
    """An image whose bytes are the disk's, so that a test can reach into it."""
    return image(windows, "vhd-fixed", scheme="mbr")


def test_one_unknown_of_weight_one_is_no_doubt(command: Command, image: Image) -> None:
    """A State.ini that cannot be read could add 1 at most, which would still be deployable."""
    judged = judged_without(command, on_one_disk(image, generalized()), STATE_INI)
    assert judged.finding("state-ini-agrees")["status"] == "unknown"
    assert judged.finding("state-ini-agrees")["evidence"][0]["path"] == "\\" + STATE_INI
    assert judged.answer == ("deployable", 0)
    assert isinstance(judged["facts"]["setup_state"]["state_ini"], dict)


UNKNOWN_IN_SUM: dict[str, tuple[Change, tuple[str, ...]]] = {
    "one contradiction, one unknown": (setup(CmdLine=FOREIGN), (STATE_INI,)),
    "the log, on which three rest": (both(), (SYSPREP_LOG,)),
    "tag and State.ini": (both(), (TAG, STATE_INI)),
}


@pytest.mark.parametrize(("change", "files"), UNKNOWN_IN_SUM.values(), ids=UNKNOWN_IN_SUM)
def test_unknowns_that_could_weigh_two_are_doubt(
    command: Command, image: Image, change: Change, files: tuple[str, ...]
) -> None:
    """As soon as what is unknown could make it undeployable, it is not called deployable."""
    judged = judged_without(command, on_one_disk(image, change(generalized())), *files)
    finding = judged.finding("evidence-agrees")
    assert finding["status"] == "unknown"
    lost = {evidence["path"] for evidence in finding["evidence"] if evidence["effect"] == "lost"}
    assert lost == {"\\" + file for file in files}
    assert judged.answer == ("indeterminate", 3)


def test_unknowns_do_not_undo_a_contradiction(command: Command, image: Image) -> None:
    """What is known to weigh 2 is undeployable, whatever else cannot be read."""
    windows = setup(SetupType=0)(generalized())
    judged = judged_without(command, on_one_disk(image, windows), STATE_INI, SYSPREP_LOG)
    assert judged.answer == ("undeployable", 1)


def unclean(windows: Windows) -> Windows:
    """A SYSTEM hive whose newest writes are in logs that are not there."""
    hive = bytearray(windows.hive_bytes("SYSTEM"))
    hive[4:8] = struct.pack("<I", struct.unpack_from("<I", hive, 4)[0] + 1)
    checksum = 0
    for (word,) in struct.iter_unpack("<I", hive[:508]):
        checksum ^= word
    hive[508:512] = struct.pack("<I", checksum)
    return windows.file(SYSTEM_FILE, bytes(hive))


SYSTEM_HIVES: dict[str, Change] = {
    "missing": lambda windows: windows.without_hive("SYSTEM"),
    "empty": lambda windows: windows.file(SYSTEM_FILE, b""),
    "zeros": lambda windows: windows.file(SYSTEM_FILE, bytes(2**16)),
    "garbage": lambda windows: windows.file(SYSTEM_FILE, b"regf\7\1" * 2**13),
    "cut": lambda windows: windows.file(SYSTEM_FILE, windows.hive_bytes("SYSTEM")[:4096]),
    "the text of another file": lambda windows: windows.file(SYSTEM_FILE, sysprep_log()),
    "unclean, without its logs": unclean,
}  # fmt: skip


@pytest.mark.parametrize("change", SYSTEM_HIVES.values(), ids=SYSTEM_HIVES)
def test_without_the_system_hive_nothing_is_said(command: Command, image: Image, change: Change) -> None:
    """Windows does not start without it, and what it holds weighs 2: indeterminate, never deployable."""
    judged = command.judge(image(change(generalized())))
    assert judged.answer == ("indeterminate", 3)
    for check in ("setup-pending", "generalization-state", "evidence-agrees"):
        assert judged.finding(check)["status"] == "unknown"
    assert judged.finding("image-state")["status"] == "passed"
    assert SYSTEM_FILE in judged["summary"]


def test_without_the_system_hive_a_bad_state_stays_bad(command: Command, image: Image) -> None:
    """ImageState alone makes an image undeployable."""
    judged = command.judge(image(with_state(generalized(), UNDEPLOYABLE).without_hive("SYSTEM")))
    assert judged.answer == ("undeployable", 1)


# --- hives that Windows wrote --------------------------------------------------------------------

REAL_HIVES = {"SYSTEM_win7.xz": "x86", "SYSTEM_win10_2004.gz": "AMD64"}
"""Hives of installed systems, and for which processors those are."""
ARMED = both(setup(SetupType=2, CmdLine=r"oobe\windeploy.exe"), state(GeneralizationState=4), setup_child(0))


def on_real(hive: bytes, changes: Iterable[Change]) -> Windows:
    """A healthy image with a real SYSTEM hive, in which only these values are changed."""
    bare = generalized().without_hive("SYSTEM")
    return both(*changes)(bare).on_hive("SYSTEM", hive)


@pytest.mark.parametrize("name", REAL_HIVES)
@pytest.mark.parametrize(
    ("changes", "answer"),
    [
        ([ARMED], ("deployable", 0)),
        ([ARMED, setup(CmdLine=FOREIGN)], ("deployable", 0)),
        ([ARMED, setup(SetupType=0)], ("undeployable", 1)),
        ([ARMED, state(GeneralizationState=3)], ("undeployable", 1)),
        ([], ("undeployable", 1)),
    ],
    ids=["armed", "foreign command", "disarmed", "broken off", "as it was"],
)
def test_system_hives_of_windows(
    command: Command, image: Image, corpus: Corpus, name: str, changes: list[Change], answer: tuple[str, int]
) -> None:
    """In hives of 11 MB with 33,000 keys the same values give the same verdicts."""
    judged = command.judge(image(on_real(corpus[f"hives/windows/{name}"], changes)))
    assert judged.answer == answer
    assert judged["facts"]["installation"]["architecture"] == REAL_HIVES[name]
