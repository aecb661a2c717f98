"""CRC-32C (Castagnoli), reflected: RFC 3720, appendix B.4."""

_POLYNOMIAL = 0x82F63B78
_TABLE: list[int] = []
for _value in range(256):
    for _ in range(8):
        _value = _value >> 1 ^ (_POLYNOMIAL if _value & 1 else 0)
    _TABLE.append(_value)


def crc32c(data: bytes) -> int:
    """The checksum of the data. Zeros at its end, most of a 64 KiB table, cost nothing."""
    stripped = data.rstrip(b"\0")
    crc, table = 0xFFFFFFFF, _TABLE
    for byte in stripped:
        crc = table[(crc ^ byte) & 0xFF] ^ crc >> 8
    return _behind_zeros(crc, len(data) - len(stripped)) ^ 0xFFFFFFFF


def _behind_zeros(crc: int, count: int) -> int:
    """The register after `count` zero bytes: its product with x to the power of 8 * count.

    The power by repeated squaring, as zlib's crc32_combine does it.
    """
    power, result = 1 << 23, crc  # x to the power of 8
    while count:
        if count & 1:
            result = _product(power, result)
        power = _product(power, power)
        count >>= 1
    return result


def _product(left: int, right: int) -> int:
    """Product of two polynomials modulo the CRC's, bit 31 being the coefficient of 1."""
    result, bit = 0, 1 << 31
    while bit:
        if left & bit:
            result ^= right
        bit >>= 1
        right = right >> 1 ^ (_POLYNOMIAL if right & 1 else 0)
    return result
