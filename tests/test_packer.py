"""Real Packer around the command: what stops, what survives, and what the obvious recipes do instead.

Packer 1.6.6, as Debian has it. The file builder copies a sample image and stands for the build.
"""

from __future__ import annotations

import functools
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.command import ROOT

EXAMPLES, SAMPLES = ROOT / "ci" / "packer", ROOT / "sample_images"
GOOD, BAD, CORRUPT = "generalized-gen2.vhdx", "undeployable.vhdx", "corrupt.vhdx"
DISK = "output-windows/windows.vhdx"
GATE = "image-validator check --will-convert --packer-manifest packer-manifest.json"
PLAIN_GATE = f"image-validator check --will-convert {DISK}"

pytestmark = pytest.mark.skipif(shutil.which("packer") is None, reason="packer is not installed")


class Ran(NamedTuple):
    """What a run of Packer left."""

    code: int
    image: bool
    """Whether the image is there, as it was built."""
    uploaded: bool
    text: str


@dataclass(frozen=True)
class Packer:
    """Packer in a folder of its own, with the command on its path."""

    folder: Path

    def __post_init__(self) -> None:
        programs = self.folder / "bin"
        programs.mkdir()
        command = programs / "image-validator"
        command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m validator "$@"\n')
        command.chmod(0o755)

    @property
    def environment(self) -> dict[str, str]:
        """Nothing of the user's, no network, no state elsewhere."""
        return {
            "PATH": f"{self.folder / 'bin'}{os.pathsep}{os.environ['PATH']}",
            "HOME": str(self.folder),
            "TMPDIR": str(self.folder),
            "PYTHONPATH": str(ROOT),
            "PYTHONDONTWRITEBYTECODE": "1",
            "LANG": "C.UTF-8",
            "CHECKPOINT_DISABLE": "1",
            "PACKER_NO_COLOR": "1",
        }

    def __call__(self, *arguments: object) -> subprocess.CompletedProcess[str]:
        """Run Packer."""
        return subprocess.run(
            ["packer", *map(str, arguments)],
            cwd=self.folder,
            env=self.environment,
            text=True,
            capture_output=True,
            stdin=subprocess.DEVNULL,
            timeout=60,
        )

    def build(self, template: Path, sample: str, *options: str) -> Ran:
        """Build from a sample image; the upload leaves a file."""
        source = SAMPLES / sample
        variables = {"source": source, "upload": "touch uploaded"}
        words = [word for item in variables.items() for word in ("-var", "{}={}".format(*item))]
        done = self("build", "-color=false", *options, *words, template)
        image = self.folder / DISK
        intact = image.exists() and image.read_bytes() == source.read_bytes()
        text = done.stdout + done.stderr
        assert "Traceback" not in text
        return Ran(done.returncode, intact, (self.folder / "uploaded").exists(), text)

    def template(self, *chains: list[dict[str, Any]]) -> Path:
        """A template with these sequences of post-processors."""
        data = {
            "variables": {"source": None, "upload": None},
            "builders": [{"type": "file", "name": "windows", "source": "{{user `source`}}", "target": DISK}],
            "post-processors": chains,
        }
        path = self.folder / "template.json"
        path.write_text(json.dumps(data))
        return path


@pytest.fixture
def packer(tmp_path: Path) -> Packer:
    """Packer in a folder of its own."""
    return Packer(tmp_path)


# --- the recipe ----------------------------------------------------------------------------------


@pytest.mark.parametrize("template", ["file.pkr.hcl", "file.json"])
def test_a_good_image_is_uploaded(packer: Packer, template: str) -> None:
    """Everything runs, and the log has the verdict."""
    ran = packer.build(EXAMPLES / template, GOOD)
    assert ran[:3] == (0, True, True), ran.text
    assert f"DEPLOYABLE  {DISK}" in ran.text


@pytest.mark.parametrize("template", ["file.pkr.hcl", "file.json"])
@pytest.mark.parametrize(("sample", "code"), [(BAD, 1), (CORRUPT, 3)])
def test_what_did_not_pass_is_kept_and_not_uploaded(
    packer: Packer, template: str, sample: str, code: int
) -> None:
    """Packer fails; its own code is always 1, ours is in its text."""
    ran = packer.build(EXAMPLES / template, sample)
    assert ran[:3] == (1, True, False), ran.text
    assert f"Script exited with non-zero exit status: {code}." in ran.text
    assert re.search(rf"(UNDEPLOYABLE|INDETERMINATE)  {DISK}", ran.text)


