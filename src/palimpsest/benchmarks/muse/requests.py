"""Larger forget sets, and one request to forget after another: how much of the retain set is left."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from palimpsest.names import ROLES
from palimpsest.report.claims import Claim, Pair
from palimpsest.report.evidence import Evidence, Place
from palimpsest.report.figures import Axis, Grid, Panel, metric_panels, stacked
from palimpsest.report.names import NPO, SIMNPO, model_label, model_order, standing_variant
from palimpsest.report.question import Found, Question
from palimpsest.report.rows import KEY, of_models
from palimpsest.report.tables import make_table, points_of
from palimpsest.report.words import with_sd

VERBATIM, KNOWN, KEPT, LEAK = "verbmem_f", "knowmem_f", "knowmem_r", "privleak"
# The split that is the data artefact itself; Original and Retrain belong to it.
FIRST = "forget"
# What the splits of a kind are called before their number, and the heading of their panels.
KINDS = {"scale": "larger forget sets", "request": "one request after another"}
# The retain set first.
NAMES = {KEPT: "KnowMem, retain set", VERBATIM: "VerbMem, forget set", KNOWN: "KnowMem, forget set", LEAK: "PrivLeak"}
NUMBERS = ["kind", *KEY, "seed", "method", "variant", "suite", "metric", "value"]


@dataclass(frozen=True)
class Series(Found):
    """The splits of one kind of one benchmark and model (scale2, ...; request2, ...), after the first forget set where scored."""

    kind: str
    places: Sequence[Place]
    levels: Mapping[str, Mapping[str, float]]

    def panels(self) -> list[Panel]:
        """Return a panel per score over the splits."""
        tables = [make_table(place.block, place.suite, of_models(place.rows, self.models), ()) for place in self.places]
        data = stacked(
            points_of(table, metric, table.rows).rename(columns={"x": "value"}).assign(metric=metric, x=x)
            for metric in NAMES
            for x, table in enumerate(tables)
        )
        return metric_panels("curves", data, NAMES, Axis(names=[place.block.split for place in self.places]), self.levels)

    def rows(self) -> Iterator[dict[str, str]]:
        """Yield one row per method with its retain score on each split."""
        for model in self.models:
            by_seed = {place.block.split: place.by_seed(KEPT, *model) for place in self.places}
            cells = {f"{NAMES[KEPT]}, {split}": with_sd(kept, KEPT) for split, kept in by_seed.items()}
            yield {"Method": model_label(*model), "Splits": KINDS[self.kind]} | cells


def _find(evidence: Evidence) -> Iterator[Series]:
    groups: dict[tuple[str, str, str], dict[str, Place]] = {}
    for place in evidence.finished(*NAMES):
        groups.setdefault((place.block.benchmark, place.block.model, place.suite), {})[place.block.split] = place
    for (benchmark, model, suite), places in groups.items():
        title = " / ".join((benchmark, model, *([suite] if suite not in ("", benchmark) else [])))
        for kind in KINDS:
            numbers = sorted(int(split.removeprefix(kind)) for split in places if re.fullmatch(rf"{kind}\d+", split))
            followed = [places[split] for split in (FIRST, *(f"{kind}{number}" for number in numbers)) if split in places]
            models = _models(followed)
            if numbers and models:
                rows = stacked(place.rows[place.rows["metric"].isin(NAMES)].assign(kind=kind) for place in followed)
                levels, head = _levels(evidence, followed), f"{title}: {KINDS[kind]}"
                yield Series(title, models, of_models(rows, models)[NUMBERS], kind, followed, levels, head=head)


def _models(places: Sequence[Place]) -> list[tuple[str, str]]:
    """Return the methods that went further than the first forget set, each with the variant that has most splits."""
    found = []
    for method in sorted({str(method) for place in places for method in place.rows["method"]} - {*ROLES}, key=model_order):
        names = {name for place in places for name in place.block.variants_of(method)}
        splits = {name: {of.block.split for of in places if len(of.of_model(method, name))} for name in sorted(names)}
        counts = {name: len(followed) for name, followed in splits.items() if followed - {FIRST}}
        variant = standing_variant(name for name, count in counts.items() if count == max(counts.values()))
        if variant is not None:
            found.append((method, variant))
    return found


def _levels(evidence: Evidence, places: Sequence[Place]) -> dict[str, dict[str, float]]:
    """Return Original's and Retrain's levels on the first forget set, which all splits share and which alone has their rows."""
    levels: dict[str, dict[str, float]] = {}
    for place in reversed(places):
        levels = {metric: levels.get(metric, {}) | found for metric, found in evidence.levels(place, NAMES).items()}
    return levels


def _keeps(kind: str) -> Callable[[Series], Iterator[Pair]]:
    def measure(of: Series) -> Iterator[Pair]:
        if of.kind == kind:
            last, variants = of.places[-1], dict(of.models)
            simnpo, npo = (last.by_seed(KEPT, method, variants.get(method, "")) for method in (SIMNPO, NPO))
            yield Pair(f"{of.title}, {last.block.split}", simnpo, npo)

    measure.__doc__ = f"SimNPO's KnowMem on the retain set is above NPO's on the last of the splits {kind}2, {kind}3, ..."
    return measure


LARGER = "SimNPO keeps more on the retain set than NPO when the forget set grows"
LASTS = "SimNPO keeps more on the retain set than NPO when requests follow each other"
QUESTIONS = (
    Question(
        "requests",
        "Does unlearning last: larger forget sets, one request after another?",
        "Fig. A5",
        _find,
        "KnowMem on the retain set, VerbMem and KnowMem on the forget set and PrivLeak of each method, over larger forget sets "
        "and over requests.",
        "Every model is asked about the retain set and the first forget set, whatever it unlearned. Each larger forget set holds "
        "the one before it; each request starts from the model left by the previous request. Bars: the range over seeds, or of "
        "one seed the 95 % interval over the items. A PrivLeak of 0 is Retrain's.",
        (
            Claim(LARGER, "App. I.4, Fig. A5", KEPT, measure=_keeps("scale")),
            Claim(LASTS, "App. I.4, Fig. A5", KEPT, measure=_keeps("request")),
        ),
        partial(Grid, height=170),
    ),
)
