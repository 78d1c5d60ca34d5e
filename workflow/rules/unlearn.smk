rule reference:
    input:
        unpack(inputs.reference),
    output:
        manifest=f"{RESULTS}/{RUN}/{{start}}/reference/{{reference}}/manifest.json",
    log:
        f"{LOGS}/{RUN}/{{start}}/reference/{{reference}}.log",
    benchmark:
        f"{BENCHMARKS}/{RUN}/{{start}}/reference/{{reference}}.tsv"
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
        spec=specs.reference,
        code=jobs.stage_code("reference"),
        inputs=jobs.input_flags,
    message:
        "Taking reference log-probabilities ({wildcards.start}, {wildcards.reference}, {wildcards.model}, {wildcards.split}, seed {wildcards.seed})"
    shell:
        "python -m palimpsest.launch --gpu {resources.gpu} --parallel {resources.parallel}"
        " palimpsest.stages.reference --spec {params.spec:q} --code {params.code}"
        " {params.inputs} --out {output.manifest} > {log} 2>&1"


rule unlearn:
    input:
        unpack(inputs.unlearn),
    output:
        manifest=f"{RESULTS}/{UNLEARNED}/model/manifest.json",
    log:
        f"{LOGS}/{UNLEARNED}/model.log",
    benchmark:
        f"{BENCHMARKS}/{UNLEARNED}/model.tsv"
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
        spec=specs.unlearn,
        code=jobs.method_code("unlearn"),
        inputs=jobs.input_flags,
    message:
        "Unlearning with {wildcards.method} {wildcards.variant} ({wildcards.model}, {wildcards.split}, seed {wildcards.seed})"
    shell:
        "python -m palimpsest.launch --gpu {resources.gpu} --parallel {resources.parallel}"
        " palimpsest.stages.unlearn --spec {params.spec:q} --code {params.code}"
        " {params.inputs} --out {output.manifest} > {log} 2>&1"
