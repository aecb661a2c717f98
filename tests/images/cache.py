"""What was built once is not built again.

An entry is named by a SHA-256 over its description and over the sources of the factory, so a
change of either makes a new one. Entries appear whole or not at all, which makes them safe under
parallel test runs and runs that are killed; they are read-only, since tests share them.
"""

from __future__ import annotations

import dataclasses
import hashlib
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from enum import Enum
from functools import cache
from pathlib import Path
from typing import Any

FOLDER_VARIABLE = "IMAGE_VALIDATOR_TEST_CACHE"
KEPT_FOR = 14 * 24 * 3600
"""Entries that nobody used for so many seconds are removed."""

_LARGE = 4096
_PARTS: dict[int, tuple[object, bytes]] = {}
"""Small parts of descriptions as bytes, by their identity; each is kept, so that no other gets that."""

_HERE = Path(__file__).resolve().parent
_DEFAULT_FOLDER = _HERE.parent.parent / ".cache" / "test-images"


def folder() -> Path:
    """Where entries lie: ``IMAGE_VALIDATOR_TEST_CACHE``, or ``.cache/test-images``."""
    chosen = Path(os.environ.get(FOLDER_VARIABLE) or _DEFAULT_FOLDER)
    chosen.mkdir(parents=True, exist_ok=True)
    return chosen


def cached(description: object, suffix: str, make: Callable[[Path], object]) -> Path:
    """The file that ``make`` writes for ``description``: made now, or made before."""
    entry = folder() / (digest(description) + suffix)
    if not _touch(entry):
        _sweep(entry.parent)
        with tempfile.TemporaryDirectory(prefix="making-", dir=entry.parent) as scratch:
            made = Path(scratch) / ("image" + suffix)
            make(made)
            made.chmod(0o444)
            made.replace(entry)
    return entry


def copy_of(path: Path, directory: Path, name: str | None = None) -> Path:
    """A writable copy of ``path`` in ``directory``; holes stay holes."""
    target = directory / (name or path.name)
    with target.open("wb") as copy:
        for offset, piece in data_pieces(path):
            copy.seek(offset)
            copy.write(piece)
        copy.truncate(path.stat().st_size)
    return target


def data_extents(path: Path) -> Iterator[tuple[int, int]]:
    """The ranges of a file that are not holes."""
    size = path.stat().st_size
    with path.open("rb", buffering=0) as file:
        end = 0
        while end < size:
            try:
                start = file.seek(end, os.SEEK_DATA)
            except OSError:  # only a hole is left
                return
            end = file.seek(start, os.SEEK_HOLE)
            yield start, end


def data_pieces(path: Path, size: int = 1 << 20) -> Iterator[tuple[int, bytes]]:
    """What is in a file beside holes: offsets, and up to ``size`` bytes at each."""
    with path.open("rb") as file:
        for start, end in data_extents(path):
            for offset in range(start, end, size):
                file.seek(offset)
                yield offset, file.read(min(size, end - offset))


def digest(description: object) -> str:
    """The name of ``description`` under the present sources of the factory."""
    state = hashlib.sha256(_sources())
    for piece in _canonical(description):
        state.update(piece)
    return state.hexdigest()[:40]


def _canonical(item: object) -> Iterator[bytes]:
    """``item`` as bytes that differ whenever two descriptions differ."""
    if dataclasses.is_dataclass(item) and not isinstance(item, type):
        # Descriptions share most of their parts, which never change.
        known = _PARTS.get(id(item))
        if known is None:
            written = b"".join(_fields(item))
            if len(written) > _LARGE:
                yield written
                return
            known = _PARTS[id(item)] = item, written
        yield known[1]
    elif isinstance(item, bytes):
        yield f"bytes {len(item)}:".encode()
        yield item
    elif isinstance(item, (tuple, list)):
        yield f"sequence {len(item)}:".encode()
        for element in item:
            yield from _canonical(element)
    elif isinstance(item, Enum) or item is None or isinstance(item, (str, int, float)):
        yield f"{item!r};".encode()
    else:
        yield f"{type(item).__qualname__} {item!r};".encode()


def _fields(item: Any) -> Iterator[bytes]:
    yield f"{type(item).__qualname__}(".encode()
    for field in dataclasses.fields(item):
        yield f"{field.name}=".encode()
        yield from _canonical(getattr(item, field.name))
    yield b")"


@cache
def _sources() -> bytes:
    state = hashlib.sha256()
    for source in sorted(_HERE.glob("*.py")):
        state.update(source.name.encode() + b"\0" + source.read_bytes())
    return state.digest()


def _touch(entry: Path) -> bool:
    """Note that ``entry`` is in use; whether there is one."""
    try:
        # Once a day is enough, and an image must not change while another process judges it.
        if time.time() - entry.stat().st_mtime > 86400:
            os.utime(entry)
    except FileNotFoundError:
        return False
    return True


def _sweep(directory: Path) -> None:
    """Remove what nobody used for long, and what a killed run left behind."""
    oldest = time.time() - KEPT_FOR
    for entry in directory.iterdir():
        try:
            if entry.stat().st_mtime < oldest:
                if entry.is_dir():
                    shutil.rmtree(entry, ignore_errors=True)
                else:
                    entry.unlink()
        except OSError:  # noqa: PERF203
            continue  # another run is at it, or removed it first
