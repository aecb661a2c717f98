"""The formats of a report: each is a module with a function `render`, loaded when it is asked for."""

import importlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from validator.report.model import RunReport

FORMATS: Mapping[str, str] = {
    "text": "image-validator.txt",
    "json": "image-validator.json",
    "jsonl": "image-validator.jsonl",
    "github": "image-validator.github.txt",
    "azure-devops": "image-validator.azure-devops.txt",
    "markdown": "image-validator.md",
    "html": "image-validator.html",
    "junit": "TEST-image-validator.xml",
    "sarif": "image-validator.sarif",
    "gitlab": "gl-code-quality-report.json",
}
"""Their names, and the file that `--report NAME` alone writes."""


class Style(NamedTuple):
    """How a report for a person looks; formats for programs have one look only."""

    colour: bool = False
    """Whether to use ANSI colours."""
    width: int = 80
    """Columns to wrap prose at; commands are never wrapped, so that they can be copied."""
    quiet: bool = False
    """Only verdicts and their reasons."""
    verbose: bool = False
    """Also what passed, every layer, and all evidence."""


def render(name: str, run: "RunReport", style: Style) -> str:
    """The run in a format of `FORMATS`."""
    module = importlib.import_module(f"validator.report.{name.replace('-', '_')}")
    text: str = module.render(run, style)
    return text
