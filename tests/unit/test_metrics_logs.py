"""Reading evaluation logs, and what `palimpsest score tofu` says of wrong ones."""

import json
from pathlib import Path
from typing import Any

import pytest

from palimpsest.benchmarks.tofu.suite import SCHEMA
from palimpsest.cli import main
from palimpsest.evaluation.items import write_table

FORGET, RETAIN = "eval_log_forget.json", "eval_log.json"


def fields(count: int = 3, *, wrapper: str = "[INST] {} [/INST]", first: int = 0) -> dict[str, Any]:
    """The log of one set in list form."""
    numbers = range(first, first + count)
    return {
        "avg_gt_loss": [0.1 + i for i in numbers],
        "avg_paraphrased_loss": [0.2 + i for i in numbers],
        "average_perturb_loss": [[1.0 + i, 2.0] for i in numbers],
        "rougeL_recall": [0.5 for _ in numbers],
        "generated_text": [[wrapper.format(f"Who  wrote book {i}?"), "a", "b"] for i in numbers],
    }


def write(path: Path, content: Any) -> Path:
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


def table_rows(name: str = "forget", count: int = 3) -> list[dict[str, Any]]:
    return [
        {
            "set": name,
            "id": str(i),
            "question": f"Who wrote book {i}?",
            "answer_nll": 2.0 + i,
            "answer_tokens": 4,
            "paraphrased_nll": 3.0 + i,
            "paraphrased_tokens": 5,
            "perturbed_nll": [6.0, 8.0 + i],
            "perturbed_tokens": [2, 4],
            "rouge_l_recall": 0.5,
        }
        for i in range(count)
    ]


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> dict[str, Any]:
    assert main(["score", "tofu", "--json", *map(str, arguments)]) == 0
    result: dict[str, Any] = json.loads(capsys.readouterr().out)
    return result


def refusal(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    assert main(["score", "tofu", *map(str, arguments)]) == 2
    output = capsys.readouterr()
    assert output.out == ""
    assert output.err.startswith("palimpsest score tofu: ")
    assert output.err.count("\n") == 1
    return output.err


def broken(name: str, change: Any, **more: Any) -> dict[str, Any]:
    return {FORGET: fields() | {name: change} | more}


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ([1, 2], "must be an object, not a list"),
        ({}, "it has none of eval_log_forget.json"),
        (
            {"forget_truth_ratio": {"agg_value": 0.5}},
            "no set can be made of these metrics of open-unlearning: forget: the log has no forget_Q_A_Prob",
        ),
        ({FORGET: [1]}, f"{FORGET}: must be an object with fields, not a list"),
        (
            {FORGET: {name: value for name, value in fields().items() if name != "avg_paraphrased_loss"}},
            "avg_paraphrased_loss: Field required",
        ),
        (broken("avg_gt_loss", []), "avg_gt_loss: List should have at least 1 item"),
        (broken("avg_gt_loss", [0.1, "0.2", 0.3]), "avg_gt_loss.1: Input should be a valid number"),
        (broken("avg_gt_loss", [0.1, None, 0.3]), "avg_gt_loss.1: Input should be a valid number"),
        (broken("avg_paraphrased_loss", [0.1]), "avg_paraphrased_loss has 1 items, avg_gt_loss 3"),
        (broken("average_perturb_loss", [0.1, 0.2, 0.3]), "average_perturb_loss.0: Input should be a valid list"),
        (broken("average_perturb_loss", [[0.1], [0.1, 0.2], [0.3]]), "differ in their number of perturbed answers"),
        (broken("generated_text", ["a", "b", "c"]), "generated_text.0: Input should be a valid list"),
        (broken("generated_text", [["a"] * 3]), "generated_text has 1 items"),
        (broken("rougeL_recall", {"0": 0.5}), "rougeL_recall and avg_gt_loss do not cover the same items"),
        (
            broken("avg_gt_loss", {"0": 0.5, "1": 0.5, "3": 0.5}, avg_paraphrased_loss={"0": 0.5, "1": 0.5, "2": 0.5}),
            "avg_paraphrased_loss and avg_gt_loss do not cover the same items",
        ),
    ],
)
def test_a_malformed_log_is_one_line_with_the_place(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: Any, says: str
) -> None:
    path = write(tmp_path / "log.json", content)
    message = refusal(capsys, "--log", path)
    assert str(path) in message
    assert says in message


