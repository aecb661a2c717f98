"""Where images at addresses are kept, and how a span of one is had from there.

Whatever a server answers is hostile. Web servers, Azure and S3 are read by one client, which believes an
answer only if it is the span that was asked for, of the version that was asked for; adlfs and s3fs find the
user's credentials for it, and sign an address with them. What else fsspec knows is read through fsspec.

The client is Python's own: fsspec's reads the whole disk from a server that ignores ranges, looks at no
Content-Range, and takes longer to import than a verdict takes to read.

Sources: RFC 9110, 13.1 (If-Match), 14 (ranges), 15.4 (redirects); Azure, "Get Blob"; S3, "GetObject".
"""

import base64
import http.client
import os
import re
import socket
import ssl
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta, timezone
from http import HTTPStatus
from typing import Any, NamedTuple, Protocol, TypeVar
from urllib.parse import SplitResult, parse_qs, quote, unquote, urljoin, urlsplit, urlunsplit

from validator import __version__
from validator.address import AZURE, scheme_of

CONNECT_SECONDS = 5.0
SIGNED_FOR = timedelta(hours=1)
"""How long an address that is signed here is good for; judging an image ends long before."""
CREDENTIAL_SECONDS = 20.0
"""For finding them: some of the places where they may be are services."""
MAX_REDIRECTS = 5
_PIECE = 64 * 2**10
WEB = ("http", "https")
_S3 = ("s3", "s3a")
_REDIRECTS = (301, 302, 303, 307, 308)
_AGAIN = (408, 429, 500, 502, 503, 504)
_REFUSALS = (401, 403, 404, 409, 410)
_AZURE_SCOPE, _AZURE_VERSION = "https://storage.azure.com/.default", "2021-08-06"
_SAFE = "%/:=&?~+!$,;'@()*[]-._"
"""What stands as it is in a path or query: a signature holds for one spelling."""
_CONTENT_RANGE = re.compile(r"bytes (\d{1,19})-(\d{1,19})/(\d{1,19})", re.ASCII)
_ACCOUNT = re.compile(
    r"(?P<account>[a-z0-9]{3,24})\.(?:blob\.core\.[a-z0-9.-]+|z\d+\.blob\.storage\.azure\.net)"
)
_AUTHORITIES = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "AWS_CA_BUNDLE")
"""Variables that name a file of certificates to trust; the first that is set counts, for all stores."""
_VERSIONS = ("etag", "ETag", "e_tag", "generation", "versionId", "version_id", "sha", "mtime", "modified",
    "modify", "updated", "last_modified", "LastModified", "last_write_time", "modificationTime")  # fmt: skip
"""What fsspec's file systems call that by which one version of a file is told from another."""
_NO_FILES = ("file", "local", "data", "memory", "dir", "reference")
"""Schemes of fsspec that lead nowhere, or to this machine."""

T = TypeVar("T")


class Fault(Exception):
    """What came instead of the bytes, in words without a secret.

    Args:
        found: what came.
        expected: what should have; empty: the bytes.
        again: whether another try may bring them.
        mendable: whether it is for the user to mend: the address, the credentials, the way there.
        after: seconds before another try, as the server asks.
    """

    def __init__(
        self,
        found: str,
        *,
        expected: str = "",
        again: bool = False,
        mendable: bool = False,
        after: float = 0.0,
    ) -> None:
        super().__init__(found)
        self.found = found
        self.expected = expected
        self.again = again
        self.mendable = mendable
        self.after = after


class Part(NamedTuple):
    """A span of a file, as it is now."""

    data: bytes
    size: int
    """Of the whole, in bytes."""
    version: str
    """Changes when the file does."""


class Store(Protocol):
    """Where one file is kept."""

    def fetch(self, offset: int, length: int, version: str | None) -> Part:
        """A span of the file: exactly that, but for what lies behind its end. Threads may share a store.

        Args:
            offset: in bytes.
            length: in bytes, at least 1.
            version: the one that is wanted; None takes any.

        Raises:
            Fault: for whatever else comes.
        """

    def close(self) -> None:
        """End what is open, also what is under way; the next fetch opens it again."""


