"""Images at addresses: what a server may do wrong, what may be seen of an address, and what it costs.

That verdicts are those of the files is in `test_addresses`; here it is one small image and one web server.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest

import validator
from benchmarks.image import path_of
from tests.command import ROOT, Command, Outcome
from tests.servers import web as faults
from tests.servers.authority import Authority
from tests.servers.azure import Azurite
from tests.servers.s3 import S3
from tests.servers.web import Web, since
from tests.test_cost import SMALL
from tests.test_parents import Kind
from validator.address import beside, hidden, is_address, shown
from validator.evidence import Layer, Unreachable, Unreadable
from validator.remote import WINDOW, RemoteFiles, Transfer, listed
from validator.report.formats import FORMATS

SAMPLE = ROOT / "sample_images" / "generalized-gen1.vhd"
SECRET = "c2VjcmV0"
"""Stands for a signature, and for a password."""
REQUESTS = 17
"""That judging the sample takes, the last look included."""


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No pauses between tries, and nobody's own settings."""
    monkeypatch.setattr("validator.remote.PAUSES", (0.0, 0.0))
    for name in ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "AWS_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))


@pytest.fixture
def address(web: Web) -> str:
    """The sample's address on the test's own server, with what nobody may see of it."""
    return signed(web.publish("disk.vhd", SAMPLE))


def signed(address: str) -> str:
    """The address with user, password and signature."""
    return (
        address.replace("://", f"://user:{SECRET}@") + f"?sv=2024-11-04&sig={SECRET}%3D&snapshot=2026-01-05"
    )


def said(outcome: Outcome) -> str:
    """All that was printed, on one line; never with a secret in it."""
    for text in (outcome.stdout, outcome.stderr):
        assert SECRET not in text, text
    return " ".join((outcome.stdout + outcome.stderr).split())


# --- addresses ------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["https://h/a", "az://c/b", "S3://b/k", "a+b.c-d://x", "ab::cd::ef://x"])
def test_what_is_an_address(name: str) -> None:
    assert is_address(name)


@pytest.mark.parametrize("name", ["disk.vhd", r"C:\disk.vhd", "C://disk.vhd", "./https://h/a", "1a://b", ""])
def test_what_is_a_path(name: str) -> None:
    assert not is_address(name)
    assert shown(name) == name


@pytest.mark.parametrize(
    ("address", "seen"),
    [
        ("https://h/a.vhd?sv=1&sig=S%2B&se=2", "https://h/a.vhd"),
        ("https://u:p@h:8/a.vhd#S", "https://h:8/a.vhd"),
        ("https://p@h/a.vhd", "https://h/a.vhd"),
        ("https://u:p@x@h/a@b.vhd", "https://h/a@b.vhd"),
        ("https://h/a?sig=S&snapshot=2026-01-05T00:00:00.0Z", "https://h/a?snapshot=2026-01-05T00:00:00.0Z"),
        ("https://h/a?snapshot=1&x=snapshot=S", "https://h/a?snapshot=1"),
        ("https://h/a?snapshot=<S>", "https://h/a"),
        ("s3://b/k?versionId=a_b", "s3://b/k?versionId=a_b"),
        ("abfss://container@account.dfs.core.windows.net/b?S", "abfss://container@account.dfs.core.windows.net/b"),
        ("az://u:S@host/b", "az://host/b"),
        ("sftp://u:S@host/b", "sftp://host/b"),
    ],
)  # fmt: skip
def test_what_may_be_seen(address: str, seen: str) -> None:
    assert shown(address) == seen
    assert hidden(f"it was “{address}” and {address} twice") == f"it was “{seen}” and {seen} twice"


@pytest.mark.parametrize(
    ("address", "name", "other"),
    [
        ("https://h/c/child.vhd?sig=S&snapshot=1", "par ent?.vhd", "https://h/c/par%20ent%3F.vhd?sig=S"),
        ("https://h/c/child.vhd", "%2e%2e", "https://h/c/%252e%252e"),
        ("az://c/child.vhd?versionid=1", "parent.vhd", "az://c/parent.vhd"),
        ("s3://b/k/child.vhd", "parent.vhd?versionId=x", None),
        ("s3://b", "parent.vhd", None),
    ],
)
def test_what_lies_beside(address: str, name: str, other: str | None) -> None:
    assert beside(address, name) == other


