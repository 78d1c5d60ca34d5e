_evaluate = of("evaluate")
_choice = of("choice")
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


use rule external as choice with:
    input:
        unpack(_choice.inputs),
    output:
        manifest=_choice.manifest,
    log:
        _choice.log,
    group:
        "choices"
    params:
        stage=_choice.stage,
        before="",
        spec=_choice.spec,
        code=_choice.code,
        inputs=_choice.flags,
    message:
        "Choosing among the trials of {wildcards.method} ({wildcards.model}, {wildcards.split})"


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
