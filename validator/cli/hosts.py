"""CI hosts: how each is told by its environment, and what it takes beside standard output.

The variables are those that the hosts document. What cannot be written is a note and changes nothing else:
the exit code belongs to the verdicts.
"""

import os
import stat
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from validator.report.formats import Style
from validator.report.printable import printable

if TYPE_CHECKING:
    from validator.report.model import RunReport

Note = Callable[[str], None]

_SUMMARY_LIMIT = 2**20
"""Bytes of a summary: GitHub drops a larger one whole; Azure's pages are not made for more either."""


class Host:
    """No host in particular: a terminal, a file, a log that nobody interprets.

    GitLab's job log is one as well. It could fold sections, but by control sequences that would land in every
    file that the output is piped to; what GitLab shows beside the log it takes from files (`--report`).
    """

    @property
    def printed(self) -> str:
        """The format of standard output that suits it."""
        return "text"

    def before(self, run: "RunReport", style: Style, note: Note) -> str:
        """What belongs on standard output behind the report; it may need files, which are written here.

        All that the host takes is made here, so that what cannot be made is known before anything is shown.
        """
        return ""

    def after(self, run: "RunReport", reports: Sequence[str], note: Note) -> None:
        """Hand over what the host takes in files, once the reports are written."""


class GitHub(Host):
    """GitHub Actions, and what acts like it: files for the job's summary and for the step's outputs."""

    @property
    def printed(self) -> str:
        """Annotations, but not inside Packer: it indents lines, and none begins with `::` any more."""
        return "text" if "PACKER_RUN_UUID" in os.environ else "github"

    _summary = ""

    def before(self, run: "RunReport", style: Style, note: Note) -> str:
        """Nothing; the summary is made, as far as there is room for it."""
        if summary := _file("GITHUB_STEP_SUMMARY"):
            from validator.report.markdown import within

            # What other commands of the step wrote counts; so does the line feed before ours.
            self._summary = within(run, style, _SUMMARY_LIMIT - os.path.getsize(summary) - 1)
        return ""

    def after(self, run: "RunReport", reports: Sequence[str], note: Note) -> None:
        """Append to the two files where they exist; other steps and commands write to them as well."""
        if summary := _file("GITHUB_STEP_SUMMARY"):
            if self._summary:
                _append(summary, self._summary, note)
            else:
                note("the step's summary has no room left")
        if outputs := _file("GITHUB_OUTPUT"):
            _append(outputs, "".join(_entry(*each) for each in _outputs(run, reports).items()), note)


class AzurePipelines(Host):
    """Azure Pipelines: a summary that the agent uploads from a file."""

    @property
    def printed(self) -> str:
        """Issues; the agent finds them anywhere in a line."""
        return "azure-devops"

    def before(self, run: "RunReport", style: Style, note: Note) -> str:
        """The command that uploads the summary, which is written to the folder that the agent empties."""
        folder = os.environ.get("AGENT_TEMPDIRECTORY", "")
        if not (os.path.isabs(folder) and os.path.isdir(folder)):
            return ""
        from validator.report.azure_devops import upload_summary
        from validator.report.markdown import within

        # The agent reads it later, perhaps after another step has written one of its own.
        folder = os.path.join(folder, f"image-validator-{os.urandom(8).hex()}")
        path = os.path.join(folder, "image-validator.md")
        text = within(run, style, _SUMMARY_LIMIT)
        try:
            os.mkdir(folder)
        except OSError as error:
            note(f"no summary is uploaded: {error.strerror}")
            return ""
        return upload_summary(path) if _append(path, text, note) else ""


_BY_FORMAT = {"github": GitHub, "azure-devops": AzurePipelines}
_BY_VARIABLE = {"GITHUB_ACTIONS": GitHub, "TF_BUILD": AzurePipelines, "GITLAB_CI": Host}


def of(output_format: str | None) -> Host:
    """The host that a format is made for, or where none is given, the one around this process."""
    if output_format is not None:
        return _BY_FORMAT.get(output_format, Host)()
    if not _is_log():
        return Host()
    around = (kind for name, kind in _BY_VARIABLE.items() if os.environ.get(name, "").lower() == "true")
    return next(around, Host)()


def _is_log() -> bool:
    """Whether a host may be reading standard output: on all of them it is a pipe."""
    try:
        mode = os.fstat(sys.stdout.fileno()).st_mode
    except OSError:
        return True
    return not stat.S_ISREG(mode) and not sys.stdout.isatty()


def _outputs(run: "RunReport", reports: Sequence[str]) -> dict[str, str]:
    """The step's outputs: the gravest verdict, the exit code, counts, and where the reports are."""
    from validator.judging import Verdict

    gravest = (Verdict.UNDEPLOYABLE, Verdict.INDETERMINATE, Verdict.DEPLOYABLE)
    return {
        "verdict": next((verdict.value for verdict in gravest if run.count(verdict)), ""),
        "exit-code": str(run.exit_code.value),
        "images": str(len(run.images)),
        **{verdict.value: str(run.count(verdict)) for verdict in Verdict},
        "reports": "\n".join(reports),
    }


def _entry(name: str, value: str) -> str:
    """An output that ends where it should, whatever its value holds."""
    delimiter = name
    while delimiter in name + value:
        delimiter = os.urandom(16).hex()
    return f"{name}<<{delimiter}\n{value}\n{delimiter}\n"


def _file(variable: str) -> str | None:
    """The file that a variable names, where it exists: not everything that acts like a host has them."""
    path = os.environ.get(variable)
    return path if path and os.path.isfile(path) else None


def _append(path: str, text: str, note: Note) -> bool:
    """Add to a file, on a line of its own."""
    try:
        with open(path, "a", encoding="utf-8", errors="backslashreplace", newline="\n") as file:
            file.write("\n" + text if file.tell() else text)
    except OSError as error:
        note(f"cannot write to {printable(path)}: {error.strerror}")
        return False
    return True
