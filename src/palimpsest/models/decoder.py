"""The decoder layers of a model and their MLPs."""

from torch import nn

from palimpsest.errors import UserError

# For Llama, Mistral, Qwen2 and similar models, and for GPT-2.
PLACES = (("model.layers", "mlp.down_proj"), ("transformer.h", "mlp.c_proj"))


def decoder_layers(model: nn.Module) -> list[tuple[nn.Module, nn.Module]]:
    """Return each decoder layer with the down-projection of its MLP; raises UserError if they are not found."""
    for layers, projection in PLACES:
        try:
            return [(layer, layer.get_submodule(projection)) for layer in model.get_submodule(layers).children()]
        except AttributeError:
            continue
    known = " nor ".join(f"{layers}[i].{projection}" for layers, projection in PLACES)
    raise UserError(f"{type(model).__name__}: neither {known} exists, so there are no MLP down-projections to train separately")
