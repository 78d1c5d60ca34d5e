"""The words of a study that are in no one part of it: the roles of models, and which names it may give."""

import re
from typing import Annotated

from pydantic import AfterValidator, Field
from pydantic_core import PydanticCustomError

ORIGINAL, HALF, RETRAIN = "original", "original-half", "retrain"
ROLES = (ORIGINAL, HALF, RETRAIN)
SAFE_NAME = r"^[A-Za-z0-9][A-Za-z0-9._+-]*$"
# Names become folders, and a trial's several in one; file systems take 255 bytes.
LONGEST_NAME = 100
# Folders that lie beside those named by a benchmark, a model or a split.
RESERVED = ("benchmarks", "logs", "report", "summary", "data", "splits", "base", "choice", "scores", *ROLES)


def wrong_name(text: str) -> PydanticCustomError:
    """Return the error of a validator of names."""
    return PydanticCustomError("name", "{text}", {"text": text})


def _name(value: str) -> str:
    if not re.fullmatch(SAFE_NAME, value):
        raise wrong_name(f"{value!r} is no name: letters, digits, . _ + -, and a letter or digit first")
    if len(value) > LONGEST_NAME:
        raise wrong_name(f"{value!r} is too long for a folder: at most {LONGEST_NAME} characters")
    if value in RESERVED:
        raise wrong_name(f"{value!r} is taken by a folder of the results: choose another name")
    return value


Name = Annotated[str, AfterValidator(_name), Field(json_schema_extra={"pattern": SAFE_NAME})]
