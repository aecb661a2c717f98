"""All checks and facts: ours, and those of the plug-ins that are installed (docs/plugins.md).

A plug-in is an entry point of one group. It adds, and replaces nothing. One that cannot be used is an error
of the command: a gate that went on without a company's own checks would pass bad images.

importlib.metadata knows which entry points there are; importing it costs a seventh of a verdict
(docs/architecture.md). So the files that it would read are first searched for the group's name.
"""

import functools
import os
import sys
from collections import ChainMap
from collections.abc import Callable, MutableMapping
from typing import TYPE_CHECKING, Any

from validator.checks import own_checks
from validator.facts import INSTALLATION_FACTS

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

    from validator.checks.model import Check, Distribution

GROUP = "image_validator.plugins"
_READ = 2**16
"""Bytes of a file of entry points that are looked at; few have a thousand."""


def all_checks(profile: str | None = None) -> "tuple[Check, ...]":
    """Every check there is, or those that a profile asks, in report order.

    Raises:
        validator.plugins.PluginError: where an installed plug-in cannot be used.
    """
    added = (each for each in _added()[0] if profile is None or profile in each.severity)
    return (*own_checks(profile), *added)


def plugins() -> "tuple[Distribution, ...]":
    """The packages whose checks are among them, each once; for what is raised see `all_checks`."""
    return tuple(dict.fromkeys(each.distribution for each in _added()[0] if each.distribution is not None))


def installation_facts() -> MutableMapping[str, Callable[..., Any]]:
    """Every fact about one installation of Windows, by its name; for what is raised see `all_checks`."""
    return ChainMap(INSTALLATION_FACTS, _added()[1])


@functools.cache
def _added() -> "tuple[tuple[Check, ...], dict[str, Callable[..., Any]]]":
    """What plug-ins add; they are looked for once in a process."""
    points = entry_points() if _announced() else []
    if not points:
        return (), {}
    from validator.plugin_loader import load

    return load(points)


def entry_points() -> "list[EntryPoint]":
    """Those of the group, in an order that depends on their names only.

    Raises:
        validator.plugins.PluginError: where they cannot be told, or one is hidden: of packages of one name
            the first alone is seen, even if it is an empty folder that an upgrade left behind.
    """
    from importlib.metadata import distributions
    from importlib.metadata import entry_points as seen

    from validator.checks.model import PluginError

    try:
        found = sorted(seen(group=GROUP), key=lambda point: (point.name, point.value))
        names = {point.name for point in found}
        for package in distributions():
            for point in package.entry_points:
                if point.group == GROUP and point.name not in names:
                    raise PluginError(
                        f"the plug-in {point.name} is installed in {package.locate_file('')}, but hidden by "
                        "another package of the same name, or what is left of one; install it again"
                    )
    except (OSError, ValueError) as error:
        raise PluginError(f"which plug-ins are installed cannot be told: {error}") from error
    return found


def _announced() -> bool:
    """Whether there may be one; also where distributions need not be folders in those of `sys.path`.

    Raises:
        validator.plugins.PluginError: where that cannot be told.
    """
    from importlib.machinery import PathFinder

    found = any(hasattr(finder, "find_distributions") for finder in sys.meta_path if finder is not PathFinder)
    for folder in (path or "." for path in sys.path):
        try:
            names = os.listdir(folder)
        except FileNotFoundError:
            continue
        except NotADirectoryError:
            found = True  # an archive
            continue
        except OSError as error:
            raise _untold(folder, error) from error
        for name in names:
            # *.dist-info, *.egg-info, EGG-INFO
            if name[-5:].lower() == "-info" and _mentions_group(f"{folder}/{name}/entry_points.txt"):
                found = True
    return found


def _mentions_group(path: str) -> bool:
    """Whether the entry points in a file, if there is one, mention the group; a long one may."""
    try:
        handle = os.open(path, os.O_RDONLY)
        try:
            data = os.read(handle, _READ)
        finally:
            os.close(handle)
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        return False
    except OSError as error:
        raise _untold(path, error) from error
    return GROUP.encode() in data or len(data) == _READ


def _untold(path: str, error: OSError) -> Exception:
    """The error where something could not be read that may name a plug-in."""
    from validator.checks.model import PluginError

    return PluginError(f"whether {path} names a plug-in cannot be told: {error.strerror}")
