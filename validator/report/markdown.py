"""Markdown for job summaries and pull requests: verdicts, what is wrong with each image, the rest folded.

GitHub's flavour, which the other hosts read as well. Three kinds of places take text from an image, and in
none of them is it at the beginning of a line, where GitLab and many robots look for commands:

- prose, with every character of the markup escaped and a zero-width space in what would become a mention, a
  reference or a link by itself: hosts look for those after the markup is gone;
- code, between more backticks than the text has in a row;
- fenced blocks, likewise, indented.
"""

import re
import textwrap
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from validator.checks.model import Remedy, Severity, Status
from validator.evidence import Evidence
from validator.judging import Judged, Verdict
from validator.report.formats import Style
from validator.report.model import Report, RunReport
from validator.report.printable import shortened
from validator.report.text import about, in_family, rows

_COMMENT_LIMIT = 65_536
"""Bytes; GitHub takes as many characters in a comment, the other hosts more."""
_LONGEST = 2000
"""Characters of one text."""
_MOST_EVIDENCE = 10
_WIDTH = 100
"""Columns of code."""
_GRAVEST = (Verdict.UNDEPLOYABLE, Verdict.INDETERMINATE, Verdict.DEPLOYABLE)
_SIGNS = {Verdict.UNDEPLOYABLE: "❌", Verdict.INDETERMINATE: "⚠️", Verdict.DEPLOYABLE: "✅"}
_LEFT_OUT = "\n*Left out for its length: {} of {} parts. The other reports have them.*\n"


class _Section(NamedTuple):
    """Parts that belong together, each of which may be left out; the head and the tail go with the last."""

    rank: int
    """What is left out first: the highest."""
    parts: Sequence[str]
    """Each with its closing line feed, and on lines of its own."""
    head: str = ""
    tail: str = ""


def render(run: RunReport, style: Style) -> str:
    """The run as Markdown, short enough for a comment."""
    return within(run, style, _COMMENT_LIMIT)


def within(run: RunReport, style: Style, limit: int) -> str:
    """The run as Markdown of at most `limit` bytes of UTF-8: parts that do not fit are left out whole.

    The verdicts come first, then errors, warnings, and what is folded.
    """
    sections = list(_sections(run, style))
    everything = _joined(sections)
    if _size(everything) <= limit:
        return everything
    total = sum(len(section.parts) for section in sections)
    room = limit - _size(_LEFT_OUT.format(total, total))
    fitting: dict[int, list[str]] = {}
    for index, section in sorted(enumerate(sections), key=lambda each: each[1].rank):
        for part in section.parts:
            size = _size(part) + (0 if index in fitting else _size(section.head + section.tail))
            if size <= room:
                fitting.setdefault(index, []).append(part)
                room -= size
    shown = sum(map(len, fitting.values()))
    if not shown:
        return ""
    kept = [section._replace(parts=fitting.get(index, ())) for index, section in enumerate(sections)]
    return _joined(kept) + _LEFT_OUT.format(total - shown, total)


def _joined(sections: Iterable[_Section]) -> str:
    return "".join(each.head + "".join(each.parts) + each.tail for each in sections if each.parts)


def _size(text: str) -> int:
    return len(text.encode())


# -- the page --------------------------------------------------------------------------------------


def _sections(run: RunReport, style: Style) -> Iterator[_Section]:
    images = sorted(run.images, key=lambda image: _GRAVEST.index(image.verdict))
    counts = [f"{run.count(verdict)} {verdict.value}" for verdict in _GRAVEST if run.count(verdict)]
    answer = images[0].verdict.value if len(images) == 1 else ", ".join(counts) or "nothing to check"
    yield _Section(0, [f"## image-validator: {answer}\n"])
    if images:
        accepted = any(each.status is Status.WAIVED for image in images for each in image.findings)
        names = ["errors", "warnings", "notices", "not answered", *(["accepted"] if accepted else [])]
        head = f"\n| verdict | image | {' | '.join(names)} |\n|---|---|{'--:|' * len(names)}\n"
        yield _Section(0, [_row(image, accepted=accepted) for image in images], head)
    yield _Section(1, [f"- policy: {_prose(warning)}\n" for warning in run.warnings], "\n")
    for image in images:
        yield from _image(image, style, alone=len(images) == 1)
    yield _Section(4, [f"\n<sub>{_prose(_asked(run))}</sub>\n"])


