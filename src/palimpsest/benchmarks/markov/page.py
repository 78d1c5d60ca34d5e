"""Markov chains, whose truth is known: how far two of them are forgotten, and how far the retain chain goes with them."""

import math
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from palimpsest.benchmarks.markov.tradeoff import POINTS, equal_retain, forget_at_retain, mean_gap, retain_at_forget
from palimpsest.names import ORIGINAL, RETRAIN
from palimpsest.report.claims import Claim, Measure, Pair, each
from palimpsest.report.evidence import Evidence, Place
from palimpsest.report.figures import Axis, Grid, Look, Panel, stacked
from palimpsest.report.names import NPO, SIMNPO, method_name, model_label, model_order, standing_variant
from palimpsest.report.question import Answer, Question
from palimpsest.report.rows import along_trajectories, finished
from palimpsest.report.style import DASHED, INK
from palimpsest.report.words import joined, table_of, under_titles, variants_shown, with_sd

# How far a model is from the truth on each chain.
KEPT, FORGET1, FORGET2 = "kl_retain", "kl_forget1", "kl_forget2"
FORGET = {FORGET1: "Forget1", FORGET2: "Forget2"}
DISTANCES = [KEPT, *FORGET]
# Columns of the numbers: Retrain's levels, the retain distance at each, the largest retain distance that NPO and SimNPO both
# reach, how far each chain is forgotten there, and how far the two are apart on average on the way there.
LEVEL = {FORGET1: "retrain_forget1", FORGET2: "retrain_forget2"}
AT_LEVEL = {FORGET1: "retain_at_retrain_forget1", FORGET2: "retain_at_retrain_forget2"}
EQUAL, AT_EQUAL, GAP = "equal_retain", ("forget1_at_equal", "forget2_at_equal"), "mean_gap"
# How the two forget chains differ in the paper's two experiments.
SPLITS = {"lengths": "the sequences of Forget2 are shorter", "memorisation": "the original has never seen Forget2"}
Model = tuple[str, str]
Paths = dict[Model, dict[Hashable, pd.DataFrame]]


@dataclass(frozen=True)
class Chains:
    """One block: `paths` of its models by seed (a row an iteration), `done` the finished ones, `numbers` a row a path."""

    place: Place
    done: Place
    paths: Paths
    shown: list[Model]
    """Those that represent their methods."""
    numbers: pd.DataFrame

    def by_seed(self, column: str, model: Model) -> pd.Series:
        """Return a column of `numbers` of one model by seed."""
        rows = self.numbers[(self.numbers["method"] == model[0]) & (self.numbers["variant"] == model[1])]
        return rows.set_index("seed")[column]


def all_chains(evidence: Evidence) -> list[Chains]:
    """Return every block whose models were watched, the paper's experiments first."""
    results = evidence.results
    places = evidence.places(results[results["attack"] == ""], FORGET1, FORGET2)
    found = [chains for place in places if (chains := _chains(place))]
    return sorted(found, key=lambda of: [*SPLITS, of.place.block.split].index(of.place.block.split))


def _chains(place: Place) -> Chains | None:
    rows = along_trajectories(place.rows)
    wide = rows.pivot_table(values="value", index=["method", "variant", "seed", "epoch"], columns="metric")
    paths: Paths = {}
    for (method, variant, seed), path in wide.reindex(columns=DISTANCES).dropna().groupby(level=["method", "variant", "seed"]):
        paths.setdefault((str(method), str(variant)), {})[seed] = path
    paths = dict(sorted(paths.items(), key=lambda item: model_order(*item[0])))
    variants = {
        method: standing_variant(name for name in place.block.variants_of(method) if (method, name) in paths)
        for method, _ in paths
    }
    shown = [(method, variant) for method, variant in variants.items() if variant is not None]
    done = Place(place.block, place.suite, finished(place.rows))
    return Chains(place, done, paths, shown, _numbers(done, paths, shown)) if shown else None


