r"""The image that is measured, and its small twin for tests: one description, two sizes.

The shape is that of Windows Server: a hive with tens of thousands of classes and with wide keys on
the way to ImageState, folders whose index fills nodes of its own, logs of a hundred kilobytes, and
a disk whose blocks nearly all hold something. The bytes are synthetic: see README.md.
"""

from __future__ import annotations

import json
import random
import struct
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

from tests.images import (
    SERVICES_KEY,
    Disk,
    Esp,
    File,
    FixedVhd,
    Msr,
    Ntfs,
    Run,
    Windows,
    build,
    generalized,
    presets,
    sysprep_log,
    tools,
)
from tests.images.containers import Qemu
from tests.images.logs import encode_log, setup_log
from tests.images.times import INSTALLED, SYSPREPPED

GiB = 1 << 30
MiB = 1 << 20
CLUSTER = 4096


@dataclass(frozen=True)
class Shape:
    """How much of everything there is."""

    disk_size: int
    block_size: int | None
    """Of the VHDX, in bytes; None for what qemu-img takes for a disk of this size."""
    folders: int
    """Component folders: all of them in one folder, as in WinSxS; two files, and two in a folder below."""
    programs: int
    """More files in System32."""
    classes: int
    vendors: int
    """Keys beside Microsoft."""
    versions: int
    """Keys in Microsoft\\Windows\\CurrentVersion."""
    devices: int
    """Keys of the SYSTEM hive."""
    log_lines: int
    """More lines in each of the two logs."""


LARGE = Shape(
    disk_size=127 * GiB, block_size=None, folders=9_000, programs=9_000, classes=90_000, vendors=380,
    versions=150, devices=30_000, log_lines=1_500,
)  # fmt: skip
"""127 GiB, 45,000 files in 18,000 folders, hives of 36 and 11 MB."""

CONTAINERS = {
    "vhdx": Qemu("vhdx", ".vhdx", ("subformat=dynamic",)),
    "vhd": Qemu("vpc", ".vhd", ("subformat=dynamic", "force_size=on")),
}


def shape_of(*, disk: int = 8, files: int = 10_000, software: int = 10) -> Shape:
    """A disk of so many GiB and files, with a SOFTWARE hive of about so many MB."""
    return replace(
        LARGE,
        disk_size=disk * GiB,
        folders=files // 5,
        programs=files // 5,
        classes=max(0, software * 1_000_000 - OTHER_KEYS) // CLASS,
        devices=3_000,
    )


CLASS, OTHER_KEYS = 400, 300_000
"""Bytes of a SOFTWARE hive: of each class, and of all the rest."""


def describe(shape: Shape) -> Disk:
    """The disk: EFI system partition, Microsoft reserved partition, Windows."""
    windows = _logs(_registry(generalized(), shape), shape)
    windows = replace(windows, files=(*windows.files, *_files(shape)))
    volume = Used(Ntfs(windows, size=shape.disk_size - 256 * MiB if shape.disk_size >= GiB else None))
    return Disk((Esp(), Msr(), volume), size=shape.disk_size)


def path_of(shape: Shape = LARGE, container: str = "vhdx") -> Path:
    """The dynamic VHDX (or VHD), in the cache of the factory: built now (minutes), or before."""
    chosen = CONTAINERS[container]
    if shape.block_size is not None:
        chosen = replace(chosen, options=(*chosen.options, f"block_size={shape.block_size}"))
    return build(describe(shape), chosen)


def path_as_fixed(shape: Shape = LARGE) -> Path:
    """The same as a fixed VHD, whose free clusters hold nothing: as large as its disk, nearly all holes."""
    disk = describe(shape)
    volumes = tuple(each.volume if isinstance(each, Used) else each for each in disk.volumes)
    return build(replace(disk, volumes=volumes), FixedVhd())


