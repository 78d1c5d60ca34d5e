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
        manifest=_external.manifest,
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
        before="",
        job=_external.job,
    message:
        "Importing {wildcards.name} ({wildcards.model}, {wildcards.split})"
    shell:
        ruling.COMMAND


# Downloads run on the machine that runs Snakemake, because compute nodes may have no internet access.
use rule external as data with:
    input:
        unpack(_data.inputs),
    output:
        manifest=_data.manifest,
    log:
        _data.log,
    localrule: True
    conda:
        "../../envs/data.yaml"
    container:
        IMAGES.data
    params:
        before=ruling.NETWORK,
        job=_data.job,
        files=_data.files,
    message:
        "Getting the data of {wildcards.benchmark}"


# The data of stock tasks of lm-eval. It goes before trainings, so that a wrong task or commit shows early.
use rule external as fetch with:
    input:
        unpack(_fetch.inputs),
    output:
        manifest=_fetch.manifest,
    log:
        _fetch.log,
    priority: 2
    localrule: True
    conda:
        "../../envs/evaluate.yaml"
    container:
        IMAGES.evaluate
    params:
        before=ruling.NETWORK,
        job=_fetch.job,
    message:
        "Getting the data of the tasks of {wildcards.name}"


use rule external as split with:
    input:
        unpack(_split.inputs),
    output:
        manifest=_split.manifest,
    log:
        _split.log,
    group:
        "splits"
    conda:
        "../../envs/data.yaml"
    container:
        IMAGES.data
    params:
        before="",
        job=_split.job,
    message:
        "Splitting {wildcards.benchmark}: {wildcards.split}"


# Data that a benchmark draws again for each seed.
use rule external as draw with:
    input:
        unpack(_draw.inputs),
    output:
        manifest=_draw.manifest,
    log:
        _draw.log,
    group:
        "splits"
    conda:
        "../../envs/train.yaml"
    container:
        IMAGES.train
    params:
        before="",
        job=_draw.job,
    message:
        "Drawing the data of {wildcards.benchmark} (seed {wildcards.seed})"
