"""What a report looks like, kept to the letter in tests/snapshots."""

from __future__ import annotations

import os

from tests.command import ROOT


def agrees(shown: str, name: str) -> None:
    """Compare with the snapshot. UPDATE_SNAPSHOTS=1 writes it anew, for a person to look at."""
    snapshot = ROOT / "tests" / "snapshots" / name
    if os.environ.get("UPDATE_SNAPSHOTS"):
        snapshot.write_text(shown, encoding="utf-8")
    assert shown == snapshot.read_text(encoding="utf-8")
