"""How a run is told: what standard output gets, what files get, and what the CI host around it gets."""

import functools
import os
import stat
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from validator.cli import hosts, options
from validator.report.formats import FORMATS, Style, render
from validator.report.printable import printable

if TYPE_CHECKING:
    from validator.report.model import RunReport

JOURNAL = "jsonl"
"""The format that is written while images are judged."""


class _ReportFile(click.ParamType):  # type: ignore[type-arg, unused-ignore]
    """FORMAT=FILE, or FORMAT for the file that programs look for by default."""

    name = "FORMAT[=FILE]"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, str]:
        kind, given, path = str(value).partition("=")
        if kind not in FORMATS or (given and not path):
            self.fail(f"{value!r} is not FORMAT=FILE with a FORMAT of {', '.join(FORMATS)}", param, ctx)
        path = path or FORMATS[kind]
        if path == "-":
            self.fail("a report goes to a file; --format says what standard output gets", param, ctx)
        folder = os.path.dirname(path) or "."
        if not os.path.isdir(folder):
            self.fail(f"there is no folder {printable(folder)!r} to write to", param, ctx)
        return kind, path


class Reporting:
    """The answer to `--format`, `--report`, `--quiet`, `--verbose` and `--no-color`."""

    def __init__(
        self,
        output_format: str | None,
        reports: tuple[tuple[str, str], ...],
        quiet: bool,
        verbose: bool,
        no_color: bool,
    ) -> None:
        if quiet and verbose:
            raise click.UsageError("--quiet and --verbose exclude each other")
        lines = [path for kind, path in reports if kind == JOURNAL]
        if len(lines) > 1:
            raise click.UsageError("--report jsonl is given twice; one file takes the images as they come")
        self.journal = lines[0] if lines else None
        """The file that `validator.cli.journal` writes."""
        self.quiet = quiet
        self._host = hosts.of(output_format)
        self._printed = output_format or self._host.printed
        self._reports = reports
        self._plain = Style(quiet=quiet, verbose=verbose)
        colour = options.colour(no_color)
        self._style = self._plain._replace(colour=colour, width=options.width())

    @property
    def formats(self) -> frozenset[str]:
        """All formats that are asked for."""
        return frozenset((self._printed, *(kind for kind, _ in self._reports)))

    @property
    def files(self) -> tuple[str, ...]:
        """Where the reports go that are written to files."""
        return tuple(path for _, path in self._reports)

    def note(self, text: str, *, fails: bool = False) -> None:
        """Say something on standard error; with `--quiet` only what makes the command fail.

        There are pipelines that take any word there for a failure.
        """
        if fails or not self.quiet:
            options.tell(text)

    def give(self, run: "RunReport") -> None:
        """Print the report, write those to files, and give the host what it takes.

        All are made before anything of them is seen: where one cannot be, there is none.

        Raises:
            Refused: where a report cannot be printed or written.
            RuntimeError: where one cannot be made, which is a failure of our own, whichever format it is.
        """
        try:
            printed = render(self._printed, run, self._style)
            written = [
                (path, render(kind, run, self._plain)) for kind, path in self._reports if kind != JOURNAL
            ]
            extra = self._host.before(run, self._plain, self.note)
        except Exception as error:
            raise RuntimeError(f"a report cannot be made: {type(error).__name__}: {error}") from error
        options.show(printed + extra, colour=self._style.colour)
        for path, text in written:
            _write_report(path, text)
        self._host.after(run, self.files, self.note)


def reporting_options(function: Callable[..., int]) -> Callable[..., int]:
    """The options about reports, handed over as one parameter `reporting`."""

    @functools.wraps(function)
    def told(
        *args: Any,
        output_format: str | None,
        reports: tuple[tuple[str, str], ...],
        quiet: bool,
        verbose: bool,
        no_color: bool,
        **others: Any,
    ) -> int:
        asked = Reporting(output_format, reports, quiet, verbose, no_color)
        return function(*args, reporting=asked, **others)

    for option in (
        options.no_color,
        click.option("--verbose", "-v", is_flag=True, help="Also what passed, the layers, and all evidence."),
        click.option(
            "--quiet", "-q", is_flag=True, help="Only verdicts and their reasons; no notes on standard error."
        ),
        click.option(
            "--report",
            "reports",
            type=_ReportFile(),
            multiple=True,
            help="Also write a report to a file, by default the one that CI hosts look for; repeatable.",
        ),
        click.option(
            "--format",
            "-f",
            "output_format",
            type=click.Choice(tuple(FORMATS)),
            help="What to print on standard output. Left out: text, and in the log of GitHub Actions or "
            "Azure Pipelines what annotates the run there.",
        ),
    ):
        told = option(told)
    return told


def _write_report(path: str, text: str) -> None:
    try:
        write(path, text)
    except OSError as error:
        raise options.Refused(f"cannot write the report {printable(path)}: {error.strerror}") from error


def write(path: str, text: str) -> None:
    """Write a file whole or not at all: a run that is cut short leaves the older one, or none.

    Raises:
        OSError: where it cannot be written.
    """
    data = text.encode("utf-8", "backslashreplace")
    if os.path.exists(path) and not stat.S_ISREG(os.stat(path).st_mode):
        with open(path, "wb") as stream:  # a pipe or a device: there is nothing to replace
            stream.write(data)
        return
    path = os.path.realpath(path)  # where it is a link, what it leads to is replaced
    draft = os.path.join(os.path.dirname(path), f".image-validator-{os.urandom(8).hex()}")
    try:
        with open(draft, "xb") as file:
            file.write(data)
        os.replace(draft, path)
    except BaseException:
        if os.path.exists(draft):
            os.unlink(draft)
        raise
