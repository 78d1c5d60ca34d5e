"""How methods and variants are called and in which order they stand, on every page and in every figure."""

import re
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
# The models that no method made.
REFERENCES = ("original", "original-half", "retrain")
CHOSEN, DEFAULT = "chosen", "default"
# The variants that may stand for their method, the first that is there.
STANDING = (CHOSEN, DEFAULT)
_ORDER = {method: place for place, method in enumerate(METHOD_NAMES)}


def method_name(method: str) -> str:
    """Return the name a method has in the literature, or its own where none is known."""
    return METHOD_NAMES.get(method, method)


def model_label(method: str, variant: str) -> str:
    """Return what one model is called: the method, and the variant unless it is the default."""
    if variant in ("", DEFAULT):
        return method_name(method)
    return f"{method_name(method)} (chosen)" if variant == CHOSEN else f"{method_name(method)} {variant}"


def model_order(method: str, variant: str) -> tuple[Any, ...]:
    """Return a sort key: Original, Retrain, the methods as listed, others by name; chosen, default, others by their numbers."""
    parts = [(0, float(part), "") if i % 2 else (1, 0.0, part) for i, part in enumerate(re.split(r"(\d+(?:\.\d+)?)", variant))]
    place = STANDING.index(variant) if variant in STANDING else len(STANDING)
    return _ORDER.get(method, len(_ORDER)), method, place, parts
