"""The base of every typed setting, and kinds of numbers and lists; unknown keys, wrong types and the text 1e-5 are errors."""

from typing import Annotated, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

Item = TypeVar("Item")


class Settings(BaseModel):
    """Immutable, strict settings; a science module declares its own, and the config is made of them.

    A string below a field describes it in the reference of the config; it is no code to the code digest.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False, use_attribute_docstrings=True)


def _distinct(values: list[Item]) -> list[Item]:
    for place, value in enumerate(values):
        if value in values[:place]:
            raise ValueError(f"{value!r} is in the list twice")
    return values


# Every number has two bounds, far beyond what any study needs: what lies outside is a slip of the pen.
Count = Annotated[int, Field(ge=1, le=10_000_000)]
Epochs = Annotated[int, Field(ge=1, le=10_000)]
# Single precision divides by both ends and does not overflow.
Positive = Annotated[float, Field(ge=1e-6, le=1e6)]
Fraction = Annotated[float, Field(ge=0, le=1)]
Weight = Annotated[float, Field(ge=0, le=1e6)]
Finite = Annotated[float, Field(ge=-1e6, le=1e6)]
# Counted from 0.
Layer = Annotated[int, Field(ge=0, le=255)]
# As torch and the columns of the tables take it.
Seed = Annotated[int, Field(ge=0, lt=2**32)]
# A commit of a repository on the hub, never a branch.
Revision = Annotated[str, Field(pattern=r"^[0-9a-f]{40}$")]
# Lists without an element twice, and such lists that are not empty.
Distinct = Annotated[list[Item], Field(json_schema_extra={"uniqueItems": True}), AfterValidator(_distinct)]
Some = Annotated[list[Item], Field(min_length=1, json_schema_extra={"uniqueItems": True}), AfterValidator(_distinct)]
