"""The words in which every layer says what it saw and where.

`Evidence` is a value; `Unreadable` is the one exception by which a layer says that the image cannot
be read further. Policy never enters here: a reader states what is stored, judging decides.
"""

from datetime import datetime
from enum import Enum
from typing import NamedTuple


class Layer(str, Enum):
    """A layer of the image; each rests on the one before."""

    FILE = "file"
    CONTAINER = "container"
    PARTITION_TABLE = "partition table"
    VOLUME = "volume"
    FILE_SYSTEM = "file system"
    HIVE = "hive"
    TOOL = "tool"
    """Not a layer of the image: a failure of this program, which never counts as an answer."""


class Effect(str, Enum):
    """What a piece of evidence means for the bytes behind it."""

    OBSERVED = "observed"
    """Plain content of an intact layer."""
    HARMLESS = "harmless"
    """Disagrees with the specification; nothing rests on it."""
    RECOVERED = "recovered"
    """Damage that was made good in memory."""
    LOST = "lost"
    """What lies behind it cannot be trusted."""


class Location(NamedTuple):
    """Where something was read, so that it can be repeated by hand with another tool.

    Attributes:
        layer: the layer that speaks.
        offset: in bytes, in the coordinate of that layer (file, disk, volume, hive file), or None.
        partition: number of the partition as `inspect` lists it, or None.
        path: a file in the file system, with backslashes, or None.
        key: a registry key below the hive's root, or None.
        value: the name of a registry value, or None.
        line: number of a line in a text file, from 1, or None.
    """

    layer: Layer
    offset: int | None = None
    partition: int | None = None
    path: str | None = None
    key: str | None = None
    value: str | None = None
    line: int | None = None

    def __str__(self) -> str:
        parts = []
        if self.partition is not None:
            parts.append(f"partition {self.partition}")
        if self.path is not None:
            parts.append(self.path)
        if self.line is not None:
            parts.append(f"line {self.line}")
        if self.key is not None:
            parts.append("\\".join(part for part in (self.key, self.value) if part) or "root key")
        if self.offset is not None:
            parts.append(f"offset {self.offset:#x}")
        return ": ".join([self.layer.value, ", ".join(parts)]) if parts else self.layer.value


class Evidence(NamedTuple):
    """One observation.

    Attributes:
        where: where it was read.
        found: what was found there, in words or as the text that stands there.
        expected: what should have been there; empty where nothing particular was expected.
        time: the time stamp that the image gives it, in UTC (a log's is local time without zone).
        effect: what it means for the bytes behind it.
        spec: the specification's section, for damage.
    """

    where: Location
    found: str
    expected: str = ""
    time: datetime | None = None
    effect: Effect = Effect.OBSERVED
    spec: str = ""

    def __str__(self) -> str:
        wanted = f"expected {self.expected}, found " if self.expected else ""
        return f"{self.where}: {wanted}{self.found}"


class Unreadable(Exception):
    """The image cannot be read further here; `evidence` says where and why.

    Raised by layers, caught by the fact engine, and by readers that can go on without the part.
    """

    def __init__(self, evidence: Evidence) -> None:
        super().__init__(evidence)
        self.evidence = evidence

    def __str__(self) -> str:
        return str(self.evidence)


class Unreachable(Unreadable):
    """What lies at an address cannot be had, for a reason that the user can mend, such as a refusal.

    Attributes:
        address: as much of it as may be seen.
    """

    def __init__(self, address: str, evidence: Evidence) -> None:
        super().__init__(evidence)
        self.address = address

    def __str__(self) -> str:
        wanted, found = self.evidence.expected, self.evidence.found
        return f"cannot read {self.address}: {f'expected {wanted}, found ' if wanted else ''}{found}"


class ArtifactError(ValueError):
    """The user has to say more, or to install something, before an archive can be judged; a sentence."""


def damaged(where: Location, *, expected: str, found: str, spec: str = "") -> Unreadable:
    """An `Unreadable` for bytes that disagree with the specification."""
    return Unreadable(Evidence(where, found, expected, effect=Effect.LOST, spec=spec))


def made_good(fault: Unreadable, how: str) -> Evidence:
    """The evidence of damage that was recovered from, and how."""
    evidence = fault.evidence
    return evidence._replace(found=f"{evidence.found}; {how}", effect=Effect.RECOVERED)
