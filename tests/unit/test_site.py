"""The documentation site: it builds without a broken link and a network, and its generated pages say what the code says."""

from __future__ import annotations

import math
import os
import re
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from muse_example import muse_rows, muse_scores
from run_example import SIZES, suite_rows

from palimpsest.benchmarks import kinds, suites
from palimpsest.benchmarks.muse.scores import read_items
from palimpsest.benchmarks.tofu.items import sets_from_table
from palimpsest.benchmarks.tofu.scores import tofu_scores
from palimpsest.cli import make_parser
from palimpsest.evaluation.metric import Metric
from palimpsest.methods import list_methods, load_method
from palimpsest.study import commands_page, files_page, method_pages, metrics_page, written
from palimpsest.study.stages import STAGES

ROOT = Path(__file__).resolve().parents[2]
PAGES = [*sorted((ROOT / "docs").rglob("*.md")), *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "config/README.md"))]


@pytest.fixture(autouse=True)
def _in_the_repository(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)


def build(config: Path, site: Path) -> subprocess.CompletedProcess[str]:
    pytest.importorskip("mkdocs", reason="mkdocs is not installed: pip install '.[docs]'")
    pytest.importorskip("material", reason="mkdocs-material is not installed: pip install '.[docs]'")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--config-file", str(config), "--site-dir", str(site)]
    return subprocess.run(command, capture_output=True, text=True, env=os.environ | {"NO_MKDOCS_2_WARNING": "1"}, check=False)


def test_it_builds_and_loads_nothing_from_a_network(tmp_path: Path) -> None:
    ran = build(ROOT / "mkdocs.yml", tmp_path)
    assert ran.returncode == 0, ran.stderr
    pages = {path.relative_to(tmp_path).as_posix(): path.read_text(encoding="utf-8") for path in tmp_path.rglob("*.html")}
    assert {"index.html", "reference/config.html", "contributing.html"} <= pages.keys()
    for name, text in pages.items():
        loaded = re.findall(r"<(?:script|img|iframe)[^>]+src=\"([^\"]+)|<link[^>]+href=\"([^\"]+)", text)
        assert not [link for pair in loaded for link in pair if link.startswith(("http", "//"))], name
        assert name.startswith("repository/") or r"\|" not in text, name
    # A linked file of the repository is shown on a page of the site.
    assert "ForgetBatch" in pages["repository/src/palimpsest/methods/base.py.html"]
    assert (tmp_path / "search/search_index.json").stat().st_size > 100_000


@pytest.mark.parametrize("link", ["quick-start.md#no-such-heading", "no-such-page.md", "../src/no_such_file.py"])
def test_a_link_that_leads_nowhere_fails_the_build(link: str, tmp_path: Path) -> None:
    docs = shutil.copytree(ROOT / "docs", tmp_path / "docs", ignore=shutil.ignore_patterns("*.csv"))
    page = docs / "faq.md"
    page.write_text(f"{page.read_text(encoding='utf-8')}\n[away]({link})\n", encoding="utf-8")
    config = {"INHERIT": str(ROOT / "mkdocs.yml"), "docs_dir": str(docs), "hooks": [str(ROOT / "docs/site.py")]}
    (tmp_path / "mkdocs.yml").write_text(yaml.safe_dump(config), encoding="utf-8")
    ran = build(tmp_path / "mkdocs.yml", tmp_path / "site")
    assert ran.returncode == 1
    assert "faq.md" in ran.stderr


def anchors(page: Path) -> set[str]:
    """Return the anchors that a forge gives to the headings of a page."""
    text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    headings = re.findall(r"^#+ (.+)$", text, flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_every_anchor_is_there_on_a_forge_too(page: Path) -> None:
    for path, anchor in re.findall(r"\]\((?!http)([^)#]*)#([^)]+)\)", page.read_text(encoding="utf-8")):
        assert anchor in anchors((page.parent / path).resolve() if path else page), f"{path}#{anchor}"


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_no_row_of_a_table_is_broken_into_lines(page: Path) -> None:
    assert not re.findall(r"^\|.*\n[^|\n].*", page.read_text(encoding="utf-8"), flags=re.MULTILINE)


@cache
def generated() -> dict[str, str]:
    return {
        metrics_page.PAGE: metrics_page.metrics_text(),
        files_page.PAGE: files_page.files_text(),
        commands_page.PAGE: commands_page.commands_text(make_parser()),
        **method_pages.method_pages(),
    }


def test_generated_pages_are_up_to_date() -> None:
    for path, text in generated().items():
        assert Path(path).read_text(encoding="utf-8") == text, f"{path}: run python -m palimpsest.study write"
    assert generated().keys() <= written.written().keys()


def test_our_numbers_of_a_method_have_no_row_without_a_number() -> None:
    assert not [path for path, text in method_pages.method_pages().items() if re.search(r"\bnan\b", text)]


def test_every_method_has_a_page_with_its_equation_differences_and_settings() -> None:
    for name in list_methods():
        page = ROOT / f"docs/methods/{name}.md"
        text = page.read_text(encoding="utf-8")
        assert text.startswith(f"# {load_method(name).label}\n"), name
        headings = re.findall(r"^## (.+)$", text, flags=re.MULTILINE)
        assert headings == ["Where paper and code differ", "Settings", "Published numbers", "Our numbers"], name
        assert "\n```\n" in text.partition("\n## ")[0], name
        assert all(f"| `{key}` | " in text for key in load_method(name).model_fields), name


METRICS = {kind: suites.load(kind, "scores").SCORING.metrics for kind in (*kinds.having("scores"), *suites.SHARED)}


def declared(kind: str) -> dict[str, Metric]:
    return {f"{metric.name}{suffix}": metric for metric in METRICS[kind] for suffix in metric.suffixes or [""]}


@pytest.mark.parametrize("kind", METRICS)
def test_every_metric_declares_how_it_is_computed(kind: str) -> None:
    for metric in METRICS[kind]:
        assert metric.formula and metric.bounds[0] < metric.bounds[1], metric.name
        assert metric.bounds != (-math.inf, math.inf) or kind == "lm-eval", metric.name


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("kind", ["tofu", "muse"])
def test_numbers_have_declared_names_and_lie_within_their_bounds(kind: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    if kind == "tofu":
        model, retrain = (
            sets_from_table(pd.DataFrame(suite_rows(rng, level, SIZES | {"holdout": 7})), "here") for level in (0.5, 2.0)
        )
        scores = tofu_scores(model, retrain, original=model)
    else:
        muse: list[Any] = [read_items(pd.DataFrame(muse_rows(rng, gap)), "here") for gap in (-2.0, 0.0)]
        scores = muse_scores(*muse, published_auc=0.5)
    found = {name: value for name, value in scores.items() if not name.endswith(("_low", "_high"))}
    needed = {
        name for name, metric in declared(kind).items() if "other_retrains" not in metric.compares_with and "unicode" not in name
    }
    assert needed <= found.keys() <= declared(kind).keys()
    for name, value in found.items():
        low, high = declared(kind)[name].bounds
        assert math.isnan(value) or low <= value <= high, name


def test_every_stage_and_every_column_is_explained() -> None:
    assert files_page.FILES.keys() == STAGES.keys()
    assert {column for _, columns in files_page.tables() for column in columns} == files_page.MEANINGS.keys()
