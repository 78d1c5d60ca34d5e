"""The paths, specs, inputs, code digests and resources of a job, by its wildcards, for the rules of the workflow."""

from __future__ import annotations

import os
import re
import shlex
import string
import sys
from collections.abc import Callable, Iterable, Mapping
from inspect import signature
from pathlib import Path
from typing import Any, Protocol, TypeVar

from palimpsest.contract.store import STORE_FOLDER
from palimpsest.environment import NO_STORE, SCRATCH, STORAGE, STORE
from palimpsest.errors import DIVERGED_EXIT, KILLED_EXIT, SNAKEMAKE_RUN, UserError
from palimpsest.provenance.canonical import canonical_json, sha256_text
from palimpsest.provenance.commit import COMMIT
from palimpsest.provenance.digest import code_digest
from palimpsest.provenance.manifest import MANIFEST, PRUNED
from palimpsest.study.description import resolve_config
from palimpsest.study.keeping import priority, prunable
from palimpsest.study.library import Library
from palimpsest.study.messages import one_line
from palimpsest.study.specs import source_files, spec_of
from palimpsest.study.stages import STAGES, Artefacts, Node, working_model
from palimpsest.study.storage import Storage, archive_of, environment_of, unwatched
from palimpsest.study.study import Study

# Matches no name; without a question mark, because a path on a storage may be read as a URL.
NEVER = r"[^\s\S]"
# The modules that write the files beside the report.
PUBLISHED = ("palimpsest.study.publish", "palimpsest.report.cost")
# Resources that grow with the attempt: a job that ran out of one gets more.
GROWING = ("mem", "runtime")
# A variable of the command of a job that needs the network; without it, a container has no network.
NETWORK = "PALIMPSEST_NETWORK=yes"
KILLED = "palimpsest: the job was killed (SIGKILL), most likely out of memory: give the model more `resources: mem`"
SAY_KILLED = f"[ $code -ne {KILLED_EXIT} ] || echo {shlex.quote(KILLED)} >&2"
# A divergence is a result: its artefact is made, and so are the artefacts that depend on it.
TAKE_DIVERGED = f"[ $code -ne {DIVERGED_EXIT} ] || exit 0"
AT_EXIT = f"code=$?; {SAY_KILLED}; {TAKE_DIVERGED}"
OUT = "--out {output.manifest}"
# Linux takes an argument of at most 128 KiB. Bash writes a longer spec to a file itself, without starting a command.
LONGEST = 64 * 1024
# The command of every stage; a rule that inherits from another cannot change it.
COMMAND = (
    "{params.before} python -m palimpsest.launch --gpu {resources.gpu} --parallel {resources.parallel}"
    f" {{params.job}} {OUT} > {{log}} 2>&1"
)


class Wildcards(Protocol):
    """A job's wildcards, as Snakemake gives them to the functions of a rule."""

    def __getattr__(self, name: str) -> str: ...

    def items(self) -> Iterable[tuple[str, str]]:
        """Return each name with its value."""


Asked = TypeVar("Asked", bound=Callable[..., Any])


def asked(function: Asked) -> Asked:
    """Cache a function's signature, which Snakemake otherwise inspects several times per job."""
    parameters = signature(function).parameters
    function._overwrite_params = dict(parameters)  # type: ignore[attr-defined]
    return function


