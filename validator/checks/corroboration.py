"""What else on the disk says whether generalization completed, and how much it weighs.

ImageState is an output: Windows computes it, and a hand can set it. SetupType, CmdLine and
GeneralizationState are what Windows acts on, so one of them against ImageState is fatal (weight 2);
the copies of the state, the tag and the logs tell history (weight 1). What is absent says nothing:
images applied from installation media have neither tag nor logs, and builders delete them.

Each function looks at one kind of evidence, supposing that ImageState claims generalization.
"""

from collections.abc import Callable
from enum import Enum
from typing import NamedTuple

from validator.evidence import Evidence
from validator.facts.model import Attempt
from validator.facts.setup import FirstBoot, PendingSetup, SetupStatus, StateText, SysprepHistory
from validator.redaction import redact
from validator.windows.hive import Value
from validator.windows.sysprep_log import Ending

GENERALIZED = "IMAGE_STATE_GENERALIZE_RESEAL_TO_OOBE"


class Stance(Enum):
    """How evidence stands to ImageState's claim."""

    AGREES = "agrees"
    NEUTRAL = "is neutral"
    CONTRADICTS = "contradicts"


class Reading(NamedTuple):
    """One kind of evidence, read."""

    stance: Stance
    message: str
    evidence: tuple[Evidence, ...] = ()
    weight: int = 0


def agrees(message: str, *evidence: Evidence) -> Reading:
    """Evidence for the claim."""
    return Reading(Stance.AGREES, message, evidence)


def neutral(message: str, *evidence: Evidence) -> Reading:
    """Evidence that says nothing."""
    return Reading(Stance.NEUTRAL, message, evidence)


def contradicts(weight: int, message: str, *evidence: Evidence) -> Reading:
    """Evidence against the claim."""
    return Reading(Stance.CONTRADICTS, message, evidence, weight)


def present(*values: Value | None) -> tuple[Evidence, ...]:
    """The evidence of the values that are there, secrets hidden."""
    return tuple(
        Evidence(value.where, redact(value.evidence.found), time=value.key_time)
        for value in values
        if value is not None
    )


def state_copies(state_ini: StateText | None, servicing_state: StateText | None) -> Reading:
    """State.ini and ImageServicingData: Windows writes them together with ImageState."""
    copies = [copy for copy in (state_ini, servicing_state) if copy is not None and copy.text]
    if not copies:
        return neutral("State.ini and ImageServicingData hold no copy of the state.")
    others = [copy for copy in copies if copy.text != GENERALIZED]
    evidence = [Evidence(copy.where, redact(copy.text), GENERALIZED) for copy in others or copies]
    if others:
        text = redact(others[0].text)
        return contradicts(1, f"A copy of the state that Windows keeps says {text}.", *evidence)
    return agrees("The copies of the state that Windows keeps say the same.", *evidence)


def setup_is_pending(pending_setup: PendingSetup) -> Reading:
    """SetupType and CmdLine: whether the next start specializes the machine."""
    kind, command = pending_setup.setup_type, pending_setup.command_line
    number = kind.number if kind is not None else 0
    text = (command.string or "").strip() if command is not None else ""
    evidence = present(kind, command) or (Evidence(pending_setup.where, "no SetupType and no CmdLine"),)
    if not number or not text:
        return contradicts(
            2,
            "Windows Setup is not pending (SetupType 0 or no CmdLine): the next start is a normal one, "
            "and the machine is never specialized.",
            *evidence,
        )
    if "windeploy" not in text.lower():
        return contradicts(
            1, "The command that the next start runs is not Windows' own (windeploy.exe).", *evidence
        )
    if number not in (1, 2):
        return contradicts(1, f"SetupType is {number}; Windows writes 1 or 2.", *evidence)
    return agrees("Windows Setup is pending: the next start specializes the machine.", *evidence)