# --- what is judged, and what it costs ------------------------------------------------------------


def test_a_library_takes_an_address(web: Web, address: str) -> None:
    report = validator.validate(address, "generalized")
    assert report.verdict.value == "deployable"
    assert report.path == report.files[0] == f"{web.origin}/disk.vhd?snapshot=2026-01-05"
    assert SECRET not in repr(report)
    with pytest.raises(
        validator.Unreachable, match=r"^cannot read http://127[^ ?]*/none.vhd: 404 Not Found$"
    ):
        validator.validate(f"{web.origin}/none.vhd?sig={SECRET}")


def test_requests_and_bytes_are_counted(web: Web, address: str, command: Command) -> None:
    io = command.judge(address)["facts"]["io"]
    assert io["requests"] == len(web.requests) == REQUESTS
    assert io["files"] == 1
    assert web.sent <= io["bytes_read"] < web.sent + 2 * WINDOW  # the last may be cut by the end
    assert f"in {REQUESTS} requests" in said(command("check", address))
    assert command.judge(SAMPLE)["facts"]["io"]["requests"] == 0
    assert len({request.connection for request in web.requests}) == 2  # one for each run


def test_few_requests_whatever_the_size(web: Web) -> None:
    """The twin of the large image, whose figures `benchmarks` has."""
    report = validator.validate(web.publish("twin.vhdx", path_of(SMALL)), "generalized")
    assert report.verdict.value == "deployable"
    assert report.io.requests == len(web.requests) <= 40
    assert report.io.bytes_read < 2 * 2**20


def test_reads_are_exact_whatever_is_kept(web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    """Against the bytes, with a cache that is always full."""
    import random

    chance = random.Random(15)
    content = chance.randbytes(3 * 2**20 + 777)
    monkeypatch.setattr("validator.remote._KEPT", 3)
    with RemoteFiles(2**30) as files:
        source = files.open(web.publish("random", content))
        assert source.size == len(content)
        for _ in range(300):
            offset = chance.randrange(len(content))
            length = chance.choice((1, 512, 40_000, 200_000, 1_500_000))
            length = min(length, len(content) - offset)
            assert source.read_at(offset, length) == content[offset : offset + length]
        with pytest.raises(Unreadable, match="a span that leaves it"):
            source.read_at(len(content) - 1, 2)
        assert b"".join(map(bytes, source.pieces(5, 2_500_000))) == content[5:2_500_005]


def test_an_empty_file(web: Web, command: Command) -> None:
    outcome = command("check", web.publish("disk.vhd", b""))
    assert (outcome.code, "an empty file" in said(outcome)) == (3, True)


def test_the_limit_on_what_is_transferred(web: Web, address: str, command: Command) -> None:
    outcome = command("check", "--max-transfer", "300 KiB", address)
    assert outcome.code == 3
    assert "at most 307200 bytes to transfer (--max-transfer allows more)" in said(outcome)
    assert web.sent <= 300 * 2**10
    assert command("check", "--max-transfer=1MiB", address).code == 0
    assert command("inspect", "--max-transfer=100KB", address).code == 3


@pytest.mark.parametrize("size", ["", "much", "-1", "1.5GiB", "3 apples"])
def test_a_limit_that_is_no_size(size: str, command: Command) -> None:
    outcome = command("check", f"--max-transfer={size}", SAMPLE)
    assert (outcome.code, "expected a size such as 200MiB" in said(outcome)) == (2, True)


def test_inspect(address: str, command: Command) -> None:
    outcome = command("inspect", address)
    assert (outcome.code, "disk.vhd?snapshot=2026-01-05" in said(outcome)) == (0, True)


# --- what the user can mend -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "words"),
    [(401, "Unauthorized"), (403, "Forbidden"), (404, "Not Found"), (410, "Gone"), (409, "Conflict")],
)
def test_a_refusal(web: Web, address: str, command: Command, status: int, words: str) -> None:
    web.fault(faults.status(status, SECRET, x_ms_error_code="AuthenticationFailed"))
    outcome = command("check", address)
    assert (outcome.code, outcome.stdout, len(web.requests)) == (2, "", 1)
    assert said(outcome).endswith(f"{status} {words} (AuthenticationFailed)")


