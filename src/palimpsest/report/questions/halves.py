"""The forget set cut in two halves, by memorisation and by length: whether NPO treats them unevenly."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from palimpsest.metrics.parts import forget_parts
from palimpsest.names import HALF, ORIGINAL, RETRAIN
from palimpsest.report.claims import Claim, Measure, Pair, each
from palimpsest.report.evidence import Evidence, Place
from palimpsest.report.figures import Axis, Grid, Panel, stacked
from palimpsest.report.names import NPO, SIMNPO, compared, method_name
from palimpsest.report.question import Answer, Question
from palimpsest.report.rows import KEY, of_block
from palimpsest.report.words import (
    QUALITY,
    SIGNIFICANCE,
    UTILITY,
    signed,
    table_of,
    variants_shown,
    with_sd,
)

SHIFT = "shift"
MEASURES = [QUALITY, "log_truth_ratio", SHIFT]
NUMBERS = [*KEY, "seed", "method", "variant", "suite", "half", *MEASURES]


@dataclass(frozen=True)
class Halving:
    """A way to cut the forget set in two: its parts as `forget_parts` names them, their names here, the start of the models."""

    parts: tuple[str, str]
    names: tuple[str, str]
    start: str
    alt: str
    caption: str


LENGTHS = Halving(
    ("shortest", "longest"),
    ("shorter", "longer"),
    ORIGINAL,
    "Forget quality of each method on the shorter and the longer half of the answers, and its truth ratios.",
    "The forget set halved by the number of tokens of its answers.",
)
MEMORISED = Halving(
    ("first_half", "second_half"),
    ("learnt", "unseen"),
    HALF,
    "Forget quality and truth ratios of each method on the half of the forget set that its start model had learnt, and on the "
    "half that it had never seen.",
    "Unlearning the whole forget set from a model that learnt only its first half.",
)


@dataclass(frozen=True)
class Halved:
    """One place under a halving: `numbers` by seed, model and half; `ratios` by item with its `side`, log10 as `x`."""

    halving: Halving
    place: Place
    models: list[tuple[str, str]]
    numbers: pd.DataFrame
    ratios: pd.DataFrame

    def by_seed(self, column: str, method: str, side: int) -> pd.Series:
        """Return a column of `numbers` by seed; `shift` is the mean log truth ratio less Retrain's."""
        rows = self.numbers[(self.numbers["method"] == method) & (self.numbers["half"] == self.halving.parts[side])]
        return rows.set_index("seed")[column].dropna()

    def apart(self, method: str) -> pd.Series:
        """Return by seed how far the shifts of the two halves are apart: p-values saturate, shifts do not."""
        # The last digits of equal shifts differ.
        return (self.by_seed(SHIFT, method, 0) - self.by_seed(SHIFT, method, 1)).abs().round(9).dropna()


def halved(evidence: Evidence, halving: Halving) -> Iterator[Halved]:
    """Yield every place with models that have forget quality on both halves."""
    for place in evidence.finished(*(f"{QUALITY}_{part}" for part in halving.parts)):
        models = [model for model in place.block.standing_models(start=halving.start) if _has_both(place, halving, *model)]
        rows = of_block(evidence.truth_ratios, place.block).dropna(subset="truth_ratio")
        rows = rows[(rows["suite"] == place.suite) & (rows["set"] == "forget")]
        if models and (rows["method"] == RETRAIN).any():
            first = forget_parts(rows.drop_duplicates("id")).get(halving.parts[0], [])
            ratios = rows.assign(side=(~rows["id"].isin(first)).astype(int), x=log_ratios(rows["truth_ratio"]))
            yield Halved(halving, place, models, _numbers(place, halving, models, ratios), ratios)


def log_ratios(truth_ratios: pd.Series) -> "np.ndarray[Any, np.dtype[np.float64]]":
    """Return log10 of truth ratios; one may be 0 or infinite in floating point, and still counts as lying on that side."""
    logs: np.ndarray[Any, np.dtype[np.float64]] = np.log10(truth_ratios.to_numpy(dtype=float).clip(1e-300, 1e300))
    return logs


def _has_both(place: Place, halving: Halving, method: str, variant: str) -> bool:
    first, second = (set(place.by_seed(f"{QUALITY}_{part}", method, variant).index) for part in halving.parts)
    return bool(first & second)


def _numbers(place: Place, halving: Halving, models: list[tuple[str, str]], ratios: pd.DataFrame) -> pd.DataFrame:
    # Natural logarithms: the truth ratio itself is the exponential of a difference of losses.
    logs = ratios.assign(log_ratio=ratios["x"] * math.log(10))
    means = logs.pivot_table(values="log_ratio", index="seed", columns=["method", "variant", "side"])
    tables = []
    for method, variant in [*models, (halving.start, ""), (RETRAIN, "")]:
        for side, part in enumerate(halving.parts):
            own, retrain = (means.get((*model, side), pd.Series(dtype=float)) for model in ((method, variant), (RETRAIN, "")))
            quality = place.by_seed(f"{QUALITY}_{part}", method, variant)
            table = pd.DataFrame(dict(zip(MEASURES, (quality, own, own - retrain), strict=True))).dropna(how="all")
            model = place.identity | {"method": method, "variant": variant, "half": part}
            tables.append(table.rename_axis("seed").sort_index().reset_index().assign(**model))
    return stacked(tables)[NUMBERS]


