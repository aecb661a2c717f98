"""Sysprep's own log: what its runs were asked to do, what they called, and how they ended.

Sources: Microsoft's support articles that quote the log (KB 929828, KB 2769827, KB 929829) and public
captures; the codes in brackets are stable, the text is English on localised systems as well.
"""

import re
from collections.abc import Iterable, Iterator
from datetime import datetime
from enum import Enum
from typing import NamedTuple

from validator.source import ByteSource
from validator.windows.text import Line, LineReader

_BEGIN = "beginning of a new sysprep run"
_CODE = re.compile(r"[\[(]0x0?(f[0-9a-f]{4})[\])]", re.IGNORECASE)
_OPTION = re.compile(r"Found supported command line option '(\w{1,32})'")
_PHASE = re.compile(r"WinMain: ?(Pre-valid\w+|Processing) '(\w+)' (?:internal|external) provider")
_CALL = re.compile(
    r"(?:LaunchModule|LaunchDll): ?(Successfully executed|Failure occurred while executing)"
    r" '([^']+)'(?: from ([^;]+?)(?= without error|;|$))?"
)
_TAGGED = "FCreateTagFile:Successfully created tag file"
_RULE = "=" * 20
_LONGEST = 2048
"""Characters of a line that are looked at."""
_FATAL = {"f0070", "f0073", "f00a8", "f00ae", "f00d8"}
"""Provider error, invalid recorded state, internal and external providers failed, validation failed."""
_LAST_OF_A_RUN = {"f00a8", "f00ae", "f00d8"}
_VALIDATION = "f00d8"
_REFUSED = "f0073"
_DIALOG = "f003d"
_VM_MODE = "f00b7"
_ERROR = r",\s*Error\b|was installed for a user|Failure occurred"
_MOST_TROUBLE = 1000
"""Lines before the fatal ones that are kept."""


class Ending(str, Enum):
    """How a run of sysprep ended."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"
    BROKEN_OFF = "broke off"


class Call(NamedTuple):
    """A provider that was called: a function in a library."""

    entry: str
    library: str | None
    """None where the log has both in one, as Windows 7 to 8.1 write it."""
    failed: bool


class SysprepRun(NamedTuple):
    """One run in a log. Times are local time of the machine that was sysprepped."""

    begun: bool
    """Whether its beginning is in the log."""
    started: datetime | None
    options: tuple[str, ...]
    """Upper case, as the log has them; empty for a run from the dialog."""
    dialog: bool
    vm_mode: bool
    """Whether it prepared the image for the same kind of virtual machine only (`/mode:vm`)."""
    phases: tuple[str, ...]
    """What it came to, in order: `validate cleanup`, `generalize` and so on."""
    calls: tuple[Call, ...]
    ending: Ending
    ended: datetime | None
    """When it succeeded or failed; None where it broke off."""
    refused: bool
    """Whether it did nothing because an earlier run had failed, or had done its work."""
    only_validated: bool
    """Whether it failed before it changed anything."""
    tagged: datetime | None
    """When it wrote the tag file, though something fatal may have followed."""
    last_words: tuple[Line, ...]
    """The lines that say how it ended: the first fatal ones, or the last line of all."""
    trouble: tuple[Line, ...]
    """Of a run that failed: the lines since the last provider that succeeded. The cause stands in them."""

    @property
    def generalize(self) -> bool:
        """Whether it was told to generalize on its command line."""
        return "GENERALIZE" in self.options

    @property
    def idle(self) -> bool:
        """Whether it came to nothing: the dialog was closed, or the run was not let in."""
        return self.ending is Ending.BROKEN_OFF and not self.phases and not self.calls

    @property
    def command(self) -> str:
        """What was called, as one would write it."""
        words = " ".join(f"/{option.lower()}" for option in self.options)
        return f"sysprep {words}" if words else "sysprep (options unknown)"


class SysprepLog(NamedTuple):
    """What sysprep's log says, as far back as it was searched."""

    runs: tuple[SysprepRun, ...]
    """The last first; there is one at least."""
    generalize_run: bool
    """Whether any run was told to generalize."""
    last_success: datetime | None
    """When a run last succeeded, whichever it was."""

    @property
    def last_run(self) -> SysprepRun:
        """The run that left the image as it is."""
        return self.runs[0]

    @property
    def decisive(self) -> SysprepRun:
        """The last run that came to something."""
        return next((run for run in self.runs if not run.idle), self.last_run)

    @property
    def first_failure(self) -> SysprepRun | None:
        """The run that failed, if the decisive one did: where that was refused for it, an earlier one."""
        decisive = self.decisive
        if decisive.ending is not Ending.FAILED:
            return None
        for run in self.runs[self.runs.index(decisive) :] if decisive.refused else ():
            if run.idle or run.refused:
                continue
            # What only failed to validate, or broke off without a word, refuses nothing or tells nothing.
            return run if run.ending is Ending.FAILED and not run.only_validated else decisive
        return decisive

    @property
    def run_again(self) -> bool:
        """Whether the decisive run was refused because the one before it had succeeded."""
        rest = [run for run in self.runs if not run.idle and not run.refused]
        return self.decisive.refused and bool(rest) and rest[0].ending is Ending.SUCCEEDED