def _asked(run: RunReport) -> str:
    words = [f"image-validator {run.tool_version}", f"profile {run.profile}"]
    if run.policy is not None:
        words += [f"policy {run.policy.source}"] if run.policy.source else []
        left_out = len(run.policy.left_out)
        words += [f"{_number(left_out, 'check')} left out"] if left_out else []
    return ", ".join([*words, *map(str, run.plugins)])


def _row(image: Report, *, accepted: bool) -> str:
    failed = [each for each in image.findings if each.status is Status.FAILED]
    counts = [sum(each.severity is severity for each in failed) for severity in Severity]
    others = (Status.UNKNOWN, Status.WAIVED) if accepted else (Status.UNKNOWN,)
    counts += [sum(each.status is status for each in image.findings) for status in others]
    verdict = f"{_SIGNS[image.verdict]} {image.verdict.value}"
    return f"| {verdict} | {_prose(image.name)} | {' | '.join(map(str, counts))} |\n"


def _image(image: Report, style: Style, *, alone: bool) -> Iterator[_Section]:
    title = "" if alone else f"\n### {_SIGNS[image.verdict]} {_prose(image.name)}\n"
    # A letter before the text, so that it does not begin a line.
    yield _Section(1, [f"{title}\n**{image.verdict.value}:** {_prose(image.summary)}\n"])
    if style.quiet:
        return
    of_status = {status: [each for each in image.findings if each.status is status] for status in Status}
    failed = {
        severity: [each for each in of_status[Status.FAILED] if each.severity is severity]
        for severity in Severity
    }
    yield _Section(1, [_in_full(image, each) for each in failed[Severity.ERROR]])
    yield _Section(1, [_unanswered(image, group) for group in image.unanswered])
    # An error's remedy covers the warnings of its family.
    mended = {each.check.family for each in failed[Severity.ERROR] if in_family(each.check)}
    warnings = [
        _in_short(each, mended=in_family(each.check) and each.check.family in mended)
        for each in failed[Severity.WARNING]
    ]
    yield _Section(2, warnings, "\n#### Warnings\n\n")
    accepted = of_status[Status.WAIVED]
    yield _folded(f"{len(accepted)} accepted", [_accepted(each) for each in accepted])
    notices = failed[Severity.NOTICE]
    yield _folded(_number(len(notices), "notice"), [_item(each) for each in notices])
    if style.verbose:
        rest = of_status[Status.PASSED] + of_status[Status.NOT_APPLICABLE]
        yield _folded(_number(len(rest), "other check"), [_item(each, each.status.value) for each in rest])
    layers = [(each.state, f"{each.kind}: {each.detail}") for each in image.layers] if style.verbose else []
    yield _folded("About the image", [_block("text", _labelled([*layers, *about(image)]))])


def _in_full(image: Report, judged: Judged) -> str:
    """An error: what, where, and what to do about it."""
    parts = [f"\n#### {judged.severity.value}: `{judged.check.id}`\n"]
    if judged.message != image.summary:
        parts.append(f"\n**Found:** {_prose(judged.message)}\n")
    parts.append(_evidence(judged.evidence))
    parts += _remedy(judged.remedy)
    if judged.references:
        parts.append(f"\nSee <{judged.references[0]}>\n")
    return "".join(parts)


def _unanswered(image: Report, group: Sequence[Judged]) -> str:
    first = min(group, key=lambda each: each.severity.rank)
    names = ", ".join(f"`{each.check.id}`" for each in group)
    if len(group) > 1:
        whole = "all " if len(group) == len(image.findings) else ""
        names = f"{whole}{len(group)} checks\n\n<details><summary>Which</summary>\n\n{names}\n\n</details>"
    parts = [f"\n#### not answered: {names}\n"]
    if first.message != image.summary:
        parts.append(f"\n**Why:** {_prose(first.message)}\n")
    return "".join([*parts, _evidence(first.evidence), *_remedy(first.remedy)])


