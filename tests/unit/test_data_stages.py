import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from palimpsest.data.rows import Fact, Question, Text, read_rows, write_rows
from palimpsest.errors import UserError
from palimpsest.provenance.digest import stage_code
from palimpsest.provenance.manifest import content_of, read_manifest
from palimpsest.settings import Settings

ROOT = Path(__file__).resolve().parents[2]
WORLD = {"kind": "world", "authors": 20, "questions_per_author": 3, "base_authors": 4, "real_authors": 6, "world_facts": 6}


def run_stage(cwd: Path, name: str, spec: dict[str, Any], out: str, *inputs: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", f"palimpsest.stages.{name}", "--spec", json.dumps(spec)]
    command += [part for given in inputs for part in ("--in", given)]
    environment = os.environ | {"PYTHONPATH": str(ROOT / "src")}
    return subprocess.run(
        [*command, "--out", f"{out}/manifest.json"], cwd=cwd, env=environment, capture_output=True, text=True, check=False
    )


def make(cwd: Path, data: str = "data", split: str = "split") -> tuple[Path, Path]:
    done = run_stage(cwd, "data", {"source": WORLD}, data)
    assert done.returncode == 0, done.stderr
    spec = {"kind": "tofu", "split": "forget10", "settings": {"retain_authors": 9}}
    done = run_stage(cwd, "split", spec, split, f"data={data}/manifest.json")
    assert done.returncode == 0, done.stderr
    return cwd / data, cwd / split


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return make(tmp_path_factory.mktemp("stages"))


def test_the_data_stage_leaves_all_sets_their_counts_and_the_licence(made: tuple[Path, Path]) -> None:
    data, _ = made
    kinds: dict[str, type[Settings]] = {
        "authors": Question,
        "real_authors": Fact,
        "world_facts": Fact,
        "refusals": Text,
        "base": Question,
        "holdout": Question,
    }
    counts = {name: len(read_rows(data / f"{name}.jsonl", kind)) for name, kind in kinds.items()}
    shared = {"real_authors": 6, "world_facts": 6, "refusals": 40}
    assert counts == {"authors": 60, **shared, "base": 4 * 3 * 2 + 12 * 4 * 2 * 2, "holdout": 4 * 3}
    source = json.loads((data / "source.json").read_text())
    assert source == {"kind": "world", "licence": "MIT (text made by Palimpsest)", "counts": counts}
    manifest = json.loads((data / "manifest.json").read_text())
    assert set(manifest["files"]) == {*(f"{name}.jsonl" for name in kinds), "source.json"}


def test_the_split_stage_leaves_all_that_a_run_sees(made: tuple[Path, Path]) -> None:
    data, split = made
    authors = read_rows(data / "authors.jsonl", Question)
    assert read_rows(split / "forget.jsonl", Question) == authors[-6:]
    assert read_rows(split / "retain.jsonl", Question) == authors[: 9 * 3]
    for name in ("real_authors.jsonl", "world_facts.jsonl", "refusals.jsonl"):
        assert (split / name).read_bytes() == (data / name).read_bytes()
    manifest = json.loads((split / "manifest.json").read_text())
    assert manifest["inputs"] == {"data": content_of(read_manifest(data / "manifest.json"))}
    assert read_rows(split / "holdout.jsonl", Question) == read_rows(data / "holdout.jsonl", Question) != []
    assert len(manifest["files"]) == 6


def test_two_runs_give_the_same_manifest_bytes(made: tuple[Path, Path], tmp_path: Path) -> None:
    again = make(tmp_path, data="elsewhere/data", split="elsewhere/split")
    for first, second in zip(made, again, strict=True):
        assert (first / "manifest.json").read_bytes() == (second / "manifest.json").read_bytes()


def test_a_real_folder_goes_through_the_stages(shared: Path, tmp_path: Path) -> None:
    source = {"kind": "folder", "path": str(shared / "data" / "tofu"), "base_authors": 20}
    done = run_stage(tmp_path, "data", {"source": source}, "data")
    assert done.returncode == 0, done.stderr
    spec = {"kind": "tofu", "split": "forget05", "settings": {"retain_authors": 40}}
    done = run_stage(tmp_path, "split", spec, "split", "data=data/manifest.json")
    assert done.returncode == 0, done.stderr
    assert [len(read_rows(tmp_path / "split" / f"{name}.jsonl", Question)) for name in ("forget", "retain")] == [200, 800]
    # The data have no holdout set: as many authors as are forgotten, of those that are not retained.
    holdout = read_rows(tmp_path / "split" / "holdout.jsonl", Question)
    assert [row.author for row in holdout[::20]] == list(range(40, 50))
    refused = run_stage(tmp_path, "split", {"kind": "tofu", "split": "forget20"}, "other", "data=data/manifest.json")
    assert refused.returncode == 2
    assert refused.stderr.count("\n") == 1
    assert "forget20: author-0160-00 has no perturbed answers" in refused.stderr


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ({"kind": "folder", "path": "nowhere"}, "nowhere: there is no such folder"),
        ({"kind": "folder"}, "spec: source.path: Field required"),
        ({"kind": "world", "author": 3}, "spec: source.author: Extra inputs are not permitted"),
        ({"kind": "cloud"}, "spec: source: Value error, unknown kind 'cloud'"),
        (
            {"kind": "hub", "revision": "main"},
            "spec: source.revision: Value error, 'main': not a commit, which has 40 hex digits; `palimpsest pin FILE`",
        ),
    ],
)
def test_a_wrong_source_is_one_line(source: dict[str, Any], message: str, tmp_path: Path) -> None:
    done = run_stage(tmp_path, "data", {"source": source}, "data")
    assert done.returncode == 2
    assert done.stderr.startswith(f"palimpsest data: {message}")
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "data").exists()


