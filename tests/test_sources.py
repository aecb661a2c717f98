"""Many images at once from wherever they lie: files, addresses and archives, in one run."""

from __future__ import annotations

import gzip
import json
import os
import zipfile
import zlib
from pathlib import Path
from typing import Any

import pytest

from tests.command import ROOT, Command, Outcome
from tests.servers.azure import Azurite
from tests.servers.web import Web, since, status
from validator import fleet, validate_many
from validator.address import is_prefix

SAMPLES = ROOT / "sample_images"
GOOD, BAD = (SAMPLES / f"{name}.vhdx" for name in ("generalized-gen2", "undeployable"))
SECRET = "c2VjcmV0"


def verdicts(outcome: Outcome) -> list[str]:
    """In the order of the report."""
    return [image["verdict"] for image in outcome.json["images"]]


@pytest.mark.parametrize("jobs", [1, 2])
def test_addresses_beside_files(command: Command, web: Web, tmp_path: Path, jobs: int) -> None:
    """Each has its own report, also of addresses that look the same; no signature is in any output."""
    address = web.publish("disk.vhdx", GOOD)
    one, late, other = (f"{address}?sig={SECRET}{number}" for number in range(3))
    asked: list[str] = []

    def expire(request: Any, right: Any) -> Any:
        asked.append(request.target)
        expired = (
            f"{SECRET}1" in request.target and len([each for each in asked if each == request.target]) > 4
        )
        return status(403)(request, right) if expired else right

    web.fault(expire, since(1))
    lines = tmp_path / "lines"
    outcome = command(
        "check", "--format", "json", "--profile", "generalized", "-j", jobs, "--report", f"jsonl={lines}",
        str(BAD), one, late, other,
    )  # fmt: skip
    assert verdicts(outcome) == ["undeployable", "deployable", "indeterminate", "deployable"]
    assert [image["path"] for image in outcome.json["images"][1:]] == [address] * 3
    assert (outcome.code, len(lines.read_text().splitlines())) == (1, 4)
    assert SECRET not in outcome.stdout + outcome.stderr + lines.read_text()


def test_an_address_is_not_taken_over(command: Command, web: Web, tmp_path: Path) -> None:
    """Whether it changed cannot be told without asking, so it is judged again."""
    address = web.publish("disk.vhdx", GOOD)
    run = ["check", "--format", "json", "--profile", "generalized", "--report", f"jsonl={tmp_path / 'lines'}"]
    command(*run, GOOD, address)
    web.publish("disk.vhdx", BAD)
    again = command(*run, "--resume", GOOD, address)
    assert verdicts(again) == ["deployable", "undeployable"]
    assert "1 of 2 images are taken over" in again.stderr


@pytest.mark.parametrize("jobs", [1, 2])
def test_archives_beside_files(command: Command, tmp_path: Path, jobs: int) -> None:
    """One that holds several images harms no other, and what to do stands in its report."""
    packed, several = tmp_path / "bad.vhdx.gz", tmp_path / "several.zip"
    packed.write_bytes(gzip.compress(BAD.read_bytes(), 1))
    with zipfile.ZipFile(several, "w") as archive:
        archive.write(GOOD, "one.vhdx")
        archive.write(GOOD, "two.vhdx")
    outcome = command(
        "check", "--format", "json", "--profile", "generalized", "-j", jobs, packed, several, GOOD
    )
    assert verdicts(outcome) == ["undeployable", "indeterminate", "deployable"]
    assert "--member" in json.dumps(outcome.json["images"][1])
    alone = command("check", several)
    assert (alone.code, "--member" in alone.stderr) == (2, True)


def test_a_process_that_unpacks_is_not_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It says how far it is, however long that takes."""
    monkeypatch.setattr(fleet, "PATIENCE", 4.0)
    packed = tmp_path / "long.vhd.gz"
    # A bit for each byte: 64 MiB of zeros in 8 MiB, which take a while and come in many pieces.
    packer = zlib.compressobj(1, zlib.DEFLATED, 31, 9, zlib.Z_HUFFMAN_ONLY)
    packed.write_bytes((packer.compress(bytes(64 * 2**20)) + packer.flush()) * 30)
    told: list[tuple[int, int]] = []

    def unpacking(*progress: int) -> None:
        told.append((progress[0], progress[1]))

    reports = list(validate_many([packed, GOOD], "generalized", jobs=2, unpacking=unpacking))
    found = {os.path.basename(report.path): report for report in reports}
    assert found[GOOD.name].verdict.value == "deployable"
    assert "gave no answer" not in found[packed.name].summary
    assert len(told) > 1
    assert told == sorted(told)
    assert told[-1][1] == packed.stat().st_size


@pytest.mark.parametrize("form", ["az", "signed"])
def test_a_container_is_swept(command: Command, azurite: Azurite, form: str) -> None:
    """`--recursive` judges what is called like an image below a prefix; nothing there is exit code 4."""
    container = azurite.container("sweep")
    for name, content in (("good.vhdx", GOOD), ("deep/er/bad.VHDX", BAD), ("deep/readme.txt", b"none")):
        url = azurite.block_blob(content, container, name)
    account = {"AZURE_STORAGE_CONNECTION_STRING": azurite.connection_string}
    if form == "signed":
        # Azurite's addresses have the account in their path, the service's in their host: no listing by them.
        whole = azurite.signed(url, of_container=True, permission="rl")
        top = url.partition("/sweep/")[0] + "/sweep/?" + whole.partition("?")[2]
        refused = command("check", "--recursive", top)
        assert (refused.code, "whose files can be listed" in refused.stderr) == (2, True)
        assert "sig=" not in refused.stderr
        return
    run = ["check", "--format", "json", "--profile", "generalized", "--recursive"]
    outcome = command(*run, f"az://{container}/", env=account)
    assert [image["path"] for image in outcome.json["images"]] == [
        f"az://{container}/deep/er/bad.VHDX", f"az://{container}/good.vhdx",
    ]  # fmt: skip
    assert (outcome.code, verdicts(outcome)) == (1, ["undeployable", "deployable"])
    assert command(*run, f"az://{container}", env=account).json["summary"]["images"] == 2
    nothing = command("check", "--recursive", f"az://{container}/none/", env=account)
    assert (nothing.code, f"no image at az://{container}/none/" in nothing.stderr) == (4, True)


@pytest.mark.parametrize(
    ("address", "is_one"),
    [
        ("az://container", True),
        ("az://container/", True),
        ("az://container/disk.vhd", False),
        ("s3://bucket/deep/", True),
        ("https://host/disk.vhd?sig=a/", False),
        ("https://host/folder/?sig=a", True),
        ("https://host", True),
    ],
)
def test_what_is_a_prefix(address: str, is_one: bool) -> None:
    assert is_prefix(address) == is_one
