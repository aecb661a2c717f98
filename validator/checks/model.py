"""What a check is: declared once, for judging, help, documentation and every report format."""

import dataclasses
import importlib
import inspect
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any, NamedTuple

from validator.evidence import Evidence
from validator.facts.model import parameters

EXPECTATIONS = "expectation"
"""The family of what users expect by their policies; its members have nothing else in common."""


class Severity(str, Enum):
    """What a failed check means for deployment."""

    ERROR = "error"
    """Blocks deployment."""
    WARNING = "warning"
    """Likely to hurt."""
    NOTICE = "notice"
    """Worth knowing."""

    @property
    def rank(self) -> int:
        """0 for the gravest."""
        return list(Severity).index(self)


def by_profile(
    azure_generalized: Severity | None, azure_specialized: Severity | None, generalized: Severity | None
) -> Mapping[str, Severity]:
    """Severities in the order of the profiles; None where a profile does not ask."""
    named = {
        "azure-generalized": azure_generalized,
        "azure-specialized": azure_specialized,
        "generalized": generalized,
    }
    return {profile: severity for profile, severity in named.items() if severity is not None}


class Status(str, Enum):
    """What one check says of one image."""

    PASSED = "passed"
    FAILED = "failed"
    UNKNOWN = "unknown"
    """What it rests on could not be read."""
    NOT_APPLICABLE = "not applicable"
    """There is nothing that it could judge."""
    WAIVED = "waived"
    """It failed, and a policy accepts that."""


class Remedy(NamedTuple):
    """What to do, with the exact commands."""

    text: str
    commands: tuple[str, ...] = ()


class Cause(NamedTuple):
    """The reason behind what was found, as the knowledge base has it."""

    id: str
    text: str
    references: tuple[str, ...]


class Finding(NamedTuple):
    """What a check found.

    `severity` and `remedy` stand in for the declaration's; a severity may only be lower.
    """

    status: Status
    message: str
    evidence: tuple[Evidence, ...] = ()
    severity: Severity | None = None
    remedy: Remedy | None = None
    cause: Cause | None = None


class Distribution(NamedTuple):
    """An installed package."""

    name: str
    version: str

    def __str__(self) -> str:
        return f"{self.name} {self.version}"


class PluginError(Exception):
    """An installed plug-in cannot be used; the text says which, and why."""


@dataclass(frozen=True, slots=True)
class Check:
    """A declared rule over facts."""

    id: str
    family: str
    severity: Mapping[str, Severity]
    """The highest severity of a finding, by profile; a profile that is missing does not run it."""
    remedy: Remedy
    references: tuple[str, ...]
    since: str
    """The version that brought it."""
    function: Callable[..., Iterator[Finding]]
    distribution: Distribution | None = None
    """Where a plug-in's check comes from; None for ours."""

    @property
    def title(self) -> str:
        """The rule in a sentence: the first line of its documentation."""
        return self._documentation.partition("\n")[0]

    @property
    def explanation(self) -> str:
        """Why it matters and how it is judged, in Markdown."""
        return self._documentation.partition("\n")[2].strip()

    def severity_under(self, profile: str) -> str:
        """`error`, `warning`, `notice`, or `-` where the profile does not ask."""
        severity = self.severity.get(profile)
        return severity.value if severity is not None else "-"

    @property
    def reads(self) -> tuple[str, ...]:
        """The facts that it rests on."""
        return tuple(name for name, _ in parameters(self.function))

    @property
    def _documentation(self) -> str:
        return inspect.cleandoc(self.function.__doc__ or "")

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        """Pickled it is the name it was declared under; one that has none there is what it says of itself."""
        module, name = self.function.__module__, self.function.__name__
        if getattr(sys.modules.get(module), name, None) is self:
            return _declared, (module, name)
        fields = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        fields["severity"] = dict(self.severity)
        fields["function"] = _Elsewhere(self.function.__doc__ or "", self.reads)
        return Check, tuple(fields.values())


def _declared(module: str, name: str) -> Check:
    check: Check = getattr(importlib.import_module(module), name)
    return check


class _Elsewhere:
    """The function of a check that a policy or a plug-in made in another process: all but what it does."""

    def __init__(self, documentation: str, reads: tuple[str, ...]) -> None:
        self.__doc__ = documentation
        self.__annotations__ = dict.fromkeys(reads)
        self.__module__, self.__name__ = __name__, ""

    def __call__(self, **facts: object) -> Iterator[Finding]:
        raise NotImplementedError("a check that was run in another process")


def check(
    check_id: str,
    *,
    family: str,
    severity: Mapping[str, Severity],
    remedy: Remedy,
    references: tuple[str, ...],
    since: str,
) -> Callable[[Callable[..., Iterator[Finding]]], Check]:
    """Declare the decorated function as a check; its parameters name the facts that it reads."""

    def declare(function: Callable[..., Iterator[Finding]]) -> Check:
        return Check(check_id, family, severity, remedy, references, since, function)

    return declare


def passed(message: str, *evidence: Evidence) -> Finding:
    """The rule holds."""
    return Finding(Status.PASSED, message, evidence)


def failed(
    message: str,
    *evidence: Evidence,
    severity: Severity | None = None,
    remedy: Remedy | None = None,
    cause: Cause | None = None,
) -> Finding:
    """The rule is broken."""
    return Finding(Status.FAILED, message, evidence, severity, remedy, cause)


def not_applicable(message: str, *evidence: Evidence) -> Finding:
    """There is nothing to judge."""
    return Finding(Status.NOT_APPLICABLE, message, evidence)


def unknown(message: str, *evidence: Evidence) -> Finding:
    """It could not be told."""
    return Finding(Status.UNKNOWN, message, evidence)
