"""MUSE: tables, levels and verdicts against those worked out by hand."""

import random

import pytest
from question_example import answered, drawn, evidence, judged, labels, panels, question, views, words
from report_example import PLAIN, SELECTED, SELECTION, WATCHED, best_of, block, numbers, published_of, watched, weighed
from text_example import DATA, METRICS, NPO, REFERENCES, SIMNPO, rows, texts, with_intervals

from palimpsest.report.questions import all_questions
from palimpsest.report.words import MINUS

NEARER, KEEPS = "NPO's |PrivLeak| is further from 0 than SimNPO's", "SimNPO keeps more KnowMem on the retain set than NPO"
PUBLISHED = {"news/forget/tiny": {"npo": {"privleak": 108.91, "knowmem_r": 37.58}, "simnpo": {"privleak": 72.93}}}
FIVE = 5


def case(tmp_path, models, *blocks, **more):
    named = [name for name in models if name not in REFERENCES]
    return evidence(tmp_path, rows(models, **more), *(blocks or [texts(*named)]), data=DATA, published=PUBLISHED)


def both(npo, simnpo):
    return REFERENCES | {"npo": npo, "simnpo": simnpo}


@pytest.mark.parametrize(
    ("npo", "simnpo", "expected"),
    [
        ([NPO] * FIVE, [SIMNPO] * FIVE, ["holds", "holds"]),
        ([SIMNPO] * FIVE, [NPO] * FIVE, ["does not hold", "does not hold"]),
        ([NPO] * FIVE, [SIMNPO] * 4 + [(30.0, 20.0, 20.0, -70.0)], ["holds", "undecided"]),
        ([NPO], [SIMNPO], ["undecided", "undecided"]),
        ([NPO] * FIVE, [SIMNPO], ["undecided", "undecided"]),
    ],
)
def test_what_the_paper_says_of_simnpo_and_npo(tmp_path, npo, simnpo, expected):
    assert words("muse", case(tmp_path, both(npo, simnpo))) == expected


def test_numbers_beside_those_of_the_paper(tmp_path):
    found = judged("muse", case(tmp_path, both([NPO] * FIVE, [SIMNPO] * FIVE)))
    assert (found[NEARER][0].ours, found[NEARER][0].printed) == ("100.0 ± 0.0 against 50.0 ± 0.0", "108.91 against 72.93")
    assert found[KEEPS][0].ours == "40.0 ± 0.0 against 30.0 ± 0.0"


@pytest.mark.parametrize(
    ("recited", "text"), [((41.0, 5.0), "SimNPO went"), ((41.0, 60.0), "NPO and SimNPO went"), ((39.0, 0.0), "")]
)
def test_a_method_that_hardly_forgets_proves_nothing(tmp_path, recited, text):
    ours, theirs = ([(verbatim, *scores[1:])] * FIVE for verbatim, scores in zip(recited, (SIMNPO, NPO), strict=True))
    (found,) = judged("muse", case(tmp_path, both(theirs, ours)))[KEEPS]
    assert found.word == ("undecided" if text else "holds")
    assert found.reason.startswith(f"{text} less than half the way from Original" if text else "mean difference")


def test_where_nothing_was_learnt_by_heart_nothing_can_be_forgotten(tmp_path):
    references = {"original": [(10.0, 60.0, 50.0, -99.0)], "retrain": REFERENCES["retrain"]}
    of = case(tmp_path, references | {"npo": [NPO] * FIVE, "simnpo": [SIMNPO] * FIVE})
    assert words("muse", of) == ["holds", "holds"]


def test_which_recite_keep_and_give_away(tmp_path):
    others = {"ga": [(0.0, 0.0, 0.0, 3.0)], "task-vector": [(20.0, 60.0, 50.0, -97.0)]}
    assert answered("muse", case(tmp_path, both([NPO], [SIMNPO]) | others)).facts == [
        "Recites more than Retrain: SimNPO (30.0).",
        "Left of Original's KnowMem on the retain set (50.0): GA 0%, NPO 60%, SimNPO 80% and Task Vector 100%.",
        "Over-forgotten by PrivLeak: NPO (+100.0).",
        f"Still remembered by PrivLeak: SimNPO ({MINUS}50.0) and Task Vector ({MINUS}97.0).",
        "Within 5 % of never learnt: GA (+3.0).",
    ]


