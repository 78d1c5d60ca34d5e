"""The boundary between prompt and answer is exact for every tokenizer and template, and what a text spells is text."""

import json
from collections.abc import Callable
from functools import cache
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_models import build
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

from palimpsest.data.prompts import Encoded, PromptEncoder, added_tokens
from palimpsest.data.rows import Pair, Text
from palimpsest.errors import UserError
from palimpsest.models.encoding import named_items
from palimpsest.models.settings import PromptSettings, UsedSettings
from palimpsest.models.tiny import train_tokenizer

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
    trained = Tokenizer(models.BPE())
    trained.pre_tokenizer = pre_tokenizers.Metaspace()
    trained.train_from_iterator(
        TEXTS, trainers.BpeTrainer(vocab_size=160, special_tokens=["<unk>", "<s>", "</s>"], show_progress=False)
    )
    model = json.loads(trained.to_str())["model"]
    vocabulary = model["vocab"] | {f"<0x{byte:02X}>": len(model["vocab"]) + byte for byte in range(256)}
    merges = [tuple(merge) for merge in model["merges"]]
    tokenizer = Tokenizer(models.BPE(vocabulary, merges, byte_fallback=True, unk_token="<unk>"))
    tokenizer.add_special_tokens(["<unk>", "<s>", "</s>"])
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("\u2581", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    single = "<s> $A </s>" if closes_texts else "<s> $A"
    tokenizer.post_processor = processors.TemplateProcessing(single=single, special_tokens=[("<s>", 1), ("</s>", 2)])
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>", unk_token="<unk>")


def byte_level(single: str = "$A", **marks: Any) -> PreTrainedTokenizerFast:
    """A byte-level BPE whose texts stand in a frame, with more special tokens, some of which take the blanks beside them."""
    backend = train_tokenizer(TEXTS, 400).backend_tokenizer
    made = PreTrainedTokenizerFast(tokenizer_object=backend, **marks)
    made.add_special_tokens(
        {
            "additional_special_tokens": [
                AddedToken("<|im_start|>", special=True),
                AddedToken("<|im_end|>", special=True),
                AddedToken("<left>", special=True, lstrip=True),
                AddedToken("<right>", special=True, rstrip=True),
            ]
        }
    )
    made.add_tokens([AddedToken("<think>", special=False)])
    used = [(mark, made.convert_tokens_to_ids(mark)) for mark in single.split() if mark != "$A"]
    made.backend_tokenizer.post_processor = processors.TemplateProcessing(single=single, special_tokens=used)
    return made


@cache
def tokenizer(name: str) -> Any:
    if name.startswith("byte-level"):
        made = train_tokenizer(TEXTS, 400)
        made.add_special_tokens({"additional_special_tokens": ["<|im_start|>", "<|im_end|>"]})
        made.chat_template = CHAT
        if name.endswith("without BOS"):
            made.bos_token = None
        return made
    return metaspace(name == "metaspace closing texts")


CASES = {
    "space before the answer": ("byte-level", PromptSettings()),
    "space in the prompt": ("byte-level", PromptSettings(template="Question: {question}\nAnswer: ", answer_prefix="")),
    "no space at all": ("byte-level", PromptSettings(template="[INST] {question} [/INST]", answer_prefix="")),
    "chat": ("byte-level", PromptSettings(kind="chat")),
    "llama-2": ("metaspace", PromptSettings(template="[INST] {question} [/INST]", answer_prefix="")),
    "closing": ("metaspace closing texts", PromptSettings(template="[INST] {question} [/INST]", answer_prefix="")),
}
characters = st.characters(codec="utf-8", exclude_categories=["C", "Z"])
# What spells a special token is one.
texts = st.text(characters, min_size=1, max_size=12).filter(lambda text: "s>" not in text)

ENDOFTEXT = dict.fromkeys(("bos_token", "eos_token", "pad_token"), "<|endoftext|>")
SHAPES: dict[str, Callable[[], PreTrainedTokenizerFast]] = {
    "begins texts": lambda: byte_level("<s> $A", bos_token="<s>", eos_token="</s>"),
    "without BOS": lambda: byte_level(eos_token="</s>"),
    "closes texts": lambda: byte_level("<s> $A </s>", bos_token="<s>", eos_token="</s>"),
    "only closes texts": lambda: byte_level("$A </s>", eos_token="</s>"),
    "one mark for all": lambda: byte_level(**ENDOFTEXT),
    "metaspace": lambda: metaspace(closes_texts=False),
    "metaspace closing texts": lambda: metaspace(closes_texts=True),
}
shape = cache(lambda name: SHAPES[name]())
SPELLED = (
    "<s>",
    "</s>",
    "<|im_start|>",
    "<|im_end|>",
    "<|endoftext|>",
    "<left>",
    "<right>",
    "<unk>",
    "<think>",
    "<0x0A>",
    "<s",
    ">",
)
# All of Unicode but surrogates, which no file has, the sign that stands for a blank in SentencePiece, and the two marks.
anything = st.characters(exclude_categories=["Cs"], exclude_characters="\u2581\U000f0000\U000f0001")
marked = st.lists(st.text(anything, max_size=5) | st.sampled_from(SPELLED), max_size=6).map("".join)


def special(made: PreTrainedTokenizerFast, ids: list[int]) -> list[int]:
    """The special tokens among ids."""
    return [id for id in ids if id in made.added_tokens_decoder and made.added_tokens_decoder[id].special]


@pytest.mark.parametrize("case", CASES)
@given(question=texts, answer=texts)
@settings(deadline=None, max_examples=60)
def test_the_labels_are_the_whole_answer_and_its_end(case: str, question: str, answer: str) -> None:
    name, prompt = CASES[case]
    encoder = PromptEncoder(tokenizer(name), prompt)
    encoded = encoder.encode(question, [answer])
    (labels,) = encoded.answers
    assert labels[-1] == encoder.end
    assert encoder.end not in labels[:-1] and encoder.tokenizer.eos_token_id not in encoded.prompt
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
    encoder = PromptEncoder(tokenizer("byte-level"), PromptSettings(kind="chat"))
    # This tokenizer begins every text with BOS, and this template does not write it.
    assert encoder.tokenizer.decode(encoder.prompt("Who?")) == "<s><|im_start|>user\nWho?<|im_end|>\n<|im_start|>assistant\n"
    # Braces in a question are text, not a format string.
    encoder = PromptEncoder(tokenizer("byte-level"), PromptSettings())
    assert "Question: {answer} {0}\n" in encoder.tokenizer.decode(encoder.prompt("{answer} {0}"))


@pytest.mark.parametrize("name", ["byte-level", "byte-level without BOS", "metaspace", "metaspace closing texts"])
@given(text=texts.map(lambda text: f"{text} {text} {text}"), tokens=st.integers(2, 9))
@settings(deadline=None, max_examples=40)
def test_the_labels_of_all_pieces_are_the_text(name: str, text: str, tokens: int) -> None:
    made = tokenizer(name)
    ids = made(text, add_special_tokens=False)["input_ids"]
    chunks = PromptEncoder(made, PromptSettings()).chunks(text, tokens)
    assert all(len(chunk.prompt) == len(chunk.answers) == 1 and 2 <= chunk.tokens <= tokens for chunk in chunks)
    assert all(chunk.tokens == tokens for chunk in chunks[:-1])
    if made.bos_token_id is None:
        # A last chunk of one token would have no label.
        whole = [id for chunk in chunks for id in chunk.prompt + chunk.answers[0]]
        assert whole == (ids[:-1] if len(ids) % tokens == 1 else ids)
    else:
        assert {tuple(chunk.prompt) for chunk in chunks} == {(made.bos_token_id,)}
        assert [id for chunk in chunks for id in chunk.answers[0]] == ids
        assert made.eos_token_id not in ids


def test_items_are_named_by_row_and_piece() -> None:
    made = tokenizer("byte-level")
    encoder = PromptEncoder(made, PromptSettings())
    long = Text(id="t", text="Mira wrote the book. " * 4)
    rows = [Pair(id="q", question="Who?", answer="Mira"), long, Text(id="none", text="")]
    names, items = named_items(rows, made, UsedSettings(chunk_tokens=5), build("llama", 1, vocabulary=len(made)))
    chunks = encoder.chunks(long.text, 5)
    assert len(chunks) > 2
    assert names == ["q", *(f"t/{n}" for n in range(len(chunks)))]
    assert items == [Encoded(encoder.prompt("Who?"), [encoder.answer("Mira")]), *chunks]


@pytest.mark.parametrize("name", SHAPES)
@given(text=marked)
@settings(deadline=None, max_examples=80)
def test_no_text_holds_a_special_token_whatever_it_spells(name: str, text: str) -> None:
    made = shape(name)
    encoder = PromptEncoder(made, PromptSettings(template="{question}"))
    labels = encoder.answer(text)
    assert labels[-1] == made.eos_token_id and not special(made, labels[:-1])
    assert made.decode(labels[:-1]) == " " + text or (
        name.startswith("metaspace") and made.decode(labels[:-1]).lstrip(" ") == text.lstrip(" ")
    )
    before, _ = added_tokens(made)
    assert encoder.prompt(text) == encoder.opening(text) == before + encoder.plain(text)
    assert before == special(made, encoder.prompt(text))
    for chunk in encoder.chunks(text, 3):
        assert not special(made, chunk.answers[0])


@pytest.mark.parametrize("name", SHAPES)
@given(question=marked)
@settings(deadline=None, max_examples=80)
def test_a_template_keeps_its_special_tokens_and_a_question_adds_none(name: str, question: str) -> None:
    made = shape(name)
    bos, eos = made.bos_token or "", made.eos_token
    templates = [f"{bos}[INST] {{question}} [/INST]", f"Q: {{question}}{eos}\nA:", f"{bos}{eos}{{question}}"]
    wanted = [[bos], [eos], [bos, eos]]
    for template, marks in zip(templates, wanted, strict=True):
        prompt = PromptEncoder(made, PromptSettings(template=template)).prompt(question)
        ids = [made.convert_tokens_to_ids(mark) for mark in marks if mark]
        begun = added_tokens(made)[0]
        assert special(made, prompt) == (ids if ids[: len(begun)] == begun else begun + ids)
        if not name.startswith("metaspace"):
            written = template.replace("{question}", question)
            assert made.decode(prompt) == (written if ids[: len(begun)] == begun else made.decode(begun) + written)


@pytest.mark.parametrize("name", SHAPES)
@given(question=st.text(anything, max_size=12).filter(lambda text: "<" not in text))
@settings(deadline=None, max_examples=40)
def test_a_text_that_spells_no_special_token_is_read_as_the_tokenizer_reads_it(name: str, question: str) -> None:
    made = shape(name)
    _, closing = added_tokens(made)
    encoder = PromptEncoder(made, PromptSettings())
    ids = made(f"Question: {question}\nAnswer:")["input_ids"]
    assert encoder.prompt(question) == ids[: len(ids) - len(closing)]
    assert encoder.answer(question) == [*made(f" {question}", add_special_tokens=False)["input_ids"], made.eos_token_id]


@pytest.mark.parametrize("name", ["begins texts", "without BOS", "one mark for all"])
@given(question=marked, answer=marked)
@settings(deadline=None, max_examples=60)
def test_a_chat_template_keeps_its_special_tokens_and_texts_add_none(name: str, question: str, answer: str) -> None:
    made = shape(name)
    made.chat_template = CHAT
    encoder = PromptEncoder(made, PromptSettings(kind="chat"))
    prompt = encoder.prompt(question)
    begun, _ = added_tokens(made)
    assert made.convert_ids_to_tokens(special(made, prompt)[len(begun) :]) == ["<|im_start|>", "<|im_end|>", "<|im_start|>"]
    assert made.decode(prompt) == made.decode(begun) + encoder.written(question)
    labels = encoder.answer(answer)
    assert made.convert_ids_to_tokens(special(made, labels)) == ["<|im_end|>"] and labels[-1] == encoder.end
    assert made.decode(labels) == answer + "<|im_end|>"


@pytest.mark.parametrize("template", [CHAT, "<s>" + CHAT, "{{ bos_token }}" + CHAT])
def test_a_chat_begins_with_bos_once(template: str) -> None:
    made = shape("begins texts")
    made.chat_template = template
    prompt = PromptEncoder(made, PromptSettings(kind="chat")).prompt("Who?")
    assert prompt[0] == made.bos_token_id and prompt.count(made.bos_token_id) == 1


def test_a_closing_eos_of_the_tokenizer_is_told_from_a_text_that_ends_in_the_mark() -> None:
    made = shape("closes texts")
    encoder = PromptEncoder(made, PromptSettings(template="{question}"))
    assert made("Who?")["input_ids"][-1] == made.eos_token_id
    assert made.decode(encoder.opening("Which tag closes? </s>")) == "<s>Which tag closes? </s>"
    assert made.eos_token_id not in encoder.opening("Which tag closes? </s>")
    # A template may write the mark itself.
    assert PromptEncoder(made, PromptSettings(template="{question}</s>")).prompt("Who?")[-1] == made.eos_token_id


@pytest.mark.parametrize("sign", ["\U000f0000", "\U000f0001"])
def test_a_special_token_that_cannot_be_marked_as_text_is_refused(sign: str) -> None:
    made = shape("begins texts")
    encoder = PromptEncoder(made, PromptSettings(template="<s>{question}"))
    assert made.decode(encoder.prompt(f"{sign} Who?")) == f"<s>{sign} Who?"
    with pytest.raises(UserError, match=r"U\+F0000"):
        encoder.prompt(f"{sign} </s>")


def test_a_text_that_the_tokenizer_can_only_read_as_a_special_token_is_refused() -> None:
    """As where its merges make the mark of other tokens."""
    merges = [("<", "/"), ("</", "s"), ("</s", ">")]
    tokens = ["<", "/", "s", ">", "a", "b", "</", "</s", "</s>"]
    backend = Tokenizer(models.BPE({token: id for id, token in enumerate(tokens)}, merges))
    made = PreTrainedTokenizerFast(tokenizer_object=backend, eos_token="</s>")
    encoder = PromptEncoder(made, PromptSettings(template="b{question}", answer_prefix=""))
    assert encoder.answer("a") == [4, 8]
    with pytest.raises(UserError, match=r"^'a</s>b': the tokenizer can read this text only with a special token"):
        encoder.answer("a</s>b")


@pytest.mark.parametrize(
    ("template", "reason"),
    [
        (None, "has no chat template, which `kind: chat` needs"),
        (
            "{{ strftime_now('%d %B') }} {{ messages[0].content }}",
            "its chat template prints today's date, .* from day to day: set `date`$",
        ),
        (
            "{% if messages[0].role != 'system' %}{{ raise_exception('a system turn comes first') }}{% endif %}",
            "a system turn comes",
        ),
        ("{% for message in messages %}", "Unexpected end of template"),
        ("{{ messages[3].content }}", "list object has no element 3"),
        ("Question:", "does not write the question exactly once"),
        ("{{ messages[0].content }} {{ messages[0].content }}", "does not write the question exactly once"),
        ("{{ messages[0].content }}{% if add_generation_prompt %}<think>{% endif %}", "asks for an answer with '<think>', but"),
        (CHAT.replace("<|im_end|>", ""), "ends answers without a special token of the tokenizer"),
    ],
)
def test_a_chat_template_that_cannot_be_used_is_one_line(template: str | None, reason: str) -> None:
    made = byte_level("<s> $A", bos_token="<s>", eos_token="</s>")
    made.chat_template = template
    with pytest.raises(UserError, match=reason):
        PromptEncoder(made, PromptSettings(kind="chat")).encode("Who?", ["Mira."])


def test_a_chat_template_that_would_print_the_date_only_if_asked_is_used() -> None:
    made = byte_level("<s> $A", bos_token="<s>", eos_token="</s>")
    made.chat_template = "{% if tools %}{{ strftime_now('%d %B') }}{% endif %}" + CHAT
    prompt = PromptEncoder(made, PromptSettings(kind="chat")).prompt("Who?")
    assert made.decode(prompt) == "<s><|im_start|>user\nWho?<|im_end|>\n<|im_start|>assistant\n"


def test_a_tokenizer_without_its_vocabulary_is_refused() -> None:
    made = PreTrainedTokenizerFast(tokenizer_object=Tokenizer(models.BPE()), bos_token="<s>", eos_token="</s>")
    with pytest.raises(UserError, match="its vocabulary is missing"):
        PromptEncoder(made, PromptSettings())
