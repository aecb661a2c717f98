"""Which Windows on a disk is judged, and what is said where none can be."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from tests.command import Command, Judged
from tests.images import (
    ABSENT,
    ENVIRONMENT_KEY,
    GENERALIZED_OOBE,
    STATE_KEY,
    Bitlocker,
    Blob,
    Disk,
    Esp,
    Fat,
    Msr,
    Ntfs,
    SystemReserved,
    Windows,
    boot,
    boot_store,
    damage,
    edited,
    generalized,
    installed,
    undeployable,
    with_state,
)
from tests.images.hive import Absent, Data
from tests.images.volumes import EFI_SYSTEM, Volume
from validator.facts import IMAGE_FACTS
from validator.source import FileSource

Image = Callable[..., Path]

CONFIG = r"Windows\System32\config"
LOCKED = ("undeployable", 1)
UNTOLD = ("indeterminate", 3)


def gpt(*volumes: Volume) -> Disk:
    """A disk for UEFI with these volumes behind the usual two."""
    return Disk((Esp(), Msr(), *volumes))


def ntfs(windows: Windows | None = None, label: str = "Windows", **options: Any) -> Ntfs:
    """An NTFS volume; volumes of one disk have labels of their own."""
    return Ntfs(windows, label=label, **options)


# --- none ----------------------------------------------------------------------------------------

DATA = {r"Users\Public\notes.txt": b"notes"}
NO_WINDOWS = {
    "an empty NTFS volume": gpt(ntfs()),
    "data on NTFS": gpt(ntfs(files=DATA)),
    "data on FAT": gpt(Fat(DATA)),
    "Windows on FAT": gpt(Fat({file.path: file.content for file in generalized().tree()}, size=72 << 20)),
    "only Windows.old": gpt(ntfs(files=generalized().tree(below="Windows.old"))),
    "a folder Windows without hives' folder": gpt(ntfs(files={r"Windows\explorer.exe": b"MZ"})),
    "a file where the folder should be": gpt(ntfs(files={CONFIG: b"not a folder"})),
    "an unknown file system": gpt(Blob(b"\xeb\x3cUNHEARD ".ljust(512, b"\1"))),
    "ReFS": gpt(Blob(b"\0\0\0ReFS\0\0\0\0".ljust(512, b"\0"))),
    "an NTFS volume that does not verify": gpt(Blob(b"\xeb\x52\x90NTFS    ".ljust(510, b"\0") + b"\x55\xaa")),
    "a dynamic disk": gpt(Blob(gpt_type="af9b60a0-1431-4f62-bc68-3311714a69ad")),
    "Storage Spaces": gpt(Blob(gpt_type="e75caf8f-f680-4cee-afa3-b001e56efc2d")),
}


@pytest.mark.parametrize("disk", NO_WINDOWS.values(), ids=NO_WINDOWS)
def test_a_disk_without_windows_is_indeterminate(command: Command, image: Image, disk: Disk) -> None:
    """Exit code 3, with a list of what is on the disk instead."""
    judged = command.judge(image(disk))
    assert judged.answer == UNTOLD
    assert judged.finding("windows-volume")["status"] == "unknown"
    assert judged.finding("image-state")["status"] == "unknown"


@pytest.mark.parametrize(
    ("name", "word"),
    [("ReFS", "ReFS"), ("a dynamic disk", "dynamic disk"), ("Storage Spaces", "Storage Spaces")],
)
def test_what_is_not_read_is_named(command: Command, image: Image, name: str, word: str) -> None:
    """A format that Windows may lie on, and that is not read, is named."""
    assert word in command.judge(image(NO_WINDOWS[name]))["summary"]


# --- several -------------------------------------------------------------------------------------


def two(first: Windows, second: Windows) -> Disk:
    """Two installations."""
    return gpt(ntfs(first), ntfs(second, "Second"))


SEVERAL = {
    "both deployable": (two(generalized(), generalized()), ("deployable", 0)),
    "both undeployable": (two(installed(), undeployable()), ("undeployable", 1)),
    "good and installed": (two(generalized(), installed()), UNTOLD),
    "installed and good": (two(installed(), generalized()), UNTOLD),
    "good and edited": (two(generalized(), edited()), UNTOLD),
    "good and unreadable": (two(generalized(), generalized().without_hive("SOFTWARE")), UNTOLD),
    "bad and unreadable": (two(installed(), generalized().without_hive("SOFTWARE")), UNTOLD),
    "unreadable and good": (two(generalized().file(rf"{CONFIG}\SYSTEM", b""), generalized()), UNTOLD),
    "three": (gpt(ntfs(generalized()), ntfs(edited(), "B"), ntfs(installed(), "C")), UNTOLD),
}  # fmt: skip


@pytest.mark.parametrize(("disk", "answer"), SEVERAL.values(), ids=SEVERAL)
def test_several_installations_must_agree(
    command: Command, image: Image, disk: Disk, answer: tuple[str, int]
) -> None:
    """As long as nothing says which one starts: one verdict by all, or none; and a word about it."""
    judged = command.judge(image(disk))
    assert judged.answer == answer
    finding = judged.finding("windows-volume")
    if answer == UNTOLD:
        assert "partition 3" in judged["summary"]
        assert "partition 4" in judged["summary"]
        assert (finding["status"], finding["severity"]) == ("unknown", "error")
    else:
        assert (finding["status"], finding["severity"]) == ("failed", "warning")
    assert len(judged["facts"]["installations"]) == len(disk.volumes) - 2


def test_the_order_of_installations_does_not_matter(command: Command, image: Image) -> None:
    """A warning of any of them is one, whichever comes first; the most of them are shown."""
    plain, warned = generalized(), generalized().system("Setup", CmdLine="cmd.exe /c tool.cmd")
    for first, second in ((plain, warned), (warned, plain)):
        judged = command.judge(image(two(first, second)), "--select", "generalization,system")
        assert judged.answer == ("deployable", 0)
        assert judged.finding("setup-pending")["status"] == "failed"


def test_an_accepted_warning_hides_none(command: Command, image: Image, tmp_path: Path) -> None:
    """Where a policy accepts the warnings of one and not those of the other, the other is shown."""
    policy = tmp_path / "policy.toml"
    names = ("setup-pending", "evidence-agrees", "windows-volume")
    policy.write_text("".join(f'[[waiver]]\ncheck = "{name}"\nreason = "x"\n' for name in names))
    one = generalized().system("Setup", CmdLine="cmd.exe /c tool.cmd")
    other = generalized().software(r"Microsoft\Windows NT\CurrentVersion\Winlogon", AutoAdminLogon="1")
    for first, second in ((one, other), (other, one)):
        options = ("--policy", str(policy), "--fail-on", "warning", "--profile", "azure-generalized")
        judged = command.judge(image(two(first, second)), *options, "--will-convert")
        assert judged.answer == ("deployable", 1)
        assert judged.finding("autologon")["status"] == "failed"


@pytest.mark.parametrize("make", [generalized, installed])
def test_windows_old_is_no_installation(command: Command, image: Image, make: Callable[[], Windows]) -> None:
    """What an upgrade leaves behind is not judged, whatever it says."""
    old, new = (installed(), generalized()) if make is generalized else (generalized(), installed())
    disk = gpt(ntfs(new, files=old.tree(below="Windows.old")))
    judged = command.judge(image(disk))
    assert judged.answer == (("deployable", 0) if make is generalized else ("undeployable", 1))
    assert judged.finding("windows-volume")["status"] == "passed"


def test_case_of_names_does_not_matter(command: Command, image: Image) -> None:
    """NTFS keeps the case of names and ignores it: `WINDOWS\\system32\\CONFIG` is the folder too."""
    files = {
        file.path.replace(CONFIG, CONFIG.upper()).replace("Setup\\State", "setup\\STATE"): file.content
        for file in generalized().tree(system_folder="WINDOWS")
    }
    assert command.judge(image(gpt(ntfs(files=files)))).answer == ("deployable", 0)


def test_logical_partitions_are_found(command: Command, image: Image) -> None:
    """Windows on the fifth volume of an MBR disk, a logical partition, is Windows."""
    fillers = [ntfs(label=f"Data{number}") for number in range(3)]
    disk = Disk((SystemReserved(), *fillers, ntfs(generalized())), "mbr")
    judged = command.judge(image(disk, "vhd-dynamic"))
    assert judged.answer == ("deployable", 0)
    assert judged["facts"]["installation"]["partition"] >= 5


# --- several, and a boot store that names one ----------------------------------------------------

GOOD, BAD = generalized(), installed()
DEPLOYABLE, REFUSED = ("deployable", 0), ("undeployable", 1)
NO_LOADER = {"GPT": r"Windows\System32\winload.efi", "MBR": r"Windows\System32\winload.exe"}


def started(device: bytes | None, *windows: Windows, **store: str) -> Disk:
    """A GPT disk whose default entry has this device."""
    labels = ("Windows", "Second", "Third")
    volumes = (ntfs(each, label) for each, label in zip(windows, labels))
    return Disk((Esp(store=boot_store(device=device, **store)), Msr(), *volumes))


def on(index: int) -> bytes:
    """The device of one of the volumes of a GPT disk."""
    return boot.gpt_partition(Disk(()).partition_guid(index), Disk(()).guid)


def in_mbr(number: int, *windows: Windows, signature: int = Disk(()).signature) -> Disk:
    """An MBR disk whose default entry has the device of the first or second Windows, 40 MiB each."""
    size = 40 << 20
    device = boot.mbr_partition((1 << 20) + (16 << 20) + number * size, signature)
    store = boot_store(r"\Windows\system32\winload.exe", device)
    volumes = (ntfs(each, label, size=size) for each, label in zip(windows, ("Windows", "Second")))
    return Disk((SystemReserved(store=store, size=16 << 20), *volumes), "mbr")


def without_loader(windows: Windows) -> Windows:
    """Without what the boot manager would start."""
    return windows.file(NO_LOADER["GPT"], ABSENT)


def single(first: Windows, second: Windows, active: int) -> Disk:
    """An MBR disk where the boot manager lies on a volume of Windows, as does the device `boot`."""
    store = boot_store(r"\Windows\system32\winload.exe", boot.boot_partition())
    files = boot.bios_boot_files(store)
    return Disk(
        tuple(
            ntfs(each, label, files=files if number == active else (), active=number == active)
            for number, (each, label) in enumerate(((first, "Windows"), (second, "Second")))
        ),
        "mbr",
    )


NAMED = {
    "the good one": (started(on(2), GOOD, BAD), DEPLOYABLE, 3),
    "the bad one": (started(on(3), GOOD, BAD), REFUSED, 4),
    "the good one, second": (started(on(3), BAD, GOOD), DEPLOYABLE, 4),
    "the bad one, first": (started(on(2), BAD, GOOD), REFUSED, 3),
    "the third": (started(on(4), BAD, edited(), GOOD), DEPLOYABLE, 5),
    "the good one beside one that is unreadable": (
        started(on(2), GOOD, GOOD.without_hive("SOFTWARE")), DEPLOYABLE, 3,
    ),
    "the unreadable one": (started(on(3), GOOD, GOOD.without_hive("SOFTWARE")), UNTOLD, 4),
    "of an MBR, the good one": (in_mbr(0, GOOD, BAD), DEPLOYABLE, 2),
    "of an MBR, the bad one": (in_mbr(1, GOOD, BAD), REFUSED, 3),
    "the only one with a loader, good": (started(None, GOOD, without_loader(BAD)), DEPLOYABLE, 3),
    "the only one with a loader, bad": (started(None, without_loader(GOOD), BAD), REFUSED, 4),
    "the only one with a loader, by “boot”": (
        started(boot.boot_partition(), without_loader(BAD), GOOD), DEPLOYABLE, 4,
    ),
    "the one with the boot manager": (single(BAD, GOOD, 1), DEPLOYABLE, 2),
    "the one with the boot manager, bad": (single(BAD, GOOD, 0), REFUSED, 1),
}  # fmt: skip


@pytest.mark.parametrize(("disk", "answer", "partition"), NAMED.values(), ids=NAMED)
def test_the_one_that_the_boot_store_starts_is_judged(
    command: Command, image: Image, disk: Disk, answer: tuple[str, int], partition: int
) -> None:
    """And no other; that there are several stays a warning, which says which one and why."""
    judged = command.judge(image(disk))
    assert judged.answer == answer
    assert judged["facts"]["installation"]["partition"] == partition
    finding = judged.finding("windows-volume")
    assert (finding["status"], finding["severity"]) == ("failed", "warning")
    assert f"the one on partition {partition} is judged" in finding["message"]
    assert "osdevice" in json.dumps(finding["evidence"])


ONCE = boot.boot_element(boot_store(device=on(2)), boot.BOOT_MANAGER, 0x24000002, [boot.BOOT_MANAGER])
NO_DEFAULT = boot.boot_element(boot_store(device=on(2)), boot.BOOT_MANAGER, boot.DEFAULT_OBJECT, "{none}")
FILES = boot.esp_files()
STORE = r"EFI\Microsoft\Boot\BCD"


def with_esp(*partitions: Volume) -> Disk:
    """A good and a bad one behind these volumes."""
    return Disk((*partitions, Msr(), ntfs(GOOD), ntfs(BAD, "Second")))


UNNAMED = {
    "both have a loader": started(None, GOOD, BAD),
    "none has a loader": started(None, without_loader(GOOD), without_loader(BAD)),
    "another disk": started(boot.gpt_partition(Disk(()).partition_guid(2), str(UUID(int=1))), GOOD, BAD),
    "another partition": started(on(0), GOOD, BAD),
    "another signature": in_mbr(0, GOOD, BAD, signature=1),
    "a device of unknown layout": started(bytes(88), GOOD, BAD),
    "another entry is started once": with_esp(Esp(store=ONCE)),
    "no default": with_esp(Esp(store=NO_DEFAULT)),
    "no store": with_esp(Esp({path: data for path, data in FILES.items() if path != STORE})),
    "a damaged store": with_esp(Esp({**FILES, STORE: b"regf\1\2\3" * 2**13})),
    "an empty store": with_esp(Esp({**FILES, STORE: b""})),
    "no volume to look on": with_esp(),
    "two boot managers": with_esp(Esp(store=boot_store(device=on(3))), Esp(size=36 << 20)),
    "an unreadable volume": with_esp(Blob(b"\xeb\x3cUNHEARD ".ljust(512, b"\1"), gpt_type=EFI_SYSTEM)),
}  # fmt: skip


@pytest.mark.parametrize("disk", UNNAMED.values(), ids=UNNAMED)
def test_as_long_as_no_store_says_which_all_must_agree(command: Command, image: Image, disk: Disk) -> None:
    """A store that is missing, damaged or ambiguous decides nothing."""
    judged = command.judge(image(disk))
    assert judged.answer == UNTOLD
    assert "nothing says which one starts" in judged["summary"]


def test_a_damaged_store_does_not_matter_where_all_agree(command: Command, image: Image) -> None:
    """As before the store was read."""
    disk = Disk((Esp({**FILES, STORE: b""}), Msr(), ntfs(GOOD), ntfs(GOOD, "Second")))
    assert command.judge(image(disk)).answer == DEPLOYABLE


@pytest.mark.parametrize("windows", [GOOD, BAD], ids=["deployable", "undeployable"])
def test_another_system_folder_is_not_judged(command: Command, image: Image, windows: Windows) -> None:
    """Even where all that is judged agrees: what starts is none of them."""
    judged = command.judge(image(started(on(2), windows, windows, system_root=r"\WinNT")))
    finding = judged.finding("windows-volume")
    assert judged.answer == UNTOLD
    assert (finding["status"], finding["severity"]) == ("unknown", "error")
    assert r"\WinNT" in judged["summary"]


def test_a_failure_of_ours_while_the_store_is_read_leaves_nothing_green(
    command: Command, image: Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Even where all agree."""
    monkeypatch.setitem(IMAGE_FACTS, "boot_store", _fail)
    assert command.judge(image(two(generalized(), generalized()))).answer == UNTOLD


