"""One mutant of an image, decided by two numbers alone: the campaign's seed and its own.

A mutant is the image file with some spans replaced and perhaps another length. It is never written
to a disk unless somebody asks for it.
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from fuzz.seeds import PAGE, SECTOR, Seed, Span, Structure, spans
from tests.images import GENERALIZED_OOBE

MIB = 1 << 20
NUMBERS = (0, 1, 2, 7, 8, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 2**20, 2**24, 2**31 - 1, 2**31, 2**32 - 1,
           2**32, 2**40, 2**63 - 1, 2**63, 2**64 - 1)  # fmt: skip
"""What programs stumble over."""
CONTAINER_GROUPS = frozenset({"identifier", "header", "region table", "metadata", "BAT", "log", "bitmap",
                              "footer", "dynamic header"})  # fmt: skip
GOOD_STATE = GENERALIZED_OOBE.encode("utf-16-le")
WHOLE_FILE = 0.08
"""Share of mutants whose file is cut, extended, or has pages or blocks lost or exchanged."""


@dataclass
class Mutant:
    """An image file after some changes."""

    number: int
    seed: Seed
    size: int
    patches: list[tuple[int, bytes]] = field(default_factory=list)
    """Later ones lie over earlier ones."""
    words: list[str] = field(default_factory=list)
    groups: set[str] = field(default_factory=set)
    sealed: bool = False
    forged: bool = False
    """This is another image, not a damaged one.

    A structure that decides was changed and sealed, or data of the other state was put in the place of
    data, which nothing in these formats protects.
    """

    def read(self, offset: int, length: int) -> bytes:
        """Bytes of the mutated file; none behind its end."""
        length = max(0, min(length, self.size - offset))
        data = bytearray(os.pread(_handle(self.seed.path), length, offset).ljust(length, b"\0"))
        for at, patch in self.patches:
            first, last = max(at, offset), min(at + len(patch), offset + length)
            if first < last:
                data[first - offset : last - offset] = patch[first - at : last - at]
        return bytes(data)

    def put(self, offset: int, data: bytes) -> None:
        """Replace a span."""
        self.patches.append((offset, data))

    def write(self, path: Path) -> None:
        """Write the mutated file."""
        with path.open("wb") as file:
            for offset in range(0, self.size, MIB):
                piece = self.read(offset, MIB)
                if any(piece):
                    file.seek(offset)
                    file.write(piece)
            file.truncate(self.size)

    @property
    def changed(self) -> bool:
        """Whether it differs from the image at all."""
        handle = _handle(self.seed.path)
        return self.size != self.seed.size or any(
            self.read(at, len(data)) != os.pread(handle, len(data), at) for at, data in self.patches
        )


_handles: dict[Path, int] = {}


def _handle(path: Path) -> int:
    if path not in _handles:
        _handles[path] = os.open(path, os.O_RDONLY)
    return _handles[path]


def mutant(seed: Seed, number: int, campaign: int) -> Mutant:
    """The mutant of this number."""
    chance = random.Random(f"{campaign}:{number}")
    for _ in range(20):  # some changes change nothing
        result = Mutant(number, seed, seed.size)
        for _ in range(1 if chance.random() < 0.7 else chance.randint(2, 4)):
            if chance.random() < WHOLE_FILE:
                _change_file(result, chance)
            else:
                _change_structure(result, chance)
        if result.changed:
            break
    return result


# --- structures ----------------------------------------------------------------------------------


def _pick(seed: Seed, chance: random.Random) -> Structure:
    """A structure: each group has the same chance, then each structure in it."""
    groups = seed.structures
    return chance.choice(groups[chance.choice(sorted(groups))])


def _change_structure(mutant: Mutant, chance: random.Random) -> None:
    structure = _pick(mutant.seed, chance)
    everything = mutant.seed.structures[structure.group]
    targets = [structure]
    twin = next((each for each in everything if each.name == structure.twin), None)
    if twin is not None and chance.random() < 0.5:
        targets.append(twin)
    kind, operation = chance.choice(OPERATIONS)
    opened = structure.opened is bytes or chance.random() < 0.7
    seal = structure.sealed is not None and chance.random() < 0.5
    again = chance.random()
    for target in targets:
        # The same change to both copies: a copy must not always make good what was done.
        own = random.Random(again)
        stored = b"".join(mutant.read(at, length) for at, length in target.pieces)
        plain = bytearray(target.opened(stored) if opened else stored)
        if len(plain) < target.size:  # the file was cut before
            continue
        if kind == "exchange":
            _exchange(mutant, target, _rival(target, everything, chance))
            continue
        operation(plain, target, own)
        data = bytes(plain)
        if target.sealed is not None and (seal or (opened and target.opened is not bytes)):
            data = target.sealed(data)
        _put(mutant, target.pieces, data)
    mutant.sealed |= seal
    mutant.forged |= seal and structure.decides
    mutant.groups.add(structure.group)
    names = " and ".join(target.name for target in targets)
    mutant.words.append(f"{kind} in {names}{', sealed' if seal else ''}")


def _put(mutant: Mutant, pieces: Sequence[Span], data: bytes) -> None:
    at = 0
    for offset, length in pieces:
        mutant.put(offset, data[at : at + length])
        at += length


def _exchange(mutant: Mutant, one: Structure, other: Structure) -> None:
    """Two structures of a kind change places, as after a misdirected write."""
    size = min(one.size, other.size)
    first, second = (b"".join(mutant.read(*span) for span in each.pieces)[:size] for each in (one, other))
    mutant.forged |= one.group == "page" and GOOD_STATE in first + second
    _put(mutant, one.pieces, second + b"".join(mutant.read(*span) for span in one.pieces)[size:])
    _put(mutant, other.pieces, first + b"".join(mutant.read(*span) for span in other.pieces)[size:])
    mutant.words.append(f"{one.name} with {other.name}")


def _rival(one: Structure, everything: list[Structure], chance: random.Random) -> Structure:
    """Another structure of the group, often a namesake: RegBack has files of the same names."""
    own = one.name.lower().rpartition("\\")[2]
    namesakes = [each for each in everything if each.name.lower().rpartition("\\")[2] == own]
    return chance.choice(namesakes if len(namesakes) > 1 and chance.random() < 0.5 else everything)


def _place(plain: bytearray, structure: Structure, chance: random.Random) -> int:
    """A byte of the structure, mostly one that means something."""
    if structure.hot and chance.random() < 0.9:
        start, length = chance.choice(structure.hot)
        return min(start + chance.randrange(length), len(plain) - 1)
    return chance.randrange(len(plain))


def _flip(plain: bytearray, structure: Structure, chance: random.Random) -> None:
    plain[_place(plain, structure, chance)] ^= 1 << chance.randrange(8)


def _bytes(plain: bytearray, structure: Structure, chance: random.Random) -> None:
    at = _place(plain, structure, chance)
    count = min(chance.choice((1, 1, 2, 4, 8, 16)), len(plain) - at)
    plain[at : at + count] = chance.randbytes(count)


def _number(plain: bytearray, structure: Structure, chance: random.Random) -> None:
    """An aligned field gets another number: one of those that hurt, a neighbour, or another field's."""
    width = chance.choice((1, 2, 4, 4, 8, 8))
    if len(plain) < width:
        return
    at = min(_place(plain, structure, chance) // width * width, len(plain) - width)
    order = chance.choice(("little", "big"))
    old = int.from_bytes(plain[at : at + width], order)  # type: ignore[arg-type]
    other = min(_place(plain, structure, chance) // width * width, len(plain) - width)
    new = chance.choice(
        (
            chance.choice(NUMBERS),
            old + chance.choice((-4096, -512, -8, -1, 1, 8, 512, 4096)),
            old ^ 1 << chance.randrange(8 * width),
            old * 2,
            old // 2,
            -old,
            int.from_bytes(plain[other : other + width], order),  # type: ignore[arg-type]
        )
    )
    plain[at : at + width] = (new & (1 << 8 * width) - 1).to_bytes(width, order)  # type: ignore[arg-type]


def _range(plain: bytearray, structure: Structure, chance: random.Random) -> None:
    at = _place(plain, structure, chance)
    count = min(chance.choice((2, 4, 8, 32, 128, 512, len(plain))), len(plain) - at)
    plain[at : at + count] = bytes([chance.choice((0, 0, 0xFF))]) * count


def _copy(plain: bytearray, structure: Structure, chance: random.Random) -> None:
    start, end = _place(plain, structure, chance), _place(plain, structure, chance)
    count = min(chance.choice((2, 4, 8, 16, 32, 128)), len(plain) - max(start, end))
    plain[end : end + count] = plain[start : start + count]


def _swap(plain: bytearray, structure: Structure, chance: random.Random) -> None:
    width = chance.choice((2, 4, 8, 16, 32, 128))
    one, other = (_place(plain, structure, chance) // width * width for _ in range(2))
    if max(one, other) + width <= len(plain):
        plain[one : one + width], plain[other : other + width] = (
            plain[other : other + width],
            plain[one : one + width],
        )


Operation = Callable[[bytearray, Structure, random.Random], None]
OPERATIONS: tuple[tuple[str, Operation], ...] = (
    ("flip", _flip),
    ("flip", _flip),
    ("bytes", _bytes),
    ("number", _number),
    ("number", _number),
    ("number", _number),
    ("range", _range),
    ("copy", _copy),
    ("swap", _swap),
    ("exchange", _swap),
)


# --- the whole file ------------------------------------------------------------------------------


def _change_file(mutant: Mutant, chance: random.Random) -> None:
    kind = chance.choice(("cut", "cut", "extend", "lost", "misdirected", "exchanged", "exchanged"))
    if kind == "cut":
        size = chance.choice(
            (
                chance.randrange(mutant.size + 1),
                max(0, mutant.size - chance.choice((1, 511, 512, 513, 4096, 65536, MIB))),
                _some_page(mutant, chance, SECTOR),
            )
        )
        mutant.size = min(mutant.size, size)
        mutant.words.append(f"cut to {mutant.size} bytes")
    elif kind == "extend":
        count = chance.choice((1, 511, 512, 4096, MIB))
        mutant.put(mutant.size, chance.choice((bytes(count), chance.randbytes(count))))
        mutant.size += count
        mutant.words.append(f"{count} bytes more")
    else:
        grain = chance.choice((SECTOR, PAGE, PAGE, MIB))
        one, other = (_some_page(mutant, chance, grain) for _ in range(2))
        first, second = mutant.read(one, grain), mutant.read(other, grain)
        if kind == "lost":
            mutant.put(one, bytes(len(first)))
        else:
            mutant.put(one, second[: len(first)])
            mutant.forged |= GOOD_STATE in first + second
            if kind == "exchanged":
                mutant.put(other, first[: len(second)])
        mutant.words.append(f"{grain} bytes at {one:#x} {kind}" + (f", {other:#x}" if kind != "lost" else ""))
    mutant.groups.add("file")


def _some_page(mutant: Mutant, chance: random.Random, grain: int) -> int:
    """A page of the file, mostly one that holds something that is read."""
    if chance.random() < 0.7:
        offset, length = chance.choice(list(spans([_pick(mutant.seed, chance)])) or [(0, 1)])
        return (offset + chance.randrange(max(1, length))) // grain * grain
    return chance.randrange(max(1, mutant.size)) // grain * grain


def describe(mutant: Mutant) -> str:
    """The mutant in words, with the bytes that changed."""
    lines = [f"number {mutant.number}: {mutant.seed.name}, {mutant.size} bytes", *mutant.words]
    handle = _handle(mutant.seed.path)
    for at, data in mutant.patches:
        old, new = os.pread(handle, len(data), at), mutant.read(at, len(data))
        places = [index for index in range(min(len(old), len(new))) if old[index] != new[index]]
        if places:
            first, last = places[0], places[-1] + 1
            shown = min(last, first + 32)
            lines.append(
                f"  {at + first:#x}: {old[first:shown].hex(' ')} -> {new[first:shown].hex(' ')}"
                f" ({len(places)} bytes up to {at + last:#x})"
            )
    return "\n".join(lines)
