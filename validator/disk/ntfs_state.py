"""The state in which an NTFS volume was left: its dirty flag, its log, its hibernation file.

Sources: Linux-NTFS project, NTFS Documentation ($VOLUME_INFORMATION, $LogFile). When a log is clean
follows what ships in ntfs-3g (libntfs-3g/logfile.c and volume.c: a log that was filled with ff is
clean; so is one whose restart area has no client in use or says that the volume is clean; one of
version 2.0 is not, since Windows 8 and later go back to 1.1 when they let go of a volume). For the
hibernation file: ntfs-3g, and the Volatility project's description of PO_MEMORY_IMAGE.
"""

from typing import NamedTuple

from validator.disk.container import unpack_at
from validator.disk.ntfs import NtfsFile, NtfsVolume
from validator.evidence import Effect, Evidence, Layer, Location

HIBERNATION_FILE = "hiberfil.sys"
RESUMABLE = (b"HIBR", b"hibr")
_DIRTY = 0x0001
_CLEAN = 0x0002
_NO_CLIENT = 0xFFFF
_VERSIONS = ((1, 0), (1, 1), (2, 0))
_STRIDE = 512
_BEGINNING = 16 * 2**10
"""Of the log: the restart pages of any Windows on x86 and ARM, and the first pages behind them."""
_MAX_PAGE = 64 * 2**10


class DirtyFlag(NamedTuple):
    """Whether Windows wants the volume checked at its next start."""

    dirty: bool
    flags: int
    """All flags of $VOLUME_INFORMATION."""
    where: Location


class LogState(NamedTuple):
    """Whether the volume was let go of in order, as its log has it."""

    clean: bool
    found: str
    """What was read, in words."""
    where: Location


class HibernationFile(NamedTuple):
    """A hibernation file and how it begins."""

    signature: bytes
    """Its first four bytes; fewer where it is shorter."""
    where: Location

    @property
    def suspended(self) -> bool:
        """Whether Windows would resume from it: after hibernation, or a shutdown with Fast Startup."""
        return self.signature in RESUMABLE

    @property
    def evidence(self) -> Evidence:
        """What was read, and what it means."""
        name = self.signature.decode("ascii", "replace") if self.signature.isalpha() else ""
        words = name or self.signature.hex(" ") or "no bytes"
        if not self.suspended:
            return Evidence(self.where, f"{words}: nothing to resume")
        found = f"{words}: the machine is suspended; its disk is not its whole state"
        return Evidence(self.where, found, "a machine that was shut down", effect=Effect.LOST)


def read_dirty_flag(volume: NtfsVolume) -> DirtyFlag:
    """The flags in the record of $Volume.

    Raises:
        Unreadable: where the record, and its copy in $MFTMirr, does not verify.
    """
    value, where = volume.information()
    (flags,) = unpack_at("<H", value, 10)
    return DirtyFlag(bool(flags & _DIRTY), flags, where)


def read_hibernation_file(volume: NtfsVolume) -> HibernationFile | None:
    """The volume's hibernation file, or None.

    Raises:
        Unreadable: where the way to it is damaged, or its data is not its own.
    """
    if volume.is_folder(HIBERNATION_FILE):
        return None  # as some make one, so that Windows cannot
    file = volume.open(HIBERNATION_FILE)
    if file is None:
        return None
    where = Location(Layer.FILE_SYSTEM, 0, volume.partition, file.path)
    return HibernationFile(file.read_at(0, min(4, file.size)), where)


class _RestartPage(NamedTuple):
    number: int
    """The log sequence number that it was written with; the higher one counts."""
    version: tuple[int, int]
    clients: int
    """The first client in use."""
    flags: int
    offset: int


def read_log_state(volume: NtfsVolume) -> LogState:
    """What the restart pages of $LogFile say; the records behind them are not read.

    Raises:
        Unreadable: where the record of $LogFile does not verify.
    """
    log = volume.log_file()
    where = Location(Layer.FILE_SYSTEM, 0, volume.partition, log.path)
    beginning = log.read_at(0, min(_BEGINNING, log.size))
    if beginning.count(0xFF) == len(beginning) and beginning:
        return LogState(True, "an empty log, filled with ff", where)
    first = _restart_page(log, beginning, 0)
    sizes = (1 << power for power in range(9, 17))
    second = next((page for size in sizes if (page := _restart_page(log, beginning, size))), None)
    pages = [page for page in (first, second) if page is not None]
    if not pages:
        return LogState(False, "no restart page that verifies, and the log is not empty", where)
    current = max(pages, key=lambda page: page.number)
    where = where._replace(offset=current.offset)
    said = f"version {current.version[0]}.{current.version[1]}, flags {current.flags:#06x}"
    if current.version[0] > 1:
        return LogState(False, f"{said}: a log in use", where)
    if current.clients == _NO_CLIENT:
        return LogState(True, f"{said}, no client", where)
    if current.flags & _CLEAN:
        return LogState(True, f"{said}: let go of in order", where)
    return LogState(False, f"{said}, a client in use: not let go of in order", where)


def _restart_page(log: NtfsFile, beginning: bytes, offset: int) -> _RestartPage | None:
    """A restart page (“CHKD” where chkdsk changed it) that verifies, or None."""
    head = beginning[offset : offset + 32]
    if offset >= _BEGINNING and offset + 32 <= log.size:
        head = log.read_at(offset, 32)
    if len(head) < 32 or head[:4] not in (b"RSTR", b"CHKD"):
        return None
    words, count = unpack_at("<HH", head, 4)
    number, size, _log_page, area, minor, major = unpack_at("<QIIHhh", head, 8)
    if not _STRIDE <= size <= _MAX_PAGE or size & (size - 1) or offset not in (0, size):
        return None
    if offset + size > log.size or count != size // _STRIDE + 1 or words < 30 or words % 2:
        return None
    if (major, minor) not in _VERSIONS or not words + 2 * count <= area <= _STRIDE - 32 or area % 8:
        return None
    page = log.read_at(offset, size)
    ends = range(_STRIDE - 2, size, _STRIDE)
    if any(page[end : end + 2] != page[words : words + 2] for end in ends):
        return None
    current, _clients, _free, in_use, flags = unpack_at("<QHHHH", page, area)
    return _RestartPage(current if head[:4] == b"RSTR" else number, (major, minor), in_use, flags, offset)
