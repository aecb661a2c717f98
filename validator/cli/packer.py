"""`--packer-manifest`: judge what Packer built, as its manifest lists it."""

import os
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple

import click

from validator.cli import options
from validator.report.printable import printable

if TYPE_CHECKING:
    from validator.packer_manifest import Build
    from validator.report.model import Report


class Built(NamedTuple):
    """What there is to judge of the builds that the manifest lists; nothing without a manifest."""

    builds: "tuple[Build, ...]" = ()
    lacks: tuple[str, ...] = ()
    """Why a build, or the whole run, has nothing to judge."""

    @property
    def disks(self) -> list[str]:
        """Their paths, each once."""
        return list(dict.fromkeys(disk for build in self.builds for disk in build.disks))

    def deciding(
        self, reports: "tuple[Report, ...]", named: Sequence[str], note: Callable[[str], None]
    ) -> "tuple[Report, ...]":
        """The reports that decide, with a note of each that is left out."""
        if not self.builds:
            return reports
        from validator.packer_manifest import deciding

        reports, words = deciding(self.builds, reports, named)
        for word in words:
            note(printable(word))
        return reports


def manifest(function: options.Function) -> options.Function:
    """`--packer-manifest`."""
    return click.option(
        "--packer-manifest",
        type=click.Path(),
        metavar="FILE",
        help="Judge what Packer built: the disks that its manifest lists for this run and build where "
        "Packer runs the command, else for the last run.",
    )(function)


def built(path: str | None, note: Callable[[str], None]) -> Built:
    """What the manifest lists, with a note of each file that is taken for a disk.

    Raises:
        options.Refused: where the manifest cannot be used.
    """
    if path is None:
        return Built()
    from validator.packer_manifest import BadManifest, builds

    try:
        found = builds(path, os.environ)
    except FileNotFoundError as error:
        raise options.Refused(f"no such file: {printable(str(error.filename))}") from error
    except BadManifest as error:
        raise options.Refused(f"Packer's manifest {printable(path)}: {printable(str(error))}") from error
    for build in found:
        for disk in build.disks:
            note(printable(f"from Packer's manifest, {build}: {disk}"))
        for word in build.left_out:
            note(printable(word))
    if not found:
        return Built(lacks=(f"{path} lists no build {_asked()}",))
    return Built(found, tuple(f"{path}: {build.lacks}" for build in found if build.lacks))


def _asked() -> str:
    run, build = os.environ.get("PACKER_RUN_UUID"), os.environ.get("PACKER_BUILD_NAME")
    name = f"“{build}” " if build else ""
    if run:
        return f"{name}of Packer's run {run}; `manifest` has to stand before this step"
    return f"{name}of its last run"
