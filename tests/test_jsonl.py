"""JSON lines: a line for each image as it is judged, a report back from its line, and `--resume`."""

from __future__ import annotations

import functools
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import fields, replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import validator
from tests.command import ROOT, SECONDS, Command, Outcome, environment
from tests.images import Disk, Esp, Msr, Ntfs, damage, generalized, installed, undeployable
from tests.reports import SAMPLES, hostile, run_of, sample
from validator.catalogue import all_checks
from validator.checks.model import Severity
from validator.cli.journal import MAX_LINE
from validator.facts.question import Question
from validator.judging import Verdict
from validator.policy.model import NO_POLICY, Policy, Waiver
from validator.report.formats import FORMATS, Style, render
from validator.report.jsonl import Setting, line, sealed
from validator.report.model import PolicyInForce, Report, RunReport
from validator.report.reading import Lines

Image = Callable[..., Path]

SCHEMA = json.loads((ROOT / "validator" / "report" / "schema.json").read_text())
LINE = {"$ref": "#/$defs/line", "$defs": SCHEMA["$defs"]}
STYLES = (Style(), Style(verbose=True), Style(quiet=True))
HERE = Setting(
    "1.2.3", (), PolicyInForce("p.toml", "0" * 64, ("x",)), 0, Question("x"), ("p",), "m", True, False, "/"
)
posix = pytest.mark.skipif(os.name != "posix", reason="signals and links of POSIX")


def back(report: Report, policy: Policy = NO_POLICY) -> Report:
    """A report after it was written and read."""
    return Lines(HERE, policy.catalogue(all_checks())).report(line(report, HERE).encode()[:-1])


def same(before: RunReport, policy: Policy = NO_POLICY, formats: Iterable[str] = FORMATS) -> None:
    """Reports that were written and read are what they were, and formats say the same of them."""
    after = replace(before, images=tuple(back(image, policy) for image in before.images))
    for name in formats:
        for style in STYLES if name == "text" else STYLES[:2]:
            assert render(name, after, style) == render(name, before, style), name
    for one, other in zip(map(unnamed, before.images), map(unnamed, after.images)):
        differ = [
            each.name for each in fields(Report) if getattr(one, each.name) != getattr(other, each.name)
        ]
        assert set(differ) <= {"facts"}
        run = one.facts.setup_state.last_sysprep_run  # the one value without a type of its own
        state = other.facts.setup_state._replace(last_sysprep_run=run)
        assert other.facts._replace(setup_state=state) == one.facts


def unnamed(report: Report) -> Report:
    """The report with the ids of its checks: those of a policy are made again each time, and never equal."""
    findings: Any = tuple(each._replace(check=each.check.id) for each in report.findings)  # type: ignore[arg-type]
    return replace(report, judgement=report.judgement._replace(findings=findings))


def lines_of(path: Path) -> list[Any]:
    """The whole lines of a file."""
    return [json.loads(each) for each in path.read_text(encoding="ascii").splitlines()]


# --- there and back ------------------------------------------------------------------------------


@pytest.mark.parametrize("run", [sample, hostile, lambda: hostile(2_500)], ids=["sample", "hostile", "long"])
def test_reports_come_back(run: Callable[[], RunReport]) -> None:
    """Byte for byte, in every format, whatever they quote."""
    same(run())


POLICY = Policy(
    severity={"state-ini-agrees": {"generalized": Severity.NOTICE}},
    waivers=(
        Waiver("image-state", "It is known.", until=date(2099, 1, 1)),
        Waiver("evidence-agrees", "It was known.", until=date(2020, 1, 1)),
    ),
)


@pytest.mark.parametrize("policy", [NO_POLICY, POLICY], ids=["no policy", "waivers"])
@pytest.mark.parametrize("profile", ["generalized", "azure-specialized"])
def test_reports_of_sample_images_come_back(profile: str, policy: Policy) -> None:
    """With severities of a policy, what it accepts, and what it does no more."""
    images = [
        validator.validate(ROOT / "sample_images" / name, profile, policy=policy, timeline=True)
        for name in sorted(os.listdir(ROOT / "sample_images"))
        if name.endswith((".vhd", ".vhdx"))
    ]
    assert len(images) >= len(SAMPLES)
    assert len({each.verdict for each in images}) > 1
    same(run_of(*images), policy, ["json"])


