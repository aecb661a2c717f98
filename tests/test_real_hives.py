"""SYSTEM hives that Windows wrote raise no error in a good image (promise 3).

They are those of installed machines, armed like a generalized image; everything else on the disk is good.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.command import Command
from tests.conftest import Corpus
from tests.images import CHILDREN_KEY, SETUP_KEY, SYSPREP_STATUS_KEY, VERSION_KEY, FixedVhd, Windows, disk_of
from tests.images import generalized as healthy
from tests.images.presets import WINDEPLOY

Image = Callable[..., Path]
HIVES = "hives/windows"
LOGS = ("LOG1", "LOG2")


class RealHive(NamedTuple):
    """A SYSTEM hive of the corpus, and what an image has to have beside it."""

    file: str
    build: str
    logs: bool = False
    """Whether it is dirty, so that it can be read with its logs only."""
    drivers: tuple[str, ...] = ()
    """Files in `System32\\drivers` that it names and Server 2022 has not."""


REAL = {
    "Windows 7": RealHive("SYSTEM_win7.xz", "7601"),
    "Windows 10 2004": RealHive("SYSTEM_win10_2004.gz", "19041"),
    "Windows 10 1709, dirty": RealHive("SYSTEM_B.xz", "16299", logs=True, drivers=("stdcfltn",)),
}
INSTALLED = {"evidence-agrees": "the dirty hive cannot be armed: it is that of a finished installation"}
ERRORS = {
    "Windows 7": {"os-architecture": "an x86 Windows, which Azure does not start"},
    "Windows 10 2004": {},
    "Windows 10 1709, dirty": INSTALLED,
}
"""Checks that fail with error severity, and why each is right."""
DRIVER_FINDINGS = {
    "Windows 7": {"storage-boot-drivers": "notice", "network-driver": "notice"},
    "Windows 10 2004": {},
    "Windows 10 1709, dirty": {"class-filters": "notice"},
}
"""What the checks of drivers have to say, each at its severity: what Windows 7 comes with, and a filter of
a product (Dell's stdcfltn)."""
DRIVER_CHECKS = (
    "boot-files", "storage-boot-drivers", "network-driver", "nvme-driver", "class-filters",
    "servicing-pending", "legacy-host-ids",
)  # fmt: skip


def armed(windows: Windows) -> Windows:
    """What sysprep leaves in SYSTEM."""
    return (
        windows.system(
            SETUP_KEY,
            SetupType=2,
            CmdLine=WINDEPLOY,
            SystemSetupInProgress=1,
            OOBEInProgress=1,
            SetupPhase=4,
            RestartSetup=1,
        )
        .system(SYSPREP_STATUS_KEY, GeneralizationState=4)
        .system(CHILDREN_KEY, {"setup.exe": 0})
    )


def with_real_hive(name: str, corpus: Corpus) -> Windows:
    """A good image around a real SYSTEM hive."""
    real = REAL[name]
    windows = healthy().software(VERSION_KEY, CurrentBuild=real.build, CurrentBuildNumber=real.build)
    for driver in real.drivers:
        windows = windows.file(rf"Windows\System32\drivers\{driver}.sys", b"MZ")
    content = corpus[f"{HIVES}/{real.file}"]
    if not real.logs:
        return armed(windows.without_hive("SYSTEM")).on_hive("SYSTEM", content)
    stem, _, packed = real.file.rpartition(".")
    files = {"": content, **{log: corpus[f"{HIVES}/{stem}.{log}.{packed}"] for log in LOGS}}
    return windows.with_hive_files("SYSTEM", files)


@pytest.mark.parametrize("scheme", ["gpt", "mbr"])
@pytest.mark.parametrize("name", REAL)
def test_real_hives_raise_no_error(
    name: str, scheme: str, command: Command, image: Image, corpus: Corpus
) -> None:
    """But those that are known, each for a reason; and nothing in them is unreadable."""
    made = image(disk_of(with_real_hive(name, corpus), scheme), FixedVhd())
    judged = command.judge(made, "--profile", "azure-generalized")
    failed = [each for each in judged["findings"] if each["status"] == "failed"]
    errors = {each["check"]: each["message"] for each in failed if each["severity"] == "error"}
    assert set(errors) == set(ERRORS[name]), errors
    drivers = {each["check"]: each["severity"] for each in failed if each["check"] in DRIVER_CHECKS}
    assert drivers == DRIVER_FINDINGS[name], failed
    assert [each for each in judged["findings"] if each["status"] == "unknown"] == []
