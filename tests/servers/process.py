"""A server in a process of its own, which tells its port and ends with its standard input."""

from __future__ import annotations

import os
import re
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

SECONDS = 60
"""Until a server listens; far above what any takes."""


class Server:
    """The process, which listens.

    Args:
        command: what to run; it prints an address with a port when it listens, and ends at the end of its
            standard input, which comes with ours whatever ends us.
        log: gets what it says.
        environment: what is added to ours.
    """

    def __init__(self, command: Sequence[str], log: Path, environment: Mapping[str, str]) -> None:
        self.log = log
        with log.open("wb") as said:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=said,
                stderr=subprocess.STDOUT,
                env={**os.environ, **environment},
                cwd=log.parent,
            )
        try:
            self.port = self._listening()
        except BaseException:
            self.end()
            raise

    def _listening(self) -> int:
        deadline = time.monotonic() + SECONDS
        while not (found := re.search(r"://[\w.]+:([1-9]\d*)\n", self.log.read_text(errors="replace"))):
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"{self._process.args!r} does not listen: {self.log.read_text()}")
            time.sleep(0.02)
        return int(found[1])

    def end(self) -> None:
        """End it, which takes a moment."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
