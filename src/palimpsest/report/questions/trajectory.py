"""How unlearning proceeds: forget quality, model utility and the divergence from the start model, epoch by epoch."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial

import pandas as pd

from palimpsest.report.claims import Claim, Pair
from palimpsest.report.evidence import Evidence
from palimpsest.report.figures import Axis, Grid, Panel, metric_panels, stacked
from palimpsest.report.names import GA, NPO, SIMNPO, method_name, model_label, model_order
from palimpsest.report.question import Found, Question
from palimpsest.report.rows import KEY, along_trajectories, of_models
from palimpsest.report.words import QUALITY, SCORES, UTILITY, counted, format_quality

KL_FORGET, KL_RETAIN = "kl_forget", "kl_retain"
METRICS = SCORES | {KL_FORGET: "KL to the start, forget set", KL_RETAIN: "KL to the start, retain set"}
NUMBERS = [*KEY, "seed", "method", "variant", "suite", "epoch", "metric", "value"]
# A fall of less than this share is no drop, winning back less than this part of it no recovery; and in fewer epochs there is no
# early and late. Less than this share of Original's utility is a collapse.
DROP, RECOVERED, FEW_EPOCHS, COLLAPSED = 0.1, 0.25, 4, 0.5
# Two methods diverge at the same rate where the larger divergence at the end is at most so many times the smaller one. A method
# is far faster beyond that.
FACTOR = 2.0
# From here on a divergence (nats) is drawn on a scale that is logarithmic for all but the least.
WIDE_KL = 5.0


@dataclass(frozen=True)
class Watched(Found):
    """One place with the rows of the models that represent their methods, and what Original and Retrain reach, by metric."""

    levels: Mapping[str, Mapping[str, float]]

    def course(self, method: str, metric: str) -> pd.DataFrame:
        """Return a metric of a method by epoch and seed; empty where it is not there."""
        own = self.numbers[(self.numbers["method"] == method) & (self.numbers["metric"] == metric)]
        return own.pivot(index="epoch", columns="seed", values="value")

    def panels(self) -> Iterator[Panel]:
        """Yield a panel per metric over the epochs."""
        for panel in metric_panels("curves", self.numbers.assign(x=self.numbers["epoch"]), METRICS, Axis("Epoch"), self.levels):
            is_wide = panel.title not in SCORES.values() and panel.data["y"].max() > WIDE_KL
            yield replace(panel, y=Axis(scale="symlog")) if is_wide else panel

    def rows(self) -> Iterator[dict[str, str]]:
        """Yield one row per model with the worst or best value of each metric and its last value."""
        for method, variant in self.models:
            means = {metric: course.mean(axis=1) for metric in METRICS if len(course := self.course(method, metric))}
            row = {"Method": model_label(method, variant)}
            if (utility := means.get(UTILITY)) is not None:
                row["Model utility, lowest"] = f"{utility.min():.3f} (epoch {utility.idxmin()})"
                row["at the end"] = f"{utility.iloc[-1]:.3f}"
            if (quality := means.get(QUALITY)) is not None:
                row["Forget quality, highest"] = f"{format_quality(quality.max())} (epoch {quality.idxmax()})"
                row["Forget quality, at the end"] = format_quality(quality.iloc[-1])
            for name, metric in (("forget", KL_FORGET), ("retain", KL_RETAIN)):
                if metric in means:
                    row[f"KL, {name} set, at the end"] = f"{means[metric].iloc[-1]:.2g}"
            yield row


def watched(evidence: Evidence) -> Iterator[Watched]:
    """Yield every place of questions and answers where methods were watched over several epochs."""
    for place in evidence.places(along_trajectories(evidence.results), *SCORES, KL_FORGET):
        rows = place.rows[place.rows["metric"].isin(METRICS)].astype({"epoch": int})
        # Where only the last epoch was looked at there is no course to follow.
        epochs = rows.groupby(["method", "variant"])["epoch"].nunique()
        several = epochs[epochs > 1].index
        methods = sorted(several.unique("method"), key=model_order)
        names = {method: [variant for of, variant in several if of == method] for method in methods}
        shown = {method: evidence.watched_variant(place.block, method, of) for method, of in names.items()}
        models = [(method, variant) for method, variant in shown.items() if variant is not None]
        if models and not evidence.study.shape(place.block):
            own = [of_models(rows, [model]).sort_values(["metric", "seed", "epoch"]) for model in models]
            yield Watched(place.title, models, stacked(own)[NUMBERS], evidence.levels(place, METRICS))


def _drops(of: Watched) -> Iterator[Pair]:
    """NPO's model utility falls by more than 10 % within the first half of the epochs."""
    utility = of.course(NPO, UTILITY)
    if len(utility):
        last, start = int(utility.index[-1]), utility.iloc[0]
        yield Pair(of.title, start, utility[utility.index <= last / 2].min(), DROP * start, _too_few(last))


