"""The HTML report as a person has it: in a browser, by mouse and keyboard, on paper; of a hostile image."""

from __future__ import annotations

import base64
import json
import re
import shutil
import socket
from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from importlib import resources
from itertools import product
from pathlib import Path
from typing import Any
from unicodedata import category

import pytest
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement

from tests.reports import HOSTILE, hostile, run_of, sample
from tests.snapshot import agrees
from validator.checks.model import Status
from validator.disk.partitions import Partition, PartitionTable
from validator.disk.volumes import Volume, VolumeKind
from validator.facts.image import Installation
from validator.facts.model import Unknown
from validator.policy.model import Waiver
from validator.report.formats import Style, render
from validator.report.model import Report, RunReport
from validator.report.printable import printable

MiB = 1 << 20
QUIET = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
    "--disable-background-networking", "--disable-component-update", "--hide-scrollbars",
)  # fmt: skip
BAD = sample().images[1]
"""Undeployable, with a finding that is waived."""


def html(run: RunReport, *, verbose: bool = False) -> str:
    """The page."""
    return render("html", run, Style(verbose=verbose))


class Browser:
    """Chromium without a window, for one page after the other."""

    def __init__(self, driver: webdriver.Chrome, folder: Path) -> None:
        self._driver = driver
        self._file = folder / "image-validator.html"

    def open(
        self,
        run: RunReport,
        *,
        width: int = 1100,
        dark: bool = False,
        media: str = "",
        script: bool = True,
        place: str = "",
    ) -> Browser:
        """Open the report of a run; nothing may have gone wrong in it, and nothing may have been fetched."""
        self._file.write_text(html(run), encoding="utf-8")
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self._ask("Emulation.setEmulatedMedia", media=media, features=[scheme])
        size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
        self._ask("Emulation.setDeviceMetricsOverride", **size)
        self._ask("Emulation.setScriptExecutionDisabled", value=not script)
        self.requests(), self.complaints()  # those of a page before
        self._driver.get("about:blank")  # a new place in the same page would not load it anew
        self._driver.get(f"{self._file.as_uri()}{place}")
        assert self.complaints() == []
        assert {each.partition("#")[0] for each in self.requests()} <= {"about:blank", self._file.as_uri()}
        return self

    def _ask(self, command: str, **parameters: Any) -> Any:
        return self._driver.execute_cdp_cmd(command, parameters)

    def run(self, script: str, *arguments: object) -> Any:
        """What a script returns that a person at the console might run."""
        return self._driver.execute_script(script, *arguments)

    def all(self, selector: str) -> list[WebElement]:
        """The elements that a selector chooses."""
        return self._driver.find_elements(By.CSS_SELECTOR, selector)

    def one(self, selector: str, text: str = "") -> WebElement:
        """The first that begins with this text."""
        return next(each for each in self.all(selector) if each.text.startswith(text))

    def count(self, selector: str) -> int:
        """How many elements there are."""
        return int(self.run("return document.querySelectorAll(arguments[0]).length", selector))

    def shown(self, selector: str) -> list[str]:
        """The texts of those elements that can be seen, found by one question."""
        found = "[...document.querySelectorAll(arguments[0])].filter((each) => each.checkVisibility())"
        return list(self.run(f"return {found}.map((each) => each.innerText)", selector))

    def style(self, selector: str, name: str) -> str:
        """A computed style."""
        one = "document.querySelector(arguments[0])"
        return str(self.run(f"return getComputedStyle({one})[arguments[1]]", selector, name))

    def complaints(self) -> list[str]:
        """What stands in the console since this was last asked."""
        return [each["message"] for each in self._driver.get_log("browser")]

    def requests(self) -> list[str]:
        """The addresses that were asked for since this was last asked."""
        messages = [json.loads(each["message"])["message"] for each in self._driver.get_log("performance")]
        sent = [each["params"] for each in messages if each["method"] == "Network.requestWillBeSent"]
        return [each["request"]["url"] for each in sent]

    @property
    def title(self) -> str:
        """Of the page."""
        return str(self._driver.title)

    def screenshot(self) -> bytes:
        """What is to be seen, as PNG."""
        return base64.b64decode(self._ask("Page.captureScreenshot")["data"])

    @property
    def pages(self) -> int:
        """How many sheets it prints on."""
        printed = base64.b64decode(self._ask("Page.printToPDF")["data"])
        return len(re.findall(rb"/Type\s*/Page\b", printed))


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """One browser for all tests here."""
    places = {name: shutil.which(name) for name in ("chromium", "chromedriver")}
    if missing := [name for name, place in places.items() if place is None]:
        pytest.skip(f"{' and '.join(missing)} not installed (Debian: chromium and chromium-driver)")
    folder = tmp_path_factory.mktemp("browser")
    options = webdriver.ChromeOptions()
    options.binary_location = str(places["chromium"])
    for flag in QUIET:
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options, webdriver.ChromeService(str(places["chromedriver"])))
    yield Browser(driver, folder)
    driver.quit()


