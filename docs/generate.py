"""Writes the pages in docs/ that come from declarations; `--check` fails where one is stale."""

import sys
from pathlib import Path

from validator.checks import ALL_CHECKS
from validator.checks.pages import index, page

CHECKS = Path(__file__).parent / "checks"


def pages() -> dict[Path, str]:
    """Every generated page by its path."""
    generated = {CHECKS / f"{check.id}.md": page(check) for check in ALL_CHECKS}
    return {CHECKS / "README.md": index(ALL_CHECKS), **generated}


def main(arguments: list[str]) -> int:
    """Write the pages, or with `--check` compare them."""
    wanted = pages()
    present = set(CHECKS.glob("*.md")) - {CHECKS / "not-checked.md"}
    stale = sorted(
        path
        for path in wanted.keys() | present
        if not path.exists() or path not in wanted or path.read_text(encoding="utf-8") != wanted[path]
    )
    if "--check" in arguments:
        for path in stale:
            print(f"stale: {path.name}; run python docs/generate.py", file=sys.stderr)
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
