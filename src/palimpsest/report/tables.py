"""The tables of a study, from the tidy summary: Table 1 of the SimNPO paper, relearning, lm-eval; and what others are made of."""

import csv
import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby
from operator import attrgetter
from pathlib import Path
from typing import Any, Literal

import pandas as pd

from palimpsest.names import CHOSEN, DEFAULT
from palimpsest.report.evidence import Published
from palimpsest.report.imported import Imported
from palimpsest.report.names import REFERENCES, model_label, model_order
from palimpsest.report.remarks import Told, remarks_on
from palimpsest.report.rows import attacked, finished, main_models, of_block
from palimpsest.report.study import Block, Values
from palimpsest.report.words import QUALITY, SCORES, UTILITY, format_score, format_sd

Best = Literal["highest", "nearest 0", "nearest Retrain"] | None
EPOCH = "{metric}_epoch_{epoch}"


@dataclass(frozen=True)
class Column:
    """One column: the key of its values, its group and head on the page, what is best in it."""

    key: str
    group: str
    head: str
    best: Best = None

    def text(self, value: float) -> str:
        """Write one number of this column."""
        return format_score(self.key, value)

    def spread(self, mean: float, sd: float) -> str:
        """Write an sd of this column."""
        return format_sd(self.key, mean, sd)


@dataclass(frozen=True)
class Cell:
    """One metric of one model: its value by seed, the sd over attack draws behind each, and what the table says of it."""

    values: dict[int, float]
    draw_sds: tuple[float, ...] = ()
    is_best: bool = False
    published: float | None = None
    interval: tuple[float, float] | None = None
    """The 95 % interval over items, of one seed; over several the sd says more."""

    @property
    def mean(self) -> float:
        """The mean over seeds."""
        return math.fsum(self.values.values()) / len(self.values)

    @property
    def sd(self) -> float | None:
        """The sd of one value: between seeds (n - 1), and between the draws within them; none where there is one of each."""
        count = len(self.values)
        if count == 1 and not self.draw_sds:
            return None
        between = math.fsum((value - self.mean) ** 2 for value in self.values.values()) / max(count - 1, 1)
        return math.sqrt(between + math.fsum(sd**2 for sd in self.draw_sds) / count)

    @property
    def ends(self) -> tuple[float, float]:
        """The least and the greatest value over seeds; of one seed its interval, where it has one."""
        return self.interval or (min(self.values.values()), max(self.values.values()))


@dataclass(frozen=True)
class Row:
    """All metrics of one model; one that is missing has no cell."""

    method: str
    variant: str
    cells: dict[str, Cell]

    @property
    def label(self) -> str:
        """What the model is called."""
        return model_label(self.method, self.variant)

    @property
    def seeds(self) -> int:
        """Over how many seeds the means go."""
        return len({seed for cell in self.cells.values() for seed in cell.values})


@dataclass(frozen=True)
class Table:
    """One table of one block and suite, and of one attack if it is about one; the rows of a method stand together."""

    block: Block
    suite: str
    attack: str
    columns: list[Column]
    rows: list[Row]
    imported: list[Imported] = field(default_factory=list)
    """Models that others made: shown below the rows, and in nothing that is said of these."""
    remarks: list[Told] = field(default_factory=list)
    """What must be told beside the numbers; a gap is a row of its own."""

    @property
    def gaps(self) -> list[Told]:
        """The models of which the table has no numbers, with the reason."""
        return [told for told in self.remarks if told.is_gap]

    @property
    def notes(self) -> list[Told]:
        """The remarks on the rows."""
        return [told for told in self.remarks if not told.is_gap]

    def is_noted(self, row: Row) -> bool:
        """Return whether there is a remark on a row."""
        return any((told.method, told.variant) == (row.method, row.variant) for told in self.notes)

    @property
    def title(self) -> str:
        """What it is about."""
        return self.block.title(self.suite)

    @property
    def standing(self) -> dict[str, Row]:
        """The row that stands for each method: its chosen variant, or else its default, or else its first."""
        return {method: next(rows) for method, rows in groupby(self.rows, key=attrgetter("method"))}

    def stands(self, row: Row) -> bool:
        """Return whether a row stands for its method."""
        return self.standing[row.method] is row

    def value(self, method: str, key: str) -> float | None:
        """Return the mean that stands for a method in a column, if it is there."""
        row = self.standing.get(method)
        return row.cells[key].mean if row and key in row.cells else None

    def by_seed(self, method: str, key: str) -> pd.Series:
        """Return what stands for a method in a column, indexed by seed; empty where it is not there."""
        row = self.standing.get(method)
        return pd.Series(row.cells[key].values if row and key in row.cells else {}, dtype=float)

    @property
    def rivals(self) -> list[Row]:
        """The rows that stand for the methods, without the references."""
        return [row for method, row in self.standing.items() if method not in REFERENCES]

    @property
    def caption(self) -> str:
        """What stands above it: what it is about, and over how many seeds."""
        seeds = len(self.block.seeds)
        return f"{self.title}, mean ± sd over {seeds} seeds" if seeds > 1 else f"{self.title}, one seed"

    @property
    def how_to_read(self) -> str:
        """What the small print of its cells is; "" where there is none."""
        cells = [cell for row in self.rows for cell in row.cells.values()]
        return " ".join(
            text
            for text, has in (
                (
                    "Below a number of one seed: its 95 % interval over the items.",
                    any(c.sd is None and c.interval for c in cells),
                ),
                (
                    "“paper”: the value published for this benchmark, split and model.",
                    any(c.published is not None for c in cells),
                ),
            )
            if has
        )