@dataclass(frozen=True)
class Used:
    """An NTFS volume in use for years: free clusters hold remains, so that nearly all blocks are there.

    Free is what $Bitmap says. Of every eight spans of 32 MiB, one stays empty.
    """

    volume: Ntfs
    span: int = 32 * MiB

    @property
    def gpt_type(self) -> str:
        """The volume's."""
        return self.volume.gpt_type

    @property
    def mbr_type(self) -> int:
        """The volume's."""
        return self.volume.mbr_type

    @property
    def name(self) -> str:
        """The volume's."""
        return self.volume.name

    @property
    def active(self) -> bool:
        """The volume's."""
        return self.volume.active

    def write(self, target: Path, sector_size: int, start: int) -> None:
        """Write the volume, then the remains."""
        self.volume.write(target, sector_size, start)
        bitmap = tools.run("ntfscat", "--force", target, "$Bitmap")
        remains = random.Random(0).randbytes(CLUSTER)
        with target.open("r+b") as file:
            for number, offset in enumerate(range(self.span // 2, target.stat().st_size, self.span)):
                byte, bit = divmod(offset // CLUSTER, 8)
                if number % 8 and not bitmap[byte] >> bit & 1:
                    file.seek(offset)
                    file.write(remains)


def _registry(windows: Windows, shape: Shape) -> Windows:
    windows = windows.bulk("SOFTWARE", "Classes", shape.classes, value_size=160)
    for number in range(shape.vendors):
        windows = windows.bulk("SOFTWARE", rf"Vendor {number:03}\Product", 1)
    windows = windows.bulk("SOFTWARE", r"Microsoft\Windows\CurrentVersion", shape.versions)
    windows = windows.bulk("SOFTWARE", r"Microsoft", shape.vendors)
    return windows.bulk("SYSTEM", r"ControlSet001\Enum\Root", shape.devices).bulk(
        "SYSTEM", SERVICES_KEY, shape.devices // 40
    )


def _logs(windows: Windows, shape: Shape) -> Windows:
    """Logs that end like the factory's, behind or around many lines of no meaning."""
    head, tail = _cut(sysprep_log(Run()), b"Processing 'generalize'")
    noise = [
        f"{SYSPREPPED + timedelta(seconds=9):%Y-%m-%d %H:%M:%S}, Info                  "
        rf"SYSPRP SPPNP: Preserving driver for device [ROOT\DEVICE\{number:04}], state unchanged."
        for number in range(shape.log_lines)
    ]
    windows = windows.file(presets.SYSPREP_LOG, head + encode_log(noise) + tail)
    head, tail = _cut(setup_log(), b"[setup.exe]")
    noise = [
        f"{INSTALLED:%Y-%m-%d %H:%M:%S}, Info                  "
        rf"IBS    Callback_Settings: entry {number:04} of the answer file has no effect in this pass."
        for number in range(shape.log_lines)
    ]
    return windows.file(presets.SETUP_LOG, head + encode_log(noise) + tail)


def _cut(log: bytes, before: bytes) -> tuple[bytes, bytes]:
    """A log in two, in front of the line that has these words."""
    at = log.rindex(b"\n", 0, log.index(before)) + 1
    return log[:at], log[at:]


def _files(shape: Shape) -> Iterator[File]:
    for number in range(shape.folders):
        folder = (
            rf"Windows\WinSxS\amd64_component-{number:05}_31bf3856ad364e35_10.0.20348.1_none_{number:016x}"
        )
        yield File(rf"{folder}\component.dll", b"MZ%05d" % number)
        yield File(rf"{folder}\r\component.dll", b"PA30")
        yield File(rf"{folder}\r\component.sys", b"PA30")
        yield File(rf"{folder}\component.inf", b"[Version]\r\n")
    for number in range(shape.programs):
        yield File(rf"{presets.SYSTEM32}\library-{number:05}.dll", b"MZ%05d" % number)
    yield File(rf"{presets.SYSTEM32}\cmd.exe", _program())


def _program() -> bytes:
    """The headers of a 64-bit program: libguestfs takes no disk for Windows that has no cmd.exe."""
    dos = b"MZ".ljust(0x3C, b"\0") + struct.pack("<I", 0x40)
    coff = b"PE\0\0" + struct.pack("<HHIIIHH", 0x8664, 0, 0, 0, 0, 0xF0, 0x22)
    return dos + coff + struct.pack("<H", 0x20B).ljust(0xF0, b"\0")


if __name__ == "__main__":
    asked = json.loads(sys.argv[1]) if sys.argv[1:] else None
    container = asked.pop("container") if asked else "vhdx"
    print(path_of(shape_of(**asked) if asked else LARGE, container))
