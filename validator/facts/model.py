"""Facts: lazy, remembered, injected by name.

A fact is a function whose parameters are other facts. It is computed on first use, and its value *or
failure* is remembered: what is not asked for costs no reading, and one damaged layer fails each fact
that rests on it with the same evidence. A parameter annotated `Attempt[T]` receives the value or the
failure, for facts and checks that can say something either way; one annotated `Later[T]` computes
nothing until it is called.
"""

import functools
import os
import traceback
import typing
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, NamedTuple, TypeVar

from validator.evidence import Effect, Evidence, Layer, Location, Unreadable

T_co = TypeVar("T_co", covariant=True)


@dataclass(frozen=True, slots=True)
class Attempt(Generic[T_co]):
    """A fact that may have failed: a value, or the evidence why there is none."""

    value: T_co | None
    """Only to be read where `unknown` is None; None is a value as well (absent)."""
    unknown: Evidence | None = None


@dataclass(frozen=True, slots=True)
class Later(Generic[T_co]):
    """A fact that is computed when it is called for: for what only few images make somebody ask."""

    call: Callable[[], Attempt[T_co]]

    def __call__(self) -> Attempt[T_co]:
        """The value, or the evidence why there is none."""
        return self.call()


class Unknown(NamedTuple):
    """A fact that could not be had, in a report."""

    why: str


class Facts:
    """Computes facts about one subject.

    Args:
        functions: the facts that can be computed, by name.
        given: what is there from the start.
    """

    def __init__(
        self, functions: Mapping[str, Callable[..., Any]], given: Mapping[str, Attempt[Any]]
    ) -> None:
        self._functions = functions
        self._known: dict[str, Attempt[Any]] = dict(given)

    def about(self, functions: Mapping[str, Callable[..., Any]], **given: object) -> "Facts":
        """More facts, about a part of the subject: what is known of the whole is known of the part."""
        known = {name: Attempt(value) for name, value in given.items()}
        return Facts({**self._functions, **functions}, {**self._known, **known})

    def attempt(self, name: str) -> Attempt[Any]:
        """The fact, or why it cannot be had."""
        if name not in self._known:
            self._known[name] = self._compute(name)
        return self._known[name]

    def computed(self, name: str) -> Attempt[Any] | None:
        """The fact if something asked for it already."""
        return self._known.get(name)

    def _compute(self, name: str) -> Attempt[Any]:
        try:
            return Attempt(self.call(self._functions[name]))
        except Unreadable as error:
            return Attempt(None, error.evidence)
        except Exception as error:
            return Attempt(None, own_failure(name, error))

    def call(self, function: Callable[..., Any]) -> Any:
        """Call a function with the facts that its parameters name.

        Raises:
            Unreadable: where one of them cannot be had.
        """
        arguments: dict[str, Any] = {}
        for name, annotation in parameters(function):
            if typing.get_origin(annotation) is Later:
                arguments[name] = Later(functools.partial(self.attempt, name))
            elif takes_attempt(annotation):
                arguments[name] = self.attempt(name)
            elif (attempt := self.attempt(name)).unknown is not None:
                raise Unreadable(attempt.unknown)
            else:
                arguments[name] = attempt.value
        return function(**arguments)


def parameters(function: Callable[..., Any]) -> Iterable[tuple[str, Any]]:
    """Names and annotations of a function's parameters: the facts that it reads."""
    return [item for item in function.__annotations__.items() if item[0] != "return"]


def takes_attempt(annotation: Any) -> bool:
    """Whether a parameter takes a fact that may have failed; plug-ins may have annotations as text."""
    if isinstance(annotation, str):
        return annotation.partition("[")[0].rpartition(".")[2] in (Attempt.__name__, Later.__name__)
    return typing.get_origin(annotation) in (Attempt, Later)


_US = "image-validator"
_FAILED = " failed ("


def own_failure(name: str, error: BaseException, who: str = _US) -> Evidence:
    """Evidence for a failure of this program or a plug-in: never an answer about the image."""
    if os.environ.get("IMAGE_VALIDATOR_DEBUG"):
        traceback.print_exception(error)
    return Evidence(
        Location(Layer.TOOL),
        f"{who}{_FAILED}{type(error).__name__}: {error}) while it read “{name}”; "
        "IMAGE_VALIDATOR_DEBUG=1 shows where",
        "an answer",
        effect=Effect.LOST,
    )


def who_failed(evidence: Evidence) -> str:
    """Whom evidence by `own_failure` names: the plug-in, or this program itself."""
    who, failed, _ = evidence.found.partition(_FAILED)
    return who if failed and who != _US else f"{_US} itself"
