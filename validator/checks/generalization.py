"""Generalization: did sysprep complete, and does everything on the disk say so?"""

from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

from validator.checks.corroboration import (
    GENERALIZED,
    Reading,
    Stance,
    corroborators,
    generalization,
    not_started_since,
    present,
    setup_is_pending,
    state_copies,
    sysprep_run,
    tag,
)
from validator.checks.history import SYSPREP_COMMAND, named, of_failure, story
from validator.checks.model import (
    Check,
    Finding,
    Remedy,
    Severity,
    by_profile,
    check,
    failed,
    not_applicable,
    passed,
    unknown,
)
from validator.checks.specialization import (
    specialized_copies,
    specialized_generalization,
    specialized_run,
    specialized_start,
    specialized_state,
)
from validator.evidence import Evidence, Layer, Location
from validator.facts.model import Attempt, Later
from validator.facts.question import Question
from validator.facts.setup import STATE_KEY, FirstBoot, PendingSetup, SetupStatus, StateText, SysprepHistory
from validator.facts.sysprep import ACTIVATION_KEY, PROVIDER_KEYS, Provider, SysprepMode
from validator.redaction import redact, redact_bytes
from validator.windows.hive import REG_SZ, Value

if TYPE_CHECKING:
    from validator.facts.diagnosis import Diagnosis

FAMILY = "generalization"
_SINCE = "0.1"
_STATES = "https://learn.microsoft.com/windows-hardware/manufacture/desktop/windows-setup-states"
_PROVISIONING = (
    "https://learn.microsoft.com/troubleshoot/azure/virtual-machines/windows/custom-image-provisioning-errors"
)
_FATAL = (
    "https://learn.microsoft.com/troubleshoot/windows-client/setup-upgrade-and-drivers/"
    "fatal-error-occurred-sysprep-machine"
)
_SYSPREP = "https://learn.microsoft.com/windows-hardware/manufacture/desktop/sysprep--generalize--a-windows-installation"
_LOGS = "https://learn.microsoft.com/windows-hardware/manufacture/desktop/deployment-troubleshooting-and-log-files"
_SKIP_REARM = (
    "https://learn.microsoft.com/troubleshoot/windows-client/setup-upgrade-and-drivers/"
    "error-occurs-when-running-sysprep-generalize"
)
_OPTIONS = "https://learn.microsoft.com/windows-hardware/manufacture/desktop/sysprep-command-line-options"
_PROVIDERS = "https://learn.microsoft.com/archive/blogs/sunshine/sysprep-providers"
_PROVIDERS_GUIDE = "https://learn.microsoft.com/previous-versions/windows/it-pro/windows-7/ee676646(v=ws.10)"
_REGISTRY = "https://github.com/msuhanov/regf"
_PREPARE = "https://learn.microsoft.com/azure/virtual-machines/windows/prepare-for-upload-vhd-image"
_SETUP_TYPE = "https://mskb.pkisolutions.com/kb/939857"

_GENERALIZE = Remedy(
    "Start the machine, run sysprep and let it shut the machine down by itself; then capture it, and do not "
    "start it again. A script that must shut down itself uses /quit instead, and waits until ImageState is "
    "IMAGE_STATE_GENERALIZE_RESEAL_TO_OOBE.",
    (SYSPREP_COMMAND,),
)
_REBUILD = Remedy(
    "Go back to a snapshot from before sysprep, or rebuild the machine; remove what sysprep tripped over, "
    "run it again, and do not start the machine afterwards.",
    (SYSPREP_COMMAND,),
)
_HANDS_OFF = Remedy(
    "Do not set ImageState by hand. Go back to the machine as it was before sysprep or the edit, run "
    "sysprep, let it finish, and do not start the machine afterwards.",
    (SYSPREP_COMMAND,),
)


class _Meaning(NamedTuple):
    """What a state other than the right one is, and what follows."""

    what: str
    then: str
    remedy: Remedy
    guess: bool = False
    """Whether the state itself does not tell how it came about."""
    untold: str = ""
    """What stands behind `what` where nothing else tells how it came about."""


