"""Shared parts of the stages that unlearn: the problem of a method, built from a job's inputs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from palimpsest import processes
from palimpsest.data.prompts import Encoded, PromptEncoder
from palimpsest.data.rows import read_lessons
from palimpsest.errors import UserError
from palimpsest.methods.base import EditMethod, Finetuned, LayerMethod, LossMethod, Start
from palimpsest.methods.problem import Unlearning
from palimpsest.models.encoding import encode_rows, named_items
from palimpsest.models.limits import check_items
from palimpsest.stages.loading import load_input
from palimpsest.stages.others import read_others
from palimpsest.training.adapters import WithoutAdapters
from palimpsest.training.layers import TrainedLayers
from palimpsest.training.references import FILE, read_references

if TYPE_CHECKING:
    from torch import nn
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from palimpsest.contract.job import Job
    from palimpsest.methods.base import Method
    from palimpsest.models.settings import UsedSettings
    from palimpsest.training.settings import UnlearnSettings


# The input of a job for each kind of further model.
INPUTS: dict[type[Start | Finetuned], str] = {Start: "model", Finetuned: "reinforced"}


def unlearning_problem(
    job: Job[Any],
    tokenizer: PreTrainedTokenizerBase,
    used: UsedSettings,
    model: PreTrainedModel,
    *,
    method: Method,
    training: UnlearnSettings,
    seed: int,
    original: nn.Module | None = None,
) -> Unlearning:
    """Return the problem of a method on the job's `split`, with the other inputs that the method reads.

    `model` is the model to train, parts of which a method may freeze; `original` is the frozen start model, if the caller already
    has it in memory. Raises UserError if the reference was made for other questions, if the model lacks the weights that the
    method trains, or if the method trains nothing.
    """
    if not isinstance(method, LossMethod | LayerMethod):
        raise UserError(f"spec: {method.label} trains nothing")
    split = job.input("split")
    ids, forget = named_items(read_lessons(split / "forget.jsonl"), tokenizer, used, model)
    references = read_references(job.input("reference") / FILE) if method.reads_reference else None
    if references and references.ids != ids:
        raise UserError(f"{job.input('reference') / FILE}: made for other forget items than {split / 'forget.jsonl'}")
    others = read_others(job, method.other_answers(), ids, PromptEncoder(tokenizer, used.prompt))
    check_items(model, ids, [Encoded(item.prompt, of) for item, of in zip(forget, others, strict=True)])
    retain = [] if training.retain_loss == "none" else read_lessons(split / "retain.jsonl")
    layers = None
    if isinstance(method, LayerMethod):
        if used.lora is not None:
            raise UserError(f"spec: model: lora: {method.label} trains weights of the model, not adapters")
        if processes.is_sharded():
            raise UserError(f"parallel: {method.label} swaps weights, so every process needs all of them: use ddp")
        layers = TrainedLayers(model, method.layers, seed)
    # Only losses on whole distributions need frozen models in memory.
    if original is None and (training.retain_loss == "kl" or method.needs(Start)):
        original = start_model(job, used, model)
    return Unlearning(
        method,
        training,
        forget=forget,
        retain=encode_rows(retain, tokenizer, used, model),
        others=others,
        references=references.nll if references else (),
        other_references=references.other_nll if references else (),
        original=original,
        frozen=further_models(job, used, method, original),
        layers=layers,
        seed=seed,
    )


def start_model(job: Job[Any], used: UsedSettings, model: PreTrainedModel) -> nn.Module:
    """Return the frozen start model of the model to train: a second one in memory, or with LoRA the same one without adapters."""
    return WithoutAdapters(model) if used.lora else load_input(job, "model", used, frozen=True)


def further_models(job: Job[Any], used: UsedSettings, method: Method, original: nn.Module | None = None) -> dict[str, nn.Module]:
    """Return the further models that a method declares; `original` is the start model, if it is already in memory.

    Weights that are edited keep their precision.
    """
    frozen = not isinstance(method, EditMethod)
    found: dict[str, nn.Module] = {}
    for name, further in method.models.items():
        there = original if isinstance(further, Start) else None
        found[name] = load_input(job, INPUTS[type(further)], used, frozen=frozen) if there is None else there
    return found
