"""Text as token ids: questions and answers with an exact boundary between them, and long texts in chunks."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from functools import cache, cached_property
from typing import TYPE_CHECKING, Any

from palimpsest.errors import UserError, first_line

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from palimpsest.models.settings import PromptSettings

QUESTION, ANSWER = "{question}", "{answer}"
# A placeholder question, to find the special tokens around it.
FILLER = "a"
# transformers marks special tokens in a question with these characters, and removes them if the question already has them.
MARKS = ("\U000f0000", "\U000f0001")
LONGEST_QUOTE = 80


@dataclass(frozen=True)
class Encoded:
    """A question and its answers as token ids; every answer token is a label, and the last one ends the answer.

    A chunk of a text is encoded in the same way: its first token is the prompt, the rest the answer, without an end.
    """

    prompt: list[int]
    answers: list[list[int]]

    @property
    def tokens(self) -> int:
        """The number of positions if all answers share the prompt."""
        return len(self.prompt) + sum(map(len, self.answers))


@dataclass(frozen=True)
class _Chat:
    """A question and an answer as a chat template writes them."""

    asked: str
    """A question alone, to be answered; the text has {question} in its place."""
    answered: str
    """A question with an answer, which have {question} and {answer} in their places."""
    prompt: str
    """`asked` and what the template writes before the answer, without the spaces at its end."""
    turn: str
    """These spaces, {question} in place of the answer, and everything after it."""


class PromptEncoder:
    """Encode questions and answers in the same way for training, scoring and generation.

    With a template, prompt and answer are tokenised separately: in a joined text, a byte-level BPE would merge a space at the end
    of the prompt with the answer's first token, and a mask by the number of prompt tokens would hide that token. With a chat
    template, they are tokenised as one conversation, as the model was trained, and spaces before the answer belong to it.

    Templates may use special tokens. If a question, an answer or a text spells a special token, it becomes ordinary tokens.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase, settings: PromptSettings) -> None:
        self.tokenizer = tokenizer
        self.settings = settings
        self._before, _ = added_tokens(tokenizer)
        self._special, self._control = special_ids(tokenizer)
        self._expected = cache(self._special_in_template)
        self._named = _named(tokenizer)

    @cached_property
    def end(self) -> int:
        """The token that ends an answer: EOS, or with a chat template the special token that ends its assistant's turn."""
        return self._closing[0] if self.settings.kind == "chat" else int(self.tokenizer.eos_token_id)

    @cached_property
    def variables(self) -> set[str]:
        """The variables that the chat template reads, besides those that it always gets."""
        from jinja2.meta import find_undeclared_variables

        environment = self._template.environment
        read = find_undeclared_variables(environment.parse(self._source))
        return read - {"messages", "add_generation_prompt", *environment.globals, *self.tokenizer.special_tokens_map}

    @property
    def rendered(self) -> tuple[str, str]:
        """What the chat template writes for a question, which stands as {question}, and for a question with an answer."""
        return self._chat.asked, self._chat.answered

    def prompt(self, question: str) -> list[int]:
        """Return the ids of everything before the answer, including the tokenizer's leading special tokens."""
        if self.settings.kind == "chat":
            return self._begun(self._filled(self._chat.prompt, self._as_written(question, QUESTION)))
        return self._begun(self._filled(self.settings.template, question))

    def written(self, question: str) -> str:
        """Return what the chat template writes before the answer; raises UserError for a template that cannot be used."""
        return self._chat.prompt.replace(QUESTION, self._as_written(question, QUESTION))

    def opening(self, text: str) -> list[int]:
        """Return the ids of an unfinished text, including the tokenizer's leading special tokens."""
        return self._begun(self.plain(text))

    def answer(self, text: str) -> list[int]:
        """Return the ids of an answer with the token that ends it; all of them are labels."""
        if self.settings.kind == "chat":
            ids = self._turn(self._as_written(text, ANSWER))
            return ids[: len(ids) - len(self._closing) + 1]
        prefix = " " if self.settings.answer_prefix is None else self.settings.answer_prefix
        return [*self._filled(prefix + QUESTION, text), self.end]

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

    def _filled(self, template: str, text: str) -> list[int]:
        """Return the ids of a template filled with a text.

        Raises UserError if the tokenizer can read a part of the text only as a special token.
        """
        expected, whole = self._expected(template), template.replace(QUESTION, text)
        ids = self._read(whole)
        if [id for id in ids if id in self._special] == expected:
            return ids
        ids = self._marked(template, text) if expected else self._read(whole, split=True)
        if [id for id in ids if id in self._control] != [id for id in expected if id in self._control]:
            raise _only_special(text)
        return ids

    def _special_in_template(self, template: str) -> list[int]:
        return [id for id in self._read(template.replace(QUESTION, FILLER)) if id in self._special]

    def _read(self, text: str, *, split: bool = False) -> list[int]:
        return list(self.tokenizer(text, add_special_tokens=False, split_special_tokens=split, verbose=False)["input_ids"])

    def _marked(self, template: str, text: str) -> list[int]:
        """Return the ids through transformers, which marks special tokens in the text before it fills the template."""
        if any(mark in text for mark in MARKS):
            raise UserError(f"{_quoted(text)}: a special token next to U+F0000 or U+F0001, which mark special tokens in text")
        messages, filled = [{"role": "user", "content": text}], _as_chat_template(template)
        how = {"chat_template": filled, "sanitize_control_tokens": True, "return_dict": False}
        try:
            return list(self.tokenizer.apply_chat_template(messages, **how))  # type: ignore[arg-type]
        except ValueError:
            raise _only_special(text) from None

    @cached_property
    def _chat(self) -> _Chat:
        """What the chat template writes; raises UserError unless it writes a question once, and answers where it asks for one."""
        asked, answered = self._render(QUESTION), self._render(QUESTION, ANSWER)
        if asked.count(QUESTION) != 1:
            raise UserError(f"{self._named}: its chat template does not write the question exactly once")
        opening = asked.rpartition(QUESTION)[2]
        before, found, after = answered.rpartition(ANSWER)
        _, _, between = before.rpartition(QUESTION)
        if not found or not between.startswith(opening):
            said = f"its chat template asks for an answer with {opening!r}, but does not write answers after it"
            raise UserError(f"{self._named}: {said}")
        whole = asked + between.removeprefix(opening)
        prompt = whole.rstrip(" ")
        return _Chat(asked, answered, prompt, whole.removeprefix(prompt) + QUESTION + after)

    @cached_property
    def _start(self) -> tuple[str, list[int]]:
        """A chat up to the answer, as text and as ids."""
        text = self._chat.prompt.replace(QUESTION, FILLER)
        return text, self._read(text)

    def _turn(self, answer: str) -> list[int]:
        """Return the ids of an answer with everything that the chat template writes after it."""
        text, start = self._start
        ids = self._filled(text + self._chat.turn, answer)
        # Only an answer that begins with a line break may merge with the prompt.
        return ids[len(start) :] if ids[: len(start)] == start else self._filled(self._chat.turn, answer)

    @cached_property
    def _closing(self) -> list[int]:
        """The ids that the chat template writes after an answer, from the special token that ends it."""
        ids = self._turn(FILLER)
        places = [place for place, id in enumerate(ids) if id in self._special]
        if not places:
            raise UserError(f"{self._named}: its chat template ends answers without a special token of the tokenizer")
        return ids[places[0] :]

    def _as_written(self, text: str, place: str) -> str:
        """Return a question or an answer as the chat template writes it, often without the blanks around it."""
        frame = self._chat.asked if place == QUESTION else self._chat.answered
        shown = self._render(text) if place == QUESTION else self._render(QUESTION, text)
        start, _, end = frame.rpartition(place)
        written = shown[len(start) : len(shown) - len(end)]
        if start + written + end != shown:
            raise UserError(f"{_quoted(text)}: the chat template does not write this text as it stands")
        return written

    def _render(self, question: str, answer: str | None = None) -> str:
        """Return a chat as its template writes it; without an answer, up to where the answer begins."""
        if self.tokenizer.chat_template is None:
            raise UserError(f"{self._named} has no chat template, which `kind: chat` needs")
        said = {"system": self.settings.system, "user": question, "assistant": answer}
        messages = [{"role": role, "content": text} for role, text in said.items() if text is not None]
        given: dict[str, Any] = {"tools": None, "documents": None, "strftime_now": self._now}
        given |= {
            **self.tokenizer.special_tokens_map,
            "messages": messages,
            "add_generation_prompt": answer is None,
            **self.settings.variables,
        }
        try:
            shown = self._template.render(given)
        except UserError:
            raise
        except Exception as error:  # a template may raise any error
            raise UserError(f"{self._named}: its chat template fails: {first_line(error)}") from None
        return str(shown)

    def _now(self, form: str) -> str:
        """Return the day in the settings, in the form that the chat template asks for."""
        if self.settings.date is None:
            other = " (or `variables: {date_string: ...}`)" if "date_string" in self.variables else ""
            said = f"its chat template prints today's date, and prompts would differ from day to day: set `date`{other}"
            raise UserError(f"{self._named}: {said}")
        return date.fromisoformat(self.settings.date).strftime(form)

    @property
    def _source(self) -> str:
        tools: Any = self.settings.variables.get("tools")
        return str(self.tokenizer.get_chat_template(tools=tools))

    @cached_property
    def _template(self) -> Any:
        """The compiled chat template; `apply_chat_template` would keep our clock from it."""
        from transformers.utils.chat_template_utils import _compile_jinja_template

        return _compile_jinja_template(self._source)


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


def special_ids(tokenizer: PreTrainedTokenizerBase) -> tuple[set[int], set[int]]:
    """Return the ids of all special tokens, and of those that text must not contain: all except the unknown token."""
    special = {id for id, token in tokenizer.added_tokens_decoder.items() if token.special} | set(tokenizer.all_special_ids)
    return special, set(tokenizer.all_special_ids) - ({tokenizer.unk_token_id} - {tokenizer.bos_token_id, tokenizer.eos_token_id})


def _named(tokenizer: PreTrainedTokenizerBase) -> str:
    return f"the tokenizer of {tokenizer.name_or_path}" if tokenizer.name_or_path else "the tokenizer"


def _only_special(text: str) -> UserError:
    return UserError(f"{_quoted(text)}: the tokenizer can read this text only with a special token")


def _quoted(text: str) -> str:
    return repr(text if len(text) <= LONGEST_QUOTE else f"{text[:LONGEST_QUOTE]} ...")
