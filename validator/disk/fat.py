"""FAT12, FAT16 and FAT32: files found by path, through cluster chains that were verified.

Source of the layout: Microsoft, FAT32 File System Specification 1.03 (fatgen103). It is read here and
not by dissect.fat, which follows a loop of clusters for ever, takes a chain that steps one cluster back
for one that goes on, and knows nothing of what ties a long name to its file.
"""

from array import array
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from validator.disk.container import unpack_at
from validator.disk.upcase import upcase
from validator.evidence import Layer, Location, Unreadable, damaged
from validator.source import ByteSource, Pages, beyond_end

MAX_CLUSTERS = 2**18
"""Clusters of one file; a boot manager or a boot store has some thousands."""
MAX_FOLDER = 2**16 * 32
"""Bytes of a folder: 65,536 entries, as the specification has it."""
_ENTRY = 32
_DELETED, _LAST_LONG = 0xE5, 0x40
_LABEL, _FOLDER, _LONG_NAME, _ATTRIBUTES = 0x08, 0x10, 0x0F, 0x3F
_LOWER_BASE, _LOWER_EXTENSION = 0x08, 0x10
"""What Windows NT keeps of a short name's case."""
_SPEC = "fatgen103"


class _Entry(NamedTuple):
    """A file or a folder; the root has no name and no offset."""

    name: str
    short: str
    folder: bool
    cluster: int
    size: int
    at: int | None
    """Offset of its entry in the volume."""


class _Folder(NamedTuple):
    entries: tuple[_Entry, ...]
    fault: Unreadable | None
    """A long name that fits no file: an entry that is not found may have been it."""


