"""Many images: each is reported once, whatever happens to it, and harms no other."""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
import tempfile
import textwrap
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import validator
from tests.command import ROOT, Command, environment
from tests.images import generalized
from tests.reports import hostile, run_of, sample
from tests.test_bad_input import as_nobody
from validator.evidence import Layer
from validator.report.formats import FORMATS, Style, render
from validator.report.model import Report, RunReport

Image = Callable[..., Path]
SAMPLES = ROOT / "sample_images"
GOOD, BAD, CORRUPT = (SAMPLES / f"{name}.vhdx" for name in ("generalized-gen2", "undeployable", "corrupt"))
posix = pytest.mark.skipif(os.name != "posix", reason="as POSIX has it")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """For images, away from what else a test writes."""
    path = tmp_path / "images"
    path.mkdir()
    return path


def many(folder: Path, count: int, image: Path = GOOD) -> list[str]:
    """So many names of one image, in their order."""
    names = [folder / f"disk{number:03}.vhdx" for number in range(count)]
    for name in names:
        name.symlink_to(image)
    return [str(name) for name in names]


def steady(data: dict[str, Any]) -> dict[str, Any]:
    """A JSON report without what differs in every run."""
    for image in data["images"]:
        del image["duration_ms"]
    return data


def verdicts(reports: Any) -> dict[str, str]:
    """By path; each of them came once."""
    reports = list(reports)
    found = {report.path: report.verdict.value for report in reports}
    assert len(found) == len(reports)
    return found


def all_deployable(paths: list[str], **others: str) -> dict[str, str]:
    """The verdicts on good images, but for some."""
    return {**dict.fromkeys(paths, "deployable"), **others}


# --- processes ------------------------------------------------------------------------------------


def test_processes_change_no_report(command: Command, folder: Path) -> None:
    """Neither what is said of each, good, bad and broken, nor the order."""
    paths = many(folder, 36)
    for place, image in ((5, BAD), (6, CORRUPT), (30, BAD)):
        Path(paths[place]).unlink()
        Path(paths[place]).symlink_to(image)
    paths.reverse()
    alone, shared = (command("check", "-f", "json", "--jobs", jobs, *paths) for jobs in (1, 2))
    assert (alone.code, shared.code) == (1, 1)
    assert steady(shared.json) == steady(alone.json)
    assert [image["path"] for image in shared.json["images"]] == paths
    assert shared.json["summary"] == {"images": 36, "deployable": 33, "undeployable": 2, "indeterminate": 1}


def test_a_policy_travels(command: Command, folder: Path, tmp_path: Path) -> None:
    """Expectations and waivers count in other processes as they do here."""
    policy = tmp_path / "policy.toml"
    policy.write_text(
        textwrap.dedent(
            """
            [[waiver]]
            check = "expect/agent"
            reason = "It comes later."
            image = "images/disk001.vhdx"
            [[expect]]
            id = "agent"
            title = "The agent starts by itself."
            remedy = "Install it."
            service = { name = "Agent", start = "automatic" }
            """
        )
    )
    paths = many(folder, 4)
    alone, shared = (
        command("check", "-f", "json", "--policy", policy, "-j", jobs, *paths) for jobs in ("1", "2")
    )
    assert steady(shared.json) == steady(alone.json)
    statuses = [image["findings"][-1]["status"] for image in shared.json["images"]]
    assert statuses == ["failed", "waived", "failed", "failed"]


PLUGIN = '''
import os, pathlib, signal, time
from validator.plugins import NtfsVolume, Plugin, Remedy, Severity, by_profile, check, passed

@check("deadly-check", family="deadly", severity=by_profile(*[Severity.NOTICE] * 3), remedy=Remedy("None."),
       references=("https://example.com",), since="1.0")
def deadly_check(file_system: NtfsVolume):
    """An image harms nobody.

    But for some."""
    tried = pathlib.Path(os.environ["TRIED"])
    if file_system.size("once") and not tried.exists():
        tried.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    if file_system.size("deadly"):
        os.kill(os.getpid(), signal.SIGKILL)
    if file_system.size("exits"):
        os._exit(7)
    if file_system.size("hangs"):
        time.sleep(1000)
    yield passed("It does not.")

plugin = Plugin(checks=(deadly_check,))
'''


