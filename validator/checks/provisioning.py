"""Provisioning: can Azure make a machine of the image, and what of another life would get in the way?"""

import re
from collections.abc import Iterator

from validator.checks.model import (
    Check,
    Finding,
    Remedy,
    Severity,
    by_profile,
    check,
    failed,
    passed,
    unknown,
)
from validator.evidence import Evidence
from validator.facts.provisioning import (
    FOREIGN_SERVICES,
    REMOVABLE_KEY,
    AgentService,
    AnswerFiles,
    CdromDriver,
    ExtensionFolder,
    RemovableStoragePolicy,
    SetupScript,
    shown_name,
)
from validator.facts.question import Question
from validator.facts.services import AUTOMATIC, DISABLED, Service
from validator.redaction import redact
from validator.windows.answer_file import AnswerFile, FaultKind
from validator.windows.hive import Value

FAMILY = "provisioning"
_SINCE = "0.1"
_PREPARE = "https://learn.microsoft.com/azure/virtual-machines/windows/prepare-for-upload-vhd-image"
_GENERALIZE = "https://learn.microsoft.com/azure/virtual-machines/generalize"
_SEARCH = "https://learn.microsoft.com/windows-hardware/manufacture/desktop/windows-setup-automation-overview"
_SCRIPTS = (
    "https://learn.microsoft.com/windows-hardware/manufacture/desktop/add-a-custom-script-to-windows-setup"
)
_UNEXPECTED_RESTART = (
    "https://learn.microsoft.com/troubleshoot/azure/virtual-machines/windows/"
    "troubleshoot-unexpected-restart-error-during-vm-boot"
)
_AGENT_OFFLINE = (
    "https://learn.microsoft.com/troubleshoot/azure/virtual-machines/windows/install-vm-agent-offline"
)
_AGENT = "https://learn.microsoft.com/azure/virtual-machines/extensions/agent-windows"
_MIGRATE = "https://learn.microsoft.com/azure/migrate/prepare-for-agentless-migration"
_SHOWN = 10
"""Names of extensions that are listed."""
_LONGEST = 200
"""Characters of a script's line that are quoted."""

_NOISE = re.compile(
    r"(?i)@?\s*(?:rem\b|::|:\w+|title\b|cls\b|setlocal\b|endlocal\b|exit\b|goto\b"
    r"|echo\s+(?:off|on)\b(?:\s*&&?\s*(?:setlocal\b[\w ]*))*\s*$)"
)
"""Lines of a script that do nothing by themselves."""
_STUBS = {
    "SetupComplete.cmd": re.compile(
        r'(?i)@?(?:call\s+)?"?(?:%systemroot%|%windir%|c:\\windows)\\OEM\\SetupComplete\.cmd"?[\s%*\d]*$'
    ),
    "ErrorHandler.cmd": re.compile(
        r'(?i)@?(?:call\s+)?"?(?:%systemroot%|%windir%|c:\\windows)\\OEM\\ErrorHandler\.cmd"?[\s%*\d]*$'
    ),
}
_ERROR_HANDLER = re.compile(r"(?i)\btitle\s+\"?ERROR HANDLER\b|\\Panther\\WaSetup\.log")
"""In the error handler of Azure's provisioning agent: the title of its window, and the agent's log."""


@check(
    "cdrom-enabled",
    family=FAMILY,
    severity=by_profile(Severity.ERROR, Severity.NOTICE, None),
    remedy=Remedy(
        "Turn the driver of CD and DVD drives on again before sysprep.",
        (r"reg add HKLM\SYSTEM\CurrentControlSet\Services\cdrom /v Start /t REG_DWORD /d 1 /f",),
    ),
    references=(_PREPARE, _GENERALIZE),
    since=_SINCE,
)
def cdrom_enabled(cdrom_driver: CdromDriver) -> Iterator[Finding]:
    r"""The driver for CD and DVD drives is on.

    Azure hands a new machine its name, its administrator and its agent on a disc, in a DVD drive. With the
    driver off, Windows does not see the disc and waits at the first-run setup until provisioning times out.

    Read: `Start` of `SYSTEM\CurrentControlSet\Services\cdrom`; 0 to 3 are on (Windows has 1), 4 is off. The
    drivers of the file systems on discs (`cdfs`, `udfs`) are at 4 in every Windows and start when they are
    needed: they do not count. A `Start` that is absent or no such number is a warning.
    """
    service = cdrom_driver.service
    if service is None:
        yield failed(
            "Windows has no driver for CD and DVD drives: a new machine cannot read Azure's disc.",
            Evidence(cdrom_driver.where, "no such key", "the driver's key with Start 1"),
        )
    elif service.start_number == DISABLED:
        yield failed(
            "The driver for CD and DVD drives is off: a new machine cannot read Azure's disc.",
            service.evidence._replace(expected="1"),
        )
    elif service.start_number not in range(DISABLED):
        yield failed(
            "How the driver for CD and DVD drives starts is not set as Windows expects it.",
            service.evidence._replace(expected="1"),
            severity=Severity.WARNING,
        )
    else:
        yield passed("The driver for CD and DVD drives is on.", service.evidence)


