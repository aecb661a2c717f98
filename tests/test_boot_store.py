"""The boot store: what stands in real ones, every layout of a device, and stores that start nothing."""

from __future__ import annotations

import io
import struct
import uuid
from functools import reduce
from pathlib import Path

import pytest

from tests.hostile import Bytes, open_image, refuses
from tests.images import Hive as HiveDescription
from tests.images import MissingTool, boot, boot_store, build, generalized
from tests.images.factory import disk_of
from validator.disk.fat import FatVolume
from validator.disk.ntfs import NtfsVolume
from validator.disk.partitions import read_partition_table
from validator.disk.volumes import VolumeKind, read_volumes, window
from validator.evidence import Layer
from validator.windows import boot_store as bcd
from validator.windows.boot_store import BootEntry, BootStore, Device, read_boot_store, read_device
from validator.windows.hive import Hive

STORES = ("BCD_efi_regipy.xz", "BCD_install_media.xz", "BCD_efi_locate")
BCD = r"\EFI\Microsoft\Boot\BCD"
PARTITION = "11111111-2222-3333-4444-555555555555"
DISK = "aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee"
OTHER = "{00000000-1111-2222-3333-444444444444}"


def read(data: bytes) -> BootStore:
    """The store in some bytes."""
    return read_boot_store(Hive(Bytes(data, BCD, 1)), 1)


def made(store: HiveDescription) -> BootStore:
    """The store of a description."""
    try:
        data = store.build()
    except MissingTool as missing:
        pytest.skip(str(missing))
    return read(data)


def loader_of(store: BootStore) -> BootEntry:
    """The default loader, which must be there."""
    assert store.default is not None
    return store.default


def manager_of(store: BootStore) -> BootEntry:
    """The boot manager, which must be there."""
    assert store.manager is not None
    return store.manager


# --- real stores ---------------------------------------------------------------------------------


def by_dissect(data: bytes) -> dict[str, tuple[int, dict[int, object]]]:
    """Type and elements of every object, as dissect.regf reads them."""
    from dissect.regf import RegistryHive

    objects = {}
    for each in RegistryHive(io.BytesIO(data)).open("Objects").subkeys():
        elements = {
            int(key.name, 16): key.value("Element").value for key in each.subkey("Elements").subkeys()
        }
        objects[each.name] = each.subkey("Description").value("Type").value, elements
    return objects


def expected_elements(
    objects: dict[str, tuple[int, dict[int, object]]], identifier: str
) -> dict[int, object]:
    """An object's elements with what it inherits, by the plainest way there is."""
    _, own = objects[identifier]
    elements = dict(own)
    for parent in own.get(bcd.INHERIT, []):  # type: ignore[attr-defined]
        if parent in objects:
            for number, value in expected_elements(objects, parent).items():
                if number != bcd.DESCRIPTION:
                    elements.setdefault(number, value)
    return elements


@pytest.mark.parametrize("name", STORES)
def test_real_stores_value_by_value(name: str, corpus: object) -> None:
    """Against dissect.regf, for the boot manager and every loader."""
    data: bytes = corpus[f"hives/bcd/{name}"]  # type: ignore[index]
    store, objects = read(data), by_dissect(data)
    manager = manager_of(store)
    assert store.default_id == objects[bcd.BOOT_MANAGER_ID][1][bcd.DEFAULT]
    assert store.default in store.loaders
    compared = 0
    for entry in (manager, *store.loaders):
        kind, _ = objects[entry.id]
        assert entry.type == kind
        known = bcd.MANAGER_ELEMENTS if entry is manager else bcd.LOADER_ELEMENTS
        expected = expected_elements(objects, entry.id)
        assert set(entry.elements) == set(expected) & set(known)
        for number in entry.elements:
            value = expected[number]
            form = number >> 24 & 0xF
            if form in (2, 3):
                assert entry.text(number) == value
            elif form == 4:
                assert list(entry.texts(number) or ()) == value
            elif form == 5:
                assert isinstance(value, bytes)
                assert entry.number(number) == int.from_bytes(value, "little")
            elif form == 6:
                assert entry.flag(number) is (value != b"\0")
            else:
                assert entry.elements[number].data == value
            compared += 1
    assert compared > 10


