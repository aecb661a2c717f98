"""Security: what the build, and the life before, left behind in the image."""

from collections.abc import Iterator

from validator.checks.model import (
    Check,
    Finding,
    Remedy,
    Severity,
    by_profile,
    check,
    failed,
    not_applicable,
    passed,
)
from validator.evidence import Evidence, Location
from validator.facts.leftovers import AutomaticSignIn, Identity, RemoteManagement
from validator.facts.question import Question
from validator.windows.hive import Value
from validator.windows.sam import LocalUser

FAMILY = "security"
_SINCE = "0.1"
_SHOWN = 10
"""Pieces of evidence that a list gets at most."""
_WINLOGON = r'"HKLM\SOFTWARE\Microsoft\Windows NT\CurrentVersion\Winlogon"'


@check(
    "autologon",
    family=FAMILY,
    severity=by_profile(Severity.WARNING, Severity.WARNING, None),
    remedy=Remedy(
        "Turn automatic sign-in off, remove the password, and change it wherever else it is used.",
        (
            f"reg add {_WINLOGON} /v AutoAdminLogon /t REG_SZ /d 0 /f",
            f"reg delete {_WINLOGON} /v DefaultPassword /f",
            f"reg delete {_WINLOGON} /v AutoLogonCount /f",
        ),
    ),
    references=(
        "https://learn.microsoft.com/troubleshoot/windows-server/user-profiles-and-logon/"
        "turn-on-automatic-logon",
        "https://github.com/awsdocs/vm-import-export-user-guide",
    ),
    since=_SINCE,
)
def autologon(automatic_sign_in: AutomaticSignIn) -> Iterator[Finding]:
    r"""Nobody is signed in automatically.

    Build tools sign in by themselves. If that stays in the image, every machine made from it starts with
    an open session, and a password in plain text lies in its registry, for all to read. Read from
    `SOFTWARE\Microsoft\Windows NT\CurrentVersion\Winlogon`: `AutoAdminLogon` is 0 or absent, and
    `DefaultPassword` is empty or absent. What the password is, is neither read into a report nor shown.
    """
    switch = () if automatic_sign_in.switch is None else (automatic_sign_in.switch.evidence,)
    secret = automatic_sign_in.password
    password = () if secret is None else (Evidence(secret, "a password, not shown"),)
    if password and automatic_sign_in.enabled:
        yield failed(
            "Machines made from the image sign in by themselves, with a password stored in plain text.",
            *switch,
            *password,
        )
    elif password:
        yield failed(
            "A password for automatic sign-in is stored in plain text; sign-in itself is off.",
            *switch,
            *password,
        )
    elif automatic_sign_in.enabled:
        yield failed("Machines made from the image sign in by themselves.", *switch)
    else:
        yield passed("Nobody is signed in automatically, and no password is stored for it.", *switch)


def _on(value: Value | None) -> bool:
    return value is not None and value.number not in (None, 0)


@check(
    "winrm-insecure",
    family=FAMILY,
    severity=by_profile(Severity.WARNING, Severity.WARNING, None),
    remedy=Remedy(
        "Refuse unencrypted traffic and basic authentication, as Windows does by itself; a policy must be "
        "taken back where it was set.",
        (
            'winrm set winrm/config/service @{AllowUnencrypted="false"}',
            'winrm set winrm/config/service/auth @{Basic="false"}',
        ),
    ),
    references=(
        "https://learn.microsoft.com/windows/win32/winrm/"
        "installation-and-configuration-for-windows-remote-management",
        "https://learn.microsoft.com/windows/client-management/mdm/policy-csp-remotemanagement",
        "https://github.com/kubernetes-sigs/image-builder/issues/857",
    ),
    since=_SINCE,
)
def winrm_insecure(remote_management: RemoteManagement) -> Iterator[Finding]:
    r"""WinRM accepts neither unencrypted traffic nor basic authentication.

    Build tools such as Packer open WinRM that wide to reach the machine. In every machine made from the
    image passwords then travel over the network readable, or as good as readable. Read from
    `SOFTWARE\Policies\Microsoft\Windows\WinRM\Service` (`AllowBasic`, `AllowUnencryptedTraffic`), and where
    there is no policy from `SOFTWARE\Microsoft\Windows\CurrentVersion\WSMAN\Service` (`auth_basic`,
    `allow_unencrypted`): 0 or absent. That WinRM is on at all is as it should be on a server.
    """
    named = {
        "unencrypted traffic": remote_management.unencrypted,
        "basic authentication": remote_management.basic,
    }
    seen = {what: value for what, value in named.items() if value is not None}
    allowed = {what: value for what, value in seen.items() if _on(value)}
    if not allowed:
        yield passed(
            "WinRM accepts neither unencrypted traffic nor basic authentication.",
            *(value.evidence for value in seen.values()),
        )
        return
    yield failed(
        f"WinRM accepts {' and '.join(allowed)}: passwords can be read on their way.",
        *(value.evidence for value in allowed.values()),
    )


