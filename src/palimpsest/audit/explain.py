"""Trace one number of a study through every artefact, setting, source and commit that contributed to it."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from palimpsest.audit.accepted import describe_accepted
from palimpsest.audit.artefacts import Artefact, Contents, find_artefacts
from palimpsest.audit.chain import is_imported, is_source, source_of
from palimpsest.audit.findings import short
from palimpsest.contract.equivalences import read_equivalences
from palimpsest.errors import UserError, first_line
from palimpsest.mistakes import suggest
from palimpsest.names import RETRAIN, ModelId
from palimpsest.provenance.manifest import MANIFEST
from palimpsest.scores.ids import evaluation_parts

SUMMARY = "summary"
# The columns that identify a number.
IDENTITY = ("benchmark", "split", "model", "seed", "method", "variant", "attack", "epoch", "suite")
# Inputs of the stage `scores` whose ids are models of its run.
MEASURED = ("eval", "judged", "attack", "trajectory")
# The input of the stage `scores` with the Retrains of other seeds.
OTHERS = "other_retrains"
# The ids of these inputs name no suite; the ids of evaluations and of verdicts do.
TRAINED = ("attack", "trajectory")
LISTED = 6
# Maximum settings of an artefact in one line.
SHOWN_SETTINGS = 8


@dataclass(frozen=True)
class Step:
    """An artefact in the trace of a number: its depth, its label as an input, and its identity."""

    depth: int
    label: str
    path: str
    manifest: str
    stage: str
    spec: Any
    code: str
    accepted: str
    """As which other codes the code counts, and by which remakes; empty if there is none."""
    commit: str | None
    made: str | None
    source: str | None
    """The source of an artefact without inputs."""
    is_pruned: bool
    """Whether its weights were pruned."""
    seen: bool
    """Whether the trace has already shown the artefact with its inputs."""


def find_number(results: Path, metric: str, where: Mapping[str, str]) -> dict[str, str]:
    """Return the row of the number with this name and these column values; raises UserError unless there is exactly one."""
    path = results / SUMMARY / "summary.csv"
    if not path.is_file():
        raise UserError(f"{path}: missing; the study has no summary yet")
    try:
        frame = pd.read_csv(path, dtype=str, keep_default_na=False)
    except ValueError as error:
        raise UserError(f"{path}: not a table, or truncated: {first_line(error)}") from None
    if lacking := [name for name in (*IDENTITY, "metric", "value") if name not in frame]:
        raise UserError(f"{path}: not a summary: it has no column {lacking[0]!r}")
    if unknown := [name for name in where if name not in IDENTITY]:
        raise UserError(f"--where: {suggest('column', unknown[0], IDENTITY)}")
    rows = frame[frame["metric"] == metric]
    if rows.empty:
        raise UserError(suggest("metric", metric, sorted(set(frame["metric"]))))
    for name, value in where.items():
        of_value = rows[rows[name] == value]
        if of_value.empty:
            raise UserError(f"--where: {name}={value}: no {metric} has it; there are {_listed(rows[name])}")
        rows = of_value
    # By default, finished models are meant, not trajectories.
    for name in ("attack", "epoch"):
        if name not in where and (rows[name] == "").any():
            rows = rows[rows[name] == ""]
    if len(rows) > 1:
        told = "; ".join(f"{name}={_listed(rows[name])}" for name in IDENTITY if rows[name].nunique() > 1)
        raise UserError(f"{len(rows)} numbers have the name {metric}; select one with --where: {told}")
    return {str(name): str(value) for name, value in rows.iloc[0].items()}


def trace(results: Path, row: Mapping[str, str]) -> list[Step]:
    """Return all steps from the summary back to the sources of a number; raises UserError for a broken chain."""
    artefacts, known = find_artefacts(results), read_equivalences(results)
    here, seen = Contents(artefacts), set[str]()

    def steps(artefact: Artefact, label: str, depth: int) -> Iterator[Step]:
        manifest, environment = artefact.manifest, artefact.environment or {}
        again = artefact.path in seen
        seen.add(artefact.path)
        yield Step(
            depth=depth,
            label=label,
            path=artefact.path,
            manifest=artefact.sha256,
            stage=manifest["stage"],
            spec=manifest["spec"],
            code=manifest["code"],
            accepted=describe_accepted(artefact, known),
            commit=environment.get("commit"),
            made=environment.get("started"),
            source=source_of(artefact) or "an unpinned source" if is_source(artefact) else None,
            is_pruned=bool(artefact.pruned),
            seen=again,
        )
        for name, content in {} if again else _read(artefact, row, here).items():
            if (found := here.of(content, artefact, name)) is None:
                raise UserError(f"{artefact.path}: made of {name} {short(content)}, which is not in {results}: audit verify")
            yield from steps(found, name, depth + 1)

    if SUMMARY not in artefacts:
        raise UserError(f"{results / SUMMARY / MANIFEST}: missing; the study has no summary yet")
    return list(steps(artefacts[SUMMARY], "", 0))


def format_trace(row: Mapping[str, str], steps: Sequence[Step]) -> str:
    """Return a number and its steps as a text tree for a terminal."""
    named = ", ".join(f"{name} {row[name]}" for name in IDENTITY if row[name])
    lines = [f"{row['metric']} = {row['value']}", f"  of {named}", ""]
    for step in steps:
        indent = "  " * step.depth
        lines.append(f"{indent}{step.label + ': ' if step.label else ''}{step.path}")
        if step.seen:
            lines[-1] += "  (above)"
            continue
        commit = f", commit {short(step.commit)}" if step.commit else ""
        lines.append(f"{indent}    {step.stage}, manifest {short(step.manifest)}, code {short(step.code)}{commit}, {step.made}")
        if step.is_pruned:
            lines[-1] += ", weights pruned"
        if settings := _settings(step.spec):
            lines.append(f"{indent}    {settings}")
        if step.accepted:
            lines.append(f"{indent}    {step.accepted}")
        if step.source:
            lines.append(f"{indent}    from {step.source}")
    return "\n".join(lines)


def _read(artefact: Artefact, row: Mapping[str, str], here: Contents) -> dict[str, str]:
    """Return the inputs that a number depends on.

    A summary and scores have the inputs of many numbers; only those of the number's model and suite are returned, and what
    they are compared with.
    """
    inputs: dict[str, str] = artefact.manifest["inputs"]
    stage, spec = artefact.manifest["stage"], artefact.manifest["spec"]
    if stage == "summarise":
        sources = {name: here.of(content, artefact, name) for name, content in inputs.items()}
        read = {name: inputs[name] for name, source in sources.items() if source is None or _is_of(source, row)}
        # The scores of the neighbouring run do not concern an imported model.
        imported = {name: inputs[name] for name in read if (source := sources[name]) and is_imported(source)}
        return imported or read
    if stage != "scores":
        return inputs
    measured = "judged" if row["metric"].startswith("judged_") else "eval"
    wanted = measured if not row["epoch"] else "attack" if row["attack"] else "trajectory"
    run, identity = ModelId(**spec["run"]), tuple(row[key] for key in ("method", "variant", "attack"))
    own, compared = {}, {}
    for name, content in inputs.items():
        kind, _, subject = name.partition(":")
        if kind not in TRAINED:
            subject, suite = evaluation_parts(subject)
            if suite != row["suite"]:
                continue
        if kind in MEASURED:
            of = run.at(subject)
            if kind == wanted and (of.method, of.variant, of.attack) == identity:
                own[name] = content
        # Only Retrain is compared with the Retrains of other seeds.
        elif kind != OTHERS or row["method"] == RETRAIN:
            compared[name] = content
    return own | compared


def _is_of(artefact: Artefact, row: Mapping[str, str]) -> bool:
    spec = artefact.manifest["spec"]
    if is_imported(artefact):
        return bool(spec["name"] == row["method"])
    run = spec.get("run")
    return bool(run) and all(str(run[name]) == row[name] for name in ("benchmark", "split", "model", "seed"))


def _settings(spec: Any) -> str:
    # Model settings are shown only at the base, because they are the same in all steps.
    told = spec if set(spec) == {"model"} else {name: value for name, value in spec.items() if name != "model"}
    pairs = [f"{key} {value}" for key, value in _leaves(told) if key not in ("template", "answer_prefix", "prompt")]
    return ", ".join(pairs[:SHOWN_SETTINGS]) + (f" and {len(pairs) - SHOWN_SETTINGS} more" if len(pairs) > SHOWN_SETTINGS else "")


def _leaves(value: Any, key: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the settings of a spec that have a value, by their last key, except lists, which are too long for a line."""
    if isinstance(value, dict):
        for name in value:
            yield from _leaves(value[name], name)
    elif value is not None and not isinstance(value, list):
        yield key, value


def _listed(column: "pd.Series[str]") -> str:
    values = sorted(set(column))
    return ", ".join(value or "''" for value in values[:LISTED]) + (", ..." if len(values) > LISTED else "")
