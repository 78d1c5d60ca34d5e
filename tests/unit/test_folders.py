"""The folders of artefacts: how a finished one replaces another."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from palimpsest.audit.artefacts import Contents, find_artefacts
from palimpsest.audit.status import set_aside
from palimpsest.contract.folders import replace
from palimpsest.provenance.manifest import MANIFEST, build_manifest, write_manifest

ATTACK = "tofu/tiny/forget10/seed0/unlearn/npo/default/attack/relearn"
EVALUATION = f"{ATTACK}/eval/tofu"


def made(folder: Path, text: str) -> Path:
    """Make an artefact with one file."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "file").write_text(text, encoding="utf-8")
    write_manifest(folder, build_manifest(folder, stage="attack", spec={"text": text}, code="c", inputs={"model": "0" * 64}))
    return folder


def test_an_attack_that_is_made_again_keeps_its_evaluations(tmp_path: Path) -> None:
    attack, evaluation = made(tmp_path / ATTACK, "old"), made(tmp_path / EVALUATION, "measured")
    (attack / "folder").mkdir()
    replace(made(tmp_path / "partial", "new"), attack)
    assert (attack / "file").read_text(encoding="utf-8") == "new"
    assert (evaluation / "file").read_text(encoding="utf-8") == "measured"
    assert not (attack / "folder").exists() and not (tmp_path / "partial").exists()


def test_an_attack_and_its_evaluation_are_set_aside_in_any_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PALIMPSEST_STORE", raising=False)
    study: Any = SimpleNamespace(results=str(tmp_path))
    for number, order in enumerate(([ATTACK, EVALUATION], [EVALUATION, ATTACK])):
        made(tmp_path / ATTACK, f"attack {number}")
        made(tmp_path / EVALUATION, f"measured {number}")
        set_aside(study, order)
        assert not (tmp_path / ATTACK).exists()
    assert len(list((tmp_path / ".store").rglob(MANIFEST))) == 4


def test_of_artefacts_with_equal_contents_the_one_that_the_reader_names_is_found(tmp_path: Path) -> None:
    """Two trials that diverge in the same step have equal evaluations."""
    run = "tofu/tiny/forget10/seed0"
    for trial in ("lr-0.1", "lr-0.5"):
        made(tmp_path / run / "unlearn/ga" / trial / "eval/tofu", "nothing")
    made(tmp_path / run / "scores", "scores")
    found = find_artefacts(tmp_path)
    contents, reader = Contents(found), found[f"{run}/scores"]
    for trial in ("lr-0.1", "lr-0.5"):
        evaluation = found[f"{run}/unlearn/ga/{trial}/eval/tofu"]
        assert contents.of(evaluation.content, reader, f"eval:unlearn/ga/{trial}/tofu") is evaluation
