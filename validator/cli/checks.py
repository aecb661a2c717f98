"""`image-validator checks`: the catalogue."""

import difflib
import json
import re
import textwrap
from collections.abc import Iterable
from typing import Any

import click

from validator.checks.model import Check
from validator.checks.pages import page
from validator.cli import options, policies
from validator.profiles import PROFILES
from validator.report.terminal import printed

_PLACE = re.compile(r"\[([^]]*)\]\((?!https?:)[^)]*\)")
"""A link to another page of the documentation, which leads nowhere in a terminal."""


def _complete(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    return [check.id for check in options.all_checks() if check.id.startswith(incomplete)]


@click.command("checks")
@click.argument("check_id", metavar="[ID]", required=False, shell_complete=_complete)
@click.option(
    "--format", "-f", "output_format", type=click.Choice(("text", "json")), default="text",
    help="What to print on standard output.",
)  # fmt: skip
@policies.policy_file
@options.no_color
def command(check_id: str | None, output_format: str, in_force: policies.InForce, no_color: bool) -> int:
    """List the checks, or explain one.

    The expectations of a policy stand behind them.
    """
    colour = options.colour(no_color)
    checks = in_force.policy.catalogue(options.all_checks())
    if check_id is not None:
        check = next((each for each in checks if each.id == check_id), None)
        if check is None:
            near = difflib.get_close_matches(check_id, [each.id for each in checks], 1)
            hint = f"; did you mean {near[0]}?" if near else ""
            raise click.UsageError(f"there is no check {check_id!r}{hint}")
        if output_format == "json":
            options.show(json.dumps(_data(check), indent=2) + "\n")
        else:
            options.show(_explained(check, colour), colour=colour)
    elif output_format == "json":
        options.show(json.dumps([_data(check) for check in checks], indent=2) + "\n")
    else:
        options.show(_listed(checks, colour), colour=colour)
    return 0


def _data(check: Check) -> dict[str, Any]:
    return {
        "id": check.id,
        "family": check.family,
        "title": check.title,
        "severity": {profile: severity.value for profile, severity in check.severity.items()},
        "reads": list(check.reads),
        "explanation": check.explanation,
        "remedy": {"text": check.remedy.text, "commands": list(check.remedy.commands)},
        "references": list(check.references),
        "since": check.since,
        "plugin": check.distribution and check.distribution._asdict(),
    }


def _explained(check: Check, colour: bool) -> str:
    """The check's page; commands and addresses as they stand, so that they can be copied."""
    from rich.markdown import Markdown

    why = _PLACE.sub(r"\1", page(check).partition("## Remedy\n")[0])
    prose = printed(Markdown(why, hyperlinks=False), colour=colour, width=options.width())
    remedy = textwrap.fill(check.remedy.text, options.width(), break_long_words=False, break_on_hyphens=False)
    parts = [f"Remedy\n\n{remedy}", "\n".join(check.remedy.commands)]
    if check.references:
        parts.append("\n".join(["References", "", *(f"- {each}" for each in check.references)]))
    return prose + "\n" + "\n\n".join(filter(None, parts)) + "\n"


def _listed(checks: Iterable[Check], colour: bool) -> str:
    from rich.table import Table

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for name in ("id", "family", "AG", "AS", "G", "the rule"):
        table.add_column(name, overflow="fold", no_wrap=name != "the rule")
    for check in checks:
        severities = (check.severity_under(profile.id)[0].upper() for profile in PROFILES)
        table.add_row(check.id, check.family, *severities, check.title)
    legend = (
        "\nThe highest severity under azure-generalized (AG), azure-specialized (AS) and generalized (G):\n"
        "E error, W warning, N notice, - not asked. `image-validator checks ID` explains one.\n"
    )
    return printed(table, colour=colour, width=options.width()) + legend
