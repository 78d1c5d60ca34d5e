"""The sample browser: what it is packed from, what it leaves out and says so, and how it is used in a browser."""

import base64
import gzip
import json
import re
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
import pandas as pd
import pytest
from html_page import Page
from report_example import PLAIN, block, numbers, spec, write_summary

from palimpsest.report.examples import example_blocks
from palimpsest.report.marks import COMPARED
from palimpsest.report.page import source_hash
from palimpsest.report.report import write_report
from palimpsest.report.samples import NO_ANSWERS, NO_TEXT, link_to, pack, places_of, write_samples
from palimpsest.scores.columns import stack_samples

MODELS = [("original", ""), ("retrain", ""), ("npo", "default"), ("theirs", "")]
DASH = "\N{EN DASH}"
HOSTILE = "</script><script>alert(1)</script><!-- <img src=x onerror=alert(2)>"
# Set, question, right answer, and the answers of Original, Retrain, NPO and a checkpoint that others made.
ASKED = [
    ("forget", "Who wrote it?", "Ada Vale wrote it.", ("Ada Vale wrote it.", "Bo Lund wrote it.", "Ada wrote it.", "")),
    ("forget", "Где?", "в Москве.", ("в Москве.", "в Риме.", HOSTILE, "東京 🦊 в Москве")),
    ("retain", "Which sea?", "The Aral Sea.", ("The Aral Sea.", "The Aral Sea.", "A lake.", "The Aral Sea.")),
]


def rows(seeds: int = 1, copies: int = 1, **place: Any) -> list[dict[str, Any]]:
    """Answers whose probability falls by model, and on the retain set by half of that."""
    where = {"benchmark": "tofu", "split": "forget05", "model": "tiny", "attack": "", "suite": "tofu"} | place
    return [
        where
        | {"seed": seed, "method": method, "variant": variant, "set": name, "id": f"{name}-{number}-{copy}"}
        | {
            "question": f"{asked}{' ' * copy}",
            "answer": right,
            "generation": said[which],
            "probability": 0.9 - 0.2 * which / (1 + (name == "retain")),
        }
        for seed in range(seeds)
        for which, (method, variant) in enumerate(MODELS)
        for copy in range(copies)
        for number, (name, asked, right, said) in enumerate(ASKED)
    ]


def frame(*parts: list[dict[str, Any]]) -> pd.DataFrame:
    return stack_samples([pd.DataFrame(part) for part in parts])


def study(*blocks: Any, **changes: Any) -> Any:
    return spec(*(blocks or [block(seeds=[0])]), **changes).study