@check(
    "build-accounts",
    family=FAMILY,
    severity=by_profile(Severity.WARNING, Severity.WARNING, None),
    remedy=Remedy(
        "Remove the account and its profile at the end of the build; sysprep does not.",
        (
            "Remove-LocalUser -Name packer",
            r"Get-CimInstance Win32_UserProfile | Where-Object LocalPath -like 'C:\Users\packer*' | "
            "Remove-CimInstance",
        ),
    ),
    references=(
        "https://developer.hashicorp.com/packer/integrations/hashicorp/azure",
        "https://winreg-kb.readthedocs.io/en/latest/sources/security-accounts-manager-keys/Domains.html",
    ),
    since=_SINCE,
)
def build_accounts(build_accounts: tuple[tuple[str, LocalUser], ...]) -> Iterator[Finding]:
    r"""No account of a build tool can sign in.

    Sysprep does not delete local accounts. An account of the build, with a password that is written in
    its scripts, opens every machine made from the image. The users `packer`, `packer_user`, `vagrant` and
    `ansible` are looked for in the account database (hive `SAM`, `SAM\Domains\Account\Users`); one that
    is disabled is no fault.
    """
    enabled = [(name, account) for name, account in build_accounts if account.enabled]
    if enabled:
        names = ", ".join(name for name, _ in enabled)
        yield failed(
            f"An account of a build tool can sign in to every machine made from the image ({names}).",
            *(account.evidence for _, account in enabled),
        )
    else:
        yield passed(
            "No account of a build tool can sign in.", *(account.evidence for _, account in build_accounts)
        )


@check(
    "administrator-password",
    family=FAMILY,
    severity=by_profile(Severity.NOTICE, Severity.WARNING, None),
    remedy=Remedy(
        "If the provisioning tool does not set the password of the built-in Administrator itself, disable "
        "that account before sysprep, or give it a password.",
        ("net user Administrator /active:no", "net user Administrator *"),
    ),
    references=(
        "https://github.com/kubernetes-sigs/image-builder/pull/2117",
        "https://learn.microsoft.com/openspecs/windows_protocols/ms-samr/e61ba809-6ddd-4196-8534-d5585c9b2e3f",
    ),
    since=_SINCE,
)
def administrator_password(administrator: LocalUser | None, question: Question) -> Iterator[Finding]:
    r"""The built-in Administrator need not change its password before it can sign in.

    With the mark “must change password at next sign-in” an automatic sign-in stops at a dialog that
    nobody sees. Machines whose provisioning signs in as Administrator, without setting its password first,
    were seen to time out (OSProvisioningTimedOut). Azure's own provisioning sets the password, and servers
    come with the mark from their media: so it is a notice for a generalized image. On a specialized disk
    nobody sets it, and Remote Desktop refuses the account: a warning.

    Read from the user 000001F4 in the account database (hive `SAM`, `SAM\Domains\Account\Users`), value
    `F`: the account is enabled, its password may expire, and the time when it was set is 0.
    """
    if administrator is None:
        yield not_applicable("The account database has no built-in Administrator.")
    elif administrator.enabled and administrator.must_change_password:
        effect = (
            "Remote Desktop refuses it until then"
            if question.specialized
            else "a provisioning tool that signs in with it, and sets no password, waits for ever"
        )
        yield failed(
            f"The built-in Administrator must change its password at its next sign-in: {effect}.",
            administrator.evidence,
        )
    else:
        yield passed(
            "The built-in Administrator is disabled, or need not change its password.", administrator.evidence
        )


def _named(places: tuple[Location, ...], what: str) -> Iterator[Evidence]:
    """The first of many places."""
    for where in places[:_SHOWN]:
        yield Evidence(where, what)


