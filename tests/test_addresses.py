"""An image at an address is judged as the same image in a file: verdict, findings, facts and layers.

By the whole command, from real servers: a web server over https, Azure's page and block blobs (Azurite) by a
signed address and by the connection string of the account, and S3 (moto).
"""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import pytest

from benchmarks.image import GiB, MiB, path_as_fixed
from tests.command import ROOT, Command, Judged
from tests.hostile import small_disk
from tests.images import (
    DynamicVhd,
    Vhdx,
    build,
    copy_of,
    damage,
    generalized,
    undeployable,
    vhd,
    vhdx,
)
from tests.images.vhdx_log import pend
from tests.servers.authority import Authority
from tests.servers.azure import Azurite
from tests.servers.s3 import S3
from tests.servers.web import Web
from tests.test_cost import BIG

pytest.importorskip("fsspec")

SAMPLES = tuple(sorted(path.name for path in (ROOT / "sample_images").glob("*.vhd*")))
PROFILE = "--profile=azure-generalized"
SIZE = 16 * MiB


# --- images --------------------------------------------------------------------------------------


class Made(NamedTuple):
    """An image, and the files of its folder that it needs."""

    image: Path
    others: tuple[Path, ...] = ()


def pending(folder: Path) -> Made:
    """A VHDX whose log, when it is replayed, makes a bad Windows good."""
    bad, good = (build(small_disk(each, SIZE), Vhdx()) for each in (undeployable(), generalized()))
    image = copy_of(bad, folder, "pending.vhdx")
    pend(image, good)
    return Made(image)


def chain(folder: Path) -> Made:
    """A differencing disk and its parent."""
    bad, good = (build(small_disk(each, SIZE), "raw") for each in (undeployable(), generalized()))
    parent = copy_of(build(small_disk(undeployable(), SIZE), DynamicVhd()), folder, "parent.vhd")
    old, new = bad.read_bytes(), good.read_bytes()
    places = (at for at in range(0, len(old), 4096) if old[at : at + 4096] != new[at : at + 4096])
    changes = {at: new[at : at + 4096] for at in places}
    return Made(vhd.child_of(parent, folder / "child.vhd", changes), (parent,))


def half(folder: Path) -> Made:
    """A VHDX that an upload left off in the middle."""
    image = copy_of(build(small_disk(generalized(), SIZE), Vhdx()), folder, "half.vhdx")
    damage.truncate(image, 3 * MiB)
    return Made(image)


def recovered(folder: Path) -> Made:
    """A VHDX with one header and one region table of two."""
    image = copy_of(build(small_disk(generalized(), SIZE), Vhdx()), folder, "recovered.vhdx")
    damage.flip(image, vhdx.HEADER_OFFSETS[0] + 80)
    damage.flip(image, vhdx.REGION_TABLE_OFFSETS[0] + 20)
    return Made(image)


def foreign(folder: Path) -> Made:
    """A container without checksums."""
    return Made(copy_of(build(small_disk(generalized(), SIZE), "qcow2"), folder, "foreign.qcow2"))


def empty(folder: Path) -> Made:
    """No byte at all."""
    image = folder / "empty.vhd"
    image.write_bytes(b"")
    return Made(image)


MADE: Mapping[str, Callable[[Path], Made]] = {
    made.__name__: made for made in (pending, chain, half, recovered, foreign, empty)
}


@pytest.fixture(scope="module")
def judged_here(made: Callable[[str], Made]) -> Callable[[str], dict[str, Any]]:
    """What the command says of this image in a file; asked once."""
    return functools.cache(lambda name: answer(Command().judge(made(name).image, PROFILE)))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Made]:
    """The image of this name: a sample, or one that the factory makes."""

    @functools.cache
    def made(name: str) -> Made:
        if name in SAMPLES:
            return Made(ROOT / "sample_images" / name)
        return MADE[name](tmp_path_factory.mktemp(name))

    return made


# --- places --------------------------------------------------------------------------------------


class Place(Protocol):
    """Where images are put."""

    def put(self, path: Path) -> str:
        """Put a file there: its address."""

    @property
    def environment(self) -> Mapping[str, str]:
        """What the command needs to read it."""


