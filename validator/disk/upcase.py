"""Names are compared without case, as Windows does it."""

_UPPER = {code: code - 32 for code in range(ord("a"), ord("z") + 1)}


def upcase(name: str) -> str:
    """A name for comparison with an ASCII name.

    Only ASCII names are looked for. Neither $UpCase nor the kernel's table, unlike Unicode's, turns
    another letter into one of ASCII (the long s, the dotless i and the Kelvin sign stay themselves).
    """
    return name.translate(_UPPER)
