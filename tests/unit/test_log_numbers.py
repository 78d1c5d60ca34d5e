"""Random logs in every form: the same scores of each, and a number that cannot be is refused where it stands."""

import copy
import json
import math
import unicodedata
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from open_unlearning_example import OF_SETS, from_tofu

from palimpsest.benchmarks.tofu.logs import SET_FILES, open_log, read_log
from palimpsest.benchmarks.tofu.score import format_score, score_log
from palimpsest.benchmarks.tofu.scores import tofu_scores
from palimpsest.benchmarks.tofu.suite import SCHEMA
from palimpsest.benchmarks.tofu.undefined import COPY
from palimpsest.cli import main
from palimpsest.errors import UserError
from palimpsest.evaluation.items import read_table, write_table

Log = dict[str, dict[str, Any]]
AGGREGATED = "eval_log_aggregated.json"
LOSS = st.floats(0, 30)
# What each number of a set can be, by its field.
FIELDS = {
    "avg_gt_loss": LOSS,
    "avg_paraphrased_loss": LOSS,
    "average_perturb_loss": st.lists(LOSS, min_size=3, max_size=3),
    "rougeL_recall": st.floats(0, 1),
}


@st.composite
def logs(draw: st.DrawFn) -> Log:
    """A log in TOFU's dicts, of all sets; the paraphrase of real authors and world facts is the answer once more."""
    log: Log = {}
    for file, name in SET_FILES.items():
        keys = draw(st.lists(st.integers(0, 400).map(str), min_size=2, max_size=4, unique=True))
        log[file] = {field: {key: draw(values) for key in keys} for field, values in FIELDS.items()}
        if name in ("real_authors", "world_facts"):
            log[file]["avg_paraphrased_loss"] = dict(log[file]["avg_gt_loss"])
        log[file]["generated_text"] = {key: [f"Who is {name} {key}?", "said", "an answer"] for key in keys}
    return log


def as_dicts(log: Log, folder: Path) -> Path:
    return _written(folder / AGGREGATED, log)


def as_lists(log: Log, folder: Path) -> Path:
    return _written(folder / AGGREGATED, {file: _lists(fields) for file, fields in log.items()})


def as_single_sets(log: Log, folder: Path) -> Path:
    for file, fields in log.items():
        _written(folder / file, _lists(fields))
    return folder


def as_open_unlearning(log: Log, folder: Path) -> Path:
    return _written(folder / "TOFU_EVAL.json", from_tofu(log))


# As tables were written before the scores computed ROUGE.
WITH_ROUGE = pa.schema([*SCHEMA, ("rouge_words", pa.string()), ("rouge_l_recall", pa.float64())])


def as_table(log: Log, folder: Path) -> Path:
    """Our own form; with powers of two for the numbers of tokens no loss is rounded."""
    rows = []
    for file, name in SET_FILES.items():
        fields = log[file]
        for key, loss in fields["avg_gt_loss"].items():
            paraphrased = name in ("forget", "retain")
            rows.append(
                {
                    "set": name,
                    "id": key,
                    "question": fields["generated_text"][key][0],
                    "answer": "an answer",
                    "answer_nll": loss * 4,
                    "answer_tokens": 4,
                    "paraphrased_nll": fields["avg_paraphrased_loss"][key] * 8 if paraphrased else None,
                    "paraphrased_tokens": 8 if paraphrased else None,
                    "perturbed_nll": [each * 2 for each in fields["average_perturb_loss"][key]],
                    "perturbed_tokens": [2] * len(fields["average_perturb_loss"][key]),
                    "rouge_words": "rouge_score",
                    "rouge_l_recall": fields["rougeL_recall"][key],
                }
            )
    write_table(folder / "items.parquet", rows, WITH_ROUGE)
    return folder


FORMS = (as_dicts, as_lists, as_single_sets, as_open_unlearning, as_table)
# What the field of a set is called in each form, `{}` being open-unlearning's name of the set.
CALLED = {
    "avg_gt_loss": ("{}_Prob", "answer_nll"),
    "avg_paraphrased_loss": ("{}_PARA_Prob", "paraphrased_nll"),
    "average_perturb_loss": ("{}_PERT_Prob", "perturbed_nll"),
    "rougeL_recall": ("{}_ROUGE", "rouge_l_recall"),
}


