r"""Facts about one installation: what a run of sysprep meets, and how its hives were closed.

Sources: Microsoft, Sysprep Provider Developer's Guide (providers and their keys), KB 929828 (SkipRearm),
Sysprep command-line options (/mode:vm).
"""

import re
from typing import NamedTuple

from validator.disk.ntfs import NtfsVolume
from validator.disk.upcase import upcase
from validator.evidence import Evidence, Layer, Location, damaged
from validator.facts.services import SYSTEM_FOLDER
from validator.windows.hive import Hive, Value

ACTIVATION_KEY = r"Microsoft\Windows NT\CurrentVersion\SoftwareProtectionPlatform"
_SETUP = r"Microsoft\Windows\CurrentVersion\Setup"
PROVIDER_KEYS = tuple(
    rf"{_SETUP}\{parent}\{phase}"
    for parent in ("Sysprep", "SysPrepExternal")
    for phase in ("Cleanup", "Generalize", "Specialize")
)
"""Windows' own providers, and those of other programs."""
MAX_PROVIDERS = 512
_SYSTEM32 = rf"{SYSTEM_FOLDER}\System32"
_VARIABLES = {
    "systemroot": SYSTEM_FOLDER,
    "windir": SYSTEM_FOLDER,
    "systemdrive": "",
    "programfiles": "Program Files",
    "programw6432": "Program Files",
    "programfiles(x86)": "Program Files (x86)",
    "commonprogramfiles": r"Program Files\Common Files",
    "programdata": "ProgramData",
    "allusersprofile": "ProgramData",
}
"""What lies where on the volume of Windows unless somebody moved it."""


class Provider(NamedTuple):
    """A program that sysprep calls, as the registry names it."""

    value: Value
    present: bool | None
    """Whether its file is there; None where the value does not say which file of this volume it is."""


class SysprepMode(NamedTuple):
    """Whether sysprep prepared the image for one kind of virtual machine only (`/mode:vm`)."""

    mode: Value | None
    """`vm`, or None where it is absent as usual."""
    manufacturer: Value | None
    """Who made the machine that last ran it, as its firmware says; None where it is not stored."""

    @property
    def for_one_hypervisor(self) -> bool:
        """Whether it is so prepared."""
        return self.mode is not None and (self.mode.string or "").lower() == "vm"

    @property
    def elsewhere(self) -> bool:
        """Whether the machine was none of Hyper-V, which Azure runs as well."""
        text = (self.manufacturer.string or "") if self.manufacturer is not None else ""
        return bool(text) and "microsoft" not in text.lower()


def sysprep_mode(software_hive: Hive, system_hive: Hive, control_set: str) -> SysprepMode:
    """How sysprep was told to prepare the image, and what it ran on."""
    return SysprepMode(
        software_hive.value(rf"{_SETUP}\Sysprep", "SysprepMode"),
        system_hive.value(rf"{control_set}\Control\SystemInformation", "SystemManufacturer"),
    )


def skip_rearm(software_hive: Hive) -> Value | None:
    """SkipRearm, or None where it is verified not to be there."""
    return software_hive.value(ACTIVATION_KEY, "SkipRearm")


def hive_recoveries(software_hive: Hive, system_hive: Hive) -> tuple[Evidence, ...]:
    """What was missing in the two hives and applied from their transaction logs."""
    return software_hive.recovered + system_hive.recovered


def sysprep_providers(software_hive: Hive, file_system: NtfsVolume) -> tuple[Provider, ...]:
    """The providers of all phases, Windows' own and others'."""
    found = [value for key in PROVIDER_KEYS for value in software_hive.values(key)]
    if len(found) > MAX_PROVIDERS:
        where = Location(Layer.HIVE, None, file_system.partition, software_hive.path, PROVIDER_KEYS[0])
        raise damaged(where, expected=f"at most {MAX_PROVIDERS} providers", found=str(len(found)))
    files = _Files(file_system)
    return tuple(Provider(value, files.any(provider_paths(value.string or ""))) for value in found)


class _Files:
    """Whether files are there, each looked for once."""

    def __init__(self, file_system: NtfsVolume) -> None:
        self._file_system = file_system
        self._known: dict[str, bool] = {}

    def any(self, paths: tuple[str, ...]) -> bool | None:
        """Whether one of them is there; None for no paths."""
        return any(self._is_there(path) for path in paths) if paths else None

    def _is_there(self, path: str) -> bool:
        key = upcase(path)
        if key not in self._known:
            self._known[key] = self._file_system.size(path) is not None
        return self._known[key]


def provider_paths(text: str) -> tuple[str, ...]:
    r"""Where the file of a provider may lie, below the root of the volume of Windows.

    `C:\Windows\System32\spopk.dll,Sysprep_Clean_Opk`: a file and the function to call. Without a folder
    it is looked for where sysprep.exe lies, and in System32. Empty where it is on another volume, or
    in a place that only a running Windows knows.
    """
    path, comma, function = text.rpartition(",")
    path = (path if comma else function).strip().strip('"').strip().replace("/", "\\")
    path = re.sub(r"^%([^%]*)%", _variable, path)
    if path[1:3] == ":\\":
        # The volume of Windows has the letter C for itself, whatever another system calls it.
        if path[0] not in "cC" and not path[3:].lower().startswith(f"{SYSTEM_FOLDER.lower()}\\"):
            return ()
        path = path[2:]
    parts = [part for part in path.split("\\") if part not in ("", ".")]
    if not parts or ".." in parts or path.startswith("\\\\") or re.search(r'[%:*?"<>|$]', path):
        return ()
    if "." not in parts[-1]:
        parts[-1] += ".dll"
    if path.startswith("\\"):
        return ("\\".join(parts),)
    if len(parts) > 1:
        return ()
    return rf"{_SYSTEM32}\Sysprep\{parts[0]}", rf"{_SYSTEM32}\{parts[0]}"


def _variable(match: "re.Match[str]") -> str:
    """A variable as a path on drive C; one that is not known stays, and makes the path unknown."""
    place = _VARIABLES.get(match[1].lower())
    return match[0] if place is None else rf"C:\{place}".rstrip("\\")
