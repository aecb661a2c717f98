"""Layout: is there one Windows, and can it be read?"""

from collections.abc import Iterator

from validator.checks.model import Check, Finding, Remedy, Severity, check, failed, passed
from validator.evidence import Evidence, Layer, Location
from validator.facts.image import Installation

FAMILY = "layout"


@check(
    "windows-volume",
    family=FAMILY,
    severity={"generalized": Severity.ERROR},
    remedy=Remedy("Keep one installation of Windows on the disk; remove the others or their volumes."),
    references=(
        "https://learn.microsoft.com/troubleshoot/azure/virtual-machines/windows/windows-boot-failure",
        "https://learn.microsoft.com/azure/virtual-machines/windows/prepare-for-upload-vhd-image",
    ),
    since="0.1",
)
def windows_volume(installations: tuple[Installation, ...]) -> Iterator[Finding]:
    r"""There is exactly one Windows on the disk.

    An installation is an NTFS volume with `\Windows\System32\config`; `Windows.old` is none. With
    several, the boot store decides which one starts. As long as it is not read, all of them must
    give the same verdict (then this is a warning), or the verdict is `indeterminate`. A volume
    that cannot be read may hold a Windows, so that this check and the verdict stay open.
    """
    if len(installations) == 1:
        only = installations[0]
        yield passed(f"Windows is on partition {only.partition}, in {only.path}.")
        return
    yield failed(
        f"There are {len(installations)} installations of Windows on the disk.",
        *(
            Evidence(
                Location(Layer.FILE_SYSTEM, None, each.partition, each.path), "a Windows", "one on the disk"
            )
            for each in installations
        ),
        severity=Severity.WARNING,
    )


CHECKS: tuple[Check, ...] = (windows_volume,)
