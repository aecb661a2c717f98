"""Receipts: exactly these bytes passed exactly this policy, or `verify-receipt` says what is otherwise."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import validator
from tests.command import ROOT, Command
from tests.images import damage, edited, generalized, undeployable, vhdx
from tests.test_parents import Kind
from validator.cli import receipts
from validator.receipt import PREDICATE_TYPE, Receipt, read
from validator.source import FileState

Image = Callable[..., Path]
PROFILE = ("--profile", "generalized")
SCHEMA = jsonschema.Draft202012Validator(
    json.loads((Path(validator.__file__).parent / "receipt.schema.json").read_text()),
    format_checker=jsonschema.FormatChecker(),
)
HOLDS, REFUSED, WRONG, UNTOLD = 0, 1, 2, 3


@pytest.fixture
def disk(image: Image) -> Path:
    """A good image."""
    return image(generalized(), name="disk.vhdx")


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """Where a receipt may go: a folder of its own, since `Command` watches those of its arguments."""
    folder = tmp_path / "out"
    folder.mkdir()
    return folder / "receipt.json"


@pytest.fixture
def receipt(command: Command, disk: Path, out: Path) -> Path:
    """The receipt of the good image."""
    assert command("check", "--receipt", out, disk).code == 0
    return out


def sha256(path: Path) -> str:
    """What another tool says of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def receipt_of(command: Command, path: Path, *arguments: object) -> Any:
    """What `check` writes down, held to its schema."""
    path.unlink(missing_ok=True)
    command("check", "--quiet", "--receipt", path, *arguments)
    data = json.loads(path.read_text(encoding="utf-8"))
    SCHEMA.validate(data)
    return data


def words(text: str) -> str:
    """Text without its line breaks."""
    return " ".join(text.split())


# --- what is written ------------------------------------------------------------------------------


def test_a_receipt_says_what_the_report_says(command: Command, disk: Path, out: Path) -> None:
    """An in-toto statement about the file's digest; the findings are those of the report."""
    data = receipt_of(command, out, disk)
    (report,) = command("check", "--format", "json", disk).json["images"]
    predicate = data["predicate"]
    (said,) = predicate["images"]
    assert data["_type"] == "https://in-toto.io/Statement/v1"
    assert data["predicateType"] == PREDICATE_TYPE
    assert data["subject"] == [{"name": "disk.vhdx", "digest": {"sha256": sha256(disk)}}]
    assert said["files"] == [sha256(disk)]
    assert (said["verdict"], said["summary"], predicate["exit_code"]) == ("deployable", report["summary"], 0)
    assert [(each["check"], each["status"], each["severity"]) for each in said["checks"]] == [
        (each["check"], each["status"], each["severity"]) for each in report["findings"]
    ]
    assert predicate["tool"] == {"name": "image-validator", "version": validator.__version__}
    assert predicate["question"]["profile"] == "generalized"


@pytest.mark.parametrize("change", [{}, {"exit_code": 2}, {"policy": None}])
def test_the_schema_notices(command: Command, disk: Path, out: Path, change: dict[str, Any]) -> None:
    """It takes fields that it does not know, as in-toto wants it, and no others than it knows instead."""
    data = receipt_of(command, out, disk)
    data["predicate"] |= {"more": 1, **change}
    assert SCHEMA.is_valid(data) == (not change)


@pytest.mark.parametrize("make", [undeployable, edited])
def test_a_receipt_is_written_for_every_verdict(
    command: Command, image: Image, out: Path, make: Callable[[], Any]
) -> None:
    """It is a statement, not a pass."""
    data = receipt_of(command, out, image(make()))
    assert data["predicate"]["exit_code"] == 1
    assert data["predicate"]["images"][0]["verdict"] == "undeployable"


