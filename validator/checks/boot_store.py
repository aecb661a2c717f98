"""Boot: what the boot store (BCD) tells the boot manager to start."""

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
    unknown,
)
from validator.evidence import Evidence
from validator.facts.boot import BootStoreFile, DefaultStart, Place, PlaceKind, SystemVolume, shown
from validator.facts.image import SYSTEM_FOLDER, Installation
from validator.windows.boot_store import (
    BOOTDEBUG,
    BOOTSTATUSPOLICY,
    DEBUG,
    DEFAULT,
    DESCRIPTION,
    DEVICE,
    IMCDEVICE,
    IMCHIVENAME,
    NOINTEGRITYCHECKS,
    OSDEVICE,
    PATH,
    RECOVERYENABLED,
    SAFEBOOT,
    SYSTEMROOT,
    TESTSIGNING,
    WINPE,
    BootEntry,
)

FAMILY = "boot"
IGNORE_ALL_FAILURES = 1
"""Of `bootstatuspolicy`. Source: Microsoft, BcdLibrary / BCDEdit, bootstatuspolicy."""
_BOOT_FAILURE = "https://learn.microsoft.com/troubleshoot/azure/virtual-machines/windows/windows-boot-failure"
_PREPARE = "https://learn.microsoft.com/azure/virtual-machines/windows/prepare-for-upload-vhd-image"
_REPAIRS = "https://github.com/Azure/repair-script-library"
_BCDEDIT = "https://learn.microsoft.com/windows-hardware/drivers/devtest/bcdedit--set"
_BCDBOOT = (
    "https://learn.microsoft.com/windows-hardware/manufacture/desktop/bcdboot-command-line-options-techref-di"
)
_NO_DEFAULT = "The boot store has no default entry that starts Windows."
"""Of what rests on that entry: `bcd-present` says it."""


def _default(boot_store: BootStoreFile | None) -> BootEntry | None:
    return boot_store.default if boot_store is not None else None


@check(
    "bcd-present",
    family=FAMILY,
    severity=by_profile(Severity.ERROR, Severity.ERROR, None),
    remedy=Remedy(
        "Let Windows write the boot store again (S: is the EFI system partition or the active partition).",
        (r"bcdboot C:\Windows /s S: /f ALL",),
    ),
    references=(_BOOT_FAILURE, _BCDBOOT, _REPAIRS),
    since="0.1",
)
def bcd_present(system_volume: SystemVolume, boot_store: BootStoreFile | None) -> Iterator[Finding]:
    r"""The boot store has a default entry that starts Windows.

    The boot manager reads `\EFI\Microsoft\Boot\BCD` on the EFI system partition, or `\Boot\BCD` on the
    active one, a hive, and starts the entry that the element `default` (23000003) of the object
    `{9dea862c-5cdd-4e70-acc1-f32b344d4795}` names. It must be in the store and of the type Windows boot
    loader (10200003); else the machine stops with 0xc0000034, 0xc000000f or 0xc0000225. A store that was
    not closed is read with its transaction logs; one that is damaged leaves the answer open, and so do
    several partitions that a machine could start from.

    Other entries (recovery, resume, an old Setup) are not judged. Without a volume to look on this does
    not apply: active-partition and esp-present say so.
    """
    if boot_store is None:
        several = [each for each in system_volume.partitions if each.file_system is not None]
        if len(several) > 1:
            evidence = (each.evidence for each in several)
            yield unknown("Nothing says from which of several partitions the machine starts.", *evidence)
        else:
            yield not_applicable("There is no volume that the machine starts from.")
        return
    store, entry = boot_store.store, boot_store.default
    if store is None:
        yield failed("There is no boot store.", Evidence(boot_store.where, "no such file", "the boot store"))
    elif store.manager is None:
        expected = "an object for the boot manager"
        yield failed("The boot store is empty.", Evidence(boot_store.where, "none", expected))
    elif entry is not None:
        message = "The boot store has a default entry, which starts Windows."
        yield passed(message, shown(entry, DESCRIPTION), *boot_store.recovered)
    elif store.default_id is None:
        yield failed("The boot store names no default entry.", shown(store.manager, DEFAULT))
    elif store.default is None:
        nowhere = shown(store.manager, DEFAULT)._replace(expected="an entry of the store")
        yield failed("The default entry is not in the boot store.", nowhere)
    else:
        where, kind = store.default.where, store.default.kind
        message = "The default entry of the boot store does not start Windows."
        yield failed(message, Evidence(where, kind, "an OS loader"), shown(store.manager, DEFAULT))


