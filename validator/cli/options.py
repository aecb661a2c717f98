"""Options and arguments that commands share."""

import os
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TextIO, TypeVar

import click

from validator.address import hidden, is_address
from validator.disk.formats import FORMATS
from validator.report.printable import printable

if TYPE_CHECKING:
    from validator.checks.model import Check


class Refused(click.ClickException):
    """The command cannot be carried out as it stands; said without the usage lines."""

    exit_code = 2


Function = TypeVar("Function", bound=Callable[..., Any])


def all_checks(profile: str | None = None) -> "tuple[Check, ...]":
    """Every check there is, or those that a profile asks, those of plug-ins included.

    Raises:
        Refused: where an installed plug-in cannot be used.
    """
    from validator import catalogue
    from validator.checks.model import PluginError

    try:
        return catalogue.all_checks(profile)
    except PluginError as error:
        raise Refused(printable(str(error))) from error


def destination(function: Function) -> Function:
    """`--generation`, `--will-convert` and `--vm-size-nvme`: what becomes of the image."""
    for option in (
        click.option(
            "--vm-size-nvme",
            "nvme",
            is_flag=True,
            help="The machine's size has NVMe disks only: ask whether Windows can start from one.",
        ),
        click.option(
            "--will-convert",
            is_flag=True,
            help="The pipeline converts the image to a fixed VHD afterwards: what is wrong with the "
            "container is only a notice.",
        ),
        click.option(
            "--generation",
            type=click.Choice(("1", "2")),
            callback=lambda ctx, param, value: int(value) if value else None,
            help="The generation of the machine: 1 starts by BIOS, 2 by UEFI. Left out, the disk decides.",
        ),
    ):
        function = option(function)
    return function


def input_format(function: Function) -> Function:
    """`--input-format`: overrule what the content says."""
    return click.option(
        "--input-format",
        type=click.Choice(("auto", *FORMATS)),
        default="auto",
        show_default=True,
        help="Read the image as this format instead of the one that its content shows.",
    )(function)


def forced(input_format: str) -> str | None:
    """The format that the content must not overrule, or None."""
    return None if input_format == "auto" else input_format


def parents(function: Function) -> Function:
    """`--parent`: files that may be parents of a differencing disk."""
    return click.option(
        "--parent",
        "parents",
        type=_FileOrAddress(exists=True, dir_okay=False),
        multiple=True,
        metavar="FILE",
        help="A file or address that may be a parent of a differencing disk, wherever it lies; repeatable.",
    )(function)


def max_transfer(function: Function) -> Function:
    """`--max-transfer`: how much may be read over the network."""
    return click.option(
        "--max-transfer",
        type=Size(),
        help="How much may be read of an image at an address, such as 200MiB.  [default: 64MiB]",
    )(function)


class _FileOrAddress(click.Path):
    """A path that is looked at, or an address that is not yet."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        return value if isinstance(value, str) and is_address(value) else super().convert(value, param, ctx)


_UNITS = {"": 1, "B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "KIB": 2**10, "MIB": 2**20, "GIB": 2**30}


class Size(click.ParamType):  # type: ignore[type-arg, unused-ignore]
    """Bytes, as a number with or without a unit."""

    name = "SIZE"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """See click."""
        text = str(value)
        digits = text[: len(text) - len(text.lstrip("0123456789"))]
        unit = _UNITS.get(text[len(digits) :].strip().upper())
        if not 0 < len(digits) < 20 or unit is None:
            self.fail(f"expected a size such as 200MiB, found {text!r}", param, ctx)
        return int(digits) * unit


def silence_libraries() -> None:
    """What they log is not for our users, and of requests it holds addresses with all that is in them."""
    import logging

    logging.disable(logging.CRITICAL)


def reach(addresses: Sequence[str], parents: Sequence[str], *, first: bool) -> None:
    """Open every address that is named once, before anything is judged.

    Args:
        addresses: of images.
        parents: of which some may be addresses.
        first: whether judging opens the only image first of all, and says what it finds.

    Raises:
        Refused: where the user has to mend something first.
    """
    others = list(filter(is_address, parents))
    if addresses or others:
        silence_libraries()
    if not others and len(addresses) <= first:
        return
    from validator.remote import reach

    if faults := reach([*addresses, *others]):
        raise Refused("\n".join(printable(str(fault)) for fault in faults))


def no_color(function: Function) -> Function:
    """`--no-color`."""
    return click.option(
        "--no-color", is_flag=True, help="No colours; also when NO_COLOR is set or output is no terminal."
    )(function)


def colour(no_color: bool) -> bool:
    """Whether standard output takes colours (https://no-color.org)."""
    return (
        not no_color
        and not os.environ.get("NO_COLOR")
        and os.environ.get("TERM") != "dumb"
        and sys.stdout.isatty()
    )


def width() -> int:
    """Columns to write for: the terminal's, or 80 in a log."""
    try:
        columns = int(os.environ.get("COLUMNS") or os.get_terminal_size().columns)
    except (ValueError, OSError):
        columns = 0  # not a number; not a terminal
    return min(120, columns) if columns > 0 else 80


def folder() -> str:
    """The working directory; empty where it is gone."""
    try:
        return os.getcwd()
    except OSError:
        return ""


def show(text: str, *, colour: bool = False) -> None:
    """Print to standard output; that whoever reads it has seen enough (`| head`) changes nothing else.

    Raises:
        Refused: where it cannot be printed for another reason, such as a full disk.
    """
    try:
        click.echo(text, nl=False, color=colour)
    except OSError as error:
        _discard(sys.stdout)
        if not isinstance(error, BrokenPipeError):
            raise Refused(f"cannot print the report: {error.strerror}") from error


def tell(text: str, *, newline: bool = True) -> None:
    """Say something on standard error; that nobody can hear it (a full disk, `2>&-`) changes nothing."""
    try:
        click.echo(hidden(text), nl=newline, err=True)
    except OSError:
        _discard(sys.stderr)


def _discard(stream: TextIO) -> None:
    """Lead a stream nowhere, and what Python holds of it: it would complain again at its end."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, stream.fileno())
    os.close(nowhere)
