"""What Azure's provisioning of a new machine meets in the image."""

from __future__ import annotations

from tests.catalogue.model import Case, Change, cannot_tell, fails, passes
from tests.images import ABSENT, Windows, installed, wim_applied
from tests.images.stock import SERVICES_KEY

SPECIALIZED: dict[str, object] = {"windows": installed, "profile": "azure-specialized"}
REMOVABLE_KEY = r"Policies\Microsoft\Windows\RemovableStorageDevices"
DISC_KEY = rf"{REMOVABLE_KEY}\{{53f56308-b6bf-11d0-94f2-00a0c91efb8b}}"
CDROM_KEY = rf"{SERVICES_KEY}\cdrom"
SCRIPTS = r"Windows\Setup\Scripts"
SETUP_COMPLETE, ERROR_HANDLER = rf"{SCRIPTS}\SetupComplete.cmd", rf"{SCRIPTS}\ErrorHandler.cmd"
PANTHER, SYSPREP = r"Windows\Panther\unattend.xml", r"Windows\System32\Sysprep\unattend.xml"
AGENT_FOLDER = r"WindowsAzure\GuestAgent_2.7.41491.1172_2025-06-01_000000"

STUB = b"""@ECHO OFF && SETLOCAL && SETLOCAL ENABLEDELAYEDEXPANSION && SETLOCAL ENABLEEXTENSIONS\r
\r
REM Execute this script from %WINDIR%\\Setup\\Scripts\r
CALL %SystemRoot%\\OEM\\SetupComplete.cmd\r
"""
"""What Azure's provisioning puts in the place of SetupComplete.cmd (as public notes have it)."""


def unreadable(hive: str) -> Change:
    """A hive file without content."""
    return lambda w: w.file(rf"Windows\System32\config\{hive}", b"")


def suspended(windows: Windows) -> Windows:
    """A machine that hibernated: nothing on its volume can be relied on."""
    return windows.file("hiberfil.sys", b"HIBR" + bytes(4096))


def settings(name: str, *, processed: bool = False, more: str = "") -> str:
    """One pass of an answer file."""
    mark = ' wasPassProcessed="true"' if processed else ""
    return (
        f'<settings pass="{name}"{mark}><component name="Microsoft-Windows-Shell-Setup" '
        'processorArchitecture="amd64" publicKeyToken="31bf3856ad364e35" language="neutral" '
        f'versionScope="nonSxS"><TimeZone>UTC</TimeZone>{more}</component></settings>'
    )


def answer(*passes: str, spaces: str = "") -> bytes:
    """An answer file."""
    text = f'<unattend xmlns="urn:schemas-microsoft-com:unattend"{spaces}>{"".join(passes)}</unattend>'
    return b'<?xml version="1.0" encoding="utf-8"?>\r\n' + text.encode()


AZURE = ' xmlns:rdfe="http://schemas.microsoft.com/2009/05/WindowsAzure/ServiceManagement"'
OWN = answer(settings("generalize"), settings("specialize"), settings("oobeSystem"))
PROCESSED = answer(
    settings("generalize"), settings("specialize", processed=True), settings("oobeSystem", processed=True)
)
PLATFORM = answer(settings("specialize"), settings("oobeSystem"), spaces=AZURE)


def with_answer(content: bytes, path: str = PANTHER) -> Change:
    """An answer file at a place."""
    return lambda w: w.file(path, content)


def with_agent(*services: str, programs: bool = True, prefix: str = "C:\\") -> Change:
    """Services of the VM agent, and their programs."""
    names = {"RdAgent": "WaAppAgent.exe", "WindowsAzureGuestAgent": "WindowsAzureGuestAgent.exe"}

    def change(windows: Windows) -> Windows:
        for service in services:
            path = rf"{AGENT_FOLDER}\{names[service]}"
            windows = windows.system(rf"{SERVICES_KEY}\{service}", Start=2, ImagePath=prefix + path)
            if programs:
                windows = windows.file(path, b"MZ")
        return windows

    return change


def service(name: str, start: int) -> Change:
    """One service more."""
    return lambda w: w.system(rf"{SERVICES_KEY}\{name}", Start=start, ImagePath=rf"C:\{name}.exe")


