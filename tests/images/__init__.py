"""A factory of real disk images for tests: say what is on the disk, get the file.

    build(generalized())
    build(generalized().system("Setup", SetupType=0), "vhd-fixed", scheme="mbr")
    build(Disk((Esp(), Msr(), Ntfs(installed())), sector_size=4096), Vhdx(order="descending"))

Nothing in an image comes from Windows: hives are filled by hivex, volumes made by mkntfs, wimlib,
mkfs.fat and mtools, containers by qemu-img or by writers that follow the specifications.

A built image is shared and read-only. To damage one, take a `copy_of` it and see `damage`; `vhd`
and `vhdx` know where each structure lies, `presets` the keys and paths, `boot` the boot store.
"""

from tests.images import azure, boot, damage, hive_log, logs, presets, vhd, vhdx, vhdx_log
from tests.images.boot import Esp, SystemReserved, boot_store
from tests.images.cache import copy_of
from tests.images.disk import Disk
from tests.images.factory import build, disk_of
from tests.images.hive import ABSENT, Hive, Raw
from tests.images.logs import Run, encode_log, setup_log, sysprep_log
from tests.images.presets import (
    CHILDREN_KEY,
    COMPLETE,
    ENVIRONMENT_KEY,
    GENERALIZED_AUDIT,
    GENERALIZED_OOBE,
    SERVICING_KEY,
    SETUP_KEY,
    SETUP_LOG,
    SPECIALIZED_AUDIT,
    SPECIALIZED_OOBE,
    STATE_INI,
    STATE_KEY,
    STATUS_KEY,
    SYSPREP_ERRORS,
    SYSPREP_LOG,
    SYSPREP_STATUS_KEY,
    TAG,
    UNDEPLOYABLE,
    VERSION_KEY,
    edited,
    generalized,
    installed,
    state_ini,
    undeployable,
    wim_applied,
    with_state,
    with_sysprep_run,
)
from tests.images.stock import SERVICES_KEY
from tests.images.tools import MissingTool
from tests.images.vhd import DynamicVhd, FixedVhd
from tests.images.vhdx import Layout, Vhdx
from tests.images.volumes import Bitlocker, Blob, Fat, Msr, Ntfs
from tests.images.windows import File, Windows

__all__ = [
    "ABSENT",
    "CHILDREN_KEY",
    "COMPLETE",
    "ENVIRONMENT_KEY",
    "GENERALIZED_AUDIT",
    "GENERALIZED_OOBE",
    "SERVICES_KEY",
    "SERVICING_KEY",
    "SETUP_KEY",
    "SETUP_LOG",
    "SPECIALIZED_AUDIT",
    "SPECIALIZED_OOBE",
    "STATE_INI",
    "STATE_KEY",
    "STATUS_KEY",
    "SYSPREP_ERRORS",
    "SYSPREP_LOG",
    "SYSPREP_STATUS_KEY",
    "TAG",
    "UNDEPLOYABLE",
    "VERSION_KEY",
    "Bitlocker",
    "Blob",
    "Disk",
    "DynamicVhd",
    "Esp",
    "Fat",
    "File",
    "FixedVhd",
    "Hive",
    "Layout",
    "MissingTool",
    "Msr",
    "Ntfs",
    "Raw",
    "Run",
    "SystemReserved",
    "Vhdx",
    "Windows",
    "azure",
    "boot",
    "boot_store",
    "build",
    "copy_of",
    "damage",
    "disk_of",
    "edited",
    "encode_log",
    "generalized",
    "hive_log",
    "installed",
    "logs",
    "presets",
    "setup_log",
    "state_ini",
    "sysprep_log",
    "undeployable",
    "vhd",
    "vhdx",
    "vhdx_log",
    "wim_applied",
    "with_state",
    "with_sysprep_run",
]
