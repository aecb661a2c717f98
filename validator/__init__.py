"""Judge Windows disk images before they are uploaded.

    import validator

    report = validator.validate("disk.vhdx", profile="generalized")
    report.verdict, report.findings, report.facts.setup_state.image_state

What `__all__` names is the public surface; the rest may move.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from validator.judging import Verdict
    from validator.report.model import Report
    from validator.validation import validate

__all__ = ["Report", "Verdict", "__version__", "validate"]
__version__ = "0.1.0"

_HOMES = {
    "validate": "validator.validation",
    "Report": "validator.report.model",
    "Verdict": "validator.judging",
}


def __getattr__(name: str) -> Any:
    """Import what is asked for, so that `import validator` alone costs nothing."""
    if name in _HOMES:
        import importlib

        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
