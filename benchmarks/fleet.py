"""Many images in one command: how many in a second, over one process and several."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.peers import OURS
from benchmarks.process import ROOT, Failed, run

IMAGES = 240
JOBS = (1, 2, 4)
RUNS = 3


def measure(image: str) -> dict[str, Any]:
    """Images per second by number of processes, the best of some runs; or why not."""
    try:
        run([*OURS, "check", "--help"], "--jobs")
    except Failed:
        return {"skipped": "this image-validator has no --jobs"}
    originals = [image, *map(str, sorted((ROOT / "sample_images").glob("generalized-*")))]
    with tempfile.TemporaryDirectory(prefix="fleet-") as folder:
        paths = [_linked(originals[number % len(originals)], folder, number) for number in range(IMAGES)]
        measured = {str(jobs): min(_seconds(jobs, paths) for _ in range(RUNS)) for jobs in JOBS}
    return {
        "images": IMAGES,
        "processors": os.cpu_count(),
        "per_second": {jobs: round(IMAGES / seconds, 1) for jobs, seconds in measured.items()},
    }


def _seconds(jobs: int, paths: list[str]) -> float:
    arguments = ("--profile", "generalized", "--format", "json", "--jobs", str(jobs))
    done = run([*OURS, "check", *arguments, *paths], '"exit_code": 0')
    return done.seconds


def _linked(original: str, folder: str, number: int) -> str:
    """The image under a name of its own; a hard link would change the times of what others may be reading."""
    path = Path(folder) / f"{number:04}{Path(original).suffix}"
    path.symlink_to(original)
    return str(path)
