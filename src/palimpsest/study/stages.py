"""The table of stages: the folder of each artefact, its inputs, its code, and how closely two runs of a stage agree.

Rules, the plan, the table of costs and the audit read this table. An artefact of a study is a `Node`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cache, cached_property
from typing import Any

from palimpsest.attacks import module_name as attack_module
from palimpsest.benchmarks import kinds, suites
from palimpsest.errors import UserError
from palimpsest.evaluation.judging.settings import ApiJudge, LocalJudge
from palimpsest.evaluation.lm_eval.suite_settings import LmEvalSuite
from palimpsest.methods import load_method, module_name
from palimpsest.methods.base import Finetuned, OtherAnswers
from palimpsest.models.settings import Tiny
from palimpsest.names import ORIGINAL, RETRAIN, SELECTED, WATCHING, Agreement, ModelId, seed_id, trial_run
from palimpsest.provenance.digest import stage_code, stage_module
from palimpsest.report.pages import page_modules
from palimpsest.scores.ids import evaluation_id
from palimpsest.study.study import Study

RUN = "{benchmark}/{model}/{split}/seed{seed}"
# Ends the name of a reference that also scores refusals, or alternatives; no name in a config has a comma.
REFUSALS, ALTERNATIVES = ",refusals", ",alternatives"
ALSO: dict[OtherAnswers, str] = {"": "", "refusal": REFUSALS, "alternative": ALTERNATIVES}
UNLEARNED = f"{RUN}/unlearn/{{method}}/{{variant}}"


@dataclass(frozen=True)
class Node:
    """An artefact of a study: its stage, its model or run, and a name if the stage makes several artefacts for it."""

    stage: str
    of: ModelId
    name: str = ""

    @property
    def path(self) -> str:
        """The artefact's folder below the results."""
        return STAGES[self.stage].path.format(**vars(self.of), subject=self.of.subject, name=self.name)

    @property
    def columns(self) -> dict[str, Any]:
        """The identifying columns of the summary; an artefact that several models read has the columns of their run."""
        return (self.of.run if self.stage in ("reinforce", "alternatives", "reference") else self.of).columns


# For each input name: one artefact, or several artefacts by id.
Inputs = dict[str, Node | dict[str, Node]]


@dataclass(frozen=True)
class Stage:
    """A row of the table; `path` is the folder of the stage's artefacts, with Snakemake's wildcards."""

    path: str
    inputs: Callable[[Study, Node], Inputs]
    modules: Callable[[Study, Node], Iterable[str]] = lambda study, node: ()
    """Further modules of the stage's code: those of the node's method, source or suites."""
    agreement: Agreement = "bitwise"
    is_measured: bool = False
    """Whether the stage computes with a model, so that its cost counts, and reads the weights of its inputs."""
    has_weights: bool = False
    """Whether the stage makes weights, which may be pruned once they are read."""
    module: str = ""
    """The name of the stage's module, if it is not the stage's own name."""
    is_brought: bool = False
    """Whether only benchmarks provide this stage, each in a module of its own."""