def test_store_of_an_installed_windows(corpus: object) -> None:
    """What a person reads there: GPT partitions, a recovery environment that is not on the menu."""
    store = read(corpus["hives/bcd/BCD_efi_regipy.xz"])  # type: ignore[index]
    loader = loader_of(store)
    assert [each.id for each in store.loaders] == ["{733b62e5-f608-11eb-825c-c112f60133ab}"]
    assert (loader.kind, loader.text(bcd.DESCRIPTION)) == ("OS loader", "Windows 10")
    assert loader.text(bcd.PATH) == r"\Windows\system32\winload.efi"
    assert loader.device(bcd.DEVICE) == loader.device(bcd.OSDEVICE)
    device = loader.device(bcd.OSDEVICE)
    assert device is not None
    assert device[0] == "partition"
    assert device[2:] == (
        "8e0f2c38-e4ea-47ba-b7fc-9d8c74dccf0b", "0b2394a9-095e-487d-8d48-719ecd4d78ca", None, "gpt",
    )  # fmt: skip
    assert loader.flag(bcd.RECOVERYENABLED) is True
    assert loader.flag(bcd.BOOTEMS) is False  # of {emssettings}, by way of two other objects
    assert "{0ce4991b-" in str(loader.evidence(bcd.BOOTEMS))
    assert loader.flag(bcd.WINPE) is None
    assert (manager_of(store).kind, manager_of(store).number(bcd.TIMEOUT)) == ("boot manager", 30)


def test_store_of_installation_media(corpus: object) -> None:
    """A RAM disk on the partition of the boot manager, and numbers of one byte."""
    store = read(corpus["hives/bcd/BCD_install_media.xz"])  # type: ignore[index]
    loader = loader_of(store)
    text = r"the RAM disk from “\sources\boot.wim” on the partition that the boot manager came from"
    assert loader.device(bcd.DEVICE) == Device("ramdisk", text)
    assert loader.flag(bcd.WINPE) is True
    assert loader.flag(bcd.EMS) is False
    assert manager_of(store).number(bcd.TIMEOUT) == 30
    assert manager_of(store).device(bcd.DEVICE) is None


def test_store_with_located_devices(corpus: object) -> None:
    """As sysprep leaves them."""
    loader = loader_of(read(corpus["hives/bcd/BCD_efi_locate"]))  # type: ignore[index]
    assert loader.device(bcd.DEVICE) == Device("locate", "the first partition that has what “path” names")
    assert loader.device(bcd.OSDEVICE) == Device(
        "locate", "the first partition that has what “systemroot” names"
    )


@pytest.mark.parametrize(
    ("identifier", "expected"),
    [
        ("{733b62e6-f608-11eb-825c-c112f60133ab}", ("ramdisk", "6cdfcd69-de75-4490-8f99-5a84bf264917")),
        (bcd.BOOT_MANAGER_ID, ("partition", "36be3955-63bf-4068-a6ab-00195cca3a22")),
    ],
)
def test_real_devices(identifier: str, expected: tuple[str, str], corpus: object) -> None:
    """Also of objects that are not on the menu."""
    objects = by_dissect(corpus["hives/bcd/BCD_efi_regipy.xz"])  # type: ignore[index]
    data = objects[identifier][1][bcd.DEVICE]
    assert isinstance(data, bytes)
    device = read_device(data)
    assert (device.kind, device.partition) == expected
    assert device.disk == "0b2394a9-095e-487d-8d48-719ecd4d78ca"


# --- devices -------------------------------------------------------------------------------------

GPT = boot.gpt_partition(PARTITION, DISK)
MBR = boot.mbr_partition(0x100000, 0x1234ABCD)
BOOT = boot.boot_partition()


def descriptor(kind: int, specific: bytes) -> bytes:
    """A device element."""
    return struct.pack("<16xIIII", kind, 0, 16 + len(specific), 0) + specific


def utf16(text: str) -> bytes:
    """A path as it stands there."""
    return text.encode("utf-16-le") + b"\0\0"


def located(path: str, parent: bytes, mode: int = 1) -> bytes:
    """A device that is found by a path, on another device."""
    name = utf16(path)
    return descriptor(8, struct.pack("<III", mode, 0, 28 + len(name)) + name + parent[16:])