@given(logs())
@settings(max_examples=25, deadline=None)
def test_every_form_of_a_log_gives_the_same_scores(log: Log) -> None:
    scores = []
    for form in FORMS:
        with TemporaryDirectory() as folder:
            scores.append(tofu_scores(read_log(form(log, Path(folder)))))
    assert scores[0].keys() > {"model_utility", "forget_truth_ratio"}
    for other in scores[1:]:
        # A table of ours knows of parts of the forget set too.
        assert {name: other[name] for name in scores[0]} == pytest.approx(scores[0], rel=1e-12, abs=1e-300)


@given(logs(), st.data())
@settings(max_examples=60, deadline=None)
def test_one_impossible_number_is_refused_with_its_set_field_and_item(log: Log, data: st.DataObject) -> None:
    field = data.draw(st.sampled_from(sorted(FIELDS)))
    file = data.draw(st.sampled_from(sorted(SET_FILES)))
    key = data.draw(st.sampled_from(sorted(log[file][field])))
    shares = st.floats(max_value=-1e-9) | st.floats(min_value=1.000001)
    wrong = data.draw(shares if field == "rougeL_recall" else st.floats(max_value=-1e-300))
    name, spoilt = SET_FILES[file], copy.deepcopy(log)
    if field == "average_perturb_loss":
        spoilt[file][field][key][data.draw(st.integers(0, 2))] = wrong
    else:
        spoilt[file][field][key] = wrong
    bare = field == "avg_paraphrased_loss" and name in ("real_authors", "world_facts")
    for form in FORMS:
        if bare and form in (as_open_unlearning, as_table):  # which have no such field
            continue
        with TemporaryDirectory() as folder, pytest.raises(UserError) as refused:
            read_log(form(spoilt, Path(folder)))
        metric, column = CALLED[field]
        called = {as_open_unlearning: metric.format(OF_SETS[file]), as_table: column}.get(form, field)
        place = list(log[file][field]).index(key) if form in (as_lists, as_single_sets) else key
        line = str(refused.value)
        assert line.startswith(folder) and "\n" not in line
        assert called in line and name in line and f": item {place}: " in line
        assert ("must be between 0 and 1" if field == "rougeL_recall" else "a loss is 0 or more") in line


@given(logs(), st.data())
@settings(max_examples=25, deadline=None)
def test_a_name_that_stands_twice_is_refused(log: Log, data: st.DataObject) -> None:
    """A set, a field or an item, in TOFU's dicts and in open-unlearning's metrics; `json` would drop the first one."""
    for content in (log, from_tofu(log)):
        outer = data.draw(st.sampled_from(sorted(content)))
        inner = data.draw(st.sampled_from([name for name, value in content[outer].items() if isinstance(value, dict)]))
        key = data.draw(st.sampled_from(sorted(content[outer][inner])))
        for place in ([outer], [outer, inner], [outer, inner, key]):
            with TemporaryDirectory() as folder:
                path = Path(folder, "log.json")
                path.write_text(_twice(content, place), encoding="utf-8")
                with pytest.raises(UserError) as refused:
                    read_log(path)
            assert str(refused.value) == ": ".join([str(path), *place[:-1], f"{place[-1]!r} stands twice"])


@pytest.fixture
def log() -> Log:
    """A log of four items a set."""
    made: Log = {}
    for number, (file, name) in enumerate(SET_FILES.items()):
        keys = [str(key) for key in range(4)]
        made[file] = {
            "avg_gt_loss": {key: 0.1 + 0.1 * number + 0.2 * int(key) for key in keys},
            "avg_paraphrased_loss": {key: 0.3 + 0.1 * int(key) for key in keys},
            "average_perturb_loss": {key: [1.0, 1.5 + 0.3 * int(key)] for key in keys},
            "rougeL_recall": {key: 0.2 + 0.2 * int(key) for key in keys},
            "generated_text": {key: [f"Who is {name} {key}?", "said", "an answer"] for key in keys},
        }
    return made