class Artefacts:
    """All artefacts of a study, with their inputs, code and manifests."""

    def __init__(self, study: Study, accepted: Mapping[str, str] | None = None) -> None:
        """`accepted` is the code that the jobs of some artefacts name, by path, because it counts as equal to today's."""
        self.study = study
        self._accepted = accepted or {}
        # Snakemake asks for the inputs of a job several times.
        self._inputs = cache(self._list_inputs)

    @cached_property
    def nodes(self) -> dict[str, Node]:
        """The artefacts that the report and the kept models need, by folder; the inputs of an artefact come before it."""
        found: dict[str, Node] = {}
        wanted = [model_of(self.study, of) for of, wanted in self.study.subjects.items() if wanted.model]
        for node in (*wanted, Node("report", ModelId(""))):
            self._add(node, found)
        return found

    def _add(self, node: Node, found: dict[str, Node]) -> None:
        if node.path not in found:
            for given in self._inputs(node).values():
                self._add(given, found)
            found[node.path] = node

    def _list_inputs(self, node: Node) -> dict[str, Node]:
        found: dict[str, Node] = {}
        for name, given in STAGES[node.stage].inputs(self.study, node).items():
            found |= {name: given} if isinstance(given, Node) else {f"{name}:{each}": of for each, of in given.items()}
        return found

    def at(self, path: str) -> Node:
        """Return the artefact in a folder below the results; raises UserError if the study makes no artefact there."""
        if path not in self.nodes:
            raise UserError(f"{self.study.results}/{path}: no block of the config asks for it")
        return self.nodes[path]

    def of(self, *stages: str) -> list[Node]:
        """Return the artefacts of the given stages."""
        return [node for node in self.nodes.values() if node.stage in stages]

    @cached_property
    def readers(self) -> dict[str, list[Node]]:
        """The artefacts that read the weights of an artefact, by its folder; without those whose weights nothing reads."""
        found: dict[str, list[Node]] = {}
        for node in self.nodes.values():
            for given in self.weights(node):
                found.setdefault(given.path, []).append(node)
        return found

    def given(self, node: Node) -> dict[str, Node]:
        """Return an artefact's inputs, by their labels on the stage's command line."""
        return self._inputs(node)

    def weights(self, node: Node) -> list[Node]:
        """Return the inputs of an artefact whose weights its job reads, each once."""
        given = self._inputs(node).values() if STAGES[node.stage].is_measured else ()
        return [each for each in dict.fromkeys(given) if STAGES[each.stage].has_weights]

    def measured(self) -> list[Node]:
        """Return the artefacts whose jobs compute with a model, in the order of the pipeline.

        Nothing is computed for a fetched base, and by a job that asks a judge behind an address.
        """
        models = self.study.config.models
        found = [node for stage, row in STAGES.items() if row.is_measured for node in self.of(stage)]
        found = [node for node in found if not is_remote(self.study, node)]
        return [node for node in found if node.stage != "base" or isinstance(models[node.of.model], Tiny)]

    def made(self, *stages: str) -> list[str]:
        """Return the manifests of the artefacts of the given stages."""
        return [self.manifest(node) for node in self.of(*stages)]

    def models(self, role: str | None = None) -> list[str]:
        """Return the manifests of the models of a role, or of all unlearned models."""
        subjects = self.study.subjects
        return self._models_of(
            of
            for of, wanted in subjects.items()
            if wanted.model and not of.attack and (of.method == role if role else of.variant)
        )

    def watched(self) -> list[str]:
        """Return the manifests of the trainings whose trajectory is measured."""
        return self._models_of(self.study.subjects.watched)

    def _models_of(self, models: Iterable[ModelId]) -> list[str]:
        # Several models may share an artefact.
        return list(dict.fromkeys(self.manifest(model_of(self.study, of)) for of in models))

    def inputs(self, node: Node) -> dict[str, str]:
        """Return the manifests of an artefact's inputs, by their labels on the stage's command line."""
        return {label: self.manifest(given) for label, given in self._inputs(node).items()}

    def module(self, node: Node) -> str:
        """Return the module that makes an artefact."""
        return stage_module(_working_stage(self.study, node))

    def code(self, node: Node) -> str:
        """Return the digest of the code that makes an artefact, with the names of its further modules."""
        return stage_code(_working_stage(self.study, node), *STAGES[node.stage].modules(self.study, node))

    def planned_code(self, node: Node) -> str:
        """Return the code that a job names: today's, or accepted code with which the artefact is not made again."""
        return self._accepted.get(node.path) or self.code(node)

    def manifest(self, node: Node) -> str:
        """Return the path of an artefact's manifest."""
        return self.study.path(node.path)


def _working_stage(study: Study, node: Node) -> str:
    """Return the stage that makes an artefact, as manifests name it: the general stage or the benchmark's own."""
    stage = STAGES[node.stage].module or node.stage
    return own_module(study, node) or stage


