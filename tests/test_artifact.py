"""Images as builds leave them: packed in every way, judged as if they lay bare; and archives that lie."""

from __future__ import annotations

import bz2
import contextlib
import gzip
import io
import json
import lzma
import os
import re
import resource
import signal
import struct
import subprocess
import sys
import tarfile
import time
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import validator
from tests.command import ROOT, Command, environment
from tests.servers.web import Web
from tests.test_promises import WATCHED, WRITES
from validator.evidence import Unreadable
from validator.source import Budget

zstd = pytest.importorskip("compression.zstd" if sys.version_info >= (3, 14) else "backports.zstd")

SAMPLES = ROOT / "sample_images"
BAD = SAMPLES / "undeployable.vhdx"
GOOD = SAMPLES / "generalized-gen1.vhd"
MiB = 2**20
CHECKED = {zstd.CompressionParameter.checksum_flag: 1}

# --- the same image in every kind ----------------------------------------------------------------


def zipped(method: int, **options: Any) -> Callable[[Path], bytes]:
    """A ZIP of one image in a folder, with something beside it."""

    def pack(image: Path) -> bytes:
        out = io.BytesIO()
        with zipfile.ZipFile(out, "w", method, compresslevel=1) as archive:
            archive.writestr("output/README.txt", "the image of tonight\n")
            with archive.open(f"output/{image.name}", "w", **options) as member:
                member.write(image.read_bytes())
            archive.writestr("output/", "")
        return out.getvalue()

    return pack


def streamed(image: Path) -> bytes:
    """A ZIP that was written to a pipe: sizes and checksums stand behind the members."""

    class Pipe(io.BytesIO):
        def seekable(self) -> bool:
            return False

        def tell(self) -> int:
            raise OSError

    out = Pipe()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        archive.writestr("notes", "")
        archive.write(image, image.name)
    return out.getvalue()


def tarred(*options: str) -> Callable[[Path], bytes]:
    """What GNU tar makes of it."""

    def pack(image: Path) -> bytes:
        command = [
            "tar",
            "--create",
            *options,
            f"--directory={image.parent}",
            "./README.md",
            f"./{image.name}",
        ]
        return subprocess.run(command, check=True, capture_output=True).stdout

    return pack


def in_members(image: Path) -> bytes:
    """Several gzip streams, one behind the other, an empty one at the end."""
    data = image.read_bytes()
    parts = [data[:5], data[5 : 3 * MiB], data[3 * MiB :], b""]
    return b"".join(gzip.compress(part, 1, mtime=0) for part in parts)


def frames(image: Path) -> bytes:
    """Frames of Zstandard with frames to skip between, as pzstd writes them."""
    data = image.read_bytes()
    parts = [data[:MiB], data[MiB:]]
    skip = b"\x50\x2a\x4d\x18\4\0\0\0skip"
    return b"".join(skip + zstd.compress(part, options=CHECKED) for part in parts)


def of(pack: Callable[[bytes], bytes], inner: Callable[[Path], bytes] = Path.read_bytes) -> Any:
    """A compressed file."""
    return lambda image: pack(inner(image))


def xz(data: bytes, check: int = -1) -> bytes:
    """Quickly packed."""
    return lzma.compress(data, check=check, preset=0)


KINDS: dict[str, Callable[[Path], bytes]] = {
    "stored.zip": zipped(zipfile.ZIP_STORED),
    "deflated.zip": zipped(zipfile.ZIP_DEFLATED),
    "large.zip": zipped(zipfile.ZIP_DEFLATED, force_zip64=True),
    "streamed.zip": streamed,
    "{}.gz": of(lambda data: gzip.compress(data, 1)),
    "members.{}.gz": in_members,
    "{}.xz": of(xz),
    "streams.{}.xz": of(lambda data: xz(data[:MiB]) + xz(data[MiB:])),
    "{}.bz2": of(lambda data: bz2.compress(data, 1)),
    "{}.zst": of(lambda data: zstd.compress(data, options=CHECKED)),
    "frames.{}.zst": frames,
    "plain.tar": tarred("--format=ustar"),
    "pax.tar": tarred("--format=posix"),
    "sparse.tar": tarred("--format=gnu", "--sparse"),
    "sparse-pax.tar": tarred("--format=posix", "--sparse"),
    "all.tar.gz": of(lambda data: gzip.compress(data, 1), tarred()),
    "sparse.tgz": of(lambda data: gzip.compress(data, 1), tarred("--format=oldgnu", "--sparse")),
    "sparse-pax.tar.zst": of(zstd.compress, tarred("--format=posix", "--sparse")),
    "all.tar.xz": of(xz, tarred()),
    "no-ending": of(xz),
}


def comparable(report: dict[str, Any]) -> dict[str, Any]:
    """What a report says of the image, and not of the file it lies in."""
    facts = {name: value for name, value in report["facts"].items() if name != "io"}
    layers = [layer for layer in report["layers"] if layer["kind"] != "file"]
    outside = ("path", "member", "duration_ms", "facts", "layers")
    return {
        **{name: report[name] for name in report if name not in outside},
        "facts": facts,
        "layers": layers,
    }


