"""Answer files (unattend.xml): which passes they have, and where a password stands, never what it is.

Sources: Microsoft, Unattended Windows Setup Reference, Windows Setup Automation Overview. An answer file is
hostile input: a document type (and with it every entity), deep nesting and great size are refused; what is
refused, damaged or no XML is an outcome of its own.
"""

import base64
import re
from enum import Enum
from typing import NamedTuple

from validator.evidence import Evidence, Layer, Location, Unreadable
from validator.source import File
from validator.windows.text import decode

MAX_SIZE = 2**20
"""Answer files have some ten KiB; larger ones are not parsed."""
MAX_DEPTH = 64
MAX_ELEMENTS = 20_000
MAX_NAME_SPACE = 1024
"""Characters; every element has the name of its own in front of it."""
SETUP_PASSES = ("specialize", "oobeSystem")
"""The passes that the first start of a generalized image runs."""
PLATFORM = "http://schemas.microsoft.com/2009/05/WindowsAzure"
"""What the name spaces that Azure's own answer file declares begin with."""

_PASSES = {
    name.lower(): name
    for name in (
        "windowsPE", "offlineServicing", "generalize", "specialize", "auditSystem", "auditUser", "oobeSystem",
    )
}  # fmt: skip
_SECRETS = {"password", "administratorpassword", "domainaccountspassword", "machinepassword"}
_SECRET_TAG = re.compile(r"(?i)<(?:[^\s<>:/]+:)?(?:administrator|domainaccounts|machine)?password(?![\w.-])")
_LINE_END = re.compile(r"\r\n|\r|\n")
"""What the parser counts as the end of a line."""
_DELETED = "*SENSITIVE*DATA*DELETED*"
"""What Windows Setup puts in the place of a password that it has processed."""
_PLAIN_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,63}")
_MAX_PATH = 8
"""Names of an element's path that are shown."""


class Pass(NamedTuple):
    """The settings for one configuration pass."""

    name: str
    """As Windows writes it; empty for one that Windows does not know."""
    processed: bool
    """Whether Windows Setup marked it as processed (wasPassProcessed)."""
    has_settings: bool

    def __str__(self) -> str:
        name = self.name or "a pass that Windows does not know"
        return f"{name} ({'processed' if self.processed else 'not processed'})"


class Password(NamedTuple):
    """Where a password stands. What it is never leaves this module."""

    element: str
    """Pass, component and element, such as `oobeSystem/Microsoft-Windows-Shell-Setup/AutoLogon/Password`."""
    plain: bool
    """False where it is only encoded (base64), which everybody can undo."""
    line: int


class FaultKind(str, Enum):
    """Why a file could not be read as an answer file."""

    NO_XML = "no XML"
    """Windows Setup does not understand it either."""
    OTHER_ROOT = "another kind of XML"
    TOO_LARGE = "too large"
    REFUSED = "refused"
    """Damaged, or beyond the bounds of this reader."""


class Fault(NamedTuple):
    """Why a file, or the rest of it, could not be read as an answer file."""

    kind: FaultKind
    evidence: Evidence
    may_hide_password: bool
    """Whether a password may stand in what was not read."""


class AnswerFile(NamedTuple):
    """What an answer file says, as far as it matters here."""

    path: str
    partition: int
    platform: bool = False
    """Whether it is Azure's own, which the provisioning of a machine leaves behind."""
    passes: tuple[Pass, ...] = ()
    passwords: tuple[Password, ...] = ()
    fault: Fault | None = None
    """What was read before it is in the other fields."""

    @property
    def where(self) -> Location:
        """The file."""
        return Location(Layer.FILE_SYSTEM, None, self.partition, self.path)

    @property
    def waiting(self) -> tuple[Pass, ...]:
        """Passes with settings that the first start of an image would apply."""
        return tuple(
            each
            for each in self.passes
            if each.name in SETUP_PASSES and each.has_settings and not each.processed
        )

    @property
    def evidence(self) -> Evidence:
        """Its passes."""
        whose = "Azure's own answer file: " if self.platform else ""
        shown = dict.fromkeys(map(str, self.passes))  # a pass may be there more than once
        return Evidence(self.where, whose + (", ".join(shown) or "no pass"))


def read_answer_file(file: File) -> AnswerFile:
    """Read one; nothing in it or about it raises."""
    if file.size > MAX_SIZE:
        what = f"a file of {file.size} bytes"
        return _faulty(AnswerFile(file.path, file.partition), FaultKind.TOO_LARGE, what, True)
    try:
        data = file.read_at(0, file.size)
    except Unreadable as error:
        fault = Fault(FaultKind.REFUSED, error.evidence, may_hide_password=True)
        return AnswerFile(file.path, file.partition, fault=fault)
    return parse(data, file.path, file.partition)


def parse(data: bytes, path: str, partition: int) -> AnswerFile:
    """Understand the bytes of an answer file."""
    target = _Target()
    fault = _feed(decode(data), target)
    target.end_secrets()
    if fault is None and target.root != "unattend":
        fault = FaultKind.OTHER_ROOT, "another root element", False
    found = AnswerFile(path, partition, target.platform, tuple(target.passes), tuple(target.passwords))
    return found if fault is None else _faulty(found, *fault)