def test_reports_with_expectations_come_back(tmp_path: Path) -> None:
    """Their checks are made from the policy, again in each run."""
    file = tmp_path / "image-validator.toml"
    file.write_text(
        '[[expect]]\nid = "agent"\ntitle = "The agent is there."\nremedy = "Install it."\n'
        'file = {path = "C:/agent"}\n'
    )
    policy = validator.policy.load(str(file))
    report = validator.validate(ROOT / "sample_images" / SAMPLES[0], policy=policy)
    assert "expect/agent" in [each.check.id for each in report.findings]
    same(run_of(report), policy)
    with pytest.raises(ValueError, match="expect/agent"):
        back(report)


def test_reports_of_odd_images_come_back(image: Image, tmp_path: Path) -> None:
    """Damage, no Windows, two of them, no image at all."""
    two = Disk((Esp(), Msr(), Ntfs(generalized(), label="a"), Ntfs(installed(), label="b")))
    cut = image(generalized())
    damage.truncate(cut, cut.stat().st_size // 2)
    (tmp_path / "text.vhdx").write_text("no image")
    paths = [cut, tmp_path, tmp_path / "text.vhdx", image(two), image(undeployable(), "vhd-fixed")]
    same(
        run_of(*(validator.validate(path, "generalized", timeline=True) for path in paths)), formats=["json"]
    )


# --- a line --------------------------------------------------------------------------------------


@pytest.mark.parametrize("run", [sample, hostile], ids=["sample", "hostile"])
def test_a_line_is_an_entry_of_the_contract(run: Callable[[], RunReport]) -> None:
    """And one line of ASCII that no host acts upon, of which the schema says all."""
    images = json.loads(render("json", run(), Style()))["images"]
    printed = render("jsonl", run(), Style()).splitlines()
    for report, entry, other in zip(run().images, images, printed):
        text = line(report, HERE)
        assert text.isascii()
        assert text.count("\n") == 1
        assert "##" not in text
        for data in (json.loads(text), json.loads(other)):
            assert {key: data[key] for key in entry} == entry
            if run is sample:  # the hostile one says what no image makes us say
                jsonschema.Draft202012Validator(LINE).validate(data)
        assert json.loads(text)["files"] == [
            {"path": each.path, "size": each.size, "modified": each.modified} for each in report.parts
        ]
        assert json.loads(other)["resume"] is None


@pytest.mark.parametrize("output_format", FORMATS)
def test_no_number_of_number_signs_is_a_command(output_format: str) -> None:
    """Azure's agents act on `##vso[` anywhere in a line, also behind a third `#`."""
    command = "vso[task.complete result=Succeeded]"
    text = " ".join("#" * marks + command for marks in range(2, 7))
    report = sample().images[1]
    findings = tuple(each._replace(message=text) for each in report.findings)
    judgement = report.judgement._replace(summary=text, findings=findings)
    run = run_of(replace(report, path=text, judgement=judgement))
    for style in STYLES:
        assert f"##{command}" not in render(output_format, run, style)


@functools.cache
def written() -> str:
    """A line about the good sample, without its line feed."""
    return line(sample().images[0], HERE)[:-1]


@settings(max_examples=300, derandomize=True, deadline=None, database=None)
@given(place=st.floats(0, 1), piece=st.binary(max_size=6), gone=st.integers(0, 40))
def test_a_changed_line_is_refused(place: float, piece: bytes, gone: int) -> None:
    """Whatever became of it: it is the line that was written, or none."""
    data = written().encode()
    at = int(place * len(data))
    changed = data[:at] + piece + data[at + gone :]
    if changed == data:
        return
    with pytest.raises(ValueError, match=r"damaged|ascii"):
        Lines(HERE, all_checks()).report(changed)


def forged(change: Callable[[Any], object]) -> bytes:
    """The line after somebody who knows how edited it, digest included."""
    data = json.loads(written())
    del data["sha256"]
    change(data)
    return sealed(json.dumps(data).removesuffix("}")).encode()


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=4,
)


