"""The one image in an archive: chosen, and read in place or unpacked."""

import os
import re
import zlib
from array import array
from bisect import bisect_right
from collections.abc import Callable, Iterator
from itertools import accumulate, chain
from typing import NamedTuple

from validator.artifact import tar, zips
from validator.artifact.scratch import Scratch
from validator.artifact.streams import PIECE, Inflater, Unpacked, chunks
from validator.disk.formats import HEAD, archive_that_begins, begins_a_disk, claimed_by
from validator.evidence import ArtifactError, Layer, Location, Unreadable, damaged
from validator.source import PAGE, ByteSource, Files, FileSource, Window, beyond_end

MAX_UNPACKED = 64 * 2**30
"""Bytes that are written of what is unpacked, unless the user allows more."""
_IMAGES = (".avhd", ".avhdx", ".img", ".qcow2", ".raw", ".vdi", ".vhd", ".vhdx", ".vmdk")
"""What members of these names are meant to be, whatever they begin with."""
_LEAST_DISK = 2**20
"""Bytes that no disk with a system on it is below."""
_SHOWN = 8
"""Names of members in a sentence."""


class Unpacking(NamedTuple):
    """What the user says of archives, and who is told how far one is read."""

    member: str | None
    """The name of the member to judge; None for the only image there is."""
    most: int
    """Bytes that may be written of what is unpacked; with 0 nothing is."""
    read: Callable[[int, int], object]
    """Told how many bytes of how many were read, again and again."""


class PackedImage(NamedTuple):
    """An `ImageFile` inside an archive."""

    source: ByteSource
    path: str
    """Where it would lie if it had been unpacked beside the archive."""
    member: str | None
    packed: str | None

    @property
    def size(self) -> int:
        """See `ByteSource`."""
        return self.source.size

    def read_at(self, offset: int, length: int) -> bytes:
        """See `ByteSource`."""
        return self.source.read_at(offset, length)


def open_packed(source: FileSource, kind: str, files: Files, unpacking: Unpacking) -> PackedImage:
    """The image in an archive.

    Args:
        source: the archive.
        kind: what `archive_kind` says of it.
        files: closes what is unpacked, and bounds what is read of it.
        unpacking: what the user says of archives.

    Raises:
        Unreadable: for an archive that is damaged, contradicts itself, or holds no image.
        ArtifactError: where it holds several, or not the one that was asked for.
    """
    if kind == "ZIP":
        return _in_zip(source, files, unpacking)
    if kind == "tar":
        return _in_tar(source, unpacking)
    with files.budget.suspended():
        return _compressed(source, kind, files, unpacking)


class _Choice:
    """Of the members of an archive, in their order, the image that is meant."""

    def __init__(self, archive: str, wanted: str | None) -> None:
        self._archive = archive
        self._wanted = wanted
        self._images: list[str] = []
        self._others: list[str] = []
        self._taken: str | None = None

    def takes(self, name: str, image: bool) -> bool:
        """Whether this member is it, as far as is known by now.

        Raises:
            Unreadable: where another went by the same name: unpacked, this one would be in its place.
        """
        if name == self._taken:
            raise _refuse("members of different names", f"“{name}” twice")
        (self._images if image else self._others).append(name)
        if name == self._wanted or (self._wanted is None and image and self._taken is None):
            self._taken = name
            return True
        return False

    @property
    def open(self) -> bool:
        """Whether there is more than one image, and nobody said which."""
        return self._wanted is None and len(self._images) > 1

    def decide(self) -> None:
        """Say that no more members come, or that no more are needed.

        Raises:
            Unreadable: where none is an image.
            ArtifactError: where several are, or none has the name that is wanted.
        """
        if self.open:
            names = _listed(self._images)
            raise ArtifactError(f"{self._archive} holds more than one image; name one by --member: {names}")
        if self._taken is None and self._wanted is not None:
            names = _listed(self._images or self._others)
            raise ArtifactError(f"{self._archive} has no member {self._wanted}; it has {names}")
        if self._taken is None:
            raise _refuse("a disk image in the archive", f"none among its members: {_listed(self._others)}")


def _is_image(name: str) -> bool:
    """Whether a member is meant to be an image, whatever it holds."""
    base = os.path.basename(name).lower()
    return base.endswith(_IMAGES) and not base.startswith("._")  # what macOS keeps beside a file


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return (", ".join(names[:_SHOWN]) or "none") + more


def _packed(source: FileSource, image: ByteSource, member: str | None, how: str) -> PackedImage:
    """An image as if it lay beside its archive, by the last part of its name alone: names are hostile."""
    folder, own = os.path.split(source.path)
    if member is not None:
        own = re.split(r"[\\/]", member)[-1].replace("\0", "")
    elif not claimed_by(own):
        # A packer puts its ending behind the one that says what the image is.
        own = os.path.splitext(own)[0]
    return PackedImage(image, os.path.join(folder, own), member, how)


def _refuse(expected: str, found: str, at: int | None = None) -> Unreadable:
    return damaged(Location(Layer.FILE, at), expected=expected, found=found)


# --- ZIP ------------------------------------------------------------------------------------------


