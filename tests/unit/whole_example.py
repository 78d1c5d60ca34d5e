"""A study with data for every question of the report: written out by formulas, with as many seeds as are asked for."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import markov_example
import pandas as pd
import text_example
from question_example import Rows, losses, ratios, settings, weights
from report_example import block, numbers, spec, write_summary

from palimpsest.report.study import ReportSpec
from palimpsest.scores.columns import TRUTH_RATIO_COLUMNS, stack

# By method: forget quality, model utility, forget probability; SimNPO is above NPO as the paper has it.
LEVELS = {
    "original": (1e-12, 0.62, 0.95),
    "retrain": (1.0, 0.61, 0.15),
    "ga": (1e-9, 0.05, 0.01),
    "graddiff": (1e-4, 0.50, 0.05),
    "w-graddiff": (0.02, 0.52, 0.08),
    "idk": (1e-6, 0.55, 0.60),
    "npo": (0.55, 0.54, 0.10),
    "simnpo": (0.90, 0.58, 0.14),
    "rkld": (0.1, 0.56, 0.12),
}
SUITE = {"kind": "lm-eval", "tasks": ["wmdp_bio", "mmlu"]}
REFERENCES = {"random-10": {"random_share": 0.1}, "random-50": {"random_share": 0.5}}
ATTACKS: dict[str, Any] = {
    "relearn-random": {"select": "random", "training": {"epochs": 3}},
    "relearn-shortest": {"select": "shortest", "training": {"epochs": 3}},
}


def _wobble(seed: int, size: float) -> float:
    """A spread over seeds that is small and repeats."""
    return size * math.sin(3.0 * seed)


def _tofu(seeds: Sequence[int]) -> Rows:
    models: dict[str, dict[int, dict[str, float]]] = {}
    for method, (quality, utility, probability) in LEVELS.items():
        for seed in seeds:
            found = {
                "forget_quality": min(quality * (1 + _wobble(seed, 0.05)), 1.0),
                "model_utility": utility + _wobble(seed, 0.01),
                "forget_probability": probability + _wobble(seed, 0.01),
                "forget_truth_ratio": 0.6,
                "forget_quality_shortest": quality * 0.7,
                "forget_quality_longest": min(quality * 1.1, 1.0),
            }
            models.setdefault(method, {})[seed] = found | ({"forget_quality_floor": 0.7} if method == "retrain" else {})
    for seed in seeds:
        halves = {"forget_quality_first_half": 0.02, "forget_quality_second_half": 0.6, "model_utility": 0.5}
        models.setdefault("npo/half", {})[seed] = halves
        models.setdefault("simnpo/half", {})[seed] = {key: min(value + 0.2, 1.0) for key, value in halves.items()}
        models.setdefault("npo/random-10", {})[seed] = {"forget_quality": 0.4 + _wobble(seed, 0.05), "model_utility": 0.54}
        models.setdefault("npo/random-50", {})[seed] = {"forget_quality": 0.1 + _wobble(seed, 0.05), "model_utility": 0.53}
        for beta in (1.5, 2.5, 4.5):
            for gamma in (0.0, 1.0):
                scores = {"forget_quality": 0.9 / (1 + gamma) - 0.05 * beta, "model_utility": 0.5 + 0.01 * beta}
                models.setdefault(f"simnpo/b{beta}g{gamma}", {})[seed] = scores
    rows = numbers(models)
    for epoch in range(5):
        course = {
            "npo": {
                "forget_quality": 0.14 * epoch + 1e-6,
                "model_utility": (0.62, 0.4, 0.45, 0.5, 0.54)[epoch],
                "kl_forget": 0.3 * epoch,
            },
            "simnpo": {"forget_quality": 0.22 * epoch + 1e-6, "model_utility": 0.62 - 0.01 * epoch, "kl_forget": 0.25 * epoch},
            "ga": {"forget_quality": 1e-6, "model_utility": 0.62 * 0.4**epoch, "kl_forget": 3.0 * epoch},
        }
        at = {
            method: {seed: {k: v * (1 + _wobble(seed, 0.02)) for k, v in of.items()} for seed in seeds}
            for method, of in course.items()
        }
        rows += [row | {"epoch": epoch} for row in numbers(at)]
    # SimNPO's lead is the smaller one for the shortest answers, so that one claim does not hold.
    for attack, strength in (("relearn-random", 2.0), ("relearn-shortest", 1.0)):
        for method, start in (("npo", 0.55), ("simnpo", 0.9)):
            for seed in seeds:
                for epoch in range(4):
                    quality = start * math.exp(-strength * epoch * (1.2 if method == "npo" else 0.6))
                    place = {"benchmark": "tofu", "split": "forget05", "model": "tiny", "seed": seed, "method": method}
                    place |= {"variant": "default", "attack": attack, "epoch": epoch, "suite": "tofu"}
                    values = {"forget_quality": quality * (1 + _wobble(seed, 0.05)), "forget_probability": 0.1 + 0.2 * epoch}
                    rows += [place | {"metric": metric, "value": value} for metric, value in values.items()]
    return rows


def _ratios(seeds: Sequence[int]) -> Rows:
    shifts = {"original": 0.9, "retrain": 0.0, "original-half": 0.7, "ga": -2.0, "npo": -0.2, "simnpo": 0.02}
    found: Rows = []
    for method, shift in shifts.items():
        for seed in seeds:
            items = [
                (1 + (i >= 10), 10 + 3 * i, math.exp(shift + 0.1 * (i - 10) / 10 + math.sin(5 * i) * 0.4)) for i in range(20)
            ]
            variant = "" if method in ("original", "retrain", "original-half") else "default"
            found += ratios(method, items, variant, seed)
            if method in ("npo", "simnpo"):
                halved = [
                    (half, tokens, ratio * (0.6 if half == 2 and method == "npo" else 1.0)) for half, tokens, ratio in items
                ]
                found += ratios(method, halved, "half", seed)
    return found


def _weights(seeds: Sequence[int]) -> Rows:
    tokens = [10 + 3 * i for i in range(20)]
    found: Rows = []
    for seed in seeds:
        for epoch in range(1, 6):
            npo = [1.0 if epoch == 1 else 0.9**epoch * (1 - 0.1 * epoch * i / 20) for i in range(20)]
            simnpo = [(1 / n) * 0.5**epoch * (1 + (0.4 / epoch) * math.cos(i)) for i, n in enumerate(tokens)]
            found += weights("npo", epoch, tokens, npo, seed) + weights("simnpo", epoch, tokens, simnpo, seed)
    return found


def _losses(seeds: Sequence[int]) -> Rows:
    tokens = [10 + 3 * i for i in range(20)]
    # How fast the NLL of an answer grows, by its length.
    rates = {"ga": lambda n: n, "npo": lambda n: n / 20, "simnpo": lambda n: 1 + n / 200}
    courses = {name: [[epoch * rate(n) for n in tokens] for epoch in range(5)] for name, rate in rates.items()}
    return [row for seed in seeds for name, epochs in courses.items() for row in losses(name, tokens, epochs, seed)]


def _trials() -> dict[str, Any]:
    return {
        f"b{beta}g{gamma}": {"training": {"epochs": 5}, "loss": {"beta": beta, "gamma": gamma}}
        for beta in (1.5, 2.5, 4.5)
        for gamma in (0.0, 1.0)
    }


def _selections() -> Rows:
    place = {"benchmark": "tofu", "split": "forget05", "model": "tiny", "method": "simnpo", "reason": ""}
    return [
        place
        | {
            "variant": name,
            "epoch": epoch,
            "runs": 1,
            "lowest": 0.0,
            "highest": 0.0,
            "forget_quality": 0.1 * epoch + 0.02 * i,
            "model_utility": 0.6 - 0.02 * epoch,
        }
        | {"privacy": None, "knowmem_r": None, "utility_share": 1 - 0.03 * epoch, "eligible": epoch < 4}
        | {"selected": (name, epoch) == ("b2.5g0.0", 3)}
        for i, name in enumerate(_trials())
        for epoch in range(1, 6)
    ]


def whole(folder: Path, seeds: Sequence[int] = (0, 1, 2, 3, 4)) -> tuple[ReportSpec, Path]:
    """Write the summary of such a study; return the spec of its report with it."""
    rows = _tofu(seeds)
    texts = {"npo": (0.0, 40.0, 30.0, 100.0), "simnpo": (30.0, 20.0, 40.0, -50.0), "ga": (0.0, 0.0, 0.0, 80.0)}
    starts = {"original": (60.0, 60.0, 50.0, -99.0), "retrain": (20.0, 30.0, 50.0, 0.0)}
    spread = {
        name: [tuple(v + _wobble(seed, 1.0) * (v != 0) for v in values) for seed in seeds]
        for name, values in (texts | starts).items()
    }
    rows += text_example.rows(spread)
    for split, share in (("scale2", 0.9), ("scale3", 0.7), ("request2", 0.8), ("request3", 0.5)):
        rows += text_example.rows({name: [tuple(v * share for v in of) for of in spread[name]] for name in texts}, split=split)
    hazards = {"original": (0.65, 0.59), "npo": (0.28, 0.44), "simnpo": (0.26, 0.48), "rmu": (0.32, 0.57)}
    by_seed = {name: [(a + _wobble(seed, 0.01), b + _wobble(seed, 0.01)) for seed in seeds] for name, (a, b) in hazards.items()}
    rows += text_example.rows(by_seed, benchmark="bio", metrics=text_example.TASKS)
    paths = {
        method: {
            seed: [(0.02 + cost * t, 0.03 + 0.1 * t, 0.05 + 0.09 * t * (1 + _wobble(seed, 0.1))) for t in range(8)]
            for seed in seeds
        }
        for method, cost in (("npo", 0.04), ("simnpo", 0.01))
    }
    ends = {"original": dict.fromkeys(seeds, (0.02, 0.03, 0.05)), "retrain": dict.fromkeys(seeds, (0.01, 0.43, 0.45))}
    for split in ("lengths", "memorisation"):
        rows += markov_example.rows(paths | ends, split=split)
    methods: dict[str, Any] = {method: {"default": settings()} for method in LEVELS if method not in ("original", "retrain")}
    methods["npo"] |= {name: settings(reference=name) for name in REFERENCES} | {"half": settings(start="original-half")}
    methods["simnpo"] |= {"half": settings(start="original-half")}
    changes: dict[str, Any] = {"seeds": list(seeds), "methods": methods, "trials": {"simnpo": _trials()}, "attacks": [*ATTACKS]}
    changes["selections"] = {
        "simnpo": {"maximise": "forget_quality", "keep": 0.9, "epochs": "all", "seeds": [7], "suite": "tofu"}
    }
    changes["selections"]["simnpo"] |= {"benchmarks": [], "split": None, "trials": {}}
    splits = ("forget", "scale2", "scale3", "request2", "request3")
    blocks = [block(**changes), *(text_example.texts(*texts, split=split, seeds=list(seeds)) for split in splits)]
    blocks += [text_example.texts("npo", "simnpo", "rmu", benchmark="bio", seeds=list(seeds))]
    blocks += [markov_example.chains(split=split, seeds=list(seeds)) for split in ("lengths", "memorisation")]
    summary = write_summary(
        folder / "summary",
        rows,
        weights=_weights(seeds),
        losses=_losses(seeds),
        selections=_selections(),
        answer="He wrote it in May, I think, and in May he wrote it in May.",
        label="He wrote it in May.",
    )
    frame = stack([pd.DataFrame(_ratios(seeds), columns=TRUTH_RATIO_COLUMNS)], TRUTH_RATIO_COLUMNS)
    frame.to_parquet(summary / "truth_ratios.parquet", index=False)
    suites = {"tofu": {"kind": "tofu"}, "muse": {"kind": "muse"}, "hazards": SUITE}
    published = {"news/forget/tiny": {"simnpo": {"privleak": 72.93}}, "tofu/forget05/tiny": {"npo": {"forget_quality": 0.79}}}
    made = spec(*blocks, data=text_example.DATA, suites=suites, published=published, references=REFERENCES)
    study = made.study.model_copy(update={"attacks": ATTACKS})
    return made.model_copy(update={"study": study}), summary
