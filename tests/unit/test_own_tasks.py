"""Tasks of lm-eval that read a user's files: an edit of a file runs the evaluation again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from example_study import CONFIG, folders, spec

from palimpsest.errors import UserError
from palimpsest.evaluation.lm_eval.suite_settings import LmEvalSuite
from palimpsest.study.study import Study


def test_the_files_of_a_task_count_by_their_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One, several, or all of a folder; files of the data and of packages are hashed elsewhere."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "asked").mkdir()
    (tmp_path / "asked/one.jsonl").write_text("{}")
    (tmp_path / "two.jsonl").write_text("{}")
    configs: list[tuple[dict[str, Any], set[str]]] = [
        ({"dataset_path": "json", "dataset_kwargs": {"data_files": {"test": "asked/one.jsonl"}}}, {"asked/one.jsonl"}),
        (
            {"dataset_path": "json", "dataset_kwargs": {"data_files": ["*/*.jsonl", "two.jsonl"]}},
            {"asked/one.jsonl", "two.jsonl"},
        ),
        ({"dataset_path": "./asked"}, {"asked/one.jsonl"}),
        ({"dataset_path": str(tmp_path / "asked")}, {f"{tmp_path}/asked/one.jsonl"}),
        ({"dataset_path": "json", "dataset_kwargs": {"data_files": "{data}/world_facts.jsonl"}}, set()),
    ]
    for task, files in configs:
        suite = LmEvalSuite(kind="lm-eval", tasks=[{"task": "asked", **task}])
        assert suite.hash_own_files().keys() == files
    before = LmEvalSuite(kind="lm-eval", tasks=[{"task": "asked", **configs[0][0]}])
    hashed = before.hash_own_files()
    (tmp_path / "asked/one.jsonl").write_text('{"question": "?"}')
    assert before.hash_own_files() != hashed


def test_an_evaluation_names_the_files_of_its_tasks_and_a_missing_one_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    task = {"task": "asked", "dataset_path": "json", "dataset_kwargs": {"data_files": "asked.jsonl"}}
    config = {**CONFIG, "suites": {**CONFIG["suites"], "asked": {"kind": "lm-eval", "tasks": [task]}}}
    config["blocks"] = [{**CONFIG["blocks"][0], "suites": ["tofu", "asked"]}]
    with pytest.raises(UserError, match=r"^config: suites: asked: tasks: there is no file 'asked.jsonl'$"):
        Study(config)
    (tmp_path / "asked.jsonl").write_text("{}")
    study = Study(config)
    evaluations = [spec(study, path) for path in folders(study, "evaluate")]
    assert {tuple(each.get("files", ())) for each in evaluations} == {(), ("asked.jsonl",)}
