"""What of a study is made, stale or missing, and why: from the manifests alone, without Snakemake."""

import json
import re
import shutil
import sys
from base64 import urlsafe_b64encode
from collections.abc import Collection, Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal

from palimpsest.audit.artefacts import Artefact, find_artefacts, has_artefacts
from palimpsest.audit.files import COPIES
from palimpsest.audit.planned import is_planning
from palimpsest.audit.study import differing
from palimpsest.contract.equivalences import Equivalences, read_equivalences
from palimpsest.contract.store import entry_of, keep, modules_of, store_of
from palimpsest.errors import UserError
from palimpsest.provenance.digest import PACKAGE, module_hashes, stage_name
from palimpsest.provenance.manifest import MANIFEST, key_of
from palimpsest.study.messages import one_line
from palimpsest.study.specs import changed_source, spec_of
from palimpsest.study.stages import Artefacts, Node
from palimpsest.study.storage import Storage, fetched
from palimpsest.study.study import Study

# Accepted: made by other code that counts as equal. Pruned: current but for its weights, which are made again on demand.
Kind = Literal["current", "accepted", "pruned", "stale", "missing"]
# The kinds that are not to be made.
CURRENT: tuple[Kind, ...] = ("current", "accepted", "pruned")
MISSING = "missing"
ADOPT = "--adopt sets aside those that are stale"
# Options of Snakemake that name what is to be made again.
FORCING = {"--forceall", "-F", "--forcerun", "-R"}
# Settings, modules and files named in a cause.
NAMED = 3
RECORDS = Path(".snakemake", "metadata")
# The code in a recorded command.
CODE = re.compile(r" --code (\S+) ")
# Snakemake cuts longer names into folders.
LONGEST = 254


@dataclass(frozen=True)
class State:
    """An artefact of a study: whether it is what the study asks for, and what keeps it from that, upstream or else here.

    An accepted artefact is current, but other code made it, which was accepted as equal to today's.
    """

    path: str
    kind: Kind
    causes: tuple[str, ...]
    seconds: float
    """What its job took when it was made; 0 if nobody knows."""
    is_stored: bool
    """Whether it would be taken from the store; unknown, and so False, while its inputs are not current."""


@dataclass(frozen=True)
class Status:
    """The state of every artefact of a study, and the artefacts in its results that it does not ask for."""

    results: str
    states: list[State]
    orphaned: list[str]
    unrecorded: list[str]
    """The artefacts of which Snakemake has no record of the job that made them, so that it would not see a change."""

    def of(self, *kinds: Kind) -> list[State]:
        """Return the states of these kinds."""
        return [state for state in self.states if state.kind in kinds]

    @property
    def groups(self) -> dict[str, list[State]]:
        """The artefacts to make by cause, the most first; one with several causes counts in each."""
        found: dict[str, list[State]] = {}
        for state in self.of("stale", "missing"):
            for cause in state.causes:
                found.setdefault(cause, []).append(state)
        return dict(sorted(found.items(), key=lambda item: (-len(item[1]), item[0])))

    def as_json(self) -> dict[str, Any]:
        """Return the status as JSON values."""
        return asdict(self)


def status(study: Study, folder: Path = Path()) -> Status:
    """Return the state of a study's artefacts; `folder` contains its results."""
    results = folder / study.results
    here = find_artefacts(results) if has_artefacts(results) else {}
    artefacts, states, known = Artefacts(study), dict[str, State](), read_equivalences(results)
    # The inputs of an artefact come before it.
    for path, node in artefacts.nodes.items():
        states[path] = _state(artefacts, node, here, states, known)
    return Status(
        results=study.results,
        states=list(states.values()),
        orphaned=sorted(here.keys() - states.keys()),
        unrecorded=[
            path
            for path, node in artefacts.nodes.items()
            if path in here and _is_unseen(here[path], artefacts.code(node), study, known)
        ],
    )


def accepted_codes(study: Study) -> dict[str, str]:
    """Return the code that a plan names for each artefact that is current by accepted code, by path.

    It is the code in Snakemake's record of the artefact if that counts as equal, so that Snakemake sees no change, and otherwise
    the code that made it.
    """
    known, found = read_equivalences(Path(study.results)), dict[str, str]()
    for state in status(study).of(*CURRENT) if known.records else []:
        artefact = Artefact(state.path, Path(study.results, state.path))
        made, recorded = artefact.manifest["code"], recorded_code(artefact.folder / MANIFEST)
        found[state.path] = recorded if recorded and known.are_equal(artefact.manifest["stage"], made, recorded) else made
    return found


def is_recorded(manifest: Path | str, records: Path = RECORDS) -> bool:
    """Return whether Snakemake has a record of the job that made a file."""
    return _record_of(manifest, records).exists()


