"""What is accepted as it is today: warnings and notices, by check and by what each is about.

What a finding is about has to be the same in the next build of an image, which has other identifiers,
versions and times. So it is the places that its evidence names and what was found there, without these.
"""

import json
import re
from collections.abc import Iterable
from typing import NamedTuple

from validator.evidence import Evidence
from validator.policy.search import content

FORMAT_VERSION = 1
MAX_SIZE = 16 * 2**20
"""In bytes; some hundred thousand findings."""
_OCTET = r"(?:25[0-5]|2[0-4]\d|1?\d?\d)"
_PORT = r"\d{1,5}(?![-/.]?\d|\w)"
_VARIES = re.compile(
    rf"""(?xi)
    (?P<kept>
        (?<![\w.-]){_OCTET}(?:\.{_OCTET}){{3}}(?!\.?[\w-])       # IPv4 addresses
        | :{_PORT}
        | \b(?:[lr]|local|remote)?port(?:s|number)?(?:\W{{1,3}}{_PORT})+
    )
    | \{{?[0-9a-f]{{8}}(?:-[0-9a-f]{{4}}){{3}}-[0-9a-f]{{12}}\}}?  # GUIDs
    | S-1-5-21(?:-\d+)+                                        # identifiers of machines and their accounts
    | \d+[-/]\d+[-/]\d+(?:[ T]\d+:\d+(?::\d+(?:[.,]\d+)?)?)?   # times
    | \d+(?:\.\d+)+                                           # versions
    | (?<=ControlSet)\d+
    | \b(?<!Elements\\)(?=[a-f]*\d)[0-9a-f]{{6,}}\b            # identifiers in hexadecimal, none of settings
    | (?<![\da-z])(?<!Elements\\)\d{{4,}}(?![\da-z])           # long numbers that are no part of a word
    """
)
"""What differs in every build, but for what is kept: where something listens or goes to is no accident."""
_LONGEST = 400
"""Characters of evidence that count."""


class Entry(NamedTuple):
    """One thing that one check found."""

    check: str
    about: str


class Baseline(NamedTuple):
    """What is accepted until it is mended."""

    entries: frozenset[Entry]
    source: str
    """The file, as it is to be shown."""

    def accepts(self, check: str, evidence: Iterable[Evidence]) -> bool:
        """Whether nothing that a finding shows is new."""
        return entries(check, evidence) <= self.entries

    def text(self) -> str:
        """The file: JSON, in an order that depends on nothing but what it says.

        Raises:
            ValueError: where it would be longer than what is read.
        """
        accepted: dict[str, list[str]] = {}
        for entry in sorted(self.entries):
            accepted.setdefault(entry.check, []).append(entry.about)
        text = json.dumps({"format_version": FORMAT_VERSION, "accepted": accepted}, indent=2) + "\n"
        if len(text) > MAX_SIZE:  # ASCII: a character is a byte
            raise ValueError(f"a baseline has at most {MAX_SIZE} bytes, and this would have {len(text)}")
        return text


def entries(check: str, evidence: Iterable[Evidence]) -> frozenset[Entry]:
    """What a finding is about; of one without evidence, only which check it is of."""
    return frozenset(Entry(check, _about(each)) for each in evidence) or frozenset({Entry(check, "")})


def _about(evidence: Evidence) -> str:
    where = evidence.where
    place = [where.path or where.layer.value, where.key, where.value, evidence.found]
    text = " > ".join(part for part in place if part)[:_LONGEST]
    return _VARIES.sub(lambda match: match["kept"] or "#", text)


def read(path: str, source: str) -> Baseline:
    """Read a baseline.

    Raises:
        OSError: where the file cannot be read.
        ValueError: where it is none; the text names the file as `source`.
    """
    try:
        data = json.loads(content(path, MAX_SIZE).decode())
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{source}: expected a baseline in JSON: {error or 'too deep'}") from error
    version = data.get("format_version") if isinstance(data, dict) else None
    accepted = data.get("accepted") if isinstance(data, dict) else None
    if version != FORMAT_VERSION:
        raise ValueError(
            f"{source}: expected a baseline of format version {FORMAT_VERSION}, found {version!r}"
        )
    if not isinstance(accepted, dict) or not all(map(_are_texts, accepted.values())):
        raise ValueError(f"{source}: expected “accepted” to have lists of texts, by check")
    return Baseline(frozenset(Entry(check, about) for check in accepted for about in accepted[check]), source)


def _are_texts(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(each, str) for each in value)
