"""Accept edited code as equal: make a sample of the artefacts behind the edit again, and compare the bytes."""

import random
import shutil
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from palimpsest.audit.agreement import compare_folders
from palimpsest.audit.artefacts import Artefact, find_artefacts
from palimpsest.audit.planned import Planned, Project, plan_jobs
from palimpsest.audit.rerun import make_again, other_environment
from palimpsest.audit.status import changed_modules, differences, inputs_of, module_files
from palimpsest.contract.equivalences import Equivalence, Equivalences, change_equivalences, read_equivalences
from palimpsest.errors import UserError
from palimpsest.mistakes import suggest
from palimpsest.study.stages import STAGES, Artefacts
from palimpsest.study.study import Study


@dataclass(frozen=True)
class Group:
    """The artefacts of a stage that one code made and that differ from the study in their code alone, and today's code."""

    stage: str
    made: str
    today: str
    paths: tuple[str, ...]
    drawable: tuple[str, ...]
    """Those of which all inputs exist, so that they can be made again."""


@dataclass(frozen=True)
class Outcome:
    """What came of a group: the record of it, and why it was not accepted, if it was not."""

    group: Group
    record: Equivalence
    reasons: tuple[str, ...]

    def __str__(self) -> str:
        head = f"{self.group.stage}: {len(self.record.artefacts)} of {len(self.group.paths)} artefacts made again"
        edited = f" ({module_files(self.record.modules)})" if self.record.modules else ""
        return f"{head}, with equal bytes: accepted{edited}"


def list_groups(study: Study, known: Equivalences, stages: Collection[str] = (), *, again: bool = False) -> list[Group]:
    """Return the groups to accept in the order of the pipeline; with `again` also those that are accepted already.

    `stages` selects by stage. Raises UserError for an unknown stage.
    """
    if unknown := [stage for stage in stages if stage not in STAGES]:
        raise UserError(f"--stage: {suggest('stage', unknown[0], STAGES)}")
    artefacts, here = Artefacts(study), find_artefacts(Path(study.results))
    found: dict[tuple[str, str, str], dict[str, bool]] = {}
    for path, node in artefacts.nodes.items():
        artefact = here.get(path)
        if artefact is None or not artefact.is_readable or (stages and node.stage not in stages):
            continue
        stage, made, today = artefact.manifest["stage"], artefact.manifest["code"], artefacts.code(node)
        inputs = inputs_of(artefacts, node)
        if made == today or (known.are_equal(stage, made, today) and not again):
            continue
        if all(each in here for each in inputs.values()) and not differences(study, node, artefact, inputs, here):
            is_drawable = all(_is_whole(here[each]) for each in inputs.values())
            found.setdefault((stage, made, today), {})[path] = is_drawable
    return [
        Group(*key, tuple(sorted(paths)), tuple(sorted(path for path, is_drawable in paths.items() if is_drawable)))
        for key, paths in found.items()
    ]


def accept(study: Study, project: Project, groups: Collection[Group], scratch: Path, sample: int, seed: int) -> Iterator[Outcome]:
    """Make a seeded sample of each group again with today's code, record the outcome in the results, and yield it.

    Equal bytes are demanded also where a stage promises less. One artefact with other bytes revokes what was accepted before.
    """
    here, planned = find_artefacts(project.results), plan_jobs(project)
    for number, group in enumerate(groups):
        known = read_equivalences(project.results)
        modules = changed_modules(study, group.stage, group.made, group.today) or []
        record = Equivalence(group.stage, group.made, group.today, modules, sample, seed)
        if known.is_revoked(group.stage, group.made, group.today):
            yield Outcome(group, record, ("revoked before, by an artefact that came out with other bytes: run snakemake",))
            continue
        if not group.drawable:
            yield Outcome(group, record, ("none of its artefacts can be made again, because files of their inputs are missing",))
            continue
        drawn = sorted(random.Random(seed).sample(group.drawable, min(sample, len(group.drawable))))
        outcome = _made_again(Outcome(group, record, ()), drawn, here, planned, project, scratch / str(number))
        if outcome.record.contrary:
            change_equivalences(project.results, partial(Equivalences.revoked, found=outcome.record))
        elif not outcome.reasons:
            change_equivalences(project.results, partial(Equivalences.added, record=outcome.record))
        yield outcome


def revoke(results: Path, artefact: Artefact, today: str, content: str, sample: int, seed: int) -> bool:
    """Record that an artefact whose code was accepted came out with another content; return whether this revoked anything."""
    known, stage, made = read_equivalences(results), artefact.manifest["stage"], artefact.manifest["code"]
    if made == today or not known.are_equal(stage, made, today):
        return False
    found = Equivalence(stage, made, today, [], sample, seed, contrary={artefact.path: content})
    change_equivalences(results, partial(Equivalences.revoked, found=found))
    return True


def _made_again(
    outcome: Outcome,
    drawn: Collection[str],
    here: Mapping[str, Artefact],
    planned: Mapping[str, Planned],
    project: Project,
    scratch: Path,
) -> Outcome:
    """Return an outcome with what the artefacts came out as, up to the first that is not as it was."""
    record, equal = outcome.record, dict[str, str]()
    scratch.mkdir()
    for path in drawn:
        artefact, out = here[path], scratch / "made"
        failed = make_again(planned[path], out, project, scratch, record.today)
        if failed:
            return replace(outcome, reasons=(f"{path}: not made again: {'; '.join(failed)}",))
        made = Artefact(path, out)
        if made.content != artefact.content:
            reasons = [f"{each.file}: {each.reason}" for each in compare_folders(artefact.folder, out, "bitwise")]
            elsewhere = other_environment(artefact, made)
            # Bytes of another environment say nothing about the code.
            contrary = {} if elsewhere else {path: made.content}
            told = [f"made in another environment: {', '.join(elsewhere)}"] if elsewhere else []
            why = f"{path}: {'; '.join([*(reasons or ['other remarks']), *told])}"
            return replace(outcome, record=replace(record, artefacts=equal, contrary=contrary), reasons=(why,))
        equal[path] = made.content
        shutil.rmtree(out)
    return replace(outcome, record=replace(record, artefacts=equal))


def _is_whole(artefact: Artefact) -> bool:
    """Return whether all files of an artefact exist: weights that nobody needs any more may have been removed."""
    return artefact.is_readable and all((artefact.folder / name).is_file() for name in artefact.manifest["files"])