@pytest.fixture
def browser(session: Browser) -> Iterator[Browser]:
    """The browser; whatever a test did in the page, nothing was fetched and nothing complained."""
    yield session
    assert session.complaints() == []
    assert session.requests() == []


# --- what is there -------------------------------------------------------------------------------


def test_verdict_and_cause_come_first(browser: Browser) -> None:
    browser.open(run_of(BAD))
    words = browser.run("return document.querySelector('main').innerText")
    order = ["Undeployable", "images/undeployable.vhdx", BAD.summary, "What to do", "Layers", "Checks"]
    places = [words.index(each) for each in order]
    assert places == sorted(places)
    (error, *_) = browser.all(".task")
    for part in ("error", "image-state", "sysprep.exe /generalize /oobe /shutdown"):
        assert part in error.text
    assert browser.title == "1 undeployable – image-validator"


def test_several_images_the_gravest_first(browser: Browser) -> None:
    browser.open(sample())
    rows = [row.split("\n") for row in browser.shown(".index tbody tr")]
    assert [row[0].split("\t")[0].strip("✕?✓ ") for row in rows] == [
        "Undeployable", "Undeployable", "Indeterminate", "Deployable",
    ]  # fmt: skip
    assert browser.shown(".tally li") == ["✕ Undeployable 2", "? Indeterminate 1", "✓ Deployable 1"]
    opened = browser.run("return [...document.querySelectorAll('.image')].map((each) => each.open)")
    assert opened == [True, False, False, False]
    browser.one(".index a", "images/corrupt.vhdx").click()
    assert browser.run("return document.querySelectorAll('.image')[2].open")
    assert "Not answered, because the container could not be read." in browser.shown("#image-3 .task")[0]


def test_every_check_is_there_and_its_evidence_unfolds(browser: Browser) -> None:
    browser.open(run_of(BAD))
    rows = browser.shown(".checks > li")
    assert len(rows) == len(BAD.findings)
    assert rows[0].startswith("✕ failed\nerror\nimage-state")
    assert not browser.all(".checks dl")[0].is_displayed()
    browser.one(".checks summary").click()
    unfolded = browser.shown(".checks > li")[0]
    for each in BAD.findings[0].evidence:
        for word in (each.found, each.where.key, each.where.path, each.expected):
            assert word is None or word in unfolded
    assert {link.get_attribute("href") for link in browser.all(".checks li:first-child .references a")} == {
        *BAD.findings[0].references
    }


def test_a_link_leads_to_the_evidence(browser: Browser) -> None:
    """Also where the filter hid it."""
    browser.open(run_of(BAD))
    browser.one(".filter button", "passed").click()
    assert browser.shown(".checks > .failed") == []
    browser.one(".task[open] a", "image-state").click()
    (row,) = browser.shown(".checks > .failed")
    assert "IMAGE_STATE_UNDEPLOYABLE" in row
    place = browser.run("return location.hash")
    browser.open(run_of(BAD), place=place, script=False)
    assert "IMAGE_STATE_UNDEPLOYABLE" in browser.shown(".checks > .failed")[0]


def test_without_script_everything_is_there(browser: Browser) -> None:
    browser.open(run_of(BAD), script=False)
    assert browser.count(".filter") == browser.count("button") == 0
    assert len(browser.shown(".checks > li")) == len(BAD.findings)


