"""One image in, one report out."""

import os
import time
from collections.abc import Callable
from typing import Any

from validator.checks import ALL_CHECKS
from validator.evidence import Evidence, Unreadable
from validator.facts import IMAGE_FACTS, INSTALLATION_FACTS
from validator.facts.model import Attempt, Facts, Unknown
from validator.judging import Judgement, combine, distrust, judge
from validator.profiles import DEFAULT_PROFILE, PROFILES
from validator.report.model import LayerState, Report, ReportFacts
from validator.source import Budget, FileSource


def validate(
    path: str | os.PathLike[str],
    profile: str = DEFAULT_PROFILE,
    *,
    input_format: str | None = None,
) -> Report:
    """Judge one image.

    Args:
        path: the image; it is opened for reading only.
        profile: the id of one of `validator.profiles.PROFILES`.
        input_format: `vhd`, `vhdx` or `raw` to overrule what the content says.

    Returns:
        The report. Whatever is wrong with the image, its file included, is said there.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: for a profile that does not exist.
    """
    if profile not in {each.id for each in PROFILES}:
        raise ValueError(f"there is no profile {profile!r}")
    started = time.perf_counter()
    name = os.fspath(path)
    budget = Budget()
    with _Image(name, input_format, budget) as image:
        installation, judgement = _judge(image.facts, profile)
        facts = _report_facts(installation)
        layers = _layers(installation)
        if evidence := image.changed():
            judgement = distrust(judgement, evidence)
    duration = (time.perf_counter() - started) * 1000
    return Report(name, profile, judgement, facts, layers, budget.count, round(duration, 3))


class _Image:
    """An image that is open, and the facts about it."""

    def __init__(self, path: str, input_format: str | None, budget: Budget) -> None:
        self._source: FileSource | None = None
        try:
            self._source = FileSource(path, budget)
            source: Attempt[FileSource] = Attempt(self._source)
        except Unreadable as error:
            source = Attempt(None, error.evidence)
        self.facts = Facts(
            IMAGE_FACTS,
            {
                "source": source,
                "file_name": Attempt(os.path.basename(path)),
                "input_format": Attempt(input_format),
            },
        )

    def changed(self) -> Evidence | None:
        """Evidence that the file was changed in the meantime."""
        return self._source.changed() if self._source else None

    def __enter__(self) -> "_Image":
        return self

    def __exit__(self, *exc_info: object) -> None:
        if self._source:
            self._source.close()


def _judge(facts: Facts, profile: str) -> tuple[Facts, Judgement]:
    """The judgement over all installations, and the facts about the one that it speaks of."""
    installations = facts.attempt("installations").value or ()
    about = [facts.about(INSTALLATION_FACTS, chosen=chosen) for chosen in range(max(1, len(installations)))]
    judgements = [judge(each, ALL_CHECKS, profile) for each in about]
    if len(judgements) == 1:
        return about[0], judgements[0]
    names = [f"partition {each.partition}" for each in installations]
    index, judgement = combine(list(zip(names, judgements)))
    return about[index], judgement


def _report_facts(facts: Facts) -> ReportFacts:
    values: dict[str, Any] = {}
    for name in ReportFacts._fields:
        attempt = facts.attempt(name)
        values[name] = Unknown(str(attempt.unknown)) if attempt.unknown else attempt.value
    if values["architecture"] is not None and not isinstance(values["architecture"], Unknown):
        values["architecture"] = str(values["architecture"])
    return ReportFacts(**values)


def _layers(facts: Facts) -> tuple[LayerState, ...]:
    """The state of each layer, as far as it was reached: the first that fails is the last."""
    described: tuple[tuple[str, str, Callable[[Any], str]], ...] = (
        ("file", "source", lambda source: f"{source.size} bytes"),
        ("container", "disk", lambda disk: _container_detail(disk.container)),
        (
            "partition table",
            "partition_table",
            lambda table: f"{table.scheme.upper()}, {len(table.partitions)} partitions",
        ),
        ("file system", "file_system", lambda volume: f"NTFS on partition {volume.partition}"),
        ("hive SOFTWARE", "software_hive", lambda hive: hive.path),
        ("hive SYSTEM", "system_hive", lambda hive: hive.path),
    )
    states: list[LayerState] = []
    reasons: set[str] = set()
    for kind, fact, detail in described:
        attempt = facts.attempt(fact)
        if attempt.unknown is None:
            states.append(LayerState(kind, "intact", detail(attempt.value)))
        elif str(attempt.unknown) not in reasons:
            reasons.add(str(attempt.unknown))
            states.append(LayerState(kind, "damaged", str(attempt.unknown)))
    return tuple(states)


def _container_detail(container: Any) -> str:
    words = " ".join(word for word in (container.subformat, container.format.upper()) if word)
    return words if container.checksums else f"{words}: the format has no checksums to verify"
