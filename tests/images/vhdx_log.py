"""Pending logs of VHDX files ([MS-VHDX] 2.3; all little-endian).

    pend(image, becomes)                      what differs from another image waits in the log
    put_log(image, run(changes, 3, at=...))   any entries anywhere: several, wrapped, torn, stale

The log is a ring of sectors of 4 KiB. An entry is a header, descriptors behind it, and one data
sector for each data descriptor; it may begin in any sector and wrap around the end.
"""

from __future__ import annotations

import struct
import uuid
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeAlias

from tests.images.vhdx import HEADER_OFFSETS, HEADER_SIZE, LOG_LENGTH, LOG_OFFSET, MiB, sealed

SECTOR = 4096
CHECKSUM, LENGTH, TAIL, SEQUENCE, COUNT, GUID = 4, 8, 12, 16, 24, 32
"""Fields of an entry's header; the first descriptor begins at 64."""
LOG_GUID = uuid.UUID("7c1a4a52-0c4f-4c5e-9d1b-000000000021")
_HEADER = struct.Struct("<4sIIIQII16sQQ")
_DATA = struct.Struct("<4s4s8sQQ")
_ZERO = struct.Struct("<4sIQQQ")


@dataclass(frozen=True)
class Write:
    """A sector of 4 KiB that is to stand at an offset of the file."""

    offset: int
    data: bytes


@dataclass(frozen=True)
class Zeros:
    """A range of the file that is to be zero."""

    offset: int
    length: int


Change: TypeAlias = "Write | Zeros"


@dataclass(frozen=True)
class Entry:
    """One log entry (2.3.1). `tail` is the offset in the log of the oldest entry still needed."""

    changes: tuple[Change, ...] = ()
    sequence: int = 1
    tail: int = 0
    flushed: int = 0
    last: int = 0
    guid: uuid.UUID = LOG_GUID
    torn: bool = False
    """Whether its last sector did not get to the disk whole."""

    @property
    def length(self) -> int:
        """In bytes, whole sectors."""
        data = sum(isinstance(change, Write) for change in self.changes)
        return (-(-(_HEADER.size + 32 * len(self.changes)) // SECTOR) + data) * SECTOR

    def build(self) -> bytes:
        """The bytes of the entry, its checksum right unless it is torn."""
        head = _HEADER.pack(
            b"loge", 0, self.length, self.tail, self.sequence, len(self.changes), 0,
            self.guid.bytes_le, self.flushed, self.last,
        )  # fmt: skip
        descriptors, sectors = [head], list[bytes]()
        for change in self.changes:
            if isinstance(change, Zeros):
                descriptors.append(_ZERO.pack(b"zero", 0, change.length, change.offset, self.sequence))
                continue
            data = change.data
            descriptors.append(_DATA.pack(b"desc", data[-4:], data[:8], change.offset, self.sequence))
            high, low = divmod(self.sequence, 1 << 32)
            sectors.append(b"data" + struct.pack("<I", high) + data[8:-4] + struct.pack("<I", low))
        described = b"".join(descriptors)
        padding = bytes(-len(described) % SECTOR)
        whole = sealed(b"".join((described, padding, *sectors)))
        return whole[:-2048] + bytes(byte ^ 0xFF for byte in whole[-2048:]) if self.torn else whole


Placed: TypeAlias = "tuple[int, Entry | bytes]"
"""An entry, or what passes for one, and its offset in the log."""


def differences(old: Path, new: Path) -> tuple[Change, ...]:
    """What makes one file of the other: its sectors that differ, behind header section and log.

    The files must have the same plan. A sector that becomes zero is a zero descriptor, with those
    that follow it.
    """
    changes: list[Change] = []
    for offset in _differing(old, new):
        with new.open("rb") as file:
            file.seek(offset)
            data = file.read(SECTOR).ljust(SECTOR, b"\0")
        last = changes[-1] if changes else None
        if any(data):
            changes.append(Write(offset, data))
        elif isinstance(last, Zeros) and last.offset + last.length == offset:
            changes[-1] = replace(last, length=last.length + SECTOR)
        else:
            changes.append(Zeros(offset, SECTOR))
    return tuple(changes)


def _differing(old: Path, new: Path) -> Iterator[int]:
    with old.open("rb") as one, new.open("rb") as other:
        for start in range(LOG_OFFSET + LOG_LENGTH, new.stat().st_size, MiB):
            one.seek(start)
            other.seek(start)
            was, is_now = one.read(MiB).ljust(MiB, b"\0"), other.read(MiB).ljust(MiB, b"\0")
            if was != is_now:
                for at in range(0, MiB, SECTOR):
                    if was[at : at + SECTOR] != is_now[at : at + SECTOR]:
                        yield start + at


def run(
    changes: Sequence[Change],
    entries: int = 1,
    *,
    first: int = 7,
    at: int = 0,
    size: int = 0,
    last: int | None = None,
    log_length: int = LOG_LENGTH,
) -> list[Placed]:
    """A sequence of entries that share the changes in order, one behind the other from `at` on.

    `size` is that of the file when they were written, `last` what it grows to.
    """
    placed: list[Placed] = []
    tail = at
    for index in range(entries):
        share = changes[len(changes) * index // entries : len(changes) * (index + 1) // entries]
        entry = Entry(tuple(share), first + index, tail, size, size if last is None else last)
        placed.append((at, entry))
        at = (at + entry.length) % log_length
    return placed


def put_log(
    image: Path,
    entries: Iterable[Placed],
    guid: uuid.UUID = LOG_GUID,
    log: tuple[int, int] = (LOG_OFFSET, LOG_LENGTH),
    headers: Iterable[int] = (0, 1),
) -> None:
    """Write the entries into the log of an image, and the log's GUID into its headers."""
    offset, length = log
    with image.open("r+b") as file:
        for at, entry in entries:
            data = entry.build() if isinstance(entry, Entry) else entry
            if len(data) > length:
                raise ValueError(f"an entry of {len(data)} bytes in a log of {length}")
            for start in range(0, len(data), SECTOR):
                file.seek(offset + (at + start) % length)
                file.write(data[start : start + SECTOR])
        for index in headers:
            file.seek(HEADER_OFFSETS[index])
            header = bytearray(file.read(HEADER_SIZE))
            header[48:64] = guid.bytes_le
            struct.pack_into("<IQ", header, 68, length, offset)
            file.seek(HEADER_OFFSETS[index])
            file.write(sealed(bytes(header)))


def pend(image: Path, becomes: Path, entries: int = 1, *, first: int = 7, at: int = 0) -> tuple[Change, ...]:
    """Let an image become another one when its log is replayed; what waits there is returned."""
    changes = differences(image, becomes)
    size = image.stat().st_size
    put_log(image, run(changes, entries, first=first, at=at, size=size, last=becomes.stat().st_size))
    return changes
