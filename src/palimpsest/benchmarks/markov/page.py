"""Markov chains, whose truth is known: how far two of them are forgotten, and how far the retain chain goes with them."""

import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from palimpsest.benchmarks.markov.tradeoff import POINTS, equal_retain, forget_at_retain, mean_gap, retain_at_forget
from palimpsest.names import ORIGINAL, RETRAIN
from palimpsest.report.claims import Claim, Pair
from palimpsest.report.evidence import Evidence, Place
from palimpsest.report.figures import Axis, Grid, Look, Panel, stacked
from palimpsest.report.names import NPO, SIMNPO, method_name, model_label, model_order, standing_variant
from palimpsest.report.question import Found, Question
from palimpsest.report.rows import along_trajectories, finished, of_models
from palimpsest.report.style import DASHED, INK, SOLID
from palimpsest.report.words import counted, joined, with_sd

# How far a model is from the truth on each chain.
KEPT, FORGET1, FORGET2 = "kl_retain", "kl_forget1", "kl_forget2"
FORGET = {FORGET1: "Forget1", FORGET2: "Forget2"}
DISTANCES = [KEPT, *FORGET]
# Columns of the numbers: Retrain's levels, the retain distance at each, the largest retain distance that NPO and SimNPO both
# reach, how far each chain is forgotten there, and how far the two are apart on average on the way there.
LEVEL = {FORGET1: "retrain_forget1", FORGET2: "retrain_forget2"}
AT_LEVEL = {FORGET1: "retain_at_retrain_forget1", FORGET2: "retain_at_retrain_forget2"}
EQUAL, AT_EQUAL, GAP = "equal_retain", ("forget1_at_equal", "forget2_at_equal"), "mean_gap"
CLAIMED = (AT_LEVEL[FORGET2], GAP)
# How the two forget chains differ in the paper's two experiments.
SPLITS = {"lengths": "the sequences of Forget2 are shorter", "memorisation": "the original has never seen Forget2"}
LINES: Mapping[str, Look] = {"Forget1": Look(INK, dash=SOLID), "Forget2": Look(INK, dash=DASHED)}
Model = tuple[str, str]
# A seed and a draw of it.
Trial = tuple[int, int]
Paths = Mapping[Model, Mapping[Trial, pd.DataFrame]]


@dataclass(frozen=True)
class Chains(Found):
    """One block: `paths` of its models by trial (a row an iteration), `done` the finished ones, `numbers` a row a path."""

    done: Place
    paths: Paths
    error: float
    """The largest standard error of a distance; NaN if none was measured."""

    def by_seed(self, column: str, model: Model) -> pd.Series:
        """Return a column of `numbers` of one model by seed: the mean over its draws, NaN if one of them is NaN."""
        return of_models(self.numbers, [model]).groupby("seed")[column].agg(lambda draws: draws.mean(skipna=False))

    def spread(self, column: str, model: Model, seeds: pd.Index) -> str:
        """Return a column of one model in words, for some seeds; with the sd over draws if a claim is about it."""
        text = _spread(self.by_seed(column, model)[seeds])
        rows = of_models(self.numbers, [model])
        over_draws = rows[rows["seed"].isin(seeds)].groupby("seed")[column].std().dropna()
        return f"{text} (± {_text(over_draws.mean())})" if column in CLAIMED and len(over_draws) else text

    @property
    def levels(self) -> dict[str, dict[str, float]]:
        """The mean distances over seeds of Retrain and of Original, if all their distances were measured."""
        by_role = {role: {metric: self.done.by_seed(metric, role) for metric in DISTANCES} for role in (RETRAIN, ORIGINAL)}
        return {
            role: {metric: float(values.mean()) for metric, values in of.items()}
            for role, of in by_role.items()
            if all(len(values) for values in of.values())
        }

    def panels(self) -> Iterator[Panel]:
        """Yield both forget distances against the retain distance."""
        marks = pd.DataFrame(
            {"method": role, "variant": metric, "seed": 0, "x": reached[KEPT], "y": reached[metric], "open": metric == FORGET2}
            for role, reached in self.levels.items()
            for metric in FORGET
        )
        level = self.done.by_seed(FORGET2, RETRAIN)
        yield Panel(
            "curves",
            stacked(_on_grid(self.paths[model]).assign(method=model[0], variant=model[1]) for model in self.models),
            self.title,
            Axis("Retain distance (KL, nats)", "root"),
            Axis("Forget distance (KL, nats)", "root"),
            levels={RETRAIN: float(level.mean())} if len(level) else {},
            marks=marks,
        )

    def rows(self) -> Iterator[dict[str, str]]:
        """Yield one row per model with numbers read from its paths: mean ± sd over the seeds that reach the level."""
        for model, paths in self.paths.items():
            row = {"Model": model_label(*model), "Trials": _counted(paths)}
            for forget, name in FORGET.items():
                known = self.by_seed(LEVEL[forget], model).dropna().index
                row[f"Retain distance at Retrain's {name}"] = self.spread(AT_LEVEL[forget], model, known)
            equal = self.by_seed(EQUAL, model).dropna().index
            row["Retain distance that both reach"] = self.spread(EQUAL, model, equal)
            row["Forget1 and Forget2 apart on the way"] = self.spread(GAP, model, equal)
            yield row

    def facts(self) -> Iterator[str]:
        """Yield a sentence with the distances of Retrain and Original."""
        parts = [f"{method_name(role)} {joined([_text(of[metric]) for metric in DISTANCES])}" for role, of in self.levels.items()]
        if parts:
            yield f"Distances on retain, Forget1 and Forget2: {'; '.join(parts)}."


