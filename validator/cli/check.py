"""`image-validator check`: judge images."""

from contextlib import closing
from datetime import datetime, timezone
from typing import TYPE_CHECKING

import click

from validator import __version__
from validator.cli import artifacts, journal, options, packer, policies, receipts
from validator.cli.fleet import Fleet, fleet_options
from validator.cli.outputs import Outputs
from validator.cli.paths import images as named_by
from validator.cli.reporting import Reporting, reporting_options
from validator.report.printable import printable

if TYPE_CHECKING:
    from validator.report.model import Report


@click.command("check")
@click.argument("images", nargs=-1, metavar="[IMAGE]...", type=click.Path())
@click.option("--recursive", "-r", is_flag=True, help="A folder stands for the images in it and below.")
@policies.policy_options
@options.destination
@reporting_options
@journal.option
@policies.write_baseline
@click.option("--exit-zero", is_flag=True, help="Return 0 instead of 1, 3 and 4, for a trial run.")
@options.input_format
@options.parents
@fleet_options
@options.max_transfer
@artifacts.archive_options
@packer.manifest
@receipts.option
def command(
    images: tuple[str, ...],
    recursive: bool,
    in_force: policies.InForce,
    generation: int | None,
    will_convert: bool,
    nvme: bool,
    reporting: Reporting,
    resume: bool,
    write_baseline: str | None,
    exit_zero: bool,
    input_format: str,
    parents: tuple[str, ...],
    fleet: Fleet,
    max_transfer: int | None,
    packer_manifest: str | None,
    receipt: receipts.ReceiptFile,
    archives: artifacts.Archives,
) -> int:
    """Judge images, and fail where one cannot be deployed.

    IMAGE is a VHD, VHDX, QCOW2, VMDK, VDI or raw disk image, or an archive or compressed file with one; it is
    opened for reading only. A path that exists is taken literally, anything else that looks like one is
    expanded as a pattern; @FILE and - stand for the paths in a file and on standard input, on lines or with a
    NUL behind each. It may be an address (https://, az://, s3:// and others): only what the verdict rests on
    is read from there.
    """
    started = datetime.now(timezone.utc)
    if not images and packer_manifest is None:
        raise click.UsageError(
            "there is nothing to check: name an IMAGE, or with --packer-manifest what Packer built"
        )
    lines = journal.of(reporting.journal, resume=resume, receipt=receipt.path, baseline=write_baseline)
    named = named_by(images, recursive=recursive, lists=True)
    for folder in named.folders:
        reporting.note(f"{printable(folder)} is a folder; --recursive judges the images in it", fails=True)
    built = packer.built(packer_manifest, reporting.note)
    paths = list(dict.fromkeys([*named.paths, *built.disks]))
    parents = (*parents, *built.disks)
    reports = [("report", path) for path in reporting.files]
    outputs = Outputs([*reports, ("receipt", receipt.path), ("baseline", write_baseline)])
    outputs.spare("an image", [*paths, *parents])
    outputs.spare("a list of images", named.lists)
    outputs.spare("Packer's manifest", [packer_manifest])
    outputs.spare("the policy or its baseline", in_force.files)
    archives.refuse_receipt(receipt.path)
    receipt.require_files((*paths, *parents))
    options.all_checks(in_force.profile)
    alone = len(paths) == 1 and fleet.dask is None
    options.reach(named.addresses, parents, first=alone)
    from validator.evidence import ArtifactError, Unreachable
    from validator.judging import ExitCode, exit_code
    from validator.report.model import RunReport

    def judged(in_force: policies.InForce) -> "tuple[Report, ...]":
        keywords = {
            "policy": in_force.policy,
            "today": started.date(),
            "input_format": options.forced(input_format),
            "parents": parents,
            "generation": generation,
            "will_convert": will_convert,
            "nvme": nvme,
            "timeline": "html" in reporting.formats,
            "data_disk": packer_manifest is not None,
            "member": archives.member,
            "max_unpacked": archives.max_unpacked,
            "unpacking": archives.progress(quiet=reporting.quiet),
            "max_transfer": max_transfer,
        }
        found = lines.begin(paths, in_force, keywords, reporting.note)
        others = [path for path in paths if path not in found]
        reports = fleet.judge(others, alone=alone, quiet=reporting.quiet, **keywords)
        try:
            with closing(reports):
                for path, report in reports:  # as they come
                    lines.add(report)
                    found[path] = report
        except FileNotFoundError as error:
            raise options.Refused(f"no such file: {printable(str(error.filename))}") from error
        except (ArtifactError, Unreachable) as error:
            raise options.Refused(printable(str(error))) from None
        return tuple(found[path] for path in paths)

    results = judged(in_force)
    for result in results:
        outputs.spare("an image", result.files)
    if write_baseline is not None:
        in_force = in_force.with_new_baseline(write_baseline, results)
        results = judged(in_force)
    results = receipt.digest(built.deciding(results, named.paths, reporting.note), quiet=reporting.quiet)
    lines.correct(results)
    judgements = [result.judgement for result in results]
    lacks = (*named.lacks, *built.lacks)
    code = exit_code(judgements, in_force.fail_on, unmatched=bool(lacks))
    for word in lacks:
        reporting.note(f"nothing to check: {printable(word)}", fails=not exit_zero)
    warnings = in_force.warnings(results)
    for warning in warnings:
        reporting.note(f"warning: {printable(warning)}")
    run = RunReport(
        __version__,
        started,
        in_force.profile,
        code,
        results,
        in_force.fail_on,
        options.folder(),
        policy=in_force.in_report,
        warnings=warnings,
        lacks=lacks,
    )
    reporting.give(run)
    receipt.write(run, reporting.note)
    return ExitCode.DEPLOYABLE.value if exit_zero else code.value
