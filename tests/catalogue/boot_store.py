"""What the boot store starts."""

from __future__ import annotations

import struct
from collections.abc import Callable

from tests.catalogue.drivers import kept_elsewhere
from tests.catalogue.model import Case, cannot_tell, fails, not_applicable, passes
from tests.images import Disk, Esp, Hive, Msr, Ntfs, SystemReserved, Vhdx, Windows, disk_of, hive_log
from tests.images.boot import (
    BOOT_MANAGER,
    DEFAULT_OBJECT,
    LOADER,
    OS_DEVICE,
    SYSTEM_ROOT,
    bios_boot_files,
    boot_element,
    boot_object,
    boot_partition,
    boot_store,
    esp_files,
    gpt_partition,
    locate,
    mbr_partition,
)
from tests.images.hive import ABSENT, Data
from validator.windows import boot_store as bcd

SPECIALIZED = "azure-specialized"
OTHER = "{00000000-1111-2222-3333-444444444444}"
STORE = boot_store()
WINLOAD = r"\Windows\system32\winload.exe"
PATH = r"EFI\Microsoft\Boot\BCD"
NO_DEFAULT = boot_element(STORE, BOOT_MANAGER, DEFAULT_OBJECT, OTHER)
NO_FILE = {path: content for path, content in esp_files().items() if path != PATH}


def element(number: int, value: Data, store: Hive = STORE, guid: str = LOADER) -> Hive:
    """The store with one element of its loader."""
    return boot_element(store, guid, number, value)


def without(number: int, store: Hive = STORE, guid: str = LOADER) -> Hive:
    """The store without one element."""
    return store.without_key(rf"Objects\{guid}\Elements\{number:08x}")


def uefi(store: Hive | bytes) -> Callable[[Windows], Disk]:
    """A GPT disk with this boot store."""
    return lambda windows: Disk((Esp({**esp_files(), PATH: store}), Msr(), Ntfs(windows)))


def large_sectors(windows: Windows) -> Disk:
    """A GPT disk with sectors of 4096 bytes, in its FAT as well."""
    return disk_of(windows, sector_size=4096)


def dirty(old: Hive, new: Hive, *, logs: bool) -> Callable[[Windows], Disk]:
    """A GPT disk whose boot store was not closed, with or without the log that makes it the new one."""

    def make(windows: Windows) -> Disk:
        files: dict[str, bytes | Hive] = dict(esp_files())
        for ending, content in hive_log.dirty(old.build(), new.build()).items():
            if logs or not ending:
                files[PATH + (f".{ending}" if ending else "")] = content
        return Disk((Esp(files), Msr(), Ntfs(windows)))

    return make


def on_partition(index: int, disk_guid: str | None = None) -> Callable[[Windows], Disk]:
    """A GPT disk whose default entry names one of its partitions, or that of another disk."""
    layout = Disk(())
    device = gpt_partition(layout.partition_guid(index), disk_guid or layout.guid)
    return uefi(boot_store(device=device))


BIOS_SIZE = 16 << 20


def sized(store: Hive) -> Callable[[Windows], Disk]:
    """An MBR disk whose first volume has a size that is known."""
    return lambda windows: Disk((SystemReserved(store=store, size=BIOS_SIZE), Ntfs(windows)), "mbr")


def in_file(local: int) -> bytes:
    """A disk inside a file (6 a virtual disk, 5 a file) or a RAM disk (3)."""
    inner = boot_partition()[16:] + "\\disk.vhdx\0".encode("utf-16-le")
    extent = bytes(20) if local == 3 else b""
    specific = struct.pack("<I", local) + extent + struct.pack("<III", 1, 12 + len(inner), 5) + inner
    return struct.pack("<16xIIII", 0, 0, 16 + len(specific), 0) + specific


SERIAL = struct.pack("<16xIIII56x", 3, 0, 72, 0)
"""A device that no Windows starts from."""
OTHER_DISK = "aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee"

