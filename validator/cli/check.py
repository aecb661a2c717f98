"""`image-validator check`: judge images."""

from datetime import datetime, timezone

import click

from validator import __version__
from validator.cli import options, packer, policies, receipts
from validator.cli.outputs import Outputs
from validator.cli.reporting import Reporting, reporting_options
from validator.policy.model import Policy
from validator.report.model import Report, RunReport
from validator.report.printable import printable


@click.command("check")
@click.argument("images", nargs=-1, metavar="[IMAGE]...", type=click.Path())
@policies.policy_options
@options.destination
@reporting_options
@policies.write_baseline
@click.option("--exit-zero", is_flag=True, help="Return 0 instead of 1, 3 and 4, for a trial run.")
@options.input_format
@options.parents
@packer.manifest
@receipts.option
def command(
    images: tuple[str, ...],
    in_force: policies.InForce,
    generation: int | None,
    will_convert: bool,
    nvme: bool,
    reporting: Reporting,
    write_baseline: str | None,
    exit_zero: bool,
    input_format: str,
    parents: tuple[str, ...],
    packer_manifest: str | None,
    receipt: receipts.ReceiptFile,
) -> int:
    """Judge images, and fail where one cannot be deployed.

    IMAGE is a VHD, VHDX, QCOW2, VMDK, VDI or raw disk image; it is opened for reading only. A path that
    exists is taken literally, anything else that looks like one is expanded as a pattern.
    """
    started = datetime.now(timezone.utc)
    if not images and packer_manifest is None:
        raise click.UsageError(
            "there is nothing to check: name an IMAGE, or with --packer-manifest what Packer built"
        )
    named, unmatched = options.images(images)
    built = packer.built(packer_manifest, reporting.note)
    paths = list(dict.fromkeys([*named, *built.disks]))
    parents = (*parents, *built.disks)
    reports = [("report", path) for path in reporting.files]
    outputs = Outputs([*reports, ("receipt", receipt.path), ("baseline", write_baseline)])
    outputs.spare("an image", [*paths, *parents])
    outputs.spare("Packer's manifest", [packer_manifest])
    outputs.spare("the policy or its baseline", in_force.files)
    options.all_checks()
    from validator.judging import ExitCode, exit_code
    from validator.validation import validate

    def judged(policy: Policy) -> tuple[Report, ...]:
        try:
            return tuple(
                validate(
                    path,
                    policy=policy,
                    input_format=options.forced(input_format),
                    parents=parents,
                    generation=generation,
                    will_convert=will_convert,
                    nvme=nvme,
                    timeline="html" in reporting.formats,
                    data_disk=packer_manifest is not None,
                )
                for path in paths
            )
        except FileNotFoundError as error:
            raise options.Refused(f"no such file: {printable(str(error.filename))}") from error

    results = judged(in_force.policy)
    for result in results:
        outputs.spare("an image", result.files)
    if write_baseline is not None:
        in_force = in_force.with_new_baseline(write_baseline, results)
        results = judged(in_force.policy)
    results = receipt.digest(built.deciding(results, named, reporting.note), quiet=reporting.quiet)
    judgements = [result.judgement for result in results]
    lacks = (*(f"no image matches {pattern}" for pattern in unmatched), *built.lacks)
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
