"""The explicit table of all checks, in report order: of two that block, the first gives the reason."""

from validator.checks import (
    boot,
    boot_store,
    container,
    drivers,
    firmware,
    generalization,
    layout,
    leftovers,
    provisioning,
    reachability,
    security,
    system,
)
from validator.checks.model import Check

ALL_CHECKS: tuple[Check, ...] = (
    *generalization.CHECKS,
    *layout.CHECKS,
    *container.CHECKS,
    *firmware.CHECKS,
    *boot.CHECKS,
    *boot_store.CHECKS,
    *drivers.CHECKS,
    *provisioning.CHECKS,
    *reachability.CHECKS,
    *system.CHECKS,
    *security.CHECKS,
    *leftovers.CHECKS,
)
