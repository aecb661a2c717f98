"""The command line: each command parses, calls and prints; none decides anything."""

import importlib
import io
import os
import sys
from types import TracebackType
from typing import NoReturn

import click

from validator import __version__
from validator.address import hidden
from validator.report.printable import printable

_COMMANDS = {
    "check": "Judge images, and fail where one cannot be deployed.",
    "inspect": "Show what is in IMAGE, without judging it.",
    "checks": "List the checks, or explain one.",
    "policy": "Show the policy that applies, or the schema of its file.",
    "verify-receipt": "Say whether a receipt holds for images.",
    "completion": "Print the script that completes this command in a shell.",
}
"""Each is the module of its name; beside it, the first sentence of its help."""
USAGE, FAILED, INTERRUPTED = 2, 3, 130


class _Commands(click.Group):
    """Imports the module of a command when it is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        module = importlib.import_module(f"{__name__}.{cmd_name.replace('-', '_')}")
        command: click.Command = module.command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The list of commands; click would import them all."""
        with formatter.section("Commands"):
            formatter.write_dl(list(_COMMANDS.items()))


@click.command(
    cls=_Commands,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(__version__, message="%(prog)s %(version)s")
def cli() -> None:
    """Judge Windows disk images before they are uploaded: did sysprep complete?

    It reads VHD, VHDX, QCOW2, VMDK, VDI and raw images, here or at an address. Nothing is mounted, executed
    or written, and nothing leaves this machine but requests for the bytes at an address that you name.

    Exit codes: 0 deployable, 1 undeployable, 2 wrong command, 3 indeterminate, 4 nothing to check,
    130 interrupted.
    """


def main() -> NoReturn:
    """Run the command and end the process with its exit code."""
    # Python sets a stream that was closed before it started to None.
    sys.stdout = sys.stdout or open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115
    sys.stderr = sys.stderr or open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    try:
        code = cli.main(prog_name="image-validator", standalone_mode=False)
    except click.ClickException as error:
        # What a shell made of `*` may be the name of a file, and a file may be called anything.
        complaint = io.StringIO()
        error.show(complaint)
        # click writes lists with tabs.
        lines = complaint.getvalue().expandtabs(4).split("\n")
        _tell("\n".join(map(printable, lines)), newline=False)
        code = USAGE
    except (click.Abort, KeyboardInterrupt):
        _tell("interrupted")
        code = INTERRUPTED
    except Exception as error:
        if os.environ.get("IMAGE_VALIDATOR_DEBUG"):
            sys.excepthook = _show
            raise
        why = printable(f"{type(error).__name__}: {error}")
        _tell(f"image-validator failed ({why}); there is no report.")
        code = FAILED
    sys.exit(code if isinstance(code, int) else 0)


def _show(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    import traceback

    sys.stderr.write(hidden("".join(traceback.format_exception(kind, error, trace))))


def _tell(text: str, *, newline: bool = True) -> None:
    from validator.cli.options import tell  # with what it imports it would be slow

    tell(text, newline=newline)
