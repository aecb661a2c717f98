"""From facts to findings to the verdict: the only place that knows severity policy."""

from collections.abc import Callable, Mapping, Sequence
from enum import Enum
from typing import NamedTuple

from validator.checks.model import Cause, Check, Finding, Remedy, Severity, Status, unknown
from validator.evidence import Evidence, Layer, Location, Unreadable
from validator.facts.model import Facts, own_failure, who_failed
from validator.policy.model import NO_POLICY, Policy, Waiver
from validator.profiles import PROFILES


class Verdict(str, Enum):
    """The answer about one image."""

    DEPLOYABLE = "deployable"
    UNDEPLOYABLE = "undeployable"
    INDETERMINATE = "indeterminate"


class ExitCode(int, Enum):
    """What the command returns; the numbers are a contract."""

    DEPLOYABLE = 0
    UNDEPLOYABLE = 1
    USAGE = 2
    INDETERMINATE = 3
    NOTHING_TO_CHECK = 4
    INTERRUPTED = 130


class Judged(NamedTuple):
    """A finding with what its check declares for the profile."""

    check: Check
    status: Status
    severity: Severity
    message: str
    evidence: tuple[Evidence, ...]
    remedy: Remedy | None
    """None where there is nothing to mend."""
    cause: Cause | None = None
    """What is behind it, where that is known."""
    overridden: Severity | None = None
    """The severity by the check itself, where the policy sets another."""
    waiver: Waiver | None = None
    """What the policy accepts it by; of a finding that is not `WAIVED`, a waiver that has expired."""
    waived: Status | None = None
    """What it was before it was waived: `FAILED` or `UNKNOWN`."""

    @property
    def references(self) -> tuple[str, ...]:
        """Where it is documented: the cause first, then the check."""
        return (*(self.cause.references if self.cause else ()), *self.check.references)


class Judgement(NamedTuple):
    """The verdict on one installation, or on the whole image, with all findings in report order."""

    verdict: Verdict
    summary: str
    findings: tuple[Judged, ...]


_AGAIN: Mapping[Layer, Remedy] = {
    Layer.FILE: Remedy("Give the command a disk image that it may read and that nothing else is using."),
    Layer.CONTAINER: Remedy(
        "Give an image of the whole disk. If it is one, export or copy it again, and close it cleanly "
        "(detach it, or shut the machine down). If this stays the same, the file itself is damaged."
    ),
    Layer.PARTITION_TABLE: Remedy(
        "Give an image of the whole disk, not of one partition. If it is one, repair the partition table on "
        "the machine and export again."
    ),
    Layer.VOLUME: Remedy("Export or copy the image again; the volume is cut or damaged."),
    Layer.FILE_SYSTEM: Remedy(
        "Start the machine, repair its disk and shut it down fully (not hibernated), then generalize and "
        "export again.",
        ("chkdsk C: /f", "shutdown /s /t 0"),
    ),
    Layer.HIVE: Remedy(
        "Start the machine from before sysprep, shut it down cleanly, then generalize and export again."
    ),
    Layer.TOOL: Remedy(
        "Report it, with the message, to who maintains what failed (image-validator or the plug-in); the "
        "image may be good or bad."
    ),
}
"""What to do where a layer could not be read."""


_GREEN = {profile.id: profile.green for profile in PROFILES}


def judge(facts: Facts, checks: Sequence[Check], profile: str, policy: Policy = NO_POLICY) -> Judgement:
    """Run the checks of a profile over the facts about one installation, as far as a policy asks them.

    Nothing that happens inside a check can end as passed: what cannot be read, and a failure of our
    own, is an unknown finding.
    """
    findings = []
    left_out = 0
    for check in policy.catalogue(checks):
        if profile not in check.severity:
            continue
        if policy.leaves_out(check):
            left_out += 1
        else:
            findings += [_judged(check, profile, finding, policy) for finding in _run(facts, check)]
    return _decide(tuple(findings), profile, left_out)


