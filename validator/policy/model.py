"""What a policy says, and what it makes of the checks: data, read from a file or made by a program."""

import os
from collections.abc import Iterable, Mapping
from datetime import date
from typing import TYPE_CHECKING, NamedTuple

from validator.address import is_address
from validator.checks.model import Check, Severity

if TYPE_CHECKING:
    from validator.checks.expectations import Expectation
    from validator.policy.baseline import Baseline

PROMISED = (
    "image-state",
    "evidence-agrees",
    "windows-volume",  # partition table and volumes: may another of them hold the Windows that starts?
    "bitlocker",  # volumes: can that of Windows be read at all?
    "hibernated",  # file system: is the disk the whole state of the machine?
    "volume-dirty",  # file system: was it let go of in order?
    "hive-readable",  # hives: were they whole without their logs?
    "setup-pending",  # the SYSTEM hive: without it Windows does not start
    "parent-unchanged",  # container: does a differencing disk fit what it rests on?
)
"""The state, what corroborates it, and the layers that both are read through.

No policy leaves them out or changes their severity; a waiver may accept what they find.
"""


class Waiver(NamedTuple):
    """The acceptance of what one check finds."""

    check: str
    reason: str
    image: str | None = None
    """A pattern for the paths of the images that it is about; None: all."""
    until: date | None = None
    """The last day on which it counts, by UTC; None: it has no end."""
    baseline: bool = False
    """Whether it speaks for the baseline."""

    def covers(self, check: str, path: str) -> bool:
        """Whether it is about this check of this image.

        A pattern is held against the end of the full path: one without a slash against the file's name.
        """
        if self.check != check or self.image is None:
            return self.check == check
        from pathlib import PurePath

        try:
            path = path.partition("?")[0] if is_address(path) else os.path.abspath(path)
        except OSError:
            pass  # the working directory is gone; the path is all there is
        return PurePath(path).match(self.image)

    def expired(self, today: date) -> bool:
        """Whether its last day is over."""
        return self.until is not None and self.until < today


_NOTHING: Mapping[str, Mapping[str, Severity]] = {}
"""No mapping proxy, which cannot be pickled."""


class Policy(NamedTuple):
    """What applies to a run; what is None or empty is left to the defaults."""

    profile: str | None = None
    select: tuple[str, ...] = ()
    """Ids and families: of the catalogue only these are asked. Empty: all."""
    ignore: tuple[str, ...] = ()
    """Ids and families that are not asked."""
    severity: Mapping[str, Mapping[str, Severity]] = _NOTHING
    """By check and profile."""
    fail_on: Severity | None = None
    waivers: tuple[Waiver, ...] = ()
    expectations: tuple["Expectation", ...] = ()
    baseline: "Baseline | None" = None
    source: str | None = None
    """The file that it was read from."""

    def catalogue(self, checks: Iterable[Check]) -> tuple[Check, ...]:
        """These checks, and behind them the expectations as checks."""
        return (*checks, *(each.check() for each in self.expectations))

    def leaves_out(self, check: Check) -> bool:
        """Whether a check is not asked. `select` chooses among the catalogue, not among expectations."""
        names = {check.id, check.family}
        if check.id in PROMISED:
            return False
        if names & set(self.ignore):
            return True
        own = any(check.id == each.check_id for each in self.expectations)
        return bool(self.select) and not own and not names & set(self.select)

    def severity_of(self, check: Check, profile: str, own: Severity) -> Severity:
        """How grave a finding is that the check itself gives this severity.

        What is set below the severity that the check declares is the most that its findings can have; what
        is set at it or above it is what each of them has.
        """
        ruled = self.severity.get(check.id, {}).get(profile)
        if ruled is None or check.id in PROMISED:
            return own
        lowered = ruled.rank > check.severity[profile].rank
        return max(ruled, own, key=lambda each: each.rank) if lowered else ruled

    def idle(self, checks: Iterable[Check], profile: str) -> tuple[str, ...]:
        """Sentences about what it says of checks that a profile does not ask, and so has no effect."""
        asked = [each for each in self.catalogue(checks) if profile in each.severity]
        known = {name for each in asked for name in (each.id, each.family)}
        named = [("select", name) for name in self.select]
        named += [("severity", check) for check, severities in self.severity.items() if profile in severities]
        return tuple(
            f"{key}: {name} has no effect, since {profile} does not ask it"
            for key, name in named
            if name not in known
        )

    @property
    def digest(self) -> str:
        """SHA-256, in hexadecimal, of all that it says: equal policies have equal digests.

        Neither the order in which it says it counts, nor the file that it was read from.
        """
        import hashlib
        import json

        said = {
            "format_version": 1,
            "profile": self.profile,
            "select": sorted({*self.select}),
            "ignore": sorted({*self.ignore}),
            "severity": {check: dict(by_profile) for check, by_profile in self.severity.items()},
            "fail_on": self.fail_on,
            "waivers": sorted(map(_plain, self.waivers)),
            "expectations": sorted(
                f"{type(each.entry).__name__} {_plain(each)}" for each in self.expectations
            ),
            "baseline": sorted(map(_plain, self.baseline.entries)) if self.baseline else None,
        }
        return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()


def _plain(value: tuple[object, ...]) -> str:
    import json

    return json.dumps(value, sort_keys=True, default=str)


NO_POLICY = Policy()
