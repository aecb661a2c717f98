"""SARIF: valid, and within the rules of code scanning that no schema knows."""

from __future__ import annotations

import gzip
import json
import ntpath
import os
import posixpath
import random
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tests.command import ROOT, Command
from tests.reports import hostile, run_of, sample
from tests.schemas import obeys
from tests.snapshot import agrees
from validator.checks.model import Remedy, Severity, Status
from validator.evidence import Evidence, Layer, Location
from validator.judging import ExitCode
from validator.report import sarif
from validator.report.formats import Style, render
from validator.report.model import Report, RunReport
from validator.report.sarif import image_uri

SCHEMAS = ("sarif-2.1.0.schemastore.json", "sarif-schema-2.1.0.oasis.json")
LEVELS = ("error", "warning", "note")
REFERENCE = re.compile(r"(?:[A-Za-z0-9._~!$&'()*+,;=@/-]|%[0-9A-F]{2})+")
"""A relative reference of RFC 3986, of which no part can be taken for a scheme, a query or a fragment."""

RUNS = {
    "sample": sample(),
    "one": run_of(sample().images[3]),
    "good": run_of(sample().images[0]),
    "none": replace(run_of(), exit_code=ExitCode.NOTHING_TO_CHECK),
    "hostile": hostile(),
    "1 MiB": hostile(2**20),
}


def log(run: RunReport) -> Any:
    """The only run of the log, read back."""
    text = render("sarif", run, Style())
    assert text.isascii()
    data = json.loads(text)
    assert (data["version"], len(data["runs"])) == ("2.1.0", 1)
    assert data["$schema"] == "https://json.schemastore.org/sarif-2.1.0.json"
    return data["runs"][0]


def strings(node: Any) -> Iterator[str]:
    """Every string in it, keys included."""
    if isinstance(node, str):
        yield node
    elif isinstance(node, dict):
        for key, value in node.items():
            yield key
            yield from strings(value)
    elif isinstance(node, list):
        for value in node:
            yield from strings(value)


def with_findings(count: int, messages: Iterator[str]) -> Report:
    """An image on which one check failed many times, as a plug-in's may."""
    image = sample().images[1]
    failed = next(each for each in image.findings if each.status is Status.FAILED)
    findings = tuple(
        failed._replace(message=next(messages), evidence=(), severity=list(Severity)[index % 3])
        for index in range(count)
    )
    return replace(image, judgement=image.judgement._replace(findings=findings))


def test_the_sample() -> None:
    """Help is shown for the first rule only: docs/checks has it for all."""
    run = log(sample())
    rules = run["tool"]["driver"]["rules"]
    run["tool"]["driver"]["rules"] = [rules[0], *(each["id"] for each in rules[1:])]
    agrees(json.dumps(run, indent=2) + "\n", "report.sarif")


@pytest.mark.parametrize("name", RUNS)
@pytest.mark.parametrize("schema", SCHEMAS)
def test_both_schemas(name: str, schema: str) -> None:
    """That of the address that the log names, and the committee's with its errata."""
    obeys(json.loads(render("sarif", RUNS[name], Style())), schema)


@pytest.mark.parametrize("name", RUNS)
def test_code_scanning_takes_it(name: str) -> None:
    """No empty string; every result has a place with all that is asked for, a rule, a fingerprint."""
    run = log(RUNS[name])
    assert all(strings(run))
    rules = run["tool"]["driver"]["rules"]
    assert len({each["id"] for each in rules}) == len(rules) <= 25_000
    for result in run["results"]:
        assert rules[result["ruleIndex"]]["id"] == result["ruleId"]
        assert result["level"] in LEVELS
        assert result["message"]["text"]
        (location,) = result["locations"]
        physical = location["physicalLocation"]
        region = {key: value for key, value in physical["region"].items() if key != "byteOffset"}
        assert region == {"startLine": 1, "startColumn": 1, "endLine": 1, "endColumn": 1}
        artifact = physical["artifactLocation"]
        assert run["artifacts"][artifact["index"]]["location"]["uri"] == artifact["uri"]
        assert REFERENCE.fullmatch(artifact["uri"])
        assert re.fullmatch(r"[0-9a-f]{32}:\d+", result["partialFingerprints"]["primaryLocationLineHash"])
        assert list(result["partialFingerprints"]) == ["primaryLocationLineHash"]