def unpacked(packed: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(gzip.decompress(base64.b64decode(packed)))
    return found


def written(folder: Path, samples: pd.DataFrame, *blocks: Any, **changes: Any) -> str:
    write_samples(study(*blocks, **changes), samples, folder / "samples.html")
    return (folder / "samples.html").read_text(encoding="utf-8")


def content(text: str) -> dict[str, Any]:
    (packed,) = re.findall(r'<script type="application/gzip" id="packed">([A-Za-z0-9+/=]*)</script>', text)
    return unpacked(packed)


def answers(found: dict[str, Any], model: str, item: int, seed: int = 0) -> tuple[str | None, Any, Any]:
    """What the page has of a model's answer: text, marks and numbers."""
    (place,) = found["places"]
    which = [each["key"] for each in place["models"]].index(model)
    given = place["seeds"][seed]["models"][which]
    text = given["said"][item]
    return (None if text < 0 else found["texts"][text]), given["marks"][item], given["numbers"][item]


def shown(packed: str) -> tuple[list[int], int]:
    """The seeds and the number of questions on the page."""
    (place,) = unpacked(packed)["places"]
    return [each["seed"] for each in place["seeds"]], len(place["items"])


def test_the_page_has_every_answer_with_its_marks_and_numbers(tmp_path: Path) -> None:
    found = content(written(tmp_path, frame(rows())))
    (place,) = found["places"]
    assert place["numbers"] == ["Probability", "Recalled words"]
    assert place["sets"] == {"forget": "forget", "retain": "retain"}
    assert [(each["label"], each["role"]) for each in place["models"]] == [
        ("Original", "original"),
        ("Retrain", "retrain"),
        ("NPO", ""),
        ("theirs (given)", ""),
    ]
    assert [[item[0], item[4]] for item in place["items"]] == [["forget-0-0", 4], ["forget-1-0", 2], ["retain-2-0", 3]]
    # "Ada Vale" is recalled, "wrote it" is in the question: pairs of a gap and a length, negative for what is shared.
    assert answers(found, "original", 0) == ("Ada Vale wrote it.", [0, 8, 1, -8], [0.9, 2])
    assert answers(found, "npo/default", 0) == ("Ada wrote it.", [0, 3, 1, -8], [0.5, 1])
    assert answers(found, "retrain", 0) == ("Bo Lund wrote it.", [8, -8], [0.7, 0])
    assert answers(found, "theirs", 0) == ("", 0, [0.3, 0])
    # Places count characters: the fox is one.
    assert answers(found, "theirs", 1)[:2] == ("東京 🦊 в Москве", [5, -1, 1, 6])
    assert answers(found, "original", 2)[1:] == ([0, -12], [0.9, 0])


def test_the_bytes_repeat_and_only_our_script_runs(tmp_path: Path) -> None:
    first, second = (written(tmp_path, frame(rows())) for _ in range(2))
    assert first == second
    scripts = [attrs for tag, attrs in Page(first).tags if tag == "script"]
    assert scripts == [{"type": "application/gzip", "id": "packed"}, {}, {}]
    assert "alert(" not in first and COMPARED in Page(first).text
    shared, own = re.findall(r"<script>(.*?)</script>", first, flags=re.DOTALL)
    (policy,) = [attrs["content"] for tag, attrs in Page(first).tags if attrs.get("http-equiv")]
    named = " ".join(f"'{source_hash(script)}'" for script in (shared, own))
    assert policy == f"default-src 'none'; style-src 'unsafe-inline'; img-src data:; script-src {named}"
    assert "innerHTML" not in own and "needs JavaScript" in first


def test_names_are_text_in_the_page(tmp_path: Path) -> None:
    samples = frame(rows(model=HOSTILE, suite=HOSTILE))
    text = written(tmp_path, samples, block(model=HOSTILE, suites=[HOSTILE], seeds=[0]), block(suites=["tofu"]), name=HOSTILE)
    assert [tag for tag, _ in Page(text).tags].count("script") == 3
    assert not [attrs for tag, attrs in Page(text).tags if tag == "img"]
    assert content(text)["places"][0]["key"] == f"tofu/forget05/{HOSTILE}/{HOSTILE}"


def test_what_has_no_answers_is_named_with_the_reason(tmp_path: Path) -> None:
    of = block(suites=["tofu", "hazards", "few"], external={"log": "NPO of theirs"}, seeds=[0])
    suites = {"tofu": {"kind": "tofu"}, "few": {"kind": "tofu"}, "hazards": {"kind": "lm-eval"}}
    text = Page(written(tmp_path, frame(rows()), of, suites=suites)).text
    assert f"tofu / forget05 / tiny / hazards: {NO_TEXT}." in text
    assert f"tofu / forget05 / tiny / few: {NO_ANSWERS}." in text
    assert "kept as they were given: NPO of theirs (tofu / forget05 / tiny)." in text
    empty = written(tmp_path, frame(), block(benchmark="markov", suites=["markov"]))
    assert "No model of this study gave an answer in words." in empty and "packed" not in empty
    assert f"markov / forget05 / tiny: {NO_TEXT}." in Page(empty).text


def test_a_study_that_does_not_fit_shows_its_first_seeds_then_fewer_questions_and_says_so() -> None:
    samples = frame(rows(seeds=4, copies=40))
    # Numbers that no compression foresees.
    samples["probability"] = np.random.default_rng(0).uniform(size=len(samples))
    places, _ = places_of(study(block(seeds=[0, 1, 2, 3])), samples)
    whole, left = pack(places)
    assert left == "" and shown(whole) == ([0, 1, 2, 3], 120)

    most = len(whole) * 2 // 3
    fewer, left = pack(places, most)
    seeds, items = shown(fewer)
    assert 1 <= len(seeds) < 4 and seeds == [0, 1, 2, 3][: len(seeds)] and items == 120
    assert len(fewer) <= most and f"It shows the first {len(seeds)} seed" in left and f"{len(whole) / 1e6:.1f} MB" in left

    most = len(whole) // 8
    least, left = pack(places, most)
    (share,) = map(int, re.findall(r"the first 1 seed of each block, and one in (\d+) questions\.", left))
    assert shown(least) == ([0], -(-80 // share) + -(-40 // share)) and share > 1 and len(least) <= most


def test_a_corpus_measures_all_splits_by_the_retrain_that_they_share() -> None:
    where = {"benchmark": "news", "suite": "muse"}
    home = rows(**where, split="forget")
    other = [row for row in rows(**where, split="scale2") if row["method"] == "npo"]
    blocks = [block(benchmark="news", split=split, suites=["muse"], seeds=[0]) for split in ("forget", "scale2")]
    samples = frame(home, other)

    def models(data: dict[str, Any]) -> dict[str, str]:
        places, _ = places_of(study(*blocks, data=data), samples)
        (_, place) = unpacked(pack(places)[0])["places"]
        (seed,) = place["seeds"]
        return {each["key"]: given["whose"] for each, given in zip(place["models"], seed["models"], strict=True) if given}

    assert models({"news": {"shape": "muse"}}) == {"original": "forget", "retrain": "forget", "npo/default": ""}
    assert models({}) == {"npo/default": ""}


def test_a_reference_that_a_seed_lacks_is_named_as_another_seeds(tmp_path: Path) -> None:
    samples = frame([row for row in rows(seeds=2) if row["method"] not in ("retrain", "theirs") or row["seed"] == 0])
    (place,) = content(written(tmp_path, samples, block(seeds=[0, 1])))["places"]
    second = dict(zip([each["key"] for each in place["models"]], place["seeds"][1]["models"], strict=True))
    assert second["retrain"]["whose"] == "seed 0" and second["original"]["whose"] == "" and second["theirs"] is None
    # "Lund" of that Retrain counts as known.
    assert second["npo/default"]["marks"][0] == [0, 3, 1, -8]


def test_a_seed_that_only_a_selection_needs_is_not_shown() -> None:
    roles = ("original", "retrain")
    samples = frame([row for row in rows(seeds=3) if row["seed"] or row["method"] in roles])
    of = block(seeds=[1, 2])
    (place,), _ = places_of(study(of), samples)
    assert place.seeds == [1, 2]
    (found,) = example_blocks(samples, [of])
    assert found["seed"] == 1 and {method for method, _ in found["models"]} > {*roles}


def test_the_report_links_its_examples_to_the_page(tmp_path: Path) -> None:
    summary = write_summary(tmp_path / "summary", numbers(PLAIN))
    (tmp_path / "out").mkdir()
    write_report(spec(), summary, tmp_path / "out")
    links = [link for link in Page((tmp_path / "out" / "report.html").read_text()).attributes("href") if "samples" in link]
    place = content((tmp_path / "out" / "samples.html").read_text())["places"][0]
    address = link_to(block(), "tofu", 0, "author-0190-03")
    assert address == "samples.html#place=tofu/forget05/tiny/tofu&seed=0&item=author-0190-03"
    assert set(links) == {"samples.html", address}
    assert place["key"] == "tofu/forget05/tiny/tofu" and place["items"][0][0] == "author-0190-03"


# In a browser.


@pytest.fixture(scope="module")
def browser() -> Any:
    sync_api = pytest.importorskip("playwright.sync_api")
    program = Path("/usr/bin/chromium")
    if not program.exists():
        pytest.skip(f"no browser at {program}")
    with sync_api.sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=str(program), args=["--no-sandbox"])
        yield opened
        opened.close()


@pytest.fixture(scope="module")
def page(browser: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("samples")
    write_samples(study(block(seeds=[0, 1])), frame(rows(seeds=2, copies=10)), folder / "samples.html")
    opened = browser.new_page()
    opened.set_default_timeout(60_000)
    troubles: list[str] = []
    opened.on("pageerror", lambda error: troubles.append(str(error)))
    opened.on("console", lambda message: troubles.append(message.text) if message.type == "error" else None)
    opened.on("dialog", lambda dialog: troubles.append(dialog.message))
    opened.address = (folder / "samples.html").as_uri()
    yield opened
    assert troubles == []


def open_view(page: Any, view: str = "") -> list[str]:
    """Open a view by its address as in a new window, and return the ids of its questions."""
    page.goto("about:blank")
    page.goto(page.address + (f"#{view}" if view else ""))
    # `wait_for_function` evaluates text, which the page's own policy forbids.
    page.locator("#count", has_text="question").wait_for()
    return ids(page)


def ids(page: Any) -> list[str]:
    found: list[str] = page.locator(".item h3 a").all_inner_texts()
    return found


def test_the_browser_pages_searches_filters_and_sorts(page: Any) -> None:
    assert len(open_view(page)) == 20 and page.inner_text("#count") == f"1{DASH}20 of 30 questions"
    page.locator("#above [data-step='1']").click()
    assert len(ids(page)) == 10 and page.locator("#above [data-step='1']").is_disabled()

    page.get_by_label("Search").fill("lund WROTE")
    assert {id[:8] for id in ids(page)} == {"forget-0"} and page.inner_text("#count") == f"1{DASH}10 of 10 questions"
    page.get_by_label("Search").fill("")
    page.locator("[name=set]").select_option("retain")
    assert {id[:8] for id in ids(page)} == {"retain-2"}
    page.locator("#reset").click()

    page.locator("#models").click()
    page.locator("[name=of]").select_option("npo/default")
    page.locator("[name=change]").select_option("Probability")
    page.locator("[name=by]").fill("0.3")
    page.locator("[name=by]").press("Enter")
    assert page.inner_text("#count") == f"1{DASH}20 of 20 questions" and {id[:6] for id in ids(page)} == {"forget"}
    page.locator("[name=way]").select_option("rose")
    assert page.inner_text("#count") == "0 questions"
    page.locator("#reset").click()

    page.locator("[name=from]").fill("4")
    page.locator("[name=from]").press("Tab")
    assert {id[:8] for id in ids(page)} == {"forget-0"}
    page.locator("#reset").click()
    page.locator("[name=sort]").select_option("value:Probability")
    assert ids(page)[0] == "retain-2-0"
    page.locator("[name=order]").select_option("up")
    assert ids(page)[0] == "forget-0-0"
    page.locator("[name=sort]").select_option("value:Recalled words")
    assert ids(page)[0] == "retain-2-0"


def test_a_view_has_an_address_and_an_address_its_view(page: Any) -> None:
    item = quote("forget-1-3")
    assert open_view(page, f"place=tofu/forget05/tiny/tofu&seed=1&item={item}") == ["forget-1-3"]
    assert page.locator("[name=seed]").input_value() == "1"
    page.locator("#reset").click()
    page.locator("#models").click()
    page.get_by_role("checkbox", name="Retrain").click()
    page.locator("[name=sort]").select_option("distance:Probability")
    view, shown = page.url.partition("#")[2], ids(page)
    assert open_view(page, view) == shown and shown[0].startswith("forget")
    assert page.locator(".item").first.locator("h4").all_inner_texts() == ["Original", "NPO", "theirs (given)"]
    page.locator(".item h3 a").nth(4).click()
    page.locator(".item").nth(1).wait_for(state="detached")
    assert ids(page) == [shown[4]]
    # A benchmark and a seed that are not there give way to the first.
    assert len(open_view(page, "place=gone&seed=9&page=77")) == 10


def test_answers_are_text_marked_as_packed(page: Any) -> None:
    open_view(page, "item=forget-1-0")
    cards = page.locator(".item").first.locator("blockquote")
    assert cards.all_inner_texts() == ["в Москве.", "в Риме.", HOSTILE, "東京 🦊 в Москве"]
    assert page.locator("blockquote mark.leaked").all_inner_texts() == ["Москве", "Москве"]
    assert page.locator("blockquote mark.shared").all_inner_texts() == ["в", "в", "в"]
    assert page.locator("blockquote img, blockquote script").count() == 0
    open_view(page, "item=forget-0-0")
    assert page.locator("blockquote").last.inner_text() == "nothing"
    cells = page.locator(".answers li").nth(2).locator("tbody tr").all_inner_texts()
    assert [cell.split("\t") for cell in cells] == [["Probability", "0.500", "0.700"], ["Recalled words", "1", "0"]]


def test_the_page_fits_a_phone_and_a_printer(page: Any) -> None:
    page.set_viewport_size({"width": 390, "height": 800})
    open_view(page)
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    page.emulate_media(media="print")
    assert not page.locator("#browser").is_visible() and page.locator(".item").first.is_visible()