@pytest.fixture
def deadly(tmp_path: Path) -> dict[str, str]:
    """The environment of a process in which a plug-in is installed that some images make kill it."""
    site = tmp_path / "site"
    information = site / "deadly-1.0.dist-info"
    information.mkdir(parents=True)
    (site / "deadly.py").write_text(PLUGIN)
    (information / "METADATA").write_text("Metadata-Version: 2.1\nName: deadly\nVersion: 1.0\n")
    (information / "entry_points.txt").write_text("[image_validator.plugins]\ndeadly = deadly:plugin\n")
    return {"PYTHONPATH": os.pathsep.join((str(ROOT), str(site))), "TRIED": str(tmp_path / "tried")}


@posix
def test_what_kills_its_process_harms_no_other(
    command: Command, image: Image, folder: Path, deadly: dict[str, str]
) -> None:
    """It is tried twice and is indeterminate; what was killed by accident is judged the second time."""
    paths = many(folder, 12)
    for name in ("deadly", "once", "exits"):
        (folder / name).symlink_to(image(generalized().file(name, b"x")))
        paths.insert(4, str(folder / name))
    outcome = command.process("check", "-f", "json", "-j", "2", *paths, env=deadly)
    assert outcome.code == 3
    assert [image["path"] for image in outcome.json["images"]] == paths
    found = {os.path.basename(image["path"]): image for image in outcome.json["images"]}
    bad = {name for name, image in found.items() if image["verdict"] != "deployable"}
    assert bad == {"deadly", "exits"}
    for name, fate in (("deadly", "was ended by signal 9"), ("exits", "ended with exit code 7")):
        assert found[name]["verdict"] == "indeterminate"
        assert fate in found[name]["summary"]
        assert {each["status"] for each in found[name]["findings"]} == {"unknown"}
        assert found[name]["findings"][-1]["check"] == "deadly-check"
    assert found["once"]["findings"][-1]["plugin"] == {"name": "deadly", "version": "1.0"}


@posix
def test_what_does_not_end_is_given_up(
    command: Command, image: Image, folder: Path, deadly: dict[str, str]
) -> None:
    """The others wait for nobody."""
    hangs = image(generalized().file("hangs", b"x"))
    paths = [str(hangs), *many(folder, 6)]
    script = "import validator.fleet as fleet\nfrom validator.cli import main\n"
    script += "if __name__ == '__main__':\n    fleet.PATIENCE = 5.0\n    main()"
    outcome = command.process("check", "-f", "json", "-j", "2", *paths, env=deadly, script=script)
    first, *others = outcome.json["images"]
    assert (first["verdict"], {each["verdict"] for each in others}) == ("indeterminate", {"deployable"})
    assert "no answer within 5 seconds" in first["summary"]


def test_where_no_process_starts_nothing_is_judged(folder: Path) -> None:
    """As in a script that starts the processes when it is imported: they would start others."""
    paths = many(folder, 8)
    script = folder.parent / "script.py"
    script.write_text(
        "import sys, validator\n"
        "for report in validator.validate_many(sys.argv[1:], 'generalized', jobs=2):\n"
        "    print(report.path, report.verdict.value, report.summary)\n"
    )
    done = subprocess.run(
        [sys.executable, script, *paths], env=environment(), capture_output=True, text=True, timeout=60
    )
    lines = dict(line.split(" ", 1) for line in done.stdout.splitlines())
    assert set(lines) == set(paths)
    assert all(line.startswith("indeterminate Undecided: tool: ") for line in lines.values())
    assert "ended with exit code 1" in lines[paths[0]]


@pytest.mark.skipif(not os.path.isdir("/proc/self"), reason="processes are found in /proc")
def test_an_interruption_ends_all(folder: Path) -> None:
    """130 soon, a word instead of a traceback, and no process is left behind."""
    paths = folder.parent / "list"
    paths.write_text("\n".join(many(folder, 2_000)))
    run = subprocess.Popen(
        [sys.executable, "-m", "validator", "check", "-j", "2", "--profile", "generalized", f"@{paths}"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env=environment(),
        start_new_session=True,
    )
    try:
        wait_until(lambda: len(session(run.pid)) >= 4)  # the command, who starts processes, and two
        time.sleep(0.5)
        os.killpg(run.pid, signal.SIGINT)  # as a terminal does it
        started = time.monotonic()
        stdout, stderr = run.communicate(timeout=20)
    finally:
        run.kill()
    assert time.monotonic() - started < 5
    assert (run.returncode, stdout, stderr.strip()) == (130, "", "interrupted")
    wait_until(lambda: not session(run.pid))


def session(leader: int) -> list[int]:
    """The processes of a session."""
    found = []
    for name in filter(str.isdecimal, os.listdir("/proc")):
        try:
            fields = Path(f"/proc/{name}/stat").read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        if int(fields[3]) == leader and fields[0] != "Z":
            found.append(int(name))
    return found


def wait_until(holds: Callable[[], bool]) -> None:
    """Wait for something that takes a moment."""
    deadline = time.monotonic() + 30
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.05)


