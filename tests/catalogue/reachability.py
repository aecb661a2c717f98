"""Whether the machines can be reached: Remote Desktop, firewall, services, network, rights."""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any

from tests.catalogue.drivers import kept_elsewhere
from tests.catalogue.model import Case, cannot_tell, fails, passes
from tests.images import ABSENT, SERVICES_KEY, VERSION_KEY, Raw, Windows, generalized, installed, wim_applied
from tests.images.hive import Data
from tests.images.stock import (
    CONTROL,
    FIREWALL_KEY,
    RDP_KEY,
    RDP_RULE,
    TERMINAL_SERVER_KEY,
    expand,
)

SPECIALIZED: dict[str, Any] = {"windows": installed, "profile": "azure-specialized"}
TS_POLICY_KEY = r"Policies\Microsoft\Windows NT\Terminal Services"
FIREWALL_POLICY_KEY = r"Policies\Microsoft\WindowsFirewall"
RULES_KEY = rf"{FIREWALL_KEY}\FirewallRules"
TLS_KEY = rf"{CONTROL}\SecurityProviders\SCHANNEL\Protocols\TLS 1.2\Server"
CIPHER_KEY = r"Policies\Microsoft\Cryptography\Configuration\SSL\00010002"
TCPIP_KEY = rf"{SERVICES_KEY}\Tcpip\Parameters"
CONNECTIONS_KEY = r"Microsoft\Windows\CurrentVersion\Internet Settings\Connections"
PROVIDERS_KEY = rf"{CONTROL}\NetworkProvider\Order"
PROVIDER_KEY = rf"{SERVICES_KEY}\acme\NetworkProvider"
ENVIRONMENT_KEY = rf"{CONTROL}\Session Manager\Environment"
RDP_IN = "RemoteDesktop-UserMode-In-TCP"
ALLOW = RDP_RULE.format(active="TRUE", protocol=6)
OLD_RULE = "v2.10|Action=Allow|Active=TRUE|Dir=In|Protocol=6|LPort=3389|App=System|Name=Remote Desktop|"
AZURE_RULE = (
    "v2.31|Action=Allow|Active=TRUE|Dir=In|RA4=168.63.129.16/255.255.255.255|Name=AzurePlatform|Edge=TRUE|"
)
STORE_RULE = "v2.31|Action=Allow|Active=TRUE|Dir=In|Profile=Public|Name=An app|AppPkgId=S-1-15-2-1|"
BLOCK = "v2.31|Action=Block|Active=TRUE|Dir=In|Name=Block|"

Change = Callable[[Windows], Windows]


def lost_system(windows: Windows) -> Windows:
    """Without anything in the SYSTEM hive."""
    return windows.file(r"Windows\System32\config\SYSTEM", b"")


def system(key: str, values: dict[str, Data] | None = None, **named: Data) -> Change:
    """Values in the SYSTEM hive."""
    return lambda windows: windows.system(key, values, **named)


def software(key: str, values: dict[str, Data] | None = None, **named: Data) -> Change:
    """Values in the SOFTWARE hive."""
    return lambda windows: windows.software(key, values, **named)


def both(*changes: Change) -> Change:
    """One change after the other."""

    def change(windows: Windows) -> Windows:
        for each in changes:
            windows = each(windows)
        return windows

    return change


# -- Remote Desktop ----------------------------------------------------------------------------------

ON = system(TERMINAL_SERVER_KEY, fDenyTSConnections=0)

ENABLED = (
    passes("rdp-enabled", change=ON, shows="0 (REG_DWORD)"),
    passes("rdp-enabled", "on, specialized", change=ON, **SPECIALIZED),
    passes("rdp-enabled", "a policy switches it on", change=software(TS_POLICY_KEY, fDenyTSConnections=0)),
    fails("rdp-enabled", "stock", "notice", says="it is switched off", verdict="deployable"),
    fails("rdp-enabled", "off, specialized", "warning", says="it is switched off", **SPECIALIZED),
    fails(
        "rdp-enabled",
        "a policy wins",
        "warning",
        says="a policy refuses",
        change=both(ON, software(TS_POLICY_KEY, fDenyTSConnections=1)),
        **SPECIALIZED,
    ),
    fails(
        "rdp-enabled",
        "no value",
        "notice",
        says="Nothing says",
        change=system(TERMINAL_SERVER_KEY, fDenyTSConnections=ABSENT),
        **SPECIALIZED,
    ),
    *(
        fails(
            "rdp-enabled",
            f"{name} disabled",
            "warning",
            says=f"the service {name} is disabled",
            shows="4 (disabled)",
            change=both(ON, system(rf"{SERVICES_KEY}\{name}", Start=4)),
            **SPECIALIZED,
        )
        for name in ("TermService", "SessionEnv", "UmRdpService")
    ),
    passes(
        "rdp-enabled",
        "automatic",
        change=both(ON, system(rf"{SERVICES_KEY}\TermService", Start=2)),
        **SPECIALIZED,
    ),
    fails(
        "rdp-enabled",
        "listener disabled",
        "warning",
        says="its listener is disabled",
        change=both(ON, system(RDP_KEY, fEnableWinStation=0)),
        **SPECIALIZED,
    ),
    cannot_tell("rdp-enabled", change=lost_system),
)

