"""Tar archives: their members in order, every header verified.

POSIX ustar and pax, and what GNU tar adds: long names, sparse members. Sources: POSIX.1-2017, pax, "ustar
Interchange Format" and "pax Header Block"; GNU tar 1.34, "Basic Tar Format", "Extensions to ustar", "Storing
Sparse Files".
"""

from array import array
from collections.abc import Iterator
from typing import NamedTuple, Protocol, TypeAlias

from validator.disk.formats import is_tar_header
from validator.evidence import Layer, Location, Unreadable, damaged

BLOCK = 512
MAX_MEMBERS = 10_000
MAX_SPANS = 2**20
"""Of a sparse member; so many hold 4 GiB even in pieces of 4 KiB."""
_MAX_EXTENSION = 2**20
"""Bytes of names and other records about one member."""
_END = bytes(BLOCK)
_REGULAR = (b"0", b"\0", b"7")
_BARE = (b"1", b"2", b"3", b"4", b"5", b"6")
"""Links, devices, folders, pipes: a header, and nothing behind it."""
_SPARSE = "GNU.sparse."


Spans: TypeAlias = tuple["array[int]", "array[int]"]
"""Offsets and lengths of the parts of a sparse member's content that are stored, in order."""


class Reader(Protocol):
    """The bytes of an archive, forwards."""

    @property
    def position(self) -> int:
        """Offset of what comes next."""

    def take(self, length: int) -> bytes:
        """The next bytes.

        Raises:
            Unreadable: where the archive ends before.
        """

    def skip(self, length: int) -> None:
        """Pass the next bytes; raises as `take`."""


class Member(NamedTuple):
    """A member of an archive."""

    name: str
    regular: bool
    """Whether it is a file."""
    size: int
    """Bytes of its content, holes included."""
    at: int
    """Offset of what is stored of it."""
    stored: int
    """Bytes that are stored of it."""
    spans: Spans | None = None
    """Of a sparse member."""


class _Header(NamedTuple):
    name: str
    kind: bytes
    size: int
    block: bytes


def members(reader: Reader) -> Iterator[Member]:
    """All members, up to the end of the archive, which is verified to be there.

    Of a member's content the reader may have been read, as far as it goes, before the next is asked for.

    Raises:
        Unreadable: where a header is damaged, or is of a kind that is not read.
    """
    long_name: str | None = None
    records: dict[str, str] = {}
    count = 0
    while True:
        at = reader.position
        block = reader.take(BLOCK)
        if block == _END:
            if reader.take(BLOCK) != _END:
                raise _damage(at, "two blocks of zeros at the end of the archive", "one alone")
            if long_name is not None or records:
                raise _damage(at, "a member", "the end of the archive behind what is said of a member")
            return
        count += 1
        if count > MAX_MEMBERS:
            raise _damage(at, f"an archive of at most {MAX_MEMBERS} members", "more")
        header = _header(block, at)
        end = reader.position + _padded(header.size)
        if header.kind in (b"x", b"g", b"L", b"K"):
            if header.size > _MAX_EXTENSION:
                raise _damage(at, f"at most {_MAX_EXTENSION} bytes about a member", f"{header.size}")
            content = reader.take(header.size)
            if header.kind == b"x":
                records = _records(content, at)
            elif header.kind == b"L":
                long_name = _text(content.partition(b"\0")[0])
            elif header.kind == b"g" and any(_changes_members(key) for key in _records(content, at)):
                raise _damage(at, "sizes and names beside their members", "some for all members together")
        elif header.kind == b"M":
            raise _damage(at, "an archive in one part", "a member that began in another part")
        else:
            yield (member := _member(header, long_name, records, reader, at))
            end = member.at + _padded(member.stored)
            long_name, records = None, {}
        reader.skip(end - reader.position)


def _changes_members(key: str) -> bool:
    return key in ("path", "size", "linkpath") or key.startswith(_SPARSE)


def _header(block: bytes, at: int) -> _Header:
    if not is_tar_header(block):
        raise _damage(at, "the header of a member, with its checksum", "none", "POSIX.1-2017, ustar")
    name, prefix = (_text(part.partition(b"\0")[0]) for part in (block[:100], block[345:500]))
    posix = block[257:265] == b"ustar\x0000"
    if posix and prefix:
        name = f"{prefix}/{name}"
    return _Header(name, block[156:157], _number(block, 124, at), block)


