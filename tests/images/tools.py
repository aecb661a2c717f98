"""The programs that make and read images: found once, run plainly, missed clearly."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence
from functools import cache
from pathlib import Path

PACKAGES = {
    "ntfsls": "ntfs-3g",
    "qemu-img": "qemu-utils",
    "mkntfs": "ntfs-3g",
    "ntfscat": "ntfs-3g",
    "wimlib-imagex": "wimtools",
    "mkfs.fat": "dosfstools",
    "mcopy": "mtools",
    "mtype": "mtools",
    "sgdisk": "gdisk",
    "hivexsh": "libhivex-bin",
}
"""The Debian package that brings each program."""

SYSTEM_FOLDERS = ("/usr/sbin", "/sbin", "/usr/bin", "/bin")


class MissingTool(RuntimeError):
    """A program that the factory needs is not installed."""

    def __init__(self, tool: str, package: str) -> None:
        """Name the program and the Debian package that brings it."""
        super().__init__(f"{tool} is missing: apt-get install {package}")
        self.tool = tool
        self.package = package


@cache
def find(tool: str) -> str:
    """Where ``tool`` lies; the folders for administrators count although PATH may lack them."""
    path = os.pathsep.join([os.environ.get("PATH", ""), *SYSTEM_FOLDERS])
    found = shutil.which(tool, path=path)
    if found is None:
        raise MissingTool(tool, PACKAGES.get(tool, tool))
    return found


def run(tool: str, *arguments: str | Path | int, clock: int | None = None) -> bytes:
    """Run ``tool`` and return what it printed; ``clock`` is the time it shall believe in.

    Only programs that honour ``SOURCE_DATE_EPOCH`` believe it (dosfstools and mtools do).
    """
    environment = {**os.environ, "LC_ALL": "C", "TZ": "UTC", "MTOOLS_SKIP_CHECK": "1"}
    if clock is not None:
        environment["SOURCE_DATE_EPOCH"] = str(clock)
    return _run([find(tool), *map(str, arguments)], environment=environment)


@cache
def hivex_python() -> str:
    """The interpreter that has the hivex binding: Debian builds it for its own Python only."""
    for candidate in ("/usr/bin/python3", "python3"):
        interpreter = shutil.which(candidate)
        if interpreter is None:
            continue
        probe = subprocess.run([interpreter, "-c", "import hivex"], capture_output=True, check=False)
        if probe.returncode == 0:
            return interpreter
    raise MissingTool("the hivex binding of Python", "python3-hivex")


def run_hivex(script: Path, description: bytes) -> None:
    """Run ``script`` under the interpreter that has hivex, with ``description`` on its input."""
    _run([hivex_python(), str(script)], environment=dict(os.environ), stdin=description)


def _run(command: Sequence[str], environment: dict[str, str], stdin: bytes = b"") -> bytes:
    done = subprocess.run(command, input=stdin, capture_output=True, env=environment, check=False)
    if done.returncode != 0:
        said = (done.stderr or done.stdout).decode(errors="replace").strip()
        raise RuntimeError(f"{' '.join(command)} failed ({done.returncode}): {said}")
    return done.stdout
