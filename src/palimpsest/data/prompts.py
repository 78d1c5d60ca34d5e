"""Text as token ids: questions and answers, tokenised separately so that the boundary is exact, and long texts in chunks."""

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
# A placeholder question, to find the special tokens around it.
FILLER = "a"
# transformers marks special tokens in a question with these characters, and removes them if the question already has them.
MARKS = ("\U000f0000", "\U000f0001")
LONGEST_QUOTE = 80


@dataclass(frozen=True)
class Encoded:
    """A question and its answers as token ids; every answer token is a label, and the last one is EOS.

    A chunk of a text is encoded in the same way: its first token is the prompt, the rest the answer, without EOS.
    """

    prompt: list[int]
    answers: list[list[int]]

    @property
    def tokens(self) -> int:
        """The number of positions if all answers share the prompt."""
        return len(self.prompt) + sum(map(len, self.answers))


class PromptEncoder:
    """Encode questions and answers in the same way for training, scoring and generation.

    Prompt and answer are tokenised separately: in a joined text, a byte-level BPE would merge a space at the end of the
    prompt with the answer's first token, and a mask by the number of prompt tokens would hide that token.

    Templates may use special tokens. If a question, an answer or a text spells a special token, it becomes ordinary tokens.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase, settings: PromptSettings) -> None:
        self.tokenizer = tokenizer
        self.settings = settings
        self.eos: int = tokenizer.eos_token_id
        self._before, _ = added_tokens(tokenizer)
        self._special, self._control = _special_ids(tokenizer)
        self._expected = cache(self._special_in_template)

    def prompt(self, question: str) -> list[int]:
        """Return the ids of everything before the answer, including the tokenizer's leading special tokens."""
        if self.settings.kind == "chat":
            return self._begun(self._filled(None, question))
        return self._begun(self._filled(self.settings.template, question))

    def written(self, question: str) -> str:
        """Render a question with the chat template; raises UserError if there is none, if it fails or if it asks for the date."""
        if self.tokenizer.chat_template is None:
            raise UserError(f"{_named(self.tokenizer)} has no chat template, which `kind: chat` needs")
        return str(self._chat(question, tokenize=False))

    def opening(self, text: str) -> list[int]:
        """Return the ids of an unfinished text, including the tokenizer's leading special tokens."""
        return self._begun(self.plain(text))

    def answer(self, text: str) -> list[int]:
        """Return the ids of an answer with EOS at the end; all of them are labels."""
        return [*self._filled(self.settings.answer_prefix + QUESTION, text), self.eos]

    def encode(self, question: str, answers: Iterable[str]) -> Encoded:
        """Encode a question with its answers."""
        return Encoded(self.prompt(question), [self.answer(answer) for answer in answers])

    def chunks(self, text: str, tokens: int) -> list[Encoded]:
        """Divide a text into chunks of at most `tokens` tokens; the first token of each chunk is not a label.

        If the tokenizer has BOS, each chunk starts with it, so that every token of the text is a label.
        """
        ids = self.plain(text)
        bos = [] if self.tokenizer.bos_token_id is None else [self.tokenizer.bos_token_id]
        taken = tokens - len(bos)
        chunks = [bos + ids[start : start + taken] for start in range(0, len(ids), taken)]
        return [Encoded(chunk[:1], [chunk[1:]]) for chunk in chunks if len(chunk) > 1]

    def plain(self, text: str) -> list[int]:
        """Return the ids of a text without special tokens."""
        return self._filled(QUESTION, text)

    def _begun(self, ids: list[int]) -> list[int]:
        return ids if ids[: len(self._before)] == self._before else self._before + ids

    def _filled(self, template: str | None, text: str) -> list[int]:
        """Return the ids of a template filled with a text; None means the chat template.

        Raises UserError if the tokenizer can read a part of the text only as a special token.
        """
        expected, whole = self._expected(template), self._fill(template, text)
        ids = self._read(whole)
        if [id for id in ids if id in self._special] == expected:
            return ids
        ids = self._marked(template, text) if expected else self._read(whole, split=True)
        if [id for id in ids if id in self._control] != [id for id in expected if id in self._control]:
            raise UserError(f"{_quoted(text)}: the tokenizer can read this text only with a special token")
        return ids

    def _fill(self, template: str | None, text: str) -> str:
        return self.written(text) if template is None else template.replace(QUESTION, text)

    def _special_in_template(self, template: str | None) -> list[int]:
        return [id for id in self._read(self._fill(template, FILLER)) if id in self._special]

    def _read(self, text: str, *, split: bool = False) -> list[int]:
        return list(self.tokenizer(text, add_special_tokens=False, split_special_tokens=split, verbose=False)["input_ids"])

    def _marked(self, template: str | None, text: str) -> list[int]:
        """Return the ids through transformers, which marks special tokens in the text before it renders the chat template."""
        if any(mark in text for mark in MARKS):
            raise UserError(f"{_quoted(text)}: a special token next to U+F0000 or U+F0001, which mark special tokens in text")
        chat = None if template is None else _as_chat_template(template)
        return list(self._chat(text, chat_template=chat, tokenize=True, sanitize_control_tokens=True, return_dict=False))

    def _chat(self, question: str, **how: Any) -> Any:
        messages = [{"role": "user", "content": question}]
        try:
            # Without a clock, a template that asks for the date fails.
            return self.tokenizer.apply_chat_template(messages, add_generation_prompt=True, strftime_now=None, **how)
        except Exception as error:  # a template may raise any error
            reason = first_line(error)
            if "strftime_now" in str(self.tokenizer.chat_template) and "not callable" in reason:
                reason = "it prints today's date, and prompts would differ from day to day"
            raise UserError(f"{_named(self.tokenizer)}: its chat template fails: {reason}") from None


def _as_chat_template(template: str) -> str:
    parts = [json.dumps(part, ensure_ascii=False) for part in template.split(QUESTION)]
    return "{{ messages[0].content }}".join(f"{{{{ {part} }}}}" for part in parts)


def added_tokens(tokenizer: PreTrainedTokenizerBase) -> tuple[list[int], list[int]]:
    """Return the special tokens that a tokenizer adds before and after every text."""
    alone = list(tokenizer(FILLER, add_special_tokens=False)["input_ids"])
    if not alone:
        raise UserError(f"{_named(tokenizer)} has no token for {FILLER!r}: its vocabulary is missing")
    whole = list(tokenizer(FILLER)["input_ids"])
    for start in range(len(whole) - len(alone) + 1):
        if whole[start : start + len(alone)] == alone:
            return whole[:start], whole[start + len(alone) :]
    raise UserError(f"{_named(tokenizer)} splits {FILLER!r} differently when it adds special tokens")


def _special_ids(tokenizer: PreTrainedTokenizerBase) -> tuple[set[int], set[int]]:
    """Return the ids of all special tokens, and of those that text must not contain: all except the unknown token."""
    special = {id for id, token in tokenizer.added_tokens_decoder.items() if token.special} | set(tokenizer.all_special_ids)
    return special, set(tokenizer.all_special_ids) - ({tokenizer.unk_token_id} - {tokenizer.bos_token_id, tokenizer.eos_token_id})


def _named(tokenizer: PreTrainedTokenizerBase) -> str:
    return f"the tokenizer of {tokenizer.name_or_path}" if tokenizer.name_or_path else "the tokenizer"


def _quoted(text: str) -> str:
    return repr(text if len(text) <= LONGEST_QUOTE else f"{text[:LONGEST_QUOTE]} ...")
