"""The page of a study of texts: its sections, what opens it, examples of long texts, and no text of a model as a tag."""

import re
from pathlib import Path
from xml.etree import ElementTree

import pandas as pd
import pytest
from html_page import Page
from report_example import PLAIN, SELECTED, SELECTION, block, numbers, spec, write_summary
from text_example import DATA, NPO, REFERENCES, SIMNPO, TASKS, rows, texts, with_intervals

from palimpsest.report.examples import LONG
from palimpsest.report.report import write_report
from palimpsest.report.words import MINUS

HOSTILE = "<script>alert(1)</script><img src=https://example.org/x onerror=alert(2)>{{ 7 * 7 }} & \"' </blockquote>"
SUITES = {"tofu": {"kind": "tofu"}, "muse": {"kind": "muse"}, "hazards": {"kind": "lm-eval", "tasks": ["wmdp_bio", "mmlu"]}}
PUBLISHED = {"news/forget/tiny": {"simnpo": {"privleak": 72.93}}, "bio/forget/tiny": {"simnpo": {"wmdp_bio/acc": 0.26}}}
MODELS = {"npo": [NPO, NPO], "simnpo": [SIMNPO, SIMNPO]}
SECTIONS = ["summary", "claims", "lm_eval", "examples", "muse", "requests", "wmdp", "study", "prompts", "artefacts", "glossary"]


def study():
    """Rows and blocks of all that texts are asked."""
    found = with_intervals(rows(REFERENCES | MODELS), 2.0)
    found += rows(MODELS, split="scale2") + rows(MODELS, split="request2")
    hazards = {"original": [(0.65, 0.59)] * 2, "npo": [(0.26, 0.44)] * 2, "simnpo": [(0.26, 0.48)] * 2}
    found += rows(hazards, benchmark="bio", metrics=TASKS)
    splits = ("forget", "scale2", "request2")
    return found, [*(texts(split=split) for split in splits), texts(benchmark="bio")]


def written(tmp_path: Path, found, *blocks, data=DATA, **words) -> Path:
    """The report of a study; only of TOFU there are truth ratios, and of WMDP no examples."""
    summary = write_summary(tmp_path / "summary", found, **words)
    for name, without in (("truth_ratios", ("news", "bio")), ("examples", ("bio",))):
        table = pd.read_parquet(summary / f"{name}.parquet")
        table[~table["benchmark"].isin(without)].to_parquet(summary / f"{name}.parquet", index=False)
    out = tmp_path / "report"
    out.mkdir()
    write_report(spec(*blocks, data=data, suites=SUITES, published=PUBLISHED), summary, out)
    return out


def page_of(out: Path) -> tuple[Page, list[str]]:
    """The page and its sections; whatever is on it and in the figures is a number."""
    page = Page((out / "report.html").read_text(encoding="utf-8"))
    assert not re.search(r"\b(nan|inf|None)\b", page.text)
    for path in (*out.glob("tables/*.csv"), *out.glob("figures/*.svg")):
        assert not re.search(r"\b(nan|inf|None)\b", path.read_text())
    for path in out.glob("figures/*.svg"):
        ElementTree.parse(path)
    return page, [attrs["id"] for tag, attrs in page.tags if tag == "section"]


@pytest.fixture(scope="module")
def full(tmp_path_factory) -> Path:
    found, blocks = study()
    return written(tmp_path_factory.mktemp("texts"), found, *blocks)


def section(out: Path, name: str) -> str:
    """One section of a page."""
    return (out / "report.html").read_text().partition(f'<section id="{name}"')[2].partition("</section>")[0]


def test_a_study_of_texts_has_its_sections_and_none_of_questions(full):
    page, sections = page_of(full)
    assert sections == SECTIONS
    assert (full / "tables" / "table1.csv").read_text().count("\n") == 1
    assert "holds no evaluation" not in page.text
    for word in ("VerbMem", "KnowMem", "AUC of Min-K", "PrivLeak", f"1 {MINUS} accuracy"):
        assert f"<dt>{word}</dt>" in section(full, "glossary")


def test_the_page_opens_with_what_came_out_of_texts(full):
    opening = section(full, "claims")
    places = [opening.index(f'href="#{name}"') for name in ("muse", "requests", "wmdp")]
    assert places == sorted(places)
    assert "SimNPO keeps more KnowMem on the retain set than NPO" in opening
    assert "KnowMem on the retain set (50.0): NPO 60% and SimNPO 80%." in section(full, "muse")