def own_module(study: Study, node: Node) -> str | None:
    """Return the benchmark's module that makes an artefact; None if the general stage makes it."""
    benchmark = node.of.benchmark
    return kinds.stage_modules(study.benchmark(benchmark).kind).get(node.stage) if benchmark else None


# The artefacts of splits, data, models and measurements.


def split_of(study: Study, of: ModelId) -> Node:
    """Return the artefact with the sets of a model's split."""
    benchmark = study.benchmark(of.benchmark)
    if benchmark.draws_anew:
        return Node("draw", ModelId(of.benchmark, seed=of.seed))
    return Node("split", ModelId(of.benchmark, of.split)) if benchmark.is_cut(of.split) else data_of(of.benchmark)


def data_of(benchmark: str) -> Node:
    """Return the artefact with the data of a benchmark."""
    return Node("data", ModelId(benchmark))


def base_of(of: ModelId) -> Node:
    """Return the base of a model."""
    return Node("base", ModelId(of.benchmark, model=of.model))


def model_of(study: Study, of: ModelId) -> Node:
    """Return the artefact with the weights of a model: all splits may share one Retrain, and the base may be the original."""
    if of.attack:
        return Node("attack", of)
    if of.variant:
        return Node("unlearn", study.made_as(of))
    if study.is_base(of):
        return base_of(of)
    if of.method == RETRAIN:
        of = study.shared_retrain(of)
    return Node("given" if study.given(of) else "finetune", of)


def over(study: Study, node: Node) -> list[Node]:
    """Return the models that an artefact's adapters change, nearest first; none for whole weights."""
    if (below := _trained_over(study, node)) is None:
        return []
    return [below, *over(study, below)]


def _trained_over(study: Study, node: Node) -> Node | None:
    """Return the model over which a stage trains adapters; None if it writes whole weights."""
    of = node.of
    if not getattr(study.config.models.get(of.model), "lora", None) or own_module(study, node):
        return None
    if node.stage == "finetune":
        return base_of(of)
    if node.stage == "reinforce" or (node.stage == "unlearn" and load_method(of.method).is_trained):
        return _start_of(study, of)
    return None


def _model(study: Study, name: str, node: Node) -> Inputs:
    """Return a model as an input of a stage that loads it, with the models that its adapters change."""
    below = {str(number): each for number, each in enumerate(over(study, node), 1)}
    return {name: node, f"{name}_over": below} if below else {name: node}


def evaluation_of(of: ModelId, suite: str) -> Node:
    """Return the artefact with the evaluation of a model by a suite."""
    return Node("evaluate", of, suite)


def evaluations(study: Study, models: Iterable[ModelId]) -> list[Node]:
    """Return the evaluations of models by all their suites; a model that no block names has none."""
    return [evaluation_of(of, suite) for of in models if of in study.subjects for suite in sorted(study.subjects[of].suites)]


def judgements(study: Study, models: Iterable[ModelId]) -> list[Node]:
    """Return the artefacts with a judge's verdicts on the answers of models, for each suite whose answers are judged."""
    return [Node("judge", of, suite) for of in models for suite in sorted(study.subjects[of].judged)]


def working_model(study: Study, node: Node) -> str:
    """Return the name of the model that a job computes with: the node's own, or the model of a judge on this machine."""
    judge = study.judge_of(node.of) if node.stage == "judge" else None
    return judge.model if isinstance(judge, LocalJudge) else node.of.model


def is_remote(study: Study, node: Node) -> bool:
    """Return whether a job asks a judge behind an address."""
    return node.stage == "judge" and isinstance(study.judge_of(node.of), ApiJudge)


def scores_of(run: ModelId) -> Node:
    """Return the artefact with all numbers of a run."""
    return Node("scores", run)


