"""The house has floors: what is imported lies below, and no package names what stands above it."""

import ast
from pathlib import Path

import pytest

from palimpsest.attacks import list_attacks
from palimpsest.methods import list_methods

SOURCE = Path(__file__).resolve().parents[2] / "src" / "palimpsest"
# From the ground up; packages of one floor may import each other only where they are listed together.
FLOORS = (
    ("provenance",),
    ("contract",),
    ("data", "metrics"),
    ("models", "training"),
    ("evaluation",),
    ("attacks", "benchmarks", "methods"),
    ("scores", "selection"),
    ("report",),
    ("stages",),
    ("study",),
    ("audit",),
    ("export",),
)
# A benchmark brings its page and its claims, which the report alone imports.
PAGES = ("page", "claims", "requests")


def imports(path: Path) -> set[str]:
    """Return the packages of ours that a module imports when it runs."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    checked = (node for node in ast.walk(tree) if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test))
    typing = {each for block in checked for each in ast.walk(block)}
    modules = [node.module or "" for node in set(ast.walk(tree)) - typing if isinstance(node, ast.ImportFrom)]
    return {module.split(".")[1] for module in modules if module.startswith("palimpsest.")}


@pytest.mark.parametrize("package", [name for floor in FLOORS for name in floor])
def test_imports_go_down_only(package: str) -> None:
    place = next(number for number, floor in enumerate(FLOORS) if package in floor)
    allowed = {name for floor in FLOORS[: place + 1] for name in floor}
    for path in sorted((SOURCE / package).rglob("*.py")):
        above = {"report"} if package == "benchmarks" and path.stem in PAGES else set()
        packages = {name for name in imports(path) if (SOURCE / name).is_dir()}
        assert packages <= allowed | above, f"{path.relative_to(SOURCE)}: {packages - allowed}"


def test_every_package_has_a_floor() -> None:
    packages = {path.name for path in SOURCE.iterdir() if (path / "__init__.py").exists()}
    assert packages == {name for floor in FLOORS for name in floor}


# Who may be named by whom.
GENERAL = ("training", "evaluation", "stages", "scores", "models")


@pytest.mark.parametrize("package", GENERAL)
def test_no_method_and_no_attack_is_named_in_general_code(package: str) -> None:
    for path in sorted((SOURCE / package).rglob("*.py")):
        texts = {node.value for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(node, ast.Constant)}
        assert not texts & {*list_methods(), *list_attacks()}, path.relative_to(SOURCE)
