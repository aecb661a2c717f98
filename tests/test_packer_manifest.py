"""`--packer-manifest`: which images a manifest stands for, and that a bad one is refused in a sentence."""

from __future__ import annotations

import json
import os
import tempfile
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.command import Command, Outcome
from tests.hostile import small_disk
from tests.images import Bitlocker, Blob, Disk, Esp, Fat, Msr, Ntfs, build, copy_of, generalized, undeployable
from tests.images.blocks import changed_sectors
from tests.images.containers import named
from tests.images.damage import overwrite
from tests.images.vhdx import Vhdx, child_of
from tests.test_bad_input import as_nobody, posix

RUN, BEFORE = "4e40bd24-0000-4000-8000-000000000002", "4e40bd24-0000-4000-8000-000000000001"
MiB = 2**20
DATA = Disk((Msr(), Ntfs(files={r"logs\a.txt": b"a"}, label="Data")))
KINDS: Mapping[str, Callable[[], Any]] = {
    "good": generalized,
    "bad": undeployable,
    "data": lambda: DATA,
    "fat data": lambda: Disk((Fat(),), "mbr"),
    "uninitialised": lambda: Disk((Blob(size=8 * MiB),), None),
    "no partition": lambda: Disk((), "gpt", size=8 * MiB),
    "boot": lambda: Disk((Esp(), Msr())),
    "active": lambda: Disk((Ntfs(active=True),), "mbr"),
    "encrypted": lambda: Disk((Msr(), Bitlocker())),
    "emptied": lambda: Disk((Msr(), Blob())),
    "damaged": lambda: Disk((Msr(), Blob(b"\xeb\x52\x90NTFS    "))),
}


def entry(*files: str, name: str = "img", run: str = RUN, builder: str = "hyperv-iso") -> dict[str, Any]:
    """One build of a run, as Packer writes it."""
    return {
        "name": name,
        "builder_type": builder,
        "build_time": 1795375133,
        "files": [{"name": file, "size": 8388608} for file in files],
        "artifact_id": "VM",
        "packer_run_uuid": run,
        "custom_data": None,
    }


class Folder:
    """Packer's working directory."""

    def __init__(self, path: Path, command: Command) -> None:
        self.path = path
        self._command = command

    def put(self, kind: str, name: str, container: str = "vhdx-dynamic") -> Path:
        """A file: an image of a kind, or text."""
        path = self.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if kind in KINDS:
            path.symlink_to(build(KINDS[kind](), container))
        else:
            path.write_text(kind)
        return path

    def manifest(self, *builds: Any, last: Any = RUN, name: str = "packer-manifest.json") -> Path:
        """The manifest with these entries."""
        return self.put(json.dumps({"builds": builds, "last_run_uuid": last}), name)

    def check(self, *options: str, manifest: str = "packer-manifest.json", **env: str) -> Outcome:
        """What the command says of it."""
        return self._command("check", "-f", "json", *options, "--packer-manifest", manifest, env=env)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: Command) -> Folder:
    """The folder that a test runs in."""
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    return Folder(tmp_path / "work", command)


def judged(outcome: Outcome) -> dict[str, str]:
    """The verdicts by path."""
    return {each["path"]: each["verdict"] for each in outcome.json["images"]}


