"""The tables of a study, from the tidy summary: scores of suites, lm-eval, attacked models; and what others are made of."""

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import groupby
from operator import attrgetter
from typing import Any

import pandas as pd

from palimpsest.evaluation.judging.scores import METRICS as JUDGED
from palimpsest.evaluation.metric import Best, Metric, best_of
from palimpsest.methods import list_methods
from palimpsest.names import DEFAULT, ORIGINAL, RETRAIN, SELECTED
from palimpsest.report.evidence import Evidence
from palimpsest.report.imported import Imported
from palimpsest.report.names import model_label, model_order
from palimpsest.report.pages import declared_metrics
from palimpsest.report.remarks import Told, remarks_on
from palimpsest.report.rows import finished, main_models, of_block
from palimpsest.report.study import Block
from palimpsest.report.words import SCORES, format_score, spread_of
from palimpsest.scores.remarks import is_error

# So many columns of a table stand on the first screen.
FRONT_COLUMNS = 4


@dataclass(frozen=True)
class Column:
    """One column: the key of its values, its group and head on the page, what is best in it."""

    key: str
    group: str
    head: str
    best: Best = None


@dataclass(frozen=True)
class Cell:
    """One metric of one model: its value by seed, and the sd over attack draws behind each."""

    values: dict[int, float]
    draw_sds: tuple[float, ...] = ()
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
        # Draws that are all alike are one.
        draws = [sd for sd in self.draw_sds if spread_of(sd, self.mean)]
        if count == 1 and not draws:
            return None
        between = math.fsum((value - self.mean) ** 2 for value in self.values.values()) / max(count - 1, 1)
        return spread_of(math.sqrt(between + math.fsum(sd**2 for sd in draws) / count), self.mean)

    @property
    def ends(self) -> tuple[float, float]:
        """The least and the greatest value over seeds; of one seed its interval, where it has one."""
        return self.interval or (min(self.values.values()), max(self.values.values()))


@dataclass(frozen=True)
class Row:
    """All metrics of one model, attacked or not; one that is missing has no cell."""

    method: str
    variant: str
    cells: dict[str, Cell]
    attack: str = ""
    folders: Mapping[int, str] = field(default_factory=dict)
    """Where the artefact of each seed lies, below the results."""

    @property
    def label(self) -> str:
        """What the model is called."""
        return ", ".join(part for part in (model_label(self.method, self.variant), self.attack) if part)

    @property
    def seeds(self) -> int:
        """Over how many seeds the means go."""
        return len({seed for cell in self.cells.values() for seed in cell.values})