class FatVolume:
    """A FAT volume whose boot sector verifies.

    Args:
        source: the volume's bytes.
        partition: its number, for evidence.

    Raises:
        Unreadable: where it does not.
    """

    def __init__(self, source: ByteSource, partition: int) -> None:
        self.partition = partition
        # Entries of a FAT are read by twos and fours.
        self._source: ByteSource = Pages(source.read_at, source.size)
        self._folders: dict[int, _Folder] = {}
        self._verify_boot_sector()

    def _verify_boot_sector(self) -> None:
        if self._source.size < 512:
            raise self._damage("", "a boot sector of 512 bytes", f"a volume of {self._source.size}", 0)
        boot = self._source.read_at(0, 512)
        sector, per_cluster, reserved, copies, entries, few_sectors = unpack_at("<HBHBHH", boot, 11)
        (short_fat,), (many_sectors, long_fat) = unpack_at("<H", boot, 22), unpack_at("<II", boot, 32)
        if boot[510:] != b"\x55\xaa":
            raise self._damage("", "a boot sector's signature 55 aa", boot[510:].hex(" "), 510)
        if sector not in (512, 1024, 2048, 4096) or not per_cluster or per_cluster & (per_cluster - 1):
            found = f"{per_cluster} sectors of {sector} bytes"
            raise self._damage("", "clusters of 1 to 128 sectors of 512 to 4096 bytes", found, 11)
        sectors = few_sectors or many_sectors
        if not sectors or sectors * sector > self._source.size:
            expected = f"a file system within the volume's {self._source.size} bytes"
            raise self._damage(
                "", expected, f"{sectors} sectors of {sector} bytes", 19 if few_sectors else 32
            )
        # By this field Windows and UEFI firmware know FAT32; below it the count of clusters decides.
        wide, fat = not short_fat, short_fat or long_fat
        root_sectors = -(-entries * _ENTRY // sector)
        first = reserved + copies * fat + root_sectors
        if not reserved or copies not in (1, 2) or not fat or first >= sectors or wide is bool(entries):
            found = (
                f"{reserved} reserved sectors, {copies} FATs of {fat}, {entries} root entries "
                f"in {sectors} sectors"
            )
            raise self._damage("", "reserved sectors, FATs and root folder inside the volume", found, 14)
        self.cluster_size = sector * per_cluster
        self._clusters = (sectors - first) // per_cluster
        self._bits = 32 if wide else 12 if self._clusters < 4085 else 16
        if not self._clusters or (self._clusters >= 65525 and not wide) or self._clusters > 0x0FFFFFF5:
            expected = "as many clusters as this kind of FAT has"
            raise self._damage("", expected, f"{self._clusters} with {self._bits} bits", 13)
        needed = -(-(self._clusters + 2) * self._bits // 8)
        if fat * sector < needed:
            expected = f"a FAT of {needed} bytes for {self._clusters} clusters"
            raise self._damage("", expected, f"one of {fat * sector}", 36 if wide else 22)
        self._first = first * sector
        self._root_area = (reserved + copies * fat) * sector, entries * _ENTRY
        self._fats = [(reserved + number * fat) * sector for number in range(copies)]
        self._root = _Entry("", "", folder=True, cluster=0, size=0, at=None)
        if wide:
            self._take_fat32(boot)

    def _take_fat32(self, boot: bytes) -> None:
        flags, version, root = unpack_at("<HHI", boot, 40)
        if version:
            raise self._damage("", "FAT32 version 0.0", f"{version >> 8}.{version & 0xFF}", 42)
        if not 2 <= root < self._clusters + 2:
            raise self._damage("", "the root folder in a cluster of the volume", f"cluster {root}", 44)
        self._root = self._root._replace(cluster=root)
        if flags & 0x80:  # not mirrored: only one of them is kept
            active = flags & 0x0F
            if active >= len(self._fats):
                expected = f"one of {len(self._fats)} FATs to be active"
                raise self._damage("", expected, f"number {active}", 40)
            self._fats = [self._fats[active]]

    def _damage(self, path: str, expected: str, found: str, offset: int | None = None) -> Unreadable:
        where = Location(Layer.FILE_SYSTEM, offset, self.partition, _rooted(path))
        return damaged(where, expected=expected, found=found, spec=_SPEC)

    # -- clusters ------------------------------------------------------------------------------

    def _next(self, cluster: int, path: str) -> int:
        """What stands in the FAT for a cluster; where the volume has two FATs, in both."""
        offset = cluster * self._bits // 8
        data = [self._source.read_at(fat + offset, 4 if self._bits == 32 else 2) for fat in self._fats]
        values = [int.from_bytes(each, "little") for each in data]
        if self._bits == 12:
            values = [value >> 4 if cluster & 1 else value for value in values]
        values = [value & (1 << min(self._bits, 28)) - 1 for value in values]
        if values[0] != values[-1]:
            expected = f"cluster {cluster} followed by {values[0]:#x} in both FATs"
            raise self._damage(path, expected, f"{values[-1]:#x}", self._fats[-1] + offset)
        return values[0]

    def _chain(self, first: int, path: str, at: int | None, most: int) -> Sequence[int]:
        """A chain of clusters up to its end; more than `most` of them, as in a loop, are damage."""
        end = (1 << min(self._bits, 28)) - 8
        chain = array("I")
        cluster = first
        while cluster < end or not chain:
            if not 2 <= cluster < self._clusters + 2:
                found = {0: "a free one", end - 1: "one that is marked as bad"}.get(cluster, f"{cluster:#x}")
                raise self._damage(path, f"a cluster of the volume's {self._clusters}", found, at)
            if len(chain) == most:
                raise self._damage(path, f"a chain of {most} clusters", "one that is longer, or a loop", at)
            chain.append(cluster)
            at = self._fats[0] + cluster * self._bits // 8
            cluster = self._next(cluster, path)
        return chain

    def read_clusters(self, chain: Sequence[int], offset: int, length: int) -> bytes:
        """Bytes of a chain, which must be long enough; clusters that lie together are read at once."""
        pieces = []
        while length:
            index, within = divmod(offset, self.cluster_size)
            start, stop = index, index + 1
            while (stop - start) * self.cluster_size - within < length and chain[stop] == chain[stop - 1] + 1:
                stop += 1
            piece = min(length, (stop - start) * self.cluster_size - within)
            at = self._first + (chain[start] - 2) * self.cluster_size + within
            pieces.append(self._source.read_at(at, piece))
            offset += piece
            length -= piece
        return b"".join(pieces)

    # -- folders -------------------------------------------------------------------------------

    def _records(self, folder: _Entry, path: str) -> Iterator[tuple[int, bytes]]:
        """The records of a folder with their offsets in the volume, up to the last one."""
        if folder.cluster:
            chain = self._chain(folder.cluster, path, folder.at, -(-MAX_FOLDER // self.cluster_size))
            areas = [(self._first + (each - 2) * self.cluster_size, self.cluster_size) for each in chain]
        elif folder is self._root:
            areas = [self._root_area]
        else:
            raise self._damage(path, "the first cluster of a folder", "none", folder.at)
        for start, size in areas:
            data = self._source.read_at(start, size)
            for offset in range(0, size, _ENTRY):
                if not data[offset]:
                    return
                yield start + offset, data[offset : offset + _ENTRY]

    def _read_folder(self, folder: _Entry, path: str) -> _Folder:
        if folder.cluster not in self._folders:
            self._folders[folder.cluster] = self._verified_folder(folder, path)
        return self._folders[folder.cluster]

    def _verified_folder(self, folder: _Entry, path: str) -> _Folder:
        entries: list[_Entry] = []
        long: list[bytes] = []
        fault: Unreadable | None = None
        own = None if folder is self._root else folder.cluster
        for at, record in self._records(folder, path):
            attributes = record[11] & _ATTRIBUTES
            deleted = record[0] == _DELETED
            if own is not None:
                # A folder begins with an entry for itself: the way to here was the right one.
                if record[:11] != b".          " or self._cluster(record) != own:
                    expected = f"the entry “.” of a folder in cluster {own}"
                    raise self._damage(path, expected, record[:11].hex(" "), at)
                own = None
            if attributes == _LONG_NAME and not deleted:
                long.append(record)
                continue
            name = None if deleted or attributes & _LABEL else _long_name(long, record)
            if long and name is None and fault is None:
                fault = self._damage(path, "a long name that belongs to the next entry", "another", at)
            long = []
            if deleted or attributes & _LABEL or record[:11] in (b".          ", b"..         "):
                continue
            short = _short_name(record)
            is_folder, size = bool(attributes & _FOLDER), unpack_at("<I", record, 28)[0]
            entries.append(_Entry(name or short, short, is_folder, self._cluster(record), size, at))
        if own is not None:
            raise self._damage(path, "the entry “.” of a folder", "an empty cluster", folder.at)
        if long and fault is None:
            fault = self._damage(path, "a long name that belongs to the next entry", "the folder's end")
        return _Folder(tuple(entries), fault)

    def _cluster(self, record: bytes) -> int:
        (high,), (low,) = unpack_at("<H", record, 20), unpack_at("<H", record, 26)
        # Before FAT32 the upper half was no part of it.
        return low | (high << 16 if self._bits == 32 else 0)

    def _find(self, path: str) -> _Entry | None:
        entry, walked = self._root, ""
        for part in path.split("\\") if path else ():
            if not entry.folder:
                return None
            listed, wanted = self._read_folder(entry, walked), upcase(part)
            found = [each for each in listed.entries if wanted in (upcase(each.name), upcase(each.short))]
            if len(found) > 1:
                raise self._damage(walked, f"one entry {part}", f"{len(found)} of them", found[1].at)
            if not found:
                if listed.fault:
                    raise listed.fault
                return None
            entry, walked = found[0], f"{walked}\\{part}".lstrip("\\")
        return entry

    # -- files ---------------------------------------------------------------------------------

    def size(self, path: str) -> int | None:
        """The size in bytes of a file, or None where it is verified that there is none; raises as `open`."""
        file = self.open(path)
        return None if file is None else file.size

    def open(self, path: str) -> "FatFile | None":
        """The file at a path below the root, or None where it is verified that there is none.

        Args:
            path: with backslashes and no leading one; names are compared without case, long and short.

        Raises:
            Unreadable: where the way there or its chain of clusters is damaged.
        """
        entry = self._find(path)
        if entry is None or entry.folder:
            return None
        count = -(-entry.size // self.cluster_size)
        if count > min(self._clusters, MAX_CLUSTERS):
            expected = f"a file of at most {min(self._clusters, MAX_CLUSTERS)} clusters"
            raise self._damage(path, expected, f"{entry.size} bytes", entry.at)
        # A file without content has no cluster at all.
        chain = self._chain(entry.cluster, path, entry.at, count) if count or entry.cluster else ()
        if len(chain) != count:
            expected = f"{count} clusters for {entry.size} bytes"
            raise self._damage(path, expected, f"a chain of {len(chain)}", entry.at)
        return FatFile(self, path, entry.size, chain)

    def is_folder(self, path: str) -> bool:
        """Whether there is a folder at a path below the root; raises as `open` does."""
        entry = self._find(path)
        return entry is not None and entry.folder

    def names(self, path: str) -> tuple[str, ...] | None:
        """The long names in a folder in the order that they are stored in, or None where there is none.

        Raises:
            Unreadable: where the way there or the folder is damaged.
        """
        entry = self._find(path)
        if entry is None or not entry.folder:
            return None
        listed = self._read_folder(entry, path)
        if listed.fault:
            raise listed.fault
        return tuple(each.name for each in listed.entries)


class FatFile:
    """The content of one file, whose chain of clusters verified; a `ByteSource`."""

    def __init__(self, volume: FatVolume, path: str, size: int, chain: Sequence[int]) -> None:
        self.partition = volume.partition
        self.path = _rooted(path)
        self.size = size
        self._volume = volume
        self._chain = chain

    def read_at(self, offset: int, length: int) -> bytes:
        """See `ByteSource`."""
        if offset < 0 or length < 0 or offset + length > self.size:
            raise beyond_end(Layer.FILE_SYSTEM, offset, length, self.size)
        return self._volume.read_clusters(self._chain, offset, length)


def _rooted(path: str) -> str:
    return "\\" + path


def _long_name(records: Sequence[bytes], short: bytes) -> str | None:
    """The long name that the records before a short entry spell, or None where they are not its."""
    count, checksum = len(records), 0
    for byte in short[:11]:
        checksum = ((checksum >> 1 | checksum << 7) + byte) & 0xFF
    numbers = [count | _LAST_LONG, *range(count - 1, 0, -1)]
    if not 1 <= count <= 20 or [each[0] for each in records] != numbers:
        return None
    if any(each[12] or each[13] != checksum or each[26] or each[27] for each in records):
        return None
    units = b"".join(each[1:11] + each[14:26] + each[28:32] for each in reversed(records))
    return units.decode("utf-16-le", "surrogatepass").partition("\0")[0] or None


def _short_name(record: bytes) -> str:
    """The name of the 8.3 form. Its code page is not stored; that of the United States is taken."""
    raw = (b"\xe5" if record[0] == 0x05 else record[:1]) + record[1:11]
    base, extension = (part.decode("cp437").rstrip(" ") for part in (raw[:8], raw[8:]))
    base = base.lower() if record[12] & _LOWER_BASE else base
    extension = extension.lower() if record[12] & _LOWER_EXTENSION else extension
    return f"{base}.{extension}" if extension else base
