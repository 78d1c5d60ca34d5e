"""What `palimpsest status` says of a finished study, and what Snakemake does with a copy of its results."""

import json
import shutil
from typing import Any

from checkout import TINY, Checkout

END = {"scores": 1, "summarise": 1, "page": 1, "publish": 1, "all": 1}
RUN = "tofu/tiny/forget10/seed0"
EVALUATED = {f"{RUN}/unlearn/ga/default/eval/{suite}" for suite in ("tofu", "lm-eval")}
BEHIND = {f"{RUN}/unlearn/ga/default/model", *EVALUATED, f"{RUN}/scores", "summary", "report"}


def status(checkout: Checkout, *arguments: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(checkout.palimpsest("status", "results", "--json", *arguments, code=0).stdout)
    return found


def to_make(found: dict[str, Any]) -> dict[str, tuple[str, ...]]:
    return {state["path"]: tuple(state["causes"]) for state in found["states"] if state["kind"] != "current"}


def test_a_finished_study_is_current(finished: Checkout) -> None:
    found = status(finished)
    assert to_make(found) == {} and found["orphaned"] == found["unrecorded"] == []
    assert finished.palimpsest("status", "results", code=0).stdout.count("\n") == 1


def test_an_edit_is_named_with_all_that_it_makes_stale(finished: Checkout) -> None:
    finished.edit("src/palimpsest/methods/ga.py", "-batch.nll", "-2 * batch.nll")
    assert to_make(status(finished)) == dict.fromkeys(BEHIND, ("code: methods/ga.py",))
    assert "code: methods/ga.py  6 to make, 0:" in finished.palimpsest("status", "results", code=0).stdout


def test_a_setting_is_named(finished: Checkout) -> None:
    arguments = finished.overlay('methods: {"tofu/forget10/tiny/ga": {forget_weight: 0.5}}')
    assert to_make(status(finished, *arguments)) == dict.fromkeys(BEHIND, ("settings of unlearn: training.forget_weight",))


def test_what_is_missing_is_in_the_store_and_what_is_asked_for_no_more_is_orphaned(finished: Checkout) -> None:
    shutil.rmtree(finished.path / "results" / RUN / "unlearn/ga/default/eval/tofu")
    shutil.copytree(finished.path / "results" / RUN / "retrain/eval/tofu", finished.path / "results" / RUN / "older/eval/tofu")
    found = status(finished)
    current = {f"{RUN}/unlearn/ga/default/model", f"{RUN}/unlearn/ga/default/eval/lm-eval"}
    assert to_make(found) == dict.fromkeys(BEHIND - current, ("missing",))
    assert [state["path"] for state in found["states"] if state["is_stored"]] == [f"{RUN}/unlearn/ga/default/eval/tofu"]
    assert found["orphaned"] == [f"{RUN}/older/eval/tofu"]


def test_an_input_made_anew_is_named(finished: Checkout) -> None:
    path = finished.path / "results" / RUN / "unlearn/ga/default/model/manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"remarks": [{"kind": "fact", "text": "made anew"}]}))
    assert to_make(status(finished)) == dict.fromkeys(
        BEHIND - {f"{RUN}/unlearn/ga/default/model"}, (f"another {RUN}/unlearn/ga/default/model",)
    )


def test_a_copy_without_records_runs_exactly_what_differs(finished: Checkout) -> None:
    """Snakemake alone would say that nothing is to be done."""
    shutil.rmtree(finished.path / ".snakemake")
    assert finished.jobs(*TINY) == {}
    arguments = finished.overlay('methods: {"tofu/forget10/tiny/ga": {forget_weight: 0.5}}')
    ran = finished.snakemake("--dry-run", *arguments)
    assert ran.returncode == 2
    assert "palimpsest: results: 6 of" in ran.stdout and "`palimpsest status results --adopt` sets them aside" in ran.stdout
    finished.palimpsest("status", "results", "--adopt", *arguments, code=0)
    assert finished.jobs(*arguments) == {"unlearn": 1, "evaluate": 2, **END}


def test_a_copy_whose_code_was_edited_runs_exactly_what_differs(finished: Checkout) -> None:
    shutil.rmtree(finished.path / ".snakemake")
    finished.edit("src/palimpsest/methods/ga.py", "-batch.nll", "-2 * batch.nll")
    assert finished.snakemake("--dry-run", *TINY).returncode == 2
    finished.palimpsest("status", "results", "--adopt", code=0)
    assert finished.jobs(*TINY) == {"unlearn": 1, "evaluate": 2, **END}
