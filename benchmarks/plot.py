"""The curves as a picture: `python -m benchmarks.plot` draws the results anew (needs matplotlib)."""

from __future__ import annotations

import json
from typing import Any

from benchmarks.page import RESULTS, UNITS
from benchmarks.process import ROOT

PICTURE = ROOT / "docs" / "images" / "performance.svg"
INK, TIME, READING = "#808080", "#2a7fd4", "#d2781e"
"""Colours that can be read on white and on black."""
MARKS = {"vhdx": "o", "vhd": "s"}


def draw(curves: dict[str, Any]) -> None:
    """Three panels: milliseconds (left) and KiB read (right) over what grows."""
    import matplotlib as mpl

    mpl.use("svg")
    from matplotlib import pyplot

    mpl.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "", "font.size": 9, "text.color": INK,
                         "axes.edgecolor": INK, "axes.labelcolor": INK, "axes.titlecolor": INK,
                         "xtick.color": INK, "ytick.color": INK})  # fmt: skip
    figure, panels = pyplot.subplots(1, len(curves), figsize=(10.5, 3.2), layout="constrained")
    slowest = max(point["least_ms"] for curve in curves.values() for point in curve)
    most = max(point["bytes_read"] for curve in curves.values() for point in curve) / 1024
    for panel, (name, curve) in zip(panels, curves.items()):
        right = panel.twinx()
        for container, mark in MARKS.items():
            points = [point for point in curve if point["container"] == container]
            if not points:
                continue
            over = [point["x"] for point in points]
            look = {"marker": mark, "markersize": 4, "linestyle": "-" if container == "vhdx" else ":"}
            times = [point["least_ms"] for point in points]
            panel.plot(over, times, color=TIME, label=f"{container.upper()}, time", **look)
            reading = [point["bytes_read"] / 1024 for point in points]
            right.plot(over, reading, color=READING, label=f"{container.upper()}, reading", **look)
        panel.set_xscale("log")
        panel.set_xticks([point["x"] for point in curve if point["container"] == "vhdx"])
        panel.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}".replace(",000", "k"))
        panel.xaxis.set_minor_locator(mpl.ticker.NullLocator())
        panel.set_xlabel(UNITS[name])
        panel.set_ylim(0, 1.15 * slowest)
        right.set_ylim(0, 1.15 * most)
        for axes in (panel, right):
            axes.patch.set_alpha(0)
            axes.spines["top"].set_visible(False)
        panel.tick_params(axis="y", colors=TIME)
        right.tick_params(axis="y", colors=READING)
        if name == next(iter(curves)):
            panel.set_ylabel("ms in a warm process, least", color=TIME)
            lines = [line for axes in (panel, right) for line in axes.get_legend_handles_labels()[0]]
            panel.legend(handles=lines, loc="upper left", frameon=False, labelcolor=INK, fontsize=8)
        else:
            panel.tick_params(labelleft=False)
        if name == list(curves)[-1]:
            right.set_ylabel("KiB read", color=READING)
        else:
            right.tick_params(labelright=False)
    figure.savefig(PICTURE, transparent=True, metadata={"Date": None})


if __name__ == "__main__":
    draw(json.loads(RESULTS.read_text(encoding="utf-8"))["curves"])
