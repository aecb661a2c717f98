"""A case: an image, and what one check has to say of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.images import Disk, FixedVhd, Windows, disk_of, generalized
from tests.images.containers import Container

PASSES, FAILS, CANNOT_TELL, OTHER = "passes", "fails", "cannot tell", "other"
Change = Callable[[Windows], Windows]


def unchanged(windows: Windows) -> Windows:
    """As it is."""
    return windows


@dataclass(frozen=True)
class Case:
    """One image and what one check says of it.

    The image is a good generalized Windows for Azure (`windows`), changed by `change`, on the disk that
    Windows Setup makes for its generation, in a fixed VHD. `disk` makes another disk of it, `container`
    another container, `damage` changes the finished file.
    """

    check: str
    kind: str
    name: str
    status: str
    severity: str | None = None
    """Of the finding, where it matters."""
    says: str = ""
    """In its message."""
    shows: str = ""
    """In one of its pieces of evidence, as the text report prints them."""
    change: Change = unchanged
    windows: Callable[[], Windows] = generalized
    generation: int = 2
    disk: Callable[[Windows], Disk] | None = None
    container: Container = FixedVhd()  # noqa: RUF009 - frozen
    damage: Callable[[Path], object] | None = None
    profile: str = "azure-generalized"
    options: tuple[str, ...] = ()
    verdict: str | None = None
    """Of the whole image, where it matters."""

    def describe(self) -> Disk:
        """The disk."""
        windows = self.change(self.windows())
        if self.disk is not None:
            return self.disk(windows)
        return disk_of(windows, "gpt" if self.generation == 2 else "mbr")

    def __str__(self) -> str:
        return f"{self.check}: {self.name}"


def passes(check: str, name: str = "passes", **more: object) -> Case:
    """The rule holds."""
    return Case(check, PASSES, name, "passed", **more)  # type: ignore[arg-type]


def fails(check: str, name: str = "fails", severity: str | None = None, **more: object) -> Case:
    """The rule is broken."""
    return Case(check, FAILS, name, "failed", severity, **more)  # type: ignore[arg-type]


def cannot_tell(check: str, name: str = "cannot tell", **more: object) -> Case:
    """What it rests on cannot be read."""
    return Case(check, CANNOT_TELL, name, "unknown", **more)  # type: ignore[arg-type]


def not_applicable(check: str, name: str = "not applicable", **more: object) -> Case:
    """There is nothing to judge."""
    return Case(check, OTHER, name, "not applicable", **more)  # type: ignore[arg-type]
