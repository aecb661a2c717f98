"""The contract of the command line: exit codes, output, help; and what a report looks like."""

from __future__ import annotations

import errno
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import click
import jsonschema
import pytest

import validator
from tests.command import ROOT, Command, environment
from tests.images import Windows, damage, edited, generalized, undeployable, vhdx
from validator.cli import _COMMANDS, cli
from validator.report import text

Image = Callable[..., Path]

SCHEMA = json.loads((Path(validator.__file__).parent / "report" / "schema.json").read_text())
SNAPSHOTS = Path(__file__).parent / "snapshots"
posix = pytest.mark.skipif(os.name != "posix", reason="as POSIX has it")


def with_warning() -> Windows:
    """Deployable, with a contradiction of weight 1."""
    return generalized().system("Setup", CmdLine="cmd.exe /c tool.cmd")


@pytest.fixture
def one(image: Image) -> Callable[[str], Path]:
    """A function that gives an image by its verdict, or what stands for another exit code."""

    def one(kind: str) -> Path:
        if kind == "corrupt":
            path = image(generalized(), name="corrupt.vhdx")
            for table in vhdx.REGION_TABLE_OFFSETS:
                damage.flip(path, table + 4)
            return path
        if kind in ("missing", "no match"):
            return image(generalized()).with_name("none.vhdx" if kind == "missing" else "none*.vhdx")
        make = {"good": generalized, "warned": with_warning, "bad": undeployable, "edited": edited}[kind]
        return image(make(), name=f"{kind}.vhdx")

    return one


# --- exit codes ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kinds", "code"),
    [
        (["good"], 0),
        (["good", "good"], 0),
        (["warned", "good"], 0),
        (["bad"], 1),
        (["edited"], 1),
        (["good", "bad"], 1),
        (["bad", "corrupt"], 1),
        (["corrupt", "bad", "good"], 1),
        (["bad", "no match"], 1),
        (["corrupt"], 3),
        (["good", "corrupt"], 3),
        (["corrupt", "no match"], 3),
        (["no match"], 4),
        (["no match", "no match"], 4),
        (["good", "no match"], 4),
        (["missing"], 2),
        (["bad", "corrupt", "good", "missing"], 2),
        (["no match", "missing"], 2),
    ],
    ids=lambda value: "+".join(value) if isinstance(value, list) else str(value),
)
def test_precedence_of_exit_codes(
    command: Command, one: Callable[[str], Path], kinds: list[str], code: int
) -> None:
    """Over several images: 2, then 1, 3, 4, 0; the format changes nothing."""
    paths = [one(kind) for kind in kinds]
    assert command("check", *paths).code == code
    assert command("check", "--format", "json", "--verbose", *paths).code == code


@pytest.mark.parametrize(
    ("kind", "options", "code"),
    [
        ("good", ["--fail-on", "warning"], 0),
        ("warned", ["--fail-on", "error"], 0),
        ("warned", ["--fail-on", "warning"], 1),
        ("corrupt", ["--fail-on", "warning"], 3),
        ("bad", ["--exit-zero"], 0),
        ("corrupt", ["--exit-zero"], 0),
        ("missing", ["--exit-zero"], 2),
        ("bad", ["--quiet"], 1),
        ("bad", ["--verbose"], 1),
    ],
    ids=lambda value: "".join(value).replace("--", " ").strip() if isinstance(value, list) else str(value),
)
def test_options_of_the_exit_code(
    command: Command, one: Callable[[str], Path], kind: str, options: list[str], code: int
) -> None:
    """`--fail-on warning` and `--exit-zero` change the code and no verdict; others not even that."""
    path = one(kind)
    assert command("check", *options, path).code == code
    if kind != "missing":
        plain, tried = (
            command("check", "-f", "json", *more, path).json["images"][0]["verdict"] for more in ([], options)
        )
        assert plain == tried


