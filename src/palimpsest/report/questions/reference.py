"""Whether a method depends on its reference model: the same method with a reference that is partly random."""

from collections.abc import Iterator
from dataclasses import dataclass

import pandas as pd

from palimpsest.report.claims import Claim, Pair, each
from palimpsest.report.evidence import Evidence, Place
from palimpsest.report.figures import Axis, Grid, Panel, metric_panels, stacked
from palimpsest.report.names import NPO, SIMNPO, model_label, standing_variant
from palimpsest.report.question import Answer, Question
from palimpsest.report.study import Study
from palimpsest.report.words import QUALITY, SCORES, UTILITY, table_of, with_sd

# "Largely unaffected": so much of the utility is kept.
UNAFFECTED = 0.9


@dataclass(frozen=True)
class Line:
    """One method in one place: its variants by the share of random weights in their reference, the plain one at 0."""

    place: Place
    method: str
    variants: dict[float, str]

    def at(self, metric: str, share: float) -> pd.Series:
        """Return a metric by seed at a share."""
        return self.place.by_seed(metric, self.method, self.variants[share])


def lines(evidence: Evidence) -> Iterator[Line]:
    """Yield every method that was run with a perturbed reference."""
    for place in evidence.finished(*SCORES):
        for method, _ in place.block.standing_models():
            yield from _lines(evidence.study, place, method)


def _lines(study: Study, place: Place, method: str) -> Iterator[Line]:
    changed: dict[str, dict[float, str]] = {}
    for name, reference in study.references.items():
        for variant in place.block.variants_of(method, reference=name):
            plain = _plain(place, method, variant)
            if plain is not None and _is_scored(place, method, plain) and _is_scored(place, method, variant):
                changed.setdefault(plain, {})[float(reference["random_share"])] = variant
    for plain, variants in changed.items():
        yield Line(place, method, {0.0: plain, **dict(sorted(variants.items()))})


def _is_scored(place: Place, method: str, variant: str) -> bool:
    return bool(place.of_model(method, variant)["metric"].isin(SCORES).any())


def _plain(place: Place, method: str, variant: str) -> str | None:
    """Return the variant that differs from this one only in its reference, or else the one that represents the method."""
    bare = {name: {**each, "reference": None} for name, each in place.block.methods[method].items()}
    alike = standing_variant(name for name in place.block.variants_of(method) if bare[name] == bare[variant])
    return alike or place.block.standing(method)


def _show(evidence: Evidence, found: list[Line]) -> Answer:
    places = {of.place.title: of.place for of in found}
    numbers = stacked(_points(of, metric) for of in found for metric in SCORES)
    return Answer(
        figure=Grid([(title, _panels(place, numbers)) for title, place in places.items()], wide=2, height=2.6),
        alt="Forget quality and model utility against the share of random weights in the reference model, beside SimNPO's level.",
        caption="Models whose reference has that share of random weights; at 0 % it is the model that unlearning starts from. "
        "Means over seeds, bars their range. Level: SimNPO, which reads no reference, where it was run.",
        numbers=numbers,
        table=table_of([(of.place.title, _row(of, share)) for of in found for share in of.variants]),
    )


def _points(of: Line, metric: str) -> pd.DataFrame:
    return pd.DataFrame(
        of.place.identity
        | {"method": of.method, "variant": variant, "random_share": share, "seed": seed, "metric": metric, "value": value}
        for share, variant in of.variants.items()
        for seed, value in of.at(metric, share).items()
    )


def _panels(place: Place, numbers: pd.DataFrame) -> list[Panel]:
    here = numbers[(numbers[list(place.identity)] == pd.Series(place.identity)).all(axis=1)]
    shares = sorted(here["random_share"].unique())
    # A line per plain variant: all its points under one name.
    data = here.assign(x=here["random_share"].map(shares.index), variant="")
    free = {metric: place.standing_by_seed(metric, SIMNPO) for metric in SCORES}
    levels = {metric: {SIMNPO: float(of.mean())} for metric, of in free.items() if len(of)}
    names = [f"{share * 100:g} %" for share in shares]
    return metric_panels("curves", data, SCORES, Axis("Random share of the reference's weights", names=names), levels)


def _row(of: Line, share: float) -> dict[str, str]:
    scores = {title: with_sd(of.at(metric, share), metric) for metric, title in SCORES.items()}
    return {"Method": model_label(of.method, of.variants[0.0]), "Random share": f"{share * 100:g} %"} | scores


def _worse(of: Line) -> Pair | None:
    plain, changed = of.at(QUALITY, 0.0), of.at(QUALITY, max(of.variants))
    return Pair(of.place.title, plain, changed) if of.method == NPO else None


def _unaffected(of: Line) -> Pair | None:
    plain, changed = of.at(UTILITY, 0.0), of.at(UTILITY, max(of.variants))
    return Pair(of.place.title, changed, plain, (UNAFFECTED - 1) * plain) if of.method == NPO else None


WORSE, KEPT = "NPO forgets worse with a perturbed reference", "NPO's utility is largely unaffected by a perturbed reference"
QUESTIONS = (
    Question(
        "reference",
        "Does NPO depend on its reference model?",
        "Sec. 4 and App. B",
        lines,
        _show,
        (
            Claim(WORSE, "App. B, Fig. A1", printed=(0.79, 0.27), measure=each(_worse)),
            Claim(KEPT, "App. B", UTILITY, printed=(0.52, 0.57), measure=each(_unaffected)),
        ),
    ),
)