@pytest.mark.parametrize(
    ("field", "change", "guess"),
    [
        ("avg_gt_loss", lambda loss: -loss, "a loss is 0 or more (these look like log-probabilities: turn their sign)"),
        ("rougeL_recall", lambda share: 100 * share, "it must be between 0 and 1 (these look like per cent: divide them by 100)"),
        ("rougeL_recall", lambda share: -share, "it must be between 0 and 1"),
        ("rougeL_recall", lambda share: 1 + share / 1000, "it must be between 0 and 1"),
    ],
)
@pytest.mark.parametrize("form", FORMS)
def test_a_whole_field_of_another_scale_is_guessed(
    log: Log, tmp_path: Path, field: str, change: Callable[[float], float], guess: str, form: Callable[[Log, Path], Path]
) -> None:
    log["eval_log.json"][field] = {key: change(value) for key, value in log["eval_log.json"][field].items()}
    with pytest.raises(UserError) as refused:
        read_log(form(log, tmp_path))
    assert str(refused.value).endswith(guess)


def test_one_number_out_of_range_is_no_other_scale(log: Log, tmp_path: Path) -> None:
    for field, wrong in (("avg_gt_loss", -1.0), ("rougeL_recall", 60.0)):
        spoilt = copy.deepcopy(log)
        spoilt["eval_log.json"][field]["2"] = wrong
        with pytest.raises(UserError, match=rf"item 2: {wrong:g}: [^(]*\Z"):
            read_log(as_dicts(spoilt, tmp_path))


@pytest.mark.parametrize(
    ("column", "wrong"),
    [
        ("answer_tokens", 0),
        ("answer_tokens", -4),
        ("answer_tokens", None),
        ("paraphrased_tokens", None),
        ("perturbed_tokens", [2, 0]),
    ],
)
def test_a_count_that_is_none_is_refused(log: Log, tmp_path: Path, column: str, wrong: Any) -> None:
    path = as_table(log, tmp_path) / "items.parquet"
    rows = read_table(path)
    rows[1][column] = wrong
    write_table(path, rows, WITH_ROUGE)
    with pytest.raises(UserError, match=f"forget: {column}: item 1: .*a number of tokens is 1 or more"):
        read_log(path)


def test_the_log_of_retrain_as_the_models_own_is_said(log: Log, tmp_path: Path) -> None:
    """In text and in JSON; in another order and in another form it is the same log."""
    one, other = tmp_path / "one", tmp_path / "other"
    one.mkdir()
    other.mkdir()
    shuffled = copy.deepcopy(log)
    shuffled["eval_log_forget.json"] = {
        field: dict(reversed(values.items())) for field, values in log["eval_log_forget.json"].items()
    }
    path, copied = as_dicts(log, one), as_dicts(shuffled, other)
    for retrain in (path, copied, as_open_unlearning(log, other)):
        result = score_log(path, retrain)
        assert result["notes"] == [COPY]
        assert f"\nnote: {COPY}" in format_score(result)
    log["eval_log_forget.json"]["avg_gt_loss"]["3"] += 1e-6
    assert score_log(as_dicts(log, one), copied)["notes"] == []


def test_what_is_compared_against_advice_is_said(log: Log, tmp_path: Path) -> None:
    path = as_dicts(log, tmp_path)
    other = copy.deepcopy(log)
    for name, values in other["eval_log_forget.json"].items():
        other["eval_log_forget.json"][name] = {key: values[key] for key in ("0", "1", "2")}
    forget = other["eval_log_forget.json"]
    forget["average_perturb_loss"] = {key: [1.0] * 5 for key in forget["avg_gt_loss"]}
    retrain = _written(tmp_path / "retrain.json", other)
    assert score_log(path, retrain, allow_mismatch=True)["notes"] == [
        "the two logs are not of the same forget questions: 4 items against 3",
        "the truth ratio is over 2 wrong answers an item, in Retrain's log over 5",
    ]


def test_logs_without_questions_are_compared_by_their_number_and_say_so(log: Log, tmp_path: Path) -> None:
    path = as_dicts(log, tmp_path)
    unknown = copy.deepcopy(log)
    del unknown["eval_log_forget.json"]["generated_text"]
    unknown["eval_log_forget.json"]["avg_gt_loss"]["0"] += 1
    other = _written(tmp_path / "unknown.json", unknown)
    note = "the forget questions are not in both logs: their number alone was compared"
    assert score_log(path, other)["notes"] == score_log(other, path)["notes"] == [note]


