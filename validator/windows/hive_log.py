"""Transaction logs of a hive, replayed in memory as Windows would when it loads the hive.

Source: Maxim Suhanov, Windows registry file format specification, "Format of transaction log files"
and "Dirty state and recovery" (regf); the Marvin32 hash and its seed as given there. Two formats:
entries of pages with two hashes each (`HvLE`, since Windows 8.1), and a bitmap of dirty sectors
(`DIRT`, before). Only files beside the hive count; the hive file itself is not touched.
"""

import struct
from collections.abc import Sequence
from typing import NamedTuple

from validator.disk.container import unpack_at
from validator.source import ByteSource, Overlay

BASE_BLOCK = 4096
SECTOR = 512
MAX_LOG = 32 * 2**20
"""A longer log is not looked at; Windows keeps them far below."""
_SEED = 0x82EF4D887A4E55C5
_MASK = 0xFFFFFFFF
_NEW, _OLD = 6, (1, 2)


def base_block_checksum(block: bytes) -> int:
    """XOR of the first 127 double words, with the two values that never stand there replaced."""
    result = 0
    for word in unpack_at("<127I", block):
        result ^= word
    return {0: 1, _MASK: 0xFFFFFFFE}.get(result, result)


def is_intact(block: bytes) -> bool:
    """Whether the first 512 bytes of a base block carry its signature and the right checksum."""
    return block[:4] == b"regf" and unpack_at("<I", block, 508)[0] == base_block_checksum(block)


def sealed(block: bytes) -> bytes:
    """The first 512 bytes of a base block with the right checksum."""
    return block[:508] + base_block_checksum(block).to_bytes(4, "little")


def marvin32(data: bytes, seed: int = _SEED) -> int:
    """The 64-bit Marvin32 hash of the data."""
    low, high = seed & _MASK, seed >> 32
    whole = len(data) & ~3
    tail = (data[whole:] + b"\x80").ljust(4, b"\0")
    words = struct.unpack(f"<{whole // 4}I", data[:whole])
    for word in (*words, int.from_bytes(tail, "little"), 0):
        low = (low + word) & _MASK
        high ^= low
        low = ((low << 20 | low >> 12) + high) & _MASK
        high = (high << 9 & _MASK | high >> 23) ^ low
        low = ((low << 27 | low >> 5) + high) & _MASK
        high = high << 19 & _MASK | high >> 13
    return high << 32 | low


class Recovery(NamedTuple):
    """A hive after its logs were applied."""

    view: ByteSource
    """The hive file with the recovered pages laid over it, its base block clean."""
    entries: int
    pages: int
    sequence: int
    logs: tuple[str, ...]
    """Names of the logs that were applied, in order."""


class _Log(NamedTuple):
    name: str
    source: ByteSource
    base_block: bytes

    @property
    def sequence(self) -> int:
        return unpack_at("<I", self.base_block, 4)[0]

    @property
    def type(self) -> int:
        return unpack_at("<I", self.base_block, 28)[0]


class _Entry(NamedTuple):
    sequence: int
    bins_size: int
    flags: int
    pages: tuple[tuple[int, bytes], ...]


def recover(hive: ByteSource, logs: Sequence[tuple[str, ByteSource]]) -> Recovery | None:
    """Apply the logs that Windows would apply to a dirty hive, or None where none applies.

    Args:
        hive: the primary file, whose base block is damaged or has unequal sequence numbers.
        logs: name and content of LOG, LOG1 and LOG2, as far as they are there.

    Raises:
        Unreadable: where a log's bytes cannot be read.
    """
    usable = []
    for name, source in logs:
        if not SECTOR < source.size <= MAX_LOG:
            continue
        block = source.read_at(0, SECTOR)
        primary, secondary = unpack_at("<II", block, 4)
        if is_intact(block) and primary == secondary:
            usable.append(_Log(name, source, block))
    head = hive.read_at(0, min(SECTOR, hive.size)).ljust(SECTOR, b"\0")
    new = [log for log in usable if log.type == _NEW]
    if new:
        return _recover_new(hive, head, new)
    old = [log for log in usable if log.type in _OLD]
    # The one whose time stamp is the hive's; Windows 7 takes its two logs in turn.
    return next((found for log in old if (found := _recover_old(hive, head, log))), None)


# -- HvLE ----------------------------------------------------------------------------------------


