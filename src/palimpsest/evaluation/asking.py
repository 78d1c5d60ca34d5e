"""How a model is asked for alternatives to its answers."""

from typing import Annotated

from pydantic import AfterValidator, Field

from palimpsest.data.prompts import QUESTION
from palimpsest.evaluation.suite import Tokens
from palimpsest.settings import Settings


def _asks(request: str) -> str:
    if QUESTION not in request:
        raise ValueError(f"no {QUESTION}, in whose place the question is put")
    return request


class Alternatives(Settings):
    """How the start model is asked for alternatives to its answers (AltPO, arXiv 2409.13474)."""

    number: Annotated[int, Field(ge=1, le=64)] = 5
    """Alternatives per question."""
    temperature: Annotated[float, Field(ge=0.01, le=100)] = 1.0
    """Logits are divided by it before an alternative is sampled."""
    max_new_tokens: Tokens = 200
    """Maximum length of an alternative in tokens."""
    request: Annotated[str, AfterValidator(_asks)] = (
        "Question: {question}\nAnswer: {answer}\n"
        "Make up another answer to this question. It must be plausible, and its facts must differ from those of the given answer."
    )
    """What the model is asked, in place of the question: {question} and {answer} stand for the question and its true answer. A
    model that follows no instructions can be asked the question itself, at a higher temperature: `"{question}"`."""
