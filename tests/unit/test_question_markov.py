"""Markov chains: what is read off paths as computed by hand, sentences that follow it, and pages of such studies."""

import re
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest
from html_page import Page
from markov_example import chains, rows
from question_example import answered, evidence
from report_example import PLAIN, WATCHED, block, numbers, spec, watched, write_summary

from palimpsest.report.questions import QUESTIONS, markov, question_id
from palimpsest.report.report import write_report

RETRAIN, START = (0.0, 0.4, 0.3), (0.0, 0.0, 0.0)
# To Retrain's 0.3 on Forget2 at a retain distance of 0.3 and 0.15; on the way to 0.4 Forget1 and Forget2 are 0.2 and 0.05 apart.
DEAR, CHEAP = [START, (0.4, 0.8, 0.4)], [START, (0.4, 0.7, 0.8)]
SHORT = [START, (0.4, 0.8, 0.2)]


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


def findings(tmp_path, of, *splits):
    return answered(markov.answer, case(tmp_path, of, *splits)).findings


def test_numbers_are_read_off_each_path(tmp_path):
    found = answered(markov.answer, case(tmp_path, models([DEAR, DEAR], [CHEAP, CHEAP]))).numbers
    assert found["seed"].tolist() == [0, 1, 0, 1]
    npo, _, simnpo, _ = found.drop(columns=["benchmark", "split", "model", "seed", "method", "variant"]).to_dict("records")
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


PAYS = "NPO pays a larger retain distance than SimNPO to forget Forget2 as far as Retrain"
UNEVEN = "NPO forgets the learnt Forget1 and the unlearnt Forget2 less evenly than SimNPO"


@pytest.mark.parametrize(
    ("npo", "simnpo", "verdict", "text"),
    [
        (
            [DEAR, DEAR],
            [CHEAP, CHEAP],
            f"This run supports the paper's claim that {PAYS}.",
            f"As in the paper, {PAYS}: 0.300 against 0.150, in both seeds.",
        ),
        (
            [CHEAP, CHEAP],
            [DEAR, DEAR],
            f"This run contradicts the paper's claim that {PAYS}.",
            f"Unlike in the paper, {PAYS.replace('larger', 'smaller')}: 0.150 against 0.300, in both seeds.",
        ),
        (
            [DEAR, CHEAP],
            [CHEAP, DEAR],
            f"This run leaves open the paper's claim that {PAYS}.",
            f"Whether {PAYS} is left open: 0.225 against 0.225; it holds in 1 of 2 seeds, within their spread.",
        ),
        (
            [DEAR],
            [CHEAP],
            f"This run leaves open the paper's claim that {PAYS}.",
            f"Whether {PAYS} is left open by one seed, in which it holds: 0.300 against 0.150.",
        ),
        (
            [SHORT, DEAR],
            [CHEAP, CHEAP],
            f"This run leaves open the paper's claim that {PAYS}.",
            f"Whether {PAYS} is left open: NPO never forgets that far in 1 of 2 seeds.",
        ),
        (
            [SHORT, SHORT],
            [SHORT, CHEAP],
            f"This run leaves open the paper's claim that {PAYS}.",
            f"Whether {PAYS} is left open: NPO never forgets that far in both seeds and SimNPO never forgets that far in 1 of 2 "
            "seeds.",
        ),
    ],
)
def test_what_forgetting_short_sequences_costs(tmp_path, npo, simnpo, verdict, text):
    assert findings(tmp_path, models(npo, simnpo))[:2] == [verdict, text]


