"""Whether a method depends on its reference model: the same method, told by a reference that is partly random."""

from collections.abc import Iterator
from dataclasses import dataclass

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from palimpsest.report.drawing import (
    draw_seeds,
    draw_spread,
    lowest_tick,
    method_handle,
    panel_rows,
    score_axis,
    score_height,
)
from palimpsest.report.evidence import Answer, Evidence, Place
from palimpsest.report.names import method_name, model_label, standing_variant
from palimpsest.report.study import Study
from palimpsest.report.style import DASHED, colour_of
from palimpsest.report.words import (
    QUALITY,
    SCORES,
    UTILITY,
    against_paper,
    both_fail,
    format_score,
    in_seeds,
    joined,
    spread,
    under_titles,
)

QUESTION = "Does NPO depend on its reference model?"
PAPER = "Sec. 4 and App. B"
CLAIMED, FREE = "npo", "simnpo"
CLAIMS = {QUALITY: ("forgets worse", "forgets better"), UTILITY: ("keeps less utility", "keeps more utility")}
# NPO whose reference is the start model, and NPO whose reference is perturbed.
PUBLISHED = {QUALITY: (0.79, 0.27), UTILITY: (0.57, 0.52)}


@dataclass(frozen=True)
class Line:
    """One method in one place: the variant whose reference is plain, and those whose reference has a share of random weights."""

    place: Place
    method: str
    plain: str
    changed: list[tuple[float, str]]

    @property
    def label(self) -> str:
        """What the method is called."""
        return model_label(self.method, self.plain)

    @property
    def points(self) -> list[tuple[float, str]]:
        """Every random share with its variant, the plain one first."""
        return [(0.0, self.plain), *self.changed]

    def at(self, metric: str, variant: str) -> pd.Series:
        """Return a metric of one variant by seed."""
        return self.place.by_seed(metric, self.method, variant)

    def both(self, metric: str, variant: str) -> tuple[pd.Series, pd.Series]:
        """Return a metric of the plain variant and of another over the seeds that both have."""
        return self.at(metric, self.plain).align(self.at(metric, variant), join="inner")


def answer(evidence: Evidence) -> Answer | None:
    """Compare methods told by a partly random reference with themselves; None where no reference was changed."""
    lines = [line for place in evidence.finished for line in _lines(evidence.study, place)]
    if not lines:
        return None
    here = list({line.place.title: line.place for line in lines}.values())
    sentences = [(line.place.title, text) for line in lines for text in _claims(line)]
    if not sentences:
        untold = "Whether NPO depends on its reference model is left open: it was run with one alone."
        sentences = [(place.title, untold) for place in here]
    sentences += [(line.place.title, text) for line in lines for text in _changes(line)]
    sentences += [(place.title, text) for place in here for text in _free(place)]
    return Answer(
        findings=under_titles(sentences),
        figure=_draw(here, lines),
        alt="Forget quality and model utility against the share of random weights in the reference model, beside SimNPO's level.",
        caption=(
            "Forget quality (left) and model utility (right) of models told by a reference model of whose weights that share is "
            "random; at 0% it is the model that unlearning starts from. Large marks: means over seeds; bars and bands: their "
            "range; small marks: single seeds. Dashed: SimNPO, which reads no reference, where it was run."
        ),
        numbers=_numbers(lines),
    )


def _lines(study: Study, place: Place) -> Iterator[Line]:
    for method, _ in place.block.standing_models():
        changed: dict[str, list[tuple[float, str]]] = {}
        for name, reference in study.references.items():
            for variant in place.block.variants_of(method, reference=name):
                plain = _plain(place, method, variant)
                if plain is not None and _is_scored(place, method, plain) and _is_scored(place, method, variant):
                    changed.setdefault(plain, []).append((float(reference["random_share"]), variant))
        for plain, points in changed.items():
            yield Line(place, method, plain, sorted(points))


def _is_scored(place: Place, method: str, variant: str) -> bool:
    return bool(place.of_model(method, variant)["metric"].isin(SCORES).any())


def _plain(place: Place, method: str, variant: str) -> str | None:
    """Return the variant that differs from this one in its reference alone, or else the one that stands for the method."""
    bare = {name: {**each, "reference": None} for name, each in place.block.methods[method].items()}
    alike = standing_variant(name for name in place.block.variants_of(method) if bare[name] == bare[variant])
    return alike or place.block.standing(method)


def _claims(line: Line) -> Iterator[str]:
    """Yield whether the paper's method depends on its reference, by the one with the largest random share."""
    if line.method != CLAIMED:
        return
    share, variant = line.changed[-1]
    for metric, (worse, better) in CLAIMS.items():
        before, after = line.both(metric, variant)
        was, became = PUBLISHED[metric]
        failed = both_fail(before.mean(), after.mean()) if metric == QUALITY else ""
        yield against_paper(
            before - after,
            f"NPO {worse} where its reference is perturbed",
            f"NPO {better} where its reference is perturbed",
            f"with {share * 100:g}% of it random {_move(metric, before, after)}{failed} (paper: {was:.2f} to {became:.2f})",
        )