def test_a_signature_that_ended(web: Web, command: Command) -> None:
    web.fault(faults.status(403))
    address = f"{web.publish('disk.vhd', SAMPLE)}?se=2026-01-05T10%3A00%3A00Z&sig={SECRET}"
    assert "signed until 2026-01-05T10:00:00Z only" in said(command("check", address))


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("http://127.0.0.1:1/x?sig=c2VjcmV0", "no connection to the host (Connection refused)"),
        ("http://no-such-host.invalid/x?sig=c2VjcmV0", "no such host"),
        ("http://user:c2VjcmV0@127.0.0.1:99999/x", "no valid address"),
        ("http://[::1/x?sig=c2VjcmV0", "no valid address"),
        ("https://", "a folder, not a file"),
        ("https://host/?sig=c2VjcmV0", "a folder, not a file"),
        ("s3://bucket", "a folder, not a file"),
        ("gopher://u:c2VjcmV0@h/x", "expected the scheme of a store that fsspec knows, found gopher://"),
        ("file:///etc/passwd", "expected the scheme of a store that fsspec knows, found file://"),
        ("zip://x.vhd::https://u:c2VjcmV0@h/x.zip?c2VjcmV0", "an address inside another"),
        ("simplecache::https://u:c2VjcmV0@h/x?c2VjcmV0", "an address inside another"),
    ],
)
def test_an_address_that_cannot_be_read(address: str, words: str, command: Command) -> None:
    outcome = command("check", address)
    assert (outcome.code, outcome.stdout) == (2, "")
    assert words in said(outcome)


