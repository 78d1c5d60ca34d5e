"""The weights of a study's models for other tools: whole, or a LoRA adapter that peft loads over its base."""

from __future__ import annotations

import shutil
from fnmatch import fnmatch
from pathlib import Path
from typing import TYPE_CHECKING, Any

from palimpsest.audit.artefacts import Artefact
from palimpsest.errors import UserError
from palimpsest.export.models import LOG, Results
from palimpsest.models.loading import ADAPTER
from palimpsest.models.pretrained import TOKENIZER
from palimpsest.models.settings import UsedSettings

if TYPE_CHECKING:
    from torch import Tensor

# A watched training keeps the texts of the forget set beside its model, so whatever is not named here stays.
PUBLISHED = ("*.safetensors", "*.safetensors.index.json", "config.json", "generation_config.json", *TOKENIZER, "*.model", LOG)


def is_adapter(made: Artefact) -> bool:
    """Return whether a model is kept as adapters."""
    return ADAPTER in made.manifest["files"]


def layers(results: Results, made: Artefact) -> list[Artefact]:
    """Return a model and, if it is kept as adapters, the models that they change, nearest first, down to whole weights."""
    if not is_adapter(made):
        return [made]
    return [made, *layers(results, results.input_of(made, "model" if "model" in made.manifest["inputs"] else "base"))]


def base_of(base: Artefact) -> tuple[str, str | None]:
    """Return the name and the commit of a base on the Hub; for any other base its folder, and None."""
    settings = base.manifest["spec"].get("model", {})
    if settings.get("revision") and not settings.get("over"):
        return settings["name"], settings["revision"]
    return str(base.folder.resolve()), None


def files_of(results: Results, made: Artefact, place: Path, *, merged: bool = False) -> list[Path]:
    """Return a model's files for others: its own or, if it is kept as adapters, one adapter or the merged model.

    These are written into the empty folder `place`. Raises UserError for `merged` if the model has whole weights.
    """
    if not (merged or is_adapter(made)):
        return [made.folder / name for name in sorted(_published(made))]
    (write_merged if merged else _write_adapter)(results, made, place)
    return sorted(place.iterdir())


def write_merged(results: Results, made: Artefact, out: Path) -> None:
    """Write a model that is kept as adapters with whole weights: the adapters are merged as every stage merges them."""
    from palimpsest.models.loading import load_model, load_tokenizer, save_model

    if not is_adapter(made):
        raise UserError(f"--merged: {made.folder} has whole weights and no adapter to merge; leave out --merged")
    folder, *over = (each.folder for each in layers(results, made))
    used = UsedSettings.model_validate(made.manifest["spec"]["model"])
    save_model(load_model(folder, used, over=over), load_tokenizer(folder), out)


def _write_adapter(results: Results, made: Artefact, out: Path) -> None:
    """Write the adapters of a model as one adapter over its base, with its tokenizer and training log."""
    from palimpsest.models.merging import WEIGHTS, read_adapter, write_adapter

    *adapters, base = layers(results, made)
    read = [read_adapter(each.folder) for each in adapters]
    settings: dict[str, Any] = read[0][0].to_dict()  # type: ignore[no-untyped-call]
    weights = read[0][1]
    if len(read) > 1:
        # A sum of products is one product of the matrices side by side, whose rank is the sum of the ranks.
        rank = sum(config.r for config, _ in read)
        settings |= {"r": rank, "lora_alpha": rank}
        weights = {name: _joined(name, [(each[name], config.lora_alpha / config.r) for config, each in read]) for name in weights}
    name, revision = base_of(base)
    write_adapter(out, {**settings, "base_model_name_or_path": name, "revision": revision}, weights)
    # Beside a config of the model, other tools expect whole weights.
    for file in _published(made) - {WEIGHTS, "config.json"}:
        shutil.copyfile(made.folder / file, out / file)


def _published(made: Artefact) -> set[str]:
    """Return the names of a model's files that others may have."""
    return {name for name in made.manifest["files"] if any(fnmatch(name, pattern) for pattern in PUBLISHED)}


def _joined(name: str, parts: list[tuple[Tensor, float]]) -> Tensor:
    """Return the first or the second matrices of several adapters of a layer side by side; the second ones have their scales."""
    import torch

    if name.endswith(("lora_A.weight", "lora_embedding_A")):
        return torch.cat([weight for weight, _ in parts], dim=0)
    return torch.cat([weight * scale for weight, scale in parts], dim=1)
