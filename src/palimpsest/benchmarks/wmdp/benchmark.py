"""The benchmark WMDP: hazardous knowledge to forget, judged by multiple choice."""

from typing import ClassVar, Literal

from palimpsest.benchmarks.base import Block, Study
from palimpsest.benchmarks.documents import FORGET, CorpusBenchmark
from palimpsest.errors import UserError
from palimpsest.evaluation.lm_eval.suite_settings import LmEvalSuite
from palimpsest.mistakes import known, place
from palimpsest.names import ORIGINAL


class WmdpBenchmark(CorpusBenchmark):
    """Hazardous knowledge to forget, judged by multiple choice (WMDP, arXiv 2403.03218); there is no Retrain."""

    roles: ClassVar = (ORIGINAL,)
    suite_kinds: ClassVar = ("lm-eval",)
    kind: Literal["wmdp"]
    """Corpora, in the form of WMDP."""
    original: Literal["base", "finetuned"] = "base"
    """The model that unlearns: the base itself, which knows the hazards, or the base fine-tuned on the source's lessons."""
    forget_task: str
    """The task of lm-eval that asks for what is to be forgotten."""
    utility_task: str
    """The task of lm-eval that asks for what is to stay."""

    @property
    def original_is_base(self) -> bool:
        """Whether the base knows the hazards."""
        return self.original == "base"

    @property
    def split_names(self) -> str:
        """How its splits are called."""
        return FORGET

    def has_split(self, split: str) -> bool:
        """Return whether a name is that of the one split."""
        return split == FORGET

    def check(self, study: Study, block: Block, *at: str | int) -> None:
        """Refuse an original that nothing can be taught, and suites that do not ask the tasks of the benchmark."""
        super().check(study, block, *at)
        if self.original == "finetuned" and ORIGINAL not in study.sources[self.source].sets:
            where = place("benchmarks", block.benchmark, ORIGINAL)
            raise UserError(f"{where}: finetuned: source {self.source!r} has no lessons: base")
        listed = {name for other in study.blocks if other.benchmark == block.benchmark for name in other.suites}
        suites = [suite for name in listed if isinstance(suite := study.suites.get(name), LmEvalSuite)]
        asked = [name for suite in suites for name in suite.names]
        # A stock task may be a group of others, whose names lm-eval alone knows.
        if all(suite.is_local for suite in suites) and suites:
            known("task", [self.forget_task], asked, "benchmarks", block.benchmark, "forget_task")
            known("task", [self.utility_task], asked, "benchmarks", block.benchmark, "utility_task")
