"""The factory's own tests: images are what they claim, as readers say that are not ours."""

from __future__ import annotations

import hashlib
import io
import os
import stat
import subprocess
from datetime import datetime, timezone
from pathlib import Path

import pytest
import pyvhdi
from dissect.ntfs import NTFS
from dissect.regf import RegistryHive
from dissect.volume.disk import Disk as DissectDisk

from tests.images import (
    ABSENT,
    COMPLETE,
    GENERALIZED_OOBE,
    STATE_INI,
    STATE_KEY,
    SYSPREP_LOG,
    SYSPREP_STATUS_KEY,
    TAG,
    Bitlocker,
    Blob,
    Disk,
    DynamicVhd,
    Esp,
    Fat,
    FixedVhd,
    Hive,
    Layout,
    MissingTool,
    Msr,
    Ntfs,
    Raw,
    Run,
    Vhdx,
    Windows,
    boot,
    build,
    copy_of,
    damage,
    disk_of,
    edited,
    generalized,
    installed,
    sysprep_log,
    undeployable,
    vhd,
    vhdx,
    wim_applied,
)
from tests.images.crc32c import crc32c
from tests.images.regf import checksum
from tests.images.times import SHUT_DOWN
from tests.images.tools import find, run

MiB = 1 << 20


def short(parameter: object) -> str:
    """What a parameter is called in the name of a test."""
    named = [getattr(parameter, field, None) for field in ("order", "block_size", "fixed")]
    kind = parameter if isinstance(parameter, (str, int)) else type(parameter).__name__
    return "-".join([str(kind), *(str(value) for value in named if value is not None)])


def same(one: bytes, other: bytes) -> None:
    """Fail on different bytes without printing millions of them."""
    assert (len(one), hashlib.sha256(one).hexdigest()) == (
        len(other),
        hashlib.sha256(other).hexdigest(),
    )


def raw_of(image: Path, folder: Path) -> bytes:
    """The disk in ``image`` as qemu-img reads it; it takes a fixed VHD for raw unless told."""
    target = folder / "read.raw"
    as_format = ("-f", "vpc") if image.suffix == ".vhd" else ()
    run("qemu-img", "convert", *as_format, "-O", "raw", image, target)
    return target.read_bytes()


def volume_at(disk: bytes, start: int) -> NTFS:
    """The NTFS volume that begins ``start`` bytes into the disk."""
    return NTFS(io.BytesIO(disk[start:]))


def file_of(volume: NTFS, path: str) -> bytes:
    """The content of a file."""
    return bytes(volume.mft.get(path.replace("\\", "/")).open().read())


def hive_of(content: bytes) -> RegistryHive:
    """A hive as dissect reads it."""
    return RegistryHive(io.BytesIO(content))


# --- hives ---------------------------------------------------------------------------------------


def test_values_of_every_type_are_stored_as_windows_stores_them() -> None:
    """Strings end in a NUL, numbers are dwords, and a raw value is left as it is."""
    hive = Hive("SOFTWARE").set(
        r"Some\Key",
        {"with spaces": "text", "list": ["a", "b"], "": "default"},
        Number=7,
        Bytes=b"\x01\x02\x03\x04\x05",
        Odd=Raw(0x42, b"\xff"),
    )
    key = hive_of(hive.build()).open(r"Some\Key")
    assert key.value("with spaces").value == "text"
    assert key.value("list").value == ["a", "b"]
    assert key.value("(Default)").value == "default"
    assert key.value("Number").value == 7
    assert key.value("Bytes").value == b"\x01\x02\x03\x04\x05"
    assert (key.value("Odd").type, key.value("Odd").data) == (0x42, b"\xff")


def test_absent_removes_a_value_and_leaves_the_others() -> None:
    """Names of values do not differ by case."""
    hive = Hive("SYSTEM").set("Setup", CmdLine="x", SetupType=2).set("Setup", CMDLINE=ABSENT)
    values = [value.name for value in hive_of(hive.build()).open("Setup").values()]
    assert values == ["SetupType"]


