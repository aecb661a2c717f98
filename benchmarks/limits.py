"""The limits that the figures are held to."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from statistics import median
from typing import Any, NamedTuple

from benchmarks.peers import AZURE, GENERALIZED, TARGET_REG

MiB = 1 << 20

MAX_RATIO, MAX_AZURE_RATIO = 0.10, 0.18
"""Of our time to target-reg's, by the median of the rounds."""
AIM = 0.06
"""What is behind the first."""
MAX_BYTES, MAX_AZURE_BYTES = MiB, 16 * MiB
MAX_MEMORY = 100 * MiB
REMOTE = {GENERALIZED.name: (40, 2 * MiB), AZURE.name: (250, 20 * MiB)}
"""Requests and bytes that a disk of 127 GiB at an address may cost."""
MAX_SECONDS_AWAY = 2.0
"""Python's start included."""
MIN_PER_SECOND, AIM_PER_SECOND = 50, 100


class Limit(NamedTuple):
    """One limit, and whether it holds; None where it was not measured."""

    what: str
    limit: str
    found: str
    held: bool | None


def limits(results: dict[str, Any]) -> list[Limit]:
    """All limits, held against the results of a run."""
    side_by_side, warm = results.get("peers", {}), results.get("warm", {})
    programs = {each["name"]: each for each in side_by_side.get("programs", ())}
    return [
        *_program(programs, GENERALIZED.name, MAX_RATIO, MAX_BYTES, f"; the aim is {AIM}"),
        *_program(programs, AZURE.name, MAX_AZURE_RATIO, MAX_AZURE_BYTES, ""),
        _count([programs[name] for name in (GENERALIZED.name, AZURE.name) if name in programs]),
        _memory_of_all(results.get("curves", {})),
        _throughput(warm.get("generalized")),
        *_remote({each["name"]: each for each in results.get("remote", {}).get("programs", ())}),
    ]


def _program(programs: dict[str, Any], name: str, ratio: float, size: int, aim: str) -> list[Limit]:
    kinds = (
        (f"{name}: time by {TARGET_REG.name}'s", f"at most {ratio:.2f}{aim}"),
        (f"{name}: reading", f"below {size // MiB} MiB"),
        (f"{name}: peak memory", f"below {MAX_MEMORY // MiB} MiB"),
    )
    if name not in programs:
        return [Limit(*kind, "not measured", None) for kind in kinds]
    program = programs[name]
    time, reading, memory = kinds
    reads, read = program["counted"]
    ratios = program["ratios"]
    return [
        Limit(*time, f"{median(ratios):.3f}", median(ratios) <= ratio)
        if ratios
        else Limit(*time, f"{TARGET_REG.name} did not run", None),
        Limit(*reading, f"{read:,} bytes in {reads} reads", read < size),
        Limit(*memory, f"{program['memory'] / MiB:.1f} MiB", program["memory"] < MAX_MEMORY),
    ]


def _remote(programs: dict[str, Any]) -> Iterator[Limit]:
    for name, (requests, size) in REMOTE.items():
        kind = f"{name}, page blob of 127 GiB", f"below {requests} requests and {size // MiB} MiB"
        if name not in programs:
            yield Limit(*kind, "not measured", None)
        else:
            asked, read = programs[name]["requests"], programs[name]["bytes_read"]
            yield Limit(*kind, f"{asked} and {read / MiB:.2f} MiB", asked < requests and read < size)
    kind = f"{GENERALIZED.name}, 30 ms away: time of a whole process", f"below {MAX_SECONDS_AWAY:g} s"
    if GENERALIZED.name not in programs:
        yield Limit(*kind, "not measured", None)
    else:
        seconds = median(programs[GENERALIZED.name]["seconds"])
        yield Limit(*kind, f"{seconds:.2f} s", seconds < MAX_SECONDS_AWAY)


def _count(programs: Sequence[dict[str, Any]]) -> Limit:
    kind = "both: reads and bytes in the report", "what strace sees"
    if not programs or any("traced" not in program for program in programs):
        return Limit(*kind, "not measured", None)
    differences = [
        f"{program['counted']} and {program['traced']}"
        for program in programs
        if list(program["counted"]) != list(program["traced"])
    ]
    return Limit(*kind, "; ".join(differences) or "the same", not differences)


def _memory_of_all(curves: dict[str, Any]) -> Limit:
    kind = "generalized, every image of the curves: peak memory", f"below {MAX_MEMORY // MiB} MiB"
    points = [point for curve in curves.values() for point in curve]
    if not points:
        return Limit(*kind, "not measured", None)
    most = max(point["memory"] for point in points)
    return Limit(*kind, f"{most / MiB:.1f} MiB at most", most < MAX_MEMORY)


def _throughput(warm: dict[str, Any] | None) -> Limit:
    kind = (
        "generalized, in one process: images per second of one core",
        f"at least {MIN_PER_SECOND}; the aim is {AIM_PER_SECOND}",
    )
    if warm is None:
        return Limit(*kind, "not measured", None)
    return Limit(*kind, f"{warm['per_second']:.0f}", warm["per_second"] >= MIN_PER_SECOND)
