"""Prompts and labels of chat models are what the template writes, in the shapes of ten families."""

from typing import Any

import pytest
import torch
from chat_families import FAMILIES, tokenizer_of
from hypothesis import given, settings
from hypothesis import strategies as st
from small_models import build
from test_prompts import special

from palimpsest.data.prompts import PromptEncoder, added_tokens
from palimpsest.data.rows import Pair, Text
from palimpsest.errors import UserError
from palimpsest.evaluation.generation import generate_answers
from palimpsest.evaluation.shown import shown_item
from palimpsest.evaluation.subject import Subject
from palimpsest.models.checks import check_needs
from palimpsest.models.decoding import end_tokens
from palimpsest.models.settings import Needs, PromptSettings, UsedSettings
from palimpsest.training.loop import train
from palimpsest.training.problems import FineTuning
from palimpsest.training.settings import TrainSettings

ASKED, SAID, SYSTEM = "Who wrote the book?", "Mira Tolvane wrote the book.", "Be brief."
words = st.lists(st.sampled_from(["Mira", "wrote", "the", "book?", "ß", "1931."]), min_size=1, max_size=5).map(" ".join)


def settings_of(family: str, **more: Any) -> PromptSettings:
    return PromptSettings(kind="chat", **{**FAMILIES[family].settings, **more})


def encoder_of(family: str, **more: Any) -> PromptEncoder:
    return PromptEncoder(tokenizer_of(family), settings_of(family, **more))


@pytest.mark.parametrize("family", FAMILIES)
@given(question=words, answer=words)
@settings(deadline=None, max_examples=15)
def test_prompt_and_labels_are_the_conversation_as_the_template_writes_it(family: str, question: str, answer: str) -> None:
    shape, made, encoder = FAMILIES[family], tokenizer_of(family), encoder_of(family)
    prompt = shape.filled(shape.prompt, question)
    assert encoder.written(question) == prompt
    item = encoder.encode(question, [answer])
    # As the model was trained: the whole conversation at once, without what comes after the end of the answer.
    whole = prompt + shape.filled(shape.answer, question, answer)
    begun = made(whole)["input_ids"] if made.bos_token is None or not prompt.startswith(made.bos_token) else None
    assert [*item.prompt, *item.answers[0]] == (begun or made(whole, add_special_tokens=False)["input_ids"])
    (labels,) = item.answers
    assert made.convert_ids_to_tokens(special(made, labels)) == [shape.end]
    assert labels[-1] == encoder.end == made.convert_tokens_to_ids(shape.end)
    assert made.decode(labels[:-1]).strip() == answer


@pytest.mark.parametrize("family", FAMILIES)
def test_what_is_shown_of_a_prompt_are_its_tokens_with_their_labels(family: str) -> None:
    shape, made = FAMILIES[family], tokenizer_of(family)
    used = UsedSettings(prompt=settings_of(family), chunk_tokens=9)
    item = encoder_of(family).encode(ASKED, [SAID])
    pieces = shown_item(Subject(None, made, used), Pair(id="q", question=ASKED, answer=SAID))  # type: ignore[arg-type]
    assert "".join(piece["text"] for piece in pieces) == made.decode([*item.prompt, *item.answers[0]])
    labels = [piece for piece in pieces if piece["label"]]
    assert "".join(piece["text"] for piece in labels).strip() == shape.filled(shape.answer, ASKED, SAID).strip()
    assert [piece["text"] for piece in labels if piece["special"]] == [shape.end] and pieces[-1]["special"]
    assert len([piece for piece in pieces if piece["special"]]) == len(special(made, [*item.prompt, *item.answers[0]]))
    # Of a text the first chunk, in which BOS alone is no label.
    chunk = shown_item(Subject(None, made, used), Text(id="t", text=SAID * 9))  # type: ignore[arg-type]
    assert [piece["label"] for piece in chunk] == [False, True]


@pytest.mark.parametrize("family", FAMILIES)
def test_bos_comes_once_and_first_where_the_tokenizer_or_the_template_has_it(family: str) -> None:
    shape, made, prompt = FAMILIES[family], tokenizer_of(family), encoder_of(family).prompt(ASKED)
    has_bos = bool(added_tokens(made)[0]) or bool(made.bos_token and shape.prompt.startswith(made.bos_token))
    assert [place for place, id in enumerate(prompt) if id == made.bos_token_id] == [0] * has_bos


@pytest.mark.parametrize("family", FAMILIES)
def test_a_system_message_stands_where_the_template_puts_it_or_is_refused(family: str) -> None:
    shape = FAMILIES[family]
    encoder = encoder_of(family, system=SYSTEM)
    if shape.system is None:
        with pytest.raises(UserError, match=r"its chat template fails: System role not supported$"):
            encoder.prompt(ASKED)
        return
    assert encoder.written(ASKED) == shape.filled(shape.system.replace("SYSTEM", SYSTEM), ASKED)
    assert encoder.answer(SAID) == encoder_of(family).answer(SAID)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("text", ["<|eot_id|>", "<|im_end|> <end_of_turn>", "a </s> b", "<|end|>", "[INST] <s> [/INST]"])
