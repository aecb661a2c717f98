"""A policy as TOML (docs/policy.md): read strictly, since a slip of the pen would let bad images pass.

Whatever is wrong is a `ValueError` that names the file, the line where it can be told, the key, what was
expected and what was found.
"""

import os
import re
from collections.abc import Callable, Collection, Mapping
from datetime import date
from pathlib import PurePath

from validator.catalogue import all_checks
from validator.checks.expectations import (
    Expectation,
    FileEntry,
    RegistryEntry,
    ServiceEntry,
)
from validator.checks.model import EXPECTATIONS, Remedy, Severity
from validator.facts.registry import HIVES
from validator.facts.services import START_WORDS
from validator.policy import baseline
from validator.policy.model import PROMISED, Policy, Waiver
from validator.policy.search import PROJECT_FILE, content
from validator.policy.toml import Path, Table, Wrong, cut, fault, in_words, line_of, parsed
from validator.profiles import PROFILES

FAIL_ON = (Severity.ERROR.value, Severity.WARNING.value)
_PROFILES = tuple(profile.id for profile in PROFILES)
_SEVERITIES = tuple(severity.value for severity in Severity)
_ID = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_LONG_ROOTS = {"hkey_local_machine": "HKLM", "hkey_users": "HKU"}
_NO_PATH = frozenset('*?"<>|:%')
"""What no path has in it; a variable would be taken for the name of a file, which is never there."""


def read(path: str, *, with_baseline: bool = True) -> Policy:
    """Read the policy in a file.

    Args:
        path: a pyproject.toml, or a file that is a policy as a whole.
        with_baseline: whether to read the baseline that it names.

    Raises:
        OSError: where it, or the baseline, cannot be read.
        ValueError: where it is no policy.
    """
    shown = as_shown(path)
    try:
        text = content(path).decode("utf-8-sig")
        data = parsed(text)
    except ValueError as error:
        raise ValueError(f"{shown}: {error}") from error
    start: Path = ("tool", "image-validator") if os.path.basename(path) == PROJECT_FILE else ()
    try:
        table = Table(data)
        for key in start:
            inner = table.table(str(key))
            table = table.required(inner, f"[{'.'.join(map(str, start))}]")
        policy, name = _policy(Table(table.data, start))
    except Wrong as wrong:
        line = line_of(text, wrong.path)
        place = f"{shown}, line {line}" if line else shown
        raise ValueError(f"{place}: {in_words(wrong.path[len(start) :])}{wrong.why}") from wrong
    if name is not None and with_baseline:
        beside = os.path.join(os.path.dirname(path), name)
        policy = policy._replace(baseline=baseline.read(beside, as_shown(beside)))
    return policy._replace(source=shown)


def as_shown(path: str) -> str:
    """A path as seen from the working directory."""
    try:
        return os.path.relpath(path)
    except (OSError, ValueError):  # the directory is gone; another drive
        return path


def known_names(expectations: Collection[Expectation] = ()) -> tuple[list[str], list[str]]:
    """The ids and the families that a policy may name."""
    checks = all_checks()
    ids = [check.id for check in checks] + [each.check_id for each in expectations]
    return ids, list(dict.fromkeys([*(check.family for check in checks), EXPECTATIONS]))


def fault_of_ignored(name: str) -> str | None:
    """Why a check cannot be ignored, or None."""
    return f"{name} cannot be ignored; a waiver can accept what it finds" if name in PROMISED else None


# --- the policy ----------------------------------------------------------------------------------


def _policy(table: Table) -> tuple[Policy, str | None]:
    """The policy without its baseline, and the name of that."""
    expectations = tuple(map(_expectation, table.tables("expect")))
    for index, each in enumerate(expectations):
        if any(each.id == other.id for other in expectations[:index]):
            raise Wrong((*table.path, "expect", index, "id"), f"expected a new id, found {each.id} again")
    ids, families = known_names(expectations)
    policy = Policy(
        table.choice("profile", _PROFILES, "profile"),
        tuple(table.choices("select", [*ids, *families], "check or family")),
        tuple(table.choices("ignore", [*ids, *families], "check or family")),
        _severities(table.table("severity"), ids),
        Severity(fail_on) if (fail_on := table.choice("fail-on", FAIL_ON, "such severity")) else None,
        tuple(_waiver(each, ids) for each in table.tables("waiver")),
        expectations,
    )
    for name in policy.ignore:
        if why := fault_of_ignored(name):
            raise Wrong((*table.path, "ignore"), why)
    beside = table.text("baseline")
    table.close()
    return policy, beside


def _severities(table: Table | None, ids: Collection[str]) -> Mapping[str, Mapping[str, Severity]]:
    found = {}
    for check in table.data if table is not None else ():
        assert table is not None
        if why := fault(check, ids, "check"):
            raise Wrong((*table.path, check), why)
        if check in PROMISED:
            raise Wrong((*table.path, check), "its severity is fixed; a waiver can accept what it finds")
        found[check] = _severity(table, check)
    return found


