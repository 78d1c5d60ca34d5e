"""Scores of the evaluation logs published with TOFU against what the official aggregation gives on them."""

import json
import os
import random
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from palimpsest.benchmarks.tofu.logs import SET_FILES, read_log
from palimpsest.benchmarks.tofu.suite import SCHEMA
from palimpsest.cli import main
from palimpsest.evaluation.items import write_table
from palimpsest.metrics.rouge import rouge_recalls

LOGS = ("llama2-7b_full", "llama2-7b_retain90", "llama2-7b_retain95")
OFFICIAL = {"probability": "Prob.", "rouge": "ROUGE", "truth_ratio": "Truth Ratio"}
OFFICIAL_SETS = {"retain": "Retain", "real_authors": "Real Authors", "world_facts": "Real World"}
Log = dict[str, dict[str, dict[str, Any]]]


def log_file(shared: Path, name: str) -> Path:
    return shared / "data" / "tofu_eval_logs" / name / "eval_log_aggregated.json"


def as_dicts(log: Log, folder: Path) -> Path:
    """TOFU's form, its fields listing the items in different orders."""
    shuffled = {file: {name: _shuffled(values) for name, values in fields.items()} for file, fields in log.items()}
    return _write(folder / "eval_log_aggregated.json", shuffled)


def as_lists(log: Log, folder: Path) -> Path:
    """The form of the NPO and SimNPO code, which logs the KL divergence too."""
    lists: dict[str, Any] = {
        file: {name: list(values.values()) for name, values in fields.items()} | {"kl_divergence": [0.5]}
        for file, fields in log.items()
    }
    return _write(folder / "eval_log_aggregated.json", lists)


def as_single_sets(log: Log, folder: Path) -> Path:
    for file, fields in log.items():
        _write(folder / file, {name: list(values.values()) for name, values in fields.items()})
    return folder


def as_table(log: Log, folder: Path) -> Path:
    """Our own form: questions without a prompt, summed losses, and a paraphrase only where it is not the answer itself.

    (Real authors and world facts have no paraphrase; what the official code logs there is the answer in another batch.)
    """
    rows = []
    for file, name in SET_FILES.items():
        fields = log[file]
        for key, (prompt, generation, answer) in fields["generated_text"].items():
            paraphrased = fields["avg_paraphrased_loss"][key] != fields["avg_gt_loss"][key]
            counts = fields["num_token_perturb"][key]
            rows.append(
                {
                    "set": name,
                    "id": f"{name}-{key}",
                    "question": prompt.removeprefix("[INST] ").removesuffix(" [/INST]"),
                    "answer": answer,
                    "generation": generation,
                    "answer_nll": fields["avg_gt_loss"][key] * fields["num_token_gt"][key],
                    "answer_tokens": fields["num_token_gt"][key],
                    "paraphrased_nll": fields["avg_paraphrased_loss"][key] * 7 if paraphrased else None,
                    "paraphrased_tokens": 7 if paraphrased else None,
                    "perturbed_nll": [x * n for x, n in zip(fields["average_perturb_loss"][key], counts, strict=True)],
                    "perturbed_tokens": counts,
                    "rouge_l_recall": fields["rougeL_recall"][key],
                }
            )
    random.Random(1).shuffle(rows)
    path = folder / "eval" / "tofu" / "items.parquet"
    write_table(path, rows, SCHEMA)
    return path.parent


FORMS = [as_dicts, as_lists, as_single_sets, as_table]
Form = Callable[[Log, Path], Path]


def score(capsys: pytest.CaptureFixture[str], *arguments: object) -> dict[str, Any]:
    assert main(["score", "tofu", "--json", *map(str, arguments)]) == 0
    output = capsys.readouterr()
    assert output.err == ""
    result: dict[str, Any] = json.loads(output.out)
    return result


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", LOGS)
def test_utility_and_forget_scores_are_the_official_ones(
    shared: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, form: Form
) -> None:
    path = log_file(shared, name)
    log = json.loads(path.read_text(encoding="utf-8"))
    expected = json.loads((path.parents[1] / "expected.json").read_text(encoding="utf-8"))["model_utility"][name]

    result = score(capsys, "--log", form(log, tmp_path))

    found = {f"{OFFICIAL[part]} Forget": value for part, value in result["forget"].items()}
    for ours, theirs in OFFICIAL_SETS.items():
        found |= {f"{official} {theirs}": result["parts"][f"{ours}_{part}"] for part, official in OFFICIAL.items()}
    assert found | {"Model Utility": result["model_utility"]} == pytest.approx(expected, rel=0, abs=1e-9)
    assert len(result["parts"]) == 9
    assert result["forget_quality"] is None
    assert result["ks_statistic"] is None
    counts = {ours: len(log[file]["avg_gt_loss"]) for file, ours in SET_FILES.items()}
    assert result["items"] == counts | {"retrain_forget": None}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("pair", [0, 1])
