"""Text that Windows writes: encodings as they occur, lines from the last to the first.

Setup's logs are 8-bit text or UTF-8 with a byte order mark; UTF-16 is accepted as well.
"""

import codecs
import re
from collections.abc import Generator, Iterator
from datetime import datetime
from typing import NamedTuple

from validator.source import ByteSource

CHUNK = 32 * 2**10
MAX_SEARCH = 512 * 2**10
"""How far back a log is searched, in bytes; a search that ends there is unfinished."""

MAX_COUNT = 4 * 2**20
"""Bytes of a log whose lines are counted, so that one of them can be named by its number."""

_TIMES = (
    (re.compile(r"\s*([0-9]{4}-[0-9]{2}-[0-9]{2} [0-9]{2}:[0-9]{2}:[0-9]{2})"), r"\1"),
    (re.compile(r"\s*([0-9]{2}-[0-9]{2})-([0-9]{4})( [0-9]{2}:[0-9]{2}:[0-9]{2})"), r"\2-\1\3"),
)
"""What a line may begin with, and how ISO 8601 has it (strptime would load the locale)."""


class Line(NamedTuple):
    """One line of a log."""

    text: str
    number: int | None
    """From 1; None where the log is too long to have been read from its start."""
    log: int = 0
    """Which log it is from, where several are read as one; 0 is the newest."""
    back: int = 0
    """How many lines come after it in that log."""

    @property
    def time(self) -> datetime | None:
        """The local time that it begins with (the log gives no zone), or None."""
        for pattern, iso in _TIMES:
            if match := pattern.match(self.text):
                try:
                    return datetime.fromisoformat(match.expand(iso))
                except ValueError:
                    return None
        return None


def decode(data: bytes) -> str:
    """Text by its byte order mark, else by its NULs, else UTF-8, else Windows-1252. Never fails."""
    if data.startswith(codecs.BOM_UTF8):
        return data[3:].decode("utf-8", "replace")
    if data.startswith(codecs.BOM_UTF16_LE):
        return data[2:].decode("utf-16-le", "replace")
    if data.startswith(codecs.BOM_UTF16_BE):
        return data[2:].decode("utf-16-be", "replace")
    if data[1::2].count(0) > len(data) // 4:
        return data.decode("utf-16-le", "replace")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return data.decode("cp1252", "replace")


class LineReader:
    """The lines of a log from the last to the first, as far back as `limit` bytes.

    Several sources are one log, the newest part first. After the iteration `complete` says whether the
    first line of all was reached.
    """

    def __init__(self, *sources: ByteSource, limit: int = MAX_SEARCH) -> None:
        self._sources = sources
        self._limit = limit
        self.complete = False

    def __iter__(self) -> Iterator[Line]:
        left = self._limit
        for index, source in enumerate(self._sources):
            if not (yield from self._lines_of(source, index, left)):
                return
            left -= source.size
        self.complete = True

    def _lines_of(self, source: ByteSource, log: int, limit: int) -> Generator[Line, None, bool]:
        """The lines of one source; whether its first was reached."""
        size = source.size
        head = source.read_at(0, min(512, size))
        wide = head.startswith(codecs.BOM_UTF16_LE) or _is_wide(head)
        numbered = size <= CHUNK
        position, rest, back = size, b"", 0
        while position and size - position < limit:
            # Chunks begin at even offsets, so that no UTF-16 unit is cut.
            start = max(0, position - CHUNK) & ~1
            piece = source.read_at(start, position - start) + rest
            position = start
            if position:
                end, first = _first_break(piece, wide)
                rest = piece[:end]
                if not first:
                    continue
                piece = piece[first:]
            lines = _lines(piece, wide)
            for index in range(len(lines) - 1, -1, -1):
                yield Line(lines[index].rstrip("\r"), index + 1 if numbered else None, log, back)
                back += 1
        return not position


def count_lines(source: ByteSource) -> int | None:
    """How many lines a log has, or None for one that is too long to be gone through for that."""
    if source.size > MAX_COUNT:
        return None
    head = source.read_at(0, min(512, source.size))
    wide = head.startswith(codecs.BOM_UTF16_LE) or _is_wide(head)
    feeds = 0
    for start in range(0, source.size, CHUNK):
        piece = source.read_at(start, min(CHUNK, source.size - start))
        feeds += piece.decode("utf-16-le", "replace").count("\n") if wide else piece.count(b"\n")
    return feeds + 1


def _is_wide(head: bytes) -> bool:
    return head[1::2].count(0) > len(head) // 4


def _first_break(piece: bytes, wide: bool) -> tuple[int, int]:
    """Where the line that begins before the piece ends, and where the next begins; 0 where none does."""
    feed = b"\n\0" if wide else b"\n"
    at = piece.find(feed)
    while wide and at % 2 and at >= 0:
        at = piece.find(feed, at + 1)
    return (at, at + len(feed)) if at >= 0 else (len(piece), 0)


def _lines(data: bytes, wide: bool) -> list[str]:
    if wide:
        return data.decode("utf-16-le", "replace").removeprefix("\ufeff").split("\n")
    data = data.removeprefix(codecs.BOM_UTF8)
    if data.isascii() and b"\0" not in data:
        return data.decode("ascii").split("\n")
    return [decode(line) for line in data.split(b"\n")]


def ini_value(text: str, section: str, name: str) -> str | None:
    """A value as GetPrivateProfileString finds it: the first of that name in the first such section.

    Case of section and name does not matter; None where it is not there.
    """
    inside = False
    for line in text.splitlines():
        stripped = line.strip()
        if stripped.startswith("["):
            inside = stripped.lower().startswith(f"[{section.lower()}]")
        elif inside and "=" in stripped and not stripped.startswith(";"):
            left, _, right = stripped.partition("=")
            if left.strip().lower() == name.lower():
                return right.strip()
    return None
