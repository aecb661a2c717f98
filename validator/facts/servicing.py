"""Facts about servicing: whether updates wait for the next start to be finished.

Source: Azure/repair-script-library, win-fix-pending-servicing.ps1, measured there on healthy images.
"""

from typing import NamedTuple

from validator.disk.ntfs import NtfsVolume
from validator.evidence import Evidence, Layer, Location, damaged
from validator.facts.drivers import SystemFile, look
from validator.facts.image import CONFIG_FOLDER, SYSTEM_FOLDER
from validator.redaction import redact
from validator.windows.hive import Hive, Value

SERVICING_KEY = r"Microsoft\Windows\CurrentVersion\Component Based Servicing"
PENDING_KEYS = ("PackagesPending", "RebootPending", "RebootInProgress")
"""There only while something is to be done."""
PENDING_VALUES = (
    "ExecutionState",
    "PendingXmlIdentifier",
    "NextQueueEntryIndex",
    "NextQueueEntryIndexBCDB",
    "AdvancedInstallersNeedResolving",
    "StoreDirty",
)
"""In the root of COMPONENTS: absent, 0 or empty when all is settled."""
_MAX_SESSIONS = 4096
"""Windows leaves one behind for each time that it was serviced."""


class Session(NamedTuple):
    """One run of the servicing stack."""

    name: str
    complete: Value | None
    where: Location

    @property
    def finished(self) -> bool:
        """Whether it says so."""
        return self.complete is not None and self.complete.number == 1

    @property
    def evidence(self) -> Evidence:
        """What it says."""
        found = "no value Complete" if self.complete is None else f"Complete is {redact(str(self.complete))}"
        return Evidence(self.where, found, "Complete is 1")


class PackageServicing(NamedTuple):
    """What the servicing stack (CBS) has noted in SOFTWARE."""

    pending_keys: tuple[Location, ...]
    """Of those that are there only while something is to be done."""
    sessions: tuple[Session, ...]


def pending_operations(file_system: NtfsVolume) -> SystemFile:
    """The list of file operations that the next start is to carry out."""
    return look(file_system, rf"{SYSTEM_FOLDER}\WinSxS\pending.xml")


def package_servicing(software_hive: Hive, file_system: NtfsVolume) -> PackageServicing:
    """What the servicing stack has noted."""

    def where(name: str) -> Location:
        key = rf"{SERVICING_KEY}\{name}"
        return Location(Layer.HIVE, None, file_system.partition, software_hive.path, key)

    pending = tuple(
        where(name) for name in PENDING_KEYS if software_hive.key(rf"{SERVICING_KEY}\{name}") is not None
    )
    names = software_hive.subkeys(rf"{SERVICING_KEY}\SessionsPending")
    if len(names) > _MAX_SESSIONS:
        expected = f"at most {_MAX_SESSIONS} sessions"
        raise damaged(where("SessionsPending"), expected=expected, found=str(len(names)))
    sessions = []
    for name in names:
        complete = software_hive.value(rf"{SERVICING_KEY}\SessionsPending\{name}", "Complete")
        sessions.append(Session(name, complete, where(rf"SessionsPending\{name}")))
    return PackageServicing(pending, tuple(sessions))


def component_store(file_system: NtfsVolume) -> tuple[Value, ...]:
    """What the component store has noted of unfinished work; nothing where it has no hive."""
    path = rf"{CONFIG_FOLDER}\COMPONENTS"
    file = file_system.open(path)
    if file is None:
        return ()
    logs = (file_system.open(f"{path}.{suffix}") for suffix in ("LOG", "LOG1", "LOG2"))
    hive = Hive(file, [log for log in logs if log is not None])
    return tuple(value for name in PENDING_VALUES if (value := hive.value("", name)) is not None)
