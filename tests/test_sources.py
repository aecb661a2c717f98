"""Many images at once from wherever they lie: files, addresses and archives, in one run."""

from __future__ import annotations

import gzip
import json
import os
import time
import zipfile
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.command import ROOT, Command, Outcome
from tests.servers.azure import Azurite
from tests.servers.web import Web, since, status
from validator import fleet, remote, validate_many
from validator.address import hidden, is_prefix, shown

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


def test_an_executor_gets_addresses_as_they_are(web: Web) -> None:
    """Paths it gets in full; what differs between two addresses may be their signature alone."""
    address = web.publish("disk.vhdx", GOOD)
    paths = [os.path.relpath(BAD), f"{address}?sig={SECRET}", f"{address}?sig={SECRET}2", f"{address}-none"]
    with ThreadPoolExecutor(2) as executor:
        reports = list(validate_many(paths, "generalized", executor=executor))
    found = sorted((report.path, report.verdict.value) for report in reports)
    assert found == sorted([
        (paths[0], "undeployable"), (address, "deployable"), (address, "deployable"),
        (f"{address}-none", "indeterminate"),
    ])  # fmt: skip
    assert SECRET not in repr(reports)


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


# --- what an address may do to a report ------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    [
        f" https://host/disk.vhd?sig={SECRET}",
        f"'https://host/disk.vhd?sig={SECRET}'",
        f"https:/host/disk.vhd?sig={SECRET}",
        f"https:/user:{SECRET}@host/disk.vhd",
    ],
)
@pytest.mark.parametrize("form", ["github", "json", "junit", "text"])
def test_what_is_nearly_an_address_is_no_pattern(command: Command, name: str, form: str) -> None:
    """It would stand in reports as what matched nothing, with its signature."""
    outcome = command("check", "--format", form, name)
    assert (outcome.code, outcome.stdout) == (2, "")
    assert "looks like an address" in " ".join(outcome.stderr.split())
    assert SECRET not in outcome.stderr


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        (f"https://user:pa/{SECRET}@host/disk.vhd", "https://…"),
        (f"https://user:pa?{SECRET}@host/disk.vhd", "https://…"),
        (f"https://user:pa#{SECRET}@host/disk.vhd", "https://…"),
        (f"https://user:{SECRET}@host/disk.vhd", "https://host/disk.vhd"),
        (f"https://host/disk.vhd?sig={SECRET}@host", "https://host/disk.vhd"),
        ("https://host:8443/a@b.vhd", "https://host:8443/a@b.vhd"),
        ("https://[::1]:8443/a.vhd", "https://[::1]:8443/a.vhd"),
    ],
)
def test_a_user_is_never_shown(address: str, expected: str) -> None:
    assert shown(address) == expected
    assert SECRET not in hidden(f"cannot read {address}: refused")


def test_hiding_is_quick() -> None:
    """A name in an archive may be as long as its maker likes."""
    text = "a" * 2**20 + " https://host/x?sig=1 " + "a:" * 2**19
    started = time.process_time()
    assert "sig" not in hidden(text)
    assert time.process_time() - started < 5


def test_an_executor_that_repeats_what_it_got(web: Web) -> None:
    """Its words stand in the report, without signatures."""

    class Loud(ThreadPoolExecutor):
        def submit(self, *arguments: Any, **keywords: Any) -> Any:
            raise RuntimeError(f"cannot pickle {arguments!r}")

    with Loud(1) as executor:
        (report,) = validate_many([f"https://host/disk.vhd?sig={SECRET}"], executor=executor)
    assert "cannot pickle" in report.summary
    assert SECRET not in repr(report)


def test_resuming_is_not_about_one_image(command: Command, tmp_path: Path) -> None:
    """One that is left is still one of many: what is wrong with it alone ends no run."""
    several = tmp_path / "images" / "several.zip"
    several.parent.mkdir()
    with zipfile.ZipFile(several, "w") as archive:
        archive.write(GOOD, "one.vhdx")
        archive.write(GOOD, "two.vhdx")
    run = ["check", "--format", "json", "--profile", "generalized", "--report", f"jsonl={tmp_path / 'lines'}"]
    first, second = (command(*run, "--resume", GOOD, several) for _ in range(2))
    assert [verdicts(each) for each in (first, second)] == [["deployable", "indeterminate"]] * 2
    assert (first.code, second.code) == (3, 3)


def test_names_that_no_address_can_say(command: Command, azurite: Azurite) -> None:
    """`disk.vhdx#bad.vhdx` would be read as `disk.vhdx`, and the bad one pass unseen."""
    container = azurite.container("odd")
    azurite.block_blob(GOOD, container, "disk.vhdx")
    azurite.block_blob(BAD, container, "disk.vhdx#bad.vhdx")
    account = {"AZURE_STORAGE_CONNECTION_STRING": azurite.connection_string}
    outcome = command("check", "--recursive", f"az://{container}/", env=account)
    assert (outcome.code, "names of images without ?, # and %" in outcome.stderr) == (2, True)
    alone = command("check", f"az://{container}/disk.vhdx#bad.vhdx", env=account)
    assert (alone.code, "a name with #" in alone.stderr) == (2, True)


def test_what_is_gone_of_a_container(
    command: Command, azurite: Azurite, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A blob that cannot be read any more harms no other."""
    container = azurite.container("gone")
    for name in ("one.vhdx", "two.vhdx"):
        azurite.block_blob(GOOD, container, name)
    account = {"AZURE_STORAGE_CONNECTION_STRING": azurite.connection_string}
    listed = remote.listed

    def then_gone(address: str, endings: tuple[str, ...]) -> list[str]:
        found = listed(address, endings)
        azurite.client.get_blob_client(container, "one.vhdx").delete_blob()
        return found

    monkeypatch.setattr(remote, "listed", then_gone)
    outcome = command(
        "check", "-f", "json", "--profile", "generalized", "-r", f"az://{container}/", env=account
    )
    assert (outcome.code, verdicts(outcome)) == (3, ["indeterminate", "deployable"])
