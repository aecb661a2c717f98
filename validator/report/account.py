"""One finding in lines of plain text, no longer than a host shows: what, where, and what to do."""

from collections.abc import Iterator

from validator.checks.model import Status
from validator.evidence import Evidence
from validator.judging import Judged
from validator.report.model import rfc3339
from validator.report.printable import shortened

LONGEST = 1000
"""Characters of a line."""
_MOST = 10
"""Pieces of evidence, and commands of a remedy."""


def account(judged: Judged) -> Iterator[str]:
    """The message first, then evidence, remedy and source; each line is printable and bounded."""
    for line in _lines(judged):
        yield shortened(line, LONGEST)


def _lines(judged: Judged) -> Iterator[str]:
    yield judged.message
    yield from map(_observed, judged.evidence[:_MOST])
    if (more := len(judged.evidence) - _MOST) > 0:
        yield f"and {more} more pieces of evidence"
    if judged.remedy:
        yield f"To do: {judged.remedy.text}"
        yield from judged.remedy.commands[:_MOST]
        if (more := len(judged.remedy.commands) - _MOST) > 0:
            yield f"and {more} more commands"
    if judged.status is not Status.UNKNOWN and judged.references:
        yield f"See {judged.references[0]}"


def _observed(evidence: Evidence) -> str:
    notes = [evidence.spec] if evidence.spec else []
    if evidence.time:
        zone = "" if evidence.time.tzinfo else ", local time of the machine"
        notes.append(f"time {rfc3339(evidence.time)}{zone}")
    return f"{evidence} ({'; '.join(notes)})" if notes else str(evidence)
