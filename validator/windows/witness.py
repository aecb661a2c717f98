"""The second reader of values: what our walk of cells and dissect.regf read must be the same.

dissect.regf starts at the cell of the key that our walk found, takes the key's path from its parents,
and reads the values by itself. Where it cannot read what verified (it stumbles over some healthy
hives), it is no witness; where it reads something else, that is doubt, whichever is right.
"""

from collections.abc import Iterator
from functools import lru_cache
from struct import iter_unpack
from typing import Any, NamedTuple

from validator.disk.upcase import upcase
from validator.evidence import Unreadable
from validator.source import ByteSource, Stream

Stored = tuple[int, bytes]
"""Type and data of a value."""


class _Key(NamedTuple):
    """A key as dissect.regf reads it."""

    path: str
    """In capitals."""
    values: dict[str, Any]
    """By their names in capitals, as far as they were looked for; of two of one name the first counts."""
    others: Iterator[Any]


class RegfWitness:
    """dissect.regf over the bytes of a hive.

    What takes it longest says nothing of values, and is left out: the reserved fields of the base block,
    and a type for the list of each key's values. Where it then stumbles, or has something else, it is asked
    again without that, and what it has then counts.
    """

    def __init__(self, source: ByteSource) -> None:
        self._source = source
        self._quick = True
        self._hive: Any = None
        self._keys: dict[int, _Key] = {}

    def agrees(self, cell: int, path: str, name: str, stored: Stored | None) -> str | None:
        """What dissect.regf has instead of a value, or None where it has the same or is no witness.

        Args:
            cell: offset of the key's cell in the hive bins.
            path: path of the key below the root, as our walk found it.
            name: name of the value.
            stored: the value, None where it is absent.

        Raises:
            Unreadable: where the bytes cannot be read.
        """
        try:
            other = self._difference(self._key(cell), upcase(path), upcase(name), stored)
            doubtful = other is not None
        except Exception as error:
            self._keys.pop(cell, None)  # what broke off would look like the end of its values
            if isinstance(error, Unreadable):
                raise
            other, doubtful = None, True
        if doubtful and self._quick:
            self._quick, self._hive = False, None
            self._keys.clear()
            return self.agrees(cell, path, name, stored)
        return other

    def _difference(self, key: _Key, path: str, name: str, stored: Stored | None) -> str | None:
        if key.path != path:
            return f"the key “{key.path}”"
        found = _find(key, name)
        theirs = None if found is None else (int(found.type), bytes(found.data))
        if theirs == stored:
            return None
        return "no such value" if theirs is None else f"type {theirs[0]}, {theirs[1][:64].hex(' ')}"

    def _key(self, cell: int) -> _Key:
        if cell not in self._keys:
            node = self._open().cell(cell)
            values = _values(node) if self._quick else node.values()
            self._keys[cell] = _Key(upcase(node.path), {}, values)
        return self._keys[cell]

    def _open(self) -> Any:
        if self._hive is None:
            from dissect.regf.regf import RegistryHive

            if not self._quick:
                self._hive = RegistryHive(Stream(self._source))
                return self._hive
            hive: Any = RegistryHive.__new__(RegistryHive)
            hive.fh = Stream(self._source)
            hive.version = int.from_bytes(self._source.read_at(24, 4), "little")
            hive._hbin_offset = 4096
            hive.cell = lru_cache(4096)(hive.cell)
            self._hive = hive
        return self._hive


def _values(node: Any) -> Iterator[Any]:
    """The values of a key in the order of its list, which is read here."""
    from dissect.regf.regf import KeyValue

    listed = node.cell.ValueList
    cells = node.hive.cell_data(listed.List)[: 4 * listed.Count] if listed.Count else b""
    for (cell,) in iter_unpack("<i", cells[: len(cells) // 4 * 4]):
        yield KeyValue(node.hive, node.hive.cell_data(cell))


def _find(key: _Key, name: str) -> Any:
    """The value of a name in capitals, or None; no further than to it."""
    while name not in key.values and (value := next(key.others, None)) is not None:
        key.values.setdefault(upcase(_name(value)), value)
    return key.values.get(name)


def _name(value: Any) -> str:
    """The value's name; dissect.regf calls the one without a name “(Default)”."""
    return str(value.name) if value.cell.NameLength else ""
