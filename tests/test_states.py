"""ImageState alone: each state that Windows writes, and everything that only looks like the good one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.command import Command
from tests.images import (
    ABSENT,
    COMPLETE,
    GENERALIZED_AUDIT,
    GENERALIZED_OOBE,
    SERVICING_KEY,
    SPECIALIZED_AUDIT,
    SPECIALIZED_OOBE,
    STATE_INI,
    STATE_KEY,
    UNDEPLOYABLE,
    Disk,
    Esp,
    Msr,
    Ntfs,
    Raw,
    Windows,
    generalized,
    installed,
    state_ini,
    undeployable,
    with_state,
)
from tests.images.hive import Data

Image = Callable[..., Path]

SHAPES = {"vhd-fixed": "mbr", "vhdx-dynamic": "gpt"}
STATES = {
    COMPLETE: ("This is a specialized disk", "sysprep.exe /generalize"),
    UNDEPLOYABLE: (
        "The image must be rebuilt: waiting or editing the value will not help.",
        "Go back to a snapshot from before sysprep, or rebuild the machine",
    ),
    GENERALIZED_AUDIT: ("audit mode", "run it with /oobe instead of /audit"),
    SPECIALIZED_OOBE: ("its identity was not removed", "sysprep.exe /generalize"),
    SPECIALIZED_AUDIT: ("its identity was not removed", "sysprep.exe /generalize"),
}
"""What the user is told, and to do, in each state but the good one."""


def utf16(text: str) -> bytes:
    """As the registry keeps text, without a closing NUL."""
    return text.encode("utf-16-le")


@pytest.mark.parametrize(("container", "scheme"), SHAPES.items())
def test_the_generalized_state_is_deployable(
    command: Command, image: Image, container: str, scheme: str
) -> None:
    """A healthy image passes: exit code 0, every check of error severity answered, no warning."""
    judged = command.judge(image(generalized(), container, scheme=scheme))
    assert judged.answer == ("deployable", 0)
    assert judged["summary"] == "Generalization completed."
    statuses = {(finding["severity"], finding["status"]) for finding in judged["findings"]}
    assert {status for severity, status in statuses if severity == "error"} == {"passed"}
    assert {status for _, status in statuses} <= {"passed", "not applicable"}
    assert {layer["state"] for layer in judged["layers"]} == {"intact"}


@pytest.mark.parametrize(("container", "scheme"), SHAPES.items())
@pytest.mark.parametrize("state", STATES)
def test_every_other_state_is_undeployable(
    command: Command, image: Image, state: str, container: str, scheme: str
) -> None:
    """Exit code 1, the meaning of the state in a sentence, what stands where, and what to do."""
    says, to_do = STATES[state]
    judged = command.judge(image(with_state(generalized(), state), container, scheme=scheme))
    finding = judged.finding("image-state")
    assert judged.answer == ("undeployable", 1)
    assert says in judged["summary"]
    assert (finding["status"], finding["severity"]) == ("failed", "error")
    assert to_do in " ".join([finding["remedy"]["text"], *finding["remedy"]["commands"]])
    evidence = finding["evidence"][0]
    assert (evidence["key"], evidence["value"]) == (STATE_KEY, "ImageState")
    assert evidence["path"] == r"\Windows\System32\config\SOFTWARE"
    assert (evidence["found"], evidence["expected"]) == (f"{state} (REG_SZ)", GENERALIZED_OOBE)
    assert judged["facts"]["setup_state"]["image_state"] == state


@pytest.mark.parametrize("make", [installed, undeployable])
def test_the_state_is_told_in_the_text_report(
    command: Command, image: Image, make: Callable[[], Windows]
) -> None:
    """The text begins with the verdict and its sentence, and quotes the value."""
    windows = make()
    state = COMPLETE if make is installed else UNDEPLOYABLE
    outcome = command("check", image(windows))
    first, *rest = outcome.stdout.splitlines()
    assert first.startswith("UNDEPLOYABLE  ")
    assert STATES[state][0] in " ".join(line.strip() for line in rest)
    assert f"found     {state} (REG_SZ)" in outcome.stdout


GOOD = {
    "closed by one NUL": Raw(1, utf16(GENERALIZED_OOBE + "\0")),
    "not closed": Raw(1, utf16(GENERALIZED_OOBE)),
    "closed by several NULs": Raw(1, utf16(GENERALIZED_OOBE + "\0\0\0\0")),
}
BAD = {
    "no value": ABSENT,
    "empty text": "",
    "no data": Raw(1, b""),
    "only NULs": Raw(1, bytes(8)),
    "REG_NONE": Raw(0, utf16(GENERALIZED_OOBE + "\0")),
    "REG_EXPAND_SZ": Raw(2, utf16(GENERALIZED_OOBE + "\0")),
    "REG_BINARY": utf16(GENERALIZED_OOBE + "\0"),
    "REG_LINK": Raw(6, utf16(GENERALIZED_OOBE + "\0")),
    "REG_MULTI_SZ": [GENERALIZED_OOBE],
    "REG_DWORD": 4,
    "unknown type": Raw(0x4321, utf16(GENERALIZED_OOBE + "\0")),
    "unknown text": "IMAGE_STATE_READY",
    "lower case": GENERALIZED_OOBE.lower(),
    "blank behind": GENERALIZED_OOBE + " ",
    "blank in front": " " + GENERALIZED_OOBE,
    "line feed behind": GENERALIZED_OOBE + "\n",
    "quoted": f'"{GENERALIZED_OOBE}"',
    "cut": GENERALIZED_OOBE[:-1],
    "text behind a NUL": Raw(1, utf16(GENERALIZED_OOBE + "\0" + COMPLETE + "\0")),
    "NUL inside": Raw(1, utf16("IMAGE_STATE_GENERALIZE\0_RESEAL_TO_OOBE\0")),
    "odd length": Raw(1, utf16(GENERALIZED_OOBE + "\0") + b"\0"),
    "half of the last letter": Raw(1, utf16(GENERALIZED_OOBE)[:-1]),
    "ASCII": Raw(1, GENERALIZED_OOBE.encode() + b"\0"),
    "UTF-16BE": Raw(1, (GENERALIZED_OOBE + "\0").encode("utf-16-be")),
    "byte order mark": "\ufeff" + GENERALIZED_OOBE,
    "look-alike letter": GENERALIZED_OOBE.replace("A", "\u0410"),
    "lone surrogate": Raw(1, utf16(GENERALIZED_OOBE) + b"\x00\xd8"),
}


@pytest.mark.parametrize("stored", GOOD.values(), ids=GOOD)
def test_any_number_of_closing_nuls_is_the_state(command: Command, image: Image, stored: Raw) -> None:
    """Programs close REG_SZ with one NUL, none, or several; Windows reads them all alike."""
    judged = command.judge(image(generalized().software(STATE_KEY, ImageState=stored)))
    assert judged.answer == ("deployable", 0)


@pytest.mark.parametrize("stored", BAD.values(), ids=BAD)
def test_what_only_looks_like_the_state_is_not(command: Command, image: Image, stored: Data) -> None:
    """Type, encoding, case and every letter count; the remedy never is to edit the value."""
    judged = command.judge(image(generalized().software(STATE_KEY, ImageState=stored)))
    finding = judged.finding("image-state")
    assert judged.answer == ("undeployable", 1)
    assert finding["status"] == "failed"
    assert finding["evidence"][0]["expected"] == GENERALIZED_OOBE
    assert "reg add" not in " ".join(finding["remedy"]["commands"])


@pytest.mark.parametrize(
    ("stored", "shown"),
    [(Raw(2, utf16(GENERALIZED_OOBE)), "REG_EXPAND_SZ"), (GENERALIZED_OOBE + " ", "20 00"), (4, "REG_DWORD")],
    ids=["type", "blank", "number"],
)
def test_the_report_shows_the_stored_bytes(command: Command, image: Image, stored: Data, shown: str) -> None:
    """What looks right to the eye is shown with its type and its bytes."""
    judged = command.judge(image(generalized().software(STATE_KEY, ImageState=stored)))
    assert shown in judged.finding("image-state")["evidence"][0]["found"]


def test_names_in_the_registry_have_no_case(command: Command, image: Image) -> None:
    """Windows finds key and value in any case, so that a hive written by a tool may have another."""
    windows = generalized().without_key("SOFTWARE", STATE_KEY)
    other = windows.software(STATE_KEY.upper(), IMAGESTATE=GENERALIZED_OOBE)
    assert command.judge(image(other)).answer == ("deployable", 0)


OTHER_PLACES = {
    "no key": lambda windows: windows.without_key("SOFTWARE", STATE_KEY),
    "the 32-bit view": lambda windows: windows.software(
        rf"Wow6432Node\{STATE_KEY}", ImageState=GENERALIZED_OOBE
    ),
    "the default value": lambda windows: windows.software(STATE_KEY, {"": GENERALIZED_OOBE}),
    "the value StateName": lambda windows: windows.software(STATE_KEY, StateName=GENERALIZED_OOBE),
    "a key below": lambda windows: windows.software(rf"{STATE_KEY}\Old", ImageState=GENERALIZED_OOBE),
    "the key above": lambda windows: windows.software(
        STATE_KEY.rpartition("\\")[0], ImageState=GENERALIZED_OOBE
    ),
    "the SYSTEM hive": lambda windows: windows.system(STATE_KEY, ImageState=GENERALIZED_OOBE),
    "ImageServicingData": lambda windows: windows.software(SERVICING_KEY, ImageState=GENERALIZED_OOBE),
    "State.ini": lambda windows: windows.file(STATE_INI, state_ini(GENERALIZED_OOBE)),
    "Windows.old": lambda windows: windows.file(
        r"Windows.old\Windows\System32\config\SOFTWARE", generalized().hive("SOFTWARE")
    ),
    "a copy of the hive": lambda windows: windows.file(
        r"Windows\System32\config\SOFTWARE.bak", generalized().hive("SOFTWARE")
    ),
}


@pytest.mark.parametrize("stored", [ABSENT, COMPLETE], ids=["absent", "complete"])
@pytest.mark.parametrize("place", OTHER_PLACES)
def test_a_good_state_in_another_place_is_none(
    command: Command, image: Image, place: str, stored: Data
) -> None:
    """Only `Setup\\State` of the installation's own SOFTWARE hive counts."""
    windows = OTHER_PLACES[place](generalized().software(STATE_KEY, ImageState=stored))
    assert command.judge(image(windows)).answer == ("undeployable", 1)


def test_a_good_hive_on_a_data_volume_is_none(command: Command, image: Image) -> None:
    """A backup of a good Windows beside a bad one is not the Windows that starts."""
    backup = {file.path: file.content for file in generalized().tree(below="Backup")}
    disk = Disk((Esp(), Msr(), Ntfs(files=backup, label="Data"), Ntfs(installed())))
    judged = command.judge(image(disk))
    assert judged.answer == ("undeployable", 1)
    assert judged["facts"]["installation"]["partition"] == 4


def test_a_value_that_is_too_long_never_passes(command: Command, image: Image) -> None:
    """Values above 16 KiB are kept in pieces; the good state in the first of them is not the state."""
    stored = GENERALIZED_OOBE + "\0" + "x" * 9000
    judged = command.judge(image(generalized().software(STATE_KEY, ImageState=stored)))
    assert judged.code in (1, 3)
