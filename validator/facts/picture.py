r"""Facts about one installation that are shown by `inspect` and judged by no check.

The network, Azure's agent, accounts, and what was added to Windows. What has to be listed
and made sense of (installed applications, services, scheduled tasks) is read by dissect.target over the
volume and hives that verified; see `validator.windows.target`.

Sources: Microsoft, Uninstall Registry Key; Azure, virtual machine
agent overview.
"""

from collections.abc import Callable
from datetime import datetime
from typing import Any, NamedTuple

from validator.disk.ntfs import NtfsVolume
from validator.evidence import Layer, Location, damaged
from validator.facts.boot import BootStoreFile
from validator.facts.model import Attempt, Facts, Unknown
from validator.facts.provisioning import AgentService
from validator.facts.reachability import StaticAddress, WinHttpProxy
from validator.facts.services import START_WORDS
from validator.facts.system import PERSONAL, Membership
from validator.redaction import redact
from validator.windows.boot_store import DESCRIPTION, DEVICE, OSDEVICE, PATH, TESTSIGNING
from validator.windows.hive import Hive, Value, filetime
from validator.windows.sam import USERS_KEY, named
from validator.windows.target import WindowsTarget

PROFILES_KEY = r"Microsoft\Windows NT\CurrentVersion\ProfileList"
AGENT_FOLDER = "WindowsAzure"
MAX_ACCOUNTS = 1024


class BootPicture(NamedTuple):
    """What the boot store starts by default."""

    store: str
    partition: int | None
    entry: str | None
    """The description of the default entry; None where there is none."""
    loader: str | None
    device: str | None
    os_device: str | None
    test_signing: bool


class InterfaceAddresses(NamedTuple):
    """A network interface whose addresses are set by hand."""

    interface: str
    addresses: tuple[str, ...]


class Network(NamedTuple):
    """What the machine is called, and how it reaches others."""

    computer_name: str | None | Unknown
    domain: str | None | Unknown
    static_addresses: tuple[InterfaceAddresses, ...] | Unknown
    """Empty where all interfaces use DHCP."""
    proxy: str | None | Unknown
    """Of services (WinHTTP)."""
    proxy_bypass: tuple[str, ...]


class AgentState(NamedTuple):
    """A service of Azure's VM agent."""

    name: str
    start: str | None
    program: str | None
    program_there: bool


class AzureAgent(NamedTuple):
    """Azure's VM agent."""

    services: tuple[AgentState, ...]
    versions: tuple[str, ...]
    r"""Folders `\WindowsAzure\GuestAgent_*`, the newest last."""


class Account(NamedTuple):
    """A local account."""

    name: str
    rid: int
    enabled: bool
    password_set: datetime | None


class UserProfile(NamedTuple):
    """The profile of somebody who signed in."""

    sid: str
    folder: str | None


class AddedApplication(NamedTuple):
    """An application that is installed for all users."""

    name: str
    version: str | None
    publisher: str | None
    changed: datetime | None


class AddedService(NamedTuple):
    """A service whose program lies outside of Windows' own folder."""

    name: str
    title: str | None
    start: str | None
    program: str
    account: str | None


class AddedTask(NamedTuple):
    """A scheduled task that is none of Windows' own."""

    name: str
    enabled: bool
    command: str | None
    user: str | None


class Picture(NamedTuple):
    """What `inspect` shows beside the facts that checks rest on; `Unknown` where it could not be read."""

    boot: BootPicture | None | Unknown
    network: Network | Unknown
    agent: AzureAgent | Unknown
    accounts: tuple[Account, ...] | Unknown
    profiles: tuple[UserProfile, ...] | Unknown
    applications: tuple[AddedApplication, ...] | Unknown
    services: tuple[AddedService, ...] | Unknown
    tasks: tuple[AddedTask, ...] | Unknown


def picture_of(facts: Facts) -> Picture:
    """The picture of an installation; computes what nobody asked for before."""
    facts = facts.about(PICTURE_FACTS)
    attempts = ((part, facts.attempt(fact)) for part, fact in _PARTS.items())
    return Picture(**{part: _or_unknown(attempt, attempt.value) for part, attempt in attempts})


def _or_unknown(attempt: Attempt[Any], value: Any) -> Any:
    return value if attempt.unknown is None else Unknown(str(attempt.unknown))


def _text(value: Value | str | None) -> str | None:
    return None if value is None else redact(str(value))


# -- from our own readers ----------------------------------------------------------------------------


def boot_picture(boot_store: BootStoreFile | None) -> BootPicture | None:
    """What the boot store starts by default, or None where there is no store."""
    if boot_store is None or boot_store.store is None:
        return None
    where, entry = boot_store.where, boot_store.default
    if entry is None:
        return BootPicture(str(where.path), where.partition, None, None, None, None, False)
    device, os_device = entry.device(DEVICE), entry.device(OSDEVICE)
    return BootPicture(
        str(where.path),
        where.partition,
        _text(entry.text(DESCRIPTION)) or entry.id,
        _text(entry.text(PATH)),
        _text(device.text if device is not None else None),
        _text(os_device.text if os_device is not None else None),
        entry.flag(TESTSIGNING) is True,
    )


