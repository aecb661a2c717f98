"""Registry hives: keys and values found by walking verified cells.

Source: Maxim Suhanov, Windows registry file format specification (regf). With unequal
sequence numbers or a wrong checksum the newest writes lie in the transaction logs beside the primary
file, and what stands in it may be old: the logs are applied in memory, or nothing is read.
"""

from array import array
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta, timezone
from struct import Struct
from typing import NamedTuple

from validator.disk.container import unpack_at
from validator.disk.upcase import upcase
from validator.evidence import Evidence, Layer, Location, Unreadable, damaged, made_good
from validator.redaction import redact_bytes
from validator.source import ByteSource, File, Pages
from validator.windows.hive_log import base_block_checksum, is_intact, recover
from validator.windows.witness import RegfWitness

PAGE = 4096
BASE_BLOCK = 4096
MAX_BIN = 4 * 2**20
"""Bins are searched for by their header; Windows makes them of one page or as large as one cell."""
SEGMENT = 16344
"""Larger data is kept in segments of this size."""
MAX_DATA = 2**20
"""Nothing that is judged is near it."""
MAX_NAME = 32 * 2**10
MAX_NAMES = 2**16
"""Names that are listed, or compared before a key is called absent."""
MAX_SUBKEYS = 2**17
MAX_VALUES = 2**14
MAX_LISTED = 16 * 2**20
"""Bytes that the values of a key that are listed have together: they may all refer to the same data."""
REG_SZ, REG_EXPAND_SZ, REG_BINARY, REG_DWORD = 1, 2, 3, 4
TYPE_NAMES = {
    0: "REG_NONE",
    1: "REG_SZ",
    2: "REG_EXPAND_SZ",
    3: "REG_BINARY",
    4: "REG_DWORD",
    5: "REG_DWORD_BIG_ENDIAN",
    6: "REG_LINK",
    7: "REG_MULTI_SZ",
    11: "REG_QWORD",
}
_COMPRESSED_NAME = 0x20
_ELSEWHERE = 0x01 | 0x02 | 0x10 | 0x40
"""Flags of keys that are volatile, lead to another hive or key, or are predefined handles."""
_VALUE_COMPRESSED_NAME = 0x0001
_INLINE = 0x80000000
"""In the length of a value: its data stands in the value itself."""
_TRANSACTIONS = 0x00000001
"""Flag of the base block: pending or anticipated transactions, as in nearly every SYSTEM hive."""
_EPOCH = datetime(1601, 1, 1, tzinfo=timezone.utc)
_SIZE = Struct("<i")
"""What a cell begins with: its size, negative where it is allocated."""
_NODE = Struct("<2sHQ4xII4xI4xII28xH")
"""Signature, flags, time, parent, sub-keys and their list, values and their list, length of the name."""
_NAME_IN_NODE = 76
_VALUE = Struct("<2sHIIIH")
"""Signature, lengths of name and data, cell of the data, type, flags."""
_NAME_IN_VALUE = 20
_KEPT_NODES = 4096
_KEPT_VALUES = 256
"""Key nodes that are kept; values of a key up to which they are. More than a healthy hive makes us read."""
_SPEC = "regf"


