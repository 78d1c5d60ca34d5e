"""How unlearning proceeds: forget quality, model utility and the divergence from the start model, epoch by epoch."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import pandas as pd

from palimpsest.report.claims import Claim, Pair, each
from palimpsest.report.evidence import Evidence, Place
from palimpsest.report.figures import Axis, Grid, Panel, metric_panels, stacked
from palimpsest.report.names import GA, NPO, SIMNPO, model_label, model_order
from palimpsest.report.question import Answer, Question
from palimpsest.report.rows import KEY, along_trajectories
from palimpsest.report.words import QUALITY, SCORES, UTILITY, format_quality, table_of, variants_shown

KL_FORGET, KL_RETAIN = "kl_forget", "kl_retain"
METRICS = SCORES | {KL_FORGET: "KL to the start, forget set", KL_RETAIN: "KL to the start, retain set"}
# A fall of less than this share is no drop, winning back less than this part of it no recovery; and in fewer epochs there is no
# early and late. Less than this share of Original's utility is a collapse.
DROP, RECOVERED, FEW_EPOCHS, COLLAPSED = 0.1, 0.25, 4, 0.5
# From here on a divergence (nats) is drawn on a scale that is logarithmic for all but the least.
WIDE_KL = 5.0


@dataclass(frozen=True)
class Watched:
    """One place with the rows of the models that represent their methods, and what Original and Retrain reach, by metric."""

    place: Place
    models: list[tuple[str, str]]
    rows: pd.DataFrame
    levels: dict[str, dict[str, float]]

    def course(self, method: str, metric: str) -> pd.DataFrame | None:
        """Return a metric of a method by epoch and seed, if it is there."""
        own = self.rows[(self.rows["method"] == method) & (self.rows["metric"] == metric)]
        return own.pivot(index="epoch", columns="seed", values="value") if len(own) else None


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
            own = [rows[(rows["method"] == method) & (rows["variant"] == variant)] for method, variant in models]
            of_models = stacked(each.sort_values(["metric", "seed", "epoch"]) for each in own)
            yield Watched(place, models, of_models, evidence.levels(place, METRICS))


def _show(evidence: Evidence, found: list[Watched]) -> Answer:
    return Answer(
        figure=Grid([(of.place.title, _panels(of)) for of in found], height=2.6),
        alt="Forget quality, model utility and the divergence from the start model after each epoch of unlearning, by method.",
        caption="After each epoch of unlearning, 0 being the model before it. Lines are means over seeds, bands go from the "
        "lowest to the highest. KL is the mean per token of the answers, from the model before to the one after, in nats."
        + variants_shown(model for of in found for model in of.models),
        numbers=stacked(of.rows[[*KEY, "seed", "method", "variant", "suite", "epoch", "metric", "value"]] for of in found),
        table=table_of([(of.place.title, _line(of, *model)) for of in found for model in of.models]),
    )


def _panels(of: Watched) -> list[Panel]:
    panels = metric_panels("curves", of.rows.assign(x=of.rows["epoch"]), METRICS, Axis("Epoch"), of.levels)
    return [replace(panel, y=Axis(scale="symlog")) if _is_wide(panel) else panel for panel in panels]


def _is_wide(panel: Panel) -> bool:
    return panel.title not in SCORES.values() and panel.data["y"].max() > WIDE_KL


def _line(of: Watched, method: str, variant: str) -> dict[str, str]:
    courses = {metric: of.course(method, metric) for metric in METRICS}
    means = {metric: course.mean(axis=1) for metric, course in courses.items() if course is not None}
    row = {"Method": model_label(method, variant)}
    if (utility := means.get(UTILITY)) is not None:
        row |= {
            "Model utility, lowest": f"{utility.min():.3f} (epoch {utility.idxmin()})",
            "at the end": f"{utility.iloc[-1]:.3f}",
        }
    if (quality := means.get(QUALITY)) is not None:
        row["Forget quality, highest"] = f"{format_quality(quality.max())} (epoch {quality.idxmax()})"
        row["Forget quality, at the end"] = format_quality(quality.iloc[-1])
    ends = {name: means[metric].iloc[-1] for name, metric in (("forget", KL_FORGET), ("retain", KL_RETAIN)) if metric in means}
    return row | {f"KL, {name} set, at the end": f"{value:.2g}" for name, value in ends.items()}


def _drops(of: Watched) -> Pair | None:
    utility = of.course(NPO, UTILITY)
    if utility is None:
        return None
    last, start = int(utility.index[-1]), utility.iloc[0]
    return Pair(of.place.title, start, utility[utility.index <= last / 2].min(), DROP * start, _too_few(last))


def _recovers(of: Watched) -> Pair | None:
    utility = of.course(NPO, UTILITY)
    if utility is None:
        return None
    lowest = utility.min()
    lost = utility.iloc[0] - lowest
    return Pair(of.place.title, utility.iloc[-1], lowest, RECOVERED * lost, _too_few(int(utility.index[-1])))


def _too_few(epochs: int) -> str:
    return f"{epochs} epochs are too few to tell early from late" if epochs < FEW_EPOCHS else ""


def _keeps(of: Watched) -> Pair | None:
    simnpo, npo = (of.course(method, UTILITY) for method in (SIMNPO, NPO))
    return None if simnpo is None or npo is None else Pair(of.place.title, simnpo.min(), npo.min())


def _moves(of: Watched) -> Pair | None:
    ga, npo = (of.course(method, KL_FORGET) for method in (GA, NPO))
    return None if ga is None or npo is None else Pair(of.place.title, ga.iloc[-1], npo.iloc[-1])


def _collapses(of: Watched) -> Pair | None:
    utility = of.course(GA, UTILITY)
    return None if utility is None else Pair(of.place.title, COLLAPSED * utility.iloc[0], utility.iloc[-1])


QUESTIONS = (
    Question(
        "trajectory",
        "What happens while a method unlearns?",
        "Figs. 3c-d and A4",
        watched,
        _show,
        (
            Claim("NPO's utility drops in early epochs", "Fig. 3c-d", UTILITY, measure=each(_drops)),
            Claim("NPO's utility then recovers", "Fig. 3c-d", UTILITY, measure=each(_recovers)),
            Claim("SimNPO keeps more utility along the way than NPO", "Fig. 3c-d", UTILITY, measure=each(_keeps)),
            Claim(
                "GA moves away from its start far faster than NPO",
                "App. G, Fig. A4",
                KL_FORGET,
                measure=each(_moves),
            ),
            Claim("GA loses most of its utility", "Table 1", UTILITY, measure=each(_collapses)),
        ),
    ),
)
