"""One image: the verdict and its cause, what to do, what is in it, and every check with its evidence."""

import json
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime

from validator.checks.model import Remedy, Severity, Status
from validator.facts.timeline import Event
from validator.judging import Judged, Verdict
from validator.report.html.disk_map import disk_map
from validator.report.html.markup import MOST_CHARACTERS, Markup, joined, tag
from validator.report.model import LayerState, Report, rfc3339
from validator.report.text import about, rows

MARKS = {
    Status.PASSED: "✓",
    Status.FAILED: "✕",
    Status.UNKNOWN: "?",
    Status.NOT_APPLICABLE: "–",
    Status.WAIVED: "○",
}
"""So that colour is never the only sign; all are in every font."""
VERDICT_MARKS = {Verdict.DEPLOYABLE: "✓", Verdict.UNDEPLOYABLE: "✕", Verdict.INDETERMINATE: "?"}
_SEVERITY_MARKS = {Severity.ERROR: "✕", Severity.WARNING: "!", Severity.NOTICE: "i"}
_LAYER_MARKS = {"intact": "✓", "recovered": "↺", "damaged": "✕"}
_WANTING = (Status.FAILED, Status.UNKNOWN, Status.WAIVED)
"""What somebody may have to do something about, the most pressing first."""
_MOST_NAMES = 3
"""Checks with one remedy in common that are named; more are counted."""
_MOST_EVIDENCE = 50
"""Pieces of evidence of one check."""
_ORDER = (*_WANTING, Status.PASSED, Status.NOT_APPLICABLE)


def badge(verdict: Verdict) -> Markup:
    """The verdict as a word with its sign."""
    return tag(
        "span", _mark(VERDICT_MARKS[verdict]), verdict.value.capitalize(), class_=f"verdict {verdict.value}"
    )


def tally(report: Report) -> str:
    """What was found wanting, in words and numbers."""
    names = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.NOTICE: "notice"}
    counts = [
        (sum(each.status is Status.FAILED and each.severity is severity for each in report.findings), name)
        for severity, name in names.items()
    ]
    words = [f"{count}\u00a0{name}{'s' if count > 1 else ''}" for count, name in counts if count]
    for status, word in ((Status.UNKNOWN, "not answered"), (Status.WAIVED, "accepted")):
        if count := sum(each.status is status for each in report.findings):
            words.append(f"{count}\u00a0{word}")
    return ", ".join(words) or "nothing"


def filters(**values: Sequence[str]) -> str:
    """What the script filters rows by: names in their data, with the values in order."""
    return json.dumps({name: list(dict.fromkeys(each)) for name, each in values.items()})


