tiny = {name for name, model in study.config.models.items() if model.kind == "tiny"}
_finetune = of("finetune")
_base = of("base", lambda node: node.of.model in tiny)
_fetched = of("base", lambda node: node.of.model not in tiny)
_given = of("given")
_reinforce = of("reinforce")
_reference = of("reference")
_unlearn = of("unlearn")
_attack = of("attack")


# All rules that use a model inherit from this one.
rule finetune:
    input:
        unpack(_finetune.inputs),
    output:
        manifest=_finetune.manifest,
    log:
        _finetune.log,
    benchmark:
        _finetune.benchmark
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
        stage=_finetune.stage,
        before="",
        spec=_finetune.spec,
        code=_finetune.code,
        inputs=_finetune.flags,
    message:
        "Training {wildcards.method} ({wildcards.model}, {wildcards.split}, seed {wildcards.seed})"
    shell:
        ruling.COMMAND


use rule finetune as base_tiny with:
    input:
        unpack(_base.inputs),
    output:
        manifest=_base.manifest,
    log:
        _base.log,
    benchmark:
        _base.benchmark
    params:
        stage=_base.stage,
        before="",
        spec=_base.spec,
        code=_base.code,
        inputs=_base.flags,
    message:
        "Training the base of {wildcards.model} ({wildcards.benchmark})"


# Only downloads or unpacks a model, so it runs on the machine that runs Snakemake.
use rule external as base_pretrained with:
    input:
        unpack(_fetched.inputs),
    output:
        manifest=_fetched.manifest,
    log:
        _fetched.log,
    localrule: True
    conda:
        "../../envs/train.yaml"
    container:
        IMAGES.train
    params:
        stage=_fetched.stage,
        before=ruling.NETWORK,
        spec=_fetched.spec,
        code=_fetched.code,
        inputs=_fetched.flags,
    message:
        "Fetching {wildcards.model}"


# Some models come with a finished original and Retrain, which are fetched instead of trained.
use rule base_pretrained as given with:
    input:
        unpack(_given.inputs),
    output:
        manifest=_given.manifest,
    log:
        _given.log,
    params:
        stage=_given.stage,
        before=ruling.NETWORK,
        spec=_given.spec,
        code=_given.code,
        inputs=_given.flags,
    message:
        "Fetching {wildcards.method} of {wildcards.model}"


# The start model after learning the forget set once more; RKLD and task vectors read it.
use rule finetune as reinforce with:
    input:
        unpack(_reinforce.inputs),
    output:
        manifest=_reinforce.manifest,
    log:
        _reinforce.log,
    benchmark:
        _reinforce.benchmark
    params:
        stage=_reinforce.stage,
        before="",
        spec=_reinforce.spec,
        code=_reinforce.code,
        inputs=_reinforce.flags,
    message:
        "Reinforcing {wildcards.subject} ({wildcards.model}, {wildcards.split}, seed {wildcards.seed})"


use rule finetune as reference with:
    input:
        unpack(_reference.inputs),
    output:
        manifest=_reference.manifest,
    log:
        _reference.log,
    benchmark:
        _reference.benchmark
    params:
        stage=_reference.stage,
        before="",
        spec=_reference.spec,
        code=_reference.code,
        inputs=_reference.flags,
    message:
        "Computing reference log-probabilities ({wildcards.subject}, {wildcards.name}, {wildcards.model}, {wildcards.split}, seed {wildcards.seed})"


# Uses the evaluation environment, because a suite may measure the training.
use rule finetune as unlearn with:
    input:
        unpack(_unlearn.inputs),
    output:
        manifest=_unlearn.manifest,
    log:
        _unlearn.log,
    benchmark:
        _unlearn.benchmark
    conda:
        "../../envs/evaluate.yaml"
    container:
        IMAGES.evaluate
    params:
        stage=_unlearn.stage,
        before="",
        spec=_unlearn.spec,
        code=_unlearn.code,
        inputs=_unlearn.flags,
    message:
        "Unlearning with {wildcards.method} {wildcards.variant} ({wildcards.model}, {wildcards.split}, seed {wildcards.seed})"


use rule finetune as attack with:
    input:
        unpack(_attack.inputs),
    output:
        manifest=_attack.manifest,
    log:
        _attack.log,
    benchmark:
        _attack.benchmark
    params:
        stage=_attack.stage,
        before="",
        spec=_attack.spec,
        code=_attack.code,
        inputs=_attack.flags,
    message:
        "Attacking: {wildcards.subject} ({wildcards.model}, {wildcards.split}, seed {wildcards.seed})"