TABLE1 = (
    Column(QUALITY, "", "Forget quality\N{NO-BREAK SPACE}↑", "highest"),
    Column(UTILITY, "", "Model utility\N{NO-BREAK SPACE}↑", "highest"),
    *(
        Column(f"forget_{key}", "Forget set (nearest Retrain)", head, "nearest Retrain")
        for key, head in (
            ("probability", "Prob."),
            ("rouge", "ROUGE-L"),
            ("truth_ratio", "Truth ratio"),
            ("exact_memorisation", "Exact mem."),
            ("extraction_strength", "Extr. strength"),
        )
    ),
    *(
        Column(f"{name}_{key}", f"{title} ↑", head, "highest")
        for name, title in (("retain", "Retain set"), ("real_authors", "Real authors"), ("world_facts", "World facts"))
        for key, head in (("probability", "Prob."), ("rouge", "ROUGE-L"), ("truth_ratio", "Truth ratio"))
    ),
)
# What lm-eval gives beside a score.
UNSCORED = "_stderr"
RELEARNED = {QUALITY: SCORES[QUALITY], "forget_probability": "Forget probability"}


def table1(
    summary: pd.DataFrame,
    blocks: Iterable[Block],
    published: Published,
    imported: Iterable[Imported] = (),
    remarks: pd.DataFrame | None = None,
) -> list[Table]:
    """Return Table 1 for every block and every suite that gives its metrics, the best marked, published values beside.

    What is imported stands below the rows of its block and suite, and the remarks on models that were evaluated.
    """
    placed: dict[tuple[str, ...], list[Imported]] = {}
    for one in imported:
        placed.setdefault(one.place, []).append(one)
    tables: list[Table] = []
    for block in blocks:
        rows = main_models(finished(summary), block)
        rows = rows[~rows["metric"].str.contains("/")]
        of_suites = [_table(block, str(suite), "", frame, TABLE1) for suite, frame in rows.groupby("suite", sort=True)]
        tables += [
            _with_published(_with_best(table), published.get("/".join(block.key), {})) for table in that_compare(of_suites)
        ]
    return [
        replace(
            table,
            imported=placed.get((*table.block.key, table.suite), []),
            remarks=[told for told in _remarks(remarks, table.block) if told.of == "evaluation"],
        )
        for table in tables
    ]


def _remarks(remarks: pd.DataFrame | None, block: Block) -> list[Told]:
    return [] if remarks is None else remarks_on(remarks, block)


def that_compare(tables: Sequence[Table]) -> list[Table]:
    """Return those of one block's tables that have columns; a suite that only references met served a choice, and is left out."""
    found = [table for table in tables if table.columns]
    return [table for table in found if table.rivals] or found


def table_of_place(
    block: Block, suite: str, rows: pd.DataFrame, columns: Iterable[Column], published: Mapping[str, Mapping[str, float]]
) -> Table:
    """Return the rows of one block's finished models as a table, the best marked, published values beside."""
    return _with_published(_with_best(_table(block, suite, "", main_models(rows, block), columns)), published)