def _show(evidence: Evidence, found: list[Halved]) -> Answer:
    halving = found[0].halving
    return Answer(
        figure=Grid([(of.place.title, _panels(of)) for of in found], wide=3, height=2.7, labels=_labels(halving)),
        alt=halving.alt,
        caption=f"{halving.caption} Left: forget quality on each half. Right: the share of answers with at most a truth ratio; "
        f"the nearer to Retrain's, the better forgotten.{variants_shown(model for of in found for model in of.models)}",
        numbers=stacked(of.numbers for of in found),
        table=table_of([(of.place.title, _line(of, method)) for of in found for method, _ in of.models]),
    )


def _panels(of: Halved) -> list[Panel]:
    ours = of.numbers[of.numbers["method"].isin({method for method, _ in of.models})].dropna(subset=QUALITY)
    quality = ours.assign(x=ours[QUALITY], open=ours["half"] == of.halving.parts[1])
    drawn = {*compared(method for method, _ in of.models), RETRAIN, of.halving.start}
    models = {*of.models, (RETRAIN, ""), (of.halving.start, "")}
    keep = [m in drawn and (m, v) in models for m, v in zip(of.ratios["method"], of.ratios["variant"], strict=True)]
    shown = of.ratios[keep]
    return [
        Panel("dots", quality, "Forget quality", Axis("", "quality")),
        *(
            Panel(
                "ecdf",
                shown[shown["side"] == side],
                f"The {name} half",
                Axis("Truth ratio"),
                Axis("" if side else "Share of answers"),
            )
            for side, name in enumerate(of.halving.names)
        ),
    ]


def _labels(halving: Halving) -> dict[str, dict[str, object]]:
    dot: dict[str, object] = {"linestyle": "", "marker": "o", "color": "#6b6b6b", "markersize": 7}
    return {f"{halving.names[0]} half": dot, f"{halving.names[1]} half": dot | {"markerfacecolor": "white"}}


def _line(of: Halved, method: str) -> dict[str, str]:
    row = {"Method": method_name(method)}
    for side, name in enumerate(of.halving.names):
        row[f"Forget quality, {name}"] = with_sd(of.by_seed(QUALITY, method, side), QUALITY)
    for side, name in enumerate(of.halving.names):
        row[f"Δ log truth ratio to Retrain, {name}"] = with_sd(of.by_seed(SHIFT, method, side), write=signed)
    return row | {"Halves apart": with_sd(of.apart(method), write="{:.2f}".format)}


def _measured(numbers: Callable[[Halved], tuple[pd.Series, pd.Series]]) -> Measure:
    return each(lambda of: Pair(of.place.title, *numbers(of)))


def _fails(of: Halved) -> tuple[pd.Series, pd.Series]:
    npo = of.by_seed(QUALITY, NPO, 0)
    return pd.Series(SIGNIFICANCE, npo.index), npo


def _utility(of: Halved) -> tuple[pd.Series, pd.Series]:
    simnpo, npo = (of.place.by_seed(UTILITY, method, dict(of.models).get(method, "")) for method in (SIMNPO, NPO))
    return simnpo, npo


def _apart(of: Halved) -> tuple[pd.Series, pd.Series]:
    return of.apart(NPO), of.apart(SIMNPO)


def _pushes(of: Halved) -> tuple[pd.Series, pd.Series]:
    return of.by_seed(SHIFT, NPO, 1).abs(), of.by_seed(SHIFT, SIMNPO, 1).abs()


def _of_half(side: int) -> Callable[[Halved], tuple[pd.Series, pd.Series]]:
    return lambda of: (of.by_seed(QUALITY, SIMNPO, side), of.by_seed(QUALITY, NPO, side))


def _shorter_is_worse(of: Halved) -> tuple[pd.Series, pd.Series]:
    return of.by_seed(QUALITY, NPO, 1), of.by_seed(QUALITY, NPO, 0)


UNEVEN = "NPO forgets strongly and weakly memorised data less evenly than SimNPO"
PUSHES = "NPO pushes weakly memorised data further from Retrain than SimNPO"
FAILING = "NPO fails on strongly memorised data (FQ near 0)"
STRONGLY, WEAKLY = (f"SimNPO forgets {how} memorised data better than NPO" for how in ("strongly", "weakly"))
SHORTER = "NPO forgets short answers worse than long ones"
QUESTIONS = (
    Question(
        "memorisation",
        "Does NPO waste power on weakly memorised data?",
        "App. C, Fig. 1b and Table A2",
        partial(halved, halving=MEMORISED),
        _show,
        (
            Claim(UNEVEN, "App. C, Fig. 1b", SHIFT, measure=_measured(_apart)),
            Claim(PUSHES, "App. C", SHIFT, measure=_measured(_pushes)),
            Claim(FAILING, "Table A2", f"{QUALITY}_{MEMORISED.parts[0]}", measure=_measured(_fails)),
            Claim(STRONGLY, "Table A2", measure=_measured(_of_half(0))),
            Claim(WEAKLY, "Table A2", measure=_measured(_of_half(1))),
            Claim("SimNPO keeps more utility than NPO there", "Table A2", UTILITY, measure=_measured(_utility)),
        ),
    ),
    Question(
        "length",
        "Does forgetting depend on the length of the answer?",
        "Fig. 2",
        partial(halved, halving=LENGTHS),
        _show,
        (
            Claim(SHORTER, "Fig. 2", printed=(0.81, 0.58), measure=_measured(_shorter_is_worse)),
            Claim("NPO depends more on the length than SimNPO", "Sec. 5(a)", SHIFT, measure=_measured(_apart)),
        ),
    ),
)