def test_a_removed_key_takes_its_children_with_it() -> None:
    """What was there before is gone, what is set afterwards is there."""
    hive = Hive("SYSTEM").set(r"A\B\C", x=1).without_key(r"A\B").set(r"A\D", y=2)
    keys = [key.name for key in hive_of(hive.build()).open("A").subkeys()]
    assert keys == ["D"]


def test_a_hive_is_sealed() -> None:
    """Sequence numbers agree and the checksum is right, before and after hivex was at it."""
    for hive in (Hive("SOFTWARE"), Hive("SOFTWARE").set("Key", x=1)):
        content = hive.build()
        assert content[:4] == b"regf"
        assert content[4:8] == content[8:12]
        assert int.from_bytes(content[508:512], "little") == checksum(content)
        assert len(content) == 4096 + int.from_bytes(content[40:44], "little")


def test_key_times_are_those_described() -> None:
    """One key says what the description says, all others the same fixed time."""
    moment = datetime(2020, 2, 3, 4, 5, 6, tzinfo=timezone.utc)
    hive = Hive("SYSTEM").set(r"Setup\Status", x=1).set("Select", Current=1)
    read = hive_of(hive.key_time(r"Setup\Status", moment).build())
    assert read.open(r"Setup\Status").timestamp == moment
    assert {read.open(key).timestamp for key in ("Setup", "Select", "")} == {SHUT_DOWN}


def test_hivexsh_reads_the_hive(tmp_path: Path) -> None:
    """A second reader sees the value that matters most."""
    (tmp_path / "SOFTWARE").write_bytes(generalized().hive_bytes("SOFTWARE"))
    said = subprocess.run(
        [find("hivexsh"), str(tmp_path / "SOFTWARE")],
        input=f"cd \\{STATE_KEY}\nlsval ImageState\n".encode(),
        capture_output=True,
        check=True,
    )
    assert GENERALIZED_OOBE in said.stdout.decode()


def test_bulk_keys_lie_beside_described_ones() -> None:
    """Keys written without hivex are read back, more than one list leaf of them too."""
    hive = Hive("SOFTWARE").bulk(r"Classes\Many", 3000).set(r"Classes\Few", x=1)
    read = hive_of(hive.build())
    assert len(list(read.open(r"Classes\Many").subkeys())) == 3000
    assert read.open(r"Classes\Many\Class002999").value("(Default)").value == "Class number 2999"
    assert read.open(r"Classes\Few").value("x").value == 1


def test_a_real_hive_keeps_what_it_holds() -> None:
    """``on`` fills into given bytes, times included."""
    moment = datetime(2011, 1, 1, tzinfo=timezone.utc)
    base = Hive("SYSTEM", written=moment).set("Old", x=1).build()
    read = hive_of(Hive("SYSTEM").set("New", y=2).on(base).build())
    assert read.open("Old").value("x").value == 1
    assert read.open("Old").timestamp == moment
    assert read.open("New").value("y").value == 2


def test_the_boot_store_names_its_default_loader() -> None:
    """The manager's default is the loader, whose devices are to be located."""
    objects = hive_of(boot.boot_store().build()).open("Objects")
    manager = objects.subkey(boot.BOOT_MANAGER).subkey("Elements")
    default = manager.subkey(f"{boot.DEFAULT_OBJECT:08x}").value("Element").value
    elements = objects.subkey(default).subkey("Elements")
    assert elements.subkey("12000002").value("Element").value.endswith("winload.efi")
    device = elements.subkey("21000001").value("Element").value
    assert int.from_bytes(device[0x18:0x1C], "little") + 0x10 == len(device)


