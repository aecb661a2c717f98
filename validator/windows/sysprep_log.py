"""Sysprep's own log: what its last run was asked to do, and how it ended.

Sources: Microsoft's support articles that quote the log (KB 929828, KB 2769827, KB 929829) and public
captures; the codes in brackets are stable, the text is English on localised systems as well.
"""

import re
from datetime import datetime
from enum import Enum
from typing import NamedTuple

from validator.source import ByteSource
from validator.windows.text import Line, LineReader

_BEGIN = "beginning of a new sysprep run"
_CODE = re.compile(r"[\[(]0x0?(f[0-9a-f]{4})[\])]", re.IGNORECASE)
_OPTION = re.compile(r"Found supported command line option '(\w+)'")
_TAGGED = "FCreateTagFile:Successfully created tag file"
_FATAL = {"f0070", "f0073", "f00a8", "f00ae", "f00d8"}
"""Provider error, invalid recorded state, internal and external providers failed, validation failed."""
_DIALOG = "f003d"


class Ending(str, Enum):
    """How a run of sysprep ended."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"
    BROKEN_OFF = "broke off"


class SysprepRun(NamedTuple):
    """The last run in a log. Times are local time of the machine that was sysprepped."""

    started: datetime | None
    options: tuple[str, ...]
    """Upper case, as the log has them; empty for a run from the dialog."""
    dialog: bool
    ending: Ending
    ended: datetime | None
    """When it succeeded or failed; None where it broke off."""
    last_words: tuple[Line, ...]
    """The lines that say so: the first fatal ones, or the last line of all."""

    @property
    def generalize(self) -> bool:
        """Whether it was told to generalize on its command line."""
        return "GENERALIZE" in self.options


class SysprepLog(NamedTuple):
    """What sysprep's log says of all its runs, as far back as it was searched."""

    last_run: SysprepRun
    generalize_run: bool
    """Whether any run was told to generalize."""
    last_success: datetime | None
    """When a run last succeeded, whichever it was."""


def read_log(log: ByteSource) -> SysprepLog | None:
    """What sysprep's log says, or None where no run can be made out.

    The log is read from its end; beyond the last run only for what that run does not answer. Where the
    search ends before the log's start, what it did not find is taken as absent.

    Raises:
        Unreadable: where the log's bytes cannot be read.
    """
    reader = LineReader(log)
    lines = iter(reader)
    last: list[Line] = []
    begun = False
    for line in lines:
        last.append(line)
        if _BEGIN in line.text.lower():
            begun = True
            break
    if not begun and not (reader.complete and any("SYSPRP" in line.text for line in last)):
        return None
    run = _run([line for line in reversed(last) if line.text.strip()])
    generalize = run.generalize
    success = run.ended if run.ending is Ending.SUCCEEDED else None
    for line in lines:
        if generalize and success:
            break
        if (match := _OPTION.search(line.text)) and match[1].upper() == "GENERALIZE":
            generalize = True
        elif success is None and _TAGGED in line.text:
            success = line.time
    return SysprepLog(run, generalize, success)


def _run(lines: list[Line]) -> SysprepRun:
    options: list[str] = []
    dialog = False
    fatal: list[Line] = []
    success: Line | None = None
    for line in lines:
        if match := _OPTION.search(line.text):
            options.append(match[1].upper())
        code = _CODE.search(line.text)
        if code and code[1].lower() in _FATAL:
            fatal.append(line)
        elif code and code[1].lower() == _DIALOG:
            dialog = True
        elif _TAGGED in line.text:
            # A fatal code before the success was overcome.
            success, fatal = line, []
    started = next((line.time for line in lines if line.time), None)
    if fatal:
        ending, words = Ending.FAILED, (*_words_before(lines, fatal[0]), *fatal[:2])
    elif success:
        ending, words = Ending.SUCCEEDED, (success,)
    else:
        ending, words = Ending.BROKEN_OFF, tuple(lines[-1:])
    ended = words[-1].time if words and ending is not Ending.BROKEN_OFF else None
    return SysprepRun(started, tuple(options), dialog, ending, ended, words)


def _words_before(lines: list[Line], fatal: Line) -> tuple[Line, ...]:
    """The first error line that led to the fatal one: it names what sysprep tripped over."""
    for line in lines:
        if line is fatal:
            break
        if re.search(r",\s*Error\b|was installed for a user|Failure occurred", line.text):
            return (line,)
    return ()


def find_since(log: ByteSource, text: str, since: datetime) -> tuple[Line | None, bool]:
    """The last line with `text` that is later than `since`, and whether the search was finished.

    Raises:
        Unreadable: where the log's bytes cannot be read.
    """
    reader = LineReader(log)
    for line in reader:
        time = line.time
        if time is not None and time <= since:
            return None, True
        if text in line.text and time is not None:
            return line, True
    return None, reader.complete
