"""Export a finished folder of results as a Provenance Run Crate: jobs, inputs, settings and outputs.

See https://w3id.org/ro/wfrun/provenance/0.5, a profile of RO-Crate 1.1. Entities are JSON-LD as in the profile; the library
manages the graph, and names and copies the files.
"""

import shutil
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from datetime import datetime, timedelta
from importlib import metadata
from pathlib import Path
from typing import Any

from rocrate.model.contextentity import ContextEntity
from rocrate.rocrate import ROCrate

from palimpsest.audit.artefacts import CONFIG, PLAIN, Artefact, Contents, find_artefacts
from palimpsest.audit.findings import short
from palimpsest.errors import BrokenArtefact, UserError
from palimpsest.provenance.canonical import canonical_json, sha256_file
from palimpsest.provenance.commit import describe_commit
from palimpsest.provenance.digest import stage_module
from palimpsest.provenance.manifest import ENVIRONMENT, MANIFEST, PRUNED
from palimpsest.study.files import read_file
from palimpsest.study.images import Image, open_images

CRATE = "1.1"
PROFILES = {
    "https://w3id.org/ro/wfrun/process/0.5": "Process Run Crate",
    "https://w3id.org/ro/wfrun/workflow/0.5": "Workflow Run Crate",
    "https://w3id.org/ro/wfrun/provenance/0.5": "Provenance Run Crate",
    "https://w3id.org/workflowhub/workflow-ro-crate/1.0": "Workflow RO-Crate",
}
TERMS = "https://w3id.org/ro/terms/workflow-run"
BIOSCHEMAS = "https://bioschemas.org/profiles"
LICENSE = "https://spdx.org/licenses/MIT"
WORKFLOW = "workflow/Snakefile"
# The files of the workflow, as far as they exist.
SOURCES = ("LICENSE", "Snakefile", "config.yaml", "envs/workflow.lock", "workflow")
# The outputs of the workflow at the top of the results.
OUTPUTS = ("cost.csv", "cost.html", "report.html", "samples.html", "summary.csv")
# Stages that write tables, figures and pages; others write weights and text, which may be large or under another licence.
SHOWN = ("summarise", "report")
LARGEST = 20_000_000
# Media types of the written formats; the system's table differs between machines.
FORMATS = {
    ".csv": "text/csv",
    ".html": "text/html",
    ".json": "application/json",
    ".jsonl": "application/jsonl",
    ".lock": "text/plain",
    ".parquet": "application/vnd.apache.parquet",
    ".png": "image/png",
    ".rst": "text/x-rst",
    ".smk": "text/plain",
    ".svg": "image/svg+xml",
    ".yaml": "application/yaml",
    "": "text/plain",
}
Ref = dict[str, str]


