"""Numbers that are not finite, trainings that change nothing: told where they occur, and never a plausible result."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as some
from report_example import block, spec, write_summary
from run_example import MODELS, Results, attack_rows, identity, subject, suite_rows, trajectory_rows
from test_training import items, run, same, small_model, weights

from palimpsest.contract.job import Job, run_stage
from palimpsest.errors import DIVERGED_EXIT, Diverged, UserError
from palimpsest.provenance.manifest import UNMOVED, Remark, read_manifest
from palimpsest.report import outdated
from palimpsest.report.evidence import Evidence
from palimpsest.report.questions.relearning import QUESTIONS
from palimpsest.scores.remarks import DIVERGED, MISSING
from palimpsest.stages import scores
from palimpsest.stages.training import write_log
from palimpsest.training.problems import FineTuning, Term
from palimpsest.training.settings import TrainSettings

STEPS = TrainSettings(learning_rate=1e-2, epochs=3, batch_size=4, warmup_epochs=0.0)


class Turning:
    """A problem whose loss is changed by a function from one step on."""

    def __init__(self, change: Any, step: int) -> None:
        self.plain, self.change, self.step = FineTuning(items(10)), change, step
        self.size = self.plain.size

    def terms(self, indices: Any, step: int) -> list[Term]:
        (term,) = self.plain.terms(indices, step)
        if step < self.step:
            return [term]
        return [Term(term.name, term.weight, term.items, lambda scored: self.change(term.loss(scored)))]


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (lambda loss: loss * math.nan, "loss is nan"),
        (lambda loss: loss + math.inf, "loss is inf"),
        # A finite loss whose gradient is not.
        (lambda loss: (loss - loss).sqrt() + loss, "grad_norm is nan"),
        # A finite gradient whose norm overflows, so that clipping would make it zero.
        (lambda loss: loss * 1e30, "grad_norm is inf"),
    ],
)
def test_training_stops_before_the_first_step_that_is_not_finite(change: Any, what: str) -> None:
    undisturbed, model = small_model(), small_model()
    run(undisturbed, STEPS.model_copy(update={"max_steps": 4, "schedule": "constant"}))
    constant = STEPS.model_copy(update={"schedule": "constant"})
    with pytest.raises(Diverged) as stop:
        run(model, constant, Turning(change, step=4))
    assert (stop.value.what, stop.value.step, stop.value.steps) == (what, 5, 9)
    assert str(stop.value) == f"diverged at step 5 of 9: {what}"
    # The weights are those of the steps before, which the log holds with the one that failed.
    assert same(weights(model), weights(undisturbed))
    assert [entry["step"] for entry in stop.value.log] == [0, 1, 2, 3, 4]


def test_a_weight_that_is_not_finite_after_the_last_step_is_noticed() -> None:
    model = small_model()

    def overflow(epoch: int) -> None:
        with torch.no_grad():
            next(model.parameters())[0, 0] = math.inf

    with pytest.raises(Diverged, match=r"step 3 of 3: a weight is not finite"):
        run(model, STEPS.model_copy(update={"epochs": 1}), after_epoch=overflow)


def test_a_training_log_is_json_whatever_is_in_it(tmp_path: Path) -> None:
    write_log(tmp_path, [{"loss": math.nan, "weights": [1.0, math.inf], "step": 3}])

    def refuse(name: str) -> None:
        raise AssertionError(name)

    (line,) = (tmp_path / "training_log.jsonl").read_text().splitlines()
    assert json.loads(line, parse_constant=refuse) == {"loss": None, "weights": [1.0, None], "step": 3}


@settings(max_examples=25, deadline=None)
@given(
    epochs=some.integers(1, 3),
    batch_size=some.integers(1, 12),
    warmup_epochs=some.sampled_from([0.0, 0.3, 1.0, 2.5, 10.0]),
    schedule=some.sampled_from(["linear", "constant"]),
    max_steps=some.sampled_from([None, 1, 2, 5]),
)
def test_warm_up_leaves_a_step_at_the_full_rate(**chosen: Any) -> None:
    remarks: list[Remark] = []
    model, before = small_model(), small_model()
    log = run(model, TrainSettings(learning_rate=1e-2, **chosen), remark=remarks.append)
    assert max(entry["learning_rate"] for entry in log) == 1e-2
    assert log[-1]["learning_rate"] > 0
    assert not same(weights(model), weights(before))
    planned = min(chosen["epochs"] * math.ceil(10 / chosen["batch_size"]), chosen["max_steps"] or 1000)
    is_shortened = round(chosen["warmup_epochs"] * math.ceil(10 / chosen["batch_size"])) >= planned
    assert ["warm-up" in remark.text for remark in remarks] == [True] * is_shortened


def test_a_training_that_moves_no_weight_is_remarked() -> None:
    remarks: list[Remark] = []
    model, before = small_model(), small_model()
    run(model, STEPS.model_copy(update={"learning_rate": 1e-30, "weight_decay": 0.0}), remark=remarks.append)
    assert same(weights(model), weights(before))
    text = "test: the training of 9 steps moved no weight, so the model is the one that it started from"
    assert remarks == [Remark(UNMOVED, text)]


def test_a_change_of_one_bit_is_a_move() -> None:
    model = small_model()
    remarks: list[Remark] = []

    def turn(epoch: int) -> None:
        with torch.no_grad():
            next(model.parameters()).view(torch.int32).view(-1)[0] ^= 1

    run(
        model,
        STEPS.model_copy(update={"learning_rate": 1e-30, "weight_decay": 0.0, "epochs": 1}),
        remark=remarks.append,
        after_epoch=turn,
    )
    assert remarks == []


# Stages.


class Spec(scores.Settings):
    """The spec of a stage of these tests."""


def stage(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str, work: Any, *inputs: Path, run_id: str = "") -> int:
    """Run a stage of one's own, and return its exit code."""
    given = [argument for path in inputs for argument in ("--in", f"model={path / 'manifest.json'}")]
    out = str(tmp_path / name / "manifest.json")
    monkeypatch.setattr("sys.argv", [name, "--spec", "{}", "--out", out, "--scratch", str(tmp_path / "scratch"), *given])
    monkeypatch.setenv("PALIMPSEST_RUN", run_id)
    try:
        run_stage("evaluate", Spec, work)
    except SystemExit as stop:
        return int(str(stop.code))
    return 0


