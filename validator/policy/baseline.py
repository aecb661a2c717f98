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
_VARIES = re.compile(
    r"""(?xi)
    \{?[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\}?          # GUIDs
    | S-1-5-21(?:-\d+)+                                        # identifiers of machines and their accounts
    | \d+[-/]\d+[-/]\d+(?:[ T]\d+:\d+(?::\d+(?:[.,]\d+)?)?)?   # times
    | \d+(?:\.\d+)+                                           # versions
    | (?<=ControlSet)\d+
    | \b(?<!Elements\\)(?=[a-f]*\d)[0-9a-f]{6,}\b              # identifiers in hexadecimal, none of settings
    | (?<!\d)(?<!Elements\\)\d{4,}
    """
)
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
        """The file: JSON, in an order that depends on nothing but what it says."""
        accepted: dict[str, list[str]] = {}
        for entry in sorted(self.entries):
            accepted.setdefault(entry.check, []).append(entry.about)
        return json.dumps({"format_version": FORMAT_VERSION, "accepted": accepted}, indent=2) + "\n"


def entries(check: str, evidence: Iterable[Evidence]) -> frozenset[Entry]:
    """What a finding is about; of one without evidence, only which check it is of."""
    return frozenset(Entry(check, _about(each)) for each in evidence) or frozenset({Entry(check, "")})


def _about(evidence: Evidence) -> str:
    where = evidence.where
    place = [where.path or where.layer.value, where.key, where.value, evidence.found]
    return _VARIES.sub("#", " > ".join(part for part in place if part)[:_LONGEST])


def read(path: str, source: str) -> Baseline:
    """Read a baseline.

    Raises:
        OSError: where the file cannot be read.
        ValueError: where it is none; the text names the file as `source`.
    """
    try:
        data = json.loads(content(path).decode())
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