@pytest.mark.parametrize(
    ("npo", "simnpo", "verdict", "text"),
    [
        (
            [DEAR, DEAR],
            [CHEAP, CHEAP],
            f"This run supports the paper's claim that {UNEVEN}.",
            f"As in the paper, {UNEVEN}: over the retain distances that both reach, to 0.400 (0.400 to 0.400), the two are "
            "0.200 apart for NPO, 0.050 for SimNPO, in both seeds.",
        ),
        (
            [CHEAP, CHEAP],
            [DEAR, DEAR],
            f"This run contradicts the paper's claim that {UNEVEN}.",
            f"Unlike in the paper, {UNEVEN.replace('less', 'more')}: over the retain distances that both reach, to 0.400",
        ),
        (
            [DEAR, CHEAP],
            [CHEAP, DEAR],
            f"This run leaves open the paper's claim that {UNEVEN}.",
            f"Whether {UNEVEN} is left open: over the retain distances",
        ),
        (
            [DEAR],
            [CHEAP],
            f"This run leaves open the paper's claim that {UNEVEN}.",
            f"Whether {UNEVEN} is left open by one seed, in which it holds: over the retain distances that both reach, to ",
        ),
    ],
)
def test_how_evenly_learnt_and_unlearnt_sequences_are_forgotten(tmp_path, npo, simnpo, verdict, text):
    found = findings(tmp_path, models(npo, simnpo), "memorisation")
    assert found[0] == verdict
    assert found[1].startswith(text)


def test_the_equal_retain_distance_is_where_the_shorter_path_ends_in_each_seed(tmp_path):
    of = models([DEAR, DEAR], [[START, (0.2, 0.1, 0.1)], [START, (0.1, 0.1, 0.1), (0.05, 0.2, 0.2)]])
    found = answered(markov.answer, case(tmp_path, of, "memorisation"))
    assert found.numbers["equal_retain"].tolist() == pytest.approx([0.2, 0.1, 0.2, 0.1])
    assert found.numbers["mean_gap"].tolist() == pytest.approx([0.1, 0.05, 0.0, 0.0])
    assert "both reach, to 0.150 (0.100 to 0.200), the two are 0.075 apart for NPO, 0.000 for SimNPO" in found.findings[1]


def test_both_splits_in_one_verdict_the_lengths_first(tmp_path):
    of = case(tmp_path, models([DEAR, DEAR], [CHEAP, CHEAP]), "memorisation", "lengths")
    found = answered(markov.answer, of)
    assert found.findings[0] == f"This run supports the paper's claims that {PAYS} and that {UNEVEN}."
    assert found.findings[1].startswith("markov / lengths / gpt2: As in the paper, NPO pays")
    titles = [axes.get_title(loc="left") for axes in found.figure.axes]
    assert titles == ["markov / lengths / gpt2", "markov / memorisation / gpt2"]
    assert (
        "In lengths the sequences of Forget2 are shorter. In memorisation the original has never seen Forget2." in found.caption
    )


def test_a_verdict_of_several_parts(tmp_path):
    both = rows(models([DEAR, DEAR], [CHEAP, CHEAP])) + rows(models([CHEAP, CHEAP], [DEAR, DEAR]), "memorisation")
    found = answered(markov.answer, evidence(tmp_path, both, chains(), chains(split="memorisation")))
    assert found.findings[0] == f"This run supports the paper's claim that {PAYS} and contradicts its claim that {UNEVEN}."


def test_models_that_disagree_leave_a_claim_open(tmp_path):
    other = [row | {"model": "gpt2-large"} for row in rows(models([CHEAP, CHEAP], [DEAR, DEAR]))]
    both = rows(models([DEAR, DEAR], [CHEAP, CHEAP])) + other
    found = answered(markov.answer, evidence(tmp_path, both, chains(), chains(model="gpt2-large")))
    assert found.findings[0] == f"This run leaves open the paper's claim that {PAYS}."


def test_where_the_references_stand_is_said(tmp_path):
    assert findings(tmp_path, models([DEAR, DEAR], [CHEAP, CHEAP]))[2] == (
        "Retrain stands at 0.400 on Forget1 and 0.300 on Forget2, at a retain distance of 0.000 (mean over 2 seeds); "
        "Original stands at 0.000 on Forget1 and 0.000 on Forget2, at a retain distance of 0.000 (mean over 2 seeds)."
    )


