"""Blocks of a raw disk: which hold data, and in which order a container stores them."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO, TypeAlias

from tests.images.cache import data_extents

Order: TypeAlias = "str | Sequence[int]"
"""How payload blocks follow each other in the file: "ascending", "descending", "shuffled" (always
the same way), or the block numbers that come first; the others follow in ascending order."""


def blocks_with_data(raw: Path, block_size: int) -> list[int]:
    """The blocks that hold anything but zeros."""
    with raw.open("rb") as disk:
        candidates = {
            block
            for start, end in data_extents(raw)
            for block in range(start // block_size, -(-end // block_size))
        }
        return [block for block in sorted(candidates) if any(read_block(disk, block, block_size))]


def changed_sectors(old: Path, new: Path, sector_size: int = 512) -> dict[int, bytes]:
    """The sectors in which two raw disks differ, by their offsets; the shorter one goes on with zeros."""
    changed: dict[int, bytes] = {}
    with old.open("rb") as one, new.open("rb") as other:
        for start in range(0, new.stat().st_size, 1 << 20):
            length = min(1 << 20, new.stat().st_size - start)
            was, is_now = read_block(one, start >> 20, 1 << 20), read_block(other, start >> 20, 1 << 20)
            if was != is_now:
                for at in range(0, length, sector_size):
                    if was[at : at + sector_size] != is_now[at : at + sector_size]:
                        changed[start + at] = is_now[at : at + sector_size]
    return changed


def read_block(disk: BinaryIO, block: int, block_size: int) -> bytes:
    """One block, with zeros behind the end of the disk."""
    disk.seek(block * block_size)
    return disk.read(block_size).ljust(block_size, b"\0")


def write_block(file: BinaryIO, offset: int, data: bytes, grain: int = 1 << 16) -> None:
    """Write ``data``, leaving holes where whole grains of it are zeros."""
    for start in range(0, len(data), grain):
        piece = data[start : start + grain]
        if any(piece):
            file.seek(offset + start)
            file.write(piece)


def in_order(blocks: Sequence[int], order: Order) -> list[int]:
    """``blocks`` in the order in which they are to be stored."""
    if order == "ascending":
        return sorted(blocks)
    if order == "descending":
        return sorted(blocks, reverse=True)
    if order == "shuffled":
        return random.Random(len(blocks)).sample(sorted(blocks), len(blocks))
    if isinstance(order, str):
        raise ValueError(f"no such order: {order}")
    first = [block for block in order if block in set(blocks)]
    return first + sorted(set(blocks) - set(first))
