"""Why sysprep failed: every known failure from a log of it, and what the report makes of the rest.

`tests/logs` has a log for each entry of the knowledge base.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.command import Command
from tests.conftest import Corpus
from tests.images import (
    ABSENT,
    CHILDREN_KEY,
    COMPLETE,
    SETUP_KEY,
    SETUP_LOG,
    SYSPREP_ERRORS,
    SYSPREP_LOG,
    SYSPREP_STATUS_KEY,
    UNDEPLOYABLE,
    VERSION_KEY,
    Run,
    Windows,
    generalized,
    installed,
    setup_log,
    undeployable,
    with_state,
    with_sysprep_run,
)
from tests.images.boot import pe_stub
from tests.images.logs import BENIGN_ERRORS, STORE_PACKAGE, Line, encode_log, sysprep_log
from tests.images.presets import APPX_KEY, BUILD_USER
from tests.images.stock import SERVICES_KEY
from tests.images.times import SHUT_DOWN, SYSPREPPED
from validator.windows.sysprep_failures import Failure, find_failure, is_benign, knowledge, read_file
from validator.windows.sysprep_log import read_log
from validator.windows.text import Line as LogLine
from validator.windows.text import LineReader, decode

Image = Callable[..., Path]
LOGS = Path(__file__).parent / "logs"
DAY = timedelta(days=1)
ALL = {failure.id: failure for failure in knowledge().failures}
PACKAGE_CLAUSE = (
    f"the Store package {STORE_PACKAGE} is installed for a user, but not provisioned for all users"
)


class Bytes:
    """A log in memory, and how much of it was read."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.read = 0

    @property
    def size(self) -> int:
        return len(self.data)

    def read_at(self, offset: int, length: int) -> bytes:
        self.read += length
        return self.data[offset : offset + length]


def failed(log: bytes) -> Windows:
    """An image whose generalization broke off with this log."""
    return undeployable().file(SYSPREP_LOG, log).file(SYSPREP_ERRORS, ABSENT)


def first_time(log: bytes) -> datetime:
    """When the first dated line was written."""
    return next(time for text in decode(log).splitlines() if (time := LogLine(text, None).time))


def started_badly(log: bytes) -> Windows:
    """An image that was generalized, then started, and whose first start failed."""
    sealed = first_time(log) - DAY
    windows = with_sysprep_run(with_state(generalized(), UNDEPLOYABLE), Run(start=sealed))
    return windows.system(CHILDREN_KEY, {"setup.exe": 1}).file(SETUP_LOG, log)


def image_state(command: Command, path: Path) -> dict[str, Any]:
    """The finding about ImageState."""
    return command.judge(path).finding("image-state")


# --- the knowledge base --------------------------------------------------------------------------


def test_every_entry_has_a_log_and_every_log_an_entry() -> None:
    assert {path.stem for path in LOGS.glob("*.log")} == set(ALL)


@pytest.mark.parametrize("entry", read_file()["failure"], ids=lambda each: each["id"])
def test_an_entry_is_complete(entry: dict[str, Any]) -> None:
    """Nothing is misspelt, nothing left out, and what is to be filled in can be."""
    known = {
        "id",
        "log",
        "after",
        "signatures",
        "cause",
        "remedy",
        "commands",
        "disk",
        "sources",
        "confirmed",
    }
    assert set(entry) <= known
    assert known - {"after", "commands", "disk", "confirmed"} <= set(entry)
    assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", entry["id"])
    assert entry["log"] in ("sysprep", "setup")
    assert entry["sources"]
    assert all(re.match(r"https://\S+$", source) for source in entry["sources"])
    assert not entry["cause"].endswith(".")
    assert entry["remedy"].endswith(".")
    names = {name for pattern in entry["signatures"] for name in re.compile(pattern).groupindex}
    for text in (entry["cause"], entry["remedy"], *entry.get("commands", ())):
        assert set(re.findall(r"\{(\w*)\}", text)) <= names, text


