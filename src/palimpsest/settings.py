"""The base class of all settings, and the types of their numbers, lists and options."""

import ast
import inspect
import re
import textwrap
from collections.abc import Collection, Iterator
from itertools import pairwise
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue

Item = TypeVar("Item")
# Marks the settings that are as if they did not exist while they are null.
NULL_IS_NOTHING = "null is nothing"
# A setting that may be added without waking a job: its default is null, and null is in no spec; nor is its declaration in a code
# digest. The code that reads it is.
Option = Annotated[Item | None, NULL_IS_NOTHING]


class Settings(BaseModel):
    """Immutable, strict settings: unknown keys, wrong types and numbers written as text are errors.

    Each module declares the settings it reads, and the config is composed of them. The string below a field is its description in
    `config/README.md`; the code digest ignores it.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)

    @classmethod
    def __pydantic_init_subclass__(cls, **more: Any) -> None:
        """Raise TypeError for an option whose default is not null, because null would then be read as the default."""
        super().__pydantic_init_subclass__(**more)
        for name in _options(cls):
            if cls.model_fields[name].default is not None:
                raise TypeError(f"{cls.__name__}.{name}: the default of an option is null")

    @classmethod
    def __get_pydantic_json_schema__(cls, core: Any, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """Add the descriptions; pydantic would read the source of each class when it is imported, in every job."""
        schema = handler(core)
        properties = handler.resolve_ref_schema(schema).get("properties", {})
        for kind in cls.__mro__:
            for name, text in _descriptions(kind) if issubclass(kind, Settings) else ():
                if name in properties:
                    properties[name].setdefault("description", text)
        return schema


def _descriptions(kind: type[Settings]) -> Iterator[tuple[str, str]]:
    """Yield the names of the fields that a class declares with a string below, and this string."""
    try:
        (declared,) = ast.parse(textwrap.dedent(inspect.getsource(kind))).body
    except OSError:
        # A class that no file declares, such as one of pydantic.create_model.
        return
    assert isinstance(declared, ast.ClassDef)
    for field, below in pairwise(declared.body):
        match field, below:
            case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str(text))):
                yield name, inspect.cleandoc(text)


def _options(kind: type[BaseModel]) -> list[str]:
    return [name for name, field in kind.model_fields.items() if NULL_IS_NOTHING in field.metadata]


def spelled(settings: BaseModel, exclude: Collection[str] = ()) -> dict[str, Any]:
    """Return settings as plain values, at any depth without the options that are null."""
    spelled_out: dict[str, Any] = _without_null(settings, settings.model_dump(exclude=set(exclude)))
    return spelled_out


def _without_null(value: Any, dumped: Any) -> Any:
    if isinstance(value, BaseModel) and isinstance(dumped, dict):
        null = {name for name in _options(type(value)) if getattr(value, name) is None}
        return {name: _without_null(getattr(value, name), inner) for name, inner in dumped.items() if name not in null}
    if isinstance(value, dict) and isinstance(dumped, dict):
        return {name: _without_null(value[name], inner) for name, inner in dumped.items()}
    if isinstance(value, list | tuple) and isinstance(dumped, list | tuple):
        return type(dumped)(map(_without_null, value, dumped))
    return dumped


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
