"""How each method's settings were selected: all its trials and epochs, the one that was taken, and the data that decided."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import pandas as pd

from palimpsest.report.evidence import Evidence
from palimpsest.report.facts import selections_made
from palimpsest.report.figures import Axis, Grid, Look, Panel, stacked
from palimpsest.report.names import method_name, model_order
from palimpsest.report.question import Answer, Question
from palimpsest.report.rows import of_block
from palimpsest.report.study import Block, Values
from palimpsest.report.style import DASHED, INK, SOFT
from palimpsest.report.words import MINUS, QUALITY, SCORES, counted, format_score, joined, table_of, under_titles
from palimpsest.selection.rule import NAMES
from palimpsest.selection.settings import Judged, SelectionRule

# What columns and axes are called; the first two are those of questions, the others those of MUSE.
HEADS = {**SCORES, "privacy": "|PrivLeak|", "knowmem_r": "KnowMem, retain"}
DOT: Look = {"linestyle": "", "marker": "o", "color": SOFT, "markersize": 5}
LEAST: Look = {"color": SOFT, "linewidth": 0.9, "linestyle": DASHED}
RING: Look = {"linestyle": "", "marker": "o", "color": "none", "markeredgecolor": INK, "markersize": 10}


@dataclass(frozen=True)
class Selection:
    """The selection of one method in one block: its rows, a trial and epoch each."""

    block: Block
    method: str
    rows: pd.DataFrame

    @property
    def rule(self) -> Values:
        """The settings of the selection."""
        return self.block.selections.get(self.method, {})

    @property
    def scores(self) -> Judged:
        """The scores that decided, those of questions or those of MUSE."""
        return SelectionRule(maximise=self.rule.get("maximise", QUALITY)).judged

    @property
    def selected(self) -> pd.Series:
        """The row that was selected."""
        return self.rows[self.rows["selected"]].iloc[0]

    @property
    def trials(self) -> int:
        """How many trials it was made among."""
        return int(self.rows["variant"].nunique())

    @property
    def threshold(self) -> float | None:
        """The utility that a trial must have to be eligible; None where no trial has any."""
        known = self.rows[self.rows["utility_share"] > 0]
        keep = self.rule.get("keep")
        if known.empty or keep is None:
            return None
        return float(keep) * float((known[self.scores.utility] / known["utility_share"]).iloc[0])


def selections(evidence: Evidence) -> Iterator[Selection]:
    """Yield every selection, in the order of the page."""
    for block in evidence.study.blocks:
        rows = of_block(evidence.selections, block)
        for method in sorted(rows["method"].unique(), key=model_order):
            yield Selection(block, method, rows[rows["method"] == method].reset_index(drop=True))


def _show(evidence: Evidence, found: list[Selection]) -> Answer:
    of_blocks = {selection.block.title(): [of for of in found if of.block is selection.block] for selection in found}
    labels = {
        "eligible": DOT,
        "not eligible": DOT | {"markerfacecolor": "white"},
        "selected": RING,
        "least to be eligible": LEAST,
    }
    return Answer(
        figure=Grid([(title, [_panel(of) for of in each]) for title, each in of_blocks.items()], labels=labels),
        alt="How close to Retrain every trial and epoch is, against its utility, a panel a method, the selected one marked.",
        caption="Every trial after every epoch that could be selected, means over the seeds of the selection. Filled: eligible, "
        "for it keeps the share of Original's utility that is asked for. Ring: selected.",
        numbers=stacked(selection.rows for selection in found),
        table=table_of([(selection.block.title(), _row(selection)) for selection in found]),
        facts=under_titles([(title, text) for title, each in of_blocks.items() for text in _facts(each)]),
    )


def _facts(of: list[Selection]) -> Iterator[str]:
    yield from selections_made(of[0].block, [selection.method for selection in of if selection.rule])
    counts = {method_name(selection.method): selection.trials for selection in of}
    if len(set(counts.values())) > 1:
        yield f"Trials: {joined([f'{name} {count}' for name, count in counts.items()])}; more trials find a better one by luck."
    failed = [method_name(selection.method) for selection in of if not selection.selected["eligible"]]
    if failed:
        yield f"No trial of {joined(failed)} kept enough {NAMES[of[0].scores.utility]}: the one with the most was taken."


def _panel(selection: Selection) -> Panel:
    closeness, utility = selection.scores
    rows = selection.rows.dropna(subset=[closeness, utility])
    # A model per row: each is one trial and epoch.
    data = rows.assign(
        variant=[f"{variant} {epoch}" for variant, epoch in zip(rows["variant"], rows["epoch"], strict=True)],
        method=selection.method,
        seed=0,
        x=rows[utility],
        y=rows[closeness],
        open=~rows["eligible"].astype(bool),
    )
    selected = selection.selected
    rings = [(float(selected[utility]), float(selected[closeness]))] if math.isfinite(selected[closeness]) else []
    y = Axis(HEADS[closeness], "quality") if closeness == QUALITY else Axis(f"{MINUS}{HEADS[closeness]}")
    title, note = method_name(selection.method), counted(selection.trials, "trial")
    return Panel("scatter", data, title, Axis(HEADS[utility]), y, note, rings=rings, least=selection.threshold)


def _row(selection: Selection) -> dict[str, str]:
    selected, count = selection.selected, int(selection.rows["eligible"].sum())
    share = selected["utility_share"]
    among = "trials" if len(selection.rows) == selection.trials else "epochs"
    return {
        "Method": method_name(selection.method),
        "Trials": str(selection.trials),
        "Selected": str(selected["variant"]),
        "Epoch": str(selected["epoch"]),
        **{
            HEADS[score]: _written(score, selected[score]) if math.isfinite(selected[score]) else "" for score in selection.scores
        },
        "of Original's": f"{share:.1%}" if math.isfinite(share) else "",
        "Eligible": f"{count} of {len(selection.rows)} {among}" if count else "none",
    }


def _written(score: str, value: float) -> str:
    """Write a score as a table does: those of MUSE in percent, and PrivLeak as the distance that it is."""
    return format_score(score, value) if score in SCORES else f"{abs(value):.1f}"


QUESTIONS = (
    Question(
        "selection",
        "Which settings were selected, and on which data?",
        "its grids of settings, and the best epoch",
        selections,
        _show,
    ),
)
