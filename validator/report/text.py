"""Text for a person at a terminal or in a CI log: verdict, cause, remedy, evidence, then the rest."""

import textwrap
from collections.abc import Iterable, Iterator

from validator.checks.model import EXPECTATIONS, Check, Remedy, Severity, Status
from validator.disk.container import Container
from validator.evidence import Evidence, Location
from validator.facts.model import Unknown
from validator.judging import Judged, Verdict
from validator.policy.model import Waiver
from validator.report.formats import Style
from validator.report.model import Report, RunReport, rfc3339
from validator.report.printable import printable

_COLOURS = {"red": "31", "green": "32", "yellow": "33", "cyan": "36", "bold": "1", "dim": "2"}
_VERDICT_COLOURS = {
    Verdict.DEPLOYABLE: "green",
    Verdict.UNDEPLOYABLE: "red",
    Verdict.INDETERMINATE: "yellow",
}
_SEVERITY_COLOURS = {Severity.ERROR: "red", Severity.WARNING: "yellow", Severity.NOTICE: "cyan"}
_LABEL = 10
_MOST_EVIDENCE = {Severity.ERROR: 6, Severity.WARNING: 2}
"""Pieces of evidence of one finding that are shown without --verbose."""
_MOST_COMMANDS = 3
"""Commands of a warning that are."""
_MOST_NAMES = 20
"""Checks that are named without --verbose though nothing is wrong; more are counted."""
_MOST_UNANSWERED = 12
"""Checks that are named though one reason leaves them open."""
_LONGEST_EXPECTED = 60
"""Characters of what was expected that a warning's line has room for."""


def render(run: RunReport, style: Style) -> str:
    """The run as text."""
    page = _Page(style.colour, style.width)
    blocks = ["\n".join(page.image(image, style.quiet, style.verbose)) for image in run.images]
    if len(run.images) > 1:
        counts = ", ".join(f"{run.count(verdict)} {verdict.value}" for verdict in Verdict)
        blocks.append(f"{len(run.images)} images: {counts}")
    if not style.quiet and (lines := list(page.policy(run))):
        blocks.append("\n".join(lines))
    return ("\n" if style.quiet else "\n\n").join(blocks) + "\n" if blocks else ""


