"""A campaign: mutants are judged, and what must hold for every image is held to.

    python -m fuzz.run --count 100000 --seed 1 --out results.jsonl --workers 3
    python -m fuzz.run --summary results.jsonl
    python -m fuzz.run --seed 1 --show 4711 [--write mutant.vhdx]

A run that was broken off goes on where it was: numbers that the file has are passed over.
"""

from __future__ import annotations

import argparse
import collections
import contextlib
import hashlib
import io
import json
import os
import resource
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from fuzz.mutate import Mutant, describe, mutant
from fuzz.seeds import NAMES, Seed, copy_of, seed
from validator import source
from validator.evidence import Layer
from validator.report.json import image_data
from validator.source import FileSource
from validator.validation import validate

BATCH = 200
MAX_SECONDS = 10.0
MAX_GROWTH = 128 * 2**20
"""By how many bytes of memory the process may grow that judges mutants."""
MAX_ADDRESS_SPACE = 2**30
"""How many bytes it may ask for."""
ALARM = 12
REAL_FILE = 100
"""One mutant in so many is written to a file and judged by the whole command."""
CODES = {"deployable": 0, "undeployable": 1, "indeterminate": 3}
WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND


class Watch:
    """An audit hook that notes what is opened, started or connected while an image is judged."""

    def __init__(self) -> None:
        self.allowed: set[str] | None = None
        """What may be opened; None while nobody looks."""
        self.seen: list[str] = []
        sys.addaudithook(self._hook)

    def _hook(self, event: str, arguments: tuple[Any, ...]) -> None:
        if self.allowed is None:
            return
        if event == "open":
            path, _mode, flags = arguments
            if isinstance(path, int):
                return
            name = os.fsdecode(path)
            known = name in self.allowed or name.endswith((".py", ".pyc", ".so")) or self._beside(name)
            if flags & WRITES or not known:
                self.seen.append(f"open {name} with {flags:#x}")
        elif event.split(".")[0] in ("socket", "subprocess", "tempfile", "shutil") or event in (
            "os.system", "os.exec", "os.posix_spawn", "os.fork", "os.rename", "os.remove", "os.mkdir",
            "os.chmod", "os.utime", "os.truncate", "os.link", "os.symlink", "os.setxattr",
        ):  # fmt: skip
            self.seen.append(f"{event} {arguments}")

    def _beside(self, name: str) -> bool:
        """Whether a differencing disk may look for its parent there: a disk in the image's own folder."""
        folders = {os.path.dirname(each) for each in self.allowed or ()}
        return os.path.dirname(name) in folders and name.endswith((".vhd", ".avhd", ".vhdx", ".avhdx"))


_current: Mutant | None = None
_watch: Watch | None = None
_resident = 0
"""Bytes of memory that this process had when it was prepared; what forked it may have been large."""


class _Status:
    """What the system says of the image's file, but for the length: that is the mutant's."""

    def __init__(self, status: os.stat_result, size: int) -> None:
        self._status = status
        self.st_size = size

    def __getattr__(self, name: str) -> Any:
        return getattr(self._status, name)


class _System:
    """The module `os` as the source sees it: files have the length of their mutants."""

    def __getattr__(self, name: str) -> Any:
        return getattr(os, name)

    def stat(self, path: Any) -> Any:
        return self._of(os.stat(path))

    def fstat(self, handle: int) -> Any:
        return self._of(os.fstat(handle))

    @staticmethod
    def _of(status: os.stat_result) -> Any:
        if _current is None or not os.path.samestat(status, os.stat(_current.seed.path)):
            return status
        return _Status(status, _current.size)


def _patch_source() -> None:
    """Let the one place that opens files see the mutant in place of the image's bytes."""
    read = FileSource._read

    def patched(self: Any, offset: int, length: int) -> bytes:
        if _current is None or self.path != str(_current.seed.path):
            return read(self, offset, length)
        self.budget.spend(length)
        return _current.read(offset, length)

    FileSource._read = patched  # type: ignore[method-assign]
    source.os = _System()  # type: ignore[attr-defined]


