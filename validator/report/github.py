"""GitHub Actions: the text report, then annotations as workflow commands, within the runner's limits."""

from validator.report import text
from validator.report.annotations import Annotation, annotations
from validator.report.formats import Style
from validator.report.model import RunReport

_MOST = 10
"""Annotations of a level that the runner keeps of one step."""
_LONGEST = 4096
"""Code units of UTF-16 of a message; the runner cuts longer ones."""


def render(run: RunReport, style: Style) -> str:
    """The run as text, with a line for each annotation behind it."""
    return text.render(run, style) + "".join(map(_command, annotations(run, style, _MOST)))


def _command(annotation: Annotation) -> str:
    """An annotation of no file: an image is none of the checkout's, so its name stands in the title."""
    title = _escaped(annotation.title).replace(":", "%3A").replace(",", "%2C")
    return f"::{annotation.level.value} title={title}::{_escaped(_cut(annotation.text))}\n"


def _cut(message: str) -> str:
    if len(message.encode("utf-16-le")) <= 2 * _LONGEST:
        return message
    return message.encode("utf-16-le")[: 2 * (_LONGEST - 1)].decode("utf-16-le", "ignore") + "…"


def _escaped(data: str) -> str:
    return data.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")