@check(
    "build-files",
    family=FAMILY,
    severity=by_profile(Severity.WARNING, Severity.WARNING, None),
    remedy=Remedy(
        "Delete the files at the end of the build, and change the secrets that were in its variables.",
        (
            r"del /q C:\Windows\Temp\packer-* C:\Windows\Temp\script-*.ps1 C:\Windows\Temp\winrmcp-*.tmp",
            r"rmdir /s /q C:\AzureData",
        ),
    ),
    references=("https://github.com/hashicorp/packer/pull/8908",),
    since=_SINCE,
)
def build_files(build_files: tuple[Location, ...]) -> Iterator[Finding]:
    r"""No files of the build are left.

    Packer leaves its scripts behind where a build broke off, and older versions always:
    `packer-ps-env-vars-*.ps1` holds the variables of the build, with what was secret in them.
    `\AzureData\CustomData.bin` is what the machine that was built on was given to start with, often
    passwords. Looked for by name: `packer-*`, `script-*.ps1` and `winrmcp-*.tmp` in `\Windows\Temp`, and
    that file; none is read.
    """
    if build_files:
        count = len(build_files)
        yield failed(
            f"{count} file{'s' if count > 1 else ''} of the build or of its machine went into the image, and "
            "may hold secrets.",
            *_named(build_files, "a file of a build"),
        )
    else:
        yield passed("No file of a build is where build tools leave theirs.")


@check(
    "ssh-host-keys",
    family=FAMILY,
    severity=by_profile(Severity.WARNING, Severity.NOTICE, None),
    remedy=Remedy(
        "Delete the keys at the end of the build; the service makes new ones at its next start.",
        ("Stop-Service sshd", r"Remove-Item C:\ProgramData\ssh\ssh_host_*"),
    ),
    references=(
        "https://learn.microsoft.com/windows-server/administration/openssh/openssh-server-configuration",
        "https://github.com/oven-sh/bun/pull/43608",
    ),
    since=_SINCE,
)
def ssh_host_keys(ssh_host_keys: tuple[Location, ...], question: Question) -> Iterator[Finding]:
    r"""The image has no SSH host keys.

    OpenSSH makes its host keys at its first start, and sysprep leaves them alone: every machine made from
    the image has the same ones, and whoever has one machine can pass for all the others. Looked for by
    name: `\ProgramData\ssh\ssh_host_*_key`. A specialized disk has keys of its own: that is a notice.
    """
    if not ssh_host_keys:
        yield passed("There are no SSH host keys.")
        return
    effect = "of this machine" if question.specialized else "that all machines made from it will share"
    yield failed(f"The image has SSH host keys {effect}.", *_named(ssh_host_keys, "a private host key"))


@check(
    "cloud-identity",
    family=FAMILY,
    severity=by_profile(Severity.WARNING, Severity.NOTICE, None),
    remedy=Remedy(
        "Take the machine out of what knows it before sysprep (run the offboarding script of Defender, "
        "retire it from device management), and enrol the machines made from the image when they start.",
        (
            "dsregcmd /leave",
            r"C:\Windows\ccmsetup\ccmsetup.exe /uninstall",
        ),
    ),
    references=(
        "https://learn.microsoft.com/entra/identity/devices/howto-device-identity-virtual-desktop-infrastructure",
        "https://learn.microsoft.com/defender-endpoint/configure-endpoints-vdi",
        "https://github.com/actions/runner-images/issues/9659",
    ),
    since=_SINCE,
)
def cloud_identity(cloud_identities: tuple[Identity, ...], question: Question) -> Iterator[Finding]:
    r"""No management service knows the image as a machine of its own.

    What joined or enrolled the machine on which the image was built knows it by an identifier; machines
    made from the image have the same one, and take each other's place in the service. Read: a registration
    in Microsoft Entra ID (a key below `Control\CloudDomainJoin\JoinInfo` in the current control set);
    device management (below `SOFTWARE\Microsoft\Enrollments`, a `ProviderID` together with a server or a
    user, since Windows has empty stubs there); Microsoft Defender for Endpoint
    (`SOFTWARE\Microsoft\Windows Advanced Threat Protection\Status`, `OnboardingState` 1, where sysprep can
    fail as well); Configuration Manager (`\Windows\SMSCFG.ini`).

    A specialized disk is that machine and may keep it: there it is a notice.
    """
    if not cloud_identities:
        yield passed("No management service that leaves traces here knows the image.")
        return
    keepers = ", ".join(dict.fromkeys(each.keeper for each in cloud_identities))
    effect = (
        "it will be the same machine to them"
        if question.specialized
        else "to them, all machines made from it are one"
    )
    yield failed(
        f"The image is known as a machine of its own ({keepers}): {effect}.",
        *(each.evidence for each in cloud_identities[:_SHOWN]),
    )


CHECKS: tuple[Check, ...] = (
    autologon,
    winrm_insecure,
    build_accounts,
    administrator_password,
    build_files,
    ssh_host_keys,
    cloud_identity,
)