def judge(subject: Mutant, *, on_disk: bool = False) -> dict[str, Any]:
    """Judge one mutant in memory and hold the answer to the promises; `prepare` came before.

    Returns:
        Number, image, changes, verdict, times; `broken` names each promise that did not hold.
    """
    global _current  # noqa: PLW0603
    broken: list[str] = []
    result: dict[str, Any] = {
        "number": subject.number,
        "image": subject.seed.name,
        "groups": sorted(subject.groups),
        "sealed": subject.sealed,
        "forged": subject.forged,
    }
    path = str(subject.seed.image)
    assert _watch is not None
    _watch.seen.clear()
    _current = subject
    started, processor = time.perf_counter(), time.process_time()
    report = None
    try:
        _watch.allowed = {path, *map(str, subject.seed.chain)}
        report = validate(path, "generalized")
    except BaseException as error:  # whatever it is, it is a finding
        where = traceback.extract_tb(error.__traceback__)[-1]
        broken.append(f"exception {type(error).__name__} at {where.name}: {error}"[:300])
    finally:
        _watch.allowed = None
        _current = None
    result["ms"] = round((time.perf_counter() - started) * 1000, 1)
    result["cpu_ms"] = round((time.process_time() - processor) * 1000, 1)
    if report is not None:
        result["verdict"] = report.verdict.value
        result["recovered"] = [layer.kind for layer in report.layers if layer.state == "recovered"]
        last = report.layers[-1]
        result["reached"] = last.kind if last.state == "damaged" else "all"
        evidence = [item for finding in report.findings for item in finding.evidence]
        failures = {item.found for item in evidence if item.where.layer is Layer.TOOL}
        if failures:
            result["tool"] = sorted(failures)[:3]
        if report.verdict.value == "deployable" and subject.seed.never_green and not subject.forged:
            broken.append("deployable")
        if report.verdict.value == "deployable" and failures:
            broken.append("deployable with a failure of the tool")
        try:
            json.dumps(image_data(report))
        except Exception as error:
            broken.append(f"the report cannot be written: {type(error).__name__}: {error}"[:300])
    if result["ms"] > 1000 * MAX_SECONDS + 500:
        broken.append("time")
    if _watch.seen:
        broken.append(f"opened: {_watch.seen[:3]}")
    if on_disk:
        broken += _judge_file(subject, result.get("verdict"))
    result["grown"] = _most_resident() - _resident
    if result["grown"] > MAX_GROWTH:
        broken.append("memory")
    if broken:
        result["broken"] = broken
        result["words"] = subject.words
    return result


def _judge_file(subject: Mutant, verdict: str | None) -> list[str]:
    """The whole command on a real file: the same verdict, its exit code, and the file as it was."""
    from validator.cli import main

    broken = []
    room = "/dev/shm" if os.path.isdir("/dev/shm") else None
    with tempfile.TemporaryDirectory(prefix="fuzz-", dir=room) as folder:
        path = Path(folder) / subject.seed.path.name
        subject.write(path)
        for other in subject.seed.chain:
            if other != subject.seed.path:
                copy_of(other, Path(folder))
        arguments = ["check", "--profile", "generalized", str(Path(folder) / subject.seed.image.name)]
        before = _state(Path(folder), path)
        out, err = io.TextIOWrapper(io.BytesIO(), "utf-8"), io.StringIO()
        code: object = None
        old = sys.argv
        try:
            sys.argv = ["image-validator", *arguments, "--format", "json"]
            with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
                main()
        except SystemExit as ending:
            code = ending.code
        except BaseException as error:
            broken.append(f"the command: {type(error).__name__}: {error}"[:300])
        finally:
            sys.argv = old
        out.seek(0)
        try:
            said = json.loads(out.read())["images"][0]["verdict"]
        except Exception as error:
            broken.append(f"no JSON, code {code}: {type(error).__name__} {err.getvalue()[:200]}")
        else:
            if said != verdict:
                broken.append(f"{said} from the file, {verdict} from memory")
            if CODES[said] != code:
                broken.append(f"code {code} for {said}")
        if _state(Path(folder), path) != before:
            broken.append("the file changed")
    return broken


