"""A methods section made from a config: data, models, methods with their settings, metrics, seeds, selection, citations.

Text is Markdown with Pandoc's citations, `[@key]`; LaTeX is made from it.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from palimpsest.audit.artefacts import find_artefacts
from palimpsest.benchmarks import suites
from palimpsest.export.citations import WORKFLOW, bibliography, cited_for
from palimpsest.markup import escape_latex
from palimpsest.names import SELECTED
from palimpsest.report.facts import selections_made
from palimpsest.report.names import method_name, model_label
from palimpsest.report.study import Block, Study, Values
from palimpsest.report.words import counted, joined

CITATION = re.compile(r" \[(@[^\]]+)\]")
CODE = re.compile(r"`([^`]*)`")
# Parts of a column's head that are for the reader of a table.
ASIDE = re.compile(r"\s*(\(nearest Retrain\)|[↑↓])|(?<=\s)\s+")
# The packages whose versions affect numbers.
PACKAGES = ("torch", "transformers", "tokenizers", "peft", "lm-eval", "rouge-score", "snakemake")


@dataclass(frozen=True)
class Part:
    """A paragraph, or a list if it has points; every sentence is Markdown."""

    text: str
    points: Sequence[str] = ()


def describe(study: Study, benchmarks: Mapping[str, str], results: Path | None) -> list[Part]:
    """Return the parts of a methods section; `benchmarks` has the kind of each benchmark, `results` the folder of a run."""
    blocks = study.blocks
    parts = [
        Part(
            f"The study “{study.name}” runs in Palimpsest {version('palimpsest')}, a Snakemake workflow{_cite(WORKFLOW)}. "
            "Every method starts from the same Original and is compared with Retrain, a model trained the same way without "
            "the forget set."
        ),
        Part("Data:", [_benchmark(study, name, kind) for name, kind in benchmarks.items()]),
        Part("Models:", [f"{name}: {_settings(settings)}." for name, settings in study.models.items()]),
        Part("Training of Original and Retrain:", _by_place(blocks, _training)),
        Part("Unlearning:", _by_place(blocks, _methods)),
    ]
    chosen = [sentence for block in blocks for sentence in selections_made(block)]
    parts += [Part("Selection of settings:", list(dict.fromkeys(chosen)))] if chosen else []
    attacks = [f"{name}{_cite('attack:' + settings['kind'])}: {_settings(settings)}." for name, settings in study.attacks.items()]
    parts += [Part("Attacks, on Retrain too:", attacks)] if attacks else []
    parts += [Part("Evaluation:", [_suite(name, settings) for name, settings in study.suites.items()])] if study.suites else []
    parts.append(Part("Seeds:", [f"{block.title()}: {joined([str(seed) for seed in block.seeds])}." for block in blocks]))
    parts.append(Part(_surroundings(results) if results else "Hardware and versions: there are no results yet."))
    return parts


def as_markdown(parts: Sequence[Part]) -> str:
    """Return the section as Markdown, followed by its bibliography."""
    texts = ["\n\n".join(filter(None, (part.text, "\n".join(f"- {point}" for point in part.points)))) for part in parts]
    return "\n\n".join([*texts, f"```bibtex\n{bibliography(_keys(parts))}\n```"])


def as_latex(parts: Sequence[Part]) -> str:
    """Return the section as LaTeX with natbib's citations; the bibliography follows as comments, for a .bib file."""
    texts = []
    for part in parts:
        items = [f"  \\item {_latex(point)}" for point in part.points]
        texts.append("\n".join([_latex(part.text), *([r"\begin{itemize}", *items, r"\end{itemize}"] if items else [])]))
    entries = "\n".join(f"% {line}".rstrip() for line in bibliography(_keys(parts)).splitlines())
    return "\n\n".join([*texts, entries])


WRITERS = {"markdown": as_markdown, "latex": as_latex}


def _keys(parts: Sequence[Part]) -> list[str]:
    texts = [text for part in parts for text in (part.text, *part.points)]
    return [key.strip().removeprefix("@") for text in texts for found in CITATION.findall(text) for key in found.split(";")]


def _latex(text: str) -> str:
    pieces = CITATION.split(text)
    cited = [f"~\\citep{{{','.join(key.strip().removeprefix('@') for key in piece.split(';'))}}}" for piece in pieces[1::2]]
    return "".join(part for pair in zip(map(_escaped, pieces[::2]), [*cited, ""], strict=True) for part in pair)


def _escaped(text: str) -> str:
    pieces = map(escape_latex, CODE.split(text))
    return "".join(rf"\texttt{{{piece}}}" if place % 2 else piece for place, piece in enumerate(pieces))


def _cite(*names: str) -> str:
    keys = cited_for(names)
    return f" [{'; '.join(f'@{key}' for key in keys)}]" if keys else ""


