"""How methods and variants are called and in which order they stand, on every page and in every figure."""

import re
from collections.abc import Iterable
from typing import Any

METHOD_NAMES = {
    "original": "Original",
    "original-half": "Original (half)",
    "retrain": "Retrain",
    "ga": "GA",
    "graddiff": "GradDiff",
    "w-graddiff": "W-GradDiff",
    "idk": "IDK",
    "dpo-idk": "DPO-IDK",
    "npo": "NPO",
    "simnpo": "SimNPO",
    "rkld": "RKLD",
    "task-vector": "Task Vector",
    "rmu": "RMU",
}
# The methods that claims are about.
ORIGINAL, HALF, RETRAIN = "original", "original-half", "retrain"
GA, GRADDIFF, W_GRADDIFF, NPO, SIMNPO, RMU = "ga", "graddiff", "w-graddiff", "npo", "simnpo", "rmu"
# The models that no method made.
REFERENCES = (ORIGINAL, HALF, RETRAIN)
# Those that stand out in a figure of many: the paper compares them throughout.
PROMINENT, COMPARED = (NPO, SIMNPO), (GA, NPO, SIMNPO)
CHOSEN, DEFAULT = "chosen", "default"
_ORDER = {method: place for place, method in enumerate(METHOD_NAMES)}


def method_name(method: str) -> str:
    """Return the name a method has in the literature, or its own where none is known."""
    return METHOD_NAMES.get(method, method)


def model_label(method: str, variant: str) -> str:
    """Return what one model is called: the method, and the variant unless it is the default."""
    if variant in ("", DEFAULT):
        return method_name(method)
    return f"{method_name(method)} (chosen)" if variant == CHOSEN else f"{method_name(method)} {variant}"


def model_order(method: str, variant: str = "") -> tuple[Any, ...]:
    """Return a sort key: Original, Retrain, the methods as listed, others by name; chosen, default, others by their numbers."""
    parts = [(0, float(part), "") if i % 2 else (1, 0.0, part) for i, part in enumerate(re.split(r"(\d+(?:\.\d+)?)", variant))]
    place = {CHOSEN: 0, DEFAULT: 1}.get(variant, 2)
    return _ORDER.get(method, len(_ORDER)), method, place, parts


def standing_variant(variants: Iterable[str]) -> str | None:
    """Return the variant that represents its method: the chosen one, or else the default, or else the first; None of none."""
    return min(variants, key=lambda variant: model_order("", variant), default=None)


def compared(methods: Iterable[str]) -> list[str]:
    """Return the methods that the paper compares throughout, or all where none of them is there."""
    names = list(methods)
    return [name for name in names if name in COMPARED] or names
