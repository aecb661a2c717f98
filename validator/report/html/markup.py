"""HTML in which nothing is forgotten to be escaped: what is no `Markup` is text, and text is escaped."""

from html import escape

from validator.report.printable import shortened

MOST_CHARACTERS = 2_000
"""Of one text that are shown: an image may call something by a name of megabytes."""

_VOID = ("meta",)
_INLINE = ("a", "b", "bdi", "code", "span", "time")


class Markup(str):
    """What is HTML already. Only `tag`, `text` and `joined` make it of what comes from elsewhere."""

    __slots__ = ()


def text(value: str) -> Markup:
    """Text on one line as a person can read it, however hostile, and however long."""
    return Markup(escape(shortened(value, MOST_CHARACTERS)))


def joined(*content: str) -> Markup:
    """One thing after the other."""
    return Markup("".join(each if isinstance(each, Markup) else text(each) for each in content))


def tag(name: str, /, *content: str, **attributes: str | bool) -> Markup:
    """An element. Of an attribute's name, `_` at the end goes and others become `-`; False leaves it out."""
    words = [name]
    for key, value in attributes.items():
        attribute = key.rstrip("_").replace("_", "-")
        if isinstance(value, str):
            words.append(f'{attribute}="{text(value)}"')
        elif value:
            words.append(attribute)
    start = f"<{' '.join(words)}>"
    if name in _VOID:
        return Markup(f"{start}\n")
    # A line per block, so that the page can be read and compared as a file.
    return Markup(f"{start}{joined(*content)}</{name}>{'' if name in _INLINE else chr(10)}")
