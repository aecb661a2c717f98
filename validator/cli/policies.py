"""Which policy applies to a run: the file that is found or named, and what the command line says instead."""

import functools
import os
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import click

from validator.checks.model import Severity
from validator.cli import options
from validator.policy.model import NO_POLICY, Policy
from validator.policy.search import FILE_NAME, Found, find
from validator.profiles import DEFAULT_PROFILE, PROFILES
from validator.report.printable import printable

if TYPE_CHECKING:
    from validator.report.model import PolicyInForce, Report

_DEFAULT = "default"
Function = TypeVar("Function", bound=Callable[..., Any])


class InForce(NamedTuple):
    """The policy of a run."""

    policy: Policy
    """With a profile and a `fail_on` in any case."""
    why: str
    """Why this file applies, or that there is none."""
    origins: Mapping[str, str]
    """Where each setting comes from, by its key in the file."""

    @property
    def profile(self) -> str:
        """The id of the profile."""
        return self.policy.profile or DEFAULT_PROFILE

    @property
    def fail_on(self) -> Severity:
        """The least severity that fails the command."""
        return self.policy.fail_on or Severity.ERROR

    @property
    def files(self) -> tuple[str | None, ...]:
        """What it was read from; None is no file."""
        return self.policy.source, self.policy.baseline and self.policy.baseline.source

    def with_new_baseline(self, path: str, reports: "Sequence[Report]") -> "InForce":
        """The same with a baseline of what was found in these images, which is written.

        Raises:
            Refused: where it cannot be written, would be too long, or the file holds anything else.
        """
        from validator.cli.reporting import write
        from validator.policy.acceptance import as_baseline
        from validator.policy.baseline import read

        baseline = as_baseline((report.judgement for report in reports), path)
        try:
            text = baseline.text()
        except ValueError as error:
            raise options.Refused(f"--write-baseline: {error}") from error
        try:
            if os.path.exists(path) and os.path.getsize(path):
                read(path, path)
            write(path, text)
        except ValueError as error:
            message = f"--write-baseline would overwrite what is no baseline: {error}"
            raise options.Refused(printable(message)) from error
        except OSError as error:
            raise options.Refused(f"cannot write the baseline {printable(path)}: {error.strerror}") from error
        return self._replace(policy=self.policy._replace(baseline=baseline))

    def warnings(self, reports: "Sequence[Report]") -> tuple[str, ...]:
        """What of it had no effect in a run, or accepted nothing."""
        without_effect = self.without_effect
        if not self.policy.waivers and self.policy.baseline is None:
            return without_effect
        from validator.policy.acceptance import idle

        judgements = [(report.path, report.judgement) for report in reports]
        return (*without_effect, *idle(self.policy, judgements))

    @property
    def without_effect(self) -> tuple[str, ...]:
        """What of it has no effect under the profile, in sentences."""
        if not self.policy.select and not self.policy.severity:
            return ()
        return self.policy.idle(options.all_checks(self.profile), self.profile)

    @property
    def in_report(self) -> "PolicyInForce | None":
        """What a report says of it; None where there is none."""
        policy = self.policy
        if policy == NO_POLICY._replace(profile=policy.profile, fail_on=policy.fail_on):
            return None
        from validator.report.model import PolicyInForce

        checks = policy.catalogue(options.all_checks(self.profile))
        asked = [each for each in checks if self.profile in each.severity]
        left_out = tuple(each.id for each in asked if policy.leaves_out(each))
        return PolicyInForce(policy.source, policy.digest, left_out)


def policy_file(function: Callable[..., int]) -> Callable[..., int]:
    """`--policy` and `--no-policy`, handed over as one parameter `in_force`."""
    return _loading(function, ("policy_path", "no_policy"), _FILE_OPTIONS)


def policy_options(function: Callable[..., int]) -> Callable[..., int]:
    """All that chooses and overrides a policy, handed over as one parameter `in_force`."""
    names = ("policy_path", "no_policy", "profile", "select", "ignore", "fail_on", "baseline")
    return _loading(function, names, (*_FILE_OPTIONS, *_SETTINGS))


def _loading(
    function: Callable[..., int], names: Collection[str], decorators: Collection[Callable[..., Any]]
) -> Callable[..., int]:
    @functools.wraps(function)
    def loaded(*args: Any, **given: Any) -> int:
        said = {name: given.pop(name) for name in names}
        in_force = load(**said, keep_baseline=given.get("write_baseline") is None)
        return function(*args, in_force=in_force, **given)

    for decorator in decorators:
        loaded = decorator(loaded)
    return loaded


def _names(ctx: click.Context, param: click.Parameter, values: tuple[str, ...]) -> tuple[str, ...] | None:
    """Names between commas, the option given once or more; None where it was not given."""
    names = [name.strip() for value in values for name in value.split(",")]
    return tuple(dict.fromkeys(filter(None, names))) if values else None


