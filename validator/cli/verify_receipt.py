"""`image-validator verify-receipt`: whether exactly these bytes passed exactly this policy."""

import os
import textwrap
from collections.abc import Sequence
from datetime import datetime, timezone
from typing import TYPE_CHECKING

import click

from validator.address import shown
from validator.cli import options, policies, receipts
from validator.cli.paths import images as named
from validator.facts.question import Question
from validator.policy.model import NO_POLICY, Policy
from validator.report.printable import printable, shortened

if TYPE_CHECKING:
    from validator.checks.model import Distribution
    from validator.receipt import Here, JudgedImage, Receipt

_LONGEST = 1000
"""Characters of what a receipt says that are shown."""


@click.command("verify-receipt", no_args_is_help=True)
@click.argument("receipt", type=click.Path())
@click.argument("images", nargs=-1, required=True, metavar="IMAGE...", type=click.Path())
@policies.policy_options
@click.option(
    "--policy-digest",
    metavar="SHA256",
    callback=lambda ctx, param, value: value if value is None else _digest(value),
    help="The policy by its digest, as `policy show` has it: for a place where its file is not.",
)
@options.destination
@options.input_format
@click.option("--quiet", "-q", is_flag=True, help="No progress, and no word where the receipt holds.")
def command(
    receipt: str,
    images: tuple[str, ...],
    in_force: policies.InForce,
    policy_digest: str | None,
    generation: int | None,
    will_convert: bool,
    nvme: bool,
    input_format: str,
    quiet: bool,
) -> int:
    """Say whether a receipt holds for images.

    RECEIPT is what `check --receipt` wrote. It holds where it states that `check`, asked what it would be
    asked here with the same options and policy, returned 0 for exactly these bytes. A differencing disk is
    named together with its parents.

    Returns 0 where it holds, 1 where it does not, 2 for a wrong command or no receipt, 3 where an image
    cannot be read.
    """
    from validator.receipt import Here, Terms, objections

    said = _read(receipt)
    there = named(images)
    if there.addresses:
        name = printable(shown(there.addresses[0]))
        raise options.Refused(f"a receipt is about all of every image, and {name} is read in parts")
    if there.lacks:
        raise options.Refused(printable(there.lacks[0]))
    paths = there.paths
    wanted = Terms(
        Question(in_force.profile, generation, will_convert, nvme, options.forced(input_format)),
        in_force.fail_on.value,
        policy_digest or in_force.policy.digest,
    )
    # The policy that is found here need not be the one of the digest.
    policy = in_force.policy if in_force.policy.digest == wanted.policy else None
    if whys := objections(said, wanted, _plugins(policy or NO_POLICY, in_force.profile)):
        _show("REFUSED", receipt, *whys)
        return 1
    digests = _digests(paths, quiet=quiet)
    here = Here(digests, policy, datetime.now(timezone.utc).date())
    held = [_holds(said, path, here, quiet=quiet) for path in digests]
    if not all(held):
        return 1
    return 0 if len(digests) == len(paths) else 3


def _holds(receipt: "Receipt", path: str, here: "Here", *, quiet: bool) -> bool:
    """Whether a receipt holds for a file, which is said."""
    from validator.receipt import Doubt, basis

    try:
        image = basis(receipt, path, here)
    except Doubt as why:
        _show("REFUSED", path, str(why))
        return False
    if not quiet:
        _show("HOLDS", path, *_account(receipt, image))
    return True


def _digest(text: str) -> str:
    from validator.receipt import is_digest

    if not is_digest(text.lower()):
        found = shortened(text, 100) or "nothing"
        raise options.Refused(f"--policy-digest: expected 64 hexadecimal digits, found {found}")
    return text.lower()


def _plugins(policy: Policy, profile: str) -> "list[Distribution]":
    """Those whose checks `check` would ask here."""
    asked = (
        each for each in options.all_checks() if profile in each.severity and not policy.leaves_out(each)
    )
    return list(dict.fromkeys(each.distribution for each in asked if each.distribution is not None))


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
        with receipts.progress(sum(map(_size, paths)), quiet=quiet) as read:
            for path in paths:
                digests[path] = sha256(path, read)
    except Unreadable as error:
        _show("UNREADABLE", paths[len(digests)], f"{error.evidence}.")
    return digests


def _size(path: str) -> int:
    """The size in bytes of a file; 0 where it cannot be told, which reading it will say."""
    try:
        return os.path.getsize(path)
    except OSError:
        return 0


def _account(receipt: "Receipt", image: "JudgedImage") -> list[str]:
    """What was asked, who answered when, and what had to be accepted."""
    from validator.receipt import accepted

    profile, policy = receipt.terms.question.profile, receipt.terms.policy
    passed = f"Passed {profile}, policy {policy}: image-validator {receipt.tool}, {receipt.time}."
    return [passed, *filter(None, [accepted(image)])]


def _show(word: str, path: str, *sentences: str) -> None:
    lines = [f"{word}  {printable(path)}"]
    for sentence in sentences:
        text = shortened(sentence, _LONGEST)
        lines += textwrap.wrap(text, options.width(), initial_indent="  ", subsequent_indent="  ")
    options.show("\n".join(lines) + "\n")