def external_of(study: Study, name: str) -> Node:
    """Return the artefact of an imported log."""
    given = study.config.external[name]
    return Node("external", ModelId(given.benchmark, given.split, given.model), name)


# Data.


def _source_module(study: Study, node: Node) -> list[str]:
    return [kinds.source_module(study.source(node.of.benchmark).kind)]


def _split_module(study: Study, node: Node) -> list[str]:
    return [kinds.module_name(study.benchmark(node.of.benchmark).kind, "splits")]


def _its_data(study: Study, node: Node) -> Inputs:
    return {"data": data_of(node.of.benchmark)}


# Models.


def _base_inputs(study: Study, node: Node) -> Inputs:
    is_tiny = isinstance(study.config.models[node.of.model], Tiny)
    return {"data": data_of(node.of.benchmark)} if is_tiny else {}


def _finetune_inputs(study: Study, node: Node) -> Inputs:
    base: Inputs = {} if study.benchmark(node.of.benchmark).draws_anew else {"base": base_of(node.of)}
    return {**base, "split": split_of(study, node.of)}


def _start_of(study: Study, of: ModelId) -> Node:
    """Return the model from which a variant starts, or from which a role's reinforced model and references are made."""
    return model_of(study, study.start_of(of) if of.variant else study.home(of.run).of(of.method))


def _of_start(study: Study, node: Node) -> Inputs:
    """Return the start model of a node, and the sets of the node's own split."""
    return {**_model(study, "model", _start_of(study, node.of)), "split": split_of(study, node.of)}


def _reference_inputs(study: Study, node: Node) -> Inputs:
    """Return the start model, the sets and, if their log-probabilities are wanted, the alternatives."""
    found = _of_start(study, node)
    return found | ({"alternatives": Node("alternatives", node.of)} if node.name.endswith(ALTERNATIVES) else {})


def selection_of(of: ModelId) -> ModelId:
    """Return the id of a selection: a method, for all seeds."""
    return ModelId(*of.place, method=of.method)


def _unlearn_inputs(study: Study, node: Node) -> Inputs:
    """Return the start model, the models and references that the method reads, the sets, and the selection of its settings."""
    of, variant, method = node.of, study.variant(node.of), load_method(node.of.method)
    start = study.start_of(of)
    found: Inputs = _model(study, "model", model_of(study, start))
    if own_module(study, node):
        return {**found, "split": split_of(study, of)}
    # Artefacts made from a start model are stored with this run, even if the start model belongs to another run.
    own = of.of(start.method, start.variant)
    if method.reads_alternatives:
        found["alternatives"] = Node("alternatives", own)
    if method.reads_reference:
        # A start model that several seeds share has one reference, but each seed samples alternatives of its own.
        shared = own if method.reads_alternatives else replace(own, seed=start.seed)
        found["reference"] = Node("reference", shared, variant.reference + ALSO[method.other_answers()])
    if method.needs(Finetuned):
        found |= _model(study, "reinforced", Node("reinforce", own))
    if method.is_trained:
        found["split"] = split_of(study, of)
    if of.variant == SELECTED:
        found["selection"] = Node("select", selection_of(of))
    return found


def _unlearn_modules(study: Study, node: Node) -> list[str]:
    """Return the method's module and, if the study requests the trajectory, the modules that measure it."""
    wanted, method = study.training(node.of).trajectory, module_name(node.of.method)
    if wanted is None or own_module(study, node):
        return [method]
    return [method, WATCHING, suites.module_name(study.kind_of(wanted.suite), "suite")]


def _select_inputs(study: Study, node: Node) -> Inputs:
    """Return the trajectory of every trial, and the evaluations of original and Retrain of every run."""
    runs, suite = study.selection_runs(node.of), study.selection(node.of).suite
    return {
        "trajectory": {f"{trial_run(trial)}/{trial.variant}": model_of(study, trial) for trial in study.trials_of(node.of)},
        **{
            role: {trial_run(run): evaluation_of(study.home(run).of(role), suite) for run in runs} for role in (ORIGINAL, RETRAIN)
        },
    }


