"""Markov chains: what is read off paths as computed by hand, verdicts that follow it, and pages of such studies."""

import re
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest
from html_page import Page
from markov_example import chains, rows
from question_example import answered, drawn, evidence, judged, panels, question
from report_example import PLAIN, WATCHED, block, numbers, spec, watched, write_summary

from palimpsest.report.questions import all_questions
from palimpsest.report.report import write_report

RETRAIN, START = (0.0, 0.4, 0.3), (0.0, 0.0, 0.0)
# To Retrain's 0.3 on Forget2 at a retain distance of 0.3 and 0.15; on the way to 0.4 Forget1 and Forget2 are 0.2 and 0.05 apart.
DEAR, CHEAP = [START, (0.4, 0.8, 0.4)], [START, (0.4, 0.7, 0.8)]
SHORT = [START, (0.4, 0.8, 0.2)]
PAYS = "NPO pays a larger retain distance than SimNPO to forget short sequences as far as Retrain"
UNEVEN = "NPO forgets learnt and unlearnt chains less evenly than SimNPO"


def models(npo, simnpo, **others):
    """Finished models and the paths of both methods, a list a method with an entry a seed."""
    paths = {"npo": npo, "simnpo": simnpo} | others
    seeds = range(max(map(len, paths.values())))
    return {"original": dict.fromkeys(seeds, START), "retrain": dict.fromkeys(seeds, RETRAIN)} | {
        name: dict(enumerate(of)) for name, of in paths.items() if of
    }


def case(tmp_path, of, *splits, blocks=None):
    splits = splits or ("lengths",)
    found = [row for split in splits for row in rows(of, split)]
    names = [name for name in of if name not in ("original", "retrain")]
    return evidence(tmp_path, found, *(blocks or [chains(*names, split=split) for split in splits]))


def test_numbers_are_read_off_each_path(tmp_path):
    found = answered("markov", case(tmp_path, models([DEAR, DEAR], [CHEAP, CHEAP]))).numbers
    assert found["seed"].tolist() == [0, 1, 0, 1]
    npo, _, simnpo, _ = found.drop(columns=["benchmark", "split", "model", "seed", "draw", "method", "variant"]).to_dict(
        "records"
    )
    levels = {"retrain_forget1": 0.4, "retrain_forget2": 0.3, "equal_retain": 0.4}
    assert npo == pytest.approx(
        levels
        | {"retain_at_retrain_forget1": 0.2, "retain_at_retrain_forget2": 0.3}
        | {"forget1_at_equal": 0.8, "forget2_at_equal": 0.4, "mean_gap": 0.2}
    )
    assert simnpo == pytest.approx(
        levels
        | {"retain_at_retrain_forget1": 0.4 * 4 / 7, "retain_at_retrain_forget2": 0.15}
        | {"forget1_at_equal": 0.7, "forget2_at_equal": 0.8, "mean_gap": 0.05}
    )


@pytest.mark.parametrize(
    ("npo", "simnpo", "word"),
    [
        ([DEAR] * 5, [CHEAP] * 5, "holds"),
        ([CHEAP] * 5, [DEAR] * 5, "does not hold"),
        ([DEAR, CHEAP] * 3, [CHEAP, DEAR] * 3, "undecided"),
        ([DEAR], [CHEAP], "undecided"),
    ],
)
def test_the_verdicts_follow_the_paths(tmp_path, npo, simnpo, word):
    found = judged("markov", case(tmp_path, models(npo, simnpo), "lengths", "memorisation"))
    assert [each.word for claim in (PAYS, UNEVEN) for each in found[claim]] == [word, word]


@pytest.mark.parametrize(
    ("npo", "simnpo", "reason"),
    [
        ([SHORT, *[DEAR] * 4], [CHEAP] * 5, "never forgotten that far by NPO in 1 of 5 seeds"),
        ([SHORT] * 2, [SHORT, CHEAP], "never forgotten that far by NPO in 2 of 2 seeds and SimNPO in 1 of 2 seeds"),
    ],
)
def test_a_path_that_never_gets_there_leaves_the_claim_open(tmp_path, npo, simnpo, reason):
    (found,) = judged("markov", case(tmp_path, models(npo, simnpo)))[PAYS]
    assert (found.word, found.reason) == ("undecided", reason)


