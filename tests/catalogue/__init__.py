"""What each check says of which image: a table per family.

Every check has a case that passes, one that fails and one that cannot tell (`test_catalogue` holds it to
that); that none of them calls a stock Windows an error is tested for all of them at once.
"""

from tests.catalogue.model import (
    CANNOT_TELL,
    FAILS,
    OTHER,
    PASSES,
    Case,
    cannot_tell,
    fails,
    not_applicable,
    passes,
)

__all__ = [
    "CANNOT_TELL",
    "FAILS",
    "OTHER",
    "PASSES",
    "Case",
    "cannot_tell",
    "fails",
    "not_applicable",
    "passes",
]
