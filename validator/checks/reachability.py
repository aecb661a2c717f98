"""Reachability: what keeps people and the platform from reaching a machine that runs."""

from collections.abc import Iterator
from typing import NamedTuple

from validator.checks.model import Check, Finding, Remedy, Severity, by_profile, check, failed, passed
from validator.evidence import Evidence
from validator.facts.question import Question
from validator.facts.reachability import (
    ADMINISTRATORS,
    POLICY_KEY,
    REMOTE_DESKTOP_USERS,
    Firewall,
    FirewallProfile,
    LogonRight,
    NetworkProvider,
    RdpListener,
    RdpRule,
    RemoteDesktop,
    StaticAddress,
    TempFolders,
    WinHttpProxy,
)
from validator.facts.services import Service
from validator.redaction import redact
from validator.windows.hive import Value

FAMILY = "reachability"
_SINCE = "0.1"
_PREPARE = "https://learn.microsoft.com/azure/virtual-machines/windows/prepare-for-upload-vhd-image"
_REPAIR = "https://github.com/Azure/repair-script-library"
_INSPECT = "https://github.com/Azure/azure-diskinspect-service"
_FIREWALL_SPEC = (
    "https://learn.microsoft.com/openspecs/windows_protocols/ms-gpfas/2efe0b76-7b4a-41ff-9050-1023f8196d16"
)
_RIGHTS = (
    "https://learn.microsoft.com/windows/security/threat-protection/security-policy-settings/"
    "user-rights-assignment"
)
_PLATFORM = "https://learn.microsoft.com/azure/virtual-network/what-is-ip-address-168-63-129-16"
_MIGRATE = "https://learn.microsoft.com/azure/migrate/prepare-for-agentless-migration"

_LISTENER = r"HKLM:\SYSTEM\CurrentControlSet\Control\Terminal Server\Winstations\RDP-Tcp"
_TERMINAL_SERVER = r"HKLM:\SYSTEM\CurrentControlSet\Control\Terminal Server"
_ENVIRONMENT = r"HKLM:\SYSTEM\CurrentControlSet\Control\Session Manager\Environment"
_PLATFORM_ADDRESS = "168.63.129.16"
_HEALTHY_START = {"tcpip": 0, "ndis": 0, "afd": 1, "nsiproxy": 1}
"""Of the drivers; the services start automatically (2). Measured on Windows Server 2022 by Microsoft."""
_OFFLINE = {3: "every new disk offline", 4: "every new disk inside the machine offline"}
"""What SanPolicy 3 and 4 do."""
_RDP_RIGHT = 0x400
_DENIED = {0x40: "at the console", 0x80: "over the network", 0x800: "through Remote Desktop"}
_DENIED_TO_PROGRAMS = {0x100: "as a batch job", 0x200: "as a service"}
_BROAD = (ADMINISTRATORS, "S-1-5-32-545", "S-1-1-0", "S-1-5-11")


class _Fault(NamedTuple):
    """What is wrong in a few words, where that stands, and what mends it."""

    words: str
    evidence: Evidence
    commands: tuple[str, ...] = ()


def _set(key: str, name: str, number: int) -> str:
    """The article's command that sets a number."""
    return f"Set-ItemProperty -Path '{key}' -Name {name} -Value {number} -Type DWord -Force"


_LISTEN = (
    "Set the listener to what Azure expects. Leave a certificate of your own bound to it only where its key "
    "is in the image as well."
)
_UNBIND = f"Remove-ItemProperty -Path '{_LISTENER}' -Name SSLCertificateSHA1Hash -Force"
_TLS_ON = (
    r'reg delete "HKLM\SYSTEM\CurrentControlSet\Control\SecurityProviders\SCHANNEL\Protocols'
    r'\TLS 1.2\Server" /f'
)
_OWN_CIPHERS = (
    r"reg delete HKLM\SOFTWARE\Policies\Microsoft\Cryptography\Configuration\SSL\00010002 /v Functions /f"
)
_AT_HOME = (
    "Leave the network to Azure: remove persistent routes, let every interface take its address from DHCP, "
    f"and remove the proxy of services or give it an exception for {_PLATFORM_ADDRESS}."
)
_ROUTES = ("route.exe print", "route.exe delete <destination>")
_DHCP = ("Set-NetIPInterface -InterfaceAlias <name> -Dhcp Enabled",)
_PROXY = (
    "netsh.exe winhttp reset proxy",
    'netsh.exe winhttp set proxy "<your proxy server>" "<your list of bypasses>;168.63.129.16"',
)


