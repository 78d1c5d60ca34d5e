"""What the rules of the workflow ask of a study: specs, code digests, inputs and resources of a job, by its wildcards."""

from __future__ import annotations

import json
import os
import re
import shlex
import sys
from collections.abc import Callable, Iterable
from inspect import signature
from itertools import product
from pathlib import Path
from string import ascii_letters
from typing import Any, Protocol, TypeVar
from uuid import uuid4

from palimpsest.benchmarks import suites
from palimpsest.config.checks import files_made_of
from palimpsest.config.description import describe_study, resolve_config
from palimpsest.config.models import CHOSEN, HALF, ORIGINAL, PLAIN, RETRAIN, ROLES, ChainEntry
from palimpsest.config.patterns import ANY
from palimpsest.config.study import PIECES, Choice, Run, Study, Subject, Variant
from palimpsest.data import sources
from palimpsest.data.settings import LocalSource
from palimpsest.errors import DIVERGED_EXIT, KILLED_EXIT, SNAKEMAKE_RUN
from palimpsest.evaluation.lm_eval.suite_settings import LmEvalSuite
from palimpsest.markov.settings import ChainModel, ChainSettings
from palimpsest.models.settings import Needs, Pretrained, Repository, Tiny, UsedSettings
from palimpsest.objectives import load_objective, module_name
from palimpsest.provenance.canonical import canonical_json
from palimpsest.provenance.commit import COMMIT, describe_commit
from palimpsest.provenance.digest import code_digest, stage_code
from palimpsest.selection.settings import SelectionRule
from palimpsest.training.settings import TrainSettings

# Of each input of a run's scores: the model that it is about, and its manifest.
Tried = dict[str, list[tuple[dict[str, Any], str]]]
# How remarks call the inputs.
ATTEMPTS = {"eval": "evaluation", "attack": "attack", "trajectory": "trajectory"}
NEVER = r"(?!)"
# What grows with the attempt, so that a job which ran out of it gets more.
GROWING = ("mem", "runtime")
# Before the command of a job that is to see the network: in a container it sees none otherwise.
NETWORK = "PALIMPSEST_NETWORK=yes"
KILLED = "palimpsest: the job was killed (SIGKILL), most likely out of memory: give the model more `resources: mem`"
SAY_KILLED = f"[ $code -ne {KILLED_EXIT} ] || echo {shlex.quote(KILLED)} >&2"
# What diverged is a result: its artefact is made, and what depends on it is made too.
TAKE_DIVERGED = f"[ $code -ne {DIVERGED_EXIT} ] || exit 0"
AT_EXIT = f"code=$?; {SAY_KILLED}; {TAKE_DIVERGED}"


class Wildcards(Protocol):
    """A job's wildcards, as Snakemake gives them to the functions of a rule."""

    def __getattr__(self, name: str) -> str: ...


Rule = TypeVar("Rule", bound=Callable[..., Any])


def asked(rule: Rule) -> Rule:
    """Tell Snakemake what a rule's function takes, or each method of a class: else it works that out several times a job."""
    if isinstance(rule, type):
        for name, method in vars(rule).items():
            if not name.startswith("_"):
                asked(method)
        return rule
    parameters = signature(rule).parameters
    rule._overwrite_params = {name: parameters[name] for name in parameters if name != "self"}  # type: ignore[attr-defined]
    return rule