_FROM_BEFORE = "Go back to a snapshot from before sysprep, or rebuild the machine."
_STATE_MEANINGS = {
    "IMAGE_STATE_COMPLETE": _Meaning(
        "This is a specialized disk",
        "Run sysprep /generalize.",
        _GENERALIZE,
        untold=": a finished installation that is not generalized",
    ),
    "IMAGE_STATE_UNDEPLOYABLE": _Meaning(
        "Generalization was started and did not complete",
        "The image must be rebuilt: waiting or editing the value will not help.",
        _REBUILD,
        guess=True,
    ),
    "IMAGE_STATE_GENERALIZE_RESEAL_TO_AUDIT": _Meaning(
        "The image is generalized, but its machines start into audit mode instead of the first-run setup",
        "",
        Remedy(
            "Go back to a snapshot from before sysprep and run it with /oobe instead of /audit.",
            (SYSPREP_COMMAND,),
        ),
    ),
    "IMAGE_STATE_SPECIALIZE_RESEAL_TO_OOBE": _Meaning(
        "The image is specialized and waits for the first-run setup: its identity was not removed",
        "",
        _GENERALIZE,
    ),
    "IMAGE_STATE_SPECIALIZE_RESEAL_TO_AUDIT": _Meaning(
        "The image is specialized and in audit mode: its identity was not removed",
        "",
        _GENERALIZE,
    ),
}


def claims_generalization(image_state: Value | None) -> bool:
    """Whether ImageState is exactly the generalized state: REG_SZ, nothing behind it but NULs."""
    return image_state is not None and image_state.type == REG_SZ and image_state.text == GENERALIZED


