"""What the hostile-input tests share: a small image, rows of damage, and what must come of them.

A row says what is done to a copy of a real image and what the evidence has to name. The promise
behind every row is the same: bytes that cannot be trusted never end as `deployable`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

import pytest

from tests.images import Disk as DiskDescription
from tests.images import Ntfs, Windows, copy_of, damage, generalized
from validator.checks.model import Severity, Status
from validator.disk.container import BlockDisk, Disk
from validator.disk.formats import open_disk
from validator.disk.vhd import open_vhd
from validator.disk.vhdx import open_vhdx
from validator.evidence import Effect, Evidence, Layer, Unreadable
from validator.judging import ExitCode, Verdict, exit_code
from validator.report.model import LayerState, Report
from validator.source import Budget, ByteSource, Files, FileSource, beyond_end
from validator.validation import validate

MiB = 1 << 20

Damage = Callable[[Path], object]
"""Something that changes an image file in place."""


class Outcome(Enum):
    """What must come of a damaged image."""

    REFUSED = "indeterminate, and the evidence says why"
    HARMLESS = "deployable: nothing that a verdict rests on was touched"
    UNDEPLOYABLE = "undeployable: what was read is good and says so"
    NOT_GREEN = "anything but deployable: the format leaves open whether it is damage or absence"


class Mend(Enum):
    """What makes some damage good in memory."""

    VHD_FOOTER = "the other footer of a dynamic VHD"
    VHDX_COPY = "the other header or region table of a VHDX"
    VHDX_LOG = "the log of a VHDX"
    GPT_COPY = "the backup GPT"
    MFT_MIRROR = "$MFTMirr"


MENDED: frozenset[Mend] = frozenset(
    {Mend.VHD_FOOTER, Mend.VHDX_COPY, Mend.VHDX_LOG, Mend.GPT_COPY, Mend.MFT_MIRROR}
)
"""What is implemented. A row whose damage is mended by anything else must be refused."""

MENDED_CONTAINERS = {Mend.VHD_FOOTER, Mend.VHDX_COPY, Mend.VHDX_LOG}
"""Mends after which the disk must be what it was, byte for byte."""


@dataclass(frozen=True)
class Row:
    """One kind of damage.

    `expected` and `found` are regular expressions that the evidence of one undecided error must
    satisfy, in `layer` if the row names one; `offset` is where that evidence must point, negative from
    the end of the file after it was damaged; None where a path says more. `mend` names what recovers
    it, as soon as that is implemented.
    """

    name: str
    damage: Damage
    layer: Layer | None = Layer.CONTAINER
    expected: str = ""
    found: str = ""
    offset: int | None = None
    outcome: Outcome = Outcome.REFUSED
    mend: Mend | None = None


def harmless(name: str, change: Damage) -> Row:
    """A row whose image stays deployable."""
    return Row(name, change, outcome=Outcome.HARMLESS)


def rows(*table: Row) -> pytest.MarkDecorator:
    """Parametrise a test over rows; their names are its ids."""
    names = [row.name for row in table]
    assert len(set(names)) == len(names), sorted(name for name in names if names.count(name) > 1)
    return pytest.mark.parametrize("row", table, ids=names)


def expect(
    row: Row, image: Path, directory: Path, name: str | None = None, twin: Path | None = None
) -> Report:
    """Damage a copy of `image` as the row says and judge it; the one place that knows outcomes.

    `twin` is an undeployable image of the same layout, for damage that is mended: the answer must
    come from the image and not from the mending.
    """
    target = damaged_copy(row, image, directory, name)
    offset = row.offset
    if offset is not None and offset < 0:
        offset += target.stat().st_size
    if row.mend in MENDED:
        if row.mend in MENDED_CONTAINERS:
            expect_the_same_disk(target, image, offset)
        if twin is not None:
            bad = validate(damaged_copy(row, twin, directory, "twin" + target.suffix), "generalized")
            assert bad.verdict is Verdict.UNDEPLOYABLE, bad.summary
            assert mended_layers(bad)
        report = expect_deployable(target)
        assert any(offset is None or f"{offset:#x}" in layer.detail for layer in mended_layers(report))
        return report
    if row.outcome is Outcome.HARMLESS:
        return expect_deployable(target)
    if row.outcome is not Outcome.REFUSED:
        report = validate(target, "generalized")
        wanted = {Verdict.UNDEPLOYABLE}
        if row.outcome is Outcome.NOT_GREEN:
            wanted.add(Verdict.INDETERMINATE)
        assert report.verdict in wanted, report.summary
        return report
    return expect_refused(target, row.layer, row.expected, row.found, offset)


def damaged_copy(row: Row, image: Path, directory: Path, name: str | None) -> Path:
    """A copy of an image, damaged as the row says."""
    target = copy_of(image, directory, name)
    row.damage(target)
    return target


def mended_layers(report: Report) -> list[LayerState]:
    """The layers that were recovered."""
    return [layer for layer in report.layers if layer.state == "recovered"]


def expect_the_same_disk(damaged: Path, healthy: Path, offset: int | None = None) -> None:
    """Mending gives every byte of the disk as it was, and says where it mended."""
    with open_source(damaged) as one, open_source(healthy) as other:
        mended, whole = own_map(one), own_map(other)
        assert not whole.recovered
        assert {evidence.effect for evidence in mended.recovered} == {Effect.RECOVERED}
        assert offset is None or offset in {evidence.where.offset for evidence in mended.recovered}
        assert mended.size == whole.size
        for at in range(0, whole.size, MiB):
            length = min(MiB, whole.size - at)
            assert mended.read_at(at, length) == whole.read_at(at, length), f"the disk differs behind {at}"


def expect_deployable(image: Path) -> Report:
    """The whole command says yes."""
    report = validate(image, "generalized")
    assert report.verdict is Verdict.DEPLOYABLE, report.summary
    assert exit_code([report.judgement]) is ExitCode.DEPLOYABLE
    return report


def expect_refused(
    image: Path, layer: Layer | None, expected: str = "", found: str = "", offset: int | None = None
) -> Report:
    """The whole command ends in exit code 3, soon, and its evidence names what was wrong and where."""
    report = validate(image, "generalized")
    assert report.verdict is Verdict.INDETERMINATE, f"{report.verdict.value}: {report.summary}"
    assert exit_code([report.judgement]) is ExitCode.INDETERMINATE
    assert report.duration_ms < 10_000
    reasons = list(undecided(report))
    assert any(_says(reason, layer, expected, found, offset) for reason in reasons), "\n".join(
        [f"no evidence in {layer} at {offset} with {expected!r}, {found!r} but:", *map(str, reasons)]
    )
    assert any(str(reason) in report.summary for reason in reasons)
    return report


def undecided(report: Report) -> Iterator[Evidence]:
    """The evidence of every check of error severity that could not be answered."""
    for finding in report.findings:
        if finding.status is Status.UNKNOWN and finding.severity is Severity.ERROR:
            yield from finding.evidence


def _says(evidence: Evidence, layer: Layer | None, expected: str, found: str, offset: int | None) -> bool:
    return (
        layer in (None, evidence.where.layer)
        and evidence.where.layer is not Layer.TOOL
        and bool(evidence.expected and evidence.found)
        and re.search(expected, evidence.expected) is not None
        and re.search(found, evidence.found) is not None
        and (offset is None or evidence.where.offset == offset)
    )


def refuses(call: Callable[[], object], layer: Layer | None = None) -> Evidence:
    """The evidence with which a reader refuses; anything but `Unreadable` fails the test."""
    with pytest.raises(Unreadable) as caught:
        call()
    assert layer in (None, caught.value.evidence.where.layer)
    return caught.value.evidence


# --- damage in words -----------------------------------------------------------------------------


def flip(offset: int, mask: int = 0x01) -> Damage:
    """Flip bits of one byte, which is never the same as before."""
    return lambda path: damage.flip(path, offset, mask)


def put(offset: int, data: bytes) -> Damage:
    """Write `data`, which must differ from what was there."""

    def change(path: Path) -> None:
        assert damage.read(path, offset, len(data)) != data, "this changes nothing"
        damage.overwrite(path, offset, data)

    return change


def every(*changes: Damage) -> Damage:
    """One change after the other."""

    def change(path: Path) -> None:
        for each in changes:
            each(path)

    return change


def cut(size: int) -> Damage:
    """Cut the file to `size` bytes; a negative size cuts so many off."""
    return lambda path: damage.truncate(path, size)


def append(data: bytes) -> Damage:
    """Add bytes behind the end."""

    def change(path: Path) -> None:
        with path.open("ab") as file:
            file.write(data)

    return change


# --- images and sources --------------------------------------------------------------------------


def small_disk(windows: Windows | None = None, size: int | None = None) -> DiskDescription:
    """One active NTFS volume in an MBR: the smallest disk that is deployable."""
    return DiskDescription((Ntfs(windows or generalized(), active=True),), "mbr", size=size)


@contextmanager
def open_image(path: Path) -> Iterator[Disk]:
    """The virtual disk in an image file, as the facts open it, with time to spare."""
    with Files(Budget(seconds=600, max_bytes=1 << 40)) as files:
        yield open_disk(files.open(str(path)), files)


@contextmanager
def open_source(path: Path) -> Iterator[FileSource]:
    """A file as the readers get it, with time to spare."""
    with closing(FileSource(path, Budget(seconds=600, max_bytes=1 << 40))) as source:
        yield source


def own_map(source: ByteSource) -> BlockDisk:
    """Our block map without its witness."""
    return (open_vhdx if source.read_at(0, 8) == b"vhdxfile" else open_vhd)(source)


@dataclass(frozen=True)
class Bytes:
    """Bytes in memory as a `ByteSource`; with path and partition they pass for a file of NTFS."""

    data: bytes
    path: str = r"\Windows\System32\config\SOFTWARE"
    partition: int = 1

    @property
    def size(self) -> int:
        """Length in bytes."""
        return len(self.data)

    def read_at(self, offset: int, length: int) -> bytes:
        """See `ByteSource`."""
        if offset < 0 or length < 0 or offset + length > self.size:
            raise beyond_end(Layer.FILE, offset, length, self.size)
        return self.data[offset : offset + length]


def content(source: ByteSource) -> bytes:
    """All of a source."""
    return source.read_at(0, source.size)


def need(tool: str) -> str:
    """Where a program lies, or skip the test with a clear word."""
    from tests.images import MissingTool
    from tests.images.tools import find

    try:
        return find(tool)
    except MissingTool as missing:
        pytest.skip(str(missing))
