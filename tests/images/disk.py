"""A disk, described: volumes behind a partition table."""

from __future__ import annotations

import os
import tempfile
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.images.cache import data_pieces
from tests.images.partitions import LOGICAL_GAP, PRIMARY, Partition, gpt, mbr
from tests.images.volumes import MiB, Volume

_NAMESPACE = uuid.UUID("5d4e2f6a-1b7c-4f0e-9a56-0c1d2e3f4a5b")


@dataclass(frozen=True)
class Disk:
    """Volumes in the order in which they lie, each at a whole MiB.

    More than four in an MBR: the fourth and all behind it are logical partitions.

    ``scheme`` is "gpt", "mbr" or None: without a partition table the only volume starts at byte 0.
    ``size`` is the size of the disk where the volumes do not decide.
    """

    volumes: tuple[Volume, ...]
    scheme: str | None = "gpt"
    sector_size: int = 512
    size: int | None = None
    guid: str = "8d2c9be4-6c1f-4d3a-b1a5-20348a7e0001"
    signature: int = 0x20348A7E

    def write(self, raw: Path) -> None:
        """Write the disk as the guest sees it into a sparse file."""
        with tempfile.TemporaryDirectory(prefix="disk-") as scratch, raw.open("w+b") as disk:
            partitions = []
            start = MiB if self.scheme else 0
            for index, volume in enumerate(self.volumes):
                start += self._gap_before(index)
                file = Path(scratch) / f"volume{index}"
                volume.write(file, self.sector_size, start)
                size = file.stat().st_size
                _copy_data(file, disk.fileno(), start)
                partitions.append(self._partition(index, volume, start, size))
                start = -(-(start + size) // MiB) * MiB
            disk.truncate(self.size or start + (MiB if self.scheme == "gpt" else 0))
            for offset, table in self._table(partitions, os.fstat(disk.fileno()).st_size):
                os.pwrite(disk.fileno(), table, offset)

    def partition_guid(self, index: int) -> str:
        """The unique GUID of a GPT partition."""
        return str(uuid.uuid5(_NAMESPACE, f"partition {index}"))

    def _gap_before(self, index: int) -> int:
        """Room for the record before each logical partition."""
        is_logical = len(self.volumes) > PRIMARY and index >= PRIMARY - 1
        return LOGICAL_GAP if self.scheme == "mbr" and is_logical else 0

    def _partition(self, index: int, volume: Volume, start: int, size: int) -> Partition:
        return Partition(
            start=start // self.sector_size,
            count=size // self.sector_size,
            gpt_type=volume.gpt_type,
            mbr_type=volume.mbr_type,
            guid=self.partition_guid(index),
            name=volume.name,
            active=volume.active,
        )

    def _table(self, partitions: list[Partition], size: int) -> Iterator[tuple[int, bytes]]:
        if self.scheme == "gpt":
            sectors = size // self.sector_size
            yield from gpt(partitions, self.guid, sectors, self.sector_size).items()
        elif self.scheme == "mbr":
            yield from mbr(partitions, self.signature, self.sector_size).items()
        elif self.scheme is not None or len(partitions) != 1:
            raise ValueError("a disk has a GPT, an MBR, or one volume and no table")


def _copy_data(source: Path, target: int, offset: int) -> None:
    for at, piece in data_pieces(source):
        if any(piece):
            os.pwrite(target, piece, offset + at)