@check(
    "image-state",
    family=FAMILY,
    severity=by_profile(Severity.ERROR, Severity.ERROR, Severity.ERROR),
    remedy=_GENERALIZE,
    references=(_STATES, _PROVISIONING, _FATAL),
    since=_SINCE,
)
def image_state(
    image_state: Value | None,
    setup_status: Attempt[SetupStatus],
    sysprep_history: Later[SysprepHistory | None],
    first_boot: Later[FirstBoot],
    diagnosis: Later["Diagnosis | None"],
    question: Question,
) -> Iterator[Finding]:
    r"""ImageState is that of what is to be deployed.

    Windows Setup records in `SOFTWARE\Microsoft\Windows\CurrentVersion\Setup\State`, value
    `ImageState`, how far the installation is. Only `IMAGE_STATE_GENERALIZE_RESEAL_TO_OOBE` can be
    deployed many times: any other state means that the machines made from it fail to provision, or
    are stuck at boot, and no service can tell before they start.

    | state | what it is |
    | --- | --- |
    | `IMAGE_STATE_GENERALIZE_RESEAL_TO_OOBE` | generalized; the next start is the first-run setup |
    | `IMAGE_STATE_COMPLETE` | a specialized disk, never generalized since: run `sysprep /generalize` |
    | `IMAGE_STATE_UNDEPLOYABLE` | a phase was started and did not complete: rebuild the image |
    | `IMAGE_STATE_GENERALIZE_RESEAL_TO_AUDIT` | generalized, but starts into audit mode |
    | `IMAGE_STATE_SPECIALIZE_RESEAL_TO_OOBE` | specialized, first-run setup outstanding |
    | `IMAGE_STATE_SPECIALIZE_RESEAL_TO_AUDIT` | specialized, in audit mode |

    The value is compared exactly: type REG_SZ, UTF-16LE, closing NULs ignored, nothing else. A
    missing value in a good hive is not the state either. It is an output that Windows computes:
    waiting does not change it, and editing it repairs nothing.

    Where the state is another, the finding says what came of sysprep, as far as its log
    (`\Windows\System32\Sysprep\Panther\setupact.log`, or `setuperr.log` beside it) and that of Windows
    Setup tell: why it failed, with the line, what removes the cause, and what the disk itself says to it
    (see [why sysprep fails](../sysprep-failures.md)); that it broke off, was not told to generalize, or that
    the image was started afterwards. This explains, and decides nothing.

    A specialized disk (`azure-specialized`) has to be `IMAGE_STATE_COMPLETE`. A generalized one that is
    created as specialized waits at the first-run setup until provisioning times out;
    `IMAGE_STATE_SPECIALIZE_RESEAL_TO_OOBE` is a warning there, because such machines were seen running.
    """
    if question.specialized:
        yield specialized_state(image_state)
        return
    if claims_generalization(image_state) and image_state is not None:
        yield passed("ImageState says that generalization completed.", image_state.evidence)
        return
    if image_state is None:
        where = Location(Layer.HIVE, key=STATE_KEY, value="ImageState")
        yield failed(
            "The registry has no ImageState: Windows Setup did not finish here, or the value was removed.",
            Evidence(where, "no such value", GENERALIZED),
            remedy=_REBUILD,
        )
        return
    meaning = _STATE_MEANINGS.get(image_state.text or "") if image_state.type == REG_SZ else None
    if meaning is None:
        evidence = Evidence(image_state.where, _stored(image_state), GENERALIZED, image_state.key_time)
        yield failed(
            "ImageState holds no state that Windows writes: it was edited or is damaged.",
            evidence,
            *(present(setup_status.value.generalization_state) if setup_status.value else ()),
            remedy=_REBUILD,
        )
        return
    told = story(
        sysprep_history().value,
        setup_status.value,
        first_boot().value,
        diagnosis().value,
        sealed="GENERALIZE" in (image_state.text or ""),
    )
    what = told.after(meaning.what, guessed=meaning.guess)
    if what == meaning.what:
        what += meaning.untold
    stored = Evidence(image_state.where, image_state.evidence.found, GENERALIZED, image_state.key_time)
    state = present(setup_status.value.generalization_state) if setup_status.value is not None else ()
    yield failed(
        f"{what}. {meaning.then}".strip(),
        stored,
        *told.evidence,
        *(each for each in state if each not in told.evidence),
        remedy=_with_reason(meaning.remedy, told.remedy),
        cause=told.cause,
    )


def _with_reason(remedy: Remedy, reason: Remedy | None) -> Remedy:
    """What to do about the state, with what to do about its reason."""
    if reason is None:
        return remedy
    first = "" if remedy is _GENERALIZE else f"{_FROM_BEFORE} "
    return Remedy(f"{first}{reason.text}", reason.commands)


def _stored(value: Value) -> str:
    """A value to the letter, for what only looks right."""
    text = f"“{redact(value.text)}”, " if value.text is not None else ""
    return f"{text}{value.type_name} of {len(value.data)} bytes: {redact_bytes(value.data, 96)}"


def _shown(image_state: Value | None, reading: Reading) -> Iterator[Finding]:
    """A reading as a finding; it only speaks against ImageState where that claims generalization."""
    if not claims_generalization(image_state):
        yield not_applicable(f"ImageState claims no generalization. {reading.message}", *reading.evidence)
    elif reading.stance is Stance.CONTRADICTS:
        yield failed(reading.message, *reading.evidence)
    elif reading.stance is Stance.NEUTRAL:
        yield not_applicable(reading.message, *reading.evidence)
    else:
        yield passed(reading.message, *reading.evidence)


