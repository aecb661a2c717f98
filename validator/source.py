"""The only place that opens files: bytes that are counted, bounded and exact.

Every reader above asks a `ByteSource` for bytes and gets exactly as many as it asked for, or
`Unreadable`. A short read never becomes data.
"""

import errno
import io
import math
import os
import stat
import struct
import sys
import time
from bisect import bisect_left
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, Any, NamedTuple, Protocol

from validator.evidence import Effect, Evidence, Layer, Location, Unreadable, damaged

MAX_SECONDS = 10.0
"""Judging any image ends within this time (promise 5)."""
MAX_BYTES = 512 * 2**20
"""No verdict needs more than this; an image that makes us read more is refused."""
PAGE = 4096
PIECE = 4 * 2**20
"""Bytes of a file that are read at once where all of it is."""
_KEPT_READ = 128 * 2**10
_KEPT_PAGES = 4096
"""Reads up to this length are kept, and at most about so many pages of them (16 MiB)."""


class ByteSource(Protocol):
    """Read-only bytes of a known size."""

    @property
    def size(self) -> int:
        """Length in bytes."""

    def read_at(self, offset: int, length: int) -> bytes:
        """Exactly `length` bytes from `offset`.

        Raises:
            Unreadable: when they are not all there or cannot be trusted.
        """


class ImageFile(ByteSource, Protocol):
    """The bytes of an image: a file, or what lies packed in one."""

    @property
    def path(self) -> str:
        """Its name may refuse a format, and its folder is where parents are looked for."""

    @property
    def member(self) -> str | None:
        """Its name in the archive; None for a file that is the image, compressed or not."""

    @property
    def packed(self) -> str | None:
        """How it lies in an archive and what vouches for its bytes, in words; None for a bare image."""


class File(ByteSource, Protocol):
    """The bytes of a file inside the image, with where it lies: what evidence about it names."""

    @property
    def path(self) -> str:
        """Path from the root of its volume, for evidence."""

    @property
    def partition(self) -> int:
        """Number of its partition, for evidence."""


@dataclass(slots=True)
class ReadCount:
    """What was read so far, from all files of an image together."""

    files: int = 0
    reads: int = 0
    bytes_read: int = 0
    requests: int = 0
    """Over the network, those that were repeated or led elsewhere included."""


