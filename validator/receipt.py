"""Receipts: what was judged, by its digest, and what came of it (docs/receipts.md).

A receipt is an in-toto Statement v1 (https://github.com/in-toto/attestation/tree/main/spec/v1): its subjects
are the files of the images, its predicate is the outcome. It is not signed; whoever reads one reads what
anybody may have written.
"""

import json
import os
from collections.abc import Callable, Iterable, Mapping
from datetime import date
from pathlib import PurePath
from typing import Any, NamedTuple, TypeVar

from validator.checks.model import Distribution, Status
from validator.disk.formats import claimed_by
from validator.evidence import Layer, Location, Unreadable, damaged
from validator.facts.model import Unknown
from validator.facts.question import Question
from validator.judging import Judged, Verdict
from validator.policy.model import Policy, Waiver
from validator.report.alerts import image_names, told_apart
from validator.report.json import dumps
from validator.report.model import RunReport, rfc3339
from validator.report.printable import without_surrogates
from validator.source import FileSource, FileState

STATEMENT_TYPE = "https://in-toto.io/Statement/v1"
PREDICATE_TYPE = "urn:image-validator:verdict:v1"
MAX_SIZE = 16 * 2**20
"""Of a receipt, in bytes; one about a thousand images has a tenth."""
_HEXADECIMAL = frozenset("0123456789abcdef")

_TYPES = {str: "string", int: "integer", bool: "boolean", dict: "object", list: "array"}

T = TypeVar("T")


def sha256(path: str, read: Callable[[int], object], judged: FileState | None = None) -> str:
    """The digest of a file, in hexadecimal.

    Args:
        path: the file; it is opened for reading only.
        read: is told how many bytes were read, again and again.
        judged: its state when it was judged, if it has to be that file.

    Raises:
        Unreadable: where it cannot be read, is no longer what was judged, or changes meanwhile.
        FileNotFoundError: if there is no such file.
    """
    import hashlib

    try:
        source = FileSource(path)
    except FileNotFoundError as error:
        if judged is None:
            raise
        raise _another("no such file") from error
    try:
        if judged and (difference := judged.difference(source.state)):
            raise _another(difference)
        digest = hashlib.sha256()
        for piece in source.pieces():
            digest.update(piece)
            read(len(piece))
        if evidence := source.changed():
            raise Unreadable(evidence)
    finally:
        source.close()
    return digest.hexdigest()


def _another(found: str) -> Unreadable:
    found += ": it was changed after it was judged"
    return damaged(Location(Layer.FILE), expected="the file as it was judged", found=found)


# --- made -----------------------------------------------------------------------------------------


def statement(run: RunReport, digests: Mapping[FileState, str]) -> str:
    """The receipt of a run, as JSON.

    Args:
        run: one image or more, each with the files that it is made of.
        digests: the SHA-256 of each of these files.
    """
    parts = {digests[part]: os.path.basename(part.path) for image in run.images for part in image.parts}
    names = told_apart(map(without_surrogates, parts.values()))
    data = {
        "_type": STATEMENT_TYPE,
        "subject": [{"name": name, "digest": {"sha256": digest}} for digest, name in zip(parts, names)],
        "predicateType": PREDICATE_TYPE,
        "predicate": {
            "tool": {"name": "image-validator", "version": run.tool_version},
            "plugins": [each._asdict() for each in run.plugins],
            "time": rfc3339(run.started),
            "question": (run.images[0].question or Question(run.profile))._asdict(),
            "fail_on": run.fail_on.value,
            "policy": {"sha256": _policy(run)},
            "exit_code": run.exit_code.value,
            "images": [
                {
                    "name": name,
                    "files": [digests[part] for part in image.parts],
                    "format": None
                    if isinstance(image.facts.container, Unknown)
                    else image.facts.container.format,
                    "verdict": image.verdict.value,
                    "summary": without_surrogates(image.summary),
                    "checks": [_check(each) for each in image.findings],
                }
                for name, image in zip(image_names(run), run.images)
            ],
        },
    }
    return dumps(data)


def _policy(run: RunReport) -> str:
    """The digest of what applied; where there was no policy, of the profile and of what fails the command."""
    return run.policy.digest if run.policy else Policy(profile=run.profile, fail_on=run.fail_on).digest


def _check(judged: Judged) -> dict[str, Any]:
    waiver = judged.waiver if judged.status is Status.WAIVED else None
    return {
        "check": judged.check.id,
        "status": judged.status.value,
        "severity": judged.severity.value,
        "waiver": waiver
        and {
            "reason": waiver.reason,
            "image": waiver.image,
            "until": waiver.until and waiver.until.isoformat(),
            "baseline": waiver.baseline,
        },
    }


