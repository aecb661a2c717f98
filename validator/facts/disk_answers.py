"""What the disk says to the failure that a log names: is the package provisioned, is the library there?

Sources: Microsoft, KB 2769827 (packages of users), Sysprep Provider Developer's Guide; Windows 8.1 and
Server 2012 R2 rearm count; DISM reserved storage options; Azure/repair-script-library (servicing).
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from validator.disk.ntfs import NtfsVolume
from validator.disk.volumes import Volume, VolumeKind
from validator.evidence import Evidence, Layer, Location, Unreadable
from validator.facts.drivers import SystemFile
from validator.facts.model import Attempt, Later
from validator.facts.services import Services
from validator.facts.servicing import SERVICING_KEY, PackageServicing
from validator.facts.sysprep import PROVIDER_KEYS, provider_paths
from validator.facts.system import APPX_KEY, PERSONAL, Edition, package_family
from validator.redaction import HIDDEN, redact
from validator.windows.hive import Hive, Value
from validator.windows.sysprep_failures import KnownFailure

RESERVE_KEY = r"Microsoft\Windows\CurrentVersion\ReserveManager"
DEFENDER_KEY = r"Microsoft\Windows Advanced Threat Protection"
_ENCRYPTION_KEY = r"Control\BitLocker"
_FIRST_LONG_LIVED = 9200
"""Windows 8 and Server 2012: from this build on an image can be rearmed 1001 times, 3 times before."""
_MOST_USERS = 256
Names = Sequence[Mapping[str, str]]
"""What the lines of a log name, for each of them."""


@dataclass(frozen=True, slots=True)
class DiskAnswers:
    """What the disk says to what a log names. What cannot be read gives no answer."""

    file_system: NtfsVolume
    software_hive: Attempt[Hive]
    system_hive: Attempt[Hive]
    control_set: Later[str]
    services: Later[Services]
    edition: Later[Edition]
    pending_operations: Later[SystemFile]
    package_servicing: Later[PackageServicing]
    volumes: Attempt[tuple[Volume, ...]]

    def to(self, known: KnownFailure) -> Iterator[Evidence]:
        """The answers to one failure, those to the first thing that it names first."""
        for kind in known.failure.disk:
            asked = _KINDS.get(kind)
            try:
                yield from asked(self, known.names) if asked else self._service(kind)
            except Unreadable:
                continue

    # -- each kind of question -------------------------------------------------------------------------

    def _package(self, named: Names) -> Iterator[Evidence]:
        """Who has the Store packages, and whether Windows provides them to everybody."""
        hive = self.software_hive.value
        families = {package_family(names["package"]) for names in named if names.get("package")}
        if hive is None or not families or hive.key(APPX_KEY) is None:
            return
        provided: set[str] = set()
        for kind in ("Applications", "InboxApplications"):
            for name in hive.subkeys(rf"{APPX_KEY}\{kind}"):
                if (family := package_family(name)) in families - provided:
                    provided.add(family)
                    where = self._key(hive, rf"{APPX_KEY}\{kind}\{redact(name)}")
                    yield Evidence(where, f"provisioned for all users now, in version {_version(name)}")
        had: set[str] = set()
        users = [user for user in hive.subkeys(APPX_KEY) if user.upper().startswith(PERSONAL)]
        for user in users[:_MOST_USERS]:
            for name in hive.subkeys(rf"{APPX_KEY}\{user}"):
                if (family := package_family(name)) in families:
                    had.add(family)
                    text = f"installed for this user in version {_version(name)}"
                    text += "" if family in provided else ", and not provisioned for all users"
                    yield Evidence(self._key(hive, rf"{APPX_KEY}\{user}\{redact(name)}"), text)
        if not provided and not had and len(users) <= _MOST_USERS:
            yield Evidence(self._key(hive, APPX_KEY), "no user has it now, and it is not provisioned")

    def _provider(self, named: Names) -> Iterator[Evidence]:
        """Whether the library is there, and which value makes sysprep call it."""
        library, entry = named[0].get("library", ""), named[0].get("entry", "")
        paths = () if HIDDEN in library else provider_paths(f"{library},{entry}")
        there = [path for path in paths if self.file_system.size(path) is not None]
        for path in there or paths[-1:]:
            where = Location(Layer.FILE_SYSTEM, None, self.file_system.partition, "\\" + path)
            yield Evidence(where, "the library is there" if there else "no such file")
        if self.software_hive.value is None:
            return
        name = library.rpartition("\\")[2].lower()
        for key in PROVIDER_KEYS if name else ():
            for value in self.software_hive.value.values(key):
                if name in str(value).lower():
                    yield Evidence(value.where, redact(str(value)), time=value.key_time)

    def _encryption(self, named: Names) -> Iterator[Evidence]:
        """Whether anything is encrypted now; the volume of Windows is not, or nothing of this were read."""
        for volume in self.volumes.value or ():
            number = volume.partition.number
            if number == self.file_system.partition:
                yield Evidence(
                    Location(Layer.VOLUME, None, number), "the volume of Windows is not encrypted now"
                )
            elif volume.kind is VolumeKind.BITLOCKER:
                yield Evidence(Location(Layer.VOLUME, None, number), "encrypted by BitLocker")
        if self.system_hive.value is not None and (control_set := self.control_set().value):
            value = self.system_hive.value.value(
                rf"{control_set}\{_ENCRYPTION_KEY}", "PreventDeviceEncryption"
            )
            if value is not None:
                yield self._shown(value, "PreventDeviceEncryption")

    def _rearm(self, named: Names) -> Iterator[Evidence]:
        """Which limit applies; how much of it is left is kept where only Windows reads it."""
        edition = self.edition().value
        if edition is None or edition.build is None or edition.build_value is None:
            return
        limit = 3 if edition.build < _FIRST_LONG_LIVED else 1001
        yield Evidence(
            edition.build_value.where,
            f"build {edition.build}: Windows can be rearmed {limit} times in all; what is left is kept "
            "encrypted, and shown by slmgr.vbs /dlv",
        )

    def _servicing(self, named: Names) -> Iterator[Evidence]:
        """Whether updates wait for a restart."""
        nothing = True
        pending = self.pending_operations().value
        if pending is not None and pending.present:
            nothing = False
            yield Evidence(pending.where, f"file operations wait for a restart ({pending.size} bytes)")
        packages = self.package_servicing().value
        if packages is not None:
            for where in packages.pending_keys:
                nothing = False
                yield Evidence(where, "there: an update waits for a restart")
        if nothing and pending is not None and packages is not None and self.software_hive.value is not None:
            yield Evidence(
                self._key(self.software_hive.value, SERVICING_KEY),
                "no sign of an update that waits for a restart",
            )

    def _reserve(self, named: Names) -> Iterator[Evidence]:
        """Whether reserved storage is in use."""
        for name in ("ActiveScenario", "ShippedWithReserves"):
            if self.software_hive.value and (value := self.software_hive.value.value(RESERVE_KEY, name)):
                yield self._shown(value, name)

    def _upgrade(self, named: Names) -> Iterator[Evidence]:
        """Whether this Windows was upgraded in place."""
        hive = self.system_hive.value
        if hive is None:
            return
        for name in hive.subkeys("Setup"):
            if name.lower().startswith("source os"):
                yield Evidence(self._key(hive, rf"Setup\{redact(name)}"), "upgraded in place")
        if (value := hive.value("Setup", "Upgrade")) is not None:
            yield self._shown(value, "Upgrade")

    def _defender(self, named: Names) -> Iterator[Evidence]:
        """Whether Defender for Endpoint is onboarded."""
        hive = self.software_hive.value
        if hive is None:
            return
        if (value := hive.value(rf"{DEFENDER_KEY}\Status", "OnboardingState")) is not None:
            yield self._shown(value, "OnboardingState")
        there = hive.value(DEFENDER_KEY, "senseGuid")
        where = self._key(hive, DEFENDER_KEY)._replace(value="senseGuid")
        yield Evidence(where, "there: onboarded" if there is not None else "no such value: not onboarded now")

    def _service(self, name: str) -> Iterator[Evidence]:
        """How a service starts."""
        services = self.services().value
        if services is not None:
            service = services.get(name)
            yield Evidence(services.where(name), "no such service") if service is None else service.evidence

    # -- evidence --------------------------------------------------------------------------------------

    def _key(self, hive: Hive, key: str) -> Location:
        return Location(Layer.HIVE, None, self.file_system.partition, hive.path, key)

    @staticmethod
    def _shown(value: Value, name: str) -> Evidence:
        return Evidence(value.where, f"{name} is {redact(str(value))}", time=value.key_time)


def _version(package: str) -> str:
    """The second part of a package's full name."""
    return redact(package.split("_")[1])[:32] if "_" in package else "unknown"


_KINDS: Mapping[str, Callable[[DiskAnswers, Names], Iterator[Evidence]]] = {
    "package": DiskAnswers._package,
    "provider": DiskAnswers._provider,
    "encryption": DiskAnswers._encryption,
    "rearm": DiskAnswers._rearm,
    "servicing": DiskAnswers._servicing,
    "reserve": DiskAnswers._reserve,
    "upgrade": DiskAnswers._upgrade,
    "defender": DiskAnswers._defender,
}
"""What the knowledge base may ask for; any other word is the name of a service."""


def disk_answers(
    file_system: NtfsVolume,
    software_hive: Attempt[Hive],
    system_hive: Attempt[Hive],
    control_set: Later[str],
    services: Later[Services],
    edition: Later[Edition],
    pending_operations: Later[SystemFile],
    package_servicing: Later[PackageServicing],
    volumes: Attempt[tuple[Volume, ...]],
) -> DiskAnswers:
    """Whom a diagnosis asks about the disk."""
    return DiskAnswers(
        file_system,
        software_hive,
        system_hive,
        control_set,
        services,
        edition,
        pending_operations,
        package_servicing,
        volumes,
    )
