"""Cases of the family “system”."""

from __future__ import annotations

import gzip
import lzma
import os
from pathlib import Path

from tests.catalogue.model import Case, Change, cannot_tell, fails, not_applicable, passes
from tests.images import SERVICES_KEY, VERSION_KEY, Raw, Windows, installed
from tests.images.hive import ABSENT
from tests.images.presets import ENVIRONMENT_KEY
from tests.images.stock import CONTROL

SYSTEM = r"Windows\System32\config\SYSTEM"
SOFTWARE = r"Windows\System32\config\SOFTWARE"
APPX_KEY = r"Microsoft\Windows\CurrentVersion\Appx\AppxAllUserStore"
USER = "S-1-5-21-1004336348-1177238915-682003330-1001"
CLOCK = "8wekyb3d8bbwe"
NOTEPAD = "NotepadPlusPlus_1.0.0.0_neutral__7njy0v32s6xk6"
ALARMS = f"Microsoft.WindowsAlarms_11.2404.35.0_x64__{CLOCK}"


def no_system(windows: Windows) -> Windows:
    """The SYSTEM hive is empty."""
    return windows.file(SYSTEM, b"")


def no_software(windows: Windows) -> Windows:
    """The SOFTWARE hive is empty."""
    return windows.file(SOFTWARE, b"")


def version(build: int, **more: str) -> Change:
    """Another build, and other values of the same key."""
    text = str(build)
    return lambda w: w.software(VERSION_KEY, CurrentBuild=text, CurrentBuildNumber=text).software(
        VERSION_KEY, more
    )


def client(build: int = 26100, edition: str = "Professional") -> Change:
    """A client of a build."""
    return version(build, EditionID=edition, InstallationType="Client", ProductName="Windows 10 Pro")


def domain(**values: str) -> Change:
    """What Windows calls its domain."""
    return lambda w: w.system(
        rf"{SERVICES_KEY}\Tcpip\Parameters", {k.replace("_", " "): v for k, v in values.items()}
    )


def controller(windows: Windows) -> Windows:
    """A domain controller without its database."""
    return windows.system(rf"{CONTROL}\ProductOptions", ProductType="LanmanNT")


def directory(windows: Windows) -> Windows:
    """A domain controller."""
    return controller(windows).file(r"Windows\NTDS\ntds.dit", b"directory")


def service(name: str, start: int) -> Change:
    """A service more."""
    return lambda w: w.system(rf"{SERVICES_KEY}\{name}", Start=start, Type=16)


def then(*changes: Change) -> Change:
    """One change after another."""

    def all_of(windows: Windows) -> Windows:
        for change in changes:
            windows = change(windows)
        return windows

    return all_of


def recommended(windows: Windows) -> Windows:
    """Everything as the article has it."""
    return (
        windows.system(rf"{CONTROL}\TimeZoneInformation", RealTimeIsUniversal=1)
        .system(
            rf"{CONTROL}\Power\User\PowerSchemes", ActivePowerScheme="8C5E7FDA-e8bf-4a96-9a85-a6e23a8c635c"
        )
        .system(rf"{SERVICES_KEY}\partmgr\Parameters", SanPolicy=1)
        .system(rf"{CONTROL}\CrashControl", CrashDumpEnabled=2, NMICrashDump=1)
    )


def package(kind: str, *names: str) -> Change:
    """Packages below a key of the Store's record."""

    def put(windows: Windows) -> Windows:
        for name in names:
            windows = windows.software(
                rf"{APPX_KEY}\{kind}\{name}", Path=rf"C:\Program Files\WindowsApps\{name}"
            )
        return windows

    return put


PROVIDED = then(
    package("Applications", f"Microsoft.WindowsAlarms_2022.2312.2.0_neutral_~_{CLOCK}"),
    package("InboxApplications", "Windows.PrintDialog_6.2.1.0_neutral_neutral_cw5n1h2txyewy"),
    package(rf"Staged\Microsoft.Todos_{CLOCK}", f"Microsoft.Todos_2.104.62421.0_x64__{CLOCK}"),
)
FRAMEWORKS = (
    f"Microsoft.VCLibs.140.00_14.0.33519.0_x64__{CLOCK}",
    f"Microsoft.UI.Xaml.2.8_8.2310.30001.0_x64__{CLOCK}",
    f"Microsoft.Todos_2.104.62421.0_neutral_split.language-de_{CLOCK}",
)