@pytest.fixture(scope="module")
def bare() -> Callable[[Path], dict[str, Any]]:
    """The report on a sample image as it lies there."""
    known: dict[Path, dict[str, Any]] = {}

    def report(image: Path) -> dict[str, Any]:
        if image not in known:
            known[image] = comparable(dict(Command().judge(image)))
        return known[image]

    return report


def write(folder: Path, name: str, content: bytes) -> Path:
    """A file in a folder of its own."""
    place = folder / "images"
    place.mkdir(exist_ok=True)
    (place / name).write_bytes(content)
    return place / name


@pytest.mark.parametrize("kind", KINDS)
def test_a_packed_image_is_judged_like_a_bare_one(
    command: Command, tmp_path: Path, bare: Callable[[Path], dict[str, Any]], kind: str
) -> None:
    path = write(tmp_path, kind.format(BAD.name), KINDS[kind](BAD))
    report = command.judge(path)
    assert comparable(dict(report)) == bare(BAD)
    assert report.answer == ("undeployable", 1)
    assert report["path"] == str(path)
    folder = "output/" if kind in ("stored.zip", "deflated.zip", "large.zip") else ""
    members = ".zip" in kind or ".tar" in kind or ".tgz" in kind
    assert report["member"] == (f"{folder}{BAD.name}" if members else None)
    assert report["facts"]["io"]["files"] == 1


@pytest.mark.parametrize("image", sorted(SAMPLES.glob("*.vhd*")), ids=lambda image: image.name)
def test_every_sample_image_in_a_zip(
    command: Command, tmp_path: Path, bare: Callable[[Path], dict[str, Any]], image: Path
) -> None:
    report = command.judge(write(tmp_path, "build.zip", KINDS["deflated.zip"](image)))
    assert comparable(dict(report)) == bare(image)


def test_what_is_stored_is_read_in_place(command: Command, tmp_path: Path) -> None:
    """A kilobyte here and there, and no temporary file: not even where none may be written."""
    for kind in ("stored.zip", "plain.tar", "sparse.tar"):
        report = command.judge(write(tmp_path, kind, KINDS[kind](BAD)), "--max-unpacked", "0")
        assert report.answer == ("undeployable", 1)
        assert report["facts"]["io"]["bytes_read"] < MiB


def test_reports_name_the_member(command: Command, tmp_path: Path) -> None:
    path = write(tmp_path, "build.zip", KINDS["deflated.zip"](BAD))
    for form in ("text", "markdown", "html", "junit"):
        assert f"output/{BAD.name}" in command("check", "--format", form, path).stdout.replace("&#x2F;", "/")
    shown = command("inspect", path)
    assert f"output/{BAD.name}" in shown.stdout.replace("\n", "")
    assert shown.code == 0


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("stored.zip", "its CRC-32 was not computed"),
        ("deflated.zip", "its CRC-32 holds"),
        ("{}.xz", "its checksum holds"),
        ("sparse-pax.tar.zst", "it has no checksum"),
    ],
)
def test_the_layer_says_what_vouches_for_the_bytes(
    command: Command, tmp_path: Path, kind: str, words: str
) -> None:
    report = command.judge(write(tmp_path, kind.format(BAD.name), KINDS[kind](BAD)))
    assert report["layers"][0]["state"] == "intact"
    assert words in report["layers"][0]["detail"]


def test_xz_without_a_checksum_is_said(command: Command, tmp_path: Path) -> None:
    path = write(tmp_path, "disk.vhdx.xz", xz(BAD.read_bytes(), lzma.CHECK_NONE))
    assert "it has no checksum" in command.judge(path)["layers"][0]["detail"]


def test_a_package_that_is_missing_is_named(command: Command, tmp_path: Path) -> None:
    path = write(tmp_path, "disk.vhdx.zst", frames(BAD))
    name = "compression" if sys.version_info >= (3, 14) else "backports.zstd"
    with mock.patch.dict(sys.modules, {name: None}):
        outcome = command("check", path)
    assert (outcome.code, outcome.stdout) == (2, "")
    assert "pip install image-validator[zstd]" in outcome.stderr


@pytest.mark.parametrize("kind", ["stored.zip", "deflated.zip", "plain.tar", "{}.gz", "sparse.tgz"])
def test_a_packed_image_at_an_address(
    command: Command, tmp_path: Path, bare: Callable[[Path], dict[str, Any]], web: Web, kind: str
) -> None:
    """What can be read in place is there, too; of the rest all is transferred, within the limit for that."""
    path = write(tmp_path, kind.format(BAD.name), KINDS[kind](BAD))
    address = f"{web.publish(path.name, path)}?sig=c2VjcmV0"
    outcome = command("check", "--format", "json", address)
    assert "c2VjcmV0" not in outcome.stdout + outcome.stderr
    (report,) = outcome.json["images"]
    assert comparable(report) == bare(BAD)
    assert report["facts"]["io"]["bytes_read"] < 2 * MiB
    refused = command("check", "--member", "none.vhd", address)
    assert (refused.code, refused.stdout) == (2, "")
    assert "c2VjcmV0" not in refused.stderr
    if kind == "{}.gz":
        cut = command("check", "--max-transfer", "64KiB", address)
        assert cut.code == 3
        assert "--max-transfer allows more" in " ".join(cut.stdout.split())