def _seen(value: Value, expected: str = "") -> Evidence:
    """A value as it is stored, secrets hidden."""
    return Evidence(value.where, redact(value.evidence.found), expected, value.key_time)


def _told(
    beginning: str, faults: list[_Fault], *, mend: str = "", severity: Severity | None = None
) -> Finding:
    """All faults in one finding; where their commands are known, with these alone as its remedy."""
    words = "; ".join(dict.fromkeys(fault.words for fault in faults))
    commands = tuple(dict.fromkeys(command for fault in faults for command in fault.commands))
    remedy = Remedy(mend, commands) if mend else None
    evidence = (fault.evidence for fault in faults)
    return failed(f"{beginning}: {words}.", *evidence, severity=severity, remedy=remedy)


# -- Remote Desktop ----------------------------------------------------------------------------------


@check(
    "rdp-enabled",
    family=FAMILY,
    severity=by_profile(Severity.NOTICE, Severity.WARNING, None),
    remedy=Remedy(
        "Allow Remote Desktop; an error at the second command means that no policy sets it, and may be "
        "ignored.",
        (
            _set(_TERMINAL_SERVER, "fDenyTSConnections", 0),
            _set(rf"HKLM:\SOFTWARE\{POLICY_KEY}", "fDenyTSConnections", 0),
            "Get-Service -Name TermService, SessionEnv, UmRdpService | Where-Object StartType -eq Disabled | "
            "Set-Service -StartupType Manual",
            _set(_LISTENER, "fEnableWinStation", 1),
        ),
    ),
    references=(_PREPARE, _REPAIR, _INSPECT),
    since=_SINCE,
)
def rdp_enabled(remote_desktop: RemoteDesktop) -> Iterator[Finding]:
    r"""Remote Desktop takes connections.

    Windows refuses all of them while `fDenyTSConnections` is not 0. It stands in
    `SYSTEM\<control set>\Control\Terminal Server`, where 1 is the default of Windows, and may stand in
    `SOFTWARE\Policies\Microsoft\Windows NT\Terminal Services`, which then wins. The services that listen
    (`TermService`, `SessionEnv`, `UmRdpService`) must not be disabled (`Start` 4; 2 and 3 are both good),
    nor the listener (`WinStations\RDP-Tcp\fEnableWinStation` 0).

    A specialized machine comes up as it is on the disk, so this is a warning there. A generalized one is
    provisioned by Azure, which switches Remote Desktop on; it is only worth knowing, most of all where a
    policy sets it back. A value that is missing altogether is worth knowing in both: Windows was seen not
    to listen without it.
    """
    faults: list[_Fault] = []
    deny, policy = remote_desktop.deny, remote_desktop.policy_deny
    if policy is not None and policy.number != 0:
        faults.append(_Fault("a policy refuses all connections", _seen(policy, "0")))
    elif policy is None and deny is not None and deny.number != 0:
        faults.append(_Fault("it is switched off", _seen(deny, "0")))
    faults += [
        _Fault(f"the service {service.name} is disabled", service.evidence)
        for service in remote_desktop.services
        if service.disabled
    ]
    station = remote_desktop.win_station
    if station is not None and station.number == 0:
        faults.append(_Fault("its listener is disabled", _seen(station, "1")))
    if faults:
        yield _told("Remote Desktop takes no connections", faults)
    elif policy is None and deny is None:
        where = remote_desktop.where._replace(value="fDenyTSConnections")
        yield failed(
            "Nothing says whether Remote Desktop takes connections; Windows may refuse them then.",
            Evidence(where, "no such value", "0"),
            severity=Severity.NOTICE,
        )
    else:
        yield passed(
            "Remote Desktop takes connections.", *(_seen(value) for value in (deny, policy) if value)
        )


