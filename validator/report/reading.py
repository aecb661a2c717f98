"""A report back from its line (`validator.report.jsonl`).

Every value is held to the type that is declared for it. What is missing, is too much, or is of another type
makes the line unusable, and never another report.
"""

import json
import math
import types
import typing
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import fields, is_dataclass
from datetime import date, datetime
from enum import Enum
from reprlib import repr as shown
from typing import Any, NoReturn

from validator.checks.model import Check
from validator.facts.picture import Picture
from validator.facts.timeline import Event
from validator.report.jsonl import Setting, sealed
from validator.report.model import Report

_SEAL = len(sealed(""))
_LATE = {"Picture": Picture, "Event": Event}
"""What `Report` names and does not import."""

Reader = Callable[[Any], Any]
"""Makes a value of what JSON has for it, or raises ValueError."""


class Lines:
    """Reads lines that were written in one setting.

    Args:
        setting: a line of another is not usable.
        checks: those that the findings may be of.
    """

    def __init__(self, setting: Setting, checks: Iterable[Check]) -> None:
        self._setting = setting
        known = {check.id: check for check in checks}
        self._readers: dict[Any, Reader] = {Check: _named(known), object: lambda data: data}

    def report(self, line: bytes) -> Report:
        """The report that a line holds.

        Args:
            line: without its line feed.

        Raises:
            ValueError: where it is damaged, or was written in another setting; the text says what was found.
        """
        text = line.decode("ascii")
        if sealed(text[:-_SEAL]) != text:
            raise ValueError("it is damaged or was edited: its digest is another")
        try:
            kept = json.loads(text, parse_constant=_no_number)["resume"]
            stored, report = kept
            then = self._reader(Setting)(stored)
        except (KeyError, TypeError, RecursionError) as error:
            raise ValueError(f"expected what a report is read back from: {error!r}") from error
        for name, was, now in zip(Setting._fields, then, self._setting):
            if was != now:
                raise ValueError(f"it is of another {name}: expected {shown(now)}, found {shown(was)}")
        found: Report = self._reader(Report)(report)
        return found

    def _reader(self, hint: Any) -> Reader:
        if hint not in self._readers:
            self._readers[hint] = self._made(hint)
        return self._readers[hint]

    def _made(self, hint: Any) -> Reader:
        kind, arguments = typing.get_origin(hint), typing.get_args(hint)
        if kind in (typing.Union, types.UnionType):
            others = [self._reader(each) for each in arguments if each is not types.NoneType]
            return _one_of(others, optional=types.NoneType in arguments)
        if kind is tuple:
            return _array(self._reader(arguments[0]))
        if kind is dict:
            return _object(self._reader(arguments[1]))
        if hint in (datetime, date):
            return _text(hint.fromisoformat, hint.isoformat)
        if hint is bytes:
            return _text(bytes.fromhex, bytes.hex)
        if issubclass(hint, Enum):
            return _named({each.value: each for each in hint})
        if is_dataclass(hint) or issubclass(hint, tuple):
            hints = typing.get_type_hints(hint, localns=_LATE)
            names = [each.name for each in fields(hint)] if is_dataclass(hint) else hint._fields
            return _record(hint, [self._reader(hints[name]) for name in names])
        return _plain(hint)


def _refuse(expected: str, found: object) -> NoReturn:
    raise ValueError(f"expected {expected}, found {shown(found)}")


def _no_number(text: str) -> NoReturn:
    _refuse("a number", text)


def _plain(kind: type) -> Reader:
    def read(data: Any) -> Any:
        if type(data) is not kind or (isinstance(data, float) and not math.isfinite(data)):
            _refuse(kind.__name__, data)
        return data

    return read


def _named(values: Mapping[str, Any]) -> Reader:
    def read(data: Any) -> Any:
        if not isinstance(data, str) or data not in values:
            _refuse(f"one of {shown(list(values))}", data)
        return values[data]

    return read


def _text(make: Callable[[str], Any], back: Callable[[Any], str]) -> Reader:
    """Of what is written in one way only."""

    def read(data: Any) -> Any:
        value = make(data) if isinstance(data, str) else _refuse("a text", data)
        return value if back(value) == data else _refuse(back(value), data)

    return read


def _one_of(readers: list[Reader], *, optional: bool) -> Reader:
    """Of the first that takes it. None of our types looks like another of the same union."""

    def read(data: Any) -> Any:
        if data is None and optional:
            return None
        for reader in readers[:-1]:
            with suppress(ValueError):
                return reader(data)
        return readers[-1](data)

    return read


def _array(reader: Reader) -> Reader:
    def read(data: Any) -> Any:
        return tuple(map(reader, data)) if isinstance(data, list) else _refuse("an array", data)

    return read


def _object(reader: Reader) -> Reader:
    def read(data: Any) -> Any:
        if not isinstance(data, dict):
            _refuse("an object", data)
        return {key: reader(value) for key, value in data.items()}

    return read


def _record(kind: type, readers: list[Reader]) -> Reader:
    """Of what has fields: an array of their values, in their order."""

    def read(data: Any) -> Any:
        if not isinstance(data, list) or len(data) != len(readers):
            _refuse(f"{len(readers)} values", data)
        try:
            return kind(*[reader(value) for reader, value in zip(readers, data)])
        except ValueError as error:
            raise ValueError(f"{kind.__name__}: {error}") from error

    return read
