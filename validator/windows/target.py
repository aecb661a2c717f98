r"""A `dissect.target` Target over the volume and the hives that verified, for what is shown and never judged.

It is put together by hand. `Target.open` and its loaders look at files beside the image, discovery of
plug-ins imports everything (and what DISSECT_PLUGINS names), and its registry takes `RegBack` for a hive
that is missing or damaged. Here the file system is our `NtfsVolume`, in which `RegBack` does not exist
and hives have their recovered bytes; the registry is our `Hive` objects and nothing else. So every byte
that dissect sees has verified, an index or list that loops cannot hold it, and what our readers refuse is
raised again even where dissect would have gone on without it.

Importing dissect.target takes 0.2 s, so it is imported where it is used.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from functools import cache
from types import FunctionType, SimpleNamespace
from typing import Any, NamedTuple, TypeVar

from validator.disk.ntfs import NtfsVolume
from validator.evidence import Evidence, Layer, Location, Unreadable, damaged
from validator.source import ByteSource, Stream
from validator.windows.hive import Hive, Value

MAX_SECONDS = 5.0
"""What is read through dissect ends within this time, whatever it does with bytes that it has."""
MAX_ITEMS = 4096
"""Applications, services or tasks that are looked at."""
MAX_TEXT = 4096
"""Characters of a registry text that dissect is given."""
MAX_TASK = 2**20
"""Bytes of a task's file; Windows' own have a few KiB."""
CONFIG = r"windows\system32\config"
TASKS = r"windows\system32\tasks"
_PROGRAMS = ("program files", "%programfiles%", "programdata\\microsoft")
_WINDOWS = (
    *("windows\\", "system32\\", "syswow64\\", "%systemroot%\\", "%windir%\\", "systemroot\\"),
    *(rf"{folder}\windows {name}" for folder in _PROGRAMS for name in ("defender", "media player\\")),
)
"""How the paths of Windows' own services begin, a drive's letter aside."""
_UNINSTALL = tuple(
    rf"HKLM\SOFTWARE\{part}Microsoft\Windows\CurrentVersion\Uninstall" for part in ("", "WOW6432Node\\")
)
_START = {
    "Boot": "boot",
    "System": "system",
    "Auto Start": "automatic",
    "Manual": "manual",
    "Disabled": "disabled",
}
_UNSTEADY = ("installdate",)
"""Values that installers write in every form; dissect's reader of applications takes one only."""

T = TypeVar("T")


class Application(NamedTuple):
    """An installed program, as Windows lists it."""

    name: str
    version: str | None
    publisher: str | None
    changed: datetime | None
    """When its entry was last written, UTC."""


class InstalledService(NamedTuple):
    """A service whose program lies outside Windows' own folder."""

    name: str
    title: str | None
    start: str | None
    program: str
    account: str | None


class Task(NamedTuple):
    """A scheduled task that is none of Windows' own."""

    name: str
    enabled: bool
    program: str | None
    arguments: str | None
    user: str | None


