"""The table of all checks, in report order: of two that block, the first gives the reason.

It names modules and the profiles that ask one of their checks: what a profile does not ask is not imported.
"""

import importlib
from collections.abc import Mapping

from validator.checks.model import Check

_AZURE = ("azure-generalized", "azure-specialized")
_EVERY = (*_AZURE, "generalized")

MODULES: Mapping[str, tuple[str, ...]] = {
    "generalization": _EVERY,
    "layout": _EVERY,
    "container": _EVERY,
    "firmware": _AZURE,
    "boot": _EVERY,
    "boot_store": _AZURE,
    "drivers": _AZURE,
    "provisioning": _AZURE,
    "reachability": _AZURE,
    "system": _EVERY,
    "security": _AZURE,
    "leftovers": _AZURE,
}


def own_checks(profile: str | None = None) -> tuple[Check, ...]:
    """Every check of ours, or those that a profile asks, in report order."""
    modules = [name for name, profiles in MODULES.items() if profile is None or profile in profiles]
    checks: list[Check] = []
    for name in modules:
        checks += importlib.import_module(f"{__name__}.{name}").CHECKS
    return tuple(each for each in checks if profile is None or profile in each.severity)
