"""Which jobs a study has: by dry runs that count them."""

from collections.abc import Iterable
from pathlib import Path

import pytest
import yaml
from checkout import TINY, Checkout
from pinned import read_pinned

COMMON = {"data": 1, "split": 1, "base_tiny": 1}
END = {"summarise": 1, "page": 1, "publish": 1, "all": 1}


TOUR = ("--configfile", "config/studies/tour.yaml")
# Three seeds. Seed 0 has all methods, two attacks with Retrain as the control, and reference log-probabilities of refusals.
DEMO = {
    **COMMON,
    "finetune": 2 * 3,
    "reinforce": 1,
    "reference": 3 + 1,
    "unlearn": 8 + 2 * 2,
    # By two suites on seed 0.
    "evaluate": 2 * (2 + 8) + 2 * (2 + 2),
    "attack": (2 + 1) * 2,
    "scores": 3,
    **END,
}


def test_the_demo(checkout: Checkout) -> None:
    assert checkout.jobs() == DEMO


def test_the_tour_adds_to_the_demo(checkout: Checkout) -> None:
    # Texts: a larger forget set and a second request, by NPO and SimNPO. WMDP: the base is the original; there is no Retrain.
    assert checkout.jobs(*TOUR) == {
        "data": 1 + 1 + 1,
        # Of the corpus a larger forget set and a further request.
        "split": 1 + 2,
        "base_tiny": 1 + 1 + 1,
        # The original of the first half, Original and Retrain of the seed with trajectories, and those of texts.
        "finetune": DEMO["finetune"] + 1 + 2 + 2,
        "reinforce": DEMO["reinforce"] + 1,
        "alternatives": 1,
        # Mixed with noise twice, of the half, and of the seed with trajectories. One per corpus run. That of the alternatives.
        "reference": DEMO["reference"] + 3 + 1 + 3 + 1 + 1,
        # Two methods more, those of other papers and with steps of another kind, the variants from the half or with another
        # reference, and what is only watched.
        "unlearn": DEMO["unlearn"] + 2 + 7 + 3 + 4 + 3 + 5 + 2 * 2 + 3,
        # The first: two methods by two suites. The last four: the models of attacks that edit weights, on the seed with
        # trajectories what is asked in two ways, Original and Retrain in two more, and models of hazards with rounded weights.
        "evaluate": DEMO["evaluate"] + 2 * 2 + 7 + 3 + 1 + 4 + 2 + 2 + 5 + 2 * 2 + 4 + (2 + 1) * 5 + 2 * 2 + 2 * 2 + 3,
        # On questions, also on Retrain, and on hazards.
        "attack": DEMO["attack"] + (2 + 1) * 8 + 3 * 3,
        # Of questions, of texts and of hazards.
        "scores": DEMO["scores"] + 1 + 3 + 1,
        **END,
    }


TABLE1 = {**COMMON, "finetune": 2, "reference": 3, "reinforce": 1}
# One of the four trials has the settings of the default.
UNLEARN = {"unlearn": 9 + 3, "select": 1}


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ("originals", {**COMMON, "finetune": 1, "originals": 1}),
        ("retrained", {**COMMON, "finetune": 1, "retrained": 1}),
        # The selection reads trajectories and what they are measured by.
        ("unlearned", {**TABLE1, "finetune": 3, "evaluate": 2, **UNLEARN, "unlearned": 1}),
        ("attacked", {**COMMON, "finetune": 2, "reference": 1, "unlearn": 1, "attack": 2, "attacked": 1}),
        ("watched", {**COMMON, "finetune": 1, "reference": 1, "unlearn": 5, "watched": 1}),
        ("evaluated", {**TABLE1, "finetune": 3, "evaluate": 22, **UNLEARN, "evaluated": 1}),
        (
            "report",
            {
                **TABLE1,
                "finetune": 3,
                **UNLEARN,
                "evaluate": 22,
                "attack": 2,
                "scores": 1,
                "summarise": 1,
                "page": 1,
                "publish": 1,
                "report": 1,
            },
        ),
    ],
)
def test_targets(checkout: Checkout, target: str, expected: dict[str, int]) -> None:
    assert checkout.jobs(target, *TINY) == expected