@check(
    "rdp-listener",
    family=FAMILY,
    severity=by_profile(Severity.WARNING, Severity.WARNING, None),
    remedy=Remedy(
        _LISTEN,
        (
            _set(_LISTENER, "PortNumber", 3389),
            _set(_LISTENER, "LanAdapter", 0),
            _set(_LISTENER, "UserAuthentication", 1),
            _set(_LISTENER, "MaxInstanceCount", 4294967295),
            _UNBIND,
        ),
    ),
    references=(_PREPARE, _REPAIR),
    since=_SINCE,
)
def rdp_listener(rdp_listener: RdpListener) -> Iterator[Finding]:
    r"""Remote Desktop listens where clients look for it, and can agree with them.

    Azure's rules and the firewall's are for port 3389 on every adapter, with any number of sessions:
    `PortNumber`, `LanAdapter` 0 and `MaxInstanceCount` not 0, in
    `SYSTEM\<control set>\Control\Terminal Server\WinStations\RDP-Tcp`. Windows takes `SecurityLayer` 0 to 2,
    `UserAuthentication` 0 and 1 and `MinEncryptionLevel` 1 to 4, and with another number there no client
    can connect. `SSLCertificateSHA1Hash` binds the listener to a certificate: Windows never writes it by
    itself, and where the certificate or its key is missing nobody gets in (a valid certificate of your own
    is bound the same way; then there is nothing to mend).

    Connections are encrypted by TLS, so TLS 1.2 must not be switched off for servers
    (`Control\SecurityProviders\SCHANNEL\Protocols\TLS 1.2\Server`: `Enabled` 0, `DisabledByDefault` 1), and
    the list of cipher suites that a policy may set (`Functions` in
    `SOFTWARE\Policies\Microsoft\Cryptography\Configuration\SSL\00010002`) must not be empty. A value that
    is absent is Windows' own choice, and good.
    """
    listener = rdp_listener
    faults: list[_Fault] = []

    def expect(value: Value | None, good: bool, words: str, expected: str, command: str) -> None:
        if value is not None and not good:
            faults.append(_Fault(words, _seen(value, expected), (command,)))

    port, adapter, instances = map(_number, (listener.port, listener.adapter, listener.instances))
    words = "it listens on another port than 3389"
    expect(listener.port, port == 3389, words, "3389", _set(_LISTENER, "PortNumber", 3389))
    words = "it listens on one adapter only"
    expect(listener.adapter, adapter == 0, words, "0", _set(_LISTENER, "LanAdapter", 0))
    command = _set(_LISTENER, "MaxInstanceCount", 4294967295)
    expect(listener.instances, instances != 0, "it allows no session", "4294967295", command)
    words = "it is bound to a certificate, without whose key nobody gets in"
    expect(listener.certificate, False, words, "no such value", _UNBIND)
    for value, first, last, best in (
        (listener.security_layer, 0, 2, 2),
        (listener.user_authentication, 0, 1, 1),
        (listener.encryption_level, 1, 4, 3),
    ):
        number, name = _number(value), value.name if value is not None else ""
        good = number is not None and first <= number <= last
        words = f"{name} is a number that Windows does not know"
        expect(value, good, words, f"{first} to {last}", _set(_LISTENER, name, best))
    enabled, off = listener.tls_enabled, listener.tls_disabled_by_default
    expect(enabled, _number(enabled) != 0, "TLS 1.2 is switched off", "not 0", _TLS_ON)
    expect(off, _number(off) != 1, "TLS 1.2 is switched off", "0", _TLS_ON)
    suites = listener.cipher_suites
    empty = suites is not None and _is_empty(suites)
    expect(suites, not empty, "a policy leaves no cipher suite", "a cipher suite", _OWN_CIPHERS)
    if faults:
        yield _told("Remote Desktop may not be reached", faults, mend=_LISTEN)
    else:
        values = (listener.port, listener.adapter, listener.instances)
        seen = (_seen(value) for value in values if value is not None)
        yield passed("Remote Desktop listens on port 3389 of every adapter.", *seen)


def _number(value: Value | None) -> int | None:
    return value.number if value is not None else None


def _is_empty(suites: Value) -> bool:
    """Whether a list of cipher suites, a text or several, names none."""
    text = suites.data.decode("utf-16-le", "replace")
    return not text.strip(" ,;\0")


