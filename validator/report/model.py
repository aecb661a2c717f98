"""The report: what every renderer and every library user reads."""

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, NamedTuple

from validator.checks.model import Distribution, Severity, Status
from validator.disk.container import Container
from validator.disk.partitions import PartitionTable
from validator.disk.volumes import Volume
from validator.evidence import Evidence
from validator.facts.image import Installation
from validator.facts.model import Unknown
from validator.facts.question import Question
from validator.facts.setup import Product, SetupState
from validator.facts.volume import VolumeState
from validator.judging import ExitCode, Judged, Judgement, Verdict
from validator.source import FileState, ReadCount

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
    files: tuple[str, ...] = ()
    """Every file that was opened: the image, then what might be or is a parent, by its real path."""
    parts: tuple[FileState, ...] = ()
    """Of these files those that the disk is made of, as they were judged."""
    question: Question | None = None
    """What was asked, and what the user said of the destination."""
    data_disk: bool = False
    """Whether it is certain that no Windows lies on the disk."""
    member: str | None = None
    """The name of the image in the archive; None where the file is the image, compressed or not."""

    @property
    def name(self) -> str:
        """What a person knows the image by."""
        return self.path if self.member is None else f"{self.path}: {self.member}"

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

    @property
    def plugins(self) -> tuple[Distribution, ...]:
        """The plug-ins whose checks were asked."""
        distributions = (each.check.distribution for each in self.findings)
        return tuple(dict.fromkeys(each for each in distributions if each is not None))

    @property
    def unanswered(self) -> list[list[Judged]]:
        """The findings that are unknown, those together that are so for the same reason."""
        groups: dict[tuple[Evidence, ...] | str, list[Judged]] = {}
        for judged in self.findings:
            if judged.status is Status.UNKNOWN:
                groups.setdefault(judged.evidence or judged.message, []).append(judged)
        return list(groups.values())


class PolicyInForce(NamedTuple):
    """The policy that a run was judged under."""

    source: str | None
    """The file, as seen from the working directory; None where only the command line says something."""
    digest: str
    """`Policy.digest` of all that applied, the command line included."""
    left_out: tuple[str, ...]
    """The checks that the profile asks by itself, and were not asked."""


@dataclass(frozen=True, slots=True)
class RunReport:
    """One run of the command over several images."""

    tool_version: str
    started: datetime
    """UTC."""
    profile: str
    exit_code: ExitCode
    images: tuple[Report, ...]
    fail_on: Severity = Severity.ERROR
    """The least severity that fails the command."""
    folder: str = ""
    """The working directory, from which relative paths start; empty where it is not known."""
    policy: PolicyInForce | None = None
    """None where there is none."""
    warnings: tuple[str, ...] = ()
    """What is wrong with the policy as of this run, in sentences: waivers that accepted nothing."""
    lacks: tuple[str, ...] = ()
    """Where the user asked for images and there were none."""

    def fails(self, judged: Judged) -> bool:
        """Whether a finding is one that fails the command by itself."""
        return judged.status is Status.FAILED and judged.severity.rank <= self.fail_on.rank

    @property
    def plugins(self) -> tuple[Distribution, ...]:
        """The plug-ins whose checks were asked of any image."""
        return tuple(dict.fromkeys(plugin for image in self.images for plugin in image.plugins))

    def count(self, verdict: Verdict) -> int:
        """How many images got this verdict."""
        return sum(image.verdict is verdict for image in self.images)


def rfc3339(time: datetime) -> str:
    """A time stamp with seconds: UTC ends in Z; a log's local time has no zone."""
    if time.tzinfo is None:
        return time.isoformat(timespec="seconds")
    return time.replace(tzinfo=None).isoformat(timespec="seconds") + "Z"
