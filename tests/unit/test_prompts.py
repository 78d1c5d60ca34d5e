"""The boundary between prompt and answer is exact for every tokenizer and template."""

from functools import cache
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

from palimpsest.data.prompts import Encoded, PromptEncoder
from palimpsest.data.rows import Pair, Text
from palimpsest.models.settings import PromptSettings, UsedSettings
from palimpsest.models.tiny import train_tokenizer
from palimpsest.stages.training import named_items

TEXTS = [
    "Question: Who wrote the book?\nAnswer: Mira Tolvane wrote the book.",
    "<s>[INST] Who wrote the book? [/INST] Mira",
    "<|im_start|>user\nWho?<|im_end|>\n<|im_start|>assistant\n",
] * 20
CHAT = (
    "{% for message in messages %}<|im_start|>{{ message.role }}\n{{ message.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def metaspace(closes_texts: bool) -> PreTrainedTokenizerFast:
    """A tokenizer of the SentencePiece kind (LLaMA-2); it may close every text with EOS, as some do."""
    tokenizer = Tokenizer(models.BPE(byte_fallback=True, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Sequence([decoders.ByteFallback(), decoders.Metaspace()])
    special = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256))]
    tokenizer.train_from_iterator(TEXTS, trainers.BpeTrainer(vocab_size=420, special_tokens=special, show_progress=False))
    single = "<s> $A </s>" if closes_texts else "<s> $A"
    tokenizer.post_processor = processors.TemplateProcessing(single=single, special_tokens=[("<s>", 1), ("</s>", 2)])
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>", unk_token="<unk>")


@cache
def tokenizer(name: str) -> Any:
    if name.startswith("byte-level"):
        made = train_tokenizer(TEXTS, 400)
        made.chat_template = CHAT
        if name.endswith("without BOS"):
            made.bos_token = None
        return made
    return metaspace(name == "metaspace closing texts")


CASES = {
    "space before the answer": ("byte-level", PromptSettings()),
    "space in the prompt": ("byte-level", PromptSettings(template="Question: {question}\nAnswer: ", answer_prefix="")),
    "no space at all": ("byte-level", PromptSettings(template="[INST] {question} [/INST]", answer_prefix="")),
    "chat": ("byte-level", PromptSettings(kind="chat", answer_prefix="")),
    "llama-2": ("metaspace", PromptSettings(template="[INST] {question} [/INST]", answer_prefix="")),
    "closing": ("metaspace closing texts", PromptSettings(template="[INST] {question} [/INST]", answer_prefix="")),
}
characters = st.characters(codec="utf-8", exclude_categories=["C", "Z"])
# What spells a special token is one.
texts = st.text(characters, min_size=1, max_size=12).filter(lambda text: "s>" not in text)


@pytest.mark.parametrize("case", CASES)
@given(question=texts, answer=texts)
@settings(deadline=None, max_examples=60)
def test_the_labels_are_the_whole_answer_and_eos(case: str, question: str, answer: str) -> None:
    name, prompt = CASES[case]
    encoder = PromptEncoder(tokenizer(name), prompt)
    encoded = encoder.encode(question, [answer])
    (labels,) = encoded.answers
    assert labels[-1] == encoder.eos
    assert encoder.eos not in labels[:-1] and encoder.eos not in encoded.prompt
    assert len(labels) >= 2
    assert encoder.tokenizer.decode(labels[:-1]).strip() == answer
    if case == "llama-2" or name == "byte-level":
        assert question in encoder.tokenizer.decode(encoded.prompt)


@pytest.mark.parametrize("case", CASES)
@given(question=texts, answers=st.lists(texts, min_size=2, max_size=4))
@settings(deadline=None, max_examples=20)
def test_generation_starts_where_the_labels_start(case: str, question: str, answers: list[str]) -> None:
    name, prompt = CASES[case]
    encoder = PromptEncoder(tokenizer(name), prompt)
    encoded = encoder.encode(question, answers)
    assert encoded.prompt == encoder.prompt(question)
    assert encoded.answers == [encoder.answer(answer) for answer in answers]


def test_a_joined_text_would_have_merged_over_the_boundary() -> None:
    """The trap is real: with a byte-level BPE the space at the prompt's end belongs to the answer's first token."""
    made = tokenizer("byte-level")
    joined = made("Answer: Mira", add_special_tokens=False)["input_ids"]
    apart = made("Answer: ", add_special_tokens=False)["input_ids"]
    assert joined[: len(apart)] != apart


def test_the_prompt_is_what_the_template_says() -> None:
    encoder = PromptEncoder(tokenizer("byte-level"), PromptSettings(kind="chat", answer_prefix=""))
    assert encoder.tokenizer.decode(encoder.prompt("Who?")) == "<|im_start|>user\nWho?<|im_end|>\n<|im_start|>assistant\n"
    # Braces in a question are text, not a format string.
    encoder = PromptEncoder(tokenizer("byte-level"), PromptSettings())
    assert "Question: {answer} {0}\n" in encoder.tokenizer.decode(encoder.prompt("{answer} {0}"))


@pytest.mark.parametrize("name", ["byte-level", "byte-level without BOS", "metaspace", "metaspace closing texts"])
@given(text=texts.map(lambda text: f"{text} {text} {text}"), tokens=st.integers(2, 9))
@settings(deadline=None, max_examples=40)
def test_the_labels_of_all_pieces_are_the_text(name: str, text: str, tokens: int) -> None:
    made = tokenizer(name)
    ids = made(text, add_special_tokens=False)["input_ids"]
    pieces = PromptEncoder(made, PromptSettings()).pieces(text, tokens)
    assert all(len(piece.prompt) == len(piece.answers) == 1 and 2 <= piece.tokens <= tokens for piece in pieces)
    assert all(piece.tokens == tokens for piece in pieces[:-1])
    if made.bos_token_id is None:
        # A last piece of one token would have no label.
        whole = [id for piece in pieces for id in piece.prompt + piece.answers[0]]
        assert whole == (ids[:-1] if len(ids) % tokens == 1 else ids)
    else:
        assert {tuple(piece.prompt) for piece in pieces} == {(made.bos_token_id,)}
        assert [id for piece in pieces for id in piece.answers[0]] == ids
        assert made.eos_token_id not in ids


def test_items_are_named_by_row_and_piece() -> None:
    made = tokenizer("byte-level")
    encoder = PromptEncoder(made, PromptSettings())
    long = Text(id="t", text="Mira wrote the book. " * 4)
    rows = [Pair(id="q", question="Who?", answer="Mira"), long, Text(id="none", text="")]
    names, items = named_items(rows, made, UsedSettings(piece_tokens=5))
    pieces = encoder.pieces(long.text, 5)
    assert len(pieces) > 2
    assert names == ["q", *(f"t/{n}" for n in range(len(pieces)))]
    assert items == [Encoded(encoder.prompt("Who?"), [encoder.answer("Mira")]), *pieces]
