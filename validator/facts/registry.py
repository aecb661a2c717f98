r"""The registry as its users name it: `HKLM\SOFTWARE\…`, `HKLM\SYSTEM\CurrentControlSet\…`, `HKU\.DEFAULT\…`.

Whoever asks here may ask for anything, so what would show secrets (SAM, SECURITY) is left out.
"""

from collections.abc import Mapping
from typing import TypeVar

from validator.disk.ntfs import NtfsVolume
from validator.evidence import Evidence, Layer, Location, Unreadable
from validator.facts.image import CONFIG_FOLDER
from validator.facts.model import Attempt
from validator.facts.setup import open_hive
from validator.windows.hive import Hive, Value

HIVES = {"hklm\\software": "SOFTWARE", "hklm\\system": "SYSTEM", "hku\\.default": "DEFAULT"}
"""The files that the roots are kept in, by their names in small letters."""
_CURRENT = "currentcontrolset"
T = TypeVar("T")


class Registry:
    """Keys and values by their full paths; a root must be one of `HIVES`.

    Raises:
        Unreadable: from all that reads, where the hive cannot be read, or is damaged on the way.
    """

    def __init__(
        self, hives: Mapping[str, Attempt[Hive]], control_set: Attempt[str], file_system: NtfsVolume
    ) -> None:
        self._hives = dict(hives)
        self._control_set = control_set
        self._file_system = file_system

    def where(self, path: str, name: str | None = None) -> Location:
        """Where a key, or a value of it, is or would be."""
        file, key = self._resolved(path)
        return Location(Layer.HIVE, None, self._file_system.partition, rf"\{CONFIG_FOLDER}\{file}", key, name)

    def has_key(self, path: str) -> bool:
        """Whether there is a key; not verified by a second reader."""
        file, key = self._resolved(path)
        return self._hive(file).key(key) is not None

    def value(self, path: str, name: str) -> Value | None:
        """A value, or None where key or value is verified not to be there."""
        file, key = self._resolved(path)
        return self._hive(file).value(key, name)

    def _resolved(self, path: str) -> tuple[str, str]:
        """The hive's file, and the key below its root."""
        machine, hive, key = path.split("\\", 2)
        file = HIVES[f"{machine}\\{hive}".lower()]
        first, _, rest = key.partition("\\")
        if file == "SYSTEM" and first.lower() == _CURRENT:
            key = "\\".join(filter(None, (_had(self._control_set), rest)))
        return file, key

    def _hive(self, file: str) -> Hive:
        if file not in self._hives:
            self._hives[file] = Attempt(open_hive(self._file_system, file))
        return _had(self._hives[file])


def _had(attempt: Attempt[T]) -> T:
    if attempt.value is None:
        raise Unreadable(attempt.unknown or Evidence(Location(Layer.TOOL), "nothing"))
    return attempt.value


def registry(
    software_hive: Attempt[Hive],
    system_hive: Attempt[Hive],
    control_set: Attempt[str],
    file_system: NtfsVolume,
) -> Registry:
    """The hives of the machine, each as far as it can be read."""
    return Registry({"SOFTWARE": software_hive, "SYSTEM": system_hive}, control_set, file_system)