# --- the library ----------------------------------------------------------------------------------


@pytest.fixture(params=["here", "processes", "threads", "a pool of processes"])
def way(request: pytest.FixtureRequest) -> Iterator[dict[str, Any]]:
    """Where images are judged."""
    if request.param in ("here", "processes"):
        yield {"jobs": 1 if request.param == "here" else 2}
        return
    if request.param == "threads":
        executor: Executor = ThreadPoolExecutor(3)
    else:
        import multiprocessing

        executor = ProcessPoolExecutor(2, multiprocessing.get_context("spawn"))
    with executor:
        yield {"executor": executor}
        assert executor.submit(int).result() == 0  # it was not shut down


def test_each_image_has_one_report(
    way: dict[str, Any], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the name that the caller has for it; a file that is gone and one that is none have theirs."""
    paths = [os.path.relpath(path, folder.parent) for path in many(folder, 5)]
    (folder / "bad.vhdx").symlink_to(BAD)
    paths[2:2] = ["gone.vhdx", "images/bad.vhdx", "images"]
    monkeypatch.chdir(folder.parent)
    reports = list(validator.validate_many(map(Path, paths), "generalized", **way))
    others = {"gone.vhdx": "indeterminate", "images": "indeterminate", "images/bad.vhdx": "undeployable"}
    assert verdicts(reports) == all_deployable(paths, **others)
    (gone,) = (report for report in reports if report.path == "gone.vhdx")
    assert {finding.evidence[0].where.layer for finding in gone.findings} == {Layer.FILE}
    assert "no such file" in gone.summary
    assert gone.question == reports[0].question


def test_a_waiver_is_about_the_callers_name(
    way: dict[str, Any], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Relative to the folder in which he calls it so."""
    many(folder, 2, CORRUPT)
    monkeypatch.chdir(folder)
    policy = validator.Policy(
        waivers=(validator.Waiver("image-state", "It is known.", image="images/disk001.vhdx"),)
    )
    reports = validator.validate_many(["disk000.vhdx", "disk001.vhdx"], "generalized", policy=policy, **way)
    waived = {
        report.path: report.findings[0].status
        for report in reports
        if report.findings[0].check.id == "image-state"
    }
    assert waived == {
        "disk000.vhdx": validator.Status.UNKNOWN,
        "disk001.vhdx": validator.Status.WAIVED,
    }


def test_paths_are_taken_as_they_are_needed(way: dict[str, Any], folder: Path) -> None:
    """A million of them cost no memory."""
    taken = []

    def endless() -> Iterator[str]:
        while True:
            taken.append(folder / "none.vhdx")
            yield str(taken[-1])

    reports = validator.validate_many(endless(), **way)
    for _ in range(10):
        next(reports)
    assert len(taken) < 1_000
    if hasattr(reports, "close"):
        reports.close()


def end_at_once() -> None:
    os._exit(1)


def test_an_executor_that_cannot(folder: Path) -> None:
    """Broken or shut down: each image is indeterminate, and says why."""
    import multiprocessing

    paths = many(folder, 3)
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, context, initializer=end_at_once) as broken:
        reports = list(validator.validate_many(paths, "generalized", executor=broken))
        assert "the executor failed (BrokenProcessPool" in reports[0].summary
    closed = ThreadPoolExecutor(1)
    closed.shutdown()
    reports += validator.validate_many(paths, "generalized", executor=closed)
    assert "the executor failed (RuntimeError" in reports[-1].summary
    assert Counter(report.path for report in reports) == dict.fromkeys(paths, 2)
    assert {report.verdict.value for report in reports} == {"indeterminate"}


def test_what_is_interrupted_elsewhere_is_no_interruption_here(folder: Path) -> None:
    """A task that raises what would end this process."""

    class Rude(ThreadPoolExecutor):
        def submit(self, function: Any, /, *arguments: Any, **keywords: Any) -> Any:
            return super().submit(sys.exit, 0)

    with Rude(1) as rude:
        assert verdicts(validator.validate_many(many(folder, 2), executor=rude)) == dict.fromkeys(
            [str(folder / "disk000.vhdx"), str(folder / "disk001.vhdx")], "indeterminate"
        )


