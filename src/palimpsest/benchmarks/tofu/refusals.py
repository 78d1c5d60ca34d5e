"""Refusals: what a model that does not know may say (the answers of IDK and of DPO with IDK)."""

from pathlib import Path

from palimpsest.data.rows import Text


def refusals() -> list[Text]:
    """Return our own refusals, for sources that bring none."""
    lines = Path(__file__).with_suffix(".txt").read_text(encoding="utf-8").splitlines()
    return [Text(id=f"refusal-{i:03d}", text=line) for i, line in enumerate(lines)]
