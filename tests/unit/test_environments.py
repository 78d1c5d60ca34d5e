"""The pinned environments: in step with each other, with pyproject.toml, and with what the stages import."""

from __future__ import annotations

import ast
import importlib.util
import re
import sys
from importlib import metadata
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

from palimpsest.provenance.digest import code_closure
from palimpsest.study.images import FAMILIES, Image, made_of, open_images

ROOT = Path(__file__).resolve().parents[2]
ENVS = ROOT / "envs"
# Packages of extras, and modules of those that `make setup` does not install.
OPTIONAL = {"bitsandbytes"}
UNLOCKED = {"mlflow", "wandb"}
STAGES = {
    family: tuple(f"palimpsest.{module}" for module in modules.split())
    for family, modules in {
        "data": "stages.data stages.split benchmarks.tofu.splits benchmarks.muse.splits",
        "train": "launch benchmarks.tofu.losses stages.base stages.finetune stages.reinforce stages.reference"
        " stages.attack attacks.relearn attacks.quantise attacks.noise attacks.prune"
        " benchmarks.markov.stages.draw benchmarks.markov.stages.finetune",
        "evaluate": "launch stages.evaluate stages.judge stages.fetch stages.unlearn stages.watching"
        " benchmarks.markov.stages.evaluate benchmarks.markov.stages.unlearn"
        " benchmarks.tofu.suite benchmarks.muse.suite benchmarks.documents.suite evaluation.lm_eval.suite"
        " evaluation.prompting.suite evaluation.sampling.suite"
        " stages.select stages.scores stages.external benchmarks.tofu.imported"
        " benchmarks.tofu.scores benchmarks.muse.scores benchmarks.documents.scores benchmarks.markov.scores"
        " evaluation.lm_eval.scores evaluation.prompting.scores evaluation.sampling.scores",
        "report": "stages.summarise stages.report study.publish report.cost",
    }.items()
}

_spec = importlib.util.spec_from_file_location("lock_environments", ROOT / "scripts/lock_environments.py")
assert _spec
assert _spec.loader
script = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(script)


def lock(family: str) -> dict[str, str]:
    """Return the version of each package of a lock."""
    lines = (ENVS / f"{family}.lock").read_text(encoding="utf-8").splitlines()
    return dict(line.split("==") for line in lines if not line.startswith("#"))


@pytest.mark.parametrize("family", STAGES)
def test_conda_and_lock_have_the_same_versions(family: str) -> None:
    environment = yaml.safe_load((ENVS / f"{family}.yaml").read_text(encoding="utf-8"))
    python, pip, packages = environment["dependencies"]
    assert python.startswith("python=3.")
    assert pip == "pip"
    assert dict(line.split("==") for line in packages["pip"]) == lock(family)


@pytest.mark.parametrize("family", STAGES)
def test_an_image_is_of_the_lock_and_of_the_python_of_conda(family: str) -> None:
    image = getattr(open_images(ROOT), family)
    assert not isinstance(image, Image) or image.made_of == made_of(ROOT, family), "make images"
    # Debian 12 has Python 3.11.
    assert "debian:bookworm" in (ROOT / "containers/image.def").read_text(encoding="utf-8") and script.PYTHON == "3.11"


@pytest.mark.parametrize("family", STAGES)
def test_a_family_is_a_part_of_the_whole(family: str) -> None:
    assert lock(family).items() <= lock("workflow").items()


def test_the_lock_is_within_pyproject() -> None:
    pinned = lock("workflow")
    for text in script.project_requirements():
        requirement = Requirement(text)
        assert requirement.specifier.contains(pinned[canonicalize_name(requirement.name)]), text
        # What comes after the tested version was not tested.
        assert "<" in {clause.operator for clause in requirement.specifier}, text
    asked = {canonicalize_name(Requirement(text).name) for text in script.project_requirements()}
    for family, roots in script.FAMILIES.items():
        assert set(roots) <= asked, family


def test_every_family_has_an_image_and_stages() -> None:
    assert set(FAMILIES) == set(script.FAMILIES) == set(STAGES)


def test_locks_name_versions_and_no_places() -> None:
    for path in ENVS.iterdir():
        text = path.read_text(encoding="utf-8")
        assert not re.search(r"://|--|\+cpu|@ ", text), path
    assert lock("workflow")["torch"] == "2.13.0"


def test_every_locked_version_takes_the_oldest_python_that_pyproject_names() -> None:
    for name, version in lock("workflow").items():
        if metadata.version(name).partition("+")[0] == version:
            needed = SpecifierSet(str(metadata.metadata(name).json.get("requires_python", "")))
            assert needed.contains("3.11.0"), f"{name} {version} needs Python {needed}"


def test_files_are_what_the_script_writes() -> None:
    installed = {name: metadata.version(name).partition("+")[0] for name in lock("workflow")}
    if installed != lock("workflow"):
        pytest.skip("this environment is not the locked one")
    for name, text in script.environments().items():
        assert (ENVS / name).read_text(encoding="utf-8") == text, "run: make locks"


def imported(*modules: str) -> set[str]:
    """Return the distributions that modules import, in functions too, and all that they import from this package."""
    names = set()
    for code in code_closure(*modules).values():
        tree = ast.parse(code.partition("\0")[0])
        # What only a type checker reads is never imported.
        blocks = (node for node in ast.walk(tree) if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test))
        typing = {each for block in blocks for each in ast.walk(block)}
        for node in set(ast.walk(tree)) - typing:
            if isinstance(node, ast.Import):
                names |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and not node.level:
                names.add((node.module or "").partition(".")[0])
    distributions = metadata.packages_distributions()
    return {canonicalize_name(distributions[name][0]) for name in names - sys.stdlib_module_names - UNLOCKED - {"palimpsest"}}


@pytest.mark.parametrize("family", STAGES)
def test_a_family_has_all_that_its_stages_import(family: str) -> None:
    # Every stage can be one of several processes, but those of data and report never are, and they write no prompts of chats.
    alone = {"torch", "transformers"} if family in ("data", "report") else set()
    assert imported(*STAGES[family]) - alone - OPTIONAL <= lock(family).keys()


def test_pyproject_asks_for_all_that_is_imported() -> None:
    asked = {canonicalize_name(Requirement(text).name) for text in script.project_requirements()}
    everything = [stage for stages in STAGES.values() for stage in stages]
    # pydantic pins its core.
    assert imported(*everything, "palimpsest.cli", "palimpsest.study.rules") - {"pydantic-core"} <= asked