class Page:
    """The part of the page that is about one image.

    Args:
        name: of the part; the names of all places in it begin with it.
        level: of its heading.
        full: whether what passed is shown with its evidence; named only, it makes a page of a thousand
            images one that opens.
    """

    def __init__(self, report: Report, name: str, level: int, *, full: bool) -> None:
        self._report = report
        self._name = name
        self._level = level
        self._full = full
        findings = report.findings
        self._order = sorted(range(len(findings)), key=lambda index: _rank(findings[index]))
        firsts: dict[object, int] = {}
        self._same = {
            index: firsts.setdefault(findings[index].evidence or index, index) for index in self._order
        }
        """The first finding that has the same evidence: the one that shows it."""

    def heading(self) -> Markup:
        """Verdict and path."""
        title = tag(f"h{self._level}", tag("bdi", self._report.name))
        return joined(badge(self._report.verdict), " ", title)

    def body(self) -> Markup:
        """All but the heading, the cause first."""
        report = self._report
        parts = [tag("p", report.summary, class_="cause"), self._what_to_do()]
        parts.append(self._section("The image", _described(self._about()), disk_map(report.facts)))
        parts.append(self._section("Layers", _layers(report.layers, full=self._full)))
        if report.timeline is not None:
            parts.append(self._section("Time line", _timeline(report.timeline)))
        parts.append(self._checks())
        return joined(*parts)

    def _section(self, title: str, *content: str, name: str = "") -> Markup:
        heading = tag(f"h{self._level + 1}", title)
        return tag("section", heading, *content, class_=name or title.lower().replace(" ", "-"))

    def _about(self) -> Iterator[tuple[str, str]]:
        # What was recovered stands with the layers.
        return (row for row in about(self._report) if row[0] != "recovered")

    def _place(self, index: int) -> str:
        return f"{self._name}-check-{index + 1}"

    # -- what to do ----------------------------------------------------------------------------

    def _what_to_do(self) -> Markup:
        """Findings with one remedy in common are one thing to do."""
        groups: dict[object, list[int]] = {}
        findings = self._report.findings
        for index in sorted(self._order, key=lambda index: _pressure(findings[index])):
            judged = findings[index]
            if judged.status in _WANTING:
                why = judged.waiver and (judged.waiver.reason, judged.waiver.until)
                groups.setdefault((judged.status, judged.remedy, why), []).append(index)
        if not groups:
            return Markup()
        blocked = any(map(_blocks, findings))
        title = "What to do" if blocked else "Worth a look"
        return self._section(title, *map(self._task, groups.values()), name="tasks")

    def _task(self, group: list[int]) -> Markup:
        members = [self._report.findings[index] for index in group]
        first = members[0]
        label, sign, look = _label(first)
        messages = list(dict.fromkeys(each.message for each in members))
        names = list(dict.fromkeys(each.check.id for each in members))
        words = [tag("b", f"{len(names)} checks" if len(names) > _MOST_NAMES else ", ".join(names))]
        # What the cause of the verdict says need not be said again below it.
        above = messages[0] == self._report.summary
        words += [Markup(" "), tag("span", "(see above)", class_="aside") if above else _message(first)]
        head = tag(
            "summary",
            tag("span", _mark(sign), label, class_="label"),
            " ",
            tag("span", *words, class_="what"),
        )
        content = [tag("ul", *(tag("li", each) for each in messages[1:]))] if messages[1:] else []
        if first.remedy is not None:
            content += _remedy(first.remedy)
        shown = [self._same[index] if first.status is Status.UNKNOWN else index for index in group]
        links = (
            tag("a", self._report.findings[index].check.id, href=f"#{self._place(index)}")
            for index in dict.fromkeys(shown)
        )
        content.append(tag("p", "Evidence: ", *_separated(links), class_="aside"))
        body = tag("div", *content, class_="body")
        return tag("details", head, body, class_=f"task {look}", open=_blocks(first))

    # -- the checks ----------------------------------------------------------------------------

    def _checks(self) -> Markup:
        findings = self._report.findings
        shown = [index for index in self._order if self._full or self._in_brief(index)]
        listed = tag(
            "ul",
            *map(self._check, shown),
            class_="checks",
            role="list",
            data_filter=filters(
                status=[each.value for each in _ORDER],
                severity=[each.value for each in Severity],
                family=[each.check.family for each in findings],
            ),
        )
        left_out: dict[Status, list[str]] = {}
        for index in self._order:
            if index not in shown:
                left_out.setdefault(findings[index].status, []).append(findings[index].check.id)
        rest = (
            tag("p", f"{len(names)} {status.value}: {', '.join(names)}", class_="aside")
            for status, names in left_out.items()
        )
        # Above a check that passed, “error” alone would contradict it.
        names = (tag("span", name) for name in ("Result", "If it fails", "Check"))
        columns = tag("p", *names, class_="columns", aria_hidden="true")
        return self._section("Checks", columns, listed, *rest, name="results")

    def _in_brief(self, index: int) -> bool:
        """Whether a check has a row in a long report: what is wanting, and one reason once."""
        status = self._report.findings[index].status
        return status in _WANTING and (status is not Status.UNKNOWN or self._same[index] == index)

    def _check(self, index: int) -> Markup:
        """A check; what another one shows is not shown again."""
        judged = self._report.findings[index]
        check, status = judged.check, judged.status
        head = tag(
            "summary",
            tag("span", _mark(MARKS[status]), status.value, class_="status"),
            " ",
            tag("span", judged.severity.value, class_="severity", title="if it fails"),
            " ",
            tag("span", tag("b", check.id), " ", _message(judged), class_="what"),
        )
        content = [tag("p", "The rule: ", check.title)] if check.title else []
        if (same := self._same[index]) != index:
            other = tag("a", self._report.findings[same].check.id, href=f"#{self._place(same)}")
            content.append(tag("p", "Evidence: that of ", other, "."))
        elif judged.evidence:
            content.append(_described(rows(judged.evidence[:_MOST_EVIDENCE])))
            if (more := len(judged.evidence) - _MOST_EVIDENCE) > 0:
                content.append(tag("p", f"and {more} more, which are in the JSON report", class_="aside"))
        references = tag("ul", *(tag("li", _link(each)) for each in judged.references), class_="references")
        origin = f", from {check.distribution}" if check.distribution else ""
        content += [references, tag("p", f"Family: {check.family}{origin}", class_="aside")]
        # The place is inside, so that a browser opens the row when it goes there, without a script.
        details = tag("details", head, tag("div", *content, class_="body", id=self._place(index)))
        return tag(
            "li",
            details,
            class_=f"{status.name.lower().replace('_', '-')} {judged.severity.value}",
            data_status=status.value,
            data_severity=judged.severity.value,
            data_family=check.family,
        )


