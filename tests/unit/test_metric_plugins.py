"""A metric of another package, declared by an entry point: one function, and its number stands beside our own."""

import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from run_example import Results, attack_rows, identity, items, suite_rows, trajectory_rows, value

from palimpsest.benchmarks.suites import scoring_modules
from palimpsest.report.pages import declared_metrics, page_modules
from palimpsest.report.tables import columns_of

RUN = {"benchmark": "tofu", "split": "forget05", "model": "tiny", "seed": 0}
METRIC = """
from palimpsest.evaluation.metric import Metric

def longest(sets):
    return float(sets["forget"].rows["answer_tokens"].max())

def excess(sets, retrain):
    return float(sets["forget"].answer.mean() - retrain["forget"].answer.mean())

LONGEST = Metric("forget_longest", longest, "Longest answer")
EXCESS = Metric("forget_excess", excess, "Excess loss", best="nearest 0", needs="retrain")
"""
ENTRY_POINTS = """
[palimpsest.metrics]
tofu.forget_longest = outside_metrics:LONGEST
tofu.forget_excess = outside_metrics:EXCESS
muse.nothing = outside_metrics:MISSING
"""


@pytest.fixture
def outside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A package on the path that brings two metrics of TOFU, and one of MUSE that is not looked at here."""
    folder = tmp_path / "site"
    info = folder / "outside_metrics-1.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: outside-metrics\nVersion: 1\n", encoding="utf-8")
    (info / "entry_points.txt").write_text(ENTRY_POINTS, encoding="utf-8")
    (folder / "outside_metrics.py").write_text(METRIC, encoding="utf-8")
    monkeypatch.syspath_prepend(folder)
    monkeypatch.delitem(sys.modules, "outside_metrics", raising=False)


@pytest.mark.usefixtures("outside")
def test_its_numbers_stand_beside_ours_for_models_epochs_and_attacks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    study, rng = Results(tmp_path / "results"), np.random.default_rng(8)
    for method, variant in (("original", ""), ("retrain", ""), ("npo", "default")):
        study.evaluate(identity(method, variant), suite_rows(rng, 0.2))
    study.watch(identity("npo", "default", suite="tofu"), trajectory_rows(rng, range(2)))
    study.attack(identity("npo", "default", attack="random"), attack_rows(rng, 2))
    numbers = pd.read_parquet(study.score(monkeypatch, RUN) / "scores.parquet")

    def loss(rows: pd.DataFrame) -> float:
        return float((rows["answer_nll"] / rows["answer_tokens"]).mean())

    npo, retrain = items(study, "npo", "default"), items(study, "retrain")
    folder = study.folder(identity("npo", "default"))
    watched, attacked = (pd.read_parquet(folder / name / "items.parquet") for name in ("model", "attack/random"))
    watched = watched[(watched["epoch"] == 1) & (watched["set"] == "forget")]
    attacked = attacked[(attacked["epoch"] == 3) & attacked["id"].isin(retrain["id"])]
    draws = [loss(rows) - loss(retrain) for _, rows in attacked.groupby("draw")]

    assert value(numbers, "forget_longest", "npo") == npo["answer_tokens"].max()
    assert value(numbers, "forget_excess", "npo") == pytest.approx(loss(npo) - loss(retrain))
    assert value(numbers, "forget_excess", "retrain") == 0
    assert value(numbers, "forget_excess", "npo", epoch=1) == pytest.approx(loss(watched) - loss(retrain))
    assert value(numbers, "forget_excess", "npo", attack="random", epoch=3) == pytest.approx(np.mean(draws))
    assert value(numbers, "forget_excess_sd", "npo", attack="random", epoch=3) == pytest.approx(np.std(draws, ddof=1))


@pytest.mark.usefixtures("outside")
def test_the_code_digest_of_scores_names_its_module() -> None:
    assert scoring_modules("tofu") == ["palimpsest.benchmarks.tofu.scores", "outside_metrics"]
    assert scoring_modules("lm-eval") == ["palimpsest.evaluation.lm_eval.scores"]


@pytest.mark.usefixtures("outside")
def test_its_label_is_a_column_of_the_report_whose_code_digest_has_its_module() -> None:
    columns = {column.key: column for column in columns_of(declared_metrics({"tofu"}))}
    assert (columns["forget_excess"].head, columns["forget_excess"].best) == ("Excess loss", "nearest 0")
    assert "outside_metrics" in page_modules()