@check(
    "removable-storage-policy",
    family=FAMILY,
    severity=by_profile(Severity.ERROR, Severity.NOTICE, None),
    remedy=Remedy(
        "Take the machine out of the group policy that forbids removable storage, or delete its values, "
        "before sysprep. The policy can be applied again once machines are deployed.",
        (rf'reg delete "HKLM\SOFTWARE\{REMOVABLE_KEY}" /f',),
    ),
    references=(_GENERALIZE,),
    since=_SINCE,
)
def removable_storage_policy(removable_storage_policy: RemovableStoragePolicy) -> Iterator[Finding]:
    r"""No policy keeps Windows from reading the disc that Azure provisions a machine with.

    The policy “All Removable Storage classes: Deny all access” makes the provisioning disc unreadable, so
    that provisioning never ends: Microsoft's documentation of generalizing names it.

    Read: `SOFTWARE\Policies\Microsoft\Windows\RemovableStorageDevices`, `Deny_All`. `Deny_Read` and
    `Deny_Execute` of the class of CD and DVD drives (`{53f56308-b6bf-11d0-94f2-00a0c91efb8b}` below it)
    should do the same, but are not documented to: they are a warning.
    """
    policy = removable_storage_policy
    disc = [value for value in (policy.disc_read, policy.disc_execute) if _is_on(value)]
    if policy.deny_all is not None and _is_on(policy.deny_all):
        yield failed(
            "A policy denies all access to removable storage: a new machine cannot read Azure's "
            "provisioning disc.",
            policy.deny_all.evidence,
            *(value.evidence for value in disc if value is not None),
        )
    elif disc:
        yield failed(
            "A policy denies access to CD and DVD drives: a new machine may not be able to read Azure's "
            "provisioning disc.",
            *(value.evidence for value in disc if value is not None),
            severity=Severity.WARNING,
        )
    else:
        yield passed("No policy denies access to the provisioning disc.")


@check(
    "answer-file-leftover",
    family=FAMILY,
    severity=by_profile(Severity.WARNING, Severity.NOTICE, None),
    remedy=Remedy(
        "Delete the answer file, and UnattendFile in the registry, before sysprep; run sysprep without "
        "/unattend. What the file does belongs into the build, or into Azure's custom data and extensions.",
        (
            r"del /f /q C:\Windows\Panther\unattend.xml C:\Windows\Panther\Unattend\*.xml "
            r"C:\Windows\System32\Sysprep\unattend.xml C:\unattend.xml C:\Autounattend.xml",
            r"reg delete HKLM\SYSTEM\Setup /v UnattendFile /f",
            r"C:\Windows\System32\Sysprep\sysprep.exe /generalize /oobe /shutdown",
        ),
    ),
    references=(_UNEXPECTED_RESTART, _SEARCH),
    since=_SINCE,
)
def answer_file_leftover(answer_files: AnswerFiles, question: Question) -> Iterator[Finding]:
    r"""No answer file of the image's builder waits where Windows Setup looks for one.

    The first start of a generalized image searches for an answer file, and places on the disk come before
    the disc on which Azure brings its own. A file that is found first is used instead: Azure's commands
    never run, the agent does not start and provisioning times out, or Windows cannot complete its
    installation. Azure does not support answer files in images.

    Read, in Windows Setup's order: the file that `SYSTEM\Setup\UnattendFile` names;
    `\Windows\Panther\Unattend\unattend.xml` and `Autounattend.xml`; `\Windows\Panther\unattend.xml`;
    `\Windows\System32\Sysprep\unattend.xml`; `unattend.xml` and `Autounattend.xml` in the root of the
    volume. What counts is a pass `specialize` or `oobeSystem` with settings that is not marked as processed
    (`wasPassProcessed`); other passes do not, since nothing marks or runs them. Azure's own file, which an
    image of an Azure machine keeps, is told by the name space
    `http://schemas.microsoft.com/2009/05/WindowsAzure`. A file that is no XML or no answer file counts as
    well: Windows Setup stops at it. What cannot be read or is larger than 1 MiB is unknown.
    """
    files = answer_files.files
    broken = [each for each in files if each.fault and _stops_setup(each)]
    waiting = [each for each in files if not each.fault and not each.platform and each.waiting]
    unread = [each.fault.evidence for each in files if each.fault and not _stops_setup(each)]
    named = () if answer_files.named is None else (shown_name(answer_files.named),)
    evidence = (*named, *(each.evidence for each in waiting), *(_fault(each) for each in broken))
    if waiting and question.specialized:
        yield failed(
            "An answer file of the image's builder still has settings that Windows Setup would apply.",
            *evidence,
        )
    elif waiting:
        yield failed(
            "Windows Setup will find an answer file of the image's builder before Azure's own: provisioning "
            "can fail.",
            *evidence,
        )
    elif broken:
        yield failed("Windows Setup will stop at an answer file that it cannot understand.", *evidence)
    elif unread:
        yield unknown("An answer file could not be read.", *named, *unread)
    else:
        yield passed("No answer file waits for Windows Setup.", *named, *(each.evidence for each in files))


