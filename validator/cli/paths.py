"""Which images the arguments name: files, patterns, folders, lists."""

import os
import stat
import sys
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from validator.address import is_address, is_prefix, shown
from validator.cli.options import Refused
from validator.report.printable import printable

EXTENSIONS = (".avhd", ".avhdx", ".img", ".qcow2", ".raw", ".vdi", ".vhd", ".vhdx", ".vmdk")
"""What the files in a folder are called that are judged."""
_DESCRIPTOR = 64 * 2**10
"""Bytes of a VMDK descriptor that are looked at; there are 50 to a file of a split disk."""


class Named(NamedTuple):
    """What the arguments name."""

    paths: list[str]
    """Each once, in the order of the arguments; those in a folder sorted."""
    addresses: list[str]
    """Of the paths those that are addresses and were named as they are."""
    lacks: list[str]
    """Which of them name no image, in sentences."""
    lists: list[str]
    """The files that paths were read from."""
    folders: list[str]
    """Of the paths those that are folders."""


def images(names: Sequence[str], *, recursive: bool = False, lists: bool = False) -> Named:
    """The paths that the arguments name.

    A path that exists is taken literally. What does not exist and looks like a pattern is expanded,
    for shells that do not.

    Args:
        names: the arguments.
        recursive: whether a folder stands for the images in it and below.
        lists: whether `@FILE` and `-` stand for the paths in a file and on standard input.

    Raises:
        Refused: for a plain name that does not exist, and what cannot be listed, before any image is read.
    """
    found: dict[str, None] = {}
    missing: list[str] = []
    named = Named([], [], [], [], [])

    def take(name: str) -> bool:
        """Take a path literally, if there is such a thing; an address always."""
        if is_address(name):
            prefix = recursive and is_prefix(name)
            below = _listed_below(name) if prefix else [name]
            named.addresses.extend([] if prefix else below)
            found.update(dict.fromkeys(below))
            if not below:
                named.lacks.append(f"there is no image at {shown(name)}")
            return True
        mode = _mode(name)
        if mode is None:
            _refuse_what_is_nearly_an_address(name)
            return False
        if not stat.S_ISDIR(mode):
            found[name] = None
        elif recursive:
            below = sorted(_images_below(name))
            found.update(dict.fromkeys(below))
            if not below:
                named.lacks.append(f"there is no image in {name}")
        else:
            found[name] = None
            named.folders.append(name)
        return True

    for name in names:
        if take(name):
            continue
        if lists and (name == "-" or name.startswith("@")):
            listed = _listed(name)
            missing += [each for each in listed if not take(each)]
            named.lists.extend([name[1:]] if name != "-" else [])
            if not listed:
                named.lacks.append(f"{name} lists no image")
            continue
        import glob

        if not glob.has_magic(name):
            missing.append(name)
        elif matches := sorted(glob.glob(name, recursive=True)):
            for match in matches:
                take(match)
        else:
            named.lacks.append(f"no image matches {name}")
    if missing:
        raise Refused("\n".join(f"no such file: {printable(name) or '(an empty name)'}" for name in missing))
    return named._replace(paths=list(found))


def _refuse_what_is_nearly_an_address(name: str) -> None:
    """What would go on as a file's name, or as a pattern, might show its signature to everybody."""
    import re

    if "://" in name or re.match(r"[\s'\"]*[A-Za-z]{2,}:/", name):
        raise Refused(
            "an argument looks like an address, and is none: expected one that begins with its scheme, such "
            "as https://, found something before it or in it"
        )


def _mode(name: str) -> int | None:
    """The kind of file; None where there is none."""
    try:
        return os.stat(name).st_mode
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError):
        return 0  # there is something; opening it will say what is wrong


def _listed_below(prefix: str) -> list[str]:
    """The addresses of the images below a prefix, sorted.

    Raises:
        Refused: where they cannot be listed.
    """
    from validator.cli.options import silence_libraries
    from validator.evidence import Unreachable
    from validator.remote import listed

    silence_libraries()
    try:
        return sorted(listed(prefix, EXTENSIONS))
    except Unreachable as error:
        raise Refused(printable(str(error))) from None


def _listed(name: str) -> list[str]:
    """The paths in a list: on lines, or with a NUL behind each."""
    try:
        if name != "-":
            with open(name[1:], "rb") as file:
                data = file.read()
        else:
            data = sys.stdin.buffer.read()
    except FileNotFoundError as error:
        raise Refused(f"no such file: {printable(name[1:])}") from error
    except (OSError, AttributeError) as error:  # standard input that was closed is None
        what = "the list on standard input" if name == "-" else f"the list {printable(name[1:])}"
        raise Refused(f"cannot read {what}: {getattr(error, 'strerror', 'it is closed')}") from error
    # What a file system has need not be UTF-8.
    text = data.decode("utf-8-sig", "surrogateescape")
    parts = text.split("\0") if "\0" in text else [line.removesuffix("\r") for line in text.split("\n")]
    return [part for part in parts if part.strip()]


def _images_below(top: str) -> Iterator[str]:
    """The images in a folder and below, in no order; what a VMDK has in files of their own are none.

    Raises:
        Refused: where a folder cannot be listed: what is in it would pass unseen.
    """

    def refuse(error: OSError) -> None:
        raise Refused(f"cannot list {printable(str(error.filename))}: {error.strerror}") from error

    for folder, _, names in os.walk(top, onerror=refuse):
        called = [name for name in names if os.path.splitext(name)[1].lower() in EXTENSIONS]
        disks = [os.path.join(folder, name) for name in called if name.lower().endswith(".vmdk")]
        extents = {extent for disk in disks for extent in _extents(disk)}
        yield from (os.path.join(folder, name) for name in called if name not in extents)


def _extents(path: str) -> Iterator[str]:
    """The files that a VMDK descriptor names as its own; what it is itself, its report says."""
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):
            return
        with open(path, "rb") as file:
            data = file.read(_DESCRIPTOR)
    except OSError:
        return
    if data.startswith(b"# Disk DescriptorFile"):
        import re

        extent = rb'^\s*(?:(?:RW|RDONLY|NOACCESS)\s+\d+\s+\w+\s+|changeTrackPath\s*=\s*)"([^"\n]+)"'
        for match in re.finditer(extent, data, re.MULTILINE):
            yield os.fsdecode(match[1])
