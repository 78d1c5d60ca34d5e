"""The metric and the claim of docs/extending.md, each applied to a copy of the package and run."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from extending import ROOT, shown
from run_example import suite_rows

METRIC = """
import json, sys
import pandas as pd
from palimpsest.benchmarks.tofu.items import sets_from_table
from palimpsest.benchmarks.tofu.scores import tofu_scores
print(json.dumps(tofu_scores(sets_from_table(pd.DataFrame(json.load(sys.stdin)), "here"))))
"""
CLAIM = """
import json, sys
from pathlib import Path
from question_example import evidence, judged, methods
from report_example import block, numbers
of = json.load(sys.stdin)
by_seed = {name: {seed: {"model_utility": value} for seed, value in enumerate(values)} for name, values in of.items()}
found = judged("seeds", evidence(Path(), numbers(by_seed), block(methods=methods(*of))))
print(json.dumps({text: [each.word for each in of_claim] for text, of_claim in found.items()}))
"""
CLAIMED = "SimNPO keeps more utility than GradDiff"


def run_changed(folder: Path, heading: str, program: str, given: Any) -> Any:
    """Run a program with a copy of the package that has the change of a section; it takes and gives JSON."""
    source = shutil.copytree(ROOT / "src", folder / "src", ignore=shutil.ignore_patterns("__pycache__"))
    subprocess.run(["git", "apply", "-"], cwd=folder, input=shown(heading), text=True, check=True)
    environment = os.environ | {"PYTHONPATH": f"{source}:{ROOT / 'tests/unit'}"}
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, cwd=folder, env=environment, input=json.dumps(given), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_a_metric_is_one_function_and_one_entry(tmp_path: Path) -> None:
    rows = suite_rows(np.random.default_rng(3), 1.5)
    right = [
        row["answer_nll"] / row["answer_tokens"] < min(np.divide(row["perturbed_nll"], row["perturbed_tokens"]))
        for row in rows
        if row["set"] == "forget"
    ]
    assert 0 < sum(right) < len(right)
    scores = run_changed(tmp_path, "A metric", METRIC, rows)
    assert scores["forget_accuracy"] == pytest.approx(sum(right) / len(right))


def test_a_claim_is_one_line(tmp_path: Path) -> None:
    low, high = [0.2, 0.3, 0.1, 0.2, 0.3, 0.1], [0.6, 0.9, 0.4, 0.5, 0.8, 0.7]
    assert run_changed(tmp_path / "holds", "A claim", CLAIM, {"graddiff": low, "simnpo": high})[CLAIMED] == ["holds"]
    assert run_changed(tmp_path / "fails", "A claim", CLAIM, {"graddiff": high, "simnpo": low})[CLAIMED] == ["does not hold"]
