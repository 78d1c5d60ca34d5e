"""Several processes of one job: they train what one would, and evaluate to the same bytes; a fault in one ends all."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from test_stages import TRAINING, WORLD, artefacts, command, environment, finetune, log_lines, root, succeed, table
from test_text_stages import SUITE, USED
from test_text_stages import root as texts
from torch.distributed import TCPStore

import forked
from caught import catches_sigterm

# Fixtures.
__all__ = ["artefacts", "root", "texts"]

TESTS = Path(__file__).parents[1]
PATIENCE = 600
FLOAT = 1e-4
"""What sums in another order may differ by, after some steps of AdamW on weights of about 0.3."""


class Several:
    """Processes of one job, each a fork of one that has imported the libraries; torchrun would start them from nothing."""

    def __init__(self, folder: Path, count: int, arguments: list[str], env: dict[str, str], parallel: str = "ddp") -> None:
        self._store = TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)
        shared = {"TORCHELASTIC_RUN_ID": "test", "WORLD_SIZE": f"{count}", "PALIMPSEST_PARALLEL": parallel}
        shared |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": f"{self._store.port}"}
        self._said = [folder / f"said-by-{rank}" for rank in range(count)]
        self.running = []
        for rank, path in enumerate(self._said):
            own = shared | {"RANK": f"{rank}", "LOCAL_RANK": f"{rank}"} if count > 1 else {}
            with path.open("w") as file:
                self.running.append(forked.start(arguments, env | own, said=file.fileno()))

    def succeed(self) -> str:
        """Wait for the processes, and return the output of all but the main one."""
        deadline = time.monotonic() + PATIENCE
        while any(process.poll() is None for process in self.running):
            if time.monotonic() > deadline:
                # Processes that wait for each other would wait for ever.
                codes = [process.kill() for process in self.running]
                raise AssertionError(f"no end after {PATIENCE} s: {codes}")
            time.sleep(0.01)
        codes = [process.wait() for process in self.running]
        said = [path.read_text(encoding="utf-8") for path in self._said]
        assert set(codes) == {0}, "\n".join(said)
        return "".join(said[1:])


def run_several(count: int, root: Path, *args: Any, parallel: str = "ddp") -> None:
    said = Several(root, count, command(root, *args), environment(root), parallel).succeed()
    # Bars are switched off where tqdm is imported, which in a fork it is already.
    assert not re.search(r"^\d\d:\d\d:\d\d ", said, re.MULTILINE)
    stage, _, _, out = args
    assert json.loads((root / out / "environment.json").read_text())["processes"] == count, stage


def launched(root: Path, *args: Any, options: tuple[str, ...] = ("--processes", "2"), **more: str) -> subprocess.Popen[str]:
    """A job as the rules start it."""
    _, module, *arguments = command(root, *args)
    line = [sys.executable, "-m", "palimpsest.launch", *options, module, *arguments]
    return subprocess.Popen(line, env=environment(root, **more), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def close(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    """All weights but one in a hundred: where a gradient is rounding alone (the bias of keys), AdamW makes whole steps of it."""
    apart = sum(int((~torch.isclose(a[name], b[name], atol=FLOAT, rtol=FLOAT)).sum()) for name in a)
    return a.keys() == b.keys() and apart <= sum(weight.numel() for weight in a.values()) / 100


def assert_same_log(log: list[dict[str, Any]], other: list[dict[str, Any]], tolerance: float = FLOAT) -> None:
    assert len(log) == len(other) > 0
    for entry, of_other in zip(log, other, strict=True):
        assert entry.keys() == of_other.keys()
        for name, value in entry.items():
            assert of_other[name] == pytest.approx(value, rel=tolerance, abs=tolerance), name


@pytest.fixture(scope="module")
def trainings(tmp_path_factory: pytest.TempPathFactory) -> dict[int, Any]:
    """What 1, 2 and 3 processes train."""
    folder = tmp_path_factory.mktemp("trainings")
    path = os.pathsep.join(map(str, [environment(folder)["PYTHONPATH"], TESTS / "unit", TESTS / "integration"]))
    found = {}
    for count, ways in ((1, ["ddp", "offload"]), (2, ["ddp", "offload"]), (3, ["fsdp"])):
        out = folder / f"{count}.pt"
        Several(folder, count, ["-m", "small_trainings", str(out), *ways], environment(folder, PYTHONPATH=path)).succeed()
        written = torch.load(out, weights_only=False)
        assert written["processes"] == count
        found[count] = written["results"]
    return found


@pytest.mark.parametrize(("count", "parallel"), [(1, "offload"), (2, "ddp"), (2, "offload"), (3, "fsdp")])
def test_several_processes_train_what_one_trains(trainings: dict[int, Any], count: int, parallel: str) -> None:
    """Losses, gradient norms and gradient weights of every step, what is seen between epochs, and the weights in the end."""
    alone = trainings[1]["ddp"]
    found = trainings[count][parallel]
    assert len(found) == len(alone) - 2 * (parallel != "ddp")
    for name, result in found.items():
        coarse = "bf16" in name
        assert_same_log(alone[name]["log"], result["log"], 0.05 if coarse else FLOAT)
        assert result["seen"] == pytest.approx(alone[name]["seen"], rel=0.05 if coarse else 1e-3)
        assert coarse or close(alone[name]["weights"], result["weights"]), name


@pytest.mark.parametrize("parallel", [pytest.param("ddp", marks=pytest.mark.slow), "fsdp"])
def test_a_job_of_two_processes_leaves_the_model_that_one_leaves(root: Path, parallel: str) -> None:
    """As the rules start it."""
    succeed(root, *finetune()[:3], "alone")
    job = launched(root, *finetune(), options=("--processes", "2", "--parallel", parallel))
    said, _ = job.communicate(timeout=300)
    assert job.returncode == 0, said
    assert said.count("finetune: done") == 1
    assert json.loads((root / "original" / "environment.json").read_text())["processes"] == 2
    assert_same_log(log_lines(root / "alone"), log_lines(root / "original"))
    assert close(*(load_file(root / name / "model.safetensors") for name in ("alone", "original")))
    files = [{path.name: path.stat().st_size for path in (root / name).iterdir()} for name in ("alone", "original")]
    assert files[0].keys() == files[1].keys()
    assert files[0]["model.safetensors"] == files[1]["model.safetensors"]
    assert not list((root / "scratch").glob("*"))


def test_a_checkpoint_is_continued_by_another_number_of_processes(root: Path) -> None:
    args = finetune(epochs=6)
    succeed(root, *args[:3], "alone")
    often = environment(root, PALIMPSEST_CHECKPOINT_SECONDS="0")
    for count, parallel, step in ((2, "ddp", 5), (3, "fsdp", 12)):
        job = Several(root, count, command(root, *args), often, parallel)
        deadline = time.monotonic() + 200
        while not any(int(path.name[5:]) >= step for path in (root / "scratch").glob("*/step-*")):
            assert job.running[0].poll() is None and time.monotonic() < deadline
            time.sleep(0.002)
        assert {process.kill() for process in job.running} <= {-signal.SIGKILL, 1}
    succeed(root, *args)
    assert_same_log(log_lines(root / "alone"), log_lines(root / "original"), 1e-3)
    assert not list((root / "scratch").glob("*"))


@pytest.mark.parametrize(
    ("parallel", "model", "tolerance"),
    [("fsdp", {"lora": {"rank": 2}}, 1e-3), ("offload", {"precision": "bf16-mixed"}, 0.05)],
    ids=["fsdp, adapters", "offload, mixed"],
)
def test_an_attack_and_a_trajectory_watch_the_model_between_epochs_in_several_processes(
    root: Path, parallel: str, model: dict[str, Any], tolerance: float
) -> None:
    """Sharded, they do with all weights: what one process sees."""
    used = {"training": {**TRAINING, "epochs": 2, "warmup_epochs": 0}, "model": model, "seed": 0}
    suite = {"kind": "tofu", "max_new_tokens": 4, "max_items": 3}
    watch = {"method": "graddiff", "loss": {}, "watched": {"suite": suite, "epochs": "all"}}
    attack = {
        "kind": "tofu",
        "attack": {"kind": "relearn", "select": "shortest", "training": TRAINING},
        "model": model,
        "seed": 0,
    }
    for stage, spec, name in (("unlearn", used | watch, "items"), ("attack", attack, "items")):
        inputs = {"model": "base", "split": "split"}
        run_several(1, root, stage, spec, inputs, f"{stage}-1")
        run_several(2, root, stage, spec, inputs, f"{stage}-2", parallel=parallel)
        one, two = (table(root / f"{stage}-{count}" / f"{name}.parquet") for count in (1, 2))
        assert [row["id"] for row in one] == [row["id"] for row in two]
        assert [row["answer_nll"] for row in two] == pytest.approx([row["answer_nll"] for row in one], rel=tolerance)


@pytest.fixture(scope="module")
def questions(artefacts: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A split with more questions than a batch of generation has rows."""
    root = Path(shutil.copytree(artefacts, tmp_path_factory.mktemp("questions") / "copy"))
    world = WORLD | {"authors": 40}
    succeed(root, "data", {"source": world}, {}, "data")
    succeed(root, "split", {"kind": "tofu", "split": "forget10", "settings": {}}, {"data": "data"}, "split")
    return root


