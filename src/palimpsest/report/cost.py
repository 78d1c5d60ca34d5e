"""What a study cost: the time and memory of its jobs, as a page beside the report, because these numbers never repeat."""

import math
import sys
from pathlib import Path

import pandas as pd
from pydantic import ValidationError

from palimpsest.arguments import Parser, filled_path, refuse
from palimpsest.errors import UserError
from palimpsest.provenance.manifest import read_environment
from palimpsest.report.cost_page import write_page
from palimpsest.report.names import model_order
from palimpsest.report.rows import KEY, NAMES, clean_summary, finished
from palimpsest.settings import Settings

CSV, PAGE = "cost.csv", "cost.html"
GROUP = ["stage", *KEY, "method", "attack"]
# The key in a job's environment.json, the column, and how many of its units one of ours has.
MEASURES = {
    "seconds": ("wall_s", 1.0),
    "cpu_seconds": ("cpu_h", 3600.0),
    "peak_memory_gb": ("peak_memory_gb", 1.0),
    "peak_gpu_memory_gb": ("peak_gpu_memory_gb", 1.0),
}


class MeasuredJob(Settings):
    """The job that made an artefact; fields that do not distinguish it from others are left out."""

    stage: str
    benchmark: str
    split: str = ""
    model: str = ""
    seed: int | None = None
    method: str = ""
    variant: str = ""
    attack: str = ""
    file: str
    """The artefact's environment.json, relative to `folder`."""


class CostSpec(Settings):
    """Every job of a study that computes with a model; a job without a file was not measured."""

    study: str
    folder: str = "."
    jobs: list[MeasuredJob]
    """In the order of the pipeline, which is the order of the table."""


def write_cost(spec: CostSpec, summary: Path, out: Path) -> None:
    """Write cost.csv and cost.html; `summary` is the summary's CSV, for the forget quality that a method's time bought."""
    jobs = measured_jobs(spec)
    costs = cost_table(jobs)
    costs.to_csv(out / CSV, index=False, lineterminator="\n")
    points = quality_by_time(jobs, _read_summary(summary))
    write_page(out / PAGE, spec.study, costs, points, out / CSV, made_by(spec))


def _read_summary(path: Path) -> pd.DataFrame:
    """Return the tidy summary; a column of names that is empty throughout is one of names all the same."""
    try:
        return clean_summary(pd.read_csv(path, dtype=dict.fromkeys(NAMES, "str")))
    except (KeyError, ValueError) as error:
        raise UserError(f"{path}: no summary of a study: {error}") from None


def measured_jobs(spec: CostSpec) -> pd.DataFrame:
    """Return one row per job: its model, wall seconds, CPU and GPU hours, peak memory in GB; NaN if it was not measured."""
    rows = [job.model_dump() | _measures(Path(spec.folder, job.file)) for job in spec.jobs]
    return pd.DataFrame(rows, columns=[*MeasuredJob.model_fields, *(name for name, _ in MEASURES.values()), "gpu_h"])


def made_by(spec: CostSpec) -> dict[str, list[str]]:
    """Return when, by which commits and on which hardware the jobs ran, by head, each value once."""
    told = [each for job in spec.jobs if (each := read_environment(Path(spec.folder, job.file)))]
    days = sorted({str(each["started"])[:10] for each in told if each.get("started")})
    machines = [f"{each['cpu']}, {each.get('cpus')} cores" for each in told if each.get("cpu")]
    devices = [str(each["device"]) for each in told if each.get("device") not in (None, "", "cpu")]
    found = {
        "Commit": [str(each["commit"]) for each in told if each.get("commit")],
        "Date": [" to ".join(dict.fromkeys((days[0], days[-1])))] if days else [],
        "Hardware": [*machines, *devices],
    }
    return {head: list(dict.fromkeys(values)) for head, values in found.items() if values}


def _measures(path: Path) -> dict[str, float]:
    """Return the measurements of a job; a job of an older version has fewer."""
    told = read_environment(path) or {}
    try:
        found = {name: float(told.get(key, math.nan)) / unit for key, (name, unit) in MEASURES.items()}
        # Each process of a job has a GPU, or none has.
        gpus = 0.0 if told.get("device") == "cpu" else float(told.get("processes", math.nan))
        return found | {"gpu_h": found["wall_s"] * gpus / 3600}
    except (TypeError, ValueError) as error:
        raise UserError(f"{path}: not the environment of a job: {error}") from None


def cost_table(jobs: pd.DataFrame) -> pd.DataFrame:
    """Return one row a stage, place, method and attack: jobs and how many were measured, and what these took together."""
    table = (
        jobs.groupby(GROUP, sort=False)
        .agg(
            jobs=("file", "size"),
            measured=("wall_s", "count"),
            wall_s_mean=("wall_s", "mean"),
            wall_s_sum=("wall_s", _known_sum),
            cpu_h=("cpu_h", _known_sum),
            gpu_h=("gpu_h", _known_sum),
            peak_memory_gb=("peak_memory_gb", "max"),
            peak_gpu_memory_gb=("peak_gpu_memory_gb", "max"),
        )
        .reset_index()
    )
    stages = list(dict.fromkeys(jobs["stage"]))
    order = [
        (stages.index(row["stage"]), *(row[name] for name in KEY), model_order(row["method"], ""), row["attack"])
        for row in table.to_dict("records")
    ]
    return table.iloc[sorted(range(len(table)), key=order.__getitem__)].reset_index(drop=True)


def _known_sum(values: pd.Series) -> float:
    """Return the sum of what is known; NaN where nothing is."""
    return float(values.sum(min_count=1))


def quality_by_time(jobs: pd.DataFrame, summary: pd.DataFrame) -> pd.DataFrame:
    """Return for every unlearned model with both: mean seconds of unlearning and mean forget quality over seeds, by suite."""
    model = [*KEY, "method", "variant"]
    times = jobs[jobs["stage"] == "unlearn"].groupby(model)["wall_s"].mean().dropna()
    rows = finished(summary)
    qualities = rows[rows["metric"] == "forget_quality"].groupby([*model, "suite"])["value"].mean().rename("forget_quality")
    return qualities.reset_index().merge(times.reset_index(), on=model)


def main() -> int:
    """Run from the command line; a UserError is one line and exits with 2."""
    parser = Parser(prog="palimpsest.report.cost", description="Write what a study cost.")
    parser.add_argument("--spec", required=True, help="JSON: study, folder, jobs; - reads it from standard input")
    parser.add_argument("--summary", required=True, type=filled_path, help="the summary's CSV")
    parser.add_argument("--out", required=True, type=filled_path, metavar="FOLDER", help=f"where {CSV} and {PAGE} go")
    args = parser.parse_args()
    try:
        if not args.summary.is_file() or not args.out.is_dir():
            raise UserError(f"{args.summary}, {args.out}: a summary and a folder are wanted that are there")
        spec = CostSpec.model_validate_json(sys.stdin.read() if args.spec == "-" else args.spec)
        write_cost(spec, args.summary, args.out)
    except ValidationError as error:
        first = error.errors()[0]
        return refuse("palimpsest cost", UserError(f"spec: {'.'.join(map(str, first['loc']))}: {first['msg']}"))
    except (UserError, OSError) as error:
        return refuse("palimpsest cost", error)
    return 0


if __name__ == "__main__":
    sys.exit(main())