# --- which image ---------------------------------------------------------------------------------


def zip_of(**members: bytes) -> bytes:
    """A deflated ZIP; `__` in a name is a dot."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for name, content in members.items():
            archive.writestr(name.replace("__", "."), content)
    return out.getvalue()


def tar_of(**members: bytes) -> bytes:
    """A tar archive; `__` in a name is a dot."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for name, content in members.items():
            info = tarfile.TarInfo(name.replace("__", "."))
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return out.getvalue()


PACKS = {
    "zip": zip_of,
    "tar": tar_of,
    "tar.gz": lambda **members: gzip.compress(tar_of(**members), 1),
}


@pytest.mark.parametrize("kind", PACKS)
def test_several_images_are_a_question(command: Command, tmp_path: Path, kind: str) -> None:
    """One is by its content alone."""
    members = {"a__vhdx": BAD.read_bytes(), "read__me": b"no disk", "second": GOOD.read_bytes()}
    path = write(tmp_path, f"build.{kind}", PACKS[kind](**members))
    outcome = command("check", path)
    assert outcome.code == 2
    assert outcome.stdout == ""
    assert "more than one image; name one by --member: a.vhdx, second" in outcome.stderr
    assert command.judge(path, "--member", "a.vhdx").answer == ("undeployable", 1)
    assert command.judge(path, "--member", "second").answer == ("deployable", 0)
    wrong = command("check", path, "--member", "b.vhdx")
    assert (wrong.code, wrong.stdout) == (2, "")
    assert "has no member b.vhdx; it has a.vhdx, second" in wrong.stderr


@pytest.mark.parametrize("kind", PACKS)
def test_no_image_is_indeterminate(command: Command, tmp_path: Path, kind: str) -> None:
    """Nor is an archive in the archive."""
    members = {"inner__vhd__gz": gzip.compress(GOOD.read_bytes(), 1), "notes": b"x"}
    report = command.judge(write(tmp_path, f"build.{kind}", PACKS[kind](**members)))
    assert report.answer == ("indeterminate", 3)
    assert "none among its members: inner.vhd.gz, notes" in report["summary"]


@pytest.mark.parametrize("kind", PACKS)
def test_what_macos_keeps_beside_a_file_is_no_image(command: Command, tmp_path: Path, kind: str) -> None:
    members = {"__MACOSX/._disk.vhdx".replace(".", "__"): b"\0\5\x16\7", "disk__vhdx": BAD.read_bytes()}
    assert command.judge(write(tmp_path, f"b.{kind}", PACKS[kind](**members))).answer == ("undeployable", 1)


@pytest.mark.parametrize("path", [BAD, "packed"])
def test_a_member_of_what_has_none(command: Command, tmp_path: Path, path: Path | str) -> None:
    if path == "packed":
        path = write(tmp_path, "disk.gz", gzip.compress(BAD.read_bytes(), 1))
    outcome = command("check", path, "--member", "disk.vhdx")
    assert (outcome.code, outcome.stdout) == (2, "")
    assert "no archive that could have a member" in outcome.stderr


@pytest.mark.parametrize("kind", PACKS)
def test_hostile_names_are_only_shown(command: Command, tmp_path: Path, kind: str) -> None:
    """Absolute, upwards, with an escape sequence: nothing is written or looked for by a member's name."""
    for number, name in enumerate(("/etc/passwd", "../../../etc/disk", "C:\\x\\y", "a\x1b[31mb")):
        path = write(tmp_path, f"{number}.{kind}", PACKS[kind](**{f"{name}__vhdx": BAD.read_bytes()}))
        outcome = command("check", path)
        assert outcome.code == 1
        assert "\x1b" not in outcome.stdout


def test_a_name_says_what_is_in_a_compressed_file(command: Command, tmp_path: Path) -> None:
    """A VHD without its footer is no raw disk by being compressed."""
    cut = GOOD.read_bytes()[:-512]
    for name, verdict in (("disk.raw.gz", "deployable"), ("disk.vhd.gz", "indeterminate")):
        assert command.judge(write(tmp_path, name, gzip.compress(cut, 1)))["verdict"] == verdict, name
    assert command.judge(write(tmp_path, "b.zip", zip_of(disk__vhd=cut)))["verdict"] == "indeterminate"


