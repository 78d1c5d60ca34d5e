"""The benchmark WMDP: hazardous knowledge to forget, measured by multiple-choice questions."""

from typing import ClassVar, Literal

from palimpsest.benchmarks.base import Block, Study
from palimpsest.benchmarks.corpora import CorpusBenchmark
from palimpsest.errors import UserError
from palimpsest.evaluation.lm_eval.suite_settings import LmEvalSuite
from palimpsest.mistakes import known, place
from palimpsest.names import ORIGINAL


class WmdpBenchmark(CorpusBenchmark):
    """Hazardous knowledge to forget, measured by multiple-choice questions (WMDP, arXiv 2403.03218); there is no Retrain."""

    roles: ClassVar = (ORIGINAL,)
    suite_kinds: ClassVar = ("lm-eval",)
    measures_attacks: ClassVar = "lm-eval"
    kind: Literal["wmdp"]
    """Corpora in WMDP's format."""
    original: Literal["base", "finetuned"] = "base"
    """The Original: the base model, which already contains the hazardous knowledge, or the base fine-tuned on the source's
    lessons."""
    forget_task: str
    """The lm-eval task about the knowledge to forget."""
    utility_task: str
    """The lm-eval task about the knowledge to retain."""

    @property
    def original_is_base(self) -> bool:
        """Whether the base model is the Original."""
        return self.original == "base"

    def check(self, study: Study, block: Block, *at: str | int) -> None:
        """Refuse `original: finetuned` without lessons, and suites that do not contain the tasks of the benchmark."""
        super().check(study, block, *at)
        if self.original == "finetuned" and ORIGINAL not in study.sources[self.source].sets:
            where = place("benchmarks", block.benchmark, ORIGINAL)
            raise UserError(f"{where}: finetuned: source {self.source!r} has no lessons: base")
        listed = {name for other in study.blocks if other.benchmark == block.benchmark for name in other.suites}
        suites = [suite for name in listed if isinstance(suite := study.suites.get(name), LmEvalSuite)]
        asked = [name for suite in suites for name in suite.names]
        # A stock task may be a group of tasks whose names only lm-eval knows.
        if suites and not any(suite.stock for suite in suites):
            known("task", [self.forget_task], asked, "benchmarks", block.benchmark, "forget_task")
            known("task", [self.utility_task], asked, "benchmarks", block.benchmark, "utility_task")
