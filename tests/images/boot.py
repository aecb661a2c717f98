r"""What a disk needs to start Windows: boot managers, the boot store, the volumes they lie on.

A boot store is a hive: ``Objects\{guid}\Elements\<8 hexadecimal digits>\Element``. Numbers of
objects and elements as bcdedit and public parsers have them.
"""

from __future__ import annotations

import struct
import uuid

from tests.images.hive import Data, Hive
from tests.images.volumes import BASIC_DATA, EFI_SYSTEM, Fat, Files, MiB, Ntfs
from tests.images.windows import File

AMD64 = 0x8664
ARM64 = 0xAA64
I386 = 0x014C

BOOT_MANAGER = "{9dea862c-5cdd-4e70-acc1-f32b344d4795}"
LOADER = "{2f0a8e5c-1c44-11ef-9a3b-806e6f6e6963}"

APPLICATION_DEVICE = 0x11000001
APPLICATION_PATH = 0x12000002
DESCRIPTION = 0x12000004
OS_DEVICE = 0x21000001
SYSTEM_ROOT = 0x22000002
DEFAULT_OBJECT = 0x23000003
DISPLAY_ORDER = 0x24000001
TIMEOUT = 0x25000004


def pe_stub(machine: int = AMD64, subsystem: int = 1) -> bytes:
    """A program image with all its headers and no code (PE format specification)."""
    dos = b"MZ".ljust(60, b"\0") + struct.pack("<I", 64)
    coff = struct.pack("<4sHHIIIHH", b"PE\0\0", machine, 1, 0, 0, 0, 240, 0x22)
    optional = struct.pack(
        "<HBBIIIIIQIIHHHHHHIIIIHHQQQQII",
        0x20B, 14, 0, 0x200, 0, 0, 0x1000, 0x1000, 0x140000000, 0x1000, 0x200,
        10, 0, 10, 0, 10, 0, 0, 0x2000, 0x200, 0, subsystem, 0x4160,
        0x100000, 0x1000, 0x100000, 0x1000, 0, 16,
    ).ljust(240, b"\0")  # fmt: skip
    section = struct.pack("<8sIIIIIIHHI", b".text", 1, 0x1000, 0x200, 0x200, 0, 0, 0, 0, 0x60000020)
    return (dos + coff + optional + section).ljust(0x200, b"\0") + b"\xc3".ljust(0x200, b"\xcc")


def locate(element: int) -> bytes:
    """A device element that is found by an element of the object: what sysprep writes."""
    return struct.pack("<16xIIIIIII", 8, 0, 0x1E, 0, 0, element, 0) + b"\0\0"


def boot_partition() -> bytes:
    """The device element for the partition that the boot manager came from."""
    return struct.pack("<16xIII60x", 5, 0, 0x48)


def gpt_partition(partition: str, disk: str) -> bytes:
    """A device element for a GPT partition, both named by their GUIDs."""
    return struct.pack(
        "<16xIII4x16sII16s16x",
        6, 0, 0x48, uuid.UUID(partition).bytes_le, 0, 0, uuid.UUID(disk).bytes_le,
    )  # fmt: skip


def mbr_partition(offset: int, signature: int) -> bytes:
    """A device element for an MBR partition: its byte offset and the disk signature."""
    return struct.pack("<16xIII4xQ8xIII28x", 6, 0, 0x48, offset, 0, 1, signature)


def boot_store(
    loader: str = r"\Windows\system32\winload.efi",
    device: bytes | None = None,
    system_root: str = r"\Windows",
) -> Hive:
    """A boot store with the boot manager and one loader; generalized unless ``device`` is given."""
    store = Hive("BCD").set("Description", KeyName="BCD00000000", System=1, TreatAsSystem=1)
    store = boot_object(store, BOOT_MANAGER, 0x10100002)
    store = boot_object(store, LOADER, 0x10200003)
    manager: dict[int, Data] = {
        DESCRIPTION: "Windows Boot Manager",
        APPLICATION_DEVICE: boot_partition(),
        DEFAULT_OBJECT: LOADER,
        DISPLAY_ORDER: [LOADER],
        TIMEOUT: struct.pack("<Q", 30),
    }
    windows: dict[int, Data] = {
        DESCRIPTION: "Windows Server",
        APPLICATION_DEVICE: device or locate(APPLICATION_PATH),
        APPLICATION_PATH: loader,
        OS_DEVICE: device or locate(SYSTEM_ROOT),
        SYSTEM_ROOT: system_root,
    }
    for guid, elements in ((BOOT_MANAGER, manager), (LOADER, windows)):
        for number, value in elements.items():
            store = boot_element(store, guid, number, value)
    return store


def boot_object(store: Hive, guid: str, kind: int) -> Hive:
    """Add an object of a kind (10100002h boot manager, 10200003h Windows loader)."""
    return store.set(rf"Objects\{guid}\Description", Type=kind)


def boot_element(store: Hive, guid: str, number: int, value: Data) -> Hive:
    """Set one element of an object."""
    return store.set(rf"Objects\{guid}\Elements\{number:08x}", Element=value)


def Esp(files: Files = None, *, store: Hive | None = None, size: int = 40 * MiB) -> Fat:  # noqa: N802 - reads as the volume it makes
    """The EFI system partition, with the Windows boot manager unless ``files`` says otherwise."""
    return Fat(
        esp_files(store) if files is None else files,
        label="SYSTEM",
        size=size,
        name="EFI system partition",
        gpt_type=EFI_SYSTEM,
        mbr_type=0xEF,
    )


def esp_files(store: Hive | None = None) -> dict[str, bytes | Hive]:
    """What Windows puts on an EFI system partition."""
    manager = pe_stub(subsystem=10)
    return {
        r"EFI\Microsoft\Boot\bootmgfw.efi": manager,
        r"EFI\Microsoft\Boot\BCD": store or boot_store(),
        r"EFI\Boot\bootx64.efi": manager,
    }


def SystemReserved(  # noqa: N802 - reads as the volume it makes
    files: Files = None, *, store: Hive | None = None, size: int | None = None
) -> Ntfs:
    """The active volume of a disk that starts by BIOS, with boot manager and boot store."""
    return Ntfs(
        files=bios_boot_files(store) if files is None else files,
        label="System Reserved",
        size=size,
        active=True,
        gpt_type=BASIC_DATA,
    )


def bios_boot_files(store: Hive | None = None) -> tuple[File, ...]:
    """What Windows puts on the active volume."""
    chosen = store or boot_store(r"\Windows\system32\winload.exe")
    return (
        File("bootmgr", b"\xe9\xd5\x01\xeb\x04\x90" + bytes(506) + pe_stub(I386)),
        File(r"Boot\BCD", chosen),
    )