PRESENT = "bcd-present"
PRESENT_CASES = (
    passes(PRESENT, shows="Windows Server"),
    passes(PRESENT, "BIOS", generation=1),
    passes(PRESENT, "specialized", profile=SPECIALIZED),
    passes(PRESENT, "the only one of two with a boot manager", disk=lambda windows: Disk(
        (Esp({"readme.txt": b"spare"}, size=36 << 20), Esp(), Msr(), Ntfs(windows)))),
    passes(PRESENT, "default in capitals",
           disk=uefi(element(DEFAULT_OBJECT, LOADER.upper(), guid=BOOT_MANAGER))),
    passes(PRESENT, "not closed", disk=dirty(NO_DEFAULT, STORE, logs=True), shows="LOG1"),
    passes(PRESENT, "sectors of 4096 bytes", disk=large_sectors, container=Vhdx()),
    not_applicable(PRESENT, "nothing to start from", disk=lambda windows: Disk((Msr(), Ntfs(windows)))),
    fails(PRESENT, "no store", "error", says="no boot store", shows="BCD",
          disk=lambda windows: Disk((Esp(NO_FILE), Msr(), Ntfs(windows))), verdict="undeployable"),
    fails(PRESENT, "no store, BIOS", "error", shows=r"\Boot\BCD", verdict="undeployable",
          disk=lambda windows: Disk((SystemReserved(bios_boot_files()[:1]), Ntfs(windows)), "mbr")),
    fails(PRESENT, "an empty store", "error", says="empty", disk=uefi(Hive("BCD").set("Objects"))),
    fails(PRESENT, "no default", "error", says="names no default", shows="no element default",
          disk=uefi(without(DEFAULT_OBJECT, guid=BOOT_MANAGER))),
    fails(PRESENT, "a default that is not there", "error", says="not in the boot store", shows=OTHER,
          disk=uefi(NO_DEFAULT), verdict="undeployable"),
    fails(PRESENT, "a default of another kind", "error", says="does not start Windows", shows="resume loader",
          disk=uefi(boot_object(NO_DEFAULT, OTHER, 0x10200004)), profile=SPECIALIZED),
    fails(PRESENT, "not closed, and its log takes the default away", "error",
          disk=dirty(STORE, NO_DEFAULT, logs=True)),
    cannot_tell(PRESENT, "not closed, without its log", disk=dirty(STORE, NO_DEFAULT, logs=False)),
    cannot_tell(PRESENT, "no hive", disk=uefi(b"not a hive".ljust(8192, b"\0")), verdict="indeterminate"),
    cannot_tell(PRESENT, "an empty file", disk=uefi(b""), verdict="indeterminate"),
    cannot_tell(PRESENT, "two partitions to start from", says="several",
                disk=lambda windows: Disk((Esp(), Esp(size=36 << 20), Msr(), Ntfs(windows))),
                verdict="indeterminate"),
)  # fmt: skip

