"""Which jobs of a study Snakemake measures, and where it writes what it saw: what the table of costs is made from."""

from __future__ import annotations

from typing import Any

from palimpsest.config.study import Study, Subject, Wanted
from palimpsest.models.settings import Tiny

Jobs = dict[str, tuple[str, dict[str, Any]]]
# What methods read beside their start model, and the stages that make it.
SHARED = {"reference": "reference", "strengthened": "strengthen"}


def list_measured(study: Study) -> dict[str, Any]:
    """Return the spec of the study's costs: every job that works with a model, with its benchmark file."""
    found: Jobs = {}
    for subject, wanted in study.subjects.items():
        run = subject.run
        if isinstance(study.config.models[run.model], Tiny):
            found[f"{run.benchmark}/{run.model}/base"] = ("base", {"benchmark": run.benchmark, "model": run.model})
        found |= _of_subject(study, subject, wanted)
        if subject.variant and not study.benchmark(run.benchmark).measures_itself:
            found |= _read_by(study, subject)
    jobs = [
        {"stage": stage, **names, "gpu": study.config.models[names["model"]].resources.gpu, "file": f"{path}.tsv"}
        for path, (stage, names) in found.items()
    ]
    return {"study": study.config.study, "folder": f"{study.results}/benchmarks", "jobs": jobs}


def _of_subject(study: Study, subject: Subject, wanted: Wanted) -> Jobs:
    jobs: Jobs = {}
    if wanted.model and study.is_trained(subject):
        jobs[study.model_folder(subject)] = ("unlearn" if subject.variant else "finetune", subject.names)
    if wanted.trajectory:
        jobs[f"{subject.path}/trajectory"] = ("trajectory", subject.names)
    if wanted.suites:
        jobs[f"{subject.path}/eval"] = ("evaluate", subject.names)
    for attack in sorted(wanted.attacks):
        jobs[f"{subject.path}/attack/{attack}"] = ("attack", {**subject.names, "attack": attack})
    return jobs


def _read_by(study: Study, subject: Subject) -> Jobs:
    """Return the jobs of a run that a method reads from and others may share."""
    folders = study.read_by(subject.run, subject.method, subject.variant)
    return {folders[name]: (stage, vars(subject.run)) for name, stage in SHARED.items() if name in folders}
