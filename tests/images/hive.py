"""A hive, described: what it holds, and how it is built."""

from __future__ import annotations

import json
import struct
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import Enum
from pathlib import Path
from typing import Any, Final, TypeAlias

from tests.images import regf, tools
from tests.images.cache import cached
from tests.images.times import SHUT_DOWN

FILLER = Path(__file__).with_name("fill_hive.py")


class Absent(Enum):
    """What is to be removed, where a value or a file is expected."""

    ABSENT = "absent"


ABSENT: Final = Absent.ABSENT


@dataclass(frozen=True)
class Raw:
    """A value of any type number with any data, as stored."""

    type: int
    data: bytes


Data: TypeAlias = "str | int | bytes | Sequence[str] | Raw | Absent"
"""REG_SZ, REG_DWORD, REG_BINARY, REG_MULTI_SZ, anything, nothing."""


@dataclass(frozen=True)
class SetValues:
    """Make a key and set some of its values (None removes one)."""

    key: str
    values: tuple[tuple[str, Raw | None], ...]


@dataclass(frozen=True)
class RemoveKey:
    """Remove a key and all below it."""

    key: str


@dataclass(frozen=True)
class Bulk:
    """Many children of one key, written straight into the new hive rather than through hivex."""

    key: str
    count: int
    value_size: int


@dataclass(frozen=True)
class Hive:
    """One hive: a new one or a real one (``base``), and what is done to it, in order.

    The result is clean. hivex gives a new key the time of its parent, so without more words all
    keys of a new hive were ``written`` at one time, and those of a real hive keep theirs.
    """

    name: str
    base: bytes | None = field(default=None, repr=False)
    bulks: tuple[Bulk, ...] = ()
    steps: tuple[SetValues | RemoveKey, ...] = field(default=(), repr=False)
    times: tuple[tuple[str, datetime], ...] = ()
    written: datetime = SHUT_DOWN

    def set(self, key: str, values: Mapping[str, Data] | None = None, **named: Data) -> Hive:
        """Make ``key`` and all on its way; set these values, remove those that are ABSENT."""
        stored = tuple(
            (name, None if data is ABSENT else as_raw(data))
            for name, data in {**(values or {}), **named}.items()
        )
        return replace(self, steps=(*self.steps, SetValues(key, stored)))

    def without_key(self, key: str) -> Hive:
        """Remove ``key`` and all below it."""
        return replace(self, steps=(*self.steps, RemoveKey(key)))

    def key_time(self, key: str, time: datetime) -> Hive:
        """Say when ``key`` was last written; all others say ``written``."""
        return replace(self, times=(*self.times, (key, time)))

    def on(self, base: bytes) -> Hive:
        """The same steps taken on a real hive."""
        return replace(self, base=base)

    def bulk(self, key: str, count: int, value_size: int = 128) -> Hive:
        """Put ``count`` children with two values each below ``key``, cheaply.

        About 330 bytes of hive for each child of the default size: 100,000 make 33 MB in a few
        seconds. Not for a hive that is built on a real one.
        """
        return replace(self, bulks=(*self.bulks, Bulk(key, count, value_size)))

    def build(self) -> bytes:
        """The bytes of the hive file."""
        return cached(self, ".hive", self._write).read_bytes()

    def _write(self, target: Path) -> None:
        if self.base is not None and self.bulks:
            raise ValueError("bulk keys go into a new hive only")
        hive = self.base
        if hive is None:
            hive = regf.write_hive(_initial_tree(self.bulks), _inner_path(self.name), self.written)
        if self.steps:
            hive = self._filled(hive)
        if self.times:
            timed = bytearray(hive)
            for key, time in self.times:
                regf.set_key_time(timed, key, time)
            hive = bytes(timed)
        target.write_bytes(hive)

    def _filled(self, hive: bytes) -> bytes:
        with tempfile.TemporaryDirectory(prefix="hive-") as scratch:
            file = Path(scratch) / "hive"
            file.write_bytes(hive)
            job = {"file": str(file), "steps": [_as_json(step) for step in self.steps]}
            tools.run_hivex(FILLER, json.dumps([job]).encode())
            return regf.seal(file.read_bytes(), self.written)


def as_raw(data: Data) -> Raw:
    """How Windows stores ``data`` of a plain Python type."""
    if isinstance(data, Raw):
        return data
    if isinstance(data, str):
        return Raw(1, f"{data}\0".encode("utf-16-le"))
    if isinstance(data, int):
        return Raw(4, struct.pack("<I", data & 0xFFFFFFFF))
    if isinstance(data, bytes):
        return Raw(3, data)
    if isinstance(data, Absent):
        raise TypeError("ABSENT has no bytes")
    return Raw(7, "".join(f"{text}\0" for text in (*data, "")).encode("utf-16-le"))


def _as_json(step: SetValues | RemoveKey) -> list[object]:
    if isinstance(step, RemoveKey):
        return ["remove", step.key]
    values = {name: None if raw is None else [raw.type, raw.data.hex()] for name, raw in step.values}
    return ["set", step.key, values]


def _inner_path(name: str) -> str:
    r"""The file name in a base block: the last 31 characters of where Windows loads it from."""
    return rf"\SystemRoot\System32\Config\{name}"


def _initial_tree(bulks: Sequence[Bulk]) -> regf.Key:
    """The root key, and below it what is written without hivex."""
    tree: _Tree = {}
    for bulk in bulks:
        node = tree
        for name in bulk.key.split("\\"):
            node = node.setdefault(name, {})
        filling = bytes(index % 251 for index in range(bulk.value_size))
        for index in range(bulk.count):
            node[f"Class{index:06}"] = {_VALUES: _bulk_values(index, filling)}
    return _as_key("ROOT", tree)


_VALUES = "\\"
"""No key can have this name: below it lie the values."""

_Tree: TypeAlias = dict[str, Any]


def _as_key(name: str, tree: _Tree) -> regf.Key:
    values = tree.get(_VALUES, ())
    children = tuple(_as_key(child, tree[child]) for child in tree if child != _VALUES)
    return regf.Key(name, values, children)


def _bulk_values(index: int, filling: bytes) -> tuple[regf.Value, ...]:
    text = as_raw(f"Class number {index}")
    return regf.Value("", text.type, text.data), regf.Value("Data", 3, filling)