def standing_points(table: Table, key: str) -> pd.DataFrame:
    """Return a column by seed for the rows that represent their methods: `method`, `variant`, `seed`, `x`, `low`, `high`."""
    found = [
        {"method": row.method, "variant": row.variant, "seed": seed, "x": value}
        | dict(zip(("low", "high"), cell.ends, strict=True))
        for row in table.standing.values()
        if (cell := row.cells.get(key))
        for seed, value in cell.values.items()
    ]
    return pd.DataFrame(found, columns=["method", "variant", "seed", "x", "low", "high"])


def numbers_of(tables: Iterable[Table]) -> pd.DataFrame:
    """Return a row a model and column: mean, sd over seeds, interval over the items of one seed, published value."""
    rows = [
        table.block.identity
        | {"suite": table.suite, "method": row.method, "variant": row.variant, "metric": column.key, "seeds": len(cell.values)}
        | dict(zip(("mean", "sd", "low", "high"), (cell.mean, cell.sd, *(cell.interval or (None, None))), strict=True))
        | {"published": cell.published}
        for table in tables
        for row in table.rows
        for column in table.columns
        if (cell := row.cells.get(column.key))
    ]
    return pd.DataFrame(rows)


def lm_eval_tables(summary: pd.DataFrame, blocks: Iterable[Block], suites: Mapping[str, Values]) -> list[Table]:
    """Return one table a block and lm-eval suite, one column a score; the rest stays in the summary.

    A part of a task that has a score of its own (mmlu_anatomy of mmlu) has no column, unless the suite names it.
    """
    tables = []
    for block in blocks:
        rows = of_block(finished(summary), block)
        rows = rows[rows["metric"].str.contains("/") & ~rows["metric"].str.endswith(UNSCORED)]
        for suite, frame in rows.groupby("suite", sort=True):
            metrics = _without_parts(sorted(frame["metric"].unique()), suites.get(str(suite), {}).get("tasks", []))
            columns = [Column(name, name.rpartition("/")[0], name.rpartition("/")[2]) for name in metrics]
            tables.append(_table(block, str(suite), "", frame, columns))
    return tables


def relearning_tables(summary: pd.DataFrame, blocks: Iterable[Block], remarks: pd.DataFrame | None = None) -> list[Table]:
    """Return one table a block and attack: forget quality and probability before and after each epoch."""
    tables = []
    for block in blocks:
        rows = of_block(attacked(summary), block)
        for (suite, attack), frame in rows.groupby(["suite", "attack"], sort=True):
            epochs = sorted(int(epoch) for epoch in frame["epoch"].dropna().unique())
            columns = [
                Column(
                    EPOCH.format(metric=metric, epoch=epoch),
                    group,
                    f"epoch\N{NO-BREAK SPACE}{epoch}" if epoch else "before",
                )
                for metric, group in RELEARNED.items()
                for epoch in epochs
            ]
            keys = [EPOCH.format(metric=m, epoch=int(e)) for m, e in zip(frame["metric"], frame["epoch"], strict=True)]
            told = [told for told in _remarks(remarks, block) if told.attack == attack]
            tables.append(replace(_table(block, str(suite), str(attack), frame.assign(metric=keys), columns), remarks=told))
    return [table for table in tables if table.columns]


def write_csv(path: Path, tables: Iterable[Table]) -> None:
    """Write tables below each other with the union of their columns."""
    tables = list(tables)
    keys = list(dict.fromkeys(column.key for table in tables for column in table.columns))
    published = [key for key in keys if any(_published(row, key) is not None for table in tables for row in table.rows)]
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        heads = [name for key in keys for name in (key, f"{key}_sd", *([f"{key}_published"] if key in published else []))]
        # Only where something is imported there is anything to tell apart.
        origins = ["origin"] if any(table.imported for table in tables) else []
        writer.writerow(["benchmark", "split", "model", "suite", "attack", "method", "variant", "seeds", *origins, *heads])
        for table in tables:
            for row in table.rows:
                numbers: list[float | str | None] = []
                for key in keys:
                    cell = row.cells.get(key)
                    numbers += [cell.mean, cell.sd] if cell else [None, None]
                    numbers += [_published(row, key)] if key in published else []
                place = [*table.block.key, table.suite, table.attack, row.method, row.variant, row.seeds]
                writer.writerow([*place, *(["here"] if origins else []), *numbers])
            for one in table.imported:
                of_head = [one.values.get(head) for head in heads]
                writer.writerow([*table.block.key, table.suite, table.attack, one.name, "", None, "imported", *of_head])


