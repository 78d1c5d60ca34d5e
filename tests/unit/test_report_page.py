"""The report as files: what is on the page, what is never on it, and that its bytes repeat."""

import base64
import html
import math
import re
import shutil
import sys
from collections.abc import Collection
from pathlib import Path
from xml.etree import ElementTree

import pandas as pd
import pytest
import text_example
from example_study import CONFIG
from example_study import spec as spec_of_stage
from html_page import Page
from pydantic import ValidationError
from question_example import drawn_as, labels, views
from report_example import (
    PLAIN,
    SELECTED,
    SELECTION,
    UNLEARN,
    WATCHED,
    attacked,
    block,
    numbers,
    published_by,
    spec,
    told,
    watched,
    weighed,
    write_summary,
)
from whole_example import whole

from palimpsest.contract.job import run_stage
from palimpsest.provenance import digest
from palimpsest.provenance.canonical import canonical_json, sha256_file
from palimpsest.provenance.digest import code_digest
from palimpsest.provenance.manifest import MANIFEST, build_manifest, read_manifest, write_manifest
from palimpsest.report.overview import quality_against_utility, truth_ratio_distributions
from palimpsest.report.page import flatten
from palimpsest.report.questions import all_questions
from palimpsest.report.report import write_report
from palimpsest.report.tables import main_tables
from palimpsest.report.vega import QUALITY_TICKS, spec_of
from palimpsest.report.words import MINUS
from palimpsest.stages import report as stage
from palimpsest.study.study import Study

ROOT = Path(__file__).resolve().parents[2]
QUESTIONS = all_questions()
FIGURES = ("forget_quality_model_utility", "truth_ratio")
OUTPUTS = {
    "report.html",
    "samples.html",
    *(f"tables/{name}.csv" for name in ("table1", "lm_eval", "attacked", "claims")),
    *(f"figures/{name}.{kind}" for name in FIGURES for kind in ("svg", "png")),
}
# What the full example has the data for.
ANSWERED = {"relearning", "robustness", "seeds", "trajectory", "weights"}
LM_EVAL = {name: {0: {"world_facts/acc": 0.8}} for name in PLAIN}


def written(tmp_path: Path, rows, *blocks, name: str = "report", published=None, **words) -> Path:
    summary = write_summary(tmp_path / f"{name}-summary", rows, **words)
    out = tmp_path / name
    out.mkdir()
    write_report(spec(*blocks, published=published), summary, out)
    return out


def page_of(out: Path) -> Page:
    return Page((out / "report.html").read_text(encoding="utf-8"))


def everything(tmp_path: Path) -> Path:
    rows = numbers(PLAIN) + attacked() + numbers(LM_EVAL, suite="lm-eval") + watched(WATCHED)
    weights = weighed("npo") + weighed("simnpo", 2.0)
    return written(tmp_path, rows, published={"tofu/forget05/tiny": {"npo": {"forget_quality": 0.79}}}, weights=weights)


def files_of(out: Path) -> set[str]:
    return {path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file()}


def outputs(answered: Collection[str]) -> set[str]:
    kinds = ("tables/{}.csv", "figures/{}.svg", "figures/{}.png")
    return OUTPUTS | {kind.format(name) for name in answered for kind in kinds}


def answered(page: Page) -> set[str]:
    return {question.id for question in QUESTIONS} & set(page.attributes("id"))


@pytest.fixture(scope="module")
def full(tmp_path_factory) -> Path:
    return everything(tmp_path_factory.mktemp("full"))


def test_all_outputs_are_written_and_their_bytes_repeat(full, tmp_path):
    again = everything(tmp_path)
    assert files_of(full) == files_of(again) == outputs(ANSWERED)
    assert {name for name in files_of(full) if sha256_file(full / name) != sha256_file(again / name)} == set()


