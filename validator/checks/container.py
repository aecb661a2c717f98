"""Container: is the file one that Azure takes, and is it what the machine had?"""

from collections.abc import Iterator

from validator.checks.model import (
    Check,
    Finding,
    Remedy,
    Severity,
    by_profile,
    check,
    failed,
    not_applicable,
    passed,
    unknown,
)
from validator.disk.container import Container
from validator.evidence import Evidence, Layer, Location
from validator.facts.model import Attempt
from validator.facts.question import Question

FAMILY = "container"
_SINCE = "0.1"
_MIB = 2**20
_GIB = 2**30
FOOTER = 512
SMALLEST = 20 * _MIB
LARGEST = {1: 2048 * _GIB, 2: 4096 * _GIB}
"""The largest disk that Windows may be on, by generation."""
_PREPARE = "https://learn.microsoft.com/azure/virtual-machines/windows/prepare-for-upload-vhd-image"
_GENERATIONS = "https://learn.microsoft.com/azure/virtual-machines/generation-2"
_CERTIFICATION = "https://learn.microsoft.com/partner-center/marketplace-offers/azure-vm-certification-faq"
_CONVERT_VHD = "https://learn.microsoft.com/powershell/module/hyper-v/convert-vhd"
_RESIZE_VHD = "https://learn.microsoft.com/powershell/module/hyper-v/resize-vhd"
_HYPER_V = ("vhd", "vhdx")
"""The formats that Hyper-V's own commands take."""


def _qemu_convert(kind: str, name: str) -> str:
    return f"qemu-img convert -f {kind} -O vpc -o subformat=fixed,force_size {name} image-fixed.vhd"


def _to_fixed_vhd(container: Container) -> Remedy:
    """How to make a fixed VHD of it, in one command or the other."""
    kind = container.format
    name = f"image.{kind}"
    by_qemu = _qemu_convert("vpc" if kind == "vhd" else kind, name)
    if kind not in _HYPER_V:
        return Remedy("Convert the image to a fixed VHD.", (by_qemu,))
    by_hyper_v = f"Convert-VHD -Path {name} -DestinationPath image-fixed.vhd -VHDType Fixed"
    if container.parents:
        return Remedy(
            "Convert the image to a fixed VHD; that merges it with the disks that it rests on.", (by_hyper_v,)
        )
    return Remedy(
        "Convert the image to a fixed VHD: with Hyper-V's command, or with the one of QEMU.",
        (by_hyper_v, by_qemu),
    )


def _notice_if_converted(question: Question) -> Severity | None:
    """What the pipeline changes afterwards is only worth knowing."""
    return Severity.NOTICE if question.will_convert else None


def _footer_at(container: Container) -> int:
    return container.file_size - FOOTER


def _size_evidence(container: Container, expected: str) -> Evidence:
    """The size of the virtual disk, where the container says it."""
    offset = _footer_at(container) + 48 if container.format == "vhd" else None
    return Evidence(Location(Layer.CONTAINER, offset), f"{container.virtual_size} bytes", expected)


@check(
    "container-format",
    family=FAMILY,
    severity=by_profile(Severity.ERROR, Severity.ERROR, None),
    remedy=Remedy(
        "Convert the image to a fixed VHD.",
        ("Convert-VHD -Path image.vhdx -DestinationPath image-fixed.vhd -VHDType Fixed",),
    ),
    references=(_PREPARE, _GENERATIONS, _CONVERT_VHD),
    since=_SINCE,
)
def container_format(container: Container, question: Question) -> Iterator[Finding]:
    r"""The image is a VHD.

    Azure makes disks from VHD files only, for machines of both generations. A VHDX is refused, and so is
    what other hypervisors write (QCOW2, VMDK, VDI, raw). The format is told by the file's content, not
    by its name.

    With `--will-convert` it is only worth knowing, since the pipeline makes a fixed VHD of it.
    """
    where = Location(Layer.CONTAINER)
    if container.format == "vhd":
        yield passed("The image is a VHD.")
        return
    kind = container.format.upper() if container.format != "raw" else "raw disk"
    yield failed(
        f"Azure takes VHD files only, and this is a {kind}.",
        Evidence(where, kind, "VHD"),
        severity=_notice_if_converted(question),
        remedy=_to_fixed_vhd(container),
    )


