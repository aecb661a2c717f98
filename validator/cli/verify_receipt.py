"""`image-validator verify-receipt`: whether exactly these bytes passed exactly this policy."""

import os
import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from validator.cli import options, policies, receipts
from validator.facts.question import Question
from validator.report.printable import printable, shortened

if TYPE_CHECKING:
    from validator.receipt import Receipt

_LONGEST = 1000
"""Characters of what a receipt says that are shown."""


@click.command("verify-receipt", no_args_is_help=True)
@click.argument("receipt", type=click.Path())
@click.argument("images", nargs=-1, required=True, metavar="IMAGE...", type=click.Path())
@policies.policy_options
@click.option(
    "--policy-digest",
    metavar="SHA256",
    help="The policy by its digest, as `policy show` has it: for a place where its file is not.",
)
@options.destination
@click.option("--quiet", "-q", is_flag=True, help="No progress, and no word where the receipt holds.")
def command(
    receipt: str,
    images: tuple[str, ...],
    in_force: policies.InForce,
    policy_digest: str | None,
    generation: int | None,
    will_convert: bool,
    nvme: bool,
    quiet: bool,
) -> int:
    """Say whether a RECEIPT that `check --receipt` wrote holds for images.

    It holds where it states that `check`, asked what it would be asked here with the same options and
    policy, returned 0 for exactly these bytes. A differencing disk is named together with its parents.

    Returns 0 where it holds, 1 where it does not, 3 where an image cannot be read.
    """
    from validator.receipt import Terms, doubt, objections

    said = _read(receipt)
    paths, unmatched = options.images(images)
    if unmatched:
        raise options.Refused(f"no image matches {printable(unmatched[0])}")
    wanted = Terms(
        Question(in_force.profile, generation, will_convert, nvme),
        in_force.fail_on.value,
        policy_digest or in_force.policy.digest,
    )
    if whys := objections(said, wanted):
        _show("REFUSED", receipt, *whys)
        return 1
    digests = _digests(paths, quiet=quiet)
    doubts = {path: doubt(said, digest, digests.values()) for path, digest in digests.items()}
    for path, why in doubts.items():
        if why or not quiet:
            _show("REFUSED" if why else "HOLDS", path, why or _account(said))
    if any(doubts.values()):
        return 1
    return 0 if len(digests) == len(paths) else 3


def _read(path: str) -> "Receipt":
    """The receipt in a file.

    Raises:
        Refused: where there is none.
    """
    from validator.receipt import MAX_SIZE, read

    try:
        with open(path, "rb") as file:
            return read(file.read(MAX_SIZE + 1))
    except OSError as error:
        raise options.Refused(f"cannot read the receipt {printable(path)}: {error.strerror}") from error
    except ValueError as error:
        raise options.Refused(
            f"{printable(path)} is no receipt: {shortened(str(error), _LONGEST)}"
        ) from error


def _digests(paths: Sequence[str], *, quiet: bool) -> dict[str, str]:
    """The SHA-256 of each file, up to the first that cannot be read, which is said."""
    from validator.evidence import Unreadable
    from validator.receipt import sha256

    digests: dict[str, str] = {}
    try:
        with receipts.progress(sum(map(os.path.getsize, paths)), quiet=quiet) as read:
            for path in paths:
                digests[path] = sha256(path, read)
    except Unreadable as error:
        _show("UNREADABLE", paths[len(digests)], f"{error.evidence}.")
    return digests


def _account(receipt: "Receipt") -> str:
    """What was asked, and who answered when."""
    profile, policy = receipt.terms.question.profile, receipt.terms.policy
    return f"Passed {profile}, policy {policy}: image-validator {receipt.tool}, {receipt.time}."


def _show(word: str, path: str, *sentences: str) -> None:
    lines = [f"{word}  {printable(path)}"]
    for sentence in sentences:
        text = shortened(sentence, _LONGEST)
        lines += textwrap.wrap(text, options.width(), initial_indent="  ", subsequent_indent="  ")
    options.show("\n".join(lines) + "\n")
