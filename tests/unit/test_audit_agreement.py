"""How far two makings of an artefact have to agree."""

import json
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.numpy import save_file
from safetensors.torch import save_file as save_torch_file

from palimpsest.audit.agreement import compare_folders
from palimpsest.audit.artefacts import Artefact
from palimpsest.audit.rerun import class_of
from palimpsest.names import Agreement
from palimpsest.provenance.manifest import build_manifest, write_manifest
from palimpsest.study.stages import STAGES

ROOT = Path(__file__).resolve().parents[2]
LOSSES = np.linspace(0.5, 3.0, 40)
WEIGHTS = np.linspace(-1.0, 1.0, 1000, dtype=np.float32)


def made(folder: Path, *, losses: Any = LOSSES, said: str = "yes", weights: Any = WEIGHTS, hits: float = 0.5) -> Path:
    folder.mkdir()
    rows = {"id": [str(i) for i in range(40)], "answer_nll": losses, "perturbed_nll": [[loss, 1.0] for loss in losses]}
    # Items that were not scored have no hits.
    found = [None if i < 3 else [hits + i % 2 * 0.2] * (1 + i % 4) for i in range(40)]
    said_columns = {"generation": said, "answer_hits": found}
    pd.DataFrame({**rows, **said_columns}).to_parquet(folder / "items.parquet")
    save_file({"w": weights}, folder / "model.safetensors")
    write_manifest(folder, build_manifest(folder, stage="evaluate", spec={}, code="c", inputs={}))
    return folder


def agreeing(first: Path, second: Path) -> list[Agreement]:
    return [name for name in get_args(Agreement) if not list(compare_folders(first, second, name))]


@pytest.mark.parametrize(
    ("change", "agreed"),
    [
        ({}, ["bitwise", "numeric", "statistical"]),
        ({"losses": LOSSES * (1 + 1e-5)}, ["numeric", "statistical"]),
        ({"losses": LOSSES * 1.02}, ["statistical"]),
        ({"losses": LOSSES + 1.0}, []),
        ({"losses": np.where(np.arange(40) == 3, np.nan, LOSSES)}, []),
        # Another token here or there changes what is said, not how well on the whole.
        ({"said": "no", "hits": 0.51}, ["numeric", "statistical"]),
        ({"said": "no", "hits": 0.2}, []),
        ({"weights": WEIGHTS * np.float32(1 + 1e-6)}, ["numeric", "statistical"]),
        ({"weights": WEIGHTS * np.float32(1.01)}, ["statistical"]),
        ({"weights": WEIGHTS * np.float32(1.5)}, []),
        ({"weights": WEIGHTS[:999]}, []),
    ],
)
def test_each_class_allows_what_it_promises_and_no_more(tmp_path: Path, change: dict[str, Any], agreed: list[Agreement]) -> None:
    assert agreeing(made(tmp_path / "first"), made(tmp_path / "second", **change)) == agreed


@pytest.mark.parametrize(("factor", "agreed"), [(1.01, True), (1.2, True), (1.5, False)])
def test_adapters_are_only_what_training_changes(tmp_path: Path, factor: float, agreed: bool) -> None:
    for name, weights in (("first", WEIGHTS), ("second", WEIGHTS * np.float32(factor))):
        (tmp_path / name).mkdir()
        save_file({"model.q_proj.lora_A.weight": weights}, tmp_path / name / "adapter_model.safetensors")
        manifest = build_manifest(tmp_path / name, stage="unlearn", spec={}, code="c", inputs={})
        write_manifest(tmp_path / name, manifest)
    assert ("statistical" in agreeing(tmp_path / "first", tmp_path / "second")) is agreed


@pytest.mark.parametrize(("factor", "agreed"), [(1.0, ["numeric", "statistical"]), (1.01, ["statistical"]), (1.5, [])])
def test_weights_in_16_bits_are_compared_as_those_in_32_bits(tmp_path: Path, factor: float, agreed: list[Agreement]) -> None:
    for name, weights in (("first", WEIGHTS), ("second", WEIGHTS * np.float32(factor))):
        (tmp_path / name).mkdir()
        tensors = {part: torch.tensor(values, dtype=torch.bfloat16) for part, values in (("a", weights[:500]), ("b", weights))}
        save_torch_file(tensors, tmp_path / name / "model.safetensors", metadata={"made": name})
        write_manifest(tmp_path / name, build_manifest(tmp_path / name, stage="unlearn", spec={}, code="c", inputs={}))
    assert agreeing(tmp_path / "first", tmp_path / "second") == agreed


@pytest.mark.parametrize(("ids", "agreed"), [(["1000", "1001"], ["numeric", "statistical"]), (["1000", "1002"], [])])
def test_lists_of_numbers_in_a_log_are_compared_as_numbers(tmp_path: Path, ids: list[str], agreed: list[Agreement]) -> None:
    for name, factor, said in (("first", 1.0, ["1000", "1001"]), ("second", 1 + 1e-6, ids)):
        (tmp_path / name).mkdir()
        lines = [{"step": step, "gradients": {"weights": [factor * step, None, 0.5]}, "ids": said} for step in (1, 2)]
        text = "".join(f"{json.dumps(line)}\n" for line in lines)
        (tmp_path / name / "train_log.jsonl").write_text(text)
        write_manifest(tmp_path / name, build_manifest(tmp_path / name, stage="unlearn", spec={}, code="c", inputs={}))
    assert agreeing(tmp_path / "first", tmp_path / "second") == agreed


def test_a_disagreement_names_file_column_and_distance(tmp_path: Path) -> None:
    (said,) = compare_folders(made(tmp_path / "first"), made(tmp_path / "second", losses=LOSSES + 0.5), "numeric")
    assert (said.file, said.reason) == ("items.parquet", "answer_nll: numbers differ by up to 0.5")
    (tmp_path / "second/more.json").write_text("{}")
    write_manifest(tmp_path / "second", build_manifest(tmp_path / "second", stage="s", spec={}, code="c", inputs={}))
    assert "only in the second" in {
        each.reason for each in compare_folders(tmp_path / "first", tmp_path / "second", "statistical")
    }


@pytest.mark.parametrize(
    ("one", "other", "stage", "agreed"),
    [
        ({"device": "cpu", "cpu": "a"}, {"device": "cpu", "cpu": "a", "host": "elsewhere"}, "finetune", "bitwise"),
        ({"device": "cpu", "cpu": "a"}, {"device": "cpu", "cpu": "b"}, "finetune", "statistical"),
        ({"device": "H100"}, {"device": "H100"}, "evaluate", "numeric"),
        ({"device": "H100"}, {"device": "H100"}, "summarise", "bitwise"),
        ({"device": "cpu", "packages": {"torch": "1"}}, {"device": "cpu", "packages": {"torch": "2"}}, "evaluate", "numeric"),
    ],
)
def test_bytes_are_promised_on_one_environment_without_a_gpu(
    tmp_path: Path, one: dict[str, Any], other: dict[str, Any], stage: str, agreed: Agreement
) -> None:
    artefacts = [Artefact(name, tmp_path / name) for name in ("first", "second")]
    for artefact, environment in zip(artefacts, (one, other), strict=True):
        artefact.__dict__.update(manifest={"stage": stage}, environment=environment)
    assert class_of(*artefacts) == agreed


def test_every_stage_of_the_table_has_a_module() -> None:
    modules = {path.stem for path in (ROOT / "src/palimpsest/stages").glob("*.py")}
    assert {row.module or name for name, row in STAGES.items() if not row.is_brought} <= modules
