"""The selection between trials: by hand, in general, and through the stage's command line."""

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from muse_example import Texts, muse_rows, place
from pydantic import ValidationError
from run_example import Results, identity, items, log_x, refusal, suite_rows, trajectory_rows
from scipy.stats import ks_2samp

from palimpsest.benchmarks.muse.scores import completed
from palimpsest.benchmarks.tofu.items import sets_from_table
from palimpsest.benchmarks.tofu.scores import tofu_scores
from palimpsest.metrics.privacy import membership_auc
from palimpsest.selection.rule import MEASURED, TRIAL_TYPES, compare_trials, explain_selection
from palimpsest.selection.settings import SelectionRule
from palimpsest.stages import select
from palimpsest.training.settings import UnlearnSettings

Row = tuple[str, int, int, float, float]
ORIGINAL = 0.6
# Trial, epoch, seed, forget quality, model utility. At 95 % of 0.6 a trial must keep 0.57.
ROWS: list[Row] = [
    ("weak", 1, 0, 0.10, 0.60),
    ("weak", 1, 1, 0.20, 0.58),
    ("weak", 2, 0, 0.50, 0.57),
    ("weak", 2, 1, 0.30, 0.58),
    ("strong", 1, 0, 0.60, 0.58),
    ("strong", 1, 1, 0.10, 0.60),
    ("strong", 2, 0, 0.90, 0.40),
    ("strong", 2, 1, 0.80, 0.40),
]


def compare(
    rows: Sequence[Row], variants: Sequence[str] = ("weak", "strong"), original: float = ORIGINAL, **rule: Any
) -> tuple[pd.DataFrame, pd.Series, str]:
    """Return the table, its selected row, and the reason."""
    settings = SelectionRule(**rule)
    table = compare_trials(pd.DataFrame(rows, columns=[*MEASURED, *settings.criteria]), variants, original, settings)
    (place,) = table.index[table["selected"]]
    return table, table.loc[place], explain_selection(table, settings)


def test_the_rule_by_hand() -> None:
    table, selected, reason = compare(ROWS)
    assert list(table.columns) == list(TRIAL_TYPES)
    assert list(zip(table["variant"], table["epoch"], strict=True)) == [("weak", 1), ("weak", 2), ("strong", 1), ("strong", 2)]
    assert table["forget_quality"].tolist() == pytest.approx([0.15, 0.4, 0.35, 0.85])
    assert table["model_utility"].tolist() == pytest.approx([0.59, 0.575, 0.59, 0.4])
    assert table["utility_share"].tolist() == pytest.approx([0.59 / 0.6, 0.575 / 0.6, 0.59 / 0.6, 0.4 / 0.6])
    assert table["eligible"].tolist() == [True, True, True, False]
    assert table["runs"].tolist() == [2] * 4
    assert (selected["variant"], selected["epoch"]) == ("weak", 2)
    assert reason == (
        "weak after epoch 2 has the highest mean forget quality, 0.4, among the 3 of 4 trials and epochs that keep 95% of "
        "Original's model utility; its model utility is 0.575, 0.958 of Original's (means over 2 runs)."
    )


def test_a_smaller_share_lets_the_strong_trial_in() -> None:
    _, selected, _ = compare(ROWS, keep=0.6)
    assert (selected["variant"], selected["epoch"]) == ("strong", 2)


def test_exactly_the_share_is_enough() -> None:
    table, *_ = compare([("weak", 1, 0, 0.1, 0.5), ("strong", 1, 0, 0.9, 0.25)], original=0.5, keep=0.5)
    assert table["eligible"].tolist() == [True, True]


def test_the_last_epoch_is_each_trials_own() -> None:
    table, selected, _ = compare([*ROWS, ("weak", 3, 0, 0.0, 0.6), ("weak", 3, 1, 0.0, 0.6)], epochs="last")
    assert list(zip(table["variant"], table["epoch"], strict=True)) == [("weak", 3), ("strong", 2)]
    assert (selected["variant"], selected["epoch"]) == ("weak", 3)


