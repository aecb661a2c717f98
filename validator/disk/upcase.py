"""Names are compared without case, as Windows does it: character by character."""


def upcase(name: str) -> str:
    """A name for comparison.

    Unlike in Unicode's rules no character becomes two (the sharp s stays), and none that is not ASCII
    becomes one that is (the long s, the dotless i and the Kelvin sign stay themselves), as in $UpCase
    and in the kernel's table.
    """
    return name.upper() if name.isascii() else "".join(map(_upcase, name))


def _upcase(character: str) -> str:
    upper = character.upper()
    return upper if len(upper) == 1 and upper.isascii() == character.isascii() else character
