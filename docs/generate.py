"""Writes the pages in docs/ that come from declarations; `--check` fails where one is stale."""

import sys
from pathlib import Path

from validator.checks import own_checks
from validator.checks.pages import index, page
from validator.windows.sysprep_failures import Failure, knowledge

DOCS = Path(__file__).parent
CHECKS = DOCS / "checks"
FAILURES = DOCS / "sysprep-failures.md"


def pages() -> dict[Path, str]:
    """Every generated page by its path."""
    checks = own_checks()
    generated = {CHECKS / f"{check.id}.md": page(check) for check in checks}
    return {CHECKS / "README.md": index(checks), **generated, FAILURES: failures_page()}


def failures_page() -> str:
    """What is known of sysprep's failures."""
    failures = knowledge().failures
    table = "\n".join(f"| [{failure.id}](#{failure.id}) | {_cause(failure)} |" for failure in failures)
    entries = "\n".join(map(_entry, failures))
    return f"""# Why sysprep fails

Generated from `validator/knowledge/sysprep_failures.toml` by `docs/generate.py`. Where sysprep's last run
failed, the finding `image-state` names the first of these whose signature stands in its log, with the line,
what to do, and what the disk itself says to it. A failure that is not here is shown by its last words.
`{{package}}` and the like stand for what the log names.

A new entry is an entry of that file and a log, `tests/logs/ID.log`, in which it is found
([CONTRIBUTING.md](../CONTRIBUTING.md#add-a-failure-of-sysprep)).

| failure | cause |
| --- | --- |
{table}
{entries}"""


def _cause(failure: Failure) -> str:
    return failure.cause[0].upper() + failure.cause[1:]


def _entry(failure: Failure) -> str:
    signatures = "\n".join(pattern.pattern for pattern in failure.signatures)
    commands = "\n".join(failure.commands)
    doubt = "" if failure.confirmed else "\nThe wording was not confirmed by a log.\n"
    where = {"sysprep": "sysprep's log", "setup": "the log of Windows Setup"}[failure.log]
    if failure.after_success:
        where += ", where the run before the one that was refused had succeeded,"
    sources = "\n".join(f"- {source}" for source in failure.sources)
    fence = f"\n```text\n{commands}\n```\n" if commands else ""
    asked = f"\nThe disk is asked about: {', '.join(failure.disk)}.\n" if failure.disk else ""
    return f"""
## {failure.id}

{_cause(failure)}. Found in {where} by:

```text
{signatures}
```
{doubt}
{failure.remedy}
{fence}{asked}
{sources}
"""


def main(arguments: list[str]) -> int:
    """Write the pages, or with `--check` compare them."""
    wanted = pages()
    present = {FAILURES, *CHECKS.glob("*.md")} - {CHECKS / "not-checked.md"}
    stale = sorted(
        path
        for path in wanted.keys() | present
        if not path.exists() or path not in wanted or path.read_text(encoding="utf-8") != wanted[path]
    )
    if "--check" in arguments:
        for path in stale:
            print(f"stale: {path.name}; run .venv/bin/python docs/generate.py", file=sys.stderr)
        return bool(stale)
    CHECKS.mkdir(exist_ok=True)
    for path in stale:
        if path in wanted:
            path.write_text(wanted[path], encoding="utf-8")
        else:
            path.unlink()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
