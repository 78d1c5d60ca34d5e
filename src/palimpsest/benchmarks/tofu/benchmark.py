"""The benchmark TOFU: questions on authors, of whom a split forgets the last ones."""

from typing import ClassVar, Literal

from palimpsest.benchmarks.base import Block, SourcedBenchmark, Study
from palimpsest.benchmarks.tofu.dataset import TofuSource
from palimpsest.benchmarks.tofu.splits import SplitSettings, count_forgotten, is_forget_share
from palimpsest.errors import UserError
from palimpsest.mistakes import place


class TofuBenchmark(SourcedBenchmark):
    """Where a benchmark's questions come from and how a split cuts them."""

    suite_kinds: ClassVar = ("tofu", "lm-eval")
    takes_attacks: ClassVar = True
    takes_logs: ClassVar = True
    has_facts: ClassVar = True
    kind: Literal["tofu"]
    """Questions and answers, in the form of TOFU."""
    split: SplitSettings = SplitSettings()
    """How the splits of this benchmark are cut."""

    @property
    def split_settings(self) -> dict[str, int | None]:
        """How many authors are retained."""
        return self.split.model_dump()

    @property
    def split_names(self) -> str:
        """How its splits are called."""
        return "forgetNN, NN from 01 to 99"

    def has_split(self, split: str) -> bool:
        """Return whether a name is that of a share of the authors."""
        return is_forget_share(split)

    def check_split(self, study: Study, name: str, split: str, *at: str | int) -> None:
        """Refuse a split that the data lack; in TOFU only the last tenth can be forgotten, and the base lies right before it."""
        source = study.sources[self.source]
        assert isinstance(source, TofuSource)
        try:
            forgotten = count_forgotten(split, source.population)
        except UserError as error:
            raise UserError(f"{place(*at)}: {error}") from None
        if forgotten > source.most_forgotten:
            raise UserError(f"{place(*at)}: {split}: in TOFU 10 % of the authors can be forgotten at most")
        free, wanted = source.population - source.unretained(forgotten), self.split.retain_authors or 1
        if wanted > free:
            said = f"{split} of {source.population} authors leaves {free} to retain, {wanted} are asked for"
            raise UserError(f"{place(*at)}: {said}")

    def check(self, study: Study, block: Block, *at: str | int) -> None:
        """Refuse the tiny models of a block where the source has no base corpus."""
        source = study.sources[self.source]
        assert isinstance(source, TofuSource)
        if source.base_authors == 0 and any(study.models[name].kind == "tiny" for name in block.models):
            where = place("sources", self.source, "base_authors")
            raise UserError(f"{where}: 0, but the base of a tiny model is trained on some: at least 1")
