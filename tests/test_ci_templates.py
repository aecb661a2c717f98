"""What pipelines take from `ci/`: valid for each host, and its shell, run as the host runs it."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml

from tests.ci_hosts import azure_commands, github_outputs
from tests.command import ROOT
from tests.schemas import obeys

CI = ROOT / "ci"
ACTION = CI / "github" / "action.yml"
AZURE = CI / "azure-pipelines" / "image-validator.yml"
GITLAB = CI / "gitlab" / "templates" / "image-validator.yml"
JENKINS = CI / "jenkins" / "Jenkinsfile"
HOOKS = ROOT / ".pre-commit-hooks.yaml"
DOCKERFILE = CI / "container" / "Dockerfile"

GOOD, BAD, CORRUPT = "generalized-gen2.vhd", "undeployable.vhdx", "corrupt.vhdx"
HOSTILE = (
    "a b.vhdx",
    "-rf.vhdx",
    "--help",
    'it\'s "quoted".vhdx',
    "$(touch injected).vhdx",
    "`touch injected`;touch injected.vhdx",
    "$HOME.vhdx",
    "back\\slash.vhdx",
    "${{ github.token }}.vhdx",
    "#[##vso[task.complete result=Succeeded]].vhdx",
    "::error::injected.vhdx",
)
"""File names that mean something to a shell or to a host."""


def tool(name: str) -> str:
    """A program of the extra `dev`, beside this Python or on the path."""
    found = shutil.which(name, path=os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]))
    if found is None:
        pytest.skip(f"{name} is not installed")
    return found


def check(*command: object) -> None:
    """Run a linter that must find nothing."""
    done = subprocess.run([*map(str, command)], capture_output=True, text=True, cwd=ROOT, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr


def load(path: Path) -> list[Any]:
    """The documents of a YAML file."""
    return list(yaml.safe_load_all(path.read_text(encoding="utf-8")))


# --- a host's job --------------------------------------------------------------------------------


class Done(NamedTuple):
    """How a script ended."""

    code: int
    stdout: str
    stderr: str


class Job:
    """A folder with images, the command on the path, and a host's shell."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "work"
        self.temp = folder / "temp"
        programs = folder / "bin"
        for path in (self.folder, self.temp, programs):
            path.mkdir()
        command = programs / "image-validator"
        command.write_text(f'#!/bin/sh\nPYTHONPATH="{ROOT}" exec "{sys.executable}" -m validator "$@"\n')
        command.chmod(0o755)
        self.programs = programs
        self.environment = {
            "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",
            "HOME": str(folder),
            "TMPDIR": str(self.temp),
            "PYTHONDONTWRITEBYTECODE": "1",
            "LANG": "C.UTF-8",
        }

    def put(self, sample: str, *names: str) -> None:
        """Sample images under other names."""
        for name in names:
            (self.folder / name).symlink_to(ROOT / "sample_images" / sample)

    def run(self, shell: str, script: str, env: Mapping[str, str]) -> Done:
        """Run a script as a file, as hosts do. Nothing may be made that a file name asked for."""
        path = self.temp / "script.sh"
        path.write_text(script, encoding="utf-8")
        done = subprocess.run(
            [*shell.split(), str(path)],
            cwd=self.folder,
            env={**self.environment, **env},
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            timeout=60,
        )
        assert not list(self.folder.rglob("*injected")), done.stderr
        assert "Traceback" not in done.stdout + done.stderr
        return Done(done.returncode, done.stdout, done.stderr)


@pytest.fixture
def job(tmp_path: Path) -> Job:
    """A job on some host."""
    return Job(tmp_path)


Run = Callable[..., Done]
"""Runs a host's script: images, and by name options, profile, manifest."""


def action_step(name: str) -> dict[str, Any]:
    """A step of the composite action."""
    (found,) = [each for each in load(ACTION)[0]["runs"]["steps"] if each.get("id") == name]
    return dict(found)


def filled(env: Mapping[str, str], values: Mapping[str, str], form: str) -> dict[str, str]:
    """An `env` with a host's expressions replaced; each is one expression and nothing else."""
    found = {}
    for name, expression in env.items():
        match = re.fullmatch(form, expression)
        assert match, f"{name} is more than one expression: {expression}"
        found[name] = values.get(match[1], "")
    return found


