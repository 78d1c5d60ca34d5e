"""The unlearning methods: one file each in this folder, and those that other packages bring by entry points.

A method is named by its file, with `-` for `_`, or by its entry point in the group `palimpsest.methods`.
"""

import importlib
import pkgutil
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from inspect import isabstract
from typing import Any

from pydantic import ValidationError

from palimpsest.errors import UserError
from palimpsest.methods.base import Method

GROUP = "palimpsest.methods"
# Modules of this folder that are no methods.
SHARED = ("base", "problem")


@cache
def list_methods() -> dict[str, EntryPoint]:
    """Return where each method is, by its name in alphabetical order; imports none of them."""
    files = (module.name for module in pkgutil.iter_modules(__path__) if module.name not in SHARED)
    own = {name.replace("_", "-"): EntryPoint(name, f"{__name__}.{name}", GROUP) for name in files}
    found = dict(own)
    for point in entry_points(group=GROUP):
        if found.setdefault(point.name, point) != point:
            raise UserError(f"method {point.name}: {found[point.name].value} and {point.value} both have this name")
    return dict(sorted(found.items()))


def module_name(method: str) -> str:
    """Return the module of a method."""
    return list_methods()[method].module


@cache
def load_method(method: str) -> type[Method]:
    """Import a method's module, that one alone, and return its class; raises UserError where there is none."""
    if method not in list_methods():
        raise UserError(f"unknown method {method!r}; allowed: {', '.join(list_methods())}")
    point = list_methods()[method]
    try:
        module = importlib.import_module(point.module)
    except ImportError as error:
        raise UserError(f"method {method}: {point.module} cannot be imported: {error}") from None
    own = [each for each in vars(module).values() if getattr(each, "__module__", None) == module.__name__]
    named = [getattr(module, point.attr, None)] if point.attr else own
    found = [each for each in named if isinstance(each, type) and issubclass(each, Method) and not isabstract(each)]
    if len(found) != 1:
        raise UserError(f"method {method}: {point.value} is no LossMethod, LayerMethod or EditMethod of palimpsest.methods.base")
    return found[0]


def make_method(method: str, settings: dict[str, Any]) -> Method:
    """Return a method with these settings and its own defaults; raises UserError for a setting that it cannot have."""
    try:
        return load_method(method).model_validate(settings)
    except ValidationError as error:
        first = error.errors()[0]
        raise UserError(f"{method}: {'.'.join(map(str, first['loc']))}: {first['input']!r}: {first['msg']}") from None
