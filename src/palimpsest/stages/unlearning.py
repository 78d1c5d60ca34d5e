"""What the stages share that unlearn: the problem of a method, from their inputs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from palimpsest import processes
from palimpsest.data.prompts import Encoded, PromptEncoder
from palimpsest.data.rows import Text, read_lessons, read_rows
from palimpsest.errors import UserError
from palimpsest.models.limits import check_items
from palimpsest.models.loading import load_model
from palimpsest.objectives import load_objective
from palimpsest.stages.training import encode_rows, named_items
from palimpsest.training.layers import TrainedLayers
from palimpsest.training.problems import Unlearning
from palimpsest.training.references import FILE, read_references

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from palimpsest.models.settings import UsedSettings
    from palimpsest.stages.contract import Job
    from palimpsest.training.settings import UnlearnSettings


def unlearning_problem(
    job: Job[Any],
    tokenizer: PreTrainedTokenizerBase,
    used: UsedSettings,
    model: PreTrainedModel,
    *,
    method: str,
    training: UnlearnSettings,
    loss: dict[str, float],
    seed: int,
    original: PreTrainedModel | None = None,
) -> Unlearning:
    """Return the problem of a method on the job's `split`, with what else it reads of `model`, `reference` and `reinforced`.

    `model` is the one to train, of which a method may freeze a part; `original` is the frozen start model, where the caller has
    it in memory already. Raises UserError for a reference that was made for other questions, and for a model that does not have
    what the method trains.
    """
    objective, split = load_objective(method), job.input("split")
    encoder = PromptEncoder(tokenizer, used.prompt)
    ids, forget = named_items(read_lessons(split / "forget.jsonl"), tokenizer, used, model)
    references = read_references(job.input("reference") / FILE) if objective.needs_reference else None
    if references and references.ids != ids:
        raise UserError(f"{job.input('reference') / FILE}: made for other forget items than {split / 'forget.jsonl'}")
    refusals = read_rows(split / "refusals.jsonl", Text) if objective.needs_refusals else []
    refusing = [encoder.answer(row.text) for row in refusals]
    check_items(model, ids, [Encoded(item.prompt, refusing) for item in forget])
    retain = [] if training.retain_loss == "none" else read_lessons(split / "retain.jsonl")
    layers = None
    if objective.trained_layers is not None:
        if used.lora is not None:
            raise UserError(f"spec: model: lora: {method} trains weights of the model, not adapters")
        if processes.is_sharded():
            raise UserError(f"parallel: fsdp: {method} swaps weights in and out, of which a process must have all: use ddp")
        loss = {**objective.settings, **loss}
        layers = TrainedLayers(model, objective.trained_layers(layer=int(loss.pop("layer"))), seed)
    # Only what reads whole distributions needs frozen models in memory.
    if original is None and (training.retain_loss == "kl" or objective.needs_original):
        original = load_model(job.input("model"), used)
    return Unlearning(
        objective,
        loss,
        training,
        forget=forget,
        retain=encode_rows(retain, tokenizer, used, model),
        refusals=refusing,
        references=references.nll if references else (),
        refusal_references=references.refusal_nll if references else (),
        original=original,
        strengthened=load_model(job.input("reinforced"), used) if objective.needs_strengthened else None,
        layers=layers,
        seed=seed,
    )
