"""`palimpsest accept` of an edited study: equal bytes rerun nothing, other bytes are not accepted and revoke what was."""

import json
import shutil
from typing import Any

import pytest
from checkout import TINY, Checkout

SPLITS = "src/palimpsest/benchmarks/tofu/splits.py"
SPLIT = "tofu/splits/forget10"
COUNT = "count, rest = divmod(authors * share, 100)"
# Changes no byte, except where the variable is set: a code that depends on what nobody sees.
HIDDEN = f"{COUNT}\n    count += bool(__import__('os').environ.get('ONE_MORE'))"

# A run without a report marks the published pages.
OUTDATED = {"report.html", "samples.html"}


def status(checkout: Checkout) -> dict[str, str]:
    """Return the kind of each artefact that is not simply current."""
    states = json.loads(checkout.palimpsest("status", "results", "--json").stdout)["states"]
    return {state["path"]: state["kind"] for state in states if state["kind"] != "current"}


def records(checkout: Checkout) -> list[dict[str, Any]]:
    read: list[dict[str, Any]] = json.loads((checkout.path / "results/equivalences.json").read_text())
    return read


def found(checkout: Checkout) -> set[str]:
    """Return the paths of the findings of `audit verify`."""
    ran = checkout.palimpsest("audit", "verify", "results", "--json")
    return {finding["path"] for finding in json.loads(ran.stdout)["findings"]}


def test_equal_bytes_are_accepted_and_rerun_nothing(finished: Checkout) -> None:
    before = json.loads((finished.path / "results" / SPLIT / "manifest.json").read_text())
    finished.edit(SPLITS, COUNT, "count, rest = divmod(share * authors, 100)")
    assert len(status(finished)) > 30
    ran = finished.palimpsest("accept")
    assert (ran.returncode, ran.stderr) == (0, "")
    assert ran.stdout == "split: 1 of 1 artefacts made again, with equal bytes: accepted (benchmarks/tofu/splits.py)\n"
    assert finished.jobs(*TINY) == {}
    assert status(finished) == {SPLIT: "accepted"}
    (record,) = records(finished)
    assert record["stage"] == "split" and record["made"] == before["code"] != record["today"]
    assert record["modules"] == ["palimpsest.benchmarks.tofu.splits"] and list(record["artefacts"]) == [SPLIT]
    # The audit knows the accepted code, and shows by what it was accepted.
    ran = finished.palimpsest("audit", "verify", "results", "--json")
    assert ran.returncode == 0, ran.stdout
    verdict = json.loads(ran.stdout)
    assert list(verdict["accepted"]) == [SPLIT] and f"both made the same bytes of {SPLIT}" in verdict["accepted"][SPLIT]


@pytest.mark.slow
def test_accepted_code_is_in_every_account_and_found_through_several_edits(finished: Checkout) -> None:
    before = json.loads((finished.path / "results" / SPLIT / "manifest.json").read_text())
    finished.edit(SPLITS, COUNT, "count, rest = divmod(share * authors, 100)")
    assert finished.palimpsest("accept").returncode == 0
    (record,) = records(finished)
    assert finished.palimpsest("accept").stdout.startswith("results: nothing to accept")
    assert "40 artefacts: 40 current (1 by accepted code), 0 to make" in finished.palimpsest("status").stdout
    number = ["forget_quality", "results", "--where", "method=ga", "suite=tofu"]
    assert "is accepted: both made the same bytes of" in finished.palimpsest("audit", "explain", *number).stdout
    assert finished.palimpsest("audit", "rerun", "results", "--sample", "1", "--only", "split").returncode == 0
    assert finished.palimpsest("audit", "freeze", "results").returncode == 0
    assert json.loads((finished.path / "ledger.json").read_text())["equivalences"] == [record]

    # One edit more, accepted through the first; the same draw again gives the same bytes.
    finished.edit(SPLITS, "divmod(share * authors, 100)", "divmod(share * authors * 1, 100)")
    assert finished.palimpsest("accept").returncode == 0
    assert finished.jobs(*TINY) == {} and len(records(finished)) == 2
    written = (finished.path / "results/equivalences.json").read_bytes()
    assert finished.palimpsest("accept", "--again").returncode == 0
    assert (finished.path / "results/equivalences.json").read_bytes() == written

    # What is missing comes from the store by the earlier code, and counts as before.
    shutil.rmtree(finished.path / "results" / SPLIT)
    ran = finished.snakemake(f"results/{SPLIT}/manifest.json", *TINY)
    assert ran.returncode == 0 and "taken from the store" in (finished.path / f"results/logs/{SPLIT}.log").read_text()
    assert json.loads((finished.path / "results" / SPLIT / "manifest.json").read_text()) == before
    assert status(finished) == {SPLIT: "accepted"}
    assert found(finished) == OUTDATED


