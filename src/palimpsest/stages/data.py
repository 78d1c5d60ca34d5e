"""The stage that brings a data set, whatever its source, into the one schema."""

import json

from palimpsest.data.dataset import Dataset
from palimpsest.data.settings import (
    AustenSource,
    FolderSource,
    HubSource,
    MuseFolderSource,
    MuseHubSource,
    MuseWorldSource,
    Source,
    WmdpFolderSource,
    WmdpHubSource,
    WmdpWorldSource,
    WorldSource,
)
from palimpsest.data.texts import MuseData, WmdpData
from palimpsest.settings import Settings
from palimpsest.stages.contract import Job, run_stage


class DataSpec(Settings):
    """The name of the benchmark and its source."""

    benchmark: str
    source: Source


def load(source: Source) -> Dataset | MuseData | WmdpData:
    """Return the data set of a source; imports only what that source needs."""
    match source:
        case WorldSource():
            from palimpsest.data.world import make_world

            return make_world(source)
        case FolderSource():
            from palimpsest.data.folder import read_folder

            return read_folder(source)
        case HubSource():
            from palimpsest.data.hub import read_hub

            return read_hub(source)
        case MuseWorldSource():
            from palimpsest.data.world_texts import make_muse_world

            return make_muse_world(source)
        case MuseFolderSource():
            from palimpsest.data.muse import read_muse_folder

            return read_muse_folder(source)
        case MuseHubSource():
            from palimpsest.data.muse import read_muse_hub

            return read_muse_hub(source)
        case AustenSource():
            from palimpsest.data.austen import read_austen

            return read_austen(source)
        case WmdpWorldSource():
            from palimpsest.data.world_hazards import make_wmdp_world

            return make_wmdp_world(source)
        case WmdpFolderSource():
            from palimpsest.data.wmdp import read_wmdp_folder

            return read_wmdp_folder(source)
        case WmdpHubSource():
            from palimpsest.data.wmdp import read_wmdp_hub

            return read_wmdp_hub(source)


def work(job: Job[DataSpec]) -> None:
    """Write the sets and source.json: kind, revision, licence, sha256 of source files, counts."""
    dataset = load(job.spec.source)
    counts = dataset.write(job.out)
    origin = {"benchmark": job.spec.benchmark, "kind": job.spec.source.kind, **dataset.origin, "counts": counts}
    (job.out / "source.json").write_text(json.dumps(origin, indent=1, sort_keys=True) + "\n", encoding="utf-8")


if __name__ == "__main__":
    run_stage("data", DataSpec, work)
