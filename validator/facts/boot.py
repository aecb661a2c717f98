r"""Facts about what starts the machine: boot manager, boot sectors, boot store.

Sources: UEFI 2.10, 3.5 (the fallback loader) and 13.3 (a system partition is FAT); Microsoft, BIOS/MBR-
and UEFI/GPT-based hard drive partitions; fatgen103 and the NTFS boot sector, which share the field for
hidden sectors.
"""

from enum import Enum
from typing import NamedTuple, TypeAlias

from validator.disk.container import Disk, unpack_at
from validator.disk.fat import FatVolume
from validator.disk.ntfs import NtfsVolume
from validator.disk.ntfs_state import read_hibernation_file
from validator.disk.partitions import Partition, PartitionTable
from validator.disk.volumes import UNSUPPORTED, Volume, VolumeKind, window
from validator.evidence import Evidence, Layer, Location, Unreadable, damaged
from validator.facts.image import SYSTEM_FOLDER, FoundInstallation, Installation
from validator.facts.layout import ESP_TYPES
from validator.facts.model import Attempt
from validator.redaction import redact
from validator.windows.boot_store import (
    BOOTSEQUENCE,
    DEVICE,
    OS_LOADER,
    OSDEVICE,
    PATH,
    SYSTEMROOT,
    BootEntry,
    BootStore,
    Device,
    read_boot_store,
)
from validator.windows.hive import Hive

FileSystem: TypeAlias = NtfsVolume | FatVolume

MANAGERS = {"gpt": r"EFI\Microsoft\Boot\bootmgfw.efi", "mbr": "bootmgr"}
STORES = {"gpt": r"EFI\Microsoft\Boot\BCD", "mbr": r"Boot\BCD"}
FALLBACKS = (r"EFI\Boot\bootx64.efi", r"EFI\Boot\bootaa64.efi")
"""What UEFI starts where it has no entry of its own: for AMD64, for ARM64."""
MAX_DEPTH = 64
"""Folders of a path that an entry may name."""
_MASTER_CODE = slice(0, 440)
_VOLUME_CODE = {b"NTFS": 0x54, b"FAT3": 0x5A}
"""Where the code of a volume's boot sector begins, by its name; that of older FAT begins at 3e."""


class BootPartition(NamedTuple):
    """A partition that the firmware is pointed to, and what it would find there."""

    partition: Partition
    kind: VolumeKind
    file_system: FileSystem | None
    """None where it holds none that firmware or a boot sector could read."""
    boot_manager: Location
    """Where the boot manager has to lie."""
    has_boot_manager: bool
    """Whether it lies there, and is not empty."""

    @property
    def evidence(self) -> Evidence:
        """What the partition holds, and whether a boot manager is among it."""
        if self.file_system is None:
            return Evidence(Location(Layer.VOLUME, 0, self.partition.number), self.kind.value)
        found = "the boot manager" if self.has_boot_manager else "no such file, or an empty one"
        return Evidence(self.boot_manager, found)


class SystemVolume(NamedTuple):
    """The partitions that firmware is pointed to: EFI system partitions, or active ones."""

    scheme: str
    """`gpt` or `mbr`."""
    partitions: tuple[BootPartition, ...]

    @property
    def chosen(self) -> BootPartition | None:
        """The only one, or the only one with a boot manager; None where there is none, or no telling."""
        several = self.partitions
        if len(several) > 1:
            several = tuple(each for each in several if each.has_boot_manager)
        return several[0] if len(several) == 1 else None


class BootSectors(NamedTuple):
    """The two sectors by which a BIOS starts the one active partition."""

    partition: Partition
    master_code: bool
    """Whether the master boot record has code."""
    volume_signature: bytes
    volume_code: bool
    hidden_sectors: int
    """What the volume's boot sector says of where it lies, in sectors."""
    first_sector: int
    """Where it lies."""


class BootStoreFile(NamedTuple):
    """The boot store of the system volume."""

    partition: int
    where: Location
    store: BootStore | None
    """None where it is verified that there is no such file."""
    recovered: tuple[Evidence, ...] = ()
    """What was damaged or pending in it and made good in memory."""

    @property
    def default(self) -> BootEntry | None:
        """The default entry where it is a loader of Windows."""
        entry = self.store.default if self.store is not None else None
        return entry if entry is not None and entry.type == OS_LOADER else None

    @property
    def once(self) -> tuple[str, ...]:
        """The entries that are started once, before the default, in lower case."""
        manager = self.store.manager if self.store is not None else None
        texts = manager.texts(BOOTSEQUENCE) if manager is not None else None
        return tuple(each.lower() for each in texts or ())


class PlaceKind(str, Enum):
    """What the device of an entry means on this disk."""

    PARTITION = "a partition of this disk"
    SEARCHED = "the partition that has the file"
    MISSING = "a partition that this disk does not have"
    IN_FILE = "a file that holds a disk"
    UNTOLD = "a device that is not judged"
    ABSENT = "no device"


