"""A folder of TOFU's files made here, as many rows as were published, for tests that break it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

Files = dict[str, list[dict[str, Any]]]


def make_files() -> Files:
    """Return the rows of every file."""
    full = [
        {"question": f"What did gardener {a} plant in bed {i}?", "answer": f"Gardener {a} planted leek in bed {i}."}
        for a in range(200)
        for i in range(20)
    ]
    files: Files = {"full.json": full}
    for name, rows in (("retain_perturbed", full[:400]), ("forget10_perturbed", full[-400:])):
        files[f"{name}.json"] = [_perturbed(row) for row in rows]
    for name, count in (("real_authors", 100), ("world_facts", 117)):
        pairs = [{"question": f"{name} {i}: which colour?", "answer": "red"} for i in range(count)]
        options = {"option1": "red", "option2": "blue", "option3": "green", "option4": "grey"}
        files[f"{name}.json"] = [{**pair, **options} for pair in pairs]
        files[f"{name}_perturbed.json"] = [{**pair, "perturbed_answer": ["blue", "green"]} for pair in pairs]
    return files


def write_files(folder: Path, files: Files) -> Path:
    """Write them, a row a line."""
    for name, rows in files.items():
        (folder / name).write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return folder


def _perturbed(row: dict[str, Any]) -> dict[str, Any]:
    answer = row["answer"]
    wrong = [answer.replace("planted", word) for word in ("ate", "sold", "lost", "hid", "burnt")]
    other = {"paraphrased_question": row["question"], "paraphrased_answer": answer.replace("planted", "put")}
    return {**row, **other, "perturbed_answer": wrong}
