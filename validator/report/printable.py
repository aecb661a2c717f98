"""Hostile text made safe to show: nothing from an image or a file name reaches a terminal as it is."""

import re
import unicodedata

_DOUBTFUL = re.compile(r"[^ -~]")
_COMMAND = re.compile(r"#(?=#)|(?<!\S)::(?=\w)")
_SHORT = {"\n": r"\n", "\r": r"\r", "\t": r"\t"}


def printable(text: str) -> str:
    """The text on one line, with everything that does not print or that commands written as an escape.

    Control characters, invisible and direction-changing characters, line separators, lone
    surrogates; bytes of a file name that are no UTF-8 (Python's surrogate escapes) as `\\xNN`. The
    agents of CI hosts act on `##vso[`, `##[` and, at the start of a line, `::name`: their first
    character is escaped, wherever a line may be wrapped.
    """
    text = _DOUBTFUL.sub(lambda match: match[0] if _prints(match[0]) else _escape(match[0]), text)
    return _COMMAND.sub(lambda match: f"\\x{ord(match[0][0]):02x}{match[0][1:]}", text)


def shortened(text: str, most: int) -> str:
    """The text as `printable`, and where that is longer than `most` characters its beginning and a word.

    What is cut off is never looked at, so that a text of any length costs the same.
    """
    shown = printable(text[: most + 1])
    if len(shown) <= most:
        return shown
    rest = f"… ({len(text)} characters)"
    return shown[: most - len(rest)] + rest


def without_surrogates(text: str) -> str:
    """The text with only what UTF-8 cannot carry written as an escape."""
    if text.isascii():
        return text
    return re.sub("[\ud800-\udfff]", lambda match: _escape(match[0]), text)


def _prints(character: str) -> bool:
    return unicodedata.category(character)[0] != "C" and character not in "\u2028\u2029"


def _escape(character: str) -> str:
    code = ord(character)
    if character in _SHORT:
        return _SHORT[character]
    if 0xDC80 <= code <= 0xDCFF:
        return f"\\x{code - 0xDC00:02x}"
    if code <= 0xFF:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"
