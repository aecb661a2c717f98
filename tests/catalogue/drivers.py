r"""Files, drivers and servicing, as a start on a virtual machine needs them.

`StartOverride` keys and completed servicing sessions are what healthy Windows has, and so is a `storvsc`
that starts on demand in Windows 7.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path

from tests import mft
from tests.catalogue.model import Case, Change, cannot_tell, fails, not_applicable, passes
from tests.images import ABSENT, SERVICES_KEY, VERSION_KEY, Raw, Windows, wim_applied
from tests.images.hive import Absent, Data
from tests.images.stock import CONTROL, SERVICING_STACK_KEY, expand
from tests.images.volumes import MiB
from validator.facts.servicing import PENDING_KEYS, PENDING_VALUES

SYSTEM32 = r"Windows\System32"
DRIVERS = rf"{SYSTEM32}\drivers"
CONFIG = rf"{SYSTEM32}\config"
PENDING_XML = r"Windows\WinSxS\pending.xml"
SESSIONS = rf"{SERVICING_STACK_KEY}\SessionsPending"
DISKS = rf"{CONTROL}\Class\{{4d36e967-e325-11ce-bfc1-08002be10318}}"
VOLUMES = rf"{CONTROL}\Class\{{71a27cdd-812a-11d0-bec7-08002be2092f}}"
HOST_IDS = r"ControlSet001\Enum\ACPI"
NVME = ("--vm-size-nvme",)
AS = "azure-specialized"


# --- the words in which rows are written ---------------------------------------------------------


def both(*changes: Change) -> Change:
    """Make several changes."""

    def change(windows: Windows) -> Windows:
        for each in changes:
            windows = each(windows)
        return windows

    return change


def file(path: str, content: bytes | Absent = ABSENT) -> Change:
    """Replace a file, or remove it."""
    return lambda windows: windows.file(path, content)


def unreadable(hive: str) -> Change:
    """A hive file without content."""
    return file(rf"{CONFIG}\{hive}", b"")


def service(name: str, **values: Data) -> Change:
    """Set values of a service."""
    return lambda windows: windows.system(rf"{SERVICES_KEY}\{name}", values)


def without_service(name: str) -> Change:
    """Remove a service."""
    return lambda windows: windows.without_key("SYSTEM", rf"{SERVICES_KEY}\{name}")


def build(number: str | Absent, installation: str = "Server") -> Change:
    """Another release of Windows."""
    values = dict.fromkeys(("CurrentBuild", "CurrentBuildNumber"), number)
    return lambda windows: windows.software(VERSION_KEY, values, InstallationType=installation)


def filters(key: str, *names: str, value: str = "UpperFilters") -> Change:
    """Set the filters of a class."""
    return lambda windows: windows.system(key, {value: list(names)})


def overrides(*names: str) -> Change:
    """What the kernel notes for drivers without a device on the machine that the image was built on."""
    return both(*(service(rf"{name}\StartOverride", **{"0": 3}) for name in names))


def host_ids(*names: str) -> Change:
    """Device identifiers that Windows knows."""

    def change(windows: Windows) -> Windows:
        for name in names:
            windows = windows.system(rf"{HOST_IDS}\{name}")
        return windows

    return change


def component(name: str, data: Data) -> Change:
    """Set a value in the root of COMPONENTS."""
    return lambda windows: windows.in_hive("COMPONENTS", "", {name: data})


def software_key(path: str, **values: Data) -> Change:
    """Make a key of the servicing stack."""
    return lambda windows: windows.software(path, values)


def volume_of_windows(image: Path) -> mft.Volume:
    """The last volume of a fixed VHD, on which the factory puts Windows."""
    with image.open("rb") as data:
        starts = []
        size = image.stat().st_size - 512
        for at in range(MiB, size, MiB):
            data.seek(at + 3)
            if data.read(8) == b"NTFS    ":
                starts.append(at)
    return mft.Volume(image, starts[-1])


def kept_elsewhere(path: str) -> Callable[[Path], object]:
    """Make a file one that Compact OS compressed: a reparse point of WOF, by an attribute at its end."""

    def change(data: bytearray) -> None:
        (used,) = struct.unpack_from("<I", data, 24)
        end = used - 8
        body = struct.pack("<IHH", 0x80000017, 16, 0) + struct.pack("<IIII", 1, 2, 1, 0)
        new = struct.pack("<IIBBHHHIHH", 0xC0, 24 + len(body), 0, 0, 24, 0, 99, len(body), 24, 0) + body
        data[end : end + len(new) + 8] = new + data[end:used]
        struct.pack_into("<I", data, 24, used + len(new))

    return lambda image: volume_of_windows(image).edit(path.lower(), change)


def torn(path: str) -> Callable[[Path], object]:
    """Tear the record of a file."""

    def change(image: Path) -> None:
        volume = volume_of_windows(image)
        at = volume.offset_of(volume.numbers[path.lower()]) + 510
        with image.open("r+b") as data:
            data.seek(at)
            byte = data.read(1)
            data.seek(at)
            data.write(bytes([byte[0] ^ 0xFF]))

    return change


WINDOWS_7 = both(
    build("7601"), service("storvsc", Start=3, ImagePath=expand(r"\SystemRoot\system32\drivers\storvsc.sys"))
)
GONE = both(without_service("vmbus"), file(rf"{DRIVERS}\vmbus.sys"))
KERNEL = rf"{SYSTEM32}\ntoskrnl.exe"

BOOT_FILES = (
    passes("boot-files", shows="ntoskrnl.exe a file of"),
    passes("boot-files", "passes with BIOS", generation=1, shows="winload.exe"),
    passes("boot-files", "of media", windows=wim_applied),
    passes("boot-files", "the other loader is not needed", change=file(rf"{SYSTEM32}\winload.exe")),
    passes(
        "boot-files",
        "BIOS needs no more of it",
        generation=1,
        change=both(*(file(rf"{SYSTEM32}\{name}") for name in ("winload.efi", "ci.dll", "kdcom.dll"))),
    ),
    passes(
        "boot-files",
        "policy files are not asked for",
        change=both(
            *(file(rf"{SYSTEM32}\CodeIntegrity\{name}") for name in ("driver.stl", "DriverSiPolicy.p7b"))
        ),
    ),
    passes(
        "boot-files",
        "a kernel that Compact OS compressed",
        damage=kept_elsewhere(KERNEL),
        shows="a file of",
    ),
    fails(
        "boot-files", "no kernel", "error", change=file(KERNEL), verdict="undeployable", shows="no such file"
    ),
    fails("boot-files", "an empty kernel", "error", change=file(KERNEL, b""), shows="an empty file"),
    fails("boot-files", "no hal.dll", "error", change=file(rf"{SYSTEM32}\hal.dll")),
    fails("boot-files", "no loader", "error", change=file(rf"{SYSTEM32}\winload.efi"), shows="winload.efi"),
    fails(
        "boot-files",
        "no loader for BIOS",
        "error",
        generation=1,
        change=file(rf"{SYSTEM32}\winload.exe"),
        shows="winload.exe",
    ),
    fails("boot-files", "specialized", "error", change=file(KERNEL), profile=AS),
    *(
        fails("boot-files", f"no {path}", "warning", change=file(rf"{SYSTEM32}\{path}"), verdict="deployable")
        for path in (r"drivers\ntfs.sys", r"drivers\clfs.sys", "ci.dll")
    ),
    fails("boot-files", "an empty driver", "warning", change=file(rf"{DRIVERS}\disk.sys", b"")),
    cannot_tell("boot-files", damage=torn(KERNEL), verdict="indeterminate"),
    cannot_tell(
        "boot-files",
        "cannot tell of a driver",
        damage=torn(rf"{DRIVERS}\disk.sys"),
        severity="warning",
        verdict="deployable",
    ),
)

STORAGE_CHECK = "storage-boot-drivers"
STORAGE = (
    passes(STORAGE_CHECK, shows="0 (boot)"),
    passes(STORAGE_CHECK, "passes with BIOS", generation=1, shows="intelide"),
    passes(STORAGE_CHECK, "of media", windows=wim_applied),
    passes(
        STORAGE_CHECK,
        "overrides of another machine mean nothing",
        change=overrides("storvsc", "vmbus", "storflt", "atapi", "intelide"),
        generation=1,
    ),
    passes(
        STORAGE_CHECK,
        "IDE is not asked for with UEFI",
        change=both(without_service("atapi"), service("intelide", Start=4)),
    ),
    passes(
        STORAGE_CHECK,
        "a driver that Compact OS compressed",
        damage=kept_elsewhere(rf"{DRIVERS}\storvsc.sys"),
    ),
    *(
        fails(STORAGE_CHECK, f"{name} disabled", "error", change=service(name, Start=4), shows="4 (disabled)")
        for name in ("storvsc", "vmbus")
    ),
    fails(
        STORAGE_CHECK,
        "storvsc disabled in Windows 7",
        "error",
        change=both(WINDOWS_7, service("storvsc", Start=4)),
    ),
    fails(STORAGE_CHECK, "no vmbus", "error", change=GONE, says="(vmbus)", verdict="undeployable"),
    fails(STORAGE_CHECK, "no file", "error", change=file(rf"{DRIVERS}\storvsc.sys"), shows="no such file"),
    fails(STORAGE_CHECK, "an empty file", "error", change=file(rf"{DRIVERS}\storvsc.sys", b"")),
    fails(STORAGE_CHECK, "specialized", "error", change=GONE, profile=AS),
    fails(STORAGE_CHECK, "on demand", "warning", change=service("storvsc", Start=3), verdict="deployable"),
    fails(STORAGE_CHECK, "on demand, specialized", "error", change=service("storvsc", Start=3), profile=AS),
    fails(STORAGE_CHECK, "as Windows 7 comes", "notice", change=WINDOWS_7, says="as in Windows 7"),
    fails(STORAGE_CHECK, "as Windows 7 comes, specialized", "warning", change=WINDOWS_7, profile=AS),
    fails(
        STORAGE_CHECK,
        "on demand, no build number",
        "warning",
        change=both(build(ABSENT), service("storvsc", Start=3)),
        profile=AS,
    ),
    fails(
        STORAGE_CHECK, "no Start", "warning", change=service("vmbus", Start=ABSENT), shows="no value Start"
    ),
    fails(STORAGE_CHECK, "Start 1", "warning", change=service("vmbus", Start=1), profile=AS),
    fails(
        STORAGE_CHECK,
        "its file on another volume",
        "warning",
        change=service("storvsc", ImagePath=r"\??\D:\storvsc.sys"),
        shows=r"D:\storvsc.sys",
    ),
    fails(STORAGE_CHECK, "storflt disabled", "warning", change=service("storflt", Start=4)),
    fails(STORAGE_CHECK, "no atapi", "warning", change=without_service("atapi"), generation=1),
    fails(STORAGE_CHECK, "no pciidex", "warning", change=file(rf"{DRIVERS}\pciidex.sys"), generation=1),
    cannot_tell(STORAGE_CHECK, change=unreadable("SYSTEM"), verdict="indeterminate"),
    cannot_tell(
        STORAGE_CHECK,
        "cannot tell of storflt",
        damage=torn(rf"{DRIVERS}\vmstorfl.sys"),
        severity="warning",
        verdict="deployable",
    ),
)

NETWORK = (
    passes("network-driver", shows="3 (manual)"),
    passes(
        "network-driver",
        "the driver of Server 2012 R2",
        change=both(
            build("9600"),
            file(rf"{DRIVERS}\netvsc.sys"),
            file(rf"{DRIVERS}\netvsc63.sys", b"MZ"),
            service("netvsc", ImagePath=expand(r"\SystemRoot\System32\drivers\netvsc63.sys")),
        ),
    ),
    passes(
        "network-driver",
        "older integration services",
        change=both(
            without_service("netvsc"), file(rf"{DRIVERS}\netvsc63.sys", b"MZ"), service("netvsc63", Start=3)
        ),
    ),
    fails("network-driver", "disabled", "warning", change=service("netvsc", Start=4), shows="4 (disabled)"),
    fails("network-driver", "no key", "warning", change=without_service("netvsc"), verdict="deployable"),
    fails("network-driver", "no file", "warning", change=file(rf"{DRIVERS}\netvsc.sys"), profile=AS),
    fails(
        "network-driver",
        "no key, as Windows 7 comes",
        "notice",
        change=both(build("7601"), without_service("netvsc")),
    ),
    cannot_tell("network-driver", change=unreadable("SYSTEM")),
)

NVME_CHECK = "nvme-driver"
NVME_CASES = (
    not_applicable(NVME_CHECK, "not asked"),
    not_applicable(NVME_CHECK, "not asked, no driver", change=without_service("stornvme"), profile=AS),
    passes(NVME_CHECK, options=NVME, shows="0 (boot)"),
    passes(NVME_CHECK, "specialized", options=NVME, profile=AS),
    passes(NVME_CHECK, "overrides", options=NVME, change=overrides("stornvme", "vpci")),
    passes(NVME_CHECK, "a client", options=NVME, change=build("15063", "Client")),
    fails(NVME_CHECK, "disabled, not asked", "notice", change=service("stornvme", Start=4), profile=AS),
    fails(NVME_CHECK, "on demand", "notice", options=NVME, change=service("stornvme", Start=3)),
    fails(
        NVME_CHECK,
        "on demand, specialized",
        "warning",
        options=NVME,
        change=service("stornvme", Start=3),
        profile=AS,
    ),
    fails(NVME_CHECK, "no driver", "notice", options=NVME, change=without_service("stornvme")),
    fails(NVME_CHECK, "BIOS", "notice", options=NVME, generation=1, shows="GPT"),
    fails(NVME_CHECK, "Server 2016", "notice", options=NVME, change=build("14393"), shows="build 14393"),
    fails(NVME_CHECK, "Windows 8.1", "notice", options=NVME, change=build("9600", "Client")),
    cannot_tell(NVME_CHECK, change=unreadable("SYSTEM")),
)

MISSING = filters(DISKS, "partmgr", "BackupFlt")
CLASS_FILTERS = (
    passes("class-filters", shows="partmgr, for disk drives"),
    passes("class-filters", "none at all", change=filters(DISKS), shows="volsnap"),
    passes("class-filters", "written otherwise", change=filters(DISKS, "PartMgr", "FVEVOL")),
    passes(
        "class-filters",
        "a driver without ImagePath, as Windows 7 has spldr",
        change=both(
            filters(VOLUMES, "spldr"), service("spldr", Start=0), file(rf"{DRIVERS}\spldr.sys", b"MZ")
        ),
    ),
    fails("class-filters", "no service", "warning", change=MISSING, says="(BackupFlt)", verdict="deployable"),
    fails(
        "class-filters",
        "no file",
        "warning",
        change=both(filters(VOLUMES, "agent", value="LowerFilters"), service("agent", Start=0)),
        shows=r"drivers\agent.sys",
    ),
    fails(
        "class-filters",
        "an empty file",
        "warning",
        change=both(MISSING, service("BackupFlt", Start=0), file(rf"{DRIVERS}\BackupFlt.sys", b"")),
        profile=AS,
    ),
    fails(
        "class-filters",
        "a product's own",
        "notice",
        change=both(MISSING, service("BackupFlt", Start=0), file(rf"{DRIVERS}\BackupFlt.sys", b"MZ")),
    ),
    fails(
        "class-filters",
        "control characters",
        "warning",
        change=lambda windows: windows.system(DISKS, UpperFilters=Raw(7, b"\x1b\0[\x002\0J\0\0\0\0\xd8")),
    ),
    cannot_tell("class-filters", change=unreadable("SYSTEM")),
    cannot_tell(
        "class-filters",
        "more than anybody has",
        change=filters(DISKS, *(f"filter{number}" for number in range(65))),
    ),
)

SERVICING_CHECK = "servicing-pending"
SERVICING = (
    passes(SERVICING_CHECK),
    passes(SERVICING_CHECK, "no hive COMPONENTS", change=lambda windows: windows.without_hive("COMPONENTS")),
    passes(SERVICING_CHECK, "an empty list", change=file(PENDING_XML, b"")),
    passes(
        SERVICING_CHECK,
        "settled values",
        change=both(*(component(name, 0) for name in PENDING_VALUES)),
    ),
    passes(SERVICING_CHECK, "an empty value", change=component("PendingXmlIdentifier", b"")),
    passes(
        SERVICING_CHECK,
        "finished sessions",
        change=both(*(software_key(rf"{SESSIONS}\{number}", Complete=1) for number in range(20))),
    ),
    passes(
        SERVICING_CHECK,
        "left over files",
        change=both(file(r"Windows\WinSxS\reboot.xml", b"<x/>"), file(r"Windows\WinSxS\poqexec.log", b"x")),
    ),
    fails(SERVICING_CHECK, "a list", "warning", change=file(PENDING_XML, b"<x/>"), verdict="deployable"),
    *(
        fails(
            SERVICING_CHECK,
            name,
            "warning",
            change=software_key(rf"{SERVICING_STACK_KEY}\{name}"),
            shows=name,
        )
        for name in PENDING_KEYS
    ),
    fails(SERVICING_CHECK, "a session without end", "warning", change=software_key(rf"{SESSIONS}\31")),
    fails(
        SERVICING_CHECK,
        "a session that goes on",
        "warning",
        change=software_key(rf"{SESSIONS}\31", Complete=0),
    ),
    *(
        fails(SERVICING_CHECK, name, "warning", change=component(name, 1), shows=name)
        for name in PENDING_VALUES
    ),
    fails(SERVICING_CHECK, "specialized", "warning", change=component("StoreDirty", 1), profile=AS),
    fails(
        SERVICING_CHECK,
        "found, although COMPONENTS cannot be read",
        "warning",
        change=both(unreadable("COMPONENTS"), file(PENDING_XML, b"<x/>")),
    ),
    cannot_tell(SERVICING_CHECK, change=unreadable("COMPONENTS"), verdict="deployable"),
    cannot_tell(SERVICING_CHECK, "cannot tell of packages", change=unreadable("SOFTWARE")),
)

HOSTS_CHECK = "legacy-host-ids"
HOSTS = (
    not_applicable(HOSTS_CHECK, "Server 2022"),
    not_applicable(HOSTS_CHECK, "Windows 7", change=build("7601")),
    not_applicable(HOSTS_CHECK, "no build number", change=build(ABSENT)),
    passes(HOSTS_CHECK, change=both(build("9600"), host_ids("MSFT1000", "MSFT1002"))),
    fails(HOSTS_CHECK, "neither", "warning", change=build("9200"), says="MSFT1000 and MSFT1002"),
    fails(HOSTS_CHECK, "one", "warning", change=both(build("9600"), host_ids("MSFT1000")), says="MSFT1002"),
    fails(HOSTS_CHECK, "specialized", "warning", change=build("9600"), profile=AS),
    cannot_tell(HOSTS_CHECK, change=unreadable("SOFTWARE")),
    cannot_tell(HOSTS_CHECK, "cannot tell of the devices", change=both(build("9600"), unreadable("SYSTEM"))),
)

CASES: tuple[Case, ...] = (
    *BOOT_FILES,
    *STORAGE,
    *NETWORK,
    *NVME_CASES,
    *CLASS_FILTERS,
    *SERVICING,
    *HOSTS,
)
