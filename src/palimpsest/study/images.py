"""The container images that were built: which one serves each stage family, by its digest, and what a run with them needs."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from palimpsest.errors import UserError
from palimpsest.settings import Settings
from palimpsest.study.messages import one_line

LIST = "images.yaml"
FAMILIES = ("data", "train", "evaluate", "report")
# Hexadecimal digits of a digest in a name.
SHOWN = 12
# The arguments of apptainer that cut a job off from the network; the wrapper in containers/bin reads this variable.
OFFLINE = "PALIMPSEST_OFFLINE"
CUT = "--net --network none"
# Variables that name a place which jobs need.
SEEN = ("HF_HOME", "HF_HUB_CACHE", "SSL_CERT_FILE", "TMPDIR")


class Image(Settings):
    """A `.sif` file that was built here."""

    path: str
    """Below the repository; the digest in its name makes jobs rerun in another image."""
    sha256: str
    """Of the file."""
    made_of: str
    """Of the lock and the recipe it was built from."""


class Images(Settings):
    """One image a stage family: a file, or a string such as `docker://...@sha256:...`; null where none was built."""

    data: Image | str | None = None
    train: Image | str | None = None
    evaluate: Image | str | None = None
    report: Image | str | None = None


class Containers(Settings):
    """What `container:` of each family's rules is."""

    data: str | None = None
    train: str | None = None
    evaluate: str | None = None
    report: str | None = None


def open_images(root: Path) -> Images:
    """Return the list of images of a repository."""
    return Images.model_validate(yaml.safe_load((root / "containers" / LIST).read_text(encoding="utf-8")) or {})


def made_of(root: Path, family: str) -> str:
    """Return the digest of what a family's image is built from: its lock, the recipe and what that runs."""
    parts = ("containers/image.def", "containers/install.sh", f"envs/{family}.lock")
    return hashlib.sha256(b"\0".join((root / part).read_bytes() for part in parts)).hexdigest()


def find_containers(root: Path) -> Containers:
    """Return the images for rules to run in; raises UserError for a file that is missing or was built from other files."""
    return Containers(**{family: _container(root, family, image) for family, image in open_images(root)})


def _container(root: Path, family: str, image: Image | str | None) -> str:
    if isinstance(image, str):
        return image
    if image is None or not (root / image.path).is_file():
        missing = f"containers/images of {family}" if image is None else image.path
        raise UserError(f"containers: there is no {missing}: make images")
    if image.made_of != made_of(root, family):
        raise UserError(f"containers: {image.path} was built from another lock or recipe than envs/{family}.lock: make images")
    # A path from here has no part that moves with the repository, which would count as another image.
    return os.path.relpath(root / image.path)


def enter_containers(root: Path, config: Any, results: str, *, apptainer: bool) -> Containers:
    """Return the images for rules to run in, and set up this process to start them; none where jobs run without apptainer.

    For a mistake, print one line and leave Snakemake with exit code 2.
    """
    if not apptainer:
        return Containers()
    with one_line():
        containers = find_containers(root)
        if not (shutil.which("apptainer") or shutil.which("singularity")):
            raise UserError("containers: apptainer is not installed (Debian 12: scripts/install_apptainer.sh)")
    # Inside, the working directory is the home, so what is cached in the user's own has to be named.
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    Path(os.environ.setdefault("HF_HOME", str(cache / "huggingface"))).mkdir(parents=True, exist_ok=True)
    wrappers = str(root / "containers/bin")
    if os.environ["PATH"].split(os.pathsep)[0] != wrappers:
        os.environ["PATH"] = os.pathsep.join([wrappers, os.environ["PATH"]])
    binds = [*filter(None, [os.environ.get("APPTAINER_BIND")]), *map(str, outside(root, config, results))]
    os.environ["APPTAINER_BIND"] = ",".join(dict.fromkeys(binds))
    if OFFLINE not in os.environ:
        os.environ[OFFLINE] = CUT if _can_cut(containers) else ""
    return containers


def outside(root: Path, config: Any, results: str) -> list[Path]:
    """Return the folders outside the working directory that jobs read or write: the package, and those that settings name."""
    here = Path.cwd().resolve()
    # Of a file its folder; os.path also takes a text that is no path at all.
    named = [Path(text) for text in _strings(config) if os.path.isdir(text)]  # noqa: PTH112
    named += [Path(text).parent for text in _strings(config) if os.path.isfile(text)]  # noqa: PTH113
    named += [Path(path) for name in SEEN if (path := os.environ.get(name)) and Path(path).exists()]
    if not Path(results).resolve().is_relative_to(here):
        # What is not there cannot be bound.
        Path(results).mkdir(parents=True, exist_ok=True)
    folders = [root / "src", Path(results), *named]
    # A link is followed: its own place and where it leads are both needed.
    places = [place for folder in folders for place in (Path(os.path.normpath(folder.absolute())), folder.resolve())]
    return [place for place in dict.fromkeys(places) if not place.is_relative_to(here)]


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for part in value.values() if isinstance(value, dict) else value:
            yield from _strings(part)


def _can_cut(containers: Containers) -> bool:
    """Say whether this user may start a container without a network, which some machines forbid; warn where not."""
    image = containers.data or ""
    if "://" in image or not subprocess.run(["apptainer", "exec", *CUT.split(), image, "true"], capture_output=True).returncode:
        return True
    print("palimpsest: containers: this machine lets no container run without a network; jobs can reach it", file=sys.stderr)
    return False
