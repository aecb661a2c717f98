"""User records of the account database: exact where they are sound, refused where they are not."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.hostile import Bytes
from tests.images import Raw, Windows
from validator.evidence import Layer, Location, Unreadable
from validator.windows.hive import Hive, Value
from validator.windows.sam import ADMINISTRATOR, LocalUser, named, parse, user

USERS_KEY = r"SAM\Domains\Account\Users"
WHERE = Location(Layer.HIVE, 4096, 1, "SAM", "key", "F")


def record(rid: int, flags: int = 0x10, password_set: int = 0) -> bytes:
    """A user's value F, as Windows writes it: 80 bytes."""
    times = struct.pack("<QQQQQ", 0, 0, password_set, 0x7FFFFFFFFFFFFFFF, 0)
    body = struct.pack("<II", 3, 0) + times + struct.pack("<IIH", rid, 513, flags)
    return body.ljust(80, b"\0")


def account(windows: Windows, name: str, rid: int, flags: int, password_set: int) -> Windows:
    """The same Windows with a local account more."""
    return windows.in_hive("SAM", rf"{USERS_KEY}\{rid:08X}", F=record(rid, flags, password_set)).in_hive(
        "SAM", rf"{USERS_KEY}\Names\{name}", {"": Raw(rid, b"")}
    )


def hive(windows: Windows) -> Hive:
    """Its account database."""
    return Hive(Bytes(windows.hive_bytes("SAM"), r"\Windows\System32\config\SAM"))


def stored(data: bytes) -> Value:
    """A value F."""
    return Value("key", "F", 3, data, WHERE, None)


@given(st.integers(0, 0xFFFFFFFF), st.integers(0, 0xFFFF), st.integers(0, 2**64 - 1), st.binary(max_size=64))
def test_record(rid: int, flags: int, password_set: int, more: bytes) -> None:
    """What was written is read, whatever follows."""
    found = parse(stored(record(rid, flags, password_set) + more), rid, WHERE)
    assert found == LocalUser(rid, flags, password_set, WHERE)
    assert found.enabled is not bool(flags & 1)
    assert found.must_change_password is (password_set == 0 and not flags & 0x200)
    assert str(rid) in str(found.evidence)


@given(st.binary(max_size=200))
def test_any_bytes(data: bytes) -> None:
    """A record or a refusal that names the place, never another exception."""
    if len(data) < 80:
        with pytest.raises(Unreadable) as refused:
            parse(stored(data), 500, WHERE)
        assert refused.value.evidence.where == WHERE
    else:
        found = parse(stored(data), 500, WHERE)
        assert found.password_set == int.from_bytes(data[0x18:0x20], "little")
        assert found.flags == int.from_bytes(data[0x38:0x3A], "little")
        assert found.evidence.found


def test_no_record() -> None:
    """A user without F is damage, not absence."""
    with pytest.raises(Unreadable, match="no such value"):
        parse(None, 500, WHERE)
    windows = Windows().in_hive("SAM", rf"{USERS_KEY}\000001F4", V=b"")
    with pytest.raises(Unreadable, match="no such value"):
        user(hive(windows), ADMINISTRATOR)


def test_by_number_and_by_name() -> None:
    """Both ways lead to one user; names in any case, numbers of any letters."""
    found = hive(account(account(Windows(), "Packer", 0x3EB, 0x10, 7), "Häuptling", 500, 0x11, 0))
    assert named(found, "PACKER") == user(found, 0x3EB)
    chief = named(found, "häuptling")
    assert chief is not None
    assert chief == user(found, ADMINISTRATOR)
    assert (chief.enabled, chief.must_change_password) == (False, True)
    assert (chief.where.key, chief.where.value) == (rf"{USERS_KEY}\000001F4", "F")
    assert (named(found, "vagrant"), user(found, 501)) == (None, None)


def test_no_users() -> None:
    """A database without any."""
    empty = hive(Windows().in_hive("SAM", rf"{USERS_KEY}\Names"))
    assert (named(empty, "packer"), user(empty, ADMINISTRATOR)) == (None, None)


@pytest.mark.parametrize(
    ("windows", "says"),
    [
        (Windows().in_hive("SAM", rf"{USERS_KEY}\Names\packer"), "no such value"),
        (Windows().in_hive("SAM", rf"{USERS_KEY}\Names\packer", {"": Raw(77, b"")}), "user 0000004D"),
    ],
)
def test_names_of_nobody(windows: Windows, says: str) -> None:
    """A name that leads to no user is damage."""
    with pytest.raises(Unreadable, match=says):
        named(hive(windows), "packer")