@check(
    "setupcomplete-script",
    family=FAMILY,
    severity=by_profile(Severity.WARNING, Severity.NOTICE, None),
    remedy=Remedy(
        "Move the commands of SetupComplete.cmd to SetupComplete2.cmd, which Azure's own script calls; "
        "remove an ErrorHandler.cmd.",
        (
            r"md C:\Windows\OEM",
            r"move /y C:\Windows\Setup\Scripts\SetupComplete.cmd C:\Windows\OEM\SetupComplete2.cmd",
            r"del /f C:\Windows\Setup\Scripts\ErrorHandler.cmd",
        ),
    ),
    references=(_SCRIPTS, _GENERALIZE),
    since=_SINCE,
)
def setupcomplete_script(setup_scripts: tuple[SetupScript, ...]) -> Iterator[Finding]:
    r"""The scripts that Windows Setup runs at its end are absent or Azure's own.

    Azure's provisioning puts its own `SetupComplete.cmd` in the place of one that is there, so what the
    image's builder wrote never runs. The hook for own commands is `\Windows\OEM\SetupComplete2.cmd`, which
    Azure's script calls last.

    Read: `\Windows\Setup\Scripts\SetupComplete.cmd` and `ErrorHandler.cmd`. Azure's stub (it calls
    `%SystemRoot%\OEM\SetupComplete.cmd` and does nothing else), the provisioning agent's error handler
    (it writes to `\Windows\Panther\WaSetup.log`, or titles its window “ERROR HANDLER”) and files without a
    command are no fault: images of Azure machines have them.
    """
    own = [(script, line) for script in setup_scripts if (line := _own_line(script)) is not None]
    if own:
        names = " and ".join(script.name for script, _ in own)
        evidence = (Evidence(script.where, redact(line)[:_LONGEST]) for script, line in own)
        yield failed(
            f"{names} has commands of the image's builder, which Azure's provisioning overwrites.", *evidence
        )
    elif setup_scripts:
        evidence = (Evidence(script.where, "no commands but Azure's own") for script in setup_scripts)
        yield passed("The scripts of Windows Setup are Azure's own, or empty.", *evidence)
    else:
        yield passed("There is no script for Windows Setup to run.")


@check(
    "vm-agent",
    family=FAMILY,
    severity=by_profile(Severity.NOTICE, Severity.WARNING, None),
    remedy=Remedy(
        "Install the Azure VM agent again, or remove what is left of it.",
        (
            "msiexec /i WindowsAzureVmAgent.msi /quiet",
            "sc.exe delete RdAgent",
            "sc.exe delete WindowsAzureGuestAgent",
        ),
    ),
    references=(_PREPARE, _AGENT, _AGENT_OFFLINE),
    since=_SINCE,
)
def vm_agent(agent_services: tuple[AgentService, ...], question: Question) -> Iterator[Finding]:
    r"""Azure's VM agent is installed whole, or not at all.

    The agent runs extensions, resets passwords and reports the machine's state. It is recommended, not
    required: for an image that is provisioned, Azure can install it. A half of it is worse than none: the
    services are there, so nothing installs them again, and they do not start.

    Read: `SYSTEM\CurrentControlSet\Services\WindowsAzureGuestAgent` and `RdAgent`, and the programs that
    their `ImagePath` names.
    """
    services = agent_services
    lost = [each for each in services if not each.present]
    if lost:
        names = " and ".join(each.service.name for each in lost)
        yield failed(
            f"The VM agent is damaged: the program of its service {names} is not there.",
            *(_program(each) for each in lost),
        )
    elif len(services) == 1:
        yield failed(
            f"The VM agent is installed in part: only its service {services[0].service.name} is there.",
            _program(services[0]),
        )
    elif services:
        yield passed("The VM agent is installed.", *(_program(each) for each in services))
    elif question.specialized:
        yield passed("The VM agent is not installed: extensions will not work until it is.")
    else:
        yield passed("The VM agent is not installed; Azure's provisioning can do that.")


