"""Whether `rouge_score` finds words in a text. In its own module, so that reading a log does not need the package."""

import re

_WORD = re.compile("[a-z0-9]")


def has_known_words(text: str) -> bool:
    """Return whether a text has a word for `rouge_score`, which knows only the letters a-z and digits."""
    return _WORD.search(text.lower()) is not None