# --- installations -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("windows", "state", "number", "setup_type", "has_tag"),
    [
        (generalized(), GENERALIZED_OOBE, 4, 2, True),
        (wim_applied(), GENERALIZED_OOBE, 4, 1, False),
        (installed(), COMPLETE, 7, 0, False),
        (edited(), GENERALIZED_OOBE, 7, 0, False),
        (undeployable(), "IMAGE_STATE_UNDEPLOYABLE", 3, 0, False),
    ],
    ids=["generalized", "wim-applied", "installed", "edited", "undeployable"],
)
def test_presets_are_in_their_state(
    windows: Windows, state: str, number: int, setup_type: int, has_tag: bool, tmp_path: Path
) -> None:
    """The volume holds the state that the name of the preset promises."""
    disk = build(windows, "raw", scheme=None).read_bytes()
    volume = volume_at(disk, 0)
    software = hive_of(file_of(volume, r"Windows\System32\config\SOFTWARE"))
    system = hive_of(file_of(volume, r"Windows\System32\config\SYSTEM"))
    assert software.open(STATE_KEY).value("ImageState").value == state
    assert system.open(SYSPREP_STATUS_KEY).value("GeneralizationState").value == number
    assert system.open("Setup").value("SetupType").value == setup_type
    assert [file.path for file in windows.files].count(TAG) == has_tag


def test_state_ini_of_a_finished_installation_has_42_bytes() -> None:
    """8-bit text with CRLF, as Windows writes it."""
    volume = volume_at(build(installed(), "raw", scheme=None).read_bytes(), 0)
    content = file_of(volume, STATE_INI)
    assert content == b"[State]\r\nImageState=IMAGE_STATE_COMPLETE\r\n"
    assert len(content) == 42


def test_the_last_word_about_a_path_counts() -> None:
    """A file wins over the hive at its path, ABSENT removes either, and case does not matter."""
    windows = generalized().file(r"WINDOWS\system32\CONFIG\software", b"damaged")
    contents = {file.path.lower(): file.bytes for file in windows.tree()}
    assert contents[r"windows\system32\config\software"] == b"damaged"
    paths = {file.path for file in generalized().file(TAG.upper(), ABSENT).tree()}
    assert TAG not in paths
    assert SYSPREP_LOG in paths


def test_an_upgrade_moves_the_tree_aside() -> None:
    """``tree`` puts all files below a folder, hives included."""
    disk = build(Disk((Ntfs(generalized(), installed().tree("Windows.old")),)), "raw")
    volume = volume_at(disk.read_bytes(), MiB)
    old = hive_of(file_of(volume, r"Windows.old\Windows\System32\config\SOFTWARE"))
    assert old.open(STATE_KEY).value("ImageState").value == COMPLETE


# --- logs ----------------------------------------------------------------------------------------


def test_logs_have_the_columns_of_windows() -> None:
    """The component begins in the same column with and without a code."""
    lines = sysprep_log().decode().splitlines()
    assert all(line[21 + 22 :].startswith("SYSPRP ") for line in lines)
    assert lines[-2].endswith(r"created tag file C:\Windows\System32\Sysprep\Sysprep_succeeded.tag")


@pytest.mark.parametrize(
    ("encoding", "mark"),
    [("utf-8", b"\r\n"), ("utf-8-sig", b"\xef\xbb\xbf\r\n"), ("utf-16-le", b"\xff\xfe\r\0\n\0")],
)
def test_logs_come_in_every_encoding(encoding: str, mark: bytes) -> None:
    """With a BOM where the encoding has one, and with the empty first line that some have."""
    assert sysprep_log(encoding=encoding, empty_first_line=True).startswith(mark)


def test_a_broken_off_run_leaves_its_codes() -> None:
    """The error log holds the errors only; a second run is refused."""
    runs = Run(ending="appx"), Run(ending="recorded-state")
    log, errors = sysprep_log(*runs).decode(), sysprep_log(*runs, errors_only=True).decode()
    assert "not provisioned for all users" in errors
    for code in ("0x0f0082", "0x0f0070", "0x0f00a8", "0x0f0073"):
        assert f"[{code}]" in errors
    assert log.count("Beginning of a new sysprep run") == 2
    assert "Beginning" not in errors


# --- volumes and disks ---------------------------------------------------------------------------


