r"""The boot store (BCD): what the boot manager starts, and from which device.

A hive of objects: ``Objects\{guid}\Description`` has the type, ``Objects\{guid}\Elements\<8 hexadecimal
digits>`` a value `Element` each. Microsoft documents the numbers (BCD reference, BcdBootMgrElementTypes
and its neighbours) but not the bytes of a device; those are known from two public parsers, a header of
the boot environment and real stores. What is laid out in another way is named and not judged.
"""

import re
import uuid
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from validator.disk.container import unpack_at
from validator.evidence import Evidence, Layer, Location, damaged
from validator.windows.hive import REG_BINARY, REG_DWORD, Hive, Value

REG_MULTI_SZ, REG_QWORD = 7, 11

BOOT_MANAGER_ID = "{9dea862c-5cdd-4e70-acc1-f32b344d4795}"
BOOT_MANAGER, OS_LOADER, RESUME_LOADER = 0x10100002, 0x10200003, 0x10200004
KINDS = {
    0x10100001: "firmware boot manager",
    BOOT_MANAGER: "boot manager",
    OS_LOADER: "OS loader",
    RESUME_LOADER: "resume loader",
    0x10200005: "memory tester",
    0x10300006: "Windows legacy loader",
    0x10400008: "boot sector",
    0x10400009: "boot sector",
    0x101FFFFF: "firmware application",
}

# Elements by the names that bcdedit prints. Those that begin with 2 mean something else in each kind of
# object: 23000003 is the default of a boot manager, and what a loader resumes with.
DEVICE = 0x11000001
PATH = 0x12000002
DESCRIPTION = 0x12000004
INHERIT = 0x14000006
RECOVERYSEQUENCE = 0x14000008
RECOVERYENABLED = 0x16000009
BOOTDEBUG = 0x16000010
BOOTEMS = 0x16000020
NOINTEGRITYCHECKS = 0x16000048
TESTSIGNING = 0x16000049

DEFAULT = 0x23000003
DISPLAYORDER = 0x24000001
BOOTSEQUENCE = 0x24000002
TIMEOUT = 0x25000004

OSDEVICE = 0x21000001
SYSTEMROOT = 0x22000002
RESUMEOBJECT = 0x23000003
NX = 0x25000020
SAFEBOOT = 0x25000080
BOOTSTATUSPOLICY = 0x250000E0
HYPERVISORLAUNCHTYPE = 0x250000F0
WINPE = 0x26000022
SAFEBOOTALTERNATESHELL = 0x26000081
DEBUG = 0x260000A0
EMS = 0x260000B0
IMCHIVENAME = 0x22000137
IMCDEVICE = 0x21000138

_LIBRARY = {
    DEVICE: "device",
    PATH: "path",
    DESCRIPTION: "description",
    INHERIT: "inherit",
    RECOVERYSEQUENCE: "recoverysequence",
    RECOVERYENABLED: "recoveryenabled",
    BOOTDEBUG: "bootdebug",
    BOOTEMS: "bootems",
    NOINTEGRITYCHECKS: "nointegritychecks",
    TESTSIGNING: "testsigning",
}
MANAGER_ELEMENTS = _LIBRARY | {
    DEFAULT: "default",
    DISPLAYORDER: "displayorder",
    BOOTSEQUENCE: "bootsequence",
    TIMEOUT: "timeout",
}
LOADER_ELEMENTS = _LIBRARY | {
    OSDEVICE: "osdevice",
    SYSTEMROOT: "systemroot",
    RESUMEOBJECT: "resumeobject",
    NX: "nx",
    SAFEBOOT: "safeboot",
    BOOTSTATUSPOLICY: "bootstatuspolicy",
    HYPERVISORLAUNCHTYPE: "hypervisorlaunchtype",
    WINPE: "winpe",
    SAFEBOOTALTERNATESHELL: "safebootalternateshell",
    DEBUG: "debug",
    EMS: "ems",
    IMCHIVENAME: "imchivename",
    IMCDEVICE: "imcdevice",
}
"""The elements that are read; all others of an object are left alone."""

