"""The benchmark of your own documents: what is recited, answered and given away, beside Retrain."""

from typing import ClassVar, Literal

from palimpsest.benchmarks.corpora import CorpusBenchmark


class DocumentsBenchmark(CorpusBenchmark):
    """Your own documents, or questions with answers, measured by their distance from Retrain; the only split is `forget`."""

    suite_kinds: ClassVar = ("documents", "depth", "lm-eval")
    kind: Literal["documents"]
    """Your own documents, or questions with answers."""
