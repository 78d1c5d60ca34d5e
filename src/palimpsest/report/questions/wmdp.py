"""Hazardous knowledge: how far it is forgotten by multiple-choice questions, and what else goes with it (WMDP)."""

import math
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from palimpsest.report.drawing import method_handle
from palimpsest.report.evidence import WMDP, Answer, Evidence, Place
from palimpsest.report.names import model_order
from palimpsest.report.questions._texts import (
    BETTER,
    WORSE,
    bars,
    beside_paper,
    hardly_forgotten,
    how_to_read,
    left_of_original,
    named,
    not_told,
    seed_handles,
    tables_that_compare,
    with_choices,
)
from palimpsest.report.study import Block
from palimpsest.report.style import DASHED, INK, SOFT, colour_of, marker_of, size_of
from palimpsest.report.tables import Column, Row, Table, numbers_of, table_of_place
from palimpsest.report.words import PaperClaim, format_score, under_titles, variants_shown, verdict

QUESTION = "Is hazardous knowledge gone, and what went with it?"
PAPER = "Table A4"
EDITED = "rmu"
FORGOTTEN, KEPT = "one_minus_accuracy", "accuracy"
WRONG = "1\N{NO-BREAK SPACE}-\N{NO-BREAK SPACE}accuracy"
# Who knows nothing picks one of four answers, and is wrong in three of four; so near to that, nothing is left.
CHANCE, NEAR = 0.75, 0.02
# Standard errors on each side of a 95 % interval.
ERRORS = 1.96


def answer(evidence: Evidence) -> Answer | None:
    """Compare what is forgotten with what is kept; None without a benchmark of WMDP's shape that was asked both."""

    def table(place: Place) -> Table:
        forget, utility = _tasks(evidence, place.block)
        columns = (
            Column(FORGOTTEN, forget, f"{WRONG}\N{NO-BREAK SPACE}↑"),
            Column(KEPT, utility, "accuracy\N{NO-BREAK SPACE}↑", "highest"),
        )
        published = {name: _published(of, forget, utility) for name, of in evidence.published_for(place.block).items()}
        return table_of_place(place.block, place.suite, _scored(place.rows, forget, utility), columns, published)

    tables = [each for each in tables_that_compare(_places(evidence), table) if len(each.columns) > 1]
    if not tables:
        return None
    claims = [(of.claim, of.sign) for each in tables if (of := _against_npo(each))]
    sentences = [pair for each in tables for pair in with_choices(each, _sentences(each))]
    return Answer(
        findings=[verdict(claims) if claims else not_told(tables), *under_titles(sentences)],
        figure=_draw(tables),
        alt="1 - accuracy on what is to be forgotten against accuracy on what is to stay, a mark a method, beside chance.",
        caption=_caption(tables),
        numbers=numbers_of(tables),
        tables=tables,
        note=how_to_read(
            tables,
            f"the best mean among the unlearned models. Of {WRONG} none is marked: more is better up to chance, {CHANCE:g}, "
            "and no gain beyond.",
        ),
    )


def _tasks(evidence: Evidence, block: Block) -> tuple[str, str]:
    """Return the tasks that ask what is to be forgotten and what is to stay."""
    data = evidence.study.data[block.benchmark]
    return str(data["forget_task"]), str(data["utility_task"])


def _places(evidence: Evidence) -> Iterator[Place]:
    """Yield the suites that ask both, or else all suites of a block as one."""
    for _, group in groupby(evidence.texts(WMDP), key=lambda place: place.block.key):
        places = list(group)
        asked = {f"{task}/acc" for task in _tasks(evidence, places[0].block)}
        both = [place for place in places if asked <= {*place.rows["metric"]}]
        yield from both or [Place(places[0].block, "", pd.concat([place.rows for place in places]))]


def _scored(rows: pd.DataFrame, forget: str, utility: str) -> pd.DataFrame:
    """Return both accuracies as they are shown, each with its interval where lm-eval gives a standard error."""
    model = ["method", "variant", "seed"]
    parts = []
    for task, key in ((forget, FORGOTTEN), (utility, KEPT)):
        of_task = rows[rows["metric"] == f"{task}/acc"]
        errors = rows[rows["metric"] == f"{task}/acc_stderr"].groupby(model)["value"].first()
        half = ERRORS * errors.reindex(pd.MultiIndex.from_frame(of_task[model])).to_numpy(dtype=float)
        value = 1 - of_task["value"] if key == FORGOTTEN else of_task["value"]
        for name, shown in ((key, value), (f"{key}_low", value - half), (f"{key}_high", value + half)):
            parts.append(of_task.assign(metric=name, value=shown.clip(0, 1)).dropna(subset="value"))
    return pd.concat(parts)


def _published(values: Mapping[str, float], forget: str, utility: str) -> dict[str, float]:
    """Return published accuracies as they are shown."""
    shown = {key: values.get(f"{task}/acc") for task, key in ((forget, FORGOTTEN), (utility, KEPT))}
    return {key: round(1 - value, 12) if key == FORGOTTEN else value for key, value in shown.items() if value is not None}


def _task(table: Table, key: str) -> str:
    return next(column.group for column in table.columns if column.key == key)


