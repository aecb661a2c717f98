"""FAT: what mtools and dissect.fat read is what we read, and damage on the way to a file is refused.

FAT has no checksum over anything. Each row patches one field of a volume made by mkfs.fat and mtools.
"""

from __future__ import annotations

import contextlib
import io
import random
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.hostile import Bytes, MiB, content, need, open_image, refuses
from tests.images import Esp, Fat, MissingTool, build, generalized
from tests.images.factory import disk_of
from validator.disk.fat import FatVolume
from validator.disk.partitions import read_partition_table
from validator.disk.volumes import VolumeKind, read_volumes, window
from validator.evidence import Layer, Unreadable

KiB = 1 << 10
LONG = r"EFI\Grain, a long name with small letters.configuration"
SECOND = r"EFI\Boot\bootx64.efi"
"""The file that the rows of damage look for; it has 9 clusters of 512 bytes."""
FILES = {
    r"EFI\Microsoft\Boot\BCD": random.Random(1).randbytes(40 * KiB),
    SECOND: random.Random(2).randbytes(4500),
    LONG: b"long",
    r"EFI\lower.txt": b"lower case in the short name",
    r"EFI\Empty": b"",
    r"EFI\Exact": bytes(range(256)) * 4,
    **{rf"EFI\many\entry number {index:03} of many": bytes([index]) for index in range(200)},
}

Change = Callable[[bytearray], object]