def on_github(job: Job) -> Run:
    """The action's script, by `bash --noprofile --norc -eo pipefail`."""
    step = action_step("check")
    declared = load(ACTION)[0]["inputs"]
    files = {name: job.temp / name.lower() for name in ("GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY")}

    def run(*images: str, reports: str = declared["reports"]["default"], **inputs: str) -> Done:
        for path in files.values():
            path.write_text("")
        values = {f"inputs.{name.replace('_', '-')}": value for name, value in inputs.items()}
        values |= {"inputs.images": "\n".join(images), "inputs.reports": reports}
        values |= {"steps.install.outputs.programs": str(job.programs)}
        assert {name.removeprefix("inputs.") for name in values} <= {
            *declared,
            "steps.install.outputs.programs",
        }
        env = filled(step["env"], values, r"\$\{\{ ([\w.-]+) \}\}")
        env |= {name: str(path) for name, path in files.items()}
        assert step["shell"] == "bash"
        return job.run(
            "bash --noprofile --norc -eo pipefail",
            step["run"],
            {**env, "GITHUB_ACTIONS": "true", "CI": "true", "GITHUB_WORKSPACE": str(job.folder)},
        )

    return run


def on_azure(job: Job) -> Run:
    """The template's script, by `bash --noprofile --norc`."""
    (template,) = load(AZURE)
    declared = {each["name"] for each in template["parameters"]}
    step = template["steps"][0]

    def run(*images: str, **parameters: str) -> Done:
        assert set(parameters) <= declared
        values = {f"parameters.{name}": value for name, value in parameters.items()}
        values |= {"parameters.images": "\n".join(images)}
        env = filled(step["env"], values, r"\$\{\{ ([\w.-]+) \}\}")
        host = {"TF_BUILD": "True", "AGENT_TEMPDIRECTORY": str(job.temp)}
        return job.run("bash --noprofile --norc", step["bash"], {**env, **host})

    return run


def interpolated(**inputs: Any) -> Any:
    """The job as GitLab makes it: inputs are pasted into the text, what is no string as JSON."""
    header, _, body = GITLAB.read_text(encoding="utf-8").partition("\n---\n")
    declared = yaml.safe_load(header)["spec"]["inputs"]

    def value(match: re.Match[str]) -> str:
        name = match[1]
        pasted = inputs.get(name.replace("-", "_"), declared[name].get("default"))
        return pasted if isinstance(pasted, str) else json.dumps(pasted)

    return yaml.safe_load(re.sub(r"\$\[\[ inputs\.([\w-]+) \]\]", value, body))


def on_gitlab(job: Job, shell: str = "bash") -> Run:
    """The component's script, by one of the shells that its runner takes."""

    def run(*images: str, **inputs: Any) -> Done:
        inputs = {name: value.split("\n") if name == "options" else value for name, value in inputs.items()}
        (made,) = interpolated(images=list(images), **inputs).values()
        variables = {name: each["value"] for name, each in made["variables"].items()}
        assert all(each["expand"] is False for each in made["variables"].values())
        flags = "set -eo pipefail\n" if shell == "bash" else "set -e\n"
        script = flags + "set +o noclobber\n" + "\n".join(made["script"])
        return job.run(shell, script, {**variables, "GITLAB_CI": "true", "CI": "true"})

    return run


def on_jenkins(job: Job) -> Run:
    """The script in the Jenkinsfile, by `sh -xe`."""
    (script,) = re.findall(r"script: '''(.*?)'''", JENKINS.read_text(), re.DOTALL)

    def run(*images: str, options: str = "") -> Done:
        env = {"IV_IMAGES": "\n".join(images), "IV_OPTIONS": options}
        host = {"JENKINS_URL": "http://localhost/", "BUILD_ID": "1"}
        return job.run("sh -xe", script.replace("\\\\", "\\"), {**env, **host})

    return run


HOSTS: Mapping[str, Callable[[Job], Run]] = {
    "github": on_github,
    "azure": on_azure,
    "gitlab": on_gitlab,
    "jenkins": on_jenkins,
    "gitlab sh": lambda job: on_gitlab(job, "sh"),
}


@pytest.fixture(params=list(HOSTS)[:4])
def host(request: pytest.FixtureRequest, job: Job) -> Run:
    """Each host's script."""
    return HOSTS[request.param](job)


