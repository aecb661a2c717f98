"""JSON lines: one JSON object a line for each image, written as it is judged (docs/formats.md).

What stands in it for other programs is the contract of `validator.report.json`. Beside it a line has the
report as it is in memory, for `validator.report.reading`: the contract says less than other formats show.
"""

import json
from dataclasses import fields, is_dataclass
from datetime import date
from typing import Any, NamedTuple

from validator.checks.model import Check, Distribution
from validator.facts.question import Question
from validator.report.formats import Style
from validator.report.json import image_data, inert, plain
from validator.report.model import FORMAT_VERSION, PolicyInForce, Report, RunReport

BEGINNING = '{"tool":{"name":"image-validator","version":"'
"""Of every line: what does not begin so is no such file, and is not written over."""


class Setting(NamedTuple):
    """What a report rests on beside the files of its image: where one of it differs, so may the report."""

    version: str
    """Of the tool."""
    plugins: tuple[Distribution, ...]
    """Those that the profile asks."""
    policy: PolicyInForce | None
    expired: int
    """How many waivers of the policy are over. They end one after the other, so the number says which."""
    question: Question
    parents: tuple[str, ...]
    """Files that the user named as possible parents."""
    member: str | None
    """The image in an archive that the user named."""
    timeline: bool
    """Whether the report says what happened to the installation."""
    data_disk: bool
    """Whether it says that it is about no image of Windows."""
    folder: str
    """The working directory, from which relative paths start."""


class Kept(NamedTuple):
    """What a report is read back from."""

    setting: Setting
    report: Report


def line(report: Report, setting: Setting) -> str:
    """A report that can be read back, as one line of ASCII with a closing line feed."""
    return _line(report, setting.version, setting.policy, Kept(setting, report))


def render(run: RunReport, style: Style) -> str:
    """The run, a line for each image. These are for other programs only, and half as long."""
    return "".join(_line(report, run.tool_version, run.policy) for report in run.images)


def _line(report: Report, version: str, policy: PolicyInForce | None, kept: Kept | None = None) -> str:
    data = {
        "tool": {"name": "image-validator", "version": version},
        "format_version": FORMAT_VERSION,
        "plugins": plain(report.plugins),
        "policy": plain(policy),
        "question": plain(report.question),
        **image_data(report),
        "files": [
            {"path": plain(each.path), "size": each.size, "modified": each.modified} for each in report.parts
        ],
        "resume": kept,
    }
    text = json.dumps(data, separators=(",", ":"), allow_nan=False, default=_stored)
    return sealed(inert(text).removesuffix("}")) + "\n"


def sealed(text: str) -> str:
    """An object that is not closed yet, closed with its digest: it tells damage, and is no signature."""
    import hashlib

    return f'{text},"sha256":"{hashlib.sha256(text.encode()).hexdigest()}"}}'


def _stored(value: object) -> Any:
    """What `json` does not know: to it a NamedTuple is an array, and a member of an enumeration a text."""
    if isinstance(value, Check):
        return value.id
    if isinstance(value, date):  # or a time
        return value.isoformat()
    if isinstance(value, bytes):
        return value.hex()
    if is_dataclass(value):
        return [getattr(value, field.name) for field in fields(value)]
    raise TypeError(f"a {type(value).__name__} in a report")
