"""What is no image, what is no good image, and what happens to an image while it is read.

None of it is an answer about Windows: exit code 2 where the command was wrong, 3 where the image
cannot be judged, 4 where there is none, 130 where a person has had enough. Never 0 or 1.
"""

from __future__ import annotations

import contextlib
import gzip
import io
import lzma
import os
import random
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.command import Command
from tests.images import Disk, Esp, Fat, Msr, build, damage, disk_of, generalized, installed
from validator.source import FileSource

Image = Callable[..., Path]
ReadAt = Callable[[FileSource, int, int], bytes]

USAGE, UNTOLD, NOTHING, INTERRUPTED = 2, 3, 4, 130
posix = pytest.mark.skipif(os.name != "posix", reason="as POSIX has it")


def write(folder: Path, name: str, content: bytes) -> Path:
    """A file."""
    path = folder / name
    path.write_bytes(content)
    return path


def fails(command: Command, path: object, word: str = "", *options: str) -> None:
    """The image cannot be judged: 3, and the summary has this word."""
    judged = command.judge(path, *options)
    assert judged.answer == ("indeterminate", UNTOLD)
    assert word in judged["summary"], judged["summary"]
    statuses = {(finding["severity"], finding["status"]) for finding in judged["findings"]}
    assert {status for severity, status in statuses if severity == "error"} == {"unknown"}
    assert {status for _, status in statuses} <= {"unknown", "not applicable"}


# --- no image ------------------------------------------------------------------------------------


@pytest.mark.parametrize("beside", [False, True], ids=["alone", "beside a good image"])
@pytest.mark.parametrize("kind", ["missing", "in a missing folder", "below a file", "a link to nowhere"])
def test_a_missing_file_is_a_wrong_command(
    command: Command, image: Image, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, beside: bool
) -> None:
    """It is said on standard error before anything is read: 2, no report on any image."""
    opened: list[str] = []
    monkeypatch.setattr(FileSource, "__init__", lambda self, path, *rest: opened.append(path))
    good = image(generalized())
    path = {
        "missing": tmp_path / "none.vhdx",
        "in a missing folder": tmp_path / "none" / "disk.vhdx",
        "below a file": good / "disk.vhdx",
        "a link to nowhere": tmp_path / "link.vhdx",
    }[kind]
    if "link" in kind:
        path.symlink_to(tmp_path / "nowhere.vhdx")
    report = tmp_path / "report.json"
    outcome = command("check", *[good] * beside, path, "--report", f"json={report}")
    assert (outcome.code, outcome.stdout) == (USAGE, "")
    assert "no such file" in outcome.stderr
    assert path.name in outcome.stderr
    assert not report.exists()
    assert not opened


def test_every_missing_file_is_named(command: Command, tmp_path: Path) -> None:
    """One run says all that is wrong with it."""
    outcome = command("check", tmp_path / "first.vhd", tmp_path / "second.vhd")
    assert outcome.code == USAGE
    assert "first.vhd" in outcome.stderr
    assert "second.vhd" in outcome.stderr


@posix
@pytest.mark.parametrize(
    ("kind", "word"),
    [
        ("folder", "a folder"),
        ("fifo", "a FIFO"),
        ("/dev/null", "a character device"),
        ("/dev/zero", "a character device"),
        ("link to a folder", "a folder"),
    ],
)
def test_what_is_no_regular_file(command: Command, tmp_path: Path, kind: str, word: str) -> None:
    """A folder, a pipe, a device: 3 at once, never a wait and never a read without end."""
    path = tmp_path / "disk.vhdx"
    if kind == "folder":
        path.mkdir()
    elif kind == "fifo":
        os.mkfifo(path)
    elif kind == "link to a folder":
        path.symlink_to(tmp_path)
    else:
        path = Path(kind)
    outcome = command.process("check", path)
    assert outcome.code == UNTOLD
    assert word in outcome.stdout


def test_a_link_to_an_image_is_the_image(command: Command, image: Image, tmp_path: Path) -> None:
    """Links are followed; the name is the link's."""
    link = tmp_path / "current.vhdx"
    link.symlink_to(image(generalized()))
    judged = command.judge(link)
    assert judged.answer == ("deployable", 0)
    assert judged["path"] == str(link)


