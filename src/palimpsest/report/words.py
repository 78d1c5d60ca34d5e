"""Numbers, and differences over seeds, in words: what tables and sentences are made of."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

import pandas as pd

from palimpsest.report.names import DEFAULT, model_label

QUALITY, UTILITY = "forget_quality", "model_utility"
# The two scores of unlearning, as they are called in figures and tables.
SCORES = {QUALITY: "Forget quality", UTILITY: "Model utility"}
# The scores of MUSE, which go to 100, and the one of them that has a sign.
PERCENT, SIGNED = ("verbmem", "knowmem", "privleak"), "privleak"
# Below this forget quality a model is said to be told apart from Retrain.
SIGNIFICANCE = 0.05
# From here on a p-value is written with two decimals.
PLAIN_QUALITY = 0.1


class Spread(NamedTuple):
    """A number over seeds."""

    mean: float
    low: float
    high: float


def spread(values: Iterable[float]) -> Spread:
    """Return mean, least and greatest of at least one number."""
    numbers = list(values)
    return Spread(sum(numbers) / len(numbers), min(numbers), max(numbers))


def format_quality(value: float) -> str:
    """Write a p-value so that 1.2e-05 and 0.99 can both be read."""
    if value == 0 or value >= PLAIN_QUALITY:
        return f"{value:.2f}" if value else "0"
    return f"{value:.2g}" if value >= 0.001 else f"{value:.1e}"


def format_score(metric: str, value: float) -> str:
    """Write a forget quality, in whatever epoch, as a p-value, a percentage with one decimal, any other score with three."""
    if metric.startswith(PERCENT):
        return f"{value:+.1f}" if metric.startswith(SIGNED) and round(value, 1) else f"{value:z.1f}"
    return format_quality(value) if metric.startswith(QUALITY) else f"{value:.3f}"


def format_sd(metric: str, mean: float, sd: float) -> str:
    """Write an sd with the decimals of its mean."""
    if metric.startswith(PERCENT):
        return f"{sd:.1f}"
    return f"{sd:.2f}" if metric.startswith(QUALITY) and mean >= PLAIN_QUALITY else format_score(metric, sd)


def format_range(values: pd.Series, write: Callable[[float], str], absent: str = "") -> str:
    """Write a mean over seeds with the range behind it, where there are several."""
    if values.empty:
        return absent
    mean, low, high = map(write, spread(values))
    return mean if len(values) == 1 else f"{mean} ({low} to {high})"


def joined(parts: Sequence[str]) -> str:
    """Join words to "a, b and c"."""
    return " and ".join([*([", ".join(parts[:-1])] if len(parts) > 1 else []), parts[-1]])


def over_seeds(count: int) -> str:
    """Say over how many seeds a mean goes."""
    return f"mean over {count} seeds" if count > 1 else "one seed"


def in_all(seeds: int) -> str:
    """Say that something holds in all of so many seeds."""
    return {1: "in the only seed", 2: "in both seeds"}.get(seeds, f"in all {seeds} seeds")


def in_seeds(differences: pd.Series) -> str:
    """Say in how many seeds a difference has the sign of its mean; where they disagree, that it lies within their spread."""
    count, mean = len(differences), float(differences.mean())
    alike = int(((differences > 0) if mean > 0 else (differences < 0) if mean < 0 else (differences == 0)).sum())
    return in_all(count) if alike == count else f"in {alike} of {count} seeds, within the spread over seeds"


def sign_over_seeds(differences: pd.Series) -> int:
    """Return 1 or -1 if all seeds differ in that direction; 0 if they do not agree, or there is none."""
    if differences.empty:
        return 0
    return 1 if (differences > 0).all() else -1 if (differences < 0).all() else 0


def against_paper(differences: pd.Series, claim: str, contrary: str, numbers: str, *, claimed: bool = True) -> str:
    """Say whether the seeds bear out the paper's claim that a difference is positive, with the numbers it is between.

    With `claimed` false the paper says nothing of it, and is not named.
    """
    if differences.empty:
        return f"Whether {claim} is left open: no seed has both numbers."
    count, sign = len(differences), sign_over_seeds(differences)
    if count == 1 and sign:
        # How far apart two seeds would lie is not known, so neither is whether the difference means anything.
        return f"Whether {claim} is left open by one seed, in which it {'holds' if sign > 0 else 'does not'}: {numbers}."
    if sign:
        said = ("As in the paper, ", "Unlike in the paper, ") if claimed else ("", "")
        return (
            f"{said[0]}{claim}: {numbers}, {in_all(count)}." if sign > 0 else f"{said[1]}{contrary}: {numbers}, {in_all(count)}."
        )
    if (differences == 0).all():
        return f"Whether {claim} is left open: {numbers}, no difference in {'the only' if count == 1 else 'any'} seed."
    held = int((differences > 0).sum())
    return f"Whether {claim} is left open: {numbers}; it holds in {held} of {count} seeds, within their spread."


class PaperClaim(NamedTuple):
    """A claim of the paper that a number is larger, and by how much it is in each seed, with the numbers in words."""

    claim: str
    contrary: str
    differences: pd.Series
    numbers: str
    but: str = ""
    """Why it is left open whatever the differences are; "" where it is not."""

    @property
    def sign(self) -> int:
        """1 or -1 where all of several seeds are for the claim or against it, else 0."""
        return 0 if self.but or len(self.differences) < 2 else sign_over_seeds(self.differences)

    @property
    def sentence(self) -> str:
        """Whether the seeds bear it out."""
        if self.but:
            return f"Whether {self.claim} is left open: {self.numbers}, but {self.but}."
        return against_paper(self.differences, self.claim, self.contrary, self.numbers)


def verdict(claims: Iterable[tuple[str, int]]) -> str:
    """Say in short what becomes of the paper's claims, each with its sign; one that several blocks test holds in all or not."""
    signs: dict[str, set[int]] = {}
    for claim, sign in claims:
        signs.setdefault(claim, set()).add(sign)
    parts: list[str] = []
    for verb, sign in (("supports", 1), ("contradicts", -1), ("leaves open", 0)):
        these = [f"that {claim}" for claim, each in signs.items() if (min(each) if len(each) == 1 else 0) == sign]
        if these:
            whose = "its" if parts else "the paper's"
            parts.append(f"{verb} {whose} claim{'s' * (len(these) > 1)} {joined(these)}")
    return f"This run {joined(parts)}."


def both_fail(first: float, second: float) -> str:
    """Add that two mean forget qualities are both below the level at which models are told apart from Retrain, or nothing."""
    return ", both told apart from Retrain" if max(first, second) <= SIGNIFICANCE else ""


def under_titles(sentences: Sequence[tuple[str, str]]) -> list[str]:
    """Put its title before each sentence where there is more than one: (title, sentence) to text."""
    many = len({title for title, _ in sentences}) > 1
    return [f"{title}: {sentence}" if many else sentence for title, sentence in sentences]


def table_of(rows: Sequence[tuple[str, Mapping[str, str]]]) -> pd.DataFrame:
    """Return rows of text as a table, each under its title where there is more than one."""
    many = len({title for title, _ in rows}) > 1
    return pd.DataFrame([({"Block": title} if many else {}) | dict(row) for title, row in rows]).fillna("")


def variants_shown(models: Iterable[tuple[str, str]]) -> str:
    """Say for the caption which variants stand for their methods, where they are not the defaults."""
    labels = [model_label(*model) for model in dict.fromkeys(models) if model[1] not in ("", DEFAULT)]
    return f" Variants shown: {joined(labels)}." if labels else ""
