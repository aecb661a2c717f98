"""The servers that tests of addresses rest on do what they say, as clients see it that are not ours."""

from __future__ import annotations

import contextlib
import gzip
import http.client
import json
import os
import random
import signal
import socket
import ssl
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

import pytest

from tests.command import ROOT
from tests.servers.authority import Authority
from tests.servers.azure import FOLDER, Azurite, MissingNode
from tests.servers.s3 import S3
from tests.servers.web import (
    BUFFER,
    Fault,
    Web,
    changed,
    cut_body,
    cut_head,
    gzipped,
    no_ranges,
    only,
    other_range,
    other_total,
    redirect,
    silent,
    since,
    status,
    too_little,
    too_much,
    trickle,
    unmeasured,
    without,
)

MiB = 1 << 20
DISK = random.Random(15).randbytes(MiB)


class Got(NamedTuple):
    """What a client got."""

    status: int
    headers: http.client.HTTPMessage
    body: bytes

    @property
    def range(self) -> str | None:
        """Content-Range."""
        return self.headers["Content-Range"]


class Client:
    """One connection by the standard library's plainest client: it follows nothing and repairs nothing."""

    def __init__(self, address: str, tls: ssl.SSLContext | None = None) -> None:
        self.parts = urlsplit(address)
        host = self.parts.netloc
        self.connection: http.client.HTTPConnection = (
            http.client.HTTPConnection(host, timeout=5)
            if self.parts.scheme == "http"
            else http.client.HTTPSConnection(host, timeout=5, context=tls)
        )

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.connection.close()

    def ask(self, span: str | None = None, method: str = "GET", **headers: str) -> Got:
        """Send a request and read all of the answer."""
        path = f"{self.parts.path}?{self.parts.query}" if self.parts.query else self.parts.path
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        self.connection.request(
            method, path, headers={**sent, **({"Range": f"bytes={span}"} if span else {})}
        )
        with self.connection.getresponse() as answer:
            return Got(answer.status, answer.headers, answer.read())


@pytest.fixture
def disk(web: Web) -> str:
    """The address of a mebibyte."""
    return web.publish("a disk.vhd", DISK)


@pytest.fixture
def client(disk: str) -> Iterator[Client]:
    """A connection to it."""
    with Client(disk) as client:
        yield client


# --- the HTTP server at its best -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("span", "start", "stop"),
    [("0-0", 0, 1), ("100-299", 100, 300), (f"{MiB - 10}-", MiB - 10, MiB), ("-512", MiB - 512, MiB),
     (f"0-{MiB * 2}", 0, MiB)],
)  # fmt: skip
def test_ranges(client: Client, span: str, start: int, stop: int) -> None:
    got = client.ask(span)
    assert (got.status, got.range) == (206, f"bytes {start}-{stop - 1}/{MiB}")
    assert got.body == DISK[start:stop]
    assert got.headers["Content-Length"] == str(stop - start)


def test_a_file_is_served_like_bytes(web: Web, tmp_path: Path) -> None:
    path = tmp_path / "disk.vhd"
    path.write_bytes(DISK)
    with Client(web.publish("file.vhd", path)) as client:
        assert client.ask("70000-200000").body == DISK[70_000:200_001]
        assert client.ask().body == DISK


def test_a_range_behind_the_end(client: Client) -> None:
    got = client.ask(f"{MiB}-")
    assert (got.status, got.range) == (416, f"bytes */{MiB}")


def test_one_connection_serves_many_requests(client: Client, web: Web) -> None:
    assert client.ask(method="HEAD").headers["Content-Length"] == str(MiB)
    assert [client.ask("0-9").status, client.ask().status, client.ask("-1").status] == [206, 200, 206]
    assert len({request.connection for request in web.requests}) == 1


