"""What Packer built, as its manifest lists it: the disks to judge, and which of them decide.

Packer's `manifest` post-processor appends an entry to `builds` for every build of every run, and puts the
run that wrote last into `last_run_uuid`. An entry lists the files of its artifact as the builder reports
them: relative to Packer's working directory, with the separators of the machine that built. Of a Hyper-V
export that is every file in the folder; of an image in a cloud it is null. Sources: the sources of Packer
1.6.6 and 1.9.5, `post-processor/manifest`, and of its Hyper-V plug-in.
"""

import json
import os
import re
import sys
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

from validator.disk.container import RawDisk
from validator.disk.formats import recognise
from validator.disk.partitions import read_partition_table
from validator.evidence import Unreadable
from validator.facts.model import Unknown
from validator.report.model import Report
from validator.source import FileSource

MAX_SIZE = 4 * 2**20
"""Bytes of a manifest; a build of Hyper-V adds some 2 KiB."""
MAX_FILES = 10_000
"""Files of one artifact, and of a folder in it that is searched."""

_DISKS = (".avhd", ".avhdx", ".img", ".qcow2", ".raw", ".vdi", ".vhd", ".vhdx", ".vmdk")
_NO_DISKS = (".mrt", ".rct", ".vmcx", ".vmgs", ".vmrs", ".vsv", ".xml")
"""What Hyper-V keeps beside its disks; a `.vmgs` may itself be wrapped as a VHD."""
_OTHERS = (
    ".7z", ".asc", ".box", ".bz2", ".cer", ".checksum", ".conf", ".csv", ".efi", ".fd", ".flp", ".gz",
    ".html", ".iso", ".json", ".log", ".lz4", ".md", ".md5", ".mf", ".nvram", ".ova", ".ovf", ".pem",
    ".ps1", ".sha1", ".sha224", ".sha256", ".sha384", ".sha512", ".sig", ".tar", ".tgz", ".txt", ".vbox",
    ".vfd", ".vmsd", ".vmx", ".vmxf", ".xz", ".yaml", ".yml", ".zip", ".zst",
)  # fmt: skip
"""What else stands beside disks: one of these is a disk only if its content says so."""
_LEAST_DISK = 2**20
_EXPORTED = re.compile(r"(?P<folder>.+)[\\/]Virtual Hard Disks[\\/](?P<name>[^\\/]+)")
_JSON_TYPES = {dict: "an object", list: "a list", str: "a text", type(None): "null"}


class BadManifest(Exception):
    """The manifest cannot be used; the message is a sentence for the user."""


class Build(NamedTuple):
    """One build of the run that is asked for."""

    name: str
    builder: str
    files: tuple[str, ...]
    """As the manifest has them."""
    disks: tuple[str, ...]
    """Paths of those that are disks, or lie in folders that are listed."""
    left_out: tuple[str, ...]
    """Sentences about what might have been expected to be judged, and is not."""

    def __str__(self) -> str:
        return f"build “{self.name}” ({self.builder})"

    @property
    def lacks(self) -> str | None:
        """Why there is nothing to judge of it, or None."""
        if self.disks:
            return None
        if not self.files:
            return f"{self} has no files on this machine"
        listed = ", ".join(self.files[:3]) + (", ..." if len(self.files) > 3 else "")
        return f"{self} has no disk image among its files ({listed})"


def builds(path: str, environment: Mapping[str, str]) -> tuple[Build, ...]:
    """The builds to judge: of this run and this build where Packer runs us, else of the last run.

    Args:
        path: the manifest.
        environment: Packer says in `PACKER_RUN_UUID`, `PACKER_BUILD_NAME` and `PACKER_BUILDER_TYPE` who
            it is. A run that has no entry is no reason to take another: that one built another image.

    Raises:
        BadManifest: where the manifest is cut, malformed or too large, or a file that it lists is gone.
        FileNotFoundError: where there is no manifest.
    """
    data = _typed(_load(path), dict, "the manifest")
    run = environment.get("PACKER_RUN_UUID") or _typed(data.get("last_run_uuid"), str, "`last_run_uuid`")
    if not run:
        raise BadManifest("`last_run_uuid` is empty, so that no run is the last")
    wanted = {
        "packer_run_uuid": run,
        "name": environment.get("PACKER_BUILD_NAME"),
        "builder_type": environment.get("PACKER_BUILDER_TYPE"),
    }
    found = []
    for index, each in enumerate(_typed(data.get("builds"), list, "`builds`")):
        where = f"`builds[{index}]`"
        entry = _typed(each, dict, where)
        stated = {key: _typed(entry.get(key), str, f"{where}.`{key}`") for key in wanted}
        if any(value and stated[key] != value for key, value in wanted.items()):
            continue
        names = tuple(_names(entry.get("files"), f"{where}.`files`"))
        found.append(Build(stated["name"], stated["builder_type"], names, *_disks(names, path)))
    return tuple(found)