def _feed(text: str, target: "_Target") -> tuple[FaultKind, str, bool] | None:
    """Have a text parsed as far as it goes; what stopped it, and whether a password may be in the rest."""
    from defusedxml import DefusedXmlException
    from defusedxml.ElementTree import DefusedXMLParser, ParseError

    # Text overrides the declared encoding: no codec is looked up by a name that the file gives.
    parser = DefusedXMLParser(target=target, forbid_dtd=True)
    target.expat = parser.parser
    named = "password" in text.lower()
    try:
        parser.feed(text)
        parser.close()
    except _Beyond as bound:
        return FaultKind.REFUSED, f"more than {bound}", named
    except DefusedXmlException:
        return FaultKind.REFUSED, "a document type, which answer files do not have", named
    except ParseError as error:
        line = int(error.position[0])  # its own words may quote the file
        rest = "\n".join(_LINE_END.split(text)[line - 1 :])
        hides = named and _SECRET_TAG.search(rest) is not None
        return FaultKind.NO_XML, f"no well-formed XML at line {line}", hides
    except ValueError as error:
        return FaultKind.NO_XML, f"no well-formed XML ({type(error).__name__})", named
    return None


def _faulty(found: AnswerFile, kind: FaultKind, what: str, hides: bool) -> AnswerFile:
    evidence = Evidence(found.where, what, f"an answer file of at most {MAX_SIZE} bytes")
    return found._replace(fault=Fault(kind, evidence, hides))


class _Beyond(Exception):
    """A bound of this reader."""


class _Open(NamedTuple):
    """A password element that has begun."""

    depth: int
    name: str
    element: str
    line: int
    value: list[str]
    plain_text: list[str]


class _Target:
    """Takes what the parser meets, and keeps only what is asked for."""

    def __init__(self) -> None:
        self.root = ""
        self.platform = False
        self.passes: list[Pass] = []
        self.passwords: list[Password] = []
        self.expat: object = None
        self._names: list[str] = []
        """The open elements; for a pass its own name, for a component that of what it sets."""
        self._count = 0
        self._secrets: list[_Open] = []
        self._sink: list[list[str] | None] = []
        """Where the text of each open element goes."""

    def start_ns(self, _prefix: str, uri: str) -> None:
        """A name space is declared; Azure's file declares its own without using them."""
        if len(uri) > MAX_NAME_SPACE:
            raise _Beyond(f"{MAX_NAME_SPACE} characters in the name of a name space")
        self.platform = self.platform or uri.startswith(PLATFORM)

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        """An element begins."""
        self._count += 1
        if self._count > MAX_ELEMENTS:
            raise _Beyond(f"{MAX_ELEMENTS} elements")
        name = tag.rpartition("}")[2]
        depth = len(self._names)
        if depth >= MAX_DEPTH:
            raise _Beyond(f"{MAX_DEPTH} elements inside each other")
        if not depth:
            self.root = name
        in_settings = depth > 1 and self.root == "unattend"
        if depth == 1 and self.root == "unattend" and name == "settings":
            self._begin_pass(attributes)
        elif depth == 2 and in_settings and self.passes:
            self.passes[-1] = self.passes[-1]._replace(has_settings=True)
        self._names.append(self._shown(depth, name, attributes))
        self._sink.append(self._text_of(name, depth))

    def _begin_pass(self, attributes: dict[str, str]) -> None:
        name = _PASSES.get(attributes.get("pass", "").strip().lower(), "")
        processed = attributes.get("wasPassProcessed", "").strip().lower() == "true"
        self.passes.append(Pass(name, processed, has_settings=False))

    def _shown(self, depth: int, name: str, attributes: dict[str, str]) -> str:
        """How the path of an element calls this one."""
        if depth == 1 and name == "settings" and self.passes:
            name = self.passes[-1].name
        elif depth == 2 and name == "component":
            name = attributes.get("name", "")
        return name if _PLAIN_NAME.fullmatch(name) else "…"

    def _text_of(self, name: str, depth: int) -> list[str] | None:
        if name.lower() in _SECRETS:
            path = self._names[1:] or self._names
            shown = "/".join([*(["…"] if len(path) > _MAX_PATH else []), *path[-_MAX_PATH:]])
            line = int(getattr(self.expat, "CurrentLineNumber", 0))
            self._secrets.append(_Open(depth, name, shown, line, [], []))
            return self._secrets[-1].value
        if self._secrets and self._secrets[-1].depth == depth - 1:
            if name.lower() == "value":
                return self._secrets[-1].value
            if name.lower() == "plaintext":
                return self._secrets[-1].plain_text
        return None

    def data(self, text: str) -> None:
        """Text of the innermost element."""
        if self._sink and (sink := self._sink[-1]) is not None:
            sink.append(text)

    def end(self, _tag: str) -> None:
        """An element ends."""
        self._names.pop()
        self._sink.pop()
        self.end_secrets(len(self._names))

    def end_secrets(self, depth: int = 0) -> None:
        """The password elements at this depth or below are over, or the file is."""
        while self._secrets and self._secrets[-1].depth >= depth:
            self._end_secret(self._secrets.pop())

    def _end_secret(self, secret: _Open) -> None:
        value = "".join(secret.value).strip()
        plain = "".join(secret.plain_text).strip().lower() not in ("false", "0")
        # Windows System Image Manager encodes the password with the element's name behind it.
        nothing = base64.b64encode(secret.name.encode("utf-16-le")).decode("ascii")
        if value and value != _DELETED and not (value == nothing and not plain):
            self.passwords.append(Password(secret.element, plain, secret.line))

    def close(self) -> None:
        """The document is over."""