_FILE_OPTIONS = (
    click.option("--no-policy", is_flag=True, help="No policy file, whatever is there."),
    click.option(
        "--policy",
        "policy_path",
        type=click.Path(exists=True, dir_okay=False),
        metavar="FILE",
        help=f"The policy, instead of the {FILE_NAME} or pyproject.toml above the working directory.",
    ),
)
_SETTINGS = (
    click.option(
        "--baseline",
        type=click.Path(exists=True, dir_okay=False),
        metavar="FILE",
        help="Warnings and notices that are accepted; `check --write-baseline` makes it.",
    ),
    click.option(
        "--fail-on",
        type=click.Choice([Severity.ERROR.value, Severity.WARNING.value]),
        help="Which failed checks fail the command. It changes no verdict. Left out: the policy, else error.",
    ),
    click.option(
        "--ignore",
        multiple=True,
        callback=_names,
        metavar="NAMES",
        help="Checks and families that are not asked, with commas between; instead of the policy's.",
    ),
    click.option(
        "--select",
        multiple=True,
        callback=_names,
        metavar="NAMES",
        help="Ask only these checks and families, with commas between, and what is always asked; instead of "
        "the policy's.",
    ),
    click.option(
        "--profile",
        type=click.Choice([profile.id for profile in PROFILES]),
        help="The question to ask. "
        + " ".join(f"{profile.id}: {profile.title}" for profile in PROFILES)
        + f" Left out: the policy, else {DEFAULT_PROFILE}.",
    ),
)


def write_baseline(function: Function) -> Function:
    """`--write-baseline`."""
    return click.option(
        "--write-baseline",
        type=click.Path(dir_okay=False),
        metavar="FILE",
        help="Accept today's warnings and notices: write them to a baseline, which counts at once.",
    )(function)


def load(
    policy_path: str | None = None,
    no_policy: bool = False,
    profile: str | None = None,
    select: tuple[str, ...] | None = None,
    ignore: tuple[str, ...] | None = None,
    fail_on: str | None = None,
    baseline: str | None = None,
    *,
    keep_baseline: bool = True,
) -> InForce:
    """The policy that applies, under what the command line says.

    Args:
        policy_path: the file that the user names; None: it is looked for.
        no_policy: whether there is to be none.
        profile: overrides that of the file; so do the next four.
        select: ids and families.
        ignore: ids and families.
        fail_on: a severity.
        baseline: a file.
        keep_baseline: whether a baseline counts; not while it is written anew.

    Raises:
        Refused: where the policy or a name is wrong.
    """
    if policy_path is not None and no_policy:
        raise click.UsageError("--policy and --no-policy exclude each other")
    found = Found(policy_path, "named by --policy") if policy_path else None
    why = "switched off by --no-policy"
    try:
        if found is None and not no_policy:
            found = find(folder) if (folder := options.folder()) else None
            why = "no file was found in the working directory or above it"
        policy = _read(found.path, keep_baseline and baseline is None) if found else NO_POLICY
        if baseline is not None and keep_baseline:
            from validator.policy.baseline import read

            policy = policy._replace(baseline=read(baseline, baseline))
    except OSError as error:
        raise options.Refused(
            f"cannot read the policy {printable(str(error.filename))}: {error.strerror}"
        ) from error
    except ValueError as error:
        raise options.Refused(printable(str(error))) from error
    _refuse_unknown(policy, select or (), ignore or ())
    said: dict[str, Any] = {
        "profile": profile,
        "select": select,
        "ignore": ignore,
        "fail_on": fail_on and Severity(fail_on),
    }
    file = policy.source or ""
    origins = {"baseline": "--baseline" if baseline else file if policy.baseline else _DEFAULT}
    for name, value in said.items():
        key = name.replace("_", "-")
        origins[key] = file if getattr(policy, name) else _DEFAULT
        if value is not None:
            origins[key] = f"--{key}"
    policy = policy._replace(**{name: value for name, value in said.items() if value is not None})
    policy = policy._replace(
        profile=policy.profile or DEFAULT_PROFILE, fail_on=policy.fail_on or Severity.ERROR
    )
    return InForce(policy, found.why if found else why, origins)


def _read(path: str, with_baseline: bool) -> Policy:
    options.all_checks()  # a plug-in that cannot be used is no fault of the policy
    from validator.policy.file import read

    return read(path, with_baseline=with_baseline)


def _refuse_unknown(policy: Policy, select: Collection[str], ignore: Collection[str]) -> None:
    """What holds for names in the file holds for those on the command line."""
    if not select and not ignore:
        return
    options.all_checks()
    from validator.policy.file import fault_of_ignored, known_names
    from validator.policy.toml import fault

    ids, families = known_names(policy.expectations)
    for option, names in (("--select", select), ("--ignore", ignore)):
        for name in names:
            why = fault(name, [*ids, *families], "check or family")
            if why is None and option == "--ignore":
                why = fault_of_ignored(name)
            if why is not None:
                raise options.Refused(printable(f"{option}: {why}"))
