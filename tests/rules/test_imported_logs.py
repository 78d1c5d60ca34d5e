"""A log that others made in the DAG: what waits for it, what it reruns, and what is said where it is missing."""

import shutil

import pandas as pd
from checkout import Checkout

from palimpsest.audit.explain import find_number, trace
from palimpsest.provenance.canonical import sha256_file

END = {"summarise": 1, "page": 1, "publish": 1, "all": 1}
OVERLAY = """
external:
  theirs: {benchmark: tofu, split: forget10, model: tiny, log: logs/items.parquet, label: "GA, theirs", source: a friend}
"""
METHODS = "results/tofu/tiny/forget10/seed0/unlearn"
ARTEFACT = "results/tofu/tiny/forget10/external/theirs"


def test_a_log_reruns_its_artefact_and_the_report_and_nothing_else(finished: Checkout) -> None:
    arguments, log = finished.overlay(OVERLAY), finished.path / "logs" / "items.parquet"
    log.parent.mkdir()

    missing = finished.snakemake("--dry-run", *arguments)
    assert missing.returncode == 2, missing.stdout
    line = "palimpsest: config: external: theirs: log: there is no 'logs/items.parquet'; expected a log, or a folder with a log\n"
    assert missing.stdout.endswith(line)

    shutil.copy(finished.path / METHODS / "ga/default/eval/tofu/items.parquet", log)
    assert finished.jobs(*arguments, said="Importing theirs") == {"external": 1, **END}
    ran = finished.snakemake(*arguments)
    assert ran.returncode == 0, ran.stdout
    assert sha256_file(finished.path / ARTEFACT / "log/items.parquet") == sha256_file(log)
    # The same items against the same Retrain give the same numbers.
    numbers = pd.read_csv(finished.path / "results/summary.csv").query("suite == 'tofu' and epoch != epoch and attack != attack")
    of = {method: rows.set_index("metric")["value"] for method, rows in numbers.groupby("method")}
    assert of["theirs"].equals(of["ga"][of["theirs"].index])
    assert {"forget_quality", "model_utility"} <= set(of["theirs"].index)
    page = (finished.path / "results/report.html").read_text(encoding="utf-8")
    assert "imported, not made here" in page
    results = finished.path / "results"
    steps = trace(results, find_number(results, "forget_quality", {"method": "theirs"}))
    assert [step.path for step in steps][:3] == [
        "summary",
        "tofu/tiny/forget10/external/theirs",
        "tofu/tiny/forget10/seed0/retrain/eval/tofu",
    ]
    assert str(steps[1].source).startswith("imported, not made here: a friend (logs/items.parquet items.parquet sha256 ")

    assert finished.jobs(*arguments) == {}
    shutil.copy(finished.path / METHODS / "npo/default/eval/tofu/items.parquet", log)
    assert finished.jobs(*arguments) == {"external": 1, **END}
    # A log that is gone counts as what its artefact was made of.
    log.unlink()
    assert finished.jobs(*arguments) == {}
    # Nor does it stay where the config no longer names it.
    assert finished.jobs("--configfile", "config/test/tiny.yaml") == END
