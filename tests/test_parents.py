"""Differencing disks: a child and all it rests on give one disk, or the answer names what is missing.

The parent's identifier decides. Where a parent lies is said by the image, which is hostile: of its paths
only the file name counts, in the folder where the image really lies, and files that the user named.
"""

from __future__ import annotations

import json
import os
import random
import struct
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest

from tests.command import Command
from tests.conftest import Corpus
from tests.hostile import MiB, open_image, open_source, own_map, refuses, small_disk
from tests.images import (
    COMPLETE,
    Disk,
    Ntfs,
    Vhdx,
    build,
    copy_of,
    damage,
    generalized,
    vhd,
    vhdx,
    vhdx_log,
    with_state,
)
from tests.images.blocks import changed_sectors
from tests.images.times import SHUT_DOWN, vhd_time
from validator.disk.container import MappedDisk
from validator.disk.parents import MAX_DEPTH
from validator.evidence import Layer
from validator.source import Budget, FileSource

SIZE = 16 * MiB
BAD, GOOD = with_state(generalized(), COMPLETE), generalized()
VERDICTS = {"good": ("deployable", 0), "bad": ("undeployable", 1)}
EMPTY = 12 * MiB
"""Behind the volume: what lies there decides nothing."""
OTHER = uuid.UUID("0badc0de-0000-4000-8000-00000badc0de")


@dataclass(frozen=True)
class Kind:
    """A format, and a pair of disks: what the parent holds, and what its child makes of it."""

    format: str
    becomes: str
    sector_size: int = 512

    @property
    def suffix(self) -> str:
        """The ending of its files."""
        return f".{self.format}"

    @property
    def grain(self) -> int:
        """How much is written at once: a page, as Windows does."""
        return 4096

    def disk(self, good: bool) -> Disk:
        """A disk that is good or bad."""
        if self.sector_size == 512:
            return small_disk(GOOD if good else BAD, SIZE)
        volume = Ntfs(GOOD if good else BAD, active=True)
        return Disk((volume,), "mbr", sector_size=self.sector_size, size=24 * MiB)

    @property
    def old(self) -> Path:
        """The parent's disk."""
        return build(self.disk(self.becomes == "bad"), "raw")

    @property
    def new(self) -> Path:
        """The child's disk."""
        return build(self.disk(self.becomes == "good"), "raw")

    @cached_property
    def changes(self) -> dict[int, bytes]:
        """What the child writes."""
        return changed_sectors(self.old, self.new, self.grain)

    def parent(self, folder: Path, name: str = "parent") -> Path:
        """A parent's file of its own."""
        container = vhd.DynamicVhd() if self.format == "vhd" else Vhdx()
        built = build(self.disk(self.becomes == "bad"), container)
        return copy_of(built, folder, name + self.suffix)

    def child(
        self, parent: Path, name: str = "child", changes: Mapping[int, bytes] | None = None, **more: Any
    ) -> Path:
        """A child beside its parent, or in ``folder``."""
        folder = more.pop("folder", parent.parent)
        link = self.link(parent, **more.pop("link", {}))
        changes = self.changes if changes is None else changes
        return (vhd if self.format == "vhd" else vhdx).child_of(
            link, folder / (name + self.suffix), changes, **more
        )  # type: ignore[arg-type]

    def link(self, parent: Path, **more: Any) -> vhd.Parent | vhdx.Parent:
        """What a child says of its parent; `identifier` and `paths` mean the same for both formats."""
        identifier, paths = more.pop("identifier", None), more.pop("paths", None)
        if self.format == "vhd":
            if paths is not None:
                more |= {"name": paths[0], "relative": paths[0], "absolute": paths[-1]}
            return vhd.Parent(parent, identifier, **more)
        linkage = None if identifier is None else f"{{{identifier}}}"
        names = None if paths is None else {"relative_path": paths[0], "absolute_win32_path": paths[-1]}
        return vhdx.Parent(parent, linkage, names, **more)

    def identifier(self, path: Path) -> uuid.UUID:
        """What a child would know this file by."""
        if self.format == "vhdx":
            return vhdx.data_write_guid(path)
        return uuid.UUID(bytes=damage.read(path, -vhd.FOOTER_SIZE + 68, 16))


@pytest.fixture(params=["vhd", "vhdx"])
def format(request: pytest.FixtureRequest) -> str:  # noqa: A001 - the word of the design
    """VHD or VHDX."""
    return str(request.param)


@pytest.fixture(params=VERDICTS)
def kind(request: pytest.FixtureRequest, format: str) -> Kind:  # noqa: A002
    """Each format, both ways: the child makes a bad Windows good, or a good one bad."""
    return Kind(format, str(request.param))


@pytest.fixture
def good(format: str) -> Kind:  # noqa: A002
    """Each format; the child makes a bad Windows good."""
    return Kind(format, "good")


def expect_disk(image: Path, raw: Path | bytes, *parents: Path) -> None:
    """Both readers give the disk that is in a raw file."""
    data = raw if isinstance(raw, bytes) else raw.read_bytes()
    with open_image_with(image, parents) as disk:
        assert disk.size == len(data)
        for at in range(0, disk.size, MiB):
            length = min(MiB, disk.size - at)
            assert disk.read_at(at, length) == data[at : at + length], f"the disk differs behind {at:#x}"


def open_image_with(image: Path, parents: Sequence[Path]) -> Any:
    """`open_image` with files that the user named."""
    from contextlib import contextmanager

    from validator.disk.formats import open_disk
    from validator.source import Files

    @contextmanager
    def opened() -> Any:
        with Files(Budget(seconds=600, max_bytes=1 << 40)) as files:
            yield open_disk(files.open(str(image)), files, None, tuple(map(str, parents)))

    return opened()


def container_of(judged: Mapping[str, Any]) -> dict[str, Any]:
    """The layer of the container."""
    (layer,) = [layer for layer in judged["layers"] if layer["kind"] == "container"]
    return dict(layer)


