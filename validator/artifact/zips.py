"""ZIP archives: the directory, and the headers before the members, which must agree.

Programs that read a ZIP from its front believe the header before a member, others the directory at its end:
where they differ, nobody knows what the next one will unpack. So members stand one right behind the other,
each as both say. Source: APPNOTE.TXT 6.3.10, of PKWARE.
"""

from collections.abc import Iterator
from struct import Struct, unpack_from
from typing import NamedTuple

from validator.evidence import Layer, Location, Unreadable, damaged
from validator.source import ByteSource

STORED, DEFLATED = 0, 8
MAX_MEMBERS = 10_000
_MAX_DIRECTORY = 16 * 2**20
_METHODS = {
    9: "Deflate64, as Windows writes it for large files",
    12: "bzip2",
    14: "LZMA",
    93: "Zstandard",
    95: "xz",
    99: "AES",
}
_ENCRYPTED = 0x2041
"""Flags of a member that is encrypted, strongly so, or whose header is masked for that (4.4.4)."""
_DESCRIBED = 0x0008
"""The flag of a member whose checksum and sizes stand behind it."""
_UTF8 = 0x0800
_HALF, _WORD = 0xFFFF, 0xFFFFFFFF
"""What stands where a number is too large, and is elsewhere (4.4.1.4)."""

_END = Struct("<4s4H2IH")
_END_64 = Struct("<4sQ2H2I4Q")
_LOCATOR = Struct("<4sIQI")
_ENTRY = Struct("<4s6H3I5H2I")
_HEADER = Struct("<4s5H3I2H")
_DESCRIPTORS = Struct("<4sI2Q"), Struct("<I2Q"), Struct("<4s3I"), Struct("<3I")
"""With a signature or without, for a member that is large or is not: it does not say (4.3.9)."""


class Entry(NamedTuple):
    """A member, as the directory has it."""

    name: str
    flags: int
    method: int
    crc: int
    packed: int
    """Bytes that it takes in the archive."""
    size: int
    """Bytes of its content."""
    at: int
    """Offset of the header before it."""
    raw_name: bytes

    @property
    def refused(self) -> str | None:
        """Why it is not read, or None."""
        if self.flags & _ENCRYPTED:
            return "an encrypted member"
        if self.method not in (STORED, DEFLATED):
            return f"a member packed by {_METHODS.get(self.method, f'method {self.method}')}"
        return None


def members(source: ByteSource) -> Iterator[tuple[Entry, int]]:
    """Every member with the offset of its data, in their order.

    Raises:
        Unreadable: where the archive is damaged, or contradicts itself.
    """
    entries, directory = _directory(source)
    names = [entry.raw_name for entry in entries]
    if len(set(names)) != len(names):
        raise _damage(directory, "members of different names", "two of the same name")
    end = 0
    for entry in sorted(entries, key=lambda each: each.at):
        if entry.at != end:
            raise _damage(end, "the next member", f"it at {entry.at:#x}: a gap, or members that overlap")
        data, end = _verify(source, entry, directory)
        yield entry, data
    if end != directory:
        raise _damage(end, "the directory", f"it at {directory:#x}")


# --- the directory --------------------------------------------------------------------------------


def _directory(source: ByteSource) -> tuple[list[Entry], int]:
    """All entries, and the directory's offset."""
    count, length, start = _end(source)
    if count > MAX_MEMBERS or length > _MAX_DIRECTORY:
        raise _damage(start, f"an archive of at most {MAX_MEMBERS} members", f"{count}, in {length} bytes")
    data = source.read_at(start, length)
    entries = []
    offset = 0
    for _ in range(count):
        if length - offset < _ENTRY.size:
            raise _damage(start + offset, f"{count} entries of the directory", "its end")
        entry, offset = _entry(data, offset, start)
        entries.append(entry)
    if offset != length:
        raise _damage(start + offset, f"the end of a directory of {count} entries", "more of it")
    return entries, start


def _end(source: ByteSource) -> tuple[int, int, int]:
    """How many entries the directory has, its length and offset, as the record at the end says."""
    length = min(source.size, _END.size + _HALF)
    tail = source.read_at(source.size - length, length)
    found = []
    at = tail.rfind(b"PK\5\6")
    while at >= 0:
        if at + _END.size <= length and at + _END.size + unpack_from("<H", tail, at + 20)[0] == length:
            found.append(at)
        at = tail.rfind(b"PK\5\6", 0, at)
    if len(found) != 1:
        what = "more than one" if found else "none: it is cut, or something stands behind it"
        raise _damage(None, "the record at the end of a ZIP archive", what)
    place = source.size - length + found[0]
    _, disk, first, here, count, size, start, _ = _END.unpack_from(tail, found[0])
    said = [disk, first, here, count, size, start]
    if place >= _LOCATOR.size:
        signature, on, at, _ = _LOCATOR.unpack(source.read_at(place - _LOCATOR.size, _LOCATOR.size))
        if signature == b"PK\6\7":
            said = _end_64(source, at, place - _LOCATOR.size, on, said)
            place = at
    disk, first, here, count, size, start = said
    if (disk, first) != (0, 0) or here != count:
        raise _damage(place, "an archive in one file", "one part of several")
    if start + size != place:
        raise _damage(place, "the directory right before its end", f"{size} bytes of it at {start:#x}")
    return count, size, start


