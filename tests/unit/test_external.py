"""Logs that others made, from the config to the page: what is kept of them, what they count for, and what is refused."""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from example_study import CONFIG, changed, inputs
from example_study import spec as told
from html_page import Page
from open_unlearning_example import real_forget_set
from report_example import PLAIN, block, numbers, spec, write_summary
from run_example import Results, identity, items, log_x, refusal, suite_rows, value
from scipy.stats import ks_2samp

from palimpsest.benchmarks.tofu.imported import hash_log
from palimpsest.benchmarks.tofu.items import completed
from palimpsest.benchmarks.tofu.undefined import COPY
from palimpsest.cli import main
from palimpsest.errors import UserError
from palimpsest.provenance.canonical import canonical_json, sha256_file
from palimpsest.provenance.manifest import content_of, read_manifest
from palimpsest.report.report import write_report
from palimpsest.stages import external, summarise
from palimpsest.study.description import resolve_config
from palimpsest.study.files import read_configs
from palimpsest.study.stages import external_of
from palimpsest.study.study import Study

ROOT = Path(__file__).resolve().parents[2]
PLACE = {"benchmark": "tofu", "split": "forget05", "model": "tiny", "seed": 0, "suite": "tofu"}
POISON = "</p><script>alert(1)</script>"


@pytest.fixture
def study(tmp_path: Path) -> Results:
    """Original, Retrain and one method, of one seed."""
    results, rng = Results(tmp_path / "results"), np.random.default_rng(3)
    for level, (method, variant) in enumerate([("original", ""), ("retrain", ""), ("npo", "default")], start=1):
        results.evaluate(identity(method, variant), suite_rows(rng, 0.1 * level))
    return results


def take(study: Results, monkeypatch: pytest.MonkeyPatch, log: Path, retrain: Path | None = None, planned: Any = None) -> Path:
    """Run the stage."""
    given = [None if path is None else {"path": str(path), "files": hash_log(path)} for path in (log, retrain)]
    asked = {
        "name": "theirs",
        "kind": "tofu",
        "place": PLACE,
        "source": "https://example.org",
        "log": planned or given[0],
        "retrain": given[1],
    }
    inputs = [] if retrain else [("retrain", study.items_path(identity("retrain", "")).parent)]
    out = study.run_folder(identity("original", "")).parent / "external" / "theirs"
    return study.stage(monkeypatch, external, asked, inputs, out)


def in_summary(study: Results, monkeypatch: pytest.MonkeyPatch, folder: Path) -> Path:
    """Run the summary of the study with one imported log."""
    inputs = [("scores:run", study.score(monkeypatch, run)) for run in study.runs()]
    return study.stage(monkeypatch, summarise, {}, [*inputs, ("external:theirs", folder)], study.root / "summary")


def test_an_official_log_reaches_the_summary_with_the_official_numbers(
    shared: Path, study: Results, monkeypatch: pytest.MonkeyPatch
) -> None:
    logs = shared / "data" / "tofu_eval_logs"
    expected = json.loads((logs / "expected.json").read_text(encoding="utf-8"))
    folder = take(study, monkeypatch, logs / "llama2-7b_full", logs / "llama2-7b_retain90")
    summary = in_summary(study, monkeypatch, folder)

    table = pd.read_csv(summary / "summary.csv", keep_default_na=False, na_values={"epoch": ""})
    golden = expected["forget_quality"][0]
    assert value(table, "forget_quality", "theirs") == pytest.approx(golden["p_value"], rel=1e-9)
    assert value(table, "ks_statistic", "theirs") == pytest.approx(golden["ks_statistic"], rel=1e-9)
    official = expected["model_utility"]["llama2-7b_full"]
    assert value(table, "model_utility", "theirs") == pytest.approx(official["Model Utility"], rel=0, abs=1e-9)
    assert value(table, "forget_truth_ratio", "theirs") == pytest.approx(official["Truth Ratio Forget"], rel=0, abs=1e-9)
    # Byte for byte, and said to be imported from where the config says.
    for kept, given in (("log", "llama2-7b_full"), ("retrain", "llama2-7b_retain90")):
        name = "eval_log_aggregated.json"
        assert (folder / kept / name).read_bytes() == (logs / given / name).read_bytes()
    said = json.loads((folder / "provenance.json").read_text(encoding="utf-8"))
    assert (said["origin"], said["source"]) == ("imported", "https://example.org")
    assert (said["log"]["form"], said["log"]["questions"]) == ("TOFU dicts", True)
    assert said["log"]["items"] == {"forget": 300, "retain": 300, "real_authors": 100, "world_facts": 117}
    assert "normalized_gt_loss" in said["log"]["unread"]
    (row,) = pd.read_csv(summary / "artefacts.csv", dtype=str).query("method == 'theirs'").to_dict("records")
    assert row["manifest"] == "tofu/tiny/forget05/external/theirs/manifest.json"
    assert row["sha256"] == content_of(read_manifest(folder / "manifest.json"))


