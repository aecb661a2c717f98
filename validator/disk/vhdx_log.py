"""The log of a VHDX, replayed in memory.

Source: [MS-VHDX] 2.3 Log. Until its log is replayed, the BAT and the metadata of a VHDX that was not
closed cleanly are of some earlier time, and readers that pass the log over return stale sectors.
"""

from typing import NamedTuple

from validator.disk.container import unpack_at
from validator.disk.crc32c import crc32c
from validator.evidence import Layer, Location, Unreadable, damaged
from validator.source import Overlay

SECTOR = 4096
MAX_LOG = 8 * 2**20
"""A longer log is not looked at; Hyper-V makes them of 1 MiB."""
MAX_FILE = 65 * 2**40
_WRITABLE = 192 * 2**10
"""Before it lie the file identifier and the headers, which the log never writes."""
_DESCRIPTOR = 32
_ENTRY_HEADER = 64
_SECTION = "2.3 Log"


class _Entry(NamedTuple):
    offset: int
    length: int
    tail: int
    sequence: int
    flushed: int
    last: int
    writes: tuple[tuple[int, bytes], ...]
    zeros: tuple[tuple[int, int], ...]


def _damage(offset: int, expected: str, found: str) -> Unreadable:
    where = Location(Layer.CONTAINER, offset)
    return damaged(where, expected=expected, found=found, spec=f"[MS-VHDX] {_SECTION}")


def replay(view: Overlay, offset: int, length: int, guid: bytes) -> tuple[int, int]:
    """Replay the log at an offset of the file that belongs to a header's log GUID.

    Args:
        view: the file; what the log says is laid over it.
        offset: of the log.
        length: of the log.
        guid: as the header has it.

    Returns:
        How many entries and how many sectors were replayed.

    Raises:
        Unreadable: where the log has no active sequence, or what it says cannot be.
    """
    if length > MAX_LOG:
        raise _damage(offset, f"a log of at most {MAX_LOG} bytes", str(length))
    log = view.read_at(offset, length)
    active = _active_sequence(log, guid)
    if not active:
        expected = "a valid sequence of entries in the log that the header names"
        raise _damage(offset, expected, "none: what was being written is lost")
    head = active[-1]
    if view.size < head.flushed:
        raise _damage(offset + head.offset, f"a file of at least {head.flushed} bytes", f"{view.size}")
    if head.last > MAX_FILE:
        raise _damage(offset + head.offset, "a file of at most 65 TiB", f"one of {head.last} bytes")
    view.grow(head.last)
    sectors = 0
    for entry in active:
        for at, size in (*entry.zeros, *((at, SECTOR) for at, _ in entry.writes)):
            if at + size > view.size or at < _WRITABLE or (at < offset + length and offset < at + size):
                found = f"{size} bytes at {at:#x}"
                raise _damage(offset + entry.offset, "writes to regions and blocks", found)
        for at, size in entry.zeros:
            view.lay_zeros(at, size)
        for at, data in entry.writes:
            view.lay(at, data)
        sectors += len(entry.writes) + sum(size for _, size in entry.zeros) // SECTOR
    return len(active), sectors


def _active_sequence(log: bytes, guid: bytes) -> list[_Entry]:
    """The entries to replay, oldest first: [MS-VHDX] 2.3.2 has the rules.

    Entries that lie back to back with sequence numbers that go up by one form a run. It is valid if
    the tail that its last entry gives is an entry of the run; of all valid runs the one with the
    highest sequence number is active, and is replayed from that tail on.
    """
    entries = {}
    for offset in range(0, len(log), SECTOR):
        if log[offset : offset + 4] == b"loge" and (entry := _read_entry(log, offset, guid)):
            entries[offset] = entry
    followers = set()
    for entry in entries.values():
        follower = entries.get((entry.offset + entry.length) % len(log))
        if follower and follower.sequence == entry.sequence + 1:
            followers.add(follower.offset)
    best: list[_Entry] = []
    for start, first in entries.items():
        if start in followers:
            continue
        run = [first]
        while (after := entries.get((run[-1].offset + run[-1].length) % len(log))) is not None:
            if after.sequence != run[-1].sequence + 1:
                break
            run.append(after)
        tails = [index for index, entry in enumerate(run) if entry.offset == run[-1].tail]
        if tails and (not best or run[-1].sequence > best[-1].sequence):
            best = run[tails[0] :]
    return best


def _read_entry(log: bytes, offset: int, guid: bytes) -> _Entry | None:
    """The entry at an offset of the circular log if all of it is valid, else None.

    The checksum, which costs most, is looked at last: by then no sector of the entry but the first can
    begin another one, so that the log is gone over at most once.
    """
    _crc, length, tail, sequence, count = unpack_at("<IIIQI", log, offset + 4)
    flushed, last = unpack_at("<QQ", log, offset + 48)
    if log[offset + 32 : offset + 48] != guid or not sequence or tail % SECTOR or tail >= len(log):
        return None
    described = -(-(_ENTRY_HEADER + _DESCRIPTOR * count) // SECTOR)
    if length % SECTOR or not described * SECTOR <= length <= len(log):
        return None
    data = log[offset : offset + length]
    data += log[: length - len(data)]
    writes: list[tuple[int, bytes]] = []
    zeros: list[tuple[int, int]] = []
    sector = described * SECTOR
    for index in range(count):
        at = _ENTRY_HEADER + _DESCRIPTOR * index
        signature, trailing = data[at : at + 4], data[at + 4 : at + 8]
        leading, (target, own_sequence) = data[at + 8 : at + 16], unpack_at("<QQ", data, at + 16)
        if own_sequence != sequence or target % SECTOR:
            return None
        if signature == b"zero":
            (size,) = unpack_at("<Q", leading)
            if size % SECTOR:
                return None
            zeros.append((target, size))
        elif signature == b"desc":
            if sector + SECTOR > length or data[sector : sector + 4] != b"data":
                return None
            (high,) = unpack_at("<I", data, sector + 4)
            (low,) = unpack_at("<I", data, sector + SECTOR - 4)
            if high << 32 | low != sequence:
                return None
            writes.append((target, leading + data[sector + 8 : sector + SECTOR - 4] + trailing))
            sector += SECTOR
        else:
            return None
    if sector != length or crc32c(data[:4] + bytes(4) + data[8:]) != _crc:
        return None
    return _Entry(offset, length, tail, sequence, flushed, last, tuple(writes), tuple(zeros))
