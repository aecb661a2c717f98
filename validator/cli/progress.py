"""How far a run is, on standard error: a bar on a terminal, else a line every few seconds."""

import io
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TextIO, cast

import click

from validator.cli import options

_EVERY = 5.0
"""Seconds between two lines of progress where there is no terminal."""


@contextmanager
def counted(
    total: int, label: str, line: Callable[[int], str], *, quiet: bool
) -> Iterator[Callable[[int], object]]:
    """A function to call with how much more is done.

    Args:
        total: how much there is to do.
        label: what is done, beside the bar.
        line: says in words how far it is, by how much is done.
        quiet: whether nothing is said.
    """
    done, said = 0, time.monotonic()

    def more(count: int) -> None:
        nonlocal done, said
        done += count
        if not quiet and time.monotonic() - said >= _EVERY:
            said = time.monotonic()
            options.tell(line(done))

    if quiet or not sys.stderr.isatty():
        yield more
        return
    with click.progressbar(length=total, label=label, file=cast(TextIO, _Terminal())) as bar:
        yield bar.update


class _Terminal(io.TextIOBase):
    """Standard error for a bar; that nobody sees it changes nothing."""

    def isatty(self) -> bool:
        """A bar is shown on a terminal only."""
        return True

    def write(self, text: str) -> int:
        """See `options.tell`."""
        options.tell(text, newline=False)
        return len(text)