def _member(
    header: _Header, long_name: str | None, records: dict[str, str], reader: Reader, at: int
) -> Member:
    name = records.get("path", header.name if long_name is None else long_name)
    stored = _decimal(records["size"], at) if "size" in records else header.size
    regular = header.kind in _REGULAR
    if header.kind in _BARE and stored:
        raise _damage(at, "a link, device or folder without content", f"{stored} bytes of it")
    size, spans = stored, None
    if header.kind == b"S":
        size, spans = _old_sparse(header, reader, at)
        regular = True
    elif regular and any(key.startswith(_SPARSE) for key in records):
        version = records.get("GNU.sparse.major"), records.get("GNU.sparse.minor")
        if version != ("1", "0") or "GNU.sparse.realsize" not in records:
            raise _damage(at, "a sparse member of GNU's format 1.0 or its oldest", "another format")
        name = records.get("GNU.sparse.name", name)
        size = _decimal(records["GNU.sparse.realsize"], at)
        begin = reader.position
        spans = _sparse_map(reader, size, stored, at)
        stored -= reader.position - begin
    if spans is not None and sum(spans[1]) != stored:
        raise _damage(at, f"{stored} stored bytes of a sparse member", f"a map of {sum(spans[1])}")
    return Member(name.removeprefix("./"), regular, size, reader.position, stored, spans)


def _old_sparse(header: _Header, reader: Reader, at: int) -> tuple[int, Spans]:
    """Length and map of a sparse member in GNU's oldest format: in its header, and in blocks behind that."""
    size = _number(header.block, 483, at)
    map_ = _Map(size, at)
    block, fields, more = header.block, range(386, 482, 24), 482
    while True:
        for field in fields:
            if block[field : field + 24].strip(b"\0"):
                map_.add(_number(block, field, at), _number(block, field + 12, at))
        if block[more] in (0, ord("0")):
            return size, map_.spans
        block, fields, more = reader.take(BLOCK), range(0, 504, 24), 504


def _sparse_map(reader: Reader, size: int, stored: int, at: int) -> Spans:
    """The map of a sparse member in format 1.0: numbers in lines before the content, padded to blocks."""
    text = b""

    def number() -> int:
        nonlocal text, stored
        while b"\n" not in text:
            if stored < BLOCK or len(text) > BLOCK:
                raise _damage(at, "the map of a sparse member", "none that ends")
            text += reader.take(BLOCK)
            stored -= BLOCK
        line, _, text = text.partition(b"\n")
        return _decimal(line.decode("latin-1"), at)

    count = number()
    if count > MAX_SPANS:
        raise _damage(at, f"a sparse member of at most {MAX_SPANS} parts", f"{count}")
    map_ = _Map(size, at)
    for _ in range(count):
        map_.add(number(), number())
    return map_.spans


class _Map:
    """The spans of a sparse member, held to order and bounds."""

    def __init__(self, size: int, at: int) -> None:
        self.spans = array("Q"), array("Q")
        self._size = size
        self._at = at
        self._end = 0

    def add(self, offset: int, length: int) -> None:
        """Another span."""
        if not self._end <= offset <= offset + length <= self._size:
            expected = f"parts of a sparse member in order, within its {self._size} bytes"
            raise _damage(self._at, expected, f"{length} bytes at {offset}")
        if len(self.spans[0]) >= MAX_SPANS:
            raise _damage(self._at, f"a sparse member of at most {MAX_SPANS} parts", "more")
        self._end = offset + length
        if length:
            self.spans[0].append(offset)
            self.spans[1].append(length)


def _number(block: bytes, start: int, at: int) -> int:
    """A field of 12 bytes: octal digits, or GNU's binary form for what is larger."""
    field = block[start : start + 12]
    if field[0] == 0x80:
        return int.from_bytes(field[1:], "big")
    number = _octal(field.strip(b" \0") or b"0")
    if number is None:
        raise _damage(at + start, "a number in octal digits", field.hex(" "))
    return number


def _octal(digits: bytes) -> int | None:
    return int(digits, 8) if digits and not digits.strip(b"01234567") else None


def _decimal(text: str, at: int) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 20):
        raise _damage(at, "a number in decimal digits", f"“{text[:20]}”")
    return int(text)


def _records(content: bytes, at: int) -> dict[str, str]:
    """The records of a pax header: `length key=value` and a line feed, each."""
    found: dict[str, str] = {}
    start = 0
    while start < len(content):
        digits, _, _ = content[start : start + 20].partition(b" ")
        end = start + (int(digits) if digits.isdigit() else 0)
        key, equals, value = content[start + len(digits) + 1 : end - 1].partition(b"=")
        if not equals or content[end - 1 : end] != b"\n":
            raise _damage(at, "records of a pax header", "something else", "POSIX.1-2017, pax Header Block")
        found[_text(key)] = _text(value)
        start = end
    return found


def _text(name: bytes) -> str:
    return name.decode("utf-8", "surrogateescape")


def _padded(size: int) -> int:
    return -(-size // BLOCK) * BLOCK


def _damage(at: int, expected: str, found: str, spec: str = "") -> Unreadable:
    return damaged(Location(Layer.FILE, at), expected=expected, found=found, spec=spec)
