"""The paper's claims as data, and the one rule by which the numbers of a study decide them."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from palimpsest.metrics.seeds import Comparison, compare_pairs
from palimpsest.report.evidence import Evidence
from palimpsest.report.words import QUALITY, ROUNDING, SIGNIFICANCE, counted, typeset, with_sd

HOLDS, FAILS, OPEN = "holds", "does not hold", "open"
NONE = "\N{EN DASH}"
# The paper's own number of trials. Fewer prove nothing at the 5 % level: four flips of a fair coin agree 1 time in 16.
FEWEST = 5
RULE = (
    f"The rule: a claim is decided by the differences between two models of the same seed, of at least {FEWEST} seeds. It holds "
    "where the 95 % bootstrap interval of the mean difference is above 0 and the one-sided sign-flip test gives p ≤ "
    f"{SIGNIFICANCE:g}; it does not hold where both say the contrary; else, and with fewer seeds, it is open."
)


class Pair(NamedTuple):
    """The two numbers that a claim compares in one place, each by seed: `greater` is to exceed `than` by more than `margin`."""

    title: str
    greater: pd.Series
    than: pd.Series
    margin: pd.Series | float = 0.0
    but: str = ""
    """Why the claim is open, with any numbers; "" if the numbers decide."""


@dataclass(frozen=True)
class Claim:
    """One claim of the paper: one method has a greater number than another method.

    The numbers come from the things that its question finds: `measure` yields the pairs to compare, or `value` gives the number
    of each method. Without both, the metric of finished models is compared.
    """

    text: str
    """In the paper's words, short."""
    source: str
    metric: str = QUALITY
    greater: str = ""
    than: str = ""
    printed: tuple[float, float] | None = None
    """The paper's two numbers, where it prints them."""
    value: Callable[[Any, str], pd.Series] | None = None
    """Takes a thing and a method; gives the number by seed."""
    but: Callable[[Any], str] = lambda of: ""
    """Says why the claim is open for a thing, with any numbers; "" if the numbers decide."""
    measure: Callable[[Any], Iterable[Pair]] | None = None
    write: Callable[[float], str] | None = None
    """How its numbers are written, if not as the metric's."""

    def pairs(self, evidence: Evidence, found: Iterable[Any]) -> Iterator[Pair]:
        """Yield what is compared in every place that may have the numbers."""
        if self.measure:
            yield from (pair for of in found for pair in self.measure(of))
            return
        by_seed = self.value or (lambda place, method: place.standing_by_seed(self.metric, method))
        for of in found if self.value else evidence.finished(self.metric):
            yield Pair(of.title, by_seed(of, self.greater), by_seed(of, self.than), but=self.but(of))


@dataclass(frozen=True)
class Verdict:
    """What a study's numbers say of one claim in one place."""

    claim: Claim
    title: str
    question: str
    """The page that shows the numbers."""
    word: str
    reason: str
    numbers: tuple[str, str]
    """Mean ± sd of both."""
    seeds: int

    @property
    def ours(self) -> str:
        """Both numbers in words."""
        return " against ".join(self.numbers) if all(self.numbers) else NONE

    @property
    def printed(self) -> str:
        """The paper's numbers in words."""
        return " against ".join(typeset(f"{value:.2f}") for value in self.claim.printed) if self.claim.printed else NONE

    @property
    def key(self) -> str:
        """The verdict as one word, for the style sheet."""
        return {HOLDS: "holds", FAILS: "fails"}.get(self.word, "open")


def judge(claim: Claim, pair: Pair, question: str = "") -> Verdict:
    """Decide one claim by the numbers of one place."""
    paired = pd.DataFrame({"greater": pair.greater, "than": pair.than, "margin": pair.margin}, dtype=float).dropna()
    numbers = (with_sd(paired["greater"], claim.metric, claim.write), with_sd(paired["than"], claim.metric, claim.write))
    greater, than = paired["greater"].to_numpy(), (paired["than"] + paired["margin"]).to_numpy()
    than = np.where(np.isclose(greater, than, rtol=ROUNDING, atol=ROUNDING**2), greater, than)
    word, reason = _decide(compare_pairs(greater.tolist(), than.tolist()), len(paired))
    if pair.but:
        word, reason = OPEN, pair.but
    elif claim.metric == QUALITY and len(paired) and paired[["greater", "than"]].mean().max() <= SIGNIFICANCE:
        reason += "; both can be distinguished from Retrain"
    return Verdict(claim, pair.title, question, word, reason, numbers, len(paired))


def _decide(found: Comparison, seeds: int) -> tuple[str, str]:
    if not seeds:
        return OPEN, "no seed has both numbers"
    if seeds < FEWEST:
        return OPEN, f"as claimed in {found.higher} of {counted(seeds, 'seed')}; {FEWEST} are needed"
    low, high = found.interval
    difference = f"mean difference {found.difference:+.2g} (95 % interval {low:+.2g} to {high:+.2g})"
    # The test is symmetric, so half of its two-sided p-value is that of the side where the mean is.
    p_value = found.p_value / 2
    reason = typeset(f"{difference}, p = {p_value:.2g}, as claimed in {found.higher} of {seeds} seeds")
    if p_value <= SIGNIFICANCE and (low > 0 or high < 0):
        return (HOLDS if low > 0 else FAILS), reason
    return OPEN, reason
