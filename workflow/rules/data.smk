# Downloads happen where the internet is: on the machine that runs Snakemake.
rule data:
    output:
        manifest=f"{RESULTS}/{{benchmark}}/data/manifest.json",
    log:
        f"{LOGS}/{{benchmark}}/data.log",
    localrule: True
    conda:
        "../../envs/data.yaml"
    container:
        IMAGES.data
    threads: 1
    resources:
        mem="1GB",
        runtime="30m",
    params:
        spec=specs.data,
        files=specs.files,
        code=jobs.data_code(study),
    message:
        "Getting the data of {wildcards.benchmark}"
    shell:
        "PALIMPSEST_NETWORK=yes python -m palimpsest.stages.data --spec {params.spec:q} --code {params.code}"
        " --out {output.manifest} > {log} 2>&1"


rule split:
    input:
        data=rules.data.output.manifest,
    output:
        manifest=f"{RESULTS}/{{benchmark}}/splits/{{split}}/manifest.json",
    log:
        f"{LOGS}/{{benchmark}}/splits/{{split}}.log",
    wildcard_constraints:
        benchmark=names.benchmark,
    group:
        "splits"
    conda:
        "../../envs/data.yaml"
    container:
        IMAGES.data
    threads: 1
    resources:
        mem="1GB",
        runtime="10m",
    params:
        spec=specs.split,
        code=jobs.split_code(study),
    message:
        "Splitting {wildcards.benchmark}: {wildcards.split}"
    shell:
        "python -m palimpsest.stages.split --spec {params.spec:q} --code {params.code}"
        " --in data={input.data} --out {output.manifest} > {log} 2>&1"
