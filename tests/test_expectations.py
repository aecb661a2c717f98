"""Expectations: what users ask of their own images, judged like any check."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jsonschema
import pytest

import validator
from tests.command import ROOT, Command
from tests.images import ABSENT, Raw, Windows, generalized
from validator.checks import own_checks
from validator.checks.expectations import MAX_CONTENT, Expectation, FileEntry, RegistryEntry, ServiceEntry
from validator.checks.model import Remedy, Severity
from validator.facts import IMAGE_FACTS, INSTALLATION_FACTS
from validator.facts.model import parameters
from validator.policy.model import Policy, Waiver
from validator.profiles import PROFILES

Image = Callable[..., Path]

REPORT_SCHEMA = json.loads((ROOT / "validator" / "report" / "schema.json").read_text())
AGENT = b"an agent\r\n"
SECRET = "P@ssw0rd! of theirs"
ALL_PROFILES = {profile.id: Severity.ERROR for profile in PROFILES}
ONE = r"HKLM\SOFTWARE\Contoso"
TWO = r"HKLM\SYSTEM\CurrentControlSet\Control\Contoso"


def changed(windows: Windows) -> Windows:
    """A good image, with what the expectations below are about."""
    return (
        windows.software(
            "Contoso",
            {"Number": 7, "Text": "Hello", "Empty": "", "": "of the key", "Binary": b"\1\2"},
            DefaultPassword=SECRET,
            Large=Raw(11, (2**40).to_bytes(8, "little")),
            Expanded=Raw(2, "%TEMP%\0".encode("utf-16-le")),
        )
        .system(r"ControlSet001\Control\Contoso", Here=1)
        .system(r"ControlSet002\Control\Contoso", Here=2)
        .in_hive("DEFAULT", "Contoso", Here=3)
        .system(r"ControlSet001\Services\NoService", Parameters="x")
        .file(r"Program Files\Contoso\agent.exe", AGENT)
        .file(r"Program Files\Contoso\empty.txt", b"")
    )


def with_a_large_file(windows: Windows) -> Windows:
    """A file whose content is too long to be compared."""
    return windows.file(r"Program Files\Contoso\huge.bin", bytes(MAX_CONTENT + 1))


class Case(NamedTuple):
    """One expectation, what comes of it, and what its evidence shows."""

    entry: str
    status: str
    shows: str = ""

    @property
    def opposite(self) -> str:
        """What comes of it with must-not."""
        return {"passed": "failed", "failed": "passed"}.get(self.status, self.status)


def registry(key: str, value: str | None = None, equals: object = None) -> str:
    """A registry entry of a policy."""
    parts = [f"key = '{key}'"]
    parts += [f'value = "{value}"'] if value is not None else []
    parts += [f"equals = {json.dumps(equals)}"] if equals is not None else []
    return f"registry = {{{', '.join(parts)}}}"


def file(path: str, more: str = "") -> str:
    """A file entry of a policy."""
    return f"file = {{path = '{path}'{more}}}"


def service(name: str, start: str = "") -> str:
    """A service entry of a policy."""
    return f'service = {{name = "{name}"{start}}}'


DIGEST = hashlib.sha256(AGENT).hexdigest()
FOLDER = r"C:\Program Files\Contoso"
CASES = (
    Case(registry(ONE), "passed", "a key"),
    Case(registry(ONE.lower()), "passed", "a key"),
    Case(registry(r"HKEY_LOCAL_MACHINE\SOFTWARE\Contoso"), "passed", "a key"),
    Case(registry(r"HKLM:\SOFTWARE\Contoso"), "passed", "a key"),
    Case(registry(rf"{ONE}\None"), "failed", "no such key"),
    Case(registry(ONE, "Number"), "passed", "7 (REG_DWORD)"),
    Case(registry(ONE, "number", 7), "passed", "7 (REG_DWORD)"),
    Case(registry(ONE, "Number", 8), "failed", "7 (REG_DWORD)"),
    Case(registry(ONE, "Number", "7"), "failed", "7 (REG_DWORD)"),
    Case(registry(ONE, "Text", "Hello"), "passed", "Hello (REG_SZ)"),
    Case(registry(ONE, "Text", "hello"), "failed", "Hello (REG_SZ)"),
    Case(registry(ONE, "Text", 0), "failed", "Hello (REG_SZ)"),
    Case(registry(ONE, "Empty", ""), "passed", "(empty) (REG_SZ)"),
    Case(registry(ONE, "Expanded", "%TEMP%"), "passed", "%TEMP% (REG_EXPAND_SZ)"),
    Case(registry(ONE, "Large", 2**40), "passed", f"{2**40} (REG_QWORD)"),
    Case(registry(ONE, "Large", 0), "failed", f"{2**40} (REG_QWORD)"),
    Case(registry(ONE, "Binary", 513), "failed", "01 02 (REG_BINARY)"),
    Case(registry(ONE, "", "of the key"), "passed", "of the key (REG_SZ)"),
    Case(registry(ONE, "None"), "failed", "no such value"),
    Case(registry(ONE, "None", 0), "failed", "no such value"),
    Case(registry(rf"{ONE}\None", "None"), "failed", "no such value"),
    Case(registry(ONE, "DefaultPassword"), "passed", "[redacted] (REG_SZ)"),
    Case(registry(ONE, "DefaultPassword", ""), "failed", "[redacted] (REG_SZ)"),
    Case(registry(TWO, "Here", 1), "passed", "1 (REG_DWORD)"),
    Case(registry(TWO.upper(), "Here", 1), "passed", "1 (REG_DWORD)"),
    Case(registry(r"HKLM\SYSTEM\ControlSet002\Control\Contoso", "Here", 2), "passed", "2 (REG_DWORD)"),
    Case(registry(r"HKLM\SYSTEM\CurrentControlSet"), "passed", "a key"),
    Case(registry(r"HKLM\SYSTEM\Select", "Current", 1), "passed", "1 (REG_DWORD)"),
    Case(registry(r"HKU\.DEFAULT\Contoso", "Here", 3), "passed", "3 (REG_DWORD)"),
    Case(file(rf"{FOLDER}\agent.exe"), "passed", f"a file of {len(AGENT)} bytes"),
    Case(file("c:/program files/contoso/AGENT.EXE"), "passed", f"a file of {len(AGENT)} bytes"),
    Case(file(r"\Program Files\Contoso\agent.exe"), "passed", f"a file of {len(AGENT)} bytes"),
    Case(file(FOLDER), "passed", "a folder"),
    Case(file(FOLDER, ", size = 0"), "failed", "a folder"),
    Case(file(rf"{FOLDER}\none.exe"), "failed", "no such file"),
    Case(file(r"C:\none\none.exe"), "failed", "no such file"),
    Case(file(rf"{FOLDER}\agent.exe\below"), "failed", "no such file"),
    Case(file(rf"{FOLDER}\agent.exe", f", size = {len(AGENT)}"), "passed", f"a file of {len(AGENT)} bytes"),
    Case(file(rf"{FOLDER}\agent.exe", ", size = 1"), "failed", f"a file of {len(AGENT)} bytes"),
    Case(file(rf"{FOLDER}\agent.exe", f", sha256 = '{DIGEST.upper()}'"), "passed", DIGEST),
    Case(file(rf"{FOLDER}\agent.exe", f", sha256 = '{'0' * 64}'"), "failed", DIGEST),
    Case(file(rf"{FOLDER}\agent.exe", f", size = 1, sha256 = '{DIGEST}'"), "failed", "bytes"),
    Case(file(rf"{FOLDER}\none.exe", f", sha256 = '{DIGEST}'"), "failed", "no such file"),
    Case(file(rf"{FOLDER}\empty.txt", f", sha256 = '{hashlib.sha256().hexdigest()}'"), "passed", "0 bytes"),
    Case(file(rf"{FOLDER}\huge.bin"), "passed", f"a file of {MAX_CONTENT + 1} bytes"),
    Case(file(rf"{FOLDER}\huge.bin", f", sha256 = '{DIGEST}'"), "unknown", f"at most {MAX_CONTENT} bytes"),
    Case(service("WinRM"), "passed", "2 (automatic)"),
    Case(service("winrm", ", start = 'automatic'"), "passed", "2 (automatic)"),
    Case(service("WinRM", ", start = ['disabled', 'automatic']"), "passed", "2 (automatic)"),
    Case(service("WinRM", ", start = ['disabled', 'manual']"), "failed", "2 (automatic)"),
    Case(service("NoService"), "failed", "no such service"),
    Case(service("Nothing", ", start = 'disabled'"), "failed", "no such service"),
)  # fmt: skip


def policy_of(*entries: str) -> str:
    """A policy with these expectations, and their opposites."""
    return "\n".join(
        f'[[expect]]\nid = "{kind}-{index}"\ntitle = "Number {index}."\nremedy = "Mend it."\n{must}{entry}\n'
        for index, entry in enumerate(entries)
        for kind, must in (("must", ""), ("not", "must-not = true\n"))
    )


@pytest.fixture(scope="module")
def judged(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """What came of every case, by its id; one image and one run for all of them."""
    from tests.images import build

    path = tmp_path_factory.mktemp("policy") / "policy.toml"
    path.write_text(policy_of(*(case.entry for case in CASES)), encoding="utf-8")
    outcome = Command()(
        "check",
        "--format",
        "json",
        "--policy",
        path,
        build(with_a_large_file(changed(generalized()))),
        watched=False,
    )
    jsonschema.validate(outcome.json, REPORT_SCHEMA)
    assert outcome.code == 1
    assert SECRET not in outcome.stdout
    return {each["check"]: each for each in outcome.json["images"][0]["findings"]}


@pytest.mark.parametrize("index", range(len(CASES)), ids=[f"{case.entry}: {case.status}" for case in CASES])
def test_a_case(judged: Mapping[str, dict[str, Any]], index: int) -> None:
    """What the table says, and the opposite where it must not be so."""
    case = CASES[index]
    for kind, status in (("must", case.status), ("not", case.opposite)):
        finding = judged[f"expect/{kind}-{index}"]
        assert (finding["status"], finding["family"], finding["severity"]) == (status, "expectation", "error")
        (evidence,) = finding["evidence"]
        assert case.shows in f"{evidence['found']} {evidence['expected']}"
        assert evidence["layer"] in ("hive", "file system")
        assert evidence["path"]
        if status != "unknown":
            assert evidence["expected"] not in (None, evidence["found"]) or status == "passed"
            assert f"Number {index}." in finding["message"]
        if status == "failed":
            assert finding["remedy"]["text"] == "Mend it."


def test_expected_and_found_tell_what_is_wrong(judged: Mapping[str, dict[str, Any]]) -> None:
    """In words that follow from the entry."""
    places = {case.entry: index for index, case in enumerate(CASES)}

    def words(entry: str) -> list[str]:
        return [
            judged[f"expect/{kind}-{places[entry]}"]["evidence"][0]["expected"] for kind in ("must", "not")
        ]

    assert words(registry(ONE)) == ["a key", "no key"]
    assert words(registry(ONE, "Number")) == ["a value", "no value"]
    assert words(registry(ONE, "Number", 8)) == ["8", "anything but 8"]
    assert words(registry(ONE, "Text", "hello")) == ["“hello”", "anything but “hello”"]
    assert words(file(FOLDER)) == ["a file or folder", "no file or folder"]
    assert words(file(rf"{FOLDER}\agent.exe", ", size = 1")) == ["a file of 1 bytes", "no file of 1 bytes"]
    assert words(service("WinRM")) == ["a service", "no service"]
    assert words(service("WinRM", ", start = ['disabled', 'manual']"))[0] == "disabled or manual"


UNREADABLE = {
    "SYSTEM": (registry(TWO, "Here", 1), service("WinRM"), registry(r"HKLM\SYSTEM\Select")),
    "SOFTWARE": (registry(ONE, "Number", 7), registry(ONE)),
    "DEFAULT": (registry(r"HKU\.DEFAULT\Contoso", "Here"), registry(r"HKU\.DEFAULT\Contoso")),
}


@pytest.mark.parametrize("hive", UNREADABLE)
@pytest.mark.parametrize("damage", ["missing", "empty"])
def test_what_cannot_be_read_is_unknown(
    command: Command, image: Image, tmp_path: Path, hive: str, damage: str
) -> None:
    """Never passed, and never failed: neither what must be there nor what must not. The others are judged."""
    policy = tmp_path / "policy.toml"
    entries = [entry for group in UNREADABLE.values() for entry in group]
    policy.write_text(policy_of(*entries), encoding="utf-8")
    content = ABSENT if damage == "missing" else b""
    path = image(changed(generalized()).file(rf"Windows\System32\config\{hive}", content))
    report = command.judge(path, "--policy", str(policy))
    assert report["verdict"] != "deployable"
    for index, entry in enumerate(entries):
        states = [report.finding(f"expect/{kind}-{index}")["status"] for kind in ("must", "not")]
        if entry in UNREADABLE[hive]:
            assert states == ["unknown", "unknown"]
            assert hive in report.finding(f"expect/must-{index}")["evidence"][0]["path"]
        else:
            assert states == ["passed", "failed"]


def test_a_control_set_that_is_not_known(command: Command, image: Image, tmp_path: Path) -> None:
    """CurrentControlSet is never assumed to be the first one."""
    policy = tmp_path / "policy.toml"
    policy.write_text(policy_of(registry(TWO, "Here", 1), registry(r"HKLM\SYSTEM\Select")), encoding="utf-8")
    report = command.judge(image(changed(generalized()).system("Select", Current=2)), "--policy", str(policy))
    assert report.finding("expect/must-0")["status"] == "failed"
    assert report.finding("expect/must-0")["evidence"][0]["key"].startswith("ControlSet002\\")
    report = command.judge(
        image(changed(generalized()).system("Select", Current=ABSENT)), "--policy", str(policy)
    )
    assert report.finding("expect/must-0")["status"] == "unknown"
    assert report.finding("expect/must-1")["status"] == "passed"


def expectation(**more: Any) -> Expectation:
    """One that a good image does not meet."""
    given: dict[str, Any] = {
        "id": "agent", "title": "The agent is there.", "severity": ALL_PROFILES,
        "remedy": Remedy("Install it.", ("msiexec /i agent.msi",)), "entry": FileEntry("agent.exe"), **more,
    }  # fmt: skip
    return Expectation(**given)


@pytest.mark.parametrize(
    ("severity", "verdict"), [("error", "undeployable"), ("warning", "deployable"), ("notice", "deployable")]
)
def test_it_is_as_grave_as_it_says(image: Image, severity: str, verdict: str) -> None:
    """Under the profiles that it names; under others it is not asked."""
    one = expectation(severity={"generalized": Severity(severity)})
    policy = Policy(expectations=(one,))
    path = image(generalized())
    report = validator.validate(path, "generalized", policy=policy)
    assert report.verdict.value == verdict
    (finding,) = (each for each in report.findings if each.check.id == "expect/agent")
    assert finding.severity.value == severity
    other = validator.validate(path, "azure-specialized", policy=policy)
    assert [each for each in other.findings if each.check.id == "expect/agent"] == []


def test_it_is_waived_like_any_other(image: Image) -> None:
    """By its full id."""
    from validator.judging import ExitCode, exit_code

    policy = Policy(expectations=(expectation(),), waivers=(Waiver("expect/agent", "Comes on Monday."),))
    report = validator.validate(image(generalized()), "generalized", policy=policy)
    assert (report.verdict.value, exit_code([report.judgement])) == ("undeployable", ExitCode.DEPLOYABLE)


def test_no_other_check_has_such_an_id() -> None:
    """Neither one of ours nor, by the rules for their names, one of a plug-in."""
    assert [check.id for check in own_checks() if "/" in check.id or check.family == "expectation"] == []


@pytest.mark.parametrize(
    "entry", [RegistryEntry(ONE), FileEntry("x"), ServiceEntry("x")], ids=lambda entry: type(entry).__name__
)
def test_it_reads_facts_of_their_types(entry: Any) -> None:
    """As checks do, which a test of the rooms holds."""
    known = {**IMAGE_FACTS, **INSTALLATION_FACTS}
    for name, annotation in parameters(expectation(entry=entry).check().function):
        assert known[name].__annotations__["return"] is annotation


def test_the_catalogue_lists_it(command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a policy is in force; explained like any check."""
    (tmp_path / "image-validator.toml").write_text(
        '[[expect]]\nid = "agent"\ntitle = "The agent starts by itself."\nremedy = "Install it."\n'
        'commands = ["msiexec /i agent.msi"]\nreferences = "https://example.com/agent"\n'
        'severity = {azure-generalized = "warning"}\nservice = {name = "Agent", start = "automatic"}\n'
    )
    monkeypatch.chdir(tmp_path)
    listed = command("checks")
    assert listed.code == 0
    row = next(line for line in listed.stdout.splitlines() if line.startswith("expect/agent "))
    assert row.split()[:6] == ["expect/agent", "expectation", "W", "-", "-", "The"]
    assert len(command("checks", "-f", "json").json) == len(own_checks()) + 1
    page = " ".join(command("checks", "expect/agent").stdout.split())
    for words in ("The agent starts by itself.", "the service Agent: automatic", "msiexec /i agent.msi",
                  "https://example.com/agent"):  # fmt: skip
        assert words in page
    assert "since version" not in page
    (one,) = [each for each in command("checks", "-f", "json").json if each["id"] == "expect/agent"]
    assert (one["severity"], one["reads"]) == ({"azure-generalized": "warning"}, ["services"])
    assert command("checks", "--no-policy", "expect/agent").code == 2