# --- which run and build -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("env", "expected"),
    [
        ({}, ["c.vhdx", "d.vhdx", "e.vhdx"]),
        ({"PACKER_RUN_UUID": RUN}, ["c.vhdx", "d.vhdx", "e.vhdx"]),
        ({"PACKER_RUN_UUID": BEFORE}, ["a.vhdx", "b.vhdx"]),
        ({"PACKER_RUN_UUID": RUN, "PACKER_BUILD_NAME": "other"}, ["d.vhdx"]),
        ({"PACKER_BUILD_NAME": "img"}, ["c.vhdx", "e.vhdx"]),
        (
            {"PACKER_RUN_UUID": RUN, "PACKER_BUILD_NAME": "img", "PACKER_BUILDER_TYPE": "file"},
            ["e.vhdx"],
        ),
        ({"PACKER_RUN_UUID": "", "PACKER_BUILD_NAME": ""}, ["c.vhdx", "d.vhdx", "e.vhdx"]),
    ],
)
def test_this_run_and_build_or_the_last_run(folder: Folder, env: dict[str, str], expected: list[str]) -> None:
    """Runs pile up in a manifest; another run's image is never taken for this one's."""
    for name in "abcde":
        folder.put("good", f"{name}.vhdx")
    folder.manifest(
        entry("a.vhdx", run=BEFORE),
        entry("b.vhdx", name="other", run=BEFORE),
        entry("c.vhdx"),
        entry("d.vhdx", name="other"),
        entry("e.vhdx", builder="file"),
    )
    outcome = folder.check(**env)
    assert (list(judged(outcome)), outcome.code) == (expected, 0)


@pytest.mark.parametrize(
    ("env", "words"),
    [
        ({"PACKER_RUN_UUID": "another"}, "no build of Packer's run another; `manifest` has to stand before"),
        ({"PACKER_RUN_UUID": RUN, "PACKER_BUILD_NAME": "other"}, f"no build “other” of Packer's run {RUN}"),
        ({"PACKER_BUILD_NAME": "other"}, "no build “other” of its last run"),
    ],
)
def test_a_build_that_is_not_there(folder: Folder, env: dict[str, str], words: str) -> None:
    """4, and no other build instead."""
    folder.put("good", "a.vhdx")
    folder.manifest(entry("a.vhdx"))
    outcome = folder.check(**env)
    assert (outcome.code, outcome.json["images"]) == (4, [])
    assert f"nothing to check: packer-manifest.json lists {words}" in outcome.stderr


@pytest.mark.parametrize(
    ("files", "words"),
    [
        (None, "has no files on this machine"),
        ([], "has no files on this machine"),
        ([{"name": "a.box"}, {"name": "vm.vmcx"}], "has no disk image among its files (a.box, vm.vmcx)"),
    ],
    ids=["null", "none", "no disk"],
)
def test_a_build_without_a_disk(folder: Folder, files: Any, words: str) -> None:
    """4: an image in a cloud, an archive; a good image of another build does not hide it."""
    folder.put("PK\x03\x04", "a.box")
    folder.put("good", "b.vhdx")
    cloud = {**entry(name="cloud", builder="amazon-ebs"), "files": files}
    folder.manifest(cloud)
    outcome = folder.check()
    assert (outcome.code, judged(outcome)) == (4, {})
    assert f"nothing to check: packer-manifest.json: build “cloud” (amazon-ebs) {words}" in outcome.stderr
    (folder.path / "packer-manifest.json").unlink()
    folder.manifest(entry("b.vhdx"), cloud)
    outcome = folder.check()
    assert (outcome.code, judged(outcome)) == (4, {"b.vhdx": "deployable"})
    assert folder.check(PACKER_BUILD_NAME="img").code == 0


def test_reports_for_ci_say_that_there_was_nothing_to_check(folder: Folder) -> None:
    """4 is in what a host shows, also where all images of the other builds are good."""
    folder.put("good", "b.vhdx")
    folder.manifest(entry("b.vhdx"), entry(name="cloud"))
    words = "packer-manifest.json: build “cloud” (hyperv-iso) has no files on this machine"
    junit, azure = folder.path.parent / "junit.xml", folder.path.parent / "azure.txt"
    outcome = folder.check("--report", f"junit={junit}", "--report", f"azure-devops={azure}")
    assert outcome.code == 4
    suites = ElementTree.parse(junit).getroot()
    assert [each.get("message") for each in suites.iter("error")] == [words]
    issue = f"##vso[task.logissue type=error;]nothing to check%0A{words}\n"
    assert issue in azure.read_text(encoding="utf-8")
    outcome = folder.check("none*.vhdx", "--report", f"junit={junit}", PACKER_BUILD_NAME="img")
    suites = ElementTree.parse(junit).getroot()
    assert outcome.code == 4
    assert [each.get("message") for each in suites.iter("error")] == ["no image matches none*.vhdx"]


