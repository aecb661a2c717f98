"""What tests of the whole command share: images of their own, the command, the corpus, servers."""

from __future__ import annotations

import bz2
import gzip
import lzma
import os
import signal
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import pytest

from tests.command import Command
from tests.images import Disk, MissingTool, Windows, build, copy_of
from tests.images.containers import Container
from tests.servers.fixtures import authority, azurite, azurite_tls, s3, serve, web  # noqa: F401

CORPUS_VARIABLE = "IMAGE_VALIDATOR_TEST_DATA"
"""Names a folder whose `corpus` holds hives, logs and containers made by others (see its INDEX.md)."""


def pytest_configure() -> None:
    """What tests interrupt can be interrupted, also where they run in the background of a shell."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def command() -> Command:
    """The command; see `Command`."""
    return Command()


@pytest.fixture
def image(tmp_path: Path) -> Iterator[Callable[..., Path]]:
    """A function that gives a private, writable copy of an image, alone in a folder."""
    made: list[Path] = []
    numbers = count(1)

    def image(
        what: Windows | Disk,
        container: str | Container = "vhdx-dynamic",
        *,
        scheme: str | None = "gpt",
        name: str | None = None,
    ) -> Path:
        folder = tmp_path / f"image{next(numbers)}"
        folder.mkdir()
        try:
            built = build(what, container, scheme=scheme)
        except MissingTool as missing:
            pytest.skip(str(missing))
        made.append(copy_of(built, folder, name or f"disk{built.suffix}"))
        return made[-1]

    yield image
    for path in made:  # pytest keeps the folders of three runs
        path.unlink(missing_ok=True)


UNPACK = {".xz": lzma.decompress, ".gz": gzip.decompress, ".bz2": bz2.decompress}


class Corpus:
    """Files made by others, unpacked by the ending of their names."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __getitem__(self, path: str) -> bytes:
        """The content of a file, which is unpacked where it is packed."""
        file = self._folder / path
        return UNPACK.get(file.suffix, bytes)(file.read_bytes())


@pytest.fixture(scope="session")
def corpus() -> Corpus:
    """The corpus, where there is one."""
    folder = os.environ.get(CORPUS_VARIABLE)
    if not folder:
        pytest.skip(f"{CORPUS_VARIABLE} does not name a folder with the corpus")
    return Corpus(Path(folder) / "corpus")