@settings(
    max_examples=150,
    derandomize=True,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.too_slow],
)
@given(data=st.data())
def test_a_forged_line_is_a_report_or_refused(data: st.DataObject) -> None:
    """A value somewhere in it is another: it has the type that belongs there, or the line is no report.

    Which report, nobody can promise: the digest is no signature.
    """

    def change(content: Any) -> None:
        node = content["resume"]
        while isinstance(node, list) and node:
            index = data.draw(st.integers(0, len(node) - 1))
            if not isinstance(node[index], list) or data.draw(st.integers(0, 5)) == 0:
                node[index] = data.draw(VALUES)
                return
            node = node[index]

    try:
        report = Lines(HERE, all_checks()).report(forged(change))
    except ValueError:
        return
    for name in ("text", "json"):
        render(name, run_of(report), STYLES[1])
    assert report.verdict in Verdict


NESTED = "[" * 200_000
GARBAGE = {
    "nothing": b"",
    "bytes": bytes(range(256)),
    "deep": sealed(f'{{"resume":{NESTED}').encode(),
    "a number": sealed("1").encode(),
    "another object": sealed('{"resume":{}').encode(),
    "nothing kept": sealed('{"resume":null').encode(),
    "NaN": sealed('{"resume":[NaN,NaN]').encode(),
    "a huge number": sealed(f'{{"resume":[{"9" * 100_000},1]').encode(),
    "no setting": forged(lambda data: data["resume"].__setitem__(0, [])),
    "half a setting": forged(lambda data: data["resume"][0].pop()),
    "no report": forged(lambda data: data["resume"].pop()),
    "infinity": written().replace("12.345", "1e999").encode(),
    "an infinite duration": forged(lambda data: data["resume"][1].__setitem__(6, float("inf"))),
    "a check that nobody knows": forged(lambda data: data["resume"][1][2][2][0].__setitem__(0, "no-such")),
    "a verdict that nobody knows": forged(lambda data: data["resume"][1][2].__setitem__(0, "good")),
    "one finding less of something": forged(lambda data: data["resume"][1][2][2][0].pop()),
    "a truth that is a number": forged(lambda data: data["resume"][1].__setitem__(-1, 0)),
}


@pytest.mark.parametrize("content", GARBAGE.values(), ids=GARBAGE)
def test_garbage_is_refused(content: bytes) -> None:
    """With a sentence, and never by another exception."""
    with pytest.raises(ValueError, match=r"\w"):
        Lines(HERE, all_checks()).report(content)


@pytest.mark.parametrize("name", Setting._fields)
def test_a_line_of_another_setting_is_refused(name: str) -> None:
    """Which says what is another."""
    other = {
        "plugins": (("plugin", "1"),),
        "policy": None,
        "expired": 1,
        "question": Question("y"),
        "parents": (),
        "timeline": False,
        "data_disk": True,
    }.get(name, "other")
    with pytest.raises(ValueError, match=f"another {name}: expected"):
        Lines(HERE._replace(**{name: other}), all_checks()).report(written().encode())


# --- resuming ------------------------------------------------------------------------------------


class Fleet:
    """Some images in a folder, and a run over them with a file of lines."""

    def __init__(self, folder: Path, command: Command) -> None:
        self.folder = folder
        self.file = folder.parent / "run.jsonl"
        self.paths = [folder / f"{number}-{name}" for number in range(2) for name in SAMPLES]
        for path in self.paths:
            shutil.copy(ROOT / "sample_images" / path.name[2:], path)
        self._command = command

    def __call__(self, *options: object, paths: Sequence[Path] = ()) -> Outcome:
        """One run."""
        arguments = ["check", "--format", "json", "--report", f"jsonl={self.file}", *options]
        return self._command(*arguments, *(paths or self.paths), watched=False)

    @property
    def judged(self) -> Counter[str]:
        """How often each image was judged, by the name of its file."""
        return Counter(Path(each["path"]).name for each in lines_of(self.file))


@pytest.fixture
def fleet(tmp_path: Path, command: Command, monkeypatch: pytest.MonkeyPatch) -> Iterator[Fleet]:
    """Two copies of each sample; the damaged ones are judged again in each run."""
    folder = tmp_path / "images"
    folder.mkdir()
    monkeypatch.chdir(tmp_path)
    yield Fleet(folder, command)
    shutil.rmtree(folder)


def told(outcome: Outcome) -> list[Any]:
    """What a run says of its images, but for what differs from run to run."""
    images = [each | {"duration_ms": 0} for each in outcome.json["images"]]
    return [outcome.code, outcome.json | {"images": images}]


SOUND = 6
"""Of the images of a fleet all but the two that are damaged."""