@pytest.mark.parametrize(
    ("judge", "expected"),
    [
        ("{kind: local, model: other}", {"base_tiny": 2, "judge": 3}),
        ("{kind: api, url: 'https://judge.example/v1', model: big}", {"base_tiny": 1, "judge_online": 3}),
    ],
)
def test_a_judge_reads_the_answers_of_every_model(checkout: Checkout, judge: str, expected: dict[str, int]) -> None:
    arguments = checkout.overlay(
        f"""
models: {{other: {{kind: tiny}}}}
judges: {{careful: {judge}}}
blocks:
  - {{benchmark: tofu, splits: [forget10], models: [tiny], seeds: [0], methods: [ga], suites: [tofu], judge: careful}}
"""
    )
    made = {**COMMON, "finetune": 2, "unlearn": 1, "evaluate": 3, "scores": 1, **END}
    assert checkout.jobs(*arguments) == {**made, **expected}


def test_blocks_are_united(checkout: Checkout) -> None:
    # The second block repeats npo with another suite and adds a variant; the third has models of its own and no method.
    arguments = checkout.overlay(
        """
suites: {short: {kind: tofu, max_items: 2}}
blocks:
  - {benchmark: tofu, splits: [forget10], models: [tiny], seeds: [0], methods: [npo], suites: [tofu]}
  - benchmark: tofu
    splits: [forget10]
    models: [tiny]
    seeds: [0]
    methods: [npo, {simnpo: [default, beta-2.5]}]
    suites: [short]
  - {benchmark: tofu, splits: [forget20], models: [tiny], seeds: [1], suites: [tofu]}
"""
    )
    assert checkout.jobs(*arguments) == {
        **COMMON,
        "split": 2,
        "finetune": 4,
        "reference": 1,
        "unlearn": 3,
        "evaluate": 3 + 5 + 2,
        "scores": 2,
        **END,
    }


def test_methods_without_a_reference_do_not_wait_for_one(checkout: Checkout) -> None:
    arguments = checkout.overlay(
        "blocks: [{benchmark: tofu, splits: [forget10], models: [tiny], seeds: [0], methods: [ga, simnpo, rmu]}]"
    )
    assert checkout.jobs("unlearned", *arguments) == {**COMMON, "finetune": 1, "unlearn": 3, "unlearned": 1}


def test_altpo_waits_for_alternatives_and_for_their_reference(checkout: Checkout) -> None:
    arguments = checkout.overlay(
        "blocks: [{benchmark: tofu, splits: [forget10], models: [tiny], seeds: [0], methods: [npo, dpo-idk, altpo]}]"
    )
    jobs = {**COMMON, "finetune": 1, "alternatives": 1, "reference": 3, "unlearn": 3, "unlearned": 1}
    assert checkout.jobs("unlearned", *arguments) == jobs


def test_a_task_vector_waits_for_the_reinforced_model_and_for_no_reference(checkout: Checkout) -> None:
    arguments = checkout.overlay(
        "blocks: [{benchmark: tofu, splits: [forget10], models: [tiny], seeds: [0], methods: [task-vector]}]"
    )
    jobs = {**COMMON, "finetune": 1, "reinforce": 1, "unlearn": 1, "unlearned": 1}
    assert checkout.jobs("unlearned", *arguments) == jobs


def test_a_pretrained_model_needs_no_data_for_its_base(checkout: Checkout) -> None:
    arguments = checkout.overlay(
        """
models: {smol: {kind: pretrained, name: some/model, revision: "0123456789012345678901234567890123456789"}}
blocks: [{benchmark: tofu, splits: [forget10], models: [smol], seeds: [0], methods: [simnpo], suites: [tofu]}]
"""
    )
    jobs = checkout.jobs("originals", *arguments)
    assert jobs == {"data": 1, "split": 1, "base_pretrained": 1, "finetune": 1, "originals": 1}


def test_real_tofu_is_the_same_dag(checkout: Checkout) -> None:
    (checkout.path / "some where").mkdir()
    jobs = checkout.jobs(
        *("--configfile", "config/studies/tofu-tiny.yaml"),
        *("--config", 'sources={"folder": {"path": "some where"}}'),
    )
    assert set(jobs) == {*DEMO}


