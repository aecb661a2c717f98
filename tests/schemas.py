"""Schemas that hosts and committees published; they are not part of this repository."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from tests.conftest import CORPUS_VARIABLE


def published(name: str) -> Path:
    """A file of the folder `schemas` beside the corpus; a test that needs it is skipped without."""
    folder = os.environ.get(CORPUS_VARIABLE)
    if not folder:
        pytest.skip(f"{CORPUS_VARIABLE} does not name a folder with the published schemas")
    return Path(folder) / "schemas" / name


def obeys(data: Any, name: str) -> None:
    """Fail with the places that break a published JSON Schema, in the dialect that it names."""
    schema = json.loads(published(name).read_text(encoding="utf-8"))
    validator = jsonschema.validators.validator_for(schema)(schema)
    found = [f"{error.json_path}: {error.message[:200]}" for error in validator.iter_errors(data)]
    assert not found, found[:10]
