"""The page on the paper's claims: it is what the code says, and says how each claim is tested."""

from pathlib import Path

import pytest

from palimpsest.report.claims import Claim
from palimpsest.report.claims_page import CLAIMS, claims_text, how_tested
from palimpsest.report.questions import all_questions
from palimpsest.study.field_numbers import PAGE, field_numbers_text

ROOT = Path(__file__).resolve().parents[2]
FOUND = [claim for question in all_questions() for claim in question.claims]


def test_the_page_is_what_the_code_says() -> None:
    assert (ROOT / CLAIMS).read_text(encoding="utf-8") == claims_text(), "run: python -m palimpsest.study write"


def test_the_page_of_published_numbers_is_up_to_date(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    assert Path(PAGE).read_text(encoding="utf-8") == field_numbers_text(), "run: python -m palimpsest.study write"


@pytest.mark.parametrize("claim", FOUND, ids=lambda claim: claim.text)
def test_every_claim_has_a_place_and_a_test_of_its_own(claim: Claim) -> None:
    assert claim.source.startswith(("Table ", "Fig. ", "Figs. ", "App. ", "Sec. "))
    assert how_tested(claim).endswith(".") and "None" not in how_tested(claim)
    same = [other.text for other in FOUND if (how_tested(other), other.printed) == (how_tested(claim), claim.printed)]
    # Two claims measure the distance between halves: by memorisation and by length.
    assert len(same) == (2 if "two halves" in how_tested(claim) else 1)


def test_a_claim_on_a_metric_names_it() -> None:
    assert how_tested(Claim("x", "Table 1", "model_utility", "simnpo", "npo")) == "`model_utility`: SimNPO's is above NPO's."
