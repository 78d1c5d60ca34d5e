"""Write envs/*.lock and envs/*.yaml: the installed versions of each stage family's packages and their dependencies."""

from __future__ import annotations

import argparse
import sys
import tomllib
from collections.abc import Iterable
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[1]
TRAIN = [
    "accelerate",
    # transformers needs it for models of kind packaged.
    "gguf",
    "huggingface-hub",
    "numpy",
    "pandas",
    "peft",
    "pyarrow",
    "pydantic",
    "safetensors",
    "tokenizers",
    "torch",
    "tqdm",
    "transformers",
]
# The imports of a family's stages; `workflow` is the whole project with its tools, the environment of `make setup`.
FAMILIES = {
    "data": ["huggingface-hub", "numpy", "pydantic", "pyyaml"],
    "train": TRAIN,
    "evaluate": [*TRAIN, "lm-eval", "regex", "rouge-score"],
    "report": ["jinja2", "markupsafe", "numpy", "pandas", "pyarrow", "pydantic", "pyyaml", "scipy", "vl-convert-python"],
}
WORKFLOW = "workflow"
PYTHON = "3.11"
HEADER = "# Made by scripts/lock_environments.py; do not edit.\n"


def project_requirements() -> list[str]:
    """Return the requirements in pyproject.toml, including those of studies and tools."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    studies = project["project"]["optional-dependencies"]["workflow"]
    return [*project["project"]["dependencies"], *studies, *project["dependency-groups"]["dev"]]


def pin(requirements: Iterable[str]) -> list[str]:
    """Return `name==version` for the requirements and their dependencies, sorted, without local versions (+cpu).

    Raises PackageNotFoundError for a missing package, and SystemExit if a requirement excludes the installed version.
    """
    pinned: dict[str, str] = {}
    seen: set[tuple[str, str]] = set()
    queue = [(Requirement(text), "") for text in requirements]
    while queue:
        requirement, extra = queue.pop()
        if requirement.marker and not requirement.marker.evaluate({"extra": extra}):
            continue
        name = canonicalize_name(requirement.name)
        installed = metadata.version(name)
        if not requirement.specifier.contains(installed, prereleases=True):
            sys.exit(f"{requirement} is asked for, {installed} is installed")
        pinned[name] = installed.partition("+")[0]
        for wanted in {"", *requirement.extras} - {extra for known, extra in seen if known == name}:
            seen.add((name, wanted))
            queue += [(Requirement(text), wanted) for text in metadata.requires(name) or []]
    return [f"{name}=={version}" for name, version in sorted(pinned.items())]


def lock_text(pins: Iterable[str]) -> str:
    """Return a requirements file."""
    return HEADER + "".join(f"{line}\n" for line in pins)


def conda_text(pins: Iterable[str]) -> str:
    """Return a conda environment of the same versions."""
    head = f"channels:\n  - conda-forge\n  - nodefaults\ndependencies:\n  - python={PYTHON}\n  - pip\n  - pip:\n"
    return HEADER + head + "".join(f"      - {line}\n" for line in pins)


def environments() -> dict[str, str]:
    """Return the content of every file by its name."""
    files = {f"{WORKFLOW}.lock": lock_text(pin(project_requirements()))}
    for family, roots in FAMILIES.items():
        pins = pin(roots)
        files |= {f"{family}.lock": lock_text(pins), f"{family}.yaml": conda_text(pins)}
    return files


if __name__ == "__main__":
    argparse.ArgumentParser(description=__doc__).parse_args()
    for name, text in environments().items():
        (ROOT / "envs" / name).write_text(text, encoding="utf-8")
