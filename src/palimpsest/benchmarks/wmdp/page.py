"""Hazardous knowledge: how far it is forgotten by multiple-choice questions, and what else goes with it."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace

import pandas as pd

from palimpsest.report.claims import Claim, Pair, each
from palimpsest.report.evidence import Evidence
from palimpsest.report.facts import grouped, hardly_forgotten, selections_made, shares_left
from palimpsest.report.figures import GUESSING, Axis, Grid, Panel
from palimpsest.report.names import NPO, RMU, SIMNPO
from palimpsest.report.question import Answer, Question
from palimpsest.report.rows import finished, main_models
from palimpsest.report.study import Block
from palimpsest.report.tables import Column, Table, make_table, numbers_of, points_of, that_compare
from palimpsest.report.words import MINUS, under_titles, variants_shown

FORGOTTEN, KEPT = "one_minus_accuracy", "accuracy"
WRONG = f"1\N{NO-BREAK SPACE}{MINUS}\N{NO-BREAK SPACE}accuracy"
# One that knows nothing picks one of four answers, and is wrong in three of four; so near to that, nothing is left.
CHANCE, NEAR = 0.75, 0.02
# Standard errors on each side of a 95 % interval.
ERRORS = 1.96


def _tasks(evidence: Evidence, block: Block) -> tuple[str, str]:
    """Return the tasks that ask what is to be forgotten and what is to stay."""
    data = evidence.study.data[block.benchmark]
    return str(data["forget_task"]), str(data["utility_task"])


def _tables(evidence: Evidence) -> Iterator[Table]:
    """Yield a table per suite that asks both, or else one of all suites of a block."""
    for block in evidence.study.blocks:
        if "forget_task" not in evidence.study.data.get(block.benchmark, {}):
            continue
        asked = {f"{task}/acc" for task in _tasks(evidence, block)}
        rows = main_models(finished(evidence.results), block)
        both = {str(suite): of for suite, of in rows.groupby("suite", sort=True) if asked <= {*of["metric"]}}
        tables = that_compare(_table(evidence, block, suite, of) for suite, of in (both or {"": rows}).items())
        yield from (table for table in tables if len(table.columns) > 1)


def _table(evidence: Evidence, block: Block, suite: str, rows: pd.DataFrame) -> Table:
    forget, utility = _tasks(evidence, block)
    columns = (
        Column(FORGOTTEN, forget, f"{WRONG}\N{NO-BREAK SPACE}↑"),
        Column(KEPT, utility, "accuracy\N{NO-BREAK SPACE}↑", "highest"),
    )
    published = {name: _published(of, forget, utility) for name, of in evidence.published_for(block).items()}
    return replace(make_table(block, suite, _scored(rows, forget, utility), columns), published=published)


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


def _show(evidence: Evidence, tables: list[Table]) -> Answer:
    return Answer(
        figure=Grid([(table.title, [_panel(table)]) for table in tables], wide=2, height=3.4),
        alt=f"1 {MINUS} accuracy on what is to be forgotten against accuracy on what is to stay, a mark a method, beside chance.",
        caption="Forgotten, upwards, against kept, rightwards; up and to the right is better, as far as chance: of four answers "
        "one is right. Marks are means over seeds and bars their range; of one seed bars are 95 % intervals over the questions."
        + variants_shown((row.method, row.variant) for table in tables for row in table.rivals),
        numbers=numbers_of(tables),
        tables=tables,
        facts=under_titles([(table.title, text) for table in tables for text in _facts(table)]),
        note=f"Bold: the best mean among the unlearned models. Of {WRONG} none is marked: more is better up to chance, "
        f"{CHANCE:g}, and no gain beyond. {tables[0].how_to_read}",
    )


def _panel(table: Table) -> Panel:
    kept, forgotten = points_of(table, KEPT), points_of(table, FORGOTTEN)
    key = ["method", "variant", "seed"]
    bounds = kept.rename(columns={"low": "x_low", "high": "x_high"})
    data = bounds.merge(forgotten.rename(columns={"x": "y"}), on=key)
    x, y = Axis(f"Accuracy, {_task(table, KEPT)}"), Axis(f"{WRONG}, {_task(table, FORGOTTEN)}")
    return Panel("scatter", data, x=x, y=y, levels={GUESSING: CHANCE})


def _facts(table: Table) -> Iterator[str]:
    forget, enough = _task(table, FORGOTTEN), CHANCE - NEAR
    up_to = f"{forget} is forgotten up to chance ({WRONG} of {CHANCE:g}, or within {NEAR:g} of it)"
    groups: dict[str, Callable[[float, float], bool]] = {
        up_to: lambda low, high: low >= enough,
        f"{forget} is not forgotten up to chance": lambda low, high: high < enough,
    }
    yield from grouped(table, FORGOTTEN, groups, f"Undecided whether {forget} is forgotten up to chance")
    yield from shares_left(table, KEPT, f"accuracy on {_task(table, KEPT)}")
    yield from selections_made(table.block)


def _keeps(table: Table) -> Pair:
    return Pair(
        table.title,
        table.by_seed(SIMNPO, KEPT),
        table.by_seed(NPO, KEPT),
        but=hardly_forgotten(table, FORGOTTEN, CHANCE, "chance"),
    )


def _forgets(table: Table) -> Pair:
    return Pair(table.title, table.by_seed(SIMNPO, FORGOTTEN), table.by_seed(RMU, FORGOTTEN))


MORE_UTILITY, MORE_FORGOTTEN = "SimNPO keeps more utility (MMLU) than NPO", "SimNPO forgets more hazardous knowledge than RMU"
QUESTIONS = (
    Question(
        "wmdp",
        "Is hazardous knowledge gone, and what went with it?",
        "Table A4",
        _tables,
        _show,
        (
            Claim(MORE_UTILITY, "Table A4", KEPT, printed=(0.48, 0.44), measure=each(_keeps)),
            Claim(MORE_FORGOTTEN, "Table A4", FORGOTTEN, printed=(0.74, 0.68), measure=each(_forgets)),
        ),
        "WMDP",
    ),
)
