"""What Contoso wants of its images, beside what every image needs."""

from collections.abc import Iterator
from typing import NamedTuple

from validator.plugins import (
    Evidence,
    Finding,
    Layer,
    Location,
    NtfsVolume,
    Plugin,
    Remedy,
    Services,
    Severity,
    WindowsTarget,
    by_profile,
    check,
    decode,
    failed,
    passed,
    redact,
)

WIKI = "https://wiki.contoso.example/images"


# --- a check on a fact that is there already ------------------------------------------------------


@check(
    "contoso-agent",
    family="contoso",
    severity=by_profile(Severity.ERROR, Severity.ERROR, Severity.ERROR),
    remedy=Remedy(
        "Install the agent before sysprep, and let it start by itself.",
        ("sc.exe config ContosoAgent start= auto",),
    ),
    references=(f"{WIKI}/agent",),
    since="1.0",
)
def contoso_agent(services: Services) -> Iterator[Finding]:
    """Contoso's agent starts with the machine.

    A machine without it is not patched, and the network team cuts it off after a day.
    """
    agent = services.get("ContosoAgent")
    if agent is None:
        nothing = Evidence(services.where("ContosoAgent"), "no such key")
        yield failed("Contoso's agent is not installed.", nothing)
    elif agent.disabled:
        yield failed("Contoso's agent is disabled.", agent.evidence)
    else:
        yield passed("Contoso's agent is installed.", agent.evidence)


# --- a fact of one's own, and the check that rests on it ------------------------------------------


class BuildRecord(NamedTuple):
    """What the build wrote down of itself."""

    text: str
    where: Location


def contoso_build_record(file_system: NtfsVolume) -> BuildRecord | None:
    r"""The beginning of C:\Contoso\build.txt, or None where it is verified not to be there."""
    file = file_system.open(r"Contoso\build.txt")
    if file is None:
        return None
    where = Location(Layer.FILE_SYSTEM, partition=file.partition, path=file.path)
    return BuildRecord(decode(file.read_at(0, min(4096, file.size))), where)


@check(
    "contoso-build-record",
    family="contoso",
    severity=by_profile(Severity.WARNING, None, Severity.WARNING),
    remedy=Remedy(r"Let the build write its number to C:\Contoso\build.txt."),
    references=(f"{WIKI}/build-record",),
    since="1.0",
)
def contoso_build_has_record(contoso_build_record: BuildRecord | None) -> Iterator[Finding]:
    """The image says which build made it.

    Without the number nobody can find the log of the build that made a machine.
    """
    if contoso_build_record is None:
        yield failed("The image does not say which build made it.")
    else:
        found = Evidence(contoso_build_record.where, redact(contoso_build_record.text.strip()))
        yield passed("The image says which build made it.", found)


# --- a check on all that dissect.target reads -----------------------------------------------------


@check(
    "contoso-scripts",
    family="contoso",
    severity=by_profile(Severity.WARNING, Severity.NOTICE, Severity.WARNING),
    remedy=Remedy("Delete the scripts of the build at its end.", (r"rd /s /q C:\Contoso\scripts",)),
    references=(f"{WIKI}/scripts",),
    since="1.0",
)
def contoso_scripts(target: WindowsTarget) -> Iterator[Finding]:
    """No script of the build is left in the image.

    They name internal servers, and some of them have tokens in them.
    """
    volume = target.target.fs.path("sysvol")
    scripts = target.read("scripts", lambda: volume.joinpath("Contoso/scripts").rglob("*.ps1"))
    paths = ["\\".join(("", *script.relative_to(volume).parts)) for script in scripts]
    if paths:
        places = [Location(Layer.FILE_SYSTEM, path=path) for path in paths]
        yield failed("Scripts of the build are left.", *(Evidence(where, "a script") for where in places))
    else:
        yield passed("No script of the build is left.")


plugin = Plugin(
    checks=(contoso_agent, contoso_build_has_record, contoso_scripts),
    facts=(contoso_build_record,),
)
