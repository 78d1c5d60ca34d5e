"""Generated text beside the true text: where it is cut before both are compared, and its row in the table of a suite."""

import re
from typing import Any

import pyarrow as pa

from palimpsest.data.prompts import PromptEncoder

# The columns of `generated_row`.
GENERATED = [(name, pa.string()) for name in ("set", "id", "prompt", "answer", "generation")]
# After its answer, a model continues like the few-shot examples: with a blank line and the next question.
_ANSWER_ENDS = [re.compile(end) for end in (r"\n[^\S\n]*\n", r"\nQuestion", r"Question:")]


def generated_row(name: str, id: str, prompt: str, answer: str, generation: str) -> dict[str, Any]:
    """Return the row of an item of the set `name`."""
    return {"set": name, "id": id, "prompt": prompt, "answer": answer, "generation": generation}


def alike_long(encoder: PromptEncoder, prompt: str, truth: str, generation: str, most: int) -> tuple[str, str]:
    """Return the true and the generated continuation, cut to `most` tokens and to the same number of tokens.

    With different lengths, even a perfect recital would lose recall or precision.
    """
    expected = _ids_behind(encoder, prompt, truth)[:most]
    said = _ids_behind(encoder, prompt, generation)[: len(expected)]
    decode = encoder.tokenizer.decode
    return str(decode(expected, skip_special_tokens=True)).strip(), str(decode(said, skip_special_tokens=True)).strip()


def cut_answer(text: str, answer: str) -> str:
    """Return the generated text before a blank line or the next question; it is empty if the text begins with one.

    A separator that the right answer itself contains does not end the text, or the right answer would be truncated.
    """
    ends = [found.start() for end in _ANSWER_ENDS if not end.search(answer) and (found := end.search(text))]
    return text[: min(ends, default=None)].strip()


def _ids_behind(encoder: PromptEncoder, prompt: str, text: str) -> list[int]:
    """Return the tokens of a continuation, with a space before its first word even if neither part contains it."""
    given = encoder.opening(prompt)
    blank = "" if prompt[-1:].isspace() or text[:1].isspace() else " "
    whole = encoder.opening(prompt + blank + text)
    if whole[: len(given)] == given:
        return whole[len(given) :]
    return encoder.plain(text)