@check(
    "vhd-fixed",
    family=FAMILY,
    severity=by_profile(Severity.ERROR, Severity.ERROR, None),
    remedy=Remedy(
        "Convert the image to a fixed VHD; a differencing disk is merged with its parents by that.",
        ("Convert-VHD -Path image.vhd -DestinationPath image-fixed.vhd -VHDType Fixed",),
    ),
    references=(_PREPARE, _CERTIFICATION, _CONVERT_VHD),
    since=_SINCE,
)
def vhd_fixed(container: Container, question: Question) -> Iterator[Finding]:
    r"""The VHD is a fixed one.

    Azure reads the file as the disk, byte for byte, with a footer of 512 bytes behind it. So the disk type
    in the footer has to be 2 (fixed). A dynamic VHD (3), which keeps only what was written, and a
    differencing one (4), which rests on a parent, are refused at the upload.

    With `--will-convert` it is only worth knowing, since the pipeline makes a fixed VHD of it.
    """
    if container.format != "vhd":
        yield not_applicable("The image is no VHD.")
        return
    types = {"fixed": 2, "dynamic": 3, "differencing": 4}
    kind = container.subformat or ""
    where = Location(Layer.CONTAINER, _footer_at(container) + 60)
    evidence = Evidence(where, f"disk type {types.get(kind)} ({kind})", "2 (fixed)")
    if kind == "fixed":
        yield passed("The VHD is fixed.", evidence)
        return
    message = "Azure takes fixed VHD files only, and this one is dynamic."
    if container.parents:
        message = f"The image is only what differs from another disk ({container.parents[0]})."
    yield failed(message, evidence, severity=_notice_if_converted(question), remedy=_to_fixed_vhd(container))


@check(
    "vhd-footer",
    family=FAMILY,
    severity=by_profile(Severity.ERROR, Severity.ERROR, None),
    remedy=Remedy(
        "Export the disk again, or write the VHD anew.",
        (
            "Convert-VHD -Path image.vhd -DestinationPath image-fixed.vhd -VHDType Fixed",
            _qemu_convert("vpc", "image.vhd"),
        ),
    ),
    references=(_PREPARE, _CERTIFICATION),
    since=_SINCE,
)
def vhd_footer(
    container: Container,
    file_length: int,
    container_recoveries: tuple[Evidence, ...],
    question: Question,
) -> Iterator[Finding]:
    r"""The VHD ends with a whole footer, right behind the disk.

    The footer has a cookie (`conectix`) and a checksum, and says how large the disk is. A fixed VHD is as
    long as its disk and 512 bytes. Azure refuses what is not (“invalid VHD”). A fixed VHD whose footer is
    damaged cannot be read here either, so the answer stays open. A dynamic one has a copy, from which it
    is read; the damage is an error all the same. So is a footer of 511 bytes, which programs wrote
    before 2004.

    With `--will-convert` it is a warning: the pipeline may refuse the file too.
    """
    if container.format != "vhd":
        yield not_applicable("The image is no VHD.")
        return
    severity = Severity.WARNING if question.will_convert else None
    wanted = container.virtual_size + FOOTER
    where = Location(Layer.CONTAINER, _footer_at(container))
    length = Evidence(Location(Layer.FILE), f"{file_length} bytes", f"{wanted} bytes")
    if container_recoveries:
        yield failed(
            "A footer of the VHD is damaged; it was read by means of its copy.",
            *container_recoveries,
            severity=severity,
        )
    elif file_length == container.file_size - 1:
        found = "511 bytes, as programs wrote them before 2004"
        yield failed(
            "The footer of the VHD is one byte too short.",
            Evidence(where, found, "a footer of 512 bytes"),
            severity=severity,
        )
    elif container.subformat == "fixed" and file_length != wanted:
        yield failed("The file is longer than the disk that its footer describes.", length, severity=severity)
    elif container.subformat == "fixed":
        yield passed("The footer is whole, and the file is as long as it says.", length)
    else:
        yield passed("The footer and its copy are whole.")


