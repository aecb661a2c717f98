"""Facts about one installation: the state that Windows Setup and sysprep left it in.

Source: Microsoft, Windows Setup States (ImageState), KB 939857 (SetupType, CmdLine); for how Windows
computes ImageState from the values in SYSTEM see docs/checks/evidence-agrees.md.
"""

import re
from datetime import datetime
from typing import NamedTuple

from validator.disk.ntfs import NtfsVolume
from validator.evidence import Evidence, Layer, Location, Unreadable, damaged
from validator.facts.image import CONFIG_FOLDER
from validator.facts.model import Attempt, Unknown
from validator.redaction import redact
from validator.source import File
from validator.windows.hive import Hive, Value
from validator.windows.sysprep_log import SysprepLog, SysprepRun, find_since, read_log
from validator.windows.text import Line, LineReader, decode, ini_value

STATE_KEY = r"Microsoft\Windows\CurrentVersion\Setup\State"
SERVICING_KEY = r"Microsoft\Windows\CurrentVersion\Setup\ImageServicingData"
VERSION_KEY = r"Microsoft\Windows NT\CurrentVersion"
SETUP_KEY = "Setup"
STATUS_KEY = r"Setup\Status"
SYSPREP_KEY = r"Setup\Status\SysprepStatus"
CHILDREN_KEY = r"Setup\Status\ChildCompletion"
STATE_INI = r"Windows\Setup\State\State.ini"
TAG = r"Windows\System32\Sysprep\Sysprep_succeeded.tag"
SYSPREP_LOG = r"Windows\System32\Sysprep\Panther\setupact.log"
PANTHER_LOGS = (r"Windows\Panther\setupact.log", r"Windows\Panther\UnattendGC\setupact.log")
STARTED = "[IMAGE_STATE_GENERALIZE_RESEAL_TO_OOBE] --> [IMAGE_STATE_UNDEPLOYABLE]"
"""What setup.exe logs when a generalized image is started. Source: Panther logs of Windows 7 to 10."""
_MAX_STATE_INI = 64 * 2**10
_MOST_ROTATED = 32


class StateText(NamedTuple):
    """A copy of the state that is kept outside the registry value."""

    text: str
    where: Location


class PendingSetup(NamedTuple):
    """What Windows does at its next start (SYSTEM\\Setup); None where a value is absent."""

    setup_type: Value | None
    command_line: Value | None
    system_setup_in_progress: Value | None
    oobe_in_progress: Value | None
    where: Location


class SetupStatus(NamedTuple):
    """What Windows computes ImageState from (SYSTEM\\Setup\\Status); None where a value is absent."""

    generalization_state: Value | None
    audit_boot: Value | None
    setup_child: Value | None
    oobe_child: Value | None
    audit_child: Value | None


class SysprepHistory(NamedTuple):
    """What sysprep's log says, and where the log lies."""

    log: SysprepLog
    paths: tuple[str, ...]
    """The log, and what was rotated away from it."""
    partition: int

    @property
    def run(self) -> SysprepRun:
        """The last run."""
        return self.log.last_run

    def evidence(self, line: Line) -> Evidence:
        """One line of the log."""
        return quote(line, self.paths[line.log], self.partition)


class FirstBoot(NamedTuple):
    """Whether the image was started after sysprep: the line that says so, if there is one."""

    line: Evidence | None
    searched: bool
    """Whether there was a log to search, and it could be searched far enough."""


class Product(NamedTuple):
    """Which Windows it is. Texts as Windows has them; None where a value is absent."""

    name: str | None
    edition: str | None
    version: str | None
    """Such as 24H2."""
    build: str | None
    """With the update revision, such as 20348.2113."""
    installation_type: str | None


class SetupState(NamedTuple):
    """The state of one installation as a report shows it: texts, numbers, None, or Unknown."""

    image_state: str | None | Unknown
    image_state_time: datetime | None
    servicing_image_state: str | None | Unknown
    state_ini: str | None | Unknown
    setup_type: int | str | None | Unknown
    command_line: str | None | Unknown
    system_setup_in_progress: int | str | None | Unknown
    oobe_in_progress: int | str | None | Unknown
    generalization_state: int | str | None | Unknown
    audit_boot: int | str | None | Unknown
    child_completion: dict[str, int | str | None] | Unknown
    sysprep_tag: bool | Unknown
    last_sysprep_run: dict[str, object] | None | Unknown


def quote(line: Line, path: str, partition: int) -> Evidence:
    """A log's line as evidence, its secrets hidden."""
    where = Location(Layer.FILE_SYSTEM, None, partition, path, line=line.number)
    return Evidence(where, redact(line.text.strip())[:400], time=line.time)