CASES: tuple[Case, ...] = (
    passes("cdrom-enabled", shows="1 (system)"),
    passes("cdrom-enabled", "stock media", windows=wim_applied),
    passes("cdrom-enabled", "on demand", change=lambda w: w.system(CDROM_KEY, Start=3)),
    fails(
        "cdrom-enabled",
        "disabled",
        "error",
        change=lambda w: w.system(CDROM_KEY, Start=4),
        says="is off",
        shows="4 (disabled)",
        verdict="undeployable",
    ),
    fails(
        "cdrom-enabled",
        "no driver",
        "error",
        change=lambda w: w.without_key("SYSTEM", CDROM_KEY),
        says="no driver",
        verdict="undeployable",
    ),
    fails(
        "cdrom-enabled",
        "no Start",
        "warning",
        change=lambda w: w.system(CDROM_KEY, Start=ABSENT),
        verdict="deployable",
    ),
    fails(
        "cdrom-enabled",
        "Start is text",
        "warning",
        change=lambda w: w.system(CDROM_KEY, Start="1"),
    ),
    fails(
        "cdrom-enabled",
        "specialized",
        "notice",
        change=lambda w: w.system(CDROM_KEY, Start=4),
        verdict="deployable",
        **SPECIALIZED,
    ),
    cannot_tell("cdrom-enabled", change=unreadable("SYSTEM")),
    passes("removable-storage-policy"),
    passes("removable-storage-policy", "allowed", change=lambda w: w.software(REMOVABLE_KEY, Deny_All=0)),
    passes(
        "removable-storage-policy",
        "discs are not written",
        change=lambda w: w.software(DISC_KEY, Deny_Write=1),
    ),
    fails(
        "removable-storage-policy",
        "all",
        "error",
        change=lambda w: w.software(REMOVABLE_KEY, Deny_All=1),
        shows="Deny_All",
        verdict="undeployable",
    ),
    fails(
        "removable-storage-policy",
        "discs",
        "warning",
        change=lambda w: w.software(DISC_KEY, Deny_Read=1),
        shows="Deny_Read",
        verdict="deployable",
    ),
    fails(
        "removable-storage-policy",
        "programs on discs",
        "warning",
        change=lambda w: w.software(DISC_KEY, Deny_Execute=1),
    ),
    fails(
        "removable-storage-policy",
        "specialized",
        "notice",
        change=lambda w: w.software(REMOVABLE_KEY, Deny_All=1),
        **SPECIALIZED,
    ),
    cannot_tell("removable-storage-policy", change=unreadable("SOFTWARE")),
    passes("answer-file-leftover"),
    passes(
        "answer-file-leftover",
        "processed",
        change=with_answer(PROCESSED),
        shows="specialize (processed), oobeSystem (processed)",
    ),
    passes(
        "answer-file-leftover", "Azure's own", change=with_answer(PLATFORM), shows="Azure's own answer file"
    ),
    passes(
        "answer-file-leftover",
        "only passes that do not count",
        change=with_answer(answer(settings("generalize"), settings("windowsPE"), settings("auditUser"))),
    ),
    passes(
        "answer-file-leftover",
        "empty passes",
        change=with_answer(answer('<settings pass="specialize" /><settings pass="oobeSystem"></settings>')),
    ),
    passes(
        "answer-file-leftover",
        "another name",
        change=with_answer(OWN, r"Windows\Panther\unattend-original.xml"),
    ),
    passes("answer-file-leftover", "a folder", change=lambda w: w.file(rf"{PANTHER}\x.txt", b"")),
    passes(
        "answer-file-leftover",
        "a name without a file",
        change=lambda w: w.system("Setup", UnattendFile=r"C:\gone\answers.xml"),
        shows=r"C:\gone\answers.xml",
    ),
    passes(
        "answer-file-leftover",
        "a name on another drive",
        change=lambda w: w.system("Setup", UnattendFile=r"A:\answers.xml"),
    ),
    fails(
        "answer-file-leftover",
        "Panther",
        "warning",
        change=with_answer(OWN),
        says="before Azure's own",
        shows="specialize (not processed), oobeSystem (not processed)",
        verdict="deployable",
    ),
    fails("answer-file-leftover", "sysprep's folder", "warning", change=with_answer(OWN, SYSPREP)),
    fails("answer-file-leftover", "the root", "warning", change=with_answer(OWN, "autounattend.xml")),
    fails(
        "answer-file-leftover",
        "UTF-16",
        "warning",
        change=with_answer(OWN.decode().encode("utf-16"), r"Windows\Panther\Unattend\AutoUnattend.xml"),
    ),
    fails(
        "answer-file-leftover",
        "named by the registry",
        "warning",
        change=lambda w: w.system("Setup", UnattendFile=r"%SystemDrive%\build\a.xml").file(
            r"build\a.xml", OWN
        ),
        shows=r"\build\a.xml",
    ),
    fails(
        "answer-file-leftover",
        "one pass left",
        "warning",
        change=with_answer(answer(settings("specialize", processed=True), settings("oobeSystem"))),
        shows="oobeSystem (not processed)",
    ),
    fails(
        "answer-file-leftover",
        "no XML",
        "warning",
        change=with_answer(OWN[:-8]),
        says="cannot understand",
        shows="no well-formed XML at line 2",
    ),
    fails(
        "answer-file-leftover",
        "another kind of XML",
        "warning",
        change=with_answer(b"<plist/>"),
        says="cannot understand",
    ),
    fails(
        "answer-file-leftover",
        "specialized",
        "notice",
        change=with_answer(OWN),
        says="would apply",
        **SPECIALIZED,
    ),
    cannot_tell("answer-file-leftover", change=unreadable("SYSTEM")),
    cannot_tell(
        "answer-file-leftover",
        "too large",
        change=with_answer(OWN + b" " * 2**20),
        shows="an answer file of at most 1048576 bytes",
        verdict="deployable",
    ),
    cannot_tell(
        "answer-file-leftover",
        "a document type",
        change=with_answer(b'<!DOCTYPE a [<!ENTITY b "c">]>' + OWN.partition(b"\n")[2]),
    ),
    passes("setupcomplete-script"),
    passes("setupcomplete-script", "Azure's stub", change=lambda w: w.file(SETUP_COMPLETE, STUB)),
    passes(
        "setupcomplete-script",
        "no commands",
        change=lambda w: w.file(SETUP_COMPLETE, b"@echo off\r\nrem nothing\r\n:: either\r\nexit /b 0\r\n"),
    ),
    passes(
        "setupcomplete-script",
        "the agent's error handler",
        change=lambda w: w.file(ERROR_HANDLER, b"@echo off\r\nTITLE ERROR HANDLER\r\npause\r\n").file(
            SETUP_COMPLETE, STUB
        ),
    ),
    passes(
        "setupcomplete-script",
        "a stub for the agent's error handler",
        change=lambda w: w.file(ERROR_HANDLER, STUB.replace(b"SetupComplete.cmd", b"ErrorHandler.cmd")),
    ),
    fails(
        "setupcomplete-script",
        "own commands",
        "warning",
        change=lambda w: w.file(SETUP_COMPLETE, b"@echo off\r\nnet user admin Sw0rdfish! /add\r\n"),
        shows="net user admin [redacted] /add",
        verdict="deployable",
    ),
    fails(
        "setupcomplete-script",
        "own commands behind the stub",
        "warning",
        change=lambda w: w.file(SETUP_COMPLETE, STUB + b"C:\\tools\\join.cmd\r\n"),
        shows=r"C:\tools\join.cmd",
    ),
    fails(
        "setupcomplete-script",
        "one that only names the stub",
        "warning",
        change=lambda w: w.file(SETUP_COMPLETE, b"del %SystemRoot%\\OEM\\SetupComplete.cmd\r\n"),
    ),
    fails(
        "setupcomplete-script",
        "own error handler, UTF-16",
        "warning",
        change=lambda w: w.file(ERROR_HANDLER, "wpeutil reboot\r\n".encode("utf-16")),
        says="ErrorHandler.cmd",
    ),
    fails(
        "setupcomplete-script",
        "specialized",
        "notice",
        change=lambda w: w.file(SETUP_COMPLETE, b"join.cmd"),
        **SPECIALIZED,
    ),
    cannot_tell("setupcomplete-script", change=suspended),
    passes("vm-agent", "none", says="provisioning can do that"),
    passes("vm-agent", "none, specialized", says="until it is", **SPECIALIZED),
    passes(
        "vm-agent",
        "installed",
        change=with_agent("RdAgent", "WindowsAzureGuestAgent"),
        shows="GuestAgent_2.7.41491.1172",
    ),
    fails("vm-agent", "one service", "notice", change=with_agent("RdAgent"), says="in part"),
    fails(
        "vm-agent",
        "no programs",
        "notice",
        change=with_agent("RdAgent", "WindowsAzureGuestAgent", programs=False),
        says="RdAgent and WindowsAzureGuestAgent",
        shows="(no such file)",
    ),
    fails(
        "vm-agent",
        "no ImagePath",
        "notice",
        change=lambda w: w.system(rf"{SERVICES_KEY}\RdAgent", Start=2),
        shows="no value ImagePath",
    ),
    fails(
        "vm-agent",
        "specialized",
        "warning",
        change=with_agent("WindowsAzureGuestAgent"),
        **SPECIALIZED,
    ),
    cannot_tell("vm-agent", change=unreadable("SYSTEM")),
    passes("extension-leftovers"),
    passes("extension-leftovers", "an empty folder", change=lambda w: w.file("Packages\\Plugins\\", b"")),
    fails(
        "extension-leftovers",
        "one",
        "warning",
        change=lambda w: w.file(
            r"Packages\Plugins\Microsoft.Compute.CustomScriptExtension\1.10.15\HandlerManifest.json", b"{}"
        ),
        shows="Microsoft.Compute.CustomScriptExtension",
        verdict="deployable",
    ),
    fails(
        "extension-leftovers",
        "many, specialized",
        "notice",
        change=lambda w: w.file(r"Packages\Plugins\A\1.txt", b"").file(r"Packages\Plugins\B\1.txt", b""),
        shows="A, B",
        **SPECIALIZED,
    ),
    cannot_tell("extension-leftovers", change=suspended),
    passes("foreign-agents"),
    passes("foreign-agents", "on demand", change=service("VMTools", 3), shows="3 (manual)"),
    passes("foreign-agents", "disabled", change=service("cloudbase-init", 4)),
    fails("foreign-agents", "VMware", "notice", change=service("VMTools", 2), says="VMware Tools"),
    fails("foreign-agents", "QEMU", "notice", change=service("qemu-ga", 2), says="QEMU"),
    fails("foreign-agents", "cloudbase-init", "notice", change=service("cloudbase-init", 2), **SPECIALIZED),
    cannot_tell("foreign-agents", change=unreadable("SYSTEM")),
)