def real_system(name: str) -> Change:
    """A SYSTEM hive of a healthy machine, from the corpus."""
    unpack = {".xz": lzma.decompress, ".gz": gzip.decompress}

    def put(windows: Windows) -> Windows:
        file = Path(os.environ["IMAGE_VALIDATOR_TEST_DATA"]) / "corpus" / "hives" / "windows" / name
        return windows.file(SYSTEM, unpack[file.suffix](file.read_bytes()))

    return put


def corpus_cases() -> tuple[Case, ...]:
    """Hives of machines that others installed, where the corpus is there."""
    if not os.environ.get("IMAGE_VALIDATOR_TEST_DATA"):
        return ()
    seven, ten = real_system("SYSTEM_win7.xz"), real_system("SYSTEM_win10_2004.gz")
    return (
        passes("unsupported-roles", "Windows 7's own services", change=then(client(7601), seven)),
        passes("unsupported-roles", "Windows 10's own services", change=then(client(19041), ten)),
        passes("domain-joined", "Windows 10 of a workgroup", change=ten),
        fails("domain-joined", "Windows 7 of a domain", "warning", change=seven, shows="shieldbase.local"),
        fails("recommended-settings", "Windows 7's own", "notice", change=seven, says="2 of 6"),
        fails("recommended-settings", "Windows 10's own", "notice", change=ten, says="3 of 6"),
        fails("device-encryption", "Windows 10's own hive, 24H2", "notice", change=then(client(), ten)),
    )