def _without_parts(metrics: Iterable[str], asked: Iterable[str | Mapping[str, Any]]) -> list[str]:
    scored = {metric.rsplit("/", 1)[0]: metric for metric in metrics}
    named = {task if isinstance(task, str) else task.get("group", task["task"]) for task in asked} & scored.keys()
    parts = {task for task in scored.keys() - named if any(task.startswith(f"{name}_") for name in named)}
    return [metric for metric in metrics if metric.rsplit("/", 1)[0] not in parts]


def _published(row: Row, key: str) -> float | None:
    return row.cells[key].published if key in row.cells else None


def _table(block: Block, suite: str, attack: str, frame: pd.DataFrame, columns: Iterable[Column]) -> Table:
    """Collect the metrics of every model from tidy rows.

    `x_sd` or `x_sd_epoch_1` is the spread over the draws behind `x`, `x_low` and `x_high` its interval over items.
    """
    rows = []
    for (method, variant), of_model in frame.groupby(["method", "variant"], sort=False):
        values = {
            str(metric): {int(seed): float(value) for seed, value in sorted(zip(of["seed"], of["value"], strict=True))}
            for metric, of in of_model.groupby("metric", sort=False)
        }
        cells = {
            key: Cell(by_seed, tuple(values.get(_draws_key(key), {}).values()), interval=_interval(values, key))
            for key, by_seed in values.items()
        }
        rows.append(Row(str(method), str(variant), cells))
    rows.sort(key=lambda row: model_order(row.method, row.variant))
    return Table(block, suite, attack, [column for column in columns if any(column.key in row.cells for row in rows)], rows)


def _interval(values: Mapping[str, Mapping[int, float]], key: str) -> tuple[float, float] | None:
    ends = [[*values.get(f"{key}_{end}", {}).values()] for end in ("low", "high")]
    return (ends[0][0], ends[1][0]) if len(values[key]) == len(ends[0]) == len(ends[1]) == 1 else None


def _draws_key(key: str) -> str:
    metric, separator, epoch = key.partition("_epoch_")
    return f"{metric}_sd{separator}{epoch}"


def _with_best(table: Table) -> Table:
    """Mark the best unlearned model in every column; none where fewer than two compete or all are alike."""
    best: set[tuple[str, str, str]] = set()
    for column in table.columns:
        score = _score(table, column)
        rivals = [row for row in table.rows if row.method not in REFERENCES and column.key in row.cells]
        scores = {(row.method, row.variant): score(row.cells[column.key].mean) for row in rivals} if score else {}
        if len(set(scores.values())) > 1:
            best |= {(*model, column.key) for model, value in scores.items() if value == max(scores.values())}
    return _map_cells(table, lambda row, key, cell: replace(cell, is_best=(row.method, row.variant, key) in best))


def _score(table: Table, column: Column) -> Callable[[float], float] | None:
    """Return how good a value of this column is, if that can be said."""
    if column.best == "highest":
        return lambda value: value
    target = table.value("retrain", column.key) if column.best == "nearest Retrain" else 0.0 if column.best else None
    return None if target is None else lambda value: -abs(value - target)


def _with_published(table: Table, published: Mapping[str, Mapping[str, float]]) -> Table:
    """Put published values beside the variant that stands for a method, or its only one."""
    variants = Counter(row.method for row in table.rows)

    def add(row: Row, key: str, cell: Cell) -> Cell:
        is_meant = variants[row.method] == 1 or (table.stands(row) and row.variant in (CHOSEN, DEFAULT))
        return replace(cell, published=published.get(row.method, {}).get(key) if is_meant else None)

    return _map_cells(table, add)


def _map_cells(table: Table, change: Callable[[Row, str, Cell], Cell]) -> Table:
    rows = [replace(row, cells={key: change(row, key, cell) for key, cell in row.cells.items()}) for row in table.rows]
    return replace(table, rows=rows)
