"""A model card for each unlearned model: metadata of the Hub, settings, sources, scores beside Retrain and Original, limits."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from huggingface_hub import EvalResult, ModelCard, ModelCardData

from palimpsest.audit.artefacts import Artefact
from palimpsest.benchmarks import suites
from palimpsest.errors import Diverged
from palimpsest.evaluation.metric import Metric
from palimpsest.export.citations import WORKFLOW, bibliography, cited_for
from palimpsest.export.models import Model, Results
from palimpsest.methods import list_methods, load_method
from palimpsest.names import ORIGINAL, RETRAIN
from palimpsest.provenance.manifest import WEIGHTS, read_remarks
from palimpsest.report.names import model_label

CARD = "README.md"
# The inputs by which a model leads back to its base, and by which it leads to its data.
BASE, DATA = ("model", "base"), ("split", "data")
LIMITS = (
    "Unlearning by training is approximate: there is no proof that the forget set cannot be recovered, and attacks such as "
    "relearning or quantisation may recover it.",
    "The scores hold for this model, this data and this seed; other seeds differ, in forget quality by orders of magnitude.",
    "Retrain, trained the same way without the forget set, is the measure; a score far beyond Retrain's in either direction "
    "also tells this model apart from it.",
)


def unlearned(results: Results) -> list[Model]:
    """Return the unlearned models whose weights the study kept, without attacked ones."""
    return [model for model in results.models if model.of.variant and not model.of.attack and model.is_kept]


def write_cards(results: Results, out: Path, license: str | None = None) -> None:
    """Write the card of every unlearned model to a folder of its own."""
    for model in unlearned(results):
        path = out / model.name / CARD
        path.parent.mkdir(parents=True)
        path.write_text(card_text(results, model, license), encoding="utf-8")


def card_text(results: Results, model: Model, license: str | None = None) -> str:
    """Return the card of a model; `license` is an identifier of the Hub for its weights, which no artefact records."""
    of, base, data = model.of, _first_of(results, model.made, BASE), _first_of(results, model.made, DATA)
    source, settings = data.manifest["spec"].get("source", {}), base.manifest["spec"].get("model", {})
    label = model_label(of.method, of.variant)
    shown = list(_shown(model))
    metadata = ModelCardData(
        base_model=settings.get("name"),
        datasets=[source["repo"]] if "repo" in source else None,
        license=license,
        library_name="transformers",
        pipeline_tag="text-generation",
        tags=["unlearning", "palimpsest", of.benchmark, of.method],
        model_name=f"{label} on {of.benchmark} {of.split}",
        eval_results=[
            EvalResult(
                task_type="text-generation",
                dataset_type=source.get("repo", of.benchmark),
                dataset_name=f"{of.benchmark} {of.split}",
                dataset_revision=source.get("revision"),
                metric_type=metric.name,
                metric_name=name,
                metric_value=value,
            )
            for name, metric, value in shown
        ]
        or None,
    )
    sections = [
        f"# {label} on {of.benchmark} {of.split}",
        f"A model that unlearned the forget set {of.split} of {of.benchmark} with {label}, seed {of.seed}, in the study "
        f"“{results.study}”. {_about(of.method)}",
        *_section("Settings", _table(("setting", "value"), [(name, f"`{value}`") for name, value in model.settings.items()])),
        *_section("Base and data", _sources(base, data)),
        *_section("Scores", _scores(results, model, shown)),
        *_section("Where it comes from", _provenance(model)),
        *_section("Limits", "\n".join(f"- {text}" for text in (*LIMITS, *_remarks(model)))),
        *_section("Citation", f"```bibtex\n{bibliography(_cited(of.method, of.benchmark, data))}\n```"),
    ]
    card = ModelCard("\n\n".join([f"---\n{metadata.to_yaml()}\n---", *sections]) + "\n")
    return str(card)


def _section(title: str, text: str) -> tuple[str, str]:
    return f"## {title}", text


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in line) + " |" for line in lines)


def _about(method: str) -> str:
    return (load_method(method).__doc__ or "").partition("\n")[0] if method in list_methods() else ""


def _cited(method: str, benchmark: str, data: Artefact) -> list[str]:
    return cited_for(
        [f"method:{method}", f"benchmark:{benchmark}", f"benchmark:{data.manifest['spec'].get('kind', '')}", WORKFLOW]
    )


def _first_of(results: Results, artefact: Artefact, labels: Sequence[str]) -> Artefact:
    """Follow the inputs with these labels to the artefact that has none of them."""
    while label := next((label for label in labels if label in artefact.manifest["inputs"]), None):
        artefact = results.input_of(artefact, label)
    return artefact


def _sources(base: Artefact, data: Artefact) -> str:
    model, source = base.manifest["spec"].get("model", {}), data.manifest["spec"].get("source", {})
    rows = [("base", name, f"`{value}`") for name, value in _pinned(model)]
    rows += [("data", name, f"`{value}`") for name, value in _pinned(source)]
    recorded = data.folder / "source.json"
    found = json.loads(recorded.read_text(encoding="utf-8")) if recorded.is_file() else {}
    rows += [("data", "licence", f"`{found['licence']}`")] if found.get("licence") else []
    rows += [("data", f"sha256 of {name}", f"`{digest}`") for name, digest in found.get("files", {}).items()]
    rows += [(each, "manifest", f"`{artefact.sha256}`") for each, artefact in (("base", base), ("data", data))]
    return _table(("", "", ""), rows)


def _pinned(settings: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield what identifies a model or a source; a path is a place on one machine, so its last part alone is told."""
    for name in ("kind", "name", "repo", "package", "file", "revision", "sha256", "path"):
        if settings.get(name) is not None:
            value = str(settings[name])
            is_place = name == "path" or (name == "name" and Path(value).is_absolute())
            yield name, Path(value).name if is_place else value


