"""How the volumes were left: encrypted, suspended, or not let go of in order."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path

from tests import mft
from tests.catalogue.drivers import file, torn, volume_of_windows
from tests.catalogue.model import Case, cannot_tell, fails, not_applicable, passes
from tests.images import Bitlocker, Blob, Disk, Esp, Msr, Ntfs, SystemReserved, Windows
from tests.images.volumes import MiB, Volume

HIBERNATION_FILE = "hiberfil.sys"
SUSPENDED = b"HIBR".ljust(8192, b"\0")
USED_UP = b"WAKE".ljust(8192, b"\0")
REFS = Blob(b"\0\0\0ReFS\0\0\0\0", size=16 * MiB)
DATA = Ntfs(files={HIBERNATION_FILE: SUSPENDED}, label="Data")
AS = "azure-specialized"


def beside(*others: Volume) -> Callable[[Windows], Disk]:
    """Windows with more volumes behind it."""
    return lambda windows: Disk((Esp(), Msr(), Ntfs(windows), *others))


def instead(*others: Volume) -> Callable[[Windows], Disk]:
    """A disk without a Windows that can be read."""
    return lambda _: Disk((Esp(), Msr(), *others))


def instead_with_bios(*others: Volume) -> Callable[[Windows], Disk]:
    """The same with an MBR."""
    return lambda _: Disk((SystemReserved(), *others), "mbr")


def dirty(image: Path) -> None:
    """Set the dirty flag of the volume of Windows, as a machine that is switched off leaves it."""

    def change(record: bytearray) -> None:
        struct.pack_into("<H", record, mft.find(record, 0x70).at + 24 + 10, 0x0001)

    volume_of_windows(image).edit("$volume", change)


def open_log(image: Path) -> None:
    """Leave the log of the volume of Windows with zeros in it, which no tool and no Windows leaves."""
    volume = volume_of_windows(image)
    at = volume.content_offset("$logfile")
    with image.open("r+b") as data:
        data.seek(at)
        data.write(bytes(65536))


BITLOCKER = (
    passes("bitlocker"),
    passes("bitlocker", "passes with BIOS", generation=1),
    fails("bitlocker", "Windows is on it", "error", disk=instead(Bitlocker()), verdict="undeployable"),
    fails(
        "bitlocker",
        "Windows is on it, BIOS",
        "error",
        disk=instead_with_bios(Bitlocker()),
        verdict="undeployable",
    ),
    fails("bitlocker", "specialized", "error", disk=instead(Bitlocker()), profile=AS),
    fails("bitlocker", "for any platform", "error", disk=instead(Bitlocker()), profile="generalized"),
    fails(
        "bitlocker",
        "a volume beside Windows",
        "warning",
        disk=beside(Bitlocker()),
        says="(partition 4)",
        verdict="deployable",
    ),
    cannot_tell("bitlocker", disk=instead(Bitlocker(), REFS), verdict="indeterminate"),
)

HIBERNATED = (
    passes("hibernated"),
    passes("hibernated", "a file that was used up", change=file(HIBERNATION_FILE, USED_UP)),
    passes("hibernated", "a folder of its name", change=file(rf"{HIBERNATION_FILE}\file", SUSPENDED)),
    fails(
        "hibernated",
        "Windows is suspended",
        "warning",
        change=file(HIBERNATION_FILE, SUSPENDED),
        verdict="indeterminate",
        shows="the machine is suspended",
    ),
    fails("hibernated", "another system is", "warning", disk=beside(DATA), verdict="deployable"),
    fails("hibernated", "specialized", "warning", change=file(HIBERNATION_FILE, SUSPENDED), profile=AS),
    cannot_tell(
        "hibernated",
        change=file(HIBERNATION_FILE, USED_UP),
        damage=torn(HIBERNATION_FILE),
        verdict="indeterminate",
    ),
)

VOLUME_DIRTY = (
    passes("volume-dirty"),
    passes("volume-dirty", "passes with BIOS", generation=1),
    fails("volume-dirty", "the flag", "warning", damage=dirty, shows="$Volume", verdict="deployable"),
    fails("volume-dirty", "the log", "warning", damage=open_log, shows="$LogFile", verdict="deployable"),
    fails("volume-dirty", "with BIOS", "warning", damage=dirty, generation=1, says="(partition 2)"),
    fails("volume-dirty", "specialized", "warning", damage=dirty, profile=AS),
    not_applicable("volume-dirty", "no NTFS volume", disk=instead(Bitlocker())),
    cannot_tell("volume-dirty", change=file(HIBERNATION_FILE, SUSPENDED)),
    cannot_tell("volume-dirty", "cannot tell of another system", disk=beside(DATA)),
)

CASES: tuple[Case, ...] = (*BITLOCKER, *HIBERNATED, *VOLUME_DIRTY)
