r"""Local accounts: user records of the account database (SAM), as far as a gate needs them.

Below `SAM\Domains\Account\Users` there is one key per user, its relative identifier (RID) in eight
hexadecimal digits, and `Names\NAME`, whose value without a name has the RID for its type. A user's value
`F` is a record of fixed layout. Source: winreg-kb, Security Accounts Manager keys; chntpw, sam.h;
[MS-SAMR] 3.1.5.14.4 (when a password must be changed). No password hash is read.
"""

from typing import NamedTuple

from validator.disk.container import unpack_at
from validator.evidence import Evidence, Layer, Location, damaged
from validator.windows.hive import Hive, Value, filetime

USERS_KEY = r"SAM\Domains\Account\Users"
ADMINISTRATOR = 500
"""The RID of the built-in Administrator, whatever it is called."""
_RECORD = 80
"""Length of F; newer versions may be longer."""
_PASSWORD_SET, _FLAGS = 0x18, 0x38
_DISABLED, _NEVER_EXPIRES = 0x0001, 0x0200


class LocalUser(NamedTuple):
    """A local account."""

    rid: int
    flags: int
    password_set: int
    """When its password was last set, a FILETIME; 0 asks for a new one at the next sign-in."""
    where: Location
    """Of its record."""

    @property
    def enabled(self) -> bool:
        """Whether anybody can sign in with it."""
        return not self.flags & _DISABLED

    @property
    def must_change_password(self) -> bool:
        """Whether its next sign-in must set a password; not one that never expires."""
        return not self.password_set and not self.flags & _NEVER_EXPIRES

    @property
    def evidence(self) -> Evidence:
        """What its record says."""
        state = "enabled" if self.enabled else "disabled"
        if self.must_change_password:
            state += ", must change its password at the next sign-in"
        elif moment := filetime(self.password_set):
            state += f", password set on {moment:%Y-%m-%d}"
        return Evidence(self.where, f"account {self.rid}: {state}")


def user(hive: Hive, rid: int) -> LocalUser | None:
    """The user of a RID, or None where it is verified that there is none.

    Raises:
        Unreadable: where the way there is damaged, or its record is not one.
    """
    key = rf"{USERS_KEY}\{rid:08X}"
    if hive.key(key) is None:
        return None
    return parse(hive.value(key, "F"), rid, Location(Layer.HIVE, path=hive.path, key=key, value="F"))


def named(hive: Hive, name: str) -> LocalUser | None:
    """The user of a name, or None where it is verified that there is none.

    Raises:
        Unreadable: also where the name leads to no user.
    """
    key = rf"{USERS_KEY}\Names\{name}"
    if hive.key(key) is None:
        return None
    where = Location(Layer.HIVE, path=hive.path, key=key)
    number = hive.value(key, "")
    if number is None:
        raise damaged(where, expected="a value that has the RID for its type", found="no such value")
    found = user(hive, number.type)
    if found is None:
        raise damaged(number.where, expected=f"a user {number.type:08X}", found="no such key")
    return found


def parse(record: Value | None, rid: int, where: Location) -> LocalUser:
    """A user's record.

    Raises:
        Unreadable: where it is absent or too short.
    """
    if record is None:
        raise damaged(where, expected="a user's record", found="no such value")
    if len(record.data) < _RECORD:
        found = f"{len(record.data)} bytes"
        raise damaged(record.where, expected=f"a user's record of {_RECORD} bytes", found=found)
    (password_set,) = unpack_at("<Q", record.data, _PASSWORD_SET)
    (flags,) = unpack_at("<H", record.data, _FLAGS)
    return LocalUser(rid, flags, password_set, record.where)
