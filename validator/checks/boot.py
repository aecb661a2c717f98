"""Boot: what keeps a machine from starting."""

from collections.abc import Iterator

from validator.checks.model import Check, Finding, Remedy, Severity, check, failed, passed, unknown
from validator.disk.volumes import UNSUPPORTED, Volume, VolumeKind
from validator.evidence import Evidence, Layer, Location
from validator.facts.image import FoundInstallation
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
    volumes: tuple[Volume, ...], found_installations: Attempt[tuple[FoundInstallation, ...]]
) -> Iterator[Finding]:
    r"""Windows is not on a volume encrypted by BitLocker.

    Sysprep refuses to generalize while the volume of Windows is encrypted (error 0x80310039), also
    when the protection is suspended or “waiting for activation”, as Windows 11 leaves it when it
    encrypts a device by itself. A disk whose only place for Windows is an encrypted volume is
    undeployable. An encrypted volume beside a Windows that can be read is a warning; beside a volume
    that cannot be read it stays open which of them is Windows'.
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
    others = [volume for volume in volumes if volume.kind in UNSUPPORTED]
    if found_installations.value:
        yield failed(
            f"A volume beside Windows is encrypted by BitLocker (partition {numbers}).",
            *evidence,
            severity=Severity.WARNING,
        )
    elif found_installations.unknown is not None or others:
        what = "cannot be read" if not others else f"({others[0].kind.value}) is not read"
        yield unknown(f"Windows may be on the encrypted volume or on one that {what}.", *evidence)
    else:
        yield failed(
            f"Windows is on a volume encrypted by BitLocker (partition {numbers}): sysprep cannot have run.",
            *evidence,
        )


CHECKS: tuple[Check, ...] = (bitlocker,)