@pytest.mark.parametrize(
    ("file", "field", "lost"),
    [
        ("eval_log_forget.json", "avg_paraphrased_loss", {"forget_truth_ratio", "forget_quality", "ks_statistic"}),
        ("eval_log.json", "avg_gt_loss", {"retain_probability", "model_utility"}),
        ("eval_log.json", "rougeL_recall", {"retain_rouge", "model_utility"}),
        (
            "eval_real_author_wo_options.json",
            "average_perturb_loss",
            {"real_authors_probability", "real_authors_truth_ratio", "model_utility"},
        ),
    ],
)
def test_what_nan_leaves_undefined_has_its_reason(log: Log, tmp_path: Path, file: str, field: str, lost: set[str]) -> None:
    (tmp_path / "retrain").mkdir()
    retrain = as_dicts(log, tmp_path / "retrain")
    for key in ("1", "2"):
        log[file][field][key] = [math.nan, 1.0] if field == "average_perturb_loss" else math.nan
    result = score_log(as_dicts(log, tmp_path), retrain)
    assert result["undefined"].keys() == lost
    reasons = {reason for name, reason in result["undefined"].items() if name != "model_utility"}
    assert reasons == {"ROUGE-L is missing in 2 of 4 items" if field == "rougeL_recall" else "a loss is NaN in 2 of 4 items"}
    text = format_score(result)
    for name, reason in result["undefined"].items():
        assert result.get(name) is None
        assert f"- ({reason})" in text
    assert ("model_utility" in lost) == result["undefined"].get("model_utility", "").startswith("it needs ")


def test_forget_quality_of_one_item_is_not_defined(log: Log, tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    path = as_dicts(log, tmp_path)
    log["eval_log_forget.json"] = {field: {"0": values["0"]} for field, values in log["eval_log_forget.json"].items()}
    one = as_dicts(log, tmp_path / "one")
    for first, second, reason in (
        (one, one, "its test needs 2 items, and there is one"),
        (one, path, "its test needs 2 items, and there is one"),
        (path, one, "Retrain's log: its test needs 2 items, and there is one"),
    ):
        result = score_log(first, second, allow_mismatch=True)
        assert result["forget_quality"] is result["ks_statistic"] is None
        assert result["undefined"]["forget_quality"] == reason


@pytest.mark.parametrize("form", [as_dicts, as_lists, as_open_unlearning])
def test_a_log_without_rouge_is_scored_without(log: Log, tmp_path: Path, form: Callable[[Log, Path], Path]) -> None:
    for fields in log.values():
        fields.setdefault("rougeL_recall", {})
    content = json.loads(form(log, tmp_path).read_text(encoding="utf-8"))
    for name in list(content):
        content[name].pop("rougeL_recall", None)
        if name.endswith("_ROUGE"):
            del content[name]
    result = score_log(_written(tmp_path / "log.json", content), None)
    assert result["parts"]["retain_probability"] is not None
    assert result["parts"]["retain_rouge"] is result["model_utility"] is None
    assert result["undefined"]["retain_rouge"] == "the log has no ROUGE-L of this set"


@pytest.mark.parametrize("form", [as_dicts, as_open_unlearning])
def test_a_rouge_of_0_that_rouge_score_cannot_help_is_left_out(
    log: Log, tmp_path: Path, form: Callable[[Log, Path], Path]
) -> None:
    """Its tokenizer finds no word in the right answer, so the 0 says nothing of what the model said."""
    fields = log["eval_log.json"]
    for key, text in (("0", "Чайник"), ("1", "茶"), ("2", "Чайник 2"), ("3", "tea")):
        fields["generated_text"][key][2] = text
        fields["rougeL_recall"][key] = 0.0
    path = form(log, tmp_path)
    if form is as_open_unlearning:
        content = json.loads(path.read_text(encoding="utf-8"))
        for key, item in content["retain_Q_A_ROUGE"]["value_by_index"].items():
            item["ground_truth"] = fields["generated_text"][key][2]
        _written(path, content)
    result = score_log(path, None)
    assert result["parts"]["retain_rouge"] is result["model_utility"] is None
    assert result["undefined"]["retain_rouge"] == "ROUGE-L is missing in 2 of 4 items"
    (note,) = result["notes"]
    assert note.startswith("retain: ROUGE of 2 of 4 items is left out: it is 0 and their right answers hold no letter a-z")
    # A ROUGE of another tokenizer stays.
    fields["rougeL_recall"] |= {"0": 0.5, "1": 0.25}
    assert score_log(as_dicts(log, tmp_path), None)["parts"]["retain_rouge"] == 0.1875


def test_a_table_without_the_words_of_its_rouge_was_read_by_rouge_score(log: Log, tmp_path: Path) -> None:
    path = as_table(log, tmp_path) / "items.parquet"
    frame = pd.read_parquet(path).assign(answer="茶", rouge_l_recall=0.0, rouge_words="unicode")
    frame.to_parquet(path)
    assert score_log(path, None)["parts"]["retain_rouge"] == 0
    frame.drop(columns="rouge_words").to_parquet(path)
    assert score_log(path, None)["parts"]["retain_rouge"] is None


def test_questions_in_another_normal_form_are_the_same(log: Log, tmp_path: Path) -> None:
    for folder, form in (("nfc", "NFC"), ("nfd", "NFD")):
        (tmp_path / folder).mkdir()
        for key, text in log["eval_log_forget.json"]["generated_text"].items():
            text[0] = unicodedata.normalize(form, f"\ufeffWho is Søren Café  {key}? ")
        as_dicts(log, tmp_path / folder)
    assert score_log(tmp_path / "nfc", tmp_path / "nfd")["forget_quality"] == 1


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-32"])
def test_a_byte_order_mark_and_blank_ends_do_no_harm(log: Log, tmp_path: Path, encoding: str) -> None:
    expected = score_log(as_dicts(log, tmp_path), None)
    path = tmp_path / "log.json"
    path.write_bytes(f"\n {json.dumps(log)}\r\n\n".encode(encoding))
    assert score_log(path, None) == expected


def test_a_lone_surrogate_in_a_text_does_no_harm(log: Log, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    log["eval_log_forget.json"]["generated_text"]["0"][0] = "Who is \ud83d?"
    path = as_dicts(log, tmp_path)
    assert main(["score", "tofu", "--log", str(path), "--retrain", str(path)]) == 0
    capsys.readouterr()
    other = copy.deepcopy(log)
    other["eval_log_forget.json"]["generated_text"]["0"][0] = "Who is 3?"
    assert main(["score", "tofu", "--log", str(path), "--retrain", str(_written(tmp_path / "other.json", other))]) == 2
    assert r"'Who is \ud83d?'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"\xef\xbb\xbf", "not JSON, or truncated: Expecting value"),
        (b"\x80\x81", "not JSON, or truncated: 'utf-8' codec can't decode byte 0x80"),
        (b"{}\x00\x00", "not JSON, or truncated: Extra data"),
        (b'{"a": ' + b"[" * 10000, "not JSON, or truncated: "),
        (b'{"a": ' + b"1" * 5000 + b"}", "not JSON, or truncated: Exceeds the limit"),
    ],
)
def test_what_is_no_json_has_its_cause(tmp_path: Path, content: bytes, says: str) -> None:
    path = tmp_path / "log.json"
    path.write_bytes(content)
    with pytest.raises(UserError) as refused:
        read_log(path)
    assert str(refused.value).startswith(f"{path}: {says}")