class Budget:
    """How much one image may cost: wall-clock seconds and bytes.

    Checked at every read, so it also bounds a loop in a library that reads as it goes.
    """

    def __init__(
        self,
        seconds: float = MAX_SECONDS,
        max_bytes: int = MAX_BYTES,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.count = ReadCount()
        self._clock = clock
        self._deadline = clock() + seconds
        self._limits: tuple[float, float] = seconds, max_bytes

    def spend(self, length: int) -> None:
        """Account for one read of `length` bytes.

        Raises:
            Unreadable: when the budget is used up.
        """
        seconds, max_bytes = self._limits
        where = Location(Layer.FILE)
        if self.count.bytes_read + length > max_bytes:
            raise damaged(
                where, expected=f"at most {max_bytes} bytes to read", found="an image that asks for more"
            )
        if self._clock() > self._deadline:
            raise damaged(
                where, expected=f"an answer within {seconds:g} seconds", found="an image that takes longer"
            )
        self.count.reads += 1
        self.count.bytes_read += length

    @contextmanager
    def suspended(self) -> Iterator[None]:
        """Neither time nor bytes are limited here meanwhile: for work that has limits of its own."""
        (seconds, max_bytes), left = self._limits, self._deadline - self._clock()
        before = self.count.bytes_read
        self._limits, self._deadline = (math.inf, math.inf), math.inf
        try:
            yield
        finally:
            self._limits = seconds, max_bytes + self.count.bytes_read - before
            self._deadline = self._clock() + left


class Pages:
    """Keeps what was read in small pieces, in whole pages and a bounded number of them.

    Args:
        read: gives exactly the bytes that it is asked for, or raises.
        size: length of what it reads, in bytes.
    """

    def __init__(self, read: Callable[[int, int], bytes], size: int) -> None:
        self.size = size
        self._read = read
        self._kept: dict[int, bytes] = {}

    def read_at(self, offset: int, length: int) -> bytes:
        """See `ByteSource`; the span must lie within the size."""
        first, start = divmod(offset, PAGE)
        if start + length <= PAGE and (page := self._kept.get(first)) is not None:
            return page[start : start + length]
        if length > _KEPT_READ or not length:
            return self._read(offset, length) if length else b""
        last = (offset + length - 1) // PAGE
        missing = [page for page in range(first, last + 1) if page not in self._kept]
        if missing:
            if len(self._kept) > _KEPT_PAGES:
                self._kept.clear()
                missing = list(range(first, last + 1))
            begin, end = missing[0] * PAGE, min((missing[-1] + 1) * PAGE, self.size)
            data = self._read(begin, end - begin)
            for number in range(missing[0], missing[-1] + 1):
                self._kept[number] = data[number * PAGE - begin : (number + 1) * PAGE - begin]
        joined = b"".join(self._kept[number] for number in range(first, last + 1))
        return joined[start : start + length]


class FileState(NamedTuple):
    """What tells one state of a file from another, as far as a file system does."""

    path: str
    size: int
    """In bytes."""
    modified: int
    """In nanoseconds, as the next."""
    changed: int
    """Shows a write whose modification time was put back; on Windows it is the time of creation."""
    device: int
    identity: int
    """Unique on its device only."""

    @classmethod
    def of(cls, path: str, status: os.stat_result) -> "FileState":
        """The state that the operating system says."""
        return cls(path, status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_dev, status.st_ino)

    def difference(self, now: "FileState") -> str | None:
        """What is another by now, in words, or None."""
        words = ("another size", "another modification time", "another change time")
        another = "another file under its name"
        for word, before, after in zip((*words, another, another), self[1:], now[1:]):
            if before != after:
                return word
        return None


class FileSource:
    """A regular file on this machine, opened read-only and unbuffered.

    Raises:
        Unreadable: from the constructor for anything but a regular file that can be read and that
            no other program holds; a path that does not exist raises FileNotFoundError.
    """

    member: str | None = None
    packed: str | None = None

    def __init__(self, path: str | os.PathLike[str], budget: Budget | None = None) -> None:
        self.path = os.fspath(path)
        self.budget = budget or Budget()
        # O_NONBLOCK: the path may become a FIFO in between. O_BINARY: Windows would translate.
        flags = os.O_RDONLY | getattr(os, "O_BINARY", 0) | getattr(os, "O_NONBLOCK", 0)
        flags |= getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NOINHERIT", 0)
        try:
            self._refuse_what_is_no_file(os.stat(self.path))
            handle = os.open(self.path, flags)
        except OSError as error:
            raise _cannot_open(error) from error
        self._file: io.FileIO = io.FileIO(handle, "rb")
        try:
            opened = os.fstat(handle)
            self._refuse_what_is_no_file(opened)
            _refuse_what_is_in_use(handle)
        except Unreadable:
            self.close()
            raise
        except OSError as error:
            self.close()
            raise _cannot_open(error) from error
        self.state = FileState.of(self.path, opened)
        self.size = opened.st_size
        self._pages = Pages(self._read, self.size)
        self.budget.count.files += 1

    @staticmethod
    def _refuse_what_is_no_file(status: os.stat_result) -> None:
        kinds = {
            stat.S_IFDIR: "a folder",
            stat.S_IFIFO: "a FIFO",
            stat.S_IFBLK: "a block device",
            stat.S_IFCHR: "a character device",
            stat.S_IFSOCK: "a socket",
        }
        if not stat.S_ISREG(status.st_mode):
            found = kinds.get(stat.S_IFMT(status.st_mode), "something else")
            raise damaged(Location(Layer.FILE), expected="a regular file", found=found)

    def read_at(self, offset: int, length: int) -> bytes:
        """Exactly `length` bytes from file offset `offset`; see `ByteSource`.

        Small reads are kept in whole pages: two readers go over the same structures.
        """
        if offset < 0 or length < 0 or offset + length > self.size:
            raise beyond_end(Layer.FILE, offset, length, self.size)
        return self._pages.read_at(offset, length)

    def _read(self, offset: int, length: int) -> bytes:
        self.budget.spend(length)
        data = bytearray()
        try:
            self._file.seek(offset)
            while len(data) < length:
                piece = self._file.read(length - len(data))
                if not piece:
                    break
                data += piece
        except OSError as error:
            raise _failed_read(offset, length, error) from error
        if len(data) != length:
            raise _short_read(offset, length, len(data))
        return bytes(data)

    def changed(self) -> Evidence | None:
        """Evidence that the file is no longer what was opened, or None.

        The state of the open file and that of its name are compared with what it was.
        """
        try:
            found = os.fstat(self._file.fileno()), os.stat(self.path)
        except OSError as error:
            return Evidence(
                Location(Layer.FILE), f"“{error.strerror}”", "the file as it was opened", effect=Effect.LOST
            )
        for status in found:
            if difference := self.state.difference(FileState.of(self.path, status)):
                return Evidence(
                    Location(Layer.FILE),
                    f"{difference}: it was changed while it was read",
                    "the file as it was opened",
                    effect=Effect.LOST,
                )
        return None

    def pieces(self, offset: int = 0, length: int | None = None) -> Iterator[memoryview]:
        """A span, or all, in large pieces, outside of the budget; a piece is gone with the next one.

        Raises:
            Unreadable: when they are not all there.
        """
        buffer = memoryview(bytearray(PIECE))
        left = self.size - offset if length is None else length
        end = offset + left
        try:
            self._file.seek(offset)
            while left and (count := self._file.readinto(buffer[: min(PIECE, left)])):
                left -= count
                self.budget.count.reads += 1
                self.budget.count.bytes_read += count
                yield buffer[:count]
        except OSError as error:
            raise _failed_read(end - left, left, error) from error
        if left:
            raise _short_read(end - left, left, 0)

    def close(self) -> None:
        """Release the file."""
        self._file.close()


class Files:
    """All files of one image: opened here, and counted and bounded together."""

    def __init__(self, budget: Budget | None = None) -> None:
        self.budget = budget or Budget()
        self._opened: list[FileSource] = []
        self._aside: set[FileSource] = set()
        self._kept: list[IO[bytes]] = []

    def open(self, path: str) -> FileSource:
        """Open a file; see `FileSource` for what is raised."""
        source = FileSource(path, self.budget)
        self._opened.append(source)
        return source

    def keep(self, file: IO[bytes]) -> None:
        """Close also this at the end: a temporary file, which is no part of the image."""
        self._kept.append(file)

    def beside(self, path: str, name: str) -> str | None:
        """The path of a file of that name in the folder where another one really lies."""
        return os.path.join(os.path.dirname(os.path.realpath(path)), name)

    def set_aside(self, source: FileSource) -> None:
        """Say that a file which was opened turned out to be no part of the image."""
        self._aside.add(source)

    @property
    def parts(self) -> tuple[FileState, ...]:
        """The files that the image is made of, as they were when they were opened."""
        return tuple(source.state for source in self._opened if source not in self._aside)

    @property
    def paths(self) -> tuple[str, ...]:
        """What was opened, in that order."""
        return tuple(source.path for source in self._opened)

    def changed(self) -> Evidence | None:
        """Evidence that one of them is no longer what was opened, or None."""
        return next((evidence for source in self._opened if (evidence := source.changed())), None)

    def __enter__(self) -> "Files":
        return self

    def __exit__(self, *exc_info: object) -> None:
        for source in self._opened:
            source.close()
        for file in self._kept:
            file.close()


class Window:
    """A span of another source, with its own coordinate and its own layer's name for a fault."""

    def __init__(self, source: ByteSource, offset: int, size: int, layer: Layer) -> None:
        self.size = size
        self._source = source
        self._offset = offset
        self._layer = layer

    def read_at(self, offset: int, length: int) -> bytes:
        """Exactly `length` bytes from `offset` within the window; see `ByteSource`."""
        if offset < 0 or length < 0 or offset + length > self.size:
            raise beyond_end(self._layer, offset, length, self.size)
        return self._source.read_at(self._offset + offset, length)


class Overlay:
    """Ranges laid over a source, the later over the earlier; the source itself is not touched.

    What a format lets us recover (a redundant copy, a replayed log) is laid over the file here, so
    that every reader above sees a sound file.

    Args:
        source: what lies below.
        size: length of the view in bytes, at least the source's; what lies behind the source is zero.
    """

    def __init__(self, source: ByteSource, size: int = 0) -> None:
        self._source = source
        self._pages: dict[int, bytes] = {}
        self._zeros: list[tuple[int, int]] = []
        self.size = max(source.size, size)

    def grow(self, size: int) -> None:
        """Make the view at least so long."""
        self.size = max(self.size, size)

    @property
    def sound(self) -> ByteSource:
        """The view, or the source itself where nothing was laid over it."""
        changed = self._pages or self._zeros or self.size != self._source.size
        return self if changed else self._source

    def lay(self, offset: int, data: bytes) -> None:
        """Lay bytes over a range that lies within the view."""
        end = offset + len(data)
        for page in range(offset // PAGE, -(-end // PAGE)):
            start = page * PAGE
            length = min(PAGE, self.size - start)
            first, last = max(offset, start), min(end, start + length)
            content = bytearray(b"" if last - first == length else self.read_at(start, length))
            content[first - start : last - start] = data[first - offset : last - offset]
            self._pages[page] = bytes(content)

    def lay_zeros(self, offset: int, length: int) -> None:
        """Lay zeros over a range of whole pages within the view, however long it is."""
        first, last = offset // PAGE, (offset + length) // PAGE
        if last - first < len(self._pages):
            for page in range(first, last):
                self._pages.pop(page, None)
        else:
            self._pages = {page: data for page, data in self._pages.items() if not first <= page < last}
        # The ranges stay sorted and apart, so that a read looks at its neighbours only.
        start, end = offset, offset + length
        low = bisect_left(self._zeros, start, key=lambda each: each[1])
        high = low
        while high < len(self._zeros) and self._zeros[high][0] <= end:
            start, end = min(start, self._zeros[high][0]), max(end, self._zeros[high][1])
            high += 1
        self._zeros[low:high] = [(start, end)]

    def read_at(self, offset: int, length: int) -> bytes:
        """See `ByteSource`."""
        if offset < 0 or length < 0 or offset + length > self.size:
            raise beyond_end(Layer.CONTAINER, offset, length, self.size)
        end = offset + length
        below = max(0, min(end, self._source.size) - offset)
        data = bytearray(self._source.read_at(offset, below) if below else b"")
        data += bytes(length - below)
        for index in range(bisect_left(self._zeros, offset, key=lambda each: each[1]), len(self._zeros)):
            start, stop = self._zeros[index]
            if start >= end:
                break
            first, last = max(offset, start), min(end, stop)
            data[first - offset : last - offset] = bytes(last - first)
        if self._pages:
            for page in range(offset // PAGE, -(-end // PAGE)):
                if (content := self._pages.get(page)) is not None:
                    start = page * PAGE
                    # A page that was the last of a view that has grown since is shorter than the others.
                    if (first := max(offset, start)) < (last := min(end, start + len(content))):
                        data[first - offset : last - offset] = content[first - start : last - start]
        return bytes(data)


class Stream(io.RawIOBase):
    """A `ByteSource` as the seekable stream that the engines take.

    Behaves like a file at its end (a read there gives what is left), raises `Unreadable` for
    everything else. It has no name, so that no engine can look for neighbours of the image.
    """

    def __init__(self, source: ByteSource) -> None:
        self._source = source
        self._position = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        if whence != io.SEEK_SET:
            offset += {io.SEEK_CUR: self._position, io.SEEK_END: self._source.size}[whence]
        self._position = max(0, offset)
        return self._position

    def tell(self) -> int:
        return self._position

    def read(self, size: int | None = -1) -> bytes:
        left = max(0, self._source.size - self._position)
        length = left if size is None or size < 0 else min(size, left)
        data = self._source.read_at(self._position, length) if length else b""
        self._position += length
        return data

    def readinto(self, buffer: Any) -> int:
        data = self.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)


def beyond_end(layer: Layer, offset: int, length: int, size: int) -> Unreadable:
    """The `Unreadable` for a read that leaves its source."""
    return damaged(
        Location(layer, offset), expected=f"{length} bytes within {size}", found="a span that leaves it"
    )


def _cannot_open(error: OSError) -> Unreadable:
    """The `Unreadable` for a file that exists and cannot be opened; FileNotFoundError stays itself."""
    if isinstance(error, FileNotFoundError):
        raise error
    # 32 is ERROR_SHARING_VIOLATION: another program holds the file exclusively.
    if getattr(error, "winerror", None) == 32 or error.errno in (errno.EBUSY, errno.ETXTBSY):
        return _in_use("another program holds it open exclusively")
    return damaged(
        Location(Layer.FILE),
        expected="a file that this user may read",
        found=f"the operating system's error “{error.strerror}”",
    )


def _failed_read(offset: int, length: int, error: OSError) -> Unreadable:
    found = f"the operating system's error “{error.strerror}”"
    return damaged(Location(Layer.FILE, offset), expected=f"{length} bytes", found=found)


def _short_read(offset: int, length: int, count: int) -> Unreadable:
    found = f"{count}: the file was cut while it was read"
    return damaged(Location(Layer.FILE, offset), expected=f"{length} bytes", found=found)


def _in_use(found: str) -> Unreadable:
    return damaged(Location(Layer.FILE), expected="an image that nothing else is using", found=found)


def _refuse_what_is_in_use(handle: int) -> None:
    """Refuse a file that another program has locked or is writing to.

    Windows refuses to open such a file by itself. Elsewhere locks are advice: `flock` is asked, and
    on Linux also QEMU's own protocol (a read lock on byte 100 + n says that it holds permission n,
    and 1 is "write": QEMU, block/file-posix.c, RAW_LOCK_PERM_BASE).
    """
    try:
        import fcntl
    except ImportError:
        return
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
        fcntl.flock(handle, fcntl.LOCK_UN)
    except BlockingIOError as error:
        raise _in_use("another program holds an exclusive lock on it") from error
    except OSError:
        pass  # a file system without locks
    get_lock = getattr(fcntl, "F_OFD_GETLK", 36 if sys.platform == "linux" else None)
    if get_lock is None or struct.calcsize("P") != 8:
        return
    # struct flock of 64-bit Linux: type, whence, start, length, pid
    query = struct.pack("hhqqi4x", fcntl.F_WRLCK, os.SEEK_SET, 101, 1, 0)
    try:
        answer = fcntl.fcntl(handle, get_lock, query)
    except OSError:
        return
    if struct.unpack("hhqqi4x", answer)[0] != fcntl.F_UNLCK:
        raise _in_use("a program (a running virtual machine?) has it open for writing")