@check(
    "firewall-rdp",
    family=FAMILY,
    severity=by_profile(Severity.NOTICE, Severity.WARNING, None),
    remedy=Remedy(
        "Leave the firewall on, let Remote Desktop through it, and remove or disable rules that block it; "
        "rules of a policy are changed where the policy comes from.",
        (
            "Set-NetFirewallProfile -Profile Domain, Public, Private -Enabled True",
            "Get-NetFirewallRule -DisplayGroup 'Remote Desktop' | Set-NetFirewallRule -Enabled True",
            "Get-NetFirewallRule -Direction Inbound -Action Block -Enabled True",
        ),
    ),
    references=(_PREPARE, _INSPECT, _FIREWALL_SPEC),
    since=_SINCE,
)
def firewall_rdp(firewall: Firewall) -> Iterator[Finding]:
    r"""The firewall lets Remote Desktop in.

    Where the firewall is on (`EnableFirewall` of `DomainProfile`, `StandardProfile` and `PublicProfile` in
    `SYSTEM\<control set>\Services\SharedAccess\Parameters\FirewallPolicy`; the values in
    `SOFTWARE\Policies\Microsoft\WindowsFirewall` win), an active inbound rule must allow TCP 3389, and none
    may block it, by its port or with everything. Rules stand in `FirewallRules` of both keys. A rule that
    blocks some addresses, programs or users only is no fault, and one that allows all ports to one address
    (such as Azure's own 168.63.129.16) does not let anybody in. `DefaultInboundAction` 0 lets in what no
    rule is about.

    The network of a new machine is public unless it is in a domain: a firewall that is closed in other
    profiles only is worth knowing. So is all of this for a generalized image, since Azure's provisioning
    activates the rules of Remote Desktop; a rule that blocks stays. Stock Windows has them inactive.
    """
    on = [profile for profile in firewall.profiles if profile.on]
    switches = tuple(_seen(profile.switch) for profile in firewall.profiles if profile.switch is not None)
    if not on:
        yield passed("The firewall is off in every profile: it keeps nobody out.", *switches)
        return
    blocking = [each for each in firewall.rules if each.blocks and _holds(each, on)]
    shut = [profile for profile in on if not _lets_in(firewall, profile)]
    if not blocking and not shut:
        allowing = (_seen(each.value) for each in firewall.rules if each.allows)
        yield passed("The firewall lets Remote Desktop in.", *switches, *allowing)
        return
    faults = [_Fault("a rule blocks it", _seen(each.value)) for each in blocking]
    if shut:
        names = "" if len(shut) == len(firewall.profiles) else f" on {_names(shut)} networks"
        words = f"no active rule lets it in{names}"
        faults.append(_Fault(words, Evidence(firewall.where, words)))
        inactive = (each for each in firewall.rules if each.would_allow and not each.rule.active)
        faults += [_Fault(words, _seen(each.value, "Active=TRUE")) for each in inactive]
    public = [profile for profile in on if profile.name == "public"]
    closed = [
        profile for profile in on if profile in shut or any(_holds(each, [profile]) for each in blocking)
    ]
    grave = len(closed) == len(on) or any(_holds(each, public) for each in blocking)
    yield _told("The firewall keeps Remote Desktop out", faults, severity=None if grave else Severity.NOTICE)


def _names(profiles: list[FirewallProfile]) -> str:
    return " and ".join(profile.name for profile in profiles)


def _holds(rule: RdpRule, profiles: list[FirewallProfile]) -> bool:
    """Whether a rule holds in any of these profiles."""
    return any(rule.rule.holds_in(profile.name) for profile in profiles)


def _lets_in(firewall: Firewall, profile: FirewallProfile) -> bool:
    """Whether Remote Desktop is allowed in a profile, whatever blocks it."""
    return profile.open or any(each.allows and _holds(each, [profile]) for each in firewall.rules)


# -- services and network ----------------------------------------------------------------------------