TASK = {
    "dataset_path": "json",
    "dataset_kwargs": {"data_files": {"test": "{data}/world_facts.jsonl"}},
    "test_split": "test",
    "doc_to_text": "Question: {{question}}\nAnswer:",
}
CHOICE = TASK | {
    "task": "facts",
    "output_type": "multiple_choice",
    "doc_to_choice": "{{options}}",
    "doc_to_target": "{{options.index(answer)}}",
    "target_delimiter": " ",
    "metric_list": [{"metric": "acc", "aggregation": "mean", "higher_is_better": True}],
}
METRICS = {"facts": "acc", "said": "exact_match", "read": "perplexity"}
RETAIN = TASK | {"dataset_kwargs": {"data_files": {"test": "{data}/retain.jsonl"}}}
SAID = RETAIN | {
    "task": "said",
    "output_type": "generate_until",
    "doc_to_target": "",
    "generation_kwargs": {"until": ["?"], "max_gen_toks": 12, "do_sample": False},
    # How many say nothing with an e.
    "metric_list": [
        {"metric": "exact_match", "aggregation": "mean", "higher_is_better": True, "regexes_to_ignore": ["[^e]"]},
    ],
}
READ = RETAIN | {
    "task": "read",
    "output_type": "loglikelihood",
    "doc_to_target": " {{answer}}",
    "metric_list": [{"metric": "perplexity", "aggregation": "mean", "higher_is_better": False}],
}


