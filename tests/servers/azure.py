"""Azurite: Azure's Blob Storage on loopback, with page blobs, block blobs and shared access signatures.

`ci/setup dev` installs it into `azurite/node_modules`; 3.35 runs on Node.js 18, which Debian 12 has. Versions
and checksums are in `package-lock.json`, which names no registry and is renewed by
`npm install --omit-lockfile-registry-resolved --ignore-scripts azurite@VERSION`. Azurite runs without
telemetry, and keeps what it holds in a folder that the caller gives.
"""

from __future__ import annotations

import re
import shutil
import time
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

from tests.images.cache import data_pieces
from tests.servers.process import Server

FOLDER = Path(__file__).parent / "azurite"
ACCOUNT = "devstoreaccount1"
KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
"""Azurite's account and its key, which its documentation publishes."""
PAGE = 512
LONGEST_WRITE = 4 * 2**20
"""Of pages in one request: Put Page, Azure's documentation."""


class Served(NamedTuple):
    """One request, as Azurite's log has it."""

    status: int
    sent: int
    """Bytes of the body; of a HEAD, what there would have been."""


class MissingNode(RuntimeError):
    """Node.js or Azurite is not installed."""


class Azurite:
    """The service; a context manager that ends it.

    Args:
        folder: for its files; must exist.
        certificate: files with certificate and key; with them it speaks https and nothing else.
        trust: a file with the authority that the clients made here trust.

    Raises:
        MissingNode: where it cannot be run; says what is missing.
    """

    def __init__(
        self, folder: Path, certificate: tuple[Path, Path] | None = None, trust: Path | None = None
    ) -> None:
        from azure.storage.blob import BlobServiceClient

        node = shutil.which("node")
        if node is None:
            raise MissingNode("node is missing: apt-get install nodejs npm, then ci/setup dev")
        if not (FOLDER / "node_modules" / "azurite").is_dir():
            raise MissingNode("Azurite is missing: ci/setup dev installs it (npm)")
        options = ["--blobHost", "127.0.0.1", "--blobPort", "0", "--location", str(folder)]
        options += ["--disableTelemetry", "--skipApiVersionCheck"]
        if certificate is not None:
            options += ["--cert", str(certificate[0]), "--key", str(certificate[1])]
        self._server = Server([node, str(FOLDER / "serve.js"), *options], folder / "azurite.log", {})
        scheme = "http" if certificate is None else "https"
        self.endpoint = f"{scheme}://127.0.0.1:{self._server.port}/{ACCOUNT}"
        self.connection_string = (
            f"DefaultEndpointsProtocol={scheme};AccountName={ACCOUNT};AccountKey={KEY};"
            f"BlobEndpoint={self.endpoint};"
        )
        self.client = BlobServiceClient.from_connection_string(
            self.connection_string,
            use_env_settings=False,  # no proxy
            connection_verify=True if trust is None else str(trust),
        )

    def __enter__(self) -> Azurite:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.client.close()
        self._server.end()

    def container(self, name: str, *, public: bool = False) -> str:
        """Make a container where there is none: its name. What is public can be read without a signature."""
        container = self.client.get_container_client(name)
        if not container.exists():
            container.create_container(public_access="blob" if public else None)
        return name

    def page_blob(self, path: Path, container: str, name: str | None = None) -> str:
        """Put a file into a page blob: its address. Only what is not zero is written, as azcopy does.

        The size of a page blob is a multiple of 512 bytes; that of the file must be.
        """
        blob = self.client.get_blob_client(container, name or path.name)
        blob.create_page_blob(path.stat().st_size)
        for offset, data in _pages(path):
            blob.upload_page(data, offset, len(data))
        return str(blob.url)

    def block_blob(self, content: Path | bytes, container: str, name: str) -> str:
        """Put a file, or bytes, into a block blob: its address."""
        blob = self.client.get_blob_client(container, name)
        if isinstance(content, bytes):
            blob.upload_blob(content, overwrite=True)
        else:
            with content.open("rb") as file:
                blob.upload_blob(file, overwrite=True)
        return str(blob.url)

    def signed(
        self, address: str, *, permission: str = "r", hours: float = 1, of_container: bool = False
    ) -> str:
        """A blob's address with a shared access signature for it, or for all of its container.

        Args:
            address: of the blob.
            permission: as the service writes it: `r` reads, `w` writes, `l` lists.
            hours: until it ends; less than zero for one that has ended.
            of_container: sign for the container instead.
        """
        from azure.storage.blob import generate_blob_sas, generate_container_sas

        now = datetime.now(timezone.utc)
        times = {"start": now - timedelta(days=2), "expiry": now + timedelta(hours=hours)}
        container, _, blob = address.removeprefix(f"{self.endpoint}/").partition("/")
        if of_container:
            query = generate_container_sas(ACCOUNT, container, KEY, permission=permission, **times)
        else:
            query = generate_blob_sas(
                ACCOUNT, container, blob, account_key=KEY, permission=permission, **times
            )
        return f"{address}?{query}"

    def served(self, address: str, method: str = "GET", at_least: int = 0) -> list[Served]:
        """The requests for a blob so far: the log comes after the answers, so say how many are waited for."""
        deadline = time.monotonic() + 5
        while len(found := self._served(urlsplit(address).path, method)) < at_least:
            if time.monotonic() > deadline:
                break
            time.sleep(0.01)
        return found

    def _served(self, path: str, method: str) -> list[Served]:
        lines = re.findall(
            r'"([A-Z]+) ([^ ?"]+)[^ "]* HTTP/1.1" (\d+) (\d+|-)$',
            self._server.log.read_text(errors="replace"),
            re.MULTILINE,
        )
        return [
            Served(int(status), 0 if sent == "-" else int(sent))
            for verb, at, status, sent in lines
            if (verb, at) == (method, path)
        ]

    def delete(self, address: str) -> None:
        """Delete a blob."""
        container, _, blob = address.removeprefix(f"{self.endpoint}/").partition("/")
        self.client.get_blob_client(container, blob).delete_blob()


def _pages(path: Path) -> Iterator[tuple[int, bytes]]:
    """Spans of a file that are not zero, by whole pages: where they begin, and their bytes."""
    step = 64 * 2**10
    for offset, piece in data_pieces(path, LONGEST_WRITE):
        start = 0
        while start < len(piece):
            end = start
            while end < len(piece) and any(piece[end : end + step]):
                end += step
            if end > start:
                yield offset + start, piece[start : min(end, len(piece))]
            start = end + step if end < len(piece) else end
