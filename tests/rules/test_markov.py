"""The Markov-chain study as a DAG: what it makes, what reruns when something changes, and what its numbers are."""

import shutil

import pandas as pd
import pytest
from checkout import Checkout

STUDY = ("--configfile", "config/test/markov.yaml")
END = {"summarise": 1, "page": 1, "publish": 1, "all": 1}
RUNS = {"scores": 3, **END}
# Of GPT-2 Retrain, and by split an original, two evaluations and three trials; of the official model one split with four trials.
MADE = {"draw": 1, "finetune": 3 + 2, "evaluate": 4 + 2, "unlearn": 6 + 4}


def test_both_splits_share_the_sequences_and_retrain(checkout: Checkout) -> None:
    assert checkout.jobs(*STUDY) == {**MADE, **RUNS}
    assert checkout.jobs("retrained", *STUDY) == {"draw": 1, "finetune": 2, "retrained": 1}
    assert checkout.jobs("originals", *STUDY) == {"draw": 1, "finetune": 3, "originals": 1}


def test_the_numbers_of_a_study(ran: Checkout) -> None:
    numbers = pd.read_csv(ran.path / "results/summary.csv", keep_default_na=False)
    assert set(numbers["benchmark"]) == {"markov"}
    assert set(numbers["metric"]) == {f"kl_{chain}{end}" for chain in ("retain", "forget1", "forget2") for end in ("", "_se")}
    assert (numbers["value"].astype(float) > 0).all()
    for split in ("lengths", "memorisation"):
        rows = numbers[(numbers["split"] == split) & (numbers["model"] == "gpt2")]
        models = {(row.method, row.variant): sorted(each["epoch"]) for row, each in _by_model(rows)}
        assert set(models) == {
            ("original", ""),
            ("retrain", ""),
            ("npo", "default"),
            ("npo", "beta-0.05"),
            ("simnpo", "default"),
        }
        for (method, _), epochs in models.items():
            assert set(epochs) == ({""} if method in ("original", "retrain") else {"0", "1", "2", "3"})
    # All trials start from the same original, and are looked at on the same sequences; another draw forgets other ones.
    for _, rows in numbers[numbers["split"] == "lengths"].groupby("model"):
        assert rows[rows["epoch"] == "0"].groupby("metric")["value"].nunique().eq(1).all()
    official = numbers[(numbers["model"] == "official") & (numbers["epoch"] == "3")]
    assert official.groupby(["method", "metric"])["value"].nunique().eq(2).all()
    shown = pd.read_csv(ran.path / "results/report/tables/markov.csv")
    assert shown[shown["model"] == "official"].groupby("method")["draw"].agg(list).to_dict() == {"npo": [0, 1], "simnpo": [0, 1]}


def test_every_page_of_a_study_without_texts_is_there(ran: Checkout) -> None:
    page = (ran.path / "results/report.html").read_text(encoding="utf-8")
    assert 'id="markov"' in page
    assert (ran.path / "results/report/tables/markov.csv").exists()
    assert (ran.path / "results/report/figures/markov.svg").exists()
    cost = pd.read_csv(ran.path / "results/cost.csv")
    assert cost["measured"].sum() == cost["jobs"].sum() == sum(MADE.values()) - 1


def test_a_finished_study_has_nothing_to_do(finished: Checkout) -> None:
    assert finished.jobs(*STUDY) == {}


@pytest.mark.parametrize(
    ("text", "jobs"),
    [
        # The patterns of one architecture are nothing to the other.
        ('methods: {"markov/*/official/*": {adam_epsilon: 1.0e-7}}', {"unlearn": 4, "scores": 1}),
        ('methods: {"markov/lengths/gpt2/npo": {beta: 0.3}}', {"unlearn": 1, "scores": 1}),
        ("benchmarks: {markov: {watched: 12}}", {"unlearn": 10, "scores": 3}),
        # Forget2 is shorter in one split: Retrain never saw it.
        (
            "benchmarks: {markov: {splits: {lengths: {forget2_length: 3}}}}",
            {"finetune": 2, "evaluate": 4, "unlearn": 7, "scores": 2},
        ),
        (
            'finetuning: {"markov/memorisation/gpt2": {epochs: 3}}',
            {"finetune": 1, "evaluate": 1, "unlearn": 3, "scores": 1},
        ),
    ],
)
def test_a_setting_reruns_what_depends_on_it(finished: Checkout, text: str, jobs: dict[str, int]) -> None:
    assert finished.overlaid(STUDY[1], text) == {**jobs, **END}


def test_an_objective_reruns_its_method(finished: Checkout) -> None:
    finished.edit("src/palimpsest/methods/simnpo.py", "-2 / self.beta", "-2.0 / self.beta")
    assert finished.jobs(*STUDY) == {"unlearn": 4, **RUNS}


def test_another_seed_has_everything_of_its_own(finished: Checkout) -> None:
    finished.edit(STUDY[1], "seeds: [0]", "seeds: [0, 1]")
    assert finished.jobs(*STUDY) == {**MADE, **RUNS}


def test_what_is_made_again_has_the_same_bytes(finished: Checkout) -> None:
    results = finished.path / "results/markov"
    wanted = [
        results / "seed0/data/manifest.json",
        results / "gpt2/retain/seed0/retrain/model/manifest.json",
        results / "gpt2/memorisation/seed0/unlearn/npo/default/model/manifest.json",
    ]
    before = [path.read_bytes() for path in wanted]
    for path in wanted:
        shutil.rmtree(path.parent)
    again = finished.snakemake(*(str(path.relative_to(finished.path)) for path in wanted), *STUDY)
    assert again.returncode == 0, again.stdout
    assert [path.read_bytes() for path in wanted] == before


def _by_model(rows: pd.DataFrame):
    for _, each in rows.groupby(["method", "variant"]):
        yield each.iloc[0], each