@asked
class Specs:
    """The spec of each stage's jobs: canonical JSON of exactly what the stage reads."""

    def __init__(self, study: Study) -> None:
        self._study = study
        self._config = study.config

    def data(self, wildcards: Wildcards) -> str:
        """Return the spec of a benchmark's data."""
        source = self._study.source(wildcards.benchmark)
        return canonical_json({"benchmark": wildcards.benchmark, "source": source.model_dump()})

    def files(self, wildcards: Wildcards) -> str:
        """Return the hashes of a local folder's files: they are no part of the spec, but an edit must rerun what comes of them.

        A folder that is gone counts as what its data artefact was made from.
        """
        source = self._study.source(wildcards.benchmark)
        if not isinstance(source, LocalSource):
            return ""
        made_of = files_made_of(self._study.results, wildcards.benchmark)
        return canonical_json(sources.hash_folder(source) if Path(source.path).is_dir() else made_of)

    def split(self, wildcards: Wildcards) -> str:
        """Return the spec of a split."""
        settings = self._study.tofu(wildcards.benchmark).split
        return canonical_json({"split": wildcards.split, "settings": settings.model_dump()})

    def text_split(self, wildcards: Wildcards) -> str:
        """Return the spec of a split of texts."""
        return canonical_json({"split": wildcards.split})

    def base(self, wildcards: Wildcards) -> str:
        """Return the spec of a base model: all that makes a tiny one, or which one it is of those that have weights already."""
        model = self._config.models[wildcards.model]
        unread = {"lora", "gradient_checkpointing"} if isinstance(model, Tiny) else set(UsedSettings.model_fields)
        if isinstance(model, Tiny) and not self._study.is_texts(wildcards.benchmark):
            unread |= PIECES
        settings = model.model_dump(exclude={"resources", "original", "retrain", *unread})
        return canonical_json({"model": settings, **_needs(model)})

    def given(self, wildcards: Wildcards) -> str:
        """Return the spec of a finished original or Retrain, whose tokenizer is the model's."""
        model = self._config.models[wildcards.model]
        assert isinstance(model, Pretrained)
        own = model.tokenizer or Repository(name=model.name, revision=model.revision)
        finished = getattr(model, wildcards.role).model_dump()
        settings = {"kind": "pretrained", **finished, "tokenizer": own.model_dump()}
        return canonical_json({"model": settings, **_needs(model)})

    def finetune(self, wildcards: Wildcards) -> str:
        """Return the spec of an original or a Retrain."""
        training = self._study.finetuning(wildcards.benchmark, wildcards.split, wildcards.model)
        return self._finetune(wildcards, wildcards.role, training)

    def strengthen(self, wildcards: Wildcards) -> str:
        """Return the spec of a start model that learns the forget set once more."""
        training = self._study.strengthening(wildcards.benchmark, wildcards.split, wildcards.model)
        return self._finetune(wildcards, "strengthened", training)

    def _finetune(self, wildcards: Wildcards, role: str, training: TrainSettings) -> str:
        model = self._study.used(wildcards.benchmark, wildcards.model, trained=True)
        return canonical_json({"role": role, "seed": int(wildcards.seed), "training": training.model_dump(), "model": model})

    def reference(self, wildcards: Wildcards) -> str:
        """Return the spec of a reference's log-probabilities; a plain one has no random share, and so no seed that matters."""
        name = wildcards.reference
        perturbed = {"random_share": 0.0, "seed": 0} if name == PLAIN else self._config.references[name].model_dump()
        used = self._study.used(wildcards.benchmark, wildcards.model, trained=False)
        return canonical_json({"model": used, **perturbed})

    def unlearn(self, wildcards: Wildcards) -> str:
        """Return the spec of an unlearned model; the settings of a chosen one are those that its choice names."""
        w, variant = wildcards, _variant(self._study, wildcards)
        settings = dict.fromkeys(variant.settings) if w.variant == CHOSEN else variant.settings
        model = self._study.used(w.benchmark, w.model, trained=variant.training is not None)
        return canonical_json({"method": w.method, "seed": int(w.seed), **settings, "model": model})

    def trajectory(self, wildcards: Wildcards) -> str:
        """Return the spec of a trajectory."""
        w = wildcards
        wanted = self._study.subjects[Subject(_run(w), w.method, w.variant)].trajectory
        assert wanted
        return canonical_json(
            {
                "method": w.method,
                "seed": int(w.seed),
                **_variant(self._study, w).settings,
                "model": self._study.used(w.benchmark, w.model, trained=True),
                "suite": self._config.suites[wanted.suite].model_dump(),
                "epochs": wanted.epochs,
            }
        )

    def choice(self, wildcards: Wildcards) -> str:
        """Return the spec of a choice: its rule, and the settings of each trial in the order of the inputs."""
        choice = _choice(wildcards)
        selection = self._study.selection(choice)
        trials = [
            {"variant": name, "seed": run.seed, **self._study.variant(*run.place, choice.method, name).settings}
            for name, run in _trials(self._study, choice)
        ]
        rule = selection.model_dump(include=set(SelectionRule.model_fields))
        suite = {"suite": selection.suite, "kind": self._config.suites[selection.suite].kind}
        return canonical_json({"rule": rule, **suite, "trials": trials, "references": selection.seeds})

    def attack(self, wildcards: Wildcards) -> str:
        """Return the spec of an attack."""
        return canonical_json(
            {
                "kind": self._config.benchmarks[wildcards.benchmark].kind,
                "attack": self._config.attacks[wildcards.attack].model_dump(),
                "seed": int(wildcards.seed),
                "model": self._study.used(wildcards.benchmark, wildcards.model, trained=True),
            }
        )

    def evaluate(self, wildcards: Wildcards) -> str:
        """Return the spec of an evaluation: all suites that some block wants of this model."""
        w = wildcards
        subject = _subject(self._study, w)
        listed = {name: self._config.suites[name].model_dump() for name in self._study.subjects[subject].suites}
        return canonical_json({"suites": listed, "model": self._study.used(w.benchmark, w.model, trained=False)})

    def markov_data(self, wildcards: Wildcards) -> str:
        """Return the spec of a seed's sequences."""
        chains = self._study.chains(wildcards.benchmark).model_dump(include=set(ChainSettings.model_fields))
        return canonical_json({"chains": chains, "seed": int(wildcards.seed)})

    def markov_original(self, wildcards: Wildcards) -> str:
        """Return the spec of an original of Markov chains: it has learnt all chains, but for what the split leaves out."""
        w, learnt = wildcards, self._study.lengths(wildcards.benchmark, wildcards.split)
        if not self._study.chains(w.benchmark).splits[w.split].forget2_learnt:
            del learnt["forget2"]
        return self._markov_train(w, learnt, self._study.finetuning(w.benchmark, w.split, w.model))

    def markov_retrain(self, wildcards: Wildcards) -> str:
        """Return the spec of a Retrain of Markov chains: all splits share it, so no pattern that names one applies."""
        w = wildcards
        learnt = {"retain": self._study.chains(w.benchmark).length}
        return self._markov_train(w, learnt, self._study.finetuning(w.benchmark, ANY, w.model))

    def _markov_train(self, wildcards: Wildcards, learnt: dict[str, int], training: TrainSettings) -> str:
        return canonical_json(
            {
                "model": self._config.models[wildcards.model].model_dump(include=set(ChainModel.model_fields)),
                "learnt": learnt,
                "training": training.model_dump(include=set(TrainSettings.model_fields)),
                "seed": int(wildcards.seed),
            }
        )

    def markov_evaluate(self, wildcards: Wildcards) -> str:
        """Return the spec of how an original or Retrain of Markov chains is measured."""
        return canonical_json(
            {"suite": wildcards.benchmark, "lengths": self._study.lengths(wildcards.benchmark, wildcards.split)}
        )

    def markov_trajectory(self, wildcards: Wildcards) -> str:
        """Return the spec of unlearning Markov chains."""
        w = wildcards
        return canonical_json(
            {
                "method": w.method,
                "seed": int(w.seed),
                **_variant(self._study, w).settings,
                "lengths": self._study.lengths(w.benchmark, w.split),
                "watched": self._study.chains(w.benchmark).watched,
            }
        )

    def scores(self, wildcards: Wildcards) -> str:
        """Return the spec of a run's scores: the kinds of its suites, and what each of its inputs is, in their order."""
        run, study = _run(wildcards), self._study
        published, tried = getattr(study.config.benchmarks[run.benchmark], "retrain_auc", None), _tried(study, run)
        made = {name: [names for names, path in listed if path not in study.gaps] for name, listed in tried.items()}
        gaps = _gaps(study, tried)
        if study.is_texts(run.benchmark) and study.home(run) != run:
            retrain = Subject(study.home(run), RETRAIN)
            gaps += _gaps(study, {"eval": [(_named(retrain), study.path(retrain.path, "eval"))]})
        return canonical_json(
            {
                "run": vars(run),
                "suites": _suites(study, run),
                **({} if published is None else {"published": {"auc_min_k": published}}),
                "evaluations": made["eval"],
                "attacks": made["attack"],
                "trajectories": made["trajectory"],
                **({"gaps": gaps} if gaps else {}),
            }
        )

    def external(self, wildcards: Wildcards) -> str:
        """Return the spec of a log that others made; its files' hashes are its identity.

        Of a log that is gone they are those that its artefact was made from.
        """
        name = wildcards.external
        external, run = self._config.external[name], self._study.external_run(name)
        return canonical_json(
            {
                "name": name,
                "kind": self._config.suites[external.suite].kind,
                "place": {**vars(run), "suite": external.suite},
                "source": external.source,
                "log": self._log(name, "log", external.log),
                "retrain": None if external.retrain is None else self._log(name, "retrain", external.retrain),
            }
        )

    def _log(self, name: str, key: str, path: str) -> dict[str, Any]:
        if Path(path).exists():
            kind = self._config.suites[self._config.external[name].suite].kind
            # The module that reads logs is slow to import, so only a study that imports some loads it.
            return {"path": path, "files": suites.load(kind, "imported").hash_log(Path(path))}
        made = json.loads(Path(self._study.external(name)).read_text(encoding="utf-8"))["spec"]
        return {"path": path, "files": (made[key] or {}).get("files", {})}

    def summarise(self, wildcards: Wildcards) -> str:
        """Return the spec of the summary: which choices there are, in the order of its inputs."""
        study = self._study
        choices = [vars(choice) for choice in study.choices if study.path(choice.path) not in study.gaps]
        gaps = [
            {**vars(run), "method": method, "of": of, "reason": study.gaps[path]}
            for run, method, of, path in (
                *((run, "", "scores", study.path(run.path, "scores")) for run in study.runs),
                *((study.external_run(name), name, "log", study.external(name)) for name in study.config.external),
            )
            if path in study.gaps
        ]
        return canonical_json({"choices": choices, **({"gaps": gaps} if gaps else {})})

    def report(self, wildcards: Wildcards) -> str:
        """Return the spec of the report: what it shows of the config."""
        return canonical_json({"study": describe_study(self._study), "published": self._study.published})

    def config(self, wildcards: Wildcards) -> str:
        """Return the config of the study, with every pattern replaced by what it comes to."""
        return canonical_json(resolve_config(self._study))


