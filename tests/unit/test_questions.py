"""All questions and claims on one study that has the data for each: none is missing, and verdicts turn with the numbers."""

import shutil

import pandas as pd
import pytest
from question_example import drawn
from whole_example import whole

from palimpsest.report.claims import FAILS, HOLDS, UNDECIDED, Claim, decide
from palimpsest.report.evidence import Evidence
from palimpsest.report.figures import Grid, Panel
from palimpsest.report.names import NPO, SIMNPO
from palimpsest.report.question import Found, Question
from palimpsest.report.questions import all_questions
from palimpsest.report.style import svg_of
from palimpsest.report.vega import spec_of

QUESTIONS = {question.id: question for question in all_questions()}
# Those that the paper asks.
PAPER = {name: question for name, question in QUESTIONS.items() if question.source}
# Claims on SimNPO and NPO that hold in the example, one of each measure.
PAIRS = (
    ("seeds", "SimNPO forgets better than NPO"),
    ("seeds", "SimNPO keeps more utility than NPO"),
    ("memorisation", "NPO forgets strongly and weakly memorised data less evenly than SimNPO"),
    ("memorisation", "NPO pushes weakly memorised data further from Retrain than SimNPO"),
    ("memorisation", "SimNPO forgets strongly memorised data better than NPO"),
    ("speed", "The length matters less to SimNPO's speed"),
    ("trajectory", "SimNPO keeps more utility along the way than NPO"),
    ("relearning", "SimNPO is more robust to relearning than NPO"),
    ("muse", "NPO's |PrivLeak| is further from 0 than SimNPO's"),
    ("muse", "SimNPO keeps more KnowMem on the retain set than NPO"),
    ("requests", "SimNPO keeps more on the retain set than NPO when the forget set grows"),
    ("requests", "SimNPO keeps more on the retain set than NPO when requests follow each other"),
    ("wmdp", "SimNPO keeps more utility (MMLU) than NPO"),
    ("markov", "NPO pays a larger retain distance than SimNPO to forget short sequences as far as Retrain"),
)


@pytest.fixture(scope="module")
def study(tmp_path_factory) -> Evidence:
    spec, summary = whole(tmp_path_factory.mktemp("whole"))
    return Evidence(spec.study, summary, spec.published)


def told(of: Evidence) -> list[tuple[str, str, str]]:
    """The verdicts: question, claim, word."""
    answers = {name: answer for name, asked in QUESTIONS.items() if (answer := asked.answer(of))}
    return [(name, each.claim.text, each.word) for name, answer in answers.items() for each in decide(answer.verdicts)]


def test_every_question_has_its_page_and_every_claim_its_numbers(study):
    for question in PAPER.values():
        answer = question.answer(study)
        assert answer is not None, question.id
        assert question.alt and answer.caption and len(answer.numbers)
        assert question.title.endswith("?") and question.source
    claims = {claim.text for question in QUESTIONS.values() for claim in question.claims}
    assert {text for _, text, _ in told(study)} == claims


def test_pages_of_benchmarks_are_found_by_listing():
    assert {"muse", "requests", "wmdp", "markov"} <= QUESTIONS.keys()


def test_verdicts_turn_with_the_numbers(study, tmp_path):
    before = told(study)
    assert {word for *_, word in before} == {HOLDS, FAILS, UNDECIDED}
    swap = {NPO: SIMNPO, SIMNPO: NPO}
    swapped = [
        of.model_copy(update={"methods": {swap.get(method, method): variants for method, variants in of.methods.items()}})
        for of in study.study.blocks
    ]
    for name in ("summary", "truth_ratios", "losses"):
        table = pd.read_parquet(study.summary / f"{name}.parquet")
        table.assign(method=table["method"].replace(swap)).to_parquet(tmp_path / f"{name}.parquet")
    for name in ("weights", "selections", "remarks", "examples"):
        pd.read_parquet(study.summary / f"{name}.parquet").to_parquet(tmp_path / f"{name}.parquet")
    shutil.copy(study.summary / "artefacts.csv", tmp_path)
    after = told(Evidence(study.study.model_copy(update={"blocks": swapped}), tmp_path, study.published))
    for pair in PAIRS:
        assert {word for *key, word in before if tuple(key) == pair} == {HOLDS}, pair
        assert {word for *key, word in after if tuple(key) == pair} == {FAILS}, pair


@pytest.mark.parametrize("seeds", [1, 4])
def test_too_few_seeds_decide_nothing(tmp_path, seeds):
    spec, summary = whole(tmp_path, range(seeds))
    assert {word for *_, word in told(Evidence(spec.study, summary))} == {UNDECIDED}


class Thing(Found):
    """A found thing whose panels, rows and sentences all contain its title."""

    def panels(self):
        yield Panel("dots", self.numbers, self.title)

    def rows(self):
        yield {"Thing": self.title}

    def facts(self):
        yield f"{self.title}."


def test_a_question_shows_what_each_found_thing_says(study):
    numbers = pd.DataFrame({"method": ["npo"], "variant": ["beta-1"], "seed": [0], "x": [0.5]})
    things = [
        Thing("a", [("npo", "beta-1")], numbers),
        Thing("b", [("npo", "beta-1")], numbers, head="a"),
        Found("c", (), numbers, head=""),
    ]
    value = {NPO: pd.Series(0.5, [0]), SIMNPO: pd.Series(0.4, [0])}
    claim = Claim("NPO is above SimNPO", "Table 1", "share", NPO, SIMNPO, value=lambda of, method: value[method])
    asked = Question(
        "a", "A?", "here", lambda _: things, "Dots.", "Dots. ", [claim], legend=lambda found: f"{len(found)} things."
    )
    answer = asked.answer(study)
    assert [(head, [panel.title for panel in row]) for head, row in answer.figure.rows] == [("a", ["a", "b"])]
    assert answer.caption == "Dots. 3 things. Variants shown: NPO beta-1."
    assert answer.table.to_dict("records") == [{"Block": "a", "Thing": "a"}, {"Block": "b", "Thing": "b"}]
    assert answer.facts == ["a: a.", "b: b."]
    assert len(answer.numbers) == 3
    assert [(found.title, found.question, found.numbers) for found in answer.verdicts] == [
        (title, "a", ("0.500", "0.400")) for title in "abc"
    ]
    nothing = Question("nothing", "Nothing?", "here", lambda _: [Found("a", (), pd.DataFrame())], "", "")
    assert nothing.answer(study) is None


def test_every_figure_is_drawn(study):
    for name in PAPER:
        drawn(name, study)


def test_a_grid_without_panels_says_so():
    spec = spec_of(Grid([], empty="No numbers."))
    assert ">No numbers.<" in svg_of(spec)