@check(
    "size-aligned",
    family=FAMILY,
    severity=by_profile(Severity.ERROR, Severity.ERROR, None),
    remedy=Remedy(
        "Make the disk larger, up to the next whole MiB, before the conversion.",
        ("Resize-VHD -Path image.vhd -SizeBytes 136365211648",),
    ),
    references=(_PREPARE, _RESIZE_VHD),
    since=_SINCE,
)
def size_aligned(container: Container, question: Question) -> Iterator[Finding]:
    r"""The size of the disk is a whole number of MiB.

    Azure keeps disks in whole MiB (1,048,576 bytes) and refuses an image whose disk has another size. It
    is the virtual size that counts: of a VHD the current size in its footer, not the length of the file.
    Conversions from raw disks miss it, where the program rounds to whole cylinders.

    With `--will-convert` it is only worth knowing, since the conversion may change the size.
    """
    evidence = _size_evidence(container, "a multiple of 1048576 bytes")
    size, rest = container.virtual_size, container.virtual_size % _MIB
    if not rest:
        yield passed(f"The disk has {size // _MIB} MiB.", evidence)
        return
    rounded = size - rest + _MIB
    kind = {"vhd": "vpc"}.get(container.format, container.format)
    command = f"qemu-img resize -f {kind} image.{container.format} {rounded}"
    if container.format in _HYPER_V:
        command = f"Resize-VHD -Path image.{container.format} -SizeBytes {rounded}"
    yield failed(
        f"The size of the disk is no whole number of MiB: {rest} bytes are over.",
        evidence,
        severity=_notice_if_converted(question),
        remedy=Remedy("Make the disk larger, up to the next whole MiB, before the upload.", (command,)),
    )


@check(
    "os-disk-size",
    family=FAMILY,
    severity=by_profile(Severity.ERROR, Severity.ERROR, None),
    remedy=Remedy(
        "Shrink the last volume on the machine, then make the disk smaller; Hyper-V does that with a VHDX.",
        ("Resize-VHD -Path image.vhdx -ToMinimumSize",),
    ),
    references=(_PREPARE, _GENERATIONS, _CERTIFICATION),
    since=_SINCE,
)
def os_disk_size(
    container: Container, generation: Attempt[int | None], question: Question
) -> Iterator[Finding]:
    r"""The disk is not larger than Azure allows for the disk of Windows.

    A machine of generation 1 takes up to 2048 GiB, one of generation 2 up to 4 TiB (4096 GiB). The
    generation is the one that was asked for (`--generation`), else the one that the disk is made for.
    Where neither says it, a disk between the two is a warning.

    Below 20 MiB Azure's marketplace takes no image; that is a notice.
    """
    size = container.virtual_size
    wanted = question.generation or (generation.value if generation.unknown is None else None)
    largest = LARGEST.get(wanted or 2, LARGEST[2])
    shown = f"The disk has {size / _GIB:.1f} GiB"
    evidence = _size_evidence(container, f"at most {largest} bytes")
    if size > LARGEST[2]:
        yield failed(f"{shown}; Azure takes at most 4096 GiB.", evidence)
    elif size > largest:
        yield failed(f"{shown}; a machine of generation 1 takes at most 2048 GiB.", evidence)
    elif size > LARGEST[1] and wanted is None:
        if generation.unknown is not None:
            yield unknown(f"{shown}, and it is not known which generation it is for.", generation.unknown)
            return
        yield failed(
            f"{shown}, which is too large for a machine of generation 1.",
            _size_evidence(container, f"at most {LARGEST[1]} bytes for generation 1"),
            severity=Severity.WARNING,
        )
    elif size < SMALLEST:
        yield failed(
            "The disk is smaller than 20 MiB, the least that Azure's marketplace takes.",
            _size_evidence(container, f"at least {SMALLEST} bytes"),
            severity=Severity.NOTICE,
            remedy=Remedy("Make sure that this is the whole disk of the machine."),
        )
    else:
        yield passed(f"{shown}.", evidence)


@check(
    "parent-unchanged",
    family=FAMILY,
    severity=by_profile(Severity.WARNING, Severity.WARNING, Severity.WARNING),
    remedy=Remedy(
        "Merge the disk into its parent where both were last used together, and give the merged disk.",
        ("Merge-VHD -Path child.vhd -DestinationPath parent.vhd",),
    ),
    references=("https://learn.microsoft.com/powershell/module/hyper-v/merge-vhd",),
    since="0.1",
)
def parent_unchanged(container: Container, parent_differs: Evidence | None) -> Iterator[Finding]:
    r"""The parents of a differencing disk are as they were when their children were made.

    A differencing disk holds only what was changed; all else is its parent's. A parent is taken for the
    right one when its identifier is the one that the child names. A VHD also keeps the time stamp of
    the parent's footer: where it differs, the parent was written to after the child was made, and the
    two together may be a disk that never was.
    """
    if not container.parents:
        yield not_applicable("The image rests on no other disk.")
    elif parent_differs is None:
        yield passed(f"The parents are the right ones: {', '.join(container.parents)}.")
    else:
        yield failed("A parent was written to after its child was made.", parent_differs)


CHECKS: tuple[Check, ...] = (
    container_format,
    vhd_fixed,
    vhd_footer,
    size_aligned,
    os_disk_size,
    parent_unchanged,
)