def test_the_text_report_shows_it(command: Command, image: Image, tmp_path: Path) -> None:
    """What was expected, what was found, and each one's own remedy."""
    policy = tmp_path / "policy.toml"
    policy.write_text(
        policy_of(service("WinRM", ", start = 'manual'"), file("C:/agent.exe")), encoding="utf-8"
    )
    outcome = command("check", "--policy", policy, image(generalized()))
    assert outcome.code == 1
    assert outcome.stdout.startswith("UNDEPLOYABLE")
    shown = " ".join(outcome.stdout.split())
    assert "The image does not meet the expectation: Number 0." in shown
    assert "found 2 (automatic) expected manual" in shown
    assert "found no such file expected a file or folder" in shown


def test_each_warning_keeps_its_remedy(command: Command, image: Image, tmp_path: Path) -> None:
    """An error's remedy covers warnings of its family; expectations only share the name of theirs."""
    policy = tmp_path / "policy.toml"
    policy.write_text(
        "\n".join(
            f'[[expect]]\nid = "{name}"\ntitle = "{name}."\nremedy = "Mend {name}."\n'
            f'commands = ["mend {name}"]\n'
            f'severity = "{severity}"\nfile = {{path = "{name}.exe"}}\n'
            for name, severity in (("one", "error"), ("two", "warning"), ("three", "warning"))
        ),
        encoding="utf-8",
    )
    path = image(generalized())
    shown = " ".join(command("check", "--policy", policy, path).stdout.split())
    assert "to do Mend two. mend two found" in shown
    assert "to do Mend three. mend three found" in shown
    assert "no such file, expected a file or folder" in shown
    markdown = command("check", "--policy", policy, "--format", "markdown", path).stdout
    assert "Mend three." in markdown


def test_costs_nothing_that_is_not_asked(image: Image) -> None:
    """Content is read only where it is compared: a service costs a few pages of a hive."""
    path = image(with_a_large_file(changed(generalized())))
    entries = (ServiceEntry("WinRM"), FileEntry(r"Program Files\Contoso\huge.bin"))
    expectations = tuple(expectation(id=f"e{index}", entry=entry) for index, entry in enumerate(entries))
    plain = validator.validate(path, "generalized")
    more = validator.validate(path, "generalized", policy=Policy(expectations=expectations))
    assert more.verdict.value == "deployable"
    assert more.io.bytes_read - plain.io.bytes_read < 128 * 1024
