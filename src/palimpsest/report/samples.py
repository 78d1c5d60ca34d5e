"""The sample browser: every evaluated question with the answers of all models beside Retrain's, packed into one page."""

import base64
import gzip
import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pandas as pd

from palimpsest.data.splits import spread
from palimpsest.names import ORIGINAL, RETRAIN
from palimpsest.report.marks import COMPARED, Span, compared_spans, split_words
from palimpsest.report.names import model_label, model_order
from palimpsest.report.page import page_environment
from palimpsest.report.pages import scoring_of
from palimpsest.report.rows import of_block
from palimpsest.report.study import Block, Study
from palimpsest.report.style import colour_of
from palimpsest.report.words import counted

PAGE = "samples.html"
# Bytes of the packed samples on the page; a study with more shows fewer seeds, then fewer questions.
LARGEST = 12_000_000
# Significant digits of a number.
DIGITS = 4
MODEL = ["method", "variant", "attack"]
RECALLED = "Recalled words"
NO_TEXT = "its suite keeps numbers, and no text of single questions"
NO_ANSWERS = "no model was evaluated by it"


def link_to(block: Block, suite: str, seed: int, item: str) -> str:
    """Return the address of one question on the page."""
    return f"{PAGE}#{urlencode({'place': '/'.join((*block.key, suite)), 'seed': seed, 'item': item}, safe='/')}"


@dataclass(frozen=True)
class Cut:
    """What of a study the page shows: the first seeds of each block, and one of so many questions of each set."""

    seeds: int
    one_in: int = 1


@dataclass
class Texts:
    """Every text once, in the order of its first use."""

    places: dict[str, int] = field(default_factory=dict)

    def place(self, text: str) -> int:
        """Return the place of a text, adding a new one."""
        return self.places.setdefault(text, len(self.places))


@dataclass(frozen=True)
class Place:
    """The answers of one block and suite, and the answers of Original and Retrain, which blocks share."""

    block: Block
    suite: str
    heads: Mapping[str, str]
    """The heads of the numbers of an item."""
    shown_as: Mapping[str, str]
    """Whether a set counts as forget or retain; one that is missing counts as retain."""
    rows: pd.DataFrame
    shared: pd.DataFrame
    """The rows of the same benchmark, model and suite in other splits, for a corpus, whose splits share their questions."""

    @property
    def key(self) -> str:
        """What tells the place from others, in addresses."""
        return "/".join((*self.block.key, self.suite))

    @cached_property
    def seeds(self) -> list[int]:
        """The seeds of its models, in order: the block's, unless it has others alone, of a selection or of given models."""
        found = set(self.rows["seed"].tolist())
        return sorted(found & {*self.block.seeds} or found)

    @cached_property
    def models(self) -> list[tuple[str, str, str]]:
        """Method, variant and attack of its models, in the order of the tables."""
        found = {*self.rows[MODEL].itertuples(index=False, name=None)} | {(role, "", "") for role in self._shared_roles()}
        return sorted(found, key=lambda model: (model_order(*model[:2]), model[2]))

    @cached_property
    def items(self) -> dict[str, tuple[str, str, str]]:
        """Set, question and right answer of its items by id, sets in the order of their evaluation."""
        rows = self.rows.drop_duplicates("id")
        return dict(zip(rows["id"], rows[["set", "question", "answer"]].itertuples(index=False, name=None), strict=True))

    def shown(self, cut: Cut) -> list[str]:
        """Return the ids of the items that the page shows, evenly spaced in each set."""
        sets: dict[str, list[str]] = {}
        for id, (name, *_) in self.items.items():
            sets.setdefault(name, []).append(id)
        return [id for ids in sets.values() for id in spread(ids, math.ceil(len(ids) / cut.one_in))]

    def answers(self, model: tuple[str, str, str], seed: int) -> tuple[str, dict[str, dict[str, Any]]]:
        """Return the rows of a model by item, and whose they are if a reference is taken from another seed or split."""
        rows = self._of_model(self.rows, model)
        if (own := rows[rows["seed"] == seed]).empty and model[0] in (ORIGINAL, RETRAIN) and not model[2]:
            rows = rows if len(rows) else self._of_model(self.shared, model)
            own = rows[rows["seed"] == (seed if seed in {*rows["seed"]} else rows["seed"].min())].drop_duplicates("id")
        if own.empty:
            return "", {}
        split, of_seed = str(own["split"].iloc[0]), int(own["seed"].iloc[0])
        whose = ", ".join([split] * (split != self.block.split) + [f"seed {of_seed}"] * (of_seed != seed))
        return whose, dict(zip(own["id"], own.to_dict("records"), strict=True))

    def _shared_roles(self) -> set[str]:
        plain = self.shared[self.shared["attack"] == ""]
        return {ORIGINAL, RETRAIN} & {*plain["method"]}

    @staticmethod
    def _of_model(rows: pd.DataFrame, model: tuple[str, str, str]) -> pd.DataFrame:
        return rows[(rows[MODEL] == list(model)).all(axis=1)]


def places_of(study: Study, samples: pd.DataFrame) -> tuple[list[Place], dict[str, str]]:
    """Return the blocks and suites with answers, and by title why others have none."""
    found, silent = [], {}
    for block in study.blocks:
        for suite in block.suites:
            scoring = scoring_of(str(study.suites.get(suite, {}).get("kind", suite)))
            of_suite = samples[samples["suite"] == suite]
            rows = of_block(of_suite, block)
            if rows.empty:
                silent[block.title(suite)] = NO_TEXT if scoring is None or not scoring.examples else NO_ANSWERS
                continue
            others = of_suite[
                (of_suite["benchmark"] == block.benchmark)
                & (of_suite["model"] == block.model)
                & (of_suite["split"] != block.split)
            ]
            heads = {} if scoring is None else {name: head for name, head in scoring.said_numbers.items() if name in rows}
            shown_as = {} if scoring is None else {name: shown for name, (_, shown) in scoring.examples.items()}
            found.append(Place(block, suite, heads, shown_as, rows, others if study.shape(block) else others.iloc[:0]))
    return found, silent


