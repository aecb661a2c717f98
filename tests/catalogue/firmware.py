"""What the firmware finds: active partitions, EFI system partitions, boot sectors, loaders."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path

from tests.catalogue.model import Case, cannot_tell, fails, not_applicable, passes
from tests.images import Bitlocker, Blob, Disk, Esp, Fat, Hive, Msr, Ntfs, SystemReserved, Vhdx, Windows
from tests.images.boot import bios_boot_files, esp_files, pe_stub
from tests.images.volumes import EFI_SYSTEM, Volume
from tests.images.windows import File

MiB = 1 << 20
SPECIALIZED = "azure-specialized"
UNHEARD = b"\xeb\x3cUNHEARD ".ljust(512, b"\1")
EMPTY = Blob(size=40 * MiB, gpt_type=EFI_SYSTEM)


def uefi(*before: Volume) -> Callable[[Windows], Disk]:
    """A GPT disk with these volumes in the place of the EFI system partition."""
    return lambda windows: Disk((*before, Msr(), Ntfs(windows)))


def bios(*before: Volume, active: bool = False) -> Callable[[Windows], Disk]:
    """An MBR disk with these volumes before that of Windows."""
    return lambda windows: Disk((*before, Ntfs(windows, active=active)), "mbr")


def large_sectors(size: int = 40 * MiB) -> Callable[[Windows], Disk]:
    """A GPT disk with sectors of 4096 bytes, in its FAT as well."""
    return lambda windows: Disk((Esp(size=size), Msr(), Ntfs(windows)), sector_size=4096)


def esp_with(**changed: bytes | None) -> Fat:
    """An EFI system partition in which files are others; None removes one."""
    files: dict[str, bytes | Hive] = dict(esp_files())
    for name, content in changed.items():
        path = next(each for each in files if each.lower().endswith(f"{name}.efi"))
        if content is None:
            del files[path]
        else:
            files[path] = content
    return Esp(files)


def without_bootmgr(content: bytes | None = None) -> Ntfs:
    """An active volume whose boot manager is missing, or another file."""
    files = [each for each in bios_boot_files() if each.path != "bootmgr"]
    return SystemReserved([*files, File("bootmgr", content)] if content is not None else files)


def patch(offset: int, data: bytes) -> Callable[[Path], None]:
    """Change bytes of the disk, which a fixed VHD holds from its first byte."""

    def change(path: Path) -> None:
        with path.open("r+b") as file:
            file.seek(offset)
            file.write(data)

    return change


def active_fat(bits: int | None = None) -> Fat:
    """An active FAT volume with what BIOS starts."""
    return Fat(bios_boot_files(), active=True, label="SYSTEM", bits=bits)


ACTIVE = "active-partition"
ACTIVE_CASES = (
    passes(ACTIVE, generation=1, shows=r"\bootmgr"),
    passes(ACTIVE, "specialized", generation=1, profile=SPECIALIZED),
    passes(ACTIVE, "FAT", disk=bios(active_fat())),
    passes(
        ACTIVE, "on the volume of Windows",
        disk=lambda windows: Disk((Ntfs(windows, bios_boot_files(), active=True),), "mbr"),
    ),
    not_applicable(ACTIVE, "GPT"),
    fails(
        ACTIVE, "none is active", "error", says="No partition is active", shows="MBR with 1: NTFS",
        disk=bios(Ntfs(files=bios_boot_files(), label="System")), verdict="undeployable",
    ),
    fails(
        ACTIVE, "two are active", "error", says="More than one", disk=bios(SystemReserved(), active=True),
        verdict="undeployable",
    ),
    fails(
        ACTIVE, "no boot manager", "error", says="bootmgr", shows=r"\bootmgr", disk=bios(without_bootmgr()),
        verdict="undeployable",
    ),
    fails(ACTIVE, "an empty boot manager", "error", disk=bios(without_bootmgr(b""))),
    fails(ACTIVE, "only Windows is active", "error", disk=bios(active=True), profile=SPECIALIZED),
    fails(
        ACTIVE, "no file system", "error", says="no file system",
        disk=bios(Blob(active=True), Ntfs(files=bios_boot_files(), label="System")),
    ),
    fails(
        ACTIVE, "made for UEFI", "warning", shows="EFI system partition", disk=bios(Esp()),
    ),
    cannot_tell(ACTIVE, "an unknown file system", disk=bios(Blob(UNHEARD, active=True))),
    cannot_tell(
        ACTIVE, "encrypted", shows="BitLocker",
        disk=lambda windows: Disk((_active(Bitlocker()), Ntfs(windows)), "mbr"),
    ),
    cannot_tell(
        ACTIVE, "a damaged volume",
        disk=bios(Blob(b"\xeb\x52\x90NTFS    ".ljust(510, b"\0") + b"\x55\xaa", active=True)),
    ),
    cannot_tell(
        ACTIVE, "suspended", shows="suspended",
        disk=bios(SystemReserved([*bios_boot_files(), File("hiberfil.sys", b"HIBR".ljust(4096, b"\0"))])),
    ),
)  # fmt: skip

ESP = "esp-present"
ESP_CASES = (
    passes(ESP, shows=r"\EFI\Microsoft\Boot\bootmgfw.efi"),
    passes(ESP, "specialized", profile=SPECIALIZED),
    passes(ESP, "FAT16", disk=uefi(Esp(size=20 * MiB))),
    passes(ESP, "one of two", disk=uefi(Esp(), Esp({"readme.txt": b"spare"}))),
    passes(ESP, "sectors of 4096 bytes", container=Vhdx(), disk=large_sectors()),
    passes(ESP, "sectors of 4096 bytes, FAT32", container=Vhdx(), disk=large_sectors(264 * MiB)),
    passes(ESP, "another boot manager", disk=uefi(esp_with(bootmgfw=pe_stub() + b"newer"))),
    not_applicable(ESP, "MBR", generation=1),
    fails(
        ESP, "no EFI system partition", "error", says="no EFI system partition", shows="GPT with 1",
        disk=uefi(), verdict="undeployable",
    ),
    fails(ESP, "not formatted", "error", says="not FAT", shows="nothing", disk=uefi(EMPTY)),
    fails(
        ESP, "NTFS", "error", says="not FAT", shows="NTFS",
        disk=uefi(Ntfs(files=esp_files(), gpt_type=EFI_SYSTEM)),
        verdict="undeployable",
    ),
    fails(
        ESP, "no boot manager", "error", says="bootmgfw.efi", disk=uefi(esp_with(bootmgfw=None)),
        verdict="undeployable",
    ),
    fails(ESP, "an empty boot manager", "error", disk=uefi(esp_with(bootmgfw=b"")), profile=SPECIALIZED),
    cannot_tell(ESP, "an unknown file system", disk=uefi(Blob(UNHEARD, gpt_type=EFI_SYSTEM))),
    cannot_tell(ESP, "a damaged FAT", damage=patch(MiB + 14, b"\0\0"), verdict="indeterminate"),
)  # fmt: skip

SECTORS = "boot-sectors"
START = MiB
"""Where the first partition begins."""
SECTORS_CASES = (
    passes(SECTORS, generation=1, shows="2048 hidden sectors"),
    passes(SECTORS, "FAT32", disk=bios(active_fat())),
    passes(SECTORS, "FAT12", disk=bios(Fat(bios_boot_files(), active=True, size=2 * MiB, bits=12))),
    not_applicable(SECTORS, "GPT"),
    not_applicable(SECTORS, "none is active", disk=bios(Ntfs(label="System"))),
    not_applicable(SECTORS, "two are active", disk=bios(SystemReserved(), active=True)),
    fails(
        SECTORS, "no code in the MBR", "warning", says="first sector", generation=1,
        damage=patch(0, bytes(440)), verdict="deployable",
    ),
    fails(
        SECTORS, "the partition was moved", "warning", shows="63 hidden sectors", generation=1,
        damage=patch(START + 0x1C, struct.pack("<I", 63)), verdict="deployable",
    ),
    fails(
        SECTORS, "no code in the volume", "warning", says="no boot code", generation=1,
        damage=patch(START + 0x54, bytes(510 - 0x54)),
    ),
    fails(
        SECTORS, "no code in FAT32", "warning", disk=bios(active_fat()),
        damage=patch(START + 0x5A, bytes(510 - 0x5A)),
    ),
    fails(
        SECTORS, "no code in FAT12", "warning", damage=patch(START + 0x3E, bytes(510 - 0x3E)),
        disk=bios(Fat(bios_boot_files(), active=True, size=2 * MiB, bits=12)),
    ),
    fails(
        SECTORS, "the partition was moved far", "warning", shows="67584 hidden sectors", generation=1,
        damage=patch(START + 0x1C, struct.pack("<I", 2048 + 65536)),
    ),
    fails(
        SECTORS, "no signature", "warning", says="not bootable", shows="00 00", generation=1,
        damage=patch(START + 510, bytes(2)), profile=SPECIALIZED,
    ),
    cannot_tell(SECTORS, "no partition table", generation=1, damage=patch(510, bytes(2))),
)  # fmt: skip

FALLBACK = "fallback-loader"
FALLBACK_CASES = (
    passes(FALLBACK, shows="bootx64.efi"),
    passes(
        FALLBACK, "ARM64", shows="bootaa64.efi",
        disk=uefi(Esp({r"EFI\Boot\bootaa64.efi": pe_stub(0xAA64)})),
    ),
    passes(
        FALLBACK, "on another EFI system partition",
        disk=uefi(esp_with(bootx64=None), Esp({r"EFI\Boot\bootx64.efi": pe_stub()})),
    ),
    passes(FALLBACK, "sectors of 4096 bytes", container=Vhdx(), disk=large_sectors()),
    not_applicable(FALLBACK, "MBR", generation=1),
    not_applicable(FALLBACK, "no EFI system partition", disk=uefi()),
    fails(
        FALLBACK, "missing", "warning", shows=r"\EFI\Boot\bootx64.efi", disk=uefi(esp_with(bootx64=None)),
        verdict="deployable",
    ),
    fails(FALLBACK, "empty", "warning", disk=uefi(esp_with(bootx64=b"")), profile=SPECIALIZED),
    cannot_tell(FALLBACK, "an unknown file system", disk=uefi(Blob(UNHEARD, gpt_type=EFI_SYSTEM))),
)  # fmt: skip


def _active(volume: Blob) -> Blob:
    """The same, active."""
    return Blob(volume.first_bytes, volume.size, active=True)


CASES: tuple[Case, ...] = (*ACTIVE_CASES, *ESP_CASES, *SECTORS_CASES, *FALLBACK_CASES)