@check(
    "bcd-devices",
    family=FAMILY,
    severity=by_profile(Severity.ERROR, Severity.ERROR, None),
    remedy=Remedy(
        "Point the default entry at the partition of Windows (F: is that partition of the disk, S: the EFI "
        "system partition or the active partition, where the store is S:\\Boot\\BCD), or write it again.",
        (
            r"bcdedit /store S:\EFI\Microsoft\Boot\BCD /set {default} device partition=F:",
            r"bcdedit /store S:\EFI\Microsoft\Boot\BCD /set {default} osdevice partition=F:",
            r"bcdboot F:\Windows /s S: /f ALL",
        ),
    ),
    references=(_BOOT_FAILURE, _REPAIRS, _PREPARE),
    since="0.1",
)
def bcd_devices(default_start: DefaultStart | None, installation: Installation) -> Iterator[Finding]:
    r"""The default entry of the boot store starts the Windows that is on the disk.

    Of the default entry are read: `device` (11000001) and `path` (12000002), where its loader lies;
    `osdevice` (21000001) and `systemroot` (22000002), where its Windows lies. A device that is searched
    for (`locate`, as sysprep leaves it) or is the partition of the boot manager (`boot`) is as good as a
    partition that is named.

    Where the loader's file is not on the volume of Windows the machine cannot start (0xc000000f): an
    error. A warning is a partition that this disk does not have (both its own identifier and the disk's
    must fit; 0xc000000e), another partition than that of Windows, a default entry that starts from a
    file (a virtual disk, a RAM disk), and an entry that lacks one of the four. Devices of an unknown
    layout are not judged. Where `systemroot` is another folder than `\Windows`, that folder is not the
    one that was judged, and the answer stays open.
    """
    if default_start is None:
        yield not_applicable(_NO_DEFAULT)
        return
    start, number = default_start, installation.partition
    if _lacks_loader(start, number) and start.loader is not None:
        expected = "the loader that the default entry starts"
        missing = Evidence(start.loader, "no such file", expected)
        yield failed("The loader that the boot store starts is not there.", missing, *start.evidence)
        return
    places = ((DEVICE, start.device), (OSDEVICE, start.os_device))
    in_file = any(place.kind is PlaceKind.IN_FILE for _, place in places)
    if start.folder is not None and start.folder.lower() != SYSTEM_FOLDER.lower() and not in_file:
        message = r"The boot store starts another system folder than \Windows, which was not judged."
        yield unknown(message, shown(start.entry, SYSTEMROOT))
        return
    faults = [
        (fault, shown(start.entry, element)) for element, place in places if (fault := _fault(place, number))
    ]
    if start.loader is None:
        faults.append(("The default entry names no loader.", shown(start.entry, PATH)))
    if start.folder is None:
        faults.append(("The default entry names no system folder.", shown(start.entry, SYSTEMROOT)))
    untold = [element for element, place in places if place.kind is PlaceKind.UNTOLD]
    if faults:
        evidence = tuple(each for _, each in faults)
        yield failed(faults[0][0], *evidence, severity=Severity.WARNING)
    elif untold:
        evidence = tuple(shown(start.entry, each) for each in untold)
        yield not_applicable("The default entry names a device of a kind that is not judged.", *evidence)
    else:
        yield passed("The default entry starts the Windows that is on the disk.", *start.evidence)