def stores_of(address: str, asked: Callable[[], object]) -> Iterator[Store]:
    """Where the file at an address is kept: more than one where there is more than one way to ask for it.

    Args:
        address: with its scheme.
        asked: is called before each request.

    Raises:
        Fault: where the address is none that could be read, or something is missing to read it.
    """
    scheme = scheme_of(address)
    if not re.fullmatch(r".*?://[^?#]*/[^?#]*[^?#/](?:[?#].*)?", address, re.DOTALL):
        raise Fault("a folder, not a file", mendable=True)
    if scheme not in WEB and "#" in address:
        raise Fault("a name with #, which cannot stand in an address", mendable=True)
    try:
        if scheme in WEB:
            yield (web := WebStore(address, {}, asked))
            account = _ACCOUNT.fullmatch(web.host)
            if account and web.refused and "sig=" not in address:
                try:
                    yield WebStore(*_azure(address, account["account"]), asked)
                except ImportError as error:
                    words = f"nothing that anybody may read; to use your credentials, {_missing('az', error)}"
                    raise Fault(words, mendable=True) from None
        elif scheme in AZURE:
            yield WebStore(*_azure(address), asked)
        elif scheme in _S3:
            yield WebStore(*_s3(address), asked)
        else:
            yield _OtherStore(address, asked)
    except ImportError as error:
        raise Fault(_missing(scheme, error), mendable=True) from None


def together(works: Sequence[Callable[[], T]], seconds: float) -> list[T | Exception]:
    """What each gives or raises: in threads, which are left behind where they take longer.

    The time-out of a socket bounds no look-up of a name, and nothing that comes byte by byte.
    """
    outcomes: list[T | Exception] = [TimeoutError() for _ in works]

    def run(number: int, work: Callable[[], T]) -> None:
        try:
            outcomes[number] = work()
        except Exception as error:
            outcomes[number] = error

    threads = [threading.Thread(target=run, args=each, daemon=True) for each in enumerate(works)]
    deadline = time.monotonic() + seconds
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))
    return list(outcomes)


def files_below(address: str, endings: tuple[str, ...]) -> list[str]:
    """The addresses of the files below a prefix whose names end so, sorted; each opens as the prefix does.

    Raises:
        Fault: where that cannot be listed.
    """
    scheme = scheme_of(address)
    place, _, query = address.partition("#")[0].partition("?")
    tail = ""
    try:
        if scheme not in WEB:
            system, prefix = _file_system(place)
        elif account := _ACCOUNT.fullmatch(place.partition("://")[2].partition("/")[0]):
            from adlfs import AzureBlobFileSystem

            token = {"sas_token": query} if "sig=" in query else {}
            system = AzureBlobFileSystem(
                account_name=account["account"], account_host=account[0], skip_instance_cache=True, **token
            )
            prefix = unquote(place.partition("://")[2].partition("/")[2])
            tail = f"?{query}" if query else ""
        else:
            raise Fault("a web server", expected="a store whose files can be listed", mendable=True)
        names = [name for name in system.find(prefix) if name.lower().endswith(endings)]
    except ImportError as error:
        raise Fault(_missing("az" if scheme in WEB else scheme, error), mendable=True) from None
    except Fault:
        raise
    except Exception as error:
        raise Fault(f"a prefix that cannot be listed ({type(error).__name__})", mendable=True) from None
    begin = len(prefix.strip("/"))
    rests = sorted(name.strip("/")[begin:].lstrip("/") for name in names)
    if scheme not in WEB and (odd := [rest for rest in rests if set(rest) & set("?#%")]):
        # An address with them would be taken for another file's.
        raise Fault(f"“{odd[0]}”", expected="names of images without ?, # and %", mendable=True)
    return [f"{place.rstrip('/')}/{quote(rest) if scheme in WEB else rest}{tail}" for rest in rests]


def _missing(scheme: str, error: ImportError) -> str:
    extra = "azure" if scheme in AZURE else "s3" if scheme in _S3 else None
    if extra:
        return f"a package is missing: pip install 'image-validator[{extra}]'"
    # For other schemes fsspec says which package reads them.
    return "a package is missing: " + ("pip install fsspec" if error.name == "fsspec" else str(error))


