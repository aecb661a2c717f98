"""Secrets stay inside: evidence that quotes a command line or a log is searched for them first."""

import re

HIDDEN = "[redacted]"
"""Stands in for a secret."""
_LONGEST = 1024
"""Characters of a text that are looked at; what lies behind is dropped."""
_NAME = (
    # A name begins where a word does, so that a long word is gone through once.
    r"(?<![\w.-])[\w.-]{0,1024}(?:pass(?:word|wd|phrase|code)?|pwd|\bpw|\w{0,20}pw(?=[\"']?\s*[:=])|secret|token"
    r"|\bsas\b|credentials?|signature|(?:account|access|api|shared|primary|secondary|storage|product|private)"
    r"[-_]?(?:access[-_]?)?key)[\w.-]{0,40}"
)
_PHASES = r"(?:windowsPE|offlineServicing|generalize|specialize|auditSystem|auditUser|oobeSystem)"
_PUBLIC = rf"(?!pass\s+(?:\[{_PHASES}\]|{_PHASES}(?=[.,;]|$))|PublicKeyToken[=:]\s?[0-9a-f]{{16}}\b)"
"""The configuration passes of an answer file, and the names of assemblies, are no secrets."""
_VALUE = r"\"(?:[^\"]|\"\")*\"?[^\s<>&|]*|'(?:[^']|'')*'?[^\s<>&|]*|[^\s\"'()<>&|][^\s<>&|]*"
_PATTERNS = (
    # An answer file's elements: <Password><Value>SECRET
    rf"(?i)(?P<keep><{_NAME}>\s*(?:<Value>\s*)?)(?P<secret>[^<\s][^<]*)",
    # PowerShell: ConvertTo-SecureString [-String] SECRET
    rf"(?i)(?P<keep>\bConvertTo-SecureString\s+(?:-String\s+)?)(?P<secret>(?!-){_VALUE})",
    # NAME=SECRET, NAME: SECRET, /NAME:SECRET, -NAME SECRET, $NAME = 'SECRET'
    rf"(?i){_PUBLIC}(?P<keep>{_NAME}[\"']?(?:\s*[:=]\s*|\s+(?:is\s+)?))(?P<secret>(?![-/(<=:]){_VALUE})",
    r"(?i)(?P<keep>[?&](?:sig|sv|se|key|code)=)(?P<secret>[^\s&\"']+)",
    # schtasks /rp SECRET, psexec -p SECRET, mysql -pSECRET is too like other options
    rf"(?i)(?P<keep>(?:^|\s)[/-](?:rp|p)[:\s]\s*)(?P<secret>(?![-/]){_VALUE})",
    # curl -u NAME:SECRET, scheme://NAME:SECRET@host
    r"(?i)(?P<keep>(?:^|\s)(?:-u|--user)\s+[\"']?[^\s:\"']+:)(?P<secret>[^\s\"']+)",
    r"(?i)(?P<keep>://[^\s/:@]+:)(?P<secret>[^\s/@]+)(?=@)",
    r"(?i)(?P<keep>\b(?:Bearer|Basic)\s+)(?P<secret>\S+)",
)
_NET = r"(?i)\bnet1?(?:\.exe)?\s+(?P<verb>user|use)\b(?P<rest>[^&|]*)"
_WORD = r"\"[^\"]*\"?|\S+"
_SIGN = re.compile(
    r"(?i)[<?&]|[/-]r?p|-u|://|bearer|basic|securestring"
    r"|pass|pw|secret|token|sas|credential|signature|key|net"
)
"""What each of the patterns needs one of: texts without are the rule, and compiling the others takes 4 ms."""


def redact(text: str) -> str:
    """The text with everything that looks like a secret replaced; what it belongs to stays."""
    text = text[:_LONGEST]
    if not _SIGN.search(text):
        return text
    text = re.sub(_NET, _without_words, text)
    for pattern in _PATTERNS:
        text = re.sub(pattern, lambda match: match["keep"] + HIDDEN, text)
    return text


def _without_words(match: re.Match[str]) -> str:
    """`net user` and `net use` take the secret as a word of its own, anywhere behind the first."""
    kept = 0 if match["verb"].lower() == "user" else 1

    def word(found: re.Match[str]) -> str:
        nonlocal kept
        text = found[0]
        if text.startswith(("/", "\\\\", '"\\\\')) or re.fullmatch(r"[A-Za-z*]:|\*", text):
            return text
        kept += 1
        return text if kept == 1 else HIDDEN

    return match[0][: match.start("rest") - match.start()] + re.sub(_WORD, word, match["rest"])


def redact_bytes(data: bytes, limit: int = 64) -> str:
    """Bytes in hexadecimal, the first `limit` of them; only their number where they hold a secret."""
    texts = (
        data.decode("utf-16-le", "replace"),
        data[1:].decode("utf-16-le", "replace"),
        data.decode("latin-1"),
    )
    if any(redact(text) != text[:_LONGEST] for text in texts):
        return f"{HIDDEN}, {len(data)} bytes"
    return data[:limit].hex(" ")