def read_log(*logs: ByteSource, everything: bool = False) -> SysprepLog | None:
    """What sysprep's log says, or None where no run can be made out.

    The log is read from its end; beyond the last run only for what that run does not answer. Where the
    search ends before the log's start, what it did not find is taken as absent.

    Args:
        logs: the log, then what was rotated away from it, the newest first.
        everything: read on to the first run.

    Raises:
        Unreadable: where the log's bytes cannot be read.
    """
    reader = LineReader(*logs)
    runs: list[SysprepRun] = []
    generalize = False
    success: datetime | None = None
    for lines, begun in _parts(reader):
        run = _run(lines, begun)
        if not begun and not reader.complete and not run.generalize:
            # The rest of the options lies beyond the search.
            run = run._replace(options=())
        generalize = generalize or run.generalize
        if success is None:
            success = run.tagged if runs or run.ending is Ending.SUCCEEDED else None
        # Without its beginning it is a run where the log begins in it, or what is left says how it ended.
        ours = begun or any("SYSPRP" in line.text for line in lines)
        if ours and (begun or reader.complete or run.ending is not Ending.BROKEN_OFF):
            runs.append(run)
        if not runs or (not everything and generalize and success and _explained(runs[-1])):
            break
    return SysprepLog(tuple(runs), generalize, success) if runs else None


def read_errors(log: ByteSource) -> SysprepRun | None:
    """The last failure in a log that has errors only (`setuperr.log`), or None.

    It does not say where a run begins: an earlier failure than the last, or one that a later run
    overcame, looks the same.

    Raises:
        Unreadable: where the log's bytes cannot be read.
    """
    lines: list[Line] = []
    for line in LineReader(log):
        # The last line of a failure is the first that is met; the next such belongs to an older one.
        if lines and _code(line) in _LAST_OF_A_RUN and any(_code(each) in _FATAL for each in lines):
            break
        lines.append(line)
    run = _run([line for line in reversed(lines) if line.text.strip()], begun=False)
    return run if run.ending is Ending.FAILED else None


def _parts(lines: Iterable[Line]) -> Iterator[tuple[list[Line], bool]]:
    """The lines of each run, the last run first, and whether its beginning is among them."""
    part: list[Line] = []
    for line in lines:
        if len(line.text) > _LONGEST:
            line = line._replace(text=line.text[:_LONGEST])
        if not line.text.strip() or (not part and line.text.rstrip().endswith(_RULE)):
            continue
        part.append(line)
        if _BEGIN in line.text.lower():
            yield part[::-1], True
            part = []
    if part:
        yield part[::-1], False


def _explained(run: SysprepRun) -> bool:
    """Whether nothing before a run is needed to understand it."""
    return not run.refused and not run.idle


def _code(line: Line) -> str:
    match = _CODE.search(line.text)
    return match[1].lower() if match else ""


def _run(lines: list[Line], begun: bool) -> SysprepRun:
    options: dict[str, None] = {}
    phases: list[str] = []
    calls: list[Call] = []
    codes: set[str] = set()
    fatal: list[int] = []
    success: Line | None = None
    tagged: datetime | None = None
    good = failed = -1
    good_before = -1
    for index, line in enumerate(lines):
        code = _code(line)
        codes.add(code)
        if "'" not in line.text:
            pass  # none of the three that follow
        elif match := _OPTION.search(line.text):
            options[match[1].upper()] = None
        elif match := _PHASE.search(line.text):
            phase = match[2] if match[1] == "Processing" else f"validate {match[2]}"
            # Windows' own providers and those of other programs come one after the other.
            phases += [phase] if phases[-1:] != [phase] else []
        elif match := _CALL.search(line.text):
            calls.append(Call(match[2][:120], match[3], failed=match[1] != "Successfully executed"))
            if not calls[-1].failed:
                good = index
            elif not fatal:
                failed, good_before = index, good
        if code in _FATAL:
            fatal.append(index)
        elif _TAGGED in line.text:
            # A fatal code before the success was overcome.
            success, fatal, good, failed = line, [], index, -1
            tagged = line.time or tagged
    trouble: tuple[Line, ...] = ()
    if fatal:
        # The chain stops at the first provider that fails: its own lines begin behind the last that did not.
        start = max(good_before if failed >= 0 else _last_good(lines, fatal[0]), fatal[0] - _MOST_TROUBLE, -1)
        trouble = tuple(lines[start + 1 : fatal[-1] + 1])
        ending, words = Ending.FAILED, _last_words(lines, start + 1, failed, fatal)
    elif success:
        ending, words = Ending.SUCCEEDED, (success,)
    else:
        ending, words = Ending.BROKEN_OFF, tuple(lines[-1:])
    return SysprepRun(
        begun=begun,
        started=next((line.time for line in lines if line.time), None),
        options=tuple(options),
        dialog=_DIALOG in codes,
        vm_mode=_VM_MODE in codes,
        phases=tuple(phases),
        calls=tuple(calls),
        ending=ending,
        ended=words[-1].time if words and ending is not Ending.BROKEN_OFF else None,
        refused=any(_code(lines[index]) == _REFUSED for index in fatal),
        only_validated=any(_code(lines[index]) == _VALIDATION for index in fatal),
        tagged=tagged,
        last_words=words,
        trouble=trouble,
    )


def _last_good(lines: list[Line], before: int) -> int:
    """The last line of a provider that succeeded, or of a success."""
    for index in range(before - 1, -1, -1):
        match = _CALL.search(lines[index].text)
        if (match and match[1] == "Successfully executed") or _TAGGED in lines[index].text:
            return index
    return -1


def _last_words(lines: list[Line], start: int, failed: int, fatal: list[int]) -> tuple[Line, ...]:
    """What a failure left behind: the last error, the call that failed, the first and the last fatal line."""
    from validator.windows.sysprep_failures import is_benign  # only asked where sysprep failed

    end = failed if failed >= 0 else fatal[0]
    errors = (index for index in range(end - 1, start - 1, -1) if re.search(_ERROR, lines[index].text))
    error = next((index for index in errors if not is_benign(lines[index])), None)
    chosen = {*([] if error is None else [error]), *([failed] if failed >= 0 else []), fatal[0], fatal[-1]}
    return tuple(lines[index] for index in sorted(chosen))


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
