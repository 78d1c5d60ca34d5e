"""A study, worked out from its config: which artefacts there are, and the spec of the stage that makes each."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cache, cached_property
from itertools import product
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from palimpsest.benchmarks.base import Benchmark, Source, SourcedBenchmark
from palimpsest.config.blocks import (
    check_judged,
    check_layer,
    check_training,
    check_watched,
    check_weights,
    stands_in,
)
from palimpsest.config.checks import check_characters, check_config, check_folders, check_logs
from palimpsest.config.messages import explain
from palimpsest.config.models import (
    CHOSEN,
    DEFAULT,
    GRID,
    PLAIN,
    Block,
    Config,
    PretrainedEntry,
    Selection,
    Trajectories,
)
from palimpsest.config.patterns import matching, matching_patterns, merge
from palimpsest.errors import UserError
from palimpsest.models.settings import UsedSettings
from palimpsest.names import ORIGINAL, RETRAIN, ROLES
from palimpsest.objectives import METHODS, load_objective
from palimpsest.training.settings import FinetuneSettings, TrainSettings, UnlearnSettings

RUN = "{benchmark}/{model}/{split}/seed{seed}"
UNLEARNED = RUN + "/unlearn/{method}/{variant}"
CHOICE = "{benchmark}/{model}/{split}/choice/{method}"
EXTERNAL = "{benchmark}/{model}/{split}/external/{external}"
# Names a file that lists the artefacts which failed jobs left missing, with the reasons.
GAPS = "PALIMPSEST_GAPS"
READ = {"prompt", "precision"}
# How documents are cut.
PIECES = {"piece_tokens", "pieces_per_text"}


@dataclass(frozen=True, order=True)
class Run:
    """One original and one Retrain, which all methods share."""

    benchmark: str
    split: str
    model: str
    seed: int

    @property
    def place(self) -> tuple[str, str, str]:
        """What it shares with the runs that differ from it in their seed alone."""
        return self.benchmark, self.split, self.model

    @property
    def path(self) -> str:
        """Its folder below the results root."""
        return RUN.format(**vars(self))


@dataclass(frozen=True, order=True)
class Subject:
    """A model that is evaluated: original, original-half or retrain (variant empty), or an unlearned one."""

    run: Run
    method: str
    variant: str = ""

    @property
    def names(self) -> dict[str, Any]:
        """The columns that name it in the results."""
        return {**vars(self.run), "method": self.method, "variant": self.variant}

    @property
    def path(self) -> str:
        """Its folder below the results root."""
        return (UNLEARNED if self.variant else RUN + "/{method}").format(**self.names)


@dataclass
class Wanted:
    """What is wanted of a subject: suites and attacks, each name once, its trajectory, and whether it is kept as a model."""

    suites: set[str] = field(default_factory=set)
    attacks: set[str] = field(default_factory=set)
    trajectory: Trajectories | None = None
    model: bool = False


class Subjects(dict[Subject, Wanted]):
    """Models, and what is wanted of each."""

    @property
    def evaluated(self) -> list[Subject]:
        """Every model that some suite evaluates."""
        return [subject for subject, wanted in self.items() if wanted.suites]

    @property
    def attacked(self) -> list[tuple[Subject, str]]:
        """Every model and attack on it."""
        return [(subject, attack) for subject, wanted in self.items() for attack in sorted(wanted.attacks)]

    @property
    def watched(self) -> list[Subject]:
        """Every variant whose trajectory is wanted."""
        return [subject for subject, wanted in self.items() if wanted.trajectory]


@dataclass(frozen=True)
class Variant:
    """A method's settings: training (None if it edits weights) and its own, the model it starts from, the reference it reads."""

    training: UnlearnSettings | None
    loss: dict[str, float]
    start: str
    reference: str

    @property
    def settings(self) -> dict[str, Any]:
        """What a stage is told of it."""
        return {"training": self.training and self.training.model_dump(), "loss": self.loss}

    @property
    def retain_loss(self) -> str:
        """The kind of its retain loss."""
        return self.training.retain_loss if self.training else "none"


@dataclass(frozen=True, order=True)
class Choice:
    """The decision between the trials of a method: it holds for all seeds."""

    benchmark: str
    split: str
    model: str
    method: str

    @property
    def key(self) -> tuple[str, str, str, str]:
        """What patterns are matched with."""
        return self.benchmark, self.split, self.model, self.method

    @property
    def path(self) -> str:
        """Its folder below the results root."""
        return CHOICE.format(**vars(self))