def in_file(local: int, path: str, parent: bytes) -> bytes:
    """A block device that is kept in a file."""
    inner = parent[16:] + utf16(path)
    extent = bytes(20) if local == 3 else b""
    return descriptor(
        0, struct.pack("<I", local) + extent + struct.pack("<III", 1, 12 + len(inner), 5) + inner
    )


DEVICES = {
    "boot": (BOOT, ("boot", None, None, None, None)),
    "gpt": (GPT, ("partition", PARTITION, DISK, None, "gpt")),
    "mbr": (MBR, ("partition", None, "1234abcd", 0x100000, "mbr")),
    "raw": (GPT[:0x34] + struct.pack("<I", 2) + GPT[0x38:], ("partition", None, None, None, "raw")),
    "locate": (boot.locate(bcd.PATH), ("locate", None, None, None, None)),
    "locate-on-gpt": (located(r"\Windows", GPT), ("locate", PARTITION, DISK, None, "gpt")),
    "locate-on-mbr": (located(r"\Windows", MBR), ("locate", None, "1234abcd", 0x100000, "mbr")),
    "locate-behind-empty-path": (located("", GPT, 0), ("locate", PARTITION, DISK, None, "gpt")),
    "file": (in_file(5, r"\some\file", GPT), ("file", PARTITION, DISK, None, "gpt")),
    "vhd": (in_file(6, r"\disk.vhdx", MBR), ("vhd", None, "1234abcd", 0x100000, "mbr")),
    "vhd-located": (in_file(6, r"\disk.vhdx", boot.locate(bcd.PATH)), ("vhd", None, None, None, None)),
    "ramdisk": (in_file(3, r"\boot.wim", BOOT), ("ramdisk", None, None, None, None)),
}


@pytest.mark.parametrize("name", DEVICES)
def test_device(name: str) -> None:
    """Every layout that is known, and no cut form of it."""
    data, expected = DEVICES[name]
    device = read_device(data)
    assert (device.kind, *device[2:]) == expected
    assert device.text
    for length in range(len(data)):
        assert read_device(data[:length]).kind == "other", length
    assert read_device(data + b"\0").kind == "other"


def test_device_in_words() -> None:
    """With the names that a person can look for."""
    assert read_device(in_file(6, r"\disk.vhdx", MBR)).text == (
        r"the virtual disk “\disk.vhdx” on the partition at offset 0x100000 of the MBR disk 1234abcd"
    )
    assert read_device(located(r"\Windows", GPT)).text == (
        r"the first partition that has what “\Windows” names, searched on "
        f"the partition {PARTITION} of the GPT disk {DISK}"
    )


UNKNOWN = {
    "empty": b"",
    "zeros": bytes(88),
    "serial": descriptor(3, bytes(56)),
    "network": descriptor(4, bytes(56)),
    "hard-disk": descriptor(0, bytes(56)),
    "legacy-partition": descriptor(2, bytes(56)),
    "type": descriptor(0xFFFFFFFF, bytes(56)),
    "scheme": GPT[:0x34] + struct.pack("<I", 3) + GPT[0x38:],
    "medium": GPT[:0x30] + struct.pack("<I", 2) + GPT[0x34:],
    "size": GPT[:0x18] + struct.pack("<I", 0xFFFFFFFF) + GPT[0x1C:],
    "size-of-nothing": GPT[:0x18] + bytes(4) + GPT[0x1C:],
    "locate-mode": located("x", GPT, 2),
    "locate-parent-before": descriptor(8, struct.pack("<III", 0, bcd.PATH, 4) + b"\0\0"),
    "locate-parent-behind": descriptor(8, struct.pack("<III", 0, bcd.PATH, 0xFFFFFFF0) + b"\0\0"),
    "path-without-end": in_file(5, "x", GPT)[:-2] + b"xx",
    "block-form": in_file(5, "x", GPT).replace(b"\5\0\0\0" + GPT[16:], b"\4\0\0\0" + GPT[16:]),
    "nested-deep": reduce(lambda inner, name: in_file(6, name, inner), "123456", GPT),
}


@pytest.mark.parametrize("name", UNKNOWN)
def test_unknown_device(name: str) -> None:
    """Named, not judged, and never an error."""
    device = read_device(UNKNOWN[name])
    assert (device.kind, *device[2:]) == ("other", None, None, None, None)
    assert device.text


