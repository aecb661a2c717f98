"""Cases of the checks of what the build, and the life before, left behind."""

from __future__ import annotations

from tests.catalogue.model import Case, Change, cannot_tell, fails, not_applicable, passes
from tests.catalogue.system import no_software, then
from tests.images import Raw, Windows, installed
from tests.images.stock import WINLOGON_KEY
from tests.test_sam import USERS_KEY, account, record

SAM = r"Windows\System32\config\SAM"
WINRM_KEY = r"Microsoft\Windows\CurrentVersion\WSMAN\Service"
WINRM_POLICY_KEY = r"Policies\Microsoft\Windows\WinRM\Service"
ENROLLMENT = r"Microsoft\Enrollments\0A745E67-0B8C-4D3A-B183-D1063BB5CFBD"
DEFENDER_KEY = r"Microsoft\Windows Advanced Threat Protection\Status"
JOIN_KEY = r"ControlSet001\Control\CloudDomainJoin\JoinInfo"
DISABLED, NORMAL, NEVER_EXPIRES = 0x0001, 0x0010, 0x0200
SOME_DAY = 133_000_000_000_000_000
SECRET = "Hunter2-do-not-show"


def user(name: str, rid: int = 1001, flags: int = NORMAL, password_set: int = SOME_DAY) -> Change:
    """A local account more."""
    return lambda w: account(w, name, rid, flags, password_set)


def no_sam(windows: Windows) -> Windows:
    """The SAM hive is empty."""
    return windows.file(SAM, b"")


def suspended(windows: Windows) -> Windows:
    """Windows would go on from its memory, so nothing on the volume can be relied on."""
    return windows.file("hiberfil.sys", b"HIBR" + bytes(4092))


def winlogon(**values: str | int) -> Change:
    """How somebody is signed in."""
    return lambda w: w.software(WINLOGON_KEY, values)


def software(key: str, **values: str | int) -> Change:
    """Values of a key of the SOFTWARE hive."""
    return lambda w: w.software(key, values)


def file(*paths: str) -> Change:
    """Files more."""
    return then(*((lambda w, path=path: w.file(path, b"x")) for path in paths))


def specialized(check: str, name: str, severity: str | None, change: Change) -> Case:
    """The same on a specialized disk."""
    return fails(
        check, f"{name}, specialized", severity, change=change, windows=installed, profile="azure-specialized"
    )


BUILT = file(
    r"Windows\Temp\Packer-ps-env-vars-61e2.ps1", r"Windows\Temp\script-5f.ps1", r"Windows\Temp\winrmcp-1.tmp"
)
KEYS = file(
    r"ProgramData\ssh\ssh_host_ed25519_key", r"ProgramData\ssh\ssh_host_rsa_key",
    r"ProgramData\ssh\ssh_host_rsa_key.pub",
)  # fmt: skip
JOINED: Change = lambda w: w.system(rf"{JOIN_KEY}\8F1C2A", TenantId="tenant")  # noqa: E731
MANAGED = software(ENROLLMENT, ProviderID="MS DM Server", UPN="somebody@example.com")

