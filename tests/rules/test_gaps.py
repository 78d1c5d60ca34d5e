"""One failing and one diverging variant in a study: everyone else's numbers are reported, and the gaps are named."""

import pandas as pd
from checkout import Checkout

OVERLAY = """
variants:
  "tofu/*/*/*":
    slow: {learning_rate: 1.0e-4}
blocks:
  - {benchmark: tofu, splits: [forget10], models: [tiny], seeds: [0], methods: [ga, npo, {simnpo: [slow]}], suites: [tofu]}
"""
RUN = "results/tofu/tiny/forget10/seed0"
MARK = "This page is out of date."


def test_a_failure_and_a_divergence_cost_nobody_the_report(finished: Checkout) -> None:
    arguments, page = finished.overlay(OVERLAY), finished.path / "results/report.html"
    # No setting within its bounds makes a training of this size diverge.
    finished.edit("src/palimpsest/methods/npo.py", "-2 / self.beta", "-float('inf') / self.beta")
    place = finished.path / RUN / "unlearn/simnpo/slow/model"
    place.parent.mkdir(parents=True)
    # A stage writes through no link.
    place.symlink_to(finished.path)
    old = page.read_text(encoding="utf-8")

    # Only models: no report is asked for, and the old one says that it is old.
    ran = finished.snakemake(*arguments, "--", "unlearned")
    assert ran.returncode == 1, ran.stdout
    assert page.read_text(encoding="utf-8").replace(old, "").count(MARK) == 1

    ran = finished.snakemake(*arguments)
    assert ran.returncode == 1, ran.stdout
    assert "2 artefacts could not be made; the report is made with these gaps:" in ran.stdout
    text = page.read_text(encoding="utf-8")
    assert MARK not in text
    assert "SimNPO slow could not be made" in text
    assert "a link to" in text
    assert "NPO diverged" in text
    told = pd.read_csv(finished.path / "results/summary/remarks.csv").set_index(["method", "variant"])
    assert told.loc[("npo", "default"), "kind"] == "diverged"
    assert told.loc[("npo", "default"), "text"].startswith("diverged at step 1 of 2: ")
    assert told.loc[("simnpo", "slow"), "kind"] == "missing"
    assert told.loc[("simnpo", "slow"), "text"].startswith("failed: ")
    numbers = pd.read_csv(finished.path / "results/summary.csv")
    assert set(numbers["method"]) == {"original", "retrain", "ga"}

    # What diverged is a result, and is not made again; what failed is, and the exit code tells of the rest.
    place.unlink()
    jobs = finished.jobs(*arguments)
    assert {rule: count for rule, count in jobs.items() if rule in ("unlearn", "evaluate")} == {"unlearn": 1, "evaluate": 1}
    ran = finished.snakemake(*arguments)
    assert ran.returncode == 3, ran.stdout
    assert f"{RUN}/unlearn/npo/default/model/manifest.json: step 1 of 2: " in ran.stdout
    told = pd.read_csv(finished.path / "results/summary/remarks.csv")
    # Original's utility is 0 here, so that no share of it is left to any model.
    assert set(told["kind"]) == {"diverged", "undefined"}
    assert set(pd.read_csv(finished.path / "results/summary.csv")["method"]) == {"original", "retrain", "ga", "simnpo"}
    assert finished.jobs(*arguments) == {}
