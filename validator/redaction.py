"""Secrets stay inside: evidence that quotes a command line or a log is searched for them first."""

import re

_HIDDEN = "[redacted]"
_PATTERNS = (
    # name = value, name: value, /name:value, -name value
    re.compile(
        r"(?i)(?P<keep>[\w.-]*(?:pass(?:word|wd|phrase)?|pwd|secret|token|api[-_]?key|access[-_]?key|sharedaccess"
        r"signature|credential)[\w.-]*[\"']?\s*(?:[:=]\s*|\s+))(?P<secret>\"[^\"]*\"|'[^']*'|[^\s,;&\"']+)"
    ),
    re.compile(r"(?i)(?P<keep>[?&](?:sig|sv|se|key)=)(?P<secret>[^\s&\"']+)"),
    # net user NAME SECRET
    re.compile(
        r"(?i)(?P<keep>\bnet1?(?:\.exe)?\s+user\s+(?:\"[^\"]*\"|\S+)\s+)(?P<secret>\"[^\"]*\"|[^\s/]\S*)"
    ),
    # schtasks /rp SECRET, net use /user:NAME SECRET, psexec -p SECRET
    re.compile(r"(?i)(?P<keep>(?:^|\s)[/-](?:rp|p)[:\s]\s*)(?P<secret>\"[^\"]*\"|[^\s/-]\S*)"),
    re.compile(r"(?i)(?P<keep>\bBearer\s+)(?P<secret>\S+)"),
    re.compile(r"(?i)(?P<keep>://[^\s/:@]+:)(?P<secret>[^\s/@]+)(?=@)"),
)


def redact(text: str) -> str:
    """The text with everything that looks like a secret replaced; what it belongs to stays."""
    for pattern in _PATTERNS:
        text = pattern.sub(lambda match: match["keep"] + _HIDDEN, text)
    return text
