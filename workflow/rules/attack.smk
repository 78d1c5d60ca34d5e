rule attack:
    input:
        model=rules.unlearn.output.manifest,
        split=rules.split.output.manifest,
    output:
        manifest=f"{RESULTS}/{UNLEARNED}/attack/{{attack}}/manifest.json",
    log:
        f"{LOGS}/{UNLEARNED}/attack/{{attack}}.log",
    benchmark:
        f"{BENCHMARKS}/{UNLEARNED}/attack/{{attack}}.tsv"
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
        spec=specs.attack,
        code=jobs.attack_code(study),
    message:
        "Attacking {wildcards.method} {wildcards.variant} by {wildcards.attack} ({wildcards.model}, {wildcards.split}, seed {wildcards.seed})"
    shell:
        "python -m palimpsest.launch --gpu {resources.gpu} --parallel {resources.parallel}"
        " palimpsest.stages.attack --spec {params.spec:q} --code {params.code}"
        " --in model={input.model} --in split={input.split} --out {output.manifest} > {log} 2>&1"
