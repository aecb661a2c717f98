"""`--receipt`, and the digests of images with their progress on standard error."""

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

import click

from validator.address import is_address, shown
from validator.cli import options
from validator.report.printable import printable

if TYPE_CHECKING:
    from validator.report.model import Report, RunReport
    from validator.source import FileState


class ReceiptFile:
    """The answer to `--receipt`. Without it no image is read as a whole, and nothing is written."""

    def __init__(self, path: str | None) -> None:
        if path is not None and not os.path.isdir(folder := os.path.dirname(path) or "."):
            raise options.Refused(f"there is no folder {printable(folder)} to write a receipt to")
        self.path = path
        self._digests: dict[FileState, str] = {}

    def require_files(self, names: Iterable[str]) -> None:
        """See that all of every image can be read for its digest.

        Raises:
            Refused: where one is at an address.
        """
        if self.path is not None and (addresses := [name for name in names if is_address(name)]):
            name = printable(shown(addresses[0]))
            raise options.Refused(
                f"a receipt needs all of every image, and {name} is read in parts: download it first"
            )

    def digest(self, images: "Sequence[Report]", *, quiet: bool) -> "tuple[Report, ...]":
        """The same reports, after the digests of their files were taken.

        Of an image that is not what was judged any more, nothing counts that was found.
        """
        if self.path is None:
            return tuple(images)
        from validator.evidence import Unreadable
        from validator.judging import distrust
        from validator.receipt import sha256

        reports = []
        with progress(sum(part.size for image in images for part in image.parts), quiet=quiet) as read:
            for image in images:
                try:
                    for part in image.parts:
                        if part not in self._digests:
                            self._digests[part] = sha256(part.path, read, part)
                except Unreadable as error:
                    judgement = distrust(image.judgement, error.evidence)
                    image = replace(image, judgement=judgement, parts=(), data_disk=False)
                reports.append(image)
        return tuple(reports)

    def write(self, run: "RunReport", note: Callable[[str], None]) -> None:
        """Write the receipt, if all images of the run could be read as a whole.

        Raises:
            Refused: where it cannot be written.
        """
        if self.path is None:
            return
        from validator.cli.reporting import write
        from validator.receipt import statement

        unread = [image.path for image in run.images if not image.parts]
        if unread or not run.images:
            why = f"{printable(unread[0])} could not be read as a whole" if unread else "there is no image"
            note(f"no receipt was written: {why}")
            return
        try:
            write(self.path, statement(run, self._digests))
        except OSError as error:
            message = f"cannot write the receipt {printable(self.path)}: {error.strerror}"
            raise options.Refused(message) from error


def option(function: options.Function) -> options.Function:
    """`--receipt`, handed over as the parameter `receipt`."""
    return click.option(
        "--receipt",
        metavar="FILE",
        type=click.Path(dir_okay=False),
        callback=lambda ctx, param, path: ReceiptFile(path),
        help="Write down what was judged, by its SHA-256, and how, for `verify-receipt`; reads all of it.",
    )(function)


@contextmanager
def progress(total: int, *, quiet: bool) -> Iterator[Callable[[int], object]]:
    """A function to call with the number of bytes that were read."""
    from validator.cli.progress import counted
    from validator.report.text import size

    def line(count: int) -> str:
        return f"SHA-256: {size(count)} of {size(total)}"

    with counted(total, "SHA-256", line, quiet=quiet) as read:
        yield read