DEVICES = "bcd-devices"
WINLOAD_EFI = r"Windows\System32\winload.efi"
WITH_LOADER = {**esp_files(boot_store(device=boot_partition())), WINLOAD_EFI: b"MZ"}
DEVICES_CASES = (
    passes(DEVICES, "searched for", shows="the first partition that has"),
    passes(DEVICES, "BIOS", generation=1),
    passes(DEVICES, "boot", disk=uefi(boot_store(device=boot_partition()))),
    passes(DEVICES, "a partition", disk=on_partition(2), shows="the partition"),
    passes(DEVICES, "a partition of an MBR",
           disk=sized(boot_store(WINLOAD, mbr_partition((1 << 20) + BIOS_SIZE, Disk(()).signature)))),
    passes(DEVICES, "specialized", disk=on_partition(2), profile=SPECIALIZED),
    passes(DEVICES, "a path with another case and more backslashes",
           disk=uefi(boot_store(r"\\WINDOWS\SYSTEM32\\WINLOAD.EFI", system_root="\\WINDOWS\\"))),
    passes(DEVICES, "the loader lies with the boot manager",
           disk=lambda windows: Disk((Esp(WITH_LOADER), Msr(), Ntfs(windows.file(WINLOAD_EFI, ABSENT))))),
    passes(DEVICES, "sectors of 4096 bytes", disk=large_sectors, container=Vhdx()),
    not_applicable(DEVICES, "no default", disk=uefi(NO_DEFAULT)),
    not_applicable(DEVICES, "an unknown layout", shows="type 3", disk=uefi(boot_store(device=SERIAL))),
    not_applicable(DEVICES, "a cut device", disk=uefi(boot_store(device=locate(SYSTEM_ROOT)[:40]))),
    passes(DEVICES, "a loader that Windows compressed", damage=kept_elsewhere(WINLOAD_EFI)),
    fails(DEVICES, "the loader is missing", "error", says="not there", shows=r"winload.efi",
          change=lambda windows: windows.file(WINLOAD_EFI, ABSENT), verdict="undeployable"),
    fails(DEVICES, "the loader is missing on a partition", "error", disk=on_partition(2),
          change=lambda windows: windows.file(WINLOAD_EFI, ABSENT), verdict="undeployable"),
    fails(DEVICES, "the loader is elsewhere", "error", shows=r"\Windows\Boot\winload.efi",
          disk=uefi(boot_store(r"\Windows\Boot\winload.efi")), profile=SPECIALIZED),
    fails(DEVICES, "another disk", "warning", says="does not have", disk=on_partition(2, OTHER_DISK),
          verdict="deployable"),
    fails(DEVICES, "another partition", "warning", says="Windows is on partition 3", disk=on_partition(0),
          verdict="deployable"),
    fails(DEVICES, "another signature", "warning", says="does not have",
          disk=sized(boot_store(WINLOAD, mbr_partition((1 << 20) + BIOS_SIZE, 1)))),
    fails(DEVICES, "another offset", "warning", says="does not have",
          disk=sized(boot_store(WINLOAD, mbr_partition(2 << 20, Disk(()).signature)))),
    fails(DEVICES, "an MBR's partition on a GPT", "warning",
          disk=uefi(boot_store(device=mbr_partition(1 << 20, 1)))),
    fails(DEVICES, "another partition for Windows alone", "warning", says="does not have",
          disk=uefi(element(OS_DEVICE, gpt_partition(OTHER_DISK, OTHER_DISK)))),
    fails(DEVICES, "a virtual disk", "warning", says="inside a file", shows="disk.vhdx",
          disk=uefi(boot_store(device=in_file(6)))),
    fails(DEVICES, "a RAM disk", "warning", says="inside a file",
          disk=uefi(boot_store(device=in_file(3), system_root=r"\sources"))),
    fails(DEVICES, "no device", "warning", says="does not say", shows="no element osdevice",
          disk=uefi(without(OS_DEVICE))),
    fails(DEVICES, "no loader", "warning", says="names no loader", disk=uefi(without(bcd.PATH))),
    fails(DEVICES, "no system folder", "warning", says="names no system folder",
          disk=uefi(without(SYSTEM_ROOT))),
    cannot_tell(DEVICES, "another system folder", shows=r"\WinNT", says="not judged",
                disk=uefi(boot_store(system_root=r"\WinNT")), verdict="indeterminate"),
    cannot_tell(DEVICES, "a path without end", shows="at most 64 folders",
                disk=uefi(boot_store("\\a" * 500)), verdict="indeterminate"),
    cannot_tell(DEVICES, "no hive", disk=uefi(b"")),
)  # fmt: skip

FLAGS = "bcd-test-flags"
FLAGS_CASES = (
    passes(FLAGS),
    passes(FLAGS, "all off", disk=uefi(element(bcd.TESTSIGNING, b"\0", element(bcd.DEBUG, b"\0")))),
    passes(FLAGS, "on in another entry",
           disk=uefi(element(bcd.TESTSIGNING, b"\1", boot_object(STORE, OTHER, 0x10200003), OTHER))),
    not_applicable(FLAGS, "no default", disk=uefi(NO_DEFAULT)),
    *(
        fails(FLAGS, name, "warning", shows=f"{name} yes", disk=uefi(element(number, b"\1", guid=guid)),
              verdict="deployable")
        for name, number, guid in (
            ("testsigning", bcd.TESTSIGNING, LOADER),
            ("nointegritychecks", bcd.NOINTEGRITYCHECKS, LOADER),
            ("debug", bcd.DEBUG, LOADER),
            ("bootdebug", bcd.BOOTDEBUG, BOOT_MANAGER),
        )
    ),
    fails(FLAGS, "inherited", "warning", shows=OTHER, profile=SPECIALIZED, disk=uefi(
        element(bcd.INHERIT, [OTHER],
                element(bcd.TESTSIGNING, b"\1", boot_object(STORE, OTHER, 0x20200003), OTHER)))),
    cannot_tell(FLAGS, disk=uefi(b"")),
)  # fmt: skip

