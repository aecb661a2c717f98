"""The rooms of the design: who imports whom, who sees an engine, and what facts and checks ask for."""

from __future__ import annotations

import ast
import importlib
import inspect
import typing
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

import validator
from validator.checks import MODULES as CHECK_MODULES
from validator.checks import own_checks
from validator.checks.model import Check
from validator.facts import IMAGE_FACTS, INSTALLATION_FACTS
from validator.facts.model import parameters, takes_attempt
from validator.facts.picture import PICTURE_FACTS
from validator.facts.timeline import TIMELINE_FACTS
from validator.profiles import PROFILES

PACKAGE = Path(validator.__file__).parent
ROOMS = (
    ("evidence",),
    ("address", "source", "stores", "remote"),
    ("redaction",),
    ("knowledge",),
    ("disk",),
    ("artifact",),
    ("windows",),
    ("facts",),
    ("checks",),
    ("profiles", "judging", "policy", "plugin_loader", "catalogue", "plugins"),
    ("report",),
    ("validation", "fleet", "packer_manifest", "receipt"),
    ("cli",),
)
"""From the file up to the command. A room imports from itself and from those before it."""
ENGINES = ("dissect", "pyvhdi", "flow")
TERMINAL = ("click", "rich", "rich_click", "shellingham")
GIVEN = {
    "source": "ImageFile",
    "files": "Files",
    "input_format": "str | None",
    "parents": "tuple[str, ...]",
    "chosen": "int",
    "question": "Question",
}
"""Facts that are there from the start, and their types."""


@dataclass(frozen=True)
class Import:
    """One name of a module that a module imports."""

    importer: str
    """Dotted, below the package."""
    name: str
    line: int
    at_top: bool
    """Executed when the module is imported."""


def modules() -> dict[str, ast.Module]:
    """The syntax of every module of the package, by its dotted name below the package."""
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        found[name] = ast.parse(path.read_text(encoding="utf-8"))
    return found


MODULES = modules()


def imports(name: str) -> Iterator[Import]:
    """All imports of a module, those inside functions and under conditions included."""
    tree = MODULES[name]
    inside = {
        id(child)
        for node in ast.walk(tree)
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda))
        for child in ast.walk(node)
        if child is not node
    }
    typing_only = {
        id(child)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
        for child in ast.walk(node)
    }
    for node in ast.walk(tree):
        at_top = id(node) not in inside and id(node) not in typing_only
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Import(name, alias.name, node.lineno, at_top)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name}:{node.lineno} imports relatively"
            module = node.module or ""
            for alias in node.names:
                inner = f"{module}.{alias.name}"
                is_module = inner.removeprefix("validator.") in MODULES
                yield Import(name, inner if is_module else module, node.lineno, at_top)


EVERY_IMPORT = [each for name in MODULES for each in imports(name)]


def room_of(name: str) -> int | None:
    """Where in the order a module stands; None for the package itself and `__main__`."""
    first = name.partition(".")[0]
    return next((index for index, room in enumerate(ROOMS) if first in room), None)


def inner_name(each: Import) -> str | None:
    """The dotted name below the package of what is imported, or None for another package's."""
    if each.name == "validator":
        return ""
    return each.name.removeprefix("validator.") if each.name.startswith("validator.") else None


def test_every_module_lies_in_a_room() -> None:
    """A new room is a decision: it gets its place in the order here and in the design."""
    assert [name for name in MODULES if name not in ("", "__main__") and room_of(name) is None] == []


def test_rooms_import_only_from_rooms_before_them() -> None:
    """Imports inside functions count as well."""
    wrong = []
    for each in EVERY_IMPORT:
        target, here = inner_name(each), room_of(each.importer)
        if not target or here is None:
            continue
        there = room_of(target)
        if there is None or there > here:
            wrong.append(f"{each.importer}:{each.line} imports {target}")
    assert wrong == []