class _Page:
    def __init__(self, colour: bool, width: int) -> None:
        self._colour = colour
        self._width = max(40, width)

    def image(self, report: Report, quiet: bool, verbose: bool) -> Iterator[str]:
        verdict = self._paint(report.verdict.value.upper(), "bold", _VERDICT_COLOURS[report.verdict])
        yield f"{verdict}  {printable(report.name)}"
        yield from self._prose(report.summary, 2)
        if quiet:
            return
        yield from self._failures(report, verbose)
        yield from self._unknowns(report, verbose)
        yield from self._accepted(report, verbose)
        yield ""
        if verbose:
            yield from self._rest_at_length(report)
        else:
            yield from self._rest(report)
        yield from self._about(report)

    def policy(self, run: RunReport) -> Iterator[str]:
        """What the run was judged under."""
        if run.policy is not None:
            left_out = f"; left out: {', '.join(run.policy.left_out)}" if run.policy.left_out else ""
            yield from self._labelled("policy", f"{run.policy.source or 'command line'}{left_out}", 2)
        for warning in run.warnings:
            yield from self._labelled("warning", warning, 2)

    # -- what is wrong -------------------------------------------------------------------------

    def _failures(self, report: Report, verbose: bool) -> Iterator[str]:
        failures = [each for each in report.findings if each.status is Status.FAILED]
        brief = [] if verbose else [each for each in failures if each.severity is Severity.NOTICE]
        shown: set[Evidence] = set()
        remedies: set[Remedy] = set()
        mended: set[str] = set()
        for judged in sorted(failures, key=lambda each: each.severity.rank):
            if judged in brief:
                continue
            yield ""
            yield f"  {self._label(judged)}: {judged.check.id}{_overridden(judged)}"
            if judged.message != report.summary:
                yield from self._prose(judged.message, 4)
            error = judged.severity is Severity.ERROR
            related = in_family(judged.check)
            # An error's remedy covers the warnings of its family.
            covered = judged.remedy in remedies or (related and judged.check.family in mended and not error)
            if judged.remedy and (verbose or not covered):
                remedies.add(judged.remedy)
                mended |= {judged.check.family} if error and related else set()
                yield from self._remedy(judged.remedy, whole=error or verbose or not related)
                if judged.references and (error or verbose):
                    yield from self._labelled("see", judged.references[0])
            # What one finding showed, the next need not repeat.
            evidence = [each for each in judged.evidence if verbose or each not in shown]
            most = len(evidence) if verbose else _MOST_EVIDENCE[judged.severity]
            shown_how = self._evidence if error or verbose else self._in_short
            yield from shown_how(evidence[:most])
            if len(evidence) > most:
                yield from self._labelled("and", f"{len(evidence) - most} more (--verbose)")
            shown.update(judged.evidence)
        if brief:
            yield ""
        for judged in brief:
            what = f"notice: {judged.check.id}{_overridden(judged)}"
            first, *more = self._prose(f"{what}: {judged.message}", 2, hanging=4)
            yield first.replace("notice", self._label(judged), 1)
            yield from more

    def _label(self, judged: Judged) -> str:
        return self._paint(judged.severity.value, "bold", _SEVERITY_COLOURS[judged.severity])

    def _remedy(self, remedy: Remedy, *, whole: bool = True) -> Iterator[str]:
        """What to do; the commands of a warning of ours speak for themselves."""
        label = "to do"
        if whole or not remedy.commands:
            yield from self._labelled(label, remedy.text)
            label = ""
        most = len(remedy.commands) if whole else _MOST_COMMANDS
        for command in remedy.commands[:most]:
            padded = self._paint(label, "dim") + " " * (_LABEL - len(label))
            yield " " * 4 + padded + self._paint(printable(command), "cyan")
            label = ""
        if len(remedy.commands) > most:
            yield from self._labelled("and", f"{len(remedy.commands) - most} more (--verbose)")

    def _unknowns(self, report: Report, verbose: bool) -> Iterator[str]:
        """What could not be answered, together where it is for the same reason."""
        for members in report.unanswered:
            first = min(members, key=lambda each: each.severity.rank)
            yield ""
            label = "not answered"
            names = ", ".join(each.check.id for each in members)
            many = len(members) > _MOST_UNANSWERED
            what = names
            if many:
                whole = len(members) == len(report.findings)
                what = (
                    f"all {len(members)} checks" if whole else f"{first.check.id} and {len(members) - 1} more"
                )
                what += "" if verbose else " (--verbose lists them)"
            first_line, *more = self._prose(f"{label}: {what}", 2, hanging=4)
            yield first_line.replace(label, self._paint(label, "bold", "yellow"), 1)
            yield from more
            if first.message != report.summary:
                yield from self._prose(first.message, 4)
            yield from self._evidence(first.evidence)
            if first.remedy:
                yield from self._remedy(first.remedy)
            if many and verbose:
                yield from self._labelled("checks", names)

    def _accepted(self, report: Report, verbose: bool) -> Iterator[str]:
        """What the policy accepts, together where it is for the same reason."""
        groups: dict[Waiver | None, list[Judged]] = {}
        for judged in report.findings:
            if judged.status is Status.WAIVED:
                waiver = judged.waiver and judged.waiver._replace(check="", image=None)
                groups.setdefault(waiver, []).append(judged)
        if groups:
            yield ""
        for waiver, members in groups.items():
            names = ", ".join(f"{each.check.id} ({_grade(each)})" for each in members)
            until = f" until {waiver.until}" if waiver and waiver.until else ""
            reason = f": {waiver.reason}" if waiver else ""
            first, *more = self._prose(f"accepted{until}: {names}{reason}", 2, hanging=4)
            yield first.replace("accepted", self._paint("accepted", "bold"), 1)
            yield from more
            for judged in members if verbose else ():
                yield from self._prose(f"{judged.check.id}: {judged.message}", 4)
                yield from self._evidence(judged.evidence)

    def _evidence(self, evidence: Iterable[Evidence]) -> Iterator[str]:
        for label, text in rows(evidence):
            yield from self._labelled(label, text)

    def _in_short(self, evidence: Iterable[Evidence]) -> Iterator[str]:
        """Where and what in a line: for warnings, of which there may be many."""
        for each in evidence:
            where = each.where
            if where.key is not None:
                hive = (where.path or "").rpartition("\\")[2]
                place = "\\".join(part for part in (hive, where.key, where.value) if part)
            else:
                place = place_of(where)
            wanted = f", expected {each.expected}" if 0 < len(each.expected) <= _LONGEST_EXPECTED else ""
            yield from self._labelled("found", f"{place}: {each.found}{wanted}")

    # -- the rest ------------------------------------------------------------------------------

    def _rest(self, report: Report) -> Iterator[str]:
        rest = [
            (label, [each.check.id for each in report.findings if each.status is status])
            for status, label in ((Status.PASSED, "passed"), (Status.NOT_APPLICABLE, "n/a"))
        ]
        if sum(len(names) for _, names in rest) > _MOST_NAMES:
            counts = ", ".join(f"{len(names)} {label}" for label, names in rest if names)
            yield from self._labelled("checks", f"{counts} (--verbose lists them)", 2)
            return
        for label, names in rest:
            if names:
                yield from self._labelled(label, ", ".join(names), 2)

    def _rest_at_length(self, report: Report) -> Iterator[str]:
        for judged in report.findings:
            if judged.status in (Status.PASSED, Status.NOT_APPLICABLE):
                yield f"  {judged.status.value}: {judged.check.id}"
                yield from self._prose(judged.message, 4)
                yield from self._evidence(judged.evidence)
        yield ""
        for layer in report.layers:
            yield from self._labelled(layer.state, f"{layer.kind}: {layer.detail}", 2)

    def _about(self, report: Report) -> Iterator[str]:
        for label, text in about(report):
            yield from self._labelled(label, text, 2)

    # -- lines ---------------------------------------------------------------------------------

    def _prose(self, text: str, indent: int, hanging: int | None = None) -> Iterator[str]:
        first, rest = " " * indent, " " * (indent if hanging is None else hanging)
        yield from self._wrap(printable(text), first, rest)

    def _labelled(self, label: str, text: str, indent: int = 4) -> Iterator[str]:
        padded = self._paint(label, "dim") + " " * max(1, _LABEL - len(label))
        lines = list(self._wrap(printable(text), "", "", self._width - indent - _LABEL))
        for index, line in enumerate(lines):
            yield " " * indent + (padded if not index else " " * _LABEL) + line

    def _wrap(self, text: str, first: str, rest: str, width: int | None = None) -> Iterator[str]:
        yield from textwrap.wrap(
            text,
            width or self._width,
            initial_indent=first,
            subsequent_indent=rest,
            break_long_words=False,
            break_on_hyphens=False,
        ) or [first]

    def _paint(self, text: str, *names: str) -> str:
        if not self._colour:
            return text
        codes = ";".join(_COLOURS[name] for name in names)
        return f"\x1b[{codes}m{text}\x1b[0m"


