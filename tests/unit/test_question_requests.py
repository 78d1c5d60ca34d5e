"""Larger forget sets and further requests: what is left at the end, by hand, and lines that join the blocks of one benchmark."""

import random

import pytest
from question_example import answered, evidence, settings
from text_example import DATA, REFERENCES, rows, texts, with_intervals

from palimpsest.report.questions import requests
from palimpsest.report.style import colour_of

# KnowMem on the retain set, split by split and seed by seed.
NPO = {"forget": (40.0, 38.0), "request2": (30.0, 26.0), "request3": (10.0, 8.0)}
SIMNPO = {"forget": (42.0, 40.0), "request2": (36.0, 35.0), "request3": (30.0, 24.0)}
TWO = "after the last request (request3)"
WIDE = "with the largest forget set (scale3)"


def of(kept, verbatim=5.0, leak=60.0):
    """Scores of seeds, by their KnowMem on the retain set."""
    return [(verbatim, 40.0, value, leak) for value in kept]


def way(kind, seeds=2, **by_method):
    """Rows and blocks of a kind of splits, with Original and Retrain on the first alone."""
    splits = list(next(iter(by_method.values())))
    named = {split: split.replace("request", kind) for split in splits}
    found, blocks = [], []
    for split in splits:
        models = {name: of(kept[split][:seeds]) for name, kept in by_method.items() if split in kept}
        references = REFERENCES if split == "forget" else {}
        found += rows(references | models, split=named[split])
        blocks.append(texts(*models, split=named[split]))
    return found, blocks


def case(tmp_path, kind="request", seeds=2, **by_method):
    found, blocks = way(kind, seeds, **(by_method or {"npo": NPO, "simnpo": SIMNPO}))
    return evidence(tmp_path, found, *blocks, data=DATA)


def test_what_is_left_after_the_last_request(tmp_path):
    found = answered(requests.answer, case(tmp_path))
    assert found.findings == [
        "After the last request (request3) the most KnowMem on the retain set is that of SimNPO, 27.0 of Original's 50.0.",
        f"SimNPO keeps more KnowMem on the retain set than NPO {TWO}: 27.0 against 9.0, in both seeds.",
        "From forget to request3 KnowMem on the retain set goes from 39.0 to 9.0 for NPO and from 41.0 to 27.0 for SimNPO "
        "(mean over 2 seeds).",
        f"VerbMem on the first forget set {TWO} is 5.0 for NPO and 5.0 for SimNPO (Retrain: 20.0).",
    ]
    assert found.table.to_dict("list") == {
        "Method": ["NPO", "SimNPO"],
        "KnowMem, retain set: forget": ["39.0 ± 1.4", "41.0 ± 1.4"],
        "request2": ["28.0 ± 2.8", "35.5 ± 0.7"],
        "request3": ["9.0 ± 1.4", "27.0 ± 4.2"],
    }


