"""The benchmark of Markov chains, whose true distribution is known: it has its own measurements."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from palimpsest.benchmarks.base import Benchmark, Block, Study, Variant
from palimpsest.benchmarks.markov.settings import FEWEST_TESTED, ChainModel, ChainSettings, ChainSplit
from palimpsest.errors import UserError
from palimpsest.methods import load_method
from palimpsest.methods.base import LossMethod
from palimpsest.mistakes import known, place
from palimpsest.names import ORIGINAL, Name


class MarkovBenchmark(ChainSettings, Benchmark):
    """Sequences of Markov chains, whose true distribution is known (SimNPO, Sec. 5 and App. H); needs models of kind chain."""

    model: ClassVar = ChainModel
    model_kinds: ClassVar = ("chain",)
    measures_itself: ClassVar = True
    draws_anew: ClassVar = True
    retrain_split: ClassVar = "retain"
    kind: Literal["markov"]
    """Markov chains; there are no questions, suites or attacks."""
    watched: Annotated[int, Field(ge=FEWEST_TESTED, le=1_000_000)] = 500
    """Maximum test sequences per chain for the evaluation after every iteration; finished models are evaluated on all of them."""
    splits: Annotated[dict[Name, ChainSplit], Field(min_length=1)]
    """The experiments by name."""

    @property
    def split_names(self) -> str:
        """The names that the config gives to the experiments."""
        return ", ".join(self.splits)

    def has_split(self, split: str) -> bool:
        """Return whether the config has an experiment of this name, or it is the split of the shared Retrain."""
        return split in (*self.splits, self.retrain_split)

    def check_split(self, study: Study, name: str, split: str, *at: str | int) -> None:
        """Refuse a split that is no experiment of the config."""
        known("split", [split], self.splits, *at)

    def lengths(self, split: str) -> dict[str, int]:
        """Return the number of states per sequence that a split uses, for each chain."""
        return {"retain": self.length, "forget1": self.length, "forget2": self.splits[split].forget2_length or self.length}

    def learnt_lengths(self, split: str) -> dict[str, int]:
        """Return the lengths of the chains that the original of a split has learnt."""
        lengths = self.lengths(split)
        return lengths if self.splits[split].forget2_learnt else {name: lengths[name] for name in ("retain", "forget1")}

    def check(self, study: Study, block: Block, *at: str | int) -> None:
        """Refuse an experiment whose sequences are longer than the drawn ones."""
        for name, split in self.splits.items():
            if (split.forget2_length or 0) > self.length:
                where = place("benchmarks", block.benchmark, "splits", name, "forget2_length")
                raise UserError(f"{where}: {split.forget2_length}: sequences have {self.length} states")

    def check_variant(self, where: str, method: str, variant: Variant) -> None:
        """Refuse a variant that needs refusals or alternatives, frozen models, retain data, or more sequences than there are."""
        kind = load_method(method)
        if not issubclass(kind, LossMethod) or kind.other_answers() or kind.models:
            raise UserError(
                f"{where}: Markov chains allow only methods that need no more than log-probabilities of the forget sequences"
            )
        for setting, value, wanted in (
            ("retain_loss", variant.retain_loss, "none"),
            ("start", variant.start, ORIGINAL),
            ("reference", variant.reference, "plain"),
        ):
            if value != wanted:
                raise UserError(f"{where}: {setting}: {value}: on Markov chains it must be {wanted}")
        training, there = variant.training, 2 * self.learnt(self.forget_sequences)
        needed = training.last_epoch * training.batch_size
        if needed > there:
            taken = f"with a batch_size of {training.batch_size} they need {needed} sequences"
            raise UserError(
                f"{where}: epochs: {training.last_epoch}: {taken}, but the two forget chains have {there} for training"
            )
