"""`palimpsest score tofu` for several logs: one table, the best marked by the rule of each metric, Retrain once."""

import json
from pathlib import Path
from typing import Any

import pytest

from palimpsest.benchmarks.tofu.logs import SET_FILES
from palimpsest.cli import main

# The loss of every forget answer, and the ROUGE of everything, of each model: forgetting is nearest to Retrain with the first.
MODELS = {"near": (2.0, 0.5), "far_off": (0.1, 0.9), "retrain": (2.2, 0.6)}


@pytest.fixture
def logs(tmp_path: Path) -> Path:
    for model, (forget, rouge) in MODELS.items():
        log: dict[str, Any] = {}
        for file, name in SET_FILES.items():
            keys, loss = [str(i) for i in range(12)], forget if name == "forget" else 0.2
            log[file] = {
                "avg_gt_loss": dict.fromkeys(keys, loss),
                "avg_paraphrased_loss": {key: loss + 0.1 * int(key) for key in keys},
                "average_perturb_loss": {key: [2.0, 2.5, 3.0] for key in keys},
                "rougeL_recall": dict.fromkeys(keys, rouge),
                "generated_text": {key: [f"Who is {name} {key}?", "said", "an answer"] for key in keys},
            }
        (tmp_path / model).mkdir()
        (tmp_path / model / "eval_log_aggregated.json").write_text(json.dumps(log), encoding="utf-8")
    return tmp_path


def table(capsys: pytest.CaptureFixture[str], form: str, *logs: str, retrain: Path | None) -> list[str]:
    arguments = ["--retrain", str(retrain)] if retrain else []
    assert main(["score", "tofu", "--format", form, "--log", *logs, *arguments]) == 0
    return capsys.readouterr().out.splitlines()


def test_a_table_marks_the_best_by_the_rule_of_each_metric(logs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    own = [f"{name}={logs / name}" for name in ("near", "far_off")]
    head, _, *rows = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in table(capsys, "markdown", *own, retrain=logs / "retrain")
    ]
    named = {row[0]: dict(zip(head, row, strict=True)) for row in rows}
    assert [*named] == ["near", "far_off", "Retrain"]
    # The highest utility is not that of the model nearest to Retrain.
    assert [name for name, row in named.items() if "**" in row["Model utility ↑"]] == ["far_off"]
    for nearest in ("Forget quality ↑", "Forget Prob.", "Forget ROUGE-L", "Forget Truth ratio"):
        assert [name for name, row in named.items() if "**" in row[nearest]] == ["near"], nearest
    # exp(-2) and exp(-2.2)
    assert (named["near"]["Forget Prob."], named["Retrain"]["Forget Prob."]) == ("**0.135**", "0.111")
    assert named["Retrain"]["Forget quality ↑"] == "1.000"
    # All are equal here.
    assert named["near"]["Retain Prob."] == named["far_off"]["Retain Prob."] == "0.819"


def test_latex_escapes_names_and_sets_retrain_apart(logs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = table(capsys, "latex", f"a&b={logs / 'near'}", f"far_off={logs / 'far_off'}", retrain=logs / "retrain")
    assert lines[0].startswith(r"\begin{tabular}{lrr") and lines[-1] == r"\end{tabular}"
    body = lines[lines.index(r"\midrule") + 1 : -2]
    assert [line.split(" & ")[0] for line in body] == [r"a\&b", r"far\_off", r"\midrule", "Retrain"]
    assert r"\textbf{0.135}" in body[0]
    columns = {line.count(" & ") for line in [lines[lines.index(r"\toprule") + 1], *body] if line != r"\midrule"}
    assert columns == {lines[0].count("r", len(r"\begin{tabular}{l"))}


def test_text_and_json_have_the_same_numbers_as_one_log(logs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    own = [f"{name}={logs / name}" for name in ("near", "far_off")]
    text = table(capsys, "text", *own, retrain=logs / "retrain")
    assert text[0].split() == ["near", "far_off", "Retrain"]
    (probability,) = [line for line in text if line.startswith("Forget Prob.")]
    assert probability.split()[2:] == ["0.135*", "0.905", "0.111"]
    several = json.loads("\n".join(table(capsys, "json", *own, retrain=logs / "retrain")))
    one = json.loads("\n".join(table(capsys, "json", str(logs / "near"), retrain=logs / "retrain")))
    assert several["logs"]["near"] == one


def test_without_retrain_nothing_is_nearest_and_the_reason_is_told(logs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = table(capsys, "markdown", *(str(logs / name) for name in ("near", "far_off")), retrain=None)
    assert "Forget quality" not in lines[0]
    forget = lines[0].split("|").index(" Forget Prob. ")
    assert all("**" not in line.split("|")[forget] for line in lines[2:4])
    # Without a name, a log is called by its path.
    assert str(logs / "near") in lines[2]


def test_a_score_that_only_one_log_lacks_has_its_reason(logs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = logs / "near" / "eval_log_aggregated.json"
    log = json.loads(path.read_text(encoding="utf-8"))
    for fields in log.values():
        del fields["rougeL_recall"]
    path.write_text(json.dumps(log), encoding="utf-8")
    lines = table(capsys, "markdown", *(f"{name}={logs / name}" for name in ("near", "far_off")), retrain=logs / "retrain")
    assert " - |" in lines[2] and " - |" not in lines[3]
    assert any(line.startswith("- near: model_utility: it needs ") for line in lines)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--log", "a={near}", "a={far_off}"], "--log: a is given twice"),
        (["--log", "a=", "--retrain", "{retrain}"], "argument --log: empty"),
        (["--log", "{near}", "--json", "--format", "latex"], "--json: not with --format latex"),
        (["--log", "Retrain={near}", "b={far_off}", "--retrain", "{retrain}"], "--log: Retrain: --retrain has this name"),
        (["--log", "a={near}", "b=gone"], "gone: "),
        (["--log", "{near}", "--format", "html"], "argument --format: invalid choice: 'html'"),
    ],
)
def test_what_is_wrong_is_one_line(logs: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], said: str) -> None:
    filled = [each.format(**{name: logs / name for name in MODELS}) for each in arguments]
    try:
        code = main(["score", "tofu", *filled])
    except SystemExit as stop:
        code = int(str(stop.code))
    output = capsys.readouterr()
    assert code == 2 and output.out == ""
    assert said in output.err and output.err.count("\n") == 1


def test_the_published_logs_make_the_table_of_their_expected_values(shared: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = shared / "data" / "tofu_eval_logs"
    expected = json.loads((folder / "expected.json").read_text(encoding="utf-8"))["model_utility"]
    names = ("llama2-7b_full", "llama2-7b_retain95")
    lines = table(capsys, "markdown", *(str(folder / name) for name in names), retrain=None)
    column = lines[0].split("|").index(" Model utility ↑ ")
    for name, line in zip(names, lines[2:], strict=False):
        assert line.split("|")[column].strip(" *") == f"{expected[name]['Model Utility']:.3f}"
