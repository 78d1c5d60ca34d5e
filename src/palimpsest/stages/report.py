"""Stage `report`: the summary of a study as tables, figures and a page."""

from palimpsest.report.report import write_report
from palimpsest.report.study import ReportSpec
from palimpsest.stages.contract import Job, run_stage


def work(job: Job[ReportSpec]) -> None:
    """Write the report of the one summary given."""
    write_report(job.spec, job.input("summary"), job.out)


if __name__ == "__main__":
    run_stage("report", ReportSpec, work)