def test_a_finished_run_is_taken_over(fleet: Fleet) -> None:
    """The same report in every format, and only what could not be answered is asked again."""
    first = fleet()
    second = fleet("--resume", "--report", f"junit={fleet.folder.parent / 'junit.xml'}")
    assert told(second) == told(first)
    assert second.stderr == f"{fleet.file}: {SOUND} of 8 images are taken over\n"
    assert (fleet.folder.parent / "junit.xml").read_text().count("<testsuite ") == 8
    assert {name: number for name, number in fleet.judged.items() if number > 1} == {
        "0-corrupt.vhdx": 2,
        "1-corrupt.vhdx": 2,
    }
    assert fleet("--resume", "--quiet").stderr == ""
    again = fleet()
    assert told(again) == told(first)
    assert set(fleet.judged.values()) == {1}, "without --resume it is begun anew"


@pytest.mark.parametrize("cut", [0, 10, 100_000, -1])
def test_a_torn_line_is_cut_off(fleet: Fleet, cut: int) -> None:
    """Never glued to the next: every line of the file is whole afterwards."""
    first = fleet()
    data = fleet.file.read_bytes()
    kept = data[:cut]
    whole = kept[: kept.rfind(b"\n") + 1]
    fleet.file.write_bytes(kept)
    second = fleet("--resume")
    assert told(second) == told(first)
    assert fleet.file.read_bytes().startswith(whole)
    for each in fleet.file.read_bytes().splitlines():
        sound = each.decode()
        assert sealed(sound[: -len(sealed(""))]) == sound
    assert set(fleet.judged) == {path.name for path in fleet.paths}


def test_lines_that_cannot_be_used(fleet: Fleet) -> None:
    """Judged again, and said once: how many, which is the first, and what is wrong with it."""
    first = fleet("--jobs", 1)  # in the order of the paths
    lines = fleet.file.read_bytes().splitlines(keepends=True)
    lines[1] = lines[1].replace(b'"verdict":"undeployable"', b'"verdict":"deployable"')
    lines[2:2] = [b"\xff\x00garbage\n", b"x" * (MAX_LINE + 5) + b"\n", b"\n"]
    fleet.file.write_bytes(b"".join(lines))
    second = fleet("--resume")
    assert told(second) == told(first)
    assert second.stderr == (
        f"{fleet.file}: {SOUND - 1} of 8 images are taken over; 4 lines cannot be used, first line 2: it is "
        "damaged or was edited: its digest is another\n"
    )


def touched(path: Path) -> None:
    """Written again, with what was there."""
    os.utime(path, ns=(0, 1))


def replaced(path: Path) -> None:
    """Another file of the same size and time under its name."""
    status = path.stat()
    shutil.copy(path, path.with_suffix(".new"))
    os.utime(path.with_suffix(".new"), ns=(status.st_atime_ns, status.st_mtime_ns))
    path.with_suffix(".new").replace(path)


def swapped(path: Path) -> None:
    """Another image under its name."""
    shutil.copy(ROOT / "sample_images" / SAMPLES[1], path)


@pytest.mark.parametrize("change", [touched, replaced, swapped])
def test_what_changed_is_judged_again(fleet: Fleet, change: Callable[[Path], None]) -> None:
    """And nothing else."""
    fleet()
    change(fleet.paths[0])
    second = fleet("--resume")
    assert f"{SOUND - 1} of 8" in second.stderr
    assert fleet.judged[fleet.paths[0].name] == 2
    expected = "undeployable" if change is swapped else "deployable"
    assert second.json["images"][0]["verdict"] == expected


@pytest.mark.parametrize(
    "options",
    [
        ["--profile", "azure-generalized"],
        ["--generation", "2"],
        ["--will-convert"],
        ["--vm-size-nvme"],
        ["--input-format", "vhd"],
        ["--parent", str(ROOT / "sample_images" / SAMPLES[0])],
        ["--ignore", "provisioning"],
        ["--report", "html"],
    ],
    ids=lambda options: options[0],
)
def test_another_question_is_asked_again(fleet: Fleet, options: list[str]) -> None:
    """Of every image; the options that say what to ask are part of what was asked."""
    paths = fleet.paths[:2]
    fleet(paths=paths)
    second = fleet("--resume", *options, paths=paths)
    assert "0 of 2 images are taken over; 2 lines cannot be used" in second.stderr
    assert set(fleet.judged.values()) == {2}
    third = fleet("--resume", *options, paths=paths)
    assert "; 2 lines cannot be used" in third.stderr
    assert told(third)[1]["images"] == told(second)[1]["images"]


