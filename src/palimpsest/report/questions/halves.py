"""The forget set cut in two halves, by memorisation and by length: whether NPO treats them unevenly."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial

import pandas as pd

from palimpsest.metrics.parts import forget_parts
from palimpsest.names import HALF, ORIGINAL, RETRAIN
from palimpsest.report.claims import Claim, Pair
from palimpsest.report.evidence import Evidence, Place
from palimpsest.report.figures import Axis, Grid, Look, Panel, stacked
from palimpsest.report.names import NPO, SIMNPO, compared, method_name
from palimpsest.report.question import Found, Question
from palimpsest.report.rows import KEY, log10, of_block, of_models
from palimpsest.report.study import Study
from palimpsest.report.words import QUALITY, SIGNIFICANCE, UTILITY, signed, with_sd

SHIFT = "shift"
MEASURES = [QUALITY, "log_truth_ratio", SHIFT]
NUMBERS = [*KEY, "seed", "method", "variant", "suite", "half", *MEASURES]
DOT = Look(shape="circle", size=9)


@dataclass(frozen=True)
class Halving:
    """A way to cut the forget set in two: its parts as `forget_parts` names them, their names here, the start of the models."""

    parts: tuple[str, str]
    names: tuple[str, str]
    start: str

    @property
    def grid(self) -> partial[Grid]:
        """The figure, whose legend tells the halves apart."""
        looks = (DOT, replace(DOT, hollow=True))
        return partial(
            Grid, wide=3, height=200, labels={f"{name} half": look for name, look in zip(self.names, looks, strict=True)}
        )


LENGTHS = Halving(("shortest", "longest"), ("shorter", "longer"), ORIGINAL)
MEMORISED = Halving(("first_half", "second_half"), ("learnt", "unseen"), HALF)


@dataclass(frozen=True)
class Halved(Found):
    """One place under a halving: `numbers` by seed, model and half; `ratios` by item with its `side`, log10 as `x`."""

    halving: Halving
    place: Place
    ratios: pd.DataFrame

    def by_seed(self, column: str, method: str, side: int) -> pd.Series:
        """Return a column of `numbers` by seed; `shift` is the mean log truth ratio less Retrain's."""
        rows = self.numbers[(self.numbers["method"] == method) & (self.numbers["half"] == self.halving.parts[side])]
        return rows.set_index("seed")[column].dropna()

    def apart(self, method: str) -> pd.Series:
        """Distance between the shifts of the two halves; p-values saturate, shifts do not."""
        # The last digits of equal shifts differ.
        return (self.by_seed(SHIFT, method, 0) - self.by_seed(SHIFT, method, 1)).abs().round(9).dropna()

    def panels(self) -> Iterator[Panel]:
        """Yield forget quality by method, and the truth ratios on each half."""
        methods = [method for method, _ in self.models]
        quality = self.numbers[self.numbers["method"].isin(methods)].dropna(subset=QUALITY)
        quality = quality.assign(x=quality[QUALITY], open=quality["half"] == self.halving.parts[1])
        yield Panel("dots", quality, "Forget quality", Axis("", "quality"))
        drawn = {(method, variant) for method, variant in self.models if method in compared(methods)}
        drawn |= {(RETRAIN, ""), (self.halving.start, "")}
        ratios = of_models(self.ratios, drawn)
        for side, name in enumerate(self.halving.names):
            axes = Axis("Truth ratio"), Axis("" if side else "Share of answers")
            yield Panel("ecdf", ratios[ratios["side"] == side], f"The {name} half", *axes)

    def rows(self) -> Iterator[dict[str, str]]:
        """Yield a row per method."""
        sides = list(enumerate(self.halving.names))
        for method, _ in self.models:
            quality = {f"Forget quality, {name}": with_sd(self.by_seed(QUALITY, method, side), QUALITY) for side, name in sides}
            shift = {
                f"Δ log truth ratio to Retrain, {name}": with_sd(self.by_seed(SHIFT, method, side), write=signed)
                for side, name in sides
            }
            apart = {"Halves apart": with_sd(self.apart(method), write="{:.2f}".format)}
            yield {"Method": method_name(method)} | quality | shift | apart


def halved(evidence: Evidence, halving: Halving) -> Iterator[Halved]:
    """Yield every place with models that have forget quality on both halves."""
    for place in evidence.finished(*(f"{QUALITY}_{part}" for part in halving.parts)):
        models = [model for model in place.block.standing_models(start=halving.start) if _has_both(place, halving, *model)]
        rows = of_block(evidence.truth_ratios, place.block).dropna(subset="truth_ratio")
        rows = rows[(rows["suite"] == place.suite) & (rows["set"] == "forget")]
        if models and (rows["method"] == RETRAIN).any():
            first = forget_parts(rows.drop_duplicates("id")).get(halving.parts[0], [])
            ratios = rows.assign(side=(~rows["id"].isin(first)).astype(int), x=log10(rows["truth_ratio"]))
            yield Halved(place.title, models, _numbers(evidence.study, place, halving, models, ratios), halving, place, ratios)


