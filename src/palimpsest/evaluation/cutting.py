"""Where generated text ends before it is compared with the true text."""

import re

from palimpsest.data.prompts import PromptEncoder

# After its answer, a model continues like the few-shot examples: with a blank line and the next question.
_ANSWER_ENDS = [re.compile(end) for end in (r"\n[^\S\n]*\n", r"\nQuestion", r"Question:")]


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
