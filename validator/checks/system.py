"""System: which Windows it is, what it belongs to, and how it is set up."""

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
from validator.evidence import Evidence
from validator.facts.question import Question
from validator.facts.system import Edition, Membership, Recommended, Role, Setting, UserPackage
from validator.redaction import redact
from validator.windows.hive import Value

FAMILY = "system"
_SINCE = "0.1"
_PREPARE = "https://learn.microsoft.com/azure/virtual-machines/windows/prepare-for-upload-vhd-image"
_ROLES = "https://learn.microsoft.com/windows-hardware/manufacture/desktop/sysprep-support-for-server-roles"
_SHOWN = 10
"""Pieces of evidence that a list gets at most."""
_SIXTY_FOUR_BIT = ("AMD64", "ARM64")


@check(
    "os-architecture",
    family=FAMILY,
    severity=by_profile(Severity.ERROR, Severity.WARNING, Severity.NOTICE),
    remedy=Remedy("Install a 64-bit Windows; an installation cannot be changed from 32 to 64 bits."),
    references=("https://learn.microsoft.com/azure/virtual-machines/windows/prepare-for-upload-vhd-image",),
    since="0.1",
)
def os_architecture(architecture: Value | None) -> Iterator[Finding]:
    r"""Windows is 64-bit.

    Azure runs no 32-bit Windows; other platforms may. Read from `PROCESSOR_ARCHITECTURE` in the
    current control set (`Control\Session Manager\Environment`).
    """
    if architecture is None:
        yield not_applicable("The registry does not say for which processors this Windows is.")
    elif str(architecture).upper() in _SIXTY_FOUR_BIT:
        yield passed(f"Windows is for {architecture}.", architecture.evidence)
    else:
        yield failed(
            f"Windows is for {architecture}, which is not a 64-bit processor.", architecture.evidence
        )


_FIRST_SUPPORTED, _FIRST_OF_THE_ARTICLE = 14393, 7600
"""Windows 10 1607 and Server 2016; Windows 7 and Server 2008 R2."""
_FIRST_WITH_DEVICE_ENCRYPTION = 26100


@check(
    "os-version",
    family=FAMILY,
    severity=by_profile(Severity.WARNING, Severity.WARNING, None),
    remedy=Remedy(
        "Build the image from Windows Server 2019 or later, or from Windows 10 or 11 Pro or Enterprise; an "
        "older machine can be upgraded in place before the image is made."
    ),
    references=(
        _PREPARE,
        "https://learn.microsoft.com/troubleshoot/azure/virtual-machines/windows/"
        "windows-server-2012r2-boot-failure-platform-update",
    ),
    since=_SINCE,
)
def os_version(edition: Edition) -> Iterator[Finding]:
    r"""Windows is of a version and edition that Azure supports.

    Read from `SOFTWARE\Microsoft\Windows NT\CurrentVersion`: `CurrentBuild` (`CurrentBuildNumber` where
    it is no number), `EditionID` and `InstallationType`. Windows 10 1607 and Server 2016 (build 14393) are
    the oldest whose drivers know the hosts of today: on some of these Server 2012 and 2012 R2 stop with
    INACCESSIBLE_BOOT_DEVICE. Before Windows 7 and Server 2008 R2 (build 7600) nothing is supported at all.
    Neither stops every machine from starting, so both are warnings.

    Home editions of a client (`EditionID` begins with `Core`) are no images for Azure: they have no
    Remote Desktop host. That is a warning too.
    """
    if edition.build is None:
        yield not_applicable("The registry does not say which build of Windows this is.", *edition.evidence)
    elif edition.build < _FIRST_OF_THE_ARTICLE:
        yield failed(
            f"Windows is build {edition.build}, older than Windows 7 and Server 2008 R2: Azure does not "
            "support it in any form.",
            *edition.evidence,
        )
    elif edition.build < _FIRST_SUPPORTED:
        yield failed(
            f"Windows is build {edition.build}, older than Windows 10 1607 and Server 2016: on some hosts of "
            "Azure it may not start.",
            *edition.evidence,
        )
    elif edition.client and edition.name.lower().startswith("core"):
        yield failed(
            "Windows is a Home edition: it does not accept Remote Desktop connections, and is no image for "
            "Azure.",
            *edition.evidence,
        )
    else:
        yield passed(f"Windows is build {edition.build}.", *edition.evidence)


