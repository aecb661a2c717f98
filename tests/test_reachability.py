"""What the facts of reachability take apart: the proxy of services, paths of providers, exceptions."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from validator.checks.reachability import _matches
from validator.facts.reachability import provider_file, read_winhttp

TEXTS = st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=60)


def settings(proxy: bytes, bypass: bytes, flags: int = 3, size: int = 0x28) -> bytes:
    """The value WinHttpSettings."""
    lengths = [struct.pack("<I", len(text)) for text in (proxy, bypass)]
    return struct.pack("<III", size, 7, flags) + lengths[0] + proxy + lengths[1] + bypass


@given(TEXTS.filter(bool), TEXTS, st.sampled_from([0x18, 0x28]), st.binary(max_size=40))
def test_what_netsh_writes_is_read(proxy: str, bypass: str, size: int, rest: bytes) -> None:
    """Whatever follows it."""
    data = settings(proxy.encode(), bypass.encode(), size=size) + rest
    assert read_winhttp(data) == (proxy, bypass)
    assert read_winhttp(settings(proxy.encode(), bypass.encode(), flags=1, size=size)) is None


@given(TEXTS.filter(bool), TEXTS)
def test_what_is_cut_is_not_understood(proxy: str, bypass: str) -> None:
    """At any place."""
    data = settings(proxy.encode(), bypass.encode())
    assert all(read_winhttp(data[:length]) is None for length in range(len(data)))


@given(st.binary(max_size=80))
def test_any_bytes_are_a_proxy_or_none(data: bytes) -> None:
    """Nothing is read behind the end."""
    for candidate in (data, struct.pack("<III", 0x28, 1, 3) + data):
        found = read_winhttp(candidate)
        assert found is None or len(found[0]) + len(found[1]) <= len(candidate)


@pytest.mark.parametrize(
    ("path", "file"),
    [
        (r"%SystemRoot%\System32\ntlanman.dll", r"Windows\System32\ntlanman.dll"),
        (r"%windir%\np.dll", r"Windows\np.dll"),
        (r"\SystemRoot\System32\np.dll", r"Windows\System32\np.dll"),
        (r"System32\np.dll", r"Windows\System32\np.dll"),
        ("np.dll", r"Windows\System32\np.dll"),
        (r'"C:\Program Files\Acme\np.dll"', r"Program Files\Acme\np.dll"),
        (r"\??\c:\np.dll", "np.dll"),
        (r"%ProgramFiles(x86)%\Acme\np.dll", r"Program Files (x86)\Acme\np.dll"),
        (r"D:\np.dll", None),
        ("np", None),
        ("..", None),
        (r"%ACME%\np.dll", None),
        (r"C:\%ACME%\np.dll", None),
        (r"\\server\share\np.dll", None),
        (r"C:\a\..\np.dll", None),
        (r"C:\a\\np.dll", None),
        ("C:\\", None),
        ("", None),
    ],
)
def test_paths_of_providers(path: str, file: str | None) -> None:
    """Below the root of the volume, or not understood."""
    assert provider_file(path) == file


@given(st.text(max_size=80))
def test_any_path_stays_on_the_volume(path: str) -> None:
    """No way leads up or elsewhere."""
    for beginning in ("", "C:\\", "%SystemRoot%\\"):
        file = provider_file(beginning + path)
        assert file is None or (
            not file.startswith("\\") and ".." not in file.split("\\") and ":" not in file
        )


@given(st.text(alphabet="abc", max_size=8), st.text(alphabet="abc*", max_size=8))
def test_patterns(text: str, pattern: str) -> None:
    """“*” is any text, and nothing else is special."""

    def slow(text: str, pattern: str) -> bool:
        if not pattern:
            return not text
        if pattern[0] == "*":
            return any(slow(text[at:], pattern[1:]) for at in range(len(text) + 1))
        return bool(text) and text[0] == pattern[0] and slow(text[1:], pattern[1:])

    assert _matches(text, pattern) == slow(text, pattern)
