"""What is unpacked: a sparse temporary file without a name, of which nothing is left whatever happens."""

import os
import tempfile
from typing import IO

from validator.evidence import Layer, Location, Unreadable, damaged
from validator.source import Budget, Files, Pages, beyond_end

APPARENT = 4
"""How many times what may be written the content may be long: zeros are not written."""
_BLOCK = 64 * 2**10
_ZEROS = bytes(_BLOCK)
_LOOK_AGAIN = 64 * 2**20
"""Bytes after which it is asked again what is free: others write there as well."""
_MARGIN = 10
"""One part of so many of what is free is left free."""


class Scratch:
    """A `ByteSource` over what was written to it; runs of zeros become holes.

    Args:
        files: closes it at the end, and bounds what is read of it.
        most: bytes that may be written.

    Raises:
        Unreadable: where there is no place for it.
    """

    def __init__(self, files: Files, most: int) -> None:
        self.size = 0
        self._budget: Budget = files.budget
        self._most = most
        self._written = 0
        folder = _folder()
        try:
            # Its name is gone before anything is written; on Windows it goes when the process ends.
            # `files` closes it.
            self._file: IO[bytes] = tempfile.TemporaryFile(buffering=0, dir=folder)  # noqa: SIM115
            self._kept_free = _free(self._file, folder) // _MARGIN
            self._until = 0
        except OSError as error:
            raise _no_room(folder, str(error.strerror)) from error
        self._folder = folder
        self._pages = Pages(self._read, 0)
        files.keep(self._file)

    def write(self, offset: int, data: bytes) -> None:
        """Write behind everything that was written before; what lies between is zeros.

        Raises:
            Unreadable: where the limit is passed, or there is no room.
        """
        self.allow(offset + len(data))
        start = 0
        while start < len(data):
            block = data[start : start + _BLOCK - (offset + start) % _BLOCK]
            if block != _ZEROS[: len(block)]:
                self._put(offset + start, block)
            start += len(block)

    def finish(self, size: int) -> None:
        """Give it its length, once all is written.

        Raises:
            Unreadable: as for `write`.
        """
        self.allow(size)
        try:
            self._file.truncate(size)
        except OSError as error:
            raise _no_room(self._folder, str(error.strerror)) from error
        self.size = self._pages.size = size

    def allow(self, size: int) -> None:
        """Say how long it will be at least.

        Raises:
            Unreadable: where that is beyond the limit.
        """
        if size > APPARENT * self._most:
            raise self._too_much(f"an image of at most {APPARENT * self._most} bytes")

    def _put(self, offset: int, block: bytes) -> None:
        self._written += len(block)
        if self._written > self._most:
            raise self._too_much(f"at most {self._most} bytes to write")
        try:
            if self._written > self._until:
                free = _free(self._file, self._folder)
                self._until = self._written - len(block) + min(_LOOK_AGAIN, free - self._kept_free)
                if self._written > self._until:
                    found = f"{free} bytes free, of which {self._kept_free} stay so"
                    raise _no_room(self._folder, found)
            self._file.seek(offset)
            while block:
                block = block[self._file.write(block) :]
        except OSError as error:
            raise _no_room(self._folder, str(error.strerror)) from error

    def _too_much(self, expected: str) -> Unreadable:
        found = "an archive that unpacks to more; --max-unpacked allows it"
        return damaged(Location(Layer.FILE), expected=expected, found=found)

    def read_at(self, offset: int, length: int) -> bytes:
        """See `ByteSource`."""
        if offset < 0 or length < 0 or offset + length > self.size:
            raise beyond_end(Layer.FILE, offset, length, self.size)
        return self._pages.read_at(offset, length)

    def _read(self, offset: int, length: int) -> bytes:
        self._budget.spend(length)
        data = bytearray()
        try:
            self._file.seek(offset)
            while len(data) < length and (piece := self._file.read(length - len(data))):
                data += piece
        except OSError as error:
            found = f"the operating system's error “{error.strerror}”"
            raise damaged(Location(Layer.FILE, offset), expected=f"{length} bytes", found=found) from error
        if len(data) != length:
            found = f"{len(data)}: the temporary file was cut"
            raise damaged(Location(Layer.FILE, offset), expected=f"{length} bytes", found=found)
        return bytes(data)


def _folder() -> str:
    """Where large temporary files belong: file-hierarchy(7) keeps /tmp for small ones, often in memory."""
    if named := os.environ.get("TMPDIR"):
        return named
    large = "/var/tmp"  # noqa: S108
    return large if os.path.isdir(large) else tempfile.gettempdir()


def _free(file: IO[bytes], folder: str) -> int:
    """Bytes that this user may still write there."""
    if hasattr(os, "fstatvfs"):
        status = os.fstatvfs(file.fileno())
        return status.f_bavail * status.f_frsize
    import shutil

    return shutil.disk_usage(folder).free


def _no_room(folder: str, found: str) -> Unreadable:
    expected = f"room in {folder} to unpack to (TMPDIR names another folder)"
    return damaged(Location(Layer.FILE), expected=expected, found=found)