def expect_missing(command: Command, image: Path, *options: str) -> str:
    """Indeterminate for want of a parent; what the container's layer says."""
    judged = command.judge(image, *options)
    assert judged.answer == ("indeterminate", 3), judged["summary"]
    layer = container_of(judged)
    assert layer["state"] == "damaged"
    text = " ".join(command("check", *options, image).stdout.split())
    assert "parent" in text
    return str(layer["detail"])


# --- chains --------------------------------------------------------------------------------------


def chain(kind: Kind, folder: Path, depth: int) -> tuple[Path, bytes]:
    """A chain of so many children, and its disk: the first writes the Windows, each a page of its own."""
    path = kind.parent(folder)
    data = bytearray(kind.new.read_bytes())
    for number in range(1, depth + 1):
        page = EMPTY + number % 200 * 4096
        mine = {page: bytes([number]) * 4096}
        path = kind.child(path, f"child{number}", {**(kind.changes if number == 1 else {}), **mine})
        data[page : page + 4096] = mine[page]
    return path, bytes(data)


@pytest.mark.parametrize("depth", [1, 2, 5])
def test_a_chain_is_one_disk(command: Command, kind: Kind, depth: int, tmp_path: Path) -> None:
    """The verdict is that of the whole, and the report names all it rests on, the nearest first."""
    image, data = chain(kind, tmp_path, depth)
    judged = command.judge(image)
    assert judged.answer == VERDICTS[kind.becomes], judged["summary"]
    names = [f"child{number}{kind.suffix}" for number in range(depth - 1, 0, -1)] + [f"parent{kind.suffix}"]
    assert container_of(judged)["state"] == "intact"
    assert judged["facts"]["container"]["parents"] == names
    assert judged["facts"]["container"]["subformat"] == "differencing"
    assert container_of(judged)["detail"].endswith(f"over {', '.join(names)}")
    assert judged.finding("parent-unchanged")["status"] == "passed"
    assert judged["facts"]["io"]["files"] == depth + 1
    expect_disk(image, data)


def test_the_parent_alone_has_the_other_verdict(command: Command, kind: Kind, tmp_path: Path) -> None:
    """The pair proves something."""
    other = {"good": "bad", "bad": "good"}[kind.becomes]
    judged = command.judge(kind.parent(tmp_path))
    assert judged.answer == VERDICTS[other]
    assert judged.finding("parent-unchanged")["status"] == "not applicable"


def test_the_longest_chain(command: Command, good: Kind, tmp_path: Path) -> None:
    """64 parents are read, within the time for one image."""
    image, data = chain(good, tmp_path, MAX_DEPTH)
    judged = command.judge(image)
    assert judged.answer == ("deployable", 0), judged["summary"]
    assert len(judged["facts"]["container"]["parents"]) == MAX_DEPTH == 64
    assert judged["duration_ms"] < 5_000
    expect_disk(image, data)


def test_a_chain_that_is_too_long(command: Command, good: Kind, tmp_path: Path) -> None:
    """65 parents are not."""
    image, _ = chain(good, tmp_path, MAX_DEPTH + 1)
    assert "expected a chain of at most 64 parents, found a longer one" in expect_missing(command, image)


def test_a_chain_that_closes(command: Command, good: Kind, tmp_path: Path) -> None:
    """Two disks that name each other, and one that names its own copy."""
    parent = good.parent(tmp_path)
    one = good.child(parent, "one")
    two = good.child(one, "two", {})
    good.child(two, "one")  # its identifier follows from its name
    assert f"one that comes back to {good.identifier(two)}" in expect_missing(command, two)
    own = good.child(parent, "own")
    good.child(own, "own", link={"identifier": good.identifier(own)})
    copy_of(own, tmp_path, "own2" + good.suffix)
    assert f"comes back to {good.identifier(own)}" in expect_missing(command, own)


def test_fixed_disks_are_parents_too(command: Command, kind: Kind, tmp_path: Path) -> None:
    """A child may rest on a disk of any kind of its format."""
    container = vhd.FixedVhd() if kind.format == "vhd" else Vhdx(fixed=True, order="shuffled")
    parent = copy_of(build(kind.disk(kind.becomes == "bad"), container), tmp_path, f"parent{kind.suffix}")
    image = kind.child(parent)
    assert command.judge(image).answer == VERDICTS[kind.becomes]
    expect_disk(image, kind.new)


@pytest.mark.parametrize("becomes", VERDICTS)
def test_sectors_of_4096_bytes(command: Command, becomes: str, tmp_path: Path) -> None:
    """A bit of the bitmap is a sector of the disk's own size."""
    kind = Kind("vhdx", becomes, 4096)
    image = kind.child(kind.parent(tmp_path))
    judged = command.judge(image)
    assert judged.answer == VERDICTS[becomes], judged["summary"]
    assert judged["facts"]["container"]["logical_sector_size"] == 4096
    expect_disk(image, kind.new)


# --- which file is the parent --------------------------------------------------------------------


def test_a_missing_parent(command: Command, kind: Kind, tmp_path: Path) -> None:
    """It is named, by file and identifier, with what to do."""
    parent = kind.parent(tmp_path)
    image, identifier = kind.child(parent), kind.identifier(parent)
    parent.unlink()
    detail = expect_missing(command, image)
    assert f"the parent disk “parent{kind.suffix}” with identifier {identifier}" in detail
    assert "no such file beside the image; name it with --parent FILE" in detail
    assert "checkpoint" not in detail


def test_a_missing_grandparent(command: Command, good: Kind, tmp_path: Path) -> None:
    """The link that is missing is named, not the first one."""
    image, _ = chain(good, tmp_path, 3)
    (tmp_path / f"parent{good.suffix}").unlink()
    assert f"the parent disk “parent{good.suffix}”" in expect_missing(command, image)


