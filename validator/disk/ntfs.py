"""NTFS: files found by path, through records that were verified.

NTFS has checksums over nothing; what stands between a gate and stale or foreign bytes are the update
sequence arrays, sequence numbers, references back and bounds. Each of them is held to here, on every
record, index node and run list on the way, before a byte is handed on.

Source of the layout: Richard Russon and Yuval Fledel, NTFS Documentation (Linux-NTFS project); tests
compare every result with dissect.ntfs and with ntfs-3g's tools.
"""

from array import array
from bisect import bisect_right
from collections.abc import Iterator
from typing import NamedTuple

from validator.disk.container import unpack_at
from validator.disk.upcase import upcase
from validator.evidence import Evidence, Layer, Location, Unreadable, damaged, made_good
from validator.source import ByteSource, Pages, beyond_end

_ATTRIBUTE_LIST, _VOLUME_INFORMATION, _DATA = 0x20, 0x70, 0x80
_FILE_NAME = 0x30
_INDEX_ROOT, _INDEX_ALLOCATION, _REPARSE_POINT = 0x90, 0xA0, 0xC0
_END = 0xFFFFFFFF
_IN_USE, _FOLDER = 0x0001, 0x0002
_COMPRESSED, _ENCRYPTED, _SPARSE = 0x00FF, 0x4000, 0x8000
_HAS_NODE, _LAST_ENTRY = 0x0001, 0x0002
_DATA_IN_FILTER = (0x80000017, 0x80000013)
"""Reparse tags of files that a filter driver compressed (WOF) or deduplicated. Source: [MS-FSCC] 2.1.2.1."""
_MFT, _LOG_FILE, _VOLUME, _ROOT = 0, 2, 3, 5
_MIRRORED = ("$MFT", "$MFTMirr", "$LogFile", "$Volume")
"""The records that $MFTMirr keeps a copy of; with large clusters it has more, which nothing reads."""
_DOS = 2
"""Namespace of a name that is only the 8.3 alias of another."""
_STRIDE = 512
MAX_INDEX_DEPTH = 32
MAX_NAMES = 2**16
"""Entries of a folder that is listed, aliases included."""
MAX_ATTRIBUTE_LIST = 256 * 2**10
MAX_EXTENSIONS = 1024
"""Records beside its base record that a file may have."""
MAX_RUNS = 2**17
"""Runs (and attributes, which cost as much) that these records may hold together."""
_MAX_CLUSTERS = 2**52
_KEPT_NODES = 64
"""Index nodes that are kept: most of what is looked for lies in few folders."""
_KEPT_UNITS = 16
"""Unpacked compression units that a file keeps: 1 MiB."""


class Runs:
    """Where a stream lies: runs of clusters, in the stream's order.

    Packed, because whoever made the image says how many there are.
    """

    __slots__ = ("_ends", "_firsts")

    def __init__(self) -> None:
        self._firsts = array("q")
        """First cluster of each run in the volume, or -1 for a hole."""
        self._ends = array("q")
        """Clusters of the stream up to the end of each run."""

    def __len__(self) -> int:
        return len(self._ends)

    @property
    def clusters(self) -> int:
        """How many clusters the stream has."""
        return self._ends[-1] if self._ends else 0

    @property
    def has_holes(self) -> bool:
        """Whether a run has no clusters in the volume."""
        return -1 in self._firsts

    def add(self, first: int | None, count: int) -> None:
        """Go on with `count` clusters from `first` of the volume, or with a hole."""
        self._ends.append(self.clusters + count)
        self._firsts.append(-1 if first is None else first)

    def extend(self, other: "Runs") -> None:
        """Go on with the runs of another part."""
        start = self.clusters
        self._ends.extend(start + end for end in other._ends)
        self._firsts.extend(other._firsts)

    def span(self, cluster: int, count: int) -> Iterator[tuple[int | None, int]]:
        """First cluster in the volume (None for a hole) and count for a span; it stops where the runs do."""
        index = bisect_right(self._ends, cluster)
        while count and index < len(self._ends):
            start = self._ends[index - 1] if index else 0
            piece = min(count, self._ends[index] - cluster)
            first = self._firsts[index]
            yield None if first < 0 else first + cluster - start, piece
            cluster += piece
            count -= piece
            index += 1


def _agree(one: Runs, other: Runs) -> bool:
    """Whether two run lists say the same as far as both go."""
    count = min(one.clusters, other.clusters)
    return list(_joined(one.span(0, count))) == list(_joined(other.span(0, count)))


def _joined(pieces: Iterator[tuple[int | None, int]]) -> Iterator[tuple[int | None, int]]:
    """Runs, with those made one that go on where the last ended: run lists may be cut anywhere."""
    last: tuple[int | None, int] | None = None
    for first, count in pieces:
        if last is not None and first == (None if last[0] is None else last[0] + last[1]):
            last = last[0], last[1] + count
            continue
        if last is not None:
            yield last
        last = first, count
    if last is not None:
        yield last


