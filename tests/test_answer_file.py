"""The reader of answer files: what it says of real ones, of hostile ones, and what it never says."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.catalogue.provisioning import AZURE, OWN, PANTHER, SYSPREP, answer
from tests.catalogue.provisioning import settings as one_pass
from tests.catalogue.security import administrator, hidden
from tests.command import Command
from tests.conftest import Corpus
from tests.images import FixedVhd, disk_of, generalized
from validator.evidence import Layer, Location, damaged
from validator.facts.provisioning import _below_root
from validator.windows.answer_file import (
    MAX_DEPTH,
    MAX_ELEMENTS,
    MAX_SIZE,
    AnswerFile,
    FaultKind,
    Pass,
    parse,
    read_answer_file,
)

PATH = "\\" + PANTHER


def read(data: bytes) -> AnswerFile:
    """What the reader says of these bytes."""
    return parse(data, PATH, 2)


# --- what others wrote ---------------------------------------------------------------------------

ALL = ("offlineServicing", "windowsPE", "generalize", "specialize", "auditSystem", "auditUser", "oobeSystem")
TEMPLATE = ("windowsPE", "offlineServicing", "generalize", "specialize", "oobeSystem")


@pytest.mark.parametrize(
    ("name", "passes", "waiting", "passwords"),
    [
        ("autounattend_minimal.xml", ALL, ("oobeSystem",), ()),
        ("autounattend_bios.xml", ("windowsPE",), (), ()),
        ("autounattend_uefi.xml", ("windowsPE",), (), ()),
        (
            "unattend_cloudbase.xml",
            ("generalize", "oobeSystem", "specialize"),
            ("oobeSystem", "specialize"),
            (),
        ),
        (
            "autounattend_win10_template.xml",
            TEMPLATE,
            ("specialize", "oobeSystem"),
            ("AutoLogon/Password", "AdministratorPassword", "LocalAccount/Password"),
        ),
        (
            "autounattend_server2019_template.xml",
            TEMPLATE,
            ("specialize", "oobeSystem"),
            ("AutoLogon/Password", "AdministratorPassword", "LocalAccount/Password"),
        ),
    ],
)
def test_real_files(
    name: str, passes: tuple[str, ...], waiting: tuple[str, ...], passwords: tuple[str, ...], corpus: Corpus
) -> None:
    """The passes and passwords that their INDEX names."""
    found = read(corpus[f"answer/{name}"])
    assert found.fault is None
    assert not found.platform
    assert tuple(each.name for each in found.passes) == passes
    assert tuple(each.name for each in found.waiting) == waiting
    assert not any(each.processed for each in found.passes)
    assert len(found.passwords) == len(passwords)
    for password, ending in zip(found.passwords, passwords):
        assert password.element.endswith(ending)
        assert password.plain


def test_the_file_of_azure_is_known_by_a_name_space_that_it_only_declares() -> None:
    """As in the file that Azure's provisioning left on a machine: declared on elements, used by none."""
    more = f"<TimeZone{AZURE}>UTC</TimeZone>"
    found = read(answer(one_pass("specialize", more=more)))
    assert found.platform
    assert not read(answer(one_pass("specialize"))).platform


# --- encodings, marks, passwords -----------------------------------------------------------------


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le"])
def test_encodings(encoding: str) -> None:
    """By the byte order mark, whatever the declaration says."""
    found = read(OWN.decode().encode(encoding))
    assert found.fault is None
    assert [each.name for each in found.waiting] == ["specialize", "oobeSystem"]


def test_a_declared_encoding_is_not_looked_up() -> None:
    """Python knows encodings that are programs rather than character sets."""
    for name in ("idna", "unicode_escape", "nonsense"):
        assert read(OWN.replace(b'"utf-8"', f'"{name}"'.encode())).fault is None


@pytest.mark.parametrize(
    ("attributes", "expected"),
    [
        ('pass="specialize"', Pass("specialize", False, True)),
        ('pass="specialize" wasPassProcessed="true"', Pass("specialize", True, True)),
        ('pass="specialize" wasPassProcessed="false"', Pass("specialize", False, True)),
        ('pass="OOBESYSTEM" wasPassProcessed="TRUE"', Pass("oobeSystem", True, True)),
        ('pass="Sw0rdfish!"', Pass("", False, True)),
        ("", Pass("", False, True)),
    ],
)
def test_passes(attributes: str, expected: Pass) -> None:
    """A name that Windows does not know is not repeated."""
    assert read(answer(f"<settings {attributes}><component/></settings>")).passes == (expected,)


