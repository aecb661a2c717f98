"""The life of an image, as `inspect` tells it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

from tests.command import Command
from tests.images import (
    ABSENT,
    SETUP_KEY,
    SETUP_LOG,
    SYSPREP_LOG,
    Run,
    generalized,
    setup_log,
    undeployable,
    with_sysprep_run,
)
from tests.images.logs import sysprep_log
from tests.images.times import SHUT_DOWN, SYSPREPPED

Image = Callable[..., Path]
DAY = timedelta(days=1)
ZONE = r"ControlSet001\Control\TimeZoneInformation"


def life(command: Command, path: Path) -> list[dict[str, Any]]:
    """The time line in JSON."""
    events: list[dict[str, Any]] = command("inspect", "--format", "json", path).json["timeline"]
    return events


def kinds(events: list[dict[str, Any]]) -> list[str]:
    return [event["kind"] for event in events]


def test_the_life_of_a_generalized_image(command: Command, image: Image) -> None:
    events = life(command, image(generalized()))
    assert [(event["time"], event["kind"]) for event in events] == [
        ("2024-05-13T08:12:00Z", "installed"),
        ("2024-05-13T08:12:01", "started"),
        ("2024-05-14T16:20:00", "sysprep"),
        ("2024-05-14T16:23:00Z", "sealed"),
    ]
    assert events[1]["text"] == "Windows Setup began the first start"
    assert events[2]["text"] == "sysprep /generalize /oobe /shutdown: succeeded at 16:21:12"


def test_every_run_is_told_with_its_result(command: Command, image: Image) -> None:
    """Also those that the verdict does not need, and why one failed."""
    runs = (
        Run(SYSPREPPED - 2 * DAY, ("OOBE", "QUIT")),
        Run(SYSPREPPED - DAY, ending="validation"),
        Run(ending="interrupted"),
    )
    events = life(command, image(with_sysprep_run(undeployable(), *runs)))
    texts = [event["text"] for event in events if event["kind"] == "sysprep"]
    assert len(texts) == 3
    assert texts[0].startswith("sysprep /oobe /quit: succeeded")
    assert "failed" in texts[1]
    assert "not provisioned for all users" in texts[1]
    assert texts[2] == "sysprep /generalize /oobe /shutdown: broke off in the phase “generalize”"


def test_upgraded_updated_and_started_again(command: Command, image: Image) -> None:
    windows = (
        generalized()
        .system(rf"{SETUP_KEY}\Source OS (Updated on 5/13/2024 10:00:00)", ProductName="Windows 10 Pro")
        .software(r"Microsoft\Windows\CurrentVersion\Component Based Servicing\Packages\One~1", x=1)
        .file(SETUP_LOG, setup_log(start=SHUT_DOWN + DAY))
    )
    events = life(command, image(windows))
    assert {"upgraded", "updated"} <= set(kinds(events))
    assert kinds(events)[-1] == "started"
    assert events[-1]["text"] == "Windows Setup began on the generalized image"
    assert "Windows was upgraded in place from Windows 10 Pro" in [event["text"] for event in events]


def test_local_times_are_put_in_order_by_the_time_zone(command: Command, image: Image) -> None:
    """Nine hours east of Greenwich, 16:20 on the wall is before 16:20 UTC, not after it."""
    east = generalized().system(ZONE, ActiveTimeBias=2**32 - 9 * 60)
    late = with_sysprep_run(east, Run(start=SHUT_DOWN.replace(tzinfo=None) + timedelta(hours=8)))
    assert kinds(life(command, image(late)))[-1] == "sealed"
    assert kinds(life(command, image(late.system(ZONE, ActiveTimeBias=0))))[-1] == "sysprep"


def test_what_cannot_be_read_is_said(command: Command, image: Image) -> None:
    events = life(command, image(generalized().file(r"Windows\System32\config\SYSTEM", b"")))
    unread = [event for event in events if event["time"] is None]
    assert {event["kind"] for event in unread} == {"upgraded", "shut down"}
    assert all(event["text"].startswith("could not be read: ") for event in unread)


def test_without_logs_there_are_no_runs(command: Command, image: Image) -> None:
    windows = generalized().file(SYSPREP_LOG, ABSENT).file(SETUP_LOG, ABSENT)
    assert kinds(life(command, image(windows))) == ["installed", "sealed"]


def test_times_at_the_end_of_the_calendar(command: Command, image: Image) -> None:
    """A hostile log may say 9999, and the time zone add to it."""
    late = generalized().system(ZONE, ActiveTimeBias=480)
    log = sysprep_log(Run()).replace(b"2024-05-14", b"9999-12-31").replace(b" 16:2", b" 23:5")
    assert "sysprep" in kinds(life(command, image(late.file(SYSPREP_LOG, log))))
