"""The life of an installation: what happened to it, and when.

Times of the registry are UTC; those of logs are local time of the machine, which the registry knows the
distance of from UTC: events are put in order by that, and shown as they are stored.

Sources: Microsoft, Win32_OperatingSystem (InstallDate), TIME_ZONE_INFORMATION (Bias); logs of Windows Setup.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime, timedelta, timezone
from typing import Any, NamedTuple

from validator.disk.ntfs import NtfsVolume
from validator.facts.model import Attempt, Facts
from validator.facts.servicing import SERVICING_KEY
from validator.facts.setup import PANTHER_LOGS, SETUP_KEY, VERSION_KEY, SysprepHistory, read_history
from validator.redaction import redact
from validator.windows.hive import Hive, Value, filetime
from validator.windows.sysprep_failures import SYSPREP, find_failure
from validator.windows.sysprep_log import Ending, SysprepRun
from validator.windows.text import LineReader

_GENERALIZED = "GENERALIZE_RESEAL"
_TRANSITION = re.compile(r"Updating image state from \[IMAGE_STATE_(\w+)\] --> \[IMAGE_STATE_(\w+)\]")
_UPGRADED = "source os"
_FIRST_START = "Windows Setup began the first start"
_STARTED = "Windows Setup began on the generalized image"
_MOST_EVENTS = 256
_MOST_UPGRADES = 32


class Event(NamedTuple):
    """One thing that happened."""

    time: datetime | None
    """UTC, or without a zone the local time of a log; None where it is not known."""
    kind: str
    """`installed`, `upgraded`, `updated`, `sysprep`, `sealed`, `started` or `shut down`."""
    text: str
    """In words, such as `sysprep /generalize /oobe failed`; secrets are hidden."""


def install_date(software_hive: Hive) -> datetime | None:
    """When Windows was installed, or None where no such value is stored."""
    value = software_hive.value(VERSION_KEY, "InstallDate")
    return datetime.fromtimestamp(value.number, timezone.utc) if value is not None and value.number else None


def upgrades(system_hive: Hive) -> tuple[Event, ...]:
    """The upgrades in place; each leaves a key with what there was before."""
    found: list[Event] = []
    for name in system_hive.subkeys(SETUP_KEY):
        if len(found) < _MOST_UPGRADES and name.lower().startswith(_UPGRADED):
            key = system_hive.key(rf"{SETUP_KEY}\{name}")
            before = system_hive.value(rf"{SETUP_KEY}\{name}", "ProductName")
            words = "Windows was upgraded in place" + (f" from {redact(str(before))}" if before else "")
            found.append(Event(key.time if key is not None else None, "upgraded", words))
    return tuple(found)


def packages_changed(software_hive: Hive) -> datetime | None:
    """When the servicing stack last added or removed a package, or None where it has noted none."""
    key = software_hive.key(rf"{SERVICING_KEY}\Packages")
    return key.time if key is not None else None


def sysprep_runs(file_system: NtfsVolume) -> SysprepHistory | None:
    """All runs in sysprep's log, as far back as it is searched."""
    return read_history(file_system, everything=True)


def starts(file_system: NtfsVolume) -> tuple[Event, ...]:
    """The starts of a generalized image, the installation's own included, and the ends of Windows Setup."""
    found: dict[Event, None] = {}
    for path in PANTHER_LOGS:
        file = file_system.open(path)
        for line in LineReader(file) if file is not None else ():
            if not (match := _TRANSITION.search(line.text)):
                continue
            if match[1].startswith(_GENERALIZED) and match[2] == "UNDEPLOYABLE":
                found[Event(line.time, "started", _FIRST_START)] = None
            elif match[2] == "COMPLETE":
                found[Event(line.time, "started", "Windows Setup finished")] = None
    return tuple(found)[:_MOST_EVENTS]


def shut_down_time(system_hive: Hive, control_set: str) -> datetime | None:
    """When Windows was last shut down, or None where no such value is stored."""
    value = system_hive.value(rf"{control_set}\Control\Windows", "ShutdownTime")
    return filetime(int.from_bytes(value.data, "little")) if value and len(value.data) == 8 else None