def deciding(
    builds: Sequence[Build], reports: Sequence[Report], named: Collection[str] = ()
) -> tuple[tuple[Report, ...], list[str]]:
    """The reports that decide, and a sentence for each that is left out.

    A data disk is left out where another disk of its build holds Windows, and so is the parent of a
    differencing disk, which was judged with its child; a disk of several builds only where all of them
    leave it out. What the user `named` beside the manifest stays.
    """
    skipped: dict[str, str] = {}
    wanted = set(named)
    for build in builds:
        mine = [each for each in reports if each.path in build.disks]
        left_out = _left_out(build, mine)
        skipped |= left_out
        wanted |= {each.path for each in mine} - left_out.keys()
    skipped = {path: why for path, why in skipped.items() if path not in wanted}
    kept = tuple(each for each in reports if each.path not in skipped)
    return kept, [f"{path} is not judged: {why}" for path, why in skipped.items()]


def _left_out(build: Build, reports: Sequence[Report]) -> dict[str, str]:
    """Which disks of a build do not decide, and why; it always keeps one."""
    found: dict[str, str] = {}
    for report in reports:
        # Damaged ones may rest on each other: then none is a part of the other.
        children = [
            each.path for each in reports if _rests_on(each, report.path) and not _rests_on(report, each.path)
        ]
        if children:
            found[report.path] = f"it is a parent of {children[0]}, and judged as part of that"
    systems = [each.path for each in reports if _holds_windows(each) and each.path not in found]
    for report in reports:
        if report.data_disk and systems and report.path not in found:
            found[report.path] = f"a data disk without Windows; the Windows of {build} is on {systems[0]}"
    return found


def _holds_windows(report: Report) -> bool:
    return not isinstance(report.facts.installations, Unknown)


def _rests_on(child: Report, parent: str) -> bool:
    """Whether a file is an ancestor of a differencing disk."""
    return os.path.realpath(parent) in [part.path for part in child.parts[1:]]


# --- the file ------------------------------------------------------------------------------------


def _load(path: str) -> Any:
    try:
        source = FileSource(path)
    except Unreadable as error:
        raise BadManifest(f"it cannot be read: {error.evidence}") from error
    try:
        if source.size > MAX_SIZE:
            raise BadManifest(f"it has {source.size} bytes, and a manifest at most {MAX_SIZE}")
        text = source.read_at(0, source.size).decode("utf-8-sig")
        return json.loads(text, object_pairs_hook=_without_doubles)
    except Unreadable as error:
        raise BadManifest(f"it cannot be read: {error.evidence}") from error
    except json.JSONDecodeError as error:
        raise BadManifest(
            f"it is not whole JSON (line {error.lineno}: {error.msg}); was it cut, or is it being written?"
        ) from error
    except (ValueError, RecursionError) as error:
        raise BadManifest("it is not JSON as Packer writes it") from error
    finally:
        source.close()


