"""The attention implementation that a model is loaded with."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

log = logging.getLogger("palimpsest")


def fastest_attention(folder: Path) -> str:
    """Return the fastest attention implementation of a model: sdpa, or eager (with a warning) if its family has no sdpa."""
    from transformers import MODEL_FOR_CAUSAL_LM_MAPPING, AutoConfig

    config = AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    family: Any = MODEL_FOR_CAUSAL_LM_MAPPING.get(type(config), None)
    if family is None or family._supports_sdpa:
        return "sdpa"
    log.warning("%s: no sdpa attention; loaded with eager attention, which is slower", family.__name__)
    return "eager"
