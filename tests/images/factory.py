"""Build a described image."""

from __future__ import annotations

import tempfile
from pathlib import Path

from tests.images.boot import Esp, SystemReserved
from tests.images.cache import cached
from tests.images.containers import Container, named
from tests.images.disk import Disk
from tests.images.volumes import Msr, Ntfs
from tests.images.windows import Windows


def build(
    what: Windows | Disk,
    container: str | Container = "vhdx-dynamic",
    *,
    scheme: str | None = "gpt",
) -> Path:
    """The image of a disk, or of a Windows on a disk laid out as Windows Setup does.

    The file is shared and read-only: a test that damages it takes a `copy_of`. ``scheme`` is for
    a bare `Windows`; a `Disk` says its own.
    """
    disk = what if isinstance(what, Disk) else disk_of(what, scheme)
    chosen = named(container, disk.sector_size) if isinstance(container, str) else container

    def make(target: Path) -> None:
        with tempfile.TemporaryDirectory(prefix="raw-", dir=target.parent) as scratch:
            raw = Path(scratch) / "disk.raw"
            disk.write(raw)
            chosen.write(raw, target, disk.sector_size)

    return cached((disk, chosen), chosen.suffix, make)


def disk_of(windows: Windows, scheme: str | None = "gpt", sector_size: int = 512) -> Disk:
    """The disk that Windows Setup would make: for UEFI (gpt), for BIOS (mbr), or just a volume."""
    if scheme == "gpt":
        return Disk((Esp(), Msr(), Ntfs(windows)), "gpt", sector_size)
    if scheme == "mbr":
        return Disk((SystemReserved(), Ntfs(windows)), "mbr", sector_size)
    return Disk((Ntfs(windows),), scheme, sector_size)