def test_without_retrain_the_published_one_serves(tmp_path):
    models = {"npo": [NPO] * FIVE, "simnpo": [SIMNPO] * FIVE}
    of = case(tmp_path, models, metrics=(*METRICS[:3], "privleak_published"))
    assert words("muse", of) == ["holds", "holds"]
    assert answered("muse", of).note.endswith("AUC of the published Retrain: 0.4772 (news).")


@pytest.mark.parametrize("models", [{"npo": [NPO, NPO]}, {"rmu": [NPO, NPO]}, {}, {"npo": [(1.0,)], "simnpo": [(2.0,)]}])
def test_without_both_methods_nothing_is_compared(tmp_path, models):
    assert judged("muse", case(tmp_path, REFERENCES | models)) == {}


def test_the_table_has_means_spreads_and_published_values(tmp_path):
    npo = [NPO, (2.0, 42.0, 34.0, 90.0)]
    found = answered("muse", case(tmp_path, both(npo, [SIMNPO, SIMNPO])))
    (table,) = found.tables
    assert table.caption == "news / forget / tiny / muse, mean ± sd over 2 seeds"
    assert [row.label for row in table.rows] == ["Original", "Retrain", "NPO", "SimNPO"]
    assert [column.key for column in table.columns] == list(METRICS)
    cell = table.standing["npo"].cells["privleak"]
    assert (cell.mean, cell.sd, cell.interval) == (95.0, pytest.approx(50**0.5), None)
    assert published_of(table)["NPO", "privleak"] == 108.91
    # Nearest to 0 whichever side; nothing is best on the forget set.
    assert best_of(table) == {("SimNPO", "privleak"), ("SimNPO", "knowmem_r")}
    of = found.numbers.set_index(["method", "metric"])
    assert of.loc[("npo", "knowmem_r"), ["seeds", "mean", "published"]].tolist() == [2, 32.0, 37.58]


def test_one_seed_has_an_interval_instead_of_a_spread(tmp_path):
    of = evidence(tmp_path, with_intervals(rows(both([NPO], [SIMNPO])), 2.5), texts(seeds=[0]), data=DATA)
    found = answered("muse", of)
    cell = found.tables[0].standing["simnpo"].cells["knowmem_r"]
    assert (cell.sd, cell.interval, cell.ends) == (None, (37.5, 42.5), (37.5, 42.5))
    assert "its 95 % interval over the items" in found.note
    data = panels(found)["KnowMem, retain set ↑"].data.set_index("method")
    assert data.loc["simnpo", ["low", "x", "high"]].tolist() == [37.5, 40.0, 42.5]


def test_marks_levels_and_bands_stand_where_the_numbers_are(tmp_path):
    npo = [(10.0, 40.0, 30.0, 100.0), (20.0, 40.0, 34.0, 90.0)]
    of = case(tmp_path, both(npo, [SIMNPO, SIMNPO]))
    shown = panels(answered("muse", of))
    assert [title.partition(" ")[0] for title in shown] == ["VerbMem,", "KnowMem,", "KnowMem,", "PrivLeak"]
    verbatim, _, kept, leak = shown.values()
    assert verbatim.data.loc[verbatim.data["method"] == "npo", "x"].tolist() == [10.0, 20.0]
    assert (verbatim.levels, verbatim.good) == ({"retrain": 20.0, "original": 60.0}, (0.0, 20.0))
    assert (kept.good[0], leak.good) == (50.0, (-5.0, 5.0))
    view, *_ = views(drawn("muse", of))
    assert labels(view, "y") == ["Original", "Retrain", "NPO", "SimNPO"]


