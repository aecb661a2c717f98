"""CRC-32C (Castagnoli), which VHDX uses and the standard library lacks."""

from __future__ import annotations

from functools import cache

_POLYNOMIAL = 0x82F63B78
"""1EDC6F41h with its bits reversed."""


def crc32c(data: bytes) -> int:
    """The checksum of ``data``; of ``b"123456789"`` it is E3069283h."""
    table = _table()
    crc = 0xFFFFFFFF
    for byte in data:
        crc = table[(crc ^ byte) & 0xFF] ^ (crc >> 8)
    return crc ^ 0xFFFFFFFF


@cache
def _table() -> tuple[int, ...]:
    def entry(index: int) -> int:
        for _ in range(8):
            index = (index >> 1) ^ (_POLYNOMIAL if index & 1 else 0)
        return index

    return tuple(map(entry, range(256)))
