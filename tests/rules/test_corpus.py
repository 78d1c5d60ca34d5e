"""Studies of corpora as a DAG: what splits share, what requests reuse, what reruns, and the numbers."""

import json

import pandas as pd
import pytest
from checkout import Checkout

from palimpsest.provenance.manifest import content_of, read_manifest

STUDY = ("--configfile", "config/test/corpus.yaml")
END = {"summarise": 1, "page": 1, "publish": 1, "all": 1}
MUSE = {"verbmem_f", "knowmem_f", "knowmem_r", "auc_min_k", "privleak"}


def test_the_numbers_of_a_study(ran: Checkout) -> None:
    numbers = pd.read_csv(ran.path / "results/summary.csv", keep_default_na=False)
    finished = numbers[numbers["epoch"] == ""]
    of = {(row.benchmark, row.split, row.method, row.variant): set(each["metric"]) for row, each in _by_model(finished)}
    muse = {metric for name in MUSE for metric in (name, f"{name}_low", f"{name}_high")}
    assert {key for key in of if key[0] == "muse"} == {
        ("muse", "forget", "original", ""),
        ("muse", "forget", "retrain", ""),
        ("muse", "forget", "npo", "default"),
        ("muse", "forget", "simnpo", "selected"),
        ("muse", "forget", "task-vector", "default"),
        ("muse", "request2", "npo", "default"),
    }
    assert all(metrics == muse for key, metrics in of.items() if key[0] == "muse")
    assert {key[2]: metrics for key, metrics in of.items() if key[0] == "wmdp"}.keys() == {"original", "rmu", "npo"}
    assert all({"hazards/acc", "general/acc"} <= metrics for key, metrics in of.items() if key[0] == "wmdp")
    retrain = finished[(finished["method"] == "retrain") & (finished["metric"] == "privleak")]
    assert retrain["value"].astype(float).tolist() == [0.0]
    trials = pd.read_csv(ran.path / "results/summary/selections.csv")
    assert set(zip(trials["benchmark"], trials["split"], trials["method"], strict=True)) == {("muse", "forget", "simnpo")}
    assert trials["selected"].sum() == 1
    cost = pd.read_csv(ran.path / "results/cost.csv")
    assert cost["measured"].sum() == cost["jobs"].sum()


def test_an_attack_on_a_corpus_has_its_scores_beside_an_attacked_retrain(ran: Checkout) -> None:
    numbers = pd.read_csv(ran.path / "results/summary.csv", keep_default_na=False)
    attacked = numbers[(numbers["attack"] == "relearn-random") & (numbers["benchmark"] == "muse")]
    assert {*attacked["method"]} == {"npo", "retrain"}
    for _, of in attacked.groupby(["method", "epoch"]):
        # A mean over two draws and its spread.
        assert {metric for name in MUSE for metric in (name, f"{name}_sd")} <= {*of["metric"]}
    assert {*attacked["epoch"]} == {"0", "1"}
    page = (ran.path / "results/report.html").read_text(encoding="utf-8")
    assert 'id="relearning"' in page and "KnowMem, forget set" in page


def test_relearning_hazards_has_the_accuracy_after_every_epoch(ran: Checkout) -> None:
    numbers = pd.read_csv(ran.path / "results/summary.csv", keep_default_na=False)
    attacked = numbers[(numbers["attack"] == "relearn-random") & (numbers["benchmark"] == "wmdp")]
    # WMDP has no Retrain.
    assert {*attacked["method"]} == {"npo"} and {*attacked["epoch"]} == {"0", "1"}
    before = attacked[attacked["epoch"] == "0"].set_index("metric")["value"]
    finished = numbers[(numbers["benchmark"] == "wmdp") & (numbers["method"] == "npo") & (numbers["epoch"] == "")]
    assert before["hazards/acc"] == finished.set_index("metric")["value"]["hazards/acc"]
    left = pd.read_csv(ran.path / "results/report/tables/robustness.csv")
    assert {*left.loc[left["benchmark"] == "wmdp", "metric"]} == {"hazards/acc"}


