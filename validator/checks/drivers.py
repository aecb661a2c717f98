"""Boot: the files, drivers and servicing state that a start on a virtual machine needs."""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

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
    unknown,
)
from validator.disk.partitions import PartitionTable
from validator.evidence import Evidence, Layer, Location, Unreadable
from validator.facts.drivers import LEGACY_BUILDS, ClassFilter, Driver, HostId, SystemFile
from validator.facts.model import Attempt
from validator.facts.question import Question
from validator.facts.services import BOOT, DISABLED, MANUAL
from validator.facts.servicing import PackageServicing
from validator.facts.setup import Product
from validator.redaction import redact
from validator.windows.hive import Value

FAMILY = "boot"
_SINCE = "0.1"
_PREPARE = "https://learn.microsoft.com/azure/virtual-machines/windows/prepare-for-upload-vhd-image"
_BOOT_FAILURE = "https://learn.microsoft.com/troubleshoot/azure/virtual-machines/windows/windows-boot-failure"
_SITE_RECOVERY = "https://learn.microsoft.com/azure/site-recovery/"
_NVME = "https://learn.microsoft.com/azure/virtual-machines/enable-nvme-interface"
_HOST_UPDATE = (
    "https://learn.microsoft.com/troubleshoot/azure/virtual-machines/windows/"
    "windows-server-2012r2-boot-failure-platform-update"
)
_REPAIR_SCRIPTS = "https://github.com/Azure/repair-script-library/tree/main/src/windows"
_WINDOWS_8 = 9200
"""The first build whose storvsc starts at boot as it is installed; in Windows 7 it is 3."""
_NVME_CLIENT, _NVME_SERVER = 10240, 17763
"""Windows 10, and Server 2019."""
_INBOX_FILTERS = {
    "ehstorclass", "fvevol", "iasf", "iastorav", "iastorf", "iorate", "partmgr", "rdyboost", "spldr",
    "storflt", "storqosflt", "volmgrx", "volsnap", "wcifs",
}  # fmt: skip
"""Filters that Windows brings along, in lower case. Source: Azure/repair-script-library."""
_OFFLINE = r"HKLM\OFFLINE"
_LOAD = rf"reg load {_OFFLINE} W:\Windows\System32\config\SYSTEM"
_UNLOAD = rf"reg unload {_OFFLINE}"


@check(
    "boot-files",
    family=FAMILY,
    severity=by_profile(Severity.ERROR, Severity.ERROR, None),
    remedy=Remedy(
        "Attach the disk to a working machine (W: is its Windows, S: its system partition), repair the "
        "files and write the boot files again; or rebuild the image.",
        (
            r"sfc /scannow /offbootdir=S:\ /offwindir=W:\Windows",
            r"dism /Image:W:\ /Cleanup-Image /RestoreHealth",
            r"bcdboot W:\Windows /s S: /f ALL",
        ),
    ),
    references=(_BOOT_FAILURE, _REPAIR_SCRIPTS),
    since=_SINCE,
)
def boot_files(
    kernel_files: tuple[SystemFile, ...], boot_driver_files: Attempt[tuple[SystemFile, ...]]
) -> Iterator[Finding]:
    r"""The files that Windows starts with are there.

    Without its loader and its kernel no machine starts: `\Windows\System32\ntoskrnl.exe`, `hal.dll`, and
    `winload.exe` on a disk with an MBR (generation 1) or `winload.efi` on one with a GPT (generation 2).
    Each has to be there and not empty.

    A warning is what a start needs besides: `ntfs`, `disk`, `partmgr`, `volmgr`, `mountmgr`, `fltmgr` and
    `storport` in `\Windows\System32\drivers`, and for generation 2 also `clfs.sys` there and `ci.dll`,
    `kdcom.dll` and `pshed.dll` in `\Windows\System32`.

    Nothing is read of a file but its size. One whose data is kept elsewhere (compressed by Compact OS)
    counts as there.
    """
    lost = [file.evidence for file in kernel_files if not file.usable]
    drivers = boot_driver_files.value or ()
    others = [file.evidence for file in drivers if not file.usable]
    if lost:
        yield failed("Windows cannot start: its loader or its kernel is missing.", *lost, *others)
    elif boot_driver_files.unknown is not None:
        why = boot_driver_files.unknown
        message = "The kernel and its loader are there; whether the drivers are could not be read."
        yield unknown(message, why)._replace(severity=Severity.WARNING)
    elif others:
        message = "Files that Windows needs to start are missing or empty: it probably stops at start."
        yield failed(message, *others, severity=Severity.WARNING)
    else:
        yield passed("The kernel, its loader and its drivers are there.", *_seen(kernel_files))


