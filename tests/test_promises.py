"""The promises that hold for every input: read-only, alone with the image, secrets inside, offline."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.command import Command, Outcome, untouched
from tests.images import (
    SETUP_KEY,
    SYSPREP_LOG,
    Raw,
    Run,
    Windows,
    damage,
    edited,
    encode_log,
    generalized,
    installed,
    sysprep_log,
    undeployable,
)
from tests.images.hive import Data

Image = Callable[..., Path]

# --- the image is never written ------------------------------------------------------------------

WATCHED = """
import json, os, sys
events = []
def watch(event, args):
    if event == "open":
        path, mode, flags = args
        path = path if isinstance(path, (str, int)) else os.fsdecode(path)
        events.append(["open", path, flags])
    elif event.split(".")[0] in ("socket", "subprocess", "ctypes") or event in (
        "os.system", "os.exec", "os.posix_spawn", "os.spawn", "os.fork", "os.forkpty", "os.rename",
        "os.remove", "os.mkdir", "os.rmdir", "os.chmod", "os.chown", "os.utime", "os.truncate", "os.link",
        "os.symlink", "os.setxattr", "os.removexattr", "tempfile.mkstemp", "tempfile.mkdtemp",
    ):
        events.append([event, str(args), 0])
sys.addaudithook(watch)
from validator.cli import main
try:
    main()
finally:
    sys.stderr.write(json.dumps(events))