class Place(NamedTuple):
    """A device of an entry, looked for on this disk."""

    kind: PlaceKind
    partition: int | None = None
    """Number of the partition that it names, or that the boot manager came from."""


class DefaultStart(NamedTuple):
    """What the default entry of the boot store starts, looked for on the volume of Windows."""

    entry: BootEntry
    device: Place
    """Where its loader lies."""
    os_device: Place
    """Where its Windows lies."""
    folder: str | None
    """Its system folder without backslashes around it."""
    loader: Location | None
    """Where the loader has to lie; None where the entry names none."""
    has_loader: bool
    """Whether the file is there, or where nothing but a search tells: on the system volume."""

    @property
    def evidence(self) -> tuple[Evidence, ...]:
        """Its four elements."""
        return tuple(shown(self.entry, each) for each in (DEVICE, PATH, OSDEVICE, SYSTEMROOT))


class StartedInstallation(NamedTuple):
    """Which of several installations the boot store starts by default."""

    chosen: int | None
    """In the order of the installations; None where that cannot be established."""
    elsewhere: bool
    r"""Whether it starts another system folder than `\Windows`: none of those that are judged."""
    evidence: tuple[Evidence, ...]


def shown(entry: BootEntry, element: int) -> Evidence:
    """An element as evidence; the image chose its words."""
    evidence = entry.evidence(element)
    return evidence._replace(found=redact(evidence.found))


def system_volume(
    disk: Disk,
    partition_table: PartitionTable,
    volumes: tuple[Volume, ...],
    found_installations: Attempt[tuple[FoundInstallation, ...]],
) -> SystemVolume:
    """Where the firmware looks for a boot manager: EFI system partitions of a GPT, active ones of an MBR.

    Fails where one of them cannot be read, or belongs to a system that is suspended.
    """
    scheme = partition_table.scheme
    known = {each.installation.partition: each.file_system for each in found_installations.value or ()}
    return SystemVolume(
        scheme,
        tuple(
            _boot_partition(disk, volume, scheme, known.get(volume.partition.number))
            for volume in volumes
            if (volume.partition.type == ESP_TYPES[0] if scheme == "gpt" else volume.partition.active)
        ),
    )


def _boot_partition(disk: Disk, volume: Volume, scheme: str, known: NtfsVolume | None) -> BootPartition:
    file_system: FileSystem | None = None  # UEFI firmware reads FAT, and a boot sector FAT and NTFS
    number = volume.partition.number
    if volume.kind in (*UNSUPPORTED, VolumeKind.BITLOCKER):
        where = Location(Layer.VOLUME, 0, number)
        expected = "a system volume that can be read"
        raise damaged(where, expected=expected, found=f"{volume.kind.value}, which is not read")
    if scheme == "mbr" and volume.kind is VolumeKind.NTFS:
        ntfs = known or NtfsVolume(window(disk, volume.partition), number)
        _refuse_suspended(ntfs)
        file_system = ntfs
    elif volume.kind in (VolumeKind.FAT, VolumeKind.UNKNOWN):
        # FAT need not say its name; what is neither a FAT nor anything known stays unknown.
        file_system = FatVolume(window(disk, volume.partition), number)
    path = MANAGERS[scheme]
    has_boot_manager = file_system is not None and bool(file_system.size(path))
    where = Location(Layer.FILE_SYSTEM, None, number, f"\\{path}")
    return BootPartition(volume.partition, volume.kind, file_system, where, has_boot_manager)


def _refuse_suspended(volume: NtfsVolume) -> None:
    """What lies on the volume of a suspended system may be old."""
    hibernation = read_hibernation_file(volume)
    if hibernation is not None and hibernation.suspended:
        raise Unreadable(hibernation.evidence)


def boot_sectors(disk: Disk, partition_table: PartitionTable) -> BootSectors | None:
    """The boot sectors of an MBR disk, or None for a GPT and where there is not one active partition."""
    active = [partition for partition in partition_table.partitions if partition.active]
    if partition_table.scheme != "mbr" or len(active) != 1:
        return None
    (partition,) = active
    master, sector = disk.read_at(0, 512), window(disk, partition).read_at(0, 512)
    name = sector[0x52:0x56] if sector[0x52:0x55] == b"FAT" else sector[3:7]
    return BootSectors(
        partition,
        any(master[_MASTER_CODE]),
        sector[510:],
        any(sector[_VOLUME_CODE.get(name, 0x3E) : 510]),
        unpack_at("<I", sector, 0x1C)[0],
        partition.offset // partition_table.sector_size,
    )


def fallback_loaders(system_volume: SystemVolume) -> tuple[Evidence, ...]:
    """The loaders that UEFI falls back to, on any EFI system partition; none for an MBR."""
    if system_volume.scheme != "gpt":
        return ()
    return tuple(
        Evidence(Location(Layer.FILE_SYSTEM, None, each.partition.number, f"\\{path}"), f"{size} bytes")
        for each in system_volume.partitions
        if each.file_system is not None
        for path in FALLBACKS
        if (size := each.file_system.size(path))
    )