def _find(evidence: Evidence) -> list[Chains]:
    """Return every block whose models were watched, the paper's experiments first."""
    results = evidence.results
    places = evidence.places(results[results["attack"] == ""], FORGET1, FORGET2)
    found = [chains for place in places if (chains := _chains(place))]
    return sorted(found, key=lambda of: [*SPLITS, of.done.block.split].index(of.done.block.split))


def _chains(place: Place) -> Chains | None:
    rows = along_trajectories(place.rows)
    wide = rows.pivot_table(values="value", index=["method", "variant", "seed", "epoch"], columns="metric")
    block = place.block
    models = {
        (method, variant): ((method, name), draw)
        for method in block.methods
        for name, draws in block.draws_of(method).items()
        for draw, variant in draws.items()
    }
    found: dict[Model, dict[Trial, pd.DataFrame]] = {}
    for (method, variant, seed), path in wide.reindex(columns=DISTANCES).dropna().groupby(level=["method", "variant", "seed"]):
        if known := models.get((str(method), str(variant))):
            model, draw = known
            found.setdefault(model, {})[int(str(seed)), draw] = path
    paths = {model: found[model] for model in sorted(found, key=lambda model: model_order(*model))}
    variants = {
        method: standing_variant(name for name in block.draws_of(method) if (method, name) in paths) for method, _ in paths
    }
    shown = [(method, variant) for method, variant in variants.items() if variant is not None]
    done = Place(block, place.suite, finished(place.rows))
    error = rows.loc[rows["metric"].isin([f"{metric}_se" for metric in DISTANCES]), "value"].max()
    return Chains(place.title, shown, _numbers(done, paths, shown), done, paths, error, head="") if shown else None


def _numbers(done: Place, paths: Paths, shown: Sequence[Model]) -> pd.DataFrame:
    """Return a row a path: Retrain's levels, the retain distances there, how far is forgotten at the equal retain distance."""
    levels = {forget: done.by_seed(forget, RETRAIN) for forget in FORGET}
    rivals = [paths[model] for model in shown if model[0] in (NPO, SIMNPO)]
    rows = []
    for (method, variant), of in paths.items():
        for (seed, draw), path in of.items():
            has_both = len(rivals) == 2 and all((seed, draw) in rival for rival in rivals)
            equal = equal_retain(*(rival[seed, draw][KEPT] for rival in rivals)) if has_both else math.nan
            row: dict[str, Any] = done.block.identity | {"seed": seed, "draw": draw, "method": method, "variant": variant}
            for forget, by in levels.items():
                row[LEVEL[forget]] = level = float(by.get(seed, math.nan))
                row[AT_LEVEL[forget]] = retain_at_forget(path[KEPT], path[forget], level)
            at_equal = [forget_at_retain(path[KEPT], path[forget], equal) for forget in FORGET]
            gap = mean_gap(path[KEPT], path[FORGET1], path[FORGET2], equal)
            rows.append(row | dict(zip((EQUAL, *AT_EQUAL, GAP), (equal, *at_equal, gap), strict=True)))
    return pd.DataFrame(rows)