"""
CONTAINERS = {
    "vhd-fixed": "mbr",
    "vhd-dynamic": "mbr",
    "vhdx-fixed": "gpt",
    "vhdx-dynamic": "gpt",
    "raw": "gpt",
}
WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND


@pytest.mark.parametrize("verb", ["check", "inspect"])
@pytest.mark.parametrize(("container", "scheme"), CONTAINERS.items())
def test_only_the_image_is_opened_and_only_for_reading(
    command: Command, image: Image, container: str, scheme: str, verb: str
) -> None:
    """No write flag on any file; besides Python's own files only the image, once; no program, no socket.

    Beside the image lie files that a careless reader would open: logs, parents, sidecars.
    """
    path = image(edited(), container, scheme=scheme)
    for name in ("disk.avhdx", "disk.vhdx.log", "SOFTWARE", "unattend.xml", "image-validator.toml"):
        path.with_name(name).write_bytes(b"bait")
    outcome = command.process(verb, path, script=WATCHED, env={"PYTHONDONTWRITEBYTECODE": "1"})
    events = json.loads(outcome.stderr)
    opened = [(name, flags) for event, name, flags in events if event == "open" and isinstance(name, str)]
    assert [name for name, _ in opened if Path(name).parent == path.parent] == [str(path)]
    assert [name for name, flags in opened if flags & WRITES] == []
    folder = str(path.parent)
    assert [name for event, name, _ in events if event != "open" and folder in name] == []
    kinds = {event for event, _, _ in events} - {"open"}
    assert not {kind for kind in kinds if not kind.startswith("ctypes")}, kinds


@pytest.mark.parametrize(
    "change",
    [os.utime, lambda path: damage.flip(path, -1), lambda path: path.with_name("beside").touch()],
    ids=["time", "byte", "neighbour"],
)
def test_every_run_of_these_tests_would_notice_a_change(
    image: Image, change: Callable[[Path], object]
) -> None:
    """The proof that `Command` gives after each run is one."""
    path = image(generalized())
    os.utime(path, (1, 1))
    with pytest.raises(AssertionError, match="was changed"), untouched([str(path)]):
        change(path)


def test_a_file_that_is_read_only_is_enough(command: Command, image: Image) -> None:
    """Judging needs no right to write, neither to the image nor to its folder."""
    path = image(generalized())
    path.chmod(0o444)
    path.parent.chmod(0o555)
    try:
        assert command.judge(path).answer == ("deployable", 0)
    finally:
        path.parent.chmod(0o755)


def test_the_same_image_gives_the_same_report(command: Command, image: Image) -> None:
    """Nothing but the time it took depends on anything but the image."""
    path = image(undeployable())
    reports = [dict(command.judge(path)) for _ in range(2)]
    for report in reports:
        report.pop("duration_ms")
    assert reports[0] == reports[1]


# --- secrets stay inside -------------------------------------------------------------------------

SECRET = "P@ssw0rd!"
COMMANDS = {
    "net user": f"cmd.exe /c net user administrator {SECRET}",
    "net user, quoted": f'cmd.exe /c net user "John Doe" "{SECRET}" /add',
    "net user, options first": f"net.exe user /add admin {SECRET}",
    "net user, several": f"cmd /c net user a {SECRET} & net1 user b {SECRET} /add & start.cmd",
    "net use": rf"net use \\server\share {SECRET} /user:admin",
    "net use, options first": rf"net use /user:admin \\server\share {SECRET}",
    "password=": f"setup.exe /password={SECRET} /quiet",
    "/pass:": f"cmdkey /generic:host /user:admin /pass:{SECRET}",
    "-p": f"psexec.exe -u admin -p {SECRET} cmd",
    "/p:": f"tool.exe /u:admin /p:{SECRET}",
    "/rp": f"schtasks /create /ru admin /rp {SECRET} /tn x",
    "-pwd": f"dsadd user cn=a -pwd {SECRET}",
    "PowerShell": f"powershell New-LocalUser a -Password (ConvertTo-SecureString '{SECRET}' -AsPlainText)",
    "PowerShell, bare": f"powershell ConvertTo-SecureString {SECRET} -AsPlainText -Force",
    "PowerShell, assigned": f"powershell $password = '{SECRET}'; $pw='{SECRET}'",
    "URL": f"curl https://user:{SECRET}@host/file",
    "curl": f"curl -u user:{SECRET} https://host/file",
    "signature": f"azcopy https://host/disk.vhd?sv=2024&sig={SECRET}",
    "connection string": f"sqlcmd Server=db;Uid=sa;Pwd={SECRET};Encrypt=yes",
    "account key": f"AccountName=a;AccountKey={SECRET};EndpointSuffix=x",
    "environment": f"cmd /c set ADMIN_PASSWORD={SECRET}&& start.cmd",
    "bearer": f"curl -H Authorization: Bearer {SECRET} https://host",
    "answer file": f"<AdministratorPassword><Value>{SECRET}</Value><PlainText>true</PlainText>",
    "JSON": f'{{"adminPassword": "{SECRET}", "user": "a"}}',
}


def everything_printed(command: Command, path: Path, tmp_path: Path) -> str:
    """All that the command says of an image, in every way that it has."""
    files = [tmp_path / "report.json", tmp_path / "report.txt"]
    reports = ["--report", f"json={files[0]}", "--report", f"text={files[1]}"]
    outcomes: list[Outcome] = [
        command("check", "--verbose", path, *reports),
        command("check", "--format", "json", path),
        command("inspect", path),
        command("inspect", "--format", "json", path),
    ]
    printed = [text for outcome in outcomes for text in (outcome.stdout, outcome.stderr)]
    return "".join("".join([*printed, *(file.read_text() for file in files)]).split())


def leaks(printed: str, secret: str = SECRET) -> bool:
    """Whether a secret stands there, as it is, or as the bytes of its text."""
    utf16 = secret.encode("utf-16-le")
    forms = (secret, json.dumps(secret)[1:-1], utf16.hex(), utf16.hex(" ").replace(" ", ""))
    return any(form in printed for form in forms)


@pytest.mark.parametrize("line", COMMANDS.values(), ids=COMMANDS)
def test_a_command_line_keeps_its_secrets(command: Command, image: Image, tmp_path: Path, line: str) -> None:
    """CmdLine is quoted, since it matters that it is foreign; what it would give away is not."""
    path = image(generalized().system(SETUP_KEY, CmdLine=line))
    printed = everything_printed(command, path, tmp_path)
    assert "[redacted]" in printed
    assert not leaks(printed)


@pytest.mark.parametrize("line", COMMANDS.values(), ids=COMMANDS)
def test_a_log_keeps_its_secrets(command: Command, image: Image, tmp_path: Path, line: str) -> None:
    """Lines of sysprep's log are quoted where it failed or broke off, and searched for secrets first."""
    said = [
        f"2024-05-14 16:21:00, Error      [0x0f0082] SYSPRP LaunchDll:Failure occurred at '{line}'",
        f"2024-05-14 16:21:01, Error      [0x0f0070] SYSPRP RunDlls:An error occurred at {line}",
    ]
    log = sysprep_log(Run(ending="interrupted")) + encode_log(said)
    path = image(undeployable().file(SYSPREP_LOG, log))
    printed = everything_printed(command, path, tmp_path)
    assert "0x0f0070" in printed
    assert not leaks(printed)


