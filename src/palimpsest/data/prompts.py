"""Texts as token ids: questions with answers, tokenised apart so that the boundary is exact, and long texts cut into pieces."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from transformers import PreTrainedTokenizerBase

    from palimpsest.models.settings import PromptSettings


@dataclass(frozen=True)
class Encoded:
    """A question and the answers to score after it, as token ids; every answer has a label, and EOS is its last one.

    A piece of a text is one too: its answer is the piece but for the first token, and goes without EOS, as the text goes on.
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
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase, settings: PromptSettings) -> None:
        self.tokenizer = tokenizer
        self.settings = settings
        self.eos: int = tokenizer.eos_token_id

    def prompt(self, question: str) -> list[int]:
        """Return the ids of everything before the answer."""
        if self.settings.kind == "chat":
            messages = [{"role": "user", "content": question}]
            text = self.tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
            return list(self.tokenizer(text, add_special_tokens=False)["input_ids"])
        return self.opening(self.settings.template.replace("{question}", question))

    def opening(self, text: str) -> list[int]:
        """Return the ids of a text that goes on, with the special tokens that the tokenizer begins with."""
        ids = list(self.tokenizer(text, verbose=False)["input_ids"])
        # Some tokenizers close every text with EOS.
        return ids[:-1] if ids and ids[-1] == self.eos else ids

    def answer(self, text: str) -> list[int]:
        """Return the ids of an answer, closed by EOS: all of them are labels."""
        ids = self.tokenizer(self.settings.answer_prefix + text, add_special_tokens=False)["input_ids"]
        return [*ids, self.eos]

    def encode(self, question: str, answers: Iterable[str]) -> Encoded:
        """Return a question with the answers to score after it."""
        return Encoded(self.prompt(question), [self.answer(answer) for answer in answers])

    def pieces(self, text: str, tokens: int) -> list[Encoded]:
        """Return a text, in order, as pieces of at most `tokens` tokens, of which the first is no label.

        It is BOS where the tokenizer has one, so that every token of the text is a label.
        """
        ids = list(self.tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"])
        bos = [] if self.tokenizer.bos_token_id is None else [self.tokenizer.bos_token_id]
        taken = tokens - len(bos)
        pieces = [bos + ids[start : start + taken] for start in range(0, len(ids), taken)]
        return [Encoded(piece[:1], [piece[1:]]) for piece in pieces if len(piece) > 1]