def test_a_chain_has_all_its_files_as_subjects(command: Command, tmp_path: Path, out: Path) -> None:
    """The child and its parent, and no disk that merely lies beside them and was looked at."""
    kind, folder = Kind("vhdx", "good"), tmp_path / "images"
    folder.mkdir()
    parent = kind.parent(folder)
    other = kind.child(parent, "another", {}, link={"identifier": kind.identifier(parent)})
    child = kind.child(parent, link={"paths": [".\\gone.vhdx"]})
    data = receipt_of(command, out, child)
    digests = [sha256(child), sha256(parent)]
    assert [each["digest"]["sha256"] for each in data["subject"]] == digests
    assert [each["name"] for each in data["subject"]] == ["child.vhdx", "parent.vhdx"]
    assert data["predicate"]["images"][0]["files"] == digests
    assert command("verify-receipt", out, child, parent, *PROFILE).code == HOLDS
    alone = command("verify-receipt", out, child, *PROFILE)
    assert alone.code == REFUSED
    assert f"another file, which is not given, of the SHA-256 {sha256(parent)}" in words(alone.stdout)
    mixed = command("verify-receipt", out, child, other, *PROFILE)
    assert mixed.code == REFUSED
    assert mixed.stdout.count("REFUSED") == 2


def test_images_of_one_run(command: Command, image: Image, out: Path) -> None:
    """One receipt for all of them; it is no pass for any where one failed."""
    one, two = image(generalized(), name="disk.vhdx"), image(generalized(), "vhd-fixed", name="disk.vhdx")
    bad = image(undeployable())
    data = receipt_of(command, out, one, two)
    assert [each["name"] for each in data["subject"]] == ["disk.vhdx", "disk.vhdx (2)"]
    assert command("verify-receipt", out, one, *PROFILE).code == HOLDS
    assert command("verify-receipt", out, two, one, *PROFILE).code == HOLDS
    receipt_of(command, out, one, bad)
    outcome = command("verify-receipt", out, one, *PROFILE)
    assert outcome.code == REFUSED
    assert "the check returned 1" in outcome.stdout


def test_the_name_of_an_image_commands_nothing(command: Command, image: Image, out: Path) -> None:
    """Neither in the receipt nor in what is said of it."""
    name = "##vso[task.complete]\x1b[2J\u202e" + os.fsdecode(b"\xff") + ".vhdx"
    path = image(generalized(), name=name)
    receipt_of(command, out, path)
    outcome = command("verify-receipt", out, path, *PROFILE)
    assert outcome.code == HOLDS
    for text in (out.read_text(), outcome.stdout):
        assert "##" not in text
        assert "\x1b" not in text
        assert text.isascii()


# --- the bytes that were judged -------------------------------------------------------------------


def grown(path: Path) -> None:
    """One byte longer."""
    with path.open("ab") as file:
        file.write(b"x")


def flipped(path: Path) -> None:
    """One bit another, and the modification time put back."""
    times = path.stat()
    damage.flip(path, -1)
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))


def replaced(path: Path) -> None:
    """Another file under its name."""
    twin = path.with_name("twin")
    twin.write_bytes(path.read_bytes())
    os.utime(twin, ns=(path.stat().st_atime_ns, path.stat().st_mtime_ns))
    twin.replace(path)


CHANGES = [grown, flipped, replaced, Path.unlink]


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("when", ["before", "meanwhile"])
def test_what_is_not_what_was_judged_has_no_receipt(
    command: Command,
    image: Image,
    out: Path,
    monkeypatch: pytest.MonkeyPatch,
    change: Callable[[Path], object],
    when: str,
) -> None:
    """Changed between judging and hashing, or while it is hashed: 3, no receipt, and the reports say so."""
    path = image(generalized())

    @contextlib.contextmanager
    def changing(total: int, *, quiet: bool) -> Iterator[Callable[[int], object]]:
        assert total == path.stat().st_size
        if when == "before":
            change(path)
        yield lambda _: change(path) if when == "meanwhile" and path.exists() else None

    monkeypatch.setattr(receipts, "progress", changing)
    monkeypatch.setattr("validator.source.PIECE", path.stat().st_size)
    outcome = command("check", "--format", "json", "--receipt", out, path, watched=False)
    assert outcome.code == UNTOLD
    assert outcome.json["images"][0]["verdict"] == "indeterminate"
    assert outcome.json["exit_code"] == UNTOLD
    assert not out.exists()
    assert "no receipt was written" in outcome.stderr


def test_what_cannot_be_read_has_no_receipt(command: Command, disk: Path, tmp_path: Path, out: Path) -> None:
    """A statement about nothing would be none."""
    outcome = command("check", "--receipt", out, disk, tmp_path)
    assert (outcome.code, out.exists()) == (UNTOLD, False)
    assert "no receipt was written" in outcome.stderr
    outcome = command("check", "--receipt", out, tmp_path / "none*.vhdx")
    assert (outcome.code, out.exists()) == (4, False)


