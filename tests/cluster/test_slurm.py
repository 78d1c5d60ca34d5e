"""The Slurm profile on a real Slurm: GPUs, memory that grows, cancelled and preempted jobs that continue, the same bytes."""

from dataclasses import dataclass

import pytest
from checkout import Checkout, clone
from slurm_cluster import Cluster, trained_now

pytestmark = pytest.mark.cluster

# One method with its attack, of a model that is trained long enough to be interrupted.
STUDY = """
finetuning:
  "tofu/*/tiny": {epochs: 60}
blocks:
  - benchmark: tofu
    splits: [forget10]
    models: [tiny]
    seeds: [0]
    methods: [simnpo]
    suites: [tofu]
    attacks: [relearn-random]
"""
RESOURCES = "models: {tiny: {resources: {gpu: %d, mem: %s}}}"
RUN = "tofu/tiny/forget10/seed0"


@dataclass(frozen=True)
class Ran:
    """A study that went through sbatch: its clone, what Snakemake said, what training saw, and the logs of stopped jobs."""

    checkout: Checkout
    said: str
    environment: dict[str, str]
    stopped: dict[str, str]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    """A clone for the cluster."""
    return clone(tmp_path_factory.mktemp("slurm") / "clone")


@pytest.fixture(scope="module")
def starved(slurm: Cluster, place: Checkout) -> list[dict[str, str]]:
    """The jobs of a base that cannot be trained in the memory it asks for."""
    overlay = place.overlay(STUDY + RESOURCES % (0, "400MB"))
    with slurm.snakemake(place, *overlay, "--", "results/tofu/tiny/base/manifest.json") as snakemake:
        snakemake.finish()
    return slurm.jobs("base_tiny")


@pytest.fixture(scope="module")
def ran(slurm: Cluster, place: Checkout, starved: object) -> Ran:
    """The rest of the study on GPUs: the original is cancelled while it trains, Retrain preempted."""
    overlay = place.overlay(STUDY + RESOURCES % (1, "2GB"))
    # Only a SIGTERM can have written a checkpoint.
    slow = {"PALIMPSEST_CHECKPOINT_SECONDS": "9999"}
    with slurm.snakemake(place, *overlay, "--default-resources", "gpu=0", "gpu_model=fake", **slow) as snakemake:
        environment, stopped = {}, {}
        for role, stop in (("original", slurm.cancel), ("retrain", slurm.preempt)):
            environment = snakemake.wait_for(lambda role=role: trained_now(place.path, role))
            stop(next(job for job in slurm.jobs("finetune") if job["Comment"].endswith(role) and job["StateCompact"] == "R"))
            log = place.path / "results" / "logs" / RUN / role / "model.log"
            stopped[role] = snakemake.wait_for(lambda log=log: "SIGTERM" in (text := log.read_text(encoding="utf-8")) and text)
        snakemake.wait_for(slurm.release)
        said = snakemake.finish()
    return Ran(place, said, environment, stopped)


def test_a_job_that_ran_out_of_memory_gets_more(starved: list[dict[str, str]]) -> None:
    assert [job["MinMemory"] for job in starved][:2] == ["400M", "800M"]
    assert starved[0]["StateCompact"] in ("F", "OOM") and starved[-1]["StateCompact"] == "CD"


def test_the_scheduler_counts_gpus(slurm: Cluster, ran: Ran) -> None:
    assert ran.environment["CUDA_VISIBLE_DEVICES"] in ("0", "1")
    asked = {
        rule: {(job["tres-per-job"], job["Partition"]) for job in slurm.jobs(rule)} for rule in ("finetune", "evaluate", "split")
    }
    on_gpu = {("gres:gpu:fake:1", "gpu")}
    assert asked == {"finetune": on_gpu, "evaluate": on_gpu, "split": {("gres:gpu:fake:0", "cpu")}}


def test_a_cancelled_job_is_submitted_again_and_continues(slurm: Cluster, ran: Ran) -> None:
    first, second = (job for job in slurm.jobs("finetune") if job["Comment"].endswith("original"))
    assert (first["StateCompact"], second["StateCompact"]) == ("CA", "CD")
    assert continued(ran, "original")


def test_a_preempted_job_is_requeued_and_continues(slurm: Cluster, ran: Ran) -> None:
    (job,) = (job for job in slurm.jobs("finetune") if job["Comment"].endswith("retrain"))
    assert job["StateCompact"] == "CD" and int(job["RestartCnt"]) == 1
    assert continued(ran, "retrain")


def test_the_results_are_those_of_a_local_run(ran: Ran, tmp_path_factory: pytest.TempPathFactory) -> None:
    local = clone(tmp_path_factory.mktemp("local") / "clone")
    done = local.snakemake(*local.overlay(STUDY))
    assert done.returncode == 0, done.stdout
    made = results(local)
    assert {"report.html", f"{RUN}/scores/manifest.json", f"{RUN}/retrain/attack/relearn-random/manifest.json"} <= made.keys()
    assert results(ran.checkout) == made


def test_a_variant_can_be_one_submission_on_one_gpu(slurm: Cluster, ran: Ran) -> None:
    """Its training, its evaluation and its attacks, as docs/running/scale.md says."""
    overlay = ran.checkout.overlay(STUDY.replace("[simnpo]", "[simnpo, ga]") + RESOURCES % (1, "2GB"))
    groups = ("unlearn=variant", "attack=variant", "evaluate=variant")
    one_gpu = ("--group-components", "variant=1", "--set-resource-scopes", "gpu=local", "--resources", "gpu=1")
    before = {job["JobId"] for job in slurm.jobs()}
    default = ("--default-resources", "gpu=0", "gpu_model=fake", "--")
    with slurm.snakemake(ran.checkout, *overlay, "--groups", *groups, *one_gpu, *default) as snakemake:
        snakemake.finish()
    submitted = [job for job in slurm.jobs() if job["JobId"] not in before]
    assert [job["tres-per-job"] for job in submitted if job["Partition"] == "gpu"] == ["gres:gpu:fake:1"]
    assert (ran.checkout.path / "results" / RUN / "unlearn/ga/default/attack/relearn-random/manifest.json").exists()


def continued(ran: Ran, role: str) -> bool:
    """Return whether a role's training went on after the step at which it was stopped."""
    step = ran.stopped[role].rpartition("after step ")[2].partition(";")[0]
    log = (ran.checkout.path / "results" / "logs" / RUN / role / "model.log").read_text(encoding="utf-8")
    return 0 < int(step) < 180 and f"continuing after step {step}," in log


def results(checkout: Checkout) -> dict[str, bytes]:
    """Return what must repeat: all manifests, the report and the summary."""
    folder = checkout.path / "results"
    paths = [*folder.rglob("manifest.json"), folder / "report.html", folder / "summary.csv"]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}
