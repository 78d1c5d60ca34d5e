"""What came out, as sentences computed from the tables: never written before the numbers are there."""

from palimpsest.report.names import CHOSEN, REFERENCES, method_name, model_label, model_order
from palimpsest.report.study import Block, Values
from palimpsest.report.tables import Row, Table
from palimpsest.report.words import SIGNIFICANCE, format_quality, format_score, joined
from palimpsest.selection.rule import NAMES
from palimpsest.selection.settings import SelectionRule

COLLAPSED = 0.5
LISTED = 6
# Where LLaMA-2-7B stands on TOFU, which the published comparison of methods is about: (model, metric, its name, low, high).
REGIME = (
    ("original", "forget_probability", "Original's forget probability", 0.9, 1.0),
    ("retrain", "forget_probability", "Retrain's forget probability", 0.1, 0.3),
    ("retrain", "forget_truth_ratio", "Retrain's forget truth ratio", 0.5, 0.8),
    ("retrain", "forget_quality_floor", "the forget quality of Retrain against Retrain", 0.2, 1.0),
)


def findings(table: Table) -> list[str]:
    """Return the sentences of one table; only those that its numbers allow."""
    parts = (_gaps, _references, _best, _indistinguishable, _collapsed, _npo_and_simnpo, _regime)
    return [sentence for part in parts for sentence in part(table)]


def _gaps(table: Table) -> list[str]:
    return [f"{told.label} has no numbers here ({told.where}): {told.text}." for told in table.gaps]


def _references(table: Table) -> list[str]:
    original, floor = table.value("original", "forget_quality"), table.value("retrain", "forget_quality_floor")
    sentences = []
    if original is not None:
        sentences.append(f"Before unlearning the forget quality is {format_quality(original)}.")
    if floor is not None:
        sentences.append(
            f"Retrain models that differ in their seed alone score {format_quality(floor)} against each other; "
            "no method can be asked for more."
        )
    return sentences


def _rivals(table: Table, key: str) -> list[Row]:
    """Return the unlearned models that have a metric, the highest first."""
    rows = [row for row in table.rows if row.method not in REFERENCES and key in row.cells]
    return sorted(rows, key=lambda row: -row.cells[key].mean)


def _best(table: Table) -> list[str]:
    sentences = []
    for key, name, other_key, other_name in (
        ("forget_quality", "forget quality", "model_utility", "model utility"),
        ("model_utility", "model utility", "forget_quality", "forget quality"),
    ):
        rivals = _rivals(table, key)
        if len(rivals) < 2:
            continue
        top = rivals[0].cells[key].mean
        if top == rivals[-1].cells[key].mean:
            sentences.append(f"All have the same {name}, {format_score(key, top)}.")
            continue
        winners = [row for row in rivals if row.cells[key].mean == top]
        other = winners[0].cells.get(other_key)
        beside = f", at a {other_name} of {format_score(other_key, other.mean)}" if other and len(winners) == 1 else ""
        labels = joined([row.label for row in winners])
        sentences.append(f"The highest {name} is that of {labels}: {format_score(key, top)}{beside}.")
    return sentences


def _indistinguishable(table: Table) -> list[str]:
    rivals = _rivals(table, "forget_quality")
    passed = [row.label for row in rivals if row.cells["forget_quality"].mean > SIGNIFICANCE]
    if not rivals:
        return []
    if not passed:
        return [f"No mean forget quality is above {SIGNIFICANCE:g}: every unlearned model is told apart from Retrain."]
    if len(passed) == len(rivals):
        return [f"Every mean forget quality is above {SIGNIFICANCE:g}."]
    if len(passed) > LISTED:
        return [f"A mean forget quality above {SIGNIFICANCE:g} is that of {len(passed)} of {len(rivals)} unlearned models."]
    return [f"A mean forget quality above {SIGNIFICANCE:g}, not told apart from Retrain at that level: {joined(passed)}."]


def _collapsed(table: Table) -> list[str]:
    original = table.value("original", "model_utility")
    rivals = _rivals(table, "model_utility")
    lost = [row for row in rivals if original and row.cells["model_utility"].mean < COLLAPSED * original]
    if not lost or original is None:
        return []
    names = joined([f"{row.label} ({row.cells['model_utility'].mean:.3f})" for row in lost])
    return [f"Less than half of Original's model utility of {original:.3f} is left to {names}."]