def test_a_truncated_or_missing_file_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write(tmp_path / "log.json", {FORGET: fields()})
    path.write_text(path.read_text(encoding="utf-8")[:-40], encoding="utf-8")
    assert f"{path}: not JSON, or truncated" in refusal(capsys, "--log", path)
    path.write_bytes(b"\x80\x81")
    assert f"{path}: not JSON, or truncated" in refusal(capsys, "--log", path)
    assert f"{tmp_path / 'none.json'}: cannot be read: No such file" in refusal(capsys, "--log", tmp_path / "none.json")
    assert "no evaluation log in this directory" in refusal(capsys, "--log", Path(__file__).parent)

    table = tmp_path / "items.parquet"
    write_table(table, table_rows(), SCHEMA)
    table.write_bytes(table.read_bytes()[:-20])
    assert f"{table}: not a readable table" in refusal(capsys, "--log", table)
    assert "not a readable table" in refusal(capsys, "--log", tmp_path / "none.parquet")


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        ([{"set": "forgotten"}], "holds forgotten: allowed are forget, retain"),
        ([], "holds nothing"),
        ([row | {"perturbed_nll": None} for row in table_rows()], "not a table of losses and token counts"),
        (
            [row | {"perturbed_nll": [1.0] * 5} for row in table_rows()],
            "perturbed_nll and perturbed_tokens are not of equal length",
        ),
        # One count would otherwise serve all losses.
        ([row | {"perturbed_tokens": [2]} for row in table_rows()], "perturbed_nll and perturbed_tokens are not of equal length"),
        ([row | {"perturbed_nll": [], "perturbed_tokens": []} for row in table_rows()], "perturbed_nll: no perturbed answers"),
        ([row | {"id": "3"} for row in table_rows()], "forget: item 3 stands twice"),
        ([*table_rows(), table_rows("retain")[0] | {"set": None}], "holds forget, nan: allowed are forget, retain"),
    ],
)
def test_a_malformed_table_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str], rows: Any, says: str) -> None:
    write_table(tmp_path / "items.parquet", rows, SCHEMA)
    message = refusal(capsys, "--log", tmp_path)
    assert str(tmp_path / "items.parquet") in message
    assert says in message


@pytest.mark.parametrize("column", ["set", "answer_nll", "perturbed_tokens", "question"])
def test_a_table_without_a_column_says_which(tmp_path: Path, capsys: pytest.CaptureFixture[str], column: str) -> None:
    write_table(tmp_path / "items.parquet", table_rows(), SCHEMA.remove(SCHEMA.get_field_index(column)))
    assert f"no column '{column}'" in refusal(capsys, "--log", tmp_path)


