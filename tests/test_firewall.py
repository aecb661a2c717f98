"""Firewall rules: real ones, and texts that are none."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.hostile import Bytes
from validator.windows.firewall import TCP, FirewallRule, read_rule
from validator.windows.hive import Hive

RDP = (
    r"v2.31|Action=Allow|Active=TRUE|Dir=In|Protocol=6|LPort=3389|App=%SystemRoot%\system32\svchost.exe|"
    r"Svc=termservice|Name=@FirewallAPI.dll,-28775|Desc=@FirewallAPI.dll,-28756|EmbedCtxt=@FirewallAPI.dll,-28752|"
)


def rule(text: str) -> FirewallRule:
    """A rule that must be one."""
    found = read_rule(text)
    assert found is not None
    return found


def test_the_rule_of_remote_desktop() -> None:
    """As Windows Server 2022 has it."""
    assert rule(RDP) == FirewallRule(
        "allow",
        active=True,
        inbound=True,
        protocol=6,
        ports=((3389, 3389),),
        profiles=frozenset(),
        program=r"%systemroot%\system32\svchost.exe",
        service="termservice",
        narrowed=frozenset(),
    )


@pytest.mark.parametrize(
    ("fields", "covers"),
    [
        ("Protocol=6|LPort=3389", True),
        ("Protocol=6|LPort=3388|LPort=3389", True),
        ("Protocol=6|LPort2_10=3000-4000", True),
        ("Protocol=6|LPort=80,3389", True),
        ("Protocol=6", True),
        ("Protocol=256", True),
        ("", True),
        ("Protocol=6|LPort=*", True),
        ("Protocol=6|LPort=3390", False),
        ("Protocol=6|LPort2_10=4000-5000", False),
        ("Protocol=6|LPort=RPC", False),
        ("Protocol=6|LPort2_10=IPHTTPSIn", False),
        ("Protocol=17|LPort=3389", False),
        ("Protocol=TCP|LPort=3389", False),
    ],
)
def test_what_a_rule_covers(fields: str, covers: bool) -> None:
    """TCP 3389, by itself, in a list, in a range, or with everything."""
    assert rule(f"v2.31|Action=Block|Active=TRUE|Dir=In|{fields}|").covers(TCP, 3389) is covers


def test_profiles() -> None:
    """None named means all of them."""
    assert rule("v2.31|Action=Allow|").holds_in("public")
    limited = rule("v2.31|Action=Allow|Profile=Domain|Profile=Private|")
    assert [limited.holds_in(profile) for profile in ("domain", "private", "public")] == [True, True, False]


@pytest.mark.parametrize(
    "field", ["RA4=10.0.0.0/8", "AppPkgId=S-1-15-2-1", "LUOwn=S-1-5-21-1", "IFType=Wireless", "RPort=53"]
)
def test_what_narrows_a_rule(field: str) -> None:
    """Whatever is not understood is taken to limit it."""
    name = field.partition("=")[0].lower()
    assert rule(f"v2.31|Action=Block|Active=TRUE|Dir=In|{field}|Edge=TRUE|").narrowed == {name}


@pytest.mark.parametrize(
    "text", ["", "v2.31", "v2.31|", "Action=Block|Active=TRUE|", "3389:TCP:*:Enabled:RDP"]
)
def test_what_is_no_rule(text: str) -> None:
    """Nothing is made of it."""
    assert read_rule(text) is None


@given(st.text(max_size=200))
def test_any_text_is_a_rule_or_none(text: str) -> None:
    """And none of them covers a port that it cannot."""
    for candidate in (text, f"v2.31|{text}|"):
        found = read_rule(candidate)
        assert found is None or isinstance(found.covers(TCP, 3389), bool)


PIECES = st.sampled_from(["Action=Block", "Active=TRUE", "Dir=In", "Protocol=6", "Name=x|y", "Edge=TRUE"])


@given(st.lists(PIECES), st.integers(0, 65535), st.integers(0, 65535))
def test_a_range_holds_its_ports(pieces: list[str], one: int, other: int) -> None:
    """Wherever it stands among the fields."""
    first, last = sorted((one, other))
    text = "|".join(["v2.31", *pieces, f"LPort2_10={first}-{last}", *pieces, ""])
    assert [rule(text).covers(TCP, port) for port in (first, last, last + 1)] == [True, True, False]


@pytest.mark.parametrize("name", ["SYSTEM_win7.xz", "SYSTEM_win10_2004.gz"])
def test_real_rules(name: str, corpus: Mapping[str, bytes]) -> None:
    """All are understood; that of Remote Desktop covers its port."""
    key = r"ControlSet001\Services\SharedAccess\Parameters\FirewallPolicy\FirewallRules"
    values = Hive(Bytes(corpus[f"hives/windows/{name}"], "SYSTEM", 1)).values(key)
    rules = {value.name: read_rule(value.string or "") for value in values}
    assert len(rules) > 300
    assert None not in rules.values()
    user_mode = rules["RemoteDesktop-UserMode-In-TCP"]
    assert user_mode is not None
    assert user_mode.covers(TCP, 3389)
    assert not user_mode.active
