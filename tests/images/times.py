"""One calendar for all images, so that the same description always gives the same bytes.

The story they tell: Windows is installed on one day, sysprep runs on the next.
"""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

INSTALLED = datetime(2024, 5, 13, 8, 12, 0, tzinfo=timezone.utc)
SYSPREPPED = datetime(2024, 5, 14, 16, 20, 0, tzinfo=timezone.utc)
SHUT_DOWN = datetime(2024, 5, 14, 16, 23, 0, tzinfo=timezone.utc)

FILETIME_EPOCH = datetime(1601, 1, 1, tzinfo=timezone.utc)
VHD_EPOCH = datetime(2000, 1, 1, tzinfo=timezone.utc)


def filetime(moment: datetime) -> int:
    """``moment`` in 100-nanosecond steps since 1601 ([MS-DTYP] 2.3.3)."""
    return (moment - FILETIME_EPOCH) // timedelta(microseconds=1) * 10


def unix_time(moment: datetime) -> int:
    """``moment`` in seconds since 1970."""
    return int(moment.timestamp())


def vhd_time(moment: datetime) -> int:
    """``moment`` in seconds since 2000 (VHD specification 1.0, "Time Stamp")."""
    return (moment - VHD_EPOCH) // timedelta(seconds=1)
