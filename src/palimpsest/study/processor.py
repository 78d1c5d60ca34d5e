"""Whether the CPU of this machine suits the models of a study that use no GPU."""

from pathlib import Path

from palimpsest.models.settings import UsedSettings, weight_bits
from palimpsest.study.study import Study

# Linux lists the instructions of a CPU here: avx512_bf16 and amx_bf16 on x86, bf16 on ARM.
CPU = Path("/proc/cpuinfo")


def slow_models(study: Study, cpu: Path = CPU) -> list[str]:
    """Return a line for each model that computes in bf16 without a GPU if the CPU has no instruction for it."""
    if not cpu.is_file() or "bf16" in cpu.read_text(encoding="utf-8", errors="replace"):
        return []
    return [
        f"models: {name}: precision: {model.precision}: this CPU has no instruction for bf16, so a step takes many times as long"
        " as in fp32"
        for name, model in study.config.models.items()
        # The models of Markov chains have no setting for it.
        if isinstance(model, UsedSettings) and model.resources.gpu == 0 and weight_bits(model.precision, frozen=True) == 16
    ]