def test_another_disk_under_the_parents_name(command: Command, kind: Kind, tmp_path: Path) -> None:
    """The identifier decides, and both are named."""
    parent = kind.parent(tmp_path)
    image = kind.child(parent, link={"identifier": OTHER})
    detail = expect_missing(command, image)
    assert f"with identifier {OTHER}" in detail
    assert f"parent{kind.suffix} is {kind.identifier(parent)}" in detail


def test_a_damaged_file_under_the_parents_name(command: Command, good: Kind, tmp_path: Path) -> None:
    """Why it is none is said; so is that of an empty file, which is not read as a disk."""
    parent = good.parent(tmp_path)
    image = good.child(parent)
    parent.write_bytes(b"")
    assert f"parent{good.suffix} cannot be read" in expect_missing(command, image)
    parent.write_bytes(b"x" * 2 * MiB)
    assert f"parent{good.suffix} cannot be read" in expect_missing(command, image)


def test_a_parent_elsewhere(command: Command, kind: Kind, tmp_path: Path) -> None:
    """`--parent FILE` names it, whatever it is called; without, the image stays undecided."""
    here, there = tmp_path / "here", tmp_path / "there"
    here.mkdir()
    there.mkdir()
    parent = kind.parent(there, "golden")
    image = kind.child(parent, folder=here)
    assert f"“golden{kind.suffix}”" in expect_missing(command, image)
    renamed = parent.rename(there / "renamed.bin")
    judged = command.judge(image, "--parent", str(renamed))
    assert judged.answer == VERDICTS[kind.becomes]
    assert judged["facts"]["container"]["parents"] == ["renamed.bin"]
    expect_disk(image, kind.new, renamed)
    text = command("inspect", "--parent", str(renamed), image).stdout
    assert f"intact: differencing {kind.format.upper()} over renamed.bin" in " ".join(text.split())


def test_several_parents_are_named(command: Command, good: Kind, tmp_path: Path) -> None:
    """In any order, with some that are of no use; each finds its place by its identifier."""
    folders = [tmp_path / name for name in "abcd"]
    for folder in folders:
        folder.mkdir()
    parent = good.parent(folders[0])
    middle = good.child(parent, "middle", folder=folders[1])
    image = good.child(middle, "image", {}, folder=folders[2])
    useless = good.parent(folders[3], "useless")
    damage.flip(useless, 0)
    options = [text for path in (useless, parent, middle) for text in ("--parent", str(path))]
    assert command.judge(image, *options).answer == ("deployable", 0)
    assert "“parent" in expect_missing(command, image, "--parent", str(middle))
    assert "“middle" in expect_missing(command, image, "--parent", str(parent))


def test_the_named_one_goes_first(command: Command, good: Kind, tmp_path: Path) -> None:
    """A named parent is taken although one of the same identifier lies beside the image."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    parent = good.parent(tmp_path)
    image = good.child(parent)
    named = copy_of(parent, elsewhere, f"named{good.suffix}")
    judged = command.judge(image, "--parent", str(named))
    assert judged["facts"]["container"]["parents"] == [named.name]


def test_a_parent_that_does_not_exist_is_a_wrong_command(
    command: Command, good: Kind, tmp_path: Path
) -> None:
    """`--parent` takes files."""
    image = good.child(good.parent(tmp_path))
    outcome = command("check", "--parent", tmp_path / "nowhere", image)
    assert (outcome.code, outcome.stdout) == (2, "")
    assert "nowhere" in outcome.stderr


def test_a_parent_that_was_renamed_is_found_beside_the_image(
    command: Command, kind: Kind, tmp_path: Path
) -> None:
    """Its identifier tells it from all other disks of the folder."""
    parent = kind.parent(tmp_path)
    image = kind.child(parent)
    parent.rename(tmp_path / f"zz{kind.suffix}")
    decoy = kind.parent(tmp_path, f"aa{kind.suffix}"[:-5] + "a")
    if kind.format == "vhd":
        footer = vhd.footer(SIZE, vhd.DYNAMIC, vhd.DYNAMIC_HEADER_OFFSET, OTHER)
        damage.overwrite(decoy, 0, footer)
        damage.overwrite(decoy, -vhd.FOOTER_SIZE, footer)
    else:
        for index, at in enumerate(vhdx.HEADER_OFFSETS):
            damage.overwrite(decoy, at, vhdx.header(index + 1, OTHER))
    judged = command.judge(image)
    assert judged.answer == VERDICTS[kind.becomes], judged["summary"]
    assert judged["facts"]["container"]["parents"] == [f"zz{kind.suffix}"]


def test_an_image_behind_a_link(command: Command, good: Kind, tmp_path: Path) -> None:
    """Its folder is where it really lies, not where the link does."""
    real, other = tmp_path / "real", tmp_path / "other"
    real.mkdir()
    other.mkdir()
    image = good.child(good.parent(real))
    link = other / image.name
    link.symlink_to(image)
    assert command.judge(link).answer == ("deployable", 0)
    (real / f"parent{good.suffix}").rename(other / f"parent{good.suffix}")
    assert "name it with --parent" in expect_missing(command, link)


@pytest.mark.parametrize("becomes", VERDICTS)
@pytest.mark.parametrize("extension", ["avhd", "avhdx"])
def test_checkpoints(command: Command, extension: str, becomes: str, tmp_path: Path) -> None:
    """What Hyper-V calls .avhd and .avhdx is read; without its parent the way to merge it is told."""
    kind = Kind(extension[1:], becomes)
    parent = kind.parent(tmp_path)
    image = kind.child(parent).rename(tmp_path / f"disk_0badc0de.{extension}")
    assert command.judge(image).answer == VERDICTS[becomes]
    parent.unlink()
    detail = expect_missing(command, image)
    assert "a checkpoint of Hyper-V: merge it (Merge-VHD) or export the machine" in detail


# --- what the image names is not opened ----------------------------------------------------------

WATCHED = """
import json, os, sys
events = []
def watch(event, args):
    if event in ("open", "os.listdir", "os.scandir") and isinstance(args[0], (str, bytes)):
        events.append([event, os.fsdecode(args[0])])