def test_a_gap_is_left_out_where_the_other_method_lacks_the_seed(tmp_path):
    (found,) = judged("markov", case(tmp_path, models([DEAR] * 6, [CHEAP] * 5), "memorisation"))[UNEVEN]
    assert (found.word, found.seeds, found.left_out) == ("holds", 5, 1)


def test_the_equal_retain_distance_is_where_the_shorter_path_ends_in_each_seed(tmp_path):
    of = models([DEAR, DEAR], [[START, (0.2, 0.1, 0.1)], [START, (0.1, 0.1, 0.1), (0.05, 0.2, 0.2)]])
    found = answered("markov", case(tmp_path, of, "memorisation"))
    assert found.numbers["equal_retain"].tolist() == pytest.approx([0.2, 0.1, 0.2, 0.1])
    assert found.numbers["mean_gap"].tolist() == pytest.approx([0.1, 0.05, 0.0, 0.0])
    assert found.table["Retain distance that both reach"].tolist() == ["0.150 ± 0.071"] * 2


def test_both_splits_have_a_panel_the_lengths_first(tmp_path):
    found = answered("markov", case(tmp_path, models([DEAR, DEAR], [CHEAP, CHEAP]), "memorisation", "lengths"))
    assert list(panels(found)) == ["markov / lengths / gpt2", "markov / memorisation / gpt2"]
    assert (
        "In lengths the sequences of Forget2 are shorter. In memorisation the original has never seen Forget2." in found.caption
    )


def test_each_model_has_its_verdict(tmp_path):
    other = [row | {"model": "gpt2-large"} for row in rows(models([CHEAP] * 5, [DEAR] * 5))]
    both = rows(models([DEAR] * 5, [CHEAP] * 5)) + other
    found = judged("markov", evidence(tmp_path, both, chains(), chains(model="gpt2-large")))[PAYS]
    assert [each.word for each in found] == ["holds", "does not hold"]


def test_where_the_references_stand_is_said(tmp_path):
    assert answered("markov", case(tmp_path, models([DEAR, DEAR], [CHEAP, CHEAP]))).facts == [
        "Distances on retain, Forget1 and Forget2: Retrain 0.000, 0.400 and 0.300; Original 0.000, 0.000 and 0.000."
    ]


def test_without_retrain_the_level_is_not_known(tmp_path):
    of = models([DEAR, DEAR], [CHEAP, CHEAP])
    del of["retrain"]
    study = case(tmp_path, of)
    assert judged("markov", study) == {}
    assert answered("markov", study).table["Retain distance at Retrain's Forget2"].tolist() == ["", ""]


def test_one_method_alone_is_compared_with_nothing(tmp_path):
    study = case(tmp_path, models([DEAR, DEAR], [], ga=[CHEAP, CHEAP]))
    assert judged("markov", study) == {}
    found = answered("markov", study)
    assert found.table["Retain distance that both reach"].tolist() == ["", ""]
    assert found.table["Retain distance at Retrain's Forget2"].tolist() == ["0.150 ± 0.000", "0.300 ± 0.000"]


def test_a_split_that_the_paper_does_not_speak_of_has_no_claim(tmp_path):
    study = case(tmp_path, models([DEAR, DEAR], [CHEAP, CHEAP]), "other")
    assert judged("markov", study) == {}
    assert answered("markov", study).facts[0].startswith("Distances on retain, Forget1 and Forget2: Retrain 0.000, 0.400 and")


def test_trials_are_in_the_table_and_the_numbers_and_not_in_the_figure(tmp_path):
    of = models([DEAR, DEAR], [CHEAP, CHEAP], **{"npo/beta-1": [SHORT, SHORT], "npo/beta-0.5": [SHORT, DEAR]})
    found = answered("markov", case(tmp_path, of))
    assert found.table["Model"].tolist() == ["NPO", "NPO beta-0.5", "NPO beta-1", "SimNPO"]
    levels = ["0.300 ± 0.000", "0.300 (1 of 2)", "never", "0.150 ± 0.000"]
    assert found.table["Retain distance at Retrain's Forget2"].tolist() == levels
    assert set(found.numbers["variant"]) == {"default", "beta-1", "beta-0.5"}
    assert {variant for panel in panels(found).values() for variant in panel.data["variant"]} == {"default"}