def generalization(setup_status: SetupStatus) -> Reading:
    """GeneralizationState and what Windows computes ImageState from besides."""
    state, audit, child = setup_status.generalization_state, setup_status.audit_boot, setup_status.setup_child
    evidence = present(state, audit, child)
    number = state.number if state is not None else None
    child_number = child.number if child is not None else 0
    if number == 3:
        return contradicts(2, "GeneralizationState is 3: a generalization broke off.", *present(state))
    if number == 7:
        return contradicts(2, "GeneralizationState is 7, that of a finished installation.", *present(state))
    if audit is not None and audit.number != 0:
        return contradicts(2, "AuditBoot is set: the next start goes to audit mode.", *evidence)
    if child_number in (1, 2):
        return contradicts(
            2,
            f"setup.exe has been started (completion state {child_number}): the image was booted.",
            *evidence,
        )
    if state is not None and number != 4:
        return contradicts(1, f"GeneralizationState is {redact(str(state))}, which is not 4.", *evidence)
    if child_number != 0:
        return contradicts(
            1,
            f"setup.exe is marked with {redact(str(child))}, as modified media and hand edits do.",
            *evidence,
        )
    if state is None:
        return neutral("GeneralizationState is absent.", *evidence)
    return agrees("GeneralizationState is 4: generalized, specialize still to run.", *evidence)


def tag(sysprep_tag: bool, sysprep_history: SysprepHistory | None) -> Reading:
    """Sysprep_succeeded.tag: written at the end of a run, deleted when the next one begins."""
    if sysprep_tag:
        return agrees("Sysprep_succeeded.tag is there: sysprep's last run reached its end.")
    if sysprep_history is not None and sysprep_history.log.generalize_run:
        return contradicts(
            1,
            "sysprep's log has a generalize run, and Sysprep_succeeded.tag is not there.",
            *map(sysprep_history.evidence, sysprep_history.run.last_words),
        )
    return neutral(
        "There is no Sysprep_succeeded.tag, and no generalize run in a log that would have left it."
    )


def sysprep_run(sysprep_history: SysprepHistory | None) -> Reading:
    """The last run in sysprep's own log."""
    if sysprep_history is None:
        return neutral("There is no run of sysprep in a log.")
    run = sysprep_history.run
    words = tuple(map(sysprep_history.evidence, run.last_words))
    if run.ending is Ending.FAILED:
        return contradicts(1, "sysprep's last run failed.", *words)
    if not run.options:
        if run.ending is Ending.SUCCEEDED:
            return neutral(
                "sysprep's last run succeeded; its log does not say whether it generalized.", *words
            )
        return neutral("sysprep's log is not complete enough to judge its last run.", *words)
    if not run.generalize:
        return contradicts(
            1, f"sysprep's last run was not told to generalize (options: {', '.join(run.options)}).", *words
        )
    if run.ending is Ending.BROKEN_OFF:
        return contradicts(1, "sysprep's last run broke off: its log has no end.", *words)
    return agrees("sysprep's last run generalized and succeeded.", *words)


def not_started_since(first_boot: FirstBoot) -> Reading:
    """Panther's logs: whether setup.exe ran on the generalized image."""
    if first_boot.line is not None:
        return contradicts(1, "The image was started after sysprep had succeeded.", first_boot.line)
    if not first_boot.searched:
        return neutral("There is no log that could tell whether the image was started after sysprep.")
    return agrees("Windows' setup log has no start of the image after sysprep.")


class Corroborator(NamedTuple):
    """One kind of evidence: which check shows it, the most it can weigh, and its reading."""

    check: str
    most: int
    reading: Reading | None
    """None where it could not be read."""
    unread: tuple[Evidence, ...] = ()
    """Why it could not be read."""


def corroborators(
    pending_setup: PendingSetup,
    setup_status: Attempt[SetupStatus],
    state_ini: Attempt[StateText | None],
    servicing_state: Attempt[StateText | None],
    sysprep_tag: Attempt[bool],
    sysprep_history: Attempt[SysprepHistory | None],
    first_boot: Attempt[FirstBoot],
) -> tuple[Corroborator, ...]:
    """All of them, in the order of the report."""

    def read(
        check: str, most: int, function: Callable[..., Reading], *facts: Attempt[object]
    ) -> Corroborator:
        if unread := tuple(fact.unknown for fact in facts if fact.unknown is not None):
            return Corroborator(check, most, None, unread)
        return Corroborator(check, most, function(*(fact.value for fact in facts)))

    return (
        read("state-ini-agrees", 1, state_copies, state_ini, servicing_state),
        read("setup-pending", 2, setup_is_pending, Attempt(pending_setup)),
        read("generalization-state", 2, generalization, setup_status),
        read("sysprep-tag", 1, tag, sysprep_tag, sysprep_history),
        read("sysprep-log", 1, sysprep_run, sysprep_history),
        read("booted-after-sysprep", 1, not_started_since, first_boot),
    )