def test_texts_open_the_page_beside_a_benchmark_of_questions_and_change_nothing_of_its_table(full, tmp_path):
    found, blocks = study()
    mixed = written(tmp_path, found + numbers(PLAIN), *blocks, block())
    page, sections = page_of(mixed)
    assert sections[:6] == ["summary", "claims", "results", "truth_ratio", "lm_eval", "examples"]
    assert section(mixed, "claims").index("tofu / forget05 / tiny") < section(mixed, "claims").index("news / forget / tiny")
    assert page.attributes("aria-label").count("tofu / forget05 / tiny, mean ± sd over 2 seeds") == 2
    assert not re.search("news|bio", section(mixed, "results"))


def test_tables_have_spreads_and_published_values(full):
    texts_of = section(full, "muse")
    for part in ("± 0.0", "publ. 72.93", "VerbMem", "+100.0", "news / forget / tiny / muse, mean ± sd over 2 seeds"):
        assert part in texts_of
    assert "publ. 0.74" in section(full, "wmdp")


def test_one_seed_shows_intervals(tmp_path):
    out = written(tmp_path, with_intervals(rows(REFERENCES | {"npo": [NPO], "simnpo": [SIMNPO]}), 2.0), texts(seeds=[0]))
    page_of(out)
    assert "<small>38.0 to 42.0</small>" in section(out, "muse")
    assert "±" not in section(out, "muse")


def test_what_is_scored_elsewhere_is_not_cautioned_of_beside_the_results(tmp_path):
    selected = texts(methods={"npo": {"selected": SELECTED}}, selections={"npo": SELECTION})
    out = written(tmp_path, rows(REFERENCES | {"npo/selected": [NPO]}) + numbers(PLAIN), selected, block())
    assert "These are the very questions" not in section(out, "results")
    assert "NPO (selected) was selected for the highest" in section(out, "muse")


LONG_TEXT = " ".join(f"word{number}" for number in range(400))


def test_of_a_long_prompt_the_end_is_shown_and_of_a_long_label_the_beginning(tmp_path):
    out = written(
        tmp_path, rows(REFERENCES | MODELS), texts(), question=LONG_TEXT, label=LONG_TEXT, answer="word7 word8 word9 word10"
    )
    (question,) = re.findall(r'<span dir="auto">(.*?)</span>', section(out, "examples"))
    (label,) = re.findall(r"<b>Label</b> (.*?)</p>", section(out, "examples"))
    assert re.fullmatch(r"… word\d+ .* word399", question)
    assert re.fullmatch(r"word0 .* word\d+ …", label)
    for shown in (question, label):
        assert LONG - 10 < len(shown) <= LONG + 2
        assert set(shown.split()) <= {*LONG_TEXT.split(), "…"}
    assert "continuations of the same texts" in section(out, "examples")


@pytest.mark.parametrize("text", ["x" * LONG, "x" * (LONG + 1), "ж" * 3000])
def test_a_text_without_spaces_is_cut_too(tmp_path, text):
    out = written(tmp_path, rows(REFERENCES | MODELS), texts(), question=text, label=text)
    (question,) = re.findall(r'<span dir="auto">(.*?)</span>', section(out, "examples"))
    assert question == (text if len(text) <= LONG else f"… {text[-LONG:]}")


def test_what_models_and_data_say_is_text(tmp_path):
    hostile = {f"{HOSTILE}": {"shape": "muse", "note": HOSTILE}} | DATA
    found, blocks = study()
    named = texts(benchmark=HOSTILE, split="forget")
    evil = [row | {"benchmark": HOSTILE} for row in rows(REFERENCES | MODELS)]
    out = written(tmp_path, found + evil, *blocks, named, data=hostile, answer=HOSTILE, question=HOSTILE, label=HOSTILE)
    page, _ = page_of(out)
    assert page.runs_its_own_scripts()
    assert not [value for value in page.attributes("src") if not value.startswith("data:")]
    assert not [name for _, attrs in page.tags for name in attrs if name.startswith("on")]
    assert page.text.count(HOSTILE) > 20


def test_the_bytes_repeat(full, tmp_path):
    found, blocks = study()
    again = written(tmp_path, found, *blocks)
    for path in full.rglob("*.*"):
        assert path.read_bytes() == (again / path.relative_to(full)).read_bytes()
