# The Markov-chain study: sequences a seed, a Retrain a seed, and for each experiment an original, which every method unlearns.
rule markov_data:
    output:
        manifest=f"{RESULTS}/{{benchmark}}/seed{{seed}}/data/manifest.json",
    log:
        f"{LOGS}/{{benchmark}}/seed{{seed}}/data.log",
    wildcard_constraints:
        benchmark=names.markov,
    group:
        "splits"
    conda:
        "../../envs/train.yaml"
    container:
        IMAGES.train
    threads: 1
    resources:
        mem="1GB",
        runtime="10m",
    params:
        spec=specs.markov_data,
        code=jobs.stage_code("markov_data"),
    message:
        "Drawing sequences of Markov chains (seed {wildcards.seed})"
    shell:
        "python -m palimpsest.stages.markov_data --spec {params.spec:q} --code {params.code}"
        " --out {output.manifest} > {log} 2>&1"


rule markov_retrain:
    input:
        data=rules.markov_data.output.manifest,
    output:
        manifest=f"{RESULTS}/{{benchmark}}/{{model}}/seed{{seed}}/retrain/model/manifest.json",
    log:
        f"{LOGS}/{{benchmark}}/{{model}}/seed{{seed}}/retrain/model.log",
    benchmark:
        f"{BENCHMARKS}/{{benchmark}}/{{model}}/seed{{seed}}/retrain/model.tsv"
    wildcard_constraints:
        benchmark=names.markov,
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
        spec=specs.markov_retrain,
        code=jobs.stage_code("markov_train"),
    message:
        "Training retrain ({wildcards.benchmark}, seed {wildcards.seed})"
    shell:
        "python -m palimpsest.launch --gpu {resources.gpu} --parallel {resources.parallel}"
        " palimpsest.stages.markov_train --spec {params.spec:q} --code {params.code}"
        " --in data={input.data} --out {output.manifest} > {log} 2>&1"


use rule markov_retrain as markov_original with:
    output:
        manifest=f"{RESULTS}/{RUN}/original/model/manifest.json",
    log:
        f"{LOGS}/{RUN}/original/model.log",
    benchmark:
        f"{BENCHMARKS}/{RUN}/original/model.tsv"
    params:
        spec=specs.markov_original,
        code=jobs.stage_code("markov_train"),
    message:
        "Training original ({wildcards.benchmark}, {wildcards.split}, seed {wildcards.seed})"


rule markov_evaluate:
    input:
        unpack(inputs.markov_evaluate),
    output:
        manifest=f"{RESULTS}/{RUN}/{{role}}/eval/manifest.json",
    log:
        f"{LOGS}/{RUN}/{{role}}/eval.log",
    benchmark:
        f"{BENCHMARKS}/{RUN}/{{role}}/eval.tsv"
    wildcard_constraints:
        benchmark=names.markov,
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
        spec=specs.markov_evaluate,
        code=jobs.stage_code("markov_evaluate"),
    message:
        "Evaluating {wildcards.role} ({wildcards.benchmark}, {wildcards.split}, seed {wildcards.seed})"
    shell:
        "python -m palimpsest.launch --gpu {resources.gpu} --parallel {resources.parallel}"
        " palimpsest.stages.markov_evaluate --spec {params.spec:q} --code {params.code}"
        " --in model={input.model} --in data={input.data} --out {output.manifest} > {log} 2>&1"


rule markov_trajectory:
    input:
        model=rules.markov_original.output.manifest,
        data=rules.markov_data.output.manifest,
    output:
        manifest=f"{RESULTS}/{UNLEARNED}/trajectory/manifest.json",
    log:
        f"{LOGS}/{UNLEARNED}/trajectory.log",
    benchmark:
        f"{BENCHMARKS}/{UNLEARNED}/trajectory.tsv"
    wildcard_constraints:
        benchmark=names.markov,
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
        spec=specs.markov_trajectory,
        code=jobs.method_code("markov_trajectory"),
    message:
        "Watching {wildcards.method} {wildcards.variant} unlearn ({wildcards.benchmark}, {wildcards.split}, seed {wildcards.seed})"
    shell:
        "python -m palimpsest.launch --gpu {resources.gpu} --parallel {resources.parallel}"
        " palimpsest.stages.markov_trajectory --spec {params.spec:q} --code {params.code}"
        " --in model={input.model} --in data={input.data} --out {output.manifest} > {log} 2>&1"
