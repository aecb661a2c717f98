"""What CI hosts do with what they read: small models of their parsers, written from the hosts' own sources.

A command is anything that a host acts on, whether or not it would be carried out.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

GITHUB_NAMES = {
    "add-mask", "add-matcher", "add-path", "debug", "echo", "endgroup", "error", "group",
    "internal-set-repo-path", "notice", "pause-logging", "remove-matcher", "save-state", "set-env",
    "set-output", "stop-commands", "warning",
}  # fmt: skip
_LINE = re.compile(r"\r\n|\r|\n")


class Found(NamedTuple):
    """A command as the host understands it."""

    name: str
    properties: dict[str, str]
    data: str


def github_commands(text: str) -> list[Found]:
    """`::name key=value,...::data` at the start of a line, and the older `##[name ...]` anywhere in one."""
    return [found for line in _LINE.split(text) for found in _github(line)]


def _github(line: str) -> Iterator[Found]:
    line = line.lstrip()
    if line.startswith("::") and (end := line.find("::", 2)) >= 0:
        name, _, properties = line[2:end].partition(" ")
        if name.lower() in GITHUB_NAMES:
            pairs = _pairs(properties, ",", (("%0D", "\r"), ("%0A", "\n"), ("%3A", ":"), ("%2C", ",")))
            data = _replaced(line[end + 2 :], (("%0D", "\r"), ("%0A", "\n"), ("%25", "%")))
            yield Found(name.lower(), {key: value.replace("%25", "%") for key, value in pairs.items()}, data)
            return
    start = line.find("##[")
    end = line.find("]", start)
    if start >= 0 and end >= 0:
        name, _, properties = line[start + 3 : end].partition(" ")
        if name.lower() in GITHUB_NAMES:
            yield Found(name.lower(), _pairs(properties, ";", ()), line[end + 1 :])


def azure_commands(text: str) -> list[Found]:
    """`##vso[area.action key=value;...]data` anywhere in a line, and `##[name]`, which colours it."""
    found = []
    for line in _LINE.split(text):
        for prefix in ("##vso[", "##["):
            start = line.lower().find(prefix)
            end = line.find("]", start)
            if start >= 0 and end >= 0:
                name, _, properties = line[start + len(prefix) : end].partition(" ")
                escapes = (("%3B", ";"), ("%0D", "\r"), ("%0A", "\n"), ("%5D", "]"), ("%AZP25", "%"))
                found.append(
                    Found(name, _pairs(properties, ";", escapes), _replaced(line[end + 1 :], escapes))
                )
    return found


def gitlab_commands(text: str) -> list[Found]:
    """`section_start:TIME:NAME` and `section_end`, and whatever moves the cursor or colours."""
    marks = re.finditer(r"section_(start|end):\d+:[\w.-]+(\[[^\]]*\])?\r\x1b\[0K", text)
    return [Found(mark[1], {}, "") for mark in marks] + [
        Found("escape", {}, mark) for mark in re.findall("[\x1b\x9b]", text)
    ]


def teamcity_commands(text: str) -> list[Found]:
    """`##teamcity[...]`, at the beginning of a line there; anywhere is too much for us."""
    return [Found("teamcity", {}, mark) for mark in re.findall(r"##teamcity\[", text)]


HOSTS = {
    "GitHub Actions": github_commands,
    "Azure Pipelines": azure_commands,
    "GitLab": gitlab_commands,
    "TeamCity": teamcity_commands,
}


def github_outputs(text: str) -> dict[str, str]:
    """What the runner makes of the file for outputs, or a failure of the step."""
    found = {}
    lines = iter(text.split("\n"))
    for line in lines:
        if not line:
            continue
        equals, heredoc = line.find("="), line.find("<<")
        if equals >= 0 and not 0 <= heredoc < equals:
            name, _, found_value = line.partition("=")
            found[name] = found_value
            continue
        name, _, delimiter = line.partition("<<")
        assert heredoc > 0, f"invalid format: {line!r}"
        assert delimiter
        value = []
        for line in lines:
            if line == delimiter:
                break
            value.append(line)
        else:
            raise AssertionError(f"no end of {name}")
        found[name] = "\n".join(value)
    return found


def _pairs(text: str, separator: str, escapes: tuple[tuple[str, str], ...]) -> dict[str, str]:
    pairs = (each.split("=", 1) for each in text.strip().split(separator) if each)
    return {pair[0]: _replaced(pair[1], escapes) for pair in pairs if len(pair) == 2 and pair[1]}


def _replaced(text: str, escapes: tuple[tuple[str, str], ...]) -> str:
    for escape, character in escapes:
        text = text.replace(escape, character)
    return text