@posix
def test_a_file_that_may_not_be_read(command: Command, image: Image) -> None:
    """Without the permission: 3, and the system's reason."""
    good = image(generalized())
    assert command("check", good).code == 0  # all modules are loaded
    with tempfile.TemporaryDirectory() as folder:
        path = Path(shutil.copy(good, folder))
        Path(folder).chmod(0o755)
        path.chmod(0)
        with as_nobody():
            outcome = command("check", path, watched=False)
    assert outcome.code == UNTOLD
    assert "Permission denied" in outcome.stdout


@contextlib.contextmanager
def as_nobody() -> Iterator[None]:
    """Root may read everything, so root steps aside."""
    user = os.geteuid()
    if user == 0:
        os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(user)


# --- no disk -------------------------------------------------------------------------------------

TEXT = b"This is not the image that you are looking for.\n"


@pytest.mark.parametrize("extension", ["vhd", "vhdx", "avhdx", "img", "raw", ""])
@pytest.mark.parametrize(
    "content",
    [b"", b"\0", TEXT, TEXT * 9999, bytes(2**20), random.Random(1).randbytes(4096)],
    ids=["empty", "a NUL", "text", "long text", "zeros", "noise"],
)
def test_what_is_no_disk(command: Command, tmp_path: Path, content: bytes, extension: str) -> None:
    """Text, zeros, noise and nothing at all, whatever the name promises."""
    fails(command, write(tmp_path, f"disk.{extension}".rstrip("."), content), "container")


def packed(content: bytes) -> bytes:
    """A ZIP archive."""
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("disk.vhd", content)
    return archive.getvalue()


ARCHIVES: dict[str, tuple[str, bytes]] = {
    "zip": ("ZIP", packed(TEXT)[:-1]),
    "gz": ("gzip", gzip.compress(TEXT)[:-1]),
    "xz": ("xz", lzma.compress(TEXT)[:-1]),
    "zst": ("Zstandard", b"\x28\xb5\x2f\xfd".ljust(4096, b"\0")),
    "7z": ("7-Zip", b"7z\xbc\xaf\x27\x1c".ljust(4096, b"\0")),
    "wim": ("WIM", b"MSWIM\0\0\0".ljust(4096, b"\0")),
    "iso": ("ISO", bytes(0x8001) + b"CD001".ljust(4096, b"\0")),
}


@pytest.mark.parametrize("extension", ["its own", "vhd"])
@pytest.mark.parametrize("kind", ARCHIVES)
def test_archives_are_named(command: Command, tmp_path: Path, kind: str, extension: str) -> None:
    """What is damaged, or has to be unpacked first, is called by its name, under any extension."""
    word, content = ARCHIVES[kind]
    fails(command, write(tmp_path, f"disk.{kind if extension == 'its own' else extension}", content), word)


OTHERS = {
    "a descriptor": (b"# Disk DescriptorFile\nversion=1\n", "VMDK descriptor"),
    "an ESXi extent": (b"\xbe\xba\xfe\xca\0\0\0\0", "SE sparse"),
    "an old extent": (b"COWD\1\0\0\0", "old VMDK extent"),
}


@pytest.mark.parametrize("extension", ["vmdk", "vhdx"])
@pytest.mark.parametrize("kind", OTHERS)
def test_containers_that_are_not_read_are_named(
    command: Command, tmp_path: Path, kind: str, extension: str
) -> None:
    """They are recognised by content, and the way out is a command."""
    content, word = OTHERS[kind]
    path = write(tmp_path, f"disk.{extension}", content.ljust(4096, b"\0"))
    fails(command, path, word)
    assert "qemu-img convert" in command.judge(path)["summary"]


