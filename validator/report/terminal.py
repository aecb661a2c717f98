"""Tables and Markdown for a terminal, through rich."""

import io
from typing import Any


def printed(*renderables: Any, colour: bool, width: int) -> str:
    """What rich makes of its renderables, without blanks at the ends of lines."""
    from rich.console import Console

    page = io.StringIO()
    console = Console(
        file=page,
        width=width,
        color_system="standard" if colour else None,
        force_terminal=colour,
        highlight=False,
        markup=False,
        emoji=False,
    )
    for renderable in renderables:
        console.print(renderable)
    return "\n".join(line.rstrip() for line in page.getvalue().splitlines()) + "\n"
