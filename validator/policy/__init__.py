"""A team's own rules: which checks are asked, how grave they are, and what is accepted for how long.

    policy = validator.policy.load("image-validator.toml")
    report = validator.validate("disk.vhd", policy=policy)

`search` finds the file, `file` reads it, `model` is what it says, `baseline` what is accepted as it is
today. Nothing of a policy reaches a reader of the image, and none changes what `model.PROMISED` names.
"""

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from validator.policy.model import Policy


def load(path: str | os.PathLike[str]) -> "Policy":
    """Read a policy from a file: the table `[tool.image-validator]` of a pyproject.toml, all of any other.

    Raises:
        OSError: if there is no such file, or it cannot be read; also for the baseline that it names.
        ValueError: with a sentence that names file, line and key, for what is no policy.
    """
    from validator.policy.file import read

    return read(os.fsdecode(path))