NO_LISTENER_VALUES = system(
    RDP_KEY,
    PortNumber=ABSENT,
    LanAdapter=ABSENT,
    MaxInstanceCount=ABSENT,
    SecurityLayer=ABSENT,
    UserAuthentication=ABSENT,
    MinEncryptionLevel=ABSENT,
)
LISTENER_FAULTS: dict[str, tuple[Change, str]] = {
    "port": (system(RDP_KEY, PortNumber=33890), "another port than 3389"),
    "adapter": (system(RDP_KEY, LanAdapter=1), "one adapter only"),
    "sessions": (system(RDP_KEY, MaxInstanceCount=0), "allows no session"),
    "certificate": (system(RDP_KEY, SSLCertificateSHA1Hash=bytes(20)), "bound to a certificate"),
    "security layer": (system(RDP_KEY, SecurityLayer=3), "SecurityLayer is a number"),
    "authentication": (system(RDP_KEY, UserAuthentication=2), "UserAuthentication is a number"),
    "encryption 0": (system(RDP_KEY, MinEncryptionLevel=0), "MinEncryptionLevel is a number"),
    "encryption 5": (system(RDP_KEY, MinEncryptionLevel=5), "MinEncryptionLevel is a number"),
    "a text": (system(RDP_KEY, MinEncryptionLevel="2"), "MinEncryptionLevel is a number"),
    "TLS": (system(TLS_KEY, Enabled=0), "TLS 1.2 is switched off"),
    "TLS by default": (system(TLS_KEY, DisabledByDefault=1), "TLS 1.2 is switched off"),
    "ciphers": (software(CIPHER_KEY, Functions=""), "no cipher suite"),
    "cipher list": (software(CIPHER_KEY, Functions=Raw(7, bytes(4))), "no cipher suite"),
}
LISTENER = (
    passes("rdp-listener", shows="3389 (REG_DWORD)"),
    passes("rdp-listener", "no values", change=NO_LISTENER_VALUES, **SPECIALIZED),
    passes(
        "rdp-listener",
        "ends of the ranges",
        change=system(RDP_KEY, SecurityLayer=0, UserAuthentication=0, MinEncryptionLevel=4),
    ),
    passes(
        "rdp-listener",
        "TLS and ciphers",
        change=both(
            system(TLS_KEY, Enabled=0xFFFFFFFF, DisabledByDefault=0),
            system(TLS_KEY.replace("Server", "Client"), Enabled=0),
            software(CIPHER_KEY, Functions="TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384"),
        ),
    ),
    passes("rdp-listener", "a policy without a list", change=software(CIPHER_KEY, EccCurves="x")),
    *(
        fails("rdp-listener", name, "warning", says=says, change=change)
        for name, (change, says) in LISTENER_FAULTS.items()
    ),
    fails("rdp-listener", "port, specialized", change=LISTENER_FAULTS["port"][0], **SPECIALIZED),
    cannot_tell("rdp-listener", change=lost_system),
)


# -- firewall ----------------------------------------------------------------------------------------


def rules(values: dict[str, Data], *changes: Change) -> Change:
    """Local rules beside those of a stock Windows."""
    return both(system(RULES_KEY, values), *changes)


def switched(*profiles: str, to: int = 0) -> Change:
    """The firewall off (or on) in some profiles."""
    return both(*(system(rf"{FIREWALL_KEY}\{profile}", EnableFirewall=to) for profile in profiles))


