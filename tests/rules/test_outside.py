"""A package of others brings a method, an attack, a metric and a benchmark; one study uses all four without an edit here."""

import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from checkout import ROOT, Checkout, clone
from safetensors.torch import load_file
from torch.linalg import matrix_rank

OUTSIDE = ROOT / "tests/outside"
STUDY = ("--configfile", str(OUTSIDE / "study.yaml"))
END = {"summarise": 1, "page": 1, "publish": 1, "all": 1}
# Of each benchmark original, Retrain and one unlearned model; of TOFU the last two once more, after the attack.
JOBS = {"data": 2, "base_tiny": 2, "split": 2, "finetune": 4, "unlearn": 2, "attack": 2, "evaluate": 8, "scores": 2, **END}


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    """A clone of this repository, and beside it the package as pip installs it."""
    folder = tmp_path_factory.mktemp("outside")
    # pip leaves what it builds in the folder of the source.
    source = shutil.copytree(OUTSIDE, folder / "source", ignore=shutil.ignore_patterns("__pycache__"))
    options = ("--quiet", "--disable-pip-version-check", "--no-deps", "--no-build-isolation", "--no-index")
    subprocess.run([sys.executable, "-m", "pip", "install", *options, "--target", folder / "site", source], check=True)
    return Checkout(clone(folder / "clone").path, folder / "site")


@pytest.fixture(scope="module")
def ran(installed: Checkout) -> Checkout:
    """The study of the package, run to its report."""
    assert installed.jobs(*STUDY) == JOBS
    ran = installed.snakemake(*STUDY)
    assert ran.returncode == 0, ran.stdout
    return installed


@pytest.fixture
def copied(installed: Checkout, tmp_path: Path) -> Checkout:
    """Clone and package, which a test may edit."""
    assert installed.site
    return Checkout(installed.copy(tmp_path / "clone").path, Path(shutil.copytree(installed.site, tmp_path / "site")))


def test_the_summary_has_numbers_of_all_four(ran: Checkout) -> None:
    summary = pd.read_csv(ran.path / "results/summary.csv", keep_default_na=False)
    values = summary.set_index(["benchmark", "method", "attack", "epoch", "metric"])["value"].sort_index()

    tofu = values["tofu", "max-entropy"]
    assert 0 <= tofu["", "", "forget_accuracy"] <= 1 and 0 <= tofu["truncate", "", "forget_accuracy"] <= 1
    assert tofu["truncate", "0", "forget_probability"] == pytest.approx(tofu["", "", "forget_probability"])
    assert tofu["truncate", "1", "forget_probability"] != pytest.approx(tofu["", "", "forget_probability"])
    riddles = {method: values["riddles", method, "", "", "riddle_gap"] for method in ("original", "retrain", "max-entropy")}
    assert riddles["retrain"] == 0 < abs(riddles["max-entropy"]) < riddles["original"] / 2

    attacked = load_file(
        ran.path / "results/tofu/tiny/forget10/seed0/unlearn/max-entropy/default/attack/truncate/model.safetensors"
    )
    layers = {name: weight for name, weight in attacked.items() if weight.dim() > 1 and "embed" not in name}
    assert {name: int(matrix_rank(weight, rtol=1e-4)) for name, weight in layers.items()} == {
        name: min(weight.shape) // 2 for name, weight in layers.items()
    }


def test_the_report_has_the_page_of_the_benchmark(ran: Checkout) -> None:
    page = (ran.path / "results/report.html").read_text(encoding="utf-8")
    assert 'id="riddles"' in page and "Are the riddles forgotten?" in page and "Max entropy" in page
    numbers = pd.read_csv(ran.path / "results/report/tables/riddles.csv")
    assert set(numbers["metric"]) == {"riddle_gap", "riddle_retained"}


@pytest.mark.parametrize(
    ("file", "jobs"),
    [
        ("max_entropy.py", {"unlearn": 2, "attack": 1, "evaluate": 3, "scores": 2, **END}),
        ("truncate.py", {"attack": 2, "evaluate": 2, "scores": 1, **END}),
        ("accuracy.py", {"scores": 1, **END}),
        ("riddles/suite.py", {"evaluate": 3, "scores": 1, **END}),
        ("riddles/page.py", {"page": 1, "publish": 1, "all": 1}),
    ],
)
@pytest.mark.usefixtures("ran")
def test_an_edit_of_the_package_reruns_what_uses_it(copied: Checkout, file: str, jobs: dict[str, int]) -> None:
    assert copied.site
    with (copied.site / "palimpsest_riddles" / file).open("a", encoding="utf-8") as edited:
        edited.write("\nCHANGED = 1\n")
    assert copied.jobs(*STUDY) == jobs


@pytest.mark.parametrize(
    ("old", "new", "line"),
    [
        (
            "riddles = palimpsest_riddles.riddles",
            "tofu = palimpsest_riddles.riddles",
            "benchmark tofu: palimpsest.benchmarks.tofu and palimpsest_riddles.riddles both have this name",
        ),
        (
            "riddles = palimpsest_riddles.riddles",
            "riddles = palimpsest_riddles.poems",
            "palimpsest_riddles.poems cannot be imported: No module named 'palimpsest_riddles.poems'",
        ),
        (
            "truncate = palimpsest_riddles.truncate:Truncate",
            "truncate = palimpsest_riddles.truncate:truncate",
            "attack truncate: palimpsest_riddles.truncate:truncate is not an Attack of palimpsest.attacks.base",
        ),
    ],
)
def test_a_broken_package_is_one_line(copied: Checkout, old: str, new: str, line: str) -> None:
    assert copied.site
    points = copied.site / "palimpsest_riddles-1.0.dist-info/entry_points.txt"
    text = points.read_text(encoding="utf-8")
    assert old in text
    points.write_text(text.replace(old, new), encoding="utf-8")
    ran = copied.snakemake("--dry-run", *STUDY)
    assert ran.returncode == 2 and ran.stdout.splitlines()[-1] == f"palimpsest: {line}", ran.stdout


def test_what_its_benchmark_does_not_have_is_one_line(installed: Checkout) -> None:
    (installed.path / "medium.yaml").write_text(
        "blocks: [{benchmark: riddles, splits: [medium], models: [tiny], seeds: [0], suites: [riddles]}]", encoding="utf-8"
    )
    ran = installed.snakemake("--dry-run", *STUDY, "medium.yaml")
    line = "config: blocks[0]: splits: 'medium' is not a split of riddles, which is of kind riddles: hard or easy"
    assert ran.returncode == 2 and ran.stdout.splitlines()[-1] == f"palimpsest: {line}", ran.stdout


def test_the_plan_has_the_jobs_of_its_benchmark(installed: Checkout) -> None:
    assert "| unlearn | training |" in installed.palimpsest("plan", *STUDY, code=0).stdout


def test_the_folder_of_a_benchmark_needs_no_entry_point_in_this_repository(checkout: Checkout) -> None:
    shutil.copytree(OUTSIDE / "palimpsest_riddles/riddles", checkout.path / "src/palimpsest/benchmarks/riddles")
    overlay = """
        sources: {book: {kind: riddle-book}}
        benchmarks: {riddles: {kind: riddles, source: book}}
        suites: {riddles: {kind: riddles}}
        blocks: [{benchmark: riddles, splits: [easy], models: [tiny], seeds: [0], methods: [simnpo], suites: [riddles]}]
    """
    jobs = {"data": 1, "base_tiny": 1, "split": 1, "finetune": 2, "unlearn": 1, "evaluate": 3, "scores": 1, **END}
    assert checkout.jobs(*checkout.overlay(overlay)) == jobs