MAX_OBJECTS = 64
"""Entries on the menu, and objects that one entry inherits from."""
_GUID = re.compile(r"\{[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\}")
_OWN = INHERIT, DESCRIPTION
"""Elements that are an object's own and never inherited."""
_NUMERIC = REG_BINARY, REG_DWORD, REG_QWORD
_BLOCK, _BOOT, _PARTITION, _LOCATE = 0, 5, 6, 8
"""Types of a device descriptor."""
_IN_FILES = {3: ("ramdisk", "RAM disk from", 40), 5: ("file", "file", 20), 6: ("vhd", "virtual disk", 20)}
"""Block devices that are kept in a file: their kind, words, and where the path block begins."""
_OPTIONS = 16
"""Bytes before the descriptor: GUID of an object with options."""
_MAX_NESTING = 4


class Device(NamedTuple):
    """A device element in the parts that can be compared with a disk.

    Attributes:
        kind: boot, locate, partition, file, ramdisk, vhd, or other for what is not judged.
        text: the same in words, for evidence.
        partition: GUID of a GPT partition, in lower case. Of a file, a RAM disk, a virtual disk or a
            located device it is the partition that the file lies on or that is searched.
        disk: GUID of a GPT disk, or signature of an MBR disk as 8 hexadecimal digits.
        offset: where an MBR partition begins, in bytes.
        scheme: gpt, mbr or raw, where a partition is named.
    """

    kind: str
    text: str
    partition: str | None = None
    disk: str | None = None
    offset: int | None = None
    scheme: str | None = None


class BootEntry(NamedTuple):
    """An object of the store with those of its elements that are read, inherited ones included.

    The accessors give None where an element is absent or has not the form that it must have; `value`
    and `evidence` tell the two apart.
    """

    id: str
    """GUID in braces, in lower case."""
    type: int | None
    elements: Mapping[int, Value]
    where: Location
    """Its key."""

    @property
    def kind(self) -> str:
        """Its type in words."""
        if self.type is None:
            return "object without a type"
        return KINDS.get(self.type, f"object of type {self.type:08x}")

    def value(self, number: int) -> Value | None:
        """An element as it is stored."""
        return self.elements.get(number)

    def device(self, number: int) -> Device | None:
        """A device; one that is malformed or unknown has the kind “other”."""
        return None if (value := self.value(number)) is None else read_device(value.data)

    def text(self, number: int) -> str | None:
        """A text, or the GUID of an object as it is written, up to the first NUL."""
        return None if (value := self.value(number)) is None else value.string

    def texts(self, number: int) -> tuple[str, ...] | None:
        """A list of texts or objects, up to the first empty one."""
        return None if (value := self.value(number)) is None else _texts(value)

    def number(self, number: int) -> int | None:
        """A number: 1 to 8 bytes, little-endian (installation media have short ones)."""
        value = self.value(number)
        if value is None or value.type not in _NUMERIC or not 1 <= len(value.data) <= 8:
            return None
        return int.from_bytes(value.data, "little")

    def flag(self, number: int) -> bool | None:
        """A flag: one byte or more, any of them not zero."""
        value = self.value(number)
        return None if value is None or value.type not in _NUMERIC or not value.data else any(value.data)

    def evidence(self, number: int) -> Evidence:
        """What stands in an element, by its name and in words; that it is absent is said as well."""
        names = MANAGER_ELEMENTS if self.type == BOOT_MANAGER else LOADER_ELEMENTS
        name = names.get(number, f"{number:08x}")
        value = self.value(number)
        if value is None:
            where = self.where._replace(key=_element(self.id, number), value="Element")
            return Evidence(where, f"no element {name}")
        shown = self._in_words(number) or value.evidence.found
        return value.evidence._replace(found=f"{name} {shown}")

    def _in_words(self, number: int) -> str | None:
        """An element that is not a text, by the form that its number gives."""
        form = number >> 24 & 0xF
        if form == 1 and (device := self.device(number)) is not None:
            return device.text
        if form == 4 and (texts := self.texts(number)) is not None:
            return ", ".join(texts) or "(empty)"
        if form == 5 and (whole := self.number(number)) is not None:
            return str(whole)
        if form == 6 and (flag := self.flag(number)) is not None:
            return "yes" if flag else "no"
        return None


