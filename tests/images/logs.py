r"""Logs of sysprep and of Windows Setup, composed run by run.

A line has fixed columns: date, level, an optional code, component, message::

    2024-05-14 16:20:00, Info       [0x0f0054] SYSPRP ValidateUser:User has required privileges
    2024-05-14 16:20:09, Info                  SYSPRP FCreateTagFile:Successfully created tag file

Wording of messages as in public logs of Windows Server 2016 to 2022.
"""

from __future__ import annotations

import codecs
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from tests.images.times import INSTALLED, SYSPREPPED

STORE_PACKAGE = "Microsoft.WindowsCalculator_11.2403.6.0_x64__8wekyb3d8bbwe"
SYSPREP = r"C:\Windows\System32\Sysprep"
TAG = rf"{SYSPREP}\Sysprep_succeeded.tag"
NOT_PROVISIONED = "0x3cf2"
"""The low half of 80073CF2h, as the log has it."""


@dataclass(frozen=True)
class Line:
    """One line; ``after`` seconds have passed since the line before."""

    message: str
    code: int | None = None
    level: str = "Info"
    after: int = 0
    component: str = "SYSPRP"

    def at(self, time: datetime) -> str:
        """The line as it is in the file."""
        code = "" if self.code is None else f"[0x{self.code:06x}]"
        columns = f"{self.level:<11}{code:<11}{self.component:<7}{self.message}"
        return f"{time:%Y-%m-%d %H:%M:%S}, {columns}"


BENIGN_ERRORS = (
    Line("MRTGeneralize:107 - ERROR: Failed ConnectServer. ", level="Error", after=1),
    Line("Failed to re-enable Compat-Gentel custom trigger", level="Error", after=1),
    Line("SPPNP: Failed to queue enumerated driver packages. Err = 0x57", level="Error", after=2),
    Line(r"Unable to uninstall device ROOT\VOLMGR\0000. Err = 0xE0000231", level="Error"),
    Line("BCD: BiUpdateEfiEntry failed c000000d", level="Error", after=1),
    Line("BCD: BiExportBcdObjects failed c000000d", level="Error"),
    Line("BCD: BiExportStoreAlterationsToEfi failed c000000d", level="Error"),
)
"""Errors that logs of healthy images contain too."""


@dataclass(frozen=True)
class Run:
    """One run of sysprep.

    ``ending`` is "success"; "appx": a Store package stops it while it generalizes;
    "validation": the same package stops it before anything is changed; "recorded-state": refused
    because an earlier run broke off; or "interrupted". Without ``options`` the run is one driven
    by the dialog, which logs none.
    """

    start: datetime = SYSPREPPED
    options: Sequence[str] = ("GENERALIZE", "OOBE", "SHUTDOWN")
    ending: str = "success"
    package: str = STORE_PACKAGE
    old_tag: bool = False
    benign_errors: bool = True

    def lines(self) -> list[Line]:
        """All lines of the run."""
        endings = {
            "success": self._success,
            "appx": self._appx,
            "validation": self._validation,
            "recorded-state": self._recorded_state,
            "interrupted": self._interrupted,
        }
        return [*self._beginning(), *endings[self.ending]()]

    def _beginning(self) -> list[Line]:
        rule = "=" * 56
        tag = (
            Line(f"FCreateTagFile:Successfully deleted tag file {TAG}", 0x0F007C)
            if self.old_tag
            else Line(
                f"FCreateTagFile:Tag file {TAG} does not already exist, no need to delete anything",
                0x0F007E,
            )
        )
        return [
            Line(rule, 0x0F004D),
            Line("===          Beginning of a new sysprep run          ===", 0x0F004D),
            Line(rule, 0x0F004D),
            Line(f"The time is now {self.start:%Y-%m-%d %H:%M:%S}", 0x0F004D),
            Line(rf"Initialized SysPrep log at {SYSPREP}\Panther", 0x0F004E),
            Line("ValidateUser:User has required privileges to sysprep machine", 0x0F0054),
            Line("ValidateVersion:OS version is okay", 0x0F0056),
            Line("ScreenSaver:Successfully disabled screen saver for sysprep", 0x0F005C),
            tag,
            *(
                Line(f"ParseCommands:Found supported command line option '{option}'", 0x0F005F)
                for option in self.options
            ),
        ]

    def _validated(self) -> list[Line]:
        return [
            Line("WinMain:Pre-validing 'cleanup' internal providers.", 0x0F00D7, after=1),
            _module("Sysprep_Clean_Validate_Opk", "spopk.dll"),
            Line("WinMain:Pre-validing 'generalize' internal providers.", 0x0F00D7, after=2),
            _module("SysprepGeneralizeValidate", "AppxSysprep.dll"),
            _module("BitLocker_Validate", "BdeSysprep.dll"),
        ]

    def _generalizing(self) -> list[Line]:
        return [
            Line("WinMain:File operations pending", level="Warning"),
            Line("WinMain:Processing 'cleanup' internal provider request.", after=3),
            _module("Sysprep_Clean_Opk", "spopk.dll"),
            Line("WinMain:Processing 'generalize' internal provider request.", after=4),
        ]

    def _success(self) -> list[Line]:
        return [
            *self._validated(),
            *self._generalizing(),
            *(BENIGN_ERRORS if self.benign_errors else ()),
            _module("SysprepGeneralize", "AppxSysprep.dll", after=9),
            _module("Sysprep_Generalize_Pnp", "sppnp.dll", after=25),
            Line("GeneralizeBcdStore: Successfully generalized application device.", after=4),
            Line("GeneralizeBcdStore: Successfully generalized OS device."),
            _module("SLReArmWindows", "slc.dll", after=12),
            Line(f"FCreateTagFile:Successfully created tag file {TAG}", after=3),
            *(
                Line("ProcessShutdown:Successfully called InitiateSystemShutdownEx to "
                     "shutdown the computer", after=1)
                for option in self.options[-1:]
                if option == "SHUTDOWN"
            ),
        ]  # fmt: skip

    def _appx(self) -> list[Line]:
        return [
            *self._validated(),
            *self._generalizing(),
            *_package_refused(self.package, "SysprepGeneralize", "Execute"),
            _error("WinMain:Hit failure while processing sysprep generalize internal providers; "
                   "hr = 0x80073cf2", 0x0F00A8),
        ]  # fmt: skip

    def _validation(self) -> list[Line]:
        return [
            *self._validated()[:-2],
            *_package_refused(self.package, "SysprepGeneralizeValidate", "Validate"),
            _error("WinMain:Hit failure while pre-validate sysprep generalize internal providers; "
                   "hr = 0x80073cf2", 0x0F00D8),
        ]  # fmt: skip

    def _recorded_state(self) -> list[Line]:
        return [
            _error("RunExternalDlls:Not running DLLs; either the machine is in an invalid state or "
                   "we couldn't update the recorded state, dwRet = 0x1f", 0x0F0073),
            _error("WinMain:Hit failure while processing sysprep cleanup external providers; "
                   "hr = 0x8007001f", 0x0F00AE),
        ]  # fmt: skip

    def _interrupted(self) -> list[Line]:
        return [*self._validated(), *self._generalizing()]


