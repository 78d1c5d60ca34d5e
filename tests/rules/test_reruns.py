"""What makes a finished study rerun, and what does not: dry runs on copies of one that ran."""

import os
import random
import re
import shutil
from pathlib import Path

import pytest
import yaml
from checkout import TINY, Checkout

END = {"scores": 1, "summarise": 1, "page": 1, "publish": 1, "all": 1}
RUN = "results/tofu/tiny/forget10/seed0"
METHODS = "src/palimpsest/methods"
TAKEN = "taken from the store"


def test_a_finished_study_has_nothing_to_do_wherever_it_lies(finished: Checkout) -> None:
    assert finished.jobs(*TINY) == {}


def test_times_of_files_rerun_nothing(finished: Checkout) -> None:
    """As a copy leaves them, in any order."""
    paths = sorted(path for path in finished.path.rglob("*") if path.is_file() and ".snakemake" not in path.parts)
    random.Random(0).shuffle(paths)
    for seconds, path in enumerate(paths):
        os.utime(path, (1.7e9 + seconds, 1.7e9 + seconds))
    assert finished.jobs(*TINY) == {}


def test_comments_docstrings_and_blank_lines_rerun_nothing(finished: Checkout) -> None:
    for path in finished.path.glob("src/**/*.py"):
        text = re.sub(r'\A"""[^"\n]+"""\n', '"""Another docstring."""\n', path.read_text(encoding="utf-8"))
        path.write_text(f"# A new comment.\n\n{text}\n\n# Another.\n", encoding="utf-8")
    finished.edit(f"{METHODS}/npo.py", "NLL summed over tokens", "the NLL being a sum")
    assert finished.jobs(*TINY) == {}


@pytest.mark.parametrize(
    ("method", "old", "new", "models", "behind"),
    [
        # Two suites evaluate the default variant, and one suite evaluates each other variant. SimNPO has the default, a selected
        # variant and four trials. One trial is the default. The selection reads the trials.
        ("simnpo", "-2 / self.beta", "-2.0 / self.beta", 5, {"evaluate": 2 + 1, "select": 1}),
        # NPO has the default, a variant from the half-learnt original, and a variant with a noisy reference.
        ("npo", "-2 / self.beta", "-2.0 / self.beta", 3, {"evaluate": 2 + 2, "attack": 1}),
        ("ga", "-batch.nll", "-1 * batch.nll", 1, {"evaluate": 2}),
        ("rkld", "reduction=", "*(), reduction=", 1, {"evaluate": 2}),
        ("task-vector", "-self.alpha", "-1 * self.alpha", 1, {"evaluate": 2}),
        ("rmu", "self.steering * direction", "direction * self.steering", 1, {"evaluate": 2}),
    ],
)
def test_an_edited_method_reruns_itself_and_what_is_behind_it(
    finished: Checkout, method: str, old: str, new: str, models: int, behind: dict[str, int]
) -> None:
    finished.edit(f"{METHODS}/{method.replace('-', '_')}.py", old, new)
    jobs = finished.jobs(*TINY, said=f"Unlearning with {method} default")
    assert jobs == {"unlearn": models, **behind, **END}


def test_a_new_method_reruns_nothing(finished: Checkout) -> None:
    source = finished.path / METHODS
    (source / "new_npo.py").write_text((source / "npo.py").read_text(encoding="utf-8"))
    assert finished.jobs(*TINY) == {}
    finished.edit(TINY[1], "methods: [ga, npo, simnpo", "methods: [ga, npo, new-npo, simnpo")
    assert finished.jobs(*TINY) == {"unlearn": 1, "evaluate": 2, **END}


def test_evaluation_code_reruns_evaluations_by_its_suites(finished: Checkout) -> None:
    (finished.path / "src/palimpsest/benchmarks/tofu/suite.py").open("a").write("\nSOMETHING = 1\n")
    # What was selected may be another now, and so is made again.
    # Of the five that the suite watches one is attacked.
    selected = {"unlearn": 5 + 1, "attack": 1, "select": 1}
    # Twelve models by the suite `tofu`, Original and Retrain by `quick` too; by `lm-eval` two watched models that are made again.
    assert finished.jobs(*TINY) == {"evaluate": 12 + 2 + 2, **selected, **END}


def test_the_code_and_the_settings_of_a_suite_rerun_its_evaluations_alone(finished: Checkout) -> None:
    arguments = finished.overlay("suites: {lm-eval: {limit: 3}}")
    assert finished.jobs(*arguments) == {"evaluate": 8, **END}
    arguments = finished.overlay("suites: {tofu: {max_new_tokens: 9}}")
    assert finished.jobs(*arguments) == {"evaluate": 12, **END}
    (finished.path / "src/palimpsest/evaluation/lm_eval/harness.py").open("a").write("\nSOMETHING = 1\n")
    assert finished.jobs(*TINY) == {"evaluate": 8, **END}