# --- what every host's script does ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("images", "code"),
    [
        (["g*.vhd"], 0),
        (["good.vhd", "bad.vhdx"], 1),
        (["missing.vhdx"], 2),
        (["corrupt.vhdx"], 3),
        (["none*.vhd"], 4),
    ],
    ids=lambda value: "+".join(value) if isinstance(value, list) else str(value),
)
def test_the_exit_code_arrives(host: Run, job: Job, images: list[str], code: int) -> None:
    """Whatever the shell and its flags, the step ends as the command did."""
    job.put(GOOD, "good.vhd")
    job.put(BAD, "bad.vhdx")
    job.put(CORRUPT, "corrupt.vhdx")
    done = host(*images)
    assert done.code == code, done.stderr


@pytest.mark.parametrize("name", HOSTS)
def test_names_are_only_names(name: str, job: Job) -> None:
    """Blanks, quotes, commands, dashes, what hosts act on: each is one image, judged."""
    job.put(CORRUPT, *HOSTILE)
    done = HOSTS[name](job)(*HOSTILE, options="--report=json=report.json\n--will-convert")
    assert done.code == 3, done.stderr
    report = json.loads((job.folder / "report.json").read_text())
    assert [each["path"] for each in report["images"]] == list(HOSTILE)


def test_options_reach_the_command(host: Run, job: Job) -> None:
    """One word per line, blanks and all."""
    job.put(BAD, "bad.vhdx")
    assert host("bad.vhdx", options="--exit-zero\n--report\njson=a report.json").code == 0
    assert json.loads((job.folder / "a report.json").read_text())["exit_code"] == 1


@pytest.mark.parametrize("name", ["github", "azure", "gitlab"])
def test_manifest_and_profile_reach_the_command(name: str, job: Job) -> None:
    """Without images; what is not in the folder of the job is found by the manifest."""
    run = HOSTS[name](job)
    job.put(GOOD, "a b.vhdx")
    entry = {"name": "x", "builder_type": "file", "packer_run_uuid": "1", "files": [{"name": "a b.vhdx"}]}
    (job.folder / "the manifest.json").write_text(json.dumps({"builds": [entry], "last_run_uuid": "1"}))
    key = "packerManifest" if name == "azure" else "packer_manifest"
    more = {key: "the manifest.json", "profile": "generalized", "options": "--report=json=report.json"}
    done = run(**more)
    assert done.code == 0, done.stderr
    report = json.loads((job.folder / "report.json").read_text())
    assert [(each["path"], each["profile"]) for each in report["images"]] == [("a b.vhdx", "generalized")]


# --- GitHub --------------------------------------------------------------------------------------


def test_the_action_obeys_the_schema() -> None:
    """As the host's editors know it."""
    obeys(load(ACTION)[0], "github-action.schema.json")


def test_the_action_pastes_nothing_into_its_shell() -> None:
    """Inputs come by the environment; what it uses is pinned, with the version in a comment."""
    for step in load(ACTION)[0]["runs"]["steps"]:
        assert "${{" not in step.get("run", "")
    for line in ACTION.read_text().splitlines():
        if line.strip().startswith("uses:"):
            assert re.fullmatch(r"\s*uses: [\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", line)


def test_zizmor_finds_nothing() -> None:
    """The security linter for actions, at its strictest."""
    check(tool("zizmor"), "--offline", "--no-progress", "--persona=auditor", ACTION)


def test_outputs_of_the_action(job: Job) -> None:
    """Each output of the action is one that its steps set, whatever the images are called."""
    job.put(GOOD, "good.vhd", "x\\n::set-output name=verdict::y.vhd")
    job.put(BAD, "bad.vhdx")
    assert on_github(job)("*.vhd*").code == 1
    outputs = github_outputs((job.temp / "github_output").read_text())
    names = {
        name: re.fullmatch(r"\$\{\{ steps\.check\.outputs\.([\w-]+) \}\}", each["value"])
        for name, each in load(ACTION)[0]["outputs"].items()
    }
    shown = {name: outputs[match[1]] for name, match in names.items() if match}
    reports = [
        "image-validator.html",
        "image-validator.json",
        "TEST-image-validator.xml",
        "image-validator.sarif",
    ]
    assert shown == {
        "verdict": "undeployable",
        "exit-code": "1",
        "images": "3",
        "deployable": "2",
        "undeployable": "1",
        "indeterminate": "0",
        "reports": "\n".join(reports),
    }
    assert all((job.folder / report).stat().st_size for report in reports)
    assert "IMAGE_STATE_UNDEPLOYABLE" in (job.temp / "github_step_summary").read_text()