sys.addaudithook(watch)
from validator.validation import validate
answers = []
for path in sys.argv[1:]:
    events.clear()
    verdict = validate(path, "generalized").verdict.value
    answers.append([path, verdict, list(events)])
print(json.dumps(answers))
"""


def paths_to(secret: Path, outside: Path) -> dict[str, str]:
    """Ways to name a file outside of the image's folder."""
    name = secret.name
    return {
        "parent folder": rf"..\secret\{name}",
        "parent folder, slashes": f"../secret/{name}",
        "absolute": str(secret),
        "absolute with backslashes": str(secret).replace("/", "\\"),
        "absolute on a drive": "C:" + str(secret).replace("/", "\\"),
        "absolute without its first slash": str(secret)[1:],
        "a share": rf"\\server\share\{name}",
        "a device": rf"\\?\GLOBALROOT\Device\HarddiskVolume1\{name}",
        "a folder below": rf".\below\{name}",
        "a NUL inside": f"..\\secret\\{name}\0.txt",
        "only dots": "..",
        "nothing": "",
        "a device of the system": "/dev/zero",
        "a process's file": "/proc/self/mem",
        "a link": f"link{secret.suffix}",
        "a link's folder": rf"linked\{name}",
        "a FIFO": f"fifo{secret.suffix}",
        "a folder": f"folder{secret.suffix}",
        "itself": f"child{secret.suffix}",
        "a very long name": "x" * 200 + secret.suffix,
    }


def test_no_path_that_the_image_names_is_opened(command: Command, good: Kind, tmp_path: Path) -> None:
    """Besides the image only what lies in its own folder is opened, links out of it are not.

    The file outside is the true parent, identifier and all: whoever opens it would answer `deployable`.
    """
    secret, below = tmp_path / "secret", "below"
    secret.mkdir()
    parent = good.parent(secret, "x")
    images = {}
    for number, (what, path) in enumerate(paths_to(parent, tmp_path).items()):
        folder = tmp_path / f"image{number}"
        (folder / below).mkdir(parents=True)
        copy_of(parent, folder / below)
        (folder / f"link{good.suffix}").symlink_to(parent)
        (folder / "linked").symlink_to(secret)
        (folder / f"folder{good.suffix}").mkdir()
        os.mkfifo(folder / f"fifo{good.suffix}")
        image = good.child(parent, folder=folder, link={"paths": [path, path]})
        images[str(image)] = what
    outcome = command.process(*images, script=WATCHED)
    assert outcome.code == 0, outcome.stderr
    answers = outcome.json
    assert len(answers) == len(images)
    for image, verdict, events in answers:
        what = images[image]
        touched = [name for _, name in events if name.startswith((str(tmp_path), "/dev", "/proc"))]
        assert touched.count(image) == 1, what
        assert set(touched) <= {image, os.path.dirname(image)}, what
        assert verdict == "indeterminate", what


@pytest.mark.parametrize("path", [r"..\secret\x", "/etc/x", r"C:\Images\x", r"\\server\share\x", "x"])
def test_of_a_path_the_file_name_counts(command: Command, good: Kind, path: str, tmp_path: Path) -> None:
    """A file of the same name beside the image is the parent, if its identifier is right."""
    parent = good.parent(tmp_path, "x")
    image = good.child(parent, link={"paths": [path + good.suffix, path + good.suffix]})
    assert command.judge(image).answer == ("deployable", 0)


def test_a_link_beside_the_image_is_followed_when_the_user_names_it(
    command: Command, good: Kind, tmp_path: Path
) -> None:
    """A link out of the folder is not followed by itself; within the folder it leads nowhere new."""
    here, there = tmp_path / "here", tmp_path / "there"
    here.mkdir()
    there.mkdir()
    parent = good.parent(there)
    image = good.child(parent, folder=here)
    link = here / parent.name
    link.symlink_to(parent)
    expect_missing(command, image)
    assert command.judge(image, "--parent", str(link)).answer == ("deployable", 0)
    link.unlink()
    copy_of(parent, here, "kept.bin")
    link.symlink_to("kept.bin")
    assert command.judge(image).answer == ("deployable", 0)


def test_names_from_the_image_are_escaped(command: Command, good: Kind, tmp_path: Path) -> None:
    """The parent's name in a report is the image's word: no escape sequence gets out."""
    parent = good.parent(tmp_path)
    name = "\x1b[2Jevil\r\n::error::\u202e" + good.suffix
    image = good.child(parent, link={"paths": [name, name], "identifier": OTHER})
    outcome = command("check", image)
    assert outcome.code == 3
    assert not {"\x1b", "\r", "\u202e"} & set(outcome.stdout)
    assert not [line for line in outcome.stdout.splitlines() if line.lstrip().startswith("::")]


# --- what a child says ---------------------------------------------------------------------------


@pytest.mark.parametrize("becomes", VERDICTS)
def test_a_parent_of_another_time(command: Command, becomes: str, tmp_path: Path) -> None:
    """VHD: the child keeps the time stamp of its parent's footer; another one is a warning."""
    kind = Kind("vhd", becomes)
    parent = kind.parent(tmp_path)
    then = vhd_time(SHUT_DOWN) - 3600
    image = kind.child(parent, link={"time": then})
    judged = command.judge(image)
    finding = judged.finding("parent-unchanged")
    assert judged.answer == VERDICTS[becomes]
    assert (finding["status"], finding["severity"]) == ("failed", "warning")
    assert str(vhd_time(SHUT_DOWN)) in finding["evidence"][0]["found"]
    assert str(then) in finding["evidence"][0]["expected"]
    assert command.judge(image, "--fail-on", "warning").code == 1
    expect_disk(image, kind.new)


def test_the_time_of_a_grandparent_counts_too(command: Command, tmp_path: Path) -> None:
    """Every link of the chain is compared."""
    kind = Kind("vhd", "good")
    middle = kind.child(kind.parent(tmp_path), "middle", link={"time": 1})
    image = kind.child(middle, "image", {})
    assert command.judge(image).finding("parent-unchanged")["status"] == "failed"


