_summarise = of("summarise")
_report = of("report")


use rule external as summarise with:
    input:
        unpack(_summarise.inputs),
    output:
        **_summarise.outputs,
        table=f"{RESULTS}/summary/summary.csv",
    log:
        _summarise.log,
    group:
        "report"
    conda:
        "../../envs/report.yaml"
    container:
        IMAGES.report
    params:
        before=SETUP,
        job=_summarise.job,
    message:
        "Collecting the metrics of all models"


use rule external as page with:
    input:
        unpack(_report.inputs),
    output:
        **_report.outputs,
        page=report(f"{RESULTS}/report/report.html", caption="../report/page.rst", category="Report"),
        samples=report(f"{RESULTS}/report/samples.html", caption="../report/samples.rst", category="Report"),
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
        _report.log,
    group:
        "report"
    conda:
        "../../envs/report.yaml"
    container:
        IMAGES.report
    params:
        before=SETUP,
        job=_report.job,
    message:
        "Writing the report"


# Copies the report and the summary to the top of the results, with the resolved config and the costs.
rule publish:
    input:
        # Snakemake compares large files by their times alone, and manifests by their content.
        rules.summarise.output.manifest,
        rules.page.output.manifest,
        table=ancient(rules.summarise.output.table),
        page=ancient(rules.page.output.page),
        samples=ancient(rules.page.output.samples),
        environments=ruling.environments(artefacts, STORAGE),
    output:
        table=f"{RESULTS}/summary.csv",
        page=f"{RESULTS}/report.html",
        samples=f"{RESULTS}/samples.html",
        config=f"{RESULTS}/run_config.yaml",
        cost=f"{RESULTS}/cost.csv",
        cost_page=f"{RESULTS}/cost.html",
    log:
        f"{RESULTS}/logs/publish.log",
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
        before=SETUP,
        config=ruling.written_config(study),
        code=ruling.publish_code(),
    message:
        "Writing {output.page} and {output.table}"
    # Linux refuses long arguments, but not those of printf, which is built in.
    shell:
        "{params.before} (cp {input.table} {output.table} && cp {input.page} {output.page} && cp {input.samples} {output.samples}"
        " && printf %s {params.config:q} | python -m palimpsest.study.publish resolved - > {output.config}"
        " && printf %s {params.config:q} | python -m palimpsest.study.publish measured -"
        " | python -m palimpsest.report.cost --spec - --summary {input.table} --out $(dirname {output.cost})) 2> {log}"