def test_without_a_retrain_of_its_own_the_study_s_judges(study: Results, monkeypatch: pytest.MonkeyPatch) -> None:
    path = study.items_path(identity("npo", "default"))
    scores = pd.read_parquet(take(study, monkeypatch, path) / "scores.parquet")
    test = ks_2samp(log_x(items(study, "npo", "default")), log_x(items(study, "retrain")))
    assert value(scores, "forget_quality", "theirs") == pytest.approx(test.pvalue, rel=1e-12)


def test_doubts_about_a_log_stand_in_its_artefact(study: Results, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    retrain = study.items_path(identity("retrain", ""))
    for own in (None, retrain):
        said = json.loads((take(study, monkeypatch, retrain, own) / "provenance.json").read_text(encoding="utf-8"))
        assert (said["notes"], said["undefined"]) == ([COPY], {})
    table = completed(pd.read_parquet(study.items_path(identity("npo", "default"))))
    table.loc[table["id"] == "forget-03", "paraphrased_nll"] = np.nan
    table.loc[table["set"] == "retain", "rouge_l_recall"] = np.nan
    table[table["set"] != "world_facts"].to_parquet(tmp_path / "items.parquet")
    folder = take(study, monkeypatch, tmp_path / "items.parquet")
    said = json.loads((folder / "provenance.json").read_text(encoding="utf-8"))
    ratio = "a loss is NaN in 1 of 12 items"
    assert said["undefined"] == {
        "forget_truth_ratio": ratio,
        "forget_quality": ratio,
        "retain_rouge": "ROUGE-L is missing in 9 of 9 items",
        "model_utility": "it needs retain_rouge, and 3 more of its parts",
    }
    assert said["notes"] == []
    assert not set(said["undefined"]) & set(pd.read_parquet(folder / "scores.parquet")["metric"])


@pytest.mark.parametrize("number", [-0.5, 101.0])
def test_an_impossible_number_in_a_log_is_one_line(
    study: Results, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str], number: float
) -> None:
    log = real_forget_set()
    log["forget_Q_A_ROUGE"]["value_by_index"]["3"]["rougeL_recall"] = number
    path = tmp_path / "TOFU_EVAL.json"
    path.write_text(json.dumps(log), encoding="utf-8")
    said = refusal(lambda: take(study, monkeypatch, path), capsys)
    place = f"{path}: forget_Q_A_ROUGE (forget): rougeL_recall: item 3"
    assert said == f"palimpsest external: {place}: {number:g}: it must be between 0 and 1"


def test_other_questions_than_those_of_retrain_are_refused(
    study: Results, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log = tmp_path / "TOFU_EVAL.json"
    log.write_text(json.dumps(real_forget_set()), encoding="utf-8")
    said = refusal(lambda: take(study, monkeypatch, log), capsys)
    assert f"{log}: other forget questions than Retrain in" in said and "8 items against 12" in said
    retrain = study.items_path(identity("retrain", ""))
    said = refusal(lambda: take(study, monkeypatch, log, retrain), capsys)
    assert f"{log}: other forget questions than Retrain in {retrain}: 8 items against 12" in said


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("<script>", "not JSON, or truncated"),
        ('{"forget_Q_A_Prob": ', "not JSON, or truncated"),
        ("[1]", "must be an object, not a list"),
        ("{}", "it has none of eval_log_forget.json"),
        ('{"eval_log.json": {"avg_gt_loss": [0.1], "avg_paraphrased_loss": [0.1]}}', "average_perturb_loss: Field required"),
        (
            '{"eval_log.json": {"avg_gt_loss": [0.1], "avg_paraphrased_loss": [0.1], "average_perturb_loss": [[0.1]],'
            ' "rougeL_recall": [1.0]}}',
            "no forget set: the log has no such set",
        ),
    ],
)
def test_what_is_no_log_is_one_line(
    study: Results, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str], content: str, says: str
) -> None:
    log = tmp_path / "log.json"
    log.write_text(content, encoding="utf-8")
    said = refusal(lambda: take(study, monkeypatch, log), capsys)
    assert said.startswith(f"palimpsest external: {log}") and says in said