def open_hive(file_system: NtfsVolume, name: str) -> Hive:
    """A hive of the machine; the primary file only, never RegBack.

    Raises:
        Unreadable: also where there is no such file.
    """
    path = rf"{CONFIG_FOLDER}\{name}"
    file = file_system.open(path)
    if file is None:
        where = Location(Layer.HIVE, None, file_system.partition, "\\" + path)
        raise damaged(where, expected=f"the {name} hive", found="no such file")
    logs = (file_system.open(f"{path}.{suffix}") for suffix in ("LOG", "LOG1", "LOG2"))
    return Hive(file, [log for log in logs if log is not None])


def software_hive(file_system: NtfsVolume) -> Hive:
    """The SOFTWARE hive; the primary file only, never RegBack."""
    return open_hive(file_system, "SOFTWARE")


def system_hive(file_system: NtfsVolume) -> Hive:
    """The SYSTEM hive; the primary file only, never RegBack."""
    return open_hive(file_system, "SYSTEM")


def image_state(software_hive: Hive) -> Value | None:
    """The value ImageState as it is stored, or None where it is verified not to be there."""
    return software_hive.value(STATE_KEY, "ImageState")


def servicing_state(software_hive: Hive) -> StateText | None:
    """The copy of ImageState in ImageServicingData, or None."""
    value = software_hive.value(SERVICING_KEY, "ImageState")
    return None if value is None else StateText(str(value), value.where)


def state_ini(file_system: NtfsVolume) -> StateText | None:
    """The copy of ImageState in State.ini, or None where file or entry is absent."""
    file = file_system.open(STATE_INI)
    if file is None:
        return None
    text = ini_value(decode(file.read_at(0, min(file.size, _MAX_STATE_INI))), "State", "ImageState")
    where = Location(Layer.FILE_SYSTEM, None, file.partition, file.path, "[State] ImageState")
    return None if text is None else StateText(text, where)


def pending_setup(system_hive: Hive, file_system: NtfsVolume) -> PendingSetup:
    """What Windows does at its next start."""
    return PendingSetup(
        system_hive.value(SETUP_KEY, "SetupType"),
        system_hive.value(SETUP_KEY, "CmdLine"),
        system_hive.value(SETUP_KEY, "SystemSetupInProgress"),
        system_hive.value(SETUP_KEY, "OOBEInProgress"),
        Location(Layer.HIVE, None, file_system.partition, system_hive.path, SETUP_KEY),
    )


def setup_status(system_hive: Hive) -> SetupStatus:
    """What Windows computes ImageState from."""
    return SetupStatus(
        system_hive.value(SYSPREP_KEY, "GeneralizationState"),
        system_hive.value(STATUS_KEY, "AuditBoot"),
        system_hive.value(CHILDREN_KEY, "setup.exe"),
        system_hive.value(CHILDREN_KEY, "oobeldr.exe"),
        system_hive.value(CHILDREN_KEY, "audit.exe"),
    )


def sysprep_tag(file_system: NtfsVolume) -> bool:
    """Whether Sysprep_succeeded.tag is there."""
    return file_system.open(TAG) is not None


def sysprep_history(file_system: NtfsVolume) -> SysprepHistory | None:
    """What sysprep's log says, or None where there is no log or no run in it."""
    return read_history(file_system)


def read_history(file_system: NtfsVolume, *, everything: bool = False) -> SysprepHistory | None:
    """What sysprep's log says of its last run, or of all runs."""
    file = file_system.open(SYSPREP_LOG)
    if file is None:
        return None
    files: list[File] = [file]
    log = read_log(file, everything=everything)
    if log is not None and (everything or not log.last_run.begun):
        # Its last run may have begun in a part that was rotated away. Such a part alone says nothing: who
        # emptied the log may have run sysprep since.
        files += _rotated(file_system)
        log = read_log(*files, everything=everything)
    return SysprepHistory(log, tuple(each.path for each in files), file.partition) if log else None


def _rotated(file_system: NtfsVolume) -> list[File]:
    """`setupact.log.N`, the one with the newest last line first: what N says is not documented.

    What cannot be read of them is left out, as what lies beyond a search is.
    """
    folder, _, name = SYSPREP_LOG.rpartition("\\")
    try:
        names = file_system.names(folder) or ()
    except Unreadable:
        return []
    numbered = [each for each in names if re.fullmatch(rf"{name}\.[0-9]+", each.lower())]
    found = [_dated(file_system, rf"{folder}\{each}") for each in numbered[:_MOST_ROTATED]]
    return [file for _, file in sorted(filter(None, found), key=lambda each: each[0], reverse=True)]


