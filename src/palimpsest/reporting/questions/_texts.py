"""The scores of MUSE, for the two questions about its texts, and what tables of texts have in common with those of WMDP."""

from collections.abc import Callable, Iterable, Sequence
from itertools import groupby

from palimpsest.reporting.evidence import Place
from palimpsest.reporting.findings import choices_made
from palimpsest.reporting.tables import Row, Table, that_compare
from palimpsest.reporting.words import format_score, joined

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


def named(rows: Sequence[Row], key: str) -> str:
    """Name models with a score of theirs."""
    return joined([f"{row.label} ({format_score(key, row.cells[key].mean)})" for row in rows])


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
    cells = [(cell, row) for table in tables for row in table.rows for cell in row.cells.values()]
    parts = [f"Bold: {best}"] if any(cell.is_best for cell, _ in cells) else []
    if any(cell.sd is None and cell.interval for cell, _ in cells):
        parts.append("Below a number of one seed: its 95 % interval over the items.")
    if any(cell.published is not None for cell, _ in cells):
        parts.append("“paper”: the value published for this benchmark, split and model.")
    return " ".join(parts)