@dataclass(frozen=True)
class Table:
    """One table of one block and suite, and of one attack if it is about one; the rows of a method stand together."""

    block: Block
    suite: str
    columns: list[Column]
    rows: list[Row]
    attack: str = ""
    published: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    """Published values: method to metric to value."""
    imported: list[Imported] = field(default_factory=list)
    """Models that others made: shown below the rows, and in nothing that is said of these."""
    remarks: list[Told] = field(default_factory=list)
    """What must be told beside the numbers; a gap is a row of its own."""

    @property
    def notes(self) -> list[Told]:
        """The remarks on the rows."""
        models = {(row.method, row.variant) for row in self.rows}
        return [told for told in self.remarks if not told.is_gap and (told.method, told.variant) in models]

    def is_noted(self, row: Row) -> bool:
        """Return whether there is a remark on a row."""
        return any((told.method, told.variant) == (row.method, row.variant) for told in self.notes)

    @property
    def title(self) -> str:
        """What it is about."""
        return self.block.title(self.suite) + (f": {self.attack}" if self.attack else "")

    @property
    def standing(self) -> dict[str, Row]:
        """The row that stands for each method: its selected variant, or else its default, or else its first."""
        return {method: next(rows) for method, rows in groupby(self.rows, key=attrgetter("method"))}

    @property
    def models(self) -> list[tuple[str, str]]:
        """The models that stand for their methods."""
        return [(row.method, row.variant) for row in self.standing.values()]

    def stands(self, row: Row) -> bool:
        """Return whether a row stands for its method."""
        return self.standing[row.method] is row

    def value(self, method: str, key: str) -> float | None:
        """Return the mean that stands for a method in a column, if it is there."""
        row = self.standing.get(method)
        return row.cells[key].mean if row and key in row.cells else None

    def levels(self, key: str) -> dict[str, float]:
        """Return the means of Retrain and Original in a column, as far as they are there."""
        return {role: level for role in (RETRAIN, ORIGINAL) if (level := self.value(role, key)) is not None}

    def by_seed(self, method: str, key: str) -> pd.Series:
        """Return the values of a method in a column, indexed by seed; empty if it has none."""
        row = self.standing.get(method)
        return pd.Series(row.cells[key].values if row and key in row.cells else {}, dtype=float)

    @property
    def rivals(self) -> list[Row]:
        """The rows that stand for the methods, without Original, Retrain and given checkpoints."""
        return [row for method, row in self.standing.items() if method in list_methods()]

    def best(self, column: Column) -> list[Row]:
        """Return the best unlearned models in a column; none where fewer than two compete or all are best."""
        rows = [row for row in self.rows if row.method in list_methods() and column.key in row.cells]
        means = {place: row.cells[column.key].mean for place, row in enumerate(rows)}
        retrain, printed = self.value(RETRAIN, column.key), partial(format_score, column.key)
        return [rows[place] for place in sorted(best_of(means, column.best, retrain, printed))]

    def published_of(self, row: Row, key: str) -> float | None:
        """Return the published value to print beside the variant that stands for a method, or its only one."""
        variants = Counter(each.method for each in self.rows)
        is_meant = variants[row.method] == 1 or (self.stands(row) and row.variant in (SELECTED, DEFAULT))
        return self.published.get(row.method, {}).get(key) if is_meant and key in row.cells else None

    @property
    def has_published(self) -> bool:
        """Whether a published value stands beside one of its own."""
        return any(self.published_of(row, column.key) is not None for row in self.rows for column in self.columns)

    @property
    def caption(self) -> str:
        """What stands above it: what it is about, and over how many seeds."""
        seeds = len(self.block.seeds)
        return f"{self.title}, mean ± sd over {seeds} seeds" if seeds > 1 else f"{self.title}, one seed"

    @property
    def how_to_read(self) -> str:
        """What the small print of its cells is; "" where there is none."""
        has_interval = any(cell.sd is None and cell.interval for row in self.rows for cell in row.cells.values())
        texts = ["Below a number of one seed: its 95 % interval over the items."] if has_interval else []
        texts += ["“publ.”: the value published for this benchmark, split and model."] if self.has_published else []
        return " ".join(texts)


def shortened(table: Table) -> Table:
    """Return a table for a first look: the models that represent their methods, and the columns that say most."""
    ranked = sorted(table.columns, key=lambda column: (column.key not in SCORES, column.best is None))
    shown = {column.key for column in ranked[:FRONT_COLUMNS]}
    return replace(table, columns=[column for column in table.columns if column.key in shown], rows=[*table.standing.values()])


def columns_of(metrics: Iterable[Metric]) -> list[Column]:
    """Return the columns that metrics declare."""
    return [Column(metric.name, metric.group, metric.label, metric.best) for metric in metrics if metric.label]


def main_tables(evidence: Evidence) -> list[Table]:
    """Return the tables of all suites whose benchmark has no page of its own."""
    return score_tables(evidence, columns_of(declared_metrics(evidence.study.kinds, paged=False)))


