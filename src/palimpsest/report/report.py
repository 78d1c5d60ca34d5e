"""The report page: a template a section, and the tables and figures that the sections show."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import groupby
from operator import attrgetter
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from palimpsest.names import RETRAIN
from palimpsest.report.claims import RULE, Claim, Verdict, decide
from palimpsest.report.evidence import Evidence
from palimpsest.report.examples import example_blocks
from palimpsest.report.facts import FLOOR, facts, selections_made
from palimpsest.report.names import method_name, model_label, model_order
from palimpsest.report.overview import quality_against_utility, truth_ratio_distributions
from palimpsest.report.page import Shown, data_uri, flatten, page_environment
from palimpsest.report.question import Answer, Question
from palimpsest.report.questions import all_questions
from palimpsest.report.remarks import GAPS, Told, remarks_on
from palimpsest.report.samples import PAGE as SAMPLES
from palimpsest.report.samples import write_samples
from palimpsest.report.study import Block, ReportSpec, Study, Values
from palimpsest.report.style import save
from palimpsest.report.tables import Table, attacked_tables, lm_eval_tables, main_tables, shortened, wide_numbers
from palimpsest.report.vega import spec_of
from palimpsest.report.words import format_quality, joined, under_titles
from palimpsest.scores.remarks import DIVERGED

FIGURES, TABLES, PAGE = "figures", "tables", "report.html"
RESULTS, ASKED, METHODS = "Results", "Questions of the paper", "Data and methods"
CLAIMS = ("benchmark", "claim", "source", "paper", "ours", "seeds", "verdict", "why", "question")
LM_EVAL = "Scores of lm-eval. No best is marked: of harmful knowledge, less is better."
QUALITY_FIGURE = "forget_quality_model_utility"
QUALITY_ALT = "Scatter plot of forget quality against model utility; the numbers are in the table."
QUALITY_CAPTION = "Forget quality against model utility: up and to the right is better; Retrain is what to reach."
# The tiles of the first screen, by the key of a verdict.
TILES = {"holds": "hold", "fails": "do not hold", "undecided": "undecided", "untestable": "undecided: too few seeds"}
KEY_VERDICTS = 3
ATTACKED = (
    "Each model that an attack gave, below the model before it. Retrain is the control: it never knew the forget set, so what an "
    "attack changes in it is no recovery."
)


class Front(NamedTuple):
    """What the first screen shows of the results: the table and the figure of a section, and how many more tables it has."""

    section: str
    figure: Shown
    alt: str
    caption: str
    table: Table | None
    more: int
    text: pd.DataFrame | None = None


@dataclass(frozen=True)
class Report:
    """All that the sections are made of: the spec, what the summary holds, and where tables and figures are written."""

    spec: ReportSpec
    evidence: Evidence
    out: Path
    drawn: dict[str, dict[str, Any]] = field(default_factory=dict)
    """The specs of its figures, by the names of their files."""

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

    @property
    def gaps(self) -> list[str]:
        """The models that diverged or are missing, block by block."""
        found = {block.title(): _gaps(told) for block, told in self.remarks}
        return [f"{title}: {gaps}" for title, gaps in found.items() if gaps]

    @cached_property
    def answers(self) -> list[tuple[Question, Answer]]:
        """The questions that the study has the data for."""
        found = [(question, question.answer(self.evidence)) for question in all_questions()]
        answered = [(question, answer) for question, answer in found if answer is not None]
        verdicts = decide([verdict for _, answer in answered for verdict in answer.verdicts])
        return [
            (question, replace(answer, verdicts=[verdict for verdict in verdicts if verdict.question == question.id]))
            for question, answer in answered
        ]

    @property
    def verdicts(self) -> list[Verdict]:
        """The verdict on every claim that the study tests, corrected for all others."""
        return [found for _, answer in self.answers for found in answer.verdicts]

    @property
    def untested(self) -> list[Claim]:
        """The claims that the study has no numbers for."""
        tested = {found.claim.text for found in self.verdicts}
        return [claim for question in all_questions() for claim in question.claims if claim.text not in tested]

    @cached_property
    def examples(self) -> list[dict[str, Any]]:
        """The answers of every block."""
        frame = pd.read_parquet(self.evidence.summary / "examples.parquet").fillna({"variant": ""})
        return example_blocks(frame, self.study.blocks)

    @cached_property
    def prompts(self) -> dict[str, list[Any]]:
        """The pieces of one prompt with its answer, by benchmark and model."""
        frame = pd.read_parquet(self.evidence.summary / "prompts.parquet")
        found: dict[str, list[Any]] = {}
        for (benchmark, model, *_), pieces in frame.groupby(["benchmark", "model", "split", "seed"]):
            found.setdefault(f"{benchmark} / {model}", list(pieces.itertuples(index=False)))
        return found

    @cached_property
    def artefacts(self) -> list[Any]:
        """The provenance of every number, one row per artefact."""
        # An attack has a number of each suite that scores it.
        frame = self.evidence.artefacts.drop(columns="suite").drop_duplicates()
        imported = {(*one.place[:3], one.name): f"{one.label} (imported)" for one in self.evidence.imported}
        models = frame[["benchmark", "split", "model", "method", "variant"]].itertuples(index=False, name=None)
        labels = [imported.get(model[:4]) or model_label(*model[3:]) for model in models]
        return list(frame.assign(label=labels).itertuples(index=False))

    def csv(self, name: str) -> str:
        """Return a table as a data URI."""
        path = self.evidence.summary / "remarks.csv" if name == "remarks" else self.out / TABLES / f"{name}.csv"
        return data_uri(path.read_bytes(), "text/csv")

    def figure(self, name: str) -> Shown:
        """Return a figure with the table of its numbers, where it has one."""
        svg = (self.out / FIGURES / f"{name}.svg").read_text(encoding="utf-8")
        table = {QUALITY_FIGURE: "table1"}.get(name, name)
        has_numbers = (self.out / TABLES / f"{table}.csv").exists()
        return Shown(name, self.drawn[name], svg, self.csv(table) if has_numbers else "")

    @property
    def tiles(self) -> list[tuple[str, str, int]]:
        """How many verdicts there are of each kind: its name in the style sheet, what it says, the number."""
        counts = Counter(found.tile for found in self.verdicts)
        return [(key, text, counts[key]) for key, text in TILES.items()]

    @property
    def key_verdicts(self) -> list[Verdict]:
        """The verdicts of the first screen: those of the first claims, and decided ones before others."""
        return sorted(self.verdicts, key=lambda found: found.tile not in ("holds", "fails"))[:KEY_VERDICTS]

    @cached_property
    def front(self) -> Front | None:
        """The main table and its figure, or else those of the first question; None without either."""
        if main := self.tables["table1"]:
            figure = self.figure(QUALITY_FIGURE)
            return Front("results", figure, QUALITY_ALT, QUALITY_CAPTION, shortened(main[0]), len(main) - 1)
        for question, answer in self.answers:
            table = shortened(answer.tables[0]) if answer.tables else None
            text = answer.table if table is None and answer.table.size else None
            figure, more = self.figure(question.id), len(answer.tables[1:])
            return Front(question.id, figure, question.alt, question.title, table, more, text)
        return None


def _gaps(told: list[Told]) -> str:
    """Name the models of a block that diverged or are missing."""
    names = {kind: list(dict.fromkeys(each.label for each in told if each.kind == kind)) for kind in GAPS}
    words = {kind: kind if kind == DIVERGED else "could not be made" for kind in GAPS}
    return ", ".join(f"{joined(labels)} {words[kind]}" for kind, labels in names.items() if labels)


@dataclass(frozen=True)
class Section:
    """A part of the page: `short` names it in the navigation; its template reads the report and `context`."""

    id: str
    group: str
    title: str
    short: str = ""
    template: str = ""
    context: Mapping[str, Any] = field(default_factory=dict)


def write_report(spec: ReportSpec, summary: Path, out: Path) -> None:
    """Write tables, figures and the two pages; all bytes repeat."""
    report = Report(spec, Evidence(spec.study, summary, spec.published), out)
    for folder in (TABLES, FIGURES):
        (out / folder).mkdir()
    main = report.tables["table1"]
    frames = {name: wide_numbers(tables) for name, tables in report.tables.items()}
    frames["claims"] = pd.DataFrame(map(_claim_row, report.verdicts), columns=list(CLAIMS))
    grids = {
        QUALITY_FIGURE: quality_against_utility(main),
        "truth_ratio": truth_ratio_distributions(main, report.evidence.truth_ratios),
    }
    for question, answer in report.answers:
        frames[question.id], grids[question.id] = answer.numbers, answer.figure
    for name, frame in frames.items():
        frame.to_csv(out / TABLES / f"{name}.csv", index=False, lineterminator="\n")
    for name, grid in grids.items():
        report.drawn[name] = spec_of(grid)
        save(report.drawn[name], out / FIGURES / name)
    (out / PAGE).write_text(render_page(report), encoding="utf-8")
    write_samples(spec.study, report.evidence.samples, out / SAMPLES)


def _claim_row(found: Verdict) -> tuple[str | int, ...]:
    claim = found.claim
    return found.title, claim.text, claim.source, found.printed, found.ours, found.seeds, found.word, found.reason, found.question


def render_page(report: Report) -> str:
    """Return the page; whatever a model or a config says in it is escaped."""
    environment = page_environment()
    environment.globals.update(
        report=report, rule=RULE, selections_made=selections_made, settings=settings, method_name=method_name
    )
    sections = list(sections_of(report))
    bodies = {
        section.id: environment.get_template(section.template or f"section_{section.id}.html").render(section.context)
        for section in sections
    }
    contents = [(group, list(members)) for group, members in groupby(sections, key=attrgetter("group"))]
    return environment.get_template("page.html").render(
        study=report.study, sections=sections, bodies=bodies, contents=contents, figures=True
    )


def sections_of(report: Report) -> Iterator[Section]:
    """Yield the sections that the study has something for, in the order of the page."""
    yield Section("summary", RESULTS, "At a glance")
    if report.verdicts or report.untested:
        yield Section("claims", RESULTS, "The paper's claims", "Claims")
    if main := report.tables["table1"]:
        sentences = under_titles([(table.title, text) for table in main for text in facts(table)])
        floors = {table.title: format_quality(floor) for table in main if (floor := table.value(RETRAIN, FLOOR)) is not None}
        yield Section("results", RESULTS, "Forgetting and utility", context={"facts": sentences, "floors": floors})
        yield Section("truth_ratio", RESULTS, "Truth ratios")
    for name, title, note in (("lm_eval", "Other tasks", LM_EVAL), ("attacked", "Attacked models", ATTACKED)):
        if report.tables[name]:
            yield Section(name, RESULTS, title, template="section_tables.html", context={"name": name, "note": note})
    if report.examples:
        texts = any(report.study.shape(block) for block in report.study.blocks)
        yield Section("examples", RESULTS, "What the models say", context={"texts": texts})
    for question, answer in report.answers:
        context = {"question": question, "answer": answer}
        short = question.short or question.id.capitalize()
        yield Section(question.id, ASKED, question.title, short, "section_question.html", context)
    if report.remarks:
        yield Section("remarks", METHODS, "Gaps and remarks")
    yield Section("study", METHODS, "What was run")
    if report.prompts:
        yield Section("prompts", METHODS, "What the models see")
    if report.artefacts:
        yield Section("artefacts", METHODS, "Provenance")
    yield Section("glossary", METHODS, "How to read the metrics", "Glossary")


def settings(methods: Mapping[str, Mapping[str, Values]]) -> dict[str, Any]:
    """Return what variants share, and a row each of what they do not; a selected one, without training, shares what it can."""
    models = sorted(((m, v) for m, variants in methods.items() for v in variants), key=lambda model: model_order(*model))
    flat = {(method, variant): flatten(methods[method][variant]) for method, variant in models}
    whole = [flat[m, v] for m, v in models if methods[m][v].get("training")] or list(flat.values())
    keys = list(dict.fromkeys(key for settings in flat.values() for key in settings))
    values = {key: {settings[key] for settings in flat.values() if key in settings} for key in keys}
    common = {key: min(values[key]) for key in keys if len(values[key]) == 1 and all(key in settings for settings in whole)}
    rows = [{"method": model[0], "label": model_label(*model), "settings": flat[model]} for model in models]
    return {"common": common, "columns": [key for key in keys if key not in common], "rows": rows}
