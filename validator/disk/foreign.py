"""Other programs' containers: QCOW2, VMDK (one sparse file) and VDI.

None has checksums over its structures, so bounds and overlap are their only defence. Our own map of each
goes first, and every read is read again by dissect.hypervisor, which sees only what verified: a view with
a plain header laid over it, one unit (cluster, grain, block) at a time, and no path.

Tables that lie in one piece are verified whole when the image is opened. Those that are spread over the
file are verified in pieces of 512 entries when they are first used, so that a large disk costs no more
than a small one: then *all* entries of the piece are held to the bounds, to the container's metadata and
to every entry that was seen before.

Sources: QEMU, docs/interop/qcow2.txt; VMware, Virtual Disk Format 5.0; VirtualBox, VDICore.h.
"""

import re
import struct
import sys
import uuid
import zlib
from array import array
from bisect import bisect_left
from collections.abc import Iterator
from functools import reduce
from operator import or_
from typing import Any, NamedTuple

from validator.disk.container import BlockDisk, Container, unpack_at
from validator.evidence import Evidence, Layer, Location, Unreadable, damaged
from validator.source import ByteSource, Overlay, Stream

SECTOR = 512
PIECE = 512
"""Entries of a table that are verified together."""
MAX_UNITS = 2**20
"""Clusters or grains that one answer may get to know; what a verdict needs is thousands."""
MAX_L1_ENTRIES = 2**20
MAX_TABLES = 2**18
MAX_DIRECTORY = 2**17
"""Entries of a VMDK's grain directory; 4 TiB in grains of 64 KiB, twice what its entries can reach."""
MAX_TABLE_BYTES = 64 * 2**20
MAX_VDI_BLOCKS = 2**23
MAX_DESCRIPTOR = 2**20
_CHUNK = 2**20
_UNPACKED_UNITS = 4
_CONVERT = "qemu-img convert"


def open_foreign(source: ByteSource, kind: str) -> "ForeignDisk":
    """The disk in a QCOW2, VMDK or VDI.

    Raises:
        Unreadable: for structures that are out of bounds or lie over each other, for what is not read
            (encryption, backing files, split disks, snapshots of VMDK and VDI).
    """
    return {"qcow2": Qcow2Disk, "vmdk": VmdkDisk, "vdi": VdiDisk}[kind](source)


class Unit(NamedTuple):
    """Where a unit of the disk lies in the file."""

    offset: int
    packed: int = 0
    """Length of its compressed data; 0 where it lies there as it is."""


class ForeignDisk(BlockDisk):
    """A disk that our map and dissect.hypervisor read, and must read alike.

    A subclass finds the units and opens the second reader.
    """

    parent_differs: Evidence | None = None

    def __init__(self, source: ByteSource) -> None:
        self._source = source
        self._engine: Any = None
        self._unpacked: dict[int, bytes] = {}

    def _unit(self, block: int) -> Unit | None:
        """Where a unit lies, verified; None where it holds only zeros."""
        raise NotImplementedError

    def _unpack(self, packed: bytes, length: int) -> bytes:
        """At most one byte more than `length` of what was compressed."""
        raise NotImplementedError

    def _open_engine(self) -> Any:
        """The second reader's stream of the disk."""
        raise NotImplementedError

    def _read_block(self, block: int, within: int, length: int) -> bytes:
        start = block * (self.container.block_size or 0)
        unit = self._unit(block)
        if unit is None:
            return self._agreed(start + within, bytes(length))
        if not unit.packed:
            return self._agreed(start + within, self._source.read_at(unit.offset + within, length))
        if block not in self._unpacked:
            data = self._read_packed(unit, start)
            if len(self._unpacked) >= _UNPACKED_UNITS:
                del self._unpacked[next(iter(self._unpacked))]
            self._unpacked[block] = self._agreed(start, data)
        return self._unpacked[block][within : within + length]

    def _read_packed(self, unit: Unit, start: int) -> bytes:
        """A compressed unit, as far as it lies on the disk."""
        whole = self.container.block_size or 0
        needed = min(whole, self.size - start)
        packed = self._source.read_at(unit.offset, unit.packed)
        try:
            data = self._unpack(packed, whole)
            found = f"{len(data)}" if len(data) <= whole else "more"
        except Unreadable:
            raise
        except Exception as error:  # a library that unpacks what the image holds
            data, found = b"", _said(error)
        if not needed <= len(data) <= whole:
            expected = f"compressed data of {whole} bytes"
            raise damaged(Location(Layer.CONTAINER, unit.offset), expected=expected, found=found)
        return data[:needed]

    def _agreed(self, offset: int, data: bytes) -> bytes:
        """The bytes at an offset of the disk, after dissect read the same."""
        where = Location(Layer.CONTAINER, offset)
        try:
            if self._engine is None:
                self._engine = self._open_engine()
                # It may read ahead by whole clusters, and beyond the end of a disk that ends within one.
                self._engine.align = SECTOR
            self._engine.seek(offset)
            second = self._engine.read(len(data))
        except Unreadable:
            raise
        except Exception as error:  # every reader of hostile bytes may raise anything
            expected = f"{len(data)} bytes from the second reader, dissect.hypervisor"
            raise damaged(where, expected=expected, found=_said(error)) from error
        if second != data:
            expected = f"the same {len(data)} bytes of the disk from two readers"
            raise damaged(where, expected=expected, found="others from dissect.hypervisor")
        return data