class Study:
    """The artefacts of a study and their specs; raises UserError with one line for a mistake in the config."""

    def __init__(self, raw: Mapping[str, Any], gaps: Mapping[str, str] | None = None) -> None:
        self.config = load_config(raw)
        # Why artefacts could not be made, by their manifests: the report is made without them.
        self.gaps = gaps or {}
        self.results = self.config.results
        self.choices: list[Choice] = []
        # Asked again for every job, of which a study may have ten thousand.
        self._resolved, self._changes = cache(self._resolve), cache(self._list_changes)
        self.subjects = self._subjects()
        self._by_path = {subject.path: subject for subject in self.subjects}
        self._by_run: dict[Run, Subjects] = {}
        for subject, wanted in self.subjects.items():
            self._by_run.setdefault(subject.run, Subjects())[subject] = wanted
        self._check_lessons()
        check_folders(self.config, self.results)
        check_logs(self.config, lambda name: Path(self.external(name)).exists())

    def _subjects(self) -> Subjects:
        """Return every model that is wanted; where blocks overlap, the union of what they want of it."""
        subjects = Subjects()
        for block in self.config.blocks:
            benchmark, suites, trajectories = self.benchmark(block.benchmark), block.suites, block.trajectories
            if benchmark.measures_itself:
                trajectories = Trajectories(suite=block.benchmark)
            watched = {trajectories.suite} if trajectories else set()
            for run in _runs(block):
                for role in benchmark.roles:
                    wanted = _wanted(subjects, Subject(self.home(run), role))
                    wanted.suites |= {*suites, *watched}
                for method, variant in self._listed(block, run):
                    settings, where = self.variant(*run.place, method, variant), f"{'/'.join(run.place)}/{method}"
                    benchmark.check_variant(f"config: blocks: {where}: {variant}", method, settings)
                    for before in self._requests_before(run):
                        _wanted(subjects, Subject(before, method, variant)).model = True
                    wanted = _wanted(subjects, Subject(run, method, variant))
                    wanted.suites.update(suites)
                    wanted.attacks.update(block.attacks)
                    wanted.model |= bool(suites or block.attacks) or not trajectories
                    if trajectories:
                        check_watched(f"config: blocks: {where}", settings.training)
                        _watch(wanted, trajectories, f"{where}: {variant}")
                    _wanted(subjects, Subject(self.home(run), settings.start)).suites.update(suites)
                    if variant == CHOSEN:
                        self._choose(subjects, Choice(*run.place, method))
        for subject, wanted in subjects.items():
            wanted.model |= not subject.variant
        self.choices.sort()
        return Subjects(sorted(subjects.items()))

    def _check_lessons(self) -> None:
        """Refuse lessons on facts where a benchmark has none."""
        trained = (subject for subject in self.subjects if not subject.variant and self.is_trained(subject))
        for place in dict.fromkeys(subject.run.place for subject in trained):
            lessons = self.finetuning(*place).fact_lessons
            benchmark = self.benchmark(place[0])
            if lessons and not benchmark.has_facts:
                kind = benchmark.kind
                raise UserError(f"config: finetuning: {'/'.join(place)}: fact_lessons: {lessons}: kind {kind} has no facts: 0")

    def _listed(self, block: Block, run: Run) -> list[tuple[str, str]]:
        """Return each method and variant of a block, with the trials in the place of `grid`."""
        found: list[tuple[str, str]] = []
        for method, variants in block.variants.items():
            for variant in variants:
                names = self.trials(*run.place, method) if variant == GRID else [variant]
                found += [(method, name) for name in names]
        return found

    def _choose(self, subjects: Subjects, choice: Choice) -> None:
        """Ask for what a choice is made from: the trials on its seeds, and the models that they are measured by."""
        if choice in self.choices:
            return
        self.choices.append(choice)
        selection = self.selection(choice)
        candidates = self.candidates(choice)
        if selection.epochs == "last" and len(candidates) == 1:
            where = f"config: selections: {'/'.join(choice.key)}"
            raise UserError(f"{where}: epochs: last: {candidates[0]} is the only trial: epochs: all, or more under grids")
        for run in self.judged_on(choice):
            check_judged(self.config, run.benchmark, run.split, selection, "selections", choice.method)
            for role in (ORIGINAL, RETRAIN):
                _wanted(subjects, Subject(run, role)).suites.add(selection.suite)
            for trial in candidates:
                watched = Trajectories(suite=selection.suite, epochs=selection.epochs)
                check_watched(f"config: {choice.path}: {trial}", self.variant(*run.place, choice.method, trial).training)
                _watch(_wanted(subjects, Subject(run, choice.method, trial)), watched, f"{choice.path}: {trial}")

    def selection(self, choice: Choice) -> Selection:
        """Return how a choice is made; raises UserError where the config does not say."""
        layers = matching(self.config.selections, choice.key)
        if not layers:
            where = f"config: blocks: {'/'.join(choice.key)}"
            raise UserError(f"{where}: variant {CHOSEN!r} needs a pattern under selections that says how")
        return Selection.model_validate(merge([_given(layer) for layer in layers]))

    def judged_on(self, choice: Choice) -> list[Run]:
        """Return the runs whose trials a choice compares."""
        selection = self.selection(choice)
        place = (selection.benchmark or choice.benchmark, selection.split or choice.split, choice.model)
        return [Run(*place, seed) for seed in selection.seeds]

    def candidates(self, choice: Choice) -> list[str]:
        """Return the variants that a choice is among: the trials of the method's grid, or its default where it has no grid."""
        return list(self._trials(*self.judged_on(choice)[0].place, choice.method)) or [DEFAULT]

    def subject(self, path: str) -> Subject:
        """Return the model of this folder below the results root; raises UserError where the study has none there."""
        if path not in self._by_path:
            raise UserError(f"{self.results}/{path}: no block of the config makes this model")
        return self._by_path[path]

    def of_run(self, run: Run) -> Subjects:
        """Return the models of a run and what is wanted of each, in the order of `subjects`."""
        return self._by_run.get(run, Subjects())

    def is_evaluated(self, subject: Subject) -> bool:
        """Return whether some suite evaluates a model."""
        return subject in self.subjects and bool(self.subjects[subject].suites)

    def benchmark(self, name: str) -> Benchmark:
        """Return a benchmark of the config."""
        return self.config.benchmarks[name]

    def source(self, benchmark: str) -> Source:
        """Return where the data of a benchmark come from, which draws none itself."""
        settings = self.benchmark(benchmark)
        assert isinstance(settings, SourcedBenchmark)
        return self.config.sources[settings.source]

    def is_given(self, model: str) -> bool:
        """Return whether a model comes with a finished original and Retrain."""
        settings = self.config.models[model]
        return isinstance(settings, PretrainedEntry) and settings.original is not None

    def is_trained(self, subject: Subject) -> bool:
        """Return whether a model is trained here, rather than fetched or the base itself."""
        return bool(subject.variant) or not (self.is_given(subject.run.model) or self.model_folder(subject).endswith("/base"))

    def home(self, run: Run) -> Run:
        """Return the run whose original and Retrain serve a run."""
        return replace(run, split=self.benchmark(run.benchmark).home(run.split))

    def _requests_before(self, run: Run) -> list[Run]:
        """Return the runs whose unlearned models lead to a run's, the latest first."""
        before = self.benchmark(run.benchmark).before(run.split)
        return [earlier, *self._requests_before(earlier)] if before and (earlier := replace(run, split=before)) else []

    def split_folder(self, benchmark: str, split: str) -> str:
        """Return where a split's sets lie below the results root."""
        return f"{benchmark}/splits/{split}" if self.benchmark(benchmark).is_cut(split) else f"{benchmark}/data"

    def finetuning(self, benchmark: str, split: str, model: str) -> FinetuneSettings:
        """Return how original and Retrain are trained."""
        layers = matching(self.config.finetuning, (benchmark, split, model))
        return FinetuneSettings.model_validate(merge([_given(layer) for layer in layers]))

    def strengthening(self, benchmark: str, split: str, model: str) -> TrainSettings:
        """Return how a start model learns the forget set once more: as it was trained, but for what the config changes."""
        finetuning = self.finetuning(benchmark, split, model).model_dump(exclude={"fact_lessons"}, exclude_unset=True)
        layers = matching(self.config.strengthening, (benchmark, split, model))
        return TrainSettings.model_validate(merge([finetuning, *(_given(layer) for layer in layers)]))

    def variant(self, benchmark: str, split: str, model: str, method: str, variant: str) -> Variant:
        """Return a variant's settings (of `chosen`: those of the default); raises UserError for a variant there is not."""
        return self._resolved(benchmark, split, model, method, variant)

    def _resolve(self, benchmark: str, split: str, model: str, method: str, variant: str) -> Variant:
        key = (benchmark, split, model, method)
        patterns = matching_patterns(self.config.methods, key)
        layers = [_given(self.config.methods[pattern]) for pattern in patterns]
        is_own = [pattern.rpartition("/")[2] == method for pattern in patterns]
        if variant not in (DEFAULT, CHOSEN):
            named = self._changes(*key)
            if variant not in named:
                allowed = ", ".join([DEFAULT, CHOSEN, *named])
                raise UserError(f"config: variants: {'/'.join(key)} has no variant {variant!r}; allowed: {allowed}")
            layers.append(named[variant])
            is_own.append(True)
        objective = load_objective(method)
        defaults = {"start": ORIGINAL, "reference": PLAIN, "retain_loss": objective.retain_loss}
        merged = merge([defaults, objective.settings, *layers])
        loss = {name: merged.pop(name) for name in objective.settings}
        start, reference = merged.pop("start"), merged.pop("reference")
        where = f"config: variants: {'/'.join(key)}: {variant}"
        if reference not in (PLAIN, *self.config.references):
            raise UserError(f"{where}: reference: {reference!r}; allowed: {', '.join([PLAIN, *self.config.references])}")
        if reference != PLAIN and not objective.needs_reference:
            raise UserError(f"{where}: reference: {reference!r}: {method} reads no reference")
        if not objective.is_trained:
            if variant != DEFAULT and layers[-1] and layers[-1].keys() <= UnlearnSettings.model_fields.keys():
                raise UserError(f"{where}: {', '.join(layers[-1])}: {method} trains nothing, so this variant is its default")
            return Variant(None, loss, start, reference)
        training = UnlearnSettings.model_validate(merged)
        check_training(where, method, training, model, self.config.models[model])
        check_weights(where, training, list(zip(layers, is_own, strict=True)))
        check_layer(where, loss, self.config.models[model])
        return Variant(training, loss, start, reference)

    def _list_changes(self, *key: str) -> dict[str, dict[str, Any]]:
        variants, trials = self.variants(*key), self._trials(*key)
        for name in variants.keys() & trials.keys():
            if variants[name] != trials[name]:
                raise UserError(f"config: variants: {'/'.join(key)}: {name}: a trial of the grid has this name too")
        return {**variants, **trials}

    def variants(self, *key: str) -> dict[str, dict[str, Any]]:
        """Return the named changes that are defined for a benchmark, split, model and method."""
        tables = matching(self.config.variants, key)
        names = dict.fromkeys(name for table in tables for name in table)
        return {name: merge([_given(table[name]) for table in tables if name in table]) for name in names}

    def trials(self, *key: str) -> dict[str, dict[str, Any]]:
        """Return the trials of a benchmark, split, model and method's grid; raises UserError where it has none."""
        if not (trials := self._trials(*key)):
            raise UserError(f"config: blocks: {'/'.join(key)}: variant {GRID!r} needs a pattern under grids with its values")
        return trials

    def grid(self, *key: str) -> dict[str, Any]:
        """Return the values of each setting that a method's trials combine; empty where it has none."""
        return merge(matching(self.config.grids, key))

    def _trials(self, *key: str) -> dict[str, dict[str, Any]]:
        grid = self.grid(*key)
        points = [dict(zip(grid, values, strict=True)) for values in product(*grid.values())] if grid else []
        return {"+".join(f"{name}-{_short(value)}" for name, value in point.items()): point for point in points}

    def read_by(self, run: Run, method: str, variant: str) -> dict[str, str]:
        """Return the folders that unlearning reads of its run: the start model, and what lies beside it that the method needs."""
        settings, objective = self.variant(*run.place, method, variant), load_objective(method)
        start = f"unlearn/{method}/{variant}" if self._requests_before(run) else settings.start
        folders = {"model": self.start_folder(run, start)}
        if objective.needs_reference:
            folders["reference"] = f"{run.path}/{start}/reference/{settings.reference}"
        if objective.needs_strengthened:
            folders["strengthened"] = f"{run.path}/{start}/strengthened/model"
        return folders

    def start_folder(self, run: Run, start: str) -> str:
        """Return the folder of the model that a run starts from: a role's, or the one that the request before has left."""
        if start in ROLES:
            return self.model_folder(Subject(self.home(run), start))
        return f"{self._requests_before(run)[0].path}/{start}/model"

    def used(self, benchmark: str, model: str, *, trained: bool) -> dict[str, Any]:
        """Return what a stage reads of a model's settings: the prompt and precision, and to train it the adapters too."""
        fields = set(UsedSettings.model_fields) if trained else READ | PIECES
        return self.config.models[model].model_dump(include=fields if self.benchmark(benchmark).is_corpus else fields - PIECES)

    # Artefacts by stage, as paths of manifests.

    def models(self, *methods: str) -> list[str]:
        """Return the models of these methods (original and retrain among them)."""
        wanted = [subject for subject, wanted in self.subjects.items() if wanted.model and subject.method in methods]
        return list(dict.fromkeys(self.path(self.model_folder(subject)) for subject in wanted))

    def model_folder(self, subject: Subject) -> str:
        """Return where a model lies below the results root: splits may share one Retrain, and the base may be the original."""
        run, benchmark = subject.run, self.benchmark(subject.run.benchmark)
        if subject.method == RETRAIN and benchmark.shares_retrain:
            return f"{run.benchmark}/{run.model}/seed{run.seed}/{RETRAIN}/model"
        if subject.method == ORIGINAL and benchmark.original_is_base:
            return f"{run.benchmark}/{run.model}/base"
        return f"{subject.path}/model"

    def unlearned(self) -> list[str]:
        """Return the unlearned models."""
        return self.models(*METHODS)

    def evaluations(self) -> list[str]:
        """Return all evaluations, in the order of `evaluated`."""
        return [self.path(subject.path, "eval") for subject in self.subjects.evaluated]

    def attacks(self) -> list[str]:
        """Return all attacks, in the order of `attacked`."""
        return [self.path(subject.path, "attack", attack) for subject, attack in self.subjects.attacked]

    def trajectories(self) -> list[str]:
        """Return all trajectories, in the order of `watched`."""
        return [self.path(subject.path, "trajectory") for subject in self.subjects.watched]

    def scores(self) -> list[str]:
        """Return the scores of all runs, in the order of `runs`."""
        return [self.path(run.path, "scores") for run in self.runs]

    def external(self, name: str) -> str:
        """Return the artefact of a log that others made."""
        place = self.config.external[name].model_dump(include={"benchmark", "split", "model"})
        return self.path(EXTERNAL.format(**place, external=name))

    def external_run(self, name: str) -> Run:
        """Return the run that such a log stands beside: that of the first seed, whose Retrain judges it where it brings none."""
        external = self.config.external[name]
        seeds = [seed for block in self.config.blocks if stands_in(external, block) for seed in block.seeds]
        return Run(external.benchmark, external.split, external.model, min(seeds))

    @cached_property
    def published(self) -> dict[str, dict[str, dict[str, float]]]:
        """The published numbers that the study has its own beside, as the config has them."""
        places = {"/".join(run.place) for run in self.runs}
        return {place: rows for place, rows in self.config.published.items() if place in places}

    @cached_property
    def runs(self) -> list[Run]:
        """Every run of which something is measured."""
        return list(dict.fromkeys(subject.run for subject in (*self.subjects.evaluated, *self.subjects.watched)))

    def made(self, paths: Iterable[str]) -> list[str]:
        """Return the manifests that are no gaps."""
        return [path for path in paths if path not in self.gaps]

    def path(self, *parts: str) -> str:
        """Return the manifest of an artefact below the results root."""
        return "/".join((self.results, *parts, "manifest.json"))


