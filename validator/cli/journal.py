"""`--report jsonl=FILE`, which grows as images are judged, and `--resume`, which takes over what it says.

A report is taken over only where it would come out the same: of the same files, asked the same, by the same
program. The file is believed as a policy is: who may write it may write what comes of the run.
"""

import io
import os
import stat
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, BinaryIO

import click

from validator import __version__
from validator.address import shown
from validator.cli import options
from validator.cli.options import Refused
from validator.report.printable import printable, shortened

if TYPE_CHECKING:
    from validator.cli.policies import InForce
    from validator.report.jsonl import Setting
    from validator.report.model import Report
    from validator.source import FileState

MAX_LINE = 16 * 2**20
"""Bytes of a line that is looked at; one about an image has some ten thousand."""
_LONGEST_REASON = 300


class Journal:
    """The file; without a path, none: nothing is written, and nothing taken over.

    Args:
        path: of the file.
        resume: whether its reports are taken over; else it is begun anew.
    """

    def __init__(self, path: str | None, *, resume: bool = False) -> None:
        self._path = path or ""
        self._resume = resume
        self._file: io.FileIO | None = None
        self._written: dict[int, Report] = {}
        """By their identity: two addresses may look the same."""

    def begin(
        self,
        paths: Sequence[str],
        in_force: "InForce",
        keywords: Mapping[str, Any],
        note: Callable[[str], None],
    ) -> "dict[str, Report]":
        """Open the file; the reports that are taken over, by the paths of their images.

        Args:
            paths: of the images.
            in_force: the policy.
            keywords: of `validator.validate`, for all images.
            note: is told what was taken over, and what could not be.

        Raises:
            Refused: where the file cannot be written, or holds anything else.
        """
        if not self._path:
            return {}
        self._setting = _setting(in_force, keywords)
        taken: dict[str, Report] = {}
        end = 0
        try:
            regular = not os.path.exists(self._path) or stat.S_ISREG(os.stat(self._path).st_mode)
            if regular and os.path.exists(self._path):
                self._refuse_what_is_none()
                if self._resume:
                    found, faults, end = self._read(in_force)
                    taken = {path: found[path] for path in paths if path in found and _stands(found[path])}
                    note(self._told(len(taken), len(paths), faults))
            elif self._resume and not regular:
                raise Refused(f"--resume: {printable(self._path)} is no file to go on from")
            file = click.get_current_context().with_resource(io.FileIO(self._path, "ab"))
            if regular:
                file.truncate(end)
        except OSError as error:
            raise self._cannot(error) from error
        self._file = file
        self._written = {id(report): report for report in taken.values()}
        return taken

    def add(self, report: "Report") -> None:
        """Write a report that is ready.

        Raises:
            Refused: where it cannot be written.
            RuntimeError: where its line cannot be made, which is a failure of our own.
        """
        if self._file is None:
            return
        from validator.report.jsonl import line

        try:
            left = memoryview(line(report, self._setting).encode())
        except Exception as error:
            raise RuntimeError(f"a report cannot be made: {type(error).__name__}: {error}") from error
        try:
            while left:
                left = left[self._file.write(left) :]
        except OSError as error:
            raise self._cannot(error) from error
        self._written[id(report)] = report

    def correct(self, reports: "Iterable[Report]") -> None:
        """Write those again that came out otherwise in the end: the last line of an image counts."""
        for report in reports:
            if id(report) not in self._written:
                self.add(report)

    def _refuse_what_is_none(self) -> None:
        """It might be a disk that an image rests on, and nobody knows yet."""
        from validator.report.jsonl import BEGINNING

        with open(self._path, "rb") as file:
            found = file.read(len(BEGINNING))
        if found != BEGINNING.encode()[: len(found)]:
            raise Refused(f"the report {printable(self._path)} would overwrite a file that is no such report")

    def _read(self, in_force: "InForce") -> "tuple[dict[str, Report], list[str], int]":
        """The last report of each image, what cannot be used, and where the last whole line ends."""
        from validator.report.reading import Lines

        lines = Lines(self._setting, in_force.policy.catalogue(options.all_checks(in_force.profile)))
        found: dict[str, Report] = {}
        faults: list[str] = []
        end = 0
        with open(self._path, "rb") as file:
            for number, line in enumerate(_lines(file), 1):
                end = file.tell()
                try:
                    report = lines.report(line)
                except ValueError as error:
                    faults.append(f"line {number}: {error}")
                else:
                    found[report.path] = report
        return found, faults, end

    def _told(self, taken: int, of: int, faults: Sequence[str]) -> str:
        words = f"{printable(self._path)}: {taken} of {of} images are taken over"
        if not faults:
            return words
        number = f"{len(faults)} line{'s' if len(faults) > 1 else ''} cannot be used"
        return f"{words}; {number}, first {shortened(faults[0], _LONGEST_REASON)}"

    def _cannot(self, error: OSError) -> Refused:
        return Refused(f"cannot write the report {printable(self._path)}: {error.strerror}")