def test_rules_explain_themselves() -> None:
    """All that were asked, whether they failed or not, from their declarations."""
    run = log(sample())
    checks = {each.check.id: each.check for image in sample().images for each in image.findings}
    rules = run["tool"]["driver"]["rules"]
    assert [each["id"] for each in rules] == list(checks)
    for rule in rules:
        check = checks[rule["id"]]
        assert rule["shortDescription"]["text"] == check.title
        assert len(rule["fullDescription"]["text"]) <= 1024
        assert check.remedy.text in rule["help"]["text"]
        assert check.explanation in rule["help"]["markdown"]
        assert rule["defaultConfiguration"]["level"] in LEVELS
        assert check.family in rule["properties"]["tags"]
        assert rule["properties"]["problem.severity"] in ("error", "warning", "recommendation")
    image_state = rules[0]
    assert image_state["defaultConfiguration"]["level"] == "error"


def test_a_check_without_words_is_a_rule_too() -> None:
    """A plug-in's function may have no documentation."""
    image = sample().images[1]

    def silent() -> Iterator[Any]:
        yield from ()

    findings = tuple(
        each._replace(check=replace(each.check, function=silent, remedy=Remedy(""), references=()))
        for each in image.findings
    )
    bare = run_of(replace(image, judgement=image.judgement._replace(findings=findings)))
    assert all(strings(log(bare)["tool"]["driver"]["rules"]))


def test_there_is_always_a_word() -> None:
    """Also where a plug-in found a failure and had nothing to say; code scanning refuses empty strings."""
    image = sample().images[2]
    mute = (Evidence(Location(Layer.FILE), ""),) * 2
    findings = tuple(
        each._replace(status=Status.UNKNOWN, message="", evidence=mute, remedy=None)
        for each in image.findings
    )
    run = log(run_of(replace(image, judgement=image.judgement._replace(summary="", findings=findings[:1]))))
    assert run["results"][0]["relatedLocations"]
    assert all(strings(run))


# --- what is a result ----------------------------------------------------------------------------


def test_only_what_failed_or_was_not_answered_is_a_result() -> None:
    """Everything else would be shown as an open alert."""
    run = log(sample())
    failed = [
        (index, judged.check.id, judged.severity)
        for index, image in enumerate(sample().images)
        for judged in image.findings
        if judged.status is Status.FAILED
    ]
    levels = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.NOTICE: "note"}
    shown = [
        (
            each["locations"][0]["physicalLocation"]["artifactLocation"]["index"],
            each["ruleId"],
            each["level"],
        )
        for each in run["results"]
        if each["properties"]["status"] == "failed"
    ]
    assert sorted(shown) == sorted((index, check, levels[severity]) for index, check, severity in failed)
    (unknown,) = [each for each in run["results"] if each["properties"]["status"] == "unknown"]
    assert (unknown["level"], unknown["properties"]["verdict"]) == ("warning", "indeterminate")


def test_nothing_that_was_not_answered_is_lost() -> None:
    """One result names all checks that fell to the cause; each is a notification with its rule."""
    image = sample().images[3]
    run = log(run_of(image))
    (result,) = run["results"]
    (invocation,) = run["invocations"]
    told = [each["associatedRule"]["id"] for each in invocation["toolExecutionNotifications"]]
    assert told == [each.check.id for each in image.findings]
    assert all(check in result["message"]["text"] for check in told[1:])
    assert (invocation["exitCode"], invocation["executionSuccessful"]) == (3, True)


