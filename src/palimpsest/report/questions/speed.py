"""Whether long answers are unlearned faster: when each forget answer is half as probable as before."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

import pandas as pd

from palimpsest.metrics.speed import epochs_to_half, length_exponent
from palimpsest.report.claims import Claim, Pair
from palimpsest.report.evidence import Evidence
from palimpsest.report.figures import Axis, Grid, Panel, stacked
from palimpsest.report.names import NPO, SIMNPO, method_name, model_label, model_order
from palimpsest.report.question import Found, Question
from palimpsest.report.rows import KEY, of_block, of_models
from palimpsest.report.words import joined, signed, typeset, with_sd

EXPONENT = "length_exponent"
MODEL = ["method", "variant", "seed"]
NUMBERS = [*KEY, "suite", *MODEL, "answers", "halved", "median_epochs", EXPONENT]
# If fewer answers become half as probable, those that do are no fair sample.
ENOUGH = 0.9


@dataclass(frozen=True)
class Speeds(Found):
    """One place: `numbers` by model and seed; `items` by model, seed and answer, with its tokens and its epochs to half."""

    items: pd.DataFrame

    def by_seed(self, column: str, method: str) -> pd.Series:
        """Return a column of `numbers` of one method by seed."""
        return self.numbers[self.numbers["method"] == method].set_index("seed")[column].dropna()

    def panels(self) -> Iterator[Panel]:
        """Yield a panel per model: the epochs of each answer, the mean over seeds, against its length."""
        for method, variant in self.models:
            points = of_models(self.items, [(method, variant)]).groupby("id")[["tokens", "epochs"]].mean().dropna().reset_index()
            if points.empty:
                continue
            data = points.assign(method=method, variant=variant, seed=0, x=points["tokens"], y=points["epochs"])
            axes = Axis("Tokens of the answer"), Axis("Epochs until half as probable", zero=True)
            exponents = self.by_seed(EXPONENT, method)
            note = typeset(f"speed ∝ |y|^{exponents.mean():.2f}") if len(exponents) else ""
            yield Panel("scatter", data, model_label(method, variant), *axes, note)

    def rows(self) -> Iterator[dict[str, str]]:
        """Yield a row per model."""
        for method, variant in self.models:
            halved, answers = (self.by_seed(column, method).sum() for column in ("halved", "answers"))
            yield {
                "Method": model_label(method, variant),
                "Answers that become half as probable": f"{halved} of {answers}",
                "Epochs until then, median": with_sd(self.by_seed("median_epochs", method), write="{:.2f}".format),
                "Exponent of |y| in the speed": with_sd(self.by_seed(EXPONENT, method), write=signed),
            }

    def but(self, *methods: str) -> str:
        """Return which of these methods leaves too many answers more than half as probable."""
        slow = [
            method_name(method)
            for method in methods
            if (self.by_seed("halved", method) < ENOUGH * self.by_seed("answers", method)).any()
        ]
        return f"{joined(slow)} left more than {1 - ENOUGH:.0%} of the answers above half their probability" if slow else ""


def _find(evidence: Evidence) -> Iterator[Speeds]:
    for block in evidence.study.blocks:
        for suite, of_suite in of_block(evidence.losses, block).groupby("suite", sort=True):
            # A trial that was measured after its last epoch alone has no trajectory.
            several = of_suite.groupby(["method", "variant"])["epoch"].transform("nunique") > 1
            variants = of_suite[several].groupby("method")["variant"].unique()
            shown = {method: evidence.watched_variant(block, str(method), variants[method]) for method in variants.index}
            models = [(method, variant) for method, variant in shown.items() if variant is not None]
            models.sort(key=lambda model: model_order(*model))
            items = stacked(_halved(of) for _, of in of_models(of_suite, models).groupby(MODEL))
            if len(items):
                yield Speeds(block.title(str(suite)), models, _numbers(items), items)


def _halved(rows: pd.DataFrame) -> pd.DataFrame:
    """Return a row per answer of one model with its epochs to half, from a row per answer and epoch."""
    nll = rows.pivot(index="epoch", columns="id", values="nll")
    epochs = epochs_to_half(nll.index.to_numpy(dtype=float), nll.to_numpy())
    return rows.drop_duplicates("id").set_index("id").loc[nll.columns].assign(epochs=epochs).reset_index()


def _numbers(items: pd.DataFrame) -> pd.DataFrame:
    rows = []
    for key, of in items.groupby([*KEY, "suite", *MODEL]):
        tokens, epochs = of[["tokens", "epochs"]].to_numpy(dtype=float).T
        rows.append((*key, len(of), of["epochs"].count(), of["epochs"].median(), length_exponent(tokens, epochs)))
    # The last digits of equal exponents differ.
    return pd.DataFrame(rows, columns=NUMBERS).round({EXPONENT: 9})


def _long_is_faster(of: Speeds) -> Iterator[Pair]:
    """The exponent of |y| in NPO's speed, which is one over the epochs until an answer is half as probable, is above 0."""
    exponents = of.by_seed(EXPONENT, NPO)
    yield Pair(of.title, exponents, pd.Series(0.0, exponents.index), but=of.but(NPO))


def _matters_less(of: Speeds) -> Iterator[Pair]:
    """The exponent of |y| is further from 0 in NPO's speed than in SimNPO's."""
    npo, simnpo = (of.by_seed(EXPONENT, method).abs() for method in (NPO, SIMNPO))
    yield Pair(of.title, npo, simnpo, but=of.but(NPO, SIMNPO))


QUESTIONS = (
    Question(
        "speed",
        "Are long answers unlearned faster?",
        "App. G",
        _find,
        "The epochs until each forget answer is half as probable as before unlearning, against its length, by method.",
        "The epoch in which the probability π(y|x) of each forget answer first falls to half of its value before unlearning; its "
        "logarithm is linear between epochs. A point is an answer, its epochs the mean over seeds. Speed is one over the epochs. "
        "Where it grows with the number of tokens |y| to the power of 1, an answer of twice the length is unlearned twice as "
        "fast; at 0 the length does not matter.",
        (
            Claim("NPO unlearns long answers faster", "App. G", EXPONENT, measure=_long_is_faster, write=signed),
            Claim("The length matters less to SimNPO's speed", "App. G", EXPONENT, measure=_matters_less, write=signed),
        ),
        partial(Grid, wide=3, height=190),
    ),
)