def test_requests_are_recorded(client: Client, web: Web) -> None:
    client.ask("0-9", Authorization="Bearer x")
    (request,) = web.requests
    assert (request.method, request.path, request.range) == ("GET", "/a%20disk.vhd", "bytes=0-9")
    assert (request.headers["authorization"], request.status, request.sent) == ("Bearer x", 206, 10)
    client.parts = urlsplit("/nothing?sig=secret")
    assert client.ask().status == 404
    assert (web.requests[1].query, web.requests[1].number) == ("sig=secret", 2)


def test_versions(client: Client, web: Web) -> None:
    etag = client.ask("0-0").headers["ETag"]
    assert client.ask("0-0", If_Match=etag).status == 206
    web.publish("a disk.vhd", DISK[::-1])
    assert client.ask("0-0", If_Match=etag).status == 412
    now = client.ask("0-0")
    assert (now.body, now.headers["ETag"] != etag) == (DISK[-1:], True)


# --- the HTTP server at its worst ----------------------------------------------------------------


def test_a_fault_is_for_the_requests_that_it_is_for(client: Client, web: Web) -> None:
    web.fault(status(403), at=since(4))
    web.fault(status(429, Retry_After="7"), at=2)
    got = [client.ask("0-9") for _ in range(5)]
    assert [each.status for each in got] == [206, 429, 206, 403, 403]
    assert got[1].headers["Retry-After"] == "7"
    web.mend()
    assert client.ask("0-9").status == 206


@pytest.mark.parametrize("code", [401, 403, 404, 410, 416, 500, 503])
def test_statuses(client: Client, web: Web, code: int) -> None:
    web.fault(status(code))
    assert client.ask("0-9").status == code


def test_no_ranges(client: Client, web: Web) -> None:
    web.fault(no_ranges)
    for span in ("0-9", f"{MiB}-"):
        got = client.ask(span)
        assert (got.status, got.range, got.body) == (200, None, DISK)


def test_what_an_unwilling_client_was_sent_is_counted(web: Web, tmp_path: Path) -> None:
    path = tmp_path / "disk.vhd"
    with path.open("wb") as file:
        file.truncate(127 << 30)
    web.fault(no_ranges)
    host, port = urlsplit(web.publish("large.vhd", path)).netloc.split(":")
    with socket.create_connection((host, int(port))) as connection:
        connection.sendall(b"GET /large.vhd HTTP/1.1\r\nHost: x\r\nRange: bytes=0-511\r\n\r\n")
        assert connection.recv(1) == b"H"
        settled(web)
    assert web.requests[0].status == 200
    assert BUFFER // 2 < web.sent < 8 * MiB


def settled(web: Web) -> None:
    """Wait until a server sends no more."""
    before = -1
    while before != web.sent:
        before = web.sent
        time.sleep(0.05)


@pytest.mark.parametrize("reset", [False, True])
def test_a_connection_cut_in_the_head(client: Client, web: Web, reset: bool) -> None:
    web.fault(cut_head(6, reset=reset))
    with pytest.raises((http.client.BadStatusLine, ConnectionResetError)):
        client.ask("0-9")
    client.connection.close()
    web.mend()
    web.fault(cut_head(20, reset=reset))  # a whole line without its end, which this client takes for a head
    with contextlib.suppress(ConnectionResetError):
        assert client.ask("0-9").body == b""
    assert [request.status for request in web.requests] == [0, 0]


def test_a_connection_cut_in_the_body(client: Client, web: Web) -> None:
    web.fault(cut_body(300))
    with pytest.raises(http.client.IncompleteRead) as raised:
        client.ask("0-999")
    assert (raised.value.partial, web.sent) == (DISK[:300], 300)


def test_a_connection_reset_in_the_body(client: Client, web: Web) -> None:
    web.fault(cut_body(300, reset=True))
    with pytest.raises((ConnectionResetError, http.client.IncompleteRead)):
        client.ask("0-999999")


