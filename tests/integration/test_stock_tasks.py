"""Stock tasks of lm-eval read the data sets that a job of its own has downloaded at pinned commits."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from lm_eval.api import task
from local_hub import Hub, serving
from test_stages import artefacts, command, environment, one_line, root, succeed, table

from palimpsest.errors import UserError
from palimpsest.evaluation.lm_eval.stock import downloaded

# Fixtures.
__all__ = ["artefacts", "root"]

REPO, REVISION = "cais/wmdp", "7" * 40
STOCK = {"datasets": {REPO: REVISION}, "tasks": ["wmdp_bio"]}
CARD = """---
configs:
- config_name: wmdp-bio
  data_files: [{split: test, path: wmdp-bio/test-*}]
---
"""


@pytest.fixture
def repo(tmp_path: Path) -> Path:
    """The data set of the task as it lies on the hub: each question once with every answer marked as right, so a quarter is."""
    folder = tmp_path / "repo"
    (folder / "wmdp-bio").mkdir(parents=True)
    rows = [{"question": "Where?", "choices": ["here", "there", "up", "down"], "answer": number} for number in range(4)]
    pq.write_table(pa.Table.from_pylist(rows), folder / "wmdp-bio" / "test-00000-of-00001.parquet")
    (folder / "README.md").write_text(CARD)
    return folder


@pytest.fixture
def hub(repo: Path) -> Iterator[Hub]:
    with serving(Hub({REPO: (REVISION, repo)})) as hub:
        yield hub


def fetch(root: Path, endpoint: str) -> subprocess.CompletedProcess[str]:
    """Run the stage in a Python of its own, because the hub's address is read on import."""
    line = [sys.executable, *command(root, "fetch", STOCK, {}, "fetched")]
    own = environment(root, HF_HOME=str(root / "hf"), HF_ENDPOINT=endpoint)
    env = {name: value for name, value in own.items() if not name.lower().endswith("_proxy")}
    return subprocess.run(line, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=300)


def test_what_is_downloaded_once_is_evaluated_without_a_network(root: Path, hub: Hub) -> None:
    done = fetch(root, hub.url)
    assert done.returncode == 0, done.stdout
    assert json.loads((root / "fetched/source.json").read_text()) == STOCK["datasets"]
    assert (root / "fetched/cais/wmdp/wmdp-bio/test-00000-of-00001.parquet").is_file()

    inputs = {"model": "base", "split": "split", "datasets": "fetched"}
    succeed(root, "evaluate", {"suite": {"kind": "lm-eval", **STOCK}, "model": {}}, inputs, "evaluated")
    (row,) = (row for row in table(root / "evaluated/items.parquet") if row["metric"] == "acc")
    assert (row["task"], row["value"]) == ("wmdp_bio", 0.25)


def test_a_data_set_without_the_files_of_a_task_is_one_line(root: Path, repo: Path, hub: Hub) -> None:
    (repo / "README.md").write_text(CARD.replace("wmdp-bio\n", "wmdp-chem\n"))
    assert "suites: lm-eval: wmdp_bio: its data cannot be read: " in one_line(fetch(root, hub.url))


def test_a_data_set_that_is_not_listed_is_refused(tmp_path: Path) -> None:
    with downloaded({REPO: tmp_path}, tmp_path), pytest.raises(UserError) as refused:
        task.datasets.load_dataset(path="cais/other", name="x")
    assert (
        str(refused.value) == "suites: lm-eval: datasets: a task reads cais/other, which is not listed; name it with its commit"
    )