@check(
    "extension-leftovers",
    family=FAMILY,
    severity=by_profile(Severity.WARNING, Severity.NOTICE, None),
    remedy=Remedy(
        "Remove the extensions from the machine before sysprep, so that new machines install their own.",
        (
            "az vm extension list --resource-group GROUP --vm-name NAME --output table",
            "az vm extension delete --resource-group GROUP --vm-name NAME --name EXTENSION",
        ),
    ),
    references=(_PREPARE,),
    since=_SINCE,
)
def extension_leftovers(extension_folder: ExtensionFolder) -> Iterator[Finding]:
    r"""No extensions of another virtual machine are left.

    Extensions are to be removed before sysprep. What is left of them is started by the agent of every new
    machine, with settings of the machine that was captured.

    Read: the names in `\Packages\Plugins`.
    """
    names = extension_folder.names
    if names:
        shown = [redact(name)[:_LONGEST] for name in names[:_SHOWN]]
        shown += [f"and {len(names) - _SHOWN} more"] if len(names) > _SHOWN else []
        yield failed(
            "Extensions of the machine that was captured are left in the image.",
            Evidence(extension_folder.where, ", ".join(shown), "an empty folder, or none"),
        )
    else:
        yield passed("No extensions are left.")


@check(
    "foreign-agents",
    family=FAMILY,
    severity=by_profile(Severity.NOTICE, Severity.NOTICE, None),
    remedy=Remedy(
        "Uninstall the agents of other platforms, or keep them from starting (here for VMware Tools).",
        ("sc.exe config VMTools start= disabled",),
    ),
    references=(_PREPARE, _MIGRATE),
    since=_SINCE,
)
def foreign_agents(foreign_agents: tuple[Service, ...]) -> Iterator[Finding]:
    r"""No guest agent of another platform starts by itself.

    On Azure such agents have no host to talk to. They cost start time and fill logs; cloudbase-init also
    sets passwords and names, beside Azure's own provisioning.

    Read: `Start` of the services of VMware Tools (`VMTools`, `VGAuthService`, `vm3dservice`), VirtualBox
    (`VBoxService`), QEMU (`QEMU-GA`) and `cloudbase-init` in `SYSTEM\CurrentControlSet\Services`.
    """
    starting = [each for each in foreign_agents if _starts(each)]
    if starting:
        names = ", ".join(dict.fromkeys(FOREIGN_SERVICES[each.name] for each in starting))
        yield failed(
            f"Guest agents of another platform start with Windows: {names}.",
            *(each.evidence for each in starting),
        )
    elif foreign_agents:
        evidence = (each.evidence for each in foreign_agents)
        yield passed(
            "Guest agents of another platform are installed, and do not start by themselves.", *evidence
        )
    else:
        yield passed("No guest agents of another platform are installed.")


def _is_on(value: Value | None) -> bool:
    return value is not None and value.number == 1


def _stops_setup(file: AnswerFile) -> bool:
    return file.fault is not None and file.fault.kind in (FaultKind.NO_XML, FaultKind.OTHER_ROOT)


def _fault(file: AnswerFile) -> Evidence:
    assert file.fault is not None
    return file.fault.evidence


def _own_line(script: SetupScript) -> str | None:
    """The first line that is the builder's own, or None."""
    if script.name == "ErrorHandler.cmd" and any(map(_ERROR_HANDLER.search, script.lines)):
        return None
    stub = _STUBS[script.name]
    own = (line for line in script.lines if not _NOISE.match(line) and not stub.match(line))
    return next(own, None)


def _program(agent: AgentService) -> Evidence:
    """The program of a service of the agent; the folder's name has its version."""
    path = agent.service.image_path
    if path is None:
        return Evidence(agent.service.where, "no value ImagePath")
    missing = "" if agent.present else " (no such file)"
    return Evidence(path.where, redact(str(path))[:_LONGEST] + missing, time=path.key_time)


def _starts(service: Service) -> bool:
    return service.start_number is not None and service.start_number <= AUTOMATIC


CHECKS: tuple[Check, ...] = (
    cdrom_enabled,
    removable_storage_policy,
    answer_file_leftover,
    setupcomplete_script,
    vm_agent,
    extension_leftovers,
    foreign_agents,
)