SAFE = "bcd-safeboot"
SAFE_CASES = (
    passes(SAFE, shows="no element safeboot"),
    passes(SAFE, "winpe is off", disk=uefi(element(bcd.WINPE, b"\0"))),
    not_applicable(SAFE, "no default", disk=uefi(NO_DEFAULT)),
    fails(SAFE, "minimal", "warning", says="safe mode", shows="safeboot 0",
          disk=uefi(element(bcd.SAFEBOOT, bytes(8))), verdict="deployable"),
    fails(SAFE, "network", "warning", shows="safeboot 1", profile=SPECIALIZED,
          disk=uefi(element(bcd.SAFEBOOT, struct.pack("<Q", 1)))),
    fails(SAFE, "Windows PE", "warning", says="Windows PE", disk=uefi(element(bcd.WINPE, b"\1"))),
    cannot_tell(SAFE, disk=uefi(b"")),
)  # fmt: skip

RECOVERY = "bcd-recovery"
AZURE = element(bcd.RECOVERYENABLED, b"\0", element(bcd.BOOTSTATUSPOLICY, struct.pack("<Q", 1)))
RECOVERY_CASES = (
    passes(RECOVERY, disk=uefi(AZURE), shows="bootstatuspolicy 1"),
    not_applicable(RECOVERY, "no default", disk=uefi(NO_DEFAULT)),
    fails(RECOVERY, "stock", "notice", shows="no element recoveryenabled", verdict="deployable"),
    fails(RECOVERY, "on", "notice", shows="recoveryenabled yes",
          disk=uefi(element(bcd.RECOVERYENABLED, b"\1", AZURE))),
    fails(RECOVERY, "one of the two", "notice", shows="no element recoveryenabled",
          disk=uefi(element(bcd.BOOTSTATUSPOLICY, struct.pack("<Q", 1)))),
    fails(RECOVERY, "failures are shown", "notice", profile=SPECIALIZED,
          disk=uefi(element(bcd.BOOTSTATUSPOLICY, bytes(8), AZURE))),
    cannot_tell(RECOVERY, disk=uefi(b"")),
)  # fmt: skip

DEFAULT = "bcd-default"
DEFAULT_CASES = (
    passes(DEFAULT),
    passes(DEFAULT, "Setup beside it", disk=uefi(
        element(bcd.DESCRIPTION, "Windows Setup", boot_object(STORE, OTHER, 0x10200003), OTHER))),
    not_applicable(DEFAULT, "no default", disk=uefi(NO_DEFAULT)),
    fails(DEFAULT, "Setup", "warning", says="Setup", disk=uefi(element(bcd.DESCRIPTION, "Windows Setup"))),
    fails(DEFAULT, "the folder of Setup", "warning", shows="$WINDOWS.~BT", profile=SPECIALIZED,
          disk=uefi(boot_store(system_root=r"\$WINDOWS.~BT\NewOS\Windows"))),
    fails(DEFAULT, "imchivename", "warning", shows=r"imchivename \IMC.hiv",
          disk=uefi(element(bcd.IMCHIVENAME, r"\IMC.hiv")), verdict="deployable"),
    fails(DEFAULT, "imcdevice", "warning", shows="imcdevice",
          disk=uefi(element(bcd.IMCDEVICE, boot_partition()))),
    cannot_tell(DEFAULT, disk=uefi(b"")),
)  # fmt: skip

CASES: tuple[Case, ...] = (
    *PRESENT_CASES,
    *DEVICES_CASES,
    *FLAGS_CASES,
    *SAFE_CASES,
    *RECOVERY_CASES,
    *DEFAULT_CASES,
)
