"""The rest of Windows through dissect.target, for checks and for `inspect`.

Making the Target imports dissect.target (0.2 s): only what asks for this fact pays for it.
"""

from typing import TYPE_CHECKING, Any

from validator.disk.ntfs import NtfsVolume
from validator.evidence import Evidence, Layer, Location
from validator.facts.model import Attempt
from validator.windows.hive import Hive

if TYPE_CHECKING:
    from validator.windows.target import WindowsTarget


def target(
    file_system: NtfsVolume,
    software_hive: Attempt[Hive],
    system_hive: Attempt[Hive],
    control_set: Attempt[str],
) -> "WindowsTarget":
    """The volume and the hives that verified, as dissect.target sees them."""
    from validator.windows.target import WindowsTarget

    hives = {"SOFTWARE": _hive_or_why(software_hive), "SYSTEM": _hive_or_why(system_hive)}
    return WindowsTarget(file_system, hives, control_set.value or _why(control_set))


def _hive_or_why(attempt: Attempt[Hive]) -> Hive | Evidence:
    return attempt.value if attempt.value is not None else _why(attempt)


def _why(attempt: Attempt[Any]) -> Evidence:
    return attempt.unknown or Evidence(Location(Layer.TOOL), "nothing")
