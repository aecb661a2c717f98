"""What lies in a partition: NTFS, FAT, or bytes that no reader understands."""

from __future__ import annotations

import contextlib
import os
import tempfile
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Protocol, TypeAlias

from tests.images import tools
from tests.images.cache import cached, copy_of
from tests.images.hive import Hive
from tests.images.ntfs_times import settle_ntfs
from tests.images.times import INSTALLED, SHUT_DOWN, unix_time
from tests.images.windows import File, Windows

MiB = 1 << 20

BASIC_DATA = "ebd0a0a2-b9e5-4433-87c0-68b6b72699c7"
EFI_SYSTEM = "c12a7328-f81f-11d2-ba4b-00a0c93ec93b"
MICROSOFT_RESERVED = "e3c9e316-0b5c-4db8-817d-f92df00215ae"

Files: TypeAlias = "Mapping[str, bytes | Hive] | Iterable[File] | None"
"""Files as ``{path: content}`` or as `File` descriptions."""


class Volume(Protocol):
    """What a disk needs to know of a partition and of what lies in it."""

    @property
    def gpt_type(self) -> str:
        """The partition type GUID (UEFI specification 5.3.3, Microsoft's list)."""
        ...

    @property
    def mbr_type(self) -> int:
        """The partition type of an MBR entry."""
        ...

    @property
    def name(self) -> str:
        """The name in the GPT entry."""
        ...

    @property
    def active(self) -> bool:
        """Whether the MBR entry has the active flag."""
        ...

    def write(self, target: Path, sector_size: int, start: int) -> None:
        """Write the volume to a file; it will lie ``start`` bytes into the disk."""
        ...


@dataclass(frozen=True, init=False)
class Ntfs:
    """An NTFS volume made by mkntfs, its files put in by wimlib."""

    windows: Windows | None
    files: tuple[File, ...]
    label: str
    size: int | None
    cluster_size: int
    active: bool
    name: str
    gpt_type: str
    mbr_type: int

    def __init__(
        self,
        windows: Windows | None = None,
        files: Files = None,
        *,
        label: str = "Windows",
        size: int | None = None,
        cluster_size: int = 4096,
        active: bool = False,
        name: str = "Basic data partition",
        gpt_type: str = BASIC_DATA,
        mbr_type: int = 0x07,
    ) -> None:
        """Describe a volume; without ``size`` it is as large as its files need, and 6 MiB."""
        _assign(self, windows=windows, files=_as_files(files), label=label, size=size,
                cluster_size=cluster_size, active=active, name=name, gpt_type=gpt_type,
                mbr_type=mbr_type)  # fmt: skip

    def write(self, target: Path, sector_size: int, start: int) -> None:
        """Format ``target``, apply the tree, and make times and serial number reproducible."""
        if self.windows is not None:
            self._make(target, sector_size, start)
            return
        # Most disks have the same volume beside that of Windows.
        made = cached((self, sector_size, start), ".ntfs", lambda path: self._make(path, sector_size, start))
        copy_of(made, target.parent, target.name)

    def _make(self, target: Path, sector_size: int, start: int) -> None:
        described = (*(self.windows.tree() if self.windows else ()), *self.files)
        files = tuple(replace(file, content=file.bytes) for file in described)
        began = datetime.now(INSTALLED.tzinfo)
        _truncate(target, self.size or _ntfs_size(files, self.cluster_size, sector_size))
        tools.run("mkntfs", "-F", "-Q", "-q", "-s", sector_size, "-c",
                  max(self.cluster_size, sector_size), "-p", start // sector_size, "-H", 255,
                  "-S", 63, "-L", self.label, target)  # fmt: skip
        if files:
            _apply(files, target)
        serial = zlib.crc32(f"{self.label} {start}".encode()) | 0xA1B2C3D4 << 32
        settle_ntfs(target, sector_size, serial, since=began, time=SHUT_DOWN)


