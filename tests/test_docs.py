"""The documentation says what is so: samples are what the command prints, and links lead somewhere.

A sample is a block behind a comment line that says how it was made:

    <!-- sample: check --will-convert undeployable.vhdx -->

Each of its lines stands in what the command prints today. `...` stands for anything; white space does not
count, since hosts wrap lines anew, nor does what a host adds.
"""

from __future__ import annotations

import html
import re
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote

import pytest

from tests.command import ROOT, Command

SAMPLES = ROOT / "sample_images"
OTHER_NAMES = {
    "output/windows.vhdx": "undeployable.vhdx",
    "output-windows/windows.vhdx": "undeployable.vhdx",
    "tests/windows.vhdx": "undeployable.vhdx",
    "images/golden.vhdx": "edited.vhdx",
}
"""What the pages call sample images."""
ADDED = re.compile(
    r"""^(?:
        > | [✗✓–⊗❌]\ | \s+file\.windows\ \(shell-local\):  # before a line
        | (?:==>|Build\ '|\*\ Post-processor|judge\ Windows\ disk\ images\.|-\ hook|-\ exit).*  # lines
    )""",
    re.VERBOSE,
)
"""What hosts add to a report."""


def pages() -> list[Path]:
    """All that a person reads."""
    folders = ("benchmarks", "ci", "docs", "fuzz", "sample_images", "validator")
    deep = (page for folder in folders for page in (ROOT / folder).rglob("*.md"))
    return sorted([*ROOT.glob("*.md"), *deep])


# --- samples -------------------------------------------------------------------------------------


class Sample(NamedTuple):
    """A block of a page, and the commands that it is from."""

    page: str
    commands: str
    text: str


SAMPLE = re.compile(
    r"^<!-- sample: (?P<commands>[^\n]+) -->\n(?:```\w*\n(?P<fenced>.*?)^```$|(?P<quoted>(?:^>[^\n]*\n)+))",
    re.MULTILINE | re.DOTALL,
)


def samples() -> list[Sample]:
    """Of all pages; a comment without a block behind it is a mistake."""
    found = []
    for page in pages():
        text = page.read_text(encoding="utf-8")
        blocks = list(SAMPLE.finditer(text))
        assert len(blocks) == text.count("<!-- sample"), page
        found += [
            Sample(page.name, block["commands"], block["fenced"] or block["quoted"]) for block in blocks
        ]
    return found


def words(text: str) -> str:
    """As a host reads it, with one blank where there is white space."""
    return " ".join(html.unescape(unquote(text)).split())


def pieces(sample: str) -> list[str]:
    """What each line says itself."""
    lines = [ADDED.sub("", line) for line in sample.splitlines()]
    return [each for line in lines for part in re.split(r"\.\.\.|…", line) if (each := words(part))]


def printed(command: Command, commands: str) -> str:
    """Prompt, output and exit code of each command, as `ci/demo` shows them."""
    told = []
    for arguments in commands.split("; "):
        verb, *rest = arguments.split()
        done = command(verb, "--profile=azure-generalized", *rest)
        told.append(f"$ image-validator {arguments}\n{done.stdout}\n=> exit code {done.code}")
    return words("\n".join(told))


@pytest.mark.parametrize("sample", samples(), ids=lambda sample: f"{sample.page} {sample.commands}")
def test_samples_are_what_the_command_prints(
    sample: Sample, command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Line by line."""
    (tmp_path / "sample_images").symlink_to(SAMPLES)
    images = {path.name: path.name for path in SAMPLES.glob("*.vhd*")}
    for name, image in {**images, **OTHER_NAMES}.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).symlink_to(SAMPLES / image)
    monkeypatch.chdir(tmp_path)
    output = printed(command, sample.commands)
    told = pieces(sample.text)
    assert told
    assert [piece for piece in told if piece not in output] == []


# --- links ---------------------------------------------------------------------------------------


def prose(page: Path) -> str:
    """A page without its blocks of code."""
    return re.sub(r"^ *```.*?^ *```$", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)


def anchors(page: Path) -> set[str]:
    """Of its headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", prose(page), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", pages(), ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    """Files of this repository, and headings in them."""
    for target in re.findall(r"\]\(([^)\s]+)\)", prose(page)):
        if target.startswith("https://"):
            continue
        name, _, anchor = target.partition("#")
        file = page.parent / name if name else page
        assert file.exists(), target
        assert not anchor or anchor in anchors(file), target
