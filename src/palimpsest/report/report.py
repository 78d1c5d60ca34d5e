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

from palimpsest.report.evidence import Answer, Evidence
from palimpsest.report.figures import quality_against_utility, truth_ratio_distributions
from palimpsest.report.findings import choices_made, findings, models_compared
from palimpsest.report.marks import leaked_spans, marked, repeated_spans
from palimpsest.report.names import model_label, model_order
from palimpsest.report.page import data_uri, flatten, page_environment
from palimpsest.report.questions import LEADING, QUESTIONS, Question, question_id
from palimpsest.report.remarks import Told, remarks_on
from palimpsest.report.rows import main_models
from palimpsest.report.study import Block, ReportSpec, Study, Values
from palimpsest.report.style import STYLE, save
from palimpsest.report.tables import Table, lm_eval_tables, table1, write_csv
from palimpsest.report.words import format_quality, joined, under_titles
from palimpsest.scores.remarks import DIVERGED

FIGURES, TABLES, PAGE = "figures", "tables", "report.html"
RESULTS, ASKED, METHODS = "Results", "Questions of the paper", "Data and methods"
Context = dict[str, Any] | None
# Questions that are called as their benchmark is.
ACRONYMS = ("muse", "wmdp")
# Of a prompt or a label so many characters are shown.
LONG = 400


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
    def table1(self) -> list[Table]:
        """The main tables."""
        evidence = self.evidence
        return table1(evidence.results, self.study.blocks, self.spec.published, evidence.imported, evidence.remarks)

    @cached_property
    def remarks(self) -> list[tuple[Block, list[Told]]]:
        """The blocks on whose models there are remarks."""
        return [(block, told) for block in self.study.blocks if (told := remarks_on(self.evidence.remarks, block))]

    @cached_property
    def lm_eval(self) -> list[Table]:
        """The tables of lm-eval suites."""
        return lm_eval_tables(self.evidence.results, self.study.blocks, self.study.suites)

    @cached_property
    def answers(self) -> dict[str, Answer]:
        """The questions that the study has the data for, by id."""
        found = {question_id(question): question.answer(self.evidence) for question in QUESTIONS}
        return {name: answer for name, answer in found.items() if answer is not None}

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
    write_csv(out / TABLES / "table1.csv", report.table1)
    write_csv(out / TABLES / "lm_eval.csv", report.lm_eval)
    with matplotlib.style.context(["default", STYLE]):
        save(quality_against_utility(report.table1), out / FIGURES / "forget_quality_model_utility")
        save(truth_ratio_distributions(report.table1, report.evidence.truth_ratios), out / FIGURES / "truth_ratio")
        for name, answer in report.answers.items():
            save(answer.figure, out / FIGURES / name)
            answer.numbers.to_csv(out / TABLES / f"{name}.csv", index=False, lineterminator="\n")
    (out / PAGE).write_text(render_page(report), encoding="utf-8")


def render_page(report: Report) -> str:
    """Return the page; whatever a model or a config says in it is escaped."""
    environment = page_environment()
    sections = []
    for section in SECTIONS:
        context = section.build(report)
        if context is not None:
            body = environment.get_template(section.template or f"section_{section.id}.html").render(context)
            shown = {"id": section.id, "group": section.group, "title": section.title, "short": section.short or section.title}
            sections.append({**shown, "body": body})
    contents = [(group, list(members)) for group, members in groupby(sections, key=itemgetter("group"))]
    return environment.get_template("page.html").render(study=report.study, sections=sections, contents=contents)


def _summary(report: Report) -> Context:
    stories = [{"title": table.title, "opening": models_compared(table), "sentences": findings(table)} for table in report.table1]
    others = [question for question in QUESTIONS if question not in LEADING]
    gaps = [f"{block.title()}: {_gaps(told)}" for block, told in report.remarks if any(each.is_gap for each in told)]
    return {"gaps": gaps, "leading": _answers(report, LEADING), "stories": stories, "answers": _answers(report, others)}


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


def _answers(report: Report, questions: Iterable[Question]) -> list[dict[str, Any]]:
    """Return what questions were answered in short, and what was compared where their tables tell."""
    return [
        {
            "id": name,
            "title": question.QUESTION,
            "compared": under_titles([(table.title, models_compared(table)) for table in answer.tables]),
            "finding": answer.findings[0],
        }
        for question in questions
        if (answer := report.answers.get(name := question_id(question))) is not None
    ]


def _results(report: Report) -> Context:
    if not report.table1:
        return None
    return {
        "tables": report.table1,
        "csv": report.table_link("table1"),
        "figure": report.figure("forget_quality_model_utility"),
        "has_published": any(c.published is not None for t in report.table1 for row in t.rows for c in row.cells.values()),
        "choices": [
            sentence for block in {t.block.key: t.block for t in report.table1}.values() for sentence in choices_made(block)
        ],
        "floors": {
            table.title: format_quality(floor)
            for table in report.table1
            if (floor := table.value("retrain", "forget_quality_floor")) is not None
        },
    }


