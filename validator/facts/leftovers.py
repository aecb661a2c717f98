r"""Facts about one installation: what its build, and the life before, left behind.

Sources: Microsoft, Configure Windows to automate logon; Installation and configuration for Windows Remote
Management, and its administrative template; Packer's source for the names of its files.
"""

from fnmatch import fnmatchcase
from typing import NamedTuple

from validator.disk.ntfs import NtfsVolume
from validator.evidence import Evidence, Layer, Location, damaged
from validator.facts.services import SYSTEM_FOLDER
from validator.facts.setup import open_hive
from validator.redaction import redact
from validator.windows.hive import Hive, Value
from validator.windows.sam import ADMINISTRATOR, LocalUser, named, user

WINLOGON_KEY = r"Microsoft\Windows NT\CurrentVersion\Winlogon"
WINRM_KEY = r"Microsoft\Windows\CurrentVersion\WSMAN\Service"
WINRM_POLICY_KEY = r"Policies\Microsoft\Windows\WinRM\Service"
ENROLLMENTS_KEY = r"Microsoft\Enrollments"
DEFENDER_KEY = r"Microsoft\Windows Advanced Threat Protection\Status"
JOIN_KEY = r"Control\CloudDomainJoin\JoinInfo"
BUILD_ACCOUNTS = ("packer", "vagrant", "ansible", "packer_user")
BUILD_FILES = (
    (rf"{SYSTEM_FOLDER}\Temp", ("packer-*", "script-*.ps1", "winrmcp-*.tmp")),
    ("AzureData", ("customdata.bin",)),
)
"""Folders, and the names in them in small letters. `packer-ps-env-vars-*.ps1` holds the variables of the
build, among them what was secret there."""
SSH_FOLDER = r"ProgramData\ssh"
SMS_FILE = rf"{SYSTEM_FOLDER}\SMSCFG.ini"
MAX_ENROLLMENTS = 512
_GUID_LENGTH = 36


class AutomaticSignIn(NamedTuple):
    """Whether somebody is signed in at the start of the machine."""

    switch: Value | None
    """AutoAdminLogon."""
    password: Location | None
    """Where a password is stored that is not empty. What it is, no fact says."""

    @property
    def enabled(self) -> bool:
        """Whether AutoAdminLogon is on; Windows reads it as a number, whatever its type."""
        return self.switch is not None and (self.switch.number or _digits(self.switch.string)) not in (
            None,
            0,
        )


class RemoteManagement(NamedTuple):
    """How WinRM's service lets others in: the policy where there is one, else its own setting."""

    basic: Value | None
    unencrypted: Value | None


class Identity(NamedTuple):
    """Something that knows this one machine by an identity of its own."""

    keeper: str
    """Who knows it."""
    evidence: Evidence


def _digits(text: str | None) -> int | None:
    """The number that a short text of digits is, or None."""
    text = (text or "").strip()
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else None


def automatic_sign_in(software_hive: Hive) -> AutomaticSignIn:
    """AutoAdminLogon, and whether DefaultPassword holds anything."""
    switch, password = (
        software_hive.value(WINLOGON_KEY, name) for name in ("AutoAdminLogon", "DefaultPassword")
    )
    filled = password is not None and bool(password.data.strip(b"\0"))
    return AutomaticSignIn(switch, password.where if password is not None and filled else None)


def remote_management(software_hive: Hive) -> RemoteManagement:
    """What WinRM's service accepts."""

    def setting(policy: str, own: str) -> Value | None:
        ruled = software_hive.value(WINRM_POLICY_KEY, policy)
        return ruled if ruled is not None else software_hive.value(WINRM_KEY, own)

    return RemoteManagement(
        setting("AllowBasic", "auth_basic"), setting("AllowUnencryptedTraffic", "allow_unencrypted")
    )


def sam_hive(file_system: NtfsVolume) -> Hive:
    """The SAM hive, the database of local accounts; the primary file only, never RegBack."""
    return open_hive(file_system, "SAM")


def build_accounts(sam_hive: Hive) -> tuple[tuple[str, LocalUser], ...]:
    """The local accounts that tools which build images usually make, with their names."""
    found = ((name, named(sam_hive, name)) for name in BUILD_ACCOUNTS)
    return tuple((name, account) for name, account in found if account is not None)


def administrator(sam_hive: Hive) -> LocalUser | None:
    """The built-in Administrator, or None where there is none."""
    return user(sam_hive, ADMINISTRATOR)


def _matching(file_system: NtfsVolume, folder: str, patterns: tuple[str, ...]) -> tuple[Location, ...]:
    return tuple(
        Location(Layer.FILE_SYSTEM, None, file_system.partition, rf"\{folder}\{name}")
        for name in file_system.names(folder) or ()
        if any(fnmatchcase(name.lower(), pattern) for pattern in patterns)
    )


def build_files(file_system: NtfsVolume) -> tuple[Location, ...]:
    """Files of a build, or of the machine that was built on; by their names."""
    return tuple(where for folder, names in BUILD_FILES for where in _matching(file_system, folder, names))


def ssh_host_keys(file_system: NtfsVolume) -> tuple[Location, ...]:
    """Private host keys of an SSH server."""
    return _matching(file_system, SSH_FOLDER, ("ssh_host_*_key",))


def cloud_identities(
    system_hive: Hive, control_set: str, software_hive: Hive, file_system: NtfsVolume
) -> tuple[Identity, ...]:
    """Who knows this one machine: Microsoft Entra ID, device management, Defender, Configuration Manager."""
    join = rf"{control_set}\{JOIN_KEY}"
    found = [
        Identity(
            "Microsoft Entra ID",
            Evidence(
                Location(Layer.HIVE, None, file_system.partition, system_hive.path, rf"{join}\{name}"),
                "the machine's registration",
            ),
        )
        for name in system_hive.subkeys(join)
    ]
    found += _enrollments(software_hive, file_system)
    state = software_hive.value(DEFENDER_KEY, "OnboardingState")
    if state is not None and state.number == 1:
        found.append(Identity("Microsoft Defender for Endpoint", state.evidence))
    if file_system.size(SMS_FILE) is not None:
        where = Location(Layer.FILE_SYSTEM, None, file_system.partition, "\\" + SMS_FILE)
        found.append(Identity("Configuration Manager", Evidence(where, "the client's identifier")))
    return tuple(found)


def _enrollments(software_hive: Hive, file_system: NtfsVolume) -> list[Identity]:
    """Device management. Windows brings stubs of its own, which name neither a server nor a user."""
    keys = [name for name in software_hive.subkeys(ENROLLMENTS_KEY) if len(name) == _GUID_LENGTH]
    if len(keys) > MAX_ENROLLMENTS:
        where = Location(Layer.HIVE, None, file_system.partition, software_hive.path, ENROLLMENTS_KEY)
        raise damaged(where, expected=f"at most {MAX_ENROLLMENTS} enrolments", found=str(len(keys)))
    found = []
    for name in keys:
        key = rf"{ENROLLMENTS_KEY}\{name}"
        provider = software_hive.value(key, "ProviderID")
        if provider is None or not provider.string:
            continue
        given = (software_hive.value(key, value) for value in ("DiscoveryServiceFullURL", "UPN"))
        if any(value is not None and value.string for value in given):
            shown = Evidence(provider.where, redact(str(provider))[:200], time=provider.key_time)
            found.append(Identity("a device management service", shown))
    return found
