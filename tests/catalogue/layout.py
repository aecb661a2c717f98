"""The disk: one Windows on it, and made for the machine that it is for."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tests.catalogue.model import Case, cannot_tell, fails, passes
from tests.images import (
    COMPLETE,
    Bitlocker,
    Blob,
    Disk,
    Esp,
    Fat,
    Msr,
    Ntfs,
    SystemReserved,
    Windows,
    damage,
    generalized,
    with_state,
)
from tests.images.volumes import Volume

FIRST, SECOND = ("--generation", "1"), ("--generation", "2")
REFS = Blob(first_bytes=b"\0\0\0ReFS\0")


def disk(scheme: str, *volumes: Volume) -> Callable[[Windows], Disk]:
    """A disk with Windows and these volumes before it."""
    return lambda windows: Disk((*volumes, Ntfs(windows)), scheme)


def beside(*volumes: Volume) -> Callable[[Windows], Disk]:
    """A disk for UEFI with these volumes behind Windows."""
    return lambda windows: Disk((Esp(), Msr(), Ntfs(windows), *volumes), "gpt")


def both_copies(path: Path) -> None:
    """Damage both copies of a GPT in a fixed VHD."""
    damage.flip(path, 512 + 20)
    damage.flip(path, -512 - 512 + 20)


CASES: tuple[Case, ...] = (
    passes("windows-volume", says="Windows is on partition 3"),
    passes("windows-volume", "BIOS", generation=1, says="Windows is on partition 2"),
    passes("windows-volume", "data beside it", disk=beside(Fat(), Ntfs(label="Data"))),
    passes("windows-volume", "an encrypted volume beside it", disk=beside(Bitlocker())),
    fails(
        "windows-volume",
        "two that are good",
        "warning",
        disk=beside(Ntfs(generalized(), label="Other")),
        shows=r"4 \Windows",
        says="There are 2 installations",
    ),
    cannot_tell(
        "windows-volume",
        "two that differ",
        disk=beside(Ntfs(with_state(generalized(), COMPLETE), label="Other")),
        says="nothing says which one starts",
        verdict="indeterminate",
    ),
    cannot_tell("windows-volume", "none", disk=lambda _: Disk((Esp(), Msr(), Ntfs()), "gpt")),
    cannot_tell("windows-volume", "only ReFS", disk=lambda _: Disk((Esp(), Msr(), REFS), "gpt")),
    cannot_tell("windows-volume", "no partition table", damage=both_copies),
    passes("generation-consistent", "UEFI", says="made for generation 2 (UEFI)", shows="GPT, an EFI"),
    passes(
        "generation-consistent",
        "BIOS",
        generation=1,
        says="made for generation 1 (BIOS)",
        shows="MBR, no EFI system partition, an active partition",
    ),
    passes("generation-consistent", "UEFI, as asked for", options=SECOND),
    passes("generation-consistent", "BIOS, as asked for", generation=1, options=FIRST),
    passes("generation-consistent", "MBR for both", disk=disk("mbr", SystemReserved(), Esp())),
    fails(
        "generation-consistent",
        "BIOS for generation 2",
        "error",
        generation=1,
        options=SECOND,
        says="made for generation 1 (BIOS), and the machine will be generation 2 (UEFI)",
        verdict="undeployable",
    ),
    fails(
        "generation-consistent",
        "UEFI for generation 1",
        "error",
        options=FIRST,
        says="made for generation 2 (UEFI)",
        verdict="undeployable",
    ),
    fails(
        "generation-consistent",
        "UEFI for generation 1, specialized",
        "error",
        options=FIRST,
        profile="azure-specialized",
    ),
    fails(
        "generation-consistent",
        "GPT without an EFI system partition",
        "warning",
        disk=disk("gpt", Msr()),
        says="a GPT without an EFI system partition",
    ),
    fails(
        "generation-consistent",
        "MBR with one and nothing active",
        "warning",
        disk=disk("mbr", Esp()),
        says="an MBR without an active partition, but with an EFI system partition",
    ),
    fails(
        "generation-consistent",
        "MBR with one and nothing active, asked for",
        "warning",
        disk=disk("mbr", Esp()),
        options=SECOND,
    ),
    cannot_tell("generation-consistent", damage=both_copies, verdict="indeterminate"),
    cannot_tell(
        "generation-consistent",
        "BIOS, no partition table",
        generation=1,
        damage=lambda path: damage.flip(path, 510),
    ),
)
