"""The report page: one function and one template a section, and the tables and figures that it is made of."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property, partial
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any

import matplotlib.style
import pandas as pd

from palimpsest.report.claims import RULE, Verdict
from palimpsest.report.evidence import Evidence
from palimpsest.report.examples import example_blocks
from palimpsest.report.facts import facts, floors, selections_made
from palimpsest.report.figures import draw
from palimpsest.report.names import model_label, model_order
from palimpsest.report.overview import quality_against_utility, truth_ratio_distributions
from palimpsest.report.page import data_uri, flatten, page_environment
from palimpsest.report.question import Answer, Question
from palimpsest.report.questions import all_questions
from palimpsest.report.remarks import Told, remarks_on
from palimpsest.report.study import Block, ReportSpec, Study, Values
from palimpsest.report.style import STYLE, save
from palimpsest.report.tables import Table, attacked_tables, lm_eval_tables, main_tables, wide_numbers
from palimpsest.report.words import joined, under_titles
from palimpsest.scores.remarks import DIVERGED

FIGURES, TABLES, PAGE = "figures", "tables", "report.html"
RESULTS, ASKED, METHODS = "Results", "Questions of the paper", "Data and methods"
CLAIMS = ("benchmark", "claim", "source", "paper", "ours", "seeds", "verdict", "why", "question")
LM_EVAL = "Scores of lm-eval. No best is marked: of harmful knowledge, less is better."
ATTACKED = (
    "Each model that an attack gave, below the model before it. Retrain is the control: it never knew the forget set, so what an "
    "attack changes in it is no recovery."
)
Context = dict[str, Any] | None


@dataclass(frozen=True)
class Report:
    """All that the sections are made of: the spec, what the summary holds, and where tables and figures are written."""

    spec: ReportSpec
    evidence: Evidence
    out: Path

    @property
    def study(self) -> Study:
        """The study as it was run."""
        return self.spec.study

    @cached_property
    def tables(self) -> dict[str, list[Table]]:
        """The tables of scores, by the names of their CSV files."""
        return {
            "table1": main_tables(self.evidence),
            "lm_eval": lm_eval_tables(self.evidence),
            "attacked": attacked_tables(self.evidence),
        }

    @cached_property
    def remarks(self) -> list[tuple[Block, list[Told]]]:
        """The blocks on whose models there are remarks."""
        return [(block, told) for block in self.study.blocks if (told := remarks_on(self.evidence.remarks, block))]

    @cached_property
    def answers(self) -> list[tuple[Question, Answer]]:
        """The questions that the study has the data for."""
        found = [(question, question.answer(self.evidence)) for question in all_questions()]
        return [(question, answer) for question, answer in found if answer is not None]

    @property
    def verdicts(self) -> list[Verdict]:
        """The verdict on every claim that the study tests."""
        return [found for _, answer in self.answers for found in answer.verdicts]

    @property
    def untested(self) -> list[dict[str, str]]:
        """The claims that the study has no numbers for."""
        tested = {found.claim.text for found in self.verdicts}
        claims = [claim for question in all_questions() for claim in question.claims if claim.text not in tested]
        return [{"text": claim.text, "source": claim.source} for claim in claims]

    def table_link(self, name: str) -> str:
        """Return a table's CSV as a data URI."""
        return data_uri((self.out / TABLES / f"{name}.csv").read_bytes(), "text/csv")

    def figure(self, name: str) -> str:
        """Return a figure as a data URI."""
        return data_uri((self.out / FIGURES / f"{name}.svg").read_bytes(), "image/svg+xml")


@dataclass(frozen=True)
class Section:
    """A part of the page: `build` gives what its template needs, or None to leave it out; `short` names it in the navigation."""

    id: str
    group: str
    title: str
    build: Callable[[Report], Context]
    template: str = ""
    short: str = ""


def write_report(spec: ReportSpec, summary: Path, out: Path) -> None:
    """Write tables, figures and the page; all bytes repeat."""
    report = Report(spec, Evidence(spec.study, summary, spec.published), out)
    for folder in (TABLES, FIGURES):
        (out / folder).mkdir()
    main = report.tables["table1"]
    frames = {name: wide_numbers(tables) for name, tables in report.tables.items()}
    frames["claims"] = pd.DataFrame(map(_claim_row, report.verdicts), columns=list(CLAIMS))
    grids = {
        "forget_quality_model_utility": quality_against_utility(main),
        "truth_ratio": truth_ratio_distributions(main, report.evidence.truth_ratios),
    }
    for question, answer in report.answers:
        frames[question.id], grids[question.id] = answer.numbers, answer.figure
    for name, frame in frames.items():
        frame.to_csv(out / TABLES / f"{name}.csv", index=False, lineterminator="\n")
    with matplotlib.style.context(["default", STYLE]):
        for name, grid in grids.items():
            save(draw(grid), out / FIGURES / name)
    (out / PAGE).write_text(render_page(report), encoding="utf-8")


def _claim_row(found: Verdict) -> tuple[str | int, ...]:
    claim = found.claim
    return found.title, claim.text, claim.source, found.printed, found.ours, found.seeds, found.word, found.reason, found.question


def render_page(report: Report) -> str:
    """Return the page; whatever a model or a config says in it is escaped."""
    environment = page_environment()
    sections = []
    for section in sections_of(report):
        context = section.build(report)
        if context is not None:
            body = environment.get_template(section.template or f"section_{section.id}.html").render(context)
            shown = {"id": section.id, "group": section.group, "title": section.title, "short": section.short or section.title}
            sections.append({**shown, "body": body})
    contents = [(group, list(members)) for group, members in groupby(sections, key=itemgetter("group"))]
    return environment.get_template("page.html").render(study=report.study, sections=sections, contents=contents)


