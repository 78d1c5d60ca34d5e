"""The benchmark RWKU: famous people to forget, measured by probes about them and about their neighbours."""

from typing import ClassVar, Literal

from palimpsest.benchmarks.corpora import CorpusBenchmark
from palimpsest.names import ORIGINAL


class RwkuBenchmark(CorpusBenchmark):
    """Famous people to forget, whom a pretrained model knows (RWKU, arXiv 2406.10890): the base is the Original, without Retrain.

    The only split is `forget`.
    """

    roles: ClassVar = (ORIGINAL,)
    suite_kinds: ClassVar = ("rwku", "lm-eval")
    kind: Literal["rwku"]
    """The people of RWKU."""

    @property
    def original_is_base(self) -> bool:
        """The base model, which knows the people, is the Original."""
        return True