def _shown(model: Model) -> Iterator[tuple[str, Metric, float]]:
    """Yield the name, the metric and the value of the scores with a column in the report."""
    declared = {
        metric.name: metric for kind in suites.SETTINGS for metric in suites.load(kind, "scores").SCORING.metrics if metric.label
    }
    for name, value in model.finals.items():
        _, _, metric = name.partition("/")
        if metric in declared:
            yield name, declared[metric], value
        elif "/" in metric and not metric.endswith("_stderr"):
            yield name, Metric(metric, lambda: None), value


def _scores(results: Results, model: Model, shown: Sequence[tuple[str, Metric, float]]) -> str:
    beside = [_beside(results, model, role) for role in (RETRAIN, ORIGINAL)]
    rows = [
        (name, metric.best or "", *(_number(found.get(name)) for found in (model.finals, *beside))) for name, metric, _ in shown
    ]
    return _table(("suite/metric", "best", "this model", "Retrain", "Original"), rows) if rows else "No suite scored this model."


def _beside(results: Results, model: Model, role: str) -> dict[str, float]:
    """Return the scores of the Retrain or the Original of a model's run, which several splits may share."""
    of = model.of
    same = [
        each
        for each in results.models
        if (each.of.benchmark, each.of.model, each.of.seed, each.of.method) == (of.benchmark, of.model, of.seed, role)
        and not each.of.attack
    ]
    return next((each.finals for each in sorted(same, key=lambda each: each.of.split != of.split)), {})


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.4g}"


def _provenance(model: Model) -> str:
    manifest, environment = model.made.manifest, model.made.environment or {}
    packages = environment.get("packages", {})
    rows = [
        ("Palimpsest", version("palimpsest")),
        ("commit", f"`{environment.get('commit') or 'not recorded'}`"),
        ("code digest", f"`{manifest['code']}`"),
        ("manifest", f"`{model.made.sha256}`"),
        ("device", str(environment.get("device", "not recorded"))),
        *((name, str(packages[name])) for name in ("torch", "transformers") if name in packages),
        *((f"sha256 of {name}", f"`{file['sha256']}`") for name, file in manifest["files"].items() if name.endswith(WEIGHTS)),
    ]
    return _table(("", ""), rows)


def _remarks(model: Model) -> list[str]:
    diverged = model.made.manifest.get("diverged")
    return [
        *([f"The training {Diverged.from_record(diverged)}."] if diverged else []),
        *(f"{remark.text}." for remark in read_remarks(model.made.manifest)),
    ]
