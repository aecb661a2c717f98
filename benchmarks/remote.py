"""`python -m benchmarks.remote`: a disk of 127 GiB judged at an address, held to limits.

Requests and bytes are counted on a page blob in Azurite; time is measured over https, from a web server on
this machine that answers as if it were 30 ms away. Exit code 0 if all limits hold, else 1.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.image import path_as_fixed
from benchmarks.run import FULL, OURS, Program, Run, judge, run, show
from tests.servers.authority import Authority
from tests.servers.azure import Azurite
from tests.servers.web import Web

ROUND_TRIP = 0.030
MAX_SECONDS = 2.0
"""For a verdict of `generalized`, Python's start included, from so far away."""
LIMITS = {"generalized": (40, 2 << 20), "azure-generalized": (250, 20 << 20)}
"""Requests and bytes of each profile."""
PROGRAMS = {"generalized": OURS, "azure-generalized": FULL}


def measure(program: Program, address: str) -> Run:
    """One process, with nothing kept from another."""
    command = program.command(address)
    if command is None:
        raise SystemExit("image-validator is not installed beside this Python: pip install -e '.[http]'")
    return run(program, command)


def count(measured: Run) -> dict[str, Any]:
    """What the report says of its requests."""
    return dict(json.loads(measured.output)["images"][0]["facts"]["io"])


def page_blob(image: Path, folder: Path) -> bool:
    """Requests and bytes, as the report has them; they are the same in every run."""
    print("\npage blob in Azurite")
    held = []
    with Azurite(folder) as azurite:
        address = azurite.signed(azurite.page_blob(image, azurite.container("images"), "large.vhd"))
        for profile, program in PROGRAMS.items():
            counted = count(measure(program, address))
            for what, limit in zip(("requests", "bytes_read"), LIMITS[profile]):
                words = f"{counted[what]}, below {limit}"
                held.append(judge(f"{profile}: {what}", counted[what], limit, words))
    return all(held)


def far_away(image: Path, folder: Path, runs: int) -> bool:
    """Time from a server to which the way is long."""
    print(f"\nweb server, https, {ROUND_TRIP * 1000:.0f} ms away, {runs} runs")
    authority = Authority(folder)
    os.environ["SSL_CERT_FILE"] = str(authority.file)
    seconds = {}
    with Web(tls=authority.good, delay=ROUND_TRIP) as web:
        address = web.publish("large.vhd", image)
        for profile, program in PROGRAMS.items():
            measure(program, address)
            measured = [measure(program, address) for _ in range(runs)]
            show(profile, measured)
            seconds[profile] = median(each.seconds for each in measured)
    shown = f"{seconds['generalized']:.2f} s, below {MAX_SECONDS:g} s"
    return judge("generalized: time, median", seconds["generalized"], MAX_SECONDS, shown)


def main() -> int:
    """Measure, print, judge."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.remote", description=__doc__)
    parser.add_argument("--runs", type=int, default=9, help="of each profile from far away, after a warm-up")
    parser.add_argument("--image", type=Path, help="measure this image, a multiple of 512 bytes, instead")
    options = parser.parse_args()
    image = options.image or path_as_fixed()
    print(f"image: {image.stat().st_size} bytes, {image.stat().st_blocks * 512} of them on disk")
    with tempfile.TemporaryDirectory() as folder:
        held = [page_blob(image, Path(folder)), far_away(image, Path(folder), options.runs)]
    return 0 if all(held) else 1


if __name__ == "__main__":
    sys.exit(main())
