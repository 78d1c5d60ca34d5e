"""A table of several TOFU evaluation logs, as text, JSON, Markdown or LaTeX: the best of each column marked, Retrain once."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from palimpsest.benchmarks.tofu.score import score_log
from palimpsest.benchmarks.tofu.scores import METRICS
from palimpsest.errors import UserError
from palimpsest.evaluation.metric import Metric, best_of
from palimpsest.markup import escape_latex, markdown_table

Result = dict[str, Any]
RETRAIN, UNDEFINED = "Retrain", "-"


@dataclass(frozen=True)
class Comparison:
    """The scores of each log by its name, and those of Retrain, which is compared with itself."""

    models: dict[str, Result]
    retrain: Result | None

    @property
    def rows(self) -> dict[str, dict[str, float | None]]:
        """The scores of each model by metric, Retrain's last."""
        last = {RETRAIN: self.retrain} if self.retrain else {}
        return {name: _flat(result) for name, result in (self.models | last).items()}

    @property
    def columns(self) -> list[Metric]:
        """The metrics with a column that at least one log has."""
        rows = self.rows.values()
        return [metric for metric in METRICS if metric.label and any(row.get(metric.name) is not None for row in rows)]

    def best(self, metric: Metric) -> set[str]:
        """Return the best models by the metric's rule; empty if fewer than two compete or all are best."""
        rows = self.rows
        retrain = rows.pop(RETRAIN, {}).get(metric.name)
        values = {name: value for name, row in rows.items() if (value := row.get(metric.name)) is not None}
        return best_of(values, metric.best, retrain, _written)

    @property
    def notes(self) -> list[str]:
        """What a reader of the numbers must know: reasons of undefined scores, and facts about the logs."""
        shown = {metric.name for metric in self.columns}
        reasons = [
            f"{name}: {metric}: {why}"
            for name, result in self.models.items()
            for metric, why in result["undefined"].items()
            if metric in shown
        ]
        return [*reasons, *(f"{name}: {note}" for name, result in self.models.items() for note in result["notes"])]


def compare(logs: Mapping[str, Path], retrain: Path | None, *, allow_mismatch: bool = False) -> Comparison:
    """Return the scores of several logs against one Retrain; raises UserError as for one log."""
    if RETRAIN in logs and retrain:
        raise UserError(f"--log: {RETRAIN}: --retrain has this name; choose another")
    models = {name: score_log(path, retrain, allow_mismatch=allow_mismatch) for name, path in logs.items()}
    return Comparison(models, {**score_log(retrain, None), "forget_quality": 1.0, "ks_statistic": 0.0} if retrain else None)


def _flat(result: Result) -> dict[str, float | None]:
    scores = {name: result[name] for name in ("forget_quality", "model_utility", "ks_statistic")}
    return {**scores, **result["parts"], **{f"forget_{name}": value for name, value in result["forget"].items()}}


def as_json(compared: Comparison) -> str:
    """Return one JSON object with the scores of each log by name, as for one log."""
    return json.dumps({"logs": compared.models, "retrain": compared.retrain}, indent=1, allow_nan=False)


def as_text(compared: Comparison) -> str:
    """Return a table for a terminal with a column per log, in which * marks the best."""
    turned = zip(["", *map(_head, compared.columns)], *_cells(compared, "{}*", UNDEFINED), strict=True)
    table = [[cell if cell.endswith("*") else f"{cell} " for cell in row] for row in turned]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    lines = ["  ".join([f"{head:{widths[0]}}", *map(str.rjust, cells, widths[1:])]).rstrip() for head, *cells in table]
    return "\n".join([*lines, *(f"note: {note}" for note in compared.notes)])


def as_markdown(compared: Comparison) -> str:
    """Return a Markdown table, in which the best are bold."""
    head = ["Model", *map(_head, compared.columns)]
    table = markdown_table(head, _cells(compared, "**{}**", UNDEFINED), numbers=True)
    return "\n".join([table, *(["", *(f"- {note}" for note in compared.notes)] if compared.notes else [])])


def as_latex(compared: Comparison) -> str:
    """Return a LaTeX table for the package booktabs, in which the best are bold; notes are comments above it."""
    head = ["Model", *map(_head, compared.columns)]
    rows = [[escape_latex(name), *cells] for name, *cells in _cells(compared, r"\textbf{{{}}}", "--")]
    head_line, *lines = [" & ".join(row) + r" \\" for row in [list(map(escape_latex, head)), *rows]]
    if compared.retrain:
        lines.insert(-1, r"\midrule")
    begin = rf"\begin{{tabular}}{{l{'r' * len(compared.columns)}}}"
    notes = [f"% {note}" for note in compared.notes]
    return "\n".join([*notes, begin, r"\toprule", head_line, r"\midrule", *lines, r"\bottomrule", r"\end{tabular}"])


WRITERS = {"text": as_text, "json": as_json, "markdown": as_markdown, "latex": as_latex}


def _head(metric: Metric) -> str:
    """Return the head of a column: the metric's label, after the set that the group names."""
    group = metric.group.partition(" set")[0].removesuffix(" ↑")
    return " ".join(f"{group} {metric.label}".split())


def _cells(compared: Comparison, mark: str, undefined: str) -> Iterator[list[str]]:
    """Yield the name and the written scores of each model; `mark` is how the best are written."""
    best = {metric.name: compared.best(metric) for metric in compared.columns}
    for name, row in compared.rows.items():
        cells = []
        for metric, winners in best.items():
            value = row.get(metric)
            text = undefined if value is None else _written(value)
            cells.append(mark.format(text) if name in winners else text)
        yield [name, *cells]


def _written(value: float) -> str:
    return f"{value:.3f}" if value >= 0.001 or value == 0 else f"{value:.1e}"
