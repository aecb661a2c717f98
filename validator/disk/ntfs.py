"""NTFS: files found by path, through records that were verified.

dissect.ntfs decodes records, attributes and run lists; it accepts what Windows would not (deleted
records, stale references, runs outside the volume), and NTFS has no checksum over data. So every
record, index node and run list on the way is held to the rules here before a byte is handed on.

Source of the layout: the structures in dissect.ntfs, which follow Microsoft's ntfs.h; the update
sequence array ("fixup") is verified by dissect.ntfs itself.
"""

import contextlib
from collections.abc import Iterator
from typing import Any

from validator.disk.container import unpack_at
from validator.evidence import Layer, Location, Unreadable, damaged
from validator.source import ByteSource, Stream, beyond_end

_FILE_NAME_INDEX = "$I30"
_MFT_RECORD = 0
_ROOT_RECORD = 5
_IN_USE = 0x0001
_COMPRESSED, _ENCRYPTED, _SPARSE = 0x00FF, 0x4000, 0x8000
MAX_INDEX_DEPTH = 32


class NtfsVolume:
    """An NTFS volume whose boot sector and master file table verify.

    Args:
        source: the volume's bytes.
        partition: its number, for evidence.

    Raises:
        Unreadable: where they do not.
    """

    def __init__(self, source: ByteSource, partition: int) -> None:
        self.partition = partition
        self._source = source
        self._found: dict[str, Any] = {}
        self._verify_boot_sector()
        with self._reading("$MFT"):
            from dissect.ntfs.mft import Mft, MftRecord
            from dissect.ntfs.ntfs import NTFS

            stream = Stream(source)
            # Built by hand: with `fh` the constructor also reads files that no verdict needs.
            self._ntfs: Any = NTFS(boot=stream)
            self._ntfs.fh = stream
            record = MftRecord.from_fh(stream, self._mft_at, self._ntfs)
            record.segment = _MFT_RECORD
            self._verify_record(record, 1, "$MFT")
            self._ntfs.mft = Mft(record.open(), ntfs=self._ntfs)
            self._runs(record, "$MFT", attribute="DATA")
            for entry in record.attributes.ATTRIBUTE_LIST:
                for attribute in entry.attributes():
                    if attribute.type.name == "DATA":
                        self._ntfs.mft.fh.runlist += attribute.dataruns()

    def _verify_boot_sector(self) -> None:
        boot = self._source.read_at(0, 512)
        sector, per_cluster = unpack_at("<HB", boot, 11)
        # Above 128 it is a negative power of two (clusters of 256 KiB and more).
        per_cluster = 1 << (256 - per_cluster) if per_cluster > 128 else per_cluster
        sectors, mft_cluster = unpack_at("<QQ", boot, 40)
        where = Location(Layer.FILE_SYSTEM, 0, self.partition)
        spec = "NTFS boot sector"
        if boot[3:11] != b"NTFS    " or boot[510:] != b"\x55\xaa":
            raise damaged(where, expected="an NTFS boot sector", found="its signatures missing", spec=spec)
        if sector not in (512, 1024, 2048, 4096) or not per_cluster or per_cluster & (per_cluster - 1):
            found = f"{per_cluster} sectors of {sector} bytes"
            raise damaged(where, expected="clusters of whole sectors", found=found, spec=spec)
        self.cluster_size = sector * per_cluster
        if self.cluster_size > 2 * 2**20 or not sectors or sectors * sector > self._source.size:
            found = f"{sectors} sectors of {sector} bytes"
            expected = f"a file system within the volume's {self._source.size} bytes"
            raise damaged(where, expected=expected, found=found, spec=spec)
        self._clusters = sectors // per_cluster
        record_size = int.from_bytes(boot[64:65], "little", signed=True)
        self.record_size = 1 << -record_size if record_size < 0 else record_size * self.cluster_size
        if self.record_size not in (512, 1024, 2048, 4096):
            raise damaged(
                where, expected="a file record of 1 or 4 KiB", found=str(self.record_size), spec=spec
            )
        self._mft_at = mft_cluster * self.cluster_size
        if not mft_cluster or self._mft_at + self.record_size > self._clusters * self.cluster_size:
            raise damaged(where, expected="$MFT in the volume", found=f"cluster {mft_cluster}", spec=spec)

    @contextlib.contextmanager
    def _reading(self, path: str) -> Iterator[None]:
        """Turn whatever dissect raises over bad bytes (any of nine types) into evidence."""
        try:
            yield
        except Unreadable as error:
            if error.evidence.where.layer is not Layer.VOLUME:
                raise
            raise self._damage(path, "runs within the volume", error.evidence.found) from error
        except Exception as error:
            raise self._damage(
                path, "a readable file record and index", f"{type(error).__name__}: {error}"
            ) from error

    def _damage(self, path: str, expected: str, found: str) -> Unreadable:
        where = Location(Layer.FILE_SYSTEM, None, self.partition, path)
        return damaged(where, expected=expected, found=found, spec="NTFS")

    # -- records -------------------------------------------------------------------------------

    def _verify_record(self, record: Any, sequence: int | None, path: str) -> None:
        header = record.header
        if not header.Flags & _IN_USE:
            raise self._damage(path, "a file record in use", "one that is marked as deleted")
        base = header.BaseFileRecordSegment
        if base.SegmentNumberLowPart or base.SegmentNumberHighPart:
            raise self._damage(path, "a base file record", "an extension of another record")
        if sequence is not None and header.SequenceNumber != sequence:
            raise self._damage(
                path, f"file record sequence number {sequence}", f"{header.SequenceNumber}: a stale reference"
            )

    def _find(self, path: str) -> Any:
        """The record of a path below the root, or None where it is verified not to be there."""
        if path not in self._found:
            self._found[path] = self._look_up(path)
        return self._found[path]

    def _look_up(self, path: str) -> Any:
        with self._reading(path or "\\"):
            if not path:
                record = self._ntfs.mft.get(_ROOT_RECORD)
                self._verify_record(record, None, "\\")
                return record
        parent, _, name = path.rpartition("\\")
        folder = self._find(parent)
        if folder is None or not folder.is_dir():
            return None
        with self._reading(path):
            if folder.is_reparse_point():
                raise self._damage(parent, "a folder", "a reparse point, which leads elsewhere")
            reference = self._search(folder, name)
            if reference is None:
                return None
            record = self._ntfs.mft.get(
                reference.SegmentNumberLowPart | reference.SegmentNumberHighPart << 32
            )
            self._verify_record(record, reference.SequenceNumber, path)
            return record

    def _search(self, folder: Any, name: str) -> Any:
        """The reference that a folder's index holds for a name, or None.

        Walks the B-tree itself: dissect's own search follows a node that points back at itself
        for ever.
        """
        index = folder.index(_FILE_NAME_INDEX)
        wanted = name.upper()
        entries = index.root.entries()
        for _ in range(MAX_INDEX_DEPTH):
            node = None
            for entry in entries:
                if not entry.is_end:
                    found = _file_name(entry).upper()
                    if found == wanted:
                        return entry.header.FileReference
                    if found < wanted:
                        continue
                node = entry.node_vcn
                break
            if node is None:
                return None
            entries = index.index_buffer(node).entries()
        raise ValueError(f"an index deeper than {MAX_INDEX_DEPTH} nodes")

    # -- content -------------------------------------------------------------------------------

    def is_folder(self, path: str) -> bool:
        """Whether there is a folder at a path below the root (backslashes, no leading one)."""
        record = self._find(path)
        return record is not None and bool(record.is_dir())

    def open(self, path: str) -> "NtfsFile | None":
        """The file at a path below the root, or None where it is verified not to be there.

        Raises:
            Unreadable: where the way there is damaged, or the file is encrypted, or kept by a
                filter driver (deduplicated, compressed by WOF) or elsewhere.
        """
        record = self._find(path)
        if record is None:
            return None
        with self._reading(path):
            if record.is_dir():
                raise self._damage(path, "a file", "a folder")
            if record.is_reparse_point():
                raise self._damage(path, "a file's own data", "a reparse point: its data is kept elsewhere")
            return self._open(record, path)

    def _open(self, record: Any, path: str) -> "NtfsFile":
        attributes = record.attributes.find("", _type_code("DATA"))
        if not attributes:
            raise self._damage(path, "a data attribute", "none")
        header = attributes[0].header
        if header.flags & _ENCRYPTED:
            raise self._damage(path, "data that can be read", "data encrypted by EFS")
        if len(attributes) == 1 and header.resident:
            data = attributes[0].data()
            if len(data) != header.size:
                raise self._damage(path, f"{header.size} resident bytes", f"{len(data)}")
            return NtfsFile(self, path, len(data), len(data), resident=data)
        runs = self._runs(record, path, attribute="DATA")
        first = min(attributes, key=lambda each: each.header.lowest_vcn).header
        valid = first.header.Form.Nonresident.ValidDataLength
        if not 0 <= valid <= first.size or first.size > first.allocated_size:
            raise self._damage(
                path,
                "a valid length within the file's size",
                f"{valid}, {first.size}, {first.allocated_size}",
            )
        if first.flags & _COMPRESSED:
            return NtfsFile(self, path, first.size, valid, compressed=attributes.open())
        return NtfsFile(self, path, first.size, valid, runs=runs)

    def _runs(self, record: Any, path: str, *, attribute: str) -> list[tuple[int | None, int]]:
        """The run list of the unnamed stream, in clusters: every run in the volume, none missing."""
        attributes = record.attributes.find("", _type_code(attribute))
        headers = sorted((each.header for each in attributes), key=lambda each: int(each.lowest_vcn or 0))
        runs: list[tuple[int | None, int]] = []
        covered = 0
        for header in headers:
            if header.resident or header.lowest_vcn != covered:
                raise self._damage(
                    path, f"a run list that goes on at cluster {covered}", str(header.lowest_vcn)
                )
            for cluster, count in header.dataruns():
                if count <= 0 or (cluster is not None and not 0 <= cluster <= self._clusters - count):
                    raise self._damage(path, "runs within the volume", f"{count} clusters at {cluster}")
                if cluster is None and not header.flags & (_SPARSE | _COMPRESSED):
                    raise self._damage(
                        path, "a run list without holes", "a hole in a file that is not sparse"
                    )
                runs.append((cluster, count))
                covered += count
        if covered * self.cluster_size < headers[0].size:
            raise self._damage(
                path, f"runs for {headers[0].size} bytes", f"runs for {covered * self.cluster_size}"
            )
        return runs

    def read_runs(self, runs: list[tuple[int | None, int]], offset: int, length: int) -> bytes:
        """Exactly `length` bytes at `offset` of a stream with these runs; holes are zeros."""
        pieces = []
        start = 0
        for cluster, count in runs:
            end = start + count * self.cluster_size
            if offset < end and length:
                piece = min(length, end - offset)
                at = None if cluster is None else cluster * self.cluster_size + offset - start
                pieces.append(bytes(piece) if at is None else self._source.read_at(at, piece))
                offset += piece
                length -= piece
            start = end
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)


