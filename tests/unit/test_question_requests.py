"""Larger forget sets and further requests: lines that join the blocks of one benchmark, and what is left at the end."""

import random

import pytest
from question_example import answered, evidence, judged, panels, question, settings
from text_example import DATA, REFERENCES, rows, texts, with_intervals

# KnowMem on the retain set, split by split and seed by seed.
NPO = {"forget": (40.0, 38.0), "request2": (30.0, 26.0), "request3": (10.0, 8.0)}
LARGER = "SimNPO keeps more on the retain set than NPO when the forget set grows"
LASTS = "SimNPO keeps more on the retain set than NPO when requests follow each other"
SIMNPO = {"forget": (42.0, 40.0), "request2": (36.0, 35.0), "request3": (30.0, 24.0)}


def of(kept, verbatim=5.0, leak=60.0):
    """Scores of seeds, by their KnowMem on the retain set."""
    return [(verbatim, 40.0, value, leak) for value in kept]


def series(kind, seeds=2, **by_method):
    """Rows and blocks of a kind of splits, with Original and Retrain on the first alone."""
    splits = list(next(iter(by_method.values())))
    named = {split: split.replace("request", kind) for split in splits}
    found, blocks = [], []
    for split in splits:
        models = {name: of(kept[split][:seeds]) for name, kept in by_method.items() if split in kept}
        found += rows((REFERENCES if split == "forget" else {}) | models, split=named[split])
        blocks.append(texts(*models, split=named[split]))
    return found, blocks


def case(tmp_path, kind="request", seeds=2, **by_method):
    found, blocks = series(kind, seeds, **(by_method or {"npo": NPO, "simnpo": SIMNPO}))
    return evidence(tmp_path, found, *blocks, data=DATA)


def test_what_is_left_split_by_split(tmp_path):
    found = answered("requests", case(tmp_path))
    assert found.table.drop(columns="Splits").to_dict("list") == {
        "Method": ["NPO", "SimNPO"],
        "KnowMem, retain set, forget": ["39.0 ± 1.4", "41.0 ± 1.4"],
        "KnowMem, retain set, request2": ["28.0 ± 2.8", "35.5 ± 0.7"],
        "KnowMem, retain set, request3": ["9.0 ± 1.4", "27.0 ± 4.2"],
    }
    kept = panels(found)["KnowMem, retain set"]
    assert kept.x.names == ["forget", "request2", "request3"]
    assert kept.data[kept.data["method"] == "simnpo"].groupby("x")["y"].mean().tolist() == [41.0, 35.5, 27.0]
    # The levels are those of the first split.
    assert kept.levels == {"retrain": 50.0, "original": 50.0}
    assert panels(found)["VerbMem, forget set"].levels == {"retrain": 20.0, "original": 60.0}


