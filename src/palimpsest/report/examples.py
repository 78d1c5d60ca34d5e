"""What the models say: one seed and one variant of each method, beside each other, with what is leaked marked."""

from collections.abc import Iterable, Mapping
from itertools import groupby
from operator import itemgetter
from typing import Any

import pandas as pd

from palimpsest.report.marks import leaked_spans, marked, repeated_spans
from palimpsest.report.names import model_label, model_order
from palimpsest.report.rows import main_models
from palimpsest.report.samples import link_to
from palimpsest.report.study import Block

# Of a prompt or a label so many characters are shown.
LONG = 400


def example_blocks(frame: pd.DataFrame, blocks: Iterable[Block]) -> list[dict[str, Any]]:
    """Return the answers of every block: one seed and the variant that represents each method are enough to see."""
    found = []
    for block in blocks:
        rows = main_models(frame, block)
        if rows.empty:
            continue
        # Other seeds, which a selection needs, have no model of a method.
        own = rows.loc[rows["seed"].isin(block.seeds), "seed"]
        seed = int((rows["seed"] if own.empty else own).min())
        answers = {
            (row["method"], row["variant"], row["set"], row["id"]): row for row in rows[rows["seed"] == seed].to_dict("records")
        }
        models = sorted({(method, variant) for method, variant, _, _ in answers}, key=lambda model: model_order(*model))
        shown = [next(of) for _, of in groupby(models, key=itemgetter(0))]
        asked = {key[2:]: row for key, row in answers.items()}
        questions = [
            {
                "set": name,
                "link": link_to(block, asked[name, item]["suite"], seed, item),
                "question": _shortened(asked[name, item]["question"], ends=True),
                "label": _shortened(asked[name, item]["answer"]),
                "answers": [_marked_answer(answers.get((*model, name, item))) for model in shown],
            }
            for name, item in sorted(asked)
        ]
        heads = [(method, model_label(method, variant)) for method, variant in shown]
        found.append({"title": block.title(), "seed": seed, "models": heads, "questions": questions})
    return found


def _shortened(text: str, *, ends: bool = False) -> str:
    """Return the beginning of a long text, or its end, which is what goes on in the label; cut between words where it has any."""
    if len(text) <= LONG:
        return text
    if ends:
        kept = text[-LONG:]
        return f"… {kept.partition(' ')[2] or kept}"
    kept = text[:LONG]
    return f"{kept.rpartition(' ')[0] or kept} …"


def _marked_answer(row: Mapping[Any, Any] | None) -> list[tuple[str, list[str]]]:
    """Return an answer in pieces; what it shares with the label is leaked on the forget set, and as it should be elsewhere."""
    if row is None or not str(row["generation"]).strip():
        return []
    text = str(row["generation"])
    kind = "leaked" if row["set"] == "forget" else "kept"
    return marked(text, {kind: leaked_spans(text, row["answer"], row["question"]), "repeated": repeated_spans(text)})
