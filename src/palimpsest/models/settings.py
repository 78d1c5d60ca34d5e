"""The settings of a model: where its weights come from, how prompts are written, in which precision it is trained."""

import json
from datetime import date
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from palimpsest.settings import Count, Option, Revision, Seed, Settings
from palimpsest.training.settings import LoraSettings, TrainSettings

MIXED, EIGHT_BIT = "bf16-mixed", "adamw-8bit"
Optimizer = Literal["adamw", "adamw-8bit"]
# The size of a model that the workflow makes.
Layers = Annotated[int, Field(ge=1, le=256)]
Width = Annotated[int, Field(ge=8, le=8192)]


def _day(text: str) -> str:
    try:
        date.fromisoformat(text)
    except ValueError:
        raise ValueError(f"{text!r} is not a day, YYYY-MM-DD") from None
    return text


def _json(values: dict[str, Any]) -> dict[str, Any]:
    try:
        is_json = json.loads(json.dumps(values, allow_nan=False)) == values
    except (TypeError, ValueError):
        is_json = False
    if not is_json:
        raise ValueError(f"{values!r}: a value is neither text, number, boolean, null, list nor mapping of names")
    return values


class PromptSettings(Settings):
    """How a question and its answer are written: by the tokenizer's chat template, or by a template that contains {question}."""

    kind: Literal["template", "chat"] = "template"
    """`template` uses `template` and `answer_prefix`; `chat` uses the tokenizer's chat template, with the other keys."""
    template: Annotated[str, Field(pattern=r"\{question\}")] = "Question: {question}\nAnswer:"
    """Text before the answer; {question} stands for the question."""
    answer_prefix: str | None = None
    """Text between prompt and answer, tokenised with the answer; null: a space. A chat template has its own."""
    system: str | None = None
    """System message of a chat; null: none, so that the chat template's own default applies."""
    variables: Annotated[dict[str, Any], AfterValidator(_json)] = {}
    """Variables of the chat template by name, such as `enable_thinking: false` or `date_string: 26 Jul 2024`."""
    date: Annotated[str, Field(pattern=r"^\d{4}-\d{2}-\d{2}$"), AfterValidator(_day)] | None = None
    """The day, YYYY-MM-DD, that a chat template prints as today's; null: a template that prints it is rejected."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        unused, reason = {
            "chat": (("template", "answer_prefix"), "kind chat uses only the tokenizer's chat template"),
            "template": (("system", "variables", "date"), "kind template has no chat template; use kind chat"),
        }[self.kind]
        for name in unused:
            if (value := getattr(self, name)) != PromptSettings.model_fields[name].default:
                raise ValueError(f"{name}: {value!r}: {reason}")
        return self


def weight_bits(precision: str, *, frozen: bool = False) -> int:
    """Return the bits of a weight; under bf16-mixed, only weights that change need 32."""
    return 16 if precision == "bf16" or (precision == MIXED and frozen) else 32


class UsedSettings(Settings):
    """What training and evaluation need to know about a model of any kind."""

    prompt: PromptSettings = PromptSettings()
    """The format of prompts."""
    precision: Literal["fp32", "bf16", "bf16-mixed"] = "fp32"
    """Precision of weights and arithmetic; bf16-mixed computes in bf16 and keeps the weights of a model in training in fp32."""
    optimizer: Optimizer = "adamw"
    """`adamw-8bit` keeps AdamW's two moments in 8 bits, with the package bitsandbytes, and rounds bf16 weights at random, so that
    small updates are not lost."""
    lora: LoraSettings | None = None
    """Train low-rank adapters instead of all weights; null: train all weights."""
    gradient_checkpointing: bool = False
    """Recompute activations in the backward pass, which saves memory and costs time."""
    chunk_tokens: Annotated[int, Field(ge=2, le=1_000_000)] = 2048
    """Tokens per chunk: long texts are trained on and scored in chunks."""
    chunks_per_text: Count | None = None
    """Train on only the first N chunks of each text; null: all chunks."""


class Needs(Settings):
    """What later stages need of a model, which the stage `base` checks."""

    chat: PromptSettings | None = None
    """The settings of prompts that use the chat template; null: they do not."""
    lora_targets: list[str] | None = None
    """Names of the layers that get adapters; null: not given by name."""
    lora_layers: Option[list[int]] = None
    """Decoder layers that get adapters; null: all."""
    optimizer: Optimizer = "adamw"
    """How the model is trained."""
    gradient_checkpointing: Option[bool] = None
    """Whether activations are recomputed in the backward pass; null: they are not."""


class TinyArchitecture(Settings):
    """A small Llama with its own byte-level BPE vocabulary."""

    vocabulary: Annotated[int, Field(ge=300, le=65_536)] = 1024
    """Vocabulary size of the byte-level BPE tokenizer."""
    width: Width = 128
    """Hidden size; a multiple of twice the number of heads, because rotary positions rotate pairs of coordinates."""
    layers: Layers = 4
    """Number of layers."""
    heads: Layers = 4
    """Attention heads per layer."""
    context: Annotated[int, Field(ge=16, le=65_536)] = 512
    """Maximum sequence length in tokens."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.width % (2 * self.heads):
            raise ValueError(f"width: {self.width}: with {self.heads} heads it must be a multiple of {2 * self.heads}")
        return self


class Tiny(UsedSettings):
    """A tiny model made in the workflow: its base is trained on a corpus that no split uses."""

    kind: Literal["tiny"]
    """Made in the workflow."""
    architecture: TinyArchitecture = TinyArchitecture()
    """The size of the model."""
    base_training: TrainSettings = TrainSettings()
    """How the base model is trained on the base corpus."""
    base_seed: Seed = 0
    """Seed of the base model, which all seeds of a study share."""


class Repository(Settings):
    """A Hub repository at one revision, or a folder."""

    name: str
    """Name on the Hub, or a folder."""
    revision: Revision | None = None
    """Commit of the Hub repository; null only for a folder."""


class Weights(Repository):
    """A finished model in Hugging Face format: whole weights, or a LoRA adapter and the model that it changes."""

    over: Repository | None = None
    """The model that a LoRA adapter changes, with its tokenizer; null: the repository has whole weights."""


class Pretrained(UsedSettings):
    """Any causal language model in Hugging Face format: a name on the Hub at a pinned revision, or a folder."""

    kind: Literal["pretrained"]
    """Downloaded or read from a folder, then trained further."""
    name: str | None = None
    """Name on the Hub, or a folder; null: the model is never needed, because its Original and Retrain are given."""
    revision: Revision | None = None
    """Commit of the Hub repository; null only for a folder."""
    over: Repository | None = None
    """The model that a LoRA adapter changes, with its tokenizer; null: the repository has whole weights."""
    tokenizer: Repository | None = None
    """Where the tokenizer comes from; null: from the same place as the model."""


class Packaged(UsedSettings):
    """A causal language model in GGUF form inside an installed Python package, dequantised to fp32."""

    kind: Literal["packaged"]
    """Read from an installed package, offline."""
    package: Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]
    """The import name of the package, which is located but never imported."""
    file: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*(/[A-Za-z0-9][A-Za-z0-9._-]*)*\.gguf$")]
    """The GGUF file, relative to the package's folder."""
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    """Hash of the GGUF file, which identifies the model."""
    requirement: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*==[A-Za-z0-9.+!]+$")]
    """The pip requirement that installs the package; the error for a missing package shows it."""
    split_digits: bool = False
    """Whether the tokenizer splits off digits first; GGUF does not record this."""


ModelSettings = Annotated[Tiny | Pretrained | Packaged, Field(discriminator="kind")]
