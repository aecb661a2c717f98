"""Programs that answer from the same image, side by side: rounds in which each runs once.

The order turns from round to round, so that load and clock speed hit all; what counts is the ratio
within a round. What is slow runs in a few rounds only, what cannot run is left out with a word.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from benchmarks.process import Failed, Run, run, traced

STATE = "IMAGE_STATE_GENERALIZE_RESEAL_TO_OOBE"
IN_HEXADECIMAL = ",".join(f"{byte:02x}" for byte in STATE.encode("utf-16-le"))
"""As regedit exports text."""
KEY = r"Microsoft\Windows\CurrentVersion\Setup\State"
HIVE = "Windows/System32/config/SOFTWARE"
SLOW_ROUNDS = 3

MOUNTED = rf"""
work=$(mktemp -d)
mkdir "$work/disk" "$work/volume"
trap 'umount "$work/volume"; umount "$work/disk"; rmdir "$work/disk" "$work/volume" "$work"' EXIT
vhdimount "$1" "$work/disk" >/dev/null || exit
disk=$(echo "$work"/disk/*)
start=$(partx --raw --noheadings --output START "$disk" | tail -1)
where=ro,loop,offset=$((start * 512))
mount -t ntfs3 -o "$where" "$disk" "$work/volume" 2>/dev/null ||
    mount -t ntfs-3g -o "$where" "$disk" "$work/volume" || exit
hivexget "$work/volume/{HIVE}" '{KEY}' ImageState
"""
"""Windows' volume is the last one. The kernel's NTFS where there is one, else ntfs-3g."""

DOWNLOADED = rf"""
hive=$(mktemp)
trap 'rm "$hive"' EXIT
guestfish --ro --add "$1" run : mount-ro /dev/sda3 / : download /{HIVE} "$hive" || exit
hivexget "$hive" '{KEY}' ImageState
"""
"""Without libguestfs' own search for Windows, which takes as long again."""

BACKEND = {"LIBGUESTFS_BACKEND": "direct"}
EMULATED = {**BACKEND, "LIBGUESTFS_BACKEND_SETTINGS": "force_tcg"}


@dataclass(frozen=True)
class Program:
    """A command that answers from an image, and what its output must have."""

    name: str
    arguments: tuple[str, ...]
    """The first is the program; ``{image}`` stands for the image."""
    answer: str = STATE
    needs: tuple[str, ...] = ()
    """More programs."""
    root: bool = False
    appliance: bool = False
    """Whether it starts libguestfs' virtual machine: seconds to minutes."""
    settings: Mapping[str, str] = field(default_factory=dict)

    def command(self, image: str) -> list[str]:
        """What to run.

        Raises:
            Failed: where it cannot run here.
        """
        missing = [name for name in (self.arguments[0], *self.needs) if found(name) is None]
        if missing:
            raise Failed(f"{', '.join(missing)} not installed")
        if self.root and os.geteuid() != 0:
            raise Failed("needs root")
        program, *rest = self.arguments
        return [found(program) or program, *(each.replace("{image}", image) for each in rest)]


def found(program: str) -> str | None:
    """Where a program is: beside this Python, in the path, among the administrator's."""
    folders = (os.path.dirname(sys.executable), os.environ.get("PATH", ""), "/usr/sbin", "/sbin")
    return shutil.which(program, path=os.pathsep.join(folders))


OURS = (sys.executable, "-c", "from validator.__main__ import main; main()")
"""What the script does that pip installs; but of this copy, whatever is installed."""


def ours(profile: str, *arguments: str) -> Program:
    """`image-validator check` under a profile."""
    return Program(
        f"image-validator, {profile}",
        (*OURS, "check", "{image}", "--profile", profile, *arguments, "--format", "json"),
        '"verdict": "deployable"',
    )


GENERALIZED = ours("generalized")
AZURE = ours("azure-generalized", "--will-convert")
TARGET_REG = Program("target-reg", ("target-reg", "{image}", "-k", rf"HKLM\SOFTWARE\{KEY}"))
"""What we are compared with: the same libraries, as they are usually used."""
PROGRAMS = (
    GENERALIZED,
    AZURE,
    TARGET_REG,
    Program(
        "vhdimount, NTFS mount, hivexget",
        ("sh", "-c", MOUNTED, "sh", "{image}"),
        needs=("vhdimount", "partx", "mount.ntfs-3g", "hivexget"),
        root=True,
    ),
    Program(
        "guestfish, hivexget",
        ("sh", "-c", DOWNLOADED, "sh", "{image}"),
        needs=("guestfish", "hivexget"),
        appliance=True,
    ),
    Program(
        "virt-win-reg", ("virt-win-reg", "{image}", rf"HKLM\SOFTWARE\{KEY}"), IN_HEXADECIMAL, appliance=True
    ),
)


def measure(image: str, rounds: int) -> dict[str, Any]:
    """All programs on one image: times in seconds, memory and reading in bytes, or why not."""
    programs, skipped = _that_run(image)
    runs: dict[str, list[Run | None]] = {program.name: [] for program in programs}
    for number in range(rounds):
        for program in _turned(programs, number):
            slow = program.appliance and number >= SLOW_ROUNDS
            runs[program.name].append(None if slow else _run(program, image))
    return {
        "rounds": rounds,
        "emulated": any(program.settings == EMULATED for program in programs),
        "programs": [
            _summary(program, image, runs[program.name], runs.get(TARGET_REG.name)) for program in programs
        ],
        "skipped": skipped,
    }


def _that_run(image: str) -> tuple[list[Program], dict[str, str]]:
    """Each program runs once, to warm up; one that fails is no peer on this machine."""
    programs, skipped = [], {}
    for program in PROGRAMS:
        try:
            program = _with_appliance(program)
            _run(program, image)
        except Failed as failure:
            if program in (GENERALIZED, AZURE):
                raise
            skipped[program.name] = str(failure)
        else:
            programs.append(program)
        _tell(program.name, skipped.get(program.name, "runs"))
    return programs, skipped


def _with_appliance(program: Program) -> Program:
    """The program with the settings under which libguestfs starts here: KVM is tried first."""
    guestfish = found("guestfish")
    if not program.appliance or guestfish is None:
        return program
    try:
        run([guestfish, "--ro", "--add", "/dev/null", "run"], "", BACKEND)
    except Failed:
        return replace(program, settings=EMULATED)
    return replace(program, settings=BACKEND)


def _turned(programs: list[Program], number: int) -> Iterator[Program]:
    for index in range(len(programs)):
        yield programs[(index + number) % len(programs)]


def _run(program: Program, image: str) -> Run:
    return run(program.command(image), program.answer, program.settings)


def _summary(
    program: Program, image: str, runs: list[Run | None], reference: list[Run | None] | None
) -> dict[str, Any]:
    ran = [each for each in runs if each is not None]
    ratios = [mine.seconds / other.seconds for mine, other in zip(runs, reference or ()) if mine and other]
    summary: dict[str, Any] = {
        "name": program.name,
        "seconds": [round(each.seconds, 4) for each in ran],
        "cpu": [round(each.cpu, 4) for each in ran],
        "memory": max(each.memory for each in ran),
        "ratios": [round(each, 4) for each in ratios],
    }
    if strace := found("strace"):
        summary["traced"] = traced(strace, program.command(image), image, program.settings)
    if program in (GENERALIZED, AZURE):
        summary["counted"] = counted(ran[-1].output)
    _tell(program.name, f"{min(summary['seconds']):.3f} s at best")
    return summary


def counted(report: str) -> tuple[int, int]:
    """What a JSON report says was read: calls and bytes."""
    io = json.loads(report)["images"][0]["facts"]["io"]
    return io["reads"], io["bytes_read"]


def _tell(name: str, what: str) -> None:
    print(f"  {name}: {what}", file=sys.stderr, flush=True)