def _rank(judged: Judged) -> tuple[int, int]:
    """Of a row: what is wanting first, the gravest of it first, the rest in report order."""
    return _ORDER.index(judged.status), judged.severity.rank if judged.status in _WANTING else 0


def _pressure(judged: Judged) -> tuple[bool, int]:
    """Of a thing to do: the gravest first, whether it failed or was not answered."""
    return judged.status is Status.WAIVED, judged.severity.rank


def _blocks(judged: Judged) -> bool:
    return judged.status in (Status.FAILED, Status.UNKNOWN) and judged.severity is Severity.ERROR


def _label(judged: Judged) -> tuple[str, str, str]:
    """The word for a task, its sign and its class."""
    if judged.status is Status.WAIVED:
        return "accepted", MARKS[judged.status], "waived"
    if judged.status is Status.UNKNOWN:
        return "not answered", MARKS[judged.status], "unknown"
    return judged.severity.value, _SEVERITY_MARKS[judged.severity], judged.severity.value


def _message(judged: Judged) -> Markup:
    """What was found, and what a policy makes of it."""
    remarks = []
    if judged.overridden is not None:
        remarks.append(f"{judged.overridden.value} without the policy")
    if judged.status is Status.WAIVED:
        waiver = judged.waiver
        until = f" until {waiver.until}" if waiver and waiver.until else ""
        remarks.append(f"accepted{until}: {waiver.reason}" if waiver else "accepted by the policy")
    words = tag("span", f" ({'; '.join(remarks)})", class_="aside") if remarks else Markup()
    return joined(tag("bdi", judged.message), words)


def _mark(sign: str) -> Markup:
    """The word behind it says the same."""
    return joined(tag("span", sign, aria_hidden="true", class_="mark"), " ")


def _remedy(remedy: Remedy) -> Iterator[Markup]:
    yield tag("p", remedy.text)
    if remedy.commands:
        # Half a command is not to be copied.
        words = (tag("code" if len(each) <= MOST_CHARACTERS else "span", each) for each in remedy.commands)
        yield tag("ul", *(tag("li", each) for each in words), class_="commands")


def _layers(layers: Sequence[LayerState], *, full: bool) -> Markup:
    if not full and all(layer.state == "intact" for layer in layers):
        return tag("p", f"All intact: {', '.join(layer.kind for layer in layers)}.")
    items = (
        tag(
            "li",
            tag("b", layer.kind),
            " ",
            tag("span", _mark(_LAYER_MARKS.get(layer.state, "?")), layer.state, class_="state"),
            " ",
            tag("span", layer.detail, class_="aside"),
            class_=layer.state,
        )
        for layer in layers
    )
    return tag("ol", *items, role="list")


def _timeline(events: Sequence[Event]) -> Markup:
    if not events:
        return tag("p", "The image has nothing that says when.", class_="aside")
    items = (
        tag("li", _time(event.time), " ", tag("span", tag("bdi", event.text), _kind(event)))
        for event in events
    )
    parts = [tag("ol", *items, role="list")]
    if any(event.time is not None and event.time.tzinfo is None for event in events):
        parts.append(tag("p", "Local time is that of a log on the machine; it has no zone.", class_="aside"))
    return joined(*parts)


def _kind(event: Event) -> Markup:
    """What kind of event it is, where its text does not say so itself."""
    said = event.kind in event.text
    return Markup() if said else joined(" ", tag("span", f"({event.kind})", class_="aside"))


def _time(time: datetime | None) -> Markup:
    if time is None:
        return tag("span", "time not known", class_="aside")
    zone = "UTC" if time.tzinfo else "local time"
    words = f"{rfc3339(time).removesuffix('Z').replace('T', ' ')} "
    return tag("time", words, tag("span", zone, class_="aside"), datetime=rfc3339(time))


def _described(rows: Iterable[tuple[str, str]]) -> Markup:
    """Labels and texts; the labels are classes, so that what belongs together can stand together."""
    return tag("dl", *(joined(tag("dt", label, class_=label), tag("dd", what)) for label, what in rows))


def _link(address: str) -> Markup:
    """A declaration's reference; what is no address of the web is text."""
    if not address.startswith(("https://", "http://")):
        return tag("span", address)
    return tag("a", address.partition("://")[2], href=address, rel="noreferrer")


def _separated(content: Iterable[Markup]) -> Iterator[str]:
    for index, each in enumerate(content):
        if index:
            yield ", "
        yield each