def oobe(more: str) -> bytes:
    """An answer file with something in its oobeSystem pass."""
    return answer(one_pass("oobeSystem", more=more))


@pytest.mark.parametrize(
    ("more", "plain"),
    [
        ("<Password>a</Password>", True),
        ("<Password> \n </Password>", None),
        ("<Password/>", None),
        ("<Password><Value>a</Value></Password>", True),
        ("<Password><Value>a</Value><PlainText>true</PlainText></Password>", True),
        ("<Password><PlainText>false</PlainText><Value>a</Value></Password>", False),
        ("<Password><Value><![CDATA[a]]></Value><PlainText> False </PlainText></Password>", False),
        ("<Password><PlainText>true</PlainText></Password>", None),
        ("<Password><!-- a --></Password>", None),
        ("<Password>*SENSITIVE*DATA*DELETED*</Password>", None),
        ("<Password><Value>*SENSITIVE*DATA*DELETED*</Value></Password>", None),
        (f"<Password><Value>{hidden('', 'Password')}</Value><PlainText>false</PlainText></Password>", None),
        (f"<Password><Value>{hidden('', 'Password')}</Value><PlainText>true</PlainText></Password>", True),
        ("<MachinePassword>a</MachinePassword>", True),
        ("<DomainAccountsPassword><Value>a</Value></DomainAccountsPassword>", True),
        ("<PasswordHint>a</PasswordHint>", None),
        ("<UnsecureJoin>true</UnsecureJoin>", None),
        (administrator("a", "false"), False),
    ],
)
def test_passwords(more: str, plain: bool | None) -> None:
    """Those that are there, and how they are written."""
    found = read(oobe(more))
    assert found.fault is None
    assert [each.plain for each in found.passwords] == ([] if plain is None else [plain])


def test_where_a_password_stands() -> None:
    """Pass, component, element and line; what is no plain name of an element is left out."""
    found = read(
        b'<unattend>\n<settings pass="specialize">\n<component name="a b"><x>\n<Password>s</Password>'
    )
    (password,) = found.passwords
    assert (password.element, password.line) == ("specialize/…/x/Password", 4)
    assert found.fault is not None
    deep = "<a>" * 20 + "<Password>s</Password>" + "</a>" * 20
    (password,) = read(oobe(deep)).passwords
    assert password.element == "…/a/a/a/a/a/a/a/Password"


# --- hostile files -------------------------------------------------------------------------------

BOMB = b"""<?xml version="1.0"?><!DOCTYPE lolz [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;">
<!ENTITY c "&b;&b;&b;&b;&b;&b;&b;&b;">]><unattend>&c;</unattend>"""
EXTERNAL = b'<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><unattend>&x;</unattend>'
OUTSIDE = b'<!DOCTYPE unattend SYSTEM "http://127.0.0.1/x.dtd"><unattend/>'


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (b"", FaultKind.NO_XML),
        (b"\0" * 100, FaultKind.NO_XML),
        (b"\xff\xfe", FaultKind.NO_XML),
        (b"\xff\xfe\0\xd8<\0", FaultKind.NO_XML),
        (b"<unattend>", FaultKind.NO_XML),
        (b"<unattend></Unattend>", FaultKind.NO_XML),
        (b"<unattend>&secret;</unattend>", FaultKind.NO_XML),
        (b"<a:unattend/>", FaultKind.NO_XML),
        (b"<unattend/><unattend/>", FaultKind.NO_XML),
        (b"<Unattend/>", FaultKind.OTHER_ROOT),
        (b"<xml/>", FaultKind.OTHER_ROOT),
        (BOMB, FaultKind.REFUSED),
        (EXTERNAL, FaultKind.REFUSED),
        (OUTSIDE, FaultKind.REFUSED),
        (b"<unattend>" + b"<a>" * MAX_DEPTH, FaultKind.REFUSED),
        (b"<unattend>" + b"<a/>" * MAX_ELEMENTS, FaultKind.REFUSED),
        (b"<unattend xmlns='" + b"u" * 2000 + b"'/>", FaultKind.REFUSED),
    ],
)
def test_what_is_no_answer_file(data: bytes, kind: FaultKind) -> None:
    """A fault with evidence that names the file, and quotes nothing of it."""
    fault = read(data).fault
    assert fault is not None
    assert fault.kind is kind
    assert fault.evidence.where == Location(Layer.FILE_SYSTEM, None, 2, PATH)
    assert "secret" not in repr(fault)