@check(
    "state-ini-agrees",
    family=FAMILY,
    severity=by_profile(Severity.WARNING, Severity.WARNING, Severity.WARNING),
    remedy=_HANDS_OFF,
    references=(_STATES,),
    since=_SINCE,
)
def state_ini_agrees(
    image_state: Value | None,
    state_ini: StateText | None,
    servicing_state: StateText | None,
    question: Question,
) -> Iterator[Finding]:
    r"""The copies of the state agree with ImageState.

    Windows writes the state in three places, one after the other: the value `ImageState`, its copy
    in `SOFTWARE\Microsoft\Windows\CurrentVersion\Setup\ImageServicingData`, and
    `\Windows\Setup\State\State.ini`. An edit of the first leaves the other two behind. A copy that
    is absent or empty says nothing. A contradiction counts 1 in `evidence-agrees`.
    """
    if question.specialized:
        yield specialized_copies(image_state, state_ini, servicing_state)
    else:
        yield from _shown(image_state, state_copies(state_ini, servicing_state))


@check(
    "setup-pending",
    family=FAMILY,
    severity=by_profile(Severity.WARNING, Severity.ERROR, Severity.WARNING),
    remedy=Remedy(
        "Run sysprep again from a snapshot, and block restarts (Windows Update) until it has shut down.",
        (SYSPREP_COMMAND,),
    ),
    references=(_SETUP_TYPE, _STATES),
    since=_SINCE,
)
def setup_pending(
    image_state: Value | None, pending_setup: PendingSetup, question: Question
) -> Iterator[Finding]:
    r"""The next start runs Windows Setup where it should, and only there.

    A generalized image is armed: `SYSTEM\Setup` holds `SetupType` 2 (1 on a disk made from
    installation media) and `CmdLine` `oobe\windeploy.exe`. This is what Windows acts on; ImageState
    only reports. With `SetupType` 0 or no command the next start is a normal one: the machine is
    never specialized, whatever ImageState says. That counts 2 in `evidence-agrees`; another command
    or another number counts 1.

    A specialized disk must not be armed: with `windeploy.exe` its next start enters Setup and never
    comes back to what it was (an error); another command, or SetupType alone, is a warning.
    """
    if question.specialized:
        yield specialized_start(pending_setup)
    else:
        yield from _shown(image_state, setup_is_pending(pending_setup))


@check(
    "generalization-state",
    family=FAMILY,
    severity=by_profile(Severity.WARNING, Severity.WARNING, Severity.WARNING),
    remedy=_REBUILD,
    references=(_STATES, _FATAL),
    since=_SINCE,
)
def generalization_state(
    image_state: Value | None, setup_status: SetupStatus, question: Question
) -> Iterator[Finding]:
    r"""GeneralizationState is that of what is to be deployed.

    Windows computes ImageState from `SYSTEM\Setup\Status`: `SysprepStatus\GeneralizationState`,
    `AuditBoot` and `ChildCompletion\setup.exe`. A generalized image has 4 (not 7, as much advice has
    it: 7 is a finished installation, and every machine that was never generalized has it; 3 is a
    generalization that broke off), `AuditBoot` 0 and `setup.exe` 0. The values 3 and 7, audit mode
    and a setup.exe that was started count 2 in `evidence-agrees`; a setup.exe marked as finished
    (some modified media have it) and other numbers count 1; absent values say nothing.

    A specialized disk has 7. With 3 a generalization broke off: the machine runs, and can never be
    generalized again.
    """
    if question.specialized:
        yield specialized_generalization(setup_status)
    else:
        yield from _shown(image_state, generalization(setup_status))


@check(
    "sysprep-tag",
    family=FAMILY,
    severity=by_profile(Severity.WARNING, None, Severity.WARNING),
    remedy=_REBUILD,
    references=(_SYSPREP,),
    since=_SINCE,
)
def sysprep_tag(
    image_state: Value | None, sysprep_tag: bool, sysprep_history: SysprepHistory | None
) -> Iterator[Finding]:
    r"""Sysprep_succeeded.tag is there where a generalize run should have left it.

    Sysprep deletes `\Windows\System32\Sysprep\Sysprep_succeeded.tag` when a run begins and writes it
    at the very end. It survives later starts, so its presence proves only that the last run reached
    its end. Absent, it counts 1 in `evidence-agrees` if the log records a generalize run; without
    one (installation media, a builder that cleans up) it says nothing.
    """
    yield from _shown(image_state, tag(sysprep_tag, sysprep_history))


