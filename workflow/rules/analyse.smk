# Unlearning watched: the numbers along the way, and no model.
rule trajectory:
    input:
        unpack(inputs.watched),
    output:
        manifest=f"{RESULTS}/{UNLEARNED}/trajectory/manifest.json",
    log:
        f"{LOGS}/{UNLEARNED}/trajectory.log",
    benchmark:
        f"{BENCHMARKS}/{UNLEARNED}/trajectory.tsv"
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
        spec=specs.trajectory,
        code=jobs.trajectory_code(study),
        inputs=jobs.input_flags,
    message:
        "Watching {wildcards.method} {wildcards.variant} unlearn ({wildcards.model}, {wildcards.split}, seed {wildcards.seed})"
    shell:
        "python -m palimpsest.launch --gpu {resources.gpu} --parallel {resources.parallel}"
        " palimpsest.stages.trajectory --spec {params.spec:q} --code {params.code}"
        " {params.inputs} --out {output.manifest} > {log} 2>&1"


rule choice:
    input:
        unpack(inputs.choice),
    output:
        manifest=f"{RESULTS}/{CHOICE}/manifest.json",
    log:
        f"{LOGS}/{CHOICE}.log",
    group:
        "choices"
    conda:
        "../../envs/report.yaml"
    container:
        IMAGES.report
    threads: 1
    resources:
        mem="2GB",
        runtime="30m",
    params:
        spec=specs.choice,
        code=jobs.choice_code(study),
        inputs=jobs.input_flags,
    message:
        "Choosing among the trials of {wildcards.method} ({wildcards.model}, {wildcards.split})"
    shell:
        "python -m palimpsest.stages.choice --spec {params.spec:q} --code {params.code}"
        " {params.inputs} --out {output.manifest} > {log} 2>&1"


# All numbers of one original and what came of it.
rule scores:
    input:
        unpack(inputs.scores),
    output:
        manifest=f"{RESULTS}/{RUN}/scores/manifest.json",
    log:
        f"{LOGS}/{RUN}/scores.log",
    wildcard_constraints:
        benchmark=f"{names.benchmark}|{names.markov}",
    group:
        "scores"
    conda:
        "../../envs/report.yaml"
    container:
        IMAGES.report
    threads: 1
    resources:
        mem="2GB",
        runtime="30m",
    params:
        spec=specs.scores,
        code=jobs.scores_code(study),
        inputs=jobs.input_flags,
    message:
        "Scoring all models of seed {wildcards.seed} ({wildcards.benchmark}, {wildcards.model}, {wildcards.split})"
    shell:
        "python -m palimpsest.stages.scores --spec {params.spec:q} --code {params.code}"
        " {params.inputs} --out {output.manifest} > {log} 2>&1"


# A log that others made, kept as it is.
rule external:
    input:
        unpack(inputs.external),
    output:
        manifest=f"{RESULTS}/{EXTERNAL}/manifest.json",
    log:
        f"{LOGS}/{EXTERNAL}.log",
    conda:
        "../../envs/report.yaml"
    container:
        IMAGES.report
    threads: 1
    resources:
        mem="2GB",
        runtime="30m",
    params:
        spec=specs.external,
        code=jobs.external_code(study),
        inputs=jobs.input_flags,
    message:
        "Importing {wildcards.external} ({wildcards.model}, {wildcards.split})"
    shell:
        "python -m palimpsest.stages.external --spec {params.spec:q} --code {params.code}"
        " {params.inputs} --out {output.manifest} > {log} 2>&1"