def test_without_retrain_the_level_is_not_known(tmp_path):
    of = models([DEAR, DEAR], [CHEAP, CHEAP])
    del of["retrain"]
    found = answered(markov.answer, case(tmp_path, of))
    assert found.findings[1] == f"Whether {PAYS} is left open: no seed has both numbers."
    assert found.table["Retain distance at Retrain's Forget2"].tolist() == ["", ""]


def test_only_seeds_of_both_methods_are_compared(tmp_path):
    of = models([CHEAP, DEAR, DEAR], [CHEAP, CHEAP, CHEAP])
    del of["simnpo"][0]
    assert findings(tmp_path, of)[1] == f"As in the paper, {PAYS}: 0.300 against 0.150, in both seeds."


def test_one_method_alone_is_compared_with_nothing(tmp_path):
    found = answered(markov.answer, case(tmp_path, models([DEAR, DEAR], [], ga=[CHEAP, CHEAP])))
    assert found.findings[1] == f"Whether {PAYS} is left open: not both were watched."
    assert found.table["Retain distance that both reach"].tolist() == ["", ""]
    assert found.table["Retain distance at Retrain's Forget2"].tolist() == ["0.150 ± 0.000", "0.300 ± 0.000"]


def test_a_split_that_the_paper_does_not_speak_of(tmp_path):
    found = findings(tmp_path, models([DEAR, DEAR], [CHEAP, CHEAP]), "other")
    assert found[0].startswith("The paper's claims are left open: they are about the splits lengths and memorisation")
    assert found[1].startswith("Retrain stands at 0.400 on Forget1")


def test_trials_are_in_the_table_and_the_numbers_and_not_in_the_figure(tmp_path):
    of = models([DEAR, DEAR], [CHEAP, CHEAP], **{"npo/beta-1": [SHORT, SHORT], "npo/beta-0.5": [SHORT, DEAR]})
    found = answered(markov.answer, case(tmp_path, of))
    assert found.table["Model"].tolist() == ["NPO", "NPO beta-0.5", "NPO beta-1", "SimNPO"]
    assert found.table["Retain distance at Retrain's Forget2"].tolist() == [
        "0.300 ± 0.000",
        "0.300 (1 of 2)",
        "never",
        "0.150 ± 0.000",
    ]
    assert set(found.numbers["variant"]) == {"default", "beta-1", "beta-0.5"}
    assert len(found.figure.axes[0].collections) == 2 * 2
    assert "Variants shown" not in found.caption


def test_lines_are_means_over_seeds_and_bands_go_from_the_lowest_to_the_highest(tmp_path):
    low, high = [START, (0.5, 1.0, 0.5)], [START, (0.4, 1.2, 0.8)]
    (axes,) = answered(markov.answer, case(tmp_path, models([low, high], [CHEAP, CHEAP]))).figure.axes
    level, *_ = axes.lines
    assert level.get_ydata()[0] == pytest.approx(0.3)
    first, second = [line for line in axes.lines if line.get_color() == "#0072B2" and len(line.get_xdata()) > 2]
    # As far as both seeds get: to 0.4.
    assert (first.get_xdata()[0], first.get_xdata()[-1]) == (0.0, pytest.approx(0.4))
    assert (first.get_ydata()[-1], second.get_ydata()[-1]) == (pytest.approx(1.0), pytest.approx(0.6))
    assert first.get_linestyle() == "-" != second.get_linestyle()
    heights = axes.collections[0].get_paths()[0].vertices
    assert {0.8, 1.2} <= {round(float(y), 6) for x, y in heights if np.isclose(x, 0.4)}
    (mark,) = [line for line in axes.lines if line.get_marker() == "s"]
    # Seeds reach Retrain's 0.3 at 0.3 and 0.15.
    assert (mark.get_xdata()[0], mark.get_ydata()[0]) == (pytest.approx(0.225), pytest.approx(0.3))