def recorded_code(manifest: Path, records: Path = RECORDS) -> str | None:
    """Return the code of the job that made a file, as Snakemake recorded it; None if it recorded none."""
    record = _record_of(manifest, records)
    found = CODE.search(record.read_text(encoding="utf-8")) if record.exists() else None
    return found and found[1]


def _record_of(manifest: Path | str, records: Path) -> Path:
    name = urlsafe_b64encode(str(manifest).encode()).decode()
    parts = [name[start : start + LONGEST] for start in range(0, len(name), LONGEST)]
    return records.joinpath(*(f"@{part}" for part in parts[:-1]), parts[-1])


def refuse_stale_copies(artefacts: Artefacts, storage: Storage | None) -> None:
    """Refuse results of which Snakemake has no records, as of a copy, if some are stale; it would say that nothing is to be done.

    Prints one line and exits with code 2.
    """
    study = artefacts.study
    if is_planning():
        return
    if storage:
        _refuse_stale_storage(artefacts, storage)
        return
    with one_line():
        known = read_equivalences(Path(study.results))
        here = {path: Artefact(path, Path(study.results, path)) for path in artefacts.nodes if Path(study.path(path)).exists()}
        copied = {path for path, each in here.items() if _is_unseen(each, artefacts.code(artefacts.at(path)), study, known)}
        if stale := [state.path for state in status(study).of("stale") if state.path in copied] if copied else []:
            raise UserError(
                f"{study.results}: {len(stale)} of {len(copied)} artefacts without records of Snakemake, as in a copy, are stale,"
                f" such as {stale[0]}: `palimpsest status {study.results} --adopt` sets them aside"
            )


def _refuse_stale_storage(artefacts: Artefacts, storage: Storage) -> None:
    """Refuse a storage in the same way, unless the command says what is to be made again."""
    study, there, copied = artefacts.study, dict[str, str](), set[str]()
    # Snakemake has not read these options yet.
    if FORCING & set(sys.argv):
        return
    for path, node in artefacts.nodes.items():
        manifest = artefacts.manifest(node)
        recorded = is_recorded(storage.query(manifest))
        # An empty storage is asked for the first artefacts alone.
        if recorded or (there.keys() >= {*inputs_of(artefacts, node).values()} and storage.exists(manifest)):
            there[path] = manifest
            copied |= set() if recorded else {path}
    with one_line(), fetched(there.values() if copied else (), storage) as folder:
        if stale := [state.path for state in status(study, folder).of("stale") if state.path in copied] if copied else []:
            stages = sorted({artefacts.at(path).stage for path in stale})
            raise UserError(
                f"{storage.address(study.results)}: {len(stale)} of {len(copied)} artefacts without records of Snakemake here are"
                f" stale, such as {stale[0]}: run with the .snakemake/metadata of the run that made them, or delete from the"
                f" storage what is stale (of {', '.join(stages)}), or use --forcerun or --forceall"
            )


def set_aside(study: Study, paths: Iterable[str]) -> None:
    """Remove artefacts from the results, and the report, so that Snakemake makes them again; the store keeps them."""
    # Evaluations of an attacked model, which are in the folder of the attack, come before it.
    for path in sorted(paths, reverse=True):
        artefact = Artefact(path, Path(study.results, path))
        if artefact.is_readable:
            made = artefact.manifest
            keep(store_of(study.results), key_of(made["stage"], made["spec"], made["code"], made["inputs"]), artefact.folder)
        shutil.rmtree(artefact.folder)
    for name in COPIES:
        Path(study.results, name).unlink(missing_ok=True)


def format_status(found: Status) -> str:
    """Return a status as text for a terminal: how much is current, and what is to be made, by cause."""
    current, wanted = found.of(*CURRENT), found.of("stale", "missing")
    kinds: dict[Kind, str] = {"accepted": "by accepted code", "pruned": "pruned"}
    aside = ", ".join(f"{len(found.of(kind))} {said}" for kind, said in kinds.items() if found.of(kind))
    told = f"{len(current)} current{f' ({aside})' if aside else ''}"
    lines = [f"{found.results}: {len(found.states)} artefacts: {told}, {len(wanted)} to make{_price(wanted)}"]
    rows = [(cause, f"{len(states)} to make{_price(states)}") for cause, states in found.groups.items()]
    width = max((len(cause) for cause, _ in rows), default=0)
    lines += [f"  {cause:{width}}  {text}" for cause, text in rows]
    if stored := sum(state.is_stored for state in wanted):
        lines.append(f"  {stored} of them are in the store")
    if found.orphaned:
        lines.append(f"  {len(found.orphaned)} more are no part of the study, such as {found.orphaned[0]}")
    if found.unrecorded:
        lines.append(f"  Snakemake has no records of {len(found.unrecorded)}: {ADOPT}")
    return "\n".join(lines)


