"""Every family of causal language models that transformers has: one NLL an answer and one continuation a prompt, or refused."""

from pathlib import Path
from typing import Any

import pytest
import torch
from families import FAMILIES, LARGEST, NOT_BUILT, SIZES, build_family, count_parameters, small_config
from test_batches import TOKENIZER, prompts
from test_decoding import continued, ending_with, texts_of
from test_layouts import assert_alone, items

from palimpsest.errors import UserError
from palimpsest.evaluation.generation import continue_texts
from palimpsest.models.layouts import exact_layouts
from palimpsest.models.loading import load_model
from palimpsest.models.settings import UsedSettings

pytestmark = pytest.mark.slow

BUILT = [kind for kind in FAMILIES if kind not in NOT_BUILT]
NOT_CAUSAL = ("cpmant", "prophetnet", "xlm", "xlnet")
# Hashes sort its tokens in chunks, in another way every time.
RANDOM = ("reformer",)
# It scores texts and does not continue them, because its states have fixed sizes.
SILENT = ("xlstm",)
SEEN = [kind for kind in BUILT if kind not in NOT_CAUSAL and kind not in RANDOM]


def test_the_families_that_are_not_built_are_listed() -> None:
    failed = set()
    for kind in FAMILIES:
        try:
            assert count_parameters(kind) <= LARGEST
            build_family(kind)
        except Exception:
            failed.add(kind)
    assert failed == NOT_BUILT.keys()


@pytest.mark.parametrize("kind", NOT_CAUSAL)
def test_a_family_that_is_not_causal_is_refused(kind: str) -> None:
    with pytest.raises(UserError, match="it is not a causal language model"):
        exact_layouts(build_family(kind))


@pytest.mark.parametrize("kind", SEEN)
def test_every_answer_scores_as_if_alone(kind: str, tmp_path: Path) -> None:
    build_family(kind).save_pretrained(tmp_path)
    model = load_model(tmp_path, UsedSettings())
    assert_alone(model, items(8), 1, 60, 500)


@pytest.mark.parametrize("kind", SEEN)
def test_every_prompt_is_continued_as_if_alone(kind: str) -> None:
    model = build_family(kind, vocab_size=len(TOKENIZER))
    if kind in SILENT:
        with pytest.raises(UserError, match="it cannot continue a text"):
            continue_texts(model, TOKENIZER, prompts(), 6)
        return
    plain = [continued(model, prompt, 6) for prompt in prompts()]
    assert continue_texts(model, TOKENIZER, prompts(), 6) == texts_of(plain)
    # Now some rows end early.
    tokenizer = ending_with(plain[1][2])
    assert continue_texts(model, tokenizer, prompts(), 12) == texts_of(
        continued(model, prompt, 12, tokenizer.eos_token_id) for prompt in prompts()
    )


def is_a_size(name: str) -> bool:
    return name in SIZES or name.startswith(("_", "output_", "num_labels")) or name.endswith(("_id", "_index"))


@pytest.mark.parametrize("kind", SEEN)
def test_no_setting_of_a_family_makes_a_number_that_is_not_an_answer_s_own(kind: str) -> None:
    """Whatever a setting means, a small value shows what it would do to long texts."""
    settings = small_config(kind).get_text_config(decoder=True).to_dict()
    tried = 0
    for name, value in settings.items():
        if is_a_size(name) or not (value is None or isinstance(value, int)):
            continue
        changed: Any = not value if isinstance(value, bool) else 8
        try:
            model = build_family(kind, **{name: changed})
            with torch.no_grad():
                model(input_ids=torch.tensor([[5, 6, 7, 8] * 6]))
            exact_layouts(model)
        except Exception:
            # Not every value makes a model, and not every model is causal.
            continue
        tried += 1
        assert_alone(model, items(4, answers=2), 60)
    assert tried
