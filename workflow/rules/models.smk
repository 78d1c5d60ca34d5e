tiny = {name for name, model in study.config.models.items() if model.kind == "tiny"}
_finetune = of("finetune")
_base = of("base", lambda node: node.of.model in tiny)
_fetched = of("base", lambda node: node.of.model not in tiny)
_given = of("given")
_reinforce = of("reinforce")
_alternatives = of("alternatives")
_reference = of("reference")
_unlearn = of("unlearn")
_attack = of("attack")
_pruning = ruling.Pruning(artefacts)


# All rules that use a model inherit from this one. Trainings go first, so that the end of a run consists of short jobs.
rule finetune:
    input:
        unpack(_finetune.inputs),
    output:
        **_finetune.outputs,
    log:
        _finetune.log,
    priority: 1
    conda:
        "../../envs/train.yaml"
    container:
        IMAGES.train
    threads: ask("threads")
    resources:
        gpu=ask("gpu"),
        parallel=ask("parallel"),
        mem=ask("mem"),
        runtime=ask("runtime"),
    params:
        before=SETUP,
        job=_finetune.job,
    message:
        "Training {wildcards.method} ({wildcards.model}, {wildcards.split}, seed {wildcards.seed})"
    shell:
        COMMAND


use rule finetune as base_tiny with:
    input:
        unpack(_base.inputs),
    output:
        **_base.outputs,
    log:
        _base.log,
    params:
        before=SETUP,
        job=_base.job,
    message:
        "Training the base of {wildcards.model} ({wildcards.benchmark})"


# Only downloads or unpacks a model, so it runs on the machine that runs Snakemake.
use rule external as base_pretrained with:
    input:
        unpack(_fetched.inputs),
    output:
        **_fetched.outputs,
    log:
        _fetched.log,
    localrule: True
    conda:
        "../../envs/train.yaml"
    container:
        IMAGES.train
    params:
        before=SETUP_ONLINE,
        job=_fetched.job,
    message:
        "Fetching {wildcards.model}"


# Some models come with a finished original and Retrain, which are fetched instead of trained.
use rule base_pretrained as given with:
    input:
        unpack(_given.inputs),
    output:
        **_given.outputs,
    log:
        _given.log,
    params:
        before=SETUP_ONLINE,
        job=_given.job,
    message:
        "Fetching {wildcards.subject} of {wildcards.model}"


# The start model after learning the forget set once more; RKLD and task vectors read it.
use rule finetune as reinforce with:
    input:
        unpack(_reinforce.inputs),
    output:
        **_reinforce.outputs,
    log:
        _reinforce.log,
    priority: _reinforce.priority
    params:
        before=SETUP,
        job=_reinforce.job,
    message:
        "Reinforcing {wildcards.subject} ({wildcards.model}, {wildcards.split}, seed {wildcards.seed})"


# Other answers to the forget questions, sampled from the start model; AltPO reads them.
use rule finetune as alternatives with:
    input:
        unpack(_alternatives.inputs),
    output:
        **_alternatives.outputs,
    log:
        _alternatives.log,
    priority: _alternatives.priority
    params:
        before=SETUP,
        job=_alternatives.job,
    message:
        "Sampling alternatives ({wildcards.subject}, {wildcards.model}, {wildcards.split}, seed {wildcards.seed})"


use rule finetune as reference with:
    input:
        unpack(_reference.inputs),
    output:
        **_reference.outputs,
    log:
        _reference.log,
    priority: _reference.priority
    params:
        before=SETUP,
        job=_reference.job,
    message:
        "Computing reference log-probabilities ({wildcards.subject}, {wildcards.name}, {wildcards.model}, {wildcards.split}, seed {wildcards.seed})"


# Uses the evaluation environment, because a suite may measure the training.
use rule finetune as unlearn with:
    input:
        unpack(_unlearn.inputs),
    output:
        **_unlearn.outputs,
    log:
        _unlearn.log,
    priority: _unlearn.priority
    conda:
        "../../envs/evaluate.yaml"
    container:
        IMAGES.evaluate
    params:
        before=SETUP,
        job=_unlearn.job,
    message:
        "Unlearning with {wildcards.method} {wildcards.variant} ({wildcards.model}, {wildcards.split}, seed {wildcards.seed})"


use rule finetune as attack with:
    input:
        unpack(_attack.inputs),
    output:
        **_attack.outputs,
    log:
        _attack.log,
    priority: _attack.priority
    params:
        before=SETUP,
        job=_attack.job,
    message:
        "Attacking: {wildcards.subject} ({wildcards.model}, {wildcards.split}, seed {wildcards.seed})"


# Removes the weights of a model that nothing reads any more, as the study's `keep` asks, so that they free the disk early.
rule prune:
    input:
        unpack(_pruning.inputs),
    output:
        record=update(_pruning.record),
    log:
        _pruning.log,
    priority: 100
    localrule: True
    conda:
        "../../envs/report.yaml"
    container:
        IMAGES.report
    threads: 1
    resources:
        mem="1GB",
        runtime="30m",
    params:
        before=SETUP,
    message:
        "Pruning the weights of {wildcards.path}"
    shell:
        "{params.before} python -m palimpsest.contract.pruning {input.model} {input.readers} > {log} 2>&1"
