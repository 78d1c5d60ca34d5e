"""A program: trains small models in many ways, and writes what came of it. One process of a job runs it, or several do."""

import os
import sys
from pathlib import Path
from typing import Any

import torch
from families import build_family
from small_models import VOCABULARY, build

from palimpsest import processes
from palimpsest.data.prompts import Encoded
from palimpsest.methods import make_method
from palimpsest.methods.problem import Unlearning
from palimpsest.models.layouts import kind_of
from palimpsest.models.merging import merge_adapters
from palimpsest.models.precision import autocast
from palimpsest.models.scoring import score
from palimpsest.models.settings import UsedSettings
from palimpsest.training.adapters import WithoutAdapters, add_adapters
from palimpsest.training.layers import TrainedLayers
from palimpsest.training.loop import train
from palimpsest.training.problems import FineTuning
from palimpsest.training.settings import LoraSettings, UnlearnSettings

ITEMS = 10
SETTINGS = {"learning_rate": 0.01, "epochs": 2, "batch_size": 8, "tokens_per_pass": 40, "warmup_epochs": 0.0}


def items(count: int, seed: int) -> list[Encoded]:
    generator = torch.Generator().manual_seed(seed)

    def ids(low: int, high: int) -> list[int]:
        size = int(torch.randint(low, high, (1,), generator=generator))
        return torch.randint(0, VOCABULARY, (size,), generator=generator).tolist()

    return [Encoded(ids(2, 6), [ids(1, 8)]) for _ in range(count)]


# Questions of up to 12 tokens: some are longer than the window, and some longer than the first training of the rotary embedding.
ROPE = {"rope_type": "longrope", "rope_theta": 1e4, "short_factor": [1.0] * 4, "long_factor": [4.0] * 4}
BOUNDED: dict[str, dict[str, Any]] = {
    "mistral": {"sliding_window": 7},
    "phi3": {"rope_parameters": ROPE, "original_max_position_embeddings": 8, "sliding_window": None},
    "gemma2": {},
}


def made(family: str, tied: bool = True) -> Any:
    return build_family(family, **BOUNDED[family]) if family in BOUNDED else build(family, 2, tied=tied)


def trained(
    method: str | None,
    used: dict[str, Any] | None = None,
    family: str = "llama",
    tied: bool = True,
    scratch: Path | None = None,
    **settings: Any,
) -> dict[str, Any]:
    """Train with a method, or fine-tune; return the log, the losses seen after each epoch, and the main process's weights."""
    training, using = UnlearnSettings(**SETTINGS | settings), UsedSettings(**used or {})
    start = made(family, tied)
    model = add_adapters(start, using.lora, seed=0)
    forget = items(ITEMS, 1)
    problem: Any = FineTuning(forget)
    if method:
        layers = TrainedLayers(start, range(2), seed=0) if method == "rmu" else None
        problem = Unlearning(
            make_method(method, {"steering": 3.0} if layers else {}),
            training,
            forget=forget,
            retain=items(ITEMS, 2),
            others=[[[3, 4, 5], [6, 7, 8, 9, 3, 4]]] * ITEMS,
            references=[one.nll[0] + 1 for one in score(made(family), forget, 40)],
            other_references=[[8.0, 7.0]] * ITEMS,
            original=WithoutAdapters(start) if using.lora else made(family, tied),
            layers=layers,
            seed=0,
        )
    seen: list[float] = []
    kind = kind_of(start)

    def look(epoch: int) -> None:
        # What was found about the model before it was sharded holds for it.
        assert kind_of(start) == kind
        with autocast(torch.device("cpu"), using):
            # Of a training that continues, before it has run the model as a whole.
            model.generate(input_ids=torch.tensor([[3, 4]]), max_new_tokens=1, do_sample=False)
            seen.extend(one.nll[0] for one in score(model, forget, 40))

    log = train(
        model,
        problem,
        training,
        using,
        seed=0,
        label="test",
        scratch=scratch,
        after_epoch=look,
    )
    result: dict[str, Any] = {"log": log, "seen": seen}
    if processes.is_main():
        result["weights"] = merge_adapters(model).state_dict()
    return result


def all_trainings(scratch: Path) -> dict[str, Any]:
    lora = LoraSettings(rank=2).model_dump()
    found = {
        "finetune": trained(None, tied=False),
        "finetune, fewer items than processes": trained(None, batch_size=1, max_steps=3),
        "finetune, checkpointed": trained(None, {"gradient_checkpointing": True}, "qwen2"),
        "finetune, bf16-mixed": trained(None, {"precision": "bf16-mixed"}, max_steps=2),
        "finetune, lora": trained(None, {"lora": lora}),
        "graddiff": trained("graddiff", retain_weight=2.0),
        "npo, kl": trained("npo", retain_loss="kl"),
        "npo, kl, lora": trained("npo", {"lora": lora}, retain_loss="kl", max_steps=2),
        "npo, sharp and projected": trained("npo", sharpness=0.05, gradients="projected", max_steps=2),
        "simnpo, gpt2": trained("simnpo", family="gpt2", max_steps=2),
        "finetune, a window": trained(None, family="mistral"),
        "npo, kl, no packing": trained("npo", retain_loss="kl", family="gemma2", max_steps=2),
        "dpo_idk, rows of several lengths": trained("dpo-idk", family="phi3"),
        "dpo_idk, lora, rows of several lengths": trained("dpo-idk", {"lora": lora}, family="phi3", max_steps=2),
    }
    # Ends with the first epoch, and continues.
    trained(None, {"lora": lora}, scratch=scratch, max_steps=2)
    found["finetune, lora, resumed"] = trained(None, {"lora": lora}, scratch=scratch)
    if not processes.is_sharded():
        # Weights of at least 4096 values have 8-bit moments.
        found["finetune, 8 bits"] = trained(None, {"optimizer": "adamw-8bit"}, "gpt2", max_steps=2)
        found["rmu"] = trained("rmu", retain_loss="activations", forget_weight=0.1)
    return found


if __name__ == "__main__":
    processes.connect()
    os.environ["PALIMPSEST_CHECKPOINT_SECONDS"] = "0"
    results = {}
    for parallel in sys.argv[2:]:
        os.environ[processes.PARALLEL] = parallel
        results[parallel] = all_trainings(Path(sys.argv[1]).with_suffix(f".{parallel}"))
    everyone = processes.gather(results)
    if processes.is_main():
        torch.save({"processes": len(everyone), "results": results}, Path(sys.argv[1]))
    processes.disconnect()