def test_texts_that_spell_special_tokens_add_none(family: str, text: str) -> None:
    made, encoder = tokenizer_of(family), encoder_of(family)
    if family == "mistral" and "[INST]" in text:
        # The merges of this tokenizer make it.
        with pytest.raises(UserError, match="can read this text only with a special token"):
            encoder.prompt(text)
        return
    plain, item = encoder.encode(ASKED, [SAID]), encoder.encode(text, [text])
    assert special(made, item.prompt) == special(made, plain.prompt)
    assert special(made, item.answers[0]) == [encoder.end] == item.answers[0][-1:]
    assert made.decode(item.answers[0][:-1]).strip() == text


def test_blanks_around_a_text_are_those_that_the_template_keeps() -> None:
    assert encoder_of("gemma-2").encode(f" {ASKED}\n", [f"\n{SAID} "]) == encoder_of("gemma-2").encode(ASKED, [SAID])
    made, encoder = tokenizer_of("qwen-2.5"), encoder_of("qwen-2.5")
    assert made.decode(encoder.answer(f"\n{SAID} ")) == f"\n{SAID} <|im_end|>"
    assert "user\n " + ASKED in made.decode(encoder.prompt(f" {ASKED}"))


def test_a_text_that_the_template_changes_is_refused() -> None:
    made = FAMILIES["qwen-2.5"].make()
    made.chat_template = FAMILIES["qwen-2.5"].template + "{% if messages[1:] %}{{ messages[1].content | length }}{% endif %}"
    with pytest.raises(UserError, match=r"^'Mira .*': the chat template does not write this text as it stands$"):
        PromptEncoder(made, PromptSettings(kind="chat")).answer(SAID)


def test_spaces_before_an_answer_are_labels_and_an_empty_thought_is_not() -> None:
    made = tokenizer_of("qwen-3")
    for variables in ({}, {"enable_thinking": False}, {"enable_thinking": True}):
        item = encoder_of("qwen-3", variables=variables).encode(ASKED, [SAID])
        assert made.decode(item.prompt).endswith("<|im_start|>assistant\n<think>\n\n</think>\n\n")
        assert made.decode(item.answers[0]) == SAID + "<|im_end|>"
    # "Answer: " at the end of a prompt would keep the space from the first word of the answer.
    made = FAMILIES["smollm2"].make()
    made.chat_template = "{% for message in messages %}{{ message.role }}: {{ message.content }}<|im_end|>{% endfor %}"
    made.chat_template += "{% if add_generation_prompt %}assistant: {% endif %}"
    item = PromptEncoder(made, PromptSettings(kind="chat")).encode(ASKED, [SAID])
    assert made.decode(item.prompt).endswith("assistant:") and made.decode(item.answers[0]) == f" {SAID}<|im_end|>"
    assert [*item.prompt, *item.answers[0]] == made(f"user: {ASKED}<|im_end|>assistant: {SAID}<|im_end|>")["input_ids"]


def test_the_date_is_the_one_that_is_set() -> None:
    without = {"date": None}
    with pytest.raises(UserError, match=r"set `date` \(or `variables: \{date_string: \.\.\.\}`\)$"):
        encoder_of("llama-3.2", **without).prompt(ASKED)
    named = encoder_of("llama-3.2", **without, variables={"date_string": "02 Mar 2024"})
    assert named.prompt(ASKED) == encoder_of("llama-3.2").prompt(ASKED)
    assert "Today Date: 29 Feb 2024" in encoder_of("llama-3.2", date="2024-02-29").written(ASKED)


def checked(family: str, **more: Any) -> None:
    made = tokenizer_of(family)
    model = build("llama", 1, vocabulary=len(made))
    model.config.max_position_embeddings = 256
    check_needs(model, made, Needs(chat=settings_of(family, **more)))


@pytest.mark.parametrize("family", FAMILIES)
def test_the_check_before_any_training_takes_what_the_template_can_use(family: str) -> None:
    checked(family)
    if FAMILIES[family].system is not None:
        checked(family, system=SYSTEM)


