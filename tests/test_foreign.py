"""QCOW2, VMDK and VDI: read right, verified as far as they can be, refused by name where they are more.

The images are qemu-img's, so that we do not only read us; what it cannot make (the footer of a stream,
damage) is made here from what it made. None of the formats has a checksum over its structures.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from tests.command import Command
from tests.hostile import (
    Bytes,
    Damage,
    MiB,
    Row,
    append,
    cut,
    every,
    expect,
    expect_deployable,
    expect_refused,
    harmless,
    need,
    open_image,
    open_source,
    put,
    refuses,
    rows,
    small_disk,
)
from tests.images import (
    Blob,
    Disk,
    MissingTool,
    build,
    copy_of,
    damage,
    generalized,
    installed,
    tools,
    undeployable,
)
from tests.images.containers import Container, Qemu
from tests.test_conformance import ODD, check_decoder, noise, patterned
from validator.disk import foreign
from validator.disk.foreign import Qcow2Disk, open_foreign
from validator.disk.formats import open_disk
from validator.evidence import Evidence, Layer, Location, Unreadable
from validator.judging import Verdict
from validator.source import Budget, Files, Stream
from validator.validation import validate

Image = Callable[..., Path]
GiB = 1024 * MiB


@dataclass(frozen=True)
class Compressed:
    """A QCOW2 whose clusters qemu-img compresses."""

    options: tuple[str, ...] = ()
    suffix: str = ".qcow2"

    def write(self, raw: Path, target: Path, sector_size: int) -> None:
        """Convert ``raw``."""
        assert sector_size == 512
        options = ("-o", ",".join(self.options)) if self.options else ()
        tools.run("qemu-img", "convert", "-c", "-f", "raw", "-O", "qcow2", *options, raw, target)


@dataclass(frozen=True)
class Stream3:
    """A stream-optimized VMDK as VMware writes it in one go: the grain directory's place in a footer."""

    suffix: str = ".vmdk"

    def write(self, raw: Path, target: Path, sector_size: int) -> None:
        """Convert ``raw``, and move the header's knowledge to the end."""
        vmdk(subformat="streamOptimized").write(raw, target, sector_size)
        content = target.read_bytes()
        footer = content[:512]
        marker = struct.pack("<QII", 1, 0, 3).ljust(512, b"\0")
        header = footer[:56] + b"\xff" * 8 + footer[64:]
        target.write_bytes(header + content[512:] + marker + footer + bytes(512))


def qcow2(**options: object) -> Qemu:
    """A QCOW2 with these options."""
    return Qemu("qcow2", ".qcow2", tuple(f"{name}={value}" for name, value in options.items()))


def vmdk(**options: object) -> Qemu:
    """A VMDK with these options."""
    return Qemu("vmdk", ".vmdk", tuple(f"{name}={value}" for name, value in options.items()))


def refused(name: str, change: Damage, expected: str = "", found: str = "", offset: int | None = None) -> Row:
    """A row about the container's own structures."""
    return Row(name, change, Layer.CONTAINER, expected, found, offset)


CONTAINERS: dict[str, tuple[Container, int]] = {
    "qcow2": (qcow2(), 65536),
    "qcow2-v2": (qcow2(compat="0.10"), 65536),
    "qcow2-512": (qcow2(cluster_size=512), 512),
    "qcow2-4K": (qcow2(cluster_size=4096), 4096),
    "qcow2-2M": (qcow2(cluster_size="2M"), 2 * MiB),
    "qcow2-preallocated": (qcow2(preallocation="metadata"), 65536),
    "qcow2-full": (qcow2(preallocation="full"), 65536),
    "qcow2-refcounts-of-1-bit": (qcow2(refcount_bits=1), 65536),
    "qcow2-refcounts-of-64-bits": (qcow2(refcount_bits=64), 65536),
    "qcow2-lazy": (qcow2(lazy_refcounts="on"), 65536),
    "qcow2-compressed": (Compressed(), 65536),
    "qcow2-compressed-v2": (Compressed(("compat=0.10",)), 65536),
    "qcow2-compressed-512": (Compressed(("cluster_size=512",)), 512),
    "qcow2-compressed-2M": (Compressed(("cluster_size=2M",)), 2 * MiB),
    "vmdk": (vmdk(), 65536),
    "vmdk-zeroed-grains": (vmdk(zeroed_grain="on"), 65536),
    "vmdk-stream": (vmdk(subformat="streamOptimized"), 65536),
    "vmdk-stream-with-footer": (Stream3(), 65536),
    "vdi": (Qemu("vdi", ".vdi"), MiB),
    "vdi-fixed": (Qemu("vdi", ".vdi", ("static=on",)), MiB),
}
"""Container and size of its units."""
by_container = pytest.mark.parametrize("name", CONTAINERS)


def built(disk: Any, container: Container) -> Path:
    """The image, where qemu-img is there."""
    try:
        return build(disk, container)
    except MissingTool as missing:
        pytest.skip(str(missing))


# --- what is healthy -----------------------------------------------------------------------------


@by_container
def test_every_byte_is_the_disk_s(name: str) -> None:
    """Against the raw disk, over the borders of clusters, grains and blocks; the last one is cut."""
    container, unit = CONTAINERS[name]
    image, raw = built(patterned(ODD), container), build(patterned(ODD), "raw")
    with open_image(image) as disk:
        assert disk.container.block_size == unit
        check_decoder(disk, raw.read_bytes(), max(unit, 65536))


@by_container
@pytest.mark.parametrize(
    ("make", "answer"),
    [
        (generalized, ("deployable", 0)),
        (installed, ("undeployable", 1)),
        (undeployable, ("undeployable", 1)),
    ],
)
def test_the_verdict(
    command: Command, image: Image, name: str, make: Callable[[], Any], answer: tuple[str, int]
) -> None:
    """The layers above are the same; the report says that nothing guards the structures."""
    judged = command.judge(image(make(), CONTAINERS[name][0]))
    assert judged.answer == answer
    assert judged["facts"]["container"]["format"] == name.partition("-")[0]
    assert judged["facts"]["container"]["checksums"] is False
    (layer,) = [each for each in judged["layers"] if each["kind"] == "container"]
    assert layer["state"] == "intact"
    assert "no checksums" in layer["detail"]


