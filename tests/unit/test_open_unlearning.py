"""Logs of open-unlearning: a real one against its own numbers, and TOFU's in its form against the official ones."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from open_unlearning_example import INPUTS, PROBABILITIES, REAL, from_tofu, metric, real_forget_set

from palimpsest.benchmarks.tofu.logs import open_log, read_log
from palimpsest.benchmarks.tofu.scores import tofu_scores
from palimpsest.cli import main
from palimpsest.errors import UserError

Log = dict[str, Any]


def written(folder: Path, content: Any) -> Path:
    path = folder / "TOFU_EVAL.json"
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


def test_a_real_log_gives_what_its_makers_got_of_it(tmp_path: Path) -> None:
    path = written(tmp_path, real_forget_set())
    log = open_log(tmp_path)

    assert read_log(path).keys() == log.sets.keys() == {"forget"}
    items, ratios = log.sets["forget"], np.array([ratio for *_, ratio in REAL])
    # Theirs is wrong/right, with 1e-10 added to the probability of what is right.
    assert np.exp(-items.log_truth_ratio) == pytest.approx(ratios, rel=1e-8)
    scores = tofu_scores(log.sets)
    assert scores["forget_truth_ratio"] == pytest.approx(np.minimum(ratios, 1 / ratios).mean(), rel=1e-8)
    # bfloat16 holds three digits.
    assert scores["forget_probability"] == pytest.approx(np.mean(PROBABILITIES), rel=2e-3)
    assert scores["forget_rouge"] == pytest.approx(np.mean([rouge for *_, rouge, _ in REAL]))
    assert log.form == "open-unlearning"
    assert log.unread == ["extraction_strength", "forget_quality", "forget_truth_ratio", "mia_min_k"]
    assert log.missing["world_facts"] == "the log has no wf_Q_A_Prob and no wf_Q_A_PERT_Prob"


def test_the_questions_of_a_real_log_are_those_of_the_data_set(shared: Path, tmp_path: Path) -> None:
    rows = (shared / "data" / "tofu" / "forget01.json").read_text(encoding="utf-8").splitlines()[: len(INPUTS)]
    found = read_log(written(tmp_path, real_forget_set()))["forget"].questions
    assert found == tuple(" ".join(json.loads(row)["question"].split()) for row in rows)


def test_a_chat_with_a_system_s_turn_holds_the_question_too(tmp_path: Path) -> None:
    log = real_forget_set()
    for key, item in log["forget_Q_A_ROUGE"]["value_by_index"].items():
        asked = INPUTS[int(key)].removeprefix("[INST] ").removesuffix(" [/INST]")
        item["input"] = f"system\n\nToday Date: 10 Apr 2025\n\nYou are a helpful assistant.user\n\n{asked}assistant\n\n"
    (tmp_path / "other").mkdir()
    path, same = written(tmp_path, log), written(tmp_path / "other", real_forget_set())
    assert read_log(path)["forget"].questions == read_log(same)["forget"].questions


def test_an_official_log_in_this_form_gives_the_official_numbers(
    shared: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = shared / "data" / "tofu_eval_logs"
    official = json.loads((folder / "llama2-7b_full/eval_log_aggregated.json").read_text(encoding="utf-8"))
    expected = json.loads((folder / "expected.json").read_text(encoding="utf-8"))
    golden, quality = expected["model_utility"]["llama2-7b_full"], expected["forget_quality"][0]
    path = written(tmp_path, from_tofu(official))

    assert main(["score", "tofu", "--json", "--log", str(path), "--retrain", str(folder / quality["retain"])]) == 0

    found = json.loads(capsys.readouterr().out)
    for ours, theirs in (("retain", "Retain"), ("real_authors", "Real Authors"), ("world_facts", "Real World")):
        for part, name in (("probability", "Prob."), ("rouge", "ROUGE"), ("truth_ratio", "Truth Ratio")):
            # What TOFU logs as paraphrases of these two sets is the answer once more, in another batch.
            exact = ours == "retain" or part != "truth_ratio"
            score = found["parts"][f"{ours}_{part}"]
            assert score == pytest.approx(golden[f"{name} {theirs}"], rel=0, abs=1e-9 if exact else 2e-3)
    assert found["forget"]["truth_ratio"] == pytest.approx(golden["Truth Ratio Forget"], rel=0, abs=1e-9)
    assert found["model_utility"] == pytest.approx(golden["Model Utility"], rel=0, abs=1e-3)
    assert found["forget_quality"] == pytest.approx(quality["p_value"], rel=1e-9)


def _without(name: str) -> Callable[[Log], object]:
    return lambda log: log.pop(name)


def _item(name: str, **change: Any) -> Callable[[Log], object]:
    return lambda log: log[name]["value_by_index"]["3"].update(change)


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (_without("forget_Q_A_PERT_Prob"), "forget: the log has no forget_Q_A_PERT_Prob"),
        (_item("forget_Q_A_Prob", avg_loss=None), "forget_Q_A_Prob: item 3.avg_loss: Input should be a valid number"),
        (_item("forget_Q_A_Prob", avg_loss="0.1"), "forget_Q_A_Prob: item 3.avg_loss: Input should be a valid number"),
        (_item("forget_Q_A_PERT_Prob", avg_loss=[]), "forget_Q_A_PERT_Prob: item 3.avg_loss: List should have at least 1 item"),
        (
            _item("forget_Q_A_PERT_Prob", avg_loss=[1.0]),
            "forget_Q_A_PERT_Prob: the items differ in their number of wrong answers",
        ),
        (_item("forget_Q_A_ROUGE", rougeL_recall=None), "forget_Q_A_ROUGE: item 3.rougeL_recall: Input should be a valid number"),
        (
            lambda log: log["forget_Q_A_PARA_Prob"]["value_by_index"].pop("3"),
            "forget_Q_A_PARA_Prob and forget_Q_A_Prob do not cover the same items",
        ),
        (lambda log: log.update(forget_Q_A_Prob={"agg_value": 0.5}), "forget_Q_A_Prob: no items under value_by_index"),
        (lambda log: log["forget_Q_A_Prob"]["value_by_index"].update({"3": 7}), "forget_Q_A_Prob: item 3: Input should be"),
        (lambda log: log["forget_Q_A_Prob"]["value_by_index"].update({"a\nb": 7}), r"forget_Q_A_Prob: item 'a\nb': Input"),
    ],
)
def test_what_cannot_be_scored_is_one_line(tmp_path: Path, spoil: Callable[[Log], object], says: str) -> None:
    log = real_forget_set()
    spoil(log)
    with pytest.raises(UserError) as refused:
        read_log(written(tmp_path, log))
    assert says in str(refused.value)
    assert str(refused.value).startswith(str(tmp_path))
    assert "\n" not in str(refused.value)


def test_means_alone_are_refused_by_the_name_of_what_is_wanted(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"means alone, and scores need the items: of open-unlearning give TOFU_EVAL\.json"):
        read_log(written(tmp_path, {"forget_Q_A_Prob": 0.67, "model_utility": 0.62}))


def test_a_set_with_one_wrong_answer_an_item_is_logged_without_lists(tmp_path: Path) -> None:
    log = real_forget_set()
    log["forget_Q_A_PERT_Prob"] = metric([{"prob": 0.1, "avg_loss": 2.0 + index} for index in range(len(REAL))])
    assert read_log(written(tmp_path, log))["forget"].perturbed.tolist() == [[2.0 + index] for index in range(len(REAL))]
