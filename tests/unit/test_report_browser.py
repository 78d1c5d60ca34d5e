"""The report in a browser: it sorts, filters, tells numbers, hides models, and hands out every table and figure."""

import csv
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from report_example import PLAIN, attacked, block, numbers, spec, write_summary

from palimpsest.report.report import write_report
from palimpsest.report.style import colour_of, dark_colours

CHROMIUM = Path("/usr/bin/chromium")
FIGURE = 'figure[data-figure="forget_quality_model_utility"]'
# Six methods: a table with enough rows to be filtered.
MORE = {
    name: {0: {"forget_quality": 7e-53, "model_utility": 0.3}, 1: {"forget_quality": 1e-9, "model_utility": 0.3}}
    for name in ("idk", "rkld")
}

# More names than fit beside each other on a narrow page.
ATTACKS = ["relearn-random", "relearn-shortest", "benign-retain", "benign-other"]

if not CHROMIUM.exists():
    pytest.skip("there is no /usr/bin/chromium", allow_module_level=True)
sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    folder = tmp_path_factory.mktemp("browser")
    models = PLAIN | MORE
    attacks = [row for attack in ATTACKS for row in attacked(attack=attack)]
    summary = write_summary(folder / "summary", numbers(models) + attacks)
    (folder / "report").mkdir()
    of = block(methods={name: {"default": {}} for name in models if name not in ("original", "retrain")}, attacks=ATTACKS)
    write_report(
        spec(of, attacks={name: {"select": "random", "training": {"epochs": 1}} for name in ATTACKS}), summary, folder / "report"
    )
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM))
        shown = browser.new_page(viewport={"width": 1400, "height": 900}, accept_downloads=True)
        shown.set_default_timeout(60_000)
        sync_api.expect.set_options(timeout=10_000)
        shown.failures = []
        shown.on("pageerror", lambda error: shown.failures.append(str(error)))
        shown.on("console", lambda told: shown.failures.append(told.text) if told.type in ("error", "warning") else None)
        shown.goto((folder / "report" / "report.html").as_uri())
        shown.wait_for_selector(f"{FIGURE}.drawn svg")
        yield shown
        browser.close()


def first_column(page: Any) -> list[str]:
    """The models of the main table that are shown, from top to bottom."""
    rows = page.locator("#summary table.numbers tbody tr:visible th").all_inner_texts()
    return [row.strip() for row in rows]


def saved(page: Any, selector: str, tmp_path: Path) -> tuple[str, bytes]:
    """Click, and return the name and the bytes of what is downloaded."""
    with page.expect_download() as download:
        page.locator(selector).first.click()
    path = tmp_path / download.value.suggested_filename
    download.value.save_as(path)
    return path.name, path.read_bytes()


def test_a_table_is_sorted_as_numbers_by_mouse_and_key(page: Any) -> None:
    original = first_column(page)
    head = page.locator("#summary table.numbers th button", has_text=re.compile(r"^Forget\s+quality"))
    head.click()
    # 0, then 1e-20 and 7e-53 by their means, as numbers and not as text.
    assert first_column(page) == ["GA", "Original", "IDK", "RKLD", "SimNPO", "NPO", "Retrain"]
    assert page.locator('#summary th[aria-sort="ascending"]').count() == 1
    head.focus()
    page.keyboard.press("Enter")
    assert first_column(page)[0] == "Retrain"
    page.keyboard.press("Enter")
    assert first_column(page) == original


def test_a_table_is_filtered_by_text(page: Any) -> None:
    field = page.locator('#summary input[type="search"]').first
    field.fill("npo")
    assert first_column(page) == ["NPO", "SimNPO"]
    assert page.locator("#summary .filter output").first.inner_text() == "2 of 7"
    field.fill("")
    assert len(first_column(page)) == 7


def test_a_mark_tells_its_numbers(page: Any) -> None:
    mark = page.locator(f'{FIGURE} svg g.mark-symbol path[fill="#0072B2"]').first
    mark.hover()
    told = page.locator("#vg-tooltip-element")
    told.wait_for(state="visible")
    text = told.inner_text()
    assert "NPO" in text and "Model utility" in text and "Forget quality" in text
    page.mouse.move(0, 0)


def test_a_seed_tells_where_its_model_lies(page: Any) -> None:
    folder = page.evaluate(f"JSON.stringify(JSON.parse(document.querySelector('{FIGURE} script').textContent))")
    assert '"folder":"tofu/x"' in folder


def test_a_legend_entry_hides_its_model_by_mouse_and_key(page: Any) -> None:
    marks = page.locator(f'{FIGURE} svg g.role-mark.mark-symbol path[fill="#0072B2"]')
    shown = marks.count()
    entry = page.locator(f'{FIGURE} [aria-label="Hide or show NPO"]')
    entry.click()
    # The entry itself stays.
    sync_api.expect(marks).to_have_count(1)
    entry.focus()
    page.keyboard.press("Enter")
    sync_api.expect(marks).to_have_count(shown)


def test_tables_and_figures_can_be_had_as_files(page: Any, tmp_path: Path) -> None:
    name, table = saved(page, '#summary .downloads a[download$=".csv"]', tmp_path)
    rows = list(csv.DictReader(table.decode().splitlines()))
    npo = next(row for row in rows if row["Model"] == "NPO")
    assert name.endswith(".csv") and (npo["Forget quality ↑"], npo["Forget quality ↑ sd"]) == ("0.70", "0.14")
    name, latex = saved(page, '#summary .downloads a[download$=".tex"]', tmp_path)
    assert name.endswith(".tex") and r"\toprule" in latex.decode()
    assert re.search(r"NPO & .*0\.70.* \$\\pm\$ 0\.14", latex.decode())
    name, svg = saved(page, f"{FIGURE} button:text-is('SVG')", tmp_path)
    assert name == "forget_quality_model_utility.svg" and svg.startswith(b"<svg")
    name, png = saved(page, f"{FIGURE} button:text-is('PNG')", tmp_path)
    assert name == "forget_quality_model_utility.png" and png.startswith(b"\x89PNG") and len(png) > 10_000


def test_figures_follow_the_dark_mode(page: Any) -> None:
    page.emulate_media(color_scheme="dark")
    page.wait_for_selector(f'{FIGURE} svg path[fill="{dark_colours()[colour_of("npo")]}"]')
    assert page.locator(f'{FIGURE} svg path[fill="#0072B2"]').count() == 0
    page.emulate_media(color_scheme="light")
    page.wait_for_selector(f'{FIGURE} svg path[fill="#0072B2"]')


def test_a_narrow_page_fits(page: Any) -> None:
    page.set_viewport_size({"width": 390, "height": 800})
    sync_api.expect(page.locator(f"{FIGURE} svg")).to_have_attribute("width", re.compile(r"(3[0-6]|[12]\d)\d"))
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    page.set_viewport_size({"width": 1400, "height": 900})


def test_a_narrow_figure_has_all_names(page: Any) -> None:
    page.set_viewport_size({"width": 390, "height": 800})
    page.locator('figure[data-figure="robustness"]').scroll_into_view_if_needed()
    for attack in ATTACKS:
        names = page.locator('figure[data-figure="robustness"] svg .mark-text.role-axis-label text', has_text=attack)
        sync_api.expect(names.first).to_have_attribute("transform", re.compile(r"rotate\(330"))
        sync_api.expect(names.first).to_have_attribute("opacity", "1")
    page.set_viewport_size({"width": 1400, "height": 900})


def test_nothing_failed_on_the_way(page: Any) -> None:
    assert page.failures == []