# --- which files ---------------------------------------------------------------------------------


def test_an_export_of_hyperv(folder: Folder) -> None:
    """Every file is listed, with Windows' separators; what is no disk is left alone."""
    for kind, name in (
        ("good", "Virtual Hard Disks/win.vhdx"),
        ("x", "Virtual Machines/1.vmcx"),
        ("good", "Virtual Machines/1.VMGS"),
        ("x", "Virtual Machines/box.xml"),
        ("x", "Virtual Hard Disks/win.vhdx.rct"),
        ("readme", "notes.txt"),
    ):
        folder.put(kind, f"output-win/{name}")
    names = [str(path.relative_to(folder.path)) for path in folder.path.rglob("*") if path.is_file()]
    folder.manifest(entry(*(name.replace("/", "\\") for name in names)))
    outcome = folder.check()
    assert judged(outcome) == {"output-win/Virtual Hard Disks/win.vhdx": "deployable"}
    assert outcome.stderr == (
        "from Packer's manifest, build “img” (hyperv-iso): output-win/Virtual Hard Disks/win.vhdx\n"
    )
    assert folder.check("--quiet").stderr == ""


def test_an_export_that_was_not_collated(folder: Folder) -> None:
    """The disk lies one folder deeper than it is listed; two of its name leave it open."""
    folder.put("bad", "out/win/Virtual Hard Disks/win.vhdx")
    folder.put("good", "win.vhdx")
    folder.manifest(entry(r"out\Virtual Hard Disks\win.vhdx"))
    assert judged(folder.check()) == {"out/win/Virtual Hard Disks/win.vhdx": "undeployable"}
    folder.put("good", "out/copy/win.vhdx")
    outcome = folder.check()
    assert (outcome.code, outcome.stdout) == (2, "")
    assert r"lists out\Virtual Hard Disks\win.vhdx, and there is no such file" in outcome.stderr


def test_a_folder_is_searched(folder: Folder) -> None:
    """As a pattern of `artifice` may list it; links to folders are not followed."""
    folder.put("good", "out/vm/disk.vhdx")
    folder.put("x", "out/vm/vm.vmcx")
    folder.put("bad", "elsewhere/disk.vhdx")
    (folder.path / "out" / "link").symlink_to(folder.path / "elsewhere")
    folder.manifest(entry("out"))
    outcome = folder.check()
    assert judged(outcome) == {"out/vm/disk.vhdx": "deployable"}
    assert "out/link is not judged: it is a link to a folder, which is not followed" in outcome.stderr
    folder.put("good", "elsewhere/vm/disk.vhdx")
    (folder.path / "packer-manifest.json").unlink()
    folder.manifest(entry("out/vm", "out/link/vm"))
    assert judged(folder.check()) == {"out/vm/disk.vhdx": "deployable", "out/link/vm/disk.vhdx": "deployable"}


@pytest.mark.parametrize(
    ("container", "name", "found"),
    [
        ("qcow2", "packer-img", True),
        ("raw", "packer-img", True),
        ("vhdx-dynamic", "disk.bak", True),
        ("raw", "win2022.1", True),
        (MiB * "x", "packer-img", True),
        (MiB * "x", "win-10.0", True),
        (MiB * "x", "win.2024-05-15", True),
        ("x", "win-10.0", False),
        ("x", "SHA256SUMS", False),
        (MiB * "x", "disk.vhdx.sha256", False),
        (MiB * "x", "Autounattend.ISO", False),
        (MiB * "x", "win.tar.gz", False),
        ("vhdx-dynamic", "disk.log", True),
        ("x", "DISK.VHDX", True),
    ],
    ids=lambda value: str(value)[:12],
)
def test_disks_are_known_by_name_or_content(folder: Folder, container: str, name: str, found: bool) -> None:
    """QEMU's builder names its disk without an ending; what should be a disk is judged though it is none."""
    if "x" in (container[0], container[-1]) and container != "vhdx-dynamic":
        folder.put(container, name)
    else:
        folder.put("good", name, container)
    folder.put("good", "good.vhdx")
    folder.manifest(entry("good.vhdx", name))
    outcome = folder.check()
    assert list(judged(outcome)) == (["good.vhdx", name] if found else ["good.vhdx"])
    assert outcome.code == (3 if found and "x" in (container[0], container[-1]) else 0)


