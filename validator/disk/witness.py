"""The second reader of sectors: what our block map and pyvhdi read must be the same bytes.

One decoder can be wrong without a word; two that were written apart seldom are in the same place.
"""

from typing import Any

from validator.disk.container import MappedDisk
from validator.evidence import Evidence, Layer, Location, damaged
from validator.source import Stream


class WitnessedDisk:
    """A disk each of whose reads is read again by libvhdi.

    Our own block map goes first: it names the offset of whatever is wrong, libvhdi only refuses. Each
    disk of a chain is witnessed by itself, for what its own file holds: libvhdi (20260901) puts chains
    together wrongly where a bitmap's byte is mixed, a block is zero, or the child is longer.

    Args:
        disk: our own map of it.
        parent: the parent's disk, of a differencing disk.
    """

    def __init__(self, disk: MappedDisk, parent: "WitnessedDisk | None" = None) -> None:
        self.size = disk.size
        self.container = disk.container
        self.recovered: tuple[Evidence, ...] = disk.recovered
        self.parent_differs: Evidence | None = None
        self.never_written = disk.never_written
        self._disk = disk
        if parent is not None:
            disk.set_parent(parent)
            self.recovered += parent.recovered
            self.never_written = bool(self.never_written and parent.never_written)
        self._stream = _RememberingStream(disk.alone)
        self._witness: Any = None

    def read_at(self, offset: int, length: int) -> bytes:
        """See `ByteSource`; a difference between the two readers is damage."""
        data = self._disk.read_at(offset, length)
        for start, size in self._disk.own_spans(offset, length) if length else ():
            first = data[start - offset : start - offset + size]
            if (second := self._read_again(start, size)) != first:
                raise damaged(
                    Location(Layer.CONTAINER, start),
                    expected=f"the same {size} bytes from two readers",
                    found=f"SHA-256 {_digest(first)} by the block map, {_digest(second)} by libvhdi",
                )
        return data

    def _read_again(self, offset: int, length: int) -> bytes:
        import pyvhdi

        self._stream.failure = None
        try:
            if self._witness is None:
                witness = pyvhdi.file()
                witness.open_file_object(self._stream)
                if witness.get_media_size() != self.size:
                    raise OSError(f"a disk of {witness.get_media_size()} bytes, not {self.size}")
                self._witness = witness
            return bytes(self._witness.read_buffer_at_offset(length, offset))
        except OSError as error:
            if self._stream.failure is not None:
                raise self._stream.failure from error
            # libvhdi's text holds paths of its own sources; its first line is what it saw.
            reason = str(error).strip().splitlines()[0].rpartition("libvhdi_")[2] if str(error) else "no word"
            raise damaged(
                Location(Layer.CONTAINER, offset),
                expected=f"{length} bytes from the second reader, libvhdi",
                found=f"its refusal: {reason}",
            ) from error


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
