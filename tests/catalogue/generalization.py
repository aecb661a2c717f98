"""The state: what a generalized image says of itself, and what a specialized disk does."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from functools import partial

from tests.catalogue.model import Case, cannot_tell, fails, not_applicable, passes
from tests.images import (
    ABSENT,
    CHILDREN_KEY,
    COMPLETE,
    GENERALIZED_AUDIT,
    GENERALIZED_OOBE,
    SERVICING_KEY,
    SETUP_KEY,
    SETUP_LOG,
    SPECIALIZED_AUDIT,
    SPECIALIZED_OOBE,
    STATE_INI,
    STATE_KEY,
    STATUS_KEY,
    SYSPREP_LOG,
    SYSPREP_STATUS_KEY,
    TAG,
    UNDEPLOYABLE,
    Raw,
    Run,
    Windows,
    edited,
    generalized,
    installed,
    setup_log,
    state_ini,
    undeployable,
    wim_applied,
    with_state,
    with_sysprep_run,
)
from tests.images.hive import Absent, Data
from tests.images.times import SHUT_DOWN

Change = Callable[[Windows], Windows]
FOREIGN = "cmd.exe /c start /wait tool.cmd"
LATER = setup_log(start=SHUT_DOWN + timedelta(days=1))
"""Setup's log of a start after sysprep."""


# --- changes -------------------------------------------------------------------------------------


def state(name: str) -> Change:
    """Another state, in all the places where Windows writes it."""
    return lambda windows: with_state(windows, name)


def image_state(stored: Data) -> Change:
    """Only ImageState."""
    return lambda windows: windows.software(STATE_KEY, ImageState=stored)


def setup(**values: Data) -> Change:
    """Values of SYSTEM\\Setup."""
    return lambda windows: windows.system(SETUP_KEY, values)


def generalization(value: Data) -> Change:
    """GeneralizationState."""
    return lambda windows: windows.system(SYSPREP_STATUS_KEY, GeneralizationState=value)


def audit(value: Data) -> Change:
    """AuditBoot."""
    return lambda windows: windows.system(STATUS_KEY, AuditBoot=value)


def setup_child(number: int) -> Change:
    """The completion state of setup.exe."""
    return lambda windows: windows.system(CHILDREN_KEY, {"setup.exe": number})


def file(path: str, content: bytes | Absent) -> Change:
    """A file, or none."""
    return lambda windows: windows.file(path, content)


def run(**described: str) -> Change:
    """Another run in sysprep's log."""
    return lambda windows: with_sysprep_run(windows, Run(**described))  # type: ignore[arg-type]


def not_generalizing(windows: Windows) -> Windows:
    """A run that was not told to generalize."""
    return with_sysprep_run(windows, Run(options=("OOBE", "SHUTDOWN")))


def both(*changes: Change) -> Change:
    """One change after the other."""

    def change(windows: Windows) -> Windows:
        for each in changes:
            windows = each(windows)
        return windows

    return change


def no_hive(name: str) -> Change:
    """A hive that cannot be read."""
    return file(rf"Windows\System32\config\{name}", b"")


def no_software(check: str) -> Case:
    """Nothing can be said of a claim that cannot be read."""
    return cannot_tell(check, "no SOFTWARE hive", change=no_hive("SOFTWARE"), verdict="indeterminate")


def no_system(check: str, **more: object) -> Case:
    """Nothing can be said of what Windows acts on."""
    return cannot_tell(check, change=no_hive("SYSTEM"), verdict="indeterminate", **more)


_SPECIALIZED = {"windows": installed, "profile": "azure-specialized"}
as_passes = partial(passes, **_SPECIALIZED)  # type: ignore[arg-type]
as_fails = partial(fails, **_SPECIALIZED)  # type: ignore[arg-type]
as_cannot_tell = partial(cannot_tell, **_SPECIALIZED)  # type: ignore[arg-type]
as_not_applicable = partial(not_applicable, **_SPECIALIZED)  # type: ignore[arg-type]


# --- generalized ---------------------------------------------------------------------------------

