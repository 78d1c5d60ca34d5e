"""A small study of texts, its measurements written as the stages write them."""

from pathlib import Path
from typing import Any

import numpy as np
from run_example import KINDS, Identity, Results, label

from palimpsest.benchmarks.muse.scores import METRICS, MuseItems
from palimpsest.benchmarks.muse.suite import SCHEMA
from palimpsest.benchmarks.muse.suite_settings import AUC
from palimpsest.evaluation.items import DIVERGENCE, DIVERGENCE_TABLE, TABLE, WEIGHTS, WEIGHTS_TABLE, keyed, write_table
from palimpsest.evaluation.metric import Against, score

WORDS = 20
SAID = {"verbatim": 5, "knowledge_forget": 6, "knowledge_retain": 7}
READ = {"members": 12, "nonmembers": 10}


def place(method: str, variant: str, seed: int = 0, split: str = "forget", **more: Any) -> Identity:
    run = {"benchmark": "muse-world", "split": split, "model": "tiny", "seed": seed}
    return run | {"method": method, "variant": variant} | more


def answer_of(number: int, right: int, wrong: str = "") -> str:
    """An answer of which so many words are right, so that its ROUGE-L F1 is `right / WORDS`."""
    return " ".join([f"answer {number}", *("right" if word < right else wrong for word in range(2, WORDS))])


def muse_rows(rng: np.random.Generator, gap: float, rouge: float = 0.5) -> list[dict[str, Any]]:
    """Rows of a model whose losses of members lie `gap` above those of others, and which says about a share `rouge` right."""
    said = [
        {"set": name, "id": f"{number}", "prompt": f"{name} {number}?", "answer": answer_of(number, WORDS)}
        | {"generation": answer_of(number, round(WORDS * float(np.clip(rng.normal(rouge, 0.1), 0, 1))), wrong)}
        for name, count in SAID.items()
        for number in range(count)
        for wrong in [f"said{rng.integers(100)}"]
    ]
    read = [
        {"set": name, "id": f"{number}", "tokens": 1, "losses": [float(rng.normal(3 + gap * (name == "members"), 1))]}
        for name, count in READ.items()
        for number in range(count)
    ]
    return said + read


def muse_scores(items: MuseItems, retrain: MuseItems | None = None, published_auc: float | None = None) -> dict[str, float]:
    """All scores of one model with intervals; PrivLeak against Retrain and against a published AUC, as far as given."""
    return dict(score(METRICS, items, Against(retrain, published={} if published_auc is None else {AUC: published_auc})))


class Texts(Results):
    """The results of text benchmarks."""

    def evaluate_texts(self, of: Identity, rows: list[dict[str, Any]], suite: str = "muse") -> Path:
        folder = self.folder(of) / "eval" / suite
        write_table(folder / TABLE, rows, SCHEMA)
        self.seal("eval", of, folder)
        return folder

    def watch_texts(self, of: Identity, epochs: list[list[dict[str, Any]]]) -> None:
        folder = self.folder(of) / "model"
        rows = [{"epoch": epoch, **row} for epoch, of_epoch in enumerate(epochs) for row in of_epoch]
        write_table(folder / TABLE, rows, keyed(SCHEMA, "epoch"))
        moved = [
            {"epoch": epoch, "set": name, "kl": 0.5 * epoch} for epoch in range(len(epochs)) for name in ("forget", "retain")
        ]
        write_table(folder / DIVERGENCE_TABLE, moved, DIVERGENCE)
        write_table(folder / WEIGHTS_TABLE, [{"epoch": 1, "id": "t/0", "tokens": 90, "weight": 0.5}], WEIGHTS)
        self.seal("trajectory", of, folder)

    def spec(self, run: Identity, retrain_auc: float | None = None) -> tuple[dict[str, Any], list[tuple[str, Path]]]:
        """Return what the stage of a run's scores is told: its own measurements, in their order."""
        own = {
            kind: {label(kind, *each): each for each in self.artefacts[kind] if run.items() <= each[0].items()} for kind in KINDS
        }
        watched = {name: of["suite"] for name, (of, _) in own["trajectory"].items()}
        spec: dict[str, Any] = {"run": run, "suites": {"muse": "muse", "few": "muse", "lm": "lm-eval"}, "trajectories": watched}
        spec["attacks"] = dict.fromkeys(own["attack"], self.attacked_by)
        spec |= {} if retrain_auc is None else {"published": {"auc_min_k": retrain_auc}}
        return spec, [(f"{kind}:{name}", path) for kind, each in own.items() for name, (_, path) in each.items()]
