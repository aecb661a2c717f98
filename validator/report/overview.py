"""What is in an image, on one screen: for `inspect`, which judges nothing."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from validator.facts.model import Unknown
from validator.facts.picture import BootPicture, Network, Picture
from validator.facts.timeline import Event
from validator.facts.volume import VolumeState
from validator.report.model import Report, rfc3339
from validator.report.printable import printable
from validator.report.terminal import printed
from validator.report.text import size

_LABEL = 19
"""Width of the longest label, so that the parts of the page stand below each other."""
_MOST_NAMES = 8
"""Names of a list that are shown; all of them are in the JSON."""
_UNREAD = "could not be read: "
_ABOVE = "not read, for the reason above"

Row = tuple[str, str]


def render(report: Report, *, colour: bool = False, width: int = 80) -> str:
    """The facts and layers of one image as text."""
    from rich.text import Text

    reasons = _Reasons()
    parts = [Text(printable(report.name), style="bold", overflow="fold"), _grid(_disk_rows(report, reasons))]
    if not isinstance(report.facts.volumes, Unknown):
        parts.append(_partitions(report.facts.volumes))
    parts.append(_grid(_windows_rows(report, reasons)))
    if report.picture is not None:
        parts.append(_grid(_picture_rows(report.picture, reasons)))
    return printed(*parts, colour=colour, width=width)


class _Reasons:
    """Why something could not be read is said once."""

    def __init__(self) -> None:
        self._given: set[str] = set()

    def give(self, why: str) -> None:
        """A reason that the page has."""
        self._given.add(why)

    def of(self, unknown: Unknown) -> str:
        """The words for something unknown."""
        if unknown.why in self._given:
            return _ABOVE
        self._given.add(unknown.why)
        return f"unknown: {unknown.why}"

    def shown(self, value: object) -> str:
        """The words for a value, what is absent and what is unknown."""
        if isinstance(value, Unknown):
            return self.of(value)
        if value is None:
            return "absent"
        if isinstance(value, bool):
            return "present" if value else "absent"
        if isinstance(value, datetime):
            return _time(value)
        return str(value) or "(empty)"


def _grid(rows: Iterable[Row]) -> Any:
    from rich.table import Table

    grid = Table(box=None, show_header=False, pad_edge=True, padding=(0, 2, 0, 0))
    grid.add_column(no_wrap=True, style="dim", min_width=_LABEL)
    grid.add_column(overflow="fold")
    for label, text in rows:
        grid.add_row(label, printable(text))
    return grid


def _partitions(volumes: Any) -> Any:
    from rich.table import Table

    table = Table(box=None, pad_edge=True, padding=(0, 2, 0, 0))
    for name in ("no.", "type", "contents", "offset", "size", "name"):
        table.add_column(
            name, justify="right" if name in ("no.", "offset", "size") else "left", overflow="fold"
        )
    for volume in volumes:
        partition = volume.partition
        kind = partition.type_name if partition.type_name != "unknown" else partition.type
        name = partition.name or ""
        table.add_row(
            str(partition.number),
            kind + (" (active)" if partition.active else ""),
            volume.kind.value,
            size(partition.offset),
            size(partition.size),
            # What Windows Setup calls a partition is what it is.
            "" if name.lower().startswith(kind.lower()) else printable(name),
        )
    return table


def _disk_rows(report: Report, reasons: _Reasons) -> Iterable[Row]:
    facts = report.facts
    for layer in report.layers:
        yield layer.kind, f"{layer.state}: {layer.detail}"
        if layer.state == "damaged":
            reasons.give(layer.detail)
    if not isinstance(facts.container, Unknown):
        container = facts.container
        words = [size(container.virtual_size)]
        if container.logical_sector_size:
            words.append(f"sectors of {container.logical_sector_size} bytes")
        if container.block_size:
            words.append(f"blocks of {size(container.block_size)}")
        if container.creator:
            words.append(f"created by {container.creator}")
        yield "disk", ", ".join(words)


def _windows_rows(report: Report, reasons: _Reasons) -> Iterable[Row]:
    facts = report.facts
    if report.picture is not None:
        yield "boot store", _boot(report.picture.boot, reasons)
    if isinstance(facts.product, Unknown):
        yield "Windows", reasons.of(facts.product)
    else:
        product = facts.product
        parts = (
            product.name,
            product.edition,
            product.version,
            product.build and f"build {product.build}",
            facts.architecture if isinstance(facts.architecture, str) else None,
        )
        yield "Windows", ", ".join(part for part in parts if part) or "unnamed"
    if not isinstance(facts.volume_state, Unknown):
        yield "volume", _volume(facts.volume_state)
    state = facts.setup_state
    if isinstance(state.image_state, Unknown) and state.image_state == state.setup_type:
        yield "setup state", reasons.of(state.image_state)
        return
    time = f" ({rfc3339(state.image_state_time)})" if state.image_state_time else ""
    yield "ImageState", reasons.shown(state.image_state) + time
    copies = (reasons.shown(state.servicing_image_state), reasons.shown(state.state_ini))
    if copies[0] == copies[1]:
        same = copies[0] == reasons.shown(state.image_state)
        yield "its copies", "the same in SOFTWARE and in State.ini" if same else f"{copies[0]} in both"
    else:
        yield "servicing copy", copies[0]
        yield "State.ini", copies[1]
    yield "SetupType", reasons.shown(state.setup_type)
    yield "CmdLine", reasons.shown(state.command_line)
    yield "GeneralizationState", reasons.shown(state.generalization_state)
    yield "AuditBoot", reasons.shown(state.audit_boot)
    yield "sysprep tag", reasons.shown(state.sysprep_tag)
    yield from _timeline(report.timeline or (), reasons)


def _picture_rows(picture: Picture, reasons: _Reasons) -> Iterable[Row]:
    # With no Windows to speak of there is one reason for all.
    parts = [_unread(part) for name, part in picture._asdict().items() if name != "boot"]
    if parts[0] is not None and len(set(parts)) == 1:
        yield "machine", reasons.of(parts[0])
        return
    yield from _network(picture.network, reasons)
    yield "Azure VM agent", _agent(picture.agent, reasons)
    yield (
        "accounts",
        _listed(
            picture.accounts,
            lambda each: f"{each.name} ({each.rid}{'' if each.enabled else ', disabled'})",
            reasons,
        ),
    )
    yield "profiles", _listed(picture.profiles, lambda each: each.folder or each.sid, reasons)
    yield (
        "applications",
        _listed(
            picture.applications,
            _application,
            reasons,
        ),
    )
    yield (
        "added services",
        _listed(
            picture.services,
            lambda each: f"{each.name} ({each.start or 'start unknown'}, {each.program})",
            reasons,
        ),
    )
    yield (
        "added tasks",
        _listed(picture.tasks, lambda each: each.name + ("" if each.enabled else " (disabled)"), reasons),
    )


def _unread(part: object) -> Unknown | None:
    """Why a part could not be read at all, if it is so."""
    if isinstance(part, Network):
        values = {each for each in part if each != ()}
        part = values.pop() if len(values) == 1 else None
    return part if isinstance(part, Unknown) else None


def _boot(boot: BootPicture | None | Unknown, reasons: _Reasons) -> str:
    if isinstance(boot, Unknown):
        return reasons.of(boot)
    if boot is None:
        return "none"
    words = [f"{boot.store} on partition {boot.partition}"]
    if boot.entry is None:
        return ", ".join([*words, "no default entry"])
    words.append(f"starts “{boot.entry}”: {boot.loader or 'no loader'}, {boot.os_device or 'no device'}")
    if boot.test_signing:
        words.append("test signing")
    return ", ".join(words)


def _timeline(timeline: Iterable[Event], reasons: _Reasons) -> Iterable[Row]:
    label = "time line"
    for event in timeline:
        text = event.text
        if event.time is None and text.startswith(_UNREAD):
            text = f"{event.kind}: {reasons.of(Unknown(text.removeprefix(_UNREAD)))}"
        yield label, f"{_time(event.time)}  {text}" if event.time is not None else text
        label = ""


def _network(network: Network | Unknown, reasons: _Reasons) -> Iterable[Row]:
    if isinstance(network, Unknown):
        yield "network", reasons.of(network)
        return
    domain = network.domain
    name = reasons.shown(network.computer_name)
    if isinstance(domain, str):
        name += f", in the domain {domain}"
    yield "computer name", name
    if isinstance(network.static_addresses, Unknown):
        addresses = reasons.of(network.static_addresses)
    else:
        addresses = "; ".join(
            f"{', '.join(each.addresses)} on {each.interface}" for each in network.static_addresses
        )
    yield "static addresses", addresses or "none"
    if isinstance(network.proxy, (str, Unknown)):
        bypass = f"; not for {' '.join(network.proxy_bypass)}" if network.proxy_bypass else ""
        yield "proxy", reasons.shown(network.proxy) + bypass
    else:
        yield "proxy", "none"


def _agent(agent: Any, reasons: _Reasons) -> str:
    if isinstance(agent, Unknown):
        return reasons.of(agent)
    words = [
        f"{each.name} ({each.start or 'start unknown'}{'' if each.program_there else ', program missing'})"
        for each in agent.services
    ]
    if agent.versions:
        older = len(agent.versions) - 1
        words.append(agent.versions[-1] + (f" and {older} older" if older else ""))
    return ", ".join(words) or "not installed"


def _listed(items: Sequence[Any] | Unknown, words: Any, reasons: _Reasons) -> str:
    """The first of a list; how many more there are."""
    if isinstance(items, Unknown):
        return reasons.of(items)
    shown = [words(each) for each in items[:_MOST_NAMES]]
    if more := len(items) - len(shown):
        shown.append(f"and {more} more (--format json)")
    return ", ".join(shown) or "none"


def _application(each: Any) -> str:
    """Name and version; many have the version in their name."""
    return each.name if not each.version or each.version in each.name else f"{each.name} {each.version}"


def _volume(state: VolumeState) -> str:
    words = [
        "marked as dirty" if state.dirty.dirty else "not marked as dirty",
        "its log was closed" if state.log_clean else "its log was not closed",
    ]
    if state.hibernated:
        words.append("a suspended Windows waits on it")
    return f"partition {state.partition}: {', '.join(words)}"


def _time(time: datetime) -> str:
    return rfc3339(time) + ("" if time.tzinfo else " (local time)")