def test_waivers_end_while_a_run_is_interrupted(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was accepted then is not accepted now."""
    ended = date.today() - timedelta(days=2)
    Path("image-validator.toml").write_text(
        f'[[waiver]]\ncheck = "image-state"\nreason = "Known."\nuntil = {ended}\n'
    )
    paths = [fleet.paths[1]]
    monkeypatch.setattr("validator.cli.check.datetime", _Clock(timedelta(days=3)))
    before = fleet(paths=paths)
    assert before.json["images"][0]["findings"][0]["status"] == "waived"
    assert "1 of 1" in fleet("--resume", paths=paths).stderr
    monkeypatch.setattr("validator.cli.check.datetime", _Clock(timedelta()))
    after = fleet("--resume", paths=paths)
    assert "another expired: expected 1, found 0" in after.stderr
    assert after.json["images"][0]["findings"][0]["status"] == "failed"


class _Clock:
    """The time some days ago."""

    def __init__(self, ago: timedelta) -> None:
        self._ago = ago

    def now(self, zone: Any) -> Any:
        from datetime import datetime

        return datetime.now(zone) - self._ago


@posix
def test_one_image_by_several_names(fleet: Fleet) -> None:
    """Each name is an image of its own, in the file as in the report."""
    other, link = fleet.folder / "other.vhd", fleet.folder / "link.vhd"
    os.link(fleet.paths[0], other)
    link.symlink_to(fleet.paths[0])
    paths = [fleet.paths[0], other, link, Path("images") / other.name]
    fleet(paths=paths[:2])
    first = fleet("--resume", paths=paths)
    assert "2 of 4" in first.stderr
    second = fleet("--resume", paths=paths)
    assert "4 of 4" in second.stderr
    assert told(second) == told(first)
    link.unlink()
    link.symlink_to(fleet.paths[1])
    assert "3 of 4" in fleet("--resume", paths=paths).stderr


def test_a_parent_that_changes(tmp_path: Path, command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    """A differencing disk is all its files: one of them missing, there, and written to."""
    from tests.images import vhdx

    monkeypatch.chdir(tmp_path)
    parent = shutil.copy(ROOT / "sample_images" / SAMPLES[1], tmp_path / "parent.vhdx")
    child = vhdx.child_of(parent, tmp_path / "child.vhdx", {})
    away = parent.rename(tmp_path / "away")

    def resumed() -> str:
        return command("check", "--report", "jsonl", "--resume", child, watched=False).stderr

    assert resumed() == ""
    assert ": 0 of 1 images" in resumed()
    away.rename(parent)
    assert ": 0 of 1 images" in resumed(), "what could not be answered is asked again"
    assert ": 1 of 1 images" in resumed()
    os.utime(parent, ns=(0, 1))
    assert ": 0 of 1 images" in resumed()
    assert ": 1 of 1 images" in resumed()


@posix
def test_an_image_that_is_written_now_is_judged_again(fleet: Fleet) -> None:
    """Who holds a lock on it may be changing it."""
    import fcntl

    paths = fleet.paths[:1]
    fleet(paths=paths)
    with paths[0].open("rb+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        second = fleet("--resume", paths=paths)
    assert (second.code, second.json["images"][0]["verdict"]) == (3, "indeterminate")
    assert "1 of 1" not in fleet("--resume", paths=paths).stderr


# --- what is refused -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "options",
    [
        ["--resume"],
        ["--resume", "--report", "json"],
        ["--resume", "--report", "jsonl", "--receipt", "x"],
        ["--resume", "--report", "jsonl", "--write-baseline", "x"],
        ["--report", "jsonl=a", "--report", "jsonl=b"],
    ],
    ids=" ".join,
)
def test_what_makes_no_sense(
    command: Command, tmp_path: Path, options: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is read or written."""
    monkeypatch.chdir(tmp_path)
    outcome = command("check", *options, ROOT / "sample_images" / SAMPLES[0])
    assert (outcome.code, outcome.stdout, os.listdir(tmp_path)) == (2, "", [])


@pytest.mark.parametrize("resume", [["--resume"], []], ids=["resumed", "anew"])
@pytest.mark.parametrize("content", [b"notes", b"{}\n", b'{"tool":{"name":"other"', b"\0"])
def test_no_other_file_is_written_over(fleet: Fleet, content: bytes, resume: list[str]) -> None:
    """It is not known yet on which files an image rests."""
    fleet.file.write_bytes(content)
    outcome = fleet(*resume)
    assert (outcome.code, outcome.stdout, fleet.file.read_bytes()) == (2, "", content)
    assert "would overwrite a file that is no such report" in outcome.stderr


@posix
@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="a full disk")
def test_a_full_disk(command: Command) -> None:
    """The run ends there: what it goes on to find would be lost."""
    image = ROOT / "sample_images" / SAMPLES[0]
    outcome = command("check", "--report", "jsonl=/dev/full", image)
    assert (outcome.code, outcome.stdout) == (2, "")
    assert outcome.stderr == "Error: cannot write the report /dev/full: No space left on device\n"
    assert command("check", "--resume", "--report", "jsonl=/dev/full", image).code == 2