def test_a_waiver_falls_with_its_finding(
    command: Command, image: Image, tmp_path: Path, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of bytes that were changed nothing is known, so that nothing of them is accepted."""
    path, policy = image(undeployable()), waivers(tmp_path / "policy.toml")

    @contextlib.contextmanager
    def changing(total: int, *, quiet: bool) -> Iterator[Callable[[int], object]]:
        grown(path)
        yield lambda _: None

    monkeypatch.setattr(receipts, "progress", changing)
    outcome = command("check", "--format", "json", "--policy", policy, "--receipt", out, path, watched=False)
    assert outcome.code == UNTOLD
    findings = outcome.json["images"][0]["findings"]
    assert {each["status"] for each in findings} == {"unknown"}
    assert [each["waiver"] for each in findings if each["waiver"]] == []


def test_another_device_is_another_file(disk: Path) -> None:
    """Inode numbers are unique within one file system only."""
    status = os.stat(disk)
    other = os.stat_result((*status[:2], status.st_dev + 1, *status[3:]), status.__reduce__()[1][1])
    state = FileState.of(str(disk), status)
    assert state.difference(FileState.of(str(disk), status)) is None
    assert state.difference(FileState.of(str(disk), other)) == "another file under its name"


# --- where it is written --------------------------------------------------------------------------


def test_a_receipt_never_lands_on_an_image(command: Command, tmp_path: Path) -> None:
    """Nor on a parent, by whatever name; the images are watched over by the command's fixture."""
    kind = Kind("vhdx", "good")
    parent = kind.parent(tmp_path)
    child = kind.child(parent)
    link = tmp_path / "link"
    link.symlink_to(child)
    for target in (child, parent, link, tmp_path / "." / child.name):
        outcome = command("check", "--receipt", target, child)
        assert outcome.code == WRONG, target
        assert "would overwrite" in outcome.stderr


def test_a_receipt_and_a_report_are_two_files(
    command: Command, disk: Path, tmp_path: Path, out: Path
) -> None:
    """Whichever came last would hide the other."""
    outcome = command("check", "--receipt", tmp_path / "out", "--report", f"json={tmp_path / 'out'}", disk)
    assert (outcome.code, outcome.stdout) == (WRONG, "")


def test_a_receipt_that_cannot_be_written(command: Command, disk: Path, tmp_path: Path) -> None:
    """2, with a sentence."""
    for target in (tmp_path, tmp_path / "none" / "receipt.json"):
        outcome = command("check", "--receipt", target, disk)
        assert outcome.code == WRONG
        assert "Error:" in outcome.stderr


# --- whether it holds -----------------------------------------------------------------------------


def test_a_receipt_holds(command: Command, receipt: Path, disk: Path) -> None:
    """For the file under any name; a word says what was passed."""
    moved = disk.rename(disk.with_name("moved.bin"))
    outcome = command("verify-receipt", receipt, moved, *PROFILE)
    assert (outcome.code, outcome.stderr) == (HOLDS, "")
    assert outcome.stdout.startswith(f"HOLDS  {moved}\n")
    assert "Passed generalized" in outcome.stdout
    assert command("verify-receipt", "--quiet", receipt, moved, *PROFILE).stdout == ""


@pytest.mark.parametrize("change", [grown, flipped])
def test_other_bytes_are_refused(
    command: Command, receipt: Path, disk: Path, change: Callable[[Path], object]
) -> None:
    """One byte changed after the receipt, the name and the times as they were."""
    change(disk)
    outcome = command("verify-receipt", receipt, disk, *PROFILE)
    assert outcome.code == REFUSED
    assert "Other bytes" in outcome.stdout
    assert sha256(disk) in outcome.stdout


@pytest.mark.parametrize("make", [undeployable, edited, None])
@pytest.mark.parametrize("options", [[], ["--exit-zero"]])
def test_what_did_not_pass_is_refused(
    command: Command, image: Image, out: Path, make: Callable[[], Any] | None, options: list[str]
) -> None:
    """Undeployable or indeterminate, whatever `--exit-zero` made of it."""
    path = image((make or generalized)())
    if make is None:
        for table in vhdx.REGION_TABLE_OFFSETS:
            damage.flip(path, table + 4)
    receipt_of(command, out, *options, path)
    outcome = command("verify-receipt", out, path, *PROFILE)
    assert outcome.code == REFUSED
    assert "Not a pass" in outcome.stdout


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ((), "--profile was generalized, wanted azure-generalized"),
        (("--profile", "azure-specialized"), "--profile was generalized"),
        ((*PROFILE, "--generation", "1"), "--generation was left out, wanted 1"),
        ((*PROFILE, "--will-convert"), "--will-convert was left out, wanted given"),
        ((*PROFILE, "--vm-size-nvme"), "--vm-size-nvme was left out, wanted given"),
        ((*PROFILE, "--input-format", "vhdx"), "--input-format was left out, wanted vhdx"),
        ((*PROFILE, "--fail-on", "warning"), "--fail-on was error"),
        ((*PROFILE, "--fail-on", "warning"), "Another policy or other options: "),
        ((*PROFILE, "--ignore", "sysprep-log"), "Another policy: "),
        ((*PROFILE, "--policy-digest", "0" * 64), "Another policy: "),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_another_question_is_refused(
    command: Command, receipt: Path, disk: Path, options: tuple[str, ...], word: str
) -> None:
    """What was asked has to be what `check` would ask here with the same options."""
    outcome = command("verify-receipt", receipt, disk, *options)
    assert outcome.code == REFUSED
    assert word in words(outcome.stdout)


def test_what_is_to_be_converted_is_not_what_is_uploaded(command: Command, disk: Path, out: Path) -> None:
    """A pass with `--will-convert` holds where it is asked for only."""
    receipt_of(command, out, "--will-convert", "--generation", "2", disk)
    assert command("verify-receipt", out, disk, *PROFILE).code == REFUSED
    asked = (*PROFILE, "--will-convert", "--generation", "2")
    assert command("verify-receipt", out, disk, *asked).code == HOLDS


def test_a_format_that_was_forced(command: Command, image: Image, out: Path) -> None:
    """A raw disk under a name that says otherwise passes only where the format is forced."""
    path = image(generalized(), "raw", name="disk.vhd")
    assert command("check", path).code == UNTOLD
    assert receipt_of(command, out, "--input-format", "raw", path)["predicate"]["exit_code"] == 0
    plain = command("verify-receipt", out, path, *PROFILE)
    assert plain.code == REFUSED
    assert "--input-format was raw, wanted left out" in words(plain.stdout)
    assert command("verify-receipt", out, path, *PROFILE, "--input-format", "raw").code == HOLDS


@pytest.mark.parametrize(
    ("name", "code"), [("disk.vhd", REFUSED), ("disk.AVHDX", REFUSED), ("disk.img", HOLDS), ("vhd", REFUSED)]
)
def test_a_name_that_forbids_a_raw_disk(
    command: Command, image: Image, out: Path, name: str, code: int
) -> None:
    """Under some names `check` would not read these bytes as a raw disk."""
    path = image(generalized(), "raw", name="disk.raw")
    receipt_of(command, out, path)
    moved = path.rename(path.with_name(name))
    assert command("check", moved).code == (UNTOLD if code else 0)
    outcome = command("verify-receipt", out, moved, *PROFILE)
    assert outcome.code == code
    assert ("as its name says" in words(outcome.stdout)) == bool(code)


def test_policies(command: Command, disk: Path, tmp_path: Path, out: Path) -> None:
    """Exactly this policy: by its file or its digest, wherever that lies and however it is laid out."""
    mine, same, other = (tmp_path / f"{name}.toml" for name in ("mine", "same", "other"))
    mine.write_text('profile = "generalized"\nignore = ["sysprep-log", "audit-mode"]\n')
    same.write_text('# moved\nignore = ["audit-mode", "sysprep-log"]\nprofile = "generalized"\n')
    other.write_text('profile = "generalized"\nignore = ["sysprep-log"]\n')
    assert command("check", "--profile", "generalized", "--policy", mine, "--receipt", out, disk).code == 0
    digest = json.loads(out.read_text())["predicate"]["policy"]["sha256"]

    def verified(*options: object) -> int:
        return command("verify-receipt", out, disk, *options).code

    assert verified("--policy", mine) == HOLDS
    assert verified("--policy", same) == HOLDS
    assert verified("--policy", other) == REFUSED
    assert verified(*PROFILE) == REFUSED
    assert verified(*PROFILE, "--policy-digest", digest) == HOLDS
    assert verified(*PROFILE, "--policy-digest", digest[::-1]) == REFUSED
    shown = words(command("policy", "show", "--policy", mine).stdout)
    assert digest in shown


def test_a_waiver_is_written_down(command: Command, image: Image, tmp_path: Path, out: Path) -> None:
    """It lets a bad image pass, and the receipt says why."""
    policy = tmp_path / "policy.toml"
    policy.write_text(
        'profile = "generalized"\n'
        + "".join(
            f'[[waiver]]\ncheck = "{check}"\nreason = "a trial"\nuntil = 2999-01-01\n'
            for check in ("image-state", "evidence-agrees", "sysprep-log", "generalization-state")
        )
    )
    path = image(undeployable())
    data = receipt_of(command, out, "--policy", policy, path)
    (said,) = data["predicate"]["images"]
    waived = {each["check"]: each["waiver"] for each in said["checks"] if each["status"] == "waived"}
    accepted = {"reason": "a trial", "image": None, "until": "2999-01-01", "baseline": False}
    assert waived["image-state"] == accepted
    assert (said["verdict"], data["predicate"]["exit_code"]) == ("undeployable", 0)
    outcome = command("verify-receipt", out, path, "--policy", policy)
    assert outcome.code == HOLDS
    assert "Undeployable, accepted by the policy: image-state (a trial)" in words(outcome.stdout)
    assert command("verify-receipt", out, path, *PROFILE).code == REFUSED


def waivers(path: Path, image: str | None = None, until: str = "2999-01-01") -> Path:
    """A policy under which a bad image passes."""
    path.write_text(
        'profile = "generalized"\n'
        + "".join(
            f'[[waiver]]\ncheck = "{check}"\nreason = "a trial"\nuntil = {until}\n'
            + (f'image = "{image}"\n' if image else "")
            for check in ("image-state", "evidence-agrees", "sysprep-log", "generalization-state")
        )
    )
    return path


@pytest.mark.parametrize("by", ["file", "digest"])
def test_a_waiver_stays_with_its_images(
    command: Command, image: Image, tmp_path: Path, out: Path, by: str
) -> None:
    """The bytes are the same, and what accepts them is about another name."""
    policy = waivers(tmp_path / "policy.toml", "*-dev.vhdx")
    path = image(undeployable(), name="disk-dev.vhdx")
    data = receipt_of(command, out, "--policy", policy, path)
    assert data["predicate"]["exit_code"] == 0
    digest = data["predicate"]["policy"]["sha256"]
    options = ["--policy", policy] if by == "file" else [*PROFILE, "--no-policy", "--policy-digest", digest]
    assert command("verify-receipt", out, path, *options).code == HOLDS
    moved = path.rename(path.with_name("disk.vhdx"))
    assert command("check", "--policy", policy, moved).code == 1
    outcome = command("verify-receipt", out, moved, *options)
    assert outcome.code == REFUSED
    assert "accepts image-state" in words(outcome.stdout)


@pytest.mark.parametrize("by", ["file", "digest"])
def test_a_waiver_that_is_over(command: Command, image: Image, tmp_path: Path, out: Path, by: str) -> None:
    """What it accepted is accepted no longer; the receipt is as old as the waiver."""
    path = image(undeployable())
    data = receipt_of(command, out, "--policy", waivers(tmp_path / "then.toml"), path)
    policy = waivers(tmp_path / "now.toml", until="2020-02-02")
    shown = json.loads(command("policy", "show", "--format", "json", "--policy", policy).stdout)
    data["predicate"]["policy"]["sha256"] = digest = shown["policy"]["digest"]
    for check in data["predicate"]["images"][0]["checks"]:
        if check["waiver"]:
            check["waiver"]["until"] = "2020-02-02"
    out.write_text(json.dumps(data))
    options = ["--policy", policy] if by == "file" else [*PROFILE, "--no-policy", "--policy-digest", digest]
    outcome = command("verify-receipt", out, path, *options)
    assert outcome.code == REFUSED
    assert "accepts image-state" in words(outcome.stdout)


@pytest.mark.parametrize("by", ["file", "digest"])
def test_what_a_baseline_accepts(command: Command, image: Image, tmp_path: Path, out: Path, by: str) -> None:
    """It is about no name and has no end."""
    path, baseline = (
        image(generalized().system("Setup", CmdLine="cmd.exe /c tool.cmd")),
        tmp_path / "b.json",
    )
    assert command("check", "--no-policy", "--write-baseline", baseline, path).code == 0
    options = ["--no-policy", "--baseline", baseline]
    data = receipt_of(command, out, *options, path)
    (said,) = data["predicate"]["images"]
    kinds = {each["waiver"]["baseline"] for each in said["checks"] if each["status"] == "waived"}
    assert kinds == {True}
    if by == "digest":
        options = ["--no-policy", "--policy-digest", data["predicate"]["policy"]["sha256"]]
    moved = path.rename(path.with_name("moved.vhdx"))
    assert command("verify-receipt", out, moved, *PROFILE, *options).code == HOLDS


@pytest.mark.parametrize("digest", ["", "0" * 63, "g" * 64, "0" * 65, " " * 64])
def test_a_digest_of_a_policy_that_is_none(command: Command, receipt: Path, disk: Path, digest: str) -> None:
    """An empty variable in a pipeline is not the policy that happens to lie here."""
    outcome = command("verify-receipt", receipt, disk, *PROFILE, "--policy-digest", digest)
    assert (outcome.code, outcome.stdout) == (WRONG, "")
    assert "--policy-digest" in outcome.stderr
    assert "64 hexadecimal digits" in words(outcome.stderr)


def test_a_digest_in_capitals(command: Command, receipt: Path, disk: Path) -> None:
    """Some tools write it so."""
    digest = json.loads(receipt.read_text())["predicate"]["policy"]["sha256"].upper()
    assert command("verify-receipt", receipt, disk, *PROFILE, "--policy-digest", digest).code == HOLDS


# --- what is no receipt ---------------------------------------------------------------------------


def changed(data: Any, *path: str | int, to: object) -> Any:
    """A copy with another value at a place."""
    copy = json.loads(json.dumps(data))
    inner = copy
    for step in path[:-1]:
        inner = inner[step]
    inner[path[-1]] = to
    return copy


def waived_until(day: str | None, **more: object) -> dict[str, Any]:
    """A check of a receipt."""
    waiver = {"reason": "x", "image": None, "until": day, "baseline": False, **more}
    return {"check": "x", "status": "waived", "waiver": waiver}


FORGED: list[tuple[tuple[str | int, ...], object]] = [
    (("_type",), "https://in-toto.io/Statement/v0.1"),
    (("predicateType",), "https://slsa.dev/verification_summary/v1"),
    (("subject",), []),
    (("subject",), {}),
    (("subject", 0, "digest"), {"sha256": "0" * 64}),
    (("subject", 0, "digest"), {"sha512": "0" * 128}),
    (("predicate",), None),
    (("predicate", "exit_code"), False),
    (("predicate", "exit_code"), "0"),
    (("predicate", "exit_code"), 0.0),
    (("predicate", "exit_code"), None),
    (("predicate", "policy"), None),
    (("predicate", "question", "profile"), 1),
    (("predicate", "question", "will_convert"), 0),
    (("predicate", "plugins"), None),
    (("predicate", "plugins"), [{"name": "x"}]),
    (("predicate", "question", "input_format"), False),
    (("predicate", "images", 0, "format"), 1),
    (("predicate", "images", 0, "checks"), None),
    (("predicate", "images", 0, "checks", 0, "status"), None),
    (("predicate", "images", 0, "checks", 0), {"check": "x", "status": "waived", "waiver": None}),
    (("predicate", "images", 0, "checks", 0), waived_until("2999-99-99")),
    (("predicate", "images", 0, "checks", 0), waived_until(None, image="")),
    (("predicate", "images"), []),
    (("predicate", "images", 0, "files"), ["0" * 64]),
    (("predicate", "images", 0, "files"), "0" * 64),
]


@pytest.mark.parametrize(("path", "to"), FORGED, ids=str)
def test_a_forged_receipt(
    command: Command, receipt: Path, disk: Path, path: tuple[str | int, ...], to: object
) -> None:
    """2, with a sentence, and nothing about the image."""
    receipt.write_text(json.dumps(changed(json.loads(receipt.read_text()), *path, to=to)))
    outcome = command("verify-receipt", receipt, disk, *PROFILE)
    assert (outcome.code, outcome.stdout) == (WRONG, "")
    assert "is no receipt: expected" in words(outcome.stderr)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{}",
        b"[]",
        b"null",
        b"\xff\xfe{\x00}\x00",
        b"[" * 200_000,
        b'{"_type": ' + b"9" * 10_000 + b"}",
        b" " * (16 * 2**20 + 1),
    ],
    ids=["empty", "object", "list", "null", "UTF-16", "deep", "number", "long"],
)
def test_what_is_no_receipt(command: Command, disk: Path, tmp_path: Path, content: bytes) -> None:
    """2, with a sentence."""
    path = tmp_path / "receipt.json"
    path.write_bytes(content)
    outcome = command("verify-receipt", path, disk, *PROFILE)
    assert (outcome.code, outcome.stdout) == (WRONG, "")
    assert "is no receipt" in words(outcome.stderr)


