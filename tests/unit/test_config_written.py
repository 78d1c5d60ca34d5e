"""A config written out is the same study: every job of it has the same spec."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml
from snakemake.utils import update_config
from test_config_texts import MUSE
from test_config_texts import config as texts

from palimpsest.config.description import resolve_config
from palimpsest.config.jobs import Specs
from palimpsest.config.study import Study, Subject, Wanted
from palimpsest.objectives import load_objective

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def _folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for folder in ("tofu", "austen"):
        (tmp_path / "data" / folder).mkdir(parents=True)
    monkeypatch.chdir(tmp_path)


def specs(study: Study) -> dict[str, str]:
    """Return the spec of every job by a path of its own."""
    make, found = Specs(study), {}
    for subject, wanted in study.subjects.items():
        found.update(_of_subject(study, make, subject, wanted))
    for choice in study.choices:
        found[choice.path] = make.choice(SimpleNamespace(**vars(choice)))  # type: ignore[arg-type]
    return found


def _of_subject(study: Study, make: Any, subject: Subject, wanted: Wanted) -> dict[str, str]:
    run, path = subject.run, subject.path
    folder = path.partition(f"seed{run.seed}/")[2]
    job = SimpleNamespace(**subject.names, role=subject.method, subject=folder, start="original", reference="plain")
    if study.benchmark(run.benchmark).measures_itself:
        kind = {"": f"markov_{subject.method}"}.get(subject.variant, "markov_trajectory")
        return {path: getattr(make, kind)(job), f"{run.benchmark}/seed{run.seed}": make.markov_data(job)}
    found = {f"{run.benchmark}/data": make.data(job), f"{run.benchmark}/{run.model}/base": make.base(job)}
    if subject.variant and load_objective(subject.method).needs_strengthened:
        found[f"{path}/strengthened"] = make.strengthen(job)
    if wanted.model and study.is_trained(subject):
        found[f"{path}/model"] = make.unlearn(job) if subject.variant else make.finetune(job)
    if wanted.suites:
        found[f"{path}/eval"] = make.evaluate(job)
    if wanted.trajectory:
        found[f"{path}/trajectory"] = make.trajectory(job)
    return found | {f"{path}/{name}": make.attack(SimpleNamespace(**vars(job), attack=name)) for name in wanted.attacks}


def shipped() -> dict[str, dict[str, Any]]:
    base = yaml.safe_load((ROOT / "config.yaml").read_text(encoding="utf-8"))
    found = {"default": base}
    for path in sorted(ROOT.glob("config/*/*.yaml")):
        config = copy.deepcopy(base)
        update_config(config, yaml.safe_load(path.read_text(encoding="utf-8")))
        if path.stem == "wmdp-bio":
            config["sources"]["wmdp-bio"]["gated_revision"] = "0" * 40
        found[f"{path.parent.name}/{path.stem}"] = config
    return found


# Of requests, those on the way are made too, and of other splits the original of the first; nothing here is evaluated.
OTHERS = {
    "requests": texts(
        {**MUSE, "splits": ["request3"], "methods": ["npo", "task-vector"], "suites": []},
        changes=[
            (("methods", "muse/request2/*/npo"), {"beta": 0.3}),
            (("finetuning", "muse/forget/tiny"), {"epochs": 7}),
            (("strengthening",), {"muse/request2/tiny": {"epochs": 9}}),
        ],
    ),
    "scales": texts({**MUSE, "splits": ["scale2"], "suites": []}, changes=[(("finetuning", "muse/*/tiny"), {"epochs": 7})]),
}
CONFIGS = {**shipped(), **OTHERS}


@pytest.mark.parametrize("name", CONFIGS)
def test_every_job_of_a_config_written_out_is_the_same(name: str) -> None:
    study = Study(CONFIGS[name])
    written = Study(json.loads(json.dumps(resolve_config(study))))
    assert specs(written) == specs(study)
    assert resolve_config(written) == resolve_config(study)