@pytest.mark.parametrize(
    ("name", "subformat", "sector_size", "creator"),
    [
        ("qcow2", "v3", None, None),
        ("qcow2-v2", "v2", None, None),
        ("vmdk", "monolithicSparse", 512, None),
        ("vmdk-stream-with-footer", "streamOptimized", 512, None),
        ("vdi", "dynamic", 512, "QEMU VM Virtual Disk Image"),
        ("vdi-fixed", "fixed", 512, "QEMU VM Virtual Disk Image"),
    ],
)
def test_what_the_container_says(
    name: str, subformat: str, sector_size: int | None, creator: str | None
) -> None:
    """In the words of the format."""
    with open_image(built(small_disk(), CONTAINERS[name][0])) as disk:
        container = disk.container
        assert (container.subformat, container.logical_sector_size) == (subformat, sector_size)
        assert container.creator == creator
        assert (container.disk_id is not None) == name.startswith("vdi")
        assert (disk.recovered, disk.parent_differs, container.parents) == ((), None, ())


@pytest.mark.parametrize("name", ["disk.vhd", "disk.vhdx", "disk.img", "disk"])
@pytest.mark.parametrize("kind", ["qcow2", "vmdk", "vdi"])
def test_content_decides_over_the_name(command: Command, image: Image, kind: str, name: str) -> None:
    """And the user may say what it is."""
    path = image(generalized(), kind, name=name)
    assert command.judge(path).answer == ("deployable", 0)
    assert command.judge(path, "--input-format", kind).answer == ("deployable", 0)
    for other in {"qcow2", "vmdk", "vdi", "vhd", "vhdx"} - {kind}:
        assert command.judge(path, "--input-format", other).answer == ("indeterminate", 3)


def test_zstd_is_read_or_named() -> None:
    """Python reads Zstandard from 3.14 on, or with backports.zstd; dissect says whether it can."""
    from dissect.hypervisor.disk.qcow2 import HAS_ZSTD

    image = built(patterned(ODD), Compressed(("compression_type=zstd",)))
    if HAS_ZSTD:
        with open_image(image) as disk:
            check_decoder(disk, build(patterned(ODD), "raw").read_bytes(), 65536)
    else:
        expect_refused(image, Layer.CONTAINER, "zlib", "zstd", 104)


# --- QCOW2: what each field may be ---------------------------------------------------------------

CLUSTER = 65536
COUNTS, COUNT_BLOCK, L1, L2, DATA = (CLUSTER * number for number in range(1, 6))
"""Where qemu-img puts things; `small` asserts it."""
COPIED, COMPRESSED = 1 << 63, 1 << 62


@pytest.fixture(scope="session")
def small() -> Path:
    """A healthy QCOW2 of 16 MiB, the upper half empty."""
    image = built(small_disk(size=16 * MiB), qcow2())
    assert struct.unpack(">QQ", damage.read(image, 40, 16)) == (L1, COUNTS)
    assert damage.read(image, COUNTS, 8) == struct.pack(">Q", COUNT_BLOCK)
    assert damage.read(image, L1, 8) == struct.pack(">Q", COPIED | L2)
    assert damage.read(image, L2, 8) == struct.pack(">Q", COPIED | DATA)
    return image


@pytest.fixture(scope="session")
def packed() -> Path:
    """The same, compressed."""
    image = built(small_disk(size=16 * MiB), Compressed())
    assert struct.unpack(">Q", damage.read(image, L2, 8))[0] & COMPRESSED
    return image


def b32(at: int, value: int) -> Damage:
    """Change a number of 4 bytes."""
    return put(at, struct.pack(">I", value))


def b64(at: int, value: int) -> Damage:
    """Change a number of 8 bytes."""
    return put(at, struct.pack(">Q", value))


def edit64(at: int, change: Callable[[int], int]) -> Damage:
    """Change a number of 8 bytes to one that depends on it."""

    def apply(path: Path) -> None:
        b64(at, change(struct.unpack(">Q", damage.read(path, at, 8))[0]))(path)

    return apply


def twice(first: int, second: int) -> Damage:
    """Let one L2 entry be what another one is."""

    def apply(path: Path) -> None:
        put(L2 + 8 * second, damage.read(path, L2 + 8 * first, 8))(path)

    return apply


def backing(name: bytes) -> Damage:
    """Name a backing file, as qemu-img does behind the header's extensions."""
    return every(b64(8, 0x400), b32(16, len(name)), put(0x400, name))