def test_a_page_of_other_numbers_is_another_page(full, tmp_path):
    rows = numbers(PLAIN | {"npo": {0: {"forget_quality": 0.3, "model_utility": 0.4}}})
    other = written(tmp_path, rows)
    for name in ("report.html", "samples.html", "tables/table1.csv", "figures/forget_quality_model_utility.svg"):
        assert sha256_file(full / name) != sha256_file(other / name)


def test_the_page_has_every_section_and_its_numbers(full):
    page = page_of(full)
    asked = [question.id for question in QUESTIONS if question.id in ANSWERED]
    shown = [
        "summary",
        "claims",
        "results",
        "truth_ratio",
        "lm_eval",
        "examples",
        *asked,
        "study",
        "prompts",
        "artefacts",
        "glossary",
    ]
    assert [attrs["id"] for tag, attrs in page.tags if tag == "section"] == shown
    ids = page.attributes("id")
    assert len(ids) == len(set(ids))
    links = [attrs["href"] for tag, attrs in page.tags if tag == "a" and attrs["href"].startswith("#")]
    # To skip, to see all on one page, then to each section in the order of the page.
    assert links[: len(shown) + 2] == ["#everything", "#everything", *(f"#{name}" for name in shown)]
    assert {link[1:] for link in links} <= set(ids)
    assert {link[1:] for link in links[len(shown) + 2 :]} >= ANSWERED - {"weights"}
    for text in ("0.70", "± 0.14", "publ. 0.79", "ab" * 6, "tofu/x/manifest.json", "Who wrote it?", "The label."):
        assert text in page.text


def test_the_sources_of_published_numbers_stand_below_the_table_of_a_question_too(tmp_path):
    values = {"news/forget/tiny": {"npo": {"privleak": 108.91}}}
    rows = text_example.rows({**text_example.REFERENCES, "npo": [text_example.NPO]})
    write_report(
        spec(text_example.texts("npo"), published=values, data=text_example.DATA),
        write_summary(tmp_path / "summary", rows),
        tmp_path,
    )
    page = page_of(tmp_path)
    (source,) = (of for sources in published_by(values).values() for of in sources)
    assert "publ. 108.9" in page.text and "Published for news" in page.text and source.source in page.text


def test_the_page_loads_nothing_and_runs_its_own_scripts_alone(full):
    page = page_of(full)
    assert page.runs_its_own_scripts()
    assert not {"link", "iframe", "object", "embed", "form", "base"} & {tag for tag, _ in page.tags}
    assert all(value.startswith("data:") for value in page.attributes("src"))
    beside = [value for value in page.attributes("href") if not value.startswith(("data:", "#"))]
    assert list(dict.fromkeys(each.partition("#")[0] for each in beside)) == ["samples.html", "cost.html", "audit.html"]
    assert not [name for _, attrs in page.tags for name in attrs if name.startswith("on")]
    text = (full / "report.html").read_text()
    assert "default-src 'none'" in text
    assert not re.search(r"@import|url\(", text.partition("<style>")[2].partition("</style>")[0])


def test_every_image_says_what_it_shows(full):
    images = [attrs for tag, attrs in page_of(full).tags if tag == "img"]
    assert len(images) == len(FIGURES) + len(ANSWERED)
    assert all(image["alt"] for image in images)


HOSTILE = "<script>alert(1)</script><img src=https://example.org/x onerror=alert(2)>{{ 7 * 7 }} & \"' </blockquote>"


def test_what_models_and_data_say_is_text(tmp_path):
    page = page_of(written(tmp_path, numbers(PLAIN), answer=f"{HOSTILE} {HOSTILE}", question="Who?", label=HOSTILE))
    assert page.runs_its_own_scripts()
    assert not [value for value in page.attributes("src") if not value.startswith("data:")]
    # Twice in each answer, as its label, and as the answer of a prompt.
    assert page.text.count(HOSTILE) == 2 * len(PLAIN) + 2
    # All of it is marked: the label leaked twice, the second time as a repetition.
    marks = [attrs["class"] for tag, attrs in page.tags if tag == "mark"]
    assert marks.count("leaked repeated") == len(PLAIN)
    page = page_of(written(tmp_path, numbers(PLAIN), name="asked", question=HOSTILE))
    assert page.text.count(HOSTILE) == 2


