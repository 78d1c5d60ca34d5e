"""The spec of each artefact of a study, of the type that its stage declares."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from palimpsest.benchmarks import suites
from palimpsest.benchmarks.base import LocalSource
from palimpsest.evaluation.judging.settings import Api, ApiJudge
from palimpsest.evaluation.judging.verdicts import read_prompt
from palimpsest.evaluation.lm_eval.suite_settings import LmEvalSuite
from palimpsest.models.settings import Needs, Packaged, Pretrained, Repository, Tiny, UsedSettings
from palimpsest.names import PLAIN, RETRAIN, SELECTED, ModelId, trial_run
from palimpsest.provenance.canonical import canonical_json
from palimpsest.selection.settings import SelectionRule
from palimpsest.settings import Settings, spelled
from palimpsest.stages import (
    alternatives,
    attack,
    base,
    data,
    evaluate,
    fetch,
    finetune,
    judge,
    reference,
    reinforce,
    split,
    unlearn,
)
from palimpsest.study.checks import files_made_of
from palimpsest.study.description import describe_study
from palimpsest.study.stages import (
    REFUSALS,
    Node,
    evaluation_of,
    evaluations,
    external_of,
    judgements,
    model_of,
    own_module,
    scores_of,
    suites_of,
)
from palimpsest.study.study import CHUNKS, Study

if TYPE_CHECKING:
    from palimpsest.report.study import ReportSpec
    from palimpsest.scores.artefacts import Measurement
    from palimpsest.stages import external, scores, select, summarise
    from palimpsest.stages.external import LogFiles


def _data(study: Study, node: Node) -> data.Spec:
    return data.Spec.model_validate({"source": study.source(node.of.benchmark).model_dump()})


def source_files(study: Study, node: Node) -> str:
    """Return the hashes of a local folder's files: they are not part of the spec, but an edit must rerun everything downstream.

    If the folder is missing, return the hashes of the files that its data artefact was made from.
    """
    source = study.source(node.of.benchmark)
    if not isinstance(source, LocalSource):
        return ""
    made_of = files_made_of(study.results, node.of.benchmark)
    return canonical_json(source.hash_files() if Path(source.path).is_dir() else made_of)


def changed_source(study: Study, node: Node) -> str | None:
    """Return the local folder of a data artefact if its files are others than the artefact was made from; None otherwise."""
    source = study.source(node.of.benchmark)
    if not isinstance(source, LocalSource) or not Path(source.path).is_dir():
        return None
    return None if source.hash_files() == files_made_of(study.results, node.of.benchmark) else source.path


def _fetch(study: Study, node: Node) -> fetch.Spec:
    suite = study.config.suites[node.name]
    assert isinstance(suite, LmEvalSuite)
    return fetch.Spec(datasets=suite.datasets, tasks=suite.stock)


def _split(study: Study, node: Node) -> split.Spec:
    benchmark = study.benchmark(node.of.benchmark)
    return split.Spec(kind=benchmark.kind, split=node.of.split, settings=benchmark.split_settings)


def _base(study: Study, node: Node) -> base.Spec:
    """How a tiny model is built and trained, or which existing model is used."""
    model = study.config.models[node.of.model]
    assert isinstance(model, Tiny | Pretrained | Packaged)
    if isinstance(model, Tiny):
        unread = {"lora", "gradient_checkpointing"} | (CHUNKS if not study.benchmark(node.of.benchmark).is_corpus else set())
    else:
        unread = set(UsedSettings.model_fields)
    settings = model.model_dump(exclude={"resources", "original", "retrain", *unread})
    return base.Spec.model_validate({"model": settings, "needs": _needs(model)})


def _given(study: Study, node: Node) -> base.Spec:
    """A finished Original, Retrain or checkpoint: with the tokenizer of the model if that has one, otherwise with its own."""
    model, weights = study.config.models[node.of.model], study.given(node.of)
    assert weights is not None and isinstance(model, Tiny | Pretrained | Packaged)
    tokenizer = None
    if isinstance(model, Pretrained):
        named = None if model.name is None else Repository(name=model.name, revision=model.revision)
        tokenizer = model.tokenizer or named
    return base.Spec(model=Pretrained(kind="pretrained", **weights.model_dump(), tokenizer=tokenizer), needs=_needs(model))


def _needs(model: Tiny | Pretrained | Packaged) -> Needs:
    """Return the needs that the stage `base` checks; other settings of prompts and training do not rerun it."""
    targets, layers = (model.lora.target_modules, model.lora.layers) if model.lora else (None, None)
    chat = model.prompt if model.prompt.kind == "chat" else None
    named = targets if isinstance(targets, list) else None
    recomputed = model.gradient_checkpointing or None
    return Needs(chat=chat, lora_targets=named, lora_layers=layers, optimizer=model.optimizer, gradient_checkpointing=recomputed)


def _finetune(study: Study, node: Node) -> finetune.Spec:
    of = node.of
    return finetune.Spec(
        role=of.method,  # type: ignore[arg-type]  # pydantic checks it
        seed=of.needed_seed,
        training=study.finetuning(*of.place),
        model=study.used(of.benchmark, of.model, trained=True),
    )


def _reinforce(study: Study, node: Node) -> reinforce.Spec:
    of = node.of
    training, model = study.reinforcing(*of.place), study.used(of.benchmark, of.model, trained=True)
    return reinforce.Spec(seed=of.needed_seed, training=training, model=model)


def _alternatives(study: Study, node: Node) -> alternatives.Spec:
    of = node.of
    used = study.used(of.benchmark, of.model, trained=False)
    return alternatives.Spec(seed=of.needed_seed, model=used, asking=study.alternatives(*of.place))


def _reference(study: Study, node: Node) -> reference.Spec:
    """A plain reference has no random share, and so no seed that matters."""
    used = study.used(node.of.benchmark, node.of.model, trained=False)
    name = node.name.partition(",")[0]
    mixed = {"random_share": 0.0, "seed": 0} if name == PLAIN else study.config.references[name].model_dump()
    return reference.Spec(model=used, refusals=node.name.endswith(REFUSALS), **mixed)


def _unlearn(study: Study, node: Node) -> unlearn.Spec:
    """The settings of a selected variant are null, because its selection names them."""
    of, variant = node.of, study.variant(node.of)
    settings = dict.fromkeys(variant.settings) if of.variant == SELECTED else variant.settings
    used = study.used(of.benchmark, of.model, trained=variant.training is not None)
    wanted = study.training(of)
    watched = None
    if watch := wanted.trajectory:
        watched = {"suite": spelled(study.config.suites[watch.suite].measured), "epochs": watch.epochs}
    return unlearn.Spec(method=of.method, seed=of.needed_seed, **settings, model=used, watched=watched, keep=wanted.model)


def _select(study: Study, node: Node) -> select.Spec:
    """The rule, and the settings of each trial in each run."""
    from palimpsest.stages.select import Spec, Trial

    selection = study.selection(node.of)
    trials = [
        Trial(variant=trial.variant, run=trial_run(trial), **study.variant(trial).settings) for trial in study.trials_of(node.of)
    ]
    rule = SelectionRule(**selection.model_dump(include=set(SelectionRule.model_fields)))
    kind, runs = study.kind_of(selection.suite), [trial_run(run) for run in study.selection_runs(node.of)]
    settings = study.config.suites[selection.suite].scoring_settings
    return Spec(rule=rule, suite=selection.suite, kind=kind, settings=settings, trials=trials, runs=runs)


def _attack(study: Study, node: Node) -> attack.Spec:
    used, suite = study.used(node.of.benchmark, node.of.model, trained=True), study.measured_by(node.of)
    benchmark, settings = study.benchmark(node.of.benchmark), study.config.attacks[node.of.attack]
    return attack.Spec(
        kind=benchmark.kind,
        attack=settings,
        sets=list(benchmark.other_sets) if settings.has == "other" else [settings.has],
        suite=study.config.suites[suite].measured if suite else None,
        seed=node.of.needed_seed,
        model=used,
    )


def _evaluate(study: Study, node: Node) -> evaluate.Spec:
    used = study.used(node.of.benchmark, node.of.model, trained=False)
    suite = study.config.suites[node.name]
    return evaluate.Spec(suite=suite.measured, model=used, files=study.own_files(node.name) or None)


def _judge(study: Study, node: Node) -> judge.Spec:
    """The prompt, the sets whose answers are judged, and the judge: how it is loaded, or where it is asked."""
    asked = study.judge_of(node.of)
    remote = asked.model_dump(include=set(Api.model_fields)) if isinstance(asked, ApiJudge) else None
    local = study.used(node.of.benchmark, asked.model, trained=False) if remote is None else None
    return judge.Spec(
        prompt=read_prompt(),
        sets=dict(study.config.suites[node.name].judged),
        max_new_tokens=asked.max_new_tokens,
        model=local,
        api=None if remote is None else Api(**remote),
    )


def _scores(study: Study, node: Node) -> scores.Spec:
    """The kinds of the run's suites, the artefacts that each suite scores, and the missing artefacts."""
    from palimpsest.stages.scores import Run, Spec

    run, subjects, kinds = node.of, study.of_run(node.of), suites_of(study, node.of)
    benchmark, home = study.benchmark(run.benchmark), study.home(run)
    return Spec(
        run=Run(**_named(run, *Run.model_fields)),
        suites=kinds,
        settings={
            name: settings
            for name in kinds
            if name in study.config.suites and (settings := study.config.suites[name].scoring_settings)
        },
        attacks={
            of.subject: [suite]
            if (suite := study.measured_by(of))
            else sorted(name for name in subjects[of.attacked("")].suites if kinds[name] == benchmark.kind)
            for of in subjects.attacked
            if study.is_made(model_of(study, of).path)
        },
        trajectories={
            of.subject: wanted.suite
            for of in subjects.watched
            if (wanted := subjects[of].trajectory) and study.is_made(model_of(study, of).path)
        },
        published=benchmark.published,
        gaps=[
            *_gaps(study, run),
            *([] if home == run else _gaps_of(study, evaluations(study, [home.of(RETRAIN)]), "evaluation")),
        ],
    )