@check(
    "core-services",
    family=FAMILY,
    severity=by_profile(Severity.WARNING, Severity.WARNING, None),
    remedy=Remedy(
        "Give the services back the start types that Windows sets.",
        ("Set-Service -Name BFE, Dhcp, Dnscache, nsi, mpssvc -StartupType Automatic",),
    ),
    references=(_PREPARE, _MIGRATE, _REPAIR),
    since=_SINCE,
)
def core_services(core_services: tuple[Service, ...]) -> Iterator[Finding]:
    r"""No service that the network needs is disabled.

    Without the drivers `Tcpip`, `NDIS`, `Afd` and `nsiproxy`, and the services `nsi`, `Dhcp`, `Dnscache`,
    `BFE`, `mpssvc`, `RpcSs`, `DcomLaunch` and `RpcEptMapper`, a machine runs without a network, and nothing
    on its screen tells. Hardening and tuning scripts disable them.

    Only `Start` 4 in `SYSTEM\<control set>\Services\<name>` counts: the other numbers differ between
    editions, and so do the services themselves.
    """
    disabled = [service for service in core_services if service.disabled]
    if not disabled:
        yield passed("No service that the network needs is disabled.")
        return
    names = ", ".join(service.name for service in disabled)
    commands = tuple(
        rf"reg add HKLM\SYSTEM\CurrentControlSet\Services\{service.name} /v Start /t REG_DWORD "
        f"/d {_HEALTHY_START.get(service.name.lower(), 2)} /f"
        for service in disabled
    )
    yield failed(
        f"The machine may come up without a network, because this is disabled: {names}.",
        *(service.evidence for service in disabled),
        remedy=Remedy("Give back the start types that Windows sets.", commands),
    )


@check(
    "network-config",
    family=FAMILY,
    severity=by_profile(Severity.WARNING, Severity.WARNING, None),
    remedy=Remedy(_AT_HOME, (*_ROUTES, *_DHCP, *_PROXY)),
    references=(_PREPARE, _PLATFORM, _REPAIR),
    since=_SINCE,
)
def network_config(
    persistent_routes: tuple[Value, ...],
    static_addresses: tuple[StaticAddress, ...],
    winhttp_proxy: WinHttpProxy,
    question: Question,
) -> Iterator[Finding]:
    r"""The network is left to Azure: no routes and addresses set by hand, no proxy before the platform.

    Azure gives each machine its address by DHCP and carries no other. Persistent routes (values of
    `SYSTEM\<control set>\Services\Tcpip\Parameters\PersistentRoutes`) lead to networks that are not there. A
    proxy of services (`WinHttpSettings` in
    `SOFTWARE\Microsoft\Windows\CurrentVersion\Internet Settings\Connections`) whose exceptions do not hold
    168.63.129.16 keeps Azure's agent from the platform.

    Addresses set by hand (`EnableDHCP` 0 with an `IPAddress`, in `Tcpip\Parameters\Interfaces\<id>`) count
    for a specialized disk only: sysprep removes the interfaces. DNS servers set by hand are no fault; a
    proxy value that is not understood is not judged.
    """
    faults = [
        _Fault("there are persistent routes", Evidence(route.where, "a persistent route", "none"), _ROUTES)
        for route in persistent_routes
    ]
    if question.specialized:
        for each in static_addresses:
            found = f"{_seen(each.value).found}; address {', '.join(each.addresses)}"
            evidence = Evidence(each.value.where, redact(found), "1", each.value.key_time)
            faults.append(_Fault("an interface has a fixed address", evidence, _DHCP))
    proxy = winhttp_proxy
    if proxy.value is not None and proxy.proxy is not None and not _passes_by(proxy.bypass):
        found = redact(f"proxy {proxy.proxy}, exceptions {' '.join(proxy.bypass) or 'none'}")
        evidence = Evidence(
            proxy.value.where, found, f"an exception for {_PLATFORM_ADDRESS}", proxy.value.key_time
        )
        faults.append(_Fault("services reach Azure's platform through a proxy only", evidence, _PROXY))
    if faults:
        yield _told("The network is set up for another place", faults, mend=_AT_HOME)
    else:
        yield passed("No routes, addresses or proxies are set that keep the machine from Azure's network.")


def _passes_by(bypass: tuple[str, ...]) -> bool:
    """Whether a proxy's exceptions hold the address of Azure's platform; “*” stands for any text."""
    return any(_matches(_PLATFORM_ADDRESS, text.partition("://")[2] or text) for text in bypass)


