"""JUnit XML: a suite per image, a case per finding; what Azure, GitLab, Jenkins and others read.

What had no image to judge has a suite of its own, a case each.

There is no standard. This keeps to what the schemas of Ant (windyroad) and of Jenkins' xunit both allow:
every attribute and element of a suite that the first demands, one outcome per case, output of suites only.
"""

import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from xml.etree.ElementTree import Element, SubElement

from validator.checks.model import Status
from validator.judging import Judged
from validator.report.account import LONGEST, account
from validator.report.alerts import image_names, told_apart
from validator.report.formats import Style
from validator.report.model import Report, RunReport
from validator.report.printable import shortened

_SKIPPED = (Status.NOT_APPLICABLE, Status.WAIVED)
_UNTIMED = "0.000"
"""Checks share what they read: only the image as a whole has a time."""
_MOST_BYTES = 30_000_000
"""What GitLab reads of one file."""
_MOST_LINES = (30, 3, 1)
"""Of what is told of a finding; fewer where the file would be too large otherwise."""


def render(run: RunReport, style: Style) -> str:
    """The run as XML, indented, with a declaration and without a document type."""
    for lines in _MOST_LINES:
        text = _document(run, lines)
        if len(text.encode()) <= _MOST_BYTES:
            break
    return text


def _document(run: RunReport, lines: int) -> str:
    suites = Element("testsuites")
    # A reader takes a dot for the border between a package and a class.
    packages = told_apart(_harmless(name).replace(".", "_") for name in image_names(run))
    for number, (image, package) in enumerate(zip(run.images, packages)):
        suites.append(_image(run, image, package, number, lines))
    if run.lacks:
        suites.append(_lacking(run))
    ElementTree.indent(suites)
    text: str = ElementTree.tostring(suites, encoding="unicode")
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{text}\n'


def _image(run: RunReport, image: Report, package: str, number: int, lines: int) -> Element:
    titles = told_apart(_text(f"{each.check.id}: {each.check.title}") for each in image.findings)
    cases = [_case(run, package, *each, lines) for each in zip(image.findings, titles)]
    properties = {
        "version": run.tool_version,
        "profile": image.profile,
        "verdict": image.verdict.value,
        "summary": image.summary,
    }
    out = "\n".join(_out(run, image, lines))
    return _suite(run, image.name, package, number, cases, properties, out, image.duration_ms)


def _lacking(run: RunReport) -> Element:
    cases = []
    for text, title in zip(map(_text, run.lacks), told_apart(map(_text, run.lacks))):
        case = Element("testcase", name=title, classname="image-validator.images", time=_UNTIMED)
        SubElement(case, "error", type="nothing to check", message=text).text = text
        cases.append(case)
    properties = {"version": run.tool_version, "profile": run.profile}
    return _suite(run, "nothing to check", "image-validator", len(run.images), cases, properties, "", 0)


def _suite(
    run: RunReport,
    name: str,
    package: str,
    number: int,
    cases: Sequence[Element],
    properties: Mapping[str, str],
    out: str,
    duration_ms: float,
) -> Element:
    counts = {
        outcome: sum(case.find(outcome) is not None for case in cases)
        for outcome in ("failure", "error", "skipped")
    }
    suite = Element(
        "testsuite",
        name=_text(f"image-validator {name}"),
        package=package,
        id=str(number),
        hostname="localhost",
        timestamp=run.started.strftime("%Y-%m-%dT%H:%M:%S"),
        tests=str(len(cases)),
        failures=str(counts["failure"]),
        errors=str(counts["error"]),
        skipped=str(counts["skipped"]),
        time=f"{duration_ms / 1000:.3f}",
    )
    listed = SubElement(suite, "properties")
    for key, value in properties.items():
        SubElement(listed, "property", name=key, value=_text(value))
    suite.extend(cases)
    SubElement(suite, "system-out").text = out
    SubElement(suite, "system-err")
    return suite


def _case(run: RunReport, package: str, judged: Judged, title: str, lines: int) -> Element:
    case = Element("testcase", name=title, classname=f"{package}.{judged.check.family}", time=_UNTIMED)
    if run.fails(judged):
        outcome = SubElement(case, "failure", type=judged.severity.value)
    elif judged.status is Status.UNKNOWN:
        outcome = SubElement(case, "error", type=judged.status.value)
    elif judged.status in _SKIPPED:
        outcome = SubElement(case, "skipped")
    else:
        return case
    message = _why_skipped(judged) if judged.status in _SKIPPED else judged.message
    outcome.set("message", _text(message))
    # Some readers show the message, others the body.
    outcome.text = _text(message) if judged.status in _SKIPPED else _body(judged, lines)
    return case


def _why_skipped(judged: Judged) -> str:
    if judged.waiver is None:
        return f"{judged.status.value}: {judged.message}"
    until = f" until {judged.waiver.until}" if judged.waiver.until else ""
    return f"accepted{until} ({judged.waiver.reason}): {judged.message}"


def _out(run: RunReport, image: Report, lines: int) -> Iterator[str]:
    """The verdict, and what failed without failing the run."""
    yield _text(f"{image.verdict.value}: {image.summary}")
    for judged in image.findings:
        if judged.status is Status.FAILED and not run.fails(judged):
            yield ""
            yield f"{judged.severity.value}: {judged.check.id}"
            yield _body(judged, lines)


def _body(judged: Judged, lines: int) -> str:
    return "\n".join(map(_harmless, islice(account(judged), lines)))


def _text(text: str) -> str:
    return _harmless(shortened(text, LONGEST))


def _harmless(text: str) -> str:
    """Without the mark by which GitLab and Jenkins attach a file of the build's machine to a report."""
    return text.replace("[[ATTACHMENT", r"\x5b[ATTACHMENT")
