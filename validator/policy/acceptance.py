"""What a policy accepts of what was found. It marks findings, and changes no verdict."""

from collections.abc import Iterable, Sequence
from datetime import date

from validator.checks.model import Severity, Status
from validator.judging import Judged, Judgement, Verdict, blocking, failed_inside, undecided, why_unknown
from validator.policy.baseline import Baseline, entries
from validator.policy.model import Policy, Waiver

_MOST_NAMES = 3
"""Of what is accepted, in a summary."""


def accept(judgement: Judgement, policy: Policy, path: str, today: date) -> Judgement:
    """The same judgement, with the findings that a policy accepts marked so; the verdict stays.

    Args:
        judgement: of one image.
        policy: its waivers and its baseline count.
        path: of the image, as the user named it.
        today: waivers whose last day was before accept nothing any more.
    """
    findings = tuple(_accepted(each, policy, path, today) for each in judgement.findings)
    return judgement._replace(summary=_summary(judgement, findings), findings=findings)


def _summary(judgement: Judgement, findings: Sequence[Judged]) -> str:
    """The reason of the verdict: what is left of it where something is, and what is accepted where not."""
    failures, unknowns = blocking(findings), undecided(findings)
    reasons = [why_unknown(each) for each in undecided(judgement.findings)]
    summary = judgement.summary
    if failures:
        return failures[0].message if judgement.verdict is Verdict.UNDEPLOYABLE else summary
    if unknowns and judgement.verdict is Verdict.INDETERMINATE:
        return why_unknown(unknowns[0]) if summary in reasons else summary
    names = list(dict.fromkeys(each.check.id for each in findings if each.status is Status.WAIVED))
    if names:
        more = f" and {len(names) - _MOST_NAMES} more" if len(names) > _MOST_NAMES else ""
        summary += f" Accepted by the policy: {', '.join(names[:_MOST_NAMES])}{more}."
    return f"{summary} {why_unknown(unknowns[0])}" if unknowns else summary


def _accepted(judged: Judged, policy: Policy, path: str, today: date) -> Judged:
    """A finding with what a policy says of it; no policy can say that a failure of our own is none."""
    if judged.status not in (Status.FAILED, Status.UNKNOWN) or failed_inside(judged):
        return judged
    waivers = [each for each in policy.waivers if each.covers(judged.check.id, path)]
    active = next((each for each in waivers if not each.expired(today)), None)
    if not waivers and _suits_baseline(judged):
        active = _in_baseline(judged, policy.baseline)
    if active is not None:
        return judged._replace(status=Status.WAIVED, waiver=active, waived=judged.status)
    if not waivers:
        return judged
    over = waivers[0]
    message = f"{judged.message} It was accepted until {over.until}, which is over: {over.reason}"
    return judged._replace(message=message, waiver=over)


def _in_baseline(judged: Judged, baseline: Baseline | None) -> Waiver | None:
    if baseline is None or not baseline.accepts(judged.check.id, judged.evidence):
        return None
    return Waiver(judged.check.id, f"It is in the baseline {baseline.source}.", baseline=True)


def _suits_baseline(judged: Judged) -> bool:
    """Whether a baseline may accept it: it failed and blocks nothing, and no waiver for it has expired."""
    unwaived = judged.waiver is None
    return unwaived and judged.status is Status.FAILED and judged.severity is not Severity.ERROR


def as_baseline(judgements: Iterable[Judgement], source: str) -> Baseline:
    """All that a baseline may accept of these images, but for what a waiver accepts already."""
    return Baseline(
        frozenset(
            entry
            for judgement in judgements
            for each in judgement.findings
            if _suits_baseline(each) and not failed_inside(each)
            for entry in entries(each.check.id, each.evidence)
        ),
        source,
    )


def idle(policy: Policy, judgements: Sequence[tuple[str, Judgement]]) -> tuple[str, ...]:
    """Sentences about what accepted nothing in a run, by the paths of its images: it can be taken out."""
    wrong = [
        (each, path)
        for path, judgement in judgements
        for each in judgement.findings
        if each.status in (Status.FAILED, Status.UNKNOWN, Status.WAIVED)
    ]
    words = [
        f"the waiver of {waiver.check}{f' for {waiver.image}' if waiver.image else ''} matched nothing"
        f" ({waiver.reason})"
        for waiver in policy.waivers
        if not any(waiver.covers(each.check.id, path) for each, path in wrong)
    ]
    if policy.baseline is not None:
        found = {entry for each, _ in wrong for entry in entries(each.check.id, each.evidence)}
        gone = sorted(policy.baseline.entries - found)
        if gone:
            names = ", ".join(dict.fromkeys(entry.check for entry in gone))
            count = f"{len(gone)} entr{'y' if len(gone) == 1 else 'ies'}"
            words.append(
                f"{count} of the baseline {policy.baseline.source} matched nothing any more: {names}"
            )
    return tuple(words)
