"""An HTTP server in this process that serves files well, and as badly as a test says.

    with Web() as web:
        address = web.publish("disk.vhd", path)
        web.fault(cut_body(1000), at=3)  # the third request
        web.fault(status(403), at=since(5))  # the fifth and all that follow

Well means: GET and HEAD over HTTP/1.1 with keep-alive, one range (206 and Content-Range, or 416), a strong
ETag, Last-Modified, If-Match (412). A fault makes another answer of the right one; those for the same request
are applied one after the other, so they combine. Requests are counted from 1, all paths together;
`web.requests.clear()` begins again.
"""

from __future__ import annotations

import contextlib
import gzip
import re
import socket
import ssl
import struct
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from http.client import responses
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

PIECE = 64 * 2**10
BUFFER = 64 * 2**10
"""Of each connection: what is sent is soon noticed to be unwanted."""


@dataclass
class Request:
    """One request, and what became of it."""

    number: int
    """From 1."""
    method: str
    target: str
    """Path and query as they came."""
    headers: Mapping[str, str]
    """With names in lower case."""
    connection: int
    """The client's port: the same for requests over one connection."""
    content: bytes | Path = b""
    """What is served under the path."""
    status: int = 0
    """That was answered; 0 for none."""
    sent: int = 0
    """Bytes of the body that the operating system took; the client need not have read them."""

    @property
    def path(self) -> str:
        """Without the query, as it came."""
        return self.target.partition("?")[0]

    @property
    def query(self) -> str:
        """As it came."""
        return self.target.partition("?")[2]

    @property
    def range(self) -> str | None:
        """The header Range."""
        return self.headers.get("range")


@dataclass(frozen=True)
class Answer:
    """What is sent: a span of some content, and how."""

    status: int
    content: bytes | Path = b""
    start: int = 0
    stop: int = 0
    """The body: `content[start:stop]`, and zeros behind its end."""
    headers: Mapping[str, str] = field(default_factory=dict)
    """Content-Length is added unless it is here."""
    framing: str = "length"
    """How the body's end is told: `length` (Content-Length), `chunked`, or `close` (of the connection)."""
    wait: float = 0.0
    """Seconds before the head."""
    piece: int = PIECE
    pause: float = 0.0
    """Seconds behind each piece of the body."""
    head_cut: int | None = None
    """Bytes of the head after which the connection is cut."""
    body_cut: int | None = None
    """The same for the body."""
    reset: bool = False
    """A cut is a reset (RST) instead of an end (FIN)."""

    def with_headers(self, **changes: str | None) -> Answer:
        """Other headers, `Content_Range` being Content-Range; None takes one away."""
        headers = dict(self.headers)
        for name, value in changes.items():
            headers.pop(name.replace("_", "-"), None)
            if value is not None:
                headers[name.replace("_", "-")] = value
        return replace(self, headers=headers)


Fault = Callable[[Request, Answer], Answer]
"""Makes another answer of the right one."""

ALWAYS = range(1, sys.maxsize)


def since(number: int) -> range:
    """This request and all behind it."""
    return range(number, sys.maxsize)


# --- faults --------------------------------------------------------------------------------------


def status(code: int, text: str = "refused", **headers: str) -> Fault:
    """Another status, such as `status(429, Retry_After="1")`."""

    def fault(request: Request, right: Answer) -> Answer:
        return plain(code, text).with_headers(**headers)

    return fault


def only(method: str, fault: Fault) -> Fault:
    """For requests with this method alone."""
    return lambda request, right: fault(request, right) if request.method == method else right


def without(*names: str) -> Fault:
    """Leaves headers out."""
    return lambda request, right: right.with_headers(**dict.fromkeys(names))


def no_ranges(request: Request, right: Answer) -> Answer:
    """200 and all of it, as of a server that does not know ranges."""
    if right.status not in (206, 416):
        return right.with_headers(Accept_Ranges=None)
    whole = replace(right, status=200, content=request.content, start=0, stop=_size(request.content))
    return whole.with_headers(Content_Range=None, Accept_Ranges=None)


def cut_head(after: int = 0, *, reset: bool = False) -> Fault:
    """The connection is cut within the head."""
    return lambda request, right: replace(right, head_cut=after, reset=reset)


def cut_body(after: int = 0, *, reset: bool = False) -> Fault:
    """The connection is cut within the body, whose length was told."""
    return lambda request, right: replace(right, body_cut=after, reset=reset)


def too_little(by: int = 1) -> Fault:
    """A body that is shorter than its Content-Range, with a Content-Length that fits the body."""
    return lambda request, right: replace(right, stop=max(right.start, right.stop - by))


def too_much(by: int = 1) -> Fault:
    """A body that is longer than its Content-Range, with a Content-Length that fits the body."""
    return lambda request, right: replace(right, stop=right.stop + by)


def other_range(by: int = 512) -> Fault:
    """As many bytes from another place, with a Content-Range that says so."""

    def fault(request: Request, right: Answer) -> Answer:
        shift = by if right.start + by >= 0 and right.stop + by <= _size(right.content) else -by
        return _ranged(replace(right, start=right.start + shift, stop=right.stop + shift))

    return fault