def test_one_more_suite_evaluates_by_itself(finished: Checkout) -> None:
    arguments = finished.overlay(
        """
suites: {short: {kind: tofu, max_items: 2}}
blocks:
  - {benchmark: tofu, splits: [forget10], models: [tiny], seeds: [0], methods: [ga], suites: [tofu, short]}
"""
    )
    assert finished.jobs(*arguments) == {"evaluate": 3, **END}


def test_a_setting_of_one_method_reruns_that_method(finished: Checkout) -> None:
    arguments = finished.overlay('methods: {"tofu/forget10/tiny/ga": {forget_weight: 0.5}}')
    assert finished.jobs(*arguments) == {"unlearn": 1, "evaluate": 2, **END}


def test_a_trial_more_is_made_beside_the_others_and_selected_among(finished: Checkout) -> None:
    arguments = finished.overlay('grids: {"tofu/*/tiny/simnpo": {beta: [2.5, 4.5, 6.5]}}')
    assert finished.jobs(*arguments) == {"unlearn": 2 + 1, "select": 1, "evaluate": 1, **END}


def test_another_rule_selects_again_and_trains_no_trial(finished: Checkout) -> None:
    arguments = finished.overlay('selections: {"tofu/*/tiny/simnpo": {keep: 0.5}}')
    assert finished.jobs(*arguments) == {"select": 1, "unlearn": 1, "evaluate": 1, **END}


def test_another_reference_reruns_what_reads_it(finished: Checkout) -> None:
    arguments = finished.overlay("references: {noise-0.1: {random_share: 0.2}}")
    assert finished.jobs(*arguments) == {"reference": 1, "unlearn": 1, "evaluate": 1, **END}


def test_a_setting_of_a_method_without_training_reruns_it(finished: Checkout) -> None:
    arguments = finished.overlay('methods: {"tofu/forget10/tiny/task-vector": {alpha: 0.25}}')
    assert finished.jobs(*arguments) == {"unlearn": 1, "evaluate": 2, **END}


def test_how_the_original_is_reinforced_is_nothing_to_other_methods(finished: Checkout) -> None:
    arguments = finished.overlay('reinforcing: {"tofu/*/tiny": {epochs: 2}}')
    assert finished.jobs(*arguments) == {"reinforce": 1, "unlearn": 2, "evaluate": 2 * 2, **END}


def test_a_new_optional_setting_reruns_nothing_until_it_is_set(finished: Checkout) -> None:
    field = '    smoothing: Option[Fraction] = None\n    """Label smoothing; null: none."""\n    draw: Annotated'
    finished.edit("src/palimpsest/training/settings.py", "    draw: Annotated", field)
    finished.edit("src/palimpsest/training/settings.py", "import Count, Epochs,", "import Count, Epochs, Fraction,")
    assert finished.jobs(*TINY) == {}
    arguments = finished.overlay('methods: {"tofu/forget10/tiny/ga": {smoothing: 0.1}}')
    assert finished.jobs(*arguments) == {"unlearn": 1, "evaluate": 2, **END}


def test_a_setting_that_a_more_specific_one_hides_reruns_no_model(finished: Checkout) -> None:
    arguments = finished.overlay('methods: {"*/*/*/simnpo": {forget_weight: 7.0}}')
    assert finished.jobs(*arguments) == {}


def test_another_variant_runs_beside_the_first(finished: Checkout) -> None:
    finished.edit(TINY[1], "methods: [ga, npo, simnpo", "methods: [ga, npo, {simnpo: [default, beta-2.5]}")
    # A trial has its settings: its training now leaves a model, and what was selected from the trials is made again.
    assert finished.jobs(*TINY) == {"unlearn": 2, "select": 1, "evaluate": 2 + 1, **END}


def test_another_seed_runs_beside_the_first(finished: Checkout) -> None:
    finished.edit(TINY[1], "seeds: [0]\n    methods: [ga", "seeds: [0, 1]\n    methods: [ga")
    runs = {**END, "scores": 2}
    assert finished.jobs(*TINY) == {"finetune": 2, "reference": 1, "reinforce": 1, "unlearn": 6, "evaluate": 8 * 2, **runs}


def test_the_order_of_keys_and_resources_rerun_nothing(finished: Checkout) -> None:
    path = finished.path / "config/config.yaml"
    config = yaml.safe_load(path.read_text())
    config["models"]["tiny"]["resources"] = {"threads": 2, "mem": "3GB"}
    path.write_text(yaml.safe_dump(_reversed(config), sort_keys=False))
    # The written-out config shows the resources, so that file alone is written again.
    assert finished.jobs(*TINY) == {"publish": 1, "all": 1}


def test_the_resolved_config_is_the_same_study(finished: Checkout) -> None:
    assert finished.jobs("--replace-workflow-config", "--configfile", "results/run_config.yaml") == {}