def _fail() -> object:
    raise RuntimeError("of ours")


def test_the_store_is_not_read_for_one_installation(
    command: Command, image: Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The plain question stays cheap."""
    asked = []
    monkeypatch.setitem(IMAGE_FACTS, "system_volume", lambda: asked.append("system_volume"))
    assert command.judge(image(generalized())).answer == DEPLOYABLE
    assert not asked
    assert command.judge(image(two(generalized(), generalized()))).answer == UNTOLD
    assert asked


# --- BitLocker -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "disk",
    [
        gpt(Bitlocker()),
        Disk((SystemReserved(), Bitlocker()), "mbr"),
        gpt(Bitlocker(), ntfs(files={r"Recovery\WindowsRE\Winre.wim": b"MSWIM"}, label="Recovery")),
    ],
    ids=["GPT", "MBR", "with a recovery volume"],
)
def test_windows_on_an_encrypted_volume_is_undeployable(command: Command, image: Image, disk: Disk) -> None:
    """Sysprep refuses there, so it cannot have run; the word is BitLocker, and how to get rid of it."""
    judged = command.judge(image(disk))
    finding = judged.finding("bitlocker")
    assert judged.answer == LOCKED
    assert "BitLocker" in judged["summary"]
    assert "no Windows" not in judged["summary"]
    assert (finding["status"], finding["severity"]) == ("failed", "error")
    assert "manage-bde -off C:" in finding["remedy"]["commands"]


def test_an_encrypted_volume_beside_windows_is_a_warning(command: Command, image: Image) -> None:
    """A data volume may be encrypted: deployable, with a warning."""
    judged = command.judge(image(gpt(ntfs(generalized()), Bitlocker())))
    finding = judged.finding("bitlocker")
    assert judged.answer == ("deployable", 0)
    assert (finding["status"], finding["severity"]) == ("failed", "warning")


@pytest.mark.parametrize(
    "other", ["an NTFS volume that does not verify", "ReFS", "a dynamic disk", "Storage Spaces"]
)
def test_an_encrypted_volume_beside_one_that_cannot_be_read_is_doubt(
    command: Command, image: Image, other: str
) -> None:
    """Windows may be on either: nothing says that it is on the encrypted one."""
    volume = NO_WINDOWS[other].volumes[-1]
    assert command.judge(image(gpt(volume, Bitlocker()))).answer == UNTOLD


# --- the processor -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("stored", "status"),
    [("AMD64", "passed"), ("ARM64", "passed"), ("x86", "failed"), (ABSENT, "not applicable")],
    ids=str,
)
def test_a_32_bit_windows_is_a_notice(command: Command, image: Image, stored: Data, status: str) -> None:
    """Azure runs none, other platforms may: worth a word, no warning, no failure."""
    windows = generalized().system(ENVIRONMENT_KEY, PROCESSOR_ARCHITECTURE=stored)
    judged = command.judge(image(windows), "--fail-on", "warning")
    finding = judged.finding("os-architecture")
    assert judged.answer == ("deployable", 0)
    assert (finding["status"], finding["severity"]) == (status, "notice")


def test_the_current_control_set_is_read(command: Command, image: Image) -> None:
    """`Select\\Current` says which control set counts; it is not always the first."""
    windows = generalized().system("Select", Current=2)
    other = windows.system(ENVIRONMENT_KEY.replace("001", "002"), PROCESSOR_ARCHITECTURE="x86")
    assert command.judge(image(other)).finding("os-architecture")["status"] == "failed"


# --- SOFTWARE, and the copies of it --------------------------------------------------------------

SOFTWARE_HIVES = {"absent": ABSENT, "empty": b"", "zeros": bytes(2**16), "garbage": b"regf\1\2\3" * 2**13}


@pytest.mark.parametrize("content", SOFTWARE_HIVES.values(), ids=SOFTWARE_HIVES)
@pytest.mark.parametrize("copy", ["RegBack\\SOFTWARE", "SOFTWARE.OLD", "SOFTWARE.LOG1"])
def test_no_copy_stands_in_for_the_hive(
    command: Command, image: Image, content: bytes | Absent, copy: str
) -> None:
    """A good hive in RegBack, or under another name, is old by nature: without the hive, no answer."""
    good = generalized().hive("SOFTWARE")
    windows = generalized().file(rf"{CONFIG}\SOFTWARE", content).file(rf"{CONFIG}\{copy}", good)
    judged = command.judge(image(windows))
    assert judged.answer == UNTOLD
    assert judged.finding("image-state")["status"] == "unknown"
    assert rf"{CONFIG}\SOFTWARE" in judged["summary"]
    assert "RegBack" not in json.dumps(judged)


def test_no_byte_of_regback_is_read(command: Command, image: Image, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not even to compare: no read of the image touches the copies."""
    spans: list[tuple[int, int]] = []
    read_at = FileSource.read_at

    def recorded(self: FileSource, offset: int, length: int) -> bytes:
        spans.append((offset, offset + length))
        return read_at(self, offset, length)

    mark = "only in RegBack"
    copy = with_state(generalized(), GENERALIZED_OOBE).software(STATE_KEY, Mark=mark)
    windows = installed()
    for name in ("SOFTWARE", "SYSTEM"):
        windows = windows.file(rf"{CONFIG}\RegBack\{name}", copy.software("A", Name=name).hive("SOFTWARE"))
    path = image(windows, "vhd-fixed", scheme="mbr")
    places = damage.locate_all(path, mark.encode("utf-16-le"))
    assert len(places) == 2
    monkeypatch.setattr(FileSource, "read_at", recorded)
    assert command.judge(path).answer == ("undeployable", 1)
    assert spans
    assert not [place for place in places for start, end in spans if start <= place < end]


def test_a_good_hive_in_regback_does_not_hide_a_bad_one(command: Command, image: Image) -> None:
    """The installation's own hive counts, and so does its own state."""
    windows = installed()
    for name in ("SOFTWARE", "SYSTEM"):
        windows = windows.file(rf"{CONFIG}\RegBack\{name}", generalized().hive(name))
    judged: Judged = command.judge(image(windows))
    assert judged.answer == ("undeployable", 1)


def test_a_folder_in_the_place_of_a_hive_is_doubt(command: Command, image: Image) -> None:
    """Something that cannot be a hive is not the same as no hive, and both are doubt."""
    windows = generalized().without_hive("SOFTWARE").file(rf"{CONFIG}\SOFTWARE" + "\\", b"")
    assert command.judge(image(windows)).answer == UNTOLD
