"""`inspect`: the whole picture of an image on one screen, and the target that part of it is read through."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.command import Command, Outcome
from tests.conftest import Corpus
from tests.images import (
    ABSENT,
    SERVICES_KEY,
    Disk,
    Esp,
    Msr,
    Ntfs,
    Raw,
    Windows,
    damage,
    edited,
    generalized,
    installed,
    undeployable,
    wim_applied,
)
from tests.images.stock import CONTROL
from validator import validate
from validator.evidence import Evidence, Layer, Location, Unreadable, damaged
from validator.facts import IMAGE_FACTS, INSTALLATION_FACTS
from validator.facts.model import Attempt, Facts
from validator.facts.picture import PICTURE_FACTS, Picture
from validator.source import Files, FileSource
from validator.windows import target as target_module
from validator.windows.target import WindowsTarget

Image = Callable[..., Path]

CONFIG = r"Windows\System32\config"
UNINSTALL = r"Microsoft\Windows\CurrentVersion\Uninstall"
UNINSTALL_32 = rf"WOW6432Node\{UNINSTALL}"
PROFILES = r"Microsoft\Windows NT\CurrentVersion\ProfileList"
WINHTTP = r"Microsoft\Windows\CurrentVersion\Internet Settings\Connections"
USERS = r"SAM\Domains\Account\Users"
TASKS = r"Windows\System32\Tasks"
SECRET = "Tr0ub4dor"
HASH = b"not to be read by anybody"

TASK = f"""<?xml version="1.0" encoding="UTF-16"?>
<Task version="1.2" xmlns="http://schemas.microsoft.com/windows/2004/02/mit/task">
  <Principals><Principal id="Author"><UserId>S-1-5-18</UserId></Principal></Principals>
  <Settings><Enabled>{{enabled}}</Enabled></Settings>
  <Actions><Exec><Command>C:\\Tools\\backup.exe</Command>
  <Arguments>/full /password:{SECRET}</Arguments></Exec></Actions>
</Task>"""


def task(enabled: str = "true") -> bytes:
    """A task's file as Windows writes it."""
    return TASK.format(enabled=enabled).encode("utf-16")


def with_account(windows: Windows, name: str, rid: int, flags: int = 0x210) -> Windows:
    """Add a local account."""
    record = struct.pack("<24xQ24xHH20x", 133_500_000_000_000_000, flags, 0)
    return (
        windows.in_hive("SAM", rf"{USERS}\Names\{name}", {"": Raw(rid, b"")})
        .in_hive("SAM", rf"{USERS}\{rid:08X}", F=record, V=HASH)
    )  # fmt: skip


def proxy(address: str, bypass: str) -> bytes:
    """A value WinHttpSettings."""
    texts = b"".join(struct.pack("<I", len(text)) + text for text in (address.encode(), bypass.encode()))
    return struct.pack("<III", 0x28, 0, 3) + texts


def lived_in() -> Windows:
    """A generalized image with something of everything that is shown."""
    windows = (
        generalized()
        .software(rf"{UNINSTALL}\7-Zip", DisplayName="7-Zip 23.01 (x64)", DisplayVersion="23.01")
        .software(rf"{UNINSTALL}\Contoso", DisplayName="Contoso Agent", DisplayVersion="4.2",
                  Publisher="Contoso", InstallDate="31.12.2023")
        .software(rf"{UNINSTALL}\Connection Manager", SystemComponent=1)
        .software(rf"{UNINSTALL_32}\Old", DisplayName="Old Tool", InstallDate="20240101")
        .software(rf"{PROFILES}\S-1-5-18", ProfileImagePath=r"C:\Windows\system32\config\systemprofile")
        .software(rf"{PROFILES}\S-1-5-21-1-2-3-1001", ProfileImagePath=r"C:\Users\packer")
        .software(WINHTTP, WinHttpSettings=proxy("proxy.contoso.com:3128", "168.63.129.16;<local>"))
        .system(rf"{CONTROL}\Windows", ShutdownTime=struct.pack("<Q", 133_601_774_400_000_000))
        .system(rf"{SERVICES_KEY}\Contoso", Start=2, Type=16, ObjectName="LocalSystem",
                DisplayName="Contoso Agent", ImagePath=r'"C:\Program Files\Contoso\agent.exe" --run')
        .system(rf"{SERVICES_KEY}\Hosted", Start=3, Type=32, ImagePath=r"%SystemRoot%\System32\svchost.exe")
        .system(rf"{SERVICES_KEY}\Hosted\Parameters", ServiceDll=r"D:\Hosted\hosted.dll")
        .system(rf"{SERVICES_KEY}\RdAgent", Start=2, Type=16,
                ImagePath=r"C:\WindowsAzure\Packages\WaAppAgent.exe")
        .system(rf"{SERVICES_KEY}\Tcpip\Parameters\Interfaces\{{aa}}", EnableDHCP=0, IPAddress=["10.0.0.4"])
        .system(rf"{SERVICES_KEY}\Tcpip\Parameters\Interfaces\{{bb}}", EnableDHCP=1)
        .file(r"WindowsAzure\Packages\WaAppAgent.exe", b"MZ")
        .file(r"WindowsAzure\GuestAgent_2.7.41491.1098\note.txt", b"")
        .file(r"WindowsAzure\GuestAgent_2.7.41491.1110\note.txt", b"")
        .file(rf"{TASKS}\Contoso\Nightly", task())
        .file(rf"{TASKS}\Weekly", task("false"))
        .file(rf"{TASKS}\Microsoft\Windows\Own", task())
    )  # fmt: skip
    return with_account(with_account(windows, "Guest", 501, 0x215), "Administrator", 500)


