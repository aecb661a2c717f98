"""Where the file of a provider is looked for: what the registry names, and nothing that it does not."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.command import Command
from tests.hostile import MiB, small_disk
from tests.images import Windows, generalized
from tests.images.hive import Data
from tests.images.stock import SYSPREP_PROVIDERS_KEY
from tests.mft import Volume
from validator.facts.sysprep import MAX_PROVIDERS, provider_paths

Image = Callable[..., Path]
BESIDE = r"Windows\System32\Sysprep"
NAMED = {
    r"C:\Windows\System32\spopk.dll,Sysprep_Clean_Opk": (r"Windows\System32\spopk.dll",),
    r"%windir%\System32\x.dll,F": (r"Windows\System32\x.dll",),
    r"%ProgramFiles%\A B\x.dll,F": (r"Program Files\A B\x.dll",),
    r"%SystemDrive%\x.dll,F": ("x.dll",),
    r"c:/Windows/System32/x.dll,F": (r"Windows\System32\x.dll",),
    r"C:\a, b\x.dll,F": (r"a, b\x.dll",),
    r'"C:\a\x.dll", F': (r"a\x.dll",),
    r"E:\Windows\System32\x.dll,F": (r"Windows\System32\x.dll",),
    r"\Windows\x.dll,F": (r"Windows\x.dll",),
    "x.dll,F": (rf"{BESIDE}\x.dll", r"Windows\System32\x.dll"),
    "x,F": (rf"{BESIDE}\x.dll", r"Windows\System32\x.dll"),
    r"C:\Windows\x.dll": (r"Windows\x.dll",),
}
"""What is a file of the volume of Windows."""
NOT_NAMED = (
    "", ",", ",F", " ", r"D:\x.dll,F", r"C:x.dll,F", r"\\host\share\x.dll,F", r"\\?\C:\x.dll,F",
    r"%OTHER%\x.dll,F", r"$(runtime.system32)\x.dll,F", r"C:\a\..\x.dll,F", r"..\x.dll,F", r"sub\x.dll,F",
    r"C:\x.dll:stream,F", r"C:\*.dll,F", "C:\\", r"%%\x.dll,F", r"%windir%x\..\y.dll,F",
)  # fmt: skip
"""What is none, or one that only a running Windows knows."""


@pytest.mark.parametrize("text", NAMED)
def test_files_that_are_named(text: str) -> None:
    """As Windows would load them."""
    assert provider_paths(text) == NAMED[text]


@pytest.mark.parametrize("text", NOT_NAMED)
def test_files_that_are_not_named(text: str) -> None:
    """No file is guessed, so none is missing."""
    assert provider_paths(text) == ()


@given(st.text() | st.text(alphabet='%C:\\/,."$aWindowsystem32 \0'))
def test_any_text_is_a_path_below_the_root_or_none(text: str) -> None:
    """Nothing leads out of the volume, whatever the registry says."""
    for path in provider_paths(text):
        parts = path.split("\\")
        assert all(part not in ("", ".", "..") for part in parts)
        assert ":" not in path
        assert "/" not in path


@given(st.lists(st.from_regex(r"[A-Za-z0-9_]{1,8}", fullmatch=True), min_size=1, max_size=5))
def test_an_absolute_path_is_itself(parts: list[str]) -> None:
    """Whatever stands behind the last comma is the function."""
    path = "\\".join([*parts, "x.dll"])
    assert provider_paths(rf"C:\{path},Function") == (path,)


def too_many() -> Windows:
    """More providers than are looked for."""
    names: dict[str, Data] = {f"{{{number:08x}}}": "x.dll,F" for number in range(MAX_PROVIDERS + 1)}
    return generalized().software(rf"{SYSPREP_PROVIDERS_KEY}\Generalize", names)


def test_more_providers_than_are_looked_for(command: Command, image: Image) -> None:
    """They are not judged, and it costs the verdict nothing."""
    judged = command.judge(image(too_many()))
    finding = judged.finding("sysprep-providers")
    assert finding["status"] == "unknown"
    assert "at most 512 providers" in finding["evidence"][0]["expected"]
    assert judged.answer == ("deployable", 0)


def kept_elsewhere(data: bytearray) -> None:
    """Give a file record the reparse point of a file that Windows compressed (WOF)."""
    used = struct.unpack_from("<I", data, 24)[0]
    end = used - 8
    body = struct.pack("<IHH", 0x80000017, 16, 0) + struct.pack("<IIII", 1, 2, 1, 0)
    header = struct.pack("<IIBBHHHIHH", 0xC0, 24 + len(body), 0, 0, 24, 0, 99, len(body), 24, 0)
    new = header + body
    data[end : end + len(new) + 8] = new + data[end:used]
    struct.pack_into("<I", data, 24, used + len(new))


def test_a_file_whose_data_is_kept_elsewhere_is_there(command: Command, image: Image) -> None:
    """Windows that is compressed as a whole (CompactOS) keeps its libraries behind reparse points."""
    path = image(small_disk(generalized(), 64 * MiB), "vhd-fixed")
    Volume(path, MiB).edit(r"Windows\System32\AppxSysprep.dll", kept_elsewhere)
    finding = command.judge(path).finding("sysprep-providers")
    assert (finding["status"], finding["message"]) == (
        "passed",
        "The files that sysprep calls are there (3).",
    )