def write_samples(study: Study, samples: pd.DataFrame, path: Path) -> None:
    """Write the page; all bytes repeat."""
    places, silent = places_of(study, samples.fillna({"variant": "", "attack": "", "generation": ""}))
    packed, left = pack(places)
    environment = page_environment()
    context = {
        "study": study,
        "packed": packed if places else "",
        "left": left,
        "silent": silent,
        "imported": [f"{label} ({block.title()})" for block in study.blocks for label in block.external.values()],
        "rule": COMPARED,
    }
    if places:
        context["own_script"] = environment.get_template("samples.js").render()
    path.write_text(environment.get_template(PAGE).render(context), encoding="utf-8")


def pack(places: Sequence[Place], largest: int = LARGEST) -> tuple[str, str]:
    """Return the samples as compressed JSON in base64, and what was left out so that they fit; "" if nothing was."""
    cut = whole = Cut(max((len(place.seeds) for place in places), default=1))
    packed = _packed(places, cut)
    size = len(packed)
    while len(packed) > largest and (cut.seeds > 1 or any(len(place.shown(cut)) > 1 for place in places)):
        fitting = cut.seeds * largest // len(packed)
        cut = Cut(max(1, fitting)) if cut.seeds > 1 else Cut(1, cut.one_in * 2)
        packed = _packed(places, cut)
    if cut == whole:
        return packed, ""
    left = f"the first {counted(cut.seeds, 'seed')} of each block" + f", and one in {cut.one_in} questions" * (cut.one_in > 1)
    return packed, (
        f"This page does not hold the whole study: all answers would take {size / 1e6:.1f} MB, and it takes at most "
        f"{largest / 1e6:g} MB. It shows {left}. All answers are in samples.parquet of the summary."
    )


def _packed(places: Iterable[Place], cut: Cut) -> str:
    texts = Texts()
    found = [_described(place, cut, texts) for place in places]
    content = json.dumps(
        {"places": found, "texts": list(texts.places)}, ensure_ascii=False, allow_nan=False, separators=(",", ":")
    )
    return base64.b64encode(gzip.compress(content.encode(), mtime=0)).decode()


def _described(place: Place, cut: Cut, texts: Texts) -> dict[str, Any]:
    """Return a place as the page reads it; the answers of a model stand in the order of the items."""
    ids = place.shown(cut)
    items = [(id, *place.items[id]) for id in ids]
    return {
        "key": place.key,
        "title": place.block.title(place.suite),
        "numbers": [*place.heads.values(), RECALLED],
        "sets": {name: place.shown_as.get(name, "retain") for name in dict.fromkeys(name for _, name, *_ in items)},
        "models": [
            {
                "key": "/".join(filter(None, model)),
                "label": ", ".join(filter(None, (model_label(*model[:2]), model[2]))),
                "colour": colour_of(model[0]),
                "role": model[0] if model[0] in (ORIGINAL, RETRAIN) and not model[2] else "",
            }
            for model in place.models
        ],
        "items": [
            [id, name, texts.place(question), texts.place(answer), len(split_words(answer))]
            for id, name, question, answer in items
        ],
        "seeds": [{"seed": seed, "models": list(_answers(place, seed, ids, texts))} for seed in place.seeds[: cut.seeds]],
    }


def _answers(place: Place, seed: int, ids: Sequence[str], texts: Texts) -> Iterator[dict[str, Any] | None]:
    """Yield by model its answers, their marks and the numbers of the items; None for a model that the seed lacks."""
    _, retrain = place.answers((RETRAIN, "", ""), seed)
    for model in place.models:
        whose, rows = place.answers(model, seed)
        if not rows:
            yield None
            continue
        columns = [_answer(place, id, rows.get(id), str(retrain.get(id, {}).get("generation", ""))) for id in ids]
        said, marks, numbers = zip(*columns, strict=True)
        yield {
            "whose": whose,
            "said": [texts.place(text) if text is not None else -1 for text in said],
            "marks": marks,
            "numbers": numbers,
        }


def _answer(place: Place, id: str, row: Mapping[str, Any] | None, retrain: str) -> tuple[str | None, Any, Any]:
    """Return a model's answer, its marks and its numbers; None and zeros for a question that it was not asked."""
    if row is None:
        return None, 0, 0
    text, (_, question, answer) = str(row["generation"]), place.items[id]
    spans = compared_spans(text, answer, question, retrain)
    recalled = len({word.text for start, end in spans["recalled"] for word in split_words(text[start:end])})
    return text, _flat(spans) or 0, [*(_rounded(row[name]) for name in place.heads), recalled]


def _flat(spans: Mapping[str, Sequence[Span]]) -> list[int]:
    """Return spans in order as pairs: the gap before each and its length, which is negative for a shared one."""
    ordered = sorted((start, end, name) for name, of in spans.items() for start, end in of)
    flat, last = [], 0
    for start, end, name in ordered:
        flat += [start - last, (end - start) * (1 if name == "recalled" else -1)]
        last = end
    return flat


def _rounded(value: float) -> float | None:
    """Return a number with `DIGITS` digits; None for one that is none."""
    return float(f"{value:.{DIGITS}g}") if math.isfinite(value) else None
