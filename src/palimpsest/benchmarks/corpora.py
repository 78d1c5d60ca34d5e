"""The base class of corpus benchmarks."""

from abc import ABC
from typing import ClassVar

from palimpsest.benchmarks.base import Block, SourcedBenchmark, Study, Variant
from palimpsest.errors import UserError
from palimpsest.methods import load_method
from palimpsest.mistakes import place
from palimpsest.models.settings import Tiny
from palimpsest.names import ORIGINAL

# The first split is the data artefact itself; all splits of a benchmark use its Original and Retrain.
FORGET = "forget"


class CorpusBenchmark(SourcedBenchmark, ABC):
    """A corpus benchmark. All splits share Original and Retrain, and the data artefact is the first split."""

    is_corpus: ClassVar = True

    @property
    def split_names(self) -> str:
        """The name of the only split, for error messages."""
        return FORGET

    def has_split(self, split: str) -> bool:
        """Return whether a name is the only split."""
        return split == FORGET

    def home(self, split: str) -> str:
        """Return the first split."""
        return FORGET

    def is_cut(self, split: str) -> bool:
        """Return whether a split is not the first one."""
        return split != FORGET

    def is_watched(self, split: str) -> bool:
        """Return whether a split is the first one."""
        return split == FORGET

    def check(self, study: Study, block: Block, *at: str | int) -> None:
        """Refuse methods that need questions, tiny models without a base corpus, and chunks longer than a model's context."""
        for method in block.variants:
            if load_method(method).other_answers():
                raise UserError(
                    f"{place(*at, 'methods')}: {method} needs questions with answers, but {block.benchmark} is a corpus"
                )
        for name in block.models:
            model = study.models[name]
            if not isinstance(model, Tiny):
                continue
            if not study.sources[self.source].teaches_base:
                said = f"{name} is tiny, but source {self.source!r} has no base corpus"
                raise UserError(f"{place(*at, 'models')}: {said}")
            if model.chunk_tokens > model.architecture.context:
                where, context = place("models", name, "chunk_tokens"), model.architecture.context
                raise UserError(f"{where}: {model.chunk_tokens}: its architecture has a context of {context} tokens")

    def check_variant(self, where: str, method: str, variant: Variant) -> None:
        """Refuse a variant that does not start from the Original."""
        if variant.start != ORIGINAL:
            raise UserError(f"{where}: start: {variant.start}: on a corpus it must be {ORIGINAL}")