def test_all_variants_are_in_the_table_and_one_a_method_in_the_figure(tmp_path):
    found = REFERENCES | {"npo/selected": [NPO], "npo": [SIMNPO], "npo/beta-1": [NPO], "simnpo": [SIMNPO]}
    selected = texts("npo", "npo/beta-1", "simnpo")
    variants = selected.methods | {"npo": selected.methods["npo"] | {"selected": SELECTED}}
    told = answered(
        "muse", case(tmp_path, found, selected.model_copy(update={"methods": variants, "selections": {"npo": SELECTION}}))
    )
    assert [row.label for row in told.tables[0].rows][2:] == ["NPO (selected)", "NPO", "NPO beta-1", "SimNPO"]
    shown = panels(told)["PrivLeak → 0"].data
    assert set(shown.loc[shown["method"] == "npo", "variant"]) == {"selected"}
    assert told.facts[-1].startswith("NPO (selected) was selected for the highest")
    assert told.caption.endswith("Variants shown: NPO (selected).")


def test_each_corpus_has_its_verdict(tmp_path):
    good, bad = both([NPO] * FIVE, [SIMNPO] * FIVE), both([SIMNPO] * FIVE, [NPO] * FIVE)
    of = evidence(tmp_path, rows(good) + rows(bad, benchmark="books"), texts(), texts(benchmark="books"), data=DATA)
    found = [(each.title, each.word) for each in judged("muse", of)[KEEPS]]
    assert found == [("news / forget / tiny / muse", "holds"), ("books / forget / tiny / muse", "does not hold")]


def test_rows_in_any_order_say_the_same(tmp_path):
    found = with_intervals(rows(both([NPO, (1.0, 2.0, 3.0, 4.0)], [SIMNPO, NPO])), 1.0)
    first = answered("muse", evidence(tmp_path / "first", found, texts(), data=DATA))
    shuffled = random.Random(0).sample(found, len(found))
    second = answered("muse", evidence(tmp_path / "second", shuffled, texts(), data=DATA))
    assert (first.facts, first.tables) == (second.facts, second.tables)


def test_a_suite_that_only_references_met_has_no_table(tmp_path):
    found = rows(both([NPO], [SIMNPO])) + rows(REFERENCES, suite="quick")
    (table,) = answered("muse", evidence(tmp_path, found, texts(), data=DATA)).tables
    assert table.suite == "muse"


@pytest.mark.parametrize("models", [{"ga": [(0.0, 0.0, 0.0, 0.0)]}, {"npo": [(0.0,)]}, {"rmu": [(None, None, 1.0)] * 3}])
def test_odd_numbers_are_drawn(tmp_path, models):
    drawn("muse", case(tmp_path, models))


def test_no_answer_without_the_first_forget_set(tmp_path):
    answer = question("muse").answer
    assert answer(evidence(tmp_path / "tofu", numbers(PLAIN))) is None
    assert answer(evidence(tmp_path / "scale", rows(REFERENCES, split="scale2"), texts(split="scale2"), data=DATA)) is None


def test_texts_answer_their_own_question_and_that_of_attacks(tmp_path):
    place = {"benchmark": "news", "split": "forget"}
    found = rows(both([NPO, NPO], [SIMNPO, SIMNPO])) + [row | place | {"suite": "muse"} for row in watched(WATCHED)]
    found += [row | place | {"attack": "relearn", "epoch": 1} for row in rows({"npo": [NPO, NPO]})]
    weights = [row | place for row in weighed("npo") + weighed("simnpo")]
    of = evidence(tmp_path, found, texts(), data=DATA, weights=weights)
    assert {each.id for each in all_questions() if each.answer(of)} == {"muse", "relearning", "robustness"}


def test_texts_beside_a_benchmark_of_questions_change_no_answer_of_its_own(tmp_path):
    own = numbers(PLAIN) + watched(WATCHED)
    alone = evidence(tmp_path / "alone", own)
    mixed = evidence(tmp_path / "mixed", rows(both([NPO], [SIMNPO])) + own, texts(), block(), data=DATA)
    before = {each.id: found for each in all_questions() if (found := each.answer(alone))}
    after = {each.id: found for each in all_questions() if (found := each.answer(mixed))}
    assert after.keys() == {"muse", *before}
    for name, found in before.items():
        assert after[name].numbers.equals(found.numbers)
