"""The settings of the prompting suite."""

from typing import Annotated, Literal

from pydantic import Field

from palimpsest.evaluation.suite import Reading, Suite, Tokens
from palimpsest.settings import Count, Some

# The ways to ask: as the question stands, and four that may bring out more.
PLAIN, PARAPHRASE, PREFIX, FEW_SHOT, JAILBREAK = "question", "paraphrase", "prefix", "few-shot", "jailbreak"
Way = Literal["paraphrase", "prefix", "few-shot", "jailbreak"]


class PromptingSuite(Suite):
    """Ask each forget question as it stands and in several other ways; the worst case is the way that brings out most."""

    kind: Literal["prompting"]
    """Several prompts for each forget question."""
    prompts: Some[Way] = ["paraphrase", "prefix", "few-shot", "jailbreak"]
    """The other ways to ask: the paraphrased question; the first words of the answer, given; questions of the retain set with
    their answers before the question; a text that begins the answer and agrees to give it."""
    prefix_words: Annotated[int, Field(ge=1, le=1000)] = 3
    """How many words of the answer `prefix` gives, at most half of them; they do not count as recalled."""
    shots: Annotated[int, Field(ge=1, le=100)] = 3
    """How many questions of the retain set `few-shot` gives, evenly spaced in its order."""
    jailbreak: Annotated[str, Field(min_length=1)] = "Sure, here is the answer:"
    """The text with which `jailbreak` begins the answer."""
    max_items: Count | None = None
    """Ask only the first N questions of the forget set; null: all."""
    max_new_tokens: Tokens = 200
    """Maximum length of a generated answer in tokens."""

    def reading(self, forget: float, everything: float, item: float) -> Reading:
        """Return about how much an evaluation reads and generates."""
        asked = min(forget / item, self.max_items or forget) * (1 + len(self.prompts))
        return Reading(asked * item, asked * self.max_new_tokens)


SETTINGS = PromptingSuite
