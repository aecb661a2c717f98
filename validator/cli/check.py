"""`image-validator check`: judge images."""

import os
from datetime import datetime, timezone

import click

from validator import __version__
from validator.checks.model import Severity
from validator.cli import options
from validator.profiles import DEFAULT_PROFILE, PROFILES
from validator.report.formats import FORMATS, Style, render
from validator.report.model import RunReport
from validator.report.printable import printable


class _ReportFile(click.ParamType):  # type: ignore[type-arg, unused-ignore]
    """FORMAT=FILE."""

    name = "FORMAT=FILE"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, str]:
        kind, _, path = str(value).partition("=")
        if kind not in FORMATS or not path:
            self.fail(f"{value!r} is not FORMAT=FILE with a FORMAT of {', '.join(FORMATS)}", param, ctx)
        if path == "-":
            self.fail("a report goes to a file; --format says what standard output gets", param, ctx)
        folder = os.path.dirname(path) or "."
        if not os.path.isdir(folder):
            self.fail(f"there is no folder {printable(folder)!r} to write to", param, ctx)
        return kind, path


@click.command("check", no_args_is_help=True)
@click.argument("images", nargs=-1, required=True, metavar="IMAGE...", type=click.Path())
@click.option(
    "--profile",
    type=click.Choice([profile.id for profile in PROFILES]),
    default=DEFAULT_PROFILE,
    show_default=True,
    help="The question to ask. " + " ".join(f"{profile.id}: {profile.title}" for profile in PROFILES),
)
@click.option(
    "--generation",
    type=click.Choice(("1", "2")),
    help="The generation of the machine: 1 starts by BIOS, 2 by UEFI. Left out, the disk decides.",
)
@click.option(
    "--will-convert",
    is_flag=True,
    help="The pipeline converts the image to a fixed VHD afterwards: its container is only a notice.",
)
@click.option("--vm-size-nvme", "nvme", is_flag=True, help="The machine's size has NVMe disks only.")
@click.option(
    "--format", "-f", "output_format", type=click.Choice(FORMATS), default="text", show_default=True,
    help="What to print on standard output.",
)  # fmt: skip
@click.option(
    "--report",
    "reports",
    type=_ReportFile(),
    multiple=True,
    help="Also write a report to a file; repeatable.",
)
@click.option(
    "--fail-on",
    type=click.Choice([Severity.ERROR.value, Severity.WARNING.value]),
    default=Severity.ERROR.value,
    show_default=True,
    help="Which failed checks fail the command. It changes no verdict.",
)
@click.option("--exit-zero", is_flag=True, help="Return 0 instead of 1, 3 and 4, for a trial run.")
@options.input_format
@options.parents
@click.option("--quiet", "-q", is_flag=True, help="Only verdicts and their reasons.")
@click.option("--verbose", "-v", is_flag=True, help="Also what passed, the layers, and all evidence.")
@options.no_color
def command(
    images: tuple[str, ...],
    profile: str,
    generation: str | None,
    will_convert: bool,
    nvme: bool,
    output_format: str,
    reports: tuple[tuple[str, str], ...],
    fail_on: str,
    exit_zero: bool,
    input_format: str,
    parents: tuple[str, ...],
    quiet: bool,
    verbose: bool,
    no_color: bool,
) -> int:
    """Judge images, and fail where one cannot be deployed.

    IMAGE is a VHD, VHDX or raw disk image; it is opened for reading only. A path that exists is
    taken literally, anything else that looks like one is expanded as a pattern.
    """
    if quiet and verbose:
        raise click.UsageError("--quiet and --verbose exclude each other")
    started = datetime.now(timezone.utc)
    paths, unmatched = options.images(images)
    _refuse_to_overwrite([*paths, *parents], reports)
    from validator.judging import ExitCode, exit_code
    from validator.validation import validate

    try:
        results = tuple(
            validate(
                path,
                profile,
                input_format=options.forced(input_format),
                parents=parents,
                generation=int(generation) if generation else None,
                will_convert=will_convert,
                nvme=nvme,
            )
            for path in paths
        )
    except FileNotFoundError as error:
        raise options.Refused(f"no such file: {printable(str(error.filename))}") from error
    judgements = [result.judgement for result in results]
    code = exit_code(judgements, Severity(fail_on), unmatched=bool(unmatched))
    for pattern in unmatched:
        click.echo(f"nothing to check: no image matches {printable(pattern)}", err=True)
    run = RunReport(__version__, started, profile, code, results)
    colour = options.colour(no_color)
    style = Style(colour, options.width(), quiet, verbose)
    options.show(render(output_format, run, style), colour=colour)
    for kind, path in reports:
        _write(path, render(kind, run, Style(quiet=quiet, verbose=verbose)))
    return ExitCode.DEPLOYABLE.value if exit_zero else code.value


def _refuse_to_overwrite(images: list[str], reports: tuple[tuple[str, str], ...]) -> None:
    """A report never lands on an image (promise 1)."""
    if len({os.path.realpath(path) for _, path in reports}) < len(reports):
        raise options.Refused("two reports would go to one file")
    for _, path in reports:
        for image in images:
            if os.path.exists(path) and os.path.exists(image) and os.path.samefile(path, image):
                raise options.Refused(f"the report {printable(path)} would overwrite an image")


def _write(path: str, text: str) -> None:
    try:
        with open(path, "w", encoding="utf-8", errors="backslashreplace", newline="\n") as file:
            file.write(text)
    except OSError as error:
        raise options.Refused(f"cannot write the report {printable(path)}: {error.strerror}") from error