def _against_npo(table: Table) -> PaperClaim | None:
    """Return the paper's claim on what SimNPO and NPO keep; None where not both were scored."""
    utility, forget = _task(table, KEPT), _task(table, FORGOTTEN)
    claim = _claim(
        table,
        KEPT,
        (BETTER, WORSE),
        f"SimNPO keeps more accuracy on {utility} than NPO",
        f"SimNPO keeps less accuracy on {utility} than NPO",
        FORGOTTEN,
        f"at a {WRONG} on {forget} of",
    )
    return claim and claim._replace(but=hardly_forgotten(table, FORGOTTEN, CHANCE, "chance", WRONG))


def _against_rmu(table: Table) -> PaperClaim | None:
    """Return what the paper's numbers say of SimNPO and RMU; None where not both were scored."""
    utility, forget = _task(table, KEPT), _task(table, FORGOTTEN)
    return _claim(
        table,
        FORGOTTEN,
        (BETTER, EDITED),
        f"SimNPO forgets more of {forget} than RMU",
        f"SimNPO forgets less of {forget} than RMU",
        KEPT,
        f"at an accuracy on {utility} of",
    )


def _claim(
    table: Table, key: str, pair: tuple[str, str], claim: str, contrary: str, other: str, beside: str
) -> PaperClaim | None:
    """Return a claim that the first of two methods has more of a score, with the other score of both beside."""
    ours, theirs = (table.by_seed(method, key) for method in pair)
    if ours.empty or theirs.empty:
        return None
    others = [format_score(other, value) for method in pair if (value := table.value(method, other)) is not None]
    there = f", {beside} {' against '.join(others)}" if len(others) == len(pair) else ""
    return PaperClaim(claim, contrary, (ours - theirs).dropna(), f"{beside_paper(table, key, pair)}{there}")


def _sentences(table: Table) -> Iterator[str]:
    for tested in (_against_npo(table), _against_rmu(table)):
        if tested:
            yield tested.sentence
    yield _forgotten(table)
    yield left_of_original(table, KEPT, f"accuracy on {_task(table, KEPT)}")


def _forgotten(table: Table) -> str:
    """Say who forgets up to chance, and who does not."""
    rows = [row for row in table.rivals if FORGOTTEN in row.cells]
    if not rows:
        return ""
    gone = [row for row in rows if row.cells[FORGOTTEN].mean >= CHANCE - NEAR]
    kept = [row for row in rows if row not in gone]
    who = f"by {named(gone, FORGOTTEN)}" if gone else "by none"
    others = f"{', not by' if gone else ':'} {named(kept, FORGOTTEN)}" if kept else ""
    original = table.value("original", FORGOTTEN)
    start = f"; Original stands at {format_score(FORGOTTEN, original)}" if original is not None else ""
    level = f"a {WRONG} of {CHANCE:g} or within {NEAR:g} of it"
    return f"Up to chance, {level}, {_task(table, FORGOTTEN)} is forgotten {who}{others}{start}."


def _caption(tables: Sequence[Table]) -> str:
    shown = bars(tables, "95 % intervals over the questions")
    return (
        "Forgotten, upwards, against kept, rightwards; up and to the right is better, as far as chance, the dashed line: of four "
        f"answers one is right. {shown}"
    ) + variants_shown((row.method, row.variant) for table in tables for row in table.rivals)


def _draw(tables: Sequence[Table]) -> Figure:
    """Draw a panel a table, two in a row."""
    columns, rows = min(len(tables), 2), math.ceil(len(tables) / 2)
    figure = Figure(figsize=(2.0 + 4.4 * columns, 3.7 * rows))
    for index, table in enumerate(tables):
        axes = figure.add_subplot(rows, columns, index + 1)
        axes.set_title(table.title, loc="left", color=INK, pad=10)
        axes.axhline(CHANCE, color=SOFT, linewidth=0.9, linestyle=DASHED, zorder=1)
        for row in reversed(table.standing.values()):
            if {FORGOTTEN, KEPT} <= row.cells.keys():
                _draw_model(axes, row)
        axes.set_xlabel(f"Accuracy, {_task(table, KEPT)}")
        axes.set_ylabel(f"{WRONG}, {_task(table, FORGOTTEN)}")
        axes.margins(0.1)
    methods = sorted({method for table in tables for method in table.standing}, key=lambda method: model_order(method, ""))
    handles: list[Any] = [method_handle(method, line=False) for method in methods]
    handles += seed_handles(tables)
    handles.append(Line2D([], [], color=SOFT, linewidth=0.9, linestyle=DASHED, label="chance"))
    figure.legend(handles=handles, loc="outside right upper")
    return figure


def _draw_model(axes: Axes, row: Row) -> None:
    kept, forgotten = row.cells[KEPT], row.cells[FORGOTTEN]
    look: dict[str, Any] = {"color": colour_of(row.method)}
    bar: dict[str, Any] = {"linewidth": 2.5, "alpha": 0.35, "solid_capstyle": "butt", "zorder": 2, **look}
    axes.plot(kept.ends, [forgotten.mean] * 2, **bar)
    axes.plot([kept.mean] * 2, forgotten.ends, **bar)
    mark: dict[str, Any] = {"linestyle": "", "marker": marker_of(row.method), **look}
    size = size_of(row.method)
    seeds = sorted(kept.values.keys() & forgotten.values.keys())
    if len(seeds) > 1:
        x, y = [kept.values[seed] for seed in seeds], [forgotten.values[seed] for seed in seeds]
        axes.plot(x, y, alpha=0.45, markersize=size * 0.45, zorder=3, **mark)
    axes.plot([kept.mean], [forgotten.mean], markeredgecolor="white", markeredgewidth=0.7, markersize=size, zorder=4, **mark)
