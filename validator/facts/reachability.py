r"""Facts about one installation: whether the machines made from it can be reached.

Source: Microsoft, Prepare a Windows VHD or VHDX to upload to Azure; Azure/repair-script-library
(win-fix-rdp-connectivity, win-fix-network-connectivity, win-fix-user-rights), which says what of it keeps a
machine from being reached; [MS-GPFAS] for the firewall.
"""

from typing import NamedTuple

from validator.disk.container import unpack_at
from validator.disk.ntfs import NtfsVolume
from validator.evidence import Layer, Location
from validator.facts.services import SYSTEM_FOLDER, Service, Services
from validator.facts.setup import VERSION_KEY, open_hive
from validator.windows.firewall import TCP, FirewallRule, read_rule
from validator.windows.hive import REG_BINARY, REG_SZ, Hive, Value

RDP_PORT = 3389
POLICY_KEY = r"Policies\Microsoft\Windows NT\Terminal Services"
CIPHER_KEY = r"Policies\Microsoft\Cryptography\Configuration\SSL\00010002"
POLICY_FIREWALL_KEY = r"Policies\Microsoft\WindowsFirewall"
WINHTTP_KEY = r"Microsoft\Windows\CurrentVersion\Internet Settings\Connections"
RDP_SERVICES = ("TermService", "SessionEnv", "UmRdpService")
"""What listens for Remote Desktop."""
CORE_SERVICES = (
    "Tcpip", "NDIS", "Afd", "nsiproxy", "nsi", "Dhcp", "Dnscache", "BFE", "mpssvc", "RpcSs", "DcomLaunch",
    "RpcEptMapper",
)  # fmt: skip
"""Without which there is no network, or no Windows at all."""
FIREWALL_PROFILES = (
    ("domain", "DomainProfile", "DomainProfile"),
    ("private", "StandardProfile", "PrivateProfile"),
    ("public", "PublicProfile", "PublicProfile"),
)
"""Name in a rule, key of the local settings, key of the policy."""
OWN_PROVIDERS = frozenset({"lanmanworkstation", "rdpnp", "webclient", "p9np"})
"""Network providers that are part of Windows."""
MAX_PROVIDERS = 64
ADMINISTRATORS, REMOTE_DESKTOP_USERS = "S-1-5-32-544", "S-1-5-32-555"
ACCOUNTS = {
    ADMINISTRATORS: "Administrators",
    REMOTE_DESKTOP_USERS: "Remote Desktop Users",
    "S-1-5-32-545": "Users",
    "S-1-1-0": "Everyone",
    "S-1-5-11": "Authenticated Users",
}
_REG_MULTI_SZ = 7
_WINHTTP_SIZES = (0x18, 0x28)
"""What the value begins with in all Windows that are known."""
_WINHTTP_PROXY = 2
_ADDRESSES = frozenset({"ra4", "ra6", "la4", "la6"})
_FOLDERS = (
    ("%systemroot%\\", f"{SYSTEM_FOLDER}\\"),
    ("%windir%\\", f"{SYSTEM_FOLDER}\\"),
    ("\\systemroot\\", f"{SYSTEM_FOLDER}\\"),
    ("system32\\", f"{SYSTEM_FOLDER}\\System32\\"),
    ("%programfiles%\\", "Program Files\\"),
    ("%programfiles(x86)%\\", "Program Files (x86)\\"),
    ("%systemdrive%\\", ""),
    ("c:\\", ""),
)
"""How a path can begin, and where that lies on the volume of Windows."""


class RemoteDesktop(NamedTuple):
    """Whether Remote Desktop is on; None where a value is absent."""

    deny: Value | None
    policy_deny: Value | None
    """Of a policy, which wins."""
    win_station: Value | None
    services: tuple[Service, ...]
    """Those of RDP_SERVICES that are there."""
    where: Location
    """Of the key Terminal Server."""


