"""Named random streams: all randomness of a study comes from seeds and names, so a new draw in one place changes no other."""

import hashlib

import numpy as np

from palimpsest.provenance.canonical import canonical_json


def stream(seed: int, *names: str | int) -> np.random.Generator:
    """Return the random generator of a seed and names: always the same, and independent of all others."""
    digest = hashlib.sha256(canonical_json([seed, *names]).encode()).digest()
    return np.random.default_rng(int.from_bytes(digest[:16], "big"))


def seed_of_draw(seed: int, draw: int) -> int:
    """Return the seed of another draw of what a seed decides; draw 0 is the seed itself."""
    return int(stream(seed, "draw", draw).integers(2**32)) if draw else seed
