"""TOML read strictly: every key of the type that is asked for, none that nobody asked for, and where it is.

The standard library's parser gives values without their places; `line_of` finds them when one is wrong.
"""

import difflib
import re
import sys
from collections.abc import Collection, Iterator, Mapping
from datetime import date, datetime
from typing import Any, TypeVar

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

T = TypeVar("T")
Path = tuple[str | int, ...]
"""The keys and indexes that lead to a value."""

_WORDS: Mapping[type, str] = {
    bool: "true or false",
    int: "a whole number",
    str: "a text",
    list: "a list",
    dict: "a table",
    date: "a date (such as 2030-12-31, without quotes)",
}
_BREAK = re.compile(r"\s*\n\s*")
_INVISIBLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2066-\u2069\ufeff]")
_MOST_SHOWN = 60
"""Characters of a value that is wrong."""
_MOST_NAMED = 8
"""Names that are all given where none of them was meant."""
_MOST_NUMBER = 2**64
MAX_LINE = 16 * 2**10
"""Characters; the parsers take time by the square of the parts of a dotted key."""
_MOST_PARSED = 256 * 2**10
"""Characters that are parsed, again and again, to find the line of what is wrong."""


class Wrong(Exception):
    """What is wrong, and where in the data."""

    def __init__(self, path: Path, why: str) -> None:
        super().__init__(why)
        self.path = path
        self.why = why


def parsed(text: str) -> dict[str, Any]:
    """What a text says.

    Raises:
        ValueError: where it is no TOML.
    """
    if any(len(line) > MAX_LINE for line in text.split("\n")):
        raise ValueError(f"expected lines of at most {MAX_LINE} characters, found a longer one")
    try:
        data: dict[str, Any] = tomllib.loads(text)
    except RecursionError as error:
        raise ValueError("expected TOML, found too many levels") from error
    return data


def fault(name: str, known: Collection[str], what: str) -> str | None:
    """Why a name cannot be meant, with the nearest that is known; None where it is known itself."""
    if name in known:
        return None
    near = difflib.get_close_matches(name, known, 1)
    return f"there is no {what} {cut(name)}" + (f"; did you mean {near[0]}?" if near else "")


class Table:
    """A table of the file. It knows which keys were asked for, and refuses all others."""

    def __init__(self, data: Mapping[str, Any], path: Path = ()) -> None:
        self.data = data
        self.path = path
        self._asked: list[str] = []

    def get(self, key: str, kind: type[T], expected: str = "") -> T | None:
        """The value of a key, or None where it is not there; `expected` are words for it."""
        self._asked.append(key)
        return _typed(self.data[key], kind, (*self.path, key), expected) if key in self.data else None

    def required(self, value: T | None, key: str) -> T:
        """A value that has to be there."""
        if value is None:
            raise Wrong(self.path, f"expected {key}, found no such key")
        return value

    def text(self, key: str, *, empty: bool = False, expected: str = "") -> str | None:
        """A text on one line that is not empty, in which everything can be seen."""
        text = self.get(key, str, expected)
        return None if text is None else _one_line(text, (*self.path, key), empty=empty)

    def texts(self, key: str) -> tuple[str, ...]:
        """A list of such texts, or one alone."""
        path = (*self.path, key)
        given = self.data.get(key)
        items = [given] if isinstance(given, str) else self.get(key, list) or []
        self._asked.append(key)
        return tuple(_one_line(_typed(item, str, (*path, index)), path) for index, item in enumerate(items))

    def choice(self, key: str, known: Collection[str], what: str) -> str | None:
        """One of the names that are known."""
        few = len(known) <= _MOST_NAMED
        name = self.text(key, expected=f"one of {', '.join(known)}" if few else "")
        if name is not None and (why := fault(name, known, what)):
            raise Wrong((*self.path, key), why + (_all(known) if few else ""))
        return name

    def choices(self, key: str, known: Collection[str], what: str) -> Iterator[str]:
        """Some of the names that are known."""
        for name in self.texts(key):
            if why := fault(name, known, what):
                raise Wrong((*self.path, key), why + (_all(known) if len(known) <= _MOST_NAMED else ""))
            yield name

    def table(self, key: str) -> "Table | None":
        """A table in it."""
        found = self.get(key, dict)
        return None if found is None else Table(found, (*self.path, key))

    def tables(self, key: str) -> list["Table"]:
        """An array of tables in it."""
        path = (*self.path, key)
        items = enumerate(self.get(key, list) or [])
        return [Table(_typed(item, dict, (*path, index)), (*path, index)) for index, item in items]

    def close(self) -> None:
        """Refuse what nobody asked for."""
        for key in self.data:
            if why := fault(key, self._asked, "key"):
                raise Wrong((*self.path, key), why + _all(self._asked))