def test_a_receipt_that_says_two_things(command: Command, receipt: Path, disk: Path) -> None:
    """Of two equal keys another reader, such as one that verifies a signature, may take the other."""
    text = receipt.read_text()
    receipt.write_text(text.replace('"exit_code": 0', '"exit_code": 1, "exit_code": 0'))
    outcome = command("verify-receipt", receipt, disk, *PROFILE)
    assert (outcome.code, outcome.stdout) == (WRONG, "")


def test_what_a_receipt_says_commands_nothing(command: Command, receipt: Path, disk: Path) -> None:
    """It may be anybody's."""
    data = json.loads(receipt.read_text())
    hostile = "##vso[task.complete result=Succeeded]\n::error::x\x1b[2J" + "A" * 5000
    data["predicate"]["question"]["profile"] = hostile
    data["predicate"]["exit_code"] = 1
    data["predicate"]["images"][0]["verdict"] = hostile
    receipt.write_text(json.dumps(data))
    outcome = command("verify-receipt", receipt, disk, *PROFILE)
    assert outcome.code == REFUSED
    assert not {"##", "\x1b"} & set(outcome.stdout)
    assert "\n::" not in outcome.stdout
    assert "##" not in outcome.stdout
    assert len(outcome.stdout) < 5000


@pytest.mark.parametrize("missing", ["receipt", "image", "pattern"])
def test_files_that_are_not_there(command: Command, receipt: Path, disk: Path, missing: str) -> None:
    """2, as with `check`."""
    path = receipt.with_name("gone") if missing == "receipt" else receipt
    image = {"image": disk.with_name("gone.vhdx"), "pattern": disk.with_name("gone*")}.get(missing, disk)
    outcome = command("verify-receipt", path, image, *PROFILE)
    assert (outcome.code, outcome.stdout) == (WRONG, "")
    assert "Error:" in outcome.stderr