def test_an_image_that_changed_under_its_receipt(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is taken back in the report, and by a second line."""
    from validator.cli import journal

    add = journal.Journal.add

    def late(self: journal.Journal, report: Report) -> None:
        add(self, report)
        os.utime(report.path, ns=(0, 1))

    monkeypatch.setattr(journal.Journal, "add", late)
    outcome = fleet("--receipt", "receipt.json", "--jobs", "1", paths=fleet.paths[:1])
    assert outcome.code == 3
    assert [each["verdict"] for each in lines_of(fleet.file)] == ["deployable", "indeterminate"]


# --- interrupted ---------------------------------------------------------------------------------


MANY = 60


class Interruptible(subprocess.Popen[bytes]):
    """The command in a process of its own, which takes signals whatever started these tests."""

    def __init__(self, folder: Path, *arguments: object) -> None:
        self._out = folder / f"{len(os.listdir(folder))}.out"
        with self._out.open("wb") as out, self._out.with_suffix(".err").open("wb") as err:
            super().__init__(
                [sys.executable, "-c", TAKES_SIGNALS, "check", *map(str, arguments)],
                cwd=folder,
                env=environment(),
                stdout=out,
                stderr=err,
            )

    @property
    def ended(self) -> tuple[int, str]:
        """Its exit code, and what it printed but for durations."""
        code = self.wait(SECONDS)
        return code, re.sub(r'"duration_ms": [0-9.]+', "", self._out.read_text())

    @property
    def notes(self) -> list[str]:
        """What it said on standard error."""
        return self._out.with_suffix(".err").read_text().splitlines()


TAKES_SIGNALS = """
import signal
signal.signal(signal.SIGINT, signal.default_int_handler)
from validator.cli import main
main()
"""


@posix
@pytest.mark.parametrize(("sign", "jobs"), [(signal.SIGINT, "2"), (signal.SIGKILL, "1")], ids=["INT", "KILL"])
def test_an_interrupted_run_goes_on(tmp_path: Path, sign: signal.Signals, jobs: str) -> None:
    """Nothing lost, nothing twice, and in the end the report of a run that was never interrupted."""
    images = tmp_path / "images"
    images.mkdir()
    names = ("generalized-gen1.vhd", "undeployable.vhdx", "edited.vhdx")
    for name in names:
        shutil.copy(ROOT / "sample_images" / name, tmp_path)
    for number in range(MANY):
        name = names[number % len(names)]
        os.link(tmp_path / name, images / f"{number:03}-{name}")
    file = tmp_path / "run.jsonl"
    arguments = ["--profile", "generalized", "--format", "json", "--jobs", jobs, *sorted(images.iterdir())]
    whole = Interruptible(tmp_path, *arguments)
    first = Interruptible(tmp_path, *arguments, "--report", f"jsonl={file}")
    while not file.exists() or file.read_bytes().count(b"\n") < 10:
        assert first.poll() is None
        time.sleep(0.002)
    first.send_signal(sign)
    assert first.ended == (130 if sign is signal.SIGINT else -sign, "")
    before = file.read_bytes().count(b"\n")
    assert 10 <= before < MANY
    resumed = Interruptible(tmp_path, *arguments, "--report", f"jsonl={file}", "--resume")
    assert resumed.ended == whole.ended
    counted = Counter(each["path"] for each in lines_of(file))
    assert (len(counted), set(counted.values())) == (MANY, {1})
    assert resumed.notes[0] == f"{file}: {before} of {MANY} images are taken over"
    shutil.rmtree(images)