def _lacks_loader(start: DefaultStart, number: int) -> bool:
    """Whether the loader is looked for where Windows is, and is not there."""
    here = start.device.kind is PlaceKind.SEARCHED or start.device == Place(PlaceKind.PARTITION, number)
    return here and not start.has_loader


def _fault(place: Place, number: int) -> str | None:
    """What is wrong with a device, if Windows is on the partition of this number."""
    if place.kind is PlaceKind.MISSING:
        return "The boot store starts a partition that this disk does not have."
    if place.kind is PlaceKind.IN_FILE:
        return "The boot store starts a disk inside a file, not the Windows that is on the disk."
    if place.kind is PlaceKind.ABSENT:
        return "The default entry does not say where its Windows is."
    if place.kind is PlaceKind.PARTITION and place.partition != number:
        return f"The boot store starts partition {place.partition}; Windows is on partition {number}."
    return None


@check(
    "bcd-test-flags",
    family=FAMILY,
    severity=by_profile(Severity.WARNING, Severity.WARNING, None),
    remedy=Remedy(
        "Turn test mode and the debuggers off on the machine.",
        (
            "bcdedit /deletevalue {default} testsigning",
            "bcdedit /deletevalue {default} nointegritychecks",
            "bcdedit /debug {default} off",
            "bcdedit /bootdebug {bootmgr} off",
        ),
    ),
    references=(_BCDEDIT, _REPAIRS),
    since="0.1",
)
def bcd_test_flags(boot_store: BootStoreFile | None) -> Iterator[Finding]:
    r"""The boot store starts Windows without test mode and without a debugger.

    With `testsigning` (16000049) or `nointegritychecks` (16000048) in the default entry Windows loads
    drivers that nobody signed; where Secure Boot is on, the boot manager drops both. With `debug`
    (260000a0) there, or `bootdebug` (16000010) in the boot manager's, the start may wait for a debugger.
    Inherited elements count. The machine starts in most cases: a warning.
    """
    entry = _default(boot_store)
    manager = boot_store.store.manager if boot_store is not None and boot_store.store is not None else None
    if entry is None or manager is None:
        yield not_applicable(_NO_DEFAULT)
        return
    flags = ((entry, TESTSIGNING), (entry, NOINTEGRITYCHECKS), (entry, DEBUG), (manager, BOOTDEBUG))
    evidence = [shown(each, element) for each, element in flags if each.flag(element)]
    if evidence:
        yield failed("Windows is started in test mode or with a debugger.", *evidence)
    else:
        yield passed("Windows is started without test mode and debuggers.")


@check(
    "bcd-safeboot",
    family=FAMILY,
    severity=by_profile(Severity.WARNING, Severity.WARNING, None),
    remedy=Remedy(
        "Turn safe mode off on the machine, and let the default entry be that of Windows.",
        ("bcdedit /deletevalue {default} safeboot", "bcdedit /deletevalue {default} winpe"),
    ),
    references=(
        "https://learn.microsoft.com/troubleshoot/azure/virtual-machines/windows/troubleshoot-rdp-safe-mode",
        _BCDEDIT,
    ),
    since="0.1",
)
def bcd_safeboot(boot_store: BootStoreFile | None) -> Iterator[Finding]:
    r"""The boot store starts Windows in its normal mode.

    With `safeboot` (25000080) in the default entry, whatever its number, Windows starts in safe mode:
    nobody can log on by Remote Desktop, in safe mode with networking neither. With `winpe` (26000022) it
    starts as the system of installation media, which forgets everything.
    """
    entry = _default(boot_store)
    if entry is None:
        yield not_applicable(_NO_DEFAULT)
    elif entry.value(SAFEBOOT) is not None:
        yield failed("Windows is started in safe mode, without Remote Desktop.", shown(entry, SAFEBOOT))
    elif entry.flag(WINPE):
        yield failed("The default entry starts Windows PE.", shown(entry, WINPE))
    else:
        yield passed("Windows is started in its normal mode.", shown(entry, SAFEBOOT))


