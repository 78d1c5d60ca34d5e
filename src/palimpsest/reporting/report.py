"""The report page: one function and one template a section, and the tables and figures that it is made of."""

import base64
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd
from jinja2 import Environment, PackageLoader, StrictUndefined

from palimpsest.reporting import templates
from palimpsest.reporting.figures import draw_figures
from palimpsest.reporting.findings import findings, models_compared
from palimpsest.reporting.names import model_label, model_order
from palimpsest.reporting.study import Block, ReportSpec, Study
from palimpsest.reporting.style import colour_of
from palimpsest.reporting.tables import (
    Table,
    clean_summary,
    format_quality,
    lm_eval_tables,
    of_block,
    relearning_tables,
    table1,
    write_csv,
)

FIGURES, TABLES, PAGE = "figures", "tables", "report.html"
Context = dict[str, Any] | None


@dataclass(frozen=True)
class Report:
    """All that the sections are made of: the spec, the summary artefact, and where tables and figures are written."""

    spec: ReportSpec
    summary: Path
    out: Path

    @property
    def study(self) -> Study:
        """The study as it was run."""
        return self.spec.study

    @cached_property
    def results(self) -> pd.DataFrame:
        """The tidy summary."""
        return clean_summary(pd.read_parquet(self.summary / "summary.parquet"))

    @cached_property
    def table1(self) -> list[Table]:
        """The main tables."""
        return table1(self.results, self.study.blocks, self.spec.published)

    @cached_property
    def relearning(self) -> list[Table]:
        """The tables of attacks."""
        return relearning_tables(self.results, self.study.blocks)

    @cached_property
    def lm_eval(self) -> list[Table]:
        """The tables of lm-eval suites."""
        return lm_eval_tables(self.results, self.study.blocks)

    def table_link(self, name: str) -> str:
        """Return a table's CSV as a data URI."""
        return _data_uri(self.out / TABLES / f"{name}.csv", "text/csv")

    def figure(self, name: str) -> str:
        """Return a figure as a data URI."""
        return _data_uri(self.out / FIGURES / f"{name}.svg", "image/svg+xml")


@dataclass(frozen=True)
class Section:
    """A part of the page: its template is `section_{id}.html`; `build` gives what the template needs, or None to leave it out."""

    id: str
    title: str
    build: Callable[[Report], Context]


def write_report(spec: ReportSpec, summary: Path, out: Path) -> None:
    """Write tables, figures and the page; all bytes repeat."""
    report = Report(spec, summary, out)
    for folder in (TABLES, FIGURES):
        (out / folder).mkdir()
    write_csv(out / TABLES / "table1.csv", report.table1)
    write_csv(out / TABLES / "relearning.csv", report.relearning)
    write_csv(out / TABLES / "lm_eval.csv", report.lm_eval)
    draw_figures(out / FIGURES, report.table1, report.relearning, pd.read_parquet(summary / "truth_ratios.parquet"))
    (out / PAGE).write_text(render_page(report), encoding="utf-8")


