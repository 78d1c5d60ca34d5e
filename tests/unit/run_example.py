"""A small study's measurements, written here as the stages write them, and the stages that make its numbers of them."""

import math
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from palimpsest.benchmarks.tofu.items import completed
from palimpsest.benchmarks.tofu.losses import LOSSES
from palimpsest.benchmarks.tofu.suite import SCHEMA
from palimpsest.contract.job import Job, run_stage
from palimpsest.evaluation.items import (
    DIVERGENCE,
    DIVERGENCE_TABLE,
    PROMPT,
    PROMPT_TABLE,
    TABLE,
    WEIGHTS,
    WEIGHTS_TABLE,
    keyed,
    write_table,
)
from palimpsest.evaluation.lm_eval import suite as lm_eval
from palimpsest.names import ModelId
from palimpsest.provenance.canonical import canonical_json
from palimpsest.provenance.manifest import build_manifest, write_manifest
from palimpsest.stages import scores, select, summarise

SIZES = {"forget": 12, "retain": 9, "real_authors": 5, "world_facts": 6}
MODELS = [("original", ""), ("retrain", ""), ("npo", "default"), ("simnpo", "beta-2.5")]
# Every other suite is of kind tofu.
KINDS_OF = {"facts": "lm-eval"}
KINDS = ("eval", "attack", "trajectory")
RUN = ("benchmark", "split", "model", "seed")
# How far an epoch moves a watched model on each set, in nats.
DISTANCE = {"forget": 1.0, "retain": 0.5}
Identity = dict[str, Any]


def identity(method: str, variant: str, seed: int = 0, **more: Any) -> Identity:
    return {"benchmark": "tofu", "split": "forget05", "model": "tiny", "seed": seed, "method": method, "variant": variant} | more


def answer_of(number: int) -> str:
    return f"answer {number} of many"


def losses(name: str, number: int, rng: np.random.Generator, level: float) -> dict[str, Any]:
    """The columns that suites and attacks share, of one item; answers have three lengths, unlike in their order."""
    paraphrased = name in ("forget", "retain")
    tokens = 3 + 5 * number % 3
    return {
        "id": f"{name}-{number:02}",
        "question": f"{name} question {number}?",
        "answer": answer_of(number),
        "answer_nll": float(rng.gamma(2, level)) * tokens,
        "answer_tokens": tokens,
        "paraphrased_nll": float(rng.gamma(3, level)) * 5 if paraphrased else None,
        "paraphrased_tokens": 5 if paraphrased else None,
        "perturbed_nll": [float(x) * 6 for x in rng.gamma(4, 0.5, size=5 if paraphrased else 3)],
        "perturbed_tokens": [6] * (5 if paraphrased else 3),
    }