@check(
    "bcd-recovery",
    family=FAMILY,
    severity=by_profile(Severity.NOTICE, Severity.NOTICE, None),
    remedy=Remedy(
        "Let Windows start whatever happened before, on the machine.",
        (
            "bcdedit /set {default} recoveryenabled Off",
            "bcdedit /set {default} bootstatuspolicy IgnoreAllFailures",
        ),
    ),
    references=(_PREPARE, _BCDEDIT),
    since="0.1",
)
def bcd_recovery(boot_store: BootStoreFile | None) -> Iterator[Finding]:
    r"""A failed start does not leave the machine in the recovery environment.

    After a start that failed Windows shows its recovery environment and waits for somebody at the
    keyboard, whom a machine on Azure does not have. Azure asks for `recoveryenabled` (16000009) off and
    `bootstatuspolicy` (250000e0) 1, IgnoreAllFailures, in the default entry. Stock Windows has neither,
    and Azure's provisioning sets the first: worth knowing.
    """
    entry = _default(boot_store)
    if entry is None:
        yield not_applicable(_NO_DEFAULT)
        return
    evidence = shown(entry, RECOVERYENABLED), shown(entry, BOOTSTATUSPOLICY)
    if entry.flag(RECOVERYENABLED) is False and entry.number(BOOTSTATUSPOLICY) == IGNORE_ALL_FAILURES:
        yield passed("A failed start is tried again without questions.", *evidence)
    else:
        yield failed("After a failed start the machine may wait in the recovery environment.", *evidence)


@check(
    "bcd-default",
    family=FAMILY,
    severity=by_profile(Severity.WARNING, Severity.WARNING, None),
    remedy=Remedy(
        "Make the entry of Windows the default, and remove what an Initial Machine Configuration left.",
        (
            "bcdedit /enum",
            "bcdedit /default {identifier of the entry of Windows}",
            "bcdedit /deletevalue {default} imcdevice",
            "bcdedit /deletevalue {default} imchivename",
        ),
    ),
    references=(_REPAIRS, _BOOT_FAILURE),
    since="0.1",
)
def bcd_default(boot_store: BootStoreFile | None) -> Iterator[Finding]:
    r"""The default entry of the boot store is that of an installed Windows.

    An entry that an interrupted upgrade left (“Windows Setup”, or a path below `\$WINDOWS.~BT`) starts
    Setup instead of Windows; beside the default it does no harm. `imcdevice` (21000138) and
    `imchivename` (22000137) in the default entry make the kernel load a hive that an image does not
    have: it stops with 0x67, CONFIG_INITIALIZATION_FAILED.
    """
    entry = _default(boot_store)
    if entry is None:
        yield not_applicable(_NO_DEFAULT)
        return
    leftovers = [shown(entry, each) for each in (IMCDEVICE, IMCHIVENAME) if entry.value(each) is not None]
    setup = [each for each in (DESCRIPTION, PATH, SYSTEMROOT) if _is_setup(entry.text(each))]
    if setup:
        yield failed("The default entry starts Windows Setup.", *(shown(entry, each) for each in setup))
    elif leftovers:
        yield failed("The default entry loads a hive of the Initial Machine Configuration.", *leftovers)
    else:
        yield passed("The default entry is that of an installed Windows.", shown(entry, DESCRIPTION))


def _is_setup(text: str | None) -> bool:
    lower = (text or "").lower()
    return lower == "windows setup" or "$windows.~bt" in lower


CHECKS: tuple[Check, ...] = (
    bcd_present,
    bcd_devices,
    bcd_test_flags,
    bcd_safeboot,
    bcd_recovery,
    bcd_default,
)