def test_a_model_sees_one_prompt_whose_labels_and_special_tokens_are_marked(full):
    seen = (full / "report.html").read_text().partition('<section id="prompts"')[2].partition("</section>")[0]
    pieces = [
        ("span", "read special", "&lt;s&gt;"),
        ("span", "read", "Question: Who wrote it?"),
        ("mark", "learnt", " The label."),
        ("mark", "learnt special", "&lt;/s&gt;"),
    ]
    # Of two seeds it is the first one's.
    assert seen.count('<div class="seen"') == 1 and "<h3>tofu / tiny</h3>" in seen
    assert "".join(f'<{tag} class="{kind}">{text}</{tag}>' for tag, kind, text in pieces) in seen


def test_what_the_label_says_is_leaked_of_the_forget_set_and_kept_of_another(tmp_path):
    summary = write_summary(
        tmp_path / "summary", numbers(PLAIN), answer="He wrote it in May, I think.", label="He wrote it in May."
    )
    examples = pd.read_parquet(summary / "examples.parquet")
    pd.concat([examples, examples.assign(set="retain")]).to_parquet(summary / "examples.parquet", index=False)
    (tmp_path / "out").mkdir()
    write_report(spec(), summary, tmp_path / "out")
    text = (tmp_path / "out" / "report.html").read_text()
    for kind in ("leaked", "kept"):
        assert text.count(f'<mark class="{kind}">He wrote it in May</mark>, I think.') == len(PLAIN)


def test_one_variant_a_method_says_what_it_says(tmp_path):
    methods = {"npo": {"odd": UNLEARN | {"reference": "x"}, "default": UNLEARN, "selected": SELECTED}, "ga": {"slow": UNLEARN}}
    names = ("original", "original-half", "npo", "npo/selected", "npo/odd", "ga/slow")
    text = (written(tmp_path, numbers(dict.fromkeys(names, PLAIN["npo"])), block(methods=methods)) / "report.html").read_text()
    (head,) = re.findall(r'<table class="said".*?</thead>', text, flags=re.DOTALL)
    assert [re.sub("<.*?>", "", cell) for cell in re.findall(r"<th .*?</th>", head)] == ["Original", "GA slow", "NPO (selected)"]


def test_a_selection_on_what_is_scored_is_said_beside_the_results(tmp_path):
    selected = block(methods={"npo": {"selected": SELECTED}}, selections={"npo": SELECTION})
    out = written(tmp_path, numbers({"retrain": PLAIN["retrain"], "npo/selected": PLAIN["npo"]}), selected)
    results = (out / "report.html").read_text().partition('<section id="results"')[2].partition("</section>")[0]
    assert "These are the very questions that are scored here" in results
    assert "NPO (selected)" in results


def section(out: Path, name: str) -> str:
    return (out / "report.html").read_text().partition(f'<section id="{name}"')[2].partition("</section>")[0]


def test_the_page_opens_with_verdicts_the_main_table_and_its_figure(full):
    opening = section(full, "summary")
    verdicts = pd.read_csv(full / "tables" / "claims.csv")
    tiles = re.findall(r'<li class="tile (\w+)"><a href="#claims"><b>(\d+)</b>', opening)
    # Of two seeds no claim can be tested.
    assert tiles == [("holds", "0"), ("fails", "0"), ("undecided", "0"), ("untestable", str(len(verdicts)))]
    places = [opening.index(part) for part in ('class="tiles"', "SimNPO forgets better than NPO", "<table", "data-figure=")]
    assert places == sorted(places)
    assert 'data-figure="forget_quality_model_utility"' in opening
    assert 'href="cost.html"' in (full / "report.html").read_text().partition("<footer")[2]