def test_what_is_made_of_a_diverged_model_is_diverged_without_any_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def diverge(job: Job[Spec]) -> None:
        (job.out / "log").write_text("as far as it came")
        raise Diverged("loss is nan", 3, 9)

    def never(job: Job[Spec]) -> None:
        raise AssertionError

    assert stage(monkeypatch, tmp_path, "model", diverge) == DIVERGED_EXIT
    manifest = read_manifest(tmp_path / "model" / "manifest.json")
    assert manifest["diverged"] == {"what": "loss is nan", "step": 3, "steps": 9}
    assert list(manifest["files"]) == ["log"]
    assert capsys.readouterr().err.splitlines()[-1] == "palimpsest evaluate: diverged at step 3 of 9: loss is nan"

    assert stage(monkeypatch, tmp_path, "eval", never, tmp_path / "model") == DIVERGED_EXIT
    assert read_manifest(tmp_path / "eval" / "manifest.json")["diverged"] == manifest["diverged"]


def test_remarks_are_kept_in_the_manifest_also_by_a_run_that_was_interrupted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    remark, stops = Remark(UNMOVED, "no weight moved"), [KeyboardInterrupt]

    def work(job: Job[Spec]) -> None:
        if stops:
            job.remark(remark)
            raise stops.pop()

    with pytest.raises(KeyboardInterrupt):
        stage(monkeypatch, tmp_path, "model", work)
    assert stage(monkeypatch, tmp_path, "model", work) == 0
    assert read_manifest(tmp_path / "model" / "manifest.json")["remarks"] == [remark._asdict()]