OFF = switched("DomainProfile", "StandardProfile", "PublicProfile")
POLICY_OFF = both(
    *(
        software(rf"{FIREWALL_POLICY_KEY}\{profile}", EnableFirewall=0)
        for profile in ("DomainProfile", "PrivateProfile", "PublicProfile")
    )
)
FIREWALL = (
    passes("firewall-rdp", change=rules({RDP_IN: ALLOW}), shows="Active=TRUE"),
    passes("firewall-rdp", "specialized", change=rules({RDP_IN: ALLOW}), **SPECIALIZED),
    passes(
        "firewall-rdp", "rule of Windows 7", change=rules({"RemoteDesktop-In-TCP": OLD_RULE}), **SPECIALIZED
    ),
    passes(
        "firewall-rdp",
        "rule of a policy",
        change=software(rf"{FIREWALL_POLICY_KEY}\FirewallRules", {"{1}": ALLOW}),
        **SPECIALIZED,
    ),
    passes(
        "firewall-rdp",
        "for some addresses",
        change=rules({"{1}": ALLOW.replace("|App", "|RA4=10.0.0.0/255.0.0.0|App")}),
        **SPECIALIZED,
    ),
    passes("firewall-rdp", "off", says="off in every profile", change=OFF, **SPECIALIZED),
    passes("firewall-rdp", "off by policy", says="off in every profile", change=POLICY_OFF, **SPECIALIZED),
    passes(
        "firewall-rdp",
        "lets everything in",
        change=both(
            *(
                system(rf"{FIREWALL_KEY}\{profile}", DefaultInboundAction=0)
                for profile in ("DomainProfile", "StandardProfile", "PublicProfile")
            )
        ),
        **SPECIALIZED,
    ),
    passes(
        "firewall-rdp",
        "blocks others",
        change=rules(
            {
                RDP_IN: ALLOW,
                "{1}": f"{BLOCK}RA4=10.0.0.1|",
                "{2}": f"{BLOCK}App=C:\\game.exe|",
                "{3}": f"{BLOCK}Protocol=17|LPort=3389|",
                "{4}": f"{BLOCK}Protocol=6|LPort2_10=80-443|",
                "{5}": BLOCK.replace("TRUE", "FALSE"),
                "{6}": BLOCK.replace("Dir=In", "Dir=Out"),
            }
        ),
        **SPECIALIZED,
    ),
    fails("firewall-rdp", "stock", "notice", says="no active rule lets it in", shows="Active=FALSE"),
    fails("firewall-rdp", "stock, specialized", "warning", says="no active rule lets it in.", **SPECIALIZED),
    fails(
        "firewall-rdp",
        "rules for others",
        "warning",
        change=rules({"AzurePlatform": AZURE_RULE, "{1}": STORE_RULE}),
        **SPECIALIZED,
    ),
    fails(
        "firewall-rdp",
        "a policy switches it on",
        "warning",
        says="on public networks",
        change=both(OFF, software(rf"{FIREWALL_POLICY_KEY}\PublicProfile", EnableFirewall=1)),
        **SPECIALIZED,
    ),
    fails(
        "firewall-rdp",
        "no rules at all",
        "warning",
        shows="no active rule",
        change=lambda windows: windows.without_key("SYSTEM", RULES_KEY),
        **SPECIALIZED,
    ),
    fails(
        "firewall-rdp",
        "in domains only",
        "notice",
        says="on private and public networks",
        change=rules({RDP_IN: ALLOW.replace("|LPort", "|Profile=Domain|LPort")}),
        **SPECIALIZED,
    ),
    *(
        fails(
            "firewall-rdp",
            f"blocked by {name}",
            "warning",
            says="a rule blocks it",
            shows="Action=Block",
            change=rules({RDP_IN: ALLOW, "{1}": BLOCK + more}),
            **SPECIALIZED,
        )
        for name, more in {
            "everything": "",
            "port": "Protocol=6|LPort=3389|",
            "range": "Protocol=6|LPort2_10=3000-4000|",
            "service": r"App=%SystemRoot%\System32\svchost.exe|Svc=TermService|",
            "public profile": "Profile=Public|",
        }.items()
    ),
    fails(
        "firewall-rdp",
        "blocked in domains",
        "notice",
        says="a rule blocks it",
        change=rules({RDP_IN: ALLOW, "{1}": f"{BLOCK}Profile=Domain|"}),
        **SPECIALIZED,
    ),
    fails(
        "firewall-rdp",
        "blocked by policy",
        "warning",
        change=both(
            rules({RDP_IN: ALLOW}), software(rf"{FIREWALL_POLICY_KEY}\FirewallRules", {"{1}": BLOCK})
        ),
        **SPECIALIZED,
    ),
    cannot_tell("firewall-rdp", change=lost_system),
)


