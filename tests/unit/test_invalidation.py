"""The budget of reruns: the page says what an edit reruns, and a leaf reruns its own stage alone."""

import shutil
from pathlib import Path

import pytest

from palimpsest.methods import list_methods, module_name
from palimpsest.provenance.digest import code_digest, stage_module
from palimpsest.study.budget import PAGE, budget, budget_text
from palimpsest.study.files import read_configs
from palimpsest.study.stages import STAGES, Artefacts, own_module
from palimpsest.study.study import Study

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def reruns() -> dict[str, list[str]]:
    return budget()


def test_the_page_is_what_the_code_says() -> None:
    assert (ROOT / PAGE).read_text(encoding="utf-8") == budget_text(), "run: python -m palimpsest.study write"


def test_a_method_reruns_itself_and_what_has_its_loss(reruns: dict[str, list[str]]) -> None:
    for method in list_methods():
        stages = [each.partition(" (")[0] for each in reruns[module_name(method)]]
        assert stages == ["unlearn", "unlearn of markov"]
    # GradDiff has the loss of GA.
    assert reruns[module_name("ga")][0] == "unlearn (ga, graddiff)"
    assert reruns[module_name("simnpo")][0] == "unlearn (simnpo)"


def test_a_source_reruns_no_other(reruns: dict[str, list[str]]) -> None:
    assert reruns["palimpsest.benchmarks.muse.sources.austen"] == ["data (austen)"]
    assert reruns["palimpsest.benchmarks.tofu.sources.hub"] == ["data (hub)"]


def test_a_metric_that_needs_no_model_runs_no_model(reruns: dict[str, list[str]]) -> None:
    models = {stage for stage, row in STAGES.items() if row.is_measured}
    for name in ("rouge", "words", "memorisation", "privacy", "intervals", "parts"):
        woken = {each.partition(" ")[0] for each in reruns[f"palimpsest.metrics.{name}"]}
        assert "scores" in woken and not woken & models, name
    for kind in ("tofu", "muse", "documents"):
        assert not {each.partition(" ")[0] for each in reruns[f"palimpsest.benchmarks.{kind}.scores"]} & models


def test_a_page_of_the_report_reruns_the_report_alone(reruns: dict[str, list[str]]) -> None:
    files = [path for path in (ROOT / "src/palimpsest/report/questions").glob("*.py") if path.stem != "__init__"]
    assert files
    assert {path.stem: reruns[f"palimpsest.report.questions.{path.stem}"] for path in files} == {
        path.stem: ["report"] for path in files
    }
    assert reruns["palimpsest.report.samples"] == ["report"]


def test_what_plans_and_audits_reruns_nothing(reruns: dict[str, list[str]]) -> None:
    for module in ("palimpsest.study.stages", "palimpsest.study.specs", "palimpsest.study.rules"):
        assert not {*reruns[module]} & STAGES.keys()
    assert all(not of for module, of in reruns.items() if module.startswith("palimpsest.audit"))


def test_plumbing_reruns_nothing(reruns: dict[str, list[str]]) -> None:
    """Nothing that only says, waits, fetches or locks."""
    for name in (
        "arguments",
        "contract.job",
        "contract.folders",
        "environment",
        "errors",
        "faults",
        "hub",
        "interruption",
        "progress",
    ):
        assert reruns[f"palimpsest.{name}"] == [], name


@pytest.mark.parametrize(
    ("path", "old", "new", "woken"),
    [
        ("models/loading.py", "has no EOS token, but every answer must end with one", "has no EOS token", set()),
        ("training/loop.py", "import logging\nimport math\n", "import math\nimport logging\n", set()),
        ("training/loop.py", "model: nn.Module,", 'model: "nn.Module",', set()),
        ("hub.py", "TIMEOUT = 10.0", "TIMEOUT = 60.0", set()),
        ("progress.py", "SECONDS_BETWEEN_LINES = 15.0", "SECONDS_BETWEEN_LINES = 5.0", set()),
        ("training/schedule.py", "max(0.0,", "max(0.1,", {"base", "finetune", "given", "reinforce", "unlearn"}),
        ("stages/select.py", "from palimpsest", "ONE = 1\nfrom palimpsest", {"select"}),
    ],
)
def test_an_edit_wakes_its_stages(tmp_path: Path, path: str, old: str, new: str, woken: set[str]) -> None:
    shutil.copytree(ROOT / "src/palimpsest", tmp_path / "palimpsest")
    edited = tmp_path / "palimpsest" / path
    assert old in edited.read_text(encoding="utf-8")
    edited.write_text(edited.read_text(encoding="utf-8").replace(old, new), encoding="utf-8")
    # The general code of each stage, without that of a method, an attack, a source or a suite.
    stages = {stage: stage_module(row.module or stage) for stage, row in STAGES.items() if not row.is_brought}
    assert {stage for stage, module in stages.items() if code_digest(module) != code_digest(module, root=tmp_path)} == woken


@pytest.mark.parametrize("name", ["test/tiny", "test/corpus", "test/markov"])
def test_the_budget_has_every_module_that_the_code_of_a_job_names(reruns: dict[str, list[str]], name: str) -> None:
    study = Study(read_configs([ROOT / "config" / f"{name}.yaml"]))
    for node in Artefacts(study).nodes.values():
        own = f"{node.stage} of {node.of.benchmark}" if own_module(study, node) else node.stage
        for module in STAGES[node.stage].modules(study, node):
            assert own in {each.partition(" (")[0] for each in reruns[module]}, module
