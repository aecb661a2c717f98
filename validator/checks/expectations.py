r"""What users expect of their own images, as data: a registry value, a file or a service.

An expectation is judged like any check; its id begins with `expect/`, as no other does.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

from validator.checks.model import EXPECTATIONS, Check, Finding, Remedy, Severity, failed, passed
from validator.disk.ntfs import NtfsVolume
from validator.evidence import Evidence, Layer, Location, damaged
from validator.facts.registry import Registry
from validator.facts.services import START_WORDS, Services
from validator.redaction import redact
from validator.windows.hive import Value

PREFIX = "expect/"
MAX_CONTENT = 16 * 2**20
"""Bytes of a file whose content is compared; a larger one is not read."""
_PIECE = 2**20
_LONGEST = 200
"""Characters of a value that are shown."""
_REG_QWORD = 11
_DEFAULT = "(Default)"
"""What regedit calls the value without a name."""


class RegistryEntry(NamedTuple):
    """A key, or a value of one."""

    key: str
    """In full, below one of the roots that `validator.facts.registry` knows."""
    value: str | None = None
    """Its name; empty for the default one. None: the key alone."""
    equals: int | str | None = None
    """A number (REG_DWORD, REG_QWORD) or a text (REG_SZ, REG_EXPAND_SZ), to the letter. None: anything."""

    @property
    def place(self) -> str:
        """What it is about."""
        return self.key if self.value is None else f"{self.key}\\{self.value or _DEFAULT}"

    @property
    def wanted(self) -> str:
        """How it is where the expectation holds."""
        if self.equals is not None:
            return f"“{self.equals}”" if isinstance(self.equals, str) else str(self.equals)
        return "a key" if self.value is None else "a value"


class FileEntry(NamedTuple):
    """A file on the volume of Windows; a folder as well where neither size nor content is given."""

    path: str
    """From the root, with backslashes, without the first."""
    size: int | None = None
    """In bytes."""
    sha256: str | None = None
    """Of its content, in hexadecimal."""

    @property
    def place(self) -> str:
        """What it is about."""
        return f"\\{self.path}"

    @property
    def wanted(self) -> str:
        """How it is where the expectation holds."""
        words = [f"of {self.size} bytes"] if self.size is not None else []
        words += [f"with SHA-256 {self.sha256}"] if self.sha256 is not None else []
        return " ".join(["a file", *words]) if words else "a file or folder"


class ServiceEntry(NamedTuple):
    """A service or driver of the control set that Windows will start with."""

    name: str
    start: tuple[str, ...] = ()
    """Any of these `START_WORDS`; none: however it starts."""

    @property
    def place(self) -> str:
        """What it is about."""
        return f"the service {self.name}"

    @property
    def wanted(self) -> str:
        """How it is where the expectation holds."""
        return " or ".join(self.start) or "a service"


class Seen(NamedTuple):
    """How something is in the image."""

    so: bool
    """As the entry has it."""
    evidence: Evidence


class Expectation(NamedTuple):
    """One thing that must be so, or must not."""

    id: str
    """Without the prefix."""
    title: str
    """The rule as it should be, in a sentence."""
    severity: Mapping[str, Severity]
    """By profile."""
    remedy: Remedy
    entry: RegistryEntry | FileEntry | ServiceEntry
    must_not: bool = False
    references: tuple[str, ...] = ()

    @property
    def check_id(self) -> str:
        """The id of its check."""
        return PREFIX + self.id

    @property
    def expected(self) -> str:
        """What must be there, in words."""
        wanted = self.entry.wanted
        if not self.must_not:
            return wanted
        return f"no {wanted[2:]}" if wanted.startswith("a ") else f"anything but {wanted}"

    def check(self) -> Check:
        """It as a check."""
        function = _function(self)
        function.__doc__ = f"{self.title}\n\nThe policy expects of {self.entry.place}: {self.expected}."
        return Check(self.check_id, EXPECTATIONS, self.severity, self.remedy, self.references, "", function)

    def judged(self, seen: Seen) -> Finding:
        """What its check finds."""
        evidence = seen.evidence._replace(expected=self.expected)
        if seen.so is self.must_not:
            return failed(f"The image does not meet the expectation: {self.title}", evidence)
        return passed(self.title, evidence)


def _function(expectation: Expectation) -> Callable[..., Iterator[Finding]]:
    """The function of its check; the parameter says which fact it reads."""
    entry = expectation.entry

    def of_registry(registry: Registry) -> Iterator[Finding]:
        assert isinstance(entry, RegistryEntry)
        yield expectation.judged(in_registry(entry, registry))

    def of_file(file_system: NtfsVolume) -> Iterator[Finding]:
        assert isinstance(entry, FileEntry)
        yield expectation.judged(on_volume(entry, file_system))

    def of_service(services: Services) -> Iterator[Finding]:
        assert isinstance(entry, ServiceEntry)
        yield expectation.judged(among_services(entry, services))

    functions: Mapping[type, Callable[..., Iterator[Finding]]] = {
        RegistryEntry: of_registry,
        FileEntry: of_file,
        ServiceEntry: of_service,
    }
    return functions[type(entry)]


def in_registry(entry: RegistryEntry, registry: Registry) -> Seen:
    """A key or value as it is."""
    where = registry.where(entry.key, _DEFAULT if entry.value == "" else entry.value)
    if entry.value is None:
        there = registry.has_key(entry.key)
        return Seen(there, Evidence(where, "a key" if there else "no such key"))
    value = registry.value(entry.key, entry.value)
    if value is None:
        return Seen(False, Evidence(where, "no such value"))
    stored = _number(value) if isinstance(entry.equals, int) else value.string
    so = entry.equals is None or entry.equals == stored
    return Seen(so, Evidence(where, _shown(value), time=value.key_time))


def _number(value: Value) -> int | None:
    if value.type == _REG_QWORD and len(value.data) == 8:
        return int.from_bytes(value.data, "little")
    return value.number


def _shown(value: Value) -> str:
    """What stands there; nothing of what the name calls a secret."""
    trial = f"{value.name}=x"
    number = _number(value)
    text = str(value) if number is None else str(number)
    text = redact(text)[:_LONGEST] or "(empty)"
    return f"{text if redact(trial) == trial else '[redacted]'} ({value.type_name})"


def on_volume(entry: FileEntry, file_system: NtfsVolume) -> Seen:
    """A file as it is; its content is read only where everything else is right."""
    where = Location(Layer.FILE_SYSTEM, None, file_system.partition, f"\\{entry.path}")
    any_file = entry.size is None and entry.sha256 is None
    if file_system.is_folder(entry.path):
        return Seen(any_file, Evidence(where, "a folder"))
    size = file_system.size(entry.path)
    if size is None:
        return Seen(False, Evidence(where, "no such file"))
    found = f"a file of {size} bytes"
    if entry.sha256 is None or entry.size not in (None, size):
        return Seen(entry.size in (None, size), Evidence(where, found))
    if size > MAX_CONTENT:
        raise damaged(where, expected=f"at most {MAX_CONTENT} bytes to compare", found=found)
    digest = _sha256(file_system, entry.path)
    return Seen(digest == entry.sha256, Evidence(where, f"{found} with SHA-256 {digest}"))


def _sha256(file_system: NtfsVolume, path: str) -> str:
    import hashlib

    digest = hashlib.sha256()
    if (file := file_system.open(path)) is not None:
        for offset in range(0, file.size, _PIECE):
            digest.update(file.read_at(offset, min(_PIECE, file.size - offset)))
    return digest.hexdigest()


def among_services(entry: ServiceEntry, services: Services) -> Seen:
    """A service as it is; a key without the value Start is none."""
    service = services.get(entry.name)
    if service is None or service.start is None:
        return Seen(False, Evidence(services.where(entry.name), "no such service"))
    number = service.start_number
    word = START_WORDS[number] if number is not None and number < len(START_WORDS) else None
    return Seen(not entry.start or word in entry.start, service.evidence)
