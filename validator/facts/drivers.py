"""Facts about the drivers and files that Windows needs to start on a virtual machine.

Source: Microsoft, Azure Site Recovery and Azure Migrate (boot drivers), Azure/repair-script-library
(files, class filters), Windows Server 2012 R2 boot failure after a platform update (host identifiers).
"""

from typing import NamedTuple

from validator.disk.ntfs import NtfsVolume
from validator.disk.partitions import PartitionTable
from validator.evidence import Evidence, Layer, Location, damaged
from validator.facts.services import SYSTEM_FOLDER, Service, Services, driver_path
from validator.facts.system import Edition
from validator.redaction import redact
from validator.windows.hive import REG_EXPAND_SZ, REG_SZ, Hive, Value

SYSTEM32 = rf"{SYSTEM_FOLDER}\System32"
DRIVERS = rf"{SYSTEM32}\drivers"
REG_MULTI_SZ = 7
STORAGE_CLASSES = {
    "{4d36e967-e325-11ce-bfc1-08002be10318}": "disk drives",
    "{4d36e96a-e325-11ce-bfc1-08002be10318}": "IDE controllers",
    "{4d36e97b-e325-11ce-bfc1-08002be10318}": "storage controllers",
    "{4d36e97d-e325-11ce-bfc1-08002be10318}": "system devices",
    "{71a27cdd-812a-11d0-bec7-08002be2092f}": "volumes",
}
"""Device classes between Windows and its disk. Source: Microsoft, System-Defined Device Setup Classes."""
LEGACY_BUILDS = (9200, 9600)
"""Windows 8 and Server 2012, Windows 8.1 and Server 2012 R2."""
LEGACY_HOST_IDS = ("MSFT1000", "MSFT1002")
"""How newer hosts of Azure present VMBus and the generation counter."""
_MAX_FILTERS = 64
"""Of one class; a handful is usual."""


class SystemFile(NamedTuple):
    """A file of Windows: whether it is there, and how large it is."""

    path: str
    """From the root of the volume."""
    size: int | None
    """In bytes; None where the file is absent."""
    where: Location

    @property
    def present(self) -> bool:
        """Whether it is there."""
        return self.size is not None

    @property
    def usable(self) -> bool:
        """Whether it is there and not empty."""
        return bool(self.size)

    @property
    def evidence(self) -> Evidence:
        """What was seen of it."""
        if not self.present:
            return Evidence(self.where, "no such file", "a file that is not empty")
        if not self.size:
            return Evidence(self.where, "an empty file", "a file that is not empty")
        return Evidence(self.where, f"a file of {self.size} bytes")


class Driver(NamedTuple):
    """A driver: its service, its file, and the files that it cannot do without."""

    name: str
    service: Service | None
    file: SystemFile | None
    """None where the service is absent, or names a file on another volume."""
    companions: tuple[SystemFile, ...]
    where: Location
    """The key of the service, whether it is there or not."""

    @property
    def start(self) -> int | None:
        """How it starts, 0 to 4; None where it is absent or its Start is."""
        return self.service.start_number if self.service is not None else None

    @property
    def missing(self) -> tuple[Evidence, ...]:
        """Evidence of the key or the files that are not there."""
        if self.service is None:
            return (Evidence(self.where, "no such key", f"the service {self.name}"),)
        files = ((self.file,) if self.file is not None else ()) + self.companions
        return tuple(file.evidence for file in files if not file.usable)

    @property
    def elsewhere(self) -> Evidence | None:
        """Evidence that its file lies on another volume than Windows, or None."""
        if self.service is None or self.file is not None or self.service.image_path is None:
            return None
        path = self.service.image_path
        return Evidence(path.where, redact(str(path)), "a file on the volume of Windows", path.key_time)


class ClassFilter(NamedTuple):
    """A driver that puts itself above or below the driver of every device of a class."""

    value: Value
    """That which names it, UpperFilters or LowerFilters."""
    class_name: str
    driver: Driver


class HostId(NamedTuple):
    """A device identifier that the host may present, and whether Windows knows it."""

    name: str
    known: bool
    where: Location


def look(file_system: NtfsVolume, path: str) -> SystemFile:
    """Whether a file is there and how large, without reading it."""
    where = Location(Layer.FILE_SYSTEM, None, file_system.partition, f"\\{path}")
    return SystemFile(path, file_system.size(path), where)


def windows_build(edition: Edition) -> int | None:
    """The build number, or None where the registry has none."""
    return edition.build