def test_the_caption_gives_the_largest_standard_error(tmp_path):
    of = models([DEAR, DEAR], [CHEAP, CHEAP])
    found = rows(of, error=0.001) + rows({"original": {2: START}}, error=0.9)
    found += rows({"npo": {2: DEAR}}, error=0.0123)
    assert "Standard error of a distance over the test sequences: 0.012 at most." in (
        answered(markov.answer, evidence(tmp_path, found, chains())).caption
    )
    bare = [row for row in found if not row["metric"].endswith("_se")]
    assert "tandard error" not in answered(markov.answer, evidence(tmp_path / "bare", bare, chains())).caption


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
@pytest.mark.parametrize("seeds", [1, 3])
def test_odd_paths_are_drawn(tmp_path, path, seeds):
    answered(markov.answer, case(tmp_path, models([path] * seeds, [path] * seeds)))
    bare = case(tmp_path / "bare", {"npo": dict.fromkeys(range(seeds), path)}, "memorisation")
    answered(markov.answer, bare)


def test_an_iteration_whose_divergence_is_not_finite_is_no_point(tmp_path):
    path = [START, (0.1, np.inf, 0.1), (0.4, 0.8, 0.4), (np.nan, np.nan, np.nan)]
    found = answered(markov.answer, case(tmp_path, models([path, path], [CHEAP, CHEAP]))).numbers
    assert found["retain_at_retrain_forget2"].tolist() == pytest.approx([0.3, 0.3, 0.15, 0.15])


def test_finished_models_alone_are_no_answer(tmp_path):
    assert markov.answer(case(tmp_path, models([], [], retrain=[RETRAIN]), blocks=[chains()])) is None
    assert markov.answer(evidence(tmp_path / "text", numbers(PLAIN) + watched(WATCHED))) is None


def test_no_other_question_is_answered_from_chains_whatever_their_benchmark_is_called(tmp_path):
    called = [row | {"benchmark": "small", "suite": "small"} for row in rows(models([DEAR, DEAR], [CHEAP, CHEAP]))]
    of = evidence(tmp_path, called, chains(benchmark="small", suites=["small"]))
    assert {question_id(question) for question in QUESTIONS if question.answer(of)} == {"markov"}


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
    found = [row for split in ("lengths", "memorisation") for row in rows(models([DEAR, DEAR], [CHEAP, CHEAP]), split)]
    out = written(tmp_path, found, chains(), chains(split="memorisation"))
    page, sections = page_of(out)
    assert sections == ["summary", "markov", "study", "artefacts", "glossary"]
    assert len([tag for tag, _ in page.tags if tag == "img"]) == 1
    assert page.text.count(f"This run supports the paper's claims that {PAYS} and that {UNEVEN}.") == 2
    assert "holds no evaluation" not in page.text
    assert "Retain distance, forget distance" in page.text
    assert (out / "tables" / "table1.csv").read_text().count("\n") == 1
    assert len(pd.read_csv(out / "tables" / "markov.csv")) == 8


def test_chains_beside_a_benchmark_of_texts_change_nothing_of_its_sections(tmp_path):
    text = numbers(PLAIN) + watched(WATCHED)
    alone = written(tmp_path / "alone", text, block())
    mixed = written(tmp_path / "mixed", text + rows(models([DEAR, DEAR], [CHEAP, CHEAP])), chains(), block())
    (_, before), (page, after) = page_of(alone), page_of(mixed)
    assert after == [*before[: before.index("study")], "markov", *before[before.index("study") :]]
    assert f"This run supports the paper's claim that {PAYS}." in page.text
    for path in alone.rglob("*.*"):
        if path.name != "report.html":
            assert path.read_bytes() == (mixed / path.relative_to(alone)).read_bytes()
