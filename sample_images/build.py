"""Make the sample images: ``python -m sample_images.build`` from the root of the repository.

The same sources and tools give the same bytes; see README.md for what each image is.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

from tests.images import (  # noqa: E402 - found through the line above when run as a script
    FixedVhd,
    Vhdx,
    Windows,
    azure,
    build,
    copy_of,
    damage,
    edited,
    generalized,
    installed,
    undeployable,
    vhdx,
)


def gen1_for_azure(windows: Windows) -> Path:
    """A disk for BIOS, prepared as Azure recommends, in the one container that it takes: MBR, fixed VHD."""
    return build(azure.gen1(windows), FixedVhd())


def gen2(windows: Windows) -> Path:
    """A disk for UEFI: GPT, dynamic VHDX."""
    return build(windows, Vhdx())


def gen2_for_azure(windows: Windows) -> Path:
    """A disk for UEFI, prepared as Azure recommends: GPT, fixed VHD."""
    return build(azure.gen2(windows), FixedVhd())


def break_region_tables(image: Path) -> None:
    """Flip one bit in the checksum of both region tables, so that neither can stand in."""
    for table in vhdx.REGION_TABLE_OFFSETS:
        damage.flip(image, table + vhdx.CHECKSUM_OFFSET)


SAMPLES: Mapping[str, Callable[[], Path]] = {
    "generalized-gen1.vhd": lambda: gen1_for_azure(generalized()),
    "generalized-gen2.vhd": lambda: gen2_for_azure(generalized()),
    "generalized-gen2.vhdx": lambda: gen2(generalized()),
    "undeployable.vhdx": lambda: gen2(undeployable()),
    "specialized.vhdx": lambda: gen2(installed()),
    "edited.vhdx": lambda: gen2(edited()),
    "corrupt.vhdx": lambda: gen2(generalized()),
}
DAMAGE: Mapping[str, Callable[[Path], None]] = {"corrupt.vhdx": break_region_tables}


def build_all(folder: Path) -> list[Path]:
    """Write every sample into ``folder``; each appears whole or not at all."""
    written = []
    for name, make in SAMPLES.items():
        unfinished = copy_of(make(), folder, f".{name}.unfinished")
        if name in DAMAGE:
            DAMAGE[name](unfinished)
        unfinished.chmod(0o644)
        written.append(unfinished.replace(folder / name))
    return written


if __name__ == "__main__":
    for path in build_all(HERE):
        print(f"{path.name:<24} {path.stat().st_size / (1 << 20):5.1f} MiB")