def render_page(report: Report) -> str:
    """Return the page; whatever a model or a config says in it is escaped."""
    environment = Environment(
        loader=PackageLoader(templates.__name__, ""),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals.update(colour=colour_of, flatten=flatten, groups=groups)
    sections = []
    for section in SECTIONS:
        context = section.build(report)
        if context is not None:
            body = environment.get_template(f"section_{section.id}.html").render(context)
            sections.append({"id": section.id, "title": section.title, "body": body})
    return environment.get_template("page.html").render(study=report.study, sections=sections)


def _summary(report: Report) -> Context:
    stories = [
        {"title": table.title, "opening": models_compared(table), "sentences": findings(table, report.relearning)}
        for table in report.table1
    ]
    return {"stories": stories}


def _study(report: Report) -> Context:
    return {"study": report.study, "settings": [_method_settings(block) for block in report.study.blocks]}


def _results(report: Report) -> Context:
    if not report.table1:
        return None
    return {
        "tables": report.table1,
        "csv": report.table_link("table1"),
        "figure": report.figure("forget_quality_model_utility"),
        "has_published": any(c.published is not None for t in report.table1 for row in t.rows for c in row.cells.values()),
        "floors": {
            table.title: format_quality(floor)
            for table in report.table1
            if (floor := table.value("retrain", "forget_quality_floor")) is not None
        },
    }


def _truth_ratio(report: Report) -> Context:
    return {"figure": report.figure("truth_ratio")} if report.table1 else None


def _relearning(report: Report) -> Context:
    if not report.relearning:
        return None
    return {"tables": report.relearning, "csv": report.table_link("relearning"), "figure": report.figure("relearning")}


def _lm_eval(report: Report) -> Context:
    return {"tables": report.lm_eval, "csv": report.table_link("lm_eval")} if report.lm_eval else None


def _examples(report: Report) -> Context:
    """Take one seed and one variant a method: enough to see what the models say."""
    frame = pd.read_parquet(report.summary / "examples.parquet").fillna({"variant": ""})
    blocks = []
    for block in report.study.blocks:
        rows = of_block(frame, block)
        if rows.empty:
            continue
        seed = int(rows["seed"].min())
        rows = rows[rows["seed"] == seed]
        models = sorted(set(zip(rows["method"], rows["variant"], strict=True)), key=lambda model: model_order(*model))
        shown = dict(reversed(models))
        rows = rows[[shown[method] == variant for method, variant in zip(rows["method"], rows["variant"], strict=True)]]
        questions = []
        for (name, _), of_question in rows.groupby(["set", "id"], sort=True):
            answers = sorted(of_question.to_dict("records"), key=lambda row: model_order(row["method"], row["variant"]))
            models_said = [(row["method"], model_label(row["method"], row["variant"]), row["generation"]) for row in answers]
            questions.append({"set": name, **answers[0], "answers": models_said})
        blocks.append({"title": " / ".join(block.key), "seed": seed, "questions": questions})
    return {"blocks": blocks} if blocks else None


def _artefacts(report: Report) -> Context:
    frame = pd.read_csv(report.summary / "artefacts.csv", keep_default_na=False, dtype=str)
    records = frame.to_dict("records")
    for record in records:
        record["label"] = model_label(str(record["method"]), str(record["variant"]))
    return {"artefacts": records} if records else None


def _glossary(report: Report) -> Context:
    return {}


SECTIONS = (
    Section("summary", "What came out", _summary),
    Section("study", "What was run", _study),
    Section("results", "Forgetting and utility", _results),
    Section("truth_ratio", "Truth ratios", _truth_ratio),
    Section("relearning", "Relearning", _relearning),
    Section("lm_eval", "Other tasks", _lm_eval),
    Section("examples", "What the models say", _examples),
    Section("artefacts", "Where the numbers lie", _artefacts),
    Section("glossary", "How to read the metrics", _glossary),
)


def flatten(settings: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """Return settings as text by name; `training` and `loss` give no prefix, and a task counts by its name."""
    flat: dict[str, str] = {}
    for key, value in settings.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping):
            flat |= flatten(value, "" if name in ("training", "loss") else f"{name}.")
        else:
            flat[name] = _text(value)
    return flat


def _text(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(str(item.get("task", item)) if isinstance(item, Mapping) else str(item) for item in value)
    return f"{value:g}" if isinstance(value, float) else "none" if value is None else str(value)


def groups(names: Iterable[str]) -> Iterator[tuple[str, int]]:
    """Yield each run of equal names with its length, for headers that span columns."""
    runs: list[tuple[str, int]] = []
    for name in names:
        if runs and runs[-1][0] == name:
            runs[-1] = (name, runs[-1][1] + 1)
        else:
            runs.append((name, 1))
    return iter(runs)


def _method_settings(block: Block) -> dict[str, Any]:
    """Return what all unlearned models of a block share, and a row a model of what they do not."""
    models = sorted(((m, v) for m, variants in block.methods.items() for v in variants), key=lambda model: model_order(*model))
    flat = {model: flatten(block.methods[model[0]][model[1]]) for model in models}
    keys = list(dict.fromkeys(key for settings in flat.values() for key in settings))
    common = {key: flat[models[0]][key] for key in keys if len({settings.get(key) for settings in flat.values()}) == 1}
    rows = [
        {"method": method, "label": model_label(method, variant), "settings": flat[method, variant]} for method, variant in models
    ]
    return {"block": block, "common": common, "columns": [key for key in keys if key not in common], "rows": rows}


def _data_uri(path: Path, kind: str) -> str:
    return f"data:{kind};base64,{base64.b64encode(path.read_bytes()).decode()}"
