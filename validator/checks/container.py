"""Container: is the file what the machine had?"""

from collections.abc import Iterator

from validator.checks.model import Check, Finding, Remedy, Severity, check, failed, not_applicable, passed
from validator.disk.container import Container
from validator.evidence import Evidence

FAMILY = "container"


@check(
    "parent-unchanged",
    family=FAMILY,
    severity={"generalized": Severity.WARNING},
    remedy=Remedy(
        "Merge the disk into its parent where both were last used together, and give the merged disk.",
        ("Merge-VHD -Path child.vhd -DestinationPath parent.vhd",),
    ),
    references=("https://learn.microsoft.com/powershell/module/hyper-v/merge-vhd",),
    since="0.1",
)
def parent_unchanged(container: Container, parent_differs: Evidence | None) -> Iterator[Finding]:
    r"""The parents of a differencing disk are as they were when their children were made.

    A differencing disk holds only what was changed; all else is its parent's. A parent is taken for the
    right one when its identifier is the one that the child names. A VHD also keeps the time stamp of
    the parent's footer: where it differs, the parent was written to after the child was made, and the
    two together may be a disk that never was.
    """
    if not container.parents:
        yield not_applicable("The image rests on no other disk.")
    elif parent_differs is None:
        yield passed(f"The parents are the right ones: {', '.join(container.parents)}.")
    else:
        yield failed("A parent was written to after its child was made.", parent_differs)


CHECKS: tuple[Check, ...] = (parent_unchanged,)