def _run(facts: Facts, check: Check) -> list[Finding]:
    findings: list[Finding] = []
    try:
        findings += facts.call(check.function)
    except Unreadable as error:
        findings.append(unknown(_cannot_tell(error.evidence), error.evidence))
    except Exception as error:
        evidence = own_failure(check.id, error)
        findings.append(unknown(_cannot_tell(evidence), evidence))
    return findings or [
        unknown("The check gave no answer.", Evidence(Location(Layer.TOOL), "no finding", "one"))
    ]


def _cannot_tell(evidence: Evidence) -> str:
    if evidence.where.layer is Layer.TOOL:
        return f"Not answered, because {who_failed(evidence)} failed."
    return f"Not answered, because the {evidence.where.layer.value} could not be read."


def _judged(check: Check, profile: str, finding: Finding, policy: Policy) -> Judged:
    highest = own = check.severity[profile]
    if finding.severity is not None and finding.severity.rank > highest.rank:
        own = finding.severity
    severity = policy.severity_of(check, profile, own)
    return Judged(
        check,
        finding.status,
        severity,
        finding.message,
        finding.evidence,
        _remedy(check, finding),
        finding.cause,
        own if severity is not own else None,
    )


def _remedy(check: Check, finding: Finding) -> Remedy | None:
    if finding.status is Status.FAILED:
        return finding.remedy or check.remedy
    if finding.status is Status.UNKNOWN and finding.evidence:
        return _AGAIN[finding.evidence[0].where.layer]
    return None


def _decide(findings: tuple[Judged, ...], profile: str, left_out: int) -> Judgement:
    if failures := blocking(findings):
        return Judgement(Verdict.UNDEPLOYABLE, failures[0].message, findings)
    if unknowns := undecided(findings):
        return Judgement(Verdict.INDETERMINATE, why_unknown(unknowns[0]), findings)
    if not any(each.severity is Severity.ERROR for each in findings):
        return Judgement(Verdict.INDETERMINATE, "No check that could decide was run.", findings)
    warnings = _warnings(findings)
    tail = f", with {_number(warnings, 'warning')}" if warnings else ""
    tail += f"; the policy left out {_number(left_out, 'check')}" if left_out else ""
    return Judgement(Verdict.DEPLOYABLE, f"{_GREEN[profile]}{tail}.", findings)


def _warnings(findings: Sequence[Judged]) -> int:
    return sum(each.status is Status.FAILED and each.severity is Severity.WARNING for each in findings)


def blocking(findings: Sequence[Judged]) -> list[Judged]:
    """The findings that make an image undeployable."""
    return [each for each in findings if each.severity is Severity.ERROR and each.status is Status.FAILED]


def undecided(findings: Sequence[Judged]) -> list[Judged]:
    """The findings that leave the verdict open: a failure of our own does, whatever it was that failed."""
    errors = [each for each in findings if each.severity is Severity.ERROR]
    unanswered = [each for each in errors if each.status is Status.UNKNOWN]
    return unanswered + [each for each in findings if failed_inside(each)]


def failed_inside(judged: Judged) -> bool:
    """Whether it rests on a failure of our own."""
    return any(evidence.where.layer is Layer.TOOL for evidence in judged.evidence)


def _number(count: int, noun: str) -> str:
    return f"{count} {noun}{'s' if count > 1 else ''}"


def why_unknown(judged: Judged) -> str:
    """Why the verdict is open, in a sentence."""
    return f"Undecided: {judged.evidence[0]}." if judged.evidence else judged.message


def _left(judgement: Judgement) -> Verdict:
    """What a verdict comes down to without what a policy accepts; never worse than the verdict."""
    errors = [each for each in judgement.findings if each.severity is Severity.ERROR]
    if not any(each.status is Status.WAIVED for each in errors):
        return judgement.verdict
    if blocking(errors):
        return judgement.verdict
    return Verdict.INDETERMINATE if undecided(judgement.findings) else Verdict.DEPLOYABLE


def of_started(judgement: Judgement, name: str, evidence: Sequence[Evidence]) -> Judgement:
    """The judgement over the one of several installations that starts, saying that this is why."""
    why = f"; the one on {name} is judged, since the boot store starts it."
    findings = tuple(
        each._replace(message=each.message.removesuffix(".") + why, evidence=(*evidence, *each.evidence))
        if each.check.id == "windows-volume" and each.status is Status.FAILED
        else each
        for each in judgement.findings
    )
    return judgement._replace(findings=findings)


