"""A config written out is the same study: every job of it has the same spec."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from pinned import read_study
from test_config_corpus import MUSE
from test_config_corpus import config as texts

from palimpsest.study.description import resolve_config
from palimpsest.study.specs import spec_of
from palimpsest.study.stages import Artefacts
from palimpsest.study.study import Study

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def _folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for folder in ("tofu", "austen", "documents"):
        (tmp_path / "data" / folder).mkdir(parents=True)
    monkeypatch.chdir(tmp_path)


def specs(study: Study) -> dict[str, str]:
    """Return the spec of every job by its folder, but of those that read the results of others."""
    artefacts, unread = Artefacts(study), ("scores", "summarise")
    return {path: spec_of(artefacts.study, node) for path, node in artefacts.nodes.items() if node.stage not in unread}


SHIPPED = {f"{path.parent.name}/{path.stem}": path for path in (ROOT / "config.yaml", *sorted(ROOT.glob("config/*/*.yaml")))}
# Of requests, those on the way are made too, and of other splits the original of the first; nothing here is evaluated.
OTHERS = {
    "requests": texts(
        {**MUSE, "splits": ["request3"], "methods": ["npo", "task-vector"], "suites": []},
        changes=[
            (("methods", "muse/request2/*/npo"), {"beta": 0.3}),
            (("finetuning", "muse/forget/tiny"), {"epochs": 7}),
            (("reinforcing",), {"muse/request2/tiny": {"epochs": 9}}),
        ],
    ),
    "scales": texts({**MUSE, "splits": ["scale2"], "suites": []}, changes=[(("finetuning", "muse/*/tiny"), {"epochs": 7})]),
}


@pytest.mark.parametrize("name", [*SHIPPED, *OTHERS])
def test_every_job_of_a_config_written_out_is_the_same(name: str) -> None:
    study = Study(read_study(SHIPPED[name]) if name in SHIPPED else OTHERS[name])
    written = Study(json.loads(json.dumps(resolve_config(study))))
    assert specs(written) == specs(study)
    assert resolve_config(written) == resolve_config(study)