def time_bias(system_hive: Hive, control_set: str) -> timedelta:
    """What local time lacks of UTC; zero where it is not stored or no time zone's."""
    value = system_hive.value(rf"{control_set}\Control\TimeZoneInformation", "ActiveTimeBias")
    number = value.number if value is not None and value.number is not None else 0
    minutes = number - 2**32 if number >= 2**31 else number
    return timedelta(minutes=minutes) if abs(minutes) <= 24 * 60 else timedelta()


def timeline(
    install_date: Attempt[datetime | None],
    upgrades: Attempt[tuple[Event, ...]],
    packages_changed: Attempt[datetime | None],
    sysprep_runs: Attempt[SysprepHistory | None],
    image_state: Attempt[Value | None],
    starts: Attempt[tuple[Event, ...]],
    shut_down_time: Attempt[datetime | None],
    time_bias: Attempt[timedelta],
) -> tuple[Event, ...]:
    """What happened to this Windows, the first first; what is not known when, before."""
    history, state = sysprep_runs.value, image_state.value
    runs = history.log.runs if history is not None else ()
    sealed = [run.ended for run in runs if run.ending is Ending.SUCCEEDED and run.ended is not None]
    events = [
        *_at(install_date, "installed", "Windows was installed"),
        *(upgrades.value or _unread(upgrades, "upgraded")),
        *_at(packages_changed, "updated", "the list of its packages last changed"),
        *map(_run, runs[:_MOST_EVENTS]),
        *_unread(sysprep_runs, "sysprep"),
        *_unread(image_state, "sealed"),
        *(_told(each, sealed) for each in starts.value or _unread(starts, "started")),
        *_at(shut_down_time, "shut down", "Windows was last shut down"),
    ]
    if state is not None and _GENERALIZED in str(state):
        events.append(Event(state.key_time, "sealed", f"the state was set to {redact(str(state))}"))
    bias = time_bias.value or timedelta()

    def when(event: Event) -> tuple[bool, datetime]:
        time = (event.time or datetime.min).replace(tzinfo=None)
        local = event.time is not None and event.time.tzinfo is None
        try:
            return event.time is not None, time + bias if local else time
        except OverflowError:  # the year 1 or 9999
            return True, time

    return tuple(sorted(events, key=when))


def _at(attempt: Attempt[datetime | None], kind: str, text: str) -> Iterator[Event]:
    if attempt.value is not None:
        yield Event(attempt.value, kind, text)
    yield from _unread(attempt, kind)


def _unread(attempt: Attempt[Any], kind: str) -> Iterator[Event]:
    if attempt.unknown is not None:
        yield Event(None, kind, f"could not be read: {attempt.unknown}")


def _told(start: Event, sealed: Iterable[datetime]) -> Event:
    """A start in its place: the installation's own comes from media that are generalized as well.

    Args:
        start: by a log of Windows Setup.
        sealed: when sysprep succeeded, in the same local time.
    """
    time = start.time
    if start.text != _FIRST_START or time is None or not any(each <= time for each in sealed):
        return start
    return start._replace(text=_STARTED)


def _run(run: SysprepRun) -> Event:
    words = f"{redact(run.command)}: {run.ending.value}"
    if run.ended is not None and run.ended != run.started:
        same_day = run.started is not None and run.started.date() == run.ended.date()
        words += f" at {run.ended:%H:%M:%S}" if same_day else f" on {run.ended:%Y-%m-%d at %H:%M:%S}"
    if run.ending is Ending.FAILED and (known := find_failure(run.trouble, SYSPREP)):
        words += f" ({redact(known.cause)})"
    elif run.ending is Ending.BROKEN_OFF and run.phases:
        words += f" in the phase “{run.phases[-1]}”"
    return Event(run.started, "sysprep", words)


def timeline_of(facts: Facts) -> tuple[Event, ...]:
    """The time line of an installation; computes what nobody asked for before."""
    events = facts.about(TIMELINE_FACTS).attempt("timeline")
    found: tuple[Event, ...] = events.value or tuple(_unread(events, "installed"))
    return found


TIMELINE_FACTS: dict[str, Callable[..., Any]] = {
    function.__name__: function
    for function in (
        install_date,
        upgrades,
        packages_changed,
        sysprep_runs,
        starts,
        shut_down_time,
        time_bias,
        timeline,
    )
}
"""Facts about one installation beside those of `validator.facts`; a judgement does not compute them."""
