"""`palimpsest describe`: the methods section states the settings of the config and cites existing entries."""

import json
import re
from pathlib import Path

import pytest
import yaml

from palimpsest.attacks import list_attacks
from palimpsest.benchmarks import kinds, suites
from palimpsest.cli import main
from palimpsest.export.citations import WORKFLOW, bibliography, cited_for, entries, read_entries
from palimpsest.methods import list_methods

ROOT = Path(__file__).resolve().parents[2]
# A suite in a test of the kind of benchmark that it measures; all else is cited by its own name.
NAMED = [
    *(f"method:{name}" for name in list_methods()),
    *(f"attack:{name}" for name in list_attacks()),
    *(f"benchmark:{name}" for name in kinds.packages()),
    *(f"suite:{name}" for name in suites.SETTINGS),
    "training:sharpness",
    "training:projected",
    WORKFLOW,
]


@pytest.mark.parametrize("name", NAMED)
def test_everything_that_a_study_can_use_is_cited(name: str) -> None:
    assert cited_for([name])


def test_every_entry_is_cited_for_something_that_exists_and_is_whole() -> None:
    for entry in entries().values():
        assert entry.cited_for and set(entry.cited_for) <= set(NAMED), entry.key
        assert re.fullmatch(r"[a-z]+(19|20)\d\d[a-z]+", entry.key)
        fields = dict(re.findall(r"^  (\w+) = \{(.*)\},$", entry.text, re.MULTILINE))
        assert {"title", "author", "year"} <= fields.keys() and "keywords" not in fields
        assert fields["year"] in entry.key
        assert all(value.count("{") == value.count("}") for value in fields.values())
        assert any(re.search(r"arXiv:\d{4}\.\d{5}", value) for value in fields.values()) or {"doi", "pages"} & fields.keys()
        # The arXiv id has the year in which the text appeared: that of the entry, or an earlier one for a proceedings.
        for year, month in re.findall(r"arXiv:(\d\d)(\d\d)\.", entry.text):
            assert 1 <= int(month) <= 12 and int(f"20{year}") <= int(fields["year"]) <= int(f"20{year}") + 1


def test_no_two_entries_of_a_file_have_one_key() -> None:
    text = (ROOT / "src/palimpsest/export/references.bib").read_text(encoding="utf-8")
    assert len(read_entries(text)) == len(entries()) == text.count("\n@")


