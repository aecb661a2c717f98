"""Where a policy lies: in the working directory or above it, as linters look for theirs."""

import os
from typing import NamedTuple

FILE_NAME = "image-validator.toml"
PROJECT_FILE = "pyproject.toml"
MAX_SIZE = 256 * 2**10
"""In bytes; far above what a team writes, and small enough to be parsed whatever stands in it."""
_SIGNS = (b"tool.image-validator", b"[tool]", b"\ntool=")
"""What a pyproject.toml with a policy has one of in it, blanks and quotes aside."""


class Found(NamedTuple):
    """The file that applies, and why."""

    path: str
    why: str


def find(folder: str) -> Found | None:
    """The nearest policy, on the way from a folder up to the root of its repository or file system.

    Raises:
        OSError: for a pyproject.toml that cannot be read: a policy may stand in it.
        ValueError: for one that is no TOML, likewise.
    """
    here = start = os.path.abspath(folder)
    while True:
        place = "in the working directory" if here == start else "above the working directory"
        own, project = (os.path.join(here, name) for name in (FILE_NAME, PROJECT_FILE))
        if os.path.isfile(own):
            return Found(own, f"found {place}")
        if os.path.isfile(project) and _has_table(project):
            return Found(project, f"[tool.image-validator], found {place}")
        above = os.path.dirname(here)
        if above == here or os.path.exists(os.path.join(here, ".git")):
            return None
        here = above


def _has_table(project: str) -> bool:
    """Whether there is a policy in it. Most have no sign of one, and need not be parsed."""
    try:
        data = content(project)
        if not any(sign in b"\n" + data.translate(None, b" \t\"'") for sign in _SIGNS):
            return False
        from validator.policy.toml import parsed

        tools = parsed(data.decode()).get("tool")
    except ValueError as error:
        raise ValueError(f"{project}: {error}") from error
    return isinstance(tools, dict) and "image-validator" in tools


def content(path: str, most: int = MAX_SIZE) -> bytes:
    """What stands in a file of a policy.

    Raises:
        OSError: where it cannot be read.
        ValueError: where it is longer than `most` bytes.
    """
    with open(path, "rb") as file:
        data = file.read(most + 1)
    if len(data) > most:
        raise ValueError(f"expected at most {most} bytes, found more")
    return data
