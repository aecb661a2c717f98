"""The explicit table of all checks, in report order."""

from validator.checks import boot, container, generalization, layout, system
from validator.checks.model import Check

ALL_CHECKS: tuple[Check, ...] = (
    *container.CHECKS,
    *layout.CHECKS,
    *boot.CHECKS,
    *generalization.CHECKS,
    *system.CHECKS,
)