def test_an_image_that_cannot_be_read(command: Command, receipt: Path, disk: Path) -> None:
    """Neither yes nor no: 3."""
    outcome = command("verify-receipt", receipt, disk.parent, *PROFILE)
    assert outcome.code == UNTOLD
    assert outcome.stdout.startswith("UNREADABLE")


def _sample() -> Any:
    digest = "ab" * 32
    return {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"name": "disk.vhd", "digest": {"sha256": digest}}],
        "predicateType": PREDICATE_TYPE,
        "predicate": {
            "tool": {"name": "image-validator", "version": "1.0"},
            "plugins": [{"name": "contoso", "version": "1.0"}],
            "time": "2024-05-14T16:20:00Z",
            "question": {
                "profile": "generalized",
                "generation": None,
                "will_convert": False,
                "nvme": False,
                "input_format": None,
            },
            "fail_on": "error",
            "policy": {"sha256": digest},
            "exit_code": 0,
            "images": [
                {
                    "files": [digest],
                    "format": "vhdx",
                    "verdict": "deployable",
                    "checks": [waived_until("2999-01-01", image="*-dev.vhdx")],
                }
            ],
        },
    }


SAMPLE = json.dumps(_sample()).encode()
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


def places(data: Any) -> list[tuple[str | int, ...]]:
    """The paths of all values in nested objects and lists."""
    pairs = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ()
    return [path for key, value in pairs for path in ((key,), *((key, *rest) for rest in places(value)))]