def _recovers(of: Watched) -> Iterator[Pair]:
    """At the end NPO has won back more than a quarter of what its model utility lost at its lowest."""
    utility = of.course(NPO, UTILITY)
    if len(utility):
        lowest = utility.min()
        lost = utility.iloc[0] - lowest
        kept = int((lost <= DROP * utility.iloc[0]).sum())
        but = f"it never fell by more than {DROP * 100:g} % in {kept} of {counted(int(lost.count()), 'seed')}" if kept else ""
        yield Pair(of.title, utility.iloc[-1], lowest, RECOVERED * lost, _too_few(int(utility.index[-1])) or but)


def _too_few(epochs: int) -> str:
    return f"{epochs} epochs are too few to tell early from late" if epochs < FEW_EPOCHS else ""


def _collapses(of: Watched) -> Iterator[Pair]:
    """GA's model utility ends below half of what it was."""
    utility = of.course(GA, UTILITY)
    if len(utility):
        yield Pair(of.title, COLLAPSED * utility.iloc[0], utility.iloc[-1])


def _lowest_utility(of: Watched, method: str) -> pd.Series:
    """Lowest model utility along the way."""
    return of.course(method, UTILITY).min()


def _ga_is_faster(than: str) -> Callable[[Watched], Iterator[Pair]]:
    def measure(of: Watched) -> Iterator[Pair]:
        slow = _last_divergence(of, than)
        yield Pair(of.title, _last_divergence(of, GA), slow, (FACTOR - 1) * slow)

    measure.__doc__ = f"At the end, GA's KL to the start on the forget set is more than twice {method_name(than)}'s."
    return measure


def _same_rate(of: Watched) -> Iterator[Pair]:
    """At the end, the smaller of the two KLs to the start on the forget set is more than half of the larger (equivalence)."""
    both = pd.DataFrame({method: _last_divergence(of, method) for method in (NPO, SIMNPO)}).dropna()
    share = both.min(axis=1) / both.max(axis=1)
    yield Pair(of.title, share, pd.Series(1 / FACTOR, share.index))


def _last_divergence(of: Watched, method: str) -> pd.Series:
    return of.course(method, KL_FORGET).tail(1).mean()


FASTER = "GA moves away from its start far faster than"
SAME = "NPO and SimNPO move away from their start at the same rate"
QUESTIONS = (
    Question(
        "trajectory",
        "What happens while a method unlearns?",
        "Figs. 3c-d and A4",
        watched,
        "Forget quality, model utility and the divergence from the start model after each epoch of unlearning, by method.",
        "After each epoch of unlearning, 0 being the model before it. Lines are means over seeds, bands go from the lowest to "
        "the highest. KL is the mean per token of the answers, from the model before to the one after, in nats.",
        (
            Claim("NPO's utility drops in early epochs", "Fig. 3c-d", UTILITY, measure=_drops),
            Claim("NPO's utility then recovers", "Fig. 3c-d", UTILITY, measure=_recovers),
            Claim("SimNPO keeps more utility along the way than NPO", "Fig. 3c-d", UTILITY, SIMNPO, NPO, value=_lowest_utility),
            Claim(SAME, "App. G, Fig. A4", "share", measure=_same_rate),
            Claim(f"{FASTER} NPO", "App. G, Fig. A4", KL_FORGET, measure=_ga_is_faster(NPO)),
            Claim(f"{FASTER} SimNPO", "App. G, Fig. A4", KL_FORGET, measure=_ga_is_faster(SIMNPO)),
            Claim("GA loses most of its utility", "Table 1", UTILITY, measure=_collapses),
        ),
        partial(Grid, height=190),
    ),
)