def _select_modules(study: Study, node: Node) -> list[str]:
    kind = study.kind_of(study.selection(node.of).suite)
    return [suites.module_name(kind, "suite_settings"), *suites.scoring_modules(kind)]


def _attack_inputs(study: Study, node: Node) -> Inputs:
    of, suite = node.of, study.measured_by(node.of)
    fetched = _fetched(study, suite) if suite else {}
    return {**_model(study, "model", model_of(study, of.attacked(""))), "split": split_of(study, of), **fetched}


def _attack_module(study: Study, node: Node) -> list[str]:
    suite, own = study.measured_by(node.of), study.benchmark(node.of.benchmark).kind
    measuring = suites.module_name(study.kind_of(suite), "suite") if suite else suites.module_name(own, "losses")
    return [attack_module(study.config.attacks[node.of.attack].kind), measuring]


# Measurements.


def _evaluate_inputs(study: Study, node: Node) -> Inputs:
    home, suite = study.home(node.of.run), study.config.suites.get(node.name)
    found: Inputs = {**_model(study, "model", model_of(study, node.of)), "split": split_of(study, home)}
    for role in suite.models if suite else ():
        found |= _model(study, role, model_of(study, home.of(role)))
    return found | _fetched(study, node.name)


def _fetched(study: Study, name: str) -> Inputs:
    """Return the data sets of the Hub that a suite reads, if any."""
    suite = study.config.suites.get(name)
    return {"datasets": Node("fetch", ModelId(""), name)} if isinstance(suite, LmEvalSuite) and suite.datasets else {}


def _suite_module(study: Study, node: Node) -> list[str]:
    return [suites.module_name(study.kind_of(node.name), "suite")]


def _judge_inputs(study: Study, node: Node) -> Inputs:
    """Return the evaluation, and the base of a judge on this machine."""
    found: Inputs = {"eval": evaluation_of(node.of, node.name)}
    if is_remote(study, node):
        return found
    return {**found, "judge": base_of(replace(node.of, model=working_model(study, node)))}


def suites_of(study: Study, run: ModelId) -> dict[str, str]:
    """Return the kind of each suite that measures models of a run, by suite name."""
    wanted = study.of_run(run).values()
    names = {name for each in wanted for name in (*each.suites, *([each.trajectory.suite] if each.trajectory else []))}
    return {name: study.kind_of(name) for name in sorted(names)}


def _scores_inputs(study: Study, node: Node) -> Inputs:
    """Return all measurements of a run, and what its suites compare with: Original, and the Retrains of this and other seeds."""
    run, subjects, home = node.of, study.of_run(node.of), study.home(node.of)
    others = [other for other in study.runs if other.place == home.place and other != home]
    compared = {
        name: evaluations(study, [run.of(role) for run in runs])
        for name, role, runs in (
            ("original", ORIGINAL, [home]),
            ("retrain", RETRAIN, [home]),
            ("other_retrains", RETRAIN, others),
        )
    }
    kinds = {suites.SETTINGS[kind] for kind in suites_of(study, run).values() if kind in suites.SETTINGS}
    wanted = {name for kind in kinds for name in kind.compares_with}
    found = {
        "eval": {evaluation_id(each.of.subject, each.name): each for each in evaluations(study, subjects)},
        "judged": {evaluation_id(each.of.subject, each.name): each for each in judgements(study, subjects)},
        "attack": {of.subject: model_of(study, of) for of in subjects.attacked},
        "trajectory": {of.subject: model_of(study, of) for of in subjects.watched},
        **{name: {evaluation_id(seed_id(each.of.seed), each.name): each for each in compared[name]} for name in sorted(wanted)},
    }
    return {name: _made(study, nodes) for name, nodes in found.items()}


def _scores_modules(study: Study, node: Node) -> list[str]:
    return [module for kind in sorted(set(suites_of(study, node.of).values())) for module in suites.scoring_modules(kind)]