def test_a_log_that_changed_since_the_run_was_planned_is_refused(
    study: Results, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = study.items_path(identity("npo", "default"))
    planned = {"path": str(path), "files": {path.name: "0" * 64}}
    said = refusal(lambda: take(study, monkeypatch, path, planned=planned), capsys)
    assert "it changed after this run was planned" in said


def entry(**changes: Any) -> dict[str, Any]:
    """An entry of the config, beside the blocks of the example."""
    place = {"benchmark": "tofu", "split": "forget10", "model": "tiny", "log": "log.json"}
    return place | {"label": "SimNPO, theirs", "source": "https://example.org"} | changes


def configured(**entries: dict[str, Any]) -> dict[str, Any]:
    return changed(("external",), entries)


@pytest.mark.parametrize(
    ("name", "changes", "line"),
    [
        ("simnpo", {}, "external: simnpo: this is the name of a method; an imported log needs another name"),
        ("retrain", {}, "external: retrain: 'retrain' is the name of a folder of the results; choose another name"),
        (
            "../up",
            {},
            """external: "../up": '../up' is not a name: use letters, digits, . _ + -, and start with a letter or digit""",
        ),
        ("x", {"split": "forget05"}, "external: x: no block evaluates models of tofu/forget05/tiny with suite tofu"),
        ("x", {"model": "large"}, "external: x: model: unknown model 'large'; allowed: tiny"),
        ("x", {"benchmark": "muse"}, "external: x: benchmark: unknown benchmark 'muse'; allowed: tofu"),
        ("x", {"suite": "lm-eval"}, "external: x: suite: lm-eval is of kind lm-eval; expected kind tofu"),
        ("x", {"label": ""}, "external: x: label: '': string should have at least 1 character"),
        ("x", {"log": "gone.json"}, "external: x: log: there is no 'gone.json'; expected a log, or a folder with a log"),
        ("x", {"retrain": "gone"}, "external: x: retrain: there is no 'gone'; expected a log, or a folder with a log"),
    ],
)
def test_a_mistake_in_the_config_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, changes: dict[str, Any], line: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("log.json").write_text("{}", encoding="utf-8")
    with pytest.raises(UserError) as refused:
        Study(configured(**{name: entry(**changes)}))
    assert str(refused.value) == f"config: {line}"


THEIRS = "tofu/tiny/forget10/external/theirs"


def test_the_bytes_of_a_log_are_its_identity_and_its_label_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("log.json").write_text("{}", encoding="utf-8")

    def asked(**changes: Any) -> tuple[Any, Any]:
        study = Study(configured(theirs=entry(**changes)))
        return told(study, THEIRS), told(study, "report")

    before = asked()
    assert before[0]["log"] == {"files": {"log.json": sha256_file(Path("log.json"))}, "path": "log.json"}
    assert [new == old for new, old in zip(asked(label="SimNPO"), before, strict=True)] == [True, False]
    assert asked(source="elsewhere")[0] != before[0]
    Path("log.json").write_text("{ }", encoding="utf-8")
    assert asked()[0] != before[0]
    study = Study(configured(theirs=entry()))
    assert inputs(study, THEIRS) == {"retrain": "tofu/tiny/forget10/seed0/retrain/eval/tofu"}
    assert inputs(Study(configured(theirs=entry(retrain="log.json"))), THEIRS) == {}
    assert Study(resolve_config(study)).config == Study(resolve_config(Study(resolve_config(study)))).config


def test_a_study_without_such_logs_is_described_as_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    study = Study(CONFIG)
    assert "external" not in canonical_json(resolve_config(study))
    assert not told(study, "report")["study"]["blocks"][0]["external"]


def theirs(**more: Any) -> dict[str, Any]:
    """What the summary says of an imported log."""
    log = {
        "form": "open-unlearning",
        "files": {f"{POISON}.json": {"sha256": "cd" * 32, "size": 7}},
        "items": {"forget": 8},
        "questions": False,
    }
    log |= {"missing": {"retain": "the log has no retain_Q_A_Prob"}, "unread": []}
    said = {"origin": "imported", "source": POISON, "log": log, "retrain": None, "undefined": {}, "notes": []}
    return {"name": "theirs", **PLACE, **said} | more


def report(folder: Path, *, imported: bool) -> Path:
    """A report on a study whose table an imported model leads in everything."""
    rows = numbers(PLAIN)
    labels = {"theirs": f"Theirs {POISON}"} if imported else {}
    if imported:
        rows += [row | {"variant": ""} for row in numbers({"theirs": {0: {"forget_quality": 0.99, "model_utility": 0.98}}})]
    write_summary(folder / "summary", rows)
    if imported:
        (folder / "summary" / "external.json").write_text(
            json.dumps([theirs(undefined={"forget_quality": "a loss is NaN in 1 of 8 items"}, notes=[COPY])]), encoding="utf-8"
        )
        for name in ("truth_ratios", "examples"):  # which no log gives the summary
            path = folder / "summary" / f"{name}.parquet"
            pd.read_parquet(path).query("method != 'theirs'").to_parquet(path, index=False)
    (folder / "report").mkdir()
    write_report(spec(block(external=labels)), folder / "summary", folder / "report")
    return folder / "report"


def test_an_imported_model_is_shown_marked_escaped_and_counted_by_nothing(tmp_path: Path) -> None:
    alone, beside = report(tmp_path / "alone", imported=False), report(tmp_path / "beside", imported=True)

    text = (beside / "report.html").read_text(encoding="utf-8")
    assert "alert(1)" in text and Page(text).runs_its_own_scripts()
    page = Page(text).text
    for said in (
        f"Theirs {POISON}",
        "imported, not made here",
        f"from “{POISON}” as the config says",
        "Without retain: the log has no retain_Q_A_Prob.",
        "against this study's Retrain of seed 0, which was asked as many questions; the log does not say which it was asked.",
        "No forget quality: a loss is NaN in 1 of 8 items.",
        f"Note: {COPY}.",
        "cd" * 6,
        f"Theirs {POISON} (imported)",
    ):
        assert said in page
    # Whatever is said, drawn or counted of the study's own models stays as it was.
    for figure in (alone / "figures").glob("*.svg"):
        assert (beside / "figures" / figure.name).read_bytes() == figure.read_bytes()
    without = Page((alone / "report.html").read_text(encoding="utf-8")).text
    assert _section(page, "What came out") == _section(without, "What came out")
    table = pd.read_csv(beside / "tables" / "table1.csv", keep_default_na=False, dtype=str)
    assert table.iloc[-1][["method", "seeds", "origin", "forget_quality"]].tolist() == ["theirs", "", "imported", "0.99"]
    assert (
        table.iloc[:-1]
        .drop(columns="origin")
        .equals(pd.read_csv(alone / "tables" / "table1.csv", keep_default_na=False, dtype=str))
    )


def _section(text: str, title: str) -> str:
    """What a page says from the heading of a section on to the next but one use of `Forgetting and utility`."""
    return text.rpartition(title)[2].partition("Forgetting and utility")[0]


def test_the_example_of_the_page_is_a_study_and_its_log_is_scored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    text = (ROOT / "docs/external-logs.md").read_text(encoding="utf-8")
    example, command = (re.findall(f"```{kind}\n(.*?)```", text, flags=re.DOTALL)[0] for kind in ("yaml", "console"))
    config = read_configs([ROOT / "config.yaml"]) | yaml.safe_load(example)
    (entry,) = config["external"].values()
    monkeypatch.chdir(tmp_path)
    for key in ("log", "retrain"):
        Path(entry[key]).parent.mkdir(parents=True)
        Path(entry[key]).write_text(json.dumps(real_forget_set()), encoding="utf-8")

    study = Study(config)
    assert f"results/{external_of(study, 'openunlearning-simnpo').path}" in text
    assert main(command.splitlines()[0].removeprefix("$ palimpsest ").split()) == 0
    assert "forget quality              1\n" in capsys.readouterr().out