def test_each_build_of_each_run_has_its_own_image(packer: Packer) -> None:
    """The manifest of a good run is of no use to a bad one after it, nor to another build beside it."""
    assert packer.build(EXAMPLES / "file.pkr.hcl", GOOD)[:3] == (0, True, True)
    (packer.folder / "uploaded").unlink()
    assert packer.build(EXAMPLES / "file.pkr.hcl", BAD, "-force")[:3] == (1, True, False)
    both = packer.folder / "both.pkr.hcl"
    both.write_text(
        (EXAMPLES / "file.pkr.hcl")
        .read_text()
        .replace('["source.file.windows"]', '["source.file.windows", "source.file.good"]')
        .replace("inline = [var.upload]", 'inline = ["touch uploaded-$PACKER_BUILD_NAME"]')
        + f'source "file" "good" {{\n  source = "{SAMPLES / GOOD}"\n  target = "good.vhdx"\n}}\n'
    )
    ran = packer.build(both, BAD, "-force")
    assert ran.code == 1
    assert sorted(path.name for path in packer.folder.glob("uploaded-*")) == ["uploaded-good"]
    assert "good (shell-local): DEPLOYABLE  good.vhdx" in ran.text
    assert f"windows (shell-local): UNDEPLOYABLE  {DISK}" in ran.text


# --- what the obvious recipes do -----------------------------------------------------------------

Step = dict[str, Any]
MANIFEST: Step = {"type": "manifest"}
UPLOAD: Step = {"type": "shell-local", "inline": ["{{user `upload`}}"]}


def gate(command: str = PLAIN_GATE, **more: Any) -> Step:
    """A step that runs the command."""
    return {"type": "shell-local", "name": "gate", "inline": [command], **more}


def artifice(*files: str, **more: Any) -> Step:
    """A step that declares the artifact to be these files."""
    return {"type": "artifice", "files": list(files), **more}


@dataclass(frozen=True)
class Recipe:
    """Sequences of post-processors, and what happens to the image."""

    words: str
    """As the documentation describes it."""
    chains: tuple[list[Step], ...]
    sample: str
    code: int
    kept: bool
    uploaded: bool | None
    """None where there is no such step."""
    options: tuple[str, ...] = ()

    @property
    def row(self) -> str:
        """Its row in the documentation's table."""
        image = "kept" if self.kept else "**deleted**"
        upload = {None: "–", True: "**runs**" if self.sample != GOOD else "runs", False: "does not run"}
        why = {GOOD: "good", BAD: "bad", CORRUPT: "unreadable"}[self.sample]
        return f"| {self.words} | {why} | {self.code} | {image} | {upload[self.uploaded]} |"


RECIPES = (
    Recipe("manifest → gate → upload", ([MANIFEST, gate(GATE), UPLOAD],), BAD, 1, True, False),
    Recipe("manifest → gate → upload", ([MANIFEST, gate(GATE), UPLOAD],), GOOD, 0, True, True),
    Recipe("gate alone", ([gate()],), BAD, 1, False, None),
    Recipe("gate → upload", ([gate(), UPLOAD],), BAD, 1, False, False),
    Recipe(
        "gate with `keep_input_artifact = true` → upload",
        ([gate(keep_input_artifact=True), UPLOAD],),
        BAD,
        1,
        False,
        False,
    ),
    Recipe(
        "gate → upload, with `packer build -on-error=abort`",
        ([gate(), UPLOAD],),
        BAD,
        1,
        False,
        False,
        ("-on-error=abort",),
    ),
    Recipe("gate → manifest", ([gate(), MANIFEST],), BAD, 1, False, None),
    Recipe("gate; manifest → upload (two sequences)", ([gate()], [MANIFEST, UPLOAD]), BAD, 1, True, True),
    Recipe("manifest → gate; upload (two sequences)", ([MANIFEST, gate()], [UPLOAD]), BAD, 1, True, True),
    Recipe(
        "gate where the command is not installed", ([gate("image-validater check")],), GOOD, 1, False, None
    ),
    Recipe(
        "manifest → `image-validator … \\| tee log` → upload",
        ([MANIFEST, gate(f"{GATE} | tee log"), UPLOAD],),
        BAD,
        0,
        True,
        True,
    ),
    Recipe(
        "manifest → gate with `valid_exit_codes = [0, 3]` → upload",
        ([MANIFEST, gate(GATE, valid_exit_codes=[0, 3]), UPLOAD],),
        CORRUPT,
        0,
        True,
        True,
    ),
    Recipe(
        "manifest → gate → upload, with `packer build -except=gate`",
        ([MANIFEST, gate(GATE), UPLOAD],),
        BAD,
        0,
        True,
        False,
        ("-except=gate",),
    ),
    Recipe("compress → gate → upload", ([{"type": "compress"}, gate(), UPLOAD],), BAD, 1, False, False),
    Recipe(
        "artifice with `keep_input_artifact = false` on the builder's own file → upload",
        ([artifice(DISK, keep_input_artifact=False), UPLOAD],),
        GOOD,
        0,
        False,
        True,
    ),
    Recipe(
        "artifice with a pattern that matches nothing → upload",
        ([artifice("output-windows/*.vhd"), UPLOAD],),
        BAD,
        0,
        True,
        True,
    ),
    Recipe(
        "artifice with a pattern that matches nothing → manifest → gate → upload",
        ([artifice("output-windows/*.vhd"), MANIFEST, gate(GATE), UPLOAD],),
        GOOD,
        1,
        True,
        False,
    ),
)


