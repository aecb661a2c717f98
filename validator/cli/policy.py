"""`image-validator policy`: what applies here, and why."""

import json
import textwrap
from collections.abc import Iterator
from datetime import date, datetime, timezone
from typing import Any

import click

from validator.cli import options, policies
from validator.policy.model import PROMISED, Waiver
from validator.report.printable import printable

_LABEL = 14


@click.group("policy")
def command() -> None:
    """Show the policy that applies, or the schema of its file."""


@command.command("schema")
def schema() -> int:
    """Print the JSON Schema of image-validator.toml, for editors."""
    from importlib.resources import files

    options.show((files("validator") / "policy" / "schema.json").read_text(encoding="utf-8"))
    return 0


@command.command("show")
@click.argument("image", type=click.Path(), required=False)
@policies.policy_options
@click.option(
    "--format", "-f", "output_format", type=click.Choice(("text", "json")), default="text",
    help="What to print on standard output.",
)  # fmt: skip
def show(image: str | None, in_force: policies.InForce, output_format: str) -> int:
    """Show which policy applies here and why, and what it changes.

    With IMAGE (it is not opened), says which waivers are for it.
    """
    data = _data(in_force, image, datetime.now(timezone.utc).date())
    if output_format == "json":
        options.show(json.dumps(data, indent=2) + "\n")
    else:
        options.show("".join(_labelled(label, printable(text)) for label, text in _lines(data)))
    return 0


def _data(in_force: policies.InForce, image: str | None, today: date) -> dict[str, Any]:
    policy, profile = in_force.policy, in_force.profile
    checks = [each for each in policy.catalogue(options.all_checks()) if profile in each.severity]
    baseline = policy.baseline
    settings = {
        "profile": profile,
        "fail-on": in_force.fail_on.value,
        "select": list(policy.select),
        "ignore": list(policy.ignore),
        "baseline": None if baseline is None else baseline.source,
    }
    return {
        "policy": {"source": policy.source, "why": in_force.why, "digest": policy.digest},
        "settings": {
            key: {"value": value, "origin": in_force.origins[key]} for key, value in settings.items()
        },
        "always_asked": [each.id for each in checks if each.id in PROMISED],
        "left_out": [each.id for each in checks if policy.leaves_out(each)],
        "severity": [
            {"check": each.id, "severity": ruled, "without_policy": each.severity[profile].value}
            for each in checks
            if (ruled := policy.severity_of(each, profile, each.severity[profile]).value)
            != each.severity[profile].value
        ],
        "waivers": [
            {
                "check": each.check,
                "image": each.image,
                "until": each.until and each.until.isoformat(),
                "reason": each.reason,
                "state": _state(each, image, today),
            }
            for each in policy.waivers
        ],
        "warnings": list(in_force.without_effect),
        "baseline_entries": 0 if baseline is None else len(baseline.entries),
        "expectations": [
            {
                "check": each.check_id,
                "severity": each.severity[profile].value if profile in each.severity else None,
                "title": each.title,
                "about": each.entry.place,
                "expected": each.expected,
            }
            for each in policy.expectations
        ],
    }


def _state(waiver: Waiver, image: str | None, today: date) -> str:
    if waiver.expired(today):
        return "expired"
    return "active" if image is None or waiver.covers(waiver.check, image) else "for other images"


def _lines(data: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Labels and texts."""
    policy = data["policy"]
    yield "policy", f"{policy['source'] or 'none'} ({policy['why']})"
    yield "digest", policy["digest"]
    for key, setting in data["settings"].items():
        value = setting["value"] or {"select": "everything", "ignore": "nothing"}.get(key, "none")
        words = ", ".join(value) if isinstance(value, list) else value
        yield key, f"{words} ({setting['origin']})"
    if data["baseline_entries"]:
        yield "", f"{data['baseline_entries']} entries"
    yield "always asked", ", ".join(data["always_asked"])
    yield "left out", ", ".join(data["left_out"]) or "nothing"
    for each in data["severity"]:
        yield "severity", f"{each['check']}: {each['severity']} instead of {each['without_policy']}"
    for each in data["warnings"]:
        yield "warning", each
    for each in data["waivers"]:
        image = f" for {each['image']}" if each["image"] else ""
        until = f" until {each['until']}" if each["until"] else ""
        yield "waiver", f"{each['check']}{image}{until} ({each['state']}): {each['reason']}"
    for each in data["expectations"]:
        asked = each["severity"] or "not asked under this profile"
        yield "expectation", f"{each['check']} ({asked}): {each['about']}: {each['expected']}"


def _labelled(label: str, text: str) -> str:
    filled = textwrap.fill(
        text,
        options.width(),
        initial_indent=label.ljust(_LABEL),
        subsequent_indent=" " * _LABEL,
        break_long_words=False,
        break_on_hyphens=False,
    )
    return filled + "\n"