@check(
    "storage-boot-drivers",
    family=FAMILY,
    severity=by_profile(Severity.ERROR, Severity.ERROR, None),
    remedy=Remedy(
        "Let the drivers start at boot, on the source machine or offline as here (W: is the disk's Windows; "
        "again for every other ControlSet00N). Where a driver is missing, add it from the same Windows.",
        (
            _LOAD,
            *(
                rf"reg add {_OFFLINE}\ControlSet001\Services\{name} /v Start /t REG_DWORD /d 0 /f"
                for name in ("storvsc", "vmbus", "storflt")
            ),
            _UNLOAD,
            r"dism /Image:W:\ /Add-Driver /Driver:D:\Drivers /Recurse",
        ),
    ),
    references=(
        _SITE_RECOVERY,
        "https://learn.microsoft.com/azure/migrate/prepare-for-agentless-migration",
        _REPAIR_SCRIPTS,
    ),
    since=_SINCE,
)
def storage_boot_drivers(
    virtual_disk_drivers: tuple[Driver, ...],
    other_disk_drivers: Attempt[tuple[Driver, ...]],
    windows_build: Attempt[int | None],
    question: Question,
) -> Iterator[Finding]:
    r"""The drivers of the virtual disk start at boot.

    Azure's disks are reached through `vmbus` and `storvsc`. A Windows that cannot load them does not see
    its own disk and stops with INACCESSIBLE_BOOT_DEVICE (0x7B), as happens to disks that come from other
    hypervisors. Read is the control set that Windows starts with (`SYSTEM\Select`, `Current`): of each
    key `SYSTEM\ControlSet00N\Services\NAME` the values `Start` and `ImagePath`, and whether the file is
    there and not empty.

    For `storvsc` and `vmbus`:

    | what | severity |
    | --- | --- |
    | key or file missing, or `Start` 4 (disabled) | error |
    | `Start` 3 (on demand) in Windows 8, Server 2012 or newer | warning; error for a specialized disk |
    | `Start` 3 in older Windows, whose `storvsc` comes so | notice; warning for a specialized disk |
    | any other `Start`, or a file on another volume | warning |

    The same is asked of `storflt`, and on a disk with an MBR of `atapi` with `ataport.sys` and of `intelide`
    with `pciidex.sys`, but never more than a warning.

    The key `StartOverride` is not looked at: every Windows that did not run on Hyper-V has a 3 there, and
    clears it on new hardware.
    """
    build = windows_build.value
    faults = list(_faults(virtual_disk_drivers, build, question, Severity.ERROR))
    others = list(_faults(other_disk_drivers.value or (), build, question, Severity.WARNING))
    every = sorted((*faults, *others), key=lambda fault: fault.severity.rank)
    worst = every[0].severity if every else None
    if other_disk_drivers.unknown is not None and worst is not Severity.ERROR:
        message = "Whether all drivers of the virtual disk start at boot could not be read."
        evidence = (other_disk_drivers.unknown, *(fault.evidence for fault in every))
        yield unknown(message, *evidence)._replace(severity=Severity.WARNING)
    elif every:
        names = ", ".join(dict.fromkeys(fault.name for fault in every))
        message = _STORAGE_MESSAGES[every[0].severity].format(names=names)
        yield failed(message, *(fault.evidence for fault in every), severity=worst)
    else:
        message = "The drivers of the virtual disk are there and start at boot."
        yield passed(message, *_starts((*virtual_disk_drivers, *(other_disk_drivers.value or ()))))


_STORAGE_MESSAGES = {
    Severity.ERROR: (
        "Windows would not find its disk on Azure and stop with INACCESSIBLE_BOOT_DEVICE: "
        "a driver of the virtual disk is missing or not started at boot ({names})."
    ),
    Severity.WARNING: (
        "A driver of the virtual disk is missing or not started at boot ({names}): Windows may not find its "
        "disk on Azure."
    ),
    Severity.NOTICE: "A driver of the virtual disk is not started at boot, as in Windows 7 ({names}).",
}


class _Fault(NamedTuple):
    """What is wrong with a driver, and how grave that is."""

    name: str
    severity: Severity
    evidence: Evidence