def _numbers(done: Place, paths: Paths, shown: Sequence[Model]) -> pd.DataFrame:
    """Return a row a path: Retrain's levels, the retain distances there, how far is forgotten at the equal retain distance."""
    levels = {forget: done.by_seed(forget, RETRAIN) for forget in FORGET}
    rivals = [paths[model] for model in shown if model[0] in (NPO, SIMNPO)]
    rows = []
    for (method, variant), by_seed in paths.items():
        for seed, path in by_seed.items():
            has_both = len(rivals) == 2 and all(seed in rival for rival in rivals)
            equal = equal_retain(*(rival[seed][KEPT] for rival in rivals)) if has_both else math.nan
            row: dict[str, Any] = done.block.identity | {"seed": seed, "method": method, "variant": variant}
            for forget, by in levels.items():
                row[LEVEL[forget]] = level = float(by.get(seed, math.nan))
                row[AT_LEVEL[forget]] = retain_at_forget(path[KEPT], path[forget], level)
            at_equal = [forget_at_retain(path[KEPT], path[forget], equal) for forget in FORGET]
            gap = mean_gap(path[KEPT], path[FORGET1], path[FORGET2], equal)
            rows.append(row | dict(zip((EQUAL, *AT_EQUAL, GAP), (equal, *at_equal, gap), strict=True)))
    return pd.DataFrame(rows)


def _show(evidence: Evidence, found: list[Chains]) -> Answer:
    lines: dict[str, Look] = {"Forget1": {"color": INK}, "Forget2": {"color": INK, "linestyle": DASHED}}
    data = [f"In {split} {how}." for split, how in SPLITS.items() if any(of.place.block.split == split for of in found)]
    return Answer(
        figure=Grid([("", [_panel(of) for of in found])], wide=2, height=3.9, labels=lines),
        alt="Forget distance on both forget chains against the retain distance, two lines a method, beside Retrain and Original.",
        caption="The distance from the truth after each iteration of unlearning: mean KL(true ‖ predicted) per predicted state, "
        "in nats; the axes show its root. Rightwards less is kept, upwards more is forgotten. "
        f"{' '.join(data)} Lines: means over seeds of each seed's path, read where it first is at a retain distance, as far as "
        "all seeds get; bands: from the lowest to the highest. Level: Retrain's on Forget2. Single marks: Retrain and Original, "
        f"filled on Forget1 and hollow on Forget2.{_errors(found)}{variants_shown(model for of in found for model in of.shown)}",
        numbers=stacked(of.numbers for of in found),
        table=table_of([(of.place.title, _row(of, model)) for of in found for model in of.paths]),
        facts=under_titles([(of.place.title, text) for of in found for text in _stand(of)]),
    )


def _errors(found: Sequence[Chains]) -> str:
    watched = pd.concat([along_trajectories(of.place.rows) for of in found])
    errors = watched.loc[watched["metric"].isin([f"{metric}_se" for metric in DISTANCES]), "value"]
    return f" Standard error of a distance over the test sequences: at most {_text(errors.max())}." if len(errors) else ""


def _levels(of: Chains, role: str) -> dict[str, float]:
    """Return the distances of a finished model, means over seeds; empty where one was not measured."""
    values = {metric: of.done.by_seed(metric, role) for metric in DISTANCES}
    return {metric: float(by.mean()) for metric, by in values.items()} if all(len(by) for by in values.values()) else {}


def _stand(of: Chains) -> Iterator[str]:
    for role in (RETRAIN, ORIGINAL):
        if level := _levels(of, role):
            parts = joined([f"{_text(level[metric])} on {name}" for metric, name in FORGET.items()])
            yield f"{method_name(role)} is {parts}, at a retain distance of {_text(level[KEPT])}."


def _text(distance: float) -> str:
    return f"{distance:.3f}"