def test_a_deleted_artefact_comes_back_with_the_same_bytes(finished: Checkout) -> None:
    manifest = finished.path / RUN / "unlearn/npo/default/model/manifest.json"
    before = manifest.read_bytes()
    shutil.rmtree(manifest.parent)
    ran = finished.snakemake(str(manifest.relative_to(finished.path)), *TINY)
    assert ran.returncode == 0, ran.stdout
    assert manifest.read_bytes() == before
    # Of the run a line is printed, not the shell; the rest is in the log that it names.
    assert "\n1 of 1  Unlearning with npo default (tiny, forget10, seed 0) (" in ran.stdout and "pipefail" not in ran.stdout
    (log,) = re.findall(r"1 job; all that Snakemake says is in (\S+)", ran.stdout)
    assert "Finished jobid" in (finished.path / log).read_text()


def log(checkout: Checkout, artefact: str) -> str:
    return (checkout.path / "results/logs" / f"{artefact}.log".replace("results/", "")).read_text()


def test_an_edit_that_changes_no_byte_ends_at_its_own_stage(finished: Checkout) -> None:
    """And reverted, it does not even run this stage again."""
    finished.edit(f"{METHODS}/ga.py", "-batch.nll", "-1 * batch.nll")
    assert finished.snakemake(*TINY).returncode == 0
    assert TAKEN not in log(finished, f"{RUN}/unlearn/ga/default/model")
    for artefact in (f"{RUN}/unlearn/ga/default/eval/tofu", f"{RUN}/scores", "summary", "report"):
        assert TAKEN in log(finished, artefact), artefact
    finished.edit(f"{METHODS}/ga.py", "-1 * batch.nll", "-batch.nll")
    assert finished.snakemake(*TINY).returncode == 0
    assert TAKEN in log(finished, f"{RUN}/unlearn/ga/default/model")
    assert finished.jobs(*TINY) == {}


def test_a_renamed_variant_is_not_trained_again(finished: Checkout) -> None:
    finished.edit(TINY[1], "{npo: [half,", "{npo: [from-half,")
    arguments = finished.overlay('variants: {"tofu/*/tiny/npo": {from-half: {start: original-half}}}')
    assert finished.snakemake(*arguments).returncode == 0
    for artefact in ("model", "eval/tofu"):
        assert TAKEN in log(finished, f"{RUN}/unlearn/npo/from-half/{artefact}")


SECOND = """
study: second
results: second
grids: {}
selections: {}
attacks: {}
variants: {"tofu/*/tiny/npo": {own: {beta: 0.2}}}
blocks:
  - {benchmark: tofu, splits: [forget10], models: [tiny], seeds: [0], methods: [ga, {npo: [own]}], suites: [tofu, lm-eval]}
"""


def test_a_second_study_trains_only_what_is_its_own(
    finished: Checkout, checkout: Checkout, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of another user, who has set the store of the first; the original and Retrain are the same."""
    monkeypatch.setenv("PALIMPSEST_STORE", str(finished.path / "results/.store"))
    ran = checkout.snakemake(*checkout.overlay(SECOND))
    assert ran.returncode == 0, ran.stdout
    logs = checkout.path / "second/logs"
    taken = {path.relative_to(logs).with_suffix("").as_posix(): TAKEN in path.read_text() for path in logs.rglob("*.log")}
    run, own = RUN.removeprefix("results/"), "unlearn/npo/own"
    evaluated = {f"{run}/{own}/eval/{suite}" for suite in ("tofu", "lm-eval")}
    ends = {f"{run}/scores", "summary", "report", "publish"}
    assert {path for path, is_taken in taken.items() if not is_taken} == {"tofu/data", f"{run}/{own}/model", *evaluated, *ends}
    shared = {
        f"{run}/{of}/{artefact}"
        for of in ("original", "retrain", "unlearn/ga/default")
        for artefact in ("model", "eval/tofu", "eval/lm-eval")
    }
    shared |= {"tofu/splits/forget10", "tofu/tiny/base", f"{run}/original/reference/plain"}
    assert {path for path, is_taken in taken.items() if is_taken} == shared


def test_a_failing_stage_shows_its_one_line(finished: Checkout, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PALIMPSEST_STORE", "no")
    retain = finished.path / "results/tofu/splits/forget10/retain.jsonl"
    retain.write_text(retain.read_text() + "\n")
    target = Path(RUN, "unlearn/ga/default/eval/tofu/manifest.json")
    (finished.path / target).unlink()
    ran = finished.snakemake(str(target), *TINY)
    assert ran.returncode == 1
    lines = ran.stdout.splitlines()
    (cause,) = [number for number, line in enumerate(lines) if line.startswith("palimpsest evaluate: ")]
    assert lines[cause].startswith("palimpsest evaluate: results/tofu/splits/forget10/retain.jsonl: sha256 is")
    assert lines[cause + 1] == "  failed: Evaluating unlearn/ga/default by tofu (tiny, forget10, seed 0)"
    assert (finished.path / lines[cause + 2].removeprefix("  its log: ")).is_file() and "pipefail" not in ran.stdout


def _reversed(value: object) -> object:
    if isinstance(value, dict):
        return {key: _reversed(inner) for key, inner in reversed(value.items())}
    return value