def _without_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object whose keys are all different: another reader might take the other one of two."""
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise BadManifest(f"the key `{key}` stands twice in an object")
        found[key] = value
    return found


T = TypeVar("T")


def _typed(value: object, kind: type[T], what: str) -> T:
    if not isinstance(value, kind):
        raise BadManifest(f"{what} is {_JSON_TYPES.get(type(value), 'a number')}, not {_JSON_TYPES[kind]}")
    return value


def _names(files: object, what: str) -> Iterator[str]:
    """The names of an artifact's files; none for an image that is no file here (null)."""
    listed = [] if files is None else _typed(files, list, what)
    if len(listed) > MAX_FILES:
        raise BadManifest(f"{what} lists {len(listed)} files, and may list {MAX_FILES}")
    for index, each in enumerate(listed):
        name = _typed(_typed(each, dict, f"{what}[{index}]").get("name"), str, f"{what}[{index}].`name`")
        try:
            usable = bool(name) and b"\0" not in os.fsencode(name)
        except UnicodeEncodeError:
            usable = False
        if not usable:
            raise BadManifest(f"{what}[{index}].`name` is no name of a file: {name!r}")
        if name.replace("/", "\\").startswith(("\\\\", "\\??\\")):
            # Windows would go to the network for it, which a file does not get to decide.
            raise BadManifest(f"{what}[{index}] is a network or device path; name it as an IMAGE: {name}")
        yield name


# --- its paths -----------------------------------------------------------------------------------


def _disks(names: Sequence[str], manifest: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The paths of the disks, and sentences about what was left out though it might be one."""
    found: dict[str, None] = {}
    left_out: dict[str, None] = {}
    for name in names:
        if not name.lower().endswith(_NO_DISKS):
            path = _locate(name, os.path.dirname(manifest))
            for file in _below(path) if os.path.isdir(path) else (path,):
                if os.path.isdir(file):
                    left_out[f"{file} is not judged: it is a link to a folder, which is not followed"] = None
                elif _is_disk(file):
                    found[file] = None
                elif not file.lower().endswith((*_NO_DISKS, *_OTHERS)):
                    size = os.path.getsize(file)
                    left_out[f"{file} is not judged: no disk could be recognised in its {size} bytes"] = None
    return tuple(found), tuple(left_out)


def _locate(name: str, folder: str) -> str:
    """Where a listed file lies: below the working directory, else below the manifest's folder.

    Raises:
        BadManifest: where it does not exist.
    """
    spelled = dict.fromkeys((name, name.replace("\\", "/")))
    paths = [os.path.join(base, each) for base in dict.fromkeys(("", folder)) for each in spelled]
    for path in paths:
        if os.path.exists(path):
            return path
    for path in paths:
        # Where Packer could not collate a Hyper-V export, its disks lie one folder deeper than it lists.
        if (listed := _EXPORTED.fullmatch(path)) and os.path.isdir(listed["folder"]):
            moved = [each for each in _below(listed["folder"]) if os.path.basename(each) == listed["name"]]
            if len(moved) == 1:
                return moved[0]
    bare = "" if re.search(r"[\\/]", name) else ", nor does it say in which folder (`strip_path`?)"
    raise BadManifest(f"it lists {name}, and there is no such file{bare}")


def _below(folder: str) -> Iterator[str]:
    """The files in a folder and below it; links to folders are among them, and not followed.

    Raises:
        BadManifest: where one cannot be listed, so that nobody knows what is in it.
    """
    count = 0
    for place, folders, names in os.walk(folder, onerror=_refuse):
        folders.sort()
        for name in sorted([*names, *(each for each in folders if _is_link(os.path.join(place, each)))]):
            count += 1
            if count > MAX_FILES:
                raise BadManifest(f"the folder {folder} has more than {MAX_FILES} files; list the disks")
            yield os.path.join(place, name)


def _refuse(error: OSError) -> None:
    raise BadManifest(f"the folder {error.filename} cannot be listed: {error.strerror}") from error


def _is_link(folder: str) -> bool:
    return os.path.islink(folder) or (sys.version_info >= (3, 12) and os.path.isjunction(folder))


def _is_disk(path: str) -> bool:
    """By its name where that says so, else by its content. What may be a disk and cannot be read is one."""
    ending = os.path.splitext(path)[1].lower()
    if ending in _DISKS or ending in _NO_DISKS:
        return ending in _DISKS
    try:
        source = FileSource(path)
    except Unreadable:
        return True
    try:
        if recognise(source, os.path.basename(path)) == "raw":
            read_partition_table(RawDisk(source))
    except Unreadable:
        # QEMU's builder takes any name for its disks: the dot of `win-10.0` begins no ending that is known.
        return ending not in _OTHERS and source.size >= _LEAST_DISK
    finally:
        source.close()
    return True