def test_a_modification_time_is_no_evidence(command: Command, kind: Kind, tmp_path: Path) -> None:
    """Copying a file changes it."""
    parent = kind.parent(tmp_path)
    image = kind.child(parent)
    os.utime(parent, (1, 1))
    assert command.judge(image).finding("parent-unchanged")["status"] == "passed"


@pytest.mark.parametrize("missing", ["relative", "absolute", "name", "all"])
def test_vhd_names_in_one_place_only(command: Command, missing: str, tmp_path: Path) -> None:
    """Locator W2ru, locator W2ku or the header's Unicode name: any of them will do, or the folder."""
    kind = Kind("vhd", "good")
    parent = kind.parent(tmp_path)
    everything = {"relative": "", "absolute": "", "name": ""}
    link = everything if missing == "all" else {missing: ""}
    assert command.judge(kind.child(parent, link=link)).answer == ("deployable", 0)


LINKAGES = {
    "parent_linkage": lambda guid: {"parent_linkage": f"{{{guid}}}"},
    "in upper case": lambda guid: {"parent_linkage": f"{{{guid}}}".upper()},
    "parent_linkage2": lambda guid: {"parent_linkage": f"{{{OTHER}}}", "parent_linkage2": f"{{{guid}}}"},
}
NO_LINKAGES = {
    "none": lambda guid: {"relative_path": "parent.vhdx"},
    "empty": lambda guid: {"parent_linkage": ""},
    "no GUID": lambda guid: {"parent_linkage": "parent.vhdx"},
    "another": lambda guid: {"parent_linkage": f"{{{OTHER}}}"},
    "another key": lambda guid: {"Parent_Linkage": f"{{{guid}}}"},
}


def with_locator(path: Path, locator: bytes) -> Path:
    """Another parent locator in a child of the factory: behind all items."""
    offset = vhdx.Layout.read(path).metadata_item_offset(path, vhdx.PARENT_LOCATOR)
    damage.overwrite(path, offset, locator)
    table = damage.read(path, vhdx.METADATA_OFFSET, 4096)
    at = table.index(vhdx.PARENT_LOCATOR.bytes_le)
    damage.overwrite(path, vhdx.METADATA_OFFSET + at + 20, struct.pack("<I", len(locator)))
    return path


@pytest.mark.parametrize("name", LINKAGES)
def test_vhdx_linkages(command: Command, name: str, tmp_path: Path) -> None:
    """[MS-VHDX] 2.6.2.6.3: either of two linkages is the parent's data write GUID."""
    kind = Kind("vhdx", "good")
    parent = kind.parent(tmp_path)
    entries = LINKAGES[name](kind.identifier(parent))
    image = with_locator(kind.child(parent), vhdx.parent_locator({**entries, "relative_path": parent.name}))
    assert command.judge(image).answer == ("deployable", 0)


@pytest.mark.parametrize("name", NO_LINKAGES)
def test_vhdx_without_a_linkage(command: Command, name: str, tmp_path: Path) -> None:
    """Without an identifier no file can prove that it is the parent."""
    kind = Kind("vhdx", "good")
    parent = kind.parent(tmp_path)
    entries = NO_LINKAGES[name](kind.identifier(parent))
    image = with_locator(kind.child(parent), vhdx.parent_locator(entries))
    assert "identifier" in expect_missing(command, image)


LOCATORS: dict[str, bytes] = {
    "another type": vhdx.parent_locator({"parent_linkage": f"{{{OTHER}}}"}, OTHER),
    "too short": vhdx.VHDX_LOCATOR.bytes_le + b"\0\0",
    "empty": b"",
    "entries outside": struct.pack("<16sHH", vhdx.VHDX_LOCATOR.bytes_le, 0, 65535),
    "a key outside": struct.pack("<16sHHIIHH", vhdx.VHDX_LOCATOR.bytes_le, 0, 1, 1 << 30, 20, 28, 4),
    "a value outside": struct.pack("<16sHHIIHH", vhdx.VHDX_LOCATOR.bytes_le, 0, 1, 20, 30, 4, 65535),
}


@pytest.mark.parametrize("name", LOCATORS)
def test_vhdx_locators_that_are_damage(command: Command, name: str, tmp_path: Path) -> None:
    """Everything in it lies inside of it."""
    kind = Kind("vhdx", "good")
    image = with_locator(kind.child(kind.parent(tmp_path)), LOCATORS[name])
    judged = command.judge(image)
    assert judged.answer == ("indeterminate", 3)
    assert container_of(judged)["state"] == "damaged"


# --- what is recovered ---------------------------------------------------------------------------


@pytest.mark.parametrize("becomes", VERDICTS)
@pytest.mark.parametrize("which", ["parent", "child"])
def test_a_pending_log_in_the_chain(command: Command, which: str, becomes: str, tmp_path: Path) -> None:
    """A parent, or the child, was not closed cleanly: its log is replayed, and the report says so."""
    kind = Kind("vhdx", becomes)
    if which == "parent":
        parent = copy_of(build(kind.disk(kind.becomes == "bad"), Vhdx()), tmp_path, "parent.vhdx")
        new = build(kind.disk(kind.becomes == "good"), Vhdx())
        image = kind.child(parent, changes={EMPTY: b"\x07" * 4096})
        vhdx_log.pend(parent, new, 2)
    else:
        image = kind.child(kind.parent(tmp_path), changes={**kind.changes, EMPTY: b"\x07" * 4096})
        whole = copy_of(image, tmp_path, "whole.bin")
        layout = vhdx.Layout.read(image)
        damage.overwrite(image, layout.bat_offset, bytes(4096))
        vhdx_log.pend(image, whole)
    judged = command.judge(image)
    assert judged.answer == VERDICTS[becomes], judged["summary"]
    assert container_of(judged)["state"] == "recovered"
    assert "were replayed in memory" in container_of(judged)["detail"]
    data = bytearray(kind.new.read_bytes())
    data[EMPTY : EMPTY + 4096] = b"\x07" * 4096
    expect_disk(image, bytes(data))


