"""Facts: lazy, remembered, injected by name.

A fact is a function whose parameters are other facts. It is computed on first use, and its value *or
failure* is remembered: what is not asked for costs no reading, and one damaged layer fails each fact
that rests on it with the same evidence. A parameter annotated `Attempt[T]` receives the value or the
failure, for facts and checks that can say something either way; one annotated `Later[T]` computes
nothing until it is called.
"""

import functools
import os
import typing
from collections import ChainMap
from collections.abc import Callable, Iterable, Mapping, MutableMapping
from typing import Any, Generic, NamedTuple, TypeVar

from validator.address import hidden
from validator.evidence import Effect, Evidence, Layer, Location, Unreadable

T_co = TypeVar("T_co", covariant=True)


class Attempt(Generic[T_co]):
    """A fact that may have failed: a value, or the evidence why there is none.

    Attributes:
        value: only to be read where `unknown` is None; None is a value as well (absent).
        unknown: why there is none.
    """

    __slots__ = ("unknown", "value")

    def __init__(self, value: T_co | None, unknown: Evidence | None = None) -> None:
        self.value = value
        self.unknown = unknown


class Later(Generic[T_co]):
    """A fact that is computed when it is called for: for what only few images make somebody ask."""

    __slots__ = ("call",)

    def __init__(self, call: Callable[[], Attempt[T_co]]) -> None:
        self.call = call

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
        self, functions: MutableMapping[str, Callable[..., Any]], given: Mapping[str, Attempt[Any]]
    ) -> None:
        self._functions = functions
        self._known: dict[str, Attempt[Any]] = dict(given)

    def about(self, functions: MutableMapping[str, Callable[..., Any]], **given: object) -> "Facts":
        """More facts, about a part of the subject: what is known of the whole is known of the part."""
        known = {name: Attempt(value) for name, value in given.items()}
        # Chained, since merging would import all that a table names.
        return Facts(ChainMap(functions, self._functions), {**self._known, **known})

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
        for name, form in _forms(function):
            if form is Later:
                arguments[name] = Later(functools.partial(self.attempt, name))
            elif form is Attempt:
                arguments[name] = self.attempt(name)
            elif (attempt := self.attempt(name)).unknown is not None:
                raise Unreadable(attempt.unknown)
            else:
                arguments[name] = attempt.value
        return function(**arguments)


def parameters(function: Callable[..., Any]) -> Iterable[tuple[str, Any]]:
    """Names and annotations of a function's parameters: the facts that it reads."""
    return [item for item in function.__annotations__.items() if item[0] != "return"]


@functools.lru_cache(1024)
def _forms(function: Callable[..., Any]) -> tuple[tuple[str, type | None], ...]:
    """The facts that a function reads, each with the form that it takes it in: None for the plain value."""
    return tuple(
        (
            name,
            Later
            if typing.get_origin(annotation) is Later
            else Attempt
            if takes_attempt(annotation)
            else None,
        )
        for name, annotation in parameters(function)
    )


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
        import sys
        import traceback

        sys.stderr.write(hidden("".join(traceback.format_exception(error))))
    return Evidence(
        Location(Layer.TOOL),
        f"{who}{_FAILED}{hidden(f'{type(error).__name__}: {error}')}) while it read “{name}”; "
        "IMAGE_VALIDATOR_DEBUG=1 shows where",
        "an answer",
        effect=Effect.LOST,
    )


def who_failed(evidence: Evidence) -> str:
    """Whom evidence by `own_failure` names: the plug-in, or this program itself."""
    who, failed, _ = evidence.found.partition(_FAILED)
    return who if failed and who != _US else f"{_US} itself"
