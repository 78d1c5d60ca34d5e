"""The contract of every stage: checked inputs, a temporary sibling renamed at the end, the manifest written last."""

import argparse
import gc
import json
import logging
import os
import shutil
import sys
import time
import warnings
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any, Generic, TypeVar

from pydantic import BaseModel, ValidationError

from palimpsest import interruption, processes
from palimpsest.contract.archive import at_hand, pack
from palimpsest.contract.command import parse_stage
from palimpsest.contract.equivalences import equivalences_of
from palimpsest.contract.folders import replace, side_place, workplace, write_whole
from palimpsest.contract.pruning import difference_from_pruned
from palimpsest.contract.store import keep, record_code, remove, scratch_of
from palimpsest.environment import check, store_folder
from palimpsest.errors import INTERRUPTED_EXIT, SNAKEMAKE_RUN, USER_ERROR_EXIT, Diverged, UserError
from palimpsest.faults import explained
from palimpsest.leases import LEASED
from palimpsest.provenance.digest import code_today
from palimpsest.provenance.environment import describe_environment, usage
from palimpsest.provenance.manifest import (
    ENVIRONMENT,
    MANIFEST,
    Remark,
    build_manifest,
    content_of,
    key_of,
    read_manifest,
    read_remarks,
    verify_artefact,
    write_manifest,
)

log = logging.getLogger("palimpsest")
# Files in scratch: the remarks so far, and a user error with the run of Snakemake in which it occurred.
REMARKS, REFUSED = "remarks.json", "refused.json"
Spec = TypeVar("Spec", bound=BaseModel)


@dataclass(frozen=True)
class Job(Generic[Spec]):
    """The argument of a stage's work function: its spec, its input directories, its output folder and its checkpoint folder.

    Several artefacts with the same input name have an id each; the only artefact of a name has an empty id.

    Of several processes, each writes to its own output folder, and the main process's folder becomes the artefact; all share one
    checkpoint folder, into which only the main process writes.
    """

    spec: Spec
    given: dict[str, dict[str, Path]]
    out: Path
    scratch: Path
    read: set[str] = field(default_factory=set)
    """The names of the inputs that the work has asked for."""

    @cached_property
    def remarks(self) -> list[Remark]:
        """The remarks for the manifest, including those of an interrupted run."""
        path = self.scratch / REMARKS
        return [Remark(*each) for each in json.loads(path.read_text(encoding="utf-8"))] if path.exists() else []

    def remark(self, remark: Remark) -> None:
        """Log a remark that belongs beside the numbers, and keep it for the manifest."""
        log.warning("%s", remark.text)
        if remark not in self.remarks:
            self.remarks.append(remark)
            if processes.is_main():
                write_whole(self.scratch / REMARKS, json.dumps(self.remarks).encode())

    def remarks_of(self, name: str) -> list[Remark]:
        """Return the remarks on the one artefact given under this name."""
        return read_remarks(read_manifest(self.input(name) / MANIFEST))

    def input(self, name: str) -> Path:
        """Return the directory of the one artefact given under this name."""
        (directory,) = self.inputs(name).values()
        return directory

    def inputs(self, name: str) -> dict[str, Path]:
        """Return the directories given under this name, by id; empty if there are none."""
        self.read.add(name)
        return self.given.get(name, {})

    def over(self, name: str) -> list[Path]:
        """Return the directories of the models that the adapter given under this name lies over, nearest first.

        There are none for a model with whole weights. Raises UserError if an adapter was trained over other weights.
        """
        given = self.inputs(f"{name}_over")
        # 2 comes before 10.
        found = [given[each] for each in sorted(given, key=lambda each: (len(each), each))]
        for adapter, model in pairwise([self.input(name), *found]):
            trained_over = read_manifest(adapter / MANIFEST)["inputs"]
            if content_of(read_manifest(model / MANIFEST)) != trained_over.get("model", trained_over.get("base")):
                raise UserError(f"{adapter}: an adapter that was trained over other weights than those in {model}: make it again")
        return found

    def keep(self, path: Path, write: Callable[[Path], None]) -> None:
        """Write a finished part of the work into `scratch`, whole or not at all, for a run that continues the work."""
        if processes.is_main():
            partial = path.with_suffix(".partial")
            remove(partial)
            write(partial)
            partial.rename(path)
        processes.barrier()

    def each_input(self, name: str, listed: Iterable[str]) -> dict[str, Path]:
        """Return the directories given under this name by id, in the order of `listed`; raises UserError if the ids differ."""
        directories, ids = self.inputs(name), list(listed)
        if different := directories.keys() ^ set(ids):
            lone = min(different)
            said = "given, but not named by the spec" if lone in directories else "named by the spec, but not given"
            raise UserError(f"--in {name}:{lone}=: {said}")
        return {each: directories[each] for each in ids}