def test_guids_are_mixed_endian() -> None:
    """As Windows writes them."""
    assert uuid.UUID(PARTITION).bytes_le in GPT
    assert uuid.UUID(PARTITION).bytes_le != uuid.UUID(PARTITION).bytes or PARTITION[:8] == "11111111"
    assert read_device(boot.gpt_partition(DISK, PARTITION)).partition == DISK


# --- stores --------------------------------------------------------------------------------------


def element(store: HiveDescription, number: int, value: object, guid: str = boot.LOADER) -> HiveDescription:
    """Set an element."""
    return boot.boot_element(store, guid, number, value)  # type: ignore[arg-type]


def test_generalized_store() -> None:
    """The store of the factory."""
    store = made(boot_store())
    assert (store.path, store.partition, store.default_id) == (BCD, 1, boot.LOADER)
    assert store.loaders == (store.default,)
    loader = loader_of(store)
    assert (loader.text(bcd.PATH), loader.text(bcd.SYSTEMROOT)) == (
        r"\Windows\system32\winload.efi",
        r"\Windows",
    )
    assert manager_of(store).texts(bcd.DISPLAYORDER) == (boot.LOADER,)
    device = manager_of(store).device(bcd.DEVICE)
    assert device is not None
    assert device.kind == "boot"


def test_default_is_missing() -> None:
    """What is on the menu stays known."""
    store = made(element(boot_store(), bcd.DEFAULT, 5, boot.BOOT_MANAGER))
    assert (store.default_id, store.default) == (None, None)
    assert [each.id for each in store.loaders] == [boot.LOADER]


@pytest.mark.parametrize("value", [OTHER, "", r"{9dea862c-5cdd-4e70-acc1-f32b344d4795}\Elements", "winload"])
def test_default_points_nowhere(value: str) -> None:
    """To an object that is not there, or to no object at all."""
    store = made(element(boot_store(), bcd.DEFAULT, value, boot.BOOT_MANAGER))
    assert store.default is None
    assert store.default_id == value.lower()
    assert [each.id for each in store.loaders] == [boot.LOADER]


def test_default_in_another_case() -> None:
    """Names of keys have none."""
    store = made(element(boot_store(), bcd.DEFAULT, boot.LOADER.upper(), boot.BOOT_MANAGER))
    assert loader_of(store).id == boot.LOADER


def test_no_manager() -> None:
    """A store that starts nothing, which is not damage."""
    for description in (
        HiveDescription("BCD").set("Objects"),
        HiveDescription("BCD").set("Description", System=1),
    ):
        assert made(description) == BootStore(BCD, 1, None, None, None, ())


def test_default_of_another_kind() -> None:
    """It is the default, and no loader of Windows."""
    store = boot.boot_object(boot_store(), OTHER, bcd.RESUME_LOADER)
    read_back = made(element(store, bcd.DEFAULT, OTHER, boot.BOOT_MANAGER))
    assert loader_of(read_back).kind == "resume loader"
    assert [each.id for each in read_back.loaders] == [boot.LOADER]


def test_next_start_is_another() -> None:
    """The boot sequence comes before the menu, once."""
    store = boot.boot_object(boot_store(), OTHER, bcd.OS_LOADER)
    store = element(store, bcd.BOOTSEQUENCE, [OTHER, boot.LOADER], boot.BOOT_MANAGER)
    assert [each.id for each in made(store).loaders] == [boot.LOADER, OTHER]


def test_flags_and_numbers() -> None:
    """Of one byte to eight, and what is none of them."""
    store = boot_store()
    for number, value in (
        (bcd.TESTSIGNING, b"\x01"),
        (bcd.NOINTEGRITYCHECKS, b"\0\0\0\0"),
        (bcd.WINPE, b"\0\x01"),
        (bcd.DEBUG, b""),
        (bcd.SAFEBOOT, b"\x02"),
        (bcd.BOOTSTATUSPOLICY, struct.pack("<Q", 1 << 40)),
        (bcd.NX, bytes(9)),
        (bcd.EMS, "1"),
    ):
        store = element(store, number, value)
    loader = loader_of(made(store))
    flags = [
        loader.flag(each) for each in (bcd.TESTSIGNING, bcd.NOINTEGRITYCHECKS, bcd.WINPE, bcd.DEBUG, bcd.EMS)
    ]
    assert flags == [True, False, True, None, None]
    numbers = [loader.number(each) for each in (bcd.SAFEBOOT, bcd.BOOTSTATUSPOLICY, bcd.NX, bcd.TIMEOUT)]
    assert numbers == [2, 1 << 40, None, None]
    assert loader.value(bcd.DEBUG) is not None
    assert loader.value(bcd.TIMEOUT) is None