def test_utility_itself_can_be_the_aim() -> None:
    _, selected, reason = compare(ROWS, maximise="model_utility")
    # weak after epoch 1 and strong after epoch 1 have one mean, and weak is the earlier trial.
    assert (selected["variant"], selected["epoch"]) == ("weak", 1)
    assert reason == (
        "weak after epoch 1 has the highest mean model utility, 0.59, among the 3 of 4 trials and epochs that keep 95% of "
        "Original's model utility, 0.59, 0.983 of Original's (means over 2 runs)."
    )


def test_where_none_keeps_enough_the_highest_utility_is_selected_and_said() -> None:
    _, selected, reason = compare(ROWS, variants=("strong", "weak"), original=0.9)
    assert (selected["variant"], selected["epoch"]) == ("strong", 1)
    assert not selected["eligible"]
    assert reason == (
        "None of 4 trials and epochs keeps 95% of Original's model utility: strong after epoch 1 has the highest, "
        "0.59, 0.656 of Original's (means over 2 runs)."
    )


def test_the_model_before_unlearning_is_no_candidate() -> None:
    table, selected, _ = compare([("weak", 0, 0, 1.0, 1.0), ("weak", 1, 0, 0.1, 0.6)], variants=["weak"])
    assert table["epoch"].tolist() == [1]
    assert selected["epoch"] == 1


def test_ties_go_to_utility_then_to_the_earlier_trial_then_to_the_earlier_epoch() -> None:
    rows = [(variant, epoch, 0, 0.5, 0.6) for variant in ("b", "a") for epoch in (3, 1, 2)]
    _, selected, _ = compare(rows, variants=["b", "a"])
    assert (selected["variant"], selected["epoch"]) == ("b", 1)
    _, selected, _ = compare([*rows, ("c", 7, 0, 0.5, 0.61)], variants=["b", "a", "c"])
    assert (selected["variant"], selected["epoch"]) == ("c", 7)


@pytest.mark.parametrize("broken", [math.nan, math.inf])
def test_a_collapsed_trial_loses(broken: float) -> None:
    rows = [("weak", 1, 0, broken, 0.6), ("weak", 1, 1, 1.0, 0.6), ("strong", 1, 0, 0.0, 0.58), ("strong", 1, 1, 0.0, 0.58)]
    assert compare(rows)[1]["variant"] == "strong"
    rows = [("weak", 1, 0, 1.0, broken), ("weak", 1, 1, 1.0, 0.6), ("strong", 1, 0, 0.0, 0.0), ("strong", 1, 1, 0.0, 0.0)]
    assert compare(rows)[1]["variant"] == "strong"


def test_where_all_have_collapsed_the_first_is_taken_and_nothing_made_up() -> None:
    rows = [(variant, 1, 0, math.nan, math.nan) for variant in ("weak", "strong")]
    _, selected, reason = compare(rows, original=math.nan)
    assert selected["variant"] == "weak" and not selected["eligible"]
    assert "has the highest, undefined, undefined of Original's (one run)." in reason


SCORES = st.one_of(st.sampled_from([0.0, 0.25, 0.5, 1.0, math.nan]), st.floats(0, 1))
VARIANTS = ["b", "a", "c"]


@st.composite
def studies(draw: st.DrawFn) -> list[Row]:
    epochs = draw(st.integers(1, 3))
    seeds = draw(st.integers(1, 3))
    return [
        (variant, epoch, seed, draw(SCORES), draw(SCORES))
        for variant in VARIANTS
        for epoch in range(epochs + 1)
        for seed in range(seeds)
    ]