def test_draws_of_one_seed_are_averaged_before_seeds_are_counted(tmp_path):
    drawn_again = {"npo/draw-1": [CHEAP, CHEAP, DEAR], "simnpo/draw-1": [CHEAP] * 3}
    study = case(tmp_path, models([DEAR] * 3, [CHEAP] * 3, **drawn_again))
    found = answered("markov", study)
    npo = found.numbers[found.numbers["method"] == "npo"]
    assert dict(zip(zip(npo["seed"], npo["draw"], strict=True), npo["retain_at_retrain_forget2"], strict=True)) == pytest.approx(
        {(0, 0): 0.3, (1, 0): 0.3, (2, 0): 0.3, (0, 1): 0.15, (1, 1): 0.15, (2, 1): 0.3}
    )
    assert found.table["Model"].tolist() == ["NPO", "SimNPO"]
    assert found.table["Trials"].tolist() == ["3 seeds, 2 draws each"] * 2
    # Seeds: 0.225, 0.225 and 0.3; the draws of the first two differ by 0.15, an sd of 0.106.
    assert found.table["Retain distance at Retrain's Forget2"].tolist() == [
        "0.250 ± 0.043 (± 0.071)",
        "0.150 ± 0.000 (± 0.000)",
    ]
    (verdict,) = judged("markov", study)[PAYS]
    assert (verdict.seeds, verdict.numbers[0]) == (3, "0.250 ± 0.043")
    (panel,) = panels(found).values()
    at_end = panel.data[(panel.data["method"] == "npo") & np.isclose(panel.data["x"], 0.4) & panel.data["open"]]
    assert at_end.set_index("seed")["y"].to_dict() == pytest.approx({0: 0.6, 1: 0.6, 2: 0.4})


def test_a_seed_has_a_number_only_if_all_its_draws_have_one(tmp_path):
    study = case(tmp_path, models([DEAR, DEAR], [CHEAP, CHEAP], **{"npo/draw-1": [DEAR, SHORT], "simnpo/draw-1": [CHEAP] * 2}))
    assert answered("markov", study).table["Retain distance at Retrain's Forget2"][0] == "0.300 (1 of 2) (± 0.000)"
    assert judged("markov", study)[PAYS][0].reason == "never forgotten that far by NPO in 1 of 2 seeds"


def test_another_beta_with_draws_is_one_model(tmp_path):
    paths = models([DEAR], [CHEAP], **{"npo/beta-1": [SHORT], "npo/draw-1": [DEAR], "simnpo/draw-2": [CHEAP]})
    found = answered("markov", case(tmp_path, paths))
    trials = dict(zip(found.table["Model"], found.table["Trials"], strict=True))
    assert trials == {"NPO": "1 seed, 2 draws each", "NPO beta-1": "1 seed", "SimNPO": "1 seed, 2 draws each"}
    # Only draws that both methods have are compared.
    assert found.numbers["equal_retain"].notna().tolist() == [True, False, True, True, False]


def test_lines_go_as_far_as_all_seeds_get(tmp_path):
    low, high = [START, (0.5, 1.0, 0.5)], [START, (0.4, 1.2, 0.8)]
    (panel,) = panels(answered("markov", case(tmp_path, models([low, high], [CHEAP, CHEAP])))).values()
    assert panel.levels == {"retrain": pytest.approx(0.3)}
    npo = panel.data[panel.data["method"] == "npo"]
    assert (npo["x"].min(), npo["x"].max()) == (0.0, pytest.approx(0.4))
    ends = npo[np.isclose(npo["x"], 0.4)].groupby("open")["y"].agg(["min", "mean", "max"])
    assert ends.loc[False].tolist() == pytest.approx([0.8, 1.0, 1.2])
    assert ends.loc[True, "mean"] == pytest.approx(0.6)


def test_the_caption_gives_the_largest_standard_error(tmp_path):
    of = models([DEAR, DEAR], [CHEAP, CHEAP])
    found = rows(of, error=0.001) + rows({"original": {2: START}}, error=0.9)
    found += rows({"npo": {2: DEAR}}, error=0.0123)
    caption = answered("markov", evidence(tmp_path, found, chains())).caption
    assert "Standard error of a distance over the test sequences: at most 0.012." in caption
    bare = [row for row in found if not row["metric"].endswith("_se")]
    assert "tandard error" not in answered("markov", evidence(tmp_path / "bare", bare, chains())).caption


