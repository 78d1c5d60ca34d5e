# `snakemake` runs from here; the workflow itself is in workflow/. A plain include would leave this file without a default target.
workflow.include("workflow/Snakefile", overwrite_default_target=True)