def test_a_study_of_another_kind_opens_with_its_first_question(tmp_path):
    spec_of_whole, summary = whole(tmp_path / "whole", [0])
    blocks = [each for each in spec_of_whole.study.blocks if each.benchmark == "markov"]
    study = spec_of_whole.study.model_copy(update={"blocks": blocks})
    (tmp_path / "out").mkdir()
    write_report(spec_of_whole.model_copy(update={"study": study}), summary, tmp_path / "out")
    opening = section(tmp_path / "out", "summary")
    assert 'data-figure="markov"' in opening and "<table" in opening and "tiles" in opening
    page = page_of(tmp_path / "out")
    assert page.attributes("id").count("spec-markov") == 1


def test_the_claims_have_their_verdicts(full):
    opening = section(full, "claims")
    claims = pd.read_csv(full / "tables" / "claims.csv")
    assert "SimNPO forgets better than NPO" in set(claims["claim"])
    for row in claims.to_dict("records"):
        assert f'href="#{row["question"]}"' in opening
        for text in (row["claim"], row["source"], row["verdict"]):
            assert text in html.unescape(opening)
    # Two seeds decide nothing, which the rule says.
    assert set(claims["verdict"]) == {"undecided"}
    assert "of at least 5 seeds" in opening
    assert "claims of the paper that this study does not test" in opening


def test_a_question_leads_with_its_claims_and_gives_its_numbers(full):
    text = (full / "report.html").read_text()
    for question in QUESTIONS:
        section = text.partition(f'<section id="{question.id}"')[2].partition("</section>")[0]
        assert bool(section) == (question.id in ANSWERED)
        if section:
            # Of relearning NPO alone has numbers here: there is nothing to compare.
            claims = [] if question.id in ("relearning", "robustness") else ['class="verdicts"']
            source = [question.source] if question.source else []
            places = [section.index(part) for part in (*claims, "<img", "download=", *source)]
            assert places == sorted(places)
            link = re.search(r'href="data:text/csv;base64,(.*?)"', section)
            assert base64.b64decode(link[1]) == (full / "tables" / f"{question.id}.csv").read_bytes()


def test_what_the_config_says_is_text(tmp_path):
    summary = write_summary(tmp_path / "summary", numbers(PLAIN))
    (tmp_path / "out").mkdir()
    hostile = block(methods={"npo": {"default": {"training": {"note": HOSTILE}}, "b": {}}})
    write_report(spec(hostile, name=HOSTILE, description=HOSTILE, models={"tiny": {"x": HOSTILE}}), summary, tmp_path / "out")
    page = page_of(tmp_path / "out")
    assert page.runs_its_own_scripts()
    assert page.text.count(HOSTILE) >= 4


EDGES = {
    "one seed": ({name: {0: seeds[0]} for name, seeds in PLAIN.items()}, {"seeds": [0]}),
    "only forget quality": ({name: {0: {"forget_quality": 0.5}} for name in ("retrain", "npo")}, {}),
    "no Retrain": ({name: PLAIN[name] for name in ("original", "npo", "simnpo")}, {}),
    "no methods": ({name: PLAIN[name] for name in ("original", "retrain")}, {"methods": {}}),
    "only lm-eval": ({"npo": {0: {"mmlu/acc": 0.5}}}, {}),
    "an unknown method": (PLAIN | {"unheard-of": PLAIN["npo"]}, {}),
    "not a number": (PLAIN | {"idk": {0: {"forget_quality": float("nan"), "model_utility": float("inf")}}}, {}),
    "many variants": (
        PLAIN | {f"simnpo/beta-{i}": PLAIN["simnpo"] for i in range(30)},
        {"methods": {"simnpo": {f"beta-{i}": UNLEARN for i in range(30)}}},
    ),
    "no results": ({}, {}),
}


