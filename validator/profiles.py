"""Profiles: the question that is asked of an image."""

from typing import NamedTuple


class Profile(NamedTuple):
    """A destination, and what its images have to be."""

    id: str
    title: str
    green: str
    """What `deployable` means, without the full stop."""


PROFILES: tuple[Profile, ...] = (
    Profile(
        "azure-generalized",
        "Does Azure accept this image, and start and provision machines made from it?",
        "Ready for Azure: generalization completed, and nothing known stands in its way",
    ),
    Profile(
        "azure-specialized",
        "Does Azure accept this disk of one machine, and start it again?",
        "Ready for Azure as the one machine that it is: nothing known stands in its way",
    ),
    Profile(
        "generalized",
        "Did sysprep complete generalization? Any platform; asks nothing else.",
        "Generalization completed",
    ),
)
DEFAULT_PROFILE = PROFILES[0].id