class Rule:
    """The parts of a rule that depend on its stage; each function takes a job's wildcards."""

    def __init__(
        self,
        artefacts: Artefacts,
        stage: str,
        only: Callable[[Node], bool] = lambda node: True,
        *,
        plan: Callable[[Node, Node], str] | None = None,
        storage: Storage | None = None,
    ) -> None:
        """Take a stage; `plan` gives Snakemake the manifest of a reader's input, if more is to be said of it than its path."""
        study, row = artefacts.study, STAGES[stage]
        self._artefacts, self._path, self._storage = artefacts, row.path, storage
        self._plan = plan or (lambda reader, given: artefacts.manifest(given))
        nodes = [node for node in artefacts.of(stage) if only(node)]
        manifest = f"{study.results}/{_constrained(row.path, self._names(nodes))}/{MANIFEST}"
        # The manifest last: with it, the storage has a whole artefact.
        stored = {"archive": archive_of(manifest), "environment": environment_of(manifest)} if storage else {}
        self.outputs = {**stored, "manifest": manifest}
        self.log = f"{study.results}/logs/{row.path}.log"
        self.inputs = asked(lambda wildcards: self._inputs(self._node(wildcards)))
        # An amount that all jobs share is given itself, because Snakemake spends time on functions.
        priorities = {priority(artefacts, node) for node in nodes}
        ask = asked(lambda wildcards: priority(artefacts, self._node(wildcards)))
        self.priority = ask if len(priorities) > 1 else next(iter(priorities), 0)
        self.job = asked(lambda wildcards: self._command(self._node(wildcards)))
        self.files = asked(lambda wildcards: source_files(study, self._node(wildcards)))

    def _node(self, wildcards: Wildcards) -> Node:
        return self._artefacts.at(self._path.format(**dict(wildcards.items())))

    def _inputs(self, node: Node) -> dict[str, list[str]]:
        """Return the inputs of a job for Snakemake: inputs that differ only in their id share a name."""
        named: dict[str, list[str]] = {}
        for label, given in self._artefacts.given(node).items():
            named.setdefault(label.partition(":")[0], []).append(self._plan(node, given))
        if self._storage and named:
            named["archives"] = [unwatched(archive_of(path)) for path in self._artefacts.inputs(node).values()]
        return named

    def _command(self, node: Node) -> str:
        """Return the module of a job's stage and its arguments: one parameter, because Snakemake spends time on each."""
        found = self._artefacts
        spec = shlex.quote(spec_of(found.study, node))
        if len(spec) > LONGEST:
            spec = f"@<(printf %s {spec})"
        return f"{found.module(node)} --spec {spec} --code {found.planned_code(node)} {as_flags(found.inputs(node))}"

    def _names(self, nodes: Iterable[Node]) -> dict[str, str]:
        """Return a regular expression for each wildcard, which matches only the study's values of it."""
        fields = [name for _, name, _, _ in string.Formatter().parse(self._path) if name]
        nodes = list(nodes)
        return {field: one_of(_value(node, field) for node in nodes) for field in fields}


def _value(node: Node, field: str) -> str:
    return node.name if field == "name" else str(getattr(node.of, field))


def _constrained(path: str, names: dict[str, str]) -> str:
    return path.format(**{field: f"{{{field},{names[field]}}}" for field in names})


def one_of(names: Iterable[str]) -> str:
    """Return a regular expression that matches only these names; without names, one that never matches."""
    return "|".join(re.escape(name) for name in dict.fromkeys(names)) or NEVER


def as_flags(inputs: dict[str, str]) -> str:
    """Return the inputs of a job as flags of a stage's command line."""
    return " ".join(f"--in {label}={shlex.quote(path)}" for label, path in inputs.items())


class Pruning:
    """The parts of the rule that prunes weights once their readers are made."""

    def __init__(self, artefacts: Artefacts) -> None:
        results, gone = artefacts.study.results, prunable(artefacts)
        self.record = f"{results}/{{path,{one_of(gone)}}}/{PRUNED}"
        self.log = f"{results}/logs/{{path}}.pruned.log"
        # A report with gaps is made of what is there.
        self.records = [] if artefacts.study.gaps else [f"{results}/{path}/{PRUNED}" for path in gone]
        self.inputs = asked(lambda wildcards: self._inputs(artefacts, wildcards.path))

    @staticmethod
    def _inputs(artefacts: Artefacts, path: str) -> dict[str, Any]:
        readers = [artefacts.manifest(reader) for reader in artefacts.readers[path]]
        return {"model": artefacts.manifest(artefacts.at(path)), "readers": readers}


def environments(artefacts: Artefacts, storage: Storage | None) -> list[str]:
    """Return what a storage must fetch for the table of costs; nothing without a storage."""
    made = [node for node in artefacts.measured() if artefacts.study.is_made(node.path)] if storage else []
    return [unwatched(environment_of(artefacts.manifest(node))) for node in made]


def command(storage: Storage | None) -> str:
    """Return the command of every stage; with a storage, it names all files that the rule declares."""
    return COMMAND.replace(OUT, f"{OUT} --outputs {{output}}") if storage else COMMAND


def publish_code() -> str:
    """Return the digest of the code that writes the files beside the report: the resolved config and the costs."""
    return code_digest(*PUBLISHED)


def written_config(study: Study) -> Callable[[Wildcards], str]:
    """Return a function that gives the study's fully resolved config as JSON."""
    return asked(lambda wildcards: canonical_json(resolve_config(study)))


