r"""Facts about one installation: which Windows it is, what it belongs to, and how it is set up.

Sources: Microsoft, Prepare a Windows VHD to upload to Azure; Sysprep support for server roles.
"""

from typing import NamedTuple

from validator.disk.ntfs import NtfsVolume
from validator.evidence import Evidence, Layer, Location
from validator.facts.services import SYSTEM_FOLDER, Service, Services
from validator.facts.setup import VERSION_KEY
from validator.redaction import redact
from validator.windows.hive import Hive, Value

APPX_KEY = r"Microsoft\Windows\CurrentVersion\Appx\AppxAllUserStore"
PERSONAL = ("S-1-5-21-", "S-1-12-1-")
"""Beginnings of the identifiers of people: local and domain accounts, and those of Microsoft Entra ID."""
DIRECTORY_FILE = rf"{SYSTEM_FOLDER}\NTDS\ntds.dit"
ROLES = {
    "adfssrv": "Active Directory Federation Services",
    "adrmsloggingservice": "Active Directory Rights Management Services",
    "certsvc": "Active Directory Certificate Services",
    "clussvc": "Failover Clustering",
    "dhcpserver": "DHCP Server",
    "fax": "Fax Server",
    "ntds": "Active Directory Domain Services",
    "wdsserver": "Windows Deployment Services",
    "wins": "WINS Server",
}
"""Services of roles that no image can bring along, in small letters."""
DIRECTORY_INSTANCE = "adam_"
"""How the service of an instance of Active Directory Lightweight Directory Services begins."""
_NO_APPLICATIONS = (
    "microsoft.vclibs.",
    "microsoft.net.native.",
    "microsoft.ui.xaml.",
    "microsoft.windowsappruntime.",
    "microsoft.services.store.engagement",
)
"""How the names of frameworks begin: they come and go with what needs them."""


class Edition(NamedTuple):
    """Which Windows it is."""

    build: int | None
    build_value: Value | None
    edition_id: Value | None
    installation_type: Value | None
    product_name: Value | None

    @property
    def client(self) -> bool:
        """Whether it is a client; None of the servers says so."""
        return self.installation_type is not None and str(self.installation_type).lower() == "client"

    @property
    def name(self) -> str:
        """The edition, such as ServerDatacenter."""
        return (self.edition_id.string or "") if self.edition_id is not None else ""

    @property
    def evidence(self) -> tuple[Evidence, ...]:
        """What the registry says of it."""
        return tuple(each.evidence for each in (self.build_value, self.edition_id) if each is not None)


class Membership(NamedTuple):
    """What the machine belongs to."""

    domain: Value | None
    """The name of a domain; None where none is given."""
    product_type: Value | None
    directory: Location | None
    """Where a domain controller's database lies; only looked for on one."""

    @property
    def controller(self) -> bool:
        """Whether it says that it is a domain controller."""
        return self.product_type is not None and str(self.product_type).lower() == "lanmannt"


class Role(NamedTuple):
    """A role that an image cannot bring along."""

    title: str
    service: Service


class Setting(NamedTuple):
    """One value, or where it would be."""

    where: Location
    value: Value | None

    def evidence(self, expected: str) -> Evidence:
        """What stands there, beside what is recommended."""
        if self.value is None:
            return Evidence(self.where, "no such value", expected)
        return Evidence(self.where, redact(str(self.value)), expected, self.value.key_time)


class Recommended(NamedTuple):
    """The settings that Microsoft recommends for Azure, as far as they are facts of the registry."""

    universal_time: Setting
    power_scheme: Setting
    san_policy: Setting
    dump_kind: Setting
    dump_file: Setting
    nmi_dump: Setting


class UserPackage(NamedTuple):
    """A Store package that is installed for a user."""

    name: str
    where: Location


def edition(software_hive: Hive) -> Edition:
    """Build and edition."""

    def value(name: str) -> Value | None:
        return software_hive.value(VERSION_KEY, name)

    build = value("CurrentBuild")
    number = _number(build)
    if number is None:  # Windows XP has words there
        build = value("CurrentBuildNumber")
        number = _number(build)
    return Edition(number, build, value("EditionID"), value("InstallationType"), value("ProductName"))