def _severity(table: Table, key: str) -> Mapping[str, Severity]:
    """One for all profiles, or a table by profile."""
    if not isinstance(table.data.get(key), dict):
        one = table.choice(key, _SEVERITIES, "severity") or Severity.ERROR.value
        return dict.fromkeys(_PROFILES, Severity(one))
    by_profile = table.table(key)
    assert by_profile is not None
    found = {name: by_profile.choice(name, _SEVERITIES, "severity") for name in _PROFILES}
    by_profile.close()
    return {profile: Severity(severity) for profile, severity in found.items() if severity is not None}


def _waiver(table: Table, ids: Collection[str]) -> Waiver:
    check = table.required(table.choice("check", ids, "check"), "check")
    reason = table.required(table.text("reason"), "reason")
    image = table.text("image")
    if image is not None:
        try:
            PurePath("image").match(image)
        except ValueError as error:
            raise Wrong(
                (*table.path, "image"), f"expected a pattern for a path, found {cut(image)}"
            ) from error
    waiver = Waiver(check, reason, image, table.get("until", date))
    table.close()
    return waiver


# --- expectations --------------------------------------------------------------------------------


def _expectation(table: Table) -> Expectation:
    name = table.required(table.text("id"), "id")
    if not _ID.fullmatch(name):
        why = f"expected words in small letters and digits with hyphens, found {cut(name)}"
        raise Wrong((*table.path, "id"), why)
    kinds: Mapping[str, Callable[[Table], RegistryEntry | FileEntry | ServiceEntry]] = {
        "registry": _registry_entry,
        "file": _file_entry,
        "service": _service_entry,
    }
    given = {kind: each for kind in kinds if (each := table.table(kind)) is not None}
    if len(given) != 1:
        raise Wrong(table.path, f"expected one of registry, file and service, found {len(given)} of them")
    ((kind, about),) = given.items()
    severity, references = _severity(table, "severity"), table.texts("references")
    if not severity:
        raise Wrong((*table.path, "severity"), "expected one at least, found none")
    if not all(each.startswith("https://") for each in references):
        raise Wrong((*table.path, "references"), "expected addresses (https://…)")
    expectation = Expectation(
        name,
        table.required(table.text("title"), "title"),
        severity,
        Remedy(table.required(table.text("remedy"), "remedy"), table.texts("commands")),
        kinds[kind](about),
        table.get("must-not", bool) or False,
        references,
    )
    about.close()
    table.close()
    return expectation


def _registry_entry(table: Table) -> RegistryEntry:
    given = table.required(table.text("key"), "key")
    root, _, rest = given.strip("\\").replace(":\\", "\\", 1).partition("\\")
    key = "\\".join((_LONG_ROOTS.get(root.lower(), root), rest))
    known = any(key.lower().startswith(f"{hive}\\") for hive in HIVES)
    if not known or "" in key.split("\\"):
        roots = ", ".join(f"{hive.upper()}\\…" for hive in HIVES)
        raise Wrong((*table.path, "key"), f"expected a key below {roots}, found {cut(given)}")
    value, is_number = table.text("value", empty=True), type(table.data.get("equals")) is int
    equals = table.get("equals", int) if is_number else table.get("equals", str)
    if equals is not None and value is None:
        raise Wrong((*table.path, "equals"), "expected the name of a value beside it (value = …)")
    return RegistryEntry(key, value, equals)


def _file_entry(table: Table) -> FileEntry:
    given = table.required(table.text("path"), "path")
    path = given.replace("/", "\\")
    path = path[2:] if path[:2].lower() == "c:" else path
    path = path.strip("\\")
    parts = path.split("\\")
    if _NO_PATH & set(path) or any(part != part.rstrip(". ") or not part for part in parts):
        expected = (
            "a path on the volume of Windows (C:), without wildcards, variables, and parts that end in a dot "
            "or a blank"
        )
        raise Wrong((*table.path, "path"), f"expected {expected}, found {cut(given)}")
    size, digest = table.get("size", int), table.text("sha256")
    if size is not None and size < 0:
        raise Wrong((*table.path, "size"), f"expected a number of bytes, found {size}")
    if digest is not None and not _SHA256.fullmatch(digest.lower()):
        raise Wrong((*table.path, "sha256"), f"expected 64 hexadecimal digits, found {cut(digest)}")
    return FileEntry(path, size, digest.lower() if digest else None)


def _service_entry(table: Table) -> ServiceEntry:
    name = table.required(table.text("name"), "name")
    if "\\" in name:
        raise Wrong((*table.path, "name"), f"expected the name of a service, found {cut(name)}")
    start = tuple(table.choices("start", START_WORDS, "way to start"))
    if "start" in table.data and not start:
        raise Wrong((*table.path, "start"), "expected one at least, found none")
    return ServiceEntry(name, start)