def resource(artefacts: Artefacts, name: str, stage: str = "") -> int | str | Callable[..., int | str]:
    """Return a function that gives the amount of a resource for a model's job; memory and time grow with the attempt.

    The model is the wildcard, or with a stage the model that its job computes with. An amount that all models of the study share
    is returned itself, because Snakemake spends time on functions.
    """
    study, models = artefacts.study, artefacts.study.config.models
    amounts: set[int | str] = {getattr(models[working_model(study, node)].resources, name) for node in artefacts.measured()}
    if len(amounts) == 1 and name not in GROWING:
        return amounts.pop()

    @asked
    def ask(wildcards: Wildcards) -> int | str:
        node = artefacts.at(STAGES[stage].path.format(**dict(wildcards.items()))) if stage else None
        model = working_model(study, node) if node else wildcards.model
        value: int | str = getattr(models[model].resources, name)
        return value

    @asked
    def ask_more(wildcards: Wildcards, attempt: int) -> str:
        return multiplied(str(ask(wildcards)), attempt)

    return ask_more if name in GROWING else ask


def multiplied(amount: str, times: int) -> str:
    """Multiply an amount that has a unit: twice "1.5GB" is "3GB"."""
    number = amount.rstrip(string.ascii_letters)
    return f"{float(number) * times:.12g}{amount[len(number) :]}"


def run_of(workflow: Any) -> str:
    """Return the name of a run of Snakemake, which is the same in the cluster jobs that it starts."""
    return os.environ.get(SNAKEMAKE_RUN) or sha256_text(str(workflow.sourcecache.runtime_cache_path))[:32]


def refuse_prefix(workflow: Any, results: str) -> None:
    """Refuse a prefix of paths that another workflow gives this one as a module: jobs name their inputs without it.

    Prints one line and exits with code 2.
    """
    with one_line():
        if workflow.modifier.path_modifier.replace_prefix(results) != results:
            raise UserError("module: prefix and replace_prefix do not reach all paths; set `results` in the module's config")


def setups(
    workflow: Any, library: Library, results: str, storage: Storage | None
) -> tuple[Callable[..., str], Callable[..., str]]:
    """Return the parameters `before` of all rules: for jobs without a network, and for jobs with one."""
    environment = {**job_environment(library, results, storage), SNAKEMAKE_RUN: run_of(workflow)}
    prefix = shell_prefix(environment, deployed=bool(workflow.deployment_settings.deployment_method))
    return before(prefix), before(f"{prefix} {NETWORK}")


def job_environment(library: Library, results: str, storage: Storage | None = None) -> dict[str, str]:
    """Return the environment variables of every job, such as the package's path, the checkpoint folder and the code's commit.

    With a storage, a store in the results would only hold a second copy on one of the machines.
    """
    return {
        **({"PYTHONPATH": library.path} if library.path else {}),
        "PYTHONHASHSEED": "0",
        SCRATCH: os.environ.get(SCRATCH, f"{results}/.scratch"),
        STORE: os.environ.get(STORE, NO_STORE if storage else f"{results}/{STORE_FOLDER}"),
        STORAGE: storage.root if storage else "",
        COMMIT: library.commit,
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "TOKENIZERS_PARALLELISM": "false",
    }


def shell_prefix(environment: Mapping[str, str], *, deployed: bool) -> str:
    """Return the shell code before a job's command, which sets its variables and selects its python.

    SIGTERM also reaches the shell, and the job ends when the shell ends; so the shell waits for the stage, which may still save
    a checkpoint. A stage that SIGKILL ended cannot print a message, so the shell prints it.
    With conda or a container (`deployed`), `python` is the one installed there; without, it is the one that runs Snakemake.
    """
    path = "" if deployed else f" PATH={shlex.quote(str(Path(sys.executable).parent))}:$PATH"
    assignments = " ".join(f"{name}={shlex.quote(value)}" for name, value in environment.items())
    return f"set -euo pipefail; trap : TERM; trap {shlex.quote(AT_EXIT)} EXIT; export {assignments}{path};"


def before(text: str) -> Callable[..., str]:
    """Return a parameter that precedes the command of jobs.

    It is no reason to run a job again: Snakemake does not compare parameters that depend on outputs.
    """

    @asked
    def precede(wildcards: Wildcards, output: Any) -> str:
        return text

    return precede
