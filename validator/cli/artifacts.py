"""`--member` and `--max-unpacked`, and how far an archive is unpacked, on standard error."""

import functools
import time
from collections.abc import Callable
from typing import Any

import click

from validator.cli import options

_EVERY = 5.0
"""Seconds between two lines of progress."""


class Archives:
    """What the user says of archives."""

    def __init__(self, member: str | None, max_unpacked: int | None) -> None:
        self.member = member
        self.max_unpacked = max_unpacked
        self._said = time.monotonic()

    def progress(self, *, quiet: bool) -> Callable[[int, int], object]:
        """A function to call with how many bytes of how many were read of one archive after the other."""

        def read(done: int, total: int) -> None:
            if not quiet and time.monotonic() - self._said >= _EVERY:
                from validator.report.text import size

                self._said = time.monotonic()
                options.tell(f"unpacking: {size(done)} of {size(total)} read")

        return read

    def refuse_receipt(self, path: str | None) -> None:
        """A receipt says of a file as a whole that it passed, whichever member somebody unpacks of it.

        Raises:
            options.Refused: where one is asked for one member.
        """
        if path is not None and self.member is not None:
            raise options.Refused(
                "a receipt is about a file as a whole, and --member about a part of one: unpack it first"
            )


def archive_options(function: Callable[..., int]) -> Callable[..., int]:
    """`--member` and `--max-unpacked`, handed over as one parameter `archives`."""

    @functools.wraps(function)
    def asked(*args: Any, member: str | None, max_unpacked: int | None, **others: Any) -> int:
        return function(*args, archives=Archives(member, max_unpacked), **others)

    for option in (
        click.option(
            "--max-unpacked",
            type=options.Size(),
            metavar="SIZE",
            help="How much may be written to a temporary file of a compressed image, such as 100GiB; 0 to "
            "read archives only where that needs none.  [default: 64GiB]",
        ),
        click.option(
            "--member",
            metavar="NAME",
            help="The image to judge in an archive that holds several.",
        ),
    ):
        asked = option(asked)
    return asked
