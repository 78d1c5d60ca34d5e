"""The environment and cost of a job: versions, host, time, memory; stored beside the manifest, so that manifests repeat."""

import os
import platform
import resource
import sys
import time
from collections.abc import Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

from palimpsest import processes
from palimpsest.provenance.commit import COMMIT

PACKAGES = (
    "torch",
    "transformers",
    "tokenizers",
    "accelerate",
    "peft",
    "bitsandbytes",
    "datasets",
    "scipy",
    "numpy",
    "pandas",
    "pyarrow",
    "rouge-score",
    "regex",
    "lm-eval",
    "safetensors",
    "gguf",
    "pypdf",
    "pydantic",
    "jinja2",
    "vl-convert-python",
    "snakemake",
)


def usage() -> dict[str, float]:
    """Return the CPU seconds of this process and its children so far, and its peak memory on the CPU and on its GPU, in GB."""
    own, children = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    # Linux counts kilobytes, macOS bytes.
    unit = 1024**3 if sys.platform == "darwin" else 1024**2
    torch = sys.modules.get("torch")
    on_gpu = torch is not None and torch.cuda.is_initialized()
    return {
        "cpu_seconds": round(own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime, 3),
        "peak_memory_gb": round(own.ru_maxrss / unit, 4),
        "peak_gpu_memory_gb": round(torch.cuda.max_memory_allocated() / 1024**3, 4) if torch and on_gpu else 0.0,
    }


def describe_environment(started: float, phases: Mapping[str, float], usages: Sequence[Mapping[str, float]]) -> dict[str, Any]:
    """Return commit, versions, host, container image, command, times and memory.

    `started` is in seconds (time.time()); `phases` are the seconds of each part of the job; `usages` has the `usage` of each
    process. The CPU seconds and the memory of all processes are summed; of the GPUs, the fullest counts.
    """
    return {
        "commit": os.environ.get(COMMIT) or None,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "host": platform.node(),
        "cpu": _cpu(),
        "cpus": os.cpu_count(),
        "packages": {name: version for name in PACKAGES if (version := _version(name))},
        "device": _device(),
        "processes": processes.count(),
        # Apptainer and Singularity both set it.
        "image": os.environ.get("SINGULARITY_NAME"),
        "command": sys.argv,
        "started": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(started)),
        "seconds": round(time.time() - started, 3),
        "phases": {name: round(seconds, 3) for name, seconds in phases.items()},
        **{name: round(sum(use[name] for use in usages), 4) for name in ("cpu_seconds", "peak_memory_gb")},
        "peak_gpu_memory_gb": max(use["peak_gpu_memory_gb"] for use in usages),
    }


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _cpu() -> str:
    """Return the CPU model, whose vector units determine the rounding of sums."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def _device() -> str:
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        return str(torch.cuda.get_device_name())
    return "cpu"
