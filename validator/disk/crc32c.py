"""CRC-32C (Castagnoli), reflected: RFC 3720, appendix B.4."""

from functools import lru_cache

_POLYNOMIAL = 0x82F63B78


def _times_x(value: int) -> int:
    """Product of a polynomial with x modulo the CRC's, bit 31 being the coefficient of 1."""
    return value >> 1 ^ (_POLYNOMIAL if value & 1 else 0)


def _table() -> list[int]:
    """The register behind each byte: those of the eight bits, and of all others as their sums."""
    bits = [1]
    for _ in range(8):
        bits.append(_times_x(bits[-1]))
    table = [0]
    for bit in bits[:0:-1]:
        table += [bit ^ each for each in table]
    return table


_TABLE = _table()
_ZEROS = bytes(512)


def crc32c(data: bytes) -> int:
    """The checksum of the data. Zeros at its end, most of a 64 KiB table, cost nothing."""
    end = len(data)
    while data[end - len(_ZEROS) : end] == _ZEROS:
        end -= len(_ZEROS)
    content = data[:end].rstrip(b"\0")
    crc, table = 0xFFFFFFFF, _TABLE
    for byte in content:
        crc = table[(crc ^ byte) & 0xFF] ^ crc >> 8
    return _product(_zeros(len(data) - len(content)), crc) ^ 0xFFFFFFFF


@lru_cache(16)
def _zeros(count: int) -> int:
    """What `count` zero bytes multiply the register by: x to the power of 8 * count.

    By repeated squaring, as zlib's crc32_combine does it.
    """
    power, result = 1 << 23, 1 << 31  # x to the power of 8, and of 0
    while count:
        if count & 1:
            result = _product(power, result)
        power = _product(power, power)
        count >>= 1
    return result


def _product(left: int, right: int) -> int:
    """Product of two polynomials modulo the CRC's."""
    result, bit = 0, 1 << 31
    while bit:
        if left & bit:
            result ^= right
        bit >>= 1
        right = _times_x(right)
    return result
