"""System: which Windows it is."""

from collections.abc import Iterator

from validator.checks.model import Check, Finding, Remedy, Severity, check, failed, not_applicable, passed
from validator.windows.hive import Value

FAMILY = "system"
_SIXTY_FOUR_BIT = ("AMD64", "ARM64")


@check(
    "os-architecture",
    family=FAMILY,
    severity={"generalized": Severity.NOTICE},
    remedy=Remedy("Install a 64-bit Windows; an installation cannot be changed from 32 to 64 bits."),
    references=("https://learn.microsoft.com/azure/virtual-machines/windows/prepare-for-upload-vhd-image",),
    since="0.1",
)
def os_architecture(architecture: Value | None) -> Iterator[Finding]:
    r"""Windows is 64-bit.

    Azure runs no 32-bit Windows; other platforms may. Read from `PROCESSOR_ARCHITECTURE` in the
    current control set (`Control\Session Manager\Environment`).
    """
    if architecture is None:
        yield not_applicable("The registry does not say for which processors this Windows is.")
    elif str(architecture).upper() in _SIXTY_FOUR_BIT:
        yield passed(f"Windows is for {architecture}.", architecture.evidence)
    else:
        yield failed(
            f"Windows is for {architecture}, which is not a 64-bit processor.", architecture.evidence
        )


CHECKS: tuple[Check, ...] = (os_architecture,)
