"""What sysprep meets, and how the hives were closed."""

from __future__ import annotations

from collections.abc import Callable

from tests.catalogue.model import Case, cannot_tell, fails, not_applicable, passes
from tests.images import (
    ABSENT,
    SETUP_KEY,
    STATE_KEY,
    Raw,
    Run,
    Windows,
    generalized,
    installed,
    wim_applied,
    with_sysprep_run,
)
from tests.images.boot import pe_stub
from tests.images.hive import Data
from tests.images.hive_log import DIRT
from tests.images.stock import SYSPREP_PROVIDERS_KEY, expand

ACTIVATION_KEY = r"Microsoft\Windows NT\CurrentVersion\SoftwareProtectionPlatform"
EXTERNAL_KEY = r"Microsoft\Windows\CurrentVersion\Setup\SysPrepExternal"
GUID = "{4C8B0E4F-2D0F-4E6B-9C1C-5B56E42A0F90}"
Change = Callable[[Windows], Windows]


def skip(value: Data) -> Change:
    """Set SkipRearm."""
    return lambda windows: windows.software(ACTIVATION_KEY, SkipRearm=value)


def provider(text: Data, key: str = EXTERNAL_KEY, phase: str = "Generalize") -> Change:
    """Name a file that sysprep calls."""
    return lambda windows: windows.software(rf"{key}\{phase}", {GUID: text})


def and_file(change: Change, path: str) -> Change:
    """And put the file."""
    return lambda windows: change(windows).file(path, pe_stub())


def without_providers(windows: Windows) -> Windows:
    """Leave out all that sysprep calls."""
    return windows.without_key("SOFTWARE", SYSPREP_PROVIDERS_KEY)


def dirty(hive: str, plan: str | None = None) -> Change:
    """Leave a hive as a machine that was switched off: its logs hold the last writes."""
    old: dict[str, Change] = {
        "SOFTWARE": lambda windows: windows.software(STATE_KEY, ImageState="IMAGE_STATE_UNDEPLOYABLE"),
        "SYSTEM": lambda windows: windows.system(SETUP_KEY, SetupType=0),
    }
    return lambda windows: old[hive](windows).dirty_hive(hive, windows, plan=plan)


def without_logs(windows: Windows) -> Windows:
    """A dirty hive whose logs are gone."""
    return dirty("SYSTEM")(windows).file(r"Windows\System32\config\SYSTEM.LOG1", ABSENT)


def no_hive(name: str) -> Change:
    """A hive that cannot be read."""
    return lambda windows: windows.file(rf"Windows\System32\config\{name}", b"")


def told(*options: str) -> Change:
    """Sysprep ran with these options."""
    return lambda windows: with_sysprep_run(windows, Run(options=options))


def mode(value: Data, manufacturer: Data = ABSENT) -> Change:
    """Prepared for one hypervisor; what the machine was."""
    return lambda windows: windows.software(
        r"Microsoft\Windows\CurrentVersion\Setup\Sysprep", SysprepMode=value
    ).system(r"ControlSet001\Control\SystemInformation", SystemManufacturer=manufacturer)


