_markov_data = of("markov_data")
_markov_retrain = of("markov_retrain")
_markov_original = of("markov_original")
_markov_evaluate = of("markov_evaluate")
_markov_trajectory = of("markov_trajectory")


# The Markov-chain study: sequences a seed, a Retrain a seed, and for each experiment an original, which every method unlearns.
use rule external as markov_data with:
    input:
        unpack(_markov_data.inputs),
    output:
        manifest=_markov_data.manifest,
    log:
        _markov_data.log,
    group:
        "splits"
    conda:
        "../../envs/train.yaml"
    container:
        IMAGES.train
    params:
        stage=_markov_data.stage,
        before="",
        spec=_markov_data.spec,
        code=_markov_data.code,
        inputs=_markov_data.flags,
    message:
        "Drawing sequences of Markov chains (seed {wildcards.seed})"


use rule finetune as markov_retrain with:
    input:
        unpack(_markov_retrain.inputs),
    output:
        manifest=_markov_retrain.manifest,
    log:
        _markov_retrain.log,
    benchmark:
        _markov_retrain.benchmark
    params:
        stage=_markov_retrain.stage,
        before="",
        spec=_markov_retrain.spec,
        code=_markov_retrain.code,
        inputs=_markov_retrain.flags,
    message:
        "Training retrain ({wildcards.benchmark}, seed {wildcards.seed})"


use rule finetune as markov_original with:
    input:
        unpack(_markov_original.inputs),
    output:
        manifest=_markov_original.manifest,
    log:
        _markov_original.log,
    benchmark:
        _markov_original.benchmark
    params:
        stage=_markov_original.stage,
        before="",
        spec=_markov_original.spec,
        code=_markov_original.code,
        inputs=_markov_original.flags,
    message:
        "Training original ({wildcards.benchmark}, {wildcards.split}, seed {wildcards.seed})"


use rule finetune as markov_evaluate with:
    input:
        unpack(_markov_evaluate.inputs),
    output:
        manifest=_markov_evaluate.manifest,
    log:
        _markov_evaluate.log,
    benchmark:
        _markov_evaluate.benchmark
    params:
        stage=_markov_evaluate.stage,
        before="",
        spec=_markov_evaluate.spec,
        code=_markov_evaluate.code,
        inputs=_markov_evaluate.flags,
    message:
        "Evaluating {wildcards.subject} ({wildcards.benchmark}, {wildcards.split}, seed {wildcards.seed})"


use rule finetune as markov_trajectory with:
    input:
        unpack(_markov_trajectory.inputs),
    output:
        manifest=_markov_trajectory.manifest,
    log:
        _markov_trajectory.log,
    benchmark:
        _markov_trajectory.benchmark
    params:
        stage=_markov_trajectory.stage,
        before="",
        spec=_markov_trajectory.spec,
        code=_markov_trajectory.code,
        inputs=_markov_trajectory.flags,
    message:
        "Watching {wildcards.method} {wildcards.variant} unlearn ({wildcards.benchmark}, {wildcards.split}, seed {wildcards.seed})"