@pytest.mark.parametrize(
    ("keywords", "error"),
    [
        ({"profile": "none"}, ValueError),
        ({"input_format": "none"}, ValueError),
        ({"jobs": 0}, ValueError),
        ({"no_such_keyword": 1}, TypeError),
        ({"name": "one for all"}, TypeError),
    ],
    ids=str,
)
def test_a_wrong_call_is_no_image(keywords: dict[str, Any], error: type[Exception]) -> None:
    """It is said at once."""
    with pytest.raises(error):
        validator.validate_many([str(GOOD)], **keywords)


# --- pickles --------------------------------------------------------------------------------------


def expecting() -> RunReport:
    """A report with an expectation, and all that a report can have beside what is judged."""
    from validator.checks.expectations import Expectation, ServiceEntry
    from validator.checks.model import Remedy

    severity = dict.fromkeys(("generalized", "azure-generalized"), validator.Severity.WARNING)
    entry = ServiceEntry("Agent", ("automatic",))
    expectation = Expectation("agent", "The agent starts.", severity, Remedy("Install it."), entry)
    policy = validator.Policy(expectations=(expectation,))
    assert pickle.loads(pickle.dumps(policy)) == policy
    return run_of(validator.validate(GOOD, policy=policy, picture=True, timeline=True))


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("run", [sample, hostile, expecting])
def test_a_report_travels_whole(kind: str, run: Callable[[], RunReport]) -> None:
    """What is rendered of it afterwards is the same, byte by byte."""
    there = run()
    here = replace(there, images=pickle.loads(pickle.dumps(there.images)))
    style = Style(verbose=True)
    assert render(kind, here, style) == render(kind, there, style)


def test_a_check_stays_itself() -> None:
    """One of ours is the same object; one of a policy says the same of itself."""
    (report,) = expecting().images
    travelled: Report = pickle.loads(pickle.dumps(report))
    for before, after in zip(report.findings, travelled.findings):
        same = before.check is after.check
        assert same is not before.check.id.startswith("expect/")
        assert (before.check.title, before.check.explanation) == (after.check.title, after.check.explanation)
        assert before.check.reads == after.check.reads
        assert before.check.severity == after.check.severity


# --- which images ---------------------------------------------------------------------------------


def names_of(command: Command, *arguments: object, **options: Any) -> list[str]:
    """The paths in the report, in its order."""
    return [image["path"] for image in command("check", "-f", "json", *arguments, **options).json["images"]]


