"""How unlearning proceeds: forget quality, model utility and the divergence from the start model, epoch by epoch."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import pandas as pd

from palimpsest.names import ORIGINAL, RETRAIN
from palimpsest.report.claims import Claim, Pair
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
    """One place with the courses of its methods: by model and metric a table of epochs by seeds."""

    place: Place
    courses: dict[tuple[str, str], dict[str, pd.DataFrame]]
    levels: dict[str, dict[str, float]]
    """What Original and Retrain reach, by metric."""

    def course(self, method: str, metric: str) -> pd.DataFrame | None:
        """Return a metric of a method by epoch and seed, if it is there."""
        return next((of.get(metric) for (name, _), of in self.courses.items() if name == method), None)


def watched(evidence: Evidence) -> Iterator[Watched]:
    """Yield every place of questions and answers where methods were watched over several epochs."""
    finished = {place.title: place for place in evidence.finished()}
    for place in evidence.places(along_trajectories(evidence.results), *SCORES, KL_FORGET):
        if evidence.study.shape(place.block):
            continue
        rows = place.rows[place.rows["metric"].isin(METRICS)]
        courses = {}
        for method in sorted(rows["method"].unique(), key=model_order):
            of_method = rows[rows["method"] == method]
            # Where only the last epoch was looked at there is no course to follow.
            epochs = of_method.groupby("variant")["epoch"].nunique()
            variant = evidence.watched_variant(place.block, method, epochs.index[epochs > 1])
            if variant is not None:
                of_variant = of_method[of_method["variant"] == variant].astype({"epoch": int})
                courses[str(method), variant] = {
                    str(metric): of.pivot(index="epoch", columns="seed", values="value")
                    for metric, of in of_variant.groupby("metric")
                }
        if courses:
            yield Watched(place, courses, _levels(finished.get(place.title)))


def _levels(place: Place | None) -> dict[str, dict[str, float]]:
    found: dict[str, dict[str, float]] = {metric: {} for metric in METRICS}
    for metric, of in found.items():
        for role in (RETRAIN, ORIGINAL) if place else ():
            if place and len(values := place.by_seed(metric, role)):
                of[role] = float(values.mean())
    return found


def _answer(evidence: Evidence) -> Answer | None:
    found = list(watched(evidence))
    if not found:
        return None
    return Answer(
        figure=Grid([(of.place.title, _panels(of)) for of in found], height=2.6),
        alt="Forget quality, model utility and the divergence from the start model after each epoch of unlearning, by method.",
        caption="After each epoch of unlearning, 0 being the model before it. Lines are means over seeds, bands go from the "
        "lowest to the highest. KL is the mean per token of the answers, from the model before to the one after, in nats."
        + variants_shown(model for of in found for model in of.courses),
        numbers=stacked(
            place_rows(of.place.rows, model, METRICS)[[*KEY, "seed", "method", "variant", "suite", "epoch", "metric", "value"]]
            for of in found
            for model in of.courses
        ),
        table=table_of([(of.place.title, _line(model, course)) for of in found for model, course in of.courses.items()]),
    )


def place_rows(rows: pd.DataFrame, model: tuple[str, str], metrics: dict[str, str]) -> pd.DataFrame:
    """Return the rows of one model with these metrics, in order."""
    own = rows[(rows["method"] == model[0]) & (rows["variant"] == model[1]) & rows["metric"].isin(metrics)]
    return own.sort_values(["metric", "seed", "epoch"])


def _panels(of: Watched) -> list[Panel]:
    data = stacked(place_rows(of.place.rows, model, METRICS) for model in of.courses)
    panels = metric_panels("curves", data.assign(x=data["epoch"].astype(int)), METRICS, Axis("Epoch"), of.levels)
    return [replace(panel, y=Axis(scale="symlog")) if _is_wide(panel) else panel for panel in panels]


def _is_wide(panel: Panel) -> bool:
    return panel.title not in SCORES.values() and panel.data["y"].max() > WIDE_KL


def _line(model: tuple[str, str], course: dict[str, pd.DataFrame]) -> dict[str, str]:
    means = {metric: frame.mean(axis=1) for metric, frame in course.items()}
    row = {"Method": model_label(*model)}
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


def _drops(of: Watched) -> Iterator[Pair]:
    utility = of.course(NPO, UTILITY)
    if utility is not None:
        last, start = int(utility.index[-1]), utility.iloc[0]
        yield Pair(of.place.title, start, utility[utility.index <= last / 2].min(), DROP * start, _too_few(last))


def _recovers(of: Watched) -> Iterator[Pair]:
    utility = of.course(NPO, UTILITY)
    if utility is not None:
        lowest = utility.min()
        lost = utility.iloc[0] - lowest
        yield Pair(of.place.title, utility.iloc[-1], lowest, RECOVERED * lost, _too_few(int(utility.index[-1])))


def _too_few(epochs: int) -> str:
    return f"{epochs} epochs are too few to tell early from late" if epochs < FEW_EPOCHS else ""


def _keeps(of: Watched) -> Iterator[Pair]:
    simnpo, npo = (of.course(method, UTILITY) for method in (SIMNPO, NPO))
    if simnpo is not None and npo is not None:
        yield Pair(of.place.title, simnpo.min(), npo.min())


def _moves(of: Watched) -> Iterator[Pair]:
    ga, npo = (of.course(method, KL_FORGET) for method in (GA, NPO))
    if ga is not None and npo is not None:
        yield Pair(of.place.title, ga.iloc[-1], npo.iloc[-1])


def _collapses(of: Watched) -> Iterator[Pair]:
    utility = of.course(GA, UTILITY)
    if utility is not None:
        yield Pair(of.place.title, COLLAPSED * utility.iloc[0], utility.iloc[-1])


def _measured(pairs: Callable[[Watched], Iterator[Pair]]) -> Callable[[Evidence], Iterator[Pair]]:
    return lambda evidence: (pair for of in watched(evidence) for pair in pairs(of))


QUESTIONS = (
    Question(
        "trajectory",
        "What happens while a method unlearns?",
        "Figs. 3c-d and A4",
        _answer,
        (
            Claim("NPO's utility drops in early epochs", "Fig. 3c-d", UTILITY, measure=_measured(_drops)),
            Claim("NPO's utility then recovers", "Fig. 3c-d", UTILITY, measure=_measured(_recovers)),
            Claim("SimNPO keeps more utility along the way than NPO", "Fig. 3c-d", UTILITY, measure=_measured(_keeps)),
            Claim("GA moves away from its start far faster than NPO", "App. G, Fig. A4", KL_FORGET, measure=_measured(_moves)),
            Claim("GA loses most of its utility", "Table 1", UTILITY, measure=_measured(_collapses)),
        ),
    ),
)