def _end_64(source: ByteSource, at: int, end: int, disk: int, said: list[int]) -> list[int]:
    """The numbers of the record for large archives; what the small one says itself must be the same."""
    spec = "APPNOTE 4.3.14"
    if disk or at + _END_64.size > end:
        raise _damage(end, "the place of a Zip64 record", f"{at:#x}", spec)
    signature, length, _, _, *wide = _END_64.unpack(source.read_at(at, _END_64.size))
    if signature != b"PK\6\6" or at + 12 + length != end:
        raise _damage(at, "a Zip64 record up to what names it", "none", spec)
    for small, large, most in zip(said, wide, (_HALF, _HALF, _HALF, _HALF, _WORD, _WORD)):
        if small not in (large, most):
            raise _damage(at, f"{small}, as the record at the end says", f"{large}", spec)
    return list(wide)


def _entry(data: bytes, offset: int, start: int) -> tuple[Entry, int]:
    """An entry of the directory, and where the next one begins."""
    at = start + offset
    fields = _ENTRY.unpack_from(data, offset)
    signature, _, _, flags, method, _, _, crc, packed, size, *lengths, disk, _, _, place = fields
    name_end = offset + _ENTRY.size + lengths[0]
    end = name_end + lengths[1] + lengths[2]
    if signature != b"PK\1\2" or end > len(data):
        raise _damage(at, "an entry of the directory", "none")
    extra = data[name_end : name_end + lengths[1]]
    size, packed, place = _widened(extra, (size, packed, place), at)
    if disk not in (0, _HALF):
        raise _damage(at, "an archive in one file", "a member in another part")
    raw = data[offset + _ENTRY.size : name_end]
    name = raw.decode("utf-8", "surrogateescape") if flags & _UTF8 else raw.decode("cp437")
    return Entry(name, flags, method, crc, packed, size, place, raw), end


def _widened(extra: bytes, numbers: tuple[int, ...], at: int) -> list[int]:
    """Numbers, those that are too large for their field from the extra field of Zip64 (4.5.3)."""
    wide = b""
    start = 0
    while start + 4 <= len(extra):
        kind, length = unpack_from("<2H", extra, start)
        if kind == 1:
            wide = extra[start + 4 : start + 4 + length]
        start += 4 + length
    found = []
    for number in numbers:
        if number == _WORD:
            if len(wide) < 8:
                raise _damage(at, "a number in a Zip64 field", "none", "APPNOTE 4.5.3")
            (number,) = unpack_from("<Q", wide)
            wide = wide[8:]
        found.append(number)
    return found


# --- what stands before and behind a member -------------------------------------------------------


def _verify(source: ByteSource, entry: Entry, directory: int) -> tuple[int, int]:
    """Where the data of a member begins, and where it ends with what stands behind it."""
    at = entry.at
    if at + _HEADER.size > directory:
        raise _damage(at, "the header of a member", "the directory")
    fields = _HEADER.unpack(source.read_at(at, _HEADER.size))
    signature, _, flags, method, _, _, crc, packed, size, name_length, extra_length = fields
    data = at + _HEADER.size + name_length + extra_length
    end = data + entry.packed
    if signature != b"PK\3\4" or end > directory:
        raise _damage(at, f"the header of a member of {entry.packed} bytes", "none, or no room for it")
    name = source.read_at(at + _HEADER.size, name_length)
    extra = source.read_at(data - extra_length, extra_length)
    described = bool(flags & _DESCRIBED)
    if not described or packed not in (0, _WORD):
        size, packed = _widened(extra, (size, packed), at)
    said = (name, method, flags & _ENCRYPTED, crc, packed, size)
    wanted = (entry.raw_name, entry.method, entry.flags & _ENCRYPTED, entry.crc, entry.packed, entry.size)
    for index, (here, there) in enumerate(zip(said, wanted)):
        # What is said behind a member may be left out before it.
        if here != there and not (described and index > 2 and here in (0, _WORD)):
            raise _damage(at, f"{there!r}, as the directory says of this member", f"{here!r}")
    return data, end + (_described(source, entry, end, directory) if described else 0)


def _described(source: ByteSource, entry: Entry, at: int, directory: int) -> int:
    """The length of what stands behind a member, which says what the directory says."""
    numbers = entry.crc, entry.packed, entry.size
    for form in _DESCRIPTORS:
        if at + form.size <= directory:
            fields = form.unpack(source.read_at(at, form.size))
            if fields in (numbers, (b"PK\7\x08", *numbers)):
                return form.size
    raise _damage(at, "the checksum and sizes of a member, as the directory has them", "others")


def _damage(at: int | None, expected: str, found: str, spec: str = "") -> Unreadable:
    return damaged(Location(Layer.FILE, at), expected=expected, found=found, spec=spec)