# -- services and network ----------------------------------------------------------------------------

CORE = (
    passes("core-services"),
    passes("core-services", "specialized", **SPECIALIZED),
    passes(
        "core-services",
        "one that is not there",
        change=lambda windows: windows.without_key("SYSTEM", rf"{SERVICES_KEY}\nsiproxy"),
    ),
    passes("core-services", "manual", change=system(rf"{SERVICES_KEY}\Dhcp", Start=3)),
    *(
        fails(
            "core-services",
            name,
            "warning",
            says=name,
            shows="4 (disabled)",
            change=system(rf"{SERVICES_KEY}\{name}", Start=4),
        )
        for name in ("Dhcp", "Tcpip", "mpssvc", "RpcEptMapper")
    ),
    fails(
        "core-services",
        "specialized, disabled",
        change=system(rf"{SERVICES_KEY}\BFE", Start=4),
        **SPECIALIZED,
    ),
    cannot_tell("core-services", change=lost_system),
)


def winhttp(proxy: str, bypass: str, *, flags: int = 3, size: int = 0x28, cut: int = 0) -> Change:
    """The proxy of services, as netsh writes it."""
    data = struct.pack("<III", size, 1, flags)
    for text in (proxy, bypass):
        data += struct.pack("<I", len(text)) + text.encode()
    data += bytes(0 if cut else 32)
    return software(CONNECTIONS_KEY, WinHttpSettings=data[: len(data) - cut])


STATIC = system(
    rf"{TCPIP_KEY}\Interfaces\{{6AAFC9A9-0542-4DB2-8760-CCFFA953737C}}",
    EnableDHCP=0,
    IPAddress=["192.168.1.123"],
)
PROXIES: dict[str, Change] = {
    "direct": winhttp("", "", flags=1, size=0x18),
    "proxy off": winhttp("proxy:8080", "", flags=1),
    "bypass": winhttp("proxy:8080", "<local>;168.63.129.16"),
    "bypass by pattern": winhttp("proxy:8080", "<local> 168.63.*"),
    "bypass everything": winhttp("proxy:8080", "*"),
    "cut": winhttp("proxy:8080", "<local>", cut=3),
    "another layout": winhttp("proxy:8080", "<local>", size=0x46),
    "empty": software(CONNECTIONS_KEY, WinHttpSettings=b""),
    "a text": software(CONNECTIONS_KEY, WinHttpSettings="proxy:8080"),
}
NETWORK = (
    passes("network-config"),
    passes("network-config", "specialized", **SPECIALIZED),
    *(passes("network-config", name, change=change) for name, change in PROXIES.items()),
    passes("network-config", "static address, generalized", change=STATIC),
    passes(
        "network-config",
        "DHCP",
        change=both(
            system(rf"{TCPIP_KEY}\Interfaces\{{1}}", EnableDHCP=1, IPAddress=["10.0.0.4"]),
            system(rf"{TCPIP_KEY}\Interfaces\{{2}}", EnableDHCP=0, IPAddress=["0.0.0.0"]),
            system(rf"{TCPIP_KEY}\Interfaces\{{3}}", EnableDHCP=0),
        ),
        **SPECIALIZED,
    ),
    fails(
        "network-config",
        "route",
        "warning",
        says="persistent routes",
        shows="10.0.0.0,255.0.0.0,192.168.1.1,1",
        change=system(rf"{TCPIP_KEY}\PersistentRoutes", {"10.0.0.0,255.0.0.0,192.168.1.1,1": ""}),
    ),
    fails(
        "network-config",
        "static address",
        "warning",
        says="fixed address",
        shows="192.168.1.123",
        change=STATIC,
        **SPECIALIZED,
    ),
    fails(
        "network-config",
        "proxy",
        "warning",
        says="through a proxy only",
        shows="proxy proxy.example.com:8080, exceptions <local>",
        change=winhttp("proxy.example.com:8080", "<local>", size=0x18),
    ),
    fails("network-config", "proxy without exceptions", change=winhttp("proxy:8080", ""), **SPECIALIZED),
    fails("network-config", "another address", change=winhttp("proxy:8080", "168.63.129.1;1*8.63.129.17")),
    fails(
        "network-config",
        "a secret in the proxy",
        shows="http://user:[redacted]@proxy",
        change=winhttp("http://user:hunter2@proxy", "<local>"),
    ),
    cannot_tell("network-config", change=lost_system),
    cannot_tell(
        "network-config",
        "no SOFTWARE",
        change=lambda windows: windows.file(r"Windows\System32\config\SOFTWARE", b""),
    ),
)