# --- read -----------------------------------------------------------------------------------------


class JudgedImage(NamedTuple):
    """What a receipt says of one image."""

    files: tuple[str, ...]
    """The SHA-256 of each file that it is made of, itself first."""
    format: str | None
    """As which it was read."""
    verdict: str
    waivers: tuple[Waiver, ...]
    """What the policy accepted, by check."""


class Terms(NamedTuple):
    """What was asked, and what counts as a pass."""

    question: Question
    fail_on: str
    policy: str
    """The digest of the policy, `Policy.digest`."""


class Receipt(NamedTuple):
    """What a receipt says, as far as anybody has to know who relies on it."""

    tool: str
    """Its version."""
    plugins: frozenset[Distribution]
    """Those whose checks were asked."""
    time: str
    terms: Terms
    exit_code: int
    images: tuple[JudgedImage, ...]


def read(data: bytes) -> Receipt:
    """The receipt in the bytes of a file, which may be anybody's.

    Fields that are not asked for are ignored, as in-toto wants it.

    Raises:
        ValueError: where it is none, with what was expected and what was found.
    """
    if len(data) > MAX_SIZE:
        raise ValueError(f"expected at most {MAX_SIZE} bytes, found more")
    try:
        said = json.loads(data.decode(), object_pairs_hook=_without_doubles)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"expected JSON, found none: {error}") from error
    kinds = _text(said, "_type"), _text(said, "predicateType")
    if kinds != (STATEMENT_TYPE, PREDICATE_TYPE):
        raise ValueError(f"expected a {STATEMENT_TYPE} with a {PREDICATE_TYPE}, found {' with '.join(kinds)}")
    subjects = {_digest(_field(each, "digest", dict)) for each in _field(said, "subject", list)}
    predicate = _field(said, "predicate", dict)
    receipt = Receipt(
        _text(_field(predicate, "tool", dict), "version"),
        frozenset(
            Distribution(_text(each, "name"), _text(each, "version"))
            for each in _field(predicate, "plugins", list)
        ),
        _text(predicate, "time"),
        _terms(predicate),
        _field(predicate, "exit_code", int),
        tuple(_image(each) for each in _field(predicate, "images", list)),
    )
    if {digest for image in receipt.images for digest in image.files} != subjects:
        raise ValueError("expected the files of its images as subjects, found others")
    return receipt


def _terms(said: dict[str, Any]) -> Terms:
    question = _field(said, "question", dict)
    generation = None if question.get("generation") is None else _field(question, "generation", int)
    return Terms(
        Question(
            _text(question, "profile"),
            generation,
            _field(question, "will_convert", bool),
            _field(question, "nvme", bool),
            _optional(question, "input_format"),
        ),
        _text(said, "fail_on"),
        _digest(_field(said, "policy", dict)),
    )


def _image(said: Any) -> JudgedImage:
    checks = _field(said, "checks", list)
    return JudgedImage(
        tuple(_digest({"sha256": each}) for each in _field(said, "files", list)),
        _optional(said, "format"),
        _text(said, "verdict"),
        tuple(_waiver(each) for each in checks if _text(each, "status") == Status.WAIVED.value),
    )


def _waiver(check: Any) -> Waiver:
    """What a check that was waived was accepted by."""
    said = _field(check, "waiver", dict)
    image, until = _optional(said, "image"), _optional(said, "until")
    try:
        PurePath("image").match("*" if image is None else image)
        last = None if until is None else date.fromisoformat(until)
    except ValueError as error:
        raise ValueError(f"expected a waiver with a pattern and a day: {error}") from error
    return Waiver(_text(check, "check"), _text(said, "reason"), image, last, _field(said, "baseline", bool))


def _field(said: Any, name: str, kind: type[T]) -> T:
    value = said.get(name) if isinstance(said, dict) else None
    if type(value) is not kind:  # True is no number here
        raise ValueError(
            f"expected {name} to be of type {_TYPES[kind]}, found {_TYPES.get(type(value), 'none')}"
        )
    return value


def _text(said: Any, name: str) -> str:
    return _field(said, name, str)


def _optional(said: Any, name: str) -> str | None:
    return None if isinstance(said, dict) and said.get(name) is None else _text(said, name)


def is_digest(text: str) -> bool:
    """Whether it has the form of a SHA-256 in small hexadecimal digits."""
    return len(text) == 64 and _HEXADECIMAL.issuperset(text)


