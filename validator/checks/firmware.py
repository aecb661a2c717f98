"""Layout: what the firmware needs to find on the disk."""

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
from validator.disk.partitions import PartitionTable
from validator.evidence import Evidence, Layer, Location
from validator.facts.boot import FALLBACKS, BootSectors, SystemVolume

FAMILY = "layout"
_BOOT_FAILURE = "https://learn.microsoft.com/troubleshoot/azure/virtual-machines/windows/windows-boot-failure"
_GENERATIONS = "https://learn.microsoft.com/azure/virtual-machines/generation-2"
_REPAIRS = "https://github.com/Azure/repair-script-library"


def _table(partition_table: PartitionTable) -> Evidence:
    """What the partition table has."""
    listed = ", ".join(f"{each.number}: {each.type_name}" for each in partition_table.partitions)
    found = f"{partition_table.scheme.upper()} with {listed or 'no partitions'}"
    return Evidence(Location(Layer.PARTITION_TABLE), found)


@check(
    "active-partition",
    family=FAMILY,
    severity=by_profile(Severity.ERROR, Severity.ERROR, None),
    remedy=Remedy(
        "Mark the one partition that has the boot manager as active, and no other; put the boot manager "
        "there where it is missing (S: is that partition).",
        (
            "diskpart",
            "select disk 0",
            "select partition 1",
            "active",
            "exit",
            r"bcdboot C:\Windows /s S: /f BIOS",
        ),
    ),
    references=(_BOOT_FAILURE, _GENERATIONS, _REPAIRS),
    since="0.1",
)
def active_partition(
    partition_table: PartitionTable, system_volume: SystemVolume, generation: int | None
) -> Iterator[Finding]:
    r"""A disk for BIOS has one active partition, with the boot manager on it.

    A machine of generation 1 starts the boot sector of the partition that the MBR marks as active, and
    that looks for `\bootmgr` on its own volume (NTFS or FAT). With no active partition, or more than
    one, the machine stops with “Reboot and Select proper Boot device” before Windows is looked for. An
    empty `bootmgr` is none. An MBR without an active partition but with an EFI system partition is a
    warning: it may be meant for UEFI (see generation-consistent).

    It does not apply to a GPT, which BIOS does not start.
    """
    if system_volume.scheme != "mbr":
        yield not_applicable("The disk has a GPT: UEFI starts it, without an active partition.")
        return
    active = system_volume.partitions
    if not active:
        yield failed(
            "No partition is active: the machine finds nothing to start.",
            _table(partition_table),
            severity=Severity.WARNING if generation is None else None,
        )
    elif len(active) > 1:
        numbers = ", ".join(str(each.partition.number) for each in active)
        evidence = (
            Evidence(Location(Layer.PARTITION_TABLE, None, each.partition.number), "active", "one of them")
            for each in active
        )
        yield failed(f"More than one partition is active ({numbers}): the machine starts none.", *evidence)
    elif active[0].file_system is None:
        yield failed("The active partition holds no file system to start from.", active[0].evidence)
    elif not active[0].has_boot_manager:
        yield failed("The active partition has no boot manager (bootmgr).", active[0].evidence)
    else:
        number = active[0].partition.number
        yield passed(f"Partition {number} is active and has the boot manager.", active[0].evidence)


@check(
    "esp-present",
    family=FAMILY,
    severity=by_profile(Severity.ERROR, Severity.ERROR, None),
    remedy=Remedy(
        "Make an EFI system partition (FAT32, 100 MB) with the letter S:, and put the boot manager there.",
        (
            "diskpart",
            "select disk 0",
            "create partition efi size=100",
            "format quick fs=fat32 label=System",
            "assign letter=S",
            "exit",
            r"bcdboot C:\Windows /s S: /f UEFI",
        ),
    ),
    references=(_GENERATIONS, _BOOT_FAILURE, _REPAIRS),
    since="0.1",
)
def esp_present(partition_table: PartitionTable, system_volume: SystemVolume) -> Iterator[Finding]:
    r"""A disk for UEFI has an EFI system partition with the boot manager on it.

    A machine of generation 2 starts from a GPT partition of the type
    `c12a7328-f81f-11d2-ba4b-00a0c93ec93b`. Its firmware reads FAT and nothing else, and
    `\EFI\Microsoft\Boot\bootmgfw.efi` has to be there. No size is asked for: Azure's own images have one
    of 99 MiB. Nor is the boot manager compared with the copies that Windows keeps: Secure Boot servicing
    updates it by itself.

    With several such partitions one that has the boot manager is enough. It does not apply to an MBR.
    """
    if system_volume.scheme != "gpt":
        yield not_applicable("The disk has an MBR: BIOS starts it, without an EFI system partition.")
        return
    partitions = system_volume.partitions
    evidence = tuple(each.evidence for each in partitions)
    found = [each for each in partitions if each.has_boot_manager]
    if found:
        numbers = ", ".join(str(each.partition.number) for each in found)
        yield passed(f"The EFI system partition ({numbers}) has the boot manager.", *evidence)
    elif not partitions:
        yield failed(
            "There is no EFI system partition: the machine finds nothing to start.", _table(partition_table)
        )
    elif all(each.file_system is None for each in partitions):
        yield failed("The EFI system partition is not FAT: the firmware cannot read it.", *evidence)
    else:
        yield failed("The EFI system partition has no boot manager (bootmgfw.efi).", *evidence)