def _state(folder: Path, path: Path) -> object:
    status = path.stat()
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return sorted(os.listdir(folder)), digest, status.st_size, status.st_mtime_ns


def _most_resident() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def prepare(seeds: Iterable[Seed]) -> None:
    """Patch this process for `judge`, and load all that a verdict loads."""
    global _watch, _resident  # noqa: PLW0603
    _resident = _most_resident()
    if _watch is not None:
        return
    _watch = Watch()
    _patch_source()
    for each in seeds:
        with contextlib.suppress(Exception):  # whoever judges it will see
            validate(each.image, "generalized")


# --- a campaign ----------------------------------------------------------------------------------


def run_batch(
    seeds: list[Seed],
    numbers: list[int],
    campaign: int,
    *,
    on_disk: bool = False,
    unchanged: bool = False,
) -> Iterator[dict[str, Any]]:
    """Judge these mutants in a child process; what kills it is a result as well.

    Args:
        seeds: the images, gone over in turn.
        numbers: of the mutants.
        campaign: decides, with its number, what a mutant is.
        on_disk: also judge one in `REAL_FILE` mutants as a file, by the whole command.
        unchanged: judge the images as they are.
    """
    todo = list(numbers)
    while todo:
        reading, writing = os.pipe()
        child = os.fork()
        if not child:
            os.close(reading)
            _child(writing, seeds, todo, campaign, on_disk, unchanged)
        os.close(writing)
        done = 0
        with os.fdopen(reading, encoding="utf-8") as lines:
            for line in lines:
                yield json.loads(line)
                done += 1
        _, status = os.waitpid(child, 0)
        todo = todo[done:]
        if status and todo:
            end = f"signal {os.WTERMSIG(status)}" if os.WIFSIGNALED(status) else f"status {status >> 8}"
            lost = mutant(seeds[todo[0] % len(seeds)], todo[0], campaign)
            yield {
                "number": todo[0],
                "image": lost.seed.name,
                "broken": [f"the process ended by {end}"],
                "words": lost.words,
            }
            todo = todo[1:]


def _child(
    writing: int, seeds: list[Seed], numbers: list[int], campaign: int, on_disk: bool, unchanged: bool
) -> None:
    code = 1
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[0]) if os.path.isdir("/proc/self") else 0
        most = pages * resource.getpagesize() + MAX_ADDRESS_SPACE
        resource.setrlimit(resource.RLIMIT_AS, (most, most))
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        prepare(dict.fromkeys(seeds[number % len(seeds)] for number in numbers[:1]))
        with os.fdopen(writing, "w", encoding="utf-8") as out:
            for number in numbers:
                signal.alarm(ALARM)
                chosen = seeds[number % len(seeds)]
                subject = (
                    Mutant(number, chosen, chosen.size) if unchanged else mutant(chosen, number, campaign)
                )
                result = judge(subject, on_disk=on_disk and number % REAL_FILE == 0)
                signal.alarm(0)
                print(json.dumps(result), file=out, flush=True)
                if result["grown"] > MAX_GROWTH:
                    break  # what comes next must not be blamed for it
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code)


def campaign(options: argparse.Namespace) -> None:
    """Judge a range of mutants with several processes."""
    seeds = [seed(name) for name in NAMES]
    for each in seeds:
        _ = each.structures
    prepare(seeds)
    done = {each["number"] for each in _results(options.out)} if options.out.exists() else set()
    todo = [n for n in range(options.start, options.start + options.count) if n not in done]
    print(f"{len(todo)} mutants of {len(seeds)} images", file=sys.stderr)
    workers = []
    for worker in range(options.workers):
        child = os.fork()
        if not child:
            with options.out.open("a", encoding="utf-8") as out:
                for first in range(worker * BATCH, len(todo), options.workers * BATCH):
                    for result in run_batch(seeds, todo[first : first + BATCH], options.seed, on_disk=True):
                        out.write(json.dumps(result) + "\n")
                        out.flush()
            os._exit(0)
        workers.append(child)
    for child in workers:
        os.waitpid(child, 0)
    if options.out.exists():
        summarise(_results(options.out))


