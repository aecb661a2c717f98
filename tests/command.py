"""The command as a user has it, and what holds after every run of it.

`Command` runs it in this process (fast) or in one of its own (`process`), always with the environment
of nobody in particular, and afterwards proves promise 1 for all that lies in the folders of the images:
no byte, no time stamp and no name has changed. A traceback is never an answer.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any
from unittest import mock

from tests.images.cache import data_pieces

ROOT = Path(__file__).resolve().parent.parent
KEPT = ("PATH", "HOME", "TMPDIR", "PYTHONPATH", "PYTHONDONTWRITEBYTECODE", "VIRTUAL_ENV")
"""What a run inherits; CI, GITHUB_*, NO_COLOR, TERM, COLUMNS and all else stay outside."""
SECONDS = 60
"""How long a run may take before it counts as stuck; far above what any takes."""


@dataclass(frozen=True)
class Outcome:
    """What one run of the command returned and printed."""

    code: int
    stdout: str
    stderr: str

    @cached_property
    def json(self) -> Any:
        """Standard output as JSON."""
        return json.loads(self.stdout)


class Judged(dict[str, Any]):
    """The report about one image as JSON has it, and the exit code of the run."""

    code: int

    def finding(self, check: str) -> dict[str, Any]:
        """What one check found."""
        (found,) = [each for each in self["findings"] if each["check"] == check]
        return dict(found)

    @property
    def answer(self) -> tuple[str, int]:
        """Verdict and exit code."""
        return self["verdict"], self.code


class Command:
    """Runs the command; every path among the arguments that exists is watched over."""

    def __call__(
        self, *arguments: object, env: Mapping[str, str] | None = None, watched: bool = True
    ) -> Outcome:
        """Run it in this process; a test that changes the image meanwhile says that it is not watched."""
        from validator.cli import main

        texts = _asked([_text(argument) for argument in arguments])
        out, err = (io.TextIOWrapper(io.BytesIO(), encoding="utf-8", newline="") for _ in range(2))
        with (
            untouched(texts if watched else []),
            mock.patch.dict(os.environ, environment(env), clear=True),
            mock.patch.object(sys, "argv", ["image-validator", *texts]),
            contextlib.redirect_stdout(out),
            contextlib.redirect_stderr(err),
        ):
            code: object = "returned"
            try:
                main()
            except SystemExit as ending:
                code = ending.code
            out.flush()
            err.flush()
        assert isinstance(code, int), f"the command ended with {code!r}"
        return _checked(code, _printed(out), _printed(err))

    def process(
        self,
        *arguments: object,
        env: Mapping[str, str] | None = None,
        script: str | None = None,
        **options: Any,
    ) -> Outcome:
        """Run it in a process of its own: `python -m validator`, or a `script` that gets the arguments."""
        texts = _asked([_text(argument) for argument in arguments])
        begin = ["-m", "validator"] if script is None else ["-c", script]
        options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "cwd": ROOT, **options}
        with untouched(texts):
            done = subprocess.run(
                [sys.executable, *begin, *texts],
                env=environment(env),
                timeout=SECONDS,
                check=False,
                stdin=subprocess.DEVNULL,
                **options,
            )
        return _checked(done.returncode, _decoded(done.stdout), _decoded(done.stderr))

    def judge(self, image: object, *options: str, env: Mapping[str, str] | None = None) -> Judged:
        """`check --format json` on one image."""
        outcome = self("check", "--format", "json", *options, image, env=env)
        judged = Judged(outcome.json["images"][0])
        judged.code = outcome.code
        assert outcome.json["exit_code"] == outcome.code or "--exit-zero" in options
        return judged


def environment(more: Mapping[str, str] | None = None) -> dict[str, str]:
    """The environment of nobody in particular, and 80 columns."""
    kept = {name: os.environ[name] for name in KEPT if name in os.environ}
    return {**kept, "LANG": "C.UTF-8", "COLUMNS": "80", **(more or {})}


@contextlib.contextmanager
def untouched(arguments: list[str]) -> Iterator[None]:
    """Prove that the images among the arguments, and all beside them, are afterwards what they were."""
    images = [path for path in map(Path, arguments) if _is_image(path)]
    before = {image: _state(image) for image in images}
    yield
    for image in images:
        assert _state(image) == before[image], f"{image} or its folder was changed"


def _is_image(path: Path) -> bool:
    try:
        return path.is_file()
    except ValueError:  # a NUL in it
        return False


def _state(image: Path) -> object:
    """Content and times of a file, and the names beside it; times of reading do not count."""
    status = image.stat()
    digest = hashlib.sha256()
    if os.access(image, os.R_OK):
        for offset, piece in data_pieces(image):  # what lies between them is zeros, and the size counts too
            if any(piece):
                digest.update(offset.to_bytes(8, "little") + piece)
    names = sorted(os.listdir(image.parent))
    return digest.hexdigest(), status.st_size, status.st_mtime_ns, status.st_mode, names


def _asked(arguments: list[str]) -> list[str]:
    """`check` asks the plain question unless a test says which: most images here are not made for Azure."""
    if arguments[:1] != ["check"] or any(each.startswith("--profile") for each in arguments):
        return arguments
    return ["check", "--profile", "generalized", *arguments[1:]]


def _text(argument: object) -> str:
    return os.fsdecode(argument) if isinstance(argument, (bytes, os.PathLike)) else str(argument)


def _printed(stream: io.TextIOWrapper) -> str:
    assert isinstance(stream.buffer, io.BytesIO)
    return stream.buffer.getvalue().decode()


def _decoded(data: bytes | None) -> str:
    return (data or b"").decode()


def _checked(code: int, stdout: str, stderr: str) -> Outcome:
    for text in (stdout, stderr):
        assert "Traceback (most recent call last)" not in text, text
    return Outcome(code, stdout, stderr)