class RdpListener(NamedTuple):
    """How Remote Desktop listens; None where a value is absent, which is Windows' own choice."""

    port: Value | None
    adapter: Value | None
    instances: Value | None
    certificate: Value | None
    security_layer: Value | None
    user_authentication: Value | None
    encryption_level: Value | None
    tls_enabled: Value | None
    tls_disabled_by_default: Value | None
    cipher_suites: Value | None
    where: Location
    """Of the listener's key."""


class FirewallProfile(NamedTuple):
    """The settings of one profile that hold: the policy's, else the machine's own."""

    name: str
    switch: Value | None
    default_action: Value | None

    @property
    def on(self) -> bool:
        """Whether it filters anything; it does unless a value says otherwise."""
        return self.switch is None or self.switch.number != 0

    @property
    def open(self) -> bool:
        """Whether it lets in what no rule is about."""
        return self.default_action is not None and self.default_action.number == 0


class RdpRule(NamedTuple):
    """A rule about TCP 3389, and the value that holds it."""

    rule: FirewallRule
    value: Value

    @property
    def would_allow(self) -> bool:
        """As `allows`, once it is active. One for some addresses lets in if it names the port."""
        rule = self.rule
        narrowed = rule.narrowed and not (rule.ports is not None and rule.narrowed <= _ADDRESSES)
        return rule.action == "allow" and not narrowed

    @property
    def allows(self) -> bool:
        """Whether it lets Remote Desktop in."""
        return self.rule.active and self.would_allow

    @property
    def blocks(self) -> bool:
        """Whether it keeps Remote Desktop out for everybody."""
        return self.rule.active and self.rule.action == "block" and not self.rule.narrowed


class Firewall(NamedTuple):
    """What the firewall does with Remote Desktop."""

    profiles: tuple[FirewallProfile, ...]
    rules: tuple[RdpRule, ...]
    """Inbound ones that cover TCP 3389 of the service, active or not, the machine's own and the policy's."""
    where: Location
    """Of the key of the machine's own rules."""


class StaticAddress(NamedTuple):
    """A network interface whose address is set by hand."""

    interface: str
    addresses: tuple[str, ...]
    value: Value
    """EnableDHCP."""


class WinHttpProxy(NamedTuple):
    """The proxy of services."""

    value: Value | None
    proxy: str | None
    """None where there is none, or the value is not understood."""
    bypass: tuple[str, ...]


class NetworkProvider(NamedTuple):
    """A network provider that is not part of Windows."""

    name: str
    path: Value | None
    there: bool | None
    """Whether its file is; None where no path is given, or one that leads elsewhere."""


class TempFolders(NamedTuple):
    """The folders for temporary files of the machine."""

    folders: tuple[Value, ...]
    drive: str
    """The letter of Windows' own drive, as it calls it itself."""


class LogonRight(NamedTuple):
    """The logon rights of one account."""

    sid: str
    name: str
    value: Value | None

    @property
    def mask(self) -> int | None:
        """The rights, one bit each; None where Windows has its default, or no such value."""
        if self.value is None or len(self.value.data) != 4:
            return None
        return int(unpack_at("<I", self.value.data)[0])


def remote_desktop(
    system_hive: Hive, software_hive: Hive, control_set: str, services: Services, file_system: NtfsVolume
) -> RemoteDesktop:
    """Whether Remote Desktop is on."""
    key = rf"{control_set}\Control\Terminal Server"
    return RemoteDesktop(
        system_hive.value(key, "fDenyTSConnections"),
        software_hive.value(POLICY_KEY, "fDenyTSConnections"),
        system_hive.value(rf"{key}\WinStations\RDP-Tcp", "fEnableWinStation"),
        tuple(service for name in RDP_SERVICES if (service := services.get(name))),
        Location(Layer.HIVE, None, file_system.partition, system_hive.path, key),
    )


