"""What benchmarks of documents have in common."""

from abc import ABC
from typing import ClassVar

from palimpsest.benchmarks.base import Block, SourcedBenchmark, Study, Variant
from palimpsest.errors import UserError
from palimpsest.methods import load_method
from palimpsest.mistakes import place
from palimpsest.models.settings import Tiny
from palimpsest.names import ORIGINAL

# The first split is the data itself: its original and Retrain serve all splits of a benchmark.
FORGET = "forget"


class CorpusBenchmark(SourcedBenchmark, ABC):
    """A benchmark of documents. All splits share original and Retrain, and the data themselves are the first split."""

    is_corpus: ClassVar = True

    def home(self, split: str) -> str:
        """Return the first split."""
        return FORGET

    def is_cut(self, split: str) -> bool:
        """Return whether a split is another than the first."""
        return split != FORGET

    def is_watched(self, split: str) -> bool:
        """Return whether a split is the first."""
        return split == FORGET

    def check(self, study: Study, block: Block, *at: str | int) -> None:
        """Refuse methods that need questions, and tiny models that the source or their architecture has no room for."""
        for method in block.variants:
            if load_method(method).reads_refusals:
                raise UserError(
                    f"{place(*at, 'methods')}: {method} needs questions with answers, and {block.benchmark} has documents alone"
                )
        for name in block.models:
            model = study.models[name]
            if not isinstance(model, Tiny):
                continue
            if not study.sources[self.source].teaches_base:
                said = f"{name} is tiny, and source {self.source!r} has nothing that its base could learn"
                raise UserError(f"{place(*at, 'models')}: {said}")
            if model.chunk_tokens > model.architecture.context:
                where, context = place("models", name, "chunk_tokens"), model.architecture.context
                raise UserError(f"{where}: {model.chunk_tokens}: its architecture has a context of {context} tokens")

    def check_variant(self, where: str, method: str, variant: Variant) -> None:
        """Refuse another start than the original."""
        if variant.start != ORIGINAL:
            raise UserError(f"{where}: start: {variant.start}: on documents it is {ORIGINAL}")
