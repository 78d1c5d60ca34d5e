"""The scores of one run of texts, through the stage's command line."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from muse_example import READ, SAID, WORDS, Texts, answer_of, muse_rows, place
from run_example import RUN, refusal, value

from palimpsest.benchmarks.muse.scores import completed
from palimpsest.evaluation.items import TABLE, keyed, write_table
from palimpsest.evaluation.lm_eval.suite import SCHEMA
from palimpsest.metrics.privacy import membership_auc
from palimpsest.scores.columns import COLUMNS, EXAMPLE_COLUMNS, PROMPT_COLUMNS, TRUTH_RATIO_COLUMNS, WEIGHT_COLUMNS
from palimpsest.stages import scores as stage

METRICS = {"verbmem_f", "knowmem_f", "knowmem_r", "auc_min_k", "privleak"}
HOME = {name: place("original", "")[name] for name in RUN}
MODELS = {("original", ""): (-2.0, 0.9), ("retrain", ""): (0.0, 0.3), ("npo", "default"): (1.5, 0.1)}


@pytest.fixture
def study(tmp_path: Path) -> Texts:
    """Three models, one of them watched over three epochs."""
    results = Texts(tmp_path / "results")
    rng = np.random.default_rng(5)
    for (method, variant), (gap, rouge) in MODELS.items():
        results.evaluate_texts(place(method, variant), muse_rows(rng, gap, rouge))
    results.watch_texts(place("npo", "default", suite="muse"), [muse_rows(rng, gap) for gap in (-2.0, 0.0, 1.5)])
    return results


def run_stage(
    study: Texts,
    monkeypatch: pytest.MonkeyPatch,
    run: dict[str, Any] = HOME,
    retrain: Path | None = None,
    auc: float | None = None,
) -> Path:
    spec, inputs = study.spec(run, auc)
    own = study.folder(place("retrain", "") | run) / "eval" / "muse"
    if retrain or own in [path for _, path in inputs]:
        inputs.append(("retrain:seed0/muse", retrain or own))
    return study.stage(monkeypatch, stage, spec, inputs, study.run_folder(run) / "scores")


def numbers(*args: Any, **more: Any) -> pd.DataFrame:
    return pd.read_parquet(run_stage(*args, **more) / "scores.parquet")


def losses(rows: pd.DataFrame) -> tuple[Any, Any]:
    members, nonmembers = (rows.loc[rows["set"] == name, "min_k_loss"].to_numpy() for name in READ)
    return members, nonmembers


def table_of(study: Texts, method: str, variant: str = "") -> pd.DataFrame:
    return completed(pd.read_parquet(study.folder(place(method, variant)) / "eval" / "muse" / "items.parquet"))


def test_every_model_has_its_numbers_and_their_intervals(study: Texts, monkeypatch: pytest.MonkeyPatch) -> None:
    scores = numbers(study, monkeypatch)
    assert list(scores.columns) == COLUMNS
    finished = scores[scores["epoch"].isna()]
    assert set(finished["suite"]) == {"muse"}
    assert set(finished["metric"]) == METRICS | {f"{metric}_{end}" for metric in METRICS for end in ("low", "high")}
    retrain = membership_auc(*losses(table_of(study, "retrain")))
    for method, variant in MODELS:
        rows = table_of(study, method, variant)
        for metric, name in (("verbmem_f", "verbatim"), ("knowmem_f", "knowledge_forget"), ("knowmem_r", "knowledge_retain")):
            expected = 100 * rows.loc[rows["set"] == name, "rouge_l_f"].mean()
            assert value(scores, metric, method) == pytest.approx(expected)
        auc = membership_auc(*losses(rows))
        assert value(scores, "auc_min_k", method) == pytest.approx(auc)
        assert value(scores, "privleak", method) == pytest.approx((auc - retrain) / retrain * 100)
        for metric in METRICS:
            low, high = (value(scores, f"{metric}_{end}", method) for end in ("low", "high"))
            assert low <= value(scores, metric, method) <= high
            assert (low == high) == (method == "retrain" and metric == "privleak")
    assert value(scores, "privleak", "original") < -50 < 50 < value(scores, "privleak", "npo")


def test_an_epoch_of_a_trajectory_has_them_too_and_its_divergence(study: Texts, monkeypatch: pytest.MonkeyPatch) -> None:
    out = run_stage(study, monkeypatch)
    scores = pd.read_parquet(out / "scores.parquet")
    watched = scores[scores["epoch"].notna()]
    every = METRICS | {f"{metric}_{end}" for metric in METRICS for end in ("low", "high")} | {"kl_forget", "kl_retain"}
    assert {epoch: set(rows["metric"]) for epoch, rows in watched.groupby("epoch")} == {0: every, 1: every, 2: every}
    at = completed(pd.read_parquet(study.folder(place("npo", "default")) / "model" / "items.parquet"))
    for epoch in range(3):
        auc = membership_auc(*losses(at[at["epoch"] == epoch]))
        assert value(scores, "auc_min_k", "npo", epoch=epoch) == pytest.approx(auc)
        assert value(scores, "kl_forget", "npo", epoch=epoch) == 0.5 * epoch
    weights = pd.read_parquet(out / "weights.parquet")
    assert list(weights.columns) == WEIGHT_COLUMNS
    assert weights[["method", "epoch", "id", "weight"]].to_numpy().tolist() == [["npo", 1, "t/0", 0.5]]


def test_the_published_auc_of_retrain_is_another_measure(study: Texts, monkeypatch: pytest.MonkeyPatch) -> None:
    assert not numbers(study, monkeypatch)["metric"].str.startswith("privleak_published").any()
    scores = numbers(study, monkeypatch, auc=0.4772)
    for method, _ in MODELS:
        auc = value(scores, "auc_min_k", method)
        assert value(scores, "privleak_published", method) == pytest.approx((auc / 0.4772 - 1) * 100)
    assert value(scores, "privleak", "retrain") == 0 != value(scores, "privleak_published", "retrain")


def test_a_run_of_another_split_is_judged_by_the_shared_retrain(
    study: Texts, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = muse_rows(np.random.default_rng(1), 1.0)
    study.evaluate_texts(place("npo", "default", split="scale2"), rows)
    other = HOME | {"split": "scale2"}
    line = refusal(lambda: run_stage(study, monkeypatch, other), capsys)
    assert line == "palimpsest scores: no Retrain was given (--in retrain=), but privleak of suite muse needs it"
    retrain = study.folder(place("retrain", "")) / "eval" / "muse"
    scores = numbers(study, monkeypatch, other, retrain)
    assert set(scores["method"]) == {"npo"}
    retrain_auc = membership_auc(*losses(table_of(study, "retrain")))
    auc = membership_auc(*losses(completed(pd.DataFrame(rows))))
    assert value(scores, "privleak", "npo") == pytest.approx((auc / retrain_auc - 1) * 100)
    # Given beside the evaluation that it is, it changes nothing.
    pd.testing.assert_frame_equal(numbers(study, monkeypatch), numbers(study, monkeypatch, HOME, retrain))


def test_a_run_of_wmdp_has_the_numbers_of_its_tasks_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    study = Texts(tmp_path / "results")
    run = HOME | {"benchmark": "wmdp-world"}
    for method, variant, acc in (("original", "", 0.5), ("rmu", "default", 0.25)):
        of = place(method, variant) | run
        folder = study.folder(of) / "eval" / "lm"
        numbers = [{"task": task, "metric": "acc", "value": value} for task, value in (("hazards", acc), ("general", 0.75))]
        write_table(folder / TABLE, numbers, SCHEMA)
        study.seal("eval", of, folder)
    out = run_stage(study, monkeypatch, run)
    scores = pd.read_parquet(out / "scores.parquet")
    assert scores[["method", "suite", "metric", "value"]].to_numpy().tolist() == [
        ["original", "lm", "hazards/acc", 0.5],
        ["original", "lm", "general/acc", 0.75],
        ["rmu", "lm", "hazards/acc", 0.25],
        ["rmu", "lm", "general/acc", 0.75],
    ]
    for name, columns in (("truth_ratios", TRUTH_RATIO_COLUMNS), ("examples", EXAMPLE_COLUMNS), ("prompts", PROMPT_COLUMNS)):
        table = pd.read_parquet(out / f"{name}.parquet")
        assert table.empty and list(table.columns) == columns
    artefacts = pd.read_csv(out / "artefacts.csv")
    assert artefacts["manifest"].tolist() == [
        "wmdp-world/tiny/forget/seed0/original/eval/lm/manifest.json",
        "wmdp-world/tiny/forget/seed0/unlearn/rmu/default/eval/lm/manifest.json",
    ]


def test_an_attack_on_hazards_has_the_numbers_of_its_tasks_without_a_retrain(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = Texts(tmp_path / "results")
    run = HOME | {"benchmark": "wmdp-world"}
    folder = study.folder(place("original", "") | run) / "eval" / "lm"
    write_table(folder / TABLE, [{"task": "hazards", "metric": "acc", "value": 0.5}], SCHEMA)
    study.seal("eval", place("original", "") | run, folder)
    of = place("rmu", "default") | run | {"attack": "relearn-random"}
    folder = study.folder(of) / "attack" / "relearn-random"
    asked = [
        {"draw": draw, "epoch": epoch, "task": "hazards", "metric": "acc", "value": 0.25 + epoch * (1 + draw) / 8}
        for draw in (0, 1)
        for epoch in (0, 1)
    ]
    write_table(folder / TABLE, asked, keyed(SCHEMA, "draw", "epoch"))
    study.seal("attack", of, folder)
    study.attacked_by = ["lm"]
    scores = pd.read_parquet(run_stage(study, monkeypatch, run) / "scores.parquet")
    along = scores[scores["attack"] == "relearn-random"].set_index(["epoch", "metric"])["value"]
    assert along.to_dict() == {
        (0, "hazards/acc"): 0.25,
        (0, "hazards/acc_sd"): 0.0,
        (1, "hazards/acc"): 0.4375,
        (1, "hazards/acc_sd"): pytest.approx(0.125 / 2**0.5),
    }


def test_a_collapsed_model_has_no_number_of_its_losses(study: Texts, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(6)
    study.evaluate_texts(place("npo", "default"), [row | {"losses": [math.nan]} for row in muse_rows(rng, 0.0, 0.0)])
    endless = [row | ({"losses": [math.inf]} if row["set"] == "members" else {}) for row in muse_rows(rng, 0.0)]
    study.evaluate_texts(place("simnpo", "default"), endless)
    scores = numbers(study, monkeypatch)
    own = scores[(scores["method"] == "npo") & scores["epoch"].isna()]
    assert {metric.removesuffix("_low").removesuffix("_high") for metric in own["metric"]} == {
        "verbmem_f",
        "knowmem_f",
        "knowmem_r",
    }
    # Losses without end are above all others.
    assert value(scores, "auc_min_k", "simnpo") == 1
    assert np.isfinite(scores["value"]).all()


def test_examples_are_excerpts_and_questions_that_all_were_given(study: Texts, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [row for row in muse_rows(np.random.default_rng(7), 0.0) if (row["set"], row["id"]) != ("verbatim", "0")]
    study.evaluate_texts(place("npo", "default"), rows)
    examples = pd.read_parquet(run_stage(study, monkeypatch) / "examples.parquet")
    assert list(examples.columns) == EXAMPLE_COLUMNS
    assert examples.groupby(["method", "set"]).size().to_dict() == {
        (method, name): 4 for method, _ in MODELS for name in ("forget", "retain")
    }
    of_each = [set(zip(rows["set"], rows["id"], strict=True)) for _, rows in examples.groupby("method")]
    assert of_each[0] == of_each[1] == of_each[2] and len(of_each[0]) == 8
    assert {id.partition("/")[0] for name, id in of_each[0] if name == "forget"} == {"verbatim", "knowledge_forget"}
    assert "verbatim/0" not in set(examples["id"])
    for row in examples.to_dict("records"):
        name, _, number = row["id"].partition("/")
        assert name in SAID and row["question"] == f"{name} {number}?" and row["answer"] == answer_of(int(number), WORDS)


@pytest.mark.parametrize("watched", [False, True])
def test_a_model_of_other_texts_than_retrain_is_refused(
    study: Texts, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], watched: bool
) -> None:
    rows = [row for row in muse_rows(np.random.default_rng(1), 0.0) if (row["set"], row["id"]) != ("members", "3")]
    if watched:
        study.watch_texts(place("npo", "default", suite="muse"), [rows])
    else:
        study.evaluate_texts(place("npo", "default"), rows)
    line = refusal(lambda: run_stage(study, monkeypatch), capsys)
    where = "model/items.parquet" if watched else "eval/muse/items.parquet"
    assert f"npo/default/{where}: other texts than Retrain in" in line and "retrain/eval/muse/items.parquet" in line


def test_a_retrain_without_the_suite_is_refused(
    study: Texts, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    study.evaluate_texts(place("npo", "default"), muse_rows(np.random.default_rng(1), 0.0), "few")
    line = refusal(lambda: run_stage(study, monkeypatch), capsys)
    assert line == "palimpsest scores: no Retrain was given (--in retrain=), but privleak of suite few needs it"


def test_a_table_that_is_none_of_the_suite_is_refused(
    study: Texts, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = study.folder(place("npo", "default")) / "eval" / "muse"
    table = pd.read_parquet(folder / "items.parquet").drop(columns="losses")
    table.to_parquet(folder / "items.parquet")
    study.seal("eval", place("npo", "default"), folder)
    assert "items.parquet: no column 'min_k_loss'" in refusal(lambda: run_stage(study, monkeypatch), capsys)


def test_the_tables_repeat_byte_by_byte(study: Texts, monkeypatch: pytest.MonkeyPatch) -> None:
    first = (run_stage(study, monkeypatch) / "manifest.json").read_bytes()
    assert (run_stage(study, monkeypatch) / "manifest.json").read_bytes() == first
