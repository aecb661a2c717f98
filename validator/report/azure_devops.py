"""Azure Pipelines: the text report, then issues as logging commands, within the agent's limits."""

from collections.abc import Iterator

from validator.checks.model import Severity
from validator.judging import ExitCode
from validator.report import text
from validator.report.annotations import annotations
from validator.report.formats import Style
from validator.report.model import RunReport

_MOST = 10
"""Issues of a level that the agent keeps of one task."""
_ESCAPES = (("%", "%AZP25"), (";", "%3B"), ("\r", "%0D"), ("\n", "%0A"), ("]", "%5D"))


def render(run: RunReport, style: Style) -> str:
    """The run as text, with a line for each issue behind it; the agent knows errors and warnings."""
    return text.render(run, style) + "".join(f"{each}\n" for each in _commands(run, style))


def upload_summary(path: str) -> str:
    """The line that shows a Markdown file, named by its absolute path, on the page of the run."""
    return f"##vso[task.uploadsummary]{_escaped(path)}\n"


def _commands(run: RunReport, style: Style) -> Iterator[str]:
    issues = [each for each in annotations(run, style, _MOST) if each.level is not Severity.NOTICE]
    for issue in issues:
        code = f"code={_escaped(issue.check)};" if issue.check else ""
        data = _escaped(f"{issue.title}\n{issue.text}")
        yield f"##vso[task.logissue type={issue.level.value};{code}]{data}"
    if issues and run.exit_code is not ExitCode.UNDEPLOYABLE:
        # The agent keeps the worse of this and what the exit code makes of the task, so it hides none.
        yield "##vso[task.complete result=SucceededWithIssues;]"


def _escaped(data: str) -> str:
    for character, escape in _ESCAPES:
        data = data.replace(character, escape)
    return data