@pytest.mark.parametrize(
    ("address", "module", "words"),
    [
        ("az://c/x", "adlfs", "pip install 'image-validator[azure]'"),
        ("s3://b/x", "s3fs", "pip install 'image-validator[s3]'"),
        ("sftp://h/x", "fsspec", "pip install fsspec"),
    ],
)
def test_a_package_that_is_missing(
    address: str, module: str, words: str, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    outcome = command("check", f"{address}?sig={SECRET}")
    assert (outcome.code, words in said(outcome)) == (2, True)


def test_all_addresses_are_opened_before_anything_is_judged(web: Web, address: str, command: Command) -> None:
    wrong = [f"{web.origin}/{name}?sig={SECRET}" for name in ("one", "two")]
    outcome = command("check", SAMPLE, address, *wrong)
    assert (outcome.code, outcome.stdout) == (2, "")
    assert "/one: 404" in said(outcome)
    assert "/two: 404" in said(outcome)
    assert len(web.requests) == 3
    assert command("check", SAMPLE, "--parent", wrong[0]).code == 2


def test_a_receipt_wants_files(address: str, command: Command, tmp_path: Path) -> None:
    outcome = command("check", "--receipt", tmp_path / "receipt.json", address)
    assert (outcome.code, "download it first" in said(outcome)) == (2, True)


# --- what goes wrong in the middle ----------------------------------------------------------------

WRONG: Mapping[str, tuple[faults.Fault, str]] = {
    "no ranges": (faults.no_ranges, "200 OK: the server ignores byte ranges"),
    "packed": (faults.gzipped, "Content-Encoding"),
    "too little": (faults.too_little(), "bytes, found"),
    "too little, told by the end": (
        lambda request, right: faults.unmeasured("close")(request, faults.too_little()(request, right)),
        "bytes, found",
    ),
    "too much": (faults.too_much(), "bytes, found"),
    "too much in chunks": (
        lambda request, right: faults.unmeasured()(request, faults.too_much()(request, right)),
        "bytes, found more",
    ),
    "another range": (faults.other_range(), "found bytes 512-"),
    "another size": (faults.other_total(), "it was changed while it was read"),
    "no Content-Range": (faults.without("Content-Range"), "does not say of what (Content-Range)"),
    "cut in the head": (faults.cut_head(20), "does not say of what (Content-Range)"),
    "cut before the head": (faults.cut_head(), "a connection that was cut"),
    "cut in the body": (faults.cut_body(100), "a connection that was cut"),
    "reset": (faults.cut_body(100, reset=True), "a connection that was cut"),
    "changed": (faults.changed(), "it was changed while it was read"),
    "changed unnoticed": (faults.changed(heeds_if_match=False), "it was changed while it was read"),
    "busy": (faults.status(503), "503 Service Unavailable"),
    "refused": (faults.status(403), "403 Forbidden"),
    "gone": (faults.status(404), "404 Not Found"),
    "no range": (faults.status(416), "it was changed while it was read"),
    "no status": (faults.status(799), "the status 799"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_a_server_does_wrong(web: Web, address: str, command: Command, name: str) -> None:
    """From the fifth request on: indeterminate, with the place and what was found."""
    fault, words = WRONG[name]
    web.fault(fault, since(5))
    outcome = command("check", address)
    assert outcome.code == 3, outcome
    assert outcome.stdout.startswith("INDETERMINATE")
    assert words in said(outcome)
    assert max(request.sent for request in web.requests) <= 2**20  # refused before the disk is sent


@pytest.mark.parametrize(
    "name", ["no ranges", "packed", "too much", "another range", "cut in the body", "busy"]
)
def test_what_a_server_does_wrong_at_once(web: Web, address: str, command: Command, name: str) -> None:
    fault, words = WRONG[name]
    web.fault(fault)
    outcome = command("check", address)
    assert (outcome.code, words in said(outcome)) == (3, True)


@pytest.mark.parametrize(
    "fault", ["cut before the head", "cut in the head", "cut in the body", "reset", "busy"]
)
def test_each_request_in_turn_is_tried_again(web: Web, address: str, fault: str) -> None:
    for number in range(1, REQUESTS + 1):
        web.mend()
        web.requests.clear()
        web.fault(WRONG[fault][0], number)
        report = validator.validate(address, "generalized")
        assert report.verdict.value == "deployable", number
        assert len(web.requests) == report.io.requests, number
        assert len(web.requests) == REQUESTS + 1 or number == REQUESTS  # the last is too short to be cut


@pytest.mark.parametrize("fault", ["refused", "changed", "changed unnoticed"])
def test_each_request_in_turn_is_refused(web: Web, address: str, fault: str) -> None:
    """A signature that ends in the middle, and a disk that changes: also at the very last look."""
    for number in range(2, REQUESTS + 1):
        web.mend()
        web.requests.clear()
        web.fault(WRONG[fault][0], since(number))
        report = validator.validate(address, "generalized")
        assert report.verdict.value == "indeterminate", number
        assert WRONG[fault][1] in report.summary


def test_a_server_that_asks_for_patience(web: Web, address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    waited: list[float] = []
    monkeypatch.setattr("validator.remote.time.sleep", waited.append)
    web.fault(faults.status(429, Retry_After="2"), 3)
    web.fault(faults.status(429, Retry_After="9999"), 5)
    assert validator.validate(address, "generalized").verdict.value == "deployable"
    assert waited == [2.0, 5.0]


@pytest.mark.parametrize("fault", [faults.silent(5), faults.trickle(1, 0.01)], ids=["silent", "trickle"])
def test_a_slow_server(
    web: Web, address: str, command: Command, monkeypatch: pytest.MonkeyPatch, fault: faults.Fault
) -> None:
    monkeypatch.setattr("validator.remote.REQUEST_SECONDS", 0.2)
    web.fault(fault, since(3))
    outcome = command("check", address)
    assert (outcome.code, "no answer within 0.2 seconds" in said(outcome)) == (3, True)


def test_the_time_for_all(web: Web, address: str) -> None:
    now = 0.0
    web.publish("disk.vhd", SAMPLE)
    budget = Transfer()
    budget._clock = lambda: now  # its deadline is that of the real clock
    now = budget._deadline + 1
    with pytest.raises(Unreadable, match="an answer within 60 seconds"):
        budget.transfer(0, 1)


def test_without_a_tag_the_time_counts(web: Web, address: str, command: Command) -> None:
    web.fault(faults.without("ETag"))
    assert command("check", address).code == 0
    assert "if-unmodified-since" in web.requests[-1].headers
    web.fault(faults.changed(heeds_if_match=False), since(len(web.requests) + 5))
    web.fault(faults.without("ETag"))
    assert command("check", address).code == 3


def test_a_weak_tag_is_compared_only(web: Web, address: str) -> None:
    web.fault(lambda request, right: right.with_headers(ETag='W/"1"'))
    assert validator.validate(address, "generalized").verdict.value == "deployable"
    assert all("if-match" not in request.headers for request in web.requests)


def test_without_tag_or_time_nothing_is_read(web: Web, address: str, command: Command) -> None:
    web.fault(faults.without("ETag", "Last-Modified"))
    outcome = command("check", address)
    assert (outcome.code, "ETag or Last-Modified" in said(outcome)) == (2, True)


# --- redirects and credentials --------------------------------------------------------------------


def test_a_redirect_elsewhere_takes_no_credentials(serve: Callable[..., Web], command: Command) -> None:
    here, there = serve(), serve("127.0.0.2")
    target = there.publish("blob", SAMPLE)
    here.fault(faults.redirect(target + "?other=1"))
    assert command("check", signed(here.publish("disk.vhd", SAMPLE))).code == 0
    assert "authorization" in here.requests[0].headers
    assert len(here.requests) == 1  # where it leads to is remembered
    assert len(there.requests) == REQUESTS
    for request in there.requests:
        assert request.query == "other=1"
        assert SECRET not in repr(request)
        assert not {"authorization", "cookie", "referer"} & set(request.headers)


def test_where_a_redirect_led_to_may_end(serve: Callable[..., Web]) -> None:
    here, there = serve(), serve("127.0.0.2")
    here.fault(faults.redirect(there.publish("blob", SAMPLE)))
    there.fault(faults.status(403), 7)
    report = validator.validate(here.publish("disk.vhd", SAMPLE), "generalized")
    assert (report.verdict.value, len(here.requests)) == ("deployable", 2)
    there.fault(faults.status(403), since(len(there.requests) + 5))
    report = validator.validate(here.publish("disk.vhd", SAMPLE), "generalized")
    assert (report.verdict.value, "403 Forbidden" in report.summary) == ("indeterminate", True)


def test_a_redirect_to_itself(web: Web, address: str, command: Command) -> None:
    web.fault(faults.redirect("/disk.vhd"))
    outcome = command("check", address)
    assert (outcome.code, "more than 5 redirects" in said(outcome)) == (3, True)
    assert len(web.requests) == 6


@pytest.mark.parametrize("to", ["ftp://h/x", "file:///etc/passwd", "http://[::1/x", "https:///x"])
def test_a_redirect_to_no_address(web: Web, address: str, command: Command, to: str) -> None:
    web.fault(faults.redirect(to))
    outcome = command("check", address)
    assert (outcome.code, "a redirect to no address" in said(outcome)) == (3, True)


def test_no_redirect_from_https_to_http(
    serve: Callable[..., Web], authority: Authority, command: Command
) -> None:
    here, there = serve(tls=authority.good), serve()
    here.fault(faults.redirect(there.publish("blob", SAMPLE)))
    outcome = command("check", here.publish("disk.vhd", SAMPLE), env={"SSL_CERT_FILE": str(authority.file)})
    assert (outcome.code, "a redirect to what is not https" in said(outcome)) == (3, True)
    assert there.requests == []


@pytest.mark.parametrize(
    ("certificate", "words"),
    [
        ("expired", "certificate has expired"),
        ("of_another_host", "certificate is not valid for '127.0.0.1'"),
        ("of_a_stranger", "unable to get local issuer certificate"),
        ("self_signed", "self-signed certificate"),
    ],
)
def test_a_certificate_that_does_not_verify(
    serve: Callable[..., Web], authority: Authority, command: Command, certificate: str, words: str
) -> None:
    web = serve(tls=getattr(authority, certificate))
    address = signed(web.publish("disk.vhd", SAMPLE))
    outcome = command("check", address, env={"SSL_CERT_FILE": str(authority.file)})
    assert outcome.code == 2
    assert re.search(words.replace("self-signed", "self.signed"), said(outcome))
    assert web.requests == []


@pytest.mark.parametrize("variable", ["SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "AWS_CA_BUNDLE"])
def test_an_authority_of_ones_own(
    serve: Callable[..., Web], authority: Authority, command: Command, variable: str
) -> None:
    address = signed(serve("localhost", tls=authority.good).publish("disk.vhd", SAMPLE))
    assert command("check", address, env={variable: str(authority.file)}).code == 0
    outcome = command("check", address, env={variable: str(SAMPLE)})
    assert (outcome.code, variable in said(outcome)) == (2, True)


def test_netrc_is_for_its_host_over_https(
    serve: Callable[..., Web], authority: Authority, command: Command, tmp_path: Path
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text(
        f"machine 127.0.0.1 login user password {SECRET}\ndefault login user password {SECRET}\n"
    )
    netrc.chmod(0o600)
    env = {"NETRC": str(netrc), "SSL_CERT_FILE": str(authority.file)}
    over_https, over_http = serve(tls=authority.good), serve()
    elsewhere = serve("localhost", tls=authority.good)
    for web in (over_https, over_http, elsewhere):
        assert command("check", web.publish("disk.vhd", SAMPLE), env=env).code == 0
    assert "authorization" in over_https.requests[0].headers
    assert "authorization" not in over_http.requests[0].headers
    assert "authorization" not in elsewhere.requests[0].headers


def test_the_environment_names_a_proxy(web: Web, command: Command) -> None:
    address = f"http://host.invalid/disk.vhd?sig={SECRET}"
    command("check", address, env={"http_proxy": web.origin})
    assert web.requests[0].target == address
    outcome = command("check", address, env={"http_proxy": "http://127.0.0.1:1"})
    assert (outcome.code, "no connection through the proxy" in said(outcome)) == (2, True)
    assert "no such host" in said(command("check", address, env={"http_proxy": web.origin, "no_proxy": "*"}))


# --- secrets --------------------------------------------------------------------------------------


@pytest.mark.parametrize("fault", ["none", "no ranges", "refused", "changed"])
def test_no_report_has_a_secret(
    web: Web, address: str, command: Command, tmp_path: Path, fault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if fault != "none":
        web.fault(WRONG[fault][0], since(5))
    files = {kind: tmp_path / f"report-{number}" for number, kind in enumerate(FORMATS)}
    options = [f"--report={kind}={file}" for kind, file in files.items()]
    outcome = command("check", "--verbose", *options, address, env={"IMAGE_VALIDATOR_DEBUG": "1"})
    assert outcome.code == (0 if fault == "none" else 3)
    said(outcome)
    for kind, file in files.items():
        text = file.read_text(encoding="utf-8")
        assert SECRET not in text, kind
        assert "disk.vhd" in text or (kind == "gitlab" and fault == "none"), kind


CRASH = """
import logging, sys
import validator.validation
from validator.cli import main
def crash(path, **options):
    logging.getLogger("azure.core").error("GET %s", path)
    raise RuntimeError(f"no use for {path}")
validator.validation.validate = crash
main()
"""


@pytest.mark.parametrize("debug", ["", "1"])
def test_a_failure_of_ours_shows_no_secret(address: str, debug: str) -> None:
    import subprocess

    done = subprocess.run(
        [sys.executable, "-c", CRASH, "check", address],
        env={**os.environ, "IMAGE_VALIDATOR_DEBUG": debug},
        capture_output=True,
        text=True,
        cwd=ROOT,
    )
    assert done.returncode != 0
    assert SECRET not in done.stdout + done.stderr
    assert "RuntimeError: no use for http://127.0.0.1" in done.stderr
    assert ("Traceback" in done.stderr) == bool(debug)


def test_a_wrong_command_shows_no_secret(address: str, command: Command) -> None:
    outcome = command("inspect", address, address)
    assert (outcome.code, "unexpected extra argument" in said(outcome)) == (2, True)
    assert command("check", address, f"--profile={address}").code == 2
    said(command("check", f"--parent=x{address}", address))


# --- differencing disks ---------------------------------------------------------------------------


@pytest.mark.parametrize("ending", ["vhd", "vhdx"])
def test_a_parent_beside_the_child(web: Web, command: Command, tmp_path: Path, ending: str) -> None:
    kind = Kind(ending, "good")
    parent = kind.parent(tmp_path)
    child = kind.child(parent)
    address = signed(web.publish(f"folder/child.{ending}", child))
    outcome = command("check", address)
    assert outcome.code == 3
    assert f"parent.{ending} cannot be read (404 Not Found)" in said(outcome)
    web.publish(f"folder/parent.{ending}", parent)
    outcome = command("check", "--verbose", address)
    assert outcome.code == 0
    said(outcome)
    asked = {request.path for request in web.requests}
    assert asked == {f"/folder/child.{ending}", f"/folder/parent.{ending}"}


def test_a_parent_that_is_named(web: Web, command: Command, tmp_path: Path) -> None:
    kind = Kind("vhd", "bad")
    parent = kind.parent(tmp_path)
    (tmp_path / "elsewhere").mkdir()
    child = kind.child(parent, folder=tmp_path / "elsewhere")
    there, base = signed(web.publish("a/child.vhd", child)), signed(web.publish("b/base.vhd", parent))
    for image, option in ((there, base), (child, base), (there, parent)):
        outcome = command("check", "--verbose", "--parent", option, image)
        assert outcome.code == 1, said(outcome)
        said(outcome)


# --- Azure, S3, and what else fsspec knows --------------------------------------------------------


def test_a_version_of_an_object(s3: S3, command: Command) -> None:
    bucket = s3.bucket("versions", versioned=True)
    address = s3.put(SAMPLE, bucket, "a folder/disk+1.vhd")
    (version,) = s3.client.list_object_versions(Bucket=bucket)["Versions"]
    s3.put(b"another", bucket, "a folder/disk+1.vhd")
    outcome = command("check", f"{address}?versionId={version['VersionId']}", env=s3.environment)
    assert (outcome.code, f"versionId={version['VersionId']}" in said(outcome)) == (0, True)
    assert command("check", address, env=s3.environment).code == 3
    assert command("check", f"s3://{bucket}/none", env=s3.environment).code == 2


def test_images_below_a_prefix(azurite: Azurite, s3: S3, monkeypatch: pytest.MonkeyPatch) -> None:
    azurite.container("nightly")
    s3.bucket("nightly")
    for name in ("b.vhd", "deep/er/a b.VHDX", "deep/readme.txt"):
        azurite.block_blob(b"1", "nightly", name)
        s3.put(b"1", "nightly", name)
    monkeypatch.setenv("AZURE_STORAGE_CONNECTION_STRING", azurite.connection_string)
    for name, value in s3.environment.items():
        monkeypatch.setenv(name, value)
    for scheme in ("az", "s3"):
        found = listed(f"{scheme}://nightly", (".vhd", ".vhdx"))
        assert found == [f"{scheme}://nightly/b.vhd", f"{scheme}://nightly/deep/er/a b.VHDX"]
        assert listed(f"{scheme}://nightly/deep/", (".txt",)) == [f"{scheme}://nightly/deep/readme.txt"]
    with pytest.raises(Unreachable, match="expected a store whose files can be listed"):
        listed(f"https://u:{SECRET}@host/folder/", (".vhd",))


def test_no_account(command: Command) -> None:
    outcome = command("check", f"az://container/disk.vhd?sig={SECRET}")
    assert (outcome.code, "AZURE_STORAGE_ACCOUNT_NAME" in said(outcome)) == (2, True)


@pytest.fixture
def shelf() -> Iterator[Any]:
    """A file system of fsspec's that is known by no name of ours."""
    import fsspec
    from fsspec.implementations.memory import MemoryFileSystem
    from fsspec.registry import _registry

    class Shelf(MemoryFileSystem):
        protocol = "shelf"
        store: dict[str, Any] = {}  # noqa: RUF012
        pseudo_dirs = [""]  # noqa: RUF012
        time = datetime(2026, 1, 5, tzinfo=timezone.utc)

        @classmethod
        def _strip_protocol(cls, path: str) -> str:
            return super()._strip_protocol(path.replace("shelf://", "memory://"))  # type: ignore[no-any-return]

        def info(self, path: str, **options: Any) -> dict[str, Any]:
            return {**super().info(path, **options), "mtime": self.time}

    fsspec.register_implementation("shelf", Shelf, clobber=True)
    system = Shelf()
    system.pipe_file("/images/disk.vhd", SAMPLE.read_bytes())
    yield system
    _registry.pop("shelf", None)


def test_another_file_system(shelf: Any, command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    judged = command.judge("shelf://images/disk.vhd")
    assert (judged["verdict"], judged["facts"]["io"]["requests"]) == ("deployable", REQUESTS)
    assert "no such file" in said(command("check", "shelf://images/none.vhd"))
    assert "a folder, not a file" in said(command("check", "shelf://images"))
    assert listed("shelf://images", (".vhd",)) == ["shelf://images/disk.vhd"]

    read = type(shelf).cat_file
    calls = 0

    def cat_file(self: Any, *arguments: Any, **options: Any) -> bytes:
        nonlocal calls
        calls += 1
        if calls == 3:
            raise ConnectionResetError(SECRET)
        if calls == 9:
            type(self).time = datetime(2026, 1, 6, tzinfo=timezone.utc)
        return bytes(read(self, *arguments, **options))

    monkeypatch.setattr(type(shelf), "cat_file", cat_file)
    outcome = command("check", "shelf://images/disk.vhd")
    assert (outcome.code, "it was changed while it was read" in said(outcome)) == (3, True)


def test_evidence_has_the_place(web: Web, address: str) -> None:
    web.fault(faults.status(404), since(5))
    report = validator.validate(address, "generalized")
    (evidence,) = {finding.evidence[0] for finding in report.findings if finding.status.value == "unknown"}
    assert evidence.where.layer is Layer.FILE
    assert evidence.where.offset is not None
    assert evidence.where.offset % WINDOW == 0
    assert evidence.found == "404 Not Found"


@pytest.mark.parametrize(("status", "own"), [(404, True), (403, True), (500, False)])
def test_a_blob_that_not_everybody_may_read(
    web: Web, command: Command, monkeypatch: pytest.MonkeyPatch, status: int, own: bool
) -> None:
    """Its own URL is tried as it stands, then with credentials: here the package for them is missing."""
    monkeypatch.setitem(sys.modules, "adlfs", None)
    web.fault(faults.status(status))
    address = "http://contoso.blob.core.windows.net/images/disk.vhd"
    outcome = command("check", address, env={"http_proxy": web.origin})
    assert ("nothing that anybody may read" in said(outcome)) == own
    assert outcome.code == (2 if own else 3)
    outcome = command("check", f"{address}?sig={SECRET}", env={"http_proxy": web.origin})
    assert "nothing that anybody may read" not in said(outcome)