def test_a_parent_with_a_torn_footer(command: Command, tmp_path: Path) -> None:
    """Its copy at the front has the identifier; the layer of the chain is recovered."""
    kind = Kind("vhd", "good")
    parent = kind.parent(tmp_path)
    image = kind.child(parent)
    damage.flip(parent, -100)
    judged = command.judge(image)
    assert judged.answer == ("deployable", 0)
    assert container_of(judged)["state"] == "recovered"


# --- bytes ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [SIZE - 4096, 9 * MiB, SIZE + 4096, 40 * MiB])
def test_a_child_of_another_size(command: Command, good: Kind, size: int, tmp_path: Path) -> None:
    """A child that was resized: behind the parent's end it is zero, behind its own end there is nothing."""
    image = good.child(good.parent(tmp_path), size=size)
    assert command.judge(image).answer == ("deployable", 0)
    expect_disk(image, good.new.read_bytes()[:size].ljust(size, b"\0"))


def test_sectors_of_one_byte_of_the_bitmap(command: Command, good: Kind, tmp_path: Path) -> None:
    """One bit is one sector: those around it are the parent's, whatever the byte says."""
    image = good.child(good.parent(tmp_path), changes=changed_sectors(good.old, good.new, 512))
    expect_own_map(image, [good.parent(tmp_path)], good.new.read_bytes())
    assert command.judge(image).answer == ("deployable", 0)
    expect_disk(image, good.new)


def expect_own_map(image: Path, parents: Sequence[Path], data: bytes) -> None:
    """Our block map alone gives these bytes."""
    disk, close = mapped(image, *parents)
    assert disk.read_at(0, disk.size) == data
    close()


def mapped(image: Path, *parents: Path) -> tuple[MappedDisk, Any]:
    """Our block map of a chain, and how to close it."""
    sources = [FileSource(path, Budget(seconds=600, max_bytes=1 << 40)) for path in (image, *parents)]
    disks: list[MappedDisk] = [own_map(source) for source in sources]
    for child, parent in zip(disks, disks[1:]):
        child.set_parent(parent)

    def close() -> None:
        for source in sources:
            source.close()

    return disks[0], close


def by_libvhdi(image: Path, *parents: Path) -> Any:
    """The same chain in the hands of another reader."""
    import pyvhdi

    handles = []
    for path in (image, *parents):
        handle = pyvhdi.file()
        handle.open(str(path))
        handles.append(handle)
    for child, parent in zip(handles, handles[1:]):
        child.set_parent(parent)
    return handles