def test_sgdisk_finds_no_problem() -> None:
    """The GPT is right in both copies, and the types are those of Windows."""
    raw = build(generalized(), "raw")
    assert b"No problems found" in run("sgdisk", "-v", raw)
    listed = run("sgdisk", "-p", raw).decode()
    assert [line.split()[5] for line in listed.splitlines()[-3:]] == ["EF00", "0C01", "0700"]


def test_the_mbr_has_one_active_partition() -> None:
    """Boot code, signature, and the two volumes that Setup makes for BIOS."""
    disk = build(generalized(), "raw", scheme="mbr").read_bytes()
    assert disk[510:512] == b"\x55\xaa"
    assert disk[0] != 0
    assert [disk[446 + 16 * index] for index in range(4)] == [0x80, 0, 0, 0]
    hidden_sectors = int.from_bytes(disk[MiB + 0x1C : MiB + 0x20], "little")
    assert hidden_sectors == 2048
    assert file_of(volume_at(disk, MiB), r"Boot\BCD").startswith(b"regf")


@pytest.mark.parametrize("sector_size", [512, 4096])
def test_mtools_reads_the_system_partition(sector_size: int) -> None:
    """FAT with 512-byte and with 4096-byte sectors."""
    raw = build(disk_of(generalized(), "gpt", sector_size), "raw")
    content = run("mtype", "-i", f"{raw}@@1M", "::/EFI/Microsoft/Boot/bootmgfw.efi")
    assert content == boot.pe_stub(subsystem=10)


@pytest.mark.parametrize("sector_size", [512, 4096])
def test_ntfscat_reads_the_volume(sector_size: int, tmp_path: Path) -> None:
    """A second reader of NTFS sees the same bytes; the volume is clean."""
    windows = generalized()
    disk = build(disk_of(windows, None, sector_size), "raw")
    read = run("ntfscat", disk, "Windows/System32/config/SYSTEM")
    assert read == windows.hive_bytes("SYSTEM")
    assert b"error" not in run("ntfsls", disk).lower()


def test_files_that_capture_tools_leave_out_are_there() -> None:
    """A hibernation file is an ordinary file to the factory."""
    disk = build(Disk((Ntfs(files={"hiberfil.sys": b"HIBR" + bytes(4092)}),), None), "raw")
    assert file_of(volume_at(disk.read_bytes(), 0), "hiberfil.sys").startswith(b"HIBR")


def test_opaque_partitions_are_what_they_are_told() -> None:
    """A BitLocker boot sector lies at the start of its partition."""
    disk = build(Disk((Blob(b"first", size=2 * MiB), Bitlocker(), Fat({"a.txt": b"hello"}))), "raw")
    content = disk.read_bytes()
    assert content[MiB : MiB + 5] == b"first"
    assert content[3 * MiB + 3 : 3 * MiB + 11] == b"-FVE-FS-"
    assert run("mtype", "-i", f"{disk}@@19M", "::/a.txt") == b"hello"