@pytest.mark.parametrize(
    ("fault", "told", "body"),
    [
        (too_little(4), "100-199/1048576", DISK[100:196]),
        (too_much(4), "100-199/1048576", DISK[100:204]),
        (other_range(512), "612-711/1048576", DISK[612:712]),
        (other_range(-512), "612-711/1048576", DISK[612:712]),
        (other_total(-1), "100-199/1048575", DISK[100:200]),
    ],
)
def test_lies_about_the_range(client: Client, web: Web, fault: Fault, told: str, body: bytes) -> None:
    web.fault(fault)
    got = client.ask("100-199")
    assert (got.status, got.range, got.body) == (206, f"bytes {told}", body)
    assert client.ask("0-9").status == 206  # the connection is sound


def test_compression(client: Client, web: Web) -> None:
    web.fault(gzipped)
    got = client.ask("100-199")
    assert (got.headers["Content-Encoding"], gzip.decompress(got.body)) == ("gzip", DISK[100:200])


@pytest.mark.parametrize("framing", ["chunked", "close"])
def test_no_content_length(client: Client, web: Web, framing: str) -> None:
    web.fault(unmeasured(framing))
    for span in ("100-199", f"{MiB - 200_000}-"):
        got = client.ask(span)
        assert (got.headers["Content-Length"], got.status) == (None, 206)
        assert got.body == DISK[100:200] or got.body == DISK[-200_000:]
    assert len({request.connection for request in web.requests}) == (1 if framing == "chunked" else 2)


def test_headers_left_out(client: Client, web: Web) -> None:
    web.fault(without("ETag", "Last-Modified"))
    got = client.ask("0-9")
    assert (got.status, got.headers["ETag"], got.headers["Last-Modified"]) == (206, None, None)


def test_faults_of_one_method(client: Client, web: Web) -> None:
    web.fault(only("HEAD", status(405)))
    assert [client.ask(method="HEAD").status, client.ask("0-9").status] == [405, 206]


def test_silence_and_slowness(client: Client, web: Web) -> None:
    web.fault(silent(0.2), at=1)
    web.fault(trickle(100, 0.05), at=2)
    for least in (0.2, 0.15):
        started = time.perf_counter()
        assert client.ask("0-399").body == DISK[:400]
        assert time.perf_counter() - started >= least


def test_a_silent_server_ends_at_once() -> None:
    started = time.perf_counter()
    with Web() as web:
        web.fault(silent(60))
        with Client(web.publish("disk", DISK)) as client:
            client.connection.timeout = 0.1
            with pytest.raises(TimeoutError):
                client.ask("0-9")
    assert time.perf_counter() - started < 10


def test_delay(serve: Callable[..., Web]) -> None:
    with Client(serve(delay=0.1).publish("disk", DISK)) as client:
        started = time.perf_counter()
        client.ask("0-9")
        client.ask("0-9")
    assert time.perf_counter() - started >= 0.3


def test_redirects(web: Web, serve: Callable[..., Web]) -> None:
    other = serve(host="localhost")
    there = other.publish("disk", DISK)
    web.fault(redirect(there))
    asked = urllib.request.Request(web.publish("disk", DISK) + "?sig=secret", headers={"Cookie": "a=b"})
    with urllib.request.urlopen(asked) as answer:
        assert (answer.url, answer.read()) == (there, DISK)
    assert web.requests[0].query == "sig=secret"
    assert other.requests[0].headers["cookie"] == "a=b"  # urllib takes it along, which is recorded


def test_a_redirect_loop(web: Web) -> None:
    address = web.publish("disk", DISK)
    web.fault(redirect(address, 307))
    with pytest.raises(urllib.error.HTTPError) as raised:
        urllib.request.urlopen(address)
    raised.value.close()
    assert (raised.value.code, len(web.requests) > 3) == (307, True)