def test_a_boot_sector_is_no_tar_archive(command: Command, tmp_path: Path) -> None:
    """The signature of tar, and even its checksum, in the boot code of a raw disk and of a fixed VHD."""
    header = tarfile.TarInfo("disk.vhd").tobuf(tarfile.USTAR_FORMAT)
    for name, data in (("disk.raw", GOOD.read_bytes()[:-512]), ("disk.vhd", GOOD.read_bytes())):
        disk = signed(data, 0, (0, header[:440]))
        assert tarfile.TarInfo.frombuf(disk[:512], "utf-8", "strict").name == "disk.vhd"
        path = write(tmp_path, name, disk)
        assert command.judge(path).answer == ("deployable", 0)
        assert command.judge(path)["member"] is None


def test_an_archive_that_is_a_disk_as_well_is_doubt(command: Command, tmp_path: Path) -> None:
    """A ZIP whose comment ends like a VHD."""
    out = io.BytesIO(KINDS["deflated.zip"](BAD))
    with zipfile.ZipFile(out, "a") as archive:
        archive.comment = GOOD.read_bytes()[-512:]
    report = command.judge(write(tmp_path, "disk.zip", out.getvalue()))
    assert report.answer == ("indeterminate", 3)
    assert "signatures of two" in report["summary"]


# --- archives that lie ---------------------------------------------------------------------------

SMALL = zip_of(notes=b"first", disk__vhdx=BAD.read_bytes())
DIRECTORY = SMALL.index(b"PK\1\2")
ENTRY = SMALL.index(b"PK\1\2", DIRECTORY + 1)
HEADER = SMALL.index(b"PK\3\4", 1)
END = SMALL.index(b"PK\5\6")


def patched(data: bytes, *changes: tuple[int, str, int]) -> bytes:
    """With numbers of a `struct` layout put at offsets."""
    changed = bytearray(data)
    for offset, layout, number in changes:
        struct.pack_into(layout, changed, offset, number)
    return bytes(changed)


def both(offset: int, layout: str, number: int) -> bytes:
    """With a field of the image changed in its header and in the directory (two bytes further on)."""
    return patched(SMALL, (HEADER + offset, layout, number), (ENTRY + offset + 2, layout, number))


def with_zip64(start: int) -> bytes:
    """The directory named by a large record, at another offset than the small one says."""
    size = END - DIRECTORY
    record = struct.pack("<4sQ2H2I4Q", b"PK\6\6", 44, 45, 45, 0, 0, 2, 2, size, start)
    return SMALL[:END] + record + struct.pack("<4sIQI", b"PK\6\7", 0, END, 1) + SMALL[END:]


def many(count: int) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for number in range(count):
            archive.writestr(str(number), b"")
    return out.getvalue()