def provider(path: Data, *files: str) -> Change:
    """A network provider of somebody else, and what lies on the disk."""

    def change(windows: Windows) -> Windows:
        order = "acme,P9NP,RDPNP,LanmanWorkstation,webclient"
        windows = windows.system(PROVIDERS_KEY, ProviderOrder=order).system(PROVIDER_KEY, ProviderPath=path)
        for file in files:
            windows = windows.file(file, b"MZ")
        return windows

    return change


SYSTEM_DLL = r"Windows\System32\acmenp.dll"
PROVIDERS = (
    passes("network-providers"),
    passes("network-providers", "media", windows=wim_applied),
    passes(
        "network-providers",
        "another's",
        change=provider(expand(r"%SystemRoot%\System32\acmenp.dll"), SYSTEM_DLL),
    ),
    passes("network-providers", "file name alone", change=provider("acmenp.dll", SYSTEM_DLL)),
    passes(
        "network-providers",
        "compressed by Windows",
        change=provider("acmenp.dll", SYSTEM_DLL),
        damage=kept_elsewhere(SYSTEM_DLL),
    ),
    passes(
        "network-providers",
        "in Program Files",
        change=provider(expand(r"%ProgramFiles%\Acme\np.dll"), r"Program Files\Acme\np.dll"),
    ),
    passes("network-providers", "another volume", change=provider(r"D:\acme\np.dll")),
    passes("network-providers", "a variable", change=provider(expand(r"%ACME%\np.dll"))),
    passes("network-providers", "a way up", change=provider(r"C:\Windows\..\np.dll")),
    passes("network-providers", "no path", change=provider(ABSENT)),
    passes(
        "network-providers",
        "no order",
        change=lambda windows: windows.without_key("SYSTEM", PROVIDERS_KEY),
    ),
    *(
        fails("network-providers", name, "warning", says="acme", shows=shows, change=provider(path))
        for name, path, shows in (
            ("missing", expand(r"%SystemRoot%\System32\acmenp.dll"), r"%SystemRoot%\System32\acmenp.dll"),
            ("missing in System32", "acmenp.dll", "acmenp.dll"),
            ("missing on the drive", r"C:\Program Files (x86)\Acme\np.dll", "np.dll"),
        )
    ),
    fails(
        "network-providers",
        "missing, specialized",
        "warning",
        change=provider(r"\??\C:\Acme\np.dll"),
        **SPECIALIZED,
    ),
    cannot_tell("network-providers", change=lost_system),
)


# -- what else is in the way -------------------------------------------------------------------------

SAN_KEY = rf"{SERVICES_KEY}\partmgr\Parameters"
SAN = (
    passes("san-policy", shows="2 (REG_DWORD)"),
    passes("san-policy", "absent", change=system(SAN_KEY, SanPolicy=ABSENT), **SPECIALIZED),
    passes("san-policy", "online", change=system(SAN_KEY, SanPolicy=1), **SPECIALIZED),
    fails(
        "san-policy", "all, generalized", "notice", change=system(SAN_KEY, SanPolicy=3), verdict="deployable"
    ),
    fails(
        "san-policy",
        "all",
        "warning",
        says="every new disk",
        change=system(SAN_KEY, SanPolicy=3),
        **SPECIALIZED,
    ),
    fails("san-policy", "internal", "warning", change=system(SAN_KEY, SanPolicy=4), **SPECIALIZED),
    cannot_tell("san-policy", change=lost_system),
)
TEMP = (
    passes("temp-folders", shows=r"%SystemRoot%\TEMP"),
    passes("temp-folders", "absent", change=system(ENVIRONMENT_KEY, TEMP=ABSENT, TMP=ABSENT)),
    passes("temp-folders", "elsewhere on C:", change=system(ENVIRONMENT_KEY, TEMP=r"c:\Temp")),
    passes(
        "temp-folders",
        "Windows on D:",
        change=both(
            system(ENVIRONMENT_KEY, TEMP=r"D:\Temp"), software(VERSION_KEY, SystemRoot=r"D:\Windows")
        ),
    ),
    fails("temp-folders", "D:", "warning", says="(TEMP)", change=system(ENVIRONMENT_KEY, TEMP=r"D:\Temp")),
    fails(
        "temp-folders",
        "both",
        "warning",
        says="(TEMP and TMP)",
        change=system(ENVIRONMENT_KEY, TEMP=r"D:\Temp", TMP=expand(r"E:\Temp")),
        **SPECIALIZED,
    ),
    cannot_tell("temp-folders", change=lost_system),
)