def rdp_listener(
    system_hive: Hive, software_hive: Hive, control_set: str, file_system: NtfsVolume
) -> RdpListener:
    """How Remote Desktop listens."""
    key = rf"{control_set}\Control\Terminal Server\WinStations\RDP-Tcp"
    tls = rf"{control_set}\Control\SecurityProviders\SCHANNEL\Protocols\TLS 1.2\Server"
    return RdpListener(
        system_hive.value(key, "PortNumber"),
        system_hive.value(key, "LanAdapter"),
        system_hive.value(key, "MaxInstanceCount"),
        system_hive.value(key, "SSLCertificateSHA1Hash"),
        system_hive.value(key, "SecurityLayer"),
        system_hive.value(key, "UserAuthentication"),
        system_hive.value(key, "MinEncryptionLevel"),
        system_hive.value(tls, "Enabled"),
        system_hive.value(tls, "DisabledByDefault"),
        software_hive.value(CIPHER_KEY, "Functions"),
        Location(Layer.HIVE, None, file_system.partition, system_hive.path, key),
    )


def firewall(system_hive: Hive, software_hive: Hive, control_set: str, file_system: NtfsVolume) -> Firewall:
    """What the firewall does with Remote Desktop."""
    key = rf"{control_set}\Services\SharedAccess\Parameters\FirewallPolicy"

    def setting(local: str, policy: str, name: str) -> Value | None:
        by_policy = software_hive.value(rf"{POLICY_FIREWALL_KEY}\{policy}", name)
        return by_policy or system_hive.value(rf"{key}\{local}", name)

    profiles = (
        FirewallProfile(
            name, setting(local, policy, "EnableFirewall"), setting(local, policy, "DefaultInboundAction")
        )
        for name, local, policy in FIREWALL_PROFILES
    )
    values = (
        *system_hive.values(rf"{key}\FirewallRules"),
        *software_hive.values(rf"{POLICY_FIREWALL_KEY}\FirewallRules"),
    )
    where = Location(Layer.HIVE, None, file_system.partition, system_hive.path, rf"{key}\FirewallRules")
    return Firewall(tuple(profiles), tuple(filter(None, map(_rdp_rule, values))), where)


def _rdp_rule(value: Value) -> RdpRule | None:
    rule = read_rule(value.string or "")
    if rule is None or not rule.inbound or not rule.covers(TCP, RDP_PORT):
        return None
    # Windows 7 has the kernel listen (App=System), all later ones the service.
    program = rule.program is None or rule.program == "system" or rule.program.endswith("svchost.exe")
    return RdpRule(rule, value) if program and rule.service in (None, "*", "termservice") else None


def core_services(services: Services) -> tuple[Service, ...]:
    """The services without which there is no network, as far as they are there."""
    return tuple(service for name in CORE_SERVICES if (service := services.get(name)))


def persistent_routes(system_hive: Hive, control_set: str) -> tuple[Value, ...]:
    """The routes that Windows sets at each start; a value's name is the route."""
    return system_hive.values(rf"{control_set}\Services\Tcpip\Parameters\PersistentRoutes")


def static_addresses(system_hive: Hive, control_set: str) -> tuple[StaticAddress, ...]:
    """The interfaces whose address is set by hand; one without any address is none of them."""
    key = rf"{control_set}\Services\Tcpip\Parameters\Interfaces"
    found = []
    for name in system_hive.subkeys(key):
        dhcp = system_hive.value(rf"{key}\{name}", "EnableDHCP")
        if dhcp is None or dhcp.number != 0:
            continue
        texts = _strings(system_hive.value(rf"{key}\{name}", "IPAddress"))
        if addresses := tuple(text for text in texts if text.strip("0.")):
            found.append(StaticAddress(name, addresses, dhcp))
    return tuple(found)


def _strings(value: Value | None) -> tuple[str, ...]:
    """The texts of a REG_MULTI_SZ or REG_SZ; none of another type, or of what is not UTF-16."""
    if value is None or value.type not in (REG_SZ, _REG_MULTI_SZ) or len(value.data) % 2:
        return ()
    text = value.data.decode("utf-16-le", "replace")
    return tuple(part for part in text.split("\0") if part)