def test_larger_sets_and_requests_have_a_row_each(tmp_path):
    scaled, wider = series("scale", npo=NPO, simnpo=SIMNPO)
    asked, later = series("request", npo=NPO, simnpo=SIMNPO)
    study = evidence(tmp_path, scaled + asked[len(asked) // 3 :], *wider, *later[1:], data=DATA)
    found = answered("requests", study)
    assert [title for title, _ in found.figure.rows] == [
        "news / tiny / muse: larger forget sets",
        "news / tiny / muse: one request after another",
    ]
    assert found.numbers.groupby("kind")["split"].unique().map(list).to_dict() == {
        "request": ["forget", "request2", "request3"],
        "scale": ["forget", "scale2", "scale3"],
    }
    told = judged("requests", study)
    assert {claim: [each.title.rpartition(" ")[2] for each in found] for claim, found in told.items()} == {
        LARGER: ["scale3"],
        LASTS: ["request3"],
    }


@pytest.mark.parametrize(("kind", "claim"), [("scale", LARGER), ("request", LASTS)])
@pytest.mark.parametrize(("npo", "simnpo", "word"), [(10.0, 30.0, "holds"), (30.0, 10.0, "does not hold")])
def test_simnpo_against_npo_at_the_end(tmp_path, kind, claim, npo, simnpo, word):
    ends = {name: {"forget": (40.0,) * 5, "request2": (value,) * 5} for name, value in (("npo", npo), ("simnpo", simnpo))}
    found = judged("requests", case(tmp_path, kind, seeds=5, **ends))
    # The paper makes both claims.
    assert {text: [(each.word, each.claim.source) for each in of] for text, of in found.items()} == {
        claim: [(word, "App. I.4, Fig. A5")]
    }


def test_one_seed_has_bars_over_items(tmp_path):
    found, blocks = series("request", 1, npo=NPO, simnpo=SIMNPO)
    told = answered("requests", evidence(tmp_path, with_intervals(found, 3.0), *blocks, data=DATA))
    data = panels(told)["KnowMem, retain set"].data
    bars = data.loc[data["method"] == "npo", ["low", "high"]].to_numpy().tolist()
    assert bars == [[37.0, 43.0], [27.0, 33.0], [7.0, 13.0]]


def test_a_method_that_does_not_get_to_the_end_is_not_compared_there(tmp_path):
    study = case(tmp_path, npo=NPO, simnpo={split: SIMNPO[split] for split in ("forget", "request2")})
    assert judged("requests", study) == {}
    assert answered("requests", study).table["KnowMem, retain set, request3"].tolist() == ["9.0 ± 1.4", ""]


def test_without_the_first_split_there_are_no_levels(tmp_path):
    found, blocks = series("request", npo=NPO, simnpo=SIMNPO)
    later = [row for row in found if row["split"] != "forget"]
    shown = panels(answered("requests", evidence(tmp_path, later, *blocks[1:], data=DATA)))
    assert (shown["KnowMem, retain set"].levels, shown["KnowMem, retain set"].x.names) == ({}, ["request2", "request3"])


def test_a_line_is_of_the_variant_that_went_furthest(tmp_path):
    found = rows(REFERENCES | {"npo/selected": of([1.0]), "npo/beta-1": of([40.0])})
    found += rows({"npo/beta-1": of([30.0])}, split="request2")
    blocks = [texts("npo/beta-1", split=split) for split in ("forget", "request2")]
    first = blocks[0].methods["npo"] | {"selected": settings()}
    blocks[0] = blocks[0].model_copy(update={"methods": {"npo": first}})
    told = answered("requests", evidence(tmp_path, found, *blocks, data=DATA))
    assert told.table["Method"].tolist() == ["NPO beta-1"]
    assert told.caption.endswith("Variants shown: NPO beta-1.")


def test_splits_are_in_the_order_of_their_numbers_and_blocks_in_any(tmp_path):
    found, blocks = series("request", 1, npo={"forget": (9.0,), "request2": (8.0,), "request10": (7.0,)})
    told = answered("requests", evidence(tmp_path, found, *blocks, data=DATA))
    assert panels(told)["KnowMem, retain set"].x.names == ["forget", "request2", "request10"]
    shuffled = random.Random(0).sample(found, len(found))
    again = answered("requests", evidence(tmp_path / "again", shuffled, *blocks[::-1], data=DATA))
    assert again.table.to_dict() == told.table.to_dict()


def test_scores_that_are_missing_have_no_panel(tmp_path):
    found, blocks = series("request", npo=NPO, simnpo=SIMNPO)
    less = [row for row in found if row["metric"] != "verbmem_f"]
    shown = panels(answered("requests", evidence(tmp_path, less, *blocks, data=DATA)))
    assert list(shown) == ["KnowMem, retain set", "KnowMem, forget set", "PrivLeak"]


def test_the_first_forget_set_alone_is_no_answer(tmp_path):
    found, blocks = series("request", npo=NPO)
    assert question("requests").answer(evidence(tmp_path / "first", found, blocks[0], data=DATA)) is None
    references = rows(REFERENCES, split="request2")
    assert question("requests").answer(evidence(tmp_path / "references", references, texts(split="request2"), data=DATA)) is None