def _state(
    artefacts: Artefacts, node: Node, here: Mapping[str, Artefact], states: Mapping[str, State], known: Equivalences
) -> State:
    study, artefact, code = artefacts.study, here.get(node.path), artefacts.code(node)
    inputs = inputs_of(artefacts, node)
    upstream = {cause for path in inputs.values() for cause in states[path].causes}
    accepted = False
    if artefact is None or not artefact.is_readable:
        causes = upstream or {MISSING}
    else:
        made, maker = artefact.manifest["code"], artefact.manifest["stage"]
        accepted = made != code and known.are_equal(maker, made, code)
        causes = upstream or differences(study, node, artefact, inputs, here)
        if not upstream and made != code and not accepted:
            causes = causes | {_changed_code(study, maker, made, code)}
    stored = False
    stage = stage_name(artefacts.module(node))
    if causes and not upstream and (store := store_of(study.results)):
        contents = {label: here[path].content for label, path in inputs.items()}
        spec = json.loads(spec_of(study, node))
        keys = [key_of(stage, spec, each, contents) for each in known.codes(stage, code)]
        stored = any((entry_of(store, key) / MANIFEST).is_file() for key in keys)
    whole: Kind = "pruned" if artefact and artefact.is_readable and artefact.pruned else "accepted" if accepted else "current"
    kind: Kind = whole if not causes else "missing" if artefact is None else "stale"
    seconds = float((artefact.environment or {}).get("seconds", 0)) if artefact else 0.0
    return State(node.path, kind, tuple(sorted(causes)), seconds, stored)


def inputs_of(artefacts: Artefacts, node: Node) -> dict[str, str]:
    """Return the inputs of an artefact of a study by label, as paths below the results."""
    results = artefacts.study.results
    return {label: Path(path).parent.relative_to(results).as_posix() for label, path in artefacts.inputs(node).items()}


def differences(
    study: Study, node: Node, artefact: Artefact, inputs: Mapping[str, str], here: Mapping[str, Artefact]
) -> set[str]:
    """Return in what, apart from its code, an artefact itself differs from the study: its settings, or what it was made of."""
    made, found = artefact.manifest, set[str]()
    if keys := differing(made["spec"], json.loads(spec_of(study, node))):
        found.add(f"settings of {node.stage}: {_listed(keys)}")
    if node.stage == "data" and (source := changed_source(study, node)):
        found.add(f"files of {source}")
    if made["inputs"].keys() != inputs.keys():
        found.add(f"other inputs of {node.stage}")
    else:
        # An input that is not current explains itself.
        found |= {
            f"another {path}" for label, path in inputs.items() if path in here and here[path].content != made["inputs"][label]
        }
    return found


def _is_unseen(artefact: Artefact, code: str, study: Study, known: Equivalences) -> bool:
    """Return whether Snakemake would not see that an artefact is stale.

    It has no record, or its record names today's code, but the manifest another: a code that was accepted when the job was
    planned, and revoked since.
    """
    manifest = Path(study.results, artefact.path, MANIFEST)
    if not is_recorded(manifest):
        return True
    if not known.records or not artefact.is_readable:
        return False
    made = artefact.manifest
    return not known.are_equal(made["stage"], made["code"], code) and recorded_code(manifest) == code


def changed_modules(study: Study, stage: str, made: str, today: str) -> list[str] | None:
    """Return the modules in which two codes of a stage differ; None if the store does not know the first."""
    store = store_of(study.results)
    before = modules_of(store, made) if store else None
    if before is None:
        return None
    after = module_hashes(stage, *today.split("+")[1:])
    return sorted(name for name in before.keys() | after.keys() if before.get(name) != after.get(name))


def module_files(modules: Collection[str]) -> str:
    """Return modules as the files that have them, the first of them if there are many."""
    return _listed([name.removeprefix(f"{PACKAGE}.").replace(".", "/") + ".py" for name in modules])


def _changed_code(study: Study, stage: str, made: str, today: str) -> str:
    """Return the modules that were edited, if the store knows the code that made an artefact."""
    changed = changed_modules(study, stage, made, today)
    return f"code of {stage}" if changed is None else f"code: {module_files(changed)}"


def _listed(names: Collection[str]) -> str:
    shown = list(names)[:NAMED]
    return ", ".join(shown) + (f" and {len(names) - NAMED} more" if len(names) > NAMED else "")


def _price(states: Iterable[State]) -> str:
    """Return what jobs took when they last ran, if that is known."""
    seconds = sum(state.seconds for state in states)
    return f", {timedelta(seconds=round(seconds))} when last made" if seconds else ""