class _Attribute(NamedTuple):
    type: int
    name: str
    flags: int
    value: bytes | None
    """Of a resident attribute."""
    lowest: int = 0
    runs: Runs = Runs()
    allocated: int = 0
    size: int = 0
    valid: int = 0
    unit: int = 0
    """Clusters of a compression unit, as a power of two."""


class _Record(NamedTuple):
    segment: int
    sequence: int
    flags: int
    base: int
    attributes: tuple[_Attribute, ...]

    @property
    def reference(self) -> int:
        """What others refer to it by: its number, and its sequence number above."""
        return self.segment | self.sequence << 48

    def find(self, kind: int, name: str = "") -> list[_Attribute]:
        found = [each for each in self.attributes if each.type == kind and each.name == name]
        return sorted(found, key=lambda each: each.lowest)


class _IndexNode(NamedTuple):
    """A node of a folder's index."""

    entries: list[bytes]
    """The last of them without a name."""
    names: list[str]
    """Those of the others, for comparison."""


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
        self._pages = Pages(source.read_at, source.size)
        self._found: dict[str, _Record | None] = {}
        self._allocations: dict[str, Runs] = {}
        """Where the index nodes of a folder lie, by its path."""
        self._nodes: dict[tuple[int, int | None], _IndexNode] = {}
        """By the reference to their folder and the VCN."""
        self._mirrored: dict[int, bytes] = {}
        self._recovered: list[Evidence] = []
        self._verify_boot_sector()
        self._mft_size = self.record_size
        self._mft_runs = Runs()
        self._mft_runs.add(self._mft_cluster, -(-self.record_size // self.cluster_size))
        self._compare_with_mirror(_MFT)
        mft = self._read_record(_MFT, None, "$MFT")
        parts = mft.find(_DATA)[:1]
        self._mft_size = min(parts[0].size, parts[0].valid) if parts else 0
        self._mft_runs = Runs()
        self._mft_runs.extend(self._runs(parts, "$MFT", whole=False))
        if next(self._mft_runs.span(0, 1), None) != (self._mft_cluster, 1):
            raise self._damage("$MFT", f"a run list from cluster {self._mft_cluster}", "another", 48)
        # A fragmented $MFT goes on in records that lie in the part that is known by then.
        for part in self._parts(mft, "$MFT"):
            if part.type == _DATA and not part.name and part.lowest:
                self._continue(self._mft_runs, part, "$MFT")
        if self._mft_runs.clusters * self.cluster_size < parts[0].size:
            found = f"{self._mft_runs.clusters} clusters"
            raise self._damage("$MFT", f"runs for {parts[0].size} bytes", found)
        for segment in range(1, len(_MIRRORED)):
            self._compare_with_mirror(segment)

    @property
    def recovered(self) -> tuple[Evidence, ...]:
        """What was made good in memory: records of $MFT from $MFTMirr, or the other way round."""
        return tuple(self._recovered)

    def _verify_boot_sector(self) -> None:
        boot = self._read(0, 512)
        sector, per_cluster = unpack_at("<HB", boot, 11)
        # Above 128 it is a negative power of two (clusters of 256 KiB and more).
        per_cluster = 1 << (256 - per_cluster) if per_cluster > 128 else per_cluster
        sectors, self._mft_cluster, self._mirror_cluster = unpack_at("<QQQ", boot, 40)
        if boot[3:11] != b"NTFS    " or boot[510:] != b"\x55\xaa":
            raise self._damage("$Boot", "an NTFS boot sector", "its signatures missing", 0)
        if sector not in (512, 1024, 2048, 4096) or not per_cluster or per_cluster & (per_cluster - 1):
            found = f"{per_cluster} sectors of {sector} bytes"
            raise self._damage("$Boot", "clusters of whole sectors", found, 11)
        self.cluster_size = sector * per_cluster
        if self.cluster_size > 2 * 2**20 or not sectors or sectors * sector > self._source.size:
            expected = f"a file system within the volume's {self._source.size} bytes"
            raise self._damage("$Boot", expected, f"{sectors} sectors of {sector} bytes", 40)
        self._clusters = sectors // per_cluster
        size = int.from_bytes(boot[64:65], "little", signed=True)
        self.record_size = 1 << -size if size < 0 else size * self.cluster_size
        if self.record_size not in (512, 1024, 2048, 4096):
            raise self._damage("$Boot", "file records of 512 to 4096 bytes", str(self.record_size), 64)
        end = self._mft_cluster * self.cluster_size + self.record_size
        if not self._mft_cluster or end > self._clusters * self.cluster_size:
            raise self._damage("$Boot", "$MFT inside the volume", f"cluster {self._mft_cluster}", 48)

    def _read(self, offset: int, length: int) -> bytes:
        """Bytes of the volume; small pieces in whole pages, since records lie side by side."""
        if offset + length <= self._source.size:
            try:
                return self._pages.read_at(offset, length)
            except Unreadable:
                pass  # what lies beside them in their page is nobody's concern
        return self._source.read_at(offset, length)

    def _damage(self, path: str, expected: str, found: str, offset: int | None = None) -> Unreadable:
        where = Location(Layer.FILE_SYSTEM, offset, self.partition, _rooted(path))
        return damaged(where, expected=expected, found=found, spec="NTFS")

    # -- records -------------------------------------------------------------------------------

    def _compare_with_mirror(self, segment: int) -> None:
        """Take one of the first records of $MFT from $MFTMirr where it is torn, and only there.

        As Windows does: a record that was written whole counts, whatever it says. Where both copies
        are whole, they may differ (the mirror is written later), but not in which record it is and,
        as far as both go, where the stream lies.
        """
        path = _MIRRORED[segment]
        at = self._position(self._mft_runs, segment * self.record_size)
        primary = self._try_copy(path, segment, at)
        at = self._mirror_cluster * self.cluster_size + segment * self.record_size
        mirror = self._try_copy(path, segment, at)
        if isinstance(primary, Unreadable):
            if isinstance(mirror, bytes):
                self._mirrored[segment] = mirror
                how = f"its copy in $MFTMirr at offset {at:#x} was used"
                self._recovered.append(made_good(primary, how))
        elif isinstance(mirror, Unreadable):
            self._recovered.append(made_good(mirror, f"it is the copy of {path} in $MFTMirr, $MFT was used"))
        elif primary != mirror and not self._copies_agree(primary, mirror, path):
            expected = f"a copy of {path} that says what the record says"
            raise self._damage("$MFTMirr", expected, "another sequence number or run list", at)

    def _try_copy(self, path: str, segment: int, at: int | None) -> bytes | Unreadable:
        """One copy of a record, its update sequence verified and undone."""
        if at is None or at + self.record_size > self._clusters * self.cluster_size:
            return self._damage(path, "a file record inside the volume", f"record {segment}", at)
        try:
            data = self._read(at, self.record_size)
            record = self._fixed_up(data, b"FILE", path, at)
        except Unreadable as error:
            return error
        (number,) = unpack_at("<I", record, 44)
        # NTFS before 3.1 has the update sequence there.
        if unpack_at("<H", record, 4)[0] >= 48 and number != segment:
            return self._damage(path, f"file record {segment}", f"file record {number}", at + 44)
        return record

    def _copies_agree(self, primary: bytes, mirror: bytes, path: str) -> bool:
        if primary[16:18] != mirror[16:18]:
            return False
        try:
            one, other = (self._first_runs(each, path) for each in (primary, mirror))
        except Unreadable:
            return True  # whoever reads the record says so
        return _agree(one, other)

    def _first_runs(self, record: bytes, path: str) -> Runs:
        """The run list of the unnamed stream, as far as it is in this record."""
        used, first = unpack_at("<I", record, 24)[0], unpack_at("<H", record, 20)[0]
        for attribute in self._attributes(record[:used], first, path, 0):
            if attribute.type == _DATA and not attribute.name:
                return attribute.runs
        return Runs()

    def _read_record(self, segment: int, sequence: int | None, path: str, base: int = 0) -> _Record:
        """A file record in use.

        Args:
            segment: its number in $MFT.
            sequence: what the reference to it says, or None where nothing refers.
            path: for evidence.
            base: the reference that it must give as its base record; 0 for a base record.
        """
        offset = segment * self.record_size
        at = self._position(self._mft_runs, offset)
        if at is None or offset + self.record_size > self._mft_size:
            raise self._damage(path, "a file record inside $MFT", f"record {segment}")
        data = self._mirrored.get(segment)
        if data is None:
            raw = self.read_runs(self._mft_runs, offset, self.record_size)
            data = self._fixed_up(raw, b"FILE", path, at)
        # NTFS 3.1 puts the record's own number behind the fields of 3.0.
        if unpack_at("<H", data, 4)[0] >= 48 and (own := unpack_at("<I", data, 44)[0]) != segment:
            raise self._damage(path, f"file record {segment}", f"file record {own}", at + 44)
        found_sequence, _links, first, flags = unpack_at("<HHHH", data, 16)
        used, _allocated, found_base = unpack_at("<IIQ", data, 24)
        if not flags & _IN_USE:
            raise self._damage(path, "a file record in use", f"record {segment}, marked as deleted", at)
        if sequence is not None and found_sequence != sequence:
            expected = f"sequence number {sequence} of record {segment}, as the reference to it says"
            raise self._damage(path, expected, f"{found_sequence}: the reference is stale", at + 16)
        if found_base != base:
            expected = f"base record reference {base:#x} in record {segment}"
            raise self._damage(path, expected, f"{found_base:#x}: the record belongs to another", at + 32)
        if not first <= used <= self.record_size:
            raise self._damage(path, "attributes inside the record", f"{first} to {used}", at + 20)
        attributes = tuple(self._attributes(data[:used], first, path, at))
        return _Record(segment, found_sequence, flags, found_base, attributes)

    def _fixed_up(self, data: bytes, signature: bytes, path: str, at: int) -> bytes:
        """A record or index node after its update sequence array was verified and undone."""
        if data[:4] != signature:
            raise self._damage(path, f"the signature “{signature.decode()}”", data[:4].hex(" "), at)
        words, count = unpack_at("<HH", data, 4)
        strides = len(data) // _STRIDE
        if count != strides + 1 or words % 2 or words < 40 or words + 2 * count > _STRIDE - 2:
            found = f"{count} words at {words}"
            raise self._damage(path, f"an update sequence array of {strides + 1} words", found, at + 4)
        result = bytearray(data)
        for stride in range(strides):
            last = (stride + 1) * _STRIDE - 2
            if data[last : last + 2] != data[words : words + 2]:
                expected = f"update sequence number {data[words : words + 2].hex(' ')} in every sector"
                raise self._damage(path, expected, data[last : last + 2].hex(" "), at + last)
            word = words + 2 + 2 * stride
            result[last : last + 2] = data[word : word + 2]
        return bytes(result)

    def _attributes(self, data: bytes, offset: int, path: str, at: int) -> Iterator[_Attribute]:
        while True:
            if offset + 4 > len(data):
                raise self._damage(path, "an end of the attributes", "none", at + offset)
            (kind,) = unpack_at("<I", data, offset)
            if kind == _END:
                return
            if offset + 24 > len(data):
                raise self._damage(path, "a whole attribute", "a cut one", at + offset)
            length, elsewhere, name_length, name_at, flags = unpack_at("<IBBHH", data, offset + 4)
            if length < 24 or length % 8 or offset + length > len(data) or name_at + 2 * name_length > length:
                raise self._damage(path, "an attribute inside its record", f"{length} bytes", at + offset)
            body = data[offset : offset + length]
            name = body[name_at : name_at + 2 * name_length].decode("utf-16-le", "surrogatepass")
            yield self._attribute(body, kind, name, flags, not elsewhere, path, at + offset)
            offset += length

    def _attribute(
        self, body: bytes, kind: int, name: str, flags: int, resident: bool, path: str, at: int
    ) -> _Attribute:
        if resident:
            length, value_at = unpack_at("<IH", body, 16)
            if value_at < 24 or value_at + length > len(body):
                raise self._damage(path, "a value inside its attribute", f"{length} bytes", at)
            return _Attribute(kind, name, flags, body[value_at : value_at + length], size=length)
        if len(body) < 64:
            raise self._damage(path, "a non-resident attribute of 64 bytes", str(len(body)), at)
        lowest, highest, runs_at, unit = unpack_at("<QQHB", body, 16)
        allocated, size, valid = unpack_at("<QQQ", body, 40)
        runs = self._decode_runs(body, runs_at, path, at)
        if runs.clusters != (highest - lowest + 1) & (2**64 - 1):
            raise self._damage(
                path, f"runs for clusters {lowest} to {highest}", "another number", at + runs_at
            )
        return _Attribute(kind, name, flags, None, lowest, runs, allocated, size, valid, unit)

    def _decode_runs(self, body: bytes, offset: int, path: str, at: int) -> Runs:
        """Mapping pairs: each run in the volume, relative to the one before."""
        runs = Runs()
        cluster = 0
        while True:
            if not 64 <= offset < len(body):
                raise self._damage(path, "an end of the run list", "none", at + offset)
            sizes = body[offset]
            if not sizes:
                return runs
            count_size, cluster_size = sizes & 0xF, sizes >> 4
            end = offset + 1 + count_size + cluster_size
            if not 0 < count_size <= 8 or cluster_size > 8 or end > len(body):
                raise self._damage(path, "a run of known size", f"{sizes:#04x}", at + offset)
            middle = offset + 1 + count_size
            count = int.from_bytes(body[offset + 1 : middle], "little")
            cluster += int.from_bytes(body[middle:end], "little", signed=True)
            hole = not cluster_size
            if not 0 < count <= self._clusters or (not hole and not 0 <= cluster <= self._clusters - count):
                found = f"{count} clusters at {'a hole' if hole else cluster}"
                raise self._damage(
                    path, f"runs within the volume's {self._clusters} clusters", found, at + offset
                )
            if runs.clusters + count > _MAX_CLUSTERS:
                raise self._damage(path, f"at most {_MAX_CLUSTERS} clusters", "more", at + offset)
            runs.add(None if hole else cluster, count)
            offset = end

    def _parts(self, record: _Record, path: str) -> Iterator[_Attribute]:
        """The attributes that $ATTRIBUTE_LIST names, of this record and of others, in its order.

        Windows keeps such lists below 256 KiB; what the records hold is bounded here, since a list of
        that length can name more than memory holds.
        """
        lists = record.find(_ATTRIBUTE_LIST)
        if not lists:
            return
        size = lists[0].size
        if size > MAX_ATTRIBUTE_LIST:
            raise self._damage(path, f"an attribute list of at most {MAX_ATTRIBUTE_LIST} bytes", str(size))
        entries = lists[0].value
        if entries is None:
            entries = self.read_runs(self._runs(lists, path), 0, size)
        own = record.reference
        records: dict[int, _Record] = {own: record}
        costs = 0
        offset = 0
        while offset < size:
            if offset + 26 > size:
                raise self._damage(path, "a whole attribute list entry", "a cut one")
            kind, length, name_length, name_at = unpack_at("<IHBB", entries, offset)
            lowest, reference = unpack_at("<QQ", entries, offset + 8)
            if length < 26 or offset + length > size or name_at + 2 * name_length > length:
                raise self._damage(path, "an attribute list entry inside its list", f"{length} bytes")
            name = entries[offset + name_at :][: 2 * name_length].decode("utf-16-le", "surrogatepass")
            offset += length
            if reference not in records:
                if len(records) > MAX_EXTENSIONS:
                    raise self._damage(path, f"at most {MAX_EXTENSIONS} extension records", "more")
                segment, sequence = reference & (2**48 - 1), reference >> 48
                records[reference] = extension = self._read_record(segment, sequence, path, own)
                costs += sum(1 + len(each.runs) for each in extension.attributes)
                if costs > MAX_RUNS:
                    raise self._damage(path, f"at most {MAX_RUNS} runs and attributes", "more")
            matches = [each for each in records[reference].find(kind, name) if each.lowest == lowest]
            if len(matches) != 1:
                raise self._damage(path, "one attribute for its list entry", str(len(matches)))
            yield matches[0]

    def _whole(self, record: _Record, path: str) -> _Record:
        """A base record with the attributes that its list names, or all of its own where it has none."""
        lists = tuple(record.find(_ATTRIBUTE_LIST))
        if not lists:
            return record
        attributes = lists + tuple(self._parts(record, path))
        return _Record(record.segment, record.sequence, record.flags, record.base, attributes)

    # -- folders -------------------------------------------------------------------------------

    def _find(self, path: str) -> _Record | None:
        """The record of a path below the root, or None where it is verified not to be there."""
        if path not in self._found:
            self._found[path] = self._look_up(path)
        return self._found[path]

    def _look_up(self, path: str) -> _Record | None:
        if not path:
            return self._whole(self._read_record(_ROOT, None, "\\"), "\\")
        parent, _, name = path.rpartition("\\")
        folder = self._find_folder(parent)
        if folder is None:
            return None
        reference = self._search(folder, name, parent)
        if reference is None:
            return None
        record = self._whole(self._read_record(reference & (2**48 - 1), reference >> 48, path), path)
        own_names = (each.value or b"" for each in record.attributes if each.type == _FILE_NAME)
        if not any(self._is_name(value, folder, name) for value in own_names):
            found = f"a record without that name: record {record.segment} is another file's"
            raise self._damage(path, f"“{name}” in the folder's record {folder.segment}", found)
        return record

    def _find_folder(self, path: str) -> _Record | None:
        """The record of a folder, or None where it is verified that there is none."""
        record = self._find(path)
        if record is None or not record.flags & _FOLDER:
            return None
        if record.find(_REPARSE_POINT):
            raise self._damage(path, "a folder", "a reparse point, which leads elsewhere")
        return record

    @staticmethod
    def _is_name(value: bytes, folder: _Record, name: str) -> bool:
        """Whether a $FILE_NAME is this name in this folder."""
        if len(value) < 66 or unpack_at("<Q", value)[0] != folder.reference:
            return False
        return upcase(value[66 : 66 + 2 * value[64]].decode("utf-16-le", "surrogatepass")) == upcase(name)

    def _search(self, folder: _Record, name: str, path: str) -> int | None:
        """The file reference that a folder's index holds for a name, or None."""
        root, block_size = self._index_root(folder, path)
        wanted = upcase(name)
        node: int | None = None
        for _ in range(MAX_INDEX_DEPTH):
            entries, names = self._named_node(folder, node, root, block_size, path)
            # Whether each comes before (-1), is (0), or comes after (1) the one wanted.
            orders = [(each > wanted) - (each < wanted) for each in names] + [1]
            # Whoever halves the node must find the same.
            if orders != sorted(orders):
                raise self._damage(path, "index entries in the order of their names", "another order")
            entry = entries[orders.count(-1)]
            if 0 in orders:
                if orders.count(0) > 1:
                    raise self._damage(path, f"one “{name}” in the folder", "two, of different case")
                return unpack_at("<Q", entry)[0]
            node = self._child(entry)
            if node is None:
                return None
        raise self._too_deep(path)

    def _walk(self, folder: _Record, path: str) -> Iterator[bytes]:
        """All entries with names of a folder's index, in order."""
        root, block_size = self._index_root(folder, path)
        seen: set[int] = set()

        def below(node: int | None, depth: int) -> Iterator[bytes]:
            if depth >= MAX_INDEX_DEPTH:
                raise self._too_deep(path)
            for entry in self._index_node_entries(folder, node, root, block_size, path):
                child = self._child(entry)
                if child is not None:
                    if child in seen:
                        raise self._damage(path, "each index node once", f"node {child} twice")
                    if len(seen) >= MAX_NAMES:
                        raise self._damage(path, f"at most {MAX_NAMES} index nodes", "more")
                    seen.add(child)
                    yield from below(child, depth + 1)
                if not self._is_last(entry):
                    yield entry

        return below(None, 0)

    def _too_deep(self, path: str) -> Unreadable:
        return self._damage(path, f"an index of at most {MAX_INDEX_DEPTH} levels", "a deeper one")

    def _index_root(self, folder: _Record, path: str) -> tuple[bytes, int]:
        """The root of a folder's index, and the size of its other nodes in bytes."""
        roots = folder.find(_INDEX_ROOT, "$I30")
        if len(roots) != 1 or roots[0].value is None or len(roots[0].value) < 32:
            raise self._damage(path, "the root of the folder's index", "none")
        root = roots[0].value
        (block_size,) = unpack_at("<I", root, 8)
        if block_size not in (512, 1024, 2048, 4096, 8192, 16384, 32768, 65536):
            raise self._damage(path, "index nodes of 512 bytes to 64 KiB", str(block_size))
        return root, block_size

    @staticmethod
    def _is_last(entry: bytes) -> bool:
        """Whether an entry only ends its node: it has no name."""
        return bool(unpack_at("<H", entry, 12)[0] & _LAST_ENTRY)

    @staticmethod
    def _child(entry: bytes) -> int | None:
        """The VCN of the node whose names come before an entry, or None."""
        has_node = unpack_at("<H", entry, 12)[0] & _HAS_NODE
        return unpack_at("<Q", entry, len(entry) - 8)[0] if has_node else None

    def _entry_name(self, entry: bytes, folder: _Record, path: str) -> str:
        """The name in an entry that is not the last.

        Every entry says which folder it belongs to: a node of another folder is told by it.
        """
        if len(entry) < 24 or (parent := unpack_at("<Q", entry, 16)[0]) != folder.reference:
            found = f"{parent:#x}" if len(entry) >= 24 else "none"
            raise self._damage(path, f"index entries of folder {folder.reference:#x}", found)
        (key_length,) = unpack_at("<H", entry, 10)
        if key_length < 66 or key_length < 66 + 2 * entry[16 + 64]:
            raise self._damage(path, "a file name in an index entry", f"a key of {key_length} bytes")
        return entry[16 + 66 : 16 + 66 + 2 * entry[16 + 64]].decode("utf-16-le", "surrogatepass")

    def _named_node(
        self, folder: _Record, vcn: int | None, root: bytes, block_size: int, path: str
    ) -> _IndexNode:
        """A node with its names, all of which verify; the root for None."""
        place = folder.reference, vcn
        if (known := self._nodes.get(place)) is not None:
            return known
        entries = self._index_node_entries(folder, vcn, root, block_size, path)
        names = [upcase(self._entry_name(entry, folder, path)) for entry in entries[:-1]]
        if len(self._nodes) >= _KEPT_NODES:
            self._nodes.clear()
        self._nodes[place] = _IndexNode(entries, names)
        return self._nodes[place]

    def _index_node_entries(
        self, folder: _Record, node: int | None, root: bytes, block_size: int, path: str
    ) -> list[bytes]:
        data, start = (root, 16) if node is None else self._index_node(folder, node, block_size, path)
        return list(self._index_entries(data, start, path))

    def _index_node(self, folder: _Record, vcn: int, block_size: int, path: str) -> tuple[bytes, int]:
        if path not in self._allocations:
            self._allocations[path] = self._runs(folder.find(_INDEX_ALLOCATION, "$I30"), path)
        runs = self._allocations[path]
        offset = vcn * (self.cluster_size if block_size >= self.cluster_size else _STRIDE)
        at = self._position(runs, offset)
        if at is None or offset + block_size > self._length(runs):
            raise self._damage(path, "an index node inside the folder", f"node {vcn}")
        data = self._fixed_up(self.read_runs(runs, offset, block_size), b"INDX", path, at)
        (own,) = unpack_at("<Q", data, 16)
        if own != vcn:
            raise self._damage(path, f"index node {vcn}", f"node {own}", at + 16)
        return data, 24

    def _index_entries(self, data: bytes, start: int, path: str) -> Iterator[bytes]:
        """The entries of an index node whose header begins at `start`."""
        first, used = unpack_at("<II", data, start)
        offset, end = start + first, start + used
        if end > len(data):
            raise self._damage(path, "index entries inside their node", f"{used} bytes")
        while True:
            if offset + 16 > end:
                raise self._damage(path, "a last index entry", "none")
            length, key_length, flags = unpack_at("<HHH", data, offset + 8)
            least = 16 + 8 * (flags & _HAS_NODE) + (0 if flags & _LAST_ENTRY else key_length)
            if length < least or length % 8 or offset + length > end:
                raise self._damage(path, "an index entry inside its node", f"{length} bytes")
            yield data[offset : offset + length]
            if flags & _LAST_ENTRY:
                return
            offset += length

    # -- content -------------------------------------------------------------------------------

    def is_folder(self, path: str) -> bool:
        """Whether there is a folder at a path below the root (backslashes, no leading one)."""
        record = self._find(path)
        return record is not None and bool(record.flags & _FOLDER)

    def names(self, path: str) -> tuple[str, ...] | None:
        """Names in a folder, in the order of its index; None where it is verified that there is none.

        Aliases of 8.3 are left out, and of the root (path "") itself and what begins with “$”.

        Raises:
            Unreadable: where the way there or any node of the folder's index is damaged, names are out
                of order or twice, an alias is of no name, or there are more than `MAX_NAMES` entries.
        """
        folder = self._find_folder(path)
        if folder is None:
            return None
        found: list[str] = []
        named, aliases = set(), set()
        last = ""
        for count, entry in enumerate(self._walk(folder, path), start=1):
            if count > MAX_NAMES:
                raise self._damage(path, f"at most {MAX_NAMES} names in the folder", "more")
            name = self._entry_name(entry, folder, path)
            if last >= upcase(name):
                raise self._damage(path, f"“{name}” in the order of the folder's names", f"it after “{last}”")
            last = upcase(name)
            (reference,) = unpack_at("<Q", entry)
            if entry[16 + 65] == _DOS:
                aliases.add(reference)
                continue
            named.add(reference)
            if path or not (name.startswith("$") or name == "."):
                found.append(name)
        # Otherwise one wrong byte would hide a file.
        if aliases - named:
            raise self._damage(path, "a name for every 8.3 alias in the folder", "an alias alone")
        return tuple(found)

    def open(self, path: str) -> "NtfsFile | None":
        """The file at a path below the root, or None where it is verified not to be there.

        Raises:
            Unreadable: where the way there is damaged, or the file is encrypted, or kept by a
                filter driver (deduplicated, compressed by WOF) or elsewhere.
        """
        record = self._find(path)
        if record is None:
            return None
        if record.flags & _FOLDER:
            raise self._damage(path, "a file", "a folder")
        if record.find(_REPARSE_POINT):
            raise self._damage(path, "a file's own data", "a reparse point: its data is kept elsewhere")
        return self._stream(record, path)

    def size(self, path: str) -> int | None:
        """The size in bytes of a file whose content is not needed, or None where it is verified absent.

        Unlike `open` it takes files that Windows keeps compressed in another stream (Compact OS) or
        deduplicated: they are there, and as large as they say.
        """
        record = self._find(path)
        if record is None:
            return None
        if record.flags & _FOLDER:
            raise self._damage(path, "a file", "a folder")
        for point in record.find(_REPARSE_POINT):
            tag = unpack_at("<I", point.value)[0] if point.value and len(point.value) >= 8 else 0
            if tag not in _DATA_IN_FILTER:
                found = f"a reparse point with the tag {tag:#010x}: it leads elsewhere"
                raise self._damage(path, "a file's own data", found)
        data = record.find(_DATA)
        if not data:
            raise self._damage(path, "a data attribute", "none")
        return data[0].size

    def log_file(self) -> "NtfsFile":
        """$LogFile, by the number of its record."""
        record = self._read_record(_LOG_FILE, None, "$LogFile")
        return self._stream(self._whole(record, "$LogFile"), "$LogFile")

    def information(self) -> tuple[bytes, Location]:
        """The value of $VOLUME_INFORMATION, and the record that it was read from."""
        at = self._position(self._mft_runs, _VOLUME * self.record_size)
        found = self._read_record(_VOLUME, None, "$Volume").find(_VOLUME_INFORMATION)
        if len(found) != 1 or found[0].value is None or len(found[0].value) < 12:
            raise self._damage("$Volume", "the volume information", "none", at)
        return found[0].value, Location(Layer.FILE_SYSTEM, at, self.partition, "$Volume")

    def _stream(self, record: _Record, path: str) -> "NtfsFile":
        """The unnamed data stream of a file."""
        attributes = record.find(_DATA)
        if not attributes:
            raise self._damage(path, "a data attribute", "none")
        first = attributes[0]
        if first.flags & _ENCRYPTED:
            raise self._damage(path, "data that can be read", "data encrypted by EFS")
        if first.value is not None:
            return NtfsFile(self, path, first.size, first.size, resident=first.value)
        runs = self._runs(attributes, path)
        if not first.valid <= first.size <= first.allocated:
            found = f"{first.valid}, {first.size}, {first.allocated}"
            raise self._damage(path, "a valid length within the size within the allocation", found)
        if first.flags & _COMPRESSED and (first.unit != 4 or self.cluster_size > 4096):
            raise self._damage(path, "compression units of 16 clusters", f"2 to the power of {first.unit}")
        unit = 16 if first.flags & _COMPRESSED else 0
        return NtfsFile(self, path, first.size, first.valid, runs=runs, unit=unit)

    def _runs(self, attributes: list[_Attribute], path: str, *, whole: bool = True) -> Runs:
        """The run list of a stream, whose parts must follow each other and (`whole`) hold all of it."""
        if not attributes:
            raise self._damage(path, "a run list", "none")
        runs = Runs()
        for attribute in attributes:
            self._continue(runs, attribute, path)
        if whole and runs.clusters * self.cluster_size < attributes[0].size:
            raise self._damage(path, f"runs for {attributes[0].size} bytes", f"{runs.clusters} clusters")
        return runs

    def _continue(self, runs: Runs, part: _Attribute, path: str) -> None:
        """Go on with a part of a stream, which must follow what is there."""
        if part.value is not None or part.lowest != runs.clusters:
            expected = f"a run list that goes on at cluster {runs.clusters}"
            raise self._damage(path, expected, str(part.lowest))
        if not part.flags & (_SPARSE | _COMPRESSED) and part.runs.has_holes:
            raise self._damage(path, "a run list without holes", "a hole in a file that is not sparse")
        runs.extend(part.runs)

    def _length(self, runs: Runs) -> int:
        return runs.clusters * self.cluster_size

    def _position(self, runs: Runs, offset: int) -> int | None:
        """Where in the volume a byte of a stream lies, or None."""
        cluster, rest = divmod(offset, self.cluster_size)
        first, _ = next(runs.span(cluster, 1), (None, 0))
        return None if first is None else first * self.cluster_size + rest

    def read_runs(self, runs: Runs, offset: int, length: int) -> bytes:
        """`length` bytes at `offset` of a stream with these runs; holes are zeros.

        Shorter where the runs end before: whoever asks compares the length.
        """
        pieces = []
        cluster, skip = divmod(offset, self.cluster_size)
        for first, count in runs.span(cluster, -(-(skip + length) // self.cluster_size)):
            piece = min(length, count * self.cluster_size - skip)
            at = None if first is None else first * self.cluster_size + skip
            pieces.append(bytes(piece) if at is None else self._read(at, piece))
            length -= piece
            skip = 0
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
        runs: Runs | None = None,
        unit: int = 0,
    ) -> None:
        self.partition = volume.partition
        self.path = _rooted(path)
        self.size = size
        self._volume = volume
        self._valid = valid
        self._resident = resident
        self._runs = runs or Runs()
        self._unit = unit
        self._units: dict[int, bytes] = {}

    def read_at(self, offset: int, length: int) -> bytes:
        """See `ByteSource`. Behind the valid data length a file reads as zeros, as in Windows."""
        if offset < 0 or length < 0 or offset + length > self.size:
            raise beyond_end(Layer.FILE_SYSTEM, offset, length, self.size)
        written = max(0, min(length, self._valid - offset))
        data = self._read(offset, written) if written else b""
        if len(data) != written:
            raise self._damage(offset, f"{written} bytes", f"runs for {len(data)}")
        return data + bytes(length - written)

    def _read(self, offset: int, length: int) -> bytes:
        if self._resident is not None:
            return self._resident[offset : offset + length]
        if not self._unit:
            return self._volume.read_runs(self._runs, offset, length)
        size = self._unit * self._volume.cluster_size
        first, last = offset // size, (offset + length - 1) // size
        data = b"".join(self._read_unit(number, size) for number in range(first, last + 1))
        return data[offset - first * size :][:length]

    def _read_unit(self, number: int, size: int) -> bytes:
        """One compression unit; the last ones are kept, since a hive is read in small pieces."""
        if number not in self._units:
            if len(self._units) >= _KEPT_UNITS:
                del self._units[next(iter(self._units))]
            self._units[number] = self._unpack_unit(number, size)
        return self._units[number]

    def _unpack_unit(self, number: int, size: int) -> bytes:
        """One compression unit: whole, a hole, or compressed into the clusters before a hole."""
        runs = list(self._runs.span(number * self._unit, self._unit))
        stored = sum(count for cluster, count in runs if cluster is not None)
        if stored == self._unit:
            return self._volume.read_runs(self._runs, number * size, size)
        if not stored:
            return bytes(size)
        if any(cluster is None for cluster, _ in runs[: len(runs) - 1]):
            raise self._damage(number * size, "a compression unit before its hole", "a hole before it")
        data = self._volume.read_runs(self._runs, number * size, stored * self._volume.cluster_size)
        from dissect.util.compression import lznt1

        try:
            unpacked = bytes(lznt1.decompress(data))
        except Exception as error:
            raise self._damage(number * size, "LZNT1 data", f"{type(error).__name__}: {error}") from error
        return unpacked[:size].ljust(size, b"\0")

    def _damage(self, offset: int, expected: str, found: str) -> Unreadable:
        where = Location(Layer.FILE_SYSTEM, offset, self.partition, self.path)
        return damaged(where, expected=expected, found=found, spec="NTFS")


def _rooted(path: str) -> str:
    return path if path.startswith(("\\", "$")) else "\\" + path