# --- the web --------------------------------------------------------------------------------------


class WebStore:
    """A file on a web server that serves ranges.

    Args:
        address: http or https; may be signed, and hold user and password.
        headers: are sent to the address's own origin only.
        asked: is called before each request.

    Raises:
        Fault: from the constructor, where the address is none.
    """

    def __init__(self, address: str, headers: Mapping[str, str], asked: Callable[[], object]) -> None:
        url = _parsed(address)
        if url is None:
            raise Fault("no valid address", mendable=True)
        self.host = url.hostname or ""
        self._headers = {**_credentials(url), **headers}
        self._address = _without_user(url)
        self._target = self._address
        """Where the address leads to, by redirects."""
        self.refused = False
        """Whether the server gives nothing to who asks like this."""
        self._asked = asked
        self._trusted: ssl.SSLContext | None = None
        self._idle: list[tuple[str, http.client.HTTPConnection]] = []
        """Connections, with the scheme and host that they lead to."""
        self._busy: list[http.client.HTTPConnection] = []

    def fetch(self, offset: int, length: int, version: str | None) -> Part:
        """See `Store`."""
        try:
            for step in range(MAX_REDIRECTS + 1):
                target = self._target
                with self._answer(target, self._headers_for(target, offset, length, version)) as answer:
                    if answer.status in _REDIRECTS:
                        self._target = _led_to(answer, target)
                    elif answer.status in _REFUSALS and target != self._address and step == 0:
                        self._target = self._address  # where it led to may have been signed for minutes only
                    else:
                        self.refused = answer.status in _REFUSALS
                        return _part(answer, offset, length, self._address)
        except TimeoutError:
            raise Fault("no answer in time", again=True) from None
        except OSError:
            raise Fault("a connection that was cut", again=True) from None
        except http.client.IncompleteRead:
            raise Fault("a connection that was cut", again=True) from None
        except (http.client.HTTPException, ValueError):
            raise Fault("an answer that is no HTTP") from None
        raise Fault(f"more than {MAX_REDIRECTS} redirects")

    def close(self) -> None:
        """See `Store`."""
        for connection in list(self._busy):
            if (sock := connection.sock) is not None:
                try:
                    socket.socket.shutdown(sock, socket.SHUT_RDWR)  # its thread closes it
                except OSError:
                    pass
        while self._idle:
            self._idle.pop()[1].close()

    def _headers_for(
        self, target: SplitResult, offset: int, length: int, version: str | None
    ) -> dict[str, str]:
        headers = {
            "Host": target.netloc,
            "User-Agent": f"image-validator/{__version__}",
            "Range": f"bytes={offset}-{offset + length - 1}",
            "Accept-Encoding": "identity",
        }
        kind, _, tag = (version or "").partition(" ")
        if kind == "Last-Modified":
            headers["If-Unmodified-Since"] = tag
        elif tag and not tag.startswith("W/"):  # a weak one matches nothing (RFC 9110, 13.1.1)
            headers["If-Match"] = tag
        if target[:2] == self._address[:2]:
            headers.update(self._headers)
        return headers

    @contextmanager
    def _answer(self, target: SplitResult, headers: Mapping[str, str]) -> Iterator[http.client.HTTPResponse]:
        """The answer to a request; its connection is kept if it was read to the end."""
        origin = f"{target.scheme}://{target.netloc}"
        name = urlunsplit(("", "", target.path or "/", target.query, ""))
        proxy = _proxy(target)
        if proxy is not None and target.scheme == "http":
            name, headers = f"{origin}{name}", {**headers, **_authorization(proxy, "Proxy-Authorization")}
        connection, fresh = self._kept(origin), False
        if connection is None:
            connection, fresh = self._connected(target, proxy), True
        whole = False
        self._busy.append(connection)
        try:
            self._asked()
            try:
                connection.request("GET", name, headers=dict(headers))
                answer = connection.getresponse()
            except ConnectionError:
                if fresh:
                    raise
                connection.close()  # the server had, meanwhile: no fault of anybody
                connection.connect()
                connection.sock.settimeout(None)
                self._asked()
                connection.request("GET", name, headers=dict(headers))
                answer = connection.getresponse()
            with answer:
                yield answer
                whole = answer.length == 0 or answer.isclosed()
        finally:
            self._busy.remove(connection)
            if whole and connection.sock is not None:
                self._idle.append((origin, connection))
            else:
                connection.close()

    def _kept(self, origin: str) -> http.client.HTTPConnection | None:
        for place in [each for each in self._idle if each[0] == origin]:
            try:
                self._idle.remove(place)
            except ValueError:
                continue  # another thread took it
            return place[1]
        return None

    def _connected(self, target: SplitResult, proxy: SplitResult | None) -> http.client.HTTPConnection:
        """A connection to a server.

        Raises:
            Fault: where there is none.
        """
        secure = target.scheme == "https"
        host, port = target.hostname or "", target.port or (443 if secure else 80)
        to = (host, port) if proxy is None else (proxy.hostname or "", proxy.port or 80)
        connection = (
            http.client.HTTPSConnection(*to, timeout=CONNECT_SECONDS, context=self._trust())
            if secure
            else http.client.HTTPConnection(*to, timeout=CONNECT_SECONDS)
        )
        if proxy is not None and secure:
            connection.set_tunnel(host, port, _authorization(proxy, "Proxy-Authorization"))
        try:
            connection.connect()
        except (OSError, http.client.HTTPException, ValueError) as error:
            connection.close()
            raise _no_connection(error, proxy) from None
        connection.sock.settimeout(None)  # `together` looks at the clock
        return connection

    def _trust(self) -> ssl.SSLContext:
        """What certificates are verified by: the authorities in a file that the user names, or the system's.

        Raises:
            Fault: where that file cannot be read.
        """
        if self._trusted is None:
            file = next((file for name in _AUTHORITIES if (file := os.environ.get(name))), None)
            try:
                self._trusted = ssl.create_default_context(cafile=file)
            except OSError:  # of which SSLError is one
                expected = f"certificates in the file that {' or '.join(_AUTHORITIES)} names"
                raise Fault("none that can be read", expected=expected, mendable=True) from None
        return self._trusted