QCOW2_ROWS = (
    refused("version-1", b32(4, 1), expected="version 2 or 3", offset=4),
    refused("version-4", b32(4, 4), expected="version 2 or 3", offset=4),
    refused("clusters-of-256", b32(20, 8), expected="clusters of", found=r"2\^8", offset=20),
    refused("clusters-of-4M", b32(20, 22), expected="clusters of", offset=20),
    refused("clusters-of-all-ones", b32(20, 0xFFFFFFFF), expected="clusters of", offset=20),
    Row("clusters-of-other-size", b32(20, 15), None),
    refused("size-of-zero", b64(24, 0), expected="whole sectors", offset=24),
    refused("size-of-half-a-sector", b64(24, 16 * MiB + 256), expected="whole sectors", offset=24),
    refused("size-beyond-the-tables", b64(24, 1 << 40), expected="entries in the L1 table", offset=36),
    refused("size-of-all-ones", b64(24, 2**64 - 512), expected="entries in the L1 table", offset=36),
    refused("encrypted-aes", b32(32, 1), expected="without encryption", found="AES", offset=32),
    refused("encrypted-luks", b32(32, 2), expected="without encryption", found="LUKS", offset=32),
    refused("encrypted-somehow", b32(32, 77), expected="without encryption", found="77", offset=32),
    refused("no-l1", b32(36, 0), expected="entries in the L1 table", offset=36),
    refused("l1-of-all-ones", b32(36, 0xFFFFFFFF), expected="at most", offset=36),
    refused(
        "l1-over-the-next", b32(36, CLUSTER // 8 + 1), expected="of its own", found="over other metadata"
    ),
    refused("l1-nowhere", b64(40, 0), expected="of its own", offset=40),
    refused("l1-unaligned", b64(40, L1 + 512), expected="inside the file", offset=40),
    refused("l1-outside", b64(40, 1 << 40), expected="inside the file", offset=40),
    refused("l1-far-outside", b64(40, 2**64 - CLUSTER), expected="inside the file", offset=40),
    refused("l1-over-l2", b64(40, L2)),
    refused("l1-over-data", b64(40, DATA)),
    refused("counts-nowhere", b64(48, 0), expected="of its own", offset=48),
    refused("counts-outside", b64(48, 1 << 50), expected="inside the file", offset=48),
    refused("counts-over-l1", b64(48, L1), expected="of its own", offset=48),
    refused("no-counts", b32(56, 0), expected="reference count table", offset=56),
    refused("counts-of-all-ones", b32(56, 0xFFFFFFFF), expected="reference count table", offset=56),
    refused("count-block-outside", b64(COUNTS, 1 << 40), expected="inside the file", offset=COUNTS),
    refused("count-block-unaligned", b64(COUNTS, COUNT_BLOCK + 8), expected="inside", offset=COUNTS),
    refused("count-block-over-l2", b64(COUNTS, L2), expected="of its own", offset=COUNTS),
    refused("count-of-a-cluster-outside", put(COUNT_BLOCK + 2 * 5000, b"\0\1"), "cluster at", "it is cut"),
    refused("dirty", b64(72, 1), expected="without features", found="dirty bit", offset=72),
    refused("corrupt", b64(72, 2), expected="without features", found="corrupt bit", offset=72),
    refused("data-file", b64(72, 4), expected="without features", found="external data file", offset=72),
    refused("compression-bit-alone", b64(72, 8), expected="as the feature bit says", offset=104),
    refused("extended-l2", b64(72, 16), expected="without features", found="extended L2", offset=72),
    refused("unknown-feature", b64(72, 1 << 63), expected="without features", found="bit 63", offset=72),
    refused("compression-type-alone", put(104, b"\1"), expected="as the feature bit says", offset=104),
    refused("compression-type-2", every(b64(72, 8), put(104, b"\2")), expected="zlib or zstd", offset=104),
    refused("counts-of-128-bits", b32(96, 7), expected="reference counts", offset=96),
    refused("header-of-96", b32(100, 96), expected="header of at least", offset=100),
    refused("header-of-105", b32(100, 105), expected="header of at least", offset=100),
    refused("header-of-all-ones", b32(100, 0xFFFFFFF8), expected="header of at least", offset=100),
    Row("l1-entry-zero", b64(L1, 0), None),
    refused("l1-entry-reserved-low", edit64(L1, lambda old: old | 2), "L1 entry", offset=L1),
    refused("l1-entry-reserved-high", edit64(L1, lambda old: old | 1 << 60), "L1 entry", offset=L1),
    refused("l1-entry-only-copied", b64(L1, COPIED), "L1 entry", offset=L1),
    refused("l1-entry-unaligned", edit64(L1, lambda old: old + 512), "inside the file", offset=L1),
    refused("l1-entry-outside", b64(L1, COPIED | 1 << 40), "inside the file", offset=L1),
    refused("l1-entry-itself", b64(L1, COPIED | L1), "of its own", offset=L1),
    refused("l1-entry-header", b64(L1, 1), "L1 entry", offset=L1),
    Row("l1-entry-data", b64(L1, COPIED | DATA), None),
    refused("l2-entry-reserved-low", edit64(L2, lambda old: old | 2), "L2 entry", offset=L2),
    refused("l2-entry-reserved-high", edit64(L2, lambda old: old | 1 << 58), "L2 entry", offset=L2),
    refused("l2-entry-only-copied", b64(L2, COPIED), "L2 entry", offset=L2),
    refused("l2-entry-unaligned", edit64(L2, lambda old: old + 512), "inside the file", offset=L2),
    refused("l2-entry-outside", b64(L2, COPIED | 1 << 40), "inside the file", offset=L2),
    refused("l2-entry-at-the-end", edit64(L2, lambda old: old | 1 << 24), "inside the file", offset=L2),
    refused("l2-entry-l2", b64(L2, COPIED | L2), "of its own", offset=L2),
    refused("l2-entry-l1", b64(L2, COPIED | L1), "of its own", offset=L2),
    refused("l2-entry-counts", b64(L2, COPIED | COUNT_BLOCK), "of its own", offset=L2),
    refused("l2-entry-unused-cluster-l2", b64(L2 + 8 * 200, COPIED | L2), "of its own", offset=L2 + 1600),
    refused("l2-entry-twice", twice(0, 200), "of its own", "over something else", offset=L2 + 1600),
    refused("l2-entry-compressed", edit64(L2, lambda old: old & ~COPIED | COMPRESSED)),
    Row("l2-entry-zero", b64(L2, 0), None),
    Row("l2-entry-reads-as-zeros", edit64(L2, lambda old: old | 1), None),
    refused("backing", backing(b"/base.qcow2"), "without a backing file", "“base.qcow2”", offset=8),
    refused("backing-in-json", backing(b'json:{"password":"hunter2"}'), "backing", "a description in JSON"),
    refused("backing-with-a-key", backing(b"https://host/base?sig=hunter2"), "backing", "“base”"),
    refused("backing-outside", b64(8, 1 << 40), "without a backing file", offset=8),
    refused("backing-of-all-ones", every(b64(8, 1), b32(16, 0xFFFFFFFF)), "backing file", offset=8),
    refused("cut-in-a-sector", cut(-1), "whole sectors", "it is cut"),
    refused("cut-by-a-cluster", cut(-CLUSTER), "cluster at", "it is cut"),
    refused("cut-to-the-metadata", cut(DATA), "cluster at", "it is cut"),
    refused("cut-to-a-cluster", cut(CLUSTER), "inside the file"),
    refused("cut-to-a-sector", cut(512), "whole sectors", "it is cut"),
    harmless("snapshots-that-nobody-reads", every(b32(60, 0xFFFFFFFF), b64(64, 2**64 - 512))),
    harmless("compatible-features", b64(80, 2**64 - 1)),
    harmless("autoclear-features", b64(88, 2**64 - 1)),
    harmless("clusters-appended", append(bytes(3 * CLUSTER))),
    harmless("extensions-that-nobody-reads", put(112, b"DATA\0\0\0\x10/etc/passwd")),
    harmless("l2-entry-of-nothing-is-zeros", b64(L2 + 8 * 200, 1)),
)


@rows(*QCOW2_ROWS)
def test_damage_to_qcow2(row: Row, small: Path, tmp_path: Path) -> None:
    """Every field of the header and of both levels of tables."""
    report = expect(row, small, tmp_path)
    assert "hunter2" not in str(report)


V2_ROWS = (
    harmless("a-header-extension", put(72, struct.pack(">II", 0x12345604, 16) + b"\xff" * 16)),
    refused("zero-cluster", edit64(L2, lambda old: old | 1), "L2 entry", offset=L2),
)


@rows(*V2_ROWS)
def test_damage_to_qcow2_of_version_2(row: Row, tmp_path: Path) -> None:
    """Its header ends at byte 72; dissect takes what follows for features and lengths, and never ends."""
    expect(row, built(small_disk(size=16 * MiB), qcow2(compat="0.10")), tmp_path)


def first_data(change: Callable[[bytes], bytes]) -> Damage:
    """Change the first compressed cluster's data."""

    def apply(path: Path) -> None:
        at = struct.unpack(">Q", damage.read(path, L2, 8))[0] & (1 << 54) - 1
        put(at, change(damage.read(path, at, 64)))(path)

    return apply


def longer_than_the_file() -> Damage:
    """Let the last cluster's compressed data go on behind the file's end."""

    def apply(path: Path) -> None:
        entries = struct.unpack(">256Q", damage.read(path, L2, 8 * 256))
        last = max(range(256), key=lambda index: entries[index] & (1 << 54) - 1)
        b64(L2 + 8 * last, entries[last] | 0xFF << 54)(path)

    return apply


PACKED_ROWS = (
    refused("copied", edit64(L2, lambda old: old | COPIED), "without bit 63", offset=L2),
    refused("outside", edit64(L2, lambda old: old | 1 << 40), "inside the file", offset=L2),
    refused("longer-than-the-file", longer_than_the_file(), "compressed data inside the file"),
    harmless("longer-than-it-is", edit64(L2, lambda old: old | 3 << 54)),
    refused("over-l2", edit64(L2, lambda old: old >> 54 << 54 | L2), "of its own", offset=L2),
    refused("over-the-header", edit64(L2, lambda old: old >> 54 << 54), "of its own", offset=L2),
    refused("twice", twice(0, 200), "of its own", "over something else", offset=L2 + 1600),
    refused("not-compressed", edit64(L2, lambda old: old & (1 << 54) - 512), "", ""),
    refused("other-data", first_data(lambda old: b"\xff" * 64), "compressed data of 65536 bytes", "error"),
    refused("too-short", first_data(lambda old: b"\x03\x00".ljust(64, b"\0")), "compressed data of", "^0$"),
    refused("cut-in-the-data", cut(-512)),
)


@rows(*PACKED_ROWS)
def test_damage_to_compressed_clusters(row: Row, packed: Path, tmp_path: Path) -> None:
    """Bounds, overlap, and data that does not unpack to a cluster."""
    if row.name == "cut-in-the-data":
        row = replace(row, damage=cut(packed.stat().st_size - CLUSTER))
    expect(row, packed, tmp_path)


def test_a_compressed_bomb_is_not_unpacked(packed: Path, tmp_path: Path) -> None:
    """A hundred MiB in a cluster's data: one byte more than a cluster is looked at."""
    import tracemalloc
    import zlib

    squeezer = zlib.compressobj(9, wbits=-12)
    bomb = squeezer.compress(bytes(100 * MiB)) + squeezer.flush()
    target = copy_of(packed, tmp_path)
    append(bomb.ljust(2 * CLUSTER, b"\0"))(target)
    at = target.stat().st_size - 2 * CLUSTER
    b64(L2, COMPRESSED | (0xFF << 54) | at)(target)
    tracemalloc.start()
    expect_refused(target, Layer.CONTAINER, "compressed data of 65536", "more", at)
    assert tracemalloc.get_traced_memory()[1] < 32 * MiB
    tracemalloc.stop()


# --- VMDK ----------------------------------------------------------------------------------------

DESCRIPTOR, RGD, GD, RGT, GT, GRAINS = 512, 21 * 512, 26 * 512, 22 * 512, 27 * 512, 128


@pytest.fixture(scope="session")
def sparse() -> Path:
    """A healthy VMDK of 16 MiB, the upper half empty."""
    image = built(small_disk(size=16 * MiB), vmdk())
    assert struct.unpack("<QQ", damage.read(image, 48, 16)) == (RGD // 512, GD // 512)
    assert damage.read(image, GD, 4) == struct.pack("<I", GT // 512)
    assert damage.read(image, RGD, 4) == struct.pack("<I", RGT // 512)
    assert damage.read(image, GT, 4) == struct.pack("<I", GRAINS)
    return image


@pytest.fixture(scope="session")
def stream() -> Path:
    """The same, stream-optimized, with a footer."""
    return built(small_disk(size=16 * MiB), Stream3())


@pytest.fixture(scope="session")
def headed_stream() -> Path:
    """The same as qemu-img writes it."""
    return built(small_disk(size=16 * MiB), vmdk(subformat="streamOptimized"))


def l16(at: int, value: int) -> Damage:
    """Change a number of 2 bytes."""
    return put(at, struct.pack("<H", value))


def l32(at: int, value: int) -> Damage:
    """Change a number of 4 bytes."""
    return put(at, struct.pack("<I", value))


def l64(at: int, value: int) -> Damage:
    """Change a number of 8 bytes."""
    return put(at, struct.pack("<Q", value))


def grain(number: int, value: int) -> Damage:
    """Change an entry of the grain table and of its copy."""
    return every(l32(GT + 4 * number, value), l32(RGT + 4 * number, value))


def text(old: str, new: str) -> Damage:
    """Change the descriptor's text."""

    def apply(path: Path) -> None:
        content = damage.read(path, DESCRIPTOR, 20 * 512)
        assert old.encode() in content
        changed = content.rstrip(b"\0").replace(old.encode(), new.encode())
        put(DESCRIPTOR, changed.ljust(20 * 512, b"\0"))(path)

    return apply


TYPES = ("twoGbMaxExtentSparse", "vmfsSparse", "vmfs", "custom", "monolithicFlat", "fullDevice", "")
VMDK_ROWS = (
    refused("version-0", l32(4, 0), "version 1, 2 or 3", offset=4),
    refused("version-4", l32(4, 4), "version 1, 2 or 3", offset=4),
    refused("unknown-flag", l32(8, 3 | 1 << 20), "flags that are known", offset=8),
    refused("flag-compressed", l32(8, 3 | 1 << 16), "flags that are known", offset=8),
    refused("flags-of-a-stream", every(l32(8, 3 | 3 << 16), l16(77, 1)), "flags of type", offset=8),
    refused("capacity-of-zero", l64(12, 0), "capacity", offset=12),
    refused("capacity-of-all-ones", l64(12, 2**64 - 1), "capacity", offset=12),
    refused("capacity-of-another-disk", l64(12, 16384), "16384 sectors", "32768", offset=12),
    refused("grain-of-zero", l64(20, 0), "grains of", offset=20),
    refused("grain-of-3", l64(20, 192), "grains of", offset=20),
    refused("grain-of-all-ones", l64(20, 2**64 - 1), "grains of", offset=20),
    Row("another-grain", l64(20, 64), None),
    refused("no-descriptor", l64(28, 0), "descriptor", "split disk", offset=28),
    refused("descriptor-outside", l64(28, 1 << 40), "descriptor inside", offset=28),
    refused("descriptor-empty", put(DESCRIPTOR, bytes(20 * 512)), "descriptor", "split disk", offset=28),
    refused("descriptor-of-all-ones", l64(36, 2**64 - 1), "descriptor inside", offset=28),
    refused("tables-of-256", l32(44, 256), "512 entries", offset=44),
    refused("tables-of-zero", l32(44, 0), "512 entries", offset=44),
    refused("tables-of-all-ones", l32(44, 0xFFFFFFFF), "512 entries", offset=44),
    refused("copy-outside", l64(48, 1 << 40), "grain directory inside", offset=48),
    refused("copy-is-the-directory", l64(48, GD // 512), "apart"),
    refused("directory-outside", l64(56, 1 << 40), "grain directory inside", offset=56),
    refused("directory-nowhere", l64(56, 0), "grain directory inside", offset=56),
    refused("directory-at-the-end", l64(56, 2**64 - 1), "footer"),
    refused("directory-is-data", l64(56, GRAINS)),
    refused("unclean", put(72, b"\1"), "was closed", "unclean", offset=72),
    refused("line-ends", put(73, b"\r"), "line ends", "as text", offset=73),
    refused("compression", l16(77, 1), "as the flags say", offset=77),
    Row("no-tables", every(l32(GD, 0), l32(RGD, 0)), None),
    refused("table-outside", l32(GD, 0xFFFFFFF0), "inside the file and apart"),
    refused("table-over-the-header", l32(GD, 0xFFFFFFFF), "inside the file and apart"),
    refused("table-is-the-copy", l32(GD, RGT // 512), "inside the file and apart"),
    refused("table-without-copy", l32(RGD, 0), "redundant copy", offset=48),
    refused("grain-differs-from-copy", l32(GT, GRAINS + 128), "redundant copy", offset=GT),
    refused("grain-of-the-copy-differs", l32(RGT + 4 * 9, 9), "redundant copy", offset=GT),
    refused("grain-outside", grain(0, 0xFFFFFF00), "grain at", "it is cut"),
    refused("grain-over-the-directory", grain(0, GD // 512), "of its own", offset=GT),
    refused("grain-over-a-table", grain(0, GT // 512 + 1), "of its own", offset=GT),
    refused("grain-over-the-header", grain(0, 1), "of its own", offset=GT),
    refused("grain-twice", grain(200, GRAINS), "of its own", "over something else", offset=GT + 800),
    refused("grain-shifted", grain(200, GRAINS + 5), "of its own", "over something", offset=GT + 800),
    refused("grain-beyond-the-disk", grain(300, GRAINS + 128 * 400), "grain at", "it is cut"),
    Row("grain-absent", grain(0, 0), None),
    *(
        refused(f"type-{kind or 'none'}", text('"monolithicSparse"', f'"{kind}"'), "type mono", f"“{kind}”")
        for kind in TYPES
    ),
    refused("two-types", text("CID=", 'createType="streamOptimized"\nCID='), "one createType"),
    refused("snapshot", text("parentCID=ffffffff", "parentCID=12345678"), "without a parent", "snapshot"),
    refused(
        "snapshot-named",
        text("parentCID=ffffffff", 'parentCID=12345678\nparentFileNameHint="/etc/base.vmdk"'),
        "without a parent",
        "“base.vmdk”",
    ),
    refused("no-parent-identifier", text("parentCID=ffffffff", ""), "without a parent"),
    refused("extent-flat", text(" SPARSE ", " FLAT "), "one sparse extent", "FLAT"),
    refused("extent-no-access", text("RW ", "NOACCESS "), "one sparse extent"),
    refused("two-extents", text("RW ", 'RW 1 SPARSE "a"\nRW '), "one sparse extent"),
    refused("no-extent", text("RW ", "XX "), "one sparse extent", "none"),
    refused("extent-of-another-size", text("RW 32768", "RW 32000"), "32768 sectors", "32000", offset=12),
    refused("cut-in-a-sector", cut(-1), "whole sectors", "it is cut"),
    refused("cut-by-a-sector", cut(-512), "grain at", "it is cut"),
    refused("cut-to-the-metadata", cut(GRAINS * 512), "grain at", "it is cut"),
    refused("cut-to-the-header", cut(512), "whole sectors", "it is cut"),
    harmless("rounded-up", text("RW 32768", "RW 32767")),
    harmless("overhead", l64(64, 0)),
    harmless("no-copy", l32(8, 1)),
    harmless("extent-of-another-name", text('SPARSE "', 'SPARSE "/etc/')),
)


@rows(*VMDK_ROWS)
def test_damage_to_vmdk(row: Row, sparse: Path, tmp_path: Path) -> None:
    """Header, descriptor, both directories and their tables."""
    expect(row, sparse, tmp_path)


def marker(field: int, layout: str, value: int) -> Damage:
    """Change the marker of the first grain."""

    def apply(path: Path) -> None:
        at = 512 * struct.unpack("<I", damage.read(path, GT, 4))[0]
        put(at + field, struct.pack(layout, value))(path)

    return apply


STREAM_ROWS = (
    refused("marker-of-another-grain", marker(0, "<Q", 128), "marker of the grain of sector 0", "128"),
    refused("length-of-zero", marker(8, "<I", 0), "compressed data inside", "0 bytes"),
    refused("length-of-all-ones", marker(8, "<I", 0xFFFFFFFF), "compressed data inside"),
    refused("length-less", marker(8, "<I", 20), "compressed data of 65536", "breaks off|0"),
    refused("data", marker(20, "<Q", 2**64 - 1), "compressed data of 65536", "error"),
    refused("grain-twice", lambda path: grain(200, grain_of(path, 0))(path), "of its own", offset=GT + 800),
    refused("grain-is-another", lambda path: grain(0, grain_of(path, 0) + 1)(path), "marker|of its own"),
    refused("grain-over-the-table", grain(0, GT // 512), "of its own", offset=GT),
    refused("cut-in-a-sector", cut(-1), "whole sectors", "it is cut"),
    refused("cut-before-the-last-grain", lambda path: cut(512 * max(grains_of(path)))(path), "", "it is cut"),
    refused("cut-to-the-metadata", cut(GRAINS * 512), "", "it is cut"),
)


def grains_of(path: Path) -> tuple[int, ...]:
    """The grain table."""
    return struct.unpack("<512I", damage.read(path, GT, 2048))


def grain_of(path: Path, number: int) -> int:
    """An entry of the grain table."""
    return grains_of(path)[number]


@rows(*STREAM_ROWS)
@pytest.mark.parametrize("which", ["stream", "headed_stream"])
def test_damage_to_streams(row: Row, which: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    """Markers say which grain follows; the data has a checksum of its own (zlib's)."""
    expect(row, request.getfixturevalue(which), tmp_path)


def test_a_stream_without_footer_that_is_cut_in_its_last_grain(tmp_path: Path) -> None:
    """Its marker says how long it is."""
    target = copy_of(built(patterned(ODD), CONTAINERS["vmdk-stream"][0]), tmp_path)
    damage.truncate(target, 512 * max(grains_of(target)) + 512)
    expect_refused(target, Layer.CONTAINER, "compressed data inside the file")


FOOTER_ROWS = (
    refused("no-footer-marker", l32(-1536 + 12, 0), "footer between its markers"),
    refused("no-end-of-stream", l64(-512, 1), "footer between its markers"),
    refused("no-magic", put(-1024, b"XXXX"), "the header again"),
    refused("another-version", l32(-1024 + 4, 1), "the header again"),
    refused("another-grain", l64(-1024 + 20, 64), "the header again"),
    refused("another-capacity", l64(-1024 + 12, 99), "the header again"),
    refused("no-directory", l64(-1024 + 56, 2**64 - 1), "place of the grain directory"),
    refused("directory-outside", l64(-1024 + 56, 1 << 40), "grain directory inside"),
    refused("directory-is-the-footer", l64(-1024 + 56, 0), "grain directory inside"),
    refused("appended", append(bytes(512)), "footer between its markers"),
    refused("cut-by-a-sector", cut(-512), "footer between its markers", "it is cut"),
    harmless("capacity-only-in-the-footer", l64(12, 0)),
)


@rows(*FOOTER_ROWS)
def test_damage_to_the_footer_of_a_stream(row: Row, stream: Path, tmp_path: Path) -> None:
    """It is the header of what was written in one go."""
    expect(row, stream, tmp_path)


def test_extents_of_split_disks_are_named(tmp_path: Path) -> None:
    """The descriptor and each of the extents: neither is the disk."""
    raw = build(small_disk(), "raw")
    need("qemu-img")
    for subformat, word in (("twoGbMaxExtentSparse", "s001"), ("monolithicFlat", "flat")):
        target = tmp_path / f"{subformat}.vmdk"
        vmdk(subformat=subformat).write(raw, target, 512)
        expect_refused(target, Layer.CONTAINER, "disk image", "VMDK descriptor")
        (extent,) = [path for path in tmp_path.glob(f"{subformat}-*.vmdk") if word in path.name]
        if word == "s001":
            expect_refused(extent, Layer.CONTAINER, "a descriptor", "split disk")


# --- VDI -----------------------------------------------------------------------------------------

MAP = 512


@pytest.fixture(scope="session")
def blocks() -> Path:
    """A healthy VDI of 16 MiB, the upper half empty."""
    image = built(small_disk(size=16 * MiB), Qemu("vdi", ".vdi"))
    assert struct.unpack("<II", damage.read(image, 340, 8)) == (MAP, 1024)
    assert damage.read(image, MAP, 4) == bytes(4)
    return image


VDI_ROWS = (
    refused("version-1.0", l32(68, 0x00010000), "version 1.1", "1.0", offset=68),
    refused("version-2.1", l32(68, 0x00020001), "version 1.1", "2.1", offset=68),
    refused("header-of-zero", l32(72, 0), "header of", offset=72),
    refused("header-of-all-ones", l32(72, 0xFFFFFFFF), "header of", offset=72),
    refused("type-0", l32(76, 0), "dynamic or fixed", "type 0", offset=76),
    refused("type-undo", l32(76, 3), "dynamic or fixed", "undo", offset=76),
    refused("type-differencing", l32(76, 4), "dynamic or fixed", "differencing", offset=76),
    refused("type-5", l32(76, 5), "dynamic or fixed", "type 5", offset=76),
    refused("map-over-the-header", l32(340, 100), "map behind the header", offset=340),
    refused("map-over-data", l32(340, 1024), "map behind the header", offset=340),
    refused("data-outside", l32(344, 0xFFFFFE00), "map behind the header", offset=340),
    refused("data-elsewhere", l32(344, 1536)),
    refused("size-of-zero", l64(368, 0), "whole sectors", offset=368),
    refused("size-of-half-a-sector", l64(368, 16 * MiB - 256), "whole sectors", offset=368),
    refused("size-beyond-the-map", l64(368, 17 * MiB), "blocks", offset=384),
    refused("size-of-all-ones", l64(368, 2**64 - 512), "blocks", offset=384),
    refused("block-size-of-zero", l32(376, 0), "power of two", offset=376),
    refused("block-size-of-3M", l32(376, 3 * MiB), "power of two", offset=376),
    refused("another-block-size", l32(376, 2 * MiB)),
    refused("extra-data", l32(380, 512), "without additional data", offset=380),
    refused("no-blocks", l32(384, 0), "blocks", offset=384),
    refused("blocks-of-all-ones", l32(384, 0xFFFFFFFF), "blocks", offset=384),
    refused("too-many-in-use", l32(388, 17), "blocks in use", offset=388),
    refused("none-in-use", l32(388, 0), "blocks inside the file", offset=MAP),
    refused("parent", put(424, b"\1"), "without a parent", "00000001-", offset=424),
    refused("block-outside", l32(MAP, 0xFFFFFFF0), "inside the file", offset=MAP),
    refused("block-at-the-end", l32(MAP, 15), "inside the file", "15", offset=MAP),
    refused("block-twice", l32(MAP + 4 * 15, 0), "of its own", "0 twice", offset=MAP + 60),
    Row("block-absent", l32(MAP, 0xFFFFFFFF), None),
    Row("block-zero", l32(MAP, 0xFFFFFFFE), None),
    refused("cut-by-a-byte", cut(-1), "inside the file"),
    refused("cut-to-the-map", cut(1024), "inside the file", offset=MAP),
    refused("cut-in-the-map", cut(600), "map behind the header"),
    refused("cut-to-half-a-header", cut(300)),
    harmless("comment", put(84, b"\x1b[31mcomment")),
    harmless("appended", append(bytes(700))),
)


@rows(*VDI_ROWS)
def test_damage_to_vdi(row: Row, blocks: Path, tmp_path: Path) -> None:
    """Header and block map."""
    expect(row, blocks, tmp_path)


# --- what holds for all --------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["qcow2", "qcow2-compressed", "vmdk", "vmdk-stream-with-footer", "vdi"])
def test_a_cut_image_is_never_judged(command: Command, image: Image, name: str) -> None:
    """A copy that broke off, at twenty places and at the very end."""
    path = image(generalized(), CONTAINERS[name][0])
    size = path.stat().st_size
    for length in (size - 1, *(size * twentieth // 20 for twentieth in range(19, -1, -1))):
        damage.truncate(path, length)
        assert command.judge(path).answer == ("indeterminate", 3), f"cut to {length} of {size} bytes"


@pytest.mark.parametrize("name", ["qcow2", "vmdk", "vmdk-stream", "vdi"])
def test_noise_in_the_metadata_never_ends_as_another_disk(name: str, tmp_path: Path) -> None:
    """Bits of the metadata flipped, one at a time: the disk is the same, or it is refused."""
    import random

    whole = built(patterned(ODD), CONTAINERS[name][0])
    expected = build(patterned(ODD), "raw").read_bytes()
    content, dice = whole.read_bytes(), random.Random(name)
    metadata = {"qcow2": DATA, "vdi": 1024}.get(name, GRAINS * 512)
    used = [at for at in range(metadata) if content[at]]
    for at in dice.sample(used, min(60, len(used))):
        changed = bytearray(content)
        changed[at] ^= 1 << dice.randrange(8)
        try:
            disk = open_foreign(Bytes(bytes(changed)), name.partition("-")[0])
            data = disk.read_at(0, disk.size)
        except Unreadable:
            continue
        same = data == expected[: len(data)]
        assert same or _only_the_table_says(name, at), f"another disk with byte {at:#x} changed"


def _only_the_table_says(name: str, at: int) -> bool:
    """Entries and sizes that may mean something else and yet be in bounds: nothing checks them."""
    if name == "qcow2":
        return L2 <= at < DATA or 24 <= at < 32
    return name == "vdi" and (MAP <= at < 1024 or 368 <= at < 376)


@pytest.mark.parametrize("kind", ["qcow2", "vmdk"])
def test_a_neighbour_that_the_image_names_is_not_opened(
    kind: str, command: Command, image: Image, small: Path, sparse: Path
) -> None:
    """A backing file or parent beside the image: named, and left alone."""
    from tests.test_promises import WATCHED

    path = image(small_disk(size=16 * MiB), CONTAINERS[kind][0])
    neighbour = path.with_name("base.img")
    neighbour.write_bytes(build(small_disk(), "raw").read_bytes())
    if kind == "qcow2":
        backing(b"base.img")(path)
    else:
        text("parentCID=ffffffff", 'parentCID=12345678\nparentFileNameHint="base.img"')(path)
    outcome = command.process("check", path, script=WATCHED)
    assert outcome.code == 3
    assert "base.img" in outcome.stdout
    assert str(path) in outcome.stderr
    assert "base.img" not in outcome.stderr


@pytest.mark.parametrize("name", ["qcow2", "vmdk", "vmdk-stream", "vdi"])
def test_only_the_image_is_opened(name: str, command: Command, image: Image) -> None:
    """A stream without a name is all that dissect gets."""
    from tests.test_promises import WATCHED

    path = image(generalized(), CONTAINERS[name][0])
    for beside in ("disk.001", "disk-flat.vmdk", "disk-s001.vmdk", ".targetcfg.py"):
        path.with_name(beside).write_bytes(b"bait")
    outcome = command.process("check", path, script=WATCHED, env={"PYTHONDONTWRITEBYTECODE": "1"})
    assert outcome.code == 0
    assert outcome.stderr.count(str(path.parent)) == 1


@pytest.mark.parametrize(
    ("name", "container"),
    [
        ("qcow2", qcow2(preallocation="metadata")),
        ("qcow2-2M", qcow2(cluster_size="2M")),
        ("vmdk", vmdk()),
        ("stream", vmdk(subformat="streamOptimized")),
        ("vdi", Qemu("vdi", ".vdi")),
    ],
)
def test_a_large_disk_is_not_read_whole(name: str, container: Container) -> None:
    """127 GiB: the tables of a QCOW2 are verified as they are used, those of a VMDK lie side by side."""
    report = validate(built(small_disk(size=127 * GiB), container), "generalized")
    assert report.verdict is Verdict.DEPLOYABLE, report.summary
    assert report.io.bytes_read < (MiB if name == "qcow2" else 10 * MiB)
    assert report.duration_ms < 5_000


def test_a_table_is_verified_once(small: Path) -> None:
    """Reading on in the same 32 MiB asks for no table again."""
    with open_source(small) as source:
        disk = Qcow2Disk(source)
        disk.read_at(0, 4096)
        reads = source.budget.count.reads
        for at in range(0, 4096, 64):
            disk.read_at(at, 64)
        assert source.budget.count.reads == reads


TABLES = Disk(
    tuple(Blob(noise(MiB + 4096, str(index)), 33 * MiB) for index in range(3)), "mbr", size=101 * MiB
)
"""A disk of four grain tables, or four pieces of an L2 table."""


@pytest.mark.parametrize("name", ["qcow2", "qcow2-compressed", "vmdk", "vmdk-stream", "vdi"])
def test_every_byte_of_a_disk_of_several_tables(name: str) -> None:
    """Whatever the order in which they are asked for."""
    container, unit = CONTAINERS[name]
    with open_image(built(TABLES, container)) as disk:
        check_decoder(disk, build(TABLES, "raw").read_bytes(), unit * 16)


@pytest.mark.parametrize("name", ["qcow2", "qcow2-compressed", "vmdk", "vmdk-stream"])
def test_what_two_tables_share_is_damage_once_both_were_used(name: str, tmp_path: Path) -> None:
    """Each alone is sound: the overlap is found by whichever comes second."""
    target = copy_of(built(TABLES, CONTAINERS[name][0]), tmp_path)
    kind = name.partition("-")[0]
    if kind == "qcow2":
        damage.overwrite(target, L2 + 8 * 512, damage.read(target, L2, 8))
    else:
        for directory in struct.unpack("<QQ", damage.read(target, 48, 16)):
            first, second = struct.unpack("<II", damage.read(target, 512 * directory, 8))
            damage.overwrite(target, second * 512, damage.read(target, first * 512, 4))
    for first, second in ((0, 32 * MiB), (32 * MiB + 2 * CLUSTER, 0)):
        with open_source(target) as source:
            disk = open_foreign(source, kind)
            disk.read_at(first, 512)
            evidence = refuses(lambda disk=disk, at=second: disk.read_at(at, 512))  # type: ignore[misc]
        assert "over something else" in evidence.found


def test_grains_need_not_lie_on_multiples_of_their_size(sparse: Path, tmp_path: Path) -> None:
    """A grain five sectors behind the others' end is as good as any."""
    target = copy_of(sparse, tmp_path)
    content = damage.read(target, 512 * GRAINS, CLUSTER)
    end = target.stat().st_size // 512
    append(bytes(5 * 512) + content)(target)
    grain(0, end + 5)(target)
    expect_deployable(target)
    grain(200, end)(target)
    expect_refused(target, Layer.CONTAINER, "a grain of its own", "over something else")


@pytest.mark.parametrize("name", ["qcow2", "qcow2-compressed", "vmdk", "vmdk-stream"])
def test_an_answer_does_not_get_to_know_all_clusters(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The memory for what was seen is bounded."""
    monkeypatch.setattr(foreign, "MAX_UNITS", 3)
    with open_image(built(TABLES, CONTAINERS[name][0])) as disk:
        disk.read_at(0, 1)
        evidence = refuses(lambda: disk.read_at(33 * MiB, 1), Layer.CONTAINER)
    assert "asks for more" in evidence.found


# --- the second reader ---------------------------------------------------------------------------


class Engine:
    """A second reader that does something else."""

    def __init__(self, act: Callable[[int], bytes]) -> None:
        self.read = act

    def seek(self, offset: int) -> None:
        """Stay."""


def fail(error: BaseException) -> Callable[[int], bytes]:
    """Raise it."""

    def act(length: int) -> bytes:
        raise error

    return act


@pytest.mark.parametrize(
    ("act", "word"),
    [
        (lambda length: b"\1" * length, "others from dissect"),
        (lambda length: b"", "others from dissect"),
        (fail(ValueError("broken")), "ValueError: broken"),
        (fail(AssertionError()), "AssertionError"),
        (fail(RecursionError("deep")), "RecursionError"),
        (fail(EOFError()), "EOFError"),
    ],
)
def test_a_second_reader_that_differs_or_fails_is_doubt(
    act: Callable[[int], bytes], word: str, blocks: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever it raises, the evidence is the container's."""
    monkeypatch.setattr(foreign.VdiDisk, "_open_engine", lambda self: Engine(act))
    evidence = refuses(lambda: validate_first_sector(blocks), Layer.CONTAINER)
    assert word in evidence.found
    expect_refused(blocks, Layer.CONTAINER, "second reader|two readers", word)


def validate_first_sector(path: Path) -> bytes:
    """Read the first sector."""
    with open_source(path) as source:
        return open_foreign(source, "vdi").read_at(0, 512)


def test_what_the_file_says_stays_what_it_is(blocks: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A spent budget is no damage of the container; Ctrl-C is no answer."""
    spent = Unreadable(Evidence(Location(Layer.FILE), "spent", "less"))
    monkeypatch.setattr(foreign.VdiDisk, "_open_engine", lambda self: Engine(fail(spent)))
    assert refuses(lambda: validate_first_sector(blocks)).where.layer is Layer.FILE
    monkeypatch.setattr(foreign.VdiDisk, "_open_engine", lambda self: Engine(fail(KeyboardInterrupt())))
    with pytest.raises(KeyboardInterrupt):
        validate_first_sector(blocks)


@pytest.mark.parametrize("name", ["qcow2", "qcow2-compressed", "vmdk", "vmdk-stream", "vdi"])
def test_a_spent_budget_is_said(name: str) -> None:
    """At any read, also inside dissect."""
    image = built(small_disk(), CONTAINERS[name][0])
    for limit in range(0, 100_000, 10_000):
        with Files(Budget(max_bytes=limit)) as files:
            evidence = refuses(lambda files=files: read_whole(files, image), Layer.FILE)  # type: ignore[misc]
        assert "asks for more" in evidence.found


def read_whole(files: Files, image: Path) -> bytes:
    """All bytes of the disk in an image."""
    disk = open_disk(files.open(str(image)), files)
    return disk.read_at(0, disk.size)


def test_dissect_alone_is_wrong_as_told() -> None:
    """The reasons for one unit at a time and an alignment of ours; the day this fails, they may go."""
    from dissect.hypervisor.disk.vdi import VDI
    from dissect.hypervisor.disk.vmdk import VMDK

    expected = build(patterned(ODD + 512), "raw").read_bytes()
    with open_source(built(patterned(ODD + 512), CONTAINERS["vdi"][0])) as source:
        disk = VDI(Stream(source)).open()
        assert disk.read(len(expected)) != expected
    with open_source(built(patterned(ODD + 512), CONTAINERS["vmdk"][0])) as source:
        tail = VMDK(Stream(source))
        tail.seek(-512, io.SEEK_END)
        with pytest.raises(IndexError):
            tail.read(512)


def test_all_are_deployable(small: Path, packed: Path, sparse: Path, stream: Path, blocks: Path) -> None:
    """Otherwise no row above would prove anything."""
    for image in (small, packed, sparse, stream, blocks):
        expect_deployable(image)
