"""`python -m benchmarks.run`: image-validator beside its peers, in one run, held to limits.

Whole processes are timed, Python's start included, in pairs: one of ours, one of the peer's, and
then the other way round. What counts is the ratio pair by pair, since machines differ and their
load changes. Exit code 0 if all limits hold, else 1.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from statistics import median

STATE = "IMAGE_STATE_GENERALIZE_RESEAL_TO_OOBE"
STATE_KEY = r"HKLM\SOFTWARE\Microsoft\Windows\CurrentVersion\Setup\State"

MAX_RATIO = 1 / 8
"""Of our time to target-reg's, by the median of the pairs."""
MAX_BYTES = 1 << 20
MAX_MEMORY = 100 << 20
MAX_FULL_RATIO = 3
"""Of the full Azure profile to `generalized`."""
MAX_FULL_BYTES = 16 << 20


@dataclass(frozen=True)
class Program:
    """A command that answers from an image, and what its output must have."""

    name: str
    arguments: tuple[str, ...]
    answer: str
    slow: bool = False

    def command(self, image: str) -> list[str] | None:
        """What to run, from this Python's folder or the path; None where it is not installed."""
        beside = shutil.which(self.name, path=os.path.dirname(sys.executable))
        program = beside or shutil.which(self.name)
        return None if program is None else [program, *(each.format(image=image) for each in self.arguments)]


OURS = Program(
    "image-validator",
    ("check", "{image}", "--profile", "generalized", "--format", "json"),
    '"verdict": "deployable"',
)
FULL = Program(
    "image-validator",
    ("check", "{image}", "--profile", "azure-generalized", "--will-convert", "--format", "json"),
    '"verdict": "deployable"',
)
REFERENCE = Program("target-reg", ("{image}", "-k", STATE_KEY), STATE)
PEERS = (REFERENCE, Program("virt-win-reg", ("{image}", STATE_KEY), STATE, slow=True))


@dataclass(frozen=True)
class Run:
    """One process."""

    seconds: float
    cpu: float
    memory: int
    """Peak resident set in bytes."""
    output: str


def run(program: Program, command: Sequence[str]) -> Run:
    """Run a command to its end; an answer that is not the right one is no measurement."""
    with tempfile.TemporaryFile() as output:
        started = time.perf_counter()
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.DEVNULL,
            env=_environment(),
        )
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - started
        process.returncode = os.waitstatus_to_exitcode(status)
        output.seek(0)
        text = output.read().decode(errors="replace")
    if process.returncode or program.answer not in text:
        raise SystemExit(
            f"{program.name} gave no right answer (exit code {process.returncode}): {text[-500:]}"
        )
    memory = usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    return Run(seconds, usage.ru_utime + usage.ru_stime, memory, text)


def pairs(peer: Program, image: str, count: int) -> list[tuple[Run, Run]] | None:
    """Ours and the peer's, each first in turn, after one of each to warm up; None without the peer."""
    ours, theirs = OURS.command(image), peer.command(image)
    if ours is None:
        raise SystemExit("image-validator is not installed beside this Python: pip install -e .")
    if theirs is None:
        return None
    measured = []
    for number in range(count + 1):
        if number % 2:
            second = run(peer, theirs)
            pair = run(OURS, ours), second
        else:
            pair = run(OURS, ours), run(peer, theirs)
        if number:
            measured.append(pair)
    return measured


def show(name: str, runs: Sequence[Run]) -> None:
    """Time, processor time and memory of one program."""
    for what, numbers, unit in (
        ("time", [1000 * each.seconds for each in runs], "ms"),
        ("processor time", [1000 * each.cpu for each in runs], "ms"),
        ("peak memory", [each.memory / 2**20 for each in runs], "MiB"),
    ):
        low, high = min(numbers), max(numbers)
        print(f"  {name:16} {what:15} min {low:8.1f}  median {median(numbers):8.1f}  max {high:8.1f} {unit}")


def judge(what: str, number: float, limit: float, shown: str) -> bool:
    """Print one limit and whether it holds."""
    held = number < limit
    print(f"  {'PASS' if held else 'FAIL'}  {what}: {shown}")
    return held