@pytest.mark.parametrize(
    ("data", "hides"),
    [
        (b"<a/>\n<b/>", False),
        (b"<a/>\n<AdminPassword>x</AdminPassword>", False),
        (b"<a/>\n<Password>x</Password>", True),
        (b"<a/>\r<b>\r<Password>x</Password>", True),
        (b"<a>\r\r\r\r<Password", True),
        (b"<a/>\n<w:MACHINEPASSWORD a='b'>x", True),
        (b"<unattend><Password></Password></unattend><a/>", True),
        (b"<unattend><Password></Password></unattend>\n<a/>", False),
        (b"<!DOCTYPE a [<!ENTITY b '<Password>x</Password>'>]><a>&b;</a>", True),
        (b"<!DOCTYPE a><a/>", False),
    ],
)
def test_whether_a_password_may_be_in_what_was_not_read(data: bytes, hides: bool) -> None:
    """Azure's log of a provisioning has many roots, and names its own password."""
    fault = read(data).fault
    assert fault is not None
    assert fault.may_hide_password is hides


@dataclass
class Bytes:
    """A file of an image."""

    data: bytes
    size: int
    path: str = PATH
    partition: int = 2

    def read_at(self, offset: int, length: int) -> bytes:
        """See `ByteSource`; damaged where it is shorter than it says."""
        if offset + length > len(self.data):
            raise damaged(Location(Layer.FILE_SYSTEM, 0, 2, PATH), expected="bytes", found="none")
        return self.data[offset : offset + length]


def test_size_and_damage() -> None:
    """Neither is read, and a password may be in both."""
    large = read_answer_file(Bytes(b"", MAX_SIZE + 1))
    assert large.fault is not None
    assert (large.fault.kind, large.fault.may_hide_password) == (FaultKind.TOO_LARGE, True)
    lost = read_answer_file(Bytes(b"", 10))
    assert lost.fault is not None
    assert (lost.fault.kind, lost.fault.may_hide_password) == (FaultKind.REFUSED, True)
    assert read_answer_file(Bytes(OWN, len(OWN))).fault is None


@pytest.mark.parametrize(
    "data",
    [
        b"<unattend>" + b"<a/>" * 2**18,
        b"<unattend " + b"".join(b"a%d='' " % n for n in range(80_000)) + b"/>",
        b"<unattend><Password>" + b"x\n" * 2**18,
        b"<unattend>" + b"<Password>a</Password>" * 2**14,
        b"<unattend xmlns='" + b"u" * 2**19 + b"'>" + b"<a b='c'/>" * 2**13,
        b"<" * 2**20,
    ],
    ids=["elements", "attributes", "lines", "passwords", "name space", "brackets"],
)
def test_no_file_takes_long(data: bytes) -> None:
    """An image may have 38 of them, and ten seconds."""
    started = time.process_time()
    read(data[:MAX_SIZE])
    assert time.process_time() - started < 1


PIECES = st.sampled_from(
    [
        "<unattend>", "</unattend>", '<settings pass="specialize">', '<settings pass="oobeSystem" ',
        "</settings>", "<component>", "</component>", "<Password>", "</Password>", "<Value>", "</Value>",
        "<PlainText>", "</PlainText>", "true", "false", "<!--", "-->", "<![CDATA[", "]]>", "<!DOCTYPE a [",
        "<!ENTITY b 'c'>", "&b;", "&#0;", "&#65;", "\0", "\ufeff", "<?xml version='1.1' encoding='utf-16'?>",
        "xmlns='", "'>", " ",
    ]
)  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(
    st.one_of(
        st.binary(max_size=400), st.lists(PIECES, max_size=40).map(lambda parts: "".join(parts).encode())
    )
)
def test_any_bytes_are_an_answer_file_or_a_fault(data: bytes) -> None:
    """No exception leaves the reader."""
    for each in (data, data.decode("latin-1").encode("utf-16")):
        found = read(each)
        assert found.evidence.where.path == PATH
        assert found.fault is None or found.fault.evidence.found


SECRETS = st.text(st.characters(codec="utf-8", categories=("L", "N", "P", "S")), min_size=6, max_size=20).map(
    lambda text: f"☠{text.translate(str.maketrans('', '', '<&]'))}"
)