def other_total(by: int = 512) -> Fault:
    """A Content-Range with another size of the whole."""

    def fault(request: Request, right: Answer) -> Answer:
        return _ranged(right, _size(right.content) + by)

    return fault


def gzipped(request: Request, right: Answer) -> Answer:
    """A body that is compressed on the way, asked for or not."""
    packed = gzip.compress(b"".join(_pieces(right, PIECE)), mtime=0)
    return replace(right, content=packed, start=0, stop=len(packed)).with_headers(Content_Encoding="gzip")


def unmeasured(framing: str = "chunked") -> Fault:
    """No Content-Length: the end of the body is told by chunks, or by the end of the connection (`close`)."""
    return lambda request, right: replace(right, framing=framing)


def silent(seconds: float) -> Fault:
    """Nothing at all comes for so long."""
    return lambda request, right: replace(right, wait=seconds)


def trickle(piece: int, pause: float) -> Fault:
    """The body comes in pieces of so many bytes with so many seconds between them."""
    return lambda request, right: replace(right, piece=piece, pause=pause)


def redirect(to: str, code: int = 302) -> Fault:
    """To another address."""
    return lambda request, right: plain(code, "elsewhere").with_headers(Location=to)


def changed(*, heeds_if_match: bool = True) -> Fault:
    """The content has become another: so says its ETag, and 412 where If-Match asked for the old one."""

    def fault(request: Request, right: Answer) -> Answer:
        if heeds_if_match and "if-match" in request.headers:
            return plain(412, "changed").with_headers(ETag='"another"')
        return right.with_headers(ETag='"another"', Last_Modified="Mon, 05 Jan 2026 00:00:00 GMT")

    return fault


# --- the server ----------------------------------------------------------------------------------


class Web:
    """The server; a context manager that leaves no thread and no socket behind.

    Args:
        host: how addresses name it. It listens on this address; a name is taken for 127.0.0.1.
        tls: serves https with this context (see `authority`).
        delay: seconds that the way here and back takes: one for each answer, one for a connection, and one
            more for TLS 1.3.
    """

    def __init__(
        self, host: str = "127.0.0.1", *, tls: ssl.SSLContext | None = None, delay: float = 0.0
    ) -> None:
        self.requests: list[Request] = []
        self.delay = delay
        self._contents: dict[str, tuple[bytes | Path, str]] = {}
        self._versions = 0
        self._faults: list[tuple[range, Fault]] = []
        self._lock = threading.Lock()
        bound = host if re.fullmatch(r"[\d.]+", host) else "127.0.0.1"
        self._server = _Server((bound, 0), self, tls)
        self.origin = f"{'https' if tls else 'http'}://{host}:{self._server.server_port}"
        """Scheme, host and port."""
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05})
        self._thread.start()

    def __enter__(self) -> Web:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._server.end()
        self._thread.join()

    def publish(self, name: str, content: bytes | Path) -> str:
        """Serve a file, or bytes, under a name: its address. The same name again is another version."""
        self._versions += 1
        self._contents[f"/{name}"] = content, f'"version-{self._versions}"'
        return f"{self.origin}/{quote(name)}"

    def fault(self, fault: Fault, at: int | range = ALWAYS) -> None:
        """Answer these requests in another way."""
        self._faults.append((at if isinstance(at, range) else range(at, at + 1), fault))

    def mend(self) -> None:
        """Answer well again."""
        self._faults.clear()

    @property
    def sent(self) -> int:
        """Bytes of all bodies so far."""
        return sum(request.sent for request in self.requests)

    def note(self, method: str, target: str, headers: Mapping[str, str], connection: int) -> Request:
        """A request that has come."""
        lower = {name.lower(): value for name, value in headers.items()}
        with self._lock:
            request = Request(len(self.requests) + 1, method, target, lower, connection)
            self.requests.append(request)
        return request

    def answer(self, request: Request) -> Answer:
        """What is sent for it."""
        answer = self._right(request)
        for numbers, fault in self._faults:
            if request.number in numbers:
                answer = fault(request, answer)
        return replace(answer, wait=answer.wait + self.delay)

    def _right(self, request: Request) -> Answer:
        try:
            content, etag = self._contents[unquote(request.path)]
        except KeyError:
            return plain(404, "no such thing")
        request.content = content
        if request.headers.get("if-match", etag) not in (etag, "*"):
            return plain(412, "another version")
        size = _size(content)
        whole = Answer(200, content, 0, size).with_headers(
            Accept_Ranges="bytes",
            Content_Type="application/octet-stream",
            ETag=etag,
            Last_Modified="Thu, 01 Jan 2026 00:00:00 GMT",
        )
        asked = re.fullmatch(r"bytes=(\d*)-(\d*)", request.range or "")
        if asked is None or asked.groups() == ("", ""):
            return whole
        first, last = asked.groups()
        start = int(first) if first else max(0, size - int(last))
        stop = min(size, int(last) + 1) if first and last else size
        if start >= stop:
            return plain(416, "no such range").with_headers(Content_Range=f"bytes */{size}")
        return _ranged(replace(whole, status=206, start=start, stop=stop))