def in_blocks(handle: Any, offset: int, length: int, block: int = MiB // 2) -> bytes:
    """What libvhdi reads, asked for block by block."""
    ends = [*range((offset // block + 1) * block, offset + length, block), offset + length]
    starts = [offset, *ends[:-1]]
    return b"".join(handle.read_buffer_at_offset(end - start, start) for start, end in zip(starts, ends))


SHAPES = {
    "vhd-512": ("vhd", 512, 512),
    "vhd-pages": ("vhd", 512, 4096),
    "vhdx-512": ("vhdx", 512, 512),
    "vhdx-4096": ("vhdx", 4096, 4096),
}


@pytest.mark.parametrize("shape", SHAPES)
def test_random_sectors(shape: str, tmp_path: Path) -> None:
    """Three layers, each with random sectors; 300 random reads by our map and by libvhdi against a model.

    libvhdi reads wrong what shares a byte of a VHD's bitmap, and reads that cross its smaller blocks: there
    only our map is asked, and libvhdi in pieces.
    """
    kind, sector, grain = SHAPES[shape]
    rng = random.Random(shape)
    size = 9 * MiB + 3 * grain
    model = bytearray(rng.randbytes(size))
    raw = tmp_path / "parent.raw"
    raw.write_bytes(model)
    paths = [tmp_path / f"parent.{kind}"]
    (vhd.DynamicVhd() if kind == "vhd" else Vhdx()).write(raw, paths[0], sector)
    for number in range(2):
        changes: dict[int, bytes] = {}
        for _ in range(400):
            at = rng.randrange(size // grain) * grain
            count = rng.choice((1, 1, 2, 9)) * grain
            for offset in range(at, min(at + count, size // sector * sector), sector):
                changes[offset] = rng.choice((bytes(sector), rng.randbytes(sector)))
        if kind == "vhd":
            child = vhd.child_of(paths[0], tmp_path / f"child{number}.vhd", changes, block_size=MiB // 2)
        else:
            child = vhdx.child_of(paths[0], tmp_path / f"child{number}.vhdx", changes)
        for offset, data in changes.items():
            model[offset : offset + sector] = data
        paths.insert(0, child)
    disk, close = mapped(*paths)
    handles = by_libvhdi(*paths) if grain == 4096 or kind == "vhdx" else None
    for _ in range(300):
        offset = rng.randrange(size)
        length = min(size - offset, rng.choice((1, 100, sector, 4096, 70_000, 3 * MiB)))
        assert disk.read_at(offset, length) == model[offset : offset + length], (offset, length)
        if handles:
            assert in_blocks(handles[0], offset, length) == model[offset : offset + length]
    assert disk.read_at(0, size) == model
    close()


@pytest.mark.parametrize("shape", SHAPES)
def test_every_byte_is_read_twice(shape: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Whatever layer a sector comes from, a second reader is asked for it there, and a difference is seen."""
    from validator.disk.witness import WitnessedDisk

    kind, sector, grain = SHAPES[shape]
    size = 4 * MiB
    raw = tmp_path / "raw"
    raw.write_bytes(random.Random(shape).randbytes(size))
    parent = tmp_path / f"parent.{kind}"
    (vhd.FixedVhd() if kind == "vhd" else Vhdx(fixed=True)).write(raw, parent, sector)
    changes = dict.fromkeys(range(0, size, 5 * grain), b"C" * grain)
    image = (vhd if kind == "vhd" else vhdx).child_of(parent, tmp_path / f"child.{kind}", changes)
    asked: list[tuple[int, int]] = []
    again = WitnessedDisk._read_again

    def noted(disk: WitnessedDisk, offset: int, length: int) -> bytes:
        asked.append((offset, length))
        return again(disk, offset, length)

    def wrong(disk: WitnessedDisk, offset: int, length: int) -> bytes:
        data = bytearray(again(disk, offset, length))
        if offset <= 10 * grain + 7 < offset + length:
            data[10 * grain + 7 - offset] ^= 1
        return bytes(data)

    monkeypatch.setattr(WitnessedDisk, "_read_again", noted)
    with open_image(image) as disk:
        disk.read_at(0, size)
    spans = sorted(asked)
    assert sum(length for _, length in spans) == size
    assert [start + length for start, length in spans][:-1] == [start for start, _ in spans][1:]
    monkeypatch.setattr(WitnessedDisk, "_read_again", wrong)
    with open_image(image) as disk:
        disk.read_at(0, 10 * grain)
        assert "two readers" in refuses(lambda: disk.read_at(0, size), Layer.CONTAINER).expected


def test_small_blocks(command: Command, tmp_path: Path) -> None:
    """VHD: blocks of 512 KiB, which Hyper-V offers; reads that cross them are read by both readers alike."""
    kind = Kind("vhd", "good")
    changes = {**kind.changes, **dict.fromkeys(range(EMPTY + MiB // 2, SIZE, MiB), b"C" * 4096)}
    image = kind.child(kind.parent(tmp_path), changes=changes, block_size=MiB // 2)
    data = bytearray(kind.new.read_bytes())
    for at in range(EMPTY + MiB // 2, SIZE, MiB):
        data[at : at + 4096] = b"C" * 4096
    assert command.judge(image).answer == ("deployable", 0)
    expect_disk(image, bytes(data))
    with open_image(image) as disk:
        assert disk.read_at(0, SIZE) == data


def test_a_disk_of_several_chunks(tmp_path: Path) -> None:
    """VHDX: each 4 GiB of the disk (at 512 bytes a sector) have a sector bitmap of their own."""
    raw = tmp_path / "parent.raw"
    spots = (0, (4 << 30) - 512, 4 << 30, (4 << 30) + MiB, (8 << 30) + 5 * MiB + 512)
    with raw.open("wb") as file:
        for spot in spots:
            file.seek(spot)
            file.write(b"P" * 512)
        file.truncate((8 << 30) + 7 * MiB)
    parent = tmp_path / "parent.vhdx"
    Vhdx(32 * MiB).write(raw, parent, 512)
    changes = dict.fromkeys(spots[1::2], b"C" * 512) | {spots[-1] + 512: b"D" * 512}
    image = vhdx.child_of(parent, tmp_path / "child.vhdx", changes)
    with open_image(image) as disk:
        assert disk.size == raw.stat().st_size
        assert [disk.read_at(spot, 512)[:1] for spot in spots] == [b"P", b"C", b"P", b"C", b"P"]
        assert disk.read_at(spots[-1], 2048) == b"P" * 512 + b"D" * 512 + bytes(1024)
        assert disk.read_at((4 << 30) - 1024, 2048) == bytes(512) + b"C" * 512 + b"P" * 512 + bytes(512)


def test_states_of_blocks(tmp_path: Path) -> None:
    """Not present is the parent's, zero is zero, fully present is the child's, whatever the bitmap says."""
    raw = tmp_path / "parent.raw"
    raw.write_bytes(b"".join(bytes([0x50 + block]) * MiB for block in range(6)))
    parent = tmp_path / "parent.vhdx"
    Vhdx().write(raw, parent, 512)
    image = vhdx.child_of(
        parent,
        tmp_path / "child.vhdx",
        {3 * MiB + 512: b"C" * 512},
        whole={1: b"W" * MiB},
        states={2: vhdx.ZERO, 4: vhdx.UNDEFINED, 5: vhdx.UNMAPPED},
    )
    with open_source(image) as one, open_source(parent) as other:
        own = own_map(one)
        own.set_parent(own_map(other))
        assert own.read_at(2 * MiB, MiB) == bytes(MiB)
    with open_image(image) as disk:
        assert disk.read_at(0, MiB) == b"\x50" * MiB
        assert disk.read_at(MiB, MiB) == b"W" * MiB
        assert disk.read_at(3 * MiB, MiB) == b"\x53" * 512 + b"C" * 512 + b"\x53" * (MiB - 1024)
        assert disk.read_at(MiB - 512, MiB + 1024) == b"\x50" * 512 + b"W" * MiB + bytes(512)
        for block, word in ((4, "undefined"), (5, "unmapped")):
            evidence = refuses(lambda at=block * MiB: disk.read_at(at, 512), Layer.CONTAINER)
            assert word in evidence.found


def test_zero_blocks_hide_the_parent(command: Command, tmp_path: Path) -> None:
    """A block of zeros in a child is zero for both readers: a healthy disk after TRIM."""
    kind = Kind("vhdx", "good")
    parent = kind.parent(tmp_path)
    block, place = EMPTY // MiB, parent.stat().st_size
    damage.overwrite(parent, vhdx.BAT_OFFSET + 8 * block, vhdx.bat_entry(vhdx.FULLY_PRESENT, place))
    with parent.open("ab") as file:
        file.write(b"P" * MiB)
    image = kind.child(parent, states={block: vhdx.ZERO})
    expect_disk(image, kind.new)
    assert command.judge(image).answer == ("deployable", 0)


@pytest.mark.parametrize("state", [4, 5])
def test_states_that_do_not_exist(state: int, tmp_path: Path) -> None:
    """Reserved ones are damage in a child too."""
    kind = Kind("vhdx", "good")
    image = kind.child(kind.parent(tmp_path), states={13: state})
    with open_source(image) as source:
        assert f"state {state}" in refuses(lambda: own_map(source), Layer.CONTAINER).found


def test_a_partial_block_without_its_bitmap(command: Command, tmp_path: Path) -> None:
    """Nobody can say whose its sectors are."""
    kind = Kind("vhdx", "good")
    image = kind.child(kind.parent(tmp_path))
    ratio = vhdx.Layout.read(image).chunk_ratio
    damage.overwrite(image, vhdx.BAT_OFFSET + 8 * ratio, bytes(8))
    judged = command.judge(image)
    assert judged.answer == ("indeterminate", 3)
    assert "the sector bitmap of a partially present block" in judged["summary"]


BITMAPS = {
    "state 7": (vhdx.PARTIALLY_PRESENT, 0),
    "state 2": (vhdx.ZERO, 0),
    "over the header section": (vhdx.FULLY_PRESENT, -(1 << 40)),
    "behind the end": (vhdx.FULLY_PRESENT, 1 << 40),
    "over a payload block": (vhdx.FULLY_PRESENT, MiB),
}


@pytest.mark.parametrize("name", BITMAPS)
def test_bitmaps_that_are_damage(command: Command, name: str, tmp_path: Path) -> None:
    """A sector bitmap block has one state, and a place of its own."""
    kind = Kind("vhdx", "good")
    image = kind.child(kind.parent(tmp_path))
    at = vhdx.BAT_OFFSET + 8 * vhdx.Layout.read(image).chunk_ratio
    (entry,) = struct.unpack("<Q", damage.read(image, at, 8))
    state, more = BITMAPS[name]
    damage.overwrite(image, at, vhdx.bat_entry(state, max(0, (entry >> 20) * MiB + more)))
    judged = command.judge(image)
    assert judged.answer == ("indeterminate", 3)
    assert container_of(judged)["state"] == "damaged"


@pytest.mark.parametrize("mask", [0x01, 0x80])
def test_the_bitmap_decides(good: Kind, mask: int, tmp_path: Path) -> None:
    """Each bit of a byte is one sector, in the order of its format: first the lowest or the highest."""
    raw = tmp_path / "raw"
    raw.write_bytes(b"P" * 4 * MiB)
    parent = tmp_path / f"parent{good.suffix}"
    (vhd.DynamicVhd() if good.format == "vhd" else Vhdx()).write(raw, parent, 512)
    image = good.child(parent, changes=dict.fromkeys(range(0, 4096, 512), b"C" * 512))
    (at,) = damage.locate_all(image, b"C" * 4096)
    place = (
        at - 512 if good.format == "vhd" else vhdx.Layout(MiB, 4 * MiB, 512, differencing=True).payload_offset
    )
    assert damage.read(image, place, 2) == b"\xff\0"
    damage.flip(image, place, 0xFF ^ mask)
    first = mask == (0x80 if good.format == "vhd" else 0x01)
    disk, close = mapped(image, parent)
    got = b"".join(disk.read_at(sector * 512, 1) for sector in range(9))
    close()
    assert got == (b"CPPPPPPPP" if first else b"PPPPPPPCP")


def test_reads_of_a_chain_are_counted(command: Command, good: Kind, tmp_path: Path) -> None:
    """Every file of the chain is charged to the one budget, and read no more than a healthy image."""
    image, _ = chain(good, tmp_path, 3)
    io = command.judge(image)["facts"]["io"]
    assert io["files"] == 4
    assert io["bytes_read"] < 2 * MiB


# --- the corpus ----------------------------------------------------------------------------------

PLASO = "c6db12a7db548e193c29420c1b4533e4708b20c5033db5cc29ef075d48316d25"


def test_a_pair_of_virtualbox(corpus: Corpus, command: Command, tmp_path: Path) -> None:
    """Their footers have wrong checksums, and the child's header: refused; with right ones they are read."""
    import hashlib

    parent, image = tmp_path / "image.vhd", tmp_path / "image-differential.vhd"
    parent.write_bytes(corpus["containers/vhd/image.vhd.xz"])
    image.write_bytes(corpus["containers/vhd/image-differential.vhd.xz"])
    assert "checksum" in container_of(command.judge(image))["detail"]
    for path in (image, parent):
        damage.fix_vhd_footer(path, 0)
        damage.fix_vhd_footer(path)
        damage.fix_vhd_dynamic_header(path)
    with open_image(image) as disk:
        assert disk.container.parents == ("image.vhd",)
        assert hashlib.sha256(disk.read_at(0, disk.size)).hexdigest() == PLASO
    parent.unlink()
    assert "d49c5c80-350a-4a89-898a-5ad6d10f6578" in expect_missing(command, image)


def test_an_orphan_of_windows(corpus: Corpus, command: Command, tmp_path: Path) -> None:
    """Its parent is missed by name and identifier; another disk beside it is none."""
    image = tmp_path / "fat-differential.vhd"
    image.write_bytes(corpus["containers/vhd/fat-differential-orphan.vhd.xz"])
    detail = expect_missing(command, image)
    assert "5fa21a55-f394-aa4d-9958-1951a67d5540" in detail
    assert ".vhd”" in detail
    assert "--parent" in detail
    (tmp_path / "other.vhd").write_bytes(corpus["containers/vhd/plaso-image.vhd.xz"])
    assert "other.vhd is " in expect_missing(command, image)


def test_every_child_here_is_what_another_reader_reads(kind: Kind, tmp_path: Path) -> None:
    """libvhdi, without our code: the fixtures are what the formats say."""
    parent = kind.parent(tmp_path)
    image = kind.child(parent)
    handles = by_libvhdi(image, parent)
    new = kind.new.read_bytes()
    assert handles[0].get_media_size() == len(new)
    assert handles[0].read_buffer_at_offset(len(new), 0) == new
    assert json.dumps(str(kind.identifier(parent)).lower()) == json.dumps(
        handles[0].get_parent_identifier().lower()
    )
