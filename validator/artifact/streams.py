"""Compressed streams: unpacked in order, to the last byte, with what vouches for them verified.

A file may hold several streams, one behind the other, of the same kind; nothing else may stand between them
or behind: a tail of zeros is what a crash leaves of a file that was being written, and may have been data.
Sources: RFC 1952 (gzip), The .xz File Format 1.2.1, RFC 8878 (Zstandard).
"""

import sys
import time
import zlib
from collections.abc import Callable, Iterator
from itertools import chain
from typing import Any, NamedTuple, Protocol

from validator.disk.formats import archive_that_begins
from validator.evidence import ArtifactError, Layer, Location, damaged
from validator.source import FileSource

MAX_SECONDS = 3600
"""Unpacking one archive ends within this time."""
MAX_MEMORY = 128 * 2**20
"""Bytes that a decoder may ask for, its window included."""
CHUNK = 64 * 2**10
"""Bytes that a decoder gets at once."""
PIECE = 2**20
"""Bytes that it gives at most at once."""
_TOLD = 10
"""Bytes from which a stream is told, and whether it will have a checksum."""


class Decoder(Protocol):
    """What the decoders of the standard library have in common, for one stream."""

    @property
    def eof(self) -> bool:
        """Whether the stream has ended, and was found whole."""

    @property
    def needs_input(self) -> bool:
        """Whether nothing more comes out before something goes in."""

    @property
    def unused_data(self) -> bytes:
        """What stands behind the end of the stream."""

    def decompress(self, data: bytes, max_length: int) -> bytes:
        """At most so many bytes; what is not used of the data is kept."""


class Inflater:
    """zlib's decoder in the shape of the others.

    Args:
        window_bits: as zlib has them: 31 for gzip, -15 for the bare stream in a ZIP.
    """

    def __init__(self, window_bits: int) -> None:
        self._decoder = zlib.decompressobj(window_bits)
        self.needs_input = True

    @property
    def eof(self) -> bool:
        """See `Decoder`."""
        return self._decoder.eof

    @property
    def unused_data(self) -> bytes:
        """See `Decoder`."""
        return self._decoder.unused_data

    def decompress(self, data: bytes, max_length: int) -> bytes:
        """See `Decoder`."""
        tail = self._decoder.unconsumed_tail
        out = self._decoder.decompress(tail + data if tail else data, max_length)
        self.needs_input = len(out) < max_length and not self._decoder.unconsumed_tail
        return out


def chunks(
    source: FileSource, offset: int, length: int, read: Callable[[int, int], object]
) -> Iterator[bytes]:
    """A span of an archive in order.

    Raises:
        Unreadable: where it is not all there, or the time is up.
    """
    deadline = time.monotonic() + MAX_SECONDS
    done = 0
    for piece in source.pieces(offset, length):
        for start in range(0, len(piece), CHUNK):
            if time.monotonic() > deadline:
                raise damaged(
                    Location(Layer.FILE, offset + done + start),
                    expected=f"an archive that is unpacked within {MAX_SECONDS} seconds",
                    found="one that takes longer",
                )
            yield bytes(piece[start : start + CHUNK])
        done += len(piece)
        read(done, length)


class Kind(NamedTuple):
    """How streams of one kind are unpacked."""

    decoder: Callable[[], Decoder]
    errors: tuple[type[Exception], ...]
    """What it raises for a stream that is damaged, or asks for too much memory."""
    checked: Callable[[Any, bytes], bool] = lambda decoder, head: True
    """Whether a checksum vouched for the content of a stream, by its decoder and its first bytes."""


def _xz() -> Kind:
    import lzma

    strong = (lzma.CHECK_CRC32, lzma.CHECK_CRC64, lzma.CHECK_SHA256)
    return Kind(
        lambda: lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=MAX_MEMORY),
        (lzma.LZMAError, EOFError),
        # Of a check that it does not know, liblzma verifies nothing.
        lambda decoder, head: decoder.check in strong,
    )


def _bzip2() -> Kind:
    import bz2

    return Kind(bz2.BZ2Decompressor, (OSError, EOFError, ValueError))


def _zstandard() -> Kind:
    try:
        if sys.version_info >= (3, 14):
            from compression import zstd
        else:
            import backports.zstd as zstd
    except ImportError as error:
        words = "a Zstandard archive needs the package backports.zstd: pip install image-validator[zstd]"
        raise ArtifactError(words) from error
    limit = {int(zstd.DecompressionParameter.window_log_max): MAX_MEMORY.bit_length() - 1}
    return Kind(
        lambda: zstd.ZstdDecompressor(options=limit),
        (zstd.ZstdError, EOFError),
        # RFC 8878, 3.1.1.1.1: bit 2 of the descriptor. A frame to skip has none, and no content.
        lambda decoder, head: not head.startswith(b"\x28\xb5\x2f\xfd") or bool(head[4] & 4),
    )


KINDS: dict[str, Callable[[], Kind]] = {
    "gzip": lambda: Kind(lambda: Inflater(31), (zlib.error,)),
    "xz": _xz,
    "Zstandard": _zstandard,
    "bzip2": _bzip2,
}


class Unpacked:
    """The content of all streams of a file, in order and in pieces of bounded length.

    Args:
        compressed: the whole file.
        kind: of the streams, one of `KINDS`.
        read: told how far it is with each piece, since few bytes may become very many.
        size: of the file.

    Raises:
        ArtifactError: where a package has to be installed for this kind.
    """

    def __init__(
        self,
        compressed: Iterator[bytes],
        kind: str,
        read: Callable[[int, int], object] = lambda done, total: None,
        size: int = 0,
    ) -> None:
        self._read = read
        self._size = size
        self.checked = True
        """Whether a checksum vouched for all that came so far."""
        self._compressed = compressed
        self._name = kind
        self._kind = KINDS[kind]()

    def __iter__(self) -> Iterator[bytes]:
        """When the last piece was given, all was verified.

        Raises:
            Unreadable: where a stream is damaged or cut, or something else stands behind it.
        """
        decoder: Decoder | None = None
        position, head, rest = 0, b"", b""
        for chunk in chain(self._compressed, (b"",)):
            position += len(chunk)
            data, rest = rest + chunk, b""
            while data or decoder is not None:
                if decoder is None:
                    if chunk and len(data) < _TOLD:
                        rest = data
                        break
                    head = data[:_TOLD]
                    if archive_that_begins(data) != self._name:
                        where = Location(Layer.FILE, position - len(data))
                        expected = f"another {self._name} stream, or the end of the file"
                        raise damaged(where, expected=expected, found=f"something else: {head.hex(' ')}")
                    decoder = self._kind.decoder()
                try:
                    piece = decoder.decompress(data, PIECE)
                except self._kind.errors as error:
                    where = Location(Layer.FILE, position - len(chunk))
                    expected = (
                        f"an intact {self._name} stream for a decoder with {MAX_MEMORY} bytes of memory"
                    )
                    raise damaged(where, expected=expected, found=f"the decoder's error “{error}”") from error
                if piece:
                    self._read(position, self._size)
                    yield piece
                data = b""
                if decoder.eof:
                    self.checked &= self._kind.checked(decoder, head)
                    data, decoder = decoder.unused_data, None
                elif decoder.needs_input:
                    break
        if decoder is not None:
            where = Location(Layer.FILE, position)
            raise damaged(where, expected=f"the end of a {self._name} stream", found="the end of the file")
