"""Methods are found in the package's folder and in other packages; each has its own settings, bounds, code and name."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import extending
import pytest
import yaml
from example_study import CONFIG, changed, spec

from palimpsest.errors import UserError
from palimpsest.methods import list_methods, load_method, make_method
from palimpsest.methods.base import EditMethod, LayerMethod, LossMethod
from palimpsest.provenance.digest import code_closure
from palimpsest.report.names import method_name
from palimpsest.study.models import MethodSettings
from palimpsest.study.stages import Artefacts
from palimpsest.study.study import Study

SRC = extending.ROOT / "src"
MODEL = "tofu/tiny/forget10/seed0/unlearn/bounded-ga/default/model"


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder on Python's path, for packages of others; what is known of methods is forgotten before and after."""
    path = tmp_path / "site"
    monkeypatch.syspath_prepend(str(path))
    monkeypatch.chdir(tmp_path)
    _forget()
    yield path
    _forget()


def _forget() -> None:
    list_methods.cache_clear()
    load_method.cache_clear()
    for name in [name for name in sys.modules if name.partition(".")[0] == "bounded"]:
        del sys.modules[name]


def asking(method: str, **settings: Any) -> dict[str, Any]:
    blocks = [{**CONFIG["blocks"][0], "methods": [method]}]
    return {**CONFIG, "blocks": blocks, "methods": {f"tofu/*/*/{method}": settings}, "variants": {}}


def test_every_file_of_the_folder_is_a_method_of_one_kind() -> None:
    files = {path.stem.replace("_", "-") for path in (SRC / "palimpsest/methods").glob("*.py")}
    assert set(list_methods()) == files - {"--init--", "base", "problem"}
    for name in list_methods():
        method = load_method(name)
        assert sum(issubclass(method, kind) for kind in (LossMethod, LayerMethod, EditMethod)) == 1
        assert method.retain_loss in method.retain_losses
        assert method.__doc__ and all(node.get("description") for node in method.model_json_schema()["properties"].values())
        assert not method.model_fields.keys() & MethodSettings.model_fields.keys()


def test_the_config_is_read_without_torch(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(CONFIG))
    program = (
        "import sys, yaml; from palimpsest.study.study import Study; Study(yaml.safe_load(open('config.yaml'))); "
        "print(sorted({'torch', 'transformers'} & set(sys.modules)), "
        "[name for name in sys.modules if name == 'palimpsest.methods.rmu'])"
    )
    found = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, env={"PYTHONPATH": str(SRC)}, capture_output=True)
    # Nor any method that it does not name.
    assert found.stdout.decode() == "[] []\n", found.stderr.decode()


def test_a_method_of_another_package_is_one_like_ours(site: Path) -> None:
    extending.install(site)
    study = Study(asking("bounded-ga", limit=3, epochs=2))
    artefacts = Artefacts(study)
    assert spec(study, MODEL)["loss"] == {"limit": 3.0}
    assert extending.MODULE in artefacts.code(artefacts.at(MODEL))
    assert method_name("bounded-ga") == "Bounded GA"
    with pytest.raises(UserError, match=r'^config: methods: "tofu/\*/\*/bounded-ga": limit: 0.0: input should be greater than'):
        Study(asking("bounded-ga", limit=0.0))


@pytest.mark.parametrize(
    ("source", "point", "line"),
    [
        (None, "simnpo = bounded.method:BoundedGA", "method simnpo: palimpsest.methods.simnpo and bounded.method:BoundedGA both"),
        ("import nothing_like_this", extending.POINT, "method bounded-ga: bounded.method cannot be imported: No module named"),
        (
            "BoundedGA = 5",
            extending.POINT,
            "method bounded-ga: bounded.method:BoundedGA is not a Method",
        ),
        (None, "bounded-ga = bounded.method:Other", "method bounded-ga: bounded.method:Other is not a Method"),
        (
            "from palimpsest.methods.base import LossMethod\nclass BoundedGA(LossMethod): pass",
            extending.POINT,
            "method bounded-ga: bounded.method:BoundedGA is not a Method",
        ),
        (
            "from palimpsest.methods.ga import GA\nclass BoundedGA(GA):\n    epochs: int = 5",
            extending.POINT,
            "method bounded-ga: its setting epochs has the name of a general setting",
        ),
    ],
)
def test_a_method_of_another_package_that_is_none_is_one_line(site: Path, source: str | None, point: str, line: str) -> None:
    extending.install(site, source=source, point=point)
    with pytest.raises(UserError) as caught:
        Study(asking("bounded-ga"))
    assert str(caught.value).removeprefix("config: ").startswith(line) and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("method", "settings", "line"),
    [
        ("simnpo", {"beta": 0.0}, "beta: 0.0: input should be greater than"),
        ("task-vector", {"alpha": -5}, "alpha: -5: input should be greater than"),
        ("ga", {"learning_rate": 1.0e3}, "learning_rate: 1000.0: input should be less than"),
        ("rmu", {"layer": 1.0}, "layer: 1.0: input should be a valid integer"),
    ],
)
def test_a_value_that_the_formula_forbids_is_one_line(
    method: str, settings: dict[str, Any], line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError) as caught:
        Study(changed(("methods", f"tofu/*/*/{method}"), settings))
    assert str(caught.value).startswith(f'config: methods: "tofu/*/*/{method}": {line}')


def test_what_a_stage_is_told_is_checked_too() -> None:
    with pytest.raises(UserError, match=r"^npo: beta: 0.0: Input should be greater than"):
        make_method("npo", {"beta": 0.0})
    with pytest.raises(UserError, match=r"^npo: gamma: 1.0: Extra inputs"):
        make_method("npo", {"gamma": 1.0})
    with pytest.raises(UserError) as caught:
        make_method("nop", {})
    assert str(caught.value) == f"unknown method 'nop'; allowed: {', '.join(list_methods())}"


def test_the_code_around_the_methods_names_none() -> None:
    names = [name for method in list_methods() for name in (method, method.replace("-", "_"), load_method(method).label)]
    pattern = re.compile(rf"\b({'|'.join(map(re.escape, names))})\b", re.IGNORECASE)
    for folder in ("training", "models", "stages", "config"):
        for path in (SRC / "palimpsest" / folder).glob("*.py"):
            module = f"palimpsest.{folder}.{path.stem}".removesuffix(".__init__")
            # Docstrings are no code: they cite papers and give examples, as the reference of the config does.
            if module != "palimpsest.study.docs":
                assert not pattern.findall(code_closure(module)[module]), module
    assert not [path.name for path in (SRC / "palimpsest/training").glob("*.py") if pattern.search(path.read_text())]
