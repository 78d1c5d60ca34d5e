"""Stage `report`: the summary of a study as tables, figures and a page."""

from palimpsest.contract.job import Job, run_stage
from palimpsest.report.report import write_report
from palimpsest.report.study import ReportSpec


def work(job: Job[ReportSpec]) -> None:
    """Write the report of the input `summary`."""
    write_report(job.spec, job.input("summary"), job.out)


if __name__ == "__main__":
    run_stage("report", ReportSpec, work)