def _needs(model: Any) -> dict[str, Any]:
    """Return what the stage `base` checks a model for, if anything; other settings of prompts and adapters do not rerun it."""
    targets = model.lora.target_modules if model.lora else None
    needs = Needs(chat=model.prompt.kind == "chat", lora_targets=targets if isinstance(targets, list) else None)
    return {} if needs == Needs() else {"needs": needs.model_dump()}


@asked
class Inputs:
    """The inputs of jobs, by name, as paths of manifests: what a method, a variant and a run need."""

    def __init__(self, study: Study) -> None:
        self._study = study

    def finetune(self, wildcards: Wildcards) -> dict[str, str]:
        """Return the base and the split."""
        return self._with_split(wildcards, base=f"{wildcards.benchmark}/{wildcards.model}/base")

    def strengthen(self, wildcards: Wildcards) -> dict[str, str]:
        """Return the start model, which learns more, and the split."""
        return self._with_split(wildcards, base=self._study.start_folder(_run(wildcards), wildcards.start))

    def reference(self, wildcards: Wildcards) -> dict[str, str]:
        """Return the start model and the split."""
        return self._with_split(wildcards, model=self._study.start_folder(_run(wildcards), wildcards.start))

    def evaluate(self, wildcards: Wildcards) -> dict[str, str]:
        """Return a model, and the split whose sets it is evaluated on: of texts always the first."""
        w, study = wildcards, self._study
        subject = _subject(study, w)
        split = study.split_folder(w.benchmark, study.home(subject.run).split)
        return {"model": study.path(study.model_folder(subject)), "split": study.path(split)}

    def watched(self, wildcards: Wildcards) -> dict[str, str]:
        """Return the start model, the reference or strengthened model where the method reads one, and the split to train on."""
        folders = self._study.read_by(_run(wildcards), wildcards.method, wildcards.variant)
        if load_objective(wildcards.method).is_trained:
            return self._with_split(wildcards, **folders)
        return {name: self._study.path(folder) for name, folder in folders.items()}

    def unlearn(self, wildcards: Wildcards) -> dict[str, str]:
        """Return the same, and for the chosen variant the choice."""
        inputs = self.watched(wildcards)
        if wildcards.variant == CHOSEN:
            inputs["choice"] = self._study.path(_choice(wildcards).path)
        return inputs

    def choice(self, wildcards: Wildcards) -> dict[str, list[str]]:
        """Return the trajectory of every trial, and original and Retrain of every seed."""
        study, choice = self._study, _choice(wildcards)
        runs = {role: [Subject(run, role) for run in study.judged_on(choice)] for role in (ORIGINAL, RETRAIN)}
        trials = [Subject(run, choice.method, name) for name, run in _trials(study, choice)]
        return {
            "trajectory": [study.path(trial.path, "trajectory") for trial in trials],
            **{role: [study.path(subject.path, "eval") for subject in subjects] for role, subjects in runs.items()},
        }

    def markov_evaluate(self, wildcards: Wildcards) -> dict[str, str]:
        """Return an original or Retrain of Markov chains, and the sequences."""
        w, study = wildcards, self._study
        model = study.model_folder(Subject(_run(w), w.role))
        return {"model": study.path(model), "data": study.path(f"{w.benchmark}/seed{w.seed}/data")}

    def scores(self, wildcards: Wildcards) -> dict[str, list[str]]:
        """Return all that is measured of a run, and the Retrains that its suites compare with: its own, and other seeds'."""
        study, run = self._study, _run(wildcards)
        home = study.home(run)
        retrains = {
            "retrain": [home],
            "other_retrains": [other for other in study.runs if other.place == home.place and other != home],
        }
        wanted = {
            name for kind in _suites(study, run).values() if kind in suites.SETTINGS for name in suites.SETTINGS[kind].retrains
        }
        found = {name: [Subject(each, RETRAIN) for each in retrains[name]] for name in sorted(wanted)}
        return {
            **{name: study.made(path for _, path in listed) for name, listed in _tried(study, run).items()},
            **{
                name: study.made(study.path(each.path, "eval") for each in listed if study.is_evaluated(each))
                for name, listed in found.items()
            },
        }

    def external(self, wildcards: Wildcards) -> dict[str, str]:
        """Return, for a log that others made and that brings no Retrain of its own, the evaluation of the study's."""
        if self._study.config.external[wildcards.external].retrain is not None:
            return {}
        retrain = Subject(self._study.external_run(wildcards.external), RETRAIN)
        return {"retrain": self._study.path(retrain.path, "eval")}

    def summarise(self, wildcards: Wildcards) -> dict[str, list[str]]:
        """Return the scores of all runs, the choices, and the logs that others made."""
        made = self._study.made
        return {
            "scores": made(self._study.scores()),
            "choice": made(self._study.path(choice.path) for choice in self._study.choices),
            "external": made(self._study.external(name) for name in self._study.config.external),
        }

    def _with_split(self, wildcards: Wildcards, **folders: str) -> dict[str, str]:
        split = self._study.split_folder(wildcards.benchmark, wildcards.split)
        return {name: self._study.path(folder) for name, folder in {**folders, "split": split}.items()}


