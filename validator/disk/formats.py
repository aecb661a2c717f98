"""Containers: recognised by content, opened as a disk whose every read is checked.

The extension chooses no reader. It can only refuse one: content that no format claims is a raw disk
only under a name that does not say otherwise, and only with a valid partition table.
"""

import os
import re

from validator.disk.container import Disk, RawDisk
from validator.disk.partitions import read_partition_table
from validator.evidence import Layer, Location, Unreadable, damaged
from validator.source import ByteSource, Files, ImageFile

FORMATS = ("vhd", "vhdx", "qcow2", "vmdk", "vdi", "raw")
"""What `--input-format` takes."""

_CONVERT = "convert it with qemu-img convert -O vhdx"
_MAGIC = (
    # offset, bytes, format; other programs' containers are named so that a person knows what to do
    (0, b"vhdxfile", "vhdx"),
    (0, b"conectix", "vhd"),
    (-512, b"conectix", "vhd"),
    (-511, b"conectix", "vhd"),
    (0, b"QFI\xfb", "qcow2"),
    (0, b"KDMV", "vmdk"),
    (0, b"COWD", f"an old VMDK extent, which is not read: {_CONVERT}"),
    (0, b"# Disk DescriptorFile", f"a VMDK descriptor, its data in other files: {_CONVERT}"),
    (0, b"\xbe\xba\xfe\xca\0\0\0\0", f"a VMDK extent of ESXi (SE sparse), which is not read: {_CONVERT}"),
    (0x40, b"\x7f\x10\xda\xbe", "vdi"),
    (0, b"MSWIM\0\0\0", "a WIM archive, not a disk"),
    (0, b"EVF\x09", "an EnCase image, which is not read"),
    (0, b"PK\x03\x04", "a ZIP archive: unpack it first"),
    (0, b"\x1f\x8b", "a gzip archive: unpack it first"),
    (0, b"\xfd7zXZ\0", "an xz archive: unpack it first"),
    (0, b"\x28\xb5\x2f\xfd", "a Zstandard archive: unpack it first"),
    (0, b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive: unpack it first"),
    (0x8001, b"CD001", "an ISO 9660 image, not a disk"),
)
_ARCHIVES = (
    (b"PK\x03\x04", "ZIP"),
    (b"PK\x05\x06", "ZIP"),  # without members
    (b"\x1f\x8b\x08", "gzip"),
    (b"\xfd7zXZ\0", "xz"),
    (b"\x28\xb5\x2f\xfd", "Zstandard"),
)
HEAD = 512
"""Bytes from which an archive is told, and an image in it."""
_VHD_NAMES = {"vhd": "vhd", "avhd": "vhd", "vhdx": "vhdx", "avhdx": "vhdx"}


def recognise(source: ByteSource, name: str) -> str:
    """The format of an image, one of `FORMATS`.

    Args:
        source: the image file.
        name: its file name, whose extension may refuse the last resort, raw.

    Raises:
        Unreadable: where the content is another program's format or no format's.
    """
    where = Location(Layer.CONTAINER, 0)
    expected = "a VHD, VHDX, QCOW2, VMDK, VDI or raw disk image"
    if source.size == 0:
        raise damaged(where, expected=expected, found="an empty file")
    claims = []
    for offset, magic, known in _MAGIC:
        start = offset if offset >= 0 else source.size + offset
        if start >= 0 and start + len(magic) <= source.size and source.read_at(start, len(magic)) == magic:
            claims.append(known)
    if len(set(claims)) > 1 and not set(FORMATS).isdisjoint(claims):
        raise damaged(
            where, expected="one container format", found=f"signatures of two: {' and '.join(claims)}"
        )
    if claims:
        if claims[0] in FORMATS:
            return claims[0]
        raise damaged(where, expected=expected, found=claims[0])
    claimed = claimed_by(name)
    if claimed:
        raise damaged(
            where,
            expected=f"a {claimed.upper()} container, as the name says",
            found="neither its signature nor a copy of it; the file is cut, or is something else: "
            f"it begins with {_quoted(source)}",
        )
    return "raw"


def claimed_by(name: str) -> str | None:
    """The format that a file says by its name to have, if that is one which a raw disk may not claim."""
    return _VHD_NAMES.get(name.rpartition(".")[2].lower())


def archive_kind(source: ByteSource) -> str | None:
    """`ZIP`, `tar`, `gzip`, `xz`, `bzip2`, `Zstandard`, or None for what is no archive of these.

    What bears the signature of a disk image as well is none: a tar archive's lies in a boot sector's code.
    """
    head = source.read_at(0, min(HEAD, source.size))
    kind = archive_that_begins(head)
    if kind is None or source.size < HEAD:
        return kind
    end = source.read_at(source.size - HEAD, 9)
    return None if b"conectix" in end else kind


def archive_that_begins(head: bytes) -> str | None:
    """The kind of archive that the first bytes of a file show, or None."""
    for magic, kind in _ARCHIVES:
        if head.startswith(magic):
            return kind
    if head[1:4] == b"\x2a\x4d\x18" and head[0] & 0xF0 == 0x50:
        return "Zstandard"  # a frame to skip, as pzstd writes it before each other one
    if head[:3] == b"BZh" and head[4:10] in (b"1AY&SY", b"\x17rE8P\x90"):
        return "bzip2"  # its first block, or the end of an empty one
    return "tar" if is_tar_header(head) and not begins_a_disk(head) else None


def is_tar_header(block: bytes) -> bool:
    """Whether a block of 512 bytes is the header of a member of a tar archive: signature and checksum."""
    if len(block) != HEAD or block[257:262] != b"ustar":
        return False
    digits = block[148:156].strip(b" \0")
    if not digits or digits.strip(b"01234567"):
        return False
    # The checksum counts its own field as blanks.
    return int(digits, 8) == sum(block) - sum(block[148:156]) + 8 * ord(" ")


def begins_a_disk(head: bytes) -> bool:
    """Whether an image begins so: with the signature of a container, or that of a boot sector."""
    return head[510:512] == b"\x55\xaa" or any(
        head.startswith(magic, offset) for offset, magic, known in _MAGIC if offset >= 0 and known in FORMATS
    )


def _quoted(source: ByteSource) -> str:
    head = source.read_at(0, min(16, source.size))
    return f"the text “{head.decode()}”" if head.isascii() and head.decode().isprintable() else head.hex(" ")


def open_disk(
    source: ImageFile, files: Files, input_format: str | None = None, parents: tuple[str, ...] = ()
) -> Disk:
    """The virtual disk in an image file, its container verified.

    Args:
        source: the image file.
        files: opens the parents of a differencing disk.
        input_format: one of `FORMATS` to overrule what the content says.
        parents: files that the user named as parents.

    Raises:
        Unreadable: where the container is unknown, damaged beyond recovery, or misses a parent.
    """
    name = os.path.basename(source.path)
    try:
        kind = input_format or recognise(source, name)
        if kind == "raw":
            disk = RawDisk(source)
            if input_format is None:
                _refuse_without_partition_table(disk)
            return disk
        if kind not in ("vhd", "vhdx"):
            from validator.disk.foreign import open_foreign

            return open_foreign(source, kind)
        from validator.disk.parents import open_chain, open_mapped

        return open_chain(open_mapped(source, kind), source.path, files, parents)
    except Unreadable as error:
        if not re.search(r"\.\d{3}$", name):
            raise
        found = f"{error.evidence.found}; by its name it is one part of a split image: join the parts first"
        raise Unreadable(error.evidence._replace(found=found)) from error


def _refuse_without_partition_table(disk: Disk) -> None:
    try:
        read_partition_table(disk)
    except Unreadable as error:
        raise damaged(
            Location(Layer.CONTAINER, 0),
            expected="a container that is known, or a raw disk with a valid partition table",
            found=f"neither; read as a raw disk, {error.evidence}",
        ) from error
