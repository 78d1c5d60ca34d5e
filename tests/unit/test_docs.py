"""What the documents name is there."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = sorted((ROOT / "docs").rglob("*.md"))


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_every_test_and_every_linked_file_is_there(document: Path) -> None:
    text = document.read_text(encoding="utf-8")
    for name in re.findall(r"`(tests/[\w/]+\.py(?:::\w+)?)`", text):
        file, _, test = name.partition("::")
        tree = ast.parse((ROOT / file).read_text(encoding="utf-8"))
        assert not test or test in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}, name
    for link in re.findall(r"\]\((?!http)([^)#]+)", text):
        assert (document.parent / link).exists(), link


def test_every_promise_names_a_test() -> None:
    text = (ROOT / "docs/promises.md").read_text(encoding="utf-8").partition("## Not promised")[0]
    head, line, *rows = [line for line in text.splitlines() if line.startswith("|")]
    assert head == "| promise | scope | tested by |" and set(line) <= set("|- ")
    assert rows and not [row for row in rows if "`tests/" not in row.split("|")[3]]