class NtfsFile:
    """The unnamed data stream of one file; a `ByteSource`."""

    def __init__(
        self,
        volume: NtfsVolume,
        path: str,
        size: int,
        valid: int,
        *,
        resident: bytes | None = None,
        runs: list[tuple[int | None, int]] | None = None,
        compressed: Any = None,
    ) -> None:
        self.partition = volume.partition
        self.path = "\\" + path
        self.size = size
        self._volume = volume
        self._valid = valid
        self._resident = resident
        self._runs = runs or []
        self._compressed = compressed

    def read_at(self, offset: int, length: int) -> bytes:
        """See `ByteSource`. Behind the valid data length a file reads as zeros, as in Windows."""
        if offset < 0 or length < 0 or offset + length > self.size:
            raise beyond_end(Layer.FILE_SYSTEM, offset, length, self.size)
        written = max(0, min(length, self._valid - offset))
        data = self._read(offset, written) if written else b""
        if len(data) != written:
            where = Location(Layer.FILE_SYSTEM, offset, self.partition, self.path)
            raise damaged(where, expected=f"{written} bytes", found=str(len(data)), spec="NTFS")
        return data + bytes(length - written)

    def _read(self, offset: int, length: int) -> bytes:
        if self._resident is not None:
            return self._resident[offset : offset + length]
        if self._compressed is None:
            return self._volume.read_runs(self._runs, offset, length)
        with self._volume._reading(self.path):
            self._compressed.seek(offset)
            return bytes(self._compressed.read(length))


def _file_name(entry: Any) -> str:
    """The name in a file name index entry, its length held to the entry's."""
    key = entry.key
    if entry.header.Length < 16 + 66 or len(key) < 66 or len(key) < 66 + 2 * key[64]:
        raise ValueError("an index entry too short for its file name")
    return str(key[66 : 66 + 2 * key[64]].decode("utf-16-le", "surrogatepass"))


def _type_code(name: str) -> Any:
    from dissect.ntfs.c_ntfs import ATTRIBUTE_TYPE_CODE

    return ATTRIBUTE_TYPE_CODE[name]
