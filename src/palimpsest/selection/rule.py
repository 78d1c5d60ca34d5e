"""Selection of a trial: means over seeds, eligibility, and the best eligible candidate."""

import math
from collections.abc import Sequence

import pandas as pd

from palimpsest.metrics.spread import mean
from palimpsest.selection.settings import AIMS, SelectionRule

# The columns that identify the scores in a row.
MEASURED = ["variant", "epoch", "run"]
# One row per trial and epoch; only the scores of the judging suite are present.
TRIAL_TYPES = {
    "variant": "str",
    "epoch": "int64",
    "runs": "int64",
    **dict.fromkeys(AIMS, "float64"),
    # Of the first of the rule's two scores, over the runs.
    "lowest": "float64",
    "highest": "float64",
    "utility_share": "float64",
    "eligible": "bool",
    "selected": "bool",
}
# The names of scores in sentences.
NAMES = {aim.name: aim.label for aims in AIMS.values() for aim in aims}
# Of a score that is a distance, the metric that is to be near 0.
DISTANCES = {aim.name: aim.distance for aims in AIMS.values() for aim in aims}


def compare_trials(measured: pd.DataFrame, variants: Sequence[str], original_utility: float, rule: SelectionRule) -> pd.DataFrame:
    """Return one row per candidate (a trial stopped after an epoch): means over runs, and which candidate is `selected`.

    `measured` has the columns `MEASURED` and the two scores of the rule, with rows in any order; `variants` is the order of the
    trials. Epoch 0, the model before unlearning, is not a candidate. A mean over values that are not all finite is NaN and loses
    to every number. The columns are those of `TRIAL_TYPES`.
    """
    rows = measured[measured["epoch"] > 0]
    if rule.epochs == "last":
        rows = rows[rows["epoch"] == rows.groupby("variant")["epoch"].transform("max")]
    candidates = [
        {
            "variant": variant,
            "epoch": epoch,
            "runs": len(of_runs),
            **dict.fromkeys(AIMS, math.nan),
            **{score: mean(of_runs[score].tolist()) for score in rule.criteria},
            "lowest": of_runs[rule.criteria.closeness].min(skipna=False),
            "highest": of_runs[rule.criteria.closeness].max(skipna=False),
        }
        for (variant, epoch), of_runs in rows.groupby(["variant", "epoch"])
    ]
    candidates.sort(key=lambda row: (variants.index(row["variant"]), row["epoch"]))
    table = pd.DataFrame(candidates)
    utilities = table[rule.criteria.utility]
    table["utility_share"] = [_share(utility, original_utility) for utility in utilities]
    table["eligible"] = utilities >= rule.keep * original_utility
    table["selected"] = table.index == _best(table, rule)
    return table.astype(TRIAL_TYPES)[list(TRIAL_TYPES)]


def explain_selection(table: pd.DataFrame, rule: SelectionRule) -> str:
    """Return a sentence with the reason for the selection of `compare_trials`."""
    selected, of_utility = table[table["selected"]].iloc[0], rule.criteria.utility
    candidate = f"{selected['variant']} after epoch {selected['epoch']}"
    kept = f"{rule.keep:.0%} of Original's {NAMES[of_utility]}"
    utility = f"{_number(selected[of_utility])}, {_number(selected['utility_share'])} of Original's"
    means = f"(means over {selected['runs']} runs)" if selected["runs"] > 1 else "(one run)"
    if not selected["eligible"]:
        return f"None of {len(table)} trials and epochs keeps {kept}: {candidate} has the highest, {utility} {means}."
    own = f"; its {NAMES[of_utility]} is {utility} {means}" if rule.maximise != of_utility else f", {utility} {means}"
    # A score that is a negated distance is higher for a smaller distance.
    aim = next(aim for aim in rule.aims if aim.name == rule.maximise)
    most, value = ("smallest", -selected[aim.name]) if aim.distance else ("highest", selected[aim.name])
    best = f"the {most} mean {aim.label}, {_number(value)}"
    among = f"among the {table['eligible'].sum()} of {len(table)} trials and epochs that keep {kept}"
    return f"{candidate} has {best}, {among}{own}."


def _best(table: pd.DataFrame, rule: SelectionRule) -> int:
    """Return the row of the selected candidate; earlier rows win ties."""
    eligible, utility = table[table["eligible"]], rule.criteria.utility
    pool, aims = (table, [utility]) if eligible.empty else (eligible, [rule.maximise, utility])
    scores = pool[aims].fillna(-math.inf)
    return max(map(int, scores.index), key=lambda row: (*scores.loc[row], -row))


def _share(utility: float, original: float) -> float:
    return utility / original if original else math.nan


def _number(value: float) -> str:
    return f"{value:.3g}" if math.isfinite(value) else "undefined"