def test_no_cycle() -> None:
    """Between modules, not only between rooms."""
    graph: dict[str, set[str]] = {name: set() for name in MODULES}
    for each in EVERY_IMPORT:
        if (target := inner_name(each)) and target in MODULES and target != each.importer:
            graph[each.importer].add(target)
    done: set[str] = set()

    def visit(name: str, trail: tuple[str, ...]) -> None:
        assert name not in trail, " -> ".join((*trail, name))
        if name not in done:
            for target in sorted(graph[name]):
                visit(target, (*trail, name))
            done.add(name)

    for name in graph:
        if name:  # the package itself names its public surface, on demand
            visit(name, ())


def test_engines_stay_in_the_rooms_of_readers() -> None:
    """And are imported inside functions, so that `--help` does not pay for them."""
    wrong = [
        f"{each.importer}:{each.line} imports {each.name}"
        for each in EVERY_IMPORT
        if each.name.partition(".")[0] in ENGINES
        and (each.at_top or each.importer.partition(".")[0] not in ("disk", "windows"))
    ]
    assert wrong == []


def test_whole_targets_are_opened_nowhere() -> None:
    """`Target.open`, its registry and `container.open` look around and fall back (H1, H15)."""
    wrong = [
        f"{name}:{node.lineno} {ast.unparse(node)}"
        for name, tree in MODULES.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and ast.unparse(node) in ("Target.open", "container.open")
    ]
    wrong += [f"{each.importer}:{each.line}" for each in EVERY_IMPORT if each.name == "dissect.target.target"]
    assert wrong == []


def test_terminal_libraries_stay_at_the_command_line() -> None:
    """A library user gets neither."""
    wrong = [
        f"{each.importer}:{each.line} imports {each.name}"
        for each in EVERY_IMPORT
        if each.name.partition(".")[0] in TERMINAL
        and each.importer.partition(".")[0] != "cli"
        and each.importer not in ("report.overview", "report.terminal")
    ]
    assert wrong == []


def test_only_the_source_opens_files() -> None:
    """No other module of the reading rooms calls `open` or `os.open` (promises 1 and 5)."""
    wrong = [
        f"{name}:{node.lineno} {ast.unparse(node.func)}"
        for name, tree in MODULES.items()
        if name.partition(".")[0] in ("disk", "windows", "facts", "checks", "judging", "validation")
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and ast.unparse(node.func) in ("open", "os.open", "io.open", "io.FileIO", "Path.open")
    ]
    assert wrong == []


def test_nobody_is_called_utils() -> None:
    """A small function lives beside its only user until there are two, then it gets a name."""
    vague = {"utils", "util", "helpers", "common", "misc", "core", "base"}
    assert [name for name in MODULES if name.rpartition(".")[2] in vague] == []


# --- facts and checks ----------------------------------------------------------------------------

FACTS = {**IMAGE_FACTS, **INSTALLATION_FACTS, **PICTURE_FACTS, **TIMELINE_FACTS}
ASKING = [*((f"fact {name}", function) for name, function in FACTS.items())]
ASKING += [(f"check {check.id}", check.function) for check in own_checks()]


def unwrapped(annotation: object) -> object:
    """What is inside `Attempt[...]` and `Later[...]`."""
    return typing.get_args(annotation)[0] if takes_attempt(annotation) else annotation


@pytest.mark.parametrize(("who", "function"), ASKING, ids=[who for who, _ in ASKING])
def test_parameters_are_facts_of_the_type_that_is_asked_for(
    who: str, function: typing.Callable[..., object]
) -> None:
    """The name chooses the fact; a wrong type would be found by no type checker."""
    given = {name: _type(text) for name, text in GIVEN.items()}
    for name, annotation in parameters(function):
        assert name in FACTS or name in given, f"{who} asks for {name}"
        actual = given[name] if name in given else named(FACTS[name].__annotations__["return"], FACTS[name])
        asked = named(unwrapped(annotation), function)
        assert asked == actual, f"{who} asks for {name} as {annotation}, it is {actual}"


