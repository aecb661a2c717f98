"""What plug-ins add: loaded, held to what declarations promise, and contained where they fail.

Only imported where a plug-in is installed. What may be declared stands in docs/plugins.md.
"""

import functools
import os
import re
import traceback
import typing
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timezone
from importlib.metadata import EntryPoint
from types import FunctionType, UnionType
from typing import Any, NamedTuple

from validator.checks import own_checks
from validator.checks.model import Check, Distribution, Finding, PluginError, Remedy, Severity, Status
from validator.evidence import Evidence, Unreadable
from validator.facts import IMAGE_FACTS, INSTALLATION_FACTS
from validator.facts.model import own_failure, parameters
from validator.profiles import PROFILES

_ID = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
_FAMILY = re.compile(r"[a-z]+")


class Plugin(NamedTuple):
    """What the entry point of a plug-in names: all that it adds."""

    checks: tuple[Check, ...] = ()
    """In report order; they stand behind ours."""
    facts: tuple[Callable[..., Any], ...] = ()
    """Facts about one installation of Windows, known by the names of their functions."""


def load(points: Iterable[EntryPoint]) -> tuple[tuple[Check, ...], dict[str, Callable[..., Any]]]:
    """The checks and facts that the plug-ins behind these entry points add.

    Raises:
        PluginError: where one of them cannot be imported, or declares what it may not.
    """
    plugins: list[tuple[EntryPoint, Plugin]] = []
    facts: dict[str, Callable[..., Any]] = {}
    for point in points:
        with _blaming(point):
            plugin = point.load()
            _refuse_others(plugin, Plugin, point.value)
            for fact in plugin.facts:
                _refuse_others(fact, FunctionType, "one of its facts")
                _refuse(f"its fact {fact.__name__}", _faults_of_fact(point.name, fact, facts))
                facts[fact.__name__] = fact
            plugins.append((point, plugin))
    checks: dict[str, Check] = {}
    known = {*IMAGE_FACTS, *INSTALLATION_FACTS, *facts, "question"}
    for point, plugin in plugins:
        with _blaming(point):
            distribution = _distribution(point)
            for fact in plugin.facts:
                _refuse(f"its fact {fact.__name__}", _faults_of_parameters(fact, known))
                facts[fact.__name__] = _contained(fact.__name__, fact, distribution)
            for check in plugin.checks:
                _refuse_others(check, Check, "one of its checks")
                _refuse(f"its check {check.id}", _faults_of_check(point.name, check, checks))
                _refuse(f"its check {check.id}", _faults_of_parameters(check.function, known))
                checks[check.id] = replace(
                    check,
                    severity=_exact(dict(check.severity), dict[str, Severity]),
                    remedy=_exact(check.remedy, Remedy),
                    references=_exact(tuple(check.references), tuple[str, ...]),
                    since=_exact(check.since, str),
                    function=_contained(check.id, check.function, distribution, _findings),
                    distribution=distribution,
                )
    return tuple(checks.values()), facts


def _distribution(point: EntryPoint) -> Distribution:
    assert point.dist is not None  # only one that was made by hand has none
    return Distribution(point.dist.name, point.dist.version)


@contextmanager
def _blaming(point: EntryPoint) -> Iterator[None]:
    """Whatever goes wrong is said of the plug-in, SystemExit as well: it would be the exit code."""
    try:
        yield
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        if os.environ.get("IMAGE_VALIDATOR_DEBUG"):
            traceback.print_exception(error)
        why = f"{type(error).__name__}: {error} (IMAGE_VALIDATOR_DEBUG=1 shows where)"
        raise PluginError(
            f"the plug-in {point.name} of {_distribution(point)} cannot be used: "
            f"{error if isinstance(error, _Fault) else why}"
        ) from error


# --- what may be declared -------------------------------------------------------------------------


class _Fault(Exception):
    """Something that may not be declared."""


def _refuse(what: str, faults: Iterator[str]) -> None:
    """Raise the first of the faults, if there is one."""
    for fault in faults:
        raise _Fault(f"{what} {fault}")


def _refuse_others(value: object, kind: type, what: str) -> None:
    if not isinstance(value, kind):
        raise _Fault(f"{what} is a {type(value).__name__}, not a {kind.__name__}")