def _has_both(place: Place, halving: Halving, method: str, variant: str) -> bool:
    first, second = (set(place.by_seed(f"{QUALITY}_{part}", method, variant).index) for part in halving.parts)
    return bool(first & second)


def _numbers(
    study: Study, place: Place, halving: Halving, models: Sequence[tuple[str, str]], ratios: pd.DataFrame
) -> pd.DataFrame:
    # Natural logarithms: the truth ratio itself is the exponential of a difference of losses.
    logs = ratios.assign(log_ratio=ratios["x"] * math.log(10))
    means = logs.pivot_table(values="log_ratio", index="seed", columns=["method", "variant", "side"])
    tables = []
    for method, variant in [*models, (halving.start, ""), (RETRAIN, "")]:
        for side, part in enumerate(halving.parts):
            own, retrain = (means.get((*model, side), pd.Series(dtype=float)) for model in ((method, variant), (RETRAIN, "")))
            # A Retrain that all seeds share has rows of one seed alone.
            goal = retrain.mean() if study.shares_references(place.block) else retrain
            quality = place.by_seed(f"{QUALITY}_{part}", method, variant)
            table = pd.DataFrame(dict(zip(MEASURES, (quality, own, own - goal), strict=True))).dropna(how="all")
            model = place.identity | {"method": method, "variant": variant, "half": part}
            tables.append(table.rename_axis("seed").sort_index().reset_index().assign(**model))
    return stacked(tables)[NUMBERS]


def _fails(of: Halved) -> Iterator[Pair]:
    """NPO's forget quality on the learnt half is below the 5 % level."""
    npo = of.by_seed(QUALITY, NPO, 0)
    yield Pair(of.title, pd.Series(SIGNIFICANCE, npo.index), npo)


def _shorter_is_worse(of: Halved) -> Iterator[Pair]:
    """NPO's forget quality on the longer half is above that on the shorter half."""
    yield Pair(of.title, of.by_seed(QUALITY, NPO, 1), of.by_seed(QUALITY, NPO, 0))


def _learnt(of: Halved, method: str) -> pd.Series:
    """Forget quality on the learnt half."""
    return of.by_seed(QUALITY, method, 0)


def _unseen(of: Halved, method: str) -> pd.Series:
    """Forget quality on the unseen half."""
    return of.by_seed(QUALITY, method, 1)


def _pushed(of: Halved, method: str) -> pd.Series:
    """Distance of the mean log truth ratio on the unseen half from Retrain's."""
    return of.by_seed(SHIFT, method, 1).abs()


def _utility(of: Halved, method: str) -> pd.Series:
    """Model utility after unlearning from the half-learnt start."""
    return of.place.by_seed(UTILITY, method, dict(of.models).get(method, ""))


UNEVEN = "NPO forgets strongly and weakly memorised data less evenly than SimNPO"
PUSHES = "NPO pushes weakly memorised data further from Retrain than SimNPO"
FAILING = "NPO fails on strongly memorised data (FQ near 0)"
STRONGLY, WEAKLY = (f"SimNPO forgets {how} memorised data better than NPO" for how in ("strongly", "weakly"))
MORE_UTILITY = "SimNPO keeps more utility than NPO there"
SHORTER = "NPO forgets short answers worse than long ones"
HOW_TO_READ = (
    " Left: forget quality on each half. Right: the share of answers with at most a truth ratio; the nearer to Retrain's, the "
    "better forgotten."
)
QUESTIONS = (
    Question(
        "memorisation",
        "Does NPO waste power on weakly memorised data?",
        "App. C, Fig. 1b and Table A2",
        partial(halved, halving=MEMORISED),
        "Forget quality and truth ratios of each method on the half of the forget set that its start model had learnt, and on "
        "the half that it had never seen.",
        f"Unlearning the whole forget set from a model that learnt only its first half.{HOW_TO_READ}",
        (
            Claim(UNEVEN, "App. C, Fig. 1b", SHIFT, NPO, SIMNPO, value=Halved.apart),
            Claim(PUSHES, "App. C", SHIFT, NPO, SIMNPO, value=_pushed),
            Claim(FAILING, "Table A2", f"{QUALITY}_{MEMORISED.parts[0]}", measure=_fails),
            Claim(STRONGLY, "Table A2", QUALITY, SIMNPO, NPO, value=_learnt),
            Claim(WEAKLY, "Table A2", QUALITY, SIMNPO, NPO, value=_unseen),
            Claim(MORE_UTILITY, "Table A2", UTILITY, SIMNPO, NPO, value=_utility),
        ),
        MEMORISED.grid,
    ),
    Question(
        "length",
        "Does forgetting depend on the length of the answer?",
        "Fig. 2",
        partial(halved, halving=LENGTHS),
        "Forget quality of each method on the shorter and the longer half of the answers, and its truth ratios.",
        f"The forget set halved by the number of tokens of its answers.{HOW_TO_READ}",
        (
            Claim(SHORTER, "Fig. 2", printed=(0.81, 0.58), measure=_shorter_is_worse),
            Claim("NPO depends more on the length than SimNPO", "Sec. 5(a)", SHIFT, NPO, SIMNPO, value=Halved.apart),
        ),
        LENGTHS.grid,
    ),
)