def test_two_logs_at_one_place_are_refused(log: Log, tmp_path: Path) -> None:
    as_dicts(log, tmp_path)
    as_open_unlearning(log, tmp_path)
    with pytest.raises(UserError, match=r"holds eval_log_aggregated.json and TOFU_EVAL.json: name one of them"):
        open_log(tmp_path)
    with pytest.raises(UserError, match=r"holds eval_log_forget.json of TOFU and metrics of open-unlearning: which are meant\?"):
        open_log(_written(tmp_path / "log.json", log | from_tofu(log)))
    (tmp_path / "apart").mkdir()
    for file in ("eval_log.json", "eval_log_forget.json"):
        _written(tmp_path / "apart" / file, log)
    with pytest.raises(UserError, match=r"set .* stands in another file of .*apart too"):
        open_log(tmp_path / "apart")


def _lists(fields: dict[str, Any]) -> dict[str, Any]:
    return {name: list(values.values()) for name, values in fields.items()}


def _twice(content: Any, place: list[str]) -> str:
    """JSON in which the name at the end of a place stands twice."""
    first, *rest = place
    parts = []
    for name, value in content.items():
        text = _twice(value, rest) if name == first and rest else json.dumps(value)
        parts.append(f"{json.dumps(name)}: {text}")
    if not rest:
        parts.append(f"{json.dumps(first)}: {json.dumps(content[first])}")
    return "{" + ", ".join(parts) + "}"


def _written(path: Path, content: Any) -> Path:
    path.write_text(json.dumps(content), encoding="utf-8")
    return path
