"""The paper's claims as data, and the one rule by which the numbers of a study decide them."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from palimpsest.metrics.seeds import Comparison, compare_pairs, holm
from palimpsest.metrics.spread import ROUNDING
from palimpsest.report.evidence import Evidence
from palimpsest.report.rows import root_of_decades
from palimpsest.report.words import QUALITY, SIGNIFICANCE, counted, format_quality, typeset, with_sd

HOLDS, FAILS, UNDECIDED = "holds", "does not hold", "undecided"
NONE = "\N{EN DASH}"
# The paper's own number of trials.
FEWEST = 5
RULE = (
    f"The rule: a claim is decided by the differences between two models of the same seed, of at least {FEWEST} seeds. It holds "
    f"if the one-sided paired t-test gives p ≤ {SIGNIFICANCE:g} after Holm's correction for all claims that the study can "
    "decide; it does not hold if the opposite test does. Otherwise, and with fewer seeds, it is undecided. Forget quality "
    "is a p-value and is compared by the root of its decades, as in the figures: that root grows like the KS distance."
)


class Pair(NamedTuple):
    """The two numbers that a claim compares in one place, each by seed: `greater` is to exceed `than` by more than `margin`."""

    title: str
    greater: pd.Series
    than: pd.Series
    margin: pd.Series | float = 0.0
    but: str = ""
    """Why the claim is undecided, with any numbers; "" if the numbers decide."""


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
    """Says why the claim is undecided for a thing, with any numbers; "" if the numbers decide."""
    measure: Callable[[Any], Iterable[Pair]] | None = None
    write: Callable[[float], str] | None = None
    """How its numbers are written, if not as the metric's."""

    @property
    def printed_words(self) -> str:
        """The paper's numbers in words."""
        return " against ".join(f"{value:.2f}" for value in self.printed) if self.printed else NONE

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
    numbers: tuple[str, str]
    """Mean ± sd of both."""
    seeds: int
    found: Comparison
    but: str
    """Why it is undecided, with any numbers; "" if the numbers decide."""
    left_out: int
    """How many seeds lack a number."""
    note: str
    """A further remark on the numbers."""
    corrected: tuple[float, float] = (1.0, 1.0)
    """The p-values that the claim holds and that the contrary does, after Holm's correction."""

    @property
    def is_decidable(self) -> bool:
        """Whether there are enough seeds for a verdict, and nothing forbids one."""
        return self.seeds >= FEWEST and not self.but

    @property
    def word(self) -> str:
        """The verdict."""
        holds, fails = (p_value <= SIGNIFICANCE for p_value in self.corrected)
        return UNDECIDED if not self.is_decidable else HOLDS if holds else FAILS if fails else UNDECIDED

    @property
    def reason(self) -> str:
        """The numbers behind the verdict, or why there is none."""
        if self.but:
            return self.but
        agree = f"as claimed in {self.found.higher} of {counted(self.seeds, 'seed')}"
        agree += f" that have both numbers; {counted(self.left_out, 'seed')} left out" if self.left_out else ""
        if self.seeds < FEWEST:
            return f"{agree}; {FEWEST} are needed" if self.seeds else "no seed has both numbers"
        low, high = self.found.interval
        side = int(self.found.difference < 0)
        p_value, corrected = map(format_quality, ((self.found.p_higher, self.found.p_lower)[side], self.corrected[side]))
        of = "p of the contrary" if side else "p"
        scale = " in the root of the decades" if self.claim.metric.startswith(QUALITY) else ""
        numbers = typeset(f"mean difference {self.found.difference:+.2g}{scale} (95 % interval {low:+.2g} to {high:+.2g})")
        return f"{numbers}, {of} = {p_value}, corrected {corrected}, {agree}{self.note}"

    @property
    def ours(self) -> str:
        """Both numbers in words."""
        return " against ".join(self.numbers) if all(self.numbers) else NONE

    @property
    def printed(self) -> str:
        """The paper's numbers in words."""
        return self.claim.printed_words

    @property
    def key(self) -> str:
        """The verdict as one word, for the style sheet."""
        return {HOLDS: "holds", FAILS: "fails"}.get(self.word, "undecided")

    @property
    def tile(self) -> str:
        """The verdict as one word for the first screen, where too few seeds are no verdict."""
        return "untestable" if self.seeds < FEWEST else self.key


def judge(claim: Claim, pair: Pair, question: str = "") -> Verdict:
    """Test one claim by the numbers of one place; `decide` then corrects for the other claims."""
    paired = pd.DataFrame({"greater": pair.greater, "than": pair.than, "margin": pair.margin}, dtype=float).dropna()
    numbers = (with_sd(paired["greater"], claim.metric, claim.write), with_sd(paired["than"], claim.metric, claim.write))
    greater, than = paired["greater"].to_numpy(), (paired["than"] + paired["margin"]).to_numpy()
    if claim.metric.startswith(QUALITY):
        greater, than = root_of_decades(greater), root_of_decades(than)
    than = np.where(np.isclose(greater, than, rtol=ROUNDING, atol=ROUNDING**2), greater, than)
    both_fail = claim.metric == QUALITY and len(paired) and paired[["greater", "than"]].mean().max() <= SIGNIFICANCE
    note = "; both can be distinguished from Retrain" if both_fail else ""
    found = compare_pairs(greater.tolist(), than.tolist())
    left_out = len({*pair.greater.index, *pair.than.index}) - len(paired)
    return Verdict(claim, pair.title, question, numbers, len(paired), found, pair.but, left_out, note)


def decide(verdicts: Sequence[Verdict]) -> list[Verdict]:
    """Correct the p-values of all claims that a study can decide, those for a claim and those against it apart."""
    tested = [verdict for verdict in verdicts if verdict.is_decidable]
    higher, lower = (holm([getattr(verdict.found, side) for verdict in tested]) for side in ("p_higher", "p_lower"))
    corrected = iter(zip(higher, lower, strict=True))
    return [replace(verdict, corrected=next(corrected)) if verdict.is_decidable else verdict for verdict in verdicts]