def text(outcome: Outcome) -> str:
    """What was printed, as one line."""
    return " ".join(outcome.stdout.split())


def picture(command: Command, path: Path) -> Any:
    """The picture in JSON."""
    return command("inspect", "--format", "json", path).json["picture"]


# --- what is shown -------------------------------------------------------------------------------


def test_the_whole_picture_as_text(command: Command, image: Image) -> None:
    """Everything that is in the image, on one screen of 80 columns."""
    path = image(lived_in())
    outcome = command("inspect", path)
    shown = text(outcome)
    assert outcome.code == 0
    for words in (
        "dynamic VHDX",
        "GPT, 3 partitions",
        r"boot store \EFI\Microsoft\Boot\BCD on partition 1",
        "winload.efi",
        "Windows Server 2022 Datacenter",
        "AMD64",
        "ImageState IMAGE_STATE_GENERALIZE_RESEAL_TO_OOBE",
        "time line 2024-05-13T08:12:00Z Windows was installed",
        "2024-05-14T16:20:00 (local time) sysprep /generalize /oobe /shutdown: succeeded at 16:21:12",
        "2024-05-14T16:23:00Z the state was set to IMAGE_STATE_GENERALIZE_RESEAL_TO_OOBE",
        "2024-05-14T16:24:00Z Windows was last shut down",
        "computer name WIN-GENERALIZED",
        "static addresses 10.0.0.4 on {aa}",
        "proxy proxy.contoso.com:3128; not for 168.63.129.16 <local>",
        "Azure VM agent RdAgent (automatic), GuestAgent_2.7.41491.1110 and 1 older",
        "accounts Administrator (500), Guest (501, disabled)",
        r"profiles C:\Users\packer",
        "applications 7-Zip 23.01 (x64), Contoso Agent 4.2, Old Tool",
        r"Contoso (automatic, C:\Program Files\Contoso\agent.exe)",
        r"Hosted (manual, D:\Hosted\hosted.dll)",
        r"added tasks \Weekly (disabled), \Contoso\Nightly",
    ):
        assert words in shown, words
    lines = outcome.stdout.replace(str(path), "IMAGE").splitlines()
    assert max(map(len, lines)) <= 80
    assert len(lines) <= 55