def set_up_logging() -> None:
    """Print what this package logs, and of libraries only warnings that are about the job."""
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(message)s", datefmt="%H:%M:%S", stream=sys.stderr)
    log.setLevel(logging.INFO)
    for library in ("absl", "lm_eval", "datasets"):
        logging.getLogger(library).setLevel(logging.WARNING)
    # peft imports it where it is installed; on some CPUs, it then asks for a package that nothing here needs.
    logging.getLogger("bitsandbytes.backends.cpu.ops").setLevel(logging.ERROR)


def run_stage(name: str, spec_type: type[Spec], work: Callable[[Job[Spec]], None]) -> None:
    """Run one stage from the command line; errors that are not bugs are printed as one line, with the exit codes of `errors`.

    Of several processes, only the main one prints, or the first one that fails. If an input has diverged, the artefact is marked
    as diverged without any work, unless the spec sets `takes_diverged`. Weights among the inputs are checked unless the spec sets
    `reads_weights` to False.
    """
    short = name.rpartition(".")[2]
    set_up_logging()
    if not processes.is_main():
        logging.disable(logging.WARNING)
        warnings.simplefilter("ignore")
        os.environ["TQDM_DISABLE"] = "1"
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    # Modules of torch and transformers are never freed; looking for garbage in them takes a quarter of a short stage.
    gc.set_threshold(700, 10, 1000)
    try:
        with explained([]):
            processes.connect()
            diverged = _run(name, spec_type, work)
            processes.disconnect()
        if diverged:
            raise diverged
        processes.leave(0)
    except UserError as error:
        if processes.is_first_to_fail():
            print(f"palimpsest {short}: {error}", file=sys.stderr)
        if isinstance(error, Diverged):
            processes.leave(error.exit)
        sys.exit(error.exit)
    except interruption.Interrupted as stopped:
        if processes.is_main():
            print(f"palimpsest {short}: {stopped}", file=sys.stderr)
        sys.exit(INTERRUPTED_EXIT)
    except Exception:
        if processes.is_first_to_fail():
            raise
        sys.exit(1)
    finally:
        # Skip the same search when the process ends.
        gc.freeze()


def _run(name: str, spec_type: type[Spec], work: Callable[[Job[Spec]], None]) -> Diverged | None:
    started = time.time()
    check()
    args = parse_stage(name)
    with at_hand(args.inputs, args.scratch) as given:
        return _make(name, spec_type, work, args, given, started)


