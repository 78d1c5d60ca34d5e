"""Whether a method depends on its reference model: the same method with a reference that is partly random."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial

import pandas as pd

from palimpsest.report.claims import Claim, Pair
from palimpsest.report.evidence import Evidence, Place
from palimpsest.report.figures import Axis, Grid, Panel, metric_panels
from palimpsest.report.names import NPO, SIMNPO, model_label, standing_variant
from palimpsest.report.question import Found, Question
from palimpsest.report.study import Study
from palimpsest.report.words import QUALITY, SCORES, UTILITY, with_sd

# "Largely unaffected": so much of the utility is kept.
UNAFFECTED = 0.9
NOTHING = pd.Series(dtype=float)
# A random share and the seed of the random weights.
Reference = tuple[float, int]
PLAIN: Reference = (0.0, 0)


@dataclass(frozen=True)
class Perturbed(Found):
    """The methods of one place that were run with a perturbed reference, as lines: `numbers` has a row a point.

    `variants` has the variants of each line by their reference; the one with the plain reference names the line.
    """

    place: Place
    variants: Mapping[tuple[str, str], Mapping[Reference, str]]

    def panels(self) -> list[Panel]:
        """Return a panel per score over the shares."""
        shares = sorted(self.numbers["random_share"].unique())
        # A line per plain variant: all its points under its name.
        lines = {(method, name): plain for (method, plain), of in self.variants.items() for name in of.values()}
        names = [lines[model] for model in zip(self.numbers["method"], self.numbers["variant"], strict=True)]
        data = self.numbers.assign(x=self.numbers["random_share"].map(shares.index), variant=names)
        free = {metric: self.place.standing_by_seed(metric, SIMNPO) for metric in SCORES}
        levels = {metric: {SIMNPO: float(of.mean())} for metric, of in free.items() if len(of)}
        axis = Axis("Random share of the reference's weights", names=[f"{share * 100:g} %" for share in shares])
        return metric_panels("curves", data, SCORES, axis, levels)

    def rows(self) -> Iterator[dict[str, str]]:
        """Yield a row per line and reference; references of one share are told apart by their seeds."""
        for (method, plain), variants in self.variants.items():
            values = {metric: _shared(self.place, metric, method, variants) for metric in SCORES}
            shares = [share for share, _ in variants]
            for share, seed in variants:
                scores = {title: with_sd(values[metric].get((share, seed), NOTHING), metric) for metric, title in SCORES.items()}
                which = f", seed {seed}" if shares.count(share) > 1 else ""
                yield {"Method": model_label(method, plain), "Random share": f"{share * 100:g} %{which}"} | scores

    def ends(self, metric: str) -> Iterator[tuple[pd.Series, pd.Series]]:
        """Yield a metric by seed of each line of NPO, with the plain reference and with the most perturbed one, or their mean."""
        for (method, _), variants in self.variants.items():
            if method == NPO:
                values = _shared(self.place, metric, method, variants)
                most = [reference for reference in variants if reference[0] == max(share for share, _ in variants)]
                yield values.get(PLAIN, NOTHING), values.reindex(columns=most).mean(axis=1).dropna()


def _shared(place: Place, metric: str, method: str, variants: Mapping[Reference, str]) -> pd.DataFrame:
    """Return a metric by seed and reference, of the seeds that all references have: text and figure show the same numbers."""
    found = {reference: place.by_seed(metric, method, variant) for reference, variant in variants.items()}
    return pd.DataFrame({reference: values for reference, values in found.items() if len(values)}).dropna()


def _find(evidence: Evidence) -> Iterator[Perturbed]:
    for place in evidence.finished(*SCORES):
        variants = {
            (method, plain): {PLAIN: plain, **dict(sorted(changed.items()))}
            for method, _ in place.block.standing_models()
            for plain, changed in _changed(evidence.study, place, method).items()
        }
        numbers = [
            place.identity
            | {"method": method, "variant": variant, "random_share": share, "seed": seed, "metric": metric, "value": value}
            for (method, _), of in variants.items()
            for metric in SCORES
            for values in [_shared(place, metric, method, of)]
            for (share, drawn), variant in of.items()
            for seed, value in values.get((share, drawn), NOTHING).items()
        ]
        if numbers:
            yield Perturbed(place.title, (), pd.DataFrame(numbers), place, variants)


def _changed(study: Study, place: Place, method: str) -> dict[str, dict[Reference, str]]:
    """Return the variants with a perturbed reference by the plain variant that each is compared with, and by reference."""
    changed: dict[str, dict[Reference, str]] = {}
    for name, reference in study.references.items():
        for variant in place.block.variants_of(method, reference=name):
            plain = _plain(place, method, variant)
            if plain is not None and _is_scored(place, method, plain) and _is_scored(place, method, variant):
                changed.setdefault(plain, {})[float(reference["random_share"]), int(reference.get("seed", 0))] = variant
    return changed


def _is_scored(place: Place, method: str, variant: str) -> bool:
    return bool(place.of_model(method, variant)["metric"].isin(SCORES).any())


def _plain(place: Place, method: str, variant: str) -> str | None:
    """Return the variant that differs from this one only in its reference, or else the one that represents the method."""
    bare = {name: {**each, "reference": None} for name, each in place.block.methods[method].items()}
    alike = standing_variant(name for name in place.block.variants_of(method) if bare[name] == bare[variant])
    return alike or place.block.standing(method)


def _worse(of: Perturbed) -> Iterator[Pair]:
    """NPO's forget quality with the plain reference is above that with the most perturbed one."""
    yield from (Pair(of.title, plain, changed) for plain, changed in of.ends(QUALITY))


def _unaffected(of: Perturbed) -> Iterator[Pair]:
    """NPO's model utility with the most perturbed reference is above 90 % of that with the plain one."""
    yield from (Pair(of.title, changed, plain, (UNAFFECTED - 1) * plain) for plain, changed in of.ends(UTILITY))


WORSE, KEPT = "NPO forgets worse with a perturbed reference", "NPO's utility is largely unaffected by a perturbed reference"
QUESTIONS = (
    Question(
        "reference",
        "Does NPO depend on its reference model?",
        "Sec. 4 and App. B",
        _find,
        "Forget quality and model utility against the share of random weights in the reference model, beside SimNPO's level.",
        "Models whose reference has that share of random weights; at 0 % it is the model that unlearning starts from. Means over "
        "the seeds that all shares have, bars their range. Level: SimNPO, which reads no reference, where it was run.",
        (
            Claim(WORSE, "App. B, Fig. A1", printed=(0.79, 0.27), measure=_worse),
            Claim(KEPT, "App. B", UTILITY, printed=(0.52, 0.57), measure=_unaffected),
        ),
        partial(Grid, wide=2, height=190),
    ),
)