ADMINISTRATORS, USERS, RDP_USERS = "S-1-5-32-544", "S-1-5-32-545", "S-1-5-32-555"
EVERYONE, AUTHENTICATED = "S-1-1-0", "S-1-5-11"
STOCK_RIGHTS = {ADMINISTRATORS: 0x407, USERS: 0x3, EVERYONE: 0x2, RDP_USERS: 0x400, "S-1-5-32-551": 0x7}
"""As Windows Server 2022 has them."""


def rights(**changed: int | None) -> Change:
    """The stock rights with some of them changed; None leaves out an account."""
    names = {"administrators": ADMINISTRATORS, "users": USERS, "rdp_users": RDP_USERS, "everyone": EVERYONE}
    names |= {"authenticated": AUTHENTICATED, "guest": "S-1-5-21-1-2-3-501"}
    masks: dict[str, int | None] = {**STOCK_RIGHTS, **{names[name]: mask for name, mask in changed.items()}}

    def change(windows: Windows) -> Windows:
        for sid, mask in masks.items():
            if mask is not None:
                key = rf"Policy\Accounts\{sid}\ActSysAc"
                windows = windows.in_hive("SECURITY", key, {"": Raw(0, struct.pack("<I", mask))})
        return windows

    return change


RIGHTS = (
    passes("user-rights", change=rights(), shows="logon rights 0x407", **SPECIALIZED),
    passes("user-rights", "no accounts", **SPECIALIZED),
    passes("user-rights", "one denied", change=rights(guest=0x8C0), **SPECIALIZED),
    passes("user-rights", "Remote Desktop Users alone", change=rights(administrators=0x7), **SPECIALIZED),
    passes("user-rights", "Administrators alone", change=rights(rdp_users=None), **SPECIALIZED),
    passes(
        "user-rights",
        "a cut mask",
        change=lambda windows: windows.in_hive(
            "SECURITY", rf"Policy\Accounts\{EVERYONE}\ActSysAc", {"": Raw(0, b"\xc0\x08")}
        ),
        **SPECIALIZED,
    ),
    *(
        fails("user-rights", name, "warning", says=says, change=change, **SPECIALIZED)
        for name, says, change in (
            ("console", "Administrators may not log on at the console", rights(administrators=0x447)),
            ("network", "Everyone may not log on over the network", rights(everyone=0x82)),
            ("Remote Desktop", "Users may not log on through Remote Desktop", rights(users=0x803)),
            ("authenticated", "Authenticated Users may not", rights(authenticated=0x8C0)),
            ("no right", "neither", rights(administrators=0x7, rdp_users=0x1)),
            ("no account left", "neither", rights(administrators=0x7, rdp_users=None)),
        )
    ),
    fails("user-rights", "jobs", "notice", says="as a batch job", change=rights(users=0x103), **SPECIALIZED),
    cannot_tell(
        "user-rights",
        change=lambda windows: windows.file(r"Windows\System32\config\SECURITY", b""),
        **SPECIALIZED,
    ),
    cannot_tell(
        "user-rights", "no hive", change=lambda windows: windows.without_hive("SECURITY"), **SPECIALIZED
    ),
)


# -- a machine that is set up as Azure's article has it ----------------------------------------------

READY = both(ON, rules({RDP_IN: ALLOW, "AzurePlatform": AZURE_RULE}), rights())
ARTICLE = tuple(
    passes(check, f"as the article has it, {name}", change=READY, windows=windows, profile=profile)
    for name, windows, profile in (
        ("generalized", generalized, "azure-generalized"),
        ("specialized", installed, "azure-specialized"),
    )
    for check in ("rdp-enabled", "rdp-listener", "firewall-rdp", "core-services", "network-config")
)

CASES: tuple[Case, ...] = (
    *ENABLED,
    *LISTENER,
    *FIREWALL,
    *CORE,
    *NETWORK,
    *PROVIDERS,
    *SAN,
    *TEMP,
    *RIGHTS,
    *ARTICLE,
)
