"""The generated end of each page in `docs/methods`: settings, published numbers and our own numbers."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import pandas as pd

from palimpsest.markup import markdown_table
from palimpsest.methods import list_methods, load_method
from palimpsest.methods.base import Finetuned, Method, Start
from palimpsest.report.words import format_score, format_sd
from palimpsest.study.docs import table_of_keys
from palimpsest.study.files import read_file
from palimpsest.study.models import Published
from palimpsest.study.places import DEFAULTS

PAGES, RESULTS = Path("docs", "methods"), Path("docs", "results")
MARK = "<!-- Made by `python -m palimpsest.study write`; do not edit below this line. -->\n"
NO_BREAK = "\N{NO-BREAK SPACE}"
UNPUBLISHED = f"None in `src/palimpsest/study/{DEFAULTS.name}`."
# The tables of a published study, and the metrics taken from them; one has a column per metric, the other a row.
WIDE, LONG = "table1.csv", "muse.csv"
METRICS = {
    WIDE: ["forget_quality", "model_utility", "forget_probability", "forget_extraction_strength"],
    LONG: ["verbmem_f", "knowmem_f", "knowmem_r", "privleak"],
}


def method_pages() -> dict[str, str]:
    """Return the pages by path, each with its generated end renewed."""
    paths = {name: PAGES / f"{name}.md" for name in list_methods() if (PAGES / f"{name}.md").exists()}
    return {str(path): path.read_text(encoding="utf-8").partition(MARK)[0] + MARK + _end(name) for name, path in paths.items()}


def _end(name: str) -> str:
    method = load_method(name)
    schema = method.model_json_schema()
    own = table_of_keys(schema, schema) if schema["properties"] else "The method has no settings of its own.\n"
    published = list(_published(name))
    parts = [
        f"\n## Settings\n\n{own}\n{' '.join(_needs(method))}\n",
        "\n## Published numbers\n\nThe letters in the settings are originals: [the field's numbers](../field-numbers.md).\n\n",
        f"{markdown_table(['place', 'source', 'settings', 'metrics'], published) if published else UNPUBLISHED}\n",
        "\n## Our numbers\n\n",
        "".join(_ours(name)) or "No published run of ours has this method.\n",
    ]
    return "".join(parts)


def _needs(method: type[Method]) -> Iterator[str]:
    """Yield sentences on what the method needs, from its declarations."""
    allowed = " or ".join(f"`{kind}`" for kind in method.retain_losses)
    yield f"Retain loss: {allowed}; the default is `{method.retain_loss}`."
    if method.is_trained:
        yield "All [settings of training](../../config/README.md#method-settings) apply too."
    if method.adapts_retain_weight:
        yield "The weight of the retain loss changes from step to step: `retain_weight` is the first."
    if method.reads_reference:
        yield "It reads the log-probabilities of a reference model, which a stage of its own computes once."
    if method.reads_refusals:
        yield "It reads a random refusal for each forget question."
    if method.reads_alternatives:
        yield (
            "It reads a random one of the alternatives to each forget answer, which a stage of its own samples once, with the "
            "settings under [`alternatives`](../../config/README.md)."
        )
    if method.needs(Start):
        yield "A frozen copy of the start model is in memory."
    if method.needs(Finetuned):
        yield "It needs the reinforced model: the start model after more fine-tuning on the forget set."


def _published(name: str) -> Iterator[Sequence[str]]:
    for place, sources in read_file(DEFAULTS)["published"].items():
        for source in map(Published.model_validate, sources):
            if values := source.scores.get(name):
                yield (
                    place,
                    source.source,
                    source.settings or "-",
                    _listed(f"`{key}`{NO_BREAK}{value:g}" for key, value in values.items()),
                )


def _ours(name: str) -> Iterator[str]:
    """Yield a table for each published study with the method, with the command that made it."""
    for page in sorted(RESULTS.glob("*/README.md")):
        rows = [row for table in METRICS if (page.parent / table).exists() for row in _rows(page.parent / table, name)]
        if rows:
            (command, *_) = re.findall(r"^```\n(.*?)\n```", page.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
            study = page.parent.name
            yield f"[{study}](../results/{study}/README.md), by `{command}` (mean ± sd over seeds):\n\n"
            yield f"{markdown_table(['place', 'variant', 'seeds', 'metrics'], rows)}\n\n"


def _rows(path: Path, name: str) -> Iterator[Sequence[str]]:
    table = pd.read_csv(path)
    if "metric" in table:
        index = ["benchmark", "split", "model", "method", "variant", "seeds"]
        means = table.pivot_table("mean", index, "metric")
        table = means.join(table.pivot_table("sd", index, "metric").add_suffix("_sd")).reset_index()
    for _, row in table[table["method"] == name].iterrows():
        numbers = [f"`{metric}`{NO_BREAK}{_number(row, metric)}" for metric in METRICS[path.name] if pd.notna(row.get(metric))]
        # Other suites have other metrics.
        if numbers:
            yield "/".join(row[["benchmark", "split", "model"]]), str(row["variant"]), str(row["seeds"]), _listed(numbers)


def _number(row: pd.Series, metric: str) -> str:
    mean, sd = row[metric], row.get(f"{metric}_sd")
    spread = f"{NO_BREAK}±{NO_BREAK}{format_sd(metric, mean, sd)}" if pd.notna(sd) else ""
    return format_score(metric, mean) + spread


def _listed(numbers: Iterable[str]) -> str:
    return "<br>".join(numbers)
