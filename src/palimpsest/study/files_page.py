"""The page `docs/reference/files.md`: the files of every stage, and the columns of all tables."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import pandas as pd
import pyarrow as pa

from palimpsest.benchmarks import kinds, suites
from palimpsest.evaluation.items import DIVERGENCE, PROMPT, WEIGHTS
from palimpsest.evaluation.judging.verdicts import SCHEMA as VERDICTS
from palimpsest.report.summary import SELECTION_COLUMNS
from palimpsest.scores import columns
from palimpsest.study.stages import STAGES

PAGE = "docs/reference/files.md"
RESULTS = Path("docs", "results")
HEAD = """# Output files

Made by `python -m palimpsest.study write` from the table of stages, the schemas of the tables and the published runs in
`docs/results`; a test compares them. [How a study runs](../workflow.md) shows where the folders lie.

Next to the folders of the stages, the results have `report.html`, `samples.html` and `summary.csv` (copies from `report/` and
`summary/`), `run_config.yaml` (the complete config), `cost.html` and `cost.csv`, `audit.html` and `audit.json` (after
`palimpsest audit verify results --out results`), `equivalences.json` (after `palimpsest accept`), and `logs/` with
the log of each job.

## Stages

Every folder also has `manifest.json` (settings, digest of the code, hashes of inputs and outputs; its bytes repeat) and
`environment.json` (versions, host and times); `pruned.json`, a copy of the manifest, says that the weights were pruned.

