"""The second reader of values: what our walk of cells and dissect.regf read must be the same.

dissect.regf starts at the cell of the key that our walk found, takes the key's path from its parents,
and reads the values by itself. Where it cannot read what verified (it stumbles over some healthy
hives), it is no witness; where it reads something else, that is doubt, whichever is right.
"""

from typing import Any

from validator.disk.upcase import upcase
from validator.evidence import Unreadable
from validator.source import ByteSource, Stream

Stored = tuple[int, bytes]
"""Type and data of a value."""


class RegfWitness:
    """dissect.regf over the bytes of a hive."""

    def __init__(self, source: ByteSource) -> None:
        self._source = source
        self._hive: Any = None
        self._keys: dict[int, tuple[str, dict[str, Any]]] = {}

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
            if cell not in self._keys:
                key = self._open().cell(cell)
                values = reversed(list(key.values()))  # of two of one name the first counts
                self._keys[cell] = upcase(key.path), {upcase(_name(value)): value for value in values}
            known_path, known = self._keys[cell]
            if known_path != upcase(path):
                return f"the key “{known_path}”"
            found = known.get(upcase(name))
            theirs = None if found is None else (int(found.type), bytes(found.data))
        except Unreadable:
            raise
        except Exception:
            return None
        if theirs == stored:
            return None
        return "no such value" if theirs is None else f"type {theirs[0]}, {theirs[1][:64].hex(' ')}"

    def _open(self) -> Any:
        if self._hive is None:
            from dissect.regf.regf import RegistryHive

            self._hive = RegistryHive(Stream(self._source))
        return self._hive


def _name(value: Any) -> str:
    """The value's name; dissect.regf calls the one without a name “(Default)”."""
    return str(value.name) if value.cell.NameLength else ""
