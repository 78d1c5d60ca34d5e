"""The summary of a small study, through the command lines of the stages `scores` and `summarise`, from tables written here."""

import copy
import math
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from example_study import CONFIG
from run_example import (
    MODELS,
    SIZES,
    Results,
    attack_rows,
    identity,
    items,
    log_x,
    probability,
    suite_rows,
    trajectory_rows,
    value,
)
from scipy.stats import ks_2samp

from palimpsest.audit.explain import find_number, trace
from palimpsest.names import ModelId
from palimpsest.provenance.manifest import content_of, read_manifest
from palimpsest.report.summary import SELECTION_COLUMNS
from palimpsest.scores.columns import (
    ARTEFACT_COLUMNS,
    COLUMNS,
    EXAMPLE_COLUMNS,
    LOSS_COLUMNS,
    PROMPT_COLUMNS,
    SAMPLE_COLUMNS,
    TRUTH_RATIO_COLUMNS,
    WEIGHT_COLUMNS,
)
from palimpsest.scores.remarks import undefined
from palimpsest.stages import summarise
from palimpsest.study.specs import spec_of
from palimpsest.study.stages import Artefacts, Node
from palimpsest.study.study import Study

TABLES = {
    "summary": COLUMNS,
    "truth_ratios": TRUTH_RATIO_COLUMNS,
    "samples": SAMPLE_COLUMNS,
    "examples": EXAMPLE_COLUMNS,
    "prompts": PROMPT_COLUMNS,
    "weights": WEIGHT_COLUMNS,
    "losses": LOSS_COLUMNS,
    "selections": SELECTION_COLUMNS,
}
NUMBERS = ["probability", "rouge_l_recall", "truth_ratio_log10", "extraction_strength"]


@pytest.fixture
def study(tmp_path: Path) -> Results:
    """Four models, two seeds, and two attacks on one model: one draw and three draws."""
    results = Results(tmp_path / "results")
    rng = np.random.default_rng(7)
    for seed in (0, 1):
        for level, (method, variant) in enumerate(MODELS, start=1):
            results.evaluate(identity(method, variant, seed), suite_rows(rng, 0.1 * level))
    for attack, draws in (("shortest", 1), ("random", 3)):
        results.attack(identity("npo", "default", 1, attack=attack), attack_rows(rng, draws))
    return results


def watch_and_select(study: Results, monkeypatch: pytest.MonkeyPatch) -> None:
    """Add trials of one method and the selection between them."""
    rng = np.random.default_rng(11)
    trials = []
    for variant in ("beta-2.5", "beta-4.5"):
        for seed in (0, 1):
            weights = [{"epoch": 1, "id": f"forget-{i:02}", "tokens": 3 + i, "weight": i / 7} for i in range(4)]
            study.watch(identity("simnpo", variant, seed, suite="tofu"), trajectory_rows(rng, range(3)), weights)
            trials.append(
                {"variant": variant, "run": f"tofu/seed{seed}", "training": {"epochs": 2}, "loss": {"beta": float(variant[5:])}}
            )
    study.select(
        monkeypatch,
        "simnpo",
        {"rule": {"keep": 0.0}, "suite": "tofu", "kind": "tofu", "trials": trials, "runs": ["tofu/seed0", "tofu/seed1"]},
    )


def test_every_number_is_the_one_its_definition_gives(study: Results, monkeypatch: pytest.MonkeyPatch) -> None:
    summary = pd.read_parquet(study.summarise(monkeypatch) / "summary.parquet")

    assert list(summary.columns) == COLUMNS
    for method, variant in MODELS:
        for seed in (0, 1):
            test = ks_2samp(log_x(items(study, method, variant, seed)), log_x(items(study, "retrain", seed=seed)))
            assert value(summary, "forget_quality", method, seed) == pytest.approx(test.pvalue, rel=1e-12)
            assert value(summary, "ks_statistic", method, seed) == pytest.approx(test.statistic, rel=1e-12)
            forget = items(study, method, variant, seed)
            assert value(summary, "forget_probability", method, seed) == pytest.approx(probability(forget))
            assert value(summary, "forget_rouge", method, seed) == pytest.approx(forget["rouge_l_recall"].mean())
            for metric in ("exact_memorisation", "extraction_strength"):
                assert value(summary, f"forget_{metric}", method, seed) == pytest.approx(forget[metric].mean())
            facts = items(study, method, variant, seed, "world_facts")
            utility = np.mean([max(0.0, 1 - math.exp(-x)) for x in log_x(facts)])
            assert value(summary, "world_facts_truth_ratio", method, seed) == pytest.approx(utility)
            sets, scores = ("retain", "real_authors", "world_facts"), ("probability", "rouge", "truth_ratio")
            parts = [value(summary, f"{name}_{score}", method, seed) for name in sets for score in scores]
            assert value(summary, "model_utility", method, seed) == pytest.approx(9 / sum(1 / part for part in parts))
    assert value(summary, "forget_quality", "retrain") == 1
    assert value(summary, "world_facts/acc", "npo", 1) == 0.375
    assert summary.loc[summary["metric"] == "world_facts/acc", "suite"].unique().tolist() == ["facts"]


