"""Where the gradient goes: the weight that a method gives to each answer of the forget set, epoch by epoch."""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np
import pandas as pd
from scipy.stats import pearsonr

from palimpsest.data.splits import halves
from palimpsest.report.claims import Claim, Pair
from palimpsest.report.evidence import Evidence
from palimpsest.report.figures import Axis, Grid, Panel
from palimpsest.report.names import NPO, SIMNPO, model_label
from palimpsest.report.question import Found, Question
from palimpsest.report.rows import KEY, of_block
from palimpsest.report.words import signed, with_sd

QUANTILES = {"p05": 0.05, "p25": 0.25, "median": 0.5, "p75": 0.75, "p95": 0.95}
NUMBERS = [*KEY, "seed", "method", "variant", "epoch", "answers", "mean", *QUANTILES]
NUMBERS += ["pearson_r", "share_shorter_half", "share_near_one"]
# Weights that differ by less than this share of the greatest are all the same: what is left of them is rounding.
EQUAL = 1e-3
# A weight so near to 1 counts as 1, which eq. 4 has before the first update; nine in ten such weights are uniform.
UNIFORM, MOST = 0.1, 0.9
# The paper's "first" epochs, and the epochs that are drawn, with the last.
EARLY, SHOWN = (1, 2), (1, 2, 3)
# Weights below are drawn at it: some are 0 by underflow.
LEAST = 1e-30
# What the panel over the epochs takes for its line and its two bands.
DRAWN = {"epoch": "x", "median": "y", "p05": "low", "p95": "high", "p25": "x_low", "p75": "x_high"}


@dataclass(frozen=True)
class Weights(Found):
    """The weights of one model: `items` by seed, epoch and answer, `numbers` by seed and epoch."""

    method: str
    items: pd.DataFrame

    @property
    def shown(self) -> list[int]:
        """The epochs that are drawn."""
        epochs = sorted(int(epoch) for epoch in self.items["epoch"].unique())
        return [epoch for epoch in epochs if epoch in SHOWN or epoch == epochs[-1]]

    def by_seed(self, column: str, *epochs: int) -> pd.Series:
        """Return the mean of a column of `numbers` over epochs by seed."""
        return self.numbers[self.numbers["epoch"].isin(epochs)].groupby("seed")[column].mean().dropna()

    def panels(self) -> Iterator[Panel]:
        """Yield the weights against the lengths in each epoch that is shown, and their quantiles over all epochs."""
        model = dict(zip(("method", "variant"), self.models[0], strict=True)) | {"seed": 0}
        for epoch in self.shown:
            items = self.items[self.items["epoch"] == epoch].groupby("id")[["tokens", "weight"]].mean().reset_index()
            r = self.by_seed("pearson_r", epoch)
            note = "all alike" if r.empty else f"r = {signed(r.mean())}"
            points = items.assign(**model, x=items["tokens"], y=items["weight"])
            yield Panel("scatter", points, f"Epoch {epoch}", Axis("Tokens of the answer"), Axis(zero=True), note)
        means = self.numbers.groupby("epoch")[[*QUANTILES]].mean().clip(lower=LEAST).reset_index()
        data = means.rename(columns=DRAWN).assign(**model)
        scale = Axis(scale="log") if data["high"].max() > 30 * data["low"].min() else Axis(zero=True)
        yield Panel("curves", data, "Over the epochs", Axis("Epoch"), scale)

    def rows(self) -> Iterator[dict[str, str]]:
        """Yield a row per epoch that is shown."""
        for epoch in self.shown:
            median, low, high = self.numbers.loc[self.numbers["epoch"] == epoch, ["median", "p05", "p95"]].mean()
            yield {
                "Method": model_label(*self.models[0]),
                "Epoch": str(epoch),
                "Median weight": f"{median:.3g}",
                "5 % to 95 %": f"{low:.3g} to {high:.3g}",
                "r with length": with_sd(self.by_seed("pearson_r", epoch), write=signed) or "all alike",
                "On the shorter half": with_sd(self.by_seed("share_shorter_half", epoch), write="{:.0%}".format),
            }


def correlation(lengths: np.ndarray, weights: np.ndarray) -> float:
    """Return Pearson's r; NaN where all lengths or, up to rounding, all weights are the same."""
    greatest = float(np.max(weights))
    if np.ptp(lengths) == 0 or np.ptp(weights) <= EQUAL * greatest:
        return math.nan
    return float(pearsonr(lengths, weights / greatest).statistic)


