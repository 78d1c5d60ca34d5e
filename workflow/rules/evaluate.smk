# One rule serves every model: `subject` is original, retrain or unlearn/{method}/{variant}.
rule evaluate:
    input:
        unpack(inputs.evaluate),
    output:
        manifest=f"{RESULTS}/{RUN}/{{subject}}/eval/manifest.json",
    log:
        f"{LOGS}/{RUN}/{{subject}}/eval.log",
    benchmark:
        f"{BENCHMARKS}/{RUN}/{{subject}}/eval.tsv"
    conda:
        "../../envs/evaluate.yaml"
    container:
        IMAGES.evaluate
    threads: ask("threads")
    resources:
        gpu=ask("gpu"),
        parallel=ask("parallel"),
        mem=ask("mem"),
        runtime=ask("runtime"),
    params:
        spec=specs.evaluate,
        code=jobs.evaluate_code(study),
        inputs=jobs.input_flags,
        network=jobs.evaluation_network(study),
    message:
        "Evaluating {wildcards.subject} ({wildcards.model}, {wildcards.split}, seed {wildcards.seed})"
    shell:
        "{params.network} python -m palimpsest.launch --gpu {resources.gpu} --parallel {resources.parallel}"
        " palimpsest.stages.evaluate --spec {params.spec:q} --code {params.code}"
        " {params.inputs} --out {output.manifest} > {log} 2>&1"