def test_a_corrupt_disk_is_not_lost_by_a_dot_in_its_name(folder: Folder) -> None:
    """QEMU's builder takes any name: `.0` is no ending that says what it is not."""
    path = copy_of(build(generalized(), "raw"), folder.path, "win-10.0")
    folder.put("good", "other.vhdx")
    folder.manifest(entry("win-10.0", "other.vhdx"))
    assert judged(folder.check()) == {"win-10.0": "deployable", "other.vhdx": "deployable"}
    for offset in (0, -64 * 1024):
        overwrite(path, offset, bytes(64 * 1024))
    outcome = folder.check()
    assert (outcome.code, judged(outcome)) == (3, {"win-10.0": "indeterminate", "other.vhdx": "deployable"})


def test_a_small_file_that_is_no_disk_is_left_out_with_a_word(folder: Folder) -> None:
    """Where its name does not say that it is none."""
    folder.put("good", "a.vhdx")
    folder.put("x", "SHA256\x1bSUMS")
    folder.put("x", "notes.txt")
    folder.manifest(entry("a.vhdx", "SHA256\x1bSUMS", "notes.txt"))
    outcome = folder.check()
    assert outcome.code == 0
    assert r"SHA256\x1bSUMS is not judged: no disk could be recognised in its 1 bytes" in outcome.stderr
    assert "notes.txt" not in outcome.stderr
    assert folder.check("--quiet").stderr == ""


@posix
@pytest.mark.parametrize("closed", ["out", "out/closed"])
def test_a_folder_that_cannot_be_listed(
    command: Command, monkeypatch: pytest.MonkeyPatch, closed: str
) -> None:
    """2: what lies in it is not known, so that a good disk beside it proves nothing."""
    with tempfile.TemporaryDirectory() as place:
        folder = Folder(Path(place), command)
        folder.path.chmod(0o755)
        monkeypatch.chdir(place)
        copy_of(build(generalized()), folder.path, "good.vhdx")
        (folder.path / "out" / "closed").mkdir(parents=True)
        folder.manifest(entry("good.vhdx", "out"))
        assert folder.check().code == 0  # all modules are loaded
        (folder.path / closed).chmod(0)
        with as_nobody():
            outcome = folder.check()
        (folder.path / closed).chmod(0o755)
        monkeypatch.undo()
    assert (outcome.code, outcome.stdout) == (2, "")
    assert f"the folder {closed} cannot be listed: Permission denied" in outcome.stderr


def test_paths_are_relative_to_the_working_directory_then_to_the_manifest(folder: Folder) -> None:
    """As Packer writes them; a manifest that was taken along with its images is understood as well."""
    folder.put("good", "there/a.vhdx")
    folder.put("bad", "a.vhdx")
    folder.manifest(entry("a.vhdx"), name="there/packer-manifest.json")
    assert judged(folder.check(manifest="there/packer-manifest.json")) == {"a.vhdx": "undeployable"}
    (folder.path / "a.vhdx").unlink()
    outcome = folder.check(manifest="there/packer-manifest.json")
    assert judged(outcome) == {"there/a.vhdx": "deployable"}


def test_a_path_may_lead_anywhere_and_is_said(folder: Folder, tmp_path: Path) -> None:
    """Who names the manifest names its paths; what was opened is on standard error and in the report."""
    (tmp_path / "elsewhere").mkdir()
    outside = copy_of(build(undeployable()), tmp_path / "elsewhere", "a\x1b[31m.vhdx")
    folder.manifest(entry(f"../elsewhere/{outside.name}", str(outside)))
    outcome = folder.check()
    assert list(judged(outcome)) == [f"../elsewhere/{outside.name}", str(outside)]
    assert r"../elsewhere/a\x1b[31m.vhdx" in outcome.stderr
    assert "\x1b" not in outcome.stderr