def _lines(file: BinaryIO) -> Iterator[bytes]:
    """The lines that have an end, without it; of one that is too long the beginning."""
    while line := file.readline(MAX_LINE):
        rest = line
        while rest and not rest.endswith(b"\n"):
            rest = file.readline(MAX_LINE)
        if not rest:
            return
        yield line.removesuffix(b"\n")


def _stands(report: "Report") -> bool:
    """Whether the report would come out the same now: it answers all, and its files are what they were.

    What could not be answered is asked again: a parent may be there by now, or who held the file be gone.
    """
    from validator.checks.model import Status

    unknown = any(Status.UNKNOWN in (each.status, each.waived) for each in report.findings)
    return not unknown and bool(report.parts) and all(map(_unchanged, report.parts))


def _unchanged(part: "FileState") -> bool:
    """Whether a file can be had, nobody is changing it, and it is what it was."""
    from validator.evidence import Unreadable
    from validator.source import FileSource

    try:
        source = FileSource(part.path)
    except (OSError, Unreadable):
        return False
    source.close()
    # A device has another number on each machine, and after each start.
    return part._replace(device=source.state.device).difference(source.state) is None


def _setting(in_force: "InForce", keywords: Mapping[str, Any]) -> "Setting":
    from validator.report.jsonl import Setting
    from validator.validation import asked

    policy, today = in_force.policy, keywords["today"]
    aims = ("input_format", "generation", "will_convert", "nvme")
    plugins = (check.distribution for check in options.all_checks(in_force.profile))
    return Setting(
        __version__,
        tuple(dict.fromkeys(each for each in plugins if each is not None)),
        in_force.in_report,
        sum(waiver.expired(today) for waiver in policy.waivers),
        asked(in_force.profile, policy, **{name: keywords[name] for name in aims}),
        tuple(map(shown, keywords["parents"])),
        keywords["member"],
        keywords["timeline"],
        keywords["data_disk"],
        options.folder(),
    )


def of(path: str | None, *, resume: bool, receipt: str | None, baseline: str | None) -> Journal:
    """The journal of a run that may also write a receipt or a baseline.

    Raises:
        click.UsageError: where nothing can be taken over, or what is made of the reports has to be seen now.
    """
    if resume and path is None:
        raise click.UsageError("--resume goes on with the file of --report jsonl, and that is missing")
    for name, other in (("--receipt", receipt), ("--write-baseline", baseline)):
        if resume and other is not None:
            raise click.UsageError(f"--resume and {name} exclude each other: it is for what was judged now")
    return Journal(path, resume=resume)


def option(function: options.Function) -> options.Function:
    """`--resume`."""
    return click.option(
        "--resume",
        is_flag=True,
        help="Go on with a run that was cut short: take over what the file of --report jsonl says of images "
        "that did not change, and judge the others.",
    )(function)
