"""Registry hives as bytes: a new hive, its checksum, its key times.

Layout after M. Suhanov, "Windows registry file format specification" (base block, hive bin,
key node, key values list, key security, subkeys lists). Offsets within a hive count from the
first bin, 4096 bytes into the file.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import reduce
from operator import xor

from tests.images.times import filetime

BINS = 4096
"""Where the first bin begins: behind the base block."""

NONE = 0xFFFFFFFF
"""An offset that points nowhere."""

_KEY_NODE = struct.Struct("<2sHQIIIIIIIIIIIIIIIHH")
_TIME_IN_NODE = 4
_LEAF_LIMIT = 1012
"""Windows keeps leaf lists within one page: 8 bytes an element behind a header of 4."""


@dataclass(frozen=True)
class Value:
    """One value of a key, as stored."""

    name: str
    type: int
    data: bytes


@dataclass(frozen=True)
class Key:
    """One key with all that is below it."""

    name: str
    values: Sequence[Value] = ()
    children: Sequence[Key] = ()


def write_hive(root: Key, file_name: str, time: datetime) -> bytes:
    """A clean hive (format 1.5) of ``root``, every key written last at ``time``."""
    cells = _Cells(filetime(time))
    security = _add_security(cells, references=_count(root))
    root_offset = _add_key(cells, root, parent=NONE, security=security, flags=0x2C)
    cells.close()
    base = bytearray(BINS)
    struct.pack_into(
        "<4sIIQIIIIIII", base, 0,
        b"regf", 1, 1, filetime(time), 1, 5, 0, 1, root_offset, len(cells.bins), 1,
    )  # fmt: skip
    base[48:112] = file_name[-31:].encode("utf-16-le").ljust(64, b"\0")
    return seal(bytes(base + cells.bins))


def _count(key: Key) -> int:
    return 1 + sum(map(_count, key.children))


def checksum(base_block: bytes) -> int:
    """XOR of the first 127 dwords; 0 and -1 are stored as 1 and -2 (chapter "Base block")."""
    total: int = reduce(xor, struct.unpack_from("<127I", base_block))
    return {0: 1, 0xFFFFFFFF: 0xFFFFFFFE}.get(total, total)


def seal(hive: bytes, time: datetime | None = None) -> bytes:
    """``hive`` with equal sequence numbers, the write ``time`` if given, and a right checksum."""
    sealed = bytearray(hive)
    sealed[8:12] = sealed[4:8]
    if time is not None:
        struct.pack_into("<Q", sealed, 12, filetime(time))
    struct.pack_into("<I", sealed, 508, checksum(bytes(sealed[:508])))
    return bytes(sealed)


def set_key_time(hive: bytearray, path: str, time: datetime) -> None:
    """Set the last-written time of the key at ``path``."""
    struct.pack_into("<Q", hive, find_key(hive, path) + _TIME_IN_NODE, filetime(time))


def find_key(hive: bytes | bytearray, path: str) -> int:
    """Where in the file the key node of ``path`` begins (behind its cell's size field)."""
    (root,) = struct.unpack_from("<I", hive, 36)
    node: int = BINS + root + 4
    for name in filter(None, path.split("\\")):
        for child in _children(hive, node):
            if _name(hive, child).casefold() == name.casefold():
                node = child
                break
        else:
            raise KeyError(f"no key {name!r} on the way to {path!r}")
    return node


def _children(hive: bytes | bytearray, node: int) -> Iterator[int]:
    (offset,) = struct.unpack_from("<I", hive, node + 28)
    if offset != NONE:
        yield from _listed(hive, BINS + offset + 4)


def _listed(hive: bytes | bytearray, at: int) -> Iterator[int]:
    kind, count = struct.unpack_from("<2sH", hive, at)
    step = 8 if kind in (b"lf", b"lh") else 4
    for index in range(count):
        (offset,) = struct.unpack_from("<I", hive, at + 4 + index * step)
        if kind == b"ri":
            yield from _listed(hive, BINS + offset + 4)
        else:
            yield BINS + offset + 4


def _name(hive: bytes | bytearray, node: int) -> str:
    (flags,) = struct.unpack_from("<H", hive, node + 2)
    (length,) = struct.unpack_from("<H", hive, node + 72)
    raw = bytes(hive[node + 76 : node + 76 + length])
    return raw.decode("latin-1" if flags & 0x20 else "utf-16-le")


class _Cells:
    """Cells laid one behind the other into bins of whole pages."""

    def __init__(self, time: int) -> None:
        self.time = time
        self.bins = bytearray()
        self._free = 0

    def add(self, content: bytes) -> int:
        """Store ``content`` in an allocated cell and return the cell's offset."""
        size = -(-(4 + len(content)) // 8) * 8
        if size > self._free:
            self.close()
            self._open_bin(-(-(32 + size) // 4096) * 4096)
        offset = len(self.bins)
        self.bins += struct.pack("<i", -size) + content.ljust(size - 4, b"\0")
        self._free -= size
        return offset

    def patch(self, cell: int, at: int, number: int) -> None:
        """Overwrite the dword ``at`` bytes into the content of ``cell``."""
        struct.pack_into("<I", self.bins, cell + 4 + at, number)

    def close(self) -> None:
        """Turn what is left of the last bin into a free cell."""
        if self._free:
            self.bins += struct.pack("<i", self._free) + bytes(self._free - 4)
            self._free = 0

    def _open_bin(self, size: int) -> None:
        time = 0 if self.bins else self.time
        self.bins += struct.pack("<4sIIQQI", b"hbin", len(self.bins), size, 0, time, 0)
        self._free = size - 32


def _add_key(cells: _Cells, key: Key, parent: int, security: int, flags: int) -> int:
    """Store the node of ``key``, then all that it lists."""
    name = key.name.encode("ascii")
    node = cells.add(
        _KEY_NODE.pack(
            b"nk", flags, cells.time, 0, parent, len(key.children), 0, NONE, NONE,
            len(key.values), NONE, security, NONE,
            max((2 * len(child.name) for child in key.children), default=0), 0,
            max((2 * len(value.name) for value in key.values), default=0),
            max((len(value.data) for value in key.values), default=0), 0,
            len(name), 0,
        )
        + name
    )  # fmt: skip
    if key.values:
        offsets = [_add_value(cells, value) for value in key.values]
        cells.patch(node, 40, cells.add(struct.pack(f"<{len(offsets)}I", *offsets)))
    if key.children:
        children = sorted(key.children, key=lambda child: child.name.upper())
        nodes = [_add_key(cells, child, node, security, flags=0x20) for child in children]
        hashes = [_name_hash(child.name) for child in children]
        cells.patch(node, 28, _add_list(cells, list(zip(nodes, hashes, strict=True))))
    return node


def _add_value(cells: _Cells, value: Value) -> int:
    """Store a value; data of up to four bytes lies in the value cell itself."""
    name = value.name.encode("ascii")
    if len(value.data) <= 4:
        size = len(value.data) | 0x80000000
        (data,) = struct.unpack("<I", value.data.ljust(4, b"\0"))
    else:
        size, data = len(value.data), cells.add(value.data)
    return cells.add(struct.pack("<2sHIIIHH", b"vk", len(name), size, data, value.type, bool(name), 0) + name)


def _add_list(cells: _Cells, elements: list[tuple[int, int]]) -> int:
    """Store a hash leaf, or as many as needed below an index root."""
    leaves = [
        cells.add(
            struct.pack("<2sH", b"lh", len(leaf)) + b"".join(struct.pack("<II", *element) for element in leaf)
        )
        for leaf in (elements[at : at + _LEAF_LIMIT] for at in range(0, len(elements), _LEAF_LIMIT))
    ]
    if len(leaves) == 1:
        return leaves[0]
    return cells.add(struct.pack(f"<2sH{len(leaves)}I", b"ri", len(leaves), *leaves))


def _name_hash(name: str) -> int:
    """The hash of an ``lh`` element: base 37 over the upper-case name."""
    return reduce(lambda total, letter: (total * 37 + ord(letter)) & NONE, name.upper(), 0)


def _add_security(cells: _Cells, references: int) -> int:
    """Store the one key security cell; it is the only one, so its list is a ring of itself."""
    cell = cells.add(struct.pack("<2sHIIII", b"sk", 0, 0, 0, references, len(_SECURITY)) + _SECURITY)
    cells.patch(cell, 4, cell)
    cells.patch(cell, 8, cell)
    return cell


def _sid(*sub_authorities: int) -> bytes:
    """A security identifier of the NT authority, S-1-5-… ([MS-DTYP] 2.4.2.2)."""
    count = len(sub_authorities)
    return bytes([1, count, 0, 0, 0, 0, 0, 5]) + struct.pack(f"<{count}I", *sub_authorities)


def _full_control(*sids: bytes) -> bytes:
    """A self-relative security descriptor: all access for ``sids``, the first one owns."""
    entries = b"".join(struct.pack("<BBHI", 0, 2, 8 + len(sid), 0xF003F) + sid for sid in sids)
    acl = struct.pack("<BBHHH", 2, 0, 8 + len(entries), len(sids), 0) + entries
    owner, group = 20, 20 + len(sids[0])
    head = struct.pack("<BBHIIII", 1, 0, 0x8004, owner, group, 0, group + len(sids[1]))
    return head + sids[0] + sids[1] + acl


_SECURITY = _full_control(_sid(32, 544), _sid(18))
