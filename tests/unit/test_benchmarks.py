"""The kinds of benchmarks: found in folders, known to nobody else, and each with a code digest of its own."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from palimpsest.benchmarks import kinds
from palimpsest.provenance.digest import ROOT, code_digest

PACKAGE = ROOT / "palimpsest"
# Parts of the package that still ask which benchmark they have before them: the list only gets shorter.
UNCONVERTED = (
    "cli.py",
    "config/models.py",
    "planning.py",
    "report/questions/halves.py",
)
KIND = "(?:tofu|muse|wmdp|markov)"
SWITCH = re.compile(rf'is_markov|is_texts|is_muse|kind [!=]= "{KIND}"|palimpsest\.benchmarks\.{KIND}\b')
SOURCES = {kind: module for benchmark in kinds.packages() for kind, module in kinds.source_modules(benchmark).items()}


def test_a_kind_is_a_folder_and_a_kind_of_source_is_a_module_of_it() -> None:
    assert {kind: kinds.load_benchmark(kind).model_fields["kind"].annotation.__args__ for kind in kinds.packages()} == {
        kind: (kind,) for kind in ("markov", "muse", "tofu", "wmdp")
    }
    for kind in SOURCES:
        assert kinds.load_source(kind).model_fields["kind"].annotation.__args__ == (kind,)


def test_no_kind_is_asked_for_elsewhere() -> None:
    found = {
        path.relative_to(PACKAGE).as_posix(): switch.group()
        for path in PACKAGE.rglob("*.py")
        if not path.is_relative_to(PACKAGE / "benchmarks") and (switch := SWITCH.search(path.read_text(encoding="utf-8")))
    }
    converted = {path: switch for path, switch in found.items() if not path.startswith(UNCONVERTED)}
    assert converted == {}
    assert {part for part in UNCONVERTED if any(path.startswith(part) for path in found)} == {*UNCONVERTED}


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


OUTSIDE = {
    "riddles/__init__.py": "",
    "riddles/benchmark.py": """
from typing import ClassVar, Literal
from palimpsest.benchmarks.base import SourcedBenchmark

class RiddleBenchmark(SourcedBenchmark):
    suite_kinds: ClassVar = ("tofu",)
    kind: Literal["riddles"]

    @property
    def split_names(self) -> str:
        return "hard"

    def has_split(self, split: str) -> bool:
        return split == "hard"
""",
    "riddles/splits.py": """
def cut(data, split, settings, out):
    for name in ("forget", "retain"):
        (out / f"{name}.jsonl").write_bytes((data / f"{name}.jsonl").read_bytes())
""",
    "riddles/sources/__init__.py": "",
    "riddles/sources/riddle_book.py": """
from dataclasses import dataclass, field
from typing import ClassVar, Literal
from palimpsest.benchmarks.base import Source
from palimpsest.data.rows import Pair, write_sets

@dataclass
class Book:
    origin: dict = field(default_factory=dict)

    def write(self, directory):
        return write_sets(directory, {name: [Pair(id=name, question="What?", answer="That.")] for name in ("forget", "retain")})

class BookSource(Source):
    sets: ClassVar = ("forget", "retain")
    kind: Literal["riddle-book"]

    def read(self):
        return Book()
""",
    "riddles-1.dist-info/METADATA": "Metadata-Version: 2.1\nName: riddles\nVersion: 1\n",
    "riddles-1.dist-info/entry_points.txt": "[palimpsest.benchmarks]\nriddles = riddles\n",
}


def test_another_distribution_brings_a_benchmark(tmp_path: Path) -> None:
    for name, text in OUTSIDE.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
    environment = os.environ | {"PYTHONPATH": f"{ROOT}{os.pathsep}{tmp_path}"}

    def run(*command: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, *command], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
        )

    config = {
        "study": "outside",
        "sources": {"book": {"kind": "riddle-book"}},
        "benchmarks": {"riddles": {"kind": "riddles", "source": "book"}},
        "models": {"tiny": {"kind": "tiny"}},
        "suites": {"tofu": {"kind": "tofu"}},
        "blocks": [{"benchmark": "riddles", "splits": ["hard"], "models": ["tiny"], "seeds": [0], "suites": ["tofu"]}],
    }
    counted = "print(len(Study(json.loads(sys.argv[1])).subjects.evaluated))"
    code = f"import sys, json; from palimpsest.config.study import Study; {counted}"
    planned = run("-c", code, json.dumps(config))
    assert planned.stdout == "2\n", planned.stderr
    easy = json.dumps(config).replace('"hard"', '"easy"')
    refused = run("-c", code, easy).stderr
    assert "config: blocks[0]: splits: 'easy' is not a split of riddles, which is of kind riddles: hard" in refused

    def stage(name: str, spec: dict[str, object], *inputs: str) -> None:
        arguments = ["--spec", json.dumps(spec), "--out", f"{name}/manifest.json", *inputs]
        done = run("-m", f"palimpsest.stages.{name}", *arguments)
        assert done.returncode == 0, done.stderr

    stage("data", {"benchmark": "riddles", "source": {"kind": "riddle-book"}})
    stage("split", {"kind": "riddles", "split": "hard"}, "--in", "data=data/manifest.json")
    assert (tmp_path / "split/forget.jsonl").read_bytes() == (tmp_path / "data/forget.jsonl").read_bytes()
