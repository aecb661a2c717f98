"""Hives that were not closed cleanly, and the transaction logs beside them.

    dirty(old, new)                                the primary file, and LOG1 with one entry
    dirty(a, b, c, plan={"LOG1": [10], "LOG2": [11]})
    dirty(old, new, plan=DIRT)                     the log of Windows before 8.1

After M. Suhanov, "Windows registry file format specification", "Format of transaction log files".
All numbers are little-endian; offsets in a hive count from its first bin.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, TypeAlias

from tests.images.regf import BINS, checksum

SECTOR = 512
PAGE = 4096
SEED = 0x82EF4D887A4E55C5
NEW_LOG, OLD_LOG = 6, 1
"""File types in the base block of a log."""
SEQUENCE = 10
"""The first sequence number of a log where none is said."""
DIRT: Final = "DIRT"


def marvin32(data: bytes, seed: int = SEED) -> int:
    """The hash of entries; that of "Abcdefg" in UTF-16LE under 5D70D359C498B3F8h is in the tests."""
    padded = data + b"\x80" + bytes(-(len(data) + 1) % 4) + bytes(4)
    low, high = seed % (1 << 32), seed >> 32
    for (word,) in struct.iter_unpack("<I", padded):
        low = (low + word) & 0xFFFFFFFF
        high ^= low
        low = (_rotated(low, 20) + high) & 0xFFFFFFFF
        high = _rotated(high, 9) ^ low
        low = (_rotated(low, 27) + high) & 0xFFFFFFFF
        high = _rotated(high, 19)
    return low | high << 32


def _rotated(word: int, by: int) -> int:
    return (word << by | word >> 32 - by) & 0xFFFFFFFF


@dataclass(frozen=True)
class Entry:
    """One entry of a log (`HvLE`): pages by their offset in the hive bins."""

    sequence: int
    bins_size: int
    pages: tuple[tuple[int, bytes], ...]
    flags: int = 0
    wrong_hash: int | None = None
    """1 or 2: this hash is not that of the entry."""

    def build(self) -> bytes:
        """The bytes of the entry, in whole sectors."""
        references = b"".join(struct.pack("<II", at, len(data)) for at, data in self.pages)
        body = references + b"".join(data for _, data in self.pages)
        body += bytes(-(40 + len(body)) % SECTOR)
        hashes = [marvin32(body), 0]
        if self.wrong_hash == 1:
            hashes[0] ^= 1 << 40
        head = struct.pack(
            "<4sIIIIIQ", b"HvLE", 40 + len(body), self.flags, self.sequence, self.bins_size,
            len(self.pages), hashes[0],
        )  # fmt: skip
        hashes[1] = marvin32(head) ^ (self.wrong_hash == 2)
        return head + struct.pack("<Q", hashes[1]) + body


Dirty: TypeAlias = "dict[str, bytes]"
"""File contents by the ending of the hive's name: "" is the primary file, "LOG1" a log."""

Step: TypeAlias = "int | Entry | bytes"
"""In a plan: the next step from one hive to another under this number, or any entry."""


def changed_pages(old: bytes, new: bytes, grain: int = PAGE) -> tuple[tuple[int, bytes], ...]:
    """Ranges of the hive bins of `new` that are not the same in `old`, those side by side joined."""
    pages: list[tuple[int, bytes]] = []
    bins = new[BINS : BINS + bins_size(new)]
    for at in range(0, len(bins), grain):
        page = bins[at : at + grain]
        if old[BINS + at : BINS + at + grain] != page:
            if pages and pages[-1][0] + len(pages[-1][1]) == at:
                pages[-1] = pages[-1][0], pages[-1][1] + page
            else:
                pages.append((at, page))
    return tuple(pages)


def bins_size(hive: bytes) -> int:
    """Length of the hive bins as the base block has it."""
    return int(struct.unpack_from("<I", hive, 40)[0])


def entry(old: bytes, new: bytes, sequence: int) -> Entry:
    """The entry that makes one hive of another."""
    return Entry(sequence, bins_size(new), changed_pages(old, new))


def base_block(
    hive: bytes, primary: int, secondary: int | None = None, kind: int = 0, time: int | None = None
) -> bytes:
    """The first 512 bytes of a hive with other sequence numbers, file type and time stamp, sealed."""
    block = bytearray(hive[:512])
    struct.pack_into("<II", block, 4, primary, primary if secondary is None else secondary)
    struct.pack_into("<I", block, 28, kind)
    if time is not None:
        struct.pack_into("<Q", block, 12, time)
    struct.pack_into("<I", block, 508, checksum(bytes(block)))
    return bytes(block)


def with_sequence(hive: bytes, primary: int, secondary: int | None = None) -> bytes:
    """A hive with these sequence numbers and the right checksum: unequal ones say that it is dirty."""
    return base_block(hive, primary, secondary) + hive[512:]


def new_log(hive: bytes, entries: Sequence[Entry | bytes], sequence: int | None = None) -> bytes:
    """A log of entries; its base block has the hive's fields and the first entry's number."""
    if sequence is None:
        sequence = next((each.sequence for each in entries if isinstance(each, Entry)), SEQUENCE)
    block = base_block(hive, sequence, kind=NEW_LOG)
    return block + b"".join(each.build() if isinstance(each, Entry) else each for each in entries)


def old_log(
    old: bytes, new: bytes, sequence: int = SEQUENCE, kind: int = OLD_LOG, time: int | None = None
) -> bytes:
    """A log of one step: the vector of dirty sectors (`DIRT`), and these in whole sectors."""
    bitmap = bytearray(bins_size(new) // SECTOR // 8)
    sectors = []
    for at, page in changed_pages(old, new):
        for start in range(at, at + len(page), SECTOR):
            bitmap[start // SECTOR // 8] |= 1 << start // SECTOR % 8
            sectors.append(page[start - at : start - at + SECTOR])
    vector = b"DIRT" + bytes(bitmap)
    vector += bytes(-len(vector) % SECTOR)
    return base_block(new, sequence, kind=kind, time=time) + vector + b"".join(sectors)


def dirty(*hives: bytes, plan: Mapping[str, Sequence[Step]] | str | None = None) -> Dirty:
    """The first of some hives, dirty, with logs that make each the next one.

    The steps get the numbers in the plan, over all logs in the order of the numbers; without a plan
    all are in LOG1. The plan `DIRT` is one step in the old format.
    """
    first = hives[0]
    if plan == DIRT:
        stamp = struct.unpack_from("<Q", first, 12)[0]
        log = old_log(first, hives[-1], SEQUENCE + 1, time=stamp)
        return {"": with_sequence(first, SEQUENCE + 1, SEQUENCE), "LOG1": log}
    assert not isinstance(plan, str)
    plan = plan or {"LOG1": range(SEQUENCE, SEQUENCE + len(hives) - 1)}
    numbers = sorted(step for steps in plan.values() for step in steps if isinstance(step, int))
    if len(numbers) != len(hives) - 1:
        raise ValueError(f"{len(numbers)} numbers for {len(hives) - 1} steps")
    steps_of = zip(numbers, hives, hives[1:])
    made = {number: entry(old, new, number) for number, old, new in steps_of}
    logs = {
        name: new_log(first, [made[step] if isinstance(step, int) else step for step in steps])
        for name, steps in plan.items()
    }
    return {"": with_sequence(first, SEQUENCE + 1, SEQUENCE), **logs}


def stale(step: Entry, sequence: int) -> Entry:
    """The same pages under another number."""
    return replace(step, sequence=sequence)