def _remedy(remedy: Remedy | None) -> Iterator[str]:
    if remedy is not None:
        yield f"\n**To do:** {_prose(remedy.text)}\n"
        if remedy.commands:
            yield f"\n{_commands(remedy)}"


def _commands(remedy: Remedy, indent: str = "  ") -> str:
    return _block("", (shortened(command, _LONGEST) for command in remedy.commands), indent)


def _in_short(judged: Judged, *, mended: bool) -> str:
    """A warning: a line for what, one for where, one for what to do."""
    lines = [_item(judged), *(f"  - found: {_code(str(each))}\n" for each in judged.evidence[:1])]
    if judged.remedy and not mended:
        lines.append(f"  - to do: {_prose(judged.remedy.text)}\n")
        if judged.remedy.commands:
            lines.append(f"\n{_commands(judged.remedy, indent='    ')}")
    return "".join(lines)


def _item(judged: Judged, label: str = "") -> str:
    text = f"{label}: {judged.message}" if label else judged.message
    return f"- `{judged.check.id}`: {_prose(text)}\n"


def _accepted(judged: Judged) -> str:
    """What a policy accepts, until when and why."""
    if judged.waiver is None:
        return _item(judged)
    until = f" until {judged.waiver.until}" if judged.waiver.until else ""
    return _item(judged, f"accepted{until} ({judged.waiver.reason})")


def _folded(title: str, parts: Sequence[str]) -> _Section:
    return _Section(3, parts, f"\n<details><summary>{title}</summary>\n\n", "\n</details>\n")


def _number(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"


def _evidence(evidence: Sequence[Evidence]) -> str:
    lines = list(_labelled(rows(evidence[:_MOST_EVIDENCE])))
    if (more := len(evidence) - _MOST_EVIDENCE) > 0:
        lines.append(f"and {more} more")
    return f"\n{_block('text', lines)}" if lines else ""


def _labelled(lines: Iterable[tuple[str, str]]) -> Iterator[str]:
    """Lines of code, which no host wraps."""
    for label, text in lines:
        yield from textwrap.wrap(
            f"{label:<9} {shortened(text, _LONGEST)}",
            _WIDTH,
            subsequent_indent=" " * 10,
            break_long_words=False,
            break_on_hyphens=False,
        )


# -- text from an image ----------------------------------------------------------------------------

_ACTIVE = re.compile(r"[\\`*_{}\[\]!$%^~&<>|@#]|://|www\.", re.IGNORECASE)
"""Markup, and what hosts make a mention, a reference or a link of by itself."""
_ESCAPES = {
    "&": "&amp;",
    "<": "&lt;",
    ">": "&gt;",
    "|": "&#124;",  # what a backslash before it means in a table depends on the reader
    "@": r"\@&#8203;",
    "#": r"\#&#8203;",
}


def _prose(text: str) -> str:
    """The text as words in a paragraph, a heading, a list or a table."""
    return _ACTIVE.sub(_escaped, shortened(text, _LONGEST))


def _escaped(match: re.Match[str]) -> str:
    text = match[0]
    if len(text) > 1:
        return f"{text[:-1]}&#8203;{text[-1]}"
    return _ESCAPES.get(text, f"\\{text}")


def _code(text: str) -> str:
    """The text as code in a list; not for tables, which are cut up before code is seen."""
    text = shortened(text, _LONGEST)
    fence = "`" * (_backticks(text) + 1)
    blank = " " if "`" in (text[:1], text[-1:]) else ""
    return f"{fence}{blank}{text}{blank}{fence}"


def _block(info: str, lines: Iterable[str], indent: str = "  ") -> str:
    """A fenced block of code."""
    body = list(lines)
    fence = "`" * max(3, max(map(_backticks, body), default=0) + 1)
    return "".join(f"{indent}{line}\n" for line in (f"{fence}{info}", *body, fence))


def _backticks(text: str) -> int:
    """How many there are in a row at most."""
    return max(map(len, re.findall("`+", text)), default=0)
