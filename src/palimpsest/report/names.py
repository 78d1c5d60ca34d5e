"""How methods and variants are called and in which order they stand, on every page and in every figure."""

import re
from collections.abc import Iterable
from typing import Any

from palimpsest.methods import list_methods, load_method
from palimpsest.names import DEFAULT, HALF, ORIGINAL, RETRAIN, ROLES, SELECTED

# The models that no method made.
ROLE_NAMES = {ORIGINAL: "Original", HALF: "Original (half)", RETRAIN: "Retrain"}
# The methods that claims are about.
GA, GRADDIFF, W_GRADDIFF, NPO, SIMNPO, RMU = "ga", "graddiff", "w-graddiff", "npo", "simnpo", "rmu"
# Those that stand out in a figure of many: the paper compares them throughout.
PROMINENT, COMPARED = (NPO, SIMNPO), (GA, NPO, SIMNPO)


def method_name(method: str) -> str:
    """Return what a role or a method is called; a given checkpoint has its own name, and what models share has none."""
    return (
        load_method(method).label if method in list_methods() else ROLE_NAMES.get(method, f"{method} (given)" if method else "")
    )


def model_label(method: str, variant: str) -> str:
    """Return what one model is called: the method, and the variant unless it is the default."""
    if variant in ("", DEFAULT):
        return method_name(method)
    return f"{method_name(method)} (selected)" if variant == SELECTED else f"{method_name(method)} {variant}"


def model_order(method: str, variant: str = "") -> tuple[Any, ...]:
    """Return a sort key: Original, Retrain, the methods by name, then others; selected, default, variants by their numbers."""
    parts = [(0, float(part), "") if i % 2 else (1, 0.0, part) for i, part in enumerate(re.split(r"(\d+(?:\.\d+)?)", variant))]
    place = {SELECTED: 0, DEFAULT: 1}.get(variant, 2)
    group = ROLES.index(method) if method in ROLES else len(ROLES) + (method not in list_methods())
    return group, method_name(method).casefold(), place, parts


def standing_variant(variants: Iterable[str]) -> str | None:
    """Return the variant that represents its method: the selected one, or else the default, or else the first; None of none."""
    return min(variants, key=lambda variant: model_order("", variant), default=None)


def compared(methods: Iterable[str]) -> list[str]:
    """Return the methods that the paper compares throughout, or all where none of them is there."""
    names = list(methods)
    return [name for name in names if name in COMPARED] or names
