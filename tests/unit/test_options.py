"""Settings that are null: in no spec, and as if they did not exist; every other setting is spelled out."""

import json
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import yaml

from palimpsest.benchmarks import kinds
from palimpsest.settings import NULL_IS_NOTHING, Option, Settings, spelled
from palimpsest.study.files import read_configs
from palimpsest.study.places import DEFAULTS
from palimpsest.study.specs import SPECS, spec_of
from palimpsest.study.stages import Artefacts, Node, own_module
from palimpsest.study.study import Study
from palimpsest.training.settings import UnlearnSettings

ROOT = Path(__file__).resolve().parents[2]


class Inner(Settings):
    """Settings below others."""

    smoothing: Option[float] = None
    limit: int | None = None
    rate: float = 0.5


class Outer(Settings):
    """Settings that hold others."""

    inner: Inner = Inner()
    listed: list[Inner] = []
    paired: tuple[Inner, int] | None = None
    named: dict[str, Inner] = {}
    plain: dict[str, Any] = {}


def test_an_option_that_is_null_is_left_out_at_any_depth_and_nothing_else() -> None:
    unset, inner = Inner(), {"limit": None, "rate": 0.5}
    found = spelled(Outer(listed=[unset], paired=(unset, 1), named={"a": unset}, plain={"smoothing": None}))
    lists = {"listed": [inner], "paired": (inner, 1), "named": {"a": inner}}
    assert found == {"inner": inner, **lists, "plain": {"smoothing": None}}
    assert spelled(Outer(inner=Inner(smoothing=0.0)))["inner"] == {"smoothing": 0.0, **inner}
    assert spelled(Inner(), exclude=["rate"]) == {"limit": None}


def test_the_default_of_an_option_is_null() -> None:
    """Otherwise, null would be left out and read as the default."""
    with pytest.raises(TypeError, match=r"Wrong\.smoothing: the default of an option is null"):

        class Wrong(Settings):
            smoothing: Option[float] = 0.1


def test_a_spec_spells_every_setting_but_an_option() -> None:
    """So that another default is another spec."""
    options = {name for name, field in UnlearnSettings.model_fields.items() if NULL_IS_NOTHING in field.metadata}
    assert options == {"max_steps", "stop_epoch"}
    assert spelled(UnlearnSettings()).keys() == UnlearnSettings.model_fields.keys() - options
    assert spelled(UnlearnSettings(stop_epoch=3)) == spelled(UnlearnSettings()) | {"stop_epoch": 3}


def _spec(study: Study, node: Node) -> Settings:
    own = own_module(study, node)
    found: Settings = import_module(own).spec(study, node.of) if own else SPECS[node.stage](study, node)
    return found


@pytest.mark.parametrize("name", ["test/tiny", "test/corpus", "test/markov"])
def test_what_a_spec_leaves_out_is_read_as_it_was(name: str) -> None:
    study = Study(read_configs([ROOT / "config" / f"{name}.yaml"]))
    for node in Artefacts(study).nodes.values():
        spec = _spec(study, node)
        assert type(spec).model_validate(json.loads(spec_of(study, node))) == spec, node.path
        assert '"max_steps":null' not in spec_of(study, node)


def test_a_stage_that_trains_nothing_is_told_no_setting_of_training() -> None:
    study = Study(read_configs([ROOT / "config" / "test" / "tiny.yaml"]))
    nodes = Artefacts(study).of("evaluate", "reference")
    assert {key for node in nodes for key in json.loads(spec_of(study, node))["model"]} == {"precision", "prompt"}


def _subclasses(kind: type[Settings]) -> list[type[Settings]]:
    return [each for below in kind.__subclasses__() for each in (below, *_subclasses(below))]


def _given(values: Any) -> list[tuple[str, Any]]:
    below = values.values() if isinstance(values, dict) else values if isinstance(values, list) else []
    own = list(values.items()) if isinstance(values, dict) else []
    return [*own, *(pair for each in below for pair in _given(each))]


def test_the_defaults_of_studies_set_no_option() -> None:
    """A resolved config leaves out an option that is null, and so would read the default of all studies."""
    for kind in kinds.packages():
        kinds.load_benchmark(kind)
    options = {
        name for kind in _subclasses(Settings) for name, field in kind.model_fields.items() if NULL_IS_NOTHING in field.metadata
    }
    assert {"max_steps", "stop_epoch"} <= options
    given = _given(yaml.safe_load(DEFAULTS.read_text(encoding="utf-8")))
    assert [name for name, value in given if name in options and value is not None] == []
