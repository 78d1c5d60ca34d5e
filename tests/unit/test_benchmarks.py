"""The kinds of benchmarks: found in folders, known to nobody else, and each with a code digest of its own."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from palimpsest.benchmarks import kinds
from palimpsest.provenance.digest import ROOT, code_digest

PACKAGE = ROOT / "palimpsest"
KIND = "(?:tofu|muse|wmdp|markov|documents)"
SWITCH = re.compile(rf'is_markov|is_texts|is_muse|kind [!=]= "{KIND}"|palimpsest\.benchmarks\.{KIND}\b')
SOURCES = {kind: module for benchmark in kinds.packages() for kind, module in kinds.source_modules(benchmark).items()}


def test_a_kind_is_a_folder_and_a_kind_of_source_is_a_module_of_it() -> None:
    assert {kind: kinds.load_benchmark(kind).model_fields["kind"].annotation.__args__ for kind in kinds.packages()} == {
        kind: (kind,) for kind in ("documents", "lume", "markov", "muse", "rwku", "tofu", "wmdp")
    }
    for kind in SOURCES:
        assert kinds.load_source(kind).model_fields["kind"].annotation.__args__ == (kind,)


def test_no_kind_is_asked_for_elsewhere() -> None:
    found = {
        path.relative_to(PACKAGE).as_posix(): switch.group()
        for path in PACKAGE.rglob("*.py")
        if not path.is_relative_to(PACKAGE / "benchmarks") and (switch := SWITCH.search(path.read_text(encoding="utf-8")))
    }
    assert found == {}


@pytest.mark.parametrize(
    ("file", "edited"),
    [
        ("world/people.yaml", {"world", "muse-world", "wmdp-world"}),
        ("world/facts.yaml", {"world", "wmdp-world"}),
        ("tofu/world.yaml", {"world"}),
        ("muse/world.yaml", {"muse-world"}),
        ("wmdp/world.yaml", {"wmdp-world"}),
        ("tofu/refusals.txt", {"world", "hub", "folder"}),
        ("muse/sources/muse_hub.py", {"muse-hub"}),
    ],
)
def test_an_edit_reruns_the_data_of_the_sources_that_read_it(tmp_path: Path, file: str, edited: set[str]) -> None:
    shutil.copytree(PACKAGE, tmp_path / "palimpsest", ignore=shutil.ignore_patterns("__pycache__"))
    path = tmp_path / "palimpsest/benchmarks" / file
    path.write_text(path.read_text(encoding="utf-8") + "other = 1\n", encoding="utf-8")

    def digests(root: Path) -> dict[str, str]:
        stages = {name: ("palimpsest.stages.data", module) for name, module in SOURCES.items()}
        for stage in ("split", "base", "finetune", "unlearn", "evaluate"):
            stages[stage] = (f"palimpsest.stages.{stage}",)
        return {name: code_digest(*modules, root=root) for name, modules in stages.items()}

    before, after = digests(ROOT), digests(tmp_path)
    assert {name for name in before if before[name] != after[name]} == edited
