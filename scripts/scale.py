"""Time to plan a study with ten thousand jobs, against a minimal Snakefile with the same jobs, in one run.

    python scripts/scale.py [--seeds 40] [--variants 64]

Both are dry runs in separate processes. The minimal Snakefile has the same rules, files and dependencies, but no settings, specs,
digests, resources or checks; the difference is Palimpsest's share. On a busy machine, compare CPU seconds.
"""

import argparse
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import yaml

from palimpsest.arguments import Parser, whole

ROOT = Path(__file__).resolve().parents[1]
METHODS = ("npo", "simnpo")
ATTACKS = ("relearn-random", "relearn-shortest")
BARE = """
SEEDS, VARIANTS, ATTACKS = range({seeds}), {variants}, {attacks}
RUN = "results/tofu/tiny/forget10/seed{{seed}}"
rule all:
    input: "summary"
rule data:
    output: "results/tofu/data"
    shell: "touch {{output}}"
rule split:
    input: "results/tofu/data"
    output: "results/tofu/forget10"
    shell: "touch {{output}}"
rule base:
    input: "results/tofu/data"
    output: "results/tofu/tiny/base"
    shell: "touch {{output}}"
rule finetune:
    input: "results/tofu/tiny/base", "results/tofu/forget10"
    output: RUN + "/{{role,original|retrain}}/model"
    shell: "touch {{output}}"
rule reference:
    input: RUN + "/original/model", "results/tofu/forget10"
    output: RUN + "/original/reference"
    shell: "touch {{output}}"
rule unlearn:
    input:
        RUN + "/original/model", "results/tofu/forget10",
        lambda wildcards: RUN + "/original/reference" if wildcards.variant.startswith("npo") else [],
    output: RUN + "/unlearn/{{variant,[^/]+/[^/]+}}/model"
    shell: "touch {{output}}"
rule attack:
    input: RUN + "/unlearn/{{variant}}/model", "results/tofu/forget10"
    output: RUN + "/unlearn/{{variant,[^/]+/[^/]+}}/attack/{{attack,[^/]+}}"
    shell: "touch {{output}}"
rule evaluate:
    input: RUN + "/{{subject}}/model", "results/tofu/forget10"
    output: RUN + "/{{subject,original|retrain|unlearn/[^/]+/[^/]+}}/eval"
    shell: "touch {{output}}"
rule scores:
    input:
        [RUN + f"/unlearn/{{v}}/eval" for v in VARIANTS],
        [RUN + f"/unlearn/{{v}}/attack/{{a}}" for v in VARIANTS for a in ATTACKS],
        RUN + "/original/eval", expand("results/tofu/tiny/forget10/seed{{seed}}/retrain/eval", seed=SEEDS),
    output: RUN + "/scores"
    shell: "touch {{output}}"
rule summary:
    input: expand("results/tofu/tiny/forget10/seed{{seed}}/scores", seed=SEEDS)
    output: "summary"
    shell: "touch {{output}}"
"""


def study_of(seeds: int, variants: int) -> dict[str, Any]:
    """Return a config on top of the demo: every variant is unlearned, evaluated and attacked twice, with every seed."""
    names = [f"v{number}" for number in range(variants // len(METHODS))]
    changes = {name: {"beta": round(0.1 + 0.01 * number, 2)} for number, name in enumerate(names)}
    block = {"benchmark": "tofu", "splits": ["forget10"], "models": ["tiny"], "seeds": list(range(seeds))}
    return {
        "study": "scale",
        "results": "results-scale",
        "variants": {f"tofu/*/tiny/{method}": changes for method in METHODS},
        "blocks": [{**block, "methods": [{method: names} for method in METHODS], "suites": ["tofu"], "attacks": list(ATTACKS)}],
    }


def bare_of(seeds: int, variants: int) -> str:
    """Return a Snakefile with the same jobs."""
    names = [f"{method}/v{number}" for method in METHODS for number in range(variants // len(METHODS))]
    return BARE.format(seeds=seeds, variants=names, attacks=ATTACKS)


def plan(*arguments: str) -> tuple[int, float, float, float]:
    """Return jobs, seconds, CPU seconds and peak memory in MB of a dry run."""
    command = [sys.executable, "-m", "snakemake", "--dry-run", "--quiet", "rules", "--cores", "1", *arguments]
    started = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert process.stdout
    said = process.stdout.read()
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    found = re.search(r"^total +(\d+)", said, flags=re.MULTILINE)
    if process.returncode or not found:
        sys.exit(said)
    return int(found[1]), time.perf_counter() - started, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024


def plan_both(seeds: int = 40, variants: int = 64) -> dict[str, tuple[int, float, float, float]]:
    """Return the cost of both dry runs."""
    with tempfile.TemporaryDirectory() as folder:
        bare, overlay = Path(folder, "Snakefile"), Path(folder, "study.yaml")
        bare.write_text(bare_of(seeds, variants), encoding="utf-8")
        overlay.write_text(yaml.safe_dump(study_of(seeds, variants)), encoding="utf-8")
        configs = ["--configfile", str(ROOT / "config.yaml"), str(overlay)]
        return {
            "a bare Snakefile": plan("--snakefile", str(bare), "--directory", folder, "--workflow-profile", "none"),
            "the workflow": plan("--snakefile", str(ROOT / "Snakefile"), "--directory", folder, *configs),
        }


def main() -> None:
    """Plan both and print the cost."""
    parser = Parser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=whole(1), default=40)
    parser.add_argument("--variants", type=whole(len(METHODS)), default=64, help="variants of both methods together")
    args = parser.parse_args()
    runs = plan_both(args.seeds, args.variants)
    print(f"{'':20s} {'jobs':>7s} {'seconds':>8s} {'CPU s':>7s} {'peak MB':>8s}")
    for name, (jobs, seconds, cpu, memory) in runs.items():
        print(f"{name:20s} {jobs:7d} {seconds:8.1f} {cpu:7.1f} {memory:8.0f}")


if __name__ == "__main__":
    main()
