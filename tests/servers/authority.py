"""A certificate authority that nobody but these tests trusts, and certificates that nobody should."""

from __future__ import annotations

import ssl
from datetime import datetime, timezone
from functools import cached_property
from pathlib import Path

import trustme

LOOPBACK = ("127.0.0.1", "127.0.0.2", "localhost")


class Authority:
    """The authority.

    Args:
        folder: where its certificate is put, for clients that want the name of a file.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._ca = trustme.CA()
        self.file = folder / "authority.pem"
        """What a client that shall trust it needs."""
        self._ca.cert_pem.write_to_path(str(self.file))

    @cached_property
    def good(self) -> ssl.SSLContext:
        """A server's context with a certificate for all names of loopback."""
        return _context(self._ca.issue_cert(*LOOPBACK))

    @cached_property
    def expired(self) -> ssl.SSLContext:
        """One that ended long ago."""
        first, last = (datetime(year, 1, 1, tzinfo=timezone.utc) for year in (2020, 2021))
        return _context(self._ca.issue_cert(*LOOPBACK, not_before=first, not_after=last))

    @cached_property
    def of_another_host(self) -> ssl.SSLContext:
        """One that is for another name."""
        return _context(self._ca.issue_cert("elsewhere.example"))

    @cached_property
    def of_a_stranger(self) -> ssl.SSLContext:
        """One that an authority gave which nobody knows."""
        return _context(trustme.CA().issue_cert(*LOOPBACK))

    @cached_property
    def self_signed(self) -> ssl.SSLContext:
        """One that vouches for itself."""
        own = trustme.CA()
        chain = self._folder / "self-signed.pem"
        own.private_key_pem.write_to_path(str(chain))
        own.cert_pem.write_to_path(str(chain), append=True)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(chain)
        return context

    @cached_property
    def files(self) -> tuple[Path, Path]:
        """Certificate and key for all names of loopback, for a server that wants files."""
        leaf = self._ca.issue_cert(*LOOPBACK)
        certificate, key = self._folder / "server.pem", self._folder / "server.key"
        leaf.cert_chain_pems[0].write_to_path(str(certificate))
        leaf.private_key_pem.write_to_path(str(key))
        return certificate, key


def _context(leaf: trustme.LeafCert) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    leaf.configure_cert(context)
    return context