class Names:
    """For each wildcard a regular expression of the names that a study has for it."""

    def __init__(self, study: Study) -> None:
        config, subjects = study.config, list(study.subjects)
        unlearned = [subject for subject in subjects if subject.method not in ROLES]
        self.markov = one_of(name for name in config.benchmarks if study.is_markov(name))
        self.texts = one_of(name for name in config.benchmarks if study.is_texts(name))
        self.tofu = one_of(name for name in config.benchmarks if not (study.is_markov(name) or study.is_texts(name)))
        self.benchmark = f"{self.tofu}|{self.texts}"
        self.split = one_of(subject.run.split for subject in subjects)
        self.tiny = one_of(name for name, model in config.models.items() if isinstance(model, Tiny))
        self.pretrained = one_of(name for name, model in config.models.items() if not isinstance(model, Tiny | ChainEntry))
        self.given = one_of(name for name in config.models if study.is_given(name))
        self.taught = one_of(name for name in config.models if not study.is_given(name))
        self.model = one_of(config.models)
        self.seed = r"\d+"
        self.role = one_of(ROLES)
        self.reference = one_of((PLAIN, *config.references))
        self.method = one_of(subject.method for subject in unlearned)
        self.variant = one_of(subject.variant for subject in unlearned)
        self.attack = one_of(config.attacks)
        self.external = one_of(config.external)
        unlearned_folder = f"unlearn/(?:{self.method})/(?:{self.variant})"
        self.subject = f"{self.role}|{unlearned_folder}"
        self.start = f"{one_of((ORIGINAL, HALF))}|{unlearned_folder}"


