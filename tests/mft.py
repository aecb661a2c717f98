"""Edit an NTFS volume inside an image: file records and index buffers, their fixups kept right.

Layout after Microsoft's ntfs.h as dissect.ntfs and the Linux NTFS documentation have it. This is no
reader: it believes everything, since it only ever sees volumes that the factory made.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.images import damage

FILE_NAME, DATA, INDEX_ROOT, INDEX_ALLOCATION = 0x30, 0x80, 0x90, 0xA0
IN_USE, FOLDER = 1, 2
ROOT = 5
SECTOR = 512


@dataclass(frozen=True)
class Attribute:
    """An attribute of a record and where in the record it begins."""

    at: int
    type: int
    length: int
    resident: bool


class Volume:
    """An NTFS volume that begins `start` bytes into an image file."""

    def __init__(self, path: Path, start: int) -> None:
        """Read where records lie; the path of every file is known from then on."""
        self.path = path
        self.start = start
        boot = damage.read(path, start, 512)
        sector, per_cluster = struct.unpack_from("<HB", boot, 11)
        self.cluster_size = sector * per_cluster
        (mft,) = struct.unpack_from("<Q", boot, 48)
        (size,) = struct.unpack_from("<b", boot, 64)
        self.record_size = 1 << -size if size < 0 else size * self.cluster_size
        self._mft_runs = [(mft, 64)]
        self._mft_runs = self.runs(self.record(0), DATA)
        self.numbers = dict(self._walk())

    # -- records -------------------------------------------------------------------------------

    def offset_of(self, number: int) -> int:
        """Where in the image a file record lies."""
        return self.at(self._mft_runs, number * self.record_size)

    def at(self, runs: list[tuple[int, int]], offset: int) -> int:
        """Where in the image a byte of a stream lies."""
        for cluster, count in runs:
            if offset < count * self.cluster_size:
                return self.start + cluster * self.cluster_size + offset
            offset -= count * self.cluster_size
        raise LookupError("behind the runs")

    def record(self, number: int) -> bytearray:
        """A file record, its fixups undone."""
        return unfixed(damage.read(self.path, self.offset_of(number), self.record_size))

    def edit(self, path: str, change: Callable[[bytearray], object]) -> None:
        """Change the record of a file; what `change` does must differ from what was there."""
        self.edit_at(self.offset_of(self.numbers[path.lower()]), self.record_size, change)

    def edit_at(self, offset: int, size: int, change: Callable[[bytearray], object]) -> None:
        """Change a record or an index buffer at an offset of the image, and redo its fixups."""
        structure = unfixed(damage.read(self.path, offset, size))
        before = bytes(structure)
        change(structure)
        assert structure != before, "this changes nothing"
        damage.overwrite(self.path, offset, fixed(structure))

    def _walk(self) -> Iterator[tuple[str, int]]:
        """Paths in lower case with the numbers of their records."""
        parents: dict[int, tuple[int, str]] = {}
        end = sum(count for _, count in self._mft_runs) * self.cluster_size // self.record_size
        for number in range(end):
            if damage.read(self.path, self.offset_of(number), 4) != b"FILE":
                continue
            record = self.record(number)
            if not record[22] & IN_USE:
                continue
            for attribute in attributes(record):
                if attribute.type == FILE_NAME:
                    body = attribute.at + struct.unpack_from("<H", record, attribute.at + 20)[0]
                    length, space = record[body + 64], record[body + 65]
                    if space != 2:  # a short name
                        name = record[body + 66 : body + 66 + 2 * length].decode("utf-16-le")
                        parents[number] = int.from_bytes(record[body : body + 6], "little"), name
        yield "", ROOT
        for number, (parent, name) in parents.items():
            parts = [name]
            while parent != ROOT and parent in parents:
                parent, name = parents[parent]
                parts.append(name)
            if number != ROOT:
                yield "\\".join(reversed(parts)).lower(), number

    # -- streams -------------------------------------------------------------------------------

    def runs(self, record: bytearray, kind: int) -> list[tuple[int, int]]:
        """Cluster and count of each run of an attribute without holes."""
        attribute = find(record, kind)
        at = attribute.at + struct.unpack_from("<H", record, attribute.at + 32)[0]
        found, cluster = [], 0
        while record[at]:
            sizes = record[at]
            count, delta = sizes & 15, sizes >> 4
            length = int.from_bytes(record[at + 1 : at + 1 + count], "little")
            cluster += int.from_bytes(record[at + 1 + count : at + 1 + count + delta], "little", signed=True)
            found.append((cluster, length))
            at += 1 + count + delta
        return found

    def content_offset(self, path: str) -> int:
        """Where in the image the content of a contiguous file begins."""
        runs = self.runs(self.record(self.numbers[path.lower()]), DATA)
        assert len(runs) == 1, f"{path} is in {len(runs)} pieces"
        return self.at(runs, 0)

    def index_buffers(self, path: str) -> list[int]:
        """Where in the image the index buffers of a folder lie; none where its root holds all."""
        record = self.record(self.numbers[path.lower()])
        if all(each.type != INDEX_ALLOCATION for each in attributes(record)):
            return []
        runs = self.runs(record, INDEX_ALLOCATION)
        return [
            self.start + (cluster + index) * self.cluster_size
            for cluster, count in runs
            for index in range(count)
        ]


def attributes(record: bytearray) -> Iterator[Attribute]:
    """The attributes of a record, in order."""
    (at,) = struct.unpack_from("<H", record, 20)
    while struct.unpack_from("<I", record, at)[0] != 0xFFFFFFFF:
        kind, length, nonresident = struct.unpack_from("<IIB", record, at)
        yield Attribute(at, kind, length, not nonresident)
        at += length


def find(record: bytearray, kind: int) -> Attribute:
    """The first attribute of a type."""
    return next(each for each in attributes(record) if each.type == kind)


def unfixed(structure: bytes) -> bytearray:
    """A record or index buffer with the last two bytes of each sector put back."""
    result = bytearray(structure)
    at, count = struct.unpack_from("<HH", result, 4)
    for index in range(1, count):
        assert result[index * SECTOR - 2 : index * SECTOR] == result[at : at + 2]
        result[index * SECTOR - 2 : index * SECTOR] = result[at + 2 * index : at + 2 * index + 2]
    return result


def fixed(structure: bytearray) -> bytes:
    """The same with the update sequence number at the end of each sector."""
    result = bytearray(structure)
    at, count = struct.unpack_from("<HH", result, 4)
    for index in range(1, count):
        result[at + 2 * index : at + 2 * index + 2] = result[index * SECTOR - 2 : index * SECTOR]
        result[index * SECTOR - 2 : index * SECTOR] = result[at : at + 2]
    return bytes(result)


# --- building attributes -------------------------------------------------------------------------


def with_attributes(record: bytearray, parts: list[bytes]) -> None:
    """Give a record these attributes, in this order, and nothing behind them."""
    (first,) = struct.unpack_from("<H", record, 20)
    body = b"".join(parts) + struct.pack("<II", 0xFFFFFFFF, 0)
    assert first + len(body) <= len(record) - 2
    record[first:] = body.ljust(len(record) - first, b"\0")
    struct.pack_into("<I", record, 24, first + len(body))


def resident(kind: int, value: bytes, number: int) -> bytes:
    """A resident attribute without a name."""
    size = -(-(24 + len(value)) // 8) * 8
    header = struct.pack("<IIBBHHHIHH", kind, size, 0, 0, 24, 0, number, len(value), 24, 0)
    return (header + value).ljust(size, b"\0")


def in_runs(
    kind: int,
    runs: list[tuple[int | None, int]],
    size: int,
    *,
    lowest: int = 0,
    number: int = 0,
    cluster_size: int = 4096,
    compressed: bool = False,
) -> bytes:
    """A non-resident attribute without a name; a run without a cluster is a hole."""
    pairs, last = b"", 0
    for cluster, count in runs:
        length = count.to_bytes(2, "little")
        if cluster is None:
            pairs += b"\x02" + length
        else:
            pairs += b"\x32" + length + (cluster - last).to_bytes(3, "little", signed=True)
            last = cluster
    clusters = sum(count for _, count in runs)
    stored = sum(count for cluster, count in runs if cluster is not None)
    # The first part speaks for the whole stream, the others say nothing.
    allocated = -(-max(size, clusters * cluster_size) // cluster_size) * cluster_size
    sizes = (0, 0, 0) if lowest else (allocated, size, size)
    start = 72 if compressed else 64
    length = -(-(start + len(pairs) + 1) // 8) * 8
    header = struct.pack(
        "<IIBBHHHQQHB5xQQQ", kind, length, 1, 0, 64, compressed, number, lowest, lowest + clusters - 1,
        start, 4 if compressed else 0, *sizes,
    )  # fmt: skip
    if compressed:
        header += struct.pack("<Q", stored * cluster_size)
    return (header + pairs).ljust(length, b"\0")


def list_entry(kind: int, lowest: int, reference: int, number: int = 0) -> bytes:
    """An entry of an attribute list, for an attribute without a name."""
    return struct.pack("<IHBBQQH6x", kind, 32, 0, 26, lowest, reference, number)


def repeated(byte: int, count: int) -> bytes:
    """One LZNT1 chunk that unpacks to the same byte, up to 4096 times: a literal, and a copy of it."""
    tokens = struct.pack("<BBH", 0b10, byte, count - 1 - 3)
    return struct.pack("<H", 0xB000 | len(tokens) + 2 - 3) + tokens
