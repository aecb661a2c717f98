"""Profiles: the question that is asked of an image."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Profile:
    """A destination, and what its images have to be."""

    id: str
    title: str


PROFILES: tuple[Profile, ...] = (
    Profile("generalized", "Did sysprep complete generalization, so that any platform can deploy copies?"),
)
DEFAULT_PROFILE = "generalized"