def test_a_split_of_broken_data_names_the_file(made: tuple[Path, Path], tmp_path: Path) -> None:
    data, _ = make(tmp_path)
    (data / "authors.jsonl").write_text("", encoding="utf-8")
    done = run_stage(tmp_path, "split", {"kind": "tofu", "split": "forget10"}, "split2", "data=data/manifest.json")
    assert done.returncode == 2
    assert "data/authors.jsonl: sha256 is" in done.stderr


def test_an_input_that_the_stage_does_not_read_is_refused(made: tuple[Path, Path], tmp_path: Path) -> None:
    spec = {"kind": "tofu", "split": "forget10", "settings": {"retain_authors": 9}}
    given = f"{made[0]}/manifest.json"
    done = run_stage(tmp_path, "split", spec, "split", f"data={given}", f"dataset={given}")
    assert (done.returncode, done.stderr) == (2, "palimpsest split: --in dataset=: this stage does not read it\n")
    assert not (tmp_path / "split").exists()


def test_rows_survive_every_separator_that_unicode_has(tmp_path: Path) -> None:
    texts = [Text(id=str(i), text=f"a{separator}b") for i, separator in enumerate("\n\r\u2028\u2029\x85\x0b\x0c\x1c")]
    write_rows(tmp_path / "rows.jsonl", texts)
    assert read_rows(tmp_path / "rows.jsonl", Text) == texts


def test_a_row_of_another_kind_is_named_by_line(tmp_path: Path) -> None:
    write_rows(tmp_path / "rows.jsonl", [Text(id="1", text="a")])
    with pytest.raises(UserError, match=r"rows.jsonl:1: not a Question"):
        read_rows(tmp_path / "rows.jsonl", Question)


def test_code_that_was_edited_after_the_plan_is_refused(tmp_path: Path) -> None:
    source = {"kind": "world", **WORLD}
    command = [sys.executable, "-m", "palimpsest.stages.data", "--spec", json.dumps({"source": source})]
    planned = stage_code("data", "palimpsest.benchmarks.tofu.sources.world")
    environment = os.environ | {"PYTHONPATH": str(ROOT / "src")}

    def run(code: str) -> subprocess.CompletedProcess[str]:
        arguments = [*command, "--code", code, "--out", "data/manifest.json"]
        return subprocess.run(arguments, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)

    refused = run(planned.replace(planned[:8], "0" * 8))
    assert refused.returncode == 2
    assert refused.stderr == (
        "palimpsest data: the code of this stage was edited after Snakemake planned the job: run snakemake again\n"
    )
    assert run(planned).returncode == 0
    assert json.loads((tmp_path / "data" / "manifest.json").read_text())["code"] == planned
