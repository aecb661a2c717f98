"""The file: its format, its footer, its size, its parents."""

from __future__ import annotations

import struct
from collections.abc import Callable
from functools import partial
from pathlib import Path

from tests.catalogue.model import Case, cannot_tell, fails, not_applicable, passes
from tests.images import (
    Disk,
    DynamicVhd,
    Esp,
    Msr,
    Ntfs,
    SystemReserved,
    Vhdx,
    Windows,
    damage,
    vhd,
)
from tests.images.containers import QEMU_CONTAINERS, Container, RawDisk
from tests.images.volumes import MiB

GiB = 1024 * MiB
CONVERTED = ("--will-convert",)
LARGE: Container = Vhdx(block_size=8 * MiB)
"""Large disks are only written where they hold something."""
DAMAGED = {"damage": lambda path: damage.flip(path, -10)}
"""A byte of the footer: a fixed VHD has no copy of it."""


def disk(scheme: str, size: int | None = None) -> Callable[[Windows], Disk]:
    """The disk that Windows Setup makes, with a size of its own."""

    def made(windows: Windows) -> Disk:
        if scheme == "mbr":
            return Disk((SystemReserved(), Ntfs(windows)), "mbr", size=size)
        return Disk((Esp(), Msr(), Ntfs(windows)), "gpt", size=size)

    return made


def undecided(size: int) -> Callable[[Windows], Disk]:
    """An MBR with an EFI system partition and no active one: for neither generation."""
    return lambda windows: Disk((Esp(), Ntfs(windows)), "mbr", size=size)


def without_table(size: int) -> Callable[[Windows], Disk]:
    """One volume and no partition table."""
    return lambda windows: Disk((Ntfs(windows),), None, size=size)


def onto_parent(path: Path, time: int | None = None, *, lost: bool = False) -> None:
    """Make the image the parent of a differencing disk, which takes its name."""
    parent = path.rename(path.with_name("parent.vhd"))
    vhd.child_of(vhd.Parent(parent, time=time), path, {})
    if lost:
        parent.unlink()


def longer(path: Path) -> None:
    """Put a MiB between the disk and its footer."""
    footer = damage.read(path, -vhd.FOOTER_SIZE, vhd.FOOTER_SIZE)
    with path.open("r+b") as file:
        file.seek(-vhd.FOOTER_SIZE, 2)
        file.write(bytes(MiB) + footer)


def smaller_by(path: Path, count: int) -> None:
    """Let the footer say that the disk is so much smaller than the file."""
    at = path.stat().st_size - vhd.FOOTER_SIZE + 48
    (size,) = struct.unpack(">Q", damage.read(path, at, 8))
    damage.overwrite(path, at, struct.pack(">Q", size - count))
    damage.fix_vhd_footer(path)


