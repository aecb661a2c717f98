"""Why the state is what it is: sysprep's runs and what came after them, in a sentence.

Only asked where ImageState is not that of a generalized image; the state decides, this explains.
"""

from typing import TYPE_CHECKING, NamedTuple

from validator.checks.corroboration import present
from validator.checks.model import Cause, Remedy
from validator.evidence import Evidence
from validator.facts.setup import FirstBoot, SetupStatus, SysprepHistory
from validator.redaction import redact
from validator.windows.sysprep_log import Ending, SysprepRun

if TYPE_CHECKING:
    from validator.facts.diagnosis import Diagnosis

SYSPREP_COMMAND = r"C:\Windows\System32\Sysprep\sysprep.exe /generalize /oobe /shutdown"
_LET_IT_END = Remedy(
    "Run sysprep there and let it shut the machine down by itself. A script that does it uses /quit instead, "
    "waits until ImageState is IMAGE_STATE_GENERALIZE_RESEAL_TO_OOBE, and shuts down then; nothing else may "
    "restart the machine meanwhile (Windows Update).",
    (SYSPREP_COMMAND,),
)
_NEVER_START = Remedy(
    "Generalize it again, and never start the master afterwards: start a copy.",
    (SYSPREP_COMMAND,),
)


class Story(NamedTuple):
    """What happened."""

    what: str | None
    """In a clause, what came of sysprep; None where the state says it all."""
    why: str | None
    """In a clause, the reason; None where none is known."""
    evidence: tuple[Evidence, ...] = ()
    remedy: Remedy | None = None
    """What to do about the reason; None for what is to be done about the state."""
    cause: Cause | None = None
    expected: bool = False
    """Whether it is what the state suggests by itself."""

    def after(self, state: str, *, guessed: bool) -> str:
        """The clauses behind what the state says.

        Args:
            state: what the state says, in a clause.
            guessed: whether that is only a guess at the story, which then stands in its place.
        """
        what = state
        if self.what is not None and not guessed:
            what = f"{state}: {self.what[0].lower()}{self.what[1:]}"
        elif self.what is not None and not self.expected:
            what = self.what
        return f"{what}: {self.why}" if self.why else what


def named(diagnosis: "Diagnosis") -> Cause | None:
    """The cause as a finding has it."""
    known = diagnosis.cause
    return None if known is None else Cause(known.id, known.text, known.sources)


def of_failure(diagnosis: "Diagnosis") -> Story:
    """A run of sysprep that failed, or the first start after one."""
    known = diagnosis.cause
    what, expected = "Generalization completed, and the first start of the image failed", False
    if diagnosis.run is not None:
        day = f" ({diagnosis.run.ended:%Y-%m-%d})" if diagnosis.run.ended is not None else ""
        what, expected = f"Sysprep's last run failed{day}", True
        if not diagnosis.certain:
            what = f"Sysprep's log of errors ends with a failure{day}"
    if known is None:
        why = "for a reason that is not known here; its last words are below"
        return Story(what, why, diagnosis.words, expected=expected)
    # Who is told the cause needs no more of the log than where the run ended.
    words = tuple(line for line in diagnosis.words[-1:] if line not in known.lines)
    then = "Then run sysprep, and do not start the machine again."
    remedy = Remedy(f"{known.remedy} {then}", (*known.commands, SYSPREP_COMMAND))
    evidence = (*known.lines, *known.disk, *words)
    return Story(what, known.text, evidence, remedy, named(diagnosis), expected)


def story(
    sysprep_history: SysprepHistory | None,
    setup_status: SetupStatus | None,
    first_boot: FirstBoot | None,
    diagnosis: "Diagnosis | None",
    *,
    sealed: bool,
) -> Story:
    """What made the state what it is, as far as the disk tells.

    Args:
        sysprep_history: what sysprep's log says.
        setup_status: what Windows computes the state from.
        first_boot: whether the image was started since.
        diagnosis: why a run failed.
        sealed: whether the state is one that sysprep leaves behind, so that nothing came after it.
    """
    if diagnosis is not None:
        return of_failure(diagnosis)
    if sysprep_history is None:
        return _started(setup_status) or Story(None, None)
    run = sysprep_history.log.decisive
    words = tuple(map(sysprep_history.evidence, run.last_words))
    if run.idle:
        return _started(setup_status) or Story(
            "Sysprep was started, and came to nothing: its dialog was closed, or it was not let in",
            None,
            words,
        )
    if run.ending is Ending.BROKEN_OFF:
        return _broken_off(run, words)
    if run.options and not run.generalize:
        return Story(f"Sysprep's last run was not told to generalize ({run.command})", None, words)
    if sealed:
        told = f"sysprep was told to ({run.command})"
        return Story(None, told, words) if "AUDIT" in run.options else Story(None, None)
    if first_boot is not None and first_boot.line is not None:
        started = "Generalization completed, and the image was started afterwards"
        return Story(started, None, (*words, first_boot.line), _NEVER_START)
    return _started(setup_status) or Story(
        "Sysprep's last run succeeded, by its log: the image was started since, or its state was changed",
        None,
        words,
        _NEVER_START,
    )


def _started(setup_status: SetupStatus | None) -> Story | None:
    """Windows Setup has begun on the generalized image: it was started."""
    if setup_status is None or setup_status.setup_child is None:
        return None
    state, child = setup_status.generalization_state, setup_status.setup_child
    if state is None or state.number in (3, 7) or child.number not in (1, 2):
        return None
    return Story(
        "The image was started after it had been generalized, and Windows Setup did not finish",
        None,
        present(state, child),
        _NEVER_START,
    )


def _broken_off(run: SysprepRun, words: tuple[Evidence, ...]) -> Story:
    phase = run.phases[-1] if run.phases else ""
    where = f" in the phase “{phase}”" if phase else ""
    after = f", after {redact(run.calls[-1].entry)}" if run.calls else ""
    what = f"Sysprep's last run ended without a result{where}{after}"
    if phase.startswith("validate "):
        return Story(what, None, words)
    why = "the machine was switched off or restarted, or its disk was taken, before sysprep was done"
    return Story(what, why, words, _LET_IT_END)
