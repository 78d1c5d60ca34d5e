"""TOFU from the Hugging Face hub at a pinned revision."""

from dataclasses import replace

from palimpsest.data.dataset import Dataset
from palimpsest.data.settings import HubSource
from palimpsest.data.tofu import FILES, read_tofu
from palimpsest.hub import fetch_snapshot


def read_hub(source: HubSource) -> Dataset:
    """Return TOFU at the source's revision; raises UserError for a hub that cannot or may not give it."""
    folder = fetch_snapshot(
        source.repo, source.revision, "dataset", tuple(FILES), whole=lambda path: all((path / name).is_file() for name in FILES)
    )
    dataset = read_tofu(folder, source)
    return replace(dataset, origin=dataset.origin | {"repo": source.repo, "revision": source.revision})