def test_what_a_policy_accepts(browser: Browser) -> None:
    """It is named as accepted, with the reason, and stands behind what is to be done."""
    findings = tuple(
        each._replace(waiver=Waiver(each.check.id, "Converted later.", until=date(2031, 5, 1)))
        if each.status is Status.WAIVED
        else each
        for each in BAD.findings
    )
    browser.open(run_of(replace(BAD, judgement=BAD.judgement._replace(findings=findings))))
    task = browser.shown(".task")[-1]
    assert task.startswith("○ accepted\ncontainer-format")
    assert "(accepted until 2031-05-01: Converted later.)" in task
    browser.open(run_of(BAD))
    assert "(accepted by the policy)" in browser.shown(".checks > .waived")[0]


def test_how_grave_it_would_be_is_no_result(browser: Browser) -> None:
    """Beside a check that passed stands what its failure would be, and is called so."""
    browser.open(run_of(BAD))
    assert browser.shown(".columns") == ["Result\nIf it fails\nCheck"]
    assert "If it fails" in browser.shown(".filter .name")
    browser.open(run_of(BAD), width=360)
    before = (
        "return getComputedStyle(document.querySelector('.checks > .passed .severity'), '::before').content"
    )
    assert browser.run(before) == '"if it fails: "'


def test_a_command_is_one_line(browser: Browser) -> None:
    """However long: nothing is broken behind a hyphen, and the page does not scroll for it."""
    browser.open(run_of(BAD), width=360)
    lines = (
        "return [...document.querySelectorAll('.commands code')].map((each) => each.getClientRects().length)"
    )
    assert set(browser.run(lines)) == {1}
    wide = (
        "[...document.querySelectorAll('.commands code')].some((each) => each.scrollWidth > each.clientWidth)"
    )
    assert browser.run(f"return {wide}")
    assert browser.run("return document.documentElement.scrollWidth") == 360


def test_what_is_widened_is_said_where_it_is(browser: Browser) -> None:
    browser.open(run_of(partitioned(1001, 100, 200, 300)))
    assert browser.shown("figcaption") == ["Drawn to scale."]
    browser.open(run_of(partitioned(1 << 20, 1, (1 << 20) - 200)))
    assert browser.shown("figcaption") == ["Drawn to scale; what would be too narrow to see is widened."]


def test_layers_and_time_line(browser: Browser) -> None:
    browser.open(run_of(sample().images[3]))
    assert [row.split("\n")[:2] for row in browser.shown(".layers li")] == [
        ["file", "✓ intact"],
        ["container", "✕ damaged"],
    ]
    times = [row.split("\n")[0] for row in browser.shown(".time-line li")]
    assert times == ["2024-05-13 08:12:00 UTC", "2024-05-14 16:20:00 local time", "2024-05-14 16:24:00 UTC"]
    assert "no zone" in browser.shown(".time-line p")[0]
    browser.open(run_of(replace(BAD, timeline=None)))
    assert browser.count(".time-line") == 0


# --- the disk ------------------------------------------------------------------------------------


def partitioned(total: int, *sizes: int) -> Report:
    """The bad image with partitions of these sizes in MiB, one behind the other; the last has Windows."""
    assert not isinstance(BAD.facts.container, Unknown)
    partitions, offset = [], MiB
    for number, size in enumerate(sizes, 1):
        partitions.append(Partition(number, offset, size * MiB, "07", "NTFS", False, None, None))
        offset += size * MiB
    facts = BAD.facts._replace(
        container=BAD.facts.container._replace(virtual_size=total * MiB),
        partition_table=PartitionTable("mbr", "20348a7e", 512, tuple(partitions)),
        volumes=tuple(Volume(each, VolumeKind.NTFS) for each in partitions),
        installations=(Installation(len(sizes), r"\Windows"),),
    )
    return replace(BAD, facts=facts)


WIDTHS = "return [...document.querySelectorAll('.map li')].map((each) => each.getBoundingClientRect().width)"


def test_partitions_are_drawn_to_scale(browser: Browser) -> None:
    browser.open(run_of(partitioned(1001, 100, 200, 300)))
    widths = browser.run(WIDTHS)
    whole = sum(widths)
    assert [width / whole for width in widths] == pytest.approx([0.1, 0.2, 0.3, 0.4], abs=0.01)
    assert browser.shown(".map li") == ["1\nNTFS\n100 MiB", "2\nNTFS\n200 MiB", "3\nWindows\n300 MiB",
                                        "Free\n400 MiB"]  # fmt: skip
    rows = [row.replace("\t", " ").split() for row in browser.shown(".partitions tbody tr")]
    assert [row[:2] for row in rows] == [["1", "NTFS"], ["2", "NTFS"], ["3", "Windows"], ["Free", "in"]]
    assert [row[-2:] for row in rows] == [["100", "MiB"], ["200", "MiB"], ["300", "MiB"], ["400", "MiB"]]


