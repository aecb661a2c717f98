"""Security: secrets that every machine made from the image would share."""

from collections.abc import Iterator

from validator.checks.model import (
    Check,
    Finding,
    Remedy,
    Severity,
    by_profile,
    check,
    failed,
    passed,
    unknown,
)
from validator.evidence import Evidence
from validator.facts.provisioning import AnswerFiles
from validator.windows.answer_file import AnswerFile, FaultKind, Password

FAMILY = "security"
_SHOWN = 20
"""Passwords that are listed."""


@check(
    "unattend-password",
    family=FAMILY,
    severity=by_profile(Severity.WARNING, Severity.WARNING, None),
    remedy=Remedy(
        "Delete the file, and change the password wherever it is used: everybody who can read the image or "
        "a machine made from it has it.",
        (r"del /f C:\Windows\Panther\unattend.xml C:\Windows\System32\Sysprep\unattend.xml",),
    ),
    references=(
        "https://learn.microsoft.com/windows-hardware/customize/desktop/unattend/"
        "microsoft-windows-shell-setup-useraccounts-administratorpassword",
        "https://learn.microsoft.com/windows-hardware/manufacture/desktop/windows-setup-automation-overview",
        "https://learn.microsoft.com/windows-hardware/customize/desktop/wsim/hide-sensitive-data-in-an-answer-file",
    ),
    since="0.1",
)
def unattend_password(
    answer_files: AnswerFiles, other_xml_files: tuple[AnswerFile, ...]
) -> Iterator[Finding]:
    r"""No answer file has a password in it.

    Passwords in answer files stand there as plain text, or “hidden” as base64, which anybody can undo. In an
    image they reach everybody who may deploy it. Windows Setup replaces those that it has processed by
    `*SENSITIVE*DATA*DELETED*`; these and empty ones are no fault.

    Read: the elements `Password`, `AdministratorPassword`, `DomainAccountsPassword` and `MachinePassword` in
    the places where Windows Setup looks for answer files (see `answer-file-leftover`) and in every `*.xml`
    in `\Windows\System32\Sysprep`, `\Windows\Panther`, `\Windows\Panther\Unattend` and `\Windows\OEM`. The
    report names file, line and element, never the password or anything about it. What cannot be read of
    these files is unknown, but a file above 1 MiB that Windows Setup does not look for is no answer file.
    """
    files = (*answer_files.files, *other_xml_files)
    found = [(file, password) for file in files for password in file.passwords]
    unread = [each.fault.evidence for each in files if each.fault and each.fault.may_hide_password]
    large = [
        each.fault.evidence
        for each in other_xml_files
        if each.fault and each.fault.kind is FaultKind.TOO_LARGE
    ]
    unsure = [evidence for evidence in unread if evidence not in large]
    if found:
        shown = [_shown(file, password) for file, password in found[:_SHOWN]]
        message = (
            "An answer file has a password in it."
            if len(found) == 1
            else f"Answer files have {len(found)} passwords in them."
        )
        yield failed(message, *shown, *unsure)
    elif unsure:
        yield unknown("A file that may have a password in it could not be read.", *unsure)
    else:
        yield passed(
            "No answer file has a password in it.",
            *(file.evidence for file in files if not file.fault),
            *large,
        )


def _shown(file: AnswerFile, password: Password) -> Evidence:
    """Where a password stands."""
    kind = "a password as plain text" if password.plain else "a password in base64, which anybody can undo"
    where = file.where._replace(line=password.line or None)
    return Evidence(where, f"{password.element}: {kind}")


CHECKS: tuple[Check, ...] = (unattend_password,)