def evaluated(
    counts: tuple[int, ...], root: Path, suite: dict[str, Any], used: dict[str, Any], **inputs: str
) -> list[dict[str, Any]]:
    """Evaluate with each number of processes, and return the first's table; all manifests, and so all tables, are the same."""
    manifests, kind = set(), suite["kind"]
    for count in counts:
        run_several(count, root, "evaluate", {"suite": suite, "model": used}, inputs, f"{kind}-{count}")
        manifests.add((root / f"{kind}-{count}" / "manifest.json").read_bytes())
    assert len(manifests) == 1
    assert json.loads(manifests.pop())["files"].keys() == {"prompt.parquet", "items.parquet"}
    return table(root / f"{kind}-{counts[0]}" / "items.parquet")


def test_questions_are_evaluated_to_the_same_bytes_with_any_number_of_processes(questions: Path) -> None:
    given = {"model": "base", "split": "split"}
    assert len(evaluated((1, 2, 5), questions, {"kind": "tofu", "max_new_tokens": 4}, {}, **given)) > 2 * 64
    rows = evaluated((1, 2, 5), questions, {"kind": "lm-eval", "tasks": [CHOICE, SAID, READ], "limit": 40}, {}, **given)
    assert set(METRICS.items()) <= {(row["task"], row["metric"]) for row in rows}


def test_texts_are_evaluated_to_the_same_bytes_with_any_number_of_processes(texts: Path) -> None:
    """Most processes have nothing to do."""
    assert evaluated((1, 5), texts, SUITE, USED, model="original", split="data")


def test_references_are_the_same_bytes_with_any_number_of_processes(root: Path) -> None:
    manifests = set()
    for count in (1, 3):
        spec = {"model": {}, "random_share": 0.5, "seed": 0, "refusals": True}
        run_several(count, root, "reference", spec, {"model": "base", "split": "split"}, f"reference-{count}")
        manifests.add((root / f"reference-{count}" / "manifest.json").read_bytes())
    assert len(manifests) == 1


def test_a_users_mistake_is_one_line_of_all_processes(root: Path) -> None:
    weights = root / "base" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1])
    stage, spec, inputs, out = finetune()
    job = launched(root, stage, spec, inputs, out)
    said, _ = job.communicate(timeout=300)
    assert job.returncode == 2, said
    (line,) = said.splitlines()
    assert line.startswith("palimpsest finetune: ") and "model.safetensors" in line
    assert not (root / "original").exists()


@pytest.mark.slow
def test_a_process_that_is_killed_ends_the_job(root: Path) -> None:
    stage, spec, inputs, out = finetune(epochs=500)
    job = launched(root, stage, spec, inputs, out)
    children = Path(f"/proc/{job.pid}/task/{job.pid}/children")
    deadline = time.monotonic() + 200
    while not list((root / "scratch").glob("*/process-1")):
        assert job.poll() is None and time.monotonic() < deadline
        time.sleep(0.01)
    pids = list(map(int, children.read_text().split()))
    os.kill(pids[-1], signal.SIGKILL)
    killed = time.monotonic()
    said, _ = job.communicate(timeout=300)
    assert time.monotonic() - killed < 60
    assert job.returncode == 137
    assert "was ended by SIGKILL" in said
    assert not any(Path(f"/proc/{pid}").exists() for pid in pids)
    assert not (root / "original").exists()


@pytest.mark.slow
def test_sigterm_saves_a_checkpoint_of_all_processes(root: Path) -> None:
    args = finetune(epochs=200)
    job = launched(root, *args, PALIMPSEST_CHECKPOINT_SECONDS="9999")
    children = Path(f"/proc/{job.pid}/task/{job.pid}/children")
    deadline = time.monotonic() + 200
    while len(pids := children.read_text().split()) < 2 or not all(map(catches_sigterm, pids)):
        assert job.poll() is None and time.monotonic() < deadline
        time.sleep(0.05)
    job.send_signal(signal.SIGTERM)
    said, _ = job.communicate(timeout=120)
    assert job.returncode == 143, said
    assert said.count("stopped by SIGTERM") == 1
    ((checkpoint,),) = (list(path.glob("step-*")) for path in (root / "scratch").glob("*"))
    continued = launched(root, *finetune(epochs=200), options=())
    assert f"continuing after step {int(checkpoint.name[5:])}," in continued.communicate(timeout=300)[0]
    assert continued.returncode == 0