def _said(error: Exception) -> str:
    return f"{type(error).__name__}: {str(error)[:200]}"


def _damage(offset: int, expected: str, found: str, spec: str) -> Unreadable:
    return damaged(Location(Layer.CONTAINER, offset), expected=expected, found=found, spec=spec)


def _file_name(text: str) -> str:
    """The last part of a path or an address; anything else in it may be a secret."""
    if text.startswith("json:"):
        return "a description in JSON"
    return "“" + re.split(r"[\\/:]", text)[-1].partition("?")[0][:255] + "”"


def _numbers(code: str, data: bytes, byteorder: str) -> "array[int]":
    numbers: array[int] = array(code)
    numbers.frombytes(data)
    if sys.byteorder != byteorder:
        numbers.byteswap()
    return numbers


def _read_table(source: ByteSource, code: str, offset: int, entries: int, byteorder: str) -> "array[int]":
    """A table in bounded chunks."""
    table: array[int] = array(code)
    size = entries * table.itemsize
    for start in range(0, size, _CHUNK):
        data = source.read_at(offset + start, min(_CHUNK, size - start))
        table.extend(_numbers(code, data, byteorder))
    return table


def _too_many_units(where: int) -> Unreadable:
    return _damage(where, f"an answer from at most {MAX_UNITS} clusters", "an image that asks for more", "")


# --- QCOW2 ---------------------------------------------------------------------------------------

_QCOW2 = "QEMU, docs/interop/qcow2.txt"
_COPIED, _COMPRESSED, _ZERO = 1 << 63, 1 << 62, 1
_OFFSET = 0x00FFFFFFFFFFFE00
_INCOMPATIBLE = {
    0: "the dirty bit: it was not closed, or is in use",
    1: "the corrupt bit: QEMU found damage in it",
    2: "an external data file, which is not followed",
    4: "extended L2 entries, which are not read",
}
_COMPRESSION_TYPE = 1 << 3


