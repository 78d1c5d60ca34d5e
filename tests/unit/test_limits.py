"""What a model cannot read is refused by name before any work: too long, beyond its tokens, or with nothing to predict from."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from small_models import build
from tokenizers import processors
from transformers import AutoConfig, AutoModelForCausalLM

from palimpsest.benchmarks.muse.suite import MuseSets, evaluate_muse
from palimpsest.benchmarks.muse.suite_settings import MuseSuite
from palimpsest.benchmarks.tofu.suite import evaluate_tofu
from palimpsest.benchmarks.tofu.suite_settings import TofuSuite
from palimpsest.data.prompts import Encoded, PromptEncoder
from palimpsest.data.rows import Excerpt, Pair, Question, Text
from palimpsest.errors import UserError
from palimpsest.evaluation.generation import generate_answers
from palimpsest.methods import make_method
from palimpsest.methods.problem import Unlearning
from palimpsest.models.encoding import named_items
from palimpsest.models.limits import check_items, check_prompts, longest_text
from palimpsest.models.loading import load_model, load_tokenizer, save_model
from palimpsest.models.settings import PromptSettings, TinyArchitecture, UsedSettings
from palimpsest.models.tiny import build_model, train_tokenizer
from palimpsest.training.problems import FineTuning
from palimpsest.training.settings import UnlearnSettings

LIMIT = 16
LLAMA = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
# Small models by family, with the key that sets their longest text.
LIMITED: dict[str, dict[str, Any]] = {
    "llama": {**LLAMA, "max_position_embeddings": LIMIT},
    "gpt2": {"n_positions": LIMIT, "n_embd": 16, "n_layer": 1, "n_head": 2},
    "gpt_bigcode": {"n_positions": LIMIT, "n_embd": 16, "n_layer": 1, "n_head": 2},
    "gptj": {"n_positions": LIMIT, "n_embd": 16, "n_layer": 1, "n_head": 2, "rotary_dim": 4},
    "gpt_neox": {**LLAMA, "max_position_embeddings": LIMIT},
    "opt": {**LLAMA, "ffn_dim": 16, "word_embed_proj_dim": 16, "max_position_embeddings": LIMIT},
    "mpt": {"d_model": 16, "n_layers": 1, "n_heads": 2, "max_seq_len": LIMIT},
    "falcon": {**LLAMA, "max_position_embeddings": LIMIT},
}
# Those that read a text of any length.
ENDLESS: dict[str, dict[str, Any]] = {
    "bloom": {"hidden_size": 16, "n_layer": 1, "n_head": 2},
    "falcon": {**LLAMA, "alibi": True, "max_position_embeddings": LIMIT},
    "mamba": {"hidden_size": 16, "num_hidden_layers": 1, "state_size": 4},
    "rwkv": {"hidden_size": 16, "attention_hidden_size": 16, "num_hidden_layers": 2, "context_length": LIMIT},
}


def family(name: str, sizes: dict[str, Any]) -> Any:
    torch.manual_seed(0)
    config = AutoConfig.for_model(name, vocab_size=50, bos_token_id=0, eos_token_id=1, pad_token_id=1, **sizes)
    return AutoModelForCausalLM.from_config(config).eval()


def runs(model: Any, tokens: int) -> bool:
    try:
        model(torch.ones(1, tokens, dtype=torch.long))
    except (IndexError, RuntimeError):
        return False
    return True


@pytest.mark.parametrize("name", LIMITED)
def test_an_item_may_be_as_long_as_the_positions_and_no_longer(name: str) -> None:
    model = family(name, LIMITED[name])
    assert longest_text(model.config) == LIMIT and runs(model, LIMIT)
    check_items(model, ["whole"], [Encoded([3] * 6, [[4] * 10, [5] * 2])])
    with pytest.raises(UserError, match=r"^author-0001-02: 17 tokens to read, but the model has 16 positions$"):
        check_items(model, ["whole", "author-0001-02"], [Encoded([3], [[4]]), Encoded([3] * 6, [[5] * 2, [4] * 11])])
    check_prompts(model, ["whole"], [[3] * 6], 10)
    with pytest.raises(UserError, match=r"^q: 17 tokens with the 11 to generate, but the model has 16 positions$"):
        check_prompts(model, ["q"], [[3] * 6], 11)


@pytest.mark.parametrize("name", ENDLESS)
def test_some_families_read_texts_of_any_length(name: str) -> None:
    model = family(name, ENDLESS[name])
    assert longest_text(model.config) is None and runs(model, 8 * LIMIT)
    check_items(model, ["long"], [Encoded([3] * 900, [[4] * 900])])


def test_a_table_of_positions_is_all_that_these_families_have() -> None:
    """Where one more token is an error of the model, the limit that is read off its config is the real one."""
    assert {name for name, sizes in LIMITED.items() if not runs(family(name, sizes), LIMIT + 1)} >= {"gpt2", "gpt_bigcode", "mpt"}


def rope(length: int, **parameters: Any) -> Any:
    return AutoConfig.for_model("llama", max_position_embeddings=length, rope_parameters={"rope_theta": 1e4, **parameters})


LLAMA3 = {"low_freq_factor": 1.0, "high_freq_factor": 4.0}


@pytest.mark.parametrize(
    ("config", "longest"),
    [
        (lambda: rope(4096, rope_type="default"), 4096),
        (lambda: rope(4096, rope_type="linear", factor=4.0), 16384),
        (lambda: rope(4096, rope_type="dynamic", factor=2.0), 8192),
        (lambda: rope(32768, rope_type="yarn", factor=4.0, original_max_position_embeddings=32768), 131072),
        (lambda: rope(163840, rope_type="yarn", factor=40.0, original_max_position_embeddings=4096), 163840),
        (lambda: rope(131072, rope_type="llama3", factor=8.0, original_max_position_embeddings=8192, **LLAMA3), 131072),
        (lambda: AutoConfig.for_model("gemma3", text_config={"max_position_embeddings": 99}), 99),
        (lambda: AutoConfig.for_model("xlnet"), None),
    ],
)
def test_the_longest_text_is_that_of_the_text_model_after_scaling(config: Callable[[], Any], longest: int | None) -> None:
    assert longest_text(config()) == longest


def test_a_token_beyond_the_embedding_is_refused_by_name() -> None:
    model = build("llama", 1)
    check_items(model, ["q"], [Encoded([0], [[49]])])
    for item in (Encoded([50], [[1]]), Encoded([0], [[1], [2, 50]])):
        with pytest.raises(UserError, match=r"^q: it has token 50, but the model's last token is 49$"):
            check_items(model, ["q"], [item])


# With a tokenizer.

TEXTS = ["Who keeps the lighthouse?", "Ingrid keeps it."] * 10


def without_bos() -> Any:
    made = train_tokenizer(TEXTS, 300)
    made.bos_token = None
    made.backend_tokenizer.post_processor = processors.TemplateProcessing(single="$A", special_tokens=[])
    return made


def tiny(tokenizer: Any, context: int = 64) -> Any:
    return build_model(TinyArchitecture(width=16, heads=2, layers=1, context=context), tokenizer, 0).eval()


def question(**changed: Any) -> Question:
    asked = {"id": "q-1", "author": 0, "question": "Who keeps it?", "answer": "Ingrid.", "perturbed_answers": ["Mira."]}
    return Question.model_validate(asked | changed)


def test_an_item_without_a_token_before_its_answer_is_refused_by_name() -> None:
    tokenizer, used = without_bos(), UsedSettings(prompt=PromptSettings(template="{question}"))
    model, said = tiny(tokenizer), "^q-1: its prompt is empty"
    with pytest.raises(UserError, match=said):
        named_items([question(question="")], tokenizer, used, model)
    with pytest.raises(UserError, match=said):
        evaluate_tofu(
            model, tokenizer, used.prompt, {"forget": [question(question="")]}, TofuSuite(kind="tofu", max_new_tokens=4)
        )
    sets = MuseSets([Excerpt(id="q-1", prompt="", continuation="the lighthouse")], [], [], [], [], [], [])
    with pytest.raises(UserError, match=said):
        evaluate_muse(model, tokenizer, used, sets, MuseSuite(kind="muse", verbatim_tokens=4))
    # With BOS there is one.
    begun = train_tokenizer(TEXTS, 300)
    assert named_items([question(question="")], begun, used, tiny(begun))[1][0].prompt == [begun.bos_token_id]


def test_an_empty_answer_is_eos_alone_and_an_empty_text_no_item() -> None:
    tokenizer, used = train_tokenizer(TEXTS, 300), UsedSettings(prompt=PromptSettings(answer_prefix=""))
    rows = [question(answer=""), Text(id="none", text=""), Text(id="one", text="I")]
    names, items = named_items(rows, tokenizer, used, tiny(tokenizer))
    assert names == ["q-1", "one/0"]
    assert items[0].answers == [[tokenizer.eos_token_id]]
    assert (items[1].prompt, items[1].answers) == ([tokenizer.bos_token_id], [PromptEncoder(tokenizer, used.prompt).plain("I")])


def test_a_text_without_a_token_to_predict_is_refused_by_name() -> None:
    tokenizer = without_bos()
    for text in ("", "I"):
        sets = MuseSets([], [], [], [], [], [Text(id="t-7", text=text)], [])
        with pytest.raises(UserError, match=r"^t-7: the text has no token that a model could predict"):
            evaluate_muse(tiny(tokenizer), tokenizer, UsedSettings(), sets, MuseSuite(kind="muse"))


def test_what_is_longer_than_the_context_of_a_tiny_model_is_refused_before_any_work() -> None:
    tokenizer = train_tokenizer(TEXTS, 300)
    model = tiny(tokenizer, context=40)
    long = "Ingrid keeps the lighthouse. " * 10
    suite = TofuSuite(kind="tofu", max_new_tokens=4)
    for row in (question(answer=long), Pair(id="q-1", question=long, answer="Ingrid.")):
        with pytest.raises(UserError, match=r"^q-1: \d+ tokens to read, but the model has 40 positions$"):
            named_items([row], tokenizer, UsedSettings(), model)
    with pytest.raises(UserError, match=r"^t/0: 60 tokens to read, but the model has 40"):
        named_items([Text(id="t", text=long)], tokenizer, UsedSettings(chunk_tokens=60), model)
    for row in (question(answer=long), question(perturbed_answers=["Mira.", long])):
        with pytest.raises(UserError, match=r"^q-1: \d+ tokens to read"):
            evaluate_tofu(model, tokenizer, PromptSettings(), {"forget": [row]}, suite)
    with pytest.raises(UserError, match=r"^q-1: \d+ tokens with the 30 to generate, but the model has 40 positions$"):
        evaluate_tofu(model, tokenizer, PromptSettings(), {"forget": [question()]}, TofuSuite(kind="tofu", max_new_tokens=30))
    excerpt = Excerpt(id="e", prompt="Ingrid keeps", continuation=long)
    with pytest.raises(UserError, match=r"^e: \d+ tokens with the 128 to generate, but the model has 40 positions$"):
        evaluate_muse(model, tokenizer, UsedSettings(), MuseSets([excerpt], [], [], [], [], [], []), MuseSuite(kind="muse"))


def test_a_padding_token_beyond_the_embedding_is_eos(tmp_path: Any) -> None:
    tokenizer = train_tokenizer(TEXTS, 300)
    model = tiny(tokenizer)
    prompts = [[0, 5, 6], [0, 5, 6, 7, 8]]
    save_model(model, tokenizer, tmp_path / "plain")
    tokenizer.add_special_tokens({"pad_token": "[PAD]"})
    save_model(model, tokenizer, tmp_path / "padded")
    said = []
    for folder in (tmp_path / "plain", tmp_path / "padded"):
        loaded = load_tokenizer(folder)
        assert loaded.pad_token_id == loaded.eos_token_id
        said.append(generate_answers(load_model(folder, UsedSettings()), loaded, prompts, 8))
    assert said[0] == said[1]
    # The token itself, in a template, is one that the model does not have.
    used = UsedSettings(prompt=PromptSettings(template="[PAD]{question}"))
    padded = load_tokenizer(tmp_path / "padded")
    with pytest.raises(UserError, match=rf"^q-1: it has token {len(padded) - 1}, but the model's last token is"):
        named_items([question()], padded, used, model)


def test_nothing_to_learn_is_refused() -> None:
    with pytest.raises(UserError, match="nothing to learn"):
        FineTuning([])
    item = Encoded([0], [[1]])

    def problem(forget: list[Encoded], retain: list[Encoded], method: str = "npo", **settings: Any) -> Unlearning:
        return Unlearning(make_method(method, {}), UnlearnSettings(**settings), forget=forget, retain=retain, seed=0)

    problem([item], [], retain_loss="none")
    for forget, retain, method, reason in (
        ([], [item], "npo", "the forget set has no rows"),
        ([item], [], "npo", "the retain set, which the retain loss reads, has no rows"),
        ([item], [item], "idk", "the set of refusals, which the method teaches, has no rows"),
    ):
        with pytest.raises(UserError, match=reason):
            problem(forget, retain, method)
