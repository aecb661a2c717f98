"""Plug-ins: checks of others are asked as ours are, change nothing of ours, and are never left out."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
import textwrap
import zipfile
from collections.abc import Callable, Iterator
from importlib.machinery import PathFinder
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import jsonschema
import pytest

import validator
from tests.command import ROOT, Command, Outcome
from tests.images import SERVICES_KEY, Windows, generalized, undeployable
from validator import catalogue, plugins
from validator.facts import IMAGE_FACTS, INSTALLATION_FACTS
from validator.report.formats import FORMATS

Image = Callable[..., Path]
EXAMPLE = ROOT / "tests" / "plugin_example"
DISTRIBUTION = {"name": "contoso-image-checks", "version": "1.0"}
CHECKS = ["contoso-agent", "contoso-build-record", "contoso-scripts"]


# --- the example, installed for real --------------------------------------------------------------


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that pip installed the example into."""
    folder = tmp_path_factory.mktemp("site")
    subprocess.run(
        [sys.executable, "-m", "pip", "install", "--quiet", "--no-index", "--no-deps", "--no-build-isolation",
         "--disable-pip-version-check", "--target", folder, EXAMPLE],
        check=True,
        stdin=subprocess.DEVNULL,
    )  # fmt: skip
    return folder


@pytest.fixture
def run(command: Command, site: Path) -> Callable[..., Outcome]:
    """The command in a process of its own, where the example is installed."""

    def run(*arguments: object) -> Outcome:
        return command.process(*arguments, env={"PYTHONPATH": os.pathsep.join((str(ROOT), str(site)))})

    return run


def as_contoso_wants() -> Windows:
    """What passes all checks of the example."""
    windows = generalized().system(rf"{SERVICES_KEY}\ContosoAgent", Start=2, ImagePath=r"C:\agent.exe")
    return windows.file(r"Contoso\build.txt", b"build 4711, token=secret\r\n")


def findings(outcome: Outcome) -> dict[str, Any]:
    """What the checks of the example found."""
    (image,) = outcome.json["images"]
    return {each["check"]: each for each in image["findings"] if each["plugin"]}


def test_the_example_is_in_the_report(run: Callable[..., Outcome], image: Image) -> None:
    """In report order behind ours, with the package that it comes from; the JSON obeys its schema."""
    outcome = run("check", "--format", "json", image(as_contoso_wants()))
    assert outcome.code == 0
    schema = json.loads((Path(validator.__file__).parent / "report" / "schema.json").read_text())
    jsonschema.Draft202012Validator(schema).validate(outcome.json)
    assert outcome.json["plugins"] == [DISTRIBUTION]
    found = findings(outcome)
    assert list(found) == CHECKS
    assert {each["plugin"]["name"] for each in found.values()} == {DISTRIBUTION["name"]}
    assert {each["status"] for each in found.values()} == {"passed"}
    (evidence,) = found["contoso-build-record"]["evidence"]
    assert (evidence["path"], evidence["found"]) == (r"\Contoso\build.txt", "build 4711, token=[redacted]")
    assert [each["check"] for each in outcome.json["images"][0]["findings"]][-3:] == CHECKS


def test_the_example_fails_an_image(run: Callable[..., Outcome], image: Image) -> None:
    """What an error of a plug-in means is what any error means."""
    windows = generalized().file(r"Contoso\scripts\sub\Setup.ps1", b"x").file(r"Contoso\scripts\a.txt", b"x")
    path = image(windows)
    outcome = run("check", "--format", "json", path)
    assert (outcome.json["images"][0]["verdict"], outcome.code) == ("undeployable", 1)
    found = findings(outcome)
    assert {check: each["status"] for check, each in found.items()} == dict.fromkeys(CHECKS, "failed")
    assert [each["path"] for each in found["contoso-scripts"]["evidence"]] == [
        r"\Contoso\scripts\sub\Setup.ps1"
    ]
    text = run("check", path).stdout
    assert "error: contoso-agent" in text
    assert "plug-ins  contoso-image-checks 1.0" in text
    rules = json.loads(run("check", "--format", "sarif", path).stdout)["runs"][0]["tool"]["driver"]["rules"]
    (rule,) = [rule for rule in rules if rule["id"] == "contoso-agent"]
    assert "contoso-image-checks 1.0" in rule["help"]["markdown"]


