_evaluate = of("evaluate")
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
        "Evaluating {wildcards.subject} ({wildcards.model}, {wildcards.split}, seed {wildcards.seed})"


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