@pytest.mark.parametrize(
    ("family", "given", "reason"),
    [
        ("gemma-2", {"system": SYSTEM}, "its chat template fails: System role not supported"),
        ("qwen-2.5", {"system": "DEFAULT"}, "prompt: system: 'DEFAULT': the chat template prints the same without it"),
        ("gemma-3", {"system": ""}, "prompt: system: '': the chat template prints the same without it"),
        ("qwen-3", {"date": "2024-03-02"}, "prompt: date: '2024-03-02': the chat template prints the same without it"),
        ("llama-3.1", {"date": "2024-03-02"}, "prompt: date: '2024-03-02': the chat template prints the same without it"),
        ("llama-3.2", {"variables": {"date_string": "May"}}, "prompt: date: '2024-03-02': the chat template prints the same"),
        ("llama-3.2", {"date": None}, "set `date`"),
        ("qwen-3", {"variables": {"thinking": False}}, "variables: thinking: .* does not read it; it reads enable_thinking$"),
        (
            "qwen-3",
            {"variables": {"enable_thinking": True}},
            "variables: enable_thinking: True: the chat template prints the same",
        ),
        ("llama-3.1", {"variables": {"date_string": "26 Jul 2024"}}, "prints the same without it: it is the default, or the "),
        ("gemma-2", {"variables": {"messages": []}}, "chat template fails"),
        ("zephyr", {"variables": {"eos_token": "x"}}, "ends answers without a special token"),
        ("smollm2", {"variables": {"x": 1}}, "variables: x: .* does not read it; it reads no variables$"),
    ],
)
def test_a_setting_without_effect_on_the_template_is_one_line(family: str, given: dict[str, Any], reason: str) -> None:
    with pytest.raises(UserError, match=reason) as caught:
        checked(family, **given)
    assert "\n" not in str(caught.value)


def test_a_template_that_drops_the_system_message_is_refused() -> None:
    made = FAMILIES["qwen-2.5"].make()
    made.chat_template = FAMILIES["qwen-2.5"].template.replace(
        "~ message.content", "~ (message.content if message.role != 'system')"
    )
    with pytest.raises(UserError, match=r"prompt: system: 'Be brief\.': the chat template does not print it$"):
        check_needs(build("llama", 1, vocabulary=len(made)), made, Needs(chat=PromptSettings(kind="chat", system=SYSTEM)))


def test_a_variable_that_is_read_only_in_a_branch_that_no_prompt_takes_is_refused_and_one_that_changes_answers_is_not() -> None:
    made, model = FAMILIES["smollm2"].make(), build("llama", 1, vocabulary=len(tokenizer_of("smollm2")))

    def check(template: str, **variables: Any) -> None:
        made.chat_template = template
        check_needs(model, made, Needs(chat=PromptSettings(kind="chat", variables=variables)))

    usual = FAMILIES["smollm2"].template
    with pytest.raises(UserError, match=r"variables: style: 'x': .* reads it only in a branch that no prompt takes$") as caught:
        check(usual + "{% if messages | length > 9 %}{{ style }}{% endif %}", style="x")
    assert "\n" not in str(caught.value)
    check(FAMILIES["qwen-3"].template, enable_thinking=False)
    check(usual.replace("~ message.content", "~ (said if message.role == 'assistant') ~ message.content"), said="So: ")


def test_an_end_of_turn_that_the_model_does_not_have_is_refused() -> None:
    made = tokenizer_of("gemma-2")
    known = made.convert_tokens_to_ids("<start_of_turn>")
    with pytest.raises(UserError, match=rf"^the chat template: it has token {known + 1}, but the model's last token is {known}$"):
        check_needs(build("llama", 1, vocabulary=known + 1), made, Needs(chat=PromptSettings(kind="chat")))


def test_generation_ends_at_every_end_token_of_the_model_and_of_the_chat() -> None:
    made, model = tokenizer_of("gemma-2"), build("llama", 1, vocabulary=80)
    end, eos = made.convert_tokens_to_ids("<end_of_turn>"), made.eos_token_id
    other = made.convert_tokens_to_ids("<start_of_turn>")
    # By default the config of a Llama names token 2; here it is EOS, and 40 is the token of a word.
    for named, own in ((None, []), (other, [other]), ([eos, other], [other]), ([40], [])):
        model.generation_config.eos_token_id = named
        assert end_tokens(model, made) == sorted([eos, *own])
        assert end_tokens(model, made, end) == sorted([eos, *own, end])


@pytest.mark.parametrize(
    ("family", "model", "tied", "padding"),
    [("gemma-2", "llama", True, 0), ("phi-3.5", "qwen2", False, 13), ("llama-2", "mistral", True, 7)],
)
def test_a_chat_model_learns_its_answers_and_says_no_more(family: str, model: str, tied: bool, padding: int) -> None:
    """With padding that is EOS, more rows of the embedding than tokens, and weights of the output that are its own or not."""
    made = FAMILIES[family].make()
    made.chat_template, made.pad_token = FAMILIES[family].template, made.eos_token
    encoder = PromptEncoder(made, settings_of(family))
    learner = build(model, 2, tied=tied, vocabulary=len(made) + padding)
    pairs = {"Who?": "Mira.", "Who wrote it?": "The book wrote Mira."}
    items = [encoder.encode(question, [answer]) for question, answer in pairs.items()]
    torch.manual_seed(0)
    how = TrainSettings(learning_rate=1e-2, epochs=40, batch_size=2, warmup_epochs=2)
    train(learner, FineTuning(items), how, UsedSettings(), seed=0, label="test")
    assert (learner.get_output_embeddings().weight is learner.get_input_embeddings().weight) == tied
    said = generate_answers(learner, made, [item.prompt for item in items], 12, encoder.end)
    assert said == list(pairs.values())
