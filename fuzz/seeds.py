"""The images that are mutated, and where in the file their structures lie.

All are built by the factory of test images. A seed that is `never_green` may not be judged deployable
whatever becomes of it: several independent things on its disk say that it is not.
"""

from __future__ import annotations

import contextlib
import struct
import tempfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cache, cached_property
from pathlib import Path

from tests.hostile import open_source, own_map
from tests.images import (
    CHILDREN_KEY,
    ENVIRONMENT_KEY,
    GENERALIZED_OOBE,
    SERVICING_KEY,
    SETUP_KEY,
    SETUP_LOG,
    SPECIALIZED_OOBE,
    STATE_INI,
    STATE_KEY,
    STATUS_KEY,
    SYSPREP_LOG,
    SYSPREP_STATUS_KEY,
    TAG,
    UNDEPLOYABLE,
    VERSION_KEY,
    DynamicVhd,
    Layout,
    Vhdx,
    Windows,
    build,
    disk_of,
    edited,
    generalized,
    installed,
    partitions,
    regf,
    undeployable,
    vhd,
    vhdx,
    with_state,
)
from tests.images.cache import cached, copy_of
from tests.images.containers import Container
from tests.images.windows import HIVE_FOLDER
from tests.mft import Volume, fixed, unfixed
from validator.disk.crc32c import crc32c
from validator.disk.partitions import read_partition_table
from validator.windows.hive_log import marvin32

KIB, MIB = 1 << 10, 1 << 20
SECTOR = 512
PAGE = 4096
Span = tuple[int, int]
"""Offset and length."""


@dataclass(frozen=True)
class Structure:
    """One structure of an image.

    `pieces` are its spans of the file, in its order; `hot` are the spans of the structure that mean
    something; `opened` gives the form in which it is mutated and `sealed` the form in which it is
    stored, its checksums right. `twin` names the group's other copy. Whoever seals a structure that
    `decides` has forged an image that says something else.
    """

    group: str
    name: str
    pieces: tuple[Span, ...]
    hot: tuple[Span, ...] = ()
    opened: Callable[[bytes], bytes] = bytes
    sealed: Callable[[bytes], bytes] | None = None
    twin: str | None = None
    decides: bool = False

    @property
    def size(self) -> int:
        """Length in bytes."""
        return sum(length for _, length in self.pieces)


@dataclass(frozen=True)
class Seed:
    """An image to mutate."""

    name: str
    path: Path
    """The file that is mutated."""
    never_green: bool
    deciding: frozenset[str] = frozenset()
    """Groups whose sealed mutants say something else."""
    judged: Path | None = None
    """The file that is judged, where it is another of the chain."""
    chain: tuple[Path, ...] = ()
    """All files of a chain of differencing disks."""
    mapped: bool = True
    """Whether the whole disk lies in this file."""

    @property
    def image(self) -> Path:
        """The file that is judged."""
        return self.judged or self.path

    @cached_property
    def size(self) -> int:
        """Length of the file."""
        return self.path.stat().st_size

    @cached_property
    def structures(self) -> dict[str, list[Structure]]:
        """All structures, by group."""
        found: dict[str, list[Structure]] = {}
        for each in _structures(self):
            decides = each.group in self.deciding
            found.setdefault(each.group, []).append(replace(each, decides=decides))
        return found


# --- which images there are ----------------------------------------------------------------------

