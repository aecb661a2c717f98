"""Coverage-guided fuzzing of single readers with Atheris (libFuzzer); not part of the test run.

    pip install atheris
    python -m fuzz.coverage vhdx-log -max_total_time=300 [folder for the corpus]

Each reader gets bytes whose checksums are made right first, since no fuzzer guesses those. Whatever the
bytes, a reader may give data or raise `Unreadable`, and nothing else. Needs no test images.
"""

from __future__ import annotations

import struct
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

KIB, MIB = 1 << 10, 1 << 20
GUID = b"image-validator!"


@dataclass(frozen=True)
class Memory:
    """Bytes as a `ByteSource` that passes for a file of an NTFS volume."""

    data: bytes
    path: str = r"\Windows\System32\config\SOFTWARE"
    partition: int = 1

    @property
    def size(self) -> int:
        """Length in bytes."""
        return len(self.data)

    def read_at(self, offset: int, length: int) -> bytes:
        """See `ByteSource`."""
        from validator.evidence import Layer
        from validator.source import beyond_end

        if offset < 0 or length < 0 or offset + length > self.size:
            raise beyond_end(Layer.FILE, offset, length, self.size)
        return self.data[offset : offset + length]


def vhdx_log(data: bytes) -> None:
    """A log of 64 KiB, its entries sealed, replayed over a file of 4 MiB."""
    from validator.disk.crc32c import crc32c
    from validator.disk.vhdx_log import replay
    from validator.source import Overlay

    log = bytearray(data[: 64 * KIB].ljust(64 * KIB, b"\0"))
    for at in range(0, len(log), 4096):
        if log[at : at + 4] == b"loge":
            log[at + 32 : at + 48] = GUID
            (length,) = struct.unpack_from("<I", log, at + 8)
            if length <= len(log) - at:
                struct.pack_into("<I", log, at + 4, 0)
                struct.pack_into("<I", log, at + 4, crc32c(bytes(log[at : at + length])))
    view = Overlay(Memory(bytes(MIB) + log + bytes(3 * MIB - len(log))))
    replay(view, MIB, len(log), GUID)
    view.read_at(view.size - 4096, 4096)


def vhd(data: bytes) -> None:
    """A VHD whose footers and dynamic header are sealed; the disk is read at both ends."""
    from validator.disk.vhd import checksum, open_vhd

    file = bytearray(data[: 64 * KIB].ljust(2048, b"\0"))
    file[:8] = file[-512:-504] = b"conectix"
    file[-512:] = file[:512]
    for at, size, field in ((0, 512, 64), (len(file) - 512, 512, 64), (512, 1024, 36)):
        if at + size <= len(file) - 512 or size == 512:
            struct.pack_into(">I", file, at + field, checksum(bytes(file[at : at + size]), field))
    disk = open_vhd(Memory(bytes(file)))
    if disk.parent_link is not None:
        return  # no byte of it can be had without its parent
    for offset in (0, max(0, disk.size - 512)):
        disk.read_at(offset, min(512, disk.size))


def hive_log(data: bytes) -> None:
    """A dirty hive of two pages and its log, base blocks and entries sealed."""
    from validator.windows.hive_log import marvin32, recover, sealed

    base = bytearray(512)
    struct.pack_into("<4sIIQIIIIIII", base, 0, b"regf", 2, 1, 7, 1, 5, 0, 1, 32, 4096, 1)
    hive = sealed(bytes(base)) + bytes(4096 - 512) + bytes(4096)
    log = bytearray(data[: 64 * KIB].ljust(1024, b"\0"))
    kind = log[28] % 8
    log[:512] = base
    struct.pack_into("<II", log, 4, 2, 2)
    struct.pack_into("<I", log, 28, kind)
    log[:512] = sealed(bytes(log[:512]))
    for at in range(512, len(log) - 40, 512):
        (size,) = struct.unpack_from("<I", log, at + 4)
        if log[at : at + 4] == b"HvLE" and 40 <= size <= len(log) - at:
            struct.pack_into("<Q", log, at + 24, marvin32(bytes(log[at + 40 : at + size])))
            struct.pack_into("<Q", log, at + 32, marvin32(bytes(log[at : at + 32])))
    recovered = recover(Memory(hive), [("SOFTWARE.LOG1", Memory(bytes(log)))])  # type: ignore[arg-type]
    if recovered is not None:
        for offset in (0, recovered.view.size - 4096):  # which an entry may let grow to 4 GiB
            recovered.view.read_at(offset, 4096)