class Value(NamedTuple):
    """A registry value as it is stored."""

    key: str
    name: str
    type: int
    data: bytes
    where: Location
    key_time: datetime | None
    """When its key was last written, UTC."""

    @property
    def type_name(self) -> str:
        """`REG_SZ` and so on."""
        return TYPE_NAMES.get(self.type, f"type {self.type:#x}")

    @property
    def text(self) -> str | None:
        """The text of a REG_SZ or REG_EXPAND_SZ without its closing NULs, or None.

        None for another type, an odd length, or what is not UTF-16LE. A NUL inside stays.
        """
        if self.type not in (REG_SZ, REG_EXPAND_SZ) or len(self.data) % 2:
            return None
        try:
            return self.data.decode("utf-16-le").rstrip("\0")
        except UnicodeDecodeError:
            return None

    @property
    def string(self) -> str | None:
        """The text as Windows takes it, which ends at the first NUL; None as for `text`."""
        return None if self.text is None else self.text.partition("\0")[0]

    @property
    def number(self) -> int | None:
        """The number of a REG_DWORD of four bytes, or None."""
        return unpack_at("<I", self.data)[0] if self.type == REG_DWORD and len(self.data) == 4 else None

    def __str__(self) -> str:
        if self.text is not None:
            return self.text
        if self.number is not None:
            return str(self.number)
        return redact_bytes(self.data)

    @property
    def evidence(self) -> Evidence:
        """What stands there, with the time of its key."""
        shown = str(self) or "(empty)"
        return Evidence(self.where, f"{shown} ({self.type_name})", time=self.key_time)


class Key(NamedTuple):
    """A key node that verified."""

    path: str
    name: str
    upper: str
    """The name for comparison."""
    cell: int
    parent: int
    """The parent's cell, as the node gives it."""
    ticks: int
    subkeys: int
    subkey_list: int
    values: int
    value_list: int
    flags: int

    @property
    def time(self) -> datetime | None:
        """When it was last written, UTC."""
        return filetime(self.ticks)


class _Children(NamedTuple):
    """A list of sub-keys: their cells, and the hint that it gives for each."""

    cells: tuple[int, ...]
    hints: tuple[int | bytes | None, ...]
    """The hash of the name, its first letters, or nothing."""


class _StoredValue(NamedTuple):
    """A value whose name verified, its data not read yet."""

    name: str
    upper: str
    """The name for comparison."""
    cell: int
    length: int
    content: int
    type: int
    inline: bytes
    """Where the data stands if there is little of it, instead of the cell of `content`."""