def test_the_floor_is_what_the_other_seeds_of_retrain_give(study: Results, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(3)
    study.evaluate(identity("retrain", "", 2), suite_rows(rng, 0.3))
    study.evaluate(identity("retrain", "", 2, split="forget10"), suite_rows(rng, 0.3))
    summary = pd.read_parquet(study.summarise(monkeypatch) / "summary.parquet")
    floors = summary[summary["metric"] == "forget_quality_floor"]

    assert floors["method"].unique().tolist() == ["retrain"]
    # A lone seed, as that of forget10, has no floor.
    assert list(zip(floors["split"], floors["seed"], strict=True)) == [("forget05", seed) for seed in (0, 1, 2)]
    logs = [log_x(items(study, "retrain", seed=seed)) for seed in (0, 1, 2)]
    for seed, own in enumerate(logs):
        p_values = [ks_2samp(own, other).pvalue for other in logs if other is not own]
        assert floors["value"].iloc[seed] == pytest.approx(np.mean(p_values))
    assert floors["value"].nunique() == 2


def test_a_number_is_traced_to_all_that_it_was_compared_with(study: Results, monkeypatch: pytest.MonkeyPatch) -> None:
    study.evaluate(identity("retrain", "", 2), suite_rows(np.random.default_rng(3), 0.3))
    inputs = []
    for run in study.runs():
        original = study.items_path(identity("original", "", run["seed"])).parent
        more = [(f"original:seed{run['seed']}/tofu", original)] if original.exists() else []
        inputs.append((f"scores:{ModelId(**run).path}", study.score(monkeypatch, run, more)))
    study.stage(monkeypatch, summarise, {}, inputs, study.root / "summary")

    def traced(method: str) -> list[str]:
        row = find_number(study.root, "forget_quality", {"method": method, "seed": "0", "suite": "tofu"})
        return sorted(step.label for step in trace(study.root, row) if step.depth == 2)

    both = ["original:seed0/tofu", "retrain:seed0/tofu"]
    assert traced("npo") == ["eval:unlearn/npo/default/tofu", *both]
    others = ["other_retrains:seed1/tofu", "other_retrains:seed2/tofu"]
    assert traced("retrain") == sorted(["eval:retrain/tofu", *both, *others])


def test_attacks_have_mean_and_spread_over_draws(study: Results, monkeypatch: pytest.MonkeyPatch) -> None:
    summary = pd.read_parquet(study.summarise(monkeypatch) / "summary.parquet")
    retrain = log_x(items(study, "retrain", seed=1))
    for attack, draws in (("shortest", 1), ("random", 3)):
        table = pd.read_parquet(study.folder(identity("npo", "default", 1)) / "attack" / attack / "items.parquet")
        table = table[table["id"].isin(items(study, "retrain")["id"])]
        for epoch in range(4):
            at = [table[(table["epoch"] == epoch) & (table["draw"] == draw)] for draw in range(draws)]
            qualities = [ks_2samp(log_x(draw), retrain).pvalue for draw in at]
            for metric, values in (("forget_quality", qualities), ("forget_probability", [probability(draw) for draw in at])):
                place: dict[str, Any] = {"method": "npo", "seed": 1, "attack": attack, "epoch": epoch}
                assert value(summary, metric, **place) == pytest.approx(np.mean(values))
                if draws > 1:
                    assert value(summary, f"{metric}_sd", **place) == pytest.approx(np.std(values, ddof=1))
    lone = summary[summary["attack"] == "shortest"]
    assert {"forget_quality", "forget_probability", "forget_truth_ratio"} <= set(lone["metric"])
    assert not lone["metric"].str.endswith("_sd").any()
    assert set(lone["suite"]) == {"tofu"}


def test_an_undefined_number_has_no_row(study: Results, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = suite_rows(np.random.default_rng(5), 0.4)
    for row in rows:
        row["answer_nll"] = row["paraphrased_nll"] = float("nan")
        row["perturbed_nll"] = [float("nan")] * len(row["perturbed_nll"])
    study.evaluate(identity("npo", "default", 0), rows)
    summary = pd.read_parquet(study.summarise(monkeypatch) / "summary.parquet")

    assert np.isfinite(summary["value"]).all()
    broken = summary[(summary["method"] == "npo") & (summary["seed"] == 0)]
    assert set(broken["metric"]) == {
        *(f"{name}_rouge" for name in SIZES),
        "forget_exact_memorisation",
        "forget_extraction_strength",
        "forget_paraphrased_rouge",
        "forget_fluency",
        "world_facts/acc",
    }
    assert "world_facts/acc_stderr" not in set(summary["metric"])


def test_an_undefined_standard_error_is_not_told_of() -> None:
    place = {"seed": 0, "suite": "gsm8k", "epoch": None, "attack": ""}
    names = ("gsm8k/exact_match,strict-match", "gsm8k/exact_match_stderr,strict-match", "gsm8k/acc_stderr")
    assert undefined([(place, dict.fromkeys(names, math.nan))])["text"].tolist() == [
        "gsm8k/exact_match,strict-match of suite gsm8k is not defined"
    ]


def test_csv_and_parquet_hold_the_same_values(study: Results, monkeypatch: pytest.MonkeyPatch) -> None:
    watch_and_select(study, monkeypatch)
    out = study.summarise(monkeypatch, ("simnpo",))
    for name in ("summary", "selections"):
        # An empty name is a name; an empty epoch is none, nor is a score that only trials of texts have.
        types = {"epoch": pd.read_parquet(out / f"{name}.parquet")["epoch"].dtype}
        scores = ("privacy", "knowmem_r", "distance", "probability_retain", "knowledge_retain")
        none = {column: [""] for column in ("epoch", *scores, "forgotten", "recall_neighbour_questions")}
        read = pd.read_csv(out / f"{name}.csv", dtype=types, keep_default_na=False, na_values=none)
        pd.testing.assert_frame_equal(read, pd.read_parquet(out / f"{name}.parquet"), check_exact=True)
    header, first = (out / "summary.csv").read_text(encoding="utf-8").splitlines()[:2]
    assert header == "benchmark,split,model,seed,method,variant,attack,epoch,suite,metric,value"
    assert first.startswith("tofu,forget05,tiny,0,original,,,,facts,world_facts/acc,0.25")


def test_bytes_repeat_wherever_the_results_lie(study: Results, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    watch_and_select(study, monkeypatch)
    moved = Results(tmp_path / "elsewhere" / "deeper" / "results")
    shutil.copytree(study.root, moved.root)
    for kind, artefacts in study.artefacts.items():
        moved.artefacts[kind] = [(who, moved.root / folder.relative_to(study.root)) for who, folder in artefacts]
    first, second = (each.summarise(monkeypatch, ("simnpo",)) for each in (study, moved))

    files = {
        *(f"{name}.parquet" for name in TABLES),
        "summary.csv",
        "selections.csv",
        "artefacts.csv",
        "remarks.csv",
        "remarks.parquet",
        "manifest.json",
    }
    assert {path.name for path in first.iterdir()} == files | {"environment.json"}
    for name in files:
        assert (first / name).read_bytes() == (second / name).read_bytes(), name


def test_runs_stand_below_each_other_and_selections_with_their_reasons(study: Results, monkeypatch: pytest.MonkeyPatch) -> None:
    watch_and_select(study, monkeypatch)
    out = study.summarise(monkeypatch, ("simnpo",))
    folders = [study.run_folder(run) / "scores" for run in study.runs()]
    assert len(folders) == 2
    for name in ("summary", "truth_ratios", "samples", "examples", "prompts", "weights", "losses"):
        of_runs = "scores" if name == "summary" else name
        parts = [pd.read_parquet(folder / f"{of_runs}.parquet") for folder in folders]
        assert all(len(part) for part in parts)
        pd.testing.assert_frame_equal(pd.read_parquet(out / f"{name}.parquet"), pd.concat(parts, ignore_index=True))

    # The prompt is that of Original.
    prompts = pd.read_parquet(out / "prompts.parquet")
    assert prompts[["seed", "text", "label"]].to_numpy().tolist() == [
        [seed, *piece] for seed in (0, 1) for piece in (["Who?", False], ["original", True])
    ]

    selections = pd.read_parquet(out / "selections.parquet")
    trials = pd.read_parquet(study.root / "tofu" / "tiny" / "forget05" / "selection" / "simnpo" / "trials.parquet")
    assert list(selections.columns) == SELECTION_COLUMNS
    pd.testing.assert_frame_equal(selections[list(trials.columns)], trials)
    assert selections["method"].unique().tolist() == ["simnpo"]
    (reason,) = selections["reason"].unique()
    assert reason.startswith(f"{trials.loc[trials['selected'], 'variant'].item()} after epoch")


def test_without_trajectories_selections_and_runs_every_table_has_its_columns_and_types(
    study: Results, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    full = tmp_path / "full"
    watch_and_select(study, monkeypatch)
    shutil.copytree(study.summarise(monkeypatch, ("simnpo",)), full)
    study.artefacts["trajectory"].clear()
    plain = study.summarise(monkeypatch)
    empty = Results(tmp_path / "empty").summarise(monkeypatch)

    assert all(pd.read_parquet(plain / f"{name}.parquet").empty for name in ("weights", "losses"))
    for name, columns in TABLES.items():
        table, model = (pd.read_parquet(folder / f"{name}.parquet") for folder in (empty, full))
        assert table.empty
        assert list(table.columns) == columns
        # Samples of a suite of TOFU have its numbers too.
        assert list(model.columns) == columns + (NUMBERS if name == "samples" else [])
        assert table.dtypes.to_dict() == model[columns].dtypes.to_dict()
        assert not model.empty
    assert (empty / "artefacts.csv").read_text() == ",".join(ARTEFACT_COLUMNS) + "\n"
    assert (empty / "selections.csv").read_text() == ",".join(SELECTION_COLUMNS) + "\n"


def test_each_artefact_is_named_from_the_results_root(study: Results, monkeypatch: pytest.MonkeyPatch) -> None:
    watch_and_select(study, monkeypatch)
    artefacts = pd.read_csv(study.summarise(monkeypatch) / "artefacts.csv", keep_default_na=False)
    assert list(artefacts.columns) == ARTEFACT_COLUMNS
    assert artefacts["manifest"].iloc[0] == "tofu/tiny/forget05/seed0/original/eval/facts/manifest.json"
    assert artefacts["manifest"].iloc[-3] == "tofu/tiny/forget05/seed1/unlearn/npo/default/attack/shortest/manifest.json"
    assert artefacts["manifest"].iloc[-1] == "tofu/tiny/forget05/seed1/unlearn/simnpo/beta-4.5/model/manifest.json"
    # Of seed 0 four models evaluated by two suites and two trajectories, of seed 1 the attacks between them too.
    assert artefacts["attack"].tolist() == [""] * 18 + ["random", "shortest"] + [""] * 2
    for path, digest in zip(artefacts["manifest"], artefacts["sha256"], strict=True):
        assert content_of(read_manifest(study.root / path)) == digest


def test_the_command_line_of_summarise_does_not_grow_with_what_a_run_evaluates() -> None:
    """Its spec and inputs were one argument once, which ended at about 1,000 evaluations."""
    small = Study(CONFIG)
    config = copy.deepcopy(CONFIG)
    config["variants"]["tofu/*/*/simnpo"] |= {f"beta-{i}": {"beta": float(i)} for i in range(1, 301)}
    config["blocks"][0]["methods"] += [{"simnpo": [f"beta-{i}" for i in range(1, 301)]}]
    large = Study(config)
    node, artefacts = Node("summarise", ModelId("")), [Artefacts(study) for study in (small, large)]

    assert len(large.subjects.evaluated) == len(small.subjects.evaluated) + 600
    assert [label.partition(":")[0] for label in artefacts[0].inputs(node)] == ["scores", "scores"]
    assert spec_of(large, node) == spec_of(small, node)
    assert artefacts[1].inputs(node) == artefacts[0].inputs(node)
