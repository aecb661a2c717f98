"""From a raw disk to a container file: by qemu-img, or by the factory's own writers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from tests.images import tools
from tests.images.cache import copy_of
from tests.images.vhdx import Vhdx


class Container(Protocol):
    """Something that writes a container file of a raw disk."""

    @property
    def suffix(self) -> str:
        """The ending of the file's name."""
        ...

    def write(self, raw: Path, target: Path, sector_size: int) -> object:
        """Write the disk in ``raw`` to ``target``."""
        ...


@dataclass(frozen=True)
class Qemu:
    """A container as qemu-img makes it (disks with sectors of 512 bytes only)."""

    format: str
    suffix: str
    options: tuple[str, ...] = ()

    def write(self, raw: Path, target: Path, sector_size: int) -> None:
        """Convert ``raw``."""
        if sector_size != 512:
            raise ValueError(f"qemu-img makes no {self.format} of {sector_size}-byte sectors")
        options = ("-o", ",".join(self.options)) if self.options else ()
        tools.run("qemu-img", "convert", "-f", "raw", "-O", self.format, *options, raw, target)


@dataclass(frozen=True)
class RawDisk:
    """No container: the disk itself."""

    suffix: str = ".raw"

    def write(self, raw: Path, target: Path, sector_size: int) -> None:
        """Copy ``raw``."""
        copy_of(raw, target.parent, target.name)


QEMU_CONTAINERS: Mapping[str, Container] = {
    "raw": RawDisk(),
    "vhd-fixed": Qemu("vpc", ".vhd", ("subformat=fixed", "force_size=on")),
    "vhd-dynamic": Qemu("vpc", ".vhd", ("subformat=dynamic", "force_size=on")),
    "vhdx-fixed": Qemu("vhdx", ".vhdx", ("subformat=fixed", "block_size=1M")),
    "vhdx-dynamic": Qemu("vhdx", ".vhdx", ("subformat=dynamic", "block_size=1M")),
    "qcow2": Qemu("qcow2", ".qcow2"),
    "vmdk": Qemu("vmdk", ".vmdk"),
    "vdi": Qemu("vdi", ".vdi"),
}
"""The containers that have a name. Another writer than ours, so that we do not only read us."""

OWN_CONTAINERS: Mapping[str, Container] = {
    "raw": RawDisk(),
    "vhdx-fixed": Vhdx(fixed=True),
    "vhdx-dynamic": Vhdx(),
}
"""What stands in where qemu-img refuses: disks with sectors of 4096 bytes."""


def named(name: str, sector_size: int = 512) -> Container:
    """The container of this name for a disk of this sector size."""
    known = QEMU_CONTAINERS if sector_size == 512 else OWN_CONTAINERS
    try:
        return known[name]
    except KeyError:
        raise ValueError(f"no container {name!r} for {sector_size}-byte sectors") from None
