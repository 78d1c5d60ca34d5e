"""The benchmark LUME: three tasks to forget, measured by recitation, answers and membership."""

from typing import ClassVar, Literal

from palimpsest.benchmarks.corpora import CorpusBenchmark


class LumeBenchmark(CorpusBenchmark):
    """Invented stories, invented private data and real biographies to forget (LUME, arXiv 2502.15097; SemEval-2025, task 4).

    The only split is `forget`.
    """

    suite_kinds: ClassVar = ("lume", "depth", "lm-eval")
    kind: Literal["lume"]
    """The tasks of LUME."""