def _number(value: Value | None) -> int | None:
    text = (value.string or "") if value is not None else ""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else None


def membership(system_hive: Hive, control_set: str, file_system: NtfsVolume) -> Membership:
    """The domain, and whether the machine is one of its controllers."""
    key = rf"{control_set}\Services\Tcpip\Parameters"
    named = (system_hive.value(key, name) for name in ("NV Domain", "Domain"))
    domain = next((value for value in named if value is not None and value.string), None)
    found = Membership(
        domain, system_hive.value(rf"{control_set}\Control\ProductOptions", "ProductType"), None
    )
    if not found.controller or file_system.size(DIRECTORY_FILE) is None:
        return found
    where = Location(Layer.FILE_SYSTEM, None, file_system.partition, "\\" + DIRECTORY_FILE)
    return found._replace(directory=where)


def unsupported_roles(system_hive: Hive, services: Services) -> tuple[Role, ...]:
    """Roles that an image cannot bring along, whose services can start.

    One listing: the names of all services are compared with each that is not there anyway. Windows has a
    key `NTDS` everywhere; what has no `Start` is no service.
    """
    found = []
    for name in system_hive.subkeys(services.key):
        title = ROLES.get(name.lower())
        if name.lower().startswith(DIRECTORY_INSTANCE):
            title = "Active Directory Lightweight Directory Services"
        service = services.get(name) if title else None
        if title and service is not None and service.start is not None and not service.disabled:
            found.append(Role(title, service))
    return tuple(found)


def recommended(system_hive: Hive, control_set: str, file_system: NtfsVolume) -> Recommended:
    """The settings that Microsoft recommends for Azure."""

    def setting(key: str, name: str) -> Setting:
        path = rf"{control_set}\{key}"
        where = Location(Layer.HIVE, None, file_system.partition, system_hive.path, path, name)
        return Setting(where, system_hive.value(path, name))

    crash = r"Control\CrashControl"
    return Recommended(
        setting(r"Control\TimeZoneInformation", "RealTimeIsUniversal"),
        setting(r"Control\Power\User\PowerSchemes", "ActivePowerScheme"),
        setting(r"Services\partmgr\Parameters", "SanPolicy"),
        setting(crash, "CrashDumpEnabled"),
        setting(crash, "DumpFile"),
        setting(crash, "NMICrashDump"),
    )


def prevent_device_encryption(system_hive: Hive, control_set: str) -> Value | None:
    """The value that keeps Windows from encrypting its volume by itself, or None."""
    return system_hive.value(rf"{control_set}\Control\BitLocker", "PreventDeviceEncryption")


def user_packages(software_hive: Hive, file_system: NtfsVolume) -> tuple[UserPackage, ...] | None:
    """Store packages that a user has and Windows does not provide; None without any record of packages.

    Compared by family (name and publisher): versions differ after every update from the Store.
    """
    if software_hive.key(APPX_KEY) is None:
        return None
    provided = {
        package_family(name)
        for kind in ("Applications", "InboxApplications", "Staged")
        for name in software_hive.subkeys(rf"{APPX_KEY}\{kind}")
    }
    found: dict[str, UserPackage] = {}
    for user in software_hive.subkeys(APPX_KEY):
        if not user.upper().startswith(PERSONAL):
            continue
        key = rf"{APPX_KEY}\{user}"
        where = Location(Layer.HIVE, None, file_system.partition, software_hive.path, key)
        for name in software_hive.subkeys(key):
            if is_application(name) and package_family(name) not in provided:
                found.setdefault(name, UserPackage(name, where))
    return tuple(found.values())


def package_family(name: str) -> str:
    """Name and publisher of a package's full name (or family name), in small letters."""
    parts = name.lower().split("_")
    return f"{parts[0]}_{parts[-1]}"


def is_application(name: str) -> bool:
    """Whether a full name (`name_version_processor_resource_publisher`) is no framework or resource pack."""
    lower = name.lower()
    return lower.count("_") >= 4 and "_split." not in lower and not lower.startswith(_NO_APPLICATIONS)
