"""One whole process: how long it took, what it used, and what it read of an image."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


class Failed(Exception):
    """A process that gave no right answer: it is no measurement."""


@dataclass(frozen=True)
class Run:
    """One process, and those that it waited for."""

    seconds: float
    cpu: float
    memory: int
    """The largest peak resident set among them, in bytes."""
    output: str


def environment() -> dict[str, str]:
    """Ours, with this copy in front and without what else moves Python.

    PYTHONDONTWRITEBYTECODE would have everything compiled in every run. So the first run leaves bytecode
    behind where there is none, as an installation does.
    """
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    return {**kept, "PYTHONPATH": str(ROOT)}


def run(command: Sequence[str], answer: str, settings: Mapping[str, str] | None = None) -> Run:
    """Run a command to its end.

    Raises:
        Failed: for an exit code other than 0, or an output without the answer.
    """
    # A child's peak memory begins with ours, so the one who calls this must be small.
    with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as errors:
        started = time.perf_counter()
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=errors,
            env={**environment(), **(settings or {})},
            cwd=ROOT,
        )
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - started
        process.returncode = os.waitstatus_to_exitcode(status)
        output.seek(0)
        errors.seek(0)
        text = output.read().decode(errors="replace")
        said = errors.read().decode(errors="replace").strip() or text.strip()
    if process.returncode or answer not in text:
        why = next((line for line in said.splitlines() if line.strip()), "it printed nothing")
        raise Failed(f"exit code {process.returncode}: {why.strip()[:200]}")
    memory = usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    return Run(seconds, usage.ru_utime + usage.ru_stime, memory, text)


_READ = re.compile(r"\w+\(\d+<(?P<path>.*?)>.* = (?P<count>\d+)$", re.MULTILINE)
_READS = "read,pread64,readv,preadv,preadv2"


def traced(
    strace: str, command: Sequence[str], image: str, settings: Mapping[str, str] | None = None
) -> tuple[int, int]:
    """What a command and its children read of an image, by strace: calls and bytes."""
    with tempfile.TemporaryDirectory() as folder:
        options = ("-ff", "-qq", "-y", "-s0", "-e", f"trace={_READS}", "-e", "signal=none")
        run([strace, *options, "-o", f"{folder}/process", *command], "", settings)
        calls = [
            int(read["count"])
            for trace in Path(folder).iterdir()
            for read in _READ.finditer(trace.read_text(errors="replace"))
            if read["path"] == os.path.realpath(image)
        ]
    return len(calls), sum(calls)