def test_another_package_brings_its_own_entries(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    package = tmp_path / "mine_of_my_own"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "references.bib").write_text("@misc{me2026mine,\n  title = {Mine},\n  keywords = {method:mine},\n}\n")
    monkeypatch.syspath_prepend(tmp_path)

    class Point:
        value = "mine_of_my_own"

    monkeypatch.setattr("palimpsest.export.citations.entry_points", lambda group: [Point] if "references" in group else [])
    entries.cache_clear()
    try:
        assert cited_for(["method:mine"]) == ["me2026mine"]
        assert bibliography(["me2026mine"]) == "@misc{me2026mine,\n  title = {Mine},\n}"
    finally:
        entries.cache_clear()


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "config.yaml").write_text((ROOT / "config.yaml").read_text(encoding="utf-8"), encoding="utf-8")
    block = {"benchmark": "tofu", "splits": ["forget10"], "models": ["tiny"], "seeds": [0, 3], "suites": ["tofu"]}
    mine = {
        "extends": "config.yaml",
        "study": "mine_50",
        "description": "SimNPO and a selected NPO.",
        "results": "results-mine",
        "methods": {"tofu/*/tiny/simnpo": {"beta": 3.25}},
        "variants": {"tofu/*/tiny/simnpo": {"own": {"sharpness": 0.01, "gradients": "projected"}}},
        "grids": {"tofu/*/*/npo": {"beta": [0.05, 0.2]}},
        "selections": {"tofu/*/*/npo": {"seeds": [7], "suite": "tofu"}},
        "blocks": [block | {"methods": [{"simnpo": ["default", "own"]}, {"npo": ["selected"]}], "attacks": ["relearn-random"]}],
    }
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(mine), encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def described(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert main(["describe", "mine.yaml", *arguments]) == 0
    return capsys.readouterr().out


def test_the_section_says_what_the_config_says(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = described(capsys)
    simnpo, own = [line for line in text.splitlines() if line.startswith("- SimNPO")]
    assert simnpo.startswith("- SimNPO [@fan2024simnpo]: beta 3.25, gamma 0, ")
    assert own.startswith("- SimNPO [@fan2024simnpo] own: beta 3.25, ") and "gradients `projected`, sharpness 0.01, " in own
    assert own.endswith(" [@fan2025towards; @foret2021sharpness; @wang2025gru].")
    assert "- NPO [@zhang2024npo] (selected): the selected settings." in text
    assert "- NPO (selected) was selected for the highest forget quality among the trials and epochs that keep 95% " in text
    assert "with seed 7. These are the very questions that are scored here, with other seeds" in text
    assert "- tofu, of kind tofu [@maini2024tofu], from the source world: " in text and "forget sets: forget10." in text
    assert "- relearn-random [@fan2024simnpo; @hu2025relearning]: data `forget`, select `random`, fraction 0.2, draws 5, " in text
    assert "- tofu / forget10 / tiny: 0 and 3." in text
    assert "Forget quality, Dist. per question, " in text and "↑" not in text
    assert "there are no results yet" in text


def test_the_bibliography_has_exactly_what_is_cited(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = described(capsys)
    body, bibtex = text.split("```bibtex")
    cited = {key for found in re.findall(r"\[(@[^\]]+)\]", body) for key in re.findall(r"@([\w]+)", found)}
    assert cited == set(re.findall(r"^@\w+\{(\w+),", bibtex, re.MULTILINE))
    assert {"fan2024simnpo", "zhang2024npo", "maini2024tofu", "molder2021snakemake"} <= cited
    assert not {"wang2024rkld", "li2024wmdp", "shi2024muse"} & cited


def test_latex_cites_the_same_and_escapes_names(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    markdown, latex = described(capsys), described(capsys, "--format", "latex")
    cited = {key for keys in re.findall(r"\\citep\{([^}]+)\}", latex) for key in keys.split(",")}
    assert cited == set(re.findall(r"^@\w+\{(\w+),", markdown, re.MULTILINE))
    body = latex.partition("% @")[0]
    assert "``mine\\_50''" in body and r"\texttt{random}" in body and "`random`" not in body
    assert re.search(r"(?<!\\)[%&#_]", re.sub(r"\\citep\{[^}]+\}", "", body)) is None
    assert body.count(r"\begin{itemize}") == body.count(r"\end{itemize}") > 3


def test_finished_results_add_hardware_versions_and_commit(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "results-mine/logs").mkdir(parents=True)
    assert "there are no results yet" in described(capsys)
    for name, device in (("data", "cpu"), ("model", "NVIDIA H200")):
        folder = here / "results-mine" / name
        folder.mkdir(parents=True)
        (folder / "manifest.json").write_text("{}")
        found = {"commit": "c0ffee", "cpu": "EPYC", "device": device, "python": "3.11.7", "packages": {"torch": "2.13.0"}}
        (folder / "environment.json").write_text(json.dumps(found))
    assert "with commit c0ffee on EPYC and NVIDIA H200, with Python 3.11.7, torch 2.13.0." in described(capsys)


def test_a_wrong_config_is_one_line(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = "{extends: config.yaml, study: mine, description: x, results: results, methods: {'tofu/*/*/simnpo': {beta: 0.0}}}"
    (here / "mine.yaml").write_text(text, encoding="utf-8")
    assert main(["describe", "mine.yaml"]) == 2
    error = capsys.readouterr().err
    assert error.startswith("palimpsest describe: ") and "beta: 0.0" in error and error.count("\n") == 1
    assert main(["describe", "gone.yaml"]) == 2
    assert "gone.yaml" in capsys.readouterr().err
