"""Evidence for the questions of the report, written out number by number."""

import json
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pandas as pd
from report_example import block, published_by, spec, write_summary

from palimpsest.report.claims import Verdict, decide
from palimpsest.report.evidence import Evidence
from palimpsest.report.figures import Panel
from palimpsest.report.question import Answer, Question
from palimpsest.report.questions import all_questions
from palimpsest.report.study import Block
from palimpsest.report.style import svg_of
from palimpsest.report.vega import spec_of
from palimpsest.scores.columns import TRUTH_RATIO_COLUMNS, stack

Rows = list[dict[str, Any]]
PLACE = {"benchmark": "tofu", "split": "forget05", "model": "tiny"}


def settings(start: str = "original", reference: str = "plain") -> dict[str, Any]:
    """What a study says of a variant."""
    return {"training": {}, "loss": {}, "start": start, "reference": reference}


def methods(*names: str, variant: str = "default", **where: str) -> dict[str, dict[str, Any]]:
    """Methods of a block with one variant each."""
    return {name: {variant: settings(**where)} for name in names}


def ratios(method: str, by_item: Sequence[tuple[int, int, float]], variant: str = "", seed: int = 0, **place: str) -> Rows:
    """Truth ratios of one model: half, tokens of the answer and truth ratio of items a, b, c, ..."""
    model = PLACE | place | {"seed": seed, "method": method, "variant": variant, "suite": "tofu", "set": "forget"}
    return [
        model | {"id": chr(ord("a") + i), "half": half, "answer_tokens": tokens, "truth_ratio": ratio}
        for i, (half, tokens, ratio) in enumerate(by_item)
    ]


def weights(method: str, epoch: int, tokens: Sequence[int], values: Sequence[float], seed: int = 0, **place: str) -> Rows:
    """Gradient weights of one model in one epoch, of items a, b, c, ..."""
    model = PLACE | {"variant": "default"} | place | {"seed": seed, "method": method, "epoch": epoch}
    return [
        model | {"id": chr(ord("a") + i), "tokens": of, "weight": value}
        for i, (of, value) in enumerate(zip(tokens, values, strict=True))
    ]


def losses(model: str, tokens: Sequence[int], epochs: Sequence[Sequence[float]], seed: int = 0, **place: str) -> Rows:
    """NLLs of one model ("npo" or "npo/beta-1") after each epoch, the first from before unlearning, of items a, b, c, ..."""
    method, _, variant = model.partition("/")
    of = PLACE | place | {"seed": seed, "method": method, "variant": variant or "default", "suite": "tofu"}
    return [
        of | {"epoch": epoch, "id": chr(ord("a") + i), "tokens": number, "nll": nll}
        for epoch, nlls in enumerate(epochs)
        for i, (number, nll) in enumerate(zip(tokens, nlls, strict=True))
    ]


def evidence(
    folder: Path,
    rows: Rows,
    *blocks: Block,
    truth_ratios: Rows | None = None,
    data: dict[str, Any] | None = None,
    published: dict[str, Any] | None = None,
    **tables: Any,
) -> Evidence:
    """Write a summary and return what the questions read."""
    summary = write_summary(folder / "summary", rows, **tables)
    if truth_ratios is not None:
        frame = stack([pd.DataFrame(truth_ratios, columns=TRUTH_RATIO_COLUMNS)], TRUTH_RATIO_COLUMNS)
        frame.to_parquet(summary / "truth_ratios.parquet", index=False)
    return Evidence(spec(*(blocks or [block()]), data=data or {}).study, summary, published_by(published))


def question(name: str) -> Question:
    """The question with this id."""
    return next(each for each in all_questions() if each.id == name)


def answered(name: str, of: Evidence) -> Answer:
    """Answer as the report does; no number that is none is on the page."""
    found = question(name).answer(of)
    assert found is not None
    assert not any("nan" in text for text in (*found.facts, found.caption, *found.table.to_numpy().ravel()))
    return found


def drawn(name: str, of: Evidence) -> dict[str, Any]:
    """Answer and draw as the report does, without a warning and without a point that is none."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        spec = spec_of(answered(name, of).figure)
    assert "NaN" not in json.dumps(spec)
    ElementTree.fromstring(svg := svg_of(spec))
    assert "NaN" not in svg
    return spec


def views(spec: dict[str, Any]) -> list[dict[str, Any]]:
    """The panels of a spec, row by row."""
    return [view for row in spec["vconcat"] for view in row.get("concat", ())]


def drawn_as(view: dict[str, Any], mark: str) -> Rows:
    """What a panel draws as this mark, layer by layer."""
    return [row for layer in view["layer"] if layer["mark"]["type"] == mark for row in layer["data"]["values"]]


def labels(view: dict[str, Any], axis: str) -> list[str]:
    """The texts beside the ticks of an axis of names or p-values."""
    found: list[str] = json.JSONDecoder().raw_decode(view["encoding"][axis]["axis"]["labelExpr"])[0]
    return found


def panels(answer: Answer) -> dict[str, Panel]:
    """The panels of a figure by their titles; of panels of one title the first."""
    found: dict[str, Panel] = {}
    for _, row in answer.figure.rows:
        for panel in row:
            found.setdefault(panel.title, panel)
    return found


def judged(name: str, of: Evidence) -> dict[str, list[Verdict]]:
    """The verdicts on the claims of a question, by their texts."""
    found: dict[str, list[Verdict]] = {}
    answer = question(name).answer(of)
    for each in decide(answer.verdicts) if answer else ():
        found.setdefault(each.claim.text, []).append(each)
    return found


def words(name: str, of: Evidence) -> list[str]:
    """The words of the verdicts on the claims of a question, in their order."""
    return [each.word for found in judged(name, of).values() for each in found]
