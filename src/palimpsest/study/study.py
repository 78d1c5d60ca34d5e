"""A study, resolved from its config: its models, the requests for each, and their settings."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cache, cached_property
from itertools import product
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from palimpsest.benchmarks import kinds
from palimpsest.benchmarks.base import Benchmark, Source, SourcedBenchmark
from palimpsest.errors import UserError
from palimpsest.evaluation.asking import Alternatives
from palimpsest.evaluation.judging.settings import ApiJudge, LocalJudge
from palimpsest.methods import load_method, make_method
from palimpsest.models.settings import UsedSettings, Weights
from palimpsest.names import DEFAULT, GRID, HALF, ORIGINAL, PLAIN, RETRAIN, SELECTED, ModelId
from palimpsest.settings import spelled
from palimpsest.study.blocks import (
    check_given,
    check_layers,
    check_selection,
    check_training,
    check_watched,
    check_weights,
    stands_in,
)
from palimpsest.study.checks import check_characters, check_config, check_folders, check_logs
from palimpsest.study.messages import RENAMED, explain
from palimpsest.study.models import (
    Block,
    Config,
    MethodSettings,
    Model,
    PretrainedEntry,
    Selection,
    Trajectories,
)
from palimpsest.study.patterns import matching, matching_patterns, merge
from palimpsest.training.settings import FinetuneSettings, TrainSettings, UnlearnSettings

# The environment variable with the path of a list: the artefacts that failed jobs left missing, and the reasons.
GAPS = "PALIMPSEST_GAPS"
READ = {"prompt", "precision"}
# Settings of how documents are cut into chunks.
CHUNKS = {"chunk_tokens", "chunks_per_text"}


@dataclass
class Wanted:
    """The requests for a model.

    Its suites, the suites that measure an attack, the suites whose answers a judge reads and this judge, its trajectory, and
    whether the model is kept.
    """

    suites: set[str] = field(default_factory=set)
    measuring: set[str] = field(default_factory=set)
    judged: set[str] = field(default_factory=set)
    judge: str = ""
    trajectory: Trajectories | None = None
    model: bool = False


class Subjects(dict[ModelId, Wanted]):
    """Models, and the requests for each."""

    @property
    def evaluated(self) -> list[ModelId]:
        """Every model that some suite evaluates."""
        return [subject for subject, wanted in self.items() if wanted.suites]

    @property
    def judged(self) -> list[ModelId]:
        """Every model whose answers a judge reads."""
        return [subject for subject, wanted in self.items() if wanted.judge]

    @property
    def attacked(self) -> list[ModelId]:
        """Every attacked model."""
        return [subject for subject in self if subject.attack]

    @property
    def watched(self) -> list[ModelId]:
        """Every variant whose trajectory is requested."""
        return [subject for subject, wanted in self.items() if wanted.trajectory]


@dataclass(frozen=True)
class Variant:
    """A method's settings: training (None if it edits weights) and its own, the model it starts from, the reference it reads."""

    training: UnlearnSettings | None
    loss: dict[str, Any]
    start: str
    reference: str

    @property
    def settings(self) -> dict[str, Any]:
        """The settings in the spec of a stage."""
        return {"training": self.training and spelled(self.training), "loss": self.loss}

    @property
    def retain_loss(self) -> str:
        """The kind of its retain loss."""
        return self.training.retain_loss if self.training else "none"


