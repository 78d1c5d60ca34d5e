"""How each method's settings were chosen: all its trials and epochs, the one that was taken, and the data that decided."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from palimpsest.report.drawing import lowest_tick, panel_rows, quality_axis, quality_height
from palimpsest.report.evidence import Answer, Evidence
from palimpsest.report.names import CHOSEN, method_name, model_order
from palimpsest.report.rows import of_block
from palimpsest.report.study import Block
from palimpsest.report.style import DASHED, INK, SOFT, colour_of, marker_of
from palimpsest.report.words import QUALITY, SCORES, format_score, joined, table_of, under_titles
from palimpsest.selection.rule import NAMES
from palimpsest.selection.settings import Judged, SelectionRule

QUESTION = "Which settings were chosen, and on what?"
PAPER = "its grids of settings, and the best epoch"
WIDE = 3
# What columns and axes are called; the first two are those of questions, the others those of MUSE.
HEADS = {**SCORES, "privacy": "|PrivLeak|", "knowmem_r": "KnowMem, retain"}
RING: dict[str, Any] = {
    "linestyle": "",
    "marker": "o",
    "markersize": 11.0,
    "color": "none",
    "markeredgecolor": INK,
    "markeredgewidth": 1.4,
}


@dataclass(frozen=True)
class Choice:
    """The choice of one method in one block: its rows, a trial and epoch each, and the seeds of the chosen model."""

    block: Block
    method: str
    rows: pd.DataFrame
    scored: frozenset[int]

    @property
    def title(self) -> str:
        """The block it is of."""
        return self.block.title()

    @property
    def scores(self) -> Judged:
        """The scores that decided, those of questions or those of MUSE."""
        rule = self.block.selections.get(self.method, {})
        return SelectionRule(maximise=rule.get("maximise", QUALITY)).judged

    @property
    def chosen(self) -> pd.Series:
        """The row that was chosen."""
        return self.rows[self.rows["chosen"]].iloc[0]

    @property
    def trials(self) -> int:
        """How many trials it was made among."""
        return int(self.rows["variant"].nunique())

    @property
    def threshold(self) -> float | None:
        """The utility that a trial must have to be eligible; None where no trial has any."""
        known = self.rows[self.rows["utility_share"] > 0]
        keep = self.block.selections.get(self.method, {}).get("keep")
        if known.empty or keep is None:
            return None
        return float(keep) * float((known[self.scores.utility] / known["utility_share"]).iloc[0])

    @property
    def judged(self) -> str:
        """On what it was made, as a sentence about settings goes on."""
        selection = self.block.selections.get(self.method, {})
        seeds = set(selection.get("seeds", []))
        place = (selection.get("benchmark") or self.block.benchmark, selection.get("split") or self.block.split)
        if place != (self.block.benchmark, self.block.split):
            return f"on other data than they are scored on ({'/'.join(place)}, {_seeds(seeds)})"
        if both := self.scored & seeds:
            return f"on what they are scored on, the same questions and {_seeds(both)}, which flatters their scores"
        return f"on the questions that they are scored on, with other seeds than theirs ({_seeds(seeds)})"


def answer(evidence: Evidence) -> Answer | None:
    """Show the trials behind every choice; None where nothing was chosen."""
    choices = list(_choices(evidence))
    if not choices:
        return None
    blocks = list(dict.fromkeys(choice.title for choice in choices))
    of_blocks = {title: [choice for choice in choices if choice.title == title] for title in blocks}
    return Answer(
        findings=under_titles([(title, sentence) for title, of_one in of_blocks.items() for sentence in _sentences(of_one)]),
        figure=_draw(choices, of_blocks),
        alt="How close to Retrain every trial and epoch is, against its utility, a panel a method, the chosen one marked.",
        caption=(
            "Every trial after every epoch that could be chosen, means over the seeds of the choice. Filled: eligible, for it "
            "keeps the share of Original's utility that is asked for (dashed line). Ring: chosen."
        ),
        numbers=pd.concat([choice.rows for choice in choices], ignore_index=True),
        table=table_of([(choice.title, _line(choice)) for choice in choices]),
    )


def _choices(evidence: Evidence) -> Iterator[Choice]:
    results = evidence.results
    scored = results[(results["attack"] == "") & (results["variant"] == CHOSEN)]
    for block in evidence.study.blocks:
        rows, seeds = of_block(evidence.choices, block), of_block(scored, block)
        for method in sorted(rows["method"].unique(), key=lambda name: model_order(name, "")):
            of_method = rows[rows["method"] == method].reset_index(drop=True)
            yield Choice(block, method, of_method, frozenset(seeds.loc[seeds["method"] == method, "seed"]))


def _sentences(choices: Sequence[Choice]) -> Iterator[str]:
    """Yield on what was chosen, among how many trials, and where no trial was eligible; all of one block."""
    for judged in dict.fromkeys(choice.judged for choice in choices):
        names = joined([method_name(choice.method) for choice in choices if choice.judged == judged])
        yield f"The settings of {names} were chosen {judged}."
    counts = {method_name(choice.method): choice.trials for choice in choices}
    if len(set(counts.values())) > 1:
        trials = joined([f"{name} {count}" for name, count in counts.items()])
        yield f"Numbers of trials: {trials}; not the same for all, and who tries more finds a better one by luck alone."
    elif len(counts) > 1:
        count = choices[0].trials
        yield (
            f"Every method had {count} trials." if count > 1 else "No method had more than one trial: only the epoch was chosen."
        )
    failed = [choice for choice in choices if not choice.chosen["eligible"]]
    if failed:
        names = joined([method_name(choice.method) for choice in failed])
        what = NAMES[failed[0].scores.utility]
        yield f"No trial of {names} kept enough {what} to be eligible: taken is the one with the most."


def _line(choice: Choice) -> dict[str, str]:
    """Return a choice as a line of the table; empty where a number is not defined."""
    chosen, count = choice.chosen, int(choice.rows["eligible"].sum())
    share = chosen["utility_share"]
    among = "trials" if len(choice.rows) == choice.trials else "epochs"
    return {
        "Method": method_name(choice.method),
        "Trials": str(choice.trials),
        "Chosen": str(chosen["variant"]),
        "Epoch": str(chosen["epoch"]),
        **{HEADS[score]: _written(score, chosen[score]) if math.isfinite(chosen[score]) else "" for score in choice.scores},
        "of Original's": f"{share:.1%}" if math.isfinite(share) else "",
        "Eligible": f"{count} of {len(choice.rows)} {among}" if count else "none",
    }


def _written(score: str, value: float) -> str:
    """Write a score as a table does: those of MUSE in percent, and PrivLeak as the distance that it is."""
    return format_score(score, value) if score in SCORES else f"{abs(value):.1f}"


def _seeds(seeds: Iterable[int]) -> str:
    ordered = [str(seed) for seed in sorted(seeds)]
    return f"seed{'s' * (len(ordered) > 1)} {joined(ordered)}" if ordered else "no seeds"


def _draw(choices: Sequence[Choice], of_blocks: Mapping[str, Sequence[Choice]]) -> Figure:
    """Draw a panel a method, the blocks below each other."""
    wide = min(WIDE, max(map(len, of_blocks.values())))
    heights = [math.ceil(len(of_one) / wide) for of_one in of_blocks.values()]
    inches = [0.4 + 2.3 * height for height in heights]
    figure = Figure(figsize=(1.8 + 2.6 * wide, sum(inches)))
    lowest = lowest_tick(value for choice in choices for value in choice.rows[QUALITY].dropna())
    parts = panel_rows(figure, list(of_blocks), inches)
    for part, height, of_one in zip(parts, heights, of_blocks.values(), strict=True):
        for place, choice in enumerate(of_one):
            axes = part.add_subplot(height, wide, place + 1)
            _draw_choice(axes, choice, lowest)
            axes.set_ylabel(HEADS[choice.scores.closeness] if place % wide == 0 else "")
            axes.set_xlabel(HEADS[choice.scores.utility] if place + wide >= len(of_one) else "")
    dot: dict[str, Any] = {"linestyle": "", "marker": "o", "color": SOFT, "markersize": 4.5}
    handles = [
        Line2D([], [], **dot, label="eligible"),
        Line2D([], [], **dot, markerfacecolor="white", label="not eligible"),
        Line2D([], [], **RING, label="chosen"),
        Line2D([], [], color=SOFT, linewidth=0.9, linestyle=DASHED, label="least utility\nto be eligible"),
    ]
    figure.legend(handles=handles, loc="outside right upper")
    return figure


def _draw_choice(axes: Axes, choice: Choice, lowest: float) -> None:
    axes.set_title(method_name(choice.method), loc="left", color=INK, fontsize=9, pad=8)
    axes.set_title(f"{choice.trials} trial{'s' * (choice.trials > 1)}", loc="right", color=SOFT, fontsize=8, pad=8)
    if choice.threshold is not None:
        axes.axvline(choice.threshold, color=SOFT, linewidth=0.9, linestyle=DASHED, zorder=1)
    colour, (closeness, utility) = colour_of(choice.method), choice.scores
    for eligible, rows in choice.rows.dropna(subset=[closeness, utility]).groupby("eligible"):
        axes.plot(
            rows[utility],
            [_height(closeness, value, lowest) for value in rows[closeness]],
            linestyle="",
            marker=marker_of(choice.method),
            color=colour if eligible else "white",
            markeredgecolor="white" if eligible else colour,
            markeredgewidth=0.4 if eligible else 0.6,
            markersize=5.0 if eligible else 4.0,
            alpha=1.0 if eligible else 0.6,
            clip_on=False,
            zorder=3 if eligible else 2,
        )
    if math.isfinite(choice.chosen[closeness]):
        height = _height(closeness, choice.chosen[closeness], lowest)
        axes.plot([choice.chosen[utility]], [height], **RING, clip_on=False, zorder=4)
    axes.margins(x=0.08)
    if closeness == QUALITY:
        quality_axis(axes, lowest)
    else:
        axes.set_ylim(min(axes.get_ylim()[0], -1.0), 0)
        axes.yaxis.set_major_formatter(lambda value, _: f"{abs(value):g}")


def _height(closeness: str, value: float, lowest: float) -> float:
    """Return where a trial stands: the nearer to Retrain, the higher."""
    return quality_height(value, lowest) if closeness == QUALITY else value