GENERALIZED: tuple[Case, ...] = (
    passes("image-state", shows=GENERALIZED_OOBE),
    passes("image-state", "from media", windows=wim_applied),
    fails("image-state", "installed", "error", windows=installed, says="specialized disk", shows=COMPLETE),
    fails("image-state", "broken off", "error", windows=undeployable, says="must be rebuilt", shows="0x0f00"),
    fails("image-state", "to audit mode", "error", change=state(GENERALIZED_AUDIT), says="audit mode"),
    fails("image-state", "waits for first run", "error", change=state(SPECIALIZED_OOBE)),
    fails("image-state", "in audit mode", "error", change=state(SPECIALIZED_AUDIT)),
    fails("image-state", "no value", "error", change=image_state(ABSENT), says="no ImageState"),
    fails("image-state", "a blank behind", "error", change=image_state(GENERALIZED_OOBE + " ")),
    fails(
        "image-state", "expandable", "error", change=image_state(Raw(2, GENERALIZED_OOBE.encode("utf-16-le")))
    ),
    no_software("image-state"),
    passes("evidence-agrees", says="6 of 6 kinds of evidence agree"),
    passes("evidence-agrees", "from media", windows=wim_applied, says="3 of 6"),
    fails("evidence-agrees", "edited", "error", windows=edited, verdict="undeployable"),
    fails("evidence-agrees", "Setup not pending", "error", change=setup(SetupType=0), shows="SetupType 0"),
    fails("evidence-agrees", "finished", "error", change=generalization(7)),
    fails(
        "evidence-agrees", "two small things", "error", change=both(setup(CmdLine=FOREIGN), setup_child(3))
    ),
    fails(
        "evidence-agrees",
        "one small thing",
        "warning",
        change=file(STATE_INI, state_ini(COMPLETE)),
        says="see state-ini-agrees",
    ),
    not_applicable("evidence-agrees", "another state", windows=installed),
    no_software("evidence-agrees"),
    no_system("evidence-agrees"),
    passes("audit-mode", shows="0 (REG_DWORD)"),
    passes("audit-mode", "absent", change=audit(ABSENT), says="AuditBoot is not set"),
    fails(
        "audit-mode", "set", "error", change=both(audit(1), state(GENERALIZED_AUDIT)), verdict="undeployable"
    ),
    fails("audit-mode", "set, with another state", "warning", change=audit(1)),
    no_system("audit-mode"),
    passes("state-ini-agrees"),
    fails("state-ini-agrees", "State.ini", "warning", change=file(STATE_INI, state_ini(COMPLETE))),
    fails(
        "state-ini-agrees",
        "ImageServicingData",
        "warning",
        change=lambda w: w.software(SERVICING_KEY, ImageState=UNDEPLOYABLE),
        shows=UNDEPLOYABLE,
    ),
    not_applicable(
        "state-ini-agrees",
        "no copies",
        change=both(file(STATE_INI, ABSENT), lambda w: w.software(SERVICING_KEY, ImageState=ABSENT)),
    ),
    not_applicable("state-ini-agrees", "another state", windows=installed),
    no_software("state-ini-agrees"),
    passes("setup-pending", shows="windeploy.exe"),
    passes("setup-pending", "from media", windows=wim_applied),
    fails("setup-pending", "not pending", "warning", change=setup(SetupType=0, CmdLine="")),
    fails("setup-pending", "another command", "warning", change=setup(CmdLine=FOREIGN), shows="tool.cmd"),
    fails("setup-pending", "another number", "warning", change=setup(SetupType=4)),
    not_applicable("setup-pending", "another state", windows=installed),
    no_system("setup-pending"),
    passes("generalization-state", shows="4 (REG_DWORD)"),
    passes("generalization-state", "from media", windows=wim_applied),
    fails("generalization-state", "finished", "warning", change=generalization(7), says="is 7"),
    fails("generalization-state", "broke off", "warning", change=generalization(3), says="is 3"),
    fails("generalization-state", "booted", "warning", change=setup_child(1), says="the image was booted"),
    fails("generalization-state", "completion forced", "warning", change=setup_child(3)),
    not_applicable("generalization-state", "absent", change=generalization(ABSENT)),
    no_system("generalization-state"),
    passes("sysprep-tag"),
    fails("sysprep-tag", "lost", "warning", change=file(TAG, ABSENT)),
    not_applicable("sysprep-tag", "from media", windows=wim_applied),
    not_applicable("sysprep-tag", "another state", windows=installed),
    no_software("sysprep-tag"),
    passes("sysprep-log", shows="Successfully created tag file"),
    fails("sysprep-log", "failed", "warning", change=run(ending="appx"), says="failed", shows="0x0f00"),
    fails("sysprep-log", "broken off", "warning", change=run(ending="interrupted"), says="broke off"),
    fails("sysprep-log", "not told to", "warning", change=not_generalizing, says="not told to generalize"),
    not_applicable("sysprep-log", "no log", change=file(SYSPREP_LOG, ABSENT)),
    not_applicable("sysprep-log", "from media", windows=wim_applied),
    no_software("sysprep-log"),
    passes("booted-after-sysprep"),
    fails("booted-after-sysprep", "started", "warning", change=file(SETUP_LOG, LATER), shows=UNDEPLOYABLE),
    not_applicable("booted-after-sysprep", "no log of Setup", change=file(SETUP_LOG, ABSENT)),
    not_applicable("booted-after-sysprep", "from media", windows=wim_applied),
    no_software("booted-after-sysprep"),
)

