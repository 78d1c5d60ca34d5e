"""Texts as token ids: questions with answers, tokenised apart so that the boundary is exact, and long texts cut into chunks."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from palimpsest.errors import UserError, first_line

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from palimpsest.models.settings import PromptSettings

QUESTION = "{question}"
# Stands for a question where only the special tokens around it matter.
FILLER = "a"
# transformers puts these characters around special tokens in a question, and drops those that the question already holds.
MARKS = ("\U000f0000", "\U000f0001")
LONGEST_QUOTE = 80


@dataclass(frozen=True)
class Encoded:
    """A question and the answers to score after it, as token ids; every answer has a label, and EOS is its last one.

    A chunk of a text is one too: its answer is the chunk but for the first token, and goes without EOS, as the text goes on.
    """

    prompt: list[int]
    answers: list[list[int]]

    @property
    def tokens(self) -> int:
        """How many positions it takes when all answers share the one prompt."""
        return len(self.prompt) + sum(map(len, self.answers))


class PromptEncoder:
    """Writes questions and answers the one way that training, scoring and generation share.

    Answer and prompt are tokenised apart: with a byte-level BPE a joined text would merge a space at the end of the
    prompt with the answer's first token, and counting prompt tokens would then mask that token.

    Templates may use special tokens. A question, an answer or a text that spells one is split into ordinary tokens.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase, settings: PromptSettings) -> None:
        self.tokenizer = tokenizer
        self.settings = settings
        self.eos: int = tokenizer.eos_token_id
        self._before, _ = added_tokens(tokenizer)
        self._special, self._control = _special_ids(tokenizer)
        self._expected = cache(self._special_in_template)

    def prompt(self, question: str) -> list[int]:
        """Return the ids of everything before the answer, with the special tokens that the tokenizer begins a text with."""
        if self.settings.kind == "chat":
            return self._begun(self._filled(None, question))
        return self._begun(self._filled(self.settings.template, question))

    def written(self, question: str) -> str:
        """Render a question with the chat template; raises UserError if there is none, if it fails or if it asks for the date."""
        if self.tokenizer.chat_template is None:
            raise UserError(f"{_named(self.tokenizer)} has no chat template, which `kind: chat` needs")
        return str(self._chat(question, tokenize=False))

    def opening(self, text: str) -> list[int]:
        """Return the ids of a text that goes on, with the special tokens that the tokenizer begins with."""
        return self._begun(self.plain(text))

    def answer(self, text: str) -> list[int]:
        """Return the ids of an answer, closed by EOS: all of them are labels."""
        return [*self._filled(self.settings.answer_prefix + QUESTION, text), self.eos]

    def encode(self, question: str, answers: Iterable[str]) -> Encoded:
        """Return a question with the answers to score after it."""
        return Encoded(self.prompt(question), [self.answer(answer) for answer in answers])

    def chunks(self, text: str, tokens: int) -> list[Encoded]:
        """Return a text, in order, as chunks of at most `tokens` tokens, of which the first is no label.

        It is BOS where the tokenizer has one, so that every token of the text is a label.
        """
        ids = self.plain(text)
        bos = [] if self.tokenizer.bos_token_id is None else [self.tokenizer.bos_token_id]
        taken = tokens - len(bos)
        chunks = [bos + ids[start : start + taken] for start in range(0, len(ids), taken)]
        return [Encoded(chunk[:1], [chunk[1:]]) for chunk in chunks if len(chunk) > 1]

    def plain(self, text: str) -> list[int]:
        """Return the ids of a text alone, without any special token."""
        return self._filled(QUESTION, text)

    def _begun(self, ids: list[int]) -> list[int]:
        return ids if ids[: len(self._before)] == self._before else self._before + ids

    def _filled(self, template: str | None, text: str) -> list[int]:
        """Return the ids of a template filled with a text; None stands for the chat template.

        Raises UserError if the tokenizer has no other way to read the text than as a special token.
        """
        expected, whole = self._expected(template), self._fill(template, text)
        ids = self._read(whole)
        if [id for id in ids if id in self._special] == expected:
            return ids
        ids = self._marked(template, text) if expected else self._read(whole, split=True)
        if [id for id in ids if id in self._control] != [id for id in expected if id in self._control]:
            raise UserError(f"{_quoted(text)}: the tokenizer reads a special token in this text, and has no other way to read it")
        return ids

    def _fill(self, template: str | None, text: str) -> str:
        return self.written(text) if template is None else template.replace(QUESTION, text)

    def _special_in_template(self, template: str | None) -> list[int]:
        return [id for id in self._read(self._fill(template, FILLER)) if id in self._special]

    def _read(self, text: str, *, split: bool = False) -> list[int]:
        return list(self.tokenizer(text, add_special_tokens=False, split_special_tokens=split, verbose=False)["input_ids"])

    def _marked(self, template: str | None, text: str) -> list[int]:
        """Return the ids with the help of transformers, which marks special tokens in the text before it renders a template."""
        if any(mark in text for mark in MARKS):
            raise UserError(f"{_quoted(text)}: a special token beside U+F0000 or U+F0001, which mark such a token as text")
        chat = None if template is None else _as_chat_template(template)
        return list(self._chat(text, chat_template=chat, tokenize=True, sanitize_control_tokens=True, return_dict=False))

    def _chat(self, question: str, **how: Any) -> Any:
        messages = [{"role": "user", "content": question}]
        try:
            # Without a clock, a template that asks for the date fails.
            return self.tokenizer.apply_chat_template(messages, add_generation_prompt=True, strftime_now=None, **how)
        except Exception as error:  # a template can raise anything
            reason = first_line(error)
            if "strftime_now" in str(self.tokenizer.chat_template) and "not callable" in reason:
                reason = "it prints today's date, and prompts would differ from day to day"
            raise UserError(f"{_named(self.tokenizer)}: its chat template fails: {reason}") from None


def _as_chat_template(template: str) -> str:
    parts = [json.dumps(part, ensure_ascii=False) for part in template.split(QUESTION)]
    return "{{ messages[0].content }}".join(f"{{{{ {part} }}}}" for part in parts)


def added_tokens(tokenizer: PreTrainedTokenizerBase) -> tuple[list[int], list[int]]:
    """Return the special tokens that a tokenizer puts before every text, and those that it puts behind."""
    alone = list(tokenizer(FILLER, add_special_tokens=False)["input_ids"])
    if not alone:
        raise UserError(f"{_named(tokenizer)} has no token for {FILLER!r}: its vocabulary is missing")
    whole = list(tokenizer(FILLER)["input_ids"])
    for start in range(len(whole) - len(alone) + 1):
        if whole[start : start + len(alone)] == alone:
            return whole[:start], whole[start + len(alone) :]
    raise UserError(f"{_named(tokenizer)} splits {FILLER!r} differently when it adds special tokens")


def _special_ids(tokenizer: PreTrainedTokenizerBase) -> tuple[set[int], set[int]]:
    """Return the ids of all special tokens, and of those that no text may hold: all but the unknown token."""
    special = {id for id, token in tokenizer.added_tokens_decoder.items() if token.special} | set(tokenizer.all_special_ids)
    return special, set(tokenizer.all_special_ids) - ({tokenizer.unk_token_id} - {tokenizer.bos_token_id, tokenizer.eos_token_id})


def _named(tokenizer: PreTrainedTokenizerBase) -> str:
    return f"the tokenizer of {tokenizer.name_or_path}" if tokenizer.name_or_path else "the tokenizer"


def _quoted(text: str) -> str:
    return repr(text if len(text) <= LONGEST_QUOTE else f"{text[:LONGEST_QUOTE]} ...")
