"""What is in an image, on one screen: for `inspect`, which judges nothing."""

from typing import Any

from validator.facts.model import Unknown
from validator.facts.volume import VolumeState
from validator.report.model import Report, rfc3339
from validator.report.printable import printable
from validator.report.terminal import printed
from validator.report.text import size


def render(report: Report, *, colour: bool = False, width: int = 80) -> str:
    """The facts and layers of one image as text."""
    from rich.table import Table
    from rich.text import Text

    title = Text(printable(report.path), style="bold", overflow="fold")
    grid = Table(box=None, show_header=False, pad_edge=True, padding=(0, 2, 0, 0))
    grid.add_column(no_wrap=True, style="dim")
    grid.add_column(overflow="fold")
    for label, text in _rows(report):
        grid.add_row(label, printable(text))
    parts = [title, grid]
    if not isinstance(report.facts.volumes, Unknown):
        parts.append(_partitions(report.facts.volumes))
    return printed(*parts, colour=colour, width=width)


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
        table.add_row(
            str(partition.number),
            kind + (" (active)" if partition.active else ""),
            volume.kind.value,
            size(partition.offset),
            size(partition.size),
            printable(partition.name or ""),
        )
    return table


def _rows(report: Report) -> list[tuple[str, str]]:
    facts = report.facts
    rows = [(layer.kind, f"{layer.state}: {layer.detail}") for layer in report.layers]
    if not isinstance(facts.container, Unknown):
        container = facts.container
        block = f", blocks of {size(container.block_size)}" if container.block_size else ""
        sector = (
            f", sectors of {container.logical_sector_size} bytes" if container.logical_sector_size else ""
        )
        rows.append(("disk", f"{size(container.virtual_size)}{sector}{block}"))
        if container.creator:
            rows.append(("created by", container.creator))
    if not isinstance(facts.product, Unknown):
        product = facts.product
        parts = (product.name, product.edition, product.version, product.build and f"build {product.build}")
        rows.append(("Windows", ", ".join(part for part in parts if part) or "unnamed"))
        rows.append(("architecture", _shown(facts.architecture)))
    if not isinstance(facts.volume_state, Unknown):
        rows.append(("volume", _volume(facts.volume_state)))
    state = facts.setup_state
    if isinstance(state.image_state, Unknown) and state.image_state == state.setup_type:
        rows.append(("setup state", "not read, for the reason above"))
    else:
        time = f" ({rfc3339(state.image_state_time)})" if state.image_state_time else ""
        rows += [
            ("ImageState", _shown(state.image_state) + time),
            ("servicing copy", _shown(state.servicing_image_state)),
            ("State.ini", _shown(state.state_ini)),
            ("SetupType", _shown(state.setup_type)),
            ("CmdLine", _shown(state.command_line)),
            ("GeneralizationState", _shown(state.generalization_state)),
            ("AuditBoot", _shown(state.audit_boot)),
            ("sysprep tag", _shown(state.sysprep_tag)),
            ("last sysprep", _run(state.last_sysprep_run)),
        ]
    return rows


def _volume(state: VolumeState) -> str:
    words = [
        "marked as dirty" if state.dirty.dirty else "not marked as dirty",
        "its log was closed" if state.log_clean else "its log was not closed",
    ]
    if state.hibernated:
        words.append("a suspended Windows waits on it")
    return f"partition {state.partition}: {', '.join(words)}"


def _shown(value: object) -> str:
    if isinstance(value, Unknown):
        return f"unknown: {value.why}"
    if value is None:
        return "absent"
    if isinstance(value, bool):
        return "present" if value else "absent"
    return str(value) or "(empty)"


def _run(run: Any) -> str:
    if not isinstance(run, dict):
        return _shown(run)
    options = ", ".join(run["options"]) or "no options in the log"
    started = rfc3339(run["started"]) if run["started"] else "at an unknown time"
    return f"{run['ending']}; started {started} (local time), {options}"
