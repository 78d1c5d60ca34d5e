"""Larger forget sets, and one request to forget after another: how much of the retain set is left."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import pandas as pd

from palimpsest.benchmarks.muse.claims import FIRST, KEPT, KNOWN, LEAK, VERBATIM
from palimpsest.report.claims import Claim, Pair, each
from palimpsest.report.evidence import Evidence, Place
from palimpsest.report.figures import Axis, Grid, Panel, metric_panels, stacked
from palimpsest.report.names import NPO, REFERENCES, SIMNPO, model_label, model_order, standing_variant
from palimpsest.report.question import Answer, Question
from palimpsest.report.rows import KEY
from palimpsest.report.tables import make_table, points_of
from palimpsest.report.words import table_of, variants_shown, with_sd

# What the splits of a kind are called before their number, and the heading of their panels.
KINDS = {"scale": "larger forget sets", "request": "one request after another"}
# The retain set first.
NAMES = {KEPT: "KnowMem, retain set", VERBATIM: "VerbMem, forget set", KNOWN: "KnowMem, forget set", LEAK: "PrivLeak"}
Model = tuple[str, str]


@dataclass(frozen=True)
class Series:
    """The splits of one kind of one benchmark and model (scale2, ...; request2, ...), after the first forget set where scored."""

    kind: str
    places: list[Place]

    @property
    def title(self) -> str:
        """What it is of."""
        of = self.places[-1]
        return " / ".join((of.block.benchmark, of.block.model, *([of.suite] if of.suite not in ("", of.block.benchmark) else [])))

    @cached_property
    def models(self) -> list[Model]:
        """The methods that went further than the first forget set, each with the variant that has most splits."""
        methods = {str(method) for place in self.places for method in place.rows["method"]} - {*REFERENCES}
        ordered = sorted(methods, key=model_order)
        return [(method, variant) for method in ordered if (variant := self._variant(method)) is not None]

    def _variant(self, method: str) -> str | None:
        names = {name for place in self.places for name in place.block.variants_of(method)}
        splits = {name: {of.block.split for of in self.places if len(of.of_model(method, name))} for name in sorted(names)}
        counts = {name: len(found) for name, found in splits.items() if found - {FIRST}}
        return standing_variant(name for name, count in counts.items() if count == max(counts.values()))


def all_series(evidence: Evidence) -> Iterator[Series]:
    """Yield every series of splits that a method followed."""
    groups: dict[tuple[str, str, str], dict[str, Place]] = {}
    for place in evidence.finished(*NAMES):
        groups.setdefault((place.block.benchmark, place.block.model, place.suite), {})[place.block.split] = place
    for places in groups.values():
        for kind in KINDS:
            numbers = sorted(int(split.removeprefix(kind)) for split in places if re.fullmatch(rf"{kind}\d+", split))
            splits = [FIRST, *(f"{kind}{number}" for number in numbers)]
            series = Series(kind, [places[split] for split in splits if split in places])
            if numbers and series.models:
                yield series


def _show(evidence: Evidence, found: list[Series]) -> Answer:
    return Answer(
        figure=Grid([(f"{of.title}: {KINDS[of.kind]}", _panels(evidence, of)) for of in found], height=2.4),
        alt="KnowMem on the retain set, VerbMem and KnowMem on the forget set and PrivLeak of each method, over larger forget "
        "sets and over requests.",
        caption="Every model is asked about the retain set and the first forget set, whatever it unlearned. Each larger forget "
        "set holds the one before it; each request starts from the model left by the previous request. Bars: the range over "
        "seeds, or of one seed the 95 % interval over the items. A PrivLeak of 0 is Retrain's."
        + variants_shown(model for of in found for model in of.models),
        numbers=stacked(_numbers(of) for of in found),
        table=table_of([(of.title, _row(of, model)) for of in found for model in of.models]),
    )


def _panels(evidence: Evidence, of: Series) -> list[Panel]:
    tables = [make_table(place.block, place.suite, place.rows, ()) for place in of.places]
    points = [
        points_of(table, metric, of.models).assign(metric=metric, place=x) for metric in NAMES for x, table in enumerate(tables)
    ]
    data = stacked(points).rename(columns={"x": "value", "place": "x"})
    # All splits share the references of the first forget set, which alone has their rows.
    levels: dict[str, dict[str, float]] = {}
    for place in reversed(of.places):
        levels = {metric: levels.get(metric, {}) | found for metric, found in evidence.levels(place, NAMES).items()}
    return metric_panels("curves", data, NAMES, Axis(names=[place.block.split for place in of.places]), levels)


def _row(of: Series, model: Model) -> dict[str, str]:
    cells = {f"{NAMES[KEPT]}, {place.block.split}": with_sd(place.by_seed(KEPT, *model), KEPT) for place in of.places}
    return {"Method": model_label(*model), "Splits": KINDS[of.kind]} | cells


def _numbers(of: Series) -> pd.DataFrame:
    rows = [place.rows[place.rows["metric"].isin(NAMES)] for place in of.places]
    shown = [part[[pair in of.models for pair in zip(part["method"], part["variant"], strict=True)]] for part in rows]
    return stacked(shown).assign(kind=of.kind)[["kind", *KEY, "seed", "method", "variant", "suite", "metric", "value"]]


def _keeps(of: Series) -> Pair:
    last, variants = of.places[-1], dict(of.models)
    simnpo, npo = (last.by_seed(KEPT, method, variants.get(method, "")) for method in (SIMNPO, NPO))
    return Pair(f"{of.title}, {last.block.split}", simnpo, npo)


CLAIM = Claim(
    "SimNPO keeps more on the retain set than NPO as requests grow",
    "App. I.4, Fig. A5",
    KEPT,
    measure=each(_keeps),
)
QUESTIONS = (
    Question(
        "requests", "Does unlearning last: larger forget sets, one request after another?", "Fig. A5", all_series, _show, (CLAIM,)
    ),
)
