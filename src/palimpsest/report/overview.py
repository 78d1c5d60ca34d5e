"""The two figures of the main tables: forget quality against model utility, and the truth ratios behind it."""

from collections.abc import Iterator, Sequence

import pandas as pd

from palimpsest.names import ORIGINAL, RETRAIN, ROLES
from palimpsest.report.facts import FLOOR
from palimpsest.report.figures import Axis, Grid, Look, Panel
from palimpsest.report.names import method_name, model_order
from palimpsest.report.rows import log10, main_models
from palimpsest.report.style import GOOD
from palimpsest.report.tables import Table, points_of
from palimpsest.report.words import QUALITY, UTILITY, format_quality


def quality_against_utility(tables: Sequence[Table]) -> Grid:
    """Return forget quality against model utility: a point a seed, a large one for the mean; a panel a table.

    A table with only Original and Retrain, such as the table of a selection's data, has a panel only if all tables are like it.
    """
    compared = [table for table in tables if table.rivals] or tables
    panels = [panel for table in compared if len((panel := _quality_panel(table)).data)]
    labels = {"Retrain against Retrain": Look(GOOD, area=True)} if any(panel.good for panel in panels) else {}
    empty = "No model here has both a forget quality and a model utility."
    return Grid([("", panels)] if panels else [], wide=2, height=310, labels=labels, empty=empty)


def _quality_panel(table: Table) -> Panel:
    floor = table.value(RETRAIN, FLOOR)
    key = ["method", "variant", "seed"]
    utility, quality = (points_of(table, metric, table.rows) for metric in (UTILITY, QUALITY))
    data = utility[[*key, "main", "x", "folder"]].merge(quality[[*key, "x"]].rename(columns={"x": "y"}), on=key)
    x, y = Axis("Model utility →", zero=True), Axis("Forget quality →", "quality")
    return Panel("scatter", data, table.title, x, y, good=None if floor is None else (floor, 1.0))


def truth_ratio_distributions(tables: Sequence[Table], truth_ratios: pd.DataFrame) -> Grid:
    """Return the distributions of the forget set's truth ratios: a panel a method, Retrain's behind each."""
    ratios = truth_ratios[(truth_ratios["set"] == "forget") & truth_ratios["truth_ratio"].notna()]
    rows = [(table.title, panels) for table in tables if (panels := list(_distributions(table, ratios)))]
    return Grid(rows, height=130, empty="There are no truth ratios of unlearned models on the forget set here.")


def _distributions(table: Table, ratios: pd.DataFrame) -> Iterator[Panel]:
    rows = main_models(ratios, table.block)
    rows = rows[rows["suite"] == table.suite].assign(x=lambda of: log10(of["truth_ratio"]))
    methods = sorted({*rows["method"]} - {RETRAIN}, key=model_order)
    for place, method in enumerate(methods if (rows["method"] == RETRAIN).any() else []):
        standing = table.standing.get(method)
        shown = rows[rows["method"].isin([method, RETRAIN, *([ORIGINAL] if method not in ROLES else [])])]
        data = shown.assign(main=(shown["method"] != method) | (shown["variant"] == (standing.variant if standing else "")))
        quality = table.value(method, QUALITY)
        note = "" if quality is None else f"FQ {format_quality(quality)}"
        yield Panel("ecdf", data, method_name(method), Axis("Truth ratio"), Axis("" if place % 4 else "Share of questions"), note)