@settings(deadline=None)
@given(
    studies(),
    st.sampled_from([0.0, 0.3, 1.0, math.nan]),
    st.sampled_from(["forget_quality", "model_utility"]),
    st.sampled_from(["all", "last"]),
    st.randoms(use_true_random=False),
)
def test_the_selected_one_is_beaten_by_none_and_no_order_of_rows_counts(
    rows: list[Row], original: float, maximise: str, epochs: str, random: Any
) -> None:
    rule = {"maximise": maximise, "epochs": epochs, "keep": 0.9}
    table, selected, reason = compare(rows, VARIANTS, original, **rule)
    shuffled = random.sample(rows, len(rows))
    again, _, same = compare(shuffled, VARIANTS, original, **rule)
    pd.testing.assert_frame_equal(table, again, check_exact=True)
    assert reason == same and reason.count("\n") == 0

    assert selected["eligible"] == table["eligible"].any()
    pool = table[table["eligible"]] if selected["eligible"] else table
    aim = maximise if selected["eligible"] else "model_utility"
    at = [(row[aim], row["model_utility"]) for row in pool.to_dict("records")]
    beaten = [tuple(-1.0 if math.isnan(x) else x for x in scores) for scores in at]
    best = max(beaten)
    assert beaten[list(pool.index).index(selected.name)] == best
    # Of those that are as good it is the first, trials in their order and then epochs.
    assert selected.name == pool.index[beaten.index(best)]
    order = [(VARIANTS.index(row["variant"]), row["epoch"]) for row in table.to_dict("records")]
    assert order == sorted(order)


@pytest.mark.parametrize("wrong", [{"keep": 1.1}, {"keep": -0.1}, {"maximise": "rouge"}, {"epochs": "first"}])
def test_a_rule_that_there_is_not_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        SelectionRule(**wrong)


def test_a_trial_of_texts_is_selected_for_the_smallest_leak_on_either_side() -> None:
    # Trial, epoch, seed, -|PrivLeak| and KnowMem of the retain set.
    rows = [("weak", 1, 0, -80.0, 50.0), ("weak", 2, 0, -30.0, 48.0), ("strong", 1, 0, -12.5, 40.0), ("strong", 2, 0, -5.0, 20.0)]
    table, selected, reason = compare(rows, original=50.0, maximise="privacy", keep=0.75)
    assert list(table.columns) == list(TRIAL_TYPES)
    assert table[["forget_quality", "model_utility"]].isna().all(axis=None)
    assert table["privacy"].tolist() == [-80, -30, -12.5, -5]
    assert table["knowmem_r"].tolist() == [50, 48, 40, 20]
    assert table["eligible"].tolist() == [True, True, True, False]
    assert (selected["variant"], selected["epoch"]) == ("strong", 1)
    assert reason == (
        "strong after epoch 1 has the smallest mean |PrivLeak|, 12.5, among the 3 of 4 trials and epochs that keep 75% of "
        "Original's KnowMem of the retain set; its KnowMem of the retain set is 40, 0.8 of Original's (one run)."
    )
    _, selected, reason = compare(rows, original=50.0, maximise="knowmem_r")
    assert (selected["variant"], selected["epoch"]) == ("weak", 1)
    assert reason.startswith("weak after epoch 1 has the highest mean KnowMem of the retain set, 50, among")
    _, selected, reason = compare(rows, original=90.0, maximise="privacy")
    assert (selected["variant"], selected["epoch"], selected["eligible"]) == ("weak", 1, False)
    assert reason.startswith("None of 4 trials and epochs keeps 95% of Original's KnowMem of the retain set: weak after epoch 1")


@pytest.fixture
def study(tmp_path: Path) -> Results:
    """Two trials over three epochs with two seeds, more noise in their answers with each epoch."""
    results = Results(tmp_path / "results")
    rng = np.random.default_rng(4)
    for seed in (3, 5):
        for role, level in (("original", 0.1), ("retrain", 0.3)):
            results.evaluate(identity(role, "", seed), suite_rows(rng, level))
        for variant in ("beta-1", "beta-2"):
            results.watch(identity("npo", variant, seed, suite="tofu"), trajectory_rows(rng, range(4)))
    return results


def trials() -> list[dict[str, Any]]:
    return [
        {
            "variant": f"beta-{beta}",
            "run": f"tofu/seed{seed}",
            "training": {"epochs": 3, "learning_rate": 1e-3},
            "loss": {"beta": float(beta)},
        }
        for beta in (1, 2)
        for seed in (3, 5)
    ]