def _faults(
    drivers: Iterable[Driver], build: int | None, question: Question, gravest: Severity
) -> Iterator[_Fault]:
    """Why drivers do not start at boot."""

    def fault(driver: Driver, severity: Severity, evidence: Evidence) -> _Fault:
        return _Fault(driver.name, max(severity, gravest, key=lambda each: each.rank), evidence)

    for driver in drivers:
        for evidence in driver.missing:
            yield fault(driver, Severity.ERROR, evidence)
        if driver.elsewhere is not None:
            yield fault(driver, Severity.WARNING, driver.elsewhere)
        if driver.service is not None and driver.start != BOOT:
            severity = _severity_of_start(driver.start, build, question)
            evidence = driver.service.evidence._replace(expected="Start 0 (boot)")
            yield fault(driver, severity, evidence)


def _severity_of_start(start: int | None, build: int | None, question: Question) -> Severity:
    """What another Start than 0 means; without a build number the milder of what it could."""
    if start == DISABLED:
        return Severity.ERROR
    if start != MANUAL or build is None:
        return Severity.WARNING
    if build < _WINDOWS_8:
        return Severity.WARNING if question.specialized else Severity.NOTICE
    return Severity.ERROR if question.specialized else Severity.WARNING


@check(
    "network-driver",
    family=FAMILY,
    severity=by_profile(Severity.WARNING, Severity.WARNING, None),
    remedy=Remedy(
        "Enable the driver on the source machine; where it is missing, add it from the same Windows (W: is "
        "the disk's Windows).",
        ("sc.exe config netvsc start= demand", r"dism /Image:W:\ /Add-Driver /Driver:D:\Drivers /Recurse"),
    ),
    references=(_PREPARE, _REPAIR_SCRIPTS),
    since=_SINCE,
)
def network_driver(
    network_drivers: tuple[Driver, ...], windows_build: Attempt[int | None]
) -> Iterator[Finding]:
    r"""The driver of the virtual network adapter can be loaded.

    A machine whose `netvsc` is disabled or gone starts without a network: nobody reaches it, and
    provisioning times out. Read are `Start` and `ImagePath` in
    `SYSTEM\ControlSet00N\Services\netvsc`, and whether the file that it names is there and not empty.
    Older integration services have `netvsc63` instead.

    Windows before 8 and Server 2012 makes the key when it first sees such an adapter, so there it is
    only a notice that it is missing.
    """
    for driver in network_drivers:
        usable = driver.service is not None and not driver.service.disabled and driver.elsewhere is None
        if usable and not driver.missing:
            yield passed("The driver of the virtual network adapter is there.", *_starts([driver]))
            return
    evidence = [each for driver in network_drivers for each in driver.missing]
    evidence += [driver.elsewhere for driver in network_drivers if driver.elsewhere is not None]
    for driver in network_drivers:
        if driver.service is not None and driver.service.disabled:
            evidence.append(driver.service.evidence._replace(expected="Start 3 (manual)"))
    absent = all(driver.service is None for driver in network_drivers)
    old = windows_build.value is not None and windows_build.value < _WINDOWS_8
    yield failed(
        "The machine starts without a network: the driver of its virtual adapter is missing or disabled.",
        *evidence,
        severity=Severity.NOTICE if absent and old else None,
    )


@check(
    "nvme-driver",
    family=FAMILY,
    severity=by_profile(Severity.NOTICE, Severity.WARNING, None),
    remedy=Remedy(
        "Let the driver start at boot on the source machine; a machine that ran with SCSI disks must also "
        "lose the key StartOverride below stornvme, pci and vpci right before it is shut down.",
        (
            "sc.exe config stornvme start= boot",
            *(
                rf'reg delete "HKLM\SYSTEM\CurrentControlSet\Services\{name}\StartOverride" /f'
                for name in ("stornvme", "pci", "vpci")
            ),
        ),
    ),
    references=(_NVME, _REPAIR_SCRIPTS),
    since=_SINCE,
)
def nvme_driver(
    nvme_storage_driver: Driver,
    partition_table: PartitionTable,
    windows_build: int | None,
    product: Product,
    question: Question,
) -> Iterator[Finding]:
    r"""Windows starts from an NVMe disk where it has to.

    Asked with `--vm-size-nvme`, for sizes of machines whose disks are NVMe only. They need a disk of
    generation 2 (GPT), Windows 10, Server 2019 or newer, and `stornvme` started at boot:
    `SYSTEM\ControlSet00N\Services\stornvme`, `Start` 0, its file there and not empty.

    Without that option only a driver that somebody disabled (`Start` 4) is worth a notice.
    """
    driver = nvme_storage_driver
    if not question.nvme:
        if driver.start == DISABLED and driver.service is not None:
            message = "The NVMe driver is disabled: machines of sizes with NVMe disks would not start."
            yield failed(message, driver.service.evidence, severity=Severity.NOTICE)
        else:
            yield not_applicable("Nothing says that the machine's disks will be NVMe (--vm-size-nvme).")
        return
    evidence = [*driver.missing, *([driver.elsewhere] if driver.elsewhere is not None else [])]
    if driver.service is not None and driver.start != BOOT:
        evidence.append(driver.service.evidence._replace(expected="Start 0 (boot)"))
    if partition_table.scheme != "gpt":
        where = Location(Layer.PARTITION_TABLE)
        evidence.append(Evidence(where, partition_table.scheme.upper(), "a GPT (generation 2)"))
    server = (product.installation_type or "").lower().startswith("server")
    least = _NVME_SERVER if server else _NVME_CLIENT
    if windows_build is not None and windows_build < least:
        expected = "Server 2019 (17763) or newer" if server else "Windows 10 (10240) or newer"
        evidence.append(Evidence(Location(Layer.HIVE), f"build {windows_build}", expected))
    if evidence:
        yield failed("Windows would not start on a machine whose disks are NVMe.", *evidence)
    else:
        yield passed("Windows can start from an NVMe disk.", *_starts([driver]))