def _in_zip(source: FileSource, files: Files, unpacking: Unpacking) -> PackedImage:
    choice = _Choice(source.path, unpacking.member)
    taken: list[tuple[zips.Entry, int]] = []
    for entry, at in zips.members(source):
        if not entry.name.endswith("/"):
            large = entry.size >= _LEAST_DISK
            is_image = _is_image(entry.name) or (large and begins_a_disk(_head(source, entry, at)))
            if choice.takes(entry.name, is_image):
                taken.append((entry, at))
    choice.decide()
    ((entry, at),) = taken
    if entry.refused is not None:
        raise _refuse("a member that is stored or deflated, and not encrypted", entry.refused, entry.at)
    if entry.method == zips.DEFLATED:
        with files.budget.suspended():
            image: ByteSource = _inflated(source, entry, at, files, unpacking)
        return _packed(source, image, entry.name, "unpacked from a ZIP archive; its CRC-32 holds")
    if entry.packed != entry.size:
        raise _refuse(f"{entry.size} stored bytes of a member", f"{entry.packed}", entry.at)
    image = Window(source, at, entry.size, Layer.FILE)
    how = f"stored in a ZIP archive at offset {at:#x}; its CRC-32 was not computed"
    return _packed(source, image, entry.name, how)


def _head(source: FileSource, entry: zips.Entry, at: int) -> bytes:
    """The first bytes of a member, as far as they are easily had."""
    if entry.refused is not None:
        return b""
    data = source.read_at(at, min(PAGE, entry.packed))
    try:
        return Inflater(-15).decompress(data, HEAD) if entry.method == zips.DEFLATED else data[:HEAD]
    except zlib.error:
        return b""


def _inflated(
    source: FileSource, entry: zips.Entry, at: int, files: Files, unpacking: Unpacking
) -> ByteSource:
    """The content of a deflated member, held to its size and its checksum."""
    scratch = Scratch(files, unpacking.most)
    scratch.allow(entry.size)
    decoder = Inflater(-15)
    used = size = crc = 0
    for chunk in chunks(source, at, entry.packed, unpacking.read):
        used += len(chunk)
        while True:
            unpacking.read(used, entry.packed)  # zeros without end may come of few bytes
            try:
                piece = decoder.decompress(chunk, PIECE)
            except zlib.error as error:
                found = f"the decoder's error “{error}”"
                raise _refuse("an intact deflated member", found, at + used - len(chunk)) from error
            crc = zlib.crc32(piece, crc)
            size += len(piece)
            if size > entry.size:
                raise _refuse(f"a member of {entry.size} bytes", "more", at + used)
            scratch.write(size - len(piece), piece)
            chunk = b""
            if decoder.eof or decoder.needs_input:
                break
        if decoder.eof:
            break
    used -= len(decoder.unused_data)
    said = f"a deflated member of {entry.packed} bytes, {entry.size} unpacked, with the CRC-32 {entry.crc:#x}"
    if not decoder.eof or (used, size, crc) != (entry.packed, entry.size, entry.crc):
        end = "" if decoder.eof else " and no end"
        raise _refuse(said, f"{used}, {size}, {crc:#x}{end}", at)
    scratch.finish(size)
    return scratch


# --- tar ------------------------------------------------------------------------------------------


def _in_tar(source: FileSource, unpacking: Unpacking) -> PackedImage:
    """A member of a plain archive, in place."""
    reader = _InPlace(source)
    choice = _Choice(source.path, unpacking.member)
    taken = [member for member, _ in _candidates(reader, choice)]
    _end_with_zeros(reader)
    choice.decide()
    (member,) = taken
    stored = Window(source, member.at, member.stored, Layer.FILE)
    image = stored if member.spans is None else _Sparse(stored, member.size, member.spans)
    return _packed(source, image, member.name, f"in a tar archive at offset {member.at:#x}")


def _compressed(source: FileSource, kind: str, files: Files, unpacking: Unpacking) -> PackedImage:
    """What a compressed stream holds: an image, or a tar archive with one."""
    stream = Unpacked(chunks(source, 0, source.size, unpacking.read), kind, unpacking.read, source.size)
    scratch = Scratch(files, unpacking.most)
    pieces = iter(stream)
    head = b""
    for piece in pieces:
        head += piece
        if len(head) >= HEAD:
            break
    reader = _Flow(chain((head,), pieces))
    inner = archive_that_begins(head[:HEAD])
    if inner not in (None, "tar"):
        raise _refuse(f"an image, or a tar archive of one, in {kind}", f"another archive in it: {inner}")
    member = None
    if inner == "tar":
        try:
            member = _unpack_member(reader, _Choice(source.path, unpacking.member), scratch)
        except Unreadable as error:
            if error is reader.fault or error.evidence.where.offset is None:
                raise
            # It is not an offset in the file that the user has.
            found = f"{error.evidence.found}, at {error.evidence.where.offset:#x} of the tar archive in it"
            raise _refuse(error.evidence.expected, found) from error
    elif unpacking.member is not None:
        raise ArtifactError(f"{source.path} is no archive that could have a member {unpacking.member}")
    else:
        for piece in reader.pieces():
            scratch.write(reader.position - len(piece), piece)
        scratch.finish(reader.position)
    vouched = "its checksum holds" if stream.checked else "it has no checksum"
    inside = f"a tar archive in {kind}" if inner else kind
    return _packed(source, scratch, member, f"unpacked from {inside}; {vouched}")