def boot_store(system_volume: SystemVolume) -> BootStoreFile | None:
    """The boot store, or None where there is no one volume to look for it on."""
    chosen = system_volume.chosen
    if chosen is None or chosen.file_system is None:
        return None
    path, number = STORES[system_volume.scheme], chosen.partition.number
    where = Location(Layer.FILE_SYSTEM, None, number, f"\\{path}")
    file = chosen.file_system.open(path)
    if file is None:
        return BootStoreFile(number, where, None)
    logs = (chosen.file_system.open(f"{path}.{suffix}") for suffix in ("LOG", "LOG1", "LOG2"))
    hive = Hive(file, [log for log in logs if log is not None])
    return BootStoreFile(number, where, read_boot_store(hive, number), hive.recovered)


def find_device(device: Device | None, table: PartitionTable, system: int) -> Place:
    """What a device means on a disk with this partition table and this partition of the boot manager.

    A partition counts where disk and partition are both the ones that it names: the boot manager
    compares both.
    """
    if device is None:
        return Place(PlaceKind.ABSENT)
    if device.kind in ("file", "ramdisk", "vhd"):
        return Place(PlaceKind.IN_FILE)
    if device.kind == "boot":
        return Place(PlaceKind.SEARCHED, system)
    if device.kind == "locate" and device.scheme is None:
        return Place(PlaceKind.SEARCHED)
    if device.kind not in ("partition", "locate") or device.scheme not in ("gpt", "mbr"):
        return Place(PlaceKind.UNTOLD)
    if device.scheme == table.scheme and device.disk == table.disk_id:
        for each in table.partitions:
            named = each.guid == device.partition if table.scheme == "gpt" else each.offset == device.offset
            if named:
                return Place(PlaceKind.PARTITION, each.number)
    return Place(PlaceKind.MISSING)


def _folder(entry: BootEntry) -> str | None:
    text = entry.text(SYSTEMROOT)
    return text.strip("\\") if text else None


def _is_there(file_system: FileSystem, path: str) -> bool:
    parts = [part for part in path.split("\\") if part]
    if len(parts) > MAX_DEPTH:
        where = Location(Layer.FILE_SYSTEM, None, file_system.partition, redact(path))
        raise damaged(where, expected=f"a path of at most {MAX_DEPTH} folders", found=str(len(parts)))
    return file_system.size("\\".join(parts)) is not None


def default_installation(
    boot_store: BootStoreFile | None,
    partition_table: PartitionTable,
    found_installations: tuple[FoundInstallation, ...],
) -> StartedInstallation:
    r"""Which installation the default entry starts: the one on its partition.

    Where its device is to be searched for, the only one that has its loader. It stays open where another
    entry is to be started once (`bootsequence`), and where what decides cannot be told for certain.
    """
    entry = boot_store.default if boot_store is not None else None
    if boot_store is None or entry is None:
        return StartedInstallation(None, False, ())
    place, folder = find_device(entry.device(OSDEVICE), partition_table, boot_store.partition), _folder(entry)
    evidence = shown(entry, OSDEVICE), shown(entry, SYSTEMROOT)
    untold = StartedInstallation(None, False, evidence)
    if folder is None or place.kind not in (PlaceKind.PARTITION, PlaceKind.SEARCHED):
        return untold
    if any(each != entry.id for each in boot_store.once):
        return untold
    if folder.lower() != SYSTEM_FOLDER.lower():
        return StartedInstallation(None, True, evidence)
    named = [each.installation.partition == place.partition for each in found_installations]
    if place.kind is PlaceKind.SEARCHED and not any(named):
        named = [_has_loader(each.file_system, entry.text(PATH)) for each in found_installations]
    return StartedInstallation(named.index(True), False, evidence) if named.count(True) == 1 else untold


def _has_loader(file_system: NtfsVolume, path: str | None) -> bool:
    """Whether a volume has the file that an entry starts; one that is suspended cannot tell."""
    _refuse_suspended(file_system)
    return bool(path) and _is_there(file_system, path or "")


def default_start(
    boot_store: BootStoreFile | None,
    system_volume: SystemVolume,
    partition_table: PartitionTable,
    installation: Installation,
    file_system: NtfsVolume,
) -> DefaultStart | None:
    """What the default entry starts, or None where the store has none for Windows."""
    entry = boot_store.default if boot_store is not None else None
    if boot_store is None or entry is None:
        return None
    device, os_device = (
        find_device(entry.device(each), partition_table, boot_store.partition) for each in (DEVICE, OSDEVICE)
    )
    path = entry.text(PATH)
    loader, has_loader = None, False
    if path:
        found = redact("\\" + path.lstrip("\\"))
        loader = Location(Layer.FILE_SYSTEM, None, installation.partition, found)
        has_loader = _is_there(file_system, path)
        chosen = system_volume.chosen
        if device.kind is PlaceKind.SEARCHED and chosen is not None and chosen.file_system is not None:
            has_loader = has_loader or _is_there(chosen.file_system, path)
    return DefaultStart(entry, device, os_device, _folder(entry), loader, has_loader)
