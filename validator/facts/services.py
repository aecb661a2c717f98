"""Services and drivers, as the control set that Windows will use has them."""

from typing import NamedTuple

from validator.disk.ntfs import NtfsVolume
from validator.evidence import Evidence, Layer, Location, damaged
from validator.redaction import redact
from validator.windows.hive import Hive, Value

SYSTEM_FOLDER = "Windows"
BOOT, SYSTEM, AUTOMATIC, MANUAL, DISABLED = range(5)
"""What Start can be. Source: Microsoft, CurrentControlSet\\Services Subkey Entries."""
START_WORDS = ("boot", "system", "automatic", "manual", "disabled")


class Service(NamedTuple):
    """One service or driver."""

    name: str
    start: Value | None
    image_path: Value | None
    where: Location
    """Of its key."""

    @property
    def start_number(self) -> int | None:
        """How it starts, 0 to 4; None where Start is absent or no number."""
        return self.start.number if self.start is not None else None

    @property
    def disabled(self) -> bool:
        """Whether nothing can start it."""
        return self.start_number == DISABLED

    @property
    def evidence(self) -> Evidence:
        """How it starts."""
        if self.start is None:
            return Evidence(self.where, "no value Start")
        number = self.start.number
        words = f" ({START_WORDS[number]})" if number is not None and number < len(START_WORDS) else ""
        return Evidence(self.start.where, f"{redact(str(self.start))}{words}", time=self.start.key_time)


class Services:
    r"""The services of the current control set, each read when it is asked for.

    Raises:
        Unreadable: from `get`, where the SYSTEM hive is damaged on the way.
    """

    def __init__(self, hive: Hive, control_set: str, partition: int) -> None:
        self.key = rf"{control_set}\Services"
        self._hive = hive
        self._partition = partition

    def where(self, name: str) -> Location:
        """The key that a service of this name has or would have."""
        return Location(Layer.HIVE, None, self._partition, self._hive.path, rf"{self.key}\{name}")

    def get(self, name: str) -> Service | None:
        """A service, or None where it is verified not to be there."""
        key = rf"{self.key}\{name}"
        if self._hive.key(key) is None:
            return None
        start, path = (self._hive.value(key, value) for value in ("Start", "ImagePath"))
        return Service(name, start, path, self.where(name))


def control_set(system_hive: Hive) -> str:
    r"""The key of the control set that Windows will start with, `ControlSet001` for example.

    Never assumed: `Select\Current` says it, as Microsoft's own offline repair reads it.
    """
    current = system_hive.value("Select", "Current")
    number = current.number if current is not None else None
    if number is None or not 0 < number < 1000:
        where = Location(Layer.HIVE, None, None, system_hive.path, "Select", "Current")
        found = "no such value" if current is None else redact(str(current))
        raise damaged(where, expected="the number of a control set", found=found)
    return f"ControlSet{number:03}"


def services(system_hive: Hive, control_set: str, file_system: NtfsVolume) -> Services:
    """The services of the current control set."""
    return Services(system_hive, control_set, file_system.partition)


def driver_path(service: Service) -> str | None:
    r"""The file of a driver or service below the root of the volume of Windows, or None.

    Understands what the kernel does: `\SystemRoot\…`, `System32\…`, `%SystemRoot%\…`, `\??\C:\…`, and no
    ImagePath at all for a driver (`System32\drivers\NAME.sys`). None where it lies on another volume.
    """
    stored = service.image_path.string if service.image_path is not None else None
    if not stored:
        return rf"{SYSTEM_FOLDER}\System32\drivers\{service.name}.sys"
    path = stored.strip()
    if path.startswith('"'):
        path = path[1:].partition('"')[0]
    elif ".exe " in path.lower():
        path = path[: path.lower().index(".exe ") + 4]
    path = path.removeprefix("\\??\\")
    for prefix in ("\\systemroot\\", "%systemroot%\\", "%windir%\\"):
        if path.lower().startswith(prefix):
            return rf"{SYSTEM_FOLDER}\{path[len(prefix) :]}"
    if path.lower().startswith("system32\\"):
        return rf"{SYSTEM_FOLDER}\{path}"
    if path.lower().startswith("c:\\"):
        return path[3:]
    return None if path[1:2] == ":" else path.lstrip("\\")
