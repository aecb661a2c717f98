"""Containers: recognised by content, opened as a disk whose every read is checked.

The extension chooses no reader. It can only refuse one: content that no format claims is a raw disk
only under a name that does not say otherwise, and only with a valid partition table.
"""

import struct
from dataclasses import dataclass
from typing import Protocol

from validator.evidence import Layer, Location, Unreadable, damaged
from validator.source import ByteSource, beyond_end


@dataclass(frozen=True, slots=True)
class Container:
    """What the container says of itself. Sizes in bytes; GUIDs lower case."""

    format: str
    """`vhd`, `vhdx` or `raw`."""
    subformat: str | None
    """`fixed` or `dynamic`; None for raw."""
    file_size: int
    virtual_size: int
    logical_sector_size: int | None
    """512 or 4096; None where the format does not say (raw)."""
    block_size: int | None
    disk_id: str | None
    creator: str | None
    checksums: bool
    """Whether the format protects its structures by checksums, so that they could be verified."""


class Disk(ByteSource, Protocol):
    """The virtual disk as the guest sees it."""

    @property
    def container(self) -> Container:
        """What the container says of itself."""


@dataclass(frozen=True, slots=True)
class RawDisk:
    """A file that is the disk, byte for byte."""

    source: ByteSource

    @property
    def size(self) -> int:
        """Length of the disk in bytes."""
        return self.source.size

    @property
    def container(self) -> Container:
        """A raw image says nothing of itself."""
        return Container("raw", None, self.size, self.size, None, None, None, None, checksums=False)

    def read_at(self, offset: int, length: int) -> bytes:
        """See `ByteSource`."""
        return self.source.read_at(offset, length)


FORMATS = ("vhd", "vhdx", "raw")
"""What `--input-format` takes."""

_CONVERT = "convert it with qemu-img convert -O vhdx"
_MAGIC = (
    # offset, bytes, format; other programs' containers are named so that a person knows what to do
    (0, b"vhdxfile", "vhdx"),
    (0, b"conectix", "vhd"),
    (-512, b"conectix", "vhd"),
    (-511, b"conectix", "vhd"),
    (0, b"QFI\xfb", f"a QCOW2 image, which is not read yet: {_CONVERT}"),
    (0, b"KDMV", f"a VMDK extent, which is not read yet: {_CONVERT}"),
    (0, b"COWD", f"an old VMDK extent, which is not read: {_CONVERT}"),
    (0, b"# Disk DescriptorFile", f"a VMDK descriptor of a split disk, which is not read: {_CONVERT}"),
    (0x40, b"\x7f\x10\xda\xbe", f"a VDI image, which is not read yet: {_CONVERT}"),
    (0, b"MSWIM\0\0\0", "a WIM archive, not a disk"),
    (0, b"EVF\x09", "an EnCase image, which is not read"),
    (0, b"PK\x03\x04", "a ZIP archive: unpack it first"),
    (0, b"\x1f\x8b", "a gzip archive: unpack it first"),
    (0, b"\xfd7zXZ\0", "an xz archive: unpack it first"),
    (0, b"\x28\xb5\x2f\xfd", "a Zstandard archive: unpack it first"),
    (0, b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive: unpack it first"),
    (0x8001, b"CD001", "an ISO 9660 image, not a disk"),
)
_VHD_NAMES = {"vhd": "vhd", "avhd": "vhd", "vhdx": "vhdx", "avhdx": "vhdx"}


def recognise(source: ByteSource, name: str) -> str:
    """The format of an image: `vhd`, `vhdx` or `raw`.

    Args:
        source: the image file.
        name: its file name, whose extension may refuse the last resort, raw.

    Raises:
        Unreadable: where the content is another program's format or no format's.
    """
    where = Location(Layer.CONTAINER, 0)
    expected = "a VHD, VHDX or raw disk image"
    if source.size == 0:
        raise damaged(where, expected=expected, found="an empty file")
    for offset, magic, known in _MAGIC:
        start = offset if offset >= 0 else source.size + offset
        if start < 0 or start + len(magic) > source.size:
            continue
        if source.read_at(start, len(magic)) == magic:
            if known in FORMATS:
                return known
            raise damaged(where, expected=expected, found=known)
    claimed = _VHD_NAMES.get(name.rpartition(".")[2].lower())
    if claimed:
        raise damaged(
            where,
            expected=f"a {claimed.upper()} container, as the name says",
            found=f"neither its signature nor a copy of it; the file begins with {_quoted(source)}",
        )
    return "raw"


def _quoted(source: ByteSource) -> str:
    head = source.read_at(0, min(16, source.size))
    return f"the text “{head.decode()}”" if head.isascii() and head.decode().isprintable() else head.hex(" ")


def open_disk(source: ByteSource, name: str, input_format: str | None = None) -> Disk:
    """The virtual disk in an image file, its container verified.

    Args:
        source: the image file.
        name: its file name.
        input_format: one of `FORMATS` to overrule what the content says.

    Raises:
        Unreadable: where the container is unknown, damaged, or needs a recovery that is not done.
    """
    kind = input_format or recognise(source, name)
    if kind == "raw":
        disk = RawDisk(source)
        if input_format is None:
            _refuse_without_partition_table(disk)
        return disk
    if kind == "vhd":
        from validator.disk.vhd import open_vhd

        mapped: Disk = open_vhd(source)
    else:
        from validator.disk.vhdx import open_vhdx

        mapped = open_vhdx(source)
    from validator.disk.witness import WitnessedDisk

    return WitnessedDisk(mapped, source)


def _refuse_without_partition_table(disk: Disk) -> None:
    from validator.disk.partitions import read_partition_table

    try:
        read_partition_table(disk)
    except Unreadable as error:
        raise damaged(
            Location(Layer.CONTAINER, 0),
            expected="a VHD or VHDX container, or a raw disk with a valid partition table",
            found=f"neither; read as a raw disk: {error.evidence.found}",
        ) from error


class BlockDisk:
    """A disk made of blocks of one size: splits each read at the block borders.

    A subclass says what lies in one block. (One known reader takes the span up to the block *size*
    instead of what remains of the block, and returns whatever lies behind it in the file.)
    """

    container: Container

    @property
    def size(self) -> int:
        """Length of the virtual disk in bytes."""
        return self.container.virtual_size

    def read_at(self, offset: int, length: int) -> bytes:
        """See `ByteSource`."""
        if offset < 0 or length < 0 or offset + length > self.size:
            raise beyond_end(Layer.CONTAINER, offset, length, self.size)
        block_size = self.container.block_size or self.size
        pieces = []
        while length:
            block, within = divmod(offset, block_size)
            piece = min(length, block_size - within)
            pieces.append(self._read_block(block, within, piece))
            offset += piece
            length -= piece
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def _read_block(self, block: int, within: int, length: int) -> bytes:
        raise NotImplementedError


def unpack_at(layout: str, data: bytes, offset: int = 0) -> tuple[int, ...]:
    """`struct.unpack_from`, typed for layouts of whole numbers."""
    return struct.unpack_from(layout, data, offset)