def test_the_pages_of_texts_are_there(ran: Checkout) -> None:
    page = (ran.path / "results/report.html").read_text(encoding="utf-8")
    for name in ("muse", "requests", "wmdp"):
        assert f'id="{name}"' in page
        assert (ran.path / f"results/report/tables/{name}.csv").exists()


def test_four_steps_are_four_steps(ran: Checkout) -> None:
    log = (
        (ran.path / "results/wmdp/tiny-corpus/forget/seed0/unlearn/npo/default/model/training_log.jsonl").read_text().splitlines()
    )
    assert [json.loads(line)["step"] for line in log] == [0, 1, 2, 3]


def test_the_selection_is_among_epochs(ran: Checkout) -> None:
    selection = json.loads((ran.path / "results/muse/tiny-corpus/forget/selection/simnpo/selection.json").read_text())
    assert selection["epoch"] in (1, 2) and "smallest mean |PrivLeak|" in selection["reason"]


def test_a_finished_study_has_nothing_to_do(finished: Checkout) -> None:
    assert finished.jobs(*STUDY) == {}


@pytest.mark.parametrize(
    ("text", "jobs"),
    [
        # What a request is unlearned with says nothing of the one before.
        ('methods: {"muse/request2/tiny-corpus/npo": {beta: 0.3}}', {"unlearn": 1, "evaluate": 1, "scores": 1}),
        # But the one before says what the request starts from, and so what its reference is.
        (
            'methods: {"muse/forget/tiny-corpus/npo": {beta: 0.3}}',
            {"unlearn": 2, "attack": 1, "reference": 1, "evaluate": 2, "scores": 2},
        ),
        ('methods: {"wmdp/*/tiny-corpus/rmu": {steering: 3.0}}', {"unlearn": 1, "evaluate": 1, "scores": 1}),
        ("benchmarks: {muse: {retrain_auc: 0.5}}", {"scores": 2}),
        ('selections: {"muse/*/tiny-corpus/simnpo": {keep: 0.5}}', {"select": 1, "unlearn": 1, "evaluate": 1, "scores": 1}),
    ],
)
def test_what_reruns(finished: Checkout, text: str, jobs: dict[str, int]) -> None:
    assert finished.overlaid(STUDY[1], text) == {**jobs, **END}


@pytest.mark.parametrize("split", ["request3", "scale2"])
def test_one_more_split_takes_what_is_there(finished: Checkout, split: str) -> None:
    """A further request goes on from the last one's model, a larger forget set from the original; both have their Retrain."""
    finished.edit(STUDY[1], "splits: [request2]", f"splits: [request2, {split}]")
    made = {"split": 1, "reference": 1, "unlearn": 1, "evaluate": 1, "scores": 1}
    assert finished.jobs(*STUDY) == {**made, **END}


def test_only_what_reads_a_source_depends_on_its_code(finished: Checkout) -> None:
    finished.edit("src/palimpsest/benchmarks/wmdp/world.py", "def make_dataset(", "CHANGED = 1\n\n\ndef make_dataset(")
    jobs = finished.jobs(*STUDY)
    assert jobs["data"] == jobs["base_tiny"] == 1 and "finetune" not in jobs


def test_retrain_cannot_be_another(finished: Checkout) -> None:
    """The manifest of scores names the very Retrain that PrivLeak was taken against."""
    folder = finished.path / "results/muse/tiny-corpus"
    scores = json.loads((folder / "request2/seed0/scores/manifest.json").read_text())
    evaluated = folder / "forget/seed0/retrain/eval/muse/manifest.json"
    assert scores["inputs"]["retrain:seed0/muse"] == content_of(read_manifest(evaluated))


def _by_model(rows: pd.DataFrame) -> list[tuple[pd.Series, pd.DataFrame]]:
    groups = rows.groupby(["benchmark", "split", "method", "variant"])
    return [(each.iloc[0], each) for _, each in groups]