@given(st.binary(max_size=64) | st.builds(lambda cut: SAMPLE[:cut], st.integers(0, len(SAMPLE) - 1)))
def test_any_bytes_are_no_receipt(data: bytes) -> None:
    """Cut anywhere, or anything at all: a ValueError and nothing else."""
    with pytest.raises(ValueError, match="expected"):
        read(data)


@settings(max_examples=300)
@given(st.sampled_from(places(_sample())), JSON)
def test_any_change_is_read_or_refused(path: tuple[str | int, ...], to: Any) -> None:
    """A value anywhere that is another: what is read has the types that it says, or it is no receipt."""
    try:
        found = read(json.dumps(changed(_sample(), *path, to=to)).encode())
    except ValueError:
        return
    assert type(found) is Receipt
    assert type(found.exit_code) is int
    assert all(len(digest) == 64 for image in found.images for digest in image.files)
    assert {type(each) for each in (found.tool, found.time, found.terms.policy, found.terms.fail_on)} == {str}


# --- progress -------------------------------------------------------------------------------------


def test_lines_of_progress(
    command: Command, receipt: Path, disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On standard error, seldom; none with `--quiet`, none where it is over soon."""
    assert command("verify-receipt", receipt, disk, *PROFILE).stderr == ""
    monkeypatch.setattr("validator.cli.progress._EVERY", 0.0)
    assert "SHA-256: " in command("verify-receipt", receipt, disk, *PROFILE).stderr
    receipt.unlink()
    assert "SHA-256: " in command("check", "--receipt", receipt, disk).stderr
    assert command("verify-receipt", "--quiet", receipt, disk, *PROFILE).stderr == ""
    receipt.unlink()
    assert command("check", "--quiet", "--receipt", receipt, disk).stderr == ""


@pytest.mark.skipif(os.name != "posix", reason="a terminal as POSIX has it")
def test_a_bar_on_a_terminal(command: Command, disk: Path, out: Path) -> None:
    """Only on standard error; what is printed stays what it is."""
    leader, follower = os.openpty()
    arguments = ("check", "--format", "json", "--receipt", out, disk)
    outcome = command.process(*arguments, stderr=follower, env={"TERM": "xterm"})
    os.close(follower)
    shown = b""
    with contextlib.suppress(OSError):  # the end of a terminal
        while piece := os.read(leader, 4096):
            shown += piece
    os.close(leader)
    assert b"SHA-256" in shown
    assert b"100%" in shown
    assert outcome.json["exit_code"] == 0
    assert out.exists()


# --- the documentation ----------------------------------------------------------------------------


def test_the_documented_receipt_is_one() -> None:
    """It obeys the schema, and is read."""
    text = (ROOT / "docs" / "receipts.md").read_text(encoding="utf-8")
    sample = text.partition("```json\n")[2].partition("```")[0]
    SCHEMA.validate(json.loads(sample))
    assert read(sample.encode()).exit_code == 0
    assert PREDICATE_TYPE in text


def test_hashing_is_loaded_for_receipts_only(disk: Path, command: Command) -> None:
    """`check` without one pays nothing for it."""
    script = (
        "import sys; from validator.cli import main\n"
        "try: main()\n"
        "finally: print('validator.receipt' in sys.modules, file=sys.stderr)"
    )
    assert command.process("check", disk, script=script).stderr.split()[-1] == "False"


@pytest.mark.skipif(os.name != "posix", reason="as POSIX has it")
def test_a_path_that_leads_nowhere(command: Command, receipt: Path, tmp_path: Path) -> None:
    """It is an image that cannot be read."""
    loop = tmp_path / "loop.vhdx"
    loop.symlink_to(loop)
    for path in (loop, tmp_path / ("x" * 300)):
        outcome = command("verify-receipt", receipt, path, *PROFILE, watched=False)
        assert outcome.code in (WRONG, UNTOLD)
        assert "failed" not in outcome.stderr
        assert path.name[:20] in outcome.stdout + outcome.stderr
