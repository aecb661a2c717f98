"""The servers as fixtures. Those in processes of their own are started when first asked for, once in a run.

Everything here is imported when a test wants it: most tests want none of it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.servers.authority import Authority
    from tests.servers.azure import Azurite
    from tests.servers.s3 import S3
    from tests.servers.web import Web


@pytest.fixture
def serve() -> Iterator[Callable[..., Web]]:
    """A function that starts an HTTP server of this test alone; its arguments are those of `web.Web`."""
    from tests.servers.web import Web

    with contextlib.ExitStack() as servers:

        def serve(*arguments: Any, **options: Any) -> Web:
            return servers.enter_context(Web(*arguments, **options))

        yield serve


@pytest.fixture
def web(serve: Callable[..., Web]) -> Web:
    """An HTTP server of this test alone, over http."""
    return serve()


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """A certificate authority that nobody else trusts; `authority.file` is its certificate."""
    from tests.servers.authority import Authority

    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="session")
def azurite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Azurite]:
    """Azure's Blob Storage over http, one for the whole run; skips where node is missing."""
    yield from _azurite(tmp_path_factory)


@pytest.fixture(scope="session")
def azurite_tls(tmp_path_factory: pytest.TempPathFactory, authority: Authority) -> Iterator[Azurite]:
    """The same over https, with a certificate of `authority`."""
    yield from _azurite(tmp_path_factory, authority)


@pytest.fixture(scope="session")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3]:
    """An S3 service, one for the whole run."""
    from tests.servers.s3 import S3

    with S3(tmp_path_factory.mktemp("s3")) as running:
        yield running


def _azurite(folders: pytest.TempPathFactory, authority: Authority | None = None) -> Iterator[Azurite]:
    from tests.servers.azure import Azurite, MissingNode

    folder = folders.mktemp("azurite")
    try:
        started = Azurite(folder) if authority is None else Azurite(folder, authority.files, authority.file)
    except MissingNode as missing:
        pytest.skip(str(missing))
    with started:
        yield started