@check(
    "class-filters",
    family=FAMILY,
    severity=by_profile(Severity.WARNING, Severity.WARNING, None),
    remedy=Remedy(
        "Uninstall the product that left the filter behind, or take its name out of the list and keep the "
        "others: the values are UpperFilters and LowerFilters of the key that the evidence names.",
        (
            r'reg query "HKLM\SYSTEM\CurrentControlSet\Control\Class\{4d36e967-e325-11ce-bfc1-08002be10318}"',
            r'reg add "HKLM\SYSTEM\CurrentControlSet\Control\Class\{4d36e967-e325-11ce-bfc1-08002be10318}" '
            "/v UpperFilters /t REG_MULTI_SZ /d partmgr /f",
        ),
    ),
    references=(
        _REPAIR_SCRIPTS,
        "https://learn.microsoft.com/windows-hardware/drivers/install/system-defined-device-setup-classes-available-to-vendors",
    ),
    since=_SINCE,
)
def class_filters(class_filters: tuple[ClassFilter, ...]) -> Iterator[Finding]:
    r"""Every filter driver between Windows and its disk exists.

    Backup, encryption and security products put filters over all disks, volumes or storage controllers.
    A filter whose driver is gone keeps the device from starting, and a machine without its disk stops
    with INACCESSIBLE_BOOT_DEVICE (0x7B). Read are `UpperFilters` and `LowerFilters` of the classes of
    disks, IDE and storage controllers, system devices and volumes in
    `SYSTEM\ControlSet00N\Control\Class\{...}`: each name must have a service, and the file that it names
    (`System32\drivers\NAME.sys` where it names none) must be there and not empty.

    Filters that are there but not part of Windows are a notice.
    """
    dangling = [each for each in class_filters if each.driver.missing]
    foreign = [each for each in class_filters if each.driver.name.lower() not in _INBOX_FILTERS]
    if dangling:
        evidence = [_named(each) for each in dangling]
        evidence += [fault for each in dangling for fault in each.driver.missing]
        message = (
            f"Filter drivers of the disk are gone ({_filter_names(dangling)}): Windows probably stops at "
            "start with INACCESSIBLE_BOOT_DEVICE."
        )
        yield failed(message, *dict.fromkeys(evidence))
    elif foreign:
        message = f"Filter drivers that are not part of Windows work on its disk ({_filter_names(foreign)})."
        evidence = [_named(each) for each in foreign]
        yield failed(message, *dict.fromkeys(evidence), severity=Severity.NOTICE)
    else:
        evidence = [_named(each) for each in class_filters]
        yield passed("Every filter driver of the disk is there.", *dict.fromkeys(evidence))


def _named(named: ClassFilter) -> Evidence:
    """The value that names a filter."""
    value = named.value
    return Evidence(value.where, f"{_shown(named.driver.name)}, for {named.class_name}", time=value.key_time)


def _filter_names(filters: Iterable[ClassFilter]) -> str:
    names = list(dict.fromkeys(_shown(each.driver.name) for each in filters))
    return ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")


def _shown(name: str) -> str:
    return redact(name)[:64]


