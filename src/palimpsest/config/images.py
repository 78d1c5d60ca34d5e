"""The container images that were built: which file serves each stage family, by its digest."""

from __future__ import annotations

from pathlib import Path

import yaml

from palimpsest.settings import Settings

LIST = "images.yaml"


class Images(Settings):
    """One image a stage family, `docker://...@sha256:...` or a `.sif` file; null where none was built."""

    data: str | None = None
    train: str | None = None
    evaluate: str | None = None
    report: str | None = None


def open_images(folder: Path) -> Images:
    """Return the list of images in a folder of containers."""
    return Images.model_validate(yaml.safe_load((folder / LIST).read_text(encoding="utf-8")) or {})