def test_ids_are_given_once() -> None:
    assert len(ALL) == len(knowledge().failures)


@pytest.mark.parametrize("failure", ALL.values(), ids=ALL)
def test_a_failure_is_known_by_its_log(command: Command, image: Image, failure: Failure) -> None:
    """The report names the cause, the line, and what to do, without a placeholder left."""
    log = (LOGS / f"{failure.id}.log").read_bytes()
    finding = image_state(command, image((failed if failure.log == "sysprep" else started_badly)(log)))
    assert finding["cause"]["id"] == failure.id
    assert finding["cause"]["text"] in finding["message"]
    remedy = [finding["remedy"]["text"], *finding["remedy"]["commands"]]
    assert not re.search(r"\{\w*\}", " ".join([finding["message"], *remedy]))
    assert len(remedy) >= 2 + len(failure.commands)
    assert set(failure.sources) < set(finding["references"])
    wanted = SYSPREP_LOG if failure.log == "sysprep" else SETUP_LOG
    lines = [each for each in finding["evidence"] if each["path"] == "\\" + wanted]
    told = [text.strip() for text in decode(log).replace("\r", "").split("\n")]
    assert lines
    assert all(each["found"] in told[each["line"] - 1] for each in lines if each["line"])


@pytest.mark.parametrize("failure", ALL.values(), ids=ALL)
def test_a_log_has_no_line_of_its_failure_that_is_called_benign(failure: Failure) -> None:
    log = (LOGS / f"{failure.id}.log").read_bytes()
    known = find_failure(list(LineReader(Bytes(log)))[::-1], failure.log, after_success=True)
    assert known is not None
    assert not any(map(is_benign, known.lines))


def test_the_words_of_failures_before_a_run_that_succeeded_are_none(command: Command, image: Image) -> None:
    """What earlier runs said, all of them, is no finding of a healthy image."""
    logs = (LOGS / f"{failure.id}.log" for failure in ALL.values() if failure.log == "sysprep")
    lines = [line for log in logs for line in decode(log.read_bytes()).replace("\r", "").split("\n")]
    log = encode_log(lines) + sysprep_log(Run(old_tag=True))
    judged = command.judge(image(generalized().file(SYSPREP_LOG, log)))
    assert judged.answer == ("deployable", 0)
    assert {each["status"] for each in judged["findings"]} == {"passed", "not applicable"}


def test_errors_of_healthy_runs_are_no_finding(command: Command, image: Image) -> None:
    judged = command.judge(image(with_sysprep_run(generalized(), Run(benign_errors=True))))
    assert judged.answer == ("deployable", 0)
    assert {each["status"] for each in judged["findings"]} == {"passed", "not applicable"}
    assert all(is_benign(LogLine(line.at(SYSPREPPED), None)) for line in BENIGN_ERRORS)


def test_errors_of_healthy_runs_are_no_reason(command: Command, image: Image) -> None:
    """They stand right before the fatal line, and the real reason is not known."""
    fatal = Line("RunDlls:An error occurred while running registry sysprep DLLs, halting. dwRet = 0x77",
                 0x0F0070, "Error")  # fmt: skip
    log = sysprep_log(Run(ending="interrupted"))
    log += encode_log([line.at(SYSPREPPED + DAY) for line in (*BENIGN_ERRORS, fatal)])
    finding = image_state(command, image(failed(log)))
    assert finding["cause"] is None
    found = " ".join(each["found"] for each in finding["evidence"])
    assert "dwRet = 0x77" in found
    assert "MRTGeneralize" not in found


@pytest.mark.parametrize(
    ("name", "cause", "says"),
    [
        (
            "sysprep-appx-not-provisioned.log",
            "store-package-onedrive",
            "Microsoft.OneDriveSync_21220.1024.5.0_neutral__8wekyb3d8bbwe",
        ),
        ("sysprep-reserved-storage.log", "reserved-storage", "the storage that Windows reserves for updates"),
    ],
)
def test_logs_that_microsoft_printed(
    command: Command, image: Image, corpus: Corpus, name: str, cause: str, says: str
) -> None:
    finding = image_state(command, image(failed(corpus[f"logs/{name}"])))
    assert finding["cause"]["id"] == cause
    assert says in finding["message"]