def _recover_new(hive: ByteSource, head: bytes, logs: list[_Log]) -> Recovery | None:
    if is_intact(head):
        # Older log first; sequence numbers wrap.
        if len(logs) == 2 and (logs[0].sequence - logs[1].sequence) & 0x80000000 == 0:
            logs.reverse()
        (least,) = unpack_at("<I", head, 8)
        logs = [log for log in logs if (log.sequence - least) & 0x80000000 == 0]
    else:
        # Without a base block only the newest log can be trusted to carry the right one.
        newest = logs[0]
        for log in logs[1:]:
            if (log.sequence - newest.sequence) & 0x80000000 == 0:
                newest = log
        logs, head = [newest], newest.base_block
    applied: list[_Entry] = []
    names: list[str] = []
    for log in logs:
        if applied and log.sequence != (applied[-1].sequence + 1) & _MASK:
            break
        entries = _entries(log)
        if not entries:
            break
        applied += entries
        names.append(log.name)
    if not applied:
        return None
    last = applied[-1]
    view = Overlay(hive, BASE_BLOCK + max(entry.bins_size for entry in applied))
    for entry in applied:
        for offset, data in entry.pages:
            view.lay(BASE_BLOCK + offset, data)
    block = bytearray(head)
    struct.pack_into("<II", block, 4, last.sequence, last.sequence)
    struct.pack_into("<I", block, 28, 0)
    struct.pack_into("<I", block, 40, last.bins_size)
    struct.pack_into("<I", block, 144, unpack_at("<I", head, 144)[0] | last.flags & 1)
    view.lay(0, sealed(bytes(block)))
    pages = sum(len(entry.pages) for entry in applied)
    return Recovery(view, len(applied), pages, last.sequence, tuple(names))


def _entries(log: _Log) -> list[_Entry]:
    """The log's entries up to the first that is out of sequence or fails a hash."""
    entries: list[_Entry] = []
    offset, expected = SECTOR, log.sequence
    while offset + SECTOR <= log.source.size:
        entry, size = _entry(log.source, offset)
        if entry is None or entry.sequence != expected:
            break
        entries.append(entry)
        offset += size
        expected = (expected + 1) & _MASK
    return entries


def _entry(log: ByteSource, offset: int) -> tuple[_Entry | None, int]:
    header = log.read_at(offset, 40)
    size, flags, sequence, bins_size, count = unpack_at("<IIIII", header, 4)
    hash_1, hash_2 = unpack_at("<QQ", header, 24)
    if header[:4] != b"HvLE" or size % SECTOR or size < SECTOR or offset + size > log.size:
        return None, 0
    if not bins_size or bins_size % 4096 or not count or 40 + 8 * count > size:
        return None, 0
    if marvin32(header[:32]) != hash_2:
        return None, 0
    data = log.read_at(offset, size)
    if marvin32(data[40:]) != hash_1:
        return None, 0
    pages = []
    position = 40 + 8 * count
    for index in range(count):
        page, length = unpack_at("<II", data, 40 + 8 * index)
        if (
            not length
            or page % SECTOR
            or length % SECTOR
            or page + length > bins_size
            or position + length > size
        ):
            return None, 0
        pages.append((page, data[position : position + length]))
        position += length
    return _Entry(sequence, bins_size, flags, tuple(pages)), size


# -- DIRT ----------------------------------------------------------------------------------------


def _recover_old(hive: ByteSource, head: bytes, log: _Log) -> Recovery | None:
    (bins_size,) = unpack_at("<I", log.base_block, 40)
    if not bins_size or bins_size % 4096 or not _belongs(hive, head, log):
        return None
    bitmap_size = bins_size // SECTOR // 8
    if log.source.size < SECTOR + 4 + bitmap_size:
        return None
    marker = log.source.read_at(SECTOR, 4 + bitmap_size)
    if marker[:4] != b"DIRT":
        return None
    dirty = [
        8 * index + bit
        for index, byte in enumerate(marker[4:])
        if byte
        for bit in range(8)
        if byte >> bit & 1
    ]
    position = -(-(SECTOR + 4 + bitmap_size) // SECTOR) * SECTOR
    if not dirty or position + SECTOR * len(dirty) > log.source.size:
        return None
    view = Overlay(hive, BASE_BLOCK + bins_size)
    data = log.source.read_at(position, SECTOR * len(dirty))
    for index, sector in enumerate(dirty):
        view.lay(BASE_BLOCK + sector * SECTOR, data[index * SECTOR : (index + 1) * SECTOR])
    block = bytearray(log.base_block)
    struct.pack_into("<I", block, 28, 0)
    view.lay(0, sealed(bytes(block)))
    return Recovery(view, 1, len(dirty), log.sequence, (log.name,))


def _belongs(hive: ByteSource, head: bytes, log: _Log) -> bool:
    """Whether an old log is this hive's: its base block's time stamp is the hive's.

    Where the hive's base block does not verify, the first hive bin's time stamp counts as well.
    """
    stamps = {head[12:20]}
    if not is_intact(head) and hive.size >= BASE_BLOCK + 32:
        stamps.add(hive.read_at(BASE_BLOCK + 20, 8))
    return log.base_block[12:20] in stamps