@check(
    "evaluation-edition",
    family=FAMILY,
    severity=by_profile(Severity.WARNING, Severity.WARNING, None),
    remedy=Remedy(
        "Install from the media of the full edition, or convert the machine with a product key before "
        "sysprep; the first command says to what it can be converted.",
        (
            "DISM /Online /Get-TargetEditions",
            "DISM /Online /Set-Edition:ServerStandard /ProductKey:<key> /AcceptEula",
        ),
    ),
    references=(
        "https://learn.microsoft.com/windows-server/get-started/upgrade-conversion-options",
        "https://www.microsoft.com/evalcenter",
    ),
    since=_SINCE,
)
def evaluation_edition(edition: Edition) -> Iterator[Finding]:
    r"""Windows is no evaluation edition.

    An evaluation expires after 180 days (Enterprise clients: 90 days). Machines made from the image then
    shut down every hour. `EditionID` in `SOFTWARE\Microsoft\Windows NT\CurrentVersion` ends in `Eval`
    on evaluation media, `ServerStandardEval` for example.
    """
    if edition.edition_id is None:
        yield not_applicable("The registry does not say which edition of Windows this is.")
    elif edition.name.lower().endswith("eval"):
        yield failed(
            f"Windows is an evaluation edition ({redact(edition.name)}): its machines will expire and shut "
            "down every hour.",
            edition.edition_id.evidence,
        )
    else:
        yield passed("Windows is no evaluation edition.", edition.edition_id.evidence)


@check(
    "domain-joined",
    family=FAMILY,
    severity=by_profile(Severity.ERROR, Severity.WARNING, None),
    remedy=Remedy(
        "Take the machine out of the domain, start it again, and run sysprep then. A domain controller must "
        "be demoted first, or better, a plain server be used for the image.",
        ("Remove-Computer -WorkgroupName WORKGROUP -Restart",),
    ),
    references=(_ROLES,),
    since=_SINCE,
)
def domain_joined(membership: Membership, question: Question) -> Iterator[Finding]:
    r"""Windows belongs to no domain.

    A domain controller cannot be generalized: `ProductType` in the current control set
    (`Control\ProductOptions`) is `LanmanNT`, and `\Windows\NTDS\ntds.dit` holds the directory. That is an
    error for `azure-generalized`, and a warning for a specialized disk, which needs the steps for
    virtualized domain controllers. Without the file it is a warning, since the database can lie elsewhere.

    Sysprep takes a member out of its domain. A domain that is still named (`NV Domain` or `Domain` in
    `Services\Tcpip\Parameters`) says that this did not happen, that policies of the domain stay in force,
    or that somebody only set a DNS suffix: a warning, and a notice for a specialized disk, which may be a
    member.
    """
    kind = () if membership.product_type is None else (membership.product_type.evidence,)
    domain = () if membership.domain is None else (_plain(membership.domain),)
    if membership.controller and membership.directory is not None:
        database = Evidence(membership.directory, "the database of a directory")
        effect = (
            "it needs the steps for virtualized domain controllers"
            if question.specialized
            else "it cannot be generalized"
        )
        yield failed(f"Windows is a domain controller: {effect}.", *kind, database, *domain)
    elif membership.controller:
        yield failed(
            "Windows says that it is a domain controller, and has no directory where it usually lies.",
            *kind,
            *domain,
            severity=Severity.WARNING,
        )
    elif membership.domain is not None:
        yield failed(
            "A domain is set: the machine is or was its member, or somebody set it as its DNS suffix.",
            *domain,
            severity=Severity.NOTICE if question.specialized else Severity.WARNING,
        )
    else:
        yield passed("No domain is set.", *kind)


def _plain(value: Value) -> Evidence:
    """A text that somebody chose."""
    return Evidence(value.where, redact(str(value))[:200], time=value.key_time)