class WindowsTarget:
    """One installation as dissect.target sees it; made on first use.

    Args:
        volume: the volume of Windows.
        hives: by name (SOFTWARE, SYSTEM …) the hive, or the evidence why it cannot be read.
        control_set: the key of the control set that counts, or why it is not known.
        clock: counts seconds.

    Raises:
        Unreadable: from every method, where bytes do not verify, dissect cannot read them, or it takes
            too long.
    """

    def __init__(
        self,
        volume: NtfsVolume,
        hives: Mapping[str, Hive | Evidence],
        control_set: str | Evidence,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._volume = volume
        self._hives = hives
        self._control_set = control_set
        self._watch = _Watch(volume.partition, clock)
        self._target: Any = None

    @property
    def target(self) -> Any:
        """The `dissect.target.Target`."""
        if self._target is None:
            self._target = _classes().make(self._volume, self._hives, self._control_set, self._watch)
        return self._target

    def applications(self) -> tuple[Application, ...]:
        """What “Apps & features” lists for all users, 64 and 32 bit."""
        return self.read("applications", self._applications)

    def services(self) -> tuple[InstalledService, ...]:
        """Services of the control set that counts whose program (or library) lies outside of Windows."""
        return self.read("services", self._services)

    def tasks(self) -> tuple[Task, ...]:
        r"""Scheduled tasks outside the folder `Microsoft`."""
        return self.read("scheduled tasks", self._tasks)

    def read(self, what: str, read: Callable[[], Iterator[T]]) -> tuple[T, ...]:
        """All of what is read through the target, or the first reason why it could not be.

        Args:
            what: what is read, in the plural, for evidence.
            read: gives it item by item; whatever it raises is such a reason.
        """
        self._watch.faults.clear()
        items = []
        try:
            for item in read():
                items.append(item)
                if len(items) > MAX_ITEMS:
                    raise self._watch.refused(f"at most {MAX_ITEMS} {what}", "more")
        except Exception as error:
            if not self._watch.faults and not isinstance(error, Unreadable):
                found = f"{type(error).__name__}: {str(error)[:200]}"
                raise self._watch.refused(f"{what} that dissect.target can read", found) from error
            if not self._watch.faults:
                raise
        # dissect takes much for absent that it could not read.
        if self._watch.faults:
            raise self._watch.faults[0]
        return tuple(items)

    def _applications(self) -> Iterator[Application]:
        from dissect.target.plugins.os.windows.regf.applications import WindowsApplicationsPlugin

        plugin = WindowsApplicationsPlugin(self.target)
        plugin.keys = [_WithoutValues(key, _UNSTEADY) for key in self.target.registry.keys(_UNINSTALL)]
        for record in plugin.applications():
            if record.type == "user" and record.name:
                yield Application(
                    str(record.name), _text(record.version), _text(record.author), _time(record.ts_modified)
                )

    def _services(self) -> Iterator[InstalledService]:
        from dissect.target.plugins.os.windows.services import ServicesPlugin

        for record in ServicesPlugin(self.target).services():
            if not str(record.type or "").startswith("Service"):
                continue
            paths = [_backslashed(path) for path in (record.servicedll, record.imagepath) if path]
            outside = [path for path in paths if not _is_windows(path)]
            if outside:
                start = None if record.start is None else _START.get(str(record.start).partition(" (")[0])
                title, account = _text(record.displayname), _text(record.objectname)
                yield InstalledService(str(record.name), title, start, outside[0], account)

    def _tasks(self) -> Iterator[Task]:
        from dissect.target.plugins.os.windows.tasks.xml import ScheduledTasks

        root = self.target.fs.path("sysvol/" + TASKS.replace("\\", "/"))
        waiting = [(root, "")] if root.exists() else []
        for folder, path in waiting:
            for entry in folder.iterdir():
                name = rf"{path}\{entry.name}"
                if entry.is_dir():
                    if name.lower() != r"\microsoft":
                        waiting.append((entry, name))
                    if len(waiting) > MAX_ITEMS:
                        raise self._watch.refused(f"at most {MAX_ITEMS} folders of tasks", "more")
                    continue
                if entry.stat().st_size > MAX_TASK:
                    raise self._watch.refused(f"tasks of at most {MAX_TASK} bytes", name)
                for task in ScheduledTasks(entry).tasks:
                    program, arguments = (
                        task.get_element(f"Actions/Exec/{each}") for each in ("Command", "Arguments")
                    )
                    user = task.user_id or task.group_id
                    yield Task(name, bool(task.enabled), _text(program), _text(arguments), _text(user))


class _Watch:
    """What went wrong below dissect, and how long it may take."""

    def __init__(self, partition: int, clock: Callable[[], float]) -> None:
        self.faults: list[Unreadable] = []
        self._partition = partition
        self._clock = clock
        self._deadline: float | None = None

    def __call__(self, read: Callable[..., T], *arguments: Any) -> T:
        """Read through one of our readers; what it refuses is not forgotten."""
        now = self._clock()
        self._deadline = now + MAX_SECONDS if self._deadline is None else self._deadline
        try:
            if now > self._deadline:
                raise self.refused(f"an answer within {MAX_SECONDS:g} seconds", "more that takes longer")
            return read(*arguments)
        except Unreadable as error:
            self.faults.append(error)
            raise

    def refused(self, expected: str, found: str) -> Unreadable:
        """An `Unreadable` for what dissect made of bytes that verified."""
        return damaged(Location(Layer.FILE_SYSTEM, None, self._partition), expected=expected, found=found)


class _Watched:
    """A `ByteSource` whose refusals are not forgotten."""

    def __init__(self, source: ByteSource, watch: _Watch) -> None:
        self.size = source.size
        self._source = source
        self._watch = watch

    def read_at(self, offset: int, length: int) -> bytes:
        """See `ByteSource`."""
        return self._watch(self._source.read_at, offset, length)


class _WithoutValues:
    """A key of dissect's registry, or those below it, without some values."""

    def __init__(self, key: Any, hidden: tuple[str, ...]) -> None:
        self._key = key
        self._hidden = hidden

    def __getattr__(self, name: str) -> Any:
        return getattr(self._key, name)

    def subkeys(self) -> Iterator[Any]:
        return (_WithoutValues(key, self._hidden) for key in self._key.subkeys())

    def values(self) -> list[Any]:
        return [value for value in self._key.values() if value.name.lower() not in self._hidden]


def _text(value: object) -> str | None:
    return None if value is None else str(value)


def _time(value: Any) -> datetime | None:
    """A plain datetime from that of dissect's records."""
    return None if value is None else datetime.fromtimestamp(value.timestamp(), value.tzinfo)


def _backslashed(path: object) -> str:
    return str(path).replace("/", "\\")


def _is_windows(path: str) -> bool:
    """Whether a service's program is one of Windows' own, by where it lies."""
    path = path.strip().strip('"').lower().removeprefix("\\??\\").lstrip("\\")
    if path[1:3] == ":\\":
        path = path[3:]
    return path.startswith(_WINDOWS) or "\\" not in path


def _decoded(value: Value) -> int | str | bytes | list[str]:
    """A value as dissect has it."""
    if value.number is not None:
        return value.number
    if value.string is not None:
        return value.string[:MAX_TEXT]
    if value.type == 7:
        texts = value.data[: 2 * MAX_TEXT].decode("utf-16-le", "replace")
        return [text for text in texts.split("\0") if text]
    if value.type == 11 and len(value.data) == 8:
        return int.from_bytes(value.data, "little")
    return value.data


@cache
def _classes() -> Any:
    """The classes that can only be written once dissect.target is imported, by what they do."""
    import logging
    import stat

    # What dissect has to say goes to whoever set up logging, never to standard error by itself.
    logging.getLogger("dissect").addHandler(logging.NullHandler())

    from dissect.target import Target
    from dissect.target.exceptions import (
        FileNotFoundError as NoSuchFile,
    )
    from dissect.target.exceptions import (
        IsADirectoryError as IsFolder,
    )
    from dissect.target.exceptions import (
        NotADirectoryError as IsFile,
    )
    from dissect.target.exceptions import (
        NotASymlinkError,
        PluginNotFoundError,
        RegistryKeyNotFoundError,
        RegistryValueNotFoundError,
    )
    from dissect.target.filesystem import DirEntry, Filesystem, FilesystemEntry
    from dissect.target.helpers import config, fsutil
    from dissect.target.helpers.regutil import RegistryHive, RegistryKey, RegistryValue
    from dissect.target.plugins.os.windows.registry import CONTROLSET_REGEX, RegistryPlugin

    class VerifiedVolume(Filesystem):  # type: ignore[misc]
        """Our volume, in which hives have their recovered bytes and there is no RegBack."""

        __type__ = "verified-ntfs"

        def __init__(self, volume: NtfsVolume, hives: Mapping[str, ByteSource], watch: _Watch) -> None:
            super().__init__(None, alt_separator="\\", case_sensitive=False)
            self.volume_of_windows = volume
            self.watch = watch
            self.hives = hives

        def get(self, path: str) -> Any:
            place = path.replace("/", "\\").strip("\\")
            lower = place.lower()
            if f"{lower}\\".startswith(f"{CONFIG}\\regback\\"):
                raise NoSuchFile(path)
            if lower in self.hives:
                return VerifiedEntry(self, place, self.hives[lower])
            if not place or self.watch(self.volume_of_windows.is_folder, place):
                return VerifiedEntry(self, place, None)
            file = self.watch(self.volume_of_windows.open, place)
            if file is None:
                raise NoSuchFile(path)
            return VerifiedEntry(self, place, file)

    class VerifiedEntry(FilesystemEntry):  # type: ignore[misc]
        """A folder (without `entry`) or a file."""

        def get(self, path: str) -> Any:
            return self.fs.get(rf"{self.path}\{path}")

        def open(self) -> Any:
            if self.entry is None:
                raise IsFolder(self.path)
            return Stream(_Watched(self.entry, self.fs.watch))

        def scandir(self) -> Iterator[Any]:
            if self.entry is not None:
                raise IsFile(self.path)
            for name in self.fs.watch(self.fs.volume_of_windows.names, self.path) or ():
                if (self.path.lower(), name.lower()) != (CONFIG, "regback"):
                    yield DirEntry(self.fs, self.path, name, None)

        def is_file(self, follow_symlinks: bool = True) -> bool:
            return self.entry is not None

        def is_dir(self, follow_symlinks: bool = True) -> bool:
            return self.entry is None

        def is_symlink(self) -> bool:
            return False

        def readlink(self) -> str:
            raise NotASymlinkError(self.path)

        def stat(self, follow_symlinks: bool = True) -> Any:
            mode, size = (stat.S_IFDIR, 0) if self.entry is None else (stat.S_IFREG, self.entry.size)
            number = fsutil.generate_addr(self.path, alt_separator="\\")
            return fsutil.stat_result([mode | 0o444, number, id(self.fs), 1, 0, 0, size, 0, 0, 0])

        def lstat(self) -> Any:
            return self.stat()

    class VerifiedHive(RegistryHive):  # type: ignore[misc]
        """One of our hives."""

        def __init__(self, hive: Hive | Evidence, watch: _Watch) -> None:
            self.watch = watch
            self._hive = hive

        def ask(self, method: str, *arguments: Any) -> Any:
            """Call a method of the hive."""
            return self.watch(self._ask, method, *arguments)

        def _ask(self, method: str, *arguments: Any) -> Any:
            if isinstance(self._hive, Evidence):
                raise Unreadable(self._hive)
            return getattr(self._hive, method)(*arguments)

        def key(self, key: str) -> Any:
            path = key.strip("\\")
            if path and self.ask("key", path) is None:
                raise RegistryKeyNotFoundError(key)
            return VerifiedKey(self, path)

    class VerifiedKey(RegistryKey):  # type: ignore[misc]
        """A key that is there."""

        def __init__(self, hive: Any, path: str, name: str | None = None) -> None:
            super().__init__(hive)
            self._path = path
            self._name = path.rpartition("\\")[2] if name is None else name
            self._values: dict[str, Any] | None = None

        @property
        def name(self) -> str:
            return self._name

        @property
        def class_name(self) -> str:
            return ""

        @property
        def path(self) -> str:
            return self._path

        @property
        def timestamp(self) -> datetime | None:
            key = self.hive.ask("key", self._path) if self._path else None
            return None if key is None else key.time

        def _below(self, name: str) -> str:
            return rf"{self._path}\{name}" if self._path else name

        def subkey(self, subkey: str) -> Any:
            return self.hive.key(self._below(subkey))

        def subkeys(self) -> list[Any]:
            names = self.hive.ask("subkeys", self._path)
            return [VerifiedKey(self.hive, self._below(name), name) for name in names]

        def values(self) -> list[Any]:
            if self._values is None:
                found = self.hive.ask("values", self._path)
                self._values = {value.name.lower(): VerifiedValue(self.hive, value) for value in found}
            return list(self._values.values())

        def _value(self, value: str) -> Any:
            self.values()
            if value.lower() not in (self._values or {}):
                raise RegistryValueNotFoundError(value)
            return (self._values or {})[value.lower()]

    class VerifiedValue(RegistryValue):  # type: ignore[misc]
        """A value of one of our hives."""

        def __init__(self, hive: Any, value: Value) -> None:
            super().__init__(hive)
            self._value = value

        @property
        def name(self) -> str:
            return self._value.name

        @property
        def value(self) -> Any:
            return _decoded(self._value)

        @property
        def type(self) -> int:
            return self._value.type

    class VerifiedRegistry(RegistryPlugin):  # type: ignore[misc]
        """The registry of our hives: no search for files, no hives of users, one control set."""

        __register__ = False

        def __init__(self, target: Any, hives: Mapping[str, Any], control_set: str | Evidence) -> None:
            self._given = hives
            self._control_set = control_set
            super().__init__(target)

        def _init_registry(self) -> None:
            if isinstance(self._control_set, str):
                self._currentcontrolset = self._control_set
            for name, hive in self._given.items():
                self.add_hive(name, self.MAPPINGS[name], hive, None)

        def _init_users(self) -> None:
            """Their hives are files that nobody verified."""

        def _iter_controlset_keypaths(self, keys: Any) -> Iterator[str]:
            for key in keys:
                if CONTROLSET_REGEX.search(key) and isinstance(self._control_set, Evidence):
                    self.target.refuse(self._control_set)
                yield key  # `key` puts the current control set in its place

    def no_configuration(_paths: object) -> Any:
        return config.load(None)

    class VerifiedTarget(Target):  # type: ignore[misc]
        """A target that has the plug-ins that it was given and looks for no others."""

        hostname = domain = None

        # Target looks for `.targetcfg.py` in the current folder and at home, and in all above them:
        # its constructor gets a module `config` of ours that finds none.
        __init__ = FunctionType(
            Target.__init__.__code__,
            {**Target.__init__.__globals__, "config": SimpleNamespace(load=no_configuration)},
            "__init__",
            Target.__init__.__defaults__,
            Target.__init__.__closure__,
        )

        def get_function(self, function: Any) -> Any:
            if function not in self._functions:
                raise PluginNotFoundError(f"no plug-in was given for {function}")
            return super().get_function(function)

    def make(
        volume: NtfsVolume,
        hives: Mapping[str, Hive | Evidence],
        control_set: str | Evidence,
        watch: _Watch,
    ) -> Any:
        target = VerifiedTarget()
        target.refuse = lambda evidence: watch(_raise, evidence)
        target.fs.case_sensitive = False
        target.fs.alt_separator = "\\"
        recovered = {
            rf"{CONFIG}\{name.lower()}": hive.content
            for name, hive in hives.items()
            if isinstance(hive, Hive)
        }
        file_system = VerifiedVolume(volume, recovered, watch)
        target.filesystems.add(file_system)
        target.fs.mount("sysvol", file_system)
        verified = {name: VerifiedHive(hive, watch) for name, hive in hives.items()}
        target.add_plugin(VerifiedRegistry(target, verified, control_set))
        return target

    return SimpleNamespace(make=make)


def _raise(evidence: Evidence) -> None:
    raise Unreadable(evidence)
