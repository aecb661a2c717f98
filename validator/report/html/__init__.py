"""HTML: one page that needs nothing but itself, for a person who opens it from the build's artifacts.

It asks no host for anything and its own policy forbids it to. Its style and script are allowed by their
hashes, so that no other can run; without the script everything is there, and nothing can be filtered.
"""

import base64
import hashlib
from collections.abc import Iterator
from importlib import resources

from validator.judging import ExitCode, Verdict
from validator.profiles import PROFILES
from validator.report.formats import Style
from validator.report.html.disk_map import WIDTHS
from validator.report.html.image import Page, badge, filters, tally
from validator.report.html.markup import Markup, joined, tag
from validator.report.model import Report, RunReport, rfc3339

_MOST_IN_FULL = 50
"""Images whose passed checks are shown with all evidence; in a longer report they are named."""
_MOST_UNFILTERED = 10
"""Images that need no search."""
_GRAVITY = (Verdict.UNDEPLOYABLE, Verdict.INDETERMINATE, Verdict.DEPLOYABLE)
_MEANING = {
    ExitCode.DEPLOYABLE: "every image is deployable",
    ExitCode.UNDEPLOYABLE: "an image is undeployable, or a warning fails the run",
    ExitCode.USAGE: "the command was wrong",
    ExitCode.INDETERMINATE: "an image could not be judged",
    ExitCode.NOTHING_TO_CHECK: "nothing to check",
    ExitCode.INTERRUPTED: "interrupted",
}


def render(run: RunReport, style: Style) -> str:
    """The run as a page; the gravest verdicts come first. `verbose` shows all of any number of images."""
    images = sorted(run.images, key=lambda image: _GRAVITY.index(image.verdict))
    full = style.verbose or len(images) <= _MOST_IN_FULL
    if len(images) == 1:
        page = Page(images[0], "image-1", 1, full=full)
        header = tag("div", page.heading(), class_="heading")
        content = tag("article", header, page.body(), class_="image", id="image-1")
    else:
        content = joined(_index(run, images), *_images(images, full))
    main = tag("main", content)
    return _document(_title(run), tag("header", *_header(run)), main, tag("footer", *_footer(run)))


def _document(title: str, *body: Markup) -> str:
    css, script = _file("page.css") + WIDTHS, _file("page.js")
    policy = (
        f"default-src 'none'; style-src '{_hash(css)}'; script-src '{_hash(script)}'; "
        "base-uri 'none'; form-action 'none'"
    )
    head = joined(
        tag("meta", charset="utf-8"),
        tag("meta", http_equiv="Content-Security-Policy", content=policy),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="referrer", content="no-referrer"),
        tag("title", title),
        tag("style", Markup(css)),
    )
    page = tag("html", tag("head", head), tag("body", *body, tag("script", Markup(script))), lang="en")
    return f"<!doctype html>\n{page}"


def _file(name: str) -> str:
    return resources.files(__package__).joinpath(name).read_text(encoding="utf-8")


def _hash(content: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()


def _counts(run: RunReport) -> list[tuple[Verdict, int]]:
    return [(verdict, run.count(verdict)) for verdict in _GRAVITY if run.count(verdict)]


def _title(run: RunReport) -> str:
    counts = ", ".join(f"{count} {verdict.value}" for verdict, count in _counts(run))
    return f"{counts or 'No image'} – image-validator"


def _header(run: RunReport) -> Iterator[Markup]:
    question = next((profile.title for profile in PROFILES if profile.id == run.profile), "")
    yield tag("p", tag("b", "image-validator"), " report", class_="product")
    yield tag("p", f"{question} (Profile {run.profile})")
    if run.policy is not None:
        left_out = f" It leaves out {', '.join(run.policy.left_out)}." if run.policy.left_out else ""
        yield tag("p", f"Policy: {run.policy.source or 'of the command line'}.{left_out}")
    if run.warnings:
        yield tag("ul", *(tag("li", warning) for warning in run.warnings), class_="warnings")


def _footer(run: RunReport) -> list[Markup]:
    started = rfc3339(run.started).removesuffix("Z").replace("T", " ")
    meaning = _MEANING[run.exit_code]
    return [
        tag("p", f"Exit code {run.exit_code.value}: {meaning}."),
        tag("p", f"image-validator {run.tool_version}, started {started} UTC. ",
            "The images were opened for reading only; nothing on this page was fetched or will be."),
    ]  # fmt: skip


def _index(run: RunReport, images: list[Report]) -> Markup:
    title = f"{len(images)} images" if images else "No image was checked"
    counts = (tag("li", badge(verdict), f" {count}") for verdict, count in _counts(run))
    heading = joined(tag("h1", title), tag("ul", *counts, class_="tally", role="list"))
    if not images:
        return heading
    head = tag("tr", *(tag("th", name, scope="col") for name in ("Verdict", "Image", "Found")))
    rows = (
        tag(
            "tr",
            tag("td", badge(image.verdict)),
            tag(
                "td",
                tag("a", image.name, href=f"#image-{number}"),
                " ",
                tag("span", image.summary, class_="aside"),
            ),
            tag("td", tally(image)),
            data_verdict=image.verdict.value,
        )
        for number, image in enumerate(images, 1)
    )
    search = len(images) > _MOST_UNFILTERED and filters(
        verdict=[verdict.value for verdict, _ in _counts(run)]
    )
    body = tag("tbody", *rows, data_filter=search)
    return tag("nav", heading, tag("table", tag("thead", head), body, class_="index"), aria_label="Images")


def _images(images: list[Report], full: bool) -> list[Markup]:
    """Each folded, but for the gravest."""
    parts = []
    for number, image in enumerate(images, 1):
        page = Page(image, f"image-{number}", 2, full=full)
        body = tag("article", page.body(), id=f"image-{number}")
        is_open = number == 1 and image.verdict is not Verdict.DEPLOYABLE
        head = tag("summary", page.heading(), class_="heading")
        parts.append(tag("details", head, body, class_="image", open=is_open))
    return parts