@check(
    "sysprep-log",
    family=FAMILY,
    severity=by_profile(Severity.WARNING, Severity.NOTICE, Severity.WARNING),
    remedy=_REBUILD,
    references=(_LOGS, _FATAL),
    since=_SINCE,
)
def sysprep_log(
    image_state: Value | None,
    sysprep_history: SysprepHistory | None,
    diagnosis: Later["Diagnosis | None"],
    question: Question,
) -> Iterator[Finding]:
    r"""The last run in sysprep's log generalized and succeeded.

    `\Windows\System32\Sysprep\Panther\setupact.log` records each run: its options, and at the end
    that the tag file was created, or a fatal code (0x0f0070, 0x0f0073, 0x0f00a8, 0x0f00ae,
    0x0f00d8). A run that failed, broke off, or was not told to generalize counts 1 in
    `evidence-agrees`. No log, or a run from sysprep's dialog, says nothing: errors that healthy runs
    contain as well are no failure.

    Of a specialized disk a run that failed or broke off is only worth knowing.
    """
    if question.specialized:
        yield specialized_run(sysprep_history)
    else:
        reading = sysprep_run(sysprep_history)
        failure = diagnosis().value if reading.stance is Stance.CONTRADICTS else None
        if failure is None or not failure.certain or not claims_generalization(image_state):
            yield from _shown(image_state, reading)
        else:
            yield _of_failure(failure)


def _of_failure(diagnosis: "Diagnosis") -> Finding:
    """The last run failed although ImageState claims generalization."""
    told = of_failure(diagnosis)
    return failed(
        f"sysprep's last run failed: {told.why}.",
        *told.evidence,
        remedy=_with_reason(_REBUILD, told.remedy),
        cause=told.cause,
    )


@check(
    "booted-after-sysprep",
    family=FAMILY,
    severity=by_profile(Severity.WARNING, None, Severity.WARNING),
    remedy=Remedy(
        "Generalize again, power off, and never start the master afterwards: start a copy.",
        (SYSPREP_COMMAND,),
    ),
    references=(_LOGS,),
    since=_SINCE,
)
def booted_after_sysprep(image_state: Value | None, first_boot: FirstBoot) -> Iterator[Finding]:
    r"""The image was not started after sysprep.

    When a generalized image is started, setup.exe writes to `\Windows\Panther\setupact.log` that the
    state goes from `IMAGE_STATE_GENERALIZE_RESEAL_TO_OOBE` to `IMAGE_STATE_UNDEPLOYABLE`. Such a line
    later than sysprep's last success counts 1 in `evidence-agrees`. An earlier one is from the
    original installation, whose media are generalized too.
    """
    yield from _shown(image_state, not_started_since(first_boot))


