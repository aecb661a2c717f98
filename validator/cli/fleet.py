"""`--jobs` and `--dask`: who judges the images, and how far they are."""

import functools
import os
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from validator.report.printable import printable

if TYPE_CHECKING:
    from validator.report.model import Report

_FEW = 4
"""Images that are judged in the time in which a process is started."""


class Fleet(NamedTuple):
    """The answer to `--jobs` and `--dask`."""

    jobs: int | None
    """Processes; None leaves it to their number and this machine."""
    dask: str | None
    """The address of a cluster's scheduler."""

    def judge(
        self, paths: Sequence[str], *, alone: bool, quiet: bool, **keywords: Any
    ) -> "Generator[tuple[str, Report], None, None]":
        """The paths and their reports, as they come.

        Args:
            paths: of the images.
            alone: whether the run is about one image: the errors of `validator.validate` are raised.
            quiet: whether nothing is said of how far it is.
            **keywords: of `validator.validate`.

        Raises:
            Refused: where the cluster cannot be used.
        """
        if alone:
            from validator.validation import validate

            for path in paths:
                yield path, validate(path, **keywords)
            return
        from validator.fleet import judged

        with ExitStack() as stack:
            jobs = self._jobs(len(paths))
            if self.dask is not None:
                from validator.cli.dask import cluster

                keywords["executor"], jobs = stack.enter_context(cluster(self.dask))
            came = stack.enter_context(_progress(len(paths), quiet=quiet))
            for path, report in judged(paths, jobs=jobs, **keywords):
                came(report)
                yield path, report

    def _jobs(self, images: int) -> int:
        if self.jobs is not None:
            return max(1, min(self.jobs, images))
        return max(1, min(_cores(), images // _FEW))


def _cores() -> int:
    """Those that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@contextmanager
def _progress(total: int, *, quiet: bool) -> "Iterator[Callable[[Report], object]]":
    """A function to call with each report, for the progress on standard error."""
    if total < 2 * _FEW:
        yield lambda report: None
        return
    from validator.cli.progress import counted

    verdicts = {"undeployable": 0, "indeterminate": 0, "deployable": 0}

    def line(done: int) -> str:
        bad = [f"{count} {word}" for word, count in verdicts.items() if count and word != "deployable"]
        return f"{done} of {total} judged" + (f": {', '.join(bad)}" if bad else "")

    with counted(total, "judged", line, quiet=quiet) as more:

        def came(report: "Report") -> None:
            verdicts[report.verdict.value] += 1
            more(1)

        yield came


def _number(ctx: click.Context, param: click.Parameter, value: str) -> int | None:
    if value == "auto":
        return None
    if not value.isascii() or not value.isdecimal() or int(value[:9]) < 1:
        raise click.BadParameter(f"expected a number from 1 up, or auto; found {printable(value)!r}")
    return int(value[:9])


def fleet_options(function: Callable[..., int]) -> Callable[..., int]:
    """`--jobs` and `--dask`, handed over as one parameter `fleet`."""

    @functools.wraps(function)
    def chosen(*args: Any, jobs: int | None, dask: str | None, **others: Any) -> int:
        if jobs is not None and dask is not None:
            raise click.UsageError("--jobs and --dask exclude each other: the cluster has its own workers")
        return function(*args, fleet=Fleet(jobs, dask), **others)

    for option in (
        click.option(
            "--dask",
            metavar="ADDRESS",
            help="Judge on the workers of a Dask cluster, which see the images under the same paths: the "
            "address of its scheduler, such as tcp://HOST:8786. Needs image-validator[dask].",
        ),
        click.option(
            "--jobs",
            "-j",
            default="auto",
            show_default=True,
            metavar="N",
            callback=_number,
            help="Processes that judge at the same time; auto: one for each core that may be used, as far as "
            "there are images for them.",
        ),
    ):
        chosen = option(chosen)
    return chosen