def test_a_users_mistake_is_tried_once_in_a_run_of_snakemake(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    tried: list[str] = []

    def work(job: Job[Spec]) -> None:
        tried.append("again")
        raise UserError("lora: the model has no layer x")

    assert [stage(monkeypatch, tmp_path, "model", work, run_id="first") for _ in range(3)] == [2, 2, 2]
    assert tried == ["again"]
    assert capsys.readouterr().err.splitlines()[-1].endswith("lora: the model has no layer x (not tried again in this run)")
    stage(monkeypatch, tmp_path, "model", work, run_id="second")
    assert tried == ["again"] * 2


# Scores.


@pytest.fixture
def study(tmp_path: Path) -> Results:
    results = Results(tmp_path / "results")
    rng = np.random.default_rng(7)
    for method, variant in MODELS:
        results.evaluate(identity(method, variant), suite_rows(rng, 0.4))
    results.attack(identity("npo", "default", attack="relearn"), attack_rows(rng, 1))
    return results


def replace_manifest(folder: Path, **more: Any) -> None:
    manifest = json.loads((folder / "manifest.json").read_text())
    (folder / "manifest.json").write_text(json.dumps({**manifest, **more}))


RECORD = {"what": "loss is nan", "step": 12, "steps": 45}


def test_a_diverged_model_is_a_remark_and_costs_no_other_its_numbers(study: Results, monkeypatch: pytest.MonkeyPatch) -> None:
    (run_of,) = study.runs()
    before = pd.read_parquet(study.score(monkeypatch, run_of) / "scores.parquet")
    for suite in ("tofu", "facts"):
        replace_manifest(study.items_path(identity("npo", "default"), suite).parent, diverged=RECORD)
    out = study.score(monkeypatch, run_of)
    after, told = pd.read_parquet(out / "scores.parquet"), pd.read_parquet(out / "remarks.parquet")
    # It is said once, although two suites did not evaluate the model.
    assert told[["method", "variant", "of", "kind", "text"]].to_dict("records") == [
        {
            "method": "npo",
            "variant": "default",
            "of": "evaluation",
            "kind": DIVERGED,
            "text": "diverged at step 12 of 45: loss is nan",
        }
    ]
    # Nor does it cost the attack on the model, which has losses of its own.
    others = before[(before["method"] != "npo") | (before["attack"] != "")]
    assert set(others["method"]) == {"original", "retrain", "npo", "simnpo"}
    pd.testing.assert_frame_equal(after, others.reset_index(drop=True))


def test_without_retrain_there_is_utility_and_no_forget_quality(study: Results, monkeypatch: pytest.MonkeyPatch) -> None:
    (run_of,) = study.runs()
    replace_manifest(study.items_path(identity("retrain", "")).parent, diverged=RECORD)
    table = pd.read_parquet(study.score(monkeypatch, run_of) / "scores.parquet")
    assert not table["metric"].str.startswith("forget_quality").any()
    assert set(table.loc[table["metric"] == "model_utility", "method"]) == {"original", "npo", "simnpo"}


def test_what_could_not_be_made_is_a_remark(study: Results, monkeypatch: pytest.MonkeyPatch) -> None:
    (run_of,) = study.runs()
    study.artefacts["eval"] = [(of, path) for of, path in study.artefacts["eval"] if of["method"] != "simnpo"]
    asked: dict[str, Any] = {
        "run": run_of,
        "suites": {"tofu": "tofu"},
        "gaps": [
            {"method": "simnpo", "variant": "beta-2.5", "of": "evaluation", "reason": "failed: out of memory after step 12"}
        ],
    }
    evaluated = [(of, path) for of, path in study.artefacts["eval"] if path.name == "tofu"]
    inputs = [(f"eval:{subject(of)}/tofu", path) for of, path in evaluated]
    inputs += [("retrain:seed0/tofu", path) for of, path in evaluated if of["method"] == "retrain"]
    out = study.stage(monkeypatch, scores, asked, inputs, study.run_folder(run_of) / "scores")
    (row,) = pd.read_parquet(out / "remarks.parquet").to_dict("records")
    assert (row["method"], row["kind"], row["text"]) == ("simnpo", MISSING, "failed: out of memory after step 12")


TRAINING = {"epochs": 3, "learning_rate": 1e-3}


@pytest.mark.parametrize("diverged", [["beta-4.5"], ["beta-2.5", "beta-4.5"]])
def test_a_diverged_trial_is_never_selected(study: Results, monkeypatch: pytest.MonkeyPatch, diverged: list[str]) -> None:
    rng = np.random.default_rng(3)
    for variant in ("beta-2.5", "beta-4.5"):
        # Of a diverged trial one epoch is there, and a better one than all of the other's.
        epochs = range(2) if variant in diverged else range(4)
        rows = trajectory_rows(rng, epochs)
        study.watch(identity("simnpo", variant, suite="tofu"), rows)
        if variant in diverged:
            replace_manifest(study.folder(identity("simnpo", variant)) / "model", diverged=RECORD)
    asked = {
        "rule": {"keep": 0.0, "epochs": "last"},
        "suite": "tofu",
        "kind": "tofu",
        "trials": [{"variant": name, "run": "tofu/seed0", "training": TRAINING, "loss": {}} for name in ("beta-4.5", "beta-2.5")],
        "runs": ["tofu/seed0"],
    }
    folder = study.root / "tofu" / "tiny" / "forget05" / "selection" / "simnpo"
    if len(diverged) == 1:
        study.select(monkeypatch, "simnpo", asked)
        assert json.loads((folder / "selection.json").read_text())["variant"] == "beta-2.5"
        (remark,) = read_manifest(folder / "manifest.json")["remarks"]
        assert remark["text"] == "trial beta-4.5, tofu/seed0: diverged at step 12 of 45: loss is nan"
    else:
        with pytest.raises(SystemExit) as stop:
            study.select(monkeypatch, "simnpo", asked)
        assert stop.value.code == DIVERGED_EXIT
        assert read_manifest(folder / "manifest.json")["diverged"]["what"] == "no trial has a finite score"
        summary = study.summarise(monkeypatch, ("simnpo",))
        assert set(pd.read_parquet(summary / "selections.parquet")["reason"]) == {
            "No trial was selected: diverged: no trial has a finite score."
        }


# The report.


def attacked_rows(method: str, by_epoch: list[float]) -> list[dict[str, Any]]:
    place = {"benchmark": "tofu", "split": "forget05", "model": "tiny", "seed": 0, "method": method, "variant": "default"}
    return [
        place | {"attack": "relearn", "epoch": epoch, "suite": "tofu", "metric": "forget_quality", "value": value}
        for epoch, value in enumerate(by_epoch)
    ]


def test_an_attack_that_moved_no_weight_is_no_robustness(tmp_path: Path) -> None:
    rows = attacked_rows("npo", [0.9, 0.9]) + attacked_rows("simnpo", [0.8, 0.2])
    place = {name: rows[0][name] for name in ("benchmark", "split", "model", "seed", "method", "variant", "attack")}
    remark = place | {"of": "attack", "kind": UNMOVED, "text": "draw 1: the training of 1 steps moved no weight"}

    def sentences(name: str, remarks: list[dict[str, Any]]) -> list[str]:
        summary = write_summary(tmp_path / name, rows, remarks=remarks)
        of = block(attacks=["relearn"], seeds=[0])
        (question,) = QUESTIONS
        evidence = Evidence(spec(of, attacks={"relearn": {"select": "random", "training": {}}}).study, summary)
        answer = question.answer(evidence)
        assert answer is not None
        compared = [found.claim.text for found in answer.verdicts]
        assert bool(compared) == (not remarks)
        return [f"{note.label}, {note.where}: {note.text}" for table in answer.tables for note in table.notes]

    assert sentences("moved", []) == []
    assert sentences("unmoved", [remark]) == ["NPO, relearn, seed 0: draw 1: the training of 1 steps moved no weight"]


def test_an_old_page_is_marked_until_it_is_made_again(tmp_path: Path) -> None:
    page, source = tmp_path / "report.html", tmp_path / "source.html"
    outdated.mark(page)
    assert not page.exists()
    source.write_text("<html>\n<body>\n<p>numbers</p>\n</body>\n</html>\n")
    page.write_text(source.read_text())
    for _ in range(2):
        outdated.mark(page)
        assert page.read_text().count("This page is out of date.") == 1
    outdated.unmark(page, source)
    assert page.read_text() == source.read_text()
