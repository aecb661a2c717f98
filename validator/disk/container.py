"""What a container is to the layers above: a disk, and what its file says of it."""

import struct
from collections.abc import Iterator
from typing import NamedTuple, Protocol

from validator.evidence import Evidence, Layer
from validator.source import ByteSource, beyond_end


class Container(NamedTuple):
    """What the container says of itself. Sizes in bytes; GUIDs lower case."""

    format: str
    """`vhd`, `vhdx` or `raw`."""
    subformat: str | None
    """`fixed` or `dynamic`; None for raw."""
    file_size: int
    virtual_size: int
    logical_sector_size: int | None
    """512 or 4096; None where the format does not say (raw)."""
    block_size: int | None
    disk_id: str | None
    creator: str | None
    checksums: bool
    """Whether the format protects its structures by checksums, so that they could be verified."""
    parents: tuple[str, ...] = ()
    """File names of the disks that a differencing disk rests on, the nearest first."""


class ParentLink(NamedTuple):
    """What a differencing disk says of its parent. Hostile: names are names only."""

    format: str
    identifiers: tuple[str, ...]
    """One of them is the parent's identifier; GUIDs in lower case."""
    names: tuple[str, ...]
    """Paths as Windows writes them, the likeliest first."""
    time: int | None
    """VHD: the time stamp of the parent's footer, in seconds since 2000."""


class Disk(ByteSource, Protocol):
    """The virtual disk as the guest sees it."""

    @property
    def container(self) -> Container:
        """What the container says of itself."""

    @property
    def recovered(self) -> tuple[Evidence, ...]:
        """What was damaged or pending and made good in memory, in the whole chain."""

    @property
    def parent_differs(self) -> Evidence | None:
        """Evidence that a parent is not as it was when its child was made."""

    @property
    def never_written(self) -> bool | None:
        """Whether nothing on it has a place in a file, so that it is all zeros; None where no map says so."""


class MappedDisk(ByteSource, Protocol):
    """A disk decoded by our own block map."""

    @property
    def container(self) -> Container:
        """What the container says of itself."""

    @property
    def alone(self) -> ByteSource:
        """The image file as another decoder should see it.

        With what was recovered laid over it, and a differencing disk as one that needs no parent.
        """

    @property
    def recovered(self) -> tuple[Evidence, ...]:
        """What was damaged or pending and made good in memory."""

    @property
    def identifier(self) -> str:
        """What a child names its parent by: the VHD's unique id, the VHDX's data write GUID."""

    @property
    def time(self) -> int | None:
        """VHD: the footer's time stamp, in seconds since 2000."""

    @property
    def parent_link(self) -> ParentLink | None:
        """What a differencing disk says of its parent; None for another disk."""

    def set_parent(self, parent: ByteSource) -> None:
        """Give a differencing disk its parent's disk."""

    @property
    def never_written(self) -> bool | None:
        """Whether this file holds nothing of the disk; None where no map says so."""

    def own_spans(self, offset: int, length: int) -> Iterator[tuple[int, int]]:
        """Offset and length of what this file holds of a span of the disk; the rest is its parents'."""


class RawDisk:
    """A file that is the disk, byte for byte; it says nothing of itself."""

    recovered: tuple[Evidence, ...] = ()
    parent_differs: Evidence | None = None
    never_written: bool | None = None

    def __init__(self, source: ByteSource) -> None:
        self.size = source.size
        self.container = Container("raw", None, self.size, self.size, None, None, None, None, checksums=False)
        self._source = source

    def read_at(self, offset: int, length: int) -> bytes:
        """See `ByteSource`."""
        return self._source.read_at(offset, length)


class BlockDisk:
    """A disk made of blocks of one size: splits each read at the block borders.

    A subclass says what lies in one block. (One known reader takes the span up to the block *size*
    instead of what remains of the block, and returns whatever lies behind it in the file.)
    """

    container: Container
    identifier: str
    time: int | None = None
    recovered: tuple[Evidence, ...] = ()
    parent_link: ParentLink | None = None
    never_written: bool | None = None
    _parent: ByteSource | None = None

    def set_parent(self, parent: ByteSource) -> None:
        """Give a differencing disk its parent's disk."""
        self._parent = parent

    def _read_parent(self, offset: int, length: int) -> bytes:
        """Bytes of the parent's disk; behind its end, where the child is longer, zeros."""
        assert self._parent is not None
        there = max(0, min(length, self._parent.size - offset))
        return (self._parent.read_at(offset, there) if there else b"") + bytes(length - there)

    def own_spans(self, offset: int, length: int) -> Iterator[tuple[int, int]]:
        """See `MappedDisk`."""
        if self.parent_link is None:
            yield offset, length
            return
        for block, within, piece in self._blocks(offset, length):
            start = block * (self.container.block_size or 0)
            for begin, end, own in self._pieces(block, within, piece):
                if own:
                    yield start + begin, end - begin

    @property
    def size(self) -> int:
        """Length of the virtual disk in bytes."""
        return self.container.virtual_size

    def read_at(self, offset: int, length: int) -> bytes:
        """See `ByteSource`."""
        if offset < 0 or length < 0 or offset + length > self.size:
            raise beyond_end(Layer.CONTAINER, offset, length, self.size)
        pieces = [self._read_block(*part) for part in self._blocks(offset, length)]
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def _blocks(self, offset: int, length: int) -> Iterator[tuple[int, int, int]]:
        """A span of the disk by blocks: number, offset in the block, length."""
        block_size = self.container.block_size or self.size
        while length:
            block, within = divmod(offset, block_size)
            piece = min(length, block_size - within)
            yield block, within, piece
            offset += piece
            length -= piece

    def _read_block(self, block: int, within: int, length: int) -> bytes:
        raise NotImplementedError

    def _pieces(self, block: int, within: int, length: int) -> Iterator[tuple[int, int, bool]]:
        """A span of a block in pieces: begin and end in the block, and whether they are in this file."""
        raise NotImplementedError


class _UnpackAt(Protocol):
    def __call__(self, layout: str, data: bytes, offset: int = 0, /) -> tuple[int, ...]: ...


unpack_at: _UnpackAt = struct.unpack_from
"""`struct.unpack_from`, typed for layouts of whole numbers."""