def sections_of(report: Report) -> Iterable[Section]:
    """Return the sections in the order of the page."""
    return (
        Section("summary", RESULTS, "The paper's claims", _summary, short="Claims"),
        Section("results", RESULTS, "Forgetting and utility", _results),
        Section("truth_ratio", RESULTS, "Truth ratios", _truth_ratio),
        Section("lm_eval", RESULTS, "Other tasks", partial(_tables, "lm_eval", LM_EVAL), "section_tables.html"),
        Section("attacked", RESULTS, "Attacked models", partial(_tables, "attacked", ATTACKED), "section_tables.html"),
        Section("examples", RESULTS, "What the models say", _examples),
        *(_section(question, answer) for question, answer in report.answers),
        Section("remarks", METHODS, "Gaps and remarks", _remarks),
        Section("study", METHODS, "What was run", _study),
        Section("artefacts", METHODS, "Provenance", _artefacts),
        Section("glossary", METHODS, "How to read the metrics", lambda report: {}, short="Glossary"),
    )


def _summary(report: Report) -> Context:
    gaps = [f"{block.title()}: {_gaps(told)}" for block, told in report.remarks if any(each.is_gap for each in told)]
    return {
        "gaps": gaps,
        "verdicts": report.verdicts,
        "titled": len({found.title for found in report.verdicts}) > 1,
        "untested": report.untested,
        "rule": RULE,
        "csv": report.table_link("claims"),
        "empty": not any(report.tables.values()) and not report.answers,
    }


def _gaps(told: Iterable[Told]) -> str:
    """Name the models of a block that diverged or are missing."""
    names: dict[str, list[str]] = {}
    for each in told:
        if each.is_gap and each.label not in names.setdefault(each.kind, []):
            names[each.kind].append(each.label)
    return ", ".join(f"{joined(labels)} {kind if kind == DIVERGED else 'could not be made'}" for kind, labels in names.items())


def _remarks(report: Report) -> Context:
    if not report.remarks:
        return None
    blocks = [{"title": block.title(), "remarks": told} for block, told in report.remarks]
    return {"blocks": blocks, "csv": data_uri((report.evidence.summary / "remarks.csv").read_bytes(), "text/csv")}


def _results(report: Report) -> Context:
    tables = report.tables["table1"]
    if not tables:
        return None
    return {
        "tables": tables,
        "facts": under_titles([(table.title, text) for table in tables for text in facts(table)]),
        "csv": report.table_link("table1"),
        "figure": report.figure("forget_quality_model_utility"),
        "has_published": any(table.has_published for table in tables),
        "selections": [
            sentence for block in {t.block.key: t.block for t in tables}.values() for sentence in selections_made(block)
        ],
        "floors": {table.title: floor for table in tables if (floor := floors(table))},
    }


def _truth_ratio(report: Report) -> Context:
    return {"figure": report.figure("truth_ratio")} if report.tables["table1"] else None


def _tables(name: str, note: str, report: Report) -> Context:
    tables = report.tables[name]
    return {"tables": tables, "note": note, "name": f"{name}.csv", "csv": report.table_link(name)} if tables else None


def _examples(report: Report) -> Context:
    frame = pd.read_parquet(report.evidence.summary / "examples.parquet").fillna({"variant": ""})
    blocks = example_blocks(frame, report.study.blocks)
    texts = any(report.study.shape(block) for block in report.study.blocks)
    return {"blocks": blocks, "texts": texts} if blocks else None


def _section(question: Question, answer: Answer) -> Section:
    build = partial(_question, question, answer)
    return Section(question.id, ASKED, question.title, build, "section_question.html", question.short or question.id.capitalize())


def _question(question: Question, answer: Answer, report: Report) -> Context:
    return {
        "answer": answer,
        "question": question,
        "verdicts": answer.verdicts,
        "titled": len({each.title for each in answer.verdicts}) > 1,
        "figure": report.figure(question.id),
        "csv": report.table_link(question.id),
        "table": answer.table.astype(str).to_dict("split"),
    }


def _study(report: Report) -> Context:
    blocks = [
        {"block": block, **_settings(block.methods), "trials": _settings(block.trials), "selections": selections_made(block)}
        for block in report.study.blocks
    ]
    return {"study": report.study, "settings": blocks}


def _artefacts(report: Report) -> Context:
    frame = pd.read_csv(report.evidence.summary / "artefacts.csv", keep_default_na=False, dtype=str)
    records = frame.to_dict("records")
    labels = {(*one.place[:3], one.name): f"{one.label} (imported)" for one in report.evidence.imported}
    for record in records:
        key = (record["benchmark"], record["split"], record["model"], record["method"])
        record["label"] = labels.get(key) or model_label(str(record["method"]), str(record["variant"]))
    return {"artefacts": records} if records else None


def _settings(methods: Mapping[str, Mapping[str, Values]]) -> dict[str, Any]:
    """Return what variants share, and a row each of what they do not; a selected one, without training, shares what it can."""
    models = sorted(((m, v) for m, variants in methods.items() for v in variants), key=lambda model: model_order(*model))
    flat = {(method, variant): flatten(methods[method][variant]) for method, variant in models}
    whole = [flat[m, v] for m, v in models if methods[m][v].get("training")] or list(flat.values())
    keys = list(dict.fromkeys(key for settings in flat.values() for key in settings))
    values = {key: {settings[key] for settings in flat.values() if key in settings} for key in keys}
    common = {key: min(values[key]) for key in keys if len(values[key]) == 1 and all(key in settings for settings in whole)}
    rows = [{"method": model[0], "label": model_label(*model), "settings": flat[model]} for model in models]
    return {"common": common, "columns": [key for key in keys if key not in common], "rows": rows}