@pytest.mark.parametrize("width", [360, 1100])
def test_tiny_partitions_can_be_seen(browser: Browser, width: int) -> None:
    browser.open(run_of(partitioned(2 << 20, 1, 16, 100, (2 << 20) - 200)), width=width)
    widths = browser.run(WIDTHS)
    assert min(widths[:3]) >= 20
    assert widths[3] > sum(widths[:3])
    assert browser.shown(".map li b")[:3] == ["1", "2", "3"]


def test_what_is_unknown_is_said(browser: Browser) -> None:
    nothing = Unknown("the container is damaged")
    facts = BAD.facts._replace(container=nothing, volumes=nothing, installations=nothing, product=nothing)
    browser.open(run_of(replace(BAD, facts=facts)))
    assert [row.split("\n")[1] for row in browser.shown(".map li")] == [
        "EFI system partition", "Microsoft reserved", "Basic data",
    ]  # fmt: skip
    browser.open(run_of(replace(BAD, facts=facts._replace(partition_table=nothing))))
    assert browser.shown(".the-image p") == ["The partitions are not known: the container is damaged."]


# --- filters -------------------------------------------------------------------------------------


def statuses(browser: Browser) -> set[str]:
    """Of the rows that are to be seen."""
    return {row.split("\n")[0][2:] for row in browser.shown(".checks > li")}


def test_filter_by_clicking(browser: Browser) -> None:
    browser.open(run_of(BAD))
    failed = [each for each in BAD.findings if each.status is Status.FAILED]
    button = browser.one(".filter button", "failed")
    assert button.text == f"failed {len(failed)}"
    assert button.get_attribute("aria-pressed") == "false"
    button.click()
    assert button.get_attribute("aria-pressed") == "true"
    assert statuses(browser) == {"failed"}
    assert len(browser.shown(".checks > li")) == len(failed)
    assert browser.shown(".filter [role=status]") == [f"{len(failed)} of {len(BAD.findings)} shown"]
    # The counts are of what a click would show, beside what is chosen elsewhere.
    errors = sum(each.severity.value == "error" for each in failed)
    severity = browser.one(".filter button", "error")
    assert severity.text == f"error {errors}"
    severity.click()
    assert len(browser.shown(".checks > li")) == errors
    browser.one(".filter button", "waived").click()
    assert statuses(browser) == {"failed", "waived"}
    button.click()
    assert statuses(browser) == {"waived"}
    browser.one(".filter button", "Show all").click()
    assert len(browser.shown(".checks > li")) == len(BAD.findings)
    family = [each for each in BAD.findings if each.check.family == "boot"]
    browser.one(".filter button", "boot").click()
    assert len(browser.shown(".checks > li")) == len(family)


def test_filter_by_text_and_keyboard(browser: Browser) -> None:
    browser.open(run_of(BAD))
    field = browser.one(".filter input")
    field.send_keys("image_state_UNDEPLOYABLE")
    found = [row.split("\n")[2].split()[0] for row in browser.shown(".checks > li")]
    assert found == ["image-state", "state-ini-agrees"]
    assert browser.one(".filter button", "failed").text == "failed 1"
    field.send_keys(Keys.TAB, Keys.ENTER)  # on to “Show all”
    assert len(browser.shown(".checks > li")) == len(BAD.findings)
    browser.one(".filter button", "waived").send_keys(Keys.SPACE)
    assert statuses(browser) == {"waived"}
    summary = browser.one(".checks .waived summary")
    summary.send_keys(Keys.ENTER)
    assert browser.run("return arguments[0].parentElement.open", summary)
    assert browser.run("return getComputedStyle(document.activeElement).outlineStyle") == "solid"


def test_commands_are_copied(browser: Browser) -> None:
    """As they are shown; what is cut off is not offered."""
    browser.open(run_of(BAD))
    browser.run("navigator.clipboard.writeText = async (text) => { window.clip = text; }")
    button = browser.one(".commands button", "Copy")
    button.click()
    assert browser.run("return window.clip") == BAD.findings[0].remedy.commands[0]  # type: ignore[union-attr]
    assert button.text == "Copied"
    browser.open(hostile(2**20))
    commands = browser.all(".task[open] .commands li")
    assert [len(each.find_elements(By.TAG_NAME, "button")) for each in commands] == [0, 1]


