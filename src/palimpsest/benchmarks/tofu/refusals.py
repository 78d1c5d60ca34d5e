"""Refusals: the answers that IDK and DPO-IDK teach."""

from pathlib import Path

from palimpsest.data.rows import Text


def refusals() -> list[Text]:
    """Return the built-in refusals, for sources without refusals."""
    lines = Path(__file__).with_suffix(".txt").read_text(encoding="utf-8").splitlines()
    return [Text(id=f"refusal-{i:03d}", text=line) for i, line in enumerate(lines)]
