"""Real boot stores on the EFI system partition of an otherwise good image: nothing is said that is not so."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.command import Command
from tests.images import Disk, Esp, FixedVhd, Hive, Msr, Ntfs, generalized, installed
from tests.images.boot import esp_files

Image = Callable[..., Path]
Truth = dict[str, tuple[str, str]]

NO_AZURE_SETTINGS = {"bcd-recovery": ("notice", "Nobody set what Azure asks for: true of every stock store.")}
STORES: dict[str, Truth] = {
    "BCD_efi_locate": {**NO_AZURE_SETTINGS},
    "BCD_efi_regipy.xz": {
        **NO_AZURE_SETTINGS,
        "bcd-devices": ("warning", "It names the partitions of the disk that it was taken from."),
    },
    "BCD_install_media.xz": {
        **NO_AZURE_SETTINGS,
        "bcd-devices": ("warning", "It starts the RAM disk of installation media, not a Windows on a disk."),
        "bcd-safeboot": ("warning", "What it starts is Windows PE."),
        "bcd-default": ("warning", "Its default entry is Windows Setup."),
    },
}
"""What is true of each of them on a disk that is not its own, with the reason. None of it is an error."""


@pytest.mark.parametrize("profile", ["azure-generalized", "azure-specialized"])
@pytest.mark.parametrize("name", STORES)
def test_only_what_is_true_of_it_is_said(
    name: str, profile: str, command: Command, image: Image, corpus: object
) -> None:
    """All of it, and nothing else."""
    store: bytes = corpus[f"hives/bcd/{name}"]  # type: ignore[index]
    files: dict[str, bytes | Hive] = {**esp_files(), r"EFI\Microsoft\Boot\BCD": store}
    windows = generalized() if profile == "azure-generalized" else installed()
    judged = command.judge(image(Disk((Esp(files), Msr(), Ntfs(windows))), FixedVhd()), "--profile", profile)
    about = [each for each in judged["findings"] if each["check"].startswith("bcd-")]
    said = {each["check"]: each["severity"] for each in about if each["status"] == "failed"}
    assert said == {check: severity for check, (severity, _) in STORES[name].items()}
    assert {each["status"] for each in about} <= {"passed", "failed"}
    errors = [each for each in judged["findings"] if each["severity"] == "error"]
    assert {each["status"] for each in errors} <= {"passed", "not applicable"}
    assert judged.answer == ("deployable", 0)