def test_evidence() -> None:
    """By the name that bcdedit prints, with the key to look at, also of what is absent."""
    store = made(element(boot_store(), bcd.TESTSIGNING, b"\x01"))
    loader, manager = loader_of(store), manager_of(store)
    seen = loader.evidence(bcd.TESTSIGNING)
    assert seen.found == "testsigning yes"
    assert seen.where == (
        Layer.HIVE, None, 1, BCD, rf"Objects\{boot.LOADER}\Elements\16000049", "Element", None,
    )  # fmt: skip
    absent = loader.evidence(bcd.SAFEBOOT)
    assert absent.found == "no element safeboot"
    assert absent.where.key == rf"Objects\{boot.LOADER}\Elements\25000080"
    assert loader.evidence(bcd.PATH).found == r"path \Windows\system32\winload.efi (REG_SZ)"
    assert loader.evidence(bcd.OSDEVICE).found.startswith("osdevice the first partition")
    assert manager.evidence(bcd.DEFAULT).found == f"default {boot.LOADER} (REG_SZ)"
    assert manager.evidence(bcd.DISPLAYORDER).found == f"displayorder {boot.LOADER}"
    assert manager.evidence(bcd.TIMEOUT).found == "timeout 30"
    assert loader.evidence(0x26001234).found == "no element 26001234"


def test_inherited_elements() -> None:
    """An object's own come first; a circle of objects ends."""
    store = boot.boot_object(boot_store(), OTHER, 0x20200003)
    store = element(store, bcd.INHERIT, [OTHER])
    store = element(store, bcd.INHERIT, [boot.LOADER, OTHER], OTHER)
    store = element(store, bcd.TESTSIGNING, b"\x01", OTHER)
    store = element(store, bcd.SYSTEMROOT, r"\Elsewhere", OTHER)
    loader = loader_of(made(store))
    assert loader.flag(bcd.TESTSIGNING) is True
    assert OTHER in str(loader.evidence(bcd.TESTSIGNING))
    assert loader.text(bcd.SYSTEMROOT) == r"\Windows"
    assert loader.texts(bcd.INHERIT) == (OTHER,)


def test_endless_menu() -> None:
    """No disk needs it."""
    menu = [f"{{{uuid.UUID(int=number)}}}" for number in range(100)]
    for number, guid in ((bcd.DISPLAYORDER, boot.BOOT_MANAGER), (bcd.INHERIT, boot.LOADER)):
        evidence = refuses(
            lambda number=number, guid=guid: made(element(boot_store(), number, menu, guid)), Layer.HIVE
        )
        assert "at most 64" in evidence.expected


@pytest.mark.parametrize("scheme", ["gpt", "mbr"])
def test_store_on_a_disk(scheme: str) -> None:
    """On an EFI system partition (FAT) and on a System Reserved volume (NTFS)."""
    try:
        image: Path = build(disk_of(generalized(), scheme))
    except MissingTool as missing:
        pytest.skip(str(missing))
    path = BCD[1:] if scheme == "gpt" else r"Boot\BCD"
    with open_image(image) as disk:
        found = read_volumes(disk, read_partition_table(disk))[0]
        assert found.kind is (VolumeKind.FAT if scheme == "gpt" else VolumeKind.NTFS)
        opener = FatVolume if scheme == "gpt" else NtfsVolume
        file = opener(window(disk, found.partition), found.partition.number).open(path)
        assert file is not None
        store = read_boot_store(Hive(file), file.partition)
    suffix = "efi" if scheme == "gpt" else "exe"
    assert loader_of(store).text(bcd.PATH) == rf"\Windows\system32\winload.{suffix}"
    assert (store.path, store.partition) == ("\\" + path, found.partition.number)