def test_a_listed_file_that_is_gone(folder: Folder) -> None:
    """2: the command names a file that is missing; a good disk beside it does not hide that."""
    folder.put("good", "a.vhdx")
    folder.manifest(entry("a.vhdx", "b.vhdx"))
    outcome = folder.check()
    assert (outcome.code, outcome.stdout) == (2, "")
    assert "it lists b.vhdx, and there is no such file" in outcome.stderr
    assert "`strip_path`?" in outcome.stderr
    (folder.path / "packer-manifest.json").unlink()
    folder.manifest(entry("a.vhdx", "vm.vmcx"))
    assert folder.check().code == 0


# --- which disk decides --------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["data", "fat data", "uninitialised", "no partition"])
def test_a_data_disk_is_left_out_with_a_word(folder: Folder, kind: str) -> None:
    """The disk with Windows decides, whether good or bad."""
    folder.put("good", "vm.vhdx")
    folder.put(kind, "vm-0.vhdx")
    folder.manifest(entry("vm-0.vhdx", "vm.vhdx"))
    outcome = folder.check()
    assert (outcome.code, judged(outcome)) == (0, {"vm.vhdx": "deployable"})
    assert (
        "vm-0.vhdx is not judged: a data disk without Windows; "
        "the Windows of build “img” (hyperv-iso) is on vm.vhdx\n"
    ) in outcome.stderr
    assert folder.check("--quiet").stderr == ""
    (folder.path / "vm.vhdx").unlink()
    folder.put("bad", "vm.vhdx")
    assert judged(folder.check()) == {"vm.vhdx": "undeployable"}


@pytest.mark.parametrize("kind", ["boot", "active", "encrypted", "emptied", "damaged", "x"])
def test_what_might_hold_windows_is_judged(folder: Folder, kind: str) -> None:
    """A disk to start from, a volume that is encrypted, damaged or was wiped: no green beside it."""
    folder.put("good", "vm.vhdx")
    folder.put(kind, "vm-0.vhdx")
    folder.manifest(entry("vm.vhdx", "vm-0.vhdx"))
    outcome = folder.check()
    verdicts = judged(outcome)
    assert verdicts.pop("vm.vhdx") == "deployable"
    assert (outcome.code, list(verdicts)) == (1 if kind == "encrypted" else 3, ["vm-0.vhdx"])


@pytest.mark.parametrize("container", ["vhdx-dynamic", "vhd-dynamic", "vhd-fixed", "raw", "qcow2"])
def test_a_disk_whose_ends_were_wiped_is_judged(folder: Folder, container: str) -> None:
    """It looks as if it had never been initialised, and holds a Windows all the same."""
    path = folder.path / "whole.raw"
    copy_of(build(undeployable(), "raw"), folder.path, path.name)
    for offset in (0, -64 * 1024):
        overwrite(path, offset, bytes(64 * 1024))
    folder.put("good", "vm.vhdx")
    wiped = folder.path / "vm-0.img"
    named(container).write(path, wiped, 512)
    path.unlink()
    folder.manifest(entry("vm.vhdx", wiped.name))
    outcome = folder.check()
    assert (outcome.code, judged(outcome)) == (3, {"vm.vhdx": "deployable", "vm-0.img": "indeterminate"})


@pytest.mark.parametrize("container", ["vhd-dynamic", "vhd-fixed", "vdi"])
def test_a_disk_that_was_never_initialised_in_any_container(folder: Folder, container: str) -> None:
    """Dynamic: nothing is allocated; else there are zeros wherever something would begin."""
    folder.put("good", "vm.vhdx")
    folder.put("uninitialised", "vm-0.img", container)
    folder.manifest(entry("vm.vhdx", "vm-0.img"))
    outcome = folder.check()
    assert (outcome.code, judged(outcome)) == (0, {"vm.vhdx": "deployable"})