def one_of(names: Iterable[str]) -> str:
    """Return a regular expression that matches these names alone; of no names, one that never matches."""
    return "|".join(re.escape(name) for name in dict.fromkeys(names)) or NEVER


def data_code(study: Study) -> Callable[[Wildcards], str]:
    """Return a function that gives the code digest of a data stage with the module that reads a job's source, and no other."""
    return asked(lambda wildcards: stage_code("data", sources.module_name(study.source(wildcards.benchmark).kind)))


def publish_code() -> str:
    """Return the code digest of what is published beside the report: the config written out and the costs."""
    return code_digest("palimpsest.config.__main__", "palimpsest.reporting.cost")


def method_code(stage: str) -> Callable[[Wildcards], str]:
    """Return a function that gives the code digest of a stage with the module of a job's method, and of no other method."""
    return asked(lambda wildcards: stage_code(stage, module_name(wildcards.method)))


def scores_code(study: Study) -> Callable[[Wildcards], str]:
    """Return a function that gives the code digest of a run's scores with the modules that score its kinds of suites."""

    @asked
    def code(wildcards: Wildcards) -> str:
        kinds = sorted(set(_suites(study, _run(wildcards)).values()))
        return stage_code("scores", *(module for kind in kinds for module in suites.scoring_modules(kind)))

    return code


