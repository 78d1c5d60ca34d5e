"""Stage `reference`: the log-probabilities under a reference model of the forget answers and, if wanted, of other answers.

Other answers are the refusals, if the spec asks for them, or the answers of the input `alternatives`. The reference model is the
model that unlearning starts from, or its weighted mean with a random model (SimNPO, App. B).
"""

from typing import Annotated

from pydantic import Field

from palimpsest.contract.job import Job, run_stage
from palimpsest.data.rows import read_lessons
from palimpsest.models.settings import UsedSettings
from palimpsest.settings import Settings


class Spec(Settings):
    """How the model is loaded, the share of the random model in it, and whether refusals are scored too."""

    model: UsedSettings
    random_share: Annotated[float, Field(ge=0, le=1)]
    seed: int
    refusals: bool
    """Whether to score every refusal as the answer to every forget question, which takes many times as long."""


def work(job: Job[Spec]) -> None:
    """Score every forget question with its answer, or every chunk of a forget text."""
    from palimpsest.data.prompts import Encoded, PromptEncoder
    from palimpsest.methods.base import OtherAnswers
    from palimpsest.models.encoding import named_items
    from palimpsest.models.limits import check_items
    from palimpsest.models.loading import load_tokenizer
    from palimpsest.models.mixing import mix_with_random
    from palimpsest.models.precision import autocast
    from palimpsest.models.scoring import TOKENS_PER_PASS
    from palimpsest.stages.loading import load_input
    from palimpsest.stages.others import read_others
    from palimpsest.training.references import FILE, compute_references, write_references

    used, split = job.spec.model, job.input("split")
    forget = read_lessons(split / "forget.jsonl")
    tokenizer = load_tokenizer(job.input("model"))
    model = load_input(job, "model", used, frozen=True)
    if job.spec.random_share:
        mix_with_random(model, job.spec.random_share, job.spec.seed)
    encoder = PromptEncoder(tokenizer, used.prompt)
    ids, items = named_items(forget, tokenizer, used, model)
    wanted: OtherAnswers = "refusal" if job.spec.refusals else "alternative" if job.inputs("alternatives") else ""
    others = read_others(job, wanted, ids, encoder)
    check_items(model, ids, [Encoded(item.prompt, of) for item, of in zip(items, others, strict=True)])
    with autocast(model.device, used):
        references = compute_references(model, ids, items, others, TOKENS_PER_PASS)
    write_references(job.out / FILE, references)


if __name__ == "__main__":
    run_stage("reference", Spec, work)
