"""Every decoder of bytes is held to the same rules, against the raw disk that its image was made from.

The rules find what is known to be wrong elsewhere: a reader that runs over the end of a block into
whatever lies behind it in the file (H8), one that aligns to the wrong sector size (H9), one whose
reads come back short and shift what follows (H5).
"""

from __future__ import annotations

import hashlib
import io
import os
import random
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.hostile import Bytes, MiB, expect_deployable, open_image, open_source, own_map, refuses
from tests.images import (
    Blob,
    Disk,
    DynamicVhd,
    FixedVhd,
    MissingTool,
    Ntfs,
    Vhdx,
    build,
    copy_of,
    disk_of,
    generalized,
)
from tests.images.containers import Container
from validator.disk.container import RawDisk
from validator.disk.ntfs import NtfsVolume
from validator.disk.partitions import read_partition_table
from validator.disk.volumes import window
from validator.evidence import Layer
from validator.source import ByteSource, FileSource, Overlay, Stream, Window, beyond_end

ROOT = Path(__file__).resolve().parent.parent
READS = 500


def check_decoder(source: ByteSource, expected: bytes, block: int = MiB) -> None:
    """All that a `ByteSource` promises, for one whose bytes are known.

    Args:
        source: the decoder.
        expected: everything that it must give.
        block: the size of the units that it is made of; reads across their borders are the hard ones.
    """
    size = len(expected)
    assert source.size == size

    def check(offset: int, length: int) -> None:
        data = source.read_at(offset, length)
        assert isinstance(data, bytes)
        assert len(data) == length, f"{len(data)} of {length} bytes at {offset}"
        assert data == expected[offset : offset + length], f"{length} bytes at {offset} are wrong"

    for offset in (0, 1, size // 2, size - 1, size):
        check(offset, 0)
    check(size - 1, 1)
    check(max(0, size - 513), min(513, size))
    long = min(block, MiB) * 3 // 2
    for border in range(block, size, block):
        check(border - 1, 2)
        check(border - 513, min(1026, size - border + 513))
        check(border - long // 2, min(long, size - border + long // 2))
    if size > block:
        check(block - 7, min(block + 14, size - block + 7))
    dice = random.Random(size)
    for _ in range(READS):
        length = min(dice.choice((1, 3, 512, 1000, 4096, 9000, dice.randrange(long // 4))), size)
        check(dice.randrange(size - length + 1), length)
    for at in range(0, size, block):
        check(at, min(block, size - at))
    if size <= 16 * MiB:
        check(0, size)
    for offset, length in (
        (size, 1),
        (size - 1, 2),
        (size + 1, 0),
        (0, size + 1),
        (1 << 70, 1),
        (-1, 1),
        (-1, 0),
        (-size, size),
        (0, -1),
        (5, -5),
    ):
        refuses(lambda offset=offset, length=length: source.read_at(offset, length))


# --- disks whose every sector is known -----------------------------------------------------------


def noise(size: int, name: str) -> bytes:
    """Bytes that look like nothing else, the same every time."""
    return random.Random(name).randbytes(size)


def patterned(size: int, sector_size: int = 512) -> Disk:
    """A disk with data in some blocks and nothing in others; its last sector holds data."""
    pieces = (
        Blob(noise(3 * MiB + 512, "first"), 4 * MiB),
        Blob(noise(700_000, "second"), 2 * MiB),
        Blob(noise(size - 10 * MiB, "third"), size - 10 * MiB),
    )
    return Disk(pieces, "mbr", sector_size, size=size)


ODD = 12 * MiB + 5 * 4096
"""No multiple of any block size."""
LARGE = Disk(
    tuple(Blob(noise(MiB + 4096, str(index)), 33 * MiB) for index in range(3)), "mbr", size=101 * MiB + 512
)
"""Four blocks of 32 MiB, the last one short."""


@dataclass(frozen=True)
class Case:
    """An image of a disk, and the size of its blocks."""

    name: str
    disk: Disk
    container: Container | str
    block: int = MiB

    def paths(self) -> tuple[Path, Path]:
        """The image and the raw disk."""
        try:
            return build(self.disk, self.container), build(self.disk, "raw")
        except MissingTool as missing:
            pytest.skip(str(missing))


ORDERS = ("ascending", "descending", "shuffled")
CASES = (
    Case("vhd-fixed", patterned(ODD), FixedVhd()),
    Case("vhd-fixed-qemu", patterned(ODD), "vhd-fixed"),
    Case("vhd-dynamic-qemu", patterned(ODD), "vhd-dynamic", 2 * MiB),
    *(Case(f"vhd-2M-{order}", patterned(ODD), DynamicVhd(order=order), 2 * MiB) for order in ORDERS),
    *(Case(f"vhd-512K-{order}", patterned(ODD), DynamicVhd(MiB // 2, order), MiB // 2) for order in ORDERS),
    *(
        Case(f"vhdx-{size}M-{order}", disk, Vhdx(size * MiB, order=order), size * MiB)
        for size, disk in ((1, patterned(ODD)), (2, patterned(ODD)), (32, LARGE))
        for order in ORDERS
    ),
    Case("vhdx-fixed", patterned(ODD), Vhdx(fixed=True)),
    Case("vhdx-fixed-shuffled", patterned(ODD), Vhdx(fixed=True, order="shuffled")),
    Case("vhdx-fixed-qemu", patterned(12 * MiB), "vhdx-fixed"),
    Case("vhdx-dynamic-qemu", patterned(12 * MiB), "vhdx-dynamic"),
    *(Case(f"vhdx-4Kn-{order}", patterned(ODD, 4096), Vhdx(order=order)) for order in ORDERS),
    Case("vhdx-4Kn-2M-fixed", patterned(ODD, 4096), Vhdx(2 * MiB, fixed=True, order="descending"), 2 * MiB),
)
by_case = pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])


# --- engines as sources --------------------------------------------------------------------------


@dataclass
class Engine:
    """Another library's reader behind the rules for bounds, which it does not keep itself."""

    size: int
    read: Callable[[int, int], bytes]

    def read_at(self, offset: int, length: int) -> bytes:
        """See `ByteSource`."""
        if offset < 0 or length < 0 or offset + length > self.size:
            raise beyond_end(Layer.CONTAINER, offset, length, self.size)
        return self.read(offset, length) if length else b""


def libvhdi(source: FileSource) -> Engine:
    """The witness alone, as pyvhdi binds it."""
    import pyvhdi

    handle: Any = pyvhdi.file()
    handle.open_file_object(Stream(source))
    return Engine(
        handle.get_media_size(), lambda offset, length: handle.read_buffer_at_offset(length, offset)
    )


def dissect(source: FileSource, block: int) -> Engine:
    """dissect.hypervisor, asked for no more than what is left of a block (H8), and aligned (H9)."""
    from dissect.hypervisor.disk.vhd import VHD
    from dissect.hypervisor.disk.vhdx import VHDX

    is_vhdx = source.read_at(0, 8) == b"vhdxfile"
    disk: Any = (VHDX if is_vhdx else VHD)(Stream(source))
    disk.align = 8192

    def read(offset: int, length: int) -> bytes:
        pieces = []
        while length:
            piece = min(length, block - offset % block)
            disk.seek(offset)
            pieces.append(disk.read(piece))
            offset, length = offset + piece, length - piece
        return b"".join(pieces)

    return Engine(disk.size, read)


@contextmanager
def opened(case: Case) -> Iterator[tuple[FileSource, bytes]]:
    """The image and what must be in it."""
    image, raw = case.paths()
    with open_source(image) as source:
        yield source, raw.read_bytes()


@by_case
def test_our_block_map(case: Case) -> None:
    """FixedVhd, DynamicVhd and VhdxDisk by themselves."""
    with opened(case) as (source, expected):
        check_decoder(own_map(source), expected, case.block)


@by_case
def test_the_witnessed_disk(case: Case) -> None:
    """What the facts read from: the block map, and libvhdi behind it."""
    image, raw = case.paths()
    expected = raw.read_bytes()
    with open_image(image) as disk:
        check_decoder(disk, expected, case.block)
        assert disk.container.virtual_size == len(expected)
        assert disk.container.logical_sector_size == case.disk.sector_size


@by_case
def test_libvhdi_alone(case: Case) -> None:
    """The witness is right where the container is sound; else agreement would prove nothing."""
    with opened(case) as (source, expected):
        check_decoder(libvhdi(source), expected, case.block)


@by_case
def test_dissect_within_blocks(case: Case) -> None:
    """Never asked across a block's end, dissect.hypervisor gives the same bytes."""
    with opened(case) as (source, expected):
        check_decoder(dissect(source, case.block), expected, case.block)


def test_dissect_across_blocks_is_wrong_as_told() -> None:
    """The reason for all this: the day this fails, H8 is mended and the wrapper may go."""
    case = next(case for case in CASES if case.name == "vhdx-1M-descending")
    with opened(case) as (source, expected):
        disk = dissect(source, 1 << 40)
        offset = 5 * MiB - 600_000
        assert disk.read_at(offset, MiB) != expected[offset : offset + MiB]


def test_raw() -> None:
    """A file that is the disk."""
    raw = build(patterned(ODD), "raw")
    with open_source(raw) as source:
        check_decoder(RawDisk(source), raw.read_bytes())
    with open_image(raw) as disk:
        check_decoder(disk, raw.read_bytes())


def test_files() -> None:
    """The file itself, whose small reads are kept."""
    image = build(patterned(ODD), FixedVhd())
    with open_source(image) as source:
        check_decoder(source, image.read_bytes())


@pytest.mark.parametrize(("offset", "size"), [(0, 5 * MiB), (MiB, 3 * MiB), (12_345, 2_345_678)])
def test_windows(offset: int, size: int) -> None:
    """A span of another source, in its own coordinate."""
    data = noise(6 * MiB, "window")
    check_decoder(Window(Bytes(data), offset, size, Layer.VOLUME), data[offset : offset + size])
    evidence = refuses(lambda: Window(Bytes(data), offset, size, Layer.VOLUME).read_at(size, 1))
    assert evidence.where.layer is Layer.VOLUME


def test_overlays() -> None:
    """Ranges of any length laid over each other, against a plain array; the source stays as it was."""
    data = noise(3 * MiB + 777, "overlay")
    source, size = Bytes(data), 4 * MiB + 99
    overlay, model = Overlay(source, size), bytearray(data.ljust(size, b"\0"))
    check_decoder(overlay, bytes(model))
    dice = random.Random(11)
    for _ in range(200):
        offset = dice.randrange(size)
        if dice.random() < 0.2:
            offset = offset // 4096 * 4096
            length = min(dice.randrange(1, 40) * 4096, (size - offset) // 4096 * 4096)
            overlay.lay_zeros(offset, length)
            model[offset : offset + length] = bytes(length)
        else:
            piece = dice.randbytes(min(dice.choice((1, 100, 512, 4096, 9000)), size - offset))
            overlay.lay(offset, piece)
            model[offset : offset + len(piece)] = piece
    check_decoder(overlay, bytes(model))
    assert source.data == data


def test_streams() -> None:
    """What engines get: a file that ends, seeks from all three places, and has no name."""
    data = noise(100_000, "stream")
    stream, file = Stream(Bytes(data)), io.BytesIO(data)
    dice = random.Random(5)
    for _ in range(500):
        how = dice.randrange(3)
        offset = dice.randrange(-1000, 120_000) if how == 0 else dice.randrange(-60_000, 60_000)
        if (offset, 0, 100_000)[how] + (0, file.tell(), offset)[how] < 0 or (how == 0 and offset < 0):
            continue
        if how == 1:
            offset = max(-file.tell(), offset)
        assert stream.seek(offset, how) == file.seek(offset, how)
        length = dice.choice((0, 1, 100, 70_000, -1))
        assert stream.read(length) == file.read(length)
        assert stream.tell() == file.tell()
    assert getattr(stream, "name", None) is None
    assert not stream.writable()


@pytest.mark.parametrize("cluster_size", [512, 4096, 65536])
def test_files_of_ntfs(cluster_size: int) -> None:
    """A file in runs reads as it was put in, cluster borders or not."""
    files = {"large.bin": noise(2 * MiB + 1234, "large"), "small.bin": noise(300, "small")}
    image = build(Disk((Ntfs(files=files, cluster_size=cluster_size),), "mbr"), FixedVhd())
    with open_image(image) as disk:
        (partition,) = read_partition_table(disk).partitions
        volume = NtfsVolume(window(disk, partition), 1)
        for name, data in files.items():
            file = volume.open(name)
            assert file is not None
            check_decoder(file, data, cluster_size * 7)


# --- the whole command ---------------------------------------------------------------------------

WHOLE = {
    "vhdx-1M-shuffled": (512, Vhdx(order="shuffled")),
    "vhdx-1M-descending": (512, Vhdx(order="descending")),
    "vhdx-32M-descending": (512, Vhdx(32 * MiB, order="descending")),
    "vhd-descending": (512, DynamicVhd(order="descending")),
    "vhd-512K-shuffled": (512, DynamicVhd(MiB // 2, "shuffled")),
    "vhdx-4Kn": (4096, Vhdx()),
    "vhdx-4Kn-shuffled": (4096, Vhdx(order="shuffled")),
}


@pytest.mark.parametrize("name", WHOLE)
def test_the_verdict_does_not_depend_on_the_layout(name: str, tmp_path: Path) -> None:
    """A generalized Windows is deployable however its blocks lie."""
    sector_size, container = WHOLE[name]
    image = build(disk_of(generalized(), sector_size=sector_size), container)
    report = expect_deployable(copy_of(image, tmp_path))
    assert report.facts.container.logical_sector_size == sector_size  # type: ignore[union-attr]


SCRIPT = """
import hashlib, sys
from pathlib import Path
from dissect.util.stream import STREAM_BUFFER_SIZE
from tests.hostile import open_image
from validator.validation import validate
assert STREAM_BUFFER_SIZE == 512, STREAM_BUFFER_SIZE
with open_image(Path(sys.argv[1])) as disk:
    state = hashlib.sha256()
    for at in range(0, disk.size, 1000 * 512):
        state.update(disk.read_at(at, min(1000 * 512, disk.size - at)))
print(state.hexdigest(), validate(sys.argv[1], "generalized").verdict.value)
"""


def test_an_environment_variable_of_an_engine_changes_nothing(tmp_path: Path) -> None:
    """dissect.util takes its alignment from the environment; with 512 it reads 4Kn disks wrong (H9)."""
    disk = disk_of(generalized(), sector_size=4096)
    image, raw = copy_of(build(disk, Vhdx()), tmp_path), build(disk, "raw")
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, image],
        env={**os.environ, "DISSECT_STREAM_BUFFER_SIZE": "512"},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stderr == ""
    assert done.stdout.split() == [hashlib.sha256(raw.read_bytes()).hexdigest(), "deployable"]
