"""The model as lm-eval sees it, in several processes: each runs every n-th batch, and all hear all answers.

lm-eval's own way deals questions out, not batches, so that its numbers move a little with the number of processes.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from lm_eval.models.huggingface import HFLM
from torch import Tensor

from palimpsest import processes
from palimpsest.errors import Diverged, UserError


class SharedHFLM(HFLM):  # type: ignore[misc]
    """An HFLM that every process asks the same and that runs every batch in one of them; with one process no other than HFLM."""

    _batches = 0

    def _is_mine(self) -> bool:
        self._batches += 1
        return self._batches % processes.count() == processes.rank()

    def _model_call(self, inps: Tensor, **more: Any) -> Tensor:
        if self._is_mine():
            logits: Tensor = super()._model_call(inps, **more)
            return logits
        vocabulary = self.model.config.get_text_config().vocab_size
        return torch.full((1, 1, 1), math.nan, device=inps.device).expand(*inps.shape, vocabulary)

    def _model_generate(self, context: Tensor, *given: Any, **more: Any) -> Tensor:
        return super()._model_generate(context, *given, **more) if self._is_mine() else context

    def _loglikelihood_tokens(self, requests: Any, disable_tqdm: bool = False, **more: Any) -> list[tuple[float, bool]]:
        answers = super()._loglikelihood_tokens(requests, disable_tqdm or not processes.is_main(), **more)
        heard = [
            next((one for one in each if not math.isnan(one[0])), each[0])
            for each in zip(*processes.gather(answers), strict=True)
        ]
        # To lm-eval a comparison with NaN is a wrong answer, and an accuracy made of such comparisons is about chance.
        if not all(math.isfinite(value) for value, _ in heard):
            raise Diverged("a log-likelihood of an answer is not finite in lm-eval")
        return heard

    def generate_until(self, requests: Any, disable_tqdm: bool = False) -> list[str]:
        """Return the continuation of each request."""
        try:
            answers = super().generate_until(requests, disable_tqdm or not processes.is_main())
        except AssertionError as error:
            # A task that asks for more tokens than the model has positions.
            raise UserError(f"suites: lm-eval: {error}") from None
        return [max(each, key=len) for each in zip(*processes.gather(answers), strict=True)]