@pytest.mark.slow
def test_other_bytes_are_not_accepted(finished: Checkout) -> None:
    finished.edit(SPLITS, COUNT, f"{COUNT}\n    count += 1")
    ran = finished.palimpsest("accept")
    assert (ran.returncode, ran.stdout) == (1, "")
    assert (
        ran.stderr == f"palimpsest accept: split: not accepted: {SPLIT}: forget.jsonl: other bytes; retain.jsonl: other bytes\n"
    )
    (record,) = records(finished)
    assert record["artefacts"] == {} and list(record["contrary"]) == [SPLIT]
    assert finished.jobs(*TINY)["split"] == 1
    # No other draw makes up for it.
    ran = finished.palimpsest("accept", "--seed", "1")
    assert ran.returncode == 1 and "revoked before" in ran.stderr


@pytest.mark.parametrize(
    "command",
    [
        ("accept", "--again"),
        pytest.param(("audit", "rerun", "results", "--sample", "1", "--only", "split"), marks=pytest.mark.slow),
    ],
)
def test_a_contrary_remake_revokes(finished: Checkout, command: tuple[str, ...]) -> None:
    finished.edit(SPLITS, COUNT, HIDDEN)
    assert finished.palimpsest("accept").returncode == 0
    assert finished.jobs(*TINY) == {}
    assert finished.palimpsest(*command, ONE_MORE="1").returncode == 1
    (record,) = records(finished)
    assert list(record["artefacts"]) == list(record["contrary"]) == [SPLIT]
    assert status(finished)[SPLIT] == "stale" and finished.jobs(*TINY)["split"] == 1
    assert "is revoked: made again" in finished.palimpsest("audit", "verify", "results").stdout


@pytest.mark.slow
def test_a_job_that_runs_again_with_accepted_code_records_what_ran(finished: Checkout, monkeypatch: pytest.MonkeyPatch) -> None:
    """And an acceptance that is revoked later leaves no artefact that Snakemake takes for another."""
    finished.edit(SPLITS, COUNT, HIDDEN)
    assert finished.palimpsest("accept").returncode == 0
    path = finished.path / "results" / SPLIT / "manifest.json"
    before = json.loads(path.read_text())["code"]
    monkeypatch.setenv("PALIMPSEST_STORE", "no")
    ran = finished.snakemake("--forcerun", "split", "--until", "split", *TINY)
    assert ran.returncode == 0, ran.stdout
    assert json.loads(path.read_text())["code"] == records(finished)[0]["today"] != before
    assert found(finished) == OUTDATED
    assert finished.palimpsest("audit", "rerun", "results", "--sample", "1", "--only", "split").returncode == 0
    path_of_records = finished.path / "results/equivalences.json"
    (record,) = records(finished)
    path_of_records.write_text(json.dumps([record | {"contrary": {SPLIT: "0" * 64}}]))
    finished.edit(SPLITS, HIDDEN, COUNT)
    ran = finished.snakemake("--dry-run", *TINY)
    assert ran.returncode == 2 and "--adopt` sets them aside" in ran.stdout


@pytest.mark.slow
def test_a_setting_and_the_code_that_reads_it_are_accepted_and_rerun_nothing(finished: Checkout) -> None:
    settings, loop = "src/palimpsest/training/settings.py", "src/palimpsest/training/loop.py"
    field = '    freeze: Option[Count] = None\n    """Train only the last N layers; null: all."""\n    epochs: Epochs = 5'
    finished.edit(settings, "    epochs: Epochs = 5", field)
    read = "    model.train()\n    if settings.freeze is not None:\n        raise NotImplementedError\n    sharing ="
    finished.edit(loop, "    model.train()\n    sharing =", read)
    jobs = finished.jobs(*TINY)
    assert (jobs["base_tiny"], jobs["finetune"], jobs["attack"]) == (1, 3, 2) and jobs["unlearn"] > 6
    ran = finished.palimpsest("accept", "results", "--sample", "1")
    assert ran.returncode == 0, ran.stderr
    assert finished.jobs(*TINY) == {}
    assert set(status(finished).values()) == {"accepted"} and len(status(finished)) == sum(
        jobs[rule] for rule in ("base_tiny", "finetune", "reinforce", "unlearn", "attack")
    )


def test_what_cannot_be_accepted_is_one_line(finished_once: Checkout) -> None:
    ran = finished_once.palimpsest("accept", "results", "--stage", "splt")
    assert ran.returncode == 2
    assert ran.stderr.startswith(
        "palimpsest accept: --stage: unknown stage 'splt'; did you mean split? allowed: data, fetch, split, "
    )
