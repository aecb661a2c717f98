"""Verdicts in one process: `python -m benchmarks.warm PROFILE SECONDS IMAGE...` prints figures as JSON."""

from __future__ import annotations

import gc
import json
import os
import sys
import time
from collections.abc import Sequence
from statistics import median
from typing import Any

from benchmarks.process import ROOT, run

PROFILES = ("generalized", "azure-generalized")
SECONDS = 10


def measure(image: str) -> dict[str, Any]:
    """Each profile, round after round over the sample images and this one."""
    samples = sorted(str(path) for path in (ROOT / "sample_images").glob("*.vhd*"))
    judged = [path for path in samples if "corrupt" not in path]
    return {profile: in_one_process(profile, SECONDS, [*judged, image]) for profile in PROFILES}


def in_one_process(profile: str, seconds: float, paths: Sequence[str]) -> dict[str, Any]:
    """What a process of its own says of `rounds`."""
    command = [sys.executable, "-m", "benchmarks.warm", profile, str(seconds), *paths]
    figures: dict[str, Any] = json.loads(run(command, "{").output)
    return figures


def rounds(profile: str, seconds: float, paths: Sequence[str]) -> dict[str, Any]:
    """Judge all images again and again for so long, after one round to warm up.

    Each must get a verdict that is not in doubt. Garbage is collected as seldom as in the command and its
    processes.
    """
    gc.set_threshold(200_000)
    from validator import Verdict, validate

    times: list[list[float]] = [[] for _ in paths]
    counts = []
    for path in paths:
        report = validate(path, profile, will_convert=True)
        if report.verdict is Verdict.INDETERMINATE:
            raise SystemExit(f"{path}: {report.summary}")
        counts.append(report.io)
    began, used = time.perf_counter(), time.process_time()
    while time.perf_counter() - began < seconds or len(times[0]) < 3:
        for path, its in zip(paths, times):
            started = time.perf_counter()
            validate(path, profile, will_convert=True)
            its.append(time.perf_counter() - started)
    took, used = time.perf_counter() - began, time.process_time() - used
    judged = len(paths) * len(times[0])
    return {
        "rounds": len(times[0]),
        "per_second": round(judged / took, 1),
        "per_cpu_second": round(judged / used, 1),
        "images": [
            {
                "name": os.path.basename(path),
                "median_ms": round(1000 * median(its), 2),
                "least_ms": round(1000 * min(its), 2),
                "reads": count.reads,
                "bytes_read": count.bytes_read,
            }
            for path, its, count in zip(paths, times, counts)
        ],
    }


if __name__ == "__main__":
    chosen, length, *images = sys.argv[1:]
    print(json.dumps(rounds(chosen, float(length), images)))