@check(
    "unsupported-roles",
    family=FAMILY,
    severity=by_profile(Severity.WARNING, Severity.NOTICE, None),
    remedy=Remedy(
        "Remove the role before sysprep, and install it on the machines that are made from the image.",
        (
            "Get-WindowsFeature | Where-Object Installed",
            "Uninstall-WindowsFeature -Name <name> -IncludeManagementTools -Restart",
        ),
    ),
    references=(
        _ROLES,
        "https://learn.microsoft.com/partner-center/marketplace-offers/azure-vm-certification-faq",
    ),
    since=_SINCE,
)
def unsupported_roles(
    unsupported_roles: tuple[Role, ...], edition: Edition, question: Question
) -> Iterator[Finding]:
    r"""No role is installed that sysprep does not support.

    Some roles keep what is of one machine only, and do not survive sysprep: Active Directory Domain
    Services, Certificate Services, Federation Services, Rights Management and Lightweight Directory
    Services, DHCP and WINS servers, Fax Server, Failover Clustering, Windows Deployment Services. They are
    recognised by their services in the current control set (`NTDS`, `CertSvc`, `adfssrv`,
    `AdRmsLoggingService`, `ADAM_*`, `DHCPServer`, `WINS`, `Fax`, `ClusSvc`, `WDSServer`) that have a
    `Start` other than 4. `Fax` is part of every client and only counts on servers; the key `NTDS` is
    everywhere and has no `Start`. A specialized disk keeps its roles: there it is a notice.
    """
    roles = [
        each for each in unsupported_roles if not (edition.client and each.service.name.lower() == "fax")
    ]
    if not roles:
        yield passed("No service of a role is installed that sysprep does not support.")
        return
    titles = ", ".join(dict.fromkeys(each.title for each in roles))
    effect = "it may need other steps on Azure" if question.specialized else "sysprep does not support that"
    yield failed(
        f"A role is installed that belongs to one machine ({titles}): {effect}.",
        *(each.service.evidence for each in roles[:_SHOWN]),
    )


_CRASH_KEY = r"HKLM:\SYSTEM\CurrentControlSet\Control\CrashControl"
_HIGH_PERFORMANCE = "8c5e7fda-e8bf-4a96-9a85-a6e23a8c635c"
_RECOMMENDED: tuple[tuple[str, str, str, str], ...] = (
    (
        "universal_time",
        "1",
        "the clock of the hardware is in UTC",
        r"Set-ItemProperty -Path HKLM:\SYSTEM\CurrentControlSet\Control\TimeZoneInformation "
        "-Name RealTimeIsUniversal -Value 1 -Type DWord -Force",
    ),
    (
        "power_scheme",
        _HIGH_PERFORMANCE,
        "the power plan is high performance",
        "powercfg /setactive SCHEME_MIN",
    ),
    ("san_policy", "1", "disks come online by themselves", "Set-StorageSetting -NewDiskPolicy OnlineAll"),
    (
        "dump_kind",
        "2",
        "a crash leaves a kernel dump",
        f"Set-ItemProperty -Path '{_CRASH_KEY}' -Name CrashDumpEnabled -Value 2 -Type DWord -Force",
    ),
    (
        "dump_file",
        r"%SystemRoot%\MEMORY.DMP",
        "the dump lies in the folder of Windows",
        f"Set-ItemProperty -Path '{_CRASH_KEY}' -Name DumpFile -Value \"%SystemRoot%\\MEMORY.DMP\" "
        "-Type ExpandString -Force",
    ),
    (
        "nmi_dump",
        "1",
        "an interrupt from the platform leaves a dump",
        f"Set-ItemProperty -Path '{_CRASH_KEY}' -Name NMICrashDump -Value 1 -Type DWord -Force",
    ),
)
"""Fields of `Recommended`, what is recommended, what that means, and the command that sets it."""


@check(
    "recommended-settings",
    family=FAMILY,
    severity=by_profile(Severity.NOTICE, Severity.NOTICE, None),
    remedy=Remedy(
        "Set them on the machine before the image is made, if you want them.",
        tuple(command for _, _, _, command in _RECOMMENDED),
    ),
    references=(_PREPARE,),
    since=_SINCE,
)
def recommended_settings(recommended: Recommended) -> Iterator[Finding]:
    r"""Settings that Microsoft recommends for Azure are made.

    None of them decides whether a machine starts, and Windows itself comes with others: this is a notice.
    Read from the current control set: `Control\TimeZoneInformation` (`RealTimeIsUniversal` 1),
    `Control\Power\User\PowerSchemes` (`ActivePowerScheme` high performance),
    `Services\partmgr\Parameters` (`SanPolicy` 1; the provisioning of Azure sets that itself) and
    `Control\CrashControl` (`CrashDumpEnabled` 2, `DumpFile`, `NMICrashDump` 1).
    """
    settings = [(getattr(recommended, field), *rest) for field, *rest in _RECOMMENDED]
    missing = [each for each in settings if not _is(each[0], each[1])]
    if not missing:
        yield passed("The recommended settings for time, power, disks and dumps are made.")
        return
    what = "; ".join(meaning for _, _, meaning, _ in missing)
    yield failed(
        f"{len(missing)} of {len(settings)} recommended settings are not made ({what}).",
        *(setting.evidence(expected) for setting, expected, _, _ in missing),
        remedy=Remedy(recommended_settings.remedy.text, tuple(command for _, _, _, command in missing)),
    )


