"""A small finished study on disk, its artefacts chained by their content as the stages leave them."""

import json
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import yaml
from report_example import frame, numbers
from run_example import suite_rows

from palimpsest.benchmarks.tofu.suite import SCHEMA
from palimpsest.evaluation.items import write_table
from palimpsest.names import ModelId
from palimpsest.provenance.manifest import FACT, Remark, build_manifest, content_of, read_manifest, write_manifest

RUN = ModelId("tofu", "forget05", "tiny", 0)
STARTED = "2026-11-29T22:50:27Z"
COMMIT = "c0ffee" + "0" * 34
DATA_COMMIT = "324592d84ae4f482ac7249b9285c2ecdb53e3a68"
BASE = {"kind": "pretrained", "name": "org/base", "revision": "b" * 40}
FINALS = {
    "original": {"forget_quality": 1e-20, "model_utility": 0.61, "forget_probability": 0.95},
    "retrain": {"forget_quality": 1.0, "model_utility": 0.6, "forget_probability": 0.15},
    "simnpo": {"forget_quality": 0.4, "model_utility": 0.55, "forget_probability": 0.2, "forget_quality_floor": 0.8},
}
# By epoch: what the watched training of SimNPO had.
WATCHED = [{"forget_quality": 1e-20, "model_utility": 0.61}, {"forget_quality": 0.4, "model_utility": 0.55}]
# What a watched training leaves beside its model: the texts of the forget set, and numbers of them.
TEXTS = {"items.parquet", "divergence.parquet", "weights.parquet"}
TRAINING = {"learning_rate": 1e-05, "epochs": 1, "batch_size": 8, "forget_weight": 0.1375, "max_steps": None}
LOG = [
    {"step": 0, "epoch": 0, "learning_rate": 5e-6, "forget_loss": -0.5, "items": [1, 0], "weights": [0.5, 1.0], "grad_norm": 2.0},
    {"step": 1, "epoch": 0, "learning_rate": 1e-5, "forget_loss": None, "items": [0, 1], "weights": [0.5, 1.0], "grad_norm": 1.5},
]


class Study:
    """A folder of results in `root`; `contents` has the content of each artefact by its path."""

    # The settings of a model in the spec of a training.
    used: ClassVar[dict[str, Any]] = {}

    def __init__(self, root: Path, *, kept: bool = True, base: dict[str, Any] = BASE) -> None:
        self.root = root
        self.contents: dict[str, str] = {}
        self.seal("tofu/data", "data", {"source": {"kind": "hub", "repo": "locuslab/TOFU", "revision": DATA_COMMIT}})
        self.seal("tofu/splits/forget05", "split", {"split": "forget05"}, {"data": "tofu/data"})
        self.write_base(self.folder("tofu/tiny/base"))
        self.seal("tofu/tiny/base", "base", {"model": base})
        rng = np.random.default_rng(5)
        evaluated = {}
        for method in FINALS:
            of = RUN.of(method, "default" if method == "simnpo" else "")
            made = {
                "training": TRAINING,
                "seed": 0,
                "model": self.used,
                **({"loss": {"beta": 2.5}, "method": method} if of.variant else {"role": method}),
            }
            start = f"{RUN.of('original').path}/model" if of.variant else "tofu/tiny/base"
            inputs = {"model" if of.variant else "base": start, "split": "tofu/splits/forget05"}
            if kept:
                self.write_weights(self.folder(f"{of.path}/model"), method, self.root / start)
            log = "".join(json.dumps(entry) + "\n" for entry in LOG)
            self.folder(f"{of.path}/model").joinpath("training_log.jsonl").write_text(log)
            for name in TEXTS if of.variant else ():
                (self.folder(f"{of.path}/model") / name).write_bytes(b"forget question 0?")
            remarks = [Remark(FACT, "the warm-up is shortened")] if of.variant else []
            self.seal(f"{of.path}/model", "unlearn" if of.variant else "finetune", made, inputs, remarks)
            write_table(self.folder(f"{of.path}/eval/tofu") / "items.parquet", suite_rows(rng, 0.3), SCHEMA)
            self.seal(f"{of.path}/eval/tofu", "evaluate", {}, {"model": f"{of.path}/model"})
            evaluated[f"eval:{of.subject}/tofu"] = f"{of.path}/eval/tofu"
        attack = RUN.of("simnpo", "default").attacked("relearn")
        self.seal(attack.path, "attack", {"attack": {"kind": "relearn"}}, {"model": f"{RUN.of('simnpo', 'default').path}/model"})
        inputs = {**evaluated, f"attack:{attack.subject}": attack.path}
        inputs[f"trajectory:{RUN.of('simnpo', 'default').subject}"] = f"{RUN.of('simnpo', 'default').path}/model"
        run = {name: value for name, value in RUN.columns.items() if value != ""}
        self.seal(f"{RUN.path}/scores", "scores", {"run": run}, inputs)
        rows = numbers({method: {0: scores} for method, scores in FINALS.items()})
        for epoch, scores in enumerate(WATCHED):
            rows += [row | {"epoch": epoch} for row in numbers({"simnpo": {0: scores}})]
            attacked = {"epoch": epoch, "attack": "relearn"}
            rows += [row | attacked for row in numbers({"simnpo": {0: {"forget_probability": 0.2 + 0.1 * epoch}}})]
        frame(rows).to_parquet(self.folder("summary") / "summary.parquet")
        self.seal("summary", "summarise", {}, {f"scores:{RUN.path}": f"{RUN.path}/scores"})
        (self.root / "run_config.yaml").write_text(yaml.safe_dump({"study": "example", "benchmarks": {"tofu": {"kind": "tofu"}}}))

    def write_base(self, folder: Path) -> None:
        """Write the weights of the base: none."""

    def write_weights(self, folder: Path, method: str, start: Path) -> None:
        """Write the weights of a model that was trained from the one in folder `start`."""
        (folder / "model.safetensors").write_bytes(b"weights of " + method.encode())
        (folder / "config.json").write_text("{}")

    def folder(self, path: str) -> Path:
        folder = self.root / path
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def seal(
        self, path: str, stage: str, spec: Any, inputs: dict[str, str] | None = None, remarks: list[Remark] | None = None
    ) -> None:
        folder = self.folder(path)
        given = {label: self.contents[each] for label, each in (inputs or {}).items()}
        if stage == "data":
            source = {"licence": "MIT", "files": {"full.json": "f" * 64}}
            (folder / "source.json").write_text(json.dumps(source))
        if not any(folder.iterdir()):
            # No other artefact has the same content.
            (folder / "config.json").write_text(json.dumps(path))
        write_manifest(folder, build_manifest(folder, stage=stage, spec=spec, code="d" * 64, inputs=given, remarks=remarks or []))
        environment = {
            "commit": COMMIT,
            "started": STARTED,
            "device": "cpu",
            "host": "secret-host",
            "packages": {"torch": "2.13.0"},
        }
        (folder / "environment.json").write_text(json.dumps(environment))
        self.contents[path] = content_of(read_manifest(folder / "manifest.json"))