def test_the_whole_picture_as_json(command: Command, image: Image) -> None:
    """The same as plain values; docs/inspect.md is its description."""
    shown = picture(command, image(lived_in()))
    assert shown["boot"]["store"] == r"\EFI\Microsoft\Boot\BCD"
    assert shown["boot"]["test_signing"] is False
    assert shown["network"] == {
        "computer_name": "WIN-GENERALIZED",
        "domain": None,
        "static_addresses": [{"interface": "{aa}", "addresses": ["10.0.0.4"]}],
        "proxy": "proxy.contoso.com:3128",
        "proxy_bypass": ["168.63.129.16", "<local>"],
    }
    assert shown["agent"] == {
        "services": [
            {
                "name": "RdAgent",
                "start": "automatic",
                "program": r"C:\WindowsAzure\Packages\WaAppAgent.exe",
                "program_there": True,
            }
        ],
        "versions": ["GuestAgent_2.7.41491.1098", "GuestAgent_2.7.41491.1110"],
    }
    assert shown["accounts"] == [
        {"name": "Administrator", "rid": 500, "enabled": True, "password_set": "2024-01-17T21:20:00Z"},
        {"name": "Guest", "rid": 501, "enabled": False, "password_set": "2024-01-17T21:20:00Z"},
    ]
    assert shown["profiles"] == [{"sid": "S-1-5-21-1-2-3-1001", "folder": r"C:\Users\packer"}]
    assert [each["name"] for each in shown["applications"]] == [
        "7-Zip 23.01 (x64)",
        "Contoso Agent",
        "Old Tool",
    ]
    assert shown["applications"][1]["publisher"] == "Contoso"
    assert shown["services"][0] == {
        "name": "Contoso",
        "title": "Contoso Agent",
        "start": "automatic",
        "program": r"C:\Program Files\Contoso\agent.exe",
        "account": "LocalSystem",
    }
    assert [each["name"] for each in shown["services"]] == ["Contoso", "Hosted", "RdAgent"]
    assert [(each["name"], each["enabled"], each["user"]) for each in shown["tasks"]] == [
        (r"\Weekly", False, "S-1-5-18"),
        (r"\Contoso\Nightly", True, "S-1-5-18"),
    ]


@pytest.mark.parametrize("make", [generalized, installed, undeployable, edited, wim_applied])
@pytest.mark.parametrize("scheme", ["gpt", "mbr"])
def test_stock_windows_has_nothing_that_cannot_be_read(
    command: Command, image: Image, make: Callable[[], Windows], scheme: str
) -> None:
    """No state that Windows can be in makes any part of the picture unknown."""
    outcome = command("inspect", "--format", "json", image(make(), scheme=scheme))
    assert outcome.code == 0
    assert '"unknown"' not in json.dumps(outcome.json["picture"])
    assert set(outcome.json["picture"]) == set(Picture._fields)


def test_secrets_are_shown_nowhere(command: Command, image: Image) -> None:
    """What a task is told as a password, what accounts are protected by."""
    path = image(lived_in())
    for options in ([], ["--format", "json"]):
        shown = command("inspect", *options, path).stdout
        assert SECRET not in shown
        assert HASH.decode() not in shown
    assert "/password:[redacted]" in picture(command, path)["tasks"][0]["command"]


def test_long_lists_are_shortened_in_text_only(command: Command, image: Image) -> None:
    """One screen; the JSON has them all."""
    windows = generalized()
    for number in range(30):
        windows = windows.software(rf"{UNINSTALL}\App{number:02}", DisplayName=f"Application {number:02}")
    path = image(windows)
    assert "Application 07, and 22 more (--format json)" in text(command("inspect", path))
    assert len(picture(command, path)["applications"]) == 30


HOSTILE = "evil \x1b[31m\x07 \u202egnp.exe\u2028 ##vso[task.setvariable]"


def test_hostile_names_are_escaped(command: Command, image: Image) -> None:
    """Nothing that an image calls something reaches a terminal, or a CI host, as it is."""
    windows = with_account(
        generalized()
        .software(rf"{UNINSTALL}\App", DisplayName=HOSTILE, DisplayVersion=HOSTILE)
        .software(rf"{PROFILES}\S-1-5-21-1", ProfileImagePath=HOSTILE)
        .system(rf"{SERVICES_KEY}\Evil", Start=2, Type=16, ImagePath=rf"C:\Evil\{HOSTILE}.exe")
        .system(rf"{CONTROL}\ComputerName\ComputerName", ComputerName=HOSTILE)
        .file(rf"{TASKS}\\u202egnp ##vso[x]".replace(r"\\u202e", "\\\u202e"), task()),
        "evil \u202e ##vso[",
        1001,
    )
    path = image(windows)
    outcomes = [command("inspect", *options, path) for options in ([], ["--format", "json"])]
    for outcome in outcomes:
        assert outcome.code == 0
        for character in "\x1b\x07\u202e\u2028":
            assert character not in outcome.stdout
        assert "##vso[" not in outcome.stdout
    assert r"evil \x1b[31m" in text(outcomes[0])
    assert outcomes[1].json["picture"]["network"]["computer_name"] == HOSTILE