@pytest.mark.parametrize(
    "arguments",
    [
        ["check", "--frobnicate", "IMAGE"],
        ["check", "--profile", "none", "IMAGE"],
        ["check", "--format", "yaml", "IMAGE"],
        ["check", "--fail-on", "notice", "IMAGE"],
        ["check", "--input-format", "qcow", "IMAGE"],
        ["check", "--report", "yaml=report", "IMAGE"],
        ["check", "--report", "report.json", "IMAGE"],
        ["inspect", "IMAGE", "IMAGE"],
        ["checks", "no-such-check"],
        ["completion", "tcsh"],
        ["frobnicate"],
    ],
    ids=" ".join,
)
def test_a_wrong_command(command: Command, one: Callable[[str], Path], arguments: list[str]) -> None:
    """2, a word on standard error, nothing on standard output."""
    path = str(one("good"))
    outcome = command(*[path if argument == "IMAGE" else argument for argument in arguments])
    assert (outcome.code, outcome.stdout) == (2, "")
    assert "Error:" in outcome.stderr


def test_a_failure_of_our_own_is_no_verdict(
    command: Command, one: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever breaks inside this program, 0 and 1 are answers about images: it ends with 3."""

    def broken(*_: object, **__: object) -> str:
        raise RuntimeError("a mistake of ours")

    monkeypatch.setattr(text, "render", broken)
    outcome = command("check", one("bad"))
    assert outcome.code == 3
    assert "a mistake of ours" in outcome.stderr


# --- JSON ----------------------------------------------------------------------------------------


def obeys_schema(data: Any, schema: Any = SCHEMA) -> None:
    """Fail with the first place that breaks the schema."""
    found = [f"{error.json_path}: {error.message[:200]}" for error in _validator(schema).iter_errors(data)]
    assert not found, found


def _validator(schema: Any) -> Any:
    return jsonschema.Draft202012Validator(schema)


KINDS = ["good", "warned", "bad", "edited", "corrupt"]


def test_the_schema_is_one() -> None:
    """Draft 2020-12; every object is closed and asks for all its keys, so that nothing slips in."""
    jsonschema.Draft202012Validator.check_schema(SCHEMA)

    def objects(node: Any) -> Iterable[dict[str, Any]]:
        if isinstance(node, dict):
            if node.get("type") == "object":
                yield node
            for value in node.values():
                yield from objects(value)
        elif isinstance(node, list):
            for value in node:
                yield from objects(value)

    described = list(objects(SCHEMA))
    assert len(described) > 15
    for each in described:
        assert each["additionalProperties"] is False
        assert set(each["required"]) == set(each["properties"])


@pytest.mark.parametrize("kinds", [*([kind] for kind in KINDS), KINDS, ["no match"]], ids="+".join)
def test_json_obeys_its_schema(command: Command, one: Callable[[str], Path], kinds: list[str]) -> None:
    """One object on standard output and nothing besides; sums are right, codes are those returned."""
    paths = [one(kind) for kind in kinds]
    outcome = command("check", "--format", "json", *paths)
    data = outcome.json
    obeys_schema(data)
    assert outcome.stdout.isascii()
    assert data["exit_code"] == outcome.code
    verdicts = [each["verdict"] for each in data["images"]]
    assert data["summary"] == {
        "images": len(verdicts),
        **{verdict: verdicts.count(verdict) for verdict in ("deployable", "undeployable", "indeterminate")},
    }
    assert [each["path"] for each in data["images"]] == [str(path) for path in paths if path.exists()]
    for each in data["images"]:
        assert each["facts"]["io"]["files"] == 1
        assert 0 < each["facts"]["io"]["bytes_read"] < 2**20


@pytest.mark.parametrize("name", ["", "gone", "empty.vhdx", "folder.vhdx"])
def test_json_of_what_is_no_image_obeys_it_too(command: Command, tmp_path: Path, name: str) -> None:
    """Also where nothing could be read at all."""
    path = tmp_path / name
    if name == "empty.vhdx":
        path.touch()
    elif name == "folder.vhdx":
        path.mkdir()
    outcome = command("check", "--format", "json", path)
    if name == "gone":
        assert (outcome.code, outcome.stdout) == (2, "")
    else:
        obeys_schema(outcome.json)
        assert outcome.code == 3


def test_each_check_is_in_the_report_once(command: Command, one: Callable[[str], Path]) -> None:
    """In the order of the catalogue, with the family that it has there, at most as severe."""
    catalogue = command("checks", "--format", "json").json
    ranks = ["error", "warning", "notice"]
    for kind in KINDS:
        findings = command.judge(one(kind))["findings"]
        asked = [each for each in catalogue if "generalized" in each["severity"]]
        assert [each["check"] for each in findings] == [each["id"] for each in asked]
        for found, declared in zip(findings, asked):
            assert found["family"] == declared["family"]
            assert ranks.index(found["severity"]) >= ranks.index(declared["severity"]["generalized"])


def test_reports_go_to_files(command: Command, one: Callable[[str], Path], tmp_path: Path) -> None:
    """As many as wanted beside what is printed; each the same as the printed one."""
    paths = [one("good"), one("bad")]
    files = [tmp_path / name for name in ("a.json", "b.txt", "c.json")]
    options = [f"{kind}={file}" for kind, file in zip(("json", "text", "json"), files)]
    outcome = command("check", *paths, *[word for option in options for word in ("--report", option)])
    assert outcome.code == 1
    steady = re.compile(r"[\d.]+ s,")
    assert steady.sub("", files[1].read_text()) == steady.sub("", outcome.stdout)
    data = json.loads(files[0].read_text())
    obeys_schema(data)
    assert data == json.loads(files[2].read_text())
    assert data["exit_code"] == 1


def test_a_report_replaces_an_older_one(command: Command, one: Callable[[str], Path], tmp_path: Path) -> None:
    """What the file held before is gone."""
    file = tmp_path / "report.json"
    file.write_text("x" * 10**6)
    command("check", one("good"), "--report", f"json={file}")
    obeys_schema(json.loads(file.read_text()))


# --- inspect, checks, completion, help -----------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "code", "words"),
    [
        ("good", 0, ["dynamic VHDX", "GPT", "Windows Server 2022", "GENERALIZE_RESEAL_TO_OOBE", "AMD64"]),
        ("bad", 0, ["IMAGE_STATE_UNDEPLOYABLE", "failed", "GeneralizationState"]),
        ("corrupt", 3, ["damaged", "checksum"]),
    ],
)
def test_inspect_judges_nothing(
    command: Command, one: Callable[[str], Path], kind: str, code: int, words: list[str]
) -> None:
    """What is in there, for good and bad alike; 3 only where a layer could not be read."""
    path = one(kind)
    outcome = command("inspect", path)
    assert outcome.code == code
    for word in words:
        assert word in outcome.stdout
    for word in ("DEPLOYABLE ", "error:", "warning:", "to do"):
        assert word not in outcome.stdout.replace("IMAGE_STATE_UNDEPLOYABLE ", "")
    data = command("inspect", "--format", "json", path)
    assert data.code == code
    defs = {"$defs": SCHEMA["$defs"]}
    obeys_schema(data.json["facts"], {**defs, "$ref": "#/$defs/facts"})
    obeys_schema(data.json["layers"], {**defs, "type": "array", "items": {"$ref": "#/$defs/layer"}})
    assert "verdict" not in data.json


def test_the_catalogue(command: Command) -> None:
    """Every check with id, family, title, severity and references; each explained by its id."""
    listed = command("checks")
    catalogue = command("checks", "--format", "json").json
    assert listed.code == 0
    assert len({each["id"] for each in catalogue}) == len(catalogue) > 10
    for each in catalogue:
        assert each["id"] in listed.stdout
        assert command("checks", each["id"], "--format", "json").json == each
        page = command("checks", each["id"])
        assert page.code == 0
        assert each["title"].split()[0] in page.stdout
        assert all(reference.startswith("https://") for reference in each["references"])
        assert each["references"]
        assert each["explanation"]
        assert each["remedy"]["text"]


def test_an_unknown_check_gets_a_hint(command: Command) -> None:
    """A slip of the pen is understood."""
    outcome = command("checks", "image-sate")
    assert (outcome.code, outcome.stdout) == (2, "")
    assert "image-state" in outcome.stderr


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion(command: Command, shell: str) -> None:
    """A script for the shell that completes this command."""
    outcome = command("completion", shell)
    assert outcome.code == 0
    assert "_IMAGE_VALIDATOR_COMPLETE" in outcome.stdout
    assert "image-validator" in outcome.stdout


def test_checks_are_completed(command: Command) -> None:
    """`checks ima<TAB>` knows the ids."""
    env = {
        "_IMAGE_VALIDATOR_COMPLETE": "bash_complete",
        "COMP_WORDS": "image-validator checks ima",
        "COMP_CWORD": "2",
    }
    assert "image-state" in command.process(env=env).stdout


@pytest.mark.parametrize(
    "arguments", [["--help"], ["-h"], ["check", "-h"], ["inspect", "-h"], ["checks", "-h"]]
)
def test_help(command: Command, arguments: list[str]) -> None:
    """Help is no error, fits the terminal, and the first page has the exit codes."""
    outcome = command(*arguments)
    assert (outcome.code, outcome.stderr) == (0, "")
    assert outcome.stdout.startswith("Usage: image-validator")
    assert max(map(len, outcome.stdout.splitlines())) <= 100
    if len(arguments) == 1:
        assert "Exit codes" in outcome.stdout


@pytest.mark.parametrize("name", _COMMANDS)
def test_the_list_of_commands_says_what_they_say(name: str) -> None:
    """It is written down, so that `--help` need not import them."""
    command = cli.get_command(click.Context(cli), name)
    assert command is not None
    assert (command.name, command.get_short_help_str(limit=200)) == (name, _COMMANDS[name])


@pytest.mark.parametrize("arguments", [[], ["check"], ["inspect"]])
def test_no_arguments(command: Command, arguments: list[str]) -> None:
    """Nothing asked: the way to ask is shown, and it is no success."""
    outcome = command(*arguments)
    assert outcome.code == 2
    assert "Usage: image-validator" in outcome.stdout + outcome.stderr


def test_what_is_missing_is_said(command: Command) -> None:
    """Rather than all that might be given."""
    outcome = command("check")
    assert (outcome.code, outcome.stdout) == (2, "")
    assert "name an IMAGE" in outcome.stderr
    assert "--exit-zero" not in outcome.stderr


def test_what_the_parser_says_is_laid_out(command: Command) -> None:
    """Its lists are lines, not escapes of what would make them."""
    outcome = command("completion")
    assert outcome.code == 2
    assert "\n    bash,\n    zsh," in outcome.stderr
    assert "\\t" not in outcome.stderr


def test_pages_name_no_places_that_a_terminal_has_not(command: Command) -> None:
    """A link within the documentation is its words."""
    page = command("checks", "image-state").stdout
    assert "why sysprep fails" in " ".join(page.split())
    assert ".md" not in page


def test_version(command: Command) -> None:
    """The name and the version, as the package has it."""
    outcome = command("--version")
    assert (outcome.code, outcome.stdout) == (0, f"image-validator {validator.__version__}\n")


LOADED = """
import sys
from validator.cli import main
try:
    main()
finally:
    engines = {name.partition(".")[0] for name in sys.modules} & {"dissect", "pyvhdi", "rich", "jsonschema"}
    print("loaded:", *sorted(engines), file=sys.stderr)
"""


@pytest.mark.parametrize(
    "arguments",
    [["--version"], ["--help"], ["check", "--help"], ["inspect", "--help"], ["completion", "bash"]],
)
def test_help_loads_no_engine(command: Command, arguments: list[str]) -> None:
    """Help and version come at once: nothing that reads images or draws tables is imported for them."""
    assert command.process(*arguments, script=LOADED).stderr == "loaded:\n"


def test_the_library_loads_nothing_by_itself(command: Command) -> None:
    """`import validator` alone costs nothing."""
    script = "import sys, validator; print({'click', 'dissect', 'rich', 'pyvhdi'} & set(sys.modules))"
    assert command.process(script=script).stdout == "set()\n"


# --- what it looks like --------------------------------------------------------------------------


def unfit(line: str) -> bool:
    """Whether a line is wider than 80 columns without need: it has blanks where it could be broken."""
    label_and_text = line.strip().split(None, 1)
    return len(line) > 80 and len(label_and_text) > 1 and " " in label_and_text[1]


@pytest.mark.parametrize("options", [[], ["--verbose"], ["--quiet"]], ids=["plain", "verbose", "quiet"])
@pytest.mark.parametrize("kind", KINDS)
def test_lines_fit_a_terminal(
    command: Command, one: Callable[[str], Path], kind: str, options: list[str]
) -> None:
    """80 columns, but for commands, which are to be copied, and what cannot be broken."""
    path = one(kind)
    commands = [
        line
        for finding in command.judge(path)["findings"]
        if finding["remedy"]
        for line in finding["remedy"]["commands"]
    ]
    for line in command("check", *options, path).stdout.splitlines():
        text = line.strip().removeprefix("to do").strip()
        assert not unfit(line) or text in commands or str(path) in line, line
        assert line == line.rstrip()


def test_inspect_fits_a_terminal(command: Command, one: Callable[[str], Path]) -> None:
    """The overview too."""
    path = one("bad")
    for line in command("inspect", path).stdout.replace(str(path), "IMAGE").splitlines():
        assert len(line) <= 80, line


@pytest.mark.parametrize("kind", KINDS)
def test_quiet_says_only_verdict_and_reason(command: Command, one: Callable[[str], Path], kind: str) -> None:
    """Two parts: the verdict with the path, and the summary."""
    path = one(kind)
    judged = command.judge(path)
    first, *rest = command("check", "--quiet", path).stdout.splitlines()
    assert first == f"{judged['verdict'].upper()}  {path}"
    assert " ".join(line.strip() for line in rest) == judged["summary"]


def test_verbose_says_everything(command: Command, one: Callable[[str], Path]) -> None:
    """Every check with its message, every layer, all evidence."""
    path = one("bad")
    judged = command.judge(path)
    shown = " ".join(command("check", "--verbose", path).stdout.split())
    for finding in judged["findings"]:
        assert finding["check"] in shown
        assert finding["message"] in shown
        for evidence in finding["evidence"]:
            assert " ".join(evidence["found"].split()) in shown
    for layer in judged["layers"]:
        assert f"{layer['state']} {layer['kind']}: {layer['detail']}".split()[0] in shown


def test_many_checks_with_one_reason_are_counted(command: Command, one: Callable[[str], Path]) -> None:
    """Who reads why needs no list; it is there for the asking."""
    path = one("corrupt")
    ids = [each["check"] for each in command.judge(path)["findings"]]
    brief, verbose = (command("check", *more, path).stdout for more in ([], ["--verbose"]))
    assert f"not answered: all {len(ids)} checks (--verbose lists them)\n" in brief
    assert ids[-1] not in brief
    assert all(each in verbose for each in ids)


def test_how_large_the_file_is_beside_the_disk(command: Command, image: Image) -> None:
    """Where both are about the same, only the difference says anything."""
    shown = command("check", image(generalized(), "vhd-fixed")).stdout
    assert re.search(r"disk +fixed VHD of \d+ MiB with GPT, in a file 512 B larger\n", shown)


SNAPSHOT_KINDS = {"good": "deployable", "bad": "undeployable", "edited": "edited"}


@pytest.mark.parametrize(("kind", "name"), SNAPSHOT_KINDS.items())
def test_snapshots(command: Command, one: Callable[[str], Path], kind: str, name: str) -> None:
    """The text report, to the letter. UPDATE_SNAPSHOTS=1 writes it anew, for a person to look at."""
    path = one(kind)
    shown = command("check", path).stdout.replace(str(path), "disk.vhdx")
    shown = re.sub(r"\d[\d.]* (B|[KMG]iB)\b", "SIZE", shown)
    shown = re.sub(r"SIZE in \d+ reads, [\d.]+ s", "SIZE in N reads, T s", shown)
    snapshot = SNAPSHOTS / f"{name}.txt"
    if os.environ.get("UPDATE_SNAPSHOTS"):
        snapshot.write_text(shown, encoding="utf-8")
    assert shown == snapshot.read_text(encoding="utf-8")


# --- colours -------------------------------------------------------------------------------------

VERBS = [["check"], ["inspect"], ["checks"], ["checks", "image-state"]]


@pytest.mark.parametrize("arguments", VERBS, ids=" ".join)
@pytest.mark.parametrize("env", [{}, {"TERM": "xterm-256color", "COLORTERM": "truecolor", "CI": "true"}])
def test_no_escape_reaches_a_file(
    command: Command, one: Callable[[str], Path], arguments: list[str], env: dict[str, str]
) -> None:
    """Where output is no terminal it is plain, whatever the environment says of terminals."""
    images = [one("bad")] * (arguments[0] in ("check", "inspect"))
    assert "\x1b" not in command.process(*arguments, *images, env=env).stdout


@posix
@pytest.mark.parametrize("arguments", VERBS, ids=" ".join)
@pytest.mark.parametrize(
    ("env", "options", "coloured"),
    [
        ({"TERM": "xterm"}, [], True),
        ({"TERM": "xterm", "NO_COLOR": "1"}, [], False),
        ({"TERM": "xterm"}, ["--no-color"], False),
        ({"TERM": "dumb"}, [], False),
    ],
    ids=["terminal", "NO_COLOR", "--no-color", "dumb"],
)
def test_colours(
    one: Callable[[str], Path], arguments: list[str], env: dict[str, str], options: list[str], coloured: bool
) -> None:
    """On a terminal there are colours, unless somebody wants none."""
    images = [str(one("bad"))] * (arguments[0] in ("check", "inspect"))
    shown = on_terminal([*arguments, *options, *images], env)
    assert ("\x1b[" in shown) is coloured
    plain = re.sub(r"\x1b\[[\d;]*m", "", shown)
    assert "\x1b" not in plain
    assert "image-state" in plain or arguments == ["inspect"]


def on_terminal(arguments: list[str], env: dict[str, str]) -> str:
    """What the command prints on a terminal of its own."""
    import pty

    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-m", "validator", *arguments],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env=environment(env),
        cwd=ROOT,
    ):
        os.close(theirs)
        shown = b""
        try:
            while piece := os.read(ours, 65536):
                shown += piece
        except OSError as error:  # how Linux says that nobody has the other end
            if error.errno != errno.EIO:
                raise
    os.close(ours)
    return shown.decode()


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "utf-8"])
def test_any_encoding_of_the_terminal(command: Command, one: Callable[[str], Path], encoding: str) -> None:
    """What a console cannot show is written as an escape; nothing breaks."""
    env = {"PYTHONIOENCODING": encoding}
    outcome = command.process("check", one("corrupt"), env=env)
    assert outcome.code == 3
    assert "INDETERMINATE" in outcome.stdout
