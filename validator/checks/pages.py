"""A check's page, from its declaration: for `image-validator checks ID` and for docs/checks."""

from collections.abc import Sequence

from validator.checks.model import Check


def page(check: Check) -> str:
    """The documentation of one check, in Markdown."""
    severities = ", ".join(f"{severity.value} (`{profile}`)" for profile, severity in check.severity.items())
    facts = ", ".join(f"`{name}`" for name in check.reads)
    commands = "".join(f"\n{command}" for command in check.remedy.commands)
    fence = f"\n\n```text{commands}\n```" if commands else ""
    references = "".join(f"\n- {reference}" for reference in check.references)
    sources = f"\n## References\n{references}\n" if references else ""
    since = f"- since version: {check.since}\n" if check.since else ""
    plugin = f"- from the plug-in: {check.distribution}\n" if check.distribution else ""
    return f"""# {check.id}

{check.title}

- family: {check.family}
- severity: {severities}
- reads the facts: {facts}
{plugin}{since}
## Why it matters

{check.explanation}

## Remedy

{check.remedy.text}{fence}
{sources}"""


def index(checks: Sequence[Check]) -> str:
    """The table of all checks, in Markdown."""
    profiles = list(dict.fromkeys(profile for check in checks for profile in check.severity))
    rows = "\n".join(
        f"| [{check.id}]({check.id}.md) | {check.family} | "
        + " | ".join(check.severity_under(profile) for profile in profiles)
        + f" | {check.title} |"
        for check in checks
    )
    names = " | ".join(f"`{profile}`" for profile in profiles)
    return f"""# Checks

Generated from the declarations in `validator/checks` by `docs/generate.py`. A severity is the
highest that a finding can have under the profile; `-`: the profile does not ask. What is known to
matter and is not checked stands in [not-checked.md](not-checked.md).

| id | family | {names} | the rule |
| --- | --- |{" --- |" * len(profiles)} --- |
{rows}
"""
