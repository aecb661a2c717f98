r"""Installations of Windows Server 2022, each in one state of its life.

The values are those that Windows writes: ImageState follows from GeneralizationState (4 after a
generalization, 7 when Setup is over, 3 when a generalization broke off) and ChildCompletion.
"""

from __future__ import annotations

from tests.images.boot import pe_stub
from tests.images.hive import ABSENT
from tests.images.logs import STORE_PACKAGE, Run, setup_log, sysprep_log
from tests.images.stock import with_stock_settings
from tests.images.times import INSTALLED, SHUT_DOWN
from tests.images.windows import Windows

STATE_KEY = r"Microsoft\Windows\CurrentVersion\Setup\State"
SERVICING_KEY = r"Microsoft\Windows\CurrentVersion\Setup\ImageServicingData"
VERSION_KEY = r"Microsoft\Windows NT\CurrentVersion"
SETUP_KEY = "Setup"
STATUS_KEY = r"Setup\Status"
SYSPREP_STATUS_KEY = r"Setup\Status\SysprepStatus"
CHILDREN_KEY = r"Setup\Status\ChildCompletion"
ENVIRONMENT_KEY = r"ControlSet001\Control\Session Manager\Environment"
COMPUTER_NAME_KEY = r"ControlSet001\Control\ComputerName\ComputerName"

APPX_KEY = r"Microsoft\Windows\CurrentVersion\Appx\AppxAllUserStore"
BUILD_USER = "S-1-5-21-1004336348-1177238915-682003330-1001"
PROVISIONED_PACKAGE = "Microsoft.WindowsStore_22403.1401.1.0_neutral_~_8wekyb3d8bbwe"

COMPLETE = "IMAGE_STATE_COMPLETE"
UNDEPLOYABLE = "IMAGE_STATE_UNDEPLOYABLE"
GENERALIZED_OOBE = "IMAGE_STATE_GENERALIZE_RESEAL_TO_OOBE"
GENERALIZED_AUDIT = "IMAGE_STATE_GENERALIZE_RESEAL_TO_AUDIT"
SPECIALIZED_OOBE = "IMAGE_STATE_SPECIALIZE_RESEAL_TO_OOBE"
SPECIALIZED_AUDIT = "IMAGE_STATE_SPECIALIZE_RESEAL_TO_AUDIT"

STATE_INI = r"Windows\Setup\State\State.ini"
TAG = r"Windows\System32\Sysprep\Sysprep_succeeded.tag"
SYSPREP_LOG = r"Windows\System32\Sysprep\Panther\setupact.log"
SYSPREP_ERRORS = r"Windows\System32\Sysprep\Panther\setuperr.log"
SETUP_LOG = r"Windows\Panther\setupact.log"

WINDEPLOY = r"oobe\windeploy.exe"
SYSTEM32 = r"Windows\System32"
PROGRAMS = (
    "ntoskrnl.exe", "hal.dll", "kernel32.dll", "ci.dll", "winload.exe", "winload.efi",
    r"oobe\windeploy.exe", r"oobe\setup.exe", r"Sysprep\sysprep.exe",
)  # fmt: skip


def installed() -> Windows:
    """A finished installation that sysprep never touched."""
    return with_state(_stock(), COMPLETE).file(SETUP_LOG, setup_log())


def wim_applied() -> Windows:
    """Stock media applied by DISM: armed like a sysprepped disk, without tag and logs."""
    return _armed(_stock(), setup_type=1)


def generalized() -> Windows:
    """A healthy image: sysprep generalized it and shut it down."""
    armed = _armed(_stock(), setup_type=2).system(SYSPREP_STATUS_KEY, CleanupState=2)
    return with_sysprep_run(armed.file(SETUP_LOG, setup_log()), Run()).file(TAG, b"", SHUT_DOWN)


def undeployable() -> Windows:
    """A generalization that a Store package broke off."""
    broken = (
        with_state(_stock(), UNDEPLOYABLE)
        .system(SYSPREP_STATUS_KEY, GeneralizationState=3, CleanupState=2)
        .software(rf"{APPX_KEY}\Applications\{PROVISIONED_PACKAGE}", Path="")
        .software(rf"{APPX_KEY}\{BUILD_USER}\{STORE_PACKAGE}", Path="")
        .file(SETUP_LOG, setup_log())
    )
    return with_sysprep_run(broken, Run(ending="appx"))


def edited() -> Windows:
    """A finished installation in which somebody set ImageState by hand."""
    return installed().software(STATE_KEY, ImageState=GENERALIZED_OOBE)