def _panel(of: Chains) -> Panel:
    marks = pd.DataFrame(
        {"method": role, "variant": metric, "seed": 0, "x": reached[KEPT], "y": reached[metric], "open": metric == FORGET2}
        for role in (RETRAIN, ORIGINAL)
        if (reached := _levels(of, role))
        for metric in FORGET
    )
    level = of.done.by_seed(FORGET2, RETRAIN)
    return Panel(
        "curves",
        stacked(_path(of, model) for model in of.shown),
        of.place.title,
        Axis("Retain distance (KL, nats)", "root"),
        Axis("Forget distance (KL, nats)", "root"),
        levels={RETRAIN: float(level.mean())} if len(level) else {},
        marks=marks,
    )


def _path(of: Chains, model: Model) -> pd.DataFrame:
    """Return the path of a model by seed on both forget chains over the retain distances that all its seeds reach."""
    paths = of.paths[model]
    first, last = max(path[KEPT].iloc[0] for path in paths.values()), equal_retain(*(path[KEPT] for path in paths.values()))
    grid = np.linspace(first, last, POINTS) if first < last else np.array([first])
    parts = [
        pd.DataFrame(
            {"x": at, "y": forget_at_retain(path[KEPT], path[forget], at), "seed": seed, "open": forget == FORGET2} for at in grid
        )
        for seed, path in paths.items()
        for forget in FORGET
    ]
    return stacked(parts).assign(method=model[0], variant=model[1])


def _row(of: Chains, model: Model) -> dict[str, str]:
    """Return what is read off the paths of a model as text: mean ± sd over the seeds that get there, with their number."""
    row = {"Model": model_label(*model), "Seeds": str(len(of.paths[model]))}
    for forget, name in FORGET.items():
        known = of.by_seed(LEVEL[forget], model).notna()
        row[f"Retain distance at Retrain's {name}"] = _spread(of.by_seed(AT_LEVEL[forget], model)[known])
    equal = of.by_seed(EQUAL, model)
    row["Retain distance that both reach"] = _spread(equal.dropna())
    row["Forget1 and Forget2 apart on the way"] = _spread(of.by_seed(GAP, model)[equal.notna()])
    return row


def _spread(by_seed: pd.Series) -> str:
    reached = by_seed.dropna()
    if reached.empty:
        return "never" if len(by_seed) else ""
    few = f" ({len(reached)} of {len(by_seed)})" if len(reached) < len(by_seed) else ""
    return f"{with_sd(reached, write=_text)}{few}"


def _measured(split: str, column: str) -> Measure:
    """Return the measure of a claim that NPO's number is larger than SimNPO's on one of the paper's splits."""

    def compare(of: Chains) -> Pair | None:
        variants = dict(of.shown)
        numbers = {method: of.by_seed(column, (method, variants.get(method, ""))) for method in (NPO, SIMNPO)}
        needed = of.done.by_seed(FORGET2, RETRAIN).index if column in AT_LEVEL.values() else numbers[NPO].index
        npo, simnpo = (by[by.index.isin(needed)] for by in numbers.values())
        return (
            Pair(of.place.title, npo, simnpo, but=_never({NPO: npo, SIMNPO: simnpo})) if of.place.block.split == split else None
        )

    return each(compare)


def _never(numbers: Mapping[str, pd.Series]) -> str:
    missing = [f"{method_name(name)} in {by.isna().sum()} of {len(by)} seeds" for name, by in numbers.items() if by.isna().any()]
    return f"never forgotten that far by {joined(missing)}" if missing else ""


DEARER = "NPO pays a larger retain distance than SimNPO to forget short sequences as far as Retrain"
UNEVEN = "NPO forgets learnt and unlearnt chains less evenly than SimNPO"
QUESTIONS = (
    Question(
        "markov",
        "Do Markov chains show the same, where the truth is known?",
        "Sec. 5, Fig. 5 and App. H",
        all_chains,
        _show,
        (
            Claim(DEARER, "Fig. 5, App. H", "distance", measure=_measured("lengths", AT_LEVEL[FORGET2])),
            Claim(UNEVEN, "Fig. 5, App. H", "distance", measure=_measured("memorisation", GAP)),
        ),
    ),
)
