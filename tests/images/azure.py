"""Windows prepared for Azure as Microsoft's article has it: images of which no check has anything to say.

Source: Microsoft, Prepare a Windows VHD or VHDX to upload to Azure.
"""

from __future__ import annotations

import struct

from tests.images.boot import LOADER, Esp, SystemReserved, boot_element, boot_store
from tests.images.disk import Disk
from tests.images.hive import Hive
from tests.images.stock import CONTROL, FIREWALL_KEY, RDP_RULE, SERVICES_KEY, TERMINAL_SERVER_KEY
from tests.images.volumes import MiB, Msr, Ntfs
from tests.images.windows import Windows

RECOVERY_ENABLED, BOOT_STATUS_POLICY = 0x16000009, 0x250000E0
HIGH_PERFORMANCE = "8c5e7fda-e8bf-4a96-9a85-a6e23a8c635c"


def prepared(windows: Windows) -> Windows:
    """With the settings of the article."""
    rules = {
        f"RemoteDesktop-UserMode-In-{name}": RDP_RULE.format(active="TRUE", protocol=number)
        for name, number in (("TCP", 6), ("UDP", 17))
    }
    return (
        windows.system(TERMINAL_SERVER_KEY, fDenyTSConnections=0)
        .system(rf"{FIREWALL_KEY}\FirewallRules", rules)
        .system(rf"{CONTROL}\TimeZoneInformation", RealTimeIsUniversal=1)
        .system(rf"{CONTROL}\Power\User\PowerSchemes", ActivePowerScheme=HIGH_PERFORMANCE)
        .system(rf"{SERVICES_KEY}\partmgr\Parameters", SanPolicy=1)
        .system(rf"{CONTROL}\CrashControl", CrashDumpEnabled=2, NMICrashDump=1)
    )


def prepared_store(loader: str) -> Hive:
    """A boot store in which Windows does not wait in the recovery environment."""
    store = boot_element(boot_store(loader), LOADER, RECOVERY_ENABLED, b"\0")
    return boot_element(store, LOADER, BOOT_STATUS_POLICY, struct.pack("<Q", 1))


def gen1(windows: Windows) -> Disk:
    """The disk of a generation 1 machine, no smaller than the Marketplace takes."""
    store = prepared_store(r"\Windows\system32\winload.exe")
    return Disk((SystemReserved(store=store), Ntfs(prepared(windows))), "mbr", size=24 * MiB)


def gen2(windows: Windows) -> Disk:
    """The disk of a generation 2 machine."""
    store = prepared_store(r"\Windows\system32\winload.efi")
    return Disk((Esp(store=store), Msr(), Ntfs(prepared(windows))), "gpt")
