"""Passwords in answer files."""

from __future__ import annotations

import base64

from tests.catalogue.model import Case, cannot_tell, fails, passes
from tests.catalogue.provisioning import (
    PANTHER,
    PLATFORM,
    PROCESSED,
    SPECIALIZED,
    SYSPREP,
    answer,
    settings,
    unreadable,
    with_answer,
)


def administrator(value: str, plain: str | None = None) -> str:
    """The password of the built-in Administrator."""
    kind = "" if plain is None else f"<PlainText>{plain}</PlainText>"
    element = f"<AdministratorPassword><Value>{value}</Value>{kind}</AdministratorPassword>"
    return f"<UserAccounts>{element}</UserAccounts>"


def hidden(password: str, element: str = "AdministratorPassword") -> str:
    """A password as Windows System Image Manager hides it."""
    return base64.b64encode((password + element).encode("utf-16-le")).decode()


def with_setting(more: str, path: str = PANTHER, name: str = "oobeSystem") -> dict[str, object]:
    """A change: an answer file with this setting."""
    return {"change": with_answer(answer(settings(name, processed=True, more=more)), path)}


PLAIN = with_setting(administrator("Sw0rdfish!", "true"))
WHERE = "oobeSystem/Microsoft-Windows-Shell-Setup/UserAccounts/AdministratorPassword"

WA_SETUP = (
    b'<Event source="Unattend"><UnattendStart/></Event>\r\n'
    b'<Event source="Environment"><AdminPassword>*SENSITIVE*DATA*DELETED*</AdminPassword>'
    b"<ResetPasswordOnFirstLogon>false</ResetPasswordOnFirstLogon></Event>\r\n"
)
"""The form of the log that every Windows machine of Azure has; lines as in a public one."""

CASES: tuple[Case, ...] = (
    passes("unattend-password"),
    passes("unattend-password", "no password in it", change=with_answer(PROCESSED)),
    passes("unattend-password", "Azure's own", change=with_answer(PLATFORM)),
    passes(
        "unattend-password",
        "deleted by Windows Setup",
        **with_setting(
            "<UserAccounts><AdministratorPassword>*SENSITIVE*DATA*DELETED*</AdministratorPassword></UserAccounts>"
        ),
    ),
    passes("unattend-password", "empty", **with_setting(administrator("", "true"))),
    passes("unattend-password", "empty and hidden", **with_setting(administrator(hidden(""), "false"))),
    passes(
        "unattend-password",
        "another folder",
        **with_setting(administrator("Sw0rdfish!"), r"Windows\System32\Sysprep\ActionFiles\Generalize.xml"),
    ),
    passes(
        "unattend-password",
        "a large file that is no answer file",
        change=with_answer(b" " * (2**20 + 1), r"Windows\Panther\MigLog.xml"),
        shows="a file of 1048577 bytes",
    ),
    passes(
        "unattend-password",
        "a broken log",
        change=with_answer(b"<xml><row Msg='cut", r"Windows\Panther\diagwrn.xml"),
    ),
    passes(
        "unattend-password",
        "the log of Azure's provisioning, which has many roots",
        change=with_answer(WA_SETUP, r"Windows\Panther\WaSetup.xml"),
    ),
    fails("unattend-password", "plain", "warning", shows=f"{WHERE}: a password as plain text", **PLAIN),
    fails(
        "unattend-password",
        "hidden",
        "warning",
        shows=f"{WHERE}: a password in base64",
        **with_setting(administrator(hidden("Sw0rdfish!"), "false")),
    ),
    fails(
        "unattend-password",
        "in sysprep's folder",
        "warning",
        shows="Credentials/Password",
        **with_setting(
            "<Identification><Credentials><Password>Sw0rdfish!</Password></Credentials></Identification>",
            SYSPREP,
            "specialize",
        ),
    ),
    fails(
        "unattend-password",
        "under another name",
        "warning",
        shows=r"\Windows\OEM\answers.XML",
        **with_setting(administrator("Sw0rdfish!"), r"Windows\OEM\answers.XML"),
    ),
    fails(
        "unattend-password",
        "in a file that breaks off",
        "warning",
        change=with_answer(b"<unattend><x><Password>Sw0rdfish!"),
        shows="x/Password",
    ),
    fails(
        "unattend-password",
        "two",
        "warning",
        says="2 passwords",
        **with_setting(
            administrator("Sw0rdfish!") + "<AutoLogon><Password><Value>x</Value></Password></AutoLogon>"
        ),
    ),
    fails("unattend-password", "specialized", "warning", **PLAIN, **SPECIALIZED),
    cannot_tell("unattend-password", change=unreadable("SYSTEM")),
    cannot_tell(
        "unattend-password",
        "a file that breaks off before it",
        change=with_answer(b"<unattend><x><Password", r"Windows\Panther\a.xml"),
    ),
    cannot_tell("unattend-password", "too large", change=with_answer(b" " * (2**20 + 1))),
)
