"""The container images: one per stage family, identified by digest, and the setup of a run that uses them."""

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

from palimpsest.environment import SCRATCH, STORE, cache_folder
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
# Variables that name a path which jobs need.
SEEN = ("HF_HOME", "HF_HUB_CACHE", "SSL_CERT_FILE", "TMPDIR", SCRATCH, STORE)


class Image(Settings):
    """A `.sif` file that was built here."""

    path: str
    """Path below the repository; the digest in the name makes jobs rerun when the image changes."""
    sha256: str
    """Digest of the file."""
    made_of: str
    """Digest of the lock and the recipe that the image was built from."""


class Images(Settings):
    """One image per stage family: a file, or a string such as `docker://...@sha256:...`; null if none was built."""

    data: Image | str | None = None
    train: Image | str | None = None
    evaluate: Image | str | None = None
    report: Image | str | None = None


class Containers(Settings):
    """The value of `container:` in the rules of each family."""

    data: str | None = None
    train: str | None = None
    evaluate: str | None = None
    report: str | None = None


def open_images(root: Path) -> Images:
    """Return the list of images of a repository."""
    return Images.model_validate(yaml.safe_load((root / "containers" / LIST).read_text(encoding="utf-8")) or {})


def made_of(root: Path, family: str) -> str:
    """Return the digest of the files that a family's image is built from: its lock, the recipe and the recipe's script."""
    parts = ("containers/image.def", "containers/install.sh", f"envs/{family}.lock")
    return hashlib.sha256(b"\0".join((root / part).read_bytes() for part in parts)).hexdigest()


def find_containers(root: Path) -> Containers:
    """Return the images in which rules run; raises UserError if a file is missing or was built from other files."""
    return Containers(**{family: _container(root, family, image) for family, image in open_images(root)})


def _container(root: Path, family: str, image: Image | str | None) -> str:
    if isinstance(image, str):
        return image
    if image is None or not (root / image.path).is_file():
        missing = f"the image of {family}" if image is None else image.path
        raise UserError(f"containers: {missing} is missing: run make images")
    if image.made_of != made_of(root, family):
        raise UserError(f"containers: {image.path} does not match envs/{family}.lock and the recipe: run make images")
    # A relative path stays the same when the repository moves; another path would count as another image.
    return os.path.relpath(root / image.path)


def enter_containers(root: Path | None, config: Any, results: str, *, apptainer: bool) -> Containers:
    """Return the images in which rules run, and set up this process to start them; no images without apptainer.

    `root` is the clone with the images, None without one. On a user error, print one line and exit Snakemake with code 2.
    """
    if not apptainer:
        return Containers()
    with one_line():
        if root is None:
            raise UserError("containers: make images builds them in a clone, and the library is installed: run from a clone")
        containers = find_containers(root)
        if not (shutil.which("apptainer") or shutil.which("singularity")):
            raise UserError("containers: apptainer is not installed (Debian 12: scripts/install_apptainer.sh)")
    # Inside a container the working directory is the home, so the user's own cache has to be named.
    Path(os.environ.setdefault("HF_HOME", str(cache_folder() / "huggingface"))).mkdir(parents=True, exist_ok=True)
    wrappers = str(root / "containers/bin")
    if os.environ["PATH"].split(os.pathsep)[0] != wrappers:
        os.environ["PATH"] = os.pathsep.join([wrappers, os.environ["PATH"]])
    binds = [*filter(None, [os.environ.get("APPTAINER_BIND")]), *map(str, outside(root, config, results))]
    os.environ["APPTAINER_BIND"] = ",".join(dict.fromkeys(binds))
    if OFFLINE not in os.environ:
        os.environ[OFFLINE] = CUT if _can_cut(containers) else ""
    return containers


def outside(root: Path, config: Any, results: str) -> list[Path]:
    """Return the folders outside the working directory that jobs use: the package, and the folders that settings name."""
    here = Path.cwd().resolve()
    # For a file, take its folder; os.path also accepts a text that is not a path.
    named = [Path(text) for text in _strings(config) if os.path.isdir(text)]  # noqa: PTH112
    named += [Path(text).parent for text in _strings(config) if os.path.isfile(text)]  # noqa: PTH113
    named += [Path(path) for name in SEEN if (path := os.environ.get(name)) and Path(path).exists()]
    if not Path(results).resolve().is_relative_to(here):
        # Only an existing folder can be bound.
        Path(results).mkdir(parents=True, exist_ok=True)
    folders = [root / "src", Path(results), *named]
    # Both the path of a link and its target are needed.
    places = [place for folder in folders for place in (Path(os.path.normpath(folder.absolute())), folder.resolve())]
    return [place for place in dict.fromkeys(places) if not place.is_relative_to(here)]


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for part in value.values() if isinstance(value, dict) else value:
            yield from _strings(part)


def _can_cut(containers: Containers) -> bool:
    """Return whether this user may start a container without a network; warn if the machine forbids it."""
    image = containers.data or ""
    if "://" in image or not subprocess.run(["apptainer", "exec", *CUT.split(), image, "true"], capture_output=True).returncode:
        return True
    print("palimpsest: containers: this machine does not allow a container without a network; jobs can reach it", file=sys.stderr)
    return False