@check(
    "evidence-agrees",
    family=FAMILY,
    severity=by_profile(Severity.ERROR, None, Severity.ERROR),
    remedy=_HANDS_OFF,
    references=(_STATES, _FATAL),
    since=_SINCE,
)
def evidence_agrees(
    image_state: Value | None,
    pending_setup: PendingSetup,
    setup_status: Attempt[SetupStatus],
    state_ini: Attempt[StateText | None],
    servicing_state: Attempt[StateText | None],
    sysprep_tag: Attempt[bool],
    sysprep_history: Attempt[SysprepHistory | None],
    first_boot: Attempt[FirstBoot],
    diagnosis: Later["Diagnosis | None"],
) -> Iterator[Finding]:
    r"""Everything else on the disk agrees with ImageState.

    ImageState alone can be set by hand, and it is not what Windows acts on. This check sums up what
    `state-ini-agrees`, `setup-pending`, `generalization-state`, `sysprep-tag`, `sysprep-log` and
    `booted-after-sysprep` saw. Each contradiction weighs 1 or 2; at 2 and above the value was edited,
    sysprep was interrupted, or the image was started afterwards, and the image is undeployable. A sum
    of 1 is a warning. What is absent counts nothing; what could not be read counts as the most that it
    could weigh, and the answer stays open where that would tip it.

    Windows computes ImageState from GeneralizationState (GS), AuditBoot and the completion state of
    its setup programs; this table says which combinations it can have written:

    | GS | and | ImageState (with AuditBoot: _AUDIT) |
    | --- | --- | --- |
    | 4 | setup.exe 0 | GENERALIZE_RESEAL_TO_OOBE |
    | 4 | setup.exe not 0 | UNDEPLOYABLE |
    | 7 | oobeldr.exe 0 | SPECIALIZE_RESEAL_TO_OOBE |
    | 7 | oobeldr.exe 3 | COMPLETE |
    | 7 | oobeldr.exe 1, 2 | UNDEPLOYABLE |
    | other | | UNDEPLOYABLE |

    With AuditBoot, audit.exe counts instead of oobeldr.exe, and 3 gives SPECIALIZE_RESEAL_TO_AUDIT.
    """
    if not claims_generalization(image_state):
        yield not_applicable("ImageState claims no generalization that could be contradicted.")
        return
    read = corroborators(
        pending_setup, setup_status, state_ini, servicing_state, sysprep_tag, sysprep_history, first_boot
    )
    against = [each for each in read if each.reading and each.reading.stance is Stance.CONTRADICTS]
    score = sum(each.reading.weight for each in against if each.reading)
    doubt = sum(each.most for each in read if each.reading is None)
    evidence = [item for each in against if each.reading for item in each.reading.evidence]
    if score >= 2:
        failure = diagnosis().value
        if failure is None or failure.run is None or not failure.certain:
            failure = None
        why = f" sysprep's last run failed: {of_failure(failure).why}." if failure else ""
        yield failed(
            "ImageState contradicts the setup state: the value was edited, sysprep was interrupted, or the "
            f"image was started after sysprep ({_things(len(against))} against it).{why}",
            *evidence,
            *(line for line in (of_failure(failure).evidence[:2] if failure else ()) if line not in evidence),
            cause=named(failure) if failure else None,
        )
    elif score + doubt >= 2:
        names = ", ".join(each.check for each in read if each.reading is None)
        unread = dict.fromkeys(item for each in read for item in each.unread)
        yield unknown(
            f"What {names} rests on could not be read, and may contradict ImageState.", *evidence, *unread
        )
    elif score:
        names = ", ".join(each.check for each in against)
        yield failed(
            f"One thing speaks against ImageState (see {names}).", *evidence, severity=Severity.WARNING
        )
    else:
        agreeing = sum(1 for each in read if each.reading and each.reading.stance is Stance.AGREES)
        yield passed(
            f"{agreeing} of {len(read)} kinds of evidence agree with ImageState, none contradicts it."
        )


def _things(count: int) -> str:
    return "one thing speaks" if count == 1 else f"{count} things speak"


@check(
    "audit-mode",
    family=FAMILY,
    severity=by_profile(Severity.ERROR, Severity.ERROR, Severity.ERROR),
    remedy=Remedy("Run sysprep with /oobe instead of /audit, from a snapshot.", (SYSPREP_COMMAND,)),
    references=(_STATES,),
    since=_SINCE,
)
def audit_mode(image_state: Value | None, setup_status: SetupStatus) -> Iterator[Finding]:
    r"""The image does not start into audit mode.

    `SYSTEM\Setup\Status\AuditBoot` 1 sends the next start to the audit desktop, where nothing
    provisions the machine. Together with an ImageState that ends in `_AUDIT` this is an error. With
    another ImageState it is a warning here, because a value that Windows did not write together with
    the state is judged by `evidence-agrees`.
    """
    audit = setup_status.audit_boot
    if audit is None or audit.number == 0:
        yield passed("AuditBoot is not set.", *present(audit))
        return
    sealed = image_state is not None and (image_state.text or "").endswith("_AUDIT")
    yield failed(
        "AuditBoot is set: machines made from this image start into audit mode.",
        *present(audit),
        severity=Severity.ERROR if sealed else Severity.WARNING,
    )