class Study:
    """The models of a study and their settings; raises UserError with one line for a mistake in the config."""

    def __init__(self, raw: Mapping[str, Any], gaps: Mapping[str, str] | None = None) -> None:
        self.config = load_config(raw)
        # The reasons why artefacts could not be made, by manifest; the report is made without these artefacts.
        self.gaps = gaps or {}
        self.results = self.config.results
        self.selections: list[ModelId] = []
        # Cached, because every job asks again and a study may have ten thousand jobs.
        self._resolved, self._changes = cache(self._resolve), cache(self._list_changes)
        self.own_files = cache(lambda suite: self.config.suites[suite].hash_own_files())
        self.subjects = self._subjects()
        self._made_as, self._trainings = self._share_trainings()
        self._by_run: dict[ModelId, Subjects] = {}
        for subject, wanted in self.subjects.items():
            self._by_run.setdefault(subject.run, Subjects())[subject] = wanted
        for of in self.subjects.attacked:
            self.measured_by(of)
        self._check_lessons()
        requested: dict[tuple[str, str], set[str]] = {}
        for of in self.subjects:
            requested.setdefault((of.benchmark, of.model), set()).add(of.split)
        for (benchmark, model), splits in requested.items():
            check_given(self.config, benchmark, model, splits)
        check_folders(self.config, self.results, requested)
        check_logs(self.config, self._is_imported)

    def _subjects(self) -> Subjects:
        """Return every requested model; where blocks overlap, a model has the requests of all of them."""
        subjects = Subjects()
        for block in self.config.blocks:
            benchmark, suites, trajectories = self.benchmark(block.benchmark), block.suites, block.trajectories
            if benchmark.measures_itself:
                trajectories = Trajectories(suite=block.benchmark)
            watched = {trajectories.suite} if trajectories else set()
            for run in _runs(block):
                for role in benchmark.roles:
                    self._evaluate(subjects, block, self.home(run).of(role)).suites |= watched
                if RETRAIN in benchmark.roles:
                    self._attack(subjects, block, self.home(run).of(RETRAIN))
                for name in block.checkpoints if run.seed == min(block.seeds) else ():
                    given = self.home(run).of(name)
                    self._evaluate(subjects, block, given)
                    self._attack(subjects, block, given)
                for method, variant in self._listed(block, run):
                    of, where = run.of(method, variant), f"{'/'.join(run.place)}/{method}"
                    settings = self.variant(of)
                    benchmark.check_variant(f"config: blocks: {where}: {variant}", method, settings)
                    for before in self._requests_before(run):
                        _wanted(subjects, before.of(method, variant)).model = True
                    wanted = self._evaluate(subjects, block, of)
                    self._attack(subjects, block, of)
                    wanted.model |= bool(suites or block.attacks) or not trajectories
                    if trajectories:
                        check_watched(f"config: blocks: {where}", settings.training)
                        _watch(wanted, trajectories, f"{where}: {variant}")
                    self._evaluate(subjects, block, self.home(run).of(settings.start))
                    if variant == SELECTED:
                        self._select(subjects, ModelId(*run.place, method=method))
        for subject, wanted in subjects.items():
            wanted.model |= not subject.variant and not subject.attack
        self.selections.sort()
        return Subjects(sorted(subjects.items()))

    def named_by(self, block: Block) -> Iterator[ModelId]:
        """Yield the models that a block names: originals, Retrains, checkpoints, unlearned models, and what it selects from."""
        for run in _runs(block):
            yield from map(self.home(run).of, (*self.benchmark(block.benchmark).roles, *block.checkpoints))
            for method, variant in self._listed(block, run):
                yield run.of(method, variant)
                if variant == SELECTED:
                    selection = ModelId(*run.place, method=method)
                    yield from self.trials_of(selection)
                    yield from (self.home(of).of(role) for of in self.selection_runs(selection) for role in (ORIGINAL, RETRAIN))

    def _share_trainings(self) -> tuple[dict[ModelId, ModelId], dict[ModelId, Wanted]]:
        """Return for each variant the one that is trained in its place, and the requests for each that is trained.

        Of several variants with the same settings and start, the default is trained or, without it, the first by name.
        """
        listed = [of for of in self.subjects if of.variant and not of.attack]
        first: dict[tuple[ModelId, str, ModelId], ModelId] = {}
        made_as: dict[ModelId, ModelId] = {}
        trainings: dict[ModelId, Wanted] = {}
        # A later request starts from the model of the request before it.
        for of in sorted(listed, key=lambda of: (len(self._requests_before(of.run)), of.variant != DEFAULT, of)):
            # The settings of `selected` are not known yet.
            settings = SELECTED if of.variant == SELECTED else repr(self.variant(of))
            start = self.start_of(of)
            made_as[of] = first.setdefault((of.of(of.method), settings, made_as.get(start, start)), of)
            wanted, training = self.subjects[of], _wanted(trainings, made_as[of])
            training.model |= wanted.model
            if wanted.trajectory:
                _watch(training, wanted.trajectory, f"{'/'.join(of.key)}: {of.variant}")
        return made_as, trainings

    def made_as(self, of: ModelId) -> ModelId:
        """Return the variant that is trained in place of a variant: itself, or one with the same settings."""
        return self._made_as[of]

    def training(self, of: ModelId) -> Wanted:
        """Return the requests of all variants that share a training: its trajectory, and whether the model is kept."""
        return self._trainings[of]

    def _evaluate(self, subjects: Subjects, block: Block, of: ModelId) -> Wanted:
        """Request the suites of a block for a model, and its judge for their answers; return the requests for the model."""
        wanted = _wanted(subjects, of)
        wanted.suites.update(block.suites)
        if block.judge:
            if wanted.judge not in ("", block.judge):
                where = f"config: blocks: {'/'.join(of.place)}: judge"
                raise UserError(f"{where}: two judges read the answers of one model, {wanted.judge} and {block.judge}; use one")
            wanted.judge = block.judge
            wanted.judged |= {name for name in block.suites if self.config.suites[name].judged}
        return wanted

    def _attack(self, subjects: Subjects, block: Block, of: ModelId) -> None:
        """Request the attacks of a block on a model; if the attacked model is kept, the block's suites evaluate it."""
        kind = self.benchmark(block.benchmark).kind
        measuring = kinds.measuring_kind(kind)
        for name in block.attacks:
            wanted = _wanted(subjects, of.attacked(name))
            if kind not in kinds.having("losses"):
                wanted.measuring |= {suite for suite in block.suites if self.kind_of(suite) == measuring}
            if self.config.attacks[name].keep_model:
                self._evaluate(subjects, block, of.attacked(name))

    def measured_by(self, of: ModelId) -> str | None:
        """Return the suite that measures an attack after each step; None if the benchmark has losses to measure instead."""
        measuring = sorted(self.subjects[of].measuring)
        if len(measuring) > 1:
            where = f"config: blocks: {'/'.join(of.place)}: attacks"
            raise UserError(f"{where}: two suites measure them, {measuring[0]} and {measuring[1]}; use one")
        return measuring[0] if measuring else None

    def _check_lessons(self) -> None:
        """Refuse lessons on facts for a benchmark without facts."""
        trained = (subject for subject in self.subjects if not subject.variant and self.is_trained(subject))
        for place in dict.fromkeys(subject.place for subject in trained):
            lessons = self.finetuning(*place).fact_lessons
            benchmark = self.benchmark(place[0])
            if lessons and not benchmark.has_facts:
                said = f"fact_lessons: {lessons}: kind {benchmark.kind} has no facts; use 0"
                raise UserError(f"config: finetuning: {'/'.join(place)}: {said}")

    def _listed(self, block: Block, run: ModelId) -> list[tuple[str, str]]:
        """Return each method and variant of a block, with the trials in place of `grid`."""
        found: list[tuple[str, str]] = []
        for method, variants in block.variants.items():
            for variant in variants:
                names = self.trials(*run.place, method) if variant == GRID else [variant]
                found += [(method, name) for name in names]
        return found

    def _select(self, subjects: Subjects, of: ModelId) -> None:
        """Request the models that a selection needs: the trials in each of its runs, and the run's original and Retrain."""
        if of in self.selections:
            return
        self.selections.append(of)
        selection = self.selection(of)
        candidates = self.candidates(of)
        if selection.epochs == "last" and len(candidates) == 1:
            where = f"config: selections: {'/'.join(of.key)}"
            raise UserError(f"{where}: epochs: last: {candidates[0]} is the only trial; use epochs: all, or more trials")
        runs = self.selection_runs(of)
        for run in runs:
            check_selection(self.config, run.benchmark, run.split, selection, "selections", of.method)
            for role in (ORIGINAL, RETRAIN):
                _wanted(subjects, self.home(run).of(role)).suites.add(selection.suite)
            for trial in candidates:
                watched = Trajectories(suite=selection.suite, epochs=selection.epochs)
                settings = self.variant(run.of(of.method, trial))
                check_watched(f"config: {of.path}: {trial}", settings.training)
                if settings != self.variant(runs[0].of(of.method, trial)):
                    where = f"config: selections: {'/'.join(of.key)}: benchmarks"
                    raise UserError(f"{where}: {trial} has other settings on {run.benchmark}: a trial must be the same on all")
                _watch(_wanted(subjects, run.of(of.method, trial)), watched, f"{of.path}: {trial}")

    def selection(self, of: ModelId) -> Selection:
        """Return the rule of a selection; raises UserError if the config has none."""
        layers = matching(self.config.selections, of.key)
        if not layers:
            where = f"config: blocks: {'/'.join(of.key)}"
            raise UserError(f"{where}: variant {SELECTED!r} needs a pattern under selections with a rule")
        return Selection.model_validate(merge([_given(layer) for layer in layers]))

    def selection_runs(self, of: ModelId) -> list[ModelId]:
        """Return the runs with the trials that a selection compares."""
        selection = self.selection(of)
        benchmarks, split = selection.benchmarks or [of.benchmark], selection.split or of.split
        return [ModelId(name, split, of.model, seed) for name, seed in product(benchmarks, selection.seeds)]

    def candidates(self, of: ModelId) -> list[str]:
        """Return the candidates of a selection: the trials of the method's grid, or its default if it has no grid."""
        return list(self.points(of)) or [DEFAULT]

    def points(self, of: ModelId) -> dict[str, dict[str, Any]]:
        """Return the settings that the grid of a selection varies, by trial."""
        return self._trials(*self.selection_runs(of)[0].place, of.method)

    def trials_of(self, of: ModelId) -> list[ModelId]:
        """Return the variants that a selection compares, each in every run of the selection."""
        runs = self.selection_runs(of)
        return [run.of(of.method, name) for name in self.candidates(of) for run in runs]

    def of_run(self, run: ModelId) -> Subjects:
        """Return the models of a run and the requests for each, in the order of `subjects`."""
        return self._by_run.get(run, Subjects())

    def judge_of(self, of: ModelId) -> LocalJudge | ApiJudge:
        """Return the judge that reads the answers of a model."""
        return self.config.judges[self.subjects[of].judge]

    def benchmark(self, name: str) -> Benchmark:
        """Return a benchmark of the config."""
        return self.config.benchmarks[name]

    def model(self, name: str) -> Model:
        """Return the settings of a model."""
        return self.config.models[name]

    def kind_of(self, suite: str) -> str:
        """Return the kind of a suite; a benchmark that measures itself has a suite of its own name and kind."""
        return self.config.suites[suite].kind if suite in self.config.suites else self.benchmark(suite).kind

    def source(self, benchmark: str) -> Source:
        """Return the data source of a benchmark that does not draw its own data."""
        settings = self.benchmark(benchmark)
        assert isinstance(settings, SourcedBenchmark)
        return self.config.sources[settings.source]

    def given(self, of: ModelId) -> Weights | None:
        """Return the repository of a finished model; None for a model that is made here."""
        if of.variant or of.attack:
            return None
        if of.method in self.config.checkpoints:
            return self.config.checkpoints[of.method]
        settings, split = self.config.models[of.model], (self.shared_retrain(of) if of.method == RETRAIN else of).split
        return settings.given(of.method, split) if isinstance(settings, PretrainedEntry) else None

    def is_trained(self, subject: ModelId) -> bool:
        """Return whether a model is trained here, rather than fetched or the base itself."""
        return bool(subject.variant) or not (self.given(subject) or self.is_base(subject))

    def is_base(self, of: ModelId) -> bool:
        """Return whether a model is the base itself, which is the original if none is given and nothing is taught."""
        is_original = of.method == ORIGINAL and not of.attack and self.given(of) is None
        return is_original and self.benchmark(of.benchmark).original_is_base

    def home(self, run: ModelId) -> ModelId:
        """Return the run whose original and Retrain a run uses; all seeds use the first seed's if these are given."""
        home = replace(run, split=self.benchmark(run.benchmark).home(run.split))
        settings = self.config.models[run.model]
        if not isinstance(settings, PretrainedEntry) or settings.original is None:
            return home
        return replace(home, seed=min(seed for block in self.config.blocks if run.model in block.models for seed in block.seeds))

    def shared_retrain(self, of: ModelId) -> ModelId:
        """Return the Retrain that is used for a Retrain: itself, or the one that all splits share."""
        return replace(of, split=self.benchmark(of.benchmark).retrain_split or of.split)

    def _requests_before(self, run: ModelId) -> list[ModelId]:
        """Return the runs of all earlier requests, the latest first."""
        before = self.benchmark(run.benchmark).before(run.split)
        return [earlier, *self._requests_before(earlier)] if before and (earlier := replace(run, split=before)) else []

    def finetuning(self, benchmark: str, split: str, model: str) -> FinetuneSettings:
        """Return how original and Retrain are trained."""
        layers = matching(self.config.finetuning, (benchmark, split, model))
        return FinetuneSettings.model_validate(merge([_given(layer) for layer in layers]))

    def reinforcing(self, benchmark: str, split: str, model: str) -> TrainSettings:
        """Return how a start model learns the forget set once more: its own training settings with the config's changes."""
        finetuning = self.finetuning(benchmark, split, model).model_dump(exclude={"fact_lessons"}, exclude_unset=True)
        layers = matching(self.config.reinforcing, (benchmark, split, model))
        return TrainSettings.model_validate(merge([finetuning, *(_given(layer) for layer in layers)]))

    def alternatives(self, benchmark: str, split: str, model: str) -> Alternatives:
        """Return how a start model is asked for alternatives."""
        layers = matching(self.config.alternatives, (benchmark, split, model))
        return Alternatives.model_validate(merge([_given(layer) for layer in layers]))

    def variant(self, of: ModelId) -> Variant:
        """Return a variant's settings (for `selected`, the default's settings); raises UserError for an unknown variant."""
        return self._resolved(*of.key, of.variant)

    def _resolve(self, benchmark: str, split: str, model: str, method: str, variant: str) -> Variant:
        key = (benchmark, split, model, method)
        patterns = matching_patterns(self.config.methods, key)
        layers = [_given(self.config.methods[pattern]) for pattern in patterns]
        is_own = [pattern.rpartition("/")[2] == method for pattern in patterns]
        if variant not in (DEFAULT, SELECTED):
            named = self._changes(*key)
            if variant not in named:
                where, allowed = f"config: variants: {'/'.join(key)}", [DEFAULT, SELECTED, *named]
                if (renamed := RENAMED.get(variant)) in allowed:
                    raise UserError(f"{where}: the variant {variant!r} is called {renamed!r} now")
                raise UserError(f"{where} has no variant {variant!r}; allowed: {', '.join(allowed)}")
            layers.append(named[variant])
            is_own.append(True)
        kind = load_method(method)
        if taken := sorted(kind.model_fields.keys() & MethodSettings.model_fields.keys()):
            raise UserError(f"method {method}: its setting {taken[0]} has the name of a general setting")
        merged = merge([{"start": ORIGINAL, "reference": PLAIN, "retain_loss": kind.retain_loss}, *layers])
        where = f"config: variants: {'/'.join(key)}: {variant}"
        try:
            settings = make_method(method, {name: merged.pop(name) for name in kind.model_fields if name in merged})
        except UserError as error:
            raise UserError(f"{where}: {error}") from None
        loss = spelled(settings)
        start, reference = merged.pop("start"), merged.pop("reference")
        if reference not in (PLAIN, *self.config.references):
            raise UserError(f"{where}: reference: {reference!r}; allowed: {', '.join([PLAIN, *self.config.references])}")
        if reference != PLAIN and not kind.reads_reference:
            raise UserError(f"{where}: reference: {reference!r}: {method} reads no reference")
        if not kind.is_trained:
            if variant != DEFAULT and layers[-1] and layers[-1].keys() <= UnlearnSettings.model_fields.keys():
                raise UserError(f"{where}: {', '.join(layers[-1])}: {method} trains nothing, so this variant is its default")
            return Variant(None, loss, start, reference)
        if start == HALF and getattr(self.config.models[model], ORIGINAL, None):
            raise UserError(f"{where}: start: {HALF}: {model} has a given original, and no model that learnt half is given")
        training = UnlearnSettings.model_validate(merged)
        check_training(where, method, training, model, self.config.models[model])
        check_weights(where, training, list(zip(layers, is_own, strict=True)))
        check_layers(where, settings, self.config.models[model])
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
        """Return the trials of a benchmark, split, model and method's grid; raises UserError if there are none."""
        if not (trials := self._trials(*key)):
            raise UserError(f"config: blocks: {'/'.join(key)}: variant {GRID!r} needs a pattern under grids with its values")
        return trials

    def grid(self, *key: str) -> dict[str, Any]:
        """Return the values of each setting that a method's trials combine; empty if the method has no grid."""
        return merge(matching(self.config.grids, key))

    def _trials(self, *key: str) -> dict[str, dict[str, Any]]:
        grid = self.grid(*key)
        points = [dict(zip(grid, values, strict=True)) for values in product(*grid.values())] if grid else []
        return {"+".join(f"{name}-{_short(value)}" for name, value in point.items()): point for point in points}

    def start_of(self, of: ModelId) -> ModelId:
        """Return the model that a variant starts from: the model of a role, or the model left by the previous request."""
        before = self._requests_before(of.run)
        return before[0].of(of.method, of.variant) if before else self.home(of.run).of(self.variant(of).start)

    def used(self, benchmark: str, model: str, *, trained: bool) -> UsedSettings:
        """Return the model settings that a stage reads: the prompt and the precision and, for training, also the adapters."""
        fields = set(UsedSettings.model_fields) if trained else READ | CHUNKS
        read = fields if self.benchmark(benchmark).is_corpus else fields - CHUNKS
        return UsedSettings(**self.config.models[model].model_dump(include=read))

    def _is_imported(self, name: str) -> bool:
        external = self.config.external[name]
        return Path(self.path(ModelId(external.benchmark, external.split, external.model).path, "external", name)).exists()

    def external_run(self, name: str) -> ModelId:
        """Return the first seed's run, beside which an imported log is shown; its Retrain is used if the log has none."""
        external = self.config.external[name]
        seeds = [seed for block in self.config.blocks if stands_in(external, block) for seed in block.seeds]
        return ModelId(external.benchmark, external.split, external.model, min(seeds))

    @cached_property
    def published(self) -> dict[str, list[dict[str, Any]]]:
        """The config's published numbers for the benchmarks, splits and models of this study, by source."""
        places = {"/".join(run.place) for run in self.runs}
        of = self.config.published
        return {place: [each.model_dump() for each in sources] for place, sources in of.items() if place in places}

    @cached_property
    def runs(self) -> list[ModelId]:
        """Every run with a measurement."""
        return list(dict.fromkeys(subject.run for subject in (*self.subjects.evaluated, *self.subjects.watched)))

    def is_made(self, folder: str) -> bool:
        """Return whether an artefact exists or will be made: no failed job left a gap in its place."""
        return self.path(folder) not in self.gaps

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
    """Return the artefacts that failed jobs left missing, with the reasons; empty unless the environment names a list."""
    path = os.environ.get(GAPS)
    gaps: dict[str, str] = json.loads(Path(path).read_text(encoding="utf-8")) if path else {}
    return gaps


@cache
def _schema() -> dict[str, Any]:
    return Config.model_json_schema()


def _runs(block: Block) -> list[ModelId]:
    return [ModelId(block.benchmark, *rest) for rest in product(block.splits, block.models, block.seeds)]


def _wanted(subjects: dict[ModelId, Wanted], subject: ModelId) -> Wanted:
    return subjects.setdefault(subject, Wanted())


def _watch(wanted: Wanted, trajectories: Trajectories, where: str) -> None:
    """Request a trajectory: all epochs include the last one, but each variant has only one suite."""
    known = wanted.trajectory
    if known and known.suite != trajectories.suite:
        raise UserError(f"config: {where}: two suites measure its trajectory, {known.suite} and {trajectories.suite}")
    if not known or known.epochs == "last":
        wanted.trajectory = trajectories


def _short(value: Any) -> str:
    if not isinstance(value, float):
        return str(value).lower()
    # Two values never share a name.
    return f"{value:g}" if float(f"{value:g}") == value else repr(value)


def _given(settings: BaseModel) -> dict[str, Any]:
    """Return the settings that the config gives, without defaults."""
    return settings.model_dump(exclude_unset=True)