def test_the_same_description_gives_the_same_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of the clock or of chance is in a disk, so two caches hold equal files."""
    monkeypatch.setenv("IMAGE_VALIDATOR_TEST_CACHE", str(tmp_path / "one"))
    first = build(generalized(), Vhdx())
    monkeypatch.setenv("IMAGE_VALIDATOR_TEST_CACHE", str(tmp_path / "two"))
    second = build(generalized(), Vhdx())
    assert first != second
    same(first.read_bytes(), second.read_bytes())


# --- containers ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "container",
    [
        "vhd-fixed",
        "vhd-dynamic",
        "vhdx-fixed",
        "vhdx-dynamic",
        "qcow2",
        "vmdk",
        "vdi",
        Vhdx(order="shuffled"),
        Vhdx(fixed=True, block_size=8 * MiB, order="descending"),
        DynamicVhd(order="descending"),
        DynamicVhd(block_size=MiB // 2, order=(3, 1)),
        FixedVhd(),
    ],
    ids=short,
)
def test_every_container_holds_the_disk(container: str, tmp_path: Path) -> None:
    """Converted back to raw by qemu-img, each gives the bytes of the disk."""
    image = build(installed(), container)
    same(raw_of(image, tmp_path), build(installed(), "raw").read_bytes())


@pytest.mark.parametrize("container", [Vhdx(), Vhdx(order="shuffled"), Vhdx(fixed=True)], ids=short)
def test_qemu_finds_no_error_in_own_vhdx(container: Vhdx) -> None:
    """Headers, tables and block offsets pass its check."""
    assert b"No errors" in run("qemu-img", "check", build(installed(), container))


@pytest.mark.parametrize(
    ("container", "sector_size"),
    [
        (Vhdx(order="descending"), 4096),
        (Vhdx(block_size=32 * MiB), 4096),
        (Vhdx(order="shuffled"), 512),
        (DynamicVhd(order="shuffled"), 512),
    ],
    ids=short,
)
def test_libvhdi_reads_own_containers(container: Vhdx | DynamicVhd, sector_size: int) -> None:
    """A reader that knows 4096-byte sectors gives the bytes of the disk."""
    disk = disk_of(installed(), "gpt", sector_size)
    expected = build(disk, "raw").read_bytes()
    image = pyvhdi.file()
    image.open(str(build(disk, container)))
    try:
        assert image.get_media_size() == len(expected)
        same(image.read_buffer(len(expected)), expected)
    finally:
        image.close()


@pytest.mark.parametrize("container", ["vhdx-dynamic", Vhdx(order="shuffled")], ids=short)
def test_a_layout_says_where_a_block_lies(container: str) -> None:
    """The entry of the block that holds the GPT points to it, whoever wrote the file."""
    image = build(generalized(), container)
    layout = Layout.read(image)
    entry = damage.read(image, layout.bat_entry_offset(0), 8)
    offset = int.from_bytes(entry, "little") >> 20 << 20
    assert damage.read(image, offset + 512, 8) == b"EFI PART"
    size = damage.read(image, layout.metadata_item_offset(image, vhdx.VIRTUAL_DISK_SIZE), 8)
    assert int.from_bytes(size, "little") == layout.disk_size


def test_crc32c_is_castagnoli() -> None:
    """The check value of the polynomial."""
    assert crc32c(b"123456789") == 0xE3069283


@pytest.mark.parametrize("size", [MiB, 40 * MiB, 504 * MiB, 127 << 30, 2 << 40])
def test_vhd_geometry_stays_within_its_fields(size: int) -> None:
    """Each number fits its field, and no disk is said to be larger than it is."""
    cylinders, heads, per_track = vhd.geometry(size)
    assert cylinders <= 65535
    assert heads <= 16
    assert per_track <= 255
    assert cylinders * heads * per_track * 512 <= size


# --- damage and cache ----------------------------------------------------------------------------


def test_masters_are_read_only_and_copies_are_not(tmp_path: Path) -> None:
    """A copy has the same bytes, needs no more room, and may be changed."""
    master = build(generalized(), "vhdx-dynamic")
    copy = copy_of(master, tmp_path)
    assert stat.S_IMODE(master.stat().st_mode) == 0o444
    same(copy.read_bytes(), master.read_bytes())
    assert copy.stat().st_blocks <= master.stat().st_blocks + 64
    damage.flip(copy, 0)
    same(copy.read_bytes()[1:], master.read_bytes()[1:])
    assert copy.read_bytes()[0] == master.read_bytes()[0] ^ 1


def test_a_described_image_is_built_once() -> None:
    """The same words name the same file, other words another."""
    assert build(generalized()) == build(generalized())
    assert build(generalized()) != build(generalized().system("Setup", SetupType=1))


@pytest.mark.parametrize("index", [0, 1])
def test_vhdx_checksums_are_put_right(index: int, tmp_path: Path) -> None:
    """Damage with the checksum repaired differs from the original in the damage and the field."""
    image = copy_of(build(generalized()), tmp_path)
    before = image.read_bytes()
    damage.fix_vhdx_header(image, index)
    damage.fix_vhdx_region_table(image, index)
    same(image.read_bytes(), before)
    damage.flip(image, vhdx.HEADER_OFFSETS[index] + 8)
    damage.fix_vhdx_header(image, index)
    assert image.read_bytes() != before


def test_vhd_checksums_are_put_right(tmp_path: Path) -> None:
    """Repairing what is right changes nothing, in files of qemu-img too."""
    image = copy_of(build(generalized(), "vhd-dynamic"), tmp_path)
    before = image.read_bytes()
    for field in (-512 + 64, 64, 512 + 36):
        damage.flip(image, field)
    assert image.read_bytes() != before
    damage.fix_vhd_footer(image)
    damage.fix_vhd_footer(image, 0)
    damage.fix_vhd_dynamic_header(image)
    same(image.read_bytes(), before)


def test_hive_and_gpt_checksums_are_put_right(tmp_path: Path) -> None:
    """A hive found in a fixed VHD by its bytes, and a GPT, repaired in place."""
    image = copy_of(build(generalized(), "vhd-fixed"), tmp_path)
    before = image.read_bytes()
    hive = damage.locate(image, generalized().hive_bytes("SOFTWARE"))
    damage.flip(image, hive + 508)
    damage.flip(image, 512 + 16)
    damage.flip(image, 512 + 88)
    damage.fix_hive(image, hive)
    damage.fix_gpt(image)
    same(image.read_bytes(), before)


def test_a_missing_tool_is_named_with_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody has to guess what to install."""
    monkeypatch.setattr("tests.images.tools.SYSTEM_FOLDERS", ())
    monkeypatch.setenv("PATH", os.devnull)
    find.cache_clear()
    with pytest.raises(MissingTool, match="apt-get install ntfs-3g"):
        find("mkntfs")