def _all(names: Collection[str]) -> str:
    return f" (there are {', '.join(dict.fromkeys(names))})"


def _typed(value: object, kind: type[T], path: Path, expected: str = "") -> T:
    if isinstance(value, int) and not -_MOST_NUMBER < value < _MOST_NUMBER:
        # Python writes no number of thousands of digits, which a message would.
        raise Wrong(path, f"expected {expected or _WORDS[kind]}, found a number beyond 64 bits")
    # True is an int and a time with a date is a date, but neither is meant.
    if isinstance(value, kind) and (kind is bool or not isinstance(value, (bool, datetime))):
        return value
    found = next((words for each, words in _WORDS.items() if isinstance(value, each)), "something else")
    if isinstance(value, (str, int)):
        found = cut(str(value).lower() if isinstance(value, bool) else repr(value))
    elif isinstance(value, date):
        found = cut(value.isoformat())
    raise Wrong(path, f"expected {expected or _WORDS[kind]}, found {found}")


def _one_line(text: str, path: Path, *, empty: bool = False) -> str:
    text = _BREAK.sub(" ", text).strip()
    if bad := _INVISIBLE.search(text):
        raise Wrong(path, f"expected characters that can be seen, found U+{ord(bad[0]):04X}")
    if not text and not empty:
        raise Wrong(path, "expected a text, found an empty one")
    return text


def cut(text: str) -> str:
    """A value of the file, no longer than it can be shown."""
    return text if len(text) <= _MOST_SHOWN else f"{text[:_MOST_SHOWN]}…"


def in_words(path: Path) -> str:
    """A path in words: `waiver 2, until: `."""
    words: list[str] = []
    for step in path:
        if isinstance(step, int) and words:
            words[-1] += f" {step + 1}"
        else:
            words.append(cut(str(step)))
    return f"{', '.join(words)}: " if words else ""


def line_of(text: str, path: Path) -> int | None:
    """The number of the line in which a value begins; None where it is not found soon.

    It is the one behind the longest beginning of the text that is TOML without the value.
    """
    lines = text.split("\n")
    known: dict[int, bool | None] = {}
    parsed_yet = 0

    def holds(count: int) -> bool | None:
        """Whether the first lines hold the value; None where they are no TOML."""
        nonlocal parsed_yet
        if count not in known:
            beginning = "\n".join(lines[:count])
            parsed_yet += len(beginning)
            if parsed_yet > _MOST_PARSED:
                raise LookupError
            known[count] = _holds(beginning, path)
        return known[count]

    low, high = 0, len(lines)
    try:
        while path:
            middle = (low + high) // 2
            below = next(count for count in range(middle, low - 1, -1) if holds(count) is not None)
            above = next(count for count in range(middle + 1, high + 1) if holds(count) is not None)
            if holds(below):
                high = below
            elif holds(above):
                return below + 1
            else:
                low = above
    except LookupError:
        pass
    return None


def _holds(text: str, path: Path) -> bool | None:
    data: Any
    try:
        data = parsed(text)
    except ValueError:
        return None
    for step in path:
        if isinstance(data, list) and isinstance(step, int):
            if step >= len(data):
                return False
        elif not isinstance(data, dict) or step not in data:
            return False
        data = data[step]
    return True