def test_the_example_under_a_profile(run: Callable[..., Outcome], image: Image) -> None:
    """Severities are by profile; one that does not ask a check does not run it."""
    found = findings(run("check", "--profile", "azure-specialized", "-f", "json", image(as_contoso_wants())))
    assert list(found) == ["contoso-agent", "contoso-scripts"]
    assert found["contoso-scripts"]["severity"] == "notice"


def test_the_example_in_the_catalogue(run: Callable[..., Outcome]) -> None:
    """`checks` lists it, and explains it with the package that it comes from."""
    listed = json.loads(run("checks", "--format", "json").stdout)
    assert [each["id"] for each in listed if each["plugin"] == DISTRIBUTION] == CHECKS
    assert [each["id"] for each in listed][-3:] == CHECKS
    assert "contoso-agent" in run("checks").stdout
    explained = run("checks", "contoso-scripts").stdout
    assert "contoso-image-checks 1.0" in explained
    assert r"rd /s /q C:\Contoso\scripts" in explained


def test_the_example_under_a_policy(run: Callable[..., Outcome], image: Image, tmp_path: Path) -> None:
    """A policy may name its checks; where it is not installed, that is an error of the policy."""
    path = image(generalized())
    assert run("check", path).code == 1
    assert run("check", "--ignore", "contoso-agent", path).code == 0
    assert run("check", "--ignore", "contoso", path).code == 0
    policy = tmp_path / "policy.toml"
    policy.write_text('[severity]\ncontoso-agent = "error"\n')
    assert run("check", "--policy", policy, path).code == 1
    without = Command()("check", "--policy", policy, path)
    assert (without.code, without.stdout) == (2, "")
    assert "contoso-agent" in without.stderr


def test_the_example_in_a_receipt(run: Callable[..., Outcome], image: Image, tmp_path: Path) -> None:
    """Which packages took part is written down."""
    run("check", "--receipt", tmp_path / "receipt.json", image(as_contoso_wants()))
    predicate = json.loads((tmp_path / "receipt.json").read_text())["predicate"]
    assert predicate["plugins"] == [DISTRIBUTION]
    assert [each["check"] for each in predicate["images"][0]["checks"]][-3:] == CHECKS


def test_a_receipt_without_a_plugin_that_is_here(
    run: Callable[..., Outcome], command: Command, image: Image, tmp_path: Path
) -> None:
    """Here `check` would ask more than was asked: a pass without that is none. Less is no objection."""
    path, receipt = image(as_contoso_wants()), tmp_path / "receipt.json"
    verify = ("verify-receipt", receipt, path, "--profile", "generalized")
    run("check", "--receipt", receipt, path)
    assert (run(*verify).code, command(*verify).code) == (0, 0)
    said = receipt.read_text()
    receipt.write_text(said.replace('"version": "1.0"', '"version": "0.9"'))
    older = run(*verify)
    receipt.unlink()
    command("check", "--receipt", receipt, path)
    without = run(*verify)
    assert (older.code, without.code, command(*verify).code) == (1, 1, 0)
    for outcome in (older, without):
        assert "contoso-image-checks 1.0" in " ".join(outcome.stdout.split())
    receipt.unlink()
    ignored = ("--ignore", ",".join(CHECKS))
    run("check", *ignored, "--receipt", receipt, path)
    assert run(*verify, *ignored).code == 0


