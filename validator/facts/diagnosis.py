r"""Why sysprep failed: what its logs say, put into words, and what the disk itself says to that.

Nothing here decides anything: a generalized image is not even looked at. The logs are
`\Windows\System32\Sysprep\Panther\setupact.log` (`setuperr.log` where that is gone) and, of an image that
was started since, `\Windows\Panther\setupact.log`.

Source: `validator/knowledge/sysprep_failures.toml`.
"""

import itertools
from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from validator.disk.ntfs import NtfsVolume
from validator.evidence import Evidence
from validator.facts.disk_answers import DiskAnswers
from validator.facts.model import Attempt
from validator.facts.setup import PANTHER_LOGS, STARTED, SYSPREP_LOG, SetupStatus, SysprepHistory, quote
from validator.redaction import redact
from validator.source import File
from validator.windows.sysprep_failures import SETUP, SYSPREP, KnownFailure, find_failure
from validator.windows.sysprep_log import Ending, SysprepRun, read_errors
from validator.windows.text import Line, LineReader, count_lines

SYSPREP_ERRORS = SYSPREP_LOG.replace("setupact", "setuperr")
_MOST_LINES = 3
_MOST_ANSWERS = 6
_MOST_SETUP_LINES = 4000


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
    certain: bool
    """Whether it was the last run; a log of errors only does not say."""
    cause: Cause | None
    """None where it is none that is known."""
    words: tuple[Evidence, ...]
    """The last fatal lines as they are."""


def diagnosis(
    setup_status: Attempt[SetupStatus],
    sysprep_history: Attempt[SysprepHistory | None],
    file_system: NtfsVolume,
    disk_answers: DiskAnswers,
) -> Diagnosis | None:
    """Why sysprep's last run failed, or the first start after it; None where no log says so."""
    history = sysprep_history.value
    run = history.log.first_failure if history is not None else None
    if history is not None and run is not None:
        known = find_failure(run.trouble, SYSPREP, after_success=history.log.run_again)
        quoted = _Quoted(file_system, history.paths)
        return _diagnosis(run, known, run.last_words, quoted, disk_answers)
    if _was_started(history, setup_status.value):
        since = history.log.last_success if history is not None else None
        return _from_setup(file_system, since, disk_answers)
    if history is None and sysprep_history.unknown is None:
        return _from_errors(file_system, disk_answers)
    return None


def _was_started(history: SysprepHistory | None, status: SetupStatus | None) -> bool:
    """Whether the image was generalized, by what there is of evidence, and Windows Setup ran on it."""
    state = status.generalization_state if status is not None else None
    child = status.setup_child if status is not None else None
    if state is None or state.number == 3:
        return False
    if history is not None:
        run = history.log.decisive
        return run.ending is Ending.SUCCEEDED and (run.generalize or not run.options)
    return state.number == 4 and child is not None and child.number in (1, 2)


class _Quoted:
    """Lines of a log as evidence, with their numbers where the log is not too long to count."""

    def __init__(self, file_system: NtfsVolume, paths: Sequence[str]) -> None:
        self._file_system = file_system
        self._paths = paths
        self._counts: dict[int, int | None] = {}

    def __call__(self, line: Line) -> Evidence:
        if line.log not in self._counts:
            file = self._file_system.open(self._paths[line.log])
            self._counts[line.log] = count_lines(file) if file is not None else None
        count = self._counts[line.log]
        if line.number is None and count is not None:
            line = line._replace(number=count - line.back)
        return quote(line, self._paths[line.log], self._file_system.partition)


def _diagnosis(
    run: SysprepRun | None,
    known: KnownFailure | None,
    words: tuple[Line, ...],
    quoted: _Quoted,
    answers: DiskAnswers,
    *,
    certain: bool = True,
) -> Diagnosis:
    told = tuple(map(quoted, words))
    if known is None:
        return Diagnosis(run, certain, None, told)
    failure = known.failure
    cause = Cause(
        failure.id,
        redact(known.cause),
        redact(known.remedy),
        known.commands,
        failure.sources,
        tuple(map(quoted, known.lines[:_MOST_LINES])),
        tuple(itertools.islice(answers.to(known), _MOST_ANSWERS)),
    )
    return Diagnosis(run, certain, cause, told)


def _from_errors(file_system: NtfsVolume, answers: DiskAnswers) -> Diagnosis | None:
    """From `setuperr.log`, which has the errors where `setupact.log` was deleted."""
    file = file_system.open(SYSPREP_ERRORS)
    run = read_errors(file) if file is not None else None
    if file is None or run is None:
        return None
    quoted = _Quoted(file_system, (file.path,))
    known = find_failure(run.trouble, SYSPREP)
    return _diagnosis(run, known, run.last_words, quoted, answers, certain=False)


def _from_setup(file_system: NtfsVolume, since: datetime | None, answers: DiskAnswers) -> Diagnosis | None:
    """From the log of Windows Setup, of the start after sysprep's last success.

    Raises:
        Unreadable: where a log cannot be read.
    """
    for path in PANTHER_LOGS:
        file = file_system.open(path)
        lines = _of_the_start(file, since) if file is not None else []
        known = find_failure(lines, SETUP)
        if file is not None and known is not None:
            quoted = _Quoted(file_system, (file.path,))
            return _diagnosis(None, known, known.lines[:1], quoted, answers)
    return None


def _of_the_start(log: File, since: datetime | None) -> list[Line]:
    """The last lines of the start of a generalized image; none where that was before `since`, or unknown."""
    lines: list[Line] = []
    for line in LineReader(log):
        if since is not None and line.time is not None and line.time <= since:
            return lines[::-1]
        if line.text.strip() and len(lines) < _MOST_SETUP_LINES:
            lines.append(line)
        if STARTED in line.text:
            return lines[::-1]
    return lines[::-1] if since is not None else []