def _make(
    name: str,
    spec_type: type[Spec],
    work: Callable[[Job[Spec]], None],
    args: argparse.Namespace,
    given: Sequence[tuple[str, Path]],
    started: float,
) -> Diverged | None:
    # Otherwise, code saved while Snakemake runs would be recorded as the planned code.
    if not (code := _code(name, args.code, args.out)):
        raise UserError("the code of this stage was edited after Snakemake planned the job: run snakemake again")
    raw = _json(args.spec)
    spec = _validated(spec_type, raw)
    read = _verified(given, weights=getattr(spec_type, "reads_weights", True))
    inputs, contents = _read(given)
    taken = getattr(spec_type, "takes_diverged", False)
    inherited = next((manifest["diverged"] for manifest in read if "diverged" in manifest and not taken), None)
    record = processes.main_value(inherited)

    out: Path = args.out.parent
    key = key_of(name, raw, code, contents)
    scratch = scratch_of(args.scratch, key, out)
    place = workplace(out, scratch) if processes.is_main() else side_place(scratch / f"process-{processes.rank()}")
    with place as partial:
        processes.barrier()
        job = Job(spec, inputs, partial, scratch)
        checked = time.time()
        diverged = Diverged.from_record(record) if record else _work(work, job)
        worked, usages = time.time(), processes.gather(usage())
        if not processes.is_main():
            return None
        ended = diverged.record if diverged else None
        manifest = build_manifest(partial, stage=name, spec=raw, code=code, inputs=contents, diverged=ended, remarks=job.remarks)
        phases = {"check": checked - started, "work": worked - checked, "write": time.time() - worked}
        environment = json.dumps(describe_environment(started, phases, usages), indent=1) + "\n"
        (partial / ENVIRONMENT).write_text(environment, encoding="utf-8")
        write_manifest(partial, manifest)
        told = difference_from_pruned(out, manifest)
        replace(partial, out)
        store = store_folder()
        record_code(store, name, code)
        keep(store, key, out)
        if args.outputs:
            pack(out, args.outputs)
        shutil.rmtree(scratch, ignore_errors=True)
    if told:
        log.warning("%s", told)
    log.info("%s: %s in %.1f s", name, "diverged" if diverged else "done", time.time() - started)
    return diverged


def _validated(spec_type: type[Spec], raw: Any) -> Spec:
    try:
        return spec_type.model_validate(raw)
    except ValidationError as error:
        first = error.errors()[0]
        raise UserError(f"spec: {'.'.join(map(str, first['loc']))}: {first['msg']}") from None


def _read(given: Iterable[tuple[str, Path]]) -> tuple[dict[str, dict[str, Path]], dict[str, str]]:
    """Return the folders of the inputs by name and id, and their content by label."""
    folders: dict[str, dict[str, Path]] = {}
    contents: dict[str, str] = {}
    for label, path in given:
        name, _, each = label.partition(":")
        if label in contents:
            raise UserError(f"--in {label}=: given twice")
        contents[label] = content_of(read_manifest(path))
        folders.setdefault(name, {})[each] = path.parent
    return folders, contents


def _verified(given: Iterable[tuple[str, Path]], *, weights: bool) -> list[dict[str, Any]]:
    """Return the manifests of the inputs, whose files one process checks."""
    return [verify_artefact(path, weights=weights) for _, path in given] if processes.is_main() else []


def _work(work: Callable[[Job[Spec]], None], job: Job[Spec]) -> Diverged | None:
    """Do the work; return the divergence if there was one, and keep the files written before it.

    If the same user error already occurred in this run of Snakemake, do not try again: schedulers retry every failed job.
    """
    run, refused = os.environ.get(SNAKEMAKE_RUN), job.scratch / REFUSED
    if run and refused.exists():
        line, seen = json.loads(refused.read_text(encoding="utf-8"))
        if seen == run:
            raise UserError(f"{line} (not tried again in this run)")
    _warn_without_gpu()
    try:
        work(job)
    except Diverged as error:
        return error
    except UserError as error:
        if run and error.exit == USER_ERROR_EXIT and processes.is_main():
            with suppress(OSError):
                write_whole(refused, json.dumps([str(error), run]).encode())
        raise
    # Otherwise, an input under a name that the stage does not know would be ignored.
    if unread := job.given.keys() - job.read:
        raise UserError(f"--in {min(unread)}=: this stage does not read it")
    return None


def _warn_without_gpu() -> None:
    """Log it if the job asked for GPUs and torch sees none; its numbers are right, but late."""
    if LEASED not in os.environ:
        return
    import torch

    if not torch.cuda.is_available():
        log.warning(
            "the job asked for a GPU, but torch sees none, so it runs on the CPU; check that `nvidia-smi` lists one, that"
            " CUDA_VISIBLE_DEVICES does not hide it, and that this torch is built for CUDA (torch.version.cuda)"
        )


def _code(stage: str, planned: str | None, out: Path) -> str | None:
    """Return today's code digest of a stage; None if it is neither the planned one nor accepted as equal to it."""
    if not planned:
        return code_today(stage, "")
    for code in equivalences_of(out).ordered(stage, planned):
        with suppress(ModuleNotFoundError):
            if code_today(stage, code) == code:
                return code
    return None


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        raise UserError(f"--spec is not JSON: {error}") from None