STATES: dict[str, Callable[[], Windows]] = {
    "generalized": generalized,
    "undeployable": undeployable,
    "edited": edited,
    "specialized": lambda: with_state(installed(), SPECIALIZED_OOBE),
    "decoy": lambda: _decoy(),  # noqa: PLW0108 - it is defined below
}
CONTAINERS: dict[str, tuple[str | Container, str, int]] = {
    "vhd-fixed": ("vhd-fixed", "mbr", 512),
    "vhd-dynamic": ("vhd-dynamic", "mbr", 512),
    "vhd-shuffled": (DynamicVhd(order="shuffled"), "gpt", 512),
    "vhdx-fixed": ("vhdx-fixed", "gpt", 512),
    "vhdx-dynamic": ("vhdx-dynamic", "gpt", 512),
    "vhdx-shuffled": (Vhdx(order="shuffled"), "gpt", 512),
    "vhdx-4kn": (Vhdx(order="descending"), "gpt", 4096),
}
PENDING = ("pending-sector", "pending-bat", "dirty-hive")
CHAINS = ("child-vhdx", "parent-vhdx", "child-vhd", "parent-vhd")
FOREIGN = ("qcow2", "vmdk", "vdi")
NAMES = (
    *(f"{state}/{container}" for state in STATES for container in CONTAINERS),
    *(f"{state}/{container}" for state in ("generalized", "undeployable") for container in FOREIGN),
    *(PENDING + CHAINS) * 3,
)
"""Seeds by name, in the order in which a campaign goes over them; some more often than others."""


@cache
def seed(name: str) -> Seed:
    """The seed of a name, built if it is not in the factory's cache."""
    special = {
        "pending-sector": _pending_sector,
        "pending-bat": _pending_bat,
        "dirty-hive": _dirty_hive,
        **dict.fromkeys(CHAINS, _chain),
    }
    if name in special:
        return special[name](name)
    state, _, container = name.partition("/")
    if container in FOREIGN:
        path = build(disk_of(STATES[state]()), container)
        return Seed(name, path, never_green=state != "generalized", mapped=False)
    kind, scheme, sector_size = CONTAINERS[container]
    path = build(disk_of(STATES[state](), scheme, sector_size), kind)
    return Seed(name, path, never_green=state != "generalized")


def _decoy() -> Windows:
    r"""All says that it is ready, but the SOFTWARE hive; a good one lies in RegBack."""
    good = generalized()
    decoy = good.file(STATE_INI, b"")
    for hive in ("SOFTWARE", "SYSTEM"):
        decoy = decoy.file(rf"{HIVE_FOLDER}\RegBack\{hive}", good.hive(hive).build())
    for number in range(40):  # so that both folders have index nodes of their own
        decoy = decoy.file(rf"{HIVE_FOLDER}\filling{number:02}", b"")
        decoy = decoy.file(rf"{HIVE_FOLDER}\RegBack\filling{number:02}", b"")
    return decoy.software(STATE_KEY, ImageState=UNDEPLOYABLE).software(SERVICING_KEY, ImageState="")


def _other_state(data: bytes) -> bytes:
    """Bytes with ImageState turned from generalized to specialized, a text of the same length."""
    good, bad = (text.encode("utf-16-le") for text in (GENERALIZED_OOBE, SPECIALIZED_OOBE))
    assert good in data, "the state is not in there"
    return data.replace(good, bad)


def _state_offset(path: Path) -> int:
    """Where ImageState's text lies in a container whose blocks are in order."""
    data = path.read_bytes()
    return data.index(GENERALIZED_OOBE.encode("utf-16-le"))


def _log_entry(guid: bytes, file_size: int, writes: list[tuple[int, bytes]]) -> bytes:
    """A VHDX log entry ([MS-VHDX] 2.3.1) with data sectors, the only one of its log."""
    sequence = 7
    length = PAGE * (1 + len(writes))
    entry = struct.pack("<4sIIIQII", b"loge", 0, length, 0, sequence, len(writes), 0)
    entry += guid + struct.pack("<QQ", file_size, file_size)
    for target, data in writes:
        entry += b"desc" + data[-4:] + data[:8] + struct.pack("<QQ", target, sequence)
    entry = entry.ljust(PAGE, b"\0")
    for _, data in writes:
        entry += b"data" + struct.pack("<I", sequence >> 32) + data[8:-4] + struct.pack("<I", sequence)
    return _seal_crc(entry)


