"""Containers made by others: what INDEX.md of the corpus says about each, as several readers found it."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from tests.conftest import Corpus
from tests.hostile import MENDED, Mend, MiB, expect_refused, open_image, refuses
from validator.evidence import Layer
from validator.judging import Verdict
from validator.validation import validate

CHUNK = 8 * MiB

SOUND = {
    "containers/vhdx/iotest-dynamic-1G.vhdx.bz2": (
        1073741824,
        "d3d112d8dab7fd360609f7d5a7b769904b7a2a7d7b6b8c535f65a23293c05478",
    ),
    "containers/vhdx/test-disk2vhd.vhdx.bz2": (
        268435456,
        "96d964042be9b58dda1725567abfb0cf9fd8380e2118754afa979c2ad445938a",
    ),
    "containers/vhdx/gpt-ntfs-5M.vhdx.xz": (
        5242880,
        "762ca4030df6cf834f5121ed2ecf52fe6cfd3294673406867ef94b9e0990143e",
    ),
    "containers/vhd/d2v-zerofilled.vhd.bz2": (
        263454720,
        "1ba076be94a8a64541c25aae8d5a5f8b0da758c3797af597e03acb431ff8d143",
    ),
    "containers/vhd/plaso-image.vhd.xz": (
        104448,
        "c6db12a7db548e193c29420c1b4533e4708b20c5033db5cc29ef075d48316d25",
    ),
    "containers/vhd/original-size-mismatch.vhd": (
        2123776,
        "100f317b5a397b22cd57cb01a71d4f3f66928fb6df6c83ac409e32480006cb94",
    ),
    "containers/qcow2/windows_volume.qcow2.xz": (
        35913728,
        "44abe9deca9658f331a2bdba2deb53192d04f35d157a1fb3ba0597b03f0524f2",
    ),
    "containers/qcow2/ext2.qcow2.xz": (
        4194304,
        "a6c2f0e39afe6c6ab432ca5465349fcefe8dc944398e97b2d957d3f89dbb5d80",
    ),
    "containers/vmdk/image.vmdk.xz": (
        102400,
        "854c3db1c4a07a241e2ed9fbd8892adf2adc662c7862a75deed26f3483f414c9",
    ),
}
"""Sizes and SHA-256 of virtual disks that need no recovery."""

HUGE = {
    "containers/vhdx/swap.vhdx.gz": 10737418240,
    "containers/vhd/hyperv2012r2-dynamic.vhd.bz2": 136365211648,
}
"""Disks that are too large to be read whole in a test."""

UNSOUND = {
    "containers/vhdx/iotest-dirtylog-10G-4M.vhdx.bz2": ("log", ""),
    "containers/vhd/image.vhd.xz": ("checksum", "0x"),
    "containers/vhd/image-differential.vhd.xz": ("parent|dynamic|checksum", ""),
    "containers/vhd/fat-differential-orphan.vhd.xz": ("parent|dynamic", ""),
    "raw/grub_mbr.raw": ("", ""),
    "raw/ntfs-charlie.dd.bz2": ("", ""),
}
"""What the evidence of the container's layer must say."""


@pytest.fixture
def unpacked(corpus: Corpus, tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    """A file of the corpus under its own name, holes where it has zeros."""
    name: str = request.param
    path = tmp_path / Path(name).name.removesuffix(".xz").removesuffix(".bz2").removesuffix(".gz")
    data, zeros = memoryview(corpus[name]), bytes(MiB)
    with path.open("wb") as file:
        for at in range(0, len(data), MiB):
            if data[at : at + MiB].tobytes() != zeros:
                file.seek(at)
                file.write(data[at : at + MiB])
        file.truncate(len(data))
    return path


def of(names: dict[str, object]) -> pytest.MarkDecorator:
    """Give a test each of these files, unpacked."""
    return pytest.mark.parametrize("unpacked", names, indirect=True, ids=[Path(name).name for name in names])


def key(table: dict[str, object], path: Path) -> object:
    """The entry about an unpacked file."""
    (found,) = [value for name, value in table.items() if Path(name).name.startswith(path.name)]
    return found


def expect_intact_but_no_windows(path: Path) -> None:
    """None of them holds a Windows: the container is sound, and the answer is that it cannot be told."""
    report = validate(path, "generalized")
    assert report.verdict is Verdict.INDETERMINATE
    assert report.duration_ms < 10_000
    (container,) = [layer for layer in report.layers if layer.kind == "container"]
    assert container.state == "intact"


@of(SOUND)  # type: ignore[arg-type]
def test_sound_containers_hold_the_disk_that_others_read(unpacked: Path) -> None:
    """Read whole, through our block map and the second reader."""
    size, digest = key(SOUND, unpacked)  # type: ignore[arg-type, misc]
    with open_image(unpacked) as disk:
        assert disk.size == size
        state = hashlib.sha256()
        for at in range(0, size, CHUNK):
            state.update(disk.read_at(at, min(CHUNK, size - at)))
        assert state.hexdigest() == digest
        refuses(lambda: disk.read_at(size, 1))
    expect_intact_but_no_windows(unpacked)


@of(HUGE)  # type: ignore[arg-type]
def test_huge_sound_containers_can_be_read_anywhere(unpacked: Path) -> None:
    """Opened at once, and read where it is asked for; what no block holds is zero."""
    size = key(HUGE, unpacked)
    with open_image(unpacked) as disk:
        assert disk.size == size
        pieces = [disk.read_at(size * part // 16 // 512 * 512, 4096) for part in range(16)]
        assert disk.read_at(size - 512, 512) == bytes(512)
        if unpacked.suffix == ".vhd":
            assert not any(map(any, pieces))
        else:
            assert disk.read_at(4086, 10) == b"SWAPSPACE2"
    expect_intact_but_no_windows(unpacked)


@of(UNSOUND)  # type: ignore[arg-type]
def test_unsound_containers_are_refused(unpacked: Path) -> None:
    """Pending logs, wrong checksums, missing parents, no container at all: each is named."""
    if "dirtylog" in unpacked.name and Mend.VHDX_LOG in MENDED:
        (container,) = [
            layer for layer in validate(unpacked, "generalized").layers if layer.kind == "container"
        ]
        assert container.state == "recovered"
        return
    expected, found = key(UNSOUND, unpacked)  # type: ignore[misc]
    expect_refused(unpacked, Layer.CONTAINER, expected, found)


def test_a_file_made_by_windows_is_read(corpus: Corpus, tmp_path: Path) -> None:
    """NTFS written by Windows itself, in a VHDX written by Windows itself."""
    from validator.disk.ntfs import NtfsVolume
    from validator.disk.partitions import read_partition_table
    from validator.disk.volumes import window

    path = tmp_path / "test.vhdx"
    path.write_bytes(corpus["containers/vhdx/gpt-ntfs-5M.vhdx.xz"])
    with open_image(path) as disk:
        (partition,) = read_partition_table(disk).partitions
        assert (partition.offset // 512, partition.size // 512) == (128, 6144)
        file = NtfsVolume(window(disk, partition), 1).open(r"Users\Administrator\Secret.txt.txt")
        assert file is not None
        assert file.read_at(0, 9) == b"My Secret"