def check_studies(checkout: Checkout, studies: Iterable[Path]) -> None:
    """Plan the jobs of shipped studies, whose data and revisions are stand-ins."""
    for folder in ("tofu", "austen", "documents"):
        (checkout.path / "data" / folder).mkdir(parents=True)
    for study in studies:
        study.write_text(yaml.safe_dump(read_pinned(study)), encoding="utf-8")
        assert checkout.jobs("--configfile", str(study))["all"] == 1


def test_a_study_of_each_benchmark_is_a_valid_config(checkout: Checkout) -> None:
    names = ("tofu-forget05-llama2-lora", "muse-news", "wmdp-bio", "markov", "documents", "mmlu-offline", "world-tuning")
    check_studies(checkout, [Path(checkout.path, "config", "studies", f"{name}.yaml") for name in names])


@pytest.mark.slow
def test_every_study_is_a_valid_config(checkout: Checkout) -> None:
    studies = sorted(Path(checkout.path, "config").glob("*/*.yaml"))
    assert studies
    check_studies(checkout, studies)


def test_the_workflow_can_be_a_module(checkout: Checkout, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (other / "Snakefile").write_text(
        f"""
configfile: "{checkout.path}/config.yaml"

module palimpsest:
    snakefile: "{checkout.path}/workflow/Snakefile"
    config: config

use rule * from palimpsest as unlearning_*

rule mine:
    default_target: True
    input: rules.unlearning_all.input
"""
    )
    jobs = Checkout(other).jobs()
    assert jobs["unlearning_unlearn"] == DEMO["unlearn"]
    assert jobs["mine"] == 1


@pytest.mark.parametrize("mode", [["--dry-run"], [], ["--lint"]])
def test_a_mistake_in_the_config_is_one_line_and_exit_2(checkout: Checkout, mode: list[str]) -> None:
    arguments = checkout.overlay('methods: {"tofu/*/*/npo": {beta: 1e-5}}')
    ran = checkout.snakemake(*mode, *arguments)
    assert ran.returncode == 2
    line = "palimpsest: overlay.yaml:1: YAML reads 1e-5 as text: write 1.0e-05 for the number, or '1e-5' in quotes for the text"
    assert ran.stdout.splitlines()[-1] == line
    assert "Traceback" not in ran.stdout
    assert not (checkout.path / "results").exists()


ONE = "{benchmark: tofu, splits: [forget10], models: [tiny], seeds: [0], methods: [npo], suites: [tofu]}"


@pytest.mark.parametrize(
    ("overlay", "more", "line"),
    [
        ("study: a\nstudy: b\n", (), "overlay.yaml:2: duplicate key 'study', first in line 1"),
        (
            f'methods: {{"tofu/forget05/tiny/npo": {{beta: 0.7}}}}\nblocks: [{ONE}]\n',
            (),
            'config: methods: "tofu/forget05/tiny/npo": in overlay.yaml: the pattern matches nothing in the study; '
            "the nearest is tofu/forget10/tiny/npo",
        ),
        (
            f"blocks: [{ONE}]\n",
            ("--config", 'variants={"tofu/*/*/npo": {"own": {"start": "original"}}}'),
            'config: variants: "tofu/*/*/npo": own: in --config variants: no block asks for this variant',
        ),
    ],
)
def test_nothing_in_the_files_of_a_config_is_lost_without_a_word(
    checkout: Checkout, overlay: str, more: tuple[str, ...], line: str
) -> None:
    ran = checkout.snakemake("--dry-run", *checkout.overlay(overlay), *more)
    assert ran.returncode == 2
    assert ran.stdout.splitlines()[-1] == f"palimpsest: {line}"


def test_a_mistake_in_the_demo_itself_is_told_with_its_line(checkout: Checkout) -> None:
    checkout.edit("config.yaml", "\nresults: results\n", "\nresults:\n\tresults\n")
    ran = checkout.snakemake("--dry-run")
    assert ran.returncode == 2
    line = "palimpsest: config.yaml:9: not YAML: while scanning for the next token, found character '\\t' that cannot start"
    assert ran.stdout.splitlines()[-1] == f"{line} any token"


def test_a_missing_data_folder_is_told_before_any_work(checkout: Checkout) -> None:
    ran = checkout.snakemake("--configfile", "config/studies/tofu-tiny.yaml")
    assert ran.returncode == 2
    assert ran.stdout.splitlines()[-1] == (
        "palimpsest: config: sources: folder: path: there is no folder 'data/tofu': it should hold the files of TOFU"
    )