def test_a_fifth_partition_makes_logical_ones() -> None:
    """Two independent readers find five volumes."""
    volumes = tuple(Blob(f"volume {index}".encode()) for index in range(5))
    raw = build(Disk(volumes, scheme="mbr"), "raw")
    with raw.open("rb") as file:
        found = DissectDisk(file).partitions
        starts = [part.offset for part in found if part.size == MiB]
    content = raw.read_bytes()
    assert [content[start : start + 8] for start in starts] == [
        f"volume {index}".encode() for index in range(5)
    ]
    assert run("sgdisk", "-p", raw).count(b"0700") == 5


@pytest.mark.parametrize("cluster_size", [512, 65536])
def test_clusters_may_have_any_size(cluster_size: int) -> None:
    """A whole installation fits a volume whose size nobody chose."""
    disk = build(Disk((Ntfs(installed(), cluster_size=cluster_size),), None), "raw")
    read = run("ntfscat", disk, "Windows/System32/config/SOFTWARE")
    assert read == installed().hive_bytes("SOFTWARE")


def test_a_large_disk_costs_little() -> None:
    """127 GiB of disk in a few MiB of file, the backup GPT at its end."""
    disk = Disk((Ntfs(installed()),), size=127 << 30)
    image = build(disk, Vhdx(block_size=32 * MiB))
    assert image.stat().st_blocks * 512 < 16 * MiB
    assert b"127 GiB" in run("qemu-img", "info", image)


@pytest.mark.parametrize(
    "device",
    [
        boot.locate(boot.SYSTEM_ROOT),
        boot.boot_partition(),
        boot.gpt_partition(Disk(()).partition_guid(2), Disk(()).guid),
        boot.mbr_partition(MiB, 1),
    ],
    ids=["locate", "boot", "gpt", "mbr"],
)
def test_device_elements_say_their_length(device: bytes) -> None:
    """The size at 18h counts from 10h."""
    assert int.from_bytes(device[0x18:0x1C], "little") + 0x10 == len(device)


def test_parts_of_a_disk_are_chosen_freely() -> None:
    """ESP, MSR and two NTFS volumes on 4096-byte sectors."""
    disk = Disk((Esp(), Msr(), Ntfs(generalized()), Ntfs(files={r"Data\a.txt": b"a"})), sector_size=4096)
    content = build(disk, "raw").read_bytes()
    assert content[4096 : 4096 + 8] == content[-4096:-4088] == b"EFI PART"