@pytest.mark.parametrize(
    "stored",
    [
        [f"net user administrator {SECRET}"],
        Raw(2, f"net user administrator {SECRET}\0".encode("utf-16-le")),
        Raw(3, f"net user administrator {SECRET}\0".encode("utf-16-le")),
        Raw(1, f"net user administrator {SECRET}\0".encode("utf-16-le") + b"\0"),
        Raw(1, f"net user administrator {SECRET}".encode()),
    ],
    ids=["REG_MULTI_SZ", "REG_EXPAND_SZ", "REG_BINARY", "odd length", "ASCII"],
)
@pytest.mark.parametrize("where", ["CmdLine", "ImageState"])
def test_no_type_of_value_gives_a_secret_away(
    command: Command, image: Image, tmp_path: Path, where: str, stored: Data
) -> None:
    """Not as text, and not as bytes in hexadecimal either."""
    windows = generalized()
    if where == "CmdLine":
        windows = windows.system(SETUP_KEY, CmdLine=stored)
    else:
        windows = windows.software(r"Microsoft\Windows\CurrentVersion\Setup\State", ImageState=stored)
    printed = everything_printed(command, image(windows), tmp_path)
    assert not leaks(printed)
    assert SECRET.encode().hex() not in printed


# --- what an image holds reaches no terminal as it is --------------------------------------------

EVIL = "\x1b[2J\x1b]0;owned\x07\u202e\u2028\x9b31m\r\n::error::x [red]"
PRODUCT = ("ProductName", "EditionID", "DisplayVersion", "CurrentBuild", "InstallationType")
EVIL_PLACES: dict[str, Callable[[Windows], Windows]] = {
    "ImageState": lambda windows: windows.software(
        r"Microsoft\Windows\CurrentVersion\Setup\State", ImageState=EVIL
    ),
    "the copy of it": lambda windows: windows.software(
        r"Microsoft\Windows\CurrentVersion\Setup\ImageServicingData", ImageState=EVIL
    ),
    "State.ini": lambda windows: windows.file(
        r"Windows\Setup\State\State.ini", f"[State]\r\nImageState=\x1b[31m{EVIL}\r\n".encode()
    ),
    "CmdLine": lambda windows: windows.system(SETUP_KEY, CmdLine=EVIL),
    "the product": lambda windows: windows.software(
        r"Microsoft\Windows NT\CurrentVersion", dict.fromkeys(PRODUCT, EVIL[EVIL.index("\u202e") :])
    ),
    "the architecture": lambda windows: windows.system(
        r"ControlSet001\Control\Session Manager\Environment", PROCESSOR_ARCHITECTURE=EVIL
    ),
    "the log": lambda windows: windows.file(
        SYSPREP_LOG,
        sysprep_log(Run(ending="interrupted"))
        + encode_log(["2024-05-14 16:21:00, Error      [0x0f0070] SYSPRP \x1b[31m\u202e\x9b31m"]),
    ),
}


@pytest.mark.parametrize("place", EVIL_PLACES)
def test_texts_of_the_image_are_escaped(command: Command, image: Image, tmp_path: Path, place: str) -> None:
    """Escape sequences, bidirectional marks, line breaks: shown as escapes, in every report."""
    path = image(EVIL_PLACES[place](installed() if place == "ImageState" else generalized()))
    for options in (["check", "--verbose"], ["inspect"]):
        shown = command(*options, path).stdout
        assert shown.replace("\n", "").isprintable()
        assert not [line for line in shown.splitlines() if line.lstrip().startswith("::")]
    assert command("check", "--format", "json", path).stdout.isascii()


def test_names_of_partitions_are_escaped(command: Command, image: Image) -> None:
    """A GPT holds 36 characters of anybody's choice."""
    path = image(generalized(), "raw")
    name = "Basic data partition".encode("utf-16-le")
    for at in damage.locate_all(path, name)[:2]:
        damage.overwrite(path, at, "\x1b[31m\u202e\x9b".encode("utf-16-le").ljust(len(name), b"\0"))
    damage.fix_gpt(path)
    damage.fix_gpt(path, header=-512)
    outcome = command("inspect", path)
    assert outcome.code == 0
    assert outcome.stdout.replace("\n", "").isprintable()
    assert r"\x1b[31m\u202e\x9b" in outcome.stdout