class BootStore(NamedTuple):
    """What the boot manager of a store starts.

    Attributes:
        path: the store's file.
        partition: number of the partition that it lies on.
        manager: the object of the boot manager, or None.
        default_id: what its element `default` says, in lower case, or None where that is no text.
        default: the object of that name, or None where there is none.
        loaders: Windows' loaders among the default, the boot sequence and the menu, in this order.
    """

    path: str
    partition: int
    manager: BootEntry | None
    default_id: str | None
    default: BootEntry | None
    loaders: tuple[BootEntry, ...]


def read_boot_store(hive: Hive, partition: int) -> BootStore:
    """The boot manager of a store and what it starts or shows; no other object is read.

    Args:
        hive: the store.
        partition: number of the partition that it lies on.

    Raises:
        Unreadable: where a cell on the way is damaged, or the menu has more than `MAX_OBJECTS` entries.
    """
    manager = _read_entry(hive, BOOT_MANAGER_ID, MANAGER_ELEMENTS, partition)
    if manager is None:
        return BootStore(hive.path, partition, None, None, None, ())
    named = manager.text(DEFAULT)
    default_id = None if named is None else named.lower()
    listed = [*(manager.texts(BOOTSEQUENCE) or ()), *(manager.texts(DISPLAYORDER) or ())]
    identifiers = _objects([default_id or "", *listed])
    if len(identifiers) > MAX_OBJECTS:
        expected = f"at most {MAX_OBJECTS} entries to start"
        raise damaged(manager.where, expected=expected, found=str(len(identifiers)))
    entries = {each: _read_entry(hive, each, LOADER_ELEMENTS, partition) for each in identifiers}
    loaders = tuple(each for each in entries.values() if each is not None and each.type == OS_LOADER)
    return BootStore(hive.path, partition, manager, default_id, entries.get(default_id or ""), loaders)


def _read_entry(hive: Hive, identifier: str, elements: Mapping[int, str], partition: int) -> BootEntry | None:
    """An object, or None where the store has none of this name."""
    key = rf"Objects\{identifier}"
    if hive.key(key) is None:
        return None
    where = Location(Layer.HIVE, None, partition, hive.path, key)
    kind = hive.value(rf"{key}\Description", "Type")
    found: dict[int, Value] = {}
    waiting, seen = [identifier], {identifier}
    # What an object lacks comes from those that it inherits, and from those that they inherit.
    while waiting:
        source = waiting.pop(0)
        for number in elements:
            value = hive.value(_element(source, number), "Element")
            if value is None:
                continue
            if number == INHERIT:
                more = [each for each in _objects(_texts(value) or ()) if each not in seen]
                waiting = more + waiting
                seen.update(more)
            if source == identifier or number not in _OWN:
                found.setdefault(number, value)
        if len(seen) > MAX_OBJECTS:
            expected = f"at most {MAX_OBJECTS} objects to inherit from"
            raise damaged(where, expected=expected, found=str(len(seen)))
    return BootEntry(identifier, None if kind is None else kind.number, found, where)


def _element(identifier: str, number: int) -> str:
    """The key of an element."""
    return rf"Objects\{identifier}\Elements\{number:08x}"


def _objects(names: Iterable[str]) -> tuple[str, ...]:
    """The GUIDs among some names, in lower case and each once."""
    return tuple(dict.fromkeys(name for each in names if _GUID.fullmatch(name := each.lower())))


