"""The life of an installation: what happened to it, and when."""

from datetime import datetime
from typing import NamedTuple


class Event(NamedTuple):
    """One thing that happened."""

    time: datetime | None
    """UTC, or without a zone the local time of a log; None where the log gives none."""
    kind: str
    """`installed`, `upgraded`, `updated`, `sysprep`, `sealed`, `started` or `shut down`."""
    text: str
    """In words, such as `sysprep /generalize /oobe failed`; secrets are hidden."""