def sysprep_log(
    *runs: Run, encoding: str = "utf-8", empty_first_line: bool = False, errors_only: bool = False
) -> bytes:
    """``setupact.log`` of these runs, or with ``errors_only`` the ``setuperr.log`` beside it.

    ``encoding`` is "utf-8", "utf-8-sig" or "utf-16-le"; the last two begin with their BOM.
    """
    lines = [line for run in runs or (Run(),) for line in _dated(run.lines(), run.start)]
    if errors_only:
        lines = [line for line in lines if ", Error " in line]
    return encode_log([""] * empty_first_line + lines, encoding)


def setup_log(
    start: datetime = INSTALLED,
    came_from: str = "IMAGE_STATE_GENERALIZE_RESEAL_TO_OOBE",
    went_to: str = "IMAGE_STATE_UNDEPLOYABLE",
    encoding: str = "utf-8",
) -> bytes:
    r"""``Windows\Panther\setupact.log`` of a first boot, with the transition it always logs."""
    transition = (
        f"[setup.exe] OrchestrateUpdateImageState: Updating image state from [{came_from}] --> [{went_to}]"
    )
    lines = [
        Line("Build version is 10.0.20348.169 (fe_release_svc_prod1.210801-0000)", 0x0601D0,
             component="IBS"),
        Line(r"CreateSetupBlackboard:Creating new blackboard path is "
             r"[C:\Windows\Panther\SetupInfo] Setup phase is [4]", 0x064042, component="IBSLIB"),
        Line("InstallWindows:No UI language from a previous boot was found on the blackboard. "
             "Using selected language [].", component="IBS"),
        Line(transition, component="", after=1),
        Line("Callback_Specialize_Success: Specialize pass complete", 0x060560, component="IBS",
             after=70),
    ]  # fmt: skip
    return encode_log(_dated(lines, start), encoding)


def encode_log(lines: Iterable[str], encoding: str = "utf-8") -> bytes:
    """Lines as a file: CRLF, and a BOM where the encoding has one."""
    text = "".join(f"{line}\r\n" for line in lines)
    mark = codecs.BOM_UTF16_LE if encoding == "utf-16-le" else b""
    return mark + text.encode(encoding)


def _dated(lines: Iterable[Line], time: datetime) -> list[str]:
    dated = []
    for line in lines:
        time += timedelta(seconds=line.after)
        dated.append(line.at(time))
    return dated


def _module(action: str, library: str, after: int = 1) -> Line:
    return Line(
        f"ActionPlatform::LaunchModule: Successfully executed '{action}' from "
        rf"C:\Windows\System32\{library} without error",
        0x0F0081,
        after=after,
    )


def _error(message: str, code: int | None = None) -> Line:
    return Line(message, code, level="Error")


def _package_refused(package: str, action: str, verb: str) -> list[Line]:
    """The lines that a Store package installed for one user only leaves behind (KB 2769827)."""
    doing = {"Validate": "validating", "Execute": "executing"}[verb]
    return [
        Line(f"Entering {action} (Appx) - validating whether all apps are also provisioned.",
             after=2),
        _error(f"Package {package} was installed for a user, but not provisioned for all users. "
               "This package will not function properly in the sysprep image."),
        _error("Failed to remove apps for the current user: 0x80073cf2."),
        _error(f"Exit code of RemoveAllApps thread was {NOT_PROVISIONED}."),
        _error(f"ActionPlatform::LaunchModule: Failure occurred while executing '{action}' from "
               rf"C:\Windows\System32\AppxSysprep.dll; dwRet = {NOT_PROVISIONED}", 0x0F0082),
        _error(f"SysprepSession::{verb}: Error in {doing} actions from "
               rf"{SYSPREP}\ActionFiles\Generalize.xml; dwRet = {NOT_PROVISIONED}"),
        _error(f"RunPlatformActions:Failed while {doing} Sysprep session actions; "
               f"dwRet = {NOT_PROVISIONED}"),
        _error("RunDlls:An error occurred while running registry sysprep DLLs, "
               f"halting sysprep execution. dwRet = {NOT_PROVISIONED}", 0x0F0070),
    ]  # fmt: skip