@check(
    "skip-rearm",
    family=FAMILY,
    severity=by_profile(Severity.NOTICE, Severity.NOTICE, Severity.WARNING),
    remedy=Remedy(
        "Set SkipRearm to 0 on the machine before sysprep, and take it out of the answer file if one sets "
        "it; then generalize again.",
        (rf'reg add "HKLM\SOFTWARE\{ACTIVATION_KEY}" /v SkipRearm /t REG_DWORD /d 0 /f', SYSPREP_COMMAND),
    ),
    references=(_SKIP_REARM,),
    since=_SINCE,
)
def skip_rearm(skip_rearm: Value | None) -> Iterator[Finding]:
    r"""Sysprep resets the activation.

    The value `SkipRearm` in `SOFTWARE\Microsoft\Windows NT\CurrentVersion\SoftwareProtectionPlatform`
    other than 0 keeps sysprep from giving each machine an activation of its own. It is meant for
    intermediate builds, and left behind by advice on “repairing” sysprep. Machines made from such an
    image share one identity at the KMS host, whose count does not grow.

    Only the registry is read. In the answer file that Azure itself leaves in an image it is normal.
    """
    if skip_rearm is None or skip_rearm.number == 0:
        yield passed("Sysprep is not told to leave the activation alone.", *present(skip_rearm))
    else:
        yield failed(
            "Sysprep was told to leave the activation alone (SkipRearm): all machines made from this image "
            "share it.",
            *present(skip_rearm),
        )


@check(
    "sysprep-options",
    family=FAMILY,
    severity=by_profile(Severity.WARNING, None, Severity.NOTICE),
    remedy=Remedy(
        "Run sysprep from a snapshot with the options that the destination takes.", (SYSPREP_COMMAND,)
    ),
    references=(_OPTIONS, _PROVISIONING),
    since=_SINCE,
)
def sysprep_options(
    image_state: Value | None,
    sysprep_mode: SysprepMode,
    sysprep_history: SysprepHistory | None,
    question: Question,
) -> Iterator[Finding]:
    r"""Sysprep was told what fits the destination.

    - `/mode:vm` (`SysprepMode` `vm` in `SOFTWARE\Microsoft\Windows\CurrentVersion\Setup\Sysprep`) keeps the
      drivers as they are: the image is promised for the same hypervisor only. Azure's own images are made
      so, which is worth knowing; of an image for Azure that last ran on something other than Hyper-V
      (`SYSTEM\…\Control\SystemInformation`, `SystemManufacturer`) it is a warning.
    - `/unattend` gives the image an answer file of its own. Azure does not support one; whether it is still
      there is what `answer-file-leftover` looks at.

    That sysprep was not told to generalize, or told to start into audit mode, shows in the state itself
    (`image-state`, `sysprep-log`, `audit-mode`).
    """
    if not claims_generalization(image_state):
        yield not_applicable("ImageState claims no generalization.")
        return
    run = sysprep_history.run if sysprep_history is not None else None
    if not sysprep_mode.for_one_hypervisor and run is None:
        yield not_applicable("There is no run of sysprep in a log.")
        return
    answer_file = run is not None and question.azure and "UNATTEND" in run.options
    foreign = sysprep_mode.for_one_hypervisor and sysprep_mode.elsewhere and question.azure
    words = []
    if sysprep_mode.for_one_hypervisor:
        where = "and that was not Hyper-V" if foreign else "and for no other"
        words.append(f"The image was prepared for the hypervisor that it ran on, {where} (/mode:vm).")
    if answer_file and run is not None:
        words.append(f"Azure does not support the answer file that sysprep was given ({run.command}).")
    if not words:
        yield passed("Sysprep was told nothing that does not fit.")
        return
    yield failed(
        " ".join(words),
        *(present(sysprep_mode.mode, sysprep_mode.manufacturer) if sysprep_mode.for_one_hypervisor else ()),
        *(map(sysprep_history.evidence, run.last_words) if answer_file and sysprep_history and run else ()),
        severity=None if foreign else Severity.NOTICE,
    )


