"""Reports that every renderer is tried on: one of real sample images, and one full of hostile text."""

from __future__ import annotations

import functools
from dataclasses import replace
from datetime import datetime, timezone

import validator
from tests.command import ROOT
from validator.checks.model import Remedy, Status
from validator.evidence import Evidence, Layer, Location
from validator.facts.timeline import Event
from validator.judging import Judged, Verdict, exit_code
from validator.report.model import Report, RunReport
from validator.source import ReadCount

SAMPLES = ("generalized-gen1.vhd", "undeployable.vhdx", "edited.vhdx", "corrupt.vhdx")
STARTED = datetime(2024, 5, 15, 8, 30, tzinfo=timezone.utc)
HOSTILE = (
    "a\x00b\x07c\x1b[2Jd\x1b]0;title\x07e\x9bf\r\n::error::injected\n##vso[task.complete result=Succeeded]\n"
    "x ##[error]y ##teamcity[z] ]]> <script>alert(1)</script> <img src=x onerror=alert(1)> & \" ' `code` "
    "| cell | @someone ![i](http://example.com/i) [l](javascript:alert(1)) \u202e\u2028\u2029\ufffe"
    "\udc80\ud800 % %0A"
)
"""What an image may call something."""


def run_of(*images: Report) -> RunReport:
    """A run over these images, at a fixed time."""
    code = exit_code([image.judgement for image in images])
    return RunReport("1.2.3", STARTED, "azure-generalized", code, images)


@functools.cache
def sample() -> RunReport:
    """Four sample images, good and bad, with one finding waived; the same at every call."""
    images = []
    for name in SAMPLES:
        report = validator.validate(ROOT / "sample_images" / name)
        images.append(
            replace(report, path=f"images/{name}", duration_ms=12.345, io=ReadCount(1, 40, 400_000))
        )
    waived = images[1]
    findings = list(waived.judgement.findings)
    index = next(
        place
        for place, each in enumerate(findings)
        if each.status is Status.FAILED and each.check.id != "image-state"
    )
    findings[index] = findings[index]._replace(status=Status.WAIVED)
    images[1] = replace(waived, judgement=waived.judgement._replace(findings=tuple(findings)))
    life = (
        Event(datetime(2024, 5, 13, 8, 12, tzinfo=timezone.utc), "installed", "Windows was installed"),
        Event(datetime(2024, 5, 14, 16, 20), "sysprep", "sysprep /generalize /oobe /shutdown failed"),
        Event(datetime(2024, 5, 14, 16, 24, tzinfo=timezone.utc), "shut down", "Windows was shut down"),
    )
    return run_of(*(replace(image, timeline=life) for image in images))


@functools.cache
def hostile(length: int = 0) -> RunReport:
    """The undeployable sample, hostile wherever text of an image can stand, `length` characters more."""
    text = HOSTILE + "A" * length
    report = sample().images[1]
    where = Location(Layer.FILE_SYSTEM, 4096, 3, rf"\Windows\{text}", rf"Key\{text}", text, line=7)
    evidence = Evidence(where, text, text, datetime(2024, 5, 14, 16, 20))

    def spoiled(judged: Judged) -> Judged:
        return judged._replace(
            message=text, evidence=(evidence, *judged.evidence), remedy=Remedy(text, (text, "sysprep"))
        )

    judgement = report.judgement._replace(
        verdict=Verdict.UNDEPLOYABLE, summary=text, findings=tuple(map(spoiled, report.findings))
    )
    facts = report.facts._replace(architecture=text)
    life = (Event(None, "installed", text),)
    return run_of(replace(report, path=text, judgement=judgement, facts=facts, timeline=life))