def test_a_folder_stands_for_its_images(command: Command, folder: Path) -> None:
    """All below, by their extensions, sorted; links to folders are not followed."""
    wanted = ["B.VHDX", "a.img", "deep/er/disk.avhdx", "deep/disk.vhd", "z.vmdk"]
    for name in (*wanted, "notes.txt", "vhdx", "deep/disk.vhdx.bak", "other/none.iso"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    (folder / "deep" / "loop").symlink_to(folder, target_is_directory=True)
    paths = sorted(str(folder / name) for name in wanted)
    assert names_of(command, "--recursive", folder) == paths
    assert names_of(command, "-r", folder / "z.vmdk", folder, folder / "deep") == [
        str(folder / "z.vmdk"), *paths[:-1],
    ]  # fmt: skip
    outcome = command("check", folder)
    assert outcome.code == 3
    assert "--recursive" in outcome.stderr
    outcome = command("check", "-r", folder / "other")
    assert outcome.code == 4
    assert "there is no image in" in outcome.stderr


def test_the_extents_of_a_vmdk_are_no_images(command: Command, folder: Path) -> None:
    """They are left out where a descriptor names them, which is judged for all; their names say nothing."""
    descriptor = (
        '# Disk DescriptorFile\nversion=1\nCID=1\nparentFileNameHint="base.vmdk"\n'
        'RW 100 SPARSE "disk-s001.vmdk"\nRW 100 FLAT "disk-flat.vmdk" 0\nchangeTrackPath="disk-ctk.vmdk"\n'
    )
    (folder / "disk.vmdk").write_text(descriptor)
    for name in ("disk-s001", "disk-flat", "disk-ctk", "base", "other-flat"):
        (folder / f"{name}.vmdk").touch()
    assert names_of(command, "-r", folder) == [
        str(folder / f"{name}.vmdk") for name in ("base", "disk", "other-flat")
    ]
    assert len(names_of(command, *folder.iterdir())) == 6


@posix
def test_a_folder_that_cannot_be_listed(command: Command) -> None:
    """2: what is in it would pass unseen."""
    with tempfile.TemporaryDirectory() as top:
        Path(top).chmod(0o755)
        (Path(top) / "closed").mkdir(mode=0)
        with as_nobody():
            outcome = command("check", "--no-policy", "-r", top)
    assert (outcome.code, outcome.stdout) == (2, "")
    assert "cannot list" in outcome.stderr
    assert "closed" in outcome.stderr


@pytest.mark.parametrize("how", ["lines", "Windows lines", "NULs"])
@pytest.mark.parametrize("where", ["file", "standard input"])
def test_a_list(
    command: Command, folder: Path, monkeypatch: pytest.MonkeyPatch, how: str, where: str
) -> None:
    """Each path once, in the order of the list, relative to the working directory."""
    monkeypatch.chdir(folder)
    names = ["z.vhdx", "a b.vhdx", "disk[1].vhdx", "@x.vhdx"]
    if how == "NULs" and os.name == "posix":
        names.append("line\nbreak.vhdx")
    for name in names:
        (folder / name).touch()
    separator = {"lines": "\n", "Windows lines": "\r\n", "NULs": "\0"}[how]
    text = separator.join([*names, names[0], "", ""])
    text = f"\ufeff{text}" if how == "Windows lines" else text
    lines = folder.parent / "list.txt"
    lines.write_bytes(text.encode())
    if where == "file":
        assert names_of(command, f"@{lines}", "z.vhdx") == names
        return
    with lines.open(encoding="utf-8") as stream:
        monkeypatch.setattr("sys.stdin", stream)
        assert names_of(command, "a b.vhdx", "-") == ["a b.vhdx", *(set_aside(names, "a b.vhdx"))]


def set_aside(names: list[str], name: str) -> list[str]:
    """The others."""
    return [each for each in names if each != name]


def test_what_is_wrong_with_a_list(command: Command, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A path that is not there is missing as among the arguments; patterns are none; existing paths win."""
    monkeypatch.chdir(folder)
    Path("list").write_text("gone.vhdx\n*.vhdx\n")
    Path("disk.vhdx").touch()
    outcome = command("check", "@list")
    assert (outcome.code, outcome.stdout) == (2, "")
    assert "gone.vhdx" in outcome.stderr
    assert "*.vhdx" in outcome.stderr
    assert command("check", "@none").code == 2
    Path("empty").write_text("\n\n")
    outcome = command("check", "@empty")
    assert outcome.code == 4
    assert "@empty lists no image" in outcome.stderr
    Path("@list").touch()
    assert names_of(command, "@list") == ["@list"]
    assert "would overwrite a list" in command("check", "@empty", "--report", "json=empty").stderr


# --- the command ----------------------------------------------------------------------------------


@pytest.mark.parametrize("value", ["0", "-1", "many", "", "1.5", "²"])
def test_a_wrong_number_of_jobs(command: Command, value: str) -> None:
    outcome = command("check", "--jobs", value, GOOD)
    assert (outcome.code, outcome.stdout) == (2, "")
    assert "auto" in outcome.stderr


def test_dask_that_is_not_installed(command: Command) -> None:
    """It is said what to install."""
    script = "import sys; sys.modules['distributed'] = None; from validator.cli import main; main()"
    outcome = command.process("check", "--dask", "tcp://127.0.0.1:1", GOOD, script=script)
    assert (outcome.code, outcome.stdout) == (2, "")
    assert "image-validator[dask]" in outcome.stderr


def test_lines_of_progress(command: Command, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On standard error, seldom; none with `--quiet`, none for a few images."""
    paths = many(folder, 8)
    Path(paths[3]).unlink()
    Path(paths[3]).symlink_to(CORRUPT)
    assert command("check", *paths, "-j", "1").stderr == ""
    monkeypatch.setattr("validator.cli.progress._EVERY", 0.0)
    lines = command("check", *paths, "-j", "1").stderr.splitlines()
    assert len(lines) == 8
    assert lines[2] == "3 of 8 judged"
    assert lines[-1] == "8 of 8 judged: 1 indeterminate"
    assert command("check", *paths, "-j", "1", "--quiet").stderr == ""
    assert command("check", *paths[:7], "-j", "1").stderr == ""


def test_a_baseline_of_many(command: Command, folder: Path, tmp_path: Path) -> None:
    """It is made of all of them, and counts at once."""
    paths = [str(folder / name) for name in ("a.vhd", "b.vhd", "c.vhd")]
    for path in paths:
        Path(path).symlink_to(SAMPLES / "generalized-gen1.vhd")
    base = tmp_path / "base.json"
    options = ("--profile", "azure-generalized", "-f", "json")
    alone = command("check", *options, "-j", "1", f"--write-baseline={base}", *paths)
    first = base.read_text()
    shared = command("check", *options, "-j", "2", f"--write-baseline={base}", *paths)
    assert steady(shared.json) == steady(alone.json)
    assert base.read_text() == first