# --- specialized ---------------------------------------------------------------------------------

SPECIALIZED: tuple[Case, ...] = (
    as_passes("image-state", "specialized", shows=COMPLETE),
    as_fails(
        "image-state",
        "specialized: it is generalized",
        "error",
        windows=generalized,
        says="This disk is generalized",
        verdict="undeployable",
    ),
    as_fails("image-state", "specialized: to audit mode", "error", change=state(GENERALIZED_AUDIT)),
    as_fails("image-state", "specialized: first run", "warning", change=state(SPECIALIZED_OOBE)),
    as_fails("image-state", "specialized: in audit mode", "error", change=state(SPECIALIZED_AUDIT)),
    as_fails("image-state", "specialized: broken off", "error", windows=undeployable),
    as_fails("image-state", "specialized: no value", "error", change=image_state(ABSENT)),
    as_fails("image-state", "specialized: a blank behind", "error", change=image_state(COMPLETE + " ")),
    as_cannot_tell("image-state", "specialized: no hive", change=no_hive("SOFTWARE")),
    as_passes("state-ini-agrees", "specialized"),
    as_fails(
        "state-ini-agrees",
        "specialized: State.ini",
        "warning",
        change=file(STATE_INI, state_ini(GENERALIZED_OOBE)),
    ),
    as_not_applicable(
        "state-ini-agrees",
        "specialized: no copies",
        change=both(file(STATE_INI, ABSENT), lambda w: w.software(SERVICING_KEY, ImageState=ABSENT)),
    ),
    as_passes("setup-pending", "specialized", says="a normal one"),
    as_passes("setup-pending", "specialized: no values", change=setup(SetupType=ABSENT, CmdLine=ABSENT)),
    as_fails(
        "setup-pending",
        "specialized: armed",
        "error",
        change=setup(SetupType=2, CmdLine=r"oobe\windeploy.exe"),
        shows="windeploy",
        verdict="undeployable",
    ),
    as_fails(
        "setup-pending",
        "specialized: another command",
        "warning",
        change=setup(SetupType=2, CmdLine=FOREIGN),
        says="a command of somebody else",
    ),
    as_fails("setup-pending", "specialized: no command", "warning", change=setup(SetupType=2, CmdLine="")),
    as_cannot_tell(
        "setup-pending", "specialized: no hive", change=no_hive("SYSTEM"), verdict="indeterminate"
    ),
    as_passes("generalization-state", "specialized", shows="7 (REG_DWORD)"),
    as_fails(
        "generalization-state",
        "specialized: broke off",
        "warning",
        change=generalization(3),
        says="never be generalized again",
    ),
    as_fails("generalization-state", "specialized: another number", "warning", change=generalization(4)),
    as_not_applicable("generalization-state", "specialized: absent", change=generalization(ABSENT)),
    as_not_applicable("sysprep-log", "specialized: never ran"),
    as_passes("sysprep-log", "specialized: made from an image", change=lambda w: with_sysprep_run(w, Run())),
    as_fails("sysprep-log", "specialized: failed", "notice", change=run(ending="validation")),
    as_passes("audit-mode", "specialized"),
    as_fails("audit-mode", "specialized: set", "error", change=both(audit(1), state(GENERALIZED_AUDIT))),
    as_fails("audit-mode", "specialized: set, with another state", "warning", change=audit(1)),
)
CASES: tuple[Case, ...] = GENERALIZED + SPECIALIZED
