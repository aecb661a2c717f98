"""Facts about what Azure's provisioning of a new machine meets in the image.

Sources: Microsoft, Prepare a Windows VHD to upload to Azure; Windows Setup Automation Overview (where
answer files are searched for); Windows Setup scripts.
"""

from collections.abc import Iterator
from typing import NamedTuple

from validator.disk.ntfs import NtfsFile, NtfsVolume
from validator.evidence import Evidence, Layer, Location, Unreadable
from validator.facts.services import Service, Services, driver_path
from validator.facts.setup import SETUP_KEY
from validator.redaction import redact
from validator.windows.answer_file import AnswerFile, Fault, FaultKind, read_answer_file
from validator.windows.hive import Hive, Value
from validator.windows.text import decode

PLACES = (
    r"Windows\Panther\Unattend\unattend.xml",
    r"Windows\Panther\Unattend\Autounattend.xml",
    r"Windows\Panther\unattend.xml",
    r"Windows\System32\Sysprep\unattend.xml",
    "unattend.xml",
    "Autounattend.xml",
)
"""Where Windows Setup looks for an answer file without being told, in its order; removable media aside."""
FOLDERS = (
    r"Windows\System32\Sysprep",
    r"Windows\Panther",
    r"Windows\Panther\Unattend",
    r"Windows\OEM",
)
"""Where builders and platforms leave others."""
MAX_FILES = 32
SCRIPTS_FOLDER = r"Windows\Setup\Scripts"
SCRIPTS = ("SetupComplete.cmd", "ErrorHandler.cmd")
_MAX_SCRIPT = 64 * 2**10
AGENT_SERVICES = ("RdAgent", "WindowsAzureGuestAgent")
EXTENSIONS = r"Packages\Plugins"
FOREIGN_SERVICES = {
    "VMTools": "VMware Tools",
    "VGAuthService": "VMware Tools",
    "vm3dservice": "VMware Tools",
    "VBoxService": "VirtualBox Guest Additions",
    "QEMU-GA": "QEMU guest agent",
    "cloudbase-init": "cloudbase-init",
}
REMOVABLE_KEY = r"Policies\Microsoft\Windows\RemovableStorageDevices"
DISC_CLASS = "{53f56308-b6bf-11d0-94f2-00a0c91efb8b}"
"""The device interface class of CD-ROM drives (GUID_DEVINTERFACE_CDROM)."""
_DRIVES = ("%windir%\\", "%systemroot%\\", "%systemdrive%\\", "c:\\")


class AnswerFiles(NamedTuple):
    """The answer files that Windows Setup finds by itself."""

    named: Value | None
    """SYSTEM\\Setup\\UnattendFile, which names one."""
    files: tuple[AnswerFile, ...]


class CdromDriver(NamedTuple):
    """The driver of the drive in which Azure puts the disc with the provisioning data."""

    service: Service | None
    where: Location


class RemovableStoragePolicy(NamedTuple):
    """What group policy forbids; None where a value is absent."""

    deny_all: Value | None
    disc_read: Value | None
    disc_execute: Value | None


class SetupScript(NamedTuple):
    """A script that Windows Setup runs."""

    name: str
    where: Location
    lines: tuple[str, ...]
    """What is not empty, as far as the first 64 KiB go."""


class AgentService(NamedTuple):
    """A service of Azure's VM agent."""

    service: Service
    path: str | None
    """Its program below the root of the volume of Windows; None where it is said to be elsewhere."""
    present: bool
    """Whether the program is there."""


class ExtensionFolder(NamedTuple):
    """What the VM agent keeps of extensions."""

    where: Location
    names: tuple[str, ...]


def cdrom_driver(services: Services) -> CdromDriver:
    """The driver of optical drives."""
    return CdromDriver(services.get("cdrom"), services.where("cdrom"))


def removable_storage_policy(software_hive: Hive) -> RemovableStoragePolicy:
    """The policy about removable storage, as far as it can hide the provisioning disc."""
    disc = rf"{REMOVABLE_KEY}\{DISC_CLASS}"
    return RemovableStoragePolicy(
        software_hive.value(REMOVABLE_KEY, "Deny_All"),
        software_hive.value(disc, "Deny_Read"),
        software_hive.value(disc, "Deny_Execute"),
    )