def _on_grid(paths: Mapping[Trial, pd.DataFrame]) -> pd.DataFrame:
    """Return a model's paths on both forget chains over the retain distances that all of them reach: means over draws by seed."""
    first, last = max(path[KEPT].iloc[0] for path in paths.values()), equal_retain(*(path[KEPT] for path in paths.values()))
    grid = np.linspace(first, last, POINTS) if first < last else np.array([first])
    points = pd.DataFrame(
        {"x": at, "y": forget_at_retain(path[KEPT], path[forget], at), "seed": seed, "open": forget == FORGET2}
        for (seed, _), path in paths.items()
        for forget in FORGET
        for at in grid
    )
    return points.groupby(["seed", "open", "x"])["y"].mean().reset_index()


def _counted(trials: Iterable[Trial]) -> str:
    """Say how many seeds there are, and how many draws each has if there are several."""
    draws = Counter(seed for seed, _ in trials)
    least, most = min(draws.values()), max(draws.values())
    each = f", {counted(most, 'draw')} each" if least == most else f", {least} to {most} draws each"
    return counted(len(draws), "seed") + (each if most > 1 else "")


def _legend(found: Sequence[Chains]) -> str:
    splits = {of.done.block.split for of in found}
    differ = "".join(f" In {split} {how}." for split, how in SPLITS.items() if split in splits)
    errors = [of.error for of in found if not math.isnan(of.error)]
    bound = f" Standard error of a distance over the test sequences: at most {_text(max(errors))}." if errors else ""
    return differ + bound


def _text(distance: float) -> str:
    return f"{distance:.3f}"


def _spread(by_seed: pd.Series) -> str:
    reached = by_seed.dropna()
    if reached.empty:
        return "never" if len(by_seed) else ""
    few = f" ({len(reached)} of {len(by_seed)})" if len(reached) < len(by_seed) else ""
    return f"{with_sd(reached, write=_text)}{few}"


def _measured(split: str, column: str) -> Callable[[Chains], Iterator[Pair]]:
    """Return the measure of a claim that NPO's number is larger than SimNPO's on one of the paper's splits."""

    def compare(of: Chains) -> Iterator[Pair]:
        if of.done.block.split != split:
            return
        variants = dict(of.models)
        numbers = {method: of.by_seed(column, (method, variants.get(method, ""))) for method in (NPO, SIMNPO)}
        but = ""
        # Only a level may never be reached: a gap is none only where the other method lacks the seed or a draw of it.
        if column in AT_LEVEL.values():
            known = of.done.by_seed(FORGET2, RETRAIN).index
            numbers = {method: by[by.index.isin(known)] for method, by in numbers.items()}
            but = _never(numbers)
        yield Pair(of.title, numbers[NPO], numbers[SIMNPO], but=but)

    compare.__doc__ = f"On the split `{split}`, NPO's `{column}` is above SimNPO's."
    return compare


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
        _find,
        "Forget distance on both forget chains against the retain distance, two lines a method, beside Retrain and Original.",
        "The distance from the truth after each iteration of unlearning: mean KL(true ‖ predicted) per predicted state, in nats; "
        "the axes show its root. Rightwards less is kept, upwards more is forgotten. Draws are runs with other forget sequences. "
        "A seed's number is the mean over its draws, if each draw has one. A line is the mean over the paths of the seeds. Each "
        "path is read where it first reaches a retain distance, and the line ends where the shortest path ends. Bands: from the "
        "lowest to the highest seed. In brackets: the mean over seeds of the sd over a seed's draws. "
        "Level: Retrain's on Forget2. Single marks: Retrain and Original, filled on Forget1 and hollow on Forget2.",
        (
            Claim(DEARER, "Fig. 5, App. H", "distance", measure=_measured("lengths", AT_LEVEL[FORGET2])),
            Claim(UNEVEN, "Fig. 5, App. H", "distance", measure=_measured("memorisation", GAP)),
        ),
        partial(Grid, wide=2, height=310, labels=LINES),
        _legend,
    ),
)
