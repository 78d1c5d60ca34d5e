"""The scores of MUSE, for the two questions about its texts, and what tables of texts have in common with those of WMDP."""

from collections.abc import Callable, Iterable, Sequence
from itertools import groupby
from typing import Any

from matplotlib.lines import Line2D

from palimpsest.report.evidence import Place
from palimpsest.report.findings import choices_made
from palimpsest.report.names import method_name
from palimpsest.report.style import SOFT
from palimpsest.report.tables import Row, Table, that_compare
from palimpsest.report.words import format_score, joined

VERBATIM, KNOWN, KEPT, LEAK = "verbmem_f", "knowmem_f", "knowmem_r", "privleak"
# The split that is the data artefact itself, which Original and Retrain belong to.
FIRST = "forget"
NAMES = {
    VERBATIM: "VerbMem, forget set",
    KNOWN: "KnowMem, forget set",
    KEPT: "KnowMem, retain set",
    LEAK: "PrivLeak (%)",
}
BETTER, WORSE = "simnpo", "npo"


def tables_that_compare(places: Iterable[Place], table: Callable[[Place], Table]) -> list[Table]:
    """Return the tables of places, without those of suites that only references met where a block has another."""
    blocks = groupby(places, key=lambda place: place.block.key)
    return [kept for _, of_block in blocks for kept in that_compare([table(place) for place in of_block])]


def several_seeds(tables: Iterable[Table]) -> bool:
    """Return whether some model is a mean over seeds."""
    return any(row.seeds > 1 for table in tables for row in table.standing.values())


def bars(tables: Iterable[Table], one_seed: str) -> str:
    """Say for the caption what marks and bars are; `one_seed` says what the bars are where there is one seed."""
    if several_seeds(tables):
        return "Large marks: means over seeds, bars: their range, small marks: single seeds."
    return f"Bars: {one_seed}."


def seed_handles(tables: Iterable[Table]) -> list[Any]:
    """Return what a legend says of the small marks, where there are any."""
    if not several_seeds(tables):
        return []
    return [Line2D([], [], linestyle="", marker="o", color=SOFT, alpha=0.45, markersize=3.5, label="single seeds")]


def named(rows: Sequence[Row], key: str) -> str:
    """Name models with a score of theirs."""
    return joined([f"{row.label} ({format_score(key, row.cells[key].mean)})" for row in rows])


def beside_paper(table: Table, key: str, pair: Sequence[str]) -> str:
    """Return a score of two methods with what was published of both, where it was; the means are over the seeds of both."""
    ours, theirs = (table.by_seed(method, key) for method in pair)
    ours, theirs = ours.align(theirs, join="inner")
    known = [f"{value:.2f}" for method in pair if (value := table.standing[method].cells[key].published) is not None]
    paper = f" (paper: {joined(known)})" if len(known) == len(pair) else ""
    return f"{format_score(key, ours.mean())} against {format_score(key, theirs.mean())}{paper}"


def hardly_forgotten(table: Table, key: str, goal: float | None, goal_name: str, score: str) -> str:
    """Name those of SimNPO and NPO that are nearer to Original than to what forgetting comes to: who does little harms little.

    "" where none is, or it cannot be said.
    """
    original = table.value("original", key)
    if original is None or goal is None:
        return ""
    rows = [table.standing[name] for name in (WORSE, BETTER) if name in table.standing and key in table.standing[name].cells]
    near = [row for row in rows if (row.cells[key].mean - (original + goal) / 2) * (original - goal) > 0]
    ends = f"{score} {format_score(key, original)} to {format_score(key, goal)}"
    return f"{named(near, key)} went less than half the way from Original to {goal_name} ({ends})" if near else ""


def not_told(tables: Sequence[Table]) -> str:
    """Say why nothing can be said of SimNPO and NPO."""
    missing = [method_name(name) for name in (WORSE, BETTER) if not any(name in table.standing for table in tables)]
    why = f"{joined(missing)} {'were' if len(missing) > 1 else 'was'} not run" if missing else "there is no score that both have"
    return f"What the paper says of SimNPO and NPO is left open: {why}."


def left_of_original(table: Table, key: str, what: str) -> str:
    """Say which share of a score of Original's is left to each method; "" where that cannot be said."""
    original = table.value("original", key)
    rows = [row for row in table.rivals if key in row.cells]
    if not original or not rows:
        return ""
    shares = [(f"{row.cells[key].mean / original:.0%}", row.label) for row in rows]
    left = joined([f"{share} {'' if place else 'is left '}to {label}" for place, (share, label) in enumerate(shares)])
    return f"Of Original's {what}, {format_score(key, original)}, {left}."


def with_choices(table: Table, sentences: Iterable[str]) -> list[tuple[str, str]]:
    """Return sentences under the title of their table, with how chosen variants were chosen at the end."""
    return [(table.title, sentence) for sentence in (*sentences, *choices_made(table.block)) if sentence]


def how_to_read(tables: Sequence[Table], best: str) -> str:
    """Say what stands in the cells of these tables."""
    cells = [cell for table in tables for row in table.rows for cell in row.cells.values()]
    parts = [f"Bold: {best}"] if any(cell.is_best for cell in cells) else []
    if any(cell.sd is None and cell.interval for cell in cells):
        parts.append("Below a number of one seed: its 95 % interval over the items.")
    if any(cell.published is not None for cell in cells):
        parts.append("“paper”: the value published for this benchmark, split and model.")
    return " ".join(parts)