def test_larger_sets_and_requests_stand_beside_each_other(tmp_path):
    scaled, wider = way("scale", npo=NPO, simnpo=SIMNPO)
    asked, later = way("request", npo=NPO, simnpo=SIMNPO)
    found = answered(requests.answer, evidence(tmp_path, scaled + asked[len(asked) // 3 :], *wider, *later[1:], data=DATA))
    assert found.findings[0].startswith(
        "With the largest forget set (scale3) the most KnowMem on the retain set is that of SimNPO"
    )
    assert f"; {TWO} the most" in found.findings[0]
    assert [sentence.partition(":")[0] for sentence in found.findings if "keeps more" in sentence] == [
        f"SimNPO keeps more KnowMem on the retain set than NPO {where}" for where in (WIDE, TWO)
    ]
    titles = [axes.get_title(loc="left") for axes in found.figure.subfigs[0].axes if axes.get_title(loc="left")]
    assert titles == ["Larger forget sets", "One request after another"]
    heads = ["KnowMem, retain set: forget", "scale2", "scale3", "request2", "request3"]
    assert found.table.columns.tolist() == ["Method", *heads]
    assert found.numbers.groupby("kind")["split"].unique().map(list).to_dict() == {
        "request": ["forget", "request2", "request3"],
        "scale": ["forget", "scale2", "scale3"],
    }


@pytest.mark.parametrize(
    ("npo", "simnpo", "text"),
    [
        (SIMNPO, NPO, f"SimNPO keeps less KnowMem on the retain set than NPO {TWO}: 9.0 against 27.0, in both seeds."),
        (
            NPO,
            SIMNPO | {"request3": (30.0, 1.0)},
            f"Whether SimNPO keeps more KnowMem on the retain set than NPO {TWO} is left open: 15.5 against 9.0; "
            "it holds in 1 of 2 seeds, within their spread.",
        ),
    ],
)
def test_simnpo_against_npo_at_the_end(tmp_path, npo, simnpo, text):
    assert answered(requests.answer, case(tmp_path, npo=npo, simnpo=simnpo)).findings[1] == text


def test_one_seed_leaves_it_open_and_has_bars_over_items(tmp_path):
    found, blocks = way("request", 1, npo=NPO, simnpo=SIMNPO)
    told = answered(requests.answer, evidence(tmp_path, with_intervals(found, 3.0), *blocks, data=DATA))
    assert told.findings[1] == (
        f"Whether SimNPO keeps more KnowMem on the retain set than NPO {TWO} is left open by one seed, in which it holds: "
        "30.0 against 10.0."
    )
    assert "95 % bootstrap intervals over the items" in told.caption
    kept = told.figure.subfigs[0].axes[0]
    bars = [
        list(line.get_ydata())
        for line in kept.lines
        if line.get_color() == colour_of("npo") and not line.get_marker().strip("None")
    ]
    assert bars == [[37.0, 43.0], [27.0, 33.0], [7.0, 13.0]]


def test_lines_go_through_the_means_and_levels_are_those_of_the_first_split(tmp_path):
    found = answered(requests.answer, case(tmp_path))
    kept, verbatim, *_ = found.figure.subfigs[0].axes
    (line,) = [line for line in kept.lines if line.get_color() == colour_of("simnpo") and line.get_marker() == "o"]
    assert list(line.get_ydata()) == [41.0, 35.5, 27.0]
    assert [label.get_text() for label in found.figure.subfigs[0].axes[-1].get_xticklabels()] == [
        "forget",
        "request2",
        "request3",
    ]
    for axes, levels in ((kept, {"retrain": 50.0, "original": 50.0}), (verbatim, {"retrain": 20.0, "original": 60.0})):
        drawn = {line.get_color(): line.get_ydata()[0] for line in axes.lines if line.get_linestyle() in ("--", ":")}
        assert drawn == {colour_of(role): level for role, level in levels.items()}


def test_a_method_that_does_not_get_to_the_end_is_not_named_there(tmp_path):
    found = answered(requests.answer, case(tmp_path, npo=NPO, simnpo={split: SIMNPO[split] for split in ("forget", "request2")}))
    assert found.findings[0] == "After the last request (request3) NPO's KnowMem on the retain set is 9.0 of Original's 50.0."
    assert found.findings[1].startswith(
        f"Whether SimNPO keeps more KnowMem on the retain set than NPO {TWO} is left open: no seed"
    )
    assert found.table["request3"].tolist() == ["9.0 ± 1.4", ""]


def test_without_the_first_split_there_are_no_levels_and_no_start(tmp_path):
    found, blocks = way("request", npo=NPO, simnpo=SIMNPO)
    later = [row for row in found if row["split"] != "forget"]
    told = answered(requests.answer, evidence(tmp_path, later, *blocks[1:], data=DATA))
    assert told.findings[0].endswith("is that of SimNPO, 27.0.")
    assert told.findings[2].startswith("From request2 to request3 KnowMem on the retain set goes from 28.0 to 9.0 for NPO")


def test_a_line_is_of_the_variant_that_went_furthest(tmp_path):
    found = rows(REFERENCES | {"npo/chosen": of([1.0]), "npo/beta-1": of([40.0])})
    found += rows({"npo/beta-1": of([30.0])}, split="request2")
    blocks = [texts("npo/beta-1", split=split) for split in ("forget", "request2")]
    first = blocks[0].methods["npo"] | {"chosen": settings()}
    blocks[0] = blocks[0].model_copy(update={"methods": {"npo": first}})
    told = answered(requests.answer, evidence(tmp_path, found, *blocks, data=DATA))
    assert told.findings[0].startswith("After the last request (request2) NPO beta-1's KnowMem on the retain set is 30.0")
    assert told.caption.endswith("Variants shown: NPO beta-1.")


def test_splits_are_in_the_order_of_their_numbers_and_blocks_in_any(tmp_path):
    split_scores = {"forget": (9.0,), "request2": (8.0,), "request10": (7.0,)}
    found, blocks = way("request", 1, npo=split_scores)
    told = answered(requests.answer, evidence(tmp_path, found, *blocks, data=DATA))
    assert told.table.columns.tolist() == ["Method", "KnowMem, retain set: forget", "request2", "request10"]
    shuffled = random.Random(0).sample(found, len(found))
    again = answered(requests.answer, evidence(tmp_path / "again", shuffled, *blocks[::-1], data=DATA))
    assert (again.findings, again.table.to_dict()) == (told.findings, told.table.to_dict())


def test_two_models_are_told_apart(tmp_path):
    found, blocks = way("request", npo=NPO, simnpo=SIMNPO)
    other = [row | {"model": "large"} for row in found]
    both = [*blocks, *(block.model_copy(update={"model": "large"}) for block in blocks)]
    told = answered(requests.answer, evidence(tmp_path, found + other, *both, data=DATA))
    assert [sentence.partition(": ")[0] for sentence in told.findings[:2]] == ["news / tiny / muse", "news / large / muse"]
    assert len(told.figure.subfigs) == 2


def test_scores_that_are_missing_have_no_panel(tmp_path):
    found, blocks = way("request", npo=NPO, simnpo=SIMNPO)
    for metric, count in (("knowmem_r", 3), ("verbmem_f", 3)):
        less = [row for row in found if row["metric"] != metric]
        told = answered(requests.answer, evidence(tmp_path / metric, less, *blocks, data=DATA))
        assert len(told.figure.subfigs[0].axes) == count
    assert not any("VerbMem" in sentence for sentence in told.findings)
    less = [row for row in found if row["metric"] != "knowmem_r"]
    told = answered(requests.answer, evidence(tmp_path / "none", less, *blocks, data=DATA))
    assert told.findings[0] == "What is left of the retain set is not known: no method has a KnowMem of it on the last split."


def test_the_first_forget_set_alone_is_no_answer(tmp_path):
    found, blocks = way("request", npo=NPO)
    assert requests.answer(evidence(tmp_path / "first", found, blocks[0], data=DATA)) is None
    references = rows(REFERENCES, split="request2")
    assert requests.answer(evidence(tmp_path / "references", references, texts(split="request2"), data=DATA)) is None
