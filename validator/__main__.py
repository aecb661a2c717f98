"""The command as a process of its own: `image-validator`, and `python -m validator`."""

import gc
from typing import NoReturn


def main() -> NoReturn:
    """Run the command and end the process with its exit code."""
    # What modules are made of is no garbage: to look for some while they are loaded, and once more when the
    # process ends, costs a fifteenth of a verdict.
    gc.set_threshold(200_000)
    from validator.cli import main as command

    try:
        command()
    finally:
        gc.freeze()


if __name__ == "__main__":
    main()