def filetime(ticks: int) -> datetime | None:
    """A FILETIME (100 ns since 1601-01-01) in UTC; None for zero and what no calendar holds."""
    if not ticks:
        return None
    try:
        return _EPOCH + timedelta(microseconds=ticks // 10)
    except OverflowError:
        return None


class Hive:
    """The primary file of a hive, with its transaction logs applied in memory where it is dirty.

    Args:
        file: the primary file.
        logs: the logs beside it, as far as they are there, in the order LOG, LOG1, LOG2.

    Raises:
        Unreadable: from the constructor where the base block does not verify and no log makes it good;
            from all that reads keys and values where a cell on the way does not.
    """

    def __init__(self, file: File, logs: Sequence[File] = ()) -> None:
        self.path = file.path
        self.recovered: tuple[Evidence, ...] = ()
        self.transactional = False
        """Whether transactions (TxR) were pending or anticipated. They are none of the hive's content."""
        self._partition = file.partition
        self._source: ByteSource = file
        self._bins: dict[int, tuple[int, int]] = {}
        """Start and end of the bin that a page lies in."""
        self._walked: dict[int, array[int]] = {}
        """Where the cells of a bin begin, by its start: as far as it was walked, the last not yet."""
        self._keys: dict[str, Key | None] = {}
        self._nodes: dict[int, Key] = {}
        """Keys by their cells: those in the middle of a list are compared with every name."""
        self._values: dict[tuple[int, int], list[_StoredValue]] = {}
        """What `_stored_values` found, by the cell and the length of the list."""
        self._lists: dict[int, _Children] = {}
        """What `_children` found, by the key's cell: some keys are asked for many of their sub-keys."""
        self._present: dict[int, frozenset[str]] = {}
        """The names of all sub-keys of a key, in capitals, by its cell."""
        if not file.size:
            raise self._damage(0, "a base block of 4096 bytes", "an empty file")
        if fault := self._fault(file):
            recovery = recover(file, [(log.path.rpartition("\\")[2], log) for log in logs])
            if recovery is None:
                raise fault
            self._source = recovery.view
            how = (
                f"{recovery.entries} entries with {recovery.pages} pages from {', '.join(recovery.logs)} "
                f"were applied in memory, up to sequence number {recovery.sequence}"
            )
            self.recovered = (made_good(fault, how),)
        # Both readers of values go over the same few pages.
        self._source = Pages(self._source.read_at, self._source.size)
        self._verify_base_block(self._source.read_at(0, 512))
        self._witness = RegfWitness(self._source)
        self.root = self._opened(self._key(self._root_cell, "", None))

    @property
    def content(self) -> ByteSource:
        """The bytes of the file, with what its logs made of them."""
        return self._source

    def _fault(self, file: File) -> Unreadable | None:
        """What makes the hive dirty, or None."""
        if file.size < BASE_BLOCK:
            return self._damage(0, "a base block of 4096 bytes", f"a file of {file.size} bytes")
        block = file.read_at(0, 512)
        if block[:4] != b"regf":
            return self._damage(0, "the signature “regf”", block[:4].hex(" "))
        if not is_intact(block):
            computed, (stored,) = base_block_checksum(block), unpack_at("<I", block, 508)
            return self._damage(508, f"the base block's checksum {computed:#010x}", f"{stored:#010x}")
        primary, secondary = unpack_at("<II", block, 4)
        if primary != secondary:
            found = f"{primary} and {secondary}: Windows was not shut down cleanly"
            return self._damage(4, "equal sequence numbers", found)
        return None

    def _verify_base_block(self, block: bytes) -> None:
        major, minor, kind, layout, root, length = unpack_at("<IIIIII", block, 20)
        if major != 1 or not 3 <= minor <= 6:
            raise self._damage(20, "format version 1.3 to 1.6", f"{major}.{minor}")
        if kind or layout != 1:
            raise self._damage(28, "a primary file", f"file type {kind}, format {layout}")
        if not length or length % PAGE or BASE_BLOCK + length > self._source.size:
            found = f"{length} bytes in a file of {self._source.size}"
            raise self._damage(40, "hive bins within the file", found)
        self._length = length
        self._minor = minor
        self.transactional = bool(unpack_at("<I", block, 144)[0] & _TRANSACTIONS)
        self._root_cell = root

    def _damage(self, offset: int, expected: str, found: str, key: str | None = None) -> Unreadable:
        where = Location(Layer.HIVE, offset, self._partition, self.path, key)
        return damaged(where, expected=expected, found=found, spec=_SPEC)

    # -- cells ---------------------------------------------------------------------------------

    def _read(self, offset: int, length: int) -> bytes:
        """Bytes of the hive bins; `offset` counts from the first bin, as all offsets in a hive do."""
        return self._source.read_at(BASE_BLOCK + offset, length)

    def _page(self, number: int) -> bytes:
        """A page of the hive bins."""
        return self._source.read_at(BASE_BLOCK + number * PAGE, PAGE)

    def _bin(self, offset: int, key: str) -> tuple[int, int]:
        """Start and end of the bin that holds an offset: the nearest header before it that holds."""
        page = offset // PAGE
        for start in range(page, max(-1, page - MAX_BIN // PAGE), -1):
            if known := self._bins.get(start):
                return known
            header = self._page(start)
            if header[:4] != b"hbin":
                continue
            own, size = unpack_at("<II", header, 4)
            end = start * PAGE + size
            if own != start * PAGE or not size or size % PAGE or not offset < end <= self._length:
                raise self._damage(
                    BASE_BLOCK + start * PAGE,
                    f"a hive bin over {offset:#x}",
                    f"one of {size:#x} bytes that gives its offset as {own:#x}",
                    key,
                )
            self._bins[start] = self._bins[page] = start * PAGE, end
            return self._bins[start]
        raise self._damage(BASE_BLOCK + offset, "a hive bin around this cell", "no header before it", key)

    def _walk_to(self, offset: int, start: int, end: int, key: str) -> None:
        """Go over the cells of a bin: one must begin at the offset, or it lies inside another."""
        cells = self._walked.get(start)
        if cells is None:
            cells = self._walked[start] = array("I", (start + 32,))
        while (at := cells[-1]) <= offset and at < end:
            # No size crosses a page: cells begin at multiples of 8.
            page, within = self._page(at // PAGE), at % PAGE
            while within < PAGE and at <= offset:
                size = abs(_SIZE.unpack_from(page, within)[0])
                if size < 8 or size % 8 or at + size > end:
                    found = f"one of {size} bytes"
                    raise self._damage(BASE_BLOCK + at, "cells that fill their bin", found, key)
                at += size
                within += size
                cells.append(at)
        index = bisect_left(cells, offset)
        if index >= len(cells) - 1 or cells[index] != offset:
            raise self._damage(BASE_BLOCK + offset, "the beginning of a cell", "the inside of another", key)

    def _cell(self, offset: int, key: str, minimum: int, more: int = 0) -> bytes:
        """The content of an allocated cell: `minimum` bytes that must be there, and up to `more`."""
        if offset % 8 or not 0 <= offset < self._length:
            raise self._damage(BASE_BLOCK + offset, "a cell inside the hive bins", f"offset {offset:#x}", key)
        start, end = self._bin(offset, key)
        self._walk_to(offset, start, end, key)
        page, within = self._page(offset // PAGE), offset % PAGE
        size = -_SIZE.unpack_from(page, within)[0]
        if size <= 0:
            raise self._damage(BASE_BLOCK + offset, "an allocated cell", "a freed one", key)
        if size < minimum + 4:
            expected = f"a cell of at least {minimum + 4} bytes inside its bin"
            raise self._damage(BASE_BLOCK + offset, expected, f"{size} bytes", key)
        length = min(size - 4, minimum + more)
        if within + 4 + length <= PAGE:
            return page[within + 4 : within + 4 + length]
        return self._read(offset + 4, length)

    # -- keys ----------------------------------------------------------------------------------

    def _key(self, offset: int, path: str, parent: int | None) -> Key:
        """The key in a cell; its path is that of who asked for it first."""
        key = self._nodes.get(offset) or self._read_key(offset, path)
        if parent is not None and key.parent != parent:
            found = f"{key.parent:#x}"
            raise self._damage(BASE_BLOCK + offset + 20, f"the parent key {parent:#x}", found, path)
        return key

    def _read_key(self, offset: int, path: str) -> Key:
        data = self._cell(offset, path, _NAME_IN_NODE, MAX_NAME)
        (signature, flags, ticks, parent, subkeys, subkey_list, values, value_list, length) = (
            _NODE.unpack_from(data)
        )
        if signature != b"nk":
            raise self._damage(BASE_BLOCK + offset, "a key node “nk”", signature.hex(" "), path)
        at = _NAME_IN_NODE
        if at + length > len(data):
            raise self._damage(BASE_BLOCK + offset + at, "a name inside its cell", f"{length} bytes", path)
        name = self._name(data[at : at + length], bool(flags & _COMPRESSED_NAME), offset, path)
        key = Key(
            path,
            name,
            upcase(name),
            offset,
            parent,
            ticks,
            subkeys,
            subkey_list,
            values,
            value_list,
            flags,
        )
        if len(self._nodes) >= _KEPT_NODES:
            self._nodes.clear()
        self._nodes[offset] = key
        return key

    def _opened(self, key: Key) -> Key:
        """A key whose content is in this hive under it; of others nothing but the name counts."""
        if key.flags & _ELSEWHERE:
            found = f"flags {key.flags:#x}: its content is kept elsewhere"
            raise self._damage(BASE_BLOCK + key.cell + 2, "a key of its own", found, key.path)
        return key

    def key(self, path: str) -> Key | None:
        """The key at a path below the root, or None where it is verified not to be there."""
        if path not in self._keys:
            parent, _, name = path.rpartition("\\")
            above = self.key(parent) if parent else self.root
            self._keys[path] = None if above is None else self._subkey(above, name)
        return self._keys[path]

    def subkeys(self, path: str) -> tuple[str, ...]:
        """Names of the sub-keys of a key, in the order of its list; none where there is no such key.

        Keys that lead elsewhere are named too. There is no second reader of this: what an answer of
        error severity rests on must be asked for through `value`.

        Raises:
            Unreadable: also where names are out of order or twice, or more than `MAX_NAMES`.
        """
        key = self.key(path) if path else self.root
        if key is None or not key.subkeys:
            return ()
        children = self._all_children(self._children(key, key.path), key, key.path)
        found = [(child.name, child.upper) for child in children]
        for (_, before), (_, name) in zip(found, found[1:]):
            if before >= name:
                expected = f"“{name}” in the order of the sub-keys' names"
                raise self._damage(BASE_BLOCK + key.subkey_list, expected, f"it after “{before}”", key.path)
        return tuple(name for name, _ in found)

    def _subkey(self, key: Key, name: str) -> Key | None:
        """One sub-key by name.

        Windows finds it by the list's hints or by halving the list: so the hint must fit, and the list
        must be in order around the name. A key that only a scan finds is damage, not absence.
        """
        if not key.subkeys:
            return None
        path = f"{key.path}\\{name}".lstrip("\\")
        children = self._children(key, path)
        cells, wanted = children.cells, upcase(name)
        index = self._halve(cells, key, wanted, path)
        if index is None:
            self._refuse_hidden(children, key, wanted, path)
            return None
        for neighbour in (index - 1, index + 1):
            if 0 <= neighbour < len(cells) and self._key(cells[neighbour], path, key.cell).upper == wanted:
                raise self._damage(BASE_BLOCK + cells[neighbour], "one key of this name", "two of them", path)
        hint = children.hints[index]
        if hint is not None and name.isascii() and not _fits(hint, name):
            where = BASE_BLOCK + key.subkey_list
            raise self._damage(where, "the hint of this key's name", "another one", path)
        return self._opened(self._key(cells[index], path, key.cell)._replace(path=path))

    def _children(self, key: Key, path: str) -> _Children:
        """The list of a key's sub-keys (see `_subkey_list`), as many as the key says and all different."""
        if (known := self._lists.get(key.cell)) is not None:
            return known
        children = self._subkey_list(key.subkey_list, path, depth=0)
        count, different = len(children.cells), len(set(children.cells))
        if count != key.subkeys or different != count:
            found = f"a list of {count}, {different} of them different"
            raise self._damage(BASE_BLOCK + key.cell, f"{key.subkeys} sub-keys", found, key.path)
        self._lists[key.cell] = children
        return children

    def _all_children(self, children: _Children, key: Key, path: str) -> Iterator[Key]:
        """The sub-keys in a list, a bounded number of them."""
        if len(children.cells) > MAX_NAMES:
            found = f"{len(children.cells)} names to compare"
            raise self._damage(BASE_BLOCK + key.cell, f"at most {MAX_NAMES} sub-keys", found, path)
        for cell in children.cells:
            yield self._key(cell, path, key.cell)

    def _halve(self, cells: Sequence[int], key: Key, wanted: str, path: str) -> int | None:
        low, high = 0, len(cells)
        while low < high:
            middle = (low + high) // 2
            found = self._key(cells[middle], path, key.cell).upper
            if found == wanted:
                return middle
            low, high = (middle + 1, high) if found < wanted else (low, middle)
        return None

    def _refuse_hidden(self, children: _Children, key: Key, wanted: str, path: str) -> None:
        """Absence is only believed when no name in the list is the one that was looked for."""
        if key.cell not in self._present:
            names = frozenset(child.upper for child in self._all_children(children, key, path))
            self._present[key.cell] = names
        if wanted in self._present[key.cell]:
            expected = "sub-keys in the order of their names"
            raise self._damage(BASE_BLOCK + key.subkey_list, expected, "this one out of order", path)

    def _subkey_list(self, offset: int, path: str, depth: int) -> _Children:
        """Cells of the sub-keys with the hint that the list gives for each: hash, letters or None."""
        head = self._cell(offset, path, 4)
        kind, (count,) = head[:2], unpack_at("<H", head, 2)
        if kind not in (b"lf", b"lh", b"li", b"ri"):
            raise self._damage(BASE_BLOCK + offset, "a list of sub-keys", kind.hex(" "), path)
        words = count * (1 if kind in (b"li", b"ri") else 2)
        numbers = unpack_at(f"<{words}I", self._cell(offset, path, 4 + 4 * words), 4)
        if kind == b"li":
            return _Children(numbers, (None,) * count)
        if kind == b"lh":
            return _Children(numbers[::2], numbers[1::2])
        if kind == b"lf":
            return _Children(numbers[::2], tuple(word.to_bytes(4, "little") for word in numbers[1::2]))
        if depth or len(set(numbers)) != count:
            raise self._damage(BASE_BLOCK + offset, "an index root of different lists", "another list", path)
        cells: list[int] = []
        hints: list[int | bytes | None] = []
        for cell in numbers:
            part = self._subkey_list(cell, path, depth + 1)
            cells += part.cells
            hints += part.hints
            if len(cells) > MAX_SUBKEYS:
                found = "more of them"
                raise self._damage(BASE_BLOCK + offset, f"at most {MAX_SUBKEYS} sub-keys", found, path)
        return _Children(tuple(cells), tuple(hints))

    # -- values --------------------------------------------------------------------------------

    def value(self, path: str, name: str) -> Value | None:
        """A value of the key at a path, or None where key or value is verified not to be there.

        Read by two readers, which must agree.
        """
        key = self.key(path) if path else self.root
        if key is None:
            return None
        found = self._find_value(key, name)
        stored = None if found is None else (found.type, found.data)
        if other := self._witness.agrees(key.cell, path, name, stored):
            expected = f"the same {name} from two readers"
            ours = "no such value" if stored is None else f"type {stored[0]}, {stored[1][:64].hex(' ')}"
            raise self._damage(BASE_BLOCK + key.cell, expected, f"{ours}; by dissect.regf {other}", path)
        return found

    def values(self, path: str) -> tuple[Value, ...]:
        """All values of a key, in the order of its list; none where there is no such key.

        There is no second reader of this: what an answer of error severity rests on must be asked for
        through `value`.

        Raises:
            Unreadable: also where two have one name, or they have more than `MAX_LISTED` bytes together.
        """
        key = self.key(path) if path else self.root
        stored = [] if key is None else self._stored_values(key)
        if key is None or not stored:
            return ()
        where = BASE_BLOCK + key.value_list
        if len({each.upper for each in stored}) != len(stored):
            raise self._damage(where, "values of different names", "two of one name", key.path)
        if sum(each.length & ~_INLINE for each in stored) > MAX_LISTED:
            raise self._damage(where, f"values of at most {MAX_LISTED} bytes together", "more", key.path)
        return tuple(self._value(each, key) for each in stored)

    def _find_value(self, key: Key, name: str) -> Value | None:
        wanted = upcase(name)
        found = [each for each in self._stored_values(key) if each.upper == wanted]
        if len(found) > 1:
            raise self._damage(
                BASE_BLOCK + key.value_list, f"one value {name}", f"{len(found)} of them", key.path
            )
        return self._value(found[0], key) if found else None

    def _stored_values(self, key: Key) -> list[_StoredValue]:
        """All values of a key without their data."""
        if not key.values:
            return []
        place = key.value_list, key.values
        if (known := self._values.get(place)) is not None:
            return known
        if key.values > MAX_VALUES:
            raise self._damage(
                BASE_BLOCK + key.cell, f"at most {MAX_VALUES} values", str(key.values), key.path
            )
        cells = unpack_at(f"<{key.values}I", self._cell(key.value_list, key.path, 4 * key.values))
        if len(set(cells)) != len(cells):
            raise self._damage(BASE_BLOCK + key.value_list, "each value once", "one twice", key.path)
        stored = [self._stored_value(cell, key.path) for cell in cells]
        if len(stored) <= _KEPT_VALUES:
            self._values[place] = stored
        return stored

    def _stored_value(self, offset: int, path: str) -> _StoredValue:
        data = self._cell(offset, path, _NAME_IN_VALUE, MAX_NAME)
        signature, name_length, length, content, kind, flags = _VALUE.unpack_from(data)
        if signature != b"vk":
            raise self._damage(BASE_BLOCK + offset, "a value “vk”", signature.hex(" "), path)
        at = _NAME_IN_VALUE
        if at + name_length > len(data):
            raise self._damage(BASE_BLOCK + offset, "a name inside its cell", f"{name_length} bytes", path)
        compressed = bool(flags & _VALUE_COMPRESSED_NAME)
        name = self._name(data[at : at + name_length], compressed, offset, path)
        return _StoredValue(name, upcase(name), offset, length, content, kind, data[8:12])

    def _value(self, stored: _StoredValue, key: Key) -> Value:
        """A value with its data."""
        where = BASE_BLOCK + stored.cell + 4
        length = stored.length
        if length & _INLINE:
            length &= ~_INLINE
            if length > 4:
                found = f"{length} bytes"
                raise self._damage(where, "at most 4 bytes in the value itself", found, key.path)
            data = stored.inline[:length]
        elif length > MAX_DATA:
            raise self._damage(where, f"a value of at most {MAX_DATA} bytes", f"{length}", key.path)
        elif length > SEGMENT and self._minor > 3:
            data = self._big_data(stored.content, length, key.path)
        else:
            data = self._cell(stored.content, key.path, length) if length else b""
        place = Location(Layer.HIVE, None, self._partition, self.path, key.path, stored.name)
        return Value(key.path, stored.name, stored.type, data, place, key.time)

    def _name(self, data: bytes, compressed: bool, offset: int, path: str) -> str:
        if compressed:
            return data.decode("latin-1")
        if len(data) % 2:
            raise self._damage(BASE_BLOCK + offset, "a name in UTF-16", f"one of {len(data)} bytes", path)
        return data.decode("utf-16-le", "surrogatepass")

    def _big_data(self, offset: int, length: int, path: str) -> bytes:
        """Data in segments, as values above 16344 bytes are kept since format 1.4."""
        head = self._cell(offset, path, 8)
        (count,), (segments,) = unpack_at("<H", head, 2), unpack_at("<I", head, 4)
        if head[:2] != b"db" or count != -(-length // SEGMENT):
            expected = f"big data “db” of {-(-length // SEGMENT)} segments"
            raise self._damage(BASE_BLOCK + offset, expected, f"{head[:2].hex(' ')}, {count}", path)
        cells = unpack_at(f"<{count}I", self._cell(segments, path, 4 * count))
        sizes = [SEGMENT] * (count - 1) + [length - SEGMENT * (count - 1)]
        return b"".join(self._cell(cell, path, size) for cell, size in zip(cells, sizes))


def _fits(hint: int | bytes, name: str) -> bool:
    """Whether it is a name's hash, as an `lh` list gives it, or its first letters, as an `lf` list does."""
    if isinstance(hint, bytes):
        letters = name[:4].encode("latin-1", "replace").ljust(4, b"\0")
        # A name that is stored as UTF-16 has zeros for letters.
        return hint in (letters, letters.upper(), letters.lower(), letters.title(), bytes(4))
    hashed = 0
    for unit in upcase(name):
        hashed = (hashed * 37 + ord(unit)) & 0xFFFFFFFF
    return hint == hashed