@pytest.mark.parametrize(("heeds", "expected"), [(True, 412), (False, 206)])
def test_a_change_in_the_middle(client: Client, web: Web, heeds: bool, expected: int) -> None:
    etag = client.ask("0-9").headers["ETag"]
    web.fault(changed(heeds_if_match=heeds))
    got = client.ask("0-9", If_Match=etag)
    assert (got.status, got.headers["ETag"] != etag) == (expected, True)
    assert client.ask("0-9").status == 206


# --- TLS -----------------------------------------------------------------------------------------


def test_tls(serve: Callable[..., Web], authority: Authority) -> None:
    web = serve("localhost", tls=authority.good)
    trust = ssl.create_default_context(cafile=str(authority.file))
    with Client(web.publish("disk", DISK), trust) as client:
        assert [client.ask("5-9").body, client.ask("0-4").body] == [DISK[5:10], DISK[:5]]
    with Client(web.publish("disk", DISK), ssl.create_default_context()) as client:
        refused(client, "unable to get local issuer certificate")


@pytest.mark.parametrize(
    ("certificate", "why"),
    [
        ("expired", "certificate has expired"),
        ("of_another_host", "is not valid for"),
        ("of_a_stranger", "unable to get local issuer certificate"),
        ("self_signed", "self.signed certificate"),
    ],
)
def test_certificates_that_nobody_should_trust(
    serve: Callable[..., Web], authority: Authority, certificate: str, why: str
) -> None:
    web = serve(tls=getattr(authority, certificate))
    trust = ssl.create_default_context(cafile=str(authority.file))
    with Client(web.publish("disk", DISK), trust) as client:
        refused(client, why)
    assert web.requests == []


def refused(client: Client, why: str) -> None:
    """The client does not trust the server."""
    with pytest.raises(ssl.SSLCertVerificationError, match=why):
        client.ask("0-9")


# --- Azurite -------------------------------------------------------------------------------------


@pytest.fixture
def sparse(tmp_path: Path) -> Path:
    """Four mebibytes with something in few places."""
    path = tmp_path / "sparse.vhd"
    with path.open("wb") as file:
        for offset in (0, 70_000, 1_000_000, 4 * MiB - 512):
            file.seek(offset)
            file.write(DISK[:512])
    return path


def test_page_blobs_hold_what_is_not_zero(azurite: Azurite, sparse: Path) -> None:
    address = azurite.page_blob(sparse, azurite.container("pages"))
    content = sparse.read_bytes()
    with Client(azurite.signed(address)) as client:
        assert client.ask().body == content
        got = client.ask("69900-70100")
        assert (got.status, got.range) == (206, f"bytes 69900-70100/{4 * MiB}")
        assert (got.body, bool(got.headers["ETag"])) == (content[69_900:70_101], True)
    blob = azurite.client.get_blob_client("pages", "sparse.vhd")
    written = sum(span.end - span.start + 1 for span in blob.list_page_ranges())
    assert 4 * 512 <= written <= 4 * 65_536 + 512


def test_block_blobs(azurite: Azurite) -> None:
    address = azurite.block_blob(DISK, azurite.container("blocks"), "a/disk.vhdx")
    with Client(azurite.signed(address)) as client:
        assert client.ask("100-199").body == DISK[100:200]
        assert client.ask(method="HEAD").headers["Content-Length"] == str(MiB)
    assert azurite.served(address, at_least=1) == [(206, 100)]
    assert [request.status for request in azurite.served(address, "HEAD", at_least=1)] == [200]
    with azurite.client.get_blob_client("blocks", "a/disk.vhdx") as blob:
        assert blob.download_blob(offset=100, length=50).readall() == DISK[100:150]
        assert blob.get_blob_properties().blob_type == "BlockBlob"