def test_the_example_in_the_library(image: Image, site: Path, command: Command) -> None:
    """`validate` asks what the command asks."""
    script = (
        "import sys, validator\n"
        "report = validator.validate(sys.argv[1], profile='generalized')\n"
        "print(report.verdict.value, *report.plugins)"
    )
    path = image(generalized())
    outcome = command.process(path, script=script, env={"PYTHONPATH": f"{ROOT}{os.pathsep}{site}"})
    assert outcome.stdout.split() == ["undeployable", "contoso-image-checks", "1.0"]


# --- plug-ins of all kinds ------------------------------------------------------------------------

HEAD = """
from validator.plugins import *
def declare(check_id="acme-x", **more):
    declared = dict(
        family="acme", severity=by_profile(Severity.NOTICE, Severity.NOTICE, Severity.NOTICE),
        remedy=Remedy("Mend it."), references=("https://acme.example/x",), since="1",
    )
    return check(check_id, **{**declared, **more})
WHERE = Location(Layer.HIVE, key="x")
"""
CHECK = '''
@declare()
def acme_x(question: Question):
    """It is so.

    Because.
    """
    {body}
plugin = Plugin(checks=(acme_x,))
'''


class Site:
    """A folder on the path of modules, in which plug-ins are put as an installer would."""

    numbers = itertools.count()

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def add(self, code: str, name: str = "acme", *, head: str = HEAD, metadata: str = "dist-info") -> str:
        """Put a plug-in there that is a module; its name."""
        module = f"plugin_{next(self.numbers)}_{os.getpid()}"
        (self.folder / f"{module}.py").write_text(head + textwrap.dedent(code), encoding="utf-8")
        described = self.folder / f"{module}-2.1.{metadata}"
        described.mkdir()
        text = f"Metadata-Version: 2.1\nName: {module}\nVersion: 2.1\n"
        (described / ("METADATA" if metadata == "dist-info" else "PKG-INFO")).write_text(text)
        points = f"[console_scripts]\nx = y:z\n\n[{catalogue.GROUP}]\n{name} = {module}:plugin\n"
        (described / "entry_points.txt").write_text(points)
        return module


