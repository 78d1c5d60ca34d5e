"""A study that computes in bf16 on a CPU without instructions for it is told so, as nothing else would say why it takes days."""

import copy
from pathlib import Path

import pytest
from example_study import CONFIG

from palimpsest.study.processor import slow_models
from palimpsest.study.study import Study


@pytest.mark.parametrize(
    ("flags", "precision", "gpu", "is_slow"),
    [
        ("fma avx avx2", "bf16-mixed", 0, True),
        ("fma avx avx2", "bf16", 0, True),
        ("fma avx avx2", "fp32", 0, False),
        ("fma avx avx2", "bf16", 1, False),
        ("avx512f avx512_bf16 amx_bf16", "bf16-mixed", 0, False),
        ("asimd sve bf16 i8mm", "bf16", 0, False),
        (None, "bf16", 0, False),
    ],
)
def test_bf16_on_a_cpu_without_its_instructions_is_one_line(
    tmp_path: Path, flags: str | None, precision: str, gpu: int, is_slow: bool
) -> None:
    config = copy.deepcopy(CONFIG)
    config["models"]["tiny"] |= {"precision": precision}
    config["models"]["tiny"]["resources"] |= {"gpu": gpu}
    if flags:
        (tmp_path / "cpuinfo").write_text(f"processor\t: 0\nflags\t\t: {flags}\n", encoding="utf-8")
    told = slow_models(Study(config), tmp_path / "cpuinfo")
    assert bool(told) == is_slow
    if is_slow:
        (line,) = told
        assert line.startswith(f"models: tiny: precision: {precision}: this CPU has no instruction for bf16")