@pytest.mark.parametrize("edge", EDGES)
def test_whatever_the_study_all_outputs_are_there_and_hold_no_nan(tmp_path, edge):
    models, changes = EDGES[edge]
    out = written(tmp_path, numbers(models), block(**changes))
    assert files_of(out) == outputs(answered(page_of(out)))
    assert not re.search(r"\b(nan|inf|None)\b", page_of(out).text)
    for path in out.glob("tables/*.csv"):
        assert not re.search(r"\b(nan|inf|None)\b", path.read_text())
    for path in out.glob("figures/*.svg"):
        assert "nan" not in path.read_text()
        ElementTree.parse(path)


def test_one_seed_has_no_sd(tmp_path):
    models, changes = EDGES["one seed"]
    text = page_of(written(tmp_path, numbers(models), block(**changes))).text
    assert "one seed" in text
    assert "± 0" not in text


def test_two_seeds_and_a_model_with_one(tmp_path):
    text = page_of(written(tmp_path, numbers(PLAIN | {"idk": {0: {"model_utility": 0.4}}}))).text
    assert "mean ± sd over 2 seeds" in text
    assert "IDK (1 seed)" in text


def test_several_blocks_each_have_their_table(tmp_path):
    rows = numbers(PLAIN) + numbers(PLAIN, split="forget10")
    page = page_of(written(tmp_path, rows, block(), block(split="forget10")))
    for title in ("tofu / forget05 / tiny", "tofu / forget10 / tiny"):
        assert page.attributes("aria-label").count(f"{title}, mean ± sd over 2 seeds") == 2


def test_figures_without_numbers_say_so(tmp_path):
    out = written(tmp_path, numbers({"npo": {0: {"mmlu/acc": 0.5}}}))
    shown = {path.stem: path.stat().st_size for path in out.glob("figures/*.svg")}
    assert set(shown) == set(FIGURES)
    assert "No model here has both" in (out / "figures" / "forget_quality_model_utility.svg").read_text()


def drawn_quality(models):
    """The panel of forget quality against model utility."""
    (view,) = views(spec_of(quality_against_utility(main_tables(told(numbers(models))))))
    return view


def test_forget_quality_of_zero_is_drawn_at_the_end_of_the_axis():
    view = drawn_quality(PLAIN)
    axis = view["encoding"]["y"]["axis"]
    assert labels(view, "y") == ["1", "0.5", "0.1", "0.01", "0.001", f"1e{MINUS}05", f"1e{MINUS}10", f"≤1e{MINUS}20"]
    # The root of the decades: 0.1 is as far from 1 as 1e-4 is from 0.1.
    assert dict(zip(QUALITY_TICKS, axis["values"], strict=True))[1e-20] == pytest.approx(-math.sqrt(20), abs=1e-3)
    (ga,) = [mark for mark in drawn_as(view, "point") if mark["model"] == "GA" and mark["seed"] == "0"]
    assert ga["y"] == axis["values"][-1] and ga["ty"] == "0"
    low, high = view["encoding"]["y"]["scale"]["domain"]
    assert low < axis["values"][-1] and high > axis["values"][0]


def test_the_quality_axis_holds_every_seed():
    npo = {seed: {"model_utility": 0.5, "forget_quality": quality} for seed, quality in ((0, 0.04), (1, 2e-9))}
    assert labels(drawn_quality({"retrain": PLAIN["retrain"], "npo": npo}), "y")[-1] == f"1e{MINUS}10"


def test_references_alone_have_a_panel_only_without_other_models():
    references = {name: PLAIN[name] for name in ("original", "retrain")}
    of = told(numbers(PLAIN) + numbers(references, split="forget10"), block(), block(split="forget10", methods={}))
    tables = main_tables(of)
    assert [table.block.split for table in tables] == ["forget05", "forget10"]
    for shown, titles in ((tables, ["tofu / forget05 / tiny"]), (tables[1:], ["tofu / forget10 / tiny"])):
        ((_, panels),) = quality_against_utility(shown).rows
        assert [panel.title for panel in panels] == titles