def computer_name(system_hive: Hive, control_set: str) -> str | None:
    """What the machine is called."""
    return _text(system_hive.value(rf"{control_set}\Control\ComputerName\ComputerName", "ComputerName"))


def network(
    computer_name: Attempt[str | None],
    membership: Attempt[Membership],
    static_addresses: Attempt[tuple[StaticAddress, ...]],
    winhttp_proxy: Attempt[WinHttpProxy],
) -> Network:
    """Name, addresses and proxy of the machine."""
    addresses = tuple(
        InterfaceAddresses(redact(each.interface), tuple(map(redact, each.addresses)))
        for each in static_addresses.value or ()
    )
    proxy = winhttp_proxy.value
    return Network(
        _or_unknown(computer_name, computer_name.value),
        _or_unknown(membership, _text(membership.value.domain if membership.value else None)),
        _or_unknown(static_addresses, addresses),
        _or_unknown(winhttp_proxy, _text(proxy.proxy if proxy else None)),
        tuple(map(redact, proxy.bypass)) if proxy else (),
    )


def azure_agent(agent_services: tuple[AgentService, ...], file_system: NtfsVolume) -> AzureAgent:
    """Azure's VM agent: its services, and the versions whose files are there."""
    names = file_system.names(AGENT_FOLDER) or ()
    versions = [redact(name) for name in names if name.lower().startswith("guestagent_")]
    return AzureAgent(
        tuple(_agent_state(each) for each in agent_services), tuple(sorted(versions, key=_version))
    )


def _agent_state(agent: AgentService) -> AgentState:
    service, number = agent.service, agent.service.start_number
    known = number is not None and number < len(START_WORDS)
    start = START_WORDS[number or 0] if known else _text(service.start)
    return AgentState(service.name, start, _text(service.image_path), agent.present)


def _version(name: str) -> tuple[tuple[int, ...], str]:
    """What folders are sorted by: 2.7.41491.1098 comes before 2.7.41491.1110."""
    parts = name.partition("_")[2].partition("_")[0].split(".")
    return tuple(int(part) for part in parts if part.isascii() and part.isdigit() and len(part) < 10), name


def local_accounts(sam_hive: Hive) -> tuple[Account, ...]:
    """The local accounts, by their numbers."""
    key = rf"{USERS_KEY}\Names"
    names = sam_hive.subkeys(key)
    if len(names) > MAX_ACCOUNTS:
        where = Location(Layer.HIVE, path=sam_hive.path, key=key)
        raise damaged(where, expected=f"at most {MAX_ACCOUNTS} local accounts", found=str(len(names)))
    found = ((name, named(sam_hive, name)) for name in names)
    accounts = (
        Account(redact(name), user.rid, user.enabled, filetime(user.password_set))
        for name, user in found
        if user is not None
    )
    return tuple(sorted(accounts, key=lambda each: each.rid))


def user_profiles(software_hive: Hive) -> tuple[UserProfile, ...]:
    """The profiles of people; Windows' own accounts are left out."""
    names = [name for name in software_hive.subkeys(PROFILES_KEY) if name.upper().startswith(PERSONAL)]
    if len(names) > MAX_ACCOUNTS:
        where = Location(Layer.HIVE, path=software_hive.path, key=PROFILES_KEY)
        raise damaged(where, expected=f"at most {MAX_ACCOUNTS} profiles", found=str(len(names)))
    return tuple(
        UserProfile(name, _text(software_hive.value(rf"{PROFILES_KEY}\{name}", "ProfileImagePath")))
        for name in names
    )


# -- through dissect.target --------------------------------------------------------------------------


def added_applications(target: WindowsTarget) -> tuple[AddedApplication, ...]:
    """The applications that are installed for all users, by their names."""
    found = (
        AddedApplication(redact(each.name), _text(each.version), _text(each.publisher), each.changed)
        for each in target.applications()
    )
    return tuple(sorted(found, key=lambda each: each.name.lower()))


def added_services(target: WindowsTarget) -> tuple[AddedService, ...]:
    """The services whose programs lie outside of Windows' own folder."""
    return tuple(
        AddedService(
            redact(each.name), _text(each.title), each.start, redact(each.program), _text(each.account)
        )
        for each in target.services()
    )


def added_tasks(target: WindowsTarget) -> tuple[AddedTask, ...]:
    """The scheduled tasks that are none of Windows' own."""
    return tuple(
        AddedTask(
            redact(each.name),
            each.enabled,
            _text(" ".join(part for part in (each.program, each.arguments) if part) or None),
            _text(each.user),
        )
        for each in target.tasks()
    )


PICTURE_FACTS: dict[str, Callable[..., Any]] = {
    function.__name__: function
    for function in (
        boot_picture,
        computer_name,
        network,
        azure_agent,
        local_accounts,
        user_profiles,
        added_applications,
        added_services,
        added_tasks,
    )
}
"""Facts about one installation beside those of `validator.facts`; a judgement does not even import them."""
_PARTS = {
    "boot": "boot_picture",
    "network": "network",
    "agent": "azure_agent",
    "accounts": "local_accounts",
    "profiles": "user_profiles",
    "applications": "added_applications",
    "services": "added_services",
    "tasks": "added_tasks",
}
"""The parts of the picture, and the fact that each is."""