@pytest.mark.parametrize(
    "path",
    [
        [START],
        [(0.2, 0.1, 0.1), (0.1, 0.5, 0.5), (0.0, 0.6, 0.6)],
        [START, (80.0, 200.0, 400.0)],
        [START, (1e-6, 1e-6, 1e-6)],
        [(0.02, 0.5, 0.5), (0.02, 0.9, 0.9)],
    ],
)
def test_odd_paths_are_drawn(tmp_path, path):
    drawn("markov", case(tmp_path, models([path] * 3, [path] * 3)))


def test_an_iteration_whose_divergence_is_not_finite_is_no_point(tmp_path):
    path = [START, (0.1, np.inf, 0.1), (0.4, 0.8, 0.4), (np.nan, np.nan, np.nan)]
    found = answered("markov", case(tmp_path, models([path, path], [CHEAP, CHEAP]))).numbers
    assert found["retain_at_retrain_forget2"].tolist() == pytest.approx([0.3, 0.3, 0.15, 0.15])


def test_finished_models_alone_are_no_answer(tmp_path):
    assert question("markov").answer(case(tmp_path, models([], [], retrain=[RETRAIN]), blocks=[chains()])) is None
    assert question("markov").answer(evidence(tmp_path / "text", numbers(PLAIN) + watched(WATCHED))) is None


def test_no_other_question_is_answered_from_chains_whatever_their_benchmark_is_called(tmp_path):
    called = [row | {"benchmark": "small", "suite": "small"} for row in rows(models([DEAR, DEAR], [CHEAP, CHEAP]))]
    of = evidence(tmp_path, called, chains(benchmark="small", suites=["small"]))
    assert {each.id for each in all_questions() if each.answer(of)} == {"markov"}


def written(tmp_path: Path, found, *blocks) -> Path:
    """The report of a study; of chains there are no texts."""
    summary = write_summary(tmp_path / "summary", found)
    for name in ("truth_ratios", "examples"):
        table = pd.read_parquet(summary / f"{name}.parquet")
        table[table["benchmark"] != "markov"].to_parquet(summary / f"{name}.parquet", index=False)
    out = tmp_path / "report"
    out.mkdir()
    write_report(spec(*blocks), summary, out)
    return out


def page_of(out: Path) -> tuple[Page, list[str]]:
    """The page, whose numbers and figures are all numbers, and its sections."""
    page = Page((out / "report.html").read_text(encoding="utf-8"))
    assert not re.search(r"\b(nan|inf|None)\b", page.text)
    for path in out.glob("figures/*.svg"):
        assert "nan" not in path.read_text()
        ElementTree.parse(path)
    return page, [attrs["id"] for tag, attrs in page.tags if tag == "section"]


def test_a_study_of_chains_alone_has_a_page_without_what_it_has_not(tmp_path):
    found = [row for split in ("lengths", "memorisation") for row in rows(models([DEAR] * 5, [CHEAP] * 5), split)]
    out = written(tmp_path, found, chains(), chains(split="memorisation"))
    page, sections = page_of(out)
    assert sections == ["summary", "claims", "markov", "study", "artefacts", "glossary"]
    # On the first screen, in the table of claims, and on the page of the question.
    assert page.attributes("data-figure") == ["markov"] * 2
    assert (page.text.count(PAYS), page.text.count(UNEVEN)) == (3, 3)
    assert "holds no evaluation" not in page.text
    assert "Retain distance, forget distance" in page.text
    assert (out / "tables" / "table1.csv").read_text().count("\n") == 1
    assert len(pd.read_csv(out / "tables" / "markov.csv")) == 20


def test_chains_beside_a_benchmark_of_texts_change_nothing_of_its_sections(tmp_path):
    text = numbers(PLAIN) + watched(WATCHED)
    alone = written(tmp_path / "alone", text, block())
    mixed = written(tmp_path / "mixed", text + rows(models([DEAR, DEAR], [CHEAP, CHEAP])), chains(), block())
    (_, before), (_, after) = page_of(alone), page_of(mixed)
    assert after == [*before[: before.index("study")], "markov", *before[before.index("study") :]]
    for path in alone.rglob("*.*"):
        if path.name not in ("report.html", "samples.html", "claims.csv"):
            assert path.read_bytes() == (mixed / path.relative_to(alone)).read_bytes()
