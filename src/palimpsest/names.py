"""Shared names: roles of models, built-in variants, the format of names in a study, and the identity of a model."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field
from pydantic_core import PydanticCustomError

ORIGINAL, HALF, RETRAIN = "original", "original-half", "retrain"
ROLES = (ORIGINAL, HALF, RETRAIN)
# Built-in variants: the unchanged method, all trials of its grid, and the trial selected from them.
DEFAULT, GRID, SELECTED = "default", "grid", "selected"
# The reference log-probabilities of the unchanged start model.
PLAIN = "plain"
SAFE_NAME = r"^[A-Za-z0-9][A-Za-z0-9._+-]*$"
# Names become folder names, and a trial's folder name combines several; file systems allow 255 bytes.
LONGEST_NAME = 100
# Folders next to the folders named by a benchmark, a model or a split.
RESERVED = ("benchmarks", "datasets", "logs", "report", "summary", "data", "splits", "base", "selection", "scores", *ROLES)
# The folder of a run's unlearned models.
UNLEARN = "unlearn"
# The module that watches a training; only the code digests of watched trainings cover it.
WATCHING = "palimpsest.stages.watching"
# How closely two runs of a stage agree on another machine or on a GPU.
Agreement = Literal["bitwise", "numeric", "statistical"]


def wrong_name(text: str) -> PydanticCustomError:
    """Return the pydantic error for a wrong name."""
    return PydanticCustomError("name", "{text}", {"text": text})


def checked_name(value: str) -> str:
    """Return a valid name of a study; raises a pydantic error for others."""
    if not re.fullmatch(SAFE_NAME, value):
        raise wrong_name(f"{value!r} is not a name: use letters, digits, . _ + -, and start with a letter or digit")
    if len(value) > LONGEST_NAME:
        raise wrong_name(f"{value!r} is too long for a folder name: at most {LONGEST_NAME} characters")
    if value in RESERVED:
        raise wrong_name(f"{value!r} is the name of a folder of the results; choose another name")
    return value


Name = Annotated[str, AfterValidator(checked_name), Field(json_schema_extra={"pattern": SAFE_NAME})]


def seed_id(seed: int | None) -> str:
    """Return the id of an input that differs from others only in the seed; also the name of the seed's folder."""
    return f"seed{seed}"


def trial_run(of: ModelId) -> str:
    """Return the id of a run of trials, among the inputs of a selection."""
    return f"{of.benchmark}/{seed_id(of.seed)}"


@dataclass(frozen=True, order=True)
class ModelId:
    """The identity of a model of a study; with fields left out, the common part of several identities.

    Without a method it identifies a run: all models of one benchmark, split, model and seed, with one Original and one Retrain.
    The method of these two is their role, and they have no variant. An attacked model has its own identity.
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
        own, attack = (parts[1:3], parts[3:]) if parts[0] == UNLEARN else (parts[:1], parts[1:])
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
        """Benchmark, split and model: the common part of runs that differ only in the seed."""
        return self.benchmark, self.split, self.model

    @property
    def key(self) -> tuple[str, str, str, str]:
        """The key that the patterns of method settings are matched against."""
        return *self.place, self.method

    @property
    def columns(self) -> dict[str, Any]:
        """The columns of the summary that identify the model."""
        return dict(vars(self))

    @property
    def needed_seed(self) -> int:
        """The seed, of an identity that has one."""
        assert self.seed is not None
        return self.seed

    @property
    def subject(self) -> str:
        """The folder of the model below the folder of its run."""
        own = f"{UNLEARN}/{self.method}/{self.variant}" if self.variant else self.method
        return f"{own}/attack/{self.attack}" if self.attack else own

    @property
    def path(self) -> str:
        """The folder of the model below the results."""
        seed = "" if self.seed is None else seed_id(self.seed)
        return "/".join(filter(None, (self.benchmark, self.model, self.split, seed, self.subject)))
