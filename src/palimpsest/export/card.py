"""A model card for each unlearned model: metadata of the Hub, settings, sources, scores beside Retrain and Original, limits."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Sequence
from importlib.metadata import version
from pathlib import Path

from huggingface_hub import EvalResult, ModelCardData

from palimpsest.audit.artefacts import Artefact
from palimpsest.benchmarks import suites
from palimpsest.errors import Diverged, UserError
from palimpsest.evaluation.metric import Metric
from palimpsest.export.citations import WORKFLOW, bibliography, cited_for
from palimpsest.export.models import Model, Results
from palimpsest.export.weights import files_of, is_adapter, layers
from palimpsest.markup import markdown_table
from palimpsest.methods import list_methods, load_method
from palimpsest.names import ORIGINAL, RETRAIN
from palimpsest.provenance.manifest import WEIGHTS, read_remarks
from palimpsest.report.names import model_label
from palimpsest.scores.remarks import is_error

CARD = "README.md"
# The name, the metric and the value of a score.
Shown = tuple[str, Metric, float]
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
    """Write the card of every unlearned model to a folder of its own; raises UserError if no weights were kept."""
    if not (models := unlearned(results)):
        raise UserError(f"{results.folder}: no unlearned model with weights, so there is nothing to write a card of")
    for model in models:
        path = out / model.name / CARD
        path.parent.mkdir(parents=True)
        path.write_text(card_text(results, model, license), encoding="utf-8")


def write_models(results: Results, out: Path, *, merged: bool = False) -> None:
    """Write every unlearned model to a folder of its own; raises UserError if there is none, or none whose adapters to merge."""
    models = unlearned(results)
    if not models or (merged and not any(is_adapter(model.made) for model in models)):
        missing = "no unlearned model is kept as adapters; leave out --merged" if models else "no unlearned model with weights"
        raise UserError(f"{results.folder}: {missing}")
    for model in models:
        folder = out / model.name
        folder.mkdir(parents=True)
        for path in files_of(results, model.made, folder, merged=merged and is_adapter(model.made)):
            if path.parent != folder:
                shutil.copyfile(path, folder / path.name)


def card_text(results: Results, model: Model, license: str | None = None, *, merged: bool = False) -> str:
    """Return the card of a model; `license` is an identifier of the Hub for its weights, which no artefact records.

    `merged` says that the adapters of a model that is kept as such are merged into the published weights.
    """
    of, base, data = model.of, _first_of(results, model.made, BASE), _data_of(results, model)
    source = data.manifest["spec"].get("source", {}) if data else {}
    settings = base.manifest["spec"].get("model", {})
    label = model_label(of.method, of.variant)
    shown, chosen = list(_shown(model)), [(name, f"`{value}`") for name, value in model.settings.items()]
    metadata = ModelCardData(
        # Without a commit it is a folder of one machine.
        base_model=settings.get("name") if settings.get("revision") else None,
        datasets=[source["repo"]] if "repo" in source else None,
        license=license,
        library_name="peft" if is_adapter(model.made) and not merged else "transformers",
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
        f"“{results.study}”. {_about(of.method)}{_form(model, merged=merged)}",
        *_section("Settings", markdown_table(("setting", "value"), chosen)),
        *_section("Base and data", _sources(base, data)),
        *_section("Scores", _scores(results, model, shown)),
        *_section("Where it comes from", _provenance(results, model)),
        *_section("Limits", "\n".join(f"- {text}" for text in (*LIMITS, *_remarks(model)))),
        *_section("Citation", f"```bibtex\n{bibliography(_cited(results, model, shown))}\n```"),
    ]
    return "\n\n".join([f"---\n{metadata.to_yaml()}\n---", *sections]) + "\n"


def _section(title: str, text: str) -> tuple[str, str]:
    return f"## {title}", text


def _about(method: str) -> str:
    return (load_method(method).__doc__ or "").partition("\n")[0] if method in list_methods() else ""


def _form(model: Model, *, merged: bool) -> str:
    """Return a sentence about the weights of a model that is kept as adapters; nothing for whole weights."""
    if not is_adapter(model.made):
        return ""
    if merged:
        return " The LoRA adapters of its trainings are merged into its weights."
    return " It is a LoRA adapter, which `AutoPeftModelForCausalLM.from_pretrained` of peft loads over its base."


def _cited(results: Results, model: Model, shown: Sequence[Shown]) -> list[str]:
    scored = {f"suite:{results.kind('suites', name.partition('/')[0])}" for name, _, _ in shown}
    kind = results.kind("benchmarks", model.of.benchmark)
    return cited_for([f"method:{model.of.method}", f"benchmark:{kind}", *scored, WORKFLOW])


def _first_of(results: Results, artefact: Artefact, labels: Sequence[str]) -> Artefact:
    """Follow the inputs with these labels to the artefact that has none of them."""
    while label := next((label for label in labels if label in artefact.manifest["inputs"]), None):
        artefact = results.input_of(artefact, label)
    return artefact


def _data_of(results: Results, model: Model) -> Artefact | None:
    """Return the data of a model; weights that are edited read none, but their evaluation does."""
    reading = (each for each in (model.made, *model.evaluations.values()) if DATA[0] in each.manifest["inputs"])
    first = next(reading, None)
    return first and _first_of(results, first, DATA)


def _sources(base: Artefact, data: Artefact | None) -> str:
    rows = [("base", *each) for each in _pinned(base, "model")]
    if data:
        recorded = data.folder / "source.json"
        found = json.loads(recorded.read_text(encoding="utf-8")) if recorded.is_file() else {}
        rows += [("data", *each) for each in _pinned(data, "source")]
        rows += [("data", "licence", f"`{found['licence']}`")] if found.get("licence") else []
        rows += [("data", f"sha256 of {name}", f"`{digest}`") for name, digest in found.get("files", {}).items()]
    return markdown_table(("", "", ""), rows)


def _pinned(artefact: Artefact, key: str) -> Iterator[tuple[str, str]]:
    """Yield what identifies a base or data; a path is a place on one machine, so only its last part is told."""
    settings = artefact.manifest["spec"].get(key, {})
    is_folder = not settings.get("revision")
    for name in ("kind", "name", "repo", "package", "file", "revision", "sha256", "path"):
        if settings.get(name) is not None:
            value = str(settings[name])
            yield name, f"`{Path(value).name if name == 'path' or (name == 'name' and is_folder) else value}`"
    yield "manifest", f"`{artefact.sha256}`"


def _shown(model: Model) -> Iterator[Shown]:
    """Yield the name, the metric and the value of the scores with a column in the report."""
    declared = {
        metric.name: metric for kind in suites.SETTINGS for metric in suites.load(kind, "scores").SCORING.metrics if metric.label
    }
    for name, value in model.finals.items():
        _, _, metric = name.partition("/")
        if metric in declared:
            yield name, declared[metric], value
        elif "/" in metric and not is_error(metric):
            yield name, Metric(metric, lambda: None), value


def _scores(results: Results, model: Model, shown: Sequence[Shown]) -> str:
    if not shown:
        return "No suite scored this model."
    beside = [_beside(results, model, role) for role in (RETRAIN, ORIGINAL)]
    rows = [
        (name, metric.best or "", *(_number(found.get(name)) for found in (model.finals, *beside))) for name, metric, _ in shown
    ]
    return markdown_table(("suite/metric", "best", "this model", "Retrain", "Original"), rows)


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


def _provenance(results: Results, model: Model) -> str:
    manifest, environment = model.made.manifest, model.made.environment or {}
    packages = environment.get("packages", {})
    rows = [
        ("card written by", f"Palimpsest {version('palimpsest')}"),
        ("commit", f"`{environment.get('commit') or 'not recorded'}`"),
        ("code digest", f"`{manifest['code']}`"),
        ("manifest", f"`{model.made.sha256}`"),
        ("device", str(environment.get("device", "not recorded"))),
        *((name, str(packages[name])) for name in ("torch", "transformers") if name in packages),
        *(
            (f"sha256 of {name}" if each is model.made else f"sha256 of {each.path}/{name}", f"`{file['sha256']}`")
            for each in layers(results, model.made)
            for name, file in each.manifest["files"].items()
            if name.endswith(WEIGHTS)
        ),
    ]
    return markdown_table(("", ""), rows)


def _remarks(model: Model) -> list[str]:
    diverged = model.made.manifest.get("diverged")
    return [
        *([f"The training {Diverged.from_record(diverged)}."] if diverged else []),
        *(f"{remark.text}." for remark in read_remarks(model.made.manifest)),
    ]