def spec(**rule: Any) -> dict[str, Any]:
    return {"rule": rule, "suite": "tofu", "kind": "tofu", "trials": trials(), "runs": ["tofu/seed3", "tofu/seed5"]}


def test_the_stage_measures_every_trial_against_its_own_seed(study: Results, monkeypatch: pytest.MonkeyPatch) -> None:
    out = study.select(monkeypatch, "npo", spec(keep=0.5))
    table = pd.read_parquet(out / "trials.parquet")
    assert list(zip(table["variant"], table["epoch"], strict=True)) == [(f"beta-{b}", e) for b in (1, 2) for e in (1, 2, 3)]

    for row in table.to_dict("records"):
        qualities, utilities, originals = [], [], []
        for seed in (3, 5):
            watched = pd.read_parquet(study.folder(identity("npo", row["variant"], seed)) / "model" / "items.parquet")
            at = watched[watched["epoch"] == row["epoch"]]
            retrain = log_x(items(study, "retrain", seed=seed))
            qualities.append(ks_2samp(log_x(at[at["set"] == "forget"]), retrain).pvalue)
            utilities.append(tofu_scores(sets_from_table(at, ""))["model_utility"])
            original = pd.read_parquet(study.items_path(identity("original", "", seed)))
            originals.append(tofu_scores(sets_from_table(original, ""))["model_utility"])
        assert row["forget_quality"] == pytest.approx(np.mean(qualities))
        assert row["model_utility"] == pytest.approx(np.mean(utilities))
        assert row["utility_share"] == pytest.approx(np.mean(utilities) / np.mean(originals))
        assert row["runs"] == 2

    made = json.loads((out / "selection.json").read_text(encoding="utf-8"))
    selected = table[table["selected"]].iloc[0]
    assert set(made) == {"variant", "epoch", "training", "loss", "reason", "eligible"}
    assert (made["variant"], made["epoch"], made["eligible"]) == tuple(selected[["variant", "epoch", "eligible"]])
    assert made["loss"] == {"beta": float(made["variant"][5:])}
    assert UnlearnSettings.model_validate(made["training"]) == UnlearnSettings(
        epochs=3, learning_rate=1e-3, stop_epoch=made["epoch"]
    )
    assert made["reason"].startswith(f"{made['variant']} after epoch {made['epoch']} has the highest")


def test_the_selection_repeats_byte_by_byte(study: Results, monkeypatch: pytest.MonkeyPatch) -> None:
    first = (study.select(monkeypatch, "npo", spec()) / "manifest.json").read_bytes()
    assert (study.select(monkeypatch, "npo", spec()) / "manifest.json").read_bytes() == first