def test_an_error_log_that_microsoft_printed(command: Command, image: Image, corpus: Corpus) -> None:
    """Only `setuperr.log` is left, and its lines bear no time."""
    windows = undeployable().file(SYSPREP_LOG, ABSENT)
    path = image(windows.file(SYSPREP_ERRORS, corpus["logs/setuperr-rearm-exhausted.log"]))
    finding = image_state(command, path)
    assert finding["cause"]["id"] == "rearm-count"
    assert {each["path"] for each in finding["evidence"]} >= {"\\" + SYSPREP_ERRORS}


# --- on the first screen -------------------------------------------------------------------------


def test_the_first_screen_names_the_package_and_its_command(command: Command, image: Image) -> None:
    """24 lines of 80 columns: what stopped sysprep, and what removes it."""
    outcome = command("check", image(undeployable()))
    screen = outcome.stdout.splitlines()[:24]
    assert PACKAGE_CLAUSE in " ".join(line.strip() for line in screen)
    assert f"              Remove-AppxPackage -Package {STORE_PACKAGE} -AllUsers" in screen


# --- what the disk says to it --------------------------------------------------------------------

Change = Callable[[Windows], Windows]


def log_of(name: str) -> bytes:
    return (LOGS / f"{name}.log").read_bytes()


def appx(kind: str, name: str = STORE_PACKAGE) -> Change:
    return lambda windows: windows.software(rf"{APPX_KEY}\{kind}\{name}", Path="")


def nobody_has_it(windows: Windows) -> Windows:
    return windows.without_key("SOFTWARE", rf"{APPX_KEY}\{BUILD_USER}")


