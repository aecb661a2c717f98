"""Layout: is there one Windows, and does the disk suit the machine?"""

from collections.abc import Iterator

from validator.checks.model import Check, Finding, Remedy, Severity, by_profile, check, failed, passed
from validator.disk.partitions import PartitionTable
from validator.evidence import Evidence, Layer, Location
from validator.facts.image import Installation
from validator.facts.layout import has_esp
from validator.facts.question import Question

FAMILY = "layout"


@check(
    "windows-volume",
    family=FAMILY,
    severity=by_profile(Severity.ERROR, Severity.ERROR, Severity.ERROR),
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
    several, the one that the boot store starts by default is judged, and this is a warning. That is the
    one on the partition that the default entry names; where the entry has its device searched for, the
    only one that has its loader. Where this cannot be told (no store, a damaged one, two that fit), all
    of them must give the same verdict, or the verdict is `indeterminate`. So it is where the boot
    store starts another system folder than `\Windows`. A volume that cannot be read may hold a
    Windows, so that this check and the verdict stay open.
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


_FIRMWARE = {1: "BIOS", 2: "UEFI"}


@check(
    "generation-consistent",
    family=FAMILY,
    severity=by_profile(Severity.ERROR, Severity.ERROR, None),
    remedy=Remedy(
        "Choose the generation that the disk is made for, or convert the disk on the machine (MBR to GPT) "
        "and generalize again; converting the file changes nothing.",
        ("mbr2gpt /validate /allowFullOS", "mbr2gpt /convert /allowFullOS"),
    ),
    references=(
        "https://learn.microsoft.com/azure/virtual-machines/generation-2",
        "https://learn.microsoft.com/windows/deployment/mbr-to-gpt",
    ),
    since="0.1",
)
def generation_consistent(
    partition_table: PartitionTable, generation: int | None, question: Question
) -> Iterator[Finding]:
    r"""The disk is made for the generation of the machine.

    A machine of generation 1 starts by BIOS from a disk with an MBR, one of generation 2 by UEFI from a
    GPT with an EFI system partition. Which of them it will be is said when the image is made in Azure
    and cannot be changed later; a disk of the other kind does not start. With `--generation` a
    difference is an error. Without it the disk decides, and the report says what it is made for.

    A disk that contradicts itself is a warning: a GPT without an EFI system partition, or an MBR with one
    and no active partition, which neither firmware is sure to start from.
    """
    where = Location(Layer.PARTITION_TABLE)
    esp = has_esp(partition_table)
    scheme = partition_table.scheme.upper()
    active = any(partition.active for partition in partition_table.partitions)
    words = f"{scheme}, {'an' if esp else 'no'} EFI system partition"
    words += "" if scheme == "GPT" else f", {'an' if active else 'no'} active partition"
    wanted = question.generation
    if wanted is not None and generation is not None and generation != wanted:
        yield failed(
            f"The disk is made for generation {generation} ({_FIRMWARE[generation]}), "
            f"and the machine will be generation {wanted} ({_FIRMWARE[wanted]}).",
            Evidence(where, words, "a GPT" if wanted == 2 else "an MBR"),
        )
    elif generation is None or (generation == 2 and not esp):
        made = "a GPT without" if scheme == "GPT" else "an MBR without an active partition, but with"
        yield failed(
            f"The disk contradicts itself: {made} an EFI system partition.",
            Evidence(where, words, "a GPT with an EFI system partition, or an MBR with an active partition"),
            severity=Severity.WARNING,
        )
    else:
        yield passed(
            f"The disk is made for generation {generation} ({_FIRMWARE[generation]}).",
            Evidence(where, words),
        )


CHECKS: tuple[Check, ...] = (windows_volume, generation_consistent)
