"""The costs of jobs, from their measurements to the page."""

import csv
import io
import json
import math
import sys

import pandas as pd
import pytest
from html_page import Page
from report_example import PLAIN, numbers

from palimpsest.report import cost
from palimpsest.report.cost import CostSpec, cost_table, measured_jobs, quality_by_time
from palimpsest.report.cost_page import duration, time_against_quality
from palimpsest.report.rows import clean_summary

TOFU = {"benchmark": "tofu", "split": "forget05", "model": "tiny"}


def job(folder, name, seconds=None, memory=0.5, cpu=None, gpus=0, **changes):
    """A job and its measurements; a job without seconds was not measured."""
    if seconds:
        measured = {"seconds": seconds, "cpu_seconds": cpu or seconds, "peak_memory_gb": memory, "peak_gpu_memory_gb": 0.0}
        measured |= {"device": "NVIDIA H100", "processes": gpus} if gpus else {"device": "cpu", "processes": 1}
        (folder / f"{name}.json").write_text(json.dumps(measured))
    return TOFU | {"stage": "unlearn", "method": "npo", "variant": "default", "seed": 0, "file": f"{name}.json"} | changes


def spec(folder, *jobs):
    return CostSpec.model_validate({"study": "demo", "folder": str(folder), "jobs": list(jobs)})


@pytest.fixture
def jobs(tmp_path):
    # In the order of the pipeline, as the workflow lists them.
    return [
        job(tmp_path, "base", 30, stage="base", split="", method="", variant="", seed=None),
        job(tmp_path, "unlearn0", 100, cpu=90, gpus=2),
        job(tmp_path, "unlearn1", 300, memory=2.0, cpu=270, gpus=2, seed=1),
        job(tmp_path, "unlearn2", seed=2),
        job(tmp_path, "ga", method="ga"),
        job(tmp_path, "attack", 60, stage="attack", attack="relearn-random"),
    ]


def test_costs_are_summed_by_stage_and_method(tmp_path, jobs):
    table = cost_table(measured_jobs(spec(tmp_path, *jobs)))
    assert list(zip(table["stage"], table["method"], table["attack"], strict=True)) == [
        ("base", "", ""),
        ("unlearn", "ga", ""),
        ("unlearn", "npo", ""),
        ("attack", "npo", "relearn-random"),
    ]
    npo = table.iloc[2]
    assert (npo["jobs"], npo["measured"], npo["wall_s_mean"], npo["wall_s_sum"]) == (3, 2, 200, 400)
    assert npo["cpu_h"] == pytest.approx(0.1)
    assert npo["gpu_h"] == pytest.approx(2 * 400 / 3600)
    assert npo["peak_memory_gb"] == 2.0


def test_a_job_without_a_file_is_not_measured_and_costs_no_zero(tmp_path, jobs):
    ga = cost_table(measured_jobs(spec(tmp_path, *jobs))).iloc[1]
    assert (ga["jobs"], ga["measured"]) == (1, 0)
    assert all(math.isnan(ga[name]) for name in ("wall_s_mean", "wall_s_sum", "cpu_h", "gpu_h", "peak_memory_gb"))


def test_a_job_of_an_older_version_is_measured_in_part(monkeypatch, tmp_path):
    (tmp_path / "old.json").write_text(json.dumps({"seconds": 0.02}))
    old = measured_jobs(spec(tmp_path, job(tmp_path, "old")))
    assert old["wall_s"].tolist() == [0.02]
    assert old["peak_memory_gb"].isna().all()
    text = json.dumps({"study": "demo", "folder": str(tmp_path), "jobs": [job(tmp_path, "old")]})
    assert run(monkeypatch, tmp_path, text) == 0
    assert not {"nan", "None"} & set(Page((tmp_path / "cost.html").read_text()).text.split())


@pytest.mark.parametrize("text", ["not JSON", "[1]", '{"seconds": "long"}'])
def test_another_file_is_an_error_that_names_it(tmp_path, text):
    (tmp_path / "x.json").write_text(text)
    with pytest.raises(cost.UserError, match=r"x\.json: not the environment of a job"):
        measured_jobs(spec(tmp_path, job(tmp_path, "x")))