@pytest.mark.parametrize("container", ["vhd-fixed", "vhdx-dynamic", "raw"])
def test_the_first_part_of_a_split_image(command: Command, image: Image, container: str) -> None:
    """What a splitting program leaves as `.001` is cut; the report says that it is a part."""
    path = image(generalized(), container, name="disk.vhd.001")
    damage.truncate(path, path.stat().st_size // 2)
    fails(command, path, "split")


# --- half an image -------------------------------------------------------------------------------

SHORTEST_LOSS = {"vhd-fixed": 2, "vhd-dynamic": 513, "vhdx-fixed": 1, "vhdx-dynamic": 1}
"""How much must be gone before something is lost: programs before 2004 wrote footers of 511 bytes, and
a dynamic VHD has a copy of its footer."""


@pytest.mark.parametrize(("container", "loss"), SHORTEST_LOSS.items())
def test_a_cut_image_is_never_judged(command: Command, image: Image, container: str, loss: int) -> None:
    """A copy that broke off, at twenty places and at the very end."""
    path = image(generalized(), container)
    size = path.stat().st_size
    for length in (size - loss, *(size * twentieth // 20 for twentieth in range(19, -1, -1))):
        damage.truncate(path, length)
        judged = command.judge(path)
        assert judged.answer == ("indeterminate", UNTOLD), f"cut to {length} of {size} bytes"


@pytest.mark.parametrize("container", ["vhdx-dynamic", "vhd-fixed", "raw"])
def test_a_volume_without_a_partition_table(command: Command, image: Image, container: str) -> None:
    """Such a disk cannot boot, and never passes."""
    path = image(disk_of(generalized(), None), container)
    fails(command, path, "partition table")
    if container == "raw":
        fails(command, path, "partition table", "--input-format", "raw")


@pytest.mark.parametrize(
    "disk",
    [Disk((Esp(), Msr())), Disk((Fat(),), "mbr"), Disk((), size=8 << 20)],
    ids=["UEFI", "FAT", "nothing"],
)
def test_a_disk_without_ntfs(command: Command, image: Image, disk: Disk) -> None:
    """There is no Windows to judge, which is not the same as a bad one."""
    judged = command.judge(image(disk))
    assert judged.answer == ("indeterminate", UNTOLD)
    assert r"a volume with \Windows\System32\config" in judged["summary"]


# --- names that lie ------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["disk.vhd", "disk.vhdx", "disk.img", "disk.txt", "disk", "disk.zip"])
@pytest.mark.parametrize("container", ["vhd-fixed", "vhdx-dynamic"])
def test_content_decides_over_the_name(command: Command, image: Image, container: str, name: str) -> None:
    """A VHD or VHDX is read as what it is under any name."""
    judged = command.judge(image(generalized(), container, name=name))
    assert judged.answer == ("deployable", 0)
    assert judged["facts"]["container"]["format"] == container.partition("-")[0]


@pytest.mark.parametrize("name", ["disk.raw", "disk.img", "disk.vmdk", "disk"])
@pytest.mark.parametrize("scheme", ["gpt", "mbr"])
def test_a_raw_disk_needs_a_partition_table(command: Command, image: Image, scheme: str, name: str) -> None:
    """With one it is judged, and the report says that nothing guards its structures."""
    judged = command.judge(image(generalized(), "raw", scheme=scheme, name=name))
    assert judged.answer == ("deployable", 0)
    assert "no checksums" in str(judged["layers"])


@pytest.mark.parametrize("name", ["disk.vhd", "disk.VHD", "disk.vhdx", "disk.avhd", "disk.avhdx"])
def test_a_raw_disk_under_the_name_of_a_container(command: Command, image: Image, name: str) -> None:
    """It is that container, damaged, unless the user says that it is raw."""
    path = image(generalized(), "raw", name=name)
    fails(command, path, "as the name says")
    assert command.judge(path, "--input-format", "raw").answer == ("deployable", 0)


@pytest.mark.parametrize(
    ("container", "told"),
    [("vhdx-dynamic", "vhd"), ("vhd-fixed", "vhdx"), ("raw", "vhd"), ("vhdx-dynamic", "raw")],
)
def test_a_wrong_input_format(command: Command, image: Image, container: str, told: str) -> None:
    """The user may say what it is, and may be wrong."""
    fails(command, image(generalized(), container), "", "--input-format", told)


NAMES = {
    "blanks": "my golden  image .vhdx",
    "a dash in front": "-q.vhdx",
    "line feed": "line\nfeed.vhdx",
    "escape sequence": "\x1b[2J\x1b]0;title\x07red\x1b[31m.vhdx",
    "eight-bit control": "csi\x9b31m.vhdx",
    "right-to-left override": "disk\u202exdhv.exe",
    "no UTF-8": os.fsdecode(b"caf\xe9.vhdx"),
    "workflow command": "::error::x.vhdx",
    "markup": "[red]x[bold].vhdx",
    "glob": "[a]*.vhdx",
    "letters of the world": "Ørnulf-画像.vhdx",
}


@posix
@pytest.mark.parametrize("name", NAMES.values(), ids=NAMES)
@pytest.mark.parametrize("verb", ["check", "inspect"])
def test_names_reach_no_terminal_as_they_are(command: Command, image: Image, name: str, verb: str) -> None:
    """Any name works, and what does not print in it is written as an escape."""
    path = image(generalized(), name=name)
    outcome = command(verb, path)
    assert outcome.code == 0
    printed = (outcome.stdout + outcome.stderr).replace("\n", "")
    assert printed.isprintable()
    assert "\u202e" not in printed
    assert not outcome.stdout.startswith("::")
    data = command(verb, "--format", "json", path).stdout
    assert data.isascii()
    missing = command(verb, path.with_name("no " + name.replace("*", "x").replace("[", "(")))
    assert missing.code == USAGE
    assert missing.stderr.replace("\n", "").isprintable()


def test_a_name_that_looks_like_a_pattern_is_a_name(command: Command, image: Image) -> None:
    """A path that exists is taken literally, also where it would match others."""
    path = image(installed(), name="[a]*.vhdx")
    shutil.copy(build(generalized()), path.with_name("a1.vhdx"))
    outcome = command("check", "--format", "json", path)
    assert [each["path"] for each in outcome.json["images"]] == [str(path)]
    assert outcome.code == 1


def test_a_pattern_is_expanded(command: Command, image: Image) -> None:
    """For shells that do not: every match once, in order, whatever else names it."""
    first = image(generalized(), name="b.vhdx")
    second = Path(shutil.copy(first, first.with_name("a.vhdx")))
    outcome = command(
        "check", "--format", "json", first, first.with_name("*.vhdx"), first.with_name("?.vhd*")
    )
    assert [each["path"] for each in outcome.json["images"]] == [str(first), str(second)]
    assert outcome.code == 0


def test_a_pattern_without_a_match(command: Command, tmp_path: Path) -> None:
    """Nothing to check: 4, said on standard error."""
    outcome = command("check", tmp_path / "*.vhdx")
    assert outcome.code == NOTHING
    assert "*.vhdx" in outcome.stderr


# --- meanwhile -----------------------------------------------------------------------------------


def at_read(monkeypatch: pytest.MonkeyPatch, number: int, happens: Callable[[], object]) -> None:
    """Let something happen before the read of this number."""
    read_at: ReadAt = FileSource.read_at
    done = 0

    def hooked(self: FileSource, offset: int, length: int) -> bytes:
        nonlocal done
        done += 1
        if done == number:
            happens()
        return read_at(self, offset, length)

    monkeypatch.setattr(FileSource, "read_at", hooked)


def grow(path: Path) -> None:
    """Append a byte and hide it as well as a program can."""
    status = path.stat()
    with path.open("ab") as file:
        file.write(b"\0")
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def replace(path: Path) -> None:
    """Put another file of the same size and time under its name."""
    status = path.stat()
    other = Path(shutil.copy(path, path.with_name("other")))
    os.utime(other, ns=(status.st_atime_ns, status.st_mtime_ns))
    other.replace(path)


CHANGES: dict[str, Callable[[Path], object]] = {
    "written to": os.utime,
    "grown": grow,
    "cut": lambda path: damage.truncate(path, -1),
    "replaced": replace,
    "removed": lambda path: path.unlink(),
}


@posix
@pytest.mark.parametrize("number", [1, 15])
@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
@pytest.mark.parametrize("make", [generalized, installed])
def test_a_file_that_changes_is_not_judged(
    command: Command,
    image: Image,
    monkeypatch: pytest.MonkeyPatch,
    make: Callable[[], Any],
    change: Callable[[Path], object],
    number: int,
) -> None:
    """Good or bad: what changed while it was read is no evidence; 3, and the reason."""
    path = image(make())
    os.utime(path, (1, 1))
    at_read(monkeypatch, number, lambda: change(path))
    outcome = command("check", "--format", "json", path, watched=False)
    (report,) = outcome.json["images"]
    assert (report["verdict"], outcome.code) == ("indeterminate", UNTOLD)
    assert "while it was read" in report["summary"] or "No such file" in report["summary"]
    assert {finding["status"] for finding in report["findings"]} == {"unknown"}


@contextlib.contextmanager
def held(*program: str, until: bytes) -> Iterator[None]:
    """A process that holds the image, as soon as it has said so."""
    with subprocess.Popen(program, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        said = b""
        while until not in said:
            piece = process.stdout.read(1)
            assert piece, f"{program[0]} ended: {said.decode()}"
            said += piece
        yield
        process.stdin.close()


HOLD = """
import fcntl, sys
file = open(sys.argv[1], "r+b")
getattr(fcntl, sys.argv[2])(file, getattr(fcntl, sys.argv[3]))
print("held", flush=True)
sys.stdin.read()
"""


@posix
@pytest.mark.parametrize(
    ("call", "kind", "code"),
    [("flock", "LOCK_EX", UNTOLD), ("lockf", "LOCK_EX", UNTOLD), ("flock", "LOCK_SH", 0)],
)
def test_a_locked_image_is_not_judged(
    command: Command, image: Image, call: str, kind: str, code: int
) -> None:
    """An exclusive lock says that somebody writes; a shared one that somebody reads too."""
    path = image(generalized())
    with held(sys.executable, "-c", HOLD, str(path), call, kind, until=b"held"):
        outcome = command("check", path)
        assert outcome.code == code
        if code:
            assert "an image that nothing else is using" in outcome.stdout
    assert command("check", path).code == 0


@pytest.mark.skipif(sys.platform != "linux", reason="as QEMU locks on Linux")
@pytest.mark.parametrize(("option", "code"), [("-f", UNTOLD), ("-rf", 0)], ids=["writing", "reading"])
def test_an_image_that_qemu_has_open(command: Command, image: Image, option: str, code: int) -> None:
    """The disk of a running machine is not judged; one that QEMU only reads is."""
    program = shutil.which("qemu-io")
    if program is None:
        pytest.skip("qemu-io is not installed (qemu-utils)")
    path = image(generalized(), "vhd-fixed", scheme="mbr")
    with held(program, option, "raw", str(path), until=b"qemu-io>"):
        outcome = command("check", path)
    assert outcome.code == code
    if code:
        assert "running virtual machine" in " ".join(outcome.stdout.split())


# --- a person has had enough ---------------------------------------------------------------------


@pytest.mark.parametrize("container", ["vhd-fixed", "vhdx-dynamic", "raw"])
def test_an_interrupt_at_any_read(
    command: Command, image: Image, monkeypatch: pytest.MonkeyPatch, container: str
) -> None:
    """Ctrl-C ends with 130 wherever it falls, inside libvhdi and dissect too: no answer, no report."""

    def interrupt() -> None:
        frames = {frame.f_code.co_name for frame in _frames()}
        inside.update(frames & {"_read_again", "_reading"})
        raise KeyboardInterrupt

    path = image(generalized(), container)
    reads = command.judge(path)["facts"]["io"]["reads"]
    inside: set[str] = set()
    for number in range(1, reads, max(1, reads // 12)):
        with monkeypatch.context() as patch:
            at_read(patch, number, interrupt)
            outcome = command("check", path)
        assert (outcome.code, outcome.stdout) == (INTERRUPTED, ""), f"at read {number} of {reads}"
        assert "interrupted" in outcome.stderr
    assert container == "raw" or "_read_again" in inside


def _frames() -> Iterator[Any]:
    frame = sys._getframe()
    while frame is not None:
        yield frame
        frame = frame.f_back  # type: ignore[assignment]


INTERRUPTS_ITSELF = """
import os, signal
from validator.source import FileSource
signal.signal(signal.SIGINT, signal.default_int_handler)
read_at, reads = FileSource.read_at, iter(range(9))
def interrupted(self, *span):
    if next(reads, None) == 8:
        os.kill(os.getpid(), signal.SIGINT)
    return read_at(self, *span)
FileSource.read_at = interrupted
from validator.cli import main
main()
"""


@posix
@pytest.mark.parametrize("verb", ["check", "inspect"])
def test_the_signal_itself(command: Command, image: Image, verb: str) -> None:
    """The real signal in a real process."""
    outcome = command.process(verb, image(generalized()), script=INTERRUPTS_ITSELF)
    assert (outcome.code, outcome.stdout) == (INTERRUPTED, "")


# --- nobody listens ------------------------------------------------------------------------------

LEFT = """
import os, sys
read, write = os.pipe()
os.close(read)
os.dup2(write, 1)
os.execv(sys.executable, [sys.executable, "-m", "validator", *sys.argv[1:]])
"""
CLOSED = """
import os, sys
os.close(1)
os.execv(sys.executable, [sys.executable, "-m", "validator", *sys.argv[1:]])
"""


@posix
@pytest.mark.parametrize("script", [LEFT, CLOSED], ids=["reader left", "closed"])
@pytest.mark.parametrize(("make", "code"), [(generalized, 0), (installed, 1)])
def test_the_exit_code_does_not_need_a_reader(
    command: Command, image: Image, tmp_path: Path, make: Callable[[], Any], code: int, script: str
) -> None:
    """`| head -1` or `>&-`: no complaint, the verdict's exit code, and the report file all the same."""
    report = tmp_path / "report.json"
    outcome = command.process("check", image(make()), "--report", f"json={report}", script=script)
    assert (outcome.code, outcome.stderr) == (code, "")
    assert report.exists()


@posix
@pytest.mark.parametrize("arguments", [["checks"], ["checks", "image-state"], ["--help"]])
def test_lists_do_not_need_a_reader(command: Command, arguments: list[str]) -> None:
    """A pager that is left early is no error."""
    assert command.process(*arguments, script=LEFT).stderr == ""


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="there is no /dev/full")
def test_a_full_disk_is_no_verdict(command: Command, image: Image) -> None:
    """A report that cannot be printed is said, and is neither 0 nor 1."""
    with open("/dev/full", "w") as full:
        outcome = command.process("check", image(installed()), stdout=full)
    assert outcome.code == USAGE
    assert "No space left" in outcome.stderr


@posix
@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="there is no /dev/full")
@pytest.mark.parametrize("how", ["full", "left"])
@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["good", "--receipt", "out"], 0),
        (["good", "none*.vhdx"], NOTHING),
        (["none.vhdx"], USAGE),
        (["--no-such-option"], USAGE),
        (["folder", "--receipt", "out"], UNTOLD),
    ],
    ids=["progress", "a note", "refused", "usage", "no receipt"],
)
def test_nobody_has_to_listen_to_standard_error(
    command: Command, image: Image, tmp_path: Path, how: str, arguments: list[str], code: int
) -> None:
    """A full disk behind it, or a reader that left, is no verdict: the exit code is what it was."""
    script = "from validator.cli import main, progress\nprogress._EVERY = 0.0\nmain()"
    places = {"good": image(generalized()), "folder": tmp_path, "out": tmp_path / "out" / "receipt.json"}
    places["out"].parent.mkdir()
    if how == "full":
        errors = os.open("/dev/full", os.O_WRONLY)
    else:
        reader, errors = os.pipe()
        os.close(reader)
    try:
        given = [places.get(each, each) for each in arguments]
        outcome = command.process("check", *given, script=script, stderr=errors)
    finally:
        os.close(errors)
    assert outcome.code == code


# --- where reports go ----------------------------------------------------------------------------


@posix
@pytest.mark.parametrize("way", ["itself", "symbolic link", "hard link", "dotted"])
def test_a_report_never_lands_on_an_image(command: Command, image: Image, tmp_path: Path, way: str) -> None:
    """The command is wrong (2) before anything is read or written, by whatever name."""
    path = image(generalized())
    target = tmp_path / "report.json"
    if way == "symbolic link":
        target.symlink_to(path)
    elif way == "hard link":
        target.hardlink_to(path)
    else:
        target = path if way == "itself" else path.parent / ".." / path.parent.name / path.name
    outcome = command("check", path, "--report", f"json={target}")
    assert (outcome.code, outcome.stdout) == (USAGE, "")
    assert "would overwrite an image" in outcome.stderr


@pytest.mark.parametrize("target", ["none/report.json", "disk.vhdx/report.json", ""])
def test_a_report_that_has_no_place(command: Command, image: Image, target: str) -> None:
    """A folder that is not there, or is none: 2 before anything is read."""
    path = image(generalized())
    outcome = command("check", path, "--report", f"json={path.parent / target if target else ''}")
    assert (outcome.code, outcome.stdout) == (USAGE, "")


@posix
@pytest.mark.parametrize("target", [".", "/dev/full"])
def test_a_report_that_cannot_be_written(command: Command, image: Image, tmp_path: Path, target: str) -> None:
    """The command failed (2), and says which report is missing."""
    where = tmp_path if target == "." else target
    outcome = command("check", image(generalized()), "--report", f"text={where}")
    assert outcome.code == USAGE
    assert str(where) in outcome.stderr.replace("\n", "")
