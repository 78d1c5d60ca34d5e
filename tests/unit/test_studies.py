"""What the shipped studies promise: presets for the models that they are of, and sizes that can decide a claim."""

import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from pinned import read_study

from palimpsest.benchmarks.tofu.splits import count_forgotten
from palimpsest.errors import UserError
from palimpsest.metrics.power import ks_power
from palimpsest.planning import Plan
from palimpsest.report.claims import FEWEST
from palimpsest.study.files import read_configs
from palimpsest.study.rules import Rule
from palimpsest.study.specs import spec_of
from palimpsest.study.stages import Artefacts
from palimpsest.study.study import Study

ROOT = Path(__file__).resolve().parents[2]
STUDIES = sorted((ROOT / "config" / "studies").glob("*.yaml"))


# Prints the spec that a stage gets with these arguments.
TOLD = "import sys; from palimpsest.contract.command import with_spec; print(with_spec(sys.argv[1:])[2])"


def read(path: Path) -> dict[str, Any]:
    config: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    return config


def study(name: str = "demo") -> Study:
    """Return a shipped study, by default the demo."""
    return Study(read_configs([ROOT / "config.yaml" if name == "demo" else ROOT / "config" / "studies" / f"{name}.yaml"]))


def test_a_spec_that_is_longer_than_an_argument_may_be_reaches_its_stage(tmp_path: Path) -> None:
    """The report's spec has the settings of every trial; Linux takes 128 KiB an argument."""
    found = Artefacts(study("world-tuning"))
    spec, command = spec_of(found.study, found.at("report")), Rule(found, "report").job({})
    assert len(spec) > 128 * 1024
    script = tmp_path / "job.sh"
    script.write_text(f"{shlex.join([sys.executable, '-c', TOLD])} {command}\n", encoding="utf-8")
    done = subprocess.run(["bash", str(script)], capture_output=True, text=True, check=True)
    assert done.stdout == f"{spec}\n"


def presets() -> Iterator[tuple[str, str]]:
    """Yield each pattern of settings for one method, with the name of its file."""
    for path in (ROOT / "config.yaml", *STUDIES):
        for pattern in read(path).get("methods", {}):
            if not pattern.endswith("/*"):
                yield path.name, pattern


def test_a_preset_of_a_method_names_its_model_so_that_it_never_applies_to_another() -> None:
    """At 0.1 the preset of LLaMA-2-7B's forget10 set the beta of the tiny model, whose split has the same name."""
    unnamed = [(name, pattern) for name, pattern in presets() if pattern.split("/")[2] == "*"]
    # Both models of the Markov chains are the paper's.
    assert [each for each in unnamed if not each[1].startswith("markov/")] == []


def test_the_tiny_model_of_the_default_study_has_its_own_settings() -> None:
    default = study()
    for method in ("npo", "simnpo"):
        of = next(subject for subject in default.subjects if subject.method == method and subject.benchmark == "tofu")
        own = default.config.methods[f"tofu/*/tiny/{method}"]
        assert default.variant(of).loss["beta"] == own.model_dump().get("beta", default.variant(of).loss["beta"])


def test_the_study_that_decides_has_the_power_to_do_so() -> None:
    world = study("world")
    runs = {run for run in world.runs if run.benchmark == "tofu"}
    (split,) = {run.split for run in runs}
    questions = count_forgotten(split, world.source("tofu").population) * 20
    assert questions == world.config.suites["tofu"].max_items["forget"] == 200
    assert ks_power(questions, 0.5, 0.05) >= 0.95
    assert len({run.seed for run in runs}) >= 6 > FEWEST
    assert all(world.config.suites["tofu"].max_items[name] >= 100 for name in ("retain", "real_authors", "world_facts"))


def test_the_tour_makes_nothing_of_the_demo_again() -> None:
    demo, tour = (Artefacts(study(name)) for name in ("demo", "tour"))
    assert demo.study.results == tour.study.results
    # What is scored together and reported has more models on the tour.
    made = {path: node for path, node in demo.nodes.items() if node.stage not in ("scores", "summarise", "report")}
    assert len(made) > 40
    for path, node in made.items():
        assert spec_of(tour.study, tour.nodes[path]) == spec_of(demo.study, node), path
        assert tour.inputs(tour.nodes[path]) == demo.inputs(node), path


def test_every_study_has_a_name_a_description_and_results_of_its_own() -> None:
    own = {path.stem: read(path) for path in (ROOT / "config.yaml", *STUDIES)}
    assert all(config["study"] == ("demo" if name == "config" else name) for name, config in own.items())
    assert len({config["description"] for config in own.values()}) == len(own)
    results = [config["results"] for name, config in own.items() if name != "tour"]
    assert len(set(results)) == len(results)


@pytest.mark.parametrize("scored", ["world", "demo"])
def test_settings_are_selected_on_worlds_that_are_not_scored(scored: str) -> None:
    tuning = study("world-tuning")
    (benchmarks,) = {tuple(tuning.selection(of).benchmarks) for of in tuning.selections}
    assert len(benchmarks) == 2
    seeds = {tuning.source(name).seed for name in benchmarks}
    assert study(scored).source("tofu").seed not in seeds


def test_npo_and_simnpo_reach_equally_far() -> None:
    """SimNPO divides by the tokens of an answer, 32 on average, and NPO does not."""
    grids = study("world-tuning").config.grids
    npo, simnpo = (grids[f"*/*/tiny/{method}"] for method in ("npo", "simnpo"))
    assert npo.keys() == simnpo.keys() == {"learning_rate", "forget_weight", "beta"}
    assert npo["learning_rate"] == simnpo["learning_rate"]
    for setting in ("forget_weight", "beta"):
        assert [32 * value for value in npo[setting]] == simnpo[setting]


GIVEN = [path.stem for path in STUDIES if "revision: null" in path.read_text(encoding="utf-8")]


@pytest.mark.parametrize("name", GIVEN)
def test_a_study_of_published_models_asks_once_for_its_commits_and_then_fits_its_gpu(name: str) -> None:
    with pytest.raises(UserError, match=r" run `palimpsest pin FILE` once$"):
        study(name)
    path = ROOT / "config" / "studies" / f"{name}.yaml"
    pinned = Study(read_study(path))
    artefacts, models = Artefacts(pinned), pinned.config.models
    assert not artefacts.of("finetune")
    assert not [node for node in artefacts.of("base") if getattr(models[node.of.model], "original", None)]
    promised = re.search(r"GPU with (\d+) GB", path.read_text(encoding="utf-8"))
    assert promised
    assert all(row.gpus(float(promised[1])) == 1 for row in Plan(pinned).rows())