def _parsed(address: str) -> SplitResult | None:
    """The parts of a web address, as they are sent; None for what is none."""
    try:
        url = urlsplit(address)
        user, at, place = url.netloc.rpartition("@")
        place = place if place.isascii() else place.encode("idna").decode()
        if url.scheme not in WEB or not url.hostname or not re.fullmatch(r"[A-Za-z0-9._:\[\]-]+", place):
            return None
        url = url._replace(
            netloc=f"{user}{at}{place}", path=quote(url.path, safe=_SAFE), query=quote(url.query, safe=_SAFE)
        )
        url.port  # noqa: B018 - raises for one that is none
    except ValueError:
        return None
    return url


def _without_user(url: SplitResult) -> SplitResult:
    return url._replace(netloc=url.netloc.rpartition("@")[2], fragment="")


def _credentials(url: SplitResult) -> dict[str, str]:
    """The header for user and password: those in the address, or for its host in the user's netrc file."""
    if url.username is not None:
        return _authorization(url)
    path = os.environ.get("NETRC") or os.path.expanduser(os.path.join("~", ".netrc"))
    if url.scheme != "https" or not os.path.isfile(path):
        return {}
    import netrc

    try:
        entry = netrc.netrc(path).hosts.get(url.hostname or "")
    except (OSError, ValueError, netrc.NetrcParseError):
        return {}
    return {} if entry is None else _basic(entry[0], entry[2] or "")


def _authorization(url: SplitResult, header: str = "Authorization") -> dict[str, str]:
    """A header for user and password in an address, where they are."""
    if url.username is None:
        return {}
    return _basic(unquote(url.username), unquote(url.password or ""), header)


def _basic(user: str, password: str, header: str = "Authorization") -> dict[str, str]:
    return {header: f"Basic {base64.b64encode(f'{user}:{password}'.encode()).decode()}"}