def _is(setting: Setting, expected: str) -> bool:
    """Whether a setting is the recommended one; texts in any case."""
    return setting.value is not None and str(setting.value).lower() == expected.lower()


@check(
    "store-packages",
    family=FAMILY,
    severity=by_profile(Severity.NOTICE, Severity.NOTICE, None),
    remedy=Remedy(
        "Before the next sysprep, remove the packages from the users or provide them for all, and keep the "
        "Store from updating while the image is built.",
        (
            "Get-AppxPackage -AllUsers | Format-List PackageFullName,PackageUserInformation",
            "Remove-AppxPackage -Package <full name> -AllUsers",
        ),
    ),
    references=(
        "https://learn.microsoft.com/troubleshoot/windows-client/setup-upgrade-and-drivers/"
        "sysprep-fails-remove-or-update-store-apps",
        "https://github.com/notepad-plus-plus/notepad-plus-plus/issues/13675",
    ),
    since=_SINCE,
)
def store_packages(user_packages: tuple[UserPackage, ...] | None) -> Iterator[Finding]:
    r"""No user has a Store package that Windows does not provide for all.

    Sysprep refuses to generalize (0x80073cf2, “was installed for a user, but not provisioned for all
    users”) where a user has such a package: installed by a program, by the shell or by an update from the
    Store. A generalized image is past that; the next run on a machine made from it may not be, and not
    everything that looks so stops sysprep. So this is a notice.

    Read from `SOFTWARE\Microsoft\Windows\CurrentVersion\Appx\AppxAllUserStore`: what is below a user
    (`S-1-5-21-…`), and whose family is not below `Applications`, `InboxApplications` or `Staged`. Frameworks
    (`Microsoft.VCLibs`, `Microsoft.NET.Native`, `Microsoft.UI.Xaml` and such) and resource packages
    (`split.`) do not count.
    """
    if user_packages is None:
        yield not_applicable("This Windows has no record of Store packages.")
    elif not user_packages:
        yield passed("Every Store package that a user has is provided for all users.")
    else:
        count = len(user_packages)
        yield failed(
            f"Users have {count} Store package{'s' if count > 1 else ''} that Windows does not provide for "
            "all: the next sysprep may stop at that.",
            *(Evidence(each.where, redact(each.name)[:200]) for each in user_packages[:_SHOWN]),
        )


@check(
    "device-encryption",
    family=FAMILY,
    severity=by_profile(Severity.NOTICE, Severity.NOTICE, None),
    remedy=Remedy(
        "Keep Windows from encrypting its volume by itself on the machine on which the image is built.",
        (
            r"reg add HKLM\SYSTEM\CurrentControlSet\Control\BitLocker /v PreventDeviceEncryption "
            "/t REG_DWORD /d 1 /f",
        ),
    ),
    references=(
        "https://learn.microsoft.com/windows-hardware/design/device-experiences/oem-bitlocker",
        "https://github.com/canonical/packer-maas/issues/341",
    ),
    since=_SINCE,
)
def device_encryption(prevent_device_encryption: Value | None, edition: Edition) -> Iterator[Finding]:
    r"""Windows does not encrypt its volume by itself.

    From 24H2 (build 26100) on, the first-run setup of a client may start device encryption by itself, on
    virtual machines too. Sysprep refuses to run on an encrypted volume (0x80310039), and an encrypted
    image is refused by `bitlocker`. `PreventDeviceEncryption` 1 in the current control set
    (`Control\BitLocker`) keeps it off. Healthy Windows has no such value, so this is a notice; it asks
    nothing of servers and of older builds.
    """
    if edition.build is None or edition.build < _FIRST_WITH_DEVICE_ENCRYPTION or not edition.client:
        yield not_applicable("This Windows does not encrypt its volume by itself.", *edition.evidence)
    elif prevent_device_encryption is not None and prevent_device_encryption.number == 1:
        yield passed("Windows is kept from encrypting its volume.", prevent_device_encryption.evidence)
    else:
        seen = () if prevent_device_encryption is None else (prevent_device_encryption.evidence,)
        yield failed(
            "Nothing keeps Windows from encrypting its volume by itself at its first start: an encrypted "
            "machine cannot be generalized again.",
            *seen,
            *edition.evidence,
        )


CHECKS: tuple[Check, ...] = (
    os_architecture,
    os_version,
    evaluation_edition,
    domain_joined,
    unsupported_roles,
    recommended_settings,
    store_packages,
    device_encryption,
)
