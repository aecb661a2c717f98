"""`image-validator inspect`: what is in an image, without judging it."""

import click

from validator.cli import artifacts, options
from validator.cli.paths import images
from validator.report.printable import printable


@click.command("inspect", no_args_is_help=True)
@click.argument("image", type=click.Path())
@click.option(
    "--format",
    "-f",
    "output_format",
    type=click.Choice(("text", "json")),
    default="text",
    show_default=True,
    help="What to print on standard output.",
)
@options.input_format
@options.parents
@options.max_transfer
@artifacts.archive_options
@options.no_color
def command(
    image: str,
    output_format: str,
    input_format: str,
    parents: tuple[str, ...],
    max_transfer: int | None,
    no_color: bool,
    archives: artifacts.Archives,
) -> int:
    """Show what is in IMAGE, without judging it.

    Returns 0 where every layer could be read, 3 where one could not.
    """
    options.all_checks()
    from validator.evidence import ArtifactError, Unreachable
    from validator.judging import ExitCode
    from validator.validation import validate

    named = images((image,))
    if named.lacks:
        raise options.Refused(printable(named.lacks[0]))
    paths = named.paths
    if len(paths) != 1:
        raise click.UsageError("inspect takes one image")
    options.reach(named.addresses, parents, first=True)
    try:
        # Its findings are not shown; the profile is the one with the fewest checks.
        report = validate(
            paths[0],
            "generalized",
            input_format=options.forced(input_format),
            parents=parents,
            member=archives.member,
            max_unpacked=archives.max_unpacked,
            unpacking=archives.progress(quiet=False),
            max_transfer=max_transfer,
            picture=True,
            timeline=True,
        )
    except FileNotFoundError as error:
        raise options.Refused(f"no such file: {printable(str(error.filename))}") from error
    except (ArtifactError, Unreachable) as error:
        raise options.Refused(printable(str(error))) from None
    if output_format == "json":
        from validator.report.json import dumps, image_data, picture_data, timeline_data

        data = image_data(report)
        shown = {name: data[name] for name in ("path", "member", "facts", "layers", "duration_ms")}
        picture = None if report.picture is None else picture_data(report.picture)
        timeline = timeline_data(report.timeline or ())
        options.show(dumps({**shown, "timeline": timeline, "picture": picture}))
    else:
        from validator.report import overview

        colour = options.colour(no_color)
        options.show(overview.render(report, colour=colour, width=options.width()), colour=colour)
    damaged = any(layer.state == "damaged" for layer in report.layers)
    return ExitCode.INDETERMINATE.value if damaged else ExitCode.DEPLOYABLE.value