def test_a_good_image_is_named_all_the_same() -> None:
    run = log(run_of(sample().images[0]))
    assert run["results"] == []
    (artifact,) = run["artifacts"]
    assert artifact["properties"] == {"name": "images/generalized-gen1.vhd", "verdict": "deployable"}
    assert run["invocations"][0]["exitCode"] == 0


def test_a_failure_of_our_own_is_told() -> None:
    image = sample().images[0]
    ours = Evidence(Location(Layer.TOOL), "image-validator failed")
    broken = image.findings[0]._replace(status=Status.UNKNOWN, evidence=(ours,))
    findings = (broken, *image.findings[1:])
    image = replace(image, judgement=image.judgement._replace(findings=findings))
    (invocation,) = log(run_of(image))["invocations"]
    assert invocation["executionSuccessful"] is False
    assert invocation["toolExecutionNotifications"][0]["level"] == "error"


def test_nothing_to_check_is_no_success() -> None:
    (invocation,) = log(RUNS["none"])["invocations"]
    assert (invocation["exitCode"], invocation["executionSuccessful"]) == (4, False)
    assert invocation["toolConfigurationNotifications"]


# --- places --------------------------------------------------------------------------------------


def test_bytes_of_the_file_where_the_evidence_has_them() -> None:
    """An offset in a partition, a volume or a hive is none in the file; of a chain it is in some file."""
    corrupt = sample().images[3]
    places = [each["locations"][0]["physicalLocation"] for each in log(sample())["results"]]
    offsets = {each["artifactLocation"]["index"]: each["region"].get("byteOffset") for each in places}
    assert offsets == {1: None, 2: None, 3: 0x30004}
    inside = hostile().images[0].findings[0].evidence[0].where
    assert (inside.layer, inside.offset) == (Layer.FILE_SYSTEM, 4096)
    assert "byteOffset" not in render("sarif", hostile(), Style())
    chain = replace(corrupt, files=("child.vhdx", "parent.vhdx"))
    (result,) = log(run_of(chain))["results"]
    assert "byteOffset" not in result["locations"][0]["physicalLocation"]["region"]


def test_places_inside_of_the_image() -> None:
    (result,) = [each for each in log(sample())["results"] if each["ruleId"] == "generalization-state"]
    (logical,) = result["locations"][0]["logicalLocations"]
    path = r"partition 3\Windows\System32\config\SYSTEM\Setup\Status\SysprepStatus\GeneralizationState"
    assert logical["fullyQualifiedName"] == path
    assert (logical["name"], logical["kind"]) == ("GeneralizationState", "registry value")


@pytest.mark.parametrize(
    ("path", "folder", "system", "uri"),
    [
        ("disk.vhdx", "/build", posixpath, "disk.vhdx"),
        ("Virtual Hard Disks/ä#1%?.vhdx", "/w", posixpath, "Virtual%20Hard%20Disks/%C3%A4%231%25%3F.vhdx"),
        ("/build/out/disk.vhdx", "/build", posixpath, "out/disk.vhdx"),
        ("/mnt/a b/disk.vhdx", "/build", posixpath, "file:///mnt/a%20b/disk.vhdx"),
        ("../disk.vhdx", "/build/sub", posixpath, "file:///build/disk.vhdx"),
        ("file:disk.vhdx", "/build", posixpath, "file%3Adisk.vhdx"),
        (r"out\disk.vhdx", "/build", posixpath, "out%5Cdisk.vhdx"),
        ("\udce4.vhdx", "/build", posixpath, "%E4.vhdx"),
        ("\ud800.vhdx", "/build", posixpath, "%ED%A0%80.vhdx"),
        (r"out\a b.vhdx", r"C:\work", ntpath, "out/a%20b.vhdx"),
        (r"c:\work\out\disk.vhdx", r"C:\work", ntpath, "out/disk.vhdx"),
        (r"D:\a b\disk.vhdx", r"C:\work", ntpath, "file:///D:/a%20b/disk.vhdx"),
        (r"..\disk.vhdx", r"C:\work", ntpath, "file:///C:/disk.vhdx"),
        (r"\\server\share\a b.vhdx", r"C:\work", ntpath, "file://server/share/a%20b.vhdx"),
    ],
)
def test_uris(path: str, folder: str, system: ModuleType, uri: str) -> None:
    assert image_uri(path, folder, system) == uri