CASES: tuple[Case, ...] = (
    passes("sysprep-options"),
    passes("sysprep-options", "any platform", profile="generalized"),
    passes(
        "sysprep-options",
        "an answer file, any platform",
        change=told("GENERALIZE", "OOBE", "UNATTEND"),
        profile="generalized",
    ),
    fails(
        "sysprep-options",
        "an answer file",
        "notice",
        change=told("GENERALIZE", "OOBE", "UNATTEND"),
        says="sysprep /generalize /oobe /unattend",
    ),
    fails("sysprep-options", "for one hypervisor", "notice", change=mode("vm"), says="/mode:vm"),
    fails(
        "sysprep-options",
        "for Hyper-V",
        "notice",
        change=mode("vm", "Microsoft Corporation"),
        shows="Microsoft Corporation",
    ),
    fails(
        "sysprep-options",
        "for another hypervisor",
        "warning",
        change=mode("vm", "VMware, Inc."),
        says="not Hyper-V",
        shows="VMware, Inc.",
    ),
    fails(
        "sysprep-options",
        "for another hypervisor, any platform",
        "notice",
        change=mode("vm", "VMware, Inc."),
        profile="generalized",
    ),
    fails("sysprep-options", "media, for one hypervisor", "notice", windows=wim_applied, change=mode("vm")),
    not_applicable("sysprep-options", "media", windows=wim_applied),
    not_applicable("sysprep-options", "never generalized", windows=installed),
    cannot_tell("sysprep-options", change=no_hive("SOFTWARE")),
    passes("skip-rearm", shows="0 (REG_DWORD)"),
    passes("skip-rearm", "absent", change=skip(ABSENT)),
    passes("skip-rearm", "no key", change=lambda w: w.without_key("SOFTWARE", ACTIVATION_KEY)),
    passes("skip-rearm", "any platform", profile="generalized"),
    fails("skip-rearm", "set", "notice", change=skip(1), shows="1 (REG_DWORD)"),
    fails("skip-rearm", "set, specialized", "notice", change=skip(1), profile="azure-specialized"),
    fails(
        "skip-rearm",
        "set, any platform",
        "warning",
        change=skip(1),
        profile="generalized",
        verdict="deployable",
    ),
    fails("skip-rearm", "as text", "notice", change=skip("1")),
    cannot_tell("skip-rearm", change=no_hive("SOFTWARE")),
    passes("sysprep-providers", says="are there (3)"),
    passes("sysprep-providers", "media", windows=wim_applied),
    passes("sysprep-providers", "without a folder", change=provider("spopk.dll,Call"), says="(4)"),
    passes("sysprep-providers", "without an ending", change=provider("spopk,Call"), says="(4)"),
    passes(
        "sysprep-providers",
        "beside sysprep.exe",
        change=and_file(provider("own.dll,Call"), r"Windows\System32\Sysprep\own.dll"),
        says="(4)",
    ),
    passes(
        "sysprep-providers",
        "by a variable",
        change=provider(expand(r"%SystemRoot%\System32\SPOPK.DLL,Call")),
        says="(4)",
    ),
    passes(
        "sysprep-providers",
        "of another program",
        change=and_file(
            provider(r'"C:\Program Files\Agent, Inc\agent.dll",Call'),
            r"Program Files\Agent, Inc\agent.dll",
        ),
        says="(4)",
    ),
    passes(
        "sysprep-providers",
        "Windows under another letter",
        change=provider(r"D:\Windows\System32\spopk.dll,Call"),
        says="(4)",
    ),
    passes("sysprep-providers", "on another volume", change=provider(r"D:\agent.dll,Call"), says="(3)"),
    passes("sysprep-providers", "on a share", change=provider(r"\\host\x\agent.dll,Call"), says="(3)"),
    passes(
        "sysprep-providers",
        "variable that is not known",
        change=provider(expand(r"%AGENT%\agent.dll,Call")),
        says="(3)",
    ),
    passes("sysprep-providers", "up the tree", change=provider(r"C:\Windows\..\x.dll,Call"), says="(3)"),
    passes("sysprep-providers", "no text", change=provider(Raw(3, b"\1\2")), says="(3)"),
    passes("sysprep-providers", "empty", change=provider(""), says="(3)"),
    fails(
        "sysprep-providers",
        "agent removed",
        "notice",
        change=provider(r"C:\WindowsAzure\VMAgentDisabler.dll,Generalize"),
        says="its next run would fail",
        shows="VMAgentDisabler.dll",
        verdict="deployable",
    ),
    fails(
        "sysprep-providers",
        "Windows' own",
        "notice",
        change=lambda w: w.file(r"Windows\System32\spopk.dll", ABSENT),
        shows=r"Setup\Sysprep\Cleanup",
    ),
    fails(
        "sysprep-providers",
        "to specialize, any platform",
        "notice",
        change=provider("gone.dll,Call", phase="Specialize"),
        profile="generalized",
    ),
    fails(
        "sysprep-providers",
        "several",
        "notice",
        change=lambda w: provider("gone.dll,Call")(provider("gone2.dll,Call", phase="Cleanup")(w)),
        says="2 of the 5",
    ),
    not_applicable("sysprep-providers", "none", change=without_providers),
    cannot_tell("sysprep-providers", change=no_hive("SOFTWARE"), verdict="indeterminate"),
    passes("hive-readable"),
    passes("hive-readable", "installed", windows=installed, profile="azure-specialized"),
    fails(
        "hive-readable",
        "SOFTWARE",
        "warning",
        change=dirty("SOFTWARE"),
        shows="were applied in memory",
        verdict="deployable",
    ),
    fails("hive-readable", "SYSTEM", "warning", change=dirty("SYSTEM"), shows="config\\SYSTEM"),
    fails("hive-readable", "log of old Windows", "warning", change=dirty("SYSTEM", DIRT)),
    fails(
        "hive-readable",
        "any platform",
        "warning",
        change=dirty("SYSTEM"),
        profile="generalized",
        verdict="deployable",
    ),
    cannot_tell("hive-readable", change=no_hive("SYSTEM"), verdict="indeterminate"),
    cannot_tell("hive-readable", "logs lost", change=without_logs, windows=generalized),
)