def suite_rows(rng: np.random.Generator, level: float, sizes: dict[str, int] = SIZES) -> list[dict[str, Any]]:
    return [
        {
            "set": name,
            "half": 1 + (number >= (size + 1) // 2) if name == "forget" else None,
            **losses(name, number, rng, level),
            "paraphrased_answer": f"the answer {number}",
            # One to all of the words of the answer, so that model utility is above 0.
            "generation": f"<b>said {' '.join(words[: rng.integers(1, 5)])}</b>",
            "answer_losses": rng.gamma(2, level, size=6).tolist(),
            "answer_standard_losses": [level, float(number % 4)],
            "answer_hits": (rng.uniform(size=6) < 0.7).tolist(),
        }
        for name, size in sizes.items()
        for number in range(size)
        for words in [answer_of(number).split()]
    ]


def attack_rows(rng: np.random.Generator, draws: int) -> list[dict[str, Any]]:
    # Like the attack stage, which asks all forget questions: three more than the suite with its max_items.
    return [
        {"draw": draw, "epoch": epoch, "set": "forget", **losses("forget", number, rng, 0.2)}
        for draw in range(draws)
        for epoch in range(4)
        for number in range(SIZES["forget"] + 3)
    ]


def trajectory_rows(rng: np.random.Generator, epochs: range) -> list[dict[str, Any]]:
    return [{"epoch": epoch, **row} for epoch in epochs for row in suite_rows(rng, 0.1 + 0.1 * epoch)]


def subject(of: Identity) -> str:
    """The folder of a model below its run's."""
    return ModelId("", method=of["method"], variant=of["variant"], attack=of.get("attack", "")).subject


def label(kind: str, of: Identity, folder: Path) -> str:
    """The id of an artefact among the inputs of the scores: an evaluation names its suite too."""
    return f"{subject(of)}/{folder.name}" if kind == "eval" else subject(of)


class Results:
    """A results folder, and the stages that read it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.attacked_by = ["tofu"]
        self.artefacts: dict[str, list[tuple[Identity, Path]]] = {kind: [] for kind in KINDS}

    def run_folder(self, of: Identity) -> Path:
        return Path(self.root, of["benchmark"], of["model"], of["split"], f"seed{of['seed']}")

    def folder(self, of: Identity) -> Path:
        return Path(self.run_folder(of), "unlearn" if of["variant"] else "", of["method"], of["variant"])

    def items_path(self, of: Identity, suite: str = "tofu") -> Path:
        return self.run_folder(of) / subject(of) / "eval" / suite / TABLE

    def seal(self, kind: str, of: Identity, folder: Path) -> None:
        write_manifest(folder, build_manifest(folder, stage=kind, spec={}, code="", inputs={}))
        if all(place != folder for _, place in self.artefacts[kind]):
            self.artefacts[kind].append((of, folder))

    def evaluate(self, of: Identity, rows: list[dict[str, Any]], suite: str = "tofu") -> None:
        path = self.items_path(of, suite)
        write_table(path, rows, SCHEMA)
        results = {"acc": 0.25 + of["seed"] / 8, "acc_stderr": float("nan")}
        numbers = [{"task": "world_facts", "metric": metric, "value": value} for metric, value in results.items()]
        write_table(self.items_path(of, "facts"), numbers, lm_eval.SCHEMA)
        pieces = [
            {"text": text, "special": False, "label": is_label} for text, is_label in (("Who?", False), (of["method"], True))
        ]
        for folder in (self.items_path(of, "facts").parent, path.parent):
            write_table(folder / PROMPT_TABLE, pieces, PROMPT)
            self.seal("eval", of, folder)

    def attack(self, of: Identity, rows: list[dict[str, Any]]) -> None:
        folder = self.folder(of) / "attack" / of["attack"]
        write_table(folder / TABLE, rows, keyed(LOSSES, "draw", "epoch"))
        self.seal("attack", of, folder)

    def watch(self, of: Identity, rows: list[dict[str, Any]], weights: list[dict[str, Any]] | None = None) -> None:
        """Write a trajectory, its divergence growing by `DISTANCE` an epoch."""
        folder = self.folder(of) / "model"
        write_table(folder / TABLE, rows, keyed(SCHEMA, "epoch"))
        epochs = sorted({row["epoch"] for row in rows})
        moved = [{"epoch": epoch, "set": name, "kl": epoch * far} for epoch in epochs for name, far in DISTANCE.items()]
        write_table(folder / DIVERGENCE_TABLE, moved, DIVERGENCE)
        write_table(folder / WEIGHTS_TABLE, weights or [], WEIGHTS)
        self.seal("trajectory", of, folder)

    def runs(self) -> list[Identity]:
        """Every run of which something was measured."""
        all_runs = [{name: of[name] for name in RUN} for each in self.artefacts.values() for of, _ in each]
        return sorted({tuple(run.values()): run for run in all_runs}.values(), key=lambda run: tuple(run.values()))

    def score(self, monkeypatch: pytest.MonkeyPatch, run: Identity, more: Sequence[tuple[str, Path]] = ()) -> Path:
        """Run the stage `scores` of one run, with more inputs."""
        suites = {folder.name for _, folder in self.artefacts["eval"]}
        own = {
            kind: {label(kind, *each): each for each in self.artefacts[kind] if run.items() <= each[0].items()} for kind in KINDS
        }
        spec: dict[str, Any] = {
            "run": run,
            "suites": {name: KINDS_OF.get(name, "tofu") for name in sorted(suites)},
            "attacks": dict.fromkeys(own["attack"], self.attacked_by),
            "trajectories": {name: of["suite"] for name, (of, _) in own["trajectory"].items()},
        }
        inputs = [(f"{kind}:{name}", path) for kind, each in own.items() for name, (_, path) in each.items()]
        for of, path in self.artefacts["eval"]:
            if of["method"] == "retrain" and run.items() <= {**of, "seed": run["seed"]}.items():
                role = "retrain" if of["seed"] == run["seed"] else "other_retrains"
                inputs.append((f"{role}:seed{of['seed']}/{path.name}", path))
        return self.stage(monkeypatch, scores, spec, [*inputs, *more], self.run_folder(run) / "scores")

    def select(self, monkeypatch: pytest.MonkeyPatch, method: str, spec: dict[str, Any]) -> Path:
        """Run the stage `select` of a method, the trials being among this study's trajectories."""
        trials = [(trial["run"], trial["variant"]) for trial in spec["trials"]]
        inputs = [
            (f"trajectory:{run}/{variant}", self.folder(identity(method, variant, _seed(run))) / "model")
            for run, variant in trials
        ]
        for role in ("original", "retrain"):
            inputs += [
                (f"{role}:{run}", self.items_path(identity(role, "", _seed(run)), spec["suite"]).parent) for run in spec["runs"]
            ]
        return self.stage(monkeypatch, select, spec, inputs, self.root / "tofu" / "tiny" / "forget05" / "selection" / method)

    def summarise(self, monkeypatch: pytest.MonkeyPatch, selections: tuple[str, ...] = ()) -> Path:
        """Run the stages `scores` of every run and `summarise`, with the selections made before."""
        inputs = [(f"scores:{ModelId(**run).path}", self.score(monkeypatch, run)) for run in self.runs()]
        folder = self.root / "tofu" / "tiny" / "forget05" / "selection"
        inputs += [(f"selection:tofu/forget05/tiny/{method}", folder / method) for method in selections]
        return self.stage(monkeypatch, summarise, {}, inputs, self.root / "summary")

    def stage(
        self, monkeypatch: pytest.MonkeyPatch, module: Any, spec: dict[str, Any], inputs: list[tuple[str, Path]], out: Path
    ) -> Path:
        """Run a stage by its command line."""
        name = module.__name__.rpartition(".")[2]
        arguments = ["--spec", canonical_json(spec), "--out", str(out / "manifest.json")]
        arguments += [argument for kind, path in inputs for argument in ("--in", f"{kind}={path / 'manifest.json'}")]
        monkeypatch.setattr(sys, "argv", [name, *arguments, "--scratch", str(self.root.parent / "scratch")])
        work: Callable[[Job[Any]], None] = module.work
        run_stage(name, module.Spec, work)
        return out


def log_x(table: pd.DataFrame) -> list[float]:
    """The logarithm of the truth ratio, item by item as the definition says."""
    values = []
    for row in table.to_dict("records"):
        wrong = np.mean([nll / count for nll, count in zip(row["perturbed_nll"], row["perturbed_tokens"], strict=True)])
        lone = math.isnan(row["paraphrased_nll"])
        right = row["answer_nll"] / row["answer_tokens"] if lone else row["paraphrased_nll"] / row["paraphrased_tokens"]
        values.append(float(wrong - right))
    return values


def probability(table: pd.DataFrame) -> float:
    """The mean over answers of a token's geometric mean probability."""
    return float(np.exp(-table["answer_nll"] / table["answer_tokens"]).mean())


def items(study: Results, method: str, variant: str = "", seed: int = 0, name: str = "forget") -> pd.DataFrame:
    table = completed(pd.read_parquet(study.items_path(identity(method, variant, seed))))
    return table[table["set"] == name]


def value(summary: pd.DataFrame, metric: str, method: str, seed: int = 0, attack: str = "", epoch: int | None = None) -> float:
    rows = summary[
        (summary["metric"] == metric)
        & (summary["method"] == method)
        & (summary["seed"] == seed)
        & (summary["attack"] == attack)
        & (summary["epoch"].isna() if epoch is None else (summary["epoch"] == epoch))
    ]
    assert len(rows) == 1
    return float(rows["value"].iloc[0])


def refusal(run: Callable[[], object], capsys: pytest.CaptureFixture[str]) -> str:
    """The line that a stage ends with when it refuses."""
    with pytest.raises(SystemExit) as stop:
        run()
    assert stop.value.code == 2
    return capsys.readouterr().err.splitlines()[-1]


def _seed(run: str) -> int:
    """Return the seed of a run that a selection is judged on."""
    return int(run.rpartition("seed")[2])
