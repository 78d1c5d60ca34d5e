"""Stage `evaluate`: one process runs one model over all its suites."""

import json

from palimpsest.evaluation.settings import MuseSuite, SuiteSettings, TofuSuite
from palimpsest.models.settings import UsedSettings
from palimpsest.settings import Settings
from palimpsest.stages.contract import Job, run_stage


class Spec(Settings):
    """The suites, by name, and how the model is read."""

    suites: dict[str, SuiteSettings]
    model: UsedSettings


def work(job: Job[Spec]) -> None:
    """Write each suite's folder: `items.parquet` (tofu), `muse.parquet` (muse) or `results.json` (lm-eval)."""
    from palimpsest.models.loading import load_model, load_tokenizer

    tokenizer = load_tokenizer(job.input("model"))
    model = load_model(job.input("model"), job.spec.model)
    # Of texts it is their data, whatever is forgotten of them.
    split = job.input("split")
    for name, suite in job.spec.suites.items():
        folder = job.out / name
        folder.mkdir()
        if isinstance(suite, TofuSuite):
            from palimpsest.evaluation.tables import ITEMS, TABLE, write_table
            from palimpsest.evaluation.tofu import evaluate_tofu, read_sets

            log = evaluate_tofu(model, tokenizer, job.spec.model.prompt, read_sets(split), suite)
            write_table(folder / TABLE, log, ITEMS)
        elif isinstance(suite, MuseSuite):
            from palimpsest.evaluation import muse
            from palimpsest.evaluation.tables import MUSE, MUSE_TABLE, write_table

            log = muse.evaluate_muse(model, tokenizer, job.spec.model, muse.read_sets(split), suite)
            write_table(folder / MUSE_TABLE, log, MUSE)
        else:
            from palimpsest.evaluation.lm_eval import evaluate_lm_eval

            results = evaluate_lm_eval(model, tokenizer, suite, split, cache=job.scratch)
            (folder / "results.json").write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    run_stage("evaluate", Spec, work)