def test_a_data_disk_of_two_builds(folder: Folder) -> None:
    """Left out only where each of them has its own disk with Windows."""
    for kind, name in (("good", "a.vhdx"), ("data", "shared.vhdx")):
        folder.put(kind, name)
    folder.manifest(entry("a.vhdx", "shared.vhdx"), entry("shared.vhdx", name="other"))
    outcome = folder.check()
    assert (outcome.code, judged(outcome)) == (3, {"a.vhdx": "deployable", "shared.vhdx": "indeterminate"})
    assert "shared.vhdx is not judged" not in outcome.stderr
    (folder.path / "packer-manifest.json").unlink()
    folder.manifest(entry("a.vhdx", "shared.vhdx"), entry("shared.vhdx", "a.vhdx", name="other"))
    assert judged(folder.check()) == {"a.vhdx": "deployable"}


def test_parents_that_go_in_circles_are_judged(folder: Folder) -> None:
    """Each is the other's parent; a build never loses all of its disks."""
    base = copy_of(build(small_disk(generalized(), 16 * MiB), Vhdx()), folder.path, "base.vhdx")
    one, two = folder.path / "one.avhdx", folder.path / "two.avhdx"
    child_of(base, one, {})
    child_of(one, two, {})
    one.unlink()
    child_of(two, one, {})
    base.unlink()
    folder.put("good", "good.vhdx")
    folder.manifest(entry("one.avhdx", "two.avhdx"), entry("good.vhdx", name="other"))
    outcome = folder.check()
    assert judged(outcome) == {
        "one.avhdx": "indeterminate",
        "two.avhdx": "indeterminate",
        "good.vhdx": "deployable",
    }
    assert outcome.code == 3


def test_a_child_without_windows_does_not_hide_behind_its_parent(folder: Folder) -> None:
    """The parent's Windows is not that of the disk."""
    windows, data = small_disk(generalized(), 16 * MiB), Disk((Ntfs(label="Data"),), "mbr", size=16 * MiB)
    old, new = (build(each, "raw") for each in (windows, data))
    parent = copy_of(build(windows, Vhdx()), folder.path, "base.vhdx")
    child_of(parent, folder.path / "child.avhdx", changed_sectors(old, new, 4096))
    folder.put("good", "good.vhdx")
    folder.manifest(entry("base.vhdx", "child.avhdx"), entry("good.vhdx", name="other"))
    outcome = folder.check()
    assert (outcome.code, judged(outcome)) == (3, {"child.avhdx": "indeterminate", "good.vhdx": "deployable"})


def test_a_data_disk_alone_is_judged(folder: Folder) -> None:
    """Nothing of the build holds Windows; that another build's does is no help."""
    folder.put("data", "vm-0.vhdx")
    folder.put("good", "other.vhdx")
    folder.manifest(entry("vm-0.vhdx"), entry("other.vhdx", name="other"))
    outcome = folder.check()
    assert judged(outcome) == {"vm-0.vhdx": "indeterminate", "other.vhdx": "deployable"}
    assert outcome.code == 3


def test_several_disks_with_windows_are_all_judged(folder: Folder) -> None:
    """Any of them may be the one that is uploaded."""
    folder.put("good", "a.vhdx")
    folder.put("bad", "b.vhdx")
    folder.manifest(entry("a.vhdx", "b.vhdx"))
    assert judged(folder.check()) == {"a.vhdx": "deployable", "b.vhdx": "undeployable"}


def test_what_is_named_besides_is_judged(folder: Folder) -> None:
    """The manifest adds to the images of the command line and takes none from them."""
    folder.put("good", "vm.vhdx")
    folder.put("data", "vm-0.vhdx")
    folder.put("bad", "other.vhdx")
    folder.manifest(entry("vm.vhdx", "vm-0.vhdx"))
    outcome = folder.check("vm-0.vhdx", "other.vhdx")
    assert judged(outcome) == {
        "vm-0.vhdx": "indeterminate",
        "other.vhdx": "undeployable",
        "vm.vhdx": "deployable",
    }
    assert folder.check("none*.vhdx").code == 4