def answer_files(system_hive: Hive, file_system: NtfsVolume) -> AnswerFiles:
    """The answer files where Windows Setup looks for them; what SYSTEM names comes first."""
    named = system_hive.value(SETUP_KEY, "UnattendFile")
    stored = named.string if named is not None else None
    first = _below_root(stored) if stored else None
    paths = {path.lower(): path for path in ([first] if first else []) + list(PLACES)}
    files = (_answer_file(file_system, path) for path in paths.values())
    return AnswerFiles(named, tuple(file for file in files if file is not None))


def other_xml_files(file_system: NtfsVolume, answer_files: AnswerFiles) -> tuple[AnswerFile, ...]:
    """The XML files beside them, in the folders where answer files are left."""
    known = {file.path.lower() for file in answer_files.files}
    found: list[AnswerFile] = []
    for path in _xml_files(file_system):
        if f"\\{path}".lower() in known:
            continue
        if len(found) == MAX_FILES:
            where = Location(Layer.FILE_SYSTEM, None, file_system.partition, f"\\{path}")
            evidence = Evidence(where, "more files, which were not read", f"at most {MAX_FILES} XML files")
            fault = Fault(FaultKind.REFUSED, evidence, may_hide_password=True)
            found.append(AnswerFile(f"\\{path}", file_system.partition, fault=fault))
            break
        file = _answer_file(file_system, path)
        if file is not None:
            found.append(file)
    return tuple(found)


def _xml_files(file_system: NtfsVolume) -> Iterator[str]:
    for folder in FOLDERS:
        for name in file_system.names(folder) or ():
            if name.lower().endswith(".xml"):
                yield rf"{folder}\{name}"


def setup_scripts(file_system: NtfsVolume) -> tuple[SetupScript, ...]:
    """SetupComplete.cmd and ErrorHandler.cmd, where they are."""
    found = []
    for name in SCRIPTS:
        file = _file(file_system, rf"{SCRIPTS_FOLDER}\{name}")
        if file is not None:
            text = decode(file.read_at(0, min(file.size, _MAX_SCRIPT)))
            lines = tuple(line.strip() for line in text.splitlines() if line.strip(" \t\0\x1a"))
            where = Location(Layer.FILE_SYSTEM, None, file.partition, file.path)
            found.append(SetupScript(name, where, lines))
    return tuple(found)


def agent_services(services: Services, file_system: NtfsVolume) -> tuple[AgentService, ...]:
    """The services of Azure's VM agent that are installed."""
    found = []
    for name in AGENT_SERVICES:
        service = services.get(name)
        if service is not None:
            path = driver_path(service)
            present = (
                path is not None and not file_system.is_folder(path) and file_system.size(path) is not None
            )
            found.append(AgentService(service, path, present))
    return tuple(found)


def extension_folder(file_system: NtfsVolume) -> ExtensionFolder:
    """The extensions whose files are there."""
    where = Location(Layer.FILE_SYSTEM, None, file_system.partition, f"\\{EXTENSIONS}")
    return ExtensionFolder(where, file_system.names(EXTENSIONS) or ())


def foreign_agents(services: Services) -> tuple[Service, ...]:
    """Services of other platforms' agents that are installed."""
    found = (services.get(name) for name in FOREIGN_SERVICES)
    return tuple(service for service in found if service is not None)


def _file(file_system: NtfsVolume, path: str) -> NtfsFile | None:
    """A file, or None where there is none of that name, or a folder."""
    return None if file_system.is_folder(path) else file_system.open(path)


def _answer_file(file_system: NtfsVolume, path: str) -> AnswerFile | None:
    """An answer file; one that cannot be read is known by its fault, so that the others still count."""
    try:
        file = _file(file_system, path)
    except Unreadable as error:
        fault = Fault(FaultKind.REFUSED, error.evidence, may_hide_password=True)
        return AnswerFile(f"\\{path}", file_system.partition, fault=fault)
    return None if file is None else read_answer_file(file)


def _below_root(stored: str) -> str | None:
    """The path below the root of the volume of Windows, or None where it is on another."""
    path = stored.strip().strip('"').replace("/", "\\")
    for drive in _DRIVES:
        if path.lower().startswith(drive):
            rest = path[len(drive) :].lstrip("\\")
            return rf"Windows\{rest}" if drive in _DRIVES[:2] else rest
    return None


def shown_name(named: Value) -> Evidence:
    """UnattendFile as evidence."""
    return Evidence(named.where, redact(str(named)), time=named.key_time)
