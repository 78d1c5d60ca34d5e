"""`palimpsest init`: each config that it writes is a study, and the method that it writes has a test that runs."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from checkout import Checkout
from pinned import read_pinned, read_study

from palimpsest.cli import main
from palimpsest.study.applied import check_applied
from palimpsest.study.files import read_layers
from palimpsest.study.study import Study
from palimpsest.study.tasks import tasks

# Jobs of some rules of each study: enough to see that it is the one that its first line promises.
JOBS = {
    "documents": {"data": 1, "base_pretrained": 1, "finetune": 2, "unlearn": 3, "evaluate": 5},
    # Original, Retrain and the checkpoint are fetched, and the last two attacked.
    "evaluate": {"data": 1, "given": 3, "evaluate": 3, "attack": 2},
    "method": {"base_tiny": 1, "finetune": 2, "unlearn": 4, "evaluate": 6},
    "sweep": {"data": 2, "finetune": 4, "select": 2, "unlearn": 2 * 6 + 2, "evaluate": 4 + 2},
    "tofu": {"data": 1, "finetune": 2, "unlearn": 5, "evaluate": 7, "attack": 3},
}


@pytest.fixture
def here(checkout: Checkout, monkeypatch: pytest.MonkeyPatch) -> Checkout:
    monkeypatch.chdir(checkout.path)
    for folder in ("data/documents/forget", "data/documents/retain", "tests/unit", "studies"):
        Path(folder).mkdir(parents=True)
    return checkout


@pytest.mark.parametrize("task", tasks())
def test_each_task_is_a_short_study_of_which_every_line_applies(here: Checkout, task: str) -> None:
    path = Path(f"studies/my-{task}.yaml")
    assert main(["init", task, str(path)]) == 0
    text = path.read_text(encoding="utf-8")
    assert "$" not in text and len(text.splitlines()) < 70
    assert f"--configfile {path}" in text
    # What the reader changes is marked, and what the Hub knows is asked for once.
    assert ("CHANGE" in text) == (task != "method") and ("revision: null" in text) == (task != "method")
    layers = read_layers([path])
    assert layers[-1].config["study"] == f"my-{task}" and layers[-1].config["results"] == f"results-my-{task}"
    path.write_text(yaml.safe_dump(read_pinned(path)), encoding="utf-8")
    jobs = here.jobs("--configfile", str(path))
    assert {rule: jobs[rule] for rule in JOBS[task]} == JOBS[task]
    if task != "method":  # This process knows no method of the copy.
        check_applied(Study(read_study(path)), layers)


def test_the_method_has_a_test_that_holds_and_fails_when_the_loss_is_wrong(here: Checkout) -> None:
    assert main(["init", "method", "my-loss.yaml"]) == 0
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/unit/test_method_my_loss.py"]
    environment = {**os.environ, "PYTHONPATH": "src"}
    assert subprocess.run(command, env=environment, capture_output=True).returncode == 0
    here.edit("src/palimpsest/methods/my_loss.py", "return -(batch", "return (batch")
    assert subprocess.run(command, env=environment, capture_output=True).returncode == 1


def test_init_alone_lists_the_tasks(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["init"]) == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == sorted(JOBS)


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["sweeps"], "unknown task 'sweeps'; did you mean sweep? allowed: documents, evaluate, method, sweep, tofu"),
        (["tofu", "there.yaml"], "there.yaml: there is such a file already; nothing was written"),
        (["tofu", "no/where.yaml"], "no/where.yaml: there is no folder no"),
        (
            ["tofu", "two words.yaml"],
            "two words.yaml: 'two words' is not a name of a study: use letters, digits, . _ + and -, "
            "and start with a letter or a digit",
        ),
        (["tofu", "report.yaml"], "report.yaml: 'report' is the name of a folder of the results; choose another name"),
        (
            ["method", "Mine.yaml"],
            "Mine.yaml: 'Mine' is not a name of a method: use small letters, digits and -, and start with a letter",
        ),
        (["method", "my-loss.yaml"], "src/palimpsest/methods/my_loss.py: there is no folder src/palimpsest/methods; run this"),
    ],
)
def test_what_cannot_be_written_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], arguments: list[str], line: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("there.yaml").write_text("mine")
    assert main(["init", *arguments]) == 2
    said = capsys.readouterr().err
    assert said.startswith(f"palimpsest init: {line}") and said.count("\n") == 1
    assert Path("there.yaml").read_text() == "mine" and list(tmp_path.iterdir()) == [tmp_path / "there.yaml"]