def in_family(check: Check) -> bool:
    """Whether a remedy may stand for others of the family: users and plug-ins only share its name."""
    return check.family != EXPECTATIONS and check.distribution is None


def _overridden(judged: Judged) -> str:
    return f" ({judged.overridden.value} without the policy)" if judged.overridden else ""


def _grade(judged: Judged) -> str:
    return "not answered" if judged.waived is Status.UNKNOWN else judged.severity.value


def rows(evidence: Iterable[Evidence]) -> Iterator[tuple[str, str]]:
    """Labels and texts, where and what; a file or a time that the line before gave is not repeated."""
    file = time = None
    for each in evidence:
        where = each.where
        if (place := place_of(where)) != file:
            yield "in", place
            file, time = place, None
        if where.key is not None:
            yield "at", "\\".join(part for part in (where.key, where.value) if part)
        yield "found", each.found
        if each.expected:
            yield "expected", each.expected
        if each.spec:
            yield "spec", each.spec
        if each.time and each.time != time and where.line is None:  # a line of a log begins with it
            zone = "" if each.time.tzinfo else " (local time of the machine)"
            yield "time", rfc3339(each.time) + zone
            time = each.time


def place_of(where: Location) -> str:
    """The file and the place in it, without the key of a hive."""
    place = [f"partition {where.partition}"] if where.partition is not None else []
    place += [where.path] if where.path is not None else []
    place += [f"line {where.line}"] if where.line is not None else []
    place += [f"offset {where.offset:#x}"] if where.offset is not None else []
    return ", ".join(place if where.path else [where.layer.value, *place])


def about(report: Report) -> Iterator[tuple[str, str]]:
    """Labels and texts: what had to be recovered, Windows, the disk, and what it cost to read."""
    facts = report.facts
    for layer in report.layers:
        if layer.state == "recovered":
            yield "recovered", f"{layer.kind}: {layer.detail}"
    if not isinstance(facts.product, Unknown):
        words = [facts.product.name, facts.product.edition and f"({facts.product.edition})"]
        words.append(facts.product.build and f"build {facts.product.build}")
        words.append(facts.architecture if isinstance(facts.architecture, str) else None)
        yield "Windows", " ".join(word for word in words if word) or "unnamed"
    if not isinstance(facts.container, Unknown):
        container = facts.container
        words = [container.subformat, container.format.upper()]
        words.append(f"of {size(container.virtual_size)}")
        if not isinstance(facts.partition_table, Unknown):
            words.append(f"with {facts.partition_table.scheme.upper()}")
        yield "disk", f"{' '.join(word for word in words if word)}, in a file {_beside(container)}"
    if report.plugins:
        yield "plug-ins", ", ".join(map(str, report.plugins))
    count, what = (report.io.requests, "request") if report.io.requests else (report.io.reads, "read")
    reads = f"{count} {what}{'' if count == 1 else 's'}"
    cost = f"{size(report.io.bytes_read)} in {reads}, {report.duration_ms / 1000:.2f} s"
    yield "read", f"{cost}, profile {report.profile}"


def _beside(container: Container) -> str:
    """How large the file is; where it is about as large as the disk, by how much more or less."""
    difference = container.file_size - container.virtual_size
    if abs(difference) * 100 >= container.virtual_size:
        return f"of {size(container.file_size)}"
    if not difference:
        return "of the same size"
    return f"{size(abs(difference))} {'larger' if difference > 0 else 'smaller'}"


def size(count: int) -> str:
    """A number of bytes for a person: whole where it is whole."""
    units = ("B", "KiB", "MiB", "GiB", "TiB")
    scaled, unit = float(count), 0
    while scaled >= 1024 and unit < len(units) - 1:
        scaled, unit = scaled / 1024, unit + 1
    return (
        f"{scaled:.0f} {units[unit]}"
        if scaled == int(scaled) or scaled >= 100
        else f"{scaled:.1f} {units[unit]}"
    )