def _proxy(target: SplitResult) -> SplitResult | None:
    """The proxy that the environment names for an address."""
    if sys.platform == "linux" and not any(name.lower().endswith("_proxy") for name in os.environ):
        return None  # asking takes longer to import than to answer
    from urllib.request import getproxies, proxy_bypass

    named = getproxies().get(target.scheme)
    if not named or proxy_bypass(target.hostname or ""):
        return None
    return urlsplit(named if "://" in named else f"http://{named}")


def _no_connection(error: Exception, proxy: SplitResult | None) -> Fault:
    """Why there is no connection. Texts of libraries are not quoted."""
    if isinstance(error, ssl.SSLCertVerificationError):
        expected = "a certificate that verifies (SSL_CERT_FILE names a file with an authority of your own)"
        return Fault(error.verify_message, expected=expected, mendable=True)
    if isinstance(error, ssl.SSLError):
        return Fault("no TLS connection", mendable=True)
    if proxy is not None:
        return Fault("no connection through the proxy that the environment names", again=True, mendable=True)
    if isinstance(error, socket.gaierror):
        return Fault("no such host", again=error.errno == socket.EAI_AGAIN, mendable=True)
    if isinstance(error, ValueError):
        return Fault("no valid address", mendable=True)
    code = getattr(error, "errno", None)
    why = os.strerror(code) if isinstance(code, int) and code > 0 else "no answer"
    return Fault(f"no connection to the host ({why})", again=True, mendable=True)


def _led_to(answer: http.client.HTTPResponse, target: SplitResult) -> SplitResult:
    """Where a redirect leads; never from https to http."""
    location = answer.headers.get("Location")
    if location is None:
        raise _refusal(answer, target)
    url = None
    try:
        url = _parsed(urljoin(urlunsplit(target), location))
    except ValueError:
        pass
    if url is None:
        raise Fault("a redirect to no address")
    if target.scheme == "https" and url.scheme != "https":
        raise Fault("a redirect to what is not https")
    return _without_user(url)


def _part(answer: http.client.HTTPResponse, offset: int, length: int, address: SplitResult) -> Part:
    """What an answer gives, if that is the span that was asked for; the body is read only then."""
    wanted = f"bytes {offset}-{offset + length - 1} (206 Partial Content)"
    if answer.status == 416 and offset == 0:
        return Part(b"", 0, "")  # so no byte is there (RFC 9110, 14.1.2); S3 and Azure send no ETag then
    if answer.status == 200:
        raise Fault("200 OK: the server ignores byte ranges, and would send all of it", expected=wanted)
    if answer.status != 206:
        raise _refusal(answer, address)
    if answer.headers.get("Content-Encoding", "identity").lower() != "identity":
        raise Fault("bytes that the server packed (Content-Encoding)", expected="bytes as they are stored")
    said = _CONTENT_RANGE.fullmatch(answer.headers.get("Content-Range", ""))
    if said is None:
        # Python takes a head that was cut for a short one.
        found = "206 Partial Content that does not say of what (Content-Range)"
        raise Fault(found, expected=wanted, again=True)
    first, last, size = map(int, said.groups())
    there = min(length, size - offset)
    if (first, last) != (offset, offset + there - 1):
        raise Fault(f"bytes {first}-{last} of {size}", expected=wanted)
    version = _version(answer)
    if answer.length not in (None, there):
        raise Fault(f"an answer of {answer.length}", expected=f"{there} bytes")
    data = bytearray()
    while len(data) <= there and (piece := answer.read1(_PIECE)):
        data += piece
    if len(data) > there:
        raise Fault("more", expected=f"{there} bytes")
    if len(data) < there:
        found = "a connection that was cut" if answer.length else f"{len(data)}"
        raise Fault(found, expected=f"{there} bytes", again=True)
    return Part(bytes(data), size, version)


def _version(answer: http.client.HTTPResponse) -> str:
    for name in ("ETag", "Last-Modified"):
        if value := answer.headers.get(name):
            return f"{name} {value}"
    expected = "an answer with ETag or Last-Modified, without which a change would not be noticed"
    raise Fault("one with neither", expected=expected, mendable=True)