def _matches(text: str, pattern: str) -> bool:
    first, star, rest = pattern.partition("*")
    if not star:
        return text == pattern
    if not text.startswith(first):
        return False
    *middle, last = rest.split("*")
    at = len(first)
    for part in middle:
        at = text.find(part, at)
        if at < 0:
            return False
        at += len(part)
    return text.endswith(last) and len(text) - len(last) >= at


@check(
    "network-providers",
    family=FAMILY,
    severity=by_profile(Severity.WARNING, Severity.WARNING, None),
    remedy=Remedy(
        "Remove the name of the provider from ProviderOrder, which is a list with commas, or install its "
        "program again.",
        (
            r"reg query HKLM\SYSTEM\CurrentControlSet\Control\NetworkProvider\Order /v ProviderOrder",
            r"reg add HKLM\SYSTEM\CurrentControlSet\Control\NetworkProvider\Order /v ProviderOrder "
            '/t REG_SZ /d "<the list without it>" /f',
        ),
    ),
    references=(_REPAIR,),
    since=_SINCE,
)
def network_providers(network_providers: tuple[NetworkProvider, ...]) -> Iterator[Finding]:
    r"""Every network provider that logon waits for has its file.

    At each logon Windows loads the providers in
    `SYSTEM\<control set>\Control\NetworkProvider\Order\ProviderOrder` and waits for them. An entry that a
    removed VPN or security program left behind, whose file (`Services\<name>\NetworkProvider\ProviderPath`)
    is gone, hangs the logon at “Please wait for the Network Connections”: the machine answers, and nobody
    gets in.

    Providers of Windows itself (LanmanWorkstation, RDPNP, webclient, P9NP) are not looked at, and an entry
    without a path, or with one to another volume, is not judged.
    """
    orphans = [each for each in network_providers if each.there is False]
    if not orphans:
        seen = (_seen(each.path) for each in network_providers if each.path is not None)
        yield passed("No network provider is without its file.", *seen)
        return
    names = ", ".join(redact(each.name) for each in orphans)
    evidence = (_seen(each.path, "a file that is there") for each in orphans if each.path is not None)
    yield failed(f"Logon hangs on a network provider whose file is missing: {names}.", *evidence)


# -- what else is in the way -------------------------------------------------------------------------


@check(
    "san-policy",
    family=FAMILY,
    severity=by_profile(Severity.NOTICE, Severity.WARNING, None),
    remedy=Remedy("Let Windows bring every disk online.", ("diskpart.exe", "san policy=onlineall")),
    references=(_PREPARE,),
    since=_SINCE,
)
def san_policy(san_policy: Value | None) -> Iterator[Finding]:
    r"""Windows brings disks online that it sees for the first time.

    `SanPolicy` in `SYSTEM\<control set>\Services\partmgr\Parameters` is 1 (all online; what Azure wants) or
    2 (all but shared ones; the default of servers). With 3 (all offline) or 4 (those inside the machine
    offline) the disks that Azure attaches are not there, and with 4 even the disk of Windows may go
    offline. Azure's provisioning sets 1, so this is only worth knowing for a generalized image.
    """
    number = san_policy.number if san_policy is not None else None
    if san_policy is not None and number in _OFFLINE:
        yield failed(f"Windows takes {_OFFLINE[number]}.", _seen(san_policy, "1"))
    else:
        seen = (_seen(san_policy),) if san_policy is not None else ()
        yield passed("Windows brings the disks of a machine online.", *seen)


