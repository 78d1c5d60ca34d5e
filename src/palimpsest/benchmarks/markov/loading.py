"""Load a model of the chains; transformers must first know the official architecture."""

from pathlib import Path

from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedModel

from palimpsest.benchmarks.markov.official import OfficialConfig, OfficialModel
from palimpsest.models.loading import load_model
from palimpsest.models.settings import UsedSettings

AutoConfig.register(OfficialConfig.model_type, OfficialConfig)
AutoModelForCausalLM.register(OfficialConfig, OfficialModel)


def load_chain_model(folder: Path) -> PreTrainedModel:
    """Load a model of either architecture."""
    return load_model(folder, UsedSettings())