def with_state(windows: Windows, state: str) -> Windows:
    """Write ``state`` to the three places where Windows keeps it, in its order."""
    return (
        windows.software(STATE_KEY, ImageState=state)
        .software(SERVICING_KEY, ImageState=state)
        .file(STATE_INI, state_ini(state), SHUT_DOWN)
    )


def state_ini(state: str) -> bytes:
    """State.ini as WritePrivateProfileString leaves it: 8-bit text, CRLF."""
    return f"[State]\r\nImageState={state}\r\n".encode("ascii")


def with_sysprep_run(windows: Windows, *runs: Run) -> Windows:
    """Put the logs that these runs leave behind."""
    return windows.file(SYSPREP_LOG, sysprep_log(*runs), SHUT_DOWN).file(
        SYSPREP_ERRORS, sysprep_log(*runs, errors_only=True), SHUT_DOWN
    )


def _armed(windows: Windows, setup_type: int) -> Windows:
    """What makes the next start run Setup: the same after sysprep and on stock media."""
    return (
        with_state(windows, GENERALIZED_OOBE)
        .system(
            SETUP_KEY,
            SetupType=setup_type,
            CmdLine=WINDEPLOY,
            SystemSetupInProgress=1,
            OOBEInProgress=1,
            SetupPhase=4,
            RestartSetup=1,
        )
        .system(SYSPREP_STATUS_KEY, GeneralizationState=4)
        .system(CHILDREN_KEY, dict.fromkeys(("setup.exe", "oobeldr.exe", "audit.exe"), 0))
        .system(CHILDREN_KEY, SetupFinalTasks=ABSENT)
        .system(COMPUTER_NAME_KEY, ComputerName="WIN-GENERALIZED")
    )


def _stock() -> Windows:
    """Files and values that do not depend on the state, Setup being over."""
    windows = _version(Windows())
    windows = (
        windows.system("Select", Current=1, Default=1, Failed=0, LastKnownGood=1)
        .system(
            SETUP_KEY,
            SetupType=0,
            CmdLine="",
            SystemSetupInProgress=0,
            OOBEInProgress=0,
            SetupPhase=0,
            RestartSetup=0,
            SetupSupported=1,
            SystemPartition=r"\Device\HarddiskVolume1",
            OsLoaderPath="\\",
            WorkingDirectory=r"C:\Windows\Panther",
            RespecializeCmdLine=r"Sysprep\sysprep.exe /respecialize /quiet",
            CloneTag=["Sat May 08 08:25:22 2021"],
        )
        .system(STATUS_KEY, AuditBoot=0)
        .system(SYSPREP_STATUS_KEY, GeneralizationState=7)
        .system(CHILDREN_KEY, {"setup.exe": 3, "oobeldr.exe": 3, "SetupFinalTasks": 3})
        .system(r"Setup\Status\UnattendPasses", auditSystem=0)
        .system(ENVIRONMENT_KEY, PROCESSOR_ARCHITECTURE="AMD64", NUMBER_OF_PROCESSORS="2")
        .system(COMPUTER_NAME_KEY, ComputerName="BUILD-01")
        .system("MountedDevices")
    )
    return _stock_files(with_stock_settings(windows, pe_stub()))


def _version(windows: Windows) -> Windows:
    return windows.software(
        VERSION_KEY,
        ProductName="Windows Server 2022 Datacenter",
        EditionID="ServerDatacenter",
        InstallationType="Server",
        CurrentVersion="6.3",
        CurrentBuild="20348",
        CurrentBuildNumber="20348",
        CurrentMajorVersionNumber=10,
        CurrentMinorVersionNumber=0,
        UBR=2461,
        DisplayVersion="21H2",
        ReleaseId="2009",
        BuildLabEx="20348.1.amd64fre.fe_release.210507-1500",
        SystemRoot=r"C:\Windows",
        PathName=r"C:\Windows",
        InstallDate=int(INSTALLED.timestamp()),
    )


def _stock_files(windows: Windows) -> Windows:
    program = pe_stub()
    for name in PROGRAMS:
        windows = windows.file(rf"{SYSTEM32}\{name}", program)
    return (
        windows.file(r"Windows\explorer.exe", program)
        .file(r"Windows\Boot\EFI\bootmgfw.efi", pe_stub(subsystem=10))
        .file("Program Files\\", b"")
        .file("ProgramData\\", b"")
        .file(r"Users\Public\desktop.ini", b"[.ShellClassInfo]\r\n")
        .file(r"Users\Default\NTUSER.DAT", b"")
    )