def test_nothing_of_the_machine(command: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """An image below the working directory is named from there on, however the command names it."""
    images = ROOT / "sample_images"
    monkeypatch.chdir(images)
    paths = [Path("corrupt.vhdx"), images / "corrupt.vhdx"]
    if os.name == "posix":
        (tmp_path / "link").symlink_to(images)  # as a shell names the folder that it came to by a link
        paths.append(tmp_path / "link" / "corrupt.vhdx")
    texts = [command("check", "--format", "sarif", path).stdout for path in paths]
    without_time = {re.sub(r'"startTimeUtc": ".*?"', "", text) for text in texts}
    assert len(without_time) == 1
    (text,) = without_time
    assert str(ROOT) not in text
    assert str(tmp_path) not in text
    assert '"uri": "corrupt.vhdx"' in text


def test_an_upload_replaces_that_of_the_same_image() -> None:
    """And no other's: code scanning has one set of alerts per category, which is all up to the last slash."""
    one = log(run_of(sample().images[3]))["automationDetails"]["id"]
    assert one == "image-validator/azure-generalized/images/corrupt.vhdx/"
    assert log(sample())["automationDetails"]["id"] == "image-validator/azure-generalized/"
    assert REFERENCE.fullmatch(log(hostile())["automationDetails"]["id"])


# --- hostile text and limits ---------------------------------------------------------------------


@pytest.mark.parametrize("name", ["hostile", "1 MiB"])
def test_hostile_text(name: str) -> None:
    """It is no command, no placeholder, no link, and no part of the log is long by it."""
    text = render("sarif", RUNS[name], Style())
    assert len(text) < 500_000
    assert "##" not in text
    assert not [line for line in text.splitlines() if line.lstrip().startswith("::")]
    run = json.loads(text)["runs"][0]
    messages = [each["message"]["text"] for each in run["results"]]
    messages += [each["message"]["text"] for each in run["invocations"][0]["toolExecutionNotifications"]]
    messages += [each["description"]["text"] for each in run["artifacts"]]
    assert any("onerror" in message for message in messages)
    for message in messages:
        assert "](" not in message
        assert not re.search(r"[{}]", message.replace("{{", "").replace("}}", ""))
        assert all(line.isprintable() for line in message.split("\n"))


def test_no_more_results_than_a_host_takes() -> None:
    """The gravest are kept, and what was left out is counted."""
    count = 25_003
    run = log(run_of(with_findings(count, iter(lambda: "It failed.", None))))
    levels = [each["level"] for each in run["results"]]
    assert len(levels) == 25_000
    assert levels == sorted(levels, key=LEVELS.index)
    notes = [each["message"]["text"] for each in run["invocations"][0]["toolExecutionNotifications"]]
    assert [note for note in notes if note.startswith("3 results were left out")]


def test_no_larger_than_a_host_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Text that does not compress costs results, not the upload. The limit is a small one here, for time."""
    monkeypatch.setattr(sarif, "_MOST_PACKED", 600_000)
    source = random.Random(1)
    messages = iter(lambda: "".join(map(chr, source.choices(range(0x4E00, 0x9FA5), k=900))), None)
    text = render("sarif", run_of(with_findings(400, messages)), Style())
    assert len(gzip.compress(text.encode())) <= 600_000
    run = json.loads(text)["runs"][0]
    assert len(run["results"]) == 200
    assert {each["level"] for each in run["results"]} == {"error", "warning"}
    notes = [each["message"]["text"] for each in run["invocations"][0]["toolExecutionNotifications"]]
    assert notes[-1].startswith("200 results were left out")