def _made(study: Study, nodes: Mapping[str, Node]) -> dict[str, Node]:
    return {each: node for each, node in nodes.items() if study.is_made(node.path)}


def _external_modules(study: Study, node: Node) -> list[str]:
    kind = study.kind_of(study.config.external[node.name].suite)
    return [suites.module_name(kind, "imported"), *suites.scoring_modules(kind)]


def _external_inputs(study: Study, node: Node) -> Inputs:
    """Return the evaluation of the study's Retrain, if the log comes without a Retrain."""
    given = study.config.external[node.name]
    if given.retrain is not None:
        return {}
    return {"retrain": evaluation_of(study.home(study.external_run(node.name)).of(RETRAIN), given.suite)}


def _summarise_inputs(study: Study, node: Node) -> Inputs:
    return {
        "scores": _made(study, {run.path: scores_of(run) for run in study.runs}),
        "selection": _made(study, {"/".join(of.key): Node("select", of) for of in study.selections}),
        "external": _made(study, {name: external_of(study, name) for name in study.config.external}),
    }


def _report_inputs(study: Study, node: Node) -> Inputs:
    return {"summary": Node("summarise", ModelId(""))}


def _nothing(study: Study, node: Node) -> Inputs:
    return {}


# In the order of the pipeline.
STAGES: dict[str, Stage] = {
    "data": Stage("{benchmark}/data", _nothing, _source_module),
    "fetch": Stage("datasets/{name}", _nothing),
    "split": Stage("{benchmark}/splits/{split}", _its_data, _split_module),
    "draw": Stage("{benchmark}/seed{seed}/data", _nothing, is_brought=True),
    "base": Stage("{benchmark}/{model}/base", _base_inputs, agreement="statistical", is_measured=True, has_weights=True),
    "finetune": Stage(f"{RUN}/{{method}}/model", _finetune_inputs, agreement="statistical", is_measured=True, has_weights=True),
    "given": Stage(f"{RUN}/{{subject}}/model", _nothing, agreement="statistical", module="base", has_weights=True),
    "reinforce": Stage(
        f"{RUN}/{{subject}}/reinforced/model", _of_start, agreement="statistical", is_measured=True, has_weights=True
    ),
    "alternatives": Stage(f"{RUN}/{{subject}}/alternatives", _of_start, agreement="numeric", is_measured=True),
    "reference": Stage(f"{RUN}/{{subject}}/reference/{{name}}", _reference_inputs, agreement="numeric", is_measured=True),
    "unlearn": Stage(f"{UNLEARNED}/model", _unlearn_inputs, _unlearn_modules, "statistical", is_measured=True, has_weights=True),
    "select": Stage("{benchmark}/{model}/{split}/selection/{method}", _select_inputs, _select_modules),
    "attack": Stage(f"{RUN}/{{subject}}", _attack_inputs, _attack_module, "statistical", is_measured=True, has_weights=True),
    "evaluate": Stage(f"{RUN}/{{subject}}/eval/{{name}}", _evaluate_inputs, _suite_module, "numeric", is_measured=True),
    "judge": Stage(f"{RUN}/{{subject}}/judged/{{name}}", _judge_inputs, agreement="statistical", is_measured=True),
    "scores": Stage(f"{RUN}/scores", _scores_inputs, _scores_modules),
    "external": Stage("{benchmark}/{model}/{split}/external/{name}", _external_inputs, _external_modules),
    "summarise": Stage("summary", _summarise_inputs),
    "report": Stage("report", _report_inputs, lambda study, node: page_modules()),
}


def agreement_of(module: str) -> Agreement:
    """Return how closely two runs of a stage agree, by its name in manifests; an unknown stage must agree bitwise."""
    stage = module.rpartition(".")[2]
    rows = [row for name, row in STAGES.items() if stage in (name, row.module)]
    return rows[0].agreement if rows else "bitwise"