def test_a_parent_is_judged_with_its_child(folder: Folder) -> None:
    """Listed in one build, they are one disk: the child's. It need not lie in the parent's folder."""
    old, new = (build(small_disk(each, 16 * MiB), "raw") for each in (undeployable(), generalized()))
    parent = folder.path / "out" / "base.vhdx"
    parent.parent.mkdir()
    copy_of(build(small_disk(undeployable(), 16 * MiB), Vhdx()), parent.parent, parent.name)
    (folder.path / "out" / "Snapshots").mkdir()
    child_of(parent, folder.path / "out" / "Snapshots" / "child.avhdx", changed_sectors(old, new, 4096))
    folder.manifest(entry("out/base.vhdx", "out/Snapshots/child.avhdx"))
    outcome = folder.check()
    assert judged(outcome) == {"out/Snapshots/child.avhdx": "deployable"}
    assert "out/base.vhdx is not judged: it is a parent of out/Snapshots/child.avhdx" in outcome.stderr
    # A namesake of the parent is no parent.
    (folder.path / "packer-manifest.json").unlink()
    folder.put("bad", "out/other/base.vhdx")
    folder.manifest(entry("out/base.vhdx", "out/Snapshots/child.avhdx", "out/other/base.vhdx"))
    outcome = folder.check()
    assert judged(outcome)["out/other/base.vhdx"] == "undeployable"
    assert judged(outcome)["out/Snapshots/child.avhdx"] == "deployable"


# --- manifests that cannot be used ---------------------------------------------------------------

GOOD_ENTRY = entry("a.vhdx")
BAD_MANIFESTS: Mapping[str, tuple[Any, str]] = {
    "empty": ("", "not whole JSON"),
    "cut": (json.dumps({"builds": [GOOD_ENTRY], "last_run_uuid": RUN})[:-30], "is it being written"),
    "not JSON": ("builds: []", "not whole JSON"),
    "not UTF-8": (b'{"builds": "\xff"}', "not JSON as Packer writes it"),
    "deep": ("[" * 200_000, "not JSON as Packer writes it"),
    "long number": ('{"builds":' + "1" * 10_000 + "}", ""),
    "too large": (" " * (4 * MiB + 1), "at most 4194304"),
    "list": ([], "the manifest is a list, not an object"),
    "number": (1, "the manifest is a number"),
    "no builds": ({"last_run_uuid": RUN}, "`builds` is null, not a list"),
    "no last run": ({"builds": []}, "`last_run_uuid` is null, not a text"),
    "build of text": ({"builds": ["x"], "last_run_uuid": RUN}, "`builds[0]` is a text, not an object"),
    "no name": (
        {"builds": [{**GOOD_ENTRY, "name": 7}], "last_run_uuid": RUN},
        "`builds[0]`.`name` is a number",
    ),
    "files of text": ({"builds": [{**GOOD_ENTRY, "files": "x"}], "last_run_uuid": RUN}, "`files` is a text"),
    "file of text": ({"builds": [{**GOOD_ENTRY, "files": ["x"]}], "last_run_uuid": RUN}, "[0] is a text"),
    "nameless": ({"builds": [{**GOOD_ENTRY, "files": [{}]}], "last_run_uuid": RUN}, "`name` is null"),
    "empty name": ({"builds": [entry("")], "last_run_uuid": RUN}, "no name of a file: ''"),
    "NUL": ({"builds": [entry("a\0.vhdx")], "last_run_uuid": RUN}, r"no name of a file: 'a\x00.vhdx'"),
    "surrogate": ({"builds": [entry("\ud800.vhdx")], "last_run_uuid": RUN}, "no name of a file"),
    "too long": ({"builds": [entry("x" * 5000 + ".vhdx")], "last_run_uuid": RUN}, "no such file"),
    "network": ({"builds": [entry(r"\\host\share\a.vhdx")], "last_run_uuid": RUN}, "name it as an IMAGE"),
    "device": ({"builds": [entry(r"\\.\PhysicalDrive0")], "last_run_uuid": RUN}, "name it as an IMAGE"),
    **{
        f"network {number}": ({"builds": [entry(name)], "last_run_uuid": RUN}, "name it as an IMAGE")
        for number, name in enumerate(
            (
                r"\/host/share/a.vhdx",
                r"/\host\share\a.vhdx",
                "//host/share/a.vhdx",
                r"\??\UNC\host\share\a.vhdx",
                "/??/UNC/host/share/a.vhdx",
                r"/\?\UNC\host\share\a.vhdx",
                r"\/.\PhysicalDrive0",
            )
        )
    },
    "empty last run": (
        {"builds": [entry("a.vhdx", run="")], "last_run_uuid": ""},
        "`last_run_uuid` is empty",
    ),
    "empty last run of others": ({"builds": [GOOD_ENTRY], "last_run_uuid": ""}, "`last_run_uuid` is empty"),
    "doubled key": (
        json.dumps({"builds": [GOOD_ENTRY], "last_run_uuid": RUN})[:-1] + ', "builds": []}',
        "the key `builds` stands twice in an object",
    ),
    "doubled key of a file": (
        json.dumps({"builds": [GOOD_ENTRY], "last_run_uuid": RUN}).replace(
            '"size"', '"name": "b.vhdx", "size"'
        ),
        "the key `name` stands twice in an object",
    ),
    "too many": ({"builds": [entry(*["a.vhdx"] * 10_001)], "last_run_uuid": RUN}, "lists 10001 files"),
    "control": ({"builds": [entry("\x1b]0;x\x07\n::error::y")], "last_run_uuid": RUN}, r"\x1b]0;x\x07\n"),
}


