"""Boot: what keeps a machine from starting."""

from collections.abc import Iterator

from validator.checks.model import Check, Finding, Remedy, Severity, check, failed, passed
from validator.disk.volumes import Volume, VolumeKind
from validator.evidence import Evidence, Layer, Location
from validator.facts.image import Installation
from validator.facts.model import Attempt

FAMILY = "boot"


@check(
    "bitlocker",
    family=FAMILY,
    severity={"generalized": Severity.ERROR},
    remedy=Remedy(
        "Decrypt the volume on the source machine, wait for “Fully Decrypted”, keep Windows from "
        "encrypting it again, then run sysprep.",
        (
            "manage-bde -off C:",
            "manage-bde -status C:",
            r"reg add HKLM\SYSTEM\CurrentControlSet\Control\BitLocker /v PreventDeviceEncryption "
            "/t REG_DWORD /d 1 /f",
        ),
    ),
    references=(
        "https://learn.microsoft.com/azure/virtual-machines/windows/prepare-for-upload-vhd-image",
        "https://learn.microsoft.com/windows-hardware/manufacture/desktop/sysprep--generalize--a-windows-installation",
    ),
    since="0.1",
)
def bitlocker(
    volumes: tuple[Volume, ...], installations: Attempt[tuple[Installation, ...]]
) -> Iterator[Finding]:
    r"""Windows is not on a volume encrypted by BitLocker.

    Sysprep refuses to generalize while the volume of Windows is encrypted (error 0x80310039), also
    when the protection is suspended or “waiting for activation”, as Windows 11 leaves it when it
    encrypts a device by itself. A disk whose only place for Windows is an encrypted volume is
    undeployable. An encrypted volume beside a Windows that can be read is a warning.
    """
    encrypted = [volume.partition for volume in volumes if volume.kind is VolumeKind.BITLOCKER]
    if not encrypted:
        yield passed("No volume is encrypted by BitLocker.")
        return
    evidence = tuple(
        Evidence(
            Location(Layer.VOLUME, 0, partition.number),
            "the boot sector of a volume encrypted by BitLocker",
            "an NTFS boot sector",
        )
        for partition in encrypted
    )
    numbers = ", ".join(str(partition.number) for partition in encrypted)
    if installations.value:
        yield failed(
            f"A volume beside Windows is encrypted by BitLocker (partition {numbers}).",
            *evidence,
            severity=Severity.WARNING,
        )
    else:
        yield failed(
            f"Windows is on a volume encrypted by BitLocker (partition {numbers}): sysprep cannot have run.",
            *evidence,
        )


CHECKS: tuple[Check, ...] = (bitlocker,)