def test_a_table_is_scored_by_token(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_table(tmp_path / "items.parquet", table_rows(count=1), SCHEMA)
    forget = run(capsys, "--log", tmp_path)["forget"]
    # Losses per token: 2/4 right, 3/5 paraphrased, (6/2 + 8/4)/2 wrong.
    assert forget["probability"] == pytest.approx(2.718281828459045**-0.5)
    assert forget["truth_ratio"] == pytest.approx(2.718281828459045 ** -(2.5 - 0.6))


def test_what_a_log_lacks_is_null(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    result = run(capsys, "--log", write(tmp_path / FORGET, fields()))
    assert result["model_utility"] is None
    assert len(result["parts"]) == 9
    assert set(result["parts"].values()) == {None}
    assert all(isinstance(value, float) for value in result["forget"].values())
    assert result["items"] == {"forget": 3, "retain": 0, "real_authors": 0, "world_facts": 0, "retrain_forget": None}
    assert result["undefined"] == {
        **dict.fromkeys(result["parts"], "the log has no such set"),
        "model_utility": "it needs retain_probability, and 8 more of its parts",
        "forget_quality": "no log of Retrain was given (--retrain)",
        "ks_statistic": "no log of Retrain was given (--retrain)",
    }
    assert main(["score", "tofu", "--log", str(tmp_path)]) == 0
    assert "model utility               - (it needs retain_probability, and 8 more of its parts)\n" in capsys.readouterr().out


def test_forget_quality_needs_both_forget_sets(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    both = write(tmp_path / "both.json", {FORGET: fields(), RETAIN: fields(5)})
    retain = write(tmp_path / RETAIN, fields(5))
    for log, retrain in ((both, retain), (retain, both)):
        message = refusal(capsys, "--log", log, "--retrain", retrain, "--allow-mismatch")
        assert f"{retain}: no forget set" in message


def test_one_set_alone_must_have_its_name(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "an unknown set" in refusal(capsys, "--log", write(tmp_path / "simnpo.json", fields()))


@pytest.mark.parametrize("wrapper", ["{}", "[INST]{}[/INST]", "Question: {}\nAnswer: ", "Question: {}\n"])
def test_questions_are_compared_without_their_prompts(tmp_path: Path, capsys: pytest.CaptureFixture[str], wrapper: str) -> None:
    log = write(tmp_path / "log.json", {FORGET: fields(4)})
    same = write(tmp_path / "same.json", {FORGET: fields(4, wrapper=wrapper)})
    other = write(tmp_path / "other.json", {FORGET: fields(4, wrapper=wrapper, first=1)})
    assert run(capsys, "--log", log, "--retrain", same)["forget_quality"] == 1.0
    assert "1 of 4 only in one, such as 'Who wrote book 0?'" in refusal(capsys, "--log", log, "--retrain", other)
    assert 0 < run(capsys, "--log", log, "--retrain", other, "--allow-mismatch")["forget_quality"] <= 1


def test_a_question_asked_twice_must_be_so_in_both(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    twice = fields(3)
    twice["generated_text"][2] = twice["generated_text"][0]
    log, other = write(tmp_path / "twice.json", {FORGET: twice}), write(tmp_path / "once.json", {FORGET: fields(3)})
    assert run(capsys, "--log", log, "--retrain", log)["forget_quality"] == 1.0
    for arguments in (("--log", log, "--retrain", other), ("--log", other, "--retrain", log)):
        assert "1 of 3 only in one" in refusal(capsys, *arguments)


def test_counts_decide_where_questions_are_unknown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    unknown = {name: value for name, value in fields(3, first=5).items() if name != "generated_text"}
    log = write(tmp_path / "log.json", {FORGET: fields(3)})
    assert run(capsys, "--log", log, "--retrain", write(tmp_path / "unknown.json", {FORGET: unknown}))["forget_quality"] < 1
    fewer = {FORGET: {name: value[:2] for name, value in unknown.items()}}
    assert "3 items against 2" in refusal(capsys, "--log", log, "--retrain", write(tmp_path / "fewer.json", fewer))


def test_a_collapsed_model_is_scored_where_it_can_be(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    collapsed = fields()
    collapsed["avg_gt_loss"] = [float("inf"), 5000.0, 80.0]
    collapsed["avg_paraphrased_loss"][0] = float("nan")
    log = write(tmp_path / "log.json", {FORGET: collapsed})
    result = run(capsys, "--log", log, "--retrain", write(tmp_path / "retrain.json", {FORGET: fields()}))
    assert 0 <= result["forget"]["probability"] < 1e-30
    assert result["forget"]["truth_ratio"] is None
    assert result["forget_quality"] is None
    assert result["ks_statistic"] is None
    assert result["items"]["retrain_forget"] == 3
    assert result["undefined"]["forget_truth_ratio"] == result["undefined"]["forget_quality"] == "a loss is NaN in 1 of 3 items"


@pytest.mark.parametrize("arguments", [[], ["score"], ["score", "muse"], ["score", "tofu"], ["score", "tofu", "--logs", "x"]])
def test_wrong_arguments_exit_with_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main(arguments)
    assert stop.value.code == 2
    assert "error:" in capsys.readouterr().err