def _gaps(study: Study, run: ModelId) -> list[Any]:
    """Return the missing measurements of a run, with the reasons."""
    subjects = study.of_run(run)
    # A judge has no answers to read if the evaluation is missing.
    judged = [node for node in judgements(study, subjects) if study.is_made(evaluation_of(node.of, node.name).path)]
    return [
        *_gaps_of(study, evaluations(study, subjects), "evaluation"),
        *_gaps_of(study, judged, "judge"),
        *_gaps_of(study, [model_of(study, of) for of in subjects.attacked], "attack"),
        *_gaps_of(study, [model_of(study, of) for of in subjects.watched], "trajectory"),
    ]


def _gaps_of(study: Study, nodes: Iterable[Node], kind: Measurement) -> list[Any]:
    """Return the artefacts that are missing; an evaluation names its suite, unless no suite could evaluate the model."""
    from palimpsest.scores.remarks import Gap

    reasons = {node: study.gaps.get(study.path(node.path)) for node in nodes}
    measured = {node.of for node, reason in reasons.items() if not reason}
    return [
        Gap(
            **_named(node.of, "method", "variant", "attack"),
            of=kind,
            reason=f"suite {node.name}: {reason}" if node.of in measured else reason,
        )
        for node, reason in reasons.items()
        if reason
    ]