def hive_cells(data: bytes) -> None:
    """A hive of sixteen pages with a sound base block; keys and values are looked up."""
    from validator.evidence import Unreadable
    from validator.windows.hive import Hive
    from validator.windows.hive_log import sealed

    bins = bytearray(data[: 64 * KIB].ljust(64 * KIB, b"\0"))
    struct.pack_into("<4sII", bins, 0, b"hbin", 0, len(bins))
    base = bytearray(512)
    struct.pack_into("<4sIIQIIIIIII", base, 0, b"regf", 1, 1, 7, 1, 5, 0, 1, 32, len(bins), 1)
    hive = Hive(Memory(sealed(bytes(base)) + bytes(4096 - 512) + bins))  # type: ignore[arg-type]
    for key in ("Setup", r"Setup\State", r"Microsoft\Windows\CurrentVersion"):
        with suppress(Unreadable):
            hive.value(key, "ImageState")


HARNESSES: dict[str, Callable[[bytes], None]] = {
    "vhdx-log": vhdx_log,
    "vhd": vhd,
    "hive-log": hive_log,
    "hive-cells": hive_cells,
}


def seeds(name: str) -> list[bytes]:
    """A few sound inputs to begin with."""
    if name == "vhdx-log":
        entry = struct.pack("<4sIIIQII16sQQ", b"loge", 0, 8192, 0, 1, 1, 0, GUID, MIB, 4 * MIB)
        entry += struct.pack("<4s4s8sQQ", b"desc", b"", b"", 2 * MIB, 1)
        data = b"data" + bytes(4088) + struct.pack("<I", 1)
        zero = struct.pack("<4sIIIQII16sQQ", b"loge", 0, 4096, 0, 2, 1, 0, GUID, MIB, 4 * MIB)
        zero += struct.pack("<4s4sQQQ", b"zero", b"", 4096, 3 * MIB, 2)
        return [entry.ljust(4096, b"\0") + data, zero.ljust(4096, b"\0")]
    if name == "vhd":
        fields = b"conectix", 2, 0x10000, 512, 0, b"", 0, b"", 4096, 4096, 0, 3, 0
        footer = struct.pack(">8sIIQI4sI4sQQIII", *fields)
        header = struct.pack(">8sQQIII", b"cxsparse", 2**64 - 1, 1536, 0x10000, 2, 4096)
        fixed = footer[:16] + b"\xff" * 8 + footer[24:60] + b"\0\0\0\2"
        body = footer.ljust(512, b"\0") + header.ljust(1024, b"\0") + struct.pack(">II", 4, 2**32 - 1)
        block = b"\xff" * 512 + bytes(4096)
        return [body.ljust(2048, b"\xff") + block + bytes(512), fixed.ljust(512, b"\0") + bytes(8192)]
    if name == "hive-log":
        entry = struct.pack("<4sIIIII16sII", b"HvLE", 5120, 0, 2, 4096, 1, b"", 0, 4096)
        head = bytes(28) + b"\6" + bytes(483)
        return [head + entry.ljust(5120, b"\0"), bytes(28) + b"\1" + bytes(483) + b"DIRT\xff" + bytes(8000)]
    root = struct.pack("<i2sHQ8I", -96, b"nk", 0x2C, 7, 0, 2**32 - 1, 1, 0, 128, 2**32 - 1, 1, 256)
    root = root.ljust(76, b"\0") + struct.pack("<HH", 4, 0) + b"ROOT"
    leaf = struct.pack("<i2sHI4s", -16, b"lf", 1, 160, b"Setu")
    child = struct.pack("<i2sHQ8I", -96, b"nk", 0x20, 7, 0, 32, 0, 0, 2**32 - 1, 2**32 - 1, 1, 256)
    child = child.ljust(76, b"\0") + struct.pack("<HH", 5, 0) + b"Setup"
    values = struct.pack("<iI", -8, 272)
    value = struct.pack("<i2sHIIIHH", -40, b"vk", 10, 4, 7, 4, 1, 0) + b"ImageState"
    bins = bytearray(4096)
    for at, cell in ((32, root), (128, leaf), (160, child), (256, values), (272, value)):
        bins[at : at + len(cell)] = cell
    return [bytes(bins)]


def main() -> None:
    """The command: a harness, and what libFuzzer takes."""
    import atheris

    name = sys.argv[1] if len(sys.argv) > 1 else ""
    if name not in HARNESSES:
        raise SystemExit(f"usage: python -m fuzz.coverage {{{','.join(HARNESSES)}}} [libFuzzer's options]")
    with atheris.instrument_imports(include=["validator"]):
        import validator.disk.vhd
        import validator.disk.vhdx_log
        import validator.windows.hive
        import validator.windows.hive_log  # noqa: F401
        from validator.evidence import Unreadable

    def once(data: bytes) -> None:
        with suppress(Unreadable):
            HARNESSES[name](data)

    for data in seeds(name):
        once(data)
    options = [option for option in sys.argv[2:] if option.startswith("-")]
    folders = sys.argv[2 + len(options) :]
    if folders:
        from pathlib import Path

        Path(folders[0]).mkdir(parents=True, exist_ok=True)
        for number, data in enumerate(seeds(name)):
            (Path(folders[0]) / f"seed{number}").write_bytes(data)
    atheris.Setup([sys.argv[0], "-max_len=65536", *sys.argv[2:]], once)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
