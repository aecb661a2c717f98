"""One image in, one report out."""

import os
import time
from collections.abc import Callable, Sequence
from datetime import date, datetime, timezone
from typing import TYPE_CHECKING, Any

from validator.catalogue import all_checks, installation_facts
from validator.disk.container import Container
from validator.disk.formats import FORMATS
from validator.evidence import Evidence, Layer, Unreadable
from validator.facts import IMAGE_FACTS
from validator.facts.model import Attempt, Facts, Unknown
from validator.facts.question import Question
from validator.facts.setup import SetupState
from validator.judging import Judgement, combine, distrust, judge, of_started, unjudged
from validator.policy.model import NO_POLICY, Policy
from validator.profiles import DEFAULT_PROFILE, PROFILES
from validator.report.model import LayerState, Report, ReportFacts
from validator.source import Files, ReadCount
from validator.windows.hive import Hive

if TYPE_CHECKING:
    from validator.facts.picture import Picture
    from validator.facts.timeline import Event


def validate(
    path: str | os.PathLike[str],
    profile: str | None = None,
    *,
    policy: Policy = NO_POLICY,
    today: date | None = None,
    input_format: str | None = None,
    parents: Sequence[str] = (),
    generation: int | None = None,
    will_convert: bool = False,
    nvme: bool = False,
    picture: bool = False,
    timeline: bool = False,
    data_disk: bool = False,
    name: str | None = None,
) -> Report:
    """Judge one image.

    Args:
        path: the image; it is opened for reading only.
        profile: the id of one of `validator.profiles.PROFILES`; None leaves it to the policy, or the default.
        policy: a team's own rules; see `validator.policy.load`.
        today: the day by which waivers of the policy expire; None: that of the clock, in UTC.
        input_format: `vhd`, `vhdx` or `raw` to overrule what the content says.
        parents: files that may be parents of a differencing disk, wherever they lie.
        generation: 1 or 2, what the machine will be; None leaves it to the disk.
        will_convert: whether the container is converted before the upload.
        nvme: whether the machine's disks will be NVMe.
        picture: whether the report has what `inspect` shows beside what was judged.
        timeline: whether it has what happened to the installation, and when.
        data_disk: whether it says that nothing on the disk could start, so that it is no image.
        name: what the report calls the image; None: the path.

    Returns:
        The report. Whatever is wrong with the image, its file included, is said there.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: for a profile or a format that does not exist.
        validator.plugins.PluginError: where an installed plug-in cannot be used.
    """
    question = asked(profile, policy, input_format, generation, will_convert, nvme)
    profile = question.profile
    started = time.perf_counter()
    day = today or datetime.now(timezone.utc).date()
    file = os.fsdecode(path)
    with Files() as files:
        try:
            source = Attempt(files.open(file))
        except Unreadable as error:
            source = Attempt(None, error.evidence)
        given = {"source": source, "files": Attempt(files), "question": Attempt(question)}
        facts = Facts(
            IMAGE_FACTS,
            {**given, "input_format": Attempt(input_format), "parents": Attempt(tuple(parents))},
        )

        def accepted(judgement: Judgement) -> Judgement:
            if not policy.waivers and policy.baseline is None:
                return judgement
            from validator.policy.acceptance import accept

            return accept(judgement, policy, file, day)

        installation, judgement = _judge(facts, profile, policy, accepted)
        report_facts = _report_facts(installation)
        layers = _layers(installation)
        shown = _picture(installation) if picture else None
        life = _timeline(installation) if timeline else None
        data_disk = data_disk and facts.attempt("data_disk").value is True
        if evidence := files.changed():
            judgement = distrust(judgement, evidence)
            data_disk = False
    duration = (time.perf_counter() - started) * 1000
    count = files.budget.count
    return Report(
        file if name is None else name,
        profile,
        accepted(judgement),
        report_facts,
        layers,
        count,
        round(duration, 3),
        shown,
        life,
        files=tuple(map(os.path.realpath, files.paths)),
        parts=files.parts,
        question=question,
        data_disk=data_disk,
    )


