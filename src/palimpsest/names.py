"""The words of the house: roles of models, variants that no config names, names that a study may give, and what a model is."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field
from pydantic_core import PydanticCustomError

ORIGINAL, HALF, RETRAIN = "original", "original-half", "retrain"
ROLES = (ORIGINAL, HALF, RETRAIN)
# Variants that no section of the config names: a method without changes, all trials of its grid, the one chosen among them.
DEFAULT, GRID, CHOSEN = "default", "grid", "chosen"
# The reference log-probabilities of the start model as it is.
PLAIN = "plain"
SAFE_NAME = r"^[A-Za-z0-9][A-Za-z0-9._+-]*$"
# Names become folders, and a trial's several in one; file systems take 255 bytes.
LONGEST_NAME = 100
# Folders that lie beside those named by a benchmark, a model or a split.
RESERVED = ("benchmarks", "logs", "report", "summary", "data", "splits", "base", "choice", "scores", *ROLES)
# Imported by its name: code of the trainings that a study watches alone.
WATCHING = "palimpsest.stages.watching"
# How far two makings of an artefact agree on another machine or on a GPU.
Agreement = Literal["bitwise", "numeric", "statistical"]


def wrong_name(text: str) -> PydanticCustomError:
    """Return the error of a validator of names."""
    return PydanticCustomError("name", "{text}", {"text": text})


def checked_name(value: str) -> str:
    """Return a name that a study may give; raises the error of a validator."""
    if not re.fullmatch(SAFE_NAME, value):
        raise wrong_name(f"{value!r} is no name: letters, digits, . _ + -, and a letter or digit first")
    if len(value) > LONGEST_NAME:
        raise wrong_name(f"{value!r} is too long for a folder: at most {LONGEST_NAME} characters")
    if value in RESERVED:
        raise wrong_name(f"{value!r} is taken by a folder of the results: choose another name")
    return value


Name = Annotated[str, AfterValidator(checked_name), Field(json_schema_extra={"pattern": SAFE_NAME})]


@dataclass(frozen=True, order=True)
class ModelId:
    """What tells a model of a study from all others; with names left out, what some models have in common.

    Without a method it is a run: all models of one benchmark, split, model and seed, with one original and one Retrain. The
    method of these two is their role, and they have no variant. A model after an attack has an identity of its own.
    """

    benchmark: str
    split: str = ""
    model: str = ""
    seed: int | None = None
    method: str = ""
    variant: str = ""
    attack: str = ""

    def of(self, method: str, variant: str = "") -> ModelId:
        """Return a model of this run."""
        return replace(self, method=method, variant=variant, attack="")

    def at(self, subject: str) -> ModelId:
        """Return the model of this run whose folder below the run's is `subject`."""
        parts = subject.split("/")
        own, attack = (parts[1:3], parts[3:]) if parts[0] == "unlearn" else (parts[:1], parts[1:])
        return self.of(*own).attacked("".join(attack[1:]))

    def attacked(self, attack: str) -> ModelId:
        """Return this model after an attack."""
        return replace(self, attack=attack)

    @property
    def run(self) -> ModelId:
        """The run of the model."""
        return self.of("")

    @property
    def place(self) -> tuple[str, str, str]:
        """What the runs share that differ in their seeds alone: benchmark, split and model."""
        return self.benchmark, self.split, self.model

    @property
    def key(self) -> tuple[str, str, str, str]:
        """What the patterns of a method's settings are matched with."""
        return *self.place, self.method

    @property
    def columns(self) -> dict[str, Any]:
        """The columns of the summary that name it."""
        return dict(vars(self))

    @property
    def needed_seed(self) -> int:
        """The seed, of an identity that has one."""
        assert self.seed is not None
        return self.seed

    @property
    def subject(self) -> str:
        """Its folder below that of its run."""
        own = f"unlearn/{self.method}/{self.variant}" if self.variant else self.method
        return f"{own}/attack/{self.attack}" if self.attack else own

    @property
    def path(self) -> str:
        """Its folder below the results."""
        seed = "" if self.seed is None else f"seed{self.seed}"
        return "/".join(filter(None, (self.benchmark, self.model, self.split, seed, self.subject)))
