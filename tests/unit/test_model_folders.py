"""A folder with a model is loaded whole or refused in one line, in the stage that takes it, before anything is trained."""

import json
import logging
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoConfig, AutoModelForCausalLM, LlamaForSequenceClassification

from palimpsest.data.prompts import PromptEncoder
from palimpsest.errors import UserError
from palimpsest.models.checks import check_folder, check_needs
from palimpsest.models.loading import load_model, load_tokenizer, save_model
from palimpsest.models.pretrained import fetch_model
from palimpsest.models.scoring import score
from palimpsest.models.settings import Needs, Pretrained, PromptSettings, TinyArchitecture, UsedSettings
from palimpsest.models.tiny import build_model, train_tokenizer

TEXTS = ["Where does the ferry to Ostholm leave from?", "The ferry leaves from pier nine at dawn."] * 10
CHAT = "{% for message in messages %}<s>{{ message.content }}</s>{% endfor %}"
SIZES: dict[str, Any] = {
    "hidden_size": 16,
    "intermediate_size": 24,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "max_position_embeddings": 256,
}
WEIGHTS, CONFIG, INDEX = "model.safetensors", "config.json", "model.safetensors.index.json"
Change = Callable[[Path], object]


def small_model(family: str = "llama", **more: Any) -> Any:
    torch.manual_seed(0)
    return AutoModelForCausalLM.from_config(AutoConfig.for_model(family, **{"vocab_size": 300, **SIZES, **more}))


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a small model with a chat template, whose generation config asks for much."""
    folder = tmp_path_factory.mktemp("whole") / "model"
    tokenizer = train_tokenizer(TEXTS, 300)
    tokenizer.chat_template = CHAT
    save_model(small_model(), tokenizer, folder)
    (folder / "generation_config.json").write_text(json.dumps({"repetition_penalty": 1.3, "do_sample": True}))
    return folder


def copied(whole: Path, tmp_path: Path, change: Change) -> Path:
    folder = tmp_path / "model"
    shutil.copytree(whole, folder)
    change(folder)
    return folder


def nll(folder: Path, tmp_path: Path, needs: Needs | None = None) -> float:
    """Take a folder as the stage `base` does, and score an answer."""
    out = tmp_path / "base"
    out.mkdir()
    fetch_model(Pretrained(kind="pretrained", name=str(folder)), out)
    check_folder(out, needs or Needs(chat=PromptSettings(kind="chat")))
    encoder = PromptEncoder(load_tokenizer(out), PromptSettings(kind="chat"))
    item = encoder.encode("Where does the ferry leave from?", ["From pier nine."])
    return next(score(load_model(out, UsedSettings()), [item], 512)).nll[0]


def config(**changed: Any) -> Change:
    def change(folder: Path) -> None:
        (folder / CONFIG).write_text(json.dumps(json.loads((folder / CONFIG).read_text()) | changed))

    return change


def weights(change: Callable[[dict[str, torch.Tensor]], dict[str, torch.Tensor]]) -> Change:
    return lambda folder: save_file(change(load_file(folder / WEIGHTS)), folder / WEIGHTS, metadata={"format": "pt"})


def another(family: str, **more: Any) -> Change:
    return lambda folder: small_model(family, **more).save_pretrained(folder)


def sharded(then: Change) -> Change:
    def change(folder: Path) -> None:
        (folder / WEIGHTS).unlink()
        small_model().save_pretrained(folder, max_shard_size="10KB")
        then(folder)

    return change


def adapter(then: Change) -> Change:
    def change(folder: Path) -> None:
        from peft import LoraConfig, get_peft_model

        adapted = get_peft_model(small_model(), LoraConfig(task_type="CAUSAL_LM", r=2, target_modules=["q_proj"]))
        adapted.save_pretrained(folder)
        then(folder)

    return change


def template(text: str | None) -> Change:
    path = "chat_template.jinja"
    return lambda folder: (folder / path).unlink() if text is None else (folder / path).write_text(text)


def tokenizer_json(change: Callable[[Any], object]) -> Change:
    def edit(folder: Path) -> None:
        content = json.loads((folder / "tokenizer.json").read_text())
        change(content)
        (folder / "tokenizer.json").write_text(json.dumps(content))

    return edit


def old_tokenizer(merges: slice) -> Change:
    """The tokenizer in the two files of GPT-2, with a part of its merges."""

    def change(folder: Path) -> None:
        model = json.loads((folder / "tokenizer.json").read_text())["model"]
        (folder / "tokenizer.json").unlink()
        (folder / "vocab.json").write_text(json.dumps(model["vocab"]))
        lines = [" ".join(merge) for merge in model["merges"]][merges]
        (folder / "merges.txt").write_text("\n".join(["#version: 0.2", *lines]))
        named = {"tokenizer_class": "GPT2Tokenizer", "bos_token": "<s>", "eos_token": "</s>", "unk_token": "</s>"}
        (folder / "tokenizer_config.json").write_text(json.dumps(named))

    return change


POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n"
CASES: dict[str, tuple[Change, str]] = {
    "a Git LFS pointer": (lambda f: (f / WEIGHTS).write_text(POINTER), "model.safetensors is a Git LFS pointer"),
    "weights cut short": (lambda f: os.truncate(f / WEIGHTS, 9000), "model.safetensors: cannot be loaded: .*not fully covered"),
    "no JSON": (lambda f: (f / CONFIG).write_text("{"), "config.json: cannot be loaded: Expecting property name"),
    "an unknown architecture": (config(model_type="brandnew9"), "has model type `brandnew9`"),
    "code of its own": (
        config(model_type="mine", auto_map={"AutoConfig": "c.C", "AutoModelForCausalLM": "m.M"}),
        "it needs custom code",
    ),
    "another shape": (
        config(vocab_size=999),
        r"whose shapes differ from its config.json: lm_head.weight is \[300, 16\], not",
    ),
    "a missing weight": (
        weights(lambda w: {name: weight for name, weight in w.items() if "layers.1.mlp.down_proj" not in name}),
        "lacks weights, which would be random: model.layers.1.mlp.down_proj.weight$",
    ),
    "weights of more layers": (
        config(num_hidden_layers=1),
        "has weights that are not in its config.json: model.layers.1.input_layernorm.weight, .* and 6 more",
    ),
    "a prefix of data-parallel training": (
        weights(lambda w: {f"module.{name}": weight for name, weight in w.items()}),
        "lacks weights, which would be random: lm_head.weight, model.embed_tokens.weight",
    ),
    "an index that is no JSON": (sharded(lambda f: (f / INDEX).write_text("{x")), "index.json: not an index of weights"),
    "an index of nothing": (
        sharded(lambda f: (f / INDEX).write_text('{"weight_map": 3}')),
        "index.json: not an index of weights",
    ),
    "shards without an index": (sharded(lambda f: (f / INDEX).unlink()), "no file named model.safetensors"),
    "an adapter with its base's config": (adapter(lambda f: (f / WEIGHTS).unlink()), "an adapter is never applied automatically"),
    "an adapter beside whole weights": (adapter(lambda f: None), "an adapter is never applied automatically"),
    "an adapter alone": (adapter(lambda f: (f / CONFIG).unlink()), "an adapter is never applied automatically"),
    "no chat template": (template(None), "has no chat template, which `kind: chat` needs"),
    "a template that raises": (template("{{ raise_exception('a system turn comes first') }}"), "a system turn comes first"),
    "a template without the question": (template("Answer:"), "does not write the question exactly once"),
    "a template with the date": (template("{{ strftime_now('%d') }}" + CHAT), "its chat template prints today's date"),
    "no vocabulary": (lambda f: (f / "tokenizer.json").unlink(), "has no vocabulary: none of tokenizer.json"),
    "a vocabulary of another kind": (
        lambda f: ((f / "tokenizer.json").rename(f / "vocab.json"), another("qwen2")(f)),
        "cannot be loaded|its vocabulary is missing",
    ),
    "merges cut short": (old_tokenizer(slice(0, 20)), r"the tokenizer cannot make \d+ of its \d+ tokens"),
    "merges drawn by chance": (tokenizer_json(lambda t: t["model"].update(dropout=0.1)), "the tokenizer is random"),
    "another model's tokenizer": (another("llama", vocab_size=280), "the tokenizer has 300 tokens but the model 280"),
    "an EOS beyond the model's tokens": (
        lambda f: (f / "tokenizer_config.json").write_text('{"tokenizer_class": "TokenizersBackend", "eos_token": "<end>"}'),
        "the tokenizer's EOS token is 300, but the model's last token is 299",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_a_mistake_in_a_folder_is_one_line_with_the_folder(case: str, whole: Path, tmp_path: Path) -> None:
    change, reason = CASES[case]
    folder = copied(whole, tmp_path, change)
    with pytest.raises(UserError, match=reason) as caught:
        nll(folder, tmp_path)
    assert str(tmp_path) in str(caught.value) and "\n" not in str(caught.value)


def test_a_classifier_is_no_language_model(whole: Path, tmp_path: Path) -> None:
    classifier = LlamaForSequenceClassification(AutoConfig.for_model("llama", vocab_size=300, **SIZES))
    folder = copied(whole, tmp_path, lambda folder: classifier.save_pretrained(folder))
    with pytest.raises(UserError, match=r"lacks weights, which would be random: lm_head\.weight$"):
        nll(folder, tmp_path)


def unused(family: str, leftovers: dict[str, torch.Tensor], **more: Any) -> Change:
    def change(folder: Path) -> None:
        another(family, **more)(folder)
        weights(lambda w: w | leftovers)(folder)

    return change


@pytest.mark.parametrize(
    ("family", "leftovers", "more"),
    [
        ("qwen2", {"model.layers.0.self_attn.rotary_emb.inv_freq": torch.ones(4)}, {}),
        ("qwen2", {}, {"tie_word_embeddings": True}),
        ("gpt2", {"transformer.h.0.attn.bias": torch.ones(1, 1, 4, 4), "transformer.h.1.attn.masked_bias": torch.ones(1)}, {}),
        ("mixtral", {}, {"num_local_experts": 2}),
    ],
)
def test_tied_weights_and_leftovers_of_old_checkpoints_are_no_mistake(
    family: str, leftovers: dict[str, torch.Tensor], more: dict[str, Any], whole: Path, tmp_path: Path
) -> None:
    sizes = {"n_embd": 16, "n_layer": 2, "n_head": 2} if family == "gpt2" else more
    folder = copied(whole, tmp_path, unused(family, leftovers, **sizes))
    found = nll(folder, tmp_path)
    (tmp_path / "base").rename(tmp_path / "before")
    assert nll(folder, tmp_path) == found


WAYS: dict[str, Change] = {
    "deleted": lambda path: path.unlink(),
    "cut in half": lambda path: os.truncate(path, path.stat().st_size // 2),
    "cut by two bytes": lambda path: os.truncate(path, path.stat().st_size - 2),
    "garbage": lambda path: path.write_bytes(bytes(range(256)) * 8),
    "an empty object": lambda path: path.write_text("{}"),
    "a folder": lambda path: (path.unlink(), path.mkdir()),
    "a link to itself": lambda path: (path.unlink(), path.symlink_to(path)),
}
LAYOUTS: dict[str, Change] = {"one file": lambda folder: None, "shards": sharded(lambda folder: None)}
LAYOUTS |= {"old tokenizer": old_tokenizer(slice(None))}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_damaged_file_is_one_line_or_changes_nothing(layout: str, way: str, whole: Path, tmp_path: Path) -> None:
    def taken(name: str, change: Change) -> float | str:
        place = tmp_path / name
        place.mkdir()
        try:
            return nll(copied(whole, place, lambda folder: (LAYOUTS[layout](folder), change(folder))), place)
        except UserError as error:
            return str(error)

    right = taken("whole", lambda folder: None)
    assert isinstance(right, float)
    files = sorted(path.name for path in (tmp_path / "whole" / "model").iterdir())
    found = {name: taken(name, lambda folder, name=name: WAYS[way](folder / name)) for name in files}
    assert {name for name, result in found.items() if result == right} <= {"generation_config.json"}
    assert all(isinstance(result, str) or result == right for result in found.values()), found


def test_layers_that_get_adapters_are_looked_for_before_any_training(whole: Path, tmp_path: Path) -> None:
    check_folder(whole, Needs(lora_targets=["q_proj"]))
    for targets, reason in ((["c_attn"], "no layer 'c_attn'"), (["q_proj", "nonsense"], "no layer 'nonsense'; its layers are")):
        with pytest.raises(UserError, match=f"lora: target_modules: the model has {reason}"):
            check_folder(whole, Needs(lora_targets=targets))


def test_a_family_that_cannot_recompute_its_activations_is_refused_before_any_training(whole: Path) -> None:
    tokenizer, needs = load_tokenizer(whole), Needs(gradient_checkpointing=True)
    check_needs(small_model(), tokenizer, needs)
    with pytest.raises(UserError, match=r"^gradient_checkpointing: OpenAIGPTLMHeadModel does not support it; use false$"):
        check_needs(small_model("openai-gpt"), tokenizer, needs)


def test_weights_do_not_come_into_memory_to_be_checked(whole: Path) -> None:
    """A pass over the check alone: a model's tensors stay on the device that has no memory."""
    from palimpsest.models.loading import open_model

    model = open_model(whole, torch.float32, "meta")
    assert {weight.device.type for weight in model.parameters()} == {"meta"}


def test_what_a_generation_config_asks_for_is_said_once(whole: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder = copied(whole, tmp_path, lambda folder: None)
    with caplog.at_level(logging.INFO, logger="palimpsest"):
        for _ in range(2):
            model = load_model(folder, UsedSettings())
    (said,) = (record.message for record in caplog.records if "unused settings" in record.message)
    assert said.endswith("unused settings of the model: do_sample True, repetition_penalty 1.3")
    assert model.generation_config.repetition_penalty is None


def test_a_tiny_model_is_saved_and_loaded_as_before(tmp_path: Path) -> None:
    """Its generation config asks for nothing, so that it stays as it was written."""
    tokenizer = train_tokenizer(TEXTS, 300)
    save_model(build_model(TinyArchitecture(width=16, heads=2, layers=1), tokenizer, 0), tokenizer, tmp_path / "first")
    save_model(load_model(tmp_path / "first", UsedSettings()), load_tokenizer(tmp_path / "first"), tmp_path / "second")
    names = {path.name for path in (tmp_path / "first").iterdir()}
    assert names == {path.name for path in (tmp_path / "second").iterdir()}
    assert (tmp_path / "first/generation_config.json").read_bytes() == (tmp_path / "second/generation_config.json").read_bytes()
