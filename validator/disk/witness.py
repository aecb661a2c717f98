"""The second reader of sectors: what our block map and pyvhdi read must be the same bytes.

One decoder can be wrong without a word; two that were written apart seldom are in the same place.
"""

from typing import Any

from validator.disk.container import MappedDisk
from validator.disk.parents import time_differs
from validator.disk.vhd import DynamicVhd
from validator.evidence import Evidence, Layer, Location, damaged
from validator.source import Stream


class WitnessedDisk:
    """A disk each of whose reads is read again by libvhdi.

    Our own block map goes first: it names the offset of whatever is wrong, libvhdi only refuses.

    Args:
        disk: with its parents set.
        parents: their file names.
    """

    def __init__(self, disk: MappedDisk, parents: tuple[str, ...] = ()) -> None:
        self._disk = disk
        self.size = disk.size
        self.container = disk.container._replace(parents=parents)
        self._chain = [disk]
        while (parent := self._chain[-1].parent) is not None:
            self._chain.append(parent)
        self._streams = [_RememberingStream(each.sound) for each in self._chain]
        self._handles: list[Any] = []

    @property
    def recovered(self) -> tuple[Evidence, ...]:
        """What was made good in memory, in the whole chain."""
        return tuple(evidence for disk in self._chain for evidence in disk.recovered)

    @property
    def parent_differs(self) -> Evidence | None:
        """Evidence that a parent is not as it was when its child was made."""
        return next((evidence for disk in self._chain if (evidence := time_differs(disk))), None)

    def read_at(self, offset: int, length: int) -> bytes:
        """See `ByteSource`; a difference between the two readers is damage."""
        data = self._disk.read_at(offset, length)
        if length and (second := self._read_again(offset, length)) != data:
            raise damaged(
                Location(Layer.CONTAINER, offset),
                expected=f"the same {length} bytes from two readers",
                found=f"SHA-256 {_digest(data)} by the block map, {_digest(second)} by libvhdi",
            )
        return data

    def _read_again(self, offset: int, length: int) -> bytes:
        try:
            if not self._handles:
                self._handles = self._open()
            return self._read_level(0, offset, length)
        except OSError as error:
            failure = next((stream.failure for stream in self._streams if stream.failure), None)
            if failure is not None:
                raise failure from error
            # libvhdi's text holds paths of its own sources; its first line is what it saw.
            reason = str(error).strip().splitlines()[0].rpartition("libvhdi_")[2] if str(error) else "no word"
            raise damaged(
                Location(Layer.CONTAINER, offset),
                expected=f"{length} bytes from the second reader, libvhdi",
                found=f"its refusal: {reason}",
            ) from error

    def _read_level(self, level: int, offset: int, length: int) -> bytes:
        """What libvhdi reads of one disk of the chain.

        For a VHD's child libvhdi (20260901) takes a sector of the parent for the child's own where a set
        bit stands before its clear one in the same byte of the bitmap. Such sectors are asked for one
        level up, where it has them right.
        """
        data = bytes(self._handles[level].read_buffer_at_offset(length, offset))
        disk = self._chain[level]
        if isinstance(disk, DynamicVhd) and disk.parent is not None:
            patched = bytearray(data)
            for start, size in disk.sectors_of_the_parent(offset, length):
                there = max(0, min(size, disk.parent.size - start))
                piece = self._read_level(level + 1, start, there) if there else b""
                patched[start - offset : start - offset + size] = piece.ljust(size, b"\0")
            data = bytes(patched)
        return data

    def _open(self) -> list[Any]:
        import pyvhdi

        handles = []
        for disk, stream in zip(self._chain, self._streams):
            handle = pyvhdi.file()
            handle.open_file_object(stream)
            if handle.get_media_size() != disk.size:
                raise OSError(f"a disk of {handle.get_media_size()} bytes, not {disk.size}")
            handles.append(handle)
        for child, parent in zip(handles, handles[1:]):
            child.set_parent(parent)
        return handles


class _RememberingStream(Stream):
    """Keeps what a read raised: libvhdi turns every exception of a read into an OSError of its own.

    So a spent budget stays what it is, and Ctrl-C too.
    """

    failure: BaseException | None = None

    def read(self, size: int | None = -1) -> bytes:
        try:
            return super().read(size)
        except BaseException as error:
            self.failure = error
            raise


def _digest(data: bytes) -> str:
    import hashlib

    return hashlib.sha256(data).hexdigest()[:16]
