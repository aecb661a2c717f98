"""Markdown: read back by a reader of CommonMark with tables, and nothing of an image is markup in it."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import date
from html.parser import HTMLParser

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from tests.reports import HOSTILE, hostile, run_of, sample
from tests.snapshot import agrees
from validator.checks.model import Remedy, Severity, Status
from validator.evidence import Evidence, Layer, Location
from validator.policy.model import Waiver
from validator.report.formats import Style, render
from validator.report.markdown import within
from validator.report.model import PolicyInForce, RunReport
from validator.report.printable import shortened

TAGS = {
    "h2", "h3", "h4", "p", "strong", "em", "sub", "code", "pre", "ul", "li", "a", "details", "summary",
    "table", "thead", "tbody", "tr", "th", "td",
}  # fmt: skip
"""What a report is made of."""
BREAK = "\u200b"
"""Keeps hosts from making a mention, a reference or a link of what follows."""


class Page(HTMLParser):
    """What a browser would get: tags in balance, links, and the texts outside and inside of code."""

    def __init__(self, markdown: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.tags: list[str] = []
        self.prose = ""
        self.code: list[str] = []
        self.rows: list[list[str]] = []
        self._open: list[str] = []
        self.feed(MarkdownIt("commonmark", {"html": True}).enable("table").render(markdown))
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag in TAGS
        allowed = {"a": {"href"}, "code": {"class"}, "td": {"style"}, "th": {"style"}}
        assert {name for name, _ in attrs} <= allowed.get(tag, set())
        self.links += [value or "" for name, value in attrs if name == "href"]
        self.tags.append(tag)
        self._open.append(tag)
        if tag == "tr":
            self.rows.append([])
        elif tag in ("td", "th"):
            self.rows[-1].append("")
        elif tag == "code":
            self.code.append("")
        self.prose += "\n"

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "code" in self._open:
            self.code[-1] += data
        elif "a" not in self._open:
            self.prose += data
        if self._open and self._open[-1] in ("td", "th"):
            self.rows[-1][-1] += data

    def handle_comment(self, data: str) -> None:
        raise AssertionError(f"a comment: {data}")

    handle_decl = handle_pi = unknown_decl = handle_comment


def is_inert(markdown: str, run: RunReport) -> Page:
    """Nothing but the report's own markup, and nothing that a host would make a link or a command of."""
    page = Page(markdown)
    references = {each.references[0] for image in run.images for each in image.findings}
    assert set(page.links) <= references
    assert not re.search(r"@\w|#\d|://|www\.", page.prose, re.IGNORECASE)
    assert not [line for line in markdown.split("\n") if line.startswith("/")]
    assert markdown.replace("\n", "").isprintable()
    return page


def test_the_sample() -> None:
    agrees(render("markdown", sample(), Style()), "report.markdown.md")


@pytest.mark.parametrize(
    "style", [Style(), Style(quiet=True), Style(verbose=True)], ids=["", "quiet", "verbose"]
)
@pytest.mark.parametrize(
    "run", [sample(), hostile(), hostile(2**20), run_of()], ids=["sample", "hostile", "1 MiB", "none"]
)
def test_nothing_of_an_image_is_markup(run: RunReport, style: Style) -> None:
    page = is_inert(render("markdown", run, style), run)
    assert len(page.rows) == len(run.images) + bool(run.images)


def test_what_an_image_says_is_all_there() -> None:
    """Escaped, not lost: prose, table, blocks and lists show what the text report shows."""
    page = is_inert(render("markdown", hostile(), Style()), hostile())
    words = shortened(HOSTILE, 2000)
    assert page.rows[1][1].replace(BREAK, "") == words
    assert page.prose.replace(BREAK, "").count(words) > 5
    # In blocks it is wrapped at blanks, commands are not.
    blocks = [re.sub(r"\s+", " ", each) for each in page.code]
    assert sum(words in each for each in blocks) >= 2
    assert [each for each in page.code if each.splitlines() == [words, "sysprep"]]


PIECES = (
    "`", "``", "```", "````", "~~~", "\\", "|", "*", "_", "__", "#", "#1", "@me", "&amp;", "<a>", "</a>",
    "<!--", "-->", "[i]", "(x)", "![", "](x)", "http://a.b", "www.a.b", "<http://a>", "$x$", "/close", "---",
    "1.", "- ", "> ", "=", " ", "  ", "a", "\n", "\r\n", "\t", "\u2028", "\u202e", "\x1b[1m",
)  # fmt: skip
"""What means something to readers of Markdown, and what lies between."""


@settings(max_examples=200, deadline=None)
@given(st.lists(st.sampled_from(PIECES), min_size=1, max_size=8).map("".join))
def test_no_text_is_markup(text: str) -> None:
    """Whatever stands beside whatever, in every place that takes text: shown as it is, and no more."""
    report = sample().images[2]
    evidence = Evidence(Location(Layer.HIVE, path=text, key=text, value=text), text, text)
    wrong = [each for each in report.findings if each.status is Status.FAILED]
    kept = {each.severity: each for each in wrong}
    findings = tuple(
        each._replace(message=text, evidence=(evidence,), remedy=Remedy(text, (text, text)))
        for each in kept.values()
    )
    judgement = report.judgement._replace(summary=text + ".", findings=findings)
    run = run_of(replace(report, path=text, judgement=judgement, layers=()))
    page = is_inert(render("markdown", run, Style()), run)
    shown = shortened(text, 2000)
    assert len(page.rows) == 2
    assert len(page.rows[1]) == 6
    assert page.rows[1][1].replace(BREAK, "") == shown.strip()
    assert f"{shown}\n{shown}\n" in page.code
    assert shortened(str(evidence), 2000) in page.code