def plain(code: int, text: str) -> Answer:
    """A status with a line of text."""
    body = text.encode()
    return Answer(code, body, 0, len(body), {"Content-Type": "text/plain"})


def _ranged(answer: Answer, total: int | None = None) -> Answer:
    """With the Content-Range of its span, where it is a part."""
    if answer.status != 206:
        return answer
    size = _size(answer.content) if total is None else total
    return answer.with_headers(Content_Range=f"bytes {answer.start}-{answer.stop - 1}/{size}")


def _size(content: bytes | Path) -> int:
    return len(content) if isinstance(content, bytes) else content.stat().st_size


def _pieces(answer: Answer, length: int) -> Iterator[bytes]:
    """The body."""
    at = answer.start
    with contextlib.ExitStack() as opened:
        file = None
        if isinstance(answer.content, Path):
            file = opened.enter_context(answer.content.open("rb"))
            file.seek(at)
        while at < answer.stop:
            count = min(length, answer.stop - at)
            piece = file.read(count) if file else answer.content[at : at + count]  # type: ignore[index]
            yield piece.ljust(count, b"\0")
            at += count


class _Server(ThreadingHTTPServer):
    daemon_threads = False
    """So that closing waits for them; `end` has them end."""

    def __init__(self, address: tuple[str, int], web: Web, tls: ssl.SSLContext | None) -> None:
        super().__init__(address, _Handler)
        self.web = web
        self.tls = tls
        self.ending = threading.Event()
        self._open: set[socket.socket] = set()

    def get_request(self) -> tuple[socket.socket, Any]:
        connection, address = super().get_request()
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, BUFFER)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self.tls is not None:
            connection = self.tls.wrap_socket(
                connection, server_side=True, do_handshake_on_connect=False, suppress_ragged_eofs=True
            )
        self._open.add(connection)
        return connection, address

    def shutdown_request(self, request: Any) -> None:
        self._open.discard(request)
        self.close_request(request)  # a shutdown would send FIN where RST is wanted

    def handle_error(self, request: Any, client_address: Any) -> None:
        if not isinstance(sys.exc_info()[1], OSError):  # a client that left, or refused the certificate
            super().handle_error(request, client_address)

    def end(self) -> None:
        self.ending.set()
        self.shutdown()
        for connection in list(self._open):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        self.server_close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def setup(self) -> None:
        self.server.ending.wait(self.server.web.delay)
        if isinstance(self.request, ssl.SSLSocket):
            self.server.ending.wait(self.server.web.delay)
            self.request.settimeout(10)
            self.request.do_handshake()
            self.request.settimeout(None)
        super().setup()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Nothing."""

    def do_GET(self) -> None:
        request = self.server.web.note(
            self.command, self.path, dict(self.headers.items()), self.client_address[1]
        )
        answer = self.server.web.answer(request)
        if answer.wait and self.server.ending.wait(answer.wait):
            self.close_connection = True
            return
        try:
            self._send(request, answer)
        except OSError:  # the client left
            self.close_connection = True

    do_HEAD = do_GET  # noqa: N815

    def _send(self, request: Request, answer: Answer) -> None:
        head = self._head(answer)
        if answer.head_cut is not None:
            self.wfile.write(head[: answer.head_cut])
            self._cut(answer)
            return
        request.status = answer.status
        self.wfile.write(head)
        if answer.framing == "close":
            self.close_connection = True
        if request.method == "HEAD":
            return
        cut_at = answer.stop - answer.start if answer.body_cut is None else answer.body_cut
        with contextlib.closing(_pieces(answer, answer.piece)) as pieces:
            for piece in pieces:
                if piece := piece[: cut_at - request.sent]:
                    self._write(request, answer, piece)
                if request.sent == cut_at or (answer.pause and self.server.ending.wait(answer.pause)):
                    break
        if answer.body_cut is not None:
            self._cut(answer)
        elif answer.framing == "chunked":
            self.wfile.write(b"0\r\n\r\n")

    def _write(self, request: Request, answer: Answer, piece: bytes) -> None:
        if answer.framing == "chunked":
            self.wfile.write(b"%x\r\n" % len(piece))
        left = memoryview(piece)
        while left:
            request.sent += len(left)  # before the client can have it, and look
            taken = 0
            try:
                taken = self.request.send(left)
            finally:
                request.sent -= len(left) - taken
            left = left[taken:]
        if answer.framing == "chunked":
            self.wfile.write(b"\r\n")

    def _head(self, answer: Answer) -> bytes:
        headers = dict(answer.headers)
        if answer.framing == "length":
            headers.setdefault("Content-Length", str(answer.stop - answer.start))
        elif answer.framing == "chunked":
            headers["Transfer-Encoding"] = "chunked"
        else:
            headers["Connection"] = "close"
        lines = [f"HTTP/1.1 {answer.status} {responses.get(answer.status, 'Unknown')}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        return "\r\n".join([*lines, "", ""]).encode("latin-1")

    def _cut(self, answer: Answer) -> None:
        if answer.reset:
            self.request.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close_connection = True
