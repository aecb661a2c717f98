"""What a specialized disk has to say of itself: the checks of generalization, the other way round."""

from validator.checks.corroboration import present
from validator.checks.model import Finding, Remedy, Severity, failed, not_applicable, passed
from validator.evidence import Evidence, Layer, Location
from validator.facts.setup import STATE_KEY, PendingSetup, SetupStatus, StateText, SysprepHistory
from validator.redaction import redact
from validator.windows.hive import REG_SZ, Value
from validator.windows.sysprep_log import Ending

COMPLETE = "IMAGE_STATE_COMPLETE"
_AS_GENERALIZED = Remedy(
    "Upload it as a generalized image, or go back to the machine as it was before sysprep.",
)
_FINISH = Remedy("Start the machine, let Windows Setup finish, shut it down, and take the disk then.")
_DISARM = Remedy(
    "Start the machine once so that Windows runs the command and clears it, or clear both values offline "
    "if you know what wrote them.",
    (
        r'reg add "HKLM\SYSTEM\Setup" /v SetupType /t REG_DWORD /d 0 /f',
        r'reg add "HKLM\SYSTEM\Setup" /v CmdLine /t REG_SZ /d "" /f',
    ),
)


def specialized_state(image_state: Value | None) -> Finding:
    """ImageState of a finished installation."""
    text = image_state.text if image_state is not None and image_state.type == REG_SZ else None
    if text == COMPLETE and image_state is not None:
        return passed("ImageState says that the installation is finished.", image_state.evidence)
    if image_state is None:
        where = Location(Layer.HIVE, key=STATE_KEY, value="ImageState")
        return failed("The registry has no ImageState.", Evidence(where, "no such value", COMPLETE))
    shown = redact(str(image_state))
    evidence = Evidence(image_state.where, shown, COMPLETE, image_state.key_time)
    if text == "IMAGE_STATE_SPECIALIZE_RESEAL_TO_OOBE":
        return failed(
            "The first-run setup of this machine is not finished.",
            evidence,
            severity=Severity.WARNING,
            remedy=_FINISH,
        )
    if text is not None and text.startswith("IMAGE_STATE_GENERALIZE_"):
        return failed(
            "This disk is generalized: created as specialized it waits at the first-run setup until "
            "provisioning times out.",
            evidence,
            remedy=_AS_GENERALIZED,
        )
    return failed("ImageState is not that of a finished installation.", evidence, remedy=_FINISH)


def specialized_copies(
    image_state: Value | None, state_ini: StateText | None, servicing_state: StateText | None
) -> Finding:
    """State.ini and ImageServicingData against ImageState."""
    copies = [copy for copy in (state_ini, servicing_state) if copy is not None and copy.text]
    if image_state is None or not copies:
        return not_applicable("There is no copy of the state to compare with.")
    others = [copy for copy in copies if copy.text != image_state.text]
    if not others:
        return passed("The copies of the state that Windows keeps say the same.")
    evidence = (Evidence(copy.where, redact(copy.text), redact(str(image_state))) for copy in others)
    return failed("A copy of the state that Windows keeps says something else.", *evidence)


def specialized_start(pending_setup: PendingSetup) -> Finding:
    """SetupType and CmdLine: the next start has to be a normal one."""
    kind, command = pending_setup.setup_type, pending_setup.command_line
    number = kind.number if kind is not None else 0
    text = (command.string or "").strip() if command is not None else ""
    if number == 0:
        return passed("The next start is a normal one.", *present(kind))
    if "windeploy" in text.lower():
        return failed(
            "The next start runs Windows Setup: the machine does not come back as what it is.",
            *present(kind, command),
            remedy=_AS_GENERALIZED,
        )
    return failed(
        "The next start runs a command of somebody else before the logon."
        if text
        else "SetupType asks for a setup at the next start, without a command.",
        *present(kind, command),
        severity=Severity.WARNING,
        remedy=_DISARM,
    )


def specialized_generalization(setup_status: SetupStatus) -> Finding:
    """GeneralizationState of a finished installation."""
    state = setup_status.generalization_state
    if state is None:
        return not_applicable("GeneralizationState is absent.")
    if state.number == 7:
        return passed("GeneralizationState is 7: a finished installation.", *present(state))
    return failed(
        "A generalization broke off here: the machine can never be generalized again."
        if state.number == 3
        else f"GeneralizationState is {redact(str(state))}; a finished installation has 7.",
        *present(state),
    )


def specialized_run(sysprep_history: SysprepHistory | None) -> Finding:
    """How sysprep's last run ended, if there was one."""
    if sysprep_history is None:
        return not_applicable("There is no run of sysprep in a log.")
    run = sysprep_history.run
    words = tuple(map(sysprep_history.evidence, run.last_words))
    if run.ending is Ending.SUCCEEDED:
        return passed("sysprep's last run succeeded.", *words)
    return failed("sysprep's last run did not succeed.", *words)