def test_forget_quality_is_the_official_one(
    shared: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], pair: int, form: Form
) -> None:
    expected = json.loads(log_file(shared, "").parents[1].joinpath("tofu_eval_logs/expected.json").read_text(encoding="utf-8"))
    golden = expected["forget_quality"][pair]
    retrain = form(json.loads(log_file(shared, golden["retain"]).read_text(encoding="utf-8")), tmp_path)
    # The log itself is as TOFU ships it, so that forms meet.
    arguments = ["--log", log_file(shared, golden["checkpoint"]), "--retrain", retrain]

    if golden["n"][0] != golden["n"][1]:
        assert main(["score", "tofu", "--json", *map(str, arguments)]) == 2
        output = capsys.readouterr()
        assert output.out == ""
        assert output.err.count("\n") == 1
        assert "300 items against 200" in output.err
        assert "--allow-mismatch" in output.err
        arguments.append("--allow-mismatch")
    result = score(capsys, *arguments)

    assert result["forget_quality"] == pytest.approx(golden["p_value"], rel=1e-9, abs=0)
    assert result["ks_statistic"] == pytest.approx(golden["ks_statistic"], rel=0, abs=1e-9)
    assert [result["items"]["forget"], result["items"]["retrain_forget"]] == golden["n"]


def test_as_many_but_other_questions_are_refused(shared: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = log_file(shared, "llama2-7b_retain90")
    log = json.loads(path.read_text(encoding="utf-8"))
    texts = log["eval_log_forget.json"]["generated_text"]
    asked = texts["3"][0]
    texts["3"] = texts["4"]

    assert main(["score", "tofu", "--log", str(path), "--retrain", str(as_lists(log, tmp_path)), "--json"]) == 2

    assert asked.removeprefix("[INST] ").removesuffix(" [/INST]") in capsys.readouterr().err


@pytest.mark.parametrize("name", LOGS)
def test_questions_are_found_in_the_prompts(shared: Path, name: str) -> None:
    split = "forget05" if name.endswith("95") else "forget10"
    rows = (shared / "data" / "tofu" / f"{split}.json").read_text(encoding="utf-8").splitlines()
    questions = [" ".join(json.loads(row)["question"].split()) for row in rows]

    found = read_log(log_file(shared, name))["forget"].questions

    assert found is not None
    assert list(found) == questions[: len(found)]


@pytest.mark.parametrize("name", LOGS)
def test_rouge_is_recomputed_exactly(shared: Path, name: str) -> None:
    log: Log = json.loads(log_file(shared, name).read_text(encoding="utf-8"))
    for fields in log.values():
        for key in list(fields["generated_text"])[::4]:
            _, generation, answer = fields["generated_text"][key]
            assert rouge_recalls(generation, answer) == (fields["rouge1_recall"][key], fields["rougeL_recall"][key])


def test_scoring_needs_no_torch(shared: Path) -> None:
    path = str(log_file(shared, "llama2-7b_retain90").parent)
    code = (
        "import sys; from palimpsest.cli import main; "
        f"code = main(['score', 'tofu', '--log', {path!r}, '--retrain', {path!r}]); "
        "print([name for name in ('torch', 'transformers', 'datasets', 'huggingface_hub') if name in sys.modules], code)"
    )
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}

    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=True)

    assert run.stdout.splitlines()[-1] == "[] 0"
    assert "forget quality              1\n" in run.stdout


def _write(path: Path, content: Any) -> Path:
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


def _shuffled(values: dict[str, Any]) -> dict[str, Any]:
    keys = list(values)
    random.Random(len(str(values))).shuffle(keys)
    return {key: values[key] for key in keys}