@dataclass(frozen=True, init=False)
class Fat:
    """A FAT volume made by mkfs.fat, its files put in by mtools."""

    files: tuple[File, ...]
    label: str
    size: int
    bits: int | None
    active: bool
    name: str
    gpt_type: str
    mbr_type: int

    def __init__(
        self,
        files: Files = None,
        *,
        label: str = "DATA",
        size: int = 40 * MiB,
        bits: int | None = None,
        active: bool = False,
        name: str = "Basic data partition",
        gpt_type: str = BASIC_DATA,
        mbr_type: int = 0x0C,
    ) -> None:
        """Describe a volume; without ``bits`` it is FAT32 where that has clusters enough."""
        _assign(self, files=_as_files(files), label=label, size=size, bits=bits, active=active,
                name=name, gpt_type=gpt_type, mbr_type=mbr_type)  # fmt: skip

    def write(self, target: Path, sector_size: int, start: int) -> None:
        """Format ``target`` with clusters of one sector and put the files in; most disks have the same."""
        made = cached((self, sector_size, start), ".fat", lambda path: self._make(path, sector_size, start))
        copy_of(made, target.parent, target.name)

    def _make(self, target: Path, sector_size: int, start: int) -> None:
        _truncate(target, self.size)
        bits = self.bits or _fat_bits(self.size // sector_size)
        serial = zlib.crc32(f"{self.label} {start}".encode())
        clock = unix_time(INSTALLED)
        tools.run("mkfs.fat", "--invariant", "-F", bits, "-S", sector_size, "-s", 1,
                  "-i", f"{serial:08x}", "-h", start // sector_size, "-n", self.label, target,
                  clock=clock)  # fmt: skip
        with tempfile.TemporaryDirectory(prefix="fat-") as scratch:
            write_tree(self.files, Path(scratch))
            top = sorted(Path(scratch).iterdir())
            if top:
                tools.run("mcopy", "-i", target, "-s", "-m", "-Q", *top, "::/", clock=clock)


@dataclass(frozen=True)
class Blob:
    """A partition of bytes that are no file system known to the factory."""

    first_bytes: bytes = b""
    size: int = MiB
    gpt_type: str = BASIC_DATA
    mbr_type: int = 0x07
    active: bool = False
    name: str = "Basic data partition"

    def write(self, target: Path, sector_size: int, start: int) -> None:
        """Write the first bytes; the rest is zeros."""
        target.write_bytes(self.first_bytes)
        _truncate(target, self.size)


def Msr(size: int = 16 * MiB) -> Blob:  # noqa: N802 - reads as the volume it makes
    """The Microsoft reserved partition: 16 MiB without content."""
    return Blob(size=size, gpt_type=MICROSOFT_RESERVED, name="Microsoft reserved partition")


def Bitlocker(size: int = 16 * MiB) -> Blob:  # noqa: N802 - reads as the volume it makes
    """A volume encrypted by BitLocker: its boot sector has ``-FVE-FS-`` where NTFS has its name."""
    boot_sector = b"\xeb\x58\x90-FVE-FS-".ljust(510, b"\0") + b"\x55\xaa"
    return Blob(first_bytes=boot_sector, size=size)


def write_tree(files: Iterable[File], folder: Path) -> None:
    """Write ``files`` below ``folder``; paths that differ in case only share a folder."""
    known: dict[str, str] = {}
    for file in files:
        at = folder
        *parents, name = file.path.split("\\")
        for depth, part in enumerate(parents):
            prefix = "\\".join(parents[: depth + 1]).lower()
            at /= known.setdefault(prefix, part)
        at.mkdir(parents=True, exist_ok=True)
        if name:
            target = at / known.setdefault(file.path.lower(), name)
            target.write_bytes(file.bytes)
            _date(target, file.modified)
    for path in [folder, *folder.rglob("*")]:
        if path.is_dir():
            _date(path, INSTALLED)


def _apply(files: Iterable[File], volume: Path) -> None:
    """Put ``files`` into an NTFS volume without mounting it.

    The empty configuration keeps wimlib from leaving out files such as ``hiberfil.sys``.
    """
    with tempfile.TemporaryDirectory(prefix="ntfs-", dir=_memory(files)) as scratch:
        tree, wim, everything = (Path(scratch) / name for name in ("tree", "wim", "config"))
        tree.mkdir()
        write_tree(files, tree)
        everything.write_text("[ExclusionList]\n")
        tools.run("wimlib-imagex", "capture", tree, wim, "--compress=none", "--no-acls",
                  "--norpfix", f"--config={everything}")  # fmt: skip
        tools.run("wimlib-imagex", "apply", wim, 1, volume, "--no-acls")


def _memory(files: Iterable[File]) -> str | None:
    """A folder in memory for many small files, where there is one with room for them."""
    needed = 4 * sum(len(file.bytes) + 4096 for file in files)
    with contextlib.suppress(OSError, AttributeError):
        room = os.statvfs("/dev/shm")
        if needed < 16 * MiB and needed < room.f_bavail * room.f_frsize:
            return "/dev/shm"
    return None


def _ntfs_size(files: Iterable[File], cluster_size: int, sector_size: int) -> int:
    """Room for the files, their records and what NTFS keeps for itself, in whole MiB."""
    unit = max(cluster_size, sector_size)
    needed = 6 * MiB
    for file in files:
        needed += -(-len(file.bytes) // unit) * unit + max(2048, 2 * sector_size)
    return -(-needed // MiB) * MiB


def _fat_bits(clusters: int) -> int:
    """The FAT for so many clusters; less than 65,525 make no FAT32, less than 4085 no FAT16."""
    return 32 if clusters > 66_581 else 16 if clusters > 4_200 else 12


def _as_files(files: Files) -> tuple[File, ...]:
    if files is None:
        return ()
    if isinstance(files, Mapping):
        return tuple(File(path, content) for path, content in files.items())
    return tuple(files)


def _assign(frozen: object, **fields: object) -> None:
    for name, value in fields.items():
        object.__setattr__(frozen, name, value)


def _truncate(target: Path, size: int) -> None:
    with target.open("ab") as file:
        file.truncate(size)


def _date(path: Path, time: datetime) -> None:
    os.utime(path, (unix_time(time), unix_time(time)))
