"""What a plug-in is made of: all that its author may import, and that stays (docs/plugins.md).

    from validator.plugins import Plugin, Remedy, Severity, by_profile, check, failed, passed

A plug-in names one `Plugin` in the entry point group `image_validator.plugins`.
"""

from validator.checks.model import (
    Check,
    Finding,
    PluginError,
    Remedy,
    Severity,
    Status,
    by_profile,
    check,
    failed,
    not_applicable,
    passed,
    unknown,
)
from validator.disk.container import Container
from validator.disk.ntfs import NtfsVolume
from validator.evidence import Evidence, Layer, Location, Unreadable
from validator.facts.image import Installation
from validator.facts.model import Attempt
from validator.facts.question import Question
from validator.facts.services import Service, Services
from validator.facts.setup import Product
from validator.plugin_loader import Plugin
from validator.redaction import redact
from validator.windows.hive import Hive, Value
from validator.windows.target import WindowsTarget
from validator.windows.text import decode

__all__ = [
    "Attempt",
    "Check",
    "Container",
    "Evidence",
    "Finding",
    "Hive",
    "Installation",
    "Layer",
    "Location",
    "NtfsVolume",
    "Plugin",
    "PluginError",
    "Product",
    "Question",
    "Remedy",
    "Service",
    "Services",
    "Severity",
    "Status",
    "Unreadable",
    "Value",
    "WindowsTarget",
    "by_profile",
    "check",
    "decode",
    "failed",
    "not_applicable",
    "passed",
    "redact",
    "unknown",
]