@pytest.mark.parametrize("name", BAD_MANIFESTS)
def test_a_bad_manifest_is_refused(folder: Folder, name: str) -> None:
    """2, a sentence, and no traceback; nothing of it reaches a terminal or a host as it is."""
    content, words = BAD_MANIFESTS[name]
    data = content if isinstance(content, (str, bytes)) else json.dumps(content)
    (folder.path / "packer-manifest.json").write_bytes(data if isinstance(data, bytes) else data.encode())
    folder.put("good", "a.vhdx")
    outcome = folder.check()
    assert (outcome.code, outcome.stdout) == (2, "")
    assert words in outcome.stderr
    assert "Packer's manifest packer-manifest.json: " in outcome.stderr
    assert not any(ord(each) < 32 and each != "\n" for each in outcome.stderr)
    assert len(outcome.stderr) < 7000


@pytest.mark.parametrize("kind", ["missing", "folder", "FIFO"])
def test_what_is_no_file(folder: Folder, kind: str) -> None:
    """2, at once: nobody waits for a pipe."""
    path = folder.path / "packer-manifest.json"
    if kind == "folder":
        path.mkdir()
    elif kind == "FIFO":
        os.mkfifo(path)
    outcome = folder.check()
    assert (outcome.code, outcome.stdout) == (2, "")
    assert ("no such file" if kind == "missing" else f"found a {kind}") in outcome.stderr


def test_a_report_does_not_land_on_the_manifest_or_on_a_disk(folder: Folder) -> None:
    """Promise 1, for what the manifest names as well."""
    disk = folder.put("good", "a.vhdx")
    manifest = folder.manifest(entry("a.vhdx"))
    before = disk.read_bytes(), manifest.read_bytes()
    for path in (disk, manifest):
        assert folder.check("--report", f"json={path}").code == 2
    assert (disk.read_bytes(), manifest.read_bytes()) == before


def test_images_may_be_left_out_only_with_a_manifest(folder: Folder, command: Command) -> None:
    """Without either there is nothing to ask."""
    outcome = command("check", "--quiet")
    assert outcome.code == 2
    assert "--packer-manifest" in outcome.stderr