CASES: tuple[Case, ...] = (
    passes("container-format", says="The image is a VHD."),
    passes("container-format", "BIOS", generation=1),
    passes("container-format", "specialized", profile="azure-specialized"),
    passes("container-format", "dynamic VHD", container=DynamicVhd()),
    fails(
        "container-format",
        "VHDX",
        "error",
        container=Vhdx(),
        says="this is a VHDX",
        shows="VHDX",
        verdict="undeployable",
    ),
    fails("container-format", "VHDX, fixed", "error", container=Vhdx(fixed=True)),
    fails("container-format", "VHDX, converted later", "notice", container=Vhdx(), options=CONVERTED),
    fails("container-format", "VHDX, specialized", "error", container=Vhdx(), profile="azure-specialized"),
    fails("container-format", "raw", "error", container=RawDisk(), says="this is a raw disk"),
    fails("container-format", "raw, converted later", "notice", container=RawDisk(), options=CONVERTED),
    fails("container-format", "QCOW2", "error", container=QEMU_CONTAINERS["qcow2"], says="QCOW2"),
    fails("container-format", "VMDK", "error", container=QEMU_CONTAINERS["vmdk"], says="VMDK"),
    fails("container-format", "VDI", "error", container=QEMU_CONTAINERS["vdi"], says="VDI"),
    cannot_tell("container-format", **DAMAGED),
    passes("vhd-fixed", shows="disk type 2 (fixed)"),
    passes("vhd-fixed", "by another program", container=QEMU_CONTAINERS["vhd-fixed"]),
    fails(
        "vhd-fixed",
        "dynamic",
        "error",
        container=DynamicVhd(),
        shows="disk type 3 (dynamic)",
        verdict="undeployable",
    ),
    fails("vhd-fixed", "dynamic, converted later", "notice", container=DynamicVhd(), options=CONVERTED),
    fails("vhd-fixed", "dynamic, specialized", "error", container=DynamicVhd(), profile="azure-specialized"),
    fails(
        "vhd-fixed",
        "differencing",
        "error",
        damage=onto_parent,
        says="what differs from another disk (parent.vhd)",
        shows="disk type 4",
    ),
    fails("vhd-fixed", "differencing, converted later", "notice", damage=onto_parent, options=CONVERTED),
    not_applicable("vhd-fixed", "VHDX", container=Vhdx()),
    cannot_tell("vhd-fixed", **DAMAGED),
    passes("vhd-footer", says="the file is as long as it says"),
    passes("vhd-footer", "dynamic", container=DynamicVhd()),
    passes("vhd-footer", "by another program", container=QEMU_CONTAINERS["vhd-fixed"]),
    passes("vhd-footer", "differencing", damage=onto_parent),
    fails(
        "vhd-footer",
        "dynamic, footer damaged",
        "error",
        container=DynamicVhd(),
        damage=lambda path: damage.flip(path, -10),
        says="by means of its copy",
        shows="checksum",
    ),
    fails(
        "vhd-footer",
        "dynamic, copy damaged",
        "error",
        container=DynamicVhd(),
        damage=lambda path: damage.flip(path, 500),
        shows="the footer was used",
    ),
    fails(
        "vhd-footer",
        "dynamic, footer damaged, converted later",
        "warning",
        container=DynamicVhd(),
        damage=lambda path: damage.flip(path, -10),
        options=CONVERTED,
    ),
    fails(
        "vhd-footer",
        "511 bytes",
        "error",
        damage=lambda path: damage.truncate(path, -1),
        says="one byte too short",
        shows="before 2004",
    ),
    fails(
        "vhd-footer",
        "511 bytes, dynamic",
        "error",
        container=DynamicVhd(),
        damage=lambda path: damage.truncate(path, -1),
        says="one byte too short",
    ),
    fails("vhd-footer", "file too long", "error", damage=longer, says="longer than the disk"),
    fails(
        "vhd-footer",
        "disk too short",
        "error",
        damage=partial(smaller_by, count=4 * MiB),
        disk=disk("mbr", 60 * MiB),
        says="longer than the disk",
    ),
    not_applicable("vhd-footer", "VHDX", container=Vhdx()),
    cannot_tell("vhd-footer", **DAMAGED),
    passes("size-aligned", disk=disk("gpt", 123 * MiB), says="The disk has 123 MiB."),
    passes("size-aligned", "VHDX", container=Vhdx()),
    fails(
        "size-aligned",
        "a sector over",
        "error",
        disk=disk("gpt", 123 * MiB + 512),
        says="512 bytes are over",
        shows=f"{123 * MiB + 512} bytes",
        verdict="undeployable",
    ),
    fails("size-aligned", "a sector under", "error", disk=disk("mbr", 123 * MiB - 512)),
    fails("size-aligned", "in kB of 1000", "error", disk=disk("mbr", 128_000_000)),
    fails("size-aligned", "converted later", "notice", disk=disk("mbr", 128_000_000), options=CONVERTED),
    fails(
        "size-aligned",
        "VHDX, converted later",
        "notice",
        disk=disk("gpt", 123 * MiB + 512),
        container=Vhdx(),
        options=CONVERTED,
    ),
    fails("size-aligned", "raw", "error", disk=disk("mbr", 123 * MiB + 512), container=RawDisk()),
    cannot_tell("size-aligned", **DAMAGED),
    passes("os-disk-size", says="The disk has 0.1 GiB."),
    passes(
        "os-disk-size",
        "BIOS, the largest",
        disk=disk("mbr", 2048 * GiB),
        container=LARGE,
        options=CONVERTED,
        says="2048.0 GiB",
    ),
    passes(
        "os-disk-size",
        "UEFI, the largest",
        disk=disk("gpt", 4096 * GiB),
        container=LARGE,
        options=CONVERTED,
        says="4096.0 GiB",
    ),
    passes(
        "os-disk-size",
        "as asked for",
        disk=undecided(2049 * GiB),
        container=LARGE,
        options=(*CONVERTED, "--generation", "2"),
    ),
    fails(
        "os-disk-size",
        "BIOS",
        "error",
        disk=disk("mbr", 2048 * GiB + MiB),
        container=LARGE,
        options=CONVERTED,
        says="a machine of generation 1 takes at most 2048 GiB",
        verdict="undeployable",
    ),
    fails(
        "os-disk-size",
        "UEFI",
        "error",
        disk=disk("gpt", 4096 * GiB + MiB),
        container=LARGE,
        options=CONVERTED,
        says="at most 4096 GiB",
        shows=f"{4096 * GiB + MiB} bytes",
    ),
    fails(
        "os-disk-size",
        "asked for generation 1",
        "error",
        disk=disk("gpt", 2049 * GiB),
        container=LARGE,
        options=(*CONVERTED, "--generation", "1"),
    ),
    fails(
        "os-disk-size",
        "for neither generation",
        "warning",
        disk=undecided(2049 * GiB),
        container=LARGE,
        options=CONVERTED,
    ),
    fails("os-disk-size", "tiny", "notice", disk=disk("mbr", 20 * MiB - 512), says="smaller than 20 MiB"),
    cannot_tell("os-disk-size", **DAMAGED),
    cannot_tell(
        "os-disk-size",
        "no partition table",
        disk=without_table(2049 * GiB),
        container=LARGE,
        options=CONVERTED,
        says="not known which generation",
    ),
    passes("parent-unchanged", damage=onto_parent, says="parent.vhd"),
    fails(
        "parent-unchanged",
        "written to",
        "warning",
        damage=partial(onto_parent, time=1),
        shows="in the parent's footer",
    ),
    not_applicable("parent-unchanged", "no parent"),
    not_applicable("parent-unchanged", "VHDX", container=Vhdx()),
    cannot_tell("parent-unchanged", "parent lost", damage=partial(onto_parent, lost=True)),
)