def winhttp_proxy(software_hive: Hive) -> WinHttpProxy:
    """The proxy of services, the agent of Azure among them."""
    value = software_hive.value(WINHTTP_KEY, "WinHttpSettings")
    found = read_winhttp(value.data) if value is not None and value.type == REG_BINARY else None
    if found is None:
        return WinHttpProxy(value, None, ())
    return WinHttpProxy(value, found[0], tuple(found[1].replace(";", " ").split()))


def read_winhttp(data: bytes) -> tuple[str, str] | None:
    """Proxy and bypass list of the value WinHttpSettings; None where no proxy is set or it is malformed."""
    if len(data) < 12:
        return None
    size, _, flags = unpack_at("<III", data)
    if size not in _WINHTTP_SIZES or not flags & _WINHTTP_PROXY:
        return None
    texts, at = [], 12
    for _ in range(2):
        if at + 4 > len(data):
            return None
        (length,) = unpack_at("<I", data, at)
        if at + 4 + length > len(data):
            return None
        texts.append(data[at + 4 : at + 4 + length].decode("latin-1").rstrip("\0"))
        at += 4 + length
    return (texts[0], texts[1]) if texts[0] else None


def network_providers(
    system_hive: Hive, control_set: str, services: Services, file_system: NtfsVolume
) -> tuple[NetworkProvider, ...]:
    """The network providers that are not part of Windows, in their order."""
    order = system_hive.value(rf"{control_set}\Control\NetworkProvider\Order", "ProviderOrder")
    names = [name.strip() for name in (order.string or "").split(",")] if order is not None else []
    found = []
    for name in names[:MAX_PROVIDERS]:
        if not name or "\\" in name or name.lower() in OWN_PROVIDERS:
            continue
        path = system_hive.value(rf"{services.key}\{name}\NetworkProvider", "ProviderPath")
        file = provider_file(path.string or "") if path is not None else None
        there = None if file is None else file_system.size(file) is not None
        found.append(NetworkProvider(name, path, there))
    return tuple(found)


def provider_file(path: str) -> str | None:
    """A path of the registry below the root of the volume of Windows; None where it leads elsewhere."""
    path = path.strip().strip('"').removeprefix("\\??\\")
    if "." not in path.rpartition("\\")[2].strip("."):
        return None  # the loader would add an ending
    if path and not any(mark in path for mark in '\\/:%"'):
        return rf"{SYSTEM_FOLDER}\System32\{path}"
    for beginning, folder in _FOLDERS:
        rest = path[len(beginning) :]
        if path.lower().startswith(beginning) and rest.strip("\\"):
            parts = rest.split("\\")
            understood = not {"", ".", ".."} & set(parts) and not any(mark in rest for mark in "/:%")
            return folder + rest if understood else None
    return None


def san_policy(system_hive: Hive, control_set: str) -> Value | None:
    """What Windows does with disks that it sees for the first time; None where it is left to Windows."""
    return system_hive.value(rf"{control_set}\Services\partmgr\Parameters", "SanPolicy")


def temp_folders(system_hive: Hive, software_hive: Hive, control_set: str) -> TempFolders:
    """The folders for temporary files of the machine, and the drive of Windows."""
    key = rf"{control_set}\Control\Session Manager\Environment"
    folders = (system_hive.value(key, name) for name in ("TEMP", "TMP"))
    root = software_hive.value(VERSION_KEY, "SystemRoot")
    text = (root.string or "") if root is not None else ""
    drive = text[0].upper() if text[1:2] == ":" else "C"
    return TempFolders(tuple(value for value in folders if value is not None), drive)


def security_hive(file_system: NtfsVolume) -> Hive:
    """The SECURITY hive; the primary file only, never RegBack."""
    return open_hive(file_system, "SECURITY")


def logon_rights(security_hive: Hive) -> tuple[LogonRight, ...]:
    """The logon rights of the groups that matter for reaching a machine."""
    return tuple(
        LogonRight(sid, name, security_hive.value(rf"Policy\Accounts\{sid}\ActSysAc", ""))
        for sid, name in ACCOUNTS.items()
    )