def _with_log(name: str, change: Callable[[bytearray], list[tuple[int, bytes]]]) -> Seed:
    """A generalized VHDX whose pending log says that it is specialized."""
    base = build(disk_of(generalized()), Vhdx(block_size=2 * MIB))
    guid = b"image-validator!"

    def make(target: Path) -> None:
        file = bytearray(base.read_bytes())
        writes = change(file)
        entry = _log_entry(guid, len(file), writes)
        file[vhdx.LOG_OFFSET : vhdx.LOG_OFFSET + len(entry)] = entry
        for at in vhdx.HEADER_OFFSETS:
            header = bytearray(file[at : at + vhdx.HEADER_SIZE])
            header[48:64] = guid
            file[at : at + len(header)] = vhdx.sealed(bytes(header))
        target.write_bytes(file)

    path = cached(("fuzz", name, base.name, 1), ".vhdx", make)
    return Seed(name, path, never_green=True, deciding=frozenset({"header", "log"}))


def _pending_sector(name: str) -> Seed:
    """The log writes the sector that holds ImageState."""

    def change(file: bytearray) -> list[tuple[int, bytes]]:
        writes = []
        wanted = GENERALIZED_OOBE.encode("utf-16-le")
        at = file.find(wanted)
        while at >= 0:
            page = at // PAGE * PAGE
            if at + len(wanted) <= page + PAGE and page not in [place for place, _ in writes]:
                writes.append((page, _other_state(bytes(file[page : page + PAGE]))))
            at = file.find(wanted, at + 1)
        return writes

    return _with_log(name, change)


