"""Judge Windows disk images before they are uploaded.

    import validator

    report = validator.validate("disk.vhd", profile="azure-generalized")
    report.verdict, report.findings, report.facts.setup_state.image_state

    policy = validator.policy.load("image-validator.toml")
    report = validator.validate("disk.vhd", policy=policy)

    for report in validator.validate_many(paths, policy=policy, jobs=4):
        ...

What `__all__` names is the public surface; the rest may move.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from validator import policy
    from validator.checks.model import Severity, Status
    from validator.evidence import ArtifactError, Evidence, Location, Unreachable
    from validator.facts.model import Unknown
    from validator.fleet import validate_many
    from validator.judging import Verdict
    from validator.policy.model import Policy, Waiver
    from validator.report.json import image_data as as_dict
    from validator.report.model import Report
    from validator.validation import validate

__all__ = [
    "ArtifactError",
    "Evidence",
    "Location",
    "Policy",
    "Report",
    "Severity",
    "Status",
    "Unknown",
    "Unreachable",
    "Verdict",
    "Waiver",
    "__version__",
    "as_dict",
    "policy",
    "validate",
    "validate_many",
]
__version__ = "0.1.0"

_HOMES = {
    "ArtifactError": "validator.evidence:ArtifactError",
    "Evidence": "validator.evidence:Evidence",
    "Location": "validator.evidence:Location",
    "Policy": "validator.policy.model:Policy",
    "Report": "validator.report.model:Report",
    "Severity": "validator.checks.model:Severity",
    "Status": "validator.checks.model:Status",
    "Unknown": "validator.facts.model:Unknown",
    "Unreachable": "validator.evidence:Unreachable",
    "Verdict": "validator.judging:Verdict",
    "Waiver": "validator.policy.model:Waiver",
    "as_dict": "validator.report.json:image_data",
    "policy": "validator.policy",
    "validate": "validator.validation:validate",
    "validate_many": "validator.fleet:validate_many",
}


def __getattr__(name: str) -> Any:
    """Import what is asked for, so that `import validator` alone costs nothing."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    module, _, attribute = _HOMES[name].partition(":")
    home = importlib.import_module(module)
    return getattr(home, attribute) if attribute else home


def __dir__() -> list[str]:
    return sorted(__all__)