def _refusal(answer: http.client.HTTPResponse, address: SplitResult) -> Fault:
    """What a status says. Texts of the server are not quoted."""
    status, headers = answer.status, answer.headers
    known = status in HTTPStatus.__members__.values()
    found = f"{status} {HTTPStatus(status).phrase}" if known else f"the status {status}"
    code = headers.get("x-ms-error-code", "")
    if re.fullmatch(r"[A-Za-z]{1,64}", code):
        found += f" ({code})"
    if status in (401, 403) and (ended := _signature_ended(address)):
        found += f"; the address is signed until {ended} only"
    region = headers.get("x-amz-bucket-region", "")
    if status in (301, 307, 400) and re.fullmatch(r"[a-z0-9-]{1,32}", region):
        found += f"; the bucket is in {region}: set AWS_REGION"
    if status == 412:
        found += ": it was changed while it was read"
    waiting = headers.get("Retry-After", "")
    return Fault(
        found,
        again=status in _AGAIN,
        mendable=300 <= status < 500 and status not in (*_AGAIN, 412, 416),
        after=float(waiting) if re.fullmatch(r"\d{1,4}", waiting) else 0.0,
    )


def _signature_ended(address: SplitResult) -> str | None:
    """When a shared access signature ended, if it has (Azure, "Create a service SAS": `se`)."""
    try:
        said = parse_qs(address.query).get("se", [""])[0]
        end = datetime.fromisoformat(said.replace("Z", "+00:00"))
    except ValueError:
        return None
    end = end if end.tzinfo else end.replace(tzinfo=timezone.utc)
    return f"{end.astimezone(timezone.utc):%Y-%m-%dT%H:%M:%SZ}" if end < datetime.now(timezone.utc) else None


# --- Azure and S3 ---------------------------------------------------------------------------------


def _azure(address: str, account: str | None = None) -> tuple[str, dict[str, str]]:
    """The URL of a blob, signed with what adlfs finds (a key, a SAS, a token of Entra ID), and headers.

    Args:
        address: as adlfs takes it; with an account the blob's own URL.
        account: whose blob it is.
    """
    from adlfs import AzureBlobFileSystem
    from azure.storage.blob import BlobSasPermissions, generate_blob_sas
    from fsspec.asyn import sync

    place, _, query = address.partition("#")[0].partition("?")
    chosen = parse_qs(query)
    snapshot, version = (chosen.get(name, [None])[0] for name in ("snapshot", "versionid"))
    own = urlsplit(place)
    try:
        if account is None:
            system = AzureBlobFileSystem(
                **AzureBlobFileSystem._get_kwargs_from_urls(place), skip_instance_cache=True
            )
            container, name, _ = system.split_path(place)
        else:
            system = AzureBlobFileSystem(
                account_name=account, account_host=own.hostname, skip_instance_cache=True
            )
            container, _, name = unquote(own.path).lstrip("/").partition("/")
    except ValueError:
        expected = "an Azure storage account: AZURE_STORAGE_ACCOUNT_NAME or AZURE_STORAGE_CONNECTION_STRING"
        raise Fault("none that can be used", expected=expected, mendable=True) from None
    client = system.service_client.get_blob_client(container, name, snapshot=snapshot)
    url, _, signature = str(client.url).partition("?")
    if account is not None and urlsplit(url).hostname != own.hostname:
        expected = f"credentials for the account {account}"
        raise Fault("those of another in the environment", expected=expected, mendable=True)
    parts = [signature, f"versionid={quote(version, safe='')}" if version else ""]
    credential = client.credential
    if key := getattr(credential, "account_key", None):
        part = generate_blob_sas(
            client.account_name,
            container,
            name,
            account_key=key,
            permission=BlobSasPermissions(read=True),
            expiry=datetime.now(timezone.utc) + SIGNED_FOR,
            snapshot=snapshot,
            version_id=version,
        )
        parts.append(part)
    signed = f"{url}?{'&'.join(filter(None, parts))}"
    if not hasattr(credential, "get_token"):
        return signed, {}
    try:
        token = sync(system.loop, credential.get_token, _AZURE_SCOPE, timeout=CREDENTIAL_SECONDS)
    except Exception as error:
        raise _no_credentials("Azure", error) from None
    return signed, {"Authorization": f"Bearer {token.token}", "x-ms-version": _AZURE_VERSION}


