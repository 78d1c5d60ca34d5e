"""How numbers are written in tables, figures and sentences."""

import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence

import pandas as pd

from palimpsest.metrics.spread import ROUNDING
from palimpsest.names import DEFAULT
from palimpsest.report.names import model_label

QUALITY, UTILITY = "forget_quality", "model_utility"
# The two scores of unlearning, as they are called in figures and tables.
SCORES = {QUALITY: "Forget quality", UTILITY: "Model utility"}
# Scores that go to 100, and the one of them that has a sign.
PERCENT, SIGNED = ("verbmem", "knowmem", "privleak"), "privleak"
# Below this forget quality a model can be distinguished from Retrain.
SIGNIFICANCE = 0.05
# From here on a p-value is written with two decimals.
PLAIN_QUALITY = 0.1
MINUS = "\N{MINUS SIGN}"


def typeset(number: str) -> str:
    """Return a written number with a true minus sign, at which no line breaks."""
    return number.replace("-", MINUS)


def unbroken(text: str) -> str:
    """Return a text in which no line breaks within a number with its sign, sd or unit, or within an equation."""
    joints = rf"(?<=[\d)]) (?=%|±)|(?<=±) (?=[\d+{MINUS}])|(?<=[=<>≤≥∝]) (?=[\d+{MINUS}|])|(?<=\w) (?=[=≤≥] )"
    return re.sub(joints, "\N{NO-BREAK SPACE}", text)


def format_quality(value: float) -> str:
    """Write a p-value so that both 1.2e-05 and 0.99 can be read."""
    if value == 0 or value >= PLAIN_QUALITY:
        return f"{value:.2f}" if value else "0"
    return typeset(f"{value:.2g}" if value >= 0.001 else f"{value:.1e}")


def format_score(metric: str, value: float) -> str:
    """Write a forget quality, after any epoch, as a p-value, a percentage with one decimal, any other score with three."""
    if metric.startswith(PERCENT):
        return typeset(f"{value:+.1f}" if metric.startswith(SIGNED) and round(value, 1) else f"{value:z.1f}")
    return format_quality(value) if metric.startswith(QUALITY) else typeset(f"{value:z.3f}")


def format_sd(metric: str, mean: float, sd: float) -> str:
    """Write an sd with the decimals of its mean; 0 where it has none."""
    if metric.startswith(PERCENT):
        return f"{sd:.1f}"
    if metric.startswith(QUALITY) and mean >= 0.001:
        return f"{sd:.{2 if mean >= PLAIN_QUALITY else 1 - math.floor(math.log10(mean))}f}"
    return format_score(metric, sd)


def spread_of(sd: float, mean: float) -> float:
    """Return an sd, or 0 where it is rounding."""
    return sd if sd > ROUNDING * abs(mean) else 0.0


def with_sd(values: pd.Series, metric: str = "", write: Callable[[float], str] | None = None) -> str:
    """Write a mean over seeds with its sd, where there are several seeds; "" without a value."""
    if values.empty:
        return ""
    mean = float(values.mean())
    text = write(mean) if write else format_score(metric, mean)
    if len(values) == 1:
        return text
    sd = spread_of(float(values.std()), mean)
    return f"{text} ± {write(sd).removeprefix('+') if write else format_sd(metric, mean, sd)}"


def signed(value: float) -> str:
    """Write a difference with its sign and two decimals."""
    return typeset(f"{value:+z.2f}")


def is_number(value: object) -> bool:
    """Return whether a setting is a number; true and false are none."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def joined(parts: Sequence[str]) -> str:
    """Join words to "a, b and c"."""
    return " and ".join([*([", ".join(parts[:-1])] if len(parts) > 1 else []), parts[-1]])


def counted(number: int, noun: str) -> str:
    """Write a number with its noun, in the plural where it is not one."""
    return f"{number} {noun}{'s' * (number != 1)}"


def under_titles(sentences: Sequence[tuple[str, str]]) -> list[str]:
    """Put its title before each sentence where there is more than one title: (title, sentence) to text."""
    many = len({title for title, _ in sentences}) > 1
    return [f"{title}: {sentence}" if many else sentence for title, sentence in sentences]


def table_of(rows: Sequence[tuple[str, Mapping[str, str]]]) -> pd.DataFrame:
    """Return rows of text as a table, each under its title where there is more than one title."""
    many = len({title for title, _ in rows}) > 1
    return pd.DataFrame([({"Block": title} if many else {}) | dict(row) for title, row in rows]).fillna("")


def variants_shown(models: Iterable[tuple[str, str]]) -> str:
    """Say for the caption which variants represent their methods, where they are not the defaults."""
    labels = [model_label(*model) for model in dict.fromkeys(models) if model[1] not in ("", DEFAULT)]
    return f" Variants shown: {joined(labels)}." if labels else ""
