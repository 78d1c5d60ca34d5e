"""How each method's settings were selected: all its trials and epochs, the one that was taken, and the data that decided."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import pandas as pd

from palimpsest.report.evidence import Evidence
from palimpsest.report.facts import selections_made
from palimpsest.report.figures import Axis, Grid, Look, Panel, stacked
from palimpsest.report.names import method_name, model_order
from palimpsest.report.question import Found, Question
from palimpsest.report.rows import of_block
from palimpsest.report.study import Block, Values
from palimpsest.report.style import DASHED, INK
from palimpsest.report.words import MINUS, QUALITY, counted, format_score, is_number, joined
from palimpsest.selection.rule import DISTANCES, NAMES
from palimpsest.selection.settings import Criteria, SelectionRule

# What columns and axes are called.
HEADS = {score: f"{name[:1].upper()}{name[1:]}" for score, name in NAMES.items()}
DOT = Look(shape="circle", size=7)
LABELS: Mapping[str, Look] = {
    "eligible": DOT,
    "not eligible": replace(DOT, hollow=True),
    "selected": Look(INK, "circle", 13, hollow=True),
    "least to be eligible": Look(dash=DASHED),
}


@dataclass(frozen=True)
class Selection:
    """The selection of one method: its rows, a trial and epoch each, and its settings."""

    method: str
    rows: pd.DataFrame
    rule: Values

    @property
    def scores(self) -> Criteria:
        """The scores that decided, those of questions or those of MUSE."""
        return SelectionRule(maximise=self.rule["maximise"]).criteria

    @property
    def selected(self) -> pd.Series:
        """The row that was selected."""
        return self.rows[self.rows["selected"]].iloc[0]

    @property
    def trials(self) -> int:
        """How many trials it was made among."""
        return int(self.rows["variant"].nunique())

    @property
    def edges(self) -> list[str]:
        """The selected settings that are the lowest or the highest of their grid, each with the values of the grid."""
        points: Mapping[str, Values] = self.rule["trials"]
        taken = points.get(str(self.selected["variant"]), {})
        grids = {name: sorted({point[name] for point in points.values()}) for name in taken if is_number(taken[name])}
        return [
            f"{name.replace('_', ' ')} {taken[name]:g} of {joined([f'{value:g}' for value in grid])}"
            for name, grid in grids.items()
            if len(grid) > 1 and taken[name] in (grid[0], grid[-1])
        ]

    @property
    def range(self) -> str:
        """The lowest and the highest run of the selected trial, and how many eligible trials reach that; "" for one run."""
        if self.selected["runs"] == 1 or not math.isfinite(self.selected["lowest"]):
            return ""
        low, high = (_score(self.scores.closeness, self.selected[end]) for end in ("lowest", "highest"))
        alike = int((self.rows["eligible"].astype(bool) & (self.rows["highest"] >= self.selected["lowest"])).sum())
        return f"{method_name(self.method)} {low} to {high} ({alike} of {len(self.rows)})"

    @property
    def threshold(self) -> float | None:
        """The utility that a trial must have to be eligible; None where no trial has any."""
        known = self.rows[self.rows["utility_share"] > 0]
        original = known[self.scores.utility] / known["utility_share"]
        return float(self.rule["keep"] * original.iloc[0]) if len(known) else None

    def panel(self) -> Panel:
        """Return how close to Retrain every trial and epoch is, against its utility."""
        closeness, utility = self.scores
        rows = self.rows.dropna(subset=[closeness, utility])
        # A model per row: each is one trial and epoch.
        each = [f"{variant} {epoch}" for variant, epoch in zip(rows["variant"], rows["epoch"], strict=True)]
        data = rows.assign(variant=each, seed=0, x=rows[utility], y=rows[closeness], open=~rows["eligible"].astype(bool))
        at = (float(self.selected[utility]), float(self.selected[closeness]))
        y = Axis(HEADS[closeness], "quality") if closeness == QUALITY else Axis(f"{MINUS}{HEADS[closeness]}")
        title, note = method_name(self.method), counted(self.trials, "trial")
        rings = [at] if math.isfinite(at[1]) else []
        return Panel("scatter", data, title, Axis(HEADS[utility]), y, note, rings=rings, least=self.threshold)

    def row(self) -> dict[str, str]:
        """Return the selected trial as text."""
        selected, eligible = self.selected, int(self.rows["eligible"].sum())
        among = "trials" if len(self.rows) == self.trials else "epochs"
        return {
            "Method": method_name(self.method),
            "Trials": str(self.trials),
            "Selected": str(selected["variant"]),
            "Epoch": str(selected["epoch"]),
            **{HEADS[score]: _written(selected[score], partial(_score, score)) for score in self.scores},
            "of Original's": _written(selected["utility_share"], "{:.1%}".format),
            "Eligible": f"{eligible} of {len(self.rows)} {among}" if eligible else "none",
            "At an edge": "; ".join(self.edges),
        }


def _written(value: float, write: Callable[[float], str]) -> str:
    return write(value) if math.isfinite(value) else ""


def _score(score: str, value: float) -> str:
    """Write a score as in the tables; one that is a distance has no sign."""
    distance = DISTANCES[score]
    return format_score(distance, abs(value)).removeprefix("+") if distance else format_score(score, value)


@dataclass(frozen=True)
class Selections(Found):
    """The selections of one block, in the order of the page."""

    block: Block
    of: Sequence[Selection]

    def panels(self) -> Iterator[Panel]:
        """Yield a panel per method."""
        return (selection.panel() for selection in self.of)

    def rows(self) -> Iterator[dict[str, str]]:
        """Yield a row per method."""
        return (selection.row() for selection in self.of)

    def facts(self) -> Iterator[str]:
        """Yield sentences on the selection, on unequal numbers of trials, and on methods without an eligible trial."""
        yield from selections_made(self.block, [selection.method for selection in self.of])
        counts = {method_name(selection.method): selection.trials for selection in self.of}
        if len(set(counts.values())) > 1:
            trials = joined([f"{name} {count}" for name, count in counts.items()])
            yield f"Trials: {trials}; more trials find a better one by luck."
        if edges := [method_name(of.method) for of in self.of if of.edges]:
            yield f"Selected at an edge of the grid, so a better value may lie beyond: {joined(edges)} (last column)."
        if ranges := [of.range for of in self.of if of.range]:
            name = NAMES[self.of[0].scores.closeness]
            what = f"Range of {name} over the runs of the selected trial (and how many eligible trials reach into it)"
            yield f"{what}: {joined(ranges)}."
        failed = [method_name(selection.method) for selection in self.of if not selection.selected["eligible"]]
        if failed:
            yield f"No trial of {joined(failed)} kept enough {NAMES[self.of[0].scores.utility]}: the one with the most was taken."


def _find(evidence: Evidence) -> Iterator[Selections]:
    for block in evidence.study.blocks:
        rows = {str(method): of for method, of in of_block(evidence.selections, block).groupby("method")}
        found = [Selection(method, rows[method], block.selections[method]) for method in sorted(rows, key=model_order)]
        yield Selections(block.title(), (), stacked(of.rows for of in found), block, found)


QUESTIONS = (
    Question(
        "selection",
        "Which settings were selected, and on which data?",
        "its grids of settings, and the best epoch",
        _find,
        "How close to Retrain every trial and epoch is, against its utility, a panel a method, the selected one marked.",
        "Every trial after every epoch that could be selected, means over the runs of the selection. Filled: eligible, for it "
        "keeps the share of Original's utility that is asked for. Ring: selected.",
        grid=partial(Grid, labels=LABELS),
    ),
)
