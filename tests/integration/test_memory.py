"""The memory that `palimpsest plan` counts is the memory that a training takes: measured on the CPU, in a process of its own."""

import json
import os
from pathlib import Path

import pytest

import forked
from palimpsest.planning import Size, activation_bytes, training_bytes, weight_bytes

ROOT = Path(__file__).resolve().parents[2]
WIDTH, LAYERS, VOCABULARY, TOKENS = 640, 8, 2000, 488
TRAINING = f"""
import json, sys
from transformers import LlamaConfig, LlamaForCausalLM
from palimpsest.data.prompts import Encoded
from palimpsest.models.settings import UsedSettings
from palimpsest.training.loop import train
from palimpsest.training.problems import FineTuning
from palimpsest.training.settings import TrainSettings

def memory(name):
    lines = open("/proc/self/status").read().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(name))

def model(width, layers, vocabulary):
    shape = dict(hidden_size=width, intermediate_size=8 * width // 3, num_hidden_layers=layers, num_attention_heads=8)
    return LlamaForCausalLM(LlamaConfig(vocab_size=vocabulary, max_position_embeddings=512, tie_word_embeddings=True, **shape))

def trained(made):
    settings = TrainSettings(learning_rate=1e-4, epochs=2, batch_size=8, tokens_per_pass={TOKENS})
    items = [Encoded([1], [[2, 3, 4] * 20]) for _ in range(8)]
    train(made, FineTuning(items), settings, UsedSettings(gradient_checkpointing=sys.argv[1] == "True"), seed=0, label="x")

trained(model(32, 1, 50))  # imports, and buffers of the libraries
before = memory("VmRSS")
made = model({WIDTH}, {LAYERS}, {VOCABULARY})
loaded = memory("VmRSS")
trained(made)
sizes = sum(weight.numel() for weight in made.parameters()), loaded - before, memory("VmHWM") - before
open("sizes.json", "w").write(json.dumps(sizes))
"""


@pytest.mark.parametrize("checkpointing", [False, True])
def test_a_training_takes_the_memory_that_is_planned(tmp_path: Path, checkpointing: bool) -> None:
    (tmp_path / "measured.py").write_text(TRAINING)
    env = {**os.environ, "PYTHONPATH": f"{ROOT / 'src'}:{tmp_path}", "OMP_NUM_THREADS": "1"}
    ran = forked.run(["-m", "measured", str(checkpointing)], env, tmp_path)
    assert ran.returncode == 0, ran.stdout
    parameters, weights, peak = json.loads((tmp_path / "sizes.json").read_text())
    size = Size(parameters, LAYERS, WIDTH, VOCABULARY)
    assert weights == pytest.approx(weight_bytes(size, "fp32"), rel=0.1)
    kept = activation_bytes(size, "fp32", TOKENS, checkpointing=checkpointing)
    # Buffers of the optimiser and of matrix products are not in the plan.
    assert 0.95 < peak / (training_bytes(size, "fp32", parameters) + kept) < 1.25