@check(
    "boot-sectors",
    family=FAMILY,
    severity=by_profile(Severity.WARNING, Severity.WARNING, None),
    remedy=Remedy(
        "Write the boot code again from Windows' installation media, and move the partition with a tool "
        "that adjusts its boot sector (S: is the active partition).",
        ("bootsect /nt60 S: /mbr", "bootrec /fixmbr", "bootrec /fixboot"),
    ),
    references=(_REPAIRS, _BOOT_FAILURE),
    since="0.1",
)
def boot_sectors_sound(boot_sectors: BootSectors | None) -> Iterator[Finding]:
    r"""The boot sectors of a disk for BIOS can start the active partition.

    BIOS runs the code in the first sector of the disk (bytes 0 to 1b7), which runs the code in the first
    sector of the active partition, if that ends with `55 aa`. That code adds the hidden sectors (four
    bytes at 1c) to every sector that it reads: after a partition was moved or restored elsewhere they
    are wrong, and the machine says “A disk read error occurred”, though Windows and chkdsk see nothing,
    since they do not use them. What the code does is not judged.

    It does not apply to a GPT, nor where there is not one active partition.
    """
    if boot_sectors is None:
        yield not_applicable("The disk is not started by the boot sector of one active partition.")
        return
    number = boot_sectors.partition.number
    master = Evidence(Location(Layer.PARTITION_TABLE, 0), "zeros", "boot code")
    code = Evidence(Location(Layer.VOLUME, 0, number), "zeros", "boot code")
    signature = Evidence(
        Location(Layer.VOLUME, 510, number), boot_sectors.volume_signature.hex(" "), "the signature 55 aa"
    )
    hidden = Evidence(
        Location(Layer.VOLUME, 0x1C, number),
        f"{boot_sectors.hidden_sectors} hidden sectors",
        f"{boot_sectors.first_sector}, where the partition begins",
    )
    faults = [
        (not boot_sectors.master_code, "The disk's first sector has no boot code.", master),
        (boot_sectors.volume_signature != b"\x55\xaa", "The active partition is not bootable.", signature),
        (not boot_sectors.volume_code, "The active partition's first sector has no boot code.", code),
        (
            boot_sectors.hidden_sectors != boot_sectors.first_sector,
            "The active partition's boot sector belongs to another place: it reads the wrong sectors.",
            hidden,
        ),
    ]
    found = [(message, evidence) for is_fault, message, evidence in faults if is_fault]
    if found:
        yield failed(found[0][0], *(evidence for _, evidence in found))
    else:
        seen = hidden._replace(expected="")
        yield passed("The boot sectors have code, and agree with the partition table.", seen)


@check(
    "fallback-loader",
    family=FAMILY,
    severity=by_profile(Severity.WARNING, Severity.WARNING, None),
    remedy=Remedy(
        "Let Windows write the loader again (S: is the EFI system partition).",
        (r"bcdboot C:\Windows /s S: /f UEFI",),
    ),
    references=("https://uefi.org/specs/UEFI/2.10/03_Boot_Manager.html", _REPAIRS),
    since="0.1",
)
def fallback_loader(system_volume: SystemVolume, fallback_loaders: tuple[Evidence, ...]) -> Iterator[Finding]:
    r"""The EFI system partition has the loader that a new machine starts.

    A machine that was just created has no boot entry in its firmware. It starts
    `\EFI\Boot\bootx64.efi` (`bootaa64.efi` on ARM64) from whichever EFI system partition it finds;
    Windows' own path is used once an entry was saved. An empty file is none.

    It does not apply to an MBR, nor to a GPT without an EFI system partition that can be read (see
    esp-present).
    """
    readable = [each for each in system_volume.partitions if each.file_system is not None]
    if system_volume.scheme != "gpt" or not readable:
        yield not_applicable("The disk has no EFI system partition to look on.")
    elif fallback_loaders:
        yield passed("The loader that a new machine starts is there.", *fallback_loaders)
    else:
        evidence = (
            Evidence(
                Location(Layer.FILE_SYSTEM, None, each.partition.number, f"\\{FALLBACKS[0]}"),
                "no such file, or an empty one",
            )
            for each in readable
        )
        yield failed("The loader that a new machine starts is missing.", *evidence)


CHECKS: tuple[Check, ...] = (active_partition, esp_present, boot_sectors_sound, fallback_loader)