def choice_code(study: Study) -> Callable[[Wildcards], str]:
    """Return a function that gives the code digest of a choice with the modules that score the suite that judges."""

    @asked
    def code(wildcards: Wildcards) -> str:
        kind = study.config.suites[study.selection(_choice(wildcards)).suite].kind
        return stage_code("choice", suites.module_name(kind, "suite_settings"), *suites.scoring_modules(kind))

    return code


def attack_code(study: Study) -> Callable[[Wildcards], str]:
    """Return a function that gives the code digest of an attack with the module that measures losses for the benchmark."""
    return asked(
        lambda wildcards: stage_code("attack", suites.module_name(study.config.benchmarks[wildcards.benchmark].kind, "losses"))
    )


def external_code(study: Study) -> Callable[[Wildcards], str]:
    """Return a function that gives the code digest of a log that others made with the modules that read and score it."""

    @asked
    def code(wildcards: Wildcards) -> str:
        kind = study.config.suites[study.config.external[wildcards.external].suite].kind
        return stage_code("external", suites.module_name(kind, "imported"), *suites.scoring_modules(kind))

    return code


def evaluate_code(study: Study) -> Callable[[Wildcards], str]:
    """Return a function that gives the code digest of an evaluation with the modules of its kinds of suites, and of no other."""

    @asked
    def code(wildcards: Wildcards) -> str:
        w = wildcards
        subject = _subject(study, w)
        kinds = sorted({study.config.suites[name].kind for name in study.subjects[subject].suites})
        return stage_code("evaluate", *(suites.module_name(kind, "suite") for kind in kinds))

    return code


def trajectory_code(study: Study) -> Callable[[Wildcards], str]:
    """Return a function that gives the code digest of a trajectory with the modules of its method and its kind of suite."""

    @asked
    def code(wildcards: Wildcards) -> str:
        w = wildcards
        wanted = study.subjects[Subject(_run(w), w.method, w.variant)].trajectory
        assert wanted
        return stage_code(
            "trajectory", module_name(w.method), suites.module_name(study.config.suites[wanted.suite].kind, "suite")
        )

    return code


def resource(study: Study, name: str) -> Callable[..., int | str]:
    """Return a function that says what a job which works with a model asks for; memory and time grow with the attempt."""

    @asked
    def ask(wildcards: Wildcards) -> int | str:
        value: int | str = getattr(study.config.models[wildcards.model].resources, name)
        return value

    @asked
    def ask_more(wildcards: Wildcards, attempt: int) -> str:
        return multiplied(str(ask(wildcards)), attempt)

    return ask_more if name in GROWING else ask


def multiplied(amount: str, times: int) -> str:
    """Return an amount with a unit so many times: twice "1.5GB" is "3GB"."""
    number = amount.rstrip(ascii_letters)
    return f"{float(number) * times:g}{amount[len(number) :]}"


def evaluation_network(study: Study) -> Callable[[Wildcards], str]:
    """Return a function that says whether an evaluation needs the network: stock tasks of lm-eval fetch their data."""

    @asked
    def network(wildcards: Wildcards) -> str:
        listed = (study.config.suites[name] for name in study.subjects[_subject(study, wildcards)].suites)
        tasks = [task for suite in listed if isinstance(suite, LmEvalSuite) for task in suite.tasks]
        return NETWORK if any(isinstance(task, str) for task in tasks) else ""

    return network