def _changes(line: Line) -> Iterator[str]:
    """Yield what each random share does that no claim is about."""
    for share, variant in line.changed[:-1] if line.method == CLAIMED else line.changed:
        moves = []
        for metric in SCORES:
            before, after = line.both(metric, variant)
            if len(before):
                moves.append(f"{_move(metric, before, after)} ({in_seeds(after - before)})")
        if moves:
            yield f"With a reference that is {share * 100:g}% random, {line.label}'s {joined(moves)}."


def _move(metric: str, before: pd.Series, after: pd.Series) -> str:
    return f"{SCORES[metric].lower()} goes from {format_score(metric, before.mean())} to {format_score(metric, after.mean())}"


def _free_scores(place: Place, metric: str) -> pd.Series:
    """Return a metric by seed of the method that reads no reference; empty where it was not run."""
    return place.by_seed(metric, FREE, place.block.standing(FREE) or "")


def _free(place: Place) -> Iterator[str]:
    """Yield where the method stands that reads no reference."""
    values = {metric: _free_scores(place, metric) for metric in SCORES}
    parts = [
        f"a {SCORES[metric].lower()} of {format_score(metric, by_seed.mean())}"
        for metric, by_seed in values.items()
        if len(by_seed)
    ]
    if parts:
        yield f"{model_label(FREE, place.block.standing(FREE) or '')}, which reads no reference, has {joined(parts)}."


def _draw(here: list[Place], lines: list[Line]) -> Figure:
    """Draw a row a place: forget quality and model utility against the random share."""
    figure = Figure(figsize=(9.0, 0.3 + 2.9 * len(here)))
    lowest = lowest_tick(value for line in lines for _, variant in line.points for value in line.at(QUALITY, variant))
    for place, part in zip(here, panel_rows(figure, [place.title for place in here]), strict=True):
        for axes, metric in zip(part.subplots(1, 2), SCORES, strict=True):
            _draw_free(axes, place, metric, lowest)
            _draw_lines(axes, [line for line in lines if line.place is place], metric, lowest)
            score_axis(axes, metric, lowest)
            axes.set_xlabel("Random share of the reference's weights")
    models = dict.fromkeys((line.method, line.label) for line in lines)
    handles = [method_handle(method, label, scale=0.8) for method, label in models]
    if any(len(_free_scores(place, metric)) for place in here for metric in SCORES):
        handles.append(Line2D([], [], color=colour_of(FREE), linestyle=DASHED, linewidth=1.2, label=method_name(FREE)))
    figure.legend(handles=handles, loc="outside right upper")
    return figure


def _draw_free(axes: Axes, place: Place, metric: str, lowest: float) -> None:
    values = _free_scores(place, metric)
    if len(values):
        low, mean, high = (score_height(metric, value, lowest) for value in (values.min(), values.mean(), values.max()))
        axes.axhspan(low, high, color=colour_of(FREE), alpha=0.1, linewidth=0)
        axes.axhline(mean, color=colour_of(FREE), linestyle=DASHED, linewidth=1.2, zorder=1)


def _draw_lines(axes: Axes, lines: list[Line], metric: str, lowest: float) -> None:
    # Shares stand at even distances: the interesting ones may be small and close.
    shares = sorted({share for line in lines for share, _ in line.points})
    for place, line in enumerate(lines):
        aside = (place - (len(lines) - 1) / 2) * 0.16
        known = [
            (shares.index(share) + aside, by_seed) for share, variant in line.points if len(by_seed := line.at(metric, variant))
        ]
        heights = [score_height(metric, by_seed.mean(), lowest) for _, by_seed in known]
        axes.plot([x for x, _ in known], heights, color=colour_of(line.method), linewidth=1.0, alpha=0.6, zorder=2)
        for x, by_seed in known:
            draw_spread(axes, x, metric, lowest, line.method, spread(by_seed))
            draw_seeds(axes, x + 0.07, metric, lowest, line.method, by_seed)
    axes.set_xticks(range(len(shares)), [f"{share * 100:g}%" for share in shares])
    axes.set_xlim(-0.3, len(shares) - 0.7)


def _numbers(lines: list[Line]) -> pd.DataFrame:
    return pd.DataFrame(
        line.place.identity
        | {
            "method": line.method,
            "variant": variant,
            "random_share": share,
            "seed": seed,
            "metric": metric,
            "value": value,
        }
        for line in lines
        for share, variant in line.points
        for metric in SCORES
        for seed, value in line.at(metric, variant).items()
    )