def test_time_meets_quality_where_both_are_known(tmp_path, jobs):
    rows = clean_summary(pd.DataFrame(numbers(PLAIN)))
    points = quality_by_time(measured_jobs(spec(tmp_path, *jobs)), rows)
    (point,) = points.to_dict("records")
    assert (point["method"], point["variant"], point["suite"], point["wall_s"]) == ("npo", "default", "tofu", 200)
    assert point["forget_quality"] == pytest.approx(0.7)
    ((_, (panel,)),) = time_against_quality(points).rows
    assert panel.data["x"].tolist() == [200]


def test_the_page_says_when_where_and_by_which_commit_jobs_ran(monkeypatch, tmp_path):
    for name, day, commit in (("a", "28", "c1"), ("b", "30", "c2"), ("c", "29", "c1")):
        told = {"commit": commit, "cpu": "EPYC", "cpus": 2, "device": "H200", "started": f"2026-11-{day}T20:32:26Z"}
        (tmp_path / f"{name}.json").write_text(json.dumps(told))
    jobs = [job(tmp_path, name) for name in ("a", "b", "c", "none")]
    found = {"Commit": ["c1", "c2"], "Date": ["2026-11-28 to 2026-11-30"], "Hardware": ["EPYC, 2 cores", "H200"]}
    assert cost.made_by(spec(tmp_path, *jobs)) == found
    assert run(monkeypatch, tmp_path, json.dumps({"study": "demo", "folder": str(tmp_path), "jobs": jobs})) == 0
    text = Page((tmp_path / "cost.html").read_text()).text
    assert "c1; c2" in text and "2026-11-28 to 2026-11-30" in text and "EPYC, 2 cores; H200" in text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.04, "0.0 s"),
        (59.9, "59.9 s"),
        (60, "1 min 00 s"),
        (59.97, "1 min 00 s"),
        (3599.6, "1 h 00 min"),
        (90061, "25 h 01 min"),
    ],
)
def test_times_have_two_units(seconds, text):
    assert duration(seconds) == text


def run(monkeypatch, tmp_path, text, given="-"):
    pd.DataFrame(numbers(PLAIN)).to_csv(tmp_path / "summary.csv", index=False)
    monkeypatch.setattr(sys, "stdin", io.StringIO(text))
    arguments = ["--spec", given, "--summary", str(tmp_path / "summary.csv"), "--out", str(tmp_path)]
    monkeypatch.setattr(sys, "argv", ["cost", *arguments])
    return cost.main()


@pytest.mark.parametrize("on_stdin", [True, False])
def test_the_command_writes_a_table_and_a_page(monkeypatch, tmp_path, jobs, on_stdin):
    text = json.dumps({"study": "<script>demo</script>", "folder": str(tmp_path), "jobs": jobs})
    assert run(monkeypatch, tmp_path, text if on_stdin else "", "-" if on_stdin else text) == 0
    page = Page((tmp_path / "cost.html").read_text())
    assert page.runs_its_own_scripts()
    for words in (
        "<script>demo</script>",
        "4 jobs took",
        "2 more were not measured",
        "3 (2 measured)",
        "3 min 20 s",
        "2.00 GB",
        "not measured",
        "NPO · relearn-random",
    ):
        assert words in page.text
    assert page.text.count("not measured") >= 5
    assert not {"nan", "None"} & set(page.text.split())
    assert "report.html" in page.attributes("href")
    with (tmp_path / "cost.csv").open() as file:
        assert [row["jobs"] for row in csv.DictReader(file)] == ["1", "1", "3", "1"]


def test_nothing_measured_is_a_page_too(monkeypatch, tmp_path):
    text = json.dumps({"study": "demo", "jobs": [job(tmp_path, "none")]})
    assert run(monkeypatch, tmp_path, text) == 0
    page = Page((tmp_path / "cost.html").read_text())
    assert "img" not in {tag for tag, _ in page.tags}
    assert "None of 1 jobs was measured." in page.text
    assert run(monkeypatch, tmp_path, json.dumps({"study": "demo", "jobs": []})) == 0


@pytest.mark.parametrize(
    ("text", "message"), [("{", "spec: "), ('{"study": "x", "jobs": [{"stage": "unlearn"}]}', "spec: jobs.0.benchmark: ")]
)
def test_a_wrong_spec_is_one_line(monkeypatch, tmp_path, capsys, text, message):
    assert run(monkeypatch, tmp_path, text) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"palimpsest cost: {message}")
    assert error.count("\n") == 1
