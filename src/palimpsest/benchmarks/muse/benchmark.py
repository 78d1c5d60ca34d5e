"""The benchmark MUSE: a corpus to forget, measured by verbatim recall, knowledge and privacy leakage."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from palimpsest.benchmarks.base import Study
from palimpsest.benchmarks.corpora import CorpusBenchmark
from palimpsest.benchmarks.muse.dataset import MuseSource
from palimpsest.benchmarks.muse.splits import is_split, number, predecessor
from palimpsest.benchmarks.muse.suite_settings import AUC
from palimpsest.errors import UserError
from palimpsest.mistakes import place


class MuseBenchmark(CorpusBenchmark):
    """A corpus to forget, measured by verbatim recall, knowledge and privacy leakage (MUSE, arXiv 2407.06460)."""

    suite_kinds: ClassVar = ("muse", "depth", "lm-eval")
    kind: Literal["muse"]
    """A corpus in MUSE's format."""
    retrain_auc: Annotated[float, Field(ge=0.001, le=1)] | None = None
    """Published AUC of Retrain (News 0.4772, Books 0.5393); PrivLeak is then also computed against it, not only against the
    study's own Retrain."""

    @property
    def published(self) -> dict[str, float]:
        """The AUC of a published Retrain."""
        return {} if self.retrain_auc is None else {AUC: self.retrain_auc}

    @property
    def split_names(self) -> str:
        """The names of its splits, for error messages."""
        return "forget, scale2, scale3 ..., request2, request3 ..."

    def has_split(self, split: str) -> bool:
        """Return whether a name is a split: the forget set, a larger one, or a request."""
        return is_split(split)

    def before(self, split: str) -> str | None:
        """Return the request that precedes a request."""
        return predecessor(split)

    def training_tokens(self, tokens: float, split: str) -> tuple[float, float]:
        """Return about how many tokens the forget corpus and the whole corpus have, larger for scale2, scale3 ..."""
        return super().training_tokens(tokens * (number(split) if split.startswith("scale") else 1), split)

    def check_split(self, study: Study, name: str, split: str, *at: str | int) -> None:
        """Refuse a split that the benchmark or its source does not have."""
        super().check_split(study, name, split, *at)
        source = study.sources[self.source]
        assert isinstance(source, MuseSource)
        if source.forget_sets is not None and number(split) > source.forget_sets:
            raise UserError(f"{place(*at)}: {split}: source {self.source!r} has {source.forget_sets} parts")