def named(annotation: object, function: typing.Callable[..., object]) -> object:
    """A type; what is annotated as text is one of a module that is imported for type checkers only."""
    text = annotation.__forward_arg__ if isinstance(annotation, typing.ForwardRef) else annotation
    if not isinstance(text, str):
        return annotation
    imported = imports(function.__module__.removeprefix("validator."))
    modules = [importlib.import_module(each.name) for each in imported if inner_name(each)]
    return eval(text, {name: thing for module in modules for name, thing in vars(module).items()})


def _type(text: str) -> object:
    modules = map(importlib.import_module, ("validator.source", "validator.facts.question"))
    return eval(text, {name: thing for module in modules for name, thing in vars(module).items()})


@pytest.mark.parametrize("module", [name for name in MODULES if name.startswith("facts.")])
def test_every_fact_is_in_a_table(module: str) -> None:
    """Under the module that has it. A public function all of whose parameters are facts is one."""
    functions = {
        name: thing
        for name, thing in vars(importlib.import_module(f"validator.{module}")).items()
        if inspect.isfunction(thing) and thing.__module__ == f"validator.{module}" and name[0] != "_"
    }
    known = {*FACTS, *GIVEN}
    facts = {
        name
        for name, function in functions.items()
        if parameters(function) and {asked for asked, _ in parameters(function)} <= known
    }
    tabled = {name for name, function in FACTS.items() if function.__module__ == f"validator.{module}"}
    assert facts == tabled
    assert all(FACTS[name] is functions[name] for name in tabled)


def test_no_fact_is_in_two_tables() -> None:
    """The second would hide the first."""
    tables = (IMAGE_FACTS, INSTALLATION_FACTS, PICTURE_FACTS, TIMELINE_FACTS)
    assert sum(map(len, tables)) == len(FACTS)


def test_the_table_of_checks_is_true() -> None:
    """A profile that a module did not name there would not ask its checks, and nobody would see it."""
    names = {f"checks.{name}" for name in CHECK_MODULES}
    declaring = {name for name, tree in MODULES.items() if name.startswith("checks.") and _declares(tree)}
    assert declaring == names
    for name, profiles in CHECK_MODULES.items():
        module = importlib.import_module(f"validator.checks.{name}")
        assert {profile for check in module.CHECKS for profile in check.severity} == set(profiles), name
        declared = [thing for thing in vars(module).values() if isinstance(thing, Check)]
        assert {check.id for check in declared} == {check.id for check in module.CHECKS}, name


def _declares(tree: ast.Module) -> bool:
    """Whether a module has a function that is decorated with `check`."""
    decorators = (
        each for node in tree.body if isinstance(node, ast.FunctionDef) for each in node.decorator_list
    )
    return any(ast.unparse(each).startswith("check(") for each in decorators)


@pytest.mark.parametrize("profile", [profile.id for profile in PROFILES])
def test_a_profile_gets_all_checks_that_it_asks(profile: str) -> None:
    """In report order."""
    assert own_checks(profile) == tuple(check for check in own_checks() if profile in check.severity)


def test_facts_about_the_image_do_not_rest_on_one_installation() -> None:
    """What is known of the whole is known before anything is chosen."""
    wrong = [
        (name, asked)
        for name, function in IMAGE_FACTS.items()
        for asked, _ in parameters(function)
        if asked in INSTALLATION_FACTS or asked == "chosen"
    ]
    assert wrong == []


def test_facts_do_not_rest_on_themselves() -> None:
    """A cycle would never be answered."""

    def visit(name: str, trail: tuple[str, ...]) -> None:
        assert name not in trail, " -> ".join((*trail, name))
        for asked, _ in parameters(FACTS[name]) if name in FACTS else ():
            visit(asked, (*trail, name))

    for name in FACTS:
        visit(name, ())


def test_every_check_is_declared_in_full() -> None:
    """Ids are for ever, so they are unique; the first line of the documentation is a sentence."""
    ids = [check.id for check in own_checks()]
    assert len(set(ids)) == len(ids)
    for check in own_checks():
        assert check.title.endswith((".", "?")), check.id
        assert check.explanation, check.id
        assert check.references, check.id
        assert check.severity, check.id
