"""Stage `alternatives`: the start model makes up other answers to the forget questions, which AltPO prefers."""

from __future__ import annotations

from collections.abc import Sequence

from palimpsest.contract.job import Job, run_stage
from palimpsest.data.filling import fill
from palimpsest.data.prompts import ANSWER, QUESTION
from palimpsest.evaluation.asking import Alternatives
from palimpsest.models.settings import UsedSettings
from palimpsest.provenance.manifest import FACT, Remark
from palimpsest.settings import Settings


class Spec(Settings):
    """How the model is loaded and asked."""

    seed: int
    model: UsedSettings
    asking: Alternatives


def work(job: Job[Spec]) -> None:
    """Sample the alternatives to every answer of the input `split`'s forget set from the input `model`."""
    from palimpsest.data.alternatives import FILE, write_alternatives
    from palimpsest.data.prompts import PromptEncoder
    from palimpsest.evaluation.cutting import cut_answer
    from palimpsest.evaluation.drawing import sample_answers
    from palimpsest.evaluation.questions import read_questions
    from palimpsest.models.limits import check_prompts
    from palimpsest.models.loading import load_tokenizer
    from palimpsest.models.precision import autocast
    from palimpsest.stages.loading import load_input
    from palimpsest.streams import stream

    seed, used, asking = job.spec.seed, job.spec.model, job.spec.asking
    asked = [(row, sample) for row in read_questions(job.input("split"), "forget") for sample in range(asking.number)]
    tokenizer = load_tokenizer(job.input("model"))
    model = load_input(job, "model", used, frozen=True)
    encoder = PromptEncoder(tokenizer, used.prompt)
    prompts = [encoder.prompt(filled(asking.request, row.question, row.answer)) for row, _ in asked]
    check_prompts(model, [row.id for row, _ in asked], prompts, asking.max_new_tokens)
    with autocast(model.device, used):
        said = sample_answers(
            model,
            tokenizer,
            prompts,
            (stream(seed, "alternatives", row.id, sample) for row, sample in asked),
            temperature=asking.temperature,
            max_new_tokens=asking.max_new_tokens,
            end=encoder.end,
        )
    texts = [cut_answer(text, row.answer) for (row, _), text in zip(asked, said, strict=True)]
    if told := remark_on(texts, [row.answer for row, _ in asked]):
        job.remark(told)
    rows = [
        {"id": row.id, "sample": sample, "question": row.question, "answer": row.answer, "generation": text}
        for (row, sample), text in zip(asked, texts, strict=True)
    ]
    write_alternatives(job.out / FILE, rows)


def filled(request: str, question: str, answer: str) -> str:
    """Return a request with the question and the answer in their places; what these spell themselves stays as it is."""
    return fill(request, {QUESTION: question, ANSWER: answer})


def remark_on(alternatives: Sequence[str], answers: Sequence[str]) -> Remark | None:
    """Return how many alternatives teach nothing else than the true answer, or nothing at all; None if there are none."""
    same = sum(text == answer.strip() for text, answer in zip(alternatives, answers, strict=True))
    empty = sum(not text for text in alternatives)
    if not same + empty:
        return None
    return Remark(FACT, f"alternatives: of {len(alternatives)}, {same} are the true answer itself and {empty} are empty")


if __name__ == "__main__":
    run_stage("alternatives", Spec, work)
