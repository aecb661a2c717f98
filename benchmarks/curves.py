"""What a verdict costs as one thing grows: the disk, the number of files, the SOFTWARE hive.

Beside what grows, each image is a disk of 8 GiB with 10,000 files and a hive of 10 MB; where the disk
grows, it has 1,000 files and 1 MB, since so much fits on 1 GiB. Images are built one by one, and removed
again.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.peers import GENERALIZED, counted
from benchmarks.process import ROOT, environment, run
from benchmarks.warm import in_one_process

CURVES: dict[str, list[dict[str, Any]]] = {
    "disk": [
        *({"container": "vhdx", "disk": size} for size in (1, 8, 127, 512, 2048)),
        *({"container": "vhd", "disk": size} for size in (1, 8, 127, 512, 2040)),
    ],
    "files": [{"container": "vhdx", "files": count} for count in (1_000, 10_000, 100_000, 500_000)],
    "software": [{"container": "vhdx", "software": size} for size in (1, 10, 35, 100, 200)],
}
"""By what grows: the images, as `benchmarks.image` takes them. A VHD of today's tools ends at 2040 GiB."""

FOLDER = "IMAGE_VALIDATOR_TEST_CACHE"
SECONDS = 2


def measure(*, keep: bool = False) -> dict[str, Any]:
    """All curves; the built images stay in the factory's cache where they are kept."""
    return {name: [_point(name, image, keep) for image in images] for name, images in CURVES.items()}


def _point(name: str, image: dict[str, Any], keep: bool) -> dict[str, Any]:
    asked = {**image, **({"files": 1_000, "software": 1} if name == "disk" else {})}
    cache = Path(os.environ.get(FOLDER) or ROOT / ".cache" / "test-images")
    cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="curves-", dir=cache) as folder:
        started = time.perf_counter()
        path = build(asked, None if keep else folder)
        built = time.perf_counter() - started
        status = os.stat(path)
        cold = min((_cold(path) for _ in range(3)), key=lambda run: run[0])
        warm = in_one_process("generalized", SECONDS, [path])["images"][0]
    point = {
        "x": image[name],
        "container": image["container"],
        "bytes_on_disk": status.st_blocks * 512,
        "warm_ms": warm["median_ms"],
        "least_ms": warm["least_ms"],
        "cold_seconds": round(cold[0], 4),
        "memory": cold[1],
        "reads": cold[2],
        "bytes_read": cold[3],
    }
    print(f"  {asked}: {point['least_ms']} ms warm, built in {built:.0f} s", file=sys.stderr, flush=True)
    return point


def _cold(path: str) -> tuple[float, int, int, int]:
    done = run(GENERALIZED.command(path), GENERALIZED.answer)
    return done.seconds, done.memory, *counted(done.output)


def build(asked: dict[str, Any] | None, folder: str | None = None) -> str:
    """An image of `benchmarks.image`, by a process of its own, since a child's peak memory begins with ours.

    None asks for the large one. It is built below the folder, or in the cache of the factory.
    """
    ours = {name: value for name, value in os.environ.items() if name == FOLDER}
    place = {FOLDER: folder} if folder else ours
    command = [sys.executable, "-m", "benchmarks.image", *([json.dumps(asked)] if asked else [])]
    made = subprocess.run(
        command, stdout=subprocess.PIPE, text=True, check=True, cwd=ROOT, env={**environment(), **place}
    )
    return made.stdout.strip()
