"""The model for lm-eval in several processes: each process runs every n-th batch, and all receive all answers.

lm-eval itself divides questions, not batches, so its numbers depend slightly on the number of processes. It pads every batch, on
the right for scoring and on the left for generation; requests for which padding is not exact get a batch of their own. The
other requests share batches with requests of similar length. lm-eval computes the logits of every token, so the size of the
logits limits a batch.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import torch
from lm_eval.models.huggingface import HFLM
from lm_eval.models.utils import normalize_gen_kwargs
from torch import Tensor

from palimpsest import processes
from palimpsest.errors import Diverged, UserError
from palimpsest.models.batches import exact_batches, run_divided
from palimpsest.models.decoding import end_tokens
from palimpsest.models.layouts import exact_layouts

Answer = TypeVar("Answer")

# The most numbers in the logits of a batch: 2 GB in fp32, and lm-eval keeps two copies.
LOGITS = 2**29
# The most tokens of a batch. It limits the batches of a model with a small vocabulary.
TOKENS = 2**13


class SharedHFLM(HFLM):  # type: ignore[misc]
    """An HFLM that gets the same requests in every process and runs each batch in one of them; with one process, plain HFLM."""

    end: int | None = None
    """The token that ends the model's answers, besides its other end tokens."""
    _batches = 0

    def _is_mine(self) -> bool:
        self._batches += 1
        return self._batches % processes.count() == processes.rank()

    def _model_call(self, inps: Tensor, **more: Any) -> Tensor:
        if self._is_mine():
            call = super()._model_call
            # Masks and labels would have to be divided too.
            parts = [call(inps, **more)] if more else run_divided(lambda rows: [call(rows)], inps)
            return parts[0] if len(parts) == 1 else torch.cat(parts)
        vocabulary = self.model.config.get_text_config().vocab_size
        return torch.full((1, 1, 1), math.nan, device=inps.device).expand(*inps.shape, vocabulary)

    def _model_generate(self, context: Tensor, *given: Any, **more: Any) -> Tensor:
        ends = end_tokens(self.model, self.tokenizer, self.end)
        return super()._model_generate(context, *given, eos_token_id=ends, **more) if self._is_mine() else context

    def _loglikelihood_tokens(self, requests: Any, disable_tqdm: bool = False, **more: Any) -> list[tuple[float, bool]]:
        reach, quiet = exact_layouts(self.model).reach, disable_tqdm or not processes.is_main()
        lengths = [len(context) + len(continuation) for _, context, continuation in requests]
        ask = super()._loglikelihood_tokens
        answers = self._batched(requests, lengths, reach, lambda some: ask(some, quiet, **more))
        heard = [
            next((one for one in each if not math.isnan(one[0])), each[0])
            for each in zip(*processes.gather(answers), strict=True)
        ]
        # lm-eval would count a comparison with NaN as a wrong answer, which gives an accuracy near chance.
        if not all(math.isfinite(value) for value, _ in heard):
            raise Diverged("a log-likelihood of an answer is not finite in lm-eval")
        return heard

    def generate_until(self, requests: Any, disable_tqdm: bool = False) -> list[str]:
        """Return the continuation of each request."""
        reach, quiet = exact_batches(self.model).reach, disable_tqdm or not processes.is_main()
        lengths = [self._tokens(*request.args) for request in requests]
        ask = super().generate_until
        try:
            answers = self._batched(requests, lengths, reach, lambda some: ask(some, quiet))
        except AssertionError as error:
            # The task requests more tokens than the model has positions.
            raise UserError(f"suites: lm-eval: {error}") from None
        return [max(each, key=len) for each in zip(*processes.gather(answers), strict=True)]

    def _batched(
        self, requests: Sequence[Any], lengths: Sequence[int], reach: float, ask: Callable[[Any], list[Answer]]
    ) -> list[Answer]:
        """Return the answers to requests of these lengths in tokens; those longer than `reach` run one by one."""
        tokens = min(LOGITS // self.model.config.get_text_config().vocab_size, TOKENS)
        sizes = [max(tokens >> (length - 1).bit_length(), 1) if length <= reach else 1 for length in lengths]
        answers: dict[int, Answer] = {}
        for size in sorted(set(sizes)):
            self.batch_size_per_gpu = size
            some = [number for number, of in enumerate(sizes) if of == size]
            answers |= zip(some, ask([requests[number] for number in some]), strict=True)
        return [answers[number] for number in range(len(requests))]

    def _tokens(self, context: str, settings: dict[str, Any]) -> int:
        """Return the number of tokens of a prompt with its longest requested continuation."""
        return len(self.tok_encode(context)) + int(normalize_gen_kwargs(settings, self.max_gen_toks)["max_gen_toks"])