@functools.cache
def documented() -> str:
    """The page about Packer."""
    return (ROOT / "docs" / "ci" / "packer.md").read_text()


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda recipe: f"{recipe.words} {recipe.sample}")
def test_recipes_do_what_the_documentation_says(packer: Packer, recipe: Recipe) -> None:
    """Measured here, row by row of the page's table."""
    ran = packer.build(packer.template(*recipe.chains), recipe.sample, *recipe.options)
    assert ran[:3] == (recipe.code, recipe.kept, bool(recipe.uploaded)), ran.text
    assert recipe.row in documented()


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("    # Only what", "  }\n  post-processors {\n    # Only what"),
        ('    # The gate.\n    post-processor "shell-local" {', '\\g<0>\n      except = ["file.windows"]'),
    ],
    ids=["two sequences", "except in the gate"],
)
def test_the_recipe_taken_apart_uploads_what_is_bad(packer: Packer, old: str, new: str) -> None:
    """In HCL2: the upload in a sequence of its own, and a gate that skips itself."""
    template = packer.folder / "template.pkr.hcl"
    changed, times = re.subn(old, new, (EXAMPLES / "file.pkr.hcl").read_text())
    assert times == 1
    template.write_text(changed)
    ran = packer.build(template, BAD)
    assert ran[1:3] == (True, True), ran.text


def test_no_row_is_documented_that_is_not_measured() -> None:
    """The table has no other rows."""
    rows = re.findall(r"^\|.*\| (?:good|bad|unreadable) \|.*$", documented(), re.MULTILINE)
    assert rows == [recipe.row for recipe in RECIPES]


# --- the examples --------------------------------------------------------------------------------

VARIABLES = ("-var", "iso_url=file:///dev/null", "-var", "iso_checksum=none", "-var", "winrm_password=x")


@pytest.mark.parametrize("template", ["hyperv/windows.pkr.hcl", "qemu/windows.pkr.hcl", "hyperv.json"])
def test_examples_with_hypervisors_are_valid(packer: Packer, template: str) -> None:
    """Packer's own word, with the builders that it brings; nothing is built."""
    for name in ("autounattend.xml", "autounattend.iso"):
        (packer.folder / name).touch()
    done = packer("validate", *VARIABLES, EXAMPLES / template)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("template", sorted(EXAMPLES.rglob("*.hcl")), ids=lambda path: path.parent.name)
def test_examples_are_formatted(packer: Packer, template: Path) -> None:
    """As `packer fmt` writes them, which also parses what only newer ones understand."""
    done = packer("fmt", "-check", template)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    "template", sorted(EXAMPLES.rglob("windows.pkr.hcl")), ids=lambda path: path.parent.name
)
def test_plugins_are_required_in_files_of_their_own(template: Path) -> None:
    """Packer 1.6 knows no such block: without the file beside it, a template is valid there as well."""
    plugins = (template.parent / "plugins.pkr.hcl").read_text()
    assert re.search(rf"required_plugins {{\s+{template.parent.name} = {{\s+source ", plugins)
    assert "required_plugins" not in template.read_text()


def sequences(template: Mapping[str, Any]) -> list[list[Step]]:
    """The post-processors of a JSON template."""
    return [step if isinstance(step, list) else [step] for step in template["post-processors"]]


@pytest.mark.parametrize("template", ["file.json", "hyperv.json"])
def test_json_examples_have_one_sequence_with_the_gate_before_the_upload(template: str) -> None:
    """The shape that was measured above."""
    (steps,) = sequences(json.loads((EXAMPLES / template).read_text()))
    assert [each["type"] for each in steps] == ["manifest", "shell-local", "shell-local"]
    assert "--packer-manifest packer-manifest.json" in steps[1]["inline"][0]
