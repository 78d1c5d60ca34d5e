"""Stage `judge`: a judge reads the answers of one model, and says of each whether it tells what the right answer tells."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from pydantic import model_validator

from palimpsest.contract.job import Job, run_stage
from palimpsest.errors import UserError
from palimpsest.evaluation.items import TABLE, read_table, write_table
from palimpsest.evaluation.judging.settings import Api
from palimpsest.evaluation.judging.verdicts import SCHEMA, fill, verdict
from palimpsest.models.settings import UsedSettings
from palimpsest.progress import track
from palimpsest.provenance.canonical import sha256_text
from palimpsest.provenance.manifest import FACT, Remark
from palimpsest.settings import Settings

# A file in scratch: the replies so far. It is written after so many replies, and if a request fails.
REPLIES, KEPT_AFTER = "replies.json", 50


class Spec(Settings):
    """The prompt, and the sets whose answers are judged, as answers on the forget or the retain set.

    Either `model` says how the model in the input `judge` is loaded, or `api` where a model is asked.
    """

    prompt: str
    sets: dict[str, Literal["forget", "retain"]]
    max_new_tokens: int
    model: UsedSettings | None = None
    api: Api | None = None

    @model_validator(mode="after")
    def _check(self) -> Spec:
        if (self.model is None) == (self.api is None):
            raise ValueError("give either model or api")
        return self


def work(job: Job[Spec]) -> None:
    """Write the table of verdicts."""
    spec = job.spec
    rows = _answers(read_table(job.input("eval") / TABLE), spec.sets)
    prompts = [fill(spec.prompt, row["question"], row["answer"], row["generation"]) for row in rows]
    # The same answer is judged once.
    asked = list(dict.fromkeys(prompts))
    replies = dict(zip(asked, _ask(job, spec.api, asked) if spec.api else _generate(job, asked), strict=True))
    for row, prompt in zip(rows, prompts, strict=True):
        reply, replier = replies[prompt]
        row |= {"prompt_sha256": sha256_text(prompt), "reply": reply, "replier": replier, "told": verdict(reply)}
    write_table(job.out / TABLE, rows, SCHEMA)
    if without := Counter(row["told"] for row in rows)[None]:
        job.remark(Remark(FACT, f"the judge's reply is no verdict for {without} of {len(rows)} answers"))


def _answers(table: Sequence[Mapping[str, Any]], sets: Mapping[str, str]) -> list[dict[str, Any]]:
    """Return the answers of some sets of a table; their ids begin with the set that they had there."""
    return [
        {
            "set": sets[row["set"]],
            "id": f"{row['set']}/{row['id']}",
            "question": row["question"] if "question" in row else row["prompt"],
            "answer": row["answer"],
            "generation": row["generation"],
        }
        for row in table
        if row["set"] in sets
    ]


def _generate(job: Job[Spec], prompts: Sequence[str]) -> list[tuple[str, str]]:
    """Return the greedy reply of the model on this machine to each prompt."""
    from palimpsest.data.prompts import PromptEncoder
    from palimpsest.evaluation.generation import generate_answers
    from palimpsest.models.limits import check_prompts
    from palimpsest.models.loading import load_tokenizer
    from palimpsest.models.precision import autocast
    from palimpsest.stages.loading import load_input

    used, most = job.spec.model, job.spec.max_new_tokens
    assert used
    model, tokenizer = load_input(job, "judge", used, frozen=True), load_tokenizer(job.input("judge"))
    encoder = PromptEncoder(tokenizer, used.prompt)
    encoded = [encoder.prompt(prompt) for prompt in prompts]
    check_prompts(model, [f"the judge's prompt {sha256_text(prompt)}" for prompt in prompts], encoded, most)
    with autocast(model.device, used):
        replies = generate_answers(model, tokenizer, encoded, most, encoder.end)
    return [(reply, "") for reply in replies]


def _ask(job: Job[Spec], api: Api, prompts: Sequence[str]) -> list[tuple[str, str]]:
    """Return the reply behind an address to each prompt, and the model that gave it; an interrupted run asks for the rest."""
    from palimpsest.evaluation.judging.api import Client

    client, path = Client(api, job.spec.max_new_tokens), job.scratch / REPLIES
    known: dict[str, list[str]] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    left = [prompt for prompt in prompts if prompt not in known]
    try:
        for number, prompt in enumerate(track(left, "judge", total=len(left)), 1):
            known[prompt] = [*client.ask(prompt)]
            if number % KEPT_AFTER == 0:
                job.keep(path, lambda partial: _write(partial, known))
    except UserError:
        job.keep(path, lambda partial: _write(partial, known))
        raise
    return [(text, replier) for text, replier in (known[prompt] for prompt in prompts)]


def _write(path: Any, replies: Mapping[str, Sequence[str]]) -> None:
    path.write_text(json.dumps(replies), encoding="utf-8")


if __name__ == "__main__":
    run_stage("judge", Spec, work)
