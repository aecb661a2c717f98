"""What a stock Windows Server 2022 has beside its state: drivers, services, settings.

Values as healthy installations have them; the measured ones are listed in docs/checks/not-checked.md with
their sources. A check that calls any of this an error cries wolf.
"""

from __future__ import annotations

from tests.images.hive import Data, Raw
from tests.images.windows import Windows

CONTROL = r"ControlSet001\Control"
SERVICES_KEY = r"ControlSet001\Services"
TERMINAL_SERVER_KEY = rf"{CONTROL}\Terminal Server"
RDP_KEY = rf"{TERMINAL_SERVER_KEY}\WinStations\RDP-Tcp"
FIREWALL_KEY = rf"{SERVICES_KEY}\SharedAccess\Parameters\FirewallPolicy"
WINLOGON_KEY = r"Microsoft\Windows NT\CurrentVersion\Winlogon"
SERVICING_STACK_KEY = r"Microsoft\Windows\CurrentVersion\Component Based Servicing"
SYSPREP_PROVIDERS_KEY = r"Microsoft\Windows\CurrentVersion\Setup\Sysprep"

DRIVERS = {
    "disk": 0, "partmgr": 0, "volmgr": 0, "volmgrx": 0, "mountmgr": 0, "fltmgr": 0, "storport": None,
    "ntfs": None, "acpi": 0, "pci": 0, "vpci": 0, "vdrvroot": 0, "volsnap": 0, "vmbus": 0, "storvsc": 0,
    "vmstorfl": None, "atapi": 0, "ataport": None, "intelide": 0, "pciidex": None, "pciide": 0,
    "storahci": 0, "stornvme": 0, "cdrom": 1, "netvsc": 3, "hyperkbd": 3, "HyperVideo": 3, "fvevol": 0,
    "iorate": 0, "rdyboost": 0, "EhStorClass": 0, "clfs": None, "Tcpip": 0, "NDIS": 0, "Afd": 1,
    "NetBT": 1, "nsiproxy": 1, "cdfs": 4, "udfs": 4,
}  # fmt: skip
"""Driver files, and how the service of the same name starts; None has no service."""

SERVICES = {
    "BFE": 2, "Dhcp": 2, "Dnscache": 2, "nsi": 2, "mpssvc": 2, "RpcSs": 2, "DcomLaunch": 2,
    "RpcEptMapper": 2, "NlaSvc": 2, "IKEEXT": 3, "iphlpsvc": 2, "Netlogon": 3, "Netman": 3,
    "TermService": 3, "SessionEnv": 3, "UmRdpService": 3, "RemoteRegistry": 2, "W32Time": 3, "WinRM": 2,
    "AppXSvc": 3, "LanmanServer": 2, "LanmanWorkstation": 2, "sacsvr": 3, "vmicheartbeat": 3,
    "vmicshutdown": 3, "vmictimesync": 3, "TrustedInstaller": 3, "WebClient": 3, "wuauserv": 3,
}  # fmt: skip

FILES = (
    "svchost.exe", "kdcom.dll", "pshed.dll", "ntlanman.dll", "drprov.dll", "davclnt.dll", "spopk.dll",
    "spbcd.dll", "AppxSysprep.dll", r"CodeIntegrity\driver.stl", r"CodeIntegrity\DriverSiPolicy.p7b",
)  # fmt: skip

CLASS_FILTERS = {
    "{4d36e967-e325-11ce-bfc1-08002be10318}": {"UpperFilters": ["partmgr"], "LowerFilters": ["EhStorClass"]},
    "{4d36e96a-e325-11ce-bfc1-08002be10318}": {},
    "{4d36e97b-e325-11ce-bfc1-08002be10318}": {},
    "{4d36e97d-e325-11ce-bfc1-08002be10318}": {},
    "{71a27cdd-812a-11d0-bec7-08002be2092f}": {
        "UpperFilters": ["volsnap"],
        "LowerFilters": ["fvevol", "iorate", "rdyboost"],
    },
}
"""Disk, HDC, SCSI adapter, system and volume classes."""

RDP_RULE = (
    r"v2.31|Action=Allow|Active={active}|Dir=In|Protocol={protocol}|LPort=3389|"
    r"App=%SystemRoot%\system32\svchost.exe|Svc=termservice|Name=@FirewallAPI.dll,-28775|"
    r"Desc=@FirewallAPI.dll,-28756|EmbedCtxt=@FirewallAPI.dll,-28752|"
)


def expand(text: str) -> Raw:
    """A REG_EXPAND_SZ."""
    return Raw(2, f"{text}\0".encode("utf-16-le"))


def with_stock_settings(windows: Windows, program: bytes) -> Windows:
    """Services, drivers, settings and files that do not depend on the state."""
    for name, start in DRIVERS.items():
        windows = windows.file(rf"Windows\System32\drivers\{name}.sys", program)
        if start is not None:
            windows = windows.system(
                rf"{SERVICES_KEY}\{name}",
                Start=start,
                Type=1,
                ErrorControl=3,
                ImagePath=rf"System32\drivers\{name}.sys",
            )
    windows = windows.system(
        rf"{SERVICES_KEY}\storflt", Start=0, Type=1, ImagePath=r"System32\drivers\vmstorfl.sys"
    )
    for name, start in SERVICES.items():
        path = expand(r"%SystemRoot%\System32\svchost.exe -k netsvcs -p")
        windows = windows.system(rf"{SERVICES_KEY}\{name}", Start=start, Type=32, ImagePath=path)
    for name in FILES:
        windows = windows.file(rf"Windows\System32\{name}", program)
    return _software(_network(_terminal_server(_control(windows))))