def test_who_may_read_a_blob(azurite: Azurite) -> None:
    private = azurite.block_blob(DISK, azurite.container("private"), "disk")
    public = azurite.block_blob(DISK, azurite.container("public", public=True), "disk")
    addresses = {
        public: 206,
        private: 403,
        azurite.signed(private): 206,
        azurite.signed(private, of_container=True): 206,
        azurite.signed(private, hours=-1): 403,
        azurite.signed(private, permission="w"): 403,
        azurite.signed(private).replace("sig=", "sig=A"): 403,
        azurite.signed(f"{private}-none"): 404,
    }
    for address, expected in addresses.items():
        with Client(address) as client:
            assert client.ask("0-9").status == expected, address
    azurite.delete(private)
    with Client(azurite.signed(private)) as client:
        assert client.ask("0-9").status == 404


def test_azurite_speaks_https(azurite_tls: Azurite, authority: Authority) -> None:
    address = azurite_tls.signed(azurite_tls.block_blob(DISK, azurite_tls.container("images"), "disk"))
    with Client(address, ssl.create_default_context(cafile=str(authority.file))) as client:
        assert client.ask("0-9").body == DISK[:10]
    with Client(address, ssl.create_default_context()) as client:
        refused(client, "unable to get local issuer certificate")


def test_a_machine_without_node_is_told_what_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MissingNode, match="apt-get install nodejs npm"):
        Azurite(tmp_path)


def test_the_lock_file_names_no_registry() -> None:
    lock = json.loads((FOLDER / "package-lock.json").read_text())
    packages = {name: package for name, package in lock["packages"].items() if name}
    assert [name for name, package in packages.items() if "resolved" in package] == []
    assert [name for name, package in packages.items() if "integrity" not in package] == []
    wanted = json.loads((FOLDER / "package.json").read_text())["dependencies"]
    assert wanted == {"azurite": packages["node_modules/azurite"]["version"]}


# --- S3 ------------------------------------------------------------------------------------------


def test_s3(s3: S3) -> None:
    assert s3.put(DISK, s3.bucket("images", versioned=True), "a/disk.vhd") == "s3://images/a/disk.vhd"
    got = s3.client.get_object(Bucket="images", Key="a/disk.vhd", Range="bytes=100-199")
    with got["Body"] as body:
        assert (body.read(), got["ContentRange"]) == (DISK[100:200], f"bytes 100-199/{MiB}")
    s3.put(DISK[::-1], "images", "a/disk.vhd")
    with pytest.raises(s3.client.exceptions.ClientError) as raised:
        s3.client.get_object(Bucket="images", Key="a/disk.vhd", IfMatch=got["ETag"])
    assert raised.value.response["ResponseMetadata"]["HTTPStatusCode"] == 412
    old = s3.client.get_object(Bucket="images", Key="a/disk.vhd", VersionId=got["VersionId"])
    with old["Body"] as body:
        assert body.read() == DISK


# --- processes -----------------------------------------------------------------------------------

KILLED = """
import os, sys
from pathlib import Path
from tests.servers.azure import Azurite
from tests.servers.s3 import S3
server = {"azure": Azurite, "s3": S3}[sys.argv[1]](Path(sys.argv[2]))
print(server._server.port, flush=True)
sys.stdin.read()
"""


@pytest.mark.parametrize("kind", ["azure", "s3"])
def test_no_server_outlives_a_run_that_is_killed(
    kind: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    request.getfixturevalue({"azure": "azurite", "s3": "s3"}[kind])  # skips where it cannot run
    with subprocess.Popen(
        [sys.executable, "-c", KILLED, kind, str(tmp_path)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,
    ) as run:
        assert run.stdout is not None
        port = int(run.stdout.readline())
        with socket.create_connection(("127.0.0.1", port)):
            pass
        os.kill(run.pid, signal.SIGKILL)
    deadline = time.monotonic() + 10
    while listens(port):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def listens(port: int) -> bool:
    """Whether anybody does."""
    try:
        with socket.create_connection(("127.0.0.1", port)):
            return True
    except ConnectionRefusedError:
        return False