def score_tables(evidence: Evidence, columns: Sequence[Column], blocks: Iterable[Block] | None = None) -> list[Table]:
    """Return a table per block and suite that gives the metrics of these columns, with published values and remarks.

    Imported models stand below the rows of their block and suite.
    """
    complete = partial(_with_judged, columns)
    return [
        replace(
            table,
            published=evidence.published_for(block),
            imported=[one for one in evidence.imported if one.place == (*block.key, table.suite)],
            remarks=[told for told in remarks_on(evidence.remarks, block) if told.of in ("evaluation", "judge")],
        )
        for block in (evidence.study.blocks if blocks is None else blocks)
        for table in that_compare(_by_suite(block, main_models(finished(evidence.results), block), complete))
    ]


def _with_judged(columns: Sequence[Column], suite: str, rows: pd.DataFrame) -> list[Column]:
    """Return the columns for a suite, then the columns of a judge of its answers; none if only the judge has some."""
    has_own = rows["metric"].isin([column.key for column in columns]).any()
    return [*columns, *columns_of(JUDGED)] if has_own else []


def that_compare(tables: Iterable[Table]) -> list[Table]:
    """Return one block's tables that have columns. The table with the most methods comes first.

    A table without a method served a selection and is left out, unless no table has a method.
    """
    found = sorted((table for table in tables if table.columns), key=lambda table: -len(table.rivals))
    return [table for table in found if table.rivals] or found


def _by_suite(block: Block, rows: pd.DataFrame, columns: Callable[[str, pd.DataFrame], Sequence[Column]]) -> list[Table]:
    """Return a table per suite that has columns; `columns` takes its name and its rows."""
    suites = [(str(suite), of) for suite, of in rows.groupby("suite", sort=True)]
    tables = [make_table(block, suite, of, columns(suite, of)) for suite, of in suites]
    return [table for table in tables if table.columns]


def lm_eval_tables(evidence: Evidence) -> list[Table]:
    """Return one table per block and lm-eval suite, one column a score; the rest stays in the summary."""
    rows, columns = finished(evidence.results), partial(_lm_eval_columns, evidence)
    return [table for block in evidence.study.blocks for table in _by_suite(block, of_block(rows, block), columns)]


def _lm_eval_columns(evidence: Evidence, suite: str, rows: pd.DataFrame) -> list[Column]:
    """Return a column per score of lm-eval.

    A part of a task that has a score of its own (mmlu_anatomy of mmlu) has no column, unless the suite names it.
    """
    metrics = sorted(name for name in rows["metric"].unique() if "/" in name and not is_error(name))
    columns = [Column(name, *name.rsplit("/", 1)) for name in metrics]
    asked = evidence.study.suites.get(suite, {}).get("tasks", [])
    named = {task if isinstance(task, str) else task.get("group", task["task"]) for task in asked}
    whole = tuple(f"{task}_" for task in named & {column.group for column in columns})
    return [column for column in columns if column.group in named or not column.group.startswith(whole)]


def attacked_tables(evidence: Evidence) -> list[Table]:
    """Return a table per block and suite of the models that attacks gave, each below the model before it."""
    declared = [replace(column, best=None) for column in columns_of(declared_metrics(evidence.study.kinds))]
    judged = [replace(column, best=None) for column in columns_of(JUDGED)]
    done, key = evidence.results[evidence.results["epoch"].isna()], ["method", "variant", "suite"]
    tables = []
    for block in evidence.study.blocks:
        rows = of_block(done, block)
        hit = pd.MultiIndex.from_frame(rows.loc[rows["attack"] != "", key])
        under = rows[pd.MultiIndex.from_frame(rows[key]).isin(hit)]
        tables += _by_suite(block, under, lambda suite, of: [*declared, *judged, *_lm_eval_columns(evidence, suite, of)])
    return tables


def points_of(table: Table, key: str, rows: Iterable[Row] | None = None) -> pd.DataFrame:
    """Return a column by seed of these rows, or of those that represent their methods.

    The columns are `method`, `variant`, `main` (whether it represents its method), `seed`, `x`, `low`, `high` and `folder`.
    """
    found = [
        {"method": row.method, "variant": row.variant, "main": table.stands(row), "seed": seed, "x": value}
        | {"folder": row.folders.get(seed, "")}
        | dict(zip(("low", "high"), cell.ends, strict=True))
        for row in (table.standing.values() if rows is None else rows)
        if (cell := row.cells.get(key))
        for seed, value in cell.values.items()
    ]
    return pd.DataFrame(found, columns=["method", "variant", "main", "seed", "x", "low", "high", "folder"])