def _dated(file_system: NtfsVolume, path: str) -> tuple[datetime, File] | None:
    """A log and the time of its last dated line; None where it cannot be read."""
    try:
        file = file_system.open(path)
        if file is None:
            return None
        return next((line.time for line in LineReader(file) if line.time), datetime.min), file
    except Unreadable:
        return None


def first_boot(file_system: NtfsVolume, sysprep_history: SysprepHistory | None) -> FirstBoot:
    """Whether a Panther log has a start of the generalized image after sysprep's last success."""
    if sysprep_history is None or sysprep_history.log.last_success is None:
        return FirstBoot(None, searched=False)
    files = [file for path in PANTHER_LOGS if (file := file_system.open(path))]
    searched = bool(files)
    for file in files:
        line, finished = find_since(file, STARTED, sysprep_history.log.last_success)
        if line is not None:
            return FirstBoot(quote(line, file.path, file.partition), searched=True)
        searched = searched and finished
    return FirstBoot(None, searched)


def product(software_hive: Hive) -> Product:
    """Name, edition and build."""

    def text(name: str) -> str | None:
        value = software_hive.value(VERSION_KEY, name)
        return None if value is None else redact(str(value))

    build, revision = text("CurrentBuild") or text("CurrentBuildNumber"), text("UBR")
    return Product(
        text("ProductName"),
        text("EditionID"),
        text("DisplayVersion") or text("ReleaseId"),
        f"{build}.{revision}" if build and revision else build,
        text("InstallationType"),
    )


def architecture(system_hive: Hive) -> Value | None:
    """PROCESSOR_ARCHITECTURE of the current control set (AMD64, ARM64, x86), or None."""
    current = system_hive.value("Select", "Current")
    number = current.number if current else None
    if number is None or not 0 < number < 1000:
        return None
    key = rf"ControlSet{number:03}\Control\Session Manager\Environment"
    return system_hive.value(key, "PROCESSOR_ARCHITECTURE")


def setup_state(
    image_state: Attempt[Value | None],
    servicing_state: Attempt[StateText | None],
    state_ini: Attempt[StateText | None],
    pending_setup: Attempt[PendingSetup],
    setup_status: Attempt[SetupStatus],
    sysprep_tag: Attempt[bool],
    sysprep_history: Attempt[SysprepHistory | None],
) -> SetupState:
    """Everything that was read of the state, for a report."""
    pending, status = pending_setup.value, setup_status.value

    def shown(attempt: Attempt[object], value: Value | None) -> int | str | None | Unknown:
        if attempt.unknown is not None:
            return Unknown(str(attempt.unknown))
        if value is None:
            return None
        return value.number if value.number is not None else redact(str(value))

    def text(attempt: Attempt[StateText | None]) -> str | None | Unknown:
        if attempt.unknown is not None:
            return Unknown(str(attempt.unknown))
        return redact(attempt.value.text) if attempt.value else None

    state = shown(image_state, image_state.value)
    return SetupState(
        str(state) if isinstance(state, int) else state,
        image_state.value.key_time if image_state.value else None,
        text(servicing_state),
        text(state_ini),
        shown(pending_setup, pending.setup_type if pending else None),
        _as_text(shown(pending_setup, pending.command_line if pending else None)),
        shown(pending_setup, pending.system_setup_in_progress if pending else None),
        shown(pending_setup, pending.oobe_in_progress if pending else None),
        shown(setup_status, status.generalization_state if status else None),
        shown(setup_status, status.audit_boot if status else None),
        _children(setup_status),
        Unknown(str(sysprep_tag.unknown)) if sysprep_tag.unknown else bool(sysprep_tag.value),
        _run(sysprep_history),
    )


def _as_text(value: int | str | None | Unknown) -> str | None | Unknown:
    return str(value) if isinstance(value, int) else value


def _children(attempt: Attempt[SetupStatus]) -> dict[str, int | str | None] | Unknown:
    if attempt.value is None:
        return Unknown(str(attempt.unknown))
    status = attempt.value
    children = {
        "setup.exe": status.setup_child,
        "oobeldr.exe": status.oobe_child,
        "audit.exe": status.audit_child,
    }
    return {
        name: None if value is None else value.number if value.number is not None else redact(str(value))
        for name, value in children.items()
    }


def _run(attempt: Attempt[SysprepHistory | None]) -> dict[str, object] | None | Unknown:
    if attempt.unknown is not None:
        return Unknown(str(attempt.unknown))
    if attempt.value is None:
        return None
    run = attempt.value.run
    return {
        "started": run.started,
        "options": run.options,
        "dialog": run.dialog,
        "vm_mode": run.vm_mode,
        "phases": run.phases,
        "ending": run.ending.value,
        "ended": run.ended,
    }