@check(
    "servicing-pending",
    family=FAMILY,
    severity=by_profile(Severity.WARNING, Severity.WARNING, None),
    remedy=Remedy(
        "Start the machine from before sysprep, install all updates and restart until none is left, then "
        "generalize. As a rescue, have the unfinished work taken back offline (W: is the disk's Windows).",
        (r"dism /Image:W:\ /Cleanup-Image /RevertPendingActions",),
    ),
    references=(_PREPARE, _REPAIR_SCRIPTS),
    since=_SINCE,
)
def servicing_pending(
    pending_operations: Attempt[SystemFile],
    package_servicing: Attempt[PackageServicing],
    component_store: Attempt[tuple[Value, ...]],
) -> Iterator[Finding]:
    r"""No update waits for the next start.

    Updates that were not finished are worked on when the machine first starts: it takes long, and where
    they cannot be finished it rolls back and starts again without end. Each of these says so:

    - `\Windows\WinSxS\pending.xml`, not empty;
    - a key `PackagesPending`, `RebootPending` or `RebootInProgress` in
      `SOFTWARE\Microsoft\Windows\CurrentVersion\Component Based Servicing`;
    - a key below `SessionsPending` there without `Complete` = 1: Windows keeps one for every finished
      session, so others mean nothing;
    - one of the values `ExecutionState`, `PendingXmlIdentifier`, `NextQueueEntryIndex`,
      `NextQueueEntryIndexBCDB`, `AdvancedInstallersNeedResolving` and `StoreDirty` of `COMPONENTS`, where it
      is neither 0 nor empty. An image may have no such hive.
    """
    found: list[Evidence] = []
    if (file := pending_operations.value) is not None and file.usable:
        found.append(file.evidence)
    if (packages := package_servicing.value) is not None:
        words = "a key: work is not finished", "no such key"
        found += [Evidence(where, *words) for where in packages.pending_keys]
        found += [session.evidence for session in packages.sessions if not session.finished]
    for value in component_store.value or ():
        if any(value.data):
            found.append(Evidence(value.where, redact(str(value)), "0 or no value", value.key_time))
    unread = (pending_operations.unknown, package_servicing.unknown, component_store.unknown)
    reasons = [each for each in unread if each is not None]
    if found:
        message = "Updates are not finished: the first start takes long, fails, or repeats without end."
        yield failed(message, *found)
    elif reasons:
        raise Unreadable(reasons[0])
    else:
        yield passed("No update waits for the next start.")


@check(
    "legacy-host-ids",
    family=FAMILY,
    severity=by_profile(Severity.WARNING, Severity.WARNING, None),
    remedy=Remedy(
        "Upgrade to Server 2019 or newer. Until then add the identifiers as Microsoft's article says, which "
        "copies the keys of VMBus and of the generation counter; these show what is there.",
        tuple(
            rf"reg query HKLM\SYSTEM\CurrentControlSet\Enum\ACPI\{name}"
            for name in ("VMBus", "Hyper_V_Gen_Counter_V1", "MSFT1000", "MSFT1002")
        ),
    ),
    references=(_HOST_UPDATE,),
    since=_SINCE,
)
def legacy_host_ids(legacy_host_ids: tuple[HostId, ...], windows_build: int | None) -> Iterator[Finding]:
    r"""Windows knows the devices that newer hosts present.

    Newer hosts of Azure present VMBus as `ACPI\MSFT1000` and the generation counter as `ACPI\MSFT1002`.
    Windows 8, 8.1, Server 2012 and 2012 R2 (builds 9200 and 9600) do not know them and stop with
    INACCESSIBLE_BOOT_DEVICE, though they start on a Hyper-V of one's own. They start where both keys are in
    `SYSTEM\ControlSet00N\Enum\ACPI`. Newer Windows does without.
    """
    if windows_build not in LEGACY_BUILDS:
        yield not_applicable("This is about Windows 8, 8.1, Server 2012 and 2012 R2 only.")
        return
    lacking = [each for each in legacy_host_ids if not each.known]
    if lacking:
        names = " and ".join(each.name for each in lacking)
        evidence = (Evidence(each.where, "no such key", "a key as that of VMBus") for each in lacking)
        message = f"On newer hosts of Azure this Windows stops at start: it does not know {names}."
        yield failed(message, *evidence)
    else:
        evidence = (Evidence(each.where, "a key of this name") for each in legacy_host_ids)
        yield passed("Windows knows the devices of newer hosts.", *evidence)


def _seen(files: Iterable[SystemFile]) -> list[Evidence]:
    return [file.evidence for file in files]


def _starts(drivers: Iterable[Driver]) -> list[Evidence]:
    return [driver.service.evidence for driver in drivers if driver.service is not None]


CHECKS: tuple[Check, ...] = (
    boot_files,
    storage_boot_drivers,
    network_driver,
    nvme_driver,
    class_filters,
    servicing_pending,
    legacy_host_ids,
)
