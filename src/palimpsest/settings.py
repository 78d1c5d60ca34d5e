"""The base class of all settings, and the types of their numbers and lists."""

import re
from typing import Annotated, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

Item = TypeVar("Item")


class Settings(BaseModel):
    """Immutable, strict settings: unknown keys, wrong types and numbers written as text are errors.

    Each module declares the settings it reads, and the config is composed of them. The string below a field is its description in
    `config/README.md`; the code digest ignores it.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False, use_attribute_docstrings=True)


def _distinct(values: list[Item]) -> list[Item]:
    for place, value in enumerate(values):
        if value in values[:place]:
            raise ValueError(f"{value!r} is in the list twice")
    return values


def _commit(value: str) -> str:
    if not re.fullmatch(COMMIT, value):
        raise ValueError(f"{value!r}: not a commit, which has 40 hex digits; `palimpsest pin FILE` looks it up")
    return value


# Every number has two bounds, far beyond what any study needs: a number outside them is a typing error.
Count = Annotated[int, Field(ge=1, le=10_000_000)]
Epochs = Annotated[int, Field(ge=1, le=10_000)]
# Division by either bound does not overflow in single precision.
Positive = Annotated[float, Field(ge=1e-6, le=1e6)]
Exponent = Annotated[float, Field(ge=0, le=100)]
Fraction = Annotated[float, Field(ge=0, le=1)]
Weight = Annotated[float, Field(ge=0, le=1e6)]
Finite = Annotated[float, Field(ge=-1e6, le=1e6)]
# Counted from 0.
Layer = Annotated[int, Field(ge=0, le=255)]
# The range that torch and the columns of the tables accept.
Seed = Annotated[int, Field(ge=0, lt=2**32)]
# A commit of a repository on the Hub, never a branch.
COMMIT = r"^[0-9a-f]{40}$"
Revision = Annotated[str, Field(json_schema_extra={"pattern": COMMIT}), AfterValidator(_commit)]
# Lists without duplicates, and non-empty lists without duplicates.
Distinct = Annotated[list[Item], Field(json_schema_extra={"uniqueItems": True}), AfterValidator(_distinct)]
Some = Annotated[list[Item], Field(min_length=1, json_schema_extra={"uniqueItems": True}), AfterValidator(_distinct)]
