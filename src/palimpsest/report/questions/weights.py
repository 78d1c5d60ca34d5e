"""Where the gradient goes: the weight that a method gives to each answer of the forget set, epoch by epoch."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.stats import pearsonr

from palimpsest.data.splits import halves
from palimpsest.report.claims import Claim, Measure, Pair, each
from palimpsest.report.evidence import Evidence
from palimpsest.report.figures import Axis, Grid, Panel, stacked
from palimpsest.report.names import NPO, SIMNPO, model_label
from palimpsest.report.question import Answer, Question
from palimpsest.report.rows import KEY, of_block
from palimpsest.report.study import Block
from palimpsest.report.words import signed, table_of, variants_shown, with_sd

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


@dataclass(frozen=True)
class Weights:
    """The weights of one model: `items` by seed, epoch and answer, `numbers` by seed and epoch."""

    block: Block
    method: str
    variant: str
    items: pd.DataFrame
    numbers: pd.DataFrame

    @property
    def shown(self) -> list[int]:
        """The epochs that are drawn."""
        epochs = sorted(int(epoch) for epoch in self.items["epoch"].unique())
        return [epoch for epoch in epochs if epoch in SHOWN or epoch == epochs[-1]]

    def by_seed(self, column: str, *epochs: int) -> pd.Series:
        """Return the mean of a column of `numbers` over epochs by seed."""
        return self.numbers[self.numbers["epoch"].isin(epochs)].groupby("seed")[column].mean().dropna()


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
                yield Weights(block, method, str(variant), items, pd.DataFrame(numbers, columns=NUMBERS))


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


def _show(evidence: Evidence, found: list[Weights]) -> Answer:
    rows = [(f"{of.block.title()}: {model_label(of.method, of.variant)}", _panels(of)) for of in found]
    return Answer(
        figure=Grid(rows, wide=5, height=2.0),
        alt="The gradient weight of each forget answer against its length in the first epochs and the last, and over all epochs.",
        caption="The weight of each forget answer in the gradient: w of NPO (eq. 4) and w' of SimNPO (eq. 6, which holds 1/|y|), "
        "as taken while the epoch passes. Each panel has its own scale. A point is an answer, its weight the mean over seeds; r "
        "is Pearson's between length and weight. Right: the median; the bands hold half and 90 % of the answers. A weight "
        "multiplies the gradient of an answer's summed log-likelihood, which has one term per token."
        + variants_shown((of.method, of.variant) for of in found),
        numbers=stacked(of.numbers for of in found),
        table=table_of([(of.block.title(), _line(of, epoch)) for of in found for epoch in of.shown]),
    )


def _panels(of: Weights) -> list[Panel]:
    panels = []
    for epoch in of.shown:
        items = of.items[of.items["epoch"] == epoch].groupby("id")[["tokens", "weight"]].mean().reset_index()
        data = items.assign(method=of.method, variant=of.variant, seed=0, x=items["tokens"], y=items["weight"])
        r = of.by_seed("pearson_r", epoch)
        note = "all alike" if r.empty else f"r = {signed(r.mean())}"
        panels.append(Panel("scatter", data, f"Epoch {epoch}", Axis("Tokens of the answer"), Axis(zero=True), note))
    means = of.numbers.groupby("epoch")[[*QUANTILES]].mean().clip(lower=LEAST).reset_index()
    ends = {"y": "median", "low": "p05", "high": "p95", "x_low": "p25", "x_high": "p75", "x": "epoch"}
    data = means.rename(columns={old: new for new, old in ends.items()}).assign(method=of.method, variant=of.variant, seed=0)
    scale = Axis(scale="log") if data["high"].max() > 30 * data["low"].min() else Axis(zero=True)
    return [*panels, Panel("curves", data, "Over the epochs", Axis("Epoch"), scale)]


def _line(of: Weights, epoch: int) -> dict[str, str]:
    numbers = of.numbers[of.numbers["epoch"] == epoch]
    return {
        "Method": model_label(of.method, of.variant),
        "Epoch": str(epoch),
        "Median weight": f"{numbers['median'].mean():.3g}",
        "5 % to 95 %": f"{numbers['p05'].mean():.3g} to {numbers['p95'].mean():.3g}",
        "r with length": with_sd(of.by_seed("pearson_r", epoch), write=signed) or "all alike",
        "On the shorter half": with_sd(of.by_seed("share_shorter_half", epoch), write="{:.0%}".format),
    }


def _measured(method: str, numbers: Callable[[Weights], tuple[pd.Series, pd.Series]]) -> Measure:
    return each(lambda of: Pair(of.block.title(), *numbers(of)) if of.method == method else None)


def _uniform(of: Weights) -> tuple[pd.Series, pd.Series]:
    near = of.by_seed("share_near_one", of.shown[0])
    return near, pd.Series(MOST, near.index)


def _favours_short(*epochs: int) -> Callable[[Weights], tuple[pd.Series, pd.Series]]:
    """Return a measure of the share of the shorter half against its even share, in these epochs or else in the last."""

    def numbers(of: Weights) -> tuple[pd.Series, pd.Series]:
        share = of.by_seed("share_shorter_half", *(epochs or of.shown[-1:]))
        return share, pd.Series(_even_share(int(of.numbers["answers"].max())), share.index)

    return numbers


def _evens_out(of: Weights) -> tuple[pd.Series, pd.Series]:
    excess = [(of.by_seed("share_shorter_half", *epochs) - 0.5).abs() for epochs in (EARLY, of.shown[-1:])]
    return excess[0], excess[1]


QUESTIONS = (
    Question(
        "weights",
        "Where does each method spend its gradient?",
        "Figs. 3a-b and 4",
        watched,
        _show,
        (
            Claim("NPO's weights are uniform in the first epoch", "Fig. 3a", "share", measure=_measured(NPO, _uniform)),
            Claim("NPO's weights favour some answers only later", "Sec. 5(b)", "share", measure=_measured(NPO, _favours_short())),
            Claim(
                "SimNPO favours short answers early", "Figs. 3b and 4", "share", measure=_measured(SIMNPO, _favours_short(*EARLY))
            ),
            Claim("SimNPO's weights become uniform later", "Fig. 4", "share", measure=_measured(SIMNPO, _evens_out)),
        ),
    ),
)
