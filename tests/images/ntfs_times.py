"""Make an NTFS volume reproducible: its times and its serial number.

mkntfs and libntfs-3g stamp with the clock what the tree does not date (system files, change times
of records) and draw a random serial number. Both are set here, in MFT records and index blocks
with their fixups undone and done again (NTFS multi-sector transfer: the last two bytes of each 512
are kept in the update sequence array).
"""

from __future__ import annotations

import struct
from datetime import datetime, timedelta
from pathlib import Path

from tests.images.cache import data_extents
from tests.images.times import filetime

_STRIDE = 512
_SERIAL_IN_BOOT_SECTOR = 0x48


def settle_ntfs(volume: Path, sector_size: int, serial: int, since: datetime, time: datetime) -> None:
    """Give ``time`` to all that was stamped at or after ``since``; set the serial number."""
    first, last = filetime(since - timedelta(seconds=2)), filetime(since + timedelta(days=1))
    with volume.open("r+b") as file:
        size = volume.stat().st_size
        for boot_sector in (0, size - sector_size):
            file.seek(boot_sector + _SERIAL_IN_BOOT_SECTOR)
            file.write(struct.pack("<Q", serial))
    extents = [(start, end - start) for start, end in data_extents(volume)]
    with volume.open("r+b") as file:
        for start, length in extents:
            file.seek(start)
            settled = _settled(file.read(length), first, last, filetime(time))
            file.seek(start)
            file.write(settled)


def _settled(extent: bytes, first: int, last: int, wanted: int) -> bytearray:
    settled = bytearray(extent)
    for at in range(0, len(extent), _STRIDE):
        if extent[at : at + 4] in (b"FILE", b"INDX"):
            _settle_record(settled, at, first, last, wanted)
    return settled


def _settle_record(settled: bytearray, at: int, first: int, last: int, wanted: int) -> None:
    array, count = struct.unpack_from("<HH", settled, at + 4)
    size = (count - 1) * _STRIDE
    if not 0 < size <= len(settled) - at or array + 2 * count > _STRIDE:
        return
    number = settled[at + array : at + array + 2]
    ends = [at + stride * _STRIDE - 2 for stride in range(1, count)]
    if any(settled[end : end + 2] != number for end in ends):
        return
    for index, end in enumerate(ends, 1):
        kept = at + array + 2 * index
        settled[end : end + 2] = settled[kept : kept + 2]
    for place in range(at, at + size - 4, 4):  # quota entries are aligned to 4 bytes only
        (found,) = struct.unpack_from("<Q", settled, place)
        if first <= found < last:
            struct.pack_into("<Q", settled, place, wanted)
    for index, end in enumerate(ends, 1):
        kept = at + array + 2 * index
        settled[kept : kept + 2] = settled[end : end + 2]
        settled[end : end + 2] = number
