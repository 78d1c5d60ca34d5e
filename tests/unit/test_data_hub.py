"""The hub source against a hub of our own on this machine, so that nothing depends on a network."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from local_hub import NOBODY, Hub, serving

from palimpsest.benchmarks.tofu.files import FILES
from palimpsest.benchmarks.tofu.refusals import refusals
from palimpsest.benchmarks.tofu.sources.hub import HubSource

ROOT = Path(__file__).resolve().parents[2]
SOURCE = HubSource(kind="hub")


@pytest.fixture
def hub(shared: Path) -> Iterator[Hub]:
    with serving(Hub({SOURCE.repo: (SOURCE.revision, shared / "data" / "tofu")})) as hub:
        yield hub


@pytest.fixture
def refusing(request: pytest.FixtureRequest) -> Iterator[Hub]:
    with serving(Hub({}, request.param)) as hub:
        yield hub


def run_data(tmp_path: Path, endpoint: str, out: str = "data", **more: str) -> subprocess.CompletedProcess[str]:
    return run_stage("data", {"source": SOURCE.model_dump()}, tmp_path, endpoint, out, **more)


def run_stage(stage: str, spec: Any, tmp_path: Path, endpoint: str, out: str, **more: str) -> subprocess.CompletedProcess[str]:
    environment = {key: value for key, value in os.environ.items() if not key.lower().endswith("_proxy")}
    environment |= {"HF_HOME": str(tmp_path / "hf"), "HF_ENDPOINT": endpoint, "PYTHONPATH": str(ROOT / "src"), **more}
    module = f"palimpsest.stages.{stage}"
    command = [sys.executable, "-m", module, "--spec", json.dumps(spec), "--out", f"{out}/manifest.json"]
    return subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120, check=False)


def test_tofu_is_fetched_once_and_then_needs_no_network(hub: Hub, tmp_path: Path) -> None:
    done = run_data(tmp_path, hub.url)
    assert done.returncode == 0, done.stderr
    assert hub.fetched == set(FILES)
    source = json.loads((tmp_path / "data" / "source.json").read_text())
    assert (source["kind"], source["repo"], source["revision"]) == ("hub", SOURCE.repo, SOURCE.revision)
    assert source["licence"] == "MIT"
    assert source["counts"] == {
        "authors": 4000,
        "base": 0,
        "real_authors": 100,
        "holdout": 0,
        "refusals": len(refusals()),
        "world_facts": 117,
    }
    assert set(source["files"]) == set(FILES)

    again = run_data(tmp_path, NOBODY, out="again")
    assert again.returncode == 0, again.stderr
    forbidden = run_data(tmp_path, NOBODY, out="offline", HF_HUB_OFFLINE="1")
    assert forbidden.returncode == 0, forbidden.stderr
    manifests = {(tmp_path / out / "manifest.json").read_bytes() for out in ("data", "again", "offline")}
    assert len(manifests) == 1


def test_a_cache_that_lacks_a_file_is_completed(hub: Hub, tmp_path: Path) -> None:
    assert run_data(tmp_path, hub.url).returncode == 0
    (lost,) = (tmp_path / "hf").rglob("full.json")
    lost.unlink()
    alone = run_data(tmp_path, NOBODY, out="alone")
    assert alone.returncode == 2
    assert "the Hub cannot be reached" in alone.stderr
    assert run_data(tmp_path, hub.url, out="again").returncode == 0
    assert (tmp_path / "again" / "authors.jsonl").read_bytes() == (tmp_path / "data" / "authors.jsonl").read_bytes()


@pytest.mark.parametrize(
    ("refusing", "message"),
    [
        ((403, "GatedRepo"), "gated; request access at {hub}/datasets/locuslab/TOFU and log in"),
        ((404, "RevisionNotFound"), "the Hub has no such revision; it must be a commit of this data set"),
        ((404, "RepoNotFound"), "the Hub has no such data set, or it is private; check the name"),
        ((500, "Broken"), "not in the cache, and the Hub cannot be reached ("),
    ],
    indirect=["refusing"],
)
def test_what_the_hub_refuses_is_one_line(refusing: Hub, message: str, tmp_path: Path) -> None:
    check_one_line(run_data(tmp_path, refusing.url), message.format(hub=refusing.url), tmp_path)


def test_an_unreachable_hub_is_one_line(tmp_path: Path) -> None:
    check_one_line(run_data(tmp_path, NOBODY), "not in the cache, and the Hub cannot be reached (", tmp_path)


def test_a_forbidden_network_is_one_line(tmp_path: Path) -> None:
    done = run_data(tmp_path, NOBODY, HF_HUB_OFFLINE="1")
    check_one_line(done, "not in the cache, and HF_HUB_OFFLINE forbids downloads", tmp_path)


@pytest.mark.parametrize("fault", ["cut", pytest.param("hanging", marks=pytest.mark.faults)])
def test_a_download_that_ends_in_the_middle_is_one_line_and_nothing_is_taken_for_whole(
    hub: Hub, fault: str, tmp_path: Path
) -> None:
    getattr(hub, fault).add("full.json")
    quick = {"HF_HUB_DOWNLOAD_TIMEOUT": "1", "HF_HUB_ETAG_TIMEOUT": "1"}
    done = run_data(tmp_path, hub.url, **quick)
    # What comes before is the hub's own client, which says that it tries again.
    done.stderr = done.stderr.splitlines(keepends=True)[-1]
    check_one_line(done, "not in the cache, and the Hub cannot be reached (", tmp_path)
    assert not [path for path in (tmp_path / "hf").rglob("full.json") if path.exists()]
    alone = run_data(tmp_path, NOBODY, HF_HUB_OFFLINE="1")
    assert alone.returncode == 2 and "not in the cache" in alone.stderr
    getattr(hub, fault).clear()
    assert run_data(tmp_path, hub.url).returncode == 0
    assert run_data(tmp_path, hub.url, out="undisturbed", HF_HOME=str(tmp_path / "other")).returncode == 0
    manifests = {(tmp_path / out / "manifest.json").read_bytes() for out in ("data", "undisturbed")}
    assert len(manifests) == 1


def check_one_line(done: subprocess.CompletedProcess[str], message: str, tmp_path: Path) -> None:
    assert done.returncode == 2
    assert done.stderr.startswith(f"palimpsest data: {SOURCE.repo} at {SOURCE.revision}: {message}")
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize("refusing", [(403, "GatedRepo")], indirect=True)
def test_a_gated_model_names_the_page_that_grants_it(refusing: Hub, tmp_path: Path) -> None:
    model = {"kind": "pretrained", "name": "org/gated", "revision": SOURCE.revision}
    done = run_stage("base", {"model": model}, tmp_path, refusing.url, "base", HF_TOKEN="hf_secret")
    assert done.returncode == 2
    assert done.stderr == (
        f"palimpsest base: org/gated at {SOURCE.revision}: gated; request access at {refusing.url}/org/gated"
        " and log in with `hf auth login`\n"
    )


def test_an_unreachable_hub_is_one_line_for_a_model_too(tmp_path: Path) -> None:
    model = {"kind": "pretrained", "name": "org/name", "revision": SOURCE.revision}
    done = run_stage("base", {"model": model}, tmp_path, NOBODY, "base", HF_TOKEN="hf_secret")
    assert done.returncode == 2 and done.stderr.count("\n") == 1
    assert "cannot be reached" in done.stderr and "hf_secret" not in done.stderr