def test_a_trial_without_the_references_of_its_seed_is_refused(
    study: Results, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    line = refusal(lambda: study.select(monkeypatch, "npo", spec() | {"runs": ["tofu/seed3"]}), capsys)
    assert "beta-1: tofu/seed5 is not among the runs" in line


def test_a_suite_without_model_utility_is_refused(
    study: Results, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    line = refusal(lambda: study.select(monkeypatch, "npo", spec() | {"suite": "facts"}), capsys)
    assert "facts" in line
    study.evaluate(identity("original", "", 3), suite_rows(np.random.default_rng(0), 0.1, {"forget": 12, "retain": 9}))
    line = refusal(lambda: study.select(monkeypatch, "npo", spec()), capsys)
    assert "seed3/original/eval/tofu/items.parquet: no model utility, which a selection needs" in line


def test_inputs_other_than_the_trials_and_seeds_are_refused(
    study: Results, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    line = refusal(lambda: study.stage(monkeypatch, select, spec(), [], study.root / "selection"), capsys)
    assert "--in original:tofu/seed3=: named by the spec, but not given" in line


@pytest.fixture
def texts(tmp_path: Path) -> Texts:
    """Two trials over two epochs with two seeds: one forgets too little, one too much, but less far from Retrain."""
    results = Texts(tmp_path / "results")
    rng = np.random.default_rng(11)
    for seed in (3, 5):
        for role, gap, rouge in (("original", -3.0, 0.8), ("retrain", 0.0, 0.8)):
            results.evaluate_texts(place(role, "", seed), muse_rows(rng, gap, rouge))
        for variant, gaps in (("beta-1", (-3.0, -2.5)), ("beta-2", (0.2, 0.9))):
            results.watch_texts(place("npo", variant, seed), [muse_rows(rng, gap, 0.8) for gap in (-3.0, *gaps)])
    return results


def select_texts(texts: Texts, monkeypatch: pytest.MonkeyPatch, **rule: Any) -> Path:
    inputs = [
        (
            f"trajectory:{trial['run']}/{trial['variant']}",
            texts.folder(place("npo", trial["variant"], int(trial["run"][-1]))) / "model",
        )
        for trial in trials()
    ]
    for role in ("original", "retrain"):
        inputs += [(f"{role}:tofu/seed{seed}", texts.folder(place(role, "", seed)) / "eval" / "muse") for seed in (3, 5)]
    return texts.stage(
        monkeypatch, select, spec(**rule) | {"suite": "muse", "kind": "muse"}, inputs, texts.root / "selection" / "npo"
    )


def test_the_stage_selects_among_trials_of_texts(texts: Texts, monkeypatch: pytest.MonkeyPatch) -> None:
    out = select_texts(texts, monkeypatch, maximise="privacy", keep=0.5)
    table = pd.read_parquet(out / "trials.parquet")

    def auc(rows: pd.DataFrame) -> float:
        members, nonmembers = (rows.loc[rows["set"] == name, "min_k_loss"].to_numpy() for name in ("members", "nonmembers"))
        return float(membership_auc(members, nonmembers))

    def knowledge(rows: pd.DataFrame) -> float:
        return 100 * float(rows.loc[rows["set"] == "knowledge_retain", "rouge_l_f"].mean())

    def finished(role: str, seed: int) -> pd.DataFrame:
        return completed(pd.read_parquet(texts.folder(place(role, "", seed)) / "eval" / "muse" / "items.parquet"))

    for row in table.to_dict("records"):
        leaks, known, originals = [], [], []
        for seed in (3, 5):
            watched = completed(pd.read_parquet(texts.folder(place("npo", row["variant"], seed)) / "model" / "items.parquet"))
            at = watched[watched["epoch"] == row["epoch"]]
            leaks.append(-abs(100 * (auc(at) / auc(finished("retrain", seed)) - 1)))
            known.append(knowledge(at))
            originals.append(knowledge(finished("original", seed)))
        assert row["privacy"] == pytest.approx(np.mean(leaks))
        assert row["knowmem_r"] == pytest.approx(np.mean(known))
        assert row["utility_share"] == pytest.approx(np.mean(known) / np.mean(originals))
        assert math.isnan(row["forget_quality"])
    made = json.loads((out / "selection.json").read_text(encoding="utf-8"))
    assert (made["variant"], made["epoch"]) == ("beta-2", 1)
    assert "the smallest mean |PrivLeak|" in made["reason"]


def test_a_rule_of_another_kind_of_suite_is_refused(
    study: Results, texts: Texts, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    line = refusal(lambda: select_texts(texts, monkeypatch), capsys)
    assert line == "palimpsest select: spec: rule: maximise: forget_quality is not a score of muse, the suite that judges"
    line = refusal(lambda: study.select(monkeypatch, "npo", spec(maximise="privacy")), capsys)
    assert line == "palimpsest select: spec: rule: maximise: privacy is not a score of tofu, the suite that judges"


def test_an_original_without_the_suite_is_refused(
    texts: Texts, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = texts.folder(place("original", "", 3)) / "eval" / "muse"
    (folder / "items.parquet").rename(folder / "other.parquet")
    texts.seal("eval", place("original", "", 3), folder)
    line = refusal(lambda: select_texts(texts, monkeypatch, maximise="privacy"), capsys)
    assert "original/eval/muse/items.parquet: missing, but a selection needs Original's KnowMem of the retain set" in line
