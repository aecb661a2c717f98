"""The report: what every renderer and every library user reads."""

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, NamedTuple

from validator.disk.container import Container
from validator.disk.partitions import PartitionTable
from validator.disk.volumes import Volume
from validator.facts.image import Installation
from validator.facts.model import Unknown
from validator.facts.setup import Product, SetupState
from validator.facts.volume import VolumeState
from validator.judging import ExitCode, Judged, Judgement, Verdict
from validator.source import ReadCount

if TYPE_CHECKING:
    from validator.facts.picture import Picture
    from validator.facts.timeline import Event

FORMAT_VERSION = 1
"""Of the JSON; grows when a field changes its meaning or goes."""


class LayerState(NamedTuple):
    """Whether one layer held."""

    kind: str
    state: str
    """`intact`, `recovered` (in memory) or `damaged`."""
    detail: str


class ReportFacts(NamedTuple):
    """What is in the image. `Unknown` where it could not be read."""

    container: Container | Unknown
    partition_table: PartitionTable | Unknown
    volumes: tuple[Volume, ...] | Unknown
    installations: tuple[Installation, ...] | Unknown
    installation: Installation | Unknown
    product: Product | Unknown
    architecture: str | None | Unknown
    volume_state: VolumeState | Unknown
    """How the volume of Windows was left."""
    setup_state: SetupState
    """Always there; each of its fields may be `Unknown`."""


@dataclass(frozen=True, slots=True)
class Report:
    """Everything about one image."""

    path: str
    """As the user named it."""
    profile: str
    judgement: Judgement
    facts: ReportFacts
    layers: tuple[LayerState, ...]
    io: ReadCount
    duration_ms: float
    picture: "Picture | None" = None
    """What only `inspect` asks for; None where nobody did."""
    timeline: "tuple[Event, ...] | None" = None
    """What happened to the installation, the first first; None where nobody asked."""

    @property
    def verdict(self) -> Verdict:
        """The answer."""
        return self.judgement.verdict

    @property
    def summary(self) -> str:
        """The answer's reason in one sentence."""
        return self.judgement.summary

    @property
    def findings(self) -> tuple[Judged, ...]:
        """What every check found, in report order."""
        return self.judgement.findings


@dataclass(frozen=True, slots=True)
class RunReport:
    """One run of the command over several images."""

    tool_version: str
    started: datetime
    """UTC."""
    profile: str
    exit_code: ExitCode
    images: tuple[Report, ...]

    def count(self, verdict: Verdict) -> int:
        """How many images got this verdict."""
        return sum(image.verdict is verdict for image in self.images)


def rfc3339(time: datetime) -> str:
    """A time stamp with seconds: UTC ends in Z; a log's local time has no zone."""
    if time.tzinfo is None:
        return time.isoformat(timespec="seconds")
    return time.replace(tzinfo=None).isoformat(timespec="seconds") + "Z"
