"""SARIF 2.1.0 in the shape that GitHub's code scanning takes, which other viewers take as well.

Code scanning shows every result as an open alert whatever `kind` or `suppressions` say, so only what
failed unwaived and what could not be answered are results. Checks that fell to one cause are one result,
a level lower since nothing is known to be wrong; and each of them is a notification of the invocation,
which is where the standard has what a tool could not do.
"""

import os
import zlib
from types import ModuleType
from typing import Any
from urllib.parse import quote

from validator.address import is_address
from validator.checks.model import Check, Severity, Status
from validator.checks.pages import page
from validator.evidence import Evidence, Layer, Location
from validator.judging import ExitCode, Judged
from validator.report.alerts import Alert, alerts, below, image_names, path_of
from validator.report.formats import Style
from validator.report.json import dumps
from validator.report.model import RunReport, rfc3339
from validator.report.printable import shortened

_SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"
_LEVELS = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.NOTICE: "note"}
_PROBLEMS = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.NOTICE: "recommendation"}
_IN_FILE = (Layer.FILE, Layer.CONTAINER)
"""The layers whose offsets are offsets in the image's file."""

# What code scanning takes; it refuses a file with more.
_MOST_RESULTS = (25_000, 5_000, 1_000, 200)
"""Of one run; fewer where the file would be too large otherwise."""
_MOST_PACKED = 10_000_000
"""Bytes of the file after gzip."""
_LONGEST = 1000
"""Characters of a line."""
_LONGEST_MESSAGE = 5000
_LONGEST_NAME = 300
_LONGEST_PATH = 4096
_MOST_RELATED = 5


def render(run: RunReport, style: Style) -> str:
    """The run as one SARIF log with one run, the gravest results first."""
    log = _Log(run)
    for most in _MOST_RESULTS:
        text = dumps(log.data(most))
        if len(text) <= _MOST_PACKED or len(zlib.compress(text.encode())) <= _MOST_PACKED:
            break
    return text


class _Log:
    """A run in the words of SARIF, of which as much is written as a host takes."""

    def __init__(self, run: RunReport) -> None:
        self._run = run
        self._names = image_names(run)
        self._uris = [image_uri(path_of(image, run.folder), run.folder) for image in run.images]
        checks = {each.check.id: each.check for image in run.images for each in image.findings}
        self._rules = [_rule(check, run.profile) for check in checks.values()]
        self._places = {check: place for place, check in enumerate(checks)}
        found = alerts(run)
        self._count = len(found)
        self._results = [self._result(alert) for alert in found[: _MOST_RESULTS[0]]]
        self._unknown = [
            (index, judged)
            for index, image in enumerate(run.images)
            for judged in image.findings
            if judged.status is Status.UNKNOWN
        ]

    def data(self, most: int) -> dict[str, Any]:
        """The log with at most so many results, and as many notifications."""
        driver = {
            "name": "image-validator",
            "version": self._run.tool_version,
            "semanticVersion": self._run.tool_version,
            "rules": self._rules,
        }
        # A category for each image: an upload replaces what had the same one, and two uploads of one
        # workflow may not have the same. It is all up to the last slash.
        image = f"{quote(self._names[0])}/" if len(self._names) == 1 else ""
        return {
            "$schema": _SCHEMA,
            "version": "2.1.0",
            "runs": [
                {
                    "tool": {"driver": driver},
                    "automationDetails": {"id": f"image-validator/{self._run.profile}/{image}"},
                    "invocations": [self._invocation(most)],
                    "artifacts": [self._artifact(index) for index in range(len(self._names))],
                    "results": self._results[:most],
                }
            ],
        }

    def _artifact(self, index: int) -> dict[str, Any]:
        """What was judged, those included that nothing is wrong with."""
        image = self._run.images[index]
        return {
            "location": {"uri": self._uris[index]},
            "roles": ["analysisTarget"],
            "description": _message(shortened(f"{image.verdict.value}: {image.summary}", _LONGEST)),
            "properties": {"name": self._names[index], "verdict": image.verdict.value},
        }

    def _result(self, alert: Alert) -> dict[str, Any]:
        judged = alert.judged
        first, *more = judged.evidence or (None,)
        result = {
            "ruleId": judged.check.id,
            "ruleIndex": self._places[judged.check.id],
            "level": _LEVELS[alert.level],
            "message": _message(*alert.account()),
            "locations": [self._location(alert.image, first)],
            "partialFingerprints": {"primaryLocationLineHash": alert.fingerprint},
            "properties": {
                "status": judged.status.value,
                "verdict": self._run.images[alert.image].verdict.value,
            },
        }
        if more:
            result["relatedLocations"] = [
                {
                    "id": number,
                    "message": _message(shortened(each.found, _LONGEST_NAME)),
                    **self._location(alert.image, each),
                }
                for number, each in enumerate(more[:_MOST_RELATED], 1)
            ]
        return result

    def _location(self, index: int, evidence: Evidence | None) -> dict[str, Any]:
        """A place in an image. It has no lines, but code scanning shows nothing without."""
        region = {"startLine": 1, "startColumn": 1, "endLine": 1, "endColumn": 1}
        location: dict[str, Any] = {
            "physicalLocation": {
                "artifactLocation": {"uri": self._uris[index], "index": index},
                "region": region,
            }
        }
        if evidence is not None:
            where = evidence.where
            # Of a chain of files nobody knows here which one an offset is in.
            alone = len(self._run.images[index].files) <= 1
            if where.offset is not None and where.layer in _IN_FILE and alone:
                region["byteOffset"] = where.offset
            if logical := _logical(where):
                location["logicalLocations"] = [logical]
        return location

    def _invocation(self, most: int) -> dict[str, Any]:
        notifications = [self._notification(*each) for each in self._unknown[:most]]
        if (more := len(self._unknown) - most) > 0:
            notifications.append(_note(f"{more} more checks were not answered."))
        if (more := self._count - most) > 0:
            notifications.append(
                _note(f"{more} results were left out, those of the least severity: a host takes no more.")
            )
        nothing = self._run.exit_code is ExitCode.NOTHING_TO_CHECK
        ours = any(_is_ours(judged) for _, judged in self._unknown)
        return {
            "executionSuccessful": not (nothing or ours),
            "exitCode": self._run.exit_code.value,
            "exitCodeDescription": self._run.exit_code.name.lower().replace("_", " "),
            "startTimeUtc": rfc3339(self._run.started),
            "toolExecutionNotifications": notifications,
            "toolConfigurationNotifications": [
                _note("Something that the command names matched no image.", level="error")
            ]
            if nothing
            else [],
        }

    def _notification(self, index: int, judged: Judged) -> dict[str, Any]:
        """One check that was not answered."""
        lines = (judged.message, *map(str, judged.evidence[:1]))
        note = _note(*lines, level="error" if _is_ours(judged) else "warning")
        place = {"physicalLocation": {"artifactLocation": {"uri": self._uris[index], "index": index}}}
        rule = {"id": judged.check.id, "index": self._places[judged.check.id]}
        return {**note, "associatedRule": rule, "locations": [place]}