CASES: tuple[Case, ...] = (
    # -- autologon
    passes("autologon"),
    passes("autologon", "an empty password", change=winlogon(DefaultPassword="", AutoAdminLogon=0)),
    fails(
        "autologon",
        "password and switch",
        "warning",
        says="plain text",
        shows="not shown",
        change=winlogon(AutoAdminLogon="1", DefaultPassword=SECRET),
        verdict="deployable",
    ),
    fails(
        "autologon",
        "a password that is left",
        "warning",
        says="itself is off",
        change=winlogon(DefaultPassword=SECRET),
    ),
    fails("autologon", "switch alone", "warning", says="by themselves.", change=winlogon(AutoAdminLogon=1)),
    specialized("autologon", "switch alone", "warning", winlogon(AutoAdminLogon="1")),
    cannot_tell("autologon", change=no_software),
    # -- winrm-insecure
    passes("winrm-insecure"),
    passes(
        "winrm-insecure",
        "a policy is stronger",
        shows="AllowUnencryptedTraffic",
        change=then(
            software(WINRM_KEY, allow_unencrypted=1), software(WINRM_POLICY_KEY, AllowUnencryptedTraffic=0)
        ),
    ),
    passes("winrm-insecure", "never configured", change=lambda w: w.without_key("SOFTWARE", WINRM_KEY)),
    fails(
        "winrm-insecure",
        severity="warning",
        says="unencrypted traffic and basic",
        verdict="deployable",
        change=software(WINRM_KEY, allow_unencrypted=1, auth_basic=1),
    ),
    fails(
        "winrm-insecure",
        "by policy",
        "warning",
        says="accepts basic",
        change=software(WINRM_POLICY_KEY, AllowBasic=1),
    ),
    cannot_tell("winrm-insecure", change=no_software),
    # -- build-accounts
    passes("build-accounts"),
    passes("build-accounts", "somebody else", change=user("Packers")),
    passes(
        "build-accounts",
        "disabled",
        shows="account 1001: disabled",
        change=user("packer", flags=NORMAL | DISABLED),
    ),
    fails(
        "build-accounts",
        severity="warning",
        says="(packer)",
        shows="account 1001: enabled",
        change=user("Packer"),
        verdict="deployable",
    ),
    fails(
        "build-accounts",
        "two",
        "warning",
        says="(vagrant, packer_user)",
        change=then(user("vagrant"), user("packer_user", 1002), user("ansible", 1003, DISABLED)),
    ),
    specialized("build-accounts", "one", "warning", user("ansible")),
    cannot_tell("build-accounts", change=no_sam, verdict="deployable"),
    cannot_tell("build-accounts", "no database", change=lambda w: w.without_hive("SAM")),
    cannot_tell(
        "build-accounts",
        "a name of nobody",
        change=lambda w: w.in_hive("SAM", rf"{USERS_KEY}\Names\packer", {"": Raw(1001, b"")}),
    ),
    # -- administrator-password
    not_applicable("administrator-password"),
    passes("administrator-password", change=user("Administrator", 500)),
    passes("administrator-password", "disabled", change=user("Administrator", 500, NORMAL | DISABLED, 0)),
    passes("administrator-password", "never expires", change=user("Admin", 500, NORMAL | NEVER_EXPIRES, 0)),
    fails(
        "administrator-password",
        severity="notice",
        says="waits for ever",
        shows="must change",
        change=user("Administrator", 500, NORMAL, 0),
        verdict="deployable",
    ),
    specialized("administrator-password", "must change", "warning", user("Chef", 500, NORMAL, 0)),
    cannot_tell("administrator-password", change=no_sam, verdict="deployable"),
    cannot_tell(
        "administrator-password",
        "a short record",
        change=lambda w: w.in_hive("SAM", rf"{USERS_KEY}\000001F4", F=record(500)[:79]),
    ),
    # -- build-files
    passes("build-files"),
    passes("build-files", "other files", change=file(r"Windows\Temp\setup.log", r"AzureData\readme.txt")),
    fails(
        "build-files",
        severity="warning",
        says="3 files",
        shows="Packer-ps-env-vars",
        change=BUILT,
        verdict="deployable",
    ),
    fails(
        "build-files",
        "custom data",
        "warning",
        says="1 file ",
        shows=r"\AzureData\CustomData.bin",
        change=file(r"AzureData\CustomData.bin"),
    ),
    cannot_tell("build-files", change=suspended),
    passes("build-files", "a file for a folder", change=file(r"Windows\Temp")),
    # -- ssh-host-keys
    passes("ssh-host-keys"),
    passes("ssh-host-keys", "settings only", change=file(r"ProgramData\ssh\sshd_config")),
    fails("ssh-host-keys", severity="warning", shows="ssh_host_rsa_key", change=KEYS, verdict="deployable"),
    specialized("ssh-host-keys", "its own", "notice", KEYS),
    cannot_tell("ssh-host-keys", change=suspended),
    # -- cloud-identity
    passes("cloud-identity"),
    passes(
        "cloud-identity",
        "stubs of Windows",
        change=then(
            software(ENROLLMENT, ProviderID="Local", EnrollmentType=18),
            software(r"Microsoft\Enrollments\Status", ProviderID="x", UPN="y"),
            software(DEFENDER_KEY, OnboardingState=0),
            lambda w: w.system(JOIN_KEY),
        ),
    ),
    fails(
        "cloud-identity",
        "Entra",
        "warning",
        says="Microsoft Entra ID",
        shows="8F1C2A",
        change=JOINED,
        verdict="deployable",
    ),
    fails(
        "cloud-identity",
        "managed",
        "warning",
        says="a device management service",
        shows="MS DM Server",
        change=MANAGED,
    ),
    fails(
        "cloud-identity",
        "Defender and Configuration Manager",
        "warning",
        says="(Microsoft Defender for Endpoint, Configuration Manager)",
        change=then(software(DEFENDER_KEY, OnboardingState=1), file(r"Windows\SMSCFG.ini")),
    ),
    specialized("cloud-identity", "Entra", "notice", JOINED),
    cannot_tell("cloud-identity", change=no_software),
)
