_evaluate = of("evaluate")
_judge = of("judge", lambda node: not stages.is_remote(study, node))
_asked = of("judge", lambda node: stages.is_remote(study, node))
_select = of("select")
_scores = of("scores")


# One rule serves every model: `subject` is original, retrain or unlearn/{method}/{variant}.
use rule finetune as evaluate with:
    input:
        unpack(_evaluate.inputs),
    output:
        **_evaluate.outputs,
    log:
        _evaluate.log,
    priority: _evaluate.priority
    conda:
        "../../envs/evaluate.yaml"
    container:
        IMAGES.evaluate
    params:
        before=SETUP,
        job=_evaluate.job,
    message:
        "Evaluating {wildcards.subject} by {wildcards.name} ({wildcards.model}, {wildcards.split}, seed {wildcards.seed})"


# A judge on this machine, with the resources of its own model.
use rule evaluate as judge with:
    input:
        unpack(_judge.inputs),
    output:
        **_judge.outputs,
    log:
        _judge.log,
    priority: _judge.priority
    threads: ask("threads", stage="judge")
    resources:
        gpu=ask("gpu", stage="judge"),
        parallel=ask("parallel", stage="judge"),
        mem=ask("mem", stage="judge"),
        runtime=ask("runtime", stage="judge"),
    params:
        before=SETUP,
        job=_judge.job,
    message:
        "Judging the answers of {wildcards.subject} to {wildcards.name} ({wildcards.model}, {wildcards.split}, seed {wildcards.seed})"


# A judge behind an address is asked by the machine that runs Snakemake, like downloads.
use rule fetch as judge_online with:
    input:
        unpack(_asked.inputs),
    output:
        **_asked.outputs,
    log:
        _asked.log,
    priority: 0
    resources:
        gpu=0,
        parallel="ddp",
        mem="2GB",
        runtime="1d",
    params:
        before=SETUP_ONLINE,
        job=_asked.job,
    message:
        "Asking a judge about the answers of {wildcards.subject} to {wildcards.name} ({wildcards.model}, {wildcards.split}, seed {wildcards.seed})"


use rule external as select with:
    input:
        unpack(_select.inputs),
    output:
        **_select.outputs,
    log:
        _select.log,
    group:
        "selections"
    params:
        before=SETUP,
        job=_select.job,
    message:
        "Selecting among the trials of {wildcards.method} ({wildcards.model}, {wildcards.split})"


# All numbers of one original and of the models made from it.
use rule external as scores with:
    input:
        unpack(_scores.inputs),
    output:
        **_scores.outputs,
    log:
        _scores.log,
    group:
        "scores"
    params:
        before=SETUP,
        job=_scores.job,
    message:
        "Scoring all models of seed {wildcards.seed} ({wildcards.model}, {wildcards.split})"
