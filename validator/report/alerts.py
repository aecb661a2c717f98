"""What is wrong in a run, as hosts keep track of it: one alert per problem, known again in the next run.

An alert is known by its check and its image's name, by nothing that another machine, folder or build
would change: not by the evidence (identifiers and the order of things differ in every build), the
message, the severity or a time.
"""

import hashlib
import os
from collections import Counter
from collections.abc import Iterable, Iterator
from types import ModuleType
from typing import NamedTuple

from validator.address import is_address
from validator.checks.model import Severity, Status
from validator.judging import Judged
from validator.report.account import account
from validator.report.model import Report, RunReport
from validator.report.printable import shortened

_LONGEST_NAME = 400


class Alert(NamedTuple):
    """A finding that failed, or all that could not be answered for one reason."""

    image: int
    """Its place in the run."""
    judged: Judged
    """The gravest."""
    others: tuple[str, ...]
    """The ids of the checks that were not answered for the same reason."""
    fingerprint: str
    """The same in every run that finds the same; counted where one check finds several things wrong."""

    @property
    def level(self) -> Severity:
        """How loud it is: one less than its severity where nothing is known to be wrong."""
        severities = list(Severity)
        doubt = self.judged.status is Status.UNKNOWN
        return severities[min(self.judged.severity.rank + doubt, len(severities) - 1)]

    def account(self) -> Iterator[str]:
        """The finding in lines of plain text."""
        message, *more = account(self.judged)
        yield message
        if self.others:
            yield f"Not answered for the same reason: {', '.join(self.others)}."
        yield from more


def alerts(run: RunReport) -> list[Alert]:
    """All alerts of a run, the gravest first; what was waived is none."""
    names = image_names(run)
    found = [each for index, image in enumerate(run.images) for each in _of_image(index, names[index], image)]
    return sorted(found, key=lambda each: (each.judged.severity.rank, each.judged.status is Status.UNKNOWN))


def _of_image(index: int, name: str, image: Report) -> Iterator[Alert]:
    groups = [[judged] for judged in image.findings if judged.status is Status.FAILED] + image.unanswered
    occurrences = Counter[str]()
    for group in groups:
        judged = min(group, key=lambda each: each.severity.rank)
        occurrences[judged.check.id] += 1
        identity = f"{judged.check.id}\0{name}".encode()
        yield Alert(
            index,
            judged,
            tuple(each.check.id for each in group if each is not judged),
            f"{hashlib.sha256(identity).hexdigest()[:32]}:{occurrences[judged.check.id]}",
        )


def image_names(run: RunReport) -> list[str]:
    """What the images are called: the path below the working directory, else the name of the file."""
    return list(
        told_apart(
            shortened(below(path, run.folder) or _file_name(path), _LONGEST_NAME)
            for path in (path_of(image, run.folder) for image in run.images)
        )
    )


def path_of(image: Report, folder: str) -> str:
    """The image's path as the user named it, or its real one where links hide that it is below the folder."""
    real = image.files[0] if image.files else image.path
    hidden = below(image.path, folder) is None and below(real, folder) is not None
    return real if hidden else image.path


def below(path: str, folder: str, system: ModuleType = os.path) -> str | None:
    """A path as it is from the folder on, with `/`, or None where it leads elsewhere.

    Args:
        path: as a user wrote it.
        folder: where relative paths start; empty where that is not known.
        system: `os.path`, or that of another system.
    """
    if is_address(path):
        return None
    inner = system.normpath(path)
    start = system.normpath(folder).rstrip(system.sep) + system.sep
    if folder and system.normcase(inner).startswith(system.normcase(start)):
        inner = inner[len(start) :]
    first, *_ = parts = inner.split(system.sep)
    return None if first in ("", "..") or system.splitdrive(inner)[0] else "/".join(parts)


def _file_name(path: str) -> str:
    return os.path.basename(os.path.normpath(path)) or "image"


def told_apart(names: Iterable[str]) -> Iterator[str]:
    """The same names, with a number where one came before."""
    taken: set[str] = set()
    for name in names:
        number, free = 1, name
        while free in taken:
            number += 1
            free = f"{name} ({number})"
        taken.add(free)
        yield free
