"""JSON: the contract for programs. Its JSON Schema is `validator/report/schema.json`."""

import json
from datetime import datetime
from enum import Enum
from typing import TYPE_CHECKING, Any

from validator.evidence import Evidence
from validator.facts.model import Unknown
from validator.judging import Judged, Verdict
from validator.report.formats import Style
from validator.report.model import FORMAT_VERSION, Report, ReportFacts, RunReport, rfc3339
from validator.report.printable import without_surrogates

if TYPE_CHECKING:
    from validator.facts.picture import Picture
    from validator.facts.timeline import Event


def render(run: RunReport, style: Style) -> str:
    """The run as one JSON object, indented, ASCII only, with a closing line feed."""
    return dumps(as_data(run))


def dumps(data: Any) -> str:
    """JSON for a file or standard output, indented."""
    return inert(json.dumps(data, indent=2)) + "\n"


def inert(text: str) -> str:
    """JSON that no CI host takes for a command: Azure's agents act on `##vso[` anywhere in a line."""
    return text.replace("##", "#\\u0023")  # this way around, since `###` has two of them


def as_data(run: RunReport) -> dict[str, Any]:
    """The run as the plain values that JSON knows."""
    return {
        "format_version": FORMAT_VERSION,
        "tool": {"name": "image-validator", "version": run.tool_version},
        "plugins": [each._asdict() for each in run.plugins],
        "profile": run.profile,
        "policy": plain(run.policy),
        "warnings": list(run.warnings),
        "exit_code": run.exit_code.value,
        "summary": {
            "images": len(run.images),
            **{verdict.value: run.count(verdict) for verdict in Verdict},
        },
        "images": [image_data(image) for image in run.images],
    }


def image_data(report: Report) -> dict[str, Any]:
    """One image's report as plain values."""
    return {
        "path": without_surrogates(report.path),
        "member": None if report.member is None else without_surrogates(report.member),
        "verdict": report.verdict.value,
        "summary": report.summary,
        "profile": report.profile,
        "findings": [_finding(each) for each in report.findings],
        "facts": facts_data(report.facts, report),
        "layers": [plain(layer) for layer in report.layers],
        "duration_ms": report.duration_ms,
    }


def facts_data(facts: ReportFacts, report: Report) -> dict[str, Any]:
    """What is in the image, as plain values."""
    container, table = facts.container, facts.partition_table
    installation: Any = plain(facts.installation)
    if not isinstance(facts.installation, Unknown):
        installation["product"] = plain(facts.product)
        installation["architecture"] = plain(facts.architecture)
    disk = (
        plain(container)
        if isinstance(container, Unknown)
        else {
            "size": container.virtual_size,
            "logical_sector_size": container.logical_sector_size,
            "scheme": plain(table) if isinstance(table, Unknown) else table.scheme,
            "id": plain(table) if isinstance(table, Unknown) else table.disk_id,
        }
    )
    return {
        "container": plain(container),
        "disk": disk,
        "partitions": plain(facts.volumes)
        if isinstance(facts.volumes, Unknown)
        else [{**plain(volume.partition), "contents": volume.kind.value} for volume in facts.volumes],
        "installations": plain(facts.installations),
        "installation": installation,
        "volume_state": plain(facts.volume_state)
        if isinstance(facts.volume_state, Unknown)
        else {
            "partition": facts.volume_state.partition,
            "dirty": facts.volume_state.dirty.dirty,
            "log_clean": facts.volume_state.log_clean,
            "hibernated": facts.volume_state.hibernated,
        },
        "setup_state": plain(facts.setup_state),
        "io": {
            "files": report.io.files,
            "reads": report.io.reads,
            "bytes_read": report.io.bytes_read,
            "requests": report.io.requests,
        },
    }


def timeline_data(timeline: "tuple[Event, ...]") -> list[dict[str, Any]]:
    """What happened to the installation, as plain values (docs/inspect.md)."""
    return [plain(event) for event in timeline]


def picture_data(picture: "Picture") -> dict[str, Any]:
    """What `inspect` shows beside the facts, as plain values (docs/inspect.md)."""
    return {name: plain(part) for name, part in picture._asdict().items()}


def _finding(judged: Judged) -> dict[str, Any]:
    return {
        "check": judged.check.id,
        "family": judged.check.family,
        "status": judged.status.value,
        "severity": judged.severity.value,
        "overridden_severity": plain(judged.overridden),
        "message": judged.message,
        "evidence": [_evidence(each) for each in judged.evidence],
        "remedy": plain(judged.remedy),
        "cause": None if judged.cause is None else {"id": judged.cause.id, "text": judged.cause.text},
        "references": list(judged.references),
        "plugin": plain(judged.check.distribution),
        "waiver": _waiver(judged),
    }


def _waiver(judged: Judged) -> dict[str, Any] | None:
    waiver = judged.waiver
    if waiver is None:
        return None
    return {
        "reason": waiver.reason,
        "until": None if waiver.until is None else waiver.until.isoformat(),
        "expired": judged.waived is None,
        "accepts": plain(judged.waived),
        "baseline": waiver.baseline,
    }


def _evidence(evidence: Evidence) -> dict[str, Any]:
    where = evidence.where
    return {
        "layer": where.layer.value,
        "partition": where.partition,
        "path": where.path,
        "key": where.key,
        "value": where.value,
        "line": where.line,
        "offset": where.offset,
        "expected": evidence.expected or None,
        "found": evidence.found,
        "time": plain(evidence.time),
        "effect": evidence.effect.value,
        "specification": evidence.spec or None,
    }


def plain(value: Any) -> Any:
    """A value as JSON knows it, in the way of the contract."""
    if isinstance(value, Unknown):
        return {"unknown": value.why}
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, str):
        return without_surrogates(value)
    if isinstance(value, datetime):
        return rfc3339(value)
    if hasattr(value, "_asdict"):
        return {name: plain(item) for name, item in value._asdict().items()}
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    return value