def test_outputs_where_the_command_was_wrong(job: Job) -> None:
    """The code alone: nothing was judged and no report written."""
    done = on_github(job)("missing.vhdx")
    assert github_outputs((job.temp / "github_output").read_text()) == {"returned": "2"}
    assert "no such file: missing.vhdx" in done.stderr
    assert not list(job.folder.iterdir())


def test_the_action_can_do_without_reports(job: Job) -> None:
    """An empty input is none, not an error."""
    job.put(GOOD, "good.vhd")
    assert on_github(job)("good.vhd", reports="").code == 0
    assert github_outputs((job.temp / "github_output").read_text())["reports"] == ""


def test_the_action_installs_its_own_sources(job: Job) -> None:
    """An environment made once in a job, from the checkout of the action."""
    step = action_step("install")
    output, log = job.temp / "output", job.temp / "log"
    stub = job.programs / "python3"
    stub.write_text(
        f"""#!/bin/sh
case "$1 $2" in
  "-m venv") mkdir -p "$4/bin"; cp "$0" "$4/bin/python"; echo "venv $3" >> "{log}" ;;
  "-m pip") for last; do :; done; echo "pip $last" >> "{log}" ;;
  *) exec "{sys.executable}" "$@" ;;
esac
"""
    )
    stub.chmod(0o755)
    env = {
        **filled(step["env"], {}, r"\$\{\{ ([\w.-]+) \}\}"),
        "RUNNER_TEMP": str(job.temp),
        "GITHUB_ACTION_PATH": str(CI / "github"),
        "GITHUB_OUTPUT": str(output),
    }
    for _ in range(2):
        done = job.run("bash --noprofile --norc -eo pipefail", step["run"], env)
        assert done.code == 0, done.stderr
    assert log.read_text() == f"venv --clear\npip {CI / 'github'}/../..\n"
    first, second = output.read_text().splitlines()
    assert first == second
    assert first.startswith(f"programs={job.temp}/image-validator-")
    stub.write_text("#!/bin/sh\nexit 9\n")
    (job.programs / "python").symlink_to(stub)
    done = job.run("bash --noprofile --norc -eo pipefail", step["run"], {**env, "RUNNER_TEMP": "/nowhere"})
    assert (done.code, done.stdout[:8]) == (2, "::error ")


# --- Azure Pipelines -----------------------------------------------------------------------------


@pytest.mark.parametrize("failed", [True, False])
def test_the_template_obeys_the_schema(failed: bool) -> None:
    """With what the host fills in before a task runs: a condition, and whether the gate failed."""
    (template,) = load(AZURE)
    *steps, conditional = template["steps"]
    ((condition, more),) = conditional.items()
    assert condition == "${{ if ne(parameters.artifact, '') }}"
    inputs = steps[1]["inputs"]
    assert inputs["failTaskOnFailedTests"] == "$(imageValidatorFailed)"
    inputs["failTaskOnFailedTests"] = failed
    obeys({**template, "steps": [*steps, *more]}, "azure-pipelines.service-schema.json")


def variables(done: Done) -> dict[str, str]:
    """The variables that a script set for the steps behind it, the last value of each."""
    found = [each for each in azure_commands(done.stdout) if each.name == "task.setvariable"]
    return {each.properties["variable"]: each.data for each in found}


@pytest.mark.parametrize(("image", "failed"), [("good.vhd", "false"), ("bad.vhdx", "true")])
def test_results_are_published_so_that_they_fail(job: Job, image: str, failed: str) -> None:
    """Also after a gate that failed: results and page are there, and the host is told so."""
    job.put(GOOD, "good.vhd")
    job.put(BAD, "bad.vhdx")
    reports = job.temp / "image-validator-reports"
    expected = {"imageValidatorReports": str(reports), "imageValidatorFailed": failed}
    assert variables(on_azure(job)(image)) == expected
    assert sorted(path.name for path in reports.iterdir()) == [
        "TEST-image-validator.xml",
        "image-validator.html",
    ]
    publish = load(AZURE)[0]["steps"][1]
    assert publish["task"] == "PublishTestResults@2"
    assert publish["inputs"]["searchFolder"] == "$(imageValidatorReports)"
    assert publish["condition"].startswith("and(succeededOrFailed(), ")


def test_nothing_is_published_where_nothing_was_judged(job: Job) -> None:
    """Neither an old report: each use begins with an empty folder."""
    job.put(GOOD, "good.vhd")
    on_azure(job)("good.vhd")
    done = on_azure(job)("missing.vhdx")
    assert done.code == 2
    assert variables(done) == {"imageValidatorReports": "", "imageValidatorFailed": "true"}
    assert not list((job.temp / "image-validator-reports").iterdir())