@check(
    "sysprep-providers",
    family=FAMILY,
    severity=by_profile(Severity.NOTICE, Severity.NOTICE, Severity.NOTICE),
    remedy=Remedy(
        "Install the program again, or remove the value that names the missing file, before sysprep runs "
        "the next time.",
        (
            rf'reg query "HKLM\SOFTWARE\{PROVIDER_KEYS[1]}"',
            rf'reg query "HKLM\SOFTWARE\{PROVIDER_KEYS[4]}"',
            rf'reg delete "HKLM\SOFTWARE\{PROVIDER_KEYS[4]}" /v NAME /f',
        ),
    ),
    references=(_PROVIDERS, _PROVIDERS_GUIDE),
    since=_SINCE,
)
def sysprep_providers(sysprep_providers: tuple[Provider, ...]) -> Iterator[Finding]:
    r"""What sysprep calls is on the disk.

    Sysprep calls functions in the libraries that `SOFTWARE\Microsoft\Windows\CurrentVersion\Setup\Sysprep`
    (Windows' own) and `…\Setup\SysPrepExternal` (other programs') name below `Cleanup`, `Generalize` and
    `Specialize`. A program that was removed without its entry makes the next run of sysprep fail. Each
    value is a file and a function; a file without a folder is looked for in System32. A file on another
    volume, or behind a variable that only a running Windows knows, is not judged.

    In an image that is generalized the run is over, so it is only worth knowing.
    """
    missing = [each.value for each in sysprep_providers if each.present is False]
    if missing:
        yield failed(
            f"{len(missing)} of the {len(sysprep_providers)} libraries that sysprep calls are not there."
            if len(missing) > 1
            else "A library that sysprep calls is not there: its next run would fail.",
            *(Evidence(value.where, redact(str(value)), "a file that is there") for value in missing),
        )
    elif any(each.present for each in sysprep_providers):
        count = sum(bool(each.present) for each in sysprep_providers)
        yield passed(f"The files that sysprep calls are there ({count}).")
    else:
        yield not_applicable("The registry names no file that sysprep calls on this volume.")


@check(
    "hive-readable",
    family=FAMILY,
    severity=by_profile(Severity.WARNING, Severity.WARNING, Severity.WARNING),
    remedy=Remedy(
        "Let sysprep shut the machine down, or shut it down fully, and capture the disk when it is off.",
        (SYSPREP_COMMAND, "shutdown /s /t 0"),
    ),
    references=(_REGISTRY, _PREPARE),
    since=_SINCE,
)
def hive_readable(hive_recoveries: tuple[Evidence, ...]) -> Iterator[Finding]:
    r"""Windows closed its registry before the disk was taken.

    The hives `SOFTWARE` and `SYSTEM` have two sequence numbers and a checksum. They disagree when the
    machine was switched off, or its disk was copied while it ran: the last writes are then in the logs
    beside the hive (`.LOG1`, `.LOG2`). As Windows would at its next start, this program applies them, in
    memory, and judges what comes of it. The image is as good as its logs; but it was not shut down.

    A hive that no log makes whole is not read at all, and leaves every check that needs it open.
    """
    if hive_recoveries:
        yield failed(
            "Windows was not shut down cleanly: changes of its registry were only in the logs.",
            *hive_recoveries,
        )
    else:
        yield passed("The registry hives were closed cleanly.")


CHECKS: tuple[Check, ...] = (
    image_state,
    evidence_agrees,
    audit_mode,
    state_ini_agrees,
    setup_pending,
    generalization_state,
    sysprep_tag,
    sysprep_log,
    booted_after_sysprep,
    sysprep_options,
    skip_rearm,
    sysprep_providers,
    hive_readable,
)
