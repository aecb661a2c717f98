"""The disk, drawn to scale: its partitions and the space between them."""

from collections.abc import Iterator
from typing import NamedTuple

from validator.disk.partitions import Partition, PartitionTable
from validator.disk.volumes import VolumeKind
from validator.facts.layout import ESP_TYPES
from validator.facts.model import Unknown
from validator.report.html.markup import Markup, tag
from validator.report.model import ReportFacts
from validator.report.text import size

_SHARES = 200
"""Steps of a width. Each is a class, since the page's policy lets no element have a style of its own."""
_NARROW = 16
"""Of these steps: what has fewer is widened, on a small screen at least."""
_ALIGNMENT = 1 << 20
"""Bytes. Partitions begin at multiples of it; gaps of no more say nothing."""
_DATA = (VolumeKind.NTFS, VolumeKind.FAT, VolumeKind.EXFAT)

WIDTHS = "".join(f".w{share}{{flex-grow:{share}}}" for share in range(1, _SHARES + 1))
"""The classes, in CSS."""


class Part(NamedTuple):
    """A stretch of the disk."""

    offset: int
    size: int
    number: str
    """The partition's; empty for free space."""
    title: str
    details: tuple[str, ...]
    look: str
    """A class of the style sheet; all that it says is in the words as well."""


def disk_map(facts: ReportFacts) -> Markup:
    """The disk as a bar and as a table, as far as it is known."""
    table = facts.partition_table
    if isinstance(table, Unknown):
        return tag("p", f"The partitions are not known: {table.why}.", class_="unknown")
    parts = list(_parts(facts, table))
    shown = (
        tag(
            "li",
            tag("b", part.number),
            " ",
            tag("span", part.title),
            " ",
            tag("span", size(part.size), class_="size"),
            class_=f"{part.look} w{max(1, part.size * _SHARES // _length(facts, table))}",
        )
        for part in parts
    )
    narrow = any(part.size * _SHARES // _length(facts, table) < _NARROW for part in parts)
    note = "Drawn to scale; what would be too narrow to see is widened." if narrow else "Drawn to scale."
    # The table says the same, and better, to who cannot see the bar.
    bar = tag("ol", *shown, class_="map", aria_hidden="true")
    return tag("figure", bar, _legend(parts), tag("figcaption", note, class_="aside"))


def _legend(parts: list[Part]) -> Markup:
    head = tag("tr", *(tag("th", name, scope="col") for name in ("No.", "What", "Begins at", "Size")))
    rows = (
        tag(
            "tr",
            tag("td", tag("span", part.number, class_=f"key {part.look}")),
            tag("td", tag("b", part.title), " ", tag("span", ", ".join(part.details), class_="aside")),
            tag("td", size(part.offset)),
            tag("td", size(part.size)),
        )
        for part in parts
    )
    return tag("table", tag("thead", head), tag("tbody", *rows), class_="partitions")


def _parts(facts: ReportFacts, table: PartitionTable) -> Iterator[Part]:
    """What the disk consists of, from its beginning to its end."""
    end = 0
    for partition in sorted(table.partitions, key=lambda each: each.offset):
        yield from _free(end, partition.offset)
        yield _part(facts, partition)
        end = partition.offset + partition.size
    yield from _free(end, _length(facts, table))


def _free(begin: int, end: int) -> Iterator[Part]:
    if end - begin > _ALIGNMENT:
        yield Part(begin, end - begin, "", "Free", ("in no partition",), "is-free")


def _part(facts: ReportFacts, partition: Partition) -> Part:
    kind = None
    if not isinstance(facts.volumes, Unknown):
        kind = next((each.kind for each in facts.volumes if each.partition.number == partition.number), None)
    windows = not isinstance(facts.installations, Unknown) and any(
        each.partition == partition.number for each in facts.installations
    )
    type_name = partition.type_name if partition.type_name != "unknown" else f"type {partition.type}"
    if windows:
        look = "is-windows"
    elif partition.active or partition.type in ESP_TYPES:
        look = "is-boot"
    elif kind in _DATA:
        look = "is-data"
    else:
        look = "is-reserved" if kind is VolumeKind.EMPTY else "is-other"
    details = [type_name] if windows and kind is not None and type_name != kind.value else []
    if kind is not None and (windows or kind.value != type_name):
        details.append(f"holds {kind.value}")
    if partition.active:
        details.append("active")
    # What Windows Setup calls a partition is what it is.
    if partition.name and not partition.name.lower().startswith(type_name.lower()):
        details.append(f"named “{partition.name}”")
    title = "Windows" if windows else type_name[:1].upper() + type_name[1:]
    return Part(partition.offset, partition.size, str(partition.number), title, tuple(details), look)


def _length(facts: ReportFacts, table: PartitionTable) -> int:
    """Of the disk, in bytes; without a container that says it, up to the end of the last partition."""
    if isinstance(facts.container, Unknown):
        return max((each.offset + each.size for each in table.partitions), default=1)
    return max(facts.container.virtual_size, 1)
