r"""Firewall rules as Windows stores them: one text per rule, `v2.31|Action=Allow|Active=TRUE|Dir=In|…|`.

Source: [MS-GPFAS] 2.2.2.19, the grammar of a firewall rule; local rules are stored alike, with `Active`.
"""

from typing import NamedTuple

TCP = 6
_EVERY_PROTOCOL = 256
_PLAIN = frozenset({"action", "active", "dir", "protocol", "profile", "app", "svc", "edge", "defer"})
_WORDS = frozenset({"name", "desc", "embedctxt"})
"""Fields that say nothing of what a rule is about."""


class FirewallRule(NamedTuple):
    """One rule, as far as it decides what may reach a port."""

    action: str
    """allow, block, bypass; in lower case."""
    active: bool
    inbound: bool
    protocol: int | None
    """None for every protocol."""
    ports: tuple[tuple[int, int], ...] | None
    """First and last local ports; None for every port. Ports that go by a keyword are none of them."""
    profiles: frozenset[str]
    """domain, private, public; empty for all of them."""
    program: str | None
    service: str | None
    narrowed: frozenset[str]
    """Further fields that make it hold for less: addresses, interfaces, users, packages; in lower case."""

    def covers(self, protocol: int, port: int) -> bool:
        """Whether what arrives at a port is a matter of this rule, as far as it depends on that."""
        if self.protocol not in (None, protocol):
            return False
        return self.ports is None or any(first <= port <= last for first, last in self.ports)

    def holds_in(self, profile: str) -> bool:
        """Whether it holds in a profile: domain, private or public."""
        return not self.profiles or profile in self.profiles


def read_rule(text: str) -> FirewallRule | None:
    """A rule from its text, or None where the text is none."""
    version, _, rest = text.partition("|")
    if not version.lower().startswith("v") or "|" not in rest:
        return None
    fields: dict[str, list[str]] = {}
    for part in rest.split("|"):
        name, _, value = part.partition("=")
        if name.strip():
            fields.setdefault(name.strip().lower(), []).append(value.strip())
    local = [value for name, values in fields.items() if name.startswith("lport") for value in values]
    known = _PLAIN | _WORDS
    return FirewallRule(
        _last(fields, "action"),
        _last(fields, "active") == "true",
        _last(fields, "dir") == "in",
        _protocol(_last(fields, "protocol")),
        None if not local or "*" in local else _ports(local),
        frozenset(value.lower() for value in fields.get("profile", ())),
        _last(fields, "app") or None,
        _last(fields, "svc") or None,
        frozenset(
            name for name in fields if name not in known and not name.startswith(("lport", "platform"))
        ),
    )


def _last(fields: dict[str, list[str]], name: str) -> str:
    return fields.get(name, [""])[-1].lower()


def _protocol(text: str) -> int | None:
    """None for every protocol; what is no number is one that no other equals."""
    if not text or text == "*":
        return None
    number = _number(text)
    if number is None:
        return -1
    return None if number == _EVERY_PROTOCOL else number


def _ports(texts: list[str]) -> tuple[tuple[int, int], ...]:
    found = []
    for text in ",".join(texts).split(","):
        first, dash, last = text.partition("-")
        bounds = _number(first), _number(last if dash else first)
        if bounds[0] is not None and bounds[1] is not None:
            found.append((bounds[0], bounds[1]))
    return tuple(found)


def _number(text: str) -> int | None:
    text = text.strip()
    return int(text) if text.isascii() and text.isdecimal() and len(text) <= 5 else None