def numbers_of(table: Table) -> pd.DataFrame:
    """Return a row per model and column: mean, sd over seeds, interval over the items of one seed, published value."""
    return pd.DataFrame(
        table.block.identity
        | {"suite": table.suite, "method": row.method, "variant": row.variant, "metric": column.key, "seeds": len(cell.values)}
        | dict(zip(("mean", "sd", "low", "high"), (cell.mean, cell.sd, *(cell.interval or (None, None))), strict=True))
        | {"published": table.published_of(row, column.key)}
        for row in table.rows
        for column in table.columns
        if (cell := row.cells.get(column.key))
    )


def wide_numbers(tables: Sequence[Table]) -> pd.DataFrame:
    """Return tables below each other with the union of their columns, each as mean, sd and, where there is any, published."""
    keys = list(dict.fromkeys(column.key for table in tables for column in table.columns))
    place = ["benchmark", "split", "model", "suite", "attack", "method", "variant", "seeds"]
    # Only where something is imported there is anything to tell apart.
    place += ["origin"] if any(table.imported for table in tables) else []
    rows: list[dict[str, Any]] = []
    published: set[str] = set()
    for table in tables:
        of_table = table.block.identity | {"suite": table.suite}
        for row in table.rows:
            model = {"method": row.method, "variant": row.variant, "attack": row.attack, "seeds": row.seeds, "origin": "here"}
            rows.append(of_table | model)
            for key, cell in row.cells.items():
                rows[-1] |= {key: cell.mean, f"{key}_sd": cell.sd}
                if (value := table.published_of(row, key)) is not None:
                    rows[-1][f"{key}_published"] = value
                    published.add(key)
        rows += [of_table | {"method": one.name, "origin": "imported"} | dict(one.values) for one in table.imported]
    heads = [name for key in keys for name in (key, f"{key}_sd", *([f"{key}_published"] if key in published else []))]
    return pd.DataFrame(rows, columns=[*place, *heads], dtype=object)


def make_table(block: Block, suite: str, frame: pd.DataFrame, columns: Iterable[Column], attack: str = "") -> Table:
    """Collect the metrics of every model from tidy rows; a table of one attack does not name it in its rows.

    `x_sd` or `x_sd_epoch_1` is the spread over the draws behind `x`, `x_low` and `x_high` its interval over items.
    """
    rows = []
    for (method, variant, of_attack), of_model in frame.groupby(["method", "variant", "attack"], sort=False):
        values = {
            str(metric): {int(seed): float(value) for seed, value in sorted(zip(of["seed"], of["value"], strict=True))}
            for metric, of in of_model.groupby("metric", sort=False)
        }
        cells = {
            key: Cell(by_seed, tuple(values.get(_draws_key(key), {}).values()), _interval(values, key))
            for key, by_seed in values.items()
        }
        folders = dict(zip(of_model["seed"], of_model["folder"], strict=True))
        rows.append(Row(str(method), str(variant), cells, "" if attack else str(of_attack), folders))
    rows.sort(key=lambda row: (model_order(row.method, row.variant), row.attack))
    return Table(block, suite, [column for column in columns if any(column.key in row.cells for row in rows)], rows, attack)


def _interval(values: Mapping[str, Mapping[int, float]], key: str) -> tuple[float, float] | None:
    ends = [[*values.get(f"{key}_{end}", {}).values()] for end in ("low", "high")]
    return (ends[0][0], ends[1][0]) if len(values[key]) == len(ends[0]) == len(ends[1]) == 1 else None


def _draws_key(key: str) -> str:
    metric, separator, epoch = key.partition("_epoch_")
    return f"{metric}_sd{separator}{epoch}"
