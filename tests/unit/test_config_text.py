"""Any text in a config is the same in the specs of its jobs and in the config written out, or one line."""

from __future__ import annotations

import copy
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from example_study import CONFIG
from example_study import spec as told
from hypothesis import HealthCheck, given, settings
from test_data_faults import anything, is_text

from palimpsest.errors import UserError
from palimpsest.provenance.canonical import canonical_json
from palimpsest.study.description import config_text, describe_study, resolve_config
from palimpsest.study.files import read_file
from palimpsest.study.study import Study

SWEEP = settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))


@pytest.fixture(autouse=True)
def _nothing_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@SWEEP
@given(text=anything)
def test_any_text(text: str) -> None:
    config = copy.deepcopy(CONFIG)
    config["description"] = text
    config["models"]["tiny"]["prompt"] = {"template": f"{text}{{question}}", "answer_prefix": text}
    config["suites"]["lm-eval"]["tasks"] = [{"task": "own", "doc_to_text": text, "metadata": {text: [text]}}]
    if not is_text(text):
        with pytest.raises(UserError) as caught:
            Study(config)
        assert len(str(caught.value).splitlines()) == 1
        return
    study = Study(config)
    spec = told(study, "tofu/tiny/base")["model"]
    assert (spec["prompt"]["template"], spec["prompt"]["answer_prefix"]) == (f"{text}{{question}}", text)
    assert describe_study(study)["description"] == text
    resolved = canonical_json(resolve_config(study))
    Path("own.yaml").write_text(config_text(json.loads(resolved)), encoding="utf-8")
    assert canonical_json(read_file(Path("own.yaml"))) == resolved


def test_the_config_is_printed_whole() -> None:
    text = "a\x00b\x7f\x85\u2028\ufeff\U0001f600\te\u0301 'quoted' \"twice\" # no comment: {x}"
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[2] / "src")}
    command = [sys.executable, "-m", "palimpsest.study.publish", "resolved", json.dumps({"description": text})]
    done = subprocess.run(command, env=environment, capture_output=True, encoding="utf-8", check=True)
    assert yaml.safe_load(done.stdout) == {"description": text}


def test_a_config_of_any_size_is_printed() -> None:
    """Linux refuses an argument of 128 KiB."""
    root = Path(__file__).resolve().parents[2]
    environment = {**os.environ, "PYTHONPATH": str(root / "src")}
    text = json.dumps({"description": "x" * 300_000})
    command = [sys.executable, "-m", "palimpsest.study.publish", "resolved", "-"]
    done = subprocess.run(command, env=environment, input=text, capture_output=True, encoding="utf-8", check=True)
    assert yaml.safe_load(done.stdout) == json.loads(text)
    rule = (root / "workflow/rules/report.smk").read_text()
    assert rule.count("{params.config:q}") == rule.count("printf %s {params.config:q} |") == 2