@settings(max_examples=200, deadline=None)
@given(
    SECRETS,
    st.sampled_from(["true", "false", None]),
    st.integers(0, 400),
    st.sampled_from(["utf-8", "utf-16"]),
)
def test_a_password_is_found_and_never_repeated(
    secret: str, plain: str | None, cut: int, encoding: str
) -> None:
    """Not by a whole file, nor by one that breaks off anywhere in it."""
    whole = oobe(administrator(secret, plain)).decode()
    (password,) = read(whole.encode(encoding)).passwords
    assert password.plain == (plain != "false")
    for found in (read(whole.encode(encoding)), read(whole[: len(whole) - cut].encode(encoding))):
        told = repr(found) + str(found.evidence) + "".join(map(repr, found.passwords))
        assert secret not in told
        assert "☠" not in told


# --- where files are ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("stored", "path"),
    [
        (r"C:\a\b.xml", r"a\b.xml"),
        (r"c:\\b.xml", "b.xml"),
        (r'"C:\b.xml"', "b.xml"),
        ("C:/a/b.xml", r"a\b.xml"),
        (r"%SystemRoot%\Panther\b.xml", r"Windows\Panther\b.xml"),
        (r"%windir%\b.xml", r"Windows\b.xml"),
        (r"%SystemDrive%\b.xml", "b.xml"),
        (r"D:\b.xml", None),
        (r"\\server\b.xml", None),
        ("b.xml", None),
    ],
)
def test_the_file_that_the_registry_names(stored: str, path: str | None) -> None:
    """Below the root of the volume of Windows, or not on it."""
    assert _below_root(stored) == path


# --- the whole command ----------------------------------------------------------------------------

SECRET = "Tr0ub4dor&amp;3-Ünïque"
SHOWN_SECRET = SECRET.replace("&amp;", "&")


def test_no_report_repeats_a_password(command: Command, image: Callable[..., Path]) -> None:
    """Plain, hidden, in a file that the registry names, in one that breaks off: in no format."""
    encoded = [hidden(SHOWN_SECRET, name) for name in ("Password", "AdministratorPassword")]
    logon = (
        f"<AutoLogon><Password><Value>{encoded[0]}</Value><PlainText>false</PlainText></Password></AutoLogon>"
    )
    windows = (
        generalized()
        .file(PANTHER, oobe(administrator(SECRET, "true") + logon))
        .file(SYSPREP, oobe(administrator(encoded[1], "false")).decode().encode("utf-16"))
        .file(r"Windows\OEM\left.xml", oobe(administrator(SECRET))[:-60])
        .file(r"build\answers.txt", oobe(f"<Credentials><Password>{SECRET}</Password></Credentials>"))
        .system("Setup", UnattendFile=r"C:\build\answers.txt")
    )
    path = image(disk_of(windows, "gpt"), FixedVhd())
    judged = command.judge(path, "--profile", "azure-generalized")
    finding: dict[str, Any] = judged.finding("unattend-password")
    assert finding["status"] == "failed"
    shown = [each["found"] for each in finding["evidence"]]
    assert sum("a password" in each for each in shown) == 5
    assert "no well-formed XML" in shown[5]
    assert judged["verdict"] == "deployable"
    texts = [
        command("check", "--profile", profile, "--format", kind, *more, path)
        for profile in ("azure-generalized", "azure-specialized")
        for kind in ("json", "text")
        for more in ((), ("--verbose",))
    ]
    for outcome in texts:
        assert "unattend-password" in outcome.stdout
        for secret in (SECRET, SHOWN_SECRET, *encoded, "Tr0ub4dor", "nïque", "n\\u00efque"):
            assert secret not in outcome.stdout
            assert secret not in outcome.stderr


def test_many_files_are_not_all_read(command: Command, image: Callable[..., Path]) -> None:
    """A folder full of XML is unknown, and says why."""
    windows = generalized()
    for number in range(40):
        windows = windows.file(rf"Windows\OEM\{number:02}.xml", b"<a/>")
    finding = command.judge(
        image(disk_of(windows, "gpt"), FixedVhd()), "--profile", "azure-generalized"
    ).finding("unattend-password")
    assert finding["status"] == "unknown"
    assert finding["evidence"][0]["path"] == r"\Windows\OEM\32.xml"