def _texts(value: Value) -> tuple[str, ...] | None:
    if value.type != REG_MULTI_SZ or len(value.data) % 2:
        return None
    try:
        whole = value.data.decode("utf-16-le")
    except UnicodeDecodeError:
        return None
    return tuple(filter(None, whole.partition("\0\0")[0].split("\0")))


# -- devices -----------------------------------------------------------------------------------


def read_device(data: bytes) -> Device:
    """A device element. What is malformed or not known is of the kind “other”: never an error."""
    return _descriptor(data[_OPTIONS:], whole=True) or Device("other", f"{len(data)} bytes of unknown layout")


def _descriptor(data: bytes, *, whole: bool = False, depth: int = 0) -> Device | None:
    """A descriptor at the start of some bytes, or the only one; None where it does not fit them.

    All offsets that it holds count from its own first byte.
    """
    if len(data) < 16 or depth > _MAX_NESTING:
        return None
    kind, _flags, size = unpack_at("<III", data)
    if not 16 <= size <= len(data) or (whole and size != len(data)):
        return None
    data = data[:size]
    if kind == _BOOT:
        return Device("boot", "the partition that the boot manager came from")
    if kind == _PARTITION:
        return _partition(data)
    if kind == _LOCATE:
        return _locate(data, depth)
    if kind == _BLOCK and size >= 20 and (local := unpack_at("<I", data, 16)[0]) in _IN_FILES:
        return _in_file(data, local, depth)
    return Device("other", f"a device of type {kind}")


def _partition(data: bytes) -> Device | None:
    if len(data) < 56:
        return None
    (offset,), (medium, scheme) = unpack_at("<Q", data, 16), unpack_at("<II", data, 32)
    if medium or scheme > 2:
        return Device("other", f"a partition of scheme {scheme} on a medium of type {medium}")
    if scheme == 2:
        return Device("partition", "a whole disk", scheme="raw")
    if scheme == 1:
        disk = f"{unpack_at('<I', data, 40)[0]:08x}"
        text = f"the partition at offset {offset:#x} of the MBR disk {disk}"
        return Device("partition", text, disk=disk, offset=offset, scheme="mbr")
    partition, disk = (str(uuid.UUID(bytes_le=data[at : at + 16])) for at in (16, 40))
    text = f"the partition {partition} of the GPT disk {disk}"
    return Device("partition", text, partition=partition, disk=disk, scheme="gpt")


def _locate(data: bytes, depth: int) -> Device | None:
    if len(data) < 30:
        return None
    mode, element, parent_at = unpack_at("<III", data, 16)
    path = _path(data, 28)
    if mode > 1 or path is None or (parent_at and not 28 < parent_at < len(data)):
        return None
    what = path if mode else {PATH: "path", SYSTEMROOT: "systemroot"}.get(element, f"element {element:08x}")
    device = Device("locate", f"the first partition that has what “{what}” names")
    if not parent_at:
        return device
    parent = _descriptor(data[parent_at:], depth=depth + 1)
    if parent is None:
        return None
    return parent._replace(kind=device.kind, text=f"{device.text}, searched on {parent.text}")


def _in_file(data: bytes, local: int, depth: int) -> Device | None:
    kind, words, at = _IN_FILES[local]
    if len(data) < at + 12:
        return None
    version, length, form = unpack_at("<III", data, at)
    block = data[at : at + length]
    if (version, form) != (1, 5) or len(block) != length or length < 12 + 16:
        return None
    nested = _descriptor(block[12:], depth=depth + 1)
    path = _path(block, 12 + unpack_at("<I", block, 20)[0])
    if nested is None or path is None:
        return None
    return nested._replace(kind=kind, text=f"the {words} “{path}” on {nested.text}")


def _path(data: bytes, at: int) -> str | None:
    """A UTF-16 text from an offset up to its NUL, or None where it has none."""
    text, end, _ = data[at : at + (len(data) - at) // 2 * 2].decode("utf-16-le", "replace").partition("\0")
    return text if end else None
