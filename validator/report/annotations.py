"""What CI hosts show beside a log: the verdicts, then the alerts, the gravest first, as many as they keep."""

from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple

from validator.checks.model import Severity
from validator.judging import Verdict
from validator.report.account import LONGEST, account
from validator.report.alerts import Alert, alerts, image_names
from validator.report.formats import Style
from validator.report.model import Report, RunReport
from validator.report.printable import shortened

_MOST_EVIDENCE = {Severity.ERROR: 3, Severity.WARNING: 1, Severity.NOTICE: 0}
"""Pieces of evidence that are repeated from the log."""


class Annotation(NamedTuple):
    """A remark beside the log."""

    level: Severity
    title: str
    text: str
    """Printable lines."""
    check: str = ""
    """The id of the check that it is about."""


def annotations(run: RunReport, style: Style, most: int) -> Iterator[Annotation]:
    """The remarks about a run, at most `most` of each level: what is beyond is named in the last."""
    names = image_names(run)
    told = [Annotation(Severity.ERROR, "nothing to check", shortened(each, LONGEST)) for each in run.lacks]
    told += [_verdict(run, image, name) for image, name in zip(run.images, names)]
    told += [Annotation(Severity.WARNING, "policy", shortened(each, LONGEST)) for each in run.warnings]
    if not style.quiet:
        found = (_alert(each, names[each.image]) for each in alerts(run))
        told += sorted(found, key=lambda each: each.level.rank)
    of_level = Counter(each.level for each in told)
    kept = Counter[Severity]()
    beyond: dict[Severity, list[str]] = {}
    for each in told:
        room = most if of_level[each.level] <= most else most - 1
        if kept[each.level] < room:
            kept[each.level] += 1
            yield each
        else:
            beyond.setdefault(each.level, []).append(each.title)
    for level, titles in beyond.items():
        text = shortened(f"In the log: {', '.join(titles)}.", LONGEST)
        yield Annotation(level, f"and {len(titles)} more", text)


def _verdict(run: RunReport, image: Report, name: str) -> Annotation:
    level = Severity.NOTICE if image.verdict is Verdict.DEPLOYABLE else Severity.WARNING
    if any(map(run.fails, image.findings)):
        level = Severity.ERROR
    return Annotation(level, f"{image.verdict.value}: {name}", shortened(image.summary, LONGEST))


def _alert(alert: Alert, name: str) -> Annotation:
    judged, level = alert.judged, alert.level
    others = f" and {len(alert.others)} more" if alert.others else ""
    brief = judged._replace(evidence=judged.evidence[: _MOST_EVIDENCE[level]])
    message, *more = account(brief)
    lines = [message] if level is Severity.NOTICE else [message, *more]
    return Annotation(level, f"{judged.check.id}{others}: {name}", "\n".join(lines), judged.check.id)