def _note(*lines: str, level: str = "warning") -> dict[str, Any]:
    return {"level": level, "message": _message(*(shortened(line, _LONGEST) for line in lines))}


def _is_ours(judged: Judged) -> bool:
    return any(each.where.layer is Layer.TOOL for each in judged.evidence)


def _message(*lines: str) -> dict[str, str]:
    """Plain text, of printable lines, in which nothing is a placeholder (SARIF 3.11.5) or a link (3.11.6)."""
    text = "\n".join(lines) or "-"
    if len(text) > _LONGEST_MESSAGE:
        text = text[: _LONGEST_MESSAGE - 1] + "…"
    return {"text": text.replace("{", "{{").replace("}", "}}").replace("](", "] (")}


def _rule(check: Check, profile: str) -> dict[str, Any]:
    severity = check.severity.get(profile, Severity.NOTICE)
    title = check.title or check.id
    why = " ".join(check.explanation.partition("\n\n")[0].split())
    text = "\n".join((title, f"To do: {check.remedy.text}", *check.remedy.commands, *check.references))
    return {
        "id": check.id,
        "shortDescription": {"text": shortened(title, _LONGEST)},
        "fullDescription": {"text": shortened(f"{title} {why}", _LONGEST)},
        "help": {"text": text, "markdown": page(check)},
        "defaultConfiguration": {"level": _LEVELS[severity]},
        "properties": {
            "tags": [check.family, "windows", "disk-image"],
            "precision": "very-high",
            "problem.severity": _PROBLEMS[severity],
        },
    }


def _logical(where: Location) -> dict[str, Any] | None:
    """Partition, file, key and value as one path; None for what has none."""
    hive = where.layer is Layer.HIVE
    parts = [
        ("partition", f"partition {where.partition}" if where.partition is not None else ""),
        ("file", (where.path or "").strip("\\")),
        ("registry key" if hive else "entry", (where.key or "").strip("\\")),
        ("registry value", where.value or ""),
    ]
    named = [(kind, part) for kind, part in parts if part]
    if not named:
        return None
    kind, last = named[-1]
    return {
        "name": shortened(last if kind == "registry value" else last.rpartition("\\")[2], _LONGEST_NAME),
        "fullyQualifiedName": shortened("\\".join(part for _, part in named), _LONGEST_NAME),
        "kind": kind,
        "properties": {"layer": where.layer.value},
    }


def image_uri(path: str, folder: str, system: ModuleType = os.path) -> str:
    """Where an image is: a relative reference below the working directory, else an absolute file URI.

    Args:
        path: as the user wrote it.
        folder: the working directory; empty where it is not known.
        system: `os.path`, or that of another system.
    """
    path = path[:_LONGEST_PATH]
    if is_address(path):
        return quote(path, safe="!#$%&'()*+,/:;=?@[]~")
    inner = below(path, folder, system)
    if inner is not None:
        return quote(_bytes(inner), safe="/")  # also colons: before the first slash, one makes a scheme
    drive, rest = system.splitdrive(system.normpath(system.join(folder, path)))
    rest = quote(_bytes(rest.replace(system.sep, "/")), safe="/").lstrip("/")
    drive = drive.replace("\\", "/")
    if drive.startswith("//"):
        return f"file:{quote(_bytes(drive))}/{rest}"
    return f"file:///{quote(_bytes(drive), safe=':')}{'/' if drive else ''}{rest}"


def _bytes(text: str) -> bytes:
    """A path as the bytes of its name; Windows allows surrogates in it."""
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return text.encode("utf-8", "surrogatepass")
