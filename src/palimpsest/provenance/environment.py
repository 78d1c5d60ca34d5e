"""The environment of a job: versions, host, times. It is stored next to the manifest, so that manifests are reproducible."""

import os
import platform
import sys
import time
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
    "snakemake",
)


def describe_environment(started: float) -> dict[str, Any]:
    """Return commit, versions, host, container image, command and wall time in seconds since `started` (time.time())."""
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
