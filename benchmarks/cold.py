"""Where the time of one run goes: Python's own record of imports, and our clock between them."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from statistics import median
from typing import Any

from benchmarks.peers import GENERALIZED, OURS, TARGET_REG
from benchmarks.process import ROOT, Failed, environment, run

DRIVER = """
import sys, time
def mark(name):
    sys.stderr.write(f"@ {name} {time.perf_counter()}\\n")
mark("start")
import _frozen_importlib_external
class Watch:
    def find_spec(self, name, path=None, target=None):
        if name != "validator.validation":
            return None
        spec = _frozen_importlib_external.PathFinder.find_spec(name, path)
        load = spec.loader.exec_module
        def exec_module(module):
            load(module)
            validate = module.validate
            def timed(*arguments, **options):
                mark("validate")
                try:
                    return validate(*arguments, **options)
                finally:
                    mark("validated")
            timed.__kwdefaults__ = validate.__kwdefaults__  # what it takes
            module.validate = timed
        spec.loader.exec_module = exec_module
        return spec
sys.meta_path.insert(0, Watch())
from validator.__main__ import main
try:
    main()
finally:
    sys.stdout.flush()
    mark("end")
"""
"""The command, with marks among what `-X importtime` writes: before and behind the judging of the image."""

MARK = re.compile(r"@ (?P<name>\w+) (?P<time>[\d.]+)")
IMPORT = re.compile(r"import time: +(?P<self>\d+) \| +\d+ \| +(?P<module>\S+)")
GROUPS = {
    "click": "import of click",
    "validator": "import of its own modules",
    "dissect": "import of dissect.regf, with dissect.cstruct and dissect.util",
    "pyvhdi": "import of pyvhdi",
}
OTHER = "import of other packages"
STANDARD = "import of the standard library"
PHASES = {
    ("start", "validate"): "options, and finding the checks",
    ("validate", "validated"): "reading and judging",
    ("validated", "end"): "rendering",
}
"""Between two marks, less the imports in between."""


def measure(image: str, rounds: int) -> dict[str, Any]:
    """Milliseconds by part, of a run without the instruments, and of the reference: medians of the rounds."""
    command = GENERALIZED.command(image)
    measured, plain, reference = [], [], []
    for _ in range(rounds + 1):
        measured.append(_parts(command[len(OURS) :]))
        plain.append(1000 * run(command, GENERALIZED.answer).seconds)
        reference.append(1000 * run(TARGET_REG.command(image), TARGET_REG.answer).seconds)
    parts, modules = ([each[which] for each in measured[1:]] for which in (0, 1))
    return {
        "parts": {name: round(median(each[name] for each in parts), 2) for name in parts[0]},
        "modules": {name: median(each[name] for each in modules) for name in modules[0]},
        "plain_ms": round(median(plain[1:]), 2),
        "reference_ms": round(median(reference[1:]), 2),
    }


def _parts(arguments: list[str]) -> tuple[dict[str, float], dict[str, int]]:
    """Milliseconds by part of one run, in order, and how many modules each import was."""
    command = [sys.executable, "-X", "importtime", "-c", DRIVER, *arguments]
    began = time.perf_counter()
    done = subprocess.run(command, check=False, capture_output=True, text=True, env=environment(), cwd=ROOT)
    ended = time.perf_counter()
    if GENERALIZED.answer not in done.stdout:
        said = [line for line in done.stderr.splitlines() if not line.startswith(("@", "import time:"))]
        raise Failed(f"exit code {done.returncode}: {' '.join(said)[-200:]}")
    marks: dict[str, float] = {}
    imports = dict.fromkeys((*GROUPS.values(), OTHER, STANDARD), 0.0)
    counts = dict.fromkeys(imports, 0)
    phases = dict.fromkeys(PHASES.values(), 0.0)
    last = ""
    for line in done.stderr.splitlines():
        if mark := MARK.match(line):
            last = mark["name"]
            marks[last] = float(mark["time"])
        elif last and (imported := IMPORT.match(line)):
            group, spent = _group(imported["module"]), int(imported["self"]) / 1000
            imports[group] += spent
            counts[group] += 1
            for (first, _), name in PHASES.items():
                if first == last:
                    phases[name] -= spent
    for (first, second), name in PHASES.items():
        phases[name] += 1000 * (marks[second] - marks[first])
    start = {"start of Python": 1000 * (marks["start"] - began)}
    end = {"end of the process": 1000 * (ended - marks["end"])}
    return {**start, **imports, **phases, **end}, counts


def _group(module: str) -> str:
    top = module.partition(".")[0]
    return STANDARD if top in sys.stdlib_module_names else GROUPS.get(top, OTHER)