class Qcow2Disk(ForeignDisk):
    """Clusters where two levels of tables say.

    Of the reference counts, which reading does not need, one thing is used: the last cluster that they
    count must lie in the file, else it was cut.
    """

    def __init__(self, source: ByteSource) -> None:
        super().__init__(source)
        header = source.read_at(0, min(112, source.size)).ljust(112, b"\0")
        self._version, self._zstd = _verify_qcow2_header(source, header)
        (bits,) = unpack_at(">I", header, 20)
        (size,) = unpack_at(">Q", header, 24)
        self._cluster = 1 << bits
        self._size_shift = 62 - (bits - 8)
        self._entries = self._cluster // 8
        self.container = Container(
            "qcow2", f"v{self._version}", source.size, size, None, self._cluster, None, None, checksums=False
        )
        self._metadata: set[int] = set()
        self._plain: set[int] = set()
        self._packed: set[int] = set()
        self._packed_starts: set[int] = set()
        self._verified: set[int] = set()
        self._checked_pieces: dict[int, array[int]] = {}
        self._reserve(0, 1, 0, "the header")
        self._l1 = self._read_l1(header)
        self._verify_end(header)

    def _damage(self, offset: int, expected: str, found: str, section: str) -> Unreadable:
        return _damage(offset, expected, found, f"{_QCOW2}, {section}")

    def _reserve(self, offset: int, clusters: int, where: int, name: str) -> None:
        """Note clusters of metadata, which nothing else may use."""
        section = "General"
        first = offset // self._cluster
        if offset % self._cluster or offset + clusters * self._cluster > self._source.size:
            raise self._damage(where, f"{name} on clusters inside the file", f"{offset:#x}", section)
        for number in range(first, first + clusters):
            if number in self._metadata:
                found = f"{offset:#x}, over other metadata"
                raise self._damage(where, f"{name} on clusters of its own", found, section)
            self._metadata.add(number)
        if len(self._metadata) > MAX_TABLES:
            raise self._damage(where, f"at most {MAX_TABLES} clusters of metadata", "more", section)

    def _clusters(self, length: int) -> int:
        return -(-length // self._cluster)

    def _read_l1(self, header: bytes) -> "array[int]":
        """The L1 table, every L2 table that it names in the file and apart."""
        section = "Cluster mapping"
        entries, offset = unpack_at(">IQ", header, 36)
        needed = -(-self.size // (self._cluster * self._entries))
        if entries < needed:
            raise self._damage(36, f"at least {needed} entries in the L1 table", str(entries), "Header")
        if entries > MAX_L1_ENTRIES:
            raise self._damage(36, f"at most {MAX_L1_ENTRIES} entries", str(entries), "Header")
        self._reserve(offset, self._clusters(8 * entries), 40, "an L1 table")
        table = _read_table(self._source, "Q", offset, entries, "big")
        for index, entry in enumerate(table):
            if not entry:
                continue
            where = offset + 8 * index
            if entry & ~(_OFFSET | _COPIED) or not entry & _OFFSET:
                raise self._damage(where, "an L1 entry without reserved bits", f"{entry:#018x}", section)
            self._reserve(entry & _OFFSET, 1, where, "an L2 table")
        return array("Q", (entry & _OFFSET for entry in table))

    def _verify_end(self, header: bytes) -> None:
        """The last cluster that has a reference count lies in the file."""
        section = "Host cluster management"
        offset, clusters = unpack_at(">QI", header, 48)
        if not clusters or clusters * self._entries > MAX_L1_ENTRIES:
            expected = f"a reference count table of at most {MAX_L1_ENTRIES} entries"
            raise self._damage(56, expected, f"{clusters} clusters", "Header")
        order = unpack_at(">I", header, 96)[0] if self._version > 2 else 4
        self._reserve(offset, clusters, 48, "a reference count table")
        table = _read_table(self._source, "Q", offset, clusters * self._entries, "big")
        del table[-(-len(table.tobytes().rstrip(b"\0")) // 8) :]
        for index, entry in enumerate(table):
            if entry:
                self._reserve(entry, 1, offset + 8 * index, "a reference count block")
        a_block = self._cluster * 8 >> order
        for index in range(len(table) - 1, -1, -1):
            if not table[index]:
                continue
            counts = self._source.read_at(table[index], self._cluster).rstrip(b"\0")
            if counts:
                # Below a byte, the first count stands in the lowest bits.
                bit = 8 * (len(counts) - 1) + (counts[-1].bit_length() - 1 if order < 3 else 0)
                last = index * a_block + (bit >> order)
                size = self._source.size
                if last * self._cluster >= size:
                    expected = f"a cluster at {last * self._cluster:#x}"
                    raise self._damage(size, expected, f"a file of {size} bytes: it is cut", section)
                return

    def _unit(self, block: int) -> Unit | None:
        index, within = divmod(block, self._entries)
        table = self._l1[index]
        if not table:
            return None
        first = within // PIECE * PIECE
        entry = self._piece(table + 8 * first)[within - first]
        if entry & _COMPRESSED:
            offset, length = self._packed_span(entry)
            return Unit(offset, length)
        return None if entry & _ZERO or not entry else Unit(entry & _OFFSET)

    def _packed_span(self, entry: int) -> tuple[int, int]:
        """Where compressed data begins, and how far it may go: to the end of a sector."""
        offset = entry & ((1 << self._size_shift) - 1)
        sectors = ((entry & ~(_COPIED | _COMPRESSED)) >> self._size_shift) + 1
        return offset, sectors * SECTOR - offset % SECTOR

    def _piece(self, at: int) -> "array[int]":
        """The piece of an L2 table at an offset of the file, verified."""
        if at not in self._checked_pieces:
            entries = _numbers("Q", self._source.read_at(at, 8 * min(PIECE, self._entries)), "big")
            if at not in self._verified:
                self._verify_piece(at, entries)
                self._verified.add(at)
            if len(self._checked_pieces) >= PIECE:
                self._checked_pieces.clear()
            self._checked_pieces[at] = entries
        return self._checked_pieces[at]

    def _verify_piece(self, at: int, entries: "array[int]") -> None:
        """Every entry in bounds, apart from the metadata and from all that were seen."""
        if len(self._plain) + len(self._packed_starts) > MAX_UNITS:
            raise _too_many_units(at)
        reserved = ~(_OFFSET | _COPIED | (_ZERO if self._version > 2 else 0))
        if self._claim_all([entry for entry in entries if entry], reserved):
            return
        section = "Cluster mapping"
        for index, entry in enumerate(entries):
            if not entry:
                continue
            where = at + 8 * index
            if entry & _COMPRESSED:
                self._claim_packed(where, entry)
                continue
            host = entry & _OFFSET
            if entry & reserved or not (host or entry == _ZERO):
                raise self._damage(where, "an L2 entry without reserved bits", f"{entry:#018x}", section)
            if host:
                self._claim(where, host)

    def _claim_all(self, entries: list[int], reserved: int) -> bool:
        """Claim clusters that are all plain and in order, at once; false where one needs a closer look."""
        numbers = {(entry & _OFFSET) // self._cluster for entry in entries}
        bits = reduce(or_, entries, 0)
        in_order = (
            not bits & (reserved | self._cluster - 1 & ~_ZERO)
            and len(numbers) == len(entries)
            and (max(numbers, default=0) + 1) * self._cluster <= self._source.size
            and all(numbers.isdisjoint(others) for others in (self._metadata, self._packed, self._plain))
        )
        if in_order:
            self._plain |= numbers
        return in_order

    def _claim(self, where: int, host: int) -> None:
        section = "Cluster mapping"
        number = host // self._cluster
        if host % self._cluster or host + self._cluster > self._source.size:
            raise self._damage(where, "a cluster inside the file", f"{host:#x}", section)
        if number in self._metadata or number in self._packed or number in self._plain:
            raise self._damage(where, "a cluster of its own", f"{host:#x}, over something else", section)
        self._plain.add(number)

    def _claim_packed(self, where: int, entry: int) -> None:
        section = "Compressed Clusters Descriptor"
        offset, length = self._packed_span(entry)
        if entry & _COPIED:
            raise self._damage(where, "a compressed cluster without bit 63", f"{entry:#018x}", section)
        if offset + length > self._source.size:
            found = f"{length} bytes at {offset:#x}"
            raise self._damage(where, "compressed data inside the file", found, section)
        numbers = range(offset // self._cluster, (offset + length - 1) // self._cluster + 1)
        over = not (self._metadata.isdisjoint(numbers) and self._plain.isdisjoint(numbers))
        if over or offset in self._packed_starts:
            found = f"{offset:#x}, over something else"
            raise self._damage(where, "compressed data of its own", found, section)
        self._packed.update(numbers)
        self._packed_starts.add(offset)

    def _unpack(self, packed: bytes, length: int) -> bytes:
        from dissect.hypervisor.disk import qcow2

        inflater: Any = qcow2.zstd.ZstdDecompressor() if self._zstd else zlib.decompressobj(-12)
        data: bytes = inflater.decompress(packed, length + 1)
        return data

    def _open_engine(self) -> Any:
        from dissect.hypervisor.disk.qcow2 import QCow2, QCow2Stream

        old = self._source.read_at(0, 48)
        # A header of version 3 that names no other file, and the end of the header extensions.
        header = old[:4] + (3).to_bytes(4, "big") + bytes(12) + old[20:32] + bytes(4) + old[36:48]
        header = header.ljust(72, b"\0") + (_COMPRESSION_TYPE * self._zstd).to_bytes(8, "big") + bytes(16)
        header += (4).to_bytes(4, "big") + (112).to_bytes(4, "big") + bytes([self._zstd]) + bytes(15)
        view = Overlay(self._source)
        view.lay(0, header)
        engine: Any = QCow2(Stream(view))
        # Its own tables are lists of all numbers in a cluster: up to 10 MiB for each of 128.
        engine.l2_table = lambda offset: _L2Table(view, offset)
        return QCow2Stream(engine, self._l1)


class _L2Table:
    """An L2 table as dissect asks it, without reading it whole."""

    def __init__(self, source: ByteSource, offset: int) -> None:
        self._source = source
        self._offset = offset

    def entry(self, index: int) -> int:
        return unpack_at(">Q", self._source.read_at(self._offset + 8 * index, 8))[0]

    def bitmap(self, index: int) -> int:
        return 0


def _verify_qcow2_header(source: ByteSource, header: bytes) -> tuple[int, bool]:
    """The version, and whether clusters are compressed by zstd."""

    def damage(offset: int, expected: str, found: str) -> Unreadable:
        return _damage(offset, expected, found, f"{_QCOW2}, Header")

    if header[:4] != b"QFI\xfb":
        raise damage(0, "the signature “QFI\\xfb”", header[:4].hex(" "))
    version, backing, backing_length, bits, size, encryption = unpack_at(">IQIIQI", header, 4)
    if version not in (2, 3):
        raise damage(4, "version 2 or 3", str(version))
    if not 9 <= bits <= 21:
        raise damage(20, "clusters of 2^9 to 2^21 bytes", f"2^{bits}")
    if source.size < 1 << bits or source.size % SECTOR:
        raise damage(source.size, "whole sectors, at least one cluster", f"{source.size} bytes: it is cut")
    if not size or size % SECTOR:
        raise damage(24, "a size in whole sectors", str(size))
    if encryption:
        found = {1: "AES", 2: "LUKS"}.get(encryption, str(encryption))
        raise damage(32, "an image without encryption", found)
    if backing:
        inside = backing_length <= 1023 and backing + backing_length <= source.size
        name = source.read_at(backing, backing_length).decode("utf-8", "replace") if inside else ""
        found = f"one over {_file_name(name)}, which is not followed: make one of both by {_CONVERT}"
        raise damage(8, "an image without a backing file", found)
    if version == 2:
        return 2, False
    incompatible, _compatible, _autoclear, order, length = unpack_at(">QQQII", header, 72)
    for bit in range(64):
        if incompatible >> bit & 1 and 1 << bit != _COMPRESSION_TYPE:
            found = _INCOMPATIBLE.get(bit, f"feature bit {bit}, which is not known")
            raise damage(72, "an image without features that change how it is read", found)
    if length < 104 or length % 8 or length > 1 << bits:
        raise damage(100, "a header of at least 104 bytes", str(length))
    if order > 6:
        raise damage(96, "reference counts of at most 2^6 bits", f"2^{order}")
    kind = header[104] if length > 104 else 0
    if kind > 1 or bool(kind) != bool(incompatible & _COMPRESSION_TYPE):
        raise damage(104, "compression by zlib or zstd, as the feature bit says", f"type {kind}")
    if kind:
        from dissect.hypervisor.disk.qcow2 import HAS_ZSTD

        if not HAS_ZSTD:
            raise damage(104, "compression by zlib", f"zstd, which is not read here: use {_CONVERT}")
    return 3, bool(kind)


# --- VMDK ----------------------------------------------------------------------------------------

_VMDK = "VMware Virtual Disk Format 5.0"
_AT_END = 2**64 - 1
_NEWLINES, _REDUNDANT, _ZERO_GRAINS, _DEFLATED, _MARKERS = 1, 2, 4, 1 << 16, 1 << 17
_HEADER = struct.Struct("<4sIIQQQQIQQQB4sH")
_TABLE_SECTORS = PIECE * 4 // SECTOR
_SKIPPED = 16 * 2**10


class SparseHeader(NamedTuple):
    """The header of a sparse extent; what it places is in sectors."""

    magic: bytes
    version: int
    flags: int
    capacity: int
    grain: int
    descriptor: int
    descriptor_size: int
    table_entries: int
    redundant_directory: int
    directory: int
    overhead: int
    dirty: int
    newlines: bytes
    compression: int


class VmdkDisk(ForeignDisk):
    """Grains where the grain tables say, plain or compressed behind a marker."""

    def __init__(self, source: ByteSource) -> None:
        super().__init__(source)
        self._sectors = source.size // SECTOR
        header, footed = self._read_header()
        self._header = header
        self._compressed = bool(header.flags & _DEFLATED)
        kind = self._verify_descriptor()
        self.container = Container(
            "vmdk",
            kind,
            source.size,
            header.capacity * SECTOR,
            SECTOR,
            header.grain * SECTOR,
            None,
            None,
            checksums=False,
        )
        self._grains = -(-header.capacity // header.grain)
        self._directory = self._read_directory(header.directory, 56)
        self._redundant: array[int] | None = None
        if header.flags & _REDUNDANT and header.redundant_directory:
            self._redundant = self._read_directory(header.redundant_directory, 48)
            if list(map(bool, self._redundant)) != list(map(bool, self._directory)):
                raise self._damage(
                    48, "a grain directory like its redundant copy", "tables in one of the two"
                )
        self._reserved = self._reserve(footed)
        self._claimed: dict[int, int] = {}
        self._phases: set[int] = set()
        self._unit_sectors = 1 if self._compressed else header.grain
        """Of compressed grains only the beginning is known before their markers are read."""
        self._verified: set[int] = set()
        self._tables: dict[int, array[int]] = {}
        if not footed:
            self._verify_end()

    def _damage(self, offset: int, expected: str, found: str, section: str = "Sparse Extents") -> Unreadable:
        return _damage(offset, expected, found, f"{_VMDK}, {section}")

    def _read_header(self) -> tuple[SparseHeader, bool]:
        """The header that holds, and whether it is the footer of a stream."""
        size = self._source.size
        if size < 2 * SECTOR or size % SECTOR:
            raise self._damage(size, "whole sectors", f"a file of {size} bytes: it is cut")
        header = self._header_at(0)
        if header.magic != b"KDMV":
            raise self._damage(0, "the signature “KDMV”", header.magic.hex(" "))
        if header.version not in (1, 2, 3):
            raise self._damage(4, "version 1, 2 or 3", str(header.version))
        known = _NEWLINES | _REDUNDANT | _ZERO_GRAINS | _DEFLATED | _MARKERS
        if header.flags & ~known or bool(header.flags & _DEFLATED) != bool(header.flags & _MARKERS):
            raise self._damage(8, "flags that are known", f"{header.flags:#x}")
        if header.flags & _NEWLINES and header.newlines != b"\n \r\n":
            found = f"{header.newlines.hex(' ')}: it was transferred as text"
            raise self._damage(73, "the line ends 0a 20 0d 0a", found)
        if header.compression != (1 if header.flags & _DEFLATED else 0):
            raise self._damage(77, "compression as the flags say", f"algorithm {header.compression}")
        footed = header.directory == _AT_END
        if footed:
            header = self._read_footer(header)
        if header.dirty:
            raise self._damage(72, "a disk that was closed", "the flag of an unclean shutdown")
        if not 8 <= header.grain <= 4096 or header.grain & (header.grain - 1):
            raise self._damage(20, "grains of 8 to 4096 sectors, a power of two", str(header.grain))
        if header.table_entries != PIECE:
            raise self._damage(44, f"grain tables of {PIECE} entries", str(header.table_entries))
        tables = -(-header.capacity // (header.grain * PIECE))
        if not header.capacity or tables > MAX_DIRECTORY:
            raise self._damage(12, f"a capacity of 1 to {MAX_DIRECTORY} grain tables", str(header.capacity))
        return header, footed

    def _header_at(self, offset: int) -> SparseHeader:
        return SparseHeader._make(_HEADER.unpack_from(self._source.read_at(offset, SECTOR)))

    def _read_footer(self, header: SparseHeader) -> SparseHeader:
        """The last three sectors of a stream: a marker, the header again, the end-of-stream marker."""
        at = self._source.size - 2 * SECTOR
        section = "Stream-Optimized Compressed Sparse Extents"
        if at < 2 * SECTOR:
            raise self._damage(self._source.size, "a footer", "the end of the file: it is cut", section)
        marker = unpack_at("<QII", self._source.read_at(at - SECTOR, 16))
        end = unpack_at("<QII", self._source.read_at(at + SECTOR, 16))
        if marker != (1, 0, 3) or end != (0, 0, 0):
            raise self._damage(at, "a footer between its markers", "none: it is cut", section)
        footer = self._header_at(at)
        if header.capacity not in (0, footer.capacity) or footer != header._replace(
            capacity=footer.capacity,
            redundant_directory=footer.redundant_directory,
            directory=footer.directory,
            overhead=footer.overhead,
        ):
            raise self._damage(at, "the header again", "another header", section)
        if footer.directory == _AT_END:
            raise self._damage(at + 56, "the place of the grain directory", "none", section)
        return footer

    def _verify_descriptor(self) -> str:
        """The type of the disk, if all of it lies in this file."""
        section = "The Descriptor File"
        at, length = self._header.descriptor * SECTOR, self._header.descriptor_size * SECTOR
        if length > MAX_DESCRIPTOR or at + length > self._source.size:
            raise self._damage(28, "a descriptor inside the file", f"{length} bytes at {at:#x}", section)
        if not at or not length or not self._source.read_at(at, 1).strip(b"\0"):
            found = f"none: it is one extent of a split disk, which is not read: make one file by {_CONVERT}"
            raise self._damage(28, "a descriptor in the extent", found, section)
        text = self._source.read_at(at, length).partition(b"\0")[0].decode("utf-8", "replace")
        settings: dict[str, str] = {}
        extents = []
        for line in map(str.strip, text.splitlines()):
            if extent := re.match(r"(RW|RDONLY|NOACCESS)\s+(\d{1,20})\s+(\w+)", line):
                extents.append(extent.groups())
            elif "=" in line and not line.startswith("#"):
                key, _, value = line.partition("=")
                key, value = key.strip(), value.strip(' \t"')
                if settings.setdefault(key, value) != value and key in ("createType", "parentCID"):
                    raise self._damage(at, f"one {key}", f"{settings[key][:64]} and {value[:64]}", section)
        kind = settings.get("createType", "")
        if kind not in ("monolithicSparse", "streamOptimized"):
            found = f"“{kind[:64]}”, which is not read: make one file by {_CONVERT}"
            raise self._damage(at, "type monolithicSparse or streamOptimized", found, section)
        if settings.get("parentCID", "").lower() != "ffffffff":
            name = _file_name(settings.get("parentFileNameHint", ""))
            found = f"a snapshot over {name}, which is not followed: make one of both by {_CONVERT}"
            raise self._damage(at, "a disk without a parent", found, section)
        if self._compressed != (kind == "streamOptimized"):
            raise self._damage(8, f"flags of type {kind}", f"{self._header.flags:#x}")
        if len(extents) != 1 or extents[0][0] == "NOACCESS" or extents[0][2] != "SPARSE":
            found = ", ".join(" ".join(extent) for extent in extents[:4]) or "none"
            raise self._damage(at, "one sparse extent", found, section)
        # The header's capacity may be rounded up to whole grains.
        if not 0 <= self._header.capacity - int(extents[0][1]) < self._header.grain:
            found = f"{extents[0][1]} in the descriptor"
            raise self._damage(12, f"{self._header.capacity} sectors, as in the header", found, section)
        return kind

    def _read_directory(self, sector: int, where: int) -> "array[int]":
        entries = -(-self._grains // PIECE)
        if not 0 < sector <= self._sectors - -(-4 * entries // SECTOR):
            raise self._damage(where, "a grain directory inside the file", f"sector {sector:#x}")
        return _read_table(self._source, "I", sector * SECTOR, entries, "little")

    def _reserve(self, footed: bool) -> "tuple[array[int], array[int]]":
        """Beginnings and ends of all metadata, in sectors: inside the file and apart from each other."""
        header = self._header
        directory = -(-4 * len(self._directory) // SECTOR)
        spans = [(0, 1), (header.descriptor, header.descriptor_size), (header.directory, directory)]
        if footed:
            spans.append((self._sectors - 3, 3))
        tables = [entry for entry in self._directory if entry]
        if len(tables) * _TABLE_SECTORS * SECTOR > MAX_TABLE_BYTES:
            raise self._damage(56, f"at most {MAX_TABLE_BYTES} bytes of grain tables", "more")
        if self._redundant is not None:
            spans.append((header.redundant_directory, directory))
            tables += [entry for entry in self._redundant if entry]
        spans += [(entry, _TABLE_SECTORS) for entry in tables]
        spans.sort()
        starts, ends = array("Q"), array("Q", [0])
        for start, length in spans:
            if start < ends[-1] or start + length > self._sectors:
                found = f"one at sector {start:#x}, over other metadata or outside"
                raise self._damage(start * SECTOR, "metadata inside the file and apart", found)
            starts.append(start)
            ends.append(start + length)
        return starts, ends[1:]

    def _verify_end(self) -> None:
        """The last grain ends inside the file, else it was cut."""
        highest = max(map(max, self._every_table()), default=0)
        if highest < 2:
            return
        length = 1 if self._compressed else self._length(self._grains - 1, highest)
        if highest + length > self._sectors:
            found = f"a file of {self._source.size} bytes: it is cut"
            raise self._damage(self._source.size, f"a grain at {highest * SECTOR:#x}", found)
        if self._compressed:
            self._packed(highest, None)

    def _length(self, grain: int, sector: int) -> int:
        """Length of what lies at a sector, if it may be this grain: the last one of a disk may be shorter."""
        table = self._directory[grain // PIECE] * SECTOR
        if not table or unpack_at("<I", self._source.read_at(table + 4 * (grain % PIECE), 4))[0] != sector:
            return self._header.grain
        return min(self._header.grain, self._header.capacity - grain * self._header.grain)

    def _every_table(self) -> Iterator["array[int]"]:
        """What the grain tables hold, in pieces, but for pieces of zeros."""
        for start, length in self._runs():
            data = self._source.read_at(start * SECTOR, length * SECTOR)
            for at in range(0, len(data), _SKIPPED):
                piece = data[at : at + _SKIPPED]
                if piece.strip(b"\0"):
                    yield _numbers("I", piece, "little")

    def _runs(self) -> Iterator[tuple[int, int]]:
        """Grain tables that lie side by side, in sectors."""
        start = length = 0
        for sector in sorted(entry for entry in self._directory if entry):
            if length and (sector != start + length or length * SECTOR >= _CHUNK):
                yield start, length
                length = 0
            start = start if length else sector
            length += _TABLE_SECTORS
        if length:
            yield start, length

    def _unit(self, block: int) -> Unit | None:
        index, within = divmod(block, PIECE)
        if not self._directory[index]:
            return None
        entry = self._table(index)[within]
        if entry == 0 or (entry == 1 and self._header.flags & _ZERO_GRAINS):
            return None
        if self._compressed:
            return Unit(*self._packed(entry, block))
        return Unit(entry * SECTOR)

    def _packed(self, sector: int, block: int | None) -> tuple[int, int]:
        """Where the compressed data of a grain lies, as the marker before it says."""
        section = "Stream-Optimized Compressed Sparse Extents"
        at = sector * SECTOR
        lba, length = unpack_at("<QI", self._source.read_at(at, 12))
        if block is not None and lba != block * self._header.grain:
            expected = f"the marker of the grain of sector {block * self._header.grain}"
            raise self._damage(at, expected, f"of sector {lba}", section)
        if not 0 < length <= 2 * self._header.grain * SECTOR or at + 12 + length > self._source.size:
            raise self._damage(at + 8, "compressed data inside the file", f"{length} bytes", section)
        return at + 12, length

    def _table(self, index: int) -> "array[int]":
        """A grain table, verified."""
        if index not in self._tables:
            at = self._directory[index] * SECTOR
            entries = _numbers("I", self._source.read_at(at, 4 * PIECE), "little")
            if index not in self._verified:
                self._verify_table(index, at, entries)
                self._verified.add(index)
            if len(self._tables) >= PIECE:
                self._tables.clear()
            self._tables[index] = entries
        return self._tables[index]

    def _verify_table(self, index: int, at: int, entries: "array[int]") -> None:
        """Every grain in bounds, apart from the metadata and from all that were seen; the copy equal."""
        if self._redundant is not None:
            copy = self._redundant[index] * SECTOR
            if self._source.read_at(copy, 4 * PIECE) != self._source.read_at(at, 4 * PIECE):
                raise self._damage(at, "a grain table like its redundant copy", f"another one at {copy:#x}")
        if len(self._claimed) > MAX_UNITS:
            raise _too_many_units(at)
        zeros = (0, 1) if self._header.flags & _ZERO_GRAINS else (0,)
        if index < len(self._directory) - 1 and self._claim_all(sorted(entries), zeros):
            return
        for number, entry in enumerate(entries):
            if entry in zeros:
                continue
            grain = index * PIECE + number
            length = min(self._header.grain, self._header.capacity - grain * self._header.grain)
            self._claim(at + 4 * number, entry, min(length, self._unit_sectors))

    def _claim_all(self, entries: list[int], zeros: tuple[int, ...]) -> bool:
        """Claim grains that are all in order, at once; false where one needs a closer look."""
        size = self._unit_sectors
        sectors = [entry for entry in entries if entry not in zeros]
        if not sectors:
            return True
        starts, ends = self._reserved
        end = sectors[-1] + size
        following = bisect_left(starts, end)
        places = {sector // size: sector for sector in sectors}
        # Where all lie on multiples of their size plus the same, two overlap only in the same place.
        self._phases |= {sector % size for sector in sectors}
        in_order = (
            end <= self._sectors
            and ends[following - 1] <= sectors[0]
            and len(self._phases) == 1
            and len(places) == len(sectors)
            and self._claimed.keys().isdisjoint(places)
        )
        if in_order:
            self._claimed.update(places)
        return in_order

    def _claim(self, where: int, sector: int, length: int) -> None:
        if length <= 0 or sector + length > self._sectors:
            raise self._damage(where, "a grain of the disk inside the file", f"sector {sector:#x}")
        starts, ends = self._reserved
        following = bisect_left(starts, sector + length)
        over = following > 0 and ends[following - 1] > sector
        # Grains need not lie on multiples of their size: one may reach into the next place.
        size = self._unit_sectors
        self._phases.add(sector % size)
        place = sector // size
        for near in (place - 1, place, place + 1):
            over = over or abs(self._claimed.get(near, -size) - sector) < size
        if over:
            raise self._damage(where, "a grain of its own", f"sector {sector:#x}, over something else")
        self._claimed[place] = sector

    def _unpack(self, packed: bytes, length: int) -> bytes:
        inflater = zlib.decompressobj()
        data = inflater.decompress(packed, length + 1)
        if len(data) <= length and not inflater.eof:
            raise ValueError("compressed data that breaks off")
        return data

    def _open_engine(self) -> Any:
        from dissect.hypervisor.disk.vmdk import VMDK

        # Without a descriptor, which could name a parent, and without a footer to look for.
        header = self._header._replace(descriptor=0, descriptor_size=0, redundant_directory=0)
        view = Overlay(self._source)
        view.lay(0, _HEADER.pack(*header).ljust(SECTOR, b"\0"))
        return VMDK(Stream(view))


# --- VDI -----------------------------------------------------------------------------------------

_VDI = "VirtualBox, VDICore.h"
_FREE, _ZERO_BLOCK = 0xFFFFFFFF, 0xFFFFFFFE


class VdiDisk(ForeignDisk):
    """Blocks in the order in which they were written, and a map of them."""

    def __init__(self, source: ByteSource) -> None:
        super().__init__(source)
        if source.size < SECTOR:
            raise self._damage(source.size, "a header", "the end of the file: it is cut")
        header = source.read_at(0, SECTOR)
        version, length, kind = unpack_at("<III", header, 68)
        if header[64:68] != b"\x7f\x10\xda\xbe":
            raise self._damage(64, "the signature 7f 10 da be", header[64:68].hex(" "))
        if version != 0x00010001:
            raise self._damage(68, "version 1.1", f"{version >> 16}.{version & 0xFFFF}")
        if kind not in (1, 2):
            name = {3: "an undo disk", 4: "a differencing disk"}.get(kind, f"type {kind}")
            found = f"{name}, whose parent is not followed: make one of both by VBoxManage clonemedium"
            raise self._damage(76, "a dynamic or fixed disk", found)
        table, data = unpack_at("<II", header, 340)
        size, block_size, extra, blocks, allocated = unpack_at("<QIIII", header, 368)
        if not 384 <= length <= 4096:
            raise self._damage(72, "a header of 384 to 4096 bytes", str(length))
        if not size or size % SECTOR:
            raise self._damage(368, "a size in whole sectors", str(size))
        if not 4096 <= block_size <= 2**28 or block_size & (block_size - 1):
            raise self._damage(376, "a block size that is a power of two", str(block_size))
        if extra:
            raise self._damage(380, "blocks without additional data", f"{extra} bytes")
        if not -(-size // block_size) <= blocks <= MAX_VDI_BLOCKS:
            expected = f"{-(-size // block_size)} to {MAX_VDI_BLOCKS} blocks"
            raise self._damage(384, expected, str(blocks))
        if table < 72 + length or table + 4 * blocks > data or data > source.size:
            found = f"{table:#x} and {data:#x}"
            raise self._damage(340, "a map behind the header and data behind the map", found)
        if any(header[424:440]):
            raise self._damage(424, "a disk without a parent", str(uuid.UUID(bytes_le=header[424:440])))
        self._data = data
        creator = header[:64].partition(b"\0")[0].decode("ascii", "replace").strip("<> \n")
        self.container = Container(
            "vdi",
            "dynamic" if kind == 1 else "fixed",
            source.size,
            size,
            SECTOR,
            block_size,
            str(uuid.UUID(bytes_le=header[392:408])),
            creator or None,
            checksums=False,
        )
        self._map = _read_table(source, "I", table, blocks, "little")
        self._verify_map(table, allocated)

    def _damage(self, offset: int, expected: str, found: str) -> Unreadable:
        return _damage(offset, expected, found, _VDI)

    def _verify_map(self, table: int, allocated: int) -> None:
        """Every block inside the file and of its own."""
        block_size = self.container.block_size or 0
        if allocated > len(self._map):
            raise self._damage(388, f"at most {len(self._map)} blocks in use", str(allocated))
        there = min(allocated, (self._source.size - self._data) // block_size)
        used = bytearray(there)
        for index, block in enumerate(self._map):
            if block >= _ZERO_BLOCK:
                continue
            where = table + 4 * index
            if block >= there:
                expected = f"one of {allocated} blocks inside the file"
                raise self._damage(where, expected, f"block {block}")
            if used[block]:
                raise self._damage(where, "a block of its own", f"block {block} twice")
            used[block] = 1

    def _unit(self, block: int) -> Unit | None:
        entry = self._map[block]
        if entry >= _ZERO_BLOCK:
            return None
        return Unit(self._data + entry * (self.container.block_size or 0))

    def _open_engine(self) -> Any:
        from dissect.hypervisor.disk.vdi import VDI

        return VDI(Stream(self._source)).open()