def kernel_files(file_system: NtfsVolume, partition_table: PartitionTable) -> tuple[SystemFile, ...]:
    """What the boot manager loads: the loader for this kind of disk, and the kernel."""
    loader = "winload.efi" if partition_table.scheme == "gpt" else "winload.exe"
    return tuple(look(file_system, rf"{SYSTEM32}\{name}") for name in ("ntoskrnl.exe", "hal.dll", loader))


def boot_driver_files(file_system: NtfsVolume, partition_table: PartitionTable) -> tuple[SystemFile, ...]:
    """What the kernel needs to reach its volume."""
    drivers = ["ntfs", "disk", "partmgr", "volmgr", "mountmgr", "fltmgr", "storport"]
    libraries = []
    if partition_table.scheme == "gpt":
        drivers.append("clfs")
        libraries += ["ci.dll", "kdcom.dll", "pshed.dll"]
    paths = [rf"{DRIVERS}\{name}.sys" for name in drivers] + [rf"{SYSTEM32}\{name}" for name in libraries]
    return tuple(look(file_system, path) for path in paths)


def virtual_disk_drivers(services: Services, file_system: NtfsVolume) -> tuple[Driver, ...]:
    """The drivers without which Windows does not see a disk of Hyper-V."""
    return tuple(_driver(services, file_system, name) for name in ("vmbus", "storvsc"))


def other_disk_drivers(
    services: Services, file_system: NtfsVolume, partition_table: PartitionTable
) -> tuple[Driver, ...]:
    """More drivers of the disk: a filter, and for BIOS machines those of the IDE controller."""
    drivers = [_driver(services, file_system, "storflt")]
    if partition_table.scheme == "mbr":
        drivers.append(_driver(services, file_system, "atapi", ("ataport",)))
        drivers.append(_driver(services, file_system, "intelide", ("pciidex",)))
    return tuple(drivers)


def network_drivers(services: Services, file_system: NtfsVolume) -> tuple[Driver, ...]:
    """The drivers of Hyper-V's network adapter: that of Windows, and that of older add-ons if it is there."""
    own, older = (_driver(services, file_system, name) for name in ("netvsc", "netvsc63"))
    return (own, older) if older.service is not None else (own,)


def nvme_storage_driver(services: Services, file_system: NtfsVolume) -> Driver:
    """The driver of NVMe disks."""
    return _driver(services, file_system, "stornvme")


def class_filters(
    system_hive: Hive, control_set: str, services: Services, file_system: NtfsVolume
) -> tuple[ClassFilter, ...]:
    """Every filter driver of the classes between Windows and its disk."""
    found: list[ClassFilter] = []
    for guid, class_name in STORAGE_CLASSES.items():
        for name in ("UpperFilters", "LowerFilters"):
            value = system_hive.value(rf"{control_set}\Control\Class\{guid}", name)
            if value is not None:
                drivers = (_driver(services, file_system, each) for each in _names(value))
                found += [ClassFilter(value, class_name, driver) for driver in drivers]
    return tuple(found)


def legacy_host_ids(
    windows_build: int | None, system_hive: Hive, control_set: str, file_system: NtfsVolume
) -> tuple[HostId, ...]:
    """The identifiers of newer hosts; none for a Windows that does without."""
    if windows_build not in LEGACY_BUILDS:
        return ()
    found = []
    for name in LEGACY_HOST_IDS:
        key = rf"{control_set}\Enum\ACPI\{name}"
        where = Location(Layer.HIVE, None, file_system.partition, system_hive.path, key)
        found.append(HostId(name, system_hive.key(key) is not None, where))
    return tuple(found)


def _driver(
    services: Services, file_system: NtfsVolume, name: str, companions: tuple[str, ...] = ()
) -> Driver:
    service = services.get(name)
    path = driver_path(service) if service is not None else None
    file = look(file_system, path) if path is not None else None
    others = tuple(look(file_system, rf"{DRIVERS}\{other}.sys") for other in companions)
    return Driver(name, service, file, others, services.where(name))


def _names(value: Value) -> list[str]:
    """The drivers that a filter value names."""
    if value.type not in (REG_SZ, REG_EXPAND_SZ, REG_MULTI_SZ):
        return []
    texts = value.data.decode("utf-16-le", "replace").split("\0")
    names = [text.strip() for text in texts if text.strip()]
    if len(names) > _MAX_FILTERS:
        raise damaged(value.where, expected=f"at most {_MAX_FILTERS} filters", found=str(len(names)))
    return names