def _truth_ratio(report: Report) -> Context:
    return {"figure": report.figure("truth_ratio")} if report.table1 else None


def _lm_eval(report: Report) -> Context:
    return {"tables": report.lm_eval, "csv": report.table_link("lm_eval")} if report.lm_eval else None


def _examples(report: Report) -> Context:
    """Take one seed and the variant that stands for each method, its first: enough to see what the models say."""
    frame = pd.read_parquet(report.evidence.summary / "examples.parquet").fillna({"variant": ""})
    blocks = []
    for block in report.study.blocks:
        rows = main_models(frame, block)
        if rows.empty:
            continue
        seed = int(rows["seed"].min())
        answers = {
            (row["method"], row["variant"], row["set"], row["id"]): row for row in rows[rows["seed"] == seed].to_dict("records")
        }
        models = sorted({(method, variant) for method, variant, _, _ in answers}, key=lambda model: model_order(*model))
        shown = [next(of) for _, of in groupby(models, key=itemgetter(0))]
        asked = {key[2:]: row for key, row in answers.items()}
        questions = [
            {
                "set": name,
                "question": _shortened(asked[name, item]["question"], ends=True),
                "label": _shortened(asked[name, item]["answer"]),
                "answers": [_marked_answer(answers.get((*model, name, item))) for model in shown],
            }
            for name, item in sorted(asked)
        ]
        heads = [(method, model_label(method, variant)) for method, variant in shown]
        blocks.append({"title": block.title(), "seed": seed, "models": heads, "questions": questions})
    texts = any(report.study.shape(block) for block in report.study.blocks)
    return {"blocks": blocks, "texts": texts} if blocks else None


def _shortened(text: str, *, ends: bool = False) -> str:
    """Return the beginning of a long text, or its end, which is what goes on in the label; cut between words where it has any."""
    if len(text) <= LONG:
        return text
    if ends:
        kept = text[-LONG:]
        return f"… {kept.partition(' ')[2] or kept}"
    kept = text[:LONG]
    return f"{kept.rpartition(' ')[0] or kept} …"


def _marked_answer(row: Mapping[Any, Any] | None) -> list[tuple[str, list[str]]]:
    """Return an answer in pieces; what it shares with the label is leaked on the forget set, and as it should be elsewhere."""
    if row is None or not str(row["generation"]).strip():
        return []
    text = str(row["generation"])
    kind = "leaked" if row["set"] == "forget" else "kept"
    return marked(text, {kind: leaked_spans(text, row["answer"], row["question"]), "repeated": repeated_spans(text)})


def _question(question: Question, report: Report) -> Context:
    name = question_id(question)
    answer = report.answers.get(name)
    if answer is None:
        return None
    return {
        "answer": answer,
        "paper": question.PAPER,
        "figure": report.figure(name),
        "csv": report.table_link(name),
        "file": f"{name}.csv",
        "title": question.QUESTION,
        "table": answer.table.astype(str).to_dict("split"),
    }


def _section(question: Question) -> Section:
    name = question_id(question)
    short = name.upper() if name in ACRONYMS else name.capitalize()
    return Section(name, ASKED, question.QUESTION, partial(_question, question), "section_question.html", short)


def _study(report: Report) -> Context:
    blocks = [
        {"block": block, **_settings(block.methods), "trials": _settings(block.trials), "choices": choices_made(block)}
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


SECTIONS = (
    Section("summary", RESULTS, "What came out", _summary),
    Section("results", RESULTS, "Forgetting and utility", _results),
    Section("truth_ratio", RESULTS, "Truth ratios", _truth_ratio),
    Section("lm_eval", RESULTS, "Other tasks", _lm_eval),
    Section("examples", RESULTS, "What the models say", _examples),
    *(_section(question) for question in QUESTIONS),
    Section("remarks", METHODS, "Gaps and remarks", _remarks),
    Section("study", METHODS, "What was run", _study),
    Section("artefacts", METHODS, "Where the numbers lie", _artefacts),
    Section("glossary", METHODS, "How to read the metrics", lambda report: {}, short="Glossary"),
)


def _settings(methods: Mapping[str, Mapping[str, Values]]) -> dict[str, Any]:
    """Return what variants share, and a row each of what they do not; a chosen one, without training, shares what it can."""
    models = sorted(((m, v) for m, variants in methods.items() for v in variants), key=lambda model: model_order(*model))
    flat = {(method, variant): flatten(methods[method][variant]) for method, variant in models}
    whole = [flat[m, v] for m, v in models if methods[m][v].get("training")] or list(flat.values())
    keys = list(dict.fromkeys(key for settings in flat.values() for key in settings))
    values = {key: {settings[key] for settings in flat.values() if key in settings} for key in keys}
    common = {key: min(values[key]) for key in keys if len(values[key]) == 1 and all(key in settings for settings in whole)}
    rows = [{"method": model[0], "label": model_label(*model), "settings": flat[model]} for model in models]
    return {"common": common, "columns": [key for key in keys if key not in common], "rows": rows}
