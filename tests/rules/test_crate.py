"""The export of a finished study as an RO-Crate: read back with the library, and seen by the profile's own validator."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from checkout import ROOT, Checkout
from rocrate import vocabs
from rocrate.rocrate import ROCrate

from palimpsest.audit.artefacts import Contents, find_artefacts
from palimpsest.audit.crate import LICENSE, name_of_bytes, write_crate
from palimpsest.errors import BrokenArtefact, UserError
from palimpsest.provenance.canonical import sha256_file, sha256_text
from palimpsest.provenance.manifest import build_manifest, write_manifest

METADATA = "ro-crate-metadata.json"
# Of the contexts that a crate names, which validators fetch: in RO-Crate 1.1 these terms were other ones than in 1.3, which the
# library brings, and those of https://w3id.org/ro/terms/workflow-run were not there.
BIOSCHEMAS = {
    "ComputationalWorkflow": "https://bioschemas.org/ComputationalWorkflow",
    "FormalParameter": "https://bioschemas.org/FormalParameter",
    "input": "https://bioschemas.org/ComputationalWorkflow#input",
    "output": "https://bioschemas.org/ComputationalWorkflow#output",
}
RUN_TERMS = [
    "ParameterConnection",
    "ContainerImage",
    "connection",
    "sourceParameter",
    "targetParameter",
    "sha256",
    "containerImage",
]
CONTEXT = (
    vocabs.RO_CRATE["@context"] | BIOSCHEMAS | {term: f"https://w3id.org/ro/terms/workflow-run#{term}" for term in RUN_TERMS}
)


@pytest.fixture(scope="module")
def crate(finished_once: Checkout, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_crate(finished_once.path / "results", tmp_path_factory.mktemp("out") / "crate", root=finished_once.path).parent


def graph(crate: Path) -> dict[str, dict[str, Any]]:
    return {entity["@id"]: entity for entity in json.loads((crate / METADATA).read_text(encoding="utf-8"))["@graph"]}


def listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def of_type(read: ROCrate, kind: str) -> list[Any]:
    return [entity for entity in read.get_entities() if kind in listed(entity.type)]


def test_every_file_is_there_with_its_hash(crate: Path) -> None:
    files = {entity.id: entity for entity in of_type(ROCrate(crate), "File")}
    here = {str(Path(path).relative_to(crate)) for path in map(str, crate.rglob("*")) if Path(path).is_file()} - {METADATA}
    local = {identity.replace("%2B", "+") for identity in files if not identity.startswith("ni:")}
    assert local == here
    for name in here:
        file = files[name.replace("+", "%2B")]
        assert (file["sha256"], int(file["contentSize"])) == (sha256_file(crate / name), (crate / name).stat().st_size)
    assert {"results/report.html", "results/summary/summary.csv", "results/run_config.yaml", "workflow/rules/data.smk"} <= here
    assert not any(name.endswith((".safetensors", ".jsonl")) for name in here)


def test_a_file_left_out_is_named_by_place_and_bytes(crate: Path, finished_once: Checkout) -> None:
    weights = "results/tofu/tiny/base/model.safetensors"
    (entity,) = [entity for entity in graph(crate).values() if weights in listed(entity.get("alternateName"))]
    assert entity["sha256"] == sha256_file(finished_once.path / weights)
    assert entity["@id"] == name_of_bytes(entity["sha256"])
    named = {entity["@id"] for entity in graph(crate)["results/tofu/tiny/base/"]["hasPart"]}
    assert entity["@id"] in named


def test_bytes_have_the_name_that_the_standard_gives_them() -> None:
    # The example of RFC 6920.
    assert name_of_bytes(sha256_text("Hello World!")) == "ni:///sha-256;f4OxZX_x_FO5LcGBSKHWXfwtSx-j1ncoSt3SABJtkGk"


def test_every_artefact_is_the_result_of_one_run_on_what_it_consumed(crate: Path, finished_once: Checkout) -> None:
    read = ROCrate(crate)
    tools = set(read.mainEntity["hasPart"])
    runs = {listed(run["result"])[0].get("name"): run for run in of_type(read, "CreateAction") if run["instrument"] in tools}
    artefacts = find_artefacts(finished_once.path / "results")
    assert runs.keys() == artefacts.keys()
    contents = Contents(artefacts)
    for path, artefact in artefacts.items():
        *folders, spec = listed(runs[path]["object"])
        sources = [contents.of(content, artefact, label) for label, content in artefact.manifest["inputs"].items()]
        assert {folder["name"] for folder in folders} == {source.path for source in sources if source}
        assert json.loads(spec["value"]) == artefact.manifest["spec"]
        assert runs[path]["startTime"] <= runs[path]["endTime"] <= read.root_dataset["datePublished"]
    assert {control["object"].id for control in of_type(read, "ControlAction")} == {run.id for run in runs.values()}


def test_nothing_refers_to_nothing(crate: Path) -> None:
    entities = graph(crate)
    refs = {
        ref["@id"] for entity in entities.values() for value in entity.values() for ref in listed(value) if isinstance(ref, dict)
    }
    # Profiles and languages are the web's.
    assert {ref for ref in refs - entities.keys() if not ref.startswith("https://")} == set()
    terms = {key for entity in entities.values() for key in entity} | {t for e in entities.values() for t in listed(e["@type"])}
    assert {term for term in terms if not term.startswith("@")} <= CONTEXT.keys()


def test_two_exports_have_the_same_bytes(crate: Path, finished: Checkout) -> None:
    again = write_crate(finished.path / "results", finished.path / "again", root=finished.path).parent
    contents = [{path.relative_to(at): sha256_file(path) for path in at.rglob("*") if path.is_file()} for at in (crate, again)]
    assert contents[0] == contents[1]


def test_what_an_audit_said_is_in_it_and_what_is_large_is_not(finished: Checkout) -> None:
    (finished.path / "results/audit.json").write_text("{}\n")
    out = write_crate(finished.path / "results", finished.path / "crate", root=finished.path, largest=100_000).parent
    assert (out / "results/audit.json").read_text() == "{}\n"
    assert "results/audit.json" not in {result["@id"] for result in graph(out)["#run"]["result"]}
    assert not (out / "results/report.html").exists()
    assert [entity for entity in graph(out).values() if "results/report.html" in listed(entity.get("alternateName"))]


def test_an_image_and_an_input_from_elsewhere(finished: Checkout) -> None:
    results = finished.path / "results"
    image = Path(next(line.split()[1] for line in (finished.path / "containers/images.yaml").open() if "path:" in line)).name
    environment = json.loads((results / "summary/environment.json").read_text()) | {"image": image}
    (results / "summary/environment.json").write_text(json.dumps(environment))
    shutil.rmtree(results / "tofu/data")
    entities = graph(write_crate(results, finished.path / "crate", root=finished.path).parent)
    assert entities["#run/summary"]["containerImage"] == {"@id": f"#image/{image}"}
    assert entities[f"#image/{image}"]["sha256"].startswith(image.partition("-")[2].removesuffix(".sif"))
    outside = entities[entities["#run/tofu/splits/forget10"]["object"][0]["@id"]]
    split = json.loads((results / "tofu/splits/forget10/manifest.json").read_text())
    assert outside["identifier"] == split["inputs"]["data"]


def test_stages_of_benchmarks_lists_of_inputs_and_inputs_from_elsewhere_have_their_names(tmp_path: Path) -> None:
    stage, results = "palimpsest.benchmarks.markov.stages.evaluate", tmp_path / "results"
    inputs = {"eval:unlearn/npo/default/tofu.en": "a" * 64, "eval:retrain/tofu.en": "b" * 64}
    (results / "made").mkdir(parents=True)
    (results / "run_config.yaml").write_text("study: small\n")
    write_manifest(results / "made", build_manifest(results / "made", stage=stage, spec={}, code="c", inputs=inputs))
    (results / "made/environment.json").write_text('{"started": "2026-01-01T00:00:00Z", "seconds": 1.0}')
    entities = graph(write_crate(results, tmp_path / "crate", root=ROOT).parent)
    assert entities[f"#stage/{stage}"]["description"] == f"python -m {stage}"
    assert {name for name in entities if name.startswith(f"#stage/{stage}/in/")} == {f"#stage/{stage}/in/eval"}
    consumed = [entities[ref["@id"]] for ref in entities["#run/made"]["object"]]
    assert {each["identifier"] for each in consumed if each["@type"] == "Dataset"} == {*inputs.values()}
    assert not any(name.startswith("ni:") for name in entities)


def break_table(results: Path) -> None:
    (results / "summary/summary.csv").write_text("better\n")


def take_config(results: Path) -> None:
    (results / "run_config.yaml").unlink()


def take_times(results: Path) -> None:
    for path in results.rglob("environment.json"):
        path.unlink()


@pytest.mark.parametrize(
    ("damage", "error", "said"),
    [
        (break_table, BrokenArtefact, r"summary\.csv: sha256 is"),
        (take_config, UserError, r"run_config\.yaml: there is no such file"),
        (take_times, UserError, "records when"),
    ],
)
def test_what_is_not_finished_or_broken_is_refused(
    finished: Checkout, damage: Callable[[Path], None], error: type[Exception], said: str
) -> None:
    damage(finished.path / "results")
    with pytest.raises(error, match=said):
        write_crate(finished.path / "results", finished.path / "crate", root=finished.path)
    assert not (finished.path / "crate").exists()


def test_a_crate_needs_a_place_of_its_own_and_a_licence(finished_once: Checkout, tmp_path: Path) -> None:
    results, somewhere = finished_once.path / "results", tmp_path / "crate"
    for out, license, said in (
        (tmp_path, LICENSE, "already exists"),
        (results / "crate", LICENSE, "inside"),
        (somewhere, "mine", "mine: not the URL"),
    ):
        with pytest.raises(UserError, match=said):
            write_crate(results, out, root=finished_once.path, license=license)


def validated(crate: Path, to: Path) -> dict[str, Any]:
    """Return what rocrate-validator says of a copy of the crate that says what its terms mean, so that nothing is fetched."""
    validator = os.environ.get("ROCRATE_VALIDATOR") or shutil.which("rocrate-validator")
    if not validator:
        pytest.skip("rocrate-validator is not there: pip install roc-validator, into an environment of its own")
    shutil.copytree(crate, to)
    metadata = json.loads((to / METADATA).read_text(encoding="utf-8")) | {"@context": CONTEXT}
    (to / METADATA).write_text(json.dumps(metadata), encoding="utf-8")
    said = to.with_suffix(".json")
    options = ("--no-cache", "--output-format", "json", "--output-file", str(said))
    command = [validator, "--disable-color", "-y", "validate", "-p", "provenance-run-crate-0.5", *options, str(to)]
    ran = subprocess.run(command, capture_output=True, text=True)
    assert said.is_file(), ran.stdout + ran.stderr
    report: dict[str, Any] = json.loads(said.read_text(encoding="utf-8"))
    return report


def test_the_validator_of_the_profile_finds_no_fault(crate: Path, tmp_path: Path) -> None:
    report = validated(crate, tmp_path / "crate")
    assert report["issues"] == []
    assert report["passed"]


def test_the_validator_would_find_one(crate: Path, tmp_path: Path) -> None:
    broken = Path(shutil.copytree(crate, tmp_path / "broken"))
    (broken / "results/summary.csv").unlink()
    metadata = json.loads((broken / METADATA).read_text(encoding="utf-8"))
    metadata["@graph"] = [entity for entity in metadata["@graph"] if entity["@id"] != "#step/finetune"]
    (broken / METADATA).write_text(json.dumps(metadata), encoding="utf-8")
    said = " ".join(issue["message"] for issue in validated(broken, tmp_path / "crate")["issues"])
    assert "results/summary.csv" in said and "ControlAction must reference a HowToStep" in said
