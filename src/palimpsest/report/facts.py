"""What the numbers of a table say, in sentences of one clause."""

from collections.abc import Callable, Iterable, Iterator, Mapping

from palimpsest.names import ORIGINAL, RETRAIN, ROLES, SELECTED
from palimpsest.report.names import NPO, SIMNPO, method_name, model_label, model_order
from palimpsest.report.study import Block, Values
from palimpsest.report.tables import Row, Table
from palimpsest.report.words import QUALITY, SIGNIFICANCE, UTILITY, counted, format_score, joined
from palimpsest.selection.rule import DISTANCES, NAMES
from palimpsest.selection.settings import SelectionRule

COLLAPSED = 0.5
LISTED = 6
FLOOR = "forget_quality_floor"
# Where LLaMA-2-7B stands on TOFU, which the published comparison of methods is about: (model, metric, its name, low, high).
REGIME = (
    (ORIGINAL, "forget_probability", "Original's forget probability", 0.9, 1.0),
    (RETRAIN, "forget_probability", "Retrain's forget probability", 0.1, 0.3),
    (RETRAIN, "forget_truth_ratio", "Retrain's forget truth ratio", 0.5, 0.8),
    (RETRAIN, FLOOR, "the forget quality of Retrain against Retrain", 0.2, 1.0),
)


def facts(table: Table) -> list[str]:
    """Return the sentences on a table of forget quality and model utility; only those that its numbers allow."""
    return [sentence for part in (_passed, _collapsed, _regime) for sentence in part(table)]


def _unlearned(table: Table, key: str) -> list[Row]:
    """Return the unlearned models that have a metric, the highest first."""
    rows = [row for row in table.rows if row.method not in ROLES and key in row.cells]
    return sorted(rows, key=lambda row: -row.cells[key].mean)


def named(rows: Iterable[Row], key: str) -> str:
    """Name models with a score of theirs."""
    return joined([f"{row.label} ({format_score(key, row.cells[key].mean)})" for row in rows])


def _passed(table: Table) -> Iterator[str]:
    rows = _unlearned(table, QUALITY)
    passed = [row for row in rows if row.cells[QUALITY].mean > SIGNIFICANCE]
    if rows:
        who = (
            joined([row.label for row in passed])
            if 0 < len(passed) <= LISTED
            else f"{len(passed)} of {counted(len(rows), 'model')}"
        )
        yield f"Not distinguishable from Retrain (mean forget quality above {SIGNIFICANCE:g}): {who if passed else 'none'}."


def _collapsed(table: Table) -> Iterator[str]:
    original = table.value(ORIGINAL, UTILITY)
    lost = [row for row in _unlearned(table, UTILITY) if original and row.cells[UTILITY].mean < COLLAPSED * original]
    if lost and original:
        yield f"Less than half of Original's model utility ({original:.3f}) is left: {named(lost, UTILITY)}."


def _regime(table: Table) -> Iterator[str]:
    known = [(*rule, value) for rule in REGIME if (value := table.value(*rule[:2])) is not None]
    outside = [
        f"{name} is {value:.3f} (there {low:g} to {high:g})" for *_, name, low, high, value in known if not low <= value <= high
    ]
    if len(known) > 1:
        yield (
            f"Original and Retrain stand elsewhere than the paper's LLaMA-2-7B, so ranks may differ: {joined(outside)}."
            if outside
            else "Original and Retrain stand where the paper's LLaMA-2-7B stands."
        )


def shares_left(table: Table, key: str, name: str) -> Iterator[str]:
    """Say which share of a score of Original's is left to each method."""
    original = table.value(ORIGINAL, key)
    shares = [f"{row.label} {row.cells[key].mean / original:.0%}" for row in table.rivals if original and key in row.cells]
    if original and shares:
        yield f"Left of Original's {name} ({format_score(key, original)}): {joined(shares)}."


def grouped(table: Table, key: str, groups: Mapping[str, Callable[[float, float], bool]], rest: str = "") -> Iterator[str]:
    """Name the methods of each group that has any, by the least and the greatest value of each, and those that are in none."""
    found: dict[str, list[Row]] = {name: [] for name in (*groups, rest)}
    for row in table.rivals:
        if key in row.cells:
            found[next((name for name, belongs in groups.items() if belongs(*row.cells[key].ends)), rest)].append(row)
    yield from (f"{name}: {named(rows, key)}." for name, rows in found.items() if name and rows)


def selections_made(block: Block, methods: Iterable[str] | None = None) -> list[str]:
    """Say how the variants of methods, or else all that a block has, were selected, and whether on what they are scored on."""
    alike: dict[str, list[str]] = {}
    made = [method for method in block.selections if SELECTED in block.methods.get(method, {})] if methods is None else methods
    for method in sorted(made, key=lambda method: model_order(method, SELECTED)):
        alike.setdefault(_selection(block, block.selections[method]), []).append(model_label(method, SELECTED))
    return [f"{joined(names)} {'were' if len(names) > 1 else 'was'} {how}" for how, names in alike.items()]


def _selection(block: Block, selection: Values) -> str:
    benchmarks, split = selection["benchmarks"] or [block.benchmark], selection["split"] or block.split
    seeds = selection["seeds"]
    of_seeds = f"seed{'s' * (len(seeds) > 1)} {joined([str(seed) for seed in sorted(seeds)])}"
    trials = "trials and epochs" if selection["epochs"] == "all" else "trials"
    rule = SelectionRule(maximise=selection["maximise"])
    most = "smallest" if DISTANCES[rule.maximise] else "highest"
    places = [f"{name} / {split}" for name in benchmarks]
    how = (
        f"selected for the {most} {NAMES[rule.maximise]} among the {trials} that keep {selection['keep']:.0%} "
        f"of Original's {NAMES[rule.criteria.utility]}, on {joined(places)} with {of_seeds}."
    )
    if block.benchmark not in benchmarks:
        return f"{how} Nothing of that is scored here."
    if split != block.split:
        return f"{how} That is another split than the one scored here; where splits nest, they share questions."
    same = "and the seeds overlap" if set(seeds) & set(block.seeds) else "with other seeds"
    return (
        f"{how} These are the very questions that are scored here, {same}: "
        "read the result as the best that a search found, not as what the method reaches on data that it was not tuned on."
    )


def hardly_forgotten(table: Table, key: str, goal: float | None, where: str) -> str:
    """Name NPO or SimNPO where its score is nearer to Original's than to a goal: a method that forgets little harms little.

    The name is empty where neither is.
    """
    original = table.value(ORIGINAL, key)
    if goal is None or original is None:
        return ""
    means = {method: table.value(method, key) for method in (NPO, SIMNPO)}
    half = (original + goal) / 2
    near = [method_name(name) for name, mean in means.items() if mean is not None and (mean - half) * (original - goal) > 0]
    return f"{joined(near)} went less than half the way from Original to {where}" if near else ""