def combine(
    judgements: Sequence[tuple[str, Judgement]],
    elsewhere: Sequence[Evidence] = (),
    accepted: Callable[[Judgement], Judgement] = lambda judgement: judgement,
) -> tuple[int, Judgement]:
    """One judgement over all installations on a disk, and the index of the one that it speaks of.

    As long as nothing says which one starts, they must agree. It speaks of the worst, warnings included; of
    what is `accepted` by a policy only where nothing else is left of any of them. `elsewhere` is evidence
    that what starts may be none of them: then they decide nothing.
    """
    order = (Verdict.UNDEPLOYABLE, Verdict.INDETERMINATE, Verdict.DEPLOYABLE)
    ranks = [order.index(judgement.verdict) for _, judgement in judgements]
    left = [accepted(judgement) for _, judgement in judgements]
    open_ranks = [order.index(_left(judgement)) for judgement in left]
    warned = [_warnings(judgement.findings) for judgement in left]
    index = min(
        range(len(ranks)),
        key=lambda each: (open_ranks[each], not warned[each], ranks[each], -warned[each]),
    )
    worst = judgements[index][1]
    if len(set(ranks)) == 1 and not elsewhere:
        return index, worst
    verdicts = ", ".join(f"{name}: {judgement.verdict.value}" for name, judgement in judgements)
    message = (
        f"The installations of Windows on the disk differ ({verdicts}), and nothing says which one starts."
    )
    if elsewhere:
        message = f"Which Windows on the disk starts could not be told: {elsewhere[-1]}."
    findings = tuple(
        each._replace(
            status=Status.UNKNOWN,
            severity=Severity.ERROR,
            message=message,
            evidence=(*elsewhere, *each.evidence),
        )
        if each.check.id == "windows-volume"
        else each
        for each in worst.findings
    )
    return index, Judgement(Verdict.INDETERMINATE, message, findings)


def distrust(judgement: Judgement, evidence: Evidence) -> Judgement:
    """The same judgement after it turned out that none of the bytes can be trusted."""
    findings = tuple(
        each._replace(
            status=Status.UNKNOWN,
            message=_cannot_tell(evidence),
            evidence=(evidence,),
            remedy=_AGAIN[evidence.where.layer],
            cause=None,
            waiver=None,
            waived=None,
        )
        for each in judgement.findings
    )
    return Judgement(Verdict.INDETERMINATE, f"Undecided: {evidence}.", findings)


def unjudged(checks: Sequence[Check], profile: str, policy: Policy, evidence: Evidence) -> Judgement:
    """The judgement over an image that no check was run on, which is what the evidence says."""
    findings = tuple(
        Judged(
            check, Status.UNKNOWN, policy.severity_of(check, profile, check.severity[profile]), "", (), None
        )
        for check in policy.catalogue(checks)
        if profile in check.severity and not policy.leaves_out(check)
    )
    return distrust(Judgement(Verdict.INDETERMINATE, "", findings), evidence)


def exit_code(
    judgements: Sequence[Judgement], fail_on: Severity = Severity.ERROR, *, unmatched: bool = False
) -> ExitCode:
    """What a run over these images returns; it depends on nothing else (promise 8).

    Args:
        judgements: of all images, with what a policy accepts marked; it no longer counts.
        fail_on: WARNING lets a failed warning fail the run.
        unmatched: whether something that the user named matched no image.
    """
    verdicts = {_left(judgement) for judgement in judgements}
    warned = fail_on is Severity.WARNING and any(_warnings(judgement.findings) for judgement in judgements)
    if Verdict.UNDEPLOYABLE in verdicts or warned:
        return ExitCode.UNDEPLOYABLE
    if Verdict.INDETERMINATE in verdicts:
        return ExitCode.INDETERMINATE
    if unmatched or not judgements:
        return ExitCode.NOTHING_TO_CHECK
    return ExitCode.DEPLOYABLE
