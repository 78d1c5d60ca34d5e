_evaluate = of("evaluate")
_select = of("select")
_scores = of("scores")


# One rule serves every model: `subject` is original, retrain or unlearn/{method}/{variant}.
use rule finetune as evaluate with:
    input:
        unpack(_evaluate.inputs),
    output:
        manifest=_evaluate.manifest,
    log:
        _evaluate.log,
    benchmark:
        _evaluate.benchmark
    conda:
        "../../envs/evaluate.yaml"
    container:
        IMAGES.evaluate
    params:
        stage=_evaluate.stage,
        before=_evaluate.network,
        spec=_evaluate.spec,
        code=_evaluate.code,
        inputs=_evaluate.flags,
    message:
        "Evaluating {wildcards.subject} ({wildcards.model}, {wildcards.split}, seed {wildcards.seed})"


use rule external as select with:
    input:
        unpack(_select.inputs),
    output:
        manifest=_select.manifest,
    log:
        _select.log,
    group:
        "selections"
    params:
        stage=_select.stage,
        before="",
        spec=_select.spec,
        code=_select.code,
        inputs=_select.flags,
    message:
        "Selecting among the trials of {wildcards.method} ({wildcards.model}, {wildcards.split})"


# All numbers of one original and of the models made from it.
use rule external as scores with:
    input:
        unpack(_scores.inputs),
    output:
        manifest=_scores.manifest,
    log:
        _scores.log,
    group:
        "scores"
    params:
        stage=_scores.stage,
        before="",
        spec=_scores.spec,
        code=_scores.code,
        inputs=_scores.flags,
    message:
        "Scoring all models of seed {wildcards.seed} ({wildcards.model}, {wildcards.split})"