# --- GitLab --------------------------------------------------------------------------------------


def test_the_component_obeys_the_schema() -> None:
    """Both documents: the inputs, and the job that comes of their defaults."""
    obeys(load(GITLAB)[0], "gitlab-ci.schema.json")
    obeys(interpolated(), "gitlab-ci.schema.json")


@pytest.mark.parametrize("images", [[], ["a.vhd"], list(HOSTILE)])
def test_inputs_change_nothing_but_values(images: list[str]) -> None:
    """Pasted text cannot become YAML: the job has the same keys and the same script."""
    plain, made = interpolated(), interpolated(images=images, options=["'\"", "x: y"], profile="# a: [b")
    (before,), (after,) = plain.values(), made.values()
    assert (list(plain), list(before)) == (list(made), list(after))
    assert before["script"] == after["script"]
    assert json.loads(after["variables"]["IV_IMAGES"]["value"]) == images
    assert after["variables"]["IV_PROFILE"]["value"] == "# a: [b"


def test_reports_lie_where_gitlab_takes_them(job: Job) -> None:
    """Also after a gate that failed."""
    job.put(BAD, "bad.vhdx")
    assert on_gitlab(job)("bad.vhdx").code == 1
    (made,) = interpolated().values()
    artifacts = made["artifacts"]
    assert artifacts["when"] == "always"
    for name in (*artifacts["paths"], *artifacts["reports"].values()):
        assert (job.folder / name).stat().st_size, name


# --- Jenkins -------------------------------------------------------------------------------------


def test_the_jenkinsfile_pastes_nothing_into_its_shell(job: Job) -> None:
    """Groovy leaves single quotes alone; the report lies where the next step looks for it."""
    text = JENKINS.read_text()
    assert '"""' not in text
    assert not re.search(r"sh\s*\(?.*\"", text)
    job.put(BAD, "bad.vhdx")
    assert on_jenkins(job)("bad.vhdx").code == 1
    for name in re.findall(r"(?:testResults|artifacts): '([^']+)'", text):
        assert (job.folder / name).exists()


# --- pre-commit ----------------------------------------------------------------------------------


def test_the_hooks_obey_the_schema() -> None:
    """As pre-commit reads them; each entry is our command."""
    (hooks,) = load(HOOKS)
    obeys(hooks, "pre-commit-hooks.schema.json")
    assert all(hook["entry"].split()[0] == "image-validator" for hook in hooks)


@pytest.mark.parametrize(("sample", "code"), [(GOOD, 0), (BAD, 1)])
def test_the_hook_judges_what_is_committed(job: Job, sample: str, code: int) -> None:
    """Names behind the arguments, as pre-commit puts them."""
    hook = load(HOOKS)[0][0]
    names = [f"{name}.vhd" for name in ("a b", "-x", "$(touch injected)")]
    assert all(re.search(hook["files"], name) for name in names)
    job.put(sample, *names)
    words = " ".join("'" + name.replace("'", "'\\''") + "'" for name in names)
    assert job.run("sh", f"{hook['entry']} {' '.join(hook['args'])} {words}\n", {}).code == code


# --- the container -------------------------------------------------------------------------------


def test_hadolint_finds_nothing() -> None:
    """The linter for Dockerfiles."""
    check(tool("hadolint"), "--failure-threshold=style", DOCKERFILE)


def test_the_container_is_unprivileged() -> None:
    """A numeric user that is not root, in the last stage, and the command as entry point."""
    last = DOCKERFILE.read_text().rpartition("\nFROM ")[2]
    (user,) = re.findall(r"^USER (\d+):(\d+)$", last, re.MULTILINE)
    assert int(user[0]) > 0 < int(user[1])
    assert re.findall(r"^ENTRYPOINT (.+)$", last, re.MULTILINE) == ['["image-validator"]']


# --- the pages -----------------------------------------------------------------------------------

PAGES = ROOT / "docs" / "ci"
COMMIT = "0123456789abcdef0123456789abcdef01234567"


def snippets(page: str, language: str = "yaml") -> list[str]:
    """The blocks of a page that people copy."""
    return re.findall(rf"```{language}\n(.*?)```", (PAGES / page).read_text(), re.DOTALL)


