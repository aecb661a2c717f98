"""An installation of Windows, described: hives and files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from tests.images import hive_log
from tests.images.hive import Absent, Data, Hive
from tests.images.times import INSTALLED, SHUT_DOWN

HIVE_FOLDER = r"Windows\System32\config"


@dataclass(frozen=True)
class File:
    """A file and when it was modified; a path that ends in a backslash is an empty folder.

    A hive is built when the file is written, not before.
    """

    path: str
    content: bytes | Hive = field(repr=False)
    modified: datetime = INSTALLED

    @property
    def bytes(self) -> bytes:
        """What the file holds."""
        return self.content.build() if isinstance(self.content, Hive) else self.content


@dataclass(frozen=True)
class Windows:
    r"""One installation. Every method returns a changed copy; nothing is built before it must be.

    Paths are relative to the root of the volume (``Windows\System32\...``), their case does not
    matter, and the last word about a path counts.
    """

    hives: tuple[Hive, ...] = ()
    files: tuple[File, ...] = field(default=(), repr=False)

    def software(self, key: str, values: Mapping[str, Data] | None = None, **named: Data) -> Windows:
        """Set values of a key of the SOFTWARE hive (see `Hive.set`)."""
        return self.in_hive("SOFTWARE", key, values, **named)

    def system(self, key: str, values: Mapping[str, Data] | None = None, **named: Data) -> Windows:
        """Set values of a key of the SYSTEM hive (see `Hive.set`)."""
        return self.in_hive("SYSTEM", key, values, **named)

    def in_hive(
        self, hive: str, key: str, values: Mapping[str, Data] | None = None, **named: Data
    ) -> Windows:
        """Set values of a key of any hive; a hive that was not there begins empty."""
        return self._with_hive(self.hive(hive).set(key, values, **named))

    def without_key(self, hive: str, key: str) -> Windows:
        """Remove a key and all below it."""
        return self._with_hive(self.hive(hive).without_key(key))

    def without_hive(self, hive: str) -> Windows:
        """Leave out the hive file."""
        return replace(self, hives=tuple(other for other in self.hives if other.name != hive))

    def key_time(self, hive: str, key: str, time: datetime) -> Windows:
        """Say when a key was last written."""
        return self._with_hive(self.hive(hive).key_time(key, time))

    def bulk(self, hive: str, key: str, count: int, value_size: int = 128) -> Windows:
        """Put ``count`` children below a key, cheaply (see `Hive.bulk`)."""
        return self._with_hive(self.hive(hive).bulk(key, count, value_size))

    def on_hive(self, hive: str, base: bytes) -> Windows:
        """Set the described values in a real hive instead of a new one."""
        return self._with_hive(self.hive(hive).on(base))

    def file(self, path: str, content: bytes | Hive | Absent, modified: datetime = INSTALLED) -> Windows:
        """Put a file, or with ABSENT remove it. At the path of a hive it wins over the hive."""
        others = tuple(file for file in self.files if file.path.lower() != path.lower())
        if isinstance(content, Absent):
            hives = tuple(hive for hive in self.hives if hive_path(hive.name).lower() != path.lower())
            return replace(self, hives=hives, files=others)
        return replace(self, files=(*others, File(path, content, modified)))

    def without_folder(self, path: str) -> Windows:
        """Remove all described files below ``path``."""
        prefix = path.rstrip("\\").lower() + "\\"
        files = tuple(file for file in self.files if not file.path.lower().startswith(prefix))
        return replace(self, files=files)

    def hive(self, name: str) -> Hive:
        """The description of one hive."""
        return next((hive for hive in self.hives if hive.name == name), Hive(name))

    def hive_bytes(self, name: str) -> bytes:
        r"""The hive as built, for a test that damages it and puts it back with `file`."""
        return self.hive(name).build()

    def dirty_hive(
        self, name: str, *becomes: Windows, plan: Mapping[str, Sequence[hive_log.Step]] | str | None = None
    ) -> Windows:
        r"""Leave a hive dirty, with logs that make it, step by step, that of each other Windows.

        `hive_log.dirty` says what a plan is; without one the steps lie in ``LOG1``.
        """
        hives = (self.hive_bytes(name), *(other.hive_bytes(name) for other in becomes))
        return self.with_hive_files(name, hive_log.dirty(*hives, plan=plan))

    def with_hive_files(self, name: str, files: hive_log.Dirty) -> Windows:
        """Put a hive file (``""``) and its logs (``"LOG1"``) as they are."""
        changed = self
        for ending, content in files.items():
            changed = changed.file(hive_path(name) + (f".{ending}" if ending else ""), content, SHUT_DOWN)
        return changed

    def tree(self, below: str = "", system_folder: str = "Windows") -> tuple[File, ...]:
        """All files with the hives; ``below="Windows.old"`` moves them there, as upgrades do."""
        files = {
            path.lower(): File(path, hive, hive.written)
            for hive in self.hives
            for path in [hive_path(hive.name)]
        }
        files.update((file.path.lower(), file) for file in self.files)
        return tuple(replace(file, path=_moved(file.path, below, system_folder)) for file in files.values())

    def _with_hive(self, changed: Hive) -> Windows:
        if changed.name not in {hive.name for hive in self.hives}:
            return replace(self, hives=(*self.hives, changed))
        hives = tuple(changed if hive.name == changed.name else hive for hive in self.hives)
        return replace(self, hives=hives)


def hive_path(name: str) -> str:
    """Where Windows keeps the hive of this name."""
    return rf"{HIVE_FOLDER}\{name}"


def _moved(path: str, below: str, system_folder: str) -> str:
    first, _, rest = path.partition("\\")
    if first.lower() == "windows":
        path = rf"{system_folder}\{rest}"
    return rf"{below}\{path}" if below else path
