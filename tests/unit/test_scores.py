"""The scores of one run, through the stage's command line: parts of the forget set, trajectories, and what is refused."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from run_example import (
    DISTANCE,
    MODELS,
    SIZES,
    Results,
    attack_rows,
    identity,
    items,
    log_x,
    probability,
    refusal,
    suite_rows,
    trajectory_rows,
    value,
)
from scipy.stats import ks_2samp

from palimpsest.benchmarks.tofu.items import sets_from_table
from palimpsest.benchmarks.tofu.scores import SCORING, tofu_scores
from palimpsest.evaluation.items import PROMPT_TABLE
from palimpsest.evaluation.metric import Metric
from palimpsest.metrics.parts import forget_parts
from palimpsest.provenance.manifest import MANIFEST
from palimpsest.scores import tables
from palimpsest.scores.columns import EXAMPLE_COLUMNS, IDENTITY, TRUTH_RATIO_COLUMNS, WEIGHT_COLUMNS
from palimpsest.stages import scores

RUN = {"benchmark": "tofu", "split": "forget05", "model": "tiny", "seed": 0}
PARTS = ("first_half", "second_half", "shortest", "longest")


@pytest.fixture
def study(tmp_path: Path) -> Results:
    """Four models, and a trajectory of one of them."""
    results = Results(tmp_path / "results")
    rng = np.random.default_rng(8)
    for level, (method, variant) in enumerate(MODELS, start=1):
        results.evaluate(identity(method, variant), suite_rows(rng, 0.1 * level))
    weights = [
        {"epoch": epoch, "id": f"forget-{i:02}", "tokens": 3 + i, "weight": epoch + i / 7} for epoch in (1, 2) for i in (0, 1)
    ]
    results.watch(identity("npo", "default", suite="tofu"), trajectory_rows(rng, range(3)), weights)
    return results


def table(
    study: Results, monkeypatch: pytest.MonkeyPatch, name: str = "scores", more: Sequence[tuple[str, Path]] = ()
) -> pd.DataFrame:
    return pd.read_parquet(study.score(monkeypatch, RUN, more) / f"{name}.parquet")


def test_parts_of_the_forget_set_are_scored_apart_against_the_same_items_of_retrain(
    study: Results, monkeypatch: pytest.MonkeyPatch
) -> None:
    numbers = table(study, monkeypatch)
    retrain = items(study, "retrain")
    by_length = sorted(zip(retrain["answer_tokens"], retrain["id"], strict=True))
    ids = {
        "first_half": {f"forget-{number:02}" for number in range(6)},
        "second_half": {f"forget-{number:02}" for number in range(6, 12)},
        "shortest": {name for _, name in by_length[:6]},
        "longest": {name for _, name in by_length[6:]},
    }
    for method, variant in MODELS:
        forget = items(study, method, variant)
        for part, chosen in ids.items():
            own, reference = (log_x(each[each["id"].isin(chosen)]) for each in (forget, retrain))
            assert len(own) == 6
            assert value(numbers, f"forget_quality_{part}", method) == pytest.approx(ks_2samp(own, reference).pvalue)
            part_probability = probability(forget[forget["id"].isin(chosen)])
            assert value(numbers, f"forget_probability_{part}", method) == pytest.approx(part_probability)
            ratio = np.mean([min(np.exp(x), np.exp(-x)) for x in own])
            assert value(numbers, f"forget_truth_ratio_{part}", method) == pytest.approx(ratio)
    # What holds on average: the two halves of either kind make up the whole.
    for halves in (PARTS[:2], PARTS[2:]):
        mean = np.mean([value(numbers, f"forget_probability_{part}", "npo") for part in halves])
        assert mean == pytest.approx(value(numbers, "forget_probability", "npo"))


@given(st.lists(st.integers(1, 4), max_size=9))
def test_short_and_long_share_out_the_set_in_any_order_of_rows(tokens: list[int]) -> None:
    rows = pd.DataFrame({"id": [f"q{i}" for i in range(len(tokens))], "half": None, "answer_tokens": tokens})
    parts = forget_parts(rows)
    shortest, longest = parts.get("shortest", []), parts.get("longest", [])

    assert sorted(shortest + longest) == sorted(rows["id"])
    assert len(shortest) - len(longest) == len(tokens) % 2
    length = dict(zip(rows["id"], tokens, strict=True))
    assert all((length[a], a) < (length[b], b) for a in shortest for b in longest)
    assert forget_parts(rows.iloc[::-1]) == parts
    assert set(parts) <= {"shortest", "longest"}


def test_a_suite_that_ends_within_the_first_half_has_no_second(study: Results, monkeypatch: pytest.MonkeyPatch) -> None:
    for method, variant in MODELS:
        rows = pd.read_parquet(study.items_path(identity(method, variant))).replace({np.nan: None}).to_dict("records")
        study.evaluate(identity(method, variant), [row for row in rows if row["half"] != 2])
    study.artefacts["trajectory"].clear()
    numbers = table(study, monkeypatch)

    assert value(numbers, "forget_quality_first_half", "npo") == value(numbers, "forget_quality", "npo")
    assert not numbers["metric"].str.endswith("second_half").any()
    assert value(numbers, "forget_quality_longest", "retrain") == 1


def test_a_trajectory_has_all_scores_and_the_divergence_of_each_epoch(study: Results, monkeypatch: pytest.MonkeyPatch) -> None:
    numbers = table(study, monkeypatch)
    watched = pd.read_parquet(study.folder(identity("npo", "default")) / "model" / "items.parquet")
    rows = numbers[(numbers["attack"] == "") & numbers["epoch"].notna()]

    assert set(rows["epoch"]) == {0, 1, 2}
    assert set(rows["suite"]) == {"tofu"}
    for epoch, at in watched.groupby("epoch"):
        retrain = sets_from_table(items(study, "retrain"), "Retrain")
        expected = tofu_scores(sets_from_table(at, "a trajectory"), retrain)
        forget = at[at["set"] == "forget"]
        assert expected["forget_quality"] == ks_2samp(log_x(forget), log_x(items(study, "retrain"))).pvalue
        expected |= {f"kl_{name}": epoch * far for name, far in DISTANCE.items()}
        here = rows[rows["epoch"] == epoch]
        assert dict(zip(here["metric"], here["value"], strict=True)) == pytest.approx(expected)
    assert rows.loc[rows["metric"] == "model_utility", "value"].min() > 0


def test_gradient_weights_are_kept_with_whose_they_are(study: Results, monkeypatch: pytest.MonkeyPatch) -> None:
    study.watch(identity("simnpo", "beta-2.5", suite="tofu"), trajectory_rows(np.random.default_rng(1), range(2, 3)))
    weights = table(study, monkeypatch, "weights")

    assert list(weights.columns) == WEIGHT_COLUMNS
    assert weights[IDENTITY].drop_duplicates().to_dict("records") == [identity("npo", "default")]
    assert weights["weight"].tolist() == [1, 1 + 1 / 7, 2, 2 + 1 / 7]
    assert weights["epoch"].tolist() == [1, 1, 2, 2]


def test_truth_ratios_of_all_items_are_kept(study: Results, monkeypatch: pytest.MonkeyPatch) -> None:
    ratios = table(study, monkeypatch, "truth_ratios")
    assert list(ratios.columns) == TRUTH_RATIO_COLUMNS
    assert len(ratios) == 4 * sum(SIZES.values())
    own = ratios[(ratios["method"] == "simnpo") & (ratios["set"] == "retain")]
    rows = items(study, "simnpo", "beta-2.5", name="retain")
    assert dict(zip(own["id"], own["truth_ratio"], strict=True)) == pytest.approx(
        dict(zip(rows["id"], np.exp(log_x(rows)), strict=True))
    )
    assert own["half"].isna().all()
    forget = ratios[(ratios["method"] == "simnpo") & (ratios["set"] == "forget")]
    assert forget["half"].tolist() == [1] * 6 + [2] * 6
    assert forget["answer_tokens"].tolist() == items(study, "simnpo", "beta-2.5")["answer_tokens"].tolist()


def test_examples_are_the_same_questions_for_all_models(study: Results, monkeypatch: pytest.MonkeyPatch) -> None:
    # One model was asked fewer questions: an example must be one that all were asked.
    rows = [row for row in suite_rows(np.random.default_rng(9), 0.2) if row["id"] != "retain-00"]
    study.evaluate(identity("original", ""), rows)
    # The models that a selection is judged by have another suite too, which comes first by name.
    for role in ("original", "retrain"):
        study.evaluate(identity(role, ""), suite_rows(np.random.default_rng(9), 0.2, SIZES | {"forget": 3}), "few")
    examples = table(study, monkeypatch, "examples")

    assert list(examples.columns) == EXAMPLE_COLUMNS
    ids = examples.groupby(IDENTITY)["id"].agg(tuple)
    assert len(ids) == 4
    assert ids.nunique() == 1
    chosen = ids.iloc[0]
    assert len(set(chosen)) == 8
    assert "retain-00" not in chosen
    assert {"forget-00", "forget-09"} <= set(chosen)
    assert examples["generation"].str.startswith("<b>said").all()
    assert set(examples["set"]) == {"forget", "retain"}


def test_samples_are_all_answers_with_their_numbers(study: Results, monkeypatch: pytest.MonkeyPatch) -> None:
    # An attacked model answers apart from the model before it, and is no example.
    study.evaluate(identity("npo", "default", attack="noise"), suite_rows(np.random.default_rng(3), 0.9))
    samples = table(study, monkeypatch, "samples")

    assert samples.groupby([*IDENTITY, "attack"]).size().unique().tolist() == [sum(SIZES.values())]
    assert len(samples) == 5 * sum(SIZES.values())
    own = samples[(samples["method"] == "simnpo") & (samples["set"] == "forget")]
    rows = items(study, "simnpo", "beta-2.5")
    assert own["probability"].mean() == pytest.approx(probability(rows))
    assert own["truth_ratio_log10"].tolist() == pytest.approx([x / np.log(10) for x in log_x(rows)])
    assert own["rouge_l_recall"].tolist() == rows["rouge_l_recall"].tolist()
    examples = table(study, monkeypatch, "examples")
    before = samples[(samples["method"] == "npo") & (samples["attack"] == "")].set_index("id")["generation"]
    shown = examples[examples["method"] == "npo"].set_index("id")["generation"]
    assert shown.to_dict() == before[shown.index].to_dict()


def test_truth_ratios_are_those_of_models_that_were_not_attacked(study: Results, monkeypatch: pytest.MonkeyPatch) -> None:
    before = table(study, monkeypatch, "truth_ratios")
    study.evaluate(identity("npo", "default", attack="noise"), suite_rows(np.random.default_rng(3), 0.9))
    assert len(table(study, monkeypatch, "truth_ratios")) == len(before) > 0


def test_an_id_of_two_samples_is_refused(
    study: Results, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = suite_rows(np.random.default_rng(9), 0.2)
    study.evaluate(identity("npo", "default"), [row | {"id": row["id"].replace("retain", "forget")} for row in rows])
    line = refusal(lambda: table(study, monkeypatch), capsys)
    assert "npo/default/eval/tofu/items.parquet: item forget-00 stands twice among the generated texts" in line


def test_a_suite_that_only_some_models_have_asks_nothing_of_the_others(study: Results, monkeypatch: pytest.MonkeyPatch) -> None:
    """The seeds that a selection is judged on have a suite more, and it judges no attack where it was not asked for."""
    few = SIZES | {"forget": 4}
    for role in ("original", "retrain"):
        study.evaluate(identity(role, ""), suite_rows(np.random.default_rng(9), 0.2, few), "few")
    study.evaluate(identity("retrain", "", 1), suite_rows(np.random.default_rng(10), 0.2))
    study.attack(identity("npo", "default", attack="random"), attack_rows(np.random.default_rng(2), 2))
    numbers = table(study, monkeypatch)

    assert numbers.loc[numbers["metric"] == "forget_quality_floor", "suite"].tolist() == ["tofu"]
    assert numbers.loc[(numbers["suite"] == "few") & (numbers["metric"] == "forget_quality"), "method"].tolist() == [
        "original",
        "retrain",
    ]
    assert set(numbers.loc[numbers["attack"] == "random", "suite"]) == {"tofu"}


def test_each_table_is_read_once(study: Results, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[Path] = []

    def note(path: Path) -> pd.DataFrame:
        read.append(path)
        return pd.read_parquet(path)

    for module in (scores, tables):
        monkeypatch.setattr(module, "read_frame", note)
    study.evaluate(identity("retrain", "", 1), suite_rows(np.random.default_rng(10), 0.2))
    study.attack(identity("npo", "default", attack="random"), attack_rows(np.random.default_rng(2), 2))
    study.score(monkeypatch, RUN)
    there = [path for path in study.root.glob("**/*.parquet") if path.parent.name != "scores"]
    # A model's prompt is shown once, from the first evaluation of its original.
    there = [path for path in there if path.name != PROMPT_TABLE or ("original" in path.parts and path.parent.name == "facts")]
    assert sorted(read) == sorted(there)


def test_an_attack_keeps_what_needs_no_retrain_if_retrain_diverged(study: Results, monkeypatch: pytest.MonkeyPatch) -> None:
    study.attack(identity("npo", "default", attack="random"), attack_rows(np.random.default_rng(3), 1))
    inputs = [(f"original:seed0/{path.name}", path) for of, path in study.artefacts["eval"] if of["method"] == "original"]

    def attacked() -> pd.DataFrame:
        scored = table(study, monkeypatch, more=inputs)
        return scored[(scored["attack"] == "random") & (scored["epoch"] == 2)].set_index("metric")["value"]

    before = attacked()
    manifest = study.items_path(identity("retrain", "")).with_name(MANIFEST)
    record = {"what": "loss is nan", "step": 3, "steps": 9}
    manifest.write_text(json.dumps({**json.loads(manifest.read_text()), "diverged": record}))
    after = attacked()
    assert "forget_probability" in after and "forget_quality" not in after
    # Of the same questions: the attack asks more than the suite.
    assert after.to_dict() == before[after.index].to_dict()


def test_over_several_draws_a_score_has_a_spread_and_no_interval(study: Results, monkeypatch: pytest.MonkeyPatch) -> None:
    metrics = [Metric("loss", lambda sets: sets["forget"].answer.mean(), interval=lambda sets: (0.0, 1.0))]
    monkeypatch.setattr("palimpsest.benchmarks.tofu.scores.SCORING", replace(SCORING, metrics=metrics))
    for attack, draws in (("shortest", 1), ("random", 3)):
        study.attack(identity("npo", "default", attack=attack), attack_rows(np.random.default_rng(3), draws))
    scored = table(study, monkeypatch)
    names = {attack: {*scored.loc[scored["attack"] == attack, "metric"]} for attack in ("shortest", "random")}
    assert names == {"shortest": {"loss", "loss_low", "loss_high"}, "random": {"loss", "loss_sd"}}


def test_a_run_without_its_retrain_is_refused(
    study: Results, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    study.artefacts["eval"] = [each for each in study.artefacts["eval"] if each[0]["method"] != "retrain"]
    line = refusal(lambda: study.score(monkeypatch, RUN), capsys)
    assert line == "palimpsest scores: no Retrain was given (--in retrain=), but forget_quality of suite tofu needs it"
    assert not (study.run_folder(RUN) / "scores").exists()


def test_a_model_of_other_questions_than_retrain_is_refused(
    study: Results, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = suite_rows(np.random.default_rng(1), 0.2)
    rows[3]["question"] = "forget another question?"
    study.evaluate(identity("npo", "default"), rows)
    line = refusal(lambda: study.score(monkeypatch, RUN), capsys)
    assert "seed0/unlearn/npo/default/eval/tofu/items.parquet: other forget questions than Retrain in" in line
    assert "seed0/retrain/eval/tofu/items.parquet: 1 of 12 only in one, such as 'forget another question?'" in line


def test_an_attack_that_misses_questions_of_the_suite_is_refused(
    study: Results, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [row for row in attack_rows(np.random.default_rng(2), 1) if row["id"] != "forget-03"]
    study.attack(identity("npo", "default", attack="shortest"), rows)
    line = refusal(lambda: study.score(monkeypatch, RUN), capsys)
    assert "npo/default/attack/shortest/items.parquet: other forget questions than Retrain in" in line
    assert "11 items against 12" in line


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        (lambda row: row["id"] != "forget-03", "other forget questions than Retrain in"),
        (lambda row: row["set"] != "forget", "no forget set, which forget quality needs"),
    ],
)
def test_a_trajectory_that_retrain_cannot_judge_is_refused(
    study: Results, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], rows: object, said: str
) -> None:
    assert callable(rows)
    watched = [row for row in trajectory_rows(np.random.default_rng(2), range(2)) if rows(row)]
    study.watch(identity("npo", "default", suite="tofu"), watched)
    line = refusal(lambda: study.score(monkeypatch, RUN), capsys)
    assert "npo/default/model/items.parquet" in line and said in line


def test_of_a_watched_training_the_curve_is_checked_and_not_the_weights(
    study: Results, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    of, folder = study.artefacts["trajectory"][0]
    weights, curve = folder / "model.safetensors", folder / "items.parquet"
    weights.write_bytes(b"weights")
    (folder / MANIFEST).unlink()
    study.seal("trajectory", of, folder)
    weights.write_bytes(b"damaged")
    assert (study.score(monkeypatch, RUN) / "scores.parquet").exists()
    curve.write_bytes(curve.read_bytes() + b"more")
    assert f"{curve}: sha256 is" in refusal(lambda: study.score(monkeypatch, RUN), capsys)


def test_a_watched_training_that_the_spec_does_not_name_is_refused(
    study: Results, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    spec = {"run": RUN, "suites": {}}
    given = [("trajectory:unlearn/npo/default", study.artefacts["trajectory"][0][1])]
    line = refusal(lambda: study.stage(monkeypatch, scores, spec, given, study.run_folder(RUN) / "scores"), capsys)
    assert "--in trajectory:unlearn/npo/default=: given, but not named by the spec" in line