def _faults_of_fact(plugin: str, fact: Callable[..., Any], others: Mapping[str, object]) -> Iterator[str]:
    """What keeps a fact from being added. Its name says whose it is, so that ours may become more."""
    name, prefix = fact.__name__, plugin.replace("-", "_") + "_"
    if name in IMAGE_FACTS or name in INSTALLATION_FACTS:
        yield "would replace one of image-validator"
    if name in others:
        yield "has the name of another plug-in's"
    if not name.startswith(prefix):
        yield f"has a name that does not begin with {prefix}"


def _faults_of_check(plugin: str, check: Check, others: Mapping[str, object]) -> Iterator[str]:
    """What keeps a check from being added: reports rest on what declarations promise."""
    if check.id in {each.id for each in own_checks()}:
        yield "would replace one of image-validator"
    if check.id in others:
        yield "has the id of another plug-in's"
    if not check.id.startswith(f"{plugin}-") or not _ID.fullmatch(check.id):
        yield f"has an id that is not {plugin}- and words in small letters with hyphens between them"
    if not _FAMILY.fullmatch(check.family):
        yield f"has a family that is not one word in small letters: {check.family!r}"
    profiles = [profile.id for profile in PROFILES]
    if not check.severity or not set(check.severity) <= set(profiles):
        yield f"has no severity, or one for a profile that is none of {', '.join(profiles)}"
    if not check.title.endswith((".", "?")) or not check.explanation:
        yield "lacks documentation: the rule in one sentence, an empty line, why it matters"
    if not check.remedy.text:
        yield "has no remedy"
    if not check.references or not all(each.startswith("https://") for each in check.references):
        yield "has no reference, or one that does not begin with https://"


def _faults_of_parameters(function: Callable[..., Any], known: set[str]) -> Iterator[str]:
    """What keeps a fact or check from being called: its parameters are facts, each with its type."""
    annotated = {name for name, _ in parameters(function)}
    code = function.__code__
    for name in code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]:
        if name not in annotated:
            yield f"has a parameter without a type: {name}"
        elif name not in known:
            import difflib

            near = difflib.get_close_matches(name, known, 1)
            yield f"asks for {name}, which is no fact" + (f"; did you mean {near[0]}?" if near else "")


# --- what may happen ------------------------------------------------------------------------------


def _contained(
    name: str,
    function: Callable[..., Any],
    distribution: Distribution,
    result: Callable[[Any], Any] = lambda value: value,
) -> Callable[..., Any]:
    """The function, whose every failure is evidence that names whose it is.

    So is SystemExit, by which a plug-in would choose the exit code. Only an interruption is the user's.
    """

    @functools.wraps(function)
    def contained(**facts: Any) -> Any:
        try:
            try:
                return result(function(**facts))
            except Unreadable as error:
                evidence = _exact(error.evidence, Evidence)
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            raise Unreadable(own_failure(name, error, f"the plug-in {distribution}")) from error
        raise Unreadable(evidence)

    return contained


def _findings(yielded: Iterator[Finding]) -> list[Finding]:
    """All findings of a check, if that is what they are: no type checker has seen a plug-in."""
    findings: list[Finding] = [_exact(finding, Finding) for finding in yielded]
    if any(finding.status is Status.WAIVED for finding in findings):
        raise ValueError("a check that waives itself")
    return findings


_MOST = 2**64
"""Above every number of a place."""


_annotations = functools.cache(typing.get_type_hints)


def _exact(value: Any, kind: Any) -> Any:
    """A value as its annotation has it, made anew down to texts and numbers: renderers rely on each of them.

    Raises:
        TypeError: where it is something else.
        ValueError: for a number that no place has.
    """
    if isinstance(kind, UnionType):
        (kind,) = (each for each in typing.get_args(kind) if each is not type(None))
        return None if value is None else _exact(value, kind)
    plain = typing.get_origin(kind) or kind
    if not isinstance(value, plain) or (isinstance(value, bool) and plain is not bool):
        raise TypeError(f"a {type(value).__name__} where a {plain.__name__} belongs")
    if plain is dict:
        of_key, of_value = typing.get_args(kind)
        return {_exact(key, of_key): _exact(each, of_value) for key, each in value.items()}
    if plain is tuple:
        return tuple(_exact(each, typing.get_args(kind)[0]) for each in value)
    if issubclass(plain, tuple):
        kinds = _annotations(plain)
        return plain(*(_exact(getattr(value, name), kinds[name]) for name in plain._fields))
    if plain is int and not 0 <= value < _MOST:
        raise ValueError(f"a number out of range: {value:#x}")
    if plain is datetime and value.tzinfo is not None:
        return value.astimezone(timezone.utc)
    return str.__str__(value) if plain is str else value
