_external = of("external")
_data = of("data")
_fetch = of("fetch")
_split = of("split")
_draw = of("draw")


# An imported log, kept unchanged. All rules that use no model inherit from this one. Scoring needs `rouge_score`, which the
# evaluation environment has.
rule external:
    input:
        unpack(_external.inputs),
    output:
        **_external.outputs,
    log:
        _external.log,
    conda:
        "../../envs/evaluate.yaml"
    container:
        IMAGES.evaluate
    threads: 1
    resources:
        gpu=0,
        parallel="ddp",
        mem="2GB",
        runtime="30m",
    params:
        before=SETUP,
        job=_external.job,
    message:
        "Importing {wildcards.name} ({wildcards.model}, {wildcards.split})"
    shell:
        COMMAND


# Downloads run on the machine that runs Snakemake, because compute nodes may have no internet access.
use rule external as data with:
    input:
        unpack(_data.inputs),
    output:
        **_data.outputs,
    log:
        _data.log,
    localrule: True
    conda:
        "../../envs/data.yaml"
    container:
        IMAGES.data
    params:
        before=SETUP_ONLINE,
        job=_data.job,
        files=_data.files,
    message:
        "Getting the data of {wildcards.benchmark}"


# The data of stock tasks of lm-eval. It goes before trainings, so that a wrong task or commit shows early.
use rule external as fetch with:
    input:
        unpack(_fetch.inputs),
    output:
        **_fetch.outputs,
    log:
        _fetch.log,
    priority: 2
    localrule: True
    conda:
        "../../envs/evaluate.yaml"
    container:
        IMAGES.evaluate
    params:
        before=SETUP_ONLINE,
        job=_fetch.job,
    message:
        "Getting the data of the tasks of {wildcards.name}"


use rule external as split with:
    input:
        unpack(_split.inputs),
    output:
        **_split.outputs,
    log:
        _split.log,
    group:
        "splits"
    conda:
        "../../envs/data.yaml"
    container:
        IMAGES.data
    params:
        before=SETUP,
        job=_split.job,
    message:
        "Splitting {wildcards.benchmark}: {wildcards.split}"


# Data that a benchmark draws again for each seed.
use rule external as draw with:
    input:
        unpack(_draw.inputs),
    output:
        **_draw.outputs,
    log:
        _draw.log,
    group:
        "splits"
    conda:
        "../../envs/train.yaml"
    container:
        IMAGES.train
    params:
        before=SETUP,
        job=_draw.job,
    message:
        "Drawing the data of {wildcards.benchmark} (seed {wildcards.seed})"