def _benchmark(study: Study, name: str, kind: str) -> str:
    splits = joined(list(dict.fromkeys(block.split for block in study.blocks if block.benchmark == name)))
    data = study.data[name]
    source = "" if data["kind"] == kind else f", from the source {data['kind']}"
    return f"{name}, of kind {kind}{_cite(f'benchmark:{kind}')}{source}: {_settings(data)}; forget sets: {splits}."


def _by_place(blocks: Sequence[Block], sentences: Any) -> list[str]:
    """Return the sentences about each block, with all blocks that they are true of before each."""
    found: dict[str, list[str]] = {}
    for block in blocks:
        for sentence in sentences(block):
            found.setdefault(sentence, []).append(block.title())
    everywhere = len(blocks)
    return [text if len(of) == everywhere else f"{joined(of)}: {text}" for text, of in found.items()]


def _training(block: Block) -> Iterator[str]:
    yield f"{_settings(block.training)}."


def _methods(block: Block) -> Iterator[str]:
    """Yield the training settings that all methods of a block share, then the other settings of each variant."""
    variants = [(method, *each) for method, of in block.methods.items() for each in of.items()]
    trained = [dict(_leaves(settings["training"])) for _, _, settings in variants if settings["training"]]
    shared = {item for item in trained[0].items() if all(item in of.items() for of in trained)} if len(trained) > 1 else set()
    if shared:
        yield f"all methods that train: {_written({key: value for key, value in trained[0].items() if (key, value) in shared})}."
    for method, variant, settings in variants:
        named = model_label(method, variant).replace(method_name(method), _cited_method(method), 1)
        training = {item for item in _leaves(settings["training"] or {}) if item not in shared}
        made = _leaves({key: settings[key] for key in ("start", "reference")})
        own = {**dict(_leaves(settings["loss"])), **dict(sorted(training)), **dict(made)}
        told = "the selected settings" if variant == SELECTED else _written(own) + _cite(*_steps(settings["training"] or {}))
        yield f"{named}: {told}."
    for method, trials in block.trials.items():
        yield f"{_cited_method(method)}, {counted(len(trials), 'trial')}: {joined([*trials])}."


def _steps(training: Mapping[str, Any]) -> Iterator[str]:
    """Yield what is cited for the kind of a training's steps."""
    if training.get("sharpness"):
        yield "training:sharpness"
    if training.get("gradients") == "projected":
        yield "training:projected"


def _cited_method(method: str) -> str:
    return method_name(method) + _cite(f"method:{method}")


def _suite(name: str, settings: Values) -> str:
    kind = settings["kind"]
    declared = suites.load(kind, "scores").SCORING.metrics
    metrics = [ASIDE.sub("", f"{metric.group} {metric.label}").strip() for metric in declared if metric.label]
    told = f"{name}, of kind {kind}{_cite(f'suite:{kind}')}: {_settings(settings)}."
    return f"{told} Metrics: {', '.join(metrics)}." if metrics else told


def _settings(settings: Mapping[str, Any]) -> str:
    """Return settings in one line, without the kind, what is kept of models, and null settings."""
    said = {key: value for key, value in settings.items() if key not in ("kind", "shape", "keep_model")}
    return _written(dict(_leaves(said)))


def _written(leaves: Mapping[str, str]) -> str:
    return ", ".join(f"{name} {value}" for name, value in leaves.items()) or "its defaults"


def _leaves(settings: Mapping[str, Any], within: str = "") -> Iterator[tuple[str, str]]:
    for key, value in settings.items():
        name = f"{within}{key.replace('_', ' ')}"
        if isinstance(value, Mapping):
            yield from _leaves(value, f"{name} ")
        elif value is not None:
            yield name, _value(value)


def _value(value: Any) -> str:
    if isinstance(value, list):
        return joined([_value(each) for each in value]) if value else "none"
    if isinstance(value, Mapping):  # a task of lm-eval, whose name comes first
        return _value(next(iter(value.values())))
    if isinstance(value, str):
        return f"`{json.dumps(value, ensure_ascii=False)[1:-1]}`"
    return str(value).lower() if isinstance(value, bool) else f"{value:g}" if isinstance(value, float) else str(value)


def _surroundings(results: Path) -> str:
    """Return commit, hardware and versions of the jobs in results."""
    found = [environment for artefact in find_artefacts(results).values() if (environment := artefact.environment)]
    if not found:
        return f"Hardware and versions: {results} records none."
    commits = _distinct(environment.get("commit") for environment in found)
    devices = _distinct(environment["cpu"] if environment["device"] == "cpu" else environment["device"] for environment in found)
    packages = [
        f"{name} {' or '.join(versions)}"
        for name in PACKAGES
        if (versions := _distinct(environment["packages"].get(name) for environment in found))
    ]
    code = f"commit {joined(commits)}" if commits else "a commit that was not recorded"
    python = " or ".join(_distinct(environment["python"] for environment in found))
    return f"The results were made with {code} on {joined(devices)}, with Python {python}, {joined(packages)}."


def _distinct(values: Iterable[str | None]) -> list[str]:
    return sorted({value for value in values if value})
