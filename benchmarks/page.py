"""From the results to what a person reads: tables, and `docs/performance.md` that has them.

A table stands in the page between two comment lines; all around it is written by hand:

    <!-- measured: peers -->
    <!-- end of peers -->
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from statistics import median
from typing import Any

from benchmarks.limits import AIM, limits
from benchmarks.peers import TARGET_REG
from benchmarks.process import ROOT

PAGE = ROOT / "docs" / "performance.md"
RESULTS = ROOT / "benchmarks" / "results.json"

MiB = 1 << 20
Results = dict[str, Any]


def filled(page: str, results: Results) -> str:
    """The page with today's tables; what was not measured keeps the table that it has."""

    def renewed(found: re.Match[str]) -> str:
        text = table(found["name"], results)
        return found[0] if text is None else f"{found['begin']}{text}\n{found['end']}"

    begin, end = r"<!-- measured: (?P<name>\w+) -->\n", "<!-- end of (?P=name) -->"
    return re.sub(f"(?P<begin>{begin}).*?(?P<end>{end})", renewed, page, flags=re.DOTALL)


def table(name: str, results: Results) -> str | None:
    """One table, or None where its figures are not among the results."""
    try:
        return TABLES[name](results)
    except KeyError:
        return None


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Markdown; all columns but the first are figures."""
    rule = [" --- ", *[" ---: "] * (len(head) - 1)]
    lines = [*(f"| {' | '.join(row)} |" for row in (head, *rows))]
    return "\n".join([lines[0], f"|{'|'.join(rule)}|", *lines[1:]])


def _machine(results: Results) -> str:
    machine = results["machine"]
    return (
        f"{machine['day']}: {machine['processors']} processors ({machine['processor']}), "
        f"{machine['memory_gib']} GiB, {machine['system']}, Python {machine['python']}; "
        f"{machine['versions']}. Load at the beginning: {machine['load']}."
    )


def _peers(results: Results) -> str:
    peers = results["peers"]
    rows = [
        [
            each["name"],
            f"{1000 * median(each['seconds']):,.0f}",
            f"{1000 * min(each['seconds']):,.0f}",
            _ratio(each["ratios"]),
            *_reading(each),
            f"{each['memory'] / MiB:.0f}",
        ]
        for each in peers["programs"]
    ]
    head = ("", "ms, median", "ms, least", f"by `{TARGET_REG.name}`", "reads", "KiB read", "MiB of memory")
    notes = [f"{name}: not measured, {why}." for name, why in peers["skipped"].items()]
    if peers["emulated"]:
        notes.append("libguestfs did not start with KVM here: it was run under emulation (`force_tcg`).")
    return "\n\n".join([_table(head, rows), *notes])


def _ratio(ratios: Sequence[float]) -> str:
    if not ratios:
        return "?"
    digits = 3 if median(ratios) < 1 else 1
    return f"{median(ratios):.{digits}f} ({min(ratios):.{digits}f} to {max(ratios):.{digits}f})"


def _reading(program: dict[str, Any]) -> list[str]:
    read = program.get("traced") or program.get("counted")
    return ["?", "?"] if read is None else [f"{read[0]:,}", f"{read[1] / 1024:,.0f}"]


def _warm(results: Results) -> str:
    warm = results["warm"]
    names = [each["name"] for each in next(iter(warm.values()))["images"]]
    rows = []
    for index, name in enumerate(names):
        label = name if "-" in name or len(name) < 30 else "the large image"
        each = [profile["images"][index] for profile in warm.values()]
        rows.append([label, *(f"{one['median_ms']:.1f} ({one['least_ms']:.1f})" for one in each)])
    rate = [f"**{profile['per_second']:.0f}**" for profile in warm.values()]
    rows.append(["**images per second**, all of them", *rate])
    used = [f"{profile['per_cpu_second']:.0f}" for profile in warm.values()]
    rows.append(["the same, by processor time", *used])
    return _table(("ms, median (least)", *(f"`{name}`" for name in warm)), rows)


UNITS = {"disk": "GiB of disk", "files": "files", "software": "MB of SOFTWARE"}


def _curves(results: Results) -> str:
    head = ("", "container", "ms warm, median (least)", "reads", "KiB read", "MiB of memory, cold")
    rows = [
        [
            f"{point['x']:,} {UNITS[name]}",
            point["container"].upper(),
            f"{point['warm_ms']:.1f} ({point['least_ms']:.1f})",
            f"{point['reads']}",
            f"{point['bytes_read'] / 1024:,.0f}",
            f"{point['memory'] / MiB:.0f}",
        ]
        for name, curve in results["curves"].items()
        for point in curve
    ]
    return _table(head, rows)


def _cold(results: Results) -> str:
    cold = results["cold"]
    reference = cold["reference_ms"]
    total = sum(cold["parts"].values())
    rows = [
        [
            name,
            f"{cold['modules'][name]:.0f}" if name in cold["modules"] else "",
            f"{spent:.1f}",
            f"{100 * spent / total:.0f}%",
            f"{spent / reference:.4f}",
        ]
        for name, spent in cold["parts"].items()
        if spent >= 0.05
    ]
    rows.append(["**sum**", "", f"**{total:.1f}**", "100%", f"**{total / reference:.4f}**"])
    plain = cold["plain_ms"]
    rows.append(["the same run without the instruments", "", f"{plain:.1f}", "", f"{plain / reference:.4f}"])
    rows.append([f"the aim, {AIM} of `{TARGET_REG.name}`", "", f"{AIM * reference:.1f}", "", f"{AIM:.4f}"])
    return _table(("part", "modules", "ms", "share", f"by `{TARGET_REG.name}`"), rows)


def _gap(results: Results) -> str:
    cold = results["cold"]
    aim = AIM * cold["reference_ms"]
    plain = cold["plain_ms"]
    largest = sorted(cold["parts"].items(), key=lambda part: -part[1])[:4]
    parts = ", ".join(f"{name} {spent:.0f} ms" for name, spent in largest)
    more = f"{plain - aim:.0f} ms too much" if plain > aim else "so the aim is met"
    return (
        f"A run takes {plain:.0f} ms where the aim is {aim:.0f} ms: {more}. The largest parts are: {parts}."
    )


def _fleet(results: Results) -> str:
    fleet = results["fleet"]
    if "skipped" in fleet:
        return f"Not measured: {fleet['skipped']}."
    first = next(iter(fleet["per_second"].values()))
    rows = [
        [f"`--jobs {jobs}`", f"{rate:.0f}", f"{rate / first:.2f}"]
        for jobs, rate in fleet["per_second"].items()
    ]
    return _table((f"{fleet['images']} images", "images per second", "by one process"), rows)


def _limits(results: Results) -> str:
    words = {True: "PASS", False: "**FAIL**", None: "not measured"}
    rows = [[words[each.held], each.what, each.limit, each.found] for each in limits(results)]
    return "\n".join(["| | | limit | found |", "| --- | --- | --- | --- |",
                      *(f"| {' | '.join(row)} |" for row in rows)])  # fmt: skip


def _remote(results: Results) -> str:
    head = ("", "requests", "KiB read", "seconds from far away, median", "least")
    rows = [
        [
            each["name"],
            str(each["requests"]),
            f"{each['bytes_read'] / 1024:,.0f}",
            f"{median(each['seconds']):.2f}",
            f"{min(each['seconds']):.2f}",
        ]
        for each in results["remote"]["programs"]
    ]
    return _table(head, rows)


TABLES: dict[str, Callable[[Results], str]] = {
    "machine": _machine,
    "limits": _limits,
    "peers": _peers,
    "warm": _warm,
    "curves": _curves,
    "cold": _cold,
    "gap": _gap,
    "fleet": _fleet,
    "remote": _remote,
}