def _control(windows: Windows) -> Windows:
    for guid, filters in CLASS_FILTERS.items():
        values: dict[str, Data] = {"Class": "stock", **filters}
        windows = windows.system(rf"{CONTROL}\Class\{guid}", values)
    return (
        windows.system(rf"{CONTROL}\ProductOptions", ProductType="ServerNT")
        .system(rf"{CONTROL}\Session Manager", BootExecute=["autocheck autochk *"])
        .system(
            rf"{CONTROL}\Session Manager\Environment",
            TEMP=expand(r"%SystemRoot%\TEMP"),
            TMP=expand(r"%SystemRoot%\TEMP"),
        )
        .system(rf"{CONTROL}\Session Manager\Memory Management", PagingFiles=[r"?:\pagefile.sys"])
        .system(rf"{CONTROL}\TimeZoneInformation", TimeZoneKeyName="UTC")
        .system(rf"{CONTROL}\CrashControl", CrashDumpEnabled=7, DumpFile=expand(r"%SystemRoot%\MEMORY.DMP"))
        .system(
            rf"{CONTROL}\Power\User\PowerSchemes", ActivePowerScheme="381b4222-f694-41f0-9685-ff5bb260df2e"
        )
        .system(rf"{SERVICES_KEY}\partmgr\Parameters", SanPolicy=2)
        .system(rf"{CONTROL}\NetworkProvider\Order", ProviderOrder="RDPNP,LanmanWorkstation,webclient")
        .system(
            rf"{SERVICES_KEY}\RDPNP\NetworkProvider", ProviderPath=expand(r"%SystemRoot%\System32\drprov.dll")
        )
        .system(
            rf"{SERVICES_KEY}\LanmanWorkstation\NetworkProvider",
            ProviderPath=expand(r"%SystemRoot%\System32\ntlanman.dll"),
        )
        .system(
            rf"{SERVICES_KEY}\webclient\NetworkProvider",
            ProviderPath=expand(r"%SystemRoot%\System32\davclnt.dll"),
        )
    )


def _terminal_server(windows: Windows) -> Windows:
    return windows.system(TERMINAL_SERVER_KEY, fDenyTSConnections=1).system(
        RDP_KEY,
        PortNumber=3389,
        LanAdapter=0,
        UserAuthentication=1,
        SecurityLayer=2,
        MinEncryptionLevel=2,
        MaxInstanceCount=0xFFFFFFFF,
        fEnableWinStation=1,
    )


def _network(windows: Windows) -> Windows:
    for profile in ("DomainProfile", "StandardProfile", "PublicProfile"):
        windows = windows.system(rf"{FIREWALL_KEY}\{profile}", EnableFirewall=1)
    rules: dict[str, Data] = {
        f"RemoteDesktop-UserMode-In-{name}": RDP_RULE.format(active="FALSE", protocol=number)
        for name, number in (("TCP", 6), ("UDP", 17))
    }
    return windows.system(rf"{FIREWALL_KEY}\FirewallRules", rules).system(
        rf"{SERVICES_KEY}\Tcpip\Parameters", {"Domain": "", "NV Domain": "", "Hostname": "BUILD-01"}
    )


def _software(windows: Windows) -> Windows:
    root = r"C:\Windows\System32"
    return (
        windows.software(WINLOGON_KEY, AutoAdminLogon="0", Shell="explorer.exe")
        .software(rf"{SERVICING_STACK_KEY}\SessionsPending", Exclusive=0)
        .software(rf"{SERVICING_STACK_KEY}\SessionsPending\30742661_3512345678", Complete=1)
        .software(
            rf"{SYSPREP_PROVIDERS_KEY}\Cleanup",
            {"{EC9FE15D-99DD-4FB9-90D5-5B56E42A0F80}": rf"{root}\spopk.dll,Sysprep_Clean_Opk"},
        )
        .software(
            rf"{SYSPREP_PROVIDERS_KEY}\Generalize",
            {
                "{8A7B8C0D-1B5D-4C7E-8E3B-5B56E42A0F81}": rf"{root}\spbcd.dll,Sysprep_Generalize_Bcd",
                "{8A7B8C0D-1B5D-4C7E-8E3B-5B56E42A0F82}": rf"{root}\AppxSysprep.dll,SysprepGeneralize",
            },
        )
        .software(rf"{SYSPREP_PROVIDERS_KEY}\Specialize")
        .software(r"Microsoft\Windows NT\CurrentVersion\SoftwareProtectionPlatform", SkipRearm=0)
        .software(r"Policies\Microsoft\Windows")
        .software(r"Microsoft\Windows\CurrentVersion\WSMAN\Service", auth_basic=0, allow_unencrypted=0)
        .in_hive("COMPONENTS", "CanonicalData")
        .in_hive("SAM", r"SAM\Domains\Account\Users\Names")
        .in_hive("SECURITY", r"Policy\Accounts")
    )
