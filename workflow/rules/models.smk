rule base_tiny:
    input:
        data=rules.data.output.manifest,
    output:
        manifest=f"{RESULTS}/{{benchmark}}/{{model}}/base/manifest.json",
    log:
        f"{LOGS}/{{benchmark}}/{{model}}/base.log",
    benchmark:
        f"{BENCHMARKS}/{{benchmark}}/{{model}}/base.tsv"
    wildcard_constraints:
        model=names.tiny,
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
        spec=specs.base,
        code=jobs.stage_code("base"),
    message:
        "Training the base of {wildcards.model} ({wildcards.benchmark})"
    shell:
        "python -m palimpsest.launch --gpu {resources.gpu} --parallel {resources.parallel}"
        " palimpsest.stages.base --spec {params.spec:q} --code {params.code}"
        " --in data={input.data} --out {output.manifest} > {log} 2>&1"


# A download or an unpacking, so on the machine that runs Snakemake.
rule base_pretrained:
    output:
        manifest=f"{RESULTS}/{{benchmark}}/{{model}}/base/manifest.json",
    log:
        f"{LOGS}/{{benchmark}}/{{model}}/base.log",
    wildcard_constraints:
        model=names.pretrained,
    localrule: True
    conda:
        "../../envs/train.yaml"
    container:
        IMAGES.train
    threads: 1
    resources:
        mem=ask("mem"),
        runtime=ask("runtime"),
    params:
        spec=specs.base,
        code=jobs.stage_code("base"),
    message:
        "Fetching {wildcards.model}"
    shell:
        "PALIMPSEST_NETWORK=yes python -m palimpsest.stages.base --spec {params.spec:q} --code {params.code}"
        " --out {output.manifest} > {log} 2>&1"


rule finetune:
    input:
        unpack(inputs.finetune),
    output:
        manifest=f"{RESULTS}/{RUN}/{{role}}/model/manifest.json",
    log:
        f"{LOGS}/{RUN}/{{role}}/model.log",
    benchmark:
        f"{BENCHMARKS}/{RUN}/{{role}}/model.tsv"
    wildcard_constraints:
        model=names.taught,
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
        spec=specs.finetune,
        code=jobs.stage_code("finetune"),
        inputs=jobs.input_flags,
    message:
        "Training {wildcards.role} ({wildcards.model}, {wildcards.split}, seed {wildcards.seed})"
    shell:
        "python -m palimpsest.launch --gpu {resources.gpu} --parallel {resources.parallel}"
        " palimpsest.stages.finetune --spec {params.spec:q} --code {params.code}"
        " {params.inputs} --out {output.manifest} > {log} 2>&1"


# A finished original or Retrain in the place of one trained here.
use rule base_pretrained as given with:
    output:
        manifest=f"{RESULTS}/{RUN}/{{role}}/model/manifest.json",
    log:
        f"{LOGS}/{RUN}/{{role}}/model.log",
    wildcard_constraints:
        model=names.given,
    params:
        spec=specs.given,
        code=jobs.stage_code("base"),
    message:
        "Fetching {wildcards.role} of {wildcards.model}"


# The start model with the forget set learnt once more: what RKLD's teacher and task vectors are made of.
rule strengthen:
    input:
        unpack(inputs.strengthen),
    output:
        manifest=f"{RESULTS}/{RUN}/{{start}}/strengthened/model/manifest.json",
    log:
        f"{LOGS}/{RUN}/{{start}}/strengthened/model.log",
    benchmark:
        f"{BENCHMARKS}/{RUN}/{{start}}/strengthened/model.tsv"
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
        spec=specs.strengthen,
        code=jobs.stage_code("finetune"),
        inputs=jobs.input_flags,
    message:
        "Strengthening {wildcards.start} ({wildcards.model}, {wildcards.split}, seed {wildcards.seed})"
    shell:
        "python -m palimpsest.launch --gpu {resources.gpu} --parallel {resources.parallel}"
        " palimpsest.stages.finetune --spec {params.spec:q} --code {params.code}"
        " {params.inputs} --out {output.manifest} > {log} 2>&1"