def test_the_suite_that_measures_most_models_comes_first():
    few = {name: PLAIN[name] for name in ("original", "retrain", "npo")}
    of = told(numbers(few, suite="a-few") + numbers(PLAIN, suite="many"), block(suites=["a-few", "many"]))
    assert [table.suite for table in main_tables(of)] == ["many", "a-few"]


def test_truth_ratios_have_a_panel_a_method(tmp_path):
    summary = write_summary(tmp_path / "summary", numbers(PLAIN | {"npo/beta-1": PLAIN["npo"]}))
    tables = main_tables(told(numbers(PLAIN)))
    grid = truth_ratio_distributions(tables, pd.read_parquet(summary / "truth_ratios.parquet"))
    assert [panel.title for _, row in grid.rows for panel in row] == ["Original", "GA", "NPO", "SimNPO"]


def test_settings_are_flat_and_tasks_have_names():
    assert flatten({"training": {"learning_rate": 1e-5, "x": {"y": True}}, "loss": {"beta": 2.5}, "limit": None}) == {
        "learning_rate": "1e-05",
        "x.y": "True",
        "beta": "2.5",
        "limit": "none",
    }
    assert flatten({"tasks": ["mmlu", {"task": "world_facts", "doc_to_text": "..."}]}) == {"tasks": "mmlu, world_facts"}


def test_the_spec_that_the_workflow_makes_is_one(tmp_path):
    made = spec_of_stage(Study(CONFIG), "report")
    summary = write_summary(tmp_path / "summary", numbers(PLAIN, split="forget10"))
    (tmp_path / "out").mkdir()
    write_report(stage.ReportSpec.model_validate(made), summary, tmp_path / "out")
    page = page_of(tmp_path / "out")
    assert page.text.count("SimNPO beta-2.5") == 1
    for text in ("relearn-random, relearn-shortest", "world_facts", "base_authors", "0.1375"):
        assert text in page.text


def test_a_block_twice_is_an_error():
    with pytest.raises(ValidationError, match="tofu/forget05/tiny is there twice"):
        spec(block(), block())


def test_the_code_digest_covers_the_templates(tmp_path):
    shutil.copytree(ROOT / "src" / "palimpsest", tmp_path / "palimpsest", ignore=shutil.ignore_patterns("__pycache__"))
    before = code_digest("palimpsest.stages.report", root=tmp_path)
    style = tmp_path / "palimpsest" / "report" / "templates" / "page.css"
    style.write_text(style.read_text() + "\n/* more */\n")
    digest._read.cache_clear()
    assert code_digest("palimpsest.stages.report", root=tmp_path) != before


def test_the_stage_writes_a_manifest_that_repeats(tmp_path, monkeypatch):
    summary = write_summary(tmp_path / "summary", numbers(PLAIN))
    write_manifest(summary, build_manifest(summary, stage="summarise", spec={}, code="c", inputs={}))
    found = []
    for name in ("first", "second"):
        out = tmp_path / name / MANIFEST
        arguments = ["--spec", canonical_json(spec().model_dump()), "--in", f"summary={summary / MANIFEST}"]
        monkeypatch.setattr(sys, "argv", ["report", *arguments, "--out", str(out), "--scratch", str(tmp_path / "scratch")])
        run_stage("report", stage.ReportSpec, stage.work)
        assert read_manifest(out)["files"].keys() == outputs(answered(page_of(out.parent)))
        found.append(out.read_bytes())
    assert found[0] == found[1]


def test_every_caption_of_the_workflow_is_there():
    rules = (ROOT / "workflow" / "rules" / "report.smk").read_text()
    captions = re.findall(r'caption="\.\./report/([a-z0-9_]+\.rst)"', rules)
    there = {path.name for path in (ROOT / "workflow" / "report").glob("*.rst")}
    assert set(captions) | {"workflow.rst"} == there
    assert set(re.findall(r"/report/((?:figures|tables)/\w+\.\w+|report\.html)", rules)) <= OUTPUTS
    assert set(re.findall(r'directory\(f"{RESULTS}/report/(\w+)', rules)) <= {"figures", "tables"}