def _npo_and_simnpo(table: Table) -> list[str]:
    npo, simnpo = table.standing.get("npo"), table.standing.get("simnpo")
    parts = []
    for key, name in (("forget_quality", "forget quality"), ("model_utility", "model utility")):
        if not npo or not simnpo or key not in npo.cells or key not in simnpo.cells:
            continue
        ours, theirs = simnpo.cells[key], npo.cells[key]
        word = "a higher" if ours.mean > theirs.mean else "a lower" if ours.mean < theirs.mean else "the same"
        both = ours.values.keys() & theirs.values.keys()
        count = sum((ours.values[seed] > theirs.values[seed]) - (ours.values[seed] < theirs.values[seed]) for seed in both)
        agree = ", in every seed" if len(both) > 1 and abs(count) == len(both) and count * (ours.mean - theirs.mean) > 0 else ""
        parts.append(f"{word} {name} ({format_score(key, ours.mean)} against {format_score(key, theirs.mean)}{agree})")
    return [f"Against {npo.label}, {simnpo.label} has {joined(parts)}."] if npo and simnpo and parts else []


def _regime(table: Table) -> list[str]:
    known = [(*rule, value) for rule in REGIME if (value := table.value(*rule[:2])) is not None]
    if table.block.benchmark != "tofu" or len(known) < 2:
        return []
    outside = [
        f"{name} is {value:.3f} (there {low:g} to {high:g})" for *_, name, low, high, value in known if not low <= value <= high
    ]
    if not outside:
        return ["In forget probability and truth ratio, Original and Retrain stand as LLaMA-2-7B does in the paper."]
    return [f"This is not the regime of LLaMA-2-7B in the paper: {joined(outside)}; the ranking of methods may differ there."]


def choices_made(block: Block) -> list[str]:
    """Say how the chosen variants of a block were chosen, and whether on what they are scored on."""
    alike: dict[str, list[str]] = {}
    for method in sorted(block.selections, key=lambda method: model_order(method, CHOSEN)):
        if CHOSEN in block.methods.get(method, {}):
            alike.setdefault(_choice(block, block.selections[method]), []).append(model_label(method, CHOSEN))
    return [f"{joined(names)} {'were' if len(names) > 1 else 'was'} {how}" for how, names in alike.items()]


def _choice(block: Block, selection: Values) -> str:
    benchmark, split = selection["benchmark"] or block.benchmark, selection["split"] or block.split
    seeds = selection["seeds"]
    trials = "trials and epochs" if selection["epochs"] == "all" else "trials"
    rule = SelectionRule(maximise=selection["maximise"])
    most = "smallest" if rule.maximise == "privacy" else "highest"
    seeds_named = f"seed{'s' * (len(seeds) > 1)} {joined([*map(str, seeds)])}"
    how = (
        f"chosen for the {most} {NAMES[rule.maximise]} among the {trials} that keep {selection['keep']:.0%} "
        f"of Original's {NAMES[rule.judged.utility]}, on {benchmark} / {split} with {seeds_named}."
    )
    if benchmark != block.benchmark:
        return f"{how} That is another benchmark than the one scored here."
    if split != block.split:
        return f"{how} That is another split than the one scored here; where splits nest, they share questions."
    same = "and the seeds overlap" if set(seeds) & set(block.seeds) else "with other seeds"
    return (
        f"{how} These are the very questions that are scored here, {same}: "
        "read the result as the best that a search found, not as what the method reaches on data that it was not tuned on."
    )


def models_compared(table: Table) -> str:
    """Return what was compared: how many methods on which split, over how many seeds."""
    unlearned = [row for row in table.rows if row.method not in REFERENCES]
    methods = list(dict.fromkeys(method_name(row.method) for row in unlearned))
    models = len(unlearned)
    seeds = len(table.block.seeds)
    most = "up to " if any(row.seeds < seeds for row in unlearned) else ""
    what = f"{joined(methods)} unlearned" if methods else "No method unlearned"
    variants = f" in {models} variants" if models > len(methods) else ""
    return f"{what} {table.block.split} from {table.block.model}{variants}, over {most}{seeds} seed{'s' * (seeds > 1)}."