CASES: tuple[Case, ...] = (
    passes("os-architecture"),
    fails(
        "os-architecture",
        severity="error",
        change=lambda w: w.system(ENVIRONMENT_KEY, PROCESSOR_ARCHITECTURE="x86"),
        verdict="undeployable",
    ),
    not_applicable(
        "os-architecture", change=lambda w: w.system(ENVIRONMENT_KEY, PROCESSOR_ARCHITECTURE=ABSENT)
    ),
    cannot_tell("os-architecture", change=no_system, verdict="indeterminate"),
    # -- os-version
    passes("os-version", says="20348"),
    passes("os-version", "Windows 11 Pro", change=client()),
    passes("os-version", "the oldest", change=version(14393)),
    fails("os-version", "2012 R2", "warning", change=version(9600), says="some hosts", verdict="deployable"),
    fails("os-version", "2008 R2", "warning", change=version(7600), says="some hosts"),
    fails("os-version", "Vista", "warning", change=version(6002), says="in any form", verdict="deployable"),
    fails(
        "os-version",
        "XP",
        "warning",
        change=lambda w: version(2600)(w).software(
            VERSION_KEY, CurrentBuild="1.511.1 () (Obsolete data - do not use)"
        ),
        says="2600",
    ),
    fails("os-version", "Home", "warning", change=client(22631, "CoreN"), says="Home"),
    fails(
        "os-version",
        "specialized",
        "warning",
        change=version(9600),
        windows=installed,
        profile="azure-specialized",
    ),
    not_applicable(
        "os-version", change=lambda w: w.software(VERSION_KEY, CurrentBuild="next", CurrentBuildNumber=ABSENT)
    ),
    cannot_tell("os-version", change=no_software),
    # -- evaluation-edition
    passes("evaluation-edition", shows="ServerDatacenter"),
    fails(
        "evaluation-edition",
        severity="warning",
        change=version(20348, EditionID="ServerStandardEval"),
        says="ServerStandardEval",
        verdict="deployable",
    ),
    not_applicable("evaluation-edition", change=lambda w: w.software(VERSION_KEY, EditionID=ABSENT)),
    cannot_tell("evaluation-edition", change=no_software),
    # -- domain-joined
    passes("domain-joined", shows="ServerNT"),
    fails(
        "domain-joined",
        "controller",
        "error",
        change=directory,
        says="cannot be generalized",
        shows="ntds.dit",
        verdict="undeployable",
    ),
    fails(
        "domain-joined",
        "controller, specialized",
        "warning",
        change=directory,
        windows=installed,
        profile="azure-specialized",
        says="virtualized",
        verdict="deployable",
    ),
    fails("domain-joined", "controller without database", "warning", change=controller, verdict="deployable"),
    fails(
        "domain-joined",
        "member",
        "warning",
        change=domain(Domain="corp.example", NV_Domain="corp.example"),
        shows="corp.example",
        verdict="deployable",
    ),
    fails("domain-joined", "named for the next start", "warning", change=domain(NV_Domain="corp.example")),
    fails(
        "domain-joined",
        "member, specialized",
        "notice",
        change=domain(Domain="corp.example"),
        windows=installed,
        profile="azure-specialized",
    ),
    cannot_tell("domain-joined", change=no_system, verdict="indeterminate"),
    # -- unsupported-roles
    passes("unsupported-roles"),
    passes(
        "unsupported-roles",
        "the key that is everywhere",
        change=lambda w: w.system(rf"{SERVICES_KEY}\NTDS\RID Values"),
    ),
    passes("unsupported-roles", "disabled", change=service("ClusSvc", 4)),
    passes("unsupported-roles", "Fax of a client", change=then(client(), service("Fax", 3))),
    fails(
        "unsupported-roles",
        severity="warning",
        change=service("CertSvc", 2),
        says="Certificate Services",
        shows="automatic",
        verdict="deployable",
    ),
    fails("unsupported-roles", "Fax of a server", "warning", change=service("Fax", 3), says="Fax Server"),
    fails(
        "unsupported-roles",
        "several",
        "warning",
        change=then(service("DHCPServer", 2), service("ADAM_first", 2), service("ADAM_second", 2)),
        says="(Active Directory Lightweight Directory Services, DHCP Server)",
    ),
    fails(
        "unsupported-roles",
        "specialized",
        "notice",
        change=service("WINS", 2),
        windows=installed,
        profile="azure-specialized",
    ),
    cannot_tell("unsupported-roles", change=no_system),
    # -- recommended-settings
    passes("recommended-settings", change=recommended),
    fails("recommended-settings", "stock", "notice", says="5 of 6", shows="SanPolicy", verdict="deployable"),
    fails(
        "recommended-settings",
        "of another type",
        "notice",
        says="1 of 6",
        shows="TimeZone",
        change=then(
            recommended,
            lambda w: w.system(rf"{CONTROL}\TimeZoneInformation", RealTimeIsUniversal=Raw(3, b"\1")),
        ),
    ),
    cannot_tell("recommended-settings", change=no_system),
    # -- store-packages
    not_applicable("store-packages"),
    passes("store-packages", change=then(PROVIDED, package(USER, ALARMS, *FRAMEWORKS))),
    passes("store-packages", "nobody has any", change=PROVIDED),
    passes("store-packages", "of the system", change=then(PROVIDED, package("S-1-5-18", NOTEPAD))),
    fails(
        "store-packages",
        severity="notice",
        change=then(PROVIDED, package(USER, ALARMS, NOTEPAD)),
        says="1 Store package ",
        shows="NotepadPlusPlus",
        verdict="deployable",
    ),
    fails(
        "store-packages",
        "language pack",
        "notice",
        change=then(
            PROVIDED, package(USER, f"Microsoft.LanguageExperiencePackde-DE_22621.30.98.0_neutral__{CLOCK}")
        ),
        says="1 Store",
    ),
    fails(
        "store-packages",
        "many users",
        "notice",
        change=then(*(package(f"{USER}{n}", NOTEPAD, f"App{n}_1.0.0.0_x64__{CLOCK}") for n in range(20))),
        says="21 Store",
    ),
    cannot_tell("store-packages", change=no_software),
    # -- device-encryption
    passes(
        "device-encryption",
        change=then(client(), lambda w: w.system(rf"{CONTROL}\BitLocker", PreventDeviceEncryption=1)),
    ),
    fails("device-encryption", severity="notice", change=client(), verdict="deployable"),
    fails(
        "device-encryption",
        "not prevented",
        "notice",
        shows="PreventDeviceEncryption",
        change=then(client(), lambda w: w.system(rf"{CONTROL}\BitLocker", PreventDeviceEncryption=0)),
    ),
    not_applicable("device-encryption", "a server"),
    not_applicable("device-encryption", "an older client", change=client(22631)),
    cannot_tell("device-encryption", change=then(client(), no_system)),
    *corpus_cases(),
)