def _results(path: Path) -> Iterator[dict[str, Any]]:
    with path.open(encoding="utf-8") as lines:
        for line in lines:
            with contextlib.suppress(ValueError):  # the last line of a run that was broken off
                yield json.loads(line)


def summarise(results: Iterable[dict[str, Any]]) -> None:
    """Print the figures of a campaign."""
    verdicts: dict[str, collections.Counter[str]] = collections.defaultdict(collections.Counter)
    groups: dict[str, collections.Counter[str]] = collections.defaultdict(collections.Counter)
    reached: collections.Counter[str] = collections.Counter()
    tool: dict[str, list[int]] = collections.defaultdict(list)
    broken: dict[str, list[int]] = collections.defaultdict(list)
    count = recovered = 0
    slowest, largest, spent = (0.0, 0), (0, 0), 0.0
    for each in results:
        count += 1
        number, verdict = each["number"], each.get("verdict", "none")
        verdicts[each["image"].split("/")[0]][verdict] += 1
        for group in each.get("groups", ()):
            groups[group][verdict] += 1
        reached[each.get("reached", "none")] += 1
        recovered += bool(each.get("recovered"))
        slowest = max(slowest, (each.get("ms", 0.0), number))
        largest = max(largest, (each.get("grown", 0), number))
        spent += each.get("ms", 0.0)
        for words in each.get("tool", ()):
            tool[words].append(number)
        for words in each.get("broken", ()):
            broken[words].append(number)
    print(f"mutants    {count}")
    print(f"recovered  {recovered} with a layer made good in memory")
    print(f"slowest    {slowest[0]:.0f} ms (number {slowest[1]})")
    print(f"memory     {largest[0] / 2**20:.0f} MiB of growth (number {largest[1]})")
    print(f"mean       {spent / max(1, count):.1f} ms")
    for title, table in (("image", verdicts), ("changed", groups)):
        print(f"\n{title:16}" + "".join(f"{verdict:>15}" for verdict in (*CODES, "none")))
        for name, counts in sorted(table.items()):
            print(f"{name:16}" + "".join(f"{counts[verdict]:15}" for verdict in (*CODES, "none")))
    print("\nstopped at     ", dict(reached.most_common()))
    for title, found in (("failures of the tool", tool), ("BROKEN PROMISES", broken)):
        print(f"\n{title}: {sum(map(len, found.values()))}")
        for words, numbers in sorted(found.items(), key=lambda item: -len(item[1])):
            print(f"  {len(numbers)} x {words}: {numbers[:5]}")


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--start", type=int, default=0)
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path, default=Path("fuzz-results.jsonl"))
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--summary", type=Path, metavar="FILE", help="print the figures of a campaign")
    parser.add_argument("--show", type=int, metavar="NUMBER", help="describe one mutant and judge it")
    parser.add_argument("--write", type=Path, metavar="FILE", help="with --show: write its file")
    options = parser.parse_args()
    if options.summary:
        summarise(_results(options.summary))
    elif options.show is not None:
        show(options)
    else:
        campaign(options)


def show(options: argparse.Namespace) -> None:
    """One mutant in words, and its report."""
    subject = mutant(seed(NAMES[options.show % len(NAMES)]), options.show, options.seed)
    print(describe(subject))
    if options.write:
        subject.write(options.write)
    prepare([subject.seed])
    print(json.dumps(judge(subject, on_disk=True), indent=1))


if __name__ == "__main__":
    main()
