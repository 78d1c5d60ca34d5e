"""Texts that are to be forgotten: what a model recites of them, what it knows, and what its losses give away (MUSE)."""

from collections.abc import Iterator, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from palimpsest.report.drawing import dotted_handle, panel_rows
from palimpsest.report.evidence import MUSE, Answer, Evidence, Place
from palimpsest.report.names import method_name
from palimpsest.report.questions._texts import (
    BETTER,
    FIRST,
    KEPT,
    KNOWN,
    LEAK,
    NAMES,
    VERBATIM,
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
from palimpsest.report.style import COLOURS, DASHED, DOTTED, GOOD, INK, SOFT, colour_of, marker_of, size_of
from palimpsest.report.tables import Column, Row, Table, numbers_of, table_of_place
from palimpsest.report.words import PaperClaim, format_score, joined, under_titles, variants_shown, verdict

QUESTION = "What is left of the texts: recited, known, given away?"
PAPER = "Table 2"
LEAK_PUBLISHED = "privleak_published"
# MUSE takes a PrivLeak so near to 0 for none.
NEAR = 5.0
SPACE = "\N{NO-BREAK SPACE}"
COLUMNS = (
    Column(VERBATIM, "Forget set", f"VerbMem{SPACE}↓"),
    Column(KNOWN, "Forget set", f"KnowMem{SPACE}↓"),
    Column(KEPT, "Retain set", f"KnowMem{SPACE}↑", "highest"),
    Column("auc_min_k", "Forget set against holdout", "AUC"),
    Column(LEAK, "Forget set against holdout", f"PrivLeak{SPACE}→{SPACE}0", "nearest 0"),
    Column(LEAK_PUBLISHED, "Forget set against holdout", f"PrivLeak{SPACE}→{SPACE}0, published{SPACE}Retrain", "nearest 0"),
)


def answer(evidence: Evidence) -> Answer | None:
    """Compare what methods leave of the texts; None without a benchmark of MUSE's shape."""

    def table(place: Place) -> Table:
        published = evidence.published_for(place.block)
        return table_of_place(place.block, place.suite, place.rows, COLUMNS, published)

    tables = tables_that_compare([place for place in evidence.texts(MUSE) if place.block.split == FIRST], table)
    if not tables:
        return None
    tested = [(each, list(_tested(each))) for each in tables]
    claims = [(of.claim, of.sign) for _, each in tested for of in each]
    sentences = [pair for each, of in tested for pair in with_choices(each, _sentences(each, of))]
    return Answer(
        findings=[verdict(claims) if claims else not_told(tables), *under_titles(sentences)],
        figure=_draw(tables),
        alt="VerbMem and KnowMem on the forget set, KnowMem on the retain set and PrivLeak of every model, beside Retrain's.",
        caption=_caption(tables),
        numbers=numbers_of(tables),
        tables=tables,
        note=_note(evidence, tables),
    )


def _tested(table: Table) -> Iterator[PaperClaim]:
    """Yield the paper's claims on SimNPO and NPO, by the scores that both have."""
    original, retrain = (table.value(role, VERBATIM) for role in ("original", "retrain"))
    # Of an Original that recites no more than Retrain there is nothing to forget.
    goal = retrain if original is not None and retrain is not None and original > retrain else None
    but = hardly_forgotten(table, VERBATIM, goal, "Retrain", "VerbMem")
    for metric, claim, contrary in (
        (_leak(table), "SimNPO's PrivLeak is nearer to 0 than NPO's", "SimNPO's PrivLeak is further from 0 than NPO's"),
        (KEPT, "SimNPO keeps more KnowMem on the retain set than NPO", "SimNPO keeps less KnowMem on the retain set than NPO"),
    ):
        ours, theirs = table.by_seed(BETTER, metric), table.by_seed(WORSE, metric)
        if ours.empty or theirs.empty:
            continue
        differences = ours - theirs if metric == KEPT else theirs.abs() - ours.abs()
        yield PaperClaim(claim, contrary, differences.dropna(), beside_paper(table, metric, (BETTER, WORSE)), but)


def _leak(table: Table) -> str:
    """Return the column of PrivLeak: against the Retrain of the study, where it has one."""
    return LEAK if any(column.key == LEAK for column in table.columns) else LEAK_PUBLISHED


def _sentences(table: Table, tested: Sequence[PaperClaim]) -> Iterator[str]:
    yield from (of.sentence for of in tested)
    yield _beside_retrain(table, VERBATIM, "Recited of the forget set (VerbMem)")
    yield _beside_retrain(table, KNOWN, "Known of the forget set (KnowMem)")
    yield left_of_original(table, KEPT, "KnowMem on the retain set")
    yield _given_away(table)


def _text(table: Table, method: str, key: str) -> str:
    value = table.value(method, key)
    return "" if value is None else format_score(key, value)


def _beside_retrain(table: Table, key: str, what: str) -> str:
    """Say where the references stand, and which methods are below Retrain and which above."""
    rows, level = [row for row in table.rivals if key in row.cells], table.value("retrain", key)
    stand = [f"{method_name(name)} {text}" for name in ("original", "retrain") if (text := _text(table, name, key))]
    groups = {"": rows}
    if level is not None:
        groups = {
            "below Retrain: ": [row for row in rows if row.cells[key].mean < level],
            "as Retrain: ": [row for row in rows if row.cells[key].mean == level],
            "above Retrain: ": [row for row in rows if row.cells[key].mean > level],
        }
    parts = [", ".join(stand), *(f"{where}{named(of, key)}" for where, of in groups.items() if of)]
    return f"{what}: {'; '.join(part for part in parts if part)}." if rows else ""


def _given_away(table: Table) -> str:
    """Say of each method on which side of Retrain its PrivLeak lies."""
    key = _leak(table)
    rows = [row for row in table.rivals if key in row.cells]
    if not rows:
        return ""
    groups = {
        "over-forgotten by": [row for row in rows if row.cells[key].mean > NEAR],
        "still remembered by": [row for row in rows if row.cells[key].mean < -NEAR],
        f"within {NEAR:g} % of never learnt for": [row for row in rows if abs(row.cells[key].mean) <= NEAR],
    }
    sides = joined([f"{what} {named(of, key)}" for what, of in groups.items() if of])
    start = _text(table, "original", key)
    return f"By PrivLeak the forget set is {sides}{f'; Original stands at {start}' if start else ''}."


def _caption(tables: Sequence[Table]) -> str:
    shown = bars(tables, "95 % bootstrap intervals over the items")
    return (
        f"What each model recites and knows, 0 to 100, and PrivLeak. {shown} Shaded: no more than Retrain of the forget set, "
        f"no less of the retain set, and a PrivLeak within {NEAR:g} of 0. A PrivLeak below 0 says that the forget set is still "
        "remembered, above 0 that the model is more surprised by it than one that never saw it, which gives it away as well."
    ) + variants_shown((row.method, row.variant) for table in tables for row in table.rivals)


def _note(evidence: Evidence, tables: Sequence[Table]) -> str:
    read = how_to_read(
        tables,
        "the best mean among the unlearned models, of PrivLeak the nearest to 0. On the forget set none is marked: "
        "to fall below Retrain's level is no gain.",
    )
    constants = {
        table.block.benchmark: evidence.study.data[table.block.benchmark].get("retrain_auc")
        for table in tables
        if any(column.key == LEAK_PUBLISHED for column in table.columns)
    }
    aucs = [f"{auc:g} ({name})" if len(constants) > 1 else f"{auc:g}" for name, auc in constants.items() if auc is not None]
    return f"{read} The published Retrain has an AUC of {joined(aucs)}." if aucs else read


def _draw(tables: Sequence[Table]) -> Figure:
    """Draw a row a table and a panel a score; below each other the models, with their names at the left."""
    metrics = [key for key in NAMES if any(column.key == key for table in tables for column in table.columns)]
    heights = [0.95 + 0.27 * len(table.standing) for table in tables]
    # Room between the last number of one axis and the first of the next.
    figure = Figure(figsize=(10.0, 0.35 + sum(heights)), layout=ConstrainedLayoutEngine(w_pad=0.1))
    for part, table in zip(panel_rows(figure, [table.title for table in tables], heights), tables, strict=True):
        row = part.subplots(1, len(metrics), sharey=True, squeeze=False)[0]
        models = list(table.standing.values())
        for axes, metric in zip(row, metrics, strict=True):
            _draw_panel(axes, table, metric, models)
        row[0].set_yticks(range(len(models)), [method_name(model.method) for model in models])
        row[0].set_ylim(len(models) - 0.4, -0.6)
    handles: list[Any] = [
        Line2D([], [], color=COLOURS["retrain"], linestyle=DASHED, linewidth=0.9, label="Retrain"),
        dotted_handle("original"),
        Patch(color=GOOD, label="as good as Retrain, or better"),
    ]
    handles += seed_handles(tables)
    figure.legend(handles=handles, loc="outside lower center", ncols=len(handles))
    return figure


def _draw_panel(axes: Axes, table: Table, metric: str, models: Sequence[Row]) -> None:
    axes.set_title(NAMES[metric], loc="left", color=INK, fontsize=9)
    known = [(place, model, model.cells[metric]) for place, model in enumerate(models) if metric in model.cells]
    for place, model, cell in known:
        look: dict[str, Any] = {"color": colour_of(model.method), "clip_on": False}
        axes.plot(cell.ends, [place] * 2, linewidth=5.0, alpha=0.4, solid_capstyle="butt", zorder=3, **look)
        mark: dict[str, Any] = {"linestyle": "", "marker": marker_of(model.method), **look}
        size = size_of(model.method) * 0.7
        axes.plot([cell.mean], [place], markeredgecolor="white", markeredgewidth=0.7, markersize=size, zorder=4, **mark)
        if len(cell.values) > 1:
            seeds = list(cell.values.values())
            axes.plot(seeds, [place + 0.32] * len(seeds), alpha=0.45, markersize=size * 0.5, zorder=3.5, **mark)
    values = [0.0, *(end for *_, cell in known for end in cell.ends)]
    room = 0.06 * (max(values) - min(values) or 1.0)
    low, high = min(values) - (room if min(values) < 0 else 0.0), max(values) + room
    for role, style in (("retrain", DASHED), ("original", DOTTED)):
        level = table.value(role, metric)
        if level is not None:
            axes.axvline(level, color=colour_of(role), linestyle=style, linewidth=0.9, zorder=1)
    if metric == LEAK:
        axes.axvspan(-NEAR, NEAR, color=GOOD, linewidth=0, zorder=0)
        axes.set_xlabel("← remembered      over-forgotten →", color=SOFT, fontsize=8)
    elif (level := table.value("retrain", metric)) is not None:
        axes.axvspan(*((level, high) if metric == KEPT else (low, level)), color=GOOD, linewidth=0, zorder=0)
    axes.set_xlim(low, high)
    axes.grid(visible=False, axis="y")
    axes.tick_params(axis="y", length=0)
