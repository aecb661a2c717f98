"""GitLab's code quality report: an array with one entry per alert, empty where nothing is wrong.

Its parser stops at the first entry that it does not like and keeps one entry per fingerprint; a path must
be relative, and there must be one.
"""

from collections.abc import Iterator
from typing import Any

from validator.checks.model import Severity, Status
from validator.report.alerts import Alert, alerts, image_names
from validator.report.formats import Style
from validator.report.json import dumps
from validator.report.model import RunReport
from validator.report.printable import shortened

_LONGEST = 500

_SEVERITIES = {
    (Status.FAILED, Severity.ERROR): "blocker",
    (Status.UNKNOWN, Severity.ERROR): "critical",
    (Status.FAILED, Severity.WARNING): "major",
    (Status.UNKNOWN, Severity.WARNING): "minor",
    (Status.FAILED, Severity.NOTICE): "info",
    (Status.UNKNOWN, Severity.NOTICE): "info",
}


def render(run: RunReport, style: Style) -> str:
    """The run as a JSON array, the gravest entry first."""
    names = image_names(run)
    return dumps([_entry(alert, names[alert.image]) for alert in alerts(run)])


def _entry(alert: Alert, path: str) -> dict[str, Any]:
    judged = alert.judged
    return {
        "description": " ".join(shortened(each, _LONGEST) for each in _description(alert)),
        "check_name": judged.check.id,
        "fingerprint": alert.fingerprint,
        "severity": _SEVERITIES[judged.status, judged.severity],
        "location": {"path": path, "lines": {"begin": 1}},
    }


def _description(alert: Alert) -> Iterator[str]:
    """All that GitLab shows of an entry, in one line: what is wrong, and the first place where."""
    yield f"{alert.judged.check.id}: {alert.judged.message}"
    yield from map(str, alert.judged.evidence[:1])
    if alert.others:
        yield f"(and {len(alert.others)} more checks that were not answered for this reason)"