# --- what cannot be read -------------------------------------------------------------------------

PARTS_OF = {
    "SOFTWARE": {"profiles", "applications"},
    "SYSTEM": {"agent", "services"},
    "SAM": {"accounts"},
}
LISTS = {"agent", "accounts", "profiles", "applications", "services", "tasks"}


@pytest.mark.parametrize("content", [b"", bytes(2**16), ABSENT], ids=["empty", "zeros", "absent"])
@pytest.mark.parametrize("hive", PARTS_OF)
def test_without_a_hive_the_rest_is_shown(command: Command, image: Image, hive: str, content: Any) -> None:
    """What rests on the hive is unknown and says why, the rest is there; nothing is taken for absent."""
    path = image(lived_in().file(rf"{CONFIG}\{hive}", content))
    outcome = command("inspect", "--format", "json", path)
    assert outcome.code == (0 if hive == "SAM" else 3)
    shown = outcome.json["picture"]
    unknown = {name for name in LISTS if "unknown" in shown[name]}
    assert unknown == PARTS_OF[hive]
    for name in unknown:
        assert rf"{CONFIG}\{hive}" in shown[name]["unknown"]
    network = shown["network"]
    times = {event["kind"]: event["time"] for event in outcome.json["timeline"]}
    assert times["installed"] == (None if hive == "SOFTWARE" else "2024-05-13T08:12:00Z")
    assert times["shut down"] == (None if hive == "SYSTEM" else "2024-05-14T16:24:00Z")
    assert times["sysprep"] == "2024-05-14T16:20:00"
    assert ("unknown" in (network["proxy"])) is (hive == "SOFTWARE")
    assert ("unknown" in network["computer_name"]) is (hive == "SYSTEM")
    words = text(command("inspect", path))
    assert "added tasks \\Weekly (disabled), \\Contoso\\Nightly" in words
    assert ("accounts Administrator (500)" in words) is (hive != "SAM")


def test_a_reason_is_given_once(command: Command, image: Image) -> None:
    """A screen full of the same words helps nobody."""
    shown = text(command("inspect", image(lived_in().file(rf"{CONFIG}\SOFTWARE", b""))))
    assert shown.count("an empty file") == 1
    assert "applications not read, for the reason above" in shown


@pytest.mark.parametrize(
    "disk", [Disk((Esp(), Msr(), Ntfs())), Disk((Esp(), Msr()))], ids=["no Windows", "no volume"]
)
def test_a_disk_without_windows(command: Command, image: Image, disk: Disk) -> None:
    """The disk is shown, and that there is nothing else."""
    path = image(disk)
    outcome = command("inspect", path)
    assert outcome.code == 3
    assert "machine not read, for the reason above" in text(outcome)
    assert all("unknown" in picture(command, path)[name] for name in LISTS)


@pytest.mark.parametrize(
    ("changed", "part"),
    [
        (lambda windows: windows.system(rf"{SERVICES_KEY}\Odd", Type=16, Start=2, ImagePath=7), "services"),
        (lambda windows: windows.file(rf"{TASKS}\Odd", b"<Task>"), "tasks"),
        (lambda windows: windows.file(rf"{TASKS}\Odd", b"<!DOCTYPE a><Task/>"), "tasks"),
        (lambda windows: windows.file(rf"{TASKS}\Odd", bytes(2**20 + 1)), "tasks"),
        (lambda windows: windows.file(rf"{TASKS}\Deep", b"<Task>" * 50_000 + b"</Task>" * 50_000), "tasks"),
    ],
    ids=["a path that is a number", "no XML", "a DTD", "too large", "nested too deep"],
)
def test_what_dissect_cannot_read_is_unknown(
    command: Command, image: Image, changed: Callable[[Windows], Windows], part: str
) -> None:
    """Whatever it raises: that part is unknown, the rest is there, and nothing breaks."""
    outcome = command("inspect", "--format", "json", image(changed(lived_in())))
    shown = outcome.json["picture"]
    assert outcome.code == 0
    assert {name for name in LISTS if "unknown" in shown[name]} == {part}
    assert "image-validator failed" not in shown[part]["unknown"]


