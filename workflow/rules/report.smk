rule summarise:
    input:
        unpack(inputs.summarise),
    output:
        manifest=f"{RESULTS}/summary/manifest.json",
        table=f"{RESULTS}/summary/summary.csv",
    log:
        f"{LOGS}/summary.log",
    group:
        "report"
    conda:
        "../../envs/report.yaml"
    container:
        IMAGES.report
    threads: 1
    resources:
        mem="2GB",
        runtime="30m",
    params:
        spec=specs.summarise,
        code=jobs.stage_code("summarise"),
        inputs=jobs.input_flags,
    message:
        "Collecting the metrics of all models"
    shell:
        "python -m palimpsest.stages.summarise --spec {params.spec:q} --code {params.code}"
        " {params.inputs} --out {output.manifest} > {log} 2>&1"


rule page:
    input:
        summary=rules.summarise.output.manifest,
    output:
        manifest=f"{RESULTS}/report/manifest.json",
        page=report(f"{RESULTS}/report/report.html", caption="../report/page.rst", category="Report"),
        tables=report(
            directory(f"{RESULTS}/report/tables"),
            patterns=["{table}.csv"],
            caption="../report/table.rst",
            category="Tables",
            labels={"table": "{table}"},
        ),
        figures=report(
            directory(f"{RESULTS}/report/figures"),
            patterns=["{figure}.svg"],
            caption="../report/figure.rst",
            category="Figures",
            labels={"figure": "{figure}"},
        ),
    log:
        f"{LOGS}/report.log",
    group:
        "report"
    conda:
        "../../envs/report.yaml"
    container:
        IMAGES.report
    threads: 1
    resources:
        mem="2GB",
        runtime="30m",
    params:
        spec=specs.report,
        code=jobs.report_code(),
    message:
        "Writing the report"
    shell:
        "python -m palimpsest.stages.report --spec {params.spec:q} --code {params.code}"
        " --in summary={input.summary} --out {output.manifest} > {log} 2>&1"


# What a person looks for lies at the top of the results, with the config that made it and what it cost.
rule publish:
    input:
        table=rules.summarise.output.table,
        page=rules.page.output.page,
    output:
        table=f"{RESULTS}/summary.csv",
        page=f"{RESULTS}/report.html",
        config=f"{RESULTS}/run_config.yaml",
        cost=f"{RESULTS}/cost.csv",
        cost_page=f"{RESULTS}/cost.html",
    log:
        f"{LOGS}/publish.log",
    localrule: True
    conda:
        "../../envs/report.yaml"
    container:
        IMAGES.report
    threads: 1
    resources:
        mem="1GB",
        runtime="5m",
    params:
        config=specs.config,
        code=jobs.publish_code(),
    message:
        "Writing {output.page} and {output.table}"
    shell:
        "(cp {input.table} {output.table} && cp {input.page} {output.page}"
        " && python -m palimpsest.config resolved {params.config:q} > {output.config}"
        " && python -m palimpsest.config measured {params.config:q}"
        " | python -m palimpsest.report.cost --spec - --summary {input.table} --out $(dirname {output.cost})) 2> {log}"