def _unpack_member(reader: "_Flow", choice: _Choice, scratch: Scratch) -> str:
    """Unpack the image of a tar archive that comes in a stream, and read the rest; its name."""
    name = ""
    for member, head in _candidates(reader, choice):
        name = member.name
        scratch.allow(member.size)
        for offset, length in zip(*(member.spans or ((0,), (member.size,)))):
            scratch.write(offset, head)
            end = offset + length
            offset += len(head)
            head = b""
            for piece in reader.pieces(end - offset):
                scratch.write(offset, piece)
                offset += len(piece)
        scratch.finish(member.size)
    _end_with_zeros(reader)
    choice.decide()
    return name


def _candidates(reader: "_InPlace | _Flow", choice: _Choice) -> Iterator[tuple[tar.Member, bytes]]:
    """The members that are the image, with their first bytes, which were read: one, or the user must choose.

    Raises:
        ArtifactError: as soon as that is known of an archive whose rest would have to be unpacked.
    """
    for member in tar.members(reader):
        if member.regular:
            head = reader.take(_beginning(member))
            image = _is_image(member.name) or (member.size >= _LEAST_DISK and begins_a_disk(head))
            if choice.takes(member.name, image):
                yield member, head
            if choice.open and isinstance(reader, _Flow):
                choice.decide()


def _beginning(member: tar.Member) -> int:
    """How many bytes are stored of the beginning of a member, as far as they are looked at."""
    if member.spans is None:
        return min(HEAD, member.stored)
    offsets, lengths = member.spans
    return min(HEAD, lengths[0]) if offsets and offsets[0] == 0 else 0


def _end_with_zeros(reader: "_InPlace | _Flow") -> None:
    """Read what stands behind the end of a tar archive.

    Raises:
        Unreadable: where it is more than what fills the last record.
    """
    for piece in reader.pieces():
        if piece.count(0) != len(piece):
            at = reader.position - len(piece)
            raise _refuse("zeros behind the end of a tar archive", "something else", at)


class _InPlace:
    """A plain archive as `tar.Reader`."""

    def __init__(self, source: ByteSource) -> None:
        self.position = 0
        self._source = source

    def take(self, length: int) -> bytes:
        """See `tar.Reader`."""
        self.skip(length)
        return self._source.read_at(self.position - length, length)

    def skip(self, length: int) -> None:
        """See `tar.Reader`."""
        if self.position + length > self._source.size:
            raise _refuse(f"{length} bytes more of a tar archive", "the end of the file", self.position)
        self.position += length

    def pieces(self) -> Iterator[bytes]:
        """The rest of it."""
        while left := self._source.size - self.position:
            yield self.take(min(left, PIECE))


class _Flow:
    """What comes out of a stream as `tar.Reader`."""

    fault: Unreadable | None = None
    """How the stream ended before its time."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self.position = 0
        self._pieces = pieces
        self._piece = b""
        self._used = 0

    def pieces(self, length: int | None = None) -> Iterator[bytes]:
        """The next bytes, or the rest, in pieces; see `tar.Reader.take`."""
        while length is None or length:
            if self._used == len(self._piece):
                try:
                    self._piece, self._used = next(self._pieces, b""), 0
                except Unreadable as error:
                    self.fault = error
                    raise
                if not self._piece and length is None:
                    return
                if not self._piece:
                    raise _refuse(f"{length} bytes more of a tar archive", "its end", self.position)
            end = None if length is None else self._used + length
            piece = self._piece[self._used : end]
            self._used += len(piece)
            self.position += len(piece)
            if length is not None:
                length -= len(piece)
            yield piece

    def take(self, length: int) -> bytes:
        """See `tar.Reader`."""
        return b"".join(self.pieces(length))

    def skip(self, length: int) -> None:
        """See `tar.Reader`."""
        for _ in self.pieces(length):
            pass


class _Sparse:
    """A sparse member of a plain archive: what is stored of it, with zeros between."""

    def __init__(self, stored: ByteSource, size: int, spans: tar.Spans) -> None:
        self.size = size
        self._stored = stored
        self._offsets, self._lengths = spans
        self._places = array("Q", accumulate(self._lengths, initial=0))

    def read_at(self, offset: int, length: int) -> bytes:
        """See `ByteSource`."""
        if offset < 0 or length < 0 or offset + length > self.size:
            raise beyond_end(Layer.FILE, offset, length, self.size)
        end = offset + length
        data = bytearray(length)
        index = max(0, bisect_right(self._offsets, offset) - 1)
        while index < len(self._offsets) and (start := self._offsets[index]) < end:
            first, last = max(offset, start), min(end, start + self._lengths[index])
            if first < last:
                place = self._places[index] + first - start
                data[first - offset : last - offset] = self._stored.read_at(place, last - first)
            index += 1
        return bytes(data)
