"""Text that Windows writes: encodings as they occur, lines from the last to the first.

Setup's logs are 8-bit text or UTF-8 with a byte order mark; UTF-16 is accepted as well.
"""

import codecs
import re
from collections.abc import Iterator
from datetime import datetime
from typing import NamedTuple

from validator.source import ByteSource

CHUNK = 32 * 2**10
MAX_SEARCH = 512 * 2**10
"""How far back a log is searched, in bytes; a search that ends there is unfinished."""

_TIMES = (
    (re.compile(r"\s*(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d)"), "%Y-%m-%d %H:%M:%S"),
    (re.compile(r"\s*(\d\d-\d\d-\d{4} \d\d:\d\d:\d\d)"), "%m-%d-%Y %H:%M:%S"),
)


class Line(NamedTuple):
    """One line of a log."""

    text: str
    number: int | None
    """From 1; None where the log is too long to have been read from its start."""

    @property
    def time(self) -> datetime | None:
        """The local time that it begins with (the log gives no zone), or None."""
        for pattern, layout in _TIMES:
            if match := pattern.match(self.text):
                try:
                    return datetime.strptime(match[1], layout)
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

    After the iteration `complete` says whether the log's first line was reached.
    """

    def __init__(self, source: ByteSource, limit: int = MAX_SEARCH) -> None:
        self._source = source
        self._limit = limit
        self.complete = False

    def __iter__(self) -> Iterator[Line]:
        size = self._source.size
        head = self._source.read_at(0, min(512, size))
        wide = head.startswith(codecs.BOM_UTF16_LE) or head[1::2].count(0) > len(head) // 4
        numbered = size <= CHUNK
        position, rest = size, b""
        while position and size - position < self._limit:
            # Chunks begin at even offsets, so that no UTF-16 unit is cut.
            start = max(0, position - CHUNK) & ~1
            piece = self._source.read_at(start, position - start)
            position = start
            if wide:
                piece = piece.decode("utf-16-le", "replace").encode("utf-8")
            lines = (piece + rest).split(b"\n")
            rest = lines[0] if position else b""
            first = 1 if position else 0
            for index in range(len(lines) - 1, first - 1, -1):
                text = decode(lines[index].removeprefix(codecs.BOM_UTF8)).rstrip("\r")
                yield Line(text, index + 1 if numbered else None)
        self.complete = not position


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
