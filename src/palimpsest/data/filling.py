"""Templates with places for texts, such as {question}."""

import re
from collections.abc import Mapping


def fill(template: str, texts: Mapping[str, str]) -> str:
    """Return a template with each text in its place; what looks like a place inside a text stays."""
    return re.sub("|".join(map(re.escape, texts)), lambda place: texts[place[0]], template)
