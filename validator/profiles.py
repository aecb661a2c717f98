"""Profiles: the question that is asked of an image."""

from typing import NamedTuple


class Profile(NamedTuple):
    """A destination, and what its images have to be."""

    id: str
    title: str


PROFILES: tuple[Profile, ...] = (
    Profile("generalized", "Did sysprep complete generalization, so that any platform can deploy copies?"),
)
DEFAULT_PROFILE = "generalized"