# --- the target ----------------------------------------------------------------------------------


def facts(path: Path, files: Files) -> Facts:
    """The facts about the one installation of an image."""
    given = {"source": Attempt(files.open(str(path))), "files": Attempt(files), "parents": Attempt(())}
    image_facts = Facts(IMAGE_FACTS, {**given, "input_format": Attempt(None)})
    return image_facts.about({**INSTALLATION_FACTS, **PICTURE_FACTS}, chosen=0)


def test_no_byte_of_regback_is_read(command: Command, image: Image, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not even where the hives themselves are gone, when dissect's own registry would take the copies."""
    spans: list[tuple[int, int]] = []
    read_at = FileSource.read_at

    def recorded(self: FileSource, offset: int, length: int) -> bytes:
        spans.append((offset, offset + length))
        return read_at(self, offset, length)

    mark = "only in RegBack"
    windows = lived_in()
    copy = windows.software(rf"{UNINSTALL}\Mark", DisplayName=mark).system(rf"{SERVICES_KEY}\M", Mark=mark)
    for name in ("SOFTWARE", "SYSTEM"):
        windows = windows.file(rf"{CONFIG}\RegBack\{name}", copy.hive(name)).file(rf"{CONFIG}\{name}", b"")
    path = image(windows, "vhd-fixed", scheme="mbr")
    places = damage.locate_all(path, mark.encode("utf-16-le"))
    assert len(places) == 2
    monkeypatch.setattr(FileSource, "read_at", recorded)
    outcome = command("inspect", "--format", "json", path)
    assert outcome.code == 3
    assert "unknown" in outcome.json["picture"]["applications"]
    assert "unknown" in outcome.json["picture"]["services"]
    assert mark not in outcome.stdout
    assert spans
    assert not [place for place in places for start, end in spans if start <= place < end]


def test_the_target_has_no_regback(image: Image) -> None:
    """For whatever plug-in looks for it, in any spelling; the folder around it is there."""
    windows = lived_in().file(rf"{CONFIG}\RegBack\SOFTWARE", generalized().hive("SOFTWARE"))
    with Files() as files:
        target = facts(image(windows), files).attempt("target").value.target
        config = target.fs.path("sysvol/Windows/System32/config")
        assert {"SOFTWARE", "SYSTEM"} <= {entry.name for entry in config.iterdir()}
        assert "regback" not in {entry.name.lower() for entry in config.iterdir()}
        for name in ("RegBack", "REGBACK/SOFTWARE", "regback"):
            assert not config.joinpath(name).exists()
        assert [key.name for key in target.registry.key("HKLM").subkeys()] == ["SOFTWARE", "SYSTEM"]


def test_a_dirty_hive_is_seen_as_its_log_makes_it(command: Command, image: Image) -> None:
    """What the log changes is what is shown, in the registry and in the file of the hive."""
    before = lived_in().software(rf"{UNINSTALL}\Contoso", DisplayName="Before")
    after = lived_in().software(rf"{UNINSTALL}\Contoso", DisplayName="After!")
    path = image(before.dirty_hive("SOFTWARE", after))
    names = [each["name"] for each in picture(command, path)["applications"]]
    assert "After!" in names
    assert "Before" not in names
    with Files() as files:
        target = facts(path, files).attempt("target").value.target
        data = target.fs.path("sysvol/windows/system32/config/software").open().read()
    assert "After!".encode("utf-16-le") in data
    assert "Before".encode("utf-16-le") not in data


def test_the_current_control_set_counts(command: Command, image: Image) -> None:
    """Services of another one are not mixed in, as dissect's registry would."""
    other = SERVICES_KEY.replace("001", "002")
    path = r"C:\Other\other.exe"
    windows = generalized().system(rf"{other}\Other", Start=2, Type=16, ImagePath=path)
    assert picture(command, image(windows))["services"] == []
    switched = windows.system("Select", Current=2)
    assert [each["name"] for each in picture(command, image(switched))["services"]] == ["Other"]


def test_the_target_looks_nowhere_else(
    command: Command, image: Image, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither for `.targetcfg.py` nor for plug-ins that it was not given."""
    from dissect.target.exceptions import PluginError
    from dissect.target.helpers import config

    searched: list[object] = []
    find = config._find_config_file
    monkeypatch.setattr(config, "_find_config_file", lambda paths: searched.append(paths) or find(paths))
    (tmp_path / ".targetcfg.py").write_text("CACHE_DIR = 'x'\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DISSECT_PLUGINS", str(tmp_path))
    (tmp_path / "evil.py").write_text("raise SystemExit('imported')\n")
    with Files() as files:
        target = facts(image(lived_in()), files).attempt("target").value.target
        assert not hasattr(target._config, "CACHE_DIR")
        for name in ("evtx", "users", "sam"):
            assert not target.has_function(name)
            with pytest.raises(PluginError):
                getattr(target, name)
    assert searched == [None]


class Broken:
    """A volume on which everything is there and nothing can be read."""

    partition = 1

    def __getattr__(self, name: str) -> Callable[..., object]:
        def refuse(*_: object) -> object:
            raise damaged(Location(Layer.FILE_SYSTEM), expected="a folder", found=f"{name} of a broken one")

        return refuse


def stand_in(volume: Any, **clock: Callable[[], float]) -> WindowsTarget:
    """A target whose hives cannot be read either."""
    why = Evidence(Location(Layer.HIVE), "no hive")
    return WindowsTarget(volume, {"SOFTWARE": why, "SYSTEM": why}, why, **clock)


def test_damage_is_not_taken_for_absence() -> None:
    """The engine's `exists` says no to every exception; what our readers refused is raised all the same."""
    target = stand_in(Broken())
    assert not target.target.fs.exists("sysvol/windows")
    with pytest.raises(Unreadable, match="is_folder of a broken one"):
        target.tasks()
    for read in (target.applications, target.services):
        with pytest.raises(Unreadable, match="no hive"):
            read()


def test_reading_through_dissect_ends_in_time(image: Image) -> None:
    """Counted from the first read, whatever is read then."""
    with Files() as files:
        known = facts(image(lived_in()), files)
        volume, hives = known.attempt("file_system").value, {}
        for name in ("SOFTWARE", "SYSTEM"):
            hives[name] = known.attempt(f"{name.lower()}_hive").value
        seconds = iter(range(10**6))
        target = WindowsTarget(volume, hives, "ControlSet001", clock=lambda: float(next(seconds)))
        with pytest.raises(Unreadable, match="an answer within 5 seconds"):
            target.services()


def test_lists_are_bounded(image: Image, monkeypatch: pytest.MonkeyPatch) -> None:
    """More than anybody installs is refused, not cut."""
    monkeypatch.setattr(target_module, "MAX_ITEMS", 2)
    with Files() as files:
        target = facts(image(lived_in()), files).attempt("target").value
        for read in (target.applications, target.services):
            with pytest.raises(Unreadable, match="at most 2"):
                read()


def test_services_of_a_real_hive(image: Image, corpus: Corpus) -> None:
    """Windows 10 with VMware's tools: those are shown, none of Windows' own is."""
    hive = corpus["hives/windows/SYSTEM_win10_2004.gz"]
    report = validate(image(generalized().file(rf"{CONFIG}\SYSTEM", hive)), "generalized", picture=True)
    assert report.picture is not None
    assert isinstance(report.picture.services, tuple)
    assert {each.name for each in report.picture.services} == {
        "edgeupdate", "edgeupdatem", "MicrosoftEdgeElevationService", "VGAuthService", "VMTools",
    }  # fmt: skip


# --- check does not pay --------------------------------------------------------------------------


def test_check_computes_no_picture(image: Image) -> None:
    """Only who asks for it gets one."""
    path = image(lived_in())
    assert validate(path, "generalized").picture is None
    assert validate(path, "generalized", picture=True).picture is not None


LOADED = """
import sys
from validator.cli import main
try:
    main()
finally:
    names = ("dissect.target", "validator.windows.target", "validator.facts.picture")
    print("loaded:", *(name for name in names if name in sys.modules), file=sys.stderr)
"""


@pytest.mark.parametrize("profile", ["azure-generalized", "azure-specialized", "generalized"])
def test_check_loads_nothing_of_it(command: Command, image: Image, profile: str) -> None:
    """In no profile; `inspect` does."""
    path = image(generalized())
    assert command.process("check", "--profile", profile, path, script=LOADED).stderr == "loaded:\n"
    assert "dissect.target" in command.process("inspect", path, script=LOADED).stderr
