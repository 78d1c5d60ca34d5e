"""The paper's claims about SimNPO and NPO on MUSE."""

from collections.abc import Iterator

import pandas as pd

from palimpsest.names import ORIGINAL, RETRAIN
from palimpsest.report.claims import Claim, Pair
from palimpsest.report.evidence import Evidence, Place
from palimpsest.report.names import NPO, SIMNPO, method_name
from palimpsest.report.words import joined

VERBATIM, KNOWN, KEPT, LEAK, LEAK_PUBLISHED = "verbmem_f", "knowmem_f", "knowmem_r", "privleak", "privleak_published"
# The split that is the data artefact itself; Original and Retrain belong to it.
FIRST = "forget"


def first_places(evidence: Evidence) -> Iterator[Place]:
    """Yield the places with the first forget set."""
    yield from (place for place in evidence.finished(VERBATIM, KNOWN, KEPT, LEAK, LEAK_PUBLISHED) if place.block.split == FIRST)


def hardly_forgotten(place: Place, metric: str, goal: float | None) -> str:
    """Return NPO or SimNPO if its score is closer to Original's than to a goal; a method that forgot little proves nothing.

    The result is empty if neither is.
    """
    original = place.by_seed(metric, ORIGINAL).mean()
    if goal is None or pd.isna(goal) or pd.isna(original):
        return ""
    means = {method: place.standing_by_seed(metric, method).mean() for method in (NPO, SIMNPO)}
    near = [method_name(method) for method, mean in means.items() if (mean - (original + goal) / 2) * (original - goal) > 0]
    return f"{joined(near)} went less than half the way from Original to forgotten" if near else ""


def _goal(place: Place) -> float | None:
    """Return Retrain's VerbMem; None if Original's is not higher, so that there is nothing to forget."""
    retrain, original = place.by_seed(VERBATIM, RETRAIN).mean(), place.by_seed(VERBATIM, ORIGINAL).mean()
    return float(retrain) if original > retrain else None


def _keeps(evidence: Evidence) -> Iterator[Pair]:
    for place in first_places(evidence):
        simnpo, npo = (place.standing_by_seed(KEPT, method) for method in (SIMNPO, NPO))
        if len(simnpo) and len(npo):
            yield Pair(place.title, simnpo, npo, but=hardly_forgotten(place, VERBATIM, _goal(place)))


def _leaks(evidence: Evidence) -> Iterator[Pair]:
    for place in first_places(evidence):
        # Against the study's Retrain, if it has one.
        metric = LEAK if len(place.rows[place.rows["metric"] == LEAK]) else LEAK_PUBLISHED
        npo, simnpo = (place.standing_by_seed(metric, method).abs() for method in (NPO, SIMNPO))
        if len(simnpo) and len(npo):
            yield Pair(place.title, npo, simnpo, but=hardly_forgotten(place, VERBATIM, _goal(place)))


CLAIMS = (
    Claim(
        "NPO's |PrivLeak| is further from 0 than SimNPO's",
        "Table 2, News",
        LEAK,
        printed=(108.91, 72.93),
        measure=_leaks,
        write="{:.1f}".format,
    ),
    Claim("SimNPO keeps more KnowMem on the retain set than NPO", "Table 2, News", KEPT, printed=(39.65, 37.58), measure=_keeps),
)