def write_crate(results: Path, out: Path, *, root: Path, license: str = LICENSE, largest: int = LARGEST) -> Path:
    """Write a crate of a finished folder of results into `out`, a new folder, and return its metadata file.

    `root` is the repository with the workflow; `license` is the URL of the crate's licence. The crate contains copies of the
    workflow, manifests, environments, and tables, figures and pages of at most `largest` bytes; other files are described by path
    and hash. Raises UserError, and BrokenArtefact for a file that does not match its manifest.
    """
    if "://" not in license:
        raise UserError(f"{license}: not the URL of a licence, such as {LICENSE}")
    if out.exists():
        raise UserError(f"{out}: already exists; a crate needs a new folder")
    if out.resolve().is_relative_to(results.resolve()):
        raise UserError(f"{out}: inside {results}, where its manifests would count as artefacts")
    for needed in (root / WORKFLOW, results / CONFIG):
        if not needed.is_file():
            raise UserError(f"{needed}: there is no such file; is this a finished study, and the repository it ran in?")
    config = read_file(results / CONFIG)
    if "study" not in config:
        raise UserError(f"{results / CONFIG}: the key `study` is missing")
    crate = _Export(results, root, largest).build(license, config)
    partial = out.with_name(f".{out.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    crate.write(partial)
    partial.rename(out)
    return out / "ro-crate-metadata.json"


class _Export:
    """A builder for the graph of a crate."""

    def __init__(self, results: Path, root: Path, largest: int) -> None:
        self.results, self.root, self.largest = results, root, largest
        self.artefacts = find_artefacts(results)
        self.contents = Contents(self.artefacts)
        self.stages = sorted({artefact.manifest["stage"] for artefact in self.artefacts.values()})
        self.folders: dict[str, Ref] = {}
        self.crate = ROCrate(version=CRATE)
        self.crate.metadata.extra_contexts.append(f"{TERMS}/context")
        self.times = {path: time for path, artefact in self.artefacts.items() if (time := _times(artefact))}
        if not self.times:
            raise UserError(f"{results}: no {ENVIRONMENT} records when an artefact was made")

    def build(self, license: str, config: Mapping[str, Any]) -> ROCrate:
        """Describe everything, and return the crate object of the library."""
        started, ended = min(start for start, _ in self.times.values()), max(end for _, end in self.times.values())
        root = self.crate.root_dataset
        root["name"] = f"Palimpsest: results of the study {config['study']}"
        root["description"] = config.get("description") or f"A finished run of the study {config['study']}."
        root["datePublished"] = _iso(ended)
        root["license"] = self.add(
            license, "CreativeWork", name=license.rstrip("/").rpartition("/")[2], description="Of this crate."
        )
        root["conformsTo"] = [
            self.add(uri, "CreativeWork", name=name, version=uri.rpartition("/")[2]) for uri, name in PROFILES.items()
        ]
        self.folders = {path: self.add_folder(path, artefact) for path, artefact in self.artefacts.items()}
        if (self.results / PLAIN).is_file():
            self.add_file(self.results / PLAIN, f"results/{PLAIN}")
        runs = {path: self.add_run(path, artefact) for path, artefact in self.artefacts.items()}
        self.add_tools()
        run = self.add_workflow(started, ended)
        controls = [
            self.add(
                f"#control/{path}",
                "ControlAction",
                name=f"orchestrate {path}",
                instrument=_ref(f"#step/{self.artefacts[path].manifest['stage']}"),
                object=ref,
            )
            for path, ref in runs.items()
        ]
        self.add(
            "#engine/run",
            "OrganizeAction",
            name="Run of Snakemake",
            instrument=self.add(
                "#engine",
                "SoftwareApplication",
                name="Snakemake",
                url="https://snakemake.github.io",
                softwareVersion=self.version_of("snakemake"),
            ),
            object=controls,
            result=run,
            startTime=_iso(started),
            endTime=_iso(ended),
        )
        root["mentions"] = [run, *runs.values()]
        _compact(self.crate)
        return self.crate

    def add(self, identity: str, kind: str, **properties: Any) -> Ref:
        """Describe an entity that is not a file, omitting properties without a value; return a reference to it."""
        known = {key: value for key, value in properties.items() if value is not None}
        self.crate.add(ContextEntity(self.crate, identity, properties={"@type": kind, **known}))
        return _ref(identity)

    def add_file(self, source: Path, name: str, wanted: str | None = None) -> Ref:
        """Describe a file, copy it unless it is large, and return a reference to it.

        Raises BrokenArtefact if its hash is not the expected one.
        """
        if not source.is_file():
            raise BrokenArtefact(f"{source}: missing, but its manifest names it")
        sha256, size = sha256_file(source), source.stat().st_size
        if wanted and sha256 != wanted:
            raise BrokenArtefact(f"{source}: sha256 is {sha256}, its manifest says {wanted}")
        if size > self.largest:
            return self.add_elsewhere(name, sha256, size)
        about = _about_file(name, sha256, size)
        return _ref(self.crate.add_file(source, name, properties=about).id)

    def add_elsewhere(self, name: str, sha256: str, size: int | None = None) -> Ref:
        """Describe a file that is not copied, with one entity for all equal files, and return a reference to it.

        A relative @id promises a file in the crate, so the @id is the absolute name of the bytes.
        """
        uri = name_of_bytes(sha256)
        if uri not in self.crate:
            about = {"description": "Not in this crate; alternateName is where it lay."}
            self.crate.add_file(uri, properties=_about_file(name, sha256, size) | about)
        self.crate.get(uri).append_to("alternateName", name)
        return _ref(uri)

    def add_folder(self, path: str, artefact: Artefact) -> Ref:
        """Describe an artefact's folder and the files in it, and return a reference to it."""
        stage, where = artefact.manifest["stage"], f"results/{path}"
        files = [
            self.add_file(artefact.folder / name, f"{where}/{name}", wanted["sha256"])
            if stage in SHOWN
            else self.add_elsewhere(f"{where}/{name}", wanted["sha256"], wanted["size"])
            for name, wanted in sorted(artefact.manifest["files"].items())
        ]
        for name in (MANIFEST, ENVIRONMENT, PRUNED):
            if (artefact.folder / name).is_file():
                files.append(self.add_file(artefact.folder / name, f"{where}/{name}"))
        pruned = " Its weights were pruned; their hashes are known." if artefact.pruned else ""
        about = {"name": path, "description": f"What the stage {stage} left.{pruned}", "hasPart": files}
        ref = _ref(self.crate.add_dataset(dest_path=where, properties=about).id)
        return self.example(ref, f"#stage/{stage}/artefact")

    def example(self, ref: Ref, parameter: str) -> Ref:
        """Record an entity as a value of a formal parameter, and return the reference to it."""
        self.crate.get(ref["@id"]).append_to("exampleOfWork", _ref(parameter))
        return ref

    def add_run(self, path: str, artefact: Artefact) -> Ref:
        """Describe the job that made an artefact."""
        stage = artefact.manifest["stage"]
        spec = self.add(f"#run/{path}/spec", "PropertyValue", name="spec", value=canonical_json(artefact.manifest["spec"]))
        self.example(spec, f"#stage/{stage}/spec")
        consumed = [
            self.example(self.consumed(content, artefact, label), _input(stage, label))
            for label, content in sorted(artefact.manifest["inputs"].items())
        ]
        start, end = self.times.get(path, (None, None))
        return self.add(
            f"#run/{path}",
            "CreateAction",
            name=f"{stage}: {path}",
            description=f"Code digest {artefact.manifest['code']}.",
            instrument=_ref(f"#stage/{stage}"),
            object=[*consumed, spec],
            result=self.folders[path],
            startTime=start and _iso(start),
            endTime=end and _iso(end),
            containerImage=self.image(artefact),
        )

    def consumed(self, content: str, reader: Artefact, label: str) -> Ref:
        """Return a reference to the folder with this content, or to a description of it if it is outside the results."""
        if source := self.contents.of(content, reader, label):
            return self.folders[source.path]
        # It is a hash of the hashes of the files, and so the name of no bytes.
        identity = f"#content/{content}"
        if identity not in self.crate:
            about = "An artefact outside these results; identifier is the hash of its files' names and hashes."
            self.add(identity, "Dataset", name=short(content), identifier=content, description=about)
        return _ref(identity)

    def image(self, artefact: Artefact) -> Ref | None:
        """Return a reference to the container image of a job, with its hash if the repository lists the image."""
        name = (artefact.environment or {}).get("image")
        if not name:
            return None
        identity = f"#image/{name}"
        if identity not in self.crate:
            listed = [image for _, image in open_images(self.root) if isinstance(image, Image) and Path(image.path).name == name]
            self.add(
                identity,
                "ContainerImage",
                name=name,
                additionalType=_ref(f"{TERMS}#SIFImage"),
                sha256=listed[0].sha256 if listed else None,
            )
        return _ref(identity)

    def add_tools(self) -> None:
        """Describe the stages with their inputs and outputs, and the connections between them."""
        for stage in self.stages:
            made = [artefact for artefact in self.artefacts.values() if artefact.manifest["stage"] == stage]
            consumed = {
                (
                    _input(stage, label),
                    source.manifest["stage"] if (source := self.contents.of(content, artefact, label)) else None,
                )
                for artefact in made
                for label, content in artefact.manifest["inputs"].items()
            }
            inputs = [self.parameter(identity, "Dataset") for identity in sorted({identity for identity, _ in consumed})]
            self.add(
                f"#stage/{stage}",
                "SoftwareApplication",
                name=f"palimpsest {stage}",
                description=f"python -m {stage_module(stage)}",
                softwareVersion=metadata.version("palimpsest"),
                input=[*inputs, self.parameter(f"#stage/{stage}/spec", "PropertyValue")],
                output=[self.parameter(f"#stage/{stage}/artefact", "Dataset")],
            )
            connections = [
                self.add(
                    f"#connection/{source}/{target.removeprefix('#stage/')}",
                    "ParameterConnection",
                    sourceParameter=_ref(f"#stage/{source}/artefact"),
                    targetParameter=_ref(target),
                )
                for target, source in sorted((target, source) for target, source in consumed if source)
            ]
            self.add(f"#step/{stage}", "HowToStep", name=stage, workExample=_ref(f"#stage/{stage}"), connection=connections)

    def parameter(self, identity: str, kind: str, **properties: Any) -> Ref:
        """Describe a formal parameter, named by the last part of its identity."""
        conforms = _ref(f"{BIOSCHEMAS}/FormalParameter/1.0-RELEASE")
        name = identity.rpartition("/")[2]
        return self.add(identity, "FormalParameter", name=name, additionalType=kind, conformsTo=conforms, **properties)

    def add_workflow(self, started: datetime, ended: datetime) -> Ref:
        """Describe the workflow with its files, and return a reference to its run."""
        for source in self.sources():
            name = source.relative_to(self.root).as_posix()
            if name != WORKFLOW:
                self.add_file(source, name)
        entry = self.root / WORKFLOW
        published = {name: self.results / name for name in (CONFIG, *OUTPUTS) if (self.results / name).is_file()}
        files = {
            name: self.example(self.add_file(source, f"results/{name}"), f"#workflow/{name}")
            for name, source in published.items()
        }
        config = files.pop(CONFIG)
        about = {
            "@type": ["File", "SoftwareSourceCode", "ComputationalWorkflow", "HowTo"],
            **_about_file(WORKFLOW, sha256_file(entry), entry.stat().st_size),
            "name": "Palimpsest",
            "version": describe_commit(self.root) or metadata.version("palimpsest"),
            "conformsTo": _ref(f"{BIOSCHEMAS}/ComputationalWorkflow/1.0-RELEASE"),
            "hasPart": [_ref(f"#stage/{stage}") for stage in self.stages],
            "step": [_ref(f"#step/{stage}") for stage in self.stages],
            "input": [self.parameter(f"#workflow/{CONFIG}", "File", encodingFormat=FORMATS[".yaml"])],
            "output": [self.parameter(f"#workflow/{name}", "File") for name in files],
        }
        engine = {"lang": "snakemake", "lang_version": self.version_of("snakemake")}
        workflow = self.crate.add_workflow(entry, WORKFLOW, main=True, properties=about, **engine)
        return self.add(
            "#run",
            "CreateAction",
            name="Run of the workflow",
            description="Jobs of several runs of Snakemake count as one: from the start of the first to the end of the last.",
            instrument=_ref(workflow.id),
            object=config,
            result=[*files.values(), *self.folders.values()],
            startTime=_iso(started),
            endTime=_iso(ended),
        )

    def sources(self) -> list[Path]:
        """Return the files of the workflow."""
        found = [path for name in SOURCES for path in ((self.root / name), *(self.root / name).rglob("*")) if path.is_file()]
        return sorted(path for path in found if "__pycache__" not in path.parts)

    def version_of(self, package: str) -> str | None:
        """Return the version of a package in the last jobs."""
        last = max(self.times, key=lambda path: self.times[path][1])
        version: str | None = (self.artefacts[last].environment or {}).get("packages", {}).get(package)
        return version


def name_of_bytes(sha256: str) -> str:
    """Return the location-independent URI of bytes with this hash (RFC 6920)."""
    return f"ni:///sha-256;{urlsafe_b64encode(bytes.fromhex(sha256)).decode().rstrip('=')}"


def _ref(identity: str) -> Ref:
    return {"@id": identity}


def _about_file(name: str, sha256: str, size: int | None) -> dict[str, str]:
    known = {} if size is None else {"contentSize": str(size)}
    kind = FORMATS.get(Path(name).suffix, "application/octet-stream")
    return {"name": Path(name).name, "sha256": sha256, "encodingFormat": kind, **known}


def _compact(crate: ROCrate) -> None:
    """Remove duplicates from a list, and replace a list of one element by the element, as RO-Crate 1.1 recommends."""
    for entity in crate.get_entities():
        properties = entity.properties()
        for key, values in properties.items():
            if isinstance(values, list):
                unlike = list({repr(value): value for value in values}.values())
                properties[key] = unlike[0] if len(unlike) == 1 else unlike


def _input(stage: str, label: str) -> str:
    """Return the formal parameter of an input; all inputs of a list (eval:ID, ...) share one."""
    return f"#stage/{stage}/in/{label.partition(':')[0]}"


def _times(artefact: Artefact) -> tuple[datetime, datetime] | None:
    """Return the start and end of a job."""
    environment = artefact.environment or {}
    if not {"started", "seconds"} <= environment.keys():
        return None
    started = datetime.fromisoformat(environment["started"])
    return started, started + timedelta(seconds=environment["seconds"])


def _iso(time: datetime) -> str:
    return time.isoformat(timespec="milliseconds")
