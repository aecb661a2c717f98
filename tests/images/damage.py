"""Damage in words, and the checksums that make damage look right.

Every function changes a file in place, so it works on a `copy_of` an image. Flip rather than
overwrite: what is overwritten may have held the same bytes.
"""

from __future__ import annotations

import mmap
import zlib
from collections.abc import Callable
from pathlib import Path

from tests.images import partitions, regf, vhd, vhdx


def flip(path: Path, offset: int, mask: int = 0x01) -> None:
    """Flip the bits of ``mask`` in one byte; a negative offset counts from the end."""
    (old,) = read(path, offset, 1)
    overwrite(path, offset, bytes([old ^ mask]))


def overwrite(path: Path, offset: int, data: bytes) -> None:
    """Put ``data`` at ``offset``; a negative offset counts from the end."""
    with path.open("r+b") as file:
        file.seek(_absolute(path, offset))
        file.write(data)


def truncate(path: Path, size: int) -> None:
    """Cut the file to ``size`` bytes; a negative size cuts so many off its end."""
    with path.open("r+b") as file:
        file.truncate(_absolute(path, size))


def read(path: Path, offset: int, size: int) -> bytes:
    """Bytes of the file; a negative offset counts from the end."""
    with path.open("rb") as file:
        file.seek(_absolute(path, offset))
        return file.read(size)


def locate(path: Path, pattern: bytes) -> int:
    """Where ``pattern`` lies in the file; it must lie there exactly once."""
    found = locate_all(path, pattern)
    if len(found) != 1:
        raise LookupError(f"{len(found)} places instead of one hold {pattern[:32]!r}")
    return found[0]


def locate_all(path: Path, pattern: bytes) -> list[int]:
    """All places of ``pattern`` in the file."""
    found = []
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as view:
        at = view.find(pattern)
        while at >= 0:
            found.append(at)
            at = view.find(pattern, at + 1)
    return found


def fix_vhd_footer(path: Path, offset: int = -vhd.FOOTER_SIZE) -> None:
    """Give the footer its checksum; ``offset=0`` means the copy at the front."""
    _reseal(path, offset, vhd.FOOTER_SIZE, lambda old: vhd.sealed(old, vhd.FOOTER_CHECKSUM))


def fix_vhd_dynamic_header(path: Path, offset: int = vhd.DYNAMIC_HEADER_OFFSET) -> None:
    """Give the dynamic header its checksum."""
    size, field = vhd.DYNAMIC_HEADER_SIZE, vhd.DYNAMIC_HEADER_CHECKSUM
    _reseal(path, offset, size, lambda old: vhd.sealed(old, field))


def fix_vhdx_header(path: Path, index: int) -> None:
    """Give header 0 or 1 its checksum."""
    _reseal(path, vhdx.HEADER_OFFSETS[index], vhdx.HEADER_SIZE, vhdx.sealed)


def fix_vhdx_region_table(path: Path, index: int) -> None:
    """Give region table 0 or 1 its checksum."""
    _reseal(path, vhdx.REGION_TABLE_OFFSETS[index], vhdx.REGION_TABLE_SIZE, vhdx.sealed)


def fix_hive(path: Path, offset: int = 0) -> None:
    """Give the base block at ``offset`` its checksum; sequence numbers stay as they are."""

    def sealed(block: bytes) -> bytes:
        return block[:508] + regf.checksum(block).to_bytes(4, "little")

    _reseal(path, offset, 512, sealed)


def fix_gpt(path: Path, sector_size: int = 512, header: int | None = None) -> None:
    """Give a GPT its two checksums, in a raw disk or a fixed VHD.

    ``header`` is where the header lies: by default in the second sector.
    """
    at = sector_size if header is None else _absolute(path, header)

    def sealed(old: bytes) -> bytes:
        fields = list(partitions.GPT_HEADER.unpack(old))
        array, count, size = fields[10], fields[11], fields[12]
        fields[13] = zlib.crc32(read(path, array * sector_size, count * size))
        return partitions.seal_gpt_header(partitions.GPT_HEADER.pack(*fields))

    _reseal(path, at, partitions.GPT_HEADER.size, sealed)


def _reseal(path: Path, offset: int, size: int, seal: Callable[[bytes], bytes]) -> None:
    overwrite(path, offset, seal(read(path, offset, size)))


def _absolute(path: Path, offset: int) -> int:
    return offset if offset >= 0 else path.stat().st_size + offset