def test_verdicts_first_the_gravest_first() -> None:
    page = Page(render("markdown", sample(), Style()))
    assert [(row[0].split()[-1], *row[1:]) for row in page.rows[1:]] == [
        ("undeployable", "images/undeployable.vhdx", "1", "0", "5", "0", "1"),
        ("undeployable", "images/edited.vhdx", "2", "3", "4", "0", "0"),
        ("indeterminate", "images/corrupt.vhdx", "0", "0", "0", str(len(sample().images[3].findings)), "0"),
        ("deployable", "images/generalized-gen1.vhd", "0", "0", "0", "0", "0"),
    ]


def test_errors_are_shown_whole_and_notices_folded() -> None:
    shown = render("markdown", run_of(sample().images[1]), Style())
    before, folded = shown.split("<details>", 1)
    for judged in sample().images[1].findings:
        if judged.status is Status.FAILED and judged.severity is Severity.ERROR:
            assert judged.check.id in before
            assert judged.remedy
            assert all(command in before for command in judged.remedy.commands)
            assert all(each.found.split()[0] in before for each in judged.evidence)
        elif judged.status is Status.FAILED and judged.severity is Severity.NOTICE:
            assert judged.check.id not in before
            assert judged.check.id in folded
        elif judged.status is Status.WAIVED:
            assert judged.check.id in folded.split("1 accepted")[1]


def test_what_a_policy_says_is_in_it() -> None:
    """What is accepted, by its reason, which anybody may have written; what is wrong with it; its file."""
    report = sample().images[2]
    waiver = Waiver("container-format", "*until* we <b>convert</b> @someone", until=date(2024, 6, 1))
    findings = tuple(
        each._replace(status=Status.WAIVED, waiver=waiver) if each.check.id == waiver.check else each
        for each in report.findings
    )
    run = replace(
        run_of(replace(report, judgement=report.judgement._replace(findings=findings))),
        policy=PolicyInForce("ci/image-validator.toml", "0" * 64, ("rdp-enabled", "vm-agent")),
        warnings=("The waiver of `x` | #1 accepted nothing.",),
    )
    page = is_inert(render("markdown", run, Style()), run)
    prose = page.prose.replace(BREAK, "")
    assert f"accepted until 2024-06-01 ({waiver.reason}): Azure takes VHD files only" in prose
    assert run.warnings[0] in prose
    assert "policy ci/image-validator.toml, 2 checks left out" in prose
    assert page.rows[1][2] == "1"


def test_quiet_and_verbose() -> None:
    """Verdicts and reasons only; and what passed, with the layers."""
    run = sample()
    quiet, plain, verbose = (
        render("markdown", run, style) for style in (Style(quiet=True), Style(), Style(verbose=True))
    )
    assert len(quiet) < len(plain) < len(verbose)
    assert "details" not in quiet
    assert "partition table: MBR" not in plain
    assert "partition table: MBR" in verbose


def many() -> RunReport:
    """A fleet: bad, half read and good ones."""
    return run_of(
        *(replace(image, path=f"{number}/{image.path}") for number in range(50) for image in sample().images)
    )


@pytest.mark.parametrize("run", [hostile(), hostile(2**20), many()], ids=["hostile", "1 MiB", "many"])
@pytest.mark.parametrize("limit", [2**20, 65_536, 20_000, 5_000, 600, 100, 0, -5])
def test_it_keeps_within_a_limit(run: RunReport, limit: int) -> None:
    """Counted in bytes of UTF-8; cut between parts, so that what is left is whole; and it says so."""
    whole = within(run, Style(), 10**9)
    cut = within(run, Style(), limit)
    assert len(cut.encode()) <= max(0, limit)
    assert (cut == whole) is (len(whole.encode()) <= limit)
    page = is_inert(cut, run)
    assert page.tags.count("details") == page.tags.count("summary")
    assert ("Left out" in cut) is (cut not in ("", whole))


def test_what_is_left_out_first_matters_least() -> None:
    """Nothing is cut where a graver part of another image fits; verdicts stay."""
    run = run_of(*sample().images)
    whole = within(run, Style(), 10**9)
    cut = within(run, Style(), len(whole.encode()) * 2 // 3)
    assert len(Page(cut).rows) == 5
    for image in run.images:
        assert image.summary.split(":")[0] in cut
        for judged in image.findings:
            if judged.status is Status.FAILED and judged.severity is Severity.ERROR:
                assert f"error: `{judged.check.id}`" in cut
    assert cut.count("<details>") < whole.count("<details>")
    assert "generalization-state" in cut
    assert "generalization-state" not in within(run, Style(), len(whole.encode()) // 2)


def test_a_comment_takes_it() -> None:
    """What `--format markdown` prints has the length that the strictest host takes."""
    assert len(render("markdown", many(), Style()).encode()) <= 65_536