def _s3(address: str) -> tuple[str, dict[str, str]]:
    """The URL of an object, signed with what botocore finds; not signed where it finds nothing."""
    from botocore.exceptions import NoCredentialsError
    from fsspec.asyn import sync
    from s3fs import S3FileSystem

    async def sign(system: S3FileSystem) -> str:
        bucket, key, version = system.split_path(address)
        asked = {"Bucket": bucket, "Key": key, **({"VersionId": version} if version else {})}
        client = await system.set_session()
        seconds = int(SIGNED_FOR.total_seconds())
        return str(await client.generate_presigned_url("get_object", Params=asked, ExpiresIn=seconds))

    # botocore's default for URLs is an older signature, which newer regions do not take.
    options = {"config_kwargs": {"signature_version": "s3v4"}, **S3FileSystem._get_kwargs_from_urls(address)}
    try:
        try:
            system = S3FileSystem(skip_instance_cache=True, **options)
            return sync(system.loop, sign, system, timeout=CREDENTIAL_SECONDS), {}
        except NoCredentialsError:
            system = S3FileSystem(anon=True, skip_instance_cache=True, **options)
            return sync(system.loop, sign, system, timeout=CREDENTIAL_SECONDS), {}
    except Exception as error:
        raise _no_credentials("AWS", error) from None


def _no_credentials(whose: str, error: Exception) -> Fault:
    expected = f"credentials for {whose} that can be used"
    return Fault(f"none ({type(error).__name__})", expected=expected, mendable=True)


# --- what else there is ---------------------------------------------------------------------------


class _OtherStore:
    """A file that fsspec reads in a way of its own."""

    def __init__(self, address: str, asked: Callable[[], object]) -> None:
        self._asked = asked
        self._system, self._path = _file_system(address)

    def fetch(self, offset: int, length: int, version: str | None) -> Part:
        """See `Store`."""
        self._asked()
        try:
            return self._fetch(offset, length)
        except FileNotFoundError:
            raise Fault("no such file", mendable=True) from None
        except IsADirectoryError:
            raise Fault("a folder, not a file", mendable=True) from None
        except PermissionError:
            raise Fault("no permission to read it", mendable=True) from None
        except (OSError, EOFError) as error:
            raise Fault(f"a failure of the connection ({type(error).__name__})", again=True) from None

    def _fetch(self, offset: int, length: int) -> Part:
        self._system.invalidate_cache()
        about = self._system.info(self._path)
        size = about.get("size")
        if about.get("type") == "directory":
            raise IsADirectoryError
        if not isinstance(size, int):
            raise Fault("a file of unknown size")
        version = "; ".join(f"{name} {about[name]}" for name in _VERSIONS if about.get(name) is not None)
        if not version:
            expected = "a time or a tag by which a change would be noticed"
            raise Fault("neither", expected=expected, mendable=True)
        wanted = min(length, max(0, size - offset))
        data = self._system.cat_file(self._path, offset, offset + wanted) if wanted else b""
        if len(data) != wanted:
            raise Fault(f"{len(data)}", expected=f"{wanted} bytes", again=len(data) < wanted)
        return Part(data, size, version)

    def close(self) -> None:
        """See `Store`; connections are fsspec's."""


def _file_system(address: str) -> tuple[Any, str]:
    """The file system of fsspec for an address, and the path in it.

    Raises:
        Fault: where there is none.
        ImportError: where a package is missing.
    """
    import fsspec

    scheme = scheme_of(address)
    if "::" in address:
        raise Fault("an address inside another, which is not followed", mendable=True)
    try:
        if scheme in _NO_FILES:
            raise ValueError
        fsspec.get_filesystem_class(scheme)
    except ValueError:
        expected = "the scheme of a store that fsspec knows"
        raise Fault(f"{scheme}://", expected=expected, mendable=True) from None
    try:
        system, path = fsspec.url_to_fs(address, use_listings_cache=False, skip_instance_cache=True)
    except ImportError:
        raise
    except Exception as error:
        raise Fault(f"a store that cannot be used ({type(error).__name__})", mendable=True) from None
    return system, path