# --- hostile -------------------------------------------------------------------------------------


@pytest.mark.parametrize("length", [0, 2**20])
def test_a_hostile_image_is_only_text(browser: Browser, length: int) -> None:
    browser.open(hostile(length), width=360)
    assert browser.title == "1 undeployable – image-validator"
    assert browser.count("script") == 1
    assert browser.count("style") == 1
    assert browser.count("img, iframe, object, embed, link, form, base, svg, math") == 0
    events = "[...each.attributes].some((one) => one.name.startsWith('on') || one.name === 'style')"
    assert browser.run(f"return [...document.all].filter((each) => {events}).length") == 0
    links = browser.run("return [...document.links].map((each) => each.getAttribute('href'))")
    declared = {each for judged in BAD.findings for each in judged.references}
    assert {each for each in links if not each.startswith("#")} == declared
    words = browser.run("document.querySelectorAll('details').forEach((each) => { each.open = true; });"
                        "return document.body.innerText")  # fmt: skip
    shown = re.sub(r"\s+", " ", printable(HOSTILE))
    assert re.sub(r"\s+", " ", words).count(shown) > 2 * len(BAD.findings)
    if length:
        assert f"({len(HOSTILE) + length} characters)" in words
    assert browser.run("return document.documentElement.scrollWidth") == 360


def test_nothing_unprintable_is_on_the_page() -> None:
    page = html(hostile())
    assert {each for each in page if category(each)[0] == "C" or each in "\u2028\u2029"} == {"\n"}
    assert len(html(hostile(2**20))) < 2 * MiB


INTRUDER = """
const [address] = arguments;
const refused = [];
document.addEventListener("securitypolicyviolation", (event) => refused.push(event.effectiveDirective));
const script = document.createElement("script");
script.textContent = "window.ran = true";
document.body.append(script);
document.body.insertAdjacentHTML("beforeend", `
    <img src="${address}"><b style="color: red" onclick="window.ran = true">x</b>
    <form action="http://127.0.0.1:9/"><button></button></form>`);
document.querySelector("main ~ b").click();
document.querySelector("form button").click();
return new Promise((done) => setTimeout(() => done(refused), 100));
"""


def test_the_page_lets_nothing_else_run(session: Browser) -> None:
    """What would get into it in spite of all neither runs nor loads."""
    session.open(run_of(BAD))
    with socket.create_server(("127.0.0.1", 0)) as server:
        refused = session.run(INTRUDER, f"http://127.0.0.1:{server.getsockname()[1]}/")
        server.setblocking(False)
        with pytest.raises(BlockingIOError):
            server.accept()
    assert {*refused} == {"script-src-elem", "script-src-attr", "style-src-attr", "img-src", "form-action"}
    assert session.run("return window.ran") is None


def test_no_address_but_of_declarations() -> None:
    """Only http and https are links, and only where a check declares them."""
    judged = BAD.findings[0]
    check = replace(judged.check, references=("javascript:alert(1)", "https://example.org/a? b&c"))
    findings = (judged._replace(check=check, cause=None),)
    page = html(run_of(replace(BAD, judgement=BAD.judgement._replace(findings=findings))))
    assert re.findall(r'href="([^#][^"]*)"', page) == ["https://example.org/a? b&amp;c"]
    assert "javascript:alert(1)" in page


# --- any screen, and paper -----------------------------------------------------------------------


def test_a_phone_needs_no_sideways_scrolling(browser: Browser) -> None:
    """Nor that of a hostile image, above; and what is to be touched is large enough."""
    browser.open(sample(), width=360)
    browser.run("document.querySelectorAll('details').forEach((each) => { each.open = true; })")
    assert browser.run("return document.documentElement.scrollWidth") == 360
    assert min(browser.run("return [...document.querySelectorAll('button')].filter((each) => "
                           "each.checkVisibility()).map((each) => each.offsetHeight)")) >= 24  # fmt: skip


