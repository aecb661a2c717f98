"""`python -m benchmarks`: measure, write `docs/performance.md`, hold the figures to their limits.

Everything is measured in one run on one machine; `PART...` measures some of it again and leaves the rest of
the results as they are. The exit code is 0 if all limits hold that were measured, else 1.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import subprocess
import sys
from datetime import datetime, timezone
from importlib import metadata, util
from pathlib import Path
from typing import Any

from benchmarks import cold, curves, fleet, page, peers, remote, warm
from benchmarks.limits import limits
from benchmarks.process import ROOT, Failed

PARTS = ("peers", "warm", "cold", "fleet", "remote", "curves")
PACKAGES = ("image-validator", "dissect.target", "dissect.regf", "libvhdi-python", "click")


def main() -> int:
    """Measure, print, write, judge."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"one of {', '.join(PARTS)}")
    parser.add_argument("--rounds", type=int, default=9, help="of the programs side by side, after a warm-up")
    parser.add_argument("--image", help="measure this image instead of the built one; writes nothing")
    parser.add_argument("--keep", action="store_true", help="keep the images of the curves")
    options = parser.parse_args()
    wanted = options.parts or (
        [part for part in PARTS if part not in ("curves", "remote")] if options.image else PARTS
    )
    if unknown := set(wanted) - set(PARTS):
        parser.error(f"there is no part {', '.join(unknown)}")
    image = os.path.abspath(options.image) if options.image else ""
    if not image and set(wanted) - {"curves", "remote"}:
        image = curves.build(None)
    measures = {
        "peers": lambda: peers.measure(image, max(1, options.rounds)),
        "warm": lambda: warm.measure(image),
        "cold": lambda: cold.measure(image, max(1, options.rounds)),
        "fleet": lambda: fleet.measure(image),
        "remote": lambda: remote.measure(max(1, options.rounds)),
        "curves": lambda: curves.measure(keep=options.keep),
    }
    measured: dict[str, Any] = {"machine": _machine()}
    failed = []
    for part in (part for part in PARTS if part in wanted):
        print(part, file=sys.stderr, flush=True)
        try:
            measured[part] = measures[part]()
        except Failed as failure:
            print(f"  failed: {failure}", file=sys.stderr)
            failed.append(part)
    before = _before()
    for name in measured:
        print(f"\n{name}\n\n{page.table(name, {**before, **measured}) or 'needs more than was measured'}")
    if not options.image:
        measured = {**before, **measured}
        _write(measured)
    print("\nlimits")
    words = {True: "PASS", False: "FAIL", None: "SKIP"}
    for each in limits(measured):
        print(f"  {words[each.held]}  {each.what}: {each.found} ({each.limit})")
    return 1 if failed or any(each.held is False for each in limits(measured)) else 0


def _before() -> dict[str, Any]:
    """The results of the last run."""
    if not page.RESULTS.exists():
        return {}
    results: dict[str, Any] = json.loads(page.RESULTS.read_text(encoding="utf-8"))
    return results


def _write(results: dict[str, Any]) -> None:
    """The results, the page with its tables, and the picture."""
    page.RESULTS.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    text = page.PAGE.read_text(encoding="utf-8")
    page.PAGE.write_text(page.filled(text, results), encoding="utf-8")
    if "curves" not in results:
        return
    if util.find_spec("matplotlib") is None:
        print("the plot is not drawn: pip install -e .[bench]", file=sys.stderr)
        return
    subprocess.run([sys.executable, "-m", "benchmarks.plot"], check=True, cwd=ROOT)


def _machine() -> dict[str, Any]:
    """What the figures are from."""
    installed = {found.name: found.version for found in metadata.distributions()}
    return {
        "day": f"{datetime.now(timezone.utc):%Y-%m-%d}",
        "processors": os.cpu_count(),
        "processor": _first(Path("/proc/cpuinfo"), r"model name\s*: (.+)") or platform.machine(),
        "memory_gib": round(int(_first(Path("/proc/meminfo"), r"MemTotal:\s+(\d+)") or 0) / 2**20),
        "system": _first(Path("/etc/os-release"), r'PRETTY_NAME="(.+)"') or platform.system(),
        "python": platform.python_version(),
        "load": f"{os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else "unknown",
        "versions": ", ".join(f"{name} {installed[name]}" for name in PACKAGES if name in installed),
    }


def _first(file: Path, pattern: str) -> str | None:
    found = re.search(pattern, file.read_text(encoding="utf-8")) if file.exists() else None
    return found[1].strip() if found else None


if __name__ == "__main__":
    sys.exit(main())
