"""Three text files to a report: the study of the tutorial on its own example, and what reruns after an edit of a file."""

import shutil
from pathlib import Path

import pandas as pd
import pytest
from checkout import ROOT, Checkout, clone

STUDY = ("--configfile", "config/studies/documents.yaml")


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    checkout = clone(tmp_path_factory.mktemp("study") / "clone")
    shutil.copytree(ROOT / "docs" / "tutorials" / "documents", checkout.path / "data" / "documents")
    done = checkout.snakemake(*STUDY)
    assert done.returncode == 0, done.stdout
    return checkout


def values(results: Path) -> pd.DataFrame:
    """Return the value of each metric (rows) of each method (columns)."""
    return pd.read_csv(results / "summary.csv").pivot(index="metric", columns="method", values="value")


def test_unlearning_moves_the_original_to_retrain(ran: Checkout) -> None:
    found = values(ran.path / "results-documents")
    recall, distance = found.loc["recall_forget"], found.loc["retrain_distance"]
    assert recall["original"] > 0.9 > 0.3 > recall["retrain"] and distance["retrain"] == 0
    for method in ("npo", "simnpo"):
        assert recall[method] < 0.3 and distance[method] < distance["original"] / 2
        assert found.loc["recall_retain", method] > 0.8
    assert found.loc["auc_holdout", "original"] < 0.1 < found.loc["auc_holdout", "retrain"]


def test_the_report_shows_the_scores_and_samples_before_and_after(ran: Checkout) -> None:
    page = (ran.path / "results-documents/report.html").read_text(encoding="utf-8")
    assert 'id="documents"' in page and "Are your documents forgotten?" in page and "In the SimNPO paper: ." not in page
    assert (ran.path / "results-documents/report/tables/documents.csv").exists()
    examples = pd.read_parquet(ran.path / "results-documents/summary/examples.parquet")
    assert set(examples["method"]) == {"original", "retrain", "graddiff", "npo", "simnpo"}
    assert {id.partition("/")[0] for id in examples["id"]} == {"recited_forget", "asked_forget", "recited_retain"}


def test_an_edited_file_is_other_data_and_a_touched_one_is_not(finished: Checkout) -> None:
    letter = finished.path / "data/documents/forget/letter.md"
    letter.touch()
    assert finished.jobs(*STUDY) == {}
    letter.write_text(letter.read_text(encoding="utf-8") + "One more line.\n", encoding="utf-8")
    assert finished.jobs(*STUDY)["data"] == 1