@check(
    "temp-folders",
    family=FAMILY,
    severity=by_profile(Severity.WARNING, Severity.WARNING, None),
    remedy=Remedy(
        "Set TEMP and TMP to their default values.",
        tuple(
            f"Set-ItemProperty -Path '{_ENVIRONMENT}' -Name {name} -Value \"%SystemRoot%\\TEMP\" "
            "-Type ExpandString -Force"
            for name in ("TEMP", "TMP")
        ),
    ),
    references=(_PREPARE,),
    since=_SINCE,
)
def temp_folders(temp_folders: TempFolders) -> Iterator[Finding]:
    r"""The folders for temporary files are on the drive of Windows.

    `TEMP` and `TMP` in `SYSTEM\<control set>\Control\Session Manager\Environment` are `%SystemRoot%\TEMP`.
    On another drive they lead to a disk that the new machine does not have, or that has another letter
    there (in Azure `D:` is the temporary disk or the DVD drive), and installers, services and Azure's own
    scripts fail. Other folders on the drive of Windows are good.
    """
    others = [
        value
        for value in temp_folders.folders
        if (text := (value.string or "").strip().strip('"'))[1:2] == ":"
        and text[0].upper() != temp_folders.drive
    ]
    if not others:
        seen = map(_seen, temp_folders.folders)
        yield passed("The folders for temporary files are on the drive of Windows.", *seen)
        return
    names = " and ".join(value.name for value in others)
    evidence = (_seen(value, r"%SystemRoot%\TEMP") for value in others)
    yield failed(f"Temporary files go to another drive than that of Windows ({names}).", *evidence)


@check(
    "user-rights",
    family=FAMILY,
    severity=by_profile(None, Severity.WARNING, None),
    remedy=Remedy(
        "Take the denied rights away from the group, or give Administrators and Remote Desktop Users the "
        "right to log on through Remote Desktop again: in the Local Security Policy (User Rights "
        "Assignment), or by editing the exported file. A policy that is removed leaves them as they are.",
        (
            r"secedit /export /areas USER_RIGHTS /cfg C:\rights.inf",
            r"secedit /configure /db C:\rights.sdb /cfg C:\rights.inf /areas USER_RIGHTS",
        ),
    ),
    references=(_RIGHTS, _REPAIR),
    since=_SINCE,
)
def user_rights(logon_rights: tuple[LogonRight, ...]) -> Iterator[Finding]:
    r"""People may log on, at the console and through Remote Desktop.

    A policy writes the rights that it assigns into the machine, and they stay when the policy is gone.
    A right to log on that is denied to Administrators, Users, Everyone or Authenticated Users beats all that
    allow it, and locks everybody out; so does the right to log on through Remote Desktop that neither
    Administrators nor Remote Desktop Users have any more. Both show only when somebody tries.

    Read from the SECURITY hive, `Policy\Accounts\<SID>\ActSysAc`: the default value, a mask of 4 bytes.
    Denied is 0x40 (console), 0x80 (network) and 0x800 (Remote Desktop); 0x100 and 0x200 (batch jobs and
    services) are worth knowing only. An account that is not there has Windows' defaults, with one exception:
    Windows drops an account with its last right, so where Administrators are there without the right for
    Remote Desktop (0x400), Remote Desktop Users must be there with it. A right that is denied to a single
    account is no fault.
    """
    faults: list[_Fault] = []
    lesser: list[_Fault] = []
    for right in logon_rights:
        if right.sid not in _BROAD or right.mask is None or right.value is None:
            continue
        for denied, into in ((_DENIED, faults), (_DENIED_TO_PROGRAMS, lesser)):
            ways = [way for bit, way in denied.items() if right.mask & bit]
            if ways:
                words = f"{right.name} may not log on {' or '.join(ways)}"
                into.append(_Fault(words, _rights(right.value, right.mask)))
    masks = {right.sid: right for right in logon_rights}
    administrators, users = masks[ADMINISTRATORS], masks[REMOTE_DESKTOP_USERS]
    mask = administrators.mask
    if mask is not None and administrators.value is not None and not (mask | (users.mask or 0)) & _RDP_RIGHT:
        words = "neither Administrators nor Remote Desktop Users may log on through Remote Desktop"
        faults.append(_Fault(words, _rights(administrators.value, mask)))
    if faults or lesser:
        severity = None if faults else Severity.NOTICE
        yield _told("Rights to log on were taken away", [*faults, *lesser], severity=severity)
    else:
        seen = (
            _rights(each.value, each.mask) for each in logon_rights if each.value and each.mask is not None
        )
        yield passed("No group that matters is kept from logging on.", *seen)


def _rights(value: Value, mask: int) -> Evidence:
    return Evidence(value.where, f"logon rights {mask:#05x}", time=value.key_time)


CHECKS: tuple[Check, ...] = (
    rdp_enabled,
    rdp_listener,
    firewall_rdp,
    core_services,
    network_config,
    network_providers,
    san_policy,
    temp_folders,
    user_rights,
)