def _digest(said: Any) -> str:
    digest = _text(said, "sha256")
    if not is_digest(digest):
        raise ValueError(f"expected a SHA-256 in small hexadecimal digits, found {digest!r}")
    return digest


def _without_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object whose keys are all different: two readers might take another one of two."""
    if len({name for name, _ in pairs}) < len(pairs):
        raise ValueError("a key stands twice in an object")
    return dict(pairs)


# --- held against what is here ---------------------------------------------------------------------


class Doubt(Exception):
    """Why a receipt does not hold for a file, in a sentence."""


def objections(receipt: Receipt, wanted: Terms, plugins: Iterable[Distribution]) -> list[str]:
    """Why a receipt does not hold, whatever the images, in sentences.

    Args:
        receipt: what was judged.
        wanted: what would be asked here.
        plugins: those whose checks would be asked here; that more were asked is no objection.
    """
    found = []
    if receipt.exit_code:
        verdicts = ", ".join(sorted({image.verdict for image in receipt.images}))
        found.append(f"Not a pass: the check returned {receipt.exit_code} ({verdicts}).")
    asked, wish = (_options(each) for each in (receipt.terms, wanted))
    others = [
        f"Another question: {option} was {asked[option]}, wanted {wish[option]}."
        for option in asked
        if asked[option] != wish[option]
    ]
    if receipt.terms.policy != wanted.policy:
        what = "Another policy or other options" if others else "Another policy"
        found.append(f"{what}: it was {receipt.terms.policy}, wanted {wanted.policy}.")
    others += [
        f"Another question: the checks of {each} were not asked, which is installed here."
        for each in plugins
        if each not in receipt.plugins
    ]
    return found + others


def _options(terms: Terms) -> dict[str, str]:
    """What was asked, in the words of the command line."""
    question = terms.question
    given = {
        "--profile": question.profile,
        "--generation": question.generation,
        "--will-convert": question.will_convert,
        "--vm-size-nvme": question.nvme,
        "--input-format": question.input_format,
        "--fail-on": terms.fail_on,
    }
    words = {None: "left out", False: "left out", True: "given"}
    return {
        option: words[value] if value is None or isinstance(value, bool) else str(value)
        for option, value in given.items()
    }


class Here(NamedTuple):
    """What a receipt is held against."""

    digests: Mapping[str, str]
    """The SHA-256 of all files that are given, by their paths."""
    policy: Policy | None
    """What the digest in the receipt is of; None where only that is known."""
    today: date
    """The day by which waivers expire."""


def basis(receipt: Receipt, path: str, here: Here) -> JudgedImage:
    """The image for which a receipt holds, and which a file is or is a part of.

    Raises:
        Doubt: where there is none.
    """
    digest = here.digests[path]
    why = f"Other bytes: their SHA-256 is {digest}, and the receipt is about none with that."
    for image in receipt.images:
        if digest in image.files:
            doubt = _doubt(image, receipt.terms.question, path, here)
            if doubt is None:
                return image
            why = doubt
    raise Doubt(why)


def _doubt(image: JudgedImage, question: Question, path: str, here: Here) -> str | None:
    # An image of several files is what was judged only with all of them.
    if lacking := sorted({*image.files} - {*here.digests.values()}):
        return f"It was judged with another file, which is not given, of the SHA-256 {lacking[0]}."
    if here.digests[path] != image.files[0]:
        return None
    claimed = claimed_by(os.path.basename(path))
    if claimed and image.format == "raw" and question.input_format is None:
        return f"It was judged as a raw disk, and is no {claimed.upper()}, as its name says."
    for waiver in image.waivers:
        if not _still_accepted(waiver, path, here):
            return (
                f"No waiver accepts {waiver.check} of a file with this name today; when it was judged, one "
                f"did: {waiver.reason}"
            )
    return None


def _still_accepted(waiver: Waiver, path: str, here: Here) -> bool:
    """Whether the policy accepts under a name and today what it accepted when it was judged."""
    said = (waiver,) if here.policy is None else here.policy.waivers
    covering = [each for each in said if each.covers(waiver.check, path)]
    return any(not each.expired(here.today) for each in covering) if covering else waiver.baseline


def accepted(image: JudgedImage) -> str | None:
    """What of an image the policy accepts, in a sentence, or None."""
    if not image.waivers:
        return None
    names = ", ".join(dict.fromkeys(f"{each.check} ({each.reason})" for each in image.waivers))
    begin = (
        "Accepted" if image.verdict == Verdict.DEPLOYABLE.value else f"{image.verdict.capitalize()}, accepted"
    )
    return f"{begin} by the policy: {names}"