@pytest.fixture
def acme(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    """A folder that plug-ins can be put into for this process."""
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.syspath_prepend(folder)
    catalogue._added.cache_clear()
    yield Site(folder)
    catalogue._added.cache_clear()


def finding(command: Command, path: Path, check: str = "acme-x") -> tuple[dict[str, Any], str, int]:
    """What one check found, the verdict, and the exit code."""
    judged = command.judge(path)
    return judged.finding(check), judged["verdict"], judged.code


BAD_BODIES = {
    "an exception": "yield 1 / 0",
    "the end of the process": "import sys; yield sys.exit(0)",
    "something else": "yield 'passed'",
    "a tuple": "yield (1, 2)",
    "nothing": "return None",
    "no findings": "yield from ()",
    "a status that is none": "yield Finding('passed', 'x')",
    "a waiver of its own": "yield Finding(Status.WAIVED, 'x')",
    "a message that is none": "yield passed(None)",
    "evidence that is none": "yield passed('x', 'y')",
    "evidence without a place": "yield passed('x', Evidence('SOFTWARE', 'y'))",
    "a severity that is none": "yield failed('x', severity='error')",
    "a remedy that is none": "yield failed('x', remedy='y')",
    "half of an answer": "yield passed('x'); raise ValueError",
    "evidence in a list": "yield Finding(Status.PASSED, 'x', [Evidence(WHERE, 'x')])",
    "evidence in a generator": "yield Finding(Status.PASSED, 'x', (each for each in ()))",
    "evidence that says nothing": "yield failed('x', Evidence(WHERE, None))",
    "evidence that says a number": "yield failed('x', Evidence(WHERE, 'x', 5))",
    "a layer that is none": "yield failed('x', Evidence(Location('hive'), 'x'))",
    "a path that is none": "yield failed('x', Evidence(Location(Layer.HIVE, path=5), 'x'))",
    "an offset that is none": "yield failed('x', Evidence(Location(Layer.HIVE, offset=True), 'x'))",
    "an offset beyond all": "yield failed('x', Evidence(Location(Layer.HIVE, 10**5000), 'x'))",
    "a line that is none": "yield failed('x', Evidence(Location(Layer.HIVE, line=-1), 'x'))",
    "a time that is none": "yield failed('x', Evidence(WHERE, 'x', time='yesterday'))",
    "an effect that is none": "yield failed('x', Evidence(WHERE, 'x', effect='lost'))",
    "a cause that is none": "yield failed('x', cause='y')",
    "a remedy without text": "yield failed('x', remedy=Remedy(None, (1,)))",
    "commands that are none": "yield failed('x', remedy=Remedy('x', 'reboot'))",
    "what cannot be read, without evidence": "raise Unreadable('x')",
    "what cannot be read, without a place": "raise Unreadable(Evidence('x', 'y'))",
    "the end of a generator": "raise GeneratorExit",
    "an exception of its own": "raise type('Own', (BaseException,), {})",
}


@pytest.mark.parametrize("body", BAD_BODIES.values(), ids=BAD_BODIES)
def test_what_goes_wrong_in_a_check_is_unknown(command: Command, acme: Site, image: Image, body: str) -> None:
    """As with a failure of our own: no green on it, and the evidence names the plug-in."""
    module = acme.add(CHECK.format(body=body))
    found, verdict, code = finding(command, image(generalized()))
    assert (found["status"], verdict, code) == ("unknown", "indeterminate", 3)
    assert "the plug-in" in found["remedy"]["text"]
    if body != BAD_BODIES["no findings"]:
        assert f"the plug-in {module} 2.1 failed" in found["evidence"][0]["found"]
        assert found["message"] == f"Not answered, because the plug-in {module} 2.1 failed."


@pytest.mark.parametrize(
    "body", ["raise KeyError('x')", "import sys; sys.exit(0)", "raise Unreadable('x')", "raise GeneratorExit"]
)
def test_what_goes_wrong_in_a_fact_is_unknown(command: Command, acme: Site, image: Image, body: str) -> None:
    """And every check that rests on it."""
    code = f'''
    def acme_fact(question: Question) -> int:
        {body}

    @declare()
    def acme_x(acme_fact: int):
        """It is so.

        Because.
        """
        yield passed("x")

    plugin = Plugin(checks=(acme_x,), facts=(acme_fact,))
    '''
    module = acme.add(code)
    found, verdict, _ = finding(command, image(generalized()))
    assert (found["status"], verdict) == ("unknown", "indeterminate")
    assert f"the plug-in {module} 2.1 failed" in found["evidence"][0]["found"]


def test_an_interruption_stays_one(command: Command, acme: Site, image: Image) -> None:
    """It is the user's, wherever it comes in."""
    acme.add(CHECK.format(body="raise KeyboardInterrupt"))
    assert command("check", image(generalized())).code == 130


@pytest.mark.parametrize(
    "body",
    ["yield failed('x', Evidence(Location('hive'), None), remedy=Remedy(None, (1,)))",
     "yield failed('\\ud800', Evidence(Location(Layer.HIVE, 2**64 - 1, key=''), '', time=NOW))"],
    ids=["wrong", "odd"],
)  # fmt: skip
def test_no_finding_makes_formats_differ(command: Command, acme: Site, image: Image, body: str) -> None:
    """What a renderer could not show is no finding; all others are shown by all."""
    now = "from datetime import *\nNOW = datetime.now(timezone(timedelta(hours=5)))\n"
    acme.add(CHECK.format(body=body), head=HEAD + now)
    path = image(generalized())
    codes = {name: command("check", "-f", name, path).code for name in FORMATS}
    assert codes == dict.fromkeys(FORMATS, 3 if "None" in body else 0)


def test_times_are_utc(command: Command, acme: Site, image: Image) -> None:
    """As evidence has them everywhere; those without a zone stay so."""
    head = HEAD + "from datetime import *\nNOON = datetime(2024, 5, 14, 12)\n"
    east = "NOON.replace(tzinfo=timezone(timedelta(hours=5)))"
    acme.add(CHECK.format(body=f"yield passed('x', *(Evidence(WHERE, 'x', time=t) for t in (NOON, {east})))"),
             head=head)  # fmt: skip
    evidence = finding(command, image(generalized()))[0]["evidence"]
    assert [each["time"] for each in evidence] == ["2024-05-14T12:00:00", "2024-05-14T07:00:00Z"]


def test_what_cannot_be_read_is_no_failure(command: Command, acme: Site, image: Image) -> None:
    """A notice that is unknown for want of what it rests on leaves the verdict alone."""
    acme.add(
        CHECK.format(
            body="raise Unreadable(Evidence(Location(Layer.HIVE, path='SAM'), 'nothing', 'the hive'))"
        )
    )
    found, verdict, code = finding(command, image(generalized()))
    assert (found["status"], verdict, code) == ("unknown", "deployable", 0)
    assert found["evidence"][0]["path"] == "SAM"


def test_no_plugin_turns_a_verdict_green(command: Command, acme: Site, image: Image) -> None:
    """Whatever it says itself, and of whatever severity."""
    body = "yield passed('All is well.')"
    severity = "by_profile(Severity.ERROR, Severity.ERROR, Severity.ERROR)"
    acme.add(CHECK.replace("@declare()", f"@declare(severity={severity})").format(body=body))
    found, verdict, code = finding(command, image(undeployable()))
    assert (found["status"], found["severity"]) == ("passed", "error")
    assert (verdict, code) == ("undeployable", 1)


@pytest.mark.parametrize("head", ["from __future__ import annotations\n", ""])
def test_a_fact_that_failed_may_be_asked_for(command: Command, acme: Site, image: Image, head: str) -> None:
    """`Attempt[…]` gets the failure as well, also where annotations are text."""
    code = '''
    @declare()
    def acme_x(system_hive: Attempt[Hive]):
        """It is so.

        Because.
        """
        yield passed(f"{type(system_hive).__name__} {system_hive.value is None}")

    plugin = Plugin(checks=(acme_x,))
    '''
    acme.add(code, head=head + HEAD)
    path = image(generalized().without_hive("SYSTEM"))
    assert finding(command, path)[0]["message"] == "Attempt True"


@pytest.mark.parametrize("metadata", ["dist-info", "egg-info"])
def test_two_plugins(command: Command, acme: Site, image: Image, metadata: str) -> None:
    """In the order of their names, each with its own package; one may use the facts of the other."""
    code = """
    def zeta_fact(question: Question) -> str:
        return question.profile

    plugin = Plugin(facts=(zeta_fact,))
    """
    acme.add(code, "zeta", metadata=metadata)
    code = '''
    @declare("alpha-tool-x")
    def x(zeta_fact: str):
        """It is so.

        Because.
        """
        yield passed(zeta_fact)

    plugin = Plugin(checks=(x,))
    '''
    module = acme.add(code, "alpha-tool", metadata=metadata)
    judged = command.judge(image(generalized()))
    found = judged.finding("alpha-tool-x")
    assert (found["message"], found["plugin"]) == ("generalized", {"name": module, "version": "2.1"})


# --- what is refused ------------------------------------------------------------------------------

DOC = "It is so.\n\n    Because.\n    "


def declared(arguments: str = "", parameters: str = "question: Question", doc: str = DOC) -> str:
    """A plug-in with one check."""
    return (
        f'@declare({arguments})\ndef x({parameters}):\n    """{doc}"""\n    yield passed("x")\n'
        "plugin = Plugin(checks=(x,))\n"
    )


def fact(name: str, parameters: str = "") -> str:
    """A plug-in with one fact."""
    return f"def {name}({parameters}) -> int: return 1\nplugin = Plugin(facts=({name},))\n"


REFUSALS = {
    "an import that fails": ("import no_such_module", "ModuleNotFoundError: No module named"),
    "a syntax error": ("def", "SyntaxError"),
    "the end of the process": ("import sys; sys.exit(0)", "SystemExit: 0"),
    "an exception": ("raise RuntimeError('x')", "RuntimeError: x"),
    "no such name": ("plug = Plugin()", "AttributeError"),
    "something else": ("plugin = (1, 2)", "is a tuple, not a Plugin"),
    "a check that is none": ("plugin = Plugin(checks=(1,))", "one of its checks is a int, not a Check"),
    "a fact that is none": ("plugin = Plugin(facts=(1,))", "one of its facts is a int, not a function"),
    "no table of checks": ("plugin = Plugin(checks=1)", "TypeError"),
    "a declaration of other types": (declared("remedy=1"), "AttributeError"),
    "our id": (declared('"image-state"'), "its check image-state would replace one of image-validator"),
    "another's id": (declared() + "plugin = Plugin(checks=(x, x))", "has the id of another plug-in's"),
    "an id without its name": (declared('"other-x"'), "has an id that is not acme- and words"),
    "an id of another form": (declared('"acme-X"'), "has an id that is not acme- and words"),
    "our fact": (fact("software_hive"), "its fact software_hive would replace one of image-validator"),
    "another's fact": (fact("acme_y") + "plugin = Plugin(facts=(acme_y, acme_y))", "another plug-in's"),
    "a fact without its name": (fact("y"), "does not begin with acme_"),
    "no such fact": (declared(parameters="software_hiv: Hive"), "did you mean software_hive?"),
    "no such fact of a fact": (fact("acme_y", "zzz: int"), "asks for zzz, which is no fact"),
    "what opens files": (declared(parameters="files: object"), "asks for files, which is no fact"),
    "no type": (declared(parameters="software_hive"), "has a parameter without a type: software_hive"),
    "a family": (declared('family="Two words"'), "has a family that is not one word"),
    "no severity": (declared("severity={}"), "has no severity"),
    "no such profile": (declared('severity={"x": Severity.ERROR}'), "a profile that is none of"),
    "no documentation": (declared(doc=""), "lacks documentation"),
    "no explanation": (declared(doc="It is so."), "lacks documentation"),
    "no remedy": (declared('remedy=Remedy("")'), "has no remedy"),
    "no reference": (declared("references=()"), "has no reference"),
    "a severity that is none": (declared('severity={"generalized": "error"}'), "a str where a Severity"),
    "commands that are none": (declared('remedy=Remedy("x", (1,))'), "a int where a str belongs"),
    "a version that is none": (declared("since=1"), "a int where a str belongs"),
    "an exception that is none": ("raise GeneratorExit", "GeneratorExit"),
    "no address": (declared('references=("acme wiki",)'), "does not begin with https://"),
}  # fmt: skip


@pytest.mark.parametrize(("code", "why"), REFUSALS.values(), ids=REFUSALS)
def test_a_plugin_that_cannot_be_used(
    command: Command, acme: Site, image: Image, code: str, why: str
) -> None:
    """2, with its package and the reason; nothing is judged, listed or shown without it."""
    module = acme.add(code)
    path = image(generalized())
    for arguments in (["check", path], ["checks"], ["inspect", path], ["check", path.with_name("none*")]):
        outcome = command(*arguments)
        assert (outcome.code, outcome.stdout) == (2, ""), arguments
        assert f"the plug-in acme of {module} 2.1 cannot be used: " in outcome.stderr
        assert why in outcome.stderr
    with pytest.raises(plugins.PluginError):
        validator.validate(path)


def test_help_and_version_need_no_plugin(command: Command, acme: Site) -> None:
    """What judges nothing works on."""
    acme.add("raise RuntimeError")
    for arguments in (["--version"], ["--help"], ["check", "--help"], ["completion", "bash"]):
        assert command(*arguments).code == 0


def test_a_traceback_is_shown_to_whoever_asks(command: Command, acme: Site) -> None:
    """IMAGE_VALIDATOR_DEBUG is for the author of the plug-in."""
    acme.add("import no_such_module")
    with pytest.raises(AssertionError, match="Traceback"):
        command("checks", env={"IMAGE_VALIDATOR_DEBUG": "1"})


def test_what_a_plugin_says_commands_nothing(command: Command, acme: Site) -> None:
    """The text of its exception is shown as text."""
    acme.add("raise RuntimeError('##vso[task.complete]\\n::error::x\\x1b[2J')")
    outcome = command("checks")
    assert outcome.code == 2
    assert "##" not in outcome.stderr
    assert "\x1b" not in outcome.stderr
    assert "\n::" not in outcome.stderr


# --- how they are found ---------------------------------------------------------------------------


def test_a_plugin_in_an_archive(command: Command, acme: Site, tmp_path: Path, image: Image) -> None:
    """Where distributions are no folders, importlib.metadata is asked."""
    acme.add(CHECK.format(body="yield passed('x')"))
    archive = tmp_path / "plugins.zip"
    with zipfile.ZipFile(archive, "w") as file:
        for path in acme.folder.rglob("*"):
            file.write(path, path.relative_to(acme.folder))
    environment = {"PYTHONPATH": os.pathsep.join((str(ROOT), str(archive)))}
    outcome = command.process("check", "-f", "json", image(generalized()), env=environment)
    assert "acme-x" in findings(outcome)


@pytest.fixture
def plain_finders(monkeypatch: pytest.MonkeyPatch) -> None:
    """Python's own alone: packages of other tests bring more (importlib_metadata does)."""
    own = [each for each in sys.meta_path if each is PathFinder or not hasattr(each, "find_distributions")]
    monkeypatch.setattr(sys, "meta_path", own)


@pytest.mark.usefixtures("plain_finders")
def test_a_finder_of_another_kind(monkeypatch: pytest.MonkeyPatch) -> None:
    """What finds distributions elsewhere is asked as well."""
    assert not catalogue._announced()
    monkeypatch.setattr(sys, "meta_path", [*sys.meta_path, SimpleNamespace(find_distributions=lambda _: ())])
    assert catalogue._announced()


def test_entry_points_of_any_length(acme: Site) -> None:
    """A file that is longer than what is looked at may name the group behind."""
    module = acme.add("plugin = Plugin()")
    points = acme.folder / f"{module}-2.1.dist-info" / "entry_points.txt"
    many = "".join(f"x{number} = y:z\n" for number in range(10_000))
    points.write_text(f"[console_scripts]\n{many}\n{points.read_text()}")
    assert catalogue._announced()
    assert len(catalogue.entry_points()) == 1


@pytest.mark.usefixtures("plain_finders")
@pytest.mark.parametrize("where", ["folder", "file"])
def test_metadata_that_is_broken(acme: Site, where: str) -> None:
    """As importlib.metadata has it: no entry points."""
    described = acme.folder / "broken-1.dist-info"
    if where == "file":
        described.write_text("x")
    else:
        described.mkdir()
        (described / "entry_points.txt").mkdir()
    assert not catalogue._announced()
    assert catalogue.entry_points() == []


def test_entry_points_that_cannot_be_read(command: Command, acme: Site, image: Image) -> None:
    """They may name a plug-in: nothing is judged without it."""
    acme.add(CHECK.format(body="yield passed('x')"))
    described = acme.folder / "other-1.dist-info"
    described.mkdir()
    points = described / "entry_points.txt"
    points.symlink_to(points)
    outcome = command("check", image(generalized()))
    assert (outcome.code, outcome.stdout) == (2, "")
    assert "other-1.dist-info/entry_points.txt" in outcome.stderr
    points.unlink()
    points.write_bytes(f"[{catalogue.GROUP}]\nx = \xff".encode("latin-1"))
    outcome = command("check", image(generalized()))
    assert (outcome.code, outcome.stdout) == (2, "")


def test_a_folder_that_cannot_be_read(acme: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As little."""
    loop = tmp_path / "loop"
    loop.symlink_to(loop)
    monkeypatch.syspath_prepend(loop)
    with pytest.raises(plugins.PluginError, match="loop"):
        catalogue.all_checks()


def test_a_plugin_that_something_hides(
    command: Command, acme: Site, image: Image, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By an empty folder that an upgrade left behind; another version of it may stand before it."""
    module = acme.add(CHECK.format(body="yield passed('x')"))
    left = tmp_path / "left"
    (left / f"{module}-9.dist-info").mkdir(parents=True)
    monkeypatch.syspath_prepend(left)
    outcome = command("check", image(generalized()))
    assert (outcome.code, outcome.stdout) == (2, "")
    assert "the plug-in acme is installed in" in outcome.stderr
    points = (acme.folder / f"{module}-2.1.dist-info" / "entry_points.txt").read_text()
    (left / f"{module}-9.dist-info" / "METADATA").write_text(f"Name: {module}\nVersion: 9\n")
    (left / f"{module}-9.dist-info" / "entry_points.txt").write_text(points)
    assert finding(command, image(generalized()))[0]["plugin"]["version"] == "9"


def test_what_is_not_installed_costs_no_import(image: Image, command: Command) -> None:
    """Neither importlib.metadata nor what loads plug-ins."""
    script = (
        "import sys\nfrom validator.cli import main\n"
        "try: main()\n"
        "finally: print(*sys.modules, file=sys.stderr)"
    )
    loaded = command.process("check", image(generalized()), script=script).stderr.split()
    assert "validator.catalogue" in loaded
    unwanted = {"importlib.metadata", "validator.plugin_loader", "validator.plugins", "email", "csv"}
    assert unwanted & set(loaded) == set()


# --- the documentation ----------------------------------------------------------------------------

PAGE = ROOT / "docs" / "plugins.md"


def test_the_documented_example_is_the_one_that_is_tested() -> None:
    """Both of its files, word for word."""
    text = PAGE.read_text(encoding="utf-8")
    for name, language in (("pyproject.toml", "toml"), ("contoso_image_checks.py", "python")):
        content = (EXAMPLE / name).read_text(encoding="utf-8")
        assert f"`{name}`:\n\n```{language}\n{content}```\n" in text, name


def test_every_public_name_is_documented() -> None:
    """And exists; what a plug-in may import is what the page lists."""
    text = PAGE.read_text(encoding="utf-8")
    table = text.partition("## What may be imported")[2].partition("\n## ")[0]
    for name in plugins.__all__:
        assert hasattr(plugins, name)
        assert f"`{name}`" in table, name


def test_the_documented_facts_are_there() -> None:
    """With the types that the page gives, which can be imported."""
    text = PAGE.read_text(encoding="utf-8")
    table = text.partition("## Facts that stay")[2].partition("\n## ")[0]
    rows = [line.split("|")[1:3] for line in table.splitlines() if line.startswith("| `")]
    functions = {**IMAGE_FACTS, **INSTALLATION_FACTS}
    assert len(rows) > 5
    for name, kind in ((cell.strip(" `") for cell in row) for row in rows):
        given = functions[name].__annotations__["return"] if name in functions else plugins.Question
        assert kind == getattr(given, "__name__", given), name
        assert kind == "str" or kind in plugins.__all__, name