@dataclass(frozen=True)
class OnTheWeb:
    """A web server."""

    web: Web
    authority: Authority

    def put(self, path: Path) -> str:
        """Put a file there."""
        return self.web.publish(path.name, path)

    @property
    def environment(self) -> Mapping[str, str]:
        """Whom to trust."""
        return {"SSL_CERT_FILE": str(self.authority.file)}


@dataclass(frozen=True)
class InAzure:
    """A container of Azure's storage."""

    azurite: Azurite
    kind: str
    """Page blobs or block blobs."""
    signed: bool
    """By an address with a signature, or by the account's connection string."""

    def put(self, path: Path) -> str:
        """Put a file there, if it is not there yet."""
        container = self.azurite.container(f"{self.kind}s")
        blob = self.azurite.client.get_blob_client(container, path.name)
        if not blob.exists():
            if self.kind == "page":
                self.azurite.page_blob(path, container)
            else:
                self.azurite.block_blob(path, container, path.name)
        if self.signed:
            return self.azurite.signed(blob.url, of_container=True)
        return f"az://{container}/{path.name}"

    @property
    def environment(self) -> Mapping[str, str]:
        """The account."""
        return {} if self.signed else {"AZURE_STORAGE_CONNECTION_STRING": self.azurite.connection_string}


@dataclass(frozen=True)
class InS3:
    """A bucket."""

    s3: S3

    def put(self, path: Path) -> str:
        """Put a file there."""
        return self.s3.put(path, self.s3.bucket("images"), path.name)

    @property
    def environment(self) -> Mapping[str, str]:
        """The account."""
        return self.s3.environment


@pytest.fixture(params=["https", "page, signed", "block, az", "s3"])
def place(request: pytest.FixtureRequest) -> Place:
    """Each of them: both kinds of blobs, both ways to read them."""
    kind, _, how = str(request.param).partition(", ")
    if kind == "https":
        authority = request.getfixturevalue("authority")
        return OnTheWeb(request.getfixturevalue("serve")(tls=authority.good), authority)
    if kind == "s3":
        return InS3(request.getfixturevalue("s3"))
    return InAzure(request.getfixturevalue("azurite"), kind, how == "signed")


# --- the same answer -----------------------------------------------------------------------------


def answer(judged: Judged) -> dict[str, Any]:
    """A report without what is of the way there: name, times and number of reads."""
    report = copy.deepcopy(dict(judged))
    report["code"] = judged.code
    del report["path"], report["duration_ms"], report["facts"]["io"]
    return report


@pytest.mark.parametrize("name", [*SAMPLES, *MADE])
def test_an_address_is_judged_like_a_file(
    command: Command,
    made: Callable[[str], Made],
    judged_here: Callable[[str], dict[str, Any]],
    place: Place,
    name: str,
) -> None:
    image, others = made(name)
    for other in others:
        place.put(other)
    address = place.put(image)
    there = command.judge(address, PROFILE, env=place.environment)
    assert answer(there) == judged_here(name)
    assert (there["path"], there["facts"]["io"]["requests"] > 0) == (address.partition("?")[0], True)


# --- what it costs -------------------------------------------------------------------------------

LIMITS = {"generalized": (40, 2 * MiB), "azure-generalized": (250, 20 * MiB)}
"""Requests and bytes that a disk of 127 GiB may cost."""


@pytest.fixture(scope="module")
def large() -> Path:
    """A fixed VHD of 127 GiB."""
    return path_as_fixed(replace(BIG, disk_size=127 * GiB))


@pytest.mark.parametrize("profile", LIMITS)
def test_a_page_blob_of_127_gib(command: Command, azurite: Azurite, large: Path, profile: str) -> None:
    """What the report says of requests and bytes is what the service says, too."""
    place = InAzure(azurite, "page", signed=True)
    address = place.put(large)
    before = len(azurite.served(address))
    judged = command.judge(address, "--profile", profile)
    assert judged.answer == ("deployable", 0), judged["summary"]
    count = judged["facts"]["io"]
    served = azurite.served(address, at_least=before + count["requests"])[before:]
    assert (len(served), sum(request.sent for request in served)) == (count["requests"], count["bytes_read"])
    most_requests, most_bytes = LIMITS[profile]
    assert (count["requests"] < most_requests, count["bytes_read"] < most_bytes) == (True, True), count
