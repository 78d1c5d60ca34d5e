tiny = {name for name, model in study.config.models.items() if model.kind == "tiny"}
_finetune = of("finetune")
_base = of("base", lambda node: node.of.model in tiny)
_fetched = of("base", lambda node: node.of.model not in tiny)
_given = of("given")
_reinforce = of("reinforce")
_reference = of("reference")
_unlearn = of("unlearn")
_attack = of("attack")


# All rules that use a model inherit from this one. Trainings go first, so that the end of a run consists of short jobs.
rule finetune:
    input:
        unpack(_finetune.inputs),
    output:
        manifest=_finetune.manifest,
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
        ruling.COMMAND


use rule finetune as base_tiny with:
    input:
        unpack(_base.inputs),
    output:
        manifest=_base.manifest,
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
        manifest=_fetched.manifest,
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
        manifest=_given.manifest,
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
        manifest=_reinforce.manifest,
    log:
        _reinforce.log,
    params:
        before=SETUP,
        job=_reinforce.job,
    message:
        "Reinforcing {wildcards.subject} ({wildcards.model}, {wildcards.split}, seed {wildcards.seed})"


use rule finetune as reference with:
    input:
        unpack(_reference.inputs),
    output:
        manifest=_reference.manifest,
    log:
        _reference.log,
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
        manifest=_unlearn.manifest,
    log:
        _unlearn.log,
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
        manifest=_attack.manifest,
    log:
        _attack.log,
    params:
        before=SETUP,
        job=_attack.job,
    message:
        "Attacking: {wildcards.subject} ({wildcards.model}, {wildcards.split}, seed {wildcards.seed})"