def _pending_bat(name: str) -> Seed:
    """The log makes the BAT point at the block that holds the newer ImageState."""

    def change(file: bytearray) -> list[tuple[int, bytes]]:
        at = file.index(GENERALIZED_OOBE.encode("utf-16-le"))
        bat = bytearray(file[vhdx.BAT_OFFSET : vhdx.BAT_OFFSET + PAGE])
        for index in range(0, PAGE, 8):
            (entry,) = struct.unpack_from("<Q", bat, index)
            start = (entry >> 20) * MIB
            if entry & 7 == vhdx.FULLY_PRESENT and start <= at < start + 2 * MIB:
                struct.pack_into("<Q", bat, index, vhdx.FULLY_PRESENT | len(file) // MIB << 20)
                file += _other_state(bytes(file[start : start + 2 * MIB]))
        return [(vhdx.BAT_OFFSET, bytes(bat))]

    return _with_log(name, change)


def _dirty_hive(name: str) -> Seed:
    """A SOFTWARE hive that says generalized, and its log, which says specialized."""
    windows = generalized()
    hive = bytearray(windows.hive("SOFTWARE").build())
    (sequence,) = struct.unpack_from("<I", hive, 8)
    struct.pack_into("<I", hive, 4, sequence + 1)
    struct.pack_into("<I", hive, 508, regf.checksum(bytes(hive[:508])))
    base = bytearray(hive[:512])
    struct.pack_into("<II", base, 4, sequence + 1, sequence + 1)
    struct.pack_into("<I", base, 28, 6)
    struct.pack_into("<I", base, 508, regf.checksum(bytes(base)))
    state = regf.find_key(hive, STATE_KEY)
    page = _value_data(hive, state)[0][0] // PAGE * PAGE
    data = _other_state(bytes(hive[page : page + PAGE]))
    entry = struct.pack("<4sIIIII", b"HvLE", 0, 0, sequence + 1, len(hive) - PAGE, 1) + bytes(16)
    entry += struct.pack("<II", page - PAGE, PAGE) + data
    entry = _seal_hvle(entry.ljust(-(-len(entry) // SECTOR) * SECTOR, b"\0"))
    windows = (
        windows.without_hive("SOFTWARE")
        .file(rf"{HIVE_FOLDER}\SOFTWARE", bytes(hive))
        .file(rf"{HIVE_FOLDER}\SOFTWARE.LOG1", bytes(base) + entry)
    )
    path = build(disk_of(windows), "vhdx-dynamic")
    return Seed(name, path, never_green=True, deciding=frozenset({"base block", "hive log"}))


def _chain(name: str) -> Seed:
    """A differencing disk over an undeployable one, half of whose sectors are its own."""
    mutated, _, kind = name.partition("-")
    parent = build(disk_of(undeployable()), Vhdx() if kind == "vhdx" else DynamicVhd())

    def make(target: Path) -> None:
        with open_source(parent) as source:
            disk = own_map(source)
            changes = {}
            for offset in range(0, disk.size, 2 * PAGE):
                if any(data := disk.read_at(offset, min(PAGE, disk.size - offset))):
                    changes[offset] = data
        if kind == "vhdx":
            link = vhdx.Parent(parent, names={"relative_path": rf".\parent.{kind}"})
            vhdx.child_of(link, target, changes)
        else:
            vhd.child_of(vhd.Parent(parent, name=f"parent.{kind}"), target, changes)

    # A folder of its own: what lies beside an image may be its parent.
    child = cached(("fuzz", "chain", parent.name, 4), f".child-{kind}", make)
    folder = child.with_suffix(f".chain-{kind}")
    files = folder / f"child.{kind}", folder / f"parent.{kind}"
    if not folder.exists():
        with tempfile.TemporaryDirectory(dir=child.parent) as scratch:
            whole = Path(scratch) / "whole"
            whole.mkdir()
            for source, target in zip((child, parent), files):
                copy_of(source, whole, target.name).chmod(0o444)
            with contextlib.suppress(OSError):  # another run made it meanwhile
                whole.rename(folder)
    if mutated == "parent":
        return Seed(name, files[1], never_green=True, judged=files[0], chain=files)
    return Seed(name, files[0], never_green=True, chain=files, mapped=False)


# --- where their structures lie ------------------------------------------------------------------


def _seal_crc(structure: bytes) -> bytes:
    blank = structure[:4] + bytes(4) + structure[8:]
    return blank[:4] + crc32c(blank).to_bytes(4, "little") + blank[8:]


def _seal_hvle(entry: bytes) -> bytes:
    """Size and both hashes of a log entry of a hive."""
    entry = entry[:4] + len(entry).to_bytes(4, "little") + entry[8:]
    entry = entry[:24] + marvin32(entry[40:]).to_bytes(8, "little") + entry[32:]
    return entry[:32] + marvin32(entry[:32]).to_bytes(8, "little") + entry[40:]


def _seal_base_block(block: bytes) -> bytes:
    return block[:508] + regf.checksum(block).to_bytes(4, "little")


def _seal_gpt(sector_size: int, header_at: int, entries_at: int) -> Callable[[bytes], bytes]:
    """Both checksums of a GPT copy that lies in one span: header and entries."""

    def seal(copy: bytes) -> bytes:
        size = min(partitions.ENTRIES * partitions.ENTRY_SIZE, len(copy) - entries_at)
        crc = zlib.crc32(copy[entries_at : entries_at + size])
        header = bytearray(copy[header_at : header_at + 92])
        struct.pack_into("<I", header, 88, crc)
        result = bytearray(copy)
        result[header_at : header_at + 92] = partitions.seal_gpt_header(bytes(header))
        return bytes(result)

    return seal


def _seal_vhd(at: int) -> Callable[[bytes], bytes]:
    return lambda structure: vhd.sealed(structure, at)


def _unfixed(structure: bytes) -> bytes:
    try:
        return bytes(unfixed(structure))
    except (AssertionError, struct.error, IndexError):
        return structure


def _fixed(structure: bytes) -> bytes:
    try:
        return fixed(bytearray(structure))[: len(structure)]
    except (struct.error, IndexError):
        return structure


def _structures(seed: Seed) -> Iterator[Structure]:
    with seed.path.open("rb") as file:
        head = file.read(1024)
    if head[:8] == b"vhdxfile":
        yield from _vhdx_structures(seed)
        blocks = _vhdx_blocks
    elif seed.path.suffix in FOREIGN_STRUCTURES:
        yield from FOREIGN_STRUCTURES[seed.path.suffix](seed, head)
        return
    else:
        yield from _vhd_structures(seed)
        blocks = _vhd_blocks
    if seed.mapped:
        yield from _disk_structures(seed, blocks(seed))


def _qcow2_structures(seed: Seed, head: bytes) -> Iterator[Structure]:
    yield Structure("header", "header", ((0, 1024),), ((0, 112),))
    (cluster_bits,) = struct.unpack_from(">I", head, 20)
    entries, table = struct.unpack_from(">IQ", head, 36)
    yield Structure("L1", "L1 table", ((table, 8 * entries),))
    with seed.path.open("rb") as file:
        file.seek(table)
        for number, (entry,) in enumerate(struct.iter_unpack(">Q", file.read(8 * entries))):
            if at := entry & 0x00FFFFFFFFFFFE00:
                used = 8 * (seed.size >> cluster_bits) + 8
                yield Structure("L2", f"L2 table {number}", ((at, 1 << cluster_bits),), ((0, used),))


def _vmdk_structures(seed: Seed, head: bytes) -> Iterator[Structure]:
    yield Structure("header", "header", ((0, 512),), ((0, 80),))
    descriptor, length, _entries, copy, table = struct.unpack_from("<QQIQQ", head, 28)
    yield Structure("descriptor", "descriptor", ((descriptor * SECTOR, length * SECTOR),), ((0, 600),))
    with seed.path.open("rb") as file:
        for name, start in (("table", table), ("copy", copy)):
            yield Structure("directory", f"grain directory ({name})", ((start * SECTOR, 16),))
            file.seek(start * SECTOR)
            (first,) = struct.unpack("<I", file.read(4))
            if first:
                yield Structure("grains", f"grain table ({name})", ((first * SECTOR, 2048),))


def _vdi_structures(seed: Seed, head: bytes) -> Iterator[Structure]:
    yield Structure("header", "header", ((0, 512),), ((0x40, 0x190),))
    (table,) = struct.unpack_from("<I", head, 0x154)
    (count,) = struct.unpack_from("<I", head, 0x180)
    yield Structure("BAT", "block map", ((table, 4 * count),))


FOREIGN_STRUCTURES = {".qcow2": _qcow2_structures, ".vmdk": _vmdk_structures, ".vdi": _vdi_structures}
"""By the ending of the file's name."""


def _vhdx_structures(seed: Seed) -> Iterator[Structure]:
    layout = Layout.read(seed.path)
    yield Structure("identifier", "file type identifier", ((0, 520),))
    for index, at in enumerate(vhdx.HEADER_OFFSETS):
        twin = f"header {2 - index}"
        pieces = ((at, vhdx.HEADER_SIZE),)
        yield Structure("header", f"header {index + 1}", pieces, ((0, 80),), sealed=_seal_crc, twin=twin)
    for index, at in enumerate(vhdx.REGION_TABLE_OFFSETS):
        twin = f"region table {2 - index}"
        pieces = ((at, vhdx.REGION_TABLE_SIZE),)
        name = f"region table {index + 1}"
        yield Structure("region table", name, pieces, ((0, 112),), sealed=_seal_crc, twin=twin)
    hot = ((0, 224), (64 * KIB, 600))
    yield Structure("metadata", "metadata", ((layout.metadata_offset, 66 * KIB),), hot)
    entries = 8 * max(layout.bat_entries, 0 if seed.mapped else layout.chunk_ratio + 1)
    hot = ((0, 8 * min(layout.block_count, 64)), (entries - 8, 8))
    yield Structure("BAT", "BAT", ((layout.bat_offset, entries),), hot)
    if not seed.mapped:
        with seed.path.open("rb") as file:
            file.seek(layout.bat_offset + 8 * layout.chunk_ratio)
            (entry,) = struct.unpack("<Q", file.read(8))
        yield Structure("bitmap", "sector bitmap", (((entry >> 20) * MIB, 4 * KIB),))
    with seed.path.open("rb") as file:
        file.seek(vhdx.LOG_OFFSET)
        head = file.read(PAGE)
    if head[:4] == b"loge":
        (length,) = struct.unpack_from("<I", head, 8)
        pieces = ((vhdx.LOG_OFFSET, length),)
        hot = ((0, 128), (PAGE, 16), (length - 16, 16))
        yield Structure("log", "log entry", pieces, hot, sealed=_seal_crc)


def _vhd_structures(seed: Seed) -> Iterator[Structure]:
    seal = _seal_vhd(vhd.FOOTER_CHECKSUM)
    end = seed.size - vhd.FOOTER_SIZE
    is_dynamic = _vhd_kind(seed.path) != vhd.FIXED
    twin = "footer copy" if is_dynamic else None
    yield Structure("footer", "footer", ((end, 512),), ((0, 86),), sealed=seal, twin=twin)
    if not is_dynamic:
        return
    yield Structure("footer", "footer copy", ((0, 512),), ((0, 86),), sealed=seal, twin="footer")
    sealed = _seal_vhd(vhd.DYNAMIC_HEADER_CHECKSUM)
    yield Structure("dynamic header", "dynamic header", ((512, 1024),), ((0, 64),), sealed=sealed)
    table, entries, block_size, _ = _vhd_table(seed.path)
    yield Structure("BAT", "BAT", ((table, 4 * len(entries)),))
    for number, sector in enumerate(entries):
        if sector != vhd.ABSENT_BLOCK:
            size = -(-block_size // SECTOR // 8 // SECTOR) * SECTOR
            yield Structure("bitmap", f"bitmap of block {number}", ((sector * SECTOR, size),))


def _vhd_kind(path: Path) -> int:
    with path.open("rb") as file:
        file.seek(-vhd.FOOTER_SIZE + 60, 2)
        return int.from_bytes(file.read(4), "big")


def _vhd_table(path: Path) -> tuple[int, list[int], int, int]:
    """Offset of the BAT, its entries, the block size and the size of a block's bitmap."""
    with path.open("rb") as file:
        header = file.read(1536)[512:]
        table, _version, count, block_size = struct.unpack_from(">QIII", header, 16)
        file.seek(table)
        entries = list(struct.unpack(f">{count}I", file.read(4 * count)))
    return table, entries, block_size, -(-block_size // SECTOR // 8 // SECTOR) * SECTOR


Blocks = Callable[[int, int], "tuple[Span, ...]"]
"""Spans of the file that hold a span of the disk; nothing for what is in no block."""


def _in_blocks(size: int, place: Callable[[int], int | None]) -> Blocks:
    def pieces(offset: int, length: int) -> tuple[Span, ...]:
        found = []
        while length:
            block, within = divmod(offset, size)
            piece = min(length, size - within)
            if (start := place(block)) is not None:
                found.append((start + within, piece))
            offset += piece
            length -= piece
        return tuple(found)

    return pieces


def _vhdx_blocks(seed: Seed) -> Blocks:
    layout = Layout.read(seed.path)
    data = seed.path.read_bytes()

    def place(block: int) -> int | None:
        (entry,) = struct.unpack_from("<Q", data, layout.bat_entry_offset(block))
        return (entry >> 20) * MIB if entry & 7 == vhdx.FULLY_PRESENT else None

    return _in_blocks(layout.block_size, place)


def _vhd_blocks(seed: Seed) -> Blocks:
    if _vhd_kind(seed.path) == vhd.FIXED:
        return lambda offset, length: ((offset, length),)
    _, entries, block_size, bitmap = _vhd_table(seed.path)
    return _in_blocks(
        block_size,
        lambda block: entries[block] * SECTOR + bitmap if entries[block] != vhd.ABSENT_BLOCK else None,
    )


def _disk_structures(seed: Seed, blocks: Blocks) -> Iterator[Structure]:
    with tempfile.TemporaryDirectory(prefix="fuzz-") as scratch, open_source(seed.path) as source:
        disk = own_map(source)
        table = read_partition_table(disk)  # type: ignore[arg-type]
        raw = Path(scratch) / "disk.raw"
        with raw.open("wb") as file:
            for offset in range(0, disk.size, MIB):
                file.seek(offset)
                piece = disk.read_at(offset, min(MIB, disk.size - offset))
                if any(piece):
                    file.write(piece)
            file.truncate(disk.size)
        yield Structure("MBR", "MBR", blocks(0, 512), ((440, 72),))
        if table.scheme == "gpt":
            yield from _gpt_structures(disk.size, table.sector_size, blocks)
        for partition in table.partitions:
            if disk.read_at(partition.offset, 11)[3:] == b"NTFS    ":
                volume = Volume(raw, partition.offset)
                if HIVE_FOLDER.lower() in volume.numbers:
                    yield from _ntfs_structures(volume, blocks)


def _gpt_structures(size: int, sector: int, blocks: Blocks) -> Iterator[Structure]:
    array = partitions.ENTRIES * partitions.ENTRY_SIZE
    seal = _seal_gpt(sector, 0, sector)
    hot = ((0, 92), (sector, 512))
    pieces = blocks(sector, sector + array)
    yield Structure("GPT", "primary GPT", pieces, hot, sealed=seal, twin="backup GPT")
    pieces = blocks(size - sector - array, sector + array)
    if sum(length for _, length in pieces) == sector + array:
        # The backup has its entries first; in the structure its header comes first, as in the primary.
        header = blocks(size - sector, sector)
        pieces = header + blocks(size - sector - array, array)
        yield Structure("GPT", "backup GPT", pieces, hot, sealed=seal, twin="primary GPT")


FILES = (
    rf"{HIVE_FOLDER}\SOFTWARE", rf"{HIVE_FOLDER}\SYSTEM", rf"{HIVE_FOLDER}\SOFTWARE.LOG1",
    rf"{HIVE_FOLDER}\RegBack\SOFTWARE", STATE_INI, TAG, SYSPREP_LOG, SETUP_LOG,
)  # fmt: skip
KEYS = {
    "SOFTWARE": (STATE_KEY, SERVICING_KEY, VERSION_KEY),
    "SYSTEM": (SETUP_KEY, STATUS_KEY, SYSPREP_STATUS_KEY, CHILDREN_KEY, ENVIRONMENT_KEY, "Select"),
}


def _ntfs_structures(volume: Volume, blocks: Blocks) -> Iterator[Structure]:
    yield Structure("boot sector", "boot sector", blocks(volume.start, 512), ((0, 90), (508, 4)))
    size = volume.record_size
    names = {0: "$MFT", 1: "$MFTMirr", 2: "$LogFile", 3: "$Volume", 5: "root"}
    folders = {""}
    for path in FILES:
        if path.lower() in volume.numbers:
            names[volume.numbers[path.lower()]] = path
            while path:
                path = path.rpartition("\\")[0]
                folders.add(path.lower())
                names.setdefault(volume.numbers[path.lower()], path)
    (mirror,) = volume.runs(volume.record(1), 0x80)
    for number, name in names.items():
        hot = ((0, 64), (56, 512))
        twin = f"mirror of {name}" if number < 4 else None
        pieces = blocks(volume.offset_of(number), size)
        yield Structure("record", f"record of {name}", pieces, hot, _unfixed, _fixed, twin)
        if twin:
            at = volume.start + mirror[0] * volume.cluster_size + number * size
            pieces = blocks(at, size)
            yield Structure("record", twin, pieces, hot, _unfixed, _fixed, f"record of {name}")
    for folder in sorted(folders):
        for at in volume.index_buffers(folder):
            pieces = blocks(at, volume.cluster_size)
            yield Structure("index", f"index of {folder or 'root'}", pieces, (), _unfixed, _fixed)
    for path in FILES:
        try:
            at = volume.content_offset(path)
        except (AssertionError, LookupError, struct.error):
            continue  # not there, or resident in its record
        record = volume.record(volume.numbers[path.lower()])
        length = _data_size(record)
        with volume.path.open("rb") as file:
            file.seek(at)
            content = file.read(length)
        name = path.rpartition("\\")[2]
        if content[:4] == b"regf" and "LOG" not in name:
            if "RegBack" not in path:
                yield from _hive_structures(name, content, lambda a, n, at=at: blocks(at + a, n))
        elif content[:4] == b"regf":
            yield Structure("hive log", f"{name} base block", blocks(at, 512), (), sealed=_seal_base_block)
            entry = blocks(at + 512, length - 512)
            yield Structure("hive log", f"{name} entry", entry, ((0, 64),), sealed=_seal_hvle)
        else:
            yield Structure("text", name, blocks(at, length))


def _data_size(record: bytearray) -> int:
    from tests.mft import DATA, find

    return struct.unpack_from("<Q", record, find(record, DATA).at + 48)[0]


def _hive_structures(name: str, hive: bytes, blocks: Blocks) -> Iterator[Structure]:
    yield Structure("base block", f"{name} base block", blocks(0, 512), (), sealed=_seal_base_block)
    found: set[Span] = set()
    for key in KEYS[name]:
        for path in _prefixes(key):
            try:
                node = regf.find_key(hive, path)
            except KeyError:
                continue
            found.add((node - 4, _cell_size(hive, node)))
            (lists,) = struct.unpack_from("<I", hive, node + 28)
            if lists != regf.NONE:
                found.add((PAGE + lists, _cell_size(hive, PAGE + lists + 4)))
            found.update(_value_data(hive, node))
    for at, size in sorted(found):
        yield Structure("cell", f"{name} cell at {at:#x}", blocks(at, size))
    for page in sorted({at // PAGE * PAGE for at, _ in found}):
        yield Structure("page", f"{name} page at {page:#x}", blocks(page, PAGE))
        if hive[page : page + 4] == b"hbin":
            yield Structure("bin", f"{name} bin at {page:#x}", blocks(page, 32))


def _prefixes(key: str) -> Iterator[str]:
    yield ""
    for end in [index for index, letter in enumerate(key) if letter == "\\"]:
        yield key[:end]
    yield key


def _cell_size(hive: bytes | bytearray, content: int) -> int:
    return abs(struct.unpack_from("<i", hive, content - 4)[0])


def _value_data(hive: bytes | bytearray, node: int) -> list[Span]:
    """Cells of the values of a key: data of each first, then the values, then their list."""
    count, lists = struct.unpack_from("<II", hive, node + 36)
    if not count or lists == regf.NONE:
        return []
    cells: list[Span] = []
    data: list[Span] = []
    for (value,) in struct.iter_unpack("<I", hive[PAGE + lists + 4 : PAGE + lists + 4 + 4 * count]):
        at = PAGE + value + 4
        cells.append((at - 4, _cell_size(hive, at)))
        length, content = struct.unpack_from("<II", hive, at + 4)
        if length and not length & 0x80000000:
            data.append((PAGE + content, _cell_size(hive, PAGE + content + 4)))
    return [*data, *cells, (PAGE + lists, _cell_size(hive, PAGE + lists + 4))]


def spans(structures: Iterable[Structure]) -> Iterator[Span]:
    """All spans of structures."""
    for each in structures:
        yield from each.pieces


__all__ = ["NAMES", "Seed", "Structure", "copy_of", "seed", "spans"]