def compare(peer: Program, image: str, count: int) -> list[tuple[Run, Run]] | None:
    """Measure and print one peer."""
    count = min(count, 3) if peer.slow else count
    measured = pairs(peer, image, count)
    if measured is None:
        print(f"\n{peer.name}: skipped, it is not installed")
        return None
    print(f"\nimage-validator and {peer.name}, {count} pairs")
    show(OURS.name, [ours for ours, _ in measured])
    show(peer.name, [theirs for _, theirs in measured])
    ratios = [ours.seconds / theirs.seconds for ours, theirs in measured]
    print("  ratio by pair    " + "  ".join(f"{ratio:.3f}" for ratio in ratios))
    low, high = min(ratios), max(ratios)
    print(f"  ratio            min {low:.3f}  median {median(ratios):.3f}  max {high:.3f}")
    return measured


def limits(measured: Sequence[tuple[Run, Run]] | None, ours: Sequence[Run]) -> bool:
    """Hold the figures to the limits."""
    print("\nlimits")
    counts = [json.loads(each.output)["images"][0]["facts"]["io"] for each in ours]
    most = max(count["bytes_read"] for count in counts)
    memory = max(each.memory for each in ours)
    held = []
    if measured is None:
        print(f"  SKIP  ratio: {REFERENCE.name} is not installed")
    else:
        ratio = median(ours.seconds / theirs.seconds for ours, theirs in measured)
        held.append(judge("ratio", ratio, MAX_RATIO, f"{ratio:.3f} of {REFERENCE.name}, below {MAX_RATIO}"))
    reads = max(count["reads"] for count in counts)
    held.append(judge("reading", most, MAX_BYTES, f"{most} bytes in {reads} reads, below {MAX_BYTES} bytes"))
    shown = f"{memory / 2**20:.1f} MiB, below {MAX_MEMORY >> 20} MiB"
    held.append(judge("memory", memory, MAX_MEMORY, shown))
    return all(held)


def full_profile(image: str, count: int) -> bool:
    """Measure all of Azure's checks against the one question, and hold them to their limits."""
    measured = pairs(FULL, image, count) or []
    print(f"\n--profile azure-generalized and generalized, {count} pairs")
    show("azure", [full for _, full in measured])
    show("generalized", [plain for plain, _ in measured])
    ratio = median(full.seconds / plain.seconds for plain, full in measured)
    read = json.loads(measured[0][1].output)["images"][0]["facts"]["io"]["bytes_read"]
    shown = f"{read} bytes, below {MAX_FULL_BYTES} bytes"
    return all(
        [
            judge("ratio", ratio, MAX_FULL_RATIO, f"{ratio:.2f} of generalized, below {MAX_FULL_RATIO}"),
            judge("reading", read, MAX_FULL_BYTES, shown),
        ]
    )


def _build() -> str:
    """The large image, built in a process of its own: a child's peak memory begins with ours."""
    made = subprocess.run(
        [sys.executable, "-m", "benchmarks.image"], stdout=subprocess.PIPE, text=True, check=True
    )
    return made.stdout.strip()


def _environment() -> dict[str, str]:
    """Ours without Python's variables: PYTHONDONTWRITEBYTECODE would have us compiled in every run.

    So the warm-up leaves bytecode behind where there is none, as an installation does.
    """
    return {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}


def _versions() -> str:
    wanted = ("image-validator", "dissect.target", "libvhdi-python", "click")
    installed = {found.name: found.version for found in metadata.distributions()}
    return ", ".join(f"{name} {installed.get(name, 'not installed')}" for name in wanted)


def main() -> int:
    """Measure, print, judge."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.run", description=__doc__)
    parser.add_argument("--runs", type=int, default=9, help="pairs for each peer, after a warm-up")
    parser.add_argument("--image", help="measure this image instead of the built one")
    options = parser.parse_args()
    image = options.image or _build()
    status = Path(image).stat()
    load = f"{os.getloadavg()[0]:.2f}" if hasattr(os, "getloadavg") else "unknown"
    print(f"{platform.platform()}, {os.cpu_count()} processors, load {load}")
    print(f"Python {platform.python_version()}; {_versions()}")
    disk = f"{status.st_blocks // 2048} MiB on disk"
    print(f"{image}\n  {status.st_size} bytes, {disk}; caches are warm")
    measured = {peer.name: compare(peer, image, max(1, options.runs)) for peer in PEERS}
    ours = [mine for each in measured.values() for mine, _ in each or ()]
    if not ours:
        command = OURS.command(image)
        assert command is not None
        ours = [run(OURS, command) for _ in range(options.runs + 1)][1:]
        print("\nimage-validator alone")
        show(OURS.name, ours)
    full = full_profile(image, max(1, options.runs))
    return 0 if limits(measured[REFERENCE.name], ours) and full else 1


if __name__ == "__main__":
    sys.exit(main())
