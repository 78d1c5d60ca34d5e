"""Documents: what the page says of models whose numbers are written out."""

import pytest
from question_example import answered, evidence, panels
from text_example import rows, texts

METRICS = ("retrain_distance", "recall_forget", "probability_forget", "probability_retain")
REFERENCES = {"original": [(2.0, 1.0, 0.9, 0.8)], "retrain": [(0.0, 0.1, 0.2, 0.8)]}
OWN = {"benchmark": "own", "suite": "documents"}


@pytest.fixture
def of(tmp_path):
    models = {"npo": [(0.5, 0.3, 0.4, 0.4)], "simnpo": [(3.0, 0.0, 0.01, 0.8)], "ga": [(2.0, 0.1, 0.2, 0.0)]}
    block = texts(*models, benchmark="own", suites=["documents"])
    data = {"own": {"shape": "documents"}}
    return evidence(tmp_path, rows(REFERENCES | models, metrics=METRICS, **OWN), block, data=data)


def test_which_are_near_to_retrain_remember_over_forget_and_keep(of) -> None:
    assert answered("documents", of).facts == [
        "Nearer to Retrain than Original (2.000 nats per token): NPO (0.500).",
        "Further from Retrain than Original: SimNPO (3.000).",
        "About as far from Retrain as Original: GA (2.000).",
        "Still remembered: finds the forget set likelier than Retrain (0.200): NPO (0.400).",
        "Over-forgotten: finds it less likely than Retrain (0.200): SimNPO (0.010).",
        "As likely as to Retrain, as far as the bar tells: GA (0.200).",
        "Left of Original's probability of the retain set (0.800): GA 0%, NPO 50% and SimNPO 100%.",
    ]


def test_a_panel_for_each_score_that_there_is(of) -> None:
    shown = panels(answered("documents", of))
    assert list(shown) == [
        "Distance from Retrain ↓",
        "Recall, forget set",
        "Probability, forget set",
        "Probability, retain set ↑",
    ]
    assert shown["Recall, forget set"].levels == {"retrain": 0.1, "original": 1.0}


def test_the_best_is_the_nearest_to_retrain_and_on_the_retain_set_the_highest(of) -> None:
    (table,) = answered("documents", of).tables
    best = {column.key: [row.method for row in table.best(column)] for column in table.columns}
    assert best == {
        "retrain_distance": ["npo"],
        "recall_forget": ["ga"],
        "probability_forget": ["ga"],
        "probability_retain": ["simnpo"],
    }
