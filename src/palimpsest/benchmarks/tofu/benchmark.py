"""The benchmark TOFU: questions about authors; a split forgets the last authors."""

from typing import ClassVar, Literal

from palimpsest.benchmarks.base import Block, SourcedBenchmark, Study
from palimpsest.benchmarks.tofu.dataset import TofuSource
from palimpsest.benchmarks.tofu.splits import SplitSettings, count_forgotten, is_forget_share
from palimpsest.errors import UserError
from palimpsest.mistakes import place
from palimpsest.settings import spelled


class TofuBenchmark(SourcedBenchmark):
    """TOFU: questions about fictitious authors, of which a split forgets the last ones (arXiv 2401.06121)."""

    suite_kinds: ClassVar = ("tofu", "depth", "lm-eval", "prompting", "sampling")
    other_sets: ClassVar = ("real_authors", "world_facts")
    takes_logs: ClassVar = True
    has_facts: ClassVar = True
    kind: Literal["tofu"]
    """Questions and answers in TOFU's format."""
    split: SplitSettings = SplitSettings()
    """How splits are made."""

    @property
    def split_settings(self) -> dict[str, int | None]:
        """Return how splits are made."""
        return spelled(self.split)

    @property
    def split_names(self) -> str:
        """The names of its splits, for error messages."""
        return "forgetNN, NN from 01 to 99"

    def has_split(self, split: str) -> bool:
        """Return whether a name has the form forgetNN."""
        return is_forget_share(split)

    def training_tokens(self, tokens: float, split: str) -> tuple[float, float]:
        """Return about how many tokens the forgotten share and all questions have."""
        return tokens * int(split.removeprefix("forget")) / 100, tokens

    def check_split(self, study: Study, name: str, split: str, *at: str | int) -> None:
        """Refuse a split that the data do not have; in TOFU only the last tenth of the authors can be forgotten."""
        source = study.sources[self.source]
        assert isinstance(source, TofuSource)
        try:
            forgotten = count_forgotten(split, source.population)
        except UserError as error:
            raise UserError(f"{place(*at)}: {error}") from None
        skipped, most = self.split.skip_authors, source.most_forgotten
        if forgotten + skipped > most:
            but = f", and skip_authors leaves out {skipped} of them" if skipped else ""
            raise UserError(f"{place(*at)}: {split}: at most {most} of the {source.population} authors can be forgotten{but}")
        free, wanted = source.population - source.unretained(forgotten + skipped), self.split.retain_authors or 1
        if wanted > free:
            said = f"{split} of {source.population} authors leaves {free} to retain, but {wanted} are requested"
            raise UserError(f"{place(*at)}: {said}")

    def check(self, study: Study, block: Block, *at: str | int) -> None:
        """Refuse tiny models if the source has no base corpus."""
        source = study.sources[self.source]
        assert isinstance(source, TofuSource)
        if source.base_authors == 0 and any(study.models[name].kind == "tiny" for name in block.models):
            where = place("sources", self.source, "base_authors")
            raise UserError(f"{where}: 0, but the base of a tiny model needs at least 1")