def test_light_and_dark(browser: Browser) -> None:
    light = browser.open(run_of(BAD)).screenshot()
    assert browser.style("html", "backgroundColor") == "rgb(255, 255, 255)"
    dark = browser.open(run_of(BAD), dark=True).screenshot()
    assert browser.style("html", "backgroundColor") == "rgb(21, 24, 28)"
    assert light != dark


def test_print(browser: Browser) -> None:
    """Everything unfolded, no buttons, black on white, each image on a sheet of its own."""
    browser.open(sample(), dark=True, media="print")
    assert browser.style("html", "backgroundColor") == "rgb(255, 255, 255)"
    assert browser.shown("button, input") == []
    bodies = "document.querySelectorAll('details:not([open]) > :not(summary)')"
    assert browser.count("details:not([open])") > 200
    assert browser.run(f"return [...{bodies}].filter((each) => !each.checkVisibility()).length") == 0
    assert browser.pages > 30


def test_colours_have_contrast() -> None:
    """WCAG 2.1, 1.4.3, level AA: 4.5 between text and ground, in light and in dark."""
    css = resources.files("validator.report.html").joinpath("page.css").read_text(encoding="utf-8")
    light, dark = (dict(re.findall(r"--([\w-]+): (#\w{6});", each)) for each in css.split("@media", 2)[:2])
    assert light.keys() == dark.keys()
    tints = [("bad", "bad-tint"), ("doubt", "doubt-tint"), ("good", "good-tint")]
    pairs = [*product(("ink", "soft", "link", "bad", "doubt", "good", "note"), ("paper", "ground")), *tints]
    pairs += [("ink", each) for each in ("windows", "boot", "data", "reserved", "other", "ground")]
    for scheme in (light, dark):
        poor = [pair for pair in pairs if contrast(*(scheme[name] for name in pair)) < 4.5]
        assert poor == []


def contrast(one: str, other: str) -> float:
    """The ratio of WCAG."""

    def luminance(colour: str) -> float:
        parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
        linear = [each / 12.92 if each <= 0.04045 else ((each + 0.055) / 1.055) ** 2.4 for each in parts]
        return sum(weight * each for weight, each in zip((0.2126, 0.7152, 0.0722), linear))

    bright, dim = sorted((luminance(one), luminance(other)), reverse=True)
    return (bright + 0.05) / (dim + 0.05)


# --- many images, none, and the page as a file ---------------------------------------------------


def test_many_images(browser: Browser) -> None:
    """What passed is only named, and the table of images has a filter."""
    images = [replace(sample().images[number % 4], path=f"images/{number}.vhd") for number in range(60)]
    many = run_of(*images)
    browser.open(many)
    assert browser.count("*") < 500 * len(images)
    assert browser.count(".checks > .passed") == 0
    assert "image-state" in browser.run("return document.querySelector('#image-60 .checks ~ p').textContent")
    browser.one("nav button", "indeterminate").click()
    assert len(browser.shown(".index tbody tr")) == 15
    browser.one("nav input").send_keys("images/11.")
    assert len(browser.shown(".index tbody tr")) == 1
    assert html(many, verbose=True).count('data-status="passed"') > 48 * 15


def test_links_of_a_long_report_lead_somewhere() -> None:
    page = html(run_of(*sample().images * 20))
    places = set(re.findall(r' id="([^"]+)"', page))
    assert set(re.findall(r'href="#([^"]+)"', page)) <= places
    assert len(places) == len(re.findall(r' id="', page))


def test_no_image(browser: Browser) -> None:
    browser.open(run_of())
    assert browser.shown("h1") == ["No image was checked"]
    assert "Exit code 4: nothing to check." in browser.shown("footer")[0]


@pytest.mark.parametrize(("name", "run"), [("sample", run_of(BAD)), ("hostile", hostile())])
def test_the_page_as_a_file(name: str, run: RunReport) -> None:
    """One check of each status; style and script are left out."""
    (image,) = run.images
    firsts = {each.status: each for each in reversed(image.findings)}
    judgement = image.judgement._replace(findings=tuple(firsts.values()))
    page = html(run_of(replace(image, judgement=judgement)))
    page = re.sub(r"<(style|script)>.*?</\1>", r"<\1></\1>", page, flags=re.DOTALL)
    page = re.sub(r"sha256-[\w+/=]+", "sha256-HASH", page)
    agrees(page, f"report.{name}.html")