@asked
def input_flags(wildcards: Wildcards, input: Any) -> str:
    """Return the named inputs of a job as flags of a stage's command line."""
    pairs = [(name, [paths] if isinstance(paths, str) else paths) for name, paths in input.items()]
    return " ".join(f"--in {name}={path}" for name, paths in pairs for path in paths)


def _run(wildcards: Wildcards) -> Run:
    return Run(wildcards.benchmark, wildcards.split, wildcards.model, int(wildcards.seed))


def _subject(study: Study, wildcards: Wildcards) -> Subject:
    w = wildcards
    return study.subject(f"{w.benchmark}/{w.model}/{w.split}/seed{w.seed}/{w.subject}")


def _choice(wildcards: Wildcards) -> Choice:
    return Choice(wildcards.benchmark, wildcards.split, wildcards.model, wildcards.method)


def _trials(study: Study, choice: Choice) -> list[tuple[str, Run]]:
    return list(product(study.candidates(choice), study.judged_on(choice)))


def _variant(study: Study, wildcards: Wildcards) -> Variant:
    return study.variant(*_run(wildcards).place, wildcards.method, wildcards.variant)


def _suites(study: Study, run: Run) -> dict[str, str]:
    """Return the kind of each suite that measures models of a run."""
    if study.is_markov(run.benchmark):
        return {run.benchmark: study.config.benchmarks[run.benchmark].kind}
    wanted = study.of_run(run).values()
    names = {name for each in wanted for name in (*each.suites, *([each.trajectory.suite] if each.trajectory else []))}
    return {name: study.config.suites[name].kind for name in sorted(names)}


def _tried(study: Study, run: Run) -> Tried:
    """Return what is measured of a run, by the names of the inputs."""
    subjects, kinds = study.of_run(run), _suites(study, run)

    def scored(subject: Subject) -> list[str]:
        return sorted(suite for suite in subjects[subject].suites if kinds[suite] == study.config.benchmarks[run.benchmark].kind)

    return {
        "eval": [(_named(subject), study.path(subject.path, "eval")) for subject in subjects.evaluated],
        "attack": [
            ({**_named(subject), "attack": name, "suites": scored(subject)}, study.path(subject.path, "attack", name))
            for subject, name in subjects.attacked
        ],
        "trajectory": [
            ({**_named(subject), "suite": wanted.suite}, study.path(subject.path, "trajectory"))
            for subject in subjects.watched
            if (wanted := subjects[subject].trajectory)
        ],
    }


def _gaps(study: Study, tried: Tried) -> list[dict[str, Any]]:
    """Return what is missing of that, and why."""
    return [
        {key: value for key, value in names.items() if key not in ("suite", "suites")}
        | {"of": ATTEMPTS[name], "reason": study.gaps[path]}
        for name, listed in tried.items()
        for names, path in listed
        if path in study.gaps
    ]


def _named(subject: Subject) -> dict[str, str]:
    return {"method": subject.method, "variant": subject.variant}


def job_environment(source: Path, results: str) -> dict[str, str]:
    """Return the variables that every job has: the package, where checkpoints go, the commit of the code."""
    return {
        "PYTHONPATH": str(source),
        "PYTHONHASHSEED": "0",
        "PALIMPSEST_SCRATCH": f"{results}/.scratch",
        # Jobs of a cluster, which read the workflow again, inherit it.
        SNAKEMAKE_RUN: os.environ.setdefault(SNAKEMAKE_RUN, uuid4().hex),
        COMMIT: describe_commit(source.parent),
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "TOKENIZERS_PARALLELISM": "false",
    }


def shell_prefix(source: Path, results: str, *, deployed: bool) -> str:
    """Return what stands before every job's command: its variables, and which python.

    A SIGTERM reaches the shell too, whose end would end the job: it waits for the stage, which may still save a checkpoint. What
    SIGKILL ended cannot say so: the shell does.
    With conda or a container (`deployed`), `python` is theirs; without, it is the one that runs Snakemake.
    """
    exports = job_environment(source, results)
    path = "" if deployed else f" PATH={shlex.quote(str(Path(sys.executable).parent))}:$PATH"
    assignments = " ".join(f"{name}={shlex.quote(value)}" for name, value in exports.items())
    # Snakemake formats the prefix, so braces in a path are doubled.
    return f"set -euo pipefail; trap : TERM; trap {shlex.quote(AT_EXIT)} EXIT; export {assignments}{path}; ".replace(
        "{", "{{"
    ).replace("}", "}}")
