"""What is known of sysprep's failures: entries of `validator/knowledge`, found in the lines of a log."""

import functools
import re
import sys
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from validator.redaction import HIDDEN, redact
from validator.windows.text import Line

SYSPREP, SETUP = "sysprep", "setup"
_LONGEST = 2048
"""Characters of a line that are compared."""
_LONGEST_NAME = 256
_LEVEL = re.compile(r", (?:Info|Warning|Perf)\s")
"""Lines that are no errors; some layouts give no level."""
_MOST_NAMES = 8
"""Things that one failure names, such as packages; more are as many lines of the log."""


class Failure(NamedTuple):
    """An entry of the knowledge base; what each field means stands at the top of that file."""

    id: str
    log: str
    after_success: bool
    """Whether it is only meant where the run before had succeeded."""
    signatures: tuple[re.Pattern[str], ...]
    cause: str
    remedy: str
    commands: tuple[str, ...]
    disk: tuple[str, ...]
    sources: tuple[str, ...]
    confirmed: bool
    """Whether the wording of the signature was seen in a log."""


class KnownFailure(NamedTuple):
    """A failure that was found in a log, and what that log names."""

    failure: Failure
    lines: tuple[Line, ...]
    """Where it was found; one for each thing that is named."""
    names: tuple[dict[str, str], ...]
    """The named groups of the signature, for each line; secrets are hidden."""

    @property
    def cause(self) -> str:
        """The cause in a clause."""
        more = f" (and {len(self.names) - 1} more)" if len(self.names) > 1 else ""
        return self.failure.cause.format_map(_Names(self.names[0])) + more

    @property
    def remedy(self) -> str:
        """What to do."""
        return self.failure.remedy.format_map(_Names(self.names[0]))

    @property
    def commands(self) -> tuple[str, ...]:
        """The commands, those with a name once for each."""
        filled = [
            command.format_map(_Names(names))
            for command in self.failure.commands
            for names in self.names
            if not any(HIDDEN in name for name in names.values())
        ]
        return tuple(dict.fromkeys(filled))


class _Names(dict[str, str]):
    """A name that this layout of the log does not give is left out."""

    def __missing__(self, key: str) -> str:
        return ""


class Knowledge(NamedTuple):
    """All that is known."""

    failures: tuple[Failure, ...]
    benign: tuple[re.Pattern[str], ...]
    """Errors that logs of healthy images contain as well."""


def read_file() -> dict[str, Any]:
    """The knowledge base as it is in its file."""
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib
    from importlib import resources

    text = resources.files("validator.knowledge").joinpath("sysprep_failures.toml").read_text("utf-8")
    data: dict[str, Any] = tomllib.loads(text)
    return data


@functools.cache
def knowledge() -> Knowledge:
    """The knowledge base; it is read when the first image needs it."""
    data = read_file()
    return Knowledge(
        tuple(map(_failure, data["failure"])),
        tuple(_pattern(entry["signature"]) for entry in data["benign"]),
    )


def _failure(entry: dict[str, Any]) -> Failure:
    return Failure(
        entry["id"],
        entry["log"],
        entry.get("after") == "success",
        tuple(map(_pattern, entry["signatures"])),
        entry["cause"],
        entry["remedy"],
        tuple(entry.get("commands", ())),
        tuple(entry.get("disk", ())),
        tuple(entry["sources"]),
        entry.get("confirmed", True),
    )


def _pattern(text: str) -> re.Pattern[str]:
    return re.compile(text, re.IGNORECASE | re.ASCII)


def is_benign(line: Line) -> bool:
    """Whether logs of healthy images contain the line as well."""
    return any(pattern.search(line.text[:_LONGEST]) for pattern in knowledge().benign)


def find_failure(lines: Sequence[Line], log: str, *, after_success: bool = False) -> KnownFailure | None:
    """The first known failure (in the order of the knowledge base) that the lines have, or None.

    Args:
        lines: of what failed; a failure that was overcome looks the same.
        log: `SYSPREP` or `SETUP`: which log they are from.
        after_success: whether the run before had succeeded.
    """
    told = [line for line in lines if line.text.strip() and not _LEVEL.search(line.text[:64])]
    for failure in knowledge().failures:
        if failure.log != log or (failure.after_success and not after_success):
            continue
        if found := _matches(failure, told):
            return KnownFailure(failure, tuple(found.values()), tuple(map(dict, found)))
    return None


def _matches(failure: Failure, lines: Iterable[Line]) -> dict[tuple[tuple[str, str], ...], Line]:
    """The first line for each thing that is named."""
    found: dict[tuple[tuple[str, str], ...], Line] = {}
    for line in lines:
        for signature in failure.signatures:
            if (match := signature.search(line.text[:_LONGEST])) and not is_benign(line):
                groups = match.groupdict()
                names = tuple(
                    (name, redact(text.strip()[:_LONGEST_NAME]))
                    for name, text in groups.items()
                    if text is not None
                )
                found.setdefault(names, line)
        if len(found) >= _MOST_NAMES:
            break
    # A second signature may repeat the failure without naming anything.
    return {names: line for names, line in found.items() if names} or found
