"""The chain of a differencing disk: each parent is found, and proves by its identifier that it is one.

Where a parent lies is said by the image, which is hostile: only the file name of what it says is used,
in the folder where the image really lies (beside it at its address), and files that the user named. Source:
VHD 1.0, "Parent Locator Entry" and "Differencing Hard Disk"; [MS-VHDX] 2.6.2.6.
"""

import os
import re
from collections.abc import Iterator

from validator.address import is_address, shown
from validator.disk.container import MappedDisk, ParentLink
from validator.disk.vhd import open_vhd
from validator.disk.vhdx import open_vhdx
from validator.disk.witness import WitnessedDisk
from validator.evidence import Effect, Evidence, Layer, Location, Unreadable, damaged
from validator.source import ByteSource, Files

MAX_DEPTH = 64
MAX_NEIGHBOURS = 64
_EXTENSIONS = {"vhd": (".vhd", ".avhd"), "vhdx": (".vhdx", ".avhdx")}


def open_mapped(source: ByteSource, kind: str) -> MappedDisk:
    """The disk in a VHD or VHDX, without its parents."""
    return open_vhd(source) if kind == "vhd" else open_vhdx(source)


def open_chain(child: MappedDisk, path: str, files: Files, named: tuple[str, ...]) -> WitnessedDisk:
    """A disk with all its parents, each of them witnessed.

    Args:
        child: the disk that the user named.
        path: its file.
        files: opens the parents' files.
        named: files that the user named as parents.

    Raises:
        Unreadable: where a parent is missing or another disk, or the chain is too long or closes.
    """
    chain, names = [child], list[str]()
    differs: Evidence | None = None
    while (link := chain[-1].parent_link) is not None:
        if len(names) >= MAX_DEPTH:
            raise _damage(f"a chain of at most {MAX_DEPTH} parents", "a longer one")
        parent, path = _find(link, path, files, named)
        if parent.identifier in {disk.identifier for disk in chain}:
            raise _damage("a chain of parents that ends", f"one that comes back to {parent.identifier}")
        differs = differs or _time_differs(link, parent)
        names.append(os.path.basename(path))
        chain.append(parent)
    disk = WitnessedDisk(chain.pop())
    while chain:
        disk = WitnessedDisk(chain.pop(), disk)
    disk.container = disk.container._replace(parents=tuple(names))
    disk.parent_differs = differs
    return disk


def _damage(expected: str, found: str) -> Unreadable:
    return damaged(Location(Layer.CONTAINER), expected=expected, found=found)


def _find(link: ParentLink, path: str, files: Files, named: tuple[str, ...]) -> tuple[MappedDisk, str]:
    stated = [re.split(r"[\\/:]", name)[-1].replace("\0", "") for name in link.names]
    names = [name for name in dict.fromkeys(stated) if name not in ("", ".", "..")]
    others: list[str] = []
    for candidate, real in _candidates(path, names, link.format, files, named):
        name = os.path.basename(shown(candidate))
        try:
            source = files.open(real)
        except Unreadable as error:
            others.append(_unreadable(name, error))
            continue
        try:
            parent = open_mapped(source, link.format)
        except Unreadable as error:
            others.append(_unreadable(name, error))
        else:
            if parent.identifier in link.identifiers:
                return parent, source.path
            others.append(f"{name} is {parent.identifier}")
        files.set_aside(source)
    wanted = (
        f"the parent disk “{stated[0] if stated else ''}” with identifier {' or '.join(link.identifiers)}"
    )
    found = "no such file beside the image; name it with --parent FILE"
    if others:
        found += f" ({'; '.join(others[:4])})"
    if path.lower().endswith((".avhd", ".avhdx")):
        found += ". The image is a checkpoint of Hyper-V: merge it (Merge-VHD) or export the machine"
    raise _damage(wanted, found)


def _candidates(
    path: str, names: list[str], kind: str, files: Files, named: tuple[str, ...]
) -> Iterator[tuple[str, str]]:
    """What may be the parent of a file, as it is called and as it is opened; each once.

    A link beside the image may lead out of its folder; what the user named may lie anywhere.
    """
    folder = None if is_address(path) else os.path.dirname(os.path.realpath(path))
    beside = [there for name in names if (there := files.beside(path, name)) is not None]
    neighbours = [] if folder is None else _neighbours(folder, kind)
    tried = {path if folder is None else os.path.realpath(path)}
    for candidate in (*named, *beside, *neighbours):
        real = candidate if is_address(candidate) else os.path.realpath(candidate)
        if real in tried:
            continue
        strays = candidate not in named and os.path.dirname(real) != folder
        if not is_address(real) and (strays or not os.path.isfile(real)):
            continue
        tried.add(real)
        yield candidate, real


def _unreadable(name: str, error: Unreadable) -> str:
    return f"{name} cannot be read ({error.evidence.found})"


def _neighbours(folder: str, kind: str) -> list[str]:
    """Disks of the same format in the image's folder, a bounded number of them."""
    try:
        names = sorted(name for name in os.listdir(folder) if name.lower().endswith(_EXTENSIONS[kind]))
    except OSError:
        return []
    return [os.path.join(folder, name) for name in names[:MAX_NEIGHBOURS]]


def _time_differs(link: ParentLink, parent: MappedDisk) -> Evidence | None:
    """Evidence that a VHD's parent was written after the child was made, or None."""
    if link.time is None or parent.time in (None, link.time):
        return None
    return Evidence(
        Location(Layer.CONTAINER),
        f"{parent.time} seconds since 2000 in the parent's footer",
        f"{link.time}, as the child has it",
        effect=Effect.HARMLESS,
        spec="VHD 1.0, Dynamic Disk Header, Parent Time Stamp",
    )
