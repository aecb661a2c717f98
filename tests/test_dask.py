"""A Dask cluster, for real: a scheduler and two workers, each a process of its own, on loopback."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

import validator
from tests.command import ROOT, Command, Outcome, environment
from tests.test_fleet import BAD, CORRUPT, many, steady

pytest.importorskip("distributed", reason="Dask is not installed; image-validator[dask] has it")


class Cluster(NamedTuple):
    """A scheduler's address, and its workers."""

    address: str
    workers: list[subprocess.Popen[str]]


class Started:
    """Starts the programs of a cluster, and ends them."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._running: list[subprocess.Popen[str]] = []

    def __call__(
        self, program: str, *arguments: str, says: str, **env: str
    ) -> tuple[subprocess.Popen[str], str]:
        """Start one and wait until it says something; it lives in a folder that has nothing of ours."""
        log = self._folder / f"{len(self._running)}.log"
        with log.open("w") as stream:
            process = subprocess.Popen(
                [sys.executable, "-m", f"distributed.cli.{program}", "--no-dashboard", *arguments],
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=subprocess.STDOUT,
                text=True,
                cwd=self._folder,
                env={**environment(), "PYTHONPATH": os.environ.get("PYTHONPATH", str(ROOT)), **env},
            )
        self._running.append(process)
        deadline = time.monotonic() + 30
        while not (found := re.search(says, text := log.read_text())):
            assert time.monotonic() < deadline, text
            assert process.poll() is None, text
            time.sleep(0.05)
        return process, found[1]

    def end(self) -> None:
        """All of them."""
        for process in self._running:
            process.kill()
        for process in self._running:
            process.wait()


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Started]:
    """Starts the programs of a cluster."""
    folder = tmp_path / "cluster"
    folder.mkdir()
    started = Started(folder)
    yield started
    started.end()


@pytest.fixture
def scheduler(start: Started) -> str:
    """The address of a scheduler."""
    return start(
        "dask_scheduler",
        "--host",
        "127.0.0.1",
        "--port",
        "0",
        says=r"Scheduler at:\s+(tcp://127\.0\.0\.1:\d+)",
    )[1]


WORKER = ("--nthreads", "1", "--no-nanny")
READY = r"(Registered to)"


@pytest.fixture
def cluster(start: Started, scheduler: str) -> Cluster:
    """A scheduler with two workers."""
    workers = [start("dask_worker", scheduler, *WORKER, says=READY)[0] for _ in range(2)]
    return Cluster(scheduler, workers)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """For images."""
    path = tmp_path / "images"
    path.mkdir()
    return path


EACH = "from validator.cli import main, progress\nprogress._EVERY = 0.0\nmain()"
COMMAND = (sys.executable, "-c", EACH, "check", "-f", "json", "--profile", "generalized")
"""The command, which tells every image."""


def interrupted(cluster: Cluster, listed: Path, victim: Callable[[int], object]) -> Outcome:
    """A run over a list that something happens to when it is under way."""
    run = subprocess.Popen(
        [*COMMAND, "--dask", cluster.address, f"@{listed}"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env=environment(),
    )
    try:
        assert run.stderr is not None
        while not run.stderr.readline().startswith("8 of 64 judged"):
            assert run.poll() is None
        victim(run.pid)
        stdout, stderr = run.communicate(timeout=60)
    finally:
        run.kill()
    assert "Traceback" not in stderr
    return Outcome(run.returncode, stdout, stderr)


def test_whatever_happens(command: Command, cluster: Cluster, folder: Path, tmp_path: Path) -> None:
    """An interruption is one, and leaves the cluster to others; where a worker is killed in the middle,
    nothing is lost or doubled, and all verdicts are what they are here.
    """
    paths = [os.path.relpath(path, ROOT) for path in many(folder, 64)]
    for place, image in ((5, BAD), (40, CORRUPT)):
        (folder / f"disk{place:03}.vhdx").unlink()
        (folder / f"disk{place:03}.vhdx").symlink_to(image)
    listed = tmp_path / "list"
    listed.write_text("\n".join(paths))
    ended = interrupted(cluster, listed, lambda process: os.kill(process, signal.SIGINT))
    assert (ended.code, ended.stdout, ended.stderr.split()[-1]) == (130, "", "interrupted")
    assert [worker.poll() for worker in cluster.workers] == [None, None]
    there = interrupted(cluster, listed, lambda process: cluster.workers[0].send_signal(signal.SIGKILL))
    here = command.process("check", "-f", "json", "-j", "2", f"@{listed}")
    assert (there.code, here.code) == (1, 1)
    assert steady(there.json) == steady(here.json)
    assert [image["path"] for image in there.json["images"]] == paths


@pytest.fixture
def refused(command: Command) -> Callable[[str], str]:
    """A function that gives what is said where a cluster cannot be used: 2, and no report."""

    def refused(address: str) -> str:
        script = "from validator.cli import dask, main\ndask._PATIENCE = 3\nmain()"
        outcome = command.process("check", "--dask", address, BAD, script=script)
        assert (outcome.code, outcome.stdout) == (2, "")
        return " ".join(outcome.stderr.split())

    return refused


@pytest.mark.parametrize(
    ("address", "word"),
    [("tcp://127.0.0.1:1", "no Dask scheduler answers at tcp://127.0.0.1:1"),
     ("somewhere", "missing port number in address 'somewhere'")],
)  # fmt: skip
def test_no_scheduler(refused: Callable[[str], str], address: str, word: str) -> None:
    """It is said within the ten seconds that it has."""
    assert word in refused(address)


def test_workers_that_judge_otherwise(
    start: Started, scheduler: str, refused: Callable[[str], str], tmp_path: Path
) -> None:
    """None at all, one with another version, one without image-validator."""
    assert "has no workers" in refused(scheduler)
    for spoil, word in (
        ("validator.__version__ = '9.9'", f"expected image-validator {validator.__version__} "),
        ("import sys; sys.modules['validator.fleet'] = None", "validator.fleet"),
    ):
        preload = tmp_path / "preload.py"
        preload.write_text(f"import validator; {spoil}")
        worker, _ = start("dask_worker", scheduler, *WORKER, "--preload", str(preload), says=READY)
        said = refused(scheduler)
        assert "on the Dask worker tcp://127.0.0.1:" in said
        assert word in said
        worker.terminate()
        worker.wait()
