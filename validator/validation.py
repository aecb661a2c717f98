"""One image in, one report out."""

import os
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import date, datetime, timezone
from importlib import import_module
from typing import TYPE_CHECKING, Any

from validator.address import is_address, shown
from validator.catalogue import all_checks, installation_facts
from validator.disk.container import Container
from validator.disk.formats import FORMATS, archive_kind
from validator.evidence import ArtifactError, Evidence, Layer, Unreachable, Unreadable
from validator.facts import IMAGE_FACTS
from validator.facts.model import Attempt, Facts, Unknown, own_failure
from validator.facts.question import Question
from validator.facts.setup import SetupState
from validator.judging import Judgement, combine, distrust, judge, of_started, unjudged
from validator.policy.model import NO_POLICY, Policy
from validator.profiles import DEFAULT_PROFILE, PROFILES
from validator.report.model import LayerState, Report, ReportFacts
from validator.source import Files, FileSource, ImageFile, ReadCount
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
    member: str | None = None,
    max_unpacked: int | None = None,
    unpacking: Callable[[int, int], object] = lambda done, total: None,
    max_transfer: int | None = None,
) -> Report:
    """Judge one image.

    Args:
        path: the image, a path or an address (docs/remote.md); it is opened for reading only.
        profile: the id of one of `validator.profiles.PROFILES`; None leaves it to the policy, or the default.
        policy: a team's own rules; see `validator.policy.load`.
        today: the day by which waivers of the policy expire; None: that of the clock, in UTC.
        input_format: `vhd`, `vhdx` or `raw` to overrule what the content says.
        parents: files, or addresses, that may be parents of a differencing disk, wherever they lie.
        generation: 1 or 2, what the machine will be; None leaves it to the disk.
        will_convert: whether the container is converted before the upload.
        nvme: whether the machine's disks will be NVMe.
        picture: whether the report has what `inspect` shows beside what was judged.
        timeline: whether it has what happened to the installation, and when.
        data_disk: whether it says that nothing on the disk could start, so that it is no image.
        name: what the report calls the image; None: the path. Of an address only what may be seen is used.
        member: the name of the image to judge in an archive that holds several.
        max_unpacked: bytes that may be written to a temporary file of a compressed image, 0 for none; None:
            `validator.artifact.opening.MAX_UNPACKED`.
        unpacking: told how many bytes of how many of a compressed image were read.
        max_transfer: bytes that may be asked for over the network; None: `validator.remote.MAX_TRANSFER`.

    Returns:
        The report. Whatever is wrong with the image, its file included, is said there.

    Raises:
        FileNotFoundError: if there is no such file.
        Unreachable: where an address cannot be read for a reason that the user can mend.
        ValueError: for a profile or a format that does not exist.
        validator.ArtifactError: for an archive of several images without `member`, or without that member.
        validator.plugins.PluginError: where an installed plug-in cannot be used.
    """
    question = asked(profile, policy, input_format, generation, will_convert, nvme)
    profile = question.profile
    started = time.perf_counter()
    day = today or datetime.now(timezone.utc).date()
    file = os.fsdecode(path)
    name = shown(name or file)
    with _files((file, *parents), max_transfer) as files:
        try:
            source = Attempt(_image_in(files.open(file), files, member, max_unpacked, unpacking))
        except (ArtifactError, FileNotFoundError, Unreachable):
            raise
        except Unreadable as error:
            source = Attempt(None, error.evidence)
        except Exception as error:
            source = Attempt(None, own_failure("source", error))
        given = {"source": source, "files": Attempt(files), "question": Attempt(question)}
        facts = Facts(
            IMAGE_FACTS,
            {**given, "input_format": Attempt(input_format), "parents": Attempt(tuple(parents))},
        )

        def accepted(judgement: Judgement) -> Judgement:
            if not policy.waivers and policy.baseline is None:
                return judgement
            from validator.policy.acceptance import accept

            return accept(judgement, policy, name, day)

        installation, judgement = _judge(facts, profile, policy, accepted)
        report_facts = _report_facts(installation)
        layers = _layers(installation)
        pictured = _picture(installation) if picture else None
        life = _timeline(installation) if timeline else None
        data_disk = data_disk and facts.attempt("data_disk").value is True
        if evidence := files.changed():
            judgement = distrust(judgement, evidence)
            data_disk = False
    duration = (time.perf_counter() - started) * 1000
    count = files.budget.count
    return Report(
        name,
        profile,
        accepted(judgement),
        report_facts,
        layers,
        count,
        round(duration, 3),
        pictured,
        life,
        files=tuple(each if is_address(each) else os.path.realpath(each) for each in files.paths),
        parts=files.parts,
        question=question,
        data_disk=data_disk,
        member=source.value.member if source.value else None,
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
        shown(name),
        question.profile,
        unjudged(all_checks(question.profile), question.profile, policy, evidence),
        facts,
        (LayerState("file", "damaged", str(evidence)),) if evidence.where.layer is Layer.FILE else (),
        ReadCount(),
        0.0,
        question=question,
    )


def _files(names: Sequence[str], max_transfer: int | None) -> Files:
    """What opens the files of an image; only for an address that the user gave it knows of a network."""
    if not any(map(is_address, names)):
        return Files()
    import threading

    from validator.remote import MAX_TRANSFER, RemoteFiles

    threading.Thread(target=_load_engines, daemon=True).start()
    return RemoteFiles(MAX_TRANSFER if max_transfer is None else max_transfer)


def _load_engines() -> None:
    """Import what reading an image needs anyway, while the network is waited for."""
    with suppress(ImportError):  # who needs it says so
        import_module("pyvhdi")
        import_module("dissect.regf")


def _image_in(
    source: FileSource,
    files: Files,
    member: str | None,
    max_unpacked: int | None,
    unpacking: Callable[[int, int], object],
) -> ImageFile:
    """The image that a file is, or holds where it is an archive."""
    if (kind := archive_kind(source)) is not None:
        from validator.artifact.opening import MAX_UNPACKED, Unpacking, open_packed

        most = MAX_UNPACKED if max_unpacked is None else max_unpacked
        return open_packed(source, kind, files, Unpacking(member, most, unpacking))
    if member is not None:
        raise ArtifactError(f"{source.path} is no archive that could have a member {member}")
    return source


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
        ("file", "source", _file_detail),
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


def _file_detail(source: ImageFile) -> str:
    return f"{source.size} bytes" + (f", {source.packed}" if source.packed else "")


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