| stage | folder | files |
|---|---|---|
"""
BASE_OF = "the model in Hugging Face format, `training_log.jsonl`"
WEIGHTS_OF = f"{BASE_OF}; with LoRA the adapters in peft's format instead of the weights"
FILES = {
    "data": "one JSON-lines file per set, `source.json` (origin, licence, counts)",
    "fetch": "the data sets of lm-eval tasks, `source.json`",
    "split": "`forget.jsonl`, `retain.jsonl` and the other sets of the benchmark",
    "draw": "the sequences of each chain",
    "base": BASE_OF,
    "finetune": WEIGHTS_OF,
    "given": "the model in Hugging Face format",
    "reinforce": WEIGHTS_OF,
    "alternatives": "`alternatives.parquet`: the made-up answers (`generation`) to each forget question",
    "reference": "`references.parquet`: log-probabilities of each forget item, and of its refusals or alternatives",
    "unlearn": f"{WEIGHTS_OF}; if the study watches it, `items.parquet`, `divergence.parquet` and `weights.parquet` by epoch",
    "select": "`trials.parquet` (all candidates), `selection.json` (the selected one and why)",
    "attack": "`items.parquet` by draw and epoch, `draws.json` (the ids), the attacked model if it is kept",
    "evaluate": "`items.parquet`, `prompt.parquet` (one prompt with its labels)",
    "judge": "`items.parquet`; the prompt is in `manifest.json`",
    "scores": "`scores`, `remarks`, `truth_ratios`, `samples`, `examples`, `prompts`, `weights` and `losses` as parquet, and "
    "`artefacts.csv`",
    "external": "`scores.parquet`, `provenance.json`",
    "summarise": "these tables for the whole study; `summary`, `selections`, `artefacts`, `remarks` also as CSV; `external.json`",
    "report": "`report.html`, `samples.html`, `tables/*.csv` (the numbers of each table and figure), `figures/*.svg` and `*.png`",
}
MEANINGS = {
    "benchmark": "name of the benchmark",
    "split": "name of the split",
    "model": "name of the model in the config",
    "seed": "seed of the run",
    "method": "name of the method; `original`, `retrain` and `original-half` for the models before unlearning",
    "variant": "name of the variant; empty where there is none",
    "attack": "name of the attack; empty without one",
    "suite": "name of the suite",
    "epoch": "epoch of a trajectory or an attack; empty for finished models",
    "metric": "name of the metric: [metrics.md](metrics.md)",
    "value": "its value",
    "set": "name of the set",
    "id": "id of the item in its set",
    "half": "half of the forget set, 1 or 2, or a part of it by name",
    "question": "the question, or the id of the question of the report",
    "way": "the way to ask: as the question stands (`question`), or one of the suite's `prompts`",
    "sample": "number of a sampled answer, from 0",
    "prompt": "the prompt of a continuation or an answer",
    "answer": "the right answer",
    "generation": "what the model wrote",
    "prompt_sha256": "hash of the prompt that the judge was given",
    "reply": "what the judge wrote",
    "replier": "the model behind an address that replied, as the server names it; empty for a judge on this machine",
    "told": "whether the answer tells what the right answer tells, according to the judge; empty if its reply is no verdict",
    "answer_nll": "NLL of the answer, in nats, summed over its tokens",
    "answer_tokens": "number of its tokens, with the end token",
    "paraphrased_nll": "the same for its paraphrase",
    "paraphrased_tokens": "the same for its paraphrase",
    "perturbed_nll": "the same for each wrong answer",
    "perturbed_tokens": "the same for each wrong answer",
    "paraphrased_answer": "the right answer in other words",
    "answer_losses": "NLL of each token of the answer, in nats",
    "answer_standard_losses": "NLL of each token of the answer, less the mean NLL of all tokens, over their sd",
    "answer_hits": "whether each token of the answer is the likeliest after the true ones before it",
    "losses": "NLL of each token, in nats",
    "hits": "whether each token is the likeliest after the true ones before it",
    "tokens": "number of tokens",
    "nll": "NLL in nats, summed over the tokens",
    "task": "task of lm-eval",
    "chain": "Markov chain",
    "kl": "mean KL divergence, in nats",
    "se": "its standard error",
    "truth_ratio": "truth ratio x",
    "weight": "gradient weight of the item",
    "text": "a piece of the prompt, or a remark",
    "special": "whether the piece is a special token",
    "label": "whether the model is trained on the piece",
    "manifest": "path of the manifest below the results",
    "sha256": "hash of the artefact's content: its files, and the remarks on them",
    "of": "what the remark is about",
    "kind": "kind of the remark, or of the series of splits",
    "runs": "number of runs of the trial",
    "lowest": "lowest first score of the rule over the runs",
    "highest": "highest first score of the rule over the runs",
    "utility_share": "utility as a share of Original's",
    "eligible": "whether the trial keeps enough utility",
    "selected": "whether it was selected",
    "reason": "why",
    "privacy": "distance of PrivLeak from 0, negated",
    "distance": "`retrain_distance`, negated",
    "seeds": "number of seeds",
    "mean": "mean over seeds, or over the weights of an epoch",
    "sd": "standard deviation over seeds",
    "low": "low end of the 95 % interval",
    "high": "high end of the 95 % interval",
    "published": "published value of the same place",
    "claim": "the claim",
    "source": "its place in the paper",
    "paper": "the paper's numbers",
    "ours": "the numbers of this run",
    "verdict": "holds, does not hold, undecided",
    "why": "the test behind the verdict",
    "stage": "stage of the jobs",
    "jobs": "number of jobs",
    "measured": "number of jobs whose time was recorded",
    "wall_s_mean": "mean wall time of a job, in seconds",
    "wall_s_sum": "wall time of all jobs, in seconds",
    "cpu_h": "CPU-hours",
    "gpu_h": "GPU-hours",
    "peak_memory_gb": "greatest memory of a job",
    "peak_gpu_memory_gb": "greatest GPU memory of a job",
    "settings": "settings of the trial",
    "log_truth_ratio": "mean log truth ratio",
    "shift": "its distance from Retrain's",
    "random_share": "share of a random model in the reference",
    "answers": "number of forget answers",
    "halved": "number of answers that became half as probable",
    "median_epochs": "median of the epochs until then",
    "length_exponent": "exponent of the length in the speed",
    "less": "the method that is compared with; `mean` to `high` are then of the difference, of forget quality by the root of its "
    "decades, as in the claims",
    "higher": "seeds in which the method is higher",
    "p_higher": "one-sided p-value that the method is higher",
    "p_lower": "one-sided p-value that it is lower",
    "p05": "5th percentile",
    "p25": "25th percentile",
    "median": "median",
    "p75": "75th percentile",
    "p95": "95th percentile",
    "pearson_r": "correlation of weight and length",
    "share_shorter_half": "share of the weights on the shorter half of the answers",
    "share_near_one": "share of the weights within a tenth of 1",
    "folder": "the artefact behind the number, below the results",
    "before": "the metric before the attack",
    "after": "the metric after it",
    "robustness": "min(d of Retrain / d, 1), d the recovery by relearning; min(before / after, 1) for edits; of a metric: "
    "harmonic mean of `relearning` and `editing`",
    "symmetric": "the symmetric form of `robustness`",
    "faithfulness": "AUC of the metric between models with and without the knowledge",
    "relearning": "mean symmetric robustness of the metric under relearning",
    "editing": "mean symmetric robustness of the metric under quantisation, noise and pruning",
    "overall": "harmonic mean of faithfulness and robustness",
    "agreement": "rank correlation of the models before and after the attacks",
    "knowing": "number of models with the knowledge",
    "others": "number of models without it",
    "draw": "draw of an attack, or of forget sequences",
    "retrain_forget1": "Retrain's divergence on Forget1",
    "retrain_forget2": "Retrain's divergence on Forget2",
    "retain_at_retrain_forget1": "retain distance when Forget1 is forgotten as far as Retrain",
    "retain_at_retrain_forget2": "retain distance when Forget2 is forgotten as far as Retrain",
    "layer": "decoder layer, from 1",
    "nll_from_retrain": "summed NLL under Original with this layer's output from Retrain, in nats",
    "nll_from_model": "the same with this layer's output from the model",
    "nll_lens": "summed NLL if the model's output head reads this layer, in nats",
    "threshold": "`threshold` of the suite",
    "forgotten": "what a selection on RWKU maximises: `recall_questions` with a minus",
    "equal_retain": "retain distance up to which both methods are compared",
    "forget1_at_equal": "divergence on Forget1 there",
    "forget2_at_equal": "divergence on Forget2 there",
    "mean_gap": "mean distance of Forget1 and Forget2 up to there",
}


def files_text() -> str:
    """Return the page: the files of the stages, the tables with their columns, and the meaning of each column."""
    rows = (f"| {stage} | `{row.path}` | {FILES[stage]} |\n" for stage, row in STAGES.items())
    meanings = "".join(f"| `{name}` | {text} |\n" for name, text in MEANINGS.items())
    listed = "".join(f"| {table} | {', '.join(f'`{name}`' for name in names)} |\n" for table, names in tables())
    return (
        f"{HEAD}{''.join(rows)}\n## Tables\n\n| table | columns |\n|---|---|\n{listed}\n"
        f"## Columns\n\nOther columns of the report's tables are metrics, with `_sd`: [metrics.md](metrics.md).\n\n"
        f"| column | meaning |\n|---|---|\n{meanings}"
    )


def tables() -> Iterator[tuple[str, list[str]]]:
    """Yield the name and the columns of each table of the page."""
    for kind in (*kinds.having("suite"), *suites.SHARED):
        schema: pa.Schema = suites.load(kind, "suite").SCHEMA
        yield f"`items.parquet` of a suite of kind `{kind}`", schema.names
    yield "`items.parquet` of a judge", VERDICTS.names
    yield "`divergence.parquet`", DIVERGENCE.names
    yield "`weights.parquet` of a training", WEIGHTS.names
    yield "`prompt.parquet`", PROMPT.names
    yield "`summary.csv`, `scores.parquet`", columns.COLUMNS
    yield "`truth_ratios.parquet`", columns.TRUTH_RATIO_COLUMNS
    yield "`samples.parquet`, with a column per number of an item", columns.SAMPLE_COLUMNS
    yield "`examples.parquet`", columns.EXAMPLE_COLUMNS
    yield "`prompts.parquet`", columns.PROMPT_COLUMNS
    yield "`weights.parquet` of a run or a study", columns.WEIGHT_COLUMNS
    yield "`losses.parquet`", columns.LOSS_COLUMNS
    yield "`artefacts.csv`", columns.ARTEFACT_COLUMNS
    yield "`remarks.csv`", columns.REMARK_COLUMNS
    yield "`trials.parquet`, `selections.csv`", list(_without_metrics(SELECTION_COLUMNS))
    found: dict[str, list[str]] = {}
    for path in sorted(RESULTS.glob("*/*.csv")):
        found[path.name] = list(dict.fromkeys([*found.get(path.name, []), *pd.read_csv(path, nrows=0).columns]))
    for name, names in found.items():
        folder = "" if name == "cost.csv" else "report/tables/"
        yield f"`{folder}{name}`", list(_without_metrics(names))


def _without_metrics(names: Iterable[str]) -> Iterator[str]:
    """Yield the columns that are not metrics."""
    metrics = {metric.name for kind in suites.SETTINGS for metric in suites.load(kind, "scores").SCORING.metrics}
    yield from (name for name in names if name.removesuffix("_sd") not in metrics)