ANSWERS: dict[str, tuple[str | None, Change, str]] = {
    "a package of a user": (
        None,
        lambda windows: windows,
        "installed for this user in version 11.2403.6.0, and not provisioned for all users",
    ),
    "provisioned since": (None, appx("Applications"), "provisioned for all users now, in version 11.2403"),
    "a user of Entra ID": (
        None,
        lambda windows: appx("S-1-12-1-1-2-3-4")(nobody_has_it(windows)),
        "installed for this user",
    ),
    "removed since": (None, nobody_has_it, "no user has it now, and it is not provisioned"),
    "an old Windows": (
        "rearm-count",
        lambda windows: windows.software(VERSION_KEY, CurrentBuild="7601", CurrentBuildNumber="7601"),
        "build 7601: Windows can be rearmed 3 times in all",
    ),
    "a new Windows": ("rearm-count", lambda windows: windows, "rearmed 1001 times in all"),
    "not encrypted now": ("bitlocker", lambda windows: windows, "the volume of Windows is not encrypted now"),
    "a service that is disabled": (
        "appx-service-disabled",
        lambda windows: windows.system(rf"{SERVICES_KEY}\AppXSvc", Type=32, Start=4),
        "4 (disabled)",
    ),
    "no such service": (
        "appx-service-disabled",
        lambda windows: windows.without_key("SYSTEM", rf"{SERVICES_KEY}\AppXSvc"),
        "no such service",
    ),
    "no update waits": ("update-reboot", lambda windows: windows, "no sign of an update that waits"),
    "an update waits": (
        "update-reboot",
        lambda windows: windows.software(
            r"Microsoft\Windows\CurrentVersion\Component Based Servicing\RebootPending", x=1
        ),
        "there: an update waits for a restart",
    ),
    "files wait": (
        "update-reboot",
        lambda windows: windows.file(r"Windows\WinSxS\pending.xml", b"<x/>"),
        "file operations wait for a restart (4 bytes)",
    ),
    "reserved storage": (
        "reserved-storage",
        lambda windows: windows.software(
            r"Microsoft\Windows\CurrentVersion\ReserveManager", ActiveScenario=8, ShippedWithReserves=1
        ),
        "ActiveScenario is 8",
    ),
    "upgraded": (
        "upgraded-windows",
        lambda windows: windows.system(rf"{SETUP_KEY}\Source OS (Updated on 5/1/2024 10:00:00)", Old="x"),
        "upgraded in place",
    ),
    "onboarded": (
        "defender-onboarded",
        lambda windows: windows.software(
            r"Microsoft\Windows Advanced Threat Protection", senseGuid="{1}"
        ).software(r"Microsoft\Windows Advanced Threat Protection\Status", OnboardingState=1),
        "there: onboarded",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("log", "change", "says"), ANSWERS.values(), ids=ANSWERS)
def test_the_disk_is_asked(
    command: Command, image: Image, log: str | None, change: Change, says: str
) -> None:
    """What the log names is looked for on the disk, and what is there stands beside the line."""
    windows = undeployable() if log is None else failed(log_of(log))
    finding = image_state(command, image(change(windows)))
    assert says in " | ".join(each["found"] for each in finding["evidence"])


@pytest.mark.parametrize("there", [False, True])
def test_a_provider_is_looked_for(command: Command, image: Image, there: bool) -> None:
    """Whether its library is there, and the value that makes sysprep call it."""
    known = find_failure(list(LineReader(Bytes(log_of("provider-of-another-program"))))[::-1], "sysprep")
    assert known is not None
    library = known.names[0]["library"]
    key = r"Microsoft\Windows\CurrentVersion\Setup\SysPrepExternal\Generalize"
    windows = failed(log_of("provider-of-another-program")).software(key, {"{1}": f"{library},Entry"})
    if there:
        windows = windows.file(library.partition("\\")[2], pe_stub())
    finding = image_state(command, image(windows))
    found = [each["found"] for each in finding["evidence"]]
    assert ("the library is there" if there else "no such file") in found
    assert f"{library},Entry" in found


# --- what happened instead -----------------------------------------------------------------------


def state_of(state: str, *runs: Run, gs: int = 7) -> Windows:
    """An image in a state, with these runs in sysprep's log."""
    windows = with_state(installed(), state).system(SYSPREP_STATUS_KEY, GeneralizationState=gs)
    return with_sysprep_run(windows, *runs)


BOOTED = setup_log(start=SHUT_DOWN + DAY)
STORIES: dict[str, tuple[Windows, str]] = {
    "refused by validation": (
        state_of(COMPLETE, Run(ending="validation")),
        f"This is a specialized disk: sysprep's last run failed (2024-05-14): {PACKAGE_CLAUSE}.",
    ),
    "started and set up": (
        state_of(COMPLETE, Run()).file(SETUP_LOG, BOOTED),
        "This is a specialized disk: generalization completed, and the image was started afterwards.",
    ),
    "started": (
        state_of(UNDEPLOYABLE, Run(), gs=4).file(SETUP_LOG, BOOTED),
        "Generalization completed, and the image was started afterwards.",
    ),
    "started, without logs": (
        with_state(generalized(), UNDEPLOYABLE)
        .system(CHILDREN_KEY, {"setup.exe": 1})
        .file(SYSPREP_LOG, ABSENT)
        .file(SYSPREP_ERRORS, ABSENT),
        "The image was started after it had been generalized, and Windows Setup did not finish.",
    ),
    "changed": (
        state_of(UNDEPLOYABLE, Run(), gs=4).file(SETUP_LOG, ABSENT),
        "Sysprep's last run succeeded, by its log: the image was started since, or its state was changed.",
    ),
    "not told to generalize": (
        state_of(COMPLETE, Run(options=("OOBE", "QUIT"))),
        "This is a specialized disk: sysprep's last run was not told to generalize (sysprep /oobe /quit).",
    ),
    "broken off": (
        state_of(UNDEPLOYABLE, Run(ending="interrupted"), gs=3),
        "Sysprep's last run ended without a result in the phase “generalize”, after Sysprep_Clean_Opk: the "
        "machine was switched off or restarted",
    ),
    "refused for an earlier failure": (
        state_of(UNDEPLOYABLE, Run(ending="appx"), Run(SHUT_DOWN + DAY, ending="recorded-state"), gs=3),
        f"did not complete: {PACKAGE_CLAUSE}.",
    ),
    "refused, and the earlier log is gone": (
        state_of(UNDEPLOYABLE, Run(ending="recorded-state"), gs=3),
        f"did not complete: {ALL['recorded-state'].cause}.",
    ),
    "never generalized": (
        with_state(installed(), COMPLETE).file(SYSPREP_LOG, ABSENT),
        "This is a specialized disk: a finished installation that is not generalized. Run sysprep /gen",
    ),
    "failed long ago, then without a log": (
        with_state(installed(), UNDEPLOYABLE),
        "Generalization was started and did not complete. The image must be rebuilt",
    ),
}


@pytest.mark.parametrize(("windows", "says"), STORIES.values(), ids=STORIES)
def test_what_happened_is_told(command: Command, image: Image, windows: Windows, says: str) -> None:
    judged = command.judge(image(windows))
    assert judged.answer == ("undeployable", 1)
    assert says in judged["summary"]


def test_a_failure_behind_an_edited_state(command: Command, image: Image) -> None:
    """ImageState was set by hand after sysprep failed: the cause is told all the same."""
    judged = command.judge(image(with_state(undeployable(), "IMAGE_STATE_GENERALIZE_RESEAL_TO_OOBE")))
    assert judged.answer == ("undeployable", 1)
    assert PACKAGE_CLAUSE in judged["summary"]
    for check in ("evidence-agrees", "sysprep-log"):
        assert judged.finding(check)["cause"]["id"] == "store-package"


# --- logs as they occur --------------------------------------------------------------------------


def test_an_unknown_failure_is_shown_as_it_is(command: Command, image: Image) -> None:
    """Never hidden: the fatal lines, with their times."""
    end = [
        Line("Something that nobody has seen before, dwRet = 0x4711", level="Error"),
        Line("RunDlls:An error occurred while running registry sysprep DLLs, halting. dwRet = 0x4711",
             0x0F0070, "Error"),
    ]  # fmt: skip
    log = sysprep_log(Run(ending="interrupted")) + encode_log([each.at(SYSPREPPED + DAY) for each in end])
    finding = image_state(command, image(failed(log)))
    assert finding["cause"] is None
    assert "for a reason that is not known here" in finding["message"]
    times = [each["time"] for each in finding["evidence"] if "0x4711" in each["found"]]
    assert times == ["2024-05-15T16:20:00"] * 2


def test_a_run_goes_on_in_a_rotated_log(command: Command, image: Image) -> None:
    """The beginning of the last run lies in the newest of the parts that were rotated away."""
    lines = decode(sysprep_log(Run(ending="appx"))).splitlines()
    older = encode_log(decode(sysprep_log(Run(start=SYSPREPPED - DAY))).splitlines())
    windows = (
        failed(encode_log(lines[14:]))
        .file(f"{SYSPREP_LOG}.2", older)
        .file(f"{SYSPREP_LOG}.1", encode_log(lines[:14]))
    )
    judged = command.judge(image(windows))
    run = judged["facts"]["setup_state"]["last_sysprep_run"]
    assert run["options"] == ["GENERALIZE", "OOBE", "SHUTDOWN"]
    assert run["started"] == "2024-05-14T16:20:00"
    assert judged.finding("image-state")["cause"]["id"] == "store-package"


def test_a_long_log_costs_no_more() -> None:
    """A hundred megabytes, the last run at its end: as much is read as of one megabyte."""
    tail = sysprep_log(Run(ending="appx"))
    line = f"{Line('noise', component='CBS').at(SYSPREPPED - DAY)}\r\n".encode()
    costs = []
    for size in (2**20, 100 * 2**20):
        log = Bytes(line * (size // len(line)) + tail)
        found = read_log(log)
        assert found is not None
        assert found.last_run.options == ("GENERALIZE", "OOBE", "SHUTDOWN")
        costs.append(log.read)
    assert max(costs) - min(costs) < 4096
    assert max(costs) < 2**20


def test_a_failure_at_the_end_of_a_run_that_is_longer_than_the_search() -> None:
    """Its beginning is too far away, but its end says that it failed, and why."""
    lines = decode(sysprep_log(Run(ending="appx"))).splitlines()
    noise = [Line("noise", component="CBS").at(SYSPREPPED)] * 20_000
    found = read_log(Bytes(encode_log([*lines[:12], *noise, *lines[12:]])))
    assert found is not None
    assert not found.last_run.begun
    known = find_failure(found.last_run.trouble, "sysprep")
    assert known is not None
    assert known.failure.id == "store-package"


def test_a_failure_that_names_several_things(command: Command, image: Image) -> None:
    """Each package gets its commands, and the sentence counts them."""
    other = "Contoso.Tool_1.0.0.0_x64__abcdefghjkmnp"
    text = decode(sysprep_log(Run(ending="appx")))
    (line,) = [each for each in text.splitlines() if "was installed for a user" in each]
    log = text.replace(line, f"{line}\r\n{line.replace(STORE_PACKAGE, other)}").encode()
    finding = image_state(command, image(failed(log)))
    assert "(and 1 more)" in finding["message"]
    commands = finding["remedy"]["commands"]
    assert f"Remove-AppxPackage -Package {STORE_PACKAGE} -AllUsers" in commands
    assert f"Remove-AppxPackage -Package {other} -AllUsers" in commands


# --- what must not mislead -----------------------------------------------------------------------

BEGIN = Line("===          Beginning of a new sysprep run          ===", 0x0F004D)
GENERALIZE = Line("ParseCommands:Found supported command line option 'GENERALIZE'", 0x0F005F)
FATAL = (
    Line(
        "RunDlls:An error occurred while running registry sysprep DLLs, halting. dwRet = 0x5",
        0x0F0070,
        "Error",
    ),
    Line("WinMain:Hit failure while processing sysprep generalize internal providers", 0x0F00A8, "Error"),
)
CLOSED = (BEGIN, Line("Dialog", 0x0F003D), Line("WinMain:The sysprep dialog box returned FALSE", 0x0F0043))


def later(*lines: Line) -> bytes:
    """Lines of the day after."""
    return encode_log([line.at(SYSPREPPED + DAY) for line in lines])


def failing(call: str) -> bytes:
    """A run that a provider of Windows 7's layout stopped."""
    error = Line(
        f"LaunchDll:Failure occurred while executing '{call}', returned error code 5", 0x0F0082, "Error"
    )
    return later(BEGIN, GENERALIZE, error, *FATAL)


INVALID = Line(
    "The provided unattend file is not valid; hrResult = 0x80220005", 0x060432, "Error", component="IBS"
)
"""Of the original installation, long before."""
MISLEADING: dict[str, tuple[Windows, str | None, str]] = {
    "a dialog that was closed after a failure": (
        failed(sysprep_log(Run(ending="appx")) + later(*CLOSED)),
        "store-package",
        PACKAGE_CLAUSE,
    ),
    "a dialog that was closed": (
        state_of(COMPLETE).file(SYSPREP_LOG, later(*CLOSED)),
        None,
        "sysprep was started, and came to nothing",
    ),
    "broken off while it validated": (
        failed(
            later(BEGIN, GENERALIZE, Line("WinMain:Pre-validing 'cleanup' internal providers.", 0x0F00D7))
        ),
        None,
        "ended without a result in the phase “validate cleanup”. The image must be rebuilt",
    ),
    "run again": (
        with_sysprep_run(undeployable(), Run(), Run(SHUT_DOWN + DAY, ending="recorded-state")),
        "run-again",
        "sysprep was run again on an image that it had already generalized",
    ),
    "refused after a validation that failed": (
        with_sysprep_run(
            undeployable(), Run(ending="validation"), Run(SHUT_DOWN + DAY, ending="recorded-state")
        ),
        "recorded-state",
        "sysprep refuses to go on from there",
    ),
    "an old failure of the installation": (
        state_of(UNDEPLOYABLE, Run(ending="interrupted"), gs=3).file(
            SETUP_LOG, encode_log([INVALID.at(SYSPREPPED - 9 * DAY)]) + setup_log()
        ),
        None,
        "ended without a result in the phase “generalize”",
    ),
    "the same, without a log of sysprep": (
        undeployable()
        .file(SYSPREP_LOG, ABSENT)
        .file(SYSPREP_ERRORS, ABSENT)
        .file(SETUP_LOG, encode_log([INVALID.at(SYSPREPPED - 9 * DAY)])),
        None,
        "Generalization was started and did not complete. The image",
    ),
    "a package that was overcome": (
        failed(
            decode(sysprep_log(Run(ending="appx")))
            .replace("[0x0f0070]", "")
            .replace("[0x0f00a8]", "")
            .encode()
            + later(Line("FCreateTagFile:Successfully created tag file x"), *FATAL)
        ),
        None,
        "for a reason that is not known here",
    ),
    "words of another component": (
        failed(
            later(
                BEGIN,
                GENERALIZE,
                Line("Failed to query pending CBS operations", component="CBS"),
                Line("There are one or more Windows updates that require a reboot.", level="Warning"),
                *FATAL,
            )
        ),
        None,
        "for a reason that is not known here",
    ),
}


@pytest.mark.parametrize(("windows", "cause", "says"), MISLEADING.values(), ids=MISLEADING)
def test_nothing_else_is_taken_for_the_cause(
    command: Command, image: Image, windows: Windows, cause: str | None, says: str
) -> None:
    judged = command.judge(image(windows))
    finding = judged.finding("image-state")
    assert (finding["cause"] or {"id": None})["id"] == cause
    assert says in judged["summary"]


def test_the_call_that_failed_is_shown(command: Command, image: Image) -> None:
    """Errors of healthy runs stand before it, and a provider that succeeded behind it."""
    call = Line(
        r"ActionPlatform::LaunchModule: Failure occurred while executing 'Sysprep_Foo' from "
        r"C:\Windows\System32\foo.dll; dwRet = 0x5",
        0x0F0082,
        "Error",
    )
    good = Line(
        r"ActionPlatform::LaunchModule: Successfully executed 'Bar' from C:\Windows\System32\bar.dll",
        0x0F0081,
    )
    finding = image_state(
        command, image(failed(later(BEGIN, GENERALIZE, *BENIGN_ERRORS, call, good, *FATAL)))
    )
    found = [each["found"] for each in finding["evidence"]]
    assert any("Sysprep_Foo" in each for each in found)
    assert not any("MRTGeneralize" in each for each in found)


HOSTILE_CALLS = {
    "a password in an argument": r"C:\A\x.dll,Prep /password:Hunter2",
    "a password in a path": r"C:\tools\password=Hunter2\x.dll,Prep",
    "net use in a path": r"C:\net use z: \\h\s Hunter2\x.dll,Prep",
}


@pytest.mark.parametrize("call", HOSTILE_CALLS.values(), ids=HOSTILE_CALLS)
def test_secrets_of_a_log_stay_inside(command: Command, image: Image, call: str) -> None:
    path = image(failed(failing(call)))
    for words in (("check", "--format", "json"), ("check",), ("inspect",)):
        assert "Hunter2" not in command(*words, path).stdout
    ended = Line(f"LaunchDll: Successfully executed '{call}' without error")
    path = image(failed(later(BEGIN, GENERALIZE, ended)))
    assert "Hunter2" not in command("check", "--format", "json", path).stdout


def test_a_name_that_hides_a_secret_gives_no_command(command: Command, image: Image) -> None:
    package = "Contoso.password=Hunter2_1.0_x64__a"
    text = decode(sysprep_log(Run(ending="appx", package=package)))
    outcome = command("check", "--format", "json", image(failed(text.encode())))
    assert "Hunter2" not in outcome.stdout


def test_placeholders_in_a_log_are_text(command: Command, image: Image) -> None:
    finding = image_state(command, image(failed(failing(r"C:\Evil\{0.__class__}{entry}.dll,Prep"))))
    assert "{0.__class__}" in finding["message"]


LINES = {
    "a rule without an end": b"=" * 200_000 + b"x\r\n",
    "rules": (b"=" * 1990 + b"x\r\n") * 200,
    "empty lines": b"\n" * 400_000,
    "short lines": b"a\n" * 200_000,
}


@pytest.mark.parametrize("lines", LINES.values(), ids=LINES)
def test_hostile_lines_cost_little(command: Command, image: Image, lines: bytes) -> None:
    """Judged in the time that is allowed: the healthy image stays green, the bad one says why."""
    good = command.judge(image(generalized().file(SYSPREP_LOG, sysprep_log(Run()) + lines)))
    assert good["verdict"] == "deployable"
    log = later(BEGIN, GENERALIZE) + lines + later(*FATAL)
    judged = command.judge(image(failed(log)))
    assert judged.answer == ("undeployable", 1)
    assert judged["duration_ms"] < 10_000


def test_a_log_of_errors_only_explains_and_weighs_nothing(command: Command, image: Image) -> None:
    """It does not say whether a later run succeeded."""
    errors = sysprep_log(Run(ending="validation"), errors_only=True)
    judged = command.judge(image(generalized().file(SYSPREP_LOG, ABSENT).file(SYSPREP_ERRORS, errors)))
    assert judged.answer == ("deployable", 0)
    edited = with_state(installed(), "IMAGE_STATE_GENERALIZE_RESEAL_TO_OOBE").file(SYSPREP_ERRORS, errors)
    judged = command.judge(image(edited))
    assert judged.finding("evidence-agrees")["cause"] is None
    assert "sysprep's last run failed" not in judged["summary"]


def test_what_was_rotated_away_alone_weighs_nothing(command: Command, image: Image) -> None:
    """Somebody emptied the log: sysprep may have run since."""
    old = sysprep_log(Run(SYSPREPPED - 40 * DAY, ending="validation"))
    windows = generalized().file(SYSPREP_LOG, b"").file(f"{SYSPREP_LOG}.0", old)
    assert command.judge(image(windows)).answer == ("deployable", 0)


def test_a_rotated_log_that_cannot_be_read_is_left_out(command: Command, image: Image) -> None:
    lines = decode(sysprep_log(Run())).splitlines()[14:]
    windows = generalized().file(SYSPREP_LOG, encode_log(lines)).file(rf"{SYSPREP_LOG}.1\file", b"")
    assert command.judge(image(windows)).answer == ("deployable", 0)


def test_lines_of_a_long_log_have_numbers(command: Command, image: Image) -> None:
    """Also where the log is read from its end only."""
    noise = [Line("noise", component="CBS").at(SYSPREPPED - DAY)] * 5_000
    log = encode_log([*noise, *decode(sysprep_log(Run(ending="appx"))).splitlines()])
    finding = image_state(command, image(failed(log)))
    told = decode(log).splitlines()
    lines = [each for each in finding["evidence"] if each["path"] == "\\" + SYSPREP_LOG]
    assert lines
    assert all(each["found"] == told[each["line"] - 1] for each in lines)
