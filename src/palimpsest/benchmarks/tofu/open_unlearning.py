"""Read open-unlearning's `TOFU_EVAL.json`: metrics by name, each with its items under `value_by_index`.

The losses per token of right, paraphrased and wrong answers and ROUGE-L recall are read, and all scores are computed from them
as TOFU defines them; open-unlearning's own aggregates are ignored. According to its code (locuslab/open-unlearning), its truth
ratio is wrong/right, ours is right/wrong; both use the mean of the wrong answers' losses. For real authors and world facts,
`*_Prob_normalised` equals our probability, computed from `*_Prob` and `*_PERT_Prob`, and the right answer of the truth ratio is
the answer itself. It adds 1e-10 to denominators, which is not needed here. Its logged probabilities are in bfloat16 and may
differ from exp(-loss) in the last digits. Model utility has the same nine parts.
"""

from collections.abc import Mapping
from typing import Annotated, Any, TypeVar

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from palimpsest.benchmarks.tofu.items import Items
from palimpsest.benchmarks.tofu.questions import plain_question
from palimpsest.benchmarks.tofu.values import check_losses, check_shares
from palimpsest.errors import UserError

FILE = "TOFU_EVAL.json"
PREFIXES = {"forget": "forget_Q_A", "retain": "retain_Q_A", "real_authors": "ra_Q_A", "world_facts": "wf_Q_A"}
AGGREGATE, ITEMS = "agg_value", "value_by_index"


class _Item(BaseModel):
    model_config = ConfigDict(strict=True)


class _Loss(_Item):
    avg_loss: float


class _Losses(_Item):
    avg_loss: Annotated[list[float], Field(min_length=1)]


class _Said(_Item):
    rougeL_recall: float  # noqa: N815 (so it is called in the files)
    input: str | None = None


Kind = TypeVar("Kind", bound=_Item)


def is_open_unlearning(content: Mapping[str, Any]) -> bool:
    """Return whether an object contains metrics in open-unlearning's format."""
    return any(isinstance(metric, dict) and AGGREGATE in metric for metric in content.values())


def metrics_of(name: str) -> dict[str, str]:
    """Return the metrics of a set by their role; without `rouge` the set has no ROUGE-L."""
    prefix = PREFIXES[name]
    base = "PARA_Prob" if name in ("forget", "retain") else "Prob"
    return {
        "answer": f"{prefix}_Prob",
        "base": f"{prefix}_{base}",
        "perturbed": f"{prefix}_PERT_Prob",
        "rouge": f"{prefix}_ROUGE",
    }


def sets_from_metrics(content: Mapping[str, Any], source: object) -> tuple[dict[str, Items], dict[str, str]]:
    """Return the sets by name, and the reason for each missing set; raises UserError for a metric in another format."""
    sets: dict[str, Items] = {}
    missing: dict[str, str] = {}
    for name in PREFIXES:
        metrics = metrics_of(name)
        lacking = [metric for part, metric in metrics.items() if part != "rouge" and metric not in content]
        if lacking:
            missing[name] = f"the log has no {' and no '.join(dict.fromkeys(lacking))}"
        else:
            sets[name] = _items(content, name, source)
    return sets, missing


def right_answers(content: Mapping[str, Any], name: str) -> list[str | None]:
    """Return the right answers of a set in the order of its items; None for an answer that the log does not contain as text."""
    metrics = metrics_of(name)
    said = content.get(metrics["rouge"], {}).get(ITEMS, {})
    texts = [said[key].get("ground_truth") for key in content[metrics["answer"]][ITEMS]] if said else []
    return [text if isinstance(text, str) else None for text in texts]


def _items(content: Mapping[str, Any], name: str, source: object) -> Items:
    metrics = metrics_of(name)
    answer = _read(content, metrics["answer"], _Loss, source)
    base = _read(content, metrics["base"], _Loss, source)
    perturbed = _read(content, metrics["perturbed"], _Losses, source)
    said = _read(content, metrics["rouge"], _Said, source) if metrics["rouge"] in content else None
    for metric, of in ((metrics["base"], base), (metrics["perturbed"], perturbed), (metrics["rouge"], said)):
        if of is not None and of.keys() != answer.keys():
            raise UserError(f"{source}: {metric} and {metrics['answer']} do not cover the same items")
    if len({len(item.avg_loss) for item in perturbed.values()}) > 1:
        raise UserError(f"{source}: {metrics['perturbed']}: the items differ in their number of wrong answers")
    prompts = [said[key].input for key in answer] if said is not None else []
    asked = [plain_question(prompt) for prompt in prompts if prompt is not None]
    items = Items(
        answer=np.array([item.avg_loss for item in answer.values()], dtype=np.float64),
        base=np.array([base[key].avg_loss for key in answer], dtype=np.float64),
        perturbed=np.array([perturbed[key].avg_loss for key in answer], dtype=np.float64),
        rouge=None if said is None else np.array([said[key].rougeL_recall for key in answer], dtype=np.float64),
        questions=tuple(asked) if len(asked) == len(answer) else None,
    )
    for part, losses in (("answer", items.answer), ("base", items.base), ("perturbed", items.perturbed)):
        check_losses(losses, f"{source}: {metrics[part]} ({name}): avg_loss", list(answer))
    if items.rouge is not None:
        check_shares(items.rouge, f"{source}: {metrics['rouge']} ({name}): rougeL_recall", list(answer))
    return items


def _read(content: Mapping[str, Any], metric: str, kind: type[Kind], source: object) -> dict[str, Kind]:
    """Return the items of a metric by index; an item that open-unlearning could not score (null) is refused."""
    value = content[metric]
    items = value.get(ITEMS) if isinstance(value, dict) else None
    if not isinstance(items, dict) or not items:
        raise UserError(f"{source}: {metric}: no items under {ITEMS}, which its scores are computed from")
    if kind is _Losses:
        # A set with one wrong answer per item is logged without lists.
        items = {key: _listed(item) for key, item in items.items()}
    try:
        return TypeAdapter(dict[str, kind]).validate_python(items)  # type: ignore[valid-type]
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        # A key is text from an imported file.
        key = ".".join(part if (part := str(step)).isprintable() else repr(part) for step in first["loc"])
        raise UserError(f"{source}: {metric}: item {key}: {first['msg']}") from None


def _listed(item: Any) -> Any:
    loss = item.get("avg_loss") if isinstance(item, dict) else None
    return {**item, "avg_loss": [loss]} if isinstance(loss, float) else item
