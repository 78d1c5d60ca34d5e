"""The question inside a prompt, as logs write prompts out."""

import re

# LLaMA-2's chat and the plain question/answer marks; then chats with a system's and a user's turn, special tokens dropped.
_MARKS = re.compile(r"^\s*(\[INST\]|Question:)|(\[/INST\]|Answer:)\s*$")
_TURNS = re.compile(r"\Asystem\n.*?user\n+(?P<question>.*?)\s*assistant\s*\Z", re.DOTALL)


def plain_question(prompt: str) -> str:
    """Return the question in a prompt, its spaces made one each; of a template that is not known the whole prompt."""
    turns = _TURNS.match(prompt)
    return " ".join(_MARKS.sub("", turns["question"] if turns else prompt).split())