def _external(study: Study, node: Node) -> external.Spec:
    """An imported log, identified by the hashes of its files; for a missing log, by the hashes in its artefact."""
    from palimpsest.stages.external import Place, Spec

    given, run = study.config.external[node.name], study.external_run(node.name)
    return Spec(
        name=node.name,
        kind=study.kind_of(given.suite),
        place=Place(**_named(run, "benchmark", "split", "model", "seed"), suite=given.suite),
        source=given.source,
        log=_log(study, node, "log", given.log),
        retrain=None if given.retrain is None else _log(study, node, "retrain", given.retrain),
    )


def _log(study: Study, node: Node, key: str, path: str) -> LogFiles:
    from palimpsest.stages.external import LogFiles

    if Path(path).exists():
        kind = study.kind_of(study.config.external[node.name].suite)
        return LogFiles(path=path, files=suites.load(kind, "imported").hash_log(Path(path)))
    made = json.loads(Path(study.path(node.path)).read_text(encoding="utf-8"))["spec"]
    return LogFiles(path=path, files=(made[key] or {}).get("files", {}))


def _summarise(study: Study, node: Node) -> summarise.Spec:
    """The missing runs and logs, with the reasons."""
    from palimpsest.scores.remarks import StudyGap
    from palimpsest.stages.summarise import Spec

    listed: list[tuple[ModelId, str, Literal["scores", "log"], Node]] = [
        *((run, "", "scores", scores_of(run)) for run in study.runs),
        *((study.external_run(name), name, "log", external_of(study, name)) for name in study.config.external),
    ]
    return Spec(
        gaps=[
            StudyGap(**_named(run, "benchmark", "split", "model", "seed"), method=method, of=of, reason=study.gaps[path])
            for run, method, of, missing in listed
            if (path := study.path(missing.path)) in study.gaps
        ],
    )


def _report(study: Study, node: Node) -> ReportSpec:
    from palimpsest.report.study import ReportSpec

    return ReportSpec.model_validate({"study": describe_study(study), "published": study.published})


def _named(of: ModelId, *names: str) -> dict[str, Any]:
    return {name: getattr(of, name) for name in names}


SPECS: dict[str, Callable[[Study, Node], Settings]] = {
    "data": _data,
    "fetch": _fetch,
    "split": _split,
    "base": _base,
    "finetune": _finetune,
    "given": _given,
    "reinforce": _reinforce,
    "alternatives": _alternatives,
    "reference": _reference,
    "unlearn": _unlearn,
    "select": _select,
    "attack": _attack,
    "evaluate": _evaluate,
    "judge": _judge,
    "scores": _scores,
    "external": _external,
    "summarise": _summarise,
    "report": _report,
}


def spec_of(study: Study, node: Node) -> str:
    """Return the spec of an artefact as canonical JSON; the module of a benchmark's own stage has a function `spec`."""
    own = own_module(study, node)
    spec: Settings = import_module(own).spec(study, node.of) if own else SPECS[node.stage](study, node)
    values = spelled(spec)
    if isinstance(used := getattr(spec, "model", None), UsedSettings):
        # The settings of a model that the stage does not read were not given.
        values["model"] = {name: value for name, value in values["model"].items() if name in used.model_fields_set}
    return canonical_json(values)
