r"""Why sysprep failed: what its logs say, put into words, and what the disk itself says to that.

Nothing here decides anything: a generalized image is not even looked at. The logs are
`\Windows\System32\Sysprep\Panther\setupact.log` (`setuperr.log` where that is gone) and, of an image that
was started since, `\Windows\Panther\setupact.log`.

Source: `validator/knowledge/sysprep_failures.toml`.
"""

import functools
from collections.abc import Callable
from datetime import datetime
from typing import NamedTuple

from validator.disk.ntfs import NtfsVolume
from validator.evidence import Evidence
from validator.facts.disk_answers import DiskAnswers
from validator.facts.model import Attempt
from validator.facts.setup import PANTHER_LOGS, SYSPREP_LOG, SysprepHistory, quote
from validator.redaction import redact
from validator.windows.hive import Value
from validator.windows.sysprep_failures import SETUP, SYSPREP, KnownFailure, find_failure, is_benign
from validator.windows.sysprep_log import SysprepRun, read_errors
from validator.windows.text import Line, LineReader

SYSPREP_ERRORS = SYSPREP_LOG.replace("setupact", "setuperr")
UNDEPLOYABLE = "IMAGE_STATE_UNDEPLOYABLE"
_MOST_LINES = 3
_MOST_ANSWERS = 6


class Cause(NamedTuple):
    """A known reason of a failure."""

    id: str
    """Of the entry in the knowledge base."""
    text: str
    """A clause in plain words, with what the log names."""
    remedy: str
    commands: tuple[str, ...]
    sources: tuple[str, ...]
    lines: tuple[Evidence, ...]
    """Of the log."""
    disk: tuple[Evidence, ...]
    """What the disk says to it, as far as it could be asked."""


class Diagnosis(NamedTuple):
    """What the logs say of a failure."""

    run: SysprepRun | None
    """The run of sysprep that failed; None where it was the image's first start."""
    cause: Cause | None
    """None where it is none that is known."""
    words: tuple[Evidence, ...]
    """The last fatal lines as they are."""

    @property
    def log(self) -> str | None:
        """Where it stands."""
        return self.words[0].where.path if self.words else None


def diagnosis(
    image_state: Attempt[Value | None],
    sysprep_history: Attempt[SysprepHistory | None],
    file_system: NtfsVolume,
    disk_answers: DiskAnswers,
) -> Diagnosis | None:
    """Why sysprep's last run failed, or the first start after it; None where no log says so."""
    history = sysprep_history.value
    run = history.log.first_failure if history is not None else None
    if history is not None and run is not None:
        known = find_failure(run.trouble, SYSPREP)
        return _diagnosis(run, known, run.last_words, history.evidence, disk_answers)
    found = None
    if history is None and sysprep_history.unknown is None:
        found = _from_errors(file_system, disk_answers)
    # Setup's log of an installation that was finished has nothing to say to this.
    if found is None and image_state.value is not None and image_state.value.text == UNDEPLOYABLE:
        found = _from_setup(file_system, history.log.last_success if history else None, disk_answers)
    return found


def _diagnosis(
    run: SysprepRun | None,
    known: KnownFailure | None,
    words: tuple[Line, ...],
    evidence: Callable[[Line], Evidence],
    answers: DiskAnswers,
) -> Diagnosis:
    told = tuple(evidence(line) for line in words if not is_benign(line))
    if known is None:
        return Diagnosis(run, None, told)
    failure = known.failure
    cause = Cause(
        failure.id,
        redact(known.cause),
        redact(known.remedy),
        known.commands,
        failure.sources,
        tuple(map(evidence, known.lines[:_MOST_LINES])),
        tuple(answers.to(known))[:_MOST_ANSWERS],
    )
    return Diagnosis(run, cause, told)


def _from_errors(file_system: NtfsVolume, answers: DiskAnswers) -> Diagnosis | None:
    """From `setuperr.log`, which has the errors where `setupact.log` was deleted."""
    file = file_system.open(SYSPREP_ERRORS)
    run = read_errors(file) if file is not None else None
    if file is None or run is None:
        return None
    evidence = functools.partial(quote, path=file.path, partition=file.partition)
    return _diagnosis(run, find_failure(run.trouble, SYSPREP), run.last_words, evidence, answers)


def _from_setup(file_system: NtfsVolume, since: datetime | None, answers: DiskAnswers) -> Diagnosis | None:
    """From the log of Windows Setup, of a start after sysprep's last success."""
    for path in PANTHER_LOGS:
        if (file := file_system.open(path)) is None:
            continue
        lines: list[Line] = []
        for line in LineReader(file):
            if line.time is not None and since is not None and line.time <= since:
                break
            lines.append(line)
        known = find_failure(lines[::-1], SETUP)
        if known is not None:
            evidence = functools.partial(quote, path=file.path, partition=file.partition)
            return _diagnosis(None, known, known.lines[:1], evidence, answers)
    return None