def load_config(raw: Mapping[str, Any]) -> Config:
    """Return the checked config; raises UserError with one line for the first mistake."""
    try:
        config = Config.model_validate(raw)
    except ValidationError as error:
        raise UserError(explain(error, raw, _schema())) from None
    check_characters(raw)
    check_config(config)
    return config


def read_gaps() -> dict[str, str]:
    """Return the artefacts that failed jobs left missing, with the reasons, where the environment names a list of them."""
    path = os.environ.get(GAPS)
    gaps: dict[str, str] = json.loads(Path(path).read_text(encoding="utf-8")) if path else {}
    return gaps


@cache
def _schema() -> dict[str, Any]:
    return Config.model_json_schema()


def _runs(block: Block) -> list[Run]:
    return [Run(block.benchmark, *rest) for rest in product(block.splits, block.models, block.seeds)]


def _wanted(subjects: Subjects, subject: Subject) -> Wanted:
    return subjects.setdefault(subject, Wanted())


def _watch(wanted: Wanted, trajectories: Trajectories, where: str) -> None:
    """Ask for a trajectory: every epoch includes the last one, but there is one suite to a variant."""
    known = wanted.trajectory
    if known and known.suite != trajectories.suite:
        raise UserError(f"config: {where}: its trajectory is asked for by two suites, {known.suite} and {trajectories.suite}")
    if not known or known.epochs == "last":
        wanted.trajectory = trajectories


def _short(value: Any) -> str:
    if not isinstance(value, float):
        return str(value).lower()
    # Two values never share a name.
    return f"{value:g}" if float(f"{value:g}") == value else repr(value)


def _given(settings: BaseModel) -> dict[str, Any]:
    """Return what was written, without defaults."""
    return settings.model_dump(exclude_unset=True)