def made(bits: int, sector_size: int = 512, size: int = 0) -> bytes:
    """A volume with the files in it."""
    size = size or {12: MiB, 16: 8 * MiB, 32: 40 * MiB}[bits] * (sector_size // 512)
    key = bits, sector_size, size
    if key not in _MADE:
        with tempfile.TemporaryDirectory() as folder:
            target = Path(folder) / "volume"
            try:
                Fat(FILES, bits=bits, size=size).write(target, sector_size, 0)
            except MissingTool as missing:
                pytest.skip(str(missing))
            _MADE[key] = target.read_bytes()
    return _MADE[key]


_MADE: dict[tuple[int, int, int], bytes] = {}


def volume(data: bytes | bytearray) -> FatVolume:
    """The volume as our reader opens it."""
    return FatVolume(Bytes(bytes(data)), 1)


def read(data: bytes | bytearray, path: str = SECOND) -> bytes | None:
    """The content of a file."""
    file = volume(data).open(path)
    return None if file is None else content(file)


def by_dissect(data: bytes, path: str) -> bytes:
    """The content of a file as dissect.fat reads it."""
    from dissect.fat import FATFS

    return bytes(FATFS(io.BytesIO(data)).get(path).open().read())


def by_mtools(data: bytes, path: str, folder: Path) -> bytes:
    """The content of a file as mtools read it."""
    image = folder / "volume"
    image.write_bytes(data)
    command = [need("mtype"), "-i", image, "::/" + path.replace("\\", "/")]
    environment = {"MTOOLS_SKIP_CHECK": "1", "LC_ALL": "C.UTF-8", "PATH": "/usr/bin:/bin"}
    return subprocess.run(command, capture_output=True, check=True, env=environment).stdout


# --- sound volumes -------------------------------------------------------------------------------


@pytest.mark.parametrize(("bits", "sector_size"), [(12, 512), (16, 512), (32, 512), (12, 4096), (16, 1024)])
def test_every_file_is_what_was_put_in(bits: int, sector_size: int) -> None:
    """By its name, in any case."""
    ours = volume(made(bits, sector_size))
    for path, data in FILES.items():
        for asked in (path, path.upper(), path.lower()):
            file = ours.open(asked)
            assert file is not None, asked
            assert (file.path, file.partition, file.size) == ("\\" + asked, 1, len(data))
            assert content(file) == data


@pytest.mark.parametrize("bits", [12, 16, 32])
def test_other_readers_agree(bits: int, tmp_path: Path) -> None:
    """With mtools and with dissect.fat; the one is C, the other shares no code with us either."""
    data = made(bits)
    for path in (r"EFI\Microsoft\Boot\BCD", SECOND, LONG, r"EFI\lower.txt", r"EFI\Exact"):
        mine = read(data, path)
        assert mine == by_mtools(data, path, tmp_path) == by_dissect(data, path)


def test_names_of_a_folder() -> None:
    """Long names, in the case that they were written in; nothing else."""
    ours = volume(made(32))
    assert ours.names("") == ("EFI",)
    assert sorted(ours.names("efi") or ()) == sorted(
        {path.split("\\")[1] for path in FILES} | {"Microsoft", "Boot", "many"}
    )
    assert len(ours.names(r"EFI\many") or ()) == 200
    assert ours.names(SECOND) is None
    assert ours.names("nothing") is None


@pytest.mark.parametrize("bits", [12, 16, 32])
def test_folders_and_what_is_not_there(bits: int) -> None:
    """A folder is no file, a file no folder; dots and the label name nothing."""
    ours = volume(made(bits))
    assert [ours.is_folder(path) for path in ("", "EFI", r"efi\BOOT", SECOND, "nothing")] == [
        True, True, True, False, False,
    ]  # fmt: skip
    for path in ("", "EFI", "nothing", r"EFI\nothing", rf"{SECOND}\below", r"EFI\.", r"EFI\..", "DATA"):
        assert ours.open(path) is None, path


def test_short_alias_of_a_long_name() -> None:
    """As Windows finds it."""
    ours = volume(made(32))
    assert ours.is_folder(r"EFI\MICROS~1")
    assert ours.names(r"EFI\MICROS~1") == ("Boot",)


def test_beyond_the_end() -> None:
    """A read that leaves the file is an error, not a short one."""
    file = volume(made(32)).open(SECOND)
    assert file is not None
    assert file.read_at(4500, 0) == b""
    assert file.read_at(511, 2) == FILES[SECOND][511:513]
    assert file.read_at(700, 3000) == FILES[SECOND][700:3700]
    for span in ((4499, 2), (-1, 1), (0, -1), (4501, 0)):
        evidence = refuses(lambda span=span: file.read_at(*span), Layer.FILE_SYSTEM)
        assert "4500" in evidence.expected


@pytest.mark.parametrize("sector_size", [512, 4096])
def test_the_volume_of_a_disk(sector_size: int) -> None:
    """The EFI system partition of an image of the factory, through container and partition table."""
    disk = disk_of(generalized(), sector_size=sector_size)
    try:
        image = build(disk)
    except MissingTool as missing:
        pytest.skip(str(missing))
    with open_image(image) as opened:
        volumes = read_volumes(opened, read_partition_table(opened))
        (found,) = [each for each in volumes if each.kind is VolumeKind.FAT]
        ours = FatVolume(window(opened, found.partition), found.partition.number)
        for file in Esp().files:
            mine = ours.open(file.path)
            assert mine is not None, file.path
            assert content(mine) == file.bytes
        assert ours.cluster_size == sector_size


def test_small_fat32() -> None:
    """Below 65,525 clusters it is FAT32 still: that is how Windows and UEFI firmware read it."""
    data = bytearray(made(32))
    struct.pack_into("<I", data, 32, 40_000)
    assert read(data) == FILES[SECOND]


def test_letters_that_are_not_ascii() -> None:
    """Without case, and the sharp s stays one letter; mtools cannot write them where the tests run."""
    data = bytearray(made(32))
    at = bytes(data).index("Grain".encode("utf-16-le"))
    data[at : at + 10] = "Größe".encode("utf-16-le")
    for name in ("größe", "GRÖßE"):
        assert read(data, LONG.replace("Grain", name)) == b"long"
    assert read(data, LONG.replace("Grain", "GRÖSSE")) is None
    assert LONG.replace("Grain", "Größe")[4:] in (volume(data).names("EFI") or ())


# --- where things lie ----------------------------------------------------------------------------


class Layout:
    """Where the structures of a volume lie, computed apart from the reader."""

    def __init__(self, data: bytes | bytearray, bits: int) -> None:
        """From the boot sector."""
        self.bits = bits
        self.sector, self.per_cluster, self.reserved, self.copies, entries = struct.unpack_from(
            "<HBHBH", data, 11
        )
        self.fat_sectors = (
            struct.unpack_from("<I", data, 36)[0] if bits == 32 else struct.unpack_from("<H", data, 22)[0]
        )
        self.data_at = (self.reserved + self.copies * self.fat_sectors) * self.sector + entries * 32

    def set(self, data: bytearray, cluster: int, value: int, copies: tuple[int, ...] = (0, 1)) -> None:
        """Change what follows a cluster."""
        for copy in copies:
            at = (self.reserved + copy * self.fat_sectors) * self.sector + cluster * self.bits // 8
            if self.bits == 12:
                (old,) = struct.unpack_from("<H", data, at)
                new = old & 0x000F | value << 4 if cluster & 1 else old & 0xF000 | value & 0xFFF
                struct.pack_into("<H", data, at, new & 0xFFFF)
            else:
                layout, mask = ("<H", 0xFFFF) if self.bits == 16 else ("<I", 0x0FFFFFFF)
                struct.pack_into(layout, data, at, value & mask)

    def at(self, cluster: int) -> int:
        """Offset of a cluster."""
        return self.data_at + (cluster - 2) * self.sector * self.per_cluster


def entry_of(data: bytes | bytearray, short: bytes) -> int:
    """Offset of the entry with a short name of 11 bytes."""
    at = bytes(data).find(short)
    assert at > 0
    assert at % 32 == 0
    assert bytes(data).find(short, at + 1) < 0
    return at


def first_cluster(data: bytes | bytearray, short: bytes) -> int:
    """The first cluster of the file with this short name."""
    at = entry_of(data, short)
    high, low = struct.unpack_from("<H", data, at + 20)[0], struct.unpack_from("<H", data, at + 26)[0]
    return int(high << 16 | low)


LOADER = b"BOOTX64 EFI"

# --- fragments -----------------------------------------------------------------------------------


@pytest.mark.parametrize("bits", [12, 16, 32])
@pytest.mark.parametrize("order", ["backward", "shuffled", "far"])
def test_fragmented_file(bits: int, order: str, tmp_path: Path) -> None:
    """Clusters in any order. dissect.fat 3.13 takes a step back by one for a run that goes on."""
    data = bytearray(made(bits))
    layout, first = Layout(data, bits), first_cluster(data, LOADER)
    old = list(range(first, first + 9))
    new = {"backward": old[::-1], "shuffled": random.Random(3).sample(old, 9)}.get(order)
    new = new or [1000 + 7 * index for index in range(9)]
    pieces = [bytes(data[layout.at(each) : layout.at(each) + 512]) for each in old]
    for cluster, piece in zip(new, pieces):
        data[layout.at(cluster) : layout.at(cluster) + 512] = piece
    for cluster, following in zip(new, [*new[1:], 0xFFFFFFF]):
        layout.set(data, cluster, following)
    struct.pack_into("<H", data, entry_of(data, LOADER) + 26, new[0])
    assert read(data) == FILES[SECOND] == by_mtools(data, SECOND, tmp_path)
    assert by_dissect(made(bits), SECOND) == FILES[SECOND]


# --- damage --------------------------------------------------------------------------------------


def field(at: int, layout: str, value: int) -> Change:
    """Change a field of the boot sector."""
    return lambda data: struct.pack_into(layout, data, at, value)


BOOT = {
    "signature": (field(510, "<H", 0), "55 aa", 510),
    "sector-size-0": (field(11, "<H", 0), "512 to 4096", 11),
    "sector-size-513": (field(11, "<H", 513), "512 to 4096", 11),
    "sector-size-8192": (field(11, "<H", 8192), "512 to 4096", 11),
    "cluster-0": (field(13, "<B", 0), "1 to 128 sectors", 11),
    "cluster-3": (field(13, "<B", 3), "1 to 128 sectors", 11),
    "no-reserved": (field(14, "<H", 0), "inside the volume", 14),
    "no-fat": (field(16, "<B", 0), "inside the volume", 14),
    "three-fats": (field(16, "<B", 3), "inside the volume", 14),
    "root-entries-of-fat32": (field(17, "<H", 16), "inside the volume", 14),
    "no-sectors": (field(32, "<I", 0), "within the volume", 32),
    "more-sectors": (field(32, "<I", 40 * MiB // 512 + 1), "within the volume", 32),
    "few-sectors": (field(32, "<I", 600), "inside the volume", 14),
    "fat-of-nothing": (field(36, "<I", 0), "inside the volume", 14),
    "fat-too-small": (field(36, "<I", 300), "a FAT of", 36),
    "fat-beyond": (field(36, "<I", 0x7FFFFFFF), "inside the volume", 14),
    "active-fat": (field(40, "<H", 0x82), "to be active", 40),
    "version": (field(42, "<H", 1), "version 0.0", 42),
    "root-0": (field(44, "<I", 0), "root folder", 44),
    "root-beyond": (field(44, "<I", 0x0FFFFFF0), "root folder", 44),
}


@pytest.mark.parametrize("name", BOOT)
def test_boot_sector(name: str) -> None:
    """Each field that the way to a file rests on."""
    change, expected, offset = BOOT[name]
    data = bytearray(made(32))
    change(data)
    evidence = refuses(lambda: volume(data), Layer.FILE_SYSTEM)
    assert expected in evidence.expected
    assert evidence.where.offset == offset


def test_too_many_clusters_for_16_bits() -> None:
    """A FAT16 that has as many as only a FAT32 may have."""
    data = bytearray(made(32))
    fat = struct.unpack_from("<I", data, 36)[0]
    struct.pack_into("<H", data, 17, 512)
    struct.pack_into("<H", data, 22, fat)
    assert "this kind" in refuses(lambda: volume(data)).expected


def test_no_volume() -> None:
    """Less than a boot sector, and nothing."""
    for data in (b"", bytes(511), bytes(512), b"\xff" * 4096):
        refuses(lambda data=data: volume(data), Layer.FILE_SYSTEM)


def cluster(index: int, value: int, copies: tuple[int, ...] = (0, 1)) -> Callable[[bytearray, int], object]:
    """Change what follows a cluster of the file."""

    def change(data: bytearray, bits: int) -> None:
        Layout(data, bits).set(data, first_cluster(data, LOADER) + index, value, copies)

    return change


def loop(data: bytearray, bits: int) -> None:
    """The chain of the file comes back to its beginning."""
    Layout(data, bits).set(data, first_cluster(data, LOADER) + 8, first_cluster(data, LOADER))


def loop_to_itself(data: bytearray, bits: int) -> None:
    """The first cluster of the file follows itself."""
    Layout(data, bits).set(data, first_cluster(data, LOADER), first_cluster(data, LOADER))


def longer(data: bytearray, bits: int) -> None:
    """The chain of the file has one cluster more than it needs."""
    layout, last = Layout(data, bits), first_cluster(data, LOADER) + 8
    layout.set(data, last, 1500)
    layout.set(data, 1500, 0xFFFFFFF)


def in_entry(at: int, layout: str, value: int, short: bytes = LOADER) -> Callable[[bytearray, int], object]:
    """Change a field of an entry."""
    return lambda data, bits: struct.pack_into(layout, data, entry_of(data, short) + at, value)


CHAINS: dict[str, tuple[Callable[[bytearray, int], object], str]] = {
    "loop": (loop, "a chain of 9"),
    "loop-to-itself": (loop_to_itself, "a chain of 9"),
    "too-long": (longer, "a chain of 9"),
    "too-short": (cluster(7, 0xFFFFFFF), "9 clusters for 4500 bytes"),
    "free": (cluster(3, 0), "a cluster of the volume"),
    "reserved": (cluster(3, 1), "a cluster of the volume"),
    "bad": (cluster(3, 0xFFFFFF7), "a cluster of the volume"),
    "beyond": (cluster(3, 0xFFFFFE0), "a cluster of the volume"),
    "copies-differ": (cluster(3, 1500, copies=(1,)), "in both FATs"),
    "no-first-cluster": (in_entry(26, "<H", 0), "a cluster of the volume"),
    "larger": (in_entry(28, "<I", 4609), "10 clusters"),
    "smaller": (in_entry(28, "<I", 4096), "a chain of 8"),
    "no-size": (in_entry(28, "<I", 0), "a chain of 0"),
    "huge": (in_entry(28, "<I", 0xFFFFFFFF), "a file of at most"),
}


@pytest.mark.parametrize("bits", [12, 16, 32])
@pytest.mark.parametrize("name", CHAINS)
def test_chain(bits: int, name: str) -> None:
    """Clusters in bounds, without a loop, and as many as the size needs. Refused soon."""
    change, expected = CHAINS[name]
    data = bytearray(made(bits))
    change(data, bits)
    began = time.monotonic()
    evidence = refuses(lambda: read(data), Layer.FILE_SYSTEM)
    assert time.monotonic() - began < 2
    assert expected in evidence.expected
    assert evidence.where.path == "\\" + SECOND
    assert evidence.where.partition == 1


def test_first_cluster_beyond() -> None:
    """Also one that would end a chain of clusters: an entry may not begin with it."""
    for high in (0x0FFF, 0xFFFF):
        data = bytearray(made(32))
        at = entry_of(data, LOADER)
        struct.pack_into("<H", data, at + 20, high)
        struct.pack_into("<H", data, at + 26, 0xFFFF)
        assert "a cluster of the volume" in refuses(lambda data=data: read(data)).expected


def test_loop_of_a_folder() -> None:
    """Refused when a folder can have no more entries."""
    data = bytearray(made(32))
    first = first_cluster(data, b"MANY       ")
    layout = Layout(data, 32)
    for at in range(layout.at(first), layout.at(first) + 512, 32):
        data[at : at + 1] = data[at : at + 1].replace(b"\0", b"\xe5")
    layout.set(data, first, first)
    began = time.monotonic()
    evidence = refuses(lambda: volume(data).names(r"EFI\many"), Layer.FILE_SYSTEM)
    assert time.monotonic() - began < 2
    assert evidence.where.path == r"\EFI\many"
    assert "loop" in evidence.found


def test_folder_of_another() -> None:
    """A folder says which one it is; the way into a foreign one is refused, and one into nothing."""
    file = first_cluster(made(32), LOADER)
    for cluster_number, expected in ((0, "first cluster"), (file, "“.”"), (1, "a cluster of")):
        data = bytearray(made(32))
        struct.pack_into("<H", data, entry_of(data, b"MICROS~1   ") + 26, cluster_number)
        evidence = refuses(lambda data=data: read(data, r"EFI\Microsoft\Boot\BCD"), Layer.FILE_SYSTEM)
        assert expected in evidence.expected
    data = bytearray(made(32))
    struct.pack_into("<H", data, entry_of(data, b"MICROS~1   ") + 26, first_cluster(data, b"MANY       "))
    assert read(data, r"EFI\Microsoft\entry number 007 of many") == b"\x07"  # cross-linked as a whole
    struct.pack_into("<H", data, Layout(data, 32).at(first_cluster(data, b"MANY       ")) + 26, 99)
    assert "“.”" in refuses(lambda: volume(data).names(r"EFI\many")).expected


def test_torn_long_name() -> None:
    """What is found by its short name stays found; absence and lists are not believed any more."""
    data = bytearray(made(32))
    at = entry_of(data, b"MICROS~1   ")
    data[at - 32 + 13] ^= 1  # the checksum that ties the long name to the short one
    ours = volume(data)
    assert ours.is_folder(r"EFI\MICROS~1")
    assert ours.open(r"EFI\lower.txt") is not None
    for ask in (
        lambda: ours.open(r"EFI\Microsoft\Boot\BCD"),
        lambda: ours.open(r"EFI\nothing"),
        lambda: ours.names("EFI"),
    ):
        evidence = refuses(ask, Layer.FILE_SYSTEM)
        assert "long name" in evidence.expected
        assert evidence.where.offset == at


def test_two_of_one_name() -> None:
    """Readers differ in which they take."""
    data = bytearray(made(32))
    at = entry_of(data, b"EXACT      ")
    other = entry_of(data, b"EMPTY      ")
    data[at : at + 11], data[at - 32 : at] = data[other : other + 11], b"\xe5" * 32
    data[other - 32 : other] = b"\xe5" * 32
    assert "one entry EMPTY" in refuses(lambda: read(data, r"EFI\EMPTY")).expected


def test_mirroring_switched_off() -> None:
    """Then the FAT that is active counts alone."""
    data = bytearray(made(32))
    layout = Layout(data, 32)
    struct.pack_into("<H", data, 40, 0x81)
    start = layout.reserved * layout.sector
    data[start : start + layout.fat_sectors * layout.sector] = bytes(layout.fat_sectors * layout.sector)
    assert read(data) == FILES[SECOND]


@pytest.mark.parametrize("bits", [12, 16, 32])
def test_random_damage_is_refused_or_seen(bits: int) -> None:
    """Nothing but `Unreadable` comes out, whatever the metadata says."""
    whole = made(bits)
    if bits == 32:  # a small one: it is copied often
        whole = whole[:32] + struct.pack("<I", 4096) + whole[36 : 2 * MiB]
    layout = Layout(whole, bits)
    dice = random.Random(bits)
    for _ in range(150):
        data = bytearray(whole)
        for _ in range(dice.randint(1, 4)):
            at = dice.choice((
                dice.randrange(512),
                layout.reserved * layout.sector + dice.randrange(1024),
                layout.data_at + dice.randrange(8 * 512),
            ))  # fmt: skip
            data[at] = dice.randrange(256)
        with contextlib.suppress(Unreadable):
            ours = volume(data)
            for path in FILES:
                if (file := ours.open(path)) is not None:
                    content(file)
            ours.names("EFI")


def test_dissect_is_not_imported() -> None:
    """Nor any other engine."""
    code = "import sys, validator.disk.fat; assert not any(n.startswith('dissect') for n in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
