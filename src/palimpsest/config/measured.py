"""Which jobs of a study Snakemake measures, and where it writes its figures: the table of costs is made of them."""

from __future__ import annotations

from typing import Any

from palimpsest.config.stages import Artefacts


def list_measured(artefacts: Artefacts) -> dict[str, Any]:
    """Return the spec of a study's costs: every job that works with a model, in the order of the pipeline, and its figures."""
    study = artefacts.study
    jobs = [
        {
            "stage": node.stage,
            **{name: value for name, value in node.columns.items() if value not in ("", None)},
            "gpu": study.config.models[node.of.model].resources.gpu,
            "file": f"{node.path}.tsv",
        }
        for node in artefacts.measured()
    ]
    return {"study": study.config.study, "folder": f"{study.results}/benchmarks", "jobs": jobs}