OTHERWISE = "as the directory says"
LYING_ZIPS: dict[str, tuple[Callable[[], bytes], str]] = {
    "encrypted": (lambda: both(6, "<H", 1), "encrypted"),
    "encrypted in one header": (lambda: patched(SMALL, (HEADER + 6, "<H", 1)), OTHERWISE),
    "Deflate64": (lambda: both(8, "<H", 9), "Deflate64, as Windows writes it"),
    "another method in its header": (lambda: patched(SMALL, (HEADER + 8, "<H", 0)), OTHERWISE),
    "another name in its header": (lambda: patched(SMALL, (HEADER + 30, "<B", 0x44)), OTHERWISE),
    "another checksum in its header": (lambda: patched(SMALL, (HEADER + 14, "<I", 1)), OTHERWISE),
    "another size in its header": (lambda: patched(SMALL, (HEADER + 22, "<I", 1)), OTHERWISE),
    "another checksum": (lambda: both(14, "<I", 1), "with the CRC-32 0x1,"),
    "smaller than it is": (lambda: both(22, "<I", 12 * MiB), "a member of 12582912 bytes, found more"),
    "larger than it is": (lambda: both(22, "<I", 14 * MiB), "14680064 unpacked"),
    "stored, of two sizes": (
        lambda: both(8, "<H", 0), "stored bytes of a member",
    ),
    "packed smaller": (
        lambda: patched(SMALL, (HEADER + 18, "<I", 9), (ENTRY + 20, "<I", 9)), "expected the directory",
    ),
    "members that overlap": (lambda: patched(SMALL, (ENTRY + 42, "<I", 0)), "overlap"),
    "a gap before": (lambda: patched(SMALL, (ENTRY + 42, "<I", HEADER + 1)), "a gap"),
    "twice the same name": (
        lambda: zip_of(disk__vhdX=b"x", disk__vhdx=BAD.read_bytes()).replace(b"disk.vhdX", b"disk.vhdx"),
        "two of the same name",
    ),
    "cut": (lambda: SMALL[:-1], "record at the end of a ZIP archive, found none"),
    "cut in the middle": (lambda: SMALL[: len(SMALL) // 2], "record at the end"),
    "something behind it": (lambda: SMALL + b"\0", "record at the end"),
    "two ends": (
        lambda: patched(SMALL, (END + 20, "<H", 22)) + SMALL[END:], "found more than one",
    ),
    "a large directory elsewhere": (lambda: with_zip64(DIRECTORY + 1), "as the record at the end says"),
    "one part of several": (lambda: patched(SMALL, (END + 4, "<H", 1)), "one part of several"),
    "too few entries": (lambda: patched(SMALL, (END + 8, "<H", 1), (END + 10, "<H", 1)), "more of it"),
    "too many entries": (lambda: patched(SMALL, (END + 8, "<H", 3), (END + 10, "<H", 3)), "its end"),
    "without members": (lambda: SMALL[END:END + 8] + bytes(14), "none among its members"),
    "more members than are read": (lambda: many(10_001), "at most 10000 members"),
    "more members than there are": (
        lambda: patched(SMALL, (END + 8, "<H", 65535), (END + 10, "<H", 65535)), "at most 10000 members",
    ),
}  # fmt: skip


@pytest.mark.parametrize("lie", LYING_ZIPS)
def test_a_zip_that_lies(command: Command, tmp_path: Path, lie: str) -> None:
    make, word = LYING_ZIPS[lie]
    report = command.judge(write(tmp_path, "disk.zip", make()))
    assert report.answer == ("indeterminate", 3)
    assert word in report["summary"]
    assert report["findings"][0]["evidence"][0]["layer"] == "file"


def test_a_large_record_that_is_right(command: Command, tmp_path: Path) -> None:
    assert command.judge(write(tmp_path, "disk.zip", with_zip64(DIRECTORY))).answer == ("undeployable", 1)


PLAIN = tar_of(notes=b"first", disk__vhdx=BAD.read_bytes())
IMAGE = 1024
"""The offset of the image's header."""
END_OF_IMAGE = IMAGE + 512 + BAD.stat().st_size


def signed(data: bytes, at: int, *changes: tuple[int, bytes]) -> bytes:
    """With fields of a header changed, and its checksum made right."""
    changed = bytearray(data)
    for offset, content in changes:
        changed[at + offset : at + offset + len(content)] = content
    changed[at + 148 : at + 156] = b" " * 8
    changed[at + 148 : at + 156] = b"%06o\0 " % sum(changed[at : at + 512])
    return bytes(changed)


def sparse_member(*spans: tuple[int, int], size: int = 2 * MiB) -> bytes:
    """An archive with a sparse member of the oldest format, four spans at most."""
    info = tarfile.TarInfo("disk.vhdx")
    info.size = sum(length for _, length in spans)
    header = info.tobuf(tarfile.GNU_FORMAT)
    fields = b"".join(b"%011o\0%011o\0" % span for span in spans).ljust(96, b"\0")
    header = signed(header, 0, (156, b"S"), (386, fields), (483, b"%011o\0" % size))
    return header + bytes(-(-info.size // 512) * 512) + bytes(1024)


def pax(records: bytes, size: int | None = None) -> bytes:
    """An archive whose image has records before it."""
    info = tarfile.TarInfo("records")
    info.size = len(records) if size is None else size
    info.type = b"x"
    padded = records.ljust(-(-len(records) // 512) * 512, b"\0")
    return info.tobuf(tarfile.USTAR_FORMAT) + padded + PLAIN[IMAGE:]


LYING_TARS: dict[str, tuple[Callable[[], bytes], str]] = {
    "a header that was changed": (lambda: patched(PLAIN, (IMAGE + 1, "<B", 0x44)), "with its checksum"),
    "a negative size": (lambda: signed(PLAIN, IMAGE, (124, b"\xff" * 12)), "a number in octal digits"),
    "a size of no digits": (lambda: signed(PLAIN, IMAGE, (124, b"9" * 11)), "a number in octal digits"),
    "a huge size": (
        lambda: signed(PLAIN, IMAGE, (124, b"\x80" + (100 << 30).to_bytes(11, "big"))),
        "more of a tar archive",
    ),
    "cut in the image": (lambda: PLAIN[: 5 * MiB], "more of a tar archive"),
    "cut behind the image": (lambda: PLAIN[: END_OF_IMAGE], "more of a tar archive"),
    "an end of one block": (
        lambda: PLAIN[: END_OF_IMAGE + 512], "more of a tar archive",
    ),
    "half an end": (
        lambda: PLAIN[: END_OF_IMAGE + 512] + PLAIN[:1024], "two blocks of zeros",
    ),
    "something behind its end": (lambda: PLAIN + PLAIN, "something else"),
    "a link with content": (lambda: signed(PLAIN, IMAGE, (156, b"1")), "a link, device or folder"),
    "a part of several": (lambda: signed(PLAIN, IMAGE, (156, b"M")), "in another part"),
    "the image twice": (lambda: PLAIN[:END_OF_IMAGE] + PLAIN[IMAGE:], "twice"),
    "sparse parts out of order": (lambda: sparse_member((MiB, 512), (0, 512)), "in order, within"),
    "sparse parts beyond its end": (lambda: sparse_member((2 * MiB, 512)), "in order, within"),
    "sparse parts of another length": (
        lambda: signed(sparse_member((0, 512)), 0, (398, b"%011o\0" % 1024)),
        "stored bytes of a sparse member",
    ),
    "records that are none": (lambda: pax(b"99 path=x\n"), "records of a pax header"),
    "records without end": (lambda: pax(b"", 2 * MiB), "bytes about a member"),
    "a record of a negative size": (lambda: pax(b"11 size=-1\n"), "a number in decimal digits"),
    "an old sparse format": (
        lambda: pax(b"22 GNU.sparse.major=0\n22 GNU.sparse.minor=1\n"), "another format",
    ),
}  # fmt: skip


@pytest.mark.parametrize("packed", [False, True], ids=["plain", "compressed"])
@pytest.mark.parametrize("lie", LYING_TARS)
def test_a_tar_archive_that_lies(command: Command, tmp_path: Path, lie: str, packed: bool) -> None:
    make, word = LYING_TARS[lie]
    data = gzip.compress(make(), 1) if packed else make()
    report = command.judge(write(tmp_path, "disk.tar.gz" if packed else "disk.tar", data))
    assert report.answer == ("indeterminate", 3)
    assert word in report["summary"]
    assert report["findings"][0]["evidence"][0]["layer"] == "file"


STREAMS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": lambda data: gzip.compress(data, 1, mtime=0),
    "xz": xz,
    "bzip2": lambda data: bz2.compress(data, 1),
    "Zstandard": lambda data: zstd.compress(data, options=CHECKED),
}


@pytest.fixture(scope="module")
def packed_streams() -> dict[str, bytes]:
    """The bad image, compressed in every way."""
    return {kind: pack(BAD.read_bytes()) for kind, pack in STREAMS.items()}


@pytest.mark.parametrize("kind", STREAMS)
def test_what_stands_behind_a_stream_is_no_data(
    command: Command, tmp_path: Path, packed_streams: dict[str, bytes], kind: str
) -> None:
    """Zeros are what a crash leaves of a file that was being written: another stream may have stood there."""
    for tail in (b"\0", bytes(4096), b"and more", packed_streams[kind][:3], packed_streams[kind][:-1]):
        report = command.judge(write(tmp_path, "disk", packed_streams[kind] + tail))
        assert report.answer == ("indeterminate", 3), tail[:10]
        assert kind in report["summary"]
        if tail[:3] != packed_streams[kind][:3]:
            assert f"another {kind} stream, or the end of the file" in report["summary"]


@pytest.mark.parametrize("kind", STREAMS)
def test_the_last_bytes_of_a_stream_are_verified(
    command: Command, tmp_path: Path, packed_streams: dict[str, bytes], kind: str
) -> None:
    """Its checksum stands there: gone, or another by a bit."""
    data = packed_streams[kind]
    flipped = data[:-3] + bytes([data[-3] ^ 1]) + data[-2:]
    for wrong in (data[:-1], data[: len(data) // 2], data[:20], flipped):
        report = command.judge(write(tmp_path, "disk", wrong))
        assert report.answer == ("indeterminate", 3), len(wrong)
        assert kind in report["summary"]


def test_a_checksum_of_gzip_that_is_wrong(
    command: Command, tmp_path: Path, packed_streams: dict[str, bytes]
) -> None:
    path = write(tmp_path, "disk.gz", patched(packed_streams["gzip"], (-8, "<I", 1)))
    assert "incorrect data check" in command.judge(path)["summary"]
    path = write(tmp_path, "disk.gz", patched(packed_streams["gzip"], (-4, "<I", 1)))
    assert "incorrect length check" in command.judge(path)["summary"]


def test_an_archive_in_a_compressed_file(command: Command, tmp_path: Path) -> None:
    """One level of tar, no more."""
    for inner in (SMALL, gzip.compress(BAD.read_bytes(), 1), xz(b"")):
        report = command.judge(write(tmp_path, "disk.gz", gzip.compress(inner, 1)))
        assert report.answer == ("indeterminate", 3)
        assert "another archive in it" in report["summary"]


def huge_dictionary() -> bytes:
    """An xz stream whose header asks for 4 GiB."""
    data = bytearray(xz(BAD.read_bytes()))
    size = (data[12] + 1) * 4
    at = data.index(b"\x21\x01", 12, 12 + size)
    data[at + 2] = 40
    struct.pack_into("<I", data, 12 + size - 4, zlib.crc32(data[12 : 12 + size - 4]))
    return bytes(data)


GIANTS = {
    "xz": huge_dictionary,
    # A frame header with a window of 2 GiB, and an empty last block.
    "Zstandard": lambda: b"\x28\xb5\x2f\xfd\x00" + bytes([21 << 3]) + b"\1\0\0" + bytes(64),
}


@pytest.mark.parametrize("kind", GIANTS)
def test_a_decoder_gets_no_more_memory_than_it_may(command: Command, tmp_path: Path, kind: str) -> None:
    report = command.judge(write(tmp_path, "disk", GIANTS[kind]()))
    assert report.answer == ("indeterminate", 3)
    assert "for a decoder with 134217728 bytes of memory" in report["summary"]


@settings(deadline=None, max_examples=12, derandomize=True)
@given(data=st.data())
@pytest.mark.parametrize("kind", [*STREAMS, "deflated.zip", "all.tar.gz"])
def test_no_change_makes_another_verdict(
    kind: str, packed_streams: dict[str, bytes], tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    """One byte changed, or the file cut: the verdict is the true one, or that there is none."""
    if kind not in packed_streams:
        packed_streams[kind] = KINDS[kind](BAD)
    archive = bytearray(packed_streams[kind])
    place = data.draw(st.integers(0, len(archive) - 1) | st.integers(1, 100).map(lambda n: len(archive) - n))
    if data.draw(st.booleans()):
        archive[place] ^= data.draw(st.integers(1, 255))
    else:
        del archive[place:]
    path = tmp_path_factory.mktemp("changed") / "disk.vhdx"
    path.write_bytes(archive)
    try:
        report = validator.validate(path, profile="generalized")
    finally:
        path.unlink()
    assert report.verdict.value in ("undeployable", "indeterminate")


# --- limits --------------------------------------------------------------------------------------


def bomb(size: int, content: bytes = b"\0") -> bytes:
    """A few bytes that unpack to many."""
    part = gzip.compress(content * (16 * MiB), 1)
    return part * (size // (16 * MiB))


@pytest.mark.parametrize(
    ("content", "most", "words"),
    [
        (b"\0", "64MiB", "an image of at most 268435456 bytes"),
        (b"x", "64MiB", "at most 67108864 bytes to write"),
        (b"x", "0", "an image of at most 0 bytes"),
    ],
    ids=["zeros", "data", "nothing"],
)
def test_a_bomb_is_not_unpacked(
    command: Command, tmp_path: Path, content: bytes, most: str, words: str
) -> None:
    path = write(tmp_path, "disk.vhd.gz", bomb(512 * MiB, content))
    report = command.judge(path, "--max-unpacked", most)
    assert report.answer == ("indeterminate", 3)
    assert words in report["summary"]
    assert "--max-unpacked allows it" in report["summary"]


def test_a_zip_that_says_to_be_a_bomb_is_not_begun(command: Command, tmp_path: Path) -> None:
    report = command.judge(write(tmp_path, "disk.zip", SMALL), "--max-unpacked", "1MiB")
    assert report.answer == ("indeterminate", 3)
    assert report["facts"]["io"]["bytes_read"] < MiB


MEMORY = """
import re, sys
from validator.cli import main
try:
    main()
finally:
    print(re.search(r"VmHWM:\\s*(\\d+) kB", open("/proc/self/status").read())[1], file=sys.stderr)
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs /proc")
def test_memory_is_bounded(command: Command, tmp_path: Path) -> None:
    """Also with the largest window that is allowed, and an image longer than the bound."""
    window = {zstd.CompressionParameter.window_log: 27, zstd.CompressionParameter.checksum_flag: 1}
    packer = zstd.ZstdCompressor(options=window)
    content = [packer.compress(part) for part in (BAD.read_bytes(), *[bytes(16 * MiB)] * 20)]
    path = write(tmp_path, "disk.vhdx.zst", b"".join((*content, packer.flush())))
    outcome = command.process("check", path, script=MEMORY)
    assert outcome.code in (1, 3)
    assert int(outcome.stderr.split()[-1]) * 1024 < 256 * MiB


def test_a_budget_that_is_suspended() -> None:
    """Neither time nor bytes count meanwhile, and as much of both is left as before."""
    now = [0.0]
    budget = Budget(10, 100, lambda: now[0])
    now[0] = 4
    budget.spend(40)
    with budget.suspended():
        now[0] = 1000
        budget.spend(1000)
    now[0] = 1005
    budget.spend(60)
    assert budget.count.bytes_read == 1100
    with pytest.raises(Unreadable, match="an image that asks for more"):
        budget.spend(1)
    now[0] = 1007
    with pytest.raises(Unreadable, match="an image that takes longer"):
        budget.spend(0)


def test_the_time_of_unpacking_is_not_that_of_judging(command: Command, tmp_path: Path) -> None:
    """The clock of the budget stands still; unpacking has its own."""
    ticks = iter(range(0, 10**9, 7))
    path = write(tmp_path, "disk.vhdx.gz", gzip.compress(BAD.read_bytes(), 1))
    with mock.patch("validator.artifact.streams.time.monotonic", side_effect=ticks):
        assert command.judge(path).answer == ("undeployable", 1)
    ticks = iter(range(0, 10**9, 4000))
    with mock.patch("validator.artifact.streams.time.monotonic", side_effect=ticks):
        assert "an archive that is unpacked within 3600 seconds" in command.judge(path)["summary"]


def test_progress_is_told(command: Command, tmp_path: Path) -> None:
    path = write(tmp_path, "disk.vhdx.gz", gzip.compress(BAD.read_bytes(), 1))
    assert command("check", path).stderr == ""
    with mock.patch("validator.cli.artifacts._EVERY", 0):
        assert re.search(r"unpacking: \d+ KiB of \d+ KiB read", command("check", path).stderr)
        assert command("check", "--quiet", path).stderr == ""


# --- what is written -----------------------------------------------------------------------------


def test_nothing_is_written_but_a_temporary_file(command: Command, tmp_path: Path) -> None:
    """In the folder for those, and it is gone at once: the audit shows no other write and no name left."""
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    path = write(tmp_path, "build.zip", KINDS["deflated.zip"](BAD))
    env = {"PYTHONDONTWRITEBYTECODE": "1", "TMPDIR": str(scratch)}
    outcome = command.process("check", path, script=WATCHED, env=env)
    assert outcome.code == 1
    events = json.loads(outcome.stderr)
    written = [name for event, name, flags in events if event == "open" and flags & WRITES]
    assert [name for name in written if not str(name).startswith(str(scratch))] == []
    assert written
    assert os.listdir(scratch) == []


def test_a_folder_that_is_not_there(command: Command, tmp_path: Path) -> None:
    path = write(tmp_path, "disk.gz", gzip.compress(BAD.read_bytes(), 1))
    report = json.loads(
        command("check", "--format", "json", path, env={"TMPDIR": str(tmp_path / "none")}).stdout
    )
    (image,) = report["images"]
    assert image["verdict"] == "indeterminate"
    assert f"room in {tmp_path}/none to unpack to" in image["summary"]


def test_a_full_disk(command: Command, tmp_path: Path) -> None:
    """A file that may not grow stands for it: the same error comes from the same call."""
    path = write(tmp_path, "disk.gz", gzip.compress(BAD.read_bytes(), 1))
    limit = (MiB, MiB)
    outcome = command.process(
        "check", path, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, limit)
    )
    assert outcome.code == 3
    assert "File too large" in outcome.stdout
    # What others write meanwhile counts: it is asked again.
    with mock.patch("validator.artifact.scratch._free", side_effect=[MiB, MiB, 100_000]):
        assert "100000 bytes free, of which 104857 stay so" in command.judge(path)["summary"]


@pytest.mark.parametrize(
    "number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL], ids=lambda each: each.name
)
@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="needs /proc")
def test_nothing_is_left_when_it_is_stopped(tmp_path: Path, number: signal.Signals) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    path = write(tmp_path, "disk.vhd.gz", bomb(64 * 1024 * MiB))
    process = subprocess.Popen(
        [sys.executable, "-m", "validator", "check", str(path)],
        env=environment({"TMPDIR": str(scratch)}),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd=ROOT,
    )
    try:
        deadline = time.monotonic() + 30
        while not any(each.startswith(str(scratch)) for each in opened(process.pid)):
            assert time.monotonic() < deadline
            assert process.poll() is None
            time.sleep(0.02)
        assert os.listdir(scratch) == []
        process.send_signal(number)
        assert process.wait(30) == (130 if number is signal.SIGINT else -number)
    finally:
        process.kill()
        process.wait()
    assert os.listdir(scratch) == []


def opened(process: int) -> list[str]:
    """What a process has open."""
    names = []
    for each in Path(f"/proc/{process}/fd").iterdir():
        with contextlib.suppress(OSError):
            names.append(str(each.readlink()))
    return names


# --- receipts ------------------------------------------------------------------------------------


def test_a_receipt_is_about_the_archive(command: Command, tmp_path: Path) -> None:
    """Its bytes are what was given, and what somebody may send on; the image in it is another file."""
    path = write(tmp_path, "build.zip", zip_of(disk__vhd=GOOD.read_bytes()))
    receipt = tmp_path / "receipt.json"
    assert command("check", path, "--receipt", receipt).code == 0
    (subject,) = json.loads(receipt.read_text())["subject"]
    assert subject["name"] == "build.zip"
    asked = ("--profile", "generalized")
    assert command("verify-receipt", *asked, receipt, path).code == 0
    assert command("verify-receipt", *asked, receipt, GOOD).code == 1
    refused = command("check", path, "--receipt", receipt, "--member", "disk.vhd")
    assert (refused.code, refused.stdout) == (2, "")
    assert "--member about a part of one" in refused.stderr


def test_an_archive_that_changes_is_not_judged(command: Command, tmp_path: Path) -> None:
    path = write(tmp_path, "disk.vhdx.gz", gzip.compress(BAD.read_bytes(), 1))
    report = validator.validate(path, unpacking=lambda done, total: os.utime(path, (1, 1)))
    assert report.verdict.value == "indeterminate"
    assert "changed while it was read" in report.summary


def test_the_library_asks_back(tmp_path: Path) -> None:
    data = {"a__vhdx": BAD.read_bytes(), "b__vhdx": BAD.read_bytes()}
    path = write(tmp_path, "build.zip", zip_of(**data))
    with pytest.raises(validator.ArtifactError, match="more than one image"):
        validator.validate(path)
    assert validator.validate(path, member="b.vhdx").member == "b.vhdx"
