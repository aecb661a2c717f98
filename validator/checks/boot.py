"""Boot: what keeps a machine from starting."""

from collections.abc import Iterator

from validator.checks.model import (
    Check,
    Finding,
    Remedy,
    Severity,
    by_profile,
    check,
    failed,
    not_applicable,
    passed,
    unknown,
)
from validator.disk.ntfs_state import HibernationFile
from validator.disk.volumes import UNSUPPORTED, Volume, VolumeKind
from validator.evidence import Evidence, Layer, Location
from validator.facts.image import FoundInstallation
from validator.facts.model import Attempt
from validator.facts.volume import VolumeState

FAMILY = "boot"


@check(
    "bitlocker",
    family=FAMILY,
    severity=by_profile(Severity.ERROR, Severity.ERROR, Severity.ERROR),
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


@check(
    "hibernated",
    family=FAMILY,
    severity=by_profile(Severity.WARNING, Severity.WARNING, Severity.WARNING),
    remedy=Remedy(
        "Start the machine, turn hibernation and Fast Startup off, and shut it down fully; generalize "
        "again if it was not.",
        ("powercfg /h off", "shutdown /s /t 0"),
    ),
    references=(
        "https://learn.microsoft.com/windows-server/administration/windows-commands/powercfg",
        "https://learn.microsoft.com/windows/win32/power/system-power-states",
        "https://github.com/tuxera/ntfs-3g",
    ),
    since="0.1",
)
def hibernated(
    hibernation_files: tuple[HibernationFile, ...], found_installations: tuple[FoundInstallation, ...]
) -> Iterator[Finding]:
    r"""Windows was shut down, not suspended.

    A `hiberfil.sys` that begins with `HIBR` or `hibr` holds the memory of a machine that hibernated, or
    that was shut down with Fast Startup, as Windows does by default where it can. At the next start
    Windows goes on from that memory: what is in it (a registry hive among it) was not on the disk, and
    it expects the hardware that it left. So nothing on the volume of Windows can be relied on: all that
    is read there is unknown, and the verdict `indeterminate`. `WAKE`, `RSTR` and zeros stand in a file
    that was used up; they mean nothing, and neither does a folder of that name.

    On a volume beside Windows such a file belongs to another system, and this warning is all it causes.
    """
    suspended = [file for file in hibernation_files if file.suspended]
    windows = {each.installation.partition for each in found_installations}
    if not suspended:
        files = tuple(file.evidence for file in hibernation_files)
        yield passed("No volume has a hibernation file that Windows would resume from.", *files)
        return
    evidence = tuple(file.evidence for file in suspended)
    numbers = ", ".join(str(file.where.partition) for file in suspended)
    if any(file.where.partition in windows for file in suspended):
        message = f"Windows is suspended (hibernation or Fast Startup; partition {numbers})."
    else:
        message = f"A volume beside Windows has the memory of a suspended system (partition {numbers})."
    yield failed(message, *evidence)


@check(
    "volume-dirty",
    family=FAMILY,
    severity=by_profile(Severity.WARNING, Severity.WARNING, Severity.WARNING),
    remedy=Remedy(
        "Check the volume on the machine, then shut it down in order; generalize again if it was not.",
        ("chkdsk C: /f", "shutdown /s /t 0"),
    ),
    references=(
        "https://learn.microsoft.com/azure/virtual-machines/windows/prepare-for-upload-vhd-image",
        "https://learn.microsoft.com/windows-server/administration/windows-commands/fsutil-dirty",
        "https://github.com/tuxera/ntfs-3g",
    ),
    since="0.1",
)
def volume_dirty(volume_states: tuple[VolumeState, ...]) -> Iterator[Finding]:
    r"""Every NTFS volume was let go of in order.

    NTFS marks a volume as dirty (`$Volume`) when Windows is to check it at its next start, and closes
    its log (`$LogFile`) when the volume is let go of. A machine that was switched off, or whose disk was
    copied while it ran, leaves either; the next start takes longer, or repairs something. It says
    nothing of the state of Windows, and every record that the verdict rests on was verified by itself,
    so this is a warning. A log that is empty (filled with `ff`, as tools leave it) is closed.

    For the volume of a suspended machine this cannot be told.
    """
    told = [state for state in volume_states if not state.hibernated]
    faulty = [state for state in told if state.faults]
    if faulty:
        numbers = ", ".join(str(state.partition) for state in faulty)
        evidence = (fault for state in faulty for fault in state.faults)
        yield failed(f"A volume was not let go of in order (partition {numbers}).", *evidence)
    elif len(told) < len(volume_states):
        files = (state.hibernation for state in volume_states if state.hibernated)
        evidence = (file.evidence for file in files if file is not None)
        yield unknown("It cannot be told of a suspended machine.", *evidence)
    elif told:
        yield passed("Every NTFS volume was let go of in order.")
    else:
        yield not_applicable("The disk has no NTFS volume.")


CHECKS: tuple[Check, ...] = (bitlocker, hibernated, volume_dirty)