def asked(
    profile: str | None = None,
    policy: Policy = NO_POLICY,
    input_format: str | None = None,
    generation: int | None = None,
    will_convert: bool = False,
    nvme: bool = False,
) -> Question:
    """The question that `validate` answers where it is called so; it says what is raised."""
    profile = profile or policy.profile or DEFAULT_PROFILE
    if profile not in {each.id for each in PROFILES}:
        raise ValueError(f"there is no profile {profile!r}")
    if input_format is not None and input_format not in FORMATS:
        raise ValueError(f"there is no format {input_format!r}; there are {', '.join(FORMATS)}")
    return Question(profile, generation, will_convert, nvme, input_format)


def unanswered(name: str, question: Question, policy: Policy, evidence: Evidence) -> Report:
    """The report about an image that could not be judged at all; no check is run.

    A policy accepts nothing of it: waivers are about what was found.
    """
    unknown: Any = Unknown(str(evidence))
    state = SetupState(*[unknown] * len(SetupState._fields))._replace(image_state_time=None)
    facts = ReportFacts(*[unknown] * len(ReportFacts._fields))._replace(setup_state=state)
    return Report(
        name,
        question.profile,
        unjudged(all_checks(question.profile), question.profile, policy, evidence),
        facts,
        (LayerState("file", "damaged", str(evidence)),) if evidence.where.layer is Layer.FILE else (),
        ReadCount(),
        0.0,
        question=question,
    )


def _judge(
    facts: Facts, profile: str, policy: Policy, accepted: Callable[[Judgement], Judgement]
) -> tuple[Facts, Judgement]:
    """The judgement over all installations, and the facts about the one that it speaks of."""

    def judged(about: Facts) -> Judgement:
        return judge(about, all_checks(profile), profile, policy)

    installations = facts.attempt("installations").value or ()
    names = [f"partition {each.partition}" for each in installations]
    elsewhere: tuple[Evidence, ...] = ()
    if len(installations) > 1:
        # Read for this alone: where there is one Windows, nobody asks what starts.
        started = facts.attempt("default_installation")
        if started.value is not None and started.value.chosen is not None:
            chosen = started.value.chosen
            only = facts.about(installation_facts(), chosen=chosen)
            return only, of_started(judged(only), names[chosen], started.value.evidence)
        if started.value is not None and started.value.elsewhere:
            elsewhere = started.value.evidence
        elif started.unknown is not None and started.unknown.where.layer is Layer.TOOL:
            elsewhere = (started.unknown,)
    about = [facts.about(installation_facts(), chosen=chosen) for chosen in range(max(1, len(installations)))]
    judgements = [judged(each) for each in about]
    if len(judgements) == 1:
        return about[0], judgements[0]
    index, judgement = combine(list(zip(names, judgements)), elsewhere, accepted)
    return about[index], judgement


def _picture(facts: Facts) -> "Picture":
    from validator.facts.picture import picture_of

    return picture_of(facts)


def _timeline(facts: Facts) -> "tuple[Event, ...]":
    from validator.facts.timeline import timeline_of

    return timeline_of(facts)


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
        ("hive SOFTWARE", "software_hive", _hive_detail),
        ("hive SYSTEM", "system_hive", _hive_detail),
    )
    states: list[LayerState] = []
    reasons: set[str] = set()
    for kind, fact, detail in described:
        attempt = facts.attempt(fact)
        if attempt.unknown is not None:
            if str(attempt.unknown) not in reasons:
                reasons.add(str(attempt.unknown))
                states.append(LayerState(kind, "damaged", str(attempt.unknown)))
            continue
        recovered = getattr(attempt.value, "recovered", ())
        words = [detail(attempt.value), *map(str, recovered)]
        states.append(LayerState(kind, "recovered" if recovered else "intact", "; ".join(words)))
    return tuple(states)


def _hive_detail(hive: Hive) -> str:
    if not hive.transactional:
        return hive.path
    return f"{hive.path}; transactions (TxR) that were not committed are no part of it"


def _container_detail(container: Container) -> str:
    words = " ".join(word for word in (container.subformat, container.format.upper()) if word)
    if container.parents:
        words += f" over {', '.join(container.parents)}"
    return (
        words
        if container.checksums
        else f"{words}: no checksums in this format; its structures are in bounds"
    )