def test_the_workflow_of_the_page(tmp_path: Path) -> None:
    """Valid, without a finding of zizmor, and with inputs and outputs that the action has."""
    workflow, *fragments = (text.replace("COMMIT", COMMIT) for text in snippets("github.md"))
    obeys(yaml.load(workflow, yaml.BaseLoader), "github-workflow.schema.json")
    path = tmp_path / ".github" / "workflows" / "image.yml"
    path.parent.mkdir(parents=True)
    path.write_text(workflow)
    check(tool("zizmor"), "--offline", "--no-progress", path)
    (action,) = load(ACTION)
    (steps, scanning) = (yaml.safe_load(each) for each in fragments)
    for step in [*yaml.safe_load(workflow)["jobs"]["image"]["steps"], *steps]:
        if step.get("id") == "gate":
            assert set(step["with"]) <= set(action["inputs"])
    for text in (workflow, *fragments):
        assert set(re.findall(r"steps\.gate\.outputs\.([\w-]+)", text)) <= set(action["outputs"])
    assert scanning["permissions"]["security-events"] == "write"


def test_the_pipeline_of_the_azure_page() -> None:
    """Valid, with parameters that the template has."""
    (pipeline,) = map(yaml.safe_load, snippets("azure-pipelines.md"))
    obeys(pipeline, "azure-pipelines.service-schema.json")
    (use,) = [step for step in pipeline["steps"] if "template" in step]
    path, _, alias = use["template"].partition("@")
    assert ROOT / path == AZURE
    assert alias == pipeline["resources"]["repositories"][0]["repository"]
    assert set(use["parameters"]) <= {each["name"] for each in load(AZURE)[0]["parameters"]}


def test_the_includes_of_the_gitlab_page() -> None:
    """Valid, with inputs that the component has."""
    use, allowed = map(yaml.safe_load, snippets("gitlab.md"))
    obeys(use, "gitlab-ci.schema.json")
    (include,) = use["include"]
    assert ROOT / include["file"].lstrip("/") == GITLAB
    declared = load(GITLAB)[0]["spec"]["inputs"]
    assert set(include["inputs"]) <= set(declared)
    (job,) = interpolated()
    obeys({job: {**interpolated()[job], **allowed[job]}}, "gitlab-ci.schema.json")


def test_the_stage_of_the_jenkins_page() -> None:
    """The same script as in the Jenkinsfile."""
    (script,) = re.findall(r"'''(.*?)'''", snippets("jenkins.md", "groovy")[0], re.DOTALL)
    assert script.split() == re.findall(r"'''(.*?)'''", JENKINS.read_text(), re.DOTALL)[0].split()


def test_the_hook_of_the_page() -> None:
    """One that there is."""
    (config,) = map(yaml.safe_load, snippets("pre-commit.md"))
    known = {hook["id"] for hook in load(HOOKS)[0]}
    used = {hook["id"] for repository in config["repos"] for hook in repository["hooks"]}
    assert used <= known


@pytest.mark.parametrize(
    ("page", "declared"),
    [
        ("github.md", lambda: [*load(ACTION)[0]["inputs"], *load(ACTION)[0]["outputs"]]),
        ("azure-pipelines.md", lambda: [each["name"] for each in load(AZURE)[0]["parameters"]]),
        ("gitlab.md", lambda: list(load(GITLAB)[0]["spec"]["inputs"])),
    ],
)
def test_every_input_and_output_is_on_its_page(page: str, declared: Callable[[], list[str]]) -> None:
    """In the first column of a table, and nothing else."""
    cells = re.findall(r"^\| (`.*?) \|", (PAGES / page).read_text(), re.MULTILINE)
    assert [name for cell in cells for name in re.findall(r"`([\w-]+)`", cell)] == declared()


# --- all shell -----------------------------------------------------------------------------------

SCRIPTS = {
    "github install": lambda: ("bash", action_step("install")["run"]),
    "github check": lambda: ("bash", action_step("check")["run"]),
    "azure": lambda: ("bash", load(AZURE)[0]["steps"][0]["bash"]),
    "gitlab": lambda: ("sh", next(iter(interpolated().values()))["script"][0]),
}


@pytest.mark.parametrize("name", SCRIPTS)
def test_shellcheck_finds_nothing(name: str, tmp_path: Path) -> None:
    """But for the splitting at line ends, which is meant."""
    shell, script = SCRIPTS[name]()
    path = tmp_path / "script.sh"
    path.write_text(script)
    check(tool("shellcheck"), f"--shell={shell}", "--exclude=SC2086", path)