def watched(evidence: Evidence) -> Iterator[Weights]:
    """Yield the weights of every method that records them; chunks of a corpus, which are of one length, are left out."""
    for block in evidence.study.blocks:
        rows = of_block(evidence.weights, block).dropna(subset="weight")
        for method in [] if evidence.study.shape(block) else (NPO, SIMNPO):
            of_method = rows[rows["method"] == method]
            variant = evidence.watched_variant(block, method, of_method["variant"].unique())
            items = of_method[of_method["variant"] == variant]
            if len(items):
                key = block.identity | {"method": method, "variant": variant}
                numbers = [
                    key | {"seed": seed, "epoch": epoch} | _statistics(of)
                    for (seed, epoch), of in items.groupby(["seed", "epoch"])
                ]
                head = f"{block.title()}: {model_label(method, str(variant))}"
                frame = pd.DataFrame(numbers, columns=NUMBERS)
                yield Weights(block.title(), [(method, str(variant))], frame, method, items, head=head)


def _statistics(items: pd.DataFrame) -> dict[str, float]:
    tokens, weights = items["tokens"].to_numpy(dtype=float), items["weight"].to_numpy(dtype=float)
    shorter = items["id"].isin(halves(items.sort_values(["tokens", "id"])["id"].tolist())[0]).to_numpy()
    # Weights that are all the same, or 0 by underflow, favour no half.
    is_even = np.ptp(weights) <= EQUAL * weights.max()
    return {
        "answers": len(items),
        "mean": float(weights.mean()),
        **dict(zip(QUANTILES, np.quantile(weights, list(QUANTILES.values())), strict=True)),
        "pearson_r": correlation(tokens, weights),
        "share_shorter_half": _even_share(len(items)) if is_even else float(weights[shorter].sum() / weights.sum()),
        "share_near_one": float(np.mean(np.abs(weights - 1) <= UNIFORM)),
    }


def _even_share(answers: int) -> float:
    """Return what the shorter half gets of weights that are all the same."""
    return math.ceil(answers / 2) / answers


def _uniform(of: Weights) -> Iterator[Pair]:
    """At least nine in ten of NPO's weights in the first epoch are within 0.1 of 1."""
    if of.method == NPO:
        near = of.by_seed("share_near_one", of.shown[0])
        yield Pair(of.title, near, pd.Series(MOST, near.index))


def _favours_late(of: Weights) -> Iterator[Pair]:
    """In the last epoch the shorter half of the answers has more than its even share of NPO's weights."""
    if of.method == NPO:
        yield _favours_short(of, of.shown[-1:])


def _favours_early(of: Weights) -> Iterator[Pair]:
    """In the first two epochs the shorter half of the answers has more than its even share of SimNPO's weights."""
    if of.method == SIMNPO:
        yield _favours_short(of, EARLY)


def _favours_short(of: Weights, epochs: Iterable[int]) -> Pair:
    """Compare the share of the shorter half with its even share."""
    share = of.by_seed("share_shorter_half", *epochs)
    return Pair(of.title, share, pd.Series(_even_share(int(of.numbers["answers"].max())), share.index))


def _evens_out(of: Weights) -> Iterator[Pair]:
    """The shorter half's share of SimNPO's weights is nearer to one half in the last epoch than in the first two."""
    if of.method == SIMNPO:
        early, late = ((of.by_seed("share_shorter_half", *epochs) - 0.5).abs() for epochs in (EARLY, of.shown[-1:]))
        yield Pair(of.title, early, late)


LATER = "NPO's weights favour short answers only later"
QUESTIONS = (
    Question(
        "weights",
        "Where does each method spend its gradient?",
        "Figs. 3a-b and 4",
        watched,
        "The gradient weight of each forget answer against its length in the first epochs and the last, and over all epochs.",
        "The weight of each forget answer in the gradient: w of NPO (eq. 4) and w' of SimNPO (eq. 6, which holds 1/|y|), as "
        "taken while the epoch passes. Each panel has its own scale. A point is an answer, its weight the mean over seeds; r is "
        "Pearson's between length and weight. Right: the median; the bands hold half and 90 % of the answers. A weight "
        "multiplies the gradient of an answer's summed log-likelihood, which has one term per token.",
        (
            Claim("NPO's weights are uniform in the first epoch", "Fig. 3a", "share", measure=_uniform),
            Claim(LATER, "Sec. 5(b)", "share", measure=_favours_late),
            Claim("SimNPO favours short answers early", "Figs. 3b and 4", "share", measure=_favours_early),
            Claim("SimNPO's weights become uniform later", "Fig. 4", "share", measure=_evens_out),
        ),
        partial(Grid, wide=5, height=130),
    ),
)
